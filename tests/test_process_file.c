/* The runtime of durable processes on the store on SQLite: rows of the user's own in the steps' transactions, and the whole of it with threads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tasks/process/runtime.h"

#include "tests/support/durable.h"
#include "tests/support/daemon.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"
#include "tests/support/store_file.h"

struct book {
	int64_t count;
};

static const struct tmgr_state_field book_fields[] = { TMGR_FIELD(struct book, count) };

static int fails_left, judged_left;

static const struct tmgr_process_definition book_definition;
static tmgr_method book_entry;

static int ask(struct tmgr_process *process)
{
	const struct tmgr_process_child child = { &book_definition, "asked", NULL };

	return tmgr_process_call(process, &child, book_entry);
}

/* A row for each message; "bad" breaks a constraint, and "lost" cannot be taken for another reason. */
static int book_entry(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct book *self = state;
	struct tmgr_sql_value values[] = {
		{ .kind = TMGR_SQL_TEXT, .text = tmgr_process_id(process) },
		{ .kind = TMGR_SQL_INTEGER, .integer = self->count },
		{ .kind = TMGR_SQL_TEXT, .text = message->value.data },
	};
	const struct tmgr_sql_statement insert = {
		"INSERT INTO entries(process, number, text) VALUES(?1, ?2, ?3)", values, 3
	};

	/* They call another, and write nothing. */
	if (strncmp(tmgr_process_id(process), "caller", 6) == 0)
		return message->arrival == TMGR_ARRIVED_RESULT ? 0 : ask(process);
	tmgr_process_receive(process, "in", book_entry);
	if (message->arrival == TMGR_ARRIVED_START)
		return 0;
	self->count++;
	tmgr_process_sql(process, &insert);
	if (strcmp(message->value.data, "bad") == 0 && fails_left > 0) {
		fails_left--;
		values[0].kind = TMGR_SQL_NULL;
		tmgr_process_sql(process, &insert);
	}
	if (strcmp(message->value.data, "ask") == 0)
		ask(process);
	if (strcmp(message->value.data, "end") == 0)
		tmgr_process_finish(process, bytes_of("four"));
	if (strcmp(message->value.data, "lost") == 0 && judged_left > 0) {
		judged_left--;
		tmgr_process_post(process, "nobody/in", bytes_of("x"));
	}
	return 0;
}

static const struct tmgr_process_definition book_definition = {
	.name = "book",
	.version = 1,
	.state = TMGR_STATE(struct book, book_fields),
	.start = book_entry,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Entry",
								 .function = book_entry },
		{ 0 } },
};

static struct store_file file;

static struct tmgr_processes *create(const struct tmgr_processes_options *options)
{
	struct tmgr_processes *processes;
	struct tmgr_store *store;

	assert_int_equal(tmgr_store_sqlite_create(file.path, NULL, &store), 0);
	assert_int_equal(tmgr_processes_create(store, options, &processes), 0);
	assert_int_equal(tmgr_processes_define(processes, &book_definition), 0);
	return processes;
}

static struct tmgr_processes *open_single(uint64_t seed)
{
	struct tmgr_processes *processes = create(
		&(struct tmgr_processes_options){ .single_threaded = true, .seed = seed });

	assert_int_equal(tmgr_processes_open(processes), 0);
	return processes;
}

static void make_table(void)
{
	/* The store makes the file. */
	tmgr_processes_unref(open_single(1));
	store_file_sql(
		&file, "CREATE TABLE entries(process TEXT NOT NULL, number INTEGER, text TEXT)");
}

static int start(struct tmgr_processes *processes, const char *id)
{
	return tmgr_processes_start(NULL, processes,
		&(struct tmgr_process_child){ &book_definition, id, NULL },
		tmgr_after(30 * TMGR_SECOND));
}

static int enter(struct tmgr_processes *processes, const char *id, const char *text)
{
	char channel[TMGR_PROCESS_CHANNEL_MAX + 1];

	snprintf(channel, sizeof(channel), "%s/in", id);
	return tmgr_processes_send(NULL, processes,
		&(struct tmgr_process_outside){ channel, bytes_of(text), NULL },
		tmgr_after(30 * TMGR_SECOND));
}

static void rows_of_the_user_are_written_with_their_step_exactly_once(void **state)
{
	struct tmgr_processes *processes;

	make_table();
	processes = open_single(2);
	assert_int_equal(start(processes, "a"), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(enter(processes, "a", "x"), 0);
		for (int k = 0; k < i; k++)
			tmgr_processes_drive(processes);
		/* Closed wherever it is, as when it is killed. */
		tmgr_processes_unref(processes);
		processes = open_single((uint64_t)i);
	}
	assert_int_equal(tmgr_processes_settle(processes), 0);
	tmgr_processes_unref(processes);
	assert_string_equal(
		store_file_sql(
			&file, "SELECT count(*), count(DISTINCT number), max(number) FROM entries"),
		"20|20|19");
	assert_int_equal(store_file_check(&file), 0);
}

