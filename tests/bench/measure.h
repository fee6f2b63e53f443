/*
 * What the benchmarks share: a clock, samples and what is told of them, paired runs, and rows of
 * one table.
 *
 * Machines are noisy: two things are compared by running them in turns and taking the median of the
 * ratios of the turns, so that what disturbs both of a pair disturbs neither's figure. A figure
 * that misses its goal is a row that says so; one that could not be taken makes the program fail.
 */
#ifndef TESTS_BENCH_MEASURE_H
#define TESTS_BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CLOCK_MONOTONIC, nanoseconds. */
int64_t measure_now(void);
/* Return at or after a moment, asleep until then. */
void measure_sleep_until(int64_t at);

/* Numbers of one kind, all zero at first; sorted when asked for something. */
struct measure_samples {
	double *values;
	size_t count, room;
	bool sorted;
};

void measure_add(struct measure_samples *samples, double value);
/* fraction 0 is the least, 0.5 the median, 0.99 what one in a hundred exceeds; NAN of none. */
double measure_quantile(struct measure_samples *samples, double fraction);
double measure_median(struct measure_samples *samples);
void measure_clear(struct measure_samples *samples);

/* Two things done in turns; each returns its figure, or a number below 0 when it has none. */
struct measure_pair {
	double (*run_ours)(void *self);
	double (*run_other)(void *self);
	void *self;
	struct measure_samples ours, other, ratios;
};

/* Run both `rounds` times, after `warm` rounds that do not count. False: one could not be taken. */
bool measure_run_pair(struct measure_pair *pair, size_t warm, size_t rounds);
void measure_clear_pair(struct measure_pair *pair);

enum measure_unit {
	MEASURE_NANOSECONDS, /* printed as ns, us, ms or s */
	MEASURE_PER_SECOND,  /* printed as thousands or millions a second */
	MEASURE_BYTES,
	MEASURE_COUNT,
};

enum measure_goal {
	MEASURE_NO_GOAL,
	MEASURE_AT_MOST, /* the figure itself */
	MEASURE_AT_LEAST,
	MEASURE_RATIO_AT_MOST,  /* the figure by the one it is compared with */
	MEASURE_EXCESS_AT_MOST, /* the figure less the one it is compared with */
};

/* A row of the table. */
struct measure_row {
	const char *figure;
	enum measure_unit unit;
	double ours;
	const char *other_name; /* what it is compared with, or NULL */
	double other;
	double ratio; /* of pairs; 0: ours by other */
	enum measure_goal kind;
	double goal;
};

/* Begin and end a program: the head of the table, unless BENCH_HEAD is 0; and its exit code. */
void measure_begin(void);
int measure_end(void);
void measure_print(const struct measure_row *row);
/* A row of a pair: medians, and the median of the ratios. */
void measure_print_pair(const struct measure_row *row, struct measure_pair *pair);
/* Say that a figure could not be taken; measure_end() then fails. */
void measure_failed(const char *figure, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Say that what a figure is compared with is not here: that is no failure. */
void measure_skipped(const char *figure, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* For an error of ours in a call that must not fail: stops the program. */
void measure_check(const char *what, int error);

/* What the process has. -1 when it cannot be known. */
struct measure_process {
	int64_t resident; /* anonymous memory, bytes */
	int64_t heap;     /* bytes in use, of malloc */
	int64_t descriptors, threads;
};

struct measure_process measure_process(void);
/*
 * Call a function in a process of its own, which nothing that ran before has left its traces in;
 * false when it did not end well. result is written there, size bytes, and given back here.
 */
bool measure_apart(
	bool (*function)(void *self, void *result), void *self, void *result, size_t size);

#endif
