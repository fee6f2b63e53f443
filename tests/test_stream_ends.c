/*
 * Reads that end early lose nothing; ends of the input, errors of the connection, and memory.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/expect.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/links.h"

#define NEVER TMGR_NEVER

/* ---- Ending early --------------------------------------------------------------------------- */

static ssize_t late_read(int way, struct two *two, struct tmgr_context *context, int64_t deadline)
{
	struct tmgr_delimiter end = { "END", 3, 100 };
	char buffer[100];
	const char *data;

	switch (way) {
	case 0:
		return tmgr_stream_read_exactly(context, two->streams[0], buffer, 10, deadline);
	case 1:
		return tmgr_stream_read_line(context, two->streams[0], 100, deadline, &data);
	case 2:
		return tmgr_stream_read_until(context, two->streams[0], &end, deadline, &data);
	case 3:
		return tmgr_stream_read_all(context, two->streams[0], 100, deadline, &data);
	default:
		return tmgr_stream_peek(context, two->streams[0], 10, deadline, &data);
	}
}

static int be_late(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	char buffer[100];

	for (int way = 0; way < 5; way++) {
		int64_t soon = tmgr_after(TMGR_MILLISECOND);

		IS(late_read(way, two, context, TMGR_NOW), -ETIMEDOUT);
		two_write(context, two, "ab");
		IS(late_read(way, two, context, TMGR_NOW), -ETIMEDOUT);
		two_write(context, two, "cd");
		IS(late_read(way, two, context, soon), -ETIMEDOUT);
		IS(tmgr_now() >= soon, true);
		IS(tmgr_stream_read(context, two->streams[0], buffer, 100, TMGR_NOW), 4);
		IS(memcmp(buffer, "abcd", 4), 0);
		IS(tmgr_stream_read(context, two->streams[0], buffer, 100, TMGR_NOW), -ETIMEDOUT);
		/* What has come is there even for one that is late already. */
		two_write(context, two, "ef");
		IS(tmgr_stream_read(context, two->streams[0], buffer, 100, TMGR_NOW), 2);
	}
	two_end(two);
	return 0;
}

static void a_read_that_is_late_loses_nothing(void **state)
{
	assert_true(on_all_links(LINK_PIPE, NULL, be_late));
}

struct cut {
	struct two two;
	int way;
	ssize_t r, again;
	char rest[100];
	ssize_t left;
};

static int read_until_cancelled(void *self, struct tmgr_context *context)
{
	struct cut *cut = self;

	cut->r = late_read(cut->way, &cut->two, context, NEVER);
	cut->again = late_read(cut->way, &cut->two, context, NEVER);
	tmgr_uninterrupted_begin(context, NEVER);
	cut->left = tmgr_stream_read(context, cut->two.streams[0], cut->rest, 100, NEVER);
	tmgr_uninterrupted_end(context);
	two_end(&cut->two);
	return 0;
}

static void a_read_that_is_cancelled_loses_nothing(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = 0; kind < LINKS; kind++)
			for (int way = 0; way < 5; way++) {
				struct cut cut = { .way = way };
				struct crew crew;

				two_begin(&cut.two, (enum link_kind)kind, NULL);
				assert_int_equal(
					write(tmgr_stream_fd(cut.two.streams[1]), "abcd", 4), 4);
				assert_true(
					crew_begin_waiting(&crew, h, read_until_cancelled, &cut));
				crew_cancel(&crew, 0);
				assert_int_equal(crew_end(&crew), 0);
				assert_int_equal(cut.r, -ECANCELED);
				assert_int_equal(cut.again, -ECANCELED);
				assert_int_equal(cut.left, 4);
				assert_memory_equal(cut.rest, "abcd", 4);
			}
}

/* ---- Ends and errors ------------------------------------------------------------------------ */

static int read_byte(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	char byte;

	two->seen[0] = tmgr_stream_read(context, two->streams[0], &byte, 1, NEVER);
	return 0;
}

static int read_busy(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	const char *data;
	char byte;

	IS(tmgr_stream_read(context, two->streams[0], &byte, 1, NEVER), -EBUSY);
	IS(tmgr_stream_peek(context, two->streams[0], 1, NEVER, &data), -EBUSY);
	IS(tmgr_stream_read_line(context, two->streams[0], 1, NEVER, &data), -EBUSY);
	return 0;
}

static void a_second_reader_is_refused_and_does_not_disturb_the_first(void **state)
{
	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct crew crew;
		struct two two;

		two_begin(&two, LINK_UNIX, NULL);
		assert_true(crew_begin_waiting(&crew, h, read_byte, &two));
		crew_add(&crew, read_busy, &two);
		crew_join(&crew, 1);
		assert_int_equal(write(tmgr_stream_fd(two.streams[1]), "x", 1), 1);
		assert_int_equal(crew_end(&crew), 0);
		assert_int_equal(two.seen[0], 1);
		two_end(&two);
	}
	assert_int_equal(wrong, 0);
}

