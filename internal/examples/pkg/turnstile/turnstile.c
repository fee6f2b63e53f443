#include "turnstile.h"

#include "internal/examples/pkg/turnstile/turnstile_machine.h"

/* What happens is over as soon as it has happened. */
static void coin_state(void *self, struct tmgr_machine_event *event)
{
	struct turnstile *turnstile = self;

	turnstile->coins++;
	turnstile_remove_coin(event->machine, NULL);
}

/* Leaving is all it takes: Locked is automatic. */
static void push_state(void *self, struct tmgr_machine_event *event)
{
	struct turnstile *turnstile = self;

	turnstile->passed++;
	tmgr_machine_change(event->machine, TMGR_MUTATION_REMOVE,
		TMGR_STATES(TURNSTILE_PUSH, TURNSTILE_UNLOCKED), NULL);
}

static const struct tmgr_state_handlers rows[TURNSTILE__STATES] = {
	[TURNSTILE_COIN] = { .state = coin_state },
	[TURNSTILE_PUSH] = { .state = push_state },
};

static const struct tmgr_machine_handlers handlers = {
	.states = rows,
	.state_count = TURNSTILE__STATES,
};

int turnstile_init(struct turnstile *turnstile)
{
	struct tmgr_schema *schema;
	int r = turnstile_compile(&schema);

	if (r < 0)
		return r;
	*turnstile = (struct turnstile){ .coins = 0 };
	r = tmgr_machine_create(schema, NULL, &turnstile->machine);
	tmgr_schema_unref(schema);
	if (r == 0)
		r = tmgr_machine_bind(turnstile->machine, &handlers, turnstile);
	if (r < 0)
		turnstile_fini(turnstile);
	else
		turnstile_add_locked(turnstile->machine, NULL);
	return r;
}

void turnstile_fini(struct turnstile *turnstile)
{
	tmgr_machine_unref(turnstile->machine);
	turnstile->machine = NULL;
}

void turnstile_coin(struct turnstile *turnstile)
{
	turnstile_add_coin(turnstile->machine, NULL);
}

bool turnstile_push(struct turnstile *turnstile)
{
	return turnstile_add_push(turnstile->machine, NULL) == TMGR_MUTATION_EXECUTED;
}
