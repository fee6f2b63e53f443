/*
 * The runtime of durable processes and its store: what the store is told, in which order, what becomes
 * of its errors, backups that are made beside it, and who does its work where its thread never began.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <taskmgr/manager.h>
#include <taskmgr/tasks/process_store.h>

#include "tests/support/daemon.h"
#include "tests/support/leak.h"

/* ---- A store in memory, with functions of ours ----------------------------------------------- */

static struct {
	struct tmgr_store_ops ops;
	const struct tmgr_store_ops *real;
	struct tmgr_processes *processes;
	struct latch latch;
	atomic_int commits, tries, abandons;
	int commits_at_checkpoint;
	bool checkpointed;
	int second_result; /* of the statements that are tried a second time */
} ours;

static void begin_ours(struct daemon *daemon)
{
	memset(&ours, 0, sizeof(ours));
	latch_init(&ours.latch);
	daemon_make(daemon, NULL);
	ours.real = daemon->store->ops;
	ours.ops = *ours.real;
	ours.processes = daemon->processes;
	daemon->store->ops = &ours.ops;
}

static void end_ours(struct daemon *daemon)
{
	assert_int_equal(daemon_stop(daemon), 0);
	daemon_release(daemon);
}

static struct tmgr_process_request *submit(
	struct daemon *daemon, const struct tmgr_process_command *command)
{
	struct tmgr_process_request *request;

	assert_int_equal(tmgr_processes_submit(daemon->processes, command, &request), 0);
	return request;
}

static int answer_of(struct tmgr_process_request *request)
{
	struct tmgr_future *future = tmgr_process_request_future(request);
	int error = 1;

	assert_int_equal(tmgr_future_wait(NULL, future, DAEMON_SOON), 0);
	assert_int_equal(tmgr_future_result(future, &error, NULL), 0);
	tmgr_process_request_release(request);
	return error;
}

static const struct tmgr_process_command backup_of_all = { .kind = TMGR_PROCESS_BACKUP,
	.text = "copy" };
static const struct tmgr_process_command checkpoint_now = { .kind = TMGR_PROCESS_CHECKPOINT };

/* ---- Opening --------------------------------------------------------------------------------- */

static int open_recovered(struct tmgr_store *store, struct tmgr_store_opened *ret_opened)
{
	int r = ours.real->open(store, ret_opened);

	ret_opened->recovered = true;
	return r;
}

static void health_recovered(struct tmgr_store *store, struct tmgr_store_health *ret_health)
{
	ours.real->health(store, ret_health);
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

	begin_ours(&daemon);
	ours.ops.open = open_recovered;
	ours.ops.health = health_recovered;
	assert_int_equal(
		tmgr_manager_observe(daemon.manager, TMGR_LEVEL_WARNING, note_log, &told), 0);
	daemon_start(&daemon);
	assert_true(eventually(is_told, &told));
	end_ours(&daemon);
}

/* ---- Backups --------------------------------------------------------------------------------- */

static int backup_fails(
	struct tmgr_store *store, const char *path, bool (*cancelled)(void *self), void *self)
{
	return -EIO;
}

static void an_error_of_a_backup_is_its_askers_and_ends_nothing(void **state)
{
	struct daemon daemon;

	begin_ours(&daemon);
	assert_null(ours.ops.backup);
	daemon_start(&daemon);
	assert_int_equal(answer_of(submit(&daemon, &backup_of_all)), -ENOTSUP);
	end_ours(&daemon);
	begin_ours(&daemon);
	ours.ops.backup = backup_fails;
	daemon_start(&daemon);
	assert_int_equal(answer_of(submit(&daemon, &backup_of_all)), -EIO);
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	end_ours(&daemon);
}

static int backup_held(
	struct tmgr_store *store, const char *path, bool (*cancelled)(void *self), void *self)
{
	if (strcmp(path, "copy") != 0)
		return -EINVAL;
	return latch_wait(&ours.latch) ? 0 : -EIO;
}

