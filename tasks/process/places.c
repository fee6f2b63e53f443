#include "tasks/process/places.h"

#include <errno.h>
#include <stdlib.h>

void tmgr__places_add(struct tmgr__places *places, uint64_t order, void *item)
{
	if (places->count == places->max) {
		size_t max = places->max > 0 ? 2 * places->max : 256;
		struct tmgr__place *more = reallocarray(places->places, max, sizeof(*more));

		if (more == NULL) {
			places->error = -ENOMEM;
			return;
		}
		places->places = more;
		places->max = max;
	}
	places->places[places->count++] = (struct tmgr__place){ order, item };
}

static int compare(const void *a, const void *b)
{
	const struct tmgr__place *first = a, *second = b;

	return first->order < second->order ? -1 : first->order > second->order;
}

void tmgr__places_sort(struct tmgr__places *places)
{
	if (places->count > 1)
		qsort(places->places, places->count, sizeof(*places->places), compare);
}
