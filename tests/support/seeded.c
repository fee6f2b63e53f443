#include "tests/support/seeded.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <taskmgr/time.h>

#include "tests/support/leak.h"

/* A run that takes longer hangs. */
#define HANG_S 60

uint64_t seed_of_this_run(void)
{
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint32_t)tmgr_now();

	print_message("SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

uint64_t seeded_draw(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static void say_hang(int signo)
{
	static const char text[] = "a run hangs: see the seed printed first\n";

	(void)signo;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(1);
}

void seeded_runs(const char *what, void (*run)(uint64_t seed))
{
	const char *seconds = getenv("SECONDS");
	int64_t end = tmgr_after((seconds ? atol(seconds) : 5) * TMGR_SECOND);
	uint64_t seed = seed_of_this_run();
	unsigned long rounds = 0;

	signal(SIGALRM, say_hang);
	do {
		alarm(HANG_S);
		run(seed++);
		alarm(0);
		rounds++;
	} while (tmgr_now() < end);
	print_message(
		"%lu %s, the last was SEED=%llu\n", rounds, what, (unsigned long long)seed - 1);
}
