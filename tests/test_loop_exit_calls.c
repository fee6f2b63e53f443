/*
 * What was posted to a loop whose thread leaves by pthread_exit() is made all the same, as when a loop
 * ends by itself: whoever waits for it goes on.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include <taskmgr/future.h>
#include <taskmgr/tasks/endpoint.h>
#include <taskmgr/tasks/stream.h>

#include "tests/support/actor.h"
#include "tests/support/child.h"
#include "tests/support/exiting.h"
#include "tests/support/leak.h"
#include "tests/support/links.h"

static void arrive(void *self)
{
	latch_arrive(self);
}

/* ---- Calls ---------------------------------------------------------------------------------- */

struct calls {
	struct exiting exiting;
	struct latch made;
	struct tmgr_loop_call posted[5];
};

static int exit_behind_a_call(void *argument)
{
	static struct calls calls = { .made = LATCH_INIT };
	struct exiting *exiting = &calls.exiting;

	exiting_begin(exiting, (enum exiting_way) * (int *)argument);
	for (int i = 0; i < 2; i++)
		child_check_equal(
			tmgr_loop_post(exiting->loop, &calls.posted[i], arrive, &calls.made), 0);
	exiting_go(exiting);
	child_check(latch_arrived(&calls.made, 2));
	exiting_end(exiting);
	return 0;
}

static void what_was_posted_before_an_exit_is_made(void **state)
{
	(void)state;
	exiting_in_each_way(exit_behind_a_call);
}

static void exit_at_once(void *self)
{
	latch_arrive(self);
	pthread_exit(NULL);
}

/* In one batch, for the loop's thread is held meanwhile; the last is no different. */
static int post_several_that_exit(void *argument)
{
	static struct calls calls = { .made = LATCH_INIT };
	struct exiting *exiting = &calls.exiting;

	exiting_begin(exiting, (enum exiting_way) * (int *)argument);
	for (int i = 0; i < 5; i++)
		child_check_equal(tmgr_loop_post(exiting->loop, &calls.posted[i],
					  i % 4 == 3 ? arrive : exit_at_once, &calls.made),
			0);
	exiting_go(exiting);
	child_check(latch_arrived(&calls.made, 5));
	exiting_end(exiting);
	return 0;
}

static void one_that_exits_itself_holds_up_none_behind_it(void **state)
{
	(void)state;
	exiting_in_each_way(post_several_that_exit);
}

struct batch {
	struct calls calls;
	struct tmgr_loop_call first;
	struct latch first_held;
};

static void wait_at(void *self)
{
	latch_wait(self);
}

/* Its turn has taken them together. */
static int exit_within_a_batch(void *argument)
{
	static struct batch batch = { .calls.made = LATCH_INIT, .first_held = LATCH_INIT };
	struct exiting *exiting = &batch.calls.exiting;
	struct latch *made = &batch.calls.made;

	exiting_run(exiting, EXITING_CALL);
	child_check_equal(
		tmgr_loop_post(exiting->loop, &batch.first, wait_at, &batch.first_held), 0);
	child_check(latch_arrived(&batch.first_held, 1));
	for (int i = 0; i < 5; i++)
		child_check_equal(tmgr_loop_post(exiting->loop, &batch.calls.posted[i],
					  i == 1 ? exit_at_once : arrive, made),
			0);
	latch_open(&batch.first_held);
	child_check(latch_arrived(made, 5));
	exiting_end(exiting);
	return *(int *)argument;
}

static void what_the_same_turn_had_taken_is_made(void **state)
{
	(void)state;
	exiting_in_a_child(exit_within_a_batch, 0);
}

struct again {
	struct exiting exiting;
	struct tmgr_loop_call call;
	struct latch refused;
	int made;
};

static void post_again(void *self)
{
	struct again *again = self;
	int r = tmgr_loop_post(again->exiting.loop, &again->call, post_again, again);

	again->made++;
	if (r == -ESHUTDOWN)
		latch_arrive(&again->refused);
}

static int exit_beside_one_that_goes_on_and_on(void *argument)
{
	static struct again again = { .refused = LATCH_INIT };
	struct exiting *exiting = &again.exiting;

	exiting_begin(exiting, (enum exiting_way) * (int *)argument);
	child_check_equal(tmgr_loop_post(exiting->loop, &again.call, post_again, &again), 0);
	exiting_go(exiting);
	child_check(latch_arrived(&again.refused, 1));
	exiting_end(exiting);
	child_check_equal(again.made, 1);
	return 0;
}

