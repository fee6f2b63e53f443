#include "tests/support/waitables.h"

#include <errno.h>

#include <taskmgr/channel.h>
#include <taskmgr/queue.h>
#include <taskmgr/several.h>
#include <taskmgr/shield.h>
#include <taskmgr/sync.h>

#include "tests/support/leak.h"

static struct tmgr_mutex mutex;

static void init_mutex(void)
{
	tmgr_mutex_init(&mutex);
	assert_int_equal(tmgr_mutex_lock(NULL, &mutex, TMGR_NOW), 0);
}

static int wait_mutex(struct tmgr_context *context, int64_t deadline)
{
	return tmgr_mutex_lock(context, &mutex, deadline);
}

static void end_mutex(void)
{
	assert_int_equal(tmgr_mutex_unlock(NULL, &mutex), 0);
}

static void after_mutex(struct tmgr_context *context)
{
	tmgr_mutex_unlock(context, &mutex);
}

static void fini_mutex(void)
{
	/* Nobody took it where all waits failed. */
	tmgr_mutex_unlock(NULL, &mutex);
	tmgr_mutex_fini(&mutex);
}

static struct tmgr_semaphore semaphore;

static void init_semaphore(void)
{
	tmgr_semaphore_init(&semaphore, 0);
}

static int wait_semaphore(struct tmgr_context *context, int64_t deadline)
{
	return tmgr_semaphore_acquire(context, &semaphore, deadline);
}

static void end_semaphore(void)
{
	assert_int_equal(tmgr_semaphore_release(&semaphore), 0);
}

static void after_semaphore(struct tmgr_context *context)
{
	(void)context;
	tmgr_semaphore_release(&semaphore);
}

static void fini_semaphore(void)
{
	tmgr_semaphore_fini(&semaphore);
}

static struct tmgr_flag flag;

static void init_flag(void)
{
	tmgr_flag_init(&flag);
}

static int wait_flag(struct tmgr_context *context, int64_t deadline)
{
	return tmgr_flag_wait(context, &flag, deadline);
}

static void end_flag(void)
{
	assert_int_equal(tmgr_flag_set(&flag), 0);
}

static void fini_flag(void)
{
	tmgr_flag_fini(&flag);
}

static struct tmgr_queue *queue;

static void init_empty_queue(void)
{
	assert_int_equal(tmgr_queue_create(sizeof(int), 0, &queue), 0);
}

static void init_full_queue(void)
{
	int item = 1;

	assert_int_equal(tmgr_queue_create(sizeof(int), 1, &queue), 0);
	assert_int_equal(tmgr_queue_put(NULL, queue, &item, TMGR_NOW), 0);
}

static void init_busy_queue(void)
{
	int item = 1;

	init_empty_queue();
	assert_int_equal(tmgr_queue_put(NULL, queue, &item, TMGR_NOW), 0);
	assert_int_equal(tmgr_queue_get(NULL, queue, &item, TMGR_NOW), 0);
}

static int wait_to_get(struct tmgr_context *context, int64_t deadline)
{
	int item = 0, r = tmgr_queue_get(context, queue, &item, deadline);

	return r == 0 && item != 5 ? -EBADMSG : r;
}

static int wait_to_put(struct tmgr_context *context, int64_t deadline)
{
	int item = 5;

	return tmgr_queue_put(context, queue, &item, deadline);
}

static int wait_to_join(struct tmgr_context *context, int64_t deadline)
{
	return tmgr_queue_join(context, queue, deadline);
}

static void end_get(void)
{
	int item = 5;

	assert_int_equal(tmgr_queue_put(NULL, queue, &item, TMGR_NOW), 0);
}

static void end_put(void)
{
	int item;

	assert_int_equal(tmgr_queue_get(NULL, queue, &item, TMGR_NOW), 0);
	assert_int_equal(item, 1);
}

static void end_join(void)
{
	assert_int_equal(tmgr_queue_done(queue), 0);
}

static void fini_queue(void)
{
	tmgr_queue_unref(queue);
}

