/* Handlers: failures of each kind, slow ones, arguments, several tables. */
#include <errno.h>
#include <string.h>

#include "taskmgr/base/check.h"

#include "tests/support/rig.h"

static const struct tmgr_machine_state plain[] = {
	RIG_PLAIN(A),
	RIG_PLAIN(B),
	RIG_PLAIN(C),
};

#define PLAIN_COUNT ARRAY_SIZE(plain)
#define EXCEPTION PLAIN_COUNT

/* ---- Failures -------------------------------------------------------------------------------- */

/* Fails in the handler named by the words. */
static bool fail_there(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (rig->words && strcmp(name, rig->words) == 0)
		return tmgr_machine_fail(event, -EIO, "in %s", name);
	return true;
}

static bool fail_once(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	bool accepted = fail_there(rig, event, name);

	if (!accepted)
		rig->words = NULL;
	return accepted;
}

static void a_failing_handler_cancels_and_adds_exception(void **state)
{
	static const struct {
		const char *handler, *stands;
		enum tmgr_handler_kind kind;
		unsigned state;
	} cases[] = {
		/* From A B, set B C. In a negotiation nothing has changed. */
		{ "AExit", "Exception:1 A:1 B:1", TMGR_HANDLER_EXIT, A },
		{ "CEnter", "Exception:1 A:1 B:1", TMGR_HANDLER_ENTER, C },
		{ "BB", "Exception:1 A:1 B:1", TMGR_HANDLER_SELF, B },
		{ "AC", "Exception:1 A:1 B:1", TMGR_HANDLER_PAIR, A },
		{ "AnyEnter", "Exception:1 A:1 B:1", TMGR_HANDLER_ANY_ENTER, TMGR_STATES_END },
		/* What was entered leaves again; what left does not come back. */
		{ "CState", "Exception:1 B:1", TMGR_HANDLER_STATE, C },
		{ "AEnd", "Exception:1 B:1 C:1", TMGR_HANDLER_END, A },
		{ "AnyState", "Exception:1 B:1 C:1", TMGR_HANDLER_ANY_STATE, TMGR_STATES_END },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig rig = { .act = fail_once };
		struct tmgr_machine_error error;
		const char *called;

		rig_make(&rig, plain, PLAIN_COUNT, NULL);
		tmgr_machine_change(rig.machine, TMGR_MUTATION_SET, TMGR_STATES(A, B), NULL);
		rig_recorded(&rig);
		rig.words = cases[i].handler;
		assert_int_equal(tmgr_machine_change(
					 rig.machine, TMGR_MUTATION_SET, TMGR_STATES(B, C), NULL),
			TMGR_MUTATION_CANCELLED);
		called = rig_recorded(&rig);
		rig_stands(&rig, cases[i].stands);
		/* No other was called before Exception's own. */
		called = strstr(called, cases[i].handler);
		assert_non_null(called);
		called += strlen(cases[i].handler);
		assert_int_equal(strncmp(called, " ExceptionEnter", 15), 0);
		assert_int_equal(tmgr_machine_error(rig.machine, &error), -EIO);
		assert_int_equal(error.handler, cases[i].kind);
		assert_true(error.state == cases[i].state);
		assert_int_equal(strncmp(error.text, "in ", 3), 0);
		assert_int_equal(tmgr_machine_set(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
		rig_end(&rig);
	}
}

static bool fail_twice(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (strcmp(name, "AEnter") == 0)
		return tmgr_machine_fail(event, -EIO, "first");
	return fail_there(rig, event, name);
}

static void a_failure_of_exceptions_own_handlers_ends_there(void **state)
{
	static const struct {
		const char *handler, *stands;
	} cases[] = {
		{ "ExceptionEnter", "B:1" },
		{ "BException", "B:1" },
		{ "BB", "B:1" },
		{ "ExceptionState", "Exception:1 B:1" },
		{ "AnyState", "Exception:1 B:1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig rig = { .act = NULL };
		struct tmgr_machine_error error;

		rig_make(&rig, plain, PLAIN_COUNT, NULL);
		tmgr_machine_add(rig.machine, B, NULL);
		rig.act = fail_twice;
		rig.words = cases[i].handler;
		rig_bind(&rig);
		assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_CANCELLED);
		rig_stands(&rig, cases[i].stands);
		/* The first is the one that is kept. */
		assert_int_equal(tmgr_machine_error(rig.machine, &error), -EIO);
		assert_string_equal(error.text, "first");
		rig.words = NULL;
		assert_int_equal(tmgr_machine_set(rig.machine, C, NULL), TMGR_MUTATION_EXECUTED);
		rig_stands(&rig, "C:1");
		rig_end(&rig);
	}
}

static void an_automatic_state_that_always_fails_is_not_tried_for_ever(void **state)
{
	const struct tmgr_machine_state rows[] = {
		RIG_ROW(A, .automatic = true),
		RIG_PLAIN(B),
	};
	static const char *const handlers[] = { "AEnter", "AState" };

	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		struct rig rig = { .act = fail_there, .words = handlers[i] };
		struct tmgr_machine_stats stats;

		rig_make(&rig, rows, 2, NULL);
		assert_int_equal(tmgr_machine_add(rig.machine, B, NULL), TMGR_MUTATION_EXECUTED);
		rig_stands(&rig, "Exception:1 B:1");
		assert_int_equal(tmgr_machine_stats(rig.machine, &stats), 0);
		assert_int_equal(stats.errors, 1);
		rig_end(&rig);
	}
}

static void errors_that_are_added_have_their_code_and_text(void **state)
{
	struct rig rig = { .act = NULL };
	struct tmgr_machine_error error;
	char text[200];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_error(rig.machine, &error), 0);
	assert_int_equal(error.code, 0);
	assert_int_equal(tmgr_machine_add_error(rig.machine, -ENOENT, "no %s", "such"),
		TMGR_MUTATION_EXECUTED);
	assert_int_equal(tmgr_machine_error(rig.machine, &error), -ENOENT);
	assert_string_equal(error.text, "no such");
	assert_int_equal(error.handler, TMGR_HANDLER_KINDS);
	assert_true(error.state == TMGR_STATES_END);
	rig_stands(&rig, "Exception:1");
	/* It is multi; and it stays the last error when it leaves. */
	assert_int_equal(
		tmgr_machine_add_error(rig.machine, -EIO, "%s", text), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "Exception:3");
	assert_int_equal(tmgr_machine_remove(rig.machine, EXCEPTION, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(tmgr_machine_error(rig.machine, &error), -EIO);
	assert_int_equal(strlen(error.text), TMGR_MACHINE_TEXT_SIZE - 1);
	rig_end(&rig);
}

static bool add_two_errors(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (strcmp(name, "AState") == 0) {
		tmgr_machine_add(event->machine, B, NULL);
		tmgr_machine_add_error(event->machine, -EIO, "one");
		tmgr_machine_add_error(event->machine, -ENOENT, "two");
	}
	if (strcmp(name, "ExceptionState") == 0)
		recorder_add(&rig->recorder, "%s", event->transition->error->text);
	return true;
}

static void errors_go_before_all_that_waits_in_their_order(void **state)
{
	struct rig rig = { .act = add_two_errors };
	int one, two, b;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	one = recorder_position(&rig.recorder, "one");
	two = recorder_position(&rig.recorder, "two");
	b = recorder_position(&rig.recorder, "BState");
	assert_true(one > 0 && one < two && two < b);
	rig_end(&rig);
}

/* ---- Slow handlers --------------------------------------------------------------------------- */

static bool sleep_there(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	(void)event;
	if (rig->words && strcmp(name, rig->words) == 0)
		tmgr_sleep(NULL, 250 * TMGR_MILLISECOND);
	return true;
}

static void a_slow_handler_is_counted_and_fails_only_when_asked(void **state)
{
	static const struct {
		const char *handler;
		bool fails;
		int result;
		const char *stands;
	} cases[] = {
		{ "AEnter", false, TMGR_MUTATION_EXECUTED, "A:1" },
		{ "AState", false, TMGR_MUTATION_EXECUTED, "A:1" },
		/* In a negotiation it is only cancelled. */
		{ "AEnter", true, TMGR_MUTATION_CANCELLED, "" },
		/* A final has done what it did: its state stays. */
		{ "AState", true, TMGR_MUTATION_EXECUTED, "Exception:1 A:1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tmgr_machine_options options = {
			/* What a handler without a sleep does not take on a busy machine. */
			.slow_ns = 200 * TMGR_MILLISECOND,
			.slow_fails = cases[i].fails,
		};
		struct rig rig = { .act = sleep_there, .words = cases[i].handler };
		struct tmgr_machine_stats stats;

		rig_make(&rig, plain, PLAIN_COUNT, &options);
		assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), cases[i].result);
		rig_stands(&rig, cases[i].stands);
		assert_int_equal(tmgr_machine_stats(rig.machine, &stats), 0);
		assert_true(stats.slow >= 1);
		/* The next one works. */
		rig.words = NULL;
		assert_int_equal(tmgr_machine_set(rig.machine, B, NULL), TMGR_MUTATION_EXECUTED);
		rig_stands(&rig, "B:1");
		rig_end(&rig);
	}
}

