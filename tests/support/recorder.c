#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/recorder.h"

int __real_pthread_create(pthread_t *ret, const pthread_attr_t *attributes,
	void *(*function)(void *), void *argument);

void recorder_add(struct recorder *recorder, const char *format, ...)
{
	char word[128];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(word, sizeof(word), format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof(word))
		return;

	pthread_mutex_lock(&recorder->lock);
	if (recorder->length + (size_t)length + 2 < sizeof(recorder->text))
		recorder->length += (size_t)sprintf(recorder->text + recorder->length, "%s%s",
			recorder->length == 0 ? "" : " ", word);
	pthread_mutex_unlock(&recorder->lock);
}

const char *recorder_text(struct recorder *recorder)
{
	static char copy[sizeof(recorder->text)];

	pthread_mutex_lock(&recorder->lock);
	memcpy(copy, recorder->text, recorder->length + 1);
	pthread_mutex_unlock(&recorder->lock);
	return copy;
}

int recorder_position(struct recorder *recorder, const char *word)
{
	size_t length = strlen(word);
	int position = 0, found = -1;

	pthread_mutex_lock(&recorder->lock);
	for (const char *at = recorder->text; *at != '\0' && found < 0; position++) {
		size_t n = strcspn(at, " ");

		if (n == length && memcmp(at, word, n) == 0)
			found = position;
		at += n + (at[n] == ' ');
	}
	pthread_mutex_unlock(&recorder->lock);
	return found;
}

bool recorder_has(struct recorder *recorder, const char *word)
{
	return recorder_position(recorder, word) >= 0;
}

void recorder_clear(struct recorder *recorder)
{
	pthread_mutex_lock(&recorder->lock);
	recorder->length = 0;
	recorder->text[0] = '\0';
	pthread_mutex_unlock(&recorder->lock);
}

static void tell(struct probe *probe, const char *mark)
{
	if (probe->recorder != NULL)
		recorder_add(probe->recorder, "%s%s", mark, probe->name);
}

static int result_of(struct probe *probe, struct tmgr_context *context, int result)
{
	if (result < 0 && probe->fail_text != NULL)
		return tmgr_fail(context, result, "%s", probe->fail_text);
	return result;
}

static int probe_initialize(void *self, struct tmgr_context *context)
{
	struct probe *probe = self;
	int r = 0;

	atomic_fetch_add(&probe->initialized, 1);
	tell(probe, "+");
	if (probe->hold_initialize != NULL)
		latch_wait(probe->hold_initialize);
	if (probe->on_initialize != NULL)
		r = probe->on_initialize(probe, context);
	return result_of(probe, context, r != 0 ? r : probe->initialize_result);
}

static int probe_execute(void *self, struct tmgr_context *context)
{
	struct probe *probe = self;
	int r = 0;

	atomic_fetch_add(&probe->executed, 1);
	tell(probe, "");
	latch_arrive(&probe->executing);
	if (probe->hold_execute != NULL)
		latch_wait(probe->hold_execute);
	if (probe->on_execute != NULL)
		r = probe->on_execute(probe, context);
	if (r == 0 && probe->end == PROBE_UNTIL_CANCELLED)
		tmgr_sleep_until(context, TMGR_NEVER);
	atomic_fetch_add(&probe->execute_ended, 1);
	if (probe->end == PROBE_EXITS)
		pthread_exit(NULL);
	return result_of(probe, context, r != 0 ? r : probe->execute_result);
}

static int probe_cleanup(void *self, struct tmgr_context *context)
{
	struct probe *probe = self;
	int r = 0;

	atomic_fetch_add(&probe->cleaned_up, 1);
	tell(probe, "-");
	if (probe->hold_cleanup != NULL)
		latch_wait(probe->hold_cleanup);
	if (probe->on_cleanup != NULL)
		r = probe->on_cleanup(probe, context);
	return result_of(probe, context, r != 0 ? r : probe->cleanup_result);
}

static void probe_destroy(void *self)
{
	struct probe *probe = self;

	atomic_fetch_add(&probe->destroyed, 1);
	tell(probe, "~");
}

struct tmgr_task probe_task(struct probe *probe)
{
	static const struct tmgr_task_ops ops = {
		.kind = "probe",
		.initialize = probe_initialize,
		.execute = probe_execute,
		.cleanup = probe_cleanup,
		.destroy = probe_destroy,
	};

