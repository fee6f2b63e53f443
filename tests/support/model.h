/*
 * What a run of the manager must look like, whatever the schedule was: a reference that knows nothing of the library.
 *
 * A test writes down what it did and what was done to it, in one order, each call with its begin and its end. The model says
 * whether that can be, and if not, why.
 */
#ifndef TESTS_SUPPORT_MODEL_H
#define TESTS_SUPPORT_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#define MODEL_TASKS_MAX 512

enum model_policy { MODEL_STRICT, MODEL_ERROR, MODEL_GROUP };

enum model_stage { MODEL_INITIALIZE, MODEL_EXECUTE, MODEL_CLEANUP };

/* Moments are numbers that grow; 0 is never. */
struct model_task {
	bool long_running;
	enum model_policy policy;
	long add_begun, add_ended;
	int add_result; /* 0, or the number that means refused by the stop */
	long initialize_begun, initialize_ended;
	int initialize_result;
	bool initialize_obeyed; /* it saw a stop, and returned because of it */
	long execute_begun, execute_ended;
	int execute_result;
	bool saw_stop;        /* just before execute returned */
	bool cancelled_alone; /* it is asked to stop, some time, and nobody else */
	long cleanup_begun, cleanup_ended;
	int cleanup_result;
	int initializes, executes, cleanups, destroys;
	/* As the report has it: entries of each stage, and the error of the last. */
	int reported[3];
	int reported_error[3];
};

struct model_run {
	struct model_task tasks[MODEL_TASKS_MAX];
	size_t count;
	int refused_by_stop;     /* the error that means so */
	int unexpected;          /* the error of an end that was not expected */
	int cancelled;           /* the result that is clean after a stop */
	long first_stop_begun;   /* the first call that stops, or moment that a task failed at */
	long first_cancel_ended; /* the first cancel that has returned */
	long run_ended;
	int result;
	int cause; /* of the report; 0: none */
	int entries_of_nobody;
};

/* NULL when the run can have been so; else what cannot be. */
const char *model_check(const struct model_run *run, size_t *ret_task);

#endif
