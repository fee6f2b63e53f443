/* A test's store on SQLite with steps to commit: each test begins with both, and an open store. */
#ifndef TESTS_SUPPORT_STEPPED_H
#define TESTS_SUPPORT_STEPPED_H

#include "tests/support/steps.h"
#include "tests/support/store_file.h"

struct stepped {
	struct store_file file;
	struct steps steps; /* of three processes */
};

int stepped_setup(void **state);
int stepped_teardown(void **state);
#define stepped_test(function, stepped) \
	cmocka_unit_test_prestate_setup_teardown(function, stepped_setup, stepped_teardown, stepped)

/* Two steps more: what commit() gives. */
int stepped_commit(struct stepped *stepped);

#endif
