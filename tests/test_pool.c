#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/manager.h>

#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

#define MANY 500

static struct tmgr_manager *run_in_background(
	const struct tmgr_manager_options *options, struct probe *keeper, struct runner *runner)
{
	struct tmgr_manager *manager = tmgr_manager_create(options);

	*keeper = (struct probe)PROBE(.name = "keeper");
	assert_int_equal(
		tmgr_manager_add_task(manager, "keeper", probe_task(keeper), TMGR_STRICT), 0);
	runner_start(runner, manager, NULL);
	assert_true(latch_arrived(&keeper->executing, 1));
	return manager;
}

static int add(struct tmgr_manager *manager, struct probe *probe)
{
	return tmgr_manager_add_execute_task(
		manager, probe->name, probe_execute_task(probe), TMGR_ERROR);
}

static void stop(struct tmgr_manager *manager, struct runner *runner, int result)
{
	assert_int_equal(tmgr_manager_cancel(manager), 0);
	assert_int_equal(runner_join(runner), result);
	tmgr_manager_destroy(manager);
}

static size_t pool_threads(struct tmgr_manager *manager)
{
	struct tmgr_snapshot *snapshot = NULL;
	size_t n;

	if (tmgr_manager_snapshot(manager, &snapshot) != 0)
		return SIZE_MAX;
	n = snapshot->pool_threads;
	tmgr_snapshot_destroy(snapshot);
	return n;
}

/* Whether all its threads count as blocked. While something is queued that is looked at each tick. */
static bool is_blocked(void *argument)
{
	struct tmgr_snapshot *snapshot = NULL;
	bool is;

	if (tmgr_manager_snapshot(argument, &snapshot) != 0)
		return false;
	is = snapshot->pool_blocked == snapshot->pool_threads;
	tmgr_snapshot_destroy(snapshot);
	return is;
}

static bool is_stopping(void *argument)
{
	return tmgr_token_fired(tmgr_manager_token(argument));
}

static int pipe_ends[2];

/* Blocked in a call that is not ours, until the other end is closed. */
static int block_in_read(struct probe *probe, struct tmgr_context *context)
{
	char byte;

	(void)probe;
	(void)context;
	return read(pipe_ends[0], &byte, 1) < 0 ? -errno : 0;
}

static void five_hundred_blocked_for_ever_and_the_next_still_starts(void **state)
{
	struct probe *blocked = calloc(MANY, sizeof(*blocked));
	struct probe keeper, next = PROBE(.name = "next", .end = PROBE_RETURNS);
	struct tmgr_manager_options options = { .stack_size = 65536 };
	struct tmgr_manager *manager;
	struct runner runner;

	(void)state;
	assert_int_equal(pipe(pipe_ends), 0);
	manager = run_in_background(&options, &keeper, &runner);
	for (int i = 0; i < MANY; i++) {
		blocked[i] = (struct probe)PROBE(.name = "blocked", .on_execute = block_in_read,
			.end = PROBE_RETURNS);
		assert_int_equal(add(manager, &blocked[i]), 0);
	}
	assert_int_equal(add(manager, &next), 0);
	assert_true(latch_arrived(&next.executing, 1));
	for (int i = 0; i < MANY; i++)
		assert_true(latch_arrived(&blocked[i].executing, 1));
	assert_true(pool_threads(manager) >= MANY);
	close(pipe_ends[1]);
	stop(manager, &runner, 0);
	close(pipe_ends[0]);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(blocked[i].execute_ended, 1);
		assert_int_equal(blocked[i].destroyed, 1);
	}
	assert_int_equal(next.destroyed, 1);
	free(blocked);
}

static void tasks_that_wait_in_ours_do_not_hold_up_the_next(void **state)
{
	struct probe waiting[20], keeper, next = PROBE(.name = "next", .end = PROBE_RETURNS);
	struct tmgr_manager *manager;
	struct runner runner;

	(void)state;
	manager = run_in_background(NULL, &keeper, &runner);
	for (int i = 0; i < 20; i++) {
		waiting[i] = (struct probe)PROBE(.name = "waiting");
		assert_int_equal(add(manager, &waiting[i]), 0);
	}
	assert_int_equal(add(manager, &next), 0);
	assert_true(latch_arrived(&next.executing, 1));
	for (int i = 0; i < 20; i++)
		assert_true(latch_arrived(&waiting[i].executing, 1));
	stop(manager, &runner, 0);
}

