/*
 * Stacks that run over. The touch of a guard page is a SIGSEGV, taken on the thread's alternate
 * stack: it is said which coroutine it was, and then whoever took the signal before gets it; by
 * default that ends the program, with a core that shows the place.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

static struct tmgr__lock lock;
static unsigned watching;
static struct sigaction before;

static void say(const char *text)
{
	ssize_t written = write(STDERR_FILENO, text, strlen(text));

	(void)written;
}

static void say_overflow(const struct tmgr_coroutine *coroutine)
{
	say("taskmgr: the stack of the coroutine '");
	say(coroutine->own_name);
	say("' is too small: it ran over its end. Give its loop a larger stack_size.\n");
}

static void fault(int signo, siginfo_t *info, void *context)
{
	const struct tmgr_coroutine *coroutine = tmgr__coroutine_here();

	if (coroutine && tmgr__stack_overflown(coroutine->stack, info->si_addr))
		say_overflow(coroutine);
	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(signo, info, context);
		return;
	}
	if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
		before.sa_handler(signo);
		return;
	}
	/* The instruction is tried again, and the program ends as if we had not been there. */
	signal(signo, SIG_DFL);
}

void tmgr__overflow_watch(void)
{
	struct sigaction action = { .sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	tmgr__lock_acquire(&lock);
	if (watching++ == 0) {
		sigemptyset(&action.sa_mask);
		sigaction(SIGSEGV, &action, &before);
	}
	tmgr__lock_release(&lock);
}

void tmgr__overflow_unwatch(void)
{
	struct sigaction now;

	tmgr__lock_acquire(&lock);
	/* Somebody who has come since keeps his place. */
	if (--watching == 0 && sigaction(SIGSEGV, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
		now.sa_sigaction == fault)
		sigaction(SIGSEGV, &before, NULL);
	tmgr__lock_release(&lock);
}

_Noreturn void tmgr__overflow_broken(const struct tmgr_coroutine *coroutine)
{
	say_overflow(coroutine);
	abort();
}
