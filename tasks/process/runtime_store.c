/*
 * The store's thread, and the orders it gets: one at a time. While it makes a batch durable the engine
 * builds the next one. Users' statements are tried in the transaction that the next batch ends, before
 * the engine takes their steps; from then on the batch must be the next order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/text.h"

#include "tasks/process/runtime.h"

#define MAINTAIN_NS (5 * TMGR_MILLISECOND)
#define RETRY_NS TMGR_SECOND
#define TRIM_NS TMGR_MINUTE
#define LATER_NS TMGR_SECOND
#define TRIM_ROWS 1000

static const struct tmgr_store_ops *ops_of(const struct tmgr_processes *processes)
{
	return processes->store->ops;
}

/* ---- Giving orders --------------------------------------------------------------------------- */

static void give(struct tmgr_processes *processes, enum tmgr__order order)
{
	tmgr__lock_acquire(&processes->lock);
	processes->order = order;
	processes->done = false;
	tmgr__lock_release(&processes->lock);
	tmgr_flag_set(&processes->store_work);
}

bool tmgr__runtime_store_idle(const struct tmgr_processes *processes)
{
	return processes->order == TMGR__ORDER_NONE;
}

static struct tmgr__changes *flying(struct tmgr_processes *processes)
{
	return &processes->batches[!processes->building];
}

static void give_batch(struct tmgr_processes *processes)
{
	struct tmgr__changes *changes = flying(processes);

	processes->batch.partition = processes->options.partition;
	processes->batch.now_ms = processes->engine->now_ms;
	processes->batch.steps = tmgr__changes_steps(changes);
	processes->batch.count = changes->step_count;
	processes->retry_at = 0;
	give(processes, TMGR__ORDER_COMMIT);
}

static size_t count(const struct tmgr__list *list)
{
	size_t found = 0;

	for (const struct tmgr__list *link = list->next; link != list; link = link->next)
		found++;
	return found;
}

static struct tmgr__job *job_of(const struct tmgr__list *link)
{
	return container_of(link, struct tmgr__job, link);
}

/* Each job's statements in one array; false: out of memory. */
static bool fill_trials(struct tmgr_processes *processes, const struct tmgr__list *jobs)
{
	struct tmgr_store_trial *trial = processes->orders_trials;

	for (const struct tmgr__list *link = jobs->next; link != jobs; link = link->next, trial++) {
		struct tmgr_process *step = &job_of(link)->step;
		struct tmgr_sql_statement *statements = tmgr_state_take(
			step->memory, step->statement_count * sizeof(*statements));
		size_t i = 0;

		if (statements == NULL)
			return false;
		for (const struct tmgr__statement *at = step->statements; at != NULL; at = at->next)
			statements[i++] = at->statement;
		*trial = (struct tmgr_store_trial){
			.statements = statements,
			.count = step->statement_count,
		};
	}
	return true;
}

/*
 * Those that end their processes are the first that are taken: how many wait for a result is then what
 * was judged, and who asks for it in a step beside finds it.
 */
static void take_trials(struct tmgr_processes *processes)
{
	struct tmgr__list others, *link;

	tmgr__list_init(&others);
	while ((link = tmgr__list_pop(&processes->trials)) != NULL) {
		if (job_of(link)->step.deed.finish)
			tmgr__list_append(&processes->trying, link);
		else
			tmgr__list_append(&others, link);
	}
	tmgr__list_splice(&processes->trying, &others);
}

static bool give_trials(struct tmgr_processes *processes, const struct tmgr__list *jobs)
{
	free(processes->orders_trials);
	processes->trial_count = count(jobs);
	processes->orders_trials = calloc(
		processes->trial_count + 1, sizeof(*processes->orders_trials));
	if (processes->orders_trials == NULL || !fill_trials(processes, jobs)) {
		processes->retry_at = tmgr__runtime_hold(processes);
		return false;
	}
	give(processes, TMGR__ORDER_TRY);
	return true;
}

/* They stand before those that came meanwhile. */
static void put_back(struct tmgr_processes *processes)
{
	tmgr__list_splice(&processes->trying, &processes->trials);
	tmgr__list_splice(&processes->trials, &processes->trying);
}

