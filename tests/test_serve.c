/*
 * Serving: a handler for each connection, on threads and on loops; the maximum, the stop, the
 * drain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <taskmgr/future.h>

#include "tests/support/crew.h"
#include "tests/support/expect.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/links.h"
#include "tests/support/looped.h"

#define NEVER TMGR_NEVER
#define CLIENTS 20

struct service {
	struct tmgr_endpoint at;
	struct tmgr_listener *listener;
	struct tmgr_serve_options options;
	struct crew crew;
	int r;
	atomic_int begun, ended, at_once, most, cancelled, stopping;
	struct tmgr_future hold;
};

static int serve(void *self, struct tmgr_context *context)
{
	struct service *service = self;

	service->r = tmgr_serve(context, service->listener, &service->options);
	return service->r == -ECANCELED ? -ECANCELED : 0;
}

static void begin(struct service *service, int host,
	int (*handler)(void *self, struct tmgr_context *context, struct tmgr_stream *stream))
{
	service->r = 77;
	service->listener = listen_here(&service->at);
	service->options.handler = handler;
	service->options.self = service;
	tmgr_future_init(&service->hold);
	crew_begin(&service->crew, host);
	crew_add(&service->crew, serve, service);
}

static void end(struct service *service)
{
	crew_cancel(&service->crew, 0);
	assert_int_equal(crew_end(&service->crew), 0);
	tmgr_listener_destroy(service->listener);
	assert_int_equal(atomic_load(&service->begun), atomic_load(&service->ended));
}

static void count_in(struct service *service)
{
	int at_once = atomic_fetch_add(&service->at_once, 1) + 1;

	if (at_once > atomic_load(&service->most))
		atomic_store(&service->most, at_once);
	atomic_fetch_add(&service->begun, 1);
}

static int count_out(struct service *service, int r)
{
	atomic_fetch_sub(&service->at_once, 1);
	if (r == -ECANCELED)
		atomic_fetch_add(&service->cancelled, 1);
	atomic_fetch_add(&service->ended, 1);
	return r;
}

/* Answer each line with itself. */
static int echo(void *self, struct tmgr_context *context, struct tmgr_stream *stream)
{
	struct service *service = self;
	const char *line;
	ssize_t n;
	int r = 0;

	count_in(service);
	do {
		n = tmgr_stream_read_line(context, stream, 100, NEVER, &line);
		if (n > 0)
			r = tmgr_stream_write(context, stream, line, (size_t)n, NEVER);
	} while (n > 0 && r == 0);
	if (tmgr_stream_stopping(stream))
		atomic_fetch_add(&service->stopping, 1);
	return count_out(service, n < 0 ? (int)n : r);
}

static struct tmgr_stream *client(struct service *service)
{
	struct tmgr_stream *stream;

	if (tmgr_connect(NULL, &service->at, NULL, NEVER, &stream) < 0)
		abort();
	return stream;
}

/* Allocates nothing, so that faults are the server's. */
static bool answers(struct tmgr_stream *stream)
{
	int64_t limit = tmgr_after(LATCH_LIMIT_S * TMGR_SECOND);
	static const char ping[] = "ping\n";
	char buffer[1024];
	size_t length = 0;

	if (tmgr_stream_write(NULL, stream, ping, 5, limit) < 0)
		return false;
	while (length < 5) {
		ssize_t n = tmgr_stream_read(NULL, stream, buffer, sizeof(buffer), limit);

		if (n <= 0 || memcmp(buffer, ping + length, (size_t)n) != 0)
			return false;
		length += (size_t)n;
	}
	return true;
}

static bool has_ended(struct tmgr_stream *stream)
{
	char byte;

	return tmgr_stream_read(NULL, stream, &byte, 1, tmgr_after(LATCH_LIMIT_S * TMGR_SECOND)) <=
	       0;
}

static void each_connection_has_a_handler_beside_the_others(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct service service = { .r = 0 };
		struct tmgr_stream *clients[CLIENTS];

		begin(&service, h, echo);
		for (int i = 0; i < CLIENTS; i++)
			clients[i] = client(&service);
		for (int round = 0; round < 3; round++)
			for (int i = CLIENTS - 1; i >= 0; i--)
				assert_true(answers(clients[i]));
		for (int i = 0; i < CLIENTS; i++)
			tmgr_stream_destroy(clients[i]);
		end(&service);
		assert_int_equal(service.r, -ECANCELED);
		assert_int_equal(service.begun, CLIENTS);
		assert_int_equal(service.most, CLIENTS);
	}
}

