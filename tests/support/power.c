#include "power.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#define FILES_MAX 8
#define SECTOR 512

struct operation {
	size_t offset, size; /* of a truncation: the size that is left, and 0 */
	bool truncates;
	unsigned char *data;
};

/* A file: what is synced, and what was done since. */
struct known {
	char name[256]; /* without the directories */
	unsigned char *synced;
	size_t synced_size;
	struct operation *operations;
	size_t count, room;
};

static struct {
	pthread_mutex_t lock;
	struct known files[FILES_MAX];
	size_t files_count;
	long done, cut_at, kill_at;
	long no_room, fail_write, fail_sync;
	bool leave_out_log, leave_out_database;
} power = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct power_file {
	sqlite3_file base;
	struct known *known;
	bool is_log;
	sqlite3_file *real; /* behind this */
};

static sqlite3_vfs *real_vfs;

static void *must_allocate(void *piece)
{
	if (!piece)
		abort();
	return piece;
}

/* ---- What is known ---- */

static void apply(unsigned char **image, size_t *size, const struct operation *operation)
{
	size_t end = operation->offset + operation->size;

	if (operation->truncates) {
		if (operation->offset < *size)
			*size = operation->offset;
		return;
	}
	if (end > *size) {
		*image = must_allocate(realloc(*image, end));
		memset(*image + *size, 0, end - *size);
		*size = end;
	}
	memcpy(*image + operation->offset, operation->data, operation->size);
}

static void forget_operations(struct known *known)
{
	for (size_t i = 0; i < known->count; i++)
		free(known->operations[i].data);
	known->count = 0;
}

static void note(struct known *known, size_t offset, const void *data, size_t size, bool truncates)
{
	struct operation *operation;

	if (known->count == known->room) {
		known->room = known->room ? known->room * 2 : 64;
		known->operations = must_allocate(
			realloc(known->operations, known->room * sizeof(*known->operations)));
	}
	operation = &known->operations[known->count++];
	*operation = (struct operation){ offset, size, truncates, NULL };
	if (size > 0) {
		operation->data = must_allocate(malloc(size));
		memcpy(operation->data, data, size);
	}
}

static void note_sync(struct known *known)
{
	for (size_t i = 0; i < known->count; i++)
		apply(&known->synced, &known->synced_size, &known->operations[i]);
	forget_operations(known);
}

static struct known *find(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	struct known *known;

	for (size_t i = 0; i < power.files_count; i++)
		if (strcmp(power.files[i].name, name) == 0)
			return &power.files[i];
	if (power.files_count == FILES_MAX)
		abort();
	known = &power.files[power.files_count++];
	snprintf(known->name, sizeof(known->name), "%s", name);
	return known;
}

static void forget_file(struct known *known)
{
	forget_operations(known);
	free(known->operations);
	free(known->synced);
	memset(known, 0, sizeof(*known));
}

/* Counted down to 0 at each call: whether this is the one. */
static bool counts_down(long *n)
{
	return *n > 0 && --*n == 0;
}

/* Whether the power is there for one more operation. */
static bool powered(void)
{
	power.done++;
	if (power.kill_at > 0 && power.done >= power.kill_at)
		kill(getpid(), SIGKILL);
	return power.cut_at == 0 || power.done < power.cut_at;
}

/* ---- The file layer ---- */

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct power_file *)(void *)file)->real;
}

#define POWER_FILE(file) ((struct power_file *)(void *)(file))
#define REAL(file) (real_of(file)->pMethods)

static int power_close(sqlite3_file *file)
{
	return REAL(file)->xClose(real_of(file));
}

static int power_read(sqlite3_file *file, void *to, int size, sqlite3_int64 offset)
{
	return REAL(file)->xRead(real_of(file), to, size, offset);
}

static int power_write(sqlite3_file *file, const void *from, int size, sqlite3_int64 offset)
{
	struct power_file *self = POWER_FILE(file);
	int code = SQLITE_OK;

	pthread_mutex_lock(&power.lock);
	if (!powered() || counts_down(&power.fail_write))
		code = SQLITE_IOERR_WRITE;
	else if (power.no_room == 1)
		code = SQLITE_FULL;
	else if (power.no_room > 1)
		power.no_room--;
	if (code == SQLITE_OK)
		code = self->real->pMethods->xWrite(self->real, from, size, offset);
	if (code == SQLITE_OK && self->known)
		note(self->known, (size_t)offset, from, (size_t)size, false);
	pthread_mutex_unlock(&power.lock);
	return code;
}

