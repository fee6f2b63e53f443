#include "power.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

static struct {
	long no_room, fail_read, fail_write, fail_sync;
	bool leave_out_log, leave_out_database;
} power;

struct power_file {
	sqlite3_file base;
	struct disk_file *known;
	bool is_log, is_new; /* new: no sync yet of one that was made */
	sqlite3_file *real;  /* behind this */
};

static sqlite3_vfs *real_vfs;

/* Counted down to 0 at each call: whether this is the one. */
static bool counts_down(long *n)
{
	return *n > 0 && --*n == 0;
}

/* ---- The file layer -------------------------------------------------------------------------- */

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
	bool fails;

	disk_lock();
	fails = counts_down(&power.fail_read);
	disk_unlock();
	return fails ? SQLITE_IOERR_READ : REAL(file)->xRead(real_of(file), to, size, offset);
}

static int power_write(sqlite3_file *file, const void *from, int size, sqlite3_int64 offset)
{
	struct power_file *self = POWER_FILE(file);
	int code = SQLITE_OK;

	disk_lock();
	if (!disk_powered() || counts_down(&power.fail_write))
		code = SQLITE_IOERR_WRITE;
	else if (power.no_room == 1)
		code = SQLITE_FULL;
	else if (power.no_room > 1)
		power.no_room--;
	if (code == SQLITE_OK)
		code = self->real->pMethods->xWrite(self->real, from, size, offset);
	if (code == SQLITE_OK && self->known)
		disk_note_write(self->known, (size_t)offset, from, (size_t)size);
	disk_unlock();
	return code;
}

static int power_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct power_file *self = POWER_FILE(file);
	int code = SQLITE_IOERR_TRUNCATE;

	disk_lock();
	if (disk_powered())
		code = self->real->pMethods->xTruncate(self->real, size);
	if (code == SQLITE_OK && self->known)
		disk_note_truncation(self->known, (size_t)size);
	disk_unlock();
	return code;
}

/* The first of a log that was made: what SQLite does with its directory is SQLite's to say, see
 * open_directory(). */
static int sync_new(struct power_file *self, int flags)
{
	self->is_new = false;
	return self->real->pMethods->xSync(self->real, flags);
}

static int power_sync(sqlite3_file *file, int flags)
{
	struct power_file *self = POWER_FILE(file);
	int code = SQLITE_OK;

	disk_lock();
	if (!disk_powered() || counts_down(&power.fail_sync))
		code = SQLITE_IOERR_FSYNC;
	else if (self->known && !(self->is_log ? power.leave_out_log : power.leave_out_database))
		disk_note_sync(self->known);
	if (code == SQLITE_OK && self->is_new)
		code = sync_new(self, flags);
	disk_unlock();
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

/*
 * SQLite opens a file's directory to sync it. In the disk's, under the lock, from sync_new() and
 * power_delete().
 */
static int (*real_open_directory)(const char *path, int *ret_fd);

static int open_directory(const char *path, int *ret_fd)
{
	char directory[512];
	const char *slash = strrchr(path, '/');

	snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path) : 0, path);
	disk_note_directory_sync(directory);
	return real_open_directory(path, ret_fd);
}

static int power_open(
	sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
	struct power_file *self = POWER_FILE(file);
	bool known = path && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB));
	int code = SQLITE_IOERR, there = 0;

	memset(self, 0, sizeof(*self));
	self->real = (sqlite3_file *)(void *)(self + 1);
	disk_lock();
	if (known)
		real_vfs->xAccess(real_vfs, path, SQLITE_ACCESS_EXISTS, &there);
	if (!known || there || disk_powered())
		code = real_vfs->xOpen(real_vfs, path, self->real, flags, ret_flags);
	if (code == SQLITE_OK && known)
		self->known = disk_open(path);
	disk_unlock();
	if (code != SQLITE_OK)
		return code;
	self->base.pMethods = &methods;
	self->is_log = flags & SQLITE_OPEN_WAL;
	self->is_new = self->is_log && !there;
	return SQLITE_OK;
}

static int power_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
	int code = SQLITE_IOERR_DELETE;

	disk_lock();
	if (disk_powered())
		code = real_vfs->xDelete(real_vfs, path, sync);
	if (code == SQLITE_OK)
		disk_note_unlink(path);
	disk_unlock();
	return code;
}

static void register_vfs(void)
{
	static sqlite3_vfs vfs;

	real_vfs = sqlite3_vfs_find(NULL);
	vfs = *real_vfs;
	vfs.zName = POWER_VFS;
	vfs.szOsFile = (int)sizeof(struct power_file) + real_vfs->szOsFile;
	vfs.pNext = NULL;
	vfs.xOpen = power_open;
	vfs.xDelete = power_delete;
	sqlite3_vfs_register(&vfs, 0);
	real_open_directory = (int (*)(const char *, int *))real_vfs->xGetSystemCall(
		real_vfs, "openDirectory");
	real_vfs->xSetSystemCall(real_vfs, "openDirectory", (sqlite3_syscall_ptr)open_directory);
}

void power_reset(void)
{
	if (!real_vfs)
		register_vfs();
	power_fini();
}

void power_fini(void)
{
	disk_lock();
	disk_forget();
	memset(&power, 0, sizeof(power));
	disk_unlock();
}

/* ---- What tests ask for ---------------------------------------------------------------------- */

static void set(long *value, long n)
{
	disk_lock();
	*value = n;
	disk_unlock();
}

long power_operations(void)
{
	long operations;

	disk_lock();
	operations = disk_operations();
	disk_unlock();
	return operations;
}

void power_cut_at(long n)
{
	disk_lock();
	disk_cut_at(n);
	disk_unlock();
}

void power_kill_at(long n)
{
	disk_lock();
	disk_kill_at(n);
	disk_unlock();
}

bool power_is_cut(void)
{
	bool cut;

	disk_lock();
	cut = disk_is_cut();
	disk_unlock();
	return cut;
}

void power_leave_out_syncs(bool of_log, bool of_database)
{
	disk_lock();
	power.leave_out_log = of_log;
	power.leave_out_database = of_database;
	disk_unlock();
}

void power_leave_out_file_syncs(bool on)
{
	disk_lock();
	disk_leave_out_file_syncs(on);
	disk_unlock();
}

void power_leave_out_directory_sync(long n, long cut_after)
{
	disk_lock();
	disk_leave_out_directory_sync(n, cut_after);
	disk_unlock();
}

void power_no_room(long n)
{
	set(&power.no_room, n);
}

void power_fail_read(long n)
{
	set(&power.fail_read, n);
}

void power_fail_write(long n)
{
	set(&power.fail_write, n);
}

void power_fail_sync(long n)
{
	set(&power.fail_sync, n);
}

void power_fail_file_sync(long n)
{
	disk_lock();
	disk_fail_file_sync(n);
	disk_unlock();
}

void power_survivors(const char *directory, enum power_loss loss, unsigned *seed)
{
	disk_lock();
	disk_write_survivors(directory, loss, seed);
	disk_unlock();
}
