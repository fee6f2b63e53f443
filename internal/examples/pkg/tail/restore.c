#include "track.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Is this open sibling the file of the record? By inode: the file itself, renamed. Otherwise a copy
 * of it; a head of a few bytes says little, so a copy must be later than what was read.
 */
static int sibling_is(
	int fd, const struct tail_sibling *sibling, const struct tail_record *record, bool by_inode)
{
	bool same = sibling->device == record->identity.device &&
		    sibling->inode == record->identity.inode;

	if (by_inode != same || sibling->size < record->offset)
		return 0;
	if (!by_inode && record->identity.head_length == 0)
		return 0;
	return tail_head_matches(fd, &record->identity);
}

static int seek_once(
	struct tail_beside *beside, struct tail_record *record, bool by_inode, bool later_only)
{
	for (size_t i = 0; i < beside->count; i++) {
		const struct tail_sibling *sibling = &beside->siblings[i];
		int fd, r;

		if (later_only && sibling->mtime_ns < record->mtime_ns)
			continue;
		fd = tail_beside_open(beside, sibling);
		if (fd == -EACCES || fd == -ELOOP)
			continue;
		if (fd < 0)
			return fd;
		r = sibling_is(fd, sibling, record, by_inode);
		if (r > 0) {
			record->identity.device = sibling->device;
			record->identity.inode = sibling->inode;
			return fd;
		}
		close(fd);
		if (r < 0)
			return r;
	}
	return -ENOENT;
}

int tail__seek(struct tail *tail, struct tail_record *record, bool by_inode)
{
	int r = -ESTALE;

	for (int seek = 0; seek < TAIL_SEEKS_MAX && r == -ESTALE; seek++) {
		struct tail_beside beside;

		r = tail_beside_init(&beside, tail->path);
		if (r < 0)
			return r;
		/* A copy that has the time of its original is older than the last read. */
		r = seek_once(&beside, record, by_inode, !by_inode);
		if (r == -ENOENT && !by_inode)
			r = seek_once(&beside, record, by_inode, false);
		tail_beside_fini(&beside);
	}
	return r == -ESTALE ? -EAGAIN : r;
}

/* Is a later record of the same inode there? Then this one was truncated away. */
static bool superseded(const struct tail_record *records, size_t count, size_t index)
{
	for (size_t i = index + 1; i < count; i++) {
		if (tail_same_inode(&records[i].identity, &records[index].identity))
			return true;
	}
	return false;
}

/* The file of one unfinished record: a descriptor, or -ENOENT. */
static int find_again(struct tail *tail, struct tail_record *record, bool truncated)
{
	int r = truncated ? -ENOENT : tail__seek(tail, record, true);

	return r == -ENOENT ? tail__seek(tail, record, false) : r;
}

static int restore_rotated(struct tail *tail, struct tail_record *record, bool truncated)
{
	struct tail_file file = { .fd = -1 };
	uint64_t inode = record->identity.inode;
	int r = find_again(tail, record, truncated);

	if (r < 0 && r != -ENOENT)
		return r;
	file.changed = record->identity.inode != inode; /* a copy has another */
	file.record = *record;
	file.fd = r < 0 ? -1 : r;
	if (r < 0)
		tail__note(tail, TAIL_NOTE_LOST,
			"the file that was read up to byte %lld is gone; what followed is lost",
			(long long)record->offset);
	else
		tail__note(tail, TAIL_NOTE_RECOVERED,
			"found the rotated file, going on at byte %lld", (long long)record->offset);
	return tail__insert(tail, tail->count, &file);
}

static enum tail_verdict judge(int fd, const struct tail_record *record, int *ret_error)
{
	struct tail_view view = { .known = true, .exists = fd >= 0, .offset = record->offset };
	struct stat st;
	int r;

	*ret_error = 0;
	if (fd < 0)
		return tail_decide(&view);
	if (fstat(fd, &st) < 0) {
		*ret_error = -errno;
		return TAIL_WAIT;
	}
	view.size = st.st_size;
	view.same_inode = st.st_dev == record->identity.device &&
			  st.st_ino == record->identity.inode;
	r = tail_head_matches(fd, &record->identity);
	if (r < 0)
		*ret_error = r;
	view.head_matches = r > 0;
	return tail_decide(&view);
}

/* ret_current: the path's file is known, and was not empty, so nothing came in between. */
static int restore_records(
	struct tail *tail, int fd, struct tail_record *records, size_t count, bool *ret_current)
{
	for (size_t i = 0; i < count; i++) {
		bool truncated = superseded(records, count, i);
		enum tail_verdict verdict;
		int r;

		if (records[i].done)
			continue;
		verdict = judge(fd, &records[i], &r);
		if (r < 0)
			return r;
		if (verdict == TAIL_CONTINUE && !truncated) {
			*ret_current = records[i].identity.head_length > 0;
			continue; /* begun when all that was rotated is in place */
		}
		r = restore_rotated(tail, &records[i], truncated || verdict == TAIL_RESTART);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Of the files that are not done; what came between them may not have been remembered. */
static int64_t oldest_mtime(const struct tail_record *records, size_t count)
{
	int64_t oldest = records[count - 1].mtime_ns;

	for (size_t i = 0; i < count; i++) {
		if (!records[i].done && records[i].mtime_ns < oldest)
			oldest = records[i].mtime_ns;
	}
	return oldest;
}

int tail__restore(struct tail *tail)
{
	struct tail_record *records = NULL;
	bool current = false;
	size_t count = 0;
	int fd, r;

	r = tail->memory->of_path(tail->memory->self, tail->path, &records, &count);
	if (r < 0)
		return r;
	fd = tail__open_path(tail);
	if (fd < 0 && fd != -ENOENT && fd != -ENOTDIR) {
		free(records);
		return fd;
	}
	r = restore_records(tail, fd, records, count, &current);
	if (r == 0 && count > 0) {
		tail->had_file = true;
		tail->last_mtime_ns = records[count - 1].mtime_ns;
	}
	if (r == 0 && fd >= 0) {
		size_t index = tail->count;

		r = tail__begin(tail, fd, false);
		fd = -1;
		if (r == 0 && count > 0 && !current)
			r = tail__adopt(tail, index, oldest_mtime(records, count));
	}
	if (fd >= 0)
		close(fd);
	free(records);
	return r;
}
