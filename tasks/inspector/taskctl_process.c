/* taskctl process: how durable processes stand, why they wait, and repairs. */
#include "taskctl_process.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/check.h"

/* A command: how it is used, how many words it takes, and whether it changes anything. */
struct command {
	const char *name, *usage;
	int words_min, words_max;
	bool changes;
	int (*run)(struct taskctl_link *link,
		struct taskctl_line *line);          /* 0 or an errno, which was said */
	int (*run_alone)(struct taskctl_line *line); /* or one that reaches the file itself */
};

/* ---- The file ------------------------------------------------------------------------------- */

static int check_file(struct taskctl_line *line)
{
	return taskctl_file_check(line->words[0]);
}

static int backup(struct taskctl_line *line)
{
	struct taskctl_link *link = NULL;
	int r;

	if (line->where.file)
		return taskctl_file_backup(line->where.file, line->words[0]);
	line->where.patient = true;
	r = taskctl_link_open(&line->where, false, &link);
	if (r < 0)
		return r;
	line->ask.ask = tmgr__borrowed("backup");
	line->ask.text = line->words[0];
	r = taskctl_link_ask(link, &line->ask, NULL);
	taskctl_link_close(link);
	return r;
}

/* ---- Commands ------------------------------------------------------------------------------- */

#define WHERE " (--socket PATH | --file PATH)"

static const struct command commands[] = {
	{ .name = "list",
		.usage = "list [--definition NAME] [--status STATUS] [--after ID] [--max N] "
			 "[--json]" WHERE,
		.run = taskctl_process_list },
	{ .name = "show",
		.usage = "show ID [--json]" WHERE,
		.words_min = 1,
		.words_max = 1,
		.run = taskctl_process_show },
	{ .name = "why",
		.usage = "why ID [--json]" WHERE,
		.words_min = 1,
		.words_max = 1,
		.run = taskctl_process_why },
	{ .name = "channels",
		.usage = "channels [ID] [--json]" WHERE,
		.words_max = 1,
		.run = taskctl_process_channels },
	{ .name = "events",
		.usage = "events [ID] [--since SEQUENCE] [--max N] [--follow] [--json]" WHERE,
		.words_max = 1,
		.run = taskctl_process_events },
	{ .name = "start",
		.usage = "start DEFINITION ID [STATE] --socket PATH",
		.words_min = 2,
		.words_max = 3,
		.changes = true,
		.run = taskctl_process_start },
	{ .name = "send",
		.usage = "send CHANNEL [VALUE | -] [--key KEY]" WHERE,
		.words_min = 1,
		.words_max = 2,
		.changes = true,
		.run = taskctl_process_send },
	{ .name = "close",
		.usage = "close CHANNEL" WHERE,
		.words_min = 1,
		.words_max = 1,
		.changes = true,
		.run = taskctl_process_close },
	{ .name = "retry",
		.usage = "retry ID" WHERE,
		.words_min = 1,
		.words_max = 1,
		.changes = true,
		.run = taskctl_process_retry },
	{ .name = "goto",
		.usage = "goto ID GOROUTINE METHOD --socket PATH",
		.words_min = 3,
		.words_max = 3,
		.changes = true,
		.run = taskctl_process_goto },
	{ .name = "set",
		.usage = "set ID FIELD JSON --revision N" WHERE,
		.words_min = 3,
		.words_max = 3,
		.changes = true,
		.run = taskctl_process_set },
	{ .name = "pause",
		.usage = "pause ID REASON" WHERE,
		.words_min = 2,
		.words_max = 2,
		.changes = true,
		.run = taskctl_process_pause },
	{ .name = "resume",
		.usage = "resume ID" WHERE,
		.words_min = 1,
		.words_max = 1,
		.changes = true,
		.run = taskctl_process_resume },
	{ .name = "cancel",
		.usage = "cancel ID" WHERE,
		.words_min = 1,
		.words_max = 1,
		.changes = true,
		.run = taskctl_process_cancel },
	{ .name = "check",
		.usage = "check FILE",
		.words_min = 1,
		.words_max = 1,
		.run_alone = check_file },
	{ .name = "backup",
		.usage = "backup NEW-FILE" WHERE,
		.words_min = 1,
		.words_max = 1,
		.run_alone = backup },
};

