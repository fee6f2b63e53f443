#include <errno.h>
#include <stdlib.h>

#include <taskmgr/tasks/signals.h>

#include "tasks/signal_rule.h"

struct signals {
	struct tmgr_channel *channel;
	size_t count;
	struct {
		int signo;
		struct tmgr_signal_watch *watch;
	} watched[];
};

/* Returns how many are watched; fewer than all with *ret_error. */
static size_t watch_all(struct signals *signals, struct tmgr_context *context, int *ret_error)
{
	for (size_t i = 0; i < signals->count; i++) {
		int signo = signals->watched[i].signo;
		int r = tmgr_signal_watch_create(
			context, signo, signals->channel, &signals->watched[i].watch);

		if (r != 0) {
			*ret_error = tmgr_fail(context, r, "watching signal %d", signo);
			return i;
		}
	}
	return signals->count;
}

static int signals_execute(void *self, struct tmgr_context *context)
{
	struct signals *signals = self;
	int r = 0;
	size_t watched = watch_all(signals, context, &r);

	if (r == 0) {
		tmgr_ready(context);
		r = tmgr_sleep_until(context, TMGR_NEVER);
	}
	while (watched > 0)
		tmgr_signal_watch_destroy(signals->watched[--watched].watch);
	return r;
}

static void signals_destroy(void *self)
{
	struct signals *signals = self;

	tmgr_channel_unref(signals->channel);
	free(signals);
}

static const struct tmgr_task_ops signals_ops = {
	.kind = "signals",
	.execute = signals_execute,
	.destroy = signals_destroy,
};

static const struct tmgr_refusal *refuse(
	const struct tmgr_channel *channel, const int *signals, size_t count)
{
	static const struct tmgr_refusal no_channel = { -EINVAL, "signals are sent on a channel" };
	static const struct tmgr_refusal no_ints = { -EINVAL,
		"the channel's items are of an int's size" };
	static const struct tmgr_refusal bad_count = { -EINVAL,
		"there are 1 to 64 signals to watch" };
	static const struct tmgr_refusal bad_signal = { -EINVAL, "this signal cannot be watched" };
	static const struct tmgr_refusal twice = { -EINVAL, "each signal is watched once" };

	if (channel == NULL)
		return &no_channel;
	if (tmgr_channel_item_size(channel) != sizeof(int))
		return &no_ints;
	if (signals == NULL || count < 1 || count > TMGR_SIGNALS_MAX)
		return &bad_count;
	for (size_t i = 0; i < count; i++) {
		if (!tmgr__signal_can_be_watched(signals[i]))
			return &bad_signal;
		for (size_t j = 0; j < i; j++)
			if (signals[j] == signals[i])
				return &twice;
	}
	return NULL;
}

struct tmgr_task tmgr_signals(struct tmgr_channel *channel, const int *signals, size_t count)
{
	const struct tmgr_refusal *refusal = refuse(channel, signals, count);
	struct signals *self;

	if (refusal != NULL)
		return tmgr_task_refused(refusal);
	self = calloc(1, sizeof(*self) + count * sizeof(self->watched[0]));
	if (self == NULL)
		return tmgr_task_failed(-ENOMEM);
	self->channel = tmgr_channel_ref(channel);
	self->count = count;
	for (size_t i = 0; i < count; i++)
		self->watched[i].signo = signals[i];
	return (struct tmgr_task){ &signals_ops, self };
}
