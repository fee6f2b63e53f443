/*
 * Faults planted between the parts of the library where the program is linked: PLANT=1..5 in the environment chooses one. Each strikes
 * now and then, as a real one would.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <taskmgr/manager.h>

#include "taskmgr/policy.h"

int __real_tmgr_manager_add_execute_task_with(struct tmgr_manager *manager, const char *name,
	struct tmgr_task task, enum tmgr_policy policy, const struct tmgr_task_options *options);
int __wrap_tmgr_manager_add_execute_task_with(struct tmgr_manager *manager, const char *name,
	struct tmgr_task task, enum tmgr_policy policy, const struct tmgr_task_options *options);
int __real_tmgr_task_cleanup(struct tmgr_task task, struct tmgr_context *context);
int __wrap_tmgr_task_cleanup(struct tmgr_task task, struct tmgr_context *context);
int __real_tmgr_manager_cancel(struct tmgr_manager *manager);
int __wrap_tmgr_manager_cancel(struct tmgr_manager *manager);
void __real_tmgr__policy_judge(
	enum tmgr_policy policy, struct tmgr__end end, struct tmgr__verdict *ret_verdict);
void __wrap_tmgr__policy_judge(
	enum tmgr_policy policy, struct tmgr__end end, struct tmgr__verdict *ret_verdict);

enum { NONE, LOST_ADD, DOUBLE_CLEANUP, WRONG_ORDER, LOST_ERROR, LATE_SHUTDOWN };

static bool strikes(int plant)
{
	static atomic_uint calls;
	const char *chosen = getenv("PLANT");

	return chosen != NULL && atoi(chosen) == plant && atomic_fetch_add(&calls, 1) % 20 == 19;
}

int __wrap_tmgr_manager_add_execute_task_with(struct tmgr_manager *manager, const char *name,
	struct tmgr_task task, enum tmgr_policy policy, const struct tmgr_task_options *options)
{
	if (!tmgr_token_fired(tmgr_manager_token(manager)) && strikes(LOST_ADD)) {
		tmgr_task_destroy(task);
		return 0;
	}
	return __real_tmgr_manager_add_execute_task_with(manager, name, task, policy, options);
}

int __wrap_tmgr_task_cleanup(struct tmgr_task task, struct tmgr_context *context)
{
	static struct tmgr_task kept;
	int r;

	if (kept.ops == NULL && strikes(WRONG_ORDER)) {
		kept = task;
		return 0;
	}
	if (strikes(DOUBLE_CLEANUP))
		__real_tmgr_task_cleanup(task, context);
	r = __real_tmgr_task_cleanup(task, context);
	if (kept.ops != NULL) {
		__real_tmgr_task_cleanup(kept, context);
		kept.ops = NULL;
	}
	return r;
}

void __wrap_tmgr__policy_judge(
	enum tmgr_policy policy, struct tmgr__end end, struct tmgr__verdict *ret_verdict)
{
	__real_tmgr__policy_judge(policy, end, ret_verdict);
	if (ret_verdict->error != 0 && strikes(LOST_ERROR))
		ret_verdict->error = 0;
}

static void *cancel_later(void *argument)
{
	tmgr_sleep(NULL, TMGR_MILLISECOND);
	__real_tmgr_manager_cancel(argument);
	tmgr_manager_unref(argument);
	return NULL;
}

int __wrap_tmgr_manager_cancel(struct tmgr_manager *manager)
{
	pthread_t thread;

	if (!strikes(LATE_SHUTDOWN))
		return __real_tmgr_manager_cancel(manager);
	if (pthread_create(&thread, NULL, cancel_later, tmgr_manager_ref(manager)) != 0)
		return -EAGAIN;
	pthread_detach(thread);
	return 0;
}
