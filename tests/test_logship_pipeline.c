/*
 * Who has a chunk of logship, and how its pipeline ends when one of its tasks does not go on. The
 * test is one of them, so it says how long that takes.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>
#include <taskmgr/taskmgr.h>

#include "internal/examples/cmd/logship/pipeline.h"
#include "tests/support/child.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

#define SOON tmgr_after(30 * TMGR_SECOND)
#define TEXT "one\ntwo\n"
#define LENGTH ((long long)sizeof(TEXT) - 1)

struct rig {
	char directory[64], database[128], list[128], log[128];
	struct options options;
	struct pipeline pipeline;
	struct tmgr_manager *manager;
	struct runner runner;
	atomic_int flushed; /* what flush gave */
};

static void rig_begin(struct rig *rig)
{
	static const struct tmgr_manager_options reverse = {
		.stop_order = TMGR_STOP_REVERSE,
		.take_signals = true,
	};

	*rig = (struct rig){ .directory = "/tmp/test_logship.XXXXXX" };
	assert_non_null(mkdtemp(rig->directory));
	snprintf(rig->database, sizeof(rig->database), "%s/logs.db", rig->directory);
	snprintf(rig->list, sizeof(rig->list), "%s/list", rig->directory);
	snprintf(rig->log, sizeof(rig->log), "%s/app.log", rig->directory);
	rig->options = (struct options){ .database = rig->database, .list = rig->list };
	assert_int_equal(pipeline_init(&rig->pipeline, &rig->options), 0);
	rig->manager = tmgr_manager_create(&reverse);
	assert_non_null(rig->manager);
}

static void rig_add(struct rig *rig, const char *name, struct tmgr_task task)
{
	assert_int_equal(tmgr_manager_add_task(rig->manager, name, task, TMGR_STRICT), 0);
}

static void rig_end(struct rig *rig)
{
	char command[128];

	tmgr_manager_destroy(rig->manager);
	pipeline_fini(&rig->pipeline);
	snprintf(command, sizeof(command), "rm -rf %s", rig->directory);
	assert_int_equal(system(command), 0);
}

static int stop(struct rig *rig)
{
	tmgr_manager_cancel(rig->manager);
	return runner_join(&rig->runner);
}

