/**
 * @file
 * Names of hosts to addresses, without blocking a loop.
 */
#ifndef TMGR_TASKS_RESOLVE_H
#define TMGR_TASKS_RESOLVE_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <taskmgr/context.h>

/** Where a socket is bound or connected to. */
struct tmgr_address {
	socklen_t size; /**< of what is used of the union, bytes */
	/** by its family */
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} to;
};

/** The addresses of a host, in the order in which to try them. */
struct tmgr_addresses {
	size_t count;              /**< above 0 */
	struct tmgr_address *list; /**< count of them */
};

TMGR_BEGIN_DECLS

/**
 * The addresses of a host for TCP: at once for a numeric one, else by the system's resolver, on a
 * thread of its own. There are at most four such threads in a process; each ends when nothing is
 * left to resolve, and nothing waits for it. A caller that is cancelled or late returns at once;
 * the resolver's answer is then dropped when it comes.
 *
 * @param context        the task's, or NULL
 * @param host           a name or a numeric address; copied
 * @param port           1 to 65535; 0 leaves it open
 * @param deadline       absolute, monotonic, nanoseconds
 * @param ret_addresses  returned, release with tmgr_addresses_destroy()
 *
 * @retval 0           resolved
 * @retval -ENOENT     there is no such host, or it has no address
 * @retval -EAGAIN     no name server answered, or no thread could be made; later it may work
 * @retval -EIO        the resolver failed
 * @retval -ECANCELED  the token fired first
 * @retval -ETIMEDOUT  the deadline came first
 * @retval -ENOMEM     out of memory
 * @retval -EINVAL     host or ret_addresses is NULL, host is empty or longer than 255 bytes, or
 *                     port is out of range
 *
 * @thread the task's; may block; cancellation point
 */
TMGR_API int tmgr_resolve(struct tmgr_context *context, const char *host, unsigned port,
	int64_t deadline, struct tmgr_addresses **ret_addresses);

/**
 * Release addresses.
 *
 * @param addresses  taken; NULL does nothing
 *
 * @thread any thread
 */
TMGR_API void tmgr_addresses_destroy(struct tmgr_addresses *addresses);

TMGR_END_DECLS

#endif
