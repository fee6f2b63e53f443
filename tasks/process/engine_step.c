/* What a call of a method did: taken whole, or refused and tried again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/text.h"

#include "tasks/process/engine_inside.h"

#define ATTEMPTS_MAX 10
#define FIRST_MS 100
#define LONGEST_MS 30000
#define MS 1000000

/* ---- Starting -------------------------------------------------------------------------------- */

static void start_goroutine(struct tmgr__engine *engine, struct tmgr__eprocess *process,
	const char *name, const struct tmgr__emethod *method)
{
	struct tmgr__goroutine *goroutine = tmgr__goroutine_add(engine, process, name);

	if (goroutine != NULL)
		tmgr__goroutine_ready(engine, goroutine, method, NULL);
}

int tmgr__apply_start(struct tmgr__engine *engine, const char *id,
	struct tmgr__edefinition *definition, struct tmgr_bytes state)
{
	const struct tmgr__emethod *method = tmgr__engine_method(
		definition, definition->user->start);
	char name[TMGR_PROCESS_NAME_MAX + 1];
	struct tmgr__eprocess *process;

	if (tmgr__engine_process(engine, id) != NULL)
		return -EEXIST;
	process = tmgr__process_add(engine, id, definition);
	if (process == NULL)
		return -ENOMEM;
	process->version = definition->user->version;
	process->created_ms = engine->wall_ms;
	process->state = tmgr__blob(engine, state);
	tmgr__put_event(engine, TMGR_PROCESS_EVENT_STARTED, process, NULL, definition->name);
	tmgr__put_process(engine, process);
	tmgr__method_goroutine(method, name);
	start_goroutine(engine, process, name, method);
	return 0;
}

/* ---- Failing --------------------------------------------------------------------------------- */

static struct tmgr_process_retry retry_of(const struct tmgr__emethod *method)
{
	struct tmgr_process_retry retry = method->entry->retry;
	const struct tmgr_process_retry *general = &method->definition->user->retry;

	if (retry.attempts_max == 0)
		retry.attempts_max = general->attempts_max > 0 ? general->attempts_max
							       : ATTEMPTS_MAX;
	if (retry.first_ns == 0)
		retry.first_ns = general->first_ns > 0 ? general->first_ns : FIRST_MS * (int64_t)MS;
	if (retry.longest_ns == 0)
		retry.longest_ns = general->longest_ns > 0 ? general->longest_ns
							   : LONGEST_MS * (int64_t)MS;
	return retry;
}

static int64_t backoff_ms(const struct tmgr_process_retry *retry, uint32_t attempts)
{
	int64_t ns = retry->first_ns;

	for (uint32_t i = 1; i < attempts && ns < retry->longest_ns; i++)
		ns = ns > INT64_MAX / 2 ? INT64_MAX : 2 * ns;
	if (ns > retry->longest_ns)
		ns = retry->longest_ns;
	return ns / MS + (ns % MS != 0);
}

/*
 * A process that somebody has paused stays so, for his reason, and its goroutine says what failed: who
 * resumed it because it has failed would not know of the pause.
 */
static void give_up(
	struct tmgr__engine *engine, struct tmgr__goroutine *goroutine, int error, const char *text)
{
	struct tmgr__eprocess *process = goroutine->process;
	struct tmgr__ending *ending = tmgr__process_ending(engine, process);
	struct tmgr__text whole;

	if (ending == NULL)
		return;
	goroutine->status = TMGR_GOROUTINE_FAILED;
	ending->error = error;
	if (process->status != TMGR_PROCESS_PAUSED) {
		tmgr__process_set_status(engine, process, TMGR_PROCESS_FAILED);
		tmgr__text_init(&whole, ending->text, sizeof(ending->text));
		tmgr__text_format(&whole, "%s: %s", goroutine->method->name, text);
	}
	tmgr__put_event(engine, TMGR_PROCESS_EVENT_FAILED, process, goroutine, text);
	tmgr__put_process(engine, process);
}

static void fail(
	struct tmgr__engine *engine, struct tmgr__goroutine *goroutine, int error, const char *text)
{
	struct tmgr_process_retry retry = retry_of(goroutine->method);
	struct tmgr__trouble *trouble = tmgr__goroutine_trouble(engine, goroutine);

	if (trouble == NULL)
		return;
	trouble->attempts++;
	trouble->error = error;
	tmgr__text_copy_valid(trouble->text, sizeof(trouble->text),
		text != NULL && text[0] != '\0' ? text : tmgr_strerror(error));
	if (trouble->attempts >= retry.attempts_max) {
		trouble->retry_at = 0;
		give_up(engine, goroutine, error, trouble->text);
	} else {
		trouble->retry_at = engine->now_ms + backoff_ms(&retry, trouble->attempts);
		tmgr__timer_arm(engine, &trouble->retry, trouble->retry_at);
		tmgr__put_event(engine, TMGR_PROCESS_EVENT_RETRY, goroutine->process, goroutine,
			trouble->text);
	}
	tmgr__put_goroutine(engine, goroutine);
}

/* ---- What was declared ----------------------------------------------------------------------- */

