#include <errno.h>

#include <taskmgr/tasks/retry.h>

#include "tasks/schedule.h"
#include "tasks/wrapper.h"

struct retry {
	struct tmgr__wrapper wrapper;
	enum tmgr_retry_when when;
	struct tmgr__backoff backoff;
	struct tmgr__window window;
	int64_t times[]; /* of the window */
};

/* How far one execute of ours is. */
struct course {
	int64_t wait_ns; /* the last, without jitter */
	uint64_t random;
};

/* ret_ran_ns: how long it executed. */
static int attempt(struct retry *retry, struct tmgr_context *context, int64_t *ret_ran_ns)
{
	int r = tmgr__wrapper_set_up(&retry->wrapper, context);
	int64_t begun = tmgr_now();

	*ret_ran_ns = 0;
	if (r != 0)
		return r;
	r = tmgr_task_execute(retry->wrapper.task, context);
	*ret_ran_ns = tmgr_now() - begun;
	return r;
}

/* Whether an attempt that ended with r may be followed by another, which is then counted. */
static bool admit(struct retry *retry, struct tmgr_context *context, int r)
{
	if (tmgr_context_cancelled(context))
		return false;
	if (r == 0 && retry->when != TMGR_RETRY_ALWAYS)
		return false;
	if (tmgr__window_admit(&retry->window, tmgr_now()))
		return true;
	tmgr_log(context, TMGR_LEVEL_NOTICE, "not run again: %zu restarts within %lld ms",
		retry->window.limit, (long long)(retry->window.window_ns / TMGR_MILLISECOND));
	return false;
}

/* Clean up and wait for the next attempt, which is to be after one that ended with r. */
static int prepare(struct retry *retry, struct tmgr_context *context, int r, int64_t next)
{
	tmgr_context_note_restart(context, tmgr__result_error(r), next);
	tmgr__forget_text(context);
	r = tmgr__wrapper_take_down(&retry->wrapper, context);
	if (r != 0)
		tmgr__go_on(context, "cleanup", r);
	return tmgr_sleep_until(context, next);
}

static int retry_execute(void *self, struct tmgr_context *context)
{
	struct retry *retry = self;
	struct course course = { .random = tmgr__random_begin(context) };
	int r;

	retry->window.count = 0;
	retry->window.oldest = 0;
	do {
		int64_t ran_ns;

		r = attempt(retry, context, &ran_ns);
		if (!admit(retry, context, r))
			return r;
		course.wait_ns = tmgr__backoff_next(&retry->backoff, course.wait_ns, ran_ns);
		r = prepare(retry, context, r,
			tmgr__schedule_add(tmgr_now(), tmgr__backoff_jitter(&retry->backoff,
							       course.wait_ns, &course.random)));
	} while (r == 0);
	return r;
}

static const struct tmgr_task_ops retry_ops = {
	.kind = "retry",
	.initialize = tmgr__wrapper_initialize,
	.execute = retry_execute,
	.cleanup = tmgr__wrapper_cleanup,
	.destroy = tmgr__wrapper_destroy,
	.phases = tmgr__wrapper_phases,
	.runs = tmgr__wrapper_runs,
};

/* Put the defaults where a 0 stands. */
static void complete(struct tmgr_retry_options *options)
{
	if (options->backoff_ns == 0)
		options->backoff_ns = 100 * TMGR_MILLISECOND;
	if (options->backoff_max_ns == 0)
		options->backoff_max_ns = options->backoff_ns > 30 * TMGR_SECOND
						  ? options->backoff_ns
						  : 30 * TMGR_SECOND;
	if (options->backoff_factor == 0)
		options->backoff_factor = 2;
	if (options->jitter_percent == 0)
		options->jitter_percent = 20;
	if (options->reset_ns == 0)
		options->reset_ns = 10 * TMGR_SECOND;
	if (options->restarts_max == 0 && options->backoff_ns == TMGR_RETRY_NONE)
		options->restarts_max = 5;
	if (options->window_ns == 0)
		options->window_ns = 30 * TMGR_SECOND;
}

/* The rule that options break once they are complete, or NULL. */
static const struct tmgr_refusal *refuse(
	struct tmgr_task task, const struct tmgr_retry_options *options)
{
	static const struct tmgr_refusal bad_when = { -EINVAL, "retry is on error or always" };
	static const struct tmgr_refusal bad_backoff = { -EINVAL,
		"waits of a retry are above 0, the longest not below the first" };
	static const struct tmgr_refusal bad_factor = { -EINVAL,
		"the factor of a backoff is 1 to 100" };
	static const struct tmgr_refusal bad_jitter = { -EINVAL,
		"the jitter of a backoff is 1 to 100 percent" };
	static const struct tmgr_refusal bad_limit = { -EINVAL,
		"a limit of restarts is 1 to 1000, in a window above 0" };

	if ((unsigned)options->when > TMGR_RETRY_ALWAYS)
		return &bad_when;
	if (options->backoff_ns < TMGR_RETRY_NONE || options->reset_ns < 0 ||
		options->backoff_max_ns < options->backoff_ns || options->backoff_max_ns < 0)
		return &bad_backoff;
	if (options->backoff_factor < 1 || options->backoff_factor > 100)
		return &bad_factor;
	if (options->jitter_percent < TMGR_RETRY_NONE || options->jitter_percent > 100)
		return &bad_jitter;
	if (options->restarts_max < TMGR_RETRY_NONE || options->window_ns < 0 ||
		options->restarts_max > TMGR_RETRY_RESTARTS_MAX)
		return &bad_limit;
	return (tmgr_task_phases(task) & TMGR_EXECUTE) != 0 ? NULL : &tmgr__refusal_no_execute;
}

static int64_t none_is_zero(int64_t option)
{
	return option == TMGR_RETRY_NONE ? 0 : option;
}

struct tmgr_task tmgr_retry(struct tmgr_task task, const struct tmgr_retry_options *options)
{
	struct tmgr_retry_options given = { 0 };
	const struct tmgr_refusal *refusal;
	struct retry *retry;
	size_t limit;

	if (options != NULL)
		given = *options;
	complete(&given);
	refusal = refuse(task, &given);
	limit = refusal != NULL ? 0 : (size_t)none_is_zero(given.restarts_max);
	retry = tmgr__wrapper_create(
		sizeof(*retry) + limit * sizeof(retry->times[0]), &task, refusal);
	if (retry == NULL)
		return task;
	retry->when = given.when;
	retry->backoff = (struct tmgr__backoff){
		.first_ns = none_is_zero(given.backoff_ns),
		.max_ns = given.backoff_max_ns,
		.reset_ns = given.reset_ns,
		.factor = given.backoff_factor,
		.jitter_percent = (int)none_is_zero(given.jitter_percent),
	};
	retry->window = (struct tmgr__window){
		.window_ns = given.window_ns,
		.limit = limit,
		.times = retry->times,
	};
	return (struct tmgr_task){ &retry_ops, retry };
}
