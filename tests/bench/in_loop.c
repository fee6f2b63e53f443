#include <errno.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/in_loop.h"
#include "tests/bench/measure.h"

struct measured {
	measured_in_loop function;
	void *self;
	double result;
};

static int call_measured(void *self, struct tmgr_context *context)
{
	struct measured *measured = self;

	measured->result = measured->function(measured->self, context);
	return 0;
}

double run_in_loop_with(
	measured_in_loop function, void *self, const struct tmgr_loop_options *options)
{
	struct tmgr_manager *manager = tmgr_manager_create(
		&(struct tmgr_manager_options){ .when_quiet = TMGR_QUIET_RETURN });
	struct measured measured = { function, self, -1 };
	struct tmgr_loop_options full = *options;
	struct tmgr_loop *loop;

	full.main = call_measured;
	full.self = &measured;
	measure_check("loop", tmgr_loop_create(&full, &loop));
	tmgr_manager_add_task(manager, "loop", tmgr_loop_task(loop), TMGR_ERROR);
	tmgr_loop_unref(loop);
	measure_check("run", tmgr_manager_run(manager, NULL));
	tmgr_manager_destroy(manager);
	return measured.result;
}

double run_in_loop(measured_in_loop function, void *self)
{
	static const struct tmgr_loop_options options;

	return run_in_loop_with(function, self, &options);
}

void add_loop(struct tmgr_manager *manager, const char *name,
	int (*function)(void *self, struct tmgr_context *context), void *self)
{
	struct tmgr_loop_options options = { .main = function, .self = self };
	struct tmgr_loop *loop;

	measure_check("loop", tmgr_loop_create(&options, &loop));
	measure_check("adding a loop",
		tmgr_manager_add_task(manager, name, tmgr_loop_task(loop), TMGR_ERROR));
	tmgr_loop_unref(loop);
}