static void a_cancel_ends_all_handlers(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct service service = { .r = 0 };
		struct tmgr_stream *clients[CLIENTS];

		begin(&service, h, echo);
		for (int i = 0; i < CLIENTS; i++) {
			clients[i] = client(&service);
			assert_true(answers(clients[i]));
		}
		end(&service);
		assert_int_equal(service.r, -ECANCELED);
		assert_int_equal(service.cancelled, CLIENTS);
		for (int i = 0; i < CLIENTS; i++) {
			assert_true(has_ended(clients[i]));
			tmgr_stream_destroy(clients[i]);
		}
	}
}

static void no_more_than_the_maximum_are_served_at_once(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct service service = { .options = { .connections_max = 3 } };
		struct tmgr_stream *clients[CLIENTS];

		begin(&service, h, echo);
		for (int i = 0; i < CLIENTS; i++)
			clients[i] = client(&service);
		for (int i = 0; i < 3; i++)
			assert_true(answers(clients[i]));
		/* It waits for one of these to end, and accepts nobody. */
		assert_true(crew_waits(&service.crew, 0, "future"));
		for (int i = 0; i < CLIENTS; i++) {
			assert_true(answers(clients[i]));
			tmgr_stream_destroy(clients[i]);
		}
		end(&service);
		assert_int_equal(service.begun, CLIENTS);
		assert_int_equal(service.most, 3);
		/* Cancelled while it is full. */
		service = (struct service){ .options = { .connections_max = 1 } };
		begin(&service, h, echo);
		clients[0] = client(&service);
		assert_true(answers(clients[0]));
		assert_true(crew_waits(&service.crew, 0, "future"));
		end(&service);
		assert_int_equal(service.r, -ECANCELED);
		tmgr_stream_destroy(clients[0]);
	}
}

static bool refuses(void *self)
{
	struct service *service = self;
	struct tmgr_stream *stream;
	bool full;

	/* It is in the queue of a listener that nobody accepts from. */
	if (tmgr_connect(NULL, &service->at, NULL, NEVER, &stream) < 0)
		return true;
	full = !atomic_load(&service->ended);
	tmgr_stream_destroy(stream);
	return full;
}

static void handlers_may_finish_while_it_drains(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct service service = { .options = { .drain_ns = 20 * TMGR_SECOND } };
		struct tmgr_stream *clients[2];

		begin(&service, h, echo);
		for (int i = 0; i < 2; i++) {
			clients[i] = client(&service);
			assert_true(answers(clients[i]));
		}
		assert_true(crew_waits(&service.crew, 0, "descriptor"));
		crew_cancel(&service.crew, 0);
		assert_true(crew_waits(&service.crew, 0, "future"));
		assert_true(refuses(&service));
		/* They go on as before. */
		for (int i = 0; i < 2; i++) {
			assert_true(answers(clients[i]));
			assert_int_equal(service.ended, i);
			tmgr_stream_shutdown(NULL, clients[i], TMGR_STREAM_OUTPUT, NEVER);
			assert_true(has_ended(clients[i]));
		}
		end(&service);
		assert_int_equal(service.r, -ECANCELED);
		assert_int_equal(service.cancelled, 0);
		assert_int_equal(service.stopping, 2);
		assert_int_equal(service.begun, 2);
		for (int i = 0; i < 2; i++)
			tmgr_stream_destroy(clients[i]);
	}
}

static void those_that_do_not_finish_are_cancelled_when_the_drain_ends(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct service service = { .options = { .drain_ns = 30 * TMGR_MILLISECOND } };
		struct tmgr_stream *clients[2];
		int64_t begin_ns;

		begin(&service, h, echo);
		for (int i = 0; i < 2; i++) {
			clients[i] = client(&service);
			assert_true(answers(clients[i]));
		}
		begin_ns = tmgr_now();
		end(&service);
		assert_true(tmgr_now() - begin_ns >= 30 * TMGR_MILLISECOND);
		assert_int_equal(service.r, -ETIMEDOUT);
		assert_int_equal(service.cancelled, 2);
		for (int i = 0; i < 2; i++)
			tmgr_stream_destroy(clients[i]);
	}
}

