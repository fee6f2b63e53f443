/*
 * What a file holds may be anything: nothing in a block is believed before it was looked at.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "telemetry_block.h"
#include "telemetry_bytes.h"

#define NO_STATE 0xffff

int tmgr__step_memory_init(struct tmgr__step_memory *memory, size_t states)
{
	*memory = (struct tmgr__step_memory){ 0 };
	memory->lists = calloc(4 * states, sizeof(*memory->lists));
	memory->ticks = calloc(2 * states, sizeof(*memory->ticks));
	return memory->lists && memory->ticks ? 0 : -ENOMEM;
}

void tmgr__step_memory_fini(struct tmgr__step_memory *memory)
{
	free(memory->lists);
	free(memory->ticks);
	*memory = (struct tmgr__step_memory){ 0 };
}

static bool is_block(const unsigned char *block, enum tmgr__block_kind kind, size_t least)
{
	return tmgr__get32(block) >= least && block[8] == (unsigned char)kind &&
	       block[9] == TMGR__BLOCK_VERSION;
}

/* The next list, into memory that is moved behind it; false: it names what is not there. */
static bool get_states(const unsigned char **at, size_t count, size_t limit, unsigned **memory,
	struct tmgr_step_states *ret)
{
	*ret = (struct tmgr_step_states){ *memory, count };
	for (size_t i = 0; i < count; i++, *at += 2) {
		unsigned state = tmgr__get16(*at);

		if (state >= limit)
			return false;
		*(*memory)++ = state;
	}
	return true;
}

static bool get_error(struct tmgr_machine_error *error, const unsigned char *block, size_t states)
{
	unsigned handler = tmgr__get16(block + 60), state = tmgr__get16(block + 62);

	if (handler > TMGR_HANDLER_KINDS || (state != NO_STATE && state >= states))
		return false;
	*error = (struct tmgr_machine_error){
		.code = (int32_t)tmgr__get32(block + 56),
		.handler = handler,
		.state = state == NO_STATE ? TMGR_STATES_END : state,
	};
	return error->code <= 0;
}

/* All but the lists. */
static bool get_fixed(struct tmgr_machine_step *step, const struct tmgr_step_machine *machine,
	const unsigned char *block)
{
	*step = (struct tmgr_machine_step){
		.machine = machine,
		.sequence = tmgr__get64(block + 16),
		.number = tmgr__get64(block + 24),
		.ticket = tmgr__get64(block + 32),
		.time = (int64_t)tmgr__get64(block + 40),
		.duration_ns = (int64_t)tmgr__get64(block + 48),
		.kind = block[64],
		.origin = block[65],
		.result = block[66],
	};
	return step->time >= 0 && step->duration_ns >= 0 && block[64] <= TMGR_MUTATION_TOGGLE &&
	       block[65] <= TMGR_ORIGIN_TIMEOUT && block[66] < TMGR_STEP_RESULTS &&
	       get_error(&step->error, block, machine->count);
}

bool tmgr__step_decode(struct tmgr__step_memory *memory, const struct tmgr_step_machine *machine,
	const unsigned char *block)
{
	struct tmgr_machine_step *step = &memory->step;
	size_t called, exits, enters, active, text, n = machine->count;
	const unsigned char *at = block + 80;
	unsigned *lists = memory->lists;

	if (!is_block(block, TMGR__BLOCK_STEP, 80) || !get_fixed(step, machine, block))
		return false;
	called = tmgr__get16(block + 68);
	exits = tmgr__get16(block + 70);
	enters = tmgr__get16(block + 72);
	active = tmgr__get16(block + 74);
	text = block[67];
	if (called > n || exits > n || enters > n || active > n || text >= TMGR_MACHINE_TEXT_SIZE ||
		80 + 10 * (exits + enters) + 2 * (called + active) + text > tmgr__get32(block))
		return false;

	step->exit_ticks = memory->ticks;
	step->enter_ticks = memory->ticks + exits;
	for (size_t i = 0; i < exits + enters; i++, at += 8)
		memory->ticks[i] = tmgr__get64(at);
	if (!get_states(&at, called, n, &lists, &step->called) ||
		!get_states(&at, exits, n, &lists, &step->exits) ||
		!get_states(&at, enters, n, &lists, &step->enters) ||
		!get_states(&at, active, n, &lists, &step->active))
		return false;
	memcpy(step->error.text, at, text);
	step->error.text[text] = '\0';
	return strlen(step->error.text) == text;
}

