#include "tests/support/killed.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include <taskmgr/time.h>

#include "tests/support/leak.h"

void *killed_begin(void **state, struct store_file *file, size_t size)
{
	int r = leak_setup(state);
	void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (r || shared == MAP_FAILED || store_file_init(file))
		return NULL;
	return shared;
}

int killed_end(void **state, struct store_file *file, void *shared, size_t size)
{
	store_file_fini(file);
	munmap(shared, size);
	return leak_teardown(state);
}

void must_have_been_killed(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail_msg("the program ended by itself: status %x", status);
}

void kill_some_time_later(pid_t pid, struct killed_when *when, unsigned *seed)
{
	unsigned long long before = when->done();
	int64_t ns = when->longest_ns / 1000 * (1 + rand_r(seed) % 1000);
	struct timespec wait = { ns / TMGR_SECOND, ns % TMGR_SECOND };

	/* This chooses the moment; nothing is waited for. */
	nanosleep(&wait, NULL);
	kill(pid, SIGKILL);
	must_have_been_killed(pid);
	if (when->done() > before + when->enough && when->longest_ns > when->longest_min_ns)
		when->longest_ns = when->longest_ns * 3 / 4;
	else if (when->done() == before && when->longest_ns < when->longest_max_ns)
		when->longest_ns = when->longest_ns * 5 / 4;
}
