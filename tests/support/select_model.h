/*
 * Channels and select as the rules have them, in the plainest way: a reference that knows nothing of the library.
 *
 * A program is some players, each with a few selects to do one after another, and a world that closes channels and lets time pass.
 */
#ifndef TESTS_SUPPORT_SELECT_MODEL_H
#define TESTS_SUPPORT_SELECT_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_PLAYERS_MAX 3
#define MODEL_SELECTS_MAX 3
#define MODEL_CASES_MAX 3
#define MODEL_WORLD_MAX 2
#define MODEL_BUFFER_MAX 8

enum model_op { MODEL_SEND, MODEL_RECEIVE, MODEL_AFTER, MODEL_DEFAULT };
enum model_how { MODEL_SENT, MODEL_RECEIVED, MODEL_CLOSED, MODEL_TIMEOUT, MODEL_DEFAULTED };

struct model_case {
	enum model_op op;
	int channel, value, at;
};

struct model_select {
	struct model_case cases[MODEL_CASES_MAX];
	int count;
};

struct model_world {
	int close; /* a channel; -1: time moves */
	int now;
};

struct model_program {
	uint64_t seed;
	int players;
	int capacities[2];
	struct model_select selects[MODEL_PLAYERS_MAX][MODEL_SELECTS_MAX];
	int select_counts[MODEL_PLAYERS_MAX];
	struct model_world world[MODEL_WORLD_MAX];
	int world_count;
};

struct model_fire {
	int player, index;
	enum model_how how;
	int value; /* received; -1: none */
};

struct model {
	const struct model_program *program;
	int done[MODEL_PLAYERS_MAX]; /* selects begun */
	int world_done;
	bool waiting[MODEL_PLAYERS_MAX];
	long since[MODEL_PLAYERS_MAX]; /* of the select that waits: order */
	long clock;
	int now;
	bool closed[2];
	int buffers[2][MODEL_BUFFER_MAX];
	int buffered[2];
	struct model_fire fires[MODEL_PLAYERS_MAX * 2]; /* by the last act */
	int fire_count;
};

/* A small program made of a number. */
void model_make_program(struct model_program *program, uint64_t seed);
void model_begin(struct model *model, const struct model_program *program);
/* Who can act: a player by its number, the world by the number after the last. */
bool model_can_act(const struct model *model, int who);
const struct model_select *model_next(const struct model *model, int who);
const struct model_world *model_next_of_world(const struct model *model, int who);
void model_act(struct model *model, int who);
bool model_blocked(const struct model *model, int player);

#endif
