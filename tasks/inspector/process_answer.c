/*
 * Answers to requests about processes: what a line asks for is asked of the runtime, and what that
 * gives is written as records. The same for a program on the socket and for taskctl with a file.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "taskmgr/base/check.h"
#include "taskmgr/base/text.h"

#include "process_protocol.h"

#define LIST_MAX 1000

struct answer {
	struct tmgr_context *context;
	struct tmgr_processes *processes;
	const struct tmgr__process_ask *ask;
	const struct tmgr__process_out *out;
	struct tmgr_state_memory *memory; /* of the record that is being written */
	int64_t deadline;
	uint64_t sequence; /* up to which events were seen */
	size_t events;     /* written */
	int broken;        /* what out->line gave */
	char text[TMGR_PROCESS_TEXT_SIZE];
};

/* ---- Writing -------------------------------------------------------------------------------- */

/* What an earlier program has stored without looking is shown all the same. */
static int make_valid(struct answer *answer, const struct tmgr_state_table *state,
	struct tmgr__process_record *record)
{
	for (size_t i = 0; i < state->count; i++) {
		void *field = (char *)record + state->fields[i].offset;
		char *text, *valid;
		size_t size;

		if (state->fields[i].kind != TMGR_STATE_TEXT)
			continue;
		memcpy(&text, field, sizeof(text));
		if (!text)
			continue;
		size = 3 * strlen(text) + 1;
		valid = tmgr_state_take(answer->memory, size);
		if (!valid)
			return -ENOMEM;
		tmgr__text_copy_valid(valid, size, text);
		memcpy(field, &valid, sizeof(valid));
	}
	return 0;
}

static int emit(struct answer *answer, struct tmgr__process_record *record)
{
	const struct tmgr_state_table *state = tmgr__process_record_of(record->kind);
	const char *text = NULL;
	size_t size = 0;
	int r;

	tmgr_state_memory_clear(answer->memory);
	r = tmgr_state_encode(answer->memory, state, record, &text, &size);
	if (r == -EILSEQ) {
		r = make_valid(answer, state, record);
		if (r == 0)
			r = tmgr_state_encode(answer->memory, state, record, &text, &size);
	}
	if (r == 0)
		answer->broken = answer->out->line(answer->out->self, text, size);
	return r < 0 ? r : answer->broken;
}

static struct tmgr_state_bytes borrowed_bytes(struct tmgr_bytes bytes)
{
	static unsigned char none;

	return (struct tmgr_state_bytes){
		bytes.size > 0 ? (unsigned char *)(uintptr_t)bytes.data : &none, bytes.size
	};
}

static int emit_process(struct answer *answer, const struct tmgr_process_info *info)
{
	struct tmgr__process_record record = {
		.kind = tmgr__borrowed("process"),
		.id = tmgr__borrowed(info->id),
		.definition = tmgr__borrowed(info->definition),
		.version = info->version,
		.status = tmgr__borrowed(tmgr__process_status_word(info->status)),
		.cancelled = info->cancelled,
		.stuck = info->stuck,
		.error = info->error,
		.text = tmgr__borrowed(info->text),
		.revision = info->revision,
		.steps = info->steps,
		.created_ms = info->created_ms,
		.changed_ms = info->changed_ms,
		.has_result = info->has_result,
	};

	if (info->has_result)
		record.value = borrowed_bytes(info->result);
	return emit(answer, &record);
}

static int emit_wait(struct answer *answer, const struct tmgr_process_goroutine_info *goroutine,
	const struct tmgr_process_wait_info *wait)
{
	struct tmgr__process_record record = {
		.kind = tmgr__borrowed("wait"),
		.goroutine = tmgr__borrowed(goroutine->name),
		.index = wait->index,
		.status = tmgr__borrowed(tmgr__process_wait_word(wait->kind)),
		.target = tmgr__borrowed(wait->target),
		.method = tmgr__borrowed(wait->method),
		.at_ms = wait->at_ms,
		.why = tmgr__borrowed(wait->why),
	};

	return emit(answer, &record);
}

