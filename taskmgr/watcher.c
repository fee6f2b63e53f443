/*
 * The watcher: one thread for each run. It takes signals, fires tokens whose time has come, watches
 * deadlines and ticks the pool; it runs no code of the user's but token callbacks.
 *
 * It sleeps on watch_word, which signal handlers may write too. Each time it wakes it does all it
 * has to; what it looks for by time is: the earliest token (timers), the earliest deadline of a
 * record (check_at), the pool's tick.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/text.h"
#include "run.h"

/* How often a thread that is to be interrupted is sent its signal. */
#define INTERRUPT_NS (10 * TMGR_MILLISECOND)
/* An initialize or cleanup that has not ended this long after its deadline hangs. */
#define HANG_NS (50 * TMGR_MILLISECOND)
/* What a task has that is told to stop only when the time of all is up, or nearly. */
#define LATE_NS (40 * TMGR_MILLISECOND)
/* How often a manager that stops looks whether the one around it stops, too. */
#define OUTER_NS (50 * TMGR_MILLISECOND)

void tmgr__watcher_wake(struct tmgr_manager *manager)
{
	__atomic_fetch_add(&manager->watch_word, 1, __ATOMIC_RELEASE);
	tmgr__futex_wake(&manager->watch_word, 1);
}

void tmgr__watcher_take_cancel(struct tmgr_manager *manager)
{
	int signo = __atomic_exchange_n(&manager->cancel_signal, 0, __ATOMIC_ACQ_REL) - 1;
	struct tmgr_cause cause = { .reason = TMGR_REASON_SIGNAL, .code = signo };
	const char *name;

	if (signo < 0)
		return;
	name = signo > 0 ? sigabbrev_np(signo) : NULL;
	if (signo == 0)
		cause.reason = TMGR_REASON_CANCELLED;
	else if (name)
		snprintf(cause.text, sizeof(cause.text), "SIG%s", name);
	else
		snprintf(cause.text, sizeof(cause.text), "%d", signo);
	tmgr__manager_lock(manager);
	tmgr__manager_begin_stop(manager, &cause);
	tmgr__manager_unlock(manager);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* When the task that hosts a manager is stuck, for it stops, too; TMGR_NEVER: it does not. */
static int64_t outer_deadline(struct tmgr_manager *outer, const struct tmgr__record *hosting)
{
	int64_t deadline = TMGR_NEVER, since;

	tmgr__manager_lock(outer);
	since = hosting->stop_since;
	if (outer->stopping) {
		since = since ? since : outer->stop_began;
		deadline = outer->shutdown_deadline;
		if (outer->options.stop_order == TMGR_STOP_REVERSE)
			deadline = later(deadline, since + LATE_NS);
	}
	if (since && hosting->stop_ns > 0)
		deadline = earlier(deadline, tmgr__time_add(since, hosting->stop_ns));
	tmgr__manager_unlock(outer);
	return deadline;
}

/*
 * The inner one has to be done a little before that. The outer one may begin to stop later, which
 * wakes nobody here. When to look again; no lock held.
 */
static int64_t heed_outer(struct tmgr_manager *manager, int64_t now)
{
	int64_t deadline, rest, margin;

	if (!manager->outer)
		return TMGR_NEVER;
	deadline = outer_deadline(manager->outer, manager->outer_record);
	if (deadline == TMGR_NEVER)
		return now + OUTER_NS;
	rest = deadline > now ? deadline - now : 0;
	margin = earlier(rest / 10, 500 * TMGR_MILLISECOND);
	deadline = now + rest - margin;
	tmgr__manager_lock(manager);
	if (manager->stopping && deadline < manager->shutdown_deadline) {
		manager->shutdown_deadline = deadline;
		manager->check_at = TMGR_NOW;
	}
	tmgr__manager_unlock(manager);
	return now + OUTER_NS;
}

/* What is to be done about one record at a time, and when to look again. */
struct look {
	struct tmgr_manager *manager;
	int64_t now, next;
	bool untold; /* the time of all is up, and some have not been told to stop */
};

static void look_again(struct look *look, int64_t at)
{
	if (at < look->next)
		look->next = at;
}

/* True when the time has come; otherwise it is looked at again then. */
static bool is_due(struct look *look, int64_t at)
{
	if (at <= look->now)
		return true;
	look_again(look, at);
	return false;
}

static void look_at_ready(struct look *look, struct tmgr__record *record)
{
	struct tmgr_cause cause = { .reason = TMGR_REASON_TASK_FAILED, .code = -ETIMEDOUT };

	if (record->ready || record->ready_ns == 0 || record->failed || look->manager->stopping)
		return;
	if (!is_due(look, tmgr__time_add(record->began, record->ready_ns)))
		return;
	record->late_ready = true;
	tmgr__record_fail(record, TMGR_REPORT_ERROR, TMGR_STAGE_EXECUTE, -ETIMEDOUT, 0);
	tmgr__text_copy(cause.text, sizeof(cause.text), record->name);
	tmgr__manager_begin_stop(look->manager, &cause);
}

static void look_at_heartbeat(struct look *look, struct tmgr__record *record)
{
	int64_t last = __atomic_load_n(&record->heartbeat, __ATOMIC_RELAXED);

	if (record->heartbeat_ns == 0)
		return;
	if (!is_due(look, tmgr__time_add(last, record->heartbeat_ns))) {
		record->late_heartbeat = false;
		return;
	}
	if (!record->late_heartbeat)
		tmgr__manager_event(look->manager, TMGR_EVENT_LATE_HEARTBEAT, record, 0, "");
	record->late_heartbeat = true;
	look_again(look, look->now + record->heartbeat_ns);
}

static void warn_waiting(
	struct look *look, struct tmgr__record *record, int64_t since, int64_t deadline)
{
	char text[TMGR_EVENT_TEXT_SIZE];

	if (record->warned || deadline == TMGR_NEVER)
		return;
	if (!is_due(look, since + (deadline - since) / 3))
		return;
	record->warned = true;
	snprintf(text, sizeof(text), "told to stop %lld ms ago, %lld ms are left",
		(long long)((look->now - since) / TMGR_MILLISECOND),
		(long long)((deadline - look->now) / TMGR_MILLISECOND));
	tmgr__manager_event(look->manager, TMGR_EVENT_WAITING, record, 0, text);
}

static void interrupt(struct look *look, struct tmgr__record *record)
{
	if (record->interrupt_signal == 0)
		return;
	if (record->thread_made)
		pthread_kill(record->thread, record->interrupt_signal);
	else if (!record->on && record->pool_thread)
		pthread_kill(record->pool_thread->thread, record->interrupt_signal);
	look_again(look, look->now + INTERRUPT_NS);
}

/* The moment a record counts as told to stop, or 0. */
static int64_t told_to_stop(struct look *look, struct tmgr__record *record)
{
	struct tmgr_manager *manager = look->manager;

	if (!record->stop_since && manager->stopping &&
		manager->options.stop_order != TMGR_STOP_REVERSE)
		record->stop_since = manager->stop_began;
	return record->stop_since;
}

/* When the time of all is up for a record that was told to stop at `since`, 0 if it was not. */
static int64_t total_deadline(const struct tmgr_manager *manager, int64_t since)
{
	int64_t total = manager->shutdown_deadline;

	if (!manager->stopping)
		return TMGR_NEVER;
	if (manager->options.stop_order != TMGR_STOP_REVERSE)
		return total;
	/* Its turn may have come late, or not at all. */
	return since ? later(total, since + LATE_NS) : TMGR_NEVER;
}

/* The same; when the time of all is up it is that of those whose turn has not come, too. */
static int64_t look_at_total(struct look *look, int64_t since)
{
	const struct tmgr_manager *manager = look->manager;

	if (manager->stopping && manager->options.stop_order == TMGR_STOP_REVERSE && !since)
		look->untold = look->untold || is_due(look, manager->shutdown_deadline);
	return total_deadline(manager, since);
}

/* The earlier of `deadline` and what the record has for its stop. */
static int64_t stop_deadline(const struct tmgr__record *record, int64_t since, int64_t deadline)
{
	if (!since || record->stop_ns <= 0)
		return deadline;
	/* One that was told before it began ends from then on. */
	return earlier(deadline, tmgr__time_add(later(since, record->began), record->stop_ns));
}

static int64_t stop_since(const struct tmgr__record *record)
{
	const struct tmgr_manager *manager = record->manager;

	if (record->stop_since || !manager->stopping ||
		manager->options.stop_order == TMGR_STOP_REVERSE)
		return record->stop_since;
	return manager->stop_began;
}

/* What its parents have for their stops: they end after it. */
static int64_t parents_deadline(const struct tmgr__record *record, int64_t deadline)
{
	while ((record = tmgr__child_parent(record)))
		deadline = stop_deadline(record, stop_since(record), deadline);
	return deadline;
}

int64_t tmgr__watcher_stop_deadline(const struct tmgr__record *record)
{
	int64_t since = stop_since(record);

	return parents_deadline(
		record, stop_deadline(record, since, total_deadline(record->manager, since)));
}

static void look_at_running(struct look *look, struct tmgr__record *record)
{
	int64_t since = told_to_stop(look, record), deadline;

	look_at_ready(look, record);
	look_at_heartbeat(look, record);
	deadline = stop_deadline(
		record, since, earlier(record->end_deadline, look_at_total(look, since)));
	deadline = parents_deadline(record, deadline);
	if (look->manager->second_signal || is_due(look, deadline)) {
		tmgr__record_mark_stuck(record, look->now);
		return;
	}
	if (since) {
		warn_waiting(look, record, since, deadline);
		interrupt(look, record);
	}
}

/*
 * A host that is never given back never gets to what it was given. Those that it was not given are
 * dropped by run, once all began.
 */
static void look_at_unbegun(struct look *look, struct tmgr__record *record)
{
	int64_t since = told_to_stop(look, record);

	if (!look->manager->hosts_open)
		return;
	if (!look->manager->second_signal && !is_due(look, look_at_total(look, since)))
		return;
	if (record->behind)
		/* It is dropped, or given to the host, any moment. */
		look_again(look, look->now + INTERRUPT_NS);
	else
		tmgr__record_mark_unbegun(record, look->now);
}

static bool has_not_begun(const struct tmgr__record *record)
{
	return record->state == TMGR_STATE_ADDED || record->state == TMGR_STATE_INITIALIZED ||
	       record->state == TMGR_STATE_QUEUED;
}

static void look_at_list(struct look *look, struct tmgr__list *list)
{
	struct tmgr__list *node, *following;

	tmgr__list_for_safe (node, following, list) {
		struct tmgr__record *record = container_of(node, struct tmgr__record, node);

		if (record->state == TMGR_STATE_RUNNING)
			look_at_running(look, record);
		else if (record->on && record->executing && has_not_begun(record))
			look_at_unbegun(look, record);
	}
}

/*
 * An initialize or cleanup hangs on the run's own thread: it is named, and under tmgr_main() that
 * is the end.
 */
static void look_at_phase(struct look *look)
{
	struct tmgr_manager *manager = look->manager;
	struct tmgr__record *record = manager->phase_record;
	int64_t deadline;

	if (!manager->stopping || !record)
		return;
	warn_waiting(look, record, manager->stop_began, manager->shutdown_deadline);
	/* A cleanup that began late was given a little time of its own. */
	deadline = manager->shutdown_deadline > record->began ? manager->shutdown_deadline
							      : record->began;
	if (!is_due(look, tmgr__time_add(deadline, HANG_NS)))
		return;
	if (record->state != TMGR_STATE_INITIALIZING && record->state != TMGR_STATE_CLEANING)
		return;
	tmgr__record_mark_stuck(record, look->now);
	if (manager->is_main)
		manager->hung = true;
}

static void mark_running(struct tmgr_manager *manager, struct tmgr__list *list, int64_t now)
{
	struct tmgr__list *node;

	tmgr__list_for (node, list) {
		struct tmgr__record *record = container_of(node, struct tmgr__record, node);

		if (record->state == TMGR_STATE_RUNNING)
			tmgr__record_mark_stuck(record, now);
	}
}

_Noreturn void tmgr__watcher_give_up(struct tmgr_manager *manager, int signo)
{
	int64_t now = tmgr__manager_now(manager);
	struct tmgr__record *record;

	tmgr__manager_lock(manager);
	manager->forced_signal = signo;
	record = manager->phase_record;
	mark_running(manager, &manager->tasks, now);
	mark_running(manager, &manager->executes, now);
	if (record &&
		(record->state == TMGR_STATE_INITIALIZING || record->state == TMGR_STATE_CLEANING))
		tmgr__record_mark_stuck(record, now);
	tmgr__manager_unlock(manager);
	tmgr__main_leave(manager);
}

/* Look at all deadlines of records that have come; the next. */
static int64_t look_at_records(struct tmgr_manager *manager, int64_t now)
{
	struct look look = { .manager = manager, .now = now, .next = TMGR_NEVER };
	bool hung;

	tmgr__manager_lock(manager);
	if (manager->check_at > now) {
		look.next = manager->check_at;
		tmgr__manager_unlock(manager);
		return look.next;
	}
	manager->check_at = TMGR_NEVER;
	look_at_list(&look, &manager->tasks);
	look_at_list(&look, &manager->executes);
	look_at_phase(&look);
	/* What was asked for while looking (a stop) is looked at at once. */
	if (look.next < manager->check_at)
		manager->check_at = look.next;
	look.next = manager->check_at;
	hung = manager->hung;
	tmgr__manager_unlock(manager);
	if (hung)
		tmgr__main_leave(manager);
	if (look.untold) {
		tmgr__execute_tell_all(manager);
		return TMGR_NOW;
	}
	return look.next;
}

/*
 * It is told to stop before the task that hosts it has asked for its execute, if it ever will: that task
 * finishes it when all others outside have ended, a loop too on which tasks of it were to be.
 */
static void look_at_unexecuted(struct tmgr_manager *manager)
{
	bool never;

	tmgr__manager_lock(manager);
	never = manager->stopping && manager->started && !manager->waited;
	tmgr__manager_unlock(manager);
	if (never)
		tmgr__run_release_hosts(manager);
}

static void *watcher_main(void *self)
{
	struct tmgr_manager *manager = self;

	tmgr__thread_enter(manager->clock, "watcher", NULL);
	if (manager->signals)
		tmgr__signals_unblock(manager);
	for (;;) {
		uint32_t word = __atomic_load_n(&manager->watch_word, __ATOMIC_ACQUIRE);
		int64_t now, next;

		if (__atomic_load_n(&manager->watch_end, __ATOMIC_ACQUIRE))
			return NULL;
		tmgr__watcher_take_cancel(manager);
		now = tmgr__manager_now(manager);
		next = manager->signals ? tmgr__signals_deliver(manager, now) : TMGR_NEVER;
		next = earlier(next, tmgr__timers_run(manager->timers, now));
		if (tmgr_token_fired(manager->token)) {
			look_at_unexecuted(manager);
			next = earlier(next, heed_outer(manager, now));
		}
		next = earlier(next, look_at_records(manager, now));
		next = earlier(next, tmgr__pool_run_tick(manager, now));
		tmgr__clock_sleep(manager->clock, &manager->watch_word, word, next);
	}
}

int tmgr__watcher_start(struct tmgr_manager *manager)
{
	int r;

	manager->watch_end = false;
	r = tmgr__thread_create(&manager->watcher, 0, watcher_main, manager);
	manager->watching = r == 0;
	return r;
}

void tmgr__watcher_stop(struct tmgr_manager *manager)
{
	if (!manager->watching)
		return;
	__atomic_store_n(&manager->watch_end, true, __ATOMIC_RELEASE);
	tmgr__watcher_wake(manager);
	pthread_join(manager->watcher, NULL);
	manager->watching = false;
}