/* Whether an action makes this channel: itself, or one by name of the process that it starts. */
static bool makes(const struct tmgr__action *action, const char *id)
{
	size_t size = strcspn(id, "/");

	if (action->kind == TMGR__CHANNEL)
		return strcmp(action->name, id) == 0;
	return action->kind == TMGR__SPAWN && strlen(action->name) == size &&
	       memcmp(action->name, id, size) == 0 && id[size + 1] != '@';
}

/* Whether there is such a channel, or will be when the actions before this one are done, or it is gone as its process is. */
static int look_for(const struct tmgr__engine *engine, const struct tmgr__deed *deed,
	const struct tmgr__action *end, const char *id)
{
	int r;

	for (const struct tmgr__action *action = deed->actions; action != end;
		action = action->next) {
		if (makes(action, id))
			return 0;
	}
	r = tmgr__channel_look(engine, id);
	return r == -EPIPE ? 0 : r;
}

static bool started_before(
	const struct tmgr__action *actions, const struct tmgr__action *end, const char *name)
{
	for (; actions != end; actions = actions->next) {
		if (actions->kind == TMGR__GO && strcmp(actions->name, name) == 0)
			return true;
	}
	return false;
}

/* Each gets a copy, and all of them are in the same commit. */
static bool fits_all_callers(const struct tmgr__engine *engine,
	const struct tmgr__eprocess *process, struct tmgr_bytes result)
{
	struct tmgr__list *node;
	size_t left = engine->results_max;

	if (process->ending == NULL || result.size == 0)
		return true;
	tmgr__list_for (node, &process->ending->callers) {
		if (result.size > left)
			return false;
		left -= result.size;
	}
	return true;
}

/* Whether all that was declared can be done. On an error nothing has happened. */
int tmgr__engine_judge(const struct tmgr__engine *engine, const struct tmgr__eprocess *process,
	const struct tmgr__deed *deed, char *text)
{
	const char *name = "";
	int r = 0;

	for (const struct tmgr__action *action = deed->actions; r == 0 && action != NULL;
		action = action->next) {
		name = action->name;
		if (action->kind == TMGR__POST || action->kind == TMGR__CLOSE)
			r = look_for(engine, deed, action, name);
		else if (action->kind == TMGR__GO &&
			 (tmgr__goroutine_named(process, name) != NULL ||
				 started_before(deed->actions, action, name)))
			r = -EEXIST;
	}
	for (size_t i = 0; r == 0 && !deed->finish && i < deed->case_count; i++) {
		name = deed->cases[i].target;
		if (deed->cases[i].kind == TMGR_PROCESS_WAIT_SEND ||
			deed->cases[i].kind == TMGR_PROCESS_WAIT_RECEIVE)
			r = look_for(engine, deed, NULL, name);
	}
	if (r == 0 && deed->finish && !fits_all_callers(engine, process, deed->value))
		r = -EMSGSIZE;
	if (r == -EMSGSIZE)
		snprintf(text, TMGR_PROCESS_TEXT_SIZE,
			"a result of %zu bytes is too long for all that wait for it",
			deed->value.size);
	else if (r == -EEXIST)
		snprintf(text, TMGR_PROCESS_TEXT_SIZE, "a goroutine %s lives already", name);
	else if (r != 0)
		snprintf(text, TMGR_PROCESS_TEXT_SIZE, "there is no channel %s", name);
	return r;
}

static void create_channel(struct tmgr__engine *engine, const char *id, uint32_t capacity)
{
	struct tmgr__channel *channel = tmgr__engine_channel(engine, id);

	if (channel != NULL)
		return;
	channel = tmgr__channel_add(engine, id);
	if (channel == NULL)
		return;
	channel->created = true;
	if (tmgr__channel_buffer(engine, channel) == NULL)
		return;
	channel->buffer->capacity = capacity;
	tmgr__put_channel(engine, channel);
}

static void close_channel(struct tmgr__engine *engine, const char *id)
{
	struct tmgr__channel *channel;

	if (tmgr__channel_resolve(engine, id, &channel) != 0 || channel->closed)
		return;
	tmgr__channel_close(engine, channel);
	tmgr__put_channel(engine, channel);
}

static void post(struct tmgr__engine *engine, const char *id, struct tmgr_bytes value)
{
	struct tmgr__channel *channel;
	struct tmgr__blob *blob;

	if (tmgr__channel_resolve(engine, id, &channel) != 0 || channel->closed)
		return;
	blob = tmgr__blob(engine, value);
	if (blob != NULL)
		tmgr__channel_post(engine, channel, blob);
}

static void kill_process(struct tmgr__engine *engine, const char *id)
{
	struct tmgr__eprocess *process = tmgr__engine_process(engine, id);

	if (process != NULL && !tmgr__process_is_over(process))
		tmgr__process_cancel(engine, process);
}