static void steps_are_stored_while_a_backup_is_made_and_one_is_made_at_a_time(void **state)
{
	struct tmgr_process_request *first, *second;
	struct daemon daemon;

	begin_ours(&daemon);
	ours.ops.backup = backup_held;
	daemon_start(&daemon);
	first = submit(&daemon, &backup_of_all);
	second = submit(&daemon, &backup_of_all);
	assert_true(latch_arrived(&ours.latch, 1));
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), 0);
	assert_int_equal(answer_of(submit(&daemon, &checkpoint_now)), 0);
	assert_int_equal(ours.latch.arrived, 1);
	assert_false(tmgr_future_done(tmgr_process_request_future(first)));
	latch_open(&ours.latch);
	assert_int_equal(answer_of(first), 0);
	assert_int_equal(answer_of(second), 0);
	assert_int_equal(ours.latch.arrived, 2);
	end_ours(&daemon);
}

static int backup_until_cancelled(
	struct tmgr_store *store, const char *path, bool (*cancelled)(void *self), void *self)
{
	latch_arrive(&ours.latch);
	while (!cancelled(self))
		tmgr_sleep(NULL, TMGR_MILLISECOND);
	return -ECANCELED;
}

static void a_stop_gives_up_the_backup_that_is_made_and_those_that_wait(void **state)
{
	struct tmgr_process_request *first, *second;
	struct daemon daemon;

	begin_ours(&daemon);
	ours.ops.backup = backup_until_cancelled;
	daemon_start(&daemon);
	first = submit(&daemon, &backup_of_all);
	second = submit(&daemon, &backup_of_all);
	assert_true(latch_arrived(&ours.latch, 1));
	assert_int_equal(daemon_stop(&daemon), 0);
	assert_int_equal(answer_of(first), -ESHUTDOWN);
	assert_int_equal(answer_of(second), -ESHUTDOWN);
	daemon_release(&daemon);
}

static void a_store_that_ends_gives_up_the_backup_that_is_made(void **state)
{
	struct tmgr_process_request *request;
	struct daemon daemon;

	begin_ours(&daemon);
	ours.ops.backup = backup_until_cancelled;
	daemon_start(&daemon);
	request = submit(&daemon, &backup_of_all);
	assert_true(latch_arrived(&ours.latch, 1));
	daemon.store->ops = ours.real;
	assert_int_equal(tmgr_store_memory_fail(daemon.store, -EIO), 0);
	daemon.store->ops = &ours.ops;
	assert_int_equal(daemon_start_sum(&daemon, "s", 1), -EIO);
	assert_int_equal(runner_join(&daemon.runner), -EIO);
	assert_int_equal(answer_of(request), -ESHUTDOWN);
	daemon_release(&daemon);
}

/* ---- Checkpoints ----------------------------------------------------------------------------- */

#define STARTS_MAX 200

/* While it stores a batch the next one comes, and so always, until there were many. */
static int commit_and_start(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	int n = atomic_fetch_add(&ours.commits, 1);
	struct tmgr_process_request *request;
	char id[16];

	snprintf(id, sizeof(id), "s%d", n);
	if (n < STARTS_MAX && !ours.checkpointed &&
		tmgr_processes_submit(ours.processes,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_START,
				.child = { &sum_definition, id, &(struct sum){ 0, 1 } } },
			&request) == 0)
		tmgr_process_request_release(request);
	if (n == 0)
		latch_wait(&ours.latch);
	return ours.real->commit(store, batch);
}

static int note_checkpoint(struct tmgr_store *store)
{
	ours.checkpointed = true;
	ours.commits_at_checkpoint = atomic_load(&ours.commits);
	return 0;
}

