/* Workers: take a process that is to run, call its method, and give back what came of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/group.h>

#include "taskmgr/base/text.h"

#include "tasks/process/runtime.h"

struct workers {
	struct tmgr_processes *processes;
	struct tmgr__crew *crew;
	size_t count;
};

/* ---- Jobs ------------------------------------------------------------------------------------ */

void tmgr__jobs_free(struct tmgr__list *jobs)
{
	struct tmgr__list *link = jobs->next;

	while (link != jobs) {
		struct tmgr__job *job = container_of(link, struct tmgr__job, link);

		link = link->next;
		tmgr__step_fini(&job->step);
		free(job);
	}
	tmgr__list_init(jobs);
}

void tmgr__job_recycle(struct tmgr_processes *processes, struct tmgr__job *job)
{
	tmgr__lock_acquire(&processes->lock);
	tmgr__list_append(&processes->spare, &job->link);
	tmgr__lock_release(&processes->lock);
}

static struct tmgr__job *make_job(struct tmgr_processes *processes)
{
	struct tmgr__job *job = malloc(sizeof(*job));

	if (job == NULL)
		return NULL;
	if (tmgr__step_init(&job->step) != 0) {
		free(job);
		return NULL;
	}
	tmgr__list_init(&job->link);
	job->processes = processes;
	return job;
}

/* A result of an effect goes in and is waited for, whether the worker is to stop or not. */
static int keep(struct tmgr_process *step, const char *name, struct tmgr_bytes value)
{
	struct tmgr__job *job = container_of(step, struct tmgr__job, step);
	size_t size = strlen(name) + 1;
	struct tmgr_process_request *request = tmgr__request_create(
		TMGR__REQUEST_ONCE, size + value.size);
	int r, error = 0;

	if (request == NULL)
		return -ENOMEM;
	memcpy(request->texts, name, size);
	if (value.size > 0)
		memcpy(request->texts + size, value.data, value.size);
	request->apply = (struct tmgr__apply){
		.kind = TMGR__APPLY_ONCE,
		.process = step->process,
		.name = request->texts,
		.value = { request->texts + size, value.size },
	};
	r = tmgr__request_put(job->processes, request);
	if (r == 0) {
		tmgr_uninterrupted_begin(step->context, TMGR_NEVER);
		r = tmgr_future_wait(step->context, &request->future, step->deadline);
		tmgr_uninterrupted_end(step->context);
		if (r == 0)
			tmgr_future_result(&request->future, &error, NULL);
	}
	tmgr__request_unref(request);
	return r != 0 ? r : error;
}

static int64_t due(const struct tmgr_process *step, int64_t ns)
{
	const struct tmgr__job *job = container_of(step, struct tmgr__job, step);

	return tmgr__runtime_due_ms(job->processes, ns);
}

/* The next of a crew, ready for its method; NULL: there is none, or no memory for it now. */
struct tmgr__job *tmgr__job_begin(
	struct tmgr_processes *processes, struct tmgr__crew *crew, struct tmgr_context *context)
{
	struct tmgr__job *job = NULL;
	struct tmgr__eprocess *process;
	struct tmgr__list *link;

	tmgr__lock_acquire(&processes->lock);
	link = tmgr__list_pop(&processes->spare);
	tmgr__lock_release(&processes->lock);
	job = link != NULL ? container_of(link, struct tmgr__job, link) : make_job(processes);
	if (job == NULL)
		return NULL;
	tmgr__lock_acquire(&processes->lock);
	process = crew->first;
	if (process == NULL) {
		tmgr__list_append(&processes->spare, &job->link);
		tmgr__lock_release(&processes->lock);
		return NULL;
	}
	crew->first = process->run_next;
	if (crew->first == NULL)
		crew->last = NULL;
	processes->queued--;
	job->late = false;
	job->step.engine = processes->engine;
	job->step.process = process;
	job->step.goroutine = process->running;
	job->step.context = context;
	job->step.wall_ms = tmgr__runtime_wall_ms(processes);
	job->step.deadline = tmgr__method_deadline(
		process->running->method, tmgr__runtime_ns(processes));
	job->step.has_sql = processes->store->ops->try_sql != NULL;
	job->step.keep = keep;
	job->step.due = due;
	tmgr__list_append(&processes->running, &job->link);
	tmgr__lock_release(&processes->lock);
	return job;
}

/* The method has returned. */
void tmgr__job_end(struct tmgr__job *job)
{
	struct tmgr_processes *processes = job->processes;
	bool first;

	tmgr__lock_acquire(&processes->lock);
	first = tmgr__list_empty(&processes->returned);
	tmgr__list_remove(&job->link);
	tmgr__list_append(
		processes->state == TMGR__RUNTIME_CLOSED ? &processes->spare : &processes->returned,
		&job->link);
	tmgr__lock_release(&processes->lock);
	if (first)
		tmgr_flag_set(&processes->work);
}

/* ---- The task -------------------------------------------------------------------------------- */

static bool stops(struct tmgr_processes *processes)
{
	bool stopping;

	tmgr__lock_acquire(&processes->lock);
	stopping = processes->state != TMGR__RUNTIME_OPEN;
	tmgr__lock_release(&processes->lock);
	return stopping;
}

