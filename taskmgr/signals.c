/*
 * Signals. One run in a process may take them. A handler counts the signal and wakes the watcher,
 * which acts on it; so it does not matter whose thread the kernel chose. The watcher leaves the
 * signals unblocked, all other threads of ours block them, and all others but the fatal ones.
 *
 * The state is static: a handler may still be running on a thread that is not ours while the run
 * ends, which waits for it. `lock` guards the watches. What a watch does (firing a token, sending)
 * is done without it; `acting` keeps the watch until then.
 */
#include <taskmgr/signal.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "manager.h"

#define SIGNALS 65 /* numbers 1 to 64 */
#define TRY_AGAIN_NS (10 * TMGR_MILLISECOND)

/*
 * Calls of threads that are not ours go on after the handler. The thread sanitizer runs handlers
 * only when the thread makes its next call, so there the watcher's must end.
 */
#ifdef __SANITIZE_THREAD__
#define HANDLER_FLAGS 0
#else
#define HANDLER_FLAGS SA_RESTART
#endif

struct tmgr_signal_watch {
	struct tmgr__list node;
	int signo;
	bool pending;
	uint64_t pass; /* the last in which it acted */
	struct tmgr_channel *channel;
	struct tmgr_token *token; /* armed, referenced */
};

struct tmgr__signals {
	struct tmgr_manager *manager; /* atomic; NULL: none takes signals */
	uint32_t handling;            /* handlers that run now */
	uint32_t counts[SIGNALS];     /* arrived and not yet acted on */
	struct tmgr__lock lock;
	struct tmgr__list watches;
	struct tmgr_signal_watch *acting;
	uint64_t pass; /* over the watches; the watcher only */
	bool taken[SIGNALS];
	struct sigaction before[SIGNALS];
	sigset_t mask;         /* of the thread that runs, before */
	sigset_t program_mask; /* the last of a thread that is not ours, for programs */
	bool mask_noted;       /* the latter */
	bool hup_watched;      /* a task has watched SIGHUP, maybe one that has ended */
	int stops;             /* INT and TERM that have come */
};

static struct tmgr__signals signals;

static void handle(int signo)
{
	struct tmgr_manager *manager;
	int saved = errno;

	__atomic_fetch_add(&signals.handling, 1, __ATOMIC_SEQ_CST);
	manager = __atomic_load_n(&signals.manager, __ATOMIC_SEQ_CST);
	if (manager && signo > 0 && signo < SIGNALS) {
		__atomic_fetch_add(&signals.counts[signo], 1, __ATOMIC_RELEASE);
		tmgr__watcher_wake(manager);
	}
	__atomic_fetch_sub(&signals.handling, 1, __ATOMIC_SEQ_CST);
	errno = saved;
}

static void do_nothing(int signo)
{
	(void)signo;
}

static void take(int signo, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	if (signals.taken[signo])
		return;
	sigfillset(&action.sa_mask);
	if (sigaction(signo, &action, &signals.before[signo]) == 0)
		__atomic_store_n(&signals.taken[signo], true, __ATOMIC_RELEASE);
}

/* Under the lock. In a thread of ours all is blocked: there it was noted by the run around it. */
static void note_mask(const sigset_t *mask)
{
	if (tmgr_context_current())
		return;
	signals.program_mask = *mask;
	signals.mask_noted = true;
}

void tmgr__signals_note_mask(void)
{
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	tmgr__lock_acquire(&signals.lock);
	if (!__atomic_load_n(&signals.manager, __ATOMIC_ACQUIRE))
		note_mask(&mask);
	tmgr__lock_release(&signals.lock);
}

/*
 * On the thread that runs. Others are left to it as they were: the program's own handlers run
 * there, and Ctrl-Z and Ctrl-\ do what they do everywhere.
 */
static void block_taken(sigset_t *ret_before)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &mask, ret_before);
}

