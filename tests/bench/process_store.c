/*
 * The store of durable processes on SQLite: what one step costs beside a bare append and sync, how
 * many steps a second go through it with many in flight, what is written for each, beside the same
 * rows put straight into tables and beside a raw log, and how long a restart takes. In BENCH_DIR, or
 * build/, which should be on the disk that is asked about.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/measure.h"

#if defined(__has_include) && __has_include(<sqlite3.h>)
#include <sqlite3.h>

#include <taskmgr/tasks/process_sqlite.h>

#include "tests/support/steps.h"

#define IN_FLIGHT 128
#define PROCESSES 1000
#define STEPS 300000
#define STEPS_OF_ROWS 60000
#define IDLE_STEPS 40
#define RESTARTED 100000
#define PAGE 4096

static char directory[256], path[300];

static void remove_files(void)
{
	char command[400];

	snprintf(command, sizeof(command), "rm -f %s/*", directory);
	if (system(command) != 0)
		fprintf(stderr, "%s is not empty\n", directory);
}

static struct tmgr_store *open_store(void)
{
	struct tmgr_store_opened opened;
	struct tmgr_store *store;

	measure_check("store", tmgr_store_sqlite_create(path, NULL, &store));
	measure_check("open", store->ops->open(store, &opened));
	return store;
}

static void close_store(struct tmgr_store *store)
{
	measure_check("close", store->ops->close(store));
	tmgr_store_destroy(store);
}

/* What this process had written to the disk, bytes; -1: it cannot be known. */
static double written(void)
{
	FILE *file = fopen("/proc/self/io", "re");
	long long bytes = -1;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "write_bytes: %lld", &bytes) == 1)
			break;
	if (file)
		fclose(file);
	return (double)bytes;
}

/* ---- One step, idle ---- */

struct idle {
	struct tmgr_store *store;
	struct steps steps;
	int fd;
};

/* Copied into the tables between the steps, as a runtime does that has nothing else to do. */
static double one_step(void *self)
{
	struct idle *idle = self;
	struct measure_samples samples = { .values = NULL };
	double median;

	for (int i = 0; i < IDLE_STEPS; i++) {
		const struct tmgr_store_batch *batch = steps_next(&idle->steps, 1);
		int64_t began = measure_now();

		measure_check("commit", idle->store->ops->commit(idle->store, batch));
		measure_add(&samples, (double)(measure_now() - began));
		measure_check(
			"maintain", idle->store->ops->maintain(idle->store, TMGR_SECOND, true));
	}
	median = measure_median(&samples);
	measure_clear(&samples);
	return median;
}

static double one_append(void *self)
{
	static const char page[PAGE] = { 1 };
	struct idle *idle = self;
	struct measure_samples samples = { .values = NULL };
	double median;

	for (int i = 0; i < IDLE_STEPS; i++) {
		int64_t began = measure_now();

		if (write(idle->fd, page, PAGE) != PAGE || fdatasync(idle->fd) < 0)
			return -1;
		measure_add(&samples, (double)(measure_now() - began));
	}
	median = measure_median(&samples);
	measure_clear(&samples);
	return median;
}

static void measure_idle(void)
{
	struct measure_row row = { .figure = "a durable step, idle",
		.other_name = "4 KiB append, fdatasync",
		.kind = MEASURE_RATIO_AT_MOST,
		.goal = 1.6 };
	struct idle idle = { .store = open_store() };
	struct measure_pair pair = { one_step, one_append, &idle, { 0 }, { 0 }, { 0 } };
	char name[300];

	snprintf(name, sizeof(name), "%s/append", directory);
	idle.fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	measure_check("steps", steps_init(&idle.steps, PROCESSES));
	if (idle.fd < 0 || !measure_run_pair(&pair, 2, 15))
		measure_failed(row.figure, "the file could not be written");
	else
		measure_print_pair(&row, &pair);
	measure_clear_pair(&pair);
	steps_fini(&idle.steps);
	close(idle.fd);
	close_store(idle.store);
	remove_files();
}

/* ---- Many in flight ---- */

struct flow {
	double per_second, bytes_each, longest_ns, processor_ns;
};

