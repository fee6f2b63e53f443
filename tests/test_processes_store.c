/*
 * The runtime of durable processes and its store: what the store is told, in which order, what becomes
 * of its errors, and who does its work where its thread never began.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <taskmgr/manager.h>
#include <taskmgr/tasks/process_store.h>

#include "tests/support/leak.h"
#include "tests/support/own_store.h"

static struct {
	struct tmgr_processes *processes;
	struct latch latch;
	atomic_int commits, tries, abandons;
	int commits_at_checkpoint;
	bool checkpointed;
	char tried[16];    /* ids */
	int second_result; /* of the statements that are tried a second time */
} seen;

static const struct tmgr_process_command checkpoint_now = { .kind = TMGR_PROCESS_CHECKPOINT };

static void begin(struct daemon *daemon)
{
	memset(&seen, 0, sizeof(seen));
	latch_init(&seen.latch);
	own_store_make(daemon);
	seen.processes = daemon->processes;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int open_recovered(struct tmgr_store *store, struct tmgr_store_opened *ret_opened)
{
	int r = own_store_real->open(store, ret_opened);

	ret_opened->recovered = true;
	return r;
}

static void health_recovered(struct tmgr_store *store, struct tmgr_store_health *ret_health)
{
	own_store_real->health(store, ret_health);
	strcpy(ret_health->text, "the copy took its place");
}

static void note_log(void *self, const struct tmgr_event *event)
{
	if (event->kind == TMGR_EVENT_LOG && strcmp(event->text, "the copy took its place") == 0)
		atomic_fetch_add((atomic_int *)self, 1);
}

static bool is_told(void *argument)
{
	return atomic_load((atomic_int *)argument) > 0;
}

static void what_a_store_did_to_recover_is_in_the_log(void **state)
{
	atomic_int told = 0;
	struct daemon daemon;

	begin(&daemon);
	own_store.open = open_recovered;
	own_store.health = health_recovered;
	assert_int_equal(
		tmgr_manager_observe(daemon.manager, TMGR_LEVEL_WARNING, note_log, &told), 0);
	daemon_start(&daemon);
	assert_true(eventually(is_told, &told));
	daemon_end(&daemon);
}

/* ---- Checkpoints ----------------------------------------------------------------------------- */

#define STARTS_MAX 200

/* While it stores a batch the next one comes, and so always, until there were many. */
static int commit_and_start(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	int n = atomic_fetch_add(&seen.commits, 1);
	struct tmgr_process_request *request;
	char id[16];

	snprintf(id, sizeof(id), "s%d", n);
	if (n < STARTS_MAX && !seen.checkpointed &&
		tmgr_processes_submit(seen.processes,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_START,
				.child = { &sum_definition, id, &(struct sum){ 0, 1 } } },
			&request) == 0)
		tmgr_process_request_release(request);
	if (n == 0)
		latch_wait(&seen.latch);
	return own_store_real->commit(store, batch);
}

static int note_checkpoint(struct tmgr_store *store)
{
	seen.checkpointed = true;
	seen.commits_at_checkpoint = atomic_load(&seen.commits);
	return 0;
}

static void a_checkpoint_does_not_wait_for_a_moment_without_steps(void **state)
{
	struct tmgr_process_request *start, *checkpoint;
	struct daemon daemon;

	begin(&daemon);
	own_store.commit = commit_and_start;
	own_store.checkpoint = note_checkpoint;
	daemon_start(&daemon);
	start = daemon_submit(
		&daemon, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_START,
				 .child = { &sum_definition, "s", &(struct sum){ 0, 1 } } });
	assert_true(latch_arrived(&seen.latch, 1));
	checkpoint = daemon_submit(&daemon, &checkpoint_now);
	latch_open(&seen.latch);
	assert_int_equal(daemon_answer(checkpoint), 0);
	assert_int_equal(daemon_answer(start), 0);
	assert_int_equal(seen.commits_at_checkpoint, 1);
	daemon_end(&daemon);
}

static int checkpoint_fails(struct tmgr_store *store)
{
	return -EIO;
}

