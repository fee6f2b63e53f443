/*
 * Scenarios: small daemons, each one source, for every host that exists and for tests that break
 * something while they run. Each gives the result of its run, and says in `broken` which promise
 * was not kept.
 *
 * On the loop all of it is: wrappers, nested managers and their tasks too. The loop is a task of the
 * outermost manager, the first, and its coroutines are where the tasks would have threads.
 */
#ifndef TESTS_SCENARIO_SCENARIOS_H
#define TESTS_SCENARIO_SCENARIOS_H

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/channel.h>
#include <taskmgr/group.h>
#include <taskmgr/manager.h>
#include <taskmgr/tasks/force_stop.h>
#include <taskmgr/tasks/interruptible.h>
#include <taskmgr/tasks/interval.h>
#include <taskmgr/tasks/loop.h>
#include <taskmgr/tasks/manager.h>
#include <taskmgr/tasks/parallel.h>
#include <taskmgr/tasks/retry.h>
#include <taskmgr/tasks/sequence.h>
#include <taskmgr/tasks/signals.h>
#include <taskmgr/tasks/timeout.h>
#include <taskmgr/tasks/worker_pool.h>

#include "tests/support/recorder.h"

struct stage {
	enum tmgr_host host;
	struct tmgr_manager *manager;
	struct tmgr_loop *loop; /* with TMGR_HOST_LOOP */
	struct probe probes[12];
	int adds[12]; /* of each probe */
	int refused;  /* the first error of an add before run */
	int count;
	bool again; /* an execute may be called more than once */
	const struct probe *may_not_be_cleaned_up;
	struct recorder order;
	const char *broken;
	char text[160];
};

static inline void expect(struct stage *stage, bool holds, const char *promise, const char *who)
{
	if (holds || stage->broken != NULL)
		return;
	snprintf(stage->text, sizeof(stage->text), "%s (%s)", promise, who);
	stage->broken = stage->text;
}

static inline struct probe *new_probe(
	struct stage *stage, const char *name, probe_function *execute)
{
	struct probe *probe = &stage->probes[stage->count++];

	*probe = (struct probe)PROBE(.name = name, .on_execute = execute, .end = PROBE_RETURNS,
		.user = stage);
	return probe;
}

static inline void note_add(struct stage *stage, struct probe *probe, int r)
{
	stage->adds[probe - stage->probes]++;
	if (r < 0 && stage->refused == 0)
		stage->refused = r;
	expect(stage, r == 0 || r == -ENOMEM || r == -EAGAIN, "an add fails cleanly", probe->name);
}

static inline void add_long(struct stage *stage, struct probe *probe, enum tmgr_policy policy)
{
	struct tmgr_task_options options = { .host = stage->host, .loop = stage->loop };

	note_add(stage, probe,
		tmgr_manager_add_task_with(
			stage->manager, probe->name, probe_task(probe), policy, &options));
}

static inline void add_execute(struct stage *stage, struct probe *probe)
{
	struct tmgr_task_options options = { .host = stage->host, .loop = stage->loop };

	note_add(stage, probe,
		tmgr_manager_add_execute_task_with(stage->manager, probe->name,
			probe_execute_task(probe), TMGR_ERROR, &options));
}

/* What holds whatever failed. */
static inline void check_promises(struct stage *stage)
{
	for (int i = 0; i < stage->count; i++) {
		struct probe *probe = &stage->probes[i];

		expect(stage, probe->destroyed == stage->adds[i], "destroy is called once",
			probe->name);
		expect(stage, stage->again || probe->executed <= stage->adds[i],
			"execute is called once", probe->name);
		expect(stage, probe->cleaned_up <= 1, "cleanup is called once", probe->name);
		expect(stage, probe->cleaned_up <= probe->initialized,
			"no cleanup without initialize", probe->name);
		expect(stage,
			probe->initialized == 0 || probe->cleaned_up == 1 ||
				probe == stage->may_not_be_cleaned_up,
			"what was initialized is cleaned up", probe->name);
	}
}

static inline int finish_but_destroy(struct stage *stage)
{
	const struct tmgr_report *report;
	int r = tmgr_manager_run(stage->manager, NULL);

	report = tmgr_manager_report(stage->manager);
	expect(stage, report != NULL, "a run leaves a report", "run");
	if (report != NULL) {
		expect(stage, report->result == r, "the report has the result", "run");
		expect(stage, r == 0 || report->errors > 0, "an error stands in the report", "run");
		expect(stage, report->stuck == 0, "nobody is stuck", "run");
	}
	if (stage->refused != 0)
		expect(stage, r == stage->refused, "a refused add is the result", "run");
	return r;
}

