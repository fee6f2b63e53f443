/*
 * Two tasks: one listens on a TCP port of the loopback address, one serves it. Whoever connects is
 * sent the date (RFC 867).
 *
 * They are two because dropping privileges belongs between their initializes.
 */
#ifndef PRIVILEGES_DAYTIME_H
#define PRIVILEGES_DAYTIME_H

#include <stdint.h>

#include <taskmgr/task.h>

struct daytime {
	uint16_t port; /* set by the caller */
	int fd;        /* -1 but between the listener's initialize and its cleanup */
};

/* Opens and closes the socket. daytime is borrowed until the manager is destroyed. */
struct tmgr_task daytime_listener_task(struct daytime *daytime);

/* Accepts, and adds an execute-task for each connection. */
struct tmgr_task daytime_server_task(struct daytime *daytime);

#endif
