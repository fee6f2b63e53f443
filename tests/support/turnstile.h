/*
 * A turnstile: a machine for tests that look at one from outside. Its handlers refuse to enter a
 * state, or fail in its state handler, as they are told.
 */
#ifndef TESTS_SUPPORT_TURNSTILE_H
#define TESTS_SUPPORT_TURNSTILE_H

/* From the states file beside this one. */
#include "tests/support/turnstile_machine.h"

/* Which state; TMGR_STATES_END: none. */
struct handling {
	unsigned refuse, fail;
};

/* One with a reference; the handling, which may be NULL, is borrowed as long as it is there. */
struct tmgr_machine *turnstile_make(const char *name, struct handling *handling);

#endif
