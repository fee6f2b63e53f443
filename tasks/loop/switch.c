/*
 * What a switch saves stands on the stack that is left, in this order from its pointer up: the
 * rounding modes, the registers that a call preserves, the return address. A new fiber finds the
 * same, with the address of the trampoline, which calls entry(self).
 *
 * Coroutines are mostly left at the same place of the same function. Then a `ret` serves best: the
 * processor expects the return of the call that it saw last, and is right. Between unlike places an
 * indirect jump does, which is expected to go where it went before.
 */
#include "switch.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "taskmgr/base/check.h"

#if defined(TMGR__SWITCH_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(TMGR__SWITCH_TSAN)
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void *__tsan_get_current_fiber(void);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

#if defined(TMGR__SWITCH_NATIVE)

void tmgr__switch(struct tmgr__fiber *from, struct tmgr__fiber *to);
void tmgr__switch_alike(struct tmgr__fiber *from, struct tmgr__fiber *to);
void tmgr__switch_trampoline(void);

#if defined(__x86_64__)

/* System V ABI, AMD64 supplement, 3.2.1 and 3.2.3: rbx, rbp, r12 to r15, and the control words. */
/*
 * `back` returns to where the fiber was left. Loading the modes is slow, and they are nearly always
 * what they were.
 */
/* clang-format off */
#define SWITCH(name, back) \
	".p2align 4\n" \
	".globl " name "\n" \
	".hidden " name "\n" \
	".type " name ", @function\n" \
	"" name ":\n" \
	"	.cfi_startproc\n" \
	"	endbr64\n" \
	"	pushq	%rbp\n" \
	"	.cfi_def_cfa_offset 16\n" \
	"	.cfi_offset %rbp, -16\n" \
	"	pushq	%rbx\n" \
	"	.cfi_def_cfa_offset 24\n" \
	"	.cfi_offset %rbx, -24\n" \
	"	pushq	%r12\n" \
	"	.cfi_def_cfa_offset 32\n" \
	"	.cfi_offset %r12, -32\n" \
	"	pushq	%r13\n" \
	"	.cfi_def_cfa_offset 40\n" \
	"	.cfi_offset %r13, -40\n" \
	"	pushq	%r14\n" \
	"	.cfi_def_cfa_offset 48\n" \
	"	.cfi_offset %r14, -48\n" \
	"	pushq	%r15\n" \
	"	.cfi_def_cfa_offset 56\n" \
	"	.cfi_offset %r15, -56\n" \
	"	subq	$8, %rsp\n" \
	"	.cfi_def_cfa_offset 64\n" \
	"	stmxcsr	(%rsp)\n" \
	"	fnstcw	4(%rsp)\n" \
	"	movl	(%rsp), %eax\n" \
	"	movzwl	4(%rsp), %edx\n" \
	"	movq	%rsp, (%rdi)\n" \
	"	movq	(%rsi), %rsp\n" \
	"	cmpl	(%rsp), %eax\n" \
	"	jne	1f\n" \
	"	cmpw	4(%rsp), %dx\n" \
	"	jne	1f\n" \
	"2:	addq	$8, %rsp\n" \
	"	.cfi_def_cfa_offset 56\n" \
	"	popq	%r15\n" \
	"	.cfi_def_cfa_offset 48\n" \
	"	popq	%r14\n" \
	"	.cfi_def_cfa_offset 40\n" \
	"	popq	%r13\n" \
	"	.cfi_def_cfa_offset 32\n" \
	"	popq	%r12\n" \
	"	.cfi_def_cfa_offset 24\n" \
	"	popq	%rbx\n" \
	"	.cfi_def_cfa_offset 16\n" \
	"	popq	%rbp\n" \
	"	.cfi_def_cfa_offset 8\n" \
	back \
	"	.cfi_def_cfa_offset 64\n" \
	"1:	ldmxcsr	(%rsp)\n" \
	"	fldcw	4(%rsp)\n" \
	"	jmp	2b\n" \
	"	.cfi_endproc\n" \
	".size " name ", . - " name "\n"
/* clang-format on */

__asm__(".text\n" SWITCH("tmgr__switch", "	popq	%rcx\n	jmp	*%rcx\n")
		SWITCH("tmgr__switch_alike", "	ret\n")
	/* Nothing called it: unwinding ends here. */
	".p2align 4\n"
	".globl tmgr__switch_trampoline\n"
	".hidden tmgr__switch_trampoline\n"
	".type tmgr__switch_trampoline, @function\n"
	"tmgr__switch_trampoline:\n"
	"	.cfi_startproc\n"
	"	.cfi_undefined %rip\n"
	"	endbr64\n"
	"	movq	%r13, %rdi\n"
	"	call	*%r12\n"
	"	ud2\n"
	"	.cfi_endproc\n"
	".size tmgr__switch_trampoline, . - tmgr__switch_trampoline\n");

