/*
 * As test_arguments, for what needs a manager: the names, policies and options of tasks, the
 * manager's states, and calls from inside a task.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <taskmgr/group.h>
#include <taskmgr/manager.h>
#include <taskmgr/signal.h>

#include "tests/support/expect.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

/* What is in a manager, for "it changes nothing". */
static size_t tasks_in(struct tmgr_manager *manager)
{
	struct tmgr_snapshot *snapshot = NULL;
	size_t count;

	IS(tmgr_manager_snapshot(manager, &snapshot), 0);
	count = snapshot->count;
	tmgr_snapshot_destroy(snapshot);
	return count;
}

static void of_names_and_policies(struct tmgr_manager *manager)
{
	static char sixty_four[65], sixty_three[64];
	const char *bad[] = { NULL, "", sixty_four, "tab\there", "line\n", "\x01", "del\x7f" };
	struct probe probe = PROBE(.name = "probe"), good = PROBE(.name = "good");
	int destroyed = 0;

	memset(sixty_four, 'x', 64);
	memset(sixty_three, 'x', 63);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		IS(tmgr_manager_add_task(manager, bad[i], probe_task(&probe), TMGR_STRICT),
			-EINVAL);
		IS(tmgr_manager_add_execute_task(
			   manager, bad[i], probe_execute_task(&probe), TMGR_ERROR),
			-EINVAL);
		destroyed += 2;
		IS(probe.destroyed, destroyed);
	}
	for (int policy = -1; policy < 6; policy++) {
		if (policy >= TMGR_STRICT && policy <= TMGR_STOP_GROUP)
			continue;
		IS(tmgr_manager_add_task(
			   manager, "p", probe_task(&probe), (enum tmgr_policy)policy),
			-EINVAL);
		IS(tmgr_manager_add_execute_task(
			   manager, "p", probe_execute_task(&probe), (enum tmgr_policy)policy),
			-EINVAL);
		destroyed += 2;
		IS(probe.destroyed, destroyed);
	}
	IS(tmgr_manager_add_task(manager, "n", (struct tmgr_task){ NULL, NULL }, TMGR_STRICT),
		-EINVAL);
	IS(tmgr_manager_add_task(manager, "n", tmgr_task_failed(-ENOMEM), TMGR_STRICT), -ENOMEM);
	IS(tmgr_manager_add_execute_task(manager, "n", tmgr_task_failed(-ENOMEM), TMGR_ERROR),
		-ENOMEM);
	IS(tmgr_manager_add_execute_task(manager, "g", probe_execute_task(&probe), TMGR_STOP_GROUP),
		-ENOENT);
	IS(tasks_in(manager), 0);
	IS(tmgr_manager_add_task(manager, sixty_three, probe_task(&good), TMGR_STRICT), 0);
	IS(tmgr_manager_add_task(manager, sixty_three, probe_task(&probe), TMGR_STRICT), -EEXIST);
	IS(tasks_in(manager), 1);
	IS(good.destroyed, 0);
	tmgr_manager_destroy(manager);
	IS(good.destroyed, 1);
	IS(probe.initialized + probe.executed + probe.cleaned_up + good.initialized, 0);
}

