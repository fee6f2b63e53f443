#include "turnstile.h"

#include <errno.h>

#include "taskmgr/base/check.h"

/* Locked and Unlocked remove each other, Coin unlocks. */
static const struct tmgr_machine_state table[TURNSTILE_STATES] = {
	[LOCKED] = { .name = "Locked", .remove = TMGR_STATES(UNLOCKED) },
	[UNLOCKED] = { .name = "Unlocked", .remove = TMGR_STATES(LOCKED) },
	[COIN] = { .name = "Coin",
		.multi = true,
		.add = TMGR_STATES(UNLOCKED),
		.remove = TMGR_STATES(LOCKED) },
};

static bool enter(void *self, struct tmgr_machine_event *event)
{
	const struct handling *handling = self;

	return event->state != handling->refuse;
}

static void state(void *self, struct tmgr_machine_event *event)
{
	const struct handling *handling = self;

	if (event->state == handling->fail)
		tmgr_machine_fail(event, -EIO, "a \"text\"\n\xff");
}

static const struct tmgr_state_handlers rows[TURNSTILE_STATES] = {
	[LOCKED] = { .enter = enter, .state = state },
	[UNLOCKED] = { .enter = enter, .state = state },
	[COIN] = { .enter = enter, .state = state },
};

static const struct tmgr_machine_handlers handlers = {
	.states = rows,
	.state_count = TURNSTILE_STATES,
};

struct tmgr_machine *turnstile_make(const char *name, struct handling *handling)
{
	const struct tmgr_machine_options options = { .name = name };
	struct tmgr_machine *machine;
	struct tmgr_schema *schema;

	check(tmgr_schema_compile(table, TURNSTILE_STATES, NULL, &schema) == 0);
	check(tmgr_machine_create(schema, &options, &machine) == 0);
	tmgr_schema_unref(schema);
	if (handling)
		check(tmgr_machine_bind(machine, &handlers, handling) == 0);
	return machine;
}
