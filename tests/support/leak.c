#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/fault.h"
#include "tests/support/leak.h"

/* A thread that was joined stands in /proc for a moment longer. */
#define THREAD_GONE_MS 5000

static int descriptors_before, threads_before;

#if FAULT_TSAN
/* Threads are counted here; those of a scenario that leaves by _exit() beside a stuck task are not
 * to be told of. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
	return "report_thread_leaks=0";
}
#endif

static int count_entries(const char *path, int not_counted)
{
	DIR *directory = opendir(path);
	int n = -not_counted;

	if (directory == NULL)
		return -1;
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
		n += entry->d_name[0] != '.';
	closedir(directory);
	return n;
}

int leak_descriptors(void)
{
	return count_entries("/proc/self/fd", 1);
}

int leak_inherited(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++) {
		int flags = fcntl(fd, F_GETFD);

		count += flags >= 0 && !(flags & FD_CLOEXEC);
	}
	return count;
}

int leak_threads(void)
{
	return count_entries("/proc/self/task", 0);
}

static void print_descriptors(void)
{
	for (int fd = 0; fd < 1024; fd++) {
		char path[64], target[256];
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, target, sizeof(target) - 1);
		if (length > 0)
			fprintf(stderr, "  descriptor %d: %.*s\n", fd, (int)length, target);
	}
}

static void *do_nothing(void *argument)
{
	return argument;
}

/* The thread sanitizer makes a thread of its own when the program makes its first. */
static void have_made_a_thread(void)
{
	pthread_t thread;

	if (FAULT_TSAN && pthread_create(&thread, NULL, do_nothing, NULL) == 0)
		pthread_join(thread, NULL);
}

int leak_setup(void **state)
{
	(void)state;
	fault_off();
	have_made_a_thread();
	descriptors_before = leak_descriptors();
	threads_before = leak_threads();
	fault_count_begin();
	return 0;
}

static bool same_threads(void)
{
	struct timespec moment = { 0, 1000000 };

	for (int ms = 0; ms < THREAD_GONE_MS; ms++) {
		if (leak_threads() <= threads_before)
			return true;
		nanosleep(&moment, NULL);
	}
	return false;
}

int leak_teardown(void **state)
{
	int r = 0;

	(void)state;
	fault_off();
	if (!same_threads()) {
		fprintf(stderr, "threads: %d before, %d after\n", threads_before, leak_threads());
		r = -1;
	}
	if (leak_descriptors() != descriptors_before) {
		fprintf(stderr, "descriptors: %d before, %d after\n", descriptors_before,
			leak_descriptors());
		print_descriptors();
		r = -1;
	}
	fault_count_end();
	if (fault_live() != 0) {
		fprintf(stderr, "allocations: %ld not released\n", fault_live());
		fault_print_live();
		r = -1;
	}
	return r;
}