static void a_checkpoint_does_not_wait_for_a_moment_without_steps(void **state)
{
	struct tmgr_process_request *start, *checkpoint;
	struct daemon daemon;

	begin_ours(&daemon);
	ours.ops.commit = commit_and_start;
	ours.ops.checkpoint = note_checkpoint;
	daemon_start(&daemon);
	start = submit(&daemon, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_START,
					.child = { &sum_definition, "s", &(struct sum){ 0, 1 } } });
	assert_true(latch_arrived(&ours.latch, 1));
	checkpoint = submit(&daemon, &checkpoint_now);
	latch_open(&ours.latch);
	assert_int_equal(answer_of(checkpoint), 0);
	assert_int_equal(answer_of(start), 0);
	assert_int_equal(ours.commits_at_checkpoint, 1);
	end_ours(&daemon);
}

static int checkpoint_fails(struct tmgr_store *store)
{
	return -EIO;
}

static void a_checkpoint_that_fails_on_the_disk_ends_it(void **state)
{
	struct daemon daemon;

	begin_ours(&daemon);
	ours.ops.checkpoint = checkpoint_fails;
	daemon_start(&daemon);
	assert_int_equal(answer_of(submit(&daemon, &checkpoint_now)), -EIO);
	assert_int_equal(runner_join(&daemon.runner), -EIO);
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
	int n = atomic_fetch_add(&ours.tries, 1);

	for (size_t i = 0; i < count; i++)
		trials[i].result = n == 1 ? ours.second_result : 0;
	return 0;
}

static void abandon(struct tmgr_store *store)
{
	atomic_fetch_add(&ours.abandons, 1);
}

/* The batch with the step of the writer finds no room the first time. */
static int commit_later(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	if (atomic_load(&ours.tries) > 0 && atomic_fetch_add(&ours.commits, 1) == 0)
		return -ENOSPC;
	return ours.real->commit(store, batch);
}

static void begin_writer(struct daemon *daemon, int second_result)
{
	begin_ours(daemon);
	ours.second_result = second_result;
	ours.ops.try_sql = try_sql;
	ours.ops.abandon = abandon;
	ours.ops.commit = commit_later;
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
		assert_int_equal(atomic_load(&ours.tries), 3);
		assert_int_equal(atomic_load(&ours.abandons), 1);
		end_ours(&daemon);
	}
}

static void statements_that_were_good_and_are_not_any_more_end_it(void **state)
{
	struct daemon daemon;

	begin_writer(&daemon, -EEXIST);
	assert_int_equal(runner_join(&daemon.runner), -EIO);
	daemon_release(&daemon);
}

/* ---- A thread that never began --------------------------------------------------------------- */

static int hold_pool(void *self, struct tmgr_context *context)
{
	latch_wait(&ours.latch);
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
	return latch_arrived(&ours.latch, 1) ? runtime.ops->execute(self, context) : -EIO;
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

	begin_ours(&daemon);
	use_one_held_thread(&daemon);
	daemon_start(&daemon);
	request = submit(
		&daemon, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_START,
				 .child = { &sum_definition, "s", &(struct sum){ 0, 1 } } });
	assert_true(eventually(has_a_batch, daemon.processes));
	tmgr_manager_cancel(daemon.manager);
	/* It is stored before the pool's thread is free. */
	assert_int_equal(answer_of(request), 0);
	latch_open(&ours.latch);
	assert_int_equal(runner_join(&daemon.runner), 0);
	daemon_release(&daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(what_a_store_did_to_recover_is_in_the_log),
		leak_test(an_error_of_a_backup_is_its_askers_and_ends_nothing),
		leak_test(steps_are_stored_while_a_backup_is_made_and_one_is_made_at_a_time),
		leak_test(a_stop_gives_up_the_backup_that_is_made_and_those_that_wait),
		leak_test(a_store_that_ends_gives_up_the_backup_that_is_made),
		leak_test(a_checkpoint_does_not_wait_for_a_moment_without_steps),
		leak_test(a_checkpoint_that_fails_on_the_disk_ends_it),
		leak_test(statements_that_cannot_be_made_again_yet_are_tried_until_they_can),
		leak_test(statements_that_were_good_and_are_not_any_more_end_it),
		leak_test(what_a_store_without_a_thread_was_given_is_stored_by_the_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
