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
#include <sys/prctl.h>
#include <unistd.h>

#include "internal.h"

static struct tmgr__lock lock;
static unsigned watching;
static struct sigaction before; /* us */
static struct sigaction over;   /* who came after us and is there still; else 0 */

static void say(const char *text)
{
	ssize_t written = write(STDERR_FILENO, text, strlen(text));

	(void)written;
}

/* On a thread, which has no coroutine that it could stand with. */
static __thread struct tmgr__stack *inner_of_thread __attribute__((tls_model("initial-exec")));

struct tmgr__stack **tmgr__overflow_inner(void)
{
	struct tmgr_coroutine *coroutine = tmgr__coroutine_here();

	return coroutine ? &coroutine->inner : &inner_of_thread;
}

/* Threads of ours have the names of their tasks. */
static void say_whose(const struct tmgr_coroutine *coroutine)
{
	char name[16] = "";

	if (!coroutine)
		prctl(PR_GET_NAME, name);
	say(coroutine ? "the coroutine '" : "the thread '");
	say(coroutine ? coroutine->own_name : name);
	say("'");
}

static void say_overflow(const struct tmgr_coroutine *coroutine, bool in_generator)
{
	say("taskmgr: the stack of ");
	say(in_generator ? "a generator of " : "");
	say_whose(coroutine);
	say(" is too small: it ran over its end. Give ");
	say(in_generator ? "it" : "its loop");
	say(" a larger stack_size.\n");
}

static void fault(int signo, siginfo_t *info, void *context)
{
	const struct tmgr_coroutine *coroutine = tmgr__coroutine_here();
	const struct tmgr__stack *inner = *tmgr__overflow_inner();
	const struct tmgr__stack *stack = coroutine && !inner ? coroutine->stack : inner;

	if (stack && tmgr__stack_overflown(stack, info->si_addr))
		say_overflow(coroutine, inner != NULL);
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

static bool same(const struct sigaction *one, const struct sigaction *other)
{
	return (one->sa_flags & SA_SIGINFO) == (other->sa_flags & SA_SIGINFO) &&
	       one->sa_handler == other->sa_handler;
}

static const struct sigaction ours = { .sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

/* Somebody who has come over us may pass signals on to us: in front of him we would go in circles. */
static void watch(void)
{
	struct sigaction now;

	if (sigaction(SIGSEGV, NULL, &now) < 0)
		return;
	if (over.sa_handler != SIG_DFL && same(&now, &over))
		return;
	over.sa_handler = SIG_DFL;
	if (!same(&now, &ours) && sigaction(SIGSEGV, &ours, NULL) == 0)
		before = now;
}

/* Somebody who has come since keeps his place. */
static void unwatch(void)
{
	struct sigaction now;

	if (sigaction(SIGSEGV, NULL, &now) < 0)
		return;
	if (same(&now, &ours))
		sigaction(SIGSEGV, &before, NULL);
	else
		over = now;
}

void tmgr__overflow_watch(void)
{
	tmgr__lock_acquire(&lock);
	if (watching++ == 0)
		watch();
	tmgr__lock_release(&lock);
}

void tmgr__overflow_unwatch(void)
{
	tmgr__lock_acquire(&lock);
	if (--watching == 0)
		unwatch();
	tmgr__lock_release(&lock);
}

_Noreturn void tmgr__overflow_broken(const struct tmgr_coroutine *coroutine)
{
	say_overflow(coroutine, *tmgr__overflow_inner() != NULL);
	abort();
}
