/* The checker finds each thing that should not be in a file, and nothing in a good one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/steps.h"
#include "tests/support/store_file.h"

static struct store_file file;
static char found[4096];

static int set_up(void **state)
{
	struct steps steps;
	int r = store_file_setup(state);

	found[0] = '\0';
	if (r == 0)
		r = steps_init(&steps, 3);
	if (r == 0)
		r = store_file_open(&file);
	if (r == 0)
		r = file.store->ops->commit(file.store, steps_next(&steps, 9));
	steps_fini(&steps);
	return r ? r : store_file_close(&file);
}

static int note(void *self, const char *line)
{
	size_t length = strlen(found);

	snprintf(found + length, sizeof(found) - length, "%s%s", length ? "\n" : "", line);
	return self ? *(int *)self : 0;
}

static int check_file(void)
{
	found[0] = '\0';
	return tmgr_store_sqlite_check(file.path, note, NULL);
}

/* A process "a" that waits for "/in", which has a buffer, and one "b" that it calls. */
#define GOOD                                                                                \
	"UPDATE tmgr_store SET value = 1000 WHERE name = 'copied';"                         \
	"INSERT INTO tmgr_processes VALUES"                                                 \
	" ('a','d','active',1,0,0,0,'',1,1,0,0,'{}',NULL),"                                 \
	" ('b','d','active',1,0,0,0,'',1,1,0,0,'{}',NULL),"                                 \
	" ('over','d','finished',1,0,0,0,'',1,1,0,0,'{}',NULL);"                            \
	"INSERT INTO tmgr_goroutines VALUES"                                                \
	" ('a','Main','','blocked',100,0,0,0,0,'','',0,0,'',NULL),"                         \
	" ('b','Main','B_Go','ready',101,0,0,0,0,'','start',0,0,'',NULL);"                  \
	"INSERT INTO tmgr_channels VALUES ('/in',2,0,1), ('a/own',1,0,1), ('/shut',1,1,1);" \
	"INSERT INTO tmgr_messages VALUES ('a/own',50,x'00');"                              \
	"INSERT INTO tmgr_waits VALUES (100,0,'receive','a','Main','/in','A_In',0,NULL),"   \
	" (100,1,'after','a','Main','','A_Late',1700000003600,NULL),"                       \
	" (100,2,'call','a','Main','b','A_Called',0,NULL),"                                 \
	" (100,3,'send','a','Main','a/own','A_Sent',0,x'01');"                              \
	"INSERT INTO tmgr_once VALUES ('b','Main',101,'pay',x'01');"

static void a_good_file_has_no_findings(void **state)
{
	(void)state;
	assert_int_equal(check_file(), 0);
	assert_string_equal(store_file_sql(&file, GOOD), "");
	assert_int_equal(check_file(), 0);
	assert_string_equal(found, "");
	/* It is left as it was, and a daemon may have it. */
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(check_file(), 0);
	assert_int_equal(store_file_close(&file), 0);
}

