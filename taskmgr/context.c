/*
 * Contexts. A context belongs to one thread of control; what snapshots read of it is written
 * atomically. What a task says of itself (ready, deadlines, restarts) goes into its record, under
 * the manager's lock.
 */
#include "context.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "manager.h"
#include "strand.h"

/* Looked at for every switch of coroutines, so without a call. */
__thread struct tmgr_context *tmgr__context_here;

struct tmgr_context *tmgr_context_current(void)
{
	return tmgr__context_here;
}

struct tmgr_context *tmgr_context_switch(struct tmgr_context *context)
{
	struct tmgr_context *before = tmgr__context_here;

	tmgr__context_here = context;
	return before;
}

struct tmgr_context **tmgr_context_place(void)
{
	return &tmgr__context_here;
}

struct tmgr_waiter *tmgr_context_waiter(const struct tmgr_context *context)
{
	return context ? context->waiter : NULL;
}

struct tmgr_executor *tmgr_context_executor(const struct tmgr_context *context)
{
	return context ? context->host : NULL;
}

const char *tmgr_context_waiting(const struct tmgr_context *context)
{
	const char *what = NULL;

	if (context)
		what = __atomic_load_n(&context->base->waiting, __ATOMIC_ACQUIRE);
	return what ? what : "";
}

void tmgr__context_leave_open(struct tmgr_context *context)
{
	if (context->groups)
		tmgr__groups_close(context);
	if (context->attached)
		tmgr_token_unregister(&context->callback);
	context->attached = false;
}

static void cancel_wait(void *self)
{
	tmgr__waiter_cancel(self);
}

/* Where the stop goes in reverse a task's token is below none, and has the run's timers itself. */
static void watch_alone(struct tmgr_context *context)
{
	struct tmgr__timers *timers = context->record ? context->record->manager->timers : NULL;

	if (timers)
		tmgr__token_set_timers(context->token, timers);
}

struct tmgr_token *tmgr__context_attach(struct tmgr_context *context)
{
	if (!context->attached) {
		if (!context->open)
			tmgr__misuse_context(tmgr_context_name(context));
		if (context->parent_token && !context->token->parent)
			tmgr__token_attach(context->token, context->parent_token);
		else if (context->token->parent && !context->token->linked)
			tmgr__strand_link(context->token);
		else if (!context->token->parent && !tmgr__token_timers(context->token))
			watch_alone(context);
		tmgr_token_register(
			context->token, &context->callback, cancel_wait, context->waiter);
		context->attached = true;
	}
	return context->token;
}

struct tmgr_token *tmgr_context_token(struct tmgr_context *context)
{
	return context ? tmgr__context_attach(context) : NULL;
}

bool tmgr_context_cancelled(const struct tmgr_context *context)
{
	if (!context)
		return false;
	if (tmgr_token_fired(context->token))
		return true;
	if (!tmgr_token_fired(context->parent_token))
		return false;
	/* The waits look at the own one, which may be about to be marked. */
	tmgr__token_have_marked(context->parent_token);
	return true;
}

struct tmgr_manager *tmgr_context_manager(const struct tmgr_context *context)
{
	return context ? context->record->manager : NULL;
}

const char *tmgr_context_name(const struct tmgr_context *context)
{
	if (!context)
		return "";
	return context->name ? context->name : context->record->name;
}

size_t tmgr_context_path(const struct tmgr_context *context, char *buffer, size_t size)
{
	size_t length;

	if (!context) {
		if (buffer && size > 0)
			buffer[0] = '\0';
		return 0;
	}
	length = tmgr__manager_path(context->record->manager, context->record->name, buffer, size);
	if (!context->name)
		return length;
	if (length + 1 < size)
		snprintf(buffer + length, size - length, "/%s", context->name);
	return length + 1 + strlen(context->name);
}

/* When an execute that was told to stop is stuck. */
static int64_t execute_deadline(const struct tmgr__record *record)
{
	int64_t deadline = TMGR_NEVER;

	if (!record)
		return TMGR_NEVER;
	tmgr__manager_lock(record->manager);
	if (record->executing)
		deadline = tmgr__watcher_stop_deadline(record);
	tmgr__manager_unlock(record->manager);
	return deadline;
}

int64_t tmgr_context_deadline(const struct tmgr_context *context)
{
	int64_t deadline, own;

	if (!context)
		return TMGR_NEVER;
	deadline = tmgr_token_deadline(context->token);
	if (context->parent_token && !context->token->parent) {
		int64_t above = tmgr_token_deadline(context->parent_token);

		if (above < deadline)
			deadline = above;
	}
	own = execute_deadline(context->record);
	return own < deadline ? own : deadline;
}

bool tmgr_context_initialize_failed(const struct tmgr_context *context)
{
	return context && context->base->initialize_failed;
}

int tmgr_context_set_value(struct tmgr_context *context, void *value)
{
	if (!context)
		return -EINVAL;
	context->base->value = value;
	return 0;
}

void *tmgr_context_value(const struct tmgr_context *context)
{
	return context ? context->base->value : NULL;
}

