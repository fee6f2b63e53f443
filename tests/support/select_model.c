#include "tests/support/select_model.h"

#include <string.h>

static unsigned draw(uint64_t *state, unsigned below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (unsigned)((*state >> 11) % below);
}

static void make_select(struct model_select *select, uint64_t *random, int *value)
{
	select->count = 1 + (int)draw(random, MODEL_CASES_MAX);
	for (int i = 0; i < select->count; i++) {
		unsigned kind = draw(random, 20);
		struct model_case *one = &select->cases[i];

		one->channel = draw(random, 3) == 0;
		one->value = ++*value;
		one->at = (int)draw(random, 4) * 5;
		if (kind < 9)
			one->op = MODEL_SEND;
		else if (kind < 17)
			one->op = MODEL_RECEIVE;
		else
			one->op = kind < 19 ? MODEL_AFTER : MODEL_DEFAULT;
	}
}

void model_make_program(struct model_program *program, uint64_t seed)
{
	uint64_t random = seed * 0x9E3779B97F4A7C15u + 1;
	int value = 0;

	memset(program, 0, sizeof(*program));
	program->seed = seed;
	program->players = 2 + (int)draw(&random, MODEL_PLAYERS_MAX - 1);
	for (int i = 0; i < 2; i++)
		program->capacities[i] = (int)draw(&random, 3);
	for (int i = 0; i < program->players; i++) {
		program->select_counts[i] = 1 + (int)draw(&random, program->players > 2
									   ? 2
									   : MODEL_SELECTS_MAX);
		for (int k = 0; k < program->select_counts[i]; k++)
			make_select(&program->selects[i][k], &random, &value);
	}
	program->world_count = (int)draw(&random, MODEL_WORLD_MAX + 1);
	for (int i = 0; i < program->world_count; i++) {
		program->world[i].close = draw(&random, 2) == 0 ? (int)draw(&random, 2) : -1;
		program->world[i].now = 5 * (i + 1);
	}
}

void model_begin(struct model *model, const struct model_program *program)
{
	memset(model, 0, sizeof(*model));
	model->program = program;
}

bool model_can_act(const struct model *model, int who)
{
	if (who == model->program->players)
		return model->world_done < model->program->world_count;
	return !model->waiting[who] && model->done[who] < model->program->select_counts[who];
}

const struct model_select *model_next(const struct model *model, int who)
{
	return who < model->program->players ? &model->program->selects[who][model->done[who]] : 0;
}

const struct model_world *model_next_of_world(const struct model *model, int who)
{
	return who == model->program->players ? &model->program->world[model->world_done] : 0;
}

bool model_blocked(const struct model *model, int player)
{
	return model->waiting[player];
}

static void fire(struct model *model, int player, int index, enum model_how how, int value)
{
	model->fires[model->fire_count++] = (struct model_fire){ player, index, how, value };
	model->waiting[player] = false;
}

/* The select a player waits in. */
static const struct model_select *of(const struct model *model, int player)
{
	return &model->program->selects[player][model->done[player] - 1];
}

/* Of those who wait the one that has for longest, with such a case; its first such case. */
static bool oldest(
	const struct model *model, enum model_op op, int channel, int *ret_player, int *ret_index)
{
	int best = -1;

	for (int player = 0; player < model->program->players; player++) {
		if (!model->waiting[player] ||
			(best >= 0 && model->since[player] > model->since[best]))
			continue;
		for (int i = of(model, player)->count - 1; i >= 0; i--) {
			const struct model_case *one = &of(model, player)->cases[i];

			if (one->op == op && one->channel == channel) {
				best = player;
				*ret_index = i;
			}
		}
	}
	*ret_player = best;
	return best >= 0;
}

static int take_buffered(struct model *model, int channel)
{
	int value = model->buffers[channel][0];

	model->buffered[channel]--;
	memmove(&model->buffers[channel][0], &model->buffers[channel][1],
		(size_t)model->buffered[channel] * sizeof(int));
	return value;
}

