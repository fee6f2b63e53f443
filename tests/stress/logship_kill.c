/*
 * logship is killed at random moments while a log is written and rotated; then the database has
 * each line once, in order.
 *
 * The log is written by a process of its own and rotated by renaming and creating, and by the real
 * logrotate (tests/support/numbers.h).
 *
 * By itself this writes 100,000 lines and kills 10 times, at least 2 of them inside a transaction.
 * LOGSHIP_KILL=full: 1,000,000 lines, 50 kills, 10 of them inside, 20 rotations. Where too few were
 * inside it goes on killing for a while, now as soon as one is inside, and then fails. logship tells
 * that by a byte in a mapped file (LOGSHIP_TEST_FLAG), which outlives it. SEED repeats the choices, though not what the
 * scheduler makes of them. LOGSHIP names another program.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "tests/support/fault.h"
#include "tests/support/numbers.h"

#define END_SECONDS 60 /* for shipping what is left */
#define MS INT64_C(1000000)

struct scale {
	unsigned lines, kills, kills_max, inside_min, rotations;
};

/*
 * The thread sanitizer slows all down but SQLite, which is not built with it: a transaction is then
 * next to none of the time, and how many kills meet one says nothing.
 */
#define INSIDE_MIN(n) (FAULT_TSAN ? 0 : (n))

static const struct scale ordinary = { 100000, 10, 30, INSIDE_MIN(2), 6 };
static const struct scale full = { 1000000, 50, 80, INSIDE_MIN(10), 20 };

struct run {
	const struct scale *scale;
	unsigned seed;
	char program[512];
	char directory[64], database[128], flag_path[128], output[128];
	struct numbers numbers;
	volatile unsigned char *flag;
	pid_t logship;
	int64_t usual_ns; /* to start, to ship what one life is fed, and to stop */
	unsigned kills, inside, rotated[NUMBERS_ROTATIONS];
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 * MS + now.tv_nsec;
}

/* Random moments are what this test is about: this chooses them, and waits for nothing. */
static void sleep_until(int64_t moment_ns)
{
	struct timespec moment = { moment_ns / (1000 * MS), moment_ns % (1000 * MS) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL) == EINTR)
		;
}

static unsigned pick(struct run *run, unsigned below)
{
	return (unsigned)rand_r(&run->seed) % below;
}

/* ---- logship -------------------------------------------------------------------------------- */

static void start_logship(struct run *run, const char *once)
{
	*run->flag = 0;
	run->logship = fork();
	assert_true(run->logship >= 0);
	if (run->logship == 0) {
		int fd = open(run->output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		const char *argv[] = { run->program, "--database", run->database, run->numbers.path,
			once, NULL };

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("LOGSHIP_TEST_FLAG", run->flag_path, 1);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		execv(run->program, (char *const *)argv);
		_exit(127);
	}
}

static void show_output(struct run *run)
{
	char command[200];

	snprintf(command, sizeof(command), "tail -n 30 %s >&2", run->output);
	if (system(command) != 0)
		print_message("there is no output\n");
}

/* Wait for the end of a process, bounded. */
static int end_of(pid_t pid, int seconds)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	int status = -1;

	assert_true(fd >= 0);
	if (poll(&ready, 1, seconds * 1000) != 1)
		kill(pid, SIGKILL);
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void ship_once(struct run *run)
{
	int status;

	start_logship(run, "--once");
	status = end_of(run->logship, END_SECONDS);
	run->logship = 0;
	if (status != 0)
		show_output(run);
	assert_int_equal(status, 0);
}

static void kill_logship(struct run *run)
{
	int status;

	kill(run->logship, SIGKILL);
	assert_int_equal(waitpid(run->logship, &status, 0), run->logship);
	run->logship = 0;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
		show_output(run);
		fail_msg("logship ended by itself, status %d", status);
	}
	run->kills++;
	run->inside += *run->flag;
}

static void rotate(struct run *run, enum numbers_rotation rotation)
{
	assert_true(numbers_rotate(&run->numbers, rotation));
	run->rotated[rotation]++;
}

static int64_t part_of(int64_t ns, unsigned percent)
{
	return ns * percent / 100;
}

/* Wait for a transaction, for as long as anything can be expected, and for a part of it. */
static void sleep_until_inside(struct run *run)
{
	int64_t limit = now_ns() + 2 * run->usual_ns + 1000 * MS;

	while (!*run->flag && now_ns() < limit)
		sched_yield();
	sleep_until(now_ns() + pick(run, 1000) * (MS / 1000));
}

/* One life for those that the random moments have missed, as they do when what was usual before has
 * become much faster. */
static void one_life_to_the_inside(struct run *run, unsigned up_to)
{
	assert_true(numbers_grant(&run->numbers, up_to, false));
	start_logship(run, NULL);
	sleep_until_inside(run);
	kill_logship(run);
}

/*
 * One life: started, fed, killed at a random moment; the log may be rotated before or after. Every
 * second one is killed anywhere, the others where it is likely to be at work.
 */
