/*
 * Resolving names: getaddrinfo() on threads of its own, since it may block for long and cannot be
 * interrupted.
 *
 * A request belongs to two, who asked and the thread that answers, and is released by the second to
 * let go; so who asked can leave at any time, and a late answer is dropped. The queue and the
 * number of threads are under one lock. A thread is made for a request when there are fewer than
 * THREADS_MAX, and ends when nothing is queued; nobody joins it.
 */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/future.h>
#include <taskmgr/tasks/resolve.h>

#include "endpoint.h"
#include "taskmgr/base/list.h"
#include "taskmgr/base/sync.h"

#define THREADS_MAX 4
#define HOST_MAX 255

struct request {
	struct tmgr__list node;
	struct tmgr_future done; /* with an error, or with addresses */
	uint32_t refs;           /* atomic */
	unsigned port;
	struct tmgr_addresses *addresses;
	char host[HOST_MAX + 1];
};

static struct tmgr__lock lock;
static struct tmgr__list queue = { &queue, &queue };
static int threads;

/* A child has none of the threads, and nobody waits for what was asked before. */
static void begin_anew(void)
{
	lock.word = 0;
	tmgr__list_init(&queue);
	threads = 0;
}

static void prepare_for_forks(void)
{
	pthread_atfork(NULL, NULL, begin_anew);
}

/* ---- Addresses ------------------------------------------------------------------------------ */

static int error_of(int code)
{
	switch (code) {
	case 0:
		return 0;
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return -ENOENT;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return errno == ENOMEM || errno == EMFILE || errno == ENFILE ? -errno : -EIO;
	default:
		return -EIO;
	}
}

static void set_port(struct tmgr_address *address, unsigned port)
{
	if (address->to.any.sa_family == AF_INET)
		address->to.in.sin_port = htons((uint16_t)port);
	else
		address->to.in6.sin6_port = htons((uint16_t)port);
}

static bool is_internet(const struct addrinfo *info)
{
	return info->ai_family == AF_INET || info->ai_family == AF_INET6;
}

static void convert(const struct addrinfo *info, unsigned port, struct tmgr_address *address)
{
	memset(address, 0, sizeof(*address));
	memcpy(&address->to, info->ai_addr, info->ai_addrlen);
	address->size = info->ai_addrlen;
	set_port(address, port);
}

/* One block of memory, or NULL. */
static struct tmgr_addresses *allocate(size_t count)
{
	struct tmgr_addresses *addresses = malloc(
		sizeof(*addresses) + count * sizeof(addresses->list[0]));

	if (addresses)
		addresses->list = (struct tmgr_address *)(void *)(addresses + 1);
	return addresses;
}

static int copy(const struct addrinfo *found, unsigned port, struct tmgr_addresses **ret_addresses)
{
	struct tmgr_addresses *addresses;
	const struct addrinfo *info;
	size_t count = 0;

	for (info = found; info; info = info->ai_next)
		count += is_internet(info);
	if (count == 0)
		return -ENOENT;
	addresses = allocate(count);
	if (!addresses)
		return -ENOMEM;
	addresses->count = 0;
	for (info = found; info; info = info->ai_next)
		if (is_internet(info))
			convert(info, port, &addresses->list[addresses->count++]);
	*ret_addresses = addresses;
	return 0;
}

static int look_up(
	const char *host, unsigned port, int flags, struct tmgr_addresses **ret_addresses)
{
	struct addrinfo hints = { .ai_flags = flags, .ai_socktype = SOCK_STREAM }, *found = NULL;
	int r = error_of(getaddrinfo(host, NULL, &hints, &found));

	if (r < 0)
		return r;
	r = copy(found, port, ret_addresses);
	freeaddrinfo(found);
	return r;
}

int tmgr__numeric_address(const char *host, unsigned port, struct tmgr_address *ret_address)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;

	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		return -EINVAL;
	convert(found, port, ret_address);
	freeaddrinfo(found);
	return 0;
}

/* ---- Threads -------------------------------------------------------------------------------- */

static void unref(struct request *request, uint32_t refs)
{
	if (__atomic_sub_fetch(&request->refs, refs, __ATOMIC_ACQ_REL) > 0)
		return;
	tmgr_future_fini(&request->done);
	free(request->addresses);
	free(request);
}

