#include "heap.h"

#include <stddef.h>

/* Fredman, Sedgewick, Sleator, Tarjan: The pairing heap (1986); two-pass variant. */

static struct tmgr__heap_node *meld(struct tmgr__heap_node *a, struct tmgr__heap_node *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->key < a->key) {
		struct tmgr__heap_node *swap = a;

		a = b;
		b = swap;
	}
	b->previous = a;
	b->sibling = a->child;
	if (a->child)
		a->child->previous = b;
	a->child = b;
	return a;
}

/*
 * Meld a list of siblings, pairwise from the left, then the pairs from the right; without
 * recursion.
 */
static struct tmgr__heap_node *meld_siblings(struct tmgr__heap_node *first)
{
	struct tmgr__heap_node *pairs = NULL, *result = NULL;

	while (first) {
		struct tmgr__heap_node *a = first, *b = a->sibling;

		first = b ? b->sibling : NULL;
		a->sibling = a->previous = NULL;
		if (b)
			b->sibling = b->previous = NULL;
		a = meld(a, b);
		a->sibling = pairs;
		pairs = a;
	}
	while (pairs) {
		struct tmgr__heap_node *next = pairs->sibling;

		pairs->sibling = NULL;
		result = meld(result, pairs);
		pairs = next;
	}
	return result;
}

void tmgr__heap_insert(struct tmgr__heap *heap, struct tmgr__heap_node *node, int64_t key)
{
	*node = (struct tmgr__heap_node){ .key = key, .linked = true };
	heap->root = meld(heap->root, node);
	heap->root->previous = heap->root->sibling = NULL;
}

void tmgr__heap_remove(struct tmgr__heap *heap, struct tmgr__heap_node *node)
{
	struct tmgr__heap_node *rest;

	if (!node->linked)
		return;
	rest = meld_siblings(node->child);
	if (heap->root == node) {
		heap->root = rest;
	} else {
		if (node->previous->child == node)
			node->previous->child = node->sibling;
		else
			node->previous->sibling = node->sibling;
		if (node->sibling)
			node->sibling->previous = node->previous;
		heap->root = meld(heap->root, rest);
	}
	if (heap->root)
		heap->root->previous = heap->root->sibling = NULL;
	*node = (struct tmgr__heap_node){ .linked = false };
}
