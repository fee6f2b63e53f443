/*
 * What all tasks have in common that wrap others: they nest in any order, pass on what they do not
 * change, and own what they are given.
 */
#include <errno.h>
#include <signal.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/fault.h"
#include "tests/support/hosted.h"
#include "tests/support/leak.h"

static struct tmgr_task in_retry(struct tmgr_task task)
{
	const struct tmgr_retry_options once = {
		.backoff_ns = TMGR_RETRY_NONE,
		.restarts_max = 1,
	};

	return tmgr_retry(task, &once);
}

static struct tmgr_task in_interval(struct tmgr_task task)
{
	return tmgr_interval(task, TMGR_MILLISECOND, NULL);
}

static struct tmgr_task in_interruptible(struct tmgr_task task)
{
	return tmgr_interruptible(task, SIGUSR1);
}

static struct tmgr_task in_force_stop(struct tmgr_task task)
{
	return tmgr_force_stop(task, TMGR_MINUTE);
}

static struct tmgr_task in_timeout(struct tmgr_task task)
{
	return tmgr_timeout(task, TMGR_HOUR);
}

static struct tmgr_task in_sequence(struct tmgr_task task)
{
	return tmgr_sequence(&task, 1);
}

static struct tmgr_task in_parallel(struct tmgr_task task)
{
	return tmgr_parallel(&task, 1);
}

static const struct {
	const char *kind;
	struct tmgr_task (*wrap)(struct tmgr_task task);
} wrappers[] = {
	{ "retry", in_retry },
	{ "interval", in_interval },
	{ "interruptible", in_interruptible },
	{ "force stop", in_force_stop },
	{ "timeout", in_timeout },
	{ "sequence", in_sequence },
	{ "parallel", in_parallel },
};

#define WRAPPERS (sizeof(wrappers) / sizeof(wrappers[0]))

static struct tmgr_task bad_retry(struct tmgr_task task)
{
	const struct tmgr_retry_options options = { .backoff_ns = -2 };

	return tmgr_retry(task, &options);
}

static struct tmgr_task bad_interval(struct tmgr_task task)
{
	return tmgr_interval(task, 0, NULL);
}

static struct tmgr_task bad_interruptible(struct tmgr_task task)
{
	return tmgr_interruptible(task, SIGKILL);
}

static struct tmgr_task bad_force_stop(struct tmgr_task task)
{
	return tmgr_force_stop(task, 0);
}

static struct tmgr_task bad_timeout(struct tmgr_task task)
{
	return tmgr_timeout(task, 0);
}

static struct tmgr_task (*const bad[])(struct tmgr_task task) = {
	bad_retry,
	bad_interval,
	bad_interruptible,
	bad_force_stop,
	bad_timeout,
};

#define BAD (sizeof(bad) / sizeof(bad[0]))

static void each_says_what_kind_it_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < WRAPPERS; i++) {
		struct probe probe = PROBE(.name = "t");
		struct tmgr_task task = wrappers[i].wrap(probe_task(&probe));

		assert_string_equal(tmgr_task_kind(task), wrappers[i].kind);
		tmgr_task_destroy(task);
		assert_int_equal(atomic_load(&probe.destroyed), 1);
	}
}

static void each_two_nest_and_a_stop_goes_through_to_what_they_wrap(void **state)
{
	(void)state;
	for (size_t i = 0; i < WRAPPERS * WRAPPERS; i++) {
		struct recorder recorder = RECORDER_INIT;
		struct probe probe = PROBE(.name = "t", .recorder = &recorder);
		struct hosted hosted;
		struct ending ending;

		hosted_start(&hosted, wrappers[i / WRAPPERS].wrap(
					      wrappers[i % WRAPPERS].wrap(probe_task(&probe))));
		assert_true(latch_arrived(&probe.executing, 1));
		ending = hosted_stop(&hosted);
		if (ending.result != 0)
			print_error("%s of %s\n", wrappers[i / WRAPPERS].kind,
				wrappers[i % WRAPPERS].kind);
		assert_int_equal(ending.result, 0);
		assert_string_equal(recorder_text(&recorder), "+t t -t ~t");
	}
}

static void each_two_nest_and_an_error_comes_out_with_its_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < WRAPPERS * WRAPPERS; i++) {
		struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS,
			.execute_result = -EIO, .fail_text = "the reason");
		struct ending ending = hosted_run(wrappers[i / WRAPPERS].wrap(
			wrappers[i % WRAPPERS].wrap(probe_task(&probe))));

		if (ending.result != -EIO)
			print_error("%s of %s\n", wrappers[i / WRAPPERS].kind,
				wrappers[i % WRAPPERS].kind);
		assert_int_equal(ending.result, -EIO);
		assert_string_equal(ending.text, "the reason");
		assert_int_equal(ending.errors, 1);
		assert_int_equal(atomic_load(&probe.cleaned_up), atomic_load(&probe.initialized));
		assert_int_equal(atomic_load(&probe.destroyed), 1);
	}
}

