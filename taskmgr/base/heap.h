/*
 * A pairing heap whose nodes stand inside what they order: the earliest key first, no allocation.
 */
#ifndef TMGR__HEAP_H
#define TMGR__HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct tmgr__heap_node {
	struct tmgr__heap_node *child, *sibling, *previous; /* previous: left sibling, or parent */
	int64_t key;
	bool linked;
};

struct tmgr__heap {
	struct tmgr__heap_node *root;
};

/* The node with the least key, or NULL. */
static inline struct tmgr__heap_node *tmgr__heap_first(const struct tmgr__heap *heap)
{
	return heap->root;
}

/* `node` is in no heap. */
void tmgr__heap_insert(struct tmgr__heap *heap, struct tmgr__heap_node *node, int64_t key);
/* Does nothing for a node that is in no heap. */
void tmgr__heap_remove(struct tmgr__heap *heap, struct tmgr__heap_node *node);

#endif
