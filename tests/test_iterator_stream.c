#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <taskmgr/tasks/endpoint.h>
#include <taskmgr/tasks/generator.h>
#include <taskmgr/tasks/iterator.h>

#include "tests/support/actor.h"
#include "tests/support/fault.h"
#include "tests/support/items.h"
#include "tests/support/leak.h"
#include "tests/support/places.h"
#include "tests/support/recorder.h"

static const char text[] = "one\ntwo\n\nthree;four\nlast";

/* Kinds of iterators over a stream that gives the text above. */
enum kind {
	LINES,
	DELIMITED,
	CHUNKS,
	PIECES,
	KINDS,
};

static const struct tmgr_delimiter semicolon = { .bytes = ";", .size = 1, .max = 100 };

static struct tmgr_iterator iterator_over(struct tmgr_stream *stream, enum kind kind)
{
	switch (kind) {
	case LINES:
		return tmgr_lines(stream);
	case DELIMITED:
		return tmgr_delimited(stream, &semicolon);
	case CHUNKS:
		return tmgr_chunks(stream, 10);
	default:
		return tmgr_pieces(stream);
	}
}

static void write_brackets(const struct tmgr_item *item, char *to, size_t size)
{
	snprintf(to, size, "[%.*s]", TMGR_TEXT(*item));
}

struct reading {
	enum kind kind;
	int at; /* how many to read before it is closed */
	struct items_read read;
	char rest[64]; /* what the stream gives afterwards */
	int rest_size;
};

static int stream_of_text(struct tmgr_context *context, struct tmgr_stream **ret_stream)
{
	struct tmgr_stream *pair[2];
	int r = tmgr_stream_pair(NULL, pair);

	if (r < 0)
		return r;
	r = tmgr_stream_write(context, pair[0], text, sizeof(text) - 1, TMGR_NEVER);
	tmgr_stream_destroy(pair[0]);
	*ret_stream = pair[1];
	return r;
}

static int read_text(void *self, struct tmgr_context *context)
{
	struct reading *reading = self;
	struct tmgr_stream *stream;
	const char *rest = "";
	int r = stream_of_text(context, &stream);

	if (r < 0)
		return r;
	if (reading->at < 0)
		reading->read = items_read_all(
			context, iterator_over(stream, reading->kind), write_brackets);
	else
		reading->read = items_read_some(
			context, iterator_over(stream, reading->kind), write_brackets, reading->at);
	reading->rest_size = (int)tmgr_stream_read_all(context, stream, 1000, TMGR_NEVER, &rest);
	if (reading->rest_size > 0)
		snprintf(reading->rest, sizeof(reading->rest), "%.*s", reading->rest_size, rest);
	tmgr_stream_destroy(stream);
	return 0;
}

static void lines_pieces_and_chunks_are_given_to_the_end(void **state)
{
	static const char *const expected[KINDS] = {
		[LINES] = "[one\n] [two\n] [\n] [three;four\n] [last]",
		[DELIMITED] = "[one\ntwo\n\nthree;] [four\nlast]",
		[CHUNKS] = "[one\ntwo\n\nt] [hree;four\n] [last]",
		[PIECES] = "[one\ntwo\n\nthree;four\nlast]",
	};

	(void)state;
	for (enum place place = 0; place < PLACES; place++) {
		for (enum kind kind = 0; kind < KINDS; kind++) {
			struct reading reading = { .kind = kind, .at = -1 };

			assert_int_equal(place_run(place, read_text, &reading), 0);
			assert_string_equal(reading.read.text, expected[kind]);
			assert_int_equal(reading.read.result, 0);
			assert_int_equal(reading.rest_size, 0);
		}
	}
}

/* Without the brackets, and the spaces between items. */
static size_t length_of_items(const struct items_read *read)
{
	return read->length - 2 * (size_t)read->count - (read->count > 0 ? read->count - 1 : 0);
}

static void closed_early_the_stream_has_all_that_was_not_given(void **state)
{
	(void)state;
	for (enum place place = 0; place < PLACES; place++) {
		for (enum kind kind = 0; kind < KINDS; kind++) {
			for (int at = 0; at < 6; at++) {
				struct reading reading = { .kind = kind, .at = at };
				size_t given;

				assert_int_equal(place_run(place, read_text, &reading), 0);
				given = length_of_items(&reading.read);
				assert_string_equal(reading.rest, text + given);
				assert_int_equal(reading.rest_size, sizeof(text) - 1 - given);
			}
		}
	}
}

