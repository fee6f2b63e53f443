#include "track.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* The record of an open file if it was read before: in this run, or in another. */
static int find_record(struct tail *tail, int fd, const struct tail_identity *identity,
	int64_t size, struct tail_record *ret_record)
{
	size_t kept = tail->history_count < TAIL_HISTORY_MAX ? tail->history_count
							     : TAIL_HISTORY_MAX;
	int r = -ENOENT;

	for (size_t back = 1; back <= kept && r < 0; back++) {
		*ret_record = tail->history[(tail->history_count - back) % TAIL_HISTORY_MAX];
		if (tail_same_inode(&ret_record->identity, identity))
			r = 0;
	}
	if (r < 0)
		r = tail->memory->newest(
			tail->memory->self, identity->device, identity->inode, ret_record);
	if (r < 0)
		return r;
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

int tail__begin(struct tail *tail, int fd)
{
	struct tail_file file = { .fd = fd, .changed = true };
	struct tail_identity identity;
	struct stat st;
	int r;

	if (come_back(tail, fd)) {
		close(fd);
		return 1;
	}
	r = tail_identity_read(fd, &identity, &st);
	if (r == 0)
		r = find_record(tail, fd, &identity, st.st_size, &file.record);
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

/* The file was cut: what is left of the old content in a copy comes first, then the new one. */
static int restart(struct tail *tail)
{
	struct tail_file *file = &tail->files[tail->count - 1];
	struct tail_file old = { .fd = -1, .record = file->record };
	int64_t since_ns = file->record.mtime_ns;
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
	close(file->fd);
	*file = old;
	tail->current = false;
	r = tail__adopt(tail, tail->count, since_ns, NULL, 0);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = tail__begin(tail, fd);
	return r < 0 ? r : 0;
}

/* The path is another file now: the one that is open has been renamed, and is finished first. */
static int reopen(struct tail *tail)
{
	int64_t since_ns = tail->last_mtime_ns;
	bool had_current = tail->current;
	bool had_file = tail->had_file;
	size_t index;
	int fd = tail__open_path(tail);
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (had_current) {
		since_ns = tail->files[tail->count - 1].record.mtime_ns;
		tail__note(tail, TAIL_NOTE_ROTATED, "rotated after %lld bytes were read",
			(long long)tail->files[tail->count - 1].record.offset);
	}
	tail->current = false;
	index = tail->count;
	/* The path is open before its neighbours are listed. So whatever is rotated from now on is
	 * either the file just opened or seen at the next look. */
	r = tail__begin(tail, fd);
	if (r < 0) {
		tail->current = had_current;
		return r;
	}
	if (r > 0 || !had_file)
		return 0;
	r = tail__adopt(tail, index, since_ns, NULL, 0);
	if (r < 0) { /* as it was: the next look tries again */
		while (tail->count > index)
			tail__remove(tail, tail->count - 1);
		tail->current = had_current;
	}
	return r;
}

int tail__look(struct tail *tail)
{
	struct tail_file *file = tail->current ? &tail->files[tail->count - 1] : NULL;
	struct tail_view view = { .known = file != NULL, .open = file != NULL };
	struct stat st;
	int r;

	view.exists = stat(tail->path, &st) == 0;
	if (!view.exists && errno != ENOENT && errno != ENOTDIR)
		return -errno;
	if (view.exists && !S_ISREG(st.st_mode))
		return -ENOTSUP;
	if (file && view.exists) {
		view.offset = file->record.offset;
		view.same_inode = st.st_dev == file->record.identity.device &&
				  st.st_ino == file->record.identity.inode;
		view.size = st.st_size;
		r = view.same_inode ? tail_head_matches(file->fd, &file->record.identity) : 0;
		if (r < 0)
			return r;
		view.head_matches = r;
	}
	if (file)
		tail->last_mtime_ns = file->record.mtime_ns;
	switch (tail_decide(&view)) {
	case TAIL_BEGIN:
	case TAIL_REOPEN:
		return reopen(tail);
	case TAIL_RESTART:
		return restart(tail);
	default:
		return 0;
	}
}
