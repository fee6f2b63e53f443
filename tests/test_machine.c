/* Mutations of a machine, reading it, dry runs, its end, texts, memory. */
#include <errno.h>
#include <string.h>

#include "taskmgr/base/check.h"

#include "tests/support/fault.h"
#include "tests/support/rig.h"

static const struct tmgr_machine_state plain[] = {
	RIG_PLAIN(A),
	RIG_PLAIN(B),
	RIG_PLAIN(C),
	RIG_ROW(D, .multi = true),
	RIG_ROW(E, .require = TMGR_STATES(A)),
	RIG_ROW(F, .remove = TMGR_STATES(B)),
};

#define PLAIN_COUNT ARRAY_SIZE(plain)

/* ---- Mutations ------------------------------------------------------------------------------- */

static void states_are_added_removed_set_and_toggled(void **state)
{
	struct rig rig = { .act = NULL };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	rig_stands(&rig, "");
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(tmgr_machine_add(rig.machine, B, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "B:1 A:1");
	assert_int_equal(tmgr_machine_remove(rig.machine, B, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "A:1");
	assert_int_equal(tmgr_machine_set(rig.machine, C, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "C:1");
	assert_int_equal(tmgr_machine_toggle(rig.machine, C, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "");
	assert_int_equal(tmgr_machine_toggle(rig.machine, C, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "C:3");
	/* Several: a toggle removes only where all are active. */
	assert_int_equal(
		tmgr_machine_change(rig.machine, TMGR_MUTATION_TOGGLE, TMGR_STATES(A, C, A), NULL),
		TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "C:3 A:3");
	assert_int_equal(
		tmgr_machine_change(rig.machine, TMGR_MUTATION_TOGGLE, TMGR_STATES(A, C), NULL),
		TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "");
	assert_int_equal(tmgr_machine_add(rig.machine, D, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(tmgr_machine_add(rig.machine, D, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "D:3");
	rig_end(&rig);
}

static void what_is_refused_or_unknown_changes_nothing(void **state)
{
	struct rig rig = { .act = NULL };
	struct tmgr_machine_stats stats;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_add(rig.machine, B, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(tmgr_machine_add(rig.machine, E, NULL), TMGR_MUTATION_CANCELLED);
	assert_int_equal(tmgr_machine_add(rig.machine, PLAIN_COUNT + 1, NULL), -EINVAL);
	assert_int_equal(tmgr_machine_add(rig.machine, TMGR_STATES_END, NULL), -EINVAL);
	assert_int_equal(
		tmgr_machine_change(rig.machine, TMGR_MUTATION_SET, TMGR_STATES(A, 99), NULL),
		-EINVAL);
	assert_int_equal(
		tmgr_machine_change(rig.machine, TMGR_MUTATION_TOGGLE + 1, TMGR_STATES(A), NULL),
		-EINVAL);
	rig_stands(&rig, "B:1");
	assert_int_equal(tmgr_machine_stats(rig.machine, &stats), 0);
	assert_int_equal(stats.transitions, 2);
	assert_int_equal(stats.cancelled, 1);
	rig_end(&rig);
}

static void reading_several_states_looks_at_all_of_them(void **state)
{
	struct rig rig = { .act = NULL };
	const unsigned none[] = { TMGR_STATES_END };
	uint64_t ticks[PLAIN_COUNT + 1], later[] = { 1, 2, 3 }, earlier[] = { 1, 2, 2 };
	unsigned active[2] = { 99, 99 };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	tmgr_machine_change(rig.machine, TMGR_MUTATION_SET, TMGR_STATES(A, B), NULL);
	tmgr_machine_change(rig.machine, TMGR_MUTATION_SET, TMGR_STATES(B, C), NULL);
	assert_true(tmgr_machine_all(rig.machine, TMGR_STATES(B, C)));
	assert_false(tmgr_machine_all(rig.machine, TMGR_STATES(B, A)));
	assert_true(tmgr_machine_all(rig.machine, none));
	assert_true(tmgr_machine_any(rig.machine, TMGR_STATES(A, C)));
	assert_false(tmgr_machine_any(rig.machine, TMGR_STATES(A, D)));
	assert_false(tmgr_machine_any(rig.machine, none));
	assert_true(tmgr_machine_not(rig.machine, TMGR_STATES(A, D)));
	assert_false(tmgr_machine_not(rig.machine, TMGR_STATES(A, C)));
	assert_true(tmgr_machine_has(rig.machine, TMGR_STATES(A, PLAIN_COUNT)));
	assert_false(tmgr_machine_has(rig.machine, TMGR_STATES(A, PLAIN_COUNT + 1)));
	assert_false(tmgr_machine_not(rig.machine, TMGR_STATES(99)));
	assert_int_equal(tmgr_machine_switch(rig.machine, TMGR_STATES(A, C, B)), C);
	assert_true(tmgr_machine_switch(rig.machine, TMGR_STATES(A, D)) == TMGR_STATES_END);
	assert_int_equal(tmgr_machine_active(rig.machine, active, 1), 2);
	assert_int_equal(active[0], B);
	assert_int_equal(active[1], 99);
	assert_int_equal(tmgr_machine_active(rig.machine, NULL, 0), 2);
	assert_int_equal(tmgr_machine_ticks(rig.machine, NULL, ticks), 4);
	assert_int_equal(ticks[A], 2);
	assert_int_equal(ticks[C], 1);
	assert_int_equal(tmgr_machine_ticks(rig.machine, TMGR_STATES(C, A), ticks), 3);
	assert_int_equal(ticks[0], 1);
	assert_int_equal(ticks[1], 2);
	assert_int_equal(tmgr_machine_tick_sum(rig.machine, TMGR_STATES(A, B)), 3);
	assert_int_equal(tmgr_machine_tick_sum(rig.machine, NULL), 4);
	assert_true(tmgr_ticks_after(later, earlier, 3) && !tmgr_ticks_after(earlier, later, 3));
	assert_false(tmgr_ticks_after(later, later, 3));
	assert_true(tmgr_ticks_equal(later, later, 3) && !tmgr_ticks_equal(later, earlier, 3));
	rig_end(&rig);
}

/* ---- Dry runs -------------------------------------------------------------------------------- */

static bool refuse_c(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (event->transition->dry)
		rig->result++;
	if (strcmp(name, "DEnter") == 0)
		return tmgr_machine_fail(event, -EIO, "no");
	return strcmp(name, "CEnter") != 0;
}

static void a_dry_run_asks_relations_and_handlers_and_changes_nothing(void **state)
{
	struct rig rig = { .act = refuse_c };
	struct tmgr_machine_stats stats;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(
		tmgr_machine_can(NULL, rig.machine, TMGR_MUTATION_ADD, TMGR_STATES(A), NULL),
		TMGR_MUTATION_EXECUTED);
	assert_string_equal(rig_recorded(&rig), "AEnter AnyEnter");
	assert_int_equal(rig.result, 2);
	assert_int_equal(
		tmgr_machine_can(NULL, rig.machine, TMGR_MUTATION_SET, TMGR_STATES(C), NULL),
		TMGR_MUTATION_CANCELLED);
	assert_int_equal(
		tmgr_machine_can(NULL, rig.machine, TMGR_MUTATION_ADD, TMGR_STATES(E), NULL),
		TMGR_MUTATION_CANCELLED);
	assert_int_equal(
		tmgr_machine_can(NULL, rig.machine, TMGR_MUTATION_REMOVE, TMGR_STATES(A), NULL),
		TMGR_MUTATION_EXECUTED);
	/* One that fails is no error of the machine. */
	assert_int_equal(
		tmgr_machine_can(NULL, rig.machine, TMGR_MUTATION_ADD, TMGR_STATES(D), NULL),
		TMGR_MUTATION_CANCELLED);
	assert_int_equal(tmgr_machine_error(rig.machine, NULL), 0);
	assert_int_equal(tmgr_machine_stats(rig.machine, &stats), 0);
	assert_int_equal(stats.transitions, 0);
	rig_stands(&rig, "");
	rig_end(&rig);
}

/* ---- The end --------------------------------------------------------------------------------- */

static bool dispose_in_a(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (strcmp(name, "AState") == 0) {
		tmgr_machine_add(event->machine, B, NULL);
		assert_int_equal(tmgr_machine_dispose(event->machine), 0);
		rig->result = tmgr_machine_add(event->machine, C, NULL);
	}
	return true;
}

static void a_disposed_machine_cancels_what_waits_and_all_that_comes(void **state)
{
	struct rig rig = { .act = dispose_in_a };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(rig.result, TMGR_MUTATION_CANCELLED);
	assert_true(tmgr_machine_disposed(rig.machine));
	assert_int_equal(rig.disposed, 1);
	assert_int_equal(tmgr_machine_add(rig.machine, D, NULL), TMGR_MUTATION_CANCELLED);
	assert_int_equal(
		tmgr_machine_add_error(rig.machine, -EIO, "late"), TMGR_MUTATION_CANCELLED);
	assert_int_equal(tmgr_machine_dispose(rig.machine), -EALREADY);
	rig_stands(&rig, "A:1");
	rig_end(&rig);
	assert_int_equal(rig.disposed, 1);
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static void a_machine_is_told_as_text(void **state)
{
	struct tmgr_machine_options options = { .name = "desk" };
	struct rig rig = { .act = NULL };
	char text[1024];

	rig_make(&rig, plain, PLAIN_COUNT, &options);
	tmgr_machine_change(rig.machine, TMGR_MUTATION_ADD, TMGR_STATES(A, D), NULL);
	tmgr_machine_add(rig.machine, E, NULL);
	tmgr_machine_remove(rig.machine, D, NULL);
	tmgr_machine_format(rig.machine, TMGR_MACHINE_SHORT, text, sizeof(text));
	assert_string_equal(text, "(A:1 E:1)");
	tmgr_machine_format(rig.machine, TMGR_MACHINE_FULL, text, sizeof(text));
	assert_string_equal(text, "(A:1 E:1) [B:0 C:0 D:2 F:0 Exception:0]");
	tmgr_machine_format(rig.machine, TMGR_MACHINE_INSPECT, text, sizeof(text));
	assert_string_equal(text, "* A:1\n- B:0\n- C:0\n- D:2 multi\n* E:1 | require A\n"
				  "- F:0 | remove B\n- Exception:0 multi\n");
	assert_int_equal(tmgr_machine_format(rig.machine, TMGR_MACHINE_SHORT, text, 4), 9);
	assert_string_equal(text, "(A:");
	assert_int_equal(tmgr_machine_format(rig.machine, TMGR_MACHINE_SHORT, NULL, 0), 9);
	assert_string_equal(tmgr_machine_name(rig.machine), "desk");
	assert_ptr_equal(tmgr_machine_schema(rig.machine), rig.schema);
	rig_end(&rig);
}

static void what_was_exported_is_taken_over_with_order_and_ticks(void **state)
{
	struct rig one = { .act = NULL }, other = { .act = NULL };
	char text[1024], again[1024];

	rig_make(&one, plain, PLAIN_COUNT, NULL);
	rig_make(&other, plain, PLAIN_COUNT, NULL);
	tmgr_machine_change(one.machine, TMGR_MUTATION_SET, TMGR_STATES(C, A, B), NULL);
	tmgr_machine_set(one.machine, B, NULL);
	tmgr_machine_add(one.machine, A, NULL);
	tmgr_machine_export(one.machine, text, sizeof(text));
	assert_string_equal(
		text, "machine machine\nA 3\nB 1\nC 2\nD 0\nE 0\nF 0\nException 0\nactive B A\n");
	tmgr_machine_add(other.machine, D, NULL);
	assert_int_equal(tmgr_machine_import(other.machine, text), 0);
	rig_stands(&other, "B:1 A:3");
	tmgr_machine_export(other.machine, again, sizeof(again));
	assert_string_equal(again, text);
	/* And it goes on from there. */
	assert_int_equal(tmgr_machine_add(other.machine, E, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&other, "B:1 A:3 E:1");
	rig_end(&one);
	rig_end(&other);
}

static void a_state_may_be_named_as_what_ends_an_export(void **state)
{
	static const struct tmgr_machine_state rows[] = {
		RIG_PLAIN(A),
		[B] = { .name = "active" },
		RIG_PLAIN(C),
	};
	struct rig one = { .act = NULL }, other = { .act = NULL };
	char text[256];

	rig_make(&one, rows, ARRAY_SIZE(rows), NULL);
	rig_make(&other, rows, ARRAY_SIZE(rows), NULL);
	tmgr_machine_change(one.machine, TMGR_MUTATION_SET, TMGR_STATES(B, C), NULL);
	tmgr_machine_export(one.machine, text, sizeof(text));
	assert_int_equal(tmgr_machine_import(other.machine, text), 0);
	assert_int_equal(tmgr_machine_tick(other.machine, B), 1);
	assert_int_equal(tmgr_machine_tick(other.machine, C), 1);
	rig_end(&one);
	rig_end(&other);
}

static void what_is_no_export_of_such_a_machine_is_refused(void **state)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {
		{ "", -EINVAL },
		{ "machine m", -EINVAL },
		{ "machine m\n", -EINVAL },
		{ "A 3\nB 1\n", -EINVAL },
		{ "machine m\nA 1\nactive A\n", -ENOENT },
		{ "machine m\nA 1\nZ 1\nactive A\n", -ENOENT },
		{ "machine m\nA 1\nA 1\nactive A\n", -EINVAL },
		{ "machine m\nA x\nactive\n", -EINVAL },
		{ "machine m\nA 0\nB 0\nC 0\nD 0\nE 0\nF 0\nException 0\nactive A\n", -EINVAL },
		{ "machine m\nA 1\nB 0\nC 0\nD 0\nE 0\nF 0\nException 0\nactive\n", -EINVAL },
		{ "machine m\nA 1\nB 0\nC 0\nD 0\nE 0\nF 0\nException 0\nactive A A\n", -EINVAL },
		{ "machine m\nA 1\nB 0\nC 0\nD 0\nE 0\nF 0\nException 0\nactive Z\n", -ENOENT },
		{ "machine m\nA 1\nB 0\nC 0\nD 0\nE 0\nF 0\nException 0\nactive A", -EINVAL },
		{ "machine m\nA 1\nB 0\nC 0\nD 0\nE 0\nF 0\nException 0\nactive A\nmore\n",
			-EINVAL },
		{ "machine m\nA 99999999999999999999\nactive\n", -EINVAL },
	};
	struct rig rig = { .act = NULL };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	tmgr_machine_add(rig.machine, B, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (tmgr_machine_import(rig.machine, cases[i].text) != cases[i].error)
			fail_msg("case %zu", i);
	}
	rig_stands(&rig, "B:1");
	rig_end(&rig);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static bool do_nothing(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	return true;
}

static void a_transition_allocates_nothing(void **state)
{
	struct rig rig = { .act = do_nothing };
	long before;

	rig_make(&rig, plain, PLAIN_COUNT, &(struct tmgr_machine_options){ .history_max = 4 });
	before = fault_allocations();
	for (int i = 0; i < 10; i++) {
		tmgr_machine_change(rig.machine, TMGR_MUTATION_SET, TMGR_STATES(A, D), NULL);
		tmgr_machine_add(rig.machine, E, TMGR_ARGUMENTS(TMGR_ARG_TEXT("t", "text")));
		tmgr_machine_add(rig.machine, F, NULL);
		tmgr_machine_add_error(rig.machine, -EIO, "no memory");
		tmgr_machine_remove(rig.machine, A, NULL);
		tmgr_machine_wait(NULL, rig.machine, &TMGR_WHEN(F), TMGR_NOW);
		recorder_clear(&rig.recorder);
	}
	assert_int_equal(fault_allocations(), before);
	rig_end(&rig);
}

static bool add_without_memory(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (strcmp(name, "AState") == 0) {
		fault_fail_all_allocations(true);
		rig->result = tmgr_machine_add(event->machine, B, NULL);
		fault_fail_all_allocations(false);
	}
	return true;
}

static void what_cannot_be_kept_while_it_waits_is_told(void **state)
{
	struct rig rig = { .act = add_without_memory };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(rig.result, -ENOMEM);
	rig_stands(&rig, "A:1");
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(states_are_added_removed_set_and_toggled),
		leak_test(what_is_refused_or_unknown_changes_nothing),
		leak_test(reading_several_states_looks_at_all_of_them),
		leak_test(a_dry_run_asks_relations_and_handlers_and_changes_nothing),
		leak_test(a_disposed_machine_cancels_what_waits_and_all_that_comes),
		leak_test(a_machine_is_told_as_text),
		leak_test(what_was_exported_is_taken_over_with_order_and_ticks),
		leak_test(a_state_may_be_named_as_what_ends_an_export),
		leak_test(what_is_no_export_of_such_a_machine_is_refused),
		leak_test(a_transition_allocates_nothing),
		leak_test(what_cannot_be_kept_while_it_waits_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
