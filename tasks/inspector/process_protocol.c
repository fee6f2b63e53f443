#include "process_protocol.h"

#include <string.h>

#include "taskmgr/base/check.h"

#define FIELD(member) TMGR_FIELD(struct tmgr__process_record, member)
#define RECORD(array) TMGR_STATE(struct tmgr__process_record, array)

static const struct tmgr_state_field ask_fields[] = {
	TMGR_FIELD(struct tmgr__process_ask, ask),
	TMGR_FIELD(struct tmgr__process_ask, id),
	TMGR_FIELD(struct tmgr__process_ask, definition),
	TMGR_FIELD(struct tmgr__process_ask, status),
	TMGR_FIELD(struct tmgr__process_ask, after),
	TMGR_FIELD(struct tmgr__process_ask, channel),
	TMGR_FIELD(struct tmgr__process_ask, key),
	TMGR_FIELD(struct tmgr__process_ask, goroutine),
	TMGR_FIELD(struct tmgr__process_ask, method),
	TMGR_FIELD(struct tmgr__process_ask, text),
	TMGR_FIELD(struct tmgr__process_ask, state),
	TMGR_FIELD(struct tmgr__process_ask, value),
	TMGR_FIELD(struct tmgr__process_ask, revision),
	TMGR_FIELD(struct tmgr__process_ask, sequence),
	TMGR_FIELD(struct tmgr__process_ask, max),
	TMGR_FIELD(struct tmgr__process_ask, follow),
};
const struct tmgr_state_table tmgr__process_ask_state = TMGR_STATE(
	struct tmgr__process_ask, ask_fields);

static const struct tmgr_state_field record_fields[] = {
	FIELD(kind),
	FIELD(id),
	FIELD(definition),
	FIELD(status),
	FIELD(text),
	FIELD(why),
	FIELD(process),
	FIELD(goroutine),
	FIELD(method),
	FIELD(target),
	FIELD(value),
	FIELD(revision),
	FIELD(steps),
	FIELD(sequence),
	FIELD(created_ms),
	FIELD(changed_ms),
	FIELD(since_ms),
	FIELD(at_ms),
	FIELD(buffered),
	FIELD(senders),
	FIELD(receivers),
	FIELD(version),
	FIELD(index),
	FIELD(attempts),
	FIELD(capacity),
	FIELD(error),
	FIELD(cancelled),
	FIELD(has_result),
	FIELD(running),
	FIELD(stuck),
	FIELD(closed),
};
const struct tmgr_state_table tmgr__process_record_state = RECORD(record_fields);

static const struct tmgr_state_field process_fields[] = {
	FIELD(kind),
	FIELD(id),
	FIELD(definition),
	FIELD(version),
	FIELD(status),
	FIELD(cancelled),
	FIELD(error),
	FIELD(text),
	FIELD(revision),
	FIELD(steps),
	FIELD(created_ms),
	FIELD(changed_ms),
	FIELD(has_result),
	FIELD(value),
};

static const struct tmgr_state_field goroutine_fields[] = {
	FIELD(kind),
	FIELD(goroutine),
	FIELD(status),
	FIELD(method),
	FIELD(running),
	FIELD(stuck),
	FIELD(since_ms),
	FIELD(attempts),
	FIELD(error),
	FIELD(text),
	FIELD(why),
};

static const struct tmgr_state_field wait_fields[] = {
	FIELD(kind),
	FIELD(goroutine),
	FIELD(index),
	FIELD(status),
	FIELD(target),
	FIELD(method),
	FIELD(at_ms),
	FIELD(why),
};

static const struct tmgr_state_field channel_fields[] = {
	FIELD(kind),
	FIELD(id),
	FIELD(capacity),
	FIELD(closed),
	FIELD(buffered),
	FIELD(senders),
	FIELD(receivers),
};

static const struct tmgr_state_field event_fields[] = {
	FIELD(kind),
	FIELD(sequence),
	FIELD(at_ms),
	FIELD(status),
	FIELD(error),
	FIELD(process),
	FIELD(goroutine),
	FIELD(method),
	FIELD(text),
};

/* A part of a state, in order. */
static const struct tmgr_state_field part_fields[] = {
	FIELD(kind),
	FIELD(text),
};

static const struct tmgr_state_field value_fields[] = {
	FIELD(kind),
	FIELD(value),
};

