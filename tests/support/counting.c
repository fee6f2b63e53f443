#include "tests/support/counting.h"

static int pause_a_little(const struct numbers *numbers, struct tmgr_context *context)
{
	if (numbers->sleep_ns < 0)
		return tmgr_yield(context);
	return numbers->sleep_ns > 0 ? tmgr_sleep(context, numbers->sleep_ns) : 0;
}

int numbers_count_up(void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	struct numbers *numbers = self;

	numbers->begun++;
	for (int n = 1; n <= numbers->count; n++) {
		numbers->current &= tmgr_context_current() == context;
		numbers->slept = pause_a_little(numbers, context);
		if (numbers->slept < 0 && !numbers->ignore)
			break;
		numbers->yielded = tmgr_yield_item(generator, &n, sizeof(n));
		if (numbers->yielded < 0 && !numbers->ignore)
			break;
	}
	numbers->current &= tmgr_context_current() == context;
	if (numbers->flush && context) {
		tmgr_uninterrupted_begin(context, tmgr_after(30 * TMGR_SECOND));
		numbers->flushed = tmgr_sleep(context, TMGR_MILLISECOND);
		tmgr_uninterrupted_end(context);
	}
	numbers->ended++;
	if (numbers->slept < 0)
		return numbers->slept;
	if (numbers->yielded < 0)
		return numbers->yielded;
	return numbers->fail_text ? tmgr_fail(context, numbers->end, "%s", numbers->fail_text)
				  : numbers->end;
}

struct tmgr_iterator numbers_iterator(struct numbers *numbers)
{
	return tmgr_generator(numbers_count_up, numbers);
}
