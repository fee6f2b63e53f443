#include "reload.h"

#include <taskmgr/signal.h>

void tmgr__reload_init(struct tmgr__reload *reload)
{
	*reload = (struct tmgr__reload){ .requests = 0 };
	tmgr__list_init(&reload->waiters);
}

bool tmgr__reload_request(struct tmgr__reload *reload)
{
	struct tmgr__wait_node *first = NULL, **last = &first;
	struct tmgr__list *link;
	bool wanted;

	tmgr__lock_acquire(&reload->lock);
	wanted = reload->wanted;
	reload->requests++;
	while ((link = tmgr__list_pop(&reload->waiters))) {
		struct tmgr__wait_node *node = container_of(link, struct tmgr__wait_node, link);

		if (tmgr__wait_node_claim(node, 0)) {
			*last = node;
			last = &node->next;
		}
	}
	*last = NULL;
	tmgr__lock_release(&reload->lock);
	tmgr__wait_nodes_wake(first);
	return wanted;
}

bool tmgr__reload_take(struct tmgr__reload *reload, uint64_t *seen)
{
	bool requested = *seen != reload->requests;

	reload->wanted = true;
	*seen = reload->requests;
	return requested;
}

bool tmgr_reload_requested(struct tmgr_context *context)
{
	struct tmgr__reload *reload;
	uint64_t *seen;
	bool requested;

	reload = context ? tmgr__context_reload(context, &seen) : NULL;
	if (!reload)
		return false;
	tmgr__lock_acquire(&reload->lock);
	requested = tmgr__reload_take(reload, seen);
	tmgr__lock_release(&reload->lock);
	return requested;
}
