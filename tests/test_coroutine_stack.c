/*
 * Stacks: what happens when one runs over, when there is no memory for them, and when there are a
 * million. In children, each with stacks of its own.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/child.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/looped.h"
#include "tests/support/watched.h"

static int wait_for_ever(void *self, struct tmgr_context *context)
{
	return tmgr_sleep_until(context, TMGR_NEVER);
}

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

static void expect_message(int (*body)(void *argument), void *argument, int signo)
{
	static struct child child;
	int r;

	if (on_valgrind()) {
		print_message("left out: valgrind has a message of its own\n");
		return;
	}
	r = child_run(&child, body, argument);
	if (strstr(child.text, "the stack of the coroutine 'deep one' is too small") == NULL)
		fail_msg("%s", child.text);
	/* Sanitizers take the signal, and end the program their way. */
	if (SANITIZED)
		assert_int_not_equal(r, 0);
	else
		assert_int_equal(r, 1000 + signo);
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

/* Over the canary, and not over the page that is left below it. */
static int run_over_a_little(void *self, struct tmgr_context *context)
{
	volatile char *bytes = __builtin_alloca(15600);

	for (int i = 0; i < 15600; i++)
		bytes[i] = 1;
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

/* ---- No memory ------------------------------------------------------------------------------ */

static int fail_each_mapping(void *self, struct tmgr_context *context)
{
	struct tmgr_coroutine *coroutines[200];
	int count = 0, failures = 0, r;

	while (count < 200) {
		/* The first that is made for this one. */
		fault_fail_mapping(1);
		r = tmgr_coroutine_spawn(context, wait_for_ever, NULL, NULL, &coroutines[count]);
		if (fault_happened()) {
			child_check_equal(r, -ENOMEM);
			failures++;
			/* And the second: a guard in a slab that has just been made. */
			fault_fail_mapping(2);
			r = tmgr_coroutine_spawn(
				context, wait_for_ever, NULL, NULL, &coroutines[count]);
			if (fault_happened())
				child_check_equal(r, -ENOMEM);
			fault_off();
			fault_old_kernel(self != NULL);
			if (r < 0)
				r = tmgr_coroutine_spawn(
					context, wait_for_ever, NULL, NULL, &coroutines[count]);
		}
		child_check_equal(r, 0);
		count++;
	}
	fault_off();
	child_check(failures > 0);
	tmgr_yield(context);
	while (count-- > 0) {
		tmgr_coroutine_cancel(coroutines[count], 0, NULL);
		tmgr_coroutine_unref(coroutines[count]);
	}
	return 0;
}

static int run_without_mappings(void *argument)
{
	struct tmgr_loop_options options = { .main = fail_each_mapping, .self = argument };
	long protections = fault_protections();

	fault_old_kernel(argument != NULL);
	child_check_equal(looped_run(&options).result, 0);
	if (argument != NULL)
		child_check(fault_protections() > protections);
	return 0;
}

static void without_a_mapping_spawn_says_so_and_goes_on_later(void **state)
{
	static struct child child;
	int argument;

	assert_int_equal(child_run(&child, run_without_mappings, NULL), 0);
	assert_int_equal(child_run(&child, run_without_mappings, &argument), 0);
}

/* ---- A million ------------------------------------------------------------------------------ */

#define MILLION 1000000

static int count_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	int c, count = 0;

	while (file != NULL && (c = getc(file)) != EOF)
		count += c == '\n';
	if (file != NULL)
		fclose(file);
	return count;
}

static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long size, resident = 0;

	if (file != NULL && fscanf(file, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	if (file != NULL)
		fclose(file);
	return resident * 4;
}

static int park_a_million(void *self, struct tmgr_context *context)
{
	int mappings = count_mappings();
	long before = resident_kib();
	char line[128];

	for (int i = 0; i < MILLION; i++) {
		child_check_equal(
			tmgr_coroutine_spawn(context, wait_for_ever, NULL, NULL, NULL), 0);
		if (i % 1000 == 0)
			tmgr_yield(context);
	}
	tmgr_yield(context);
	snprintf(line, sizeof(line), "%d mappings, %ld bytes resident each",
		count_mappings() - mappings, (resident_kib() - before) * 1024 / MILLION);
	child_say(line);
	child_check(count_mappings() - mappings < 100);
	/* They are cancelled with it. */
	return -ENOSPC;
}

static int have_a_million(void *argument)
{
	struct tmgr_loop_options options = { .main = park_a_million,
		.stack_guard = *(enum tmgr_stack_guard *)argument };

	child_check_equal(looped_run(&options).result, -ENOSPC);
	return 0;
}

static void a_million_can_be_parked_in_few_mappings(void **state)
{
	static struct child child;
	enum tmgr_stack_guard guard;

	if (SANITIZED || on_valgrind()) {
		print_message("left out: sanitizers and valgrind keep too much for each stack\n");
		return;
	}
	for (guard = TMGR_STACK_GUARD_PAGE; guard <= TMGR_STACK_GUARD_CANARY; guard++) {
		int r = child_run(&child, have_a_million, &guard);

		/* Before Linux 6.13 page guards are mappings, of which there are too few. */
		if (guard == TMGR_STACK_GUARD_PAGE && r != 0 && fault_protections() > 0)
			continue;
		print_message("guard %d: %s", (int)guard, child.text);
		assert_int_equal(r, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_stack_that_runs_over_names_its_coroutine),
		leak_test(the_same_where_the_kernel_is_an_old_one),
		leak_test(a_canary_names_its_coroutine_when_it_parks),
		leak_test(without_a_mapping_spawn_says_so_and_goes_on_later),
		leak_test(a_million_can_be_parked_in_few_mappings),
		leak_test(half_of_each_size_can_be_used_with_each_guard),
	};

	return cmocka_run_group_tests_name("stacks of coroutines", tests, NULL, NULL);
}
