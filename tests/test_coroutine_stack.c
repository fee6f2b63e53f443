/*
 * Stacks: when there is no memory for them, when there are a million, and after a burst. In
 * children, each with stacks of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/tasks/generator.h>

#include "tests/support/child.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/looped.h"
#include "tests/support/watched.h"

static int wait_for_ever(void *self, struct tmgr_context *context)
{
	return tmgr_sleep_until(context, TMGR_NEVER);
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

#define BURST 4000

static size_t stacks(void)
{
	struct tmgr_loop_stats stats = { .stacks = 0 };

	tmgr_loop_stats(tmgr_loop_current(), &stats);
	return stats.stacks;
}

static int wait_for_stacks(struct tmgr_context *context)
{
	int64_t limit = tmgr_after(30 * TMGR_SECOND);
	long before = resident_kib(), after;
	char line[128];

	child_check(stacks() >= BURST);
	while (stacks() > BURST / 2 && tmgr_now() < limit)
		child_check_equal(tmgr_sleep(context, 100 * TMGR_MILLISECOND), 0);
	after = resident_kib();
	snprintf(line, sizeof(line), "%zu stacks left, %ld KiB instead of %ld", stacks(), after,
		before);
	child_say(line);
	child_check(stacks() <= BURST / 2);
	/* A page each, at least. */
	child_check(on_valgrind() || before - after >= BURST / 2 * 4 * 9 / 10);
	return 0;
}

static int nap(void *self, struct tmgr_context *context)
{
	return tmgr_sleep(context, 10 * TMGR_MILLISECOND);
}

static int yield_once(void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	int number = 1;

	return tmgr_yield_item(generator, &number, sizeof(number));
}

static int hold_generators(void *self, struct tmgr_context *context)
{
	static struct tmgr_iterator iterators[BURST];
	struct tmgr_item item;

	for (int i = 0; i < BURST; i++) {
		iterators[i] = tmgr_generator(yield_once, NULL);
		child_check_equal(tmgr_iterator_next(context, &iterators[i], &item), 1);
	}
	for (int i = 0; i < BURST; i++)
		tmgr_iterator_close(context, &iterators[i]);
	return 0;
}

static int burst_of_generators(void *self, struct tmgr_context *context)
{
	hold_generators(self, context);
	return wait_for_stacks(context);
}

static int burst_of_coroutines(void *self, struct tmgr_context *context)
{
	for (int i = 0; i < BURST; i++)
		spawn(context, "one of many", nap, NULL);
	child_check_equal(tmgr_loop_wait_idle(context, TMGR_NEVER), 0);
	return wait_for_stacks(context);
}

static int run_burst(void *argument)
{
	struct tmgr_loop_options options = { .main = *(coroutine_function **)argument };

	return looped_run(&options).result;
}

static void after_a_burst_stacks_go_back_to_the_system(void **state)
{
	static coroutine_function *bursts[] = { burst_of_coroutines, burst_of_generators };
	static struct child child;

	if (SANITIZED) {
		print_message("left out: sanitizers keep memory for stacks\n");
		return;
	}
	for (int i = 0; i < 2; i++)
		if (child_run(&child, run_burst, &bursts[i]) != 0)
			fail_msg("%d: %s", i, child.text);
}

/* What the kernel says of the mapping that an address is in. */
static bool has_flag(const void *address, const char *flag)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long begin, end, at = (unsigned long)address;
	bool inside = false, found = false;
	char line[512];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
			inside = begin <= at && at < end;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	if (file != NULL)
		fclose(file);
	return found;
}

static int look_at_its_mapping(void *self, struct tmgr_context *context)
{
	return has_flag(__builtin_frame_address(0), " nh") ? 0 : -ENOTSUP;
}

static void stacks_are_in_no_huge_pages(void **state)
{
	if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0 || on_valgrind())
		skip();
	assert_int_equal(looped_main(look_at_its_mapping, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(without_a_mapping_spawn_says_so_and_goes_on_later),
		leak_test(a_million_can_be_parked_in_few_mappings),
		leak_test(after_a_burst_stacks_go_back_to_the_system),
		leak_test(stacks_are_in_no_huge_pages),
	};

	return cmocka_run_group_tests_name("stacks of coroutines", tests, NULL, NULL);
}
