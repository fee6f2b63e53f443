/*
 * A server that sends a text to each who connects, and closes the connection.
 */
#ifndef EXAMPLES_TEXTSERVER_H
#define EXAMPLES_TEXTSERVER_H

#include <taskmgr/taskmgr.h>

struct textserver {
	const char *text;
	struct tmgr_endpoint endpoint; /* where it listens: a free port of this machine */
	struct tmgr_listener *listener;
	struct tmgr_coroutine *server;
};

/* Start one below the caller's coroutine. On failure nothing is left. */
int textserver_start(struct textserver *textserver, struct tmgr_context *context, const char *text);

/* Stop it, and wait for its end. */
void textserver_stop(struct textserver *textserver, struct tmgr_context *context);

#endif
