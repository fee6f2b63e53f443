/* The socket for taskctl process, by programs that are not taskctl: what it takes, and whom it refuses. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>
#include <taskmgr/tasks/process_control.h>

#include "tests/support/durable.h"
#include "tests/support/fault.h"
#include "tests/support/latch.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

#define LIMIT_MS 30000
#define NOBODY 65534

struct daemon {
	struct tmgr_store *store;
	struct tmgr_processes *processes;
	struct tmgr_manager *manager;
	struct runner runner;
	char directory[32], path[64];
};

static void make(struct daemon *daemon, const struct tmgr_process_control_options *options)
{
	*daemon = (struct daemon){ .directory = "/tmp/control.XXXXXX" };
	assert_non_null(mkdtemp(daemon->directory));
	assert_int_equal(chmod(daemon->directory, 0755), 0);
	snprintf(daemon->path, sizeof(daemon->path), "%s/socket", daemon->directory);
	assert_int_equal(tmgr_store_memory_create(&daemon->store), 0);
	assert_int_equal(tmgr_processes_create(daemon->store, NULL, &daemon->processes), 0);
	daemon->manager = tmgr_manager_create(NULL);
	tmgr_manager_add_task(
		daemon->manager, "processes", tmgr_processes_task(daemon->processes), TMGR_STRICT);
	tmgr_manager_add_task(daemon->manager, "control",
		tmgr_process_control(daemon->processes, daemon->path, options), TMGR_STRICT);
}

static void begin(struct daemon *daemon, const struct tmgr_process_control_options *options)
{
	make(daemon, options);
	runner_start(&daemon->runner, daemon->manager, NULL);
	assert_true(manager_reaches(daemon->manager, TMGR_MANAGER_RUNNING));
}

static void release(struct daemon *daemon)
{
	tmgr_manager_destroy(daemon->manager);
	tmgr_processes_unref(daemon->processes);
	unlink(daemon->path);
	assert_int_equal(rmdir(daemon->directory), 0);
}

static void end(struct daemon *daemon)
{
	tmgr_manager_cancel(daemon->manager);
	assert_int_equal(runner_join(&daemon->runner), 0);
	assert_int_equal(access(daemon->path, F_OK), -1);
	release(daemon);
}

/* ---- A client ------------------------------------------------------------------------------- */

