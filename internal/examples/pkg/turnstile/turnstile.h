/*
 * A turnstile: a coin unlocks it, who pushes goes through and locks it behind them.
 */
#ifndef TURNSTILE_TURNSTILE_H
#define TURNSTILE_TURNSTILE_H

#include <taskmgr/taskmgr.h>

struct turnstile {
	struct tmgr_machine *machine;
	unsigned coins, passed;
};

/* 0 or a negative errno; ended with turnstile_fini(). */
int turnstile_init(struct turnstile *turnstile);
void turnstile_fini(struct turnstile *turnstile);

void turnstile_coin(struct turnstile *turnstile);
/* Whether who pushes gets through. */
bool turnstile_push(struct turnstile *turnstile);

#endif