enum { SAVED = 8, AT_ENTRY = 4, AT_SELF = 3, AT_RETURN = 7 };

static void save_modes(uint64_t *saved)
{
	uint32_t mxcsr;
	uint16_t control;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(control));
	saved[0] = mxcsr | (uint64_t)control << 32;
}

#else

/* Procedure call standard for the Arm 64-bit architecture: x19 to x30, d8 to d15, and fpcr. */
__asm__(".text\n"
	".p2align 4\n"
	".globl tmgr__switch\n"
	".hidden tmgr__switch\n"
	".type tmgr__switch, %function\n"
	"tmgr__switch:\n"
	"	.cfi_startproc\n"
	"	hint	34\n"
	"	sub	sp, sp, 176\n"
	"	.cfi_def_cfa_offset 176\n"
	"	stp	x19, x20, [sp, 16]\n"
	"	stp	x21, x22, [sp, 32]\n"
	"	stp	x23, x24, [sp, 48]\n"
	"	stp	x25, x26, [sp, 64]\n"
	"	stp	x27, x28, [sp, 80]\n"
	"	stp	x29, x30, [sp, 96]\n"
	"	.cfi_offset x29, -80\n"
	"	.cfi_offset x30, -72\n"
	"	stp	d8, d9, [sp, 112]\n"
	"	stp	d10, d11, [sp, 128]\n"
	"	stp	d12, d13, [sp, 144]\n"
	"	stp	d14, d15, [sp, 160]\n"
	"	mrs	x9, fpcr\n"
	"	str	x9, [sp]\n"
	"	mov	x10, sp\n"
	"	str	x10, [x0]\n"
	"	ldr	x10, [x1]\n"
	"	mov	sp, x10\n"
	"	ldr	x10, [sp]\n"
	"	cmp	x9, x10\n"
	"	b.eq	1f\n"
	"	msr	fpcr, x10\n"
	"1:	ldp	x19, x20, [sp, 16]\n"
	"	ldp	x21, x22, [sp, 32]\n"
	"	ldp	x23, x24, [sp, 48]\n"
	"	ldp	x25, x26, [sp, 64]\n"
	"	ldp	x27, x28, [sp, 80]\n"
	"	ldp	x29, x30, [sp, 96]\n"
	"	ldp	d8, d9, [sp, 112]\n"
	"	ldp	d10, d11, [sp, 128]\n"
	"	ldp	d12, d13, [sp, 144]\n"
	"	ldp	d14, d15, [sp, 160]\n"
	"	add	sp, sp, 176\n"
	"	.cfi_def_cfa_offset 0\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size tmgr__switch, . - tmgr__switch\n"
	/* One serves for both. */
	".globl tmgr__switch_alike\n"
	".hidden tmgr__switch_alike\n"
	".set tmgr__switch_alike, tmgr__switch\n"
	".p2align 4\n"
	".globl tmgr__switch_trampoline\n"
	".hidden tmgr__switch_trampoline\n"
	".type tmgr__switch_trampoline, %function\n"
	"tmgr__switch_trampoline:\n"
	"	.cfi_startproc\n"
	"	.cfi_undefined x30\n"
	"	hint	34\n"
	"	mov	x0, x20\n"
	"	blr	x19\n"
	"	brk	0\n"
	"	.cfi_endproc\n"
	".size tmgr__switch_trampoline, . - tmgr__switch_trampoline\n");

enum { SAVED = 22, AT_ENTRY = 2, AT_SELF = 3, AT_RETURN = 13 };

static void save_modes(uint64_t *saved)
{
	__asm__ volatile("mrs %0, fpcr" : "=r"(saved[0]));
}

#endif

static void prepare_stack(
	struct tmgr__fiber *fiber, void *bottom, void *top, void (*entry)(void *self), void *self)
{
	uint64_t *saved = (uint64_t *)top - SAVED;

	memset(saved, 0, SAVED * sizeof(*saved));
	save_modes(saved);
	saved[AT_ENTRY] = (uint64_t)(uintptr_t)entry;
	saved[AT_SELF] = (uint64_t)(uintptr_t)self;
	saved[AT_RETURN] = (uint64_t)(uintptr_t)tmgr__switch_trampoline;
	fiber->sp = saved;
}

#else /* ucontext */

#include <ucontext.h>

/* What a new fiber is to call; makecontext() passes numbers only. */
struct beginning {
	ucontext_t context;
	void (*entry)(void *self);
	void *self;
};

static __thread struct tmgr__fiber *switched_to;

static void tmgr__switch(struct tmgr__fiber *from, struct tmgr__fiber *to)
{
	ucontext_t context;

	from->sp = &context;
	switched_to = to;
	check(swapcontext(&context, to->sp) == 0);
}

