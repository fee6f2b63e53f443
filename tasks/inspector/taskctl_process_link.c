/* The way to processes: a socket, over which lines go, or a file, which is opened here. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <taskmgr/time.h>

#include "taskctl_process.h"

#define REQUEST_NS (10 * TMGR_SECOND)
/* A daemon answers in less than it gives a request; but a backup takes as long as there is to be copied. */
#define SILENCE_S 30

struct taskctl_link {
	FILE *in;                         /* of the socket */
	int fd;                           /* the same */
	struct tmgr_processes *processes; /* of the file */
	char *line;
	size_t capacity;
};

static int say(int error, const char *what, const char *path)
{
	taskctl_error("%s: %s%s", path, what, tmgr_strerror(error));
	return error;
}

static int connect_to(const char *path, bool patient, int *ret_fd)
{
	const struct timeval silence = { .tv_sec = SILENCE_S };
	const struct timeval answer = { .tv_sec = patient ? 0 : SILENCE_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &answer, sizeof(answer)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence)) < 0 ||
		connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	*ret_fd = fd;
	return 0;
}

static int open_socket(struct taskctl_link *link, const struct taskctl_where *where)
{
	const char *path = where->socket;
	int fd = -1;
	int r = connect_to(path, where->patient, &fd);

	if (r == -ENOENT || r == -ECONNREFUSED)
		return say(r, "no daemon is there: ", path);
	if (r < 0)
		return say(r, "", path);
	link->in = fdopen(fd, "r");
	if (!link->in) {
		close(fd);
		return say(-ENOMEM, "", path);
	}
	link->fd = fd;
	return 0;
}

int taskctl_link_open(
	const struct taskctl_where *where, bool changes, struct taskctl_link **ret_link)
{
	struct taskctl_link *link = calloc(1, sizeof(*link));
	int r;

	if (!link)
		return say(-ENOMEM, "", "taskctl");
	r = where->socket ? open_socket(link, where)
			  : taskctl_file_open(where->file, changes, &link->processes);
	if (r < 0)
		taskctl_link_close(link);
	else
		*ret_link = link;
	return r;
}

int taskctl_link_close(struct taskctl_link *link)
{
	int r = 0;

	if (!link)
		return 0;
	if (link->in)
		fclose(link->in);
	if (link->processes)
		r = taskctl_file_close(link->processes);
	free(link->line);
	free(link);
	return r;
}

/* ---- Asking --------------------------------------------------------------------------------- */

struct reading {
	struct taskctl_visit *visit;
	bool ended;
	int error; /* of the end */
	char text[TMGR_PROCESS_TEXT_SIZE];
};

static int visit_record(
	struct reading *reading, const struct tmgr__process_record *record, const char *text)
{
	struct taskctl_visit *visit = reading->visit;

	if (record->kind && strcmp(record->kind, "end") == 0) {
		reading->ended = true;
		reading->error = record->error;
		visit->sequence = record->sequence;
		snprintf(reading->text, sizeof(reading->text), "%s",
			record->text ? record->text : "");
		return 0;
	}
	return visit->record && record->kind ? visit->record(visit->self, record, text) : 0;
}

static int read_record(void *self, const char *text, size_t size)
{
	struct tmgr_state_memory *memory = NULL;
	void *record = NULL;
	int r = tmgr_state_memory_create(&memory);

	if (r == 0)
		r = tmgr_state_decode(memory, &tmgr__process_record_state, text, size, &record);
	if (r == 0)
		r = visit_record(self, record, text);
	tmgr_state_memory_destroy(memory);
	return r;
}

static int read_answer(struct taskctl_link *link, struct reading *reading)
{
	int r = 0;

	while (r == 0 && !reading->ended) {
		ssize_t size;

		errno = 0;
		size = getline(&link->line, &link->capacity, link->in);
		if (size < 0)
			return errno == EAGAIN ? -ETIMEDOUT : errno ? -errno : -ECONNRESET;
		if (size > 0 && link->line[size - 1] == '\n')
			link->line[--size] = '\0';
		r = read_record(reading, link->line, (size_t)size);
	}
	return r;
}

static int send_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		text += sent > 0 ? sent : 0;
		size -= sent > 0 ? (size_t)sent : 0;
	}
	return 0;
}

/* A daemon that takes no request may have said why before it closed. */
static int ask_socket(
	struct taskctl_link *link, const char *request, size_t size, struct reading *reading)
{
	int r = send_all(link->fd, request, size);

	if (r == 0)
		r = send_all(link->fd, "\n", 1);
	return r < 0 && r != -EPIPE ? r : read_answer(link, reading);
}

static int ask_file(
	struct taskctl_link *link, const char *request, size_t size, struct reading *reading)
{
	const struct tmgr__process_out out = {
		.line = read_record, .self = reading, .request_ns = REQUEST_NS
	};

	return tmgr__process_answer(NULL, link->processes, request, size, &out);
}

int taskctl_link_ask(
	struct taskctl_link *link, struct tmgr__process_ask *ask, struct taskctl_visit *visit)
{
	struct taskctl_visit ignored = { 0 };
	struct reading reading = { .visit = visit ? visit : &ignored };
	struct tmgr_state_memory *memory = NULL;
	const char *request = NULL;
	size_t size = 0;
	int r = tmgr_state_memory_create(&memory);
	int wrong = 0; /* with the request */

	if (r == 0)
		wrong = r = tmgr_state_encode(
			memory, &tmgr__process_ask_state, ask, &request, &size);
	if (r == 0)
		r = link->processes ? ask_file(link, request, size, &reading)
				    : ask_socket(link, request, size, &reading);
	if (r < 0)
		taskctl_error("%s", wrong < 0 ? tmgr_state_error(memory) : tmgr_strerror(r));
	else if (reading.error < 0)
		taskctl_error("%s", reading.text);
	tmgr_state_memory_destroy(memory);
	return r < 0 ? r : reading.error;
}
