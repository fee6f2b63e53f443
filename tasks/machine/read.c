/*
 * Reading what is active, without the lock.
 */
#include "internal.h"

bool tmgr__machine_knows(const struct tmgr_machine *machine, const unsigned *states)
{
	if (!states)
		return false;
	while (*states != TMGR_STATES_END && *states < machine->schema->count)
		states++;
	return *states == TMGR_STATES_END;
}

bool tmgr_machine_is(const struct tmgr_machine *machine, unsigned state)
{
	return machine && state < machine->schema->count &&
	       (tmgr__machine_tick(machine, state) & 1);
}

/* The first whose activity is so, at one moment. */
static unsigned first_that(
	const struct tmgr_machine *machine, const unsigned *states, uint64_t active)
{
	const unsigned *at;
	uint32_t sequence;

	do {
		sequence = tmgr__machine_read_begin(machine);
		for (at = states; *at != TMGR_STATES_END; at++) {
			if ((tmgr__machine_tick(machine, *at) & 1) == active)
				break;
		}
	} while (tmgr__machine_read_again(machine, sequence));
	return *at;
}

bool tmgr_machine_has(const struct tmgr_machine *machine, const unsigned *states)
{
	return machine && tmgr__machine_knows(machine, states);
}

bool tmgr_machine_all(const struct tmgr_machine *machine, const unsigned *states)
{
	return tmgr_machine_has(machine, states) &&
	       first_that(machine, states, 0) == TMGR_STATES_END;
}

bool tmgr_machine_any(const struct tmgr_machine *machine, const unsigned *states)
{
	return tmgr_machine_has(machine, states) &&
	       first_that(machine, states, 1) != TMGR_STATES_END;
}

bool tmgr_machine_not(const struct tmgr_machine *machine, const unsigned *states)
{
	return tmgr_machine_has(machine, states) &&
	       first_that(machine, states, 1) == TMGR_STATES_END;
}

unsigned tmgr_machine_switch(const struct tmgr_machine *machine, const unsigned *states)
{
	if (!tmgr_machine_has(machine, states))
		return TMGR_STATES_END;
	return first_that(machine, states, 1);
}

size_t tmgr_machine_active(const struct tmgr_machine *machine, unsigned *buffer, size_t count)
{
	uint32_t sequence;
	size_t active;

	if (!machine)
		return 0;
	do {
		sequence = tmgr__machine_read_begin(machine);
		active = __atomic_load_n(&machine->active_count, __ATOMIC_ACQUIRE);
		for (size_t i = 0; buffer && i < active && i < count; i++)
			buffer[i] = __atomic_load_n(&machine->active.list[i], __ATOMIC_ACQUIRE);
	} while (tmgr__machine_read_again(machine, sequence));
	return active;
}

uint64_t tmgr_machine_tick(const struct tmgr_machine *machine, unsigned state)
{
	if (!machine || state >= machine->schema->count)
		return 0;
	return tmgr__machine_tick(machine, state);
}

/* Of these states, or all; ticks may be NULL. */
static uint64_t read_ticks(
	const struct tmgr_machine *machine, const unsigned *states, uint64_t *ticks)
{
	uint32_t sequence;
	uint64_t sum;

	do {
		sequence = tmgr__machine_read_begin(machine);
		sum = 0;
		for (unsigned i = 0;
			states ? states[i] != TMGR_STATES_END : i < machine->schema->count; i++) {
			uint64_t tick = tmgr__machine_tick(machine, states ? states[i] : i);

			if (ticks)
				ticks[i] = tick;
			sum += tick;
		}
	} while (tmgr__machine_read_again(machine, sequence));
	return sum;
}

uint64_t tmgr_machine_ticks(
	const struct tmgr_machine *machine, const unsigned *states, uint64_t *ret_ticks)
{
	if (!machine || !ret_ticks || (states && !tmgr__machine_knows(machine, states)))
		return 0;
	return read_ticks(machine, states, ret_ticks);
}

uint64_t tmgr_machine_tick_sum(const struct tmgr_machine *machine, const unsigned *states)
{
	if (!machine || (states && !tmgr__machine_knows(machine, states)))
		return 0;
	return read_ticks(machine, states, NULL);
}

bool tmgr_ticks_equal(const uint64_t *one, const uint64_t *other, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (one[i] != other[i])
			return false;
	}
	return true;
}

bool tmgr_ticks_after(const uint64_t *one, const uint64_t *other, size_t count)
{
	bool more = false;

	for (size_t i = 0; i < count; i++) {
		if (one[i] < other[i])
			return false;
		more |= one[i] > other[i];
	}
	return more;
}

struct tmgr_state_context tmgr_machine_state_context(
	const struct tmgr_machine *machine, unsigned state)
{
	if (!machine || state >= machine->schema->count)
		return (struct tmgr_state_context){ NULL, 0 };
	return (struct tmgr_state_context){ &machine->ticks[state],
		tmgr__machine_tick(machine, state) };
}
