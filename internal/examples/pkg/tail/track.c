#include "track.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOKS_MAX 8 /* a file may be cut and renamed; but not on and on */

void tail__note(const struct tail *tail, enum tail_note note, const char *format, ...)
{
	char text[512];
	va_list list;

	if (!tail->options.note)
		return;
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	tail->options.note(tail->options.note_self, note, text);
}

int tail__insert(struct tail *tail, size_t index, const struct tail_file *file)
{
	struct tail_file *grown = reallocarray(tail->files, tail->count + 1, sizeof(*grown));

	if (!grown) {
		if (file->fd >= 0)
			close(file->fd);
		return -ENOMEM;
	}
	tail->files = grown;
	memmove(grown + index + 1, grown + index, (tail->count - index) * sizeof(*grown));
	grown[index] = *file;
	tail->count++;
	return 0;
}

void tail__remove(struct tail *tail, size_t index)
{
	struct tail_file *file = &tail->files[index];

	if (file->fd >= 0)
		close(file->fd);
	if (index == tail->count - 1)
		tail->current = false;
	memmove(file, file + 1, (tail->count - index - 1) * sizeof(*file));
	tail->count--;
}

int tail__open_path(const struct tail *tail)
{
	struct stat st;
	int fd = open(tail->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENXIO ? -ENOTSUP : -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENOTSUP;
	}
	return fd;
}

/*
 * What the memory gives may be old: a record that is open or done by now, perhaps as that of a
 * copy, is not to be used once more.
 */
static bool in_use(const struct tail *tail, const struct tail_record *record)
{
	for (size_t i = 0; i < tail->count; i++) {
		if (tail->files[i].record.id == record->id)
			return true;
	}
	for (size_t i = 0; i < tail__history_count(tail); i++) {
		if (tail->history[i].id == record->id)
			return !tail_same_inode(&tail->history[i].identity, &record->identity);
	}
	return false;
}

/* The record of an open file if it was read before: in this run, or in another. */
static int find_record(struct tail *tail, int fd, const struct tail_identity *identity,
	int64_t size, struct tail_record *ret_record)
{
	int r = -ENOENT;

	for (size_t i = 0; i < tail__history_count(tail); i++) {
		const struct tail_record *record = &tail->history[i];

		if (tail_same_inode(&record->identity, identity) &&
			(r < 0 || record->id > ret_record->id)) {
			*ret_record = *record;
			r = 0;
		}
	}
	if (r < 0)
		r = tail->memory->newest(
			tail->memory->self, identity->device, identity->inode, ret_record);
	if (r < 0)
		return r;
	if (in_use(tail, ret_record))
		return -ENOENT;
	r = tail_head_matches(fd, &ret_record->identity);
	if (r < 0)
		return r;
	return r && size >= ret_record->offset ? 0 : -ENOENT;
}

/* A file that was rotated away may come back under its path while it is still open. */
static bool come_back(struct tail *tail, int fd)
{
	struct tail_file file;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	for (size_t i = 0; i < tail->count; i++) {
		file = tail->files[i];
		if (file.fd < 0 || st.st_dev != file.record.identity.device ||
			st.st_ino != file.record.identity.inode ||
			tail_head_matches(fd, &file.record.identity) != 1)
			continue;
		memmove(tail->files + i, tail->files + i + 1, (tail->count - i - 1) * sizeof(file));
		tail->files[tail->count - 1] = file;
		tail->current = true;
		return true;
	}
	return false;
}

