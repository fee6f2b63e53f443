/*
 * The fixture of tests whose coroutines record, and say with IS() what is wrong: each begins with
 * nothing recorded, and fails where something was wrong or is left behind.
 */
#ifndef TESTS_SUPPORT_RECORDED_H
#define TESTS_SUPPORT_RECORDED_H

#include "tests/support/expect.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

extern struct recorder recorder;

int recorded_setup(void **state);
int recorded_teardown(void **state);

#define recorded_test(function) \
	cmocka_unit_test_setup_teardown(function, recorded_setup, recorded_teardown)

#endif
