/*
 * When all rows are there: whether they fit together, who waits in which order, and what goes on.
 */
#include <errno.h>
#include <stdlib.h>

#include <taskmgr/error.h>

#include "taskmgr/base/text.h"

#include "tasks/process/engine_inside.h"
#include "tasks/process/places.h"

/* Far below where a sum of two times, or the next number, has no room. */
#define TIME_MAX (INT64_C(1) << 60)
#define SEQUENCE_MAX (UINT64_C(1) << 62)

static void gather_wait(struct tmgr__places *waits, struct tmgr__wait *wait)
{
	tmgr__places_add(waits, tmgr__wait_sequence(wait) << 7 | wait->index, wait);
}

/* Messages from outside stand in the lines already, in their order: all are put there again. */
static void unlink_outside(struct tmgr__engine *engine, struct tmgr__places *waits)
{
	for (size_t i = 0; i < engine->channels.max; i++) {
		for (struct tmgr__channel *channel = engine->channels.heads[i]; channel != NULL;
			channel = channel->hash_next) {
			for (struct tmgr__list *link = channel->line.next; link != &channel->line;
				link = link->next)
				gather_wait(waits, container_of(link, struct tmgr__wait, link));
		}
	}
	for (size_t i = 0; waits->error == 0 && i < waits->count; i++) {
		struct tmgr__wait *wait = waits->places[i].item;

		tmgr__list_remove(&wait->link);
	}
}

static void gather_all(struct tmgr__engine *engine, struct tmgr__places *waits,
	struct tmgr__places *ready, struct tmgr__places *over)
{
	unlink_outside(engine, waits);
	for (size_t i = 0; i < engine->processes.max; i++) {
		for (struct tmgr__eprocess *process = engine->processes.heads[i]; process != NULL;
			process = process->hash_next) {
			if (tmgr__process_is_over(process))
				tmgr__places_add(
					over, (uint64_t)tmgr__process_changed(process), process);
			for (struct tmgr__goroutine *goroutine = process->goroutines;
				goroutine != NULL; goroutine = goroutine->next) {
				if (goroutine->status != TMGR_GOROUTINE_BLOCKED)
					tmgr__places_add(ready, goroutine->sequence, goroutine);
				else
					for (size_t k = 0; k < goroutine->wait_count; k++)
						gather_wait(waits, &goroutine->what.waits[k]);
			}
		}
	}
}

/* What was ready runs; what this program could not run before, and now can, runs too. */
static void take_up(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine)
{
	bool known = goroutine->method->entry != NULL;
	struct tmgr__trouble *trouble = goroutine->trouble;

	if (goroutine->status == TMGR_GOROUTINE_FAILED)
		return;
	if (!known) {
		if (goroutine->status == TMGR_GOROUTINE_PAUSED)
			return;
		tmgr__goroutine_pause_for_method(engine, goroutine);
		tmgr__put_goroutine(engine, goroutine);
		return;
	}
	if (goroutine->status == TMGR_GOROUTINE_PAUSED) {
		goroutine->status = TMGR_GOROUTINE_READY;
		if (trouble != NULL)
			tmgr__text_copy_valid(trouble->text, sizeof(trouble->text),
				trouble->attempts > 0 ? tmgr_strerror(trouble->error) : "");
		tmgr__put_event(
			engine, TMGR_PROCESS_EVENT_RESUMED, goroutine->process, goroutine, "");
		tmgr__put_goroutine(engine, goroutine);
	}
	if (trouble != NULL && trouble->retry_at > engine->now_ms)
		tmgr__timer_arm(engine, &trouble->retry, trouble->retry_at);
	else
		tmgr__goroutine_wait_for_turn(engine, goroutine);
}

/* A store gives them in any order; the oldest is forgotten first. */
static void order_keys(struct tmgr__engine *engine)
{
	struct tmgr__places keys = { 0 };
	struct tmgr__ekey **link = &engine->key_first;

	for (struct tmgr__ekey *key = engine->key_first; key != NULL; key = key->next)
		tmgr__places_add(&keys, (uint64_t)key->at_ms, key);
	if (keys.error != 0) {
		engine->broken = -ENOMEM;
	} else {
		tmgr__places_sort(&keys);
		for (size_t i = 0; i < keys.count; i++) {
			engine->key_last = *link = keys.places[i].item;
			link = &engine->key_last->next;
		}
		*link = NULL;
	}
	free(keys.places);
}

