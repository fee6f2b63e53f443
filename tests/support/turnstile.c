#include "turnstile.h"

#include <errno.h>

#include "taskmgr/base/check.h"

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

static const struct tmgr_state_handlers rows[TURNSTILE__STATES] = {
	[TURNSTILE_LOCKED] = { .enter = enter, .state = state },
	[TURNSTILE_UNLOCKED] = { .enter = enter, .state = state },
	[TURNSTILE_COIN] = { .enter = enter, .state = state },
};

static const struct tmgr_machine_handlers handlers = {
	.states = rows,
	.state_count = TURNSTILE__STATES,
};

struct tmgr_machine *turnstile_make(const char *name, struct handling *handling)
{
	const struct tmgr_machine_options options = { .name = name };
	struct tmgr_machine *machine;
	struct tmgr_schema *schema;

	check(turnstile_compile(&schema) == 0);
	check(tmgr_machine_create(schema, &options, &machine) == 0);
	tmgr_schema_unref(schema);
	if (handling)
		check(tmgr_machine_bind(machine, &handlers, handling) == 0);
	return machine;
}
