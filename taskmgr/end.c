/*
 * The end of a task. The thread whose task ends classifies that end itself, under the manager's
 * lock; what needs no lock (the task's future, its destroy, its memory) is settled afterwards by
 * the same thread.
 *
 * A task that was called stuck meanwhile has no end any more: its late one is thrown away, and
 * nothing of it is touched.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "manager.h"

/* Let the signal through that ends blocking calls which are not ours, or no longer. */
static void allow_interrupt(const struct tmgr__record *record, int how)
{
	sigset_t mask;

	if (record->interrupt_signal == 0)
		return;
	sigemptyset(&mask);
	sigaddset(&mask, record->interrupt_signal);
	pthread_sigmask(how, &mask, NULL);
}

struct tmgr__end tmgr__record_execute(struct tmgr__record *record)
{
	struct tmgr_context *context = &record->context;
	struct tmgr__end end = { .result = 0 };

	tmgr__context_enter(context);
	allow_interrupt(record, SIG_UNBLOCK);
	end.result = tmgr_task_execute(record->task, context);
	/* Before any lock: whether it ended before or after is judged by when it returned. */
	end.after = tmgr_context_cancelled(context);
	allow_interrupt(record, SIG_BLOCK);
	if (record->on)
		record->on->ops->join(record->on, record->waiter.owner, end.result);
	tmgr__context_leave(context);
	return end;
}

struct tmgr__end tmgr__record_exited(struct tmgr__record *record)
{
	struct tmgr__end end = { .exited = true };

	end.after = tmgr_context_cancelled(&record->context);
	tmgr__context_leave(&record->context);
	return end;
}

static void fail_again(
	struct tmgr_manager *manager, struct tmgr_report_entry *entry, enum tmgr_report_kind kind)
{
	if (kind != TMGR_REPORT_STUCK || entry->kind == TMGR_REPORT_STUCK)
		return;
	entry->kind = TMGR_REPORT_STUCK;
	entry->error = -TMGR_ESTUCK;
	manager->report.errors--;
	manager->report.stuck++;
}

void tmgr__record_fail(struct tmgr__record *record, enum tmgr_report_kind kind,
	enum tmgr_stage stage, int error, int detail)
{
	struct tmgr_manager *manager = record->manager;
	bool cleanup = stage == TMGR_STAGE_CLEANUP && record->cleanup;
	struct tmgr_report_entry *entry = cleanup ? &record->cleanup->entry : &record->entry;
	enum tmgr_event_kind event = kind == TMGR_REPORT_STUCK ? TMGR_EVENT_STUCK
							       : TMGR_EVENT_FAILED;
	char text[TMGR_EVENT_TEXT_SIZE];
	struct tmgr__text built;

	record->last_error = error;
	if (!cleanup && record->failed) {
		/*
		 * It was late to be ready, and is in the report already; that it is stuck as well
		 * counts for more.
		 */
		fail_again(manager, entry, kind);
	} else {
		*entry = (struct tmgr_report_entry){
			.kind = kind,
			.stage = stage,
			.error = error,
			.detail = detail,
			.name = record->name,
			.text = cleanup ? record->cleanup->text : record->text,
		};
		/* A stuck task may be writing its text just now. */
		if (kind != TMGR_REPORT_ERROR && record->runs)
			entry->text = record->runs->left;
		else if (kind != TMGR_REPORT_ERROR && !record->came_back)
			entry->text = "";
		else if (record->late_ready)
			entry->text = "not ready in time";
		record->failed = record->failed || !cleanup;
		tmgr__manager_add_entry(manager, entry);
	}
	if (kind == TMGR_REPORT_NOT_CLEANED_UP)
		return;
	tmgr__text_init(&built, text, sizeof(text));
	tmgr__text_add(&built, tmgr_stage_name(stage));
	if (kind == TMGR_REPORT_STUCK)
		tmgr__text_add(&built, " did not end by its deadline");
	if (entry->text[0]) {
		tmgr__text_add(&built, ": ");
		tmgr__text_add(&built, entry->text);
	}
	if (detail)
		tmgr__text_format(&built, ": returned %d, above 0", detail);
	tmgr__manager_event(manager, event, record, error, text);
}

static void stop_for_failure(struct tmgr__record *record, int error)
{
	struct tmgr_cause cause = { .reason = TMGR_REASON_TASK_FAILED, .code = error };

	tmgr__text_copy(cause.text, sizeof(cause.text), record->name);
	tmgr__manager_begin_stop(record->manager, &cause);
}

