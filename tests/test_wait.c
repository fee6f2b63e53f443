/*
 * The waits that need no object, and the rules that all waits share.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <taskmgr/channel.h>
#include <taskmgr/manager.h>

#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static long seen[16];
static int ends[2];

/* Run one task that does this; it is stopped once it waits, if it does. */
static int run_task(probe_function *function, const char *waits)
{
	struct probe task = PROBE(.name = "task", .on_execute = function, .end = PROBE_RETURNS);
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct runner runner;
	int r;

	memset(seen, 0x55, sizeof(seen));
	assert_int_equal(tmgr_manager_add_task(manager, "task", probe_task(&task), TMGR_ERROR), 0);
	runner_start(&runner, manager, NULL);
	if (waits != NULL) {
		assert_true(task_waits(manager, "task", waits));
		assert_int_equal(tmgr_manager_cancel(manager), 0);
	}
	r = runner_join(&runner);
	tmgr_manager_destroy(manager);
	return r;
}

static void a_sleep_without_context_lasts_as_long_as_it_should(void **state)
{
	int64_t end = tmgr_after(20 * TMGR_MILLISECOND);

	(void)state;
	assert_int_equal(tmgr_sleep(NULL, 20 * TMGR_MILLISECOND), 0);
	assert_true(tmgr_now() >= end);
	end = tmgr_after(20 * TMGR_MILLISECOND);
	assert_int_equal(tmgr_sleep_until(NULL, end), 0);
	assert_true(tmgr_now() >= end);
	assert_int_equal(tmgr_sleep_until(NULL, end), 0);
}

static int sleep_in_all_ways(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	seen[0] = tmgr_sleep(context, TMGR_MILLISECOND);
	seen[1] = tmgr_sleep(context, TMGR_HOUR);
	seen[2] = tmgr_sleep(context, 0);
	seen[3] = tmgr_sleep_until(context, TMGR_NOW);
	seen[4] = tmgr_yield(context);
	seen[5] = tmgr_sleep_until(context, TMGR_NEVER);
	return 0;
}

static void a_cancel_ends_sleeps_and_those_begun_later(void **state)
{
	(void)state;
	/* "sleep" may be seen in the first one too: then the second is never begun before the
	 * cancel. */
	assert_int_equal(run_task(sleep_in_all_ways, "sleep"), 0);
	assert_true(seen[0] == 0 || seen[0] == -ECANCELED);
	for (int i = 1; i < 6; i++)
		assert_int_equal(seen[i], -ECANCELED);
}

static int wait_for_pipe(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	seen[0] = tmgr_wait_fd(context, ends[0], TMGR_FD_READ, TMGR_NOW);
	seen[1] = tmgr_wait_fd(context, ends[0], TMGR_FD_READ, tmgr_after(10 * TMGR_MILLISECOND));
	seen[2] = tmgr_wait_fd(context, ends[1], TMGR_FD_WRITE | TMGR_FD_READ, TMGR_NEVER);
	seen[3] = write(ends[1], "x", 1);
	seen[4] = tmgr_wait_fd(context, ends[0], TMGR_FD_READ, TMGR_NEVER);
	return 0;
}

static void a_descriptor_is_waited_for_until_it_is_ready_or_late(void **state)
{
	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(run_task(wait_for_pipe, NULL), 0);
	assert_int_equal(seen[0], -ETIMEDOUT);
	assert_int_equal(seen[1], -ETIMEDOUT);
	assert_int_equal(seen[2], TMGR_FD_WRITE);
	assert_int_equal(seen[3], 1);
	assert_int_equal(seen[4], TMGR_FD_READ);
	close(ends[0]);
	close(ends[1]);
}

static int wait_for_cancel(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	seen[0] = tmgr_wait_fd(context, ends[0], TMGR_FD_READ, TMGR_NEVER);
	seen[1] = tmgr_wait_fd(context, ends[1], TMGR_FD_WRITE, TMGR_NOW);
	return 0;
}

static void a_cancel_ends_the_wait_for_a_descriptor_and_later_ones_take_nothing(void **state)
{
	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(run_task(wait_for_cancel, "descriptor"), 0);
	assert_int_equal(seen[0], -ECANCELED);
	assert_int_equal(seen[1], -ECANCELED);
	close(ends[0]);
	close(ends[1]);
}

