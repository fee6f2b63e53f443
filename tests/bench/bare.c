#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/bench/bare.h"
#include "tests/bench/measure.h"

void *bare_stack(void)
{
	void *stack = mmap(NULL, BARE_STACK_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	measure_check("mmap", stack == MAP_FAILED ? -errno : 0);
	return stack;
}

#if BENCH_FCONTEXT

static void note_where_from(struct fcontext_transfer transfer)
{
	struct bare *from = transfer.data;

	from->context = transfer.context;
}

/* What is switched to: a flow that begins has no other way to learn who it is. */
static struct bare *switched_to;

static void enter(struct fcontext_transfer transfer)
{
	struct bare *bare = switched_to;

	note_where_from(transfer);
	bare->function(bare->self);
	abort();
}

void bare_init(struct bare *bare, void *stack, void (*function)(void *self), void *self)
{
	bare->function = function;
	bare->self = self;
	bare->context = make_fcontext((char *)stack + BARE_STACK_SIZE, BARE_STACK_SIZE, enter);
}

void bare_switch(struct bare *from, struct bare *to)
{
	switched_to = to;
	note_where_from(jump_fcontext(to->context, from));
}

#else

/* What is switched to: makecontext() passes ints only. */
static struct bare *switched_to;

static void enter(void)
{
	struct bare *bare = switched_to;

	bare->function(bare->self);
	abort();
}

void bare_init(struct bare *bare, void *stack, void (*function)(void *self), void *self)
{
	bare->function = function;
	bare->self = self;
	getcontext(&bare->context);
	bare->context.uc_stack.ss_sp = stack;
	bare->context.uc_stack.ss_size = BARE_STACK_SIZE;
	makecontext(&bare->context, enter, 0);
}

void bare_switch(struct bare *from, struct bare *to)
{
	switched_to = to;
	swapcontext(&from->context, &to->context);
}

#endif
