#include "random_steps.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSES 12
#define CHANNELS 6

static unsigned below(struct random_steps *random, unsigned n)
{
	return (unsigned)rand_r(&random->seed) % n;
}

/* A number that is small, large, or at an edge. */
static uint64_t number(struct random_steps *random)
{
	static const uint64_t edges[] = { 0, 1, 127, 128, INT64_MAX, 1700000000000 };

	return below(random, 2) ? edges[below(random, sizeof(edges) / sizeof(edges[0]))]
				: (uint64_t)rand_r(&random->seed);
}

static const char *text(struct random_steps *random, char *to, const char *name, unsigned n)
{
	snprintf(to, 128, "%s-%u", name, below(random, n));
	return to;
}

static struct tmgr_bytes bytes(struct random_steps *random, char *to)
{
	size_t size = below(random, 4) ? below(random, 40) : 0;

	for (size_t i = 0; i < size; i++)
		to[i] = (char)rand_r(&random->seed);
	return (struct tmgr_bytes){ to, size };
}

static void make_process(
	struct random_steps *random, struct tmgr_store_process *p, char (*texts)[128])
{
	*p = (struct tmgr_store_process){ .id = text(random, texts[0], "p\xc3\xa9", PROCESSES),
		.definition = text(random, texts[1], "definition", 3),
		.status = 1 + below(random, TMGR_PROCESS_CANCELLED),
		.version = below(random, 2) ? UINT32_MAX : 1,
		.cancelled = below(random, 2),
		.has_result = below(random, 2),
		.error = -(int)below(random, 2) * 5001,
		.text = below(random, 2) ? "" : "it's \"why\"",
		.revision = number(random),
		.steps = number(random),
		.created_ms = (int64_t)number(random),
		.changed_ms = -(int64_t)number(random),
		.result = bytes(random, texts[3]) };
	snprintf(texts[2], 128, "{\"n\":%u}", below(random, 1000));
	p->state = (struct tmgr_bytes){ texts[2], strlen(texts[2]) };
}

static void make_goroutine(
	struct random_steps *random, struct tmgr_store_goroutine *g, char (*texts)[128])
{
	*g = (struct tmgr_store_goroutine){
		.process = text(random, texts[0], "p\xc3\xa9", PROCESSES),
		.name = text(random, texts[1], "Main", 2),
		.method = below(random, 2) ? "" : "Main_Go",
		.status = 1 + below(random, TMGR_GOROUTINE_FAILED),
		.sequence = number(random),
		.since_ms = (int64_t)number(random),
		.attempts = below(random, 3),
		.retry_at_ms = (int64_t)number(random),
		.error = below(random, 2) ? -5 : 0,
		.text = "",
		.arrival = below(random, TMGR_ARRIVED_GOTO + 1),
		.case_index = below(random, 64),
		.arrival_error = below(random, 2) ? INT_MIN : 0,
		.from = "",
		.value = bytes(random, texts[2]),
	};
}

static void make_wait(struct random_steps *random, struct tmgr_store_change *c, char (*texts)[128])
{
	unsigned i = below(random, 64);

	if (random->waits[i] && below(random, 3)) {
		c->op = TMGR_STORE_DELETE;
		c->row.wait.sequence = random->waits[i];
		random->waits[i] = 0;
		return;
	}
	if (!random->waits[i])
		random->waits[i] = ++random->row;
	c->row.wait = (struct tmgr_store_wait){ .sequence = random->waits[i],
		.index = below(random, 3),
		.kind = 1 + below(random, TMGR_PROCESS_WAIT_CALL),
		.process = text(random, texts[0], "p\xc3\xa9", PROCESSES),
		.goroutine = "Main",
		.target = text(random, texts[1], "p-1/channel", CHANNELS),
		.method = "Main_Go",
		.at_ms = (int64_t)number(random),
		.value = bytes(random, texts[2]) };
}

static void make_channel(
	struct random_steps *random, struct tmgr_store_change *c, char (*texts)[128])
{
	c->op = below(random, 4) ? TMGR_STORE_PUT : TMGR_STORE_DELETE;
	c->row.channel = (struct tmgr_store_channel){
		.id = text(random, texts[0], "channel", CHANNELS),
		.capacity = below(random, 3),
		.closed = below(random, 2),
		.created = below(random, 2),
	};
}

