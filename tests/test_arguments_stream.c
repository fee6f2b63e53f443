/*
 * As test_arguments, for streams, endpoints, names, iterators and generators.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <taskmgr/manager.h>
#include <taskmgr/tasks/endpoint.h>
#include <taskmgr/tasks/generator.h>
#include <taskmgr/tasks/iterator.h>

#include "tests/support/expect.h"
#include "tests/support/leak.h"

static int no_handler(void *self, struct tmgr_context *context, struct tmgr_stream *stream)
{
	return 0;
}

/* ---- Streams -------------------------------------------------------------------------------- */

static void of_making_streams(void)
{
	struct tmgr_stream *stream = NULL, *pair[2] = { NULL, NULL };

	IS(tmgr_stream_from_fd(-1, NULL, &stream), -EBADF);
	IS(tmgr_stream_from_fd(1000000, NULL, &stream), -EBADF);
	IS(tmgr_stream_from_fd(0, NULL, NULL), -EINVAL);
	IS(tmgr_stream_pair(NULL, NULL), -EINVAL);
	IS(tmgr_stream_pipe(NULL, NULL, &pair[0]), -EINVAL);
	IS(tmgr_stream_pipe(NULL, &pair[0], NULL), -EINVAL);
	IS(stream == NULL && pair[0] == NULL && pair[1] == NULL, 1);
}

