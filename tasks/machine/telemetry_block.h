/*
 * Blocks: how transitions are kept in memory and in files. A recording is a row of them; all numbers
 * are little-endian, a block's length is a multiple of 8.
 *
 * Every block:
 *	 0 u32  length, these 16 bytes included
 *	 4 u32  CRC-32C of all behind it; in memory 0
 *	 8 u8   kind, u8 version, 2 unused
 *	12 u32  (a session's) count of active states
 *
 * A session: a file begins with one, and has one more wherever it was continued.
 *	16      magic, 8 bytes
 *	24 i64  time of day, i64 monotonic time
 *	40 u32  count of states, u16 length of the machine's name, u16 of the schema's
 *	48 u64  tick of each state; u16 each active one; the two names; each state's u8 length and name
 *
 * A step:
 *	16 u64  sequence, u64 number, u64 ticket, i64 time, i64 duration
 *	56 i32  error's code, u16 handler, u16 state
 *	64 u8   kind, u8 origin, u8 result, u8 length of the error's text
 *	68 u16  count of called, exits, enters, active
 *	76 u32  id of its session: the lower half of that one's monotonic time; in memory 0
 *	80 u64  tick of each of exits, enters; u16 each of the four lists; the text
 */
#ifndef TMGR__TELEMETRY_BLOCK_H
#define TMGR__TELEMETRY_BLOCK_H

#include <taskmgr/tasks/machine_telemetry.h>

#define TMGR__BLOCK_HEAD 16
#define TMGR__BLOCK_MAX (512u * 1024) /* bytes; the largest session has about 310 KiB */
#define TMGR__BLOCK_VERSION 1

enum tmgr__block_kind { TMGR__BLOCK_SESSION = 1, TMGR__BLOCK_STEP = 2 };

/* Where all sessions have it: how one is found behind damage. */
#define TMGR__BLOCK_MAGIC_AT 16
extern const unsigned char tmgr__block_magic[8];

uint32_t tmgr__block_length(const unsigned char *block);
/* Of a session, its id; of a step, that of its session. */
uint32_t tmgr__session_id(const unsigned char *block);
uint32_t tmgr__step_session(const unsigned char *block);
/* Whether a length can be one; and whether the checksum is right. */
bool tmgr__block_length_ok(uint32_t length);
bool tmgr__block_sum_ok(const unsigned char *block);
void tmgr__block_set_sum(unsigned char *block);

/* ---- Writing: from a machine ---------------------------------------------------------------- */

/* A step that is about to be written. */
struct tmgr__step_draft {
	const struct tmgr_machine_transition *transition;
	enum tmgr_step_result result;
	const unsigned *active;
	size_t active_count;
	int64_t now;
	size_t size; /* of the block */
};

/* What blocks are made of: one for each tracer. */
struct tmgr__step_source {
	struct tmgr_machine *machine; /* a reference */
	struct tmgr_step_machine names;
	const char **name_list;
	unsigned *active; /* for those states that only the machine knows; of the tracer */
	uint64_t *ticks;  /* of who makes a session */
	void (*record)(struct tmgr__step_source *source, const struct tmgr__step_draft *draft);
};

/* 0, -EINVAL or -ENOMEM; whatever it was, it is released with fini. */
int tmgr__step_source_init(struct tmgr__step_source *source, struct tmgr_machine *machine);
void tmgr__step_source_fini(struct tmgr__step_source *source);

/* The size of the largest step. */
size_t tmgr__step_source_max(const struct tmgr__step_source *source);

/*
 * Have record() called, by the machine, with each transition that was made or cancelled and is not dry.
 * Errors are those of tmgr_machine_trace().
 */
int tmgr__step_source_trace(struct tmgr__step_source *source,
	void (*record)(struct tmgr__step_source *source, const struct tmgr__step_draft *draft));
/* Once this returned it is not called any more. */
void tmgr__step_source_untrace(struct tmgr__step_source *source);

void tmgr__step_encode(unsigned char *block, const struct tmgr__step_draft *draft,
	uint64_t sequence, uint32_t session);

/* A session, from the machine as it stands, without checksum; NULL: out of memory. */
unsigned char *tmgr__session_encode(
	struct tmgr__step_source *source, int64_t now, int64_t time_of_day);

/* ---- Reading -------------------------------------------------------------------------------- */

/* Memory that a step is read into. */
struct tmgr__step_memory {
	unsigned *lists;
	uint64_t *ticks;
	struct tmgr_machine_step step;
};

/* For so many states; 0 or -ENOMEM. Whatever it was, it is released with fini. */
int tmgr__step_memory_init(struct tmgr__step_memory *memory, size_t states);
void tmgr__step_memory_fini(struct tmgr__step_memory *memory);

/* Read a block, which is as long as it says, into memory for the states of `machine`. False: it is
 * no step of such a machine. */
bool tmgr__step_decode(struct tmgr__step_memory *memory, const struct tmgr_step_machine *machine,
	const unsigned char *block);

/* A session and its names. */
struct tmgr__session {
	struct tmgr_recording_session session;
	char *text; /* all names */
	const char **names;
	unsigned *active;
	uint64_t *ticks;
};

/* 0, -EBADMSG: it is none; or -ENOMEM. Whatever it was, it is released with fini. */
int tmgr__session_decode(struct tmgr__session *session, const unsigned char *block);
void tmgr__session_fini(struct tmgr__session *session);

#endif
