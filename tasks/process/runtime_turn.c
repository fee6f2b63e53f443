/* What the engine's thread does with what came in, and whom it answers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/error.h>

#include "tasks/process/runtime.h"

#define HOLD_NS (10 * TMGR_MILLISECOND)

static struct tmgr__changes *changes_of(struct tmgr_processes *processes)
{
	return &processes->batches[processes->building];
}

static void mix(struct tmgr_processes *processes, uint64_t value)
{
	processes->trace = (processes->trace ^ value) * 1099511628211u;
}

static int apply(struct tmgr_processes *processes, struct tmgr__apply *command)
{
	int r;

	command->now_ms = tmgr__runtime_now_ms(processes);
	command->wall_ms = tmgr__runtime_wall_ms(processes);
	r = tmgr__engine_apply(processes->engine, command, changes_of(processes));
	if (processes->engine->broken != 0)
		processes->failed = processes->engine->broken;
	atomic_store(
		&processes->unsaved, processes->batches[0].bytes + processes->batches[1].bytes);
	mix(processes, (uint64_t)command->kind << 32 ^ processes->engine->sequence);
	return r;
}

/* Where nothing happens by itself, it is with the next call. */
int64_t tmgr__runtime_hold(struct tmgr_processes *processes)
{
	int64_t wait = processes->options.single_threaded ? 0 : HOLD_NS;

	processes->memory_at = tmgr__runtime_ns(processes) + wait;
	return processes->memory_at;
}