static const struct {
	const char *sql, *line;
} faults[] = {
	{ "UPDATE tmgr_waits SET sequence = 99 WHERE case_index = 0 AND process = 'a'",
		"wait 99, case 0: a/Main is not blocked on it" },
	{ "INSERT INTO tmgr_waits VALUES (200,0,'receive','','','/in','',0,NULL)",
		"wait 200, case 0: nobody waits, and it is no message from outside" },
	{ "DELETE FROM tmgr_waits WHERE process = 'a'",
		"goroutine a/Main: blocked, and waits for nothing" },
	{ "INSERT INTO tmgr_goroutines VALUES"
	  " ('over','Main','X','ready',102,0,0,0,0,'','start',0,0,'',NULL)",
		"goroutine over/Main: its process is over or not there" },
	{ "INSERT INTO tmgr_goroutines VALUES"
	  " ('none','Main','X','ready',102,0,0,0,0,'','start',0,0,'',NULL)",
		"goroutine none/Main: its process is over or not there" },
	{ "INSERT INTO tmgr_processes VALUES"
	  " ('c','d','active',1,0,0,0,'',1,1,0,0,'{}',NULL)",
		"process c: active, and has no goroutine" },
	{ "UPDATE tmgr_waits SET target = '/shut' WHERE sequence = 100 AND case_index = 0",
		"wait 100, case 0: on /shut, which is closed" },
	{ "INSERT INTO tmgr_messages VALUES ('/in',60,x'00')",
		"wait 100, case 0: receives from /in, which has a message" },
	{ "DELETE FROM tmgr_messages", "wait 100, case 3: sends to a/own, which has room" },
	{ "UPDATE tmgr_channels SET capacity = 0 WHERE id = '/in';"
	  "INSERT INTO tmgr_waits VALUES (90,0,'send','','','/in','',0,x'02')",
		"wait 100, case 0: receives from /in, to which wait 90 sends" },
	{ "INSERT INTO tmgr_messages VALUES ('a/own',61,x'00')",
		"channel a/own: has 2 messages and room for 1" },
	{ "INSERT INTO tmgr_messages VALUES ('/none',61,x'00')",
		"channel /none: has 1 messages and room for 0" },
	{ "INSERT INTO tmgr_channels VALUES ('over/own',1,0,1)",
		"channel over/own: its process is over or not there" },
	{ "UPDATE tmgr_waits SET at_ms = 1699999990000 WHERE kind = 'after' AND process = "
	  "'a'",
		"wait 100, case 1: was due 10009 ms before the last step" },
	{ "UPDATE tmgr_waits SET target = 'over' WHERE kind = 'call'",
		"wait 100, case 2: calls over, which is over or not there" },
	{ "UPDATE tmgr_once SET sequence = 7",
		"result of pay in b/Main: the step it belongs to is over" },
	{ "INSERT INTO tmgr_processes VALUES"
	  " ('c','d','paused',1,0,0,0,'',1,1,0,0,'{}',NULL)",
		"process c: paused, and has no goroutine" },
	{ "DELETE FROM tmgr_waits WHERE process = 'a' AND case_index = 1",
		"wait 100: has 3 cases, of which one is number 4" },
	{ "UPDATE tmgr_waits SET target = '/none' WHERE case_index = 0 AND process = 'a'",
		"wait 100, case 0: on /none, which is not there" },
	{ "UPDATE tmgr_waits SET target = 'none/in' WHERE case_index = 0 AND process = 'a'",
		"wait 100, case 0: on none/in, which is not there" },
	{ "UPDATE tmgr_waits SET target = 'in' WHERE case_index = 0 AND process = 'a'",
		"wait 100, case 0: on in, which is not there" },
	{ "INSERT INTO tmgr_channels VALUES ('in',1,0,1)", "channel in: that is no name of one" },
	{ "INSERT INTO tmgr_channels VALUES ('a/b/c',1,0,1)",
		"channel a/b/c: that is no name of one" },
	{ "INSERT INTO tmgr_channels VALUES ('a/',1,0,1)", "channel a/: that is no name of one" },
	{ "UPDATE tmgr_store SET value = 100 WHERE name = 'copied'",
		"goroutine b/Main: of step 101, and the last is 100" },
	{ "UPDATE tmgr_store SET value = 99 WHERE name = 'copied'",
		"wait 100, case 0: of a step above the last, which is 99" },
	{ "UPDATE tmgr_messages SET sequence = 1001",
		"message of a/own: of step 1001, and the last is 1000" },
	{ "UPDATE tmgr_store SET value = -1 WHERE name = 'copied'",
		"the last step is -1: that is no number of one" },
	{ "UPDATE tmgr_store SET value = 9223372036854775807 WHERE name = 'now_ms'",
		"the last step was at 9223372036854775807 ms: that is no time" },
	{ "UPDATE tmgr_processes SET changed_ms = 9223372036854775807 WHERE id = 'over'",
		"process over: changed at 9223372036854775807 ms, which is no time" },
	{ "UPDATE tmgr_goroutines SET retry_at_ms = 9223372036854775807 WHERE process = "
	  "'b'",
		"goroutine b/Main: to be called at 9223372036854775807 ms, which is no "
		"time" },
	{ "INSERT INTO tmgr_keys VALUES ('/in/k',-9223372036854775807)",
		"key /in/k: from -9223372036854775807 ms, which is no time" },
	{ "UPDATE tmgr_processes SET status = 'lost' WHERE id = 'over'",
		"row over of tmgr_processes: its status cannot be read" },
	{ "UPDATE tmgr_processes SET version = -3 WHERE id = 'over'",
		"row over of tmgr_processes: its version cannot be read" },
	{ "UPDATE tmgr_processes SET revision = 'x' WHERE id = 'over'",
		"row over of tmgr_processes: its revision cannot be read" },
	{ "UPDATE tmgr_processes SET id = x'620062' WHERE id = 'over'",
		"row b of tmgr_processes: its id cannot be read" },
	{ "UPDATE tmgr_goroutines SET attempts = 99999999999 WHERE process = 'a'",
		"row a of tmgr_goroutines: its attempts cannot be read" },
	{ "UPDATE tmgr_waits SET kind = 'weird' WHERE process = 'a' AND case_index = 3",
		"row 100 of tmgr_waits: its kind cannot be read" },
	{ "UPDATE tmgr_channels SET closed = 3 WHERE id = '/in'",
		"row /in of tmgr_channels: its closed cannot be read" },
	{ "UPDATE tmgr_messages SET sequence = 'x'",
		"row a/own of tmgr_messages: its sequence cannot be read" },
	{ "UPDATE tmgr_once SET name = x'0062'", "row b of tmgr_once: its name cannot be read" },
	{ "INSERT INTO tmgr_keys VALUES ('/in/k','late')",
		"row /in/k of tmgr_keys: its at_ms cannot be read" },
	{ "INSERT INTO tmgr_events VALUES (999,0,'lost',0,'','','','')",
		"row 999 of tmgr_events: its kind cannot be read" },
};

