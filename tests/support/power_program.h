/*
 * A short program for tests that cut the power: batches of random steps into a store, what was
 * acknowledged of them, and what was on its way.
 */
#ifndef TESTS_SUPPORT_POWER_PROGRAM_H
#define TESTS_SUPPORT_POWER_PROGRAM_H

#include "tests/support/power.h"
#include "tests/support/random_steps.h"
#include "tests/support/store_file.h"

struct power_program {
	struct random_steps random;
	struct rows_model acknowledged, attempted;
	uint64_t acknowledged_sequence, attempted_sequence;
};

/* The fixture of a test with a file that such a program does a lot to: *state is the file. */
int power_program_setup(void **state);
int power_program_teardown(void **state);
#define power_program_test(function, file)        \
	cmocka_unit_test_prestate_setup_teardown( \
		function, power_program_setup, power_program_teardown, file)

/* Options that make such a program do a lot to the disk. */
struct tmgr_store_sqlite_options power_program_options(void);
/* Run it until it ends or the disk does. */
void power_program_play(struct power_program *program, struct tmgr_store *store, int batches);
/* Give an open store the batch that was on its way again. What commit() gives. */
int power_program_repeat(struct power_program *program, struct tmgr_store *store);
void power_program_forget(struct power_program *program);
/*
 * Whether a program that opens what survives such a loss finds what was acknowledged, or that and the
 * batch that was on its way. The mark that the file is in doubt may have survived too.
 */
bool power_program_survives(struct power_program *program, enum power_loss loss, unsigned *seed);

#endif
