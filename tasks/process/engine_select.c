/*
 * Select: its cases are tried in their order. It waits for all of them only when none could happen at once,
 * so it is never paired with itself.
 */
#include <errno.h>

#include "tasks/process/engine_inside.h"

/* What a case gives that can fire at once. */
struct outcome {
	enum tmgr_arrival kind; /* 0: it cannot */
	struct tmgr__blob *value;
	int error;
};

static struct outcome try_receive(struct tmgr__engine *engine, struct tmgr__channel *channel)
{
	struct outcome outcome = { TMGR_ARRIVED_CLOSED, NULL, 0 };

	if (channel != NULL)
		outcome.kind = tmgr__channel_receive(engine, channel, &outcome.value);
	return outcome;
}

static struct outcome try_send(
	struct tmgr__engine *engine, struct tmgr__channel *channel, struct tmgr_bytes bytes)
{
	struct outcome outcome = { TMGR_ARRIVED_CLOSED, NULL, 0 };

	if (channel != NULL)
		outcome.kind = tmgr__channel_send(engine, channel, bytes);
	return outcome;
}

static int result_error(const struct tmgr__eprocess *callee)
{
	if (callee->status == TMGR_PROCESS_CANCELLED)
		return -ECANCELED;
	return callee->has_result ? 0 : -ENODATA;
}

static struct tmgr__blob *result_of(
	struct tmgr__engine *engine, const struct tmgr__eprocess *process)
{
	const struct tmgr__blob *result = process->ending != NULL ? process->ending->result : NULL;

	if (result == NULL)
		return NULL;
	return tmgr__blob(engine, (struct tmgr_bytes){ result->data, result->size });
}

static struct outcome try_call(struct tmgr__engine *engine, const struct tmgr__eprocess *callee)
{
	struct outcome outcome = { TMGR_ARRIVED_RESULT, NULL, 0 };

	if (callee == NULL) {
		outcome.error = -ENOENT;
	} else if (tmgr__process_is_over(callee)) {
		outcome.value = result_of(engine, callee);
		outcome.error = result_error(callee);
	} else {
		outcome.kind = 0;
	}
	return outcome;
}

/* What a case is about: a channel, NULL for one that is gone; or a process, NULL likewise. */
union subject {
	struct tmgr__channel *channel;
	struct tmgr__eprocess *callee;
};

static union subject subject_of(struct tmgr__engine *engine, const struct tmgr__case *one)
{
	union subject subject = { NULL };

	if (one->kind == TMGR_PROCESS_WAIT_CALL)
		subject.callee = tmgr__engine_process(engine, one->target);
	else if (one->kind == TMGR_PROCESS_WAIT_SEND || one->kind == TMGR_PROCESS_WAIT_RECEIVE)
		tmgr__channel_resolve(engine, one->target, &subject.channel);
	return subject;
}

static struct outcome try_case(
	struct tmgr__engine *engine, const struct tmgr__case *one, union subject subject)
{
	struct outcome outcome = { 0, NULL, 0 };
	int64_t now = one->kind == TMGR_PROCESS_WAIT_AT ? engine->wall_ms : engine->now_ms;

	switch (one->kind) {
	case TMGR_PROCESS_WAIT_RECEIVE:
		return try_receive(engine, subject.channel);
	case TMGR_PROCESS_WAIT_SEND:
		return try_send(engine, subject.channel, one->value);
	case TMGR_PROCESS_WAIT_CALL:
		return try_call(engine, subject.callee);
	case TMGR_PROCESS_WAIT_AFTER:
	case TMGR_PROCESS_WAIT_AT:
		if (one->at_ms <= now)
			outcome.kind = TMGR_ARRIVED_TIMEOUT;
		return outcome;
	default:
		return outcome;
	}
}

static void enrol(struct tmgr__engine *engine, struct tmgr__wait *wait,
	const struct tmgr__case *one, union subject subject)
{
	wait->kind = (uint8_t)one->kind;
	wait->then.method = one->method;
	if (one->kind == TMGR_PROCESS_WAIT_SEND)
		wait->value = tmgr__blob(engine, one->value);
	if (one->kind == TMGR_PROCESS_WAIT_CALL)
		wait->on.callee = subject.callee;
	else if (one->kind == TMGR_PROCESS_WAIT_SEND || one->kind == TMGR_PROCESS_WAIT_RECEIVE)
		wait->on.channel = subject.channel;
	else
		wait->on.at = one->at_ms;
	tmgr__wait_link(engine, wait);
	tmgr__put_wait(engine, wait);
}

static void block(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr__case *cases, const union subject *subjects, size_t count)
{
	struct tmgr__wait *waits = tmgr__engine_memory(engine, count * sizeof(*waits));

	if (waits == NULL)
		return;
	goroutine->what.waits = waits;
	goroutine->wait_count = (uint8_t)count;
	goroutine->status = TMGR_GOROUTINE_BLOCKED;
	goroutine->sequence = tmgr__engine_number(engine);
	goroutine->since_ms = engine->wall_ms;
	for (size_t i = 0; i < count; i++) {
		waits[i].goroutine = goroutine;
		waits[i].index = (uint8_t)i;
		enrol(engine, &waits[i], &cases[i], subjects[i]);
	}
	tmgr__put_goroutine(engine, goroutine);
}

/* The goroutine is neither blocked nor ready. */
void tmgr__select(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr__case *cases, size_t count)
{
	union subject subjects[TMGR_PROCESS_CASES_MAX];
	struct outcome outcome = { 0, NULL, 0 };
	struct tmgr__arrival *arrival;
	size_t fired = 0, fallback = count;
	const char *from;

	for (; fired < count && engine->broken == 0; fired++) {
		if (cases[fired].kind == TMGR__CASE_DEFAULT && fallback == count)
			fallback = fired;
		subjects[fired] = subject_of(engine, &cases[fired]);
		outcome = try_case(engine, &cases[fired], subjects[fired]);
		if (outcome.kind != 0)
			break;
	}
	if (outcome.kind == 0 && fallback == count) {
		block(engine, goroutine, cases, subjects, count);
		return;
	}
	if (outcome.kind == 0) {
		fired = fallback;
		outcome.kind = TMGR_ARRIVED_DEFAULT;
	}
	from = cases[fired].target != NULL ? cases[fired].target : "";
	arrival = tmgr__arrive(engine, outcome.kind, fired, from, outcome.value);
	if (arrival == NULL)
		return;
	arrival->error = outcome.error;
	tmgr__goroutine_ready(engine, goroutine, cases[fired].method, arrival);
}
