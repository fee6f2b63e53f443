/*
 * A stop that comes from a token above, while whoever fires that is still at another callback: the
 * run's thread may see the token before the manager is told.
 */
#include <signal.h>

#include <taskmgr/manager.h>
#include <taskmgr/token.h>

#include "taskmgr/clock.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

/* A token whose first callback holds back those below it. */
struct above {
	struct tmgr_token *token;
	struct tmgr_token_callback callback;
	struct latch hold;
	pthread_t thread;
};

static void hold_back(void *self)
{
	struct above *above = self;

	latch_wait(&above->hold);
}

static void *fire(void *self)
{
	struct above *above = self;

	tmgr_token_cancel(above->token, 7, "from above");
	return NULL;
}

static void above_init(struct above *above)
{
	latch_init(&above->hold);
	assert_int_equal(tmgr_token_create(NULL, &above->token), 0);
	tmgr_token_register(above->token, &above->callback, hold_back, above);
}

/* All below it is marked once this has returned, and nobody below was called. */
static void above_fire(struct above *above)
{
	assert_int_equal(pthread_create(&above->thread, NULL, fire, above), 0);
	assert_true(latch_arrived(&above->hold, 1));
}

static void above_open(struct above *above)
{
	latch_open(&above->hold);
	pthread_join(above->thread, NULL);
	tmgr_token_unref(above->token);
}

static void do_nothing(int signo)
{
	(void)signo;
}

struct woken {
	struct runner *runner;
	struct probe *probe;
};

/* The run's thread looks again; whether the task was told then. */
static bool wakes_and_has_ended(void *argument)
{
	struct woken *woken = argument;

	if (atomic_load(&woken->probe->execute_ended) > 0)
		return true;
	/* It is caught: NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread,cert-pos44-c) */
	pthread_kill(woken->runner->thread, SIGUSR1);
	return false;
}

static void stopping_in_reverse_a_task_is_told_why_before_the_manager_was(void **state)
{
	const struct tmgr_manager_options options = { .stop_order = TMGR_STOP_REVERSE };
	struct sigaction action = { .sa_handler = do_nothing }, before;
	struct probe a = PROBE(.name = "a");
	struct tmgr_manager *manager = probe_manager(&options, &a);
	const struct tmgr_report *report;
	struct above above;
	struct runner runner;
	bool told;

	(void)state;
	above_init(&above);
	sigaction(SIGUSR1, &action, &before);
	runner_start(&runner, manager, above.token);
	assert_true(latch_arrived(&a.executing, 1));
	above_fire(&above);
	told = eventually(wakes_and_has_ended, &(struct woken){ &runner, &a });
	above_open(&above);
	assert_int_equal(runner_join(&runner), 0);
	sigaction(SIGUSR1, &before, NULL);
	assert_true(told);
	report = tmgr_manager_report(manager);
	assert_int_equal(report->stop.reason, TMGR_REASON_CANCELLED);
	assert_int_equal(report->stop.code, 7);
	assert_int_equal(a.cleaned_up, 1);
	tmgr_manager_destroy(manager);
}

static int note_deadline(struct probe *probe, struct tmgr_context *context)
{
	*(int64_t *)probe->user = tmgr_token_deadline(tmgr_context_token(context));
	return 0;
}

static void a_stop_that_initialize_ends_with_has_its_cause_and_its_deadline(void **state)
{
	static const enum tmgr_stop_order orders[] = { TMGR_STOP_AT_ONCE, TMGR_STOP_REVERSE };

	(void)state;
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		const struct tmgr_manager_options options = { .stop_order = orders[i] };
		struct latch hold = LATCH_INIT;
		int64_t deadline = TMGR_NEVER;
		struct probe a = PROBE(.name = "a", .hold_initialize = &hold,
			.on_cleanup = note_deadline, .user = &deadline);
		struct tmgr_manager *manager = probe_manager(&options, &a);
		const struct tmgr_report *report;
		struct above above;
		struct runner runner;

		above_init(&above);
		runner_start(&runner, manager, above.token);
		assert_true(latch_arrived(&hold, 1));
		above_fire(&above);
		latch_open(&hold);
		/* It needs nothing of whoever fires. */
		assert_int_equal(runner_join(&runner), 0);
		above_open(&above);
		report = tmgr_manager_report(manager);
		assert_int_equal(report->stop.reason, TMGR_REASON_CANCELLED);
		assert_string_equal(report->stop.text, "from above");
		assert_int_equal(a.executed, 0);
		assert_int_equal(a.cleaned_up, 1);
		assert_true(deadline < TMGR_NEVER);
		tmgr_manager_destroy(manager);
	}
}