static int try_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int connect_to(const struct daemon *daemon)
{
	int fd = try_connect(daemon->path);

	assert_true(fd >= 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static bool can_be_read(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, LIMIT_MS) == 1;
}

/* A line without its newline; "" at the end. */
static const char *hear(int fd)
{
	static char line[4096];
	size_t size = 0;

	for (;;) {
		assert_true(can_be_read(fd));
		if (recv(fd, line + size, 1, 0) <= 0 || line[size] == '\n')
			break;
		assert_true(++size < sizeof(line));
	}
	line[size] = '\0';
	return line;
}

static void hear_the_end(int fd)
{
	char byte;

	assert_true(can_be_read(fd));
	assert_true(recv(fd, &byte, 1, 0) <= 0);
	close(fd);
}

static void is_answered(int fd)
{
	say(fd, "{\"ask\":\"list\"}\n");
	assert_string_equal(
		hear(fd), "{\"kind\":\"end\",\"error\":0,\"text\":\"\",\"sequence\":0}");
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void requests_are_answered_however_they_are_cut(void **state)
{
	static const char two[] = "{\"ask\":\"list\"}\n{\"ask\":\"get\",\"id\":\"x\"}\n";
	struct daemon daemon;
	int fd;

	begin(&daemon, NULL);
	fd = connect_to(&daemon);
	is_answered(fd);
	say(fd, two);
	assert_non_null(strstr(hear(fd), "\"error\":0"));
	assert_non_null(strstr(hear(fd), "there is no such process"));
	for (size_t i = 0; two[i]; i++)
		assert_int_equal(send(fd, &two[i], 1, MSG_NOSIGNAL), 1);
	assert_non_null(strstr(hear(fd), "\"error\":0"));
	assert_non_null(strstr(hear(fd), "there is no such process"));
	say(fd, "nonsense\n");
	assert_non_null(strstr(hear(fd), "\"error\":-74"));
	is_answered(fd);
	close(fd);
	end(&daemon);
}

static void the_socket_is_its_users_only(void **state)
{
	struct daemon daemon;
	struct stat st;
	mode_t before = umask(0);

	begin(&daemon, NULL);
	umask(before);
	assert_int_equal(lstat(daemon.path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	end(&daemon);
}

/* In a child that is somebody else: 0 when it was told nothing. */
static int knock_as_nobody(const char *path)
{
	char byte;
	int fd;

	if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
		return 1;
	fd = try_connect(path);
	if (fd < 0)
		return 2;
	send(fd, "{\"ask\":\"list\"}\n", 15, MSG_NOSIGNAL);
	return recv(fd, &byte, 1, 0) > 0 ? 3 : 0;
}

/* Were the file open to all, they would still be told nothing. */
static void another_user_is_not_served(void **state)
{
	struct daemon daemon;
	int status, fd, ends[2];
	char result = 77;
	pid_t pid;

	if (getuid() != 0)
		skip();
	begin(&daemon, NULL);
	assert_int_equal(chmod(daemon.path, 0666), 0);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		result = (char)knock_as_nobody(daemon.path);
		if (write(ends[1], &result, 1) != 1)
			_exit(1);
		/* It has half of what threads of ours were just making, as valgrind would tell. */
		kill(getpid(), SIGKILL);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &result, 1), 1);
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(result, 0);
	fd = connect_to(&daemon);
	is_answered(fd);
	close(fd);
	end(&daemon);
}

static void too_many_are_told_so(void **state)
{
	struct daemon daemon;
	int first, second;

	begin(&daemon, &(struct tmgr_process_control_options){ .connections_max = 1 });
	first = connect_to(&daemon);
	is_answered(first);
	second = connect_to(&daemon);
	assert_non_null(strstr(hear(second), "too many programs are served"));
	hear_the_end(second);
	is_answered(first);
	close(first);
	/* Its place is free as soon as it is seen to be gone. */
	for (;;) {
		second = connect_to(&daemon);
		/* One that is refused may be closed by now. */
		send(second, "{\"ask\":\"list\"}\n", 15, MSG_NOSIGNAL);
		if (strstr(hear(second), "\"error\":0"))
			break;
		close(second);
	}
	close(second);
	end(&daemon);
}

static void who_says_nothing_is_closed(void **state)
{
	struct daemon daemon;
	int fd;

	begin(&daemon, &(struct tmgr_process_control_options){ .idle_ns = 50 * TMGR_MILLISECOND });
	fd = connect_to(&daemon);
	say(fd, "{\"ask\"");
	hear_the_end(fd);
	end(&daemon);
}

static void a_request_that_is_too_long_is_told_so(void **state)
{
	struct daemon daemon;
	static char block[65536];
	size_t left = TMGR_STATE_SIZE_MAX + sizeof(block);
	int fd;

	begin(&daemon, NULL);
	fd = connect_to(&daemon);
	memset(block, ' ', sizeof(block));
	while (left > 0 && send(fd, block, sizeof(block), MSG_NOSIGNAL) == sizeof(block))
		left -= sizeof(block);
	assert_non_null(strstr(hear(fd), "the request is too long"));
	hear_the_end(fd);
	end(&daemon);
}

/* Answers pile up, and nobody takes them. */
static void it_stops_while_programs_are_connected(void **state)
{
	struct daemon daemon;
	int idle, busy, flags;

	begin(&daemon, NULL);
	idle = connect_to(&daemon);
	is_answered(idle);
	busy = connect_to(&daemon);
	flags = fcntl(busy, F_GETFL);
	fcntl(busy, F_SETFL, flags | O_NONBLOCK);
	while (send(busy, "{\"ask\":\"list\"}\n", 15, MSG_NOSIGNAL) == 15)
		;
	end(&daemon);
	hear_the_end(idle);
	close(busy);
}

/* Another one's. */
static int socket_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void one_that_was_left_behind_is_replaced(void **state)
{
	struct daemon daemon;
	int fd;

	make(&daemon, NULL);
	fd = socket_at(daemon.path);
	close(fd);
	runner_start(&daemon.runner, daemon.manager, NULL);
	assert_true(manager_reaches(daemon.manager, TMGR_MANAGER_RUNNING));
	fd = connect_to(&daemon);
	is_answered(fd);
	close(fd);
	end(&daemon);
}

static void what_another_one_listens_on_is_left_alone(void **state)
{
	struct daemon daemon;
	int fd;

	make(&daemon, NULL);
	fd = socket_at(daemon.path);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(tmgr_manager_run(daemon.manager, NULL), -EADDRINUSE);
	assert_int_equal(access(daemon.path, F_OK), 0);
	close(fd);
	release(&daemon);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
	struct daemon daemon;
	int fd;

	make(&daemon, NULL);
	fd = open(daemon.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(tmgr_manager_run(daemon.manager, NULL), -EADDRINUSE);
	assert_int_equal(access(daemon.path, F_OK), 0);
	release(&daemon);
}

static void bad_arguments_give_a_task_that_is_refused(void **state)
{
	char longest[109];
	struct tmgr_store *store = NULL;
	struct tmgr_processes *processes = NULL;
	const struct tmgr_process_control_options bad[] = {
		{ .connections_max = 1001 },
		{ .idle_ns = -1 },
		{ .request_ns = -1 },
	};
	struct tmgr_task task;

	assert_int_equal(tmgr_store_memory_create(&store), 0);
	assert_int_equal(tmgr_processes_create(store, NULL, &processes), 0);
	memset(longest, 'x', sizeof(longest));
	longest[107] = '\0';
	task = tmgr_process_control(processes, longest, NULL);
	assert_int_equal(tmgr_task_error(task), 0);
	tmgr_task_destroy(task);
	assert_int_equal(tmgr_task_error(tmgr_process_control(NULL, "x", NULL)), -EINVAL);
	assert_int_equal(tmgr_task_error(tmgr_process_control(processes, NULL, NULL)), -EINVAL);
	assert_int_equal(tmgr_task_error(tmgr_process_control(processes, "", NULL)), -EINVAL);
	longest[107] = 'x';
	longest[108] = '\0';
	assert_int_equal(tmgr_task_error(tmgr_process_control(processes, longest, NULL)), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			tmgr_task_error(tmgr_process_control(processes, "x", &bad[i])), -EINVAL);
	tmgr_processes_unref(processes);
}

static void one_that_cannot_be_made_is_refused(void **state)
{
	struct tmgr_store *store = NULL;
	struct tmgr_processes *processes = NULL;

	assert_int_equal(tmgr_store_memory_create(&store), 0);
	assert_int_equal(tmgr_processes_create(store, NULL, &processes), 0);
	for (long k = 1;; k++) {
		struct tmgr_task task;
		bool happened;

		fault_fail_allocation(k);
		task = tmgr_process_control(processes, "x", NULL);
		happened = fault_happened();
		fault_off();
		assert_int_equal(tmgr_task_error(task), happened ? -ENOMEM : 0);
		tmgr_task_destroy(task);
		if (!happened)
			break;
	}
	tmgr_processes_unref(processes);
}

static struct latch copying = LATCH_INIT;

/* For ten times as long as requests may take, and until it is let go. */
static int copy_slowly(
	struct tmgr_store *store, const char *path, bool (*cancelled)(void *self), void *self)
{
	tmgr_sleep(NULL, 10 * TMGR_MILLISECOND);
	return latch_wait(&copying) ? 0 : -EIO;
}

static void a_backup_takes_as_long_as_it_takes(void **state)
{
	const struct tmgr_process_control_options options = { .request_ns = TMGR_MILLISECOND };
	struct tmgr_store_ops ops;
	struct daemon daemon;
	int fd;

	make(&daemon, &options);
	ops = *daemon.store->ops;
	ops.backup = copy_slowly;
	daemon.store->ops = &ops;
	runner_start(&daemon.runner, daemon.manager, NULL);
	assert_true(manager_reaches(daemon.manager, TMGR_MANAGER_RUNNING));
	fd = connect_to(&daemon);
	say(fd, "{\"ask\":\"backup\",\"text\":\"copy\"}\n");
	assert_true(latch_arrived(&copying, 1));
	latch_open(&copying);
	assert_string_equal(
		hear(fd), "{\"kind\":\"end\",\"error\":0,\"text\":\"\",\"sequence\":0}");
	close(fd);
	end(&daemon);
}

static void who_waits_when_the_daemon_is_stopped_is_told_so(void **state)
{
	struct tmgr_store_ops ops;
	struct daemon daemon;
	int fd;

	make(&daemon, NULL);
	ops = *daemon.store->ops;
	ops.backup = copy_slowly;
	daemon.store->ops = &ops;
	latch_init(&copying);
	runner_start(&daemon.runner, daemon.manager, NULL);
	assert_true(manager_reaches(daemon.manager, TMGR_MANAGER_RUNNING));
	fd = connect_to(&daemon);
	say(fd, "{\"ask\":\"backup\",\"text\":\"copy\"}\n");
	assert_true(latch_arrived(&copying, 1));
	tmgr_manager_cancel(daemon.manager);
	assert_string_equal(hear(fd),
		"{\"kind\":\"end\",\"error\":-125,\"text\":\"the daemon is being stopped; it may "
		"happen all the same\",\"sequence\":0}");
	close(fd);
	latch_open(&copying);
	end(&daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(requests_are_answered_however_they_are_cut),
		leak_test(the_socket_is_its_users_only),
		leak_test(another_user_is_not_served),
		leak_test(too_many_are_told_so),
		leak_test(who_says_nothing_is_closed),
		leak_test(a_request_that_is_too_long_is_told_so),
		leak_test(it_stops_while_programs_are_connected),
		leak_test(one_that_was_left_behind_is_replaced),
		leak_test(what_another_one_listens_on_is_left_alone),
		leak_test(a_file_that_is_no_socket_is_left_alone),
		leak_test(bad_arguments_give_a_task_that_is_refused),
		leak_test(one_that_cannot_be_made_is_refused),
		leak_test(a_backup_takes_as_long_as_it_takes),
		leak_test(who_waits_when_the_daemon_is_stopped_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
