/*
 * Programs of sends, receives, closes and selects over three channels, in one thread that never
 * blocks, beside a model: a queue for each channel.
 */
#include <errno.h>
#include <stdbool.h>

#include <taskmgr/channel.h>

#include "tests/support/fuzz.h"

#define CHANNELS 3
#define CAPACITY_MAX 4
#define CASES_MAX 6

struct model {
	struct tmgr_channel *real;
	size_t item_size, capacity, count;
	bool closed;
	uint32_t items[CAPACITY_MAX];
};

/* What a case does to its channel: 0, -EPIPE, or -EAGAIN when it cannot fire. */
static int model_send(struct model *model, uint32_t item)
{
	if (model->closed)
		return -EPIPE;
	if (model->count == model->capacity)
		return -EAGAIN;
	model->items[model->count++] = item;
	return 0;
}

static int model_receive(struct model *model, uint32_t *ret_item)
{
	if (model->count == 0)
		return model->closed ? -EPIPE : -EAGAIN;
	*ret_item = model->items[0];
	model->count--;
	memmove(model->items, model->items + 1, model->count * sizeof(model->items[0]));
	return 0;
}

static void do_send(struct model *model, uint32_t item, int64_t deadline)
{
	int r = model_send(model, item);

	must(tmgr_channel_send(NULL, model->real, &item, deadline) ==
		(r == -EAGAIN ? -ETIMEDOUT : r));
}

static void do_receive(struct model *model, int64_t deadline)
{
	uint32_t item = 0xdeadbeef, wanted = 0xdeadbeef;
	int r = model_receive(model, &wanted);

	must(tmgr_channel_receive(NULL, model->real, &item, deadline) ==
		(r == -EAGAIN ? -ETIMEDOUT : r));
	must(model->item_size == 0 || item == wanted);
}

static void do_close(struct model *model)
{
	must(tmgr_channel_close(model->real) == (model->closed ? -EALREADY : 0));
	model->closed = true;
}

/* A select as read from the input, and what each case must have left behind. */
struct selecting {
	struct tmgr_select_case cases[CASES_MAX];
	struct model *models[CASES_MAX];
	uint32_t items[CASES_MAX], wanted[CASES_MAX];
	size_t count;
	bool has_default;
	bool valid;
};

static void read_case(struct input *input, struct model *models, struct selecting *select)
{
	uint8_t byte = input_byte(input);
	size_t i = select->count++;
	struct tmgr_select_case *one = &select->cases[i];
	struct model *model = &models[(byte >> 3) % CHANNELS];

	*one = (struct tmgr_select_case){ .op = (enum tmgr_select_op)(byte % 8), .result = 1 };
	select->models[i] = model;
	select->items[i] = select->wanted[i] = 0xc0ffee00u + byte;
	switch (one->op) {
	case TMGR_SELECT_SEND:
	case TMGR_SELECT_RECEIVE:
		one->channel = byte < 0xf0 ? model->real : NULL;
		one->item = byte < 0xe8 ? &select->items[i] : NULL;
		select->valid &= one->channel && (one->item || model->item_size == 0);
		break;
	case TMGR_SELECT_AFTER:
		one->at = byte & 8 ? TMGR_NEVER : byte & 16 ? INT64_MIN : TMGR_NOW;
		break;
	case TMGR_SELECT_DEFAULT:
		select->has_default = true;
		break;
	default: /* an unknown one, or a reload without a context */
		select->valid = byte % 8 == 6 && byte < 0xf0 ? select->valid : false;
		if (select->valid)
			one->op = TMGR_SELECT_DEFAULT, select->has_default = true;
		break;
	}
}

static bool model_fires(struct selecting *select, size_t i, int *ret_result)
{
	const struct tmgr_select_case *one = &select->cases[i];

	*ret_result = 0;
	if (one->op == TMGR_SELECT_SEND)
		*ret_result = model_send(select->models[i], select->items[i]);
	else if (one->op == TMGR_SELECT_RECEIVE)
		*ret_result = model_receive(select->models[i], &select->wanted[i]);
	else
		return one->op == TMGR_SELECT_AFTER && one->at <= 0;
	return *ret_result != -EAGAIN;
}

static int model_select(struct selecting *select, int *ret_result)
{
	if (!select->valid || select->count == 0)
		return -EINVAL;
	for (size_t i = 0; i < select->count; i++)
		if (model_fires(select, i, ret_result))
			return (int)i;
	*ret_result = 0;
	for (size_t i = 0; i < select->count; i++)
		if (select->cases[i].op == TMGR_SELECT_DEFAULT)
			return (int)i;
	return -ETIMEDOUT;
}

static void do_select(struct input *input, struct model *models, uint8_t count)
{
	struct selecting select = { .valid = true };
	int result = 0, wanted;

	for (size_t i = 0; i < count % (CASES_MAX + 1u); i++)
		read_case(input, models, &select);
	wanted = model_select(&select, &result);
	must(tmgr_select(NULL, select.cases, select.count,
		     select.has_default ? TMGR_NEVER : TMGR_NOW) == wanted);
	for (size_t i = 0; i < select.count; i++) {
		must(select.cases[i].result == ((int)i == wanted ? result : 1));
		must(select.items[i] == select.wanted[i] || select.models[i]->item_size == 0);
	}
}

static void step(struct input *input, struct model *models)
{
	uint8_t byte = input_byte(input);
	struct model *model = &models[(byte >> 2) % CHANNELS];
	int64_t deadline = byte & 128 ? INT64_MIN : TMGR_NOW;

	switch (byte & 3) {
	case 0:
		do_send(model, (uint32_t)input->left * 0x01010101u, deadline);
		break;
	case 1:
		do_receive(model, deadline);
		break;
	case 2:
		do_select(input, models, byte >> 2);
		break;
	default:
		if (byte > 0xc0)
			do_close(model);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct model models[CHANNELS] = { { .real = NULL } };

	for (size_t i = 0; i < CHANNELS; i++) {
		uint8_t byte = input_byte(&input);

		models[i].item_size = byte & 128 ? 0 : sizeof(uint32_t);
		models[i].capacity = byte % (CAPACITY_MAX + 1);
		must(tmgr_channel_create(
			     models[i].item_size, models[i].capacity, &models[i].real) == 0);
	}
	while (input.left > 0) {
		step(&input, models);
		for (size_t i = 0; i < CHANNELS; i++)
			must(tmgr_channel_count(models[i].real) == models[i].count);
	}
	for (size_t i = 0; i < CHANNELS; i++)
		tmgr_channel_unref(models[i].real);
	return 0;
}
