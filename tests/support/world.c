#include "tests/support/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/process/row.h"

struct world {
	struct tmgr_store_change **rows;
	size_t count, max;
	char wrong[512];
};

static int keep(void *self, const struct tmgr_store_change *row)
{
	struct world *world = self;

	if (world->count == world->max) {
		world->max = world->max > 0 ? 2 * world->max : 64;
		world->rows = reallocarray(
			world->rows, world->max, sizeof(struct tmgr_store_change *));
	}
	world->rows[world->count++] = tmgr__row_copy(row, 0);
	return 0;
}

static void wrong(struct world *world, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void wrong(struct world *world, const char *format, ...)
{
	va_list arguments;

	if (world->wrong[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(world->wrong, sizeof(world->wrong), format, arguments);
	va_end(arguments);
}

#define EACH(world, k, row)                                     \
	for (size_t i_##k = 0; i_##k < (world)->count; i_##k++) \
		if (((row) = (world)->rows[i_##k])->kind == TMGR_STORE_##k)

static const struct tmgr_store_process *process_named(const struct world *world, const char *id)
{
	const struct tmgr_store_change *row;

	EACH(world, PROCESS, row)
	{
		if (strcmp(row->row.process.id, id) == 0)
			return &row->row.process;
	}
	return NULL;
}

static const struct tmgr_store_goroutine *goroutine_named(
	const struct world *world, const char *process, const char *name)
{
	const struct tmgr_store_change *row;

	EACH(world, GOROUTINE, row)
	{
		if (strcmp(row->row.goroutine.process, process) == 0 &&
			strcmp(row->row.goroutine.name, name) == 0)
			return &row->row.goroutine;
	}
	return NULL;
}

static const struct tmgr_store_channel *channel_named(const struct world *world, const char *id)
{
	const struct tmgr_store_change *row;

	EACH(world, CHANNEL, row)
	{
		if (strcmp(row->row.channel.id, id) == 0)
			return &row->row.channel;
	}
	return NULL;
}

static bool is_over(const struct tmgr_store_process *process)
{
	return process->status == TMGR_PROCESS_FINISHED ||
	       process->status == TMGR_PROCESS_CANCELLED;
}

static size_t messages_in(const struct world *world, const char *channel)
{
	const struct tmgr_store_change *row;
	size_t count = 0;

	EACH(world, MESSAGE, row)
	count += strcmp(row->row.message.channel, channel) == 0;
	return count;
}

static size_t waits_of(const struct world *world, uint64_t sequence)
{
	const struct tmgr_store_change *row;
	size_t count = 0;

	EACH(world, WAIT, row)
	count += row->row.wait.sequence == sequence;
	return count;
}

static void check_process(struct world *world, const struct tmgr_store_process *process)
{
	const struct tmgr_store_change *row;
	size_t goroutines = 0;

	EACH(world, GOROUTINE, row)
	goroutines += strcmp(row->row.goroutine.process, process->id) == 0;
	if (is_over(process) != (goroutines == 0))
		wrong(world, "%s is in status %d and has %zu goroutines", process->id,
			process->status, goroutines);
}

static void check_goroutine(struct world *world, const struct tmgr_store_goroutine *goroutine)
{
	size_t waits = waits_of(world, goroutine->sequence);
	bool blocked = goroutine->status == TMGR_GOROUTINE_BLOCKED;

	if (process_named(world, goroutine->process) == NULL)
		wrong(world, "%s %s has no process", goroutine->process, goroutine->name);
	if (blocked != (waits > 0))
		wrong(world, "%s %s is in status %d and has %zu waits", goroutine->process,
			goroutine->name, goroutine->status, waits);
	if (blocked != (goroutine->arrival == 0))
		wrong(world, "%s %s is in status %d with arrival %d", goroutine->process,
			goroutine->name, goroutine->status, goroutine->arrival);
}

static void check_owner(struct world *world, const struct tmgr_store_wait *wait)
{
	const struct tmgr_store_goroutine *goroutine;

	if (wait->process[0] == '\0')
		return;
	goroutine = goroutine_named(world, wait->process, wait->goroutine);
	if (goroutine == NULL || goroutine->status != TMGR_GOROUTINE_BLOCKED ||
		goroutine->sequence != wait->sequence)
		wrong(world, "wait %llu.%u belongs to no blocked goroutine",
			(unsigned long long)wait->sequence, wait->index);
}

/* Whether somebody else's wait could have met this one. */
static void check_pair(struct world *world, const struct tmgr_store_wait *wait)
{
	const struct tmgr_store_change *row;

	EACH(world, WAIT, row)
	{
		const struct tmgr_store_wait *other = &row->row.wait;

		if (other->kind == TMGR_PROCESS_WAIT_RECEIVE && other->sequence != wait->sequence &&
			strcmp(other->target, wait->target) == 0)
			wrong(world, "on %s one waits to send and another to receive",
				wait->target);
	}
}

static void check_channel_wait(struct world *world, const struct tmgr_store_wait *wait)
{
	const struct tmgr_store_channel *channel = channel_named(world, wait->target);
	size_t buffered = messages_in(world, wait->target);
	bool sends = wait->kind == TMGR_PROCESS_WAIT_SEND;

	if (channel != NULL && channel->closed)
		wrong(world, "%s is closed and waited on", wait->target);
	if (!sends && buffered > 0)
		wrong(world, "one waits to receive from %s, which has %zu messages", wait->target,
			buffered);
	if (sends && channel != NULL && buffered < channel->capacity)
		wrong(world, "one waits to send on %s, which has room", wait->target);
	if (sends)
		check_pair(world, wait);
}

static void check_wait(
	struct world *world, const struct tmgr_store_wait *wait, bool settled, long long now_ms)
{
	const struct tmgr_store_process *callee;

	check_owner(world, wait);
	switch (wait->kind) {
	case TMGR_PROCESS_WAIT_SEND:
	case TMGR_PROCESS_WAIT_RECEIVE:
		check_channel_wait(world, wait);
		break;
	case TMGR_PROCESS_WAIT_CALL:
		callee = process_named(world, wait->target);
		if (callee == NULL || is_over(callee))
			wrong(world, "%s waits for %s, which is over", wait->process, wait->target);
		break;
	case TMGR_PROCESS_WAIT_AFTER:
		if (settled && wait->at_ms <= now_ms)
			wrong(world, "a timer of %s is due", wait->process);
		break;
	default:
		break;
	}
}

static void check_channel(struct world *world, const struct tmgr_store_channel *channel)
{
	size_t buffered = messages_in(world, channel->id);

	if (buffered > channel->capacity)
		wrong(world, "%s has %zu messages in a buffer of %u", channel->id, buffered,
			channel->capacity);
}

static void check_once(struct world *world, const struct tmgr_store_once *once)
{
	const struct tmgr_store_goroutine *goroutine = goroutine_named(
		world, once->process, once->goroutine);

	if (goroutine == NULL || goroutine->sequence != once->sequence ||
		goroutine->status == TMGR_GOROUTINE_BLOCKED)
		wrong(world, "the effect %s of %s has no step", once->name, once->process);
}

static void check_all(struct world *world, bool settled, long long now_ms)
{
	for (size_t i = 0; i < world->count; i++) {
		const struct tmgr_store_change *row = world->rows[i];

		if (row->kind == TMGR_STORE_PROCESS)
			check_process(world, &row->row.process);
		else if (row->kind == TMGR_STORE_GOROUTINE)
			check_goroutine(world, &row->row.goroutine);
		else if (row->kind == TMGR_STORE_WAIT)
			check_wait(world, &row->row.wait, settled, now_ms);
		else if (row->kind == TMGR_STORE_CHANNEL)
			check_channel(world, &row->row.channel);
		else if (row->kind == TMGR_STORE_MESSAGE &&
			 channel_named(world, row->row.message.channel) == NULL)
			wrong(world, "a message of %s, which is not there",
				row->row.message.channel);
		else if (row->kind == TMGR_STORE_ONCE)
			check_once(world, &row->row.once);
	}
}

const char *world_check(struct tmgr_store *store, bool settled, long long now_ms)
{
	static struct world world;

	world = (struct world){ 0 };
	if (store->ops->load(store, 0, keep, &world) != 0)
		wrong(&world, "it cannot be read");
	check_all(&world, settled, now_ms);
	for (size_t i = 0; i < world.count; i++)
		free(world.rows[i]);
	free(world.rows);
	return world.wrong[0] != '\0' ? world.wrong : NULL;
}
