/*
 * The load: 50 connections, each with one request on its way, from a process and a processor of its
 * own. What the server's process has used is read before and after, from its processor clock.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/echo/echo.h"
#include "tests/bench/measure.h"

#define THREADS_MAX 64
#define WARM_REQUESTS 5000
#define START_NS 10000000000
#define ANSWER_MS 10000

struct loading {
	const struct echo_load *load;
	int epoll;
	int fds[ECHO_CONNECTIONS];
	size_t got[ECHO_CONNECTIONS]; /* of the answer that is awaited */
	size_t to_send, to_receive;   /* requests, answers */
};

/* ---- What the server has used ---- */

static int64_t processor_time(pid_t pid)
{
	struct timespec time;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0)
		return -1;
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int count_instructions(pid_t thread)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.exclude_hv = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attributes, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* Counters of all threads there are; 0: this machine or its rules allow none. */
static size_t open_counters(pid_t pid, int *counters)
{
	struct dirent *entry;
	size_t count = 0;
	char path[64];
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	threads = opendir(path);
	if (!threads)
		return 0;
	while ((entry = readdir(threads)) && count < THREADS_MAX) {
		if (entry->d_name[0] == '.')
			continue;
		counters[count] = count_instructions((pid_t)strtol(entry->d_name, NULL, 10));
		if (counters[count] >= 0)
			count++;
	}
	closedir(threads);
	return count;
}

static double read_counters(const int *counters, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t value = 0;

		if (read(counters[i], &value, sizeof(value)) != sizeof(value))
			return -1;
		sum += (double)value;
	}
	return count > 0 ? sum : -1;
}

/* ---- Requests ---- */

/* A server that is only just starting refuses. */
static int connect_soon(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int64_t until = measure_now() + START_NS;
	int on = 1, fd;

	for (;;) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			break;
		if (fd >= 0)
			close(fd);
		if (fd < 0 || errno != ECONNREFUSED || measure_now() > until)
			return -1;
		measure_sleep_until(measure_now() + 10000000);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static bool connect_all(struct loading *loading)
{
	loading->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (uint32_t i = 0; i < ECHO_CONNECTIONS; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };

		loading->fds[i] = connect_soon(loading->load->server->port);
		if (loading->fds[i] < 0 ||
			epoll_ctl(loading->epoll, EPOLL_CTL_ADD, loading->fds[i], &event) < 0)
			return false;
	}
	return true;
}

static bool send_request(struct loading *loading, uint32_t i)
{
	if (loading->to_send == 0)
		return true;
	loading->to_send--;
	return send(loading->fds[i], loading->load->request, ECHO_SIZE, MSG_NOSIGNAL) == ECHO_SIZE;
}

static bool receive_answer(struct loading *loading, uint32_t i)
{
	size_t size = loading->load->answer_size;
	char answer[ECHO_SIZE * 2];
	ssize_t n = recv(loading->fds[i], answer, sizeof(answer), 0);

	if (n <= 0)
		return false;
	loading->got[i] += (size_t)n;
	if (loading->got[i] < size)
		return true;
	/* An echo that came in one piece is compared; it nearly always does. */
	if (loading->got[i] > size || ((size_t)n == ECHO_SIZE && size == ECHO_SIZE &&
					      memcmp(answer, loading->load->request, size) != 0))
		return false;
	loading->got[i] = 0;
	loading->to_receive--;
	return send_request(loading, i);
}

static bool exchange(struct loading *loading, size_t requests)
{
	struct epoll_event events[ECHO_CONNECTIONS];

	loading->to_send = loading->to_receive = requests;
	for (uint32_t i = 0; i < ECHO_CONNECTIONS; i++)
		if (!send_request(loading, i))
			return false;
	while (loading->to_receive > 0) {
		int n = epoll_wait(loading->epoll, events, ECHO_CONNECTIONS, ANSWER_MS);

		if (n <= 0)
			return false;
		for (int i = 0; i < n; i++)
			if (!receive_answer(loading, events[i].data.u32))
				return false;
	}
	return true;
}

static bool run_load(void *self, void *result)
{
	struct loading loading = { .load = self };
	struct echo_result *measured = result;
	pid_t pid = loading.load->server->pid;
	double requests = (double)loading.load->requests, instructions;
	int64_t processor, took;
	int counters[THREADS_MAX];
	cpu_set_t processors;
	size_t count;

	CPU_ZERO(&processors);
	CPU_SET((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1, &processors);
	sched_setaffinity(0, sizeof(processors), &processors);
	if (!connect_all(&loading) || !exchange(&loading, WARM_REQUESTS))
		return false;

	count = open_counters(pid, counters);
	instructions = read_counters(counters, count);
	processor = processor_time(pid);
	took = measure_now();
	if (!exchange(&loading, loading.load->requests))
		return false;
	took = measure_now() - took;
	measured->processor_ns = (double)(processor_time(pid) - processor) / requests;
	measured->requests_per_s = requests * 1e9 / (double)took;
	measured->instructions = count > 0 ? (read_counters(counters, count) - instructions) /
						     requests
					   : -1;
	return processor >= 0;
}

bool echo_measure(const struct echo_load *load, struct echo_result *result)
{
	struct echo_load copy = *load;

	return measure_apart(run_load, &copy, result, sizeof(*result));
}
