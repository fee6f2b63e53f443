#include <stdlib.h>
#include <string.h>

#include "tests/support/hosted.h"

void hosted_start(struct hosted *hosted, struct tmgr_task task)
{
	const struct tmgr_manager_options options = {
		.when_quiet = TMGR_QUIET_RETURN,
		.take_signals = true,
	};

	hosted->manager = tmgr_manager_create(&options);
	if (hosted->manager == NULL)
		abort();
	tmgr_manager_add_task(hosted->manager, "task", task, TMGR_ERROR);
	runner_start(&hosted->runner, hosted->manager, NULL);
}

struct tmgr_snapshot_task hosted_look(struct hosted *hosted)
{
	struct tmgr_snapshot_task at = { .path = "" };
	struct tmgr_snapshot *snapshot;

	if (tmgr_manager_snapshot(hosted->manager, &snapshot) != 0)
		return at;
	if (snapshot->count > 0)
		at = snapshot->tasks[0];
	tmgr_snapshot_destroy(snapshot);
	return at;
}

struct ending hosted_end(struct hosted *hosted)
{
	struct ending ending = { .result = runner_join(&hosted->runner) };
	const struct tmgr_report *report = tmgr_manager_report(hosted->manager);

	if (report != NULL) {
		ending.errors = report->errors;
		ending.stuck = report->stuck;
		if (report->cause != NULL) {
			ending.detail = report->cause->detail;
			strncpy(ending.text, report->cause->text, sizeof(ending.text) - 1);
		}
	}
	ending.at = hosted_look(hosted);
	tmgr_manager_destroy(hosted->manager);
	return ending;
}

struct ending hosted_stop(struct hosted *hosted)
{
	tmgr_manager_cancel(hosted->manager);
	return hosted_end(hosted);
}

struct ending hosted_run(struct tmgr_task task)
{
	struct hosted hosted;

	hosted_start(&hosted, task);
	return hosted_end(&hosted);
}
