/*
 * Every public function with NULL, empty, too long, out of range and in the wrong state gives the
 * error its comment states, and changes nothing. Written like a script: each line is a call and
 * what it must give. Here is what needs no manager; test_arguments_manager has what does,
 * test_arguments_loop loops, test_arguments_host other hosts, test_arguments_machine state machines,
 * test_arguments_several and test_arguments_stream the rest. The last test looks that no function is
 * left out of all.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/expect.h"
#include "tests/support/headers.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static void nothing(void *self)
{
	(void)self;
}

static void no_future(void *self, struct tmgr_future *future)
{
	(void)self;
	(void)future;
}

static void of_versions_errors_and_times(void)
{
	IS_TEXT(tmgr_version(), TMGR_VERSION_STRING);
	IS(tmgr_strerror(0) != NULL, 1);
	IS_TEXT(tmgr_strerror(EIO), tmgr_strerror(-EIO));
	IS_TEXT(tmgr_strerror(-EIO), strerror(EIO));
	IS_TEXT(tmgr_strerror(INT_MAX), "unknown error");
	IS_TEXT(tmgr_strerror(INT_MIN), "unknown error");
	IS_TEXT(tmgr_strerror(-TMGR_EUNEXPECTED), tmgr_strerror(TMGR_EUNEXPECTED));
	IS(strcmp(tmgr_strerror(TMGR_EUNEXPECTED), "unknown error") != 0, 1);
	IS(strcmp(tmgr_strerror(TMGR_ESTUCK), "unknown error") != 0, 1);
	IS(strcmp(tmgr_strerror(TMGR_EFAILED), "unknown error") != 0, 1);
	IS(tmgr_now() > 0, 1);
	IS(tmgr_after(INT64_MAX) == TMGR_NEVER, 1);
	IS(tmgr_after(INT64_MIN) <= tmgr_now(), 1);
	IS(tmgr_after(INT64_MIN) > 0, 1);
	IS_TEXT(tmgr_stage_name(TMGR_STAGE_CLEANUP), "cleanup");
	IS_TEXT(tmgr_stage_name((enum tmgr_stage)99), "unknown");
	IS_TEXT(tmgr_stage_name((enum tmgr_stage) - 1), "unknown");
	IS_TEXT(tmgr_state_name(TMGR_STATE_QUEUED), "queued");
	IS_TEXT(tmgr_state_name((enum tmgr_state)99), "unknown");
}

static void of_tokens(void)
{
	struct tmgr_cause cause = { .reason = TMGR_REASON_LIMIT };
	struct tmgr_token_callback callback = { 0 };
	struct tmgr_token *token = NULL;

	IS(tmgr_token_create(NULL, NULL), -EINVAL);
	IS(tmgr_token_create(NULL, &token), 0);
	IS(tmgr_token_ref(NULL) == NULL, 1);
	tmgr_token_unref(NULL);
	IS(tmgr_token_cancel(NULL, 0, NULL), -EINVAL);
	IS(tmgr_token_fire(NULL, &cause), -EINVAL);
	IS(tmgr_token_fire(token, NULL), -EINVAL);
	cause.reason = TMGR_REASON_NONE;
	IS(tmgr_token_fire(token, &cause), -EINVAL);
	cause.reason = (enum tmgr_reason) - 3;
	IS(tmgr_token_fire(token, &cause), -EINVAL);
	IS(tmgr_token_cause(NULL, &cause), -EINVAL);
	IS(tmgr_token_cause(token, NULL), -EINVAL);
	IS(tmgr_token_cause(token, &cause), -EAGAIN);
	IS(tmgr_token_set_deadline(NULL, TMGR_NEVER), -EINVAL);
	IS(tmgr_token_deadline(NULL) == TMGR_NEVER, 1);
	IS(tmgr_token_fd(NULL), -EINVAL);
	IS(tmgr_token_register(NULL, &callback, nothing, NULL), -EINVAL);
	IS(tmgr_token_register(token, NULL, nothing, NULL), -EINVAL);
	IS(tmgr_token_register(token, &callback, NULL, NULL), -EINVAL);
	IS(tmgr_token_unregister(NULL), false);
	IS(tmgr_token_unregister(&callback), false);
	IS(tmgr_token_fired(token), false);
	IS(tmgr_token_fired(NULL), false);
	IS(tmgr_token_cancel(token, 0, NULL), 0);
	IS(tmgr_token_cancel(token, 0, NULL), -EALREADY);
	IS(tmgr_token_set_deadline(token, 1), -EALREADY);
	tmgr_token_unref(token);
}

static void of_channels_and_futures(void)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;
	struct tmgr_future_callback callback = { 0 };
	struct tmgr_channel *channel = NULL, *empty = NULL;
	char item = 1;

	IS(tmgr_channel_create(1, 1, NULL), -EINVAL);
	IS(tmgr_channel_create(TMGR_CHANNEL_ITEM_MAX + 1, 1, &channel), -EINVAL);
	IS(tmgr_channel_create(SIZE_MAX, 1, &channel), -EINVAL);
	IS(tmgr_channel_create(1, TMGR_CHANNEL_CAPACITY_MAX + 1, &channel), -EINVAL);
	IS(tmgr_channel_create(SIZE_MAX, SIZE_MAX, &channel), -EINVAL);
	IS(channel == NULL, 1);
	IS(tmgr_channel_create(1, 1, &channel), 0);
	IS(tmgr_channel_create(0, 1, &empty), 0);
	IS(tmgr_channel_ref(NULL) == NULL, 1);
	tmgr_channel_unref(NULL);
	IS(tmgr_channel_close(NULL), -EINVAL);
	IS(tmgr_channel_count(NULL), 0);
	IS(tmgr_channel_item_size(NULL), 0);
	IS(tmgr_channel_send(NULL, NULL, &item, TMGR_NOW), -EINVAL);
	IS(tmgr_channel_send(NULL, channel, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_channel_receive(NULL, NULL, &item, TMGR_NOW), -EINVAL);
	IS(tmgr_channel_receive(NULL, channel, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_channel_count(channel), 0);
	IS(tmgr_channel_send(NULL, empty, NULL, TMGR_NOW), 0);
	IS(tmgr_channel_receive(NULL, empty, NULL, TMGR_NOW), 0);
	IS(tmgr_select(NULL, NULL, 1, TMGR_NOW), -EINVAL);
	IS(tmgr_select(NULL, &(struct tmgr_select_case){ .op = TMGR_SELECT_DEFAULT }, 0, TMGR_NOW),
		-EINVAL);
	IS(tmgr_select(NULL, &(struct tmgr_select_case){ .op = TMGR_SELECT_RELOAD }, 1, TMGR_NOW),
		-EINVAL);
	IS(tmgr_channel_close(channel), 0);
	IS(tmgr_channel_close(channel), -EALREADY);
	tmgr_channel_unref(channel);
	tmgr_channel_unref(empty);

	tmgr_future_init(NULL);
	tmgr_future_fini(NULL);
	IS(tmgr_future_complete(NULL, 0, NULL), -EINVAL);
	IS(tmgr_future_complete(&future, 1, NULL), -EINVAL);
	IS(tmgr_future_done(NULL), false);
	IS(tmgr_future_done(&future), false);
	IS(tmgr_future_result(NULL, NULL, NULL), -EINVAL);
	IS(tmgr_future_result(&future, NULL, NULL), -EAGAIN);
	IS(tmgr_future_wait(NULL, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_future_on_done(NULL, &callback, no_future, NULL), -EINVAL);
	IS(tmgr_future_on_done(&future, NULL, no_future, NULL), -EINVAL);
	IS(tmgr_future_on_done(&future, &callback, NULL, NULL), -EINVAL);
	IS(tmgr_future_remove_callback(NULL, &callback), -EINVAL);
	IS(tmgr_future_remove_callback(&future, NULL), -EINVAL);
	IS(tmgr_future_remove_callback(&future, &callback), -ENOENT);
	tmgr_future_init(&future);
	tmgr_future_fini(&future);
}

static void of_tasks(void)
{
	static const struct tmgr_task_ops none = { .kind = "none" };
	static const struct tmgr_refusal refusal = { -ERANGE, "a period is above 0" };
	struct tmgr_task empty = { &none, NULL }, null = { NULL, NULL };
	struct tmgr_task failed = tmgr_task_failed(-ENOMEM),
			 good = tmgr_task_function(no_task, NULL);
	struct tmgr_token *token = NULL;

	IS(tmgr_task_error(tmgr_task_function(NULL, NULL)), -EINVAL);
	IS(tmgr_task_error(good), 0);
	IS(tmgr_task_error(failed), -ENOMEM);
	IS(tmgr_task_error(tmgr_task_failed(0)), -EINVAL);
	IS(tmgr_task_error(tmgr_task_failed(EIO)), -EINVAL);
	IS(tmgr_task_error(tmgr_task_failed(INT_MIN)) < 0, 1);
	IS(tmgr_task_error(tmgr_task_refused(NULL)), -EINVAL);
	IS(tmgr_task_error(tmgr_task_refused(&refusal)), -ERANGE);
	IS(tmgr_task_error(empty), -EINVAL);
	IS(tmgr_task_error(null), -EINVAL);
	IS_TEXT(tmgr_task_rule(tmgr_task_refused(&refusal)), "a period is above 0");
	IS(tmgr_task_rule(good) == NULL, 1);
	IS(tmgr_task_rule(failed) == NULL, 1);
	IS_TEXT(tmgr_task_kind(empty), "none");
	IS_TEXT(tmgr_task_kind(null), "task");
	IS(tmgr_task_phases(good), TMGR_EXECUTE);
	IS(tmgr_task_phases(empty), 0);
	IS(tmgr_task_phases(null), 0);
	IS(tmgr_task_initialize(good, NULL), 0);
	IS(tmgr_task_execute(good, NULL), 0);
	IS(tmgr_task_cleanup(good, NULL), 0);
	IS(tmgr_task_initialize(tmgr_task_failed(-EINVAL), NULL), -EINVAL);
	IS(tmgr_task_execute(tmgr_task_failed(-EINVAL), NULL), -EINVAL);
	IS(tmgr_task_cleanup(tmgr_task_failed(-EINVAL), NULL), -EINVAL);
	IS(tmgr_token_create(NULL, &token), 0);
	IS(tmgr_task_execute_under(good, NULL, token), -EINVAL);
	tmgr_task_destroy(null);
	tmgr_task_destroy(empty);
	tmgr_task_destroy(failed);
	tmgr_task_destroy(good);
	tmgr_token_unref(token);
}

/* What each says of its options stands in the tests of the task. */
static void of_provided_tasks(void)
{
	const struct tmgr_task bad = tmgr_task_failed(-ENOMEM);
	struct tmgr_channel *none = NULL;

	IS(tmgr_task_error(tmgr_retry(bad, NULL)), -ENOMEM);
	IS(tmgr_task_error(tmgr_interval(bad, TMGR_SECOND, NULL)), -ENOMEM);
	IS(tmgr_task_error(tmgr_interruptible(bad, SIGHUP)), -ENOMEM);
	IS(tmgr_task_error(tmgr_force_stop(bad, TMGR_SECOND)), -ENOMEM);
	IS(tmgr_task_error(tmgr_timeout(bad, TMGR_SECOND)), -ENOMEM);
	IS(tmgr_task_error(tmgr_sequence(&bad, 1)), -ENOMEM);
	IS(tmgr_task_error(tmgr_parallel(&bad, 1)), -ENOMEM);
	IS(tmgr_task_error(tmgr_sequence(NULL, 1)), -EINVAL);
	IS(tmgr_task_error(tmgr_parallel(NULL, 1)), -EINVAL);
	IS(tmgr_task_error(tmgr_manager_task(NULL)), -ENOMEM);
	IS(tmgr_task_error(tmgr_worker_pool(none, NULL, NULL, NULL)), -EINVAL);
	IS(tmgr_task_error(tmgr_signals(none, NULL, 0)), -EINVAL);
}