static void one_life(struct run *run, unsigned up_to, bool rotated, enum numbers_rotation rotation)
{
	int64_t start = now_ns();
	unsigned percent = pick(run, 2) ? pick(run, 130) : 50 + pick(run, 60);
	int64_t death = start + part_of(run->usual_ns, percent);
	int64_t turn = start + part_of(run->usual_ns, pick(run, 160));

	assert_true(numbers_grant(&run->numbers, up_to, pick(run, 2)));
	start_logship(run, NULL);
	if (rotated && turn < death) {
		sleep_until(turn);
		rotate(run, rotation);
	}
	sleep_until(death);
	kill_logship(run);
	if (rotated && turn >= death) {
		sleep_until(turn);
		rotate(run, rotation);
	}
}

/* ---- What must hold ------------------------------------------------------------------------- */

static int64_t ask(sqlite3 *database, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	int64_t number;

	if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(database));
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return number;
}

static void execute(sqlite3 *database, const char *sql)
{
	char *error = NULL;

	if (sqlite3_exec(database, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", sql, error);
}

/* What was written, worked out anew by SQL; and what came, with the number taken from its text. */
static void make_tables(sqlite3 *database, unsigned lines)
{
	char sql[1024];

	snprintf(sql, sizeof(sql),
		"CREATE TEMP TABLE expected AS WITH RECURSIVE count(n) AS"
		" (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < %u)"
		" SELECT n, '2026-11-21 03:12:01 box numbers[7]: line ' || printf('%%09d', n) || ' "
		"'"
		" || substr('" NUMBERS_PADDING "', 1, n %% %zu) AS raw FROM count;"
		"CREATE TEMP TABLE came AS SELECT id, file, offset, partial, raw, message, "
		"program, pid,"
		" CAST(substr(raw, 42, 9) AS INTEGER) AS n FROM lines;",
		lines, sizeof(NUMBERS_PADDING) - 1);
	execute(database, sql);
}

static void check_database(struct run *run)
{
	sqlite3 *database;

	assert_int_equal(sqlite3_open(run->database, &database), SQLITE_OK);
	assert_int_equal(
		ask(database, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
	make_tables(database, run->scale->lines);
	print_message("%lld rows of %lld files\n",
		(long long)ask(database, "SELECT count(*) FROM came"),
		(long long)ask(database, "SELECT count(DISTINCT file) FROM came"));

	/* The set: nothing is missing, nothing is foreign, nothing is there twice. */
	assert_int_equal(ask(database, "SELECT count(*) FROM (SELECT n, raw FROM expected EXCEPT"
				       " SELECT n, raw FROM came)"),
		0);
	assert_int_equal(ask(database, "SELECT count(*) FROM (SELECT n, raw FROM came EXCEPT"
				       " SELECT n, raw FROM expected)"),
		0);
	assert_int_equal(ask(database, "SELECT count(*) FROM came"), run->scale->lines);
	assert_int_equal(ask(database, "SELECT count(DISTINCT n) FROM came"), run->scale->lines);

	/* The order: in each file rows were written in the order of the lines, without a gap. */
	assert_int_equal(ask(database, "SELECT count(*) FROM (SELECT n - lag(n) OVER"
				       " (PARTITION BY file ORDER BY id) AS step FROM came)"
				       " WHERE step <> 1"),
		0);
	assert_int_equal(
		ask(database, "SELECT count(*) FROM (SELECT offset - lag(offset + length(raw)"
			      " + 1) OVER (PARTITION BY file ORDER BY id) AS gap FROM came)"
			      " WHERE gap <> 0"),
		0);
	assert_int_equal(ask(database, "SELECT count(*) FROM (SELECT file, min(offset) AS first"
				       " FROM came GROUP BY file) WHERE first <> 0"),
		0);

	/* Each offset stands behind the last line; and lines were understood. */
	assert_int_equal(
		ask(database, "SELECT count(*) FROM files JOIN (SELECT file,"
			      " max(offset + length(raw) + 1) AS end FROM came GROUP BY file)"
			      " ON id = file WHERE offset <> end"),
		0);
	assert_int_equal(
		ask(database, "SELECT count(*) FROM came WHERE partial OR program <> 'numbers'"
			      " OR pid <> 7 OR message <> substr(raw, 37)"),
		0);
	sqlite3_close(database);
}

/* ---- The test ------------------------------------------------------------------------------- */

static void find_program(struct run *run)
{
	const char *program = getenv("LOGSHIP");
	const char *build = getenv("BUILD");

	if (program)
		snprintf(run->program, sizeof(run->program), "%s", program);
	else
		snprintf(run->program, sizeof(run->program), "%s/examples/logship",
			build ? build : "build");
	if (access(run->program, X_OK) < 0)
		fail_msg("%s is not there: make examples", run->program);
	if (access(NUMBERS_LOGROTATE, X_OK) < 0)
		fail_msg(NUMBERS_LOGROTATE " is not there: apt-get install logrotate");
}

static int set_up(void **state)
{
	struct run *run = calloc(1, sizeof(*run));
	const char *scale = getenv("LOGSHIP_KILL");
	const char *seed = getenv("SEED");
	int fd;

	assert_non_null(run);
	*state = run;
	run->scale = scale && strcmp(scale, "full") == 0 ? &full : &ordinary;
	run->seed = seed ? (unsigned)strtoul(seed, NULL, 0) : (unsigned)now_ns();
	print_message("SEED=%u\n", run->seed);
	strcpy(run->directory, "/tmp/logship_kill.XXXXXX");
	assert_non_null(mkdtemp(run->directory));
	run->numbers = (struct numbers){ .directory = run->directory,
		.lines = run->scale->lines,
		.seed = run->seed,
		.command = -1,
		.answer = -1 };
	snprintf(run->database, sizeof(run->database), "%s/logs.db", run->directory);
	snprintf(run->flag_path, sizeof(run->flag_path), "%s/flag", run->directory);
	snprintf(run->output, sizeof(run->output), "%s/output", run->directory);
	fd = open(run->flag_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 1), 0);
	run->flag = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(run->flag != MAP_FAILED);
	close(fd);
	return 0;
}

static int tear_down(void **state)
{
	struct run *run = *state;
	char command[128];

	if (run->logship > 0) {
		kill(run->logship, SIGKILL);
		waitpid(run->logship, NULL, 0);
	}
	numbers_fini(&run->numbers);
	munmap((void *)run->flag, 1);
	snprintf(command, sizeof(command), "rm -rf %s", run->directory);
	if (!getenv("KEEP"))
		assert_int_equal(system(command), 0);
	free(run);
	return 0;
}

static enum numbers_rotation kind_of(unsigned rotation)
{
	if (rotation % 5 == 2)
		return NUMBERS_LOGROTATE_CREATE;
	return rotation % 5 == 4 ? NUMBERS_LOGROTATE_COPYTRUNCATE : NUMBERS_RENAME;
}

/* How much of the log is there when so many lives have been fed. */
static unsigned share_of(const struct scale *scale, unsigned lives)
{
	unsigned planned = scale->kills + (scale->kills_max - scale->kills) / 2 + 1;
	uint64_t up_to = (uint64_t)scale->lines * lives / planned;

	return up_to < scale->lines ? (unsigned)up_to
				    : scale->lines - 1; /* it ends after the last */
}

static bool has_grown_to(const struct run *run, int64_t size)
{
	struct stat st;

	return stat(run->numbers.path, &st) == 0 && st.st_size >= size;
}

/* Let it ship a first part and see how long that takes on this machine, with this compiler. */
static void measure(struct run *run)
{
	unsigned lines = share_of(run->scale, 1);
	int64_t limit = now_ns() + END_SECONDS * 1000 * MS;
	int64_t begun;

	assert_true(numbers_grant(&run->numbers, lines, false));
	while (!has_grown_to(run, (int64_t)lines * NUMBERS_LINE_MIN)) {
		assert_true(now_ns() < limit);
		sched_yield();
	}
	begun = now_ns();
	ship_once(run);
	run->usual_ns = now_ns() - begun;
}

/* Lives until there were enough kills, and enough of them have hit a transaction. */
static unsigned live(struct run *run)
{
	const struct scale *scale = run->scale;
	unsigned rotations = 0;

	for (unsigned life = 0; life < scale->kills_max; life++) {
		unsigned due = (life + 1) * scale->rotations / scale->kills;
		bool rotated = due > rotations && rotations < scale->rotations;

		if (life >= scale->kills && run->inside >= scale->inside_min)
			break;
		if (life < scale->kills)
			one_life(run, share_of(scale, life + 2), rotated, kind_of(rotations));
		else
			one_life_to_the_inside(run, share_of(scale, life + 2));
		rotations += rotated;
	}
	return rotations;
}

static void each_line_is_there_once_and_in_order_after_kills_and_rotations(void **state)
{
	struct run *run = *state;
	const struct scale *scale = run->scale;
	int64_t begun = now_ns();
	unsigned rotations;

	find_program(run);
	assert_true(numbers_start(&run->numbers));
	ship_once(run); /* it is empty, and known from its first line on */
	measure(run);
	rotations = live(run);
	assert_true(numbers_grant(&run->numbers, scale->lines, false));
	assert_int_equal(end_of(run->numbers.writer, END_SECONDS), 0);
	run->numbers.writer = 0;
	ship_once(run);
	print_message("%u lines, %u kills, %u of them inside a transaction; rotated %u times by "
		      "renaming, %u by logrotate with create, %u with copytruncate; %.1f s\n",
		scale->lines, run->kills, run->inside, run->rotated[NUMBERS_RENAME],
		run->rotated[NUMBERS_LOGROTATE_CREATE],
		run->rotated[NUMBERS_LOGROTATE_COPYTRUNCATE], (double)(now_ns() - begun) / 1e9);
	check_database(run);
	assert_true(run->kills >= scale->kills);
	assert_int_equal(rotations, scale->rotations);
	assert_true(run->inside >= scale->inside_min);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			each_line_is_there_once_and_in_order_after_kills_and_rotations, set_up,
			tear_down),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("logship_kill", tests, NULL, NULL);
}