static void act(struct tmgr__engine *engine, struct tmgr__eprocess *process,
	const struct tmgr__action *action)
{
	switch (action->kind) {
	case TMGR__GO:
		start_goroutine(engine, process, action->name, action->method);
		break;
	case TMGR__SPAWN:
		tmgr__apply_start(engine, action->name, action->definition, action->value);
		break;
	case TMGR__POST:
		post(engine, action->name, action->value);
		break;
	case TMGR__CHANNEL:
		create_channel(engine, action->name, action->capacity);
		break;
	case TMGR__CLOSE:
		close_channel(engine, action->name);
		break;
	case TMGR__KILL:
		kill_process(engine, action->name);
		break;
	case TMGR__LOG:
		tmgr__put_event(
			engine, TMGR_PROCESS_EVENT_LOG, process, process->running, action->name);
		break;
	}
}

/* ---- A step ---------------------------------------------------------------------------------- */

static void keep_state(
	struct tmgr__engine *engine, struct tmgr__eprocess *process, const struct tmgr__deed *deed)
{
	const struct tmgr__blob *old = process->state;
	struct tmgr__blob *new;
	char text[16];

	if (deed->version > process->version) {
		process->version = deed->version;
		snprintf(text, sizeof(text), "%u", (unsigned)deed->version);
		tmgr__put_event(engine, TMGR_PROCESS_EVENT_UPGRADED, process, NULL, text);
	}
	if (old != NULL && old->size == deed->state.size &&
		memcmp(old->data, deed->state.data, old->size) == 0)
		return;
	new = tmgr__blob(engine, deed->state);
	if (new == NULL)
		return;
	free(process->state);
	process->state = new;
	process->revision++;
}

static void finish(
	struct tmgr__engine *engine, struct tmgr__eprocess *process, struct tmgr_bytes result)
{
	struct tmgr__ending *ending = tmgr__process_ending(engine, process);

	if (ending == NULL)
		return;
	ending->result = tmgr__blob(engine, result);
	process->has_result = true;
	tmgr__process_end(engine, process,
		process->cancelling ? TMGR_PROCESS_CANCELLED : TMGR_PROCESS_FINISHED);
}

/* The goroutine's waits, or its end, and with the last the process's. */
static void go_on(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr__deed *deed)
{
	struct tmgr__eprocess *process = goroutine->process;

	if (deed->case_count > 0) {
		tmgr__select(engine, goroutine, deed->cases, deed->case_count);
		tmgr__put_process(engine, process);
		return;
	}
	tmgr__goroutine_end(engine, goroutine);
	if (process->goroutines == NULL)
		tmgr__process_end(engine, process,
			process->cancelling ? TMGR_PROCESS_CANCELLED : TMGR_PROCESS_FINISHED);
	else
		tmgr__put_process(engine, process);
}

static void take(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr__deed *deed)
{
	struct tmgr__eprocess *process = goroutine->process;

	tmgr__put_event(engine, TMGR_PROCESS_EVENT_STEP, process, goroutine, "");
	keep_state(engine, process, deed);
	process->steps++;
	engine->steps++;
	tmgr__trouble_clear(engine, goroutine);
	tmgr__arrival_free(goroutine->what.arrival);
	goroutine->what.arrival = NULL;
	for (const struct tmgr__action *action = deed->actions;
		action != NULL && engine->broken == 0; action = action->next)
		act(engine, process, action);
	process->changed = engine->sequence;
	if (deed->finish)
		finish(engine, process, deed->value);
	else if (engine->broken == 0)
		go_on(engine, goroutine, deed);
}

static void refuse_late(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine)
{
	tmgr__put_event(engine, TMGR_PROCESS_EVENT_LATE, goroutine->process, goroutine, "");
	fail(engine, goroutine, -ETIMEDOUT, "it did not return by its deadline");
}

/* The running goroutine's method has returned. */
int tmgr__apply_step(
	struct tmgr__engine *engine, struct tmgr__eprocess *process, const struct tmgr__deed *deed)
{
	struct tmgr__goroutine *goroutine = process->running;
	char text[TMGR_PROCESS_TEXT_SIZE];
	int r = 0;

	if (!deed->late && !deed->given_up && !deed->unreadable && !deed->judged &&
		deed->result == 0)
		r = tmgr__engine_judge(engine, process, deed, text);
	/* Until it has ended nothing else of the process may begin, so this comes late. */
	process->running = NULL;
	engine->running--;
	if (process->stuck) {
		process->stuck = false;
		engine->stuck--;
	}
	if (deed->late) {
		refuse_late(engine, goroutine);
	} else if (deed->given_up) {
		tmgr__goroutine_wait_for_turn(engine, goroutine);
	} else if (deed->unreadable) {
		tmgr__goroutine_pause(engine, goroutine, deed->text);
		tmgr__put_goroutine(engine, goroutine);
	} else if (deed->result != 0) {
		fail(engine, goroutine, deed->result, deed->text);
	} else if (r != 0) {
		fail(engine, goroutine, r, text);
	} else {
		process->running = goroutine;
		take(engine, goroutine, deed);
		process->running = NULL;
	}
	if (process->cancelled && !process->cancelling && !tmgr__process_is_over(process))
		tmgr__process_cancel_now(engine, process);
	tmgr__process_to_run(engine, process);
	return 0;
}
