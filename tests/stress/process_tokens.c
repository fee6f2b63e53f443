/*
 * kill -9 of a whole runtime of durable processes on a file. Senders outside give numbered tokens to
 * chains of processes, which pass them on over channels; the last of each chain hands them to one that
 * selects, now and then calls another process, and keeps each token as a row of the user's own.
 * Whenever it is killed: of each sender the tokens from 1 on are there, in order, none twice, and no
 * finding of the checker. In the end all that were acknowledged are there.
 *
 * SEED repeats a run, though not the moments of the kills; SECONDS says for how long.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include <taskmgr/taskmgr.h>

#include <taskmgr/tasks/process_runtime.h>

#include "tests/support/killed.h"
#include "tests/support/leak.h"
#include "tests/support/seeded.h"

#define SENDERS 4
#define LENGTH 3 /* relays of each chain */
#define ROUNDS_OF_A_FILE 12

/* What outlives the killed: the last token of each sender that was acknowledged. */
struct shared {
	atomic_ullong acknowledged[SENDERS];
};

static struct shared *shared;
static struct store_file file;

/* ---- The processes ---- */

struct relay {
	char *token, *next;
};

static const struct tmgr_state_field relay_fields[] = { TMGR_FIELD(struct relay, token),
	TMGR_FIELD(struct relay, next) };

static int relay_token(
	struct tmgr_process *process, void *state, const struct tmgr_message *message);

static int relay_next(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_receive(process, "in", relay_token);
}

static int relay_token(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct relay *self = state;
	int r = tmgr_process_text(process, &self->token, "%.*s", (int)message->value.size,
		(const char *)message->value.data);

	if (r < 0)
		return r;
	return tmgr_process_send(process, self->next,
		(struct tmgr_bytes){ self->token, strlen(self->token) }, relay_next);
}

static const struct tmgr_process_definition relay_definition = {
	.name = "relay",
	.version = 1,
	.state = TMGR_STATE(struct relay, relay_fields),
	.start = relay_next,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Next",
								 .function = relay_next },
		{ .name = "Main_Token", .function = relay_token }, { 0 } },
};

struct stamp {
	bool done;
};

static const struct tmgr_state_field stamp_fields[] = { TMGR_FIELD(struct stamp, done) };

static int stamp_now(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	((struct stamp *)state)->done = true;
	return tmgr_process_finish(process, (struct tmgr_bytes){ "ok", 2 });
}

static const struct tmgr_process_definition stamp_definition = {
	.name = "stamp",
	.version = 1,
	.state = TMGR_STATE(struct stamp, stamp_fields),
	.start = stamp_now,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Now",
								 .function = stamp_now },
		{ 0 } },
};

struct sink {
	int64_t count, idle, stamped;
};

static const struct tmgr_state_field sink_fields[] = { TMGR_FIELD(struct sink, count),
	TMGR_FIELD(struct sink, idle), TMGR_FIELD(struct sink, stamped) };

static int sink_token(
	struct tmgr_process *process, void *state, const struct tmgr_message *message);

/* Also where it goes on after a time limit and after a call. */
static int sink_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct sink *self = state;

	self->idle += message->arrival == TMGR_ARRIVED_TIMEOUT;
	self->stamped += message->arrival == TMGR_ARRIVED_RESULT;
	tmgr_process_receive(process, "in", sink_token);
	return tmgr_process_after(process, 20 * TMGR_MILLISECOND, sink_wait);
}

static int sink_token(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct sink *self = state;
	int sender = -1, number = -1;
	struct tmgr_sql_value values[] = { { .kind = TMGR_SQL_INTEGER },
		{ .kind = TMGR_SQL_INTEGER } };
	const struct tmgr_sql_statement insert = {
		"INSERT INTO received (sender, number) VALUES (?1, ?2)", values, 2
	};
	int r;

	sscanf(message->value.data, "%d:%d", &sender, &number);
	values[0].integer = sender;
	values[1].integer = number;
	self->count++;
	r = tmgr_process_sql(process, &insert);
	if (r < 0)
		return r;
	if (self->count % 7 == 0)
		return tmgr_process_call(process,
			&(struct tmgr_process_child){ &stamp_definition, NULL, NULL }, sink_wait);
	return sink_wait(process, state, message);
}