static void a_statement_that_fails_fails_its_step_and_no_other(void **state)
{
	struct tmgr_processes *processes;

	fails_left = 2;
	make_table();
	processes = open_single(3);
	assert_int_equal(start(processes, "a"), 0);
	assert_int_equal(start(processes, "b"), 0);
	assert_int_equal(enter(processes, "a", "bad"), 0);
	assert_int_equal(enter(processes, "b", "good"), 0);
	assert_int_equal(tmgr_processes_settle(processes), 0);
	assert_string_equal(store_file_sql(&file, "SELECT process, text FROM entries"), "b|good");
	assert_int_equal(tmgr_processes_advance(processes, TMGR_SECOND), 0);
	assert_int_equal(fails_left, 0);
	tmgr_processes_unref(processes);
	assert_string_equal(
		store_file_sql(&file, "SELECT process, text FROM entries ORDER BY process"),
		"a|bad\nb|good");
}

static void rows_of_a_step_that_cannot_be_taken_are_undone_and_those_beside_it_are_not(void **state)
{
	/* Whatever else is in the same transaction, which the seed decides. */
	make_table();
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct tmgr_processes *processes = open_single(seed);
		char a[16], b[16];

		judged_left = 1;
		snprintf(a, sizeof(a), "a%d", (int)seed);
		snprintf(b, sizeof(b), "b%d", (int)seed);
		assert_int_equal(start(processes, a), 0);
		assert_int_equal(start(processes, b), 0);
		assert_int_equal(tmgr_processes_settle(processes), 0);
		for (int i = 0; i < 2; i++) {
			struct tmgr_process_request *request;
			char channel[32];

			snprintf(channel, sizeof(channel), "%s/in", i == 0 ? a : b);
			assert_int_equal(
				tmgr_processes_submit(processes,
					&(struct tmgr_process_command){ .kind = TMGR_PROCESS_SEND,
						.channel = channel,
						.value = bytes_of(i == 0 ? "lost" : "good") },
					&request),
				0);
			tmgr_process_request_release(request);
		}
		assert_int_equal(tmgr_processes_settle(processes), 0);
		assert_int_equal(judged_left, 0);
		assert_string_equal(
			store_file_sql(&file, "SELECT count(*), max(text) FROM entries"), "1|good");
		assert_int_equal(tmgr_processes_advance(processes, TMGR_SECOND), 0);
		tmgr_processes_unref(processes);
		assert_string_equal(store_file_sql(&file, "SELECT count(*) FROM entries"), "2");
		store_file_sql(&file, "DELETE FROM entries");
	}
	assert_int_equal(store_file_check(&file), 0);
}

#define BOOKS 20
#define ENTRIES 10

static const struct tmgr_store_ops *watched_ops;
static size_t results_most; /* bytes of results for callers that one step has had */
static int tried_together;  /* transactions with two steps that wrote rows */

static int watch_commit(struct tmgr_store *store, const struct tmgr_store_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		size_t bytes = 0;

		for (size_t k = 0; k < batch->steps[i].count; k++) {
			const struct tmgr_store_change *change = &batch->steps[i].changes[k];

			if (change->op == TMGR_STORE_PUT && change->kind == TMGR_STORE_GOROUTINE &&
				change->row.goroutine.arrival == TMGR_ARRIVED_RESULT)
				bytes += change->row.goroutine.value.size;
		}
		if (bytes > results_most)
			results_most = bytes;
	}
	return watched_ops->commit(store, batch);
}

static int watch_try(struct tmgr_store *store, struct tmgr_store_trial *trials, size_t count)
{
	tried_together += count == 2;
	return watched_ops->try_sql(store, trials, count);
}

static void watch(struct tmgr_processes *processes)
{
	static struct tmgr_store_ops ops;

	watched_ops = processes->store->ops;
	ops = *watched_ops;
	ops.commit = watch_commit;
	ops.try_sql = watch_try;
	processes->store->ops = &ops;
}

/*
 * A result that fits all its callers, and one caller more of a step that is tried with it: which may not
 * make it too much for one commit.
 */