static const struct tmgr_state_field end_fields[] = {
	FIELD(kind),
	FIELD(error),
	FIELD(text),
	FIELD(sequence),
};

static const struct {
	const char *kind;
	struct tmgr_state_table state;
} kinds[] = {
	{ "process", RECORD(process_fields) },
	{ "goroutine", RECORD(goroutine_fields) },
	{ "wait", RECORD(wait_fields) },
	{ "channel", RECORD(channel_fields) },
	{ "event", RECORD(event_fields) },
	{ "part", RECORD(part_fields) },
	{ "value", RECORD(value_fields) },
	{ "end", RECORD(end_fields) },
};

const struct tmgr_state_table *tmgr__process_record_of(const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].kind, kind) == 0)
			return &kinds[i].state;
	return NULL;
}

/* ---- Words ---------------------------------------------------------------------------------- */

static const char *const status_words[] = {
	[TMGR_PROCESS_ACTIVE] = "active",
	[TMGR_PROCESS_PAUSED] = "paused",
	[TMGR_PROCESS_FAILED] = "failed",
	[TMGR_PROCESS_FINISHED] = "finished",
	[TMGR_PROCESS_CANCELLED] = "cancelled",
};

static const char *const goroutine_words[] = {
	[TMGR_GOROUTINE_READY] = "ready",
	[TMGR_GOROUTINE_BLOCKED] = "blocked",
	[TMGR_GOROUTINE_PAUSED] = "paused",
	[TMGR_GOROUTINE_FAILED] = "failed",
};

static const char *const wait_words[] = {
	[TMGR_PROCESS_WAIT_SEND] = "send",
	[TMGR_PROCESS_WAIT_RECEIVE] = "receive",
	[TMGR_PROCESS_WAIT_AFTER] = "after",
	[TMGR_PROCESS_WAIT_AT] = "at",
	[TMGR_PROCESS_WAIT_CALL] = "call",
};

static const char *const event_words[] = {
	[TMGR_PROCESS_EVENT_STARTED] = "started",
	[TMGR_PROCESS_EVENT_STEP] = "step",
	[TMGR_PROCESS_EVENT_RETRY] = "retry",
	[TMGR_PROCESS_EVENT_FAILED] = "failed",
	[TMGR_PROCESS_EVENT_STUCK] = "stuck",
	[TMGR_PROCESS_EVENT_LATE] = "late",
	[TMGR_PROCESS_EVENT_PAUSED] = "paused",
	[TMGR_PROCESS_EVENT_RESUMED] = "resumed",
	[TMGR_PROCESS_EVENT_CANCEL] = "cancel",
	[TMGR_PROCESS_EVENT_FINISHED] = "finished",
	[TMGR_PROCESS_EVENT_NO_RESULT] = "no-result",
	[TMGR_PROCESS_EVENT_CANCELLED] = "cancelled",
	[TMGR_PROCESS_EVENT_SENT] = "sent",
	[TMGR_PROCESS_EVENT_CLOSED] = "closed",
	[TMGR_PROCESS_EVENT_CHANGED] = "changed",
	[TMGR_PROCESS_EVENT_UPGRADED] = "upgraded",
	[TMGR_PROCESS_EVENT_LOG] = "log",
};

static const char *word_of(const char *const *words, size_t count, size_t number)
{
	return number < count && words[number] ? words[number] : "?";
}

const char *tmgr__process_status_word(enum tmgr_process_status status)
{
	return word_of(status_words, ARRAY_SIZE(status_words), (size_t)status);
}

const char *tmgr__process_goroutine_word(enum tmgr_goroutine_status status)
{
	return word_of(goroutine_words, ARRAY_SIZE(goroutine_words), (size_t)status);
}

const char *tmgr__process_wait_word(enum tmgr_process_wait_kind kind)
{
	return word_of(wait_words, ARRAY_SIZE(wait_words), (size_t)kind);
}

const char *tmgr__process_event_word(enum tmgr_process_event_kind kind)
{
	return word_of(event_words, ARRAY_SIZE(event_words), (size_t)kind);
}

enum tmgr_process_status tmgr__process_status_of(const char *word)
{
	for (size_t i = 1; i < ARRAY_SIZE(status_words); i++)
		if (strcmp(status_words[i], word) == 0)
			return (enum tmgr_process_status)i;
	return 0;
}
