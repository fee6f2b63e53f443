/* Bytes that several hold: a value, a message on its way to many. Never written once shared. */
#ifndef MQ_BLOB_H
#define MQ_BLOB_H

#include <stdatomic.h>
#include <stddef.h>

struct mq_blob {
	atomic_uint refs;
	size_t size;
	char bytes[];
};

/** One reference is the caller's; the bytes are to be written. NULL: out of memory. */
struct mq_blob *mq_blob_create(size_t size);
struct mq_blob *mq_blob_copy(const char *bytes, size_t size);
struct mq_blob *mq_blob_ref(struct mq_blob *blob);
void mq_blob_unref(struct mq_blob *blob); /* NULL does nothing */

#endif
