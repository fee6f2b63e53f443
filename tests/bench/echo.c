/*
 * An echo server: 64 bytes, 50 connections with one request each on its way. What a request costs
 * the server's processor, beside servers made otherwise, each a process of its own under the same
 * load.
 */
#include <string.h>

#include "tests/bench/echo/echo.h"
#include "tests/bench/measure.h"

#define REQUESTS 50000
#define ROUNDS 15

/* 64 bytes of redis' protocol; its answer is shorter. */
#define PING "*2\r\n$4\r\nPING\r\n$43\r\n0123456789012345678901234567890123456789012\r\n"
#define PONG_SIZE 50

_Static_assert(sizeof(PING) - 1 == ECHO_SIZE, "a request for redis is as long as the others");

static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ.\n";

/* A server, and what was measured of it beside another one. */
struct side {
	struct echo_load load;
	struct measure_samples rates, instructions;
};

struct sides {
	struct side ours, other;
};

static double measure_side(struct side *side)
{
	struct echo_result result;

	if (!echo_measure(&side->load, &result))
		return -1;
	measure_add(&side->rates, result.requests_per_s);
	if (result.instructions >= 0)
		measure_add(&side->instructions, result.instructions);
	return result.processor_ns;
}

static double measure_ours(void *self)
{
	struct sides *sides = self;

	return measure_side(&sides->ours);
}

static double measure_other(void *self)
{
	struct sides *sides = self;

	return measure_side(&sides->other);
}

static void print_more(struct sides *sides, const char *other_name)
{
	measure_print(&(struct measure_row){ .figure = "    requests",
		.unit = MEASURE_PER_SECOND,
		.ours = measure_median(&sides->ours.rates),
		.other_name = other_name,
		.other = measure_median(&sides->other.rates) });
	if (sides->ours.instructions.count > 0 && sides->other.instructions.count > 0)
		measure_print(&(struct measure_row){ .figure = "    instructions for a request",
			.unit = MEASURE_COUNT,
			.ours = measure_median(&sides->ours.instructions),
			.other_name = other_name,
			.other = measure_median(&sides->other.instructions) });
}

static void clear_side(struct side *side)
{
	measure_clear(&side->rates);
	measure_clear(&side->instructions);
}

/* A row and what else was learned; a goal of 0 is none. False: instructions were not counted. */
static bool compare_servers(const char *figure, const struct echo_load *ours,
	const struct echo_load *other, const char *other_name, double goal)
{
	struct sides sides = { .ours.load = *ours, .other.load = *other };
	struct measure_pair pair = { measure_ours, measure_other, &sides, .ours = { 0 } };
	struct measure_row row = {
		.figure = figure,
		.unit = MEASURE_NANOSECONDS,
		.other_name = other_name,
		.kind = goal > 0 ? MEASURE_RATIO_AT_MOST : MEASURE_NO_GOAL,
		.goal = goal,
	};
	bool counted;

	if (measure_run_pair(&pair, 1, ROUNDS)) {
		measure_print_pair(&row, &pair);
		print_more(&sides, other_name);
	} else {
		measure_failed(figure, "a server did not answer (%s)", other_name);
	}
	counted = sides.ours.instructions.count > 0;
	measure_clear_pair(&pair);
	clear_side(&sides.ours);
	clear_side(&sides.other);
	return counted;
}

static const char figure[] = "echo, 64 B, 50 connections: processor for a request";

static struct echo_server server_of(void (*serve)(int listening))
{
	struct echo_server server;

	measure_check("starting a server", echo_start(&server, serve) ? 0 : -1);
	return server;
}

static void beside(
	struct echo_load ours, void (*serve)(int listening), const char *name, double goal)
{
	struct echo_server server = server_of(serve);
	struct echo_load other = { &server, REQUESTS, letters, ECHO_SIZE };

	compare_servers(figure, &ours, &other, name, goal);
	echo_stop(&server);
}

static void beside_redis(struct echo_load ours)
{
	struct echo_server server;
	struct echo_load other = { &server, REQUESTS, PING, PONG_SIZE };

	if (!echo_has_redis()) {
		measure_skipped("    beside redis-server", "it is not installed");
		return;
	}
	measure_check("starting redis", echo_start_program(&server, echo_exec_redis) ? 0 : -1);
	compare_servers(figure, &ours, &other, "redis PING", 0);
	echo_stop(&server);
}

static void beside_all(struct echo_load ours)
{
#if BENCH_UV
	beside(ours, echo_serve_uv_try, "libuv, uv_try_write", 0);
	beside(ours, echo_serve_uv, "libuv, uv_write", 0);
#else
	measure_skipped("    beside libuv", "libuv1-dev is not installed");
#endif
	if (echo_has_uvloop())
		beside(ours, echo_exec_uvloop, "uvloop, streams", 0);
	else
		measure_skipped(
			"    beside uvloop", "this python3 has none; BENCH_PYTHON names another");
	beside_redis(ours);
}

/* Where the machine does not count them valgrind does, without those of the kernel. */
static void compare_counts(const struct echo_load *load)
{
	static const char counted[] = "    instructions for a request, without the kernel's";
	static const char *const others[][2] = {
		{ "ev", "callbacks on libev" },
#if BENCH_UV
		{ "uv_try", "libuv, uv_try_write" },
#endif
	};
	double ours = echo_count_instructions("streams", load);

	if (ours < 0) {
		measure_skipped(
			counted, "the machine counts none for us, and there is no valgrind");
		return;
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		measure_print(&(struct measure_row){ .figure = counted,
			.unit = MEASURE_COUNT,
			.ours = ours,
			.other_name = others[i][1],
			.other = echo_count_instructions(others[i][0], load) });
	measure_print(&(struct measure_row){ .figure = "    the same with tmgr_wait_fd()",
		.unit = MEASURE_COUNT,
		.ours = echo_count_instructions("waits", load),
		.other_name = "streams",
		.other = ours });
}

int main(int argc, char **argv)
{
	struct echo_server streams, waits, ev;
	struct echo_load ours = { &streams, REQUESTS, letters, ECHO_SIZE }, other = ours;

	echo_serve_if_asked(argc, argv);
	measure_begin();
	streams = server_of(echo_serve_streams);
	ev = server_of(echo_serve_ev);
	other.server = &ev;
	if (!compare_servers(figure, &ours, &other, "callbacks on libev", 1.05))
		compare_counts(&ours);
	beside_all(ours);
	echo_stop(&streams);

	waits = server_of(echo_serve_waits);
	ours.server = &waits;
	compare_servers("the same with tmgr_wait_fd(), read and write", &ours, &other,
		"callbacks on libev", 0);
	echo_stop(&waits);
	echo_stop(&ev);
	return measure_end();
}
