#include <taskmgr/report.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/text.h"
#include "manager.h"

static const char *const stages[] = {
	[TMGR_STAGE_ADD] = "add",
	[TMGR_STAGE_START] = "start",
	[TMGR_STAGE_INITIALIZE] = "initialize",
	[TMGR_STAGE_EXECUTE] = "execute",
	[TMGR_STAGE_CLEANUP] = "cleanup",
};

const char *tmgr_stage_name(enum tmgr_stage stage)
{
	return (unsigned)stage < ARRAY_SIZE(stages) ? stages[stage] : "unknown";
}

/* A manager inside a task has its report now, if it has ended. */
static void link_inner(struct tmgr_manager *manager)
{
	size_t left = manager->with_inner;
	struct tmgr__list *node;

	tmgr__list_for (node, &manager->tasks) {
		struct tmgr__record *record = container_of(node, struct tmgr__record, node);

		if (left == 0)
			break;
		if (!record->inner)
			continue;
		left--;
		record->entry.inner = tmgr_manager_report(record->inner);
		if (record->cleanup)
			record->cleanup->entry.inner = record->failed ? NULL : record->entry.inner;
	}
}

/* A lack of memory or threads is none. */
static bool is_bad_use(const struct tmgr_report_entry *entry)
{
	if (entry->stage == TMGR_STAGE_START)
		return entry->error == -EBUSY || entry->error == -EINVAL;
	return entry->stage == TMGR_STAGE_ADD;
}

void tmgr__report_build(struct tmgr_manager *manager)
{
	struct tmgr_report *report = &manager->report;
	bool bad_use = false;

	for (const struct tmgr_report_entry *entry = report->entries; entry; entry = entry->next)
		bad_use = bad_use || is_bad_use(entry);
	link_inner(manager);
	report->stop = manager->stop_cause;
	report->executed = manager->executed;
	report->duration_ns = tmgr__manager_now(manager) - manager->began;
	report->stop_duration_ns = manager->stop_began
					   ? tmgr__manager_now(manager) - manager->stop_began
					   : 0;
	report->result = report->cause ? report->cause->error : 0;
	report->exit_code = tmgr__policy_exit_code(
		manager->forced_signal, bad_use, report->stuck, report->errors);
}

/* One line at a time, to a descriptor. */
struct printing {
	int fd;
	int error;
	const char *program;
	char line[1024];
	struct tmgr__text text;
};

static void begin_line(struct printing *print)
{
	tmgr__text_init(&print->text, print->line, sizeof(print->line) - 1);
	if (print->program) {
		tmgr__text_add_escaped(&print->text, print->program);
		tmgr__text_add(&print->text, ": ");
	}
}

static void end_line(struct printing *print)
{
	size_t length = print->text.length, done = 0;

	if (length > sizeof(print->line) - 2)
		length = sizeof(print->line) - 2;
	print->line[length++] = '\n';
	while (done < length && print->error == 0) {
		ssize_t written = write(print->fd, print->line + done, length - done);

		if (written > 0)
			done += (size_t)written;
		else if (written < 0 && errno != EINTR)
			print->error = -errno;
	}
}

static void add_task_name(
	struct printing *print, const char *prefix, const struct tmgr_report_entry *entry)
{
	if (!entry->name[0])
		return;
	tmgr__text_add(&print->text, "task \"");
	tmgr__text_add_escaped(&print->text, prefix);
	tmgr__text_add_escaped(&print->text, entry->name);
	tmgr__text_add(&print->text, "\": ");
}

static void print_entry(
	struct printing *print, const char *prefix, const struct tmgr_report_entry *entry)
{
	struct tmgr__text *text = &print->text;

