/* What looks at processes and changes nothing. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "taskctl_process.h"

/* What comes back is printed as it came, or by a function. */
struct printing {
	const struct taskctl_line *line;
	void (*print)(const struct tmgr__process_record *record);
	const char *kind; /* only these; NULL: all */
	char last[TMGR_PROCESS_ID_MAX + 1];
	uint64_t count;
};

static int print_record(void *self, const struct tmgr__process_record *record, const char *text)
{
	struct printing *printing = self;

	if (printing->kind && strcmp(printing->kind, record->kind) != 0)
		return 0;
	printing->count++;
	if (record->id && strlen(record->id) < sizeof(printing->last))
		strcpy(printing->last, record->id);
	if (printing->line->json)
		puts(text);
	else
		printing->print(record);
	return 0;
}

/* In pages, until there are no more, or as many as were asked for. */
int taskctl_process_list(struct taskctl_link *link, struct taskctl_line *line)
{
	struct printing printing = {
		.line = line, .print = taskctl_print_process, .kind = "process"
	};
	struct taskctl_visit visit = { .record = print_record, .self = &printing };
	uint64_t wanted = line->ask.max > 0 ? line->ask.max : UINT64_MAX, before;
	char after[sizeof(printing.last)];
	int r;

	line->ask.ask = tmgr__borrowed("list");
	if (!line->json)
		taskctl_print_process_head();
	do {
		before = printing.count;
		strcpy(after, printing.last);
		line->ask.max = wanted - before < 1000 ? (uint32_t)(wanted - before) : 1000;
		r = taskctl_link_ask(link, &line->ask, &visit);
		line->ask.after = printing.last;
		/* An id that is not UTF-8 is shown as another one: it may lead nowhere. */
	} while (r == 0 && printing.count - before == line->ask.max && printing.count < wanted &&
		 strcmp(printing.last, after) > 0);
	line->ask.after = NULL;
	return r;
}

/* Where an answer of "get" is: a wait alone says what its goroutine said, and is not printed. */
struct looking {
	unsigned waits; /* of the last goroutine */
	uint32_t index; /* of the first of them */
	char why[1024];
};

static void look_at_goroutine(struct looking *looking, const struct tmgr__process_record *record)
{
	looking->waits = 0;
	taskctl_print_goroutine(record);
}

/* The first is kept until there is a second. */
static void look_at_wait(struct looking *looking, const struct tmgr__process_record *record)
{
	if (looking->waits++ == 0) {
		looking->index = record->index;
		snprintf(looking->why, sizeof(looking->why), "%s", record->why ? record->why : "");
		return;
	}
	if (looking->waits == 2)
		taskctl_print_wait(&(struct tmgr__process_record){
			.index = looking->index, .why = looking->why });
	taskctl_print_wait(record);
}

/* Details first, then the state, then what it waits for. */
static int show_record(void *self, const struct tmgr__process_record *record, const char *text)
{
	struct looking *looking = self;

	if (strcmp(record->kind, "process") == 0) {
		taskctl_print_details(record);
		fputs("state       ", stdout);
	} else if (strcmp(record->kind, "part") == 0) {
		taskctl_print_json(record->text ? record->text : "");
	} else if (strcmp(record->kind, "goroutine") == 0) {
		putchar('\n');
		look_at_goroutine(looking, record);
	} else if (strcmp(record->kind, "wait") == 0) {
		look_at_wait(looking, record);
	}
	return 0;
}

/* One process, by a function that prints its records, or as they came. */
static int look_at(struct taskctl_link *link, struct taskctl_line *line,
	int (*record)(void *self, const struct tmgr__process_record *record, const char *text))
{
	struct looking looking = { 0 };
	struct printing printing = { .line = line };
	struct taskctl_visit visit = { .record = record, .self = &looking };

	if (line->json)
		visit = (struct taskctl_visit){ .record = print_record, .self = &printing };
	line->ask.ask = tmgr__borrowed("get");
	line->ask.id = line->words[0];
	return taskctl_link_ask(link, &line->ask, &visit);
}

int taskctl_process_show(struct taskctl_link *link, struct taskctl_line *line)
{
	int r = look_at(link, line, show_record);

	if (r == 0 && !line->json)
		putchar('\n');
	return r;
}

/* One that does not go on by itself says so first. */
static int why_record(void *self, const struct tmgr__process_record *record, const char *text)
{
	struct looking *looking = self;

	if (strcmp(record->kind, "process") == 0) {
		if (record->status && strcmp(record->status, "active") != 0)
			taskctl_print_standing(record);
	} else if (strcmp(record->kind, "goroutine") == 0) {
		look_at_goroutine(looking, record);
	} else if (strcmp(record->kind, "wait") == 0) {
		look_at_wait(looking, record);
	}
	return 0;
}

int taskctl_process_why(struct taskctl_link *link, struct taskctl_line *line)
{
	return look_at(link, line, why_record);
}

int taskctl_process_channels(struct taskctl_link *link, struct taskctl_line *line)
{
	struct printing printing = {
		.line = line, .print = taskctl_print_channel, .kind = "channel"
	};
	struct taskctl_visit visit = { .record = print_record, .self = &printing };

	line->ask.ask = tmgr__borrowed("channels");
	line->ask.id = line->count > 0 ? line->words[0] : NULL;
	if (!line->json)
		taskctl_print_channel_head();
	return taskctl_link_ask(link, &line->ask, &visit);
}

/* What was missed is asked for again from the last that came; a broken connection ends it. */
int taskctl_process_events(struct taskctl_link *link, struct taskctl_line *line)
{
	struct printing printing = { .line = line, .print = taskctl_print_event, .kind = "event" };
	struct taskctl_visit visit = { .record = print_record, .self = &printing };
	uint64_t wanted = line->ask.max > 0 ? line->ask.max : UINT64_MAX, before;
	int r;

	if (line->ask.follow && line->where.file) {
		taskctl_error(
			"nothing happens in a file without its daemon: --follow has --socket");
		return -EINVAL;
	}
	line->ask.ask = tmgr__borrowed("events");
	line->ask.id = line->count > 0 ? line->words[0] : NULL;
	do {
		before = printing.count;
		line->ask.max = wanted - before < 1000 ? (uint32_t)(wanted - before) : 1000;
		r = taskctl_link_ask(link, &line->ask, &visit);
		line->ask.sequence = visit.sequence;
		if (fflush(stdout) != 0)
			return -errno;
	} while (r == 0 && printing.count < wanted &&
		 (line->ask.follow || printing.count - before == line->ask.max));
	return r;
}
