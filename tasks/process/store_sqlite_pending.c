/*
 * What waits to be copied into the tables: for each key the last version of what it names, in the
 * order in which keys were touched first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store_sqlite.h"

#include "taskmgr/base/check.h"

#define BUCKETS_MIN 256

struct sqlite_block *tmgr__sqlite_block_create(void)
{
	struct sqlite_block *block = calloc(1, sizeof(*block));

	if (block)
		block->refs = 1;
	return block;
}

void tmgr__sqlite_block_unref(struct sqlite_block *block)
{
	if (!block || --block->refs > 0)
		return;
	free(block->bytes.data);
	free(block);
}

struct sqlite_change *tmgr__sqlite_drop_change(struct sqlite_change *change)
{
	struct sqlite_change *next = change->next;

	tmgr__sqlite_block_unref(change->block);
	free(change);
	return next;
}

static void drop_changes(struct sqlite_entry *entry)
{
	while (entry->first)
		entry->first = tmgr__sqlite_drop_change(entry->first);
	entry->last = NULL;
}

void tmgr__sqlite_drop_entry(struct sqlite_pending *pending, struct sqlite_entry *entry)
{
	struct sqlite_entry **at = &pending->table[entry->hash & (pending->buckets - 1)];

	while (*at != entry)
		at = &(*at)->same_hash;
	*at = entry->same_hash;
	*(entry->older ? &entry->older->newer : &pending->oldest) = entry->newer;
	*(entry->newer ? &entry->newer->older : &pending->newest) = entry->older;
	pending->count--;
	if (entry->slot != SQLITE_NO_SLOT)
		pending->generation.entries[entry->slot] = NULL;
	drop_changes(entry);
	free(entry);
}

void tmgr__sqlite_pending_fini(struct sqlite_pending *pending)
{
	while (pending->oldest)
		tmgr__sqlite_drop_entry(pending, pending->oldest);
	while (pending->first_event)
		pending->first_event = tmgr__sqlite_drop_change(pending->first_event);
	free(pending->table);
	free(pending->key.data);
	free(pending->generation.entries);
	*pending = (struct sqlite_pending){ .table = NULL };
}

/* FNV-1a. */
static uint32_t hash_of(const unsigned char *key, size_t length, enum tmgr_store_kind kind)
{
	uint32_t hash = UINT32_C(2166136261) ^ (uint32_t)kind;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ key[i]) * UINT32_C(16777619);
	return hash;
}

static int make_table_room(struct sqlite_pending *pending)
{
	size_t buckets = pending->buckets ? pending->buckets * 2 : BUCKETS_MIN;
	struct sqlite_entry **table;

	if (pending->count < pending->buckets)
		return 0;
	table = calloc(buckets, sizeof(struct sqlite_entry *));
	if (!table)
		return -ENOMEM;
	for (struct sqlite_entry *entry = pending->oldest; entry; entry = entry->newer) {
		struct sqlite_entry **at = &table[entry->hash & (buckets - 1)];

		entry->same_hash = *at;
		*at = entry;
	}
	free(pending->table);
	pending->table = table;
	pending->buckets = buckets;
	return 0;
}

static enum tmgr_store_kind group_of(enum tmgr_store_kind kind)
{
	return kind == TMGR_STORE_MESSAGE ? TMGR_STORE_CHANNEL : kind;
}

static void set_order(struct sqlite_entry *entry, const struct tmgr_store_change *change)
{
	const unsigned char *text = entry->key;

	if (entry->kind == TMGR_STORE_WAIT) {
		entry->order = change->row.wait.sequence;
		return;
	}
	/* The first column is a text: its length, and itself with its NUL. */
	while (*text & 128)
		text++;
	entry->text_at = (size_t)(++text - entry->key);
	for (int i = 0; i < 8; i++) {
		entry->order = entry->order << 8 | *text;
		text += *text != '\0';
	}
}

static struct sqlite_entry *make_entry(
	struct sqlite_pending *pending, const struct tmgr_store_change *change)
{
	struct sqlite_bytes *key = &pending->key;
	struct sqlite_entry *entry;

	key->length = 0;
	if (tmgr__sqlite_put_key(key, change) < 0)
		return NULL;
	entry = malloc(sizeof(*entry) + key->length);
	if (!entry)
		return NULL;
	*entry = (struct sqlite_entry){
		.kind = group_of(change->kind), .slot = SQLITE_NO_SLOT, .key_length = key->length
	};
	memcpy(entry->key, key->data, key->length);
	set_order(entry, change);
	entry->hash = hash_of(entry->key, key->length, entry->kind);
	return entry;
}

static uint64_t sequence_of(const struct tmgr_store_change *change)
{
	switch (change->kind) {
	case TMGR_STORE_WAIT:
		return change->row.wait.sequence;
	case TMGR_STORE_MESSAGE:
		return change->row.message.sequence;
	case TMGR_STORE_ONCE:
		return change->row.once.sequence;
	case TMGR_STORE_EVENT:
		return change->row.event.sequence;
	default:
		return 0;
	}
}

int tmgr__sqlite_prepare(struct sqlite_pending *pending, const struct tmgr_store_change *change,
	struct sqlite_prepared **ret)
{
	struct sqlite_prepared *prepared = calloc(1, sizeof(*prepared));

