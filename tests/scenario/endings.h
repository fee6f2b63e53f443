/*
 * Scenarios of how tasks and runs end: failures, policies, orders of stopping, handles, deadlines.
 * Included by scenarios.h, whose helpers they use.
 */
#ifndef TESTS_SCENARIO_ENDINGS_H
#define TESTS_SCENARIO_ENDINGS_H

/*
 * Run, and look whether it ended with this error of this task, with this text if there is one: then
 * 0. With another error where a fault struck.
 */
static inline int finish_with(struct stage *stage, int error, const char *name, const char *text)
{
	const struct tmgr_report *report;
	int r;

	r = finish_but_destroy(stage);
	report = tmgr_manager_report(stage->manager);
	if (r == error && report != NULL && report->cause != NULL) {
		expect(stage, strcmp(report->cause->name, name) == 0, "the cause is named", name);
		expect(stage, text == NULL || strcmp(report->cause->text, text) == 0,
			"its text is kept", name);
		r = 0;
	}
	leave_stage(stage);
	return r;
}

static int fail_with_text(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	return tmgr_fail(context, -EIO, "lost the disk");
}

static int tell_the_end(struct probe *probe, struct tmgr_context *context)
{
	struct stage *stage = probe->user;
	int r = tmgr_sleep_until(context, TMGR_NEVER);

	recorder_add(&stage->order, "%s.", probe->name);
	return r;
}

/* One fails: the others are cancelled, all are cleaned up in reverse. */
static int scenario_failure(struct stage *stage)
{
	int r = open_stage(stage, NULL);

	if (r < 0)
		return r;
	add_long(stage, new_probe(stage, "a", tell_the_end), TMGR_STRICT);
	add_long(stage, new_probe(stage, "b", fail_with_text), TMGR_ERROR);
	add_long(stage, new_probe(stage, "c", tell_the_end), TMGR_STRICT);
	return finish_with(stage, -EIO, "b", "lost the disk");
}

static int end_at_once(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	(void)context;
	return 0;
}

/* A strict one ends before it is told to. */
static int scenario_unexpected_end(struct stage *stage)
{
	int r = open_stage(stage, NULL);

	if (r < 0)
		return r;
	add_long(stage, new_probe(stage, "stays", wait_for_stop), TMGR_STRICT);
	add_long(stage, new_probe(stage, "leaves", end_at_once), TMGR_STRICT);
	return finish_with(stage, -TMGR_EUNEXPECTED, "leaves", NULL);
}

static int wait_a_little(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	return tmgr_sleep(context, TMGR_MILLISECOND);
}

/* The last of a stop group ends, and with it all. */
static int scenario_stop_group(struct stage *stage)
{
	int r = open_stage(stage, NULL);

	if (r < 0)
		return r;
	add_long(stage, new_probe(stage, "first", end_at_once), TMGR_STOP_GROUP);
	add_long(stage, new_probe(stage, "last", wait_a_little), TMGR_STOP_GROUP);
	add_long(stage, new_probe(stage, "other", wait_for_stop), TMGR_STRICT);
	return finish(stage);
}

/* Each ends before the one it was added after is cancelled. */
static int scenario_reverse(struct stage *stage)
{
	struct tmgr_manager_options options = { .stop_order = TMGR_STOP_REVERSE };
	int r = open_stage(stage, &options);

	if (r < 0)
		return r;
	add_long(stage, new_probe(stage, "a", tell_the_end), TMGR_STRICT);
	add_long(stage, new_probe(stage, "b", tell_the_end), TMGR_STRICT);
	add_long(stage, new_probe(stage, "c", stop_run), TMGR_ERROR);
	r = finish(stage);
	if (r == 0)
		expect(stage,
			recorder_position(&stage->order, "b.") <
				recorder_position(&stage->order, "a."),
			"the last added ends first", "b");
	return r;
}

static int cancel_a_task(struct probe *probe, struct tmgr_context *context)
{
	struct stage *stage = probe->user;
	struct tmgr_handle handle = { 0 };
	struct tmgr_task_options options = {
		.host = stage->host, .loop = stage->loop, .ret_handle = &handle
	};
	struct probe *victim = new_probe(stage, "victim", wait_for_stop);
	int r, result = 0;

	stage->adds[victim - stage->probes]++;
	r = tmgr_manager_add_execute_task_with(tmgr_context_manager(context), "victim",
		probe_execute_task(victim), TMGR_STRICT, &options);
	if (r < 0)
		return r;
	r = tmgr_handle_cancel(handle, -EPERM, "not wanted");
	if (r == 0)
		r = tmgr_handle_wait(context, handle, TMGR_NEVER);
	expect(stage, tmgr_handle_result(handle, &result) == 0 && result == -ECANCELED,
		"a task that was cancelled by its handle has ended so", "victim");
	tmgr_handle_release(handle);
	return r;
}

/* A task is cancelled by its handle, and the run goes on. */
static int scenario_handles(struct stage *stage)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	int r = open_stage(stage, &options);

	if (r < 0)
		return r;
	add_long(stage, new_probe(stage, "canceller", cancel_a_task), TMGR_ERROR);
	return finish(stage);
}

/* An initialize fails: what was set up before it is cleaned up, and nothing executes. */
static int scenario_failed_initialize(struct stage *stage)
{
	struct probe *fails;
	int r = open_stage(stage, NULL);

	if (r < 0)
		return r;
	add_long(stage, new_probe(stage, "a", wait_for_stop), TMGR_STRICT);
	fails = new_probe(stage, "fails", wait_for_stop);
	fails->initialize_result = -EADDRINUSE;
	fails->fail_text = "the port";
	stage->may_not_be_cleaned_up = fails;
	add_long(stage, fails, TMGR_STRICT);
	add_long(stage, new_probe(stage, "c", wait_for_stop), TMGR_STRICT);
	r = finish_with(stage, -EADDRINUSE, "fails", "the port");
	for (int i = 0; r == 0 && i < stage->count; i++)
		expect(stage, stage->probes[i].executed == 0, "nothing executes",
			stage->probes[i].name);
	return r;
}

static int fail_twice(struct probe *probe, struct tmgr_context *context)
{
	(void)context;
	return probe->executed < 3 ? -EAGAIN : 0;
}

/* And until the other has had its three. */
static int count_three(struct probe *probe, struct tmgr_context *context)
{
	struct stage *stage = probe->user;

	if (probe->executed < 3 || stage->probes[0].execute_ended < 3)
		return 0;
	return stop_run(probe, context);
}

/* Wrappers that run a task more than once, and one that cuts it short. */
static int scenario_again(struct stage *stage)
{
	const struct tmgr_retry_options at_once = { .backoff_ns = TMGR_RETRY_NONE,
		.restarts_max = TMGR_RETRY_NONE };
	int r = open_stage(stage, NULL);

	if (r < 0)
		return r;
	stage->again = true;
	add_wrapped(stage, "retried", tmgr_retry(counted(stage, "r", fail_twice), &at_once));
	add_wrapped(stage, "every",
		tmgr_interval(counted(stage, "i", count_three), TMGR_MILLISECOND, NULL));
	return finish(stage);
}

static int scenario_timeout(struct stage *stage)
{
	int r = open_stage(stage, NULL);

	if (r < 0)
		return r;
	add_wrapped(
		stage, "timed", tmgr_timeout(counted(stage, "t", wait_for_stop), TMGR_MILLISECOND));
	return finish_with(stage, -ETIMEDOUT, "timed", NULL);
}

#endif