	return (struct tmgr_task){ &ops, probe };
}

struct tmgr_task probe_execute_task(struct probe *probe)
{
	static const struct tmgr_task_ops ops = {
		.kind = "probe",
		.execute = probe_execute,
		.destroy = probe_destroy,
	};

	return (struct tmgr_task){ &ops, probe };
}

struct tmgr_task probe_initialize_only(struct probe *probe)
{
	static const struct tmgr_task_ops ops = {
		.initialize = probe_initialize,
		.destroy = probe_destroy,
	};

	return (struct tmgr_task){ &ops, probe };
}

struct tmgr_task probe_cleanup_only(struct probe *probe)
{
	static const struct tmgr_task_ops ops = {
		.cleanup = probe_cleanup,
		.destroy = probe_destroy,
	};

	return (struct tmgr_task){ &ops, probe };
}

struct tmgr_manager *probe_manager(const struct tmgr_manager_options *options, struct probe *probe)
{
	struct tmgr_manager *manager = tmgr_manager_create(options);

	if (tmgr_manager_add_task(manager, probe->name, probe_task(probe), TMGR_STRICT) != 0)
		abort();
	return manager;
}

static void *run_manager(void *argument)
{
	struct runner *runner = argument;

	runner->result = tmgr_manager_run(runner->manager, runner->token);
	return NULL;
}

void runner_start(struct runner *runner, struct tmgr_manager *manager, struct tmgr_token *token)
{
	*runner = (struct runner){ .manager = manager, .token = token };
	/* Not one of the threads that a test of faults counts. */
	if (__real_pthread_create(&runner->thread, NULL, run_manager, runner) != 0)
		abort();
}

int runner_join(struct runner *runner)
{
	pthread_join(runner->thread, NULL);
	return runner->result;
}

struct looked_for {
	struct tmgr_manager *manager;
	enum tmgr_manager_state manager_state;
	const char *path;
	enum tmgr_state state;
	const char *waiting;
};

static bool manager_is(void *argument)
{
	struct looked_for *wanted = argument;
	struct tmgr_snapshot *snapshot;
	bool is;

	if (tmgr_manager_snapshot(wanted->manager, &snapshot) != 0)
		return false;
	is = snapshot->state == wanted->manager_state;
	tmgr_snapshot_destroy(snapshot);
	return is;
}

static bool task_is(void *argument)
{
	struct looked_for *wanted = argument;
	struct tmgr_snapshot *snapshot;
	bool is = false;

	if (tmgr_manager_snapshot(wanted->manager, &snapshot) != 0)
		return false;
	for (size_t i = 0; i < snapshot->count && !is; i++) {
		const struct tmgr_snapshot_task *task = &snapshot->tasks[i];

		if (strcmp(task->path, wanted->path) != 0)
			continue;
		if (wanted->waiting != NULL)
			is = strcmp(task->waiting, wanted->waiting) == 0;
		else
			is = task->state == wanted->state ||
			     (wanted->state == TMGR_STATE_ENDED && task->state > TMGR_STATE_ENDED);
	}
	tmgr_snapshot_destroy(snapshot);
	return is;
}

bool manager_reaches(struct tmgr_manager *manager, enum tmgr_manager_state state)
{
	struct looked_for wanted = { .manager = manager, .manager_state = state };

	return eventually(manager_is, &wanted);
}

bool task_reaches(struct tmgr_manager *manager, const char *path, enum tmgr_state state)
{
	struct looked_for wanted = { .manager = manager, .path = path, .state = state };

	return eventually(task_is, &wanted);
}

bool task_waits(struct tmgr_manager *manager, const char *path, const char *waiting)
{
	struct looked_for wanted = { .manager = manager, .path = path, .waiting = waiting };

	return eventually(task_is, &wanted);
}

const struct tmgr_report_entry *report_entry(
	const struct tmgr_report *report, enum tmgr_report_kind kind, const char *name)
{
	const struct tmgr_report_entry *entry = report != NULL ? report->entries : NULL;

	for (; entry != NULL; entry = entry->next)
		if (entry->kind == kind && strcmp(entry->name, name) == 0)
			return entry;
	return NULL;
}