static int wait_for_hangup(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	close(ends[1]);
	seen[0] = tmgr_wait_fd(context, ends[0], TMGR_FD_READ, TMGR_NEVER);
	seen[1] = tmgr_wait_fd(context, ends[0], TMGR_FD_READ | TMGR_FD_WRITE, TMGR_NEVER);
	return 0;
}

static void a_hang_up_counts_as_both(void **state)
{
	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(run_task(wait_for_hangup, NULL), 0);
	assert_int_equal(seen[0], TMGR_FD_READ);
	assert_int_equal(seen[1], TMGR_FD_READ | TMGR_FD_WRITE);
	close(ends[0]);
}

static int wait_for_file(struct probe *probe, struct tmgr_context *context)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int before = leak_descriptors();

	(void)probe;
	seen[0] = tmgr_wait_fd(context, fd, TMGR_FD_READ, TMGR_NEVER);
	seen[1] = tmgr_wait_fd(context, fd, TMGR_FD_READ | TMGR_FD_WRITE, TMGR_NEVER);
	seen[2] = leak_descriptors() - before;
	close(fd);
	return 0;
}

static void a_regular_file_is_ready_at_once_and_costs_no_descriptor(void **state)
{
	(void)state;
	assert_int_equal(run_task(wait_for_file, NULL), 0);
	assert_int_equal(seen[0], TMGR_FD_READ);
	assert_int_equal(seen[1], TMGR_FD_READ | TMGR_FD_WRITE);
	assert_int_equal(seen[2], 0);
}

static int wait_twice_and_count(struct probe *probe, struct tmgr_context *context)
{
	int before = leak_descriptors();

	(void)probe;
	seen[1] = 0;
	/* One that is late before it waits makes none. */
	for (int64_t ns = TMGR_MILLISECOND; ns < TMGR_MINUTE && seen[1] == 0; ns *= 2) {
		seen[0] = tmgr_wait_fd(context, ends[0], TMGR_FD_READ, tmgr_after(ns));
		seen[1] = leak_descriptors() - before;
	}
	seen[2] = tmgr_wait_fd(context, ends[0], TMGR_FD_READ, tmgr_after(TMGR_MILLISECOND));
	seen[3] = leak_descriptors() - before;
	return 0;
}

static void a_thread_makes_one_descriptor_for_all_its_waits(void **state)
{
	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(run_task(wait_twice_and_count, NULL), 0);
	assert_int_equal(seen[0], -ETIMEDOUT);
	assert_int_equal(seen[2], -ETIMEDOUT);
	assert_int_equal(seen[1], 1);
	assert_int_equal(seen[3], 1);
	close(ends[0]);
	close(ends[1]);
}

static int wait_without_descriptors(struct probe *probe, struct tmgr_context *context)
{
	struct rlimit old, none;

	(void)probe;
	getrlimit(RLIMIT_NOFILE, &old);
	/* Nothing above 0 to 2 may be opened; what is open stays so. */
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	seen[0] = tmgr_wait_fd(context, ends[0], TMGR_FD_READ, tmgr_after(TMGR_SECOND));
	setrlimit(RLIMIT_NOFILE, &old);
	return 0;
}

static void without_a_descriptor_left_the_wait_says_so(void **state)
{
	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(run_task(wait_without_descriptors, NULL), 0);
	assert_int_equal(seen[0], -EMFILE);
	close(ends[0]);
	close(ends[1]);
}

static int wait_uninterrupted(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	tmgr_sleep_until(context, TMGR_NEVER);
	tmgr_uninterrupted_begin(context, tmgr_after(TMGR_HOUR));
	seen[1] = tmgr_sleep(context, TMGR_MILLISECOND);
	seen[9] = tmgr_yield(context);
	tmgr_uninterrupted_end(context);
	seen[10] = tmgr_yield(context);
	seen[0] = tmgr_uninterrupted_begin(context, tmgr_after(20 * TMGR_MILLISECOND));
	seen[2] = tmgr_uninterrupted_begin(context, tmgr_after(TMGR_HOUR));
	seen[3] = tmgr_sleep(context, TMGR_HOUR); /* the outermost's deadline holds */
	seen[4] = tmgr_uninterrupted_end(context);
	seen[5] = tmgr_sleep(context, TMGR_HOUR);
	seen[6] = tmgr_uninterrupted_end(context);
	seen[7] = tmgr_uninterrupted_end(context);
	seen[8] = tmgr_sleep(context, TMGR_HOUR);
	return 0;
}

