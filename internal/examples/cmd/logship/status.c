/* The status line, once a second, and the last words. */
#include "pipeline.h"

#include <stdio.h>

#include <taskmgr/tasks/interval.h>

#define ERASE "\r\033[K"

static const char *size_text(long long bytes, char *text, size_t size)
{
	static const char *const units[] = { "B", "KB", "MB", "GB", "TB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		unit++;
	}
	snprintf(text, size, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return text;
}

/* It stays until the next one, or a line of the log, takes its place. */
static int print_status(void *self, struct tmgr_context *context)
{
	static long long last_lines; /* runs of an interval never overlap */
	static int64_t last_ns;
	struct pipeline *pipeline = self;
	struct counts *counts = &pipeline->counts;
	long long lines = atomic_load(&counts->lines);
	int64_t now = tmgr_now();
	double seconds = last_ns ? (double)(now - last_ns) / TMGR_SECOND : 1;
	char bytes[32], behind[32];

	fprintf(stderr, ERASE "%lld files, %lld lines (%.0f/s), %s in %lld batches, %s behind",
		atomic_load(&counts->files), lines,
		seconds > 0 ? (double)(lines - last_lines) / seconds : 0.0,
		size_text(atomic_load(&counts->bytes), bytes, sizeof(bytes)),
		atomic_load(&counts->batches),
		size_text(atomic_load(&counts->behind), behind, sizeof(behind)));
	last_lines = lines;
	last_ns = now;
	return 0;
}

void print_event(void *self, const struct tmgr_event *event)
{
	char line[512];

	if (event->kind == TMGR_EVENT_RUN_ENDED) { /* which the report tells */
		fputs(ERASE, stderr);
		return;
	}
	tmgr_event_format(event, line, sizeof(line));
	fprintf(stderr, ERASE "logship: %s\n", line);
}

struct tmgr_task status_task(struct pipeline *pipeline)
{
	return tmgr_interval(tmgr_task_function(print_status, pipeline), TMGR_SECOND, NULL);
}

void print_summary(const struct pipeline *pipeline)
{
	const struct counts *counts = &pipeline->counts;
	long long doubles = atomic_load(&counts->doubles);
	long long failures = atomic_load(&counts->failures);

	printf("shipped %lld lines of %lld files to %s: %lld bytes in %lld batches, %.2f s\n",
		atomic_load(&counts->lines), atomic_load(&counts->files),
		pipeline->options->database, atomic_load(&counts->bytes),
		atomic_load(&counts->batches),
		(double)(pipeline->ended_ns - pipeline->begun_ns) / TMGR_SECOND);
	if (doubles > 0)
		printf("%lld lines were there already\n", doubles);
	if (failures > 0)
		printf("%lld times a batch could not be written and was tried again\n", failures);
}
