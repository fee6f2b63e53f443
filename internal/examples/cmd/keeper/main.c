/*
 * A connection keeper, beside a server that exists only as a script: it refuses the first connection
 * and the first password, is silent the third time, and breaks off the fourth.
 */
#include <errno.h>
#include <stdio.h>

#include "../../pkg/keeper/keeper.h"

struct script {
	int connections, passwords, uses;
};

static int connect_to(void *self, struct tmgr_context *context)
{
	struct script *script = self;

	if (++script->connections == 1)
		return tmgr_fail(context, -ECONNREFUSED, "nobody is there");
	return tmgr_sleep(context, 10 * TMGR_MILLISECOND);
}

static int authenticate(void *self, struct tmgr_context *context)
{
	struct script *script = self;

	switch (++script->passwords) {
	case 1:
		return tmgr_fail(context, -EACCES, "a wrong password");
	case 2: /* until the state's timeout ends it */
		return tmgr_sleep_until(context, TMGR_NEVER);
	default:
		return 0;
	}
}

static int watch(void *self, struct tmgr_context *context)
{
	struct script *script = self;
	int r;

	if (++script->uses > 1)
		return tmgr_sleep_until(context, TMGR_NEVER);
	r = tmgr_sleep(context, 50 * TMGR_MILLISECOND);
	return r < 0 ? r : tmgr_fail(context, -EPIPE, "the server has gone");
}

static const struct keeper_ops ops = {
	.connect = connect_to,
	.authenticate = authenticate,
	.watch = watch,
};

static void print(void *self, const char *line)
{
	puts(line);
}

int main(void)
{
	struct keeper_options options = {
		.name = "keeper",
		.delay_ns = 20 * TMGR_MILLISECOND,
		.log = print,
	};
	struct script script = { .connections = 0 };
	struct tmgr_manager *manager;
	struct keeper *keeper;
	int exit_code;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (keeper_create(&ops, &script, &options, &keeper) < 0) {
		fprintf(stderr, "keeper: out of memory\n");
		return 2;
	}
	manager = tmgr_manager_create(NULL);
	tmgr_manager_add_task(manager, "connection", keeper_task(keeper), TMGR_STRICT);
	exit_code = tmgr_main(manager);
	keeper_destroy(keeper);
	return exit_code;
}
