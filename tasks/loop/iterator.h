/*
 * What combinators over one iterator have in common: they own it.
 */
#ifndef TMGR__LOOP_ITERATOR_H
#define TMGR__LOOP_ITERATOR_H

#include <taskmgr/tasks/iterator.h>

/* The self of one begins with this. */
struct tmgr__over {
	struct tmgr_iterator source;
};

/*
 * Memory of one, all zero but its source. NULL: it cannot be built, and *source, which has been
 * closed, is now what to return instead.
 */
void *tmgr__over_create(size_t size, struct tmgr_iterator *source, bool arguments_valid);
/* For ops: close the source, release the memory. */
void tmgr__over_close(void *self, struct tmgr_context *context);

/* Close what was given to somebody who fails. */
void tmgr__iterator_drop(struct tmgr_iterator iterator);
/* What a user's function returned that has only 0 for success, as 0 or a negative errno. */
static inline int tmgr__iterator_error(int result)
{
	return result > 0 ? -TMGR_EFAILED : result;
}

#endif
