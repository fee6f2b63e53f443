/* Applying commands. */
#include "tasks/process/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/text.h"

#include "tasks/process/engine_inside.h"

#define DAY_MS INT64_C(86400000)

struct tmgr__engine *tmgr__engine_create(void)
{
	struct tmgr__engine *engine = calloc(1, sizeof(*engine));

	if (engine == NULL)
		return NULL;
	engine->keep_finished_ms = 30 * DAY_MS;
	engine->keep_keys_ms = 7 * DAY_MS;
	engine->line_max = 10000;
	engine->results_max = TMGR_PROCESS_RESULTS_MAX;
	engine->prepared_last = &engine->prepared;
	if (tmgr__tables_make(engine) != 0) {
		tmgr__engine_destroy(engine);
		return NULL;
	}
	return engine;
}

uint64_t tmgr__engine_number(struct tmgr__engine *engine)
{
	return ++engine->sequence;
}

/* Programs that did not look have stored names that are not UTF-8. */
bool tmgr__was_name(const char *text, size_t size_max)
{
	size_t size = strnlen(text, size_max + 1);

	if (size == 0 || size > size_max)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '/' || tmgr__text_control(text + i) != 0)
			return false;
	}
	return true;
}

/* Names of all kinds: UTF-8 without control characters and slashes. */
bool tmgr__is_name(const char *text, size_t size_max)
{
	return tmgr__was_name(text, size_max) && tmgr__text_is_valid(text);
}

/* Its process is one that is there, or there is no such channel: only the name may be a new one. */
static bool is_channel(const char *id, bool (*is_name)(const char *text, size_t size_max))
{
	size_t size = strcspn(id, "/");
	char owner[TMGR_PROCESS_ID_MAX + 1];

	if (id[size] == '\0' || size > TMGR_PROCESS_ID_MAX)
		return false;
	memcpy(owner, id, size);
	owner[size] = '\0';
	return (size == 0 || tmgr__was_name(owner, TMGR_PROCESS_ID_MAX)) &&
	       is_name(id + size + 1, TMGR_PROCESS_NAME_MAX);
}

bool tmgr__is_channel(const char *id)
{
	return is_channel(id, tmgr__is_name);
}

bool tmgr__was_channel(const char *id)
{
	return is_channel(id, tmgr__was_name);
}

/* ---- While a method runs --------------------------------------------------------------------- */

static int apply_stuck(struct tmgr__engine *engine, struct tmgr__eprocess *process)
{
	if (process->running == NULL || process->stuck)
		return -EALREADY;
	process->stuck = true;
	engine->stuck++;
	tmgr__put_event(engine, TMGR_PROCESS_EVENT_STUCK, process, process->running, "");
	return 0;
}

static int apply_once(struct tmgr__engine *engine, const struct tmgr__apply *command)
{
	struct tmgr__goroutine *goroutine = command->process->running;
	struct tmgr__changes *changes = engine->changes;
	int r;

	if (goroutine == NULL || command->process->stuck)
		return -ETIMEDOUT;
	r = tmgr__once_add(engine, goroutine, command->name, command->value);
	if (r != 0)
		return r;
	tmgr__changes_add(changes, TMGR_STORE_PUT, TMGR_STORE_ONCE)
		->row.once = (struct tmgr_store_once){
		.process = tmgr__changes_text(changes, goroutine->process->id),
		.goroutine = tmgr__changes_text(changes, goroutine->name),
		.sequence = goroutine->sequence,
		.name = tmgr__changes_text(changes, command->name),
		.value = tmgr__changes_bytes(changes, command->value.data, command->value.size),
	};
	return 0;
}

/* ---- Channels from outside ------------------------------------------------------------------- */

static void keep_key(struct tmgr__engine *engine, const char *key)
{
	struct tmgr__changes *changes = engine->changes;

	if (tmgr__key_add(engine, key, engine->now_ms) == NULL)
		return;
	tmgr__changes_add(changes, TMGR_STORE_PUT, TMGR_STORE_KEY)->row.key =
		(struct tmgr_store_key){
			.key = tmgr__changes_text(changes, key),
			.at_ms = engine->now_ms,
		};
}

