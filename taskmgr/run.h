/*
 * The parts of a run, which are called one after another by the thread that runs; no lock is held.
 */
#ifndef TMGR__RUN_H
#define TMGR__RUN_H

#include "manager.h"

static inline struct tmgr__record *tmgr__record_of(struct tmgr__list *node)
{
	return container_of(node, struct tmgr__record, node);
}

/* Beginning (prepare.c). Take the run, or say why not. */
int tmgr__run_begin(struct tmgr_manager *manager);
/* Make timers, threads and all else; on failure the report has it. */
int tmgr__run_prepare(struct tmgr_manager *manager);
/*
 * A lack of memory or threads before anything was initialized. `name` and `text` stay where they
 * are.
 */
void tmgr__run_note_start_error(
	struct tmgr_manager *manager, const char *name, int error, const char *text);
/* Open the gate, or send the threads home. */
void tmgr__run_set_gate(struct tmgr_manager *manager, uint32_t gate);
bool tmgr__run_is_stopping(struct tmgr_manager *manager);

/* Initialize and cleanup (phase.c): initialize until one fails or the stop comes. */
void tmgr__phase_initialize_all(struct tmgr_manager *manager);
/* Clean one task up, if it is to be. */
void tmgr__phase_clean_up(struct tmgr__record *record);
/* All, in reverse. */
void tmgr__phase_clean_up_all(struct tmgr_manager *manager);

/* Executing (execute.c): from the start of all to the end of the last. */
void tmgr__execute_all(struct tmgr_manager *manager);
/* Execute-tasks that wait for a thread and are cancelled, or all, never begin. */
void tmgr__execute_drop_queued(struct tmgr_manager *manager, bool all);
/*
 * In reverse order of stopping, when the time of all is up: tell those that are to come. Callbacks run
 * on this thread.
 */
void tmgr__execute_tell_all(struct tmgr_manager *manager);
/* Tasks that will not execute: whoever waits for their end need not. */
void tmgr__execute_settle_unexecuted(struct tmgr_manager *manager);

/* The whole (run.c). Prepare and initialize; an error means that the run has ended. */
int tmgr__run_start(struct tmgr_manager *manager, struct tmgr_token *parent);
/*
 * The run stops before anything executes: tasks keep the hosts that they would have run on no more, for
 * these may be waiting for it, outside. Once; any thread of the library.
 */
void tmgr__run_release_hosts(struct tmgr_manager *manager);
/* The threads go home; the report is made. Returns the result. */
int tmgr__run_end(struct tmgr_manager *manager);
/* The end of a run that could not begin, for this error. */
int tmgr__run_abort(struct tmgr_manager *manager, int error);

#endif