	begin_line(print);
	switch (entry->kind) {
	case TMGR_REPORT_ERROR:
		tmgr__text_add(text, "error: ");
		add_task_name(print, prefix, entry);
		tmgr__text_format(text, "%s: ", tmgr_stage_name(entry->stage));
		if (entry->text[0]) {
			tmgr__text_add_escaped(text, entry->text);
			tmgr__text_add(text, ": ");
		}
		tmgr__text_add(text, tmgr_strerror(entry->error));
		if (entry->detail)
			tmgr__text_format(text, " (returned %d)", entry->detail);
		break;
	case TMGR_REPORT_STUCK:
		tmgr__text_add(text, "stuck: ");
		add_task_name(print, prefix, entry);
		tmgr__text_format(text, "%s did not end by its deadline and was left behind",
			tmgr_stage_name(entry->stage));
		if (entry->text[0]) {
			tmgr__text_add(text, ": ");
			tmgr__text_add_escaped(text, entry->text);
		}
		break;
	case TMGR_REPORT_NOT_CLEANED_UP:
		tmgr__text_add(text, "not cleaned up: ");
		add_task_name(print, prefix, entry);
		tmgr__text_add(text, "a stuck task may still use it, or the stop was cut short");
		break;
	}
	end_line(print);
}

static void print_entries(
	struct printing *print, const char *prefix, const struct tmgr_report *report)
{
	for (const struct tmgr_report_entry *entry = report->entries; entry; entry = entry->next) {
		char path[TMGR_EVENT_PATH_SIZE];
		struct tmgr__text text;

		print_entry(print, prefix, entry);
		if (!entry->inner)
			continue;
		tmgr__text_init(&text, path, sizeof(path));
		tmgr__text_add(&text, prefix);
		tmgr__text_add(&text, entry->name);
		tmgr__text_add(&text, "/");
		print_entries(print, path, entry->inner);
	}
}

static void add_count(struct tmgr__text *text, size_t count, const char *one, const char *many)
{
	if (count > 0)
		tmgr__text_format(text, ", %zu %s", count, count == 1 ? one : many);
}

static void add_stop(struct tmgr__text *text, const struct tmgr_cause *stop)
{
	switch (stop->reason) {
	case TMGR_REASON_NONE:
		tmgr__text_add(text, "not started");
		return;
	case TMGR_REASON_SIGNAL:
		tmgr__text_add(text, "stopped by ");
		break;
	case TMGR_REASON_TASK_FAILED:
		tmgr__text_add(text, "stopped because a task failed: ");
		break;
	case TMGR_REASON_GROUP_DONE:
		tmgr__text_add(text, "stopped since all of a group have ended");
		if (stop->text[0])
			tmgr__text_add(text, ": ");
		break;
	case TMGR_REASON_DEADLINE:
		tmgr__text_add(text, "stopped at a ");
		break;
	case TMGR_REASON_LIMIT:
		tmgr__text_add(text, "stopped with ");
		break;
	case TMGR_REASON_CANCELLED:
		tmgr__text_add(text, stop->text[0] ? "cancelled: " : "cancelled");
		break;
	}
	tmgr__text_add_escaped(text, stop->text);
}

static void print_summary(struct printing *print, const struct tmgr_report *report)
{
	struct tmgr__text *text = &print->text;

	begin_line(print);
	add_stop(text, &report->stop);
	tmgr__text_format(text, " after %.3f s: %zu task%s",
		(double)report->duration_ns / (double)TMGR_SECOND, report->long_running,
		report->long_running == 1 ? "" : "s");
	add_count(text, report->executed, "execute-task", "execute-tasks");
	add_count(text, report->errors, "error", "errors");
	add_count(text, report->stuck, "stuck", "stuck");
	add_count(text, report->not_cleaned_up, "not cleaned up", "not cleaned up");
	add_count(text, (size_t)report->events_dropped, "event dropped", "events dropped");
	tmgr__text_format(text, "; exit code %d", report->exit_code);
	end_line(print);
}

int tmgr_report_print(const struct tmgr_report *report, const char *program, int fd)
{
	struct printing print = { .fd = fd, .program = program };

	if (!report)
		return -EINVAL;
	print_entries(&print, "", report);
	print_summary(&print, report);
	return print.error;
}
