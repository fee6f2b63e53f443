/*
 * minimq with very many clients, and with clients that behave badly: 10,000 that are connected and
 * say nothing, requests in pieces, connections that are half closed or reset in the middle of a
 * request, hundreds of subscribers on all loops.
 *
 * Each end of a connection takes a descriptor, one here and one there, so the hard limit of
 * descriptors (ulimit -Hn) has to be above 10,100; where it is lower this fails. The thread
 * sanitizer knows 8,000 threads of control at most: there it is 2,000 clients. MINIMQ names another
 * program.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/fault.h"
#include "tests/support/leak.h"

#define CLIENTS (FAULT_TSAN ? 2000 : 10000)
#define SUBSCRIBERS 200
#define MESSAGES 300
#define LIMIT_MS (FAULT_TSAN ? 120000 : 60000)

static struct {
	pid_t pid;
	int output; /* a pipe */
	char text[16384];
	size_t length;
	uint16_t port;
} server;

static int sockets[CLIENTS];

/* ---- minimq ---------------------------------------------------------------------------------- */

static const char *program(void)
{
	static char path[512];
	const char *named = getenv("MINIMQ"), *build = getenv("BUILD");

	if (named)
		return named;
	snprintf(path, sizeof(path), "%s/examples/minimq", build ? build : "build");
	return path;
}

/* Read what it prints until this text is there, or to the end of it. */
static bool prints(const char *text)
{
	struct pollfd ready = { .fd = server.output, .events = POLLIN };
	ssize_t n = 1;

	while ((!text || !strstr(server.text, text)) && n > 0) {
		if (poll(&ready, 1, LIMIT_MS) != 1 || server.length + 1 == sizeof(server.text))
			return false;
		n = read(server.output, server.text + server.length,
			sizeof(server.text) - 1 - server.length);
		server.length += n > 0 ? (size_t)n : 0;
		server.text[server.length] = '\0';
	}
	return !text || n > 0;
}

static void start(void)
{
	int ends[2];

	memset(&server, 0, sizeof(server));
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	server.output = ends[0];
	server.pid = fork();
	assert_true(server.pid >= 0);
	if (server.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		execl(program(), "minimq", "--port", "0", "--loops", "2", "--max-clients", "10050",
			NULL);
		_exit(127);
	}
	close(ends[1]);
	if (!prints("acceptor: ready"))
		fail_msg("%s does not start: %s", program(), server.text);
	server.port = (uint16_t)atoi(strstr(server.text, " port ") + 6);
}

/* Told to, it ends by itself, cleanly. */
static void end(void)
{
	struct pollfd ready = { .events = POLLIN };
	int status = -1;

	ready.fd = (int)syscall(SYS_pidfd_open, server.pid, 0);
	assert_true(ready.fd >= 0);
	if (poll(&ready, 1, LIMIT_MS) != 1)
		kill(server.pid, SIGKILL);
	close(ready.fd);
	waitpid(server.pid, &status, 0);
	prints(NULL);
	close(server.output);
	if (status != 0)
		fail_msg("minimq ended with status %#x: %s", (unsigned)status, server.text);
}

static void stop(void)
{
	kill(server.pid, SIGINT);
	end();
}

/* ---- Clients --------------------------------------------------------------------------------- */

static int client(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(server.port) };
	struct timeval limit = { .tv_sec = LIMIT_MS / 1000 };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Exactly this comes next. */
static void hear(int fd, const char *text)
{
	size_t length = strlen(text);
	char heard[512];

	assert_true(length < sizeof(heard));
	assert_int_equal(recv(fd, heard, length, MSG_WAITALL), length);
	heard[length] = '\0';
	assert_string_equal(heard, text);
}

static void hear_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
}

static void hang_up_at_once(int fd)
{
	struct linger reset = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}

static void raise_limit(void)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < CLIENTS + 100)
		fail_msg("the hard limit of descriptors is %ju: %d are needed",
			(uintmax_t)limit.rlim_max, CLIENTS + 100);
	limit.rlim_cur = CLIENTS + 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Resident memory of minimq. */