static void no_handler_is_slow_where_that_is_said(void **state)
{
	struct tmgr_machine_options options = { .slow_ns = TMGR_NEVER, .slow_fails = true };
	struct rig rig = { .act = sleep_there, .words = "AEnter" };
	struct tmgr_machine_stats stats;

	rig_make(&rig, plain, PLAIN_COUNT, &options);
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(tmgr_machine_stats(rig.machine, &stats), 0);
	assert_int_equal(stats.slow, 0);
	rig_end(&rig);
}

/* ---- Arguments ------------------------------------------------------------------------------- */

static bool read_arguments(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	const char *text = tmgr_machine_text(event, "text");

	if (strcmp(name, "BState") == 0)
		recorder_add(&rig->recorder, "%s:%d:%s",
			tmgr_machine_pointer(event, "pointer") == rig ? "rig" : "none",
			(int)tmgr_machine_number(event, "number", -1), text ? text : "none");
	if (strcmp(name, "AState") == 0) {
		char changing[] = "copied";
		int r = tmgr_machine_add(event->machine, B,
			TMGR_ARGUMENTS(TMGR_ARG_TEXT("text", changing),
				TMGR_ARG_NUMBER("number", 7), TMGR_ARG_POINTER("pointer", rig)));

		assert_int_equal(r, TMGR_MUTATION_QUEUED);
		memset(changing, 'x', sizeof(changing) - 1);
	}
	return true;
}

