/* The user's own statements in a step's transaction, and a program that writes to the file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include <taskmgr/taskmgr.h>

#include "taskmgr/base/text.h"

#include "tests/support/leak.h"
#include "tests/support/stepped.h"

static struct stepped stepped;
static struct store_file *const file = &stepped.file;

static int commit(void)
{
	return stepped_commit(&stepped);
}

/* One statement without values: what became of it. */
static struct tmgr_store_trial try(const char *text)
{
	struct tmgr_sql_statement statement = { text, NULL, 0 };
	struct tmgr_store_trial trial = { &statement, 1, 1, "not looked at" };

	assert_int_equal(file->store->ops->try_sql(file->store, &trial, 1), 0);
	return trial;
}

static struct tmgr_store_health health(void)
{
	struct tmgr_store_health health;

	file->store->ops->health(file->store, &health);
	return health;
}

static void statements_are_made_with_the_next_batch(void **state)
{
	struct tmgr_sql_value values[] = { { .kind = TMGR_SQL_INTEGER, .integer = -5 },
		{ .kind = TMGR_SQL_DOUBLE, .real = 2.5 }, { .kind = TMGR_SQL_TEXT, .text = "it's" },
		{ .kind = TMGR_SQL_BYTES, .bytes = { "\0\x01", 2 } },
		{ .kind = TMGR_SQL_BYTES, .bytes = { NULL, 0 } }, { .kind = TMGR_SQL_NULL } };
	struct tmgr_sql_statement statements[] = { { "CREATE TABLE t (a, b, c, d, e, f)", NULL, 0 },
		{ "INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5, ?6);", values, 6 } };
	struct tmgr_store_trial trial = { statements, 2, 1, "" };
	const struct tmgr_store_trim trim = { .before_ms = 1, .rows_max = 1 };

	(void)state;
	assert_int_equal(file->store->ops->try_sql(file->store, &trial, 1), 0);
	assert_int_equal(trial.result, 0);
	assert_string_equal(
		store_file_sql(file, "SELECT count(*) FROM sqlite_schema WHERE name = 't'"), "0");
	/* Nothing else uses the transaction. */
	assert_int_equal(file->store->ops->maintain(file->store, TMGR_SECOND, true), 0);
	assert_int_equal(file->store->ops->trim(file->store, &trim), 0);
	assert_int_equal(commit(), 0);
	assert_string_equal(
		store_file_sql(file, "SELECT a, b, c, hex(d), typeof(e), typeof(f) FROM t"),
		"-5|2.5|it's|0001|blob|null");
	assert_string_equal(store_file_sql(file, "SELECT count(*) FROM tmgr_journal"), "2");
}

static void what_was_tried_is_gone_when_it_is_abandoned(void **state)
{
	(void)state;
	assert_int_equal(try("CREATE TABLE t (a)").result, 0);
	file->store->ops->abandon(file->store);
	file->store->ops->abandon(file->store);
	assert_int_equal(commit(), 0);
	assert_string_equal(try("INSERT INTO t VALUES (1)").text, "no such table: t");
	assert_int_equal(try("CREATE TABLE u (a)").result, 0);
	/* Closing is no commit. */
	assert_int_equal(store_file_close(file), 0);
	assert_int_equal(store_file_open(file), 0);
	assert_int_equal(try("INSERT INTO u VALUES (1)").result, -EINVAL);
}

static void a_trial_that_fails_undoes_itself_and_no_other(void **state)
{
	struct tmgr_sql_statement one[] = { { "INSERT INTO t VALUES (1)", NULL, 0 },
		{ "INSERT INTO t VALUES (2)", NULL, 0 } };
	struct tmgr_sql_statement other[] = { { "INSERT INTO t VALUES (3)", NULL, 0 },
		{ "INSERT INTO t VALUES (1)", NULL, 0 } };
	struct tmgr_sql_statement third[] = { { "INSERT INTO t VALUES (4)", NULL, 0 } };
	struct tmgr_store_trial trials[] = { { one, 2, 9, "" }, { other, 2, 9, "" },
		{ third, 1, 9, "" } };

	(void)state;
	assert_int_equal(try("CREATE TABLE t (a UNIQUE)").result, 0);
	assert_int_equal(file->store->ops->try_sql(file->store, trials, 3), 0);
	assert_int_equal(trials[0].result, 0);
	assert_int_equal(trials[1].result, -EEXIST);
	assert_string_equal(trials[1].text, "UNIQUE constraint failed: t.a");
	assert_int_equal(trials[2].result, 0);
	assert_int_equal(commit(), 0);
	assert_string_equal(store_file_sql(file, "SELECT group_concat(a) FROM t"), "1,2,4");
}

