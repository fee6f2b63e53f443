/*
 * A connection: a coroutine that reads requests and answers them; beside it, once it has subscribed
 * to something, one that writes what is in its outbox, answers and messages in one order.
 *
 * Owners: the stream and both coroutines belong to the loop. Publishers on other loops hold a
 * reference while they push, and may then wake the writer (by the future `wake`, once for each time
 * it waits) or end the connection (by `token`); they touch nothing else, and the memory stays until
 * the last reference is gone.
 *
 * Told to stop, a connection answers what it has read, writes what it owes, for DRAIN_NS at most,
 * and closes. One that was ended for reading too slowly owes nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

/* Answers are written when they are so many bytes, even if more requests have come. */
#define FLUSH_BYTES ((size_t)64 * 1024)

/* What a connection keeps of its memory for answers. */
#define KEEP_BYTES ((size_t)4 * 1024)

/* A request that is not complete is waited for in steps: what is announced gets no memory yet. */
#define READ_STEP ((size_t)64 * 1024)

#define WRITE_TIMEOUT_NS TMGR_MINUTE
#define DRAIN_NS (2 * TMGR_SECOND)
#define LINGER_NS (500 * TMGR_MILLISECOND)

/* Messages that are written at once; each is up to two pieces. */
#define BATCH 32

enum end {
	GOING_ON,
	LEFT,     /* the client has ended it, by QUIT or by leaving */
	STOPPING, /* we are told to stop */
	BROKEN,   /* an error of the connection, or no memory */
	TOO_SLOW,
	IDLE,
	NO_REQUEST, /* what it sent was none */
};

struct connection {
	struct mq_client client; /* first */
	struct server *server;
	struct worker *worker;
	struct tmgr_stream *stream;
	struct tmgr_token *token;        /* of the coroutine */
	struct tmgr_coroutine *writer;   /* NULL: none was needed yet */
	struct tmgr_future wake;         /* of the writer, when it waits */
	int64_t drain_deadline;          /* 0: not told to stop yet */
	atomic_bool too_slow;            /* whoever fires the token for that says so before */
	struct connection *next, **link; /* of server->waiting */
};

/* ---- What others may do to it ---------------------------------------------------------------- */

static void wake_writer(struct mq_client *client)
{
	tmgr_future_complete(&((struct connection *)client)->wake, 0, NULL);
}

static void end_slow(struct mq_client *client)
{
	struct connection *connection = (struct connection *)client;

	atomic_store(&connection->too_slow, true);
	tmgr_token_cancel(connection->token, -ENOBUFS, "reads too slowly");
}

static void release(struct mq_client *client)
{
	struct connection *connection = (struct connection *)client;

	mq_client_fini(client);
	tmgr_token_unref(connection->token);
	free(connection);
}

static const struct mq_client_ops ops = {
	.wake = wake_writer,
	.end = end_slow,
	.release = release,
};

/* ---- Writing --------------------------------------------------------------------------------- */

/* Step over bytes that are written. */
static void skip(struct iovec **vectors, size_t *count, size_t bytes)
{
	while (*count > 0 && bytes >= (*vectors)->iov_len) {
		bytes -= (*vectors)->iov_len;
		(*vectors)++;
		(*count)--;
	}
	if (*count > 0) {
		(*vectors)->iov_base = (char *)(*vectors)->iov_base + bytes;
		(*vectors)->iov_len -= bytes;
	}
}

/* From now on cancel ends no wait, but the one deadline does that all that is owed has. */
static void begin_drain(struct connection *connection, struct tmgr_context *context)
{
	if (connection->drain_deadline == 0)
		connection->drain_deadline = tmgr_after(DRAIN_NS);
	tmgr_uninterrupted_begin(context, connection->drain_deadline);
}

/* All of it, even when told to stop meanwhile. */
static int write_all(struct connection *connection, struct tmgr_context *context,
	struct iovec *vectors, size_t count)
{
	int r = tmgr_stream_writev(
		context, connection->stream, vectors, count, tmgr_after(WRITE_TIMEOUT_NS));

