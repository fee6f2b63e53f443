/* logship: ships the lines of log files into a SQLite database, each line once. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "internal/examples/pkg/statusline/statusline.h"

#include "options.h"
#include "pipeline.h"

int main(int argc, char **argv)
{
	static char program[] = "logship";
	struct tmgr_manager_options stopping = { .stop_order = TMGR_STOP_REVERSE };
	struct tmgr_manager *manager;
	struct pipeline pipeline;
	struct options options;
	int code;

	switch (options_parse(argc, argv, &options)) {
	case OPTIONS_RUN:
		break;
	case OPTIONS_HELP:
		return 0;
	default:
		return 2;
	}
	if (pipeline_init(&pipeline, &options) < 0) {
		fputs("logship: out of memory\n", stderr);
		return 1;
	}
	manager = tmgr_manager_create(&stopping);
	tmgr_manager_add_task(manager, "writer", writer_task(&pipeline), TMGR_STRICT);
	tmgr_manager_add_task(manager, "parsers", parsers_task(&pipeline), TMGR_STRICT);
	if (isatty(STDERR_FILENO)) {
		tmgr_manager_add_task(manager, "status", status_task(&pipeline), TMGR_STRICT);
		tmgr_manager_observe(manager, TMGR_LEVEL_INFO, statusline_event, program);
	}
	tmgr_manager_add_task(manager, "files", files_task(&pipeline), TMGR_STOP_GROUP);
	code = tmgr_main(manager);
	if (pipeline.ended_ns > 0)
		print_summary(&pipeline);
	pipeline_fini(&pipeline);
	return code;
}
