/*
 * What the end of an execute means: a pure function, tested over all its inputs.
 */
#ifndef TMGR__POLICY_H
#define TMGR__POLICY_H

#include <taskmgr/snapshot.h>

/* How an execute ended. */
struct tmgr__end {
	int result;     /* what it returned */
	bool exited;    /* by pthread_exit() */
	bool after;     /* its token had fired when it returned */
	bool by_handle; /* cancelled by its handle */
};

struct tmgr__verdict {
	int error;       /* 0: a clean end; else to be recorded: negative */
	int detail;      /* the positive value returned */
	bool stop_all;   /* the manager is to stop */
	bool count_down; /* it counts as an ended member of its stop group */
	bool leave;      /* it leaves its stop group */
};

/* By its address: a few small fields, returned in registers, are put together in memory first. */
void tmgr__policy_judge(
	enum tmgr_policy policy, struct tmgr__end end, struct tmgr__verdict *ret_verdict);

/* Members of a stop group. */
struct tmgr__stop_group_count {
	size_t members; /* that were added and have not left */
	size_t ended;
};

/* Whether all of a group that is left has ended, after one of it ended or left. */
bool tmgr__policy_group_done(struct tmgr__stop_group_count count);

/* What the manager leaves with. Signal: that forced the end, or 0. */
int tmgr__policy_exit_code(int forced_signal, bool bad_use, size_t stuck, size_t errors);

/* A negative errno for whatever a task returned; the positive value goes to *ret_detail. */
int tmgr__policy_error(int result, int *ret_detail);

#endif