static inline void leave_stage(struct stage *stage)
{
	tmgr_manager_destroy(stage->manager);
	tmgr_loop_unref(stage->loop);
	check_promises(stage);
}

static inline int finish(struct stage *stage)
{
	int r = finish_but_destroy(stage);

	leave_stage(stage);
	return r;
}

/* The loop ends when it is told to: then the run is over when all others are quiet. */
static inline int end_loop_when_quiet(void *self, struct tmgr_context *context)
{
	(void)self;
	(void)context;
	return 0;
}

/* 0, or why there is no stage. */
static inline int open_stage(struct stage *stage, const struct tmgr_manager_options *options)
{
	struct tmgr_loop_options quiet = { .main = end_loop_when_quiet };
	bool returns = options != NULL && options->when_quiet == TMGR_QUIET_RETURN;
	int r = 0;

	if (stage->host == TMGR_HOST_LOOP)
		r = tmgr_loop_create(returns ? &quiet : NULL, &stage->loop);
	if (r < 0)
		return r;
	stage->manager = tmgr_manager_create(options);
	if (stage->manager == NULL) {
		tmgr_loop_unref(stage->loop);
		return -ENOMEM;
	}
	if (stage->loop != NULL) {
		r = tmgr_manager_add_task(stage->manager, "loop", tmgr_loop_task(stage->loop),
			returns ? TMGR_ERROR : TMGR_STRICT);
		if (r < 0)
			stage->refused = r;
	}
	return 0;
}

static int stop_run(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static int wait_for_stop(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	return tmgr_sleep_until(context, TMGR_NEVER);
}

/* Three tasks, of which one stops all. */
static int scenario_lifecycle(struct stage *stage)
{
	int r = open_stage(stage, NULL);

	if (r < 0)
		return r;
	add_long(stage, new_probe(stage, "a", wait_for_stop), TMGR_STRICT);
	add_long(stage, new_probe(stage, "b", wait_for_stop), TMGR_STOP_GROUP);
	add_long(stage, new_probe(stage, "c", stop_run), TMGR_STRICT);
	return finish(stage);
}

static int add_more(struct probe *probe, struct tmgr_context *context)
{
	struct stage *stage = probe->user;
	struct tmgr_handle handle = { 0 };
	struct tmgr_task_options options = {
		.host = stage->host, .loop = stage->loop, .ret_handle = &handle
	};
	struct probe *more = new_probe(stage, "more", NULL);
	int r;

	r = tmgr_manager_add_execute_task_with(tmgr_context_manager(context), "more",
		probe_execute_task(more), TMGR_ERROR, &options);
	stage->adds[more - stage->probes]++;
	if (r == 0) {
		r = tmgr_handle_wait(context, handle, TMGR_NEVER);
		tmgr_handle_release(handle);
	}
	return r;
}

/* Execute-tasks, before run and while it runs. */
static int scenario_execute_tasks(struct stage *stage)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	int r = open_stage(stage, &options);

	if (r < 0)
		return r;
	add_execute(stage, new_probe(stage, "x", NULL));
	add_execute(stage, new_probe(stage, "y", add_more));
	add_execute(stage, new_probe(stage, "z", NULL));
	return finish(stage);
}

static struct tmgr_channel *scenario_channel;

static int send_some(struct probe *probe, struct tmgr_context *context)
{
	int r = 0;

	(void)probe;
	for (int i = 0; i < 3 && r == 0; i++)
		r = tmgr_channel_send(context, scenario_channel, &i, TMGR_NEVER);
	tmgr_channel_close(scenario_channel);
	return r;
}

static int receive_all(struct probe *probe, struct tmgr_context *context)
{
	int item, sum = 0, r;
	struct tmgr_select_case cases[] = {
		{ .op = TMGR_SELECT_RECEIVE, .channel = scenario_channel, .item = &item },
	};

	while ((r = tmgr_select(context, cases, 1, TMGR_NEVER)) == 0 && cases[0].result == 0)
		sum += item;
	expect(probe->user, r < 0 || sum == 3, "each item arrives", probe->name);
	return r;
}

