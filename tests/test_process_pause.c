/* A durable process that somebody has paused: what comes to it meanwhile changes nothing of that. */
#include <errno.h>

#include "tests/support/durable.h"
#include "tests/support/seen.h"
#include "tests/support/world.h"

static struct durable durable;
static bool failing; /* the method */
static bool pausing; /* somebody pauses it while it runs */

static const struct tmgr_process_command pause_it = {
	.kind = TMGR_PROCESS_PAUSE, .id = "p", .text = "audit"
};
static const struct tmgr_process_command resume_it = { .kind = TMGR_PROCESS_RESUME, .id = "p" };

static int main_work(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct tmgr_process_request *request = NULL;

	see("[work]");
	if (pausing && tmgr_processes_submit(durable.processes, &pause_it, &request) != 0)
		see("[not paused]");
	tmgr_process_request_release(request);
	pausing = false;
	if (failing)
		return tmgr_process_fail(process, -EIO, "no upstream");
	return tmgr_process_receive(process, "go", main_work);
}

static int main_idle(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	see("[idle]");
	return tmgr_process_receive(process, "go", main_work);
}

static const struct tmgr_process_definition worker_definition = {
	.name = "worker",
	.version = 1,
	.start = main_work,
	.retry = { .attempts_max = 2 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Work",
								 .function = main_work },
		{ .name = "Main_Idle", .function = main_idle }, { 0 } },
};

static void begin(bool fails)
{
	durable = (struct durable){ 0 };
	failing = fails;
	pausing = true;
	durable_begin(&durable,
		(const struct tmgr_process_definition *const[]){ &worker_definition, NULL });
	assert_int_equal(durable_start(&durable, &worker_definition, "p"), 0);
}

static void is_paused(int error, const char *why)
{
	const struct tmgr_process_info *info = durable_get(&durable, "p");

	assert_int_equal(info->status, TMGR_PROCESS_PAUSED);
	assert_string_equal(info->text, "audit");
	assert_int_equal(info->error, error);
	assert_string_equal(info->goroutines[0].why, why);
	assert_null(world_check(durable.store, true, 0));
}

/* Also for a program that finds it so. */
static void stays_paused(int error, const char *why)
{
	const struct tmgr_process_info *info = durable_get(&durable, "p");
	int64_t since = info->changed_ms;

	is_paused(error, why);
	durable_kill(&durable);
	durable_advance(&durable, TMGR_HOUR);
	is_paused(error, why);
	assert_true(durable_get(&durable, "p")->changed_ms == since);
}

/* It has failed once before. */
static void begin_with_its_last_attempt(void)
{
	begin(true);
	pausing = false;
	assert_int_equal(durable_do(&durable, &resume_it), 0);
	assert_int_equal(durable_get(&durable, "p")->goroutines[0].attempts, 1);
}

#define HAS_FAILED                                                                           \
	"has failed: its method Main_Work, 2 times (no upstream); resuming the process has " \
	"it called again"

/* ---- A method that runs meanwhile ------------------------------------------------------------ */

static void a_step_that_ends_while_its_process_is_paused_counts_and_it_stays_paused(void **state)
{
	static const char waits[] =
		"waits for a message on p/go; who sends on it or closes it wakes it, a process or "
		"somebody outside";

	begin(false);
	assert_int_equal(durable_get(&durable, "p")->steps, 1);
	stays_paused(0, waits);
	assert_int_equal(durable_do(&durable, &resume_it), 0);
	assert_int_equal(durable_status(&durable, "p"), TMGR_PROCESS_ACTIVE);
	durable_end(&durable);
}

static void an_attempt_that_fails_while_its_process_is_paused_is_not_tried_again(void **state)
{
	begin(true);
	stays_paused(0,
		"is ready for its method Main_Work; the process is paused: resuming it wakes it");
	assert_string_equal(seen, "[work]");
	durable_end(&durable);
}

