/*
 * What connecting, listening and serving share.
 */
#ifndef TMGR__LOOP_ENDPOINT_H
#define TMGR__LOOP_ENDPOINT_H

#include <taskmgr/tasks/endpoint.h>

#include "stream.h"

struct tmgr_listener {
	int fd;
	struct tmgr_stream_options stream;
	sa_family_t family;
	bool was_blocking;
	/* The file of a unix socket that is to be removed. */
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	dev_t device;
	ino_t inode;
};

/* The address of a unix socket: 0, -EINVAL (an empty path) or -ENAMETOOLONG. */
int tmgr__unix_address(const char *path, struct tmgr_address *ret_address);
/* The addresses of a numeric host: 0 or -EINVAL. */
int tmgr__numeric_address(const char *host, unsigned port, struct tmgr_address *ret_address);

#endif
