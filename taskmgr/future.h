/*
 * Futures from inside.
 */
#ifndef TMGR__FUTURE_H
#define TMGR__FUTURE_H

#include <taskmgr/future.h>

/* As tmgr_future_wait(), but cancel does not end it; `what` is for snapshots. */
int tmgr__future_wait_shielded(struct tmgr_context *context, struct tmgr_future *future,
	int64_t deadline, const char *what);

#endif
