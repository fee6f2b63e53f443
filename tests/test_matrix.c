/*
 * Each state of the manager x each call x each place it can be made from. In every state user code
 * is held on a latch, and the call must return while it still is, with what the table says. Each
 * cell has a manager of its own.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <taskmgr/manager.h>

#include "tests/support/actor.h"
#include "tests/support/headers.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

#define STATES (TMGR_MANAGER_ENDED + 1)
#define NOT_HERE 1000 /* the call makes no sense in this state */

enum place { OUTSIDE, INITIALIZE, EXECUTE, CLEANUP, OBSERVER, PLACES };

static const char *const places[] = { "outside", "initialize", "execute", "cleanup", "observer" };
static const char *const states[] = { "adding", "initializing", "running", "stopping", "cleaning",
	"ended" };

struct scene {
	enum tmgr_manager_state state;
	enum place place;
	const struct cell *cell;
	struct tmgr_manager *manager;
	struct tmgr_handle handle; /* of the task that is held */
	struct latch hold;         /* holds user code */
	struct latch go;           /* lets the caller begin */
	struct latch called;       /* the call has returned */
	struct probe held, caller, added;
	int result;
	bool observed;
};

struct cell {
	const char *name;
	int (*call)(struct scene *scene);
	int expected[STATES];
};

static int add_task(struct scene *scene)
{
	return tmgr_manager_add_task(
		scene->manager, "added", probe_task(&scene->added), TMGR_ERROR);
}

static int add_execute_task(struct scene *scene)
{
	return tmgr_manager_add_execute_task(
		scene->manager, "added", probe_execute_task(&scene->added), TMGR_ERROR);
}

static int add_task_with(struct scene *scene)
{
	return tmgr_manager_add_task_with(
		scene->manager, "added", probe_task(&scene->added), TMGR_ERROR, NULL);
}

static int add_execute_task_with(struct scene *scene)
{
	return tmgr_manager_add_execute_task_with(
		scene->manager, "added", probe_execute_task(&scene->added), TMGR_ERROR, NULL);
}

static int run(struct scene *scene)
{
	return tmgr_manager_run(scene->manager, NULL);
}

static int cancel(struct scene *scene)
{
	return tmgr_manager_cancel(scene->manager);
}

static int cancel_from_signal(struct scene *scene)
{
	tmgr_manager_cancel_from_signal(scene->manager, SIGTERM);
	return 0;
}

/* It leaves a manager alone that it cannot run, but for one that has ended, which it destroys. */
static int call_main(struct scene *scene)
{
	return tmgr_main(scene->manager);
}

static int name_state(struct scene *scene)
{
	(void)scene;
	return tmgr_state_name(TMGR_STATE_RUNNING) == NULL;
}

/* What a task that hosts a manager calls: only tasks have a context. */
static int start_inside(struct scene *scene)
{
	struct tmgr_context *context = tmgr_context_current();
	int r = tmgr_manager_start(scene->manager, context);

	if (context == NULL && r == -EINVAL)
		return scene->cell->expected[scene->state];
	return r;
}

static int wait_inside(struct scene *scene)
{
	return tmgr_manager_wait(scene->manager, tmgr_context_current());
}

static int finish_inside(struct scene *scene)
{
	return tmgr_manager_finish(scene->manager, tmgr_context_current());
}

static void no_event(void *self, const struct tmgr_event *event)
{
	(void)self;
	(void)event;
}

static int observe(struct scene *scene)
{
	return tmgr_manager_observe(scene->manager, TMGR_LEVEL_INFO, no_event, NULL);
}

static int find(struct scene *scene)
{
	struct tmgr_handle found;
	int r = tmgr_manager_find(scene->manager, "held", &found);

	return r < 0 ? r : tmgr_handle_release(found);
}

static int find_nothing(struct scene *scene)
{
	struct tmgr_handle found;

	return tmgr_manager_find(scene->manager, "nobody", &found);
}