static int read_from_half_open(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	char buffer[16];

	two_write(context, two, "last words");
	IS(tmgr_stream_shutdown(context, two->streams[1], TMGR_STREAM_OUTPUT, NEVER), 0);
	IS(two_write(context, two, "more"), -EPIPE);
	IS(tmgr_stream_read(context, two->streams[0], buffer, 16, NEVER), 10);
	IS(tmgr_stream_read(context, two->streams[0], buffer, 16, NEVER), 0);
	IS(tmgr_stream_read(context, two->streams[0], buffer, 16, NEVER), 0);
	/* The other way is open. */
	IS(tmgr_stream_write(context, two->streams[0], "answer", 6, NEVER), 0);
	IS(tmgr_stream_read_exactly(context, two->streams[1], buffer, 6, NEVER), 6);
	IS(tmgr_stream_shutdown(context, two->streams[1], TMGR_STREAM_INPUT, NEVER), 0);
	IS(tmgr_stream_read(context, two->streams[1], buffer, 6, NEVER), 0);
	IS(tmgr_stream_shutdown(context, two->streams[1], 0, NEVER), -EINVAL);
	IS(tmgr_stream_shutdown(context, two->streams[1], 4, NEVER), -EINVAL);
	two_end(two);
	return 0;
}

static void one_side_can_be_shut_down(void **state)
{
	assert_true(on_all_links(LINK_UNIX, NULL, read_from_half_open));
}

static int read_after_reset(void *self, struct tmgr_context *context)
{
	struct linger at_once = { .l_onoff = 1 };
	struct two *two = self;
	char buffer[16];

	two_write(context, two, "abc");
	IS(tmgr_stream_peek(context, two->streams[0], 3, NEVER, &(const char *){ NULL }), 3);
	setsockopt(
		tmgr_stream_fd(two->streams[1]), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	tmgr_stream_destroy(two->streams[1]);
	/* What had come is given first; then the error, again and again. */
	IS(tmgr_stream_read_exactly(context, two->streams[0], buffer, 4, NEVER), -ECONNRESET);
	IS(tmgr_stream_read(context, two->streams[0], buffer, 16, NEVER), 3);
	IS(tmgr_stream_read(context, two->streams[0], buffer, 16, NEVER), -ECONNRESET);
	IS(tmgr_stream_read(context, two->streams[0], buffer, 2000, NEVER), -ECONNRESET);
	IS(tmgr_stream_write(context, two->streams[0], "x", 1, NEVER), -EPIPE);
	IS(tmgr_stream_write(context, two->streams[0], "x", 1, NEVER), -EPIPE);
	tmgr_stream_destroy(two->streams[0]);
	return 0;
}

static void a_reset_is_told_after_what_had_come(void **state)
{
	assert_true(on_all_links(LINK_TCP, NULL, read_after_reset));
}

static void a_stream_may_be_ended_on_any_thread_and_belongs_to_one_loop(void **state)
{
	struct crew crew, other;
	struct two two;

	two_begin(&two, LINK_TCP, NULL);
	assert_true(crew_begin_waiting(&crew, 1, read_byte, &two));
	assert_int_equal(write(tmgr_stream_fd(two.streams[1]), "x", 1), 1);
	crew_join(&crew, 0);
	assert_int_equal(two.seen[0], 1);
	crew_begin(&other, 1);
	crew_add(&other, read_byte, &two);
	assert_int_equal(crew_end(&other), 0);
	assert_int_equal(two.seen[0], -EXDEV);
	/* Its loop runs, and looks at it. */
	tmgr_stream_destroy(two.streams[0]);
	tmgr_stream_destroy(two.streams[1]);
	assert_int_equal(crew_end(&crew), 0);
}

/* One of two loops, each of which watches a stream that the other ends. */
struct across {
	struct two two;
	struct across *other;
	struct latch *both;
};

static int end_the_others(void *self, struct tmgr_context *context)
{
	struct across *across = self;
	int64_t soon = tmgr_after(TMGR_MILLISECOND);
	char byte;

	/* From now on it is watched, though nobody waits. */
	across->two.seen[0] = tmgr_stream_read(context, across->two.streams[0], &byte, 1, soon);
	latch_arrive(across->both);
	across->two.seen[1] = latch_arrived(across->both, 2);
	tmgr_stream_destroy(across->other->two.streams[0]);
	return 0;
}

static void two_loops_may_each_end_a_stream_of_the_other(void **state)
{
	struct across acrosses[2];
	struct crew crews[2];
	struct latch both;

	latch_init(&both);
	for (int i = 0; i < 2; i++) {
		two_begin(&acrosses[i].two, LINK_UNIX, NULL);
		acrosses[i].other = &acrosses[1 - i];
		acrosses[i].both = &both;
	}
	for (int i = 0; i < 2; i++) {
		crew_begin(&crews[i], 1);
		crew_add(&crews[i], end_the_others, &acrosses[i]);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(crew_end(&crews[i]), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(acrosses[i].two.seen[0], -ETIMEDOUT);
		assert_int_equal(acrosses[i].two.seen[1], true);
		tmgr_stream_destroy(acrosses[i].two.streams[1]);
	}
}

static int shut_down_input(void *self, struct tmgr_context *context)
{
	struct two *two = self;

	return tmgr_stream_shutdown(context, two->streams[0], TMGR_STREAM_INPUT, NEVER);
}

static void shutting_the_input_down_ends_a_read(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int kind = LINK_UNIX; kind < LINKS; kind++) {
			struct crew crew;
			struct two two;

			two_begin(&two, (enum link_kind)kind, NULL);
			assert_true(crew_begin_waiting(&crew, h, read_byte, &two));
			crew_add(&crew, shut_down_input, &two);
			assert_int_equal(crew_end(&crew), 0);
			assert_int_equal(two.seen[0], 0);
			assert_int_equal(crew.results[1], 0);
			two_end(&two);
		}
}

/* ---- Memory --------------------------------------------------------------------------------- */

static int read_without_memory(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	const char *data;
	char buffer[1024];

	two_write(context, two, "abc");
	fault_fail_all_allocations(true);
	IS(tmgr_stream_read_line(context, two->streams[0], 100, NEVER, &data), -ENOMEM);
	IS(tmgr_stream_peek(context, two->streams[0], 1, NEVER, &data), -ENOMEM);
	/* Less than a buffer's worth, and more: both need none. */
	IS(tmgr_stream_read(context, two->streams[0], buffer, 2, NEVER), 2);
	IS(tmgr_stream_read(context, two->streams[0], buffer, sizeof(buffer), NEVER), 1);
	fault_off();
	IS(buffer[0], 'c');
	two_end(two);
	return 0;
}

static void a_read_without_memory_for_its_buffer_loses_nothing(void **state)
{
	assert_true(on_all_links(LINK_PIPE, NULL, read_without_memory));
}

static int read_idle(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	const char *data;
	long live;

	live = fault_live();
	two_write(context, two, "abc\n");
	IS(tmgr_stream_read_line(context, two->streams[0], 100, NEVER, &data), 4);
	IS(tmgr_stream_read_line(context, two->streams[0], 100, TMGR_NOW, &data), -ETIMEDOUT);
	IS(fault_live(), live);
	two_write(context, two, "ab");
	IS(tmgr_stream_read_line(context, two->streams[0], 100, TMGR_NOW, &data), -ETIMEDOUT);
	two_write(context, two, "c\n");
	IS(tmgr_stream_read_line(context, two->streams[0], 100, TMGR_NOW, &data), 4);
	IS(memcmp(data, "abc\n", 4), 0);
	two_end(two);
	return 0;
}

static void an_idle_stream_gives_its_buffer_back(void **state)
{
	struct tmgr_stream_options options = { .release_idle = true, .read_buffer = 3 };

	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct two two;

		two_begin(&two, LINK_TCP, &options);
		assert_int_equal(crew_run(h, read_idle, &two, NULL, NULL), 0);
	}
	assert_int_equal(wrong, 0);
}

