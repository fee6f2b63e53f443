/*
 * How much memory a command may need, at most; and having it there before the command does anything. It is
 * counted along what applying would do: each row that may be written, each object that may be made, each
 * copy of what is the user's. What a command does to others (closing a channel, the end of a process) is
 * one step deep: whoever it wakes only becomes ready.
 */
#include <errno.h>
#include <string.h>

#include "tasks/process/engine_inside.h"

/* The texts of one row: of a goroutine, who has the most. */
#define ROW_BYTES                                                                            \
	(TMGR_PROCESS_ID_MAX + 1 + TMGR_PROCESS_NAME_MAX + 1 + TMGR_PROCESS_METHOD_MAX + 1 + \
		TMGR_PROCESS_TEXT_SIZE + TMGR_PROCESS_CHANNEL_MAX + 1)

struct need {
	struct tmgr__engine *engine;
	size_t objects, rows, bytes;
	size_t after, at; /* timers */
	int error;
};

static void add_rows(struct need *need, size_t count)
{
	need->rows += count;
	need->bytes += count * ROW_BYTES;
}

static void add_blob(struct need *need, size_t size)
{
	if (need->error == 0)
		need->error = tmgr__prepare_blob(need->engine, size);
}

static size_t size_of(const struct tmgr__blob *blob)
{
	return blob != NULL ? blob->size : 0;
}

static size_t result_size(const struct tmgr__eprocess *process)
{
	return process->ending != NULL ? size_of(process->ending->result) : 0;
}

/* What a goroutine that is not blocked goes on with. */
static size_t arrival_size(const struct tmgr__goroutine *goroutine)
{
	if (goroutine->status == TMGR_GOROUTINE_BLOCKED || goroutine->what.arrival == NULL)
		return 0;
	return size_of(goroutine->what.arrival->value);
}

/* Its row, and what it may have for the first time: how it ends. */
static void put_process(struct need *need, const struct tmgr__eprocess *process, size_t state)
{
	size_t own = size_of(process->state);

	need->objects++;
	add_rows(need, 1);
	need->bytes += (state > own ? state : own) + result_size(process);
}

/* An arrival, and trouble where this program lacks the method. */
static void wake(struct need *need, size_t value)
{
	need->objects += 2;
	add_rows(need, 3);
	need->bytes += value;
}

static void close_line(struct need *need, const struct tmgr__channel *channel)
{
	for (const struct tmgr__list *link = channel->line.next; link != &channel->line;
		link = link->next) {
		if (container_of(link, struct tmgr__wait, link)->goroutine != NULL)
			wake(need, 0);
		else
			add_rows(need, 1);
	}
}

static void end_goroutines(struct need *need, const struct tmgr__eprocess *process)
{
	for (const struct tmgr__goroutine *goroutine = process->goroutines; goroutine != NULL;
		goroutine = goroutine->next)
		add_rows(need, 3);
}

static void end_process(
	struct need *need, const struct tmgr__eprocess *process, size_t state, size_t result)
{
	const struct tmgr__list *link;

	put_process(need, process, state);
	need->bytes += result;
	add_rows(need, 2);
	end_goroutines(need, process);
	for (const struct tmgr__channel *channel = process->channels; channel != NULL;
		channel = channel->next) {
		add_rows(need, 1);
		close_line(need, channel);
	}
	if (process->ending == NULL)
		return;
	tmgr__list_for (link, &process->ending->callers) {
		wake(need, result);
		add_blob(need, result);
	}
}

static void cancel(struct need *need, const struct tmgr__eprocess *process, size_t state)
{
	const struct tmgr_process_definition *user = process->definition->user;

	add_rows(need, 1);
	put_process(need, process, state);
	if (user == NULL)
		return;
	if (user->cancel == NULL) {
		end_process(need, process, state, result_size(process));
		return;
	}
	end_goroutines(need, process);
	put_process(need, process, state);
	need->objects++;
	wake(need, 0);
}

/* ---- A step ---------------------------------------------------------------------------------- */

static void fail(struct need *need, const struct tmgr__goroutine *goroutine)
{
	need->objects += 2;
	need->after++;
	add_rows(need, 3);
	need->bytes += arrival_size(goroutine);
	put_process(need, goroutine->process, 0);
}

/* One that is not there yet is started by an action before this one, if at all. */
static void kill_process(
	struct need *need, const struct tmgr__apply *command, const struct tmgr__action *action)
{
	const struct tmgr__eprocess *process = tmgr__engine_process(need->engine, action->name);

