/* The broker of minimq without sockets: commands, subscriptions, limits, memory, several loops. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "internal/examples/pkg/mq/broker.h"

#include "taskmgr/base/check.h"

#include "tests/support/fault.h"
#include "tests/support/leak.h"

/* A client without a connection: what is done to it is counted. */
struct client {
	struct mq_client client; /* first */
	atomic_int woken, ended, released;
	char text[8192]; /* what was written to it */
	size_t size;
};

static void wake(struct mq_client *client)
{
	((struct client *)client)->woken++;
}

static void end(struct mq_client *client)
{
	((struct client *)client)->ended++;
}

static void release(struct mq_client *client)
{
	((struct client *)client)->released++;
	mq_client_fini(client);
}

static const struct mq_client_ops ops = { wake, end, release };

static struct mq_broker broker;
static struct client a, b, c;

static void begin_with(const struct mq_settings *settings)
{
	assert_int_equal(mq_broker_init(&broker, settings), 0);
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	memset(&c, 0, sizeof(c));
	mq_client_init(&a.client, &broker, 0, &ops);
	mq_client_init(&b.client, &broker, 0, &ops);
	mq_client_init(&c.client, &broker, 0, &ops);
}

static void begin(void)
{
	begin_with(&mq_settings_default);
}

static void leave(struct client *client)
{
	mq_client_leave(&client->client);
	mq_client_unref(&client->client);
	assert_int_equal(client->released, 1);
}

static void finish(void)
{
	leave(&a);
	leave(&b);
	leave(&c);
	mq_broker_fini(&broker);
}

/* What its writer would have written, and then waits. */
static const char *written(struct client *client)
{
	struct mq_item items[4];
	int taken;

	client->size = 0;
	while ((taken = mq_outbox_take(&client->client.outbox, items, 4)) > 0) {
		for (int i = 0; i < taken; i++) {
			memcpy(client->text + client->size, items[i].head->bytes,
				items[i].head->size);
			client->size += items[i].head->size;
			if (!items[i].body)
				continue;
			memcpy(client->text + client->size, items[i].body->bytes,
				items[i].body->size);
			client->size += items[i].body->size;
		}
		mq_outbox_release(&client->client.outbox, items, taken);
	}
	client->text[client->size] = '\0';
	return client->text;
}

/* A request as a line, and what the answer is. */
static const char *ask(struct client *client, const char *line)
{
	struct resp_parser parser = { .limits = &mq_settings_default.requests };
	struct resp_argument arguments[16];
	struct resp_request request = { .arguments = arguments };
	char text[8192];

	snprintf(text, sizeof(text), "%s\n", line);
	assert_int_equal(resp_parse(&parser, text, strlen(text), &request), RESP_REQUEST);
	mq_execute(&client->client, arguments, request.count);
	assert_int_equal(client->client.reply.error, 0);
	if (client->client.queued) {
		mq_client_queue_replies(&client->client);
		return written(client);
	}
	client->size = client->client.reply.size;
	assert_true(client->size < sizeof(client->text));
	memcpy(client->text, client->client.reply.data, client->size);
	client->text[client->size] = '\0';
	client->client.reply.size = 0;
	return client->text;
}