static int wait_for_pipe(struct probe *probe, struct tmgr_context *context)
{
	int ends[2], r;

	(void)probe;
	if (pipe(ends) < 0)
		return -errno;
	r = tmgr_wait_fd(context, ends[0], TMGR_FD_READ, tmgr_after(TMGR_MILLISECOND));
	close(ends[0]);
	close(ends[1]);
	return r == -ETIMEDOUT ? 0 : r;
}

/* Tasks that talk and wait. */
static int scenario_waits(struct stage *stage)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	int r = tmgr_channel_create(sizeof(int), 1, &scenario_channel);

	if (r < 0)
		return r;
	r = open_stage(stage, &options);
	if (r == 0) {
		add_long(stage, new_probe(stage, "sender", send_some), TMGR_ERROR);
		add_long(stage, new_probe(stage, "receiver", receive_all), TMGR_ERROR);
		add_long(stage, new_probe(stage, "piper", wait_for_pipe), TMGR_ERROR);
		r = finish(stage);
	}
	tmgr_channel_unref(scenario_channel);
	return r;
}

static int spawn_some(struct probe *probe, struct tmgr_context *context)
{
	struct stage *stage = probe->user;
	struct tmgr_group *group;
	int r = tmgr_group_create(context, NULL, &group);

	for (int i = 0; i < 3 && r == 0; i++) {
		struct probe *child = new_probe(stage, "child", NULL);

		stage->adds[child - stage->probes]++;
		r = tmgr_spawn(context, group, probe_execute_task(child), NULL);
	}
	if (r == 0)
		r = tmgr_group_wait(context, group, TMGR_NEVER);
	/* Left open when something failed: the library ends it. */
	if (r == 0)
		tmgr_group_destroy(group);
	return r;
}

/* Children of a task. */
static int scenario_groups(struct stage *stage)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	int r = open_stage(stage, &options);

	if (r < 0)
		return r;
	add_long(stage, new_probe(stage, "parent", spawn_some), TMGR_ERROR);
	return finish(stage);
}

static void ignore_event(void *self, const struct tmgr_event *event)
{
	char line[64];

	(void)self;
	tmgr_event_format(event, line, sizeof(line));
}

static int look_around(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_manager *manager = tmgr_context_manager(context);
	struct tmgr_snapshot *snapshot;
	struct tmgr_handle handle;
	int r = tmgr_manager_snapshot(manager, &snapshot);

	tmgr_log(context, TMGR_LEVEL_INFO, "looking around");
	if (r < 0)
		return r;
	tmgr_snapshot_destroy(snapshot);
	r = tmgr_manager_find(manager, probe->name, &handle);
	if (r < 0)
		return r;
	tmgr_handle_release(handle);
	return stop_run(probe, context);
}

/* Observers, snapshots, handles. */
static int scenario_looking(struct stage *stage)
{
	int r = open_stage(stage, NULL);

	if (r < 0)
		return r;
	r = tmgr_manager_observe(stage->manager, TMGR_LEVEL_DEBUG, ignore_event, NULL);
	expect(stage, r == 0 || r == -ENOMEM, "observe fails cleanly", "observe");
	add_long(stage, new_probe(stage, "looker", look_around), TMGR_STRICT);
	return finish(stage);
}

static struct tmgr_task counted(struct stage *stage, const char *name, probe_function *execute)
{
	struct probe *probe = new_probe(stage, name, execute);

	stage->adds[probe - stage->probes]++;
	return probe_execute_task(probe);
}

static void add_wrapped(struct stage *stage, const char *name, struct tmgr_task task)
{
	struct tmgr_task_options options = { .host = stage->host, .loop = stage->loop };
	int r = tmgr_manager_add_task_with(stage->manager, name, task, TMGR_ERROR, &options);

	if (r < 0 && stage->refused == 0)
		stage->refused = r;
}

/* Wrappers, in each other. What they cannot build they destroy, and adding it says why. */
static int scenario_wrappers(struct stage *stage)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_task tasks[2];
	int r = open_stage(stage, &options);

	if (r < 0)
		return r;
	add_wrapped(stage, "retried",
		tmgr_force_stop(tmgr_retry(counted(stage, "r", NULL), NULL), TMGR_SECOND));
	add_wrapped(stage, "timed", tmgr_timeout(counted(stage, "t", NULL), TMGR_MINUTE));
	tasks[0] = counted(stage, "s0", NULL);
	tasks[1] = counted(stage, "s1", NULL);
	add_wrapped(stage, "in turn", tmgr_sequence(tasks, 2));
	tasks[0] = counted(stage, "p0", NULL);
	tasks[1] = counted(stage, "p1", NULL);
	add_wrapped(stage, "side by side", tmgr_parallel(tasks, 2));
	return finish(stage);
}

