/*
 * Timers: two heaps of four children a node, one by the engine's time and one by the wall clock. The
 * wait knows its place. Of those due at the same time the one that waits longest fires first.
 */
#include <errno.h>
#include <stdlib.h>

#include "tasks/process/engine_inside.h"

static bool earlier(const struct tmgr__timer *a, const struct tmgr__timer *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void place(struct tmgr__heap_of_timers *heap, size_t index, struct tmgr__timer timer)
{
	heap->timers[index] = timer;
	timer.wait->heap_index = (uint32_t)index + 1;
}

static void move_up(struct tmgr__heap_of_timers *heap, size_t index, struct tmgr__timer timer)
{
	while (index > 0 && earlier(&timer, &heap->timers[(index - 1) / 4])) {
		place(heap, index, heap->timers[(index - 1) / 4]);
		index = (index - 1) / 4;
	}
	place(heap, index, timer);
}

static void move_down(struct tmgr__heap_of_timers *heap, size_t index, struct tmgr__timer timer)
{
	for (;;) {
		size_t first = 4 * index + 1, least = first;

		if (first >= heap->count)
			break;
		for (size_t i = first + 1; i < first + 4 && i < heap->count; i++) {
			if (earlier(&heap->timers[i], &heap->timers[least]))
				least = i;
		}
		if (!earlier(&heap->timers[least], &timer))
			break;
		place(heap, index, heap->timers[least]);
		index = least;
	}
	place(heap, index, timer);
}

static struct tmgr__heap_of_timers *heap_of(
	struct tmgr__engine *engine, const struct tmgr__wait *wait)
{
	return wait->kind == TMGR_PROCESS_WAIT_AT ? &engine->at : &engine->after;
}

static int reserve(struct tmgr__heap_of_timers *heap, size_t count)
{
	size_t max = heap->max > 0 ? heap->max : 64;
	struct tmgr__timer *more;

	if (heap->max - heap->count >= count)
		return 0;
	while (max - heap->count < count)
		max *= 2;
	more = max < UINT32_MAX ? reallocarray(heap->timers, max, sizeof(*more)) : NULL;
	if (more == NULL)
		return -ENOMEM;
	heap->timers = more;
	heap->max = max;
	return 0;
}

/* In one step, for what it writes has to fit into one row of a store. */
#define FIRED_MAX 10000

int tmgr__timers_reserve(struct tmgr__engine *engine, size_t after, size_t at)
{
	int r = reserve(&engine->after, after);

	return r != 0 ? r : reserve(&engine->at, at);
}

int tmgr__timer_arm(struct tmgr__engine *engine, struct tmgr__wait *wait, int64_t at)
{
	struct tmgr__heap_of_timers *heap = heap_of(engine, wait);

	if (reserve(heap, 1) != 0) {
		engine->broken = -ENOMEM;
		return -ENOMEM;
	}
	move_up(heap, heap->count++,
		(struct tmgr__timer){
			.at = at,
			.order = tmgr__wait_sequence(wait) << 7 | wait->index,
			.wait = wait,
		});
	return 0;
}

void tmgr__timer_disarm(struct tmgr__engine *engine, struct tmgr__wait *wait)
{
	struct tmgr__heap_of_timers *heap = heap_of(engine, wait);
	struct tmgr__timer last;
	size_t index;

	if (wait->heap_index == 0)
		return;
	index = wait->heap_index - 1;
	wait->heap_index = 0;
	last = heap->timers[--heap->count];
	if (index == heap->count)
		return;
	if (index > 0 && earlier(&last, &heap->timers[(index - 1) / 4]))
		move_up(heap, index, last);
	else
		move_down(heap, index, last);
}

static bool is_due(const struct tmgr__heap_of_timers *heap, int64_t now)
{
	return heap->count > 0 && heap->timers[0].at <= now;
}

static int fire_due(struct tmgr__engine *engine, struct tmgr__heap_of_timers *heap, int64_t now)
{
	for (int i = 0; i < FIRED_MAX && engine->broken == 0 && is_due(heap, now); i++) {
		struct tmgr__wait *wait = heap->timers[0].wait;

		if (tmgr__reserve_one(engine) != 0)
			return -ENOMEM;
		if (wait->kind != 0) {
			tmgr__fire(engine, wait, TMGR_ARRIVED_TIMEOUT, NULL, 0);
			continue;
		}
		tmgr__timer_disarm(engine, wait);
		tmgr__goroutine_wait_for_turn(engine, wait->goroutine);
	}
	return 0;
}

static int forget_keys(struct tmgr__engine *engine)
{
	/* So many in one commit; what is left goes with the next tick. */
	for (int i = 0; i < 1000 && engine->key_first != NULL; i++) {
		struct tmgr__ekey *key = engine->key_first;

		if (engine->now_ms - key->at_ms < engine->keep_keys_ms)
			break;
		if (tmgr__reserve_one(engine) != 0)
			return -ENOMEM;
		tmgr__changes_add(engine->changes, TMGR_STORE_DELETE, TMGR_STORE_KEY)->row.key =
			(struct tmgr_store_key){
				.key = tmgr__changes_text(engine->changes, key->key),
			};
		tmgr__key_forget_first(engine);
	}
	return 0;
}

int tmgr__tick(struct tmgr__engine *engine)
{
	int r = fire_due(engine, &engine->after, engine->now_ms);

	if (r == 0)
		r = fire_due(engine, &engine->at, engine->wall_ms);
	return r != 0 ? r : forget_keys(engine);
}

bool tmgr__engine_is_due(const struct tmgr__engine *engine, int64_t now_ms, int64_t wall_ms)
{
	return is_due(&engine->after, now_ms) || is_due(&engine->at, wall_ms);
}

static void sooner(int64_t *timeout, int64_t at, int64_t now)
{
	int64_t left = at > now ? at - now : 0;

	if (*timeout < 0 || left < *timeout)
		*timeout = left;
}

int64_t tmgr__engine_timeout(const struct tmgr__engine *engine, int64_t now_ms, int64_t wall_ms)
{
	int64_t timeout = -1;

	if (engine->after.count > 0)
		sooner(&timeout, engine->after.timers[0].at, now_ms);
	if (engine->at.count > 0)
		sooner(&timeout, engine->at.timers[0].at, wall_ms);
	if (engine->over_first != NULL)
		sooner(&timeout,
			tmgr__process_changed(engine->over_first) + engine->keep_finished_ms,
			now_ms);
	if (engine->key_first != NULL)
		sooner(&timeout, engine->key_first->at_ms + engine->keep_keys_ms, now_ms);
	return timeout;
}
