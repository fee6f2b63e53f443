#include "tests/support/players.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/leak.h"

static int go_on(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return 0;
}

static const struct tmgr_process_method methods[] = { { .name = "Main_On", .function = go_on },
	{ 0 } };
static const struct tmgr_process_definition player_definition = {
	.name = "player",
	.version = 1,
	.start = go_on,
	.methods = methods,
};

const struct tmgr__emethod *players_method(struct players *players)
{
	return tmgr__engine_method(tmgr__engine_definition(players->engine, "player"), go_on);
}

struct tmgr_bytes players_value(int number)
{
	static int numbers[4096];

	numbers[number] = number;
	return (struct tmgr_bytes){ &numbers[number], sizeof(number) };
}

/* ---- The store ------------------------------------------------------------------------------- */

static int load_row(void *self, const struct tmgr_store_change *row)
{
	return tmgr__engine_load(self, row);
}

/* Run all that is ready: a free player is one whose method runs. */
static void let_run(struct tmgr__engine *engine)
{
	while (tmgr__engine_next(engine) != NULL)
		;
}

static void load(struct players *players)
{
	struct tmgr_store_opened opened;

	assert_int_equal(players->store->ops->open(players->store, &opened), 0);
	players->engine = tmgr__engine_create();
	assert_non_null(players->engine);
	assert_int_equal(tmgr__engine_define(players->engine, &player_definition), 0);
	assert_int_equal(
		players->store->ops->load(players->store, 0, load_row, players->engine), 0);
	assert_int_equal(
		tmgr__engine_loaded(players->engine, &players->changes, &opened, players->now_ms),
		0);
	assert_int_equal(players->changes.count, 0);
	let_run(players->engine);
}

