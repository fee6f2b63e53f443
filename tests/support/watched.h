/*
 * Who watches a test, where it matters: with a sanitizer or valgrind each stack costs far more than
 * it does for real, so what is done a million times is done less often.
 */
#ifndef TESTS_SUPPORT_WATCHED_H
#define TESTS_SUPPORT_WATCHED_H

#include <stdbool.h>

#include "tests/support/fault.h"

/* Whether a sanitizer of addresses or threads is built in. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED FAULT_TSAN
#endif

/* Whether valgrind runs the program. */
bool on_valgrind(void);

#endif