static int count_job(void *self, struct tmgr_context *context, void *job)
{
	(void)context;
	__atomic_fetch_add((int *)self, *(const int *)job, __ATOMIC_RELAXED);
	return 0;
}

/* Workers that do jobs from a channel until it is closed. */
static int scenario_jobs(struct stage *stage)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_worker_pool_options two = { .workers = 2 };
	int r = tmgr_channel_create(sizeof(int), 1, &scenario_channel), sum = 0;

	if (r < 0)
		return r;
	r = open_stage(stage, &options);
	if (r == 0) {
		add_wrapped(stage, "workers",
			tmgr_worker_pool(scenario_channel, count_job, &sum, &two));
		add_long(stage, new_probe(stage, "sender", send_some), TMGR_ERROR);
		r = finish(stage);
		expect(stage, r < 0 || sum == 3, "each job is done", "workers");
	}
	tmgr_channel_unref(scenario_channel);
	return r;
}

/* Tasks that signals and times call, until one stops all. */
static int scenario_signals(struct stage *stage)
{
	struct tmgr_manager_options options = { .take_signals = true };
	const int usr2 = SIGUSR2;
	int r = tmgr_channel_create(sizeof(int), 1, &scenario_channel);

	if (r < 0)
		return r;
	r = open_stage(stage, &options);
	if (r == 0) {
		add_wrapped(stage, "interrupted",
			tmgr_interruptible(counted(stage, "i", wait_for_stop), SIGUSR1));
		add_wrapped(stage, "signals", tmgr_signals(scenario_channel, &usr2, 1));
		add_wrapped(
			stage, "hourly", tmgr_interval(counted(stage, "h", NULL), TMGR_HOUR, NULL));
		add_long(stage, new_probe(stage, "stops", stop_run), TMGR_STRICT);
		r = finish(stage);
	}
	tmgr_channel_unref(scenario_channel);
	return r;
}

/* A manager as a task of another. */
static int scenario_nested(struct stage *stage)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *outer, *inner = tmgr_manager_create(&options);

	int r;

	if (inner == NULL)
		return -ENOMEM;
	r = open_stage(stage, &options);
	if (r < 0) {
		tmgr_manager_destroy(inner);
		return r;
	}
	outer = stage->manager;
	stage->manager = inner;
	add_long(stage, new_probe(stage, "a", NULL), TMGR_ERROR);
	add_execute(stage, new_probe(stage, "x", NULL));
	stage->manager = outer;
	/* What the inner one refused is its own, and the outer one's error when it comes to it. */
	stage->refused = 0;
	add_wrapped(stage, "inner", tmgr_manager_task(inner));
	return finish(stage);
}

#include "tests/scenario/endings.h"

static const struct scenario {
	const char *name;
	int (*play)(struct stage *stage);
} scenarios[] = {
	{ "lifecycle", scenario_lifecycle },
	{ "execute-tasks", scenario_execute_tasks },
	{ "waits", scenario_waits },
	{ "groups", scenario_groups },
	{ "looking", scenario_looking },
	{ "wrappers", scenario_wrappers },
	{ "jobs", scenario_jobs },
	{ "signals", scenario_signals },
	{ "nested", scenario_nested },
	{ "failure", scenario_failure },
	{ "unexpected end", scenario_unexpected_end },
	{ "stop group", scenario_stop_group },
	{ "reverse", scenario_reverse },
	{ "handles", scenario_handles },
	{ "failed initialize", scenario_failed_initialize },
	{ "again", scenario_again },
	{ "timeout", scenario_timeout },
};

#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

/* The hosts there are for a task that may be long-running or not. */
static const enum tmgr_host scenario_hosts[] = { TMGR_HOST_THREAD, TMGR_HOST_POOL, TMGR_HOST_LOOP };

#define SCENARIO_HOSTS (sizeof(scenario_hosts) / sizeof(scenario_hosts[0]))

#endif