static void of_task_options(struct tmgr_manager *manager)
{
	static const struct tmgr_task_options bad[] = {
		{ .stop_ns = -1 }, { .ready_ns = -1 }, { .cleanup_ns = -1 }, { .heartbeat_ns = -1 },
		{ .stack_size = 1 }, { .stack_size = 65535 }, { .host = (enum tmgr_host)77 },
		{ .host = (enum tmgr_host) - 1 }, { .interrupt_signal = -1 },
		{ .interrupt_signal = 1000 }, { .interrupt_signal = SIGKILL },
		{ .interrupt_signal = SIGSEGV }, { .interrupt_signal = SIGTERM },
		{ .stop_group = "group" }, /* with STRICT */
	};
	struct tmgr_task_options loop = { .host = TMGR_HOST_LOOP };
	struct tmgr_task_options bad_group = { .stop_group = "" };
	struct tmgr_handle handle = { 0 };
	struct probe probe = PROBE(.name = "probe");
	int destroyed = 0;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct tmgr_task_options options = bad[i];
		int of_long, of_execute;

		options.ret_handle = &handle;
		of_long = tmgr_manager_add_task_with(
			manager, "a", probe_task(&probe), TMGR_STRICT, &options);
		of_execute = tmgr_manager_add_execute_task_with(
			manager, "a", probe_execute_task(&probe), TMGR_STRICT, &options);
		if (of_long != -EINVAL || of_execute != -EINVAL)
			fprintf(stderr, "options %zu: %d, %d\n", i, of_long, of_execute);
		IS(of_long, -EINVAL);
		IS(of_execute, -EINVAL);
		destroyed += 2;
		IS(probe.destroyed, destroyed);
		IS(handle.manager == NULL && handle.id == 0, 1);
	}
	IS(tmgr_manager_add_task_with(manager, "a", probe_task(&probe), TMGR_STRICT, &loop),
		-EINVAL);
	IS(tmgr_manager_add_execute_task_with(
		   manager, "a", probe_execute_task(&probe), TMGR_STRICT, &loop),
		-EINVAL);
	IS(tmgr_manager_add_task_with(
		   manager, "a", probe_task(&probe), TMGR_STOP_GROUP, &bad_group),
		-EINVAL);
	IS(tasks_in(manager), 0);
	tmgr_manager_destroy(manager);
}

static void of_managers_in_each_state(struct tmgr_manager *manager)
{
	struct tmgr_handle handle;
	struct probe probe = PROBE(.name = "probe");

	IS(tmgr_manager_observe(manager, TMGR_LEVEL_INFO, NULL, NULL), -EINVAL);
	IS(tmgr_manager_observe(manager, (enum tmgr_level)2, no_event, NULL), -EINVAL);
	IS(tmgr_manager_observe(manager, (enum tmgr_level)8, no_event, NULL), -EINVAL);
	IS(tmgr_manager_find(manager, NULL, &handle), -EINVAL);
	IS(tmgr_manager_find(manager, "a", NULL), -EINVAL);
	IS(tmgr_manager_find(manager, "a", &handle), -ENOENT);
	IS(tmgr_manager_snapshot(manager, NULL), -EINVAL);
	IS(tmgr_manager_start(manager, NULL), -EINVAL);
	IS(tmgr_manager_wait(manager, NULL), -EINVAL);
	IS(tmgr_manager_finish(manager, NULL), -EINVAL);
	IS(tmgr_manager_report(manager) == NULL, 1);
	IS(tmgr_manager_cancel(manager), 0);
	IS(tmgr_manager_cancel(manager), -EALREADY);
	IS(tmgr_manager_add_execute_task(manager, "x", probe_execute_task(&probe), TMGR_ERROR),
		-ESHUTDOWN);
	IS(tmgr_manager_run(manager, NULL), 0);
	IS(tmgr_manager_run(manager, NULL), -EALREADY);
	IS(tmgr_manager_cancel(manager), -ESHUTDOWN);
	IS(tmgr_manager_report(manager) != NULL, 1);
	IS(tmgr_report_print(tmgr_manager_report(manager), NULL, -1), -EBADF);
	IS(tmgr_manager_observe(manager, TMGR_LEVEL_INFO, no_event, NULL), -ESHUTDOWN);
	IS(tmgr_manager_add_task(manager, "x", probe_task(&probe), TMGR_ERROR), -ESHUTDOWN);
	IS(probe.destroyed, 2);
	tmgr_manager_destroy(manager);
}