static int worker_execute(void *self, struct tmgr_context *context)
{
	struct workers *workers = self;
	int r;

	while ((r = tmgr_semaphore_acquire(context, &workers->crew->jobs, TMGR_NEVER)) == 0) {
		struct tmgr__job *job;

		if (stops(workers->processes))
			return tmgr_sleep_until(context, TMGR_NEVER);
		job = tmgr__job_begin(workers->processes, workers->crew, context);
		if (job == NULL) {
			/* Out of memory: somebody comes for it again. */
			tmgr_semaphore_release(&workers->crew->jobs);
			r = tmgr_sleep(context, 10 * TMGR_MILLISECOND);
			if (r != 0)
				break;
			continue;
		}
		tmgr__step_run(&job->step);
		job->step.deed.given_up = job->step.deed.result == -ECANCELED &&
					  tmgr_context_cancelled(context);
		tmgr__job_end(job);
	}
	return r;
}

static int workers_execute(void *self, struct tmgr_context *context)
{
	struct workers *workers = self;
	static const struct tmgr_task_ops ops = {
		.kind = "process worker",
		.execute = worker_execute,
	};
	int r = 0;

	tmgr_ready(context);
	for (size_t i = 1; r == 0 && i < workers->count; i++)
		r = tmgr_spawn(context, NULL, (struct tmgr_task){ &ops, workers }, NULL);
	if (r == 0)
		r = worker_execute(workers, context);
	return r;
}

static void workers_destroy(void *self)
{
	struct workers *workers = self;

	tmgr_processes_unref(workers->processes);
	free(workers);
}

static const struct tmgr_task_ops workers_ops = {
	.kind = "process workers",
	.execute = workers_execute,
	.destroy = workers_destroy,
};

static size_t processors(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	if (count < 1)
		return 1;
	return count < TMGR_PROCESSES_WORKERS_MAX ? (size_t)count : TMGR_PROCESSES_WORKERS_MAX;
}

/* Crews are made before the runtime is opened; later only those that are there can be joined: or -EBUSY. */
static int crew_named(
	struct tmgr_processes *processes, const char *definition, struct tmgr__crew **ret_crew)
{
	struct tmgr__crew *crew = &processes->general;
	int r = 0;

	*ret_crew = crew;
	if (definition == NULL)
		return 0;
	tmgr__lock_acquire(&processes->lock);
	for (crew = processes->crews; crew != &processes->general; crew = crew->next) {
		if (strcmp(crew->definition, definition) == 0)
			break;
	}
	if (crew == &processes->general && processes->state != TMGR__RUNTIME_MADE) {
		r = -EBUSY;
	} else if (crew == &processes->general) {
		crew = calloc(1, sizeof(*crew));
		r = crew == NULL ? -ENOMEM : 0;
		if (crew != NULL) {
			tmgr__text_copy(crew->definition, sizeof(crew->definition), definition);
			crew->next = processes->crews;
			processes->crews = crew;
		}
	}
	tmgr__lock_release(&processes->lock);
	*ret_crew = crew;
	return r;
}

static const struct tmgr_refusal *refuse(const struct tmgr_processes *processes,
	const struct tmgr_processes_workers_options *options)
{
	static const struct tmgr_refusal missing = { -EINVAL, "workers have a runtime" };
	static const struct tmgr_refusal single = { -EINVAL,
		"a single-threaded runtime has no workers" };
	static const struct tmgr_refusal many = { -EINVAL, "there are at most 1000 workers" };
	static const struct tmgr_refusal name = { -EINVAL, "that is no definition's name" };

	if (processes == NULL)
		return &missing;
	if (processes->options.single_threaded)
		return &single;
	if (options->workers > TMGR_PROCESSES_WORKERS_MAX)
		return &many;
	if (options->definition != NULL &&
		!tmgr__is_name(options->definition, TMGR_PROCESS_NAME_MAX))
		return &name;
	return NULL;
}

struct tmgr_task tmgr_processes_workers(
	struct tmgr_processes *processes, const struct tmgr_processes_workers_options *options)
{
	static const struct tmgr_refusal late = { -EBUSY,
		"workers for one definition are made before the runtime is opened" };
	struct tmgr_processes_workers_options given = { 0 };
	const struct tmgr_refusal *refusal;
	struct workers *workers;
	int r;

	if (options != NULL)
		given = *options;
	refusal = refuse(processes, &given);
	if (refusal != NULL)
		return tmgr_task_refused(refusal);
	workers = calloc(1, sizeof(*workers));
	if (workers == NULL)
		return tmgr_task_failed(-ENOMEM);
	r = crew_named(processes, given.definition, &workers->crew);
	if (r < 0) {
		free(workers);
		return r == -EBUSY ? tmgr_task_refused(&late) : tmgr_task_failed(r);
	}
	workers->processes = tmgr_processes_ref(processes);
	workers->count = given.workers > 0 ? given.workers : processors();
	return (struct tmgr_task){ &workers_ops, workers };
}
