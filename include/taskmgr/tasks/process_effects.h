/**
 * @file
 * What a method of a durable process does outside of it.
 *
 * A method may be called more than once for one step. What it does outside of the process (a request, a
 * file) then happens more than once, at least once; tmgr_process_key() gives the receiver the means to
 * notice, tmgr_process_once() makes it rare, and rows written with tmgr_process_sql() are written
 * exactly once.
 */
#ifndef TMGR_TASKS_PROCESS_EFFECTS_H
#define TMGR_TASKS_PROCESS_EFFECTS_H

#include <taskmgr/tasks/process_types.h>

struct tmgr_process;

TMGR_BEGIN_DECLS

/**
 * A key for an effect outside: the same whenever this step is called, another in any other step. The
 * n-th call of a step gives the n-th key.
 *
 * @param process  the step
 * @param ret_key  written, TMGR_PROCESS_KEY_MAX + 1 bytes
 *
 * @retval 0        written
 * @retval -EINVAL  an argument is NULL
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_key(struct tmgr_process *process, char *ret_key);

/**
 * Do something outside, and keep what it gave before this returns: when the method is called again for
 * this step, that is returned and nothing is done. A kill between the effect and the keeping repeats
 * it, with the same key, and so does an effect that ends after the method's deadline: outside it happens
 * at least once.
 *
 * @param process  the step
 * @param name     1 to TMGR_PROCESS_KEY_MAX bytes; of each effect in the step another
 * @param effect   does it, and writes its result, copied when it returns; 0, or an error, which is
 *                 returned and not kept. key is the effect's: the same whenever it is repeated
 * @param self     for effect
 * @param ret      written: the result, borrowed until the method returns; may be NULL
 *
 * @return what effect returned, or
 * @retval 0           done, now or before
 * @retval -EINVAL     process, name or effect is NULL, or the name is none
 * @retval -EMSGSIZE   the result is longer than TMGR_PROCESS_VALUE_MAX
 * @retval -ETIMEDOUT  the method is past its deadline: nothing it does counts any more
 * @retval -ESHUTDOWN  the runtime has ended
 * @retval -EIO        the store has ended
 * @retval -ENOSPC     in a single-threaded runtime: the store is full. In others it waits for room, until
 *                     the method's deadline
 * @retval -ENOMEM     out of memory
 *
 * @thread the method's; may block
 */
TMGR_API int tmgr_process_once(struct tmgr_process *process, const char *name,
	int (*effect)(void *self, const char *key, struct tmgr_bytes *ret), void *self,
	struct tmgr_bytes *ret);

/**
 * Write rows of the user's own in the transaction of the step: exactly once.
 *
 * A statement that fails fails the step, as if the method had returned its error; so do statements
 * that run for longer than the store allows, with -ETIMEDOUT. It may not begin or end a transaction,
 * change the store's own tables, set a pragma, open another file, or make something temporary: -EINVAL.
 *
 * @param process    the step
 * @param statement  copied with its values; executed in the order declared
 *
 * @retval 0         declared
 * @retval -ENOTSUP  the store has no SQL
 * @retval -EINVAL   an argument is NULL, or a value is of no kind
 * @retval -ENOMEM   out of memory
 *
 * @thread the method's
 */
TMGR_API int tmgr_process_sql(
	struct tmgr_process *process, const struct tmgr_sql_statement *statement);

TMGR_END_DECLS

#endif
