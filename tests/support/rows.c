#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes as hexadecimal digits, so that a row is one line. */
static const char *hex(struct tmgr_bytes bytes, char *text, size_t size)
{
	const unsigned char *at = bytes.data;

	text[0] = '\0';
	for (size_t i = 0; i < bytes.size && 2 * i + 2 < size; i++)
		snprintf(text + 2 * i, 3, "%02x", at[i]);
	return text;
}

static void key_of(const struct tmgr_store_change *row, bool whole, char *text, size_t size)
{
	switch (row->kind) {
	case TMGR_STORE_PROCESS:
		snprintf(text, size, "process %s", row->row.process.id);
		break;
	case TMGR_STORE_GOROUTINE:
		snprintf(text, size, "goroutine %s %s", row->row.goroutine.process,
			row->row.goroutine.name);
		break;
	case TMGR_STORE_WAIT:
		snprintf(text, size, whole ? "wait %" PRIu64 " %u" : "wait %" PRIu64,
			row->row.wait.sequence, row->row.wait.index);
		break;
	case TMGR_STORE_CHANNEL:
		snprintf(text, size, "channel %s", row->row.channel.id);
		break;
	case TMGR_STORE_MESSAGE:
		snprintf(text, size, "message %s %" PRIu64, row->row.message.channel,
			row->row.message.sequence);
		break;
	case TMGR_STORE_ONCE:
		snprintf(text, size, "once %s %s %" PRIu64 " %s", row->row.once.process,
			row->row.once.goroutine, row->row.once.sequence,
			whole ? row->row.once.name : "");
		break;
	case TMGR_STORE_KEY:
		snprintf(text, size, "key %s", row->row.key.key);
		break;
	case TMGR_STORE_EVENT:
		snprintf(text, size, "event %" PRIu64, row->row.event.sequence);
		break;
	}
}

static void print_process(const struct tmgr_store_process *p, char *text, size_t size)
{
	char state[600], result[300];

	snprintf(text, size,
		" %s %d v%u c%d h%d e%d [%s] r%" PRIu64 " s%" PRIu64 " %" PRId64 " %" PRId64
		" %s %s",
		p->definition, (int)p->status, p->version, p->cancelled, p->has_result, p->error,
		p->text, p->revision, p->steps, p->created_ms, p->changed_ms,
		hex(p->state, state, sizeof(state)), hex(p->result, result, sizeof(result)));
}

static void print_goroutine(const struct tmgr_store_goroutine *g, char *text, size_t size)
{
	char value[300];

	snprintf(text, size,
		" %s %d q%" PRIu64 " %" PRId64 " a%u r%" PRId64 " e%d [%s] %d c%u e%d %s %s",
		g->method, (int)g->status, g->sequence, g->since_ms, g->attempts, g->retry_at_ms,
		g->error, g->text, (int)g->arrival, g->case_index, g->arrival_error, g->from,
		hex(g->value, value, sizeof(value)));
}

static void print_rest(const struct tmgr_store_change *row, char *text, size_t size)
{
	const struct tmgr_store_wait *w = &row->row.wait;
	const struct tmgr_process_event *e = &row->row.event;
	char value[600];

	switch (row->kind) {
	case TMGR_STORE_PROCESS:
		print_process(&row->row.process, text, size);
		break;
	case TMGR_STORE_GOROUTINE:
		print_goroutine(&row->row.goroutine, text, size);
		break;
	case TMGR_STORE_WAIT:
		snprintf(text, size, " %d %s %s %s %s %" PRId64 " %s", (int)w->kind, w->process,
			w->goroutine, w->target, w->method, w->at_ms,
			hex(w->value, value, sizeof(value)));
		break;
	case TMGR_STORE_CHANNEL:
		snprintf(text, size, " %u c%d d%d", row->row.channel.capacity,
			row->row.channel.closed, row->row.channel.created);
		break;
	case TMGR_STORE_MESSAGE:
		snprintf(text, size, " %s", hex(row->row.message.value, value, sizeof(value)));
		break;
	case TMGR_STORE_ONCE:
		snprintf(text, size, " %s", hex(row->row.once.value, value, sizeof(value)));
		break;
	case TMGR_STORE_KEY:
		snprintf(text, size, " %" PRId64, row->row.key.at_ms);
		break;
	case TMGR_STORE_EVENT:
		snprintf(text, size, " %" PRId64 " %d e%d %s %s %s [%s]", e->at_ms, (int)e->kind,
			e->error, e->process, e->goroutine, e->method, e->text);
		break;
	}
}

