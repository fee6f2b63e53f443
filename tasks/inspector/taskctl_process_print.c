/* How processes are shown. Texts come from others: control characters are not given to a terminal. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "taskmgr/base/text.h"

#include "taskctl_process.h"

#define SHOWN_MAX 2048

struct shown {
	char text[SHOWN_MAX];
};

/* A text without control characters; cut where it is too long. */
static const char *shown(struct shown *shown, const char *text)
{
	struct tmgr__text out;

	tmgr__text_init(&out, shown->text, sizeof(shown->text));
	tmgr__text_add_escaped(&out, text ? text : "");
	return shown->text;
}

struct moment {
	char text[40];
};

static const char *moment(struct moment *moment, int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm local;

	if (!localtime_r(&seconds, &local) ||
		strftime(moment->text, sizeof(moment->text), "%Y-%m-%d %H:%M:%S", &local) == 0)
		snprintf(moment->text, sizeof(moment->text), "%" PRId64 " ms", ms);
	return moment->text;
}

/* ---- Processes ------------------------------------------------------------------------------ */

void taskctl_print_process_head(void)
{
	printf("%-24s %-16s %-10s %8s  %s\n", "ID", "DEFINITION", "STATUS", "STEPS", "SINCE");
}

static const char *status_of(const struct tmgr__process_record *record)
{
	const char *status = record->status ? record->status : "?";

	if (strcmp(status, "active") != 0)
		return status;
	if (record->stuck)
		return "stuck";
	return record->cancelled ? "cancelling" : status;
}

void taskctl_print_process(const struct tmgr__process_record *record)
{
	struct shown id, definition, text;
	struct moment since;

	printf("%-24s %-16s %-10s %8" PRIu64 "  %s", shown(&id, record->id),
		shown(&definition, record->definition), status_of(record), record->steps,
		moment(&since, record->changed_ms));
	if (record->text && record->text[0])
		printf("  %s", shown(&text, record->text));
	putchar('\n');
}

void taskctl_print_standing(const struct tmgr__process_record *record)
{
	struct shown id, text;
	struct moment since;

	printf("%s is %s since %s", shown(&id, record->id), status_of(record),
		moment(&since, record->changed_ms));
	if (record->text && record->text[0])
		printf(": %s", shown(&text, record->text));
	putchar('\n');
}

static void print_value(const struct tmgr_state_bytes *value)
{
	struct shown text;
	char *copy;

	if (value->size == 0) {
		putchar('\n');
		return;
	}
	/* No NUL follows the bytes. */
	copy = strndup((const char *)value->data, value->size);
	if (!copy || strlen(copy) < value->size)
		printf("%zu bytes\n", value->size);
	else
		printf("%s\n", shown(&text, copy));
	free(copy);
}

void taskctl_print_details(const struct tmgr__process_record *record)
{
	struct shown text;
	struct moment when;

	printf("id          %s\n", shown(&text, record->id));
	printf("definition  %s, version %" PRIu32 "\n", shown(&text, record->definition),
		record->version);
	printf("status      %s since %s\n", status_of(record), moment(&when, record->changed_ms));
	if (record->text && record->text[0])
		printf("because     %s\n", shown(&text, record->text));
	if (record->error < 0)
		printf("error       %s\n", tmgr_strerror(record->error));
	printf("created     %s\n", moment(&when, record->created_ms));
	printf("steps       %" PRIu64 "\n", record->steps);
	printf("revision    %" PRIu64 "\n", record->revision);
	if (record->has_result) {
		printf("result      ");
		print_value(&record->value);
	}
}

/* A control character, which JSON may have as it is, is written in the other way that it has. */
void taskctl_print_json(const char *text)
{
	while (*text) {
		size_t control = tmgr__text_control(text);

		/* The second byte of two is the character. */
		if (control > 0)
			printf("\\u%04x", (unsigned char)text[control - 1]);
		else
			putchar(*text);
		text += control > 0 ? control : 1;
	}
}

/* ---- Goroutines, waits ---------------------------------------------------------------------- */

void taskctl_print_goroutine(const struct tmgr__process_record *record)
{
	struct shown name, why;

	printf("%s: %s\n", shown(&name, record->goroutine), shown(&why, record->why));
}

void taskctl_print_wait(const struct tmgr__process_record *record)
{
	struct shown why;

	printf("  %" PRIu32 ". %s\n", record->index + 1, shown(&why, record->why));
}

/* ---- Channels, events ----------------------------------------------------------------------- */

void taskctl_print_channel_head(void)
{
	printf("%-32s %-6s %8s %8s %8s %8s\n", "CHANNEL", "STATE", "CAPACITY", "BUFFERED",
		"SENDERS", "RECEIVERS");
}

void taskctl_print_channel(const struct tmgr__process_record *record)
{
	struct shown id;

	printf("%-32s %-6s %8" PRIu32 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 "\n",
		shown(&id, record->id), record->closed ? "closed" : "open", record->capacity,
		record->buffered, record->senders, record->receivers);
}

void taskctl_print_event(const struct tmgr__process_record *record)
{
	struct shown process, goroutine, method, text;
	struct moment when;

	printf("%" PRIu64 " %s %s", record->sequence, moment(&when, record->at_ms),
		record->status ? record->status : "?");
	if (record->process && record->process[0])
		printf(" %s", shown(&process, record->process));
	if (record->goroutine && record->goroutine[0])
		printf(" %s", shown(&goroutine, record->goroutine));
	if (record->method && record->method[0])
		printf(" %s", shown(&method, record->method));
	if (record->error < 0)
		printf(": %s", tmgr_strerror(record->error));
	if (record->text && record->text[0])
		printf(": %s", shown(&text, record->text));
	putchar('\n');
}
