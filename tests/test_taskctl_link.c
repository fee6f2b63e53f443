/* taskctl process at a socket behind which the test is: for how long it waits for an answer, and for all of it. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tasks/inspector/taskctl_process.h"
#include "tests/support/leak.h"

/* ---- What stands beside the program's main ---------------------------------------------------- */

static char said[256]; /* the last error */

void taskctl_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(said, sizeof(said), format, arguments);
	va_end(arguments);
}

int taskctl_bad_usage(const char *usage)
{
	puts(usage);
	return TASKCTL_USAGE;
}

int taskctl_dispatch(const char *path, const struct taskctl_command *rows, int argc, char **argv)
{
	(void)path;
	while (rows->name && strcmp(rows->name, argv[0]) != 0)
		rows++;
	return rows->name ? rows->run(argc, argv) : TASKCTL_USAGE;
}

/* ---- The daemon ------------------------------------------------------------------------------ */

/* Both ends of the one connection are of this process. */
struct daemon {
	char directory[32], path[64];
	struct sockaddr_un address;
	int listener;
	pthread_t thread;
	const char *answer;
	struct timeval silence; /* after which the client gives up; zero: never */
	int r;
};

static int listen_at(struct daemon *daemon)
{
	struct sockaddr_un *address = &daemon->address;

	strcpy(daemon->directory, "/tmp/link.XXXXXX");
	if (!mkdtemp(daemon->directory))
		return -errno;
	snprintf(daemon->path, sizeof(daemon->path), "%s/socket", daemon->directory);
	address->sun_family = AF_UNIX;
	strcpy(address->sun_path, daemon->path);
	daemon->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(daemon->listener, (struct sockaddr *)address, sizeof(*address)) < 0 ||
		listen(daemon->listener, 1) < 0)
		return -errno;
	return 0;
}

/* The descriptor of the client, whose peer has the path. */
static int client_of(const struct daemon *daemon)
{
	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_un peer = { .sun_family = 0 };
		socklen_t size = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
			peer.sun_family == AF_UNIX && strcmp(peer.sun_path, daemon->path) == 0)
			return fd;
	}
	return -1;
}

/* Look at the client while it waits, and answer. */
static void *answer(void *self)
{
	struct daemon *daemon = self;
	socklen_t size = sizeof(daemon->silence);
	char request[512];
	int fd = accept(daemon->listener, NULL, NULL);

	daemon->r = -1;
	if (recv(fd, request, sizeof(request), 0) > 0)
		daemon->r = getsockopt(
			client_of(daemon), SOL_SOCKET, SO_RCVTIMEO, &daemon->silence, &size);
	send(fd, daemon->answer, strlen(daemon->answer), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

#define END "{\"kind\":\"end\",\"error\":0,\"text\":\"\",\"sequence\":0}\n"

/* A command, to a daemon that answers so: what it gives, and for how long it would have waited. */
static int run(const char *answer_text, char *command, char *word, struct timeval *ret_silence)
{
	struct daemon daemon = { .listener = -1, .answer = answer_text };
	int r;
	char option[] = "--socket";
	char *argv[] = { command, option, daemon.path, word, NULL };

	assert_int_equal(listen_at(&daemon), 0);
	assert_int_equal(pthread_create(&daemon.thread, NULL, answer, &daemon), 0);
	said[0] = '\0';
	r = taskctl_process(4, argv);
	assert_int_equal(pthread_join(daemon.thread, NULL), 0);
	assert_int_equal(daemon.r, 0);
	close(daemon.listener);
	unlink(daemon.path);
	assert_int_equal(rmdir(daemon.directory), 0);
	*ret_silence = daemon.silence;
	return r;
}

static struct timeval silence_of(char *command, char *word)
{
	struct timeval silence;

	assert_int_equal(run(END, command, word, &silence), TASKCTL_DONE);
	assert_string_equal(said, "");
	return silence;
}

static void a_backup_is_waited_for_until_it_is_made_and_nothing_else(void **state)
{
	char backup[] = "backup", copy[] = "copy.db", other[] = "close", channel[] = "/in";

	(void)state;
	assert_int_equal(silence_of(backup, copy).tv_sec, 0);
	assert_int_equal(silence_of(other, channel).tv_sec, 30);
}

/* It may have been killed: nobody knows what has become of the request. */
static void a_daemon_that_closes_before_the_end_of_its_answer_is_an_error(void **state)
{
	static const char *const answers[] = { "", "{\"kind\":\"channel\"}\n",
		"{\"kind\":\"end\"" };
	char close_word[] = "close", channel[] = "/in";
	struct timeval silence;

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		assert_int_equal(run(answers[i], close_word, channel, &silence), TASKCTL_FAILED);
		assert_string_not_equal(said, "");
	}
}

/* What a command printed of this answer. */
static const char *shown(const char *answer_text, char *command, char *word)
{
	static char text[1024];
	FILE *file = tmpfile();
	struct timeval silence;
	int out = dup(STDOUT_FILENO);

	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	assert_int_equal(run(answer_text, command, word, &silence), TASKCTL_DONE);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	rewind(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

#define PROCESS(more) "{\"kind\":\"process\",\"id\":\"p\",\"status\":\"active\"" more "}\n" END

/* However it stands in the file: that is what somebody looks for. */
static void a_process_whose_method_does_not_return_is_shown_as_stuck(void **state)
{
	char show[] = "show", id[] = "p";

	(void)state;
	assert_non_null(strstr(shown(PROCESS(""), show, id), "status      active since "));
	assert_non_null(
		strstr(shown(PROCESS(",\"stuck\":true"), show, id), "status      stuck since "));
	assert_non_null(strstr(
		shown(PROCESS(",\"cancelled\":true"), show, id), "status      cancelling since "));
	assert_non_null(strstr(shown(PROCESS(",\"stuck\":true,\"cancelled\":true"), show, id),
		"status      stuck since "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_backup_is_waited_for_until_it_is_made_and_nothing_else),
		leak_test(a_daemon_that_closes_before_the_end_of_its_answer_is_an_error),
		leak_test(a_process_whose_method_does_not_return_is_shown_as_stuck),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
