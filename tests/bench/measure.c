#include "tests/bench/measure.h"

#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <taskmgr/error.h>

#include <dirent.h>

/* Columns of the table: the figure's name is cut, the others are as wide as what they hold. */
#define LINE "%-52s | %11s | %-37s | %6s | %-18s | %s\n"

static bool failed;

int64_t measure_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void measure_sleep_until(int64_t at)
{
	struct timespec until = { (time_t)(at / 1000000000), (long)(at % 1000000000) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

void measure_add(struct measure_samples *samples, double value)
{
	if (samples->count == samples->room) {
		samples->room = samples->room ? samples->room * 2 : 64;
		samples->values = realloc(samples->values, samples->room * sizeof(double));
		if (!samples->values)
			abort();
	}
	samples->values[samples->count++] = value;
	samples->sorted = false;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

double measure_quantile(struct measure_samples *samples, double fraction)
{
	if (samples->count == 0)
		return NAN;
	if (!samples->sorted)
		qsort(samples->values, samples->count, sizeof(double), compare);
	samples->sorted = true;
	return samples->values[(size_t)(fraction * (double)(samples->count - 1) + 0.5)];
}

double measure_median(struct measure_samples *samples)
{
	return measure_quantile(samples, 0.5);
}

void measure_clear(struct measure_samples *samples)
{
	free(samples->values);
	*samples = (struct measure_samples){ 0 };
}

bool measure_run_pair(struct measure_pair *pair, size_t warm, size_t rounds)
{
	for (size_t i = 0; i < warm + rounds; i++) {
		/* Who comes first finds what the last one left behind. */
		bool first = i % 2 == 0;
		double ours = first ? pair->run_ours(pair->self) : 0;
		double other = pair->run_other(pair->self);

		if (!first)
			ours = pair->run_ours(pair->self);
		if (ours < 0 || other < 0)
			return false;
		if (i < warm)
			continue;
		measure_add(&pair->ours, ours);
		measure_add(&pair->other, other);
		measure_add(&pair->ratios, ours / other);
	}
	return true;
}

void measure_clear_pair(struct measure_pair *pair)
{
	measure_clear(&pair->ours);
	measure_clear(&pair->other);
	measure_clear(&pair->ratios);
}

static void print_number(char *text, size_t size, double value, enum measure_unit unit)
{
	double positive = fabs(value);

	switch (unit) {
	case MEASURE_NANOSECONDS:
		if (positive < 1e3)
			snprintf(text, size, "%.1f ns", value);
		else if (positive < 1e6)
			snprintf(text, size, "%.2f us", value / 1e3);
		else if (positive < 1e9)
			snprintf(text, size, "%.2f ms", value / 1e6);
		else
			snprintf(text, size, "%.2f s", value / 1e9);
		break;
	case MEASURE_PER_SECOND:
		if (positive < 1e6)
			snprintf(text, size, "%.1f k/s", value / 1e3);
		else
			snprintf(text, size, "%.2f M/s", value / 1e6);
		break;
	case MEASURE_BYTES:
		if (positive < 1e5)
			snprintf(text, size, "%.0f B", value);
		else
			snprintf(text, size, "%.0f KiB", value / 1024);
		break;
	case MEASURE_COUNT:
		snprintf(text, size, "%.0f", value);
		break;
	}
}

static bool is_met(const struct measure_row *row, double ratio)
{
	switch (row->kind) {
	case MEASURE_AT_MOST:
		return row->ours <= row->goal;
	case MEASURE_AT_LEAST:
		return row->ours >= row->goal;
	case MEASURE_RATIO_AT_MOST:
		return ratio <= row->goal;
	case MEASURE_EXCESS_AT_MOST:
		return row->ours - row->other <= row->goal;
	case MEASURE_NO_GOAL:
		break;
	}
	return true;
}

static void print_goal(const struct measure_row *row, char *text, size_t size)
{
	char number[24];

	print_number(number, sizeof(number), row->goal, row->unit);
	switch (row->kind) {
	case MEASURE_AT_MOST:
		snprintf(text, size, "at most %s", number);
		break;
	case MEASURE_AT_LEAST:
		snprintf(text, size, "at least %s", number);
		break;
	case MEASURE_RATIO_AT_MOST:
		snprintf(text, size, "at most %.2f x", row->goal);
		break;
	case MEASURE_EXCESS_AT_MOST:
		snprintf(text, size, "at most + %s", number);
		break;
	case MEASURE_NO_GOAL:
		snprintf(text, size, "-");
		break;
	}
}

void measure_print(const struct measure_row *row)
{
	char ours[24], number[24], other[80] = "-", ratio_text[16] = "-", goal[40];
	double ratio = row->ratio;

	if (ratio == 0 && row->other_name && row->other != 0)
		ratio = row->ours / row->other;
	print_number(ours, sizeof(ours), row->ours, row->unit);
	if (row->other_name) {
		print_number(number, sizeof(number), row->other, row->unit);
		snprintf(other, sizeof(other), "%s: %s", row->other_name, number);
		if (ratio != 0)
			snprintf(ratio_text, sizeof(ratio_text), "%.2f", ratio);
	}
	print_goal(row, goal, sizeof(goal));
	printf(LINE, row->figure, ours, other, ratio_text, goal,
		row->kind == MEASURE_NO_GOAL ? "-"
		: is_met(row, ratio)         ? "yes"
					     : "NO");
	fflush(stdout);
}

void measure_print_pair(const struct measure_row *row, struct measure_pair *pair)
{
	struct measure_row full = *row;

	full.ours = measure_median(&pair->ours);
	full.other = measure_median(&pair->other);
	full.ratio = measure_median(&pair->ratios);
	measure_print(&full);
}

void measure_begin(void)
{
	const char *head = getenv("BENCH_HEAD");
	char rule[160];

	if (head && strcmp(head, "0") == 0)
		return;
	memset(rule, '-', sizeof(rule) - 1);
	rule[sizeof(rule) - 1] = '\0';
	printf(LINE "%s\n", "figure", "ours", "compared with", "ratio", "goal", "met", rule);
}

int measure_end(void)
{
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void __attribute__((format(printf, 2, 0)))
print_why_not(const char *figure, const char *format, va_list arguments)
{
	printf("%-52s | not measured: ", figure);
	vprintf(format, arguments);
	putchar('\n');
	fflush(stdout);
}

void measure_failed(const char *figure, const char *format, ...)
{
	va_list arguments;

	failed = true;
	va_start(arguments, format);
	print_why_not(figure, format, arguments);
	va_end(arguments);
}

void measure_skipped(const char *figure, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_why_not(figure, format, arguments);
	va_end(arguments);
}

void measure_check(const char *what, int error)
{
	if (error >= 0)
		return;
	fflush(stdout);
	fprintf(stderr, "%s: %s\n", what, tmgr_strerror(error));
	exit(EXIT_FAILURE);
}

static int64_t read_field(const char *path, const char *field)
{
	FILE *file = fopen(path, "re");
	size_t length = strlen(field);
	int64_t value = -1;
	char line[256];

	if (!file)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, field, length) == 0)
			value = strtoll(line + length, NULL, 10);
	fclose(file);
	return value;
}

static int64_t count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int64_t count = 0;

	if (!directory)
		return -1;
	while (readdir(directory))
		count++;
	closedir(directory);
	/* Neither . and .. nor the directory itself. */
	return count - 3;
}

struct measure_process measure_process(void)
{
	struct measure_process process;
	/* Without pages of programs and libraries: looking itself touches some of those. */
	int64_t kib = read_field("/proc/self/smaps_rollup", "Anonymous:");

	process.resident = kib < 0 ? -1 : kib * 1024;
	process.threads = read_field("/proc/self/status", "Threads:");
	process.descriptors = count_descriptors();
	process.heap = (int64_t)mallinfo2().uordblks + (int64_t)mallinfo2().hblkhd;
	return process;
}

bool measure_apart(
	bool (*function)(void *self, void *result), void *self, void *result, size_t size)
{
	int ends[2], status;
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	if (pipe(ends) < 0)
		return false;
	pid = fork();
	if (pid < 0) {
		close(ends[0]);
		close(ends[1]);
		return false;
	}
	if (pid == 0) {
		close(ends[0]);
		if (!function(self, result) || write(ends[1], result, size) != (ssize_t)size)
			_exit(EXIT_FAILURE);
		_exit(EXIT_SUCCESS);
	}
	close(ends[1]);
	while (got < size && (n = read(ends[0], (char *)result + got, size - got)) > 0)
		got += (size_t)n;
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return got == size && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}
