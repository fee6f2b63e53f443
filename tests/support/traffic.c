#include <stdlib.h>

#include "tests/support/traffic.h"

/* Of each value: where it went in, and how often it came out. */
struct fate {
	int channel; /* + 1; 0: never sent */
	int out;
};

static const char *note_sent(struct fate *fates, const struct traffic_actor *actor, size_t number)
{
	for (size_t i = 0; i < actor->sent_count; i++) {
		const struct traffic_item *item = &actor->sent[i];
		size_t of = (size_t)item->value / TRAFFIC_VALUES;
		struct fate *fate = &fates[number * TRAFFIC_OPERATIONS_MAX +
					   (size_t)item->value % TRAFFIC_VALUES];

		if (of != number || fate->channel != 0)
			return "the test sends each value once";
		fate->channel = item->channel + 1;
	}
	return NULL;
}

static const char *note_out(struct fate *fates, size_t count, const struct traffic_item *item)
{
	size_t of = (size_t)item->value / TRAFFIC_VALUES;
	size_t index = (size_t)item->value % TRAFFIC_VALUES;
	struct fate *fate;

	if (of >= count || index >= TRAFFIC_OPERATIONS_MAX)
		return "what is received is what was sent";
	fate = &fates[of * TRAFFIC_OPERATIONS_MAX + index];
	if (fate->channel == 0)
		return "nothing is received whose send failed";
	if (fate->channel != item->channel + 1)
		return "what is received comes from the channel it was sent on";
	if (fate->out++ > 0)
		return "each item reaches one receiver";
	return NULL;
}

/* Of one sender one receiver gets the items of one channel in order. */
static const char *check_order(const struct traffic_actor *actor)
{
	for (size_t i = 0; i < actor->received_count; i++) {
		const struct traffic_item *one = &actor->received[i];

		for (size_t j = i + 1; j < actor->received_count; j++) {
			const struct traffic_item *later = &actor->received[j];

			if (later->channel == one->channel &&
				later->value / TRAFFIC_VALUES == one->value / TRAFFIC_VALUES &&
				later->value < one->value)
				return "a channel keeps the order of its items";
		}
	}
	return NULL;
}

static const char *check_end(const struct traffic_actor *actor, int cancel)
{
	if (actor->ran > 1)
		return "a function is called once";
	if (actor->began && !actor->ended)
		return "each ends before who spawned it";
	if (!actor->began)
		return actor->ran ? "what was not spawned does not run" : NULL;
	if (!actor->ran && !actor->cancelled)
		return "what is spawned runs";
	if (actor->awaited == cancel)
		return actor->cancelled || actor->returned == cancel
			       ? NULL
			       : "nobody is cancelled whom nobody has cancelled";
	return actor->awaited == actor->returned ? NULL : "awaiting gives what was returned";
}

const char *traffic_check(const struct traffic_actor *actors, size_t count,
	const struct traffic_item *left, size_t left_count, int cancel)
{
	struct fate *fates = calloc(count * TRAFFIC_OPERATIONS_MAX, sizeof(*fates));
	const char *wrong = NULL;

	for (size_t i = 0; i < count && !wrong; i++)
		wrong = note_sent(fates, &actors[i], i);
	for (size_t i = 0; i < count && !wrong; i++) {
		for (size_t j = 0; j < actors[i].received_count && !wrong; j++)
			wrong = note_out(fates, count, &actors[i].received[j]);
		if (!wrong)
			wrong = check_order(&actors[i]);
		if (!wrong)
			wrong = check_end(&actors[i], cancel);
	}
	for (size_t i = 0; i < left_count && !wrong; i++)
		wrong = note_out(fates, count, &left[i]);
	for (size_t i = 0; i < count * TRAFFIC_OPERATIONS_MAX && !wrong; i++)
		if (fates[i].channel != 0 && fates[i].out == 0)
			wrong = "nothing that was sent is lost";
	free(fates);
	return wrong;
}
