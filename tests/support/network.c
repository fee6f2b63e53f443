/*
 * The stand-ins for getaddrinfo() and connect(), see the Makefile and the file "wraps".
 */
#include "tests/support/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

int __real_getaddrinfo(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret);
int __wrap_getaddrinfo(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret);
int __real_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);

static struct {
	bool on;
	const char *addresses, *hangs;
	int error, connect_error;
	bool echoes;
	struct latch *hold;
	int asked, asking, at_once, connected;
} network;

/* Around all but the wait at the latch: a thread that asks may be there when a test is over. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void network_off(void)
{
	pthread_mutex_lock(&lock);
	memset(&network, 0, sizeof(network));
	pthread_mutex_unlock(&lock);
}

void network_answer(const char *addresses, int error, struct latch *hold)
{
	network_off();
	pthread_mutex_lock(&lock);
	network.addresses = addresses;
	network.error = error;
	network.hold = hold;
	network.on = true;
	pthread_mutex_unlock(&lock);
}

int network_asked(void)
{
	return network.asked;
}

int network_asked_at_once(void)
{
	return network.at_once;
}

void network_hang(const char *address)
{
	network.hangs = address;
}

void network_fail(int error)
{
	network.connect_error = error;
}

void network_echo(void)
{
	network.echoes = true;
}

int network_connected(void)
{
	return __atomic_load_n(&network.connected, __ATOMIC_SEQ_CST);
}

/* The system's own answers to each, one behind the other: it releases them one by one, too. */
static int answer(const struct addrinfo *hints, struct addrinfo **ret)
{
	char addresses[512], *rest = addresses, *one;
	struct addrinfo numeric = *hints;

	if (!network.addresses)
		return network.error;
	strncpy(addresses, network.addresses, sizeof(addresses) - 1);
	addresses[sizeof(addresses) - 1] = '\0';
	numeric.ai_flags = AI_NUMERICHOST;
	while ((one = strsep(&rest, " "))) {
		if (__real_getaddrinfo(one, NULL, &numeric, ret) != 0)
			return EAI_FAIL;
		while (*ret)
			ret = &(*ret)->ai_next;
	}
	return 0;
}

/* Whether the test is to answer, and what is waited for before. */
static bool begin(const struct addrinfo *hints, struct latch **ret_hold)
{
	bool on;

	pthread_mutex_lock(&lock);
	on = network.on && !(hints->ai_flags & AI_NUMERICHOST);
	if (on) {
		network.asked++;
		if (++network.asking > network.at_once)
			network.at_once = network.asking;
		*ret_hold = network.hold;
	}
	pthread_mutex_unlock(&lock);
	return on;
}

int __wrap_getaddrinfo(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	struct latch *hold;
	int r;

	if (!begin(hints, &hold))
		return __real_getaddrinfo(host, service, hints, ret);
	if (hold)
		latch_wait(hold);
	pthread_mutex_lock(&lock);
	r = answer(hints, ret);
	network.asking--;
	pthread_mutex_unlock(&lock);
	return r;
}

static bool hangs(const struct sockaddr *address)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (!network.hangs)
		return false;
	if (address->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
			text, sizeof(text));
	else if (address->sa_family == AF_INET6)
		inet_ntop(AF_INET6,
			&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, text,
			sizeof(text));
	return strcmp(text, network.hangs) == 0;
}

/*
 * A socket that was not connected hangs up at once; one that listens never does, and can no more be
 * written to than one that is connecting.
 */
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
	__atomic_fetch_add(&network.connected, 1, __ATOMIC_SEQ_CST);
	if (network.connect_error != 0) {
		errno = network.connect_error;
		return -1;
	}
	if (network.echoes && bind(fd, address, size) < 0)
		return -1;
	if (!hangs(address))
		return __real_connect(fd, address, size);
	if (listen(fd, 1) == 0)
		errno = EINPROGRESS;
	return -1;
}
