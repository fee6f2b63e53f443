#include "tests/support/durable.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/leak.h"

struct tmgr_bytes bytes_of(const char *text)
{
	return (struct tmgr_bytes){ text, strlen(text) };
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

static void open_with(struct durable *durable, struct tmgr_store *store)
{
	int r;

	durable->options.single_threaded = true;
	durable->store = store;
	assert_int_equal(tmgr_processes_create(store, &durable->options, &durable->processes), 0);
	for (size_t i = 0; durable->definitions[i] != NULL; i++)
		assert_int_equal(
			tmgr_processes_define(durable->processes, durable->definitions[i]), 0);
	r = tmgr_processes_open(durable->processes);
	if (r != 0)
		fail_msg("cannot be opened: %d", r);
}

static void set_definitions(
	struct durable *durable, const struct tmgr_process_definition *const *definitions)
{
	size_t count = 0;

	for (; definitions[count] != NULL; count++) {
		assert_true(count + 1 < DURABLE_DEFINITIONS_MAX);
		durable->definitions[count] = definitions[count];
	}
	durable->definitions[count] = NULL;
}

void durable_begin(
	struct durable *durable, const struct tmgr_process_definition *const *definitions)
{
	struct tmgr_store *store;

	assert_int_equal(tmgr_store_memory_create(&store), 0);
	durable_begin_on(durable, store, definitions);
}

void durable_begin_on(struct durable *durable, struct tmgr_store *store,
	const struct tmgr_process_definition *const *definitions)
{
	set_definitions(durable, definitions);
	open_with(durable, store);
}

void durable_kill(struct durable *durable)
{
	struct tmgr_store *copy;

	assert_int_equal(tmgr_store_memory_copy(durable->store, &copy), 0);
	tmgr_processes_unref(durable->processes);
	open_with(durable, copy);
}

void durable_replace(
	struct durable *durable, const struct tmgr_process_definition *const *definitions)
{
	set_definitions(durable, definitions);
	durable_kill(durable);
}

void durable_restart(struct durable *durable)
{
	durable_settle(durable);
	assert_int_equal(tmgr_processes_close(durable->processes), 0);
	durable_kill(durable);
}

void durable_end(struct durable *durable)
{
	tmgr_processes_unref(durable->processes);
}

/* ---- From outside ---------------------------------------------------------------------------- */

void durable_settle(struct durable *durable)
{
	assert_int_equal(tmgr_processes_settle(durable->processes), 0);
}

void durable_advance(struct durable *durable, int64_t ns)
{
	assert_int_equal(tmgr_processes_advance(durable->processes, ns), 0);
}

int durable_do(struct durable *durable, const struct tmgr_process_command *command)
{
	int r = tmgr_processes_do(NULL, durable->processes, command, TMGR_NEVER, NULL);

	durable_settle(durable);
	return r;
}

int durable_start_with(struct durable *durable, const struct tmgr_process_definition *definition,
	const char *id, const void *state)
{
	return durable_do(durable, &(struct tmgr_process_command){
					   .kind = TMGR_PROCESS_START,
					   .child = { definition, id, state },
				   });
}

int durable_start(
	struct durable *durable, const struct tmgr_process_definition *definition, const char *id)
{
	return durable_start_with(durable, definition, id, NULL);
}

int durable_send(struct durable *durable, const char *channel, const char *text)
{
	return durable_do(durable, &(struct tmgr_process_command){
					   .kind = TMGR_PROCESS_SEND,
					   .channel = channel,
					   .value = bytes_of(text),
				   });
}

/* ---- Looking --------------------------------------------------------------------------------- */

const struct tmgr_process_info *durable_get(struct durable *durable, const char *id)
{
	static struct tmgr_process_info kept;
	static struct tmgr_process_goroutine_info goroutines[8];
	static struct tmgr_process_wait_info waits[8][8];
	static char texts[65536];
	struct tmgr_process_request *request;
	const struct tmgr_process_info *info;
	char *to = texts;
	int r = tmgr_processes_do(NULL, durable->processes,
		&(struct tmgr_process_command){ .kind = TMGR_PROCESS_GET, .id = id }, TMGR_NEVER,
		&request);

#define KEEP(field)                                                          \
	do {                                                                 \
		assert_true(to + strlen(field) + 1 < texts + sizeof(texts)); \
		strcpy(to, (field));                                         \
		(field) = to;                                                \
		to += strlen(to) + 1;                                        \
	} while (0)
#define KEEP_BYTES(field)                                                   \
	do {                                                                \
		assert_true(to + (field).size + 1 < texts + sizeof(texts)); \
		memcpy(to, (field).data, (field).size);                     \
		to[(field).size] = '\0';                                    \
		(field).data = to;                                          \
		to += (field).size + 1;                                     \
	} while (0)

	if (r == -ENOENT)
		return NULL;
	assert_int_equal(r, 0);
	info = tmgr_process_request_infos(request, NULL);
	kept = *info;
	KEEP(kept.id);
	KEEP(kept.definition);
	KEEP(kept.text);
	KEEP_BYTES(kept.state);
	KEEP_BYTES(kept.result);
	assert_true(kept.goroutine_count <= 8);
	for (size_t i = 0; i < kept.goroutine_count; i++) {
		goroutines[i] = info->goroutines[i];
		KEEP(goroutines[i].name);
		KEEP(goroutines[i].method);
		KEEP(goroutines[i].text);
		KEEP(goroutines[i].why);
		assert_true(goroutines[i].wait_count <= 8);
		for (size_t k = 0; k < goroutines[i].wait_count; k++) {
			waits[i][k] = info->goroutines[i].waits[k];
			KEEP(waits[i][k].target);
			KEEP(waits[i][k].method);
			KEEP(waits[i][k].why);
		}
		goroutines[i].waits = waits[i];
	}
	kept.goroutines = goroutines;
	tmgr_process_request_release(request);
	return &kept;
}

const char *durable_state(struct durable *durable, const char *id)
{
	const struct tmgr_process_info *info = durable_get(durable, id);

	return info != NULL ? info->state.data : "";
}

const char *durable_result(struct durable *durable, const char *id)
{
	const struct tmgr_process_info *info = durable_get(durable, id);

	return info != NULL ? info->result.data : "";
}

enum tmgr_process_status durable_status(struct durable *durable, const char *id)
{
	const struct tmgr_process_info *info = durable_get(durable, id);

