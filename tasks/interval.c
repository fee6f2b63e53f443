#include <errno.h>

#include <taskmgr/tasks/interval.h>

#include "tasks/schedule.h"
#include "tasks/wrapper.h"

struct interval {
	struct tmgr__wrapper wrapper;
	int64_t period_ns;
	struct tmgr_interval_options options;
};

/* One run. Returns 0 to go on. */
static int run_once(struct interval *interval, struct tmgr_context *context)
{
	int r = tmgr_task_execute(interval->wrapper.task, context);

	if (r == 0 || !interval->options.keep_going || tmgr_context_cancelled(context))
		return r;
	tmgr__go_on(context, "a run", r);
	return 0;
}

static int interval_execute(void *self, struct tmgr_context *context)
{
	struct interval *interval = self;
	const struct tmgr_interval_options *options = &interval->options;
	uint64_t random = tmgr__random_begin(context);
	int64_t tick = tmgr_after(options->first_delay_ns);
	int r = 0;

	while (r == 0) {
		int64_t late = tmgr__random_below(&random, options->jitter_ns);

		/* Also the end of a task that never waits itself: after the stop no sleep succeeds.
		 */
		r = tmgr_sleep_until(context, tmgr__schedule_add(tick, late));
		if (r == 0)
			r = run_once(interval, context);
		tick = tmgr__schedule_tick(options->missed, interval->period_ns, tick, tmgr_now());
	}
	return r;
}

static const struct tmgr_task_ops interval_ops = {
	.kind = "interval",
	.initialize = tmgr__wrapper_initialize,
	.execute = interval_execute,
	.cleanup = tmgr__wrapper_cleanup,
	.destroy = tmgr__wrapper_destroy,
	.phases = tmgr__wrapper_phases,
};

static const struct tmgr_refusal *refuse(
	struct tmgr_task task, int64_t period_ns, const struct tmgr_interval_options *options)
{
	static const struct tmgr_refusal no_period = { -EINVAL, "a period is above 0" };
	static const struct tmgr_refusal bad_missed = { -EINVAL,
		"missed ticks are skipped, burst or delayed" };
	static const struct tmgr_refusal bad_delay = { -EINVAL, "a first delay is 0 or above" };
	static const struct tmgr_refusal bad_jitter = { -EINVAL,
		"jitter is between 0 and the period" };

	if (period_ns <= 0)
		return &no_period;
	if ((unsigned)options->missed > TMGR_INTERVAL_DELAY)
		return &bad_missed;
	if (options->first_delay_ns < 0)
		return &bad_delay;
	if (options->jitter_ns < 0 || options->jitter_ns > period_ns)
		return &bad_jitter;
	return (tmgr_task_phases(task) & TMGR_EXECUTE) != 0 ? NULL : &tmgr__refusal_no_execute;
}

struct tmgr_task tmgr_interval(
	struct tmgr_task task, int64_t period_ns, const struct tmgr_interval_options *options)
{
	static const struct tmgr_interval_options defaults;
	struct interval *interval;

	if (options == NULL)
		options = &defaults;
	interval = tmgr__wrapper_create(sizeof(*interval), &task, refuse(task, period_ns, options));
	if (interval == NULL)
		return task;
	interval->period_ns = period_ns;
	interval->options = *options;
	return (struct tmgr_task){ &interval_ops, interval };
}