static const struct tmgr_process_definition sink_definition = {
	.name = "sink",
	.version = 1,
	.state = TMGR_STATE(struct sink, sink_fields),
	.start = sink_wait,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = sink_wait },
		{ .name = "Main_Token", .function = sink_token }, { 0 } },
};

static struct tmgr_processes *create(bool single_threaded)
{
	const struct tmgr_processes_options options = { .single_threaded = single_threaded,
		.seed = 1 };
	struct tmgr_processes *processes;
	struct tmgr_store *store;

	if (tmgr_store_sqlite_create(file.path, &file.options, &store) < 0 ||
		tmgr_processes_create(store, &options, &processes) < 0 ||
		tmgr_processes_define(processes, &relay_definition) < 0 ||
		tmgr_processes_define(processes, &stamp_definition) < 0 ||
		tmgr_processes_define(processes, &sink_definition) < 0)
		_exit(2);
	return processes;
}

/* ---- The program that is killed ---- */

struct sender {
	struct tmgr_processes *processes;
	int number;
};

static int start(struct tmgr_context *context, struct tmgr_processes *processes,
	const struct tmgr_process_definition *definition, const char *id, const void *state)
{
	int r = tmgr_processes_start(context, processes,
		&(struct tmgr_process_child){ definition, id, state }, TMGR_NEVER);

	return r == -EEXIST ? 0 : r;
}

static int start_chain(struct tmgr_context *context, const struct sender *sender)
{
	int r = start(context, sender->processes, &sink_definition, "sink", NULL);

	for (int i = 0; i < LENGTH && r == 0; i++) {
		struct relay first = { NULL, NULL };
		char id[32], next[64];

		snprintf(id, sizeof(id), "relay-%d-%d", sender->number, i);
		if (i == LENGTH - 1)
			strcpy(next, "sink/in");
		else
			snprintf(next, sizeof(next), "relay-%d-%d/in", sender->number, i + 1);
		first.next = next;
		r = start(context, sender->processes, &relay_definition, id, &first);
	}
	return r;
}

/* The one after the last that was acknowledged may have been sent: its key says so. */
static int send_tokens(void *self, struct tmgr_context *context)
{
	const struct sender *sender = self;
	atomic_ullong *acknowledged = &shared->acknowledged[sender->number];
	int r = start_chain(context, sender);
	char channel[64];

	snprintf(channel, sizeof(channel), "relay-%d-0/in", sender->number);
	while (r == 0 || r == -EAGAIN) {
		unsigned long long number = atomic_load(acknowledged) + 1;
		char token[64], key[64];

		snprintf(token, sizeof(token), "%d:%llu", sender->number, number);
		snprintf(key, sizeof(key), "token-%llu", number);
		r = tmgr_processes_send(context, sender->processes,
			&(struct tmgr_process_outside){ channel, { token, strlen(token) }, key },
			TMGR_NEVER);
		if (r == 0)
			atomic_store(acknowledged, number);
	}
	return r;
}

static void run_until_killed(void)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_processes *processes = create(false);
	static struct sender senders[SENDERS];

	tmgr_manager_add_task(manager, "processes", tmgr_processes_task(processes), TMGR_STRICT);
	tmgr_manager_add_task(
		manager, "workers", tmgr_processes_workers(processes, NULL), TMGR_STRICT);
	for (int i = 0; i < SENDERS; i++) {
		char name[32];

		snprintf(name, sizeof(name), "sender-%d", i);
		senders[i] = (struct sender){ processes, i };
		tmgr_manager_add_task(
			manager, name, tmgr_task_function(send_tokens, &senders[i]), TMGR_STRICT);
	}
	_exit(tmgr_manager_run(manager, NULL) == 0 ? 3 : 4);
}

/* ---- What must be there ---- */