static void reload(struct players *players)
{
	char *before = engine_dump(players->engine), *after;

	tmgr__engine_destroy(players->engine);
	players->store->ops->close(players->store);
	load(players);
	after = engine_dump(players->engine);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void note(struct players *players, const struct tmgr_store_goroutine *row)
{
	struct fired *fired = &players->fired[players->fired_count];

	if (row->status != TMGR_GOROUTINE_READY || row->arrival == TMGR_ARRIVED_START)
		return;
	assert_true(players->fired_count < sizeof(players->fired) / sizeof(*fired));
	players->fired_count++;
	snprintf(fired->player, sizeof(fired->player), "%s", row->process);
	fired->index = (int)row->case_index;
	fired->arrival = row->arrival;
	fired->value = -1;
	if (row->arrival == TMGR_ARRIVED_MESSAGE) {
		assert_int_equal(row->value.size, sizeof(int));
		memcpy(&fired->value, row->value.data, sizeof(int));
	}
}

static void commit(struct players *players)
{
	struct tmgr__changes *changes = &players->changes;
	struct tmgr_store_batch batch = { .now_ms = players->now_ms };

	players->fired_count = 0;
	for (size_t i = 0; i < changes->count; i++) {
		if (changes->changes[i].kind == TMGR_STORE_GOROUTINE &&
			changes->changes[i].op == TMGR_STORE_PUT)
			note(players, &changes->changes[i].row.goroutine);
	}
	if (changes->step_count > 0) {
		batch.steps = tmgr__changes_steps(changes);
		batch.count = changes->step_count;
		assert_int_equal(players->store->ops->commit(players->store, &batch), 0);
		tmgr__engine_committed(players->engine, batch.steps[batch.count - 1].sequence);
	}
	tmgr__changes_clear(changes);
	let_run(players->engine);
	if (players->reload)
		reload(players);
}

static void apply(struct players *players, struct tmgr__apply command)
{
	command.now_ms = command.wall_ms = players->now_ms;
	assert_int_equal(tmgr__engine_apply(players->engine, &command, &players->changes), 0);
	commit(players);
}

/* ---- Playing --------------------------------------------------------------------------------- */

void players_begin(struct players *players, bool reloads)
{
	*players = (struct players){ .reload = reloads };
	assert_int_equal(tmgr_store_memory_create(&players->store), 0);
	load(players);
}

void players_end(struct players *players)
{
	tmgr__engine_destroy(players->engine);
	tmgr__changes_fini(&players->changes);
	players->store->ops->close(players->store);
	tmgr_store_destroy(players->store);
}

void players_channel(struct players *players, const char *name, uint32_t capacity)
{
	char id[32];

	snprintf(id, sizeof(id), "/%s", name);
	apply(players, (struct tmgr__apply){
			       .kind = TMGR__APPLY_CHANNEL_CREATE,
			       .id = id,
			       .capacity = capacity,
		       });
}

static struct tmgr__eprocess *player_named(struct players *players, const char *player)
{
	if (tmgr__engine_process(players->engine, player) == NULL)
		apply(players,
			(struct tmgr__apply){
				.kind = TMGR__APPLY_START,
				.id = player,
				.definition = tmgr__engine_definition(players->engine, "player"),
				.value = { "{}", 2 },
			});
	return tmgr__engine_process(players->engine, player);
}

void players_select(
	struct players *players, const char *player, const struct tmgr__case *cases, size_t count)
{
	struct tmgr__case made[TMGR_PROCESS_CASES_MAX];
	struct tmgr__deed deed = { .state = { "{}", 2 }, .cases = made, .case_count = count };
	struct tmgr__eprocess *process = player_named(players, player);

	assert_non_null(process->running);
	memcpy(made, cases, count * sizeof(*made));
	for (size_t i = 0; i < count; i++)
		made[i].method = players_method(players);
	apply(players, (struct tmgr__apply){
			       .kind = TMGR__APPLY_STEP, .process = process, .deed = &deed });
}

void players_close(struct players *players, const char *name)
{
	char id[32];

	snprintf(id, sizeof(id), "/%s", name);
	if (!tmgr__engine_channel(players->engine, id)->closed)
		apply(players, (struct tmgr__apply){ .kind = TMGR__APPLY_CLOSE, .id = id });
	else
		players->fired_count = 0;
}

void players_tick(struct players *players, int64_t now_ms)
{
	players->now_ms = now_ms;
	apply(players, (struct tmgr__apply){ .kind = TMGR__APPLY_TICK });
}

bool players_blocked(const struct players *players, const char *player)
{
	struct tmgr__eprocess *process = tmgr__engine_process(players->engine, player);

	return process != NULL && process->running == NULL;
}

size_t players_blocked_count(const struct players *players)
{
	size_t count = 0;

	for (size_t i = 0; i < players->engine->processes.max; i++) {
		for (struct tmgr__eprocess *process = players->engine->processes.heads[i];
			process != NULL; process = process->hash_next)
			count += process->running == NULL;
	}
	return count;
}

size_t players_buffer(
	const struct players *players, const char *name, int *values, size_t values_max)
{
	struct tmgr__channel *channel;
	size_t count = 0;
	char id[32];

	snprintf(id, sizeof(id), "/%s", name);
	channel = tmgr__engine_channel(players->engine, id);
	for (struct tmgr__emessage *message = channel->buffer->first; message != NULL;
		message = message->next) {
		assert_true(count < values_max);
		memcpy(&values[count++], message->value->data, sizeof(int));
	}
	assert_int_equal(count, channel->buffer->count);
	return count;
}

/* ---- Dump ------------------------------------------------------------------------------------ */

/* Lines, sorted in the end: objects have no order of their own. */
struct dump {
	char **lines;
	size_t count;
};

static void line(struct dump *dump, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void line(struct dump *dump, const char *format, ...)
{
	va_list arguments;

	dump->lines = realloc(dump->lines, (dump->count + 1) * sizeof(*dump->lines));
	va_start(arguments, format);
	assert_true(vasprintf(&dump->lines[dump->count++], format, arguments) >= 0);
	va_end(arguments);
}

static const char *text_of(const struct tmgr__blob *blob)
{
	static char text[4][600];
	static int turn;
	char *to = text[turn++ & 3];
	size_t at = 0;

	if (blob == NULL)
		return "-";
	for (size_t i = 0; i < blob->size && at < 590; i++)
		at += (size_t)sprintf(to + at, "%02x", (unsigned char)blob->data[i]);
	to[at] = '\0';
	return to;
}

static void dump_goroutine(struct dump *dump, const struct tmgr__goroutine *goroutine)
{
	const struct tmgr__trouble *trouble = goroutine->trouble;
	const struct tmgr__arrival *arrival = goroutine->what.arrival;
	const char *id = goroutine->process->id;

	line(dump, "%s %s: status %d, sequence %llu, since %lld", id, goroutine->name,
		goroutine->status, (unsigned long long)goroutine->sequence,
		(long long)goroutine->since_ms);
	if (trouble != NULL && (trouble->attempts > 0 || trouble->text[0] != '\0'))
		line(dump, "%s %s: %u attempts, error %d, %s, again at %lld", id, goroutine->name,
			trouble->attempts, trouble->error, trouble->text,
			(long long)trouble->retry_at);
	for (const struct tmgr__once *once = trouble != NULL ? trouble->once : NULL; once != NULL;
		once = once->next)
		line(dump, "%s %s: once %s %s", id, goroutine->name, once->name,
			text_of(once->value));
	if (goroutine->status != TMGR_GOROUTINE_BLOCKED) {
		line(dump, "%s %s: goes on with %s", id, goroutine->name, goroutine->method->name);
		if (arrival != NULL)
			line(dump, "%s %s: arrived %d %d %d %s %s", id, goroutine->name,
				arrival->kind, arrival->case_index, arrival->error, arrival->from,
				text_of(arrival->value));
		return;
	}
	for (size_t i = 0; i < goroutine->wait_count; i++) {
		const struct tmgr__wait *wait = &goroutine->what.waits[i];

		line(dump, "%s %s: wait %zu kind %d, %s, then %s, at %lld, armed %d", id,
			goroutine->name, i, wait->kind, text_of(wait->value),
			wait->then.method->name,
			(long long)(wait->kind == TMGR_PROCESS_WAIT_AFTER ||
						    wait->kind == TMGR_PROCESS_WAIT_AT
					    ? wait->on.at
					    : 0),
			wait->heap_index > 0);
	}
}

static void dump_line_of(
	struct dump *dump, const char *id, const char *which, const struct tmgr__list *list)
{
	int place = 0;

	for (const struct tmgr__list *link = list->next; link != list; link = link->next) {
		const struct tmgr__wait *wait = container_of(link, struct tmgr__wait, link);

		line(dump, "%s: %s %d: %s %d %s", id, which, place++,
			wait->goroutine != NULL ? wait->goroutine->process->id : "outside",
			wait->index, wait->goroutine != NULL ? "" : text_of(wait->value));
	}
}

static void dump_process(struct dump *dump, const struct tmgr__eprocess *process)
{
	line(dump,
		"%s: definition %s, version %u, status %d, cancel %d%d, result %d, revision %llu, "
		"steps %llu, made %lld, changed %lld, state %s",
		process->id, process->definition->name, process->version, process->status,
		process->cancelled, process->cancelling, process->has_result,
		(unsigned long long)process->revision, (unsigned long long)process->steps,
		(long long)process->created_ms, (long long)tmgr__process_changed(process),
		text_of(process->state));
	if (process->ending != NULL &&
		(process->ending->error != 0 || process->ending->text[0] != '\0' ||
			process->ending->result != NULL))
		line(dump, "%s: ending %d, %s, %s", process->id, process->ending->error,
			process->ending->text, text_of(process->ending->result));
	for (const struct tmgr__goroutine *goroutine = process->goroutines; goroutine != NULL;
		goroutine = goroutine->next)
		dump_goroutine(dump, goroutine);
	if (process->ending != NULL)
		dump_line_of(dump, process->id, "caller", &process->ending->callers);
}

static void dump_channel(struct dump *dump, const struct tmgr__channel *channel)
{
	int place = 0;

	line(dump, "%s: capacity %u, closed %d, created %d, buffered %u, outside %u", channel->id,
		channel->buffer != NULL ? channel->buffer->capacity : 0, channel->closed,
		channel->created, channel->buffer != NULL ? channel->buffer->count : 0,
		channel->buffer != NULL ? channel->buffer->outside : 0);
	for (const struct tmgr__emessage *message = channel->buffer != NULL ? channel->buffer->first
									    : NULL;
		message != NULL; message = message->next)
		line(dump, "%s: message %d: %llu %s", channel->id, place++,
			(unsigned long long)message->sequence, text_of(message->value));
	dump_line_of(dump, channel->id, "in line", &channel->line);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *engine_dump(const struct tmgr__engine *engine)
{
	struct dump dump = { 0 };
	char *all;
	size_t size;
	FILE *file = open_memstream(&all, &size);

	assert_non_null(file);
	for (size_t i = 0; i < engine->processes.max; i++) {
		for (struct tmgr__eprocess *process = engine->processes.heads[i]; process != NULL;
			process = process->hash_next)
			dump_process(&dump, process);
	}
	for (size_t i = 0; i < engine->channels.max; i++) {
		for (struct tmgr__channel *channel = engine->channels.heads[i]; channel != NULL;
			channel = channel->hash_next)
			dump_channel(&dump, channel);
	}
	for (struct tmgr__ekey *key = engine->key_first; key != NULL; key = key->next)
		line(&dump, "key %s %lld", key->key, (long long)key->at_ms);
	line(&dump, "%zu live, %zu timers, %zu at", engine->live, engine->after.count,
		engine->at.count);
	if (dump.count > 0)
		qsort(dump.lines, dump.count, sizeof(*dump.lines), compare);
	for (size_t i = 0; i < dump.count; i++) {
		fprintf(file, "%s\n", dump.lines[i]);
		free(dump.lines[i]);
	}
	free(dump.lines);
	fclose(file);
	return all;
}