static void leave_stop_group(struct tmgr__record *record, const struct tmgr__verdict *verdict)
{
	struct tmgr__stop_group *group = record->group;
	struct tmgr_cause cause = { .reason = TMGR_REASON_GROUP_DONE };

	if (!group)
		return;
	if (verdict->count_down)
		group->count.ended++;
	else if (verdict->leave)
		group->count.members--;
	if (!tmgr__policy_group_done(group->count))
		return;
	tmgr__text_copy(cause.text, sizeof(cause.text), group->name);
	tmgr__manager_begin_stop(record->manager, &cause);
}

void tmgr__record_leave_group(struct tmgr__record *record)
{
	const struct tmgr__verdict verdict = { .leave = true };

	leave_stop_group(record, &verdict);
}

/* Say what the error alone does not, where the task has said nothing. */
static void explain(struct tmgr__record *record, struct tmgr__end end, int error)
{
	if (record->text[0])
		return;
	if (end.exited)
		tmgr__text_copy(record->text, sizeof(record->text), "left by pthread_exit()");
	else if (error == -ECANCELED)
		tmgr__text_copy(record->text, sizeof(record->text),
			"returned -ECANCELED though it was not told to stop");
	else if (error == -TMGR_EUNEXPECTED)
		tmgr__text_copy(record->text, sizeof(record->text),
			"returned 0 before it was told to stop, with the policy STRICT");
}

/* It is no longer among those that run waits for. */
static void stop_executing(struct tmgr__record *record)
{
	struct tmgr_manager *manager = record->manager;

	check(record->executing);
	record->executing = false;
	manager->executing--;
	if (manager->executing == 0)
		tmgr__manager_look_quiet(manager);
	else if (manager->options.stop_order == TMGR_STOP_REVERSE && manager->stopping)
		manager->deferred |= TMGR__DEFER_WAKE_RUN;
}

/* An execute-task stays in the list only for its handle or its entry in the report. */
static void retire_execute(struct tmgr__record *record, int64_t now)
{
	struct tmgr_manager *manager = record->manager;

	tmgr__manager_set_state(manager, record, TMGR_STATE_DONE, now);
	if (record->handles) {
		/*
		 * Whoever releases the handle must not take the memory from under who settles it.
		 */
		tmgr__record_ref(record);
		record->settle_ref = true;
	}
	if (record->handles && !record->failed) {
		/* Snapshots show it for longer than its group's token is there. */
		if (record->task_group)
			record->context.parent_token = NULL;
		return;
	}
	tmgr__list_remove(&record->node);
	if (record->failed && record->task_group)
		tmgr__child_keep_failed(record);
	else if (record->failed)
		tmgr__list_append(&manager->failed, &record->node);
}

static int result_of(struct tmgr__end end, const struct tmgr__verdict *verdict)
{
	return end.exited || verdict->error == -TMGR_EUNEXPECTED ? -TMGR_EUNEXPECTED : end.result;
}

bool tmgr__record_end(struct tmgr__record *record, struct tmgr__end end, int64_t now)
{
	struct tmgr__verdict verdict;

	if (record->state == TMGR_STATE_STUCK)
		return false;
	/*
	 * A manager inside that left a task behind makes this one stuck, though its thread has come
	 * back.
	 */
	if (record->inner_stuck) {
		record->came_back = true;
		tmgr__record_mark_stuck(record, now);
		return true;
	}
	end.by_handle = record->by_handle;
	/* Its cleanup runs on the thread of the run. */
	record->waiter.ops = &tmgr__thread_waiter_ops;
	if (record->began)
		record->execute_ns = now - record->began;
	record->began = 0;
	tmgr__manager_set_state(record->manager, record, TMGR_STATE_ENDED, now);
	if (record->task_group) {
		record->result = end.exited ? -TMGR_EUNEXPECTED : end.result;
		tmgr__child_end(record, end);
	} else {
		tmgr__policy_judge(record->policy, end, &verdict);
		record->result = result_of(end, &verdict);
		if (verdict.error < 0)
			explain(record, end, verdict.error);
		if (verdict.error < 0)
			tmgr__record_fail(record, TMGR_REPORT_ERROR, TMGR_STAGE_EXECUTE,
				verdict.error, verdict.detail);
		if (verdict.stop_all)
			stop_for_failure(record, verdict.error);
		leave_stop_group(record, &verdict);
	}
	__atomic_store_n(&record->settled, record->long_running, __ATOMIC_RELEASE);
	stop_executing(record);
	if (!record->long_running)
		retire_execute(record, now);
	return true;
}

void tmgr__record_skip(struct tmgr__record *record, int64_t now)
{
	record->result = -ECANCELED;
	if (record->task_group)
		tmgr__child_end(record, (struct tmgr__end){ .result = -ECANCELED, .after = true });
	else
		tmgr__record_leave_group(record);
	stop_executing(record);
	if (!record->long_running)
		retire_execute(record, now);
}

