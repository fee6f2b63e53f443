/*
 * Switching from one stack to another and back, beside Boost's fcontext, where it is installed, and
 * the C library's swapcontext(). All three through one function each way, as a wait would.
 */
#include <stdlib.h>
#include <ucontext.h>

#include "tasks/loop/switch.h"
#include "tests/bench/bare.h"
#include "tests/bench/measure.h"

#define TRIPS 1000000
#define SLOW_TRIPS 50000

/* ---- Ours ---- */

static struct tmgr__fiber mine, its;

__attribute__((noinline)) static void there(void)
{
	tmgr__fiber_switch(&mine, &its);
}

__attribute__((noinline)) static void back(void)
{
	tmgr__fiber_switch(&its, &mine);
}

static void answer(void *self)
{
	for (;;)
		back();
}

static double trips_of_ours(void *self)
{
	int64_t began;

	tmgr__fiber_init_thread(&mine);
	tmgr__fiber_init(&its, self, (char *)self + BARE_STACK_SIZE, answer, NULL);
	there();
	began = measure_now();
	for (int i = 0; i < TRIPS; i++)
		there();
	began = measure_now() - began;
	tmgr__fiber_fini(&its);
	tmgr__fiber_fini(&mine);
	return (double)began / TRIPS;
}

/* ---- Boost ---- */

#if BENCH_FCONTEXT
__attribute__((noinline)) static void *jump(void *to)
{
	return jump_fcontext(to, NULL).context;
}

static void answer_jump(struct fcontext_transfer transfer)
{
	void *to = transfer.context;

	for (;;)
		to = jump(to);
}

static double trips_of_fcontext(void *self)
{
	void *to = make_fcontext((char *)self + BARE_STACK_SIZE, BARE_STACK_SIZE, answer_jump);
	int64_t began;

	to = jump(to);
	began = measure_now();
	for (int i = 0; i < TRIPS; i++)
		to = jump(to);
	return (double)(measure_now() - began) / TRIPS;
}
#endif

/* ---- The C library ---- */

static ucontext_t here, other;

__attribute__((noinline)) static void swap_there(void)
{
	swapcontext(&here, &other);
}

__attribute__((noinline)) static void swap_back(void)
{
	swapcontext(&other, &here);
}

static void answer_swap(void)
{
	for (;;)
		swap_back();
}

static double trips_of_swapcontext(void *self)
{
	int64_t began;

	getcontext(&other);
	other.uc_stack.ss_sp = self;
	other.uc_stack.ss_size = BARE_STACK_SIZE;
	makecontext(&other, answer_swap, 0);
	swap_there();
	began = measure_now();
	for (int i = 0; i < SLOW_TRIPS; i++)
		swap_there();
	return (double)(measure_now() - began) / SLOW_TRIPS;
}

static void measure(struct measure_row row, const char *other_name, double (*run_other)(void *self))
{
	struct measure_pair pair = { trips_of_ours, run_other, bare_stack(), .ours = { 0 } };

	row.other_name = other_name;
	measure_run_pair(&pair, 2, 31);
	measure_print_pair(&row, &pair);
	measure_clear_pair(&pair);
}

int main(void)
{
	static const struct measure_row row = { .figure = "switch, there and back",
		.unit = MEASURE_NANOSECONDS,
		.kind = MEASURE_AT_MOST,
		.goal = 20 };

	measure_begin();
#if BENCH_FCONTEXT
	measure(row, "Boost's fcontext", trips_of_fcontext);
#else
	measure_skipped("switch beside Boost's fcontext", "libboost-context-dev is not installed");
#endif
	measure(row, "swapcontext", trips_of_swapcontext);
	return measure_end();
}
