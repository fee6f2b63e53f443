/*
 * Events and reports with any names and texts come out as lines: no control character but the
 * newline at the end of each, cut where the buffer ends and never written past it.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <taskmgr/manager.h>

#include "tests/support/fuzz.h"

#define STRING_SIZE 256
#define LINE_SIZE 4096

/* C0, DEL, and C1 as UTF-8 has it: what a terminal obeys. */
static void must_be_lines(const char *text, size_t length, size_t lines)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		unsigned char next = i + 1 < length ? (unsigned char)text[i + 1] : 0;

		if (c == '\n' && lines > 0) {
			lines--;
			continue;
		}
		must(c >= ' ' && c != 0x7f);
		must(c != 0xc2 || next < 0x80 || next > 0x9f);
	}
	must(lines == 0);
}

static void format_event(struct input *input)
{
	static char whole[LINE_SIZE];
	struct tmgr_event event = { .kind = (enum tmgr_event_kind)(input_byte(input) % 13) };
	size_t size = input_byte(input), length;
	char *buffer = malloc(size + 1);

	must(buffer != NULL);
	event.code = (int)((unsigned)input_byte(input) * 0x01010101u);
	input_string(input, event.path, sizeof(event.path));
	input_string(input, event.text, sizeof(event.text));
	length = tmgr_event_format(&event, whole, sizeof(whole));
	must(length < sizeof(whole) && length == strlen(whole));
	must_be_lines(whole, length, 0);
	memset(buffer, 'x', size + 1);
	must(tmgr_event_format(&event, size ? buffer : NULL, size) == length);
	must(buffer[size] == 'x');
	if (size > 0) {
		/* The last character is there whole or not at all. */
		must(strlen(buffer) == length || (length >= size && strlen(buffer) < size));
		must(strlen(buffer) == length || strlen(buffer) + 4 >= size);
		must(memcmp(buffer, whole, strlen(buffer)) == 0);
	}
	free(buffer);
}

static void print_report(struct input *input)
{
	char names[3][STRING_SIZE], texts[3][STRING_SIZE], program[STRING_SIZE];
	struct tmgr_report_entry entries[3] = { { .next = NULL } };
	struct tmgr_report report = { .entries = entries }, inner = { .entries = &entries[2] };
	static char printed[5 * LINE_SIZE];
	int fd = memfd_create("report", MFD_CLOEXEC);
	ssize_t length;

	for (size_t i = 0; i < 3; i++) {
		entries[i].next = i == 0 ? &entries[1] : NULL;
		entries[i].kind = (enum tmgr_report_kind)(input_byte(input) % 3);
		entries[i].stage = (enum tmgr_stage)(input_byte(input) % 7);
		entries[i].error = -(int)input_byte(input);
		entries[i].detail = input_byte(input) & 1;
		entries[i].name = input_string(input, names[i], STRING_SIZE);
		entries[i].text = input_string(input, texts[i], STRING_SIZE);
	}
	entries[1].inner = &inner;
	report.stop.reason = (enum tmgr_reason)(input_byte(input) % 8);
	input_string(input, report.stop.text, sizeof(report.stop.text));
	report.duration_ns = INT64_MAX;
	report.stuck = input_byte(input);
	must(fd >= 0);
	must(tmgr_report_print(&report, input_string(input, program, STRING_SIZE), fd) == 0);
	length = pread(fd, printed, sizeof(printed), 0);
	must(length > 0 && length < (ssize_t)sizeof(printed));
	must_be_lines(printed, (size_t)length, 4);
	must(printed[length - 1] == '\n');
	close(fd);
}

/* Names and texts on their way through a manager: kept as they are, or cut. */
static int fail(void *self, struct tmgr_context *context)
{
	tmgr_log(context, TMGR_LEVEL_ERROR, "%s", (const char *)self);
	return tmgr_fail(context, -EIO, "%s", (const char *)self);
}

static void observe(void *self, const struct tmgr_event *event)
{
	char line[LINE_SIZE];

	must_be_lines(line, tmgr_event_format(event, line, sizeof(line)), 0);
	++*(size_t *)self;
}

static void run_hostile(struct input *input)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	char name[STRING_SIZE], text[STRING_SIZE];
	const struct tmgr_report *report;
	size_t events = 0;

	must(manager != NULL);
	must(tmgr_manager_observe(manager, TMGR_LEVEL_DEBUG, observe, &events) == 0);
	tmgr_manager_add_task(manager, input_string(input, name, STRING_SIZE),
		tmgr_task_function(fail, input_string(input, text, STRING_SIZE)), TMGR_STRICT);
	must(tmgr_manager_run(manager, NULL) < 0);
	report = tmgr_manager_report(manager);
	must(report && report->cause);
	must(strncmp(report->cause->name, name, strlen(report->cause->name)) == 0 || !*name);
	must(strncmp(report->cause->text, text, strlen(report->cause->text)) == 0 ||
		report->cause->stage == TMGR_STAGE_ADD);
	must(events > 0 || report->cause->stage == TMGR_STAGE_ADD);
	tmgr_manager_destroy(manager);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };

	switch (input_byte(&input) % 8) {
	case 0:
		run_hostile(&input);
		break;
	case 1:
	case 2:
	case 3:
		print_report(&input);
		break;
	default:
		format_event(&input);
		break;
	}
	return 0;
}
