#include <errno.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/hosted.h"
#include "tests/support/leak.h"

/* Three probes, as a sequence and in one recorder. */
struct three {
	struct recorder recorder;
	struct probe a, b, c;
};

#define THREE                                                                             \
	{                                                                                 \
		.recorder = RECORDER_INIT, .a = PROBE(.name = "a", .end = PROBE_RETURNS), \
		.b = PROBE(.name = "b", .end = PROBE_RETURNS),                            \
		.c = PROBE(.name = "c", .end = PROBE_RETURNS),                            \
	}

static struct tmgr_task sequence_of(struct three *three)
{
	const struct tmgr_task tasks[] = {
		probe_task(&three->a),
		probe_task(&three->b),
		probe_task(&three->c),
	};

	three->a.recorder = three->b.recorder = three->c.recorder = &three->recorder;
	return tmgr_sequence(tasks, 3);
}

static void tasks_are_executed_one_after_another_between_initialize_and_cleanup(void **state)
{
	struct three three = THREE;

	(void)state;
	assert_int_equal(hosted_run(sequence_of(&three)).result, 0);
	assert_string_equal(recorder_text(&three.recorder), "+a +b +c a b c -c -b -a ~c ~b ~a");
}

static void the_first_error_ends_it_with_its_text(void **state)
{
	struct three three = THREE;
	struct ending ending;

	(void)state;
	three.b.execute_result = -EIO;
	three.b.fail_text = "gone";
	ending = hosted_run(sequence_of(&three));
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "gone");
	assert_string_equal(recorder_text(&three.recorder), "+a +b +c a b -c -b -a ~c ~b ~a");
}

static void after_a_stop_no_further_one_is_executed(void **state)
{
	struct three three = THREE;
	struct hosted hosted;

	(void)state;
	three.b.end = PROBE_UNTIL_CANCELLED;
	hosted_start(&hosted, sequence_of(&three));
	assert_true(latch_arrived(&three.b.executing, 1));
	assert_int_equal(hosted_stop(&hosted).result, 0);
	assert_string_equal(recorder_text(&three.recorder), "+a +b +c a b -c -b -a ~c ~b ~a");
}

static void when_an_initialize_fails_those_before_it_are_cleaned_up(void **state)
{
	struct three three = THREE;
	struct ending ending;

	(void)state;
	three.c.initialize_result = -EACCES;
	three.c.fail_text = "not allowed";
	/* Their own troubles do not hide it. */
	three.a.cleanup_result = -EIO;
	three.a.fail_text = "no cleanup";
	ending = hosted_run(sequence_of(&three));
	assert_int_equal(ending.result, -EACCES);
	assert_string_equal(ending.text, "not allowed");
	assert_string_equal(recorder_text(&three.recorder), "+a +b +c -b -a ~c ~b ~a");
}

static void the_failed_ones_cleanup_is_called_where_the_task_asks_for_it(void **state)
{
	const struct tmgr_task_options also = { .cleanup_after_failed_initialize = true };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct three three = THREE;

	(void)state;
	three.b.initialize_result = -EACCES;
	tmgr_manager_add_task_with(manager, "task", sequence_of(&three), TMGR_ERROR, &also);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EACCES);
	tmgr_manager_destroy(manager);
	assert_string_equal(recorder_text(&three.recorder), "+a +b -a -b ~c ~b ~a");
}

static void a_cleanup_that_fails_does_not_stop_the_others_and_is_returned(void **state)
{
	struct three three = THREE;
	struct ending ending;

	(void)state;
	three.c.cleanup_result = -EIO;
	three.c.fail_text = "first";
	three.b.cleanup_result = -EPERM;
	three.b.fail_text = "second";
	ending = hosted_run(sequence_of(&three));
	assert_int_equal(ending.result, -EIO);
	assert_string_equal(ending.text, "first");
	assert_string_equal(recorder_text(&three.recorder), "+a +b +c a b c -c -b -a ~c ~b ~a");
}

static void a_sequence_with_initialize_in_it_is_no_execute_task(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct probe plain = PROBE(.name = "p", .end = PROBE_RETURNS);
	struct probe full = PROBE(.name = "f", .end = PROBE_RETURNS);
	const struct tmgr_task one[] = { probe_execute_task(&plain) };
	const struct tmgr_task both[] = { probe_execute_task(&plain), probe_task(&full) };

	(void)state;
	assert_int_equal(
		tmgr_manager_add_execute_task(manager, "job", tmgr_sequence(one, 1), TMGR_ERROR),
		0);
	assert_int_equal(
		tmgr_manager_add_execute_task(manager, "job", tmgr_sequence(both, 2), TMGR_ERROR),
		-EINVAL);
	tmgr_manager_destroy(manager);
	assert_int_equal(atomic_load(&plain.destroyed), 2);
	assert_int_equal(atomic_load(&full.destroyed), 1);
}

static void nothing_is_refused_and_a_refused_one_is_passed_on(void **state)
{
	static const struct tmgr_refusal mine = { -ENODEV, "there is a device" };
	struct probe a = PROBE(.name = "a"), b = PROBE(.name = "b");
	const struct tmgr_task tasks[] = {
		probe_task(&a),
		tmgr_task_refused(&mine),
		tmgr_task_failed(-ENOMEM),
		probe_task(&b),
	};
	struct tmgr_task task = tmgr_sequence(tasks, 4);

	(void)state;
	assert_int_equal(tmgr_task_error(task), -ENODEV);
	assert_ptr_equal(tmgr_task_rule(task), mine.rule);
	assert_int_equal(atomic_load(&a.destroyed), 1);
	assert_int_equal(atomic_load(&b.destroyed), 1);
	assert_int_equal(tmgr_task_error(tmgr_sequence(NULL, 3)), -EINVAL);
	assert_int_equal(tmgr_task_error(tmgr_sequence(tasks, 0)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(tasks_are_executed_one_after_another_between_initialize_and_cleanup),
		leak_test(the_first_error_ends_it_with_its_text),
		leak_test(after_a_stop_no_further_one_is_executed),
		leak_test(when_an_initialize_fails_those_before_it_are_cleaned_up),
		leak_test(the_failed_ones_cleanup_is_called_where_the_task_asks_for_it),
		leak_test(a_cleanup_that_fails_does_not_stop_the_others_and_is_returned),
		leak_test(a_sequence_with_initialize_in_it_is_no_execute_task),
		leak_test(nothing_is_refused_and_a_refused_one_is_passed_on),
	};

	return cmocka_run_group_tests_name("sequence", tests, NULL, NULL);
}
