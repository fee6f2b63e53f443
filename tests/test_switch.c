/*
 * Switching stacks: what a call preserves is preserved, each fiber has its rounding modes, and a new
 * one begins as the ABI wants it. Needs nothing but the C library, so that it can be built for
 * another machine alone: see test_switch_arm64.sh and test_switch_ucontext.sh.
 */
#include <fenv.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tasks/loop/switch.h"

#define STACK_SIZE ((size_t)256 * 1024)
#define FIBERS 64
#define STEPS 200000

struct one {
	struct tmgr__fiber fiber;
	void (*body)(struct one *one);
	int number;
	long steps;
	uint64_t sum;
	bool over;
};

static struct tmgr__fiber thread;
static struct one ones[FIBERS];
static struct one *running;
static _Alignas(64) unsigned char stacks[FIBERS][STACK_SIZE];
static int wrong;

static void expect(bool holds, const char *what)
{
	if (holds)
		return;
	printf("not kept: %s\n", what);
	wrong++;
}

static void go_to(struct one *one)
{
	struct one *from = running;

	running = one;
	tmgr__fiber_switch(from ? &from->fiber : &thread, one ? &one->fiber : &thread);
}

static void enter(void *self)
{
	struct one *one = self;

	expect(one == running, "a fiber gets what it was made with");
	one->body(one);
	one->over = true;
	running = NULL;
	tmgr__fiber_leave(&one->fiber, &thread);
}

static void make(int number, void (*body)(struct one *one))
{
	struct one *one = &ones[number];

	tmgr__fiber_fini(&one->fiber);
	*one = (struct one){ .body = body, .number = number };
	tmgr__fiber_init(&one->fiber, stacks[number], stacks[number] + STACK_SIZE, enter, one);
}

/* ---- Beginning ------------------------------------------------------------------------------ */

static __attribute__((noinline)) void look_at_alignment(struct one *one)
{
	_Alignas(16) volatile double aligned[2] = { 1, 2 };
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

	expect((uintptr_t)aligned % 16 == 0, "the stack is aligned to 16 bytes");
	expect(frame % 16 == 0, "a frame is aligned to 16 bytes");
	expect(frame > (uintptr_t)stacks[one->number] &&
			frame < (uintptr_t)stacks[one->number] + STACK_SIZE,
		"a fiber runs on its stack");
	/* What is printed with moves values that have to be aligned. */
	one->sum = (uint64_t)snprintf(NULL, 0, "%f %Lf", aligned[0], (long double)aligned[1]);
}

static void test_beginning(void)
{
#if defined(TMGR__SWITCH_ASAN)
	/* Its frames stand elsewhere. */
	return;
#endif
	for (int i = 0; i < FIBERS; i++) {
		make(i, look_at_alignment);
		go_to(&ones[i]);
		expect(ones[i].over, "a fiber runs to its end");
	}
}

/* ---- Registers ------------------------------------------------------------------------------ */

/*
 * More values than there are registers that a call preserves, all alive across it, so that the
 * compiler has each of these registers hold one.
 */
static void keep_values(struct one *one)
{
	uint64_t a = (uint64_t)one->number * 1000003 + 1, b = a * 3, c = b * 5, d = c * 7,
		 e = d * 11, f = e * 13, g = f * 17, h = g * 19, i = h * 23, j = i * 29;
	double p = one->number + 0.5, q = p * 3, r = q * 5, s = r * 7, t = s * 11, u = t * 13,
	       v = u * 17, w = v * 19;

	for (int n = 0; n < 100; n++) {
		uint64_t integers = a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j;
		double floats = p + q + r + s + t + u + v + w;

		__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
		__asm__ volatile("" : "+r"(f), "+r"(g), "+r"(h), "+r"(i), "+r"(j));
		go_to(&ones[(one->number + 1) % FIBERS]);
		__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
		__asm__ volatile("" : "+r"(f), "+r"(g), "+r"(h), "+r"(i), "+r"(j));
		expect(integers == (a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j),
			"integers that were in registers");
		expect(b == a * 3 && c == b * 5 && d == c * 7 && e == d * 11 && f == e * 13 &&
				g == f * 17 && h == g * 19 && i == h * 23 && j == i * 29,
			"each of them");
		expect(floats == p + q + r + s + t + u + v + w, "numbers that were in registers");
		expect(q == p * 3 && r == q * 5 && s == r * 7 && t == s * 11 && u == t * 13 &&
				v == u * 17 && w == v * 19,
			"each of these");
		a++, b += 3, c += 15, d += 105, e += 1155;
		f = e * 13, g = f * 17, h = g * 19, i = h * 23, j = i * 29;
	}
	one->over = true;
	go_to(NULL);
}

static void test_registers(void)
{
	for (int i = 0; i < FIBERS; i++)
		make(i, keep_values);
	go_to(&ones[0]);
	expect(ones[0].over, "values are compared to the end");
}

/* ---- Rounding ------------------------------------------------------------------------------- */

/* Divided here and now, whatever the compiler thinks of rounding. */
static __attribute__((noinline)) double third(void)
{
	volatile double one = 1, three = 3, result;

	result = one / three;
	return result;
}

static const int modes[] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };

static void keep_mode(struct one *one)
{
	int mode = modes[one->number % 4];
	double value;

	expect(fegetround() == FE_UPWARD, "a new fiber has the modes of who made it");
	fesetround(mode);
	value = third();
	for (int n = 0; n < 100; n++) {
		go_to(&ones[(one->number + 1) % 8]);
		expect(fegetround() == mode, "the rounding mode of a fiber");
		expect(third() == value, "how a fiber rounds");
	}
	one->over = true;
	go_to(NULL);
}

static void test_rounding(void)
{
	double up, down;

	fesetround(FE_DOWNWARD);
	down = third();
	fesetround(FE_UPWARD);
	up = third();
	expect(up > down, "modes make a difference");
	for (int i = 0; i < 8; i++)
		make(i, keep_mode);
	fesetround(FE_TONEAREST);
	go_to(&ones[0]);
	expect(ones[0].over, "modes are compared to the end");
	expect(fegetround() == FE_TONEAREST, "the rounding mode of the thread");
}

/* ---- Many ----------------------------------------------------------------------------------- */

static uint64_t random_state = 42;

static uint64_t draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void add_numbers(struct one *one)
{
	uint64_t sum = 0;

	for (;;) {
		sum += (uint64_t)one->steps;
		one->sum = sum;
		go_to(NULL);
	}
}

static void test_many(void)
{
	uint64_t expected[FIBERS] = { 0 };

	for (int i = 0; i < FIBERS; i++)
		make(i, add_numbers);
	for (long step = 1; step <= STEPS; step++) {
		int i = (int)(draw() % FIBERS);

		ones[i].steps = step;
		expected[i] += (uint64_t)step;
		go_to(&ones[i]);
		expect(ones[i].sum == expected[i], "what a fiber computes");
		if (wrong)
			break;
	}
}

int main(void)
{
	tmgr__fiber_init_thread(&thread);
	test_beginning();
	test_registers();
	test_rounding();
	test_many();
	for (int i = 0; i < FIBERS; i++)
		tmgr__fiber_fini(&ones[i].fiber);
	printf("%d wrong\n", wrong);
	return wrong != 0;
}