static int emit_goroutine(
	struct answer *answer, const struct tmgr_process_goroutine_info *goroutine)
{
	struct tmgr__process_record record = {
		.kind = tmgr__borrowed("goroutine"),
		.goroutine = tmgr__borrowed(goroutine->name),
		.status = tmgr__borrowed(tmgr__process_goroutine_word(goroutine->status)),
		.method = tmgr__borrowed(goroutine->method),
		.running = goroutine->running,
		.stuck = goroutine->stuck,
		.since_ms = goroutine->since_ms,
		.attempts = goroutine->attempts,
		.error = goroutine->error,
		.text = tmgr__borrowed(goroutine->text),
		.why = tmgr__borrowed(goroutine->why),
	};
	int r = emit(answer, &record);

	for (size_t i = 0; r == 0 && i < goroutine->wait_count; i++)
		r = emit_wait(answer, goroutine, &goroutine->waits[i]);
	return r;
}

/* A part of a state, with a NUL after it. */
static int emit_part(struct answer *answer, const char *text, size_t size)
{
	struct tmgr_state_memory *memory = NULL;
	struct tmgr__process_record record = { .kind = tmgr__borrowed("part") };
	int r = tmgr_state_memory_create(&memory);

	if (r < 0)
		return r;
	record.text = tmgr_state_copy(memory, text, size);
	r = record.text ? emit(answer, &record) : -ENOMEM;
	tmgr_state_memory_destroy(memory);
	return r;
}

/* In parts, since a line has a limit; each is whole UTF-8. */
static int emit_state(struct answer *answer, struct tmgr_bytes state)
{
	const char *at = state.data;
	size_t left = state.size;
	int r = 0;

	while (r == 0 && left > 0) {
		size_t size = left < TMGR__PROCESS_PART ? left : TMGR__PROCESS_PART;

		/* A character has four bytes at most. */
		for (int i = 0; i < 3 && size < left && ((unsigned char)at[size] & 0xc0) == 0x80;
			i++)
			size--;
		r = emit_part(answer, at, size);
		at += size;
		left -= size;
	}
	return r;
}

/* ---- Asking --------------------------------------------------------------------------------- */

/* The fields of a request that are those of a command. */
static struct tmgr_process_command command_of(
	const struct answer *answer, enum tmgr_process_command_kind kind)
{
	const struct tmgr__process_ask *ask = answer->ask;

	return (struct tmgr_process_command){
		.kind = kind,
		.id = ask->id,
		.channel = ask->channel,
		.value = { ask->value.data, ask->value.size },
		.key = ask->key,
		.goroutine = ask->goroutine,
		.method = ask->method,
		.text = ask->text,
		.revision = ask->revision,
	};
}

static int ask_for(struct answer *answer, const struct tmgr_process_command *command,
	struct tmgr_process_request **ret_request)
{
	return tmgr_processes_do(
		answer->context, answer->processes, command, answer->deadline, ret_request);
}

/* 0 where none is asked for. */
static int read_status(const struct tmgr__process_ask *ask, enum tmgr_process_status *ret_status)
{
	enum tmgr_process_status status = 0;

	if (ask->status) {
		status = tmgr__process_status_of(ask->status);
		if (status == 0)
			return -EINVAL;
	}
	*ret_status = status;
	return 0;
}

static int list(struct answer *answer)
{
	const struct tmgr__process_ask *ask = answer->ask;
	struct tmgr_process_command command = { .kind = TMGR_PROCESS_LIST };
	struct tmgr_process_request *request = NULL;
	const struct tmgr_process_info *infos;
	size_t count = 0;
	int r;

	command.filter.definition = ask->definition;
	command.filter.after = ask->after;
	command.filter.count_max = ask->max > 0 && ask->max < LIST_MAX ? ask->max : LIST_MAX;
	r = read_status(ask, &command.filter.status);
	if (r < 0)
		return r;
	r = ask_for(answer, &command, &request);
	infos = tmgr_process_request_infos(request, &count);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = emit_process(answer, &infos[i]);
	tmgr_process_request_release(request);
	return r;
}

