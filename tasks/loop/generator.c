/*
 * Generators: a function on a stack of its own, which goes on when an item is asked for, inside of
 * whoever asks.
 *
 * Who asks may be a thread or a coroutine, or on the stack of another generator. When the function
 * waits, that one is parked, while it stands on this stack: a loop saves the stack pointer of
 * whatever its coroutine runs on. The sanitizers have to know which stack that is, so the fiber
 * that stands for the coroutine, or for the thread, describes the stack it runs on at the moment.
 *
 * Its context is a strand: below the context of who asks first, with that one's waiter. The strand
 * has its memory behind the generator's, which stays until nobody refers to the strand's token.
 */
#include <taskmgr/tasks/generator.h>

#include <errno.h>
#include <stdlib.h>

#include "internal.h"
#include "iterator.h"
#include "taskmgr/base/check.h"

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif

enum generator_state {
	GENERATOR_NEW,
	GENERATOR_SUSPENDED,
	GENERATOR_RUNNING, /* or what it asks does, or waits */
	GENERATOR_ENDED,
};

struct tmgr_generator {
	int (*function)(void *self, struct tmgr_context *context, struct tmgr_generator *generator);
	void *self;
	struct tmgr_generator_options options;
	enum generator_state state;
	bool closing;
	uint32_t refs;             /* atomic: the iterator's, and the strand's */
	struct tmgr__stack *stack; /* while it has begun and not ended */
	struct tmgr__fiber fiber;
	struct tmgr__fiber consumer;  /* who asked, while it is running */
	struct tmgr_context *above;   /* of who asked */
	struct tmgr_context *context; /* of the strand; NULL where there is none */
	struct tmgr_item item;
	int result;
	_Alignas(16) char strand[];
};

static void unref(void *owner)
{
	struct tmgr_generator *generator = owner;

	if (__atomic_fetch_sub(&generator->refs, 1, __ATOMIC_ACQ_REL) == 1)
		free(generator);
}

/* The fiber that stands for what the caller is: a coroutine, or a thread. */
static struct tmgr__fiber *fiber_here(void)
{
	static __thread struct tmgr__fiber thread;
	static __thread bool known;
	struct tmgr_coroutine *coroutine = tmgr__coroutine_here();

	if (coroutine)
		return &coroutine->fiber;
	if (!known)
		tmgr__fiber_init_thread(&thread);
	known = true;
	return &thread;
}

/* All that a fiber says of its stack but where it stands on it. */
static void describe_stack(struct tmgr__fiber *fiber, const struct tmgr__fiber *of)
{
	void *sp = fiber->sp;

	*fiber = *of;
	fiber->sp = sp;
}

/* What its function says of its error is what who asks says. */
static void pass_text_on(struct tmgr_generator *generator)
{
	const char *text = tmgr_context_error_text(generator->context);

	if (generator->result < 0 && text[0] != '\0')
		tmgr_fail(generator->above, generator->result, "%s", text);
}

static _Noreturn void generator_main(void *self)
{
	struct tmgr_generator *generator = self;

	generator->result = tmgr__iterator_error(
		generator->function(generator->self, generator->context, generator));
	if (generator->context) {
		pass_text_on(generator);
		tmgr_strand_end(generator->context);
	}
	generator->state = GENERATOR_ENDED;
	tmgr__fiber_leave(&generator->fiber, &generator->consumer);
}

static int begin_strand(struct tmgr_generator *generator, struct tmgr_context *context)
{
	struct tmgr_strand_setup setup = {
		.parent = context,
		.waiter = tmgr_context_waiter(context),
		.host = tmgr_context_executor(context),
		.name = "generator",
		.release = unref,
		.owner = generator,
	};
	int r;

	generator->refs = 2;
	generator->context = tmgr_strand_init(generator->strand, &setup);
	r = tmgr_strand_begin(generator->context);
	if (r == 0)
		tmgr_strand_suspend(generator->context);
	return r;
}

/* What a loop has for its coroutines it has for their generators, too. */
static bool has_canaries(void)
{
	const struct tmgr_coroutine *coroutine = tmgr__coroutine_here();

	return coroutine && coroutine->loop->options.stack_guard == TMGR_STACK_GUARD_CANARY;
}

static int begin(struct tmgr_generator *generator, struct tmgr_context *context)
{
	struct tmgr__stack *stack = tmgr__stack_take(
		tmgr__stack_class(generator->options.stack_size), has_canaries());
	uintptr_t top = (uintptr_t)stack & ~(uintptr_t)63;
	int r = 0;

	generator->state = GENERATOR_ENDED;
	if (!stack)
		return -ENOMEM;
	if (context)
		r = begin_strand(generator, context);
	if (r < 0) {
		tmgr__stack_give(stack);
		return r;
	}
	tmgr__overflow_watch();
	generator->stack = stack;
	tmgr__fiber_set_sanitizer(&generator->fiber, stack->sanitizer);
	tmgr__fiber_init(&generator->fiber, stack->bottom, (void *)top, generator_main, generator);
	stack->sanitizer = tmgr__fiber_sanitizer(&generator->fiber);
	generator->state = GENERATOR_SUSPENDED;
	return 0;
}

static void give_stack_back(struct tmgr_generator *generator)
{
	struct tmgr__stack *stack = generator->stack;

#if defined(VALGRIND_MAKE_MEM_UNDEFINED)
	/* What is below a stack pointer may not be touched, to valgrind, also when the stack is
	 * the next one's. */
	VALGRIND_MAKE_MEM_UNDEFINED(stack->bottom, (char *)stack - stack->bottom);
#endif
	generator->stack = NULL;
	tmgr__overflow_unwatch();
	if (tmgr__stack_give(stack) && tmgr__loop_here)
		tmgr__loop_trim_later(tmgr__loop_here);
}