	return info != NULL ? info->status : 0;
}

const char *durable_why(struct durable *durable, const char *id)
{
	const struct tmgr_process_info *info = durable_get(durable, id);

	return info != NULL && info->goroutine_count > 0 ? info->goroutines[0].why : "";
}

struct counted {
	enum tmgr_process_event_kind kind;
	size_t count;
	char text[TMGR_PROCESS_TEXT_SIZE];
};

static int count_event(void *self, const struct tmgr_process_event *event)
{
	struct counted *counted = self;

	if (event->kind != counted->kind)
		return 0;
	counted->count++;
	snprintf(counted->text, sizeof(counted->text), "%s", event->text);
	return 0;
}

static struct counted *count_events(
	struct durable *durable, const char *id, enum tmgr_process_event_kind kind)
{
	static struct counted counted;

	counted = (struct counted){ .kind = kind };
	assert_int_equal(tmgr_processes_events(durable->processes,
				 &(struct tmgr_store_query){ .process = id, .count_max = SIZE_MAX },
				 count_event, &counted),
		0);
	return &counted;
}

size_t durable_events(struct durable *durable, const char *id, enum tmgr_process_event_kind kind)
{
	return count_events(durable, id, kind)->count;
}

const char *durable_event_text(
	struct durable *durable, const char *id, enum tmgr_process_event_kind kind)
{
	return count_events(durable, id, kind)->text;
}
