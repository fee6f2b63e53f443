/*
 * What a manager tells its observers. All of it goes into the ring under the manager's lock, so in
 * the order in which it happened.
 */
#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "manager.h"

size_t tmgr__manager_path(
	const struct tmgr_manager *manager, const char *name, char *buffer, size_t size)
{
	struct tmgr__text text;

	tmgr__text_init(&text, buffer, size);
	if (manager->path_prefix)
		tmgr__text_add(&text, manager->path_prefix);
	tmgr__text_add(&text, name);
	return text.length;
}

static const enum tmgr_level levels[] = {
	[TMGR_EVENT_ADDED] = TMGR_LEVEL_DEBUG,
	[TMGR_EVENT_STATE] = TMGR_LEVEL_DEBUG,
	[TMGR_EVENT_FAILED] = TMGR_LEVEL_ERROR,
	[TMGR_EVENT_RESTARTING] = TMGR_LEVEL_WARNING,
	[TMGR_EVENT_STUCK] = TMGR_LEVEL_ERROR,
	[TMGR_EVENT_WAITING] = TMGR_LEVEL_WARNING,
	[TMGR_EVENT_READY] = TMGR_LEVEL_INFO,
	[TMGR_EVENT_LATE_HEARTBEAT] = TMGR_LEVEL_WARNING,
	[TMGR_EVENT_LOG] = TMGR_LEVEL_INFO,
	[TMGR_EVENT_STOP_BEGUN] = TMGR_LEVEL_NOTICE,
	[TMGR_EVENT_RUN_ENDED] = TMGR_LEVEL_NOTICE,
};

/* Of one of its tasks; without a name its own, which is that of the task it runs in. */
static void write_path(
	const struct tmgr_manager *manager, const char *name, struct tmgr_event *event)
{
	size_t length;

	event->path[0] = '\0';
	if (!name[0] && !manager->path_prefix)
		return;
	length = tmgr__manager_path(manager, name, event->path, sizeof(event->path));
	if (!name[0] && length < sizeof(event->path))
		event->path[length - 1] = '\0';
}

static void put(struct tmgr_manager *manager, enum tmgr_level level, enum tmgr_event_kind kind,
	const char *name, struct tmgr__told_error error)
{
	struct tmgr_event event;

	if (!tmgr__events_wanted(manager->events, level))
		return;
	event.kind = kind;
	event.level = level;
	event.time = tmgr__manager_now(manager);
	event.code = error.code;
	write_path(manager, name, &event);
	tmgr__text_copy(event.text, sizeof(event.text), error.text);
	tmgr__events_put(manager->events, &event);
	manager->deferred |= TMGR__DEFER_WAKE_EVENTS;
}

void tmgr__manager_event(struct tmgr_manager *manager, enum tmgr_event_kind kind,
	const struct tmgr__record *record, int code, const char *text)
{
	enum tmgr_level level = levels[kind];

	/* What a child's failure means its parent decides. */
	if (kind == TMGR_EVENT_FAILED && record && record->task_group)
		level = TMGR_LEVEL_WARNING;
	put(manager, level, kind, record ? record->name : "",
		(struct tmgr__told_error){ code, text });
}

void tmgr__manager_tell_misuse(struct tmgr_manager *manager, const char *name, const char *what,
	struct tmgr__told_error error)
{
	char text[TMGR_EVENT_TEXT_SIZE];

	snprintf(text, sizeof(text), "%s%s%s", what, error.text[0] ? ": " : "", error.text);
	error.text = text;
	put(manager, TMGR_LEVEL_ERROR, TMGR_EVENT_FAILED, name, error);
}

static const char *const reasons[] = {
	[TMGR_REASON_NONE] = "nothing",
	[TMGR_REASON_CANCELLED] = "cancelled",
	[TMGR_REASON_SIGNAL] = "signal",
	[TMGR_REASON_TASK_FAILED] = "task failed",
	[TMGR_REASON_GROUP_DONE] = "stop group done",
	[TMGR_REASON_DEADLINE] = "deadline",
	[TMGR_REASON_LIMIT] = "limit",
};

void tmgr__manager_tell_stop(struct tmgr_manager *manager, const struct tmgr_cause *cause)
{
	char text[TMGR_EVENT_TEXT_SIZE];

	if (cause->reason == TMGR_REASON_SIGNAL && cause->text[0])
		snprintf(text, sizeof(text), "%s", cause->text);
	else if (cause->text[0])
		snprintf(text, sizeof(text), "%s: %s", reasons[cause->reason], cause->text);
	else
		snprintf(text, sizeof(text), "%s", reasons[cause->reason]);
	tmgr__manager_event(manager, TMGR_EVENT_STOP_BEGUN, NULL, 0, text);
}

int tmgr_manager_observe(struct tmgr_manager *manager, enum tmgr_level level,
	void (*function)(void *self, const struct tmgr_event *event), void *self)
{
	int r;

	if (!manager || !function || level < TMGR_LEVEL_ERROR || level > TMGR_LEVEL_DEBUG)
		return -EINVAL;
	r = tmgr__manager_check_fork(manager);
	if (r < 0)
		return r;
	tmgr__manager_lock(manager);
	if (manager->state == TMGR_MANAGER_ENDED)
		r = -ESHUTDOWN;
	else if (manager->state != TMGR_MANAGER_ADDING)
		r = -EBUSY;
	else
		r = tmgr__events_observe(manager->events, level, function, self);
	tmgr__manager_unlock(manager);
	return r;
}