static struct tmgr_channel *channel;

static void init_channel(void)
{
	assert_int_equal(tmgr_channel_create(sizeof(int), 1, &channel), 0);
}

static void init_full_channel(void)
{
	int item = 1;

	init_channel();
	assert_int_equal(tmgr_channel_send(NULL, channel, &item, TMGR_NOW), 0);
}

static int wait_to_receive(struct tmgr_context *context, int64_t deadline)
{
	int item = 0, r = tmgr_channel_receive(context, channel, &item, deadline);

	return r == 0 && item != 5 ? -EBADMSG : r;
}

static int wait_to_send(struct tmgr_context *context, int64_t deadline)
{
	int item = 5;

	return tmgr_channel_send(context, channel, &item, deadline);
}

static int wait_to_select(struct tmgr_context *context, int64_t deadline)
{
	int item = 0;
	struct tmgr_select_case cases[] = {
		{ .op = TMGR_SELECT_AFTER, .at = TMGR_NEVER },
		{ .op = TMGR_SELECT_RECEIVE, .channel = channel, .item = &item },
	};
	int r = tmgr_select(context, cases, 2, deadline);

	return r < 0 ? r : r == 1 && item == 5 ? 0 : -EBADMSG;
}

static void end_receive(void)
{
	int item = 5;

	assert_int_equal(tmgr_channel_send(NULL, channel, &item, TMGR_NOW), 0);
}

static void end_send(void)
{
	int item;

	assert_int_equal(tmgr_channel_receive(NULL, channel, &item, TMGR_NOW), 0);
	assert_int_equal(item, 1);
}

static void fini_channel(void)
{
	tmgr_channel_unref(channel);
}

static struct tmgr_future future;
static struct tmgr_shield shield;

static void init_future(void)
{
	tmgr_future_init(&future);
	assert_int_equal(tmgr_shield_init(&shield, &future), 0);
}

static int wait_future(struct tmgr_context *context, int64_t deadline)
{
	return tmgr_future_wait(context, &future, deadline);
}

static int wait_shield(struct tmgr_context *context, int64_t deadline)
{
	return tmgr_future_wait(context, &shield.future, deadline);
}

static int wait_several(struct tmgr_context *context, int64_t deadline)
{
	struct tmgr_several_case cases[2] = { { .future = &future }, { .future = &shield.future } };
	struct tmgr_several several = { .cases = cases, .count = 2 };

	return tmgr_wait_several(context, &several, TMGR_SEVERAL_ALL, deadline);
}

static void end_future(void)
{
	assert_int_equal(tmgr_future_complete(&future, -EIO, NULL), 0);
}

static void fini_future(void)
{
	tmgr_shield_fini(&shield);
	tmgr_future_fini(&future);
}

const struct waitable waitables[WAITABLES] = {
	{ "mutex", "mutex", init_mutex, wait_mutex, end_mutex, after_mutex, fini_mutex, false },
	{ "semaphore", "semaphore", init_semaphore, wait_semaphore, end_semaphore, after_semaphore,
		fini_semaphore, true },
	{ "flag", "flag", init_flag, wait_flag, end_flag, NULL, fini_flag, false },
	{ "get", "queue", init_empty_queue, wait_to_get, end_get, NULL, fini_queue, true },
	{ "put", "queue", init_full_queue, wait_to_put, end_put, NULL, fini_queue, true },
	{ "receive", "channel", init_channel, wait_to_receive, end_receive, NULL, fini_channel,
		true },
	{ "send", "channel", init_full_channel, wait_to_send, end_send, NULL, fini_channel, true },
	{ "select", "select", init_channel, wait_to_select, end_receive, NULL, fini_channel, true },
	{ "future", "future", init_future, wait_future, end_future, NULL, fini_future, false },
	{ "shield", "future", init_future, wait_shield, end_future, NULL, fini_future, false },
	{ "several", "futures", init_future, wait_several, end_future, NULL, fini_future, false },
	{ "join", "queue", init_busy_queue, wait_to_join, end_join, NULL, fini_queue, false },
};
