/*
 * The checker of a file. It takes a copy, as the file is at one moment, plays the journal into the
 * copy's tables with the code that an opening uses, and asks what should not be there.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_sqlite.h"

#include "taskmgr/base/check.h"

/* A timer fires with the batch after the one that finds it due. */
#define DUE_MS "1000"

#define OVER "status IN ('finished', 'cancelled')"

/* As the runtime has them. */
#define CASES_MAX "64"
#define SEQUENCE_MAX "4611686018427387904"
#define NO_TIME "NOT BETWEEN -1152921504606846976 AND 1152921504606846976"

_Static_assert(TMGR_PROCESS_CASES_MAX == 64, "the text above says so");

/* Each gives a line for a finding. ?1: the runtime's time of the last batch; ?2: the last step. */
static const char *const questions[] = {
	"SELECT printf('wait %d, case %d: %s/%s is not blocked on it', sequence, case_index, "
	"process,"
	" goroutine) FROM tmgr_waits w WHERE process <> '' AND NOT EXISTS (SELECT 1 FROM"
	" tmgr_goroutines g WHERE g.process = w.process AND g.name = w.goroutine AND"
	" g.sequence = w.sequence AND g.status = 'blocked')",

	"SELECT printf('wait %d, case %d: nobody waits, and it is no message from outside', "
	"sequence,"
	" case_index) FROM tmgr_waits WHERE process = '' AND (kind <> 'send' OR goroutine <> '')",

	"SELECT printf('goroutine %s/%s: blocked, and waits for nothing', process, name) FROM"
	" tmgr_goroutines g WHERE status = 'blocked' AND NOT EXISTS (SELECT 1 FROM tmgr_waits w "
	"WHERE"
	" w.sequence = g.sequence AND w.process = g.process AND w.goroutine = g.name)",

	"SELECT printf('goroutine %s/%s: its process is over or not there', process, name) FROM"
	" tmgr_goroutines g WHERE NOT EXISTS (SELECT 1 FROM tmgr_processes p WHERE"
	" p.id = g.process AND NOT " OVER ")",

	"SELECT printf('process %s: %s, and has no goroutine', id, status) FROM tmgr_processes p "
	"WHERE NOT " OVER " AND NOT EXISTS (SELECT 1 FROM tmgr_goroutines g WHERE g.process = "
	"p.id)",

	"SELECT printf('wait %d: has %d cases, of which one is number %d', sequence, count(*),"
	" max(case_index) + 1) FROM tmgr_waits WHERE process <> '' GROUP BY sequence HAVING"
	" max(case_index) >= count(*) OR count(*) > " CASES_MAX,

	"SELECT printf('wait %d, case %d: on %s, which is not there', sequence, case_index, target)"
	" FROM tmgr_waits WHERE kind IN ('send', 'receive') AND NOT EXISTS (SELECT 1 FROM"
	" tmgr_channels WHERE id = target) AND NOT EXISTS (SELECT 1 FROM tmgr_processes WHERE"
	" instr(target, '/') > 1 AND id = substr(target, 1, instr(target, '/') - 1) AND NOT " OVER
	")",

	"SELECT printf('channel %s: that is no name of one', id) FROM tmgr_channels WHERE"
	" instr(id, '/') = 0 OR instr(substr(id, instr(id, '/') + 1), '/') > 0 OR id LIKE '%/'",

	"SELECT printf('the last step is %d: that is no number of one', ?2) WHERE ?2 NOT BETWEEN 0"
	" AND " SEQUENCE_MAX,

	"SELECT printf('wait %d, case %d: of a step above the last, which is %d', sequence,"
	" case_index, ?2) FROM tmgr_waits WHERE sequence NOT BETWEEN 0 AND ?2",

	"SELECT printf('goroutine %s/%s: of step %d, and the last is %d', process, name, sequence,"
	" ?2) FROM tmgr_goroutines WHERE status <> 'blocked' AND sequence NOT BETWEEN 0 AND ?2",

	"SELECT printf('message of %s: of step %d, and the last is %d', channel, sequence, ?2) FROM"
	" tmgr_messages WHERE sequence NOT BETWEEN 0 AND ?2",

	"SELECT printf('the last step was at %d ms: that is no time', ?1) WHERE ?1 " NO_TIME,

	"SELECT printf('process %s: changed at %d ms, which is no time', id, changed_ms) FROM"
	" tmgr_processes WHERE changed_ms " NO_TIME,

	"SELECT printf('goroutine %s/%s: to be called at %d ms, which is no time', process, name,"
	" retry_at_ms) FROM tmgr_goroutines WHERE retry_at_ms " NO_TIME,

	"SELECT printf('key %s: from %d ms, which is no time', key, at_ms) FROM tmgr_keys WHERE"
	" at_ms " NO_TIME,

	"SELECT printf('wait %d, case %d: on %s, which is closed', sequence, case_index, target) "
	"FROM"
	" tmgr_waits WHERE kind IN ('send', 'receive') AND EXISTS (SELECT 1 FROM tmgr_channels "
	"WHERE"
	" id = target AND closed)",

	"SELECT printf('wait %d, case %d: receives from %s, which has a message', sequence,"
	" case_index, target) FROM tmgr_waits WHERE kind = 'receive' AND EXISTS (SELECT 1 FROM"
	" tmgr_messages WHERE channel = target)",

	"SELECT printf('wait %d, case %d: sends to %s, which has room', sequence, case_index, "
	"target)"
	" FROM tmgr_waits, tmgr_channels WHERE kind = 'send' AND id = target AND NOT closed AND"
	" capacity > (SELECT count(*) FROM tmgr_messages WHERE channel = target)",

	"SELECT printf('wait %d, case %d: receives from %s, to which wait %d sends', r.sequence,"
	" r.case_index, r.target, s.sequence) FROM tmgr_waits r JOIN tmgr_waits s ON"
	" s.target = r.target WHERE r.kind = 'receive' AND s.kind = 'send' AND"
	" s.sequence <> r.sequence",

	"SELECT printf('channel %s: has %d messages and room for %d', channel, count(*),"
	" coalesce(capacity, 0)) FROM tmgr_messages LEFT JOIN tmgr_channels ON id = channel GROUP "
	"BY"
	" channel HAVING count(*) > coalesce(capacity, 0)",

	"SELECT printf('channel %s: its process is over or not there', id) FROM tmgr_channels c "
	"WHERE"
	" instr(id, '/') > 1 AND NOT EXISTS (SELECT 1 FROM tmgr_processes p WHERE"
	" p.id = substr(c.id, 1, instr(c.id, '/') - 1) AND NOT " OVER ")",

	"SELECT printf('wait %d, case %d: was due %d ms before the last step', sequence, "
	"case_index,"
	" ?1 - at_ms) FROM tmgr_waits WHERE kind = 'after' AND at_ms < ?1 - " DUE_MS,

	"SELECT printf('wait %d, case %d: calls %s, which is over or not there', sequence,"
	" case_index, target) FROM tmgr_waits w WHERE kind = 'call' AND NOT EXISTS (SELECT 1 FROM"
	" tmgr_processes p WHERE p.id = w.target AND NOT " OVER ")",

	"SELECT printf('result of %s in %s/%s: the step it belongs to is over', o.name, o.process,"
	" o.goroutine) FROM tmgr_once o WHERE NOT EXISTS (SELECT 1 FROM tmgr_goroutines g WHERE"
	" g.process = o.process AND g.name = o.goroutine AND g.sequence = o.sequence)",
};

