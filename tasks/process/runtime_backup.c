/*
 * Backups: one at a time, by a thread of their own, since a large one takes long and no commit waits
 * for it. What goes wrong with one is its asker's to hear, and ends nothing.
 */
#include <errno.h>

#include <taskmgr/context.h>

#include "tasks/process/runtime.h"

static bool is_cancelled(void *self)
{
	return self != NULL && tmgr_context_cancelled(self);
}

static int write_backup(
	struct tmgr_processes *processes, struct tmgr_context *context, const char *path)
{
	struct tmgr_store *store = processes->store;

	if (store->ops->backup == NULL)
		return -ENOTSUP;
	return store->ops->backup(store, path, is_cancelled, context);
}

/* Its thread. */
static int back_up(void *self, struct tmgr_context *context, void **ret_value)
{
	struct tmgr_processes *processes = self;
	int r = write_backup(processes, context, processes->backup->apply.name);

	tmgr__lock_acquire(&processes->lock);
	processes->backup_done = true;
	tmgr__lock_release(&processes->lock);
	tmgr_flag_set(&processes->work);
	return r;
}

/* Only a stop cancels it, which its thread may see before this one. */
static void answer(struct tmgr_processes *processes, int result)
{
	struct tmgr_process_request *request = processes->backup;

	processes->backup = NULL;
	tmgr__request_answer(request, result == -ECANCELED ? -ESHUTDOWN : result);
}

static bool is_done(struct tmgr_processes *processes)
{
	bool done;

	tmgr__lock_acquire(&processes->lock);
	done = processes->backup_done;
	tmgr__lock_release(&processes->lock);
	return done;
}

static void begin(struct tmgr_processes *processes, struct tmgr_context *context)
{
	int r;

	processes->backup_done = false;
	r = tmgr_call_in_thread(context, &processes->backup_call, back_up, processes);
	if (r != 0)
		answer(processes, r);
}

void tmgr__runtime_back_up(struct tmgr_processes *processes, struct tmgr_context *context)
{
	struct tmgr__list *link;

	if (processes->backup != NULL && is_done(processes))
		answer(processes,
			tmgr_thread_call_wait(context, &processes->backup_call, TMGR_NEVER, NULL));
	while (processes->backup == NULL &&
		(link = tmgr__list_pop(&processes->backups_asked)) != NULL) {
		processes->backup = container_of(link, struct tmgr_process_request, link);
		if (context != NULL)
			begin(processes, context);
		else
			answer(processes,
				write_backup(processes, NULL, processes->backup->apply.name));
	}
}

void tmgr__runtime_cancel_backup(struct tmgr_processes *processes)
{
	if (processes->backup != NULL)
		tmgr_future_cancel(&processes->backup_call.future, 0, "the runtime ends");
}

/* One that has not begun may wait for a thread: for the store's, where the pool has no other left. */
void tmgr__runtime_end_backup(struct tmgr_processes *processes, struct tmgr_context *context)
{
	int r;

	if (processes->backup == NULL)
		return;
	r = tmgr_thread_call_wait(context, &processes->backup_call, TMGR_NEVER, NULL);
	answer(processes, r);
}