/* Statements that were tried and not committed stand before their batch again. */
static bool again(struct tmgr_processes *processes)
{
	if (tmgr__runtime_ns(processes) < processes->retry_at)
		return false;
	if (!tmgr__list_empty(&processes->tried))
		return give_trials(processes, &processes->tried);
	give_batch(processes);
	return true;
}

static bool give_asked(struct tmgr_processes *processes)
{
	if (tmgr__list_empty(&processes->store_asked))
		return false;
	give(processes, TMGR__ORDER_CHECKPOINT);
	return true;
}

/* Batches and what is asked for take turns: while there are always steps, neither waits for long. */
static bool take_turn(struct tmgr_processes *processes)
{
	bool asked = processes->asked_next;

	processes->asked_next = false;
	return asked && give_asked(processes);
}

bool tmgr__runtime_order(struct tmgr_processes *processes)
{
	if (!tmgr__runtime_store_idle(processes))
		return true;
	if (processes->failed != 0)
		return false;
	if (processes->in_flight)
		return again(processes);
	if (take_turn(processes))
		return true;
	if (!tmgr__list_empty(&processes->trials) &&
		tmgr__runtime_ns(processes) >= processes->retry_at) {
		take_trials(processes);
		if (give_trials(processes, &processes->trying))
			return true;
		put_back(processes);
		return false;
	}
	if (processes->batches[processes->building].step_count > 0) {
		processes->building = !processes->building;
		processes->in_flight = true;
		give_batch(processes);
		return true;
	}
	return give_asked(processes);
}

/* ---- Obeying --------------------------------------------------------------------------------- */

static int obey(struct tmgr_processes *processes, enum tmgr__order order)
{
	struct tmgr_store *store = processes->store;
	const struct tmgr_store_ops *ops = ops_of(processes);

	switch (order) {
	case TMGR__ORDER_TRY:
		return ops->try_sql(store, processes->orders_trials, processes->trial_count);
	case TMGR__ORDER_ABANDON:
		ops->abandon(store);
		return 0;
	case TMGR__ORDER_COMMIT:
		return ops->commit(store, &processes->batch);
	case TMGR__ORDER_CHECKPOINT:
		return ops->checkpoint != NULL ? ops->checkpoint(store) : 0;
	default:
		return 0;
	}
}

void tmgr__runtime_obey(struct tmgr_processes *processes)
{
	int r = obey(processes, processes->order);

	tmgr__lock_acquire(&processes->lock);
	processes->result = r;
	processes->done = true;
	tmgr__lock_release(&processes->lock);
	tmgr_flag_set(&processes->work);
}

/* ---- What became of them --------------------------------------------------------------------- */

static void find_no_room(struct tmgr_processes *processes)
{
	processes->retry_at = tmgr__runtime_ns(processes) + RETRY_NS;
	processes->no_room = true;
}

static void committed(struct tmgr_processes *processes)
{
	const struct tmgr_store_batch *batch = &processes->batch;
	struct tmgr__list *link;

	processes->no_room = false;
	processes->asked_next = true;
	tmgr__engine_committed(processes->engine, batch->steps[batch->count - 1].sequence);
	processes->trace = (processes->trace ^ batch->steps[batch->count - 1].sequence ^
				   (uint64_t)batch->count << 40) *
			   1099511628211u;
	processes->in_flight = false;
	tmgr__runtime_tell_troubles(processes, flying(processes));
	tmgr__changes_clear(flying(processes));
	atomic_store(&processes->unsaved, processes->batches[processes->building].bytes);
	while ((link = tmgr__list_pop(&processes->tried)) != NULL)
		tmgr__job_recycle(processes, job_of(link));
}

static void commit_done(struct tmgr_processes *processes, int result)
{
	if (result == 0)
		committed(processes);
	else if (result == -ENOSPC || result == -EDQUOT)
		find_no_room(processes);
	else
		processes->failed = result;
}

