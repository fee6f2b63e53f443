/*
 * Connecting.
 *
 * The addresses of a host are tried as RFC 8305 says: of the two families in turn, each a while
 * after the one before, or at once when that failed; the first that answers is kept. The attempts
 * are watched together by an epoll descriptor, which is waited for like any other.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <taskmgr/tasks/endpoint.h>

#include "endpoint.h"

#define STAGGER_NS (250 * TMGR_MILLISECOND)
/* How often a unix socket is tried again whose queue is full. */
#define FULL_NS (10 * TMGR_MILLISECOND)
/* Addresses of one host that are tried. */
#define ATTEMPTS_MAX 16

struct race {
	struct tmgr_context *context;
	const struct tmgr_address *order[ATTEMPTS_MAX];
	int fds[ATTEMPTS_MAX]; /* connecting, or -1 */
	size_t count, begun, open;
	int epoll;    /* watches fds where there are several; else -1 */
	int64_t next; /* when the next is tried */
	int64_t stagger_ns, deadline;
	int error;  /* of the last that failed */
	int winner; /* connected, or -1 */
};

/* A connection to itself: the system chose the port that was asked for as the one to come from. */
static bool is_own_echo(int fd)
{
	struct tmgr_address here = { .size = sizeof(here.to) },
			    there = { .size = sizeof(there.to) };

	return getsockname(fd, &here.to.any, &here.size) == 0 &&
	       getpeername(fd, &there.to.any, &there.size) == 0 && here.size == there.size &&
	       here.to.any.sa_family != AF_UNIX && memcmp(&here.to, &there.to, here.size) == 0;
}

/* How an attempt that has ended did. */
static int outcome(int fd)
{
	socklen_t size = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	if (error != 0)
		return -error;
	return is_own_echo(fd) ? -ECONNREFUSED : 0;
}