/* The next request, or NULL: then the thread that asks has ended. */
static struct request *next_request(void)
{
	struct tmgr__list *node;

	tmgr__lock_acquire(&lock);
	node = tmgr__list_pop(&queue);
	if (!node)
		threads--;
	tmgr__lock_release(&lock);
	return node ? container_of(node, struct request, node) : NULL;
}

static void *answer(void *self)
{
	struct request *request;

	while ((request = next_request())) {
		int r = look_up(request->host, request->port, 0, &request->addresses);

		tmgr_future_complete(&request->done, r, NULL);
		unref(request, 1);
	}
	return NULL;
}

static int make_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all;
	int r;

	sigfillset(&all);
	if (pthread_attr_init(&attributes) != 0)
		return -ENOMEM;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	r = pthread_attr_setsigmask_np(&attributes, &all);
	if (r == 0)
		r = pthread_create(&thread, &attributes, answer, NULL);
	pthread_attr_destroy(&attributes);
	return -r;
}

/* Take a request back that no thread has taken; whether that was possible. */
static bool take_back(struct request *request)
{
	bool queued;

	tmgr__lock_acquire(&lock);
	queued = !tmgr__list_empty(&request->node);
	tmgr__list_remove(&request->node);
	tmgr__lock_release(&lock);
	return queued;
}

/* No thread could be made. Those that there are will come to what is queued; without one nobody. */
static void give_up(int error)
{
	struct tmgr__list left, *node;

	tmgr__list_init(&left);
	tmgr__lock_acquire(&lock);
	if (--threads == 0)
		tmgr__list_splice(&left, &queue);
	tmgr__lock_release(&lock);
	/* Who asked may take it back meanwhile, but does so under the lock. */
	for (;;) {
		tmgr__lock_acquire(&lock);
		node = tmgr__list_pop(&left);
		tmgr__lock_release(&lock);
		if (!node)
			return;
		tmgr_future_complete(&container_of(node, struct request, node)->done, error, NULL);
		unref(container_of(node, struct request, node), 1);
	}
}

static void submit(struct request *request)
{
	bool needed;
	int r;

	tmgr__lock_acquire(&lock);
	tmgr__list_append(&queue, &request->node);
	needed = threads < THREADS_MAX;
	threads += needed;
	tmgr__lock_release(&lock);
	r = needed ? make_thread() : 0;
	if (r < 0)
		give_up(r);
}

/* On a thread of the resolver. Lets go of the request. */
static int ask(struct tmgr_context *context, struct request *request, int64_t deadline,
	struct tmgr_addresses **ret_addresses)
{
	uint32_t refs = 1;
	int error, r;

	submit(request);
	r = tmgr_future_wait(context, &request->done, deadline);
	if (r == 0)
		r = tmgr_future_result(&request->done, &error, NULL);
	else if (take_back(request))
		refs = 2;
	if (r == 0)
		r = error;
	if (r == 0) {
		*ret_addresses = request->addresses;
		request->addresses = NULL;
	}
	unref(request, refs);
	return r;
}

/* ---- Public --------------------------------------------------------------------------------- */

int tmgr_resolve(struct tmgr_context *context, const char *host, unsigned port, int64_t deadline,
	struct tmgr_addresses **ret_addresses)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct request *request;
	size_t length;
	int r;

	if (!host || !ret_addresses || port > 65535)
		return -EINVAL;
	length = strnlen(host, HOST_MAX + 1);
	if (length == 0 || length > HOST_MAX)
		return -EINVAL;
	r = tmgr_context_interrupted(context);
	if (r == 0)
		r = look_up(host, port, AI_NUMERICHOST, ret_addresses);
	if (r != -ENOENT)
		return r;
	pthread_once(&once, prepare_for_forks);
	request = calloc(1, sizeof(*request));
	if (!request)
		return -ENOMEM;
	request->refs = 2;
	request->port = port;
	memcpy(request->host, host, length);
	return ask(context, request, deadline, ret_addresses);
}

void tmgr_addresses_destroy(struct tmgr_addresses *addresses)
{
	free(addresses);
}