static void each_fault_is_found_with_one_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		char sql[4096];
		int n;

		snprintf(sql, sizeof(sql), "BEGIN; %s %s; COMMIT", GOOD, faults[i].sql);
		assert_string_equal(store_file_sql(&file, sql), "");
		n = check_file();
		/* What one fault leaves alone may be another: a wait of nobody, and its goroutine. */
		if (n < 1 || !strstr(found, faults[i].line))
			fail_msg("%s: %d: %s", faults[i].line, n, found);
		assert_int_equal(store_file_teardown(state), 0);
		assert_int_equal(set_up(state), 0);
	}
}

static void steps_in_the_journal_count_and_their_checksums_are_checked(void **state)
{
	int error = -ECANCELED;
	struct steps steps;
	struct store_file copy;
	struct stat before, after;
	char log[128];

	(void)state;
	assert_int_equal(steps_init(&steps, 3), 0);
	steps_next(&steps, 9);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(file.store->ops->commit(file.store, steps_next(&steps, 5)), 0);
	assert_int_equal(check_file(), 0);
	assert_int_equal(store_file_copy(&copy, &file), 0);
	/* Who is the last to close it leaves its log to the next daemon. */
	snprintf(log, sizeof(log), "%s-wal", copy.path);
	assert_int_equal(stat(log, &before), 0);
	assert_int_equal(tmgr_store_sqlite_check(copy.path, note, NULL), 0);
	assert_int_equal(stat(log, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	store_file_sql(&copy, "UPDATE tmgr_journal SET now_ms = now_ms + 1 WHERE sequence = 11");
	store_file_sql(&copy, "UPDATE tmgr_journal SET changes = x'0102' WHERE sequence > 12");
	assert_int_equal(tmgr_store_sqlite_check(copy.path, note, NULL), 3);
	assert_string_equal(found,
		"step 11: its checksum is wrong\nstep 13: its checksum is wrong\n"
		"step 14: its checksum is wrong");
	assert_int_equal(tmgr_store_sqlite_check(copy.path, note, &error), -ECANCELED);
	store_file_fini(&copy);
	steps_fini(&steps);
}

static void a_file_of_many_processes_is_checked_in_a_time_that_grows_with_them(void **state)
{
	int64_t began, took;
	struct steps steps;

	(void)state;
	assert_int_equal(unlink(file.path), 0);
	assert_int_equal(steps_init(&steps, 20000), 0);
	assert_int_equal(store_file_open(&file), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(file.store->ops->commit(file.store, steps_next(&steps, 1000)), 0);
	assert_int_equal(store_file_close(&file), 0);
	steps_fini(&steps);
	began = tmgr_now();
	assert_int_equal(check_file(), 0);
	took = tmgr_now() - began;
	/* Each with each would be minutes. */
	assert_true(took < 20 * TMGR_SECOND);
}

static void damaged_pages_are_found(void **state)
{
	FILE *raw = fopen(file.path, "r+e");
	char noise[64];

	(void)state;
	assert_non_null(raw);
	memset(noise, 0x5a, sizeof(noise));
	for (long page = 2; page < 12; page++) {
		fseek(raw, page * 4096, SEEK_SET);
		fwrite(noise, 1, sizeof(noise), raw);
	}
	fclose(raw);
	assert_true(check_file() > 0);
	assert_non_null(strstr(found, "Page 3"));
}

static void tables_that_are_missing_or_not_ours_are_found(void **state)
{
	assert_string_equal(store_file_sql(&file, "DROP TABLE tmgr_keys"), "");
	assert_int_equal(check_file(), 1);
	assert_string_equal(found, "its tables are not those of a store: no such table: tmgr_keys");
	assert_int_equal(store_file_open(&file), -EBADMSG);
	assert_int_equal(store_file_teardown(state), 0);
	assert_int_equal(set_up(state), 0);
	store_file_sql(&file, "ALTER TABLE tmgr_processes RENAME COLUMN text TO reason");
	assert_int_equal(check_file(), 1);
	assert_non_null(strstr(found, "its tables are not those of a store: "));
	assert_int_equal(store_file_open(&file), -EBADMSG);
}

static void an_error_of_the_visitor_ends_the_check(void **state)
{
	int error = -ECANCELED;

	(void)state;
	store_file_sql(&file, "DELETE FROM tmgr_waits");
	assert_int_equal(check_file(), 3);
	assert_int_equal(tmgr_store_sqlite_check(file.path, NULL, NULL), 3);
	assert_int_equal(tmgr_store_sqlite_check(file.path, note, &error), -ECANCELED);
}

/* As somebody who may write nothing there. */
static int check_by_another(void *unused)
{
	(void)unused;
	if (geteuid() == 0)
		child_check_equal(setuid(65534), 0);
	printf("gives %d: %s.", check_file(), found);
	fflush(stdout);
	return 0;
}

static void must_give(const char *text)
{
	static struct child child;

	assert_int_equal(child_run(&child, check_by_another, NULL), 0);
	if (!strstr(child.text, text))
		fail_msg("not \"%s\": %s", text, child.text);
}

static void beside(char name[static 128], const char *suffix)
{
	snprintf(name, 128, "%s%s", file.path, suffix);
}

static void a_file_is_checked_where_nothing_can_be_written(void **state)
{
	char strange[128], log[128], command[512], denied[32];

	(void)state;
	/* What an address would take for something else. */
	beside(strange, "?a=b#c%20d");
	assert_int_equal(rename(file.path, strange), 0);
	strcpy(file.path, strange);
	assert_int_equal(chmod(file.path, 0444), 0);
	assert_int_equal(chmod(file.directory, 0555), 0);
	must_give("gives 0: .");
	assert_int_equal(chmod(file.path, 0644), 0);
	assert_int_equal(chmod(file.directory, 0755), 0);
	snprintf(command, sizeof(command), "sqlite3 '%s' 'DELETE FROM tmgr_waits'", file.path);
	assert_int_equal(system(command), 0);
	assert_int_equal(chmod(file.directory, 0555), 0);
	must_give("waits for nothing");
	/* A log that is there counts, and cannot be read without its index. */
	assert_int_equal(chmod(file.directory, 0755), 0);
	beside(log, "-wal");
	snprintf(command, sizeof(command), "head -c 9000 /dev/zero >'%s'", log);
	assert_int_equal(system(command), 0);
	assert_int_equal(chmod(log, 0444), 0);
	assert_int_equal(chmod(file.directory, 0555), 0);
	snprintf(denied, sizeof(denied), "gives %d: .", -EACCES);
	must_give(denied);
	assert_int_equal(chmod(file.directory, 0755), 0);
}

/* A log that one makes who may not write the file would be in the way of the daemon that comes next. */
static void nothing_is_left_beside_a_file_that_was_checked(void **state)
{
	static const char *const suffixes[] = { "-wal", "-shm", "-journal" };
	char name[128];

	(void)state;
	assert_int_equal(check_file(), 0);
	assert_int_equal(chmod(file.directory, 0777), 0);
	assert_int_equal(chmod(file.path, 0644), 0);
	must_give("gives 0: .");
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		beside(name, suffixes[i]);
		if (access(name, F_OK) == 0)
			fail_msg("%s is left", name);
	}
}

/* To open a pipe would be to wait for somebody who writes. */
static void what_is_no_file_is_no_store(void **state)
{
	(void)state;
	assert_int_equal(tmgr_store_sqlite_check(file.directory, NULL, NULL), -EBADMSG);
	assert_int_equal(tmgr_store_sqlite_check("/dev/null", NULL, NULL), -EBADMSG);
	assert_int_equal(unlink(file.path), 0);
	assert_int_equal(mkfifo(file.path, 0600), 0);
	assert_int_equal(tmgr_store_sqlite_check(file.path, NULL, NULL), -EBADMSG);
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_prestate_setup_teardown(function, set_up, store_file_teardown, &file)
	const struct CMUnitTest tests[] = {
		TEST(a_good_file_has_no_findings),
		TEST(each_fault_is_found_with_one_line),
		TEST(steps_in_the_journal_count_and_their_checksums_are_checked),
		TEST(a_file_of_many_processes_is_checked_in_a_time_that_grows_with_them),
		TEST(damaged_pages_are_found),
		TEST(tables_that_are_missing_or_not_ours_are_found),
		TEST(an_error_of_the_visitor_ends_the_check),
		TEST(a_file_is_checked_where_nothing_can_be_written),
		TEST(nothing_is_left_beside_a_file_that_was_checked),
		TEST(what_is_no_file_is_no_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