static int get(struct answer *answer)
{
	struct tmgr_process_command command = command_of(answer, TMGR_PROCESS_GET);
	struct tmgr_process_request *request = NULL;
	const struct tmgr_process_info *info;
	int r = ask_for(answer, &command, &request);

	if (r < 0)
		return r;
	info = tmgr_process_request_infos(request, NULL);
	r = emit_process(answer, info);
	if (r == 0)
		r = emit_state(answer, info->state);
	for (size_t i = 0; r == 0 && i < info->goroutine_count; i++)
		r = emit_goroutine(answer, &info->goroutines[i]);
	tmgr_process_request_release(request);
	return r;
}

static int channels(struct answer *answer)
{
	struct tmgr_process_command command = command_of(answer, TMGR_PROCESS_CHANNELS);
	struct tmgr_process_request *request = NULL;
	const struct tmgr_process_channel_info *infos;
	size_t count = 0;
	int r = ask_for(answer, &command, &request);

	infos = tmgr_process_request_channels(request, &count);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = emit(answer, &(struct tmgr__process_record){
					 .kind = tmgr__borrowed("channel"),
					 .id = tmgr__borrowed(infos[i].id),
					 .capacity = infos[i].capacity,
					 .closed = infos[i].closed,
					 .buffered = infos[i].buffered,
					 .senders = infos[i].senders,
					 .receivers = infos[i].receivers,
				 });
	tmgr_process_request_release(request);
	return r;
}

static int start(struct answer *answer)
{
	const struct tmgr__process_ask *ask = answer->ask;
	const struct tmgr_process_definition *definition;
	struct tmgr_process_command command = { .kind = TMGR_PROCESS_START };
	struct tmgr_state_memory *memory = NULL;
	void *state = NULL;
	int r;

	if (!ask->definition || !ask->id)
		return -EINVAL;
	definition = tmgr_processes_definition(answer->processes, ask->definition);
	if (!definition) {
		tmgr__text_copy(answer->text, sizeof(answer->text),
			"the program has no definition of that name");
		return -ENOENT;
	}
	r = tmgr_state_memory_create(&memory);
	if (r < 0)
		return r;
	if (ask->state)
		r = tmgr_state_decode(
			memory, &definition->state, ask->state, strlen(ask->state), &state);
	if (r < 0)
		tmgr__text_copy(answer->text, sizeof(answer->text), tmgr_state_error(memory));
	command.child = (struct tmgr_process_child){ definition, ask->id, state };
	if (r == 0)
		r = ask_for(answer, &command, NULL);
	tmgr_state_memory_destroy(memory);
	return r;
}

/* Whether the definition of a process can read a state; where the program lacks it, any object will do. */
static int check_state(
	struct answer *answer, const struct tmgr_process_definition *definition, const char *state)
{
	static const struct tmgr_state_table any = { 0 };
	struct tmgr_state_memory *memory = NULL;
	void *ignored = NULL;
	int r = tmgr_state_memory_create(&memory);

	if (r < 0)
		return r;
	r = tmgr_state_decode(
		memory, definition ? &definition->state : &any, state, strlen(state), &ignored);
	if (r < 0)
		tmgr__text_copy(answer->text, sizeof(answer->text), tmgr_state_error(memory));
	tmgr_state_memory_destroy(memory);
	return r;
}

static int set(struct answer *answer)
{
	struct tmgr_process_command command = command_of(answer, TMGR_PROCESS_GET);
	struct tmgr_process_request *request = NULL;
	int r;

	if (!answer->ask->state)
		return -EINVAL;
	r = ask_for(answer, &command, &request);
	if (r == 0)
		r = check_state(answer,
			tmgr_processes_definition(answer->processes,
				tmgr_process_request_infos(request, NULL)->definition),
			answer->ask->state);
	tmgr_process_request_release(request);
	if (r < 0)
		return r;
	command.kind = TMGR_PROCESS_SET;
	command.value = (struct tmgr_bytes){ answer->ask->state, strlen(answer->ask->state) };
	return ask_for(answer, &command, NULL);
}