/* Who resumed it because it has failed would not have known that somebody has paused it. */
static void a_pause_outlives_the_last_failure_of_the_method_that_ran_then(void **state)
{
	begin_with_its_last_attempt();
	pausing = true;
	durable_advance(&durable, TMGR_SECOND);
	stays_paused(-EIO, HAS_FAILED);
	assert_int_equal(durable_get(&durable, "p")->goroutines[0].status, TMGR_GOROUTINE_FAILED);
	assert_int_equal(durable_events(&durable, "p", TMGR_PROCESS_EVENT_FAILED), 1);
	assert_int_equal(durable_do(&durable, &pause_it), -EALREADY);
	/* Resuming it is for both. */
	failing = false;
	assert_int_equal(durable_do(&durable, &resume_it), 0);
	assert_string_equal(seen, "[work][work][work][work]");
	assert_int_equal(durable_status(&durable, "p"), TMGR_PROCESS_ACTIVE);
	assert_string_equal(durable_get(&durable, "p")->text, "");
	assert_int_equal(durable_get(&durable, "p")->error, 0);
	durable_end(&durable);
}

static void what_fails_again_when_it_is_resumed_is_failed(void **state)
{
	begin_with_its_last_attempt();
	pausing = true;
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_do(&durable, &resume_it), 0);
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_status(&durable, "p"), TMGR_PROCESS_FAILED);
	assert_string_equal(durable_get(&durable, "p")->text, "Main_Work: no upstream");
	assert_int_equal(durable_get(&durable, "p")->error, -EIO);
	durable_end(&durable);
}

/* ---- One that has failed --------------------------------------------------------------------- */

/* Whichever comes first, it is the same. */
static void what_has_failed_can_be_paused_too(void **state)
{
	begin_with_its_last_attempt();
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_status(&durable, "p"), TMGR_PROCESS_FAILED);
	assert_int_equal(durable_do(&durable, &pause_it), 0);
	stays_paused(-EIO, HAS_FAILED);
	assert_int_equal(durable_do(&durable, &pause_it), -EALREADY);
	durable_end(&durable);
}

/* Who saw that it has failed has it tried again, and does not undo a pause that came meanwhile. */
static void one_is_resumed_only_as_it_was_seen_where_that_is_asked_for(void **state)
{
	const struct tmgr_process_command retry = {
		.kind = TMGR_PROCESS_RESUME, .id = "p", .filter.status = TMGR_PROCESS_FAILED
	};

	begin_with_its_last_attempt();
	assert_int_equal(durable_do(&durable, &retry), -ESTALE);
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_do(&durable, &pause_it), 0);
	assert_int_equal(durable_do(&durable, &retry), -ESTALE);
	stays_paused(-EIO, HAS_FAILED);
	assert_int_equal(durable_do(&durable, &resume_it), 0);
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_status(&durable, "p"), TMGR_PROCESS_FAILED);
	failing = false;
	assert_int_equal(durable_do(&durable, &retry), 0);
	assert_int_equal(durable_status(&durable, "p"), TMGR_PROCESS_ACTIVE);
	durable_end(&durable);
}

static void a_failed_goroutine_that_is_sent_elsewhere_leaves_its_process_paused(void **state)
{
	const struct tmgr_process_command go = {
		.kind = TMGR_PROCESS_GOTO, .id = "p", .goroutine = "Main", .method = "Main_Idle"
	};

	begin_with_its_last_attempt();
	pausing = true;
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_do(&durable, &go), 0);
	stays_paused(0,
		"is ready for its method Main_Idle; the process is paused: resuming it wakes it");
	assert_int_equal(durable_do(&durable, &resume_it), 0);
	assert_string_equal(seen, "[work][work][work][idle]");
	durable_end(&durable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		seen_test(a_step_that_ends_while_its_process_is_paused_counts_and_it_stays_paused),
		seen_test(an_attempt_that_fails_while_its_process_is_paused_is_not_tried_again),
		seen_test(a_pause_outlives_the_last_failure_of_the_method_that_ran_then),
		seen_test(what_fails_again_when_it_is_resumed_is_failed),
		seen_test(what_has_failed_can_be_paused_too),
		seen_test(one_is_resumed_only_as_it_was_seen_where_that_is_asked_for),
		seen_test(a_failed_goroutine_that_is_sent_elsewhere_leaves_its_process_paused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