struct check {
	struct sqlite_store copy; /* of which only the connection for writing is there */
	unsigned char marks[2];
	int (*finding)(void *self, const char *line);
	void *self;
	int found;
};

static int report(struct check *check, const char *line)
{
	if (check->found < INT_MAX)
		check->found++;
	return check->finding ? check->finding(check->self, line) : 0;
}

/* A line for each row but those that say "ok". */
static int ask(struct check *check, const char *question)
{
	sqlite3 *db = check->copy.main;
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db, question, -1, &statement, NULL), r = 0;

	if (code == SQLITE_OK && sqlite3_bind_parameter_count(statement) > 0)
		code = sqlite3_bind_int64(statement, 1, check->copy.now_ms);
	if (code == SQLITE_OK && sqlite3_bind_parameter_count(statement) > 1)
		code = sqlite3_bind_int64(statement, 2, (int64_t)check->copy.sequence);
	while (code == SQLITE_OK && r == 0) {
		int step = sqlite3_step(statement);
		const char *line;

		if (step != SQLITE_ROW) {
			code = step;
			break;
		}
		line = (const char *)sqlite3_column_text(statement, 0);
		if (!line)
			r = -ENOMEM;
		else if (strcmp(line, "ok") != 0)
			r = report(check, line);
	}
	if (r == 0)
		r = tmgr__sqlite_error(db, code);
	sqlite3_finalize(statement);
	return r;
}