static void a_drain_can_end_the_input_of_idle_connections(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct service service = { .options = { .drain_ns = 20 * TMGR_SECOND,
						   .drain_ends_input = true } };
		struct tmgr_stream *clients[3];

		begin(&service, h, echo);
		for (int i = 0; i < 3; i++) {
			clients[i] = client(&service);
			assert_true(answers(clients[i]));
		}
		end(&service);
		assert_int_equal(service.r, -ECANCELED);
		assert_int_equal(service.cancelled, 0);
		assert_int_equal(service.ended, 3);
		for (int i = 0; i < 3; i++) {
			assert_true(has_ended(clients[i]));
			tmgr_stream_destroy(clients[i]);
		}
	}
}

/* An answer that is only put, and an error for "bad". */
static int put_and_return(void *self, struct tmgr_context *context, struct tmgr_stream *stream)
{
	struct service *service = self;
	const char *line;
	ssize_t n;

	count_in(service);
	n = tmgr_stream_read_line(context, stream, 100, NEVER, &line);
	if (n == 4 && memcmp(line, "bad\n", 4) == 0)
		return count_out(
			service, tmgr_fail(context, -EBADMSG, "no such command: '%.3s'", line));
	if (n == 4 && memcmp(line, "odd\n", 4) == 0)
		return count_out(service, 5);
	tmgr_stream_put(context, stream, line, (size_t)n, NEVER);
	return count_out(service, 0);
}

static void what_was_put_is_written_when_the_handler_returns(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct service service = { .r = 0 };
		struct tmgr_stream *stream;

		begin(&service, h, put_and_return);
		stream = client(&service);
		assert_true(answers(stream));
		assert_true(has_ended(stream));
		tmgr_stream_destroy(stream);
		end(&service);
	}
}

static void an_error_of_a_handler_concerns_its_connection_only(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct service service = { .r = 0 };
		struct tmgr_stream *stream;

		begin(&service, h, put_and_return);
		for (int i = 0; i < 3; i++) {
			stream = client(&service);
			tmgr_stream_write(NULL, stream, i == 1 ? "odd\n" : "bad\n", 4, NEVER);
			assert_true(has_ended(stream));
			tmgr_stream_destroy(stream);
		}
		stream = client(&service);
		assert_true(answers(stream));
		tmgr_stream_destroy(stream);
		end(&service);
		assert_int_equal(service.r, -ECANCELED);
		assert_int_equal(service.begun, 4);
	}
}

struct noted {
	struct recorder recorder;
	struct latch one;
};

static void note_text(void *self, const struct tmgr_event *event)
{
	struct noted *noted = self;

	if (event->kind != TMGR_EVENT_LOG)
		return;
	recorder_add(&noted->recorder, "(%s)", event->text);
	latch_arrive(&noted->one);
}

static int serve_here(void *self, struct tmgr_context *context)
{
	struct service *service = self;

	return tmgr_serve(context, service->listener, &service->options);
}

static int last_error(struct tmgr_manager *manager, const char *name)
{
	struct tmgr_snapshot *snapshot;
	int error = 77;

	if (tmgr_manager_snapshot(manager, &snapshot) < 0)
		return error;
	for (size_t i = 0; i < snapshot->count; i++)
		if (strcmp(snapshot->tasks[i].path, name) == 0)
			error = snapshot->tasks[i].last_error;
	tmgr_snapshot_destroy(snapshot);
	return error;
}

/* With the text that it gave, as other errors of tasks; the next has none of that. */
static void why_a_connection_ended_is_an_event(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct service service = { .options = { .handler = put_and_return } };
		struct tmgr_manager *manager = tmgr_manager_create(NULL);
		struct tmgr_task_options on = { .loop = NULL };
		struct noted noted = { RECORDER_INIT, LATCH_INIT };
		struct runner runner;

		service.options.self = &service;
		service.listener = listen_here(&service.at);
		if (h == 1)
			on.loop = looped_add(manager, "loop", NULL);
		tmgr_manager_observe(manager, TMGR_LEVEL_INFO, note_text, &noted);
		tmgr_manager_add_task_with(manager, "server",
			tmgr_task_function(serve_here, &service), TMGR_STRICT, &on);
		runner_start(&runner, manager, NULL);
		for (unsigned i = 0; i < 3; i++) {
			struct tmgr_stream *stream = client(&service);

			tmgr_stream_write(NULL, stream, i == 1 ? "odd\n" : "bad\n", 4, NEVER);
			assert_true(has_ended(stream));
			/* Its client may see the end of a connection before the event of it. */
			assert_true(latch_arrived(&noted.one, i + 1));
			tmgr_stream_destroy(stream);
		}
		tmgr_manager_cancel(manager);
		assert_int_equal(runner_join(&runner), 0);
		assert_int_equal(last_error(manager, "server"), -EBADMSG);
		tmgr_manager_destroy(manager);
		tmgr_listener_destroy(service.listener);
		assert_string_equal(recorder_text(&noted.recorder),
			"(a connection ended: no such command: 'bad': Bad message) "
			"(a connection ended: failed) "
			"(a connection ended: no such command: 'bad': Bad message)");
	}
}