static void a_checkpoint_that_fails_on_the_disk_ends_it(void **state)
{
	struct daemon daemon;

	begin(&daemon);
	own_store.checkpoint = checkpoint_fails;
	daemon_start(&daemon);
	assert_int_equal(daemon_answer(daemon_submit(&daemon, &checkpoint_now)), -EIO);
	assert_int_equal(runner_join(&daemon.runner), -EIO);
	daemon_release(&daemon);
}

/* All its work is done by then: where it cannot be, the stop says so. */
static int fail_and_note(struct tmgr_store *store)
{
	note_checkpoint(store);
	return -EIO;
}

static void a_stop_has_the_store_do_all_that_can_wait_and_gives_its_error(void **state)
{
	struct daemon daemon;

	begin(&daemon);
	own_store.checkpoint = note_checkpoint;
	daemon_start(&daemon);
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	assert_false(seen.checkpointed);
	assert_int_equal(daemon_stop(&daemon), 0);
	assert_true(seen.checkpointed);
	daemon_release(&daemon);
	begin(&daemon);
	own_store.checkpoint = fail_and_note;
	daemon_start(&daemon);
	assert_int_equal(daemon_stop(&daemon), -EIO);
	assert_true(seen.checkpointed);
	daemon_release(&daemon);
}

static int close_and_note(struct tmgr_store *store)
{
	atomic_fetch_add(&seen.tries, 1);
	return own_store_real->close(store);
}

/* It has ended: what it would do now is in doubt. */
static void a_store_that_failed_is_closed_and_asked_for_nothing_more(void **state)
{
	struct daemon daemon;

	begin(&daemon);
	own_store.checkpoint = fail_and_note;
	own_store.close = close_and_note;
	daemon_start(&daemon);
	assert_int_equal(daemon_answer(daemon_submit(&daemon, &checkpoint_now)), -EIO);
	seen.checkpointed = false;
	assert_int_equal(runner_join(&daemon.runner), -EIO);
	assert_false(seen.checkpointed);
	assert_int_equal(atomic_load(&seen.tries), 1);
	daemon_release(&daemon);
}

static int checkpoint_without_room(struct tmgr_store *store)
{
	return -ENOSPC;
}

/* All is stored, and what can wait is done by the next program. */
static void one_that_finds_no_room_at_the_end_is_no_error(void **state)
{
	struct daemon daemon;

	begin(&daemon);
	own_store.checkpoint = checkpoint_without_room;
	daemon_start(&daemon);
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	assert_int_equal(daemon_answer(daemon_submit(&daemon, &checkpoint_now)), -ENOSPC);
	daemon_end(&daemon);
}

/* ---- A stop without room --------------------------------------------------------------------- */

static int commit_without_room(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	atomic_fetch_add(&seen.tries, 1);
	return -ENOSPC;
}

static bool was_tried(void *unused)
{
	return atomic_load(&seen.tries) > 0;
}

/* It is in flight, and nothing else is: for a part of the time of the stop it is tried again. */
static void a_stop_that_finds_no_room_says_that_what_is_held_is_lost(void **state)
{
	struct tmgr_process_request *request;
	struct daemon daemon;

	begin(&daemon);
	own_store.commit = commit_without_room;
	daemon_start(&daemon);
	request = daemon_submit(
		&daemon, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_START,
				 .child = { &sum_definition, "s", &(struct sum){ 0, 1 } } });
	assert_true(eventually(was_tried, NULL));
	assert_int_equal(daemon_stop(&daemon), -ENOSPC);
	assert_int_equal(daemon_answer(request), -ESHUTDOWN);
	daemon_release(&daemon);
}

/* ---- Statements that are tried again --------------------------------------------------------- */

static int writer_write(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct tmgr_sql_statement statement = { .text = "INSERT INTO t VALUES (1)" };
	int r = tmgr_process_sql(process, &statement);

	return r < 0 ? r : tmgr_process_finish(process, (struct tmgr_bytes){ "ok", 2 });
}

static const struct tmgr_process_definition writer_definition = {
	.name = "writer",
	.version = 1,
	.start = writer_write,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Write",
								 .function = writer_write },
		{ 0 } },
};

static int try_sql(struct tmgr_store *store, struct tmgr_store_trial *trials, size_t count)
{
	int n = atomic_fetch_add(&seen.tries, 1);

	for (size_t i = 0; i < count; i++)
		trials[i].result = n == 1 ? seen.second_result : 0;
	return 0;
}