	if (process != NULL && !tmgr__process_is_over(process)) {
		cancel(need, process, process == command->process ? command->deed->state.size : 0);
		return;
	}
	for (const struct tmgr__action *before = command->deed->actions;
		process == NULL && before != action; before = before->next) {
		if (before->kind != TMGR__SPAWN || strcmp(before->name, action->name) != 0)
			continue;
		need->objects += 5;
		add_rows(need, 9);
		need->bytes += 3 * before->value.size;
	}
}

static void close_channel(struct need *need, const char *id)
{
	const struct tmgr__channel *channel = tmgr__engine_channel(need->engine, id);

	need->objects++;
	add_rows(need, 1);
	if (channel != NULL)
		close_line(need, channel);
}

/* A channel, and a receiver who goes on, or a place in the buffer or in the line; and that it is dropped again. */
static void post(struct need *need, size_t value)
{
	need->objects += 2;
	wake(need, 2 * value);
	add_rows(need, 1);
	add_blob(need, value);
}

static void act(
	struct need *need, const struct tmgr__apply *command, const struct tmgr__action *action)
{
	switch (action->kind) {
	case TMGR__GO:
		need->objects += 2;
		add_rows(need, 5);
		break;
	case TMGR__SPAWN:
		need->objects += 4;
		add_rows(need, 4);
		need->bytes += action->value.size;
		add_blob(need, action->value.size);
		break;
	case TMGR__POST:
		post(need, action->value.size);
		break;
	case TMGR__CHANNEL:
		need->objects += 2;
		add_rows(need, 2);
		break;
	case TMGR__CLOSE:
		close_channel(need, action->name);
		break;
	case TMGR__KILL:
		kill_process(need, command, action);
		break;
	case TMGR__LOG:
		add_rows(need, 1);
		need->bytes += strlen(action->name);
		break;
	}
}

/* A message that is there moves; who waits longest to send refills the buffer. */
static void receive(struct need *need, const char *id)
{
	const struct tmgr__channel *channel = tmgr__engine_channel(need->engine, id);

	wake(need, 0);
	if (channel == NULL)
		return;
	if (channel->buffer != NULL && channel->buffer->first != NULL)
		need->bytes += size_of(channel->buffer->first->value);
	for (const struct tmgr__list *link = channel->line.next; link != &channel->line;
		link = link->next) {
		const struct tmgr__wait *wait = container_of(link, struct tmgr__wait, link);

		if (wait->kind != TMGR_PROCESS_WAIT_SEND)
			continue;
		need->bytes += size_of(wait->value);
		break;
	}
}

static void call(struct need *need, const char *id)
{
	const struct tmgr__eprocess *callee = tmgr__engine_process(need->engine, id);

	if (callee == NULL || result_size(callee) == 0)
		return;
	need->bytes += result_size(callee);
	add_blob(need, result_size(callee));
}

static void wait_for(struct need *need, const struct tmgr__case *one)
{
	need->objects += 2;
	add_rows(need, 2);
	switch (one->kind) {
	case TMGR_PROCESS_WAIT_SEND:
		wake(need, 2 * one->value.size);
		add_blob(need, one->value.size);
		break;
	case TMGR_PROCESS_WAIT_RECEIVE:
		receive(need, one->target);
		break;
	case TMGR_PROCESS_WAIT_CALL:
		call(need, one->target);
		break;
	case TMGR_PROCESS_WAIT_AFTER:
		need->after++;
		break;
	case TMGR_PROCESS_WAIT_AT:
		need->at++;
		break;
	default:
		break;
	}
}

/* Its waits, or its end, and with the last the process's. */
static void go_on(
	struct need *need, const struct tmgr__goroutine *goroutine, const struct tmgr__deed *deed)
{
	const struct tmgr__eprocess *process = goroutine->process;

	for (size_t i = 0; i < deed->case_count; i++)
		wait_for(need, &deed->cases[i]);
	if (deed->case_count > 0 && need->error == 0)
		need->error = tmgr__prepare(
			need->engine, deed->case_count * sizeof(struct tmgr__wait));
	wake(need, 0);
	put_process(need, process, deed->state.size);
	if (deed->case_count == 0 && process->goroutines == goroutine && goroutine->next == NULL)
		end_process(need, process, deed->state.size, 0);
}