static long kib(void)
{
	char path[64], line[256];
	long result = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)server.pid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "VmRSS:", 6) == 0)
			result = atol(line + 6);
	}
	if (file)
		fclose(file);
	return result;
}

static void ten_thousand_idle_clients_are_served(void **state)
{
	long before, after;

	raise_limit();
	start();
	before = kib();
	for (int i = 0; i < CLIENTS; i++) {
		sockets[i] = client();
		say(sockets[i], "PING\r\n");
		hear(sockets[i], "+PONG\r\n");
	}
	after = kib();
	print_message("%d clients take %ld KiB, %.1f each\n", CLIENTS, after - before,
		(double)(after - before) / CLIENTS);
	/* All still are, not only the last. */
	for (int i = 0; i < CLIENTS; i += 97) {
		say(sockets[i], "*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n");
		hear(sockets[i], "$2\r\nhi\r\n");
	}
	stop();
	for (int i = 0; i < CLIENTS; i++)
		hear_end(sockets[i]);
}

static void a_request_may_come_byte_by_byte(void **state)
{
	static const char text[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\nGET k\r\n";
	int fd;

	start();
	fd = client();
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		assert_int_equal(send(fd, text + i, 1, MSG_NOSIGNAL), 1);
	hear(fd, "+OK\r\n$5\r\nvalue\r\n");
	stop();
	hear_end(fd);
}

static void a_large_value_comes_back_whole(void **state)
{
	const size_t size = (size_t)512 * 1024;
	char *value = malloc(size + 3), *back = malloc(size + 3), head[64];
	int fd;

	start();
	fd = client();
	for (size_t i = 0; i < size; i++)
		value[i] = (char)(i * 7 % 251);
	memcpy(value + size, "\r\n", 3);
	snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", size);
	say(fd, head);
	assert_int_equal(send(fd, value, size + 2, MSG_NOSIGNAL), size + 2);
	hear(fd, "+OK\r\n");
	say(fd, "GET k\r\n");
	snprintf(head, sizeof(head), "$%zu\r\n", size);
	hear(fd, head);
	assert_int_equal(recv(fd, back, size + 2, MSG_WAITALL), size + 2);
	assert_memory_equal(back, value, size + 2);
	free(value);
	free(back);
	stop();
	hear_end(fd);
}

static void who_is_half_closed_gets_all_answers(void **state)
{
	int fd;

	start();
	fd = client();
	for (int i = 0; i < 1000; i++)
		say(fd, "PING\r\n");
	say(fd, "*2\r\n$4\r\nECHO");
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 1000; i++)
		hear(fd, "+PONG\r\n");
	hear_end(fd);
	stop();
}

