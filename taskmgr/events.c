#include "events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/text.h"
#include "manager.h"

struct tmgr__events *tmgr__events_create(size_t max)
{
	struct tmgr__events *events = calloc(1, sizeof(*events));

	if (events) {
		events->refs = 1;
		events->level = -1;
		events->max = max;
	}
	return events;
}

void tmgr__events_unref(struct tmgr__events *events)
{
	struct tmgr__observer *observer;

	if (!events || __atomic_fetch_sub(&events->refs, 1, __ATOMIC_ACQ_REL) > 1)
		return;
	while ((observer = events->observers)) {
		events->observers = observer->next;
		free(observer);
	}
	free(events->ring);
	free(events);
}

int tmgr__events_observe(struct tmgr__events *events, enum tmgr_level level,
	void (*function)(void *self, const struct tmgr_event *event), void *self)
{
	struct tmgr__observer *observer, **last = &events->observers;

	if (!events->ring)
		events->ring = calloc(events->max + 1, sizeof(*events->ring));
	observer = events->ring ? malloc(sizeof(*observer)) : NULL;
	if (!observer)
		return -ENOMEM;
	*observer = (struct tmgr__observer){ NULL, level, function, self };
	while (*last)
		last = &(*last)->next;
	*last = observer;
	if ((int)level > events->level)
		__atomic_store_n(&events->level, (int)level, __ATOMIC_RELAXED);
	return 0;
}

void tmgr__events_put(struct tmgr__events *events, struct tmgr_event *event)
{
	/* One place more is kept for the last, so that what was dropped before it shows as a gap. */
	size_t room = event->kind == TMGR_EVENT_RUN_ENDED ? events->max + 1 : events->max;

	tmgr__lock_acquire(&events->lock);
	event->sequence = ++events->sequence;
	if (!events->ring || events->count >= room) {
		__atomic_fetch_add(&events->dropped, 1, __ATOMIC_RELAXED);
	} else {
		events->ring[(events->head + events->count) % (events->max + 1)] = *event;
		events->count++;
		__atomic_fetch_add(&events->word, 1, __ATOMIC_RELEASE);
	}
	tmgr__lock_release(&events->lock);
}

void tmgr__events_wake(struct tmgr__events *events)
{
	tmgr__futex_wake(&events->word, 1);
}

static bool take(struct tmgr__events *events, struct tmgr_event *ret_event)
{
	bool taken = false;

	tmgr__lock_acquire(&events->lock);
	if (events->count > 0) {
		*ret_event = events->ring[events->head];
		events->head = (events->head + 1) % (events->max + 1);
		events->count--;
		taken = true;
	}
	tmgr__lock_release(&events->lock);
	return taken;
}

static void deliver(struct tmgr__events *events, const struct tmgr_event *event)
{
	struct tmgr__observer *observer;

	for (observer = events->observers; observer; observer = observer->next)
		if (event->level <= observer->level)
			observer->function(observer->self, event);
}

static void deliver_all(struct tmgr__events *events)
{
	struct tmgr_event event;

	for (;;) {
		uint32_t word = __atomic_load_n(&events->word, __ATOMIC_ACQUIRE);
		bool closing = __atomic_load_n(&events->closing, __ATOMIC_ACQUIRE);

		while (take(events, &event))
			deliver(events, &event);
		if (closing)
			return;
		tmgr__futex_wait(&events->word, word, TMGR_NEVER);
	}
}

/* Also where an observer calls pthread_exit(). */
static void end_thread(void *self)
{
	struct tmgr__events *events = self;

	__atomic_store_n(&events->ended, 1, __ATOMIC_RELEASE);
	tmgr__futex_wake(&events->ended, 1);
	tmgr__events_unref(events);
}

static void *events_main(void *self)
{
	tmgr__thread_enter(NULL, "observers", NULL);
	pthread_cleanup_push(end_thread, self);
	deliver_all(self);
	pthread_cleanup_pop(1);
	return NULL;
}