static void each_two_nest_and_an_initialize_that_fails_comes_out_with_its_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < WRAPPERS * WRAPPERS; i++) {
		struct probe probe = PROBE(.name = "t", .initialize_result = -EACCES,
			.fail_text = "the reason");
		struct ending ending = hosted_run(wrappers[i / WRAPPERS].wrap(
			wrappers[i % WRAPPERS].wrap(probe_task(&probe))));

		assert_int_equal(ending.result, -EACCES);
		assert_string_equal(ending.text, "the reason");
		assert_int_equal(atomic_load(&probe.initialized), 1);
		assert_int_equal(atomic_load(&probe.executed), 0);
		assert_int_equal(atomic_load(&probe.cleaned_up), 0);
		assert_int_equal(atomic_load(&probe.destroyed), 1);
	}
}

static void all_of_them_nest_at_once(void **state)
{
	struct recorder recorder = RECORDER_INIT;
	struct probe probe = PROBE(.name = "t", .recorder = &recorder);
	struct tmgr_task task = probe_task(&probe);
	struct hosted hosted;

	(void)state;
	for (size_t i = 0; i < 2 * WRAPPERS; i++)
		task = wrappers[i % WRAPPERS].wrap(task);
	hosted_start(&hosted, task);
	assert_true(latch_arrived(&probe.executing, 1));
	assert_int_equal(hosted_stop(&hosted).result, 0);
	assert_string_equal(recorder_text(&recorder), "+t t -t ~t");
}

static void phases_are_those_of_what_is_wrapped(void **state)
{
	const struct {
		struct tmgr_task (*make)(struct probe *probe);
		int error;
	} kinds[] = { { probe_execute_task, 0 }, { probe_task, -EINVAL } };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)state;
	for (size_t i = 0; i < WRAPPERS * 2; i++) {
		struct probe probe = PROBE(.name = "t");
		struct tmgr_task bare = kinds[i % 2].make(&probe);
		struct tmgr_task task = wrappers[i / 2].wrap(bare);

		assert_int_equal(tmgr_task_phases(task), tmgr_task_phases(bare));
		assert_int_equal(tmgr_manager_add_execute_task(manager, "job", task, TMGR_ERROR),
			kinds[i % 2].error);
		if (kinds[i % 2].error == 0) {
			/* Destroyed with the manager, before the probe is gone. */
			tmgr_manager_destroy(manager);
			manager = tmgr_manager_create(NULL);
		}
		assert_int_equal(atomic_load(&probe.destroyed), 1);
	}
	tmgr_manager_destroy(manager);
}

static void what_runs_something_again_needs_something_to_execute(void **state)
{
	(void)state;
	for (size_t i = 0; i < WRAPPERS; i++) {
		struct probe probe = PROBE(.name = "t");
		struct tmgr_task task = wrappers[i].wrap(probe_initialize_only(&probe));
		bool passes = wrappers[i].wrap == in_force_stop ||
			      wrappers[i].wrap == in_sequence || wrappers[i].wrap == in_parallel;

		assert_int_equal(tmgr_task_error(task), passes ? 0 : -EINVAL);
		tmgr_task_destroy(task);
		assert_int_equal(atomic_load(&probe.destroyed), 1);
	}
}

static void bad_arguments_destroy_what_was_given_and_say_the_rule(void **state)
{
	(void)state;
	for (size_t i = 0; i < BAD * WRAPPERS; i++) {
		struct probe probe = PROBE(.name = "t");
		struct tmgr_task task = bad[i / WRAPPERS](
			wrappers[i % WRAPPERS].wrap(probe_task(&probe)));

		assert_int_equal(tmgr_task_error(task), -EINVAL);
		assert_non_null(tmgr_task_rule(task));
		assert_int_equal(atomic_load(&probe.destroyed), 1);
		/* It has no memory: destroying it, or not, is the same. */
		tmgr_task_destroy(task);
		assert_int_equal(atomic_load(&probe.destroyed), 1);
	}
}

static void a_refused_task_is_passed_on_as_it_is(void **state)
{
	static const struct tmgr_refusal mine = { -ENODEV, "there is a device" };

	(void)state;
	for (size_t i = 0; i < WRAPPERS; i++) {
		struct tmgr_task task = wrappers[i].wrap(tmgr_task_refused(&mine));

		assert_int_equal(tmgr_task_error(task), -ENODEV);
		assert_ptr_equal(tmgr_task_rule(task), mine.rule);
	}
	/* The first mistake counts, also when there is a second. */
	for (size_t i = 0; i < BAD; i++)
		assert_int_equal(tmgr_task_error(bad[i](tmgr_task_refused(&mine))), -ENODEV);
}

static void count_destroy(void *self)
{
	++*(int *)self;
}