	if (r != -ECANCELED || atomic_load(&connection->too_slow))
		return r;
	skip(&vectors, &count, tmgr_stream_resume(connection->stream));
	begin_drain(connection, context);
	r = tmgr_stream_writev(context, connection->stream, vectors, count, TMGR_NEVER);
	tmgr_uninterrupted_end(context);
	return r;
}

static int write_items(struct connection *connection, struct tmgr_context *context,
	const struct mq_item *items, int count)
{
	struct iovec vectors[2 * BATCH];
	size_t used = 0;

	for (int i = 0; i < count; i++) {
		vectors[used++] = (struct iovec){ items[i].head->bytes, items[i].head->size };
		if (items[i].body)
			vectors[used++] = (struct iovec){ items[i].body->bytes,
				items[i].body->size };
	}
	return write_all(connection, context, vectors, used);
}

/* Write what is in the outbox, until there is nothing. 0, or a negative errno where no more can be
 * written. */
static int write_outbox(struct connection *connection, struct tmgr_context *context)
{
	struct mq_client *client = &connection->client;
	struct mq_item items[BATCH];
	size_t messages;
	int taken, r = 0;

	while (r == 0 && (taken = mq_outbox_take(&client->outbox, items, BATCH)) > 0) {
		r = write_items(connection, context, items, taken);
		messages = mq_outbox_release(&client->outbox, items, taken);
		mq_count(r == 0 ? &client->counts->delivered : &client->counts->dropped, messages);
	}
	return r < 0 ? r : taken;
}

/* A cancel does not end it, for what is still to come before the outbox is closed. */
static int wait_for_more(struct connection *connection, struct tmgr_context *context)
{
	int r = tmgr_future_wait(context, &connection->wake, TMGR_NEVER);

	if (r == -ECANCELED && !atomic_load(&connection->too_slow)) {
		begin_drain(connection, context);
		r = tmgr_future_wait(context, &connection->wake, TMGR_NEVER);
		tmgr_uninterrupted_end(context);
	}
	if (r < 0)
		mq_outbox_unwait(&connection->client.outbox);
	return r;
}

/* Whoever is to wake it does so once, so that the future is not in use when it is made again. */
static int run_writer(void *self, struct tmgr_context *context)
{
	struct connection *connection = self;
	int r = 0;

	while (r == 0) {
		tmgr_future_init(&connection->wake);
		r = write_outbox(connection, context);
		if (r == 0)
			r = wait_for_more(connection, context);
	}
	if (tmgr_context_cancelled(context))
		return 0;
	if (r == -ETIMEDOUT)
		end_slow(&connection->client);
	else
		tmgr_token_cancel(connection->token, r, "cannot be written to");
	return 0;
}

static int start_writer(struct connection *connection, struct tmgr_context *context)
{
	const struct tmgr_coroutine_options options = { .name = "writer" };
	int r;

	if (connection->writer)
		return 0;
	r = tmgr_coroutine_spawn(context, run_writer, connection, &options, &connection->writer);
	/* Told to stop before it could be: what is owed is written at the end. */
	return r == -ECANCELED ? 0 : r;
}

