/*
 * Timers of a loop: a pairing heap, in which arming costs a comparison, and taking one back that
 * never came due little more.
 */
#include "internal.h"

void tmgr__timer_set(struct tmgr_loop *loop, struct tmgr__timer *timer, int64_t at)
{
	/* What is set by what is due is for the next turn, even if its moment has passed. */
	tmgr__heap_insert(&loop->timers, &timer->node, at > loop->due_to ? at : loop->due_to + 1);
}

void tmgr__timer_remove(struct tmgr_loop *loop, struct tmgr__timer *timer)
{
	tmgr__heap_remove(&loop->timers, &timer->node);
}

void tmgr__timers_due(struct tmgr_loop *loop, int64_t now)
{
	struct tmgr__heap_node *node;

	loop->due_to = now;
	while ((node = tmgr__heap_first(&loop->timers)) && node->key <= now) {
		struct tmgr__timer *timer = container_of(node, struct tmgr__timer, node);

		tmgr__heap_remove(&loop->timers, node);
		timer->due(timer, now);
	}
	loop->due_to = INT64_MIN;
}
