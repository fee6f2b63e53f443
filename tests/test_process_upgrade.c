/* Durable processes and another program: states that are read by it, methods that it lacks. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <taskmgr/error.h>

#include "tests/support/durable.h"
#include "tests/support/leak.h"
#include "tests/support/waiters.h"

struct new
{
	char *count; /* was a number */
	int64_t limit;
};

static const struct tmgr_state_field new_fields[] = {
	TMGR_FIELD(struct new, count),
	TMGR_FIELD_MISSING(struct new, limit, "7"),
};

static int migrate(struct tmgr_state_old *old, const char *name, void *object)
{
	struct new *self = object;
	int64_t count;
	char text[32];
	int r = tmgr_state_old_integer(old, name, &count);

	if (r != 0)
		return r;
	snprintf(text, sizeof(text), "#%lld", (long long)count);
	self->count = tmgr_state_copy(tmgr_state_old_memory(old), text, strlen(text));
	return self->count != NULL ? 0 : -ENOMEM;
}

static int new_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_receive(process, "go", new_wait);
}

static const struct tmgr_process_definition new_definition = {
	.name = "thing",
	.version = 2,
	.state = TMGR_STATE_MIGRATED(struct new, new_fields, migrate),
	.start = new_wait,
	.methods =
		(const struct tmgr_process_method[]){
			{ .name = "Main_Await",
				.function = new_wait,
				.aliases = (const char *const[]){ "Main_Wait", NULL } },
			{ 0 } },
};

/* The same name, and none of the methods. */
static const struct tmgr_process_definition lacking_definition = {
	.name = "thing",
	.version = 1,
	.start = waiter_done,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Other",
								 .function = waiter_done },
		{ 0 } },
};

static const struct tmgr_process_definition *const news[] = { &new_definition, NULL };
static const struct tmgr_process_definition *const lackings[] = { &lacking_definition, NULL };
static const struct tmgr_process_definition *const nothing[] = { NULL };

static void state_is_upgraded_at_the_next_step_with_defaults_and_migrate(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, things);
	assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
	durable_replace(&durable, news);
	durable_settle(&durable);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":1}");
	assert_int_equal(durable_get(&durable, "t")->version, 1);
	/* The method's old name is an alias. */
	assert_int_equal(durable_send(&durable, "t/go", "x"), 0);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":\"#1\",\"limit\":7}");
	assert_int_equal(durable_get(&durable, "t")->version, 2);
	assert_int_equal(durable_events(&durable, "t", TMGR_PROCESS_EVENT_UPGRADED), 1);
	assert_string_equal(durable_event_text(&durable, "t", TMGR_PROCESS_EVENT_UPGRADED), "2");
	durable_end(&durable);
}

static void an_older_program_pauses_what_it_cannot_read_and_the_next_goes_on(void **state)
{
	struct durable durable = { 0 };
	const struct tmgr_process_info *info;

	durable_begin(&durable, news);
	assert_int_equal(durable_start(&durable, &new_definition, "t"), 0);
	/* "#1" is no number for the old table, which has no migrate. */
	assert_int_equal(
		durable_do(&durable, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_SET,
					     .id = "t",
					     .revision = 1,
					     .value = bytes_of("{\"count\":\"#1\",\"limit\":7}") }),
		0);
	assert_int_equal(durable_send(&durable, "t/go", "x"), 0);
	durable_replace(&durable,
		(const struct tmgr_process_definition *const[]){
			&((struct tmgr_process_definition){ .name = "thing",
				.version = 1,
				.state = TMGR_STATE(struct thing, thing_fields),
				.start = thing_wait,
				.methods =
					(const struct tmgr_process_method[]){
						{ .name = "Main_Await", .function = thing_wait },
						{ 0 } } }),
			NULL });
	assert_int_equal(durable_send(&durable, "t/go", "y"), 0);
	info = durable_get(&durable, "t");
	assert_int_equal(info->status, TMGR_PROCESS_ACTIVE);
	assert_int_equal(info->goroutines[0].status, TMGR_GOROUTINE_PAUSED);
	assert_non_null(strstr(info->goroutines[0].text, "count"));
	assert_non_null(strstr(info->goroutines[0].why, "is paused"));
	assert_int_equal(info->goroutines[0].attempts, 0);
	durable_replace(&durable, news);
	durable_settle(&durable);
	info = durable_get(&durable, "t");
	assert_int_equal(info->goroutines[0].status, TMGR_GOROUTINE_BLOCKED);
	assert_int_equal(info->version, 2);
	durable_end(&durable);
}

/* A goroutine that is ready when a program begins that cannot run it. */
static void leave_ready(struct durable *durable)
{
	struct tmgr_process_request *request;

	durable_begin(durable, things);
	assert_int_equal(durable_start(durable, &thing_definition, "t"), 0);
	assert_int_equal(tmgr_processes_submit(durable->processes,
				 &(struct tmgr_process_command){
					 .kind = TMGR_PROCESS_SEND, .channel = "t/go" },
				 &request),
		0);
	while (!tmgr_future_done(tmgr_process_request_future(request)))
		assert_int_equal(tmgr_processes_drive(durable->processes), 1);
	tmgr_process_request_release(request);
}