static void who_is_quiet_because_of_a_stop_from_above_made_no_mistake(void **state)
{
	const struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_ERROR };
	struct latch hold = LATCH_INIT;
	struct probe a = PROBE(.name = "a", .hold_execute = &hold, .end = PROBE_RETURNS);
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	struct above above;
	struct runner runner;

	(void)state;
	assert_int_equal(
		tmgr_manager_add_execute_task(manager, "a", probe_execute_task(&a), TMGR_ERROR), 0);
	above_init(&above);
	runner_start(&runner, manager, above.token);
	assert_true(latch_arrived(&hold, 1));
	above_fire(&above);
	latch_open(&hold);
	assert_int_equal(runner_join(&runner), 0);
	above_open(&above);
	assert_int_equal(tmgr_manager_report(manager)->stop.reason, TMGR_REASON_CANCELLED);
	tmgr_manager_destroy(manager);
}

/* A clock that stops the manager at one of the looks of the run's thread at it. */
struct stopping_clock {
	struct tmgr__clock clock;
	struct tmgr__clock *real;
	struct tmgr_manager *manager;
	pthread_t thread;
	int left; /* looks until then; 0: never */
};

static int64_t look_and_stop(struct tmgr__clock *clock)
{
	struct stopping_clock *stopping = (struct stopping_clock *)(void *)clock;

	if (pthread_equal(pthread_self(), stopping->thread) && stopping->left > 0 &&
		--stopping->left == 0)
		tmgr_manager_cancel(stopping->manager);
	return tmgr__clock_now(stopping->real);
}

static void sleep_as_ever(
	struct tmgr__clock *clock, const uint32_t *word, uint32_t value, int64_t deadline)
{
	tmgr__clock_sleep(((struct stopping_clock *)(void *)clock)->real, word, value, deadline);
}

/* The next two looks are at the end of this initialize and where the next has all but begun. */
static int stop_before_the_next(struct probe *probe, struct tmgr_context *context)
{
	(void)context;
	((struct stopping_clock *)probe->user)->left = 2;
	return 0;
}

static int see_the_stop(struct probe *probe, struct tmgr_context *context)
{
	*(bool *)probe->user = tmgr_context_cancelled(context);
	return 0;
}

static void an_initialize_that_begins_with_the_stop_sees_it(void **state)
{
	static const struct tmgr__clock_ops ops = { look_and_stop, sleep_as_ever };
	static const enum tmgr_stop_order orders[] = { TMGR_STOP_AT_ONCE, TMGR_STOP_REVERSE };

	(void)state;
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		const struct tmgr_manager_options options = { .stop_order = orders[i] };
		struct stopping_clock clock = { { &ops }, tmgr__clock_current(), NULL,
			pthread_self(), 0 };
		bool seen = false;
		struct probe a = PROBE(.name = "a", .on_initialize = stop_before_the_next,
			.user = &clock);
		struct probe b = PROBE(.name = "b", .on_initialize = see_the_stop, .user = &seen);
		struct tmgr_manager *manager = probe_manager(&options, &a);

		clock.manager = manager;
		assert_int_equal(
			tmgr_manager_add_task(manager, "b", probe_task(&b), TMGR_STRICT), 0);
		tmgr__clock_use(&clock.clock);
		assert_int_equal(tmgr_manager_run(manager, NULL), 0);
		tmgr__clock_use(NULL);
		tmgr_manager_destroy(manager);
		assert_int_equal(b.initialized, 1);
		assert_true(seen);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(stopping_in_reverse_a_task_is_told_why_before_the_manager_was),
		leak_test(a_stop_that_initialize_ends_with_has_its_cause_and_its_deadline),
		leak_test(who_is_quiet_because_of_a_stop_from_above_made_no_mistake),
		leak_test(an_initialize_that_begins_with_the_stop_sees_it),
	};

	return cmocka_run_group_tests_name("stop from above", tests, NULL, NULL);
}