static int take_snapshot(struct scene *scene)
{
	struct tmgr_snapshot *snapshot;
	int r = tmgr_manager_snapshot(scene->manager, &snapshot);

	if (r < 0)
		return r;
	r = (int)snapshot->state;
	tmgr_snapshot_destroy(snapshot);
	return r;
}

static int has_report(struct scene *scene)
{
	return tmgr_manager_report(scene->manager) != NULL;
}

static int token_fired(struct scene *scene)
{
	return tmgr_token_fired(tmgr_manager_token(scene->manager));
}

static int take_reference(struct scene *scene)
{
	tmgr_manager_unref(tmgr_manager_ref(scene->manager));
	return 0;
}

static int handle_cancel(struct scene *scene)
{
	return tmgr_handle_cancel(scene->handle, 0, NULL);
}

static int handle_wait(struct scene *scene)
{
	return tmgr_handle_wait(NULL, scene->handle, TMGR_NOW);
}

static int handle_result(struct scene *scene)
{
	int result;

	return tmgr_handle_result(scene->handle, &result);
}

static int handle_release(struct scene *scene)
{
	return tmgr_handle_release(scene->handle);
}

/* In the order of the states: adding, initializing, running, stopping, cleaning, ended. */
static const struct cell cells[] = {
	{ "add_task", add_task, { 0, -EBUSY, -EBUSY, -EBUSY, -EBUSY, -ESHUTDOWN } },
	{ "add_execute_task", add_execute_task, { 0, 0, 0, -ESHUTDOWN, -ESHUTDOWN, -ESHUTDOWN } },
	{ "add_task_with", add_task_with, { 0, -EBUSY, -EBUSY, -EBUSY, -EBUSY, -ESHUTDOWN } },
	{ "add_execute_task_with", add_execute_task_with,
		{ 0, 0, 0, -ESHUTDOWN, -ESHUTDOWN, -ESHUTDOWN } },
	{ "start", start_inside, { -EINVAL, -EBUSY, -EBUSY, -EBUSY, -EBUSY, -EALREADY } },
	{ "wait", wait_inside, { -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL } },
	{ "finish", finish_inside, { -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL } },
	{ "cancel_from_signal", cancel_from_signal, { 0, 0, 0, 0, 0, 0 } },
	{ "main", call_main, { NOT_HERE, 2, 2, 2, 2, NOT_HERE } },
	{ "state_name", name_state, { 0, 0, 0, 0, 0, 0 } },
	{ "run", run, { NOT_HERE, -EBUSY, -EBUSY, -EBUSY, -EBUSY, -EALREADY } },
	{ "cancel", cancel, { 0, 0, 0, -EALREADY, -EALREADY, -ESHUTDOWN } },
	{ "observe", observe, { 0, -EBUSY, -EBUSY, -EBUSY, -EBUSY, -ESHUTDOWN } },
	{ "find", find, { 0, 0, 0, 0, 0, 0 } },
	{ "find nothing", find_nothing, { -ENOENT, -ENOENT, -ENOENT, -ENOENT, -ENOENT, -ENOENT } },
	{ "snapshot", take_snapshot,
		{ TMGR_MANAGER_ADDING, TMGR_MANAGER_INITIALIZING, TMGR_MANAGER_RUNNING,
			TMGR_MANAGER_STOPPING, TMGR_MANAGER_CLEANING, TMGR_MANAGER_ENDED } },
	{ "report", has_report, { 0, 0, 0, 0, 0, 1 } },
	{ "token", token_fired, { 0, 0, 0, 1, 1, 1 } },
	{ "ref and unref", take_reference, { 0, 0, 0, 0, 0, 0 } },
	{ "handle_cancel", handle_cancel, { 0, 0, 0, 0, -EALREADY, -EALREADY } },
	{ "handle_wait", handle_wait, { -ETIMEDOUT, -ETIMEDOUT, -ETIMEDOUT, -ETIMEDOUT, 0, 0 } },
	{ "handle_result", handle_result, { -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN, 0, 0 } },
	{ "handle_release", handle_release, { 0, 0, 0, 0, 0, 0 } },
};

#define CELLS (sizeof(cells) / sizeof(cells[0]))