static const char *name_in(const char *channel)
{
	return strchr(channel, '/') + 1;
}

static int apply_send(struct tmgr__engine *engine, const struct tmgr__apply *command)
{
	char key[TMGR_PROCESS_CHANNEL_MAX + 1 + TMGR_PROCESS_KEY_MAX + 1];
	struct tmgr__channel *channel;
	struct tmgr__blob *value;
	int r;

	if (command->name != NULL) {
		size_t size = strlen(command->id);

		memcpy(key, command->id, size);
		/* No channel has another slash. */
		key[size] = '/';
		memcpy(key + size + 1, command->name, strlen(command->name) + 1);
		if (tmgr__engine_key(engine, key) != NULL)
			return 0;
	}
	r = tmgr__channel_resolve(engine, command->id, &channel);
	if (r != 0)
		return r;
	if (channel->closed)
		return -EPIPE;
	if (channel->buffer != NULL && channel->buffer->outside >= engine->line_max)
		return -EAGAIN;
	value = tmgr__blob(engine, command->value);
	if (value == NULL)
		return -ENOMEM;
	tmgr__put_event(
		engine, TMGR_PROCESS_EVENT_SENT, channel->process, NULL, name_in(channel->id));
	if (command->name != NULL)
		keep_key(engine, key);
	tmgr__channel_post(engine, channel, value);
	return 0;
}

static int apply_close(struct tmgr__engine *engine, const struct tmgr__apply *command)
{
	struct tmgr__channel *channel;
	int r = tmgr__channel_resolve(engine, command->id, &channel);

	if (r != 0)
		return r == -EPIPE ? -EALREADY : r;
	if (channel->closed)
		return -EALREADY;
	tmgr__put_event(
		engine, TMGR_PROCESS_EVENT_CLOSED, channel->process, NULL, name_in(channel->id));
	tmgr__channel_close(engine, channel);
	tmgr__put_channel(engine, channel);
	return 0;
}

static int apply_channel_create(struct tmgr__engine *engine, const struct tmgr__apply *command)
{
	struct tmgr__channel *channel;

	if (tmgr__engine_channel(engine, command->id) != NULL)
		return -EEXIST;
	channel = tmgr__channel_add(engine, command->id);
	if (channel == NULL)
		return -ENOMEM;
	channel->created = true;
	if (tmgr__channel_buffer(engine, channel) == NULL)
		return -ENOMEM;
	channel->buffer->capacity = command->capacity;
	tmgr__put_channel(engine, channel);
	return 0;
}

static int apply_channel_delete(struct tmgr__engine *engine, const struct tmgr__apply *command)
{
	struct tmgr__channel *channel = tmgr__engine_channel(engine, command->id);

	if (channel == NULL)
		return -ENOENT;
	if ((channel->buffer != NULL && channel->buffer->count > 0) ||
		!tmgr__list_empty(&channel->line))
		return -EBUSY;
	tmgr__changes_add(engine->changes, TMGR_STORE_DELETE, TMGR_STORE_CHANNEL)->row.channel =
		(struct tmgr_store_channel){
			.id = tmgr__changes_text(engine->changes, channel->id),
		};
	tmgr__channel_free(engine, channel);
	return 0;
}

/* ---- Processes from outside ------------------------------------------------------------------ */

/* One that has failed too, as if it had been paused just before; its error stays. */
static int apply_pause(
	struct tmgr__engine *engine, struct tmgr__eprocess *process, const char *reason)
{
	struct tmgr__ending *ending;

	if (process->status == TMGR_PROCESS_PAUSED)
		return -EALREADY;
	ending = tmgr__process_ending(engine, process);
	if (ending == NULL)
		return -ENOMEM;
	tmgr__text_copy_valid(ending->text, sizeof(ending->text), reason);
	tmgr__process_set_status(engine, process, TMGR_PROCESS_PAUSED);
	tmgr__put_event(engine, TMGR_PROCESS_EVENT_PAUSED, process, NULL, ending->text);
	tmgr__put_process(engine, process);
	return 0;
}

