/* The status line, once a second, and the last words. */
#include "pipeline.h"

#include <stdio.h>

#include <taskmgr/tasks/interval.h>

#include "internal/examples/pkg/statusline/statusline.h"

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

static int print_status(void *self, struct tmgr_context *context)
{
	static struct statusline_rate rate; /* runs of an interval never overlap */
	struct pipeline *pipeline = self;
	struct counts *counts = &pipeline->counts;
	long long lines = atomic_load(&counts->lines);
	char bytes[32], behind[32];

	statusline_print("%lld files, %lld lines (%.0f/s), %s in %lld batches, %s behind",
		atomic_load(&counts->files), lines, statusline_rate(&rate, (double)lines),
		size_text(atomic_load(&counts->bytes), bytes, sizeof(bytes)),
		atomic_load(&counts->batches),
		size_text(atomic_load(&counts->behind), behind, sizeof(behind)));
	return 0;
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
	long long left = atomic_load(&counts->left);

	printf("shipped %lld lines of %lld files to %s: %lld bytes in %lld batches, %.2f s\n",
		atomic_load(&counts->lines), atomic_load(&counts->files),
		pipeline->options->database, atomic_load(&counts->bytes),
		atomic_load(&counts->batches),
		(double)(pipeline->ended_ns - pipeline->begun_ns) / TMGR_SECOND);
	if (doubles > 0)
		printf("%lld lines were there already\n", doubles);
	if (failures > 0)
		printf("%lld times a batch could not be written and was tried again\n", failures);
	if (left > 0)
		printf("%lld bytes that were read are left in the logs\n", left);
}