static int power_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct power_file *self = POWER_FILE(file);
	int code = SQLITE_IOERR_TRUNCATE;

	pthread_mutex_lock(&power.lock);
	if (powered())
		code = self->real->pMethods->xTruncate(self->real, size);
	if (code == SQLITE_OK && self->known)
		note(self->known, (size_t)size, NULL, 0, true);
	pthread_mutex_unlock(&power.lock);
	return code;
}

static int power_sync(sqlite3_file *file, int flags)
{
	struct power_file *self = POWER_FILE(file);
	int code = SQLITE_OK;

	(void)flags;
	pthread_mutex_lock(&power.lock);
	if (!powered() || counts_down(&power.fail_sync))
		code = SQLITE_IOERR_FSYNC;
	else if (self->known && !(self->is_log ? power.leave_out_log : power.leave_out_database))
		note_sync(self->known);
	pthread_mutex_unlock(&power.lock);
	return code;
}

static int power_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	return REAL(file)->xFileSize(real_of(file), ret);
}

static int power_lock(sqlite3_file *file, int level)
{
	return REAL(file)->xLock(real_of(file), level);
}

static int power_unlock(sqlite3_file *file, int level)
{
	return REAL(file)->xUnlock(real_of(file), level);
}

static int power_check_lock(sqlite3_file *file, int *ret)
{
	return REAL(file)->xCheckReservedLock(real_of(file), ret);
}

static int power_control(sqlite3_file *file, int operation, void *argument)
{
	/* A hint that would change the size behind our back. */
	if (operation == SQLITE_FCNTL_SIZE_HINT || operation == SQLITE_FCNTL_CHUNK_SIZE)
		return SQLITE_OK;
	return REAL(file)->xFileControl(real_of(file), operation, argument);
}

static int power_sector(sqlite3_file *file)
{
	return REAL(file)->xSectorSize(real_of(file));
}

static int power_characteristics(sqlite3_file *file)
{
	return REAL(file)->xDeviceCharacteristics(real_of(file));
}

static int power_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
	return REAL(file)->xShmMap(real_of(file), page, size, extend, ret);
}

static int power_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
	return REAL(file)->xShmLock(real_of(file), offset, count, flags);
}

static void power_shm_barrier(sqlite3_file *file)
{
	REAL(file)->xShmBarrier(real_of(file));
}

static int power_shm_unmap(sqlite3_file *file, int remove)
{
	return REAL(file)->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = power_close,
	.xRead = power_read,
	.xWrite = power_write,
	.xTruncate = power_truncate,
	.xSync = power_sync,
	.xFileSize = power_size,
	.xLock = power_lock,
	.xUnlock = power_unlock,
	.xCheckReservedLock = power_check_lock,
	.xFileControl = power_control,
	.xSectorSize = power_sector,
	.xDeviceCharacteristics = power_characteristics,
	.xShmMap = power_shm_map,
	.xShmLock = power_shm_lock,
	.xShmBarrier = power_shm_barrier,
	.xShmUnmap = power_shm_unmap,
};

static int power_open(
	sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
	struct power_file *self = POWER_FILE(file);
	int code;

	(void)vfs;
	memset(self, 0, sizeof(*self));
	self->real = (sqlite3_file *)(void *)(self + 1);
	code = real_vfs->xOpen(real_vfs, path, self->real, flags, ret_flags);
	if (code != SQLITE_OK)
		return code;
	self->base.pMethods = &methods;
	self->is_log = flags & SQLITE_OPEN_WAL;
	if (path && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB))) {
		pthread_mutex_lock(&power.lock);
		self->known = find(path);
		pthread_mutex_unlock(&power.lock);
	}
	return SQLITE_OK;
}

static int power_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
	int code = SQLITE_IOERR_DELETE;

	(void)vfs;
	pthread_mutex_lock(&power.lock);
	if (power.cut_at == 0 || power.done < power.cut_at)
		code = real_vfs->xDelete(real_vfs, path, sync);
	if (code == SQLITE_OK)
		note(find(path), 0, NULL, 0, true);
	pthread_mutex_unlock(&power.lock);
	return code;
}

