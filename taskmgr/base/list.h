/*
 * Doubly linked lists whose nodes stand inside what they link.
 *
 * A list is a node that links itself when it is empty; a node that is in no list does so too.
 */
#ifndef TMGR__LIST_H
#define TMGR__LIST_H

#include <stdbool.h>

#include "check.h"

struct tmgr__list {
	struct tmgr__list *next, *previous;
};

static inline void tmgr__list_init(struct tmgr__list *list)
{
	list->next = list->previous = list;
}

static inline bool tmgr__list_empty(const struct tmgr__list *list)
{
	return list->next == list;
}

static inline void tmgr__list_append(struct tmgr__list *list, struct tmgr__list *node)
{
	node->next = list;
	node->previous = list->previous;
	list->previous->next = node;
	list->previous = node;
}

static inline void tmgr__list_remove(struct tmgr__list *node)
{
	node->previous->next = node->next;
	node->next->previous = node->previous;
	tmgr__list_init(node);
}

static inline struct tmgr__list *tmgr__list_first(const struct tmgr__list *list)
{
	return list->next == list ? NULL : list->next;
}

static inline struct tmgr__list *tmgr__list_pop(struct tmgr__list *list)
{
	struct tmgr__list *node = tmgr__list_first(list);

	if (node)
		tmgr__list_remove(node);
	return node;
}

/* Append all of `from` to `list`; `from` is empty afterwards. */
static inline void tmgr__list_splice(struct tmgr__list *list, struct tmgr__list *from)
{
	if (tmgr__list_empty(from))
		return;
	from->next->previous = list->previous;
	list->previous->next = from->next;
	from->previous->next = list;
	list->previous = from->previous;
	tmgr__list_init(from);
}

#define tmgr__list_for(node, list) \
	for ((node) = (list)->next; (node) != (list); (node) = (node)->next)
#define tmgr__list_for_safe(node, following, list)                                \
	for ((node) = (list)->next, (following) = (node)->next; (node) != (list); \
		(node) = (following), (following) = (node)->next)
#define tmgr__list_for_reverse(node, list) \
	for ((node) = (list)->previous; (node) != (list); (node) = (node)->previous)

#endif
