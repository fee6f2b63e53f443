/*
 * Waiting for several at once, of which one fails: a future, a coroutine, and another future, that
 * ends with an error and yet has a value.
 */
#include <errno.h>
#include <stdio.h>

#include "internal/examples/pkg/onloop/onloop.h"

/* What is waited for, and where the values go. */
struct results {
	struct tmgr_future first, third;
	struct tmgr_coroutine *second;
	const char *text;
	int number;
};

static int complete_first(void *self, struct tmgr_context *context)
{
	static const char *text = "test";
	static int number = 20;
	struct results *results = self;
	int r = tmgr_sleep(context, 100 * TMGR_MILLISECOND);

	if (r < 0)
		return r;
	tmgr_future_complete(&results->first, 0, &text);
	return tmgr_coroutine_set_value(context, &number);
}

static int complete_third(void *self, struct tmgr_context *context)
{
	static double number = 25.5;
	struct results *results = self;
	int r = tmgr_sleep(context, 100 * TMGR_MILLISECOND);

	tmgr_future_complete(&results->third, -EIO, &number);
	return r;
}

static int wait_for_all(struct tmgr_context *context, struct results *results)
{
	struct tmgr_future *second = tmgr_coroutine_future(results->second);
	struct tmgr_several_case cases[] = {
		{ .future = &results->first },
		{ .future = second },
		{ .future = &results->third },
	};
	struct tmgr_several several = { .cases = cases, .count = 3 };
	struct tmgr_future_write writes[2];
	void *third = NULL;
	int r;

	tmgr_future_write_to(&results->first, &writes[0], &results->text, sizeof(results->text));
	tmgr_future_write_to(second, &writes[1], &results->number, sizeof(results->number));
	r = tmgr_wait_several(context, &several, TMGR_SEVERAL_ALL, TMGR_NEVER);
	if (r == 0) {
		tmgr_future_result(&results->third, NULL, &third);
		printf("results: %s %d %.1f\n", results->text, results->number, *(double *)third);
		printf("error: %s\n", tmgr_strerror(several.error));
	}
	/* Cancelled before: nothing is to be written here any more. */
	tmgr_future_remove_write(&results->first, &writes[0]);
	tmgr_future_remove_write(second, &writes[1]);
	return r;
}

static int run(void *self, struct tmgr_context *context)
{
	static struct results results;
	int r = tmgr_coroutine_spawn(context, complete_first, &results, NULL, &results.second);

	if (r < 0)
		return r;
	r = tmgr_coroutine_spawn(context, complete_third, &results, NULL, NULL);
	if (r == 0)
		r = wait_for_all(context, &results);
	tmgr_coroutine_unref(results.second);
	return r;
}

int main(void)
{
	return onloop_main(run);
}
