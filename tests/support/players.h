/*
 * The engine of durable processes played by hand: each player is a process of one goroutine, which does
 * a select, and is free again when it has fired. Channels are runtime-wide. What changes goes into a
 * store in memory after each command, and now and then the engine is thrown away and loaded again.
 */
#ifndef TESTS_SUPPORT_PLAYERS_H
#define TESTS_SUPPORT_PLAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tasks/process/engine.h"

#define PLAYERS_MAX 8

/* What one select fired. */
struct fired {
	char player[16];
	int index;
	enum tmgr_arrival arrival;
	int value; /* received; -1: none */
};

struct players {
	struct tmgr__engine *engine;
	struct tmgr_store *store;
	struct tmgr__changes changes;
	bool reload; /* after each command */
	struct fired fired[PLAYERS_MAX * 2];
	size_t fired_count; /* by the last command */
	int64_t now_ms;
};

void players_begin(struct players *players, bool reload);
void players_end(struct players *players);
void players_channel(struct players *players, const char *name, uint32_t capacity);
/* A player that is not blocked selects. */
void players_select(
	struct players *players, const char *player, const struct tmgr__case *cases, size_t count);
void players_close(struct players *players, const char *name);
void players_tick(struct players *players, int64_t now_ms);
bool players_blocked(const struct players *players, const char *player);
size_t players_blocked_count(const struct players *players);
/* What a channel's buffer has, oldest first. */
size_t players_buffer(
	const struct players *players, const char *name, int *values, size_t values_max);
/* The message of a send: a number, for the life of the program. */
struct tmgr_bytes players_value(int number);
const struct tmgr__emethod *players_method(struct players *players);

/* Everything an engine has, as text, for comparing; released with free(). */
char *engine_dump(const struct tmgr__engine *engine);

#endif