static int read_without_allocating(void *self, struct tmgr_context *context)
{
	struct two *two = self;
	char buffer[1024];
	const char *line;
	long before = 0;

	for (int i = 0; i < 20; i++) {
		if (i == 10)
			before = fault_allocations();
		two_write(context, two, "abc\n");
		IS(tmgr_stream_read_line(context, two->streams[0], 100, NEVER, &line), 4);
		two_write(context, two, "abc\n");
		IS(tmgr_stream_read(context, two->streams[0], buffer, sizeof(buffer), NEVER), 4);
		IS(tmgr_stream_read(context, two->streams[0], buffer, 10, TMGR_NOW), -ETIMEDOUT);
	}
	IS(fault_allocations(), before);
	two_end(two);
	return 0;
}

static void reading_and_writing_allocate_nothing(void **state)
{
	assert_true(on_all_links(LINK_PIPE, NULL, read_without_allocating));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_read_that_is_late_loses_nothing),
		leak_test(a_read_that_is_cancelled_loses_nothing),
		leak_test(a_second_reader_is_refused_and_does_not_disturb_the_first),
		leak_test(one_side_can_be_shut_down),
		leak_test(a_reset_is_told_after_what_had_come),
		leak_test(a_stream_may_be_ended_on_any_thread_and_belongs_to_one_loop),
		leak_test(two_loops_may_each_end_a_stream_of_the_other),
		leak_test(shutting_the_input_down_ends_a_read),
		leak_test(a_read_without_memory_for_its_buffer_loses_nothing),
		leak_test(an_idle_stream_gives_its_buffer_back),
		leak_test(reading_and_writing_allocate_nothing),
	};

	return cmocka_run_group_tests_name("stream_ends", tests, crew_warm_up, NULL);
}