int tmgr__signals_start(struct tmgr_manager *manager)
{
	struct tmgr_manager *none = NULL;

	tmgr__lock_acquire(&signals.lock);
	if (__atomic_load_n(&signals.manager, __ATOMIC_ACQUIRE)) {
		tmgr__lock_release(&signals.lock);
		return -EBUSY;
	}
	tmgr__list_init(&signals.watches);
	memset(signals.counts, 0, sizeof(signals.counts));
	signals.hup_watched = false;
	signals.stops = 0;
	block_taken(&signals.mask);
	note_mask(&signals.mask);
	check(__atomic_compare_exchange_n(
		&signals.manager, &none, manager, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	take(SIGINT, handle, HANDLER_FLAGS);
	take(SIGTERM, handle, HANDLER_FLAGS);
	take(SIGHUP, handle, HANDLER_FLAGS);
	tmgr__lock_release(&signals.lock);
	manager->signals = &signals;
	return 0;
}

void tmgr__signals_stop(struct tmgr_manager *manager)
{
	tmgr__lock_acquire(&signals.lock);
	for (int signo = 1; signo < SIGNALS; signo++) {
		if (signals.taken[signo])
			sigaction(signo, &signals.before[signo], NULL);
		signals.taken[signo] = false;
	}
	__atomic_store_n(&signals.manager, NULL, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&signals.handling, __ATOMIC_SEQ_CST) > 0)
		sched_yield();
	pthread_sigmask(SIG_SETMASK, &signals.mask, NULL);
	tmgr__lock_release(&signals.lock);
	manager->signals = NULL;
}

void tmgr__signals_unblock(struct tmgr_manager *manager)
{
	sigset_t mask;

	(void)manager;
	sigemptyset(&mask);
	for (int signo = 1; signo < SIGNALS; signo++)
		if (__atomic_load_n(&signals.taken[signo], __ATOMIC_ACQUIRE))
			sigaddset(&mask, signo);
	pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
}

struct tmgr_manager *tmgr__manager_root(struct tmgr_manager *manager)
{
	while (manager->outer)
		manager = manager->outer;
	return manager;
}

struct tmgr__reload *tmgr__context_reload(struct tmgr_context *context, uint64_t **ret_seen)
{
	struct tmgr_manager *root = tmgr__manager_root(context->record->manager);

	*ret_seen = &context->record->reload_seen;
	return root->signals ? &root->reload : NULL;
}

/* A signal that stops: gracefully, then without waiting for executes, then at once. */
static void stop_by_signal(struct tmgr_manager *manager, int signo)
{
	struct tmgr_cause cause = { .reason = TMGR_REASON_SIGNAL, .code = signo };
	struct tmgr_token *cleanup = NULL;
	int nth = ++signals.stops;

	if (nth >= 3)
		tmgr__watcher_give_up(manager, signo);
	snprintf(cause.text, sizeof(cause.text), "SIG%s", sigabbrev_np(signo));
	tmgr__manager_lock(manager);
	tmgr__manager_begin_stop(manager, &cause);
	if (nth == 2) {
		manager->second_signal = true;
		tmgr__manager_check_at(manager, TMGR_NOW);
		if (manager->phase_record && manager->phase_record->state == TMGR_STATE_CLEANING)
			cleanup = tmgr_token_ref(manager->phase_record->cleanup->token);
	}
	tmgr__manager_unlock(manager);
	if (cleanup) {
		tmgr_token_fire(cleanup, &cause);
		tmgr_token_unref(cleanup);
	}
}

/* Note a signal with its watches; whether there were any. */
static bool mark_watches(int signo)
{
	struct tmgr__list *node;
	bool any = false;

	tmgr__lock_acquire(&signals.lock);
	tmgr__list_for (node, &signals.watches) {
		struct tmgr_signal_watch *watch = container_of(
			node, struct tmgr_signal_watch, node);

		if (watch->signo == signo)
			watch->pending = any = true;
	}
	tmgr__lock_release(&signals.lock);
	return any;
}

/*
 * The next watch that can act, reserved: each acts once in a pass, for its channel may be full. Any
 * may be destroyed meanwhile.
 */
static struct tmgr_signal_watch *next_acting(uint64_t pass)
{
	struct tmgr_signal_watch *found = NULL;
	struct tmgr__list *node;

	tmgr__lock_acquire(&signals.lock);
	tmgr__list_for (node, &signals.watches) {
		struct tmgr_signal_watch *watch = container_of(
			node, struct tmgr_signal_watch, node);

		if (watch->pass == pass || !watch->pending || !(watch->channel || watch->token))
			continue;
		watch->pass = pass;
		found = signals.acting = watch;
		break;
	}
	tmgr__lock_release(&signals.lock);
	return found;
}

static void end_acting(void)
{
	tmgr__lock_acquire(&signals.lock);
	signals.acting = NULL;
	tmgr__lock_release(&signals.lock);
}

/* Fire the armed token with the signal as cause, if both are there. */
static void fire_armed(struct tmgr_signal_watch *watch)
{
	struct tmgr_cause cause = { .reason = TMGR_REASON_SIGNAL, .code = watch->signo };
	const char *name = sigabbrev_np(watch->signo);
	struct tmgr_token *token = NULL;

	tmgr__lock_acquire(&signals.lock);
	if (watch->pending && watch->token) {
		token = watch->token;
		watch->token = NULL;
		watch->pending = false;
	}
	tmgr__lock_release(&signals.lock);
	if (!token)
		return;
	snprintf(cause.text, sizeof(cause.text), "SIG%s", name ? name : "RT");
	tmgr_token_fire(token, &cause);
	tmgr_token_unref(token);
}

/* False: the channel is full. */
static bool send_pending(struct tmgr_signal_watch *watch)
{
	int r;

	tmgr__lock_acquire(&signals.lock);
	watch->pending = false;
	tmgr__lock_release(&signals.lock);
	r = tmgr_channel_send(NULL, watch->channel, &watch->signo, TMGR_NOW);
	if (r != -ETIMEDOUT)
		return true;
	tmgr__lock_acquire(&signals.lock);
	watch->pending = true;
	tmgr__lock_release(&signals.lock);
	return false;
}

static int64_t act_on_watches(int64_t now)
{
	struct tmgr_signal_watch *watch;
	int64_t next = TMGR_NEVER;
	uint64_t pass = ++signals.pass;

	while ((watch = next_acting(pass))) {
		if (!watch->channel)
			fire_armed(watch);
		else if (!send_pending(watch))
			next = now + TRY_AGAIN_NS;
		end_acting();
	}
	return next;
}

/* As nohup(1) has it: whoever started the program does not want it to stop with the terminal. */
static bool hup_was_ignored(void)
{
	return signals.before[SIGHUP].sa_handler == SIG_IGN;
}

/*
 * Those who looked for a reload have stopped by now: it comes too late, and is no wish to stop for a
 * second time.
 */
static bool is_late_reload(struct tmgr_manager *manager)
{
	bool watched, stopping;

	tmgr__lock_acquire(&signals.lock);
	watched = signals.hup_watched;
	tmgr__lock_release(&signals.lock);
	tmgr__manager_lock(manager);
	stopping = manager->stopping;
	tmgr__manager_unlock(manager);
	return watched && stopping;
}

int64_t tmgr__signals_deliver(struct tmgr_manager *manager, int64_t now)
{
	for (int signo = 1; signo < SIGNALS; signo++) {
		uint32_t count = __atomic_load_n(&signals.counts[signo], __ATOMIC_RELAXED);
		bool wanted;

		if (count == 0)
			continue;
		count = __atomic_exchange_n(&signals.counts[signo], 0, __ATOMIC_ACQUIRE);
		if (signo == SIGINT || signo == SIGTERM) {
			while (count-- > 0)
				stop_by_signal(manager, signo);
			continue;
		}
		wanted = mark_watches(signo);
		if (signo == SIGHUP && !tmgr__reload_request(&manager->reload) && !wanted &&
			!hup_was_ignored() && !is_late_reload(manager))
			stop_by_signal(manager, signo);
	}
	tmgr__signals_unblock(manager);
	return act_on_watches(now);
}

static bool watchable(int signo)
{
	static const int not_allowed[] = { SIGINT, SIGTERM, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,
		SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };

	for (size_t i = 0; i < ARRAY_SIZE(not_allowed); i++)
		if (signo == not_allowed[i])
			return false;
	/* Those between are the C library's own. */
	return signo > 0 && signo < SIGNALS && (signo < 32 || signo >= SIGRTMIN);
}

int tmgr_signal_watch_create(struct tmgr_context *context, int signo, struct tmgr_channel *channel,
	struct tmgr_signal_watch **ret_watch)
{
	struct tmgr_signal_watch *watch;
	struct tmgr_manager *root;

	if (!context || !ret_watch || !watchable(signo) ||
		(channel && tmgr_channel_item_size(channel) != sizeof(int)))
		return -EINVAL;
	root = tmgr__manager_root(context->record->manager);
	if (!root->signals)
		return -EOPNOTSUPP;
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->signo = signo;
	watch->channel = tmgr_channel_ref(channel);
	tmgr__lock_acquire(&signals.lock);
	tmgr__list_append(&signals.watches, &watch->node);
	signals.hup_watched = signals.hup_watched || signo == SIGHUP;
	take(signo, handle, HANDLER_FLAGS);
	tmgr__lock_release(&signals.lock);
	/* The watcher lets the signal come to it. */
	tmgr__watcher_wake(root);
	*ret_watch = watch;
	return 0;
}

int tmgr_signal_watch_arm(struct tmgr_signal_watch *watch, struct tmgr_token *token)
{
	struct tmgr_token *before;

	if (!watch || watch->channel)
		return -EINVAL;
	tmgr__lock_acquire(&signals.lock);
	before = watch->token;
	watch->token = tmgr_token_ref(token);
	tmgr__lock_release(&signals.lock);
	tmgr_token_unref(before);
	fire_armed(watch);
	return 0;
}

void tmgr_signal_watch_destroy(struct tmgr_signal_watch *watch)
{
	if (!watch)
		return;
	tmgr__lock_acquire(&signals.lock);
	while (signals.acting == watch) {
		tmgr__lock_release(&signals.lock);
		sched_yield();
		tmgr__lock_acquire(&signals.lock);
	}
	tmgr__list_remove(&watch->node);
	tmgr__lock_release(&signals.lock);
	tmgr_token_unref(watch->token);
	tmgr_channel_unref(watch->channel);
	free(watch);
}

int tmgr_child_signals(void)
{
	/* After fork this thread is the only one: a lock that another held then does not matter. */
	for (int signo = 1; signo < SIGNALS; signo++)
		if (signals.taken[signo])
			sigaction(signo, &signals.before[signo], NULL);
	if (signals.mask_noted)
		sigprocmask(SIG_SETMASK, &signals.program_mask, NULL);
	return 0;
}

/*
 * Signals that interrupt tasks: how many managers use each, and what it did before. Guarded by
 * signals.lock.
 */
static struct {
	unsigned users;
	struct sigaction before;
} interrupts[SIGNALS];

void tmgr__interrupt_take(struct tmgr_manager *manager, int signo)
{
	struct sigaction action = { .sa_handler = do_nothing };

	tmgr__lock_acquire(&signals.lock);
	/* An add that comes when they are given back will be refused: nobody would give it back. */
	if (!manager->interrupts_closed && !(manager->interrupts & UINT64_C(1) << (signo - 1))) {
		manager->interrupts |= UINT64_C(1) << (signo - 1);
		sigemptyset(&action.sa_mask);
		/* Without SA_RESTART, which is the point of it. */
		if (interrupts[signo].users++ == 0)
			sigaction(signo, &action, &interrupts[signo].before);
	}
	tmgr__lock_release(&signals.lock);
}

void tmgr__interrupts_give_back(struct tmgr_manager *manager)
{
	tmgr__lock_acquire(&signals.lock);
	for (int signo = 1; signo < SIGNALS; signo++) {
		if (!(manager->interrupts & UINT64_C(1) << (signo - 1)))
			continue;
		if (--interrupts[signo].users == 0)
			sigaction(signo, &interrupts[signo].before, NULL);
	}
	manager->interrupts = 0;
	manager->interrupts_closed = true;
	tmgr__lock_release(&signals.lock);
}