static void arguments_are_given_to_handlers_and_copied_while_they_wait(void **state)
{
	struct rig rig = { .act = read_arguments };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_true(recorder_has(&rig.recorder, "rig:7:copied"));
	tmgr_machine_remove(rig.machine, B, NULL);
	rig_recorded(&rig);
	/* Of another kind, or none. */
	tmgr_machine_add(rig.machine, B,
		TMGR_ARGUMENTS(TMGR_ARG_NUMBER("text", 1), TMGR_ARG_TEXT("number", "x")));
	assert_true(recorder_has(&rig.recorder, "none:-1:none"));
	rig_end(&rig);
}

/* ---- Tables ---------------------------------------------------------------------------------- */

struct second {
	struct rig *rig;
	const char *name;
	bool unbinds;
};

static const struct tmgr_machine_handlers second_table;

static void second_state(void *self, struct tmgr_machine_event *event)
{
	struct second *second = self;

	recorder_add(&second->rig->recorder, "%s", second->name);
	if (second->unbinds)
		second->rig->result = tmgr_machine_unbind(event->machine, &second_table, second);
}

static void second_dispose(void *self, struct tmgr_machine *machine)
{
	struct second *second = self;

	(void)machine;
	recorder_add(&second->rig->recorder, "~%s", second->name);
}

static const struct tmgr_state_handlers second_rows[] = { [A] = { .state = second_state } };
static const struct tmgr_machine_handlers second_table = {
	.states = second_rows,
	.state_count = 1,
	.dispose = second_dispose,
};

