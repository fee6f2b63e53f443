/*
 * What methods of durable processes write down, outside of all processes: kept over kills. And the
 * counter, a process for tests of steps.
 */
#ifndef TESTS_SUPPORT_SEEN_H
#define TESTS_SUPPORT_SEEN_H

#include <taskmgr/tasks/process_runtime.h>

#include "tests/support/leak.h"

extern char seen[4096];

void see(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A test begins with nothing seen. */
int seen_setup(void **state);

#define seen_test(function) cmocka_unit_test_setup_teardown(function, seen_setup, leak_teardown)

/* Counts its start and what is sent to its channel "count"; after an hour without, that is its result. */
struct counter {
	int64_t count;
};

extern const struct tmgr_state_field counter_fields[1];
extern const struct tmgr_process_definition counter_definition;

/* Ends with the count as the result. */
tmgr_method counter_done;

#endif