static void one_that_rolls_all_back_undoes_itself_and_no_other(void **state)
{
	struct tmgr_sql_statement one = { "INSERT INTO t VALUES (2)", NULL, 0 };
	struct tmgr_sql_statement other = { "INSERT OR ROLLBACK INTO t VALUES (1)", NULL, 0 };
	struct tmgr_sql_statement third = { "INSERT INTO t VALUES (3)", NULL, 0 };
	struct tmgr_store_trial trials[] = { { &one, 1, 9, "" }, { &other, 1, 9, "" },
		{ &third, 1, 9, "" } };

	(void)state;
	assert_int_equal(try("CREATE TABLE t (a UNIQUE)").result, 0);
	assert_int_equal(try("INSERT INTO t VALUES (1)").result, 0);
	assert_int_equal(commit(), 0);
	assert_int_equal(file->store->ops->try_sql(file->store, trials, 3), 0);
	assert_int_equal(trials[0].result, 0);
	assert_int_equal(trials[1].result, -EEXIST);
	assert_int_equal(trials[2].result, 0);
	assert_int_equal(commit(), 0);
	assert_string_equal(
		store_file_sql(file, "SELECT group_concat(a) FROM (SELECT a FROM t ORDER BY a)"),
		"1,2,3");
}

static void statements_cannot_touch_what_is_the_stores(void **state)
{
	static const char *const texts[] = { "DELETE FROM tmgr_processes", "COMMIT", "ROLLBACK",
		"BEGIN", "SAVEPOINT x", "PRAGMA synchronous = OFF", "ATTACH 'x.db' AS x",
		"INSERT INTO tmgr_keys VALUES ('a', 1)", "UPDATE tmgr_store SET value = 0",
		"DROP TABLE tmgr_events",
		"CREATE TRIGGER t AFTER INSERT ON tmgr_events BEGIN SELECT 1; END",
		"CREATE INDEX i ON tmgr_events (at_ms)", "CREATE TABLE tmgr_later (a)",
		"CREATE TABLE TMGR_LATER (a)", "CREATE VIEW tmgr_view AS SELECT 1",
		"ALTER TABLE tmgr_events RENAME TO e",
		"CREATE VIRTUAL TABLE tmgr_pages USING dbstat (main)", "", "SELECT 1; SELECT 2",
		"SELEKT", "-- nothing" };

	(void)state;
	assert_int_equal(commit(), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct tmgr_store_trial trial = try(texts[i]);

		if (trial.result != -EINVAL)
			fail_msg("%s: %d", texts[i], trial.result);
		assert_string_not_equal(trial.text, "");
	}
	/* Reading is allowed. */
	assert_int_equal(try("SELECT * FROM tmgr_processes").result, 0);
	assert_int_equal(try("SELECT ?1").result, 0);
	assert_int_equal(commit(), 0);
	assert_int_equal(store_file_check(file), 0);
}

/* A name is looked for there first, and a trigger there may be on any table. */
static void nothing_temporary_stands_before_what_is_the_stores(void **state)
{
	static const char *const texts[] = { "CREATE TEMP TABLE tmgr_journal (a, b, c, d)",
		"CREATE TEMP TABLE t (a, b, c, d)", "CREATE TEMP VIEW tmgr_journal AS SELECT 1",
		("CREATE TEMP TRIGGER t AFTER INSERT ON main.tmgr_journal BEGIN"
		 " DELETE FROM tmgr_journal; END") };
	struct store_file copy;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct tmgr_store_trial trial = try(texts[i]);

		if (trial.result != -EINVAL)
			fail_msg("%s: %d", texts[i], trial.result);
		assert_string_equal(trial.text, "not authorized");
	}
	assert_int_equal(commit(), 0);
	assert_int_equal(store_file_copy(&copy, file), 0);
	assert_int_equal(store_file_open(&copy), 0);
	assert_int_equal(copy.opened.sequence, stepped.steps.sequence);
	store_file_fini(&copy);
}

