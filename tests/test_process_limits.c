/* How much a step may declare: what is more fails the step with a clear error, and nothing else. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/tasks/process_store.h>

#include "tests/support/durable.h"
#include "tests/support/leak.h"

/* What the method does, and what it was answered. */
static int (*declare)(struct tmgr_process *process);
static int answer;
static char *much;

static int main_declare(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	answer = declare(process);
	return tmgr_process_finish(process, bytes_of("done"));
}

static const struct tmgr_process_definition greedy_definition = {
	.name = "greedy",
	.version = 1,
	.start = main_declare,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Declare",
								 .function = main_declare },
		{ 0 } },
};

static void set_much(void)
{
	much = calloc(1, TMGR_PROCESS_VALUE_MAX + 1);
	assert_non_null(much);
}

/* Have the method do it: what it was answered, and what its process says then. */
static int try(int (*function)(struct tmgr_process *process), char *ret_text)
{
	const struct tmgr_process_info *info;
	struct durable durable = { 0 };

	set_much();
	declare = function;
	answer = 1;
	durable_begin(&durable,
		(const struct tmgr_process_definition *const[]){ &greedy_definition, NULL });
	assert_int_equal(durable_start(&durable, &greedy_definition, "g"), 0);
	info = durable_get(&durable, "g");
	strcpy(ret_text, info->text);
	assert_int_equal(info->status, answer < 0 ? TMGR_PROCESS_FAILED : TMGR_PROCESS_FINISHED);
	assert_int_equal(info->error, answer < 0 ? answer : 0);
	durable_end(&durable);
	free(much);
	return answer;
}

static void is_refused(int (*function)(struct tmgr_process *process), int error, const char *text)
{
	char said[TMGR_PROCESS_TEXT_SIZE];

	assert_int_equal(try(function, said), error);
	assert_non_null(strstr(said, text));
}

static void is_taken(int (*function)(struct tmgr_process *process))
{
	char said[TMGR_PROCESS_TEXT_SIZE];

	assert_int_equal(try(function, said), 0);
	assert_string_equal(said, "");
}

/* ---- One value ------------------------------------------------------------------------------- */

static int post_longest(struct tmgr_process *process)
{
	return tmgr_process_post(process, "c", (struct tmgr_bytes){ much, TMGR_PROCESS_VALUE_MAX });
}

static int post_longer(struct tmgr_process *process)
{
	return tmgr_process_post(
		process, "c", (struct tmgr_bytes){ much, TMGR_PROCESS_VALUE_MAX + 1 });
}

static int send_longer(struct tmgr_process *process)
{
	return tmgr_process_send(process, "c",
		(struct tmgr_bytes){ much, TMGR_PROCESS_VALUE_MAX + 1 }, main_declare);
}

static int finish_longer(struct tmgr_process *process)
{
	return tmgr_process_finish(
		process, (struct tmgr_bytes){ much, TMGR_PROCESS_VALUE_MAX + 1 });
}

static void a_value_has_a_greatest_length(void **state)
{
	is_taken(post_longest);
	is_refused(post_longer, -EMSGSIZE, "a value is too long");
	is_refused(send_longer, -EMSGSIZE, "a value is too long");
	is_refused(finish_longer, -EMSGSIZE, "a value is too long");
}

/* ---- One select ------------------------------------------------------------------------------ */

static int cases(struct tmgr_process *process, int count)
{
	int r = 0;

	for (int i = 0; r == 0 && i < count; i++)
		r = tmgr_process_after(process, TMGR_HOUR, main_declare);
	return r;
}

static int as_many_cases_as_may_be(struct tmgr_process *process)
{
	return cases(process, TMGR_PROCESS_CASES_MAX);
}

static int one_case_more(struct tmgr_process *process)
{
	return cases(process, TMGR_PROCESS_CASES_MAX + 1);
}

static void a_select_has_so_many_cases(void **state)
{
	is_taken(as_many_cases_as_may_be);
	is_refused(one_case_more, -E2BIG, "there are too many cases");
}

/* ---- One step -------------------------------------------------------------------------------- */

/* Names and the like beside the values take the room of one. */
static int post_values(struct tmgr_process *process, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = post_longest(process);
	return r;
}

static int as_much_as_may_be(struct tmgr_process *process)
{
	return post_values(process, TMGR_PROCESS_STEP_MAX / TMGR_PROCESS_VALUE_MAX - 1);
}

static int one_value_more(struct tmgr_process *process)
{
	return post_values(process, TMGR_PROCESS_STEP_MAX / TMGR_PROCESS_VALUE_MAX);
}

/* A loop that has no end of its own. */
static int logs(struct tmgr_process *process)
{
	int r;

	do
		r = tmgr_process_log(process, "again");
	while (r == 0);
	return r;
}

static int goroutines_of_others(struct tmgr_process *process)
{
	int r;

	do
		r = tmgr_process_spawn(process,
			&(struct tmgr_process_child){ &greedy_definition, NULL, NULL }, NULL);
	while (r == 0);
	return r;
}

static int channels(struct tmgr_process *process)
{
	char id[TMGR_PROCESS_CHANNEL_MAX + 1];
	int r;

	do
		r = tmgr_process_channel(process, 1, id);
	while (r == 0);
	return r;
}

