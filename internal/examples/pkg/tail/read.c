#include "read.h"

#include <errno.h>
#include <unistd.h>

ssize_t tail_read(int fd, void *bytes, size_t length, int64_t offset)
{
	size_t have = 0;

	while (have < length) {
		ssize_t n = pread(fd, (char *)bytes + have, length - have, offset + (int64_t)have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}
