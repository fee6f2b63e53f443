#include "tests/support/recorded.h"

struct recorder recorder = RECORDER_INIT;

int recorded_setup(void **state)
{
	wrong = 0;
	recorder_clear(&recorder);
	return leak_setup(state);
}

int recorded_teardown(void **state)
{
	return leak_teardown(state) + (wrong != 0);
}
