#include "tests/support/seen.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/durable.h"

char seen[4096];

void see(const char *format, ...)
{
	size_t length = strlen(seen);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(seen + length, sizeof(seen) - length, format, arguments);
	va_end(arguments);
}

int seen_setup(void **state)
{
	seen[0] = '\0';
	return leak_setup(state);
}

/* ---- The counter ----------------------------------------------------------------------------- */

const struct tmgr_state_field counter_fields[1] = {
	TMGR_FIELD(struct counter, count),
};

int counter_done(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	char result[32];

	snprintf(result, sizeof(result), "%lld", (long long)((struct counter *)state)->count);
	return tmgr_process_finish(process, bytes_of(result));
}

static int main_count(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct counter *self = state;

	self->count++;
	tmgr_process_receive(process, "count", main_count);
	tmgr_process_after(process, TMGR_HOUR, counter_done);
	return 0;
}

const struct tmgr_process_definition counter_definition = {
	.name = "counter",
	.version = 1,
	.state = TMGR_STATE(struct counter, counter_fields),
	.start = main_count,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Count",
								 .function = main_count },
		{ .name = "Main_Done", .function = counter_done }, { 0 } },
};
