/*
 * Tasks with any names, policies and options are accepted or refused as the headers say, and each
 * is destroyed once; whatever was added, run ends and its report can be printed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include <taskmgr/manager.h>

#include "tests/support/fuzz.h"

#define ADDS_MAX 8
#define NAME_SIZE 80

struct added {
	char name[NAME_SIZE], group[NAME_SIZE];
	struct tmgr_task_options options;
	enum tmgr_policy policy;
	bool long_running, has_initialize;
};

static int destroyed; /* one input at a time; written by the pool, read after run */

static int end_at_once(void *self, struct tmgr_context *context)
{
	return 0;
}

static void count_destroy(void *self)
{
	__atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
}

static struct tmgr_task counted(bool has_initialize)
{
	static const struct tmgr_task_ops plain = { .execute = end_at_once,
		.destroy = count_destroy };
	static const struct tmgr_task_ops whole = { .initialize = end_at_once,
		.execute = end_at_once,
		.cleanup = end_at_once,
		.destroy = count_destroy };

	return (struct tmgr_task){ has_initialize ? &whole : &plain, NULL };
}

static bool good_name(const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < length; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f ||
			((unsigned char)name[i] == 0xc2 &&
				((unsigned char)name[i + 1] & 0xe0) == 0x80))
			return false;
	return length > 0 && length <= 63;
}

