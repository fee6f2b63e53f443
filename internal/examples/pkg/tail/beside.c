#include "beside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SCANS_MAX 50

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool tail_rotated_name(const char *base, const char *name)
{
	size_t length = strlen(base);
	const char *rest = name + length;

	if (strncmp(name, base, length) != 0 || (rest[0] != '.' && rest[0] != '-'))
		return false;
	return rest[1] >= '0' && rest[1] <= '9' &&
	       rest[1 + strspn(rest + 1, "0123456789.-_:TZ")] == '\0';
}

static bool compressed_name(const char *name)
{
	static const char *const suffixes[] = { ".gz", ".xz", ".bz2", ".zst", ".lz4", ".Z",
		".zip" };
	size_t length = strlen(name);

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		size_t suffix = strlen(suffixes[i]);

		if (length > suffix && strcmp(name + length - suffix, suffixes[i]) == 0)
			return true;
	}
	return false;
}

static int open_directory(const char *path)
{
	const char *base = last_part(path);
	char *directory;
	int fd;

	if (base == path)
		directory = strdup(".");
	else if (base == path + 1)
		directory = strdup("/");
	else
		directory = strndup(path, (size_t)(base - path) - 1);
	if (!directory)
		return -ENOMEM;
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	free(directory);
	return fd;
}

static int add_sibling(struct tail_beside *beside, const char *base, const char *name)
{
	struct tail_sibling *grown;
	struct stat st;

	if (fstatat(beside->directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISREG(st.st_mode) || beside->count >= TAIL_SIBLINGS_MAX)
		return 0;
	grown = reallocarray(beside->siblings, beside->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	beside->siblings = grown;
	grown += beside->count++;
	*grown = (struct tail_sibling){
		.device = st.st_dev,
		.inode = st.st_ino,
		.size = st.st_size,
		.mtime_ns = tail_mtime_ns(&st),
		.numbered = tail_rotated_name(base, name),
	};
	strcpy(grown->name, name); /* d_name is at most NAME_MAX long */
	return 0;
}

static int list(struct tail_beside *beside, const char *base)
{
	/* Opened anew: a duplicate would share its position with the other scans. */
	int fd = openat(beside->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!directory) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	beside->count = 0;
	while (r == 0 && (errno = 0, entry = readdir(directory))) {
		if (strncmp(entry->d_name, base, strlen(base)) == 0 &&
			strcmp(entry->d_name, base) != 0 && !compressed_name(entry->d_name))
			r = add_sibling(beside, base, entry->d_name);
	}
	if (r == 0 && errno)
		r = -errno;
	closedir(directory);
	return r;
}

static bool later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/*
 * A rename while readdir runs may show a file twice or not at all. The directory's modification
 * time tells, once the clock that the kernel stamps it with has gone on: a change after that
 * moment gets another stamp.
 */
static int list_one_moment(struct tail_beside *beside, const char *base)
{
	static const struct timespec tick = { .tv_nsec = 2000000 };

	for (int scan = 0; scan < SCANS_MAX; scan++) {
		struct stat before, after;
		struct timespec now;
		int r;

		if (clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0 ||
			fstat(beside->directory_fd, &before) < 0)
			return -errno;
		if (!later(&now, &before.st_mtim) && scan < SCANS_MAX - 1) {
			nanosleep(&tick, NULL);
			continue;
		}
		r = list(beside, base);
		if (r < 0)
			return r;
		if (fstat(beside->directory_fd, &after) < 0)
			return -errno;
		if (!later(&after.st_mtim, &before.st_mtim))
			return 0;
	}
	return -EAGAIN;
}

static int older_first(const void *a, const void *b)
{
	const struct tail_sibling *x = a;
	const struct tail_sibling *y = b;

	return (x->mtime_ns > y->mtime_ns) - (x->mtime_ns < y->mtime_ns);
}

int tail_beside_init(struct tail_beside *beside, const char *path)
{
	int r;

	*beside = (struct tail_beside){ .directory_fd = open_directory(path) };
	if (beside->directory_fd < 0)
		return beside->directory_fd;
	r = list_one_moment(beside, last_part(path));
	if (r < 0) {
		tail_beside_fini(beside);
		return r;
	}
	if (beside->count > 1)
		qsort(beside->siblings, beside->count, sizeof(*beside->siblings), older_first);
	return 0;
}

int tail_beside_open(const struct tail_beside *beside, const struct tail_sibling *sibling)
{
	struct stat st;
	int fd = openat(beside->directory_fd, sibling->name,
		O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (st.st_dev != sibling->device || st.st_ino != sibling->inode)
		r = -ESTALE;
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

void tail_beside_fini(struct tail_beside *beside)
{
	if (beside->directory_fd >= 0)
		close(beside->directory_fd);
	free(beside->siblings);
	*beside = (struct tail_beside){ .directory_fd = -1 };
}