static void of_streams_that_are_null(void)
{
	const struct tmgr_delimiter delimiter = { "\n", 1, 10 };
	struct tmgr_address address;
	const char *data = NULL;
	char buffer[4];

	tmgr_stream_destroy(NULL);
	IS(tmgr_stream_close(NULL, NULL, TMGR_NOW), 0);
	IS(tmgr_stream_detach(NULL), -EINVAL);
	IS(tmgr_stream_fd(NULL), -EINVAL);
	IS(tmgr_stream_stopping(NULL), false);
	IS(tmgr_stream_read(NULL, NULL, buffer, 1, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_read_exactly(NULL, NULL, buffer, 1, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_read_until(NULL, NULL, &delimiter, TMGR_NOW, &data), -EINVAL);
	IS(tmgr_stream_read_line(NULL, NULL, 1, TMGR_NOW, &data), -EINVAL);
	IS(tmgr_stream_read_all(NULL, NULL, 1, TMGR_NOW, &data), -EINVAL);
	IS(tmgr_stream_peek(NULL, NULL, 1, TMGR_NOW, &data), -EINVAL);
	IS(tmgr_stream_consume(NULL, 0), -EINVAL);
	IS(tmgr_stream_write(NULL, NULL, "", 1, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_writev(NULL, NULL, NULL, 0, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_put(NULL, NULL, "", 1, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_flush(NULL, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_resume(NULL), 0);
	IS(tmgr_stream_unwritten(NULL), 0);
	IS(tmgr_stream_shutdown(NULL, NULL, TMGR_STREAM_INPUT, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_peer(NULL, &address), -EINVAL);
	IS(data == NULL, 1);
}

static void of_reading(struct tmgr_stream *stream)
{
	struct tmgr_delimiter delimiter = { NULL, 1, 10 };
	const char *data = NULL;
	char buffer[4] = "abc";

	IS(tmgr_stream_read(NULL, stream, NULL, 1, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_read(NULL, stream, buffer, 0, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_read(NULL, stream, buffer, 1, TMGR_NOW), -ETIMEDOUT);
	IS(tmgr_stream_read_exactly(NULL, stream, NULL, 1, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_read_exactly(NULL, stream, buffer, 0, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_read_exactly(NULL, stream, buffer, 4, TMGR_NOW), -ETIMEDOUT);
	IS(tmgr_stream_read_until(NULL, stream, NULL, TMGR_NOW, &data), -EINVAL);
	IS(tmgr_stream_read_until(NULL, stream, &delimiter, TMGR_NOW, &data), -EINVAL);
	delimiter = (struct tmgr_delimiter){ "\n", 0, 10 };
	IS(tmgr_stream_read_until(NULL, stream, &delimiter, TMGR_NOW, &data), -EINVAL);
	delimiter = (struct tmgr_delimiter){ "\n", 1, 0 };
	IS(tmgr_stream_read_until(NULL, stream, &delimiter, TMGR_NOW, &data), -EINVAL);
	delimiter = (struct tmgr_delimiter){ "\n", 1, 10 };
	IS(tmgr_stream_read_until(NULL, stream, &delimiter, TMGR_NOW, NULL), -EINVAL);
	IS(tmgr_stream_read_until(NULL, stream, &delimiter, TMGR_NOW, &data), -ETIMEDOUT);
	IS(tmgr_stream_read_line(NULL, stream, 0, TMGR_NOW, &data), -EINVAL);
	IS(tmgr_stream_read_line(NULL, stream, 1, TMGR_NOW, NULL), -EINVAL);
	IS(tmgr_stream_read_all(NULL, stream, 0, TMGR_NOW, &data), -EINVAL);
	IS(tmgr_stream_read_all(NULL, stream, 1, TMGR_NOW, NULL), -EINVAL);
	IS(tmgr_stream_peek(NULL, stream, 1, TMGR_NOW, NULL), -EINVAL);
	IS(tmgr_stream_peek(NULL, stream, 0, TMGR_NOW, &data), 0);
	IS(tmgr_stream_consume(stream, 1), -EINVAL);
	IS(tmgr_stream_consume(stream, 0), 0);
	IS_TEXT(buffer, "abc");
}

static void of_writing(struct tmgr_stream *stream)
{
	char byte;
	const struct iovec huge[] = { { &byte, SIZE_MAX }, { &byte, SIZE_MAX } };

	IS(tmgr_stream_write(NULL, stream, NULL, 1, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_write(NULL, stream, NULL, 0, TMGR_NOW), 0);
	IS(tmgr_stream_writev(NULL, stream, NULL, 1, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_writev(NULL, stream, NULL, 0, TMGR_NOW), 0);
	IS(tmgr_stream_writev(NULL, stream, huge, 2, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_put(NULL, stream, NULL, 1, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_flush(NULL, stream, TMGR_NOW), 0);
	IS(tmgr_stream_unwritten(stream), 0);
	IS(tmgr_stream_resume(stream), 0);
	IS(tmgr_stream_shutdown(NULL, stream, 0, TMGR_NOW), -EINVAL);
	IS(tmgr_stream_shutdown(NULL, stream, 4, TMGR_NOW), -EINVAL);
}

static void of_streams(void)
{
	struct tmgr_stream *pair[2], *input, *output;
	struct tmgr_address address;
	char byte;
	int fd;

	IS(tmgr_stream_pair(NULL, pair), 0);
	of_reading(pair[0]);
	of_writing(pair[0]);
	IS(tmgr_stream_read(NULL, pair[1], &byte, 1, TMGR_NOW), -ETIMEDOUT);
	IS(tmgr_stream_peer(pair[0], NULL), -EINVAL);
	IS(tmgr_stream_write(NULL, pair[0], "xy", 2, TMGR_NOW), 0);
	IS(tmgr_stream_peek(NULL, pair[1], 1, TMGR_NEVER, &(const char *){ NULL }), 2);
	IS(tmgr_stream_detach(pair[1]), -EBUSY);
	IS(tmgr_stream_consume(pair[1], 3), -EINVAL);
	IS(tmgr_stream_consume(pair[1], 2), 0);
	fd = tmgr_stream_fd(pair[1]);
	IS(tmgr_stream_detach(pair[1]), fd);
	close(fd);
	IS(tmgr_stream_write(NULL, pair[0], "xy", 2, TMGR_NOW), -EPIPE);
	tmgr_stream_destroy(pair[0]);

	IS(tmgr_stream_pipe(NULL, &input, &output), 0);
	IS(tmgr_stream_shutdown(NULL, output, TMGR_STREAM_OUTPUT, TMGR_NOW), -EOPNOTSUPP);
	IS(tmgr_stream_peer(output, &address), -ENOTSOCK);
	IS(tmgr_stream_close(NULL, output, TMGR_NOW), 0);
	IS(tmgr_stream_read(NULL, input, &byte, 1, TMGR_NEVER), 0);
	tmgr_stream_destroy(input);
}

/* ---- Endpoints and names -------------------------------------------------------------------- */

static void of_endpoints(void)
{
	static char long_path[200];
	const struct {
		struct tmgr_endpoint endpoint;
		int connect, listen;
	} bad[] = {
		{ { .port = 80 }, -EINVAL, 0 }, /* to listen: on all addresses */
		{ { .host = "127.0.0.1" }, -EINVAL, 0 },
		{ { .host = "127.0.0.1", .port = 65536 }, -EINVAL, -EINVAL },
		{ { .host = "127.0.0.1", .port = 80, .unix_path = "@x" }, -EINVAL, -EINVAL },
		{ { .unix_path = long_path }, -ENAMETOOLONG, -ENAMETOOLONG },
		{ { .host = "localhost.invalid", .port = 80 }, 0, -EINVAL },
	};
	const struct tmgr_connect_options early = { .stagger_ns = -1 };
	struct tmgr_endpoint good = { .host = "127.0.0.1", .port = 1 };
	const struct tmgr_listen_options backlog = { .backlog = -1 };
	struct tmgr_listener *listener = NULL;
	struct tmgr_stream *stream = NULL;

	memset(long_path, 'x', sizeof(long_path) - 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (bad[i].connect < 0)
			IS(tmgr_connect(NULL, &bad[i].endpoint, NULL, TMGR_NEVER, &stream),
				bad[i].connect);
		if (bad[i].listen < 0)
			IS(tmgr_listen(&bad[i].endpoint, NULL, &listener), bad[i].listen);
	}
	IS(tmgr_connect(NULL, NULL, NULL, TMGR_NEVER, &stream), -EINVAL);
	IS(tmgr_connect(NULL, &good, NULL, TMGR_NEVER, NULL), -EINVAL);
	IS(tmgr_connect(NULL, &good, &early, TMGR_NEVER, &stream), -EINVAL);
	IS(tmgr_listen(NULL, NULL, &listener), -EINVAL);
	IS(tmgr_listen(&good, NULL, NULL), -EINVAL);
	IS(tmgr_listen(&good, &backlog, &listener), -EINVAL);
	IS(listener == NULL && stream == NULL, 1);
}

static void of_listeners(void)
{
	const struct tmgr_endpoint any = { .host = "127.0.0.1" };
	struct tmgr_serve_options serve = { .handler = no_handler };
	struct tmgr_listener *listener = NULL;
	struct tmgr_stream *stream = NULL;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	IS(tmgr_listener_from_fd(-1, NULL, &listener), -EBADF);
	IS(tmgr_listener_from_fd(fd, NULL, NULL), -EINVAL);
	IS(tmgr_listener_from_fd(fd, NULL, &listener), -EINVAL); /* it does not listen */
	IS(tmgr_listener_from_fd(null, NULL, &listener), -ENOTSOCK);
	IS(listener == NULL, 1);
	close(fd);
	close(null);
	IS(tmgr_listener_port(NULL), -EINVAL);
	IS(tmgr_listener_fd(NULL), -EINVAL);
	tmgr_listener_destroy(NULL);
	IS(tmgr_accept(NULL, NULL, TMGR_NOW, &stream), -EINVAL);
	IS(tmgr_listen(&any, NULL, &listener), 0);
	IS(tmgr_accept(NULL, listener, TMGR_NOW, NULL), -EINVAL);
	IS(tmgr_accept(NULL, listener, TMGR_NOW, &stream), -ETIMEDOUT);
	IS(tmgr_serve(NULL, listener, &serve), -EINVAL);
	IS(stream == NULL, 1);
	tmgr_listener_destroy(listener);
}

static void of_names(void)
{
	struct tmgr_addresses *addresses = NULL;
	static char too_long[257];

	memset(too_long, 'x', sizeof(too_long) - 1);
	IS(tmgr_resolve(NULL, NULL, 1, TMGR_NOW, &addresses), -EINVAL);
	IS(tmgr_resolve(NULL, "", 1, TMGR_NOW, &addresses), -EINVAL);
	IS(tmgr_resolve(NULL, too_long, 1, TMGR_NOW, &addresses), -EINVAL);
	IS(tmgr_resolve(NULL, "127.0.0.1", 65536, TMGR_NOW, &addresses), -EINVAL);
	IS(tmgr_resolve(NULL, "127.0.0.1", 1, TMGR_NOW, NULL), -EINVAL);
	IS(addresses == NULL, 1);
	IS(tmgr_resolve(NULL, "127.0.0.1", 65535, TMGR_NEVER, &addresses), 0);
	IS(addresses->count, 1);
	tmgr_addresses_destroy(addresses);
	tmgr_addresses_destroy(NULL);
}

static int of_serving(void *self, struct tmgr_context *context)
{
	const struct tmgr_endpoint any = { .host = "127.0.0.1" };
	struct tmgr_serve_options serve = { .handler = NULL };
	struct tmgr_listener *listener = NULL;

	IS(tmgr_listen(&any, NULL, &listener), 0);
	IS(tmgr_serve(context, NULL, &serve), -EINVAL);
	IS(tmgr_serve(context, listener, NULL), -EINVAL);
	IS(tmgr_serve(context, listener, &serve), -EINVAL);
	serve = (struct tmgr_serve_options){ .handler = no_handler, .drain_ns = -1 };
	IS(tmgr_serve(context, listener, &serve), -EINVAL);
	serve.drain_ns = 0;
	IS(tmgr_manager_cancel(tmgr_context_manager(context)), 0);
	IS(tmgr_sleep(context, TMGR_NEVER), -ECANCELED);
	IS(tmgr_serve(context, listener, &serve), -ECANCELED);
	tmgr_listener_destroy(listener);
	return 0;
}

/* ---- Iterators ------------------------------------------------------------------------------ */

static int first_of(struct tmgr_iterator iterator)
{
	struct tmgr_item item;
	int r = tmgr_iterator_next(NULL, &iterator, &item);

	tmgr_iterator_close(NULL, &iterator);
	return r;
}

static void of_iterators_that_are_bad(void)
{
	const struct tmgr_delimiter delimiter = { "\n", 0, 1 };
	const struct tmgr_endpoint nowhere = { .host = NULL };
	struct tmgr_iterator closed = { NULL, NULL, 0 };
	struct tmgr_item item = { "x", 1 };

	IS(tmgr_iterator_next(NULL, NULL, &item), -EINVAL);
	IS(tmgr_iterator_next(NULL, &closed, &item), -EINVAL);
	IS(item.size, 1);
	tmgr_iterator_close(NULL, NULL);
	tmgr_iterator_close(NULL, &closed);
	IS(first_of(tmgr_iterator_failed(-EIO)), -EIO);
	IS(first_of(tmgr_iterator_failed(0)), -EINVAL);
	IS(first_of(tmgr_iterator_failed(1)), -EINVAL);
	IS(first_of(tmgr_range(0, 1, 0)), -EINVAL);
	IS(first_of(tmgr_range(0, 0, 1)), 0);
	IS(first_of(tmgr_count(INT64_MAX, 1)), 1);
	IS(first_of(tmgr_elements(NULL, 1, 1)), -EINVAL);
	IS(first_of(tmgr_elements(NULL, 0, 1)), 0);
	IS(first_of(tmgr_lines(NULL)), -EINVAL);
	IS(first_of(tmgr_delimited(NULL, &delimiter)), -EINVAL);
	IS(first_of(tmgr_chunks(NULL, 1)), -EINVAL);
	IS(first_of(tmgr_pieces(NULL)), -EINVAL);
	IS(first_of(tmgr_dial_lines(NULL)), -EINVAL);
	IS(first_of(tmgr_dial_lines(&nowhere)), -EINVAL);
	IS(first_of(tmgr_generator(NULL, NULL)), -EINVAL);
	IS(tmgr_item_expect(&item, 1, 1) == &item, 1);
	IS(tmgr_item_of("ab", 2).size, 2);
}

static void of_combinators(void)
{
	const struct tmgr_iterator bad = tmgr_iterator_failed(-EIO);
	int error = 0;

	IS(first_of(tmgr_map(tmgr_range(0, 1, 1), NULL, NULL)), -EINVAL);
	IS(first_of(tmgr_filter(tmgr_range(0, 1, 1), NULL, NULL)), -EINVAL);
	IS(first_of(tmgr_flat_map(tmgr_range(0, 1, 1), NULL, NULL)), -EINVAL);
	IS(first_of(tmgr_chain_all(NULL, 1)), -EINVAL);
	IS(first_of(tmgr_chain_all(NULL, 0)), 0);
	IS(first_of(tmgr_chain(bad, tmgr_range(0, 1, 1))), -EIO);
	IS(first_of(tmgr_flatten(tmgr_range(0, 1, 1))), -EINVAL);
	IS(first_of(tmgr_zip(bad, tmgr_range(0, 1, 1))), -EIO);
	IS(first_of(tmgr_zip_longest(tmgr_range(0, 1, 1), bad)), -EIO);
	IS(first_of(tmgr_enumerate(bad)), -EIO);
	IS(first_of(tmgr_unique(bad)), -EIO);
	IS(first_of(tmgr_take(bad, 0)), 0);
	IS(first_of(tmgr_take(bad, 1)), -EIO);
	IS(first_of(tmgr_until_error(tmgr_range(0, 1, 1), NULL)), -EINVAL);
	IS(first_of(tmgr_until_error(bad, &error)), 0);
	IS(error, -EIO);
}

static int no_item(void *self, struct tmgr_context *context, const struct tmgr_item *item)
{
	return 0;
}

static void of_where_items_go(void)
{
	struct tmgr_item *items = NULL;
	struct tmgr_each each;
	size_t count = 7;
	int result = 7;

	IS(tmgr_for_each(NULL, tmgr_range(0, 1, 1), NULL, NULL), -EINVAL);
	IS(tmgr_for_each(NULL, tmgr_iterator_failed(-EIO), no_item, NULL), -EIO);
	IS(tmgr_collect(NULL, tmgr_range(0, 1, 1), NULL, &count), -EINVAL);
	IS(tmgr_collect(NULL, tmgr_range(0, 1, 1), &items, NULL), -EINVAL);
	IS(tmgr_collect(NULL, tmgr_iterator_failed(-EIO), &items, &count), -EIO);
	IS(items == NULL && count == 7, 1);
	each = tmgr_each_begin(NULL, tmgr_iterator_failed(-EIO), &result);
	IS(result, 0);
	IS(tmgr_each_next(&each), false);
	IS(tmgr_each_next(&each), false);
	tmgr_each_end(&each);
	IS(result, -EIO);
	each = tmgr_each_begin(NULL, tmgr_iterator_failed(-EIO), NULL);
	IS(tmgr_each_next(&each), false);
	tmgr_each_end(&each);
}

static int bad_yields(void *self, struct tmgr_context *context, struct tmgr_generator *generator)
{
	int *yields = self;

	*yields += tmgr_yield_item(NULL, "x", 1) == -EINVAL;
	*yields += tmgr_yield_all(NULL, tmgr_range(0, 1, 1)) == -EINVAL;
	*yields += tmgr_yield_all(generator, tmgr_iterator_failed(-EIO)) == -EIO;
	return 0;
}

static void of_generators(void)
{
	const struct tmgr_generator_options small = { .stack_size = 1 };
	int yields = 0;

	IS(first_of(tmgr_generator_with(NULL, NULL, NULL)), -EINVAL);
	IS(first_of(tmgr_generator_with(bad_yields, &yields, &small)), -EINVAL);
	IS(yields, 0);
	IS(first_of(tmgr_generator_with(bad_yields, &yields, NULL)), 0);
	IS(yields, 3);
}

static void each_bad_argument_of_streams_and_endpoints_gives_its_error(void **state)
{
	(void)state;
	wrong = 0;
	of_making_streams();
	of_streams_that_are_null();
	of_streams();
	of_endpoints();
	of_listeners();
	of_names();
	assert_int_equal(wrong, 0);
}

static void each_bad_argument_of_serving_gives_its_error(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)state;
	wrong = 0;
	tmgr_manager_add_task(manager, "server", tmgr_task_function(of_serving, NULL), TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(wrong, 0);
}

static void each_bad_argument_of_iterators_gives_its_error(void **state)
{
	(void)state;
	wrong = 0;
	of_iterators_that_are_bad();
	of_combinators();
	of_where_items_go();
	of_generators();
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_bad_argument_of_streams_and_endpoints_gives_its_error),
		leak_test(each_bad_argument_of_serving_gives_its_error),
		leak_test(each_bad_argument_of_iterators_gives_its_error),
	};

	return cmocka_run_group_tests_name("arguments stream", tests, NULL, NULL);
}
