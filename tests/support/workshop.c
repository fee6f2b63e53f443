#include <errno.h>

#include "tests/support/leak.h"
#include "tests/support/workshop.h"

void open_shop(struct workshop *shop, size_t capacity)
{
	assert_int_equal(tmgr_channel_create(sizeof(int), capacity, &shop->channel), 0);
}

int work(void *self, struct tmgr_context *context, void *job)
{
	struct workshop *shop = self;
	int number = *(int *)job;
	int r = 0;

	latch_arrive(&shop->begun);
	if (shop->hold != NULL && number >= shop->held_from)
		latch_wait(shop->hold);
	if (shop->takes_ns > 0)
		r = tmgr_sleep(context, shop->takes_ns);
	if (r == -ECANCELED)
		atomic_fetch_add(&shop->cancelled, 1);
	if (r != 0)
		return r;
	if (number == shop->fails)
		return tmgr_fail(context, -EIO, "job %d", number);
	atomic_fetch_add(&shop->done, 1);
	atomic_fetch_add(&shop->times[number], 1);
	return 0;
}

void drop(void *self, void *job)
{
	struct workshop *shop = self;

	(void)job;
	atomic_fetch_add(&shop->dropped, 1);
}

int submit(struct workshop *shop, int number, int64_t deadline)
{
	return tmgr_channel_send(NULL, shop->channel, &number, deadline);
}

void submit_all(struct workshop *shop, int count)
{
	for (int i = 1; i <= count; i++)
		assert_int_equal(submit(shop, i, tmgr_after(30 * TMGR_SECOND)), 0);
}
