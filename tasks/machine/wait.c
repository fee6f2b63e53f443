/*
 * Waiting by futures, and by blocking a thread or parking a coroutine on one.
 */
#include <errno.h>

#include "internal.h"

static void complete(void *self, int result)
{
	tmgr_future_complete(self, result > 0 ? -ECANCELED : result, NULL);
}

int tmgr_machine_when_future(struct tmgr_machine *machine,
	const struct tmgr_machine_condition *condition, struct tmgr_machine_when *when,
	struct tmgr_future *future)
{
	if (!future)
		return -EINVAL;
	return tmgr_machine_when(machine, condition, when, complete, future);
}

void tmgr__blocked_end(void *self, int result)
{
	struct tmgr__blocked *blocked = self;

	blocked->result = result;
	tmgr_future_complete(&blocked->done, 0, NULL);
}

int tmgr_machine_wait(struct tmgr_context *context, struct tmgr_machine *machine,
	const struct tmgr_machine_condition *condition, int64_t deadline)
{
	struct tmgr__blocked blocked = { TMGR_FUTURE_INIT, 0 };
	struct tmgr_machine_when when;
	int r, result;

	if (!tmgr__condition_is_valid(machine, condition))
		return -EINVAL;
	r = tmgr_context_interrupted(context);
	if (r < 0)
		return r;
	tmgr__when_init(&when, machine, tmgr__blocked_end, &blocked);
	when.condition = *condition;
	if (tmgr__when_begin(machine, &when, &result) > 0)
		return result;
	r = tmgr__machine_inside(machine) ? -EDEADLK
					  : tmgr_future_wait(context, &blocked.done, deadline);
	if (r < 0 && tmgr_machine_when_cancel(&when) == 0)
		return r;
	/* The call that ended it may not have returned yet. */
	tmgr_machine_when_cancel(&when);
	return blocked.result;
}

/* The first of two ends it. */
struct either {
	struct tmgr_future done;
	struct tmgr_machine_when condition, error;
	bool ended; /* atomic */
	int result;
};

static void end_either(struct either *either, int result)
{
	if (__atomic_exchange_n(&either->ended, true, __ATOMIC_ACQ_REL))
		return;
	either->result = result;
	tmgr_future_complete(&either->done, 0, NULL);
}

static void end_by_condition(void *self, int result)
{
	end_either(self, result);
}

static void end_by_error(void *self, int result)
{
	end_either(self, result < 0 ? result : -EAGAIN);
}

int tmgr_machine_wait_or_error(struct tmgr_context *context, struct tmgr_machine *machine,
	const struct tmgr_machine_condition *condition, int64_t deadline)
{
	struct either either = { .done = TMGR_FUTURE_INIT, .result = 0 };
	uint64_t tick;
	int r;

	if (!tmgr__condition_is_valid(machine, condition))
		return -EINVAL;
	r = tmgr_context_interrupted(context);
	if (r < 0)
		return r;
	if (tmgr_machine_is(machine, tmgr_machine_exception(machine))) {
		r = tmgr_machine_wait(context, machine, condition, TMGR_NOW);
		return r == -ETIMEDOUT ? tmgr_machine_error(machine, NULL) : r;
	}
	/* Entered: at the next odd tick, the present one being even. */
	tick = tmgr_machine_tick(machine, tmgr_machine_exception(machine)) | 1;
	tmgr__when_register(machine, condition, &either.condition, end_by_condition, &either);
	tmgr__when_register(machine,
		&TMGR_WHEN_TIME(TMGR_STATES(tmgr_machine_exception(machine)), TMGR_TICKS(tick)),
		&either.error, end_by_error, &either);
	r = tmgr__machine_inside(machine) && !tmgr_future_done(&either.done)
		    ? -EDEADLK
		    : tmgr_future_wait(context, &either.done, deadline);
	tmgr_machine_when_cancel(&either.condition);
	tmgr_machine_when_cancel(&either.error);
	if (r < 0 && !tmgr_future_done(&either.done))
		return r;
	return either.result == -EAGAIN ? tmgr_machine_error(machine, NULL) : either.result;
}