/* Write the answers, or have them written behind the messages. */
static void flush(struct connection *connection, struct tmgr_context *context, enum end *ret_end)
{
	struct resp_reply *reply = &connection->client.reply;
	struct iovec vector = { reply->data, reply->size };
	int r = reply->error;

	if (r == 0 && connection->client.queued) {
		mq_client_queue_replies(&connection->client);
		r = start_writer(connection, context);
	} else if (r == 0 && reply->size > 0) {
		r = write_all(connection, context, &vector, 1);
	}
	resp_reply_clear(reply, KEEP_BYTES);
	if (r < 0)
		*ret_end = r == -ETIMEDOUT ? TOO_SLOW : BROKEN;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Answer all requests that are there. Gives how many bytes they were; ret_end is written when it is
 * to end. */
static size_t answer(struct connection *connection, struct tmgr_context *context,
	struct resp_parser *parser, struct resp_argument bytes, enum end *ret_end)
{
	struct mq_client *client = &connection->client;
	struct resp_request request = { .arguments = connection->worker->arguments };
	enum resp_result result;
	size_t used = 0;

	while (*ret_end == GOING_ON) {
		result = resp_parse(parser, bytes.at + used, bytes.length - used, &request);
		if (result == RESP_MORE)
			break;
		if (result == RESP_BAD) {
			resp_add_error(&client->reply, "ERR %s", parser->error);
			*ret_end = NO_REQUEST;
			break;
		}
		mq_execute(client, request.arguments, request.count);
		used += request.used;
		if (client->quit)
			*ret_end = LEFT;
		if (client->reply.size >= FLUSH_BYTES)
			flush(connection, context, ret_end);
	}
	return used;
}

static enum end end_of_input(ssize_t error)
{
	switch (error) {
	case -ECANCELED:
		return STOPPING;
	case -ETIMEDOUT:
		return IDLE;
	default:
		return error < 0 ? BROKEN : LEFT;
	}
}

static int64_t idle_deadline(const struct connection *connection)
{
	unsigned idle_s = connection->server->options.idle_s;

	if (idle_s == 0 || connection->client.subscriptions)
		return TMGR_NEVER;
	return tmgr_after(idle_s * TMGR_SECOND);
}

/* The time to be idle begins anew with every request, not with every byte. */
static enum end serve(struct connection *connection, struct tmgr_context *context)
{
	const struct resp_limits *limits = &connection->server->broker.settings.requests;
	struct resp_parser parser = { .limits = limits };
	int64_t deadline = idle_deadline(connection);
	struct resp_argument bytes;
	enum end end = GOING_ON;
	size_t wanted = 1, used;
	ssize_t there;

	while (end == GOING_ON) {
		there = tmgr_stream_peek(context, connection->stream, wanted, deadline, &bytes.at);
		if (there < (ssize_t)wanted)
			return end_of_input(there);
		bytes.length = (size_t)there;
		used = answer(connection, context, &parser, bytes, &end);
		if (used > 0)
			deadline = idle_deadline(connection);
		wanted = resp_needed(&parser, bytes.at + used, bytes.length - used);
		if (wanted > bytes.length - used + READ_STEP)
			wanted = bytes.length - used + READ_STEP;
		tmgr_stream_consume(connection->stream, used);
		flush(connection, context, &end);
	}
	return end;
}

/* ---- Beginning and ending -------------------------------------------------------------------- */

static void enlist(struct connection *connection)
{
	struct server *server = connection->server;

	pthread_mutex_lock(&server->lock);
	connection->next = server->waiting;
	connection->link = &server->waiting;
	if (connection->next)
		connection->next->link = &connection->next;
	server->waiting = connection;
	pthread_mutex_unlock(&server->lock);
}

static void unlist(struct connection *connection)
{
	pthread_mutex_lock(&connection->server->lock);
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	pthread_mutex_unlock(&connection->server->lock);
}

/* Why it was ended, if not by the client. */
static void note_end(struct connection *connection, struct tmgr_context *context, enum end end)
{
	struct mq_client *client = &connection->client;
	uint64_t id = client->id;

	switch (end) {
	case TOO_SLOW:
		mq_count(&client->counts->slow, 1);
		tmgr_log(context, TMGR_LEVEL_WARNING,
			"client %" PRIu64 ": disconnected: reads too slowly, %zu bytes wait", id,
			mq_outbox_bytes(&client->outbox));
		break;
	case IDLE:
		mq_count(&client->counts->idle, 1);
		tmgr_log(context, TMGR_LEVEL_INFO,
			"client %" PRIu64 ": disconnected: sent nothing for %u s", id,
			connection->server->options.idle_s);
		break;
	case NO_REQUEST:
		mq_count(&client->counts->errors, 1);
		tmgr_log(context, TMGR_LEVEL_INFO,
			"client %" PRIu64 ": disconnected: a protocol error", id);
		break;
	default:
		break;
	}
}

/* Write what is owed. The writer was told to stop, and does so in DRAIN_NS at most. */
static void drain(struct connection *connection, struct tmgr_context *context)
{
	struct mq_client *client = &connection->client;

	if (client->queued)
		mq_client_queue_replies(client);
	mq_client_leave(client);
	if (connection->writer) {
		tmgr_coroutine_cancel(connection->writer, 0, NULL);
		tmgr_uninterrupted_begin(context, TMGR_NEVER);
		tmgr_future_wait(context, tmgr_coroutine_future(connection->writer), TMGR_NEVER);
		tmgr_uninterrupted_end(context);
		tmgr_coroutine_unref(connection->writer);
	}
	/* If it never ran, or failed. */
	begin_drain(connection, context);
	if (!atomic_load(&connection->too_slow))
		write_outbox(connection, context);
	tmgr_uninterrupted_end(context);
	mq_count(&client->counts->dropped, mq_outbox_drop(&client->outbox));
}

/* Closing a connection with unread input resets it, and what was written last may be lost: so the
 * client is given a while to see the end. */
static void linger(struct connection *connection, struct tmgr_context *context)
{
	int64_t deadline = tmgr_after(LINGER_NS);
	char bytes[1024];

	tmgr_uninterrupted_begin(context, deadline);
	if (tmgr_stream_shutdown(context, connection->stream, TMGR_STREAM_OUTPUT, deadline) == 0)
		while (tmgr_stream_read(
			       context, connection->stream, bytes, sizeof(bytes), deadline) > 0)
			;
	tmgr_uninterrupted_end(context);
}

static int run_connection(void *self, struct tmgr_context *context)
{
	struct connection *connection = self;
	struct server *server = connection->server;
	enum end end;

	unlist(connection);
	connection->token = tmgr_token_ref(tmgr_context_token(context));
	mq_count(&connection->client.counts->connections, 1);
	end = serve(connection, context);
	if (atomic_load(&connection->too_slow))
		end = TOO_SLOW;
	note_end(connection, context, end);
	drain(connection, context);
	if (end == STOPPING || end == NO_REQUEST || end == LEFT)
		linger(connection, context);
	tmgr_stream_destroy(connection->stream);
	mq_client_unref(&connection->client);
	atomic_fetch_sub(&server->broker.clients, 1);
	return 0;
}

int connection_start(struct server *server, size_t worker, struct tmgr_stream *stream)
{
	struct connection *connection = malloc(sizeof(*connection));
	struct tmgr_coroutine_options options = { 0 };
	char name[TMGR_COROUTINE_NAME_MAX + 1];
	int r;

	if (!connection) {
		tmgr_stream_destroy(stream);
		return -ENOMEM;
	}
	*connection = (struct connection){
		.server = server, .worker = &server->workers[worker], .stream = stream
	};
	mq_client_init(&connection->client, &server->broker, worker, &ops);
	snprintf(name, sizeof(name), "client %" PRIu64, connection->client.id);
	options.name = name;
	atomic_fetch_add(&server->broker.clients, 1);
	enlist(connection);
	r = tmgr_loop_spawn(connection->worker->loop, run_connection, connection, &options, NULL);
	if (r == 0)
		return 0;
	unlist(connection);
	atomic_fetch_sub(&server->broker.clients, 1);
	tmgr_stream_destroy(stream);
	mq_client_unref(&connection->client);
	return r;
}

void connection_drop_waiting(struct server *server)
{
	struct connection *connection, *next;

	for (connection = server->waiting; connection; connection = next) {
		next = connection->next;
		tmgr_stream_destroy(connection->stream);
		mq_client_unref(&connection->client);
	}
	server->waiting = NULL;
}
