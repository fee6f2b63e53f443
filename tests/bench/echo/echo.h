/*
 * The parts of the echo benchmark: servers, each in a process of its own, and the load that is the
 * same for all of them.
 */
#ifndef TESTS_BENCH_ECHO_H
#define TESTS_BENCH_ECHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ECHO_SIZE 64
#define ECHO_CONNECTIONS 50

#if defined(__has_include) && __has_include(<uv.h>)
#define BENCH_UV 1
#else
#define BENCH_UV 0
#endif

/* ---- Servers: serve what is accepted from a listening socket, and do not return ---- */

/* On a loop of ours, a coroutine for each connection, reading and writing a stream. */
void echo_serve_streams(int listening);
/* The same with tmgr_wait_fd() around read() and write(). */
void echo_serve_waits(int listening);
/* Callbacks on libev. */
void echo_serve_ev(int listening);
#if BENCH_UV
/* Callbacks on libuv: uv_try_write() first, or uv_write() always. */
void echo_serve_uv_try(int listening);
void echo_serve_uv(int listening);
#endif

/* A program of its own: what it needs is there, and how it becomes it; false: it could not. */
bool echo_has_uvloop(void);
void echo_exec_uvloop(int listening);
bool echo_has_redis(void);
void echo_exec_redis(int port);

/* ---- A process that serves ---- */

struct echo_server {
	pid_t pid;
	int port;
};

/* Start a function on a listening socket, on the first processor; false: it could not. */
bool echo_start(struct echo_server *server, void (*serve)(int listening));
/* A socket that listens somewhere on this machine; -1: it could not. */
int echo_listen(int *ret_port);
/* The same for a program that listens itself, at a port. */
bool echo_start_program(struct echo_server *server, void (*become)(int port));
void echo_stop(struct echo_server *server);

/* ---- Load ---- */

struct echo_load {
	const struct echo_server *server;
	size_t requests; /* of all connections together */
	/* What is sent, ECHO_SIZE bytes, and how long the answer is. */
	const char *request;
	size_t answer_size;
};

struct echo_result {
	double processor_ns; /* of the server, for each request */
	double requests_per_s;
	double instructions; /* of the server, for each request; below 0: they cannot be counted */
};

/* From a process of its own, on the last processor; false: the server did not answer rightly. */
bool echo_measure(const struct echo_load *load, struct echo_result *result);

/* ---- Instructions, where the machine does not count them ---- */

/* First of all in main(): whether this process is one that is to serve, and be counted. */
void echo_serve_if_asked(int argc, char **argv);
/* Of a server by name, for each request, in user mode; below 0: there is no valgrind. */
double echo_count_instructions(const char *name, const struct echo_load *load);

#endif
