#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 32
#define NAMES_MAX 16
#define CHANGES_MAX 64
#define NAME_SIZE 64
#define SECTOR 512

int __real_open(const char *path, int flags, ...);
int __real_rename(const char *from, const char *to);
int __real_renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags);
int __real_unlink(const char *path);
int __real_fsync(int fd);
int __wrap_open(const char *path, int flags, ...);
int __wrap_rename(const char *from, const char *to);
int __wrap_renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags);
int __wrap_unlink(const char *path);
int __wrap_fsync(int fd);

struct operation {
	size_t offset, size; /* of a truncation: the size that is left, and 0 */
	bool truncates;
	unsigned char *data;
};

/* A file, under whatever name: what is synced, and what was done since. */
struct disk_file {
	unsigned char *synced;
	size_t synced_size;
	struct operation *operations;
	size_t count, room;
};

/* A name that now is of a file, or of none. */
struct name {
	char text[NAME_SIZE]; /* without the directory */
	struct disk_file *file;
};

struct names {
	struct name all[NAMES_MAX];
	size_t count;
};

/* What was done to names at once: of a rename two. */
struct change {
	struct name names[2];
	size_t count;
};

static struct {
	pthread_mutex_t lock;
	atomic_bool used;
	char directory[PATH_MAX]; /* while it is used */
	struct disk_file *files[FILES_MAX];
	size_t files_count;
	struct names now, synced;
	struct change changes[CHANGES_MAX]; /* since the sync of the directory */
	size_t changes_count;
	long done, cut_at, kill_at, leave_out_directory, cut_after, fail_sync;
	bool leave_out_files;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

void disk_lock(void)
{
	pthread_mutex_lock(&disk.lock);
}

void disk_unlock(void)
{
	pthread_mutex_unlock(&disk.lock);
}

static void *must_allocate(void *piece)
{
	if (!piece)
		abort();
	return piece;
}

/* ---- What a file has ------------------------------------------------------------------------- */

/* What is allocated for so much grows by doubling: much is written in small pieces. */
static size_t room_for(size_t size)
{
	size_t room = 4096;

	while (room < size)
		room *= 2;
	return room;
}

static void apply(unsigned char **image, size_t *size, const struct operation *operation)
{
	size_t end = operation->offset + operation->size;

	if (operation->truncates) {
		if (operation->offset < *size)
			*size = operation->offset;
		return;
	}
	if (end > *size) {
		if (!*image || room_for(end) > room_for(*size))
			*image = must_allocate(realloc(*image, room_for(end)));
		memset(*image + *size, 0, end - *size);
		*size = end;
	}
	memcpy(*image + operation->offset, operation->data, operation->size);
}

static void forget_operations(struct disk_file *file)
{
	for (size_t i = 0; i < file->count; i++)
		free(file->operations[i].data);
	file->count = 0;
}

static void note(struct disk_file *file, const struct operation *operation)
{
	struct operation *kept;

	if (file->count == file->room) {
		file->room = file->room ? file->room * 2 : 64;
		file->operations = must_allocate(
			realloc(file->operations, file->room * sizeof(*file->operations)));
	}
	kept = &file->operations[file->count++];
	*kept = *operation;
	if (operation->size > 0) {
		kept->data = must_allocate(malloc(operation->size));
		memcpy(kept->data, operation->data, operation->size);
	}
}

void disk_note_write(struct disk_file *file, size_t offset, const void *data, size_t size)
{
	note(file, &(struct operation){ offset, size, false, (unsigned char *)(uintptr_t)data });
}

void disk_note_truncation(struct disk_file *file, size_t size)
{
	note(file, &(struct operation){ size, 0, true, NULL });
}

void disk_note_sync(struct disk_file *file)
{
	for (size_t i = 0; i < file->count; i++)
		apply(&file->synced, &file->synced_size, &file->operations[i]);
	forget_operations(file);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The lock file is of a kernel that lives, and no power is cut under it. */
static bool is_known(const char *path)
{
	size_t length = strlen(disk.directory);
	const char *base = base_of(path);

	return atomic_load(&disk.used) && (size_t)(base - path) == length + 1 &&
	       strncmp(path, disk.directory, length) == 0 && !strstr(base, ".lock") &&
	       !strstr(base, "-shm");
}

static struct name *find(struct names *names, const char *text)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->all[i].text, text) == 0)
			return &names->all[i];
	return NULL;
}

static void set(struct names *names, const struct name *name)
{
	struct name *found = find(names, name->text);

	if (!found) {
		if (names->count == NAMES_MAX)
			abort();
		found = &names->all[names->count++];
	}
	*found = *name;
}

static struct name named(const char *path, struct disk_file *file)
{
	struct name name = { .file = file };

	snprintf(name.text, sizeof(name.text), "%s", base_of(path));
	return name;
}

