/*
 * pthread_exit() in a coroutine ends the loop and all that is on it, unexpectedly and at once. Each in
 * a child, since stacks are left behind.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <taskmgr/channel.h>
#include <taskmgr/tasks/timeout.h>

#include "tests/support/child.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/looped.h"

static struct tmgr_channel *channel;

static int wait_for_ever(void *self, struct tmgr_context *context)
{
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int receive_for_ever(struct probe *probe, struct tmgr_context *context)
{
	int item;

	return tmgr_channel_receive(context, channel, &item, TMGR_NEVER);
}

static int spawn_and_exit(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_coroutine **ret = probe->user;

	if (ret != NULL)
		*ret = spawned(context, "spawned", wait_for_ever, NULL);
	/* The others wait. */
	tmgr_sleep(context, 5 * TMGR_MILLISECOND);
	pthread_exit(NULL);
}

static int count_errors(const struct tmgr_report *report, const char *name)
{
	int count = 0;

	for (const struct tmgr_report_entry *entry = report->entries; entry != NULL;
		entry = entry->next)
		count += entry->error == -TMGR_EUNEXPECTED && strcmp(entry->name, name) == 0;
	return count;
}

/* With the policy ERROR, so that all ends are judged by themselves. */
static int exit_in_a_task(void *argument)
{
	static struct probe outside = PROBE(.name = "outside");
	static struct probe sleeper = PROBE(.name = "sleeper");
	static struct probe receiver = PROBE(.name = "receiver", .end = PROBE_RETURNS,
		.on_execute = receive_for_ever);
	static struct probe exits = PROBE(.name = "exits", .end = PROBE_RETURNS,
		.on_execute = spawn_and_exit);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_loop *loop = tmgr_loop_ref(looped_add(manager, "loop", NULL));
	struct tmgr_task_options on = { .loop = loop };
	const struct tmgr_report *report;
	struct tmgr_coroutine *child;
	int item = 1;

	exits.user = &child;
	child_check_equal(tmgr_channel_create(sizeof(int), 0, &channel), 0);
	tmgr_manager_add_task(manager, "outside", probe_task(&outside), TMGR_ERROR);
	tmgr_manager_add_task_with(manager, "sleeper", probe_task(&sleeper), TMGR_ERROR, &on);
	tmgr_manager_add_task_with(manager, "receiver", probe_task(&receiver), TMGR_ERROR, &on);
	tmgr_manager_add_execute_task_with(
		manager, "exits", probe_execute_task(&exits), TMGR_ERROR, &on);
	child_check_equal(tmgr_manager_run(manager, NULL), -TMGR_EUNEXPECTED);
	report = tmgr_manager_report(manager);
	tmgr_report_print(report, "child", 2);
	child_check_equal(report->stuck, 0);
	child_check_equal(count_errors(report, "loop"), 1);
	child_check_equal(count_errors(report, "sleeper"), 1);
	child_check_equal(count_errors(report, "receiver"), 1);
	child_check_equal(count_errors(report, "exits"), 1);
	child_check_equal(count_errors(report, "outside"), 0);
	child_check(strcmp(report->cause->text, "left by pthread_exit()") == 0);
	child_check_equal(outside.cleaned_up + sleeper.cleaned_up + receiver.cleaned_up, 3);
	/* What it spawned is told of, and nobody receives any more. */
	child_check_equal(tmgr_coroutine_await(NULL, child, tmgr_after(TMGR_SECOND), NULL),
		-TMGR_EUNEXPECTED);
	child_check_equal(tmgr_channel_send(NULL, channel, &item, TMGR_NOW), -ETIMEDOUT);
	child_check_equal(tmgr_loop_spawn(loop, wait_for_ever, NULL, NULL, NULL), -ESHUTDOWN);
	tmgr_manager_destroy(manager);
	child_check_equal(tmgr_channel_send(NULL, channel, &item, TMGR_NOW), -ETIMEDOUT);
	child_check_equal(exits.destroyed + sleeper.destroyed + receiver.destroyed, 3);
	return 0;
}

static void all_on_the_loop_have_ended_unexpectedly(void **state)
{
	static struct child child;

	(void)state;
	assert_int_equal(child_run(&child, exit_in_a_task, NULL), 0);
}

static int exit_main(void *self, struct tmgr_context *context)
{
	spawn(context, "other", wait_for_ever, NULL);
	tmgr_yield(context);
	pthread_exit(NULL);
}