void power_reset(void)
{
	static sqlite3_vfs vfs;

	if (!real_vfs) {
		real_vfs = sqlite3_vfs_find(NULL);
		vfs = *real_vfs;
		vfs.zName = POWER_VFS;
		vfs.szOsFile = (int)sizeof(struct power_file) + real_vfs->szOsFile;
		vfs.pNext = NULL;
		vfs.xOpen = power_open;
		vfs.xDelete = power_delete;
		sqlite3_vfs_register(&vfs, 0);
	}
	power_fini();
}

void power_fini(void)
{
	pthread_mutex_lock(&power.lock);
	for (size_t i = 0; i < power.files_count; i++)
		forget_file(&power.files[i]);
	power.files_count = 0;
	power.done = power.cut_at = power.kill_at = power.no_room = power.fail_write =
		power.fail_sync = 0;
	power.leave_out_log = power.leave_out_database = false;
	pthread_mutex_unlock(&power.lock);
}

/* ---- What tests ask for ---- */

static long get(const long *value)
{
	long got;

	pthread_mutex_lock(&power.lock);
	got = *value;
	pthread_mutex_unlock(&power.lock);
	return got;
}

static void set(long *value, long n)
{
	pthread_mutex_lock(&power.lock);
	*value = n;
	pthread_mutex_unlock(&power.lock);
}

long power_operations(void)
{
	return get(&power.done);
}

void power_cut_at(long n)
{
	set(&power.cut_at, n);
}

void power_kill_at(long n)
{
	set(&power.kill_at, n);
}

bool power_is_cut(void)
{
	long at = get(&power.cut_at);

	return at > 0 && get(&power.done) >= at;
}

void power_leave_out_syncs(bool of_log, bool of_database)
{
	pthread_mutex_lock(&power.lock);
	power.leave_out_log = of_log;
	power.leave_out_database = of_database;
	pthread_mutex_unlock(&power.lock);
}

void power_no_room(long n)
{
	set(&power.no_room, n);
}

void power_fail_write(long n)
{
	set(&power.fail_write, n);
}

void power_fail_sync(long n)
{
	set(&power.fail_sync, n);
}

/* ---- The cut ---- */

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

static void keep_some(unsigned char **image, size_t *size, const struct known *known,
	enum power_loss loss, unsigned *seed)
{
	size_t *order = must_allocate(calloc(known->count + 1, sizeof(*order)));

	for (size_t i = 0; i < known->count; i++) {
		size_t j = loss == POWER_LOSES_ORDER ? (size_t)rand_r(seed) % (i + 1) : i;

		order[i] = order[j];
		order[j] = i;
	}
	for (size_t i = 0; i < known->count; i++) {
		const struct operation *operation = &known->operations[order[i]];

		if (!operation->truncates)
			keep_sectors(image, size, operation, seed);
		else if (rand_r(seed) % 2)
			apply(image, size, operation);
	}
	free(order);
}

static void write_survivor(
	const char *directory, const struct known *known, enum power_loss loss, unsigned *seed)
{
	unsigned char *image = must_allocate(malloc(known->synced_size + 1));
	size_t size = known->synced_size;
	char path[512];
	FILE *file;

	if (size > 0)
		memcpy(image, known->synced, size);
	if (loss == POWER_LOSES_NOTHING)
		for (size_t i = 0; i < known->count; i++)
			apply(&image, &size, &known->operations[i]);
	else if (loss != POWER_LOSES_ALL)
		keep_some(&image, &size, known, loss, seed);
	snprintf(path, sizeof(path), "%s/%s", directory, known->name);
	file = fopen(path, "we");
	if (!file || fwrite(image, 1, size, file) != size)
		abort();
	fclose(file);
	free(image);
}

void power_survivors(const char *directory, enum power_loss loss, unsigned *seed)
{
	pthread_mutex_lock(&power.lock);
	for (size_t i = 0; i < power.files_count; i++)
		write_survivor(directory, &power.files[i], loss, seed);
	pthread_mutex_unlock(&power.lock);
}