/* What was paused meanwhile does not go on because it had failed. */
static int resume(struct answer *answer)
{
	struct tmgr_process_command command = command_of(answer, TMGR_PROCESS_RESUME);
	int r = read_status(answer->ask, &command.filter.status);

	if (r == 0)
		r = ask_for(answer, &command, NULL);
	if (r == -ESTALE)
		tmgr__text_copy(answer->text, sizeof(answer->text),
			"the process has another status: look at it again");
	return r;
}

/* ---- Events --------------------------------------------------------------------------------- */

static int visit_event(void *self, const struct tmgr_process_event *event)
{
	struct answer *answer = self;

	answer->sequence = event->sequence;
	answer->events++;
	return emit(answer, &(struct tmgr__process_record){
				    .kind = tmgr__borrowed("event"),
				    .sequence = event->sequence,
				    .at_ms = event->at_ms,
				    .status = tmgr__borrowed(tmgr__process_event_word(event->kind)),
				    .error = event->error,
				    .process = tmgr__borrowed(event->process),
				    .goroutine = tmgr__borrowed(event->goroutine),
				    .method = tmgr__borrowed(event->method),
				    .text = tmgr__borrowed(event->text),
			    });
}

/*
 * What a follower has seen goes up to what is durable, and not to the last event that came: others may
 * have later ones, and not each step has one. It would not wait for anything else.
 */
static int read_events(struct answer *answer, const struct tmgr_store_query *query)
{
	struct tmgr_processes_stats stats = { .sequence = 0 };
	int r = answer->ask->follow ? tmgr_processes_stats(answer->processes, &stats) : 0;

	if (r == 0)
		r = tmgr_processes_events(answer->processes, query, visit_event, answer);
	if (r == 0 && answer->events < query->count_max && answer->sequence < stats.sequence)
		answer->sequence = stats.sequence;
	return r;
}

/* A follower asks again with the sequence of the end, so a wait may well come to nothing. */
static int events(struct answer *answer)
{
	const struct tmgr__process_ask *ask = answer->ask;
	struct tmgr_store_query query = {
		.after = ask->sequence,
		.process = ask->id,
		.count_max = ask->max > 0 && ask->max < LIST_MAX ? ask->max : LIST_MAX,
	};
	int r;

	answer->sequence = ask->sequence;
	r = read_events(answer, &query);
	if (r < 0 || !ask->follow || answer->events > 0)
		return r;
	query.after = answer->sequence;
	r = tmgr_processes_follow(
		answer->context, answer->processes, answer->sequence, answer->deadline);
	if (r == -ETIMEDOUT)
		return 0;
	return r < 0 ? r : read_events(answer, &query);
}

/* It takes as long as there is to be copied. An error is about where it goes. */
static int backup(struct answer *answer)
{
	struct tmgr_process_command command = command_of(answer, TMGR_PROCESS_BACKUP);
	struct tmgr__text out;
	int r;

	answer->deadline = TMGR_NEVER;
	r = ask_for(answer, &command, NULL);
	if (r == -EAGAIN)
		tmgr__text_copy(answer->text, sizeof(answer->text),
			"there is no thread for it now: try again later");
	if (r == -ENOENT || r == -ENOSPC) {
		tmgr__text_init(&out, answer->text, sizeof(answer->text));
		tmgr__text_add(&out, answer->ask->text);
		tmgr__text_add(&out, ": ");
		tmgr__text_add(&out, tmgr_strerror(r));
	}
	return r;
}

/* ---- Verbs ---------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int (*answer)(struct answer *answer); /* or: */
	enum tmgr_process_command_kind kind;  /* a command without an answer */
} verbs[] = {
	{ .name = "list", .answer = list },
	{ .name = "get", .answer = get },
	{ .name = "channels", .answer = channels },
	{ .name = "start", .answer = start },
	{ .name = "set", .answer = set },
	{ .name = "resume", .answer = resume },
	{ .name = "events", .answer = events },
	{ .name = "backup", .answer = backup },
	{ .name = "send", .kind = TMGR_PROCESS_SEND },
	{ .name = "close", .kind = TMGR_PROCESS_CLOSE },
	{ .name = "cancel", .kind = TMGR_PROCESS_CANCEL },
	{ .name = "pause", .kind = TMGR_PROCESS_PAUSE },
	{ .name = "goto", .kind = TMGR_PROCESS_GOTO },
	{ .name = "checkpoint", .kind = TMGR_PROCESS_CHECKPOINT },
};

