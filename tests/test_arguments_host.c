/* A host of one's own: what it calls, and what is said to it. */
#include <errno.h>
#include <stdlib.h>

#include <taskmgr/host.h>
#include <taskmgr/manager.h>
#include <taskmgr/tasks/coroutine.h>
#include <taskmgr/tasks/loop.h>

#include "tests/support/expect.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static void nothing(void *self)
{
	(void)self;
}

/* Runs two tasks, one after the other, each to its end, on the thread of its own task. */
struct single {
	struct tmgr_executor host; /* first */
	struct latch given;
	struct tmgr_hosted *hosted[2];
	size_t count;
	bool exits; /* they are not run, but count as ended by pthread_exit() */
	int held;
};

static int single_hold(struct tmgr_executor *host, void **ret_place)
{
	struct single *single = (struct single *)host;

	single->held++;
	*ret_place = single;
	return 0;
}

static void single_start(struct tmgr_executor *host, void *place, struct tmgr_hosted *hosted)
{
	struct single *single = place;

	single->hosted[single->count++] = hosted;
	latch_arrive(&single->given);
}

static void single_start_all(struct tmgr_executor *host, struct tmgr_hosted *first)
{
	struct tmgr_hosted *none = NULL, *hosted;
	void *place;

	IS(tmgr_hosted_take(NULL, &place) == NULL, 1);
	IS(tmgr_hosted_take(&first, NULL) == NULL, 1);
	IS(tmgr_hosted_take(&none, &place) == NULL, 1);
	while ((hosted = tmgr_hosted_take(&first, &place)) != NULL)
		single_start(host, place, hosted);
	IS(first == NULL, 1);
}

static void single_join(struct tmgr_executor *host, void *owner, int result)
{
}

static void single_release(struct tmgr_executor *host, void *place)
{
	((struct single *)place)->held--;
}

static void single_post(struct tmgr_executor *host, struct tmgr_executor_call *call)
{
	call->function(call->self);
}

static void single_describe(struct tmgr_executor *host, char *buffer, size_t size)
{
	buffer[0] = '\0';
}

static const struct tmgr_executor_ops single_ops = {
	.hold = single_hold,
	.start = single_start,
	.join = single_join,
	.release = single_release,
	.post = single_post,
	.describe = single_describe,
};

static const struct tmgr_executor_ops single_ops_for_many = {
	.hold = single_hold,
	.start = single_start,
	.join = single_join,
	.release = single_release,
	.post = single_post,
	.describe = single_describe,
	.start_all = single_start_all,
};

/* Its memory is used again. */
static void of_a_strand_made_again(struct tmgr_context *context, struct tmgr_strand_setup setup)
{
	struct tmgr_context *strand;

	setup.owner = malloc(tmgr_strand_size());
	setup.release = nothing;
	strand = tmgr_strand_init(setup.owner, &setup);
	IS(tmgr_strand_begin(strand), 0);
	tmgr_strand_end(strand);
	tmgr_strand_unref(strand);
	tmgr_strand_init_again(strand, context, false);
	tmgr_strand_link(NULL);
	tmgr_strand_link(strand);
	IS(tmgr_token_fired(tmgr_strand_token(strand)), false);
	IS(tmgr_token_cancel(tmgr_strand_token(strand), 0, NULL), 0);
	IS(tmgr_strand_begin(strand), -ECANCELED);
	tmgr_strand_unref(strand);
	free(setup.owner);
}

