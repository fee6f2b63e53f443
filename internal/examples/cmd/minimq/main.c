/* minimq: a broker that speaks the protocol of Redis, on worker loops. */
#include <stdio.h>
#include <string.h>

#include "server.h"

int main(int argc, char **argv)
{
	struct tmgr_manager *manager;
	static struct server server;
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
	setvbuf(stdout, NULL, _IOLBF, 0);
	code = server_init(&server, &options);
	if (code < 0) {
		fprintf(stderr, "minimq: %s\n", strerror(-code));
		return 1;
	}
	manager = tmgr_manager_create(NULL);
	server_add_tasks(&server, manager);
	code = tmgr_main(manager);
	server_print_summary(&server);
	server_fini(&server);
	return code;
}
