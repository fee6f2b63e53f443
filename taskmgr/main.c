#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "manager.h"

/* Everything but the end, which the report tells. */
static void print_event(void *self, const struct tmgr_event *event)
{
	if (event->kind != TMGR_EVENT_RUN_ENDED)
		tmgr_event_print(self, event);
}

_Noreturn void tmgr__main_leave(struct tmgr_manager *manager)
{
	/* Other threads may hold any lock of this program, but not this one for long. */
	tmgr__manager_lock(manager);
	tmgr__phase_skip_cleanups(manager);
	tmgr__report_build(manager);
	tmgr_report_print(&manager->report, program_invocation_short_name, STDERR_FILENO);
	_exit(manager->report.exit_code);
}

static int out_of_memory(void)
{
	static const char text[] = "taskmgr: out of memory, or no manager was given\n";
	ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)written;
	return 2;
}

int tmgr_main(struct tmgr_manager *manager)
{
	const struct tmgr_report *report;
	bool can_run;
	int r, exit_code;

	if (!manager)
		return out_of_memory();
	tmgr__manager_lock(manager);
	can_run = manager->state == TMGR_MANAGER_ADDING;
	if (can_run) {
		manager->options.take_signals = true;
		manager->is_main = true;
	}
	tmgr__manager_unlock(manager);
	if (!manager->events->observers)
		tmgr_manager_observe(
			manager, TMGR_LEVEL_INFO, print_event, program_invocation_short_name);
	r = tmgr_manager_run(manager, NULL);
	report = tmgr_manager_report(manager);
	/* Not by r: a task that failed with -EBUSY is no misuse. */
	if (!can_run || !report) {
		fprintf(stderr, "%s: this manager cannot run: %s\n", program_invocation_short_name,
			tmgr_strerror(r));
		if (report)
			tmgr_manager_destroy(manager);
		return 2;
	}
	tmgr_report_print(report, program_invocation_short_name, STDERR_FILENO);
	exit_code = report->exit_code;
	/* No exit handlers, and nothing released, beside a thread that still runs. */
	if (report->stuck > 0)
		_exit(exit_code);
	if (manager->signals)
		tmgr__signals_stop(manager);
	tmgr_manager_destroy(manager);
	return exit_code;
}
