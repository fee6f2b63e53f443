/*
 * Counts messages, and goes on counting after a restart; ends when none has come for an hour.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal/examples/pkg/onfile/onfile.h"

struct counter {
	int64_t count;
	int64_t quiet_ms;
};

static const struct tmgr_state_field counter_fields[] = {
	TMGR_FIELD(struct counter, count),
	TMGR_FIELD_MISSING(struct counter, quiet_ms, "3600000"),
};

static int main_done(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct counter *self = state;
	char result[32];

	snprintf(result, sizeof(result), "%" PRId64, self->count);
	return tmgr_process_finish(process, onfile_text(result));
}

/* What it prints is outside of the process: killed before the step is onfile, it prints it again. */
static int main_count(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct counter *self = state;

	self->count++;
	printf("count %" PRId64 "\n", self->count);
	tmgr_process_receive(process, "count", main_count);
	tmgr_process_after(process, self->quiet_ms * TMGR_MILLISECOND, main_done);
	return 0;
}

static const struct tmgr_process_method counter_methods[] = {
	{ .name = "Main_Count", .function = main_count },
	{ .name = "Main_Done", .function = main_done },
	{ 0 },
};

static const struct tmgr_process_definition counter_definition = {
	.name = "counter",
	.version = 1,
	.state = TMGR_STATE(struct counter, counter_fields),
	.start = main_count,
	.methods = counter_methods,
};

/* Who sends the messages. */
struct sender {
	struct onfile onfile;
	int64_t messages;
	struct counter first;
};

static int count(struct tmgr_context *context, struct sender *sender)
{
	struct tmgr_processes *processes = sender->onfile.processes;
	const struct tmgr_process_child counter = {
		.definition = &counter_definition, .id = "counter", .state = &sender->first
	};
	int r = onfile_start(context, processes, &counter);

	for (int64_t i = 0; r == 0 && i < sender->messages; i++) {
		r = tmgr_sleep(context, TMGR_SECOND);
		if (r == 0)
			r = onfile_send(context, processes, "counter/count", "");
	}
	return r == -EPIPE ? 0 : r; /* it is done */
}

static int send_messages(void *self, struct tmgr_context *context)
{
	struct sender *sender = self;
	struct tmgr_process_request *result = NULL;
	int r = count(context, sender);

	if (r == 0)
		r = tmgr_processes_wait(
			context, sender->onfile.processes, "counter", TMGR_NEVER, &result);
	if (r == 0)
		printf("done: %s\n", (const char *)tmgr_process_request_value(result).data);
	tmgr_process_request_release(result);
	return r;
}

static int usage(int code)
{
	fputs("usage: counter [--database PATH] [--messages N] [--quiet SECONDS]\n",
		code ? stderr : stdout);
	return code;
}

static int run(struct sender *sender, const char *path)
{
	struct tmgr_manager_options stopping = { .stop_order = TMGR_STOP_REVERSE };
	struct tmgr_manager *manager;
	int code;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (onfile_init(&sender->onfile, path) < 0)
		return 1;
	tmgr_processes_define(sender->onfile.processes, &counter_definition);
	manager = tmgr_manager_create(&stopping);
	onfile_add_tasks(&sender->onfile, manager);
	tmgr_manager_add_task(
		manager, "sender", tmgr_task_function(send_messages, sender), TMGR_STOP_GROUP);
	code = tmgr_main(manager);
	onfile_fini(&sender->onfile);
	return code;
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "database", required_argument, NULL, 'd' },
		{ "messages", required_argument, NULL, 'm' },
		{ "quiet", required_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct sender sender = { .messages = INT64_MAX, .first = { .quiet_ms = 3600000 } };
	const char *path = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'd')
			path = optarg;
		else if (c == 'm')
			sender.messages = strtol(optarg, NULL, 10);
		else if (c == 'q')
			sender.first.quiet_ms = (int64_t)(strtod(optarg, NULL) * 1000);
		else
			return usage(c == 'h' ? 0 : 2);
	}
	return optind < argc ? usage(2) : run(&sender, path);
}