static void tables_are_called_in_order_of_binding_and_disposed_in_reverse(void **state)
{
	struct rig rig = { .act = NULL };
	struct second one = { .rig = &rig, .name = "one" }, two = { .rig = &rig, .name = "two" };
	struct second three = { .rig = &rig, .name = "three" };
	struct tmgr_machine_stats stats;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_bind(rig.machine, &second_table, &one), 0);
	assert_int_equal(tmgr_machine_bind(rig.machine, &second_table, &two), 0);
	assert_int_equal(tmgr_machine_bind(rig.machine, &second_table, &three), 0);
	assert_int_equal(tmgr_machine_bind(rig.machine, &second_table, &one), -EEXIST);
	tmgr_machine_add(rig.machine, A, NULL);
	assert_string_equal(rig_recorded(&rig), "one two three");
	assert_int_equal(tmgr_machine_unbind(rig.machine, &second_table, &two), 0);
	assert_int_equal(tmgr_machine_unbind(rig.machine, &second_table, &two), -ENOENT);
	tmgr_machine_set(rig.machine, B, NULL);
	tmgr_machine_set(rig.machine, A, NULL);
	assert_string_equal(rig_recorded(&rig), "one three");
	assert_int_equal(tmgr_machine_stats(rig.machine, &stats), 0);
	assert_int_equal(stats.tables, 2);
	tmgr_machine_dispose(rig.machine);
	assert_string_equal(rig_recorded(&rig), "~three ~one");
	assert_int_equal(tmgr_machine_bind(rig.machine, &second_table, &two), -ESHUTDOWN);
	assert_int_equal(tmgr_machine_unbind(rig.machine, &second_table, &one), 0);
	rig_end(&rig);
}

static void a_handler_may_unbind_its_own_table(void **state)
{
	struct rig rig = { .act = NULL };
	struct second one = { .rig = &rig, .name = "one", .unbinds = true };
	struct second two = { .rig = &rig, .name = "two" };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_bind(rig.machine, &second_table, &one), 0);
	assert_int_equal(tmgr_machine_bind(rig.machine, &second_table, &two), 0);
	tmgr_machine_add(rig.machine, A, NULL);
	assert_int_equal(rig.result, 0);
	assert_string_equal(rig_recorded(&rig), "one two");
	tmgr_machine_set(rig.machine, B, NULL);
	tmgr_machine_set(rig.machine, A, NULL);
	assert_string_equal(rig_recorded(&rig), "two");
	rig_end(&rig);
}

static void a_table_for_states_that_are_not_there_is_refused(void **state)
{
	static const struct tmgr_state_handlers rows[PLAIN_COUNT + 2];
	static const struct tmgr_pair_handler pair = { A, PLAIN_COUNT + 1, NULL };
	const struct tmgr_machine_handlers many = { .states = rows,
		.state_count = PLAIN_COUNT + 2 };
	const struct tmgr_machine_handlers pairs = { .pairs = &pair, .pair_count = 1 };
	const struct tmgr_machine_handlers exact = { .states = rows,
		.state_count = PLAIN_COUNT + 1 };
	struct rig rig = { .act = NULL };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_bind(rig.machine, &many, NULL), -EINVAL);
	assert_int_equal(tmgr_machine_bind(rig.machine, &pairs, NULL), -EINVAL);
	assert_int_equal(tmgr_machine_bind(rig.machine, &exact, NULL), 0);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_failing_handler_cancels_and_adds_exception),
		leak_test(a_failure_of_exceptions_own_handlers_ends_there),
		leak_test(an_automatic_state_that_always_fails_is_not_tried_for_ever),
		leak_test(errors_that_are_added_have_their_code_and_text),
		leak_test(errors_go_before_all_that_waits_in_their_order),
		leak_test(a_slow_handler_is_counted_and_fails_only_when_asked),
		leak_test(no_handler_is_slow_where_that_is_said),
		leak_test(arguments_are_given_to_handlers_and_copied_while_they_wait),
		leak_test(tables_are_called_in_order_of_binding_and_disposed_in_reverse),
		leak_test(a_handler_may_unbind_its_own_table),
		leak_test(a_table_for_states_that_are_not_there_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
