#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "internal/examples/pkg/statusline/statusline.h"

/* Descriptors that are not for clients. */
#define OTHER_DESCRIPTORS 64

/* Says that the loop takes connections; then only its coroutines go on. */
static int worker_main(void *self, struct tmgr_context *context)
{
	struct worker *worker = self;

	tmgr_future_complete(&worker->running, 0, NULL);
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int init_worker(struct worker *worker, size_t arguments)
{
	const struct tmgr_loop_options options = { .main = worker_main, .self = worker };

	tmgr_future_init(&worker->running);
	worker->arguments = calloc(arguments, sizeof(worker->arguments[0]));
	if (!worker->arguments)
		return -ENOMEM;
	return tmgr_loop_create(&options, &worker->loop);
}

/* Each client takes a descriptor: where the system gives fewer there are fewer clients. */
static size_t limit_clients(size_t wanted)
{
	rlim_t needed = wanted + OTHER_DESCRIPTORS;
	struct rlimit limit;
	size_t possible;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= needed)
		return wanted;
	limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= needed)
		return wanted;
	possible = limit.rlim_cur > OTHER_DESCRIPTORS ? limit.rlim_cur - OTHER_DESCRIPTORS : 1;
	fprintf(stderr, "minimq: %zu clients at most: the limit of descriptors is %ju\n", possible,
		(uintmax_t)limit.rlim_cur);
	return possible;
}

int server_init(struct server *server, const struct options *options)
{
	struct mq_settings settings = mq_settings_default;
	int r;

	*server = (struct server){ .options = *options };
	settings.loops = options->loops;
	settings.clients_max = limit_clients(options->clients_max);
	settings.idle_s = options->idle_s;
	pthread_mutex_init(&server->lock, NULL);
	r = mq_broker_init(&server->broker, &settings);
	for (size_t i = 0; r == 0 && i < options->loops; i++)
		r = init_worker(&server->workers[i], settings.requests.arguments);
	if (r < 0)
		server_fini(server);
	return r;
}

void server_fini(struct server *server)
{
	connection_drop_waiting(server);
	for (size_t i = 0; i < server->options.loops; i++) {
		tmgr_loop_unref(server->workers[i].loop);
		tmgr_future_fini(&server->workers[i].running);
		free(server->workers[i].arguments);
	}
	mq_broker_fini(&server->broker);
	pthread_mutex_destroy(&server->lock);
}

void server_add_tasks(struct server *server, struct tmgr_manager *manager)
{
	static char program[] = "minimq";
	char name[32];

	for (size_t i = 0; i < server->options.loops; i++) {
		snprintf(name, sizeof(name), "loop %zu", i + 1);
		tmgr_manager_add_task(
			manager, name, tmgr_loop_task(server->workers[i].loop), TMGR_STRICT);
	}
	tmgr_manager_add_task(manager, "acceptor", acceptor_task(server), TMGR_STRICT);
	if (isatty(STDERR_FILENO)) {
		tmgr_manager_add_task(manager, "status", status_task(server), TMGR_STRICT);
		tmgr_manager_observe(manager, TMGR_LEVEL_INFO, statusline_event, program);
	}
}

void server_print_summary(const struct server *server)
{
	struct mq_totals totals;

	mq_broker_totals(&server->broker, &totals);
	printf("connections %" PRIu64 ", commands %" PRIu64 ", published %" PRIu64
	       ", delivered %" PRIu64 ", dropped %" PRIu64 "\n",
		totals.connections, totals.commands, totals.published, totals.delivered,
		totals.dropped);
	if (totals.refused + totals.slow + totals.idle + totals.errors > 0)
		printf("refused %" PRIu64 ", too slow %" PRIu64 ", idle %" PRIu64
		       ", protocol errors %" PRIu64 "\n",
			totals.refused, totals.slow, totals.idle, totals.errors);
}
