/* How things stand, copied for who asks: processes, what they wait for and who could wake them, channels. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <taskmgr/error.h>

#include "taskmgr/base/text.h"

#include "tasks/process/runtime.h"

#define LIST_MAX 1000

/* The answer being made; out of memory is remembered. */
struct answer {
	struct tmgr_processes *processes;
	struct tmgr_state_memory *memory;
	int error;
};

static const char *text(struct answer *answer, const char *from)
{
	const char *copy = tmgr_state_copy(answer->memory, from, strlen(from));

	if (copy == NULL)
		answer->error = -ENOMEM;
	return copy != NULL ? copy : "";
}

static struct tmgr_bytes bytes(struct answer *answer, const struct tmgr__blob *blob)
{
	const void *copy;

	if (blob == NULL)
		return (struct tmgr_bytes){ "", 0 };
	copy = tmgr_state_copy(answer->memory, blob->data, blob->size);
	if (copy == NULL)
		answer->error = -ENOMEM;
	return (struct tmgr_bytes){ copy, copy != NULL ? blob->size : 0 };
}

static const char *format(struct answer *answer, const char *pattern, ...)
	__attribute__((format(printf, 2, 3)));

static const char *format(struct answer *answer, const char *pattern, ...)
{
	char sentence[1024];
	va_list arguments;

	va_start(arguments, pattern);
	vsnprintf(sentence, sizeof(sentence), pattern, arguments);
	va_end(arguments);
	return text(answer, sentence);
}

/* ---- Why ------------------------------------------------------------------------------------- */