static void abandon(struct tmgr_store *store)
{
	atomic_fetch_add(&seen.abandons, 1);
}

/* The batch with the step of the writer finds no room the first time. */
static int commit_later(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	if (atomic_load(&seen.tries) > 0 && atomic_fetch_add(&seen.commits, 1) == 0)
		return -ENOSPC;
	return own_store_real->commit(store, batch);
}

static void begin_writer(struct daemon *daemon, int second_result)
{
	begin(daemon);
	seen.second_result = second_result;
	own_store.try_sql = try_sql;
	own_store.abandon = abandon;
	own_store.commit = commit_later;
	assert_int_equal(tmgr_processes_define(daemon->processes, &writer_definition), 0);
	assert_int_equal(tmgr_manager_add_task(daemon->manager, "workers",
				 tmgr_processes_workers(daemon->processes, NULL), TMGR_STRICT),
		0);
	daemon_start(daemon);
	assert_int_equal(daemon_start_process(daemon, &writer_definition, "w"), 0);
}

static void statements_that_cannot_be_made_again_yet_are_tried_until_they_can(void **state)
{
	static const int results[] = { -EAGAIN, -ETIMEDOUT };
	struct daemon daemon;

	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		begin_writer(&daemon, results[i]);
		daemon_expect_result(&daemon, "w", "ok");
		assert_int_equal(atomic_load(&seen.tries), 3);
		assert_int_equal(atomic_load(&seen.abandons), 1);
		daemon_end(&daemon);
	}
}

static void statements_that_were_good_and_are_not_any_more_end_it(void **state)
{
	struct daemon daemon;

	begin_writer(&daemon, -EEXIST);
	assert_int_equal(runner_join(&daemon.runner), -EIO);
	daemon_release(&daemon);
}

/* ---- Without room ---------------------------------------------------------------------------- */

/* A quota is no room either. */
static int commit_over_quota(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	return atomic_fetch_add(&seen.commits, 1) == 0 ? -EDQUOT
						       : own_store_real->commit(store, batch);
}

static void over_a_quota_steps_are_held_and_go_on(void **state)
{
	struct daemon daemon;

	begin(&daemon);
	own_store.commit = commit_over_quota;
	daemon_start(&daemon);
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	assert_int_equal(atomic_load(&seen.commits), 2);
	daemon_end(&daemon);
}

/* The first time there is none; then each statement's text is noted, in the order they come. */
static int try_without_room(struct tmgr_store *store, struct tmgr_store_trial *trials, size_t count)
{
	if (atomic_fetch_add(&seen.tries, 1) == 0) {
		latch_wait(&seen.latch);
		return -ENOSPC;
	}
	for (size_t i = 0; i < count; i++) {
		trials[i].result = 0;
		strcat(seen.tried, trials[i].statements[0].values[0].text);
	}
	return 0;
}

static int named_write(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct tmgr_sql_value value = { .kind = TMGR_SQL_TEXT,
		.text = tmgr_process_id(process) };
	const struct tmgr_sql_statement statement = {
		.text = "INSERT INTO t VALUES (?1)", .values = &value, .count = 1
	};
	int r = tmgr_process_sql(process, &statement);

	return r < 0 ? r : tmgr_process_finish(process, (struct tmgr_bytes){ "ok", 2 });
}

static const struct tmgr_process_definition named_definition = {
	.name = "named",
	.version = 1,
	.start = named_write,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Write",
								 .function = named_write },
		{ 0 } },
};

static void statements_that_find_no_room_are_tried_again_in_their_order(void **state)
{
	struct daemon daemon;

	begin(&daemon);
	own_store.try_sql = try_without_room;
	own_store.abandon = abandon;
	assert_int_equal(tmgr_processes_define(daemon.processes, &named_definition), 0);
	assert_int_equal(tmgr_manager_add_task(daemon.manager, "workers",
				 tmgr_processes_workers(daemon.processes,
					 &(struct tmgr_processes_workers_options){ .workers = 1 }),
				 TMGR_STRICT),
		0);
	daemon_start(&daemon);
	assert_int_equal(daemon_start_process(&daemon, &named_definition, "a"), 0);
	assert_true(latch_arrived(&seen.latch, 1));
	/* These return while the first is tried, and cannot be acknowledged. */
	tmgr_process_request_release(
		daemon_submit(&daemon, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_START,
					       .child = { &named_definition, "b", NULL } }));
	latch_open(&seen.latch);
	daemon_expect_result(&daemon, "a", "ok");
	daemon_expect_result(&daemon, "b", "ok");
	assert_string_equal(seen.tried, "ab");
	daemon_end(&daemon);
}

