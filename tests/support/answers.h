/*
 * Requests about processes, line by line as a client sends them, to a runtime with one thread and a
 * virtual clock; and what is answered.
 */
#ifndef TESTS_SUPPORT_ANSWERS_H
#define TESTS_SUPPORT_ANSWERS_H

#include "tasks/inspector/process_protocol.h"
#include "tests/support/durable.h"

/* ---- Who is asked about ---------------------------------------------------------------------- */

struct asked_state {
	char *name;
	int64_t number;
};

/* Has a goroutine for each kind of wait, called by it: Send, Receive, After, At, Call (of "child") and Two. */
extern const struct tmgr_process_definition asked_waiter;
/* Fails twice if it is to fail, or waits for its channel "never". */
extern const struct tmgr_process_definition asked_failing;
extern bool asked_fail;
/* Both, NULL at the end. */
extern const struct tmgr_process_definition *const asked[];

/* ---- Asking ---------------------------------------------------------------------------------- */

#define ANSWERS_MAX 64

struct answers {
	struct tmgr_state_memory *memory[ANSWERS_MAX];
	struct tmgr__process_record *records[ANSWERS_MAX];
	size_t count, refuse_at; /* the line that is not taken, from 1; 0: none */
};

/* Both drop the answers before; what answering gave; and the error of the end. */
int answers_ask_line(
	struct durable *durable, struct answers *answers, const char *line, size_t size);
int answers_ask(struct durable *durable, struct answers *answers, const char *line);
void answers_drop(struct answers *answers);

/* The text of the end. */
const char *answers_text(const struct answers *answers);

/* The first record of a kind, of any goroutine (NULL) or of this; fails the test where there is none. */
const struct tmgr__process_record *answers_record(
	const struct answers *answers, const char *kind, const char *goroutine);

#endif