/* Whether there was memory for it; else nothing has happened. */
static bool take_tried(struct tmgr_processes *processes, struct tmgr__job *job)
{
	struct tmgr__apply command = {
		.kind = TMGR__APPLY_STEP,
		.now_ms = tmgr__runtime_now_ms(processes),
		.wall_ms = tmgr__runtime_wall_ms(processes),
		.process = job->step.process,
		.deed = &job->step.deed,
	};

	if (tmgr__engine_apply(processes->engine, &command,
		    &processes->batches[processes->building]) != -ENOMEM)
		return true;
	if (processes->engine->broken != 0)
		processes->failed = processes->engine->broken;
	return processes->failed != 0;
}

/*
 * Some have failed: those fail as if their methods had; the others are tried without them. So are those for
 * whose failing there was no memory now.
 */
static bool drop_failed(struct tmgr_processes *processes)
{
	struct tmgr__list *link = processes->trying.next;
	bool undo = false;

	for (size_t i = 0; i < processes->trial_count; i++) {
		struct tmgr_store_trial *trial = &processes->orders_trials[i];
		struct tmgr__job *job = job_of(link);
		struct tmgr__deed *deed = &job->step.deed;
		int r = 0;

		link = link->next;
		if (trial->result == 0 && !job->late) {
			r = tmgr__engine_judge(
				processes->engine, job->step.process, deed, job->step.text);
		} else if (trial->result != 0) {
			deed->result = trial->result;
			tmgr__text_copy(job->step.text, sizeof(job->step.text), trial->text);
		}
		if (trial->result == 0 && r == 0 && !job->late)
			continue;
		undo |= trial->result == 0;
		deed->late = job->late;
		if (r != 0)
			deed->result = r;
		if (!take_tried(processes, job)) {
			deed->result = 0;
			processes->retry_at = tmgr__runtime_hold(processes);
			undo = true;
			continue;
		}
		tmgr__list_remove(&job->link);
		tmgr__job_recycle(processes, job);
	}
	return undo;
}

/*
 * All were judged: what one of them does must not have another's rows stand without its step. Where there is
 * no memory for one, what was written is undone, and is written again for those that were taken before it.
 */
static bool take_all(struct tmgr_processes *processes)
{
	struct tmgr__list *link;

	while ((link = tmgr__list_first(&processes->trying)) != NULL) {
		job_of(link)->step.deed.judged = true;
		if (!take_tried(processes, job_of(link))) {
			job_of(link)->step.deed.judged = false;
			processes->retry_at = tmgr__runtime_hold(processes);
			return false;
		}
		tmgr__list_remove(link);
		tmgr__list_append(&processes->tried, link);
	}
	return true;
}

/* The first time; what follows is a batch with these steps, and all that was applied meanwhile. */
static void tried(struct tmgr_processes *processes)
{
	bool whole;

	processes->retry_at = 0;
	if (drop_failed(processes)) {
		put_back(processes);
		give(processes, TMGR__ORDER_ABANDON);
		return;
	}
	whole = take_all(processes);
	if (!whole) {
		put_back(processes);
		give(processes, TMGR__ORDER_ABANDON);
	}
	if (processes->failed != 0 || processes->batches[processes->building].step_count == 0 ||
		(!whole && tmgr__list_empty(&processes->tried)))
		return;
	processes->building = !processes->building;
	processes->in_flight = true;
	if (whole)
		give_batch(processes);
}

/*
 * A second time, after there was no room: what was good then must be now, for the engine has taken it.
 * One that could not be done now, or took too long, is tried until it can.
 */
static void tried_again(struct tmgr_processes *processes)
{
	bool later = false;

	for (size_t i = 0; i < processes->trial_count; i++) {
		int r = processes->orders_trials[i].result;

		if (r == -EAGAIN || r == -ETIMEDOUT)
			later = true;
		else if (r != 0)
			processes->failed = -EIO;
	}
	if (processes->failed != 0)
		return;
	if (later) {
		processes->retry_at = tmgr__runtime_ns(processes) + RETRY_NS;
		give(processes, TMGR__ORDER_ABANDON);
	} else {
		give_batch(processes);
	}
}

static void try_done(struct tmgr_processes *processes, int result)
{
	if (result == -ENOSPC || result == -EDQUOT) {
		find_no_room(processes);
		put_back(processes);
	} else if (result != 0) {
		processes->failed = result;
	} else if (processes->in_flight) {
		tried_again(processes);
	} else {
		tried(processes);
	}
}