static void of_strands(struct tmgr_context *context)
{
	struct tmgr_waiter waiter;
	struct tmgr_strand_setup setup = {
		.parent = context, .waiter = &waiter, .name = "strand", .release = free
	};
	struct tmgr_context *strand;

	tmgr_waiter_init(&waiter, tmgr_context_waiter(context)->ops, NULL);
	setup.owner = malloc(tmgr_strand_size());
	strand = tmgr_strand_init(setup.owner, &setup);
	IS(tmgr_strand_begin(strand), 0);
	IS(tmgr_context_current() == strand, 1);
	IS_TEXT(tmgr_context_name(strand), "strand");
	tmgr_strand_suspend(strand);
	IS(tmgr_context_current() == context, 1);
	IS(tmgr_strand_resume(strand, context), 0);
	IS(tmgr_context_current() == strand, 1);
	tmgr_strand_end(strand);
	IS(tmgr_context_current() == context, 1);
	tmgr_strand_unref(strand);

	setup.owner = malloc(tmgr_strand_size());
	strand = tmgr_strand_init(setup.owner, &setup);
	IS(tmgr_token_cancel(tmgr_strand_token(strand), 0, NULL), 0);
	IS(tmgr_strand_begin(strand), -ECANCELED);
	IS(tmgr_context_current() == context, 1);
	IS(tmgr_context_interrupted(strand), -ECANCELED);
	IS(tmgr_context_interrupted(context), 0);
	/* It goes with the manager. */
	tmgr_strand_keep_error(strand, -EIO);
	of_a_strand_made_again(context, setup);
}

static int single_execute(void *self, struct tmgr_context *context)
{
	struct single *single = self;
	struct tmgr_context *current;

	IS(tmgr_executor_enter(&single->host, NULL), -EINVAL);
	IS(tmgr_executor_enter(&single->host, context), 0);
	IS(tmgr_executor_enter(&single->host, context), -EBUSY);
	of_strands(context);
	IS(latch_arrived(&single->given, 2), 1);
	IS_TEXT(tmgr_context_name(tmgr_hosted_context(single->hosted[0])), "guest");
	IS_TEXT(tmgr_context_name(tmgr_hosted_context(single->hosted[1])), "other guest");
	IS(*tmgr_context_place() == context, 1);
	current = tmgr_context_switch(NULL);
	IS(current == context, 1);
	IS(*tmgr_context_place() == NULL, 1);
	for (size_t i = 0; i < single->count; i++) {
		if (single->exits)
			tmgr_hosted_exited(single->hosted[i]);
		else
			tmgr_hosted_run(single->hosted[i], tmgr_context_waiter(context)->ops, NULL);
	}
	tmgr_context_switch(current);
	tmgr_executor_leave(&single->host);
	tmgr_executor_leave(&single->host);
	IS(tmgr_manager_cancel(tmgr_context_manager(context)) <= 0, 1);
	return 0;
}

static bool single_runs(const void *self, const struct tmgr_executor *host)
{
	return host == &((const struct single *)self)->host;
}

static void run_single(const struct tmgr_executor_ops *host_ops, bool exits, int executed)
{
	static const struct tmgr_task_ops ops = {
		.kind = "single", .execute = single_execute, .runs = single_runs
	};
	struct single single = { .host = { .ops = host_ops }, .given = LATCH_INIT };
	struct probe probe = PROBE(.name = "guest", .end = PROBE_RETURNS);
	struct probe other = PROBE(.name = "other guest", .end = PROBE_RETURNS);
	struct tmgr_task_options options = { .loop = (struct tmgr_loop *)&single };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task task = { &ops, &single };

	single.exits = exits;
	IS(tmgr_task_runs(task, &single.host), true);
	IS(tmgr_task_runs(task, NULL), false);
	IS(tmgr_manager_add_task(manager, "single", task, TMGR_ERROR), 0);
	IS(tmgr_manager_add_task_with(manager, "guest", probe_task(&probe), TMGR_ERROR, &options),
		0);
	IS(tmgr_manager_add_task_with(
		   manager, "other guest", probe_task(&other), TMGR_ERROR, &options),
		0);
	IS(tmgr_manager_run(manager, NULL), -EIO);
	IS(single.held, 2);
	IS(probe.executed, executed);
	IS(probe.cleaned_up + other.cleaned_up, 2);
	IS(tmgr_manager_report(manager)->errors, exits ? 2 : 1);
	tmgr_manager_destroy(manager);
}

static void a_host_of_ones_own_runs_tasks(void **state)
{
	(void)state;
	wrong = 0;
	run_single(&single_ops, false, 1);
	run_single(&single_ops, true, 0);
	run_single(&single_ops_for_many, false, 1);
	run_single(&single_ops_for_many, true, 0);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_host_of_ones_own_runs_tasks),
	};

	return cmocka_run_group_tests_name("arguments host", tests, NULL, NULL);
}