int tmgr__events_start(struct tmgr__events *events)
{
	int r;

	if (!events->observers)
		return 0;
	events->closing = false;
	events->ended = 0;
	__atomic_fetch_add(&events->refs, 1, __ATOMIC_RELAXED);
	r = tmgr__thread_create(&events->thread, 0, events_main, events);
	events->started = r == 0;
	if (r < 0)
		tmgr__events_unref(events);
	return r;
}

/* No thread takes them any more. */
static void drop_all(struct tmgr__events *events)
{
	tmgr__lock_acquire(&events->lock);
	__atomic_fetch_add(&events->dropped, events->count, __ATOMIC_RELAXED);
	events->count = 0;
	tmgr__lock_release(&events->lock);
}

void tmgr__events_stop(struct tmgr__events *events, struct tmgr__clock *clock, int64_t deadline)
{
	if (!events->started)
		return;
	__atomic_store_n(&events->closing, true, __ATOMIC_RELEASE);
	__atomic_fetch_add(&events->word, 1, __ATOMIC_RELEASE);
	tmgr__events_wake(events);
	while (!__atomic_load_n(&events->ended, __ATOMIC_ACQUIRE) &&
		tmgr__clock_now(clock) < deadline)
		tmgr__clock_sleep(clock, &events->ended, 0, deadline);
	if (__atomic_load_n(&events->ended, __ATOMIC_ACQUIRE))
		pthread_join(events->thread, NULL);
	else
		pthread_detach(events->thread);
	drop_all(events);
	events->started = false;
}

static const char *const kinds[] = {
	[TMGR_EVENT_ADDED] = "added",
	[TMGR_EVENT_STATE] = "state",
	[TMGR_EVENT_FAILED] = "failed",
	[TMGR_EVENT_RESTARTING] = "restarting",
	[TMGR_EVENT_STUCK] = "stuck",
	[TMGR_EVENT_WAITING] = "waiting",
	[TMGR_EVENT_READY] = "ready",
	[TMGR_EVENT_LATE_HEARTBEAT] = "late heartbeat",
	[TMGR_EVENT_LOG] = "log",
	[TMGR_EVENT_STOP_BEGUN] = "stopping",
	[TMGR_EVENT_RUN_ENDED] = "run ended",
};

size_t tmgr_event_format(const struct tmgr_event *event, char *buffer, size_t size)
{
	struct tmgr__text text;

	tmgr__text_init(&text, buffer, size);
	if (!event)
		return 0;
	if (event->path[0]) {
		tmgr__text_add_escaped(&text, event->path);
		tmgr__text_add(&text, ": ");
	}
	if (event->kind == TMGR_EVENT_STATE) {
		tmgr__text_add(&text, tmgr_state_name((enum tmgr_state)event->code));
	} else if (event->kind != TMGR_EVENT_LOG) {
		tmgr__text_add(&text,
			(unsigned)event->kind < ARRAY_SIZE(kinds) ? kinds[event->kind] : "event");
		if (event->text[0])
			tmgr__text_add(&text, ": ");
	}
	tmgr__text_add_escaped(&text, event->text);
	if (event->code < 0 && event->kind != TMGR_EVENT_STUCK) {
		tmgr__text_add(&text, event->text[0] ? ": " : " with ");
		tmgr__text_add(&text, tmgr_strerror(event->code));
	}
	return text.length;
}

void tmgr_event_print(void *self, const struct tmgr_event *event)
{
	const char *program = self;
	char line[TMGR_EVENT_PATH_SIZE * 4 + TMGR_EVENT_TEXT_SIZE * 4 + 256];
	struct tmgr__text text;
	ssize_t written;

	if (!event)
		return;
	tmgr__text_init(&text, line, sizeof(line) - 1);
	if (program) {
		tmgr__text_add_escaped(&text, program);
		tmgr__text_add(&text, ": ");
	}
	if (text.length < sizeof(line) - 1)
		text.length += tmgr_event_format(
			event, line + text.length, sizeof(line) - 1 - text.length);
	if (text.length > sizeof(line) - 2)
		text.length = sizeof(line) - 2;
	line[text.length++] = '\n';
	/*
	 * One write, so that lines of several writers do not mix; a standard error that is closed
	 * loses them.
	 */
	written = write(STDERR_FILENO, line, text.length);
	(void)written;
}