static void a_step_whose_rows_are_written_is_taken_whatever_was_taken_before_it(void **state)
{
	static const char *const what[2][2] = { { "asker/in", "ask" }, { "asked/in", "end" } };
	int taken = 0;

	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct tmgr_processes *processes;
		bool over;

		if (seed > 1) {
			store_file_fini(&file);
			assert_int_equal(store_file_init(&file), 0);
		}
		make_table();
		processes = open_single(seed);
		watch(processes);
		processes->engine->results_max = 2 * strlen("four");
		assert_int_equal(start(processes, "asker"), 0);
		assert_int_equal(start(processes, "asked"), 0);
		assert_int_equal(start(processes, "caller1"), 0);
		assert_int_equal(start(processes, "caller2"), 0);
		assert_int_equal(tmgr_processes_settle(processes), 0);
		for (int i = 0; i < 2; i++) {
			struct tmgr_process_request *request;

			assert_int_equal(
				tmgr_processes_submit(processes,
					&(struct tmgr_process_command){ .kind = TMGR_PROCESS_SEND,
						.channel = what[i][0],
						.value = bytes_of(what[i][1]) },
					&request),
				0);
			tmgr_process_request_release(request);
		}
		assert_int_equal(tmgr_processes_settle(processes), 0);
		over = tmgr__process_is_over(tmgr__engine_process(processes->engine, "asked"));
		tmgr_processes_unref(processes);
		taken += over;
		assert_string_equal(
			store_file_sql(&file, "SELECT count(*) FROM entries WHERE text = 'end'"),
			over ? "1" : "0");
	}
	/* Whether the caller came before it, beside it or later is up to the seed. */
	assert_true(taken > 0 && taken < 40);
	assert_true(tried_together > 0);
	assert_int_equal(results_most, 2 * strlen("four"));
}

static void with_threads_it_runs_stops_and_goes_on(void **state)
{
	char wanted[32];

	make_table();
	for (int round = 1; round <= 3; round++) {
		struct tmgr_manager *manager = tmgr_manager_create(NULL);
		struct tmgr_processes *processes = create(NULL);
		struct runner runner;

		tmgr_manager_add_task(
			manager, "processes", tmgr_processes_task(processes), TMGR_STRICT);
		tmgr_manager_add_task(
			manager, "workers", tmgr_processes_workers(processes, NULL), TMGR_STRICT);
		runner_start(&runner, manager, NULL);
		assert_true(manager_reaches(manager, TMGR_MANAGER_RUNNING));
		for (int i = 0; i < BOOKS; i++) {
			char id[16];

			snprintf(id, sizeof(id), "book%d", i);
			assert_int_equal(start(processes, id), round == 1 ? 0 : -EEXIST);
			for (int k = 0; k < ENTRIES; k++)
				assert_int_equal(enter(processes, id, "x"), 0);
		}
		/* Stopped with what was acknowledged and not yet taken. */
		tmgr_manager_cancel(manager);
		assert_int_equal(runner_join(&runner), 0);
		tmgr_manager_destroy(manager);
		tmgr_processes_unref(processes);
		assert_int_equal(store_file_check(&file), 0);
	}
	{
		struct tmgr_processes *processes = open_single(9);

		assert_int_equal(tmgr_processes_settle(processes), 0);
		tmgr_processes_unref(processes);
	}
	snprintf(wanted, sizeof(wanted), "%d|%d", 3 * BOOKS * ENTRIES, 3 * BOOKS * ENTRIES);
	assert_string_equal(
		store_file_sql(&file,
			"SELECT count(*), count(DISTINCT process || '/' || number) FROM entries"),
		wanted);
}

static struct tmgr_processes *open_with_keys(void)
{
	struct tmgr_processes *processes = create(&(struct tmgr_processes_options){
		.single_threaded = true, .keep_keys_ns = 3 * TMGR_HOUR });

	assert_int_equal(tmgr_processes_open(processes), 0);
	return processes;
}

static int send_keyed(struct tmgr_processes *processes, const char *key)
{
	return tmgr_processes_send(NULL, processes,
		&(struct tmgr_process_outside){ "a/in", bytes_of("x"), key }, TMGR_NEVER);
}

static void keys_are_forgotten_in_the_order_of_their_age(void **state)
{
	struct tmgr_processes *processes;

	make_table();
	processes = open_with_keys();
	assert_int_equal(start(processes, "a"), 0);
	assert_int_equal(send_keyed(processes, "z"), 0);
	assert_int_equal(tmgr_processes_advance(processes, 2 * TMGR_HOUR), 0);
	assert_int_equal(send_keyed(processes, "a"), 0);
	assert_int_equal(tmgr_processes_settle(processes), 0);
	tmgr_processes_unref(processes);
	processes = open_with_keys();
	assert_int_equal(tmgr_processes_advance(processes, 2 * TMGR_HOUR), 0);
	/* The older one is a new one now, the younger one is known. */
	assert_int_equal(send_keyed(processes, "z"), 0);
	assert_int_equal(send_keyed(processes, "a"), 0);
	assert_int_equal(tmgr_processes_settle(processes), 0);
	tmgr_processes_unref(processes);
	assert_string_equal(store_file_sql(&file, "SELECT count(*) FROM entries"), "3");
}