static void run(struct tmgr_generator *generator)
{
	struct tmgr__stack **inner = tmgr__overflow_inner(), *outer = *inner;

	*inner = generator->stack;
	tmgr__fiber_switch(&generator->consumer, &generator->fiber);
	if (generator->stack->canary && tmgr__stack_broken(generator->stack))
		tmgr__overflow_broken(tmgr__coroutine_here());
	*inner = outer;
}

/* Let the function run until it yields or returns. */
static int go_on(struct tmgr_generator *generator, struct tmgr_context *context)
{
	struct tmgr__fiber *here = fiber_here();
	int r = generator->context ? tmgr_strand_resume(generator->context, context) : 0;

	if (r < 0)
		return r;
	generator->above = context;
	generator->state = GENERATOR_RUNNING;
	describe_stack(&generator->consumer, here);
	describe_stack(here, &generator->fiber);
	run(generator);
	describe_stack(here, &generator->consumer);
	if (generator->state != GENERATOR_ENDED) {
		generator->state = GENERATOR_SUSPENDED;
		if (generator->context)
			tmgr_strand_suspend(generator->context);
		return 1;
	}
	give_stack_back(generator);
	return generator->result;
}

static int generator_next(void *self, struct tmgr_context *context, struct tmgr_item *ret_item)
{
	struct tmgr_generator *generator = self;
	int r = 0;

	if (generator->state == GENERATOR_RUNNING)
		return -EBUSY;
	if (generator->state == GENERATOR_NEW)
		r = begin(generator, context);
	else if (!generator->context != !context)
		r = -EINVAL;
	if (r == 0)
		r = go_on(generator, context);
	if (r > 0)
		*ret_item = generator->item;
	return r;
}

/* Let it run to its end, with nothing left to wait for. */
static void finish(struct tmgr_generator *generator, struct tmgr_context *context)
{
	int r;

	generator->closing = true;
	if (generator->context)
		tmgr_token_cancel(tmgr_strand_token(generator->context), -ECANCELED,
			"the iterator was closed");
	r = go_on(generator, context);
	check(generator->state == GENERATOR_ENDED);
	/* Nobody else asks for what it ended with. */
	if (r < 0 && r != -ECANCELED)
		tmgr_context_note_error(context, r);
}

static void generator_close(void *self, struct tmgr_context *context)
{
	struct tmgr_generator *generator = self;

	if (generator->state == GENERATOR_RUNNING)
		tmgr__misuse("a generator is not closed while its function runs", "generator");
	if (generator->state == GENERATOR_SUSPENDED)
		finish(generator, context);
	if (generator->options.release)
		generator->options.release(generator->self);
	if (generator->context)
		tmgr_strand_unref(generator->context);
	unref(generator);
}

static struct tmgr_generator *create(const struct tmgr_generator_options *options)
{
	struct tmgr_generator *generator = malloc(sizeof(*generator) + tmgr_strand_size());

	if (generator)
		*generator = (struct tmgr_generator){ .options = *options, .refs = 1 };
	return generator;
}

struct tmgr_iterator tmgr_generator_with(
	int (*function)(void *self, struct tmgr_context *context, struct tmgr_generator *generator),
	void *self, const struct tmgr_generator_options *options)
{
	static const struct tmgr_iterator_ops ops = { .next = generator_next,
		.close = generator_close };
	static const struct tmgr_generator_options defaults;
	struct tmgr_generator *generator = NULL;
	bool valid;

	if (!options)
		options = &defaults;
	valid = function && tmgr__stack_class(options->stack_size) >= 0;
	if (valid)
		generator = create(options);
	if (!generator) {
		if (options->release)
			options->release(self);
		return tmgr_iterator_failed(valid ? -ENOMEM : -EINVAL);
	}
	generator->function = function;
	generator->self = self;
	return (struct tmgr_iterator){ .ops = &ops, .self = generator };
}

struct tmgr_iterator tmgr_generator(
	int (*function)(void *self, struct tmgr_context *context, struct tmgr_generator *generator),
	void *self)
{
	return tmgr_generator_with(function, self, NULL);
}

/* Whether the caller stands on the generator's stack. */
static bool on_stack(const struct tmgr_generator *generator)
{
	const char *here = __builtin_frame_address(0);

	return generator->state == GENERATOR_RUNNING && here >= generator->stack->bottom &&
	       here < (const char *)generator->stack;
}

int tmgr_yield_item(struct tmgr_generator *generator, const void *data, size_t size)
{
	if (!generator || !on_stack(generator))
		return -EINVAL;
	if (generator->closing)
		return -ECANCELED;
	generator->item = tmgr_item_of(data, size);
	tmgr__fiber_switch(&generator->fiber, &generator->consumer);
	return generator->closing ? -ECANCELED : 0;
}

int tmgr_yield_all(struct tmgr_generator *generator, struct tmgr_iterator iterator)
{
	struct tmgr_context *context = generator ? generator->context : NULL;
	struct tmgr_item item;
	int r, yielded = 0;

	do {
		r = tmgr_iterator_next(context, &iterator, &item);
		if (r > 0)
			yielded = tmgr_yield_item(generator, item.data, item.size);
	} while (r > 0 && yielded == 0);
	tmgr_iterator_close(context, &iterator);
	return yielded < 0 ? yielded : r;
}
