/*
 * Things of one kind, gathered to be put in order. Each has its order beside it: looking into the things
 * for every comparison takes long.
 */
#ifndef TMGR__PROCESS_PLACES_H
#define TMGR__PROCESS_PLACES_H

#include <stddef.h>
#include <stdint.h>

struct tmgr__place {
	uint64_t order;
	void *item;
};

/* Begins as all zero; places is released with free(). */
struct tmgr__places {
	struct tmgr__place *places;
	size_t count, max;
	int error; /* 0, or -ENOMEM: something is missing */
};

void tmgr__places_add(struct tmgr__places *places, uint64_t order, void *item);
void tmgr__places_sort(struct tmgr__places *places);

#endif