/* What this program has used of processors, nanoseconds. */
static double processor(void)
{
	struct timespec at;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static struct flow measure_journal(size_t processes)
{
	struct tmgr_store *store = open_store();
	struct flow flow = { 0, written(), 0, processor() };
	int64_t began = measure_now();
	struct steps steps;

	measure_check("steps", steps_init(&steps, processes));
	for (size_t n = 0; n < STEPS; n += IN_FLIGHT) {
		const struct tmgr_store_batch *batch = steps_next(&steps, IN_FLIGHT);
		int64_t copying;
		int r;

		measure_check("commit", store->ops->commit(store, batch));
		copying = measure_now();
		r = store->ops->maintain(store, 5 * TMGR_MILLISECOND, false);
		measure_check("maintain", r < 0 ? r : 0);
		flow.longest_ns = fmax(flow.longest_ns, (double)(measure_now() - copying));
	}
	/* All that waits is copied into the tables, and the log into the file: that counts too. */
	close_store(store);
	flow.processor_ns = (processor() - flow.processor_ns) / STEPS;
	flow.per_second = STEPS * 1e9 / (double)(measure_now() - began);
	flow.bytes_each = flow.bytes_each < 0 ? -1 : (written() - flow.bytes_each) / STEPS;
	steps_fini(&steps);
	remove_files();
	return flow;
}

static void execute(sqlite3 *db, const char *text)
{
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		measure_check(sqlite3_errmsg(db), -EIO);
}

static void run(sqlite3_stmt *statement)
{
	if (sqlite3_step(statement) != SQLITE_DONE || sqlite3_reset(statement) != SQLITE_OK)
		measure_check("statement", -EIO);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *text)
{
	sqlite3_stmt *statement = NULL;

	if (sqlite3_prepare_v2(db, text, -1, &statement, NULL) != SQLITE_OK)
		measure_check(sqlite3_errmsg(db), -EIO);
	return statement;
}

struct rows {
	sqlite3_stmt *process, *goroutine, *wait, *delete_wait, *event;
};

static void bind_text(sqlite3_stmt *statement, int i, const char *text)
{
	sqlite3_bind_text(statement, i, text, -1, SQLITE_STATIC);
}

static void put_row(struct rows *rows, const struct tmgr_store_change *change)
{
	sqlite3_stmt *statement = rows->event;

	switch (change->kind) {
	case TMGR_STORE_PROCESS:
		statement = rows->process;
		bind_text(statement, 1, change->row.process.id);
		sqlite3_bind_text(statement, 2, change->row.process.state.data,
			(int)change->row.process.state.size, SQLITE_STATIC);
		sqlite3_bind_int64(statement, 3, (int64_t)change->row.process.steps);
		break;
	case TMGR_STORE_GOROUTINE:
		statement = rows->goroutine;
		bind_text(statement, 1, change->row.goroutine.process);
		bind_text(statement, 2, change->row.goroutine.name);
		sqlite3_bind_int64(statement, 3, (int64_t)change->row.goroutine.sequence);
		break;
	case TMGR_STORE_WAIT:
		statement = change->op == TMGR_STORE_PUT ? rows->wait : rows->delete_wait;
		sqlite3_bind_int64(statement, 1, (int64_t)change->row.wait.sequence);
		if (change->op == TMGR_STORE_DELETE)
			break;
		sqlite3_bind_int64(statement, 2, change->row.wait.index);
		bind_text(statement, 3, change->row.wait.process);
		bind_text(statement, 4, change->row.wait.target);
		bind_text(statement, 5, change->row.wait.method);
		break;
	default:
		sqlite3_bind_int64(statement, 1, (int64_t)change->row.event.sequence);
		bind_text(statement, 2, change->row.event.process);
		bind_text(statement, 3, change->row.event.method);
		break;
	}
	run(statement);
}

static void prepare_rows(sqlite3 *db, struct rows *rows)
{
	execute(db,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		"CREATE TABLE process (id TEXT UNIQUE, state TEXT, steps INTEGER);"
		"CREATE TABLE goroutine (process TEXT, name TEXT, sequence INTEGER,"
		" UNIQUE (process, name));"
		"CREATE TABLE wait (sequence INTEGER, number INTEGER, process TEXT, target TEXT,"
		" method TEXT, PRIMARY KEY (sequence, number)) WITHOUT ROWID;"
		"CREATE TABLE event (sequence INTEGER PRIMARY KEY, process TEXT, method TEXT)");
	rows->process = prepare(db,
		"INSERT INTO process VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE SET"
		" state = ?2, steps = ?3");
	rows->goroutine = prepare(db, "INSERT INTO goroutine VALUES (?1, ?2, ?3) ON CONFLICT "
				      "(process, name) DO UPDATE SET"
				      " sequence = ?3");
	rows->wait = prepare(db, "INSERT INTO wait VALUES (?1, ?2, ?3, ?4, ?5)");
	rows->delete_wait = prepare(db, "DELETE FROM wait WHERE sequence = ?1");
	rows->event = prepare(db, "INSERT INTO event VALUES (?1, ?2, ?3)");
}

static void finalize_rows(struct rows *rows)
{
	sqlite3_finalize(rows->process);
	sqlite3_finalize(rows->goroutine);
	sqlite3_finalize(rows->wait);
	sqlite3_finalize(rows->delete_wait);
	sqlite3_finalize(rows->event);
}

/* The same steps, each change a row of a table, SQLite's own checkpoints. */
static struct flow measure_rows(void)
{
	struct flow flow = { 0, written(), 0, processor() };
	int64_t began = measure_now();
	struct steps steps;
	struct rows rows;
	sqlite3 *db;

	measure_check("steps", steps_init(&steps, PROCESSES));
	if (sqlite3_open(path, &db) != SQLITE_OK)
		measure_check("rows", -EIO);
	prepare_rows(db, &rows);
	for (size_t n = 0; n < STEPS_OF_ROWS; n += IN_FLIGHT) {
		const struct tmgr_store_batch *batch = steps_next(&steps, IN_FLIGHT);

		execute(db, "BEGIN IMMEDIATE");
		for (size_t i = 0; i < batch->count; i++)
			for (size_t j = 0; j < batch->steps[i].count; j++)
				put_row(&rows, &batch->steps[i].changes[j]);
		execute(db, "COMMIT");
	}
	finalize_rows(&rows);
	sqlite3_close(db);
	flow.processor_ns = (processor() - flow.processor_ns) / STEPS_OF_ROWS;
	flow.per_second = STEPS_OF_ROWS * 1e9 / (double)(measure_now() - began);
	flow.bytes_each = flow.bytes_each < 0 ? -1 : (written() - flow.bytes_each) / STEPS_OF_ROWS;
	steps_fini(&steps);
	remove_files();
	return flow;
}

/* A file that is only appended to and synced, with as many bytes a step as the journal has. */
static struct flow measure_log(void)
{
	static char bytes[IN_FLIGHT * 320];
	struct flow flow = { 0, written(), 0, processor() };
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int64_t began = measure_now();

	for (size_t n = 0; n < STEPS; n += IN_FLIGHT)
		if (write(fd, bytes, sizeof(bytes)) != sizeof(bytes) || fdatasync(fd) < 0)
			measure_check("log", -EIO);
	flow.processor_ns = (processor() - flow.processor_ns) / STEPS;
	flow.per_second = STEPS * 1e9 / (double)(measure_now() - began);
	flow.bytes_each = flow.bytes_each < 0 ? -1 : (written() - flow.bytes_each) / STEPS;
	close(fd);
	remove_files();
	return flow;
}

static void print_flow(
	const char *name, const char *other_name, const struct flow *ours, const struct flow *other)
{
	bool goals = strcmp(other_name, "rows in tables") == 0;
	char figure[64];

	measure_print(&(struct measure_row){ .figure = name,
		.unit = MEASURE_PER_SECOND,
		.ours = ours->per_second,
		.other_name = other_name,
		.other = other->per_second,
		.kind = goals ? MEASURE_AT_LEAST : MEASURE_NO_GOAL,
		.goal = 80000 });
	measure_print(&(struct measure_row){ .figure = "... processor for each",
		.ours = ours->processor_ns,
		.other_name = other_name,
		.other = other->processor_ns });
	snprintf(figure, sizeof(figure), "... written for each");
	if (ours->bytes_each < 0)
		measure_skipped(figure, "/proc/self/io cannot be read");
	else
		measure_print(&(struct measure_row){ .figure = figure,
			.unit = MEASURE_BYTES,
			.ours = ours->bytes_each,
			.other_name = other_name,
			.other = other->bytes_each,
			.kind = goals ? MEASURE_AT_MOST : MEASURE_NO_GOAL,
			.goal = 2048 });
}

static void measure_flow(void)
{
	struct flow journal = measure_journal(PROCESSES), rows = measure_rows(),
		    log = measure_log();
	struct flow many = measure_journal(RESTARTED);

	print_flow("steps, 128 in flight, 1000 processes", "rows in tables", &journal, &rows);
	print_flow("raw log of as many bytes", "the store", &log, &journal);
	print_flow("steps, 128 in flight, 100000 processes", "1000 processes", &many, &journal);
	measure_print(&(struct measure_row){ .figure = "longest piece of copying",
		.ours = journal.longest_ns,
		.kind = MEASURE_AT_MOST,
		.goal = 10e6 });
}

/* ---- Restart ---- */

static int count_row(void *self, const struct tmgr_store_change *row)
{
	++*(size_t *)self;
	return 0;
}

static void measure_restart(void)
{
	struct tmgr_store *store = open_store();
	struct steps steps;
	int64_t began;
	size_t rows = 0;

	measure_check("steps", steps_init(&steps, RESTARTED));
	for (size_t n = 0; n < RESTARTED; n += 500)
		measure_check("commit", store->ops->commit(store, steps_next(&steps, 500)));
	steps_fini(&steps);
	close_store(store);
	began = measure_now();
	store = open_store();
	measure_check("load", store->ops->load(store, 0, count_row, &rows));
	measure_print(&(struct measure_row){ .figure = "restart, 100000 processes",
		.ours = (double)(measure_now() - began),
		.kind = MEASURE_AT_MOST,
		.goal = 1e9 });
	close_store(store);
	if (rows != 4 * RESTARTED)
		measure_failed("restart, 100000 processes", "%zu rows", rows);
	remove_files();
}

int main(void)
{
	const char *where = getenv("BENCH_DIR");

	snprintf(directory, sizeof(directory), "%s/process_store.XXXXXX", where ? where : "build");
	if (!mkdtemp(directory)) {
		fprintf(stderr, "%s cannot be made\n", directory);
		return 1;
	}
	snprintf(path, sizeof(path), "%s/processes.db", directory);
	measure_begin();
	measure_idle();
	measure_flow();
	measure_restart();
	rmdir(directory);
	return measure_end();
}

#else

int main(void)
{
	measure_begin();
	measure_skipped("the store on SQLite", "sqlite3.h is not here");
	return measure_end();
}

#endif
