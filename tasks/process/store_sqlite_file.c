/*
 * The files beside the database: the lock that one daemon holds, and the new file that takes the
 * place of one that is in doubt.
 *
 * After a failed sync the kernel may drop pages, or show pages as clean that the disk does not have:
 * what is read is then not what will be there after a power cut. This is so for as long as the kernel
 * lives, and so is the mark in the lock file, which stands in the same kernel's memory: it is set
 * before each wait for the disk and taken back after it, without a system call.
 *
 * A replacement is decided by one rename: PATH.new is complete and synced when it becomes PATH.ready.
 * From then on every opening first drops the old log, which must not be played into the new file,
 * and renames PATH.ready to PATH.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_sqlite.h"

#include "taskmgr/base/check.h"

#define PATH_SIZE 4096
#define SUFFIX_SIZE 96 /* of what stands beside the file */
#define LINKS_MAX 40
#define MARK_SIZE 4096  /* a page, so that storing the mark never needs room */
#define HEADER_SIZE 100 /* of SQLite's files */
#define HEADER_BEGIN "SQLite format 3"
#define HEADER_ID 68    /* where the application_id stands, highest byte first */
#define PIECE_PAGES 256 /* of a copy, between two looks whether it is wanted still */

static int sync_fd(int fd)
{
	return fsync(fd) < 0 ? -errno : 0;
}

/* The directory of a path, into PATH_SIZE bytes. The name in it is returned. */
static const char *split(const char *path, char *directory)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		snprintf(directory, PATH_SIZE, ".");
	else
		snprintf(directory, PATH_SIZE, "%.*s", slash == path ? 1 : (int)(slash - path),
			path);
	return slash ? slash + 1 : path;
}

bool tmgr__sqlite_is_own(const char *own, const char *path)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal", ".lock", ".new",
		".ready" };
	char own_directory[PATH_SIZE], directory[PATH_SIZE];
	const char *own_name = split(own, own_directory), *name = split(path, directory);
	size_t length = strlen(own_name);
	struct stat one, other;
	bool like = false;

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		like |= strncmp(name, own_name, length) == 0 &&
			strcmp(name + length, suffixes[i]) == 0;
	return like && stat(own_directory, &one) == 0 && stat(directory, &other) == 0 &&
	       one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

int tmgr__sqlite_sync_directory(const char *path)
{
	char directory[PATH_SIZE];
	int fd, r;

	split(path, directory);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = sync_fd(fd);
	close(fd);
	return r;
}

/* Where the link at `path`, of `length` bytes in `target`, points to, into `target`. */
static int follow_link(const char *path, char *target, size_t length)
{
	const char *slash = strrchr(path, '/');
	size_t directory = target[0] == '/' || !slash ? 0 : (size_t)(slash - path) + 1;

	if (directory + length >= PATH_SIZE - SUFFIX_SIZE)
		return -ENAMETOOLONG;
	memmove(target + directory, target, length);
	memcpy(target, path, directory);
	target[directory + length] = '\0';
	return 0;
}

/* The path stays good when the program changes its directory. */
static int make_absolute(char **path)
{
	char directory[PATH_SIZE], *whole;

	if (**path == '/')
		return 0;
	if (!getcwd(directory, sizeof(directory)))
		return -errno;
	if (strlen(directory) + 1 + strlen(*path) >= PATH_SIZE - SUFFIX_SIZE)
		return -ENAMETOOLONG;
	if (asprintf(&whole, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, *path) < 0)
		return -ENOMEM;
	free(*path);
	*path = whole;
	return 0;
}

int tmgr__sqlite_follow_links(char **path)
{
	char target[PATH_SIZE], *copy;
	ssize_t length;
	int r = make_absolute(path);

	if (r < 0)
		return r;
	for (int i = 0; i < LINKS_MAX; i++) {
		length = readlink(*path, target, sizeof(target));
		if (length <= 0)
			return 0; /* the file itself, or none yet */
		r = follow_link(*path, target, (size_t)length);
		if (r < 0)
			return r;
		copy = strdup(target);
		if (!copy)
			return -ENOMEM;
		free(*path);
		*path = copy;
	}
	return -ELOOP;
}

bool tmgr__sqlite_stands_beside(const char *path, const char *suffix)
{
	char name[PATH_SIZE + 16];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return access(name, F_OK) == 0;
}

