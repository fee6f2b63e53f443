#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/tasks/machine_tracer.h>

#include "telemetry_block.h"
#include "telemetry_bytes.h"

#define NO_STATE 0xffff

const unsigned char tmgr__block_magic[8] = { 't', 'm', 'g', 'r', 'r', 'e', 'c', '\n' };

/* Four bits at a time: a table that needs no making, in a thread that has the time. */
static uint32_t crc32c(const unsigned char *at, size_t size)
{
	static const uint32_t table[16] = { 0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6,
		0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75 };
	uint32_t crc = 0xffffffff;

	for (; size > 0; size--, at++) {
		crc = crc >> 4 ^ table[(crc ^ *at) & 15];
		crc = crc >> 4 ^ table[(crc ^ (uint32_t)*at >> 4) & 15];
	}
	return ~crc;
}

uint32_t tmgr__block_length(const unsigned char *block)
{
	return tmgr__get32(block);
}

uint32_t tmgr__session_id(const unsigned char *block)
{
	return tmgr__get32(block + 32);
}

uint32_t tmgr__step_session(const unsigned char *block)
{
	return tmgr__get32(block + 76);
}

bool tmgr__block_length_ok(uint32_t length)
{
	return length % 8 == 0 && length > TMGR__BLOCK_HEAD && length <= TMGR__BLOCK_MAX;
}

bool tmgr__block_sum_ok(const unsigned char *block)
{
	return tmgr__get32(block + 4) == crc32c(block + 8, tmgr__get32(block) - 8);
}

void tmgr__block_set_sum(unsigned char *block)
{
	tmgr__put32(block + 4, crc32c(block + 8, tmgr__get32(block) - 8));
}

/* ---- What blocks are made of ---------------------------------------------------------------- */

int tmgr__step_source_init(struct tmgr__step_source *source, struct tmgr_machine *machine)
{
	const struct tmgr_schema *schema = tmgr_machine_schema(machine);
	size_t count = tmgr_schema_count(schema);

	*source = (struct tmgr__step_source){ 0 };
	if (!machine)
		return -EINVAL;
	source->machine = tmgr_machine_ref(machine);
	source->name_list = calloc(count, sizeof(*source->name_list));
	source->active = calloc(count, sizeof(*source->active));
	source->ticks = calloc(count, sizeof(*source->ticks));
	if (!source->name_list || !source->active || !source->ticks)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		source->name_list[i] = tmgr_schema_state_name(schema, i);
	source->names = (struct tmgr_step_machine){ tmgr_machine_name(machine),
		tmgr_schema_name(schema), source->name_list, count };
	return 0;
}

void tmgr__step_source_fini(struct tmgr__step_source *source)
{
	free((void *)source->name_list);
	free(source->active);
	free(source->ticks);
	tmgr_machine_unref(source->machine);
}

static size_t whole(size_t size)
{
	return (size + 7) / 8 * 8;
}

static size_t step_size(size_t called, size_t changed, size_t active, size_t text)
{
	return whole(80 + 8 * changed + 2 * (called + changed + active) + text);
}

size_t tmgr__step_source_max(const struct tmgr__step_source *source)
{
	size_t count = source->names.count;

	return step_size(count, 2 * count, count, TMGR_MACHINE_TEXT_SIZE);
}

/* ---- A step --------------------------------------------------------------------------------- */

static size_t text_length(const struct tmgr_machine_transition *transition)
{
	if (!transition->error)
		return 0;
	return strnlen(transition->error->text, TMGR_MACHINE_TEXT_SIZE - 1);
}

static void make_draft(struct tmgr__step_draft *draft, struct tmgr__step_source *source,
	const struct tmgr_machine_transition *transition, bool executed)
{
	draft->transition = transition;
	draft->now = tmgr_now();
	if (executed) {
		draft->result = TMGR_STEP_EXECUTED;
		draft->active = transition->target;
		draft->active_count = transition->target_count;
	} else if (!transition->committed) {
		draft->result = TMGR_STEP_CANCELLED;
		draft->active = transition->before;
		draft->active_count = transition->before_count;
	} else {
		draft->result = TMGR_STEP_FAILED;
		draft->active = source->active;
		draft->active_count = tmgr_machine_active(
			source->machine, source->active, source->names.count);
	}
	draft->size = step_size(transition->called_count,
		transition->exit_count + transition->enter_count, draft->active_count,
		text_length(transition));
}

static void trace(struct tmgr__step_source *source,
	const struct tmgr_machine_transition *transition, bool executed)
{
	struct tmgr__step_draft draft;

	if (transition->dry)
		return;
	make_draft(&draft, source, transition, executed);
	source->record(source, &draft);
}

static void on_end(void *self, const struct tmgr_machine_transition *transition)
{
	trace(self, transition, true);
}

static void on_cancelled(void *self, const struct tmgr_machine_transition *transition)
{
	trace(self, transition, false);
}

static const struct tmgr_machine_tracer tracer = {
	.transition_end = on_end,
	.transition_cancelled = on_cancelled,
};

int tmgr__step_source_trace(struct tmgr__step_source *source,
	void (*record)(struct tmgr__step_source *source, const struct tmgr__step_draft *draft))
{
	source->record = record;
	return tmgr_machine_trace(source->machine, &tracer, source);
}

void tmgr__step_source_untrace(struct tmgr__step_source *source)
{
	tmgr_machine_untrace(source->machine, &tracer, source);
}

