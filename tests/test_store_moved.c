/*
 * The store on SQLite whose file is removed or replaced while it is open: what has no name is gone when it
 * is closed, so the store ends, says so, and leaves a copy of all that was acknowledged.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/leak.h"
#include "tests/support/random_steps.h"
#include "tests/support/store_file.h"

static struct store_file file, copy;
static struct random_steps steps;
static struct rows_model model;

static int set_up(void **state)
{
	steps = (struct random_steps){ .seed = 7 };
	model = (struct rows_model){ .rows = NULL };
	return store_file_setup(state);
}

static int tear_down(void **state)
{
	rows_clear(&model);
	return store_file_teardown(state);
}

static int commit_next(void)
{
	const struct tmgr_store_batch *batch = random_steps_next(&steps);
	int r = file.store->ops->commit(file.store, batch);

	if (r == 0)
		rows_apply_batch(&model, batch);
	return r;
}

static void begin(void)
{
	assert_int_equal(store_file_open(&file), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(commit_next(), 0);
}

static void remove_all(void)
{
	static const char *const beside[] = { "", "-wal", "-shm" };
	char path[128];

	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", file.path, beside[i]);
		assert_int_equal(unlink(path), 0);
	}
}

/* Another store, for what was rescued; its directory is the first one's. */
static void must_have_all(const char *suffix)
{
	copy = file;
	copy.store = NULL;
	snprintf(copy.path, sizeof(copy.path), "%s/processes.db.%s", file.directory, suffix);
	assert_int_equal(store_file_open(&copy), 0);
	store_file_must_have(&copy, &model);
	assert_int_equal(store_file_close(&copy), 0);
}

static void rescued_must_have_all(void)
{
	must_have_all("rescued");
}

static void says(const char *text)
{
	struct tmgr_store_health health;

	file.store->ops->health(file.store, &health);
	assert_int_equal(health.error, -EIO);
	if (!strstr(health.text, text))
		fail_msg("it says %s", health.text);
}

static void what_was_in_a_file_that_was_removed_is_rescued_within_a_second(void **state)
{
	int64_t until;
	int r = 0;

	(void)state;
	begin();
	remove_all();
	for (until = tmgr_after(30 * TMGR_SECOND); r == 0 && tmgr_now() < until;)
		r = commit_next();
	assert_int_equal(r, -EIO);
	says("was removed or replaced while it was open; all it had is in ");
	assert_int_equal(commit_next(), -EIO);
	assert_int_equal(store_file_close(&file), -EIO);
	rescued_must_have_all();
}

static void and_when_it_is_closed_before(void **state)
{
	(void)state;
	begin();
	remove_all();
	assert_int_equal(store_file_close(&file), -EIO);
	rescued_must_have_all();
}

static void make_rescued(const char *suffix)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s.rescued%s", file.path, suffix);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "first", 5), 5);
	close(fd);
}

static void what_was_rescued_before_stays_and_the_next_is_rescued_too(void **state)
{
	char path[128];
	struct stat about;

	(void)state;
	begin();
	remove_all();
	make_rescued("");
	make_rescued(".1");
	assert_int_equal(store_file_close(&file), -EIO);
	must_have_all("rescued.2");
	snprintf(path, sizeof(path), "%s.rescued", file.path);
	assert_int_equal(stat(path, &about), 0);
	assert_int_equal(about.st_size, 5);
}

static void one_that_was_replaced_is_left_alone(void **state)
{
	char text[8] = "";
	int fd;

	(void)state;
	begin();
	remove_all();
	fd = open(file.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
	assert_int_equal(store_file_close(&file), -EIO);
	rescued_must_have_all();
	fd = open(file.path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text) - 1), 4);
	close(fd);
	assert_string_equal(text, "mine");
}

static void what_cannot_be_rescued_is_told(void **state)
{
	char suffix[16];
	int64_t until;
	int r = 0;

	(void)state;
	begin();
	remove_all();
	make_rescued("");
	for (int i = 1; i < 100; i++) {
		snprintf(suffix, sizeof(suffix), ".%d", i);
		make_rescued(suffix);
	}
	for (until = tmgr_after(30 * TMGR_SECOND); r == 0 && tmgr_now() < until;)
		r = commit_next();
	assert_int_equal(r, -EIO);
	says("could not be rescued: ");
}

/* The path it was given is relative, and the program goes elsewhere. */
static void a_program_may_change_its_directory(void **state)
{
	char before[512], backup[128];
	struct tmgr_store_opened opened;
	struct tmgr_store *store;

	(void)state;
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(file.directory), 0);
	assert_int_equal(tmgr_store_sqlite_create("processes.db", NULL, &store), 0);
	assert_int_equal(store->ops->open(store, &opened), 0);
	assert_int_equal(chdir(before), 0);
	snprintf(backup, sizeof(backup), "%s/backup.db", file.directory);
	assert_int_equal(store->ops->backup(store, backup, NULL, NULL), 0);
	assert_int_equal(store->ops->close(store), 0);
	tmgr_store_destroy(store);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_prestate_setup_teardown(function, set_up, tear_down, &file)
	const struct CMUnitTest tests[] = {
		TEST(what_was_in_a_file_that_was_removed_is_rescued_within_a_second),
		TEST(and_when_it_is_closed_before),
		TEST(what_was_rescued_before_stays_and_the_next_is_rescued_too),
		TEST(one_that_was_replaced_is_left_alone),
		TEST(what_cannot_be_rescued_is_told),
		TEST(a_program_may_change_its_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
