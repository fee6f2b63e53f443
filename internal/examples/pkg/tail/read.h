/* Reading a file at an offset, whole. */
#ifndef TAIL_READ_H
#define TAIL_READ_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** pread until `length` bytes or the end of the file: the count, or -errno. */
ssize_t tail_read(int fd, void *bytes, size_t length, int64_t offset);

#endif