/* The values of a row, as an opening reads them. */
static int check_row(struct check *check, sqlite3_stmt *row, enum tmgr_store_kind kind)
{
	const char *column = tmgr__sqlite_bad_column(row, kind);
	const char *key = (const char *)sqlite3_column_text(row, 0);
	char *line;
	int r;

	if (!column)
		return 0;
	line = sqlite3_mprintf("row %s of %s: its %s cannot be read", key ? key : "",
		tmgr__sqlite_table(kind), column);
	r = line ? report(check, line) : -ENOMEM;
	sqlite3_free(line);
	return r;
}

static int check_rows(struct check *check, enum tmgr_store_kind kind)
{
	char *text = sqlite3_mprintf("SELECT * FROM %s", tmgr__sqlite_table(kind));
	sqlite3 *db = check->copy.main;
	sqlite3_stmt *row = NULL;
	int code = text ? sqlite3_prepare_v2(db, text, -1, &row, NULL) : SQLITE_NOMEM;
	int r = tmgr__sqlite_error(db, code);

	sqlite3_free(text);
	while (r == 0 && (code = sqlite3_step(row)) == SQLITE_ROW)
		r = check_row(check, row, kind);
	sqlite3_finalize(row);
	return r == 0 ? tmgr__sqlite_error(db, code) : r;
}

static int check_step(struct check *check, sqlite3_stmt *row)
{
	uint64_t sequence = (uint64_t)sqlite3_column_int64(row, 0);
	const unsigned char *at = sqlite3_column_blob(row, 3);
	size_t size = (size_t)sqlite3_column_bytes(row, 3);
	uint32_t checksum = tmgr__sqlite_step_checksum(
		sequence, sqlite3_column_int64(row, 1), at, size);
	const unsigned char *end = at + size;
	struct tmgr_store_change change;
	char line[96];

	snprintf(line, sizeof(line), "step %llu: ", (unsigned long long)sequence);
	if (checksum != (uint32_t)sqlite3_column_int64(row, 2)) {
		strcat(line, "its checksum is wrong");
		return report(check, line);
	}
	while (at < end)
		if (tmgr__sqlite_get_change(&at, end, &change) < 0) {
			strcat(line, "its changes cannot be read");
			return report(check, line);
		}
	return 0;
}

static int check_journal(struct check *check)
{
	sqlite3_stmt *row = NULL;
	int code = sqlite3_prepare_v2(check->copy.main,
		"SELECT sequence, now_ms, checksum, changes FROM tmgr_journal ORDER BY sequence",
		-1, &row, NULL);
	int r = tmgr__sqlite_error(check->copy.main, code);

	while (r == 0 && (code = sqlite3_step(row)) == SQLITE_ROW)
		r = check_step(check, row);
	sqlite3_finalize(row);
	return r == 0 ? tmgr__sqlite_error(check->copy.main, code) : r;
}

/* ---- Taking the copy ---- */

/* Where a part of what it has may stand; a file that is made anew has the other kind at first. */
static bool has_log(const char *path)
{
	return tmgr__sqlite_stands_beside(path, "-wal") ||
	       tmgr__sqlite_stands_beside(path, "-journal");
}

/* With a log, reading needs its index, which needs to be written: what SQLite does not find then is
 * that one. */
static int why_not(const char *path, int error)
{
	char directory[PATH_MAX];

	snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(path, '/') + 1 - path), path);
	if (access(path, R_OK) < 0 || access(directory, W_OK) < 0)
		return -errno;
	return error == -ENOENT ? -EIO : error;
}

