/*
 * Stacks that are large enough, and those that run over: whose it was is said, of a coroutine or a
 * generator. In children, each with stacks of its own.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/tasks/generator.h>

#include "tests/support/child.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/looped.h"
#include "tests/support/watched.h"

/* ---- Running over --------------------------------------------------------------------------- */

/* Use so many bytes of stack, or go on until it ends. Nothing here is a tail call. */
static __attribute__((noinline)) size_t use_stack(size_t bytes)
{
	volatile char part[256];
	size_t deeper = 0;

	part[0] = part[255] = 1;
	if (bytes > 512)
		deeper = use_stack(bytes - 512);
	return deeper + (size_t)part[0] + (size_t)part[255];
}

static int run_over(void *self, struct tmgr_context *context)
{
	tmgr_yield(context);
	return use_stack((size_t)1 << 30) == 0;
}

static int wait_for_ever(void *self, struct tmgr_context *context)
{
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int spawn_one_too_deep(void *self, struct tmgr_context *context)
{
	spawn(context, "deep one", run_over, NULL);
	return 0;
}

/* The test framework has its own for these. */
static void no_handlers(void)
{
	if (SANITIZED)
		return;
	signal(SIGSEGV, SIG_DFL);
	signal(SIGABRT, SIG_DFL);
}

static int overflow(void *argument)
{
	struct tmgr_loop_options options = { .main = spawn_one_too_deep };

	no_handlers();
	fault_old_kernel(argument != NULL);
	looped_run(&options);
	return 0;
}

static void expect_text(int (*body)(void *argument), void *argument, int signo, const char *text)
{
	static struct child child;
	int r;

	if (on_valgrind()) {
		print_message("left out: valgrind has a message of its own\n");
		return;
	}
	r = child_run(&child, body, argument);
	if (strstr(child.text, text) == NULL)
		fail_msg("%s", child.text);
	/* Sanitizers take the signal, and end the program their way. */
	if (SANITIZED)
		assert_int_not_equal(r, 0);
	else
		assert_int_equal(r, 1000 + signo);
}

static void expect_message(int (*body)(void *argument), void *argument, int signo)
{
	expect_text(body, argument, signo, "the stack of the coroutine 'deep one' is too small");
}

static void a_stack_that_runs_over_names_its_coroutine(void **state)
{
	expect_message(overflow, NULL, SIGSEGV);
}

static void the_same_where_the_kernel_is_an_old_one(void **state)
{
	int argument;

	expect_message(overflow, &argument, SIGSEGV);
}

#define LARGE_PAGE ((size_t)65536)

/* In the middle of the guard: the stack is of one such page, too. */
static int touch_the_guard(void *self, struct tmgr_context *context)
{
	volatile char *here = __builtin_frame_address(0);

	here[-(ptrdiff_t)(LARGE_PAGE + LARGE_PAGE / 2)] = 1;
	return 0;
}

static int spawn_one_that_touches_it(void *self, struct tmgr_context *context)
{
	for (int i = 0; i < 40; i++)
		spawn(context, NULL, wait_for_ever, NULL);
	tmgr_yield(context);
	spawn(context, "deep one", touch_the_guard, NULL);
	return 0;
}

static int overflow_on_large_pages(void *argument)
{
	struct tmgr_loop_options options = {
		.main = spawn_one_that_touches_it,
		.stack_size = 16384,
	};

	no_handlers();
	fault_old_kernel(argument != NULL);
	fault_page_size(LARGE_PAGE);
	looped_run(&options);
	return 0;
}

static void a_guard_is_a_page_whatever_its_size(void **state)
{
	int argument;

	if (SANITIZED)
		skip();
	expect_message(overflow_on_large_pages, NULL, SIGSEGV);
	expect_message(overflow_on_large_pages, &argument, SIGSEGV);
}

static void leave_with_7(int signo)
{
	_exit(7);
}

static int overflow_over_a_handler(void *argument)
{
	struct sigaction action = { .sa_handler = leave_with_7, .sa_flags = SA_ONSTACK };

	sigaction(SIGSEGV, &action, NULL);
	return looped_main(spawn_one_too_deep, NULL);
}

static void a_handler_that_was_there_before_is_called_then(void **state)
{
	static struct child child;

	if (SANITIZED || on_valgrind())
		skip();
	assert_int_equal(child_run(&child, overflow_over_a_handler, NULL), 7);
	assert_non_null(strstr(child.text, "the stack of the coroutine 'deep one'"));
}

static struct sigaction handler_before;

static void pass_on(int signo, siginfo_t *info, void *context)
{
	handler_before.sa_sigaction(signo, info, context);
}

static int take_the_signal(void *self, struct tmgr_context *context)
{
	struct sigaction action = { .sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	return sigaction(SIGSEGV, &action, &handler_before);
}

static int overflow_with_a_handler(void *argument)
{
	no_handlers();
	looped_main(take_the_signal, NULL);
	return looped_main(spawn_one_too_deep, NULL);
}

static void a_handler_from_an_earlier_run_that_passes_on_is_no_hindrance(void **state)
{
	expect_message(overflow_with_a_handler, NULL, SIGSEGV);
}

/* Over the canary, and not over the page that is left below it. */
static __attribute__((noinline)) void use_at_once(size_t size)
{
	volatile char *bytes = __builtin_alloca(size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = 1;
}

static int run_over_a_little(void *self, struct tmgr_context *context)
{
	use_at_once(15600);
	tmgr_yield(context);
	return 0;
}

static int spawn_one_a_little_too_deep(void *self, struct tmgr_context *context)
{
	spawn(context, "deep one", run_over_a_little, NULL);
	return 0;
}

static int overflow_canary(void *argument)
{
	struct tmgr_loop_options options = { .main = spawn_one_a_little_too_deep,
		.stack_size = 16384,
		.stack_guard = TMGR_STACK_GUARD_CANARY };

	no_handlers();
	looped_run(&options);
	return 0;
}

static void a_canary_names_its_coroutine_when_it_parks(void **state)
{
	if (SANITIZED) {
		print_message("left out: stacks are larger than asked for under sanitizers\n");
		return;
	}
	expect_message(overflow_canary, NULL, SIGABRT);
}

/* ---- Generators ----------------------------------------------------------------------------- */

static int yield_too_deep(
	void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	int number = 1;
	int r = tmgr_yield_item(generator, &number, sizeof(number));

	return r < 0 ? r : run_over(self, context);
}

static int yield_a_little_too_deep(
	void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	int number = 1;
	use_at_once(17600);
	return tmgr_yield_item(generator, &number, sizeof(number));
}

static int yield_of_another(
	void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	int (*function)(void *, struct tmgr_context *, struct tmgr_generator *) = *(
		int (**)(void *, struct tmgr_context *, struct tmgr_generator *))self;

	return tmgr_yield_all(generator, tmgr_generator(function, NULL));
}

static int iterate(struct tmgr_context *context, struct tmgr_iterator iterator)
{
	struct tmgr_item item;
	int r;

	while ((r = tmgr_iterator_next(context, &iterator, &item)) > 0)
		tmgr_yield(context);
	tmgr_iterator_close(context, &iterator);
	return r;
}

static int ask_a_deep_generator(void *self, struct tmgr_context *context)
{
	static int (*deep)(void *, struct tmgr_context *, struct tmgr_generator *) = yield_too_deep;

	return iterate(context, tmgr_generator(yield_of_another, &deep));
}

static int spawn_one_that_asks(void *self, struct tmgr_context *context)
{
	spawn(context, "asking one", ask_a_deep_generator, NULL);
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int overflow_generator(void *argument)
{
	no_handlers();
	return looped_main(spawn_one_that_asks, NULL);
}

static void a_generator_that_runs_over_is_named_by_who_asks(void **state)
{
	expect_text(overflow_generator, NULL, SIGSEGV,
		"the stack of a generator of the coroutine 'asking one' is too small");
}

static int overflow_generator_of_a_thread(void *argument)
{
	struct hosted hosted;

	no_handlers();
	hosted_start(&hosted, tmgr_task_function(ask_a_deep_generator, NULL));
	return hosted_end(&hosted).result;
}

static void one_that_is_asked_by_a_thread_names_the_thread(void **state)
{
	expect_text(overflow_generator_of_a_thread, NULL, SIGSEGV,
		"the stack of a generator of the thread 'task' is too small");
}

/* While a generator stands, and one has ended. */
static int run_over_beside_a_generator(void *self, struct tmgr_context *context)
{
	struct tmgr_iterator iterator = tmgr_generator(yield_too_deep, NULL);
	struct tmgr_item item;

	if (tmgr_iterator_next(context, &iterator, &item) != 1)
		return -EINVAL;
	return run_over(self, context);
}

static int spawn_one_beside(void *self, struct tmgr_context *context)
{
	spawn(context, "deep one", run_over_beside_a_generator, NULL);
	return 0;
}

static int overflow_beside(void *argument)
{
	no_handlers();
	return looped_main(spawn_one_beside, NULL);
}

static void a_coroutine_that_runs_over_beside_its_generator_is_named_itself(void **state)
{
	expect_message(overflow_beside, NULL, SIGSEGV);
}

static int ask_one_a_little_too_deep(void *self, struct tmgr_context *context)
{
	const struct tmgr_generator_options small = { .stack_size = 16384 };

	return iterate(context, tmgr_generator_with(yield_a_little_too_deep, NULL, &small));
}

static int spawn_one_that_asks_a_little(void *self, struct tmgr_context *context)
{
	spawn(context, "asking one", ask_one_a_little_too_deep, NULL);
	return 0;
}

static int overflow_canary_of_a_generator(void *argument)
{
	struct tmgr_loop_options options = { .main = spawn_one_that_asks_a_little,
		.stack_guard = TMGR_STACK_GUARD_CANARY };

	no_handlers();
	return looped_run(&options).result;
}

static void a_generator_has_a_canary_where_its_coroutine_has(void **state)
{
	if (SANITIZED) {
		print_message("left out: stacks are larger than asked for under sanitizers\n");
		return;
	}
	expect_text(overflow_canary_of_a_generator, NULL, SIGABRT,
		"the stack of a generator of the coroutine 'asking one' is too small");
}

/* ---- Sizes ---------------------------------------------------------------------------------- */

static int use_half(void *self, struct tmgr_context *context)
{
	use_stack(*(size_t *)self / 2);
	tmgr_yield(context);
	return 0;
}

static void half_of_each_size_can_be_used_with_each_guard(void **state)
{
	static size_t sizes[] = { 16384, 65536, 262144, 0 };

	for (int i = 0; i < 8; i++) {
		size_t size = sizes[i / 2], used = size ? size : 65536;
		struct tmgr_loop_options options = { .main = use_half,
			.self = &used,
			.stack_size = size,
			.stack_guard = (enum tmgr_stack_guard)(i % 2) };

		/* There only 256 KiB are as large as they say. */
		if (SANITIZED)
			used = 16384;
		assert_int_equal(looped_run(&options).result, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_stack_that_runs_over_names_its_coroutine),
		leak_test(the_same_where_the_kernel_is_an_old_one),
		leak_test(a_guard_is_a_page_whatever_its_size),
		leak_test(a_canary_names_its_coroutine_when_it_parks),
		leak_test(a_handler_that_was_there_before_is_called_then),
		leak_test(a_handler_from_an_earlier_run_that_passes_on_is_no_hindrance),
		leak_test(a_generator_that_runs_over_is_named_by_who_asks),
		leak_test(one_that_is_asked_by_a_thread_names_the_thread),
		leak_test(a_coroutine_that_runs_over_beside_its_generator_is_named_itself),
		leak_test(a_generator_has_a_canary_where_its_coroutine_has),
		/* Last: the thread sanitizer lets only a process without threads have children. */
		leak_test(half_of_each_size_can_be_used_with_each_guard),
	};

	return cmocka_run_group_tests_name("stacks that run over", tests, NULL, NULL);
}
