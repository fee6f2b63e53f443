#include <errno.h>

#include <taskmgr/manager.h>
#include <taskmgr/tasks/loop.h>

#include "tests/support/places.h"

const char *place_name(enum place place)
{
	static const char *const names[] = {
		[PLACE_MAIN] = "no context",
		[PLACE_THREAD] = "thread",
		[PLACE_LOOP] = "loop",
		[PLACE_HOSTED] = "task on a loop",
	};

	return names[place];
}

/* What it returned: the manager says -ECANCELED of a task that was not cancelled otherwise. */
struct call {
	place_function *function;
	void *self;
	int result;
};

static int call(void *self, struct tmgr_context *context)
{
	struct call *made = self;

	made->result = made->function(made->self, context);
	return 0;
}

static int run_task(struct tmgr_task task)
{
	const struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	int r;

	tmgr_manager_add_task(manager, "task", task, TMGR_ERROR);
	r = tmgr_manager_run(manager, NULL);
	tmgr_manager_destroy(manager);
	return r;
}

/* The loop would serve for ever. */
static int call_and_stop(void *self, struct tmgr_context *context)
{
	call(self, context);
	tmgr_manager_cancel(tmgr_context_manager(context));
	return 0;
}

static int run_hosted(struct call *made)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task_options options = { .loop = NULL };
	int r = tmgr_loop_create(NULL, &options.loop);

	if (r == 0) {
		tmgr_manager_add_task(manager, "loop", tmgr_loop_task(options.loop), TMGR_STRICT);
		tmgr_manager_add_task_with(manager, "task", tmgr_task_function(call_and_stop, made),
			TMGR_ERROR, &options);
		r = tmgr_manager_run(manager, NULL);
	}
	tmgr_manager_destroy(manager);
	tmgr_loop_unref(options.loop);
	return r;
}

int place_run(enum place place, place_function *function, void *self)
{
	struct call made = { .function = function, .self = self, .result = -ENOEXEC };
	struct tmgr_loop_options options = { .main = call, .self = &made };
	struct tmgr_loop *loop = NULL;
	int r;

	if (place == PLACE_MAIN)
		return function(self, NULL);
	if (place == PLACE_HOSTED) {
		r = run_hosted(&made);
	} else if (place == PLACE_THREAD) {
		r = run_task(tmgr_task_function(call, &made));
	} else {
		r = tmgr_loop_create(&options, &loop);
		if (r == 0)
			r = run_task(tmgr_loop_task(loop));
		tmgr_loop_unref(loop);
	}
	return r < 0 ? r : made.result;
}