static void a_step_declares_so_much(void **state)
{
	is_taken(as_much_as_may_be);
	is_refused(one_value_more, -EMSGSIZE, "the step declares too much");
	is_refused(logs, -EMSGSIZE, "the step declares too much");
	is_refused(goroutines_of_others, -EMSGSIZE, "the step declares too much");
	is_refused(channels, -EMSGSIZE, "the step declares too much");
}

/* ---- One result, and many that wait for it --------------------------------------------------- */

static int main_answer(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_finish(process, (struct tmgr_bytes){ much, TMGR_PROCESS_VALUE_MAX });
}

static int main_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_receive(process, "go", main_answer);
}

static const struct tmgr_process_definition asked_definition = {
	.name = "asked",
	.version = 1,
	.start = main_wait,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = main_wait },
		{ .name = "Main_Answer", .function = main_answer }, { 0 } },
};

static int main_end(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	assert_int_equal(message->value.size, TMGR_PROCESS_VALUE_MAX);
	return tmgr_process_finish(process, bytes_of(""));
}

static int main_ask(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_call(process,
		&(struct tmgr_process_child){ &asked_definition, "asked", NULL }, main_end);
}

static const struct tmgr_process_definition asking_definition = {
	.name = "asking",
	.version = 1,
	.start = main_ask,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Ask",
								 .function = main_ask },
		{ .name = "Main_End", .function = main_end }, { 0 } },
};

static void a_result_is_not_too_much_for_all_that_wait_for_it(void **state)
{
	enum { ASKING = TMGR_PROCESS_RESULTS_MAX / TMGR_PROCESS_VALUE_MAX + 1 };
	struct durable durable = { 0 };
	char id[16];

	set_much();
	durable_begin(&durable, (const struct tmgr_process_definition *const[]){
					&asking_definition, &asked_definition, NULL });
	for (int i = 0; i < ASKING; i++) {
		snprintf(id, sizeof(id), "p%d", i);
		assert_int_equal(durable_start(&durable, &asking_definition, id), 0);
	}
	assert_int_equal(durable_send(&durable, "asked/go", ""), 0);
	assert_int_equal(durable_status(&durable, "asked"), TMGR_PROCESS_FAILED);
	assert_int_equal(durable_get(&durable, "asked")->error, -EMSGSIZE);
	assert_non_null(strstr(durable_get(&durable, "asked")->text,
		"a result of 1048576 bytes is too long for all that wait for it"));
	for (int i = 2; i < ASKING; i++) {
		snprintf(id, sizeof(id), "p%d", i);
		assert_int_equal(durable_do(&durable,
					 &(struct tmgr_process_command){
						 .kind = TMGR_PROCESS_CANCEL, .id = id }),
			0);
	}
	assert_int_equal(
		durable_do(&durable, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_RESUME,
					     .id = "asked" }),
		0);
	assert_int_equal(durable_status(&durable, "p0"), TMGR_PROCESS_FINISHED);
	assert_int_equal(durable_status(&durable, "p1"), TMGR_PROCESS_FINISHED);
	durable_end(&durable);
	free(much);
}

/* ---- Many timers at once --------------------------------------------------------------------- */

static int main_sleep(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (message->arrival == TMGR_ARRIVED_TIMEOUT)
		return tmgr_process_finish(process, bytes_of("woken"));
	return tmgr_process_after(process, TMGR_HOUR, main_sleep);
}

static const struct tmgr_process_definition sleeping_definition = {
	.name = "sleeping",
	.version = 1,
	.start = main_sleep,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Sleep",
								 .function = main_sleep },
		{ 0 } },
};

static const struct tmgr_store_ops *real_ops;
static size_t most_changes;

static int commit_and_look(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		if (batch->steps[i].count > most_changes)
			most_changes = batch->steps[i].count;
	return real_ops->commit(store, batch);
}

/* Two rows of each change. */
#define SLEEPERS 12000

/* A row of a journal has a limit too: after a long time many are due. */
static void timers_that_are_due_together_fire_in_steps_that_are_not_too_large(void **state)
{
	struct tmgr_store_ops ops;
	struct durable durable = { 0 };
	struct tmgr_store *store;

	assert_int_equal(tmgr_store_memory_create(&store), 0);
	real_ops = store->ops;
	ops = *real_ops;
	ops.commit = commit_and_look;
	store->ops = &ops;
	durable_begin_on(&durable, store,
		(const struct tmgr_process_definition *const[]){ &sleeping_definition, NULL });
	for (int i = 0; i < SLEEPERS; i++) {
		char id[16];

		snprintf(id, sizeof(id), "s%d", i);
		assert_int_equal(durable_start(&durable, &sleeping_definition, id), 0);
	}
	most_changes = 0;
	durable_advance(&durable, TMGR_HOUR);
	assert_in_range(most_changes, 1000, 20000);
	assert_int_equal(durable_events(&durable, NULL, TMGR_PROCESS_EVENT_FINISHED), SLEEPERS);
	store->ops = real_ops;
	durable_end(&durable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_value_has_a_greatest_length),
		leak_test(a_select_has_so_many_cases),
		leak_test(a_step_declares_so_much),
		leak_test(a_result_is_not_too_much_for_all_that_wait_for_it),
		leak_test(timers_that_are_due_together_fire_in_steps_that_are_not_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