static void of_contexts_that_are_null(void)
{
	char buffer[4] = "xyz";
	int ends[2];

	IS(tmgr_context_current() == NULL, 1);
	IS(tmgr_context_token(NULL) == NULL, 1);
	IS(tmgr_context_cancelled(NULL), false);
	IS(tmgr_context_manager(NULL) == NULL, 1);
	IS_TEXT(tmgr_context_name(NULL), "");
	IS(tmgr_context_path(NULL, buffer, sizeof(buffer)), 0);
	IS_TEXT(buffer, "");
	IS(tmgr_context_path(NULL, NULL, 0), 0);
	IS(tmgr_context_deadline(NULL) == TMGR_NEVER, 1);
	IS(tmgr_context_stop_timeout(NULL) == 0, 1);
	IS(tmgr_context_initialize_failed(NULL), false);
	IS(tmgr_context_set_value(NULL, buffer), -EINVAL);
	IS(tmgr_context_value(NULL) == NULL, 1);
	IS(tmgr_context_set_stop_timeout(NULL, 1), -EINVAL);
	IS(tmgr_context_set_end_deadline(NULL, 1), -EINVAL);
	IS(tmgr_context_note_restart(NULL, -EIO, 0), -EINVAL);
	IS(tmgr_context_note_error(NULL, -EIO), -EINVAL);
	tmgr_ready(NULL);
	tmgr_heartbeat(NULL);
	IS(tmgr_fail(NULL, -EIO, "%d", 1), -EIO);
	IS_TEXT(tmgr_context_error_text(NULL), "");
	tmgr_log(NULL, TMGR_LEVEL_INFO, "%d", 1);
	IS(tmgr_sleep(NULL, 0), 0);
	IS(tmgr_sleep(NULL, INT64_MIN), 0);
	IS(tmgr_sleep_until(NULL, TMGR_NEVER), -EINVAL);
	IS(tmgr_sleep_until(NULL, INT64_MIN), 0);
	IS(tmgr_yield(NULL), 0);
	IS(pipe(ends), 0);
	IS(tmgr_wait_fd(NULL, ends[0], 0, TMGR_NOW), -EINVAL);
	IS(tmgr_wait_fd(NULL, ends[0], 4, TMGR_NOW), -EINVAL);
	IS(tmgr_wait_fd(NULL, ends[0], -1, TMGR_NOW), -EINVAL);
	IS(tmgr_wait_fd(NULL, -1, TMGR_FD_READ, TMGR_NOW), -EBADF);
	IS(tmgr_wait_fd(NULL, 1000000, TMGR_FD_READ, TMGR_NOW), -EBADF);
	IS(tmgr_wait_fd(NULL, ends[0], TMGR_FD_READ, TMGR_NOW), -ETIMEDOUT);
	IS(tmgr_wait_fd(NULL, ends[1], TMGR_FD_WRITE, TMGR_NOW), TMGR_FD_WRITE);
	close(ends[0]);
	close(ends[1]);
	IS(tmgr_wait_fd(NULL, ends[0], TMGR_FD_READ, TMGR_NOW), -EBADF);
	IS(tmgr_uninterrupted_begin(NULL, TMGR_NEVER), -EINVAL);
	IS(tmgr_uninterrupted_end(NULL), -EINVAL);
	IS(tmgr_reload_requested(NULL), false);
}

