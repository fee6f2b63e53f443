/*
 * Generators of numbers, that do between them what a test wants, and say what they saw.
 */
#ifndef TESTS_SUPPORT_COUNTING_H
#define TESTS_SUPPORT_COUNTING_H

#include <stdbool.h>
#include <stdint.h>

#include <taskmgr/tasks/generator.h>

/* A generator that yields the numbers from 1 and then ends as it is told. */
struct numbers {
	int count;
	int end;
	const char *fail_text;
	int64_t sleep_ns; /* before each; 0: does not wait, below 0: lets others run */
	bool ignore;      /* what yield says */
	bool flush;       /* wait at the end where nothing cuts it short */
	int begun, ended; /* how often */
	int yielded;      /* what the last yield returned */
	int slept;        /* what the last wait returned */
	int flushed;      /* likewise, of the one at the end */
	bool current;     /* the current context was the given one, always */
};

#define NUMBERS(...)                         \
	{                                    \
		.current = true, __VA_ARGS__ \
	}

/* Its function, for options; self is a struct numbers. */
int numbers_count_up(void *self, struct tmgr_context *context, struct tmgr_generator *generator);

struct tmgr_iterator numbers_iterator(struct numbers *numbers);

#endif