static void at_the_maximum_adding_gives_eagain(void **state)
{
	struct latch hold = LATCH_INIT;
	struct probe held[3], keeper, refused = PROBE(.name = "refused");
	struct probe early = PROBE(.name = "early", .end = PROBE_RETURNS);
	struct tmgr_manager_options options = { .pool_threads_max = 3 };
	struct tmgr_manager *manager;
	struct runner runner;

	(void)state;
	manager = run_in_background(&options, &keeper, &runner);
	for (int i = 0; i < 3; i++) {
		held[i] = (struct probe)PROBE(.name = "held", .hold_execute = &hold,
			.end = PROBE_RETURNS);
		assert_int_equal(add(manager, &held[i]), 0);
		assert_true(latch_arrived(&held[i].executing, 1));
	}
	/* They are blocked once they are busy for longer than a tick. If the watcher is late with a
	 * tick it still has to do, one more is queued. */
	tmgr_sleep(NULL, 20 * TMGR_MILLISECOND);
	if (add(manager, &early) == 0)
		assert_true(eventually(is_blocked, manager));
	assert_int_equal(add(manager, &refused), -EAGAIN);
	assert_int_equal(refused.destroyed, 1);
	latch_open(&hold);
	stop(manager, &runner, 0);
	assert_int_equal(refused.executed, 0);
	assert_int_equal(early.destroyed, 1);
}

/* Neither the stop group it was to join nor its handle keeps anything of a task that was refused. */
static void what_is_refused_with_eagain_leaves_nothing_behind(void **state)
{
	struct latch hold = LATCH_INIT, leave = LATCH_INIT;
	struct probe member = PROBE(.name = "member", .hold_execute = &leave, .end = PROBE_RETURNS);
	struct probe held[2], refused = PROBE(.name = "refused");
	struct tmgr_manager_options options = { .pool_threads_max = 1 };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct tmgr_handle handle = { 0 };
	struct tmgr_task_options with_handle = { .ret_handle = &handle };
	struct runner runner;
	long live = 0;

	(void)state;
	assert_int_equal(
		tmgr_manager_add_task(manager, "member", probe_task(&member), TMGR_STOP_GROUP), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&leave, 1));
	for (int i = 0; i < 2; i++)
		held[i] = (struct probe)PROBE(.name = "held", .hold_execute = &hold,
			.end = PROBE_RETURNS);
	assert_int_equal(add(manager, &held[0]), 0);
	assert_true(latch_arrived(&hold, 1));
	/* As above: one more may be queued. */
	tmgr_sleep(NULL, 20 * TMGR_MILLISECOND);
	if (add(manager, &held[1]) == 0)
		assert_true(eventually(is_blocked, manager));
	for (int i = 0; i < 100; i++) {
		assert_int_equal(
			tmgr_manager_add_execute_task_with(manager, "refused",
				probe_execute_task(&refused), TMGR_STOP_GROUP, &with_handle),
			-EAGAIN);
		/* The first may have made the table of handles. */
		live = i == 0 ? fault_live() : live;
	}
	assert_int_equal(fault_live(), live);
	assert_ptr_equal(handle.manager, NULL);
	latch_open(&leave);
	/* The last of its group. */
	assert_true(eventually(is_stopping, manager));
	latch_open(&hold);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_GROUP_DONE);
	tmgr_manager_destroy(manager);
	assert_int_equal(refused.destroyed, 100);
}

