/*
 * Any lines are requests about processes, or no requests: each has an answer whose lines are records, the
 * last of them an end; and the runtime lives on.
 */
#include <stdbool.h>

#include "tasks/inspector/process_protocol.h"

#include "tests/support/fuzz.h"

struct thing {
	char *name;
	int64_t number;
};

static const struct tmgr_state_field fields[] = {
	TMGR_FIELD(struct thing, name),
	TMGR_FIELD(struct thing, number),
};

static int main_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (message->arrival == TMGR_ARRIVED_CLOSED)
		return 0; /* waiting for it again would be for ever, at once */
	tmgr_process_receive(process, "in", main_wait);
	return tmgr_process_after(process, TMGR_HOUR, main_wait);
}

static const struct tmgr_process_method methods[] = {
	{ .name = "Main_Wait", .function = main_wait },
	{ 0 },
};

static const struct tmgr_process_definition definition = {
	.name = "d",
	.version = 1,
	.state = TMGR_STATE(struct thing, fields),
	.start = main_wait,
	.methods = methods,
};

static struct tmgr_processes *open_runtime(void)
{
	const struct tmgr_processes_options options = { .single_threaded = true };
	const struct tmgr_process_child child = { &definition, "p", NULL };
	struct tmgr_processes *processes = NULL;
	struct tmgr_store *store = NULL;

	must(tmgr_store_memory_create(&store) == 0);
	must(tmgr_processes_create(store, &options, &processes) == 0);
	must(tmgr_processes_define(processes, &definition) == 0);
	must(tmgr_processes_open(processes) == 0);
	must(tmgr_processes_start(NULL, processes, &child, TMGR_NEVER) == 0);
	return processes;
}

static int check_record(void *self, const char *text, size_t size)
{
	struct tmgr_state_memory *memory = NULL;
	const struct tmgr__process_record *record;
	bool *ended = self;
	void *decoded = NULL;

	must(!*ended);
	must(memchr(text, '\n', size) == NULL);
	must(tmgr_state_memory_create(&memory) == 0);
	must(tmgr_state_decode(memory, &tmgr__process_record_state, text, size, &decoded) == 0);
	record = decoded;
	must(record->kind && tmgr__process_record_of(record->kind));
	*ended = strcmp(record->kind, "end") == 0;
	tmgr_state_memory_destroy(memory);
	return 0;
}

/* Not where it would write files, or wait. */
static bool is_meant(const char *line, size_t size)
{
	return !memmem(line, size, "backup", 6) && !memmem(line, size, "follow", 6);
}

static void ask(struct tmgr_processes *processes, const char *line, size_t size)
{
	bool ended = false;
	const struct tmgr__process_out out = {
		.line = check_record, .self = &ended, .request_ns = TMGR_SECOND
	};

	must(tmgr__process_answer(NULL, processes, line, size, &out) == 0);
	must(ended);
	must(tmgr_processes_settle(processes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tmgr_processes *processes = open_runtime();
	const char *at = (const char *)data, *end = at + size;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((newline ? newline : end) - at);

		if (is_meant(at, length))
			ask(processes, at, length);
		at += length + 1;
	}
	must(tmgr_processes_close(processes) == 0);
	tmgr_processes_unref(processes);
	return 0;
}
