/*
 * The threads of a run exist before the first initialize. The functions of glibc used here change
 * all threads of the program, the system calls of the same names would change only the calling one.
 */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "drop.h"

struct drop {
	uid_t user;
	gid_t group;
};

static bool is_dropped(const struct drop *drop)
{
	uid_t user[3];
	gid_t group[3];

	if (getresuid(&user[0], &user[1], &user[2]) < 0 ||
		getresgid(&group[0], &group[1], &group[2]) < 0 || getgroups(0, NULL) != 0)
		return false;
	for (int i = 0; i < 3; i++) {
		if (user[i] != drop->user || group[i] != drop->group)
			return false;
	}
	return true;
}

/* Tries what must fail now. */
static bool can_regain(void)
{
	return setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0 || setegid(0) == 0 ||
	       setgroups(0, NULL) == 0;
}

/* Groups first: after setresuid() there is no right left to change them. */
static int drop_initialize(void *self, struct tmgr_context *context)
{
	const struct drop *drop = self;

	if (geteuid() != 0) {
		tmgr_log(context, TMGR_LEVEL_NOTICE, "not root, no privileges to drop");
		return 0;
	}
	if (drop->user == 0 || drop->group == 0)
		return tmgr_fail(context, -EINVAL, "the user to become is root");
	if (setgroups(0, NULL) < 0)
		return tmgr_fail(context, -errno, "setgroups");
	if (setresgid(drop->group, drop->group, drop->group) < 0)
		return tmgr_fail(context, -errno, "setresgid %ld", (long)drop->group);
	if (setresuid(drop->user, drop->user, drop->user) < 0)
		return tmgr_fail(context, -errno, "setresuid %ld", (long)drop->user);
	if (!is_dropped(drop) || can_regain())
		return tmgr_fail(context, -EPERM, "privileges were not dropped for good");
	tmgr_log(context, TMGR_LEVEL_NOTICE, "dropped privileges, user %ld, group %ld",
		(long)drop->user, (long)drop->group);
	return 0;
}

struct tmgr_task drop_task(uid_t user, gid_t group)
{
	static const struct tmgr_task_ops ops = {
		.kind = "drop",
		.initialize = drop_initialize,
		.destroy = free,
	};
	struct drop *drop = malloc(sizeof(*drop));

	if (drop == NULL)
		return tmgr_task_failed(-ENOMEM);
	*drop = (struct drop){ user, group };
	return (struct tmgr_task){ &ops, drop };
}