/* Have a goroutine go on that does not, for whatever reason. */
static bool resume_goroutine(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine)
{
	bool known = goroutine->method->entry != NULL;
	struct tmgr__trouble *trouble = goroutine->trouble;

	if (trouble == NULL || goroutine == goroutine->process->running)
		return false;
	if (goroutine->status == TMGR_GOROUTINE_READY && trouble->retry.heap_index == 0)
		return false;
	if (!known && goroutine->status != TMGR_GOROUTINE_FAILED)
		return false;
	tmgr__timer_disarm(engine, &trouble->retry);
	trouble->attempts = 0;
	trouble->error = 0;
	trouble->retry_at = 0;
	trouble->text[0] = '\0';
	goroutine->status = TMGR_GOROUTINE_READY;
	/* The next program that has its method runs it. */
	if (!known)
		tmgr__goroutine_pause_for_method(engine, goroutine);
	tmgr__put_goroutine(engine, goroutine);
	if (known)
		tmgr__goroutine_wait_for_turn(engine, goroutine);
	return true;
}

static int apply_resume(struct tmgr__engine *engine, const struct tmgr__apply *command)
{
	struct tmgr__eprocess *process = command->process;
	bool resumed = process->status != TMGR_PROCESS_ACTIVE;

	if (command->status != 0 && process->status != command->status)
		return -ESTALE;
	for (struct tmgr__goroutine *goroutine = process->goroutines; goroutine != NULL;
		goroutine = goroutine->next) {
		if (goroutine->status != TMGR_GOROUTINE_BLOCKED)
			resumed |= resume_goroutine(engine, goroutine);
	}
	if (!resumed)
		return -EALREADY;
	if (process->status != TMGR_PROCESS_ACTIVE) {
		tmgr__process_activate(engine, process);
		tmgr__put_process(engine, process);
	}
	tmgr__put_event(engine, TMGR_PROCESS_EVENT_RESUMED, process, NULL, "");
	tmgr__process_to_run(engine, process);
	return 0;
}

/* Where none of its goroutines has failed any more it has no error; one that is paused stays so. */
static void forget_failure(struct tmgr__engine *engine, struct tmgr__eprocess *process)
{
	for (const struct tmgr__goroutine *goroutine = process->goroutines; goroutine != NULL;
		goroutine = goroutine->next) {
		if (goroutine->status == TMGR_GOROUTINE_FAILED)
			return;
	}
	if (process->status == TMGR_PROCESS_FAILED)
		tmgr__process_activate(engine, process);
	else if (process->status == TMGR_PROCESS_PAUSED && process->ending->error != 0)
		process->ending->error = 0;
	else
		return;
	tmgr__put_process(engine, process);
}

static int apply_goto(struct tmgr__engine *engine, const struct tmgr__apply *command)
{
	struct tmgr__eprocess *process = command->process;
	struct tmgr__goroutine *goroutine = tmgr__goroutine_named(process, command->name);
	const struct tmgr__emethod *method = tmgr__definition_method(
		engine, process->definition, command->method);
	struct tmgr__arrival *arrival;

	if (method == NULL)
		return -ENOMEM;
	if (goroutine == NULL || method->entry == NULL)
		return -ENOENT;
	if (goroutine == process->running)
		return -EBUSY;
	arrival = tmgr__engine_memory(engine, sizeof(*arrival) + 1);
	if (arrival == NULL)
		return -ENOMEM;
	arrival->kind = TMGR_ARRIVED_GOTO;
	tmgr__goroutine_unqueue(engine, goroutine);
	tmgr__trouble_clear(engine, goroutine);
	if (goroutine->status == TMGR_GOROUTINE_BLOCKED)
		tmgr__withdraw(engine, goroutine);
	else
		tmgr__arrival_free(goroutine->what.arrival);
	tmgr__goroutine_ready(engine, goroutine, method, arrival);
	forget_failure(engine, process);
	tmgr__put_event(engine, TMGR_PROCESS_EVENT_CHANGED, process, goroutine, "method");
	return 0;
}