static void of_groups_handles_and_signals_without_a_task(void)
{
	struct probe probe = PROBE(.name = "probe");
	struct tmgr_handle none = { 0 }, handle = none;
	struct tmgr_signal_watch *watch = NULL;
	struct tmgr_group *group = NULL;
	int error = 7;

	IS(tmgr_group_create(NULL, NULL, &group), -EINVAL);
	IS(tmgr_spawn(NULL, NULL, probe_execute_task(&probe), &handle), -EINVAL);
	IS(probe.destroyed, 1);
	IS(tmgr_group_cancel(NULL), -EINVAL);
	IS(tmgr_group_wait(NULL, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_group_error(NULL, 0, &error, NULL), -EINVAL);
	tmgr_group_destroy(NULL);
	IS(tmgr_handle_cancel(none, 0, NULL), -ENOENT);
	IS(tmgr_handle_wait(NULL, none, TMGR_NOW), -ENOENT);
	IS(tmgr_handle_result(none, &error), -ENOENT);
	IS(tmgr_handle_release(none), -ENOENT);
	IS(error, 7);
	IS(tmgr_signal_watch_create(NULL, SIGUSR1, NULL, &watch), -EINVAL);
	IS(tmgr_signal_watch_arm(NULL, NULL), -EINVAL);
	tmgr_signal_watch_destroy(NULL);
	IS(tmgr_child_signals(), 0);
	IS(watch == NULL && group == NULL, 1);
}

static void of_reports_and_events(void)
{
	char line[8];

	IS(tmgr_report_print(NULL, "p", 2), -EINVAL);
	IS(tmgr_event_format(NULL, line, sizeof(line)), 0);
	IS(tmgr_event_format(&(struct tmgr_event){ 0 }, NULL, 0) > 0, 1);
	tmgr_event_print(NULL, NULL);
	tmgr_snapshot_destroy(NULL);
}

static void of_managers_that_are_null(void)
{
	struct probe probe = PROBE(.name = "probe");
	struct tmgr_snapshot *snapshot = NULL;
	struct tmgr_handle handle;

	IS(tmgr_manager_add_task(NULL, "a", probe_task(&probe), TMGR_STRICT), -EINVAL);
	IS(tmgr_manager_add_task_with(NULL, "a", probe_task(&probe), TMGR_STRICT, NULL), -EINVAL);
	IS(tmgr_manager_add_execute_task(NULL, "a", probe_execute_task(&probe), TMGR_ERROR),
		-EINVAL);
	IS(tmgr_manager_add_execute_task_with(
		   NULL, "a", probe_execute_task(&probe), TMGR_ERROR, NULL),
		-EINVAL);
	IS(probe.destroyed, 4);
	tmgr_manager_destroy(NULL);
	IS(tmgr_manager_ref(NULL) == NULL, 1);
	tmgr_manager_unref(NULL);
	IS(tmgr_manager_observe(NULL, TMGR_LEVEL_INFO, no_event, NULL), -EINVAL);
	IS(tmgr_manager_run(NULL, NULL), -EINVAL);
	IS(tmgr_manager_start(NULL, NULL), -EINVAL);
	IS(tmgr_manager_wait(NULL, NULL), -EINVAL);
	IS(tmgr_manager_finish(NULL, NULL), -EINVAL);
	IS(tmgr_manager_cancel(NULL), -EINVAL);
	tmgr_manager_cancel_from_signal(NULL, SIGTERM);
	IS(tmgr_manager_token(NULL) == NULL, 1);
	IS(tmgr_manager_find(NULL, "a", &handle), -EINVAL);
	IS(tmgr_manager_report(NULL) == NULL, 1);
	IS(tmgr_manager_snapshot(NULL, &snapshot), -EINVAL);
	IS(snapshot == NULL, 1);
}

static void each_bad_argument_gives_its_error(void **state)
{
	(void)state;
	wrong = 0;
	of_versions_errors_and_times();
	of_tokens();
	of_channels_and_futures();
	of_tasks();
	of_provided_tasks();
	of_contexts_that_are_null();
	of_groups_handles_and_signals_without_a_task();
	of_reports_and_events();
	of_managers_that_are_null();
	assert_int_equal(wrong, 0);
}

/* tmgr_main() takes its manager and leaves by its exit code; test_main has the rest. */
static void a_main_without_manager_is_bad_use(void **state)
{
	(void)state;
	assert_int_equal(tmgr_main(NULL), 2);
}

/* The text of the programs that call public functions with bad arguments, one after the other. */
static char *read_programs(const char *top)
{
	static const char *const names[] = { "arguments", "arguments_manager", "arguments_loop",
		"arguments_host", "arguments_several", "arguments_stream", "arguments_machine",
		"machine_telemetry", "machine_recorder", "arguments_process", "arguments_step",
		"state", "state_migrate", "process_control", "store_sqlite" };
	char path[4096], *text, *all = calloc(1, 1 << 20);

	assert_non_null(all);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/tests/test_%s.c", top, names[i]);
		text = headers_read(path);
		assert_true(strlen(all) + strlen(text) < 1 << 20);
		strcat(all, text);
		free(text);
	}
	return all;
}

static int count_in_folder(const char *folder, const char *here, int *headers)
{
	DIR *directory = opendir(folder);
	struct dirent *entry;
	int left_out = 0;
	char path[4096];

	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL) {
		if (strstr(entry->d_name, ".h") == NULL)
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		left_out += headers_left_out(path, here);
		(*headers)++;
	}
	closedir(directory);
	return left_out;
}

static void no_public_function_is_left_out(void **state)
{
	const char *top = getenv("TOP") != NULL ? getenv("TOP") : ".";
	char path[4096], *here;
	int left_out, headers = 0;

	(void)state;
	here = read_programs(top);
	snprintf(path, sizeof(path), "%s/include/taskmgr", top);
	left_out = count_in_folder(path, here, &headers);
	snprintf(path, sizeof(path), "%s/include/taskmgr/tasks", top);
	left_out += count_in_folder(path, here, &headers);
	free(here);
	assert_true(headers > 20);
	assert_int_equal(left_out, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_bad_argument_gives_its_error),
		leak_test(a_main_without_manager_is_bad_use),
		leak_test(no_public_function_is_left_out),
	};

	return cmocka_run_group_tests_name("arguments", tests, NULL, NULL);
}