/* Whether a command found no memory, and nothing has happened. */
static bool is_short(const struct tmgr_processes *processes, int result)
{
	return result == -ENOMEM && processes->failed == 0;
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* Answer when all that happened until now is durable. */
static void answer_later(
	struct tmgr_processes *processes, struct tmgr_process_request *request, int error)
{
	request->error = error;
	request->sequence = processes->engine->sequence;
	tmgr__list_append(&processes->unanswered, &request->link);
}

static struct tmgr_process_request *request_of(struct tmgr__list *link)
{
	return container_of(link, struct tmgr_process_request, link);
}

static void answer_followers(struct tmgr_processes *processes, uint64_t durable)
{
	struct tmgr__list *link = processes->waiting.next;

	while (link != &processes->waiting) {
		struct tmgr_process_request *request = request_of(link);

		link = link->next;
		if (request->kind != TMGR__REQUEST_FOLLOW || request->sequence >= durable)
			continue;
		tmgr__list_remove(&request->link);
		tmgr__request_answer(request, 0);
	}
}

void tmgr__runtime_answer(struct tmgr_processes *processes)
{
	uint64_t durable = processes->engine->durable;
	struct tmgr__list *link;

	atomic_store(&processes->durable, durable);
	while ((link = tmgr__list_first(&processes->unanswered)) != NULL) {
		struct tmgr_process_request *request = request_of(link);

		if (request->sequence > durable)
			break;
		tmgr__list_remove(link);
		tmgr__request_answer(request, request->error);
	}
	answer_followers(processes, durable);
}

static void refuse(struct tmgr__list *list, int error)
{
	struct tmgr__list *link;

	while ((link = tmgr__list_pop(list)) != NULL)
		tmgr__request_answer(request_of(link), error);
}

/* It stops, or has ended: nobody waits for what will not come. */
void tmgr__runtime_refuse_all(struct tmgr_processes *processes, int error)
{
	struct tmgr__list inbox;

	tmgr__list_init(&inbox);
	tmgr__lock_acquire(&processes->lock);
	tmgr__list_splice(&inbox, &processes->inbox);
	tmgr__lock_release(&processes->lock);
	refuse(&inbox, error);
	refuse(&processes->unanswered, error);
	refuse(&processes->waiting, error);
	refuse(&processes->store_asked, error);
	refuse(&processes->backups_asked, error);
}

/* ---- The ends of processes ------------------------------------------------------------------- */

static int result_of(const struct tmgr__eprocess *process, struct tmgr__blob **ret_value)
{
	const struct tmgr__blob *result = process->ending != NULL ? process->ending->result : NULL;

	if (result != NULL) {
		*ret_value = malloc(sizeof(*result) + result->size + 1);
		if (*ret_value == NULL)
			return -ENOMEM;
		memcpy(*ret_value, result, sizeof(*result) + result->size + 1);
	}
	if (process->status == TMGR_PROCESS_CANCELLED)
		return -ECANCELED;
	return process->has_result ? 0 : -ENODATA;
}

void tmgr__runtime_tell_over(void *self, struct tmgr__eprocess *process)
{
	struct tmgr_processes *processes = self;
	struct tmgr__list *link = processes->waiting.next;

	while (link != &processes->waiting) {
		struct tmgr_process_request *request = request_of(link);
		int r;

		link = link->next;
		if (request->kind != TMGR_PROCESS_RESULT || request->apply.process != process)
			continue;
		tmgr__list_remove(&request->link);
		r = result_of(process, &request->value);
		answer_later(processes, request, r);
	}
}

/* Who has let go of a request is not told; so that those do not pile up some are looked at each time. */
static void wait_long(struct tmgr_processes *processes, struct tmgr_process_request *request)
{
	for (int i = 0; i < 2; i++) {
		struct tmgr__list *link = tmgr__list_pop(&processes->waiting);

		if (link == NULL)
			break;
		if (atomic_load(&request_of(link)->refs) == 1)
			tmgr__request_answer(request_of(link), -ECANCELED);
		else
			tmgr__list_append(&processes->waiting, link);
	}
	tmgr__list_append(&processes->waiting, &request->link);
}

static void wait_for_end(struct tmgr_processes *processes, struct tmgr_process_request *request)
{
	struct tmgr__eprocess *process = tmgr__engine_process(processes->engine, request->apply.id);

	if (process == NULL) {
		answer_later(processes, request, -ENOENT);
	} else if (tmgr__process_is_over(process)) {
		answer_later(processes, request, result_of(process, &request->value));
	} else {
		request->apply.process = process;
		wait_long(processes, request);
	}
}

/* ---- Requests -------------------------------------------------------------------------------- */

static bool is_full(const struct tmgr_processes *processes)
{
	return processes->retry_at != 0 &&
	       processes->batches[0].bytes + processes->batches[1].bytes >
		       processes->options.unsaved_max;
}

static void take_request(struct tmgr_processes *processes, struct tmgr_process_request *request)
{
	switch (request->kind) {
	case TMGR_PROCESS_RESULT:
		wait_for_end(processes, request);
		break;
	case TMGR_PROCESS_GET:
	case TMGR_PROCESS_LIST:
	case TMGR_PROCESS_CHANNELS:
		answer_later(processes, request, tmgr__info_answer(processes, request));
		break;
	case TMGR_PROCESS_CHECKPOINT:
		tmgr__list_append(&processes->store_asked, &request->link);
		break;
	case TMGR_PROCESS_BACKUP:
		tmgr__list_append(&processes->backups_asked, &request->link);
		break;
	case TMGR__REQUEST_FOLLOW:
		wait_long(processes, request);
		break;
	default:
		if (request->kind != TMGR__REQUEST_ONCE && is_full(processes))
			tmgr__request_answer(request, -ENOSPC);
		else
			answer_later(processes, request, apply(processes, &request->apply));
	}
}

/* ---- Methods that have returned -------------------------------------------------------------- */

static void take_deed(struct tmgr_processes *processes, struct tmgr__job *job)
{
	struct tmgr__apply command = {
		.kind = TMGR__APPLY_STEP,
		.process = job->step.process,
		.deed = &job->step.deed,
	};

	job->step.deed.late = job->late;
	if (!job->late && job->step.deed.result == 0 && job->step.statement_count > 0) {
		tmgr__list_append(&processes->trials, &job->link);
		return;
	}
	if (!is_short(processes, apply(processes, &command))) {
		tmgr__job_recycle(processes, job);
		return;
	}
	tmgr__runtime_hold(processes);
	tmgr__lock_acquire(&processes->lock);
	tmgr__list_append(&processes->returned, &job->link);
	tmgr__lock_release(&processes->lock);
}

void tmgr__runtime_take(struct tmgr_processes *processes)
{
	struct tmgr__list inbox, returned, *link;

	tmgr__list_init(&inbox);
	tmgr__list_init(&returned);
	processes->memory_at = 0;
	tmgr__lock_acquire(&processes->lock);
	tmgr__list_splice(&inbox, &processes->inbox);
	tmgr__list_splice(&returned, &processes->returned);
	tmgr__lock_release(&processes->lock);
	/* What a method asked for comes before its return. */
	while ((link = tmgr__list_pop(&inbox)) != NULL)
		take_request(processes, request_of(link));
	while ((link = tmgr__list_pop(&returned)) != NULL)
		take_deed(processes, container_of(link, struct tmgr__job, link));
}

/* ---- Time ------------------------------------------------------------------------------------ */

void tmgr__runtime_tick(struct tmgr_processes *processes)
{
	struct tmgr__apply tick = { .kind = TMGR__APPLY_TICK };
	bool more = tmgr__engine_timeout(processes->engine, tmgr__runtime_now_ms(processes),
			    tmgr__runtime_wall_ms(processes)) == 0;

	/* All in one batch: no file has a timer that was due long before its last step. */
	while (more && processes->failed == 0) {
		if (is_short(processes, apply(processes, &tick))) {
			tmgr__runtime_hold(processes);
			break;
		}
		more = tmgr__engine_is_due(processes->engine, tick.now_ms, tick.wall_ms);
	}
}

/* ---- Workers --------------------------------------------------------------------------------- */

static struct tmgr__crew *crew_for(
	struct tmgr_processes *processes, const struct tmgr__eprocess *process)
{
	struct tmgr__crew *crew = processes->crews;

	while (crew != &processes->general &&
		strcmp(crew->definition, process->definition->name) != 0)
		crew = crew->next;
	return crew;
}

/* Which workers there are is fixed before it is opened. */
void tmgr__runtime_dispatch(struct tmgr_processes *processes)
{
	int64_t now = tmgr__runtime_ns(processes), late;
	struct tmgr__eprocess *process;

	while (processes->failed == 0 && !processes->stopping &&
		(process = tmgr__engine_next(processes->engine)) != NULL) {
		struct tmgr__crew *crew = crew_for(processes, process);

		late = tmgr__method_deadline(process->running->method, now);
		if (late < processes->check_at)
			processes->check_at = late;
		process->run_next = NULL;
		tmgr__lock_acquire(&processes->lock);
		if (crew->last != NULL)
			crew->last->run_next = process;
		else
			crew->first = process;
		crew->last = process;
		processes->queued++;
		tmgr__lock_release(&processes->lock);
		tmgr_semaphore_release(&crew->jobs);
	}
}

/* Jobs that began late enough are looked at again when they may be late. */
static struct tmgr__job *find_late(struct tmgr_processes *processes, int64_t now)
{
	struct tmgr__job *found = NULL;
	struct tmgr__list *link;

	tmgr__lock_acquire(&processes->lock);
	processes->check_at = processes->queued > 0 ? now + TMGR_SECOND : TMGR_NEVER;
	for (link = processes->running.next; link != &processes->running; link = link->next) {
		struct tmgr__job *job = container_of(link, struct tmgr__job, link);

		if (job->late)
			continue;
		if (job->step.deadline <= now)
			found = job;
		else if (job->step.deadline < processes->check_at)
			processes->check_at = job->step.deadline;
	}
	/* It cannot leave while it is marked: only this thread takes what has returned. */
	if (found != NULL)
		found->late = true;
	tmgr__lock_release(&processes->lock);
	return found;
}

void tmgr__runtime_look_for_late(struct tmgr_processes *processes)
{
	int64_t now = tmgr__runtime_ns(processes);
	struct tmgr__job *job;

	while (now >= processes->check_at && (job = find_late(processes, now)) != NULL) {
		struct tmgr__apply stuck = {
			.kind = TMGR__APPLY_STUCK,
			.process = job->step.process,
		};

		processes->check_at = now;
		if (!is_short(processes, apply(processes, &stuck)))
			continue;
		job->late = false;
		processes->check_at = tmgr__runtime_hold(processes);
	}
}
