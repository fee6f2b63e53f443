/*
 * The parts of minimq.
 *
 * One task accepts, on a thread of its own, and hands each connection over to the next loop in turn;
 * there it is a coroutine to its end, and what it shares with others is the broker's. One acceptor,
 * and not a listener on each loop (SO_REUSEPORT): connections live long here and a loop is one
 * processor, so an even share matters more than a hand-over of a few microseconds; and a second
 * minimq on the same port is refused instead of taking half of the connections.
 */
#ifndef MINIMQ_SERVER_H
#define MINIMQ_SERVER_H

#include <pthread.h>

#include <taskmgr/future.h>
#include <taskmgr/manager.h>
#include <taskmgr/tasks/coroutine.h>
#include <taskmgr/tasks/endpoint.h>
#include <taskmgr/tasks/loop.h>

#include "internal/examples/pkg/mq/broker.h"
#include "options.h"

/* A worker loop, and what its connections use in turn. */
struct worker {
	struct tmgr_loop *loop;
	struct tmgr_future running;
	struct resp_argument *arguments; /* of the request at hand; never held over a wait */
};

struct server {
	struct options options;
	struct mq_broker broker;
	struct worker workers[LOOPS_MAX];
	struct tmgr_listener *listener;
	pthread_mutex_t lock;
	struct connection *waiting; /* handed over, and not begun; under the lock */
};

/* 0 or a negative errno. */
int server_init(struct server *server, const struct options *options);
void server_fini(struct server *server);

/* Add all tasks. */
void server_add_tasks(struct server *server, struct tmgr_manager *manager);

/* Say what was done, on standard output. */
void server_print_summary(const struct server *server);

/* Serve a connection on the loop with this number. The stream is taken, always. */
int connection_start(struct server *server, size_t worker, struct tmgr_stream *stream);

/* Drop those that were handed over to a loop that ended before it began them. */
void connection_drop_waiting(struct server *server);

struct tmgr_task acceptor_task(struct server *server);
struct tmgr_task status_task(struct server *server);

#endif