/* clang-format off */
static const struct { const char *request, *answer; } dialog[] = {
	{ "PING", "+PONG\r\n" },
	{ "ping hello", "$5\r\nhello\r\n" },
	{ "ping a b", "-ERR wrong number of arguments for 'ping' command\r\n" },
	{ "ECHO \"\"", "$0\r\n\r\n" },
	{ "echo", "-ERR wrong number of arguments for 'echo' command\r\n" },
	{ "nosuch", "-ERR unknown command 'nosuch'\r\n" },
	{ "get k", "$-1\r\n" },
	{ "set k v", "+OK\r\n" },
	{ "get k", "$1\r\nv\r\n" },
	{ "set k longer", "+OK\r\n" },
	{ "get k", "$6\r\nlonger\r\n" },
	{ "set k v EX 5", "-ERR syntax error\r\n" },
	{ "exists k k nosuch", ":2\r\n" },
	{ "incr k", "-ERR value is not an integer or out of range\r\n" },
	{ "incr n", ":1\r\n" },
	{ "incr n", ":2\r\n" },
	{ "get n", "$1\r\n2\r\n" },
	{ "set n 9223372036854775807", "+OK\r\n" },
	{ "incr n", "-ERR increment or decrement would overflow\r\n" },
	{ "set n 9223372036854775808", "+OK\r\n" },
	{ "incr n", "-ERR value is not an integer or out of range\r\n" },
	{ "del k n nosuch", ":2\r\n" },
	{ "exists k", ":0\r\n" },
	{ "select 0", "+OK\r\n" },
	{ "select 1", "-ERR DB index is out of range\r\n" },
	{ "hello 3", "-NOPROTO unsupported protocol version\r\n" },
	{ "hello 2 auth a b", "-ERR Syntax error in HELLO\r\n" },
	{ "client setname me", "+OK\r\n" },
	{ "client getname", "$2\r\nme\r\n" },
	{ "client setname \"a b\"", "-ERR Client names cannot contain spaces, newlines or special characters.\r\n" },
	{ "client setinfo lib-name x", "+OK\r\n" },
	{ "client kill x", "-ERR unknown subcommand of CLIENT, or wrong number of arguments\r\n" },
	{ "config get save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n" },
	{ "config get nosuch", "*0\r\n" },
	{ "config get append* time*", "*4\r\n$10\r\nappendonly\r\n$2\r\nno\r\n$7\r\ntimeout\r\n$1\r\n0\r\n" },
	{ "config set save x", "-ERR only CONFIG GET is known here\r\n" },
	{ "command count", ":19\r\n" },
	{ "command docs", "*0\r\n" },
	{ "publish nobody hello", ":0\r\n" },
	{ "unsubscribe", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n" },
	{ "quit", "+OK\r\n" },
};
/* clang-format on */

static void every_command_has_its_answer(void **state)
{
	begin();
	for (size_t i = 0; i < ARRAY_SIZE(dialog); i++)
		assert_string_equal(ask(&a, dialog[i].request), dialog[i].answer);
	assert_true(a.client.quit);
	assert_int_equal(mq_store_bytes(broker.store), 0);
	finish();
}

static void info_tells_the_counts(void **state)
{
	const char *info;

	begin();
	ask(&a, "set k v");
	ask(&a, "publish x y");
	info = ask(&a, "info");
	assert_non_null(strstr(info, "total_commands_processed:3\r\n"));
	assert_non_null(strstr(info, "messages_published:1\r\n"));
	assert_non_null(strstr(info, "db0:keys=1,"));
	info = ask(&a, "info keyspace");
	assert_null(strstr(info, "# Stats"));
	assert_non_null(strstr(info, "# Keyspace"));
	assert_non_null(strstr(ask(&a, "hello 2"), "$5\r\nproto\r\n:2\r\n"));
	assert_memory_equal(
		ask(&a, "command"), "*19\r\n*6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n", 37);
	finish();
}

static void a_message_reaches_who_subscribed(void **state)
{
	begin();
	assert_string_equal(ask(&a, "subscribe news weather"),
		"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"
		"*3\r\n$9\r\nsubscribe\r\n$7\r\nweather\r\n:2\r\n");
	ask(&b, "subscribe news");
	assert_string_equal(ask(&c, "publish news hello"), ":2\r\n");
	assert_int_equal(a.woken, 1);
	assert_int_equal(b.woken, 1);
	assert_string_equal(written(&a), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
	assert_string_equal(written(&b), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
	assert_string_equal(ask(&c, "publish weather \"\""), ":1\r\n");
	assert_string_equal(written(&a), "*3\r\n$7\r\nmessage\r\n$7\r\nweather\r\n$0\r\n\r\n");
	assert_string_equal(written(&b), "");
	finish();
}

static void a_pattern_gets_what_matches_beside_the_channel(void **state)
{
	begin();
	ask(&a, "psubscribe n*");
	assert_string_equal(
		ask(&a, "subscribe news"), "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:2\r\n");
	ask(&b, "psubscribe n* *s");
	assert_string_equal(ask(&c, "publish news x"), ":4\r\n");
	assert_string_equal(written(&a),
		"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n"
		"*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$1\r\nx\r\n");
	assert_string_equal(ask(&c, "publish other x"), ":0\r\n");
	/* Patterns are in no order. */
	ask(&b, "punsubscribe n*");
	assert_non_null(
		strstr(b.text, "*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$1\r\nx\r\n"));
	assert_non_null(
		strstr(b.text, "*4\r\n$8\r\npmessage\r\n$2\r\n*s\r\n$4\r\nnews\r\n$1\r\nx\r\n"));
	assert_string_equal(
		b.text + b.size - 35, "*3\r\n$12\r\npunsubscribe\r\n$2\r\nn*\r\n:1\r\n");
	assert_string_equal(ask(&c, "publish news x"), ":3\r\n");
	finish();
}

static void subscribing_twice_is_once(void **state)
{
	begin();
	ask(&a, "subscribe x");
	assert_string_equal(ask(&a, "subscribe x"), "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n");
	assert_string_equal(ask(&b, "publish x y"), ":1\r\n");
	written(&a);
	assert_string_equal(
		ask(&a, "unsubscribe x"), "*3\r\n$11\r\nunsubscribe\r\n$1\r\nx\r\n:0\r\n");
	assert_string_equal(ask(&b, "publish x y"), ":0\r\n");
	finish();
}

static void a_subscriber_does_nothing_else(void **state)
{
	begin();
	ask(&a, "subscribe x y");
	ask(&a, "psubscribe z*");
	assert_memory_equal(ask(&a, "get k"), "-ERR Can't execute 'get'", 24);
	assert_string_equal(ask(&a, "ping"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
	assert_non_null(strstr(ask(&a, "unsubscribe"), ":1\r\n"));
	assert_memory_equal(ask(&a, "get k"), "-ERR Can't", 10);
	ask(&a, "punsubscribe");
	assert_string_equal(ask(&a, "get k"), "$-1\r\n");
	finish();
}

static void who_leaves_is_subscribed_no_more(void **state)
{
	begin();
	ask(&a, "subscribe x");
	ask(&a, "psubscribe *");
	a.woken = 0;
	mq_client_leave(&a.client);
	assert_int_equal(a.woken, 1);
	assert_string_equal(ask(&b, "publish x y"), ":0\r\n");
	finish();
}

static void a_full_outbox_ends_one_and_no_other(void **state)
{
	struct mq_settings settings = mq_settings_default;
	struct mq_totals totals;

	settings.outbox.items = 3;
	begin_with(&settings);
	ask(&a, "subscribe x");
	ask(&b, "subscribe x");
	for (int i = 0; i < 3; i++)
		assert_string_equal(ask(&c, "publish x y"), ":2\r\n");
	written(&b);
	assert_string_equal(ask(&c, "publish x y"), ":1\r\n");
	assert_string_equal(ask(&c, "publish x y"), ":1\r\n");
	assert_int_equal(a.ended, 1);
	assert_int_equal(b.ended, 0);
	mq_broker_totals(&broker, &totals);
	assert_int_equal(totals.dropped, 2);
	assert_int_equal(mq_outbox_take(&a.client.outbox, NULL, 1), -ENOBUFS);
	assert_int_equal(mq_outbox_drop(&a.client.outbox), 3);
	finish();
}

static void subscriptions_have_limits(void **state)
{
	struct mq_settings settings = mq_settings_default;

	settings.channels_max = 2;
	settings.patterns_max = 1;
	begin_with(&settings);
	ask(&a, "subscribe x y");
	assert_string_equal(ask(&a, "subscribe z"), "-ERR too many subscriptions\r\n");
	ask(&b, "psubscribe x*");
	assert_string_equal(ask(&c, "psubscribe y*"), "-ERR too many subscriptions\r\n");
	ask(&b, "punsubscribe");
	assert_string_equal(
		ask(&c, "psubscribe y*"), "*3\r\n$10\r\npsubscribe\r\n$2\r\ny*\r\n:1\r\n");
	finish();
}

static void names_and_memory_have_limits(void **state)
{
	struct mq_settings settings = mq_settings_default;
	char line[2048];

	settings.memory_max = 400;
	begin_with(&settings);
	snprintf(line, sizeof(line), "subscribe %01025d", 1);
	assert_string_equal(ask(&a, line), "-ERR the name is longer than 1024 bytes\r\n");
	snprintf(line, sizeof(line), "set %01025d v", 1);
	assert_string_equal(ask(&a, line), "-ERR the name is longer than 1024 bytes\r\n");
	snprintf(line, sizeof(line), "set k %0400d", 1);
	assert_memory_equal(ask(&a, line), "-OOM ", 5);
	snprintf(line, sizeof(line), "set k %0100d", 1);
	assert_string_equal(ask(&a, line), "+OK\r\n");
	assert_int_equal(mq_store_keys(broker.store), 1);
	assert_string_equal(ask(&a, "del k"), ":1\r\n");
	assert_int_equal(mq_store_bytes(broker.store), 0);
	finish();
}

/* Each allocation of a command fails in turn: the answer is an error, or right. */
static void without_memory_there_is_an_error(void **state)
{
	static const char *const lines[] = { "set k v", "incr n", "subscribe x", "psubscribe x*",
		"publish news y" };
	bool failed;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		for (long k = 1;; k++) {
			begin();
			ask(&a, "ping");
			ask(&b, "subscribe news");
			fault_fail_allocation(k);
			failed = strncmp(ask(&a, lines[i]), "-ERR out of memory", 18) == 0;
			fault_off();
			if (!failed && a.ended == 0 && b.ended == 0)
				assert_true(a.text[0] != '-');
			failed = failed || a.ended > 0 || b.ended > 0;
			finish();
			if (!failed)
				break;
			assert_true(k < 20);
		}
	}
}

static void a_broker_without_memory_is_none(void **state)
{
	int r = -ENOMEM;

	for (long k = 1; r == -ENOMEM; k++) {
		fault_fail_allocation(k);
		r = mq_broker_init(&broker, &mq_settings_default);
		fault_off();
		assert_true(k < 20);
	}
	assert_int_equal(r, 0);
	mq_broker_fini(&broker);
}

/* ---- Several loops --------------------------------------------------------------------------- */

#define THREADS 3
#define ROUNDS 2000

struct thread {
	pthread_t thread;
	size_t number;
	struct client client;
	uint64_t received, accepted;
	bool failed;
};

static struct thread threads[THREADS];
static pthread_barrier_t together;

/* Messages that are there. Whoever is about to wake it does so before it goes on. */
static void receive(struct thread *thread)
{
	struct mq_outbox *outbox = &thread->client.client.outbox;
	int woken = thread->client.woken;
	struct mq_item items[4];
	int taken;

	while ((taken = mq_outbox_take(outbox, items, 4)) > 0)
		thread->received += mq_outbox_release(outbox, items, taken);
	if (mq_outbox_unwait(outbox))
		return;
	while (thread->client.woken == woken)
		sched_yield();
}

/* Subscribes, publishes, reads, unsubscribes, and uses the same keys as the others. */
static void *be_a_loop(void *argument)
{
	static const struct mq_bytes news = { "news", 4 }, pattern = { "n*", 2 };
	struct thread *thread = argument;
	struct mq_client *client = &thread->client.client;
	struct mq_subscription *subscriptions[2];
	int64_t sum;

	mq_client_init(client, &broker, thread->number, &ops);
	for (int i = 0; i < ROUNDS; i++) {
		if (mq_subscription_create(client, MQ_CHANNEL, news, &subscriptions[0]) < 0 ||
			mq_subscription_create(client, MQ_PATTERN, pattern, &subscriptions[1]) <
				0) {
			thread->failed = true;
			break;
		}
		mq_subscribe(subscriptions[0]);
		mq_subscribe(subscriptions[1]);
		thread->accepted += (uint64_t)mq_publish(client, news, pattern);
		thread->failed |= mq_store_add(broker.store, "sum", 3, 1, &sum) < 0;
		mq_store_set(broker.store, "key", 3, mq_blob_copy("value", 5));
		mq_blob_unref(mq_store_get(broker.store, "key", 3));
		mq_store_delete(broker.store, "key", 3);
		receive(thread);
		mq_unsubscribe(subscriptions[0]);
		mq_unsubscribe(subscriptions[1]);
	}
	pthread_barrier_wait(&together);
	receive(thread);
	mq_client_leave(client);
	mq_client_unref(client);
	return NULL;
}

static void loops_share_all_and_lose_nothing(void **state)
{
	struct mq_settings settings = mq_settings_default;
	uint64_t received = 0, accepted = 0;
	struct mq_blob *sum;
	char text[32];

	settings.loops = THREADS;
	assert_int_equal(mq_broker_init(&broker, &settings), 0);
	memset(threads, 0, sizeof(threads));
	pthread_barrier_init(&together, NULL, THREADS);
	for (size_t i = 0; i < THREADS; i++) {
		threads[i].number = i;
		assert_int_equal(
			pthread_create(&threads[i].thread, NULL, be_a_loop, &threads[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i].thread, NULL);
		received += threads[i].received;
		accepted += threads[i].accepted;
		assert_false(threads[i].failed);
		assert_int_equal(threads[i].client.released, 1);
	}
	pthread_barrier_destroy(&together);
	assert_true(accepted >= (uint64_t)2 * THREADS * ROUNDS);
	assert_int_equal(received, accepted);
	sum = mq_store_get(broker.store, "sum", 3);
	snprintf(text, sizeof(text), "%d", THREADS * ROUNDS);
	assert_int_equal(sum->size, strlen(text));
	assert_memory_equal(sum->bytes, text, sum->size);
	mq_blob_unref(sum);
	mq_broker_fini(&broker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(every_command_has_its_answer),
		leak_test(info_tells_the_counts),
		leak_test(a_message_reaches_who_subscribed),
		leak_test(a_pattern_gets_what_matches_beside_the_channel),
		leak_test(subscribing_twice_is_once),
		leak_test(a_subscriber_does_nothing_else),
		leak_test(who_leaves_is_subscribed_no_more),
		leak_test(a_full_outbox_ends_one_and_no_other),
		leak_test(subscriptions_have_limits),
		leak_test(names_and_memory_have_limits),
		leak_test(without_memory_there_is_an_error),
		leak_test(a_broker_without_memory_is_none),
		leak_test(loops_share_all_and_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
