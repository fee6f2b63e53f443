/* What changes processes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taskctl_process.h"

/* ---- Messages, processes, goroutines -------------------------------------------------------- */

/* A word, or with "-" what comes on standard input. */
static int take_value(const char *word, struct tmgr_state_bytes *ret_value)
{
	char *value;
	size_t size;

	if (strcmp(word, "-") != 0) {
		*ret_value = (struct tmgr_state_bytes){ (unsigned char *)tmgr__borrowed(word),
			strlen(word) };
		return 0;
	}
	value = malloc(TMGR_PROCESS_VALUE_MAX + 1);
	if (!value) {
		taskctl_error("%s", tmgr_strerror(-ENOMEM));
		return -ENOMEM;
	}
	size = fread(value, 1, TMGR_PROCESS_VALUE_MAX + 1, stdin);
	if (ferror(stdin) || size > TMGR_PROCESS_VALUE_MAX) {
		taskctl_error("standard input: %s",
			ferror(stdin) ? "cannot be read" : "is longer than 1 MiB");
		free(value);
		return -EMSGSIZE;
	}
	*ret_value = (struct tmgr_state_bytes){ (unsigned char *)value, size };
	return 0;
}

int taskctl_process_start(struct taskctl_link *link, struct taskctl_line *line)
{
	line->ask.ask = tmgr__borrowed("start");
	line->ask.definition = line->words[0];
	line->ask.id = line->words[1];
	line->ask.state = line->count > 2 ? line->words[2] : NULL;
	return taskctl_link_ask(link, &line->ask, NULL);
}

int taskctl_process_send(struct taskctl_link *link, struct taskctl_line *line)
{
	const char *word = line->count > 1 ? line->words[1] : "";
	int r = take_value(word, &line->ask.value);

	line->ask.ask = tmgr__borrowed("send");
	line->ask.channel = line->words[0];
	if (r == 0)
		r = taskctl_link_ask(link, &line->ask, NULL);
	if (line->ask.value.data != (const unsigned char *)word)
		free(line->ask.value.data);
	return r;
}

int taskctl_process_close(struct taskctl_link *link, struct taskctl_line *line)
{
	line->ask.ask = tmgr__borrowed("close");
	line->ask.channel = line->words[0];
	return taskctl_link_ask(link, &line->ask, NULL);
}

static int ask_of_id(struct taskctl_link *link, struct taskctl_line *line, const char *verb)
{
	line->ask.ask = tmgr__borrowed(verb);
	line->ask.id = line->words[0];
	return taskctl_link_ask(link, &line->ask, NULL);
}

int taskctl_process_cancel(struct taskctl_link *link, struct taskctl_line *line)
{
	return ask_of_id(link, line, "cancel");
}

int taskctl_process_resume(struct taskctl_link *link, struct taskctl_line *line)
{
	return ask_of_id(link, line, "resume");
}

int taskctl_process_pause(struct taskctl_link *link, struct taskctl_line *line)
{
	line->ask.text = line->words[1];
	return ask_of_id(link, line, "pause");
}

static int keep_status(void *self, const struct tmgr__process_record *record, const char *text)
{
	enum tmgr_process_status *status = self;

	if (strcmp(record->kind, "process") == 0 && record->status)
		*status = tmgr__process_status_of(record->status);
	return 0;
}

/* Resume would also wake one that somebody has paused. */
int taskctl_process_retry(struct taskctl_link *link, struct taskctl_line *line)
{
	enum tmgr_process_status status = 0;
	struct taskctl_visit visit = { .record = keep_status, .self = &status };
	struct tmgr__process_ask get = { .ask = tmgr__borrowed("get"), .id = line->words[0] };
	int r = taskctl_link_ask(link, &get, &visit);

	if (r < 0)
		return r;
	if (status == TMGR_PROCESS_PAUSED)
		taskctl_error("%s is paused: only resume has it go on", line->words[0]);
	else if (status != TMGR_PROCESS_FAILED)
		taskctl_error("%s has not failed", line->words[0]);
	if (status != TMGR_PROCESS_FAILED)
		return -EINVAL;
	/* It may have been paused since. */
	line->ask.status = tmgr__borrowed("failed");
	return ask_of_id(link, line, "resume");
}

int taskctl_process_goto(struct taskctl_link *link, struct taskctl_line *line)
{
	line->ask.goroutine = line->words[1];
	line->ask.method = line->words[2];
	return ask_of_id(link, line, "goto");
}

/* ---- Setting a field ------------------------------------------------------------------------ */

struct gathering {
	char *state;
	size_t size;
};

static int gather_part(void *self, const struct tmgr__process_record *record, const char *text)
{
	struct gathering *gathering = self;
	size_t size;
	char *longer;

	if (strcmp(record->kind, "part") != 0 || !record->text)
		return 0;
	size = strlen(record->text);
	longer = realloc(gathering->state, gathering->size + size + 1);
	if (!longer)
		return -ENOMEM;
	memcpy(longer + gathering->size, record->text, size + 1);
	gathering->state = longer;
	gathering->size += size;
	return 0;
}

static int set_state(struct taskctl_link *link, struct taskctl_line *line, const char *state)
{
	char *changed = NULL;
	int r = taskctl_json_set(state, line->words[1], line->words[2], &changed);

	if (r == -EPROTO)
		taskctl_error("%s is no JSON; a text has quotes", line->words[2]);
	else if (r < 0)
		taskctl_error("%s: %s", line->words[1],
			r == -ENOENT ? "there is no such field" : tmgr_strerror(r));
	if (r < 0)
		return r;
	line->ask.ask = tmgr__borrowed("set");
	line->ask.id = line->words[0];
	line->ask.state = changed;
	r = taskctl_link_ask(link, &line->ask, NULL);
	free(changed);
	return r;
}

/* With the revision that was looked at: what has changed meanwhile is not written over. */
int taskctl_process_set(struct taskctl_link *link, struct taskctl_line *line)
{
	struct gathering gathering = { 0 };
	struct taskctl_visit visit = { .record = gather_part, .self = &gathering };
	struct tmgr__process_ask get = { .ask = tmgr__borrowed("get"), .id = line->words[0] };
	int r;

	if (!line->has_revision) {
		taskctl_error("--revision is missing; \"taskctl process show\" says which it is");
		return -EINVAL;
	}
	r = taskctl_link_ask(link, &get, &visit);
	if (r == 0)
		r = set_state(link, line, gathering.state ? gathering.state : "{}");
	free(gathering.state);
	return r;
}