	if (!prepared)
		return -ENOMEM;
	prepared->change = calloc(1, sizeof(*prepared->change));
	if (change->kind != TMGR_STORE_EVENT)
		prepared->entry = make_entry(pending, change);
	if (!prepared->change || (change->kind != TMGR_STORE_EVENT && !prepared->entry) ||
		make_table_room(pending) < 0) {
		tmgr__sqlite_unprepare(prepared);
		return -ENOMEM;
	}
	prepared->change->op = change->op;
	prepared->change->kind = change->kind;
	prepared->change->sequence = sequence_of(change);
	*ret = prepared;
	return 0;
}

void tmgr__sqlite_unprepare(struct sqlite_prepared *list)
{
	while (list) {
		struct sqlite_prepared *next = list->next;

		if (list->change)
			tmgr__sqlite_drop_change(list->change);
		free(list->entry);
		free(list);
		list = next;
	}
}

/* ---- Keeping what was committed ---- */

static struct sqlite_entry *find(struct sqlite_pending *pending, const struct sqlite_entry *like)
{
	struct sqlite_entry *entry = pending->table[like->hash & (pending->buckets - 1)];

	while (entry && (entry->hash != like->hash || entry->kind != like->kind ||
				entry->key_length != like->key_length ||
				memcmp(entry->key, like->key, like->key_length) != 0))
		entry = entry->same_hash;
	return entry;
}

static void link_entry(struct sqlite_pending *pending, struct sqlite_entry *entry)
{
	struct sqlite_entry **bucket = &pending->table[entry->hash & (pending->buckets - 1)];

	entry->same_hash = *bucket;
	*bucket = entry;
	entry->older = pending->newest;
	*(entry->older ? &entry->older->newer : &pending->oldest) = entry;
	pending->newest = entry;
	pending->count++;
}

static void append(struct sqlite_entry *entry, struct sqlite_change *change)
{
	*(entry->last ? &entry->last->next : &entry->first) = change;
	entry->last = change;
}

/* Take a change out, after the one before it (NULL: the first). */
static void take_out(struct sqlite_entry *entry, struct sqlite_change *before)
{
	struct sqlite_change **at = before ? &before->next : &entry->first;

	if (entry->last == *at)
		entry->last = before;
	*at = tmgr__sqlite_drop_change(*at);
}

/* The earlier version of a row of which there is one for each key. */
static void drop_earlier(struct sqlite_entry *entry, enum tmgr_store_kind kind)
{
	struct sqlite_change *before = NULL;

	for (struct sqlite_change *at = entry->first; at; before = at, at = at->next) {
		if (at->kind == kind) {
			take_out(entry, before);
			return;
		}
	}
}

static void keep_put(struct sqlite_entry *entry, struct sqlite_change *change)
{
	switch (change->kind) {
	case TMGR_STORE_WAIT:
	case TMGR_STORE_ONCE:
	case TMGR_STORE_MESSAGE:
		break; /* several in an entry */
	default:
		drop_earlier(entry, change->kind);
		break;
	}
	append(entry, change);
}

/* All of it that waits; whether no table has it. */
static bool drop_message(struct sqlite_entry *entry, uint64_t sequence)
{
	struct sqlite_change *before = NULL, *at = entry->first;
	bool fresh = false;

	while (at) {
		if (at->kind == TMGR_STORE_MESSAGE && at->sequence == sequence) {
			fresh |= at->fresh;
			take_out(entry, before);
		} else {
			before = at;
		}
		at = before ? before->next : entry->first;
	}
	return fresh;
}

static void keep_delete(struct sqlite_entry *entry, struct sqlite_change *change)
{
	if (change->kind != TMGR_STORE_MESSAGE) {
		drop_changes(entry);
		entry->deleted = !entry->fresh;
	} else if (!drop_message(entry, change->sequence)) {
		append(entry, change);
		return;
	}
	tmgr__sqlite_drop_change(change);
}

static void keep_event(struct sqlite_pending *pending, struct sqlite_change *change)
{
	*(pending->last_event ? &pending->last_event->next : &pending->first_event) = change;
	pending->last_event = change;
}

/* Whether no table can have a row with this sequence: it is the first above all that were seen. */
static bool is_fresh(struct sqlite_pending *pending, const struct sqlite_change *change)
{
	uint64_t *highest = &pending->highest[change->kind];

	if (change->op != TMGR_STORE_PUT || change->sequence <= *highest)
		return false;
	*highest = change->sequence;
	return true;
}

void tmgr__sqlite_keep(struct sqlite_pending *pending, struct sqlite_prepared *prepared)
{
	struct sqlite_change *change = prepared->change;
	struct sqlite_entry *entry;

	if (!prepared->entry) {
		keep_event(pending, change);
		free(prepared);
		return;
	}
	change->fresh = is_fresh(pending, change);
	entry = find(pending, prepared->entry);
	if (entry) {
		free(prepared->entry);
	} else {
		entry = prepared->entry;
		entry->step = change->step;
		entry->fresh = change->fresh && change->kind != TMGR_STORE_MESSAGE;
		link_entry(pending, entry);
	}
	free(prepared);
	if (change->op == TMGR_STORE_PUT)
		keep_put(entry, change);
	else
		keep_delete(entry, change);
	if (!entry->first && !entry->deleted)
		tmgr__sqlite_drop_entry(pending, entry);
}
