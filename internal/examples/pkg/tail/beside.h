/* The files beside a path that rotation may have made of it: file.1, file-20260101, ... */
#ifndef TAIL_BESIDE_H
#define TAIL_BESIDE_H

#include "identity.h"

#include <limits.h>

#define TAIL_SIBLINGS_MAX 4096

struct tail_sibling {
	uint64_t device;
	uint64_t inode;
	int64_t size;
	int64_t mtime_ns;
	bool numbered; /* the name goes on with digits only, as logrotate gives them */
	char name[NAME_MAX + 1];
};

struct tail_beside {
	int directory_fd;
	size_t count;
	struct tail_sibling *siblings; /* oldest modification first */
};

/**
 * Is this the name of a file that `base` was rotated to, as logrotate names them?
 *
 * `base` followed by `.` or `-` and digits, dots, dashes, underscores, colons and `T` or `Z`.
 */
bool tail_rotated_name(const char *base, const char *name);

/**
 * List the regular files in the same directory whose name begins with the path's last part, but for
 * the path itself and for compressed files.
 *
 * The list is of one moment: it is read again while the directory changes under it.
 *
 * @retval 0        listed; release with tail_beside_fini()
 * @retval -EAGAIN  the directory changed all the time
 * @retval -ENOMEM  out of memory
 * @retval -errno   of opening or reading the directory
 */
int tail_beside_init(struct tail_beside *beside, const char *path);

/**
 * Open a listed file.
 *
 * @return a descriptor, -ESTALE if the name is another file's now, or -errno
 */
int tail_beside_open(const struct tail_beside *beside, const struct tail_sibling *sibling);

void tail_beside_fini(struct tail_beside *beside);

#endif
