/* From outside, waiting. */
#include <errno.h>

#include "tasks/process/runtime.h"

/* In a single-threaded runtime who waits makes things happen. */
static int drive(struct tmgr_processes *processes, struct tmgr_process_request *request)
{
	int r = 1;

	while (r == 1 && !tmgr_future_done(&request->future))
		r = tmgr_processes_drive(processes);
	if (tmgr_future_done(&request->future))
		return 0;
	return r == 0 ? -ETIMEDOUT : r;
}

/* The request's answer. */
static int wait_for(struct tmgr_context *context, struct tmgr_processes *processes,
	struct tmgr_process_request *request, int64_t deadline)
{
	int r, error = 0;

	if (processes->options.single_threaded)
		r = drive(processes, request);
	else
		r = tmgr_future_wait(context, &request->future, deadline);
	if (r == 0)
		tmgr_future_result(&request->future, &error, NULL);
	return r != 0 ? r : error;
}

int tmgr_processes_do(struct tmgr_context *context, struct tmgr_processes *processes,
	const struct tmgr_process_command *command, int64_t deadline,
	struct tmgr_process_request **ret_request)
{
	struct tmgr_process_request *request;
	int r = tmgr_processes_submit(processes, command, &request);

	if (r != 0)
		return r;
	r = wait_for(context, processes, request, deadline);
	if (r == 0 && ret_request != NULL)
		*ret_request = request;
	else
		tmgr_process_request_release(request);
	return r;
}

int tmgr_processes_start(struct tmgr_context *context, struct tmgr_processes *processes,
	const struct tmgr_process_child *child, int64_t deadline)
{
	if (child == NULL)
		return -EINVAL;
	return tmgr_processes_do(context, processes,
		&(struct tmgr_process_command){ .kind = TMGR_PROCESS_START, .child = *child },
		deadline, NULL);
}

int tmgr_processes_send(struct tmgr_context *context, struct tmgr_processes *processes,
	const struct tmgr_process_outside *message, int64_t deadline)
{
	if (message == NULL)
		return -EINVAL;
	return tmgr_processes_do(context, processes,
		&(struct tmgr_process_command){
			.kind = TMGR_PROCESS_SEND,
			.channel = message->channel,
			.value = message->value,
			.key = message->key,
		},
		deadline, NULL);
}

int tmgr_processes_wait(struct tmgr_context *context, struct tmgr_processes *processes,
	const char *id, int64_t deadline, struct tmgr_process_request **ret_request)
{
	struct tmgr_process_request *request;
	int r = tmgr_processes_submit(processes,
		&(struct tmgr_process_command){ .kind = TMGR_PROCESS_RESULT, .id = id }, &request);

	if (r != 0)
		return r;
	r = wait_for(context, processes, request, deadline);
	if (ret_request != NULL &&
		(r == 0 || (r == -ECANCELED && tmgr_future_done(&request->future))))
		*ret_request = request;
	else
		tmgr_process_request_release(request);
	return r;
}

int tmgr_processes_follow(struct tmgr_context *context, struct tmgr_processes *processes,
	uint64_t after, int64_t deadline)
{
	struct tmgr_process_request *request;
	int r;

	if (processes == NULL)
		return -EINVAL;
	request = tmgr__request_create(TMGR__REQUEST_FOLLOW, 0);
	if (request == NULL)
		return -ENOMEM;
	request->sequence = after;
	r = tmgr__request_put(processes, request);
	if (r == 0)
		r = wait_for(context, processes, request, deadline);
	tmgr__request_unref(request);
	return r;
}