static int of_contexts(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_manager *manager = tmgr_context_manager(context), *other;
	struct tmgr_signal_watch *watch = NULL;
	struct tmgr_task task = tmgr_task_function(no_task, NULL);
	struct tmgr_group *group = NULL;
	char buffer[4];
	int error = 7;

	(void)probe;
	IS(tmgr_context_current() == context, 1);
	IS_TEXT(tmgr_context_name(context), "inside");
	IS(tmgr_context_path(context, buffer, sizeof(buffer)), 6);
	IS_TEXT(buffer, "ins");
	IS(tmgr_context_path(context, NULL, 0), 6);
	IS(tmgr_context_set_value(context, buffer), 0);
	IS(tmgr_context_value(context) == buffer, 1);
	IS(tmgr_context_set_value(context, NULL), 0);
	IS(tmgr_context_set_stop_timeout(context, 0), -EINVAL);
	IS(tmgr_context_set_stop_timeout(context, -1), -EINVAL);
	IS(tmgr_context_set_end_deadline(context, TMGR_NEVER), 0);
	IS(tmgr_context_note_error(context, 0), -EINVAL);
	IS(tmgr_context_note_error(context, EIO), -EINVAL);
	IS(tmgr_context_initialize_failed(context), false);
	IS(tmgr_context_cancelled(context), false);
	IS(tmgr_context_token(context) != NULL, 1);
	IS(tmgr_uninterrupted_end(context), -EINVAL);
	IS(tmgr_wait_fd(context, 0, 0, TMGR_NOW), -EINVAL);
	IS(tmgr_wait_fd(context, -5, TMGR_FD_READ, TMGR_NOW), -EBADF);
	IS(tmgr_sleep(context, -1), 0);
	IS(tmgr_task_execute_under(task, context, NULL), -EINVAL);
	tmgr_task_destroy(task);
	IS(tmgr_group_create(context, NULL, NULL), -EINVAL);
	IS(tmgr_group_create(context, NULL, &group), 0);
	IS(tmgr_group_error(group, 0, NULL, NULL), -EINVAL);
	IS(tmgr_group_error(group, 0, &error, NULL), -ENOENT);
	IS(tmgr_group_error(group, SIZE_MAX, &error, NULL), -ENOENT);
	IS(tmgr_spawn(context, group, tmgr_task_failed(-ENOMEM), NULL), -ENOMEM);
	IS(tmgr_group_wait(NULL, group, TMGR_NOW), -EINVAL);
	tmgr_group_destroy(group);
	IS(tmgr_signal_watch_create(context, SIGUSR1, NULL, NULL), -EINVAL);
	IS(tmgr_signal_watch_create(context, SIGTERM, NULL, &watch), -EINVAL);
	IS(tmgr_signal_watch_create(context, SIGINT, NULL, &watch), -EINVAL);
	IS(tmgr_signal_watch_create(context, SIGKILL, NULL, &watch), -EINVAL);
	IS(tmgr_signal_watch_create(context, SIGSTOP, NULL, &watch), -EINVAL);
	IS(tmgr_signal_watch_create(context, SIGSEGV, NULL, &watch), -EINVAL);
	IS(tmgr_signal_watch_create(context, 0, NULL, &watch), -EINVAL);
	IS(tmgr_signal_watch_create(context, 4711, NULL, &watch), -EINVAL);
	IS(tmgr_signal_watch_create(context, SIGUSR1, NULL, &watch), -EOPNOTSUPP);
	IS(tmgr_reload_requested(context), false);
	IS(tmgr_manager_run(manager, NULL), -EBUSY);
	IS(tmgr_manager_start(manager, context), -EBUSY);
	IS(tmgr_manager_start(manager, NULL), -EINVAL);
	IS(tmgr_manager_observe(manager, TMGR_LEVEL_INFO, no_event, NULL), -EBUSY);
	IS(tmgr_manager_add_task(manager, "l", tmgr_task_function(no_task, NULL), TMGR_ERROR),
		-EBUSY);
	other = tmgr_manager_create(NULL);
	IS(tmgr_manager_wait(other, context), -EINVAL);
	IS(tmgr_manager_finish(other, context), -EINVAL);
	tmgr_manager_destroy(other);
	IS(tmgr_manager_cancel(manager), 0);
	IS(tmgr_manager_cancel(manager), -EALREADY);
	return 0;
}

static void each_bad_name_option_and_state_gives_its_error(void **state)
{
	(void)state;
	wrong = 0;
	of_names_and_policies(tmgr_manager_create(NULL));
	of_task_options(tmgr_manager_create(NULL));
	of_managers_in_each_state(tmgr_manager_create(NULL));
	assert_int_equal(wrong, 0);
}

static void each_bad_call_from_inside_gives_its_error(void **state)
{
	struct probe inside = PROBE(.name = "inside", .on_execute = of_contexts);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)state;
	wrong = 0;
	assert_int_equal(
		tmgr_manager_add_task(manager, "inside", probe_task(&inside), TMGR_STRICT), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_bad_name_option_and_state_gives_its_error),
		leak_test(each_bad_call_from_inside_gives_its_error),
	};

	return cmocka_run_group_tests_name("arguments manager", tests, NULL, NULL);
}
