/*
 * To be preloaded into a test program: its threads are held up at random where they meet each other,
 * the kernel or the clock, as they are on a machine that has much else to do. What a test proves does
 * not depend on that; where one fails, it or the library takes something for granted that is none.
 *
 * HELD_UP_SEED    which moments, roughly: the kernel still has its say
 * HELD_UP_FACTOR  how many times as often (1)
 * HELD_UP_MAX_MS  all threads of a process together are held up for no longer than that (6000)
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t seed = 1, factor = 1, allowed_us = 6000000;
static uint64_t threads, spent_us;
static __thread uint64_t state;
static __thread bool lame; /* held up often, for its whole life */

static uint64_t number_in(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void begin(void)
{
	seed = number_in("HELD_UP_SEED", seed);
	factor = number_in("HELD_UP_FACTOR", factor);
	allowed_us = number_in("HELD_UP_MAX_MS", allowed_us / 1000) * 1000;
}

static uint64_t scramble(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * UINT64_C(0x2545F4914F6CDD1D) >> 20;
}

/* Xorshift; each thread, in the order of their first calls, has a sequence of its own. */
static uint64_t draw(void)
{
	if (state == 0) {
		uint64_t number = __atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED);

		state = seed * UINT64_C(0x9E3779B97F4A7C15) ^
			number * UINT64_C(0xBF58476D1CE4E5B9) ^ ((uint64_t)getpid() << 20);
		state |= 1;
		for (int i = 0; i < 8; i++)
			scramble();
		lame = scramble() % 4 == 0;
	}
	return scramble();
}

/* As the system call, past what stands in for it here, and no cancellation point. */
static void sleep_us(uint64_t us)
{
	struct timespec time = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };
	static long (*real)(long, ...);

	if (__atomic_add_fetch(&spent_us, us, __ATOMIC_RELAXED) > allowed_us)
		return;
	if (!real)
		real = (long (*)(long, ...))(uintptr_t)dlsym(RTLD_NEXT, "syscall");
	real(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time, NULL);
}

/* Once in so many times; 0: never. Mostly for less than a millisecond, now and then for many. */
static void hold_up(uint64_t once_in)
{
	int saved = errno;
	uint64_t number;

	if (once_in == 0)
		return;
	number = draw();
	once_in = once_in / (factor * (lame ? 8 : 1)) + 1;
	if (number % once_in != 0)
		return;
	number = draw();
	if (number % 8 == 0)
		sleep_us(20000 + number / 8 % 30000);
	else if (number % 8 < 4)
		sleep_us(2000 + number / 8 % 4000);
	else
		sleep_us(100 + number / 8 % 1000);
	errno = saved;
}

/* Each is declared elsewhere, with names that are not ours. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name,bugprone-macro-parentheses) */
#define STAND_IN(type, name, parameters, arguments, before, after)                     \
	type name parameters                                                           \
	{                                                                              \
		static type(*real) parameters;                                         \
		type r;                                                                \
                                                                                       \
		if (!real)                                                             \
			real = (type(*) parameters)(uintptr_t)dlsym(RTLD_NEXT, #name); \
		hold_up(before);                                                       \
		r = real arguments;                                                    \
		hold_up(after);                                                        \
		return r;                                                              \
	}

/* Time, and sleeping. */
STAND_IN(int, clock_gettime, (clockid_t id, struct timespec *time), (id, time), 0, 60)
STAND_IN(int, nanosleep, (const struct timespec *time, struct timespec *left), (time, left), 0, 6)
STAND_IN(int, clock_nanosleep,
	(clockid_t id, int flags, const struct timespec *time, struct timespec *left),
	(id, flags, time, left), 0, 6)

/* Threads of the program that meet. */
STAND_IN(int, pthread_mutex_lock, (pthread_mutex_t * mutex), (mutex), 200, 0)
STAND_IN(int, pthread_mutex_unlock, (pthread_mutex_t * mutex), (mutex), 0, 200)
STAND_IN(int, pthread_cond_signal, (pthread_cond_t * cond), (cond), 0, 20)

/* Descriptors. */
STAND_IN(int, epoll_wait, (int epoll, struct epoll_event *events, int max, int ms),
	(epoll, events, max, ms), 20, 20)
STAND_IN(int, epoll_pwait,
	(int epoll, struct epoll_event *events, int max, int ms, const sigset_t *set),
	(epoll, events, max, ms, set), 20, 20)
STAND_IN(int, poll, (struct pollfd * fds, nfds_t count, int ms), (fds, count, ms), 20, 20)
STAND_IN(int, ppoll,
	(struct pollfd * fds, nfds_t count, const struct timespec *time, const sigset_t *set),
	(fds, count, time, set), 20, 20)
STAND_IN(ssize_t, read, (int fd, void *data, size_t size), (fd, data, size), 40, 40)
STAND_IN(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), 40, 40)
STAND_IN(ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags),
	40, 40)
STAND_IN(int, fdatasync, (int fd), (fd), 0, 4)

/* Processes and signals. */
STAND_IN(int, kill, (pid_t pid, int signo), (pid, signo), 0, 6)
STAND_IN(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options), 0, 8)

pid_t fork(void)
{
	static pid_t (*real)(void);
	pid_t pid;

	if (!real)
		real = (pid_t(*)(void))(uintptr_t)dlsym(RTLD_NEXT, "fork");
	pid = real();
	if (pid == 0)
		state = spent_us = 0;
	hold_up(3);
	return pid;
}

/* Futexes come this way. */
long syscall(long number, ...)
{
	static long (*real)(long, ...);
	uint64_t once_in = number == SYS_futex ? 30 : 0;
	long argument[6], r;
	va_list list;

	if (!real)
		real = (long (*)(long, ...))(uintptr_t)dlsym(RTLD_NEXT, "syscall");
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(list, long);
	va_end(list);
	hold_up(once_in);
	r = real(number, argument[0], argument[1], argument[2], argument[3], argument[4],
		argument[5]);
	hold_up(once_in);
	return r;
}

struct start {
	void *(*function)(void *self);
	void *self;
};

static void *run(void *self)
{
	struct start start = *(struct start *)self;

	free(self);
	hold_up(2);
	return start.function(start.self);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
	void *(*function)(void *self), void *self)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	struct start *start = malloc(sizeof(*start));
	int r;

	if (!real)
		real = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))(
			uintptr_t)dlsym(RTLD_NEXT, "pthread_create");
	if (!start)
		return EAGAIN;
	*start = (struct start){ function, self };
	hold_up(8);
	r = real(thread, attributes, run, start);
	if (r != 0)
		free(start);
	hold_up(4);
	return r;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name,bugprone-macro-parentheses) */