static void asked_done(struct tmgr_processes *processes, int result)
{
	struct tmgr__list *link = tmgr__list_pop(&processes->store_asked);

	if (link != NULL)
		tmgr__request_answer(container_of(link, struct tmgr_process_request, link),
			tmgr__runtime_told(result));
	if (tmgr__runtime_told(result) == -EIO)
		processes->failed = result;
}

void tmgr__runtime_order_done(struct tmgr_processes *processes)
{
	enum tmgr__order order;
	int result;

	tmgr__lock_acquire(&processes->lock);
	order = processes->done ? processes->order : TMGR__ORDER_NONE;
	result = processes->result;
	if (processes->done) {
		processes->order = TMGR__ORDER_NONE;
		processes->done = false;
	}
	tmgr__lock_release(&processes->lock);
	switch (order) {
	case TMGR__ORDER_TRY:
		try_done(processes, result);
		break;
	case TMGR__ORDER_COMMIT:
		commit_done(processes, result);
		break;
	case TMGR__ORDER_CHECKPOINT:
		asked_done(processes, result);
		break;
	default:
		break;
	}
}

/* ---- The thread ------------------------------------------------------------------------------ */

static int trim(struct tmgr_processes *processes)
{
	int64_t now = tmgr_now();
	struct tmgr_store_trim trim = {
		.before_ms = tmgr__runtime_wall_ms(processes) -
			     processes->options.keep_events_ns / TMGR_MILLISECOND,
		.events_max = processes->options.events_max,
		.rows_max = TRIM_ROWS,
	};
	int r;

	if (now < processes->trim_at)
		return 0;
	r = ops_of(processes)->trim(processes->store, &trim);
	if (r == 0)
		processes->trim_at = now + TRIM_NS;
	return r;
}

/* What can wait; above 0: there is more. */
static int maintain(struct tmgr_processes *processes, bool idle)
{
	int r = 0, trimmed;

	if (ops_of(processes)->maintain != NULL)
		r = ops_of(processes)->maintain(processes->store, MAINTAIN_NS, idle);
	if (r < 0 || !idle)
		return r;
	trimmed = trim(processes);
	return trimmed != 0 ? trimmed : r;
}

static enum tmgr__order order_of(struct tmgr_processes *processes, bool *ret_quit)
{
	enum tmgr__order order;

	tmgr__lock_acquire(&processes->lock);
	order = processes->done ? TMGR__ORDER_NONE : processes->order;
	*ret_quit = processes->quit;
	tmgr__lock_release(&processes->lock);
	return order;
}

/* Whether the thread's work is still its own. */
static bool begin_thread(struct tmgr_processes *processes)
{
	bool begun;

	tmgr__lock_acquire(&processes->lock);
	begun = processes->store_begun = !processes->quit;
	tmgr__lock_release(&processes->lock);
	return begun;
}

int tmgr__runtime_store_main(void *self, struct tmgr_context *context, void **ret_value)
{
	struct tmgr_processes *processes = self;
	bool transaction = false, quit = false;
	int more = 1;

	if (!begin_thread(processes))
		return 0;
	/* It ends when it is told to quit, and not before all is stored. */
	tmgr_uninterrupted_begin(context, TMGR_NEVER);
	for (;;) {
		enum tmgr__order order;
		int64_t until = tmgr_after(more == TMGR_STORE_LATER ? LATER_NS : TRIM_NS);

		tmgr_flag_wait(context, &processes->store_work, more == 1 ? TMGR_NOW : until);
		tmgr_flag_clear(&processes->store_work);
		order = order_of(processes, &quit);
		if (quit && order == TMGR__ORDER_NONE)
			break;
		if (order == TMGR__ORDER_NONE) {
			more = transaction ? 0 : maintain(processes, true);
			continue;
		}
		transaction = order == TMGR__ORDER_TRY;
		tmgr__runtime_obey(processes);
		if (order == TMGR__ORDER_COMMIT)
			maintain(processes, false);
		more = 1;
	}
	tmgr_uninterrupted_end(context);
	return 0;
}
