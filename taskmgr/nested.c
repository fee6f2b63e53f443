/*
 * A manager inside a task of another: the three parts of its run, each called from the hosting
 * task's own phase, and what the outer manager is told of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

/* Tie an inner manager to the task that hosts it. */
static int set_outer(struct tmgr_manager *manager, struct tmgr_context *context)
{
	struct tmgr__record *record = context->record;
	size_t length = tmgr_context_path(context, NULL, 0);
	char *prefix = malloc(length + 2);
	struct tmgr_manager *before;

	if (!prefix)
		return -ENOMEM;
	tmgr_context_path(context, prefix, length + 1);
	memcpy(prefix + length, "/", 2);
	tmgr__manager_lock(manager);
	manager->path_prefix = prefix;
	manager->outer = record->manager;
	manager->outer_record = record;
	/* Observers of its own keep their events; without any they go to those outside. */
	manager->own_events = manager->events->observers != NULL;
	if (!manager->own_events) {
		tmgr__events_unref(manager->events);
		manager->events = record->manager->events;
		__atomic_fetch_add(&manager->events->refs, 1, __ATOMIC_RELAXED);
	}
	tmgr__manager_unlock(manager);
	tmgr__manager_lock(record->manager);
	record->manager->with_inner += record->long_running && !record->inner;
	before = record->inner;
	record->inner = tmgr_manager_ref(manager);
	tmgr__manager_unlock(record->manager);
	if (before)
		tmgr_manager_unref(before);
	return 0;
}

/*
 * The first error from an entry on, told to the hosting task with its text; 0 when there is none.
 */
static int tell_error(struct tmgr_context *context, const struct tmgr_report_entry *entry)
{
	while (entry && entry->kind == TMGR_REPORT_NOT_CLEANED_UP)
		entry = entry->next;
	if (!entry)
		return 0;
	return tmgr_fail(context, entry->error, "%s: %s%s%s", entry->name,
		tmgr_stage_name(entry->stage), entry->text[0] ? ": " : "", entry->text);
}

/* The inner run has ended: what it left behind makes the hosting task stuck. */
static int tell_outer(struct tmgr_manager *manager, struct tmgr_context *context)
{
	if (manager->report.stuck > 0) {
		tmgr__manager_lock(context->record->manager);
		context->record->inner_stuck = true;
		tmgr__manager_unlock(context->record->manager);
	}
	tell_error(context, manager->report.cause);
	return manager->report.result;
}

int tmgr_manager_start(struct tmgr_manager *manager, struct tmgr_context *context)
{
	int r;

	if (!manager || !context)
		return -EINVAL;
	r = tmgr__run_begin(manager);
	if (r < 0)
		return r;
	r = set_outer(manager, context);
	if (r < 0)
		return tmgr__run_abort(manager, r);
	r = tmgr__run_start(manager, tmgr_context_token(context));
	if (r < 0)
		return tell_outer(manager, context);
	tmgr__manager_lock(manager);
	manager->started = true;
	tmgr__manager_unlock(manager);
	if (!tmgr__run_is_stopping(manager))
		return 0;
	/* An initialize has failed, or the stop came: it is all undone here. */
	tmgr__execute_all(manager);
	tmgr__phase_clean_up_all(manager);
	r = tmgr__run_end(manager);
	manager->started = false; /* the watcher has gone */
	tell_outer(manager, context);
	return r < 0 ? r : -ECANCELED;
}

int tmgr_manager_wait(struct tmgr_manager *manager, struct tmgr_context *context)
{
	const struct tmgr_report_entry *cause;
	bool stuck;

	if (!manager || !context || !manager->started || manager->waited)
		return -EINVAL;
	manager->run_context = context->host ? context : NULL;
	tmgr__execute_all(manager);
	manager->run_context = NULL;
	tmgr__manager_lock(manager);
	stuck = manager->report.stuck > 0;
	cause = manager->report.cause;
	tmgr__manager_unlock(manager);
	if (!stuck)
		return tell_error(context, cause);
	tmgr__phase_clean_up_all(manager);
	tmgr__run_end(manager);
	return tell_outer(manager, context);
}

int tmgr_manager_finish(struct tmgr_manager *manager, struct tmgr_context *context)
{
	const struct tmgr_report_entry **before;

	if (!manager || !context || !manager->started)
		return -EINVAL;
	if (manager->reported)
		return -EALREADY;
	if (!manager->waited) {
		tmgr_manager_cancel(manager);
		tmgr__execute_all(manager);
	}
	before = manager->entries_last;
	tmgr__phase_clean_up_all(manager);
	tmgr__run_end(manager);
	return tell_error(context, *before);
}
