#include "tests/support/waiters.h"

#include <errno.h>

#include "tests/support/durable.h"

/* ---- Those that wait ------------------------------------------------------------------------- */

bool waiters_fail;

int waiter_done(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_finish(process, message->value);
}

static int flaky(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (waiters_fail)
		return tmgr_process_fail(process, -EIO, "no upstream");
	return 0;
}

static int wait_for(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	switch (tmgr_process_id(process)[0]) {
	case 'r':
		return tmgr_process_receive(process, "box", waiter_done);
	case 's':
		return tmgr_process_send(process, "box", bytes_of("x"), waiter_done);
	case 'a':
		return tmgr_process_after(process, TMGR_MINUTE, waiter_done);
	case 'w':
		return tmgr_process_at(process, tmgr_process_now(process) + 5000, waiter_done);
	case 'b':
		tmgr_process_receive(process, "box", waiter_done);
		return tmgr_process_after(process, TMGR_MINUTE, waiter_done);
	case 'f':
		return tmgr_process_default(process, flaky);
	default:
		return 0;
	}
}

static int call(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_call(process,
		&(struct tmgr_process_child){ &waiter_definition, "receiver", NULL }, waiter_done);
}

const struct tmgr_process_definition waiter_definition = {
	.name = "waiter",
	.version = 1,
	.start = wait_for,
	.retry = { .attempts_max = 2 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = wait_for },
		{ .name = "Main_Done", .function = waiter_done },
		{ .name = "Main_Flaky", .function = flaky }, { 0 } },
};

const struct tmgr_process_definition caller_definition = {
	.name = "caller",
	.version = 1,
	.start = call,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Call", .function = call },
		{ .name = "Main_Done", .function = waiter_done }, { 0 } },
};

const struct tmgr_process_definition *const waiters[] = { &waiter_definition, &caller_definition,
	NULL };

/* ---- One that counts ------------------------------------------------------------------------- */

const struct tmgr_state_field thing_fields[1] = { TMGR_FIELD(struct thing, count) };

int thing_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct thing *self = state;

	self->count++;
	return tmgr_process_receive(process, "go", thing_wait);
}

const struct tmgr_process_definition thing_definition = {
	.name = "thing",
	.version = 1,
	.state = TMGR_STATE(struct thing, thing_fields),
	.start = thing_wait,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = thing_wait },
		{ 0 } },
};

const struct tmgr_process_definition *const things[] = { &thing_definition, NULL };
