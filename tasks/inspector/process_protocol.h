/*
 * What taskctl and a daemon say to each other about processes: lines of JSON. A request is one line, an
 * answer is some records and one of kind "end". The tables say which fields each has.
 */
#ifndef TMGR__PROCESS_PROTOCOL_H
#define TMGR__PROCESS_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/tasks/process_runtime.h>

/* Most bytes of a line: as of a document. */
#define TMGR__PROCESS_LINE_MAX TMGR_STATE_SIZE_MAX
/* Bytes of a state that one record carries. */
#define TMGR__PROCESS_PART 65536

/* Structs that are decoded have texts of their own; those that are encoded are only read. */
static inline char *tmgr__borrowed(const char *text)
{
	return (char *)(uintptr_t)text;
}

/* A request; the fields that its verb needs. */
struct tmgr__process_ask {
	char *ask; /* the verb: "list", "get", ... */
	char *id, *definition, *status, *after;
	char *channel, *key, *goroutine, *method, *text;
	char *state; /* JSON */
	struct tmgr_state_bytes value;
	uint64_t revision, sequence;
	uint32_t max;
	bool follow; /* wait for events above sequence */
};

/* A record of an answer; the fields that its kind has. */
struct tmgr__process_record {
	char *kind;
	char *id, *definition, *status, *text, *why;
	char *process, *goroutine, *method, *target;
	struct tmgr_state_bytes value;
	uint64_t revision, steps, sequence;
	int64_t created_ms, changed_ms, since_ms, at_ms;
	uint64_t buffered, senders, receivers;
	uint32_t version, index, attempts, capacity;
	int error;
	bool cancelled, has_result, running, stuck, closed;
};

extern const struct tmgr_state_table tmgr__process_ask_state;
/* Of all fields: for reading. */
extern const struct tmgr_state_table tmgr__process_record_state;
/* Of the fields of a kind: for writing. NULL: there is no such kind. */
const struct tmgr_state_table *tmgr__process_record_of(const char *kind);

/* Words for numbers; "?" for one that is unknown. */
const char *tmgr__process_status_word(enum tmgr_process_status status);
const char *tmgr__process_goroutine_word(enum tmgr_goroutine_status status);
const char *tmgr__process_wait_word(enum tmgr_process_wait_kind kind);
const char *tmgr__process_event_word(enum tmgr_process_event_kind kind);
/* 0 for one that is none. */
enum tmgr_process_status tmgr__process_status_of(const char *word);

/* Where the lines of an answer go. */
struct tmgr__process_out {
	/* A line, without its newline; 0, or an error, which ends the answer. */
	int (*line)(void *self, const char *text, size_t size);
	void *self;
	int64_t request_ns; /* how long a request may take */
};

/*
 * Do what a line asks, and write the answer. 0 when an answer was written, be it an error's; else what
 * out->line gave, or -ENOMEM.
 */
int tmgr__process_answer(struct tmgr_context *context, struct tmgr_processes *processes,
	const char *line, size_t size, const struct tmgr__process_out *out);

#endif
