/* orders: takes orders over HTTP and sees them through, whatever happens to it meanwhile. */
#include <stdio.h>

#include <taskmgr/tasks/process_control.h>

#include "front.h"
#include "internal/examples/pkg/onfile/onfile.h"
#include "options.h"
#include "sink.h"

static int run(const struct options *options)
{
	struct tmgr_manager_options stopping = { .stop_order = TMGR_STOP_REVERSE };
	struct tmgr_manager *manager;
	struct onfile onfile;
	struct front front = { .terms = { .cart_ms = options->cart_ms,
				       .approval_ms = options->approval_ms,
				       .delivery_ms = options->delivery_ms } };
	const struct http_options http = { .address = options->address,
		.port = options->port,
		.answer = front_answer,
		.self = &front };
	int code;

	if (orders_set_webhook(options->webhook) < 0) {
		fprintf(stderr, "orders: %s: no address that can be reached\n", options->webhook);
		return 1;
	}
	if (onfile_init(&onfile, options->database) < 0)
		return 1;
	front.processes = onfile.processes;
	orders_define(onfile.processes);
	manager = tmgr_manager_create(&stopping);
	onfile_add_tasks(&onfile, manager);
	if (options->control)
		tmgr_manager_add_task(manager, "control",
			tmgr_process_control(onfile.processes, options->control, NULL),
			TMGR_STRICT);
	tmgr_manager_add_task(manager, "front", http_task(&http), TMGR_STRICT);
	code = tmgr_main(manager);
	onfile_fini(&onfile);
	return code;
}

int main(int argc, char **argv)
{
	struct options options;

	switch (options_parse(argc, argv, &options)) {
	case OPTIONS_RUN:
		return options.sink ? sink_run(&options) : run(&options);
	case OPTIONS_HELP:
		return 0;
	default:
		return 2;
	}
}