static void who_hangs_up_disturbs_nobody(void **state)
{
	static const char *const beginnings[] = { "", "PI", "*2\r\n$4\r\nECHO\r\n$100000\r\nabc",
		"SUBSCRIBE a b c\r\n", "SUBSCRIBE a\r\nPING\r\n", "PSUBSCRIBE *\r\nUNSUB" };
	int steady, fd;

	start();
	steady = client();
	say(steady, "SUBSCRIBE a\r\n");
	hear(steady, "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
	for (int i = 0; i < 300; i++) {
		fd = client();
		say(fd, beginnings[i % 6]);
		if (i % 12 < 6)
			hang_up_at_once(fd);
		else
			close(fd);
	}
	fd = client();
	say(fd, "PUBLISH a x\r\nPUBLISH b x\r\nQUIT\r\n");
	hear(steady, "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n");
	stop();
	hear_end(steady);
	close(fd);
}

/* More than minimq reads before it sees that the first is none. */
static void who_sends_on_after_an_error_reads_it_and_the_end(void **state)
{
	static char more[200000];
	int fd;

	memset(more, 'x', sizeof(more) - 1);
	start();
	fd = client();
	say(fd, "PING\r\n*1\r\n$x\r\n");
	say(fd, more);
	hear(fd, "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n");
	/* Not a reset, with which some systems throw away what was not read. */
	hear_end(fd);
	stop();
}

#define OWED 110
#define OWED_SIZE 65536

/* What no buffer of the system has room for is in an outbox when the stop comes. */
static void a_stop_delivers_what_was_published(void **state)
{
	static char message[OWED_SIZE + 1], heard[OWED_SIZE];
	int subscriber, publisher;
	char head[64];

	memset(message, 'm', OWED_SIZE);
	start();
	subscriber = client();
	publisher = client();
	say(subscriber, "SUBSCRIBE a\r\n");
	hear(subscriber, "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
	snprintf(head, sizeof(head), "*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$%d\r\n", OWED_SIZE);
	for (int i = 0; i < OWED; i++) {
		say(publisher, head);
		say(publisher, message);
		say(publisher, "\r\n");
		hear(publisher, ":1\r\n");
	}
	kill(server.pid, SIGINT);
	/* It is told so, and the other one is still owed. */
	hear_end(publisher);
	snprintf(head, sizeof(head), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$%d\r\n", OWED_SIZE);
	for (int i = 0; i < OWED; i++) {
		hear(subscriber, head);
		assert_int_equal(recv(subscriber, heard, OWED_SIZE, MSG_WAITALL), OWED_SIZE);
		assert_memory_equal(heard, message, OWED_SIZE);
		hear(subscriber, "\r\n");
	}
	hear_end(subscriber);
	end();
	if (!strstr(server.text, "delivered 110, dropped 0"))
		fail_msg("%s", server.text);
}

/* On two loops; published on both. */
static void every_subscriber_gets_every_message_in_order(void **state)
{
	int publishers[2];
	char text[128];

	start();
	for (int i = 0; i < SUBSCRIBERS; i++) {
		sockets[i] = client();
		say(sockets[i], "SUBSCRIBE a b\r\n");
		hear(sockets[i], "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
				 "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
	}
	for (int k = 0; k < 2; k++)
		publishers[k] = client();
	for (int i = 0; i < MESSAGES; i++) {
		for (int k = 0; k < 2; k++) {
			snprintf(text, sizeof(text), "PUBLISH %c %d\r\n", "ab"[k], 1000 + i);
			say(publishers[k], text);
		}
	}
	for (int k = 0; k < 2; k++) {
		snprintf(text, sizeof(text), ":%d\r\n", SUBSCRIBERS);
		for (int i = 0; i < MESSAGES; i++)
			hear(publishers[k], text);
		close(publishers[k]);
	}
	for (int i = 0; i < SUBSCRIBERS; i++) {
		int next[2] = { 1000, 1000 };

		for (int m = 0; m < 2 * MESSAGES; m++) {
			/* "*3 message CHANNEL NUMBER": the channel is byte 21 */
			assert_int_equal(recv(sockets[i], text, 34, MSG_WAITALL), 34);
			assert_true(text[21] == 'a' || text[21] == 'b');
			assert_int_equal(atoi(text + 28), next[text[21] - 'a']++);
		}
	}
	stop();
	snprintf(text, sizeof(text), "published %d, delivered %d, dropped 0", 2 * MESSAGES,
		2 * MESSAGES * SUBSCRIBERS);
	if (!strstr(server.text, text))
		fail_msg("not \"%s\": %s", text, server.text);
	for (int i = 0; i < SUBSCRIBERS; i++)
		hear_end(sockets[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(ten_thousand_idle_clients_are_served),
		leak_test(a_request_may_come_byte_by_byte),
		leak_test(a_large_value_comes_back_whole),
		leak_test(who_is_half_closed_gets_all_answers),
		leak_test(who_hangs_up_disturbs_nobody),
		leak_test(who_sends_on_after_an_error_reads_it_and_the_end),
		leak_test(a_stop_delivers_what_was_published),
		leak_test(every_subscriber_gets_every_message_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
