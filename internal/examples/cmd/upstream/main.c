/*
 * A daemon that keeps a TCP upstream alive: kill the other side, start it again, and see.
 *
 *     upstream PORT        keep the upstream on this port of the loopback
 *     upstream serve PORT  be that upstream
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../pkg/upstream/upstream.h"

static int serve(const char *port)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	tmgr_manager_add_task(
		manager, "server", upstream_server((unsigned)strtoul(port, NULL, 10)), TMGR_STRICT);
	return tmgr_main(manager);
}

static int keep(const char *port)
{
	struct tmgr_manager *manager;
	struct upstream *upstream;
	int exit_code;

	if (upstream_create("127.0.0.1", (unsigned)strtoul(port, NULL, 10), &upstream) < 0) {
		fprintf(stderr, "upstream: out of memory\n");
		return 2;
	}
	manager = tmgr_manager_create(NULL);
	tmgr_manager_add_task(manager, "upstream", upstream_task(upstream), TMGR_STRICT);
	exit_code = tmgr_main(manager);
	upstream_destroy(upstream);
	return exit_code;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc == 2)
		return keep(argv[1]);
	fprintf(stderr, "usage: upstream [serve] PORT\n");
	return 2;
}
