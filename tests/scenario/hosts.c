/*
 * Each scenario on each host, many times: it ends cleanly wherever it runs.
 */
#include "tests/scenario/scenarios.h"

#include "tests/support/leak.h"

static void play_on(size_t i, enum tmgr_host host)
{
	struct stage stage = { .host = host };
	int r = scenarios[i].play(&stage);

	if (r != 0 || stage.broken != NULL)
		fail_msg("%s on host %d: %d, %s", scenarios[i].name, (int)stage.host, r,
			stage.broken != NULL ? stage.broken : "");
}

static void each_scenario_ends_cleanly_on_each_host(void **state)
{
	(void)state;
	for (int round = 0; round < 50; round++)
		for (size_t i = 0; i < SCENARIOS; i++)
			for (size_t h = 0; h < SCENARIO_HOSTS; h++)
				play_on(i, scenario_hosts[h]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_scenario_ends_cleanly_on_each_host),
	};

	return cmocka_run_group_tests_name("scenarios on hosts", tests, NULL, NULL);
}
