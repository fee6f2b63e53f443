/*
 * What a daemon started as root does: take what only root may, become an ordinary user, serve.
 *
 *     privileges [--pid-file PATH] [--port N] [--user NAME]
 *
 * The order of adding is the order of initialize: the pid file first, so that a second instance
 * touches nothing; then the privileged port; then the privileges go; then the server. Cleanup goes
 * the other way round, the pid file last.
 */
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "../../pkg/privileges/daytime.h"
#include "../../pkg/privileges/drop.h"
#include "../../pkg/privileges/pidfile.h"

struct settings {
	const char *pid_file;
	const char *user;
	long port;
};

static bool parse(int argc, char **argv, struct settings *settings)
{
	static const struct option options[] = {
		{ "pid-file", required_argument, NULL, 'f' },
		{ "port", required_argument, NULL, 'p' },
		{ "user", required_argument, NULL, 'u' },
		{ NULL, 0, NULL, 0 },
	};
	char *end = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'f')
			settings->pid_file = optarg;
		else if (c == 'u')
			settings->user = optarg;
		else if (c != 'p')
			return false;
		else if ((settings->port = strtol(optarg, &end, 10)) < 1 ||
			 settings->port > UINT16_MAX || *end != '\0')
			return false;
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	const bool root = geteuid() == 0;
	struct settings settings = {
		.pid_file = root ? "/run/privileges-example/pid" : "/tmp/privileges-example/pid",
		.user = "nobody",
		.port = root ? 13 : 10013,
	};
	struct daytime daytime = { .fd = -1 };
	const struct passwd *passwd;
	struct tmgr_manager *manager;

	if (!parse(argc, argv, &settings)) {
		fprintf(stderr, "usage: privileges [--pid-file PATH] [--port N] [--user NAME]\n");
		return 2;
	}
	passwd = getpwnam(settings.user);
	if (passwd == NULL) {
		fprintf(stderr, "privileges: no user %s\n", settings.user);
		return 2;
	}
	daytime.port = (uint16_t)settings.port;
	manager = tmgr_manager_create(NULL);
	tmgr_manager_add_task(manager, "pid file",
		pidfile_task(settings.pid_file, root ? passwd->pw_uid : (uid_t)-1, passwd->pw_gid),
		TMGR_ERROR);
	tmgr_manager_add_task(manager, "listener", daytime_listener_task(&daytime), TMGR_ERROR);
	tmgr_manager_add_task(
		manager, "privileges", drop_task(passwd->pw_uid, passwd->pw_gid), TMGR_ERROR);
	tmgr_manager_add_task(manager, "server", daytime_server_task(&daytime), TMGR_STRICT);
	return tmgr_main(manager);
}