void row_print(const struct tmgr_store_change *row, char *text)
{
	size_t length;

	key_of(row, true, text, ROW_TEXT_MAX);
	length = strlen(text);
	print_rest(row, text + length, ROW_TEXT_MAX - length);
}

static void take_out(struct rows_model *model, size_t i)
{
	free(model->rows[i].text);
	model->rows[i] = model->rows[--model->count];
}

static struct row_model *place(struct rows_model *model, const char *key)
{
	for (size_t i = 0; i < model->count; i++) {
		if (strcmp(model->rows[i].key, key) == 0) {
			free(model->rows[i].text);
			return &model->rows[i];
		}
	}
	if (model->count == model->room) {
		model->room = model->room ? model->room * 2 : 64;
		model->rows = realloc(model->rows, model->room * sizeof(*model->rows));
		if (!model->rows)
			abort();
	}
	return &model->rows[model->count++];
}

static void put(struct rows_model *model, const struct tmgr_store_change *change)
{
	char key[320], text[ROW_TEXT_MAX];
	struct row_model *row;

	key_of(change, true, key, sizeof(key));
	row = place(model, key);
	row->kind = change->kind;
	memcpy(row->key, key, sizeof(key));
	key_of(change, false, row->group, sizeof(row->group));
	row_print(change, text);
	row->text = strdup(text);
	if (!row->text)
		abort();
}

void rows_apply(struct rows_model *model, const struct tmgr_store_change *change)
{
	char group[320], messages[340];

	if (change->op == TMGR_STORE_PUT) {
		put(model, change);
		return;
	}
	key_of(change, false, group, sizeof(group));
	messages[0] = '\0';
	if (change->kind == TMGR_STORE_CHANNEL)
		snprintf(messages, sizeof(messages), "message %s ", change->row.channel.id);
	for (size_t i = model->count; i-- > 0;) {
		struct row_model *row = &model->rows[i];

		if (strcmp(row->group, group) == 0 ||
			(messages[0] && strncmp(row->key, messages, strlen(messages)) == 0))
			take_out(model, i);
	}
}

void rows_apply_batch(struct rows_model *model, const struct tmgr_store_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		for (size_t j = 0; j < batch->steps[i].count; j++)
			rows_apply(model, &batch->steps[i].changes[j]);
}

void rows_clear(struct rows_model *model)
{
	while (model->count > 0)
		take_out(model, model->count - 1);
	free(model->rows);
	*model = (struct rows_model){ .rows = NULL };
}

int rows_visit(void *model, const struct tmgr_store_change *row)
{
	rows_apply(model, row);
	return 0;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct row_model *)a)->key, ((const struct row_model *)b)->key);
}

bool rows_same(struct rows_model *a, struct rows_model *b, char *ret_difference, size_t size)
{
	if (a->count > 0)
		qsort(a->rows, a->count, sizeof(*a->rows), by_key);
	if (b->count > 0)
		qsort(b->rows, b->count, sizeof(*b->rows), by_key);
	for (size_t i = 0; i < a->count || i < b->count; i++) {
		const char *one = i < a->count ? a->rows[i].text : "nothing";
		const char *other = i < b->count ? b->rows[i].text : "nothing";

		if (strcmp(one, other) == 0)
			continue;
		snprintf(ret_difference, size, "row %zu: %.500s and %.500s", i, one, other);
		return false;
	}
	return true;
}