static void change(const struct change *change)
{
	if (disk.changes_count == CHANGES_MAX)
		abort();
	disk.changes[disk.changes_count++] = *change;
	for (size_t i = 0; i < change->count; i++)
		set(&disk.now, &change->names[i]);
}

static struct disk_file *file_of(const char *path)
{
	struct name *name = find(&disk.now, base_of(path));

	return name ? name->file : NULL;
}

struct disk_file *disk_open(const char *path)
{
	struct disk_file *file;

	if (!atomic_load(&disk.used)) {
		snprintf(disk.directory, sizeof(disk.directory), "%.*s",
			(int)(base_of(path) - path) - 1, path);
		atomic_store(&disk.used, true);
	}
	file = file_of(path);
	if (file)
		return file;
	if (disk.files_count == FILES_MAX)
		abort();
	file = must_allocate(calloc(1, sizeof(*file)));
	disk.files[disk.files_count++] = file;
	change(&(struct change){ { named(path, file) }, 1 });
	return file;
}

void disk_note_unlink(const char *path)
{
	if (file_of(path))
		change(&(struct change){ { named(path, NULL) }, 1 });
}

static void note_rename(const char *from, const char *to)
{
	struct disk_file *file = file_of(from);

	if (file)
		change(&(struct change){ { named(to, file), named(from, NULL) }, 2 });
}

void disk_note_directory_sync(const char *path)
{
	if (strcmp(path, disk.directory) != 0)
		return;
	if (disk.leave_out_directory > 0 && --disk.leave_out_directory == 0) {
		disk.cut_at = disk.done + 1 + disk.cut_after;
		return;
	}
	disk.synced = disk.now;
	disk.changes_count = 0;
}

void disk_forget(void)
{
	for (size_t i = 0; i < disk.files_count; i++) {
		forget_operations(disk.files[i]);
		free(disk.files[i]->operations);
		free(disk.files[i]->synced);
		free(disk.files[i]);
	}
	disk.files_count = disk.changes_count = 0;
	disk.now.count = disk.synced.count = 0;
	atomic_store(&disk.used, false);
	disk.done = disk.cut_at = disk.kill_at = disk.leave_out_directory = disk.fail_sync = 0;
	disk.leave_out_files = false;
}

/* ---- Power ----------------------------------------------------------------------------------- */

bool disk_powered(void)
{
	disk.done++;
	if (disk.kill_at > 0 && disk.done >= disk.kill_at)
		kill(getpid(), SIGKILL);
	return disk.cut_at == 0 || disk.done < disk.cut_at;
}

void disk_cut_at(long n)
{
	disk.cut_at = n;
}

void disk_kill_at(long n)
{
	disk.kill_at = n;
}

long disk_operations(void)
{
	return disk.done;
}

bool disk_is_cut(void)
{
	return disk.cut_at > 0 && disk.done >= disk.cut_at;
}

void disk_leave_out_file_syncs(bool on)
{
	disk.leave_out_files = on;
}

void disk_fail_file_sync(long n)
{
	disk.fail_sync = n;
}

void disk_leave_out_directory_sync(long n, long cut_after)
{
	disk.leave_out_directory = n;
	disk.cut_after = cut_after;
}

/* ---- The library's own calls ----------------------------------------------------------------- */

/* Where nothing uses a disk these are what they stand for, without a lock: also in a forked child. */

/* Without power. */
static bool refused(void)
{
	if (disk_powered())
		return false;
	errno = EIO;
	return true;
}

/* A new name, or an end of what it had. */
static int open_known(const char *path, int flags, mode_t mode)
{
	bool there = file_of(path);
	int fd;

	if ((!there || (flags & O_TRUNC)) && refused())
		return -1;
	fd = __real_open(path, flags, mode);
	if (fd < 0)
		return fd;
	if (flags & O_TRUNC)
		disk_note_truncation(disk_open(path), 0);
	else
		disk_open(path);
	return fd;
}

int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list rest;
	int fd;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(rest, flags);
		mode = va_arg(rest, mode_t);
		va_end(rest);
	}
	if (!atomic_load(&disk.used) || !(flags & (O_CREAT | O_TRUNC)))
		return __real_open(path, flags, mode);
	disk_lock();
	fd = is_known(path) ? open_known(path, flags, mode) : __real_open(path, flags, mode);
	disk_unlock();
	return fd;
}

static atomic_bool knows_no_flags;

void disk_knows_no_flags(bool on)
{
	atomic_store(&knows_no_flags, on);
}

