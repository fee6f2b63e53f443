/*
 * The fixture of every test: nothing is left behind. Descriptors, threads and allocations are
 * counted before the test and after it.
 */
#ifndef TESTS_SUPPORT_LEAK_H
#define TESTS_SUPPORT_LEAK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int leak_setup(void **state);
int leak_teardown(void **state);

/* Descriptors that are open, and threads that live, in this process. */
int leak_descriptors(void);
int leak_threads(void);
/* Descriptors that a program which is started would get. */
int leak_inherited(void);

/* What each test's row in the table of its program is. */
#define leak_test(function) cmocka_unit_test_setup_teardown(function, leak_setup, leak_teardown)

#endif
