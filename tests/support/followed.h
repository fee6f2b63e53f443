/*
 * A log file in a folder of its own, what rotation makes of it, and the tail that follows it.
 */
#ifndef TESTS_SUPPORT_FOLLOWED_H
#define TESTS_SUPPORT_FOLLOWED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal/examples/pkg/tail/follow.h"

#define RECORDS_MAX 128

/*
 * A memory of one path in an array, as the store keeps it in a table. What is taken is durable only
 * after commit(): until then the memory does not tell of it, and a kill takes it back.
 */
struct fixture {
	char directory[64];
	char path[128];
	struct tail_memory memory;
	struct tail_record records[RECORDS_MAX]; /* durable */
	size_t record_count;
	struct tail_record taken[RECORDS_MAX];
	size_t taken_count;
	size_t durable_length; /* of the text */
	int64_t last_id;
	struct tail *tail;
	struct tail_block block;
	unsigned notes[5];
	char *text; /* the lines given since they were last expected, each with its newline */
	size_t length;
	size_t descriptors; /* open before the test */
};

int set_up(void **state);
int tear_down(void **state);

/* What the row of each test with this fixture is in the table of its program. */
#define ON_FILES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* Begin to follow the path anew, with what the memory holds. */
void open_tail(struct fixture *fixture, bool once);

/* Make durable what was taken. */
void commit(struct fixture *fixture);

/* The same after an orderly end, and after a kill. */
void restart(struct fixture *fixture);
void kill_and_restart(struct fixture *fixture);

/* Take one block: its lines, and the record with them. Gives what tail_next() does. */
int take(struct fixture *fixture, int64_t later_ns);

/* Take all there is; drain() makes it durable too. */
void drain_later(struct fixture *fixture, int64_t later_ns);
void drain(struct fixture *fixture);

/* What came since the last call, whole. */
void expect_lines(struct fixture *fixture, const char *expected);

/* The path with a suffix; valid until the call after the next. */
const char *beside(struct fixture *fixture, const char *suffix);

/* Write at the end of a file, which need not exist. */
void append_to(const char *path, const char *text);
void append(struct fixture *fixture, const char *text);

/* Rename the log, and nothing else. */
void rotate(struct fixture *fixture, const char *suffix);

/* copytruncate, as logrotate does it. */
void copy_truncate(struct fixture *fixture, const char *suffix);

#endif