static int exit_in_main(void *argument)
{
	struct tmgr_loop_options options = { .main = exit_main };
	struct ending ending = looped_run(&options);

	child_check_equal(ending.result, -TMGR_EUNEXPECTED);
	child_check(strcmp(ending.text, "left by pthread_exit()") == 0);
	return 0;
}

static void an_exit_in_main_is_the_end_of_its_loop(void **state)
{
	static struct child child;

	(void)state;
	assert_int_equal(child_run(&child, exit_in_main, NULL), 0);
}

/* Two wrappers that park in turn, and end in another order than they began: what each registers for
 * a thread's exit must not be left behind for the next. */
static int ended_first;

static int sleep_first(void *self, struct tmgr_context *context)
{
	int r = tmgr_sleep(context, 2 * TMGR_MILLISECOND);

	ended_first++;
	return r;
}

static int exit_last(void *self, struct tmgr_context *context)
{
	while (ended_first < 2)
		tmgr_sleep(context, TMGR_MILLISECOND);
	pthread_exit(NULL);
}

static int exit_after_wrappers(void *argument)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task_options on = { .loop = looped_add(manager, "loop", NULL) };

	tmgr_manager_add_task_with(manager, "first",
		tmgr_timeout(tmgr_task_function(sleep_first, NULL), TMGR_MINUTE), TMGR_ERROR, &on);
	tmgr_manager_add_task_with(manager, "second",
		tmgr_timeout(tmgr_task_function(exit_last, NULL), TMGR_MINUTE), TMGR_ERROR, &on);
	tmgr_manager_add_task_with(manager, "third",
		tmgr_timeout(tmgr_task_function(sleep_first, NULL), TMGR_MINUTE), TMGR_ERROR, &on);
	child_check_equal(tmgr_manager_run(manager, NULL), -TMGR_EUNEXPECTED);
	child_check_equal(count_errors(tmgr_manager_report(manager), "loop"), 1);
	child_check_equal(count_errors(tmgr_manager_report(manager), "second"), 1);
	child_check_equal(tmgr_manager_report(manager)->errors, 2);
	tmgr_manager_destroy(manager);
	return 0;
}

static void an_exit_after_wrappers_that_ended_in_another_order_is_told(void **state)
{
	static struct child child;

	(void)state;
	if (child_run(&child, exit_after_wrappers, NULL) != 0)
		fail_msg("%s", child.text);
}

/* What was posted before the exit, and not looked at any more. */
static int exit_when_added(struct probe *probe, struct tmgr_context *context)
{
	latch_wait(probe->user);
	pthread_exit(NULL);
}

static int exit_with_one_posted(void *argument)
{
	static struct latch added = LATCH_INIT;
	static struct probe exits = PROBE(.name = "exits", .end = PROBE_RETURNS,
		.on_execute = exit_when_added, .user = &added);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_task_options on = { .loop = looped_add(manager, "loop", NULL) };
	struct runner runner;

	tmgr_manager_add_execute_task_with(
		manager, "exits", probe_execute_task(&exits), TMGR_ERROR, &on);
	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&added, 1));
	child_check_equal(tmgr_manager_add_execute_task_with(manager, "added",
				  tmgr_task_function(wait_for_ever, NULL), TMGR_ERROR, &on),
		0);
	latch_open(&added);
	child_check_equal(runner_join(&runner), -TMGR_EUNEXPECTED);
	child_check_equal(tmgr_manager_report(manager)->stuck, 0);
	tmgr_manager_destroy(manager);
	return 0;
}

static void what_was_added_and_not_begun_is_no_hindrance(void **state)
{
	static struct child child;

	(void)state;
	if (child_run(&child, exit_with_one_posted, NULL) != 0)
		fail_msg("%s", child.text);
}

struct adding {
	struct tmgr_manager *manager;
	struct tmgr_loop *loop;
	int added, result;
};

static void *add_to_it(void *self)
{
	struct adding *adding = self;
	struct tmgr_task_options on = { .loop = adding->loop };

	do {
		adding->result = tmgr_manager_add_execute_task_with(adding->manager, "added",
			tmgr_task_function(wait_for_ever, NULL), TMGR_ERROR, &on);
		adding->added += adding->result == 0;
	} while (adding->result == 0 && adding->added < 20000);
	return NULL;
}

