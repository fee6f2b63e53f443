/*
 * Invariants of our own, checked in release builds too: a broken one stops the program with its
 * place.
 */
#ifndef TMGR__CHECK_H
#define TMGR__CHECK_H

#include <stddef.h>

#define check(condition)                                                    \
	do {                                                                \
		if (__builtin_expect(!(condition), 0))                      \
			tmgr__check_failed(#condition, __FILE__, __LINE__); \
	} while (0)

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(n) (1u << (n))
#define container_of(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

_Noreturn void tmgr__check_failed(const char *condition, const char *file, int line);

/* A bug of the caller: says which rule was broken, and stops the program. */
_Noreturn void tmgr__misuse(const char *rule, const char *name);
/* A function waits with the context of another, which has this name. */
_Noreturn void tmgr__misuse_context(const char *name);

#endif
