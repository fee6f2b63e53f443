/*
 * Counts the lines of a file, in a state machine: with a state for the work, one for its end, and a
 * third for errors.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../pkg/fileprocessor/file_processor.h"

struct waiting {
	struct file_processor processor;
	int64_t timeout_ns;
};

static int wait_for_it(void *self, struct tmgr_context *context)
{
	struct waiting *waiting = self;
	struct file_processor *processor = &waiting->processor;
	struct tmgr_machine_error error;
	int r = file_processor_run(processor, context, tmgr_after(waiting->timeout_ns));

	switch (r) {
	case 0:
		printf("done: %ld lines\n", processor->lines);
		return 0;
	case -ETIMEDOUT:
		printf("timeout\n");
		return tmgr_fail(context, r, "%s takes too long", processor->path);
	default:
		tmgr_machine_error(processor->machine, &error);
		printf("err: %s: %s\n", error.text, tmgr_strerror(r));
		return tmgr_fail(context, r, "%s", error.text);
	}
}

int main(int argc, char **argv)
{
	struct tmgr_manager_options options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager;
	struct waiting waiting;
	int exit_code;

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: file-processor FILE [MILLISECONDS]\n");
		return 2;
	}
	waiting.timeout_ns = 5 * TMGR_SECOND;
	if (argc == 3)
		waiting.timeout_ns = strtol(argv[2], NULL, 10) * TMGR_MILLISECOND;
	if (file_processor_init(&waiting.processor, argv[1]) < 0) {
		fprintf(stderr, "file-processor: out of memory\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	manager = tmgr_manager_create(&options);
	tmgr_manager_add_task(
		manager, "processor", file_processor_task(&waiting.processor), TMGR_ERROR);
	tmgr_manager_add_execute_task(
		manager, "waiting", tmgr_task_function(wait_for_it, &waiting), TMGR_ERROR);
	exit_code = tmgr_main(manager);
	file_processor_fini(&waiting.processor);
	return exit_code;
}
