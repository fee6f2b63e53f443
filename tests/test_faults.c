/*
 * The k-th allocation fails, the k-th thread cannot be made, for every k, in every scenario on
 * every host: a clean error, no leak, and the run reports it.
 */
#include "tests/scenario/scenarios.h"

#include "tests/support/fault.h"
#include "tests/support/leak.h"

#define FAULTS_MAX 500

static void play_with_fault(const struct scenario *scenario, enum tmgr_host host,
	void (*inject)(long k), const char *what, int expected)
{
	long k;

	for (k = 1; k < FAULTS_MAX; k++) {
		struct stage stage = { .host = host };
		int descriptors = leak_descriptors(), r;
		long live = fault_live();
		bool happened;

		inject(k);
		r = scenario->play(&stage);
		happened = fault_happened();
		fault_off();
		/* One that something else could be done about is no error. */
		if (r != 0 && r != expected)
			fail_msg("%s, host %d, %s %ld fails: %d", scenario->name, (int)host, what,
				k, r);
		if (!happened && r != 0)
			fail_msg("%s, host %d: %d without a fault", scenario->name, (int)host, r);
		if (stage.broken != NULL)
			fail_msg("%s, host %d, %s %ld fails: not kept: %s", scenario->name,
				(int)host, what, k, stage.broken);
		if (fault_live() != live) {
			fault_print_live();
			fail_msg("%s, host %d, %s %ld fails: %ld allocations leak", scenario->name,
				(int)host, what, k, fault_live() - live);
		}
		assert_int_equal(leak_descriptors(), descriptors);
		if (!happened)
			break;
	}
	print_message(
		"%s, host %d: %ld times a failing %s\n", scenario->name, (int)host, k - 1, what);
	/* Each scenario has allocations; all have threads. */
	assert_true(k > 1 && k < FAULTS_MAX);
}

static void each_allocation_may_fail(void **state)
{
	(void)state;
	for (size_t i = 0; i < SCENARIOS; i++) {
		for (size_t h = 0; h < SCENARIO_HOSTS; h++)
			play_with_fault(&scenarios[i], scenario_hosts[h], fault_fail_allocation,
				"allocation", -ENOMEM);
	}
}

static void each_thread_creation_may_fail(void **state)
{
	(void)state;
	for (size_t i = 0; i < SCENARIOS; i++) {
		for (size_t h = 0; h < SCENARIO_HOSTS; h++)
			play_with_fault(&scenarios[i], scenario_hosts[h], fault_fail_thread,
				"thread", -EAGAIN);
	}
}

static int stop_and_count(struct probe *probe, struct tmgr_context *context)
{
	fault_fail_all_allocations(true);
	return stop_run(probe, context);
}

static void stopping_allocates_nothing(void **state)
{
	struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b", .on_execute = stop_and_count);
	struct probe x = PROBE(.name = "x");
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)state;
	assert_int_equal(tmgr_manager_add_task(manager, "a", probe_task(&a), TMGR_STRICT), 0);
	assert_int_equal(tmgr_manager_add_task(manager, "b", probe_task(&b), TMGR_STRICT), 0);
	assert_int_equal(
		tmgr_manager_add_execute_task(manager, "x", probe_execute_task(&x), TMGR_STRICT),
		0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	assert_false(fault_happened());
	fault_off();
	tmgr_manager_destroy(manager);
	assert_int_equal(a.cleaned_up + b.cleaned_up, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_allocation_may_fail),
		leak_test(each_thread_creation_may_fail),
		leak_test(stopping_allocates_nothing),
	};

	return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