int __wrap_renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
	int r = -1;

	if (flags != 0 && atomic_load(&knows_no_flags)) {
		errno = EINVAL;
		return -1;
	}
	if (!atomic_load(&disk.used))
		return __real_renameat2(from_at, from, to_at, to, flags);
	disk_lock();
	if (!is_known(from) || !is_known(to)) {
		r = __real_renameat2(from_at, from, to_at, to, flags);
	} else if (!refused()) {
		r = __real_renameat2(from_at, from, to_at, to, flags);
		if (r == 0)
			note_rename(from, to);
	}
	disk_unlock();
	return r;
}

int __wrap_rename(const char *from, const char *to)
{
	return __wrap_renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int __wrap_unlink(const char *path)
{
	int r = -1;

	if (!atomic_load(&disk.used))
		return __real_unlink(path);
	disk_lock();
	if (!is_known(path)) {
		r = __real_unlink(path);
	} else if (!refused()) {
		r = __real_unlink(path);
		if (r == 0)
			disk_note_unlink(path);
	}
	disk_unlock();
	return r;
}

static void sync_path(const char *path)
{
	struct disk_file *file = file_of(path);

	if (strcmp(path, disk.directory) == 0)
		disk_note_directory_sync(path);
	else if (file && !disk.leave_out_files)
		disk_note_sync(file);
}

int __wrap_fsync(int fd)
{
	char link[32], path[PATH_MAX];
	ssize_t size;
	int r = -1;

	if (!atomic_load(&disk.used))
		return __real_fsync(fd);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	size = readlink(link, path, sizeof(path) - 1);
	path[size > 0 ? size : 0] = '\0';
	disk_lock();
	if (disk.directory[0] == '\0' || (strcmp(path, disk.directory) != 0 && !is_known(path))) {
		r = __real_fsync(fd);
	} else if (disk.fail_sync > 0 && --disk.fail_sync == 0) {
		errno = EIO;
	} else if (!refused()) {
		sync_path(path);
		r = 0;
	}
	disk_unlock();
	return r;
}

/* ---- The cut --------------------------------------------------------------------------------- */

static void keep_sectors(
	unsigned char **image, size_t *size, const struct operation *operation, unsigned *seed)
{
	size_t at = 0;

	while (at < operation->size) {
		size_t left = SECTOR - (operation->offset + at) % SECTOR;
		struct operation piece = *operation;

		if (left > operation->size - at)
			left = operation->size - at;
		piece.offset += at;
		piece.data += at;
		piece.size = left;
		if (rand_r(seed) % 2)
			apply(image, size, &piece);
		at += left;
	}
}

static void keep_some(unsigned char **image, size_t *size, const struct disk_file *file,
	enum power_loss loss, unsigned *seed)
{
	size_t *order = must_allocate(calloc(file->count + 1, sizeof(*order)));

	for (size_t i = 0; i < file->count; i++) {
		size_t j = loss == POWER_LOSES_ORDER ? (size_t)rand_r(seed) % (i + 1) : i;

		order[i] = order[j];
		order[j] = i;
	}
	for (size_t i = 0; i < file->count; i++) {
		const struct operation *operation = &file->operations[order[i]];

		if (!operation->truncates)
			keep_sectors(image, size, operation, seed);
		else if (rand_r(seed) % 2)
			apply(image, size, operation);
	}
	free(order);
}

static void write_file(
	const char *path, const struct disk_file *file, enum power_loss loss, unsigned *seed)
{
	unsigned char *image = must_allocate(malloc(room_for(file->synced_size)));
	size_t size = file->synced_size;
	FILE *to;

	if (size > 0)
		memcpy(image, file->synced, size);
	if (loss == POWER_LOSES_NOTHING)
		for (size_t i = 0; i < file->count; i++)
			apply(&image, &size, &file->operations[i]);
	else if (loss != POWER_LOSES_ALL)
		keep_some(&image, &size, file, loss, seed);
	to = fopen(path, "we");
	if (!to || fwrite(image, 1, size, to) != size)
		abort();
	fclose(to);
	free(image);
}

/* A rename is there whole or not at all. */
static struct names surviving_names(enum power_loss loss, unsigned *seed)
{
	struct names names = disk.synced;
	size_t until = disk.changes_count;

	if (loss == POWER_LOSES_ALL)
		until = 0;
	else if (loss == POWER_LOSES_SOME)
		until = (size_t)rand_r(seed) % (until + 1);
	for (size_t i = 0; i < until; i++) {
		if (loss == POWER_LOSES_ORDER && rand_r(seed) % 2)
			continue;
		for (size_t j = 0; j < disk.changes[i].count; j++)
			set(&names, &disk.changes[i].names[j]);
	}
	return names;
}

void disk_write_survivors(const char *directory, enum power_loss loss, unsigned *seed)
{
	struct names names = surviving_names(loss, seed);
	char path[512];

	for (size_t i = 0; i < names.count; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names.all[i].text);
		if (names.all[i].file)
			write_file(path, names.all[i].file, loss, seed);
	}
}
