/*
 * Switching stacks and nothing else: Boost's fcontext where it is installed, else the C library's
 * swapcontext(). What a scheduler adds shows beside it.
 */
#ifndef TESTS_BENCH_BARE_H
#define TESTS_BENCH_BARE_H

#include <stddef.h>
#include <ucontext.h>

#if defined(__has_include) && __has_include(<boost/context/detail/fcontext.hpp>)
#define BENCH_FCONTEXT 1
#else
#define BENCH_FCONTEXT 0
#endif

#if BENCH_FCONTEXT
/* As that header, which is C++, declares them. */
struct fcontext_transfer {
	void *context; /* of who has switched to here */
	void *data;    /* that it gave */
};

struct fcontext_transfer jump_fcontext(void *to, void *data);
void *make_fcontext(void *top, size_t size, void (*entry)(struct fcontext_transfer));
#define BARE_NAME "fcontext"
#else
#define BARE_NAME "swapcontext"
#endif

/* A flow of control: all zero for the one that runs. */
struct bare {
#if BENCH_FCONTEXT
	void *context;
#else
	ucontext_t context;
#endif
	void (*function)(void *self);
	void *self;
};

/* 64 KiB of address space, for as long as the process lives. */
#define BARE_STACK_SIZE 65536
void *bare_stack(void);
/* Get ready to call function(self), which must not return, when it is switched to first. */
void bare_init(struct bare *bare, void *stack, void (*function)(void *self), void *self);
void bare_switch(struct bare *from, struct bare *to);

#endif
