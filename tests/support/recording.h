/*
 * Recordings of machines in a file of the test's own: the fixture of tests that write one, read all
 * of it, change its bytes, and let the disk be full.
 */
#ifndef TESTS_SUPPORT_RECORDING_H
#define TESTS_SUPPORT_RECORDING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include <taskmgr/tasks/machine_telemetry.h>

/* Makes an empty file, whose path is the test's state; and removes it. */
int recording_setup(void **state);
int recording_teardown(void **state);

#define recording_test(function) \
	cmocka_unit_test_setup_teardown(function, recording_setup, recording_teardown)

/* Have a machine recorded into a file, as of a fixed time of the day. */
struct tmgr_machine_recorder *recording_make(
	struct tmgr_machine *machine, const char *path, size_t buffer_max);

/* What reading a file gave. */
struct recording_read {
	int sessions, steps, damages;
	uint64_t lost, last, offset; /* of the last damage */
	int error;
	char problem[64];
	char text[512]; /* of the last step */
};

void recording_read(const char *path, struct recording_read *reading);

/* All of a file; its size. */
size_t recording_bytes(const char *path, unsigned char *data, size_t size);

/* Have a file hold this. It is never empty in between: some filesystems write one that was to the disk. */
void recording_replace(const char *path, const unsigned char *data, size_t size);

/* How large a file of this process may become. */
void recording_limit(rlim_t size);

#endif