int tail__begin(struct tail *tail, int fd, bool cut)
{
	struct tail_file file = { .fd = fd, .changed = true };
	struct tail_identity identity;
	struct stat st;
	int r;

	/* Also one that was cut and then renamed: it has just been adopted. */
	if (come_back(tail, fd)) {
		close(fd);
		return 1;
	}
	r = tail_identity_read(fd, &identity, &st);
	if (r == 0)
		r = cut ? -ENOENT : find_record(tail, fd, &identity, st.st_size, &file.record);
	if (r == -ENOENT) {
		file.record = (struct tail_record){ .id = tail->memory->next_id(
							    tail->memory->self) };
		tail__note(tail, TAIL_NOTE_BEGUN, "reading from its start");
		r = 0;
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	file.record.identity = identity;
	file.record.mtime_ns = tail_mtime_ns(&st);
	file.record.done = false;
	file.size = st.st_size;
	r = tail__insert(tail, tail->count, &file);
	if (r < 0)
		return r;
	tail->current = true;
	tail->had_file = true;
	return 0;
}

/* What came and went since the oldest file that is still read was last seen to change. */
static int64_t oldest_mtime(const struct tail *tail)
{
	int64_t oldest = tail->last_mtime_ns;

	for (size_t i = 0; i < tail->count; i++) {
		if (tail->files[i].record.mtime_ns < oldest)
			oldest = tail->files[i].record.mtime_ns;
	}
	return oldest;
}

/* The file was cut: what is left of the old content in a copy comes first, then the new one. */
static int restart(struct tail *tail)
{
	struct tail_file *file = &tail->files[tail->count - 1];
	struct tail_file old = { .fd = -1, .record = file->record };
	int64_t since_ns = oldest_mtime(tail);
	int fd = dup(file->fd);
	int r;

	if (fd < 0)
		return -errno;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	tail__note(tail, TAIL_NOTE_TRUNCATED, "truncated after %lld bytes were read",
		(long long)old.record.offset);
	r = tail__seek(tail, &old.record, false);
	if (r == -ENOENT) {
		tail__note(tail, TAIL_NOTE_LOST,
			"no copy beside it: what was written after byte %lld is lost",
			(long long)old.record.offset);
	} else if (r < 0) {
		close(fd);
		return r;
	}
	old.fd = r < 0 ? -1 : r;
	old.changed = r >= 0; /* the copy has another inode */
	close(file->fd);
	*file = old;
	tail->current = false;
	r = tail__adopt(tail, tail->count, since_ns);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = tail__begin(tail, fd, true);
	return r < 0 ? r : 0;
}

/* The path is another file now: the one that is open has been renamed, and is finished first. */
static int reopen(struct tail *tail)
{
	int64_t since_ns = oldest_mtime(tail);
	bool had_current = tail->current;
	bool had_file = tail->had_file;
	size_t index;
	int fd = tail__open_path(tail);
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (had_current) {
		tail__note(tail, TAIL_NOTE_ROTATED, "rotated after %lld bytes were read",
			(long long)tail->files[tail->count - 1].record.offset);
	}
	tail->current = false;
	index = tail->count;
	/* The path is open before its neighbours are listed. So whatever is rotated from now on is
	 * either the file just opened or seen at the next look. */
	r = tail__begin(tail, fd, false);
	if (r < 0) {
		tail->current = had_current;
		return r;
	}
	if (r > 0 || !had_file)
		return 0;
	r = tail__adopt(tail, index, since_ns);
	if (r < 0) { /* as it was: the next look tries again */
		while (tail->count > index)
			tail__remove(tail, tail->count - 1);
		tail->current = had_current;
	}
	return r;
}

/* What the path and the open file are now. */
static int view_now(struct tail *tail, struct tail_view *view)
{
	struct tail_file *file = tail->current ? &tail->files[tail->count - 1] : NULL;
	struct stat st, open_st;
	int r;

	*view = (struct tail_view){ .known = file != NULL, .open = file != NULL };
	view->exists = stat(tail->path, &st) == 0;
	if (!view->exists && errno != ENOENT && errno != ENOTDIR)
		return -errno;
	if (view->exists && !S_ISREG(st.st_mode))
		return -ENOTSUP;
	if (!file)
		return 0;
	if (fstat(file->fd, &open_st) < 0)
		return -errno;
	r = tail_head_matches(file->fd, &file->record.identity);
	if (r < 0)
		return r;
	view->head_matches = r;
	view->size = open_st.st_size;
	view->offset = file->record.offset;
	view->same_inode = view->exists && st.st_dev == open_st.st_dev &&
			   st.st_ino == open_st.st_ino;
	tail->last_mtime_ns = file->record.mtime_ns;
	return 0;
}

/*
 * An empty file has no head to tell by whether it has been cut: it may have been filled, copied and
 * cut since it was looked at. So when it was modified its neighbours are looked at.
 */
static int look_beside_empty(struct tail *tail)
{
	size_t index = tail->count - 1;
	struct tail_record *record = &tail->files[index].record;
	struct tail_identity identity = record->identity;
	struct stat st;
	int r;

	if (fstat(tail->files[index].fd, &st) < 0)
		return -errno;
	if (identity.head_length > 0 || tail_mtime_ns(&st) == record->mtime_ns)
		return 0;
	r = tail_identity_extend(tail->files[index].fd, &identity);
	if (r >= 0)
		r = tail__adopt(tail, index, oldest_mtime(tail));
	if (r < 0)
		return r;
	record = &tail->files[tail->count - 1].record; /* they may have moved */
	record->identity = identity;
	record->mtime_ns = tail_mtime_ns(&st);
	return 0;
}

int tail__look(struct tail *tail)
{
	for (int looks = 0; looks < LOOKS_MAX; looks++) {
		struct tail_view view;
		int r = view_now(tail, &view);

		if (r < 0)
			return r;
		switch (tail_decide(&view)) {
		case TAIL_RESTART:
			r = restart(tail);
			break;
		case TAIL_BEGIN:
		case TAIL_REOPEN:
			r = reopen(tail);
			break;
		default:
			return view.known ? look_beside_empty(tail) : 0;
		}
		if (r < 0)
			return r;
	}
	return -EAGAIN;
}