static void take(struct need *need, const struct tmgr__apply *command)
{
	const struct tmgr__eprocess *process = command->process;
	const struct tmgr__deed *deed = command->deed;

	add_rows(need, 3);
	add_blob(need, deed->state.size);
	for (const struct tmgr__action *action = deed->actions; action != NULL;
		action = action->next)
		act(need, command, action);
	if (deed->finish) {
		add_blob(need, deed->value.size);
		end_process(need, process, deed->state.size, deed->value.size);
	} else {
		go_on(need, process->running, deed);
	}
}

static size_t more(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* One that cannot be taken fails instead. */
static void step(struct need *need, const struct tmgr__apply *command)
{
	const struct tmgr__eprocess *process = command->process;
	const struct tmgr__deed *deed = command->deed;
	struct need failing = { .engine = need->engine };

	if (!deed->late && !deed->given_up && !deed->unreadable && deed->result == 0)
		take(need, command);
	fail(&failing, process->running);
	need->objects = more(need->objects, failing.objects);
	need->rows = more(need->rows, failing.rows);
	need->bytes = more(need->bytes, failing.bytes);
	need->after = more(need->after, failing.after);
	if (process->cancelled && !process->cancelling)
		cancel(need, process, deed->state.size);
}

/* ---- Other commands -------------------------------------------------------------------------- */

static void of_process(struct need *need, const struct tmgr__apply *command)
{
	const struct tmgr__eprocess *process = tmgr__engine_process(need->engine, command->id);

	if (process == NULL || tmgr__process_is_over(process))
		return;
	put_process(need, process, command->value.size);
	add_rows(need, 1);
	if (command->kind == TMGR__APPLY_CANCEL && !process->cancelled)
		cancel(need, process, 0);
	if (command->kind == TMGR__APPLY_SET)
		add_blob(need, command->value.size);
	if (command->kind == TMGR__APPLY_GOTO) {
		need->objects++;
		wake(need, 0);
		add_rows(need, 1);
	}
	if (command->kind != TMGR__APPLY_RESUME)
		return;
	for (const struct tmgr__goroutine *goroutine = process->goroutines; goroutine != NULL;
		goroutine = goroutine->next) {
		if (goroutine->trouble == NULL)
			continue;
		add_rows(need, 2);
		need->bytes += arrival_size(goroutine);
	}
}

static void start(struct need *need, size_t state)
{
	need->objects += 3;
	add_rows(need, 4);
	need->bytes += state;
	add_blob(need, state);
}

static void send(struct need *need, const struct tmgr__apply *command)
{
	need->objects += 2;
	add_rows(need, 2);
	post(need, command->value.size);
}

static void count(struct need *need, const struct tmgr__apply *command)
{
	switch (command->kind) {
	case TMGR__APPLY_START:
		start(need, command->value.size);
		break;
	case TMGR__APPLY_STEP:
		step(need, command);
		break;
	case TMGR__APPLY_ONCE:
		need->objects += 2;
		add_rows(need, 1);
		need->bytes += command->value.size;
		add_blob(need, command->value.size);
		break;
	case TMGR__APPLY_SEND:
		send(need, command);
		break;
	case TMGR__APPLY_CLOSE:
		add_rows(need, 1);
		close_channel(need, command->id);
		break;
	case TMGR__APPLY_STUCK:
	case TMGR__APPLY_CHANNEL_CREATE:
	case TMGR__APPLY_CHANNEL_DELETE:
		need->objects += 2;
		add_rows(need, 1);
		break;
	case TMGR__APPLY_TICK:
		break;
	default:
		of_process(need, command);
	}
}

int tmgr__engine_reserve(struct tmgr__engine *engine, const struct tmgr__apply *command)
{
	struct need need = { .engine = engine };
	int r;

	count(&need, command);
	r = need.error;
	if (r == 0)
		r = tmgr__spare_reserve(engine, need.objects);
	if (r == 0)
		r = tmgr__timers_reserve(engine, need.after, need.at);
	return r != 0 ? r : tmgr__changes_reserve(engine->changes, need.rows, need.bytes);
}

int tmgr__reserve_one(struct tmgr__engine *engine)
{
	struct need need = { .engine = engine };
	int r;

	wake(&need, 0);
	r = tmgr__spare_reserve(engine, need.objects);
	return r != 0 ? r : tmgr__changes_reserve(engine->changes, need.rows, need.bytes);
}
