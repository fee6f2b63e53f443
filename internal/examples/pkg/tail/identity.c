#include "identity.h"

#include <errno.h>

#include "read.h"

uint64_t tail_head_hash(const void *bytes, size_t length)
{
	const unsigned char *byte = bytes;
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, 64 bit */

	for (unsigned shift = 0; shift < 64; shift += 8)
		hash = (hash ^ (((uint64_t)length >> shift) & 0xff)) * 0x100000001b3u;
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ byte[i]) * 0x100000001b3u;
	return hash;
}

int tail_identity_read(int fd, struct tail_identity *ret_identity, struct stat *ret_stat)
{
	unsigned char head[TAIL_HEAD_MAX];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	n = tail_read(fd, head, sizeof(head), 0);
	if (n < 0)
		return (int)n;
	*ret_identity = (struct tail_identity){
		.device = st.st_dev,
		.inode = st.st_ino,
		.head_length = (uint32_t)n,
		.head_hash = tail_head_hash(head, (size_t)n),
	};
	if (ret_stat)
		*ret_stat = st;
	return 0;
}

int tail_head_matches(int fd, const struct tail_identity *identity)
{
	unsigned char head[TAIL_HEAD_MAX];
	ssize_t n;

	if (identity->head_length > sizeof(head))
		return -EINVAL;
	n = tail_read(fd, head, identity->head_length, 0);
	if (n < 0)
		return (int)n;
	return n == (ssize_t)identity->head_length &&
	       tail_head_hash(head, (size_t)n) == identity->head_hash;
}

int tail_identity_extend(int fd, struct tail_identity *identity)
{
	unsigned char head[TAIL_HEAD_MAX];
	ssize_t n = tail_read(fd, head, sizeof(head), 0);

	if (n < 0)
		return (int)n;
	if (n < (ssize_t)identity->head_length ||
		tail_head_hash(head, identity->head_length) != identity->head_hash)
		return 0;
	if (n > (ssize_t)identity->head_length) {
		identity->head_length = (uint32_t)n;
		identity->head_hash = tail_head_hash(head, (size_t)n);
	}
	return 1;
}