static int read_too_long(void *self, struct tmgr_context *context)
{
	static const struct tmgr_delimiter short_lines = { .bytes = "\n", .size = 1, .max = 6 };
	struct reading *reading = self;
	struct tmgr_stream *stream;
	const char *rest = "";
	int r = stream_of_text(context, &stream);

	if (r < 0)
		return r;
	reading->read = items_read_all(
		context, tmgr_delimited(stream, &short_lines), write_brackets);
	reading->rest_size = (int)tmgr_stream_read_line(context, stream, 100, TMGR_NEVER, &rest);
	if (reading->rest_size > 0)
		snprintf(reading->rest, sizeof(reading->rest), "%.*s", reading->rest_size, rest);
	tmgr_stream_destroy(stream);
	return 0;
}

static void a_line_that_is_too_long_is_an_error_and_stays_readable(void **state)
{
	(void)state;
	for (enum place place = 0; place < PLACES; place++) {
		struct reading reading = { .at = 0 };

		assert_int_equal(place_run(place, read_too_long, &reading), 0);
		assert_string_equal(reading.read.text, "[one\n] [two\n] [\n]");
		assert_int_equal(reading.read.result, -EMSGSIZE);
		assert_string_equal(reading.rest, "three;four\n");
	}
}

static void bad_arguments_fail(void **state)
{
	static const struct tmgr_delimiter any = { .bytes = "", .size = 1, .max = 1 };
	struct tmgr_iterator bad[6];
	struct tmgr_stream *pair[2];
	struct tmgr_item item;

	(void)state;
	assert_int_equal(tmgr_stream_pair(NULL, pair), 0);
	bad[0] = tmgr_lines(NULL);
	bad[1] = tmgr_delimited(NULL, &any);
	bad[2] = tmgr_delimited(pair[0], NULL);
	bad[3] = tmgr_chunks(pair[0], 0);
	bad[4] = tmgr_pieces(NULL);
	bad[5] = tmgr_dial_lines(NULL);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(tmgr_iterator_next(NULL, &bad[i], &item), -EINVAL);
		tmgr_iterator_close(NULL, &bad[i]);
	}
	tmgr_stream_destroy(pair[0]);
	tmgr_stream_destroy(pair[1]);
}

static void each_allocation_may_fail_and_nothing_is_lost(void **state)
{
	(void)state;
	for (enum kind kind = 0; kind < KINDS; kind++) {
		bool happened = true;

		for (long k = 1; happened; k++) {
			struct tmgr_stream *stream;
			const char *rest = "";
			struct items_read read;
			ssize_t size;

			assert_int_equal(stream_of_text(NULL, &stream), 0);
			fault_fail_allocation(k);
			read = items_read_all(NULL, iterator_over(stream, kind), write_brackets);
			happened = fault_happened();
			fault_off();
			assert_int_equal(read.result, happened ? -ENOMEM : 0);
			size = tmgr_stream_read_all(NULL, stream, 1000, TMGR_NEVER, &rest);
			assert_int_equal(size, sizeof(text) - 1 - length_of_items(&read));
			assert_memory_equal(rest, text + length_of_items(&read), (size_t)size);
			tmgr_stream_destroy(stream);
		}
	}
}

/* ---- Cancel ---------------------------------------------------------------------------------- */

struct cut {
	struct tmgr_stream *stream;
	struct latch waiting;
	int results[2];
	int rest_size;
	char rest[64];
};

/* A line, then a wait for the next, of which a part is there. */
static int read_until_cut(void *self, struct tmgr_context *context)
{
	struct cut *cut = self;
	struct tmgr_iterator lines = tmgr_lines(cut->stream);
	struct tmgr_item item;
	const char *rest = "";

	cut->results[0] = tmgr_iterator_next(context, &lines, &item);
	latch_arrive(&cut->waiting);
	cut->results[1] = tmgr_iterator_next(context, &lines, &item);
	tmgr_iterator_close(context, &lines);
	tmgr_uninterrupted_begin(context, tmgr_after(30 * TMGR_SECOND));
	cut->rest_size = (int)tmgr_stream_peek(context, cut->stream, 4, TMGR_NEVER, &rest);
	if (cut->rest_size > 0)
		snprintf(cut->rest, sizeof(cut->rest), "%.*s", cut->rest_size, rest);
	tmgr_uninterrupted_end(context);
	return 0;
}