static void make_message(
	struct random_steps *random, struct tmgr_store_change *c, char (*texts)[128])
{
	unsigned i = below(random, 64);

	if (random->messages[i].sequence && below(random, 2)) {
		c->op = TMGR_STORE_DELETE;
	} else {
		random->messages[i].sequence = ++random->row;
		random->messages[i].channel = below(random, CHANNELS);
	}
	snprintf(texts[0], 128, "channel-%u", random->messages[i].channel);
	c->row.message = (struct tmgr_store_message){ .channel = texts[0],
		.sequence = random->messages[i].sequence,
		.value = bytes(random, texts[1]) };
	if (c->op == TMGR_STORE_DELETE)
		random->messages[i].sequence = 0;
}

static void make_once(struct random_steps *random, struct tmgr_store_change *c, char (*texts)[128])
{
	unsigned i = below(random, 16);

	if (random->once[i].sequence && below(random, 3) == 0) {
		c->op = TMGR_STORE_DELETE;
	} else if (!random->once[i].sequence) {
		random->once[i].sequence = ++random->row;
		random->once[i].process = below(random, PROCESSES);
	}
	snprintf(texts[0], 128, "p-%u", random->once[i].process);
	c->row.once = (struct tmgr_store_once){ .process = texts[0],
		.goroutine = "Main",
		.sequence = random->once[i].sequence,
		.name = text(random, texts[1], "name", 3),
		.value = bytes(random, texts[2]) };
	if (c->op == TMGR_STORE_DELETE)
		random->once[i].sequence = 0;
}

static void make_rest(struct random_steps *random, struct tmgr_store_change *c, char (*texts)[128])
{
	if (c->kind == TMGR_STORE_KEY) {
		c->op = below(random, 3) ? TMGR_STORE_PUT : TMGR_STORE_DELETE;
		c->row.key = (struct tmgr_store_key){ text(random, texts[0], "/in key", 20),
			(int64_t)number(random) };
		return;
	}
	c->row.event = (struct tmgr_process_event){ .sequence = ++random->row,
		.at_ms = (int64_t)random->row,
		.kind = 1 + below(random, TMGR_PROCESS_EVENT_LOG),
		.error = below(random, 2) ? -33 : 0,
		.process = text(random, texts[0], "p", 3),
		.goroutine = "",
		.method = "",
		.text = text(random, texts[1], "what", 100) };
}

static void make_change(
	struct random_steps *random, struct tmgr_store_change *c, char (*texts)[128])
{
	memset(c, 0, sizeof(*c));
	c->op = TMGR_STORE_PUT;
	c->kind = 1 + below(random, TMGR_STORE_EVENT);
	switch (c->kind) {
	case TMGR_STORE_PROCESS:
		make_process(random, &c->row.process, texts);
		c->op = below(random, 8) ? TMGR_STORE_PUT : TMGR_STORE_DELETE;
		break;
	case TMGR_STORE_GOROUTINE:
		make_goroutine(random, &c->row.goroutine, texts);
		c->op = below(random, 4) ? TMGR_STORE_PUT : TMGR_STORE_DELETE;
		break;
	case TMGR_STORE_WAIT:
		make_wait(random, c, texts);
		break;
	case TMGR_STORE_CHANNEL:
		make_channel(random, c, texts);
		break;
	case TMGR_STORE_MESSAGE:
		make_message(random, c, texts);
		break;
	case TMGR_STORE_ONCE:
		make_once(random, c, texts);
		break;
	default:
		make_rest(random, c, texts);
		break;
	}
}

const struct tmgr_store_batch *random_steps_next(struct random_steps *random)
{
	size_t steps = 1 + below(random, below(random, 4) ? 4 : RANDOM_STEPS_MAX);

	for (size_t i = 0; i < steps; i++) {
		size_t changes = 1 + below(random, RANDOM_CHANGES_MAX);

		for (size_t j = 0; j < changes; j++)
			make_change(random, &random->changes[i][j], random->texts[i][j]);
		/* They grow, and not always by one. */
		random->sequence += 1 + below(random, 3);
		random->steps[i] = (struct tmgr_store_step){ random->sequence, random->changes[i],
			changes };
	}
	random->batch = (struct tmgr_store_batch){
		.now_ms = (int64_t)random->sequence * 10, .steps = random->steps, .count = steps
	};
	return &random->batch;
}
