#include <errno.h>

#include <taskmgr/context.h>

#include "telemetry_recorder.h"

/* A recorder that cannot write goes on; the log says when that began and when it ended. */
static int write_and_tell(
	struct tmgr_machine_recorder *recorder, struct tmgr_context *context, int before)
{
	int r = tmgr_machine_recorder_write(recorder);

	if (r < 0 && before == 0)
		tmgr_log(context, TMGR_LEVEL_WARNING, "recording of %s: %s",
			recorder->source.names.name, tmgr_strerror(r));
	else if (r == 0 && before < 0)
		tmgr_log(context, TMGR_LEVEL_NOTICE, "recording of %s: it can be written again",
			recorder->source.names.name);
	return r;
}

static int execute(void *self, struct tmgr_context *context)
{
	struct tmgr_machine_recorder *recorder = self;
	int r = 0, written = 0;

	while (r != -ECANCELED) {
		r = tmgr_flag_wait(context, &recorder->half_full, tmgr_after(recorder->write_ns));
		tmgr_flag_clear(&recorder->half_full);
		written = write_and_tell(recorder, context, written);
	}
	return r;
}

static int cleanup(void *self, struct tmgr_context *context)
{
	struct tmgr_machine_recorder *recorder = self;
	struct tmgr_machine_recorder_stats stats;

	write_and_tell(recorder, context, 0);
	tmgr_machine_recorder_stats(recorder, &stats);
	if (stats.dropped > 0)
		tmgr_log(context, TMGR_LEVEL_WARNING,
			"recording of %s: %llu of %llu steps were dropped",
			recorder->source.names.name, (unsigned long long)stats.dropped,
			(unsigned long long)stats.steps);
	return 0;
}

static void destroy(void *self)
{
	tmgr_machine_recorder_destroy(self);
}

struct tmgr_task tmgr_machine_recorder_task(struct tmgr_machine_recorder *recorder)
{
	static const struct tmgr_task_ops ops = {
		.kind = "machine-recorder",
		.execute = execute,
		.cleanup = cleanup,
		.destroy = destroy,
	};
	static const struct tmgr_refusal refusal = { -EINVAL, "a recorder is missing" };

	if (!recorder)
		return tmgr_task_refused(&refusal);
	return (struct tmgr_task){ &ops, recorder };
}
