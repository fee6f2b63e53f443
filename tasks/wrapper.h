/*
 * What the wrappers of one task have in common: they own it, pass initialize and cleanup on to it,
 * and some of them clean it up and initialize it again while they execute.
 */
#ifndef TMGR_TASKS_WRAPPER_INTERNAL_H
#define TMGR_TASKS_WRAPPER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/context.h>

/* How long the waits of a cleanup may take that a wrapper calls while it executes: what a manager
 * gives to all of them. */
#define TMGR__CLEANUP_NS (25 * TMGR_SECOND)

/* Bytes of a text kept with tmgr_fail(), NUL included. */
#define TMGR__TEXT_SIZE 160

/* The wrapped task. A wrapper's self begins with it. */
struct tmgr__wrapper {
	struct tmgr_task task;
	/* Cleaned up already, or its initialize failed while we executed: cleanup is not to be
	 * called. */
	bool down;
};

/*
 * Memory of a wrapper, all zero but the task. NULL: it cannot be built, and *task, which has been
 * destroyed if need be, is now what to return instead. refusal: the rule that the arguments break,
 * or NULL; a task that is refused already stays as it is.
 */
void *tmgr__wrapper_create(size_t size, struct tmgr_task *task, const struct tmgr_refusal *refusal);

/* For ops of wrappers. */
int tmgr__wrapper_initialize(void *self, struct tmgr_context *context);
int tmgr__wrapper_cleanup(void *self, struct tmgr_context *context);
void tmgr__wrapper_destroy(void *self);
unsigned tmgr__wrapper_phases(const void *self);
bool tmgr__wrapper_runs(const void *self, const struct tmgr_executor *host);

/* Cleanup and initialize while executing, each at most once for the other. */
int tmgr__wrapper_take_down(struct tmgr__wrapper *wrapper, struct tmgr_context *context);
int tmgr__wrapper_set_up(struct tmgr__wrapper *wrapper, struct tmgr_context *context);

/* A cleanup that cancel does not cut short, as a manager's would not be. */
int tmgr__cleanup_uninterrupted(struct tmgr_task task, struct tmgr_context *context);

/* What a task returned, as a negative errno. */
int tmgr__result_error(int result);

/* Go on after an error of `what`: kept as the task's last, and a line of the log with its text. */
void tmgr__go_on(struct tmgr_context *context, const char *what, int result);

/* Take back the text of an error that was gone on from, so that it is not taken for that of a later
 * one. */
void tmgr__forget_text(struct tmgr_context *context);

/* The first of several errors, with its text. All zero is none. */
struct tmgr__first_error {
	int result;
	char text[TMGR__TEXT_SIZE];
};

/* Keep what a task returned, and its text, if it is the first error. */
void tmgr__first_error_keep(
	struct tmgr__first_error *first, struct tmgr_context *context, int result);

/* Put the text back into the context. Returns what to return: the first error, or 0. */
int tmgr__first_error_give(const struct tmgr__first_error *first, struct tmgr_context *context);

/* Where the random numbers of a task begin: with its path and the host's clock, so that a simulated
 * run repeats. */
uint64_t tmgr__random_begin(struct tmgr_context *context);

extern const struct tmgr_refusal tmgr__refusal_no_execute;

#endif
