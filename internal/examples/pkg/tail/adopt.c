/* Files that were rotated between two looks: nobody has read them, and they have their place. */
#include "track.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct adoption {
	struct tail *tail;
	size_t index;                /* where in its files the next one is inserted */
	int64_t since_ns;            /* what was modified before is of no concern */
	struct tail_record *records; /* of the path */
	size_t record_count;
};

/*
 * The file of the record, or a copy of it. A head that is not whole says too little for that: short
 * files are often alike.
 */
static int is_known(int fd, const struct tail_sibling *sibling, const struct tail_record *record)
{
	const struct tail_identity *identity = &record->identity;
	bool same = sibling->device == identity->device && sibling->inode == identity->inode;

	if (!same && identity->head_length < TAIL_HEAD_MAX)
		return 0;
	return tail_head_matches(fd, identity);
}

static int known_anywhere(
	const struct adoption *adoption, int fd, const struct tail_sibling *sibling)
{
	struct tail *tail = adoption->tail;
	struct tail_record newest;
	int r = 0;

	for (size_t i = 0; i < tail->count && r == 0; i++)
		r = is_known(fd, sibling, &tail->files[i].record);
	for (size_t i = 0; i < tail__history_count(tail) && r == 0; i++)
		r = is_known(fd, sibling, &tail->history[i]);
	for (size_t i = 0; i < adoption->record_count && r == 0; i++)
		r = is_known(fd, sibling, &adoption->records[i]);
	if (r != 0)
		return r;
	r = tail->memory->newest(tail->memory->self, sibling->device, sibling->inode, &newest);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return is_known(fd, sibling, &newest);
}

static int adopt_one(struct adoption *adoption, int fd, const struct tail_sibling *sibling)
{
	struct tail_file file = { .fd = fd, .changed = true };
	struct tail *tail = adoption->tail;
	struct stat st;
	int r = tail_identity_read(fd, &file.record.identity, &st);

	if (r < 0) {
		close(fd);
		return r;
	}
	file.record.id = tail->memory->next_id(tail->memory->self);
	file.record.mtime_ns = tail_mtime_ns(&st);
	file.size = st.st_size;
	r = tail__insert(tail, adoption->index, &file);
	if (r < 0)
		return r;
	adoption->index++;
	tail__note(tail, TAIL_NOTE_RECOVERED, "%s was rotated unseen; reading it from its start",
		sibling->name);
	return 0;
}

static int adopt_listed(struct adoption *adoption, const struct tail_beside *beside)
{
	for (size_t i = 0; i < beside->count; i++) {
		const struct tail_sibling *sibling = &beside->siblings[i];
		int fd, r;

		if (!sibling->numbered || sibling->mtime_ns < adoption->since_ns)
			continue;
		fd = tail_beside_open(beside, sibling);
		if (fd == -EACCES)
			continue;
		if (fd < 0)
			return fd;
		r = known_anywhere(adoption, fd, sibling);
		if (r != 0)
			close(fd);
		else
			r = adopt_one(adoption, fd, sibling);
		if (r < 0)
			return r;
	}
	return 0;
}

int tail__adopt(struct tail *tail, size_t index, int64_t since_ns)
{
	struct adoption adoption = { .tail = tail, .index = index, .since_ns = since_ns };
	int r = tail->memory->of_path(
		tail->memory->self, tail->path, &adoption.records, &adoption.record_count);

	if (r < 0)
		return r;
	/* What one round has adopted is known to the next. */
	r = -ESTALE;
	for (int round = 0; round < TAIL_SEEKS_MAX && r == -ESTALE; round++) {
		struct tail_beside beside;

		r = tail_beside_init(&beside, tail->path);
		if (r < 0)
			break;
		r = adopt_listed(&adoption, &beside);
		tail_beside_fini(&beside);
	}
	free(adoption.records);
	return r == -ESTALE ? -EAGAIN : r;
}