/* ---- A session ------------------------------------------------------------------------------ */

struct cursor {
	const unsigned char *at, *end;
	char *text; /* where the next name goes */
};

/* The next name; NULL: it is none. */
static const char *get_text(struct cursor *cursor, size_t length)
{
	char *text = cursor->text;

	if (length > (size_t)(cursor->end - cursor->at) || memchr(cursor->at, '\0', length))
		return NULL;
	memcpy(text, cursor->at, length);
	text[length] = '\0';
	cursor->at += length;
	cursor->text += length + 1;
	return text;
}

static const char *get_state_name(struct cursor *cursor)
{
	const char *name;
	size_t length;

	if (cursor->at == cursor->end)
		return NULL;
	length = *cursor->at++;
	if (length == 0 || length > TMGR_MACHINE_NAME_MAX)
		return NULL;
	name = get_text(cursor, length);
	for (const char *at = name; at && *at; at++)
		if (!isalnum((unsigned char)*at) && *at != '_' && *at != '-')
			return NULL;
	return name;
}

static int get_names(
	struct tmgr__session *session, const unsigned char *block, struct cursor *cursor)
{
	struct tmgr_step_machine *machine = &session->session.machine;

	machine->name = get_text(cursor, tmgr__get16(block + 44));
	if (!machine->name)
		return -EBADMSG;
	machine->schema = get_text(cursor, tmgr__get16(block + 46));
	if (!machine->schema)
		return -EBADMSG;
	for (size_t i = 0; i < machine->count; i++) {
		session->names[i] = get_state_name(cursor);
		if (!session->names[i])
			return -EBADMSG;
	}
	return 0;
}

static int get_session(struct tmgr__session *session, const unsigned char *block)
{
	struct tmgr_recording_session *about = &session->session;
	const unsigned char *end = block + tmgr__get32(block), *at = block + 48;
	struct cursor cursor = { .end = end, .text = session->text };
	size_t count = about->machine.count;
	unsigned *active = session->active;

	for (size_t i = 0; i < count; i++, at += 8)
		session->ticks[i] = tmgr__get64(at);
	if (!get_states(&at, tmgr__get32(block + 12), count, &active, &about->active))
		return -EBADMSG;
	cursor.at = at;
	about->time_of_day = (int64_t)tmgr__get64(block + 24);
	about->time = (int64_t)tmgr__get64(block + 32);
	about->machine.names = session->names;
	about->ticks = session->ticks;
	if (about->time_of_day < 0 || about->time < 0)
		return -EBADMSG;
	return get_names(session, block, &cursor);
}

int tmgr__session_decode(struct tmgr__session *session, const unsigned char *block)
{
	size_t count, active;

	*session = (struct tmgr__session){ 0 };
	if (!is_block(block, TMGR__BLOCK_SESSION, 48) ||
		memcmp(block + TMGR__BLOCK_MAGIC_AT, tmgr__block_magic,
			sizeof(tmgr__block_magic)) != 0)
		return -EBADMSG;
	count = tmgr__get32(block + 40);
	active = tmgr__get32(block + 12);
	if (count < 1 || count > TMGR_MACHINE_STATES_MAX || active > count ||
		48 + 8 * count + 2 * active > tmgr__get32(block))
		return -EBADMSG;
	session->session.machine.count = count;
	/* Each name comes with its length, or a length in the head: what ends it has room. */
	session->text = malloc(tmgr__get32(block) + 2);
	session->names = calloc(count, sizeof(*session->names));
	session->active = calloc(count, sizeof(*session->active));
	session->ticks = calloc(count, sizeof(*session->ticks));
	if (!session->text || !session->names || !session->active || !session->ticks)
		return -ENOMEM;
	return get_session(session, block);
}

void tmgr__session_fini(struct tmgr__session *session)
{
	free(session->text);
	free((void *)session->names);
	free(session->active);
	free(session->ticks);
	*session = (struct tmgr__session){ 0 };
}
