/*
 * Reads a recording block by block. A block that is not whole or not right is damage. If another one of
 * the same session follows it, or a session, reading goes on there; else the next session is looked for
 * by its magic, which stands at a multiple of 8 as all blocks do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "telemetry_block.h"

struct tmgr_recording {
	FILE *file;
	uint64_t offset; /* of the block that was read last, or is damaged */
	uint64_t next;   /* where to read on */
	uint64_t at;     /* where the stream is */
	bool lost;       /* damage was found at offset: sessions are looked for */
	bool cut;        /* which is that the file ends; it may have grown since */
	uint64_t behind; /* where its length says that it ends; 0: that is not known */
	const char *problem;
	unsigned char *block;
	size_t capacity;
	bool has_session, has_step;
	uint32_t session_id;
	uint64_t sequence; /* of the last step of this session */
	struct tmgr__session session;
	struct tmgr__step_memory memory;
};

int tmgr_recording_open(const char *path, struct tmgr_recording **ret_recording)
{
	struct tmgr_recording *recording;
	int r;

	if (!path || !ret_recording)
		return -EINVAL;
	recording = calloc(1, sizeof(*recording));
	if (!recording)
		return -ENOMEM;
	recording->problem = "";
	recording->file = fopen(path, "re");
	if (!recording->file) {
		r = -errno;
		free(recording);
		return r;
	}
	*ret_recording = recording;
	return 0;
}

static void drop_session(struct tmgr_recording *recording)
{
	tmgr__session_fini(&recording->session);
	tmgr__step_memory_fini(&recording->memory);
	recording->has_session = recording->has_step = false;
}

void tmgr_recording_close(struct tmgr_recording *recording)
{
	if (!recording)
		return;
	drop_session(recording);
	fclose(recording->file);
	free(recording->block);
	free(recording);
}

/* ---- Blocks --------------------------------------------------------------------------------- */

static int damage(struct tmgr_recording *recording, const char *problem)
{
	recording->problem = problem;
	recording->lost = true;
	recording->cut = false;
	recording->behind = 0;
	return -EBADMSG;
}

/* The same of a block whose length may be right. */
static int damage_within(struct tmgr_recording *recording, const char *problem)
{
	damage(recording, problem);
	recording->behind = recording->offset + tmgr__block_length(recording->block);
	return -EBADMSG;
}

static int cut(struct tmgr_recording *recording)
{
	damage(recording, "the file ends within an item");
	recording->cut = true;
	return -EBADMSG;
}

/* Be at a place; also away from an end that the stream had come to, for there may be more by now. */
static int seek(struct tmgr_recording *recording, uint64_t at)
{
	if (at == recording->at && !feof(recording->file))
		return 0;
	if (fseeko(recording->file, (off_t)at, SEEK_SET) < 0)
		return -errno;
	recording->at = at;
	return 0;
}

/* Read so many bytes into the block, from `begin` on: how many there were, or an error. */
static int64_t fill(struct tmgr_recording *recording, size_t begin, size_t size)
{
	size_t n;

	if (begin + size > recording->capacity) {
		size_t capacity = begin + size < 4096 ? 4096 : begin + size;
		void *block = realloc(recording->block, capacity);

		if (!block)
			return -ENOMEM;
		recording->block = block;
		recording->capacity = capacity;
	}
	errno = 0;
	n = fread(recording->block + begin, 1, size, recording->file);
	recording->at += n;
	if (n < size && ferror(recording->file))
		return errno ? -errno : -EIO;
	return (int64_t)n;
}

/* Read the block at `next`: 1, 0 at the end, or an error. */
static int read_block(struct tmgr_recording *recording)
{
	uint32_t length;
	int64_t n;

	recording->offset = recording->next;
	n = seek(recording, recording->next);
	if (n == 0)
		n = fill(recording, 0, TMGR__BLOCK_HEAD);
	if (n < 0)
		return (int)n;
	if (n == 0)
		return 0;
	if (n < TMGR__BLOCK_HEAD)
		return cut(recording);
	length = tmgr__block_length(recording->block);
	if (!tmgr__block_length_ok(length))
		return damage(recording, "this is no item of a recording");
	n = fill(recording, TMGR__BLOCK_HEAD, length - TMGR__BLOCK_HEAD);
	if (n < 0)
		return (int)n;
	if (n < (int64_t)(length - TMGR__BLOCK_HEAD))
		return cut(recording);
	if (!tmgr__block_sum_ok(recording->block))
		return damage_within(recording, "its checksum is wrong");
	recording->next = recording->offset + length;
	recording->lost = false;
	return 1;
}

/* Whether the block is a step of the session. */
static bool belongs(const struct tmgr_recording *recording)
{
	return recording->has_session && recording->block[8] == TMGR__BLOCK_STEP &&
	       tmgr__block_length(recording->block) >= 80 &&
	       tmgr__step_session(recording->block) == recording->session_id;
}

/* ---- Going on behind damage ----------------------------------------------------------------- */

