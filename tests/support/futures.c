#include "tests/support/futures.h"

#include "tests/support/leak.h"

int futures_answer = 42;
struct tmgr_future futures[FUTURES];

void futures_fresh(void)
{
	for (int i = 0; i < FUTURES; i++)
		tmgr_future_init(&futures[i]);
}

void futures_fini(void)
{
	for (int i = 0; i < FUTURES; i++)
		tmgr_future_fini(&futures[i]);
}

void futures_complete(int i, int error)
{
	assert_int_equal(
		tmgr_future_complete(&futures[i], error, error == 0 ? &futures_answer : NULL), 0);
}