int tmgr_context_set_stop_timeout(struct tmgr_context *context, int64_t ns)
{
	struct tmgr__record *record;

	if (!context || ns <= 0)
		return -EINVAL;
	record = context->record;
	tmgr__manager_lock(record->manager);
	record->stop_ns = ns;
	if (record->stop_since)
		tmgr__manager_check_at(record->manager, TMGR_NOW);
	tmgr__manager_unlock(record->manager);
	return 0;
}

int64_t tmgr_context_stop_timeout(const struct tmgr_context *context)
{
	struct tmgr_manager *manager;
	int64_t ns;

	if (!context)
		return 0;
	manager = context->record->manager;
	tmgr__manager_lock(manager);
	ns = context->record->stop_ns;
	if (ns <= 0 || ns > manager->options.shutdown_ns)
		ns = manager->options.shutdown_ns;
	tmgr__manager_unlock(manager);
	return ns;
}

int tmgr_context_set_end_deadline(struct tmgr_context *context, int64_t deadline)
{
	struct tmgr__record *record;

	if (!context)
		return -EINVAL;
	record = context->record;
	tmgr__manager_lock(record->manager);
	record->end_deadline = deadline;
	tmgr__manager_check_at(record->manager, deadline);
	tmgr__manager_unlock(record->manager);
	return 0;
}

int tmgr_context_note_restart(struct tmgr_context *context, int error, int64_t next_attempt)
{
	struct tmgr__record *record;

	if (!context)
		return -EINVAL;
	record = context->record;
	tmgr__manager_lock(record->manager);
	record->restarts++;
	if (error != 0)
		record->last_error = error;
	record->next_attempt = next_attempt;
	tmgr__manager_event(record->manager, TMGR_EVENT_RESTARTING, record, error, context->text);
	tmgr__manager_unlock(record->manager);
	return 0;
}

int tmgr_context_note_error(struct tmgr_context *context, int error)
{
	if (!context || error >= 0)
		return -EINVAL;
	tmgr__manager_lock(context->record->manager);
	context->record->last_error = error;
	tmgr__manager_unlock(context->record->manager);
	return 0;
}

void tmgr_ready(struct tmgr_context *context)
{
	struct tmgr__record *record = context ? context->record : NULL;

	if (!record)
		return;
	tmgr__manager_lock(record->manager);
	if (!record->ready) {
		record->ready = true;
		tmgr__manager_event(record->manager, TMGR_EVENT_READY, record, 0, "");
	}
	tmgr__manager_unlock(record->manager);
}

void tmgr_heartbeat(struct tmgr_context *context)
{
	if (context)
		__atomic_store_n(&context->record->heartbeat,
			tmgr__manager_now(context->record->manager), __ATOMIC_RELAXED);
}

int tmgr_fail(struct tmgr_context *context, int code, const char *format, ...)
{
	va_list arguments;

	if (!context || !format)
		return code;
	va_start(arguments, format);
	vsnprintf(context->text, TMGR__ERROR_TEXT_SIZE, format, arguments);
	va_end(arguments);
	return code;
}

const char *tmgr_context_error_text(const struct tmgr_context *context)
{
	return context ? context->text : "";
}

void tmgr_log(struct tmgr_context *context, enum tmgr_level level, const char *format, ...)
{
	struct tmgr_manager *manager = context ? context->record->manager : NULL;
	struct tmgr_event event = { .kind = TMGR_EVENT_LOG, .level = level };
	va_list arguments;

	if (!manager || !format || !tmgr__events_wanted(manager->events, level))
		return;
	event.time = tmgr__manager_now(manager);
	tmgr_context_path(context, event.path, sizeof(event.path));
	va_start(arguments, format);
	vsnprintf(event.text, sizeof(event.text), format, arguments);
	va_end(arguments);
	tmgr__events_put(manager->events, &event);
	tmgr__events_wake(manager->events);
}

static void leave_under(void *self)
{
	tmgr__context_leave(self);
}

static int execute_under(struct tmgr_task task, struct tmgr_context *under, int shield_depth)
{
	tmgr__context_enter(under);
	/* An uninterrupted scope around it holds on. */
	under->shield_depth = shield_depth;
	return tmgr_task_execute(task, under);
}

/*
 * A task that leaves by pthread_exit() must not leave its callback behind on a stack that is gone.
 */
static int execute_on_thread(struct tmgr_task task, struct tmgr_context *under, int shield_depth)
{
	int r;

	pthread_cleanup_push(leave_under, under);
	r = execute_under(task, under, shield_depth);
	pthread_cleanup_pop(1);
	return r;
}

int tmgr_task_execute_under(
	struct tmgr_task task, struct tmgr_context *context, struct tmgr_token *token)
{
	struct tmgr_context under = { 0 };
	int r;

	if (!context || !token)
		return -EINVAL;
	under.record = context->record;
	under.host = context->host;
	under.name = context->name;
	under.base = context->base;
	under.token = token;
	under.waiter = context->waiter;
	under.text = context->text;
	under.shield_deadline = context->shield_deadline;
	if (!context->host)
		return execute_on_thread(task, &under, context->shield_depth);
	/* What is to be called at a thread's exit is one list a thread, which coroutines would mix
	 * up. Their stacks stay then. */
	r = execute_under(task, &under, context->shield_depth);
	tmgr__context_leave(&under);
	return r;
}
