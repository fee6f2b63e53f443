/*
 * Calls in threads: children of a group of the caller's that is on the pool wherever the caller is.
 *
 * The future is completed when the library is done with the child as a task, whether it ran or not;
 * that is the last touch of the call's memory. Its lock guards the token, which is there from the
 * function's begin up to then, against a cancel from anywhere.
 */
#include <taskmgr/group.h>
#include <taskmgr/thread_call.h>

#include <errno.h>

#include "future.h"
#include "manager.h"

static struct tmgr__lock *lock_of(struct tmgr_thread_call *call)
{
	return (struct tmgr__lock *)(void *)&call->lock;
}

static void cancel(struct tmgr_future *future, int code, const char *text)
{
	struct tmgr_thread_call *call = container_of(future, struct tmgr_thread_call, future);
	struct tmgr_token *token;

	tmgr__lock_acquire(lock_of(call));
	call->cancelled = true;
	token = tmgr_token_ref(call->token);
	tmgr__lock_release(lock_of(call));
	if (token)
		tmgr_token_cancel(token, code, text);
	tmgr_token_unref(token);
}

/* Its result is the future's, and no failure of the task that made the call. */
static int execute(void *self, struct tmgr_context *context)
{
	struct tmgr_token *token = tmgr_context_token(context);
	struct tmgr_thread_call *call = self;
	bool cancelled;
	int r;

	tmgr__lock_acquire(lock_of(call));
	cancelled = call->cancelled;
	call->token = token;
	tmgr__lock_release(lock_of(call));
	if (cancelled)
		return 0;
	/* For a function that does not return. */
	call->result = -TMGR_EUNEXPECTED;
	r = call->function(call->self, context, &call->value);
	call->result = r > 0 ? -TMGR_EFAILED : r;
	return 0;
}

static void destroy(void *self)
{
	struct tmgr_thread_call *call = self;

	tmgr__lock_acquire(lock_of(call));
	call->token = NULL;
	tmgr__lock_release(lock_of(call));
	tmgr_future_complete(&call->future, call->result, call->result == 0 ? call->value : NULL);
}

int tmgr_call_in_thread(struct tmgr_context *context, struct tmgr_thread_call *call,
	int (*function)(void *self, struct tmgr_context *context, void **ret_value), void *self)
{
	static const struct tmgr_group_options options = { .keep_going = true, .on_pool = true };
	static const struct tmgr_task_ops ops = {
		.kind = "call", .execute = execute, .destroy = destroy
	};
	int r = 0;

	if (!context || !call || !function)
		return -EINVAL;
	*call = (struct tmgr_thread_call){
		.future.cancel = cancel, .function = function, .self = self, .result = -ECANCELED
	};
	if (!context->call_group)
		r = tmgr_group_create(context, &options, &context->call_group);
	if (r == 0)
		r = tmgr__spawn(
			context, context->call_group, (struct tmgr_task){ &ops, call }, NULL);
	return r;
}

int tmgr_thread_call_wait(struct tmgr_context *context, struct tmgr_thread_call *call,
	int64_t deadline, void **ret_value)
{
	int error, r;
	void *value;

	if (!context || !call)
		return -EINVAL;
	r = tmgr__future_wait_shielded(context, &call->future, deadline, "call");
	if (r < 0)
		return r;
	tmgr_future_result(&call->future, &error, &value);
	if (error == 0 && ret_value)
		*ret_value = value;
	return error;
}