static int exit_beside_adders(void *argument)
{
	static struct probe exits = PROBE(.name = "exits", .end = PROBE_RETURNS,
		.on_execute = spawn_and_exit);

	for (int round = 0; round < 20; round++) {
		struct tmgr_manager *manager = tmgr_manager_create(NULL);
		struct adding adding = { manager, looped_add(manager, "loop", NULL), 0, 0 };
		struct tmgr_task_options on = { .loop = adding.loop };
		struct runner runner;
		pthread_t thread;

		tmgr_manager_add_execute_task_with(
			manager, "exits", probe_execute_task(&exits), TMGR_ERROR, &on);
		runner_start(&runner, manager, NULL);
		child_check(latch_arrived(&exits.executing, (unsigned)round + 1));
		child_check(pthread_create(&thread, NULL, add_to_it, &adding) == 0);
		child_check_equal(runner_join(&runner), -TMGR_EUNEXPECTED);
		pthread_join(thread, NULL);
		child_check(adding.result == -ESHUTDOWN || adding.added == 20000);
		child_check_equal(tmgr_manager_report(manager)->stuck, 0);
		tmgr_manager_destroy(manager);
	}
	return 0;
}

static void what_is_added_as_the_loop_exits_ends_too(void **state)
{
	static struct child child;

	(void)state;
	assert_int_equal(child_run(&child, exit_beside_adders, NULL), 0);
}

static int exit_when_told(struct probe *probe, struct tmgr_context *context)
{
	latch_wait(probe->user);
	pthread_exit(NULL);
}

static int tell_and_sleep(struct probe *probe, struct tmgr_context *context)
{
	latch_open(probe->user);
	return tmgr_sleep_until(context, TMGR_NEVER);
}

/* A run passes its tasks on in their order, so once the last began the others were posted. */
static int exit_before_it_takes_what_was_posted(void *argument)
{
	static struct latch posted = LATCH_INIT;
	static struct probe exits = PROBE(.name = "exits", .end = PROBE_RETURNS,
		.on_execute = exit_when_told, .user = &posted);
	static struct probe one = PROBE(.name = "one"), two = PROBE(.name = "two");
	static struct probe tells = PROBE(.name = "tells", .end = PROBE_RETURNS,
		.on_execute = tell_and_sleep, .user = &posted);
	struct tmgr_manager *first = tmgr_manager_create(NULL);
	struct tmgr_manager *second = tmgr_manager_create(NULL);
	struct tmgr_task_options on = { .loop = looped_add(first, "loop", NULL) };
	const struct tmgr_report *report;
	struct runner runner;

	tmgr_manager_add_task_with(first, "exits", probe_task(&exits), TMGR_ERROR, &on);
	tmgr_manager_add_task_with(second, "one", probe_task(&one), TMGR_ERROR, &on);
	tmgr_manager_add_task_with(second, "two", probe_task(&two), TMGR_ERROR, &on);
	on.loop = looped_add(second, "another", NULL);
	tmgr_manager_add_task_with(second, "tells", probe_task(&tells), TMGR_ERROR, &on);
	runner_start(&runner, first, NULL);
	child_check(latch_arrived(&exits.executing, 1));
	child_check_equal(tmgr_manager_run(second, NULL), -TMGR_EUNEXPECTED);
	report = tmgr_manager_report(second);
	child_check_equal(report->stuck, 0);
	child_check_equal(count_errors(report, "one") + count_errors(report, "two"), 1);
	child_check_equal(one.executed + two.executed, 0);
	child_check_equal(runner_join(&runner), -TMGR_EUNEXPECTED);
	tmgr_manager_destroy(second);
	tmgr_manager_destroy(first);
	child_check_equal(one.destroyed + two.destroyed, 2);
	return 0;
}

static void what_was_posted_together_and_not_taken_ends_too(void **state)
{
	static struct child child;

	(void)state;
	if (child_run(&child, exit_before_it_takes_what_was_posted, NULL) != 0)
		fail_msg("%s", child.text);
}

int main(void)
{
#if FAULT_TSAN
	printf("left out: the thread sanitizer allows pthread_exit() on no fiber\n");
	return 0;
#endif
	const struct CMUnitTest tests[] = {
		leak_test(all_on_the_loop_have_ended_unexpectedly),
		leak_test(an_exit_in_main_is_the_end_of_its_loop),
		leak_test(an_exit_after_wrappers_that_ended_in_another_order_is_told),
		leak_test(what_was_added_and_not_begun_is_no_hindrance),
		leak_test(what_was_posted_together_and_not_taken_ends_too),
		leak_test(what_is_added_as_the_loop_exits_ends_too),
	};

	return cmocka_run_group_tests_name("exits of loops", tests, NULL, NULL);
}