/* ---- A thread that never began --------------------------------------------------------------- */

static int hold_pool(void *self, struct tmgr_context *context)
{
	latch_wait(&seen.latch);
	return 0;
}

static struct tmgr_task runtime;

static int runtime_initialize(void *self, struct tmgr_context *context)
{
	return runtime.ops->initialize(self, context);
}

/* Not before the pool's only thread is held. */
static int runtime_execute(void *self, struct tmgr_context *context)
{
	return latch_arrived(&seen.latch, 1) ? runtime.ops->execute(self, context) : -EIO;
}

static int runtime_cleanup(void *self, struct tmgr_context *context)
{
	return runtime.ops->cleanup(self, context);
}

static void runtime_destroy(void *self)
{
	runtime.ops->destroy(self);
}

static bool has_a_batch(void *argument)
{
	struct tmgr_processes_stats stats;

	tmgr_processes_stats(argument, &stats);
	return stats.processes == 1;
}

static void use_one_held_thread(struct daemon *daemon)
{
	static const struct tmgr_task_ops ops = { .kind = "later",
		.initialize = runtime_initialize,
		.execute = runtime_execute,
		.cleanup = runtime_cleanup,
		.destroy = runtime_destroy };
	const struct tmgr_manager_options options = {
		.pool_threads_max = 1, .pool_queue_max = 10, .shutdown_ns = 30 * TMGR_SECOND
	};

	tmgr_manager_destroy(daemon->manager);
	daemon->manager = tmgr_manager_create(&options);
	runtime = tmgr_processes_task(daemon->processes);
	assert_int_equal(tmgr_manager_add_execute_task(daemon->manager, "holder",
				 tmgr_task_function(hold_pool, NULL), TMGR_STRICT),
		0);
	assert_int_equal(tmgr_manager_add_task(daemon->manager, "processes",
				 (struct tmgr_task){ &ops, runtime.self }, TMGR_STRICT),
		0);
}

static void what_a_store_without_a_thread_was_given_is_stored_by_the_stop(void **state)
{
	struct tmgr_process_request *request;
	struct daemon daemon;

	begin(&daemon);
	use_one_held_thread(&daemon);
	daemon_start(&daemon);
	request = daemon_submit(
		&daemon, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_START,
				 .child = { &sum_definition, "s", &(struct sum){ 0, 1 } } });
	assert_true(eventually(has_a_batch, daemon.processes));
	tmgr_manager_cancel(daemon.manager);
	/* It is stored before the pool's thread is free. */
	assert_int_equal(daemon_answer(request), 0);
	latch_open(&seen.latch);
	assert_int_equal(runner_join(&daemon.runner), 0);
	daemon_release(&daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(what_a_store_did_to_recover_is_in_the_log),
		leak_test(a_checkpoint_does_not_wait_for_a_moment_without_steps),
		leak_test(a_checkpoint_that_fails_on_the_disk_ends_it),
		leak_test(a_stop_that_finds_no_room_says_that_what_is_held_is_lost),
		leak_test(a_stop_has_the_store_do_all_that_can_wait_and_gives_its_error),
		leak_test(a_store_that_failed_is_closed_and_asked_for_nothing_more),
		leak_test(one_that_finds_no_room_at_the_end_is_no_error),
		leak_test(statements_that_cannot_be_made_again_yet_are_tried_until_they_can),
		leak_test(statements_that_were_good_and_are_not_any_more_end_it),
		leak_test(over_a_quota_steps_are_held_and_go_on),
		leak_test(statements_that_find_no_room_are_tried_again_in_their_order),
		leak_test(what_a_store_without_a_thread_was_given_is_stored_by_the_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