static bool may_be_store(const char *path, const unsigned char *header)
{
	const unsigned char *id = header + HEADER_ID;
	uint32_t application = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 |
			       (uint32_t)id[2] << 8 | (uint32_t)id[3];

	/* After a power cut the first page may be missing, and be in what stands beside. */
	if (header[0] == 0)
		return tmgr__sqlite_stands_beside(path, "-wal") ||
		       tmgr__sqlite_stands_beside(path, "-journal") ||
		       tmgr__sqlite_stands_beside(path, ".ready");
	/* With no owner as yet, the log may have the page that names it. */
	return memcmp(header, HEADER_BEGIN, sizeof(HEADER_BEGIN)) == 0 &&
	       (application == 0 || application == SQLITE_STORE_APPLICATION);
}

int tmgr__sqlite_look(const char *path)
{
	unsigned char header[HEADER_SIZE] = { 0 };
	struct stat about;
	ssize_t n;
	int fd;

	if (stat(path, &about) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISREG(about.st_mode))
		return -EBADMSG;
	/* Nothing new will be left. And a daemon may have it open, in this process too: closing a
	 * descriptor of it would give up the locks that SQLite has on it. */
	if (tmgr__sqlite_stands_beside(path, ".lock"))
		return 0;
	if (about.st_size == 0)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	n = pread(fd, header, sizeof(header), 0);
	if (n < 0)
		n = -errno;
	close(fd);
	if (n < 0)
		return (int)n;
	return n == HEADER_SIZE && may_be_store(path, header) ? 0 : -EBADMSG;
}

/*
 * Who repairs may look before the daemon does, as root: what it makes beside a file is its owner's, as
 * with what SQLite makes there. Where that cannot be it is as good as it was.
 */
static void give_to_owner(int fd, const struct stat *owner)
{
	(void)!fchown(fd, geteuid() == 0 ? owner->st_uid : (uid_t)-1, owner->st_gid);
}

static int make_mark(int fd)
{
	char page[MARK_SIZE] = { 0 };
	struct stat about;
	ssize_t n;

	if (fstat(fd, &about) < 0)
		return -errno;
	if (about.st_size >= MARK_SIZE)
		return 0;
	n = pwrite(fd, page, sizeof(page), 0);
	if (n < 0)
		return -errno;
	return n == MARK_SIZE ? 0 : -ENOSPC;
}

/* By its own name only: what root gives away is what it has made. */
static int open_lock(const char *path)
{
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW;
	char name[PATH_SIZE];
	struct stat about;
	int fd;

	snprintf(name, sizeof(name), "%s.lock", path);
	fd = open(name, flags | O_EXCL, 0600);
	if (fd >= 0 && stat(path, &about) == 0)
		give_to_owner(fd, &about);
	else if (fd < 0 && errno == EEXIST)
		fd = open(name, flags, 0600);
	return fd < 0 ? -errno : fd;
}

