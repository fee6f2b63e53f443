/**
 * @file
 * Reports: how a run ended. Readable from the end of run until the manager is destroyed.
 */
#ifndef TMGR_REPORT_H
#define TMGR_REPORT_H

#include <taskmgr/task.h>

struct tmgr_report;

/** Which part of the work an entry is about. */
enum tmgr_stage {
	TMGR_STAGE_ADD,
	TMGR_STAGE_START,
	TMGR_STAGE_INITIALIZE,
	TMGR_STAGE_EXECUTE,
	TMGR_STAGE_CLEANUP,
};

/** What an entry says. */
enum tmgr_report_kind {
	TMGR_REPORT_ERROR, /**< a task failed */
	TMGR_REPORT_STUCK, /**< a task did not end by its deadline and was left behind */
	/** its cleanup was not called, since a stuck task may still use it */
	TMGR_REPORT_NOT_CLEANED_UP,
};

/** One thing that went wrong. Entries are in the order in which they were recorded. */
struct tmgr_report_entry {
	const struct tmgr_report_entry *next; /**< NULL at the end */
	enum tmgr_report_kind kind;
	enum tmgr_stage stage;
	int error; /**< negative errno, or one of ours */
	/** the positive value returned, with -TMGR_EFAILED; else 0 */
	int detail;
	const char *name; /**< of the task */
	/** given with tmgr_fail(), or, of a loop that is stuck, what is left on it, or ""; never NULL */
	const char *text;
	const struct tmgr_report *inner; /**< of the manager that ran inside this task, or NULL */
};

/** How a run ended. */
struct tmgr_report {
	int result; /**< what run returned: 0 or the cause */
	/** what a daemon leaves with: 0, 1, 2, 3 or 128 + n */
	int exit_code;
	struct tmgr_cause stop;                  /**< why it stopped */
	const struct tmgr_report_entry *cause;   /**< the error recorded first, or NULL */
	const struct tmgr_report_entry *entries; /**< all, or NULL */
	size_t errors;                           /**< entries of each kind */
	size_t stuck;
	size_t not_cleaned_up;
	size_t long_running;      /**< tasks added of each kind */
	size_t executed;          /**< execute-tasks added */
	int64_t duration_ns;      /**< of the whole run */
	int64_t stop_duration_ns; /**< from the stop to the end of run */
	uint64_t events_dropped;  /**< events that found the ring full */
};

TMGR_BEGIN_DECLS

/**
 * Print a report as lines of text: one for each entry, then one for the whole. Control characters
 * are escaped.
 *
 * @param report   a report
 * @param program  put before each line, with ": "; may be NULL
 * @param fd       written with write(2), so that it can be used beside threads that are stuck
 *
 * @retval 0        printed
 * @retval -EINVAL  report is NULL
 * @retval -EIO     write failed (or another errno of write(2))
 *
 * @thread any thread
 */
TMGR_API int tmgr_report_print(const struct tmgr_report *report, const char *program, int fd);

/**
 * The word for a stage: "initialize".
 *
 * @param stage  a stage
 *
 * @return a static text, "unknown" for others
 *
 * @thread any thread, async-signal-safe
 */
TMGR_API const char *tmgr_stage_name(enum tmgr_stage stage);

TMGR_END_DECLS

#endif
