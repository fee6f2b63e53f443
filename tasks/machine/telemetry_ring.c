/*
 * Blocks stand in a row of bytes that is used again from its begin; positions count on. The oldest
 * make room for the newest. Where a block does not fit before the end of the row a filler stands,
 * whose length has FILLER set.
 *
 * `lock` guards head, tail and the bytes between them: the machine holds it while it copies one step
 * in, a reader while it copies one out. `reading` is held by a reader until its lines are made, and
 * guards what it makes them with; it is taken first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/check.h"
#include "taskmgr/base/sync.h"
#include "telemetry_block.h"
#include "telemetry_bytes.h"

#define SIZE_DEFAULT (64 * 1024)
#define SIZE_MAX_BYTES (1024 * 1024 * 1024)
#define FILLER 0x80000000u

struct tmgr_machine_ring {
	struct tmgr__step_source source;
	struct tmgr__lock lock;
	unsigned char *bytes;
	size_t size;
	uint64_t tail, head; /* positions of the oldest block, and behind the newest */
	uint64_t sequence;
	struct tmgr__lock reading;
	unsigned char *block; /* the one that is read */
	struct tmgr__step_memory memory;
};

/* ---- The machine's side --------------------------------------------------------------------- */

/* Give up the oldest until there is room for so many bytes at the head. */
static void make_room(struct tmgr_machine_ring *ring, size_t size)
{
	while (ring->head + size - ring->tail > ring->size)
		ring->tail += tmgr__get32(ring->bytes + ring->tail % ring->size) & ~FILLER;
}

static void record(struct tmgr__step_source *source, const struct tmgr__step_draft *draft)
{
	struct tmgr_machine_ring *ring = container_of(source, struct tmgr_machine_ring, source);
	size_t left;

	tmgr__lock_acquire(&ring->lock);
	left = ring->size - ring->head % ring->size;
	if (left < draft->size) {
		make_room(ring, left);
		tmgr__put32(ring->bytes + ring->head % ring->size, (uint32_t)left | FILLER);
		ring->head += left;
	}
	make_room(ring, draft->size);
	tmgr__step_encode(ring->bytes + ring->head % ring->size, draft, ++ring->sequence, 0);
	ring->head += draft->size;
	tmgr__lock_release(&ring->lock);
}

/* ---- The reader's side ---------------------------------------------------------------------- */

/* Copy the step at a position, or the first behind it, out: 1, with the position behind it; 0: there
 * is none; -EINVAL: there cannot be a step. */
static int take(struct tmgr_machine_ring *ring, uint64_t *position)
{
	size_t most = tmgr__step_source_max(&ring->source);
	uint64_t at = *position;
	int r = 0;

	tmgr__lock_acquire(&ring->lock);
	if (at < ring->tail)
		at = ring->tail;
	while (r == 0 && at != ring->head) {
		size_t offset = at % ring->size;
		uint32_t length = tmgr__get32(ring->bytes + offset);

		/* A position of the caller's making may be anywhere. */
		if (at > ring->head || offset % 8 != 0 ||
			(length & ~FILLER) > ring->size - offset ||
			(!(length & FILLER) && (length < TMGR__BLOCK_HEAD || length > most))) {
			r = -EINVAL;
			break;
		}
		at += length & ~FILLER;
		if (!(length & FILLER)) {
			memcpy(ring->block, ring->bytes + offset, length);
			r = 1;
		}
	}
	tmgr__lock_release(&ring->lock);
	*position = at;
	return r;
}

int64_t tmgr_machine_ring_json(
	struct tmgr_machine_ring *ring, uint64_t *position, char *buffer, size_t size)
{
	size_t used = 0;
	uint64_t at;
	int r;

	if (!ring || !position || !buffer)
		return -EINVAL;
	at = *position;
	tmgr__lock_acquire(&ring->reading);
	while ((r = take(ring, &at)) > 0) {
		size_t length;

		if (!tmgr__step_decode(&ring->memory, &ring->source.names, ring->block)) {
			r = -EINVAL;
			break;
		}
		length = tmgr_step_json(&ring->memory.step, buffer + used, size - used);
		/* The line's end takes the place of the NUL. */
		if (length >= size - used) {
			r = -ENOBUFS;
			break;
		}
		used += length;
		buffer[used++] = '\n';
		*position = at;
	}
	tmgr__lock_release(&ring->reading);
	return used == 0 && r < 0 ? r : (int64_t)used;
}

/* ---- Making and ending ---------------------------------------------------------------------- */

static void release(struct tmgr_machine_ring *ring)
{
	tmgr__step_memory_fini(&ring->memory);
	tmgr__step_source_fini(&ring->source);
	free(ring->bytes);
	free(ring->block);
	free(ring);
}

int tmgr_machine_ring_create(
	struct tmgr_machine *machine, size_t size, struct tmgr_machine_ring **ret_ring)
{
	struct tmgr_machine_ring *ring;
	size_t most;
	int r;

	if (!machine || !ret_ring || size > SIZE_MAX_BYTES)
		return -EINVAL;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	r = tmgr__step_source_init(&ring->source, machine);
	if (r == 0)
		r = tmgr__step_memory_init(&ring->memory, ring->source.names.count);
	if (r < 0)
		goto fail;
	most = tmgr__step_source_max(&ring->source);
	ring->size = (size == 0 ? SIZE_DEFAULT : size) / 8 * 8;
	if (ring->size < 2 * most)
		ring->size = 2 * most;
	ring->bytes = malloc(ring->size);
	ring->block = malloc(most);
	if (!ring->bytes || !ring->block) {
		r = -ENOMEM;
		goto fail;
	}
	/* The system gives pages when they are first written: now, not to the machine. */
	memset(ring->bytes, 0, ring->size);
	r = tmgr__step_source_trace(&ring->source, record);
	if (r < 0)
		goto fail;
	*ret_ring = ring;
	return 0;
fail:
	release(ring);
	return r;
}

void tmgr_machine_ring_destroy(struct tmgr_machine_ring *ring)
{
	if (!ring)
		return;
	tmgr__step_source_untrace(&ring->source);
	release(ring);
}