static void a_cancelled_wait_loses_nothing(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_stream *pair[2];
	struct cut cut = { .waiting = LATCH_INIT };
	struct runner runner;

	(void)state;
	assert_int_equal(tmgr_stream_pair(NULL, pair), 0);
	cut.stream = pair[1];
	assert_int_equal(tmgr_stream_write(NULL, pair[0], "first\nseco", 10, TMGR_NEVER), 0);
	tmgr_manager_add_task(
		manager, "reader", tmgr_task_function(read_until_cut, &cut), TMGR_ERROR);
	runner_start(&runner, manager, NULL);
	assert_true(latch_arrived(&cut.waiting, 1));
	tmgr_manager_cancel(manager);
	assert_int_equal(runner_join(&runner), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(cut.results[0], 1);
	assert_int_equal(cut.results[1], -ECANCELED);
	assert_string_equal(cut.rest, "seco");
	tmgr_stream_destroy(pair[0]);
	tmgr_stream_destroy(pair[1]);
}

/* ---- In generators --------------------------------------------------------------------------- */

static int double_lines(void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	int yielded = 0, r;

	TMGR_FOR_EACH (line, context, tmgr_lines(self), &r) {
		for (int i = 0; i < 2 && yielded == 0; i++)
			yielded = tmgr_yield_item(generator, line.data, line.size);
		if (yielded < 0)
			break;
	}
	return r < 0 ? r : yielded;
}

static int read_doubled(void *self, struct tmgr_context *context)
{
	struct reading *reading = self;
	struct tmgr_stream *stream;
	const char *rest = "";
	int r = stream_of_text(context, &stream);

	if (r < 0)
		return r;
	reading->read = items_read_some(
		context, tmgr_generator(double_lines, stream), write_brackets, reading->at);
	reading->rest_size = (int)tmgr_stream_read_all(context, stream, 1000, TMGR_NEVER, &rest);
	tmgr_stream_destroy(stream);
	return 0;
}

static void a_generator_over_lines_stops_early_and_loses_nothing(void **state)
{
	(void)state;
	for (enum place place = 0; place < PLACES; place++) {
		struct reading reading = { .at = 3 };

		assert_int_equal(place_run(place, read_doubled, &reading), 0);
		assert_string_equal(reading.read.text, "[one\n] [one\n] [two\n]");
		assert_int_equal(reading.rest_size, strlen("\nthree;four\nlast"));
	}
}

/* ---- Dialling -------------------------------------------------------------------------------- */

/*
 * A server on a thread of its own that sends the text to each who comes, until it is told to end. It
 * allocates nothing, so that a fault hits its clients only.
 */
struct server {
	struct tmgr_listener *listener;
	struct actor actor;
	atomic_bool stop;
	int served;
	struct tmgr_endpoint endpoint;
	char path[64];
};

static void serve(void *self, struct tmgr_context *context)
{
	struct server *server = self;
	int fd = tmgr_listener_fd(server->listener);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	(void)context;
	while (poll(&poll_fd, 1, LATCH_LIMIT_S * 1000) > 0) {
		int connection = accept(fd, NULL, NULL);

		if (connection < 0 || atomic_load(&server->stop)) {
			close(connection);
			return;
		}
		/* Who has read enough may be gone. */
		send(connection, text, sizeof(text) - 1, MSG_NOSIGNAL);
		close(connection);
		server->served++;
	}
}

static void server_start(struct server *server)
{
	*server = (struct server){ .actor = ACTOR_INIT };
	snprintf(server->path, sizeof(server->path), "@iterator-test-%d", (int)getpid());
	server->endpoint = (struct tmgr_endpoint){ .unix_path = server->path };
	assert_int_equal(tmgr_listen(&server->endpoint, NULL, &server->listener), 0);
	actor_start(&server->actor);
	actor_begin(&server->actor, serve, server);
}

static void server_end(struct server *server)
{
	struct tmgr_stream *stream;

	atomic_store(&server->stop, true);
	assert_int_equal(tmgr_connect(NULL, &server->endpoint, NULL, TMGR_NEVER, &stream), 0);
	assert_true(actor_finishes(&server->actor));
	actor_quit(&server->actor);
	tmgr_stream_destroy(stream);
	tmgr_listener_destroy(server->listener);
}

struct dialling {
	const struct tmgr_endpoint *endpoint;
	int at;
	struct items_read read;
};

static int dial(void *self, struct tmgr_context *context)
{
	struct dialling *dialling = self;
	char path[64], host[64];
	struct tmgr_endpoint endpoint = *dialling->endpoint;
	struct tmgr_iterator lines;

	/* It is copied. */
	if (endpoint.unix_path)
		endpoint.unix_path = strcpy(path, endpoint.unix_path);
	if (endpoint.host)
		endpoint.host = strcpy(host, endpoint.host);
	lines = tmgr_dial_lines(&endpoint);
	memset(path, 'X', sizeof(path));
	memset(host, 'X', sizeof(host));
	dialling->read = items_read_some(context, lines, write_brackets, dialling->at);
	return 0;
}

static void dialling_connects_at_the_first_item_and_gives_lines(void **state)
{
	struct server server;

	(void)state;
	server_start(&server);
	for (enum place place = 0; place < PLACES; place++) {
		for (int at = 0; at < 11; at += 5) {
			struct dialling dialling = { .endpoint = &server.endpoint, .at = at };

			assert_int_equal(place_run(place, dial, &dialling), 0);
			assert_int_equal(dialling.read.count, at < 5 ? at : 5);
			assert_int_equal(dialling.read.result, at == 5);
		}
	}
	server_end(&server);
	/* Those that asked for nothing did not connect. */
	assert_int_equal(server.served, 2 * PLACES);
}

static void an_error_of_connecting_ends_it(void **state)
{
	const struct tmgr_endpoint nobody = { .unix_path = "@nobody-listens-here" };
	const struct tmgr_endpoint no_port = { .host = "127.0.0.1" };

	(void)state;
	for (enum place place = 0; place < PLACES; place++) {
		struct dialling dialling = { .endpoint = &nobody, .at = 3 };

		assert_int_equal(place_run(place, dial, &dialling), 0);
		assert_int_equal(dialling.read.count, 0);
		assert_int_equal(dialling.read.result, -ECONNREFUSED);
		dialling.endpoint = &no_port;
		assert_int_equal(place_run(place, dial, &dialling), 0);
		assert_int_equal(dialling.read.result, -EINVAL);
	}
}

static void each_allocation_of_dialling_may_fail(void **state)
{
	struct server server;
	bool happened = true;
	long k;

	(void)state;
	server_start(&server);
	for (k = 1; happened; k++) {
		struct dialling dialling = { .endpoint = &server.endpoint, .at = 9 };

		fault_fail_allocation(k);
		dial(&dialling, NULL);
		happened = fault_happened();
		fault_off();
		assert_int_equal(dialling.read.result, happened ? -ENOMEM : 0);
		assert_int_equal(dialling.read.count, happened ? 0 : 5);
	}
	server_end(&server);
	/* Its own memory, the stream's, and that which is read into. */
	assert_true(k > 3);
}

/* The first wait of a thread outside of tasks makes a descriptor, which stays. */
static void wait_once(void)
{
	int fds[2];

	if (pipe(fds) == 0) {
		tmgr_wait_fd(NULL, fds[0], TMGR_FD_READ, tmgr_after(TMGR_MILLISECOND));
		close(fds[0]);
		close(fds[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(lines_pieces_and_chunks_are_given_to_the_end),
		leak_test(closed_early_the_stream_has_all_that_was_not_given),
		leak_test(a_line_that_is_too_long_is_an_error_and_stays_readable),
		leak_test(bad_arguments_fail),
		leak_test(each_allocation_may_fail_and_nothing_is_lost),
		leak_test(a_cancelled_wait_loses_nothing),
		leak_test(a_generator_over_lines_stops_early_and_loses_nothing),
		leak_test(dialling_connects_at_the_first_item_and_gives_lines),
		leak_test(an_error_of_connecting_ends_it),
		leak_test(each_allocation_of_dialling_may_fail),
	};

	wait_once();
	return cmocka_run_group_tests_name("iterators over streams", tests, NULL, NULL);
}
