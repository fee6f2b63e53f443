/*
 * The file's directory may belong to the unprivileged user, who could have put anything there. So
 * the file is opened without following links and is refused unless it is a regular file with one
 * name.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "pidfile.h"

/* How often a file may be removed by its last owner between our open and our lock. */
#define TRIES_MAX 100

struct pidfile {
	const char *path;
	uid_t owner;
	gid_t group;
	int fd; /* locked; -1 before initialize */
};

static int make_directory(struct pidfile *pidfile, struct tmgr_context *context)
{
	char copy[PATH_MAX];
	const char *directory;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", pidfile->path) >= sizeof(copy))
		return tmgr_fail(context, -ENAMETOOLONG, "%s", pidfile->path);
	directory = dirname(copy);
	if (mkdir(directory, 0755) < 0)
		return errno == EEXIST ? 0 : tmgr_fail(context, -errno, "mkdir %s", directory);
	if (pidfile->owner != (uid_t)-1 && chown(directory, pidfile->owner, pidfile->group) < 0)
		return tmgr_fail(context, -errno, "chown %s", directory);
	return 0;
}

/* Who holds the lock, for the message; 0 if the file does not say. */
static long read_pid(int fd)
{
	char text[32] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
}

/* Whether the path still names the file that was opened and locked. */
static bool same_file(const char *path, const struct stat *locked)
{
	struct stat named;

	return lstat(path, &named) == 0 && named.st_dev == locked->st_dev &&
	       named.st_ino == locked->st_ino;
}

/* A locked descriptor, or a negative errno; -EAGAIN: the file went away meanwhile. */
static int open_and_lock(const char *path, struct tmgr_context *context)
{
	struct stat status;
	int r, fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);

	if (fd < 0)
		return tmgr_fail(context, -errno, "open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno != EWOULDBLOCK
			    ? tmgr_fail(context, -errno, "flock %s", path)
			    : tmgr_fail(context, -EBUSY, "%s: already running as pid %ld", path,
				      read_pid(fd));
		goto fail;
	}
	if (fstat(fd, &status) < 0) {
		r = tmgr_fail(context, -errno, "fstat %s", path);
		goto fail;
	}
	if (!same_file(path, &status)) {
		r = -EAGAIN;
		goto fail;
	}
	if (!S_ISREG(status.st_mode) || status.st_nlink != 1) {
		r = tmgr_fail(context, -EINVAL, "%s: not a file of its own", path);
		goto fail;
	}
	return fd;
fail:
	close(fd);
	return r;
}

static int write_pid(int fd)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) < 0)
		return -errno;
	if (pwrite(fd, text, (size_t)length, 0) != length)
		return -EIO;
	return 0;
}

static int pidfile_initialize(void *self, struct tmgr_context *context)
{
	struct pidfile *pidfile = self;
	long stale;
	int r, tries = 0;

	r = make_directory(pidfile, context);
	if (r < 0)
		return r;
	do
		r = open_and_lock(pidfile->path, context);
	while (r == -EAGAIN && ++tries < TRIES_MAX);
	if (r < 0)
		return r;
	pidfile->fd = r;
	stale = read_pid(pidfile->fd);
	if (stale != 0)
		tmgr_log(context, TMGR_LEVEL_NOTICE, "%s: left over from pid %ld, taken over",
			pidfile->path, stale);
	r = write_pid(pidfile->fd);
	if (r == 0)
		return 0;
	unlink(pidfile->path);
	close(pidfile->fd);
	pidfile->fd = -1;
	return tmgr_fail(context, r, "writing %s", pidfile->path);
}

/* Removed while it is locked: whoever opens it meanwhile finds in open_and_lock() that its name is
 * gone. */
static int pidfile_cleanup(void *self, struct tmgr_context *context)
{
	struct pidfile *pidfile = self;
	int r = unlink(pidfile->path) < 0 ? -errno : 0;

	close(pidfile->fd);
	pidfile->fd = -1;
	return r < 0 ? tmgr_fail(context, r, "unlink %s", pidfile->path) : 0;
}

struct tmgr_task pidfile_task(const char *path, uid_t owner, gid_t group)
{
	static const struct tmgr_task_ops ops = {
		.kind = "pidfile",
		.initialize = pidfile_initialize,
		.cleanup = pidfile_cleanup,
		.destroy = free,
	};
	struct pidfile *pidfile = malloc(sizeof(*pidfile));

	if (pidfile == NULL)
		return tmgr_task_failed(-ENOMEM);
	*pidfile = (struct pidfile){ path, owner, group, -1 };
	return (struct tmgr_task){ &ops, pidfile };
}