static void an_error_of_the_listener_ends_the_server_and_its_handlers(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct service service = { .options = { .drain_ns = 20 * TMGR_SECOND } };
		struct tmgr_stream *stream;

		begin(&service, h, echo);
		stream = client(&service);
		assert_true(answers(stream));
		/* It then does not listen any more. */
		shutdown(tmgr_listener_fd(service.listener), SHUT_RD);
		crew_join(&service.crew, 0);
		assert_int_equal(service.r, -EINVAL);
		assert_int_equal(service.cancelled, 1);
		tmgr_stream_destroy(stream);
		end(&service);
	}
}

static void a_server_survives_failing_allocations(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++)
		for (long k = 1; k < 8; k++) {
			struct service service = { .r = 0 };
			struct tmgr_stream *stream, *second;

			begin(&service, h, echo);
			/* One for certain, so that what is only made once is there. */
			second = client(&service);
			assert_true(answers(second));
			stream = client(&service);
			fault_fail_allocation(k);
			/* It is answered, or closed. */
			if (!answers(stream))
				assert_true(has_ended(stream));
			fault_off();
			tmgr_stream_destroy(stream);
			stream = client(&service);
			assert_true(answers(stream));
			tmgr_stream_destroy(stream);
			tmgr_stream_destroy(second);
			end(&service);
			assert_int_equal(service.r, -ECANCELED);
		}
}

static void bad_arguments_are_refused(void **state)
{
	struct tmgr_serve_options options = { .drain_ns = 0 };
	struct tmgr_endpoint place;
	struct tmgr_listener *listener = listen_here(&place);

	assert_int_equal(tmgr_serve(NULL, listener, &options), -EINVAL);
	tmgr_listener_destroy(listener);
	tmgr_listener_destroy(NULL);
}

/* Many connections come and go while it is told to stop. */
static int storm(void *self, struct tmgr_context *context)
{
	struct service *service = self;

	for (;;) {
		struct tmgr_stream *stream;
		const char *line;
		int r = tmgr_connect(context, &service->at, NULL, NEVER, &stream);

		if (r < 0)
			return r == -ECANCELED ? r : 0;
		r = tmgr_stream_write(context, stream, "x\n", 2, NEVER);
		if (r == 0)
			tmgr_stream_read_line(context, stream, 10, NEVER, &line);
		tmgr_stream_destroy(stream);
		if (atomic_load(&service->begun) > 300)
			return 0;
	}
}

static void a_stop_in_a_storm_of_connections_loses_none(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++)
		for (int drain = 0; drain < 2; drain++) {
			struct service service = {
				.options = { .connections_max = 5,
					.drain_ns = drain * TMGR_SECOND,
					.drain_ends_input = true },
			};

			begin(&service, h, echo);
			for (int i = 0; i < 8; i++)
				crew_add(&service.crew, storm, &service);
			while (atomic_load(&service.begun) < 200)
				tmgr_sleep(NULL, TMGR_MILLISECOND / 10);
			crew_cancel(&service.crew, 0);
			crew_join(&service.crew, 0);
			for (size_t i = 1; i <= 8; i++)
				crew_cancel(&service.crew, i);
			end(&service);
			assert_int_equal(service.r, -ECANCELED);
			assert_true(service.most <= 5);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_connection_has_a_handler_beside_the_others),
		leak_test(a_cancel_ends_all_handlers),
		leak_test(no_more_than_the_maximum_are_served_at_once),
		leak_test(handlers_may_finish_while_it_drains),
		leak_test(those_that_do_not_finish_are_cancelled_when_the_drain_ends),
		leak_test(a_drain_can_end_the_input_of_idle_connections),
		leak_test(what_was_put_is_written_when_the_handler_returns),
		leak_test(an_error_of_a_handler_concerns_its_connection_only),
		leak_test(why_a_connection_ended_is_an_event),
		leak_test(an_error_of_the_listener_ends_the_server_and_its_handlers),
		leak_test(a_server_survives_failing_allocations),
		leak_test(bad_arguments_are_refused),
		leak_test(a_stop_in_a_storm_of_connections_loses_none),
	};

	return cmocka_run_group_tests_name("serve", tests, crew_warm_up, NULL);
}