/* Rows in the order they were made; how many each sender has. */
static void must_be_in_order(unsigned long long *ret_counts)
{
	sqlite3_stmt *row = NULL;
	sqlite3 *db = NULL;

	memset(ret_counts, 0, SENDERS * sizeof(*ret_counts));
	assert_int_equal(sqlite3_open(file.path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(
			db, "SELECT sender, number FROM received ORDER BY rowid", -1, &row, NULL),
		SQLITE_OK);
	while (sqlite3_step(row) == SQLITE_ROW) {
		int sender = sqlite3_column_int(row, 0);
		unsigned long long number = (unsigned long long)sqlite3_column_int64(row, 1);

		assert_true(sender >= 0 && sender < SENDERS);
		if (number != ++ret_counts[sender])
			fail_msg("token %llu of sender %d stands in the place of %llu", number,
				sender, ret_counts[sender]);
	}
	sqlite3_finalize(row);
	sqlite3_close(db);
}

static void must_not_be_ahead(const unsigned long long *counts)
{
	for (int i = 0; i < SENDERS; i++)
		assert_true(counts[i] <= atomic_load(&shared->acknowledged[i]) + 1);
}

/* All that is on its way arrives. */
static void must_be_complete(void)
{
	struct tmgr_processes *processes = create(true);
	unsigned long long counts[SENDERS];

	assert_int_equal(tmgr_processes_open(processes), 0);
	assert_int_equal(tmgr_processes_settle(processes), 0);
	tmgr_processes_unref(processes);
	must_be_in_order(counts);
	must_not_be_ahead(counts);
	for (int i = 0; i < SENDERS; i++)
		if (counts[i] < atomic_load(&shared->acknowledged[i]))
			fail_msg("sender %d: %llu arrived of %llu", i, counts[i],
				atomic_load(&shared->acknowledged[i]));
	assert_int_equal(store_file_check(&file), 0);
}

static void new_file(void)
{
	store_file_fini(&file);
	assert_int_equal(store_file_init(&file), 0);
	file.options.journal_max = 256;
	file.options.log_bytes = 1 << 18;
	assert_int_equal(store_file_open(&file), 0);
	assert_int_equal(store_file_close(&file), 0);
	assert_string_equal(
		store_file_sql(&file, "CREATE TABLE received (sender INTEGER, number INTEGER)"),
		"");
	for (int i = 0; i < SENDERS; i++)
		atomic_store(&shared->acknowledged[i], 0);
}

static unsigned long long tokens(void)
{
	unsigned long long sum = 0;

	for (int i = 0; i < SENDERS; i++)
		sum += atomic_load(&shared->acknowledged[i]);
	return sum;
}

static pid_t start_program(void)
{
	pid_t pid = fork();

	if (pid == 0)
		run_until_killed();
	assert_true(pid > 0);
	return pid;
}

static void tokens_arrive_once_and_in_order_however_often_it_is_killed(void **state)
{
	const char *seconds = getenv("SECONDS");
	int64_t until = tmgr_now() + (seconds ? atol(seconds) : 5) * TMGR_SECOND;
	unsigned seed = (unsigned)seed_of_this_run();
	struct killed_when when = {
		.longest_ns = 200 * TMGR_MILLISECOND,
		.longest_min_ns = 20 * TMGR_MILLISECOND,
		.longest_max_ns = 4 * TMGR_SECOND,
		.enough = 200,
		.done = tokens,
	};
	unsigned long long arrived = 0;
	int kills = 0;

	(void)state;
	do {
		unsigned long long counts[SENDERS];

		new_file();
		for (int i = 0; i < ROUNDS_OF_A_FILE && tmgr_now() < until; i++, kills++) {
			kill_some_time_later(start_program(), &when, &seed);
			/* What the journal has is looked at as it is. */
			assert_int_equal(store_file_check(&file), 0);
			must_be_in_order(counts);
			must_not_be_ahead(counts);
		}
		must_be_complete();
		arrived += tokens();
	} while (tmgr_now() < until);
	print_message("%d kills, %llu tokens\n", kills, arrived);
	assert_true(kills >= 3 && arrived > 10);
}

static int set_up(void **state)
{
	shared = killed_begin(state, &file, sizeof(*shared));
	return shared ? 0 : -1;
}

static int tear_down(void **state)
{
	return killed_end(state, &file, shared, sizeof(*shared));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			tokens_arrive_once_and_in_order_however_often_it_is_killed, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