/* Where user code is held in each state, or that it cannot be there. */
static bool exists(enum tmgr_manager_state state, enum place place)
{
	switch (place) {
	case OUTSIDE:
		return true;
	case INITIALIZE:
		return state == TMGR_MANAGER_INITIALIZING;
	case EXECUTE:
		return state == TMGR_MANAGER_RUNNING || state == TMGR_MANAGER_STOPPING;
	case CLEANUP:
		return state == TMGR_MANAGER_CLEANING;
	default:
		return state != TMGR_MANAGER_ADDING;
	}
}

static void make_call(struct scene *scene)
{
	latch_wait(&scene->go);
	scene->result = scene->cell->call(scene);
	latch_arrive(&scene->called);
}

/* The task that is held: from initialize and cleanup it makes the call itself, first. */
static int in_phase(struct probe *probe, struct tmgr_context *context)
{
	struct scene *scene = probe->user;

	(void)context;
	if (scene->place == INITIALIZE || scene->place == CLEANUP)
		make_call(scene);
	latch_wait(&scene->hold);
	return 0;
}

static int in_execute(struct probe *probe, struct tmgr_context *context)
{
	struct scene *scene = probe->user;

	if (scene->place == EXECUTE)
		make_call(scene);
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static void on_event(void *self, const struct tmgr_event *event)
{
	struct scene *scene = self;

	if (scene->place != OBSERVER || scene->observed)
		return;
	if (scene->state == TMGR_MANAGER_ENDED && event->kind != TMGR_EVENT_RUN_ENDED)
		return;
	scene->observed = true;
	make_call(scene);
}

static void call_from_outside(void *argument, struct tmgr_context *context)
{
	(void)context;
	make_call(argument);
}

static void set_scene(struct scene *scene)
{
	struct tmgr_task_options options = { .ret_handle = &scene->handle };

	latch_init(&scene->hold);
	latch_init(&scene->go);
	latch_init(&scene->called);
	scene->held = (struct probe)PROBE(.name = "held", .user = scene);
	scene->caller = (struct probe)PROBE(.name = "caller", .user = scene,
		.on_execute = in_execute);
	scene->added = (struct probe)PROBE(.name = "added");
	if (scene->state == TMGR_MANAGER_INITIALIZING)
		scene->held.on_initialize = in_phase;
	else if (scene->state == TMGR_MANAGER_RUNNING || scene->state == TMGR_MANAGER_STOPPING)
		scene->held.on_execute = in_phase;
	else if (scene->state == TMGR_MANAGER_CLEANING)
		scene->held.on_cleanup = in_phase;
	scene->manager = tmgr_manager_create(NULL);
	assert_int_equal(
		tmgr_manager_observe(scene->manager, TMGR_LEVEL_DEBUG, on_event, scene), 0);
	assert_int_equal(tmgr_manager_add_task(
				 scene->manager, "caller", probe_task(&scene->caller), TMGR_STRICT),
		0);
	assert_int_equal(tmgr_manager_add_task_with(scene->manager, "held",
				 probe_task(&scene->held), TMGR_STRICT, &options),
		0);
}

/* Bring the manager into the state, with user code on the latch, or about to call. */
static void reach_state(struct scene *scene, struct runner *runner)
{
	if (scene->state == TMGR_MANAGER_ADDING)
		return;
	runner_start(runner, scene->manager, NULL);
	if (scene->state > TMGR_MANAGER_INITIALIZING) {
		assert_true(latch_arrived(&scene->held.executing, 1));
		assert_true(latch_arrived(&scene->caller.executing, 1));
	}
	if (scene->state > TMGR_MANAGER_RUNNING)
		assert_int_equal(tmgr_manager_cancel(scene->manager), 0);
	if (scene->state == TMGR_MANAGER_ENDED && scene->place != OBSERVER)
		assert_int_equal(runner_join(runner), 0);
	else
		assert_true(manager_reaches(scene->manager, scene->state));
	if (scene->place == INITIALIZE || scene->place == CLEANUP)
		assert_true(latch_arrived(&scene->go, 1));
	else if (scene->state < TMGR_MANAGER_ENDED)
		assert_true(latch_arrived(&scene->hold, 1));
}

static void play(enum tmgr_manager_state state, enum place place, const struct cell *cell)
{
	struct scene scene = { .state = state, .place = place, .cell = cell, .result = 2000 };
	bool ran = state != TMGR_MANAGER_ADDING;
	bool joined = state == TMGR_MANAGER_ENDED && place != OBSERVER;
	struct actor outside = ACTOR_INIT;
	struct runner runner;
	bool returned;
	int r = 0;

	set_scene(&scene);
	reach_state(&scene, &runner);
	if (place == OUTSIDE) {
		actor_start(&outside);
		actor_begin(&outside, call_from_outside, &scene);
	}
	latch_open(&scene.go);
	/* The latch is still held. */
	returned = latch_arrived(&scene.called, 1);
	latch_open(&scene.hold);
	if (place == OUTSIDE)
		actor_quit(&outside);
	tmgr_manager_cancel(scene.manager);
	if (ran && !joined)
		r = runner_join(&runner);
	tmgr_handle_release(scene.handle);
	tmgr_manager_destroy(scene.manager);
	if (!returned || scene.result != cell->expected[state] || r != 0)
		fail_msg("%s, %s from %s: returned %d, result %d, not %d; run %d", states[state],
			cell->name, places[place], returned, scene.result, cell->expected[state],
			r);
}

static void play_all_from(enum place place)
{
	int played = 0;

	for (int state = 0; state < STATES; state++) {
		for (size_t i = 0; i < CELLS; i++) {
			const struct cell *cell = &cells[i];

			if (!exists((enum tmgr_manager_state)state, place) ||
				cell->expected[state] == NOT_HERE)
				continue;
			/* An observer sees the end of a run before its report is there. */
			if (place == OBSERVER && state == TMGR_MANAGER_ENDED &&
				cell->call == has_report)
				continue;
			play((enum tmgr_manager_state)state, place, cell);
			played++;
		}
	}
	assert_true(played >= (int)CELLS);
}

static void each_call_from_outside_returns_while_user_code_is_held(void **state)
{
	(void)state;
	play_all_from(OUTSIDE);
}

static void each_call_from_initialize_returns_while_user_code_is_held(void **state)
{
	(void)state;
	play_all_from(INITIALIZE);
}

static void each_call_from_execute_returns_while_user_code_is_held(void **state)
{
	(void)state;
	play_all_from(EXECUTE);
}

static void each_call_from_cleanup_returns_while_user_code_is_held(void **state)
{
	(void)state;
	play_all_from(CLEANUP);
}

static void each_call_from_an_observer_returns_while_user_code_is_held(void **state)
{
	(void)state;
	play_all_from(OBSERVER);
}

/*
 * But for the ends of a manager: creating it, and destroying it while it runs, which stops the
 * program; both are tested elsewhere.
 */
static void no_call_of_a_manager_is_left_out(void **state)
{
	static const char *const headers[] = { "manager", "handle", "snapshot" };
	const char *top = getenv("TOP") != NULL ? getenv("TOP") : ".";
	char path[4096], *here;
	int left_out = 0;

	(void)state;
	snprintf(path, sizeof(path), "%s/tests/test_matrix.c", top);
	here = headers_read(path);
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		snprintf(path, sizeof(path), "%s/include/taskmgr/%s.h", top, headers[i]);
		left_out += headers_left_out(path, here);
	}
	free(here);
	assert_int_equal(left_out, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_call_from_outside_returns_while_user_code_is_held),
		leak_test(each_call_from_initialize_returns_while_user_code_is_held),
		leak_test(each_call_from_execute_returns_while_user_code_is_held),
		leak_test(each_call_from_cleanup_returns_while_user_code_is_held),
		leak_test(each_call_from_an_observer_returns_while_user_code_is_held),
		leak_test(no_call_of_a_manager_is_left_out),
	};

	return cmocka_run_group_tests_name("matrix", tests, NULL, NULL);
}
