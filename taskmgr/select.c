/*
 * Select: one wait on several channels.
 *
 * All channels are locked, by ascending address and each once; the cases are tried in order; if
 * none fires a node is enrolled for each; all are unlocked. While it tries nobody can claim the
 * select, so a partner costs one compare-and-swap. Withdrawing goes channel by channel.
 */
#include "channel.h"

#include <errno.h>

#include "base/check.h"
#include "clock.h"
#include "context.h"

struct selecting {
	struct tmgr_context *context;
	struct tmgr_select_case *cases;
	size_t count;
	struct tmgr__lock *locks[TMGR_SELECT_MAX]; /* ascending, each once */
	size_t lock_count;
	struct tmgr__reload *reload; /* when a case asks for it */
	uint64_t *reload_seen;
	struct tmgr__wait_node *won; /* partners to wake */
	int64_t at;                  /* the earliest time case, or TMGR_NEVER */
	size_t at_index;
};

static bool is_valid(const struct tmgr_select_case *one, const struct tmgr_context *context)
{
	switch (one->op) {
	case TMGR_SELECT_SEND:
	case TMGR_SELECT_RECEIVE:
		return one->channel && (one->item || one->channel->item_size == 0);
	case TMGR_SELECT_AFTER:
	case TMGR_SELECT_DEFAULT:
		return true;
	case TMGR_SELECT_RELOAD:
		return context != NULL;
	default:
		return false;
	}
}

static void add_lock(struct selecting *select, struct tmgr__lock *lock)
{
	size_t i = select->lock_count;

	while (i > 0 && select->locks[i - 1] > lock)
		i--;
	if (i > 0 && select->locks[i - 1] == lock)
		return;
	for (size_t j = select->lock_count; j > i; j--)
		select->locks[j] = select->locks[j - 1];
	select->locks[i] = lock;
	select->lock_count++;
}

static int prepare(struct selecting *select)
{
	for (size_t i = 0; i < select->count; i++) {
		struct tmgr_select_case *one = &select->cases[i];

		if (!is_valid(one, select->context))
			return -EINVAL;
		if (one->op == TMGR_SELECT_SEND || one->op == TMGR_SELECT_RECEIVE) {
			add_lock(select, &one->channel->lock);
		} else if (one->op == TMGR_SELECT_AFTER && one->at < select->at) {
			select->at = one->at;
			select->at_index = i;
		} else if (one->op == TMGR_SELECT_RELOAD && !select->reload) {
			select->reload = tmgr__context_reload(
				select->context, &select->reload_seen);
			if (select->reload)
				add_lock(select, &select->reload->lock);
		}
	}
	return 0;
}

static void lock_all(struct selecting *select)
{
	for (size_t i = 0; i < select->lock_count; i++)
		tmgr__lock_acquire(select->locks[i]);
}

static void unlock_all(struct selecting *select)
{
	for (size_t i = select->lock_count; i > 0; i--)
		tmgr__lock_release(select->locks[i - 1]);
}

/* Whether a case can fire now, and if so fire it. Defaults do not count here. */
static bool try_case(struct selecting *select, struct tmgr_select_case *one, int64_t now)
{
	int result = 0;
	bool fired;

	switch (one->op) {
	case TMGR_SELECT_SEND:
		fired = tmgr__channel_try_send(one->channel, one->item, &result, &select->won);
		break;
	case TMGR_SELECT_RECEIVE:
		fired = tmgr__channel_try_receive(one->channel, one->item, &result, &select->won);
		break;
	case TMGR_SELECT_AFTER:
		fired = one->at <= now;
		break;
	case TMGR_SELECT_RELOAD:
		fired = select->reload && tmgr__reload_take(select->reload, select->reload_seen);
		break;
	default:
		fired = false;
		break;
	}
	if (fired)
		one->result = result;
	return fired;
}

/* Under all locks: the index of the case that fired, or -EAGAIN. */
static int try_all(struct selecting *select)
{
	int64_t now = select->at == TMGR_NEVER ? 0 : tmgr_now();

	for (size_t i = 0; i < select->count; i++)
		if (try_case(select, &select->cases[i], now))
			return (int)i;
	for (size_t i = 0; i < select->count; i++) {
		if (select->cases[i].op == TMGR_SELECT_DEFAULT) {
			select->cases[i].result = 0;
			return (int)i;
		}
	}
	return -EAGAIN;
}

