#include "blob.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct mq_blob *mq_blob_create(size_t size)
{
	struct mq_blob *blob;

	if (size > SIZE_MAX / 2)
		return NULL;
	blob = malloc(sizeof(*blob) + size);
	if (!blob)
		return NULL;
	atomic_init(&blob->refs, 1);
	blob->size = size;
	return blob;
}

struct mq_blob *mq_blob_copy(const char *bytes, size_t size)
{
	struct mq_blob *blob = mq_blob_create(size);

	if (blob && size > 0)
		memcpy(blob->bytes, bytes, size);
	return blob;
}

struct mq_blob *mq_blob_ref(struct mq_blob *blob)
{
	atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
	return blob;
}

void mq_blob_unref(struct mq_blob *blob)
{
	if (blob && atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel) == 1)
		free(blob);
}