static int obey(struct answer *answer)
{
	for (size_t i = 0; answer->ask->ask && i < ARRAY_SIZE(verbs); i++) {
		struct tmgr_process_command command;

		if (strcmp(verbs[i].name, answer->ask->ask) != 0)
			continue;
		if (verbs[i].answer)
			return verbs[i].answer(answer);
		command = command_of(answer, verbs[i].kind);
		return ask_for(answer, &command, NULL);
	}
	tmgr__text_copy(answer->text, sizeof(answer->text), "there is no such request");
	return -EOPNOTSUPP;
}

/* What an error means for a person who asked. */
static const struct {
	int error;
	const char *text;
} meanings[] = {
	{ -ENOENT, "there is no such process, channel, goroutine or method" },
	{ -EEXIST, "it is there already" },
	{ -EALREADY, "it is so already" },
	{ -ESRCH, "the process is over" },
	{ -ESTALE, "the state has another revision: look at it again" },
	{ -EBUSY, "its method is being called at this moment: try again" },
	{ -EPIPE, "the channel is closed, or its process over" },
	{ -EAGAIN, "too many messages stand in the channel's line" },
	{ -EINVAL, "an id, a name or a value is missing, too long, or has what it may not have" },
	{ -ENOSPC, "the store is full" },
	{ -ETIMEDOUT, "it takes long; it may happen all the same" },
	{ -ESHUTDOWN, "the runtime is being stopped" },
	{ -ECANCELED, "the daemon is being stopped; it may happen all the same" },
	{ -EIO, "the store has ended with an error, or a copy of it has failed" },
};

/* Nothing is answered then, and only the store knows why. */
static void say_no_room(struct answer *answer)
{
	struct tmgr_processes_stats stats;
	struct tmgr__text out;

	if (tmgr_processes_stats(answer->processes, &stats) < 0 || stats.store.error != -ENOSPC)
		return;
	tmgr__text_init(&out, answer->text, sizeof(answer->text));
	tmgr__text_add(&out, "steps are held until there is room: ");
	tmgr__text_add(&out, stats.store.text);
}

static int end(struct answer *answer, int error)
{
	struct tmgr__process_record record = {
		.kind = tmgr__borrowed("end"),
		.error = error,
		.text = answer->text,
		.sequence = answer->sequence,
	};

	if (error == -ETIMEDOUT && !answer->text[0])
		say_no_room(answer);
	for (size_t i = 0; error < 0 && !answer->text[0] && i < ARRAY_SIZE(meanings); i++)
		if (meanings[i].error == error)
			record.text = tmgr__borrowed(meanings[i].text);
	if (error < 0 && !record.text[0])
		record.text = tmgr__borrowed(tmgr_strerror(error));
	return emit(answer, &record);
}

static int answer_with(
	struct answer *answer, struct tmgr_state_memory *request, const char *line, size_t size)
{
	void *ask = NULL;
	int r = tmgr_state_decode(request, &tmgr__process_ask_state, line, size, &ask);

	answer->ask = ask;
	if (r < 0)
		tmgr__text_copy(answer->text, sizeof(answer->text), tmgr_state_error(request));
	else
		r = obey(answer);
	return answer->broken < 0 ? answer->broken : end(answer, r);
}

int tmgr__process_answer(struct tmgr_context *context, struct tmgr_processes *processes,
	const char *line, size_t size, const struct tmgr__process_out *out)
{
	struct answer answer = { .context = context,
		.processes = processes,
		.out = out,
		.deadline = tmgr_after(out->request_ns) };
	struct tmgr_state_memory *request = NULL;
	int r = tmgr_state_memory_create(&request);

	if (r == 0)
		r = tmgr_state_memory_create(&answer.memory);
	if (r == 0)
		r = answer_with(&answer, request, line, size);
	tmgr_state_memory_destroy(answer.memory);
	tmgr_state_memory_destroy(request);
	return r;
}
