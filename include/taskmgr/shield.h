/**
 * @file
 * Shields: a future that mirrors another one, and keeps a cancel from it.
 *
 * Who awaits a future and is cancelled cancels it, for nobody else may want it. Where somebody does,
 * await a shield of it: cancelling that leaves the other alone.
 *
 *     tmgr_shield_init(&shield, future);
 *     r = tmgr_await(context, &shield.future, TMGR_NEVER, &value);
 *     tmgr_shield_fini(&shield);
 */
#ifndef TMGR_SHIELD_H
#define TMGR_SHIELD_H

#include <taskmgr/future.h>

/** How deep shields of shields go. */
#define TMGR_SHIELD_DEPTH_MAX 16

/** Memory of a shield. */
struct tmgr_shield {
	struct tmgr_future
		future; /**< what to await, cancel or shield; the rest is the library's */
	struct tmgr_future *of;
	struct tmgr_future_node node;
	unsigned depth;
};

TMGR_BEGIN_DECLS

/**
 * Mirror a future: the shield's future is done when that one is, with its error and value, unless it
 * was cancelled before. The shield of a done future is done.
 *
 * @param shield  written; stays in place until tmgr_shield_fini()
 * @param future  borrowed until tmgr_shield_fini(); may be a shield's
 *
 * @retval 0        made
 * @retval -ELOOP   it would be a shield of a shield, TMGR_SHIELD_DEPTH_MAX deep
 * @retval -EINVAL  shield or future is NULL
 *
 * @thread any thread
 * @source asyncio, shield
 */
TMGR_API int tmgr_shield_init(struct tmgr_shield *shield, struct tmgr_future *future);

/**
 * End a shield, whether the future is done or not; nothing happens to that one. Nobody may be
 * waiting for the shield (else the program is stopped, with a message). The memory is the caller's
 * again.
 *
 * @param shield  one that was made; NULL does nothing
 *
 * @thread one thread at a time
 */
TMGR_API void tmgr_shield_fini(struct tmgr_shield *shield);

TMGR_END_DECLS

#endif
