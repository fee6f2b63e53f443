/*
 * A recorder keeps what happened in order, and probes are tasks that tell it. Tasks record; the
 * body of the test asserts after run has returned.
 */
#ifndef TESTS_SUPPORT_RECORDER_H
#define TESTS_SUPPORT_RECORDER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <taskmgr/manager.h>

#include "tests/support/latch.h"

struct recorder {
	pthread_mutex_t lock;
	size_t length;
	char text[8192]; /* words with one space between them */
};

#define RECORDER_INIT                            \
	{                                        \
		PTHREAD_MUTEX_INITIALIZER, 0, "" \
	}

/* Add a word. */
void recorder_add(struct recorder *recorder, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* All words, a copy in static memory that the next call overwrites. One thread. */
const char *recorder_text(struct recorder *recorder);

/* Whether a word was recorded. */
bool recorder_has(struct recorder *recorder, const char *word);

/* Where a word stands, counted in words; -1 when it does not. */
int recorder_position(struct recorder *recorder, const char *word);

void recorder_clear(struct recorder *recorder);

struct probe;

typedef int probe_function(struct probe *probe, struct tmgr_context *context);

/* What a probe's execute does after its hook. */
enum probe_end {
	PROBE_UNTIL_CANCELLED, /* waits for the cancel, then returns what its result says */
	PROBE_RETURNS,         /* returns at once */
	PROBE_EXITS,           /* calls pthread_exit() */
};

/*
 * A task that tells what happens to it: "+name" initialize, "name" execute, "-name" cleanup,
 * "~name" destroy. All zero is one that initializes, waits for the cancel, and cleans up.
 */
struct probe {
	const char *name;
	struct recorder *recorder; /* may be NULL */
	enum probe_end end;
	int initialize_result, execute_result, cleanup_result;
	const char *fail_text; /* given to tmgr_fail() with a result that is not 0; may be NULL */
	struct latch *hold_initialize, *hold_execute,
		*hold_cleanup; /* waited for, deaf to the cancel */
	probe_function *on_initialize, *on_execute,
		*on_cleanup; /* called before; a result not 0 counts */
	void *user;
	atomic_int initialized, executed, cleaned_up, destroyed; /* calls begun */
	atomic_int execute_ended;
	struct latch executing; /* arrived at when execute begins */
};

#define PROBE(...)                                   \
	{                                            \
		.executing = LATCH_INIT, __VA_ARGS__ \
	}

/* A task with all functions. */
struct tmgr_task probe_task(struct probe *probe);

/* One with execute and destroy only. */
struct tmgr_task probe_execute_task(struct probe *probe);

/* Those with only one of the functions, and destroy. */
struct tmgr_task probe_initialize_only(struct probe *probe);
struct tmgr_task probe_cleanup_only(struct probe *probe);

/* A manager with one probe as its task, STRICT; not to run out of memory. */
struct tmgr_manager *probe_manager(const struct tmgr_manager_options *options, struct probe *probe);

/* Run a manager on a thread of its own, so that the test can act while it runs. */
struct runner {
	struct tmgr_manager *manager;
	struct tmgr_token *token;
	pthread_t thread;
	int result;
};

void runner_start(struct runner *runner, struct tmgr_manager *manager, struct tmgr_token *token);

/* Wait for the end of run; its result. */
int runner_join(struct runner *runner);

/* Wait until a manager is in a state; false when it took too long. */
bool manager_reaches(struct tmgr_manager *manager, enum tmgr_manager_state state);

/* Wait until a task, found by its path, is in a state, or past it for ended; false when it took too
 * long. */
bool task_reaches(struct tmgr_manager *manager, const char *path, enum tmgr_state state);

/* Wait until a task waits in a wait of this kind, as a snapshot calls it. */
bool task_waits(struct tmgr_manager *manager, const char *path, const char *waiting);

/* The first entry of a kind with this name; NULL: there is none, or no report. */
const struct tmgr_report_entry *report_entry(
	const struct tmgr_report *report, enum tmgr_report_kind kind, const char *name);

#endif