static void in_an_uninterrupted_scope_only_its_own_deadline_ends_waits(void **state)
{
	(void)state;
	assert_int_equal(run_task(wait_uninterrupted, "sleep"), 0);
	assert_int_equal(seen[0], 0);
	assert_int_equal(seen[1], 0);
	assert_int_equal(seen[2], 0);
	assert_int_equal(seen[3], -ETIMEDOUT);
	assert_int_equal(seen[4], 0);
	assert_int_equal(seen[5], -ETIMEDOUT);
	assert_int_equal(seen[6], 0);
	assert_int_equal(seen[7], -EINVAL);
	assert_int_equal(seen[8], -ECANCELED);
	assert_int_equal(seen[9], 0);
	assert_int_equal(seen[10], -ECANCELED);
}

static int sleep_under(void *self, struct tmgr_context *context)
{
	long *slot = self;

	*slot = tmgr_sleep(context, TMGR_HOUR);
	slot[1] = tmgr_context_current() == context;
	return (int)*slot;
}

static int execute_under_a_deadline(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_token *token;
	struct tmgr_cause cause = { 0 };
	struct tmgr_task task = tmgr_task_function(sleep_under, &seen[0]);

	(void)probe;
	tmgr_token_create(tmgr_context_token(context), &token);
	tmgr_token_set_deadline(token, tmgr_after(20 * TMGR_MILLISECOND));
	seen[2] = tmgr_task_execute_under(task, context, token);
	tmgr_task_destroy(task);
	seen[3] = tmgr_token_cause(token, &cause);
	seen[4] = cause.reason;
	seen[5] = tmgr_context_cancelled(context);
	seen[6] = tmgr_sleep(context, TMGR_MILLISECOND);
	seen[7] = tmgr_context_current() == context;
	tmgr_token_unref(token);
	return 0;
}

static void a_tokens_own_deadline_cancels_and_the_reason_says_so(void **state)
{
	(void)state;
	assert_int_equal(run_task(execute_under_a_deadline, NULL), 0);
	assert_int_equal(seen[0], -ECANCELED);
	assert_int_equal(seen[1], 1);
	assert_int_equal(seen[2], -ECANCELED);
	assert_int_equal(seen[3], 0);
	assert_int_equal(seen[4], TMGR_REASON_DEADLINE);
	assert_int_equal(seen[5], 0);
	assert_int_equal(seen[6], 0);
	assert_int_equal(seen[7], 1);
}

/* A token that no watcher looks at: the wait itself notices that its time has passed. */
static int execute_under_a_late_one(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_task task = tmgr_task_function(sleep_under, &seen[0]);
	struct tmgr_cause cause = { 0 };
	struct tmgr_token *token;

	(void)probe;
	tmgr_token_create(NULL, &token);
	tmgr_token_set_deadline(token, tmgr_now() - TMGR_SECOND);
	seen[2] = tmgr_task_execute_under(task, context, token);
	tmgr_task_destroy(task);
	seen[3] = tmgr_token_cause(token, &cause);
	seen[4] = cause.reason;
	tmgr_token_unref(token);
	return 0;
}

static void a_wait_begun_after_its_tokens_deadline_is_cancelled(void **state)
{
	(void)state;
	assert_int_equal(run_task(execute_under_a_late_one, NULL), 0);
	assert_int_equal(seen[0], -ECANCELED);
	assert_int_equal(seen[2], -ECANCELED);
	assert_int_equal(seen[3], 0);
	assert_int_equal(seen[4], TMGR_REASON_DEADLINE);
}

/* Several that serve connections, say; who stops serving fires it. */
struct shared_token {
	struct tmgr_token *token;
	struct latch both;
};