static void begin(void)
{
	struct beginning *beginning = switched_to->sp;

	beginning->entry(beginning->self);
}

static void prepare_stack(
	struct tmgr__fiber *fiber, void *bottom, void *top, void (*entry)(void *self), void *self)
{
	uintptr_t at = ((uintptr_t)top - sizeof(struct beginning)) & ~(uintptr_t)63;
	struct beginning *beginning = (struct beginning *)at;

	check(getcontext(&beginning->context) == 0);
	beginning->entry = entry;
	beginning->self = self;
	beginning->context.uc_stack.ss_sp = bottom;
	beginning->context.uc_stack.ss_size = at - (uintptr_t)bottom;
	beginning->context.uc_link = NULL;
	makecontext(&beginning->context, begin, 0);
	fiber->sp = beginning;
}

#endif

#if defined(TMGR__SWITCH_ASAN)

/* A new fiber's first act: the switch to it has been made. */
struct entered {
	void (*entry)(void *self);
	void *self;
};

static void enter(void *self)
{
	struct entered entered = *(struct entered *)self;

	__sanitizer_finish_switch_fiber(NULL, NULL, NULL);
	entered.entry(entered.self);
}

#endif

void tmgr__fiber_init(
	struct tmgr__fiber *fiber, void *bottom, void *top, void (*entry)(void *self), void *self)
{
#if defined(TMGR__SWITCH_SANITIZED)
	fiber->bottom = bottom;
	fiber->size = (size_t)((char *)top - (char *)bottom);
#endif
#if defined(TMGR__SWITCH_ASAN)
	struct entered *entered = (struct entered *)(void *)((char *)top - 64);

	*entered = (struct entered){ entry, self };
	top = entered;
	entry = enter;
	self = entered;
#endif
#if defined(TMGR__SWITCH_TSAN)
	if (!fiber->sanitizer)
		fiber->sanitizer = __tsan_create_fiber(0);
#endif
	prepare_stack(fiber, bottom, top, entry, self);
}

void tmgr__fiber_init_thread(struct tmgr__fiber *fiber)
{
	memset(fiber, 0, sizeof(*fiber));
#if defined(TMGR__SWITCH_ASAN)
	pthread_attr_t attributes;
	void *bottom;

	check(pthread_getattr_np(pthread_self(), &attributes) == 0);
	pthread_attr_getstack(&attributes, &bottom, &fiber->size);
	pthread_attr_destroy(&attributes);
	fiber->bottom = bottom;
#endif
#if defined(TMGR__SWITCH_TSAN)
	fiber->sanitizer = __tsan_get_current_fiber();
#endif
}

void tmgr__fiber_jumped(struct tmgr__fiber *fiber)
{
#if defined(TMGR__SWITCH_ASAN)
	void *fake_stack;

	/* Not lost: others may refer to what is on it. */
	__sanitizer_start_switch_fiber(&fake_stack, fiber->bottom, fiber->size);
	__sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
#if defined(TMGR__SWITCH_TSAN)
	__tsan_switch_to_fiber(fiber->sanitizer, 0);
#endif
}

void tmgr__fiber_fini(struct tmgr__fiber *fiber)
{
#if defined(TMGR__SWITCH_TSAN)
	if (fiber->sanitizer)
		__tsan_destroy_fiber(fiber->sanitizer);
#endif
	tmgr__fiber_set_sanitizer(fiber, NULL);
}

#if defined(TMGR__SWITCH_NATIVE) && !defined(TMGR__SWITCH_SANITIZED)

_Noreturn void tmgr__fiber_leave(struct tmgr__fiber *from, struct tmgr__fiber *to)
{
	tmgr__switch(from, to);
	__builtin_trap();
}

#else

void tmgr__fiber_switch(struct tmgr__fiber *from, struct tmgr__fiber *to)
{
#if defined(TMGR__SWITCH_ASAN)
	void *fake_stack;

	__sanitizer_start_switch_fiber(&fake_stack, to->bottom, to->size);
#endif
#if defined(TMGR__SWITCH_TSAN)
	__tsan_switch_to_fiber(to->sanitizer, 0);
#endif
	tmgr__switch(from, to);
#if defined(TMGR__SWITCH_ASAN)
	__sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
#endif
}

_Noreturn void tmgr__fiber_leave(struct tmgr__fiber *from, struct tmgr__fiber *to)
{
#if defined(TMGR__SWITCH_ASAN)
	__sanitizer_start_switch_fiber(NULL, to->bottom, to->size);
#endif
#if defined(TMGR__SWITCH_TSAN)
	__tsan_switch_to_fiber(to->sanitizer, 0);
#endif
	tmgr__switch(from, to);
	__builtin_trap();
}

#endif