/* Text that is bound is the step's, and gone with it. */
static void values_are_those_of_the_step_and_of_no_earlier_one(void **state)
{
	struct tmgr_sql_value values[] = { { .kind = TMGR_SQL_TEXT, .text = "one" },
		{ .kind = TMGR_SQL_TEXT, .text = "two" } };
	struct tmgr_sql_statement statement = { "INSERT INTO t VALUES (?1, ?2)", values, 2 };
	struct tmgr_store_trial trial = { &statement, 1, 1, "" };

	(void)state;
	assert_int_equal(try("CREATE TABLE t (a, b)").result, 0);
	for (size_t count = 3; count-- > 0;) {
		statement.count = count;
		assert_int_equal(file->store->ops->try_sql(file->store, &trial, 1), 0);
		assert_int_equal(trial.result, 0);
	}
	assert_int_equal(commit(), 0);
	assert_string_equal(
		store_file_sql(file, "SELECT a, b FROM t ORDER BY rowid"), "one|two\none|\n|");
}

/* One that would go on for ever, reading or writing, beside two that are good. */
static void try_beside_an_endless_one(const char *endless)
{
	struct tmgr_sql_statement one[] = { { "INSERT INTO t VALUES (1)", NULL, 0 } };
	struct tmgr_sql_statement other[] = { { "INSERT INTO t VALUES (2)", NULL, 0 },
		{ endless, NULL, 0 }, { "INSERT INTO t VALUES (3)", NULL, 0 } };
	struct tmgr_sql_statement third[] = { { "INSERT INTO t VALUES (4)", NULL, 0 } };
	struct tmgr_store_trial trials[] = { { one, 1, 9, "" }, { other, 3, 9, "" },
		{ third, 1, 9, "" } };

	assert_int_equal(file->store->ops->try_sql(file->store, trials, 3), 0);
	assert_int_equal(trials[0].result, 0);
	assert_int_equal(trials[1].result, -ETIMEDOUT);
	assert_string_equal(trials[1].text, "the step's statements took longer than 0.02 s");
	assert_int_equal(trials[2].result, 0);
	assert_int_equal(commit(), 0);
	assert_string_equal(store_file_sql(file, "SELECT group_concat(a) FROM t"), "1,4");
}

#define FOR_EVER "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT "

static void a_statement_that_never_ends_fails_its_step_and_no_other(void **state)
{
	(void)state;
	assert_int_equal(store_file_close(file), 0);
	file->options.sql_ns = 20 * TMGR_MILLISECOND;
	assert_int_equal(store_file_open(file), 0);
	assert_int_equal(try("CREATE TABLE t (a)").result, 0);
	assert_int_equal(commit(), 0);
	try_beside_an_endless_one(FOR_EVER "count(i) FROM n");
	assert_int_equal(try("DELETE FROM t").result, 0);
	assert_int_equal(commit(), 0);
	/* SQLite undoes the whole transaction with it. */
	try_beside_an_endless_one("INSERT INTO t " FOR_EVER "i FROM n");
	assert_int_equal(store_file_check(file), 0);
}

/* It is given alone, and what was tried before it is gone with it: nobody may believe it is there. */
static void one_that_takes_those_of_another_call_with_it_ends_the_trial_and_not_the_store(
	void **state)
{
	struct tmgr_sql_statement endless = { "INSERT INTO t " FOR_EVER "i FROM n", NULL, 0 };
	struct tmgr_store_trial trial = { &endless, 1, 9, "" };

	(void)state;
	assert_int_equal(store_file_close(file), 0);
	file->options.sql_ns = 20 * TMGR_MILLISECOND;
	assert_int_equal(store_file_open(file), 0);
	assert_int_equal(try("CREATE TABLE t (a)").result, 0);
	assert_int_equal(commit(), 0);
	assert_int_equal(try("INSERT INTO t VALUES (1)").result, 0);
	assert_int_equal(file->store->ops->try_sql(file->store, &trial, 1), -EAGAIN);
	assert_int_equal(trial.result, -ETIMEDOUT);
	assert_int_equal(health().error, 0);
	/* All are given again. */
	assert_int_equal(try("INSERT INTO t VALUES (2)").result, 0);
	assert_int_equal(commit(), 0);
	assert_string_equal(store_file_sql(file, "SELECT group_concat(a) FROM t"), "2");
	/* A conflict that rolls all back does the same. */
	assert_int_equal(try("CREATE UNIQUE INDEX i ON t (a)").result, 0);
	endless.text = "INSERT OR ROLLBACK INTO t VALUES (2)";
	assert_int_equal(file->store->ops->try_sql(file->store, &trial, 1), -EAGAIN);
	assert_int_equal(trial.result, -EEXIST);
	assert_int_equal(commit(), 0);
	assert_int_equal(store_file_check(file), 0);
}