static int sleep_in_shared(void *self, struct tmgr_context *context)
{
	struct shared_token *shared = self;

	latch_wait(&shared->both);
	return tmgr_sleep(context, TMGR_HOUR);
}

static int execute_under_a_shared_one(struct probe *probe, struct tmgr_context *context)
{
	struct shared_token *shared = probe->user;
	struct tmgr_task task = tmgr_task_function(sleep_in_shared, shared);
	int r = tmgr_task_execute_under(task, context, shared->token);

	tmgr_task_destroy(task);
	return r == -ECANCELED ? 0 : -EPROTO;
}

static void two_threads_may_wait_under_one_token(void **state)
{
	struct shared_token shared = { .both = LATCH_INIT };
	struct probe one = PROBE(.name = "one", .on_execute = execute_under_a_shared_one,
		.end = PROBE_RETURNS, .user = &shared);
	struct probe two = PROBE(.name = "two", .on_execute = execute_under_a_shared_one,
		.end = PROBE_RETURNS, .user = &shared);
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct runner runner;

	(void)state;
	tmgr_token_create(NULL, &shared.token);
	assert_int_equal(tmgr_manager_add_task(manager, "one", probe_task(&one), TMGR_ERROR), 0);
	assert_int_equal(tmgr_manager_add_task(manager, "two", probe_task(&two), TMGR_ERROR), 0);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&shared.both, 2));
	latch_open(&shared.both);
	assert_true(task_waits(manager, "one", "sleep"));
	assert_true(task_waits(manager, "two", "sleep"));
	assert_int_equal(tmgr_token_cancel(shared.token, 0, NULL), 0);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	tmgr_token_unref(shared.token);
}

static void note_fired(void *self)
{
	latch_arrive(self);
}

static int wait_for_timer(struct probe *probe, struct tmgr_context *context)
{
	static struct latch fired;
	struct tmgr_token_callback callback;
	struct tmgr_token *token;

	(void)probe;
	latch_init(&fired);
	tmgr_token_create(tmgr_context_token(context), &token);
	tmgr_token_register(token, &callback, note_fired, &fired);
	tmgr_token_set_deadline(token, tmgr_after(10 * TMGR_MILLISECOND));
	/* Of two the earlier holds. */
	tmgr_token_set_deadline(token, tmgr_after(TMGR_HOUR));
	seen[0] = latch_arrived(&fired, 1);
	tmgr_token_unregister(&callback);
	tmgr_token_unref(token);
	return 0;
}

static void the_watcher_fires_tokens_whose_time_has_come_though_nobody_waits(void **state)
{
	(void)state;
	assert_int_equal(run_task(wait_for_timer, NULL), 0);
	assert_int_equal(seen[0], 1);
}

static int note_itself(struct probe *probe, struct tmgr_context *context)
{
	char cut[3];

	(void)probe;
	seen[0] = tmgr_context_current() == context;
	seen[1] = strcmp(tmgr_context_name(context), "task");
	seen[2] = (long)tmgr_context_path(context, cut, sizeof(cut));
	seen[3] = strcmp(cut, "ta");
	seen[4] = tmgr_fail(context, -EIO, "first %d", 1);
	seen[5] = tmgr_fail(context, -ENOSPC, "second %d", 2);
	seen[6] = strcmp(tmgr_context_error_text(context), "second 2");
	seen[7] = (long)(tmgr_context_stop_timeout(context) / TMGR_SECOND);
	tmgr_context_set_stop_timeout(context, TMGR_SECOND);
	seen[8] = (long)(tmgr_context_stop_timeout(context) / TMGR_SECOND);
	/* Nobody has more than all have together. */
	tmgr_context_set_stop_timeout(context, TMGR_HOUR);
	seen[9] = (long)(tmgr_context_stop_timeout(context) / TMGR_SECOND);
	return 0;
}

static void a_context_knows_its_task(void **state)
{
	(void)state;
	assert_int_equal(run_task(note_itself, NULL), 0);
	assert_int_equal(seen[0], 1);
	assert_int_equal(seen[1], 0);
	assert_int_equal(seen[2], 4);
	assert_int_equal(seen[3], 0);
	assert_int_equal(seen[4], -EIO);
	assert_int_equal(seen[5], -ENOSPC);
	assert_int_equal(seen[6], 0);
	assert_int_equal(seen[7], 25);
	assert_int_equal(seen[8], 1);
	assert_int_equal(seen[9], 25);
}

