/* Backups of a store on SQLite: copies of one moment, made while it goes on; whole, or not there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/disk.h"
#include "tests/support/leak.h"
#include "tests/support/random_steps.h"
#include "tests/support/store_file.h"

static struct store_file file, copy;
static struct random_steps steps;
static struct rows_model model;
static char part[128];

static int set_up(void **state)
{
	int r = store_file_setup(state);

	steps = (struct random_steps){ .seed = 5 };
	model = (struct rows_model){ .rows = NULL };
	if (r == 0)
		r = store_file_init(&copy);
	snprintf(part, sizeof(part), "%s.part", copy.path);
	return r;
}

static int tear_down(void **state)
{
	store_file_fini(&copy);
	rows_clear(&model);
	return store_file_teardown(state);
}

static void commit_next(struct rows_model *applied)
{
	const struct tmgr_store_batch *batch = random_steps_next(&steps);

	assert_int_equal(file.store->ops->commit(file.store, batch), 0);
	if (applied)
		rows_apply_batch(applied, batch);
}

/* With a table beside that makes it a copy of many pieces. */
static void fill(void)
{
	assert_int_equal(store_file_open(&file), 0);
	assert_string_equal(
		store_file_sql(&file,
			"CREATE TABLE much AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
			" SELECT i + 1 FROM n WHERE i < 2000)"
			" SELECT i, hex(randomblob(1000)) AS text FROM n"),
		"");
	for (int i = 0; i < 50; i++)
		commit_next(&model);
}

static int back_up(bool (*cancelled)(void *self), void *self)
{
	return file.store->ops->backup(file.store, copy.path, cancelled, self);
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static void must_be_whole(void)
{
	assert_false(is_there(part));
	assert_string_equal(store_file_sql(&copy, "PRAGMA integrity_check"), "ok");
	assert_int_equal(store_file_open(&copy), 0);
	store_file_must_have(&copy, &model);
	assert_int_equal(store_file_close(&copy), 0);
}

static void a_backup_is_a_store_of_that_moment(void **state)
{
	(void)state;
	fill();
	assert_int_equal(back_up(NULL, NULL), 0);
	assert_int_equal(back_up(NULL, NULL), -EEXIST);
	assert_int_equal(
		file.store->ops->backup(file.store, "/nowhere/at/all", NULL, NULL), -ENOENT);
	commit_next(NULL);
	must_be_whole();
}

/* Some of these the next opening would put in the place of the file. */
static void a_backup_takes_no_name_that_the_store_uses_itself(void **state)
{
	static const char *const endings[] = { "-journal", ".new", ".ready" };
	char path[160], link[128];

	(void)state;
	fill();
	snprintf(link, sizeof(link), "%s/here", file.directory);
	assert_int_equal(symlink(".", link), 0);
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", file.path, endings[i]);
		assert_int_equal(file.store->ops->backup(file.store, path, NULL, NULL), -EINVAL);
		assert_false(is_there(path));
		snprintf(path, sizeof(path), "%s%s%s", link, strrchr(file.path, '/'), endings[i]);
		assert_int_equal(file.store->ops->backup(file.store, path, NULL, NULL), -EINVAL);
	}
	snprintf(path, sizeof(path), "%s.old", file.path);
	assert_int_equal(file.store->ops->backup(file.store, path, NULL, NULL), 0);
}

/* While a backup is made it has another name: that is none of the store's either. */
static void nor_does_one_that_is_being_made(void **state)
{
	struct store_file named = { .store = NULL };
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/backup.db", file.directory);
	snprintf(named.path, sizeof(named.path), "%s/backup.db.part", file.directory);
	assert_int_equal(store_file_open(&named), 0);
	assert_int_equal(named.store->ops->backup(named.store, path, NULL, NULL), -EINVAL);
	assert_int_equal(store_file_close(&named), 0);
	assert_true(is_there(named.path));
}

static bool commit_more(void *self)
{
	int *pieces = self;

	++*pieces;
	commit_next(NULL);
	assert_true(file.store->ops->maintain(file.store, TMGR_SECOND, true) >= 0);
	return false;
}

static void what_is_committed_meanwhile_is_not_in_it_and_does_not_begin_it_anew(void **state)
{
	int pieces = 0;

	(void)state;
	fill();
	assert_int_equal(back_up(commit_more, &pieces), 0);
	/* 4 MB, of 1 MiB each. */
	assert_in_range(pieces, 4, 8);
	must_be_whole();
}

static bool cancel_third(void *self)
{
	return ++*(int *)self == 3;
}

static void one_that_is_cancelled_leaves_nothing(void **state)
{
	int pieces = 0;

	(void)state;
	fill();
	assert_int_equal(back_up(cancel_third, &pieces), -ECANCELED);
	assert_int_equal(pieces, 3);
	assert_false(is_there(part));
	assert_false(is_there(copy.path));
	/* One that was killed left its part. */
	assert_true(close(open(part, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) == 0);
	assert_int_equal(back_up(NULL, NULL), 0);
	must_be_whole();
}

static bool look_for_name(void *self)
{
	*(bool *)self |= is_there(copy.path) || !is_there(part);
	return false;
}

static void it_has_its_name_only_when_it_is_whole(void **state)
{
	bool early = false;

	(void)state;
	fill();
	assert_int_equal(back_up(look_for_name, &early), 0);
	assert_false(early);
	must_be_whole();
}

static bool take_name(void *self)
{
	int fd = open(copy.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
	return false;
}

static void a_name_that_was_taken_meanwhile_is_left_alone(void **state)
{
	char text[8] = "";
	int fd;

	(void)state;
	fill();
	assert_int_equal(back_up(take_name, NULL), -EEXIST);
	assert_false(is_there(part));
	fd = open(copy.path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text) - 1), 4);
	close(fd);
	assert_string_equal(text, "mine");
}

static void where_the_file_system_knows_no_such_rename_it_is_the_same(void **state)
{
	(void)state;
	fill();
	disk_knows_no_flags(true);
	assert_int_equal(back_up(NULL, NULL), 0);
	must_be_whole();
	assert_int_equal(unlink(copy.path), 0);
	assert_int_equal(back_up(take_name, NULL), -EEXIST);
	disk_knows_no_flags(false);
	assert_false(is_there(part));
}

/* It reads only; the batch that is held is not in it. */
static void one_is_made_while_steps_are_held(void **state)
{
	sqlite3 *other;

	(void)state;
	file.options.busy_ns = TMGR_MILLISECOND;
	fill();
	assert_int_equal(sqlite3_open(file.path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(file.store->ops->commit(file.store, random_steps_next(&steps)), -ENOSPC);
	assert_int_equal(back_up(NULL, NULL), 0);
	sqlite3_close(other);
	must_be_whole();
}

int main(void)
{
#define TEST(function) cmocka_unit_test_prestate_setup_teardown(function, set_up, tear_down, &file)
	const struct CMUnitTest tests[] = {
		TEST(a_backup_is_a_store_of_that_moment),
		TEST(a_backup_takes_no_name_that_the_store_uses_itself),
		TEST(nor_does_one_that_is_being_made),
		TEST(what_is_committed_meanwhile_is_not_in_it_and_does_not_begin_it_anew),
		TEST(one_that_is_cancelled_leaves_nothing),
		TEST(it_has_its_name_only_when_it_is_whole),
		TEST(a_name_that_was_taken_meanwhile_is_left_alone),
		TEST(where_the_file_system_knows_no_such_rename_it_is_the_same),
		TEST(one_is_made_while_steps_are_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