static void a_call_that_posts_itself_again_is_refused_then(void **state)
{
	(void)state;
	exiting_in_each_way(exit_beside_one_that_goes_on_and_on);
}

/* ---- Beside those who post ------------------------------------------------------------------- */

struct posting {
	struct tmgr_loop *loop;
	int result;
	unsigned posted;
	struct latch began, made;
};

static void *post_and_wait(void *argument)
{
	struct posting *posting = argument;

	do {
		struct tmgr_loop_call call;

		posting->result = tmgr_loop_post(posting->loop, &call, arrive, &posting->made);
		latch_arrive(&posting->began);
		posting->posted += posting->result == 0;
		if (posting->result == 0 && !latch_arrived(&posting->made, posting->posted))
			return NULL;
	} while (posting->result == 0);
	return NULL;
}

static int exit_beside_posters(void *argument)
{
	for (int round = 0; round < 20; round++) {
		struct exiting exiting;
		struct posting posting[2];
		pthread_t threads[2];

		exiting_run(&exiting, (enum exiting_way) * (int *)argument);
		for (int i = 0; i < 2; i++) {
			posting[i] = (struct posting){ .loop = exiting.loop };
			latch_init(&posting[i].began);
			latch_init(&posting[i].made);
			child_check_equal(
				pthread_create(&threads[i], NULL, post_and_wait, &posting[i]), 0);
			child_check(latch_arrived(&posting[i].began, 1));
		}
		exiting_go(&exiting);
		exiting_hold(&exiting);
		for (int i = 0; i < 2; i++) {
			pthread_join(threads[i], NULL);
			child_check_equal(posting[i].result, -ESHUTDOWN);
		}
		exiting_end(&exiting);
	}
	return 0;
}

static void what_is_posted_as_the_loop_exits_is_made_or_refused(void **state)
{
	(void)state;
	exiting_in_each_way_but_main(exit_beside_posters);
}

/* ---- Callbacks of futures -------------------------------------------------------------------- */

struct told {
	struct exiting exiting;
	struct tmgr_future future;
	struct tmgr_future_callback callback, of_child;
	struct latch registered, told, told_of_child;
	struct tmgr_coroutine *child;
};

static void tell(void *self, struct tmgr_future *future)
{
	(void)future;
	latch_arrive(self);
}

