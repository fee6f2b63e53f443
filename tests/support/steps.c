#include "steps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS INT64_C(1700000000000)
/* Neighbours in time are none in the tables. */
#define STRIDE 7919

int steps_init(struct steps *steps, size_t processes)
{
	memset(steps, 0, sizeof(*steps));
	steps->processes = processes;
	steps->waits = calloc(processes, sizeof(*steps->waits));
	steps->counts = calloc(processes, sizeof(*steps->counts));
	steps->steps = calloc(STEPS_BATCH_MAX, sizeof(*steps->steps));
	steps->changes = calloc((size_t)STEPS_BATCH_MAX * STEPS_CHANGES, sizeof(*steps->changes));
	steps->texts = calloc(STEPS_BATCH_MAX, sizeof(*steps->texts));
	if (steps->waits && steps->counts && steps->steps && steps->changes && steps->texts)
		return 0;
	steps_fini(steps);
	return -ENOMEM;
}

void steps_fini(struct steps *steps)
{
	free(steps->waits);
	free(steps->counts);
	free(steps->steps);
	free(steps->changes);
	free(steps->texts);
	memset(steps, 0, sizeof(*steps));
}

static struct tmgr_store_change put(enum tmgr_store_kind kind)
{
	return (struct tmgr_store_change){ .op = TMGR_STORE_PUT, .kind = kind };
}

static void put_rows(struct tmgr_store_change *change, const char *id, const char *state,
	uint64_t count, uint64_t sequence)
{
	change[0] = put(TMGR_STORE_PROCESS);
	change[0].row.process = (struct tmgr_store_process){ .id = id,
		.definition = "counter",
		.status = TMGR_PROCESS_ACTIVE,
		.version = 1,
		.text = "",
		.revision = count,
		.steps = count,
		.created_ms = NOW_MS,
		.changed_ms = NOW_MS,
		.state = { state, strlen(state) } };
	change[1] = put(TMGR_STORE_GOROUTINE);
	change[1].row.goroutine = (struct tmgr_store_goroutine){ .process = id,
		.name = "Main",
		.method = "",
		.status = TMGR_GOROUTINE_BLOCKED,
		.sequence = sequence,
		.since_ms = NOW_MS + (int64_t)count,
		.text = "",
		.from = "" };
	change[2] = put(TMGR_STORE_EVENT);
	change[2].row.event = (struct tmgr_process_event){ .sequence = sequence,
		.at_ms = NOW_MS + (int64_t)count,
		.kind = TMGR_PROCESS_EVENT_STEP,
		.process = id,
		.goroutine = "Main",
		.method = "Main_Count",
		.text = "" };
}

static void put_waits(
	struct tmgr_store_change *change, const char *id, const char *channel, uint64_t sequence)
{
	for (uint32_t i = 0; i < 2; i++) {
		change[i] = put(TMGR_STORE_WAIT);
		change[i].row.wait = (struct tmgr_store_wait){ .sequence = sequence,
			.index = i,
			.kind = i == 0 ? TMGR_PROCESS_WAIT_RECEIVE : TMGR_PROCESS_WAIT_AFTER,
			.process = id,
			.goroutine = "Main",
			.target = i == 0 ? channel : "",
			.method = i == 0 ? "Main_Count" : "Main_Done",
			.at_ms = i == 0 ? 0 : NOW_MS + 3600000 };
	}
}

/* One step, into the i-th place; how many changes it has. */
static size_t make_step(struct steps *steps, size_t i)
{
	struct tmgr_store_change *change = &steps->changes[i * STEPS_CHANGES];
	uint64_t sequence = ++steps->sequence;
	size_t process = (size_t)(sequence * STRIDE % steps->processes);
	struct steps_texts *texts = &steps->texts[i];
	uint64_t count = ++steps->counts[process], old = steps->waits[process];

	snprintf(texts->id, sizeof(texts->id), "process-%06zu", process);
	snprintf(texts->channel, sizeof(texts->channel), "process-%06zu/count", process);
	snprintf(texts->state, sizeof(texts->state),
		"{\"count\":%llu,\"name\":\"%s\",\"note\":\"what it has to keep\"}",
		(unsigned long long)count, texts->id);
	put_rows(change, texts->id, texts->state, count, sequence);
	put_waits(change + 3, texts->id, texts->channel, sequence);
	steps->waits[process] = sequence;
	if (old == 0)
		return 5;
	change[5] = (struct tmgr_store_change){ .op = TMGR_STORE_DELETE, .kind = TMGR_STORE_WAIT };
	change[5].row.wait.sequence = old;
	return 6;
}

const struct tmgr_store_batch *steps_next(struct steps *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t changes = make_step(steps, i);

		steps->steps[i] = (struct tmgr_store_step){ steps->sequence,
			&steps->changes[i * STEPS_CHANGES], changes };
	}
	steps->batch = (struct tmgr_store_batch){
		.now_ms = NOW_MS + (int64_t)steps->sequence, .steps = steps->steps, .count = count
	};
	return &steps->batch;
}
