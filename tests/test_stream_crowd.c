/*
 * Streams on a loop where others run: of every 256 operations one lets them, at whatever point it is.
 */
#include <errno.h>

#include <taskmgr/host.h>
#include <taskmgr/tasks/stream.h>

#include "tests/support/looped.h"
#include "tests/support/recorded.h"

/* More than run in one turn. */
#define OTHERS 200

struct crowd {
	struct tmgr_stream *streams[2];
	bool enough;
};

static int yield_until_enough(void *self, struct tmgr_context *context)
{
	struct crowd *crowd = self;

	while (!crowd->enough) {
		/* Others' calls fail, too. */
		errno = EBADF;
		tmgr_yield(context);
	}
	return 0;
}

static void begin(struct crowd *crowd, struct tmgr_context *context)
{
	IS(tmgr_stream_pair(NULL, crowd->streams), 0);
	for (int i = 0; i < OTHERS; i++)
		spawn(context, "other", yield_until_enough, crowd);
}

/* The next operation is the one that lets the others run. */
static void let_the_next_yield(struct tmgr_context *context)
{
	IS(tmgr_sleep(context, TMGR_MILLISECOND), 0);
	for (int i = 0; i < 255; i++)
		tmgr_context_count_operation(context);
}

static int read_what_is_there(void *self, struct tmgr_context *context)
{
	struct crowd *crowd = self;
	char buffer[100];
	int64_t began;

	begin(crowd, context);
	/* Less than it asked for: so the next read waits first. */
	IS(tmgr_stream_write(context, crowd->streams[1], "ab", 2, TMGR_NEVER), 0);
	IS(tmgr_stream_read(context, crowd->streams[0], buffer, 100, TMGR_NEVER), 2);
	IS(tmgr_stream_write(context, crowd->streams[1], "c", 1, TMGR_NEVER), 0);
	let_the_next_yield(context);
	began = tmgr_now();
	IS(tmgr_stream_read(context, crowd->streams[0], buffer, 100, tmgr_after(20 * TMGR_SECOND)),
		1);
	IS(tmgr_now() - began < 10 * TMGR_SECOND, true);
	crowd->enough = true;
	tmgr_stream_destroy(crowd->streams[0]);
	tmgr_stream_destroy(crowd->streams[1]);
	return 0;
}

static void a_read_that_lets_others_run_misses_no_event(void **state)
{
	struct crowd crowd = { .enough = false };

	assert_int_equal(looped_main(read_what_is_there, &crowd), 0);
}

/* The peer closes with something unread, and errno is another's by the time the read goes on. */
static int read_after_a_reset(void *self, struct tmgr_context *context)
{
	struct crowd *crowd = self;
	char buffer[2000];

	for (int way = 0; way < 2; way++) {
		crowd->enough = false;
		begin(crowd, context);
		IS(tmgr_stream_write(context, crowd->streams[0], "ab", 2, TMGR_NEVER), 0);
		tmgr_stream_destroy(crowd->streams[1]);
		let_the_next_yield(context);
		/* Through the buffer, and directly. */
		IS(tmgr_stream_read(context, crowd->streams[0], buffer,
			   way == 0 ? 10 : sizeof(buffer), TMGR_NEVER),
			-ECONNRESET);
		crowd->enough = true;
		tmgr_stream_destroy(crowd->streams[0]);
	}
	return 0;
}

static void an_error_is_that_of_the_read_whoever_runs_meanwhile(void **state)
{
	struct crowd crowd = { .enough = false };

	assert_int_equal(looped_main(read_after_a_reset, &crowd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recorded_test(a_read_that_lets_others_run_misses_no_event),
		recorded_test(an_error_is_that_of_the_read_whoever_runs_meanwhile),
	};

	return cmocka_run_group_tests_name("stream_crowd", tests, NULL, NULL);
}