static int wait_for_ever(void *self, struct tmgr_context *context)
{
	(void)self;
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int register_callbacks(void *self, struct tmgr_context *context)
{
	struct told *told = self;

	told->child = spawned(context, "child", wait_for_ever, NULL);
	tmgr_future_on_done(&told->future, &told->callback, tell, &told->told);
	tmgr_future_on_done(
		tmgr_coroutine_future(told->child), &told->of_child, tell, &told->told_of_child);
	latch_arrive(&told->registered);
	return wait_for_ever(NULL, context);
}

/* One of a future that another thread completes before, and one of what is ended with the loop. */
static int exit_with_callbacks(void *argument)
{
	static struct told told = {
		.future = TMGR_FUTURE_INIT, .registered = LATCH_INIT, .told = LATCH_INIT
	};
	struct exiting *exiting = &told.exiting;

	exiting_run(exiting, (enum exiting_way) * (int *)argument);
	child_check_equal(tmgr_loop_spawn(exiting->loop, register_callbacks, &told, NULL, NULL), 0);
	child_check(latch_arrived(&told.registered, 1));
	exiting_hold(exiting);
	child_check_equal(tmgr_future_complete(&told.future, 0, NULL), 0);
	exiting_go(exiting);
	child_check(latch_arrived(&told.told, 1));
	exiting_end(exiting);
	/* It has not left what it was in, as who is told would believe. */
	child_check_equal(
		tmgr_coroutine_await(NULL, told.child, TMGR_NOW, NULL), -TMGR_EUNEXPECTED);
	child_check_equal(told.told_of_child.arrived, 0);
	return 0;
}

static void callbacks_are_called_of_what_was_done_before_and_of_nothing_it_ends(void **state)
{
	(void)state;
	exiting_in_each_way_but_main(exit_with_callbacks);
}

/* ---- Streams --------------------------------------------------------------------------------- */

struct closing {
	struct exiting exiting;
	struct tmgr_stream *streams[2];
	struct latch watched;
};

static int watch(void *self, struct tmgr_context *context)
{
	struct closing *closing = self;
	char byte;

	tmgr_stream_read(context, closing->streams[0], &byte, 1, tmgr_after(TMGR_MILLISECOND));
	latch_arrive(&closing->watched);
	return 0;
}

static void destroy_stream(void *argument, struct tmgr_context *context)
{
	struct closing *closing = argument;

	(void)context;
	tmgr_stream_destroy(closing->streams[0]);
}

/* Its destroy waits for the loop that watches it. */
static int exit_beside_one_who_closes(void *argument)
{
	static struct closing closing = { .watched = LATCH_INIT };
	struct exiting *exiting = &closing.exiting;
	struct actor actor = ACTOR_INIT;

	link_make(LINK_UNIX, NULL, closing.streams);
	exiting_run(exiting, (enum exiting_way) * (int *)argument);
	child_check_equal(tmgr_loop_spawn(exiting->loop, watch, &closing, NULL, NULL), 0);
	child_check(latch_arrived(&closing.watched, 1));
	exiting_hold(exiting);
	actor_start(&actor);
	actor_begin(&actor, destroy_stream, &closing);
	child_check(actor_settles_blocked(&actor));
	exiting_go(exiting);
	child_check(actor_finishes(&actor));
	exiting_end(exiting);
	actor_quit(&actor);
	tmgr_stream_destroy(closing.streams[1]);
	return 0;
}

static void who_closes_a_stream_that_it_watches_goes_on(void **state)
{
	(void)state;
	exiting_in_each_way_but_main(exit_beside_one_who_closes);
}

struct serving {
	struct exiting exiting;
	struct tmgr_listener *listener;
	struct latch reading;
};

static int read_for_ever(void *self, struct tmgr_context *context, struct tmgr_stream *stream)
{
	char byte;

	latch_arrive(self);
	return (int)tmgr_stream_read(context, stream, &byte, 1, TMGR_NEVER);
}

static int serve(void *self, struct tmgr_context *context)
{
	struct serving *serving = self;
	const struct tmgr_serve_options options = {
		.handler = read_for_ever,
		.self = &serving->reading,
	};

	return tmgr_serve(context, serving->listener, &options);
}

/* A connection's handler does not leave the stream that it reads. */
static int exit_beside_a_server(void *argument)
{
	static struct serving serving = { .reading = LATCH_INIT };
	struct exiting *exiting = &serving.exiting;
	struct tmgr_endpoint endpoint = { .host = "127.0.0.1" };
	struct tmgr_stream *stream;

	child_check_equal(tmgr_listen(&endpoint, NULL, &serving.listener), 0);
	endpoint.port = tmgr_listener_port(serving.listener);
	exiting_run(exiting, (enum exiting_way) * (int *)argument);
	child_check_equal(tmgr_loop_spawn(exiting->loop, serve, &serving, NULL, NULL), 0);
	child_check_equal(tmgr_connect(NULL, &endpoint, NULL, tmgr_after(TMGR_MINUTE), &stream), 0);
	child_check(latch_arrived(&serving.reading, 1));
	exiting_hold(exiting);
	exiting_go(exiting);
	exiting_end(exiting);
	tmgr_stream_destroy(stream);
	return 0;
}

static void a_server_there_is_no_hindrance(void **state)
{
	(void)state;
	exiting_in_each_way_but_main(exit_beside_a_server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(what_was_posted_before_an_exit_is_made),
		leak_test(one_that_exits_itself_holds_up_none_behind_it),
		leak_test(what_the_same_turn_had_taken_is_made),
		leak_test(a_call_that_posts_itself_again_is_refused_then),
		leak_test(what_is_posted_as_the_loop_exits_is_made_or_refused),
		leak_test(callbacks_are_called_of_what_was_done_before_and_of_nothing_it_ends),
		leak_test(a_server_there_is_no_hindrance),
		leak_test(who_closes_a_stream_that_it_watches_goes_on),
	};

	return cmocka_run_group_tests_name("calls of loops that exit", tests, NULL, NULL);
}
