/*
 * An HTTP server as a task: libmicrohttpd, driven by the waits of the task. Each request is a task of
 * its own, which may wait; told to stop, it takes no more connections and answers what it was asked.
 */
#ifndef ORDERS_HTTP_H
#define ORDERS_HTTP_H

#include <stddef.h>

#include <taskmgr/taskmgr.h>

/* Limits. */
#define HTTP_BODY_MAX 65536
#define HTTP_PATH_MAX 256
#define HTTP_CONNECTIONS_MAX 256
#define HTTP_REQUESTS_MAX 64 /* that are worked on at a time; more wait for their turn */
#define HTTP_IDLE_S 30
#define HTTP_DRAIN_NS (10 * TMGR_SECOND)

struct MHD_Connection;

struct http_request {
	const char *method, *path;
	const char *key;  /* Idempotency-Key; NULL: none was sent */
	const char *body; /* a NUL follows it */
	size_t body_size;
	struct MHD_Connection *connection;
};

/* The value of what stands behind ? in the address; NULL: it is not there. */
const char *http_query(const struct http_request *request, const char *name);

/* An answer: a status, and JSON that is taken with free(). */
struct http_answer {
	int status;
	char *json;
};

struct http_options {
	const char *address; /* numeric */
	int port;            /* 0: any that is free */
	struct http_answer (*answer)(
		void *self, struct tmgr_context *context, const struct http_request *request);
	void *self;
};

/* The port is bound by its initialize, which says "listening on ADDRESS port N" on standard output. */
struct tmgr_task http_task(const struct http_options *options);

#endif