static bool try_receive(struct model *model, int who, int index, int channel)
{
	int sender, at, value;

	if (model->buffered[channel] > 0) {
		value = take_buffered(model, channel);
		if (oldest(model, MODEL_SEND, channel, &sender, &at)) {
			model->buffers[channel][model->buffered[channel]++] =
				of(model, sender)->cases[at].value;
			fire(model, sender, at, MODEL_SENT, -1);
		}
		fire(model, who, index, MODEL_RECEIVED, value);
		return true;
	}
	if (oldest(model, MODEL_SEND, channel, &sender, &at)) {
		value = of(model, sender)->cases[at].value;
		fire(model, sender, at, MODEL_SENT, -1);
		fire(model, who, index, MODEL_RECEIVED, value);
		return true;
	}
	if (model->closed[channel])
		fire(model, who, index, MODEL_CLOSED, -1);
	return model->closed[channel];
}

static bool try_send(struct model *model, int who, int index, const struct model_case *one)
{
	int receiver, at;

	if (model->closed[one->channel]) {
		fire(model, who, index, MODEL_CLOSED, -1);
		return true;
	}
	if (oldest(model, MODEL_RECEIVE, one->channel, &receiver, &at)) {
		fire(model, receiver, at, MODEL_RECEIVED, one->value);
		fire(model, who, index, MODEL_SENT, -1);
		return true;
	}
	if (model->buffered[one->channel] >= model->program->capacities[one->channel])
		return false;
	model->buffers[one->channel][model->buffered[one->channel]++] = one->value;
	fire(model, who, index, MODEL_SENT, -1);
	return true;
}

static bool try_case(struct model *model, int who, int index, const struct model_case *one)
{
	if (one->op == MODEL_SEND)
		return try_send(model, who, index, one);
	if (one->op == MODEL_RECEIVE)
		return try_receive(model, who, index, one->channel);
	if (one->op != MODEL_AFTER || one->at > model->now)
		return false;
	fire(model, who, index, MODEL_TIMEOUT, -1);
	return true;
}

static void act_select(struct model *model, int who)
{
	const struct model_select *select = model_next(model, who);

	model->done[who]++;
	for (int i = 0; i < select->count; i++) {
		if (try_case(model, who, i, &select->cases[i]))
			return;
	}
	for (int i = 0; i < select->count; i++) {
		if (select->cases[i].op == MODEL_DEFAULT) {
			fire(model, who, i, MODEL_DEFAULTED, -1);
			return;
		}
	}
	model->waiting[who] = true;
	model->since[who] = ++model->clock;
}

static void act_close(struct model *model, int channel)
{
	if (model->closed[channel])
		return;
	model->closed[channel] = true;
	for (;;) {
		int sender, receiver, send_at = 0, receive_at = 0, who, at;
		bool sends = oldest(model, MODEL_SEND, channel, &sender, &send_at);
		bool receives = oldest(model, MODEL_RECEIVE, channel, &receiver, &receive_at);

		if (!sends && !receives)
			return;
		if (!receives || (sends && model->since[sender] < model->since[receiver]) ||
			(sends && sender == receiver && send_at < receive_at)) {
			who = sender;
			at = send_at;
		} else {
			who = receiver;
			at = receive_at;
		}
		fire(model, who, at, MODEL_CLOSED, -1);
	}
}

/* Of all times that are due the earliest first; then who waits longest; then its first case. */
static void act_tick(struct model *model, int now)
{
	model->now = now;
	for (;;) {
		int best = -1, best_at = 0, best_index = 0;

		for (int player = 0; player < model->program->players; player++) {
			for (int i = 0; model->waiting[player] && i < of(model, player)->count;
				i++) {
				const struct model_case *one = &of(model, player)->cases[i];

				if (one->op != MODEL_AFTER || one->at > now)
					continue;
				if (best >= 0 &&
					(one->at > best_at ||
						(one->at == best_at && model->since[player] >=
									       model->since[best])))
					continue;
				best = player;
				best_at = one->at;
				best_index = i;
			}
		}
		if (best < 0)
			return;
		fire(model, best, best_index, MODEL_TIMEOUT, -1);
	}
}

void model_act(struct model *model, int who)
{
	model->fire_count = 0;
	if (who < model->program->players) {
		act_select(model, who);
		return;
	}
	if (model->program->world[model->world_done].close >= 0)
		act_close(model, model->program->world[model->world_done].close);
	else
		act_tick(model, model->program->world[model->world_done].now);
	model->world_done++;
}