static unsigned char *put_states(unsigned char *at, const unsigned *states, size_t count)
{
	for (size_t i = 0; i < count; i++, at += 2)
		tmgr__put16(at, (uint16_t)states[i]);
	return at;
}

static unsigned char *put_ticks(
	unsigned char *at, const uint64_t *ticks, const unsigned *states, size_t count)
{
	for (size_t i = 0; i < count; i++, at += 8)
		tmgr__put64(at, ticks[states[i]]);
	return at;
}

static void put_head(unsigned char *block, size_t size, enum tmgr__block_kind kind)
{
	memset(block, 0, TMGR__BLOCK_HEAD);
	tmgr__put32(block, (uint32_t)size);
	block[8] = (unsigned char)kind;
	block[9] = TMGR__BLOCK_VERSION;
}

static void put_error(unsigned char *block, const struct tmgr_machine_error *error)
{
	tmgr__put32(block + 56, error ? (uint32_t)error->code : 0);
	tmgr__put16(block + 60, error ? (uint16_t)error->handler : TMGR_HANDLER_KINDS);
	tmgr__put16(
		block + 62, error && error->state < NO_STATE ? (uint16_t)error->state : NO_STATE);
}

void tmgr__step_encode(unsigned char *block, const struct tmgr__step_draft *draft,
	uint64_t sequence, uint32_t session)
{
	const struct tmgr_machine_transition *transition = draft->transition;
	int64_t duration = transition->began > 0 ? draft->now - transition->began : 0;
	size_t text = text_length(transition);
	unsigned char *at = block + 80;

	put_head(block, draft->size, TMGR__BLOCK_STEP);
	tmgr__put64(block + 16, sequence);
	tmgr__put64(block + 24, transition->number);
	tmgr__put64(block + 32, transition->ticket);
	tmgr__put64(block + 40, (uint64_t)draft->now);
	tmgr__put64(block + 48, (uint64_t)duration);
	put_error(block, transition->error);
	block[64] = (unsigned char)transition->kind;
	block[65] = (unsigned char)transition->origin;
	block[66] = (unsigned char)draft->result;
	block[67] = (unsigned char)text;
	tmgr__put16(block + 68, (uint16_t)transition->called_count);
	tmgr__put16(block + 70, (uint16_t)transition->exit_count);
	tmgr__put16(block + 72, (uint16_t)transition->enter_count);
	tmgr__put16(block + 74, (uint16_t)draft->active_count);
	tmgr__put32(block + 76, session);
	at = put_ticks(at, transition->ticks, transition->exits, transition->exit_count);
	at = put_ticks(at, transition->ticks, transition->enters, transition->enter_count);
	at = put_states(at, transition->called, transition->called_count);
	at = put_states(at, transition->exits, transition->exit_count);
	at = put_states(at, transition->enters, transition->enter_count);
	at = put_states(at, draft->active, draft->active_count);
	if (text > 0)
		memcpy(at, transition->error->text, text);
	memset(at + text, 0, (size_t)(block + draft->size - at) - text);
}

/* ---- A session ------------------------------------------------------------------------------ */

static size_t session_size(const struct tmgr_step_machine *names, size_t active)
{
	size_t size = 48 + 8 * names->count + 2 * active + strlen(names->name) +
		      strlen(names->schema);

	for (size_t i = 0; i < names->count; i++)
		size += 1 + strlen(names->names[i]);
	return whole(size);
}

/* Without its NUL. */
static unsigned char *put_text(unsigned char *at, const char *text)
{
	while (*text)
		*at++ = (unsigned char)*text++;
	return at;
}

/* All behind its times. */
static void put_session(unsigned char *block, struct tmgr__step_source *source,
	const unsigned *active, size_t count)
{
	const struct tmgr_step_machine *names = &source->names;
	unsigned char *at = block + 48;

	memcpy(block + TMGR__BLOCK_MAGIC_AT, tmgr__block_magic, sizeof(tmgr__block_magic));
	tmgr__put32(block + 12, (uint32_t)count);
	tmgr__put32(block + 40, (uint32_t)names->count);
	tmgr__put16(block + 44, (uint16_t)strlen(names->name));
	tmgr__put16(block + 46, (uint16_t)strlen(names->schema));
	tmgr_machine_ticks(source->machine, NULL, source->ticks);
	for (size_t i = 0; i < names->count; i++, at += 8)
		tmgr__put64(at, source->ticks[i]);
	at = put_states(at, active, count);
	at = put_text(at, names->name);
	at = put_text(at, names->schema);
	for (size_t i = 0; i < names->count; i++) {
		*at++ = (unsigned char)strlen(names->names[i]);
		at = put_text(at, names->names[i]);
	}
}

unsigned char *tmgr__session_encode(
	struct tmgr__step_source *source, int64_t now, int64_t time_of_day)
{
	size_t most = source->names.count;
	unsigned *active = calloc(most, sizeof(*active));
	unsigned char *block = NULL;
	size_t count, size;

	if (!active)
		return NULL;
	/* The source's own is the tracer's, which may be at work. */
	count = tmgr_machine_active(source->machine, active, most);
	size = session_size(&source->names, count);
	block = calloc(1, size);
	if (block) {
		put_head(block, size, TMGR__BLOCK_SESSION);
		tmgr__put64(block + 24, (uint64_t)time_of_day);
		tmgr__put64(block + 32, (uint64_t)now);
		put_session(block, source, active, count);
	}
	free(active);
	return block;
}
