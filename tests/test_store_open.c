/* Who may open the file of a store on SQLite: one daemon, and only what is a store, or becomes one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/child.h"
#include "tests/support/leak.h"
#include "tests/support/steps.h"
#include "tests/support/store_file.h"

static struct store_file file;

static int commit(const struct tmgr_store_batch *batch)
{
	return file.store->ops->commit(file.store, batch);
}

static void a_second_daemon_is_refused(void **state)
{
	struct store_file second = { .store = NULL };

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	memcpy(second.path, file.path, sizeof(second.path));
	assert_int_equal(store_file_open(&second), -EBUSY);
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(store_file_open(&second), 0);
	assert_int_equal(store_file_close(&second), 0);
}

/* The lock stands beside the file, not beside a link to it. */
static void a_second_daemon_that_comes_by_a_link_is_refused(void **state)
{
	struct store_file second = { .store = NULL };
	char link[128], lock[160];

	(void)state;
	snprintf(link, sizeof(link), "%s/link", file.directory);
	snprintf(second.path, sizeof(second.path), "%s/again", file.directory);
	assert_int_equal(symlink(strrchr(file.path, '/') + 1, link), 0);
	assert_int_equal(symlink(link, second.path), 0);
	/* It makes the file where the links point to. */
	assert_int_equal(store_file_open(&second), 0);
	assert_int_equal(store_file_open(&file), -EBUSY);
	assert_int_equal(store_file_close(&second), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_open(&second), -EBUSY);
	assert_int_equal(store_file_close(&file), 0);
	snprintf(lock, sizeof(lock), "%s.lock", link);
	assert_int_equal(access(lock, F_OK), -1);
	snprintf(lock, sizeof(lock), "%s.lock", second.path);
	assert_int_equal(access(lock, F_OK), -1);
	assert_int_equal(unlink(link), 0);
	/* One that points to itself is none. */
	assert_int_equal(symlink(link, link), 0);
	assert_int_equal(store_file_open(&second), -ELOOP);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(unlink(second.path), 0);
}

static void nothing_is_left_beside_a_file_that_was_closed_but_the_lock(void **state)
{
	struct steps steps;
	struct stat about;
	char path[128];

	(void)state;
	assert_int_equal(steps_init(&steps, 2), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(commit(steps_next(&steps, 4)), 0);
	snprintf(path, sizeof(path), "%s-wal", file.path);
	assert_int_equal(stat(path, &about), 0);
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(stat(path, &about), -1);
	assert_int_equal(stat(file.path, &about), 0);
	assert_int_equal(about.st_mode & 077, 0);
	steps_fini(&steps);
}

static void what_is_no_store_or_a_later_one_is_refused_and_left_as_it_is(void **state)
{
	static const struct {
		const char *sql;
		int error;
	} rows[] = {
		{ "PRAGMA user_version = 2", -EPROTO },
		{ "PRAGMA user_version = 0", -EBADMSG },
		{ "PRAGMA user_version = 1; PRAGMA application_id = 5", -EBADMSG },
		{ "PRAGMA application_id = 0; PRAGMA user_version = 0", -EBADMSG },
	};
	struct stat before, after;
	FILE *text;

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		store_file_sql(&file, rows[i].sql);
		assert_int_equal(chmod(file.path, 0640), 0);
		assert_int_equal(stat(file.path, &before), 0);
		/* Again: what was refused is not in doubt, and a program may have it open. */
		for (int k = 0; k < 3; k++)
			assert_int_equal(store_file_open(&file), rows[i].error);
		assert_int_equal(stat(file.path, &after), 0);
		assert_int_equal(after.st_ino, before.st_ino);
		assert_int_equal(after.st_mode, before.st_mode);
		assert_int_equal(tmgr_store_sqlite_check(file.path, NULL, NULL), rows[i].error);
	}
	store_file_sql(&file, "PRAGMA application_id = 1414350674; PRAGMA user_version = 1");
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);

	text = fopen(file.path, "we");
	assert_non_null(text);
	for (int i = 0; i < 1000; i++)
		fputs("not a database at all\n", text);
	fclose(text);
	assert_int_equal(store_file_open(&file), -EBADMSG);
	assert_int_equal(tmgr_store_sqlite_check(file.path, NULL, NULL), -EBADMSG);
	assert_int_equal(unlink(file.path), 0);
	assert_int_equal(tmgr_store_sqlite_check(file.path, NULL, NULL), -ENOENT);
	strcat(file.path, "/below");
	assert_int_equal(store_file_open(&file), -ENOENT);
}