static void put_in_order(struct tmgr__engine *engine, struct tmgr__places *waits,
	struct tmgr__places *ready, struct tmgr__places *over)
{
	tmgr__places_sort(waits);
	tmgr__places_sort(ready);
	tmgr__places_sort(over);
	for (size_t i = 0; i < waits->count; i++)
		tmgr__wait_link(engine, waits->places[i].item);
	for (size_t i = 0; i < ready->count; i++)
		take_up(engine, ready->places[i].item);
	for (size_t i = 0; i < over->count; i++)
		tmgr__process_remember(engine, over->places[i].item);
}

/* Every blocked one has a wait, and cancels that a program without the definition was asked for. */
static int look_over(struct tmgr__engine *engine)
{
	for (size_t i = 0; i < engine->processes.max; i++) {
		struct tmgr__eprocess *process = engine->processes.heads[i], *next;

		for (; process != NULL; process = next) {
			next = process->hash_next;
			for (struct tmgr__goroutine *goroutine = process->goroutines;
				goroutine != NULL; goroutine = goroutine->next) {
				if (goroutine->status == TMGR_GOROUTINE_BLOCKED &&
					goroutine->wait_count == 0)
					return -EBADMSG;
			}
			if (!tmgr__process_is_over(process) && process->goroutines == NULL)
				return -EBADMSG;
		}
	}
	return 0;
}

static void cancel_asked(struct tmgr__engine *engine)
{
	for (size_t i = 0; i < engine->processes.max; i++) {
		for (struct tmgr__eprocess *process = engine->processes.heads[i]; process != NULL;
			process = process->hash_next) {
			if (process->cancelled && !process->cancelling &&
				!tmgr__process_is_over(process))
				tmgr__process_cancel_now(engine, process);
		}
	}
}

/* There was no memory for the order: what the lines had stays theirs, to be freed. */
static void give_back(struct tmgr__engine *engine, const struct tmgr__places *waits)
{
	engine->broken = -ENOMEM;
	for (size_t i = 0; i < waits->count; i++) {
		struct tmgr__wait *wait = waits->places[i].item;

		if (wait->goroutine == NULL && tmgr__list_empty(&wait->link))
			tmgr__wait_link(engine, wait);
	}
}

bool tmgr__is_time(int64_t ms)
{
	return ms >= -TIME_MAX && ms <= TIME_MAX;
}

/* Each number that is given from now on is a new one, and the clock can go on. */
static int judge(const struct tmgr__engine *engine, const struct tmgr_store_opened *opened)
{
	return engine->sequence <= opened->sequence && opened->sequence <= SEQUENCE_MAX &&
			       tmgr__is_time(opened->now_ms)
		       ? 0
		       : -EBADMSG;
}

int tmgr__engine_loaded(struct tmgr__engine *engine, struct tmgr__changes *changes,
	const struct tmgr_store_opened *opened, int64_t wall_ms)
{
	struct tmgr__places waits = { 0 }, ready = { 0 }, over = { 0 };
	int r = look_over(engine);

	if (r == 0)
		r = judge(engine, opened);
	if (r != 0)
		return r;
	engine->sequence = engine->durable = opened->sequence;
	engine->wall_ms = wall_ms;
	engine->now_ms = opened->now_ms > wall_ms ? opened->now_ms : wall_ms;
	engine->changes = changes;
	gather_all(engine, &waits, &ready, &over);
	if (waits.error != 0 || ready.error != 0 || over.error != 0)
		give_back(engine, &waits);
	else
		put_in_order(engine, &waits, &ready, &over);
	free(waits.places);
	free(ready.places);
	free(over.places);
	order_keys(engine);
	if (engine->broken == 0)
		cancel_asked(engine);
	tmgr__channel_drop_unused(engine, NULL);
	if (engine->broken == 0 && changes->error == 0 && changes->count > changes->begun)
		tmgr__changes_end_step(changes, tmgr__engine_number(engine));
	if (changes->error != 0)
		engine->broken = changes->error;
	return engine->broken;
}