static void enrol(struct selecting *select, struct tmgr__wait_node *node, size_t index,
	struct tmgr_waiter *waiter, struct tmgr__wait_node **winner)
{
	struct tmgr_select_case *one = &select->cases[index];

	tmgr__list_init(&node->link);
	node->waiter = waiter;
	node->item = one->item;
	node->index = index;
	node->winner = winner;
	if (one->op == TMGR_SELECT_SEND)
		tmgr__channel_enrol(one->channel, &one->channel->senders, node);
	else if (one->op == TMGR_SELECT_RECEIVE)
		tmgr__channel_enrol(one->channel, &one->channel->receivers, node);
	else if (one->op == TMGR_SELECT_RELOAD && select->reload)
		tmgr__list_append(&select->reload->waiters, &node->link);
}

/* Take back all nodes but the winner: that one was claimed, and with it its channel may be gone. */
static void withdraw(struct selecting *select, struct tmgr__wait_node *nodes,
	const struct tmgr__wait_node *winner)
{
	for (size_t i = 0; i < select->count; i++) {
		struct tmgr_select_case *one = &select->cases[i];

		if (&nodes[i] == winner)
			continue;
		if (one->op == TMGR_SELECT_SEND || one->op == TMGR_SELECT_RECEIVE) {
			tmgr__channel_withdraw(one->channel, &nodes[i]);
		} else if (one->op == TMGR_SELECT_RELOAD && select->reload) {
			tmgr__lock_acquire(&select->reload->lock);
			tmgr__list_remove(&nodes[i].link);
			tmgr__lock_release(&select->reload->lock);
		}
	}
}

/* Under all locks, which it gives back: wait for the first event. */
static int wait_for_event(struct selecting *select, struct tmgr__wait *wait, const char *what)
{
	/*
	 * Only as many as there are cases: most selects have few, and they stand on a task's stack.
	 */
	struct tmgr__wait_node *nodes = __builtin_alloca(
		select->count * sizeof(struct tmgr__wait_node));
	struct tmgr__wait_node *winner = NULL;
	bool timed = select->at < wait->limit;
	int64_t deadline = wait->deadline;
	int r;

	/* An earlier time case takes the place of the deadline. */
	if (timed)
		wait->deadline = wait->limit = select->at;
	for (size_t i = 0; i < select->count; i++)
		enrol(select, &nodes[i], i, wait->waiter, &winner);
	tmgr__wait_arm(wait);
	unlock_all(select);
	r = tmgr__wait_park(wait, what);
	withdraw(select, nodes, r == 0 ? winner : NULL);
	wait->deadline = deadline;
	if (r == -ETIMEDOUT && timed) {
		select->cases[select->at_index].result = 0;
		return (int)select->at_index;
	}
	if (r < 0)
		return r;
	check(winner != NULL);
	if (select->cases[winner->index].op == TMGR_SELECT_RELOAD) {
		tmgr__lock_acquire(&select->reload->lock);
		tmgr__reload_take(select->reload, select->reload_seen);
		tmgr__lock_release(&select->reload->lock);
	}
	select->cases[winner->index].result = winner->result;
	return (int)winner->index;
}

static int run_select(struct tmgr_context *context, struct tmgr_select_case *cases, size_t count,
	int64_t deadline, const char *what)
{
	struct selecting select;
	struct tmgr__wait wait;
	int r;

	select.context = context;
	select.cases = cases;
	select.count = count;
	select.lock_count = 0;
	select.reload = NULL;
	select.won = NULL;
	select.at = TMGR_NEVER;
	r = prepare(&select);
	if (r == 0)
		r = tmgr__wait_begin(&wait, context, deadline);
	if (r < 0)
		return r;
	lock_all(&select);
	/* Also where the case is not come to: its task looks for reloads. */
	if (select.reload)
		select.reload->wanted = true;
	r = try_all(&select);
	if (r == -EAGAIN && wait.limit > 0)
		return wait_for_event(&select, &wait, what);
	unlock_all(&select);
	tmgr__wait_nodes_wake(select.won);
	return r == -EAGAIN ? tmgr__wait_late(&wait) : r;
}

int tmgr_select(struct tmgr_context *context, struct tmgr_select_case *cases, size_t count,
	int64_t deadline)
{
	if (!cases || count == 0 || count > TMGR_SELECT_MAX)
		return -EINVAL;
	return run_select(context, cases, count, deadline, "select");
}
