/*
 * A task that keeps a pid file: one instance a file.
 *
 * The file is locked for as long as the daemon lives, and the lock, not the file, says that one
 * runs: a file without a lock is left over from a crash and is taken over. The number in it is for
 * people and scripts.
 */
#ifndef PRIVILEGES_PIDFILE_H
#define PRIVILEGES_PIDFILE_H

#include <sys/types.h>

#include <taskmgr/task.h>

/*
 * path is borrowed until the manager is destroyed. Its directory is made where it is missing, and
 * belongs to owner and group then, so that the file can be removed after privileges were dropped;
 * (uid_t)-1 leaves it the caller's.
 */
struct tmgr_task pidfile_task(const char *path, uid_t owner, gid_t group);

#endif