bool tmgr__record_unsettled(const struct tmgr__record *record)
{
	/* Who waits by a handle that is released meanwhile refers to it. */
	return !record->long_running &&
	       (record->task.ops->destroy || record->handles || record->failed ||
		       record->task_group || record->inner || !tmgr__record_alone(record));
}

void tmgr__record_recycle(struct tmgr__record *record)
{
	struct tmgr_manager *manager = record->manager;
	bool kept = false;

	tmgr__waiter_fini(&record->waiter);
	if (tmgr__record_alone(record) && tmgr__token_detach(&record->token)) {
		tmgr__lock_acquire(&manager->spare_lock);
		kept = tmgr__manager_keep_spare(manager, record);
		tmgr__lock_release(&manager->spare_lock);
	}
	if (!kept)
		tmgr__record_unref(record);
}

/* Of one that failed the report tells what is in it. */
static void let_go_of_inner(struct tmgr__record *record)
{
	struct tmgr_manager *inner;

	if (!record->inner || record->failed)
		return;
	tmgr__manager_lock(record->manager);
	inner = record->inner;
	record->inner = NULL;
	tmgr__manager_unlock(record->manager);
	tmgr_manager_unref(inner);
}

void tmgr__record_settle(struct tmgr__record *record)
{
	struct tmgr_group *group = record->task_group;
	bool referenced, kept;

	tmgr__host_release(record);
	/* The run's thread may be at the flags of a long-running task already. */
	if (record->long_running) {
		tmgr_future_complete(&record->done, 0, NULL);
		return;
	}
	referenced = record->settle_ref;
	kept = record->failed || referenced;
	if (record->leaked) {
		tmgr_future_complete(&record->done, 0, NULL);
		return;
	}
	tmgr_task_destroy(record->task);
	record->task = (struct tmgr_task){ NULL, NULL };
	let_go_of_inner(record);
	tmgr_future_complete(&record->done, 0, NULL);
	/* A failed child is the group's from then on, and may be gone. */
	if (group)
		tmgr__child_settle(record, group);
	if (referenced)
		tmgr__record_unref(record);
	else if (!kept)
		tmgr__record_recycle(record);
}

static void mark_parents_stuck(struct tmgr__record *record, int64_t now)
{
	struct tmgr__record *parent = tmgr__child_parent(record), *runner = NULL;

	if (parent && parent->state == TMGR_STATE_RUNNING)
		tmgr__record_mark_stuck(parent, now);
	if (record->on)
		runner = __atomic_load_n(&record->on->runner, __ATOMIC_ACQUIRE);
	/* Another manager sees it by its own deadline. */
	if (runner && runner->manager == record->manager && runner->state == TMGR_STATE_RUNNING)
		tmgr__record_mark_stuck(runner, now);
}

/* But for telling whoever waits for it, which is done once the lock is given back. */
static void mark_stuck(struct tmgr__record *record, int64_t now)
{
	struct tmgr_manager *manager = record->manager;
	enum tmgr_stage stage = TMGR_STAGE_EXECUTE;

	if (record->state == TMGR_STATE_INITIALIZING)
		stage = TMGR_STAGE_INITIALIZE;
	else if (record->state == TMGR_STATE_CLEANING)
		stage = TMGR_STAGE_CLEANUP;
	record->result = -TMGR_ESTUCK;
	record->leaked = true;
	manager->stuck_executes += !record->long_running;
	if (record->runs)
		record->runs->ops->describe(
			record->runs, record->runs->left, sizeof(record->runs->left));
	/* Its threads may look at the manager for ever. */
	tmgr_manager_ref(manager);
	tmgr__record_ref(record);
	tmgr__manager_set_state(manager, record, TMGR_STATE_STUCK, now);
	tmgr__record_fail(record, TMGR_REPORT_STUCK, stage, -TMGR_ESTUCK, 0);
	if (!record->on && record->pool_thread)
		tmgr__pool_abandon(manager, record->pool_thread);
	if (record->executing)
		stop_executing(record);
	manager->deferred |= TMGR__DEFER_SETTLE;
	if (record->task_group)
		tmgr__child_give_up(record);
	mark_parents_stuck(record, now);
	stop_for_failure(record, -TMGR_ESTUCK);
}

void tmgr__record_mark_stuck(struct tmgr__record *record, int64_t now)
{
	tmgr__list_append(&record->manager->stuck, &record->queue);
	mark_stuck(record, now);
}

void tmgr__record_mark_unbegun(struct tmgr__record *record, int64_t now)
{
	record->next_stuck = record->manager->stuck_unbegun;
	record->manager->stuck_unbegun = record;
	mark_stuck(record, now);
}