static int open_plainly(const char *path, sqlite3 **ret)
{
	int r = tmgr__sqlite_connect(NULL, path, SQLITE_OPEN_READWRITE, ret);

	if (r < 0)
		r = tmgr__sqlite_connect(NULL, path, SQLITE_OPEN_READONLY, ret);
	if (r < 0)
		return r;
	sqlite3_db_config(*ret, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return tmgr__sqlite_identify(*ret);
}

/* The file alone, with no lock. */
static int open_alone(const char *path, sqlite3 **ret)
{
	sqlite3_str *text = sqlite3_str_new(NULL);
	char *uri;
	int r;

	sqlite3_str_appendall(text, "file:");
	for (; *path; path++)
		if (strchr("%?#", *path))
			sqlite3_str_appendf(text, "%%%02X", (unsigned char)*path);
		else
			sqlite3_str_appendchar(text, 1, *path);
	sqlite3_str_appendall(text, "?immutable=1");
	uri = sqlite3_str_finish(text);
	if (!uri)
		return -ENOMEM;
	r = tmgr__sqlite_connect(NULL, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, ret);
	sqlite3_free(uri);
	return r == 0 ? tmgr__sqlite_identify(*ret) : r;
}

/* What a connection sees, once it was opened with this result. Closes it. */
static int copy_from(struct check *check, sqlite3 *from, int opened)
{
	int r = opened == 1 ? -EBADMSG : opened;

	if (r == 0)
		r = tmgr__sqlite_connect(
			NULL, "", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &check->copy.main);
	if (r == 0)
		r = tmgr__sqlite_copy_pages(
			from, check->copy.main, (struct sqlite_cancel){ NULL, NULL });
	sqlite3_close(from);
	return r;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A file without a log is whole, unless a daemon begins just now: -EBUSY. Nothing is made beside it. */
static int copy_alone(struct check *check, const char *path)
{
	struct stat before, after;
	sqlite3 *from = NULL;
	int r;

	if (stat(path, &before) < 0)
		return -errno;
	if (!S_ISREG(before.st_mode))
		return -EBADMSG;
	if (has_log(path))
		return -EBUSY;
	r = open_alone(path, &from);
	r = copy_from(check, from, r);
	if (stat(path, &after) < 0 || !is_same(&before, &after) || has_log(path))
		return -EBUSY;
	return r;
}

/* SQLite makes what it needs for that. It is there: what is missing is what would stand beside it. */
static int copy_with_log(struct check *check, const char *path)
{
	sqlite3 *from = NULL;
	int r = open_plainly(path, &from);

	if (r != -ENOENT && r != -EROFS && r != -EACCES)
		return copy_from(check, from, r);
	sqlite3_close(from);
	return has_log(path) ? why_not(path, r) : copy_alone(check, path);
}

static int take_copy(struct check *check, const char *path)
{
	char *real = realpath(path, NULL);
	int r;

	if (!real)
		return -errno;
	r = copy_alone(check, real);
	if (r == -EBUSY) {
		sqlite3_close(check->copy.main);
		check->copy.main = NULL;
		r = copy_with_log(check, real);
	}
	free(real);
	return r;
}

/* ---- Looking ---- */

static int check_copy(struct check *check)
{
	int r = ask(check, "PRAGMA quick_check");

	if (r == 0)
		r = check_journal(check);
	if (r < 0 || check->found > 0)
		return r; /* what is built on this says nothing */
	r = tmgr__sqlite_read_position(&check->copy);
	if (r == 0)
		r = tmgr__sqlite_prepare_statements(&check->copy);
	if (r == 0)
		r = tmgr__sqlite_replay(&check->copy);
	for (int kind = TMGR_STORE_PROCESS; kind < SQLITE_STORE_KINDS && r == 0; kind++)
		r = check_rows(check, (enum tmgr_store_kind)kind);
	if (r == 0) /* or each wait is compared with each */
		r = tmgr__sqlite_execute(check->copy.main,
			"CREATE INDEX check_targets ON tmgr_waits (target, kind)");
	for (size_t i = 0; i < ARRAY_SIZE(questions) && r == 0; i++)
		r = ask(check, questions[i]);
	return r;
}

/* What cannot be read is a finding, where it is no error of the disk. */
static int report_unreadable(struct check *check, int error)
{
	sqlite3 *db = check->copy.main;
	char *line;
	int r;

	if (error == -EBADMSG)
		return check->found == 0 ? report(check, "its pages are damaged") : 0;
	/* Our texts are right. */
	if (error != -EIO || sqlite3_errcode(db) != SQLITE_ERROR)
		return error;
	line = sqlite3_mprintf("its tables are not those of a store: %s", sqlite3_errmsg(db));
	r = line ? report(check, line) : -ENOMEM;
	sqlite3_free(line);
	return r;
}

int tmgr_store_sqlite_check(
	const char *path, int (*finding)(void *self, const char *line), void *self)
{
	struct check check = { .finding = finding, .self = self };
	int r;

	if (!path)
		return -EINVAL;
	check.copy.lock_file = (struct sqlite_lock_file){ -1, check.marks };
	pthread_mutex_init(&check.copy.lock, NULL);
	r = take_copy(&check, path);
	if (r == 0)
		r = check_copy(&check);
	if (r < 0 && check.copy.main)
		r = report_unreadable(&check, r);
	tmgr__sqlite_finalize_statements(&check.copy);
	tmgr__sqlite_pending_fini(&check.copy.pending);
	sqlite3_close(check.copy.main);
	pthread_mutex_destroy(&check.copy.lock);
	return r < 0 ? r : check.found;
}