int tmgr__sqlite_lock(const char *path, struct sqlite_lock_file *ret)
{
	void *mark;
	int fd = open_lock(path), r;

	if (fd < 0)
		return fd;
	r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	if (r == -EWOULDBLOCK)
		r = -EBUSY;
	if (r == 0)
		r = make_mark(fd);
	if (r == 0) {
		mark = mmap(NULL, MARK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (mark != MAP_FAILED) {
			ret->fd = fd;
			ret->doubtful = mark;
			return 0;
		}
		r = -errno;
	}
	close(fd);
	return r;
}

void tmgr__sqlite_unlock(struct sqlite_lock_file *lock)
{
	if (lock->fd < 0)
		return;
	munmap((void *)(uintptr_t)lock->doubtful, MARK_SIZE);
	/* A child that was forked and is not yet another program has the descriptor too. */
	flock(lock->fd, LOCK_UN);
	close(lock->fd);
	lock->fd = -1;
	lock->doubtful = NULL;
}

static int unlink_beside(const char *path, const char *suffix)
{
	char name[PATH_SIZE];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return unlink(name) < 0 && errno != ENOENT ? -errno : 0;
}

int tmgr__sqlite_finish_replacement(const char *path)
{
	char ready[PATH_SIZE];
	int r;

	snprintf(ready, sizeof(ready), "%s.ready", path);
	if (access(ready, F_OK) < 0)
		return errno == ENOENT ? 0 : -errno;
	r = unlink_beside(path, "-wal");
	if (r == 0)
		r = unlink_beside(path, "-shm");
	if (r == 0)
		r = tmgr__sqlite_sync_directory(path);
	if (r == 0 && rename(ready, path) < 0)
		r = -errno;
	if (r == 0)
		r = tmgr__sqlite_sync_directory(path);
	return r == 0 ? 1 : r;
}

/* The numbers of pages stay, so that a log of the old file fits the new one too. */
int tmgr__sqlite_copy_pages(sqlite3 *from, sqlite3 *to, struct sqlite_cancel cancel)
{
	sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
	bool cancelled = false;
	int code;

	if (!backup)
		return tmgr__sqlite_error(to, sqlite3_errcode(to));
	do {
		code = sqlite3_backup_step(backup, PIECE_PAGES);
		cancelled = cancel.cancelled && cancel.cancelled(cancel.self);
	} while (code == SQLITE_OK && !cancelled);
	sqlite3_backup_finish(backup);
	if (code == SQLITE_DONE)
		return 0;
	return code == SQLITE_OK ? -ECANCELED : tmgr__sqlite_error(to, code);
}

/* One file, with no log: the journal is off while it is written, and nobody knows it yet. */
int tmgr__sqlite_copy(sqlite3 *from, const char *path, const char *vfs, struct sqlite_cancel cancel)
{
	sqlite3 *to = NULL;
	int code, fd, r;

	code = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs);
	r = code == SQLITE_OK ? 0 : tmgr__sqlite_error(to, code);
	if (r == 0)
		r = tmgr__sqlite_execute(to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF");
	if (r == 0)
		r = tmgr__sqlite_copy_pages(from, to, cancel);
	sqlite3_close(to);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = sync_fd(fd);
	close(fd);
	return r;
}

static int make_empty(const char *path, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int tmgr__sqlite_make_file(const char *path)
{
	return make_empty(path, 0);
}

int tmgr__sqlite_make_empty(const char *path)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	return make_empty(path, O_EXCL);
}

/* An empty file with the mode and the owner of the one whose place it is to take. */
static int make_like(const char *path, const char *new)
{
	struct stat about;
	int fd, r;

	if (stat(path, &about) < 0)
		return -errno;
	r = tmgr__sqlite_make_empty(new);
	if (r < 0)
		return r;
	fd = open(new, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	give_to_owner(fd, &about);
	if (fchmod(fd, about.st_mode & 07777) < 0)
		r = -errno;
	close(fd);
	return r;
}

int tmgr__sqlite_replace(const char *path, const char *vfs)
{
	char new[PATH_SIZE], ready[PATH_SIZE];
	sqlite3 *from = NULL;
	int code, r;

	snprintf(new, sizeof(new), "%s.new", path);
	snprintf(ready, sizeof(ready), "%s.ready", path);
	code = sqlite3_open_v2(path, &from, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs);
	r = code == SQLITE_OK ? 0 : tmgr__sqlite_error(from, code);
	if (r == 0) {
		/* What it has stays as it is until the new one is there. */
		sqlite3_db_config(from, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		r = tmgr__sqlite_identify(from);
	}
	/* One that is empty may become a store. */
	if (r >= 0)
		r = make_like(path, new);
	if (r == 0)
		r = tmgr__sqlite_copy(from, new, vfs, (struct sqlite_cancel){ NULL, NULL });
	sqlite3_close(from);
	if (r == 0 && rename(new, ready) < 0)
		r = -errno;
	if (r == 0)
		r = tmgr__sqlite_sync_directory(path);
	if (r < 0) {
		unlink(new);
		return r;
	}
	r = tmgr__sqlite_finish_replacement(path);
	return r < 0 ? r : 0;
}

static uint64_t size_of(const char *path, const char *suffix)
{
	char name[PATH_SIZE];
	struct stat about;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return stat(name, &about) < 0 ? 0 : (uint64_t)about.st_size;
}

void tmgr__sqlite_sizes(const char *path, uint64_t *ret_all, uint64_t *ret_log)
{
	*ret_log = size_of(path, "-wal");
	*ret_all = size_of(path, "") + *ret_log;
}
