#include "wait_list.h"

static void append(struct tmgr_wait_list *list, struct tmgr__waiting *node)
{
	node->next = NULL;
	node->previous = list->last;
	if (list->last)
		list->last->next = node;
	else
		list->first = node;
	list->last = node;
	node->listed = true;
}

static void take_out(struct tmgr_wait_list *list, struct tmgr__waiting *node)
{
	if (node->previous)
		node->previous->next = node->next;
	else
		list->first = node->next;
	if (node->next)
		node->next->previous = node->previous;
	else
		list->last = node->previous;
	node->next = node->previous = NULL;
	node->listed = false;
}

int tmgr__wait_list_wait(struct tmgr_wait_list *list, struct tmgr__lock *lock,
	struct tmgr__wait *wait, void *item, const char *what)
{
	struct tmgr__waiting node = { .waiter = wait->waiter, .item = item };
	int r;

	if (wait->limit <= 0) {
		tmgr__lock_release(lock);
		return tmgr__wait_late(wait);
	}
	append(list, &node);
	tmgr__wait_arm(wait);
	tmgr__lock_release(lock);
	r = tmgr__wait_park(wait, what);
	if (r == 0)
		return node.result;
	tmgr__lock_acquire(lock);
	if (node.listed)
		take_out(list, &node);
	tmgr__lock_release(lock);
	return r;
}

struct tmgr__waiting *tmgr__wait_list_claim(struct tmgr_wait_list *list, int result)
{
	struct tmgr__waiting *node;

	while ((node = list->first)) {
		take_out(list, node);
		if (tmgr__waiter_claim(node->waiter)) {
			node->result = result;
			return node;
		}
	}
	return NULL;
}

struct tmgr__waiting *tmgr__wait_list_claim_all(struct tmgr_wait_list *list, int result)
{
	struct tmgr__waiting *first = NULL, **last = &first, *node;

	while ((node = tmgr__wait_list_claim(list, result))) {
		*last = node;
		last = &node->next;
	}
	return first;
}

void tmgr__waiting_wake(struct tmgr__waiting *node)
{
	while (node) {
		struct tmgr__waiting *next = node->next;
		struct tmgr_waiter *waiter = node->waiter;

		tmgr__waiter_complete(waiter)->wake(waiter);
		node = next;
	}
}