static int open_socket(const struct tmgr_address *address)
{
	int fd = socket(address->to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* ---- One of several ------------------------------------------------------------------------- */

static int watch(struct race *race, size_t i)
{
	struct epoll_event event = { .events = EPOLLOUT, .data = { .u64 = i } };

	if (race->count == 1)
		return 0;
	if (race->epoll < 0)
		race->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (race->epoll < 0 || epoll_ctl(race->epoll, EPOLL_CTL_ADD, race->fds[i], &event) < 0)
		return -errno;
	return 0;
}

/* It has failed; the next may begin. */
static void lose(struct race *race, size_t i, int error)
{
	race->error = error;
	race->next = TMGR_NOW;
	if (race->fds[i] < 0)
		return;
	close(race->fds[i]);
	race->fds[i] = -1;
	race->open--;
}

static void win(struct race *race, size_t i)
{
	race->winner = race->fds[i];
	race->fds[i] = -1;
	race->open--;
}

static void begin_next(struct race *race)
{
	size_t i = race->begun++;
	const struct tmgr_address *address = race->order[i];
	int fd = open_socket(address), r;

	race->fds[i] = fd < 0 ? -1 : fd;
	if (fd < 0) {
		lose(race, i, fd);
		return;
	}
	race->open++;
	race->next = tmgr_after(race->stagger_ns);
	r = connect(fd, &address->to.any, address->size) < 0 ? -errno : outcome(fd);
	if (r == -EINPROGRESS || r == -EINTR)
		r = watch(race, i);
	else if (r == 0) {
		win(race, i);
		return;
	}
	if (r < 0)
		lose(race, i, r);
}

static void end_attempt(struct race *race, size_t i)
{
	int r = outcome(race->fds[i]);

	if (r == 0 && race->winner < 0)
		win(race, i);
	else if (r < 0)
		lose(race, i, r);
}

/* Look which attempts have ended. */
static void see(struct race *race)
{
	struct epoll_event events[ATTEMPTS_MAX];
	int n;

	if (race->count == 1) {
		end_attempt(race, 0);
		return;
	}
	n = epoll_wait(race->epoll, events, ATTEMPTS_MAX, 0);
	for (int i = 0; i < n; i++)
		end_attempt(race, (size_t)events[i].data.u64);
}

static int wait_for_one(struct race *race)
{
	bool more = race->begun < race->count;
	int64_t until = more && race->next < race->deadline ? race->next : race->deadline;
	int r;

	if (race->count == 1)
		r = tmgr_wait_fd(race->context, race->fds[0], TMGR_FD_WRITE, until);
	else
		r = tmgr_wait_fd(race->context, race->epoll, TMGR_FD_READ, until);
	if (r > 0)
		see(race);
	/* Time for the next; else the caller's deadline. */
	if (r == -ETIMEDOUT && until < race->deadline && tmgr_now() >= until)
		return 0;
	return r < 0 ? r : 0;
}

static int run_race(struct race *race)
{
	int r = tmgr_context_interrupted(race->context);

	while (r == 0 && race->winner < 0) {
		if (race->begun < race->count && (race->open == 0 || tmgr_now() >= race->next))
			begin_next(race);
		else if (race->open == 0)
			r = race->error;
		else
			r = wait_for_one(race);
	}
	for (size_t i = 0; i < race->begun; i++)
		if (race->fds[i] >= 0)
			close(race->fds[i]);
	if (race->epoll >= 0)
		close(race->epoll);
	return r;
}

/* Of the two families in turn, beginning with that of the first, each in the order given. */
static void put_in_order(struct race *race, const struct tmgr_addresses *addresses)
{
	size_t at[2] = { 0, 0 };
	sa_family_t first = addresses->list[0].to.any.sa_family;
	int turn = 0;

	while (race->count < ATTEMPTS_MAX &&
		(at[0] < addresses->count || at[1] < addresses->count)) {
		size_t *i = &at[turn];

		while (*i < addresses->count &&
			(addresses->list[*i].to.any.sa_family != first) != turn)
			++*i;
		if (*i < addresses->count)
			race->order[race->count++] = &addresses->list[(*i)++];
		turn = !turn;
	}
}

static int connect_tcp(struct tmgr_context *context, const struct tmgr_endpoint *endpoint,
	int64_t stagger_ns, int64_t deadline)
{
	struct race race = {
		.context = context,
		.epoll = -1,
		.winner = -1,
		.stagger_ns = stagger_ns,
		.deadline = deadline,
	};
	struct tmgr_addresses *addresses;
	int r = tmgr_resolve(context, endpoint->host, endpoint->port, deadline, &addresses);

	if (r < 0)
		return r;
	put_in_order(&race, addresses);
	r = run_race(&race);
	tmgr_addresses_destroy(addresses);
	return r < 0 ? r : race.winner;
}

/* ---- Unix sockets --------------------------------------------------------------------------- */

int tmgr__unix_address(const char *path, struct tmgr_address *ret_address)
{
	size_t length = strlen(path);

	if (length == 0)
		return -EINVAL;
	if (length >= sizeof(ret_address->to.un.sun_path))
		return -ENAMETOOLONG;
	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->to.un.sun_family = AF_UNIX;
	memcpy(ret_address->to.un.sun_path, path, length);
	ret_address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	/* A path's size counts its end, an abstract name's does not. */
	if (path[0] == '@')
		ret_address->to.un.sun_path[0] = '\0';
	else
		ret_address->size++;
	return 0;
}

/* Such a socket is connected at once or not, but for a full queue, which cannot be waited for. */
static int connect_unix(struct tmgr_context *context, const char *path, int64_t deadline)
{
	struct tmgr_address address;
	int r = tmgr__unix_address(path, &address), fd;

	if (r == 0)
		r = tmgr_context_interrupted(context);
	if (r < 0)
		return r;
	fd = open_socket(&address);
	if (fd < 0)
		return fd;
	while (connect(fd, &address.to.any, address.size) < 0) {
		r = errno == EINTR ? 0 : -errno;
		if (r == -EAGAIN)
			r = tmgr_now() < deadline ? tmgr_sleep(context, FULL_NS) : -ETIMEDOUT;
		if (r < 0) {
			close(fd);
			return r;
		}
	}
	return fd;
}

/* ---- Public --------------------------------------------------------------------------------- */

int tmgr_connect(struct tmgr_context *context, const struct tmgr_endpoint *endpoint,
	const struct tmgr_connect_options *options, int64_t deadline,
	struct tmgr_stream **ret_stream)
{
	int64_t stagger_ns = options && options->stagger_ns != 0 ? options->stagger_ns : STAGGER_NS;
	const struct tmgr_stream_options *of_stream = options ? &options->stream : NULL;
	int fd;

	if (!endpoint || !ret_stream || stagger_ns < 0 || !endpoint->host == !endpoint->unix_path ||
		(endpoint->host && !endpoint->port))
		return -EINVAL;
	if (endpoint->unix_path)
		fd = connect_unix(context, endpoint->unix_path, deadline);
	else
		fd = connect_tcp(context, endpoint, stagger_ns, deadline);
	if (fd < 0)
		return fd;
	if (endpoint->host)
		tmgr__stream_set_delay(fd, of_stream);
	return tmgr__stream_create(fd, TMGR__STREAM_SOCKET, of_stream, ret_stream);
}

int tmgr_stream_peer(const struct tmgr_stream *stream, struct tmgr_address *ret_address)
{
	struct tmgr_address address = { .size = sizeof(address.to) };

	if (!stream || !ret_address)
		return -EINVAL;
	if (getpeername(stream->io.fd, &address.to.any, &address.size) < 0)
		return -errno;
	*ret_address = address;
	return 0;
}