static int keep_value(struct probe *probe, struct tmgr_context *context)
{
	return tmgr_context_set_value(context, &probe->user);
}

static int compare_value(struct probe *probe, struct tmgr_context *context)
{
	return tmgr_context_value(context) == &probe->user ? 0 : -EPROTO;
}

static void a_value_is_kept_over_all_phases(void **state)
{
	struct probe task = PROBE(.name = "task", .on_initialize = keep_value,
		.on_execute = compare_value, .on_cleanup = compare_value, .end = PROBE_RETURNS);
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "task", probe_task(&task), TMGR_ERROR), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
}

#define ROUNDS 20000

static struct {
	atomic_uint begun, fired; /* rounds */
	_Atomic(struct tmgr_token *) token;
	unsigned lost;
} race;

static int sleep_long(void *self, struct tmgr_context *context)
{
	(void)self;
	return tmgr_sleep(context, 30 * TMGR_SECOND);
}

static const struct tmgr_task_ops sleep_long_ops = { .execute = sleep_long };

/* One wait a round, begun just when the other thread fires its token. */
static int begin_waits(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_task task = { &sleep_long_ops, NULL };

	(void)probe;
	for (unsigned round = 1; round <= ROUNDS && race.lost == 0; round++) {
		struct tmgr_token *token;

		if (tmgr_token_create(tmgr_context_token(context), &token) < 0)
			return -ENOMEM;
		atomic_store(&race.token, token);
		atomic_store(&race.begun, round);
		race.lost += tmgr_task_execute_under(task, context, token) != -ECANCELED;
		while (atomic_load(&race.fired) != round)
			sched_yield();
		tmgr_token_unref(token);
	}
	atomic_store(&race.begun, UINT_MAX);
	return 0;
}

static void a_cancel_that_comes_just_as_a_wait_begins_is_not_lost(void **state)
{
	struct probe task = PROBE(.name = "task", .on_execute = begin_waits, .end = PROBE_RETURNS);
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct runner runner;
	unsigned round, done = 0;

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "task", probe_task(&task), TMGR_ERROR), 0);
	runner_start(&runner, manager, NULL);
	while ((round = atomic_load(&race.begun)) != UINT_MAX) {
		if (round == done) {
			sched_yield();
			continue;
		}
		/* A little later each time, over all of what a wait does before it sleeps. */
		for (volatile unsigned i = 0; i < round % 200; i++)
			;
		tmgr_token_cancel(atomic_load(&race.token), 0, NULL);
		done = round;
		atomic_store(&race.fired, round);
	}
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(race.lost, 0);
	tmgr_manager_destroy(manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_sleep_without_context_lasts_as_long_as_it_should),
		leak_test(a_cancel_ends_sleeps_and_those_begun_later),
		leak_test(a_descriptor_is_waited_for_until_it_is_ready_or_late),
		leak_test(a_cancel_ends_the_wait_for_a_descriptor_and_later_ones_take_nothing),
		leak_test(a_hang_up_counts_as_both),
		leak_test(a_regular_file_is_ready_at_once_and_costs_no_descriptor),
		leak_test(a_thread_makes_one_descriptor_for_all_its_waits),
		leak_test(without_a_descriptor_left_the_wait_says_so),
		leak_test(in_an_uninterrupted_scope_only_its_own_deadline_ends_waits),
		leak_test(a_tokens_own_deadline_cancels_and_the_reason_says_so),
		leak_test(a_wait_begun_after_its_tokens_deadline_is_cancelled),
		leak_test(two_threads_may_wait_under_one_token),
		leak_test(the_watcher_fires_tokens_whose_time_has_come_though_nobody_waits),
		leak_test(a_context_knows_its_task),
		leak_test(a_value_is_kept_over_all_phases),
		leak_test(a_cancel_that_comes_just_as_a_wait_begins_is_not_lost),
	};

	return cmocka_run_group_tests_name("wait", tests, NULL, NULL);
}