/* Find the next session behind damage: 1, 0 where there is none, or an error. */
static int find_session(struct tmgr_recording *recording)
{
	/* In whole words behind the block that is damaged: its own session is not found again. */
	uint64_t at = recording->offset / 8 * 8 + 8 + TMGR__BLOCK_MAGIC_AT;
	unsigned char word[8];
	int r = seek(recording, at);

	while (r == 0 && fread(word, 1, sizeof(word), recording->file) == sizeof(word)) {
		recording->at += sizeof(word);
		if (memcmp(word, tmgr__block_magic, sizeof(word)) == 0) {
			recording->next = at - TMGR__BLOCK_MAGIC_AT;
			return 1;
		}
		at += sizeof(word);
	}
	return ferror(recording->file) ? -EIO : r;
}

/* Behind a block that is damaged, if its length is right, there stands another: 1, or 0 where there
 * is none, or an error. */
static int read_behind(struct tmgr_recording *recording)
{
	uint64_t offset = recording->offset, behind = recording->behind;
	bool was_cut = recording->cut;
	int r = 0;

	if (behind > 0) {
		recording->next = behind;
		r = read_block(recording);
	}
	if (r > 0 && (recording->block[8] == TMGR__BLOCK_SESSION || belongs(recording)))
		return 1;
	if (r < 0 && r != -EBADMSG)
		return r;
	/* That is no other damage, but the same. */
	recording->offset = offset;
	recording->behind = behind;
	recording->cut = was_cut;
	recording->lost = true;
	return 0;
}

/* Behind damage: the next block, or the next session, or the block that was cut off and is whole by
 * now. */
static int read_on(struct tmgr_recording *recording)
{
	int r = read_behind(recording);

	if (r != 0)
		return r;
	r = find_session(recording);
	if (r > 0)
		return read_block(recording);
	if (r == 0 && recording->cut) {
		recording->next = recording->offset;
		r = read_block(recording);
		r = r == -EBADMSG && recording->cut ? 0 : r;
	}
	if (r == 0)
		recording->problem = "";
	return r;
}

/* ---- Items ---------------------------------------------------------------------------------- */

static int read_session(struct tmgr_recording *recording)
{
	int r;

	drop_session(recording);
	r = tmgr__session_decode(&recording->session, recording->block);
	if (r == 0)
		r = tmgr__step_memory_init(
			&recording->memory, recording->session.session.machine.count);
	if (r < 0) {
		drop_session(recording);
		return r == -EBADMSG ? damage(recording, "this session is not right") : r;
	}
	recording->has_session = true;
	recording->session_id = tmgr__session_id(recording->block);
	recording->sequence = 0;
	return TMGR_RECORDING_SESSION;
}

/* The clock that steps have goes on evenly, whatever is done to the time of day. */
static int64_t time_of_day(const struct tmgr_recording_session *session, int64_t time)
{
	int64_t since, result;

	if (session->time_of_day == 0 || __builtin_sub_overflow(time, session->time, &since) ||
		__builtin_add_overflow(session->time_of_day, since, &result) || result < 0)
		return 0;
	return result;
}

static int read_step(struct tmgr_recording *recording)
{
	const struct tmgr_recording_session *session = &recording->session.session;
	struct tmgr_machine_step *step = &recording->memory.step;

	if (!belongs(recording))
		return damage(recording, "this step is of another session");
	if (!tmgr__step_decode(&recording->memory, &session->machine, recording->block))
		return damage_within(recording, "this step is not one of the machine");
	if (step->sequence <= recording->sequence)
		return damage(recording, "this step is out of order");
	step->lost = step->sequence - recording->sequence - 1;
	recording->sequence = step->sequence;
	step->time_of_day = time_of_day(session, step->time);
	recording->has_step = true;
	return TMGR_RECORDING_STEP;
}

int tmgr_recording_next(struct tmgr_recording *recording)
{
	int r;

	if (!recording)
		return -EINVAL;
	recording->has_step = false;
	recording->problem = "";
	r = recording->lost ? read_on(recording) : read_block(recording);
	if (r <= 0)
		return r;
	if (recording->block[9] != TMGR__BLOCK_VERSION)
		return damage(recording, "it is of another version");
	switch (recording->block[8]) {
	case TMGR__BLOCK_SESSION:
		return read_session(recording);
	case TMGR__BLOCK_STEP:
		return read_step(recording);
	default:
		return damage(recording, "this is no item of a recording");
	}
}

const struct tmgr_recording_session *tmgr_recording_session(const struct tmgr_recording *recording)
{
	return recording && recording->has_session ? &recording->session.session : NULL;
}

const struct tmgr_machine_step *tmgr_recording_step(const struct tmgr_recording *recording)
{
	return recording && recording->has_step ? &recording->memory.step : NULL;
}

uint64_t tmgr_recording_offset(const struct tmgr_recording *recording)
{
	return recording ? recording->offset : 0;
}

const char *tmgr_recording_problem(const struct tmgr_recording *recording)
{
	return recording ? recording->problem : "";
}