static void what_the_store_does_itself_may_take_longer_than_a_steps_statements(void **state)
{
	(void)state;
	assert_int_equal(store_file_close(file), 0);
	file->options.sql_ns = 1;
	assert_int_equal(store_file_open(file), 0);
	assert_int_equal(try("SELECT 1").result, 0);
	/* It is asked for each few thousand instructions of one statement: that deletes so many rows. */
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			file->store->ops->commit(file->store, steps_next(&stepped.steps, 1000)), 0);
	assert_int_equal(file->store->ops->checkpoint(file->store), 0);
	assert_int_equal(health().journal_steps, 0);
}

/* What was given again has its statements too: they end with it, and hold up nobody. */
static void a_batch_that_is_there_ends_the_transaction_of_its_statements(void **state)
{
	const struct tmgr_store_batch *batch = steps_next(&stepped.steps, 2);

	(void)state;
	assert_int_equal(file->store->ops->commit(file->store, batch), 0);
	assert_int_equal(try("CREATE TABLE t (a)").result, 0);
	assert_int_equal(file->store->ops->commit(file->store, batch), 0);
	assert_string_equal(store_file_sql(file, "INSERT INTO t VALUES (1); SELECT a FROM t"), "1");
	assert_int_equal(commit(), 0);
}

static void the_text_of_a_failure_is_utf8(void **state)
{
	char text[2 * TMGR_PROCESS_TEXT_SIZE] = "SELECT ";
	struct tmgr_store_trial trial = try("SELECT \xff");

	(void)state;
	assert_int_equal(trial.result, -EINVAL);
	assert_string_equal(trial.text, "no such column: \xef\xbf\xbd");
	/* Cut at whole characters, wherever they begin. */
	for (int odd = 0; odd < 2; odd++) {
		text[7] = 'x';
		for (size_t i = 7 + (size_t)odd; i + 2 < sizeof(text); i += 2) {
			text[i] = '\xc3';
			text[i + 1] = '\xa4';
		}
		trial = try(text);
		assert_int_equal(trial.result, -EINVAL);
		assert_true(tmgr__text_is_valid(trial.text));
		assert_null(strstr(trial.text, "\xef\xbf\xbd"));
		assert_true(strlen(trial.text) >= sizeof(trial.text) - 2);
	}
}

static void more_texts_than_are_kept_are_prepared_again(void **state)
{
	(void)state;
	assert_int_equal(try("CREATE TABLE t (a)").result, 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 40; i++) {
			char text[64];

			snprintf(text, sizeof(text), "INSERT INTO t VALUES (%d)", i);
			assert_int_equal(try(text).result, 0);
		}
		assert_int_equal(commit(), 0);
	}
	assert_string_equal(store_file_sql(file, "SELECT count(*), sum(a) FROM t"), "120|2340");
}

static void a_program_that_writes_to_the_file_holds_steps_and_loses_none(void **state)
{
	sqlite3 *other;

	(void)state;
	assert_int_equal(store_file_close(file), 0);
	file->options.busy_ns = 20 * TMGR_MILLISECOND;
	assert_int_equal(store_file_open(file), 0);
	assert_int_equal(commit(), 0);
	assert_int_equal(sqlite3_open(file->path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(commit(), -ENOSPC);
	assert_string_equal(health().text, "another program is writing to the file");
	assert_true(file->store->ops->maintain(file->store, TMGR_SECOND, true) >= 0);
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(file->store->ops->commit(file->store, &stepped.steps.batch), 0);
	assert_int_equal(health().error, 0);
	assert_int_equal(health().steps, 4);
	sqlite3_close(other);
}

int main(void)
{
#define TEST(function) stepped_test(function, &stepped)
	const struct CMUnitTest tests[] = {
		TEST(statements_are_made_with_the_next_batch),
		TEST(what_was_tried_is_gone_when_it_is_abandoned),
		TEST(a_trial_that_fails_undoes_itself_and_no_other),
		TEST(one_that_rolls_all_back_undoes_itself_and_no_other),
		TEST(statements_cannot_touch_what_is_the_stores),
		TEST(nothing_temporary_stands_before_what_is_the_stores),
		TEST(values_are_those_of_the_step_and_of_no_earlier_one),
		TEST(a_statement_that_never_ends_fails_its_step_and_no_other),
		TEST(what_the_store_does_itself_may_take_longer_than_a_steps_statements),
		TEST(a_batch_that_is_there_ends_the_transaction_of_its_statements),
		TEST(one_that_takes_those_of_another_call_with_it_ends_the_trial_and_not_the_store),
		TEST(the_text_of_a_failure_is_utf8),
		TEST(more_texts_than_are_kept_are_prepared_again),
		TEST(a_program_that_writes_to_the_file_holds_steps_and_loses_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