static void write_file(const void *data, size_t size)
{
	FILE *to = fopen(file.path, "we");

	assert_non_null(to);
	assert_int_equal(fwrite(data, 1, size, to), size);
	fclose(to);
}

/* Nor a file of another program that is SQLite's. */
static void nothing_is_left_beside_what_is_no_store(void **state)
{
	char lock[128], noise[200] = "root:x:0:0:root:/root:/bin/sh\n";

	(void)state;
	snprintf(lock, sizeof(lock), "%s.lock", file.path);
	for (size_t size = 1; size <= sizeof(noise); size += 13) {
		write_file(noise, size);
		assert_int_equal(store_file_open(&file), -EBADMSG);
		assert_int_equal(access(lock, F_OK), -1);
	}
	memset(noise, 0, sizeof(noise));
	write_file(noise, sizeof(noise));
	assert_int_equal(store_file_open(&file), -EBADMSG);
	assert_int_equal(access(lock, F_OK), -1);
	assert_int_equal(unlink(file.path), 0);
	assert_string_equal(
		store_file_sql(&file, "PRAGMA application_id = 5; CREATE TABLE a (b)"), "");
	assert_int_equal(store_file_open(&file), -EBADMSG);
	assert_int_equal(access(lock, F_OK), -1);
	assert_int_equal(unlink(file.path), 0);
	assert_int_equal(mkdir(file.path, 0700), 0);
	assert_int_equal(store_file_open(&file), -EBADMSG);
	assert_int_equal(access(lock, F_OK), -1);
	assert_int_equal(rmdir(file.path), 0);
	/* An empty one becomes a store. */
	write_file(noise, 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
}

static int commit_and_leave(void *unused)
{
	struct steps steps;

	(void)unused;
	child_check_equal(steps_init(&steps, 2), 0);
	child_check_equal(store_file_open(&file), 0);
	child_check_equal(commit(steps_next(&steps, 4)), 0);
	return 0;
}

/* As after a power cut that has taken names, and the first sector of the file. */
static void a_store_whose_first_page_is_only_in_the_log_is_opened(void **state)
{
	static struct child child;
	char zeros[512] = { 0 }, lock[128];
	FILE *to;

	(void)state;
	assert_int_equal(child_run(&child, commit_and_leave, NULL), 0);
	snprintf(lock, sizeof(lock), "%s.lock", file.path);
	assert_int_equal(unlink(lock), 0);
	to = fopen(file.path, "r+e");
	assert_non_null(to);
	assert_int_equal(fwrite(zeros, 1, sizeof(zeros), to), sizeof(zeros));
	fclose(to);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(file.opened.sequence, 4);
	assert_int_equal(store_file_close(&file), 0);
}

/* Until it becomes another program it has all descriptors of its parent. */
static void a_child_that_was_forked_does_not_keep_the_lock(void **state)
{
	int held[2];
	pid_t child;
	char byte;

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(pipe(held), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(held[1]);
		_exit(read(held[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(held[0]);
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
	close(held[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void no_descriptor_of_a_store_is_left_to_another_program(void **state)
{
	bool before[256];

	(void)state;
	for (int fd = 0; fd < 256; fd++)
		before[fd] = fcntl(fd, F_GETFD) >= 0;
	assert_int_equal(store_file_open(&file), 0);
	for (int fd = 0; fd < 256; fd++)
		if (!before[fd] && fcntl(fd, F_GETFD) == 0)
			fail_msg("%d is", fd);
}

/* What stands beside it has a longer name. */
static void a_path_that_is_too_long_is_refused_however_it_is_given(void **state)
{
	char target[4040], link[128];
	struct tmgr_store_opened opened;
	struct tmgr_store *store;

	(void)state;
	for (size_t i = 0; i < sizeof(target); i++)
		target[i] = i % 2 ? '/' : '.';
	target[sizeof(target) - 1] = '\0';
	snprintf(link, sizeof(link), "%s/link", file.directory);
	assert_int_equal(symlink(target, link), 0);
	assert_int_equal(tmgr_store_sqlite_create(link, NULL, &store), 0);
	assert_int_equal(store->ops->open(store, &opened), -ENAMETOOLONG);
	tmgr_store_destroy(store);
	/* From whatever directory. */
	target[4000] = '\0';
	assert_int_equal(tmgr_store_sqlite_create(target, NULL, &store), 0);
	assert_int_equal(store->ops->open(store, &opened), -ENAMETOOLONG);
	tmgr_store_destroy(store);
}

/* As after a kill while a commit, or 1: the checkpoint thread, waited for the disk. */
static void leave_mark(long of)
{
	char lock[128];
	FILE *to;

	snprintf(lock, sizeof(lock), "%s.lock", file.path);
	to = fopen(lock, "r+e");
	assert_non_null(to);
	assert_int_equal(fseek(to, of, SEEK_SET), 0);
	assert_int_equal(fputc(1, to), 1);
	fclose(to);
}

static void put_in_doubt(void)
{
	leave_mark(0);
}

static void what_a_commit_or_the_checkpoint_thread_waited_for_is_copied_to_a_new_file(void **state)
{
	struct tmgr_store_health health;
	struct stat before, after;

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
	for (long of = 0; of < 2; of++) {
		assert_int_equal(stat(file.path, &before), 0);
		leave_mark(of);
		assert_int_equal(store_file_open(&file), 0);
		assert_true(file.opened.recovered);
		file.store->ops->health(file.store, &health);
		assert_int_equal(health.error, 0);
		assert_string_equal(health.text,
			"the last daemon ended while it waited for the disk: copied to a new file");
		assert_int_equal(store_file_close(&file), 0);
		assert_int_equal(stat(file.path, &after), 0);
		assert_true(after.st_ino != before.st_ino);
		/* And no longer. */
		assert_int_equal(store_file_open(&file), 0);
		assert_false(file.opened.recovered);
		assert_int_equal(store_file_close(&file), 0);
	}
}

/* It may be a later version's, which knows what it is in doubt of. */
static void what_is_refused_is_left_as_it_is_also_in_doubt(void **state)
{
	struct stat before, after;

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
	store_file_sql(&file, "PRAGMA user_version = 2");
	assert_int_equal(stat(file.path, &before), 0);
	put_in_doubt();
	assert_int_equal(store_file_open(&file), -EPROTO);
	assert_int_equal(stat(file.path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
}

/* It was killed before it had the name. The log beside it is the old file's, and not played into it. */
static void a_new_file_that_is_ready_takes_its_place_at_the_next_opening(void **state)
{
	struct steps steps;
	char command[512];

	(void)state;
	assert_int_equal(steps_init(&steps, 2), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(commit(steps_next(&steps, 4)), 0);
	assert_int_equal(file.store->ops->checkpoint(file.store), 0);
	snprintf(command, sizeof(command), "cp %s %s.ready", file.path, file.path);
	assert_int_equal(system(command), 0);
	assert_int_equal(commit(steps_next(&steps, 4)), 0);
	snprintf(command, sizeof(command), "cp %s-wal %s.log", file.path, file.path);
	assert_int_equal(system(command), 0);
	assert_int_equal(store_file_close(&file), 0);
	snprintf(command, sizeof(command), "mv %s.log %s-wal", file.path, file.path);
	assert_int_equal(system(command), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_true(file.opened.recovered);
	assert_int_equal(file.opened.sequence, 4);
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_false(file.opened.recovered);
	assert_int_equal(store_file_close(&file), 0);
	steps_fini(&steps);
}

/* What its health says after an opening that must fail. */
static void must_say(int error, const char *why)
{
	struct tmgr_store_health health;
	struct tmgr_store_opened opened;
	struct tmgr_store *store;
	char text[TMGR_PROCESS_TEXT_SIZE];

	assert_int_equal(tmgr_store_sqlite_create(file.path, NULL, &store), 0);
	assert_int_equal(store->ops->open(store, &opened), error);
	store->ops->health(store, &health);
	tmgr_store_destroy(store);
	assert_int_equal(health.error, error);
	snprintf(text, sizeof(text), "%s: %s", file.path, why);
	assert_string_equal(health.text, text);
}

static void an_opening_that_is_refused_says_why(void **state)
{
	char why[256];

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	snprintf(why, sizeof(why), "another daemon has %s.lock", file.path);
	must_say(-EBUSY, why);
	assert_int_equal(store_file_close(&file), 0);
	store_file_sql(&file, "PRAGMA user_version = 2");
	must_say(-EPROTO, "made by a later version of the library");
	store_file_sql(&file, "PRAGMA user_version = 0");
	must_say(-EBADMSG, "not a store, or damaged");
	strcat(file.path, "/below");
	must_say(-ENOTDIR, "cannot be opened");
}

static void what_takes_the_place_of_a_file_has_its_mode(void **state)
{
	struct stat about;

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(chmod(file.path, 0640), 0);
	put_in_doubt();
	assert_int_equal(store_file_open(&file), 0);
	assert_true(file.opened.recovered);
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(stat(file.path, &about), 0);
	assert_int_equal(about.st_mode & 07777, 0640);
}

static void must_be_of(const char *suffix, uid_t user)
{
	char path[128];
	struct stat about;

	snprintf(path, sizeof(path), "%s%s", file.path, suffix);
	assert_int_equal(stat(path, &about), 0);
	assert_int_equal(about.st_uid, user);
	assert_int_equal(about.st_gid, user);
}

/* Who repairs looks first, as root; the daemon comes afterwards, and is none. */
static void what_root_makes_beside_a_file_is_its_owners(void **state)
{
	const uid_t nobody = 65534;
	char lock[128];

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
	must_be_of(".lock", 0);
	assert_int_equal(chown(file.path, nobody, nobody), 0);
	snprintf(lock, sizeof(lock), "%s.lock", file.path);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
	must_be_of(".lock", nobody);
	put_in_doubt();
	assert_int_equal(store_file_open(&file), 0);
	assert_true(file.opened.recovered);
	must_be_of("", nobody);
	must_be_of("-wal", nobody);
	assert_int_equal(store_file_close(&file), 0);
}

static int open_as_another(void *unused)
{
	struct tmgr_store_health health = { .error = 0 };

	(void)unused;
	child_check_equal(setuid(65534), 0);
	child_check_equal(tmgr_store_sqlite_create(file.path, NULL, &file.store), 0);
	child_check_equal(file.store->ops->open(file.store, &file.opened), -EACCES);
	file.store->ops->health(file.store, &health);
	child_say(health.text);
	return 0;
}

/* A program of another user has looked while no daemon ran. The first commit would fail. */
static void a_log_that_may_not_be_written_is_named_when_the_store_is_opened(void **state)
{
	static struct child child;
	char log[128], lock[128];
	FILE *made;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
	snprintf(log, sizeof(log), "%s-wal", file.path);
	snprintf(lock, sizeof(lock), "%s.lock", file.path);
	made = fopen(log, "we");
	assert_non_null(made);
	fclose(made);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(chmod(log, 0644), 0);
	assert_int_equal(chmod(file.directory, 0777), 0);
	assert_int_equal(chown(file.path, 65534, 65534), 0);
	assert_int_equal(child_run(&child, open_as_another, NULL), 0);
	assert_non_null(strstr(child.text, "/processes.db-wal: cannot be written"));
	assert_int_equal(unlink(log), 0);
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
}

/* To open it would be to wait for somebody who reads. */
static void a_pipe_is_refused_also_where_a_lock_stands_beside_it(void **state)
{
	char lock[128];

	(void)state;
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
	assert_int_equal(unlink(file.path), 0);
	assert_int_equal(mkfifo(file.path, 0600), 0);
	assert_int_equal(store_file_open(&file), -EBADMSG);
	snprintf(lock, sizeof(lock), "%s.lock", file.path);
	assert_int_equal(access(lock, F_OK), 0);
}

/* By root in a directory of somebody else that could be any file. */
static void a_lock_that_is_a_link_is_not_followed(void **state)
{
	char lock[128], target[128];

	(void)state;
	snprintf(lock, sizeof(lock), "%s.lock", file.path);
	snprintf(target, sizeof(target), "%s/target", file.directory);
	assert_int_equal(symlink("target", lock), 0);
	assert_int_equal(store_file_open(&file), -ELOOP);
	assert_int_equal(access(target, F_OK), -1);
}

int main(void)
{
#define TEST(function) store_file_test(function, &file)
	const struct CMUnitTest tests[] = {
		TEST(a_second_daemon_is_refused),
		TEST(a_second_daemon_that_comes_by_a_link_is_refused),
		TEST(nothing_is_left_beside_a_file_that_was_closed_but_the_lock),
		TEST(what_is_no_store_or_a_later_one_is_refused_and_left_as_it_is),
		TEST(nothing_is_left_beside_what_is_no_store),
		TEST(a_store_whose_first_page_is_only_in_the_log_is_opened),
		TEST(a_child_that_was_forked_does_not_keep_the_lock),
		TEST(no_descriptor_of_a_store_is_left_to_another_program),
		TEST(a_path_that_is_too_long_is_refused_however_it_is_given),
		TEST(what_a_commit_or_the_checkpoint_thread_waited_for_is_copied_to_a_new_file),
		TEST(what_is_refused_is_left_as_it_is_also_in_doubt),
		TEST(a_new_file_that_is_ready_takes_its_place_at_the_next_opening),
		TEST(an_opening_that_is_refused_says_why),
		TEST(what_takes_the_place_of_a_file_has_its_mode),
		TEST(what_root_makes_beside_a_file_is_its_owners),
		TEST(a_lock_that_is_a_link_is_not_followed),
		TEST(a_log_that_may_not_be_written_is_named_when_the_store_is_opened),
		TEST(a_pipe_is_refused_also_where_a_lock_stands_beside_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