static long long left(struct rig *rig)
{
	return atomic_load(&rig->pipeline.counts.left);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static long long ask(struct rig *rig, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	sqlite3 *database = NULL;
	long long number;

	assert_int_equal(sqlite3_open(rig->database, &database), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(database);
	return number;
}

/* Two lines of a file of their own, as a tailer gives them. */
static struct chunk *lines_of(int64_t file)
{
	struct chunk *chunk = chunk_create("/var/log/x");

	assert_non_null(chunk);
	memcpy(chunk->block.bytes, TEXT, LENGTH);
	chunk->block.length = LENGTH;
	chunk->block.record = (struct tail_record){
		.id = file,
		.identity = { .device = 1, .inode = (uint64_t)file },
		.offset = LENGTH,
	};
	return chunk;
}

static int send_chunk(struct rig *rig, struct chunk *chunk)
{
	return pipeline_send(&rig->pipeline, NULL, chunk);
}

/* The test parses. */
static struct chunk *take_job(struct rig *rig)
{
	struct chunk *chunk;

	assert_int_equal(tmgr_channel_receive(NULL, rig->pipeline.jobs, &chunk, SOON), 0);
	return chunk;
}

/* And the test writes. */
static struct chunk *take_ordered(struct rig *rig)
{
	struct chunk *chunk;

	assert_int_equal(tmgr_channel_receive(NULL, rig->pipeline.ordered, &chunk, SOON), 0);
	return chunk;
}

static void a_writer_that_gives_up_leaves_a_parser_its_chunk(void **state)
{
	struct rig rig;
	struct chunk *first, *held;

	(void)state;
	rig_begin(&rig);
	rig_add(&rig, "writer", writer_task(&rig.pipeline));
	runner_start(&rig.runner, rig.manager, NULL);
	assert_int_equal(send_chunk(&rig, lines_of(1)), 0);
	assert_int_equal(send_chunk(&rig, lines_of(2)), 0);
	first = take_job(&rig);
	held = take_job(&rig);
	chunk_parsed(first, -ENOMEM);
	assert_int_equal(runner_join(&rig.runner), -ENOMEM);
	assert_int_equal(left(&rig), 2 * LENGTH);
	assert_int_equal(ask(&rig, "SELECT count(*) FROM files"), 0);
	assert_int_equal(atomic_load(&held->refs), 1);
	memset(held->block.bytes, 'x', TAIL_BLOCK_MAX);
	chunk_parsed(held, 0);
	rig_end(&rig);
}

static void a_stop_waits_for_a_parser_and_writes_what_it_gives(void **state)
{
	struct chunk *held;
	struct rig rig;

	(void)state;
	rig_begin(&rig);
	rig_add(&rig, "writer", writer_task(&rig.pipeline));
	runner_start(&rig.runner, rig.manager, NULL);
	assert_int_equal(send_chunk(&rig, lines_of(1)), 0);
	held = take_job(&rig);
	assert_true(task_waits(rig.manager, "writer", "future"));
	tmgr_manager_cancel(rig.manager);
	chunk_parsed(held, 0);
	assert_int_equal(runner_join(&rig.runner), 0);
	assert_int_equal(left(&rig), 0);
	assert_int_equal(ask(&rig, "SELECT offset FROM files"), LENGTH);
	rig_end(&rig);
}

static void what_is_sent_after_the_writer_is_left(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig);
	rig_add(&rig, "writer", writer_task(&rig.pipeline));
	runner_start(&rig.runner, rig.manager, NULL);
	assert_true(task_waits(rig.manager, "writer", "channel"));
	assert_int_equal(stop(&rig), 0);
	assert_int_equal(send_chunk(&rig, lines_of(1)), -EPIPE);
	assert_int_equal(left(&rig), LENGTH);
	assert_int_equal(tmgr_channel_count(rig.pipeline.jobs), 0);
	rig_end(&rig);
}

/* ---- Flushing -------------------------------------------------------------------------------- */

static int flush(void *self, struct tmgr_context *context)
{
	struct rig *rig = self;
	int r = pipeline_flush(&rig->pipeline, context);

	atomic_store(&rig->flushed, r);
	return r == -EPIPE ? pipeline_await_stop(context) : r;
}

static void a_stop_ends_a_flush_that_nobody_writes(void **state)
{
	struct chunk *mark;
	struct rig rig;

	(void)state;
	rig_begin(&rig);
	rig_add(&rig, "flush", tmgr_task_function(flush, &rig));
	runner_start(&rig.runner, rig.manager, NULL);
	mark = take_ordered(&rig);
	assert_int_equal(stop(&rig), 0);
	assert_int_equal(atomic_load(&rig.flushed), -ECANCELED);
	/* The writer does not know. */
	assert_int_equal(tmgr_future_wait(NULL, &mark->parsed, TMGR_NOW), 0);
	pipeline_settle(&rig.pipeline, mark, 0);
	rig_end(&rig);
}

static void a_stop_ends_a_flush_that_finds_no_room(void **state)
{
	struct rig rig;

	(void)state;
	rig_begin(&rig);
	rig_add(&rig, "flush", tmgr_task_function(flush, &rig));
	for (int i = 0; i < ORDERED_MAX; i++)
		assert_int_equal(send_chunk(&rig, lines_of(i)), 0);
	runner_start(&rig.runner, rig.manager, NULL);
	assert_true(task_waits(rig.manager, "flush", "channel"));
	assert_int_equal(stop(&rig), 0);
	assert_int_equal(atomic_load(&rig.flushed), -ECANCELED);
	rig_end(&rig);
}

static void run_short_of_a_thread(struct rig *rig, long k)
{
	rig_add(rig, "writer", writer_task(&rig->pipeline));
	rig_add(rig, "parsers", parsers_task(&rig->pipeline));
	assert_int_equal(tmgr_manager_add_task(rig->manager, "flush",
				 tmgr_task_function(flush, rig), TMGR_STOP_GROUP),
		0);
	assert_int_equal(send_chunk(rig, lines_of(1)), 0);
	fault_fail_thread(k);
	tmgr_manager_run(rig->manager, NULL);
}

/* Whoever lacks the thread, its lack is the only error, and the lines are written or left. */
static void what_the_parsers_leave_is_handed_back(void **state)
{
	bool failed = true, parsers_failed = false;

	(void)state;
	for (long k = 1; failed && k < 100; k++) {
		const struct tmgr_report *report;
		struct rig rig;

		rig_begin(&rig);
		run_short_of_a_thread(&rig, k);
		failed = fault_happened();
		fault_off();
		report = tmgr_manager_report(rig.manager);
		assert_int_equal(report->stuck, 0);
		assert_true(report->result == 0 || (failed && report->result == -EAGAIN));
		assert_int_equal(report->errors, report->result != 0);
		if (report->cause && strcmp(report->cause->name, "parsers") == 0 &&
			rig.pipeline.ended_ns > 0) {
			parsers_failed = true;
			assert_true(left(&rig) == LENGTH ||
				    ask(&rig, "SELECT count(*) FROM lines") == 2);
		}
		rig_end(&rig);
	}
	assert_false(failed);
	assert_true(parsers_failed);
}

/* ---- Reloading ------------------------------------------------------------------------------- */

/* A reload that waits, since the writer does: its path is taken from the list, its line not parsed. */
static struct chunk *hold_reload(struct rig *rig)
{
	struct chunk *held;

	rig_add(rig, "writer", writer_task(&rig->pipeline));
	rig_add(rig, "files", files_task(&rig->pipeline));
	write_file(rig->log, TEXT);
	write_file(rig->list, rig->log);
	runner_start(&rig->runner, rig->manager, NULL);
	held = take_job(rig);
	write_file(rig->list, "");
	assert_true(task_waits(rig->manager, "files", "select"));
	kill(getpid(), SIGHUP);
	assert_true(task_waits(rig->manager, "files", "future"));
	return held;
}

static void a_stop_ends_a_reload_and_then_its_lines_are_written(void **state)
{
	struct chunk *held;
	struct rig rig;

	(void)state;
	rig_begin(&rig);
	held = hold_reload(&rig);
	tmgr_manager_cancel(rig.manager);
	assert_true(task_reaches(rig.manager, "files", TMGR_STATE_DONE));
	chunk_parsed(held, 0);
	assert_int_equal(runner_join(&rig.runner), 0);
	assert_int_equal(left(&rig), 0);
	assert_int_equal(ask(&rig, "SELECT offset FROM files"), LENGTH);
	rig_end(&rig);
}

static void a_writer_that_gives_up_in_a_reload_is_the_only_one_to_fail(void **state)
{
	const struct tmgr_report *report;
	struct rig rig;

	(void)state;
	rig_begin(&rig);
	chunk_parsed(hold_reload(&rig), -ENOMEM);
	assert_int_equal(runner_join(&rig.runner), -ENOMEM);
	report = tmgr_manager_report(rig.manager);
	assert_string_equal(report->cause->name, "writer");
	assert_int_equal(report->errors, 1);
	assert_int_equal(left(&rig), LENGTH);
	rig_end(&rig);
}

/* ---- A tailer that is stuck ------------------------------------------------------------------ */

static struct latch held = LATCH_INIT;

static int hold(void *self, const char *path, struct tail_record **ret_records, size_t *ret_count)
{
	latch_wait(&held);
	*ret_records = NULL;
	*ret_count = 0;
	return 0;
}

/* After the writer's initialize, before there are tailers. */
static int hold_tailers(void *self, struct tmgr_context *context)
{
	struct rig *rig = self;
	struct tail_memory *memory = (struct tail_memory *)store_memory(rig->pipeline.store);

	memory->of_path = hold;
	return 0;
}

static bool has_gone_on(void *rig)
{
	return left(rig) == LENGTH || tmgr_channel_count(((struct rig *)rig)->pipeline.jobs) > 0;
}

static struct tmgr_manager *manager_that_gives_up_soon(struct rig *rig)
{
	static const struct tmgr_task_ops holder = { .initialize = hold_tailers };
	static const struct tmgr_manager_options soon = {
		.stop_order = TMGR_STOP_REVERSE,
		.take_signals = true,
		.shutdown_ns = 300 * TMGR_MILLISECOND,
	};
	struct tmgr_manager *manager = tmgr_manager_create(&soon);

	tmgr_manager_add_task(manager, "writer", writer_task(&rig->pipeline), TMGR_STRICT);
	tmgr_manager_add_task(manager, "holder", (struct tmgr_task){ &holder, rig }, TMGR_STRICT);
	tmgr_manager_add_task(manager, "files", files_task(&rig->pipeline), TMGR_STRICT);
	return manager;
}

static int leave_a_tailer_in_a_reload(void *argument)
{
	struct rig *rig = argument;
	struct tmgr_manager *manager = manager_that_gives_up_soon(rig);
	struct runner runner;

	runner_start(&runner, manager, NULL);
	child_check(latch_arrived(&held, 1));
	child_check(task_waits(manager, "files", "select"));
	child_check_equal(truncate(rig->list, 0), 0);
	kill(getpid(), SIGHUP);
	child_check(task_waits(manager, "files", "future"));
	tmgr_manager_cancel(manager);
	child_check_equal(runner_join(&runner), -TMGR_ESTUCK);
	/* The reload is over, and the tailer is not. */
	child_check(task_waits(manager, "files", "group"));
	latch_open(&held);
	child_check(eventually(has_gone_on, rig));
	return 0;
}

static void a_tailer_that_is_stuck_keeps_what_it_has(void **state)
{
	static struct child child;
	struct rig rig;

	(void)state;
	rig_begin(&rig);
	write_file(rig.log, TEXT);
	write_file(rig.list, rig.log);
	assert_int_equal(child_run(&child, leave_a_tailer_in_a_reload, &rig), 0);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_writer_that_gives_up_leaves_a_parser_its_chunk),
		leak_test(a_stop_waits_for_a_parser_and_writes_what_it_gives),
		leak_test(what_is_sent_after_the_writer_is_left),
		leak_test(a_stop_ends_a_flush_that_nobody_writes),
		leak_test(a_stop_ends_a_flush_that_finds_no_room),
		leak_test(what_the_parsers_leave_is_handed_back),
		leak_test(a_stop_ends_a_reload_and_then_its_lines_are_written),
		leak_test(a_writer_that_gives_up_in_a_reload_is_the_only_one_to_fail),
		leak_test(a_tailer_that_is_stuck_keeps_what_it_has),
	};

	return cmocka_run_group_tests_name("logship_pipeline", tests, NULL, NULL);
}
