#include "record.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clear.h"
#include "base/text.h"

/* clang-format off */
static const struct { const char *name; unsigned to; } states[] = {
	[TMGR_STATE_ADDED]        = { "added",        BIT(TMGR_STATE_INITIALIZING) | BIT(TMGR_STATE_INITIALIZED)
						    | BIT(TMGR_STATE_QUEUED) | BIT(TMGR_STATE_RUNNING) | BIT(TMGR_STATE_DONE)
						    | BIT(TMGR_STATE_STUCK) },
	[TMGR_STATE_INITIALIZING] = { "initializing", BIT(TMGR_STATE_INITIALIZED) | BIT(TMGR_STATE_CLEANING)
						    | BIT(TMGR_STATE_DONE) | BIT(TMGR_STATE_STUCK) },
	[TMGR_STATE_INITIALIZED]  = { "initialized",  BIT(TMGR_STATE_RUNNING) | BIT(TMGR_STATE_CLEANING) | BIT(TMGR_STATE_DONE)
						    | BIT(TMGR_STATE_STUCK) },
	[TMGR_STATE_QUEUED]       = { "queued",       BIT(TMGR_STATE_RUNNING) | BIT(TMGR_STATE_DONE) | BIT(TMGR_STATE_STUCK) },
	[TMGR_STATE_RUNNING]      = { "running",      BIT(TMGR_STATE_ENDED) | BIT(TMGR_STATE_STUCK) },
	[TMGR_STATE_ENDED]        = { "ended",        BIT(TMGR_STATE_CLEANING) | BIT(TMGR_STATE_DONE) | BIT(TMGR_STATE_STUCK) },
	[TMGR_STATE_CLEANING]     = { "cleaning",     BIT(TMGR_STATE_DONE) | BIT(TMGR_STATE_STUCK) },
	[TMGR_STATE_DONE]         = { "done",         0 },
	[TMGR_STATE_STUCK]        = { "stuck",        0 },
};
/* clang-format on */

#define STATES (TMGR_STATE_STUCK + 1)
_Static_assert(ARRAY_SIZE(states) == STATES, "every state has a row");

const char *tmgr_state_name(enum tmgr_state state)
{
	return (unsigned)state < STATES ? states[state].name : "unknown";
}

unsigned tmgr__record_moves(enum tmgr_state from)
{
	return (unsigned)from < STATES ? states[from].to : 0;
}

void tmgr__record_set_state(struct tmgr__record *record, enum tmgr_state to, int64_t now)
{
	check((unsigned)to < STATES);
	check(states[record->state].to & BIT((unsigned)to));
	record->state = (unsigned char)to;
	record->since = now;
}

/*
 * What malloc() gives for an execute-task would be 1 KiB, with the next one just as far: the first
 * lines of all would share four sets of the near cache.
 */
#define SPREAD 16

/* Memory behind a name has the alignment of the record before it. */
#define ROUND_UP(size) (((size) + 7) & ~(size_t)7)
_Static_assert(sizeof(struct tmgr__record) % 8 == 0, "a name begins aligned");

/* The memory goes when neither the record nor its token is referred to. */
static void release_token(struct tmgr_token *token)
{
	struct tmgr__record *record = container_of(token, struct tmgr__record, token);

	if (record->block)
		tmgr__arena_give(record->block);
	else
		free(record);
}

void tmgr__record_init(struct tmgr__record *record, const char *name, struct tmgr_task task)
{
	/* Texts need not be cleared. */
	tmgr__clear(record, offsetof(struct tmgr__record, text));
	tmgr__list_init(&record->node);
	tmgr__list_init(&record->queue);
	record->task = task;
	record->kind = tmgr_task_kind(task);
	record->refs = 1;
	record->end_deadline = TMGR_NEVER;
	tmgr_waiter_init(&record->waiter, &tmgr__thread_waiter_ops, NULL);
	tmgr__token_init(&record->token, release_token);
	record->context.record = record;
	record->context.base = &record->context;
	record->context.waiter = &record->waiter;
	record->context.waiting_fd = -1;
	record->text[0] = '\0';
	memcpy(record->name, name, strlen(name) + 1);
}

/* Behind the name, aligned. */
static struct tmgr__cleanup *cleanup_of(struct tmgr__record *record, size_t room)
{
	return (struct tmgr__cleanup *)(void *)(record->name + ROUND_UP(room));
}

struct tmgr__record *tmgr__record_create(struct tmgr__arena *arena, const char *name,
	struct tmgr_task task, enum tmgr__record_kind kind)
{
	bool with_cleanup = kind == TMGR__RECORD_TASK_WITH_CLEANUP;
	size_t room = kind == TMGR__RECORD_EXECUTE ? TMGR_NAME_MAX + 1 : strlen(name) + 1;
	size_t size = sizeof(struct tmgr__record) + room;
	struct tmgr__arena_block *block = NULL;
	struct tmgr__record *record;

	if (with_cleanup)
		size = sizeof(struct tmgr__record) + ROUND_UP(room) + sizeof(struct tmgr__cleanup);
	/* Execute-tasks come and go: their memory is used again by itself. */
	if (kind == TMGR__RECORD_EXECUTE)
		record = malloc(size + SPREAD);
	else
		record = tmgr__arena_take(arena, size, &block);
	if (!record)
		return NULL;
	tmgr__record_init(record, name, task);
	record->block = block;
	if (!with_cleanup)
		return record;
	record->cleanup = cleanup_of(record, room);
	memset(record->cleanup, 0, sizeof(*record->cleanup));
	if (tmgr_token_create(NULL, &record->cleanup->token) < 0) {
		tmgr__arena_give(block);
		return NULL;
	}
	return record;
}

struct tmgr__record *tmgr__record_ref(struct tmgr__record *record)
{
	check(__atomic_fetch_add(&record->refs, 1, __ATOMIC_RELAXED) > 0);
	return record;
}

bool tmgr__record_alone(const struct tmgr__record *record)
{
	return __atomic_load_n(&record->refs, __ATOMIC_ACQUIRE) == 1 &&
	       tmgr__token_alone(&record->token);
}

void tmgr__record_unref(struct tmgr__record *record)
{
	uint32_t refs = __atomic_fetch_sub(&record->refs, 1, __ATOMIC_ACQ_REL);

	check(refs > 0);
	if (refs > 1)
		return;
	if (record->cleanup)
		tmgr_token_unref(record->cleanup->token);
	/* The run inside one that failed, of which the report told. */
	if (record->inner)
		tmgr_manager_unref(record->inner);
	tmgr__waiter_fini(&record->waiter);
	tmgr_token_unref(&record->token);
}