static void a_task_without_functions_is_refused_and_destroyed_once(void **state)
{
	static const struct tmgr_task_ops nothing = { .destroy = count_destroy };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)state;
	for (size_t i = 0; i < WRAPPERS; i++) {
		int destroyed = 0;

		assert_int_equal(
			tmgr_manager_add_task(manager, "task",
				wrappers[i].wrap((struct tmgr_task){ &nothing, &destroyed }),
				TMGR_STRICT),
			-EINVAL);
		assert_int_equal(destroyed, 1);
	}
	tmgr_manager_destroy(manager);
}

static void adding_a_refused_one_gives_its_error_and_run_says_so(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct probe probe = PROBE(.name = "t");

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "ticker",
				 tmgr_interval(probe_task(&probe), 0, NULL), TMGR_STRICT),
		-EINVAL);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EINVAL);
	assert_string_equal(tmgr_manager_report(manager)->cause->name, "ticker");
	tmgr_manager_destroy(manager);
	assert_int_equal(atomic_load(&probe.destroyed), 1);
	assert_int_equal(atomic_load(&probe.initialized), 0);
}

static int never_called(void *self, struct tmgr_context *context, void *job)
{
	(void)self;
	(void)context;
	(void)job;
	return 0;
}

/* Each provided task, of a probe or of nothing. */
static struct tmgr_task make_any(size_t which, struct probe *probe, struct tmgr_channel *channel)
{
	const int signals[] = { SIGUSR1, SIGUSR2 };
	const struct tmgr_worker_pool_options options = { .workers = 2 };

	if (which < WRAPPERS)
		return wrappers[which].wrap(probe_task(probe));
	tmgr_task_destroy(probe_task(probe));
	return which == WRAPPERS ? tmgr_signals(channel, signals, 2)
				 : tmgr_worker_pool(channel, never_called, NULL, &options);
}

static void out_of_memory_destroys_what_was_given_once(void **state)
{
	struct tmgr_channel *channel;

	(void)state;
	assert_int_equal(tmgr_channel_create(sizeof(int), 1, &channel), 0);
	for (size_t which = 0; which < WRAPPERS + 2; which++) {
		bool failed = true;

		for (long k = 1; failed; k++) {
			struct probe probe = PROBE(.name = "t");
			struct tmgr_task task;

			fault_fail_allocation(k);
			task = make_any(which, &probe, channel);
			failed = fault_happened();
			fault_off();
			assert_int_equal(tmgr_task_error(task), failed ? -ENOMEM : 0);
			tmgr_task_destroy(task);
			assert_int_equal(atomic_load(&probe.destroyed), 1);
		}
	}
	tmgr_channel_unref(channel);
}

static void out_of_memory_while_running_is_an_error_and_nothing_is_lost(void **state)
{
	(void)state;
	for (size_t which = 0; which < WRAPPERS; which++) {
		bool failed = true;

		for (long k = 1; failed; k++) {
			struct probe probe = PROBE(.name = "t", .end = PROBE_RETURNS,
				.execute_result = -EIO, .fail_text = "the reason");
			struct hosted hosted;
			struct ending ending = { .result = 0 };
			struct tmgr_task task = wrappers[which].wrap(probe_task(&probe));

			hosted.manager = tmgr_manager_create(
				&(struct tmgr_manager_options){ .take_signals = true });
			assert_int_equal(
				tmgr_manager_add_task(hosted.manager, "task", task, TMGR_ERROR), 0);
			fault_fail_allocation(k);
			runner_start(&hosted.runner, hosted.manager, NULL);
			ending.result = runner_join(&hosted.runner);
			failed = fault_happened();
			fault_off();
			tmgr_manager_destroy(hosted.manager);
			if (ending.result != -EIO && !(failed && ending.result == -ENOMEM))
				print_error("%s, allocation %ld: %d\n", wrappers[which].kind, k,
					ending.result);
			assert_true(ending.result == -EIO || (failed && ending.result == -ENOMEM));
			assert_int_equal(
				atomic_load(&probe.cleaned_up), atomic_load(&probe.initialized));
			assert_int_equal(atomic_load(&probe.destroyed), 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_says_what_kind_it_is),
		leak_test(each_two_nest_and_a_stop_goes_through_to_what_they_wrap),
		leak_test(each_two_nest_and_an_error_comes_out_with_its_text),
		leak_test(each_two_nest_and_an_initialize_that_fails_comes_out_with_its_text),
		leak_test(all_of_them_nest_at_once),
		leak_test(phases_are_those_of_what_is_wrapped),
		leak_test(what_runs_something_again_needs_something_to_execute),
		leak_test(bad_arguments_destroy_what_was_given_and_say_the_rule),
		leak_test(a_refused_task_is_passed_on_as_it_is),
		leak_test(a_task_without_functions_is_refused_and_destroyed_once),
		leak_test(adding_a_refused_one_gives_its_error_and_run_says_so),
		leak_test(out_of_memory_destroys_what_was_given_once),
		leak_test(out_of_memory_while_running_is_an_error_and_nothing_is_lost),
	};

	return cmocka_run_group_tests_name("wrappers", tests, NULL, NULL);
}