static int apply_set(struct tmgr__engine *engine, const struct tmgr__apply *command)
{
	struct tmgr__eprocess *process = command->process;
	struct tmgr__blob *state;

	if (process->running != NULL)
		return -EBUSY;
	if (process->revision != command->revision)
		return -ESTALE;
	state = tmgr__blob(engine, command->value);
	if (state == NULL)
		return -ENOMEM;
	free(process->state);
	process->state = state;
	process->revision++;
	tmgr__put_process(engine, process);
	tmgr__put_event(engine, TMGR_PROCESS_EVENT_CHANGED, process, NULL, "state");
	process->changed = engine->sequence;
	return 0;
}

/* ---- All ------------------------------------------------------------------------------------- */

static int forget_finished(struct tmgr__engine *engine)
{
	for (int i = 0; i < 100 && engine->over_first != NULL; i++) {
		struct tmgr__eprocess *process = engine->over_first;

		if (engine->now_ms - tmgr__process_changed(process) < engine->keep_finished_ms)
			break;
		if (tmgr__reserve_one(engine) != 0)
			return -ENOMEM;
		engine->over_first = process->run_next;
		if (engine->over_first == NULL)
			engine->over_last = NULL;
		tmgr__process_forget(engine, process);
	}
	return 0;
}

static int apply_to_process(struct tmgr__engine *engine, const struct tmgr__apply *command)
{
	struct tmgr__apply found = *command;

	found.process = tmgr__engine_process(engine, command->id);
	if (found.process == NULL)
		return -ENOENT;
	if (tmgr__process_is_over(found.process))
		return -ESRCH;
	switch (command->kind) {
	case TMGR__APPLY_CANCEL:
		return tmgr__process_cancel(engine, found.process);
	case TMGR__APPLY_PAUSE:
		return apply_pause(engine, found.process, command->name);
	case TMGR__APPLY_RESUME:
		return apply_resume(engine, &found);
	case TMGR__APPLY_GOTO:
		return apply_goto(engine, &found);
	default:
		return apply_set(engine, &found);
	}
}

static int apply(struct tmgr__engine *engine, const struct tmgr__apply *command)
{
	int r = tmgr__engine_reserve(engine, command);

	if (r != 0)
		return r;
	switch (command->kind) {
	case TMGR__APPLY_START:
		return tmgr__apply_start(engine, command->id, command->definition, command->value);
	case TMGR__APPLY_STEP:
		return tmgr__apply_step(engine, command->process, command->deed);
	case TMGR__APPLY_STUCK:
		return apply_stuck(engine, command->process);
	case TMGR__APPLY_ONCE:
		return apply_once(engine, command);
	case TMGR__APPLY_SEND:
		return apply_send(engine, command);
	case TMGR__APPLY_CLOSE:
		return apply_close(engine, command);
	case TMGR__APPLY_CHANNEL_CREATE:
		return apply_channel_create(engine, command);
	case TMGR__APPLY_CHANNEL_DELETE:
		return apply_channel_delete(engine, command);
	case TMGR__APPLY_TICK:
		r = tmgr__tick(engine);
		return r != 0 ? r : forget_finished(engine);
	default:
		return apply_to_process(engine, command);
	}
}

int tmgr__engine_apply(struct tmgr__engine *engine, const struct tmgr__apply *command,
	struct tmgr__changes *changes)
{
	int r;

	if (engine->broken != 0)
		return engine->broken;
	if (command->now_ms > engine->now_ms)
		engine->now_ms = command->now_ms;
	engine->wall_ms = command->wall_ms;
	engine->changes = changes;
	r = apply(engine, command);
	tmgr__spare_release(engine, false);
	tmgr__channel_drop_unused(engine, NULL);
	if (changes->error != 0)
		engine->broken = changes->error;
	if (engine->broken == 0 && changes->count > changes->begun)
		tmgr__changes_end_step(changes, tmgr__engine_number(engine));
	if (changes->error != 0)
		engine->broken = changes->error;
	return engine->broken != 0 ? engine->broken : r;
}