static void pauses_with(
	const struct tmgr_process_definition *const *definitions, const char *reason)
{
	struct durable durable = { 0 };
	const struct tmgr_process_info *info;

	leave_ready(&durable);
	durable_replace(&durable, definitions);
	durable_settle(&durable);
	info = durable_get(&durable, "t");
	assert_int_equal(info->goroutines[0].status, TMGR_GOROUTINE_PAUSED);
	assert_string_equal(info->goroutines[0].text, reason);
	assert_int_equal(durable_events(&durable, "t", TMGR_PROCESS_EVENT_PAUSED), 1);
	durable_kill(&durable);
	durable_settle(&durable);
	assert_int_equal(durable_events(&durable, "t", TMGR_PROCESS_EVENT_PAUSED), 1);
	durable_replace(&durable, things);
	durable_settle(&durable);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":2}");
	assert_int_equal(durable_get(&durable, "t")->goroutines[0].status, TMGR_GOROUTINE_BLOCKED);
	durable_end(&durable);
}

static void a_method_that_the_program_lacks_pauses_its_goroutine_until_one_has_it(void **state)
{
	pauses_with(lackings, "this program lacks the method Main_Wait of thing");
}

static void so_does_a_definition(void **state)
{
	pauses_with(nothing, "this program lacks the definition thing");
}

static void a_goroutine_that_fires_into_a_missing_method_is_paused_then(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, things);
	assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
	durable_replace(&durable, lackings);
	durable_settle(&durable);
	assert_int_equal(durable_get(&durable, "t")->goroutines[0].status, TMGR_GOROUTINE_BLOCKED);
	assert_int_equal(durable_send(&durable, "t/go", "x"), 0);
	assert_int_equal(durable_get(&durable, "t")->goroutines[0].status, TMGR_GOROUTINE_PAUSED);
	durable_replace(&durable, things);
	durable_settle(&durable);
	assert_string_equal(durable_state(&durable, "t"), "{\"count\":2}");
	durable_end(&durable);
}

static void what_failed_and_is_resumed_without_its_method_runs_when_one_has_it(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, waiters);
	waiters_fail = true;
	assert_int_equal(durable_start(&durable, &waiter_definition, "f"), 0);
	durable_advance(&durable, TMGR_HOUR);
	assert_int_equal(durable_status(&durable, "f"), TMGR_PROCESS_FAILED);
	durable_replace(&durable, nothing);
	assert_int_equal(
		durable_do(&durable,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_RESUME, .id = "f" }),
		0);
	assert_int_equal(durable_get(&durable, "f")->goroutines[0].status, TMGR_GOROUTINE_PAUSED);
	assert_int_equal(durable_status(&durable, "f"), TMGR_PROCESS_ACTIVE);
	waiters_fail = false;
	durable_replace(&durable, waiters);
	durable_settle(&durable);
	assert_int_equal(durable_status(&durable, "f"), TMGR_PROCESS_FINISHED);
	durable_end(&durable);
}

static void one_that_is_to_be_tried_again_still_says_why_when_its_method_is_back(void **state)
{
	struct durable durable = { 0 };
	const struct tmgr_process_goroutine_info *info;

	durable_begin(&durable, waiters);
	waiters_fail = true;
	assert_int_equal(durable_start(&durable, &waiter_definition, "f"), 0);
	assert_string_equal(durable_get(&durable, "f")->goroutines[0].text, "no upstream");
	durable_replace(&durable, nothing);
	assert_int_equal(durable_get(&durable, "f")->goroutines[0].status, TMGR_GOROUTINE_PAUSED);
	durable_replace(&durable, waiters);
	info = durable_get(&durable, "f")->goroutines;
	assert_int_equal(info->status, TMGR_GOROUTINE_READY);
	assert_int_equal(info->attempts, 1);
	/* Its own words gave way to the reason of the pause. */
	assert_string_equal(info->text, tmgr_strerror(-EIO));
	waiters_fail = false;
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_status(&durable, "f"), TMGR_PROCESS_FINISHED);
	durable_end(&durable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(state_is_upgraded_at_the_next_step_with_defaults_and_migrate),
		leak_test(an_older_program_pauses_what_it_cannot_read_and_the_next_goes_on),
		leak_test(a_method_that_the_program_lacks_pauses_its_goroutine_until_one_has_it),
		leak_test(so_does_a_definition),
		leak_test(a_goroutine_that_fires_into_a_missing_method_is_paused_then),
		leak_test(what_failed_and_is_resumed_without_its_method_runs_when_one_has_it),
		leak_test(one_that_is_to_be_tried_again_still_says_why_when_its_method_is_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
