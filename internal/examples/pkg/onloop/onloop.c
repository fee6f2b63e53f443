#include "internal/examples/pkg/onloop/onloop.h"

#include <stdio.h>

static int run(struct tmgr_task task)
{
	const struct tmgr_manager_options options = {
		.when_quiet = TMGR_QUIET_RETURN,
		.take_signals = true,
	};
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	int r;

	tmgr_manager_add_task(manager, "loop", task, TMGR_ERROR);
	r = tmgr_manager_run(manager, NULL);
	tmgr_manager_destroy(manager);
	return r;
}

int onloop_main(int (*function)(void *self, struct tmgr_context *context))
{
	const struct tmgr_loop_options options = { .main = function };
	struct tmgr_loop *loop = NULL;
	int r = tmgr_loop_create(&options, &loop);

	if (r == 0)
		r = run(tmgr_loop_task(loop));
	tmgr_loop_unref(loop);
	if (r < 0)
		fprintf(stderr, "error: %s\n", tmgr_strerror(r));
	return r < 0;
}
