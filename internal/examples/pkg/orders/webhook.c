/*
 * The webhook: one POST for each effect, with the effect's key in Idempotency-Key. That is made of the
 * order's and the event: the key of a step would be another when another step has to tell it again. It
 * waits with the context of the worker, so on a thread it blocks and on a loop it lets others run.
 */
#include "order.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ATTEMPT_NS (10 * TMGR_SECOND)
#define ANSWER_MAX 4096
#define PAYMENT_REQUIRED 402

static struct {
	bool given;
	struct sockaddr_storage address;
	socklen_t length;
	int family;
	char host[256];
	char path[256];
} webhook;

static int look_up(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		return -EINVAL;
	memcpy(&webhook.address, found->ai_addr, found->ai_addrlen);
	webhook.length = found->ai_addrlen;
	webhook.family = found->ai_family;
	freeaddrinfo(found);
	return 0;
}

int orders_set_webhook(const char *url)
{
	char host[sizeof(webhook.host)], port[8] = "80";
	const char *rest;
	int used = 0;

	webhook.given = url != NULL;
	if (!url)
		return 0;
	if (sscanf(url, "http://%255[^:/]%n", host, &used) != 1 || used == 0)
		return -EINVAL;
	rest = url + used;
	if (*rest == ':') {
		if (sscanf(rest, ":%5[0-9]%n", port, &used) != 1)
			return -EINVAL;
		rest += used;
	}
	if ((*rest && *rest != '/') || strlen(rest) >= sizeof(webhook.path) ||
		rest[strcspn(rest, " \r\n")])
		return -EINVAL;
	strcpy(webhook.host, host);
	strcpy(webhook.path, *rest ? rest : "/");
	return look_up(host, port);
}

/* ---- One request ---------------------------------------------------------------------------- */

struct call {
	struct tmgr_process *process;
	const struct order_effect *effect;
	int64_t deadline;
	char code[8]; /* of the answer, as text: the effect's result */
};

static int wait_for(const struct call *call, int fd, int events)
{
	int r = tmgr_wait_fd(tmgr_process_context(call->process), fd, events, call->deadline);

	return r < 0 ? r : 0;
}

static int connect_to(const struct call *call, int *ret_fd)
{
	int fd = socket(webhook.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(int);
	int error = 0, r;

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	if (connect(fd, (const struct sockaddr *)&webhook.address, webhook.length) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	r = wait_for(call, fd, TMGR_FD_WRITE);
	if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return -errno;
	return r < 0 ? r : -error;
}

static int send_all(const struct call *call, int fd, const char *text, size_t size)
{
	int r = 0;

	while (r == 0 && size > 0) {
		ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);

		if (sent >= 0) {
			text += sent;
			size -= (size_t)sent;
		} else if (errno == EAGAIN) {
			r = wait_for(call, fd, TMGR_FD_WRITE);
		} else if (errno != EINTR) {
			r = -errno;
		}
	}
	return r;
}

/* The code of an answer's first line: "HTTP/1.1 200 OK". */
static int code_of(const char *answer)
{
	const char *space = strchr(answer, ' ');
	char *end = NULL;
	long code = space ? strtol(space + 1, &end, 10) : 0;

	return strncmp(answer, "HTTP/", 5) == 0 && code >= 100 && code <= 599 && end == space + 4
		       ? (int)code
		       : -EPROTO;
}

/* Only the first line matters. */
static int read_code(struct call *call, int fd)
{
	char answer[ANSWER_MAX + 1] = "";
	size_t size = 0;
	int code = 0;

	while (size < ANSWER_MAX && !strchr(answer, '\n')) {
		ssize_t got = recv(fd, answer + size, ANSWER_MAX - size, 0);
		int r = 0;

		if (got == 0)
			return -ECONNRESET;
		if (got > 0)
			size += (size_t)got;
		else if (errno == EAGAIN)
			r = wait_for(call, fd, TMGR_FD_READ);
		else if (errno != EINTR)
			r = -errno;
		if (r < 0)
			return r;
		answer[size] = '\0';
	}
	code = code_of(answer);
	if (code < 0)
		return code;
	snprintf(call->code, sizeof(call->code), "%d", code);
	if (code == PAYMENT_REQUIRED || (code >= 200 && code < 300))
		return 0;
	return tmgr_process_fail(call->process, -EREMOTEIO, "the webhook answers %d", code);
}

/* An order that was stored before orders had keys goes on with those of its steps. */
static int request(const struct call *call, const char *key, char *text, size_t size)
{
	const struct order_effect *effect = call->effect;
	char body[256];
	int length = snprintf(body, sizeof(body),
		"{\"event\":\"%s\",\"order\":\"%s\",\"amount\":%" PRId64 "}\n", effect->event,
		effect->order, effect->amount);

	return snprintf(text, size,
		"POST %s HTTP/1.1\r\nHost: %s\r\nIdempotency-Key: %s.%s\r\n"
		"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: "
		"close\r\n\r\n%s",
		webhook.path, webhook.host, effect->key ? effect->key : key, effect->event, length,
		body);
}

static int post(void *self, const char *key, struct tmgr_bytes *ret)
{
	struct call *call = self;
	char text[2048];
	int length = request(call, key, text, sizeof(text));
	int fd = -1, r;

	if (length < 0 || (size_t)length >= sizeof(text))
		return -EMSGSIZE;
	r = connect_to(call, &fd);
	if (r == 0)
		r = send_all(call, fd, text, (size_t)length);
	if (r == 0)
		r = read_code(call, fd);
	if (fd >= 0)
		close(fd);
	if (r == 0)
		*ret = (struct tmgr_bytes){ call->code, strlen(call->code) };
	else if (r != -ECANCELED && r != -EREMOTEIO)
		tmgr_process_fail(call->process, r, "the webhook cannot be reached");
	return r;
}

int order__tell(struct tmgr_process *process, const struct order_effect *effect, int *ret_code)
{
	struct call call = { .process = process, .effect = effect };
	struct tmgr_bytes result = { 0 };
	int64_t limit = tmgr_process_deadline(process);
	int r;

	if (!webhook.given)
		return 0;
	call.deadline = tmgr_after(ATTEMPT_NS);
	if (call.deadline > limit)
		call.deadline = limit;
	r = tmgr_process_once(process, effect->event, post, &call, &result);
	if (r == 0 && ret_code)
		*ret_code = result.size > 0 ? (int)strtol(result.data, NULL, 10) : 0;
	return r;
}