static void write_time(int64_t ms, char *buffer, size_t size)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm parts;

	if (gmtime_r(&seconds, &parts) == NULL ||
		strftime(buffer, size, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
		snprintf(buffer, size, "%lld ms", (long long)ms);
}

static const char *standing(const struct tmgr__eprocess *process)
{
	static const char *const words[] = {
		[TMGR_PROCESS_ACTIVE] = "active",
		[TMGR_PROCESS_PAUSED] = "paused",
		[TMGR_PROCESS_FAILED] = "failed",
		[TMGR_PROCESS_FINISHED] = "finished",
		[TMGR_PROCESS_CANCELLED] = "cancelled",
	};

	return words[process->status];
}

static const char *why_time(struct answer *answer, const struct tmgr__wait *wait)
{
	const struct tmgr_processes *processes = answer->processes;
	bool at = wait->kind == TMGR_PROCESS_WAIT_AT;
	int64_t wall = tmgr__runtime_wall_ms(processes);
	int64_t left = wait->on.at - (at ? wall : tmgr__runtime_now_ms(processes));
	char when[64];

	write_time(wall + left, when, sizeof(when));
	return format(answer, "waits until %s, in %lld ms; %s wakes it", when,
		(long long)(left > 0 ? left : 0), at ? "the wall clock" : "the runtime's clock");
}

static const char *why_wait(struct answer *answer, const struct tmgr__wait *wait)
{
	const struct tmgr__channel *channel = wait->on.channel;

	switch (wait->kind) {
	case TMGR_PROCESS_WAIT_RECEIVE:
		return format(answer,
			"waits for a message on %s; who sends on it or closes it wakes it, a "
			"process or "
			"somebody outside",
			channel->id);
	case TMGR_PROCESS_WAIT_SEND:
		return format(answer,
			"waits to send on %s, whose buffer of %u has no room; who receives from it "
			"or "
			"closes it wakes it",
			channel->id, channel->buffer != NULL ? channel->buffer->capacity : 0);
	case TMGR_PROCESS_WAIT_CALL:
		return format(answer,
			"waits for the end of process %s, which is %s; its end wakes it, finished "
			"or "
			"cancelled",
			wait->on.callee->id, standing(wait->on.callee));
	default:
		return why_time(answer, wait);
	}
}

static const char *why_running(struct answer *answer, const struct tmgr__goroutine *goroutine)
{
	if (goroutine->process->stuck)
		return format(answer,
			"is stuck: its method %s has not returned by its deadline; when it does "
			"that is "
			"refused, and it is called again",
			goroutine->method->name);
	return format(answer, "runs: its method %s is being called, or a worker has it next",
		goroutine->method->name);
}

static const char *why_ready(struct answer *answer, const struct tmgr__goroutine *goroutine)
{
	const struct tmgr__eprocess *process = goroutine->process;
	const struct tmgr__trouble *trouble = goroutine->trouble;
	const char *name = goroutine->method->name;

	if (goroutine == process->running)
		return why_running(answer, goroutine);
	if (process->status != TMGR_PROCESS_ACTIVE)
		return format(answer,
			"is ready for its method %s; the process is %s: resuming it wakes it", name,
			standing(process));
	if (trouble != NULL && trouble->retry.heap_index > 0)
		return format(answer,
			"its method %s has failed %u times (%s); the runtime's clock has it called "
			"again "
			"in %lld ms, and resuming the process at once",
			name, trouble->attempts, trouble->text,
			(long long)(trouble->retry_at - tmgr__runtime_now_ms(answer->processes)));
	if (process->running != NULL)
		return format(answer,
			"is ready for its method %s; it runs when %s has ended its step", name,
			process->running->name);
	return format(answer, "is ready for its method %s; a worker that is free calls it", name);
}

static const char *why(struct answer *answer, const struct tmgr__goroutine *goroutine)
{
	const struct tmgr__trouble *trouble = goroutine->trouble;

	switch (goroutine->status) {
	case TMGR_GOROUTINE_BLOCKED:
		if (goroutine->wait_count == 1)
			return why_wait(answer, &goroutine->what.waits[0]);
		return format(answer, "waits for the first of %u cases", goroutine->wait_count);
	case TMGR_GOROUTINE_PAUSED:
		return format(
			answer, "is paused: %s; a program that can goes on with it", trouble->text);
	case TMGR_GOROUTINE_FAILED:
		return format(answer,
			"has failed: its method %s, %u times (%s); resuming the process has it "
			"called "
			"again",
			goroutine->method->name, trouble->attempts, trouble->text);
	default:
		return why_ready(answer, goroutine);
	}
}

/* ---- Processes ------------------------------------------------------------------------------- */

static void fill_wait(
	struct answer *answer, const struct tmgr__wait *wait, struct tmgr_process_wait_info *info)
{
	info->kind = wait->kind;
	info->index = wait->index;
	info->method = text(answer, wait->then.method->name);
	info->target = "";
	info->why = why_wait(answer, wait);
	if (wait->kind == TMGR_PROCESS_WAIT_CALL)
		info->target = text(answer, wait->on.callee->id);
	else if (wait->kind == TMGR_PROCESS_WAIT_SEND || wait->kind == TMGR_PROCESS_WAIT_RECEIVE)
		info->target = text(answer, wait->on.channel->id);
	else if (wait->kind == TMGR_PROCESS_WAIT_AT)
		info->at_ms = wait->on.at;
	else
		info->at_ms = wait->on.at - tmgr__runtime_now_ms(answer->processes) +
			      tmgr__runtime_wall_ms(answer->processes);
}

static void fill_goroutine(struct answer *answer, const struct tmgr__goroutine *goroutine,
	struct tmgr_process_goroutine_info *info)
{
	const struct tmgr__trouble *trouble = goroutine->trouble;
	bool blocked = goroutine->status == TMGR_GOROUTINE_BLOCKED;
	struct tmgr_process_wait_info *waits;

	info->name = text(answer, goroutine->name);
	info->method = blocked ? "" : text(answer, goroutine->method->name);
	info->status = goroutine->status;
	info->running = goroutine->process->running == goroutine;
	info->stuck = info->running && goroutine->process->stuck;
	info->since_ms = goroutine->since_ms;
	info->text = "";
	info->why = why(answer, goroutine);
	if (trouble != NULL) {
		info->attempts = trouble->attempts;
		info->error = trouble->error;
		info->text = text(answer, trouble->text);
	}
	if (!blocked)
		return;
	waits = tmgr_state_take(answer->memory, goroutine->wait_count * sizeof(*waits));
	if (waits == NULL) {
		answer->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < goroutine->wait_count; i++)
		fill_wait(answer, &goroutine->what.waits[i], &waits[i]);
	info->waits = waits;
	info->wait_count = goroutine->wait_count;
}

static void fill_goroutines(
	struct answer *answer, const struct tmgr__eprocess *process, struct tmgr_process_info *info)
{
	const struct tmgr__goroutine *goroutine = process->goroutines;
	struct tmgr_process_goroutine_info *infos;
	size_t count = 0;

	for (; goroutine != NULL; goroutine = goroutine->next)
		count++;
	infos = tmgr_state_take(answer->memory, count * sizeof(*infos));
	if (infos == NULL) {
		answer->error = -ENOMEM;
		return;
	}
	count = 0;
	for (goroutine = process->goroutines; goroutine != NULL; goroutine = goroutine->next)
		fill_goroutine(answer, goroutine, &infos[count++]);
	info->goroutines = infos;
	info->goroutine_count = count;
}

static void fill_process(
	struct answer *answer, const struct tmgr__eprocess *process, struct tmgr_process_info *info)
{
	const struct tmgr__ending *ending = process->ending;

	info->id = text(answer, process->id);
	info->definition = text(answer, process->definition->name);
	info->version = process->version;
	info->status = process->status;
	info->cancelled = process->cancelled;
	info->stuck = process->stuck;
	info->has_result = process->has_result;
	info->error = ending != NULL ? ending->error : 0;
	info->text = ending != NULL ? text(answer, ending->text) : "";
	info->revision = process->revision;
	info->steps = process->steps;
	info->created_ms = process->created_ms;
	info->changed_ms = tmgr__process_changed(process);
	info->state = (struct tmgr_bytes){ "", 0 };
	info->result = bytes(answer, ending != NULL ? ending->result : NULL);
}

static int get(struct answer *answer, struct tmgr_process_request *request)
{
	const struct tmgr__eprocess *process = tmgr__engine_process(
		answer->processes->engine, request->apply.id);
	struct tmgr_process_info *info;

	if (process == NULL)
		return -ENOENT;
	info = tmgr_state_take(answer->memory, sizeof(*info));
	if (info == NULL)
		return -ENOMEM;
	fill_process(answer, process, info);
	info->state = bytes(answer, process->state);
	fill_goroutines(answer, process, info);
	request->infos = info;
	request->count = 1;
	return answer->error;
}

static bool is_wanted(
	const struct tmgr__eprocess *process, const struct tmgr_process_filter *filter)
{
	return (filter->definition == NULL ||
		       strcmp(process->definition->name, filter->definition) == 0) &&
	       (filter->status == 0 || process->status == filter->status) &&
	       (filter->after == NULL || strcmp(process->id, filter->after) > 0);
}

/*
 * The first of those that come, by id: a heap whose top is the last of them. Steps wait meanwhile, so each
 * that is no longer one of the first costs one comparison, and they are not all sorted.
 */
struct page {
	const struct tmgr__eprocess **items;
	size_t count, max;
};

static int compare(const void *a, const void *b)
{
	const struct tmgr__eprocess *first = *(struct tmgr__eprocess *const *)a;
	const struct tmgr__eprocess *second = *(struct tmgr__eprocess *const *)b;

	return strcmp(first->id, second->id);
}

static void sift_up(struct page *page, const struct tmgr__eprocess *process)
{
	size_t at = page->count++;

	while (at > 0 && strcmp(page->items[(at - 1) / 2]->id, process->id) < 0) {
		page->items[at] = page->items[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	page->items[at] = process;
}

/* In the place of the top. */
static void sift_down(struct page *page, const struct tmgr__eprocess *process)
{
	size_t at = 0, below;

	while ((below = 2 * at + 1) < page->count) {
		if (below + 1 < page->count &&
			strcmp(page->items[below + 1]->id, page->items[below]->id) > 0)
			below++;
		if (strcmp(page->items[below]->id, process->id) < 0)
			break;
		page->items[at] = page->items[below];
		at = below;
	}
	page->items[at] = process;
}

static void come(struct page *page, const struct tmgr__eprocess *process)
{
	if (page->count < page->max)
		sift_up(page, process);
	else if (strcmp(process->id, page->items[0]->id) < 0)
		sift_down(page, process);
}

static int list(struct answer *answer, struct tmgr_process_request *request)
{
	const struct tmgr__table *table = &answer->processes->engine->processes;
	struct page page = { .max = request->filter.count_max };
	struct tmgr_process_info *infos;

	if (page.max == 0)
		page.max = LIST_MAX;
	if (page.max > table->count)
		page.max = table->count;
	if (page.max == 0)
		return 0;
	page.items = tmgr_state_take(answer->memory, page.max * sizeof(struct tmgr__eprocess *));
	if (page.items == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < table->max; i++) {
		for (const struct tmgr__eprocess *process = table->heads[i]; process != NULL;
			process = process->hash_next) {
			if (is_wanted(process, &request->filter))
				come(&page, process);
		}
	}
	qsort(page.items, page.count, sizeof(struct tmgr__eprocess *), compare);
	infos = tmgr_state_take(answer->memory, page.count * sizeof(*infos));
	if (infos == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < page.count; i++)
		fill_process(answer, page.items[i], &infos[i]);
	request->infos = infos;
	request->count = page.count;
	return answer->error;
}

/* ---- Channels -------------------------------------------------------------------------------- */

static size_t count_waits(const struct tmgr__channel *channel, enum tmgr_process_wait_kind kind)
{
	size_t count = 0;

	for (const struct tmgr__list *link = channel->line.next; link != &channel->line;
		link = link->next)
		count += container_of(link, struct tmgr__wait, link)->kind == kind;
	return count;
}

static bool is_of(const struct tmgr__channel *channel, const char *id)
{
	if (id == NULL)
		return true;
	if (id[0] == '\0')
		return channel->process == NULL;
	return channel->process != NULL && strcmp(channel->process->id, id) == 0;
}

static int channels(struct answer *answer, struct tmgr_process_request *request)
{
	const struct tmgr__table *table = &answer->processes->engine->channels;
	struct tmgr_process_channel_info *infos = tmgr_state_take(
		answer->memory, table->count * sizeof(*infos));
	const char *id = request->apply.id;
	size_t count = 0;

	if (infos == NULL)
		return -ENOMEM;
	if (id != NULL && id[0] != '\0' &&
		tmgr__engine_process(answer->processes->engine, id) == NULL)
		return -ENOENT;
	for (size_t i = 0; i < table->max; i++) {
		for (const struct tmgr__channel *channel = table->heads[i]; channel != NULL;
			channel = channel->hash_next) {
			if (!is_of(channel, id))
				continue;
			infos[count++] = (struct tmgr_process_channel_info){
				.id = text(answer, channel->id),
				.capacity = channel->buffer != NULL ? channel->buffer->capacity : 0,
				.closed = channel->closed,
				.buffered = channel->buffer != NULL ? channel->buffer->count : 0,
				.senders = count_waits(channel, TMGR_PROCESS_WAIT_SEND),
				.receivers = count_waits(channel, TMGR_PROCESS_WAIT_RECEIVE),
			};
		}
	}
	request->channels = infos;
	request->count = count;
	return answer->error;
}

int tmgr__info_answer(struct tmgr_processes *processes, struct tmgr_process_request *request)
{
	struct answer answer = { .processes = processes };
	int r = tmgr_state_memory_create(&request->memory);

	if (r != 0)
		return r;
	answer.memory = request->memory;
	switch (request->kind) {
	case TMGR_PROCESS_GET:
		return get(&answer, request);
	case TMGR_PROCESS_LIST:
		return list(&answer, request);
	default:
		return channels(&answer, request);
	}
}
