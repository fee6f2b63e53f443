#include "tests/support/model.h"

/* What is said of each task by itself. */
static const char *check_counts(const struct model_task *task)
{
	bool added = task->add_result == 0;

	if (task->destroys != 1)
		return "destroy is called once for each add";
	if (!added && (task->initializes || task->executes || task->cleanups))
		return "a refused task is not touched but by destroy";
	if (task->initializes > 1 || task->executes > 1 || task->cleanups > 1)
		return "a function is called at most once";
	if (!task->long_running)
		return NULL;
	if (task->executes && !(task->initializes && task->initialize_result == 0))
		return "only what was initialized executes";
	if (task->cleanups && !(task->initializes && task->initialize_result == 0))
		return "only what was initialized is cleaned up";
	if (added && task->initializes && task->initialize_result == 0 && !task->cleanups)
		return "what was initialized is cleaned up";
	if (task->cleanups && task->executes && task->cleanup_begun < task->execute_ended)
		return "cleanup comes after the end of execute";
	return NULL;
}

static const char *check_order(const struct model_task *one, const struct model_task *later)
{
	/* Both are long-running, and the second was added after the first. */
	if (one->initializes && later->initializes &&
		later->initialize_begun < one->initialize_ended)
		return "tasks are initialized one after another, in order of adding";
	if (later->initializes && !one->initializes)
		return "no task is initialized before one that was added before";
	if (one->cleanups && later->cleanups && one->cleanup_begun < later->cleanup_ended)
		return "tasks are cleaned up one after another, in reverse";
	if (one->cleanups && later->executes && one->cleanup_begun < later->execute_ended)
		return "cleanups come after all executes";
	if (one->executes && later->initializes && one->execute_begun < later->initialize_ended)
		return "executes come after all initializes";
	return NULL;
}

static const char *check_add(const struct model_run *run, const struct model_task *task)
{
	if (task->add_result == 0 && run->first_cancel_ended &&
		task->add_begun > run->first_cancel_ended)
		return "no add succeeds once a cancel has returned";
	if (task->add_result == run->refused_by_stop &&
		(!run->first_stop_begun || task->add_ended < run->first_stop_begun))
		return "no add is refused before anything stops";
	if (task->add_result != 0 && task->add_result != run->refused_by_stop)
		return "an add succeeds, or is refused by the stop";
	/* It may have been dropped only by a stop; and it has ended before run has. */
	if (task->add_result == 0 && !task->executes && !run->first_stop_begun &&
		!task->cancelled_alone)
		return "what was added is executed";
	if (task->executes && (!task->execute_ended || task->execute_ended > run->run_ended))
		return "run returns after all executes";
	return NULL;
}

/* What the report must say about a stage: 0 nothing, or the error; `open` when either may be. */
static int expected_error(const struct model_run *run, const struct model_task *task,
	enum model_stage stage, bool *open)
{
	*open = false;
	switch (stage) {
	case MODEL_INITIALIZE:
		return task->initializes && !task->initialize_obeyed ? task->initialize_result : 0;
	case MODEL_CLEANUP:
		return task->cleanups ? task->cleanup_result : 0;
	default:
		break;
	}
	if (!task->executes)
		return 0;
	if (task->execute_result != 0 && task->execute_result != run->cancelled)
		return task->execute_result;
	if (task->saw_stop)
		return 0;
	/* It returned without having seen a stop; one that had begun by then may have come between. */
	*open = run->first_stop_begun && run->first_stop_begun < task->execute_ended;
	if (task->execute_result == run->cancelled)
		return run->cancelled;
	return task->policy == MODEL_STRICT ? run->unexpected : 0;
}

static const char *check_report(const struct model_run *run, const struct model_task *task)
{
	for (int stage = MODEL_INITIALIZE; stage <= MODEL_CLEANUP; stage++) {
		bool open;
		int error = expected_error(run, task, (enum model_stage)stage, &open);

		if (task->reported[stage] > 1)
			return "an error is reported once";
		if (task->reported[stage] && error == 0)
			return "no error is invented";
		if (!task->reported[stage] && error != 0 && !open)
			return "no error is lost";
		if (task->reported[stage] && task->reported_error[stage] != error)
			return "an error is reported as it was";
	}
	return NULL;
}

static const char *check_result(const struct model_run *run)
{
	int errors = 0;
	bool found = false;

	for (size_t i = 0; i < run->count; i++) {
		for (int stage = MODEL_INITIALIZE; stage <= MODEL_CLEANUP; stage++) {
			errors += run->tasks[i].reported[stage];
			found = found ||
				(run->tasks[i].reported[stage] &&
					run->tasks[i].reported_error[stage] == run->result);
		}
	}
	if (run->entries_of_nobody)
		return "the report speaks of tasks that there are";
	if ((errors == 0) != (run->result == 0))
		return "a run fails when there is an error, and only then";
	if (run->result != run->cause || (errors && !found))
		return "the result is the cause, and that one of the errors";
	return NULL;
}

const char *model_check(const struct model_run *run, size_t *ret_task)
{
	const char *wrong = NULL;
	size_t i;

	for (i = 0; i < run->count && wrong == NULL; i++) {
		const struct model_task *task = &run->tasks[i];

		wrong = check_counts(task);
		if (wrong == NULL)
			wrong = check_add(run, task);
		if (wrong == NULL)
			wrong = check_report(run, task);
		for (size_t j = i + 1; wrong == NULL && task->long_running && j < run->count; j++) {
			if (run->tasks[j].long_running)
				wrong = check_order(task, &run->tasks[j]);
		}
		*ret_task = i;
	}
	return wrong != NULL ? wrong : check_result(run);
}
