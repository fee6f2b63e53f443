/*
 * As test_arguments, for state machines.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/expect.h"
#include "tests/support/leak.h"

enum { A, B, STATES };

static const struct tmgr_machine_state rows[STATES] = {
	[A] = { .name = "A" },
	[B] = { .name = "B" },
};

static const unsigned only_a[] = { A, TMGR_STATES_END };
static const unsigned unknown[] = { A, 99, TMGR_STATES_END };

static void no_call(void *self, struct tmgr_machine *machine)
{
	(void)self;
	(void)machine;
}

static void no_result(void *self, int result)
{
	(void)self;
	(void)result;
}

static void no_line(void *self, const char *line)
{
	(void)self;
	(void)line;
}

static void of_schemas(void)
{
	struct tmgr_schema *schema = NULL;
	unsigned state;

	IS(tmgr_schema_compile(NULL, 1, NULL, &schema), -EINVAL);
	IS(tmgr_schema_compile(rows, 0, NULL, &schema), -EINVAL);
	IS(tmgr_schema_compile(rows, STATES, NULL, NULL), -EINVAL);
	IS(tmgr_schema_compile(rows, SIZE_MAX, NULL, &schema), -EINVAL);
	IS(schema != NULL, 0);
	IS(tmgr_schema_ref(NULL) != NULL, 0);
	tmgr_schema_unref(NULL);
	IS_TEXT(tmgr_schema_name(NULL), "");
	IS(tmgr_schema_count(NULL), 0);
	IS_TEXT(tmgr_schema_state_name(NULL, 0), "");
	IS(tmgr_schema_find(NULL, "A", &state), -EINVAL);
	IS(*tmgr_schema_relation(NULL, 0, TMGR_RELATION_ADD) == TMGR_STATES_END, 1);
	IS(tmgr_schema_is_automatic(NULL, 0), 0);
	IS(tmgr_schema_is_multi(NULL, 0), 0);
	IS(tmgr_schema_timeout(NULL, 0) != NULL, 0);
	IS_TEXT(tmgr_fault_name(TMGR_FAULTS), "");
	IS_TEXT(tmgr_relation_name((enum tmgr_relation)9), "");
	IS_TEXT(tmgr_mutation_name((enum tmgr_mutation_kind)9), "");
	IS_TEXT(tmgr_handler_name(TMGR_HANDLER_KINDS), "");
	IS(tmgr_schema_compile(rows, STATES, NULL, &schema), 0);
	IS(tmgr_schema_find(schema, NULL, &state), -EINVAL);
	IS(tmgr_schema_find(schema, "A", NULL), -EINVAL);
	IS(*tmgr_schema_relation(schema, 0, (enum tmgr_relation)9) == TMGR_STATES_END, 1);
	tmgr_schema_unref(schema);
}

static void of_making(struct tmgr_schema *schema)
{
	struct tmgr_machine_options options = { .slow_ns = -1 };
	struct tmgr_machine *machine = NULL;

	IS(tmgr_machine_create(NULL, NULL, &machine), -EINVAL);
	IS(tmgr_machine_create(schema, NULL, NULL), -EINVAL);
	IS(tmgr_machine_create(schema, &options, &machine), -EINVAL);
	options = (struct tmgr_machine_options){ .queue_full = (enum tmgr_queue_full)9 };
	IS(tmgr_machine_create(schema, &options, &machine), -EINVAL);
	options = (struct tmgr_machine_options){ .queue_max = SIZE_MAX };
	IS(tmgr_machine_create(schema, &options, &machine), -EINVAL);
	options = (struct tmgr_machine_options){ .history_max = SIZE_MAX };
	IS(tmgr_machine_create(schema, &options, &machine), -EINVAL);
	IS(machine != NULL, 0);
	IS(tmgr_machine_ref(NULL) != NULL, 0);
	tmgr_machine_unref(NULL);
	IS(tmgr_machine_dispose(NULL), -EINVAL);
	IS(tmgr_machine_disposed(NULL), 1);
	IS_TEXT(tmgr_machine_name(NULL), "");
	IS(tmgr_machine_schema(NULL) != NULL, 0);
	IS(tmgr_machine_exception(NULL) == TMGR_STATES_END, 1);
}

static void of_mutations(struct tmgr_machine *machine)
{
	struct tmgr_mutation mutation = { .states = only_a };
	struct tmgr_arguments arguments = { NULL, 1 };

	IS(tmgr_machine_add(NULL, A, NULL), -EINVAL);
	IS(tmgr_machine_add(machine, 99, NULL), -EINVAL);
	IS(tmgr_machine_add(machine, A, &arguments), -EINVAL);
	IS(tmgr_machine_remove(NULL, A, NULL), -EINVAL);
	IS(tmgr_machine_remove(machine, TMGR_STATES_END, NULL), -EINVAL);
	IS(tmgr_machine_set(NULL, A, NULL), -EINVAL);
	IS(tmgr_machine_set(machine, 99, NULL), -EINVAL);
	IS(tmgr_machine_toggle(NULL, A, NULL), -EINVAL);
	IS(tmgr_machine_toggle(machine, 99, NULL), -EINVAL);
	IS(tmgr_machine_change(NULL, TMGR_MUTATION_ADD, only_a, NULL), -EINVAL);
	IS(tmgr_machine_change(machine, TMGR_MUTATION_ADD, NULL, NULL), -EINVAL);
	IS(tmgr_machine_change(machine, TMGR_MUTATION_ADD, unknown, NULL), -EINVAL);
	IS(tmgr_machine_change(machine, (enum tmgr_mutation_kind)9, only_a, NULL), -EINVAL);
	IS(tmgr_machine_mutate(machine, NULL, NULL), -EINVAL);
	IS(tmgr_machine_mutate(NULL, &mutation, NULL), -EINVAL);
	mutation.ttl_ns = -1;
	IS(tmgr_machine_mutate(machine, &mutation, NULL), -EINVAL);
	mutation.ttl_ns = 0;
	mutation.priority = (enum tmgr_mutation_priority)9;
	IS(tmgr_machine_mutate(machine, &mutation, NULL), -EINVAL);
	IS(tmgr_machine_add_error(NULL, -EIO, "text"), -EINVAL);
	IS(tmgr_machine_add_error(machine, 0, "text"), -EINVAL);
	IS(tmgr_machine_error(NULL, NULL), -EINVAL);
	IS(tmgr_machine_can(NULL, NULL, TMGR_MUTATION_ADD, only_a, NULL), -EINVAL);
	IS(tmgr_machine_can(NULL, machine, TMGR_MUTATION_ADD, unknown, NULL), -EINVAL);
	IS(tmgr_machine_can(NULL, machine, (enum tmgr_mutation_kind)9, only_a, NULL), -EINVAL);
	IS(tmgr_machine_is_queued(NULL, TMGR_MUTATION_ADD, only_a), 0);
	IS(tmgr_machine_is_queued(machine, TMGR_MUTATION_ADD, unknown), 0);
	IS(tmgr_machine_will_be(NULL, A), 0);
	IS(tmgr_machine_will_be(machine, 99), 0);
	IS(tmgr_machine_evaluate(NULL, NULL, no_call, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_machine_evaluate(NULL, machine, NULL, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_machine_stats(NULL, &(struct tmgr_machine_stats){ 0 }), -EINVAL);
	IS(tmgr_machine_stats(machine, NULL), -EINVAL);
}

static void of_reading(struct tmgr_machine *machine)
{
	uint64_t ticks[STATES + 1] = { 7 }, one[] = { 1 };
	char text[8] = "x";

	IS(tmgr_machine_is(NULL, A), 0);
	IS(tmgr_machine_is(machine, 99), 0);
	IS(tmgr_machine_all(NULL, only_a), 0);
	IS(tmgr_machine_all(machine, NULL), 0);
	IS(tmgr_machine_any(NULL, only_a), 0);
	IS(tmgr_machine_any(machine, unknown), 0);
	IS(tmgr_machine_not(NULL, only_a), 0);
	IS(tmgr_machine_has(NULL, only_a), 0);
	IS(tmgr_machine_has(machine, NULL), 0);
	IS(tmgr_machine_switch(NULL, only_a) == TMGR_STATES_END, 1);
	IS(tmgr_machine_active(NULL, NULL, 0), 0);
	IS(tmgr_machine_tick(NULL, A), 0);
	IS(tmgr_machine_tick(machine, 99), 0);
	IS(tmgr_machine_ticks(NULL, NULL, ticks), 0);
	IS(tmgr_machine_ticks(machine, NULL, NULL), 0);
	IS(tmgr_machine_ticks(machine, unknown, ticks), 0);
	IS(ticks[0], 7);
	IS(tmgr_machine_tick_sum(NULL, NULL), 0);
	IS(tmgr_machine_tick_sum(machine, unknown), 0);
	IS(tmgr_ticks_equal(one, one, 0), 1);
	IS(tmgr_ticks_after(one, one, 0), 0);
	IS(tmgr_machine_export(NULL, text, sizeof(text)), 0);
	IS_TEXT(text, "");
	IS(tmgr_machine_import(NULL, "machine m\n"), -EINVAL);
	IS(tmgr_machine_import(machine, NULL), -EINVAL);
	IS(tmgr_machine_format(NULL, TMGR_MACHINE_FULL, text, sizeof(text)), 0);
	IS(tmgr_machine_format(machine, (enum tmgr_machine_format)9, text, sizeof(text)), 0);
	IS(tmgr_machine_was_active(NULL, A, 0, 1), -EINVAL);
	IS(tmgr_machine_was_active(machine, A, 0, 1), -EINVAL);
	IS(tmgr_machine_recently_active(NULL, A, 1), -EINVAL);
}

static void of_handlers(struct tmgr_machine *machine)
{
	static const struct tmgr_machine_handlers no_rows = { .state_count = 1 };
	static const struct tmgr_machine_handlers no_pairs = { .pair_count = 1 };
	static const struct tmgr_machine_handlers table = { .state_count = 0 };
	static const struct tmgr_machine_tracer tracer = { .disposed = NULL };
	struct tmgr_machine_event event = { .machine = machine };
	struct tmgr_machine_log log;

	IS(tmgr_machine_bind(NULL, &table, NULL), -EINVAL);
	IS(tmgr_machine_bind(machine, NULL, NULL), -EINVAL);
	IS(tmgr_machine_bind(machine, &no_rows, NULL), -EINVAL);
	IS(tmgr_machine_bind(machine, &no_pairs, NULL), -EINVAL);
	IS(tmgr_machine_unbind(NULL, &table, NULL), -EINVAL);
	IS(tmgr_machine_unbind(machine, NULL, NULL), -EINVAL);
	IS(tmgr_machine_unbind(machine, &table, NULL), -ENOENT);
	IS(tmgr_machine_trace(NULL, &tracer, NULL), -EINVAL);
	IS(tmgr_machine_trace(machine, NULL, NULL), -EINVAL);
	IS(tmgr_machine_untrace(NULL, &tracer, NULL), -EINVAL);
	IS(tmgr_machine_untrace(machine, NULL, NULL), -EINVAL);
	IS(tmgr_machine_untrace(machine, &tracer, NULL), -ENOENT);
	IS(tmgr_machine_log(NULL, &log, TMGR_MACHINE_LOG_CHANGES, no_line, NULL), -EINVAL);
	IS(tmgr_machine_log(machine, NULL, TMGR_MACHINE_LOG_CHANGES, no_line, NULL), -EINVAL);
	IS(tmgr_machine_log(machine, &log, TMGR_MACHINE_LOG_CHANGES, NULL, NULL), -EINVAL);
	IS(tmgr_machine_log(machine, &log, (enum tmgr_machine_log_level)9, no_line, NULL), -EINVAL);
	IS(tmgr_machine_log_end(NULL, &log), -EINVAL);
	IS(tmgr_machine_log_end(machine, NULL), -EINVAL);
	IS(tmgr_machine_fail(NULL, -EIO, "text"), 0);
	IS(tmgr_machine_postpone(NULL), 0);
	IS(tmgr_machine_argument(NULL, "name") != NULL, 0);
	IS(tmgr_machine_argument(&event, "name") != NULL, 0);
	IS(tmgr_machine_argument(&event, NULL) != NULL, 0);
	IS(tmgr_machine_number(NULL, "name", 7), 7);
	IS(tmgr_machine_text(NULL, "name") != NULL, 0);
	IS(tmgr_machine_pointer(NULL, "name") != NULL, 0);
}

static void of_waiting(struct tmgr_machine *machine)
{
	struct tmgr_machine_condition bad[] = {
		{ .kind = TMGR_CONDITION_ACTIVE },
		{ .kind = TMGR_CONDITION_INACTIVE, .states = unknown },
		{ .kind = TMGR_CONDITION_TIME, .states = only_a },
		{ .kind = TMGR_CONDITION_TICKS, .states = only_a },
		{ .kind = TMGR_CONDITION_TICKS, .states = only_a + 1 },
		{ .kind = TMGR_CONDITION_ARGUMENTS,
			.states = (const unsigned[]){ A, B, TMGR_STATES_END } },
		{ .kind = (enum tmgr_condition_kind)99 },
	};
	struct tmgr_machine_when when = { .machine = NULL };
	struct tmgr_future future = TMGR_FUTURE_INIT;
	struct tmgr_state_context context;
	struct tmgr_token *token;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		IS(tmgr_machine_wait(NULL, machine, &bad[i], TMGR_NOW), -EINVAL);
		IS(tmgr_machine_wait_or_error(NULL, machine, &bad[i], TMGR_NOW), -EINVAL);
		IS(tmgr_machine_when(machine, &bad[i], &when, no_result, NULL), -EINVAL);
		IS(tmgr_machine_when_future(machine, &bad[i], &when, &future), -EINVAL);
	}
	IS(tmgr_machine_wait(NULL, NULL, &TMGR_WHEN(A), TMGR_NOW), -EINVAL);
	IS(tmgr_machine_wait(NULL, machine, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_machine_wait_or_error(NULL, NULL, &TMGR_WHEN(A), TMGR_NOW), -EINVAL);
	IS(tmgr_machine_when(NULL, &TMGR_WHEN(A), &when, no_result, NULL), -EINVAL);
	IS(tmgr_machine_when(machine, &TMGR_WHEN(A), NULL, no_result, NULL), -EINVAL);
	IS(tmgr_machine_when(machine, &TMGR_WHEN(A), &when, NULL, NULL), -EINVAL);
	IS(tmgr_machine_when_cancel(NULL), -EINVAL);
	IS(tmgr_machine_when_cancel(&when), -EINVAL);
	IS(tmgr_machine_when_future(machine, &TMGR_WHEN(A), &when, NULL), -EINVAL);
	context = tmgr_machine_state_context(NULL, A);
	IS(tmgr_state_lasts(&context), 0);
	IS(tmgr_machine_state_token(NULL, A, NULL, &token), -EINVAL);
	IS(tmgr_machine_state_token(machine, 99, NULL, &token), -EINVAL);
	IS(tmgr_machine_state_token(machine, A, NULL, NULL), -EINVAL);
}

static void of_tasks(struct tmgr_machine *machine)
{
	struct tmgr_machine_task_options options = { .stop = unknown };
	struct tmgr_machine_event event = { .machine = machine, .kind = TMGR_HANDLER_ENTER };

	IS(tmgr_task_error(tmgr_machine_task(NULL, NULL)), -EINVAL);
	IS(tmgr_task_error(tmgr_machine_task(tmgr_machine_ref(machine), &options)), -EINVAL);
	IS(tmgr_state_task(NULL, tmgr_task_function(no_task, NULL), NULL), -EINVAL);
	IS(tmgr_state_task(&event, tmgr_task_function(no_task, NULL), NULL), -EINVAL);
	IS(tmgr_state_task(&event, tmgr_task_failed(-ENOMEM), NULL), -ENOMEM);
	IS(tmgr_machine_next_timeout(NULL) == TMGR_NEVER, 1);
	IS(tmgr_machine_expire(NULL), -EINVAL);
}

static void each_bad_argument_gives_its_error_and_changes_nothing(void **state)
{
	struct tmgr_machine_stats stats;
	struct tmgr_schema *schema;
	struct tmgr_machine *machine;

	(void)state;
	wrong = 0;
	of_schemas();
	assert_int_equal(tmgr_schema_compile(rows, STATES, NULL, &schema), 0);
	of_making(schema);
	assert_int_equal(tmgr_machine_create(schema, NULL, &machine), 0);
	of_mutations(machine);
	of_reading(machine);
	of_handlers(machine);
	of_waiting(machine);
	assert_int_equal(tmgr_machine_stats(machine, &stats), 0);
	assert_int_equal(stats.transitions + stats.waits + stats.queued + stats.tables, 0);
	of_tasks(machine);
	tmgr_machine_unref(machine);
	tmgr_schema_unref(schema);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_bad_argument_gives_its_error_and_changes_nothing),
	};

	return cmocka_run_group_tests_name("arguments_machine", tests, NULL, NULL);
}