static void with_a_queue_they_wait_and_start_when_a_thread_is_free(void **state)
{
	struct latch hold = LATCH_INIT;
	struct probe held[2], queued[4], keeper;
	struct tmgr_manager_options options = { .pool_threads_max = 2, .pool_queue_max = 3 };
	struct tmgr_manager *manager;
	struct tmgr_snapshot *snapshot;
	struct runner runner;

	(void)state;
	manager = run_in_background(&options, &keeper, &runner);
	for (int i = 0; i < 2; i++) {
		held[i] = (struct probe)PROBE(.name = "held", .hold_execute = &hold,
			.end = PROBE_RETURNS);
		assert_int_equal(add(manager, &held[i]), 0);
		assert_true(latch_arrived(&held[i].executing, 1));
	}
	for (int i = 0; i < 4; i++) {
		queued[i] = (struct probe)PROBE(.name = "queued", .end = PROBE_RETURNS);
		if (i == 3)
			assert_true(eventually(is_blocked, manager));
		assert_int_equal(add(manager, &queued[i]), i < 3 ? 0 : -EAGAIN);
	}
	assert_int_equal(tmgr_manager_snapshot(manager, &snapshot), 0);
	assert_int_equal(snapshot->pool_threads, 2);
	assert_int_equal(snapshot->pool_queued, 3);
	assert_int_equal(snapshot->pool_blocked, 2);
	tmgr_snapshot_destroy(snapshot);
	latch_open(&hold);
	for (int i = 0; i < 3; i++)
		assert_true(latch_arrived(&queued[i].executing, 1));
	stop(manager, &runner, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(queued[i].execute_ended, 1);
	assert_int_equal(queued[3].executed, 0);
}

static bool has_no_threads(void *argument)
{
	return pool_threads(argument) == 0;
}

static void idle_threads_end(void **state)
{
	struct probe keeper, once[8];
	struct latch hold = LATCH_INIT;
	struct tmgr_manager_options options = { .pool_idle_ns = 30 * TMGR_MILLISECOND };
	struct tmgr_manager *manager;
	struct runner runner;

	(void)state;
	manager = run_in_background(&options, &keeper, &runner);
	for (int i = 0; i < 8; i++) {
		once[i] = (struct probe)PROBE(.name = "once", .hold_execute = &hold,
			.end = PROBE_RETURNS);
		assert_int_equal(add(manager, &once[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		assert_true(latch_arrived(&once[i].executing, 1));
	latch_open(&hold);
	assert_true(eventually(has_no_threads, manager));
	/* And come again. */
	once[0] = (struct probe)PROBE(.name = "again", .end = PROBE_RETURNS);
	assert_int_equal(add(manager, &once[0]), 0);
	assert_true(latch_arrived(&once[0].executing, 1));
	stop(manager, &runner, 0);
}

struct load {
	struct tmgr_manager *manager;
	struct probe task;
};

/* One more short task each time it is asked: they keep one or two threads at work. */
static bool has_two_threads_under_load(void *argument)
{
	struct load *load = argument;

	return add(load->manager, &load->task) != 0 || pool_threads(load->manager) <= 2;
}

/* Who was idle last works first; so the others end, though there is work all the time. */
static void threads_that_a_burst_has_made_end_under_load(void **state)
{
	struct load load = { .task = PROBE(.name = "short", .end = PROBE_RETURNS) };
	struct tmgr_manager_options options = { .pool_idle_ns = 200 * TMGR_MILLISECOND };
	struct probe keeper, burst[8];
	struct latch hold = LATCH_INIT;
	struct runner runner;

	(void)state;
	load.manager = run_in_background(&options, &keeper, &runner);
	for (int i = 0; i < 8; i++) {
		burst[i] = (struct probe)PROBE(.name = "burst", .hold_execute = &hold,
			.end = PROBE_RETURNS);
		assert_int_equal(add(load.manager, &burst[i]), 0);
	}
	assert_true(latch_arrived(&hold, 8));
	assert_true(pool_threads(load.manager) >= 8);
	latch_open(&hold);
	assert_true(eventually(has_two_threads_under_load, &load));
	stop(load.manager, &runner, 0);
}

static void short_tasks_share_threads(void **state)
{
	struct probe keeper, *tasks = calloc(2000, sizeof(*tasks));
	struct tmgr_manager *manager;
	struct runner runner;
	int executed = 0;

	(void)state;
	manager = run_in_background(NULL, &keeper, &runner);
	for (int i = 0; i < 2000; i++) {
		tasks[i] = (struct probe)PROBE(.name = "short", .end = PROBE_RETURNS);
		assert_int_equal(add(manager, &tasks[i]), 0);
	}
	for (int i = 0; i < 2000; i++)
		assert_true(latch_arrived(&tasks[i].executing, 1));
	assert_true(pool_threads(manager) < 64);
	stop(manager, &runner, 0);
	for (int i = 0; i < 2000; i++)
		executed += tasks[i].executed == 1 && tasks[i].destroyed == 1;
	assert_int_equal(executed, 2000);
	free(tasks);
}

struct adder {
	struct tmgr_manager *manager;
	atomic_int *executed;
	int added;
};

static int count_one(void *self, struct tmgr_context *context)
{
	(void)context;
	atomic_fetch_add((atomic_int *)self, 1);
	return 0;
}

static void *add_many(void *argument)
{
	struct adder *adder = argument;

	for (int i = 0; i < 1000; i++)
		adder->added += tmgr_manager_add_execute_task(adder->manager, "one",
					tmgr_task_function(count_one, adder->executed),
					TMGR_ERROR) == 0;
	return NULL;
}

static bool all_executed(void *argument)
{
	return atomic_load((atomic_int *)argument) == 4000;
}

static void adding_from_several_threads_loses_none(void **state)
{
	atomic_int executed = 0;
	struct adder adders[4];
	pthread_t threads[4];
	struct probe keeper;
	struct tmgr_manager *manager;
	struct runner runner;

	(void)state;
	manager = run_in_background(NULL, &keeper, &runner);
	for (int i = 0; i < 4; i++) {
		adders[i] = (struct adder){ manager, &executed, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, &adders[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(adders[i].added, 1000);
	}
	assert_true(eventually(all_executed, &executed));
	stop(manager, &runner, 0);
}

static void pthread_exit_in_a_pool_task_is_an_unexpected_end(void **state)
{
	struct probe keeper, exits = PROBE(.name = "exits", .end = PROBE_EXITS);
	struct tmgr_manager *manager;
	struct runner runner;

	(void)state;
	manager = run_in_background(NULL, &keeper, &runner);
	assert_int_equal(add(manager, &exits), 0);
	assert_int_equal(runner_join(&runner), -TMGR_EUNEXPECTED);
	assert_string_equal(tmgr_manager_report(manager)->cause->name, "exits");
	tmgr_manager_destroy(manager);
	assert_int_equal(exits.destroyed, 1);
	assert_int_equal(keeper.cleaned_up, 1);
}

static void pthread_exit_in_a_thread_task_is_an_unexpected_end(void **state)
{
	struct probe keeper = PROBE(.name = "keeper");
	struct probe exits = PROBE(.name = "exits", .end = PROBE_EXITS);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)state;
	assert_int_equal(
		tmgr_manager_add_task(manager, "keeper", probe_task(&keeper), TMGR_STRICT), 0);
	assert_int_equal(
		tmgr_manager_add_task(manager, "exits", probe_task(&exits), TMGR_ERROR), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), -TMGR_EUNEXPECTED);
	assert_string_equal(tmgr_manager_report(manager)->cause->name, "exits");
	assert_int_equal(tmgr_manager_report(manager)->stuck, 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(exits.cleaned_up, 1);
	assert_int_equal(exits.destroyed, 1);
}

static sigset_t mask_seen;
static size_t stack_seen;
static char name_seen[16];
static bool alternate_seen;

static int look_at_thread(struct probe *probe, struct tmgr_context *context)
{
	pthread_attr_t attributes;
	stack_t alternate;

	(void)probe;
	(void)context;
	pthread_sigmask(SIG_SETMASK, NULL, &mask_seen);
	pthread_getattr_np(pthread_self(), &attributes);
	pthread_attr_getstacksize(&attributes, &stack_seen);
	pthread_attr_destroy(&attributes);
	pthread_getname_np(pthread_self(), name_seen, sizeof(name_seen));
	sigaltstack(NULL, &alternate);
	alternate_seen = !(alternate.ss_flags & SS_DISABLE);
	return 0;
}

static void threads_have_the_tasks_name_its_stack_and_blocked_signals(void **state)
{
	struct probe looks = PROBE(.name = "looks", .on_execute = look_at_thread,
		.end = PROBE_RETURNS);
	struct tmgr_task_options task_options = { .stack_size = 256 * 1024 };
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);

	(void)state;
	assert_int_equal(tmgr_manager_add_task_with(manager, "a-name-that-is-long",
				 probe_task(&looks), TMGR_ERROR, &task_options),
		0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(strncmp(name_seen, "a-name-that-is-long", 15), 0);
	assert_true(stack_seen >= 256 * 1024 && stack_seen < 1024 * 1024);
	assert_true(alternate_seen);
	assert_true(sigismember(&mask_seen, SIGTERM));
	assert_true(sigismember(&mask_seen, SIGINT));
	assert_true(sigismember(&mask_seen, SIGHUP));
	assert_true(sigismember(&mask_seen, SIGPIPE));
	assert_true(sigismember(&mask_seen, SIGUSR1));
	assert_false(sigismember(&mask_seen, SIGSEGV));
	assert_false(sigismember(&mask_seen, SIGABRT));
	assert_false(sigismember(&mask_seen, SIGBUS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(five_hundred_blocked_for_ever_and_the_next_still_starts),
		leak_test(tasks_that_wait_in_ours_do_not_hold_up_the_next),
		leak_test(at_the_maximum_adding_gives_eagain),
		leak_test(what_is_refused_with_eagain_leaves_nothing_behind),
		leak_test(with_a_queue_they_wait_and_start_when_a_thread_is_free),
		leak_test(idle_threads_end),
		leak_test(threads_that_a_burst_has_made_end_under_load),
		leak_test(short_tasks_share_threads),
		leak_test(adding_from_several_threads_loses_none),
		leak_test(pthread_exit_in_a_pool_task_is_an_unexpected_end),
		leak_test(pthread_exit_in_a_thread_task_is_an_unexpected_end),
		leak_test(threads_have_the_tasks_name_its_stack_and_blocked_signals),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