static void a_second_program_is_refused(void **state)
{
	struct tmgr_processes *first = open_single(1);
	struct tmgr_processes *second = create(
		&(struct tmgr_processes_options){ .single_threaded = true });

	assert_int_equal(tmgr_processes_open(second), -EBUSY);
	tmgr_processes_unref(second);
	tmgr_processes_unref(first);
}

static void a_report_says_why_a_store_cannot_be_opened(void **state)
{
	struct tmgr_processes *first = open_single(1), *second = create(NULL);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	char wanted[256];

	tmgr_manager_add_task(manager, "second", tmgr_processes_task(second), TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), -EBUSY);
	snprintf(wanted, sizeof(wanted), "%s: another daemon has %s.lock", file.path, file.path);
	assert_string_equal(tmgr_manager_report(manager)->cause->text, wanted);
	tmgr_manager_destroy(manager);
	tmgr_processes_unref(second);
	tmgr_processes_unref(first);
}

/* The lock was removed, and so another program could open the file: who writes to it is told. */
static void one_whose_file_another_has_opened_since_ends_and_says_so(void **state)
{
	struct tmgr_processes *second;
	struct tmgr_store *store;
	struct daemon daemon;
	char lock[128];

	assert_int_equal(tmgr_store_sqlite_create(file.path, NULL, &store), 0);
	daemon_begin_on(&daemon, store, 1);
	assert_int_equal(daemon_start_sum(&daemon, "first", 1), 0);
	assert_int_equal(daemon_send_number(NULL, daemon.processes, "first", 7), 0);
	daemon_expect_result(&daemon, "first", "7");
	/* It has nothing to write then, while the second opens. */
	assert_int_equal(
		daemon_answer(daemon_submit(&daemon,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_CHECKPOINT })),
		0);
	snprintf(lock, sizeof(lock), "%s.lock", file.path);
	assert_int_equal(unlink(lock), 0);
	second = open_single(1);
	assert_int_equal(start(second, "second"), 0);
	assert_int_equal(daemon_start_sum(&daemon, "late", 1), -EIO);
	assert_int_equal(runner_join(&daemon.runner), -ESTALE);
	assert_int_equal(daemon_start_sum(&daemon, "later", 1), -EIO);
	assert_string_equal(tmgr_manager_report(daemon.manager)->cause->text,
		"another daemon has opened the file, and writes to it");
	daemon_release(&daemon);
	assert_int_equal(start(second, "late"), 0);
	tmgr_processes_unref(second);
	assert_int_equal(tmgr_store_sqlite_check(file.path, NULL, NULL), 0);
}

static void a_backup_is_made_while_it_runs(void **state)
{
	struct tmgr_processes *processes = open_single(1);
	struct tmgr_process_command backup = { .kind = TMGR_PROCESS_BACKUP };
	char path[128];

	snprintf(path, sizeof(path), "%s/copy.db", file.directory);
	backup.text = path;
	assert_int_equal(start(processes, "a"), 0);
	assert_int_equal(tmgr_processes_do(NULL, processes, &backup, TMGR_NEVER, NULL), 0);
	assert_int_equal(tmgr_processes_do(NULL, processes, &backup, TMGR_NEVER, NULL), -EEXIST);
	assert_int_equal(tmgr_processes_do(NULL, processes,
				 &(struct tmgr_process_command){ .kind = TMGR_PROCESS_CHECKPOINT },
				 TMGR_NEVER, NULL),
		0);
	tmgr_processes_unref(processes);
	assert_int_equal(tmgr_store_sqlite_check(path, NULL, NULL), 0);
}

int main(void)
{
#define TEST(function) store_file_test(function, &file)
	const struct CMUnitTest tests[] = {
		TEST(rows_of_the_user_are_written_with_their_step_exactly_once),
		TEST(a_statement_that_fails_fails_its_step_and_no_other),
		TEST(rows_of_a_step_that_cannot_be_taken_are_undone_and_those_beside_it_are_not),
		TEST(a_step_whose_rows_are_written_is_taken_whatever_was_taken_before_it),
		TEST(with_threads_it_runs_stops_and_goes_on),
		TEST(keys_are_forgotten_in_the_order_of_their_age),
		TEST(a_second_program_is_refused),
		TEST(a_report_says_why_a_store_cannot_be_opened),
		TEST(one_whose_file_another_has_opened_since_ends_and_says_so),
		TEST(a_backup_is_made_while_it_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