static bool good_signal(int signo)
{
	static const int bad[] = { SIGKILL, SIGSTOP, SIGINT, SIGTERM, SIGHUP, SIGSEGV, SIGBUS,
		SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (signo == bad[i])
			return false;
	return signo >= 0 && signo <= SIGRTMAX && (signo < 32 || signo >= SIGRTMIN);
}

/* Below 0, the default, or long enough for what ends at once. */
static int64_t a_duration(struct input *input)
{
	switch (input_byte(input) % 16) {
	case 0:
		return -1;
	case 1:
		return INT64_MIN;
	case 2:
		return INT64_MAX;
	case 3:
		return TMGR_MINUTE;
	default:
		return 0;
	}
}

/* Signals that the fuzzer itself waits for are left to it. */
static int a_signal(struct input *input)
{
	int signo = (int)input_byte(input) - 64;

	return signo == SIGALRM || signo == SIGUSR1 || signo == SIGUSR2 || signo < -1 ? 0 : signo;
}

static size_t a_stack(struct input *input)
{
	static const size_t sizes[] = { 0, 0, 0, 1, 65535, 65536, 1048577, SIZE_MAX,
		(size_t)SSIZE_MAX + 1 };

	return sizes[input_byte(input) % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void read_add(struct input *input, struct added *add)
{
	uint8_t bits = input_byte(input);

	add->policy = (enum tmgr_policy)(bits & 7);
	add->long_running = bits & 8;
	add->has_initialize = bits & 16;
	input_string(input, add->name, sizeof(add->name));
	add->options = (struct tmgr_task_options){ .stop_group = NULL };
	if (bits & 32)
		add->options.stop_group = input_string(input, add->group, sizeof(add->group));
	if (!(bits & 64))
		return;
	bits = input_byte(input);
	add->options.host = (enum tmgr_host)((int)(bits % 6) - 1);
	add->options.cleanup_after_failed_initialize = bits & 64;
	add->options.cleanup_beside_users = bits & 128;
	add->options.stack_size = a_stack(input);
	add->options.interrupt_signal = a_signal(input);
	add->options.ready_ns = a_duration(input);
	add->options.stop_ns = a_duration(input);
	add->options.cleanup_ns = a_duration(input);
	add->options.heartbeat_ns = a_duration(input);
}

static bool good_options(const struct added *add)
{
	const struct tmgr_task_options *options = &add->options;

	if (options->ready_ns < 0 || options->stop_ns < 0 || options->cleanup_ns < 0 ||
		options->heartbeat_ns < 0)
		return false;
	if (options->stack_size != 0 &&
		(options->stack_size < 65536 || options->stack_size > SSIZE_MAX))
		return false;
	if (options->host < TMGR_HOST_DEFAULT || options->host > TMGR_HOST_LOOP)
		return false;
	if (options->stop_group &&
		(add->policy != TMGR_STOP_GROUP || !good_name(options->stop_group)))
		return false;
	return good_signal(options->interrupt_signal);
}

static bool same_group(const struct added *a, const struct added *b)
{
	const char *one = a->options.stop_group, *other = b->options.stop_group;

	return strcmp(one ? one : "", other ? other : "") == 0;
}

/* What the headers say of adding the last of these to a manager that took those marked. */
static int expected(const struct added *adds, const bool *taken, size_t last)
{
	const struct added *add = &adds[last];
	bool has_group = false;

	if (!good_name(add->name) || add->policy < TMGR_STRICT || add->policy > TMGR_STOP_GROUP)
		return -EINVAL;
	if (!good_options(add) || (!add->long_running && add->has_initialize))
		return -EINVAL;
	/* No loop is given. */
	if (add->options.host == TMGR_HOST_LOOP)
		return -EINVAL;
	for (size_t i = 0; i < last; i++) {
		if (!taken[i])
			continue;
		if (add->long_running && adds[i].long_running &&
			strcmp(adds[i].name, add->name) == 0)
			return -EEXIST;
		has_group |= adds[i].policy == TMGR_STOP_GROUP && same_group(add, &adds[i]);
	}
	return !add->long_running && add->policy == TMGR_STOP_GROUP && !has_group ? -ENOENT : 0;
}

static int add_one(struct tmgr_manager *manager, const struct added *add)
{
	struct tmgr_task task = counted(add->has_initialize);

	if (add->long_running)
		return tmgr_manager_add_task_with(
			manager, add->name, task, add->policy, &add->options);
	return tmgr_manager_add_execute_task_with(
		manager, add->name, task, add->policy, &add->options);
}

static void run_and_report(struct tmgr_manager *manager, bool refused)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int r = tmgr_manager_run(manager, NULL);
	const struct tmgr_report *report = tmgr_manager_report(manager);

	must(report != NULL && report->result == r);
	must(report->stuck == 0 && report->not_cleaned_up == 0);
	must((report->exit_code == 2) == refused);
	must((report->exit_code == 0) == (r == 0));
	must(tmgr_report_print(report, "fuzz", fd) == 0);
	close(fd);
}

/* Add what the input says next; whether it was taken, which must be what the headers say. */
static bool add_next(struct tmgr_manager *manager, struct input *input, struct added *adds,
	const bool *taken, size_t count)
{
	struct tmgr_handle handle = { NULL, 0 }, found;
	struct added *add = &adds[count];
	int r;

	read_add(input, add);
	add->options.ret_handle = &handle;
	r = add_one(manager, add);
	add->options.ret_handle = NULL;
	must(r == expected(adds, taken, count));
	must((r == 0) == (handle.manager != NULL));
	if (r == 0 && !strchr(add->name, '/')) {
		must(tmgr_manager_find(manager, add->name, &found) == 0);
		must(tmgr_handle_release(found) == 0);
	}
	must(tmgr_handle_release(handle) == (r == 0 ? 0 : -ENOENT));
	return r == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct added adds[ADDS_MAX];
	static const struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct input input = { data, size };
	struct tmgr_manager *manager = tmgr_manager_create(&options);
	bool taken[ADDS_MAX] = { false }, refused = false;
	size_t count = 0;

	must(manager != NULL);
	destroyed = 0;
	for (; input.left > 0 && count < ADDS_MAX; count++) {
		taken[count] = add_next(manager, &input, adds, taken, count);
		refused |= !taken[count];
	}
	run_and_report(manager, refused);
	tmgr_manager_destroy(manager);
	must((size_t)destroyed == count);
	return 0;
}
