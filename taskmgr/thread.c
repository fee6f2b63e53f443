/*
 * Threads of the library, and the host of tasks that have one of their own.
 *
 * A long-running task's thread is made before the first initialize and waits at the manager's gate.
 * The thread that runs opens it, or lets all go home; it joins them at the end, but for those left
 * behind with a stuck task.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/check.h"
#include "manager.h"

static void blocked_signals(sigset_t *ret_mask)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };

	sigfillset(ret_mask);
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		sigdelset(ret_mask, fatal[i]);
}

int tmgr__thread_create(pthread_t *thread, size_t stack_size, void *(*function)(void *), void *self)
{
	pthread_attr_t attributes;
	sigset_t mask;
	int r;

	if (pthread_attr_init(&attributes) != 0)
		return -ENOMEM;
	if (stack_size > 0)
		pthread_attr_setstacksize(&attributes, stack_size);
	blocked_signals(&mask);
	/* From its first instruction on, without a moment in which a signal could come. */
	r = pthread_attr_setsigmask_np(&attributes, &mask);
	if (r == 0)
		r = pthread_create(thread, &attributes, function, self);
	pthread_attr_destroy(&attributes);
	return -r;
}

size_t tmgr__signal_stack_size(void)
{
	long size = sysconf(_SC_SIGSTKSZ);

	return size > 16384 ? (size_t)size : 16384;
}

static void use_signal_stack(unsigned char *memory)
{
	stack_t stack = { .ss_sp = memory, .ss_size = tmgr__signal_stack_size() }, old;

	if (!memory || sigaltstack(&stack, &old) < 0)
		return;
	/* Somebody who set one already, as the address sanitizer does, keeps it. */
	if (!(old.ss_flags & SS_DISABLE))
		sigaltstack(&old, NULL);
}

void tmgr__thread_enter(struct tmgr__clock *clock, const char *name, unsigned char *signal_stack)
{
	char short_name[16];

	memset(short_name, 0, sizeof(short_name));
	memcpy(short_name, name, strnlen(name, sizeof(short_name) - 1));
	prctl(PR_SET_NAME, short_name, 0, 0, 0);
	use_signal_stack(signal_stack);
	if (clock)
		tmgr__clock_use(clock);
}

static bool wait_at_gate(struct tmgr_manager *manager)
{
	uint32_t gate;

	while ((gate = __atomic_load_n(&manager->gate, __ATOMIC_ACQUIRE)) == TMGR__GATE_SHUT)
		tmgr__futex_wait(&manager->gate, TMGR__GATE_SHUT, TMGR_NEVER);
	return gate == TMGR__GATE_OPEN;
}

static void end_on_thread(struct tmgr__record *record, struct tmgr__end end)
{
	struct tmgr_manager *manager = record->manager;
	bool ended;

	tmgr__manager_lock(manager);
	ended = tmgr__record_end(record, end, tmgr__manager_now(manager));
	tmgr__manager_unlock(manager);
	if (ended)
		tmgr__record_settle(record);
}

static void exit_in_task(void *self)
{
	struct tmgr__record *record = self;

	end_on_thread(record, tmgr__record_exited(record));
}

static void *thread_main(void *self)
{
	struct tmgr__record *record = self;
	struct tmgr_manager *manager = record->manager;
	struct tmgr__end end;

	tmgr__thread_enter(manager->clock, record->name, record->waiter.owner);
	/* Written before the gate is opened. */
	if (!wait_at_gate(manager) || record->left_out)
		return NULL;
	pthread_cleanup_push(exit_in_task, record);
	end = tmgr__record_execute(record);
	pthread_cleanup_pop(0);
	end_on_thread(record, end);
	return NULL;
}

int tmgr__thread_start(struct tmgr__record *record, unsigned char *signal_stack)
{
	size_t stack_size = record->stack_size;

	if (stack_size == 0)
		stack_size = record->manager->options.stack_size;
	/* The host's, and so ours: nobody else needs it on a thread. */
	record->waiter.owner = signal_stack;
	return tmgr__thread_create(&record->thread, stack_size, thread_main, record);
}
