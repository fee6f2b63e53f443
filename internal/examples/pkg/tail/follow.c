#include "track.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "read.h"

#define LOOKS_MAX 16 /* in one call, if the file changes under each of them */

int tail_open(const char *path, const struct tail_memory *memory,
	const struct tail_options *options, struct tail **ret_tail)
{
	struct tail *tail = calloc(1, sizeof(*tail));
	int r;

	if (!tail)
		return -ENOMEM;
	tail->memory = memory;
	if (options)
		tail->options = *options;
	if (tail->options.linger_ns == 0)
		tail->options.linger_ns = TAIL_LINGER_NS;
	tail->path = strdup(path);
	r = tail->path ? tail__restore(tail) : -ENOMEM;
	if (r < 0) {
		tail_close(tail);
		return r;
	}
	*ret_tail = tail;
	return 0;
}

void tail_close(struct tail *tail)
{
	if (!tail)
		return;
	while (tail->count > 0)
		tail__remove(tail, tail->count - 1);
	free(tail->files);
	free(tail->path);
	free(tail);
}

bool tail_found(const struct tail *tail)
{
	return tail->count > 0;
}

int64_t tail_behind(const struct tail *tail)
{
	int64_t behind = 0;

	for (size_t i = 0; i < tail->count; i++) {
		if (tail->files[i].size > tail->files[i].record.offset)
			behind += tail->files[i].size - tail->files[i].record.offset;
	}
	return behind;
}

static bool is_current(const struct tail *tail, size_t index)
{
	return tail->current && index == tail->count - 1;
}

static int give_record(struct tail_file *file, struct tail_block *block)
{
	block->record = file->record;
	block->offset = file->record.offset;
	block->length = 0;
	file->changed = false;
	return 1;
}

/*
 * Read lines at the file's offset: 1 if there are some, 0 if not, -errno.
 *
 * Truncation may happen at any moment, also between fstat and pread. So the head and the size are
 * looked at after the bytes were read: if both are right then, the bytes were, too.
 */
static int read_lines(struct tail_file *file, bool final, struct tail_block *block)
{
	struct tail_identity identity = file->record.identity;
	struct stat st;
	ssize_t n;
	int r;

	if (fstat(file->fd, &st) < 0)
		return -errno;
	file->size = st.st_size;
	if (st.st_size <= file->record.offset)
		return 0;
	n = st.st_size - file->record.offset;
	n = tail_read(file->fd, block->bytes, n < TAIL_BLOCK_MAX ? (size_t)n : TAIL_BLOCK_MAX,
		file->record.offset);
	if (n < 0)
		return (int)n;
	final = final && file->record.offset + n >= st.st_size;
	block->length = tail_block_cut(block->bytes, (size_t)n, final);
	if (block->length == 0)
		return 0;
	r = tail_identity_extend(file->fd, &identity);
	if (r == 0 ||
		(r > 0 && fstat(file->fd, &st) == 0 && st.st_size < file->record.offset + n)) {
		file->unverified = true;
		return 0;
	}
	if (r < 0)
		return r;
	block->offset = file->record.offset;
	file->record.identity = identity;
	file->record.offset += (int64_t)block->length;
	file->record.mtime_ns = tail_mtime_ns(&st);
	file->changed = false;
	block->record = file->record;
	return 1;
}

/*
 * A rotated file is done when it has been quiet for a while and was rotated once more, or is
 * deleted. Its writer may hold it open for long, but not beyond the next rotation.
 */
static bool finished(const struct tail *tail, size_t index, int64_t now_ns)
{
	const struct tail_file *file = &tail->files[index];
	struct stat st;

	if (file->fd < 0)
		return true;
	if (is_current(tail, index) || fstat(file->fd, &st) < 0)
		return false;
	if (st.st_size < file->record.offset)
		return true;
	if (now_ns - tail_mtime_ns(&st) < tail->options.linger_ns)
		return false;
	return tail->options.once || st.st_nlink == 0 || index + 1 + tail->current < tail->count;
}

/* Give the rest of a finished file, then its end. */
static int finish(struct tail *tail, size_t index, struct tail_block *block)
{
	struct tail_file *file = &tail->files[index];
	int r = file->fd < 0 ? 0 : read_lines(file, true, block);

	if (r != 0)
		return r;
	file->record.done = true;
	give_record(file, block);
	tail->history[tail->history_count++ % TAIL_HISTORY_MAX] = file->record;
	tail__remove(tail, index);
	return 1;
}

static int next_of_files(struct tail *tail, int64_t now_ns, struct tail_block *block)
{
	for (size_t i = 0; i < tail->count; i++) {
		struct tail_file *file = &tail->files[i];
		int r = file->fd < 0 ? 0 : read_lines(file, tail->options.once, block);

		if (r == 0 && file->unverified)
			return 0;
		if (r == 0 && finished(tail, i, now_ns))
			r = finish(tail, i, block);
		else if (r == 0 && file->changed)
			r = give_record(file, block);
		if (r != 0)
			return r;
	}
	return 0;
}

int tail_next(struct tail *tail, int64_t now_ns, struct tail_block *block)
{
	for (int looks = 0; looks < LOOKS_MAX; looks++) {
		bool again = false;
		int r = tail__look(tail);

		if (r == 0)
			r = next_of_files(tail, now_ns, block);
		if (r != 0)
			return r;
		for (size_t i = 0; i < tail->count; i++) {
			again = again || tail->files[i].unverified;
			/* A rotated file that is cut is beyond help; its end comes next. */
			if (tail->files[i].unverified && !is_current(tail, i)) {
				tail__note(tail, TAIL_NOTE_LOST,
					"a rotated file was changed at byte %lld",
					(long long)tail->files[i].record.offset);
				close(tail->files[i].fd);
				tail->files[i].fd = -1;
			}
			tail->files[i].unverified = false;
		}
		if (!again)
			return 0;
	}
	return -EAGAIN;
}
