/*
 * A daemon: a manager on a thread with the runtime of durable processes, on a store in memory, and
 * workers; and the next program, which goes on with what it stored.
 */
#ifndef TESTS_SUPPORT_DAEMON_H
#define TESTS_SUPPORT_DAEMON_H

#include <stdatomic.h>

#include <taskmgr/tasks/process_runtime.h>

#include "tests/support/latch.h"
#include "tests/support/recorder.h"

#define DAEMON_SOON tmgr_after(30 * TMGR_SECOND)

struct daemon {
	struct tmgr_processes *processes;
	struct tmgr_store *store;
	struct tmgr_manager *manager;
	struct runner runner;
};

/* ---- From begin to end ----------------------------------------------------------------------- */

/* Start one on an empty store; the second with one more definition; the third on this store, which is taken. */
void daemon_begin(struct daemon *daemon, size_t workers);
void daemon_begin_with(
	struct daemon *daemon, const struct tmgr_process_definition *definition, size_t workers);
void daemon_begin_on(struct daemon *daemon, struct tmgr_store *store, size_t workers);

/* In two steps, for workers of the test's own. */
void daemon_make(struct daemon *daemon, struct tmgr_store *store);
void daemon_start(struct daemon *daemon);

/* What run gave; and release one that has stopped. */
int daemon_stop(struct daemon *daemon);
void daemon_release(struct daemon *daemon);
/* Both, where nothing failed. */
void daemon_end(struct daemon *daemon);
/* Release one that has stopped and begin the next program, with one worker, on what it left. */
void daemon_next(struct daemon *daemon);

/* ---- What it is asked ------------------------------------------------------------------------ */

int daemon_start_process(
	struct daemon *daemon, const struct tmgr_process_definition *definition, const char *id);
/* Wait for the end of one, and compare its result. */
void daemon_expect_result(struct daemon *daemon, const char *id, const char *wanted);
/* Ask for something, and the answer to it, which releases what was returned. */
struct tmgr_process_request *daemon_submit(
	struct daemon *daemon, const struct tmgr_process_command *command);
int daemon_answer(struct tmgr_process_request *request);
/* How many events of a kind there are. */
size_t daemon_events(struct daemon *daemon, enum tmgr_process_event_kind kind);

/* ---- The definitions of each ----------------------------------------------------------------- */

/* Adds `left` numbers that are sent, and gives the sum. */
struct sum {
	int64_t total, left;
};

extern const struct tmgr_state_field sum_fields[2];
extern const struct tmgr_process_definition sum_definition;

int daemon_start_sum(struct daemon *daemon, const char *id, int64_t left);
int daemon_send_number(
	struct tmgr_context *context, struct tmgr_processes *processes, const char *id, int number);

/*
 * Held in its method until the latch is opened, where its result is "first"; or, if it obeys, until
 * it is cancelled. Called again, its result is "again".
 */
extern const struct tmgr_process_definition held_definition;
tmgr_method held_wait;
extern struct latch held_latch;
extern atomic_int held_calls;

/* Nobody is held, and none has been. */
void held_begin(bool obeys);
/* Start one and wait until it is held. */
void daemon_start_held(
	struct daemon *daemon, const struct tmgr_process_definition *definition, const char *id);

#endif
