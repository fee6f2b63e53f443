/* orders: takes orders over HTTP and sees them through, whatever happens to it meanwhile. */
#include <stdio.h>

#include <taskmgr/tasks/process_control.h>

#include "front.h"
#include "internal/examples/pkg/durable/durable.h"
#include "options.h"
#include "sink.h"

static int run(const struct options *options)
{
	struct tmgr_manager_options stopping = { .stop_order = TMGR_STOP_REVERSE };
	struct tmgr_manager *manager;
	struct durable durable;
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
	if (durable_init(&durable, options->database) < 0)
		return 1;
	front.processes = durable.processes;
	orders_define(durable.processes);
	manager = tmgr_manager_create(&stopping);
	durable_add_tasks(&durable, manager);
	if (options->control)
		tmgr_manager_add_task(manager, "control",
			tmgr_process_control(durable.processes, options->control, NULL),
			TMGR_STRICT);
	tmgr_manager_add_task(manager, "front", http_task(&http), TMGR_STRICT);
	code = tmgr_main(manager);
	durable_fini(&durable);
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
