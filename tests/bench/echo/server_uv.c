/* Callbacks on libuv, in its two ways of writing. */
#include "tests/bench/echo/echo.h"

#if BENCH_UV
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "tests/bench/measure.h"

#define BUFFER_SIZE 65536

struct writing {
	uv_write_t request;
	char data[];
};

static char buffer[BUFFER_SIZE];
static bool try_first;

static void give_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buffer)
{
	*ret_buffer = uv_buf_init(buffer, sizeof(buffer));
}

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

static void on_written(uv_write_t *request, int status)
{
	free(request);
}

static void write_later(uv_stream_t *stream, const char *data, size_t size)
{
	struct writing *writing = malloc(sizeof(*writing) + size);
	uv_buf_t part;

	measure_check("malloc", writing ? 0 : -ENOMEM);
	memcpy(writing->data, data, size);
	part = uv_buf_init(writing->data, (unsigned)size);
	uv_write(&writing->request, stream, &part, 1, on_written);
}

static void on_data(uv_stream_t *stream, ssize_t got, const uv_buf_t *part)
{
	int sent = 0;

	if (got < 0) {
		uv_close((uv_handle_t *)stream, on_closed);
		return;
	}
	if (try_first) {
		uv_buf_t whole = uv_buf_init(part->base, (unsigned)got);

		sent = uv_try_write(stream, &whole, 1);
		if (sent < 0)
			sent = 0;
	}
	if (sent < got)
		write_later(stream, part->base + sent, (size_t)(got - sent));
}

static void on_connection(uv_stream_t *listening, int status)
{
	uv_tcp_t *connection = malloc(sizeof(*connection));

	measure_check("malloc", connection ? 0 : -ENOMEM);
	uv_tcp_init(listening->loop, connection);
	if (uv_accept(listening, (uv_stream_t *)connection) < 0)
		uv_close((uv_handle_t *)connection, on_closed);
	else
		uv_read_start((uv_stream_t *)connection, give_buffer, on_data);
}

static void serve(int fd)
{
	uv_tcp_t listening;
	uv_loop_t loop;

	measure_check("uv_loop_init", uv_loop_init(&loop));
	measure_check("uv_tcp_init", uv_tcp_init(&loop, &listening));
	measure_check("uv_tcp_open", uv_tcp_open(&listening, fd));
	measure_check("uv_listen", uv_listen((uv_stream_t *)&listening, 128, on_connection));
	uv_run(&loop, UV_RUN_DEFAULT);
}

void echo_serve_uv_try(int listening)
{
	try_first = true;
	serve(listening);
}

void echo_serve_uv(int listening)
{
	try_first = false;
	serve(listening);
}
#endif
