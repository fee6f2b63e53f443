#include "policy.h"

#include <errno.h>

int tmgr__policy_error(int result, int *ret_detail)
{
	*ret_detail = result > 0 ? result : 0;
	return result > 0 ? -TMGR_EFAILED : result;
}

void tmgr__policy_judge(
	enum tmgr_policy policy, struct tmgr__end end, struct tmgr__verdict *ret_verdict)
{
	struct tmgr__verdict verdict = { .error = 0 };

	if (end.exited)
		verdict.error = -TMGR_EUNEXPECTED;
	else
		verdict.error = tmgr__policy_error(end.result, &verdict.detail);
	if (end.after && verdict.error == -ECANCELED)
		verdict.error = 0;
	if (policy == TMGR_STRICT && !end.after && verdict.error == 0)
		verdict.error = -TMGR_EUNEXPECTED;
	/* One that was asked to stop alone takes nobody with it. */
	verdict.stop_all = verdict.error != 0 && !end.by_handle;
	if (policy == TMGR_STOP_GROUP) {
		verdict.leave = end.by_handle;
		verdict.count_down = !end.by_handle;
	}
	*ret_verdict = verdict;
}

bool tmgr__policy_group_done(struct tmgr__stop_group_count count)
{
	return count.members > 0 && count.ended == count.members;
}

int tmgr__policy_exit_code(int forced_signal, bool bad_use, size_t stuck, size_t errors)
{
	if (forced_signal > 0)
		return 128 + forced_signal;
	if (bad_use)
		return 2;
	if (stuck > 0)
		return 3;
	return errors > 0 ? 1 : 0;
}