static int bad_usage(const struct command *command)
{
	char usage[256];

	snprintf(usage, sizeof(usage), "taskctl process %s", command->usage);
	return taskctl_bad_usage(usage);
}

static bool take_number(const char *text, uint64_t max, uint64_t *ret_number)
{
	char *end = NULL;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || value > max)
		return false;
	*ret_number = value;
	return true;
}

static bool take_option(int c, char *value, struct taskctl_line *line)
{
	uint64_t number = 0;

	switch (c) {
	case 's':
		line->where.socket = value;
		return *value;
	case 'f':
		line->where.file = value;
		return *value;
	case 'd':
		line->ask.definition = value;
		return true;
	case 't':
		line->ask.status = value;
		return tmgr__process_status_of(value) != 0;
	case 'a':
		line->ask.after = value;
		return true;
	case 'k':
		line->ask.key = value;
		return true;
	case 'm':
		if (!take_number(value, UINT32_MAX, &number) || number == 0)
			return false;
		line->ask.max = (uint32_t)number;
		return true;
	case 'n':
		return take_number(value, INT64_MAX, &line->ask.sequence);
	case 'r':
		line->has_revision = true;
		return take_number(value, UINT64_MAX, &line->ask.revision);
	case 'F':
		return line->ask.follow = true;
	case 'j':
		return line->json = true;
	default:
		return false;
	}
}

/* An option is for the commands whose usage names it. */
static bool take_line(
	const struct command *command, int argc, char **argv, struct taskctl_line *line)
{
	static const struct option names[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "file", required_argument, NULL, 'f' },
		{ "definition", required_argument, NULL, 'd' },
		{ "status", required_argument, NULL, 't' },
		{ "after", required_argument, NULL, 'a' },
		{ "key", required_argument, NULL, 'k' },
		{ "max", required_argument, NULL, 'm' },
		{ "since", required_argument, NULL, 'n' },
		{ "revision", required_argument, NULL, 'r' },
		{ "follow", no_argument, NULL, 'F' },
		{ "json", no_argument, NULL, 'j' },
		{ 0 },
	};
	char option[32];
	int c, index = 0;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", names, &index)) != -1) {
		if (c == '?')
			return false;
		snprintf(option, sizeof(option), "--%s", names[index].name);
		if (!strstr(command->usage, option) || !take_option(c, optarg, line))
			return false;
	}
	line->words = argv + optind;
	line->count = argc - optind;
	if (line->count < command->words_min || line->count > command->words_max)
		return false;
	if (!strstr(command->usage, "--socket"))
		return true;
	return !line->where.socket != !line->where.file;
}

static int run_linked(const struct command *command, struct taskctl_line *line)
{
	struct taskctl_link *link = NULL;
	int r = taskctl_link_open(&line->where, command->changes, &link);
	int closed;

	if (r == 0)
		r = command->run(link, line);
	closed = taskctl_link_close(link);
	return r < 0 ? r : closed;
}

static int run_command(const struct command *command, int argc, char **argv)
{
	struct taskctl_line line = { 0 };
	int r;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		printf("usage: taskctl process %s\n", command->usage);
		return TASKCTL_DONE;
	}
	if (!take_line(command, argc, argv, &line))
		return bad_usage(command);
	r = command->run ? run_linked(command, &line) : command->run_alone(&line);
	return r < 0 ? TASKCTL_FAILED : TASKCTL_DONE;
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int run(int argc, char **argv)
{
	return run_command(find(argv[0]), argc, argv);
}

int taskctl_process(int argc, char **argv)
{
	static const struct taskctl_command rows[] = {
		{ "list", "the processes", run },
		{ "show", "all about one", run },
		{ "why", "what one waits for, and who could wake it", run },
		{ "channels", "the channels of one, or all", run },
		{ "events", "what has happened, and what happens", run },
		{ "start", "start one", run },
		{ "send", "send a message", run },
		{ "close", "close a channel", run },
		{ "retry", "try a failed one again", run },
		{ "goto", "send a goroutine to a method", run },
		{ "set", "set a field of a state", run },
		{ "pause", "hold one, with a reason", run },
		{ "resume", "let one go on", run },
		{ "cancel", "cancel one", run },
		{ "check", "look for what should not be in a file", run },
		{ "backup", "copy the file as it is now", run },
		{ 0 },
	};

	return taskctl_dispatch("taskctl process", rows, argc, argv);
}
