/*
 * One transition: resolve, negotiate, switch, finalize. By the drainer, and nothing is allocated.
 */
#include "internal.h"

/* ---- What is called ------------------------------------------------------------------------- */

static void call_states(struct tmgr_machine *machine, const unsigned *states)
{
	tmgr__states_clear(&machine->called, machine->schema->words);
	for (; *states != TMGR_STATES_END; states++)
		tmgr__states_append(&machine->called, *states);
}

/* A toggle is one or the other when its turn has come. */
static enum tmgr_mutation_kind kind_of(
	const struct tmgr_machine *machine, enum tmgr_mutation_kind kind)
{
	if (kind != TMGR_MUTATION_TOGGLE)
		return kind;
	return tmgr__bits_within(machine->called.set, machine->active.set, machine->schema->words)
		       ? TMGR_MUTATION_REMOVE
		       : TMGR_MUTATION_ADD;
}

/* ---- What moves ----------------------------------------------------------------------------- */

static void find_enters(struct tmgr_machine *machine)
{
	const struct tmgr_schema *schema = machine->schema;
	const struct tmgr__states *target = &machine->target;
	struct tmgr__states *enters = &machine->enters;

	enters->count = 0;
	for (size_t i = 0; i < target->count; i++) {
		unsigned state = target->list[i];

		if (!tmgr__bits_has(machine->active.set, state) ||
			(schema->flags[state] & TMGR__STATE_MULTI &&
				tmgr__bits_has(machine->called.set, state)))
			enters->list[enters->count++] = state;
	}
}

static void find_exits(struct tmgr_machine *machine)
{
	const struct tmgr_schema *schema = machine->schema;
	const struct tmgr__states *active = &machine->active;
	struct tmgr__states *exits = &machine->exits;

	exits->count = 0;
	for (size_t i = 0; i < active->count; i++) {
		unsigned state = active->list[i];

		if (!tmgr__bits_has(machine->target.set, state))
			exits->list[exits->count++] = state;
	}
	if (exits->count < 2)
		return;
	/* What is not in the target, of what is active. */
	for (size_t i = 0; i < schema->words; i++)
		exits->set[i] = active->set[i] & ~machine->target.set[i];
	tmgr__resolve_sort(schema, &machine->scratch, exits);
}

static void find_moves(struct tmgr_machine *machine, struct tmgr_machine_transition *transition)
{
	find_enters(machine);
	find_exits(machine);
	transition->target_count = machine->target.count;
	transition->exit_count = machine->exits.count;
	transition->enter_count = machine->enters.count;
}

/* ---- The switch ----------------------------------------------------------------------------- */

static void move_tick(struct tmgr_machine *machine, unsigned state, uint64_t by)
{
	__atomic_store_n(&machine->ticks[state], machine->ticks[state] + by, __ATOMIC_RELEASE);
}

/* Others see all of what is written between these two, or nothing. */
static void write_begin(struct tmgr_machine *machine)
{
	__atomic_store_n(&machine->sequence, machine->sequence + 1, __ATOMIC_RELAXED);
}

static void write_end(struct tmgr_machine *machine)
{
	__atomic_store_n(&machine->sequence, machine->sequence + 1, __ATOMIC_RELEASE);
}

static void set_active(struct tmgr_machine *machine, size_t at, unsigned state)
{
	__atomic_store_n(&machine->active.list[at], state, __ATOMIC_RELEASE);
}

static void set_active_count(struct tmgr_machine *machine, size_t count)
{
	machine->active.count = count;
	__atomic_store_n(&machine->active_count, (uint32_t)count, __ATOMIC_RELEASE);
}

static void commit(struct tmgr_machine *machine)
{
	write_begin(machine);
	for (size_t i = 0; i < machine->exits.count; i++)
		move_tick(machine, machine->exits.list[i], 1);
	for (size_t i = 0; i < machine->enters.count; i++) {
		unsigned state = machine->enters.list[i];

		move_tick(machine, state, tmgr__bits_has(machine->active.set, state) ? 2 : 1);
	}
	for (size_t i = 0; i < machine->target.count; i++)
		set_active(machine, i, machine->target.list[i]);
	set_active_count(machine, machine->target.count);
	tmgr__bits_copy(machine->active.set, machine->target.set, machine->schema->words);
	write_end(machine);
}

void tmgr__transition_take_back(struct tmgr_machine *machine, size_t first)
{
	unsigned exception = tmgr__schema_exception(machine->schema);
	size_t kept = 0;

	write_begin(machine);
	for (size_t i = first; i < machine->enters.count; i++) {
		unsigned state = machine->enters.list[i];

		if (state == exception)
			continue;
		move_tick(machine, state, 1);
		tmgr__bits_remove(machine->active.set, state);
	}
	for (size_t i = 0; i < machine->active.count; i++) {
		unsigned state = machine->active.list[i];

		if (tmgr__bits_has(machine->active.set, state))
			set_active(machine, kept++, state);
	}
	set_active_count(machine, kept);
	write_end(machine);
}

void tmgr__transition_import(
	struct tmgr_machine *machine, const uint64_t *ticks, const unsigned *active, size_t count)
{
	machine->exits.count = machine->enters.count = 0;
	write_begin(machine);
	for (unsigned state = 0; state < machine->schema->count; state++) {
		struct tmgr__states *moved = ticks[state] & 1 ? &machine->enters : &machine->exits;

		if (machine->ticks[state] == ticks[state])
			continue;
		moved->list[moved->count++] = state;
		move_tick(machine, state, ticks[state] - machine->ticks[state]);
	}
	tmgr__bits_clear(machine->active.set, machine->schema->words);
	for (size_t i = 0; i < count; i++) {
		tmgr__bits_add(machine->active.set, active[i]);
		set_active(machine, i, active[i]);
	}
	set_active_count(machine, count);
	write_end(machine);
	machine->arguments = NULL;
	machine->has_changed = true;
}

/* ---- All of it ------------------------------------------------------------------------------ */

static void begin(struct tmgr_machine *machine, const struct tmgr__asked *asked,
	struct tmgr_machine_transition *transition)
{
	*transition = (struct tmgr_machine_transition){
		.machine = machine,
		.schema = machine->schema,
		.number = machine->transitions + 1,
		.ticket = asked->ticket,
		.kind = kind_of(machine, asked->kind),
		.origin = asked->origin,
		.dry = asked->dry,
		.called = machine->called.list,
		.called_count = machine->called.count,
		.arguments = asked->arguments,
		.error = asked->error,
		.before = machine->before,
		.before_count = machine->active.count,
		.target = machine->target.list,
		.exits = machine->exits.list,
		.enters = machine->enters.list,
		.ticks = machine->ticks,
	};
	if (!asked->dry)
		__atomic_store_n(&machine->transitions, transition->number, __ATOMIC_RELAXED);
	if (asked->error)
		__atomic_store_n(&machine->errors, machine->errors + 1, __ATOMIC_RELAXED);
	/* For handlers and tracers: nobody else reads it. */
	if (machine->table_kinds != 0 || machine->tracers.count > 0)
		memcpy(machine->before, machine->active.list,
			machine->active.count * sizeof(unsigned));
	machine->failed = machine->postponed = false;
	machine->transition = transition;
}

/* An automatic mutation is resolved again, for those called who are in its target still. */
static void resolve_again(struct tmgr_machine *machine, struct tmgr_machine_transition *transition,
	const struct tmgr__resolving *resolving)
{
	struct tmgr__states *called = &machine->called;
	size_t kept = 0;

	for (size_t i = 0; i < called->count; i++) {
		if (tmgr__bits_has(machine->target.set, called->list[i]))
			called->list[kept++] = called->list[i];
		else
			tmgr__bits_remove(called->set, called->list[i]);
	}
	called->count = transition->called_count = kept;
	tmgr__resolve(resolving, &machine->scratch, &machine->target);
	find_moves(machine, transition);
}

static bool negotiate(struct tmgr_machine *machine, struct tmgr_machine_transition *transition,
	const struct tmgr__resolving *resolving)
{
	if (machine->table_kinds != 0 && !tmgr__negotiate(machine, transition))
		return false;
	if (resolving->automatic)
		resolve_again(machine, transition, resolving);
	return true;
}

/* Switch, and call the final handlers. */
static bool execute(struct tmgr_machine *machine, struct tmgr_machine_transition *transition)
{
	commit(machine);
	transition->committed = true;
	machine->has_changed = machine->exits.count + machine->enters.count > 0;
	machine->arguments = transition->arguments;
	if (machine->table_kinds != 0 && !tmgr__finalize(machine, transition))
		return false;
	machine->automatic_due = machine->has_changed &&
				 machine->schema->any & TMGR__STATE_AUTOMATIC &&
				 transition->origin != TMGR_ORIGIN_AUTOMATIC;
	return true;
}

static void count_end(
	struct tmgr_machine *machine, const struct tmgr_machine_transition *transition)
{
	if (!transition->accepted)
		__atomic_store_n(&machine->cancelled, machine->cancelled + 1, __ATOMIC_RELAXED);
	if (machine->tracers.count == 0)
		return;
	if (transition->accepted)
		TMGR__TRACE(machine, transition_end, transition);
	else
		TMGR__TRACE(machine, transition_cancelled, transition);
}

int tmgr__transition(struct tmgr_machine *machine, const struct tmgr__asked *asked)
{
	struct tmgr_machine_transition transition;
	struct tmgr__resolving resolving = {
		.schema = machine->schema,
		.automatic = asked->origin == TMGR_ORIGIN_AUTOMATIC,
		.active = &machine->active,
		.called = &machine->called,
	};

	if (asked->states)
		call_states(machine, asked->states);
	begin(machine, asked, &transition);
	resolving.kind = transition.kind;
	tmgr__resolve(&resolving, &machine->scratch, &machine->target);
	transition.accepted = tmgr__resolve_accepts(&resolving, &machine->target);
	find_moves(machine, &transition);
	if (machine->tracers.count > 0) {
		transition.began = tmgr_now();
		if (!asked->dry)
			TMGR__TRACE(machine, transition_start, &transition);
	}
	if (transition.accepted)
		transition.accepted = negotiate(machine, &transition, &resolving);
	if (transition.accepted && !asked->dry)
		transition.accepted = execute(machine, &transition);
	if (!asked->dry)
		count_end(machine, &transition);
	machine->transition = NULL;
	if (machine->postponed)
		return TMGR_MUTATION_QUEUED;
	return transition.accepted ? TMGR_MUTATION_EXECUTED : TMGR_MUTATION_CANCELLED;
}

void tmgr__transition_automatic(struct tmgr_machine *machine)
{
	const struct tmgr_schema *schema = machine->schema;
	const uint64_t *active = machine->active.set;
	struct tmgr__states *called = &machine->called;

	machine->automatic_due = false;
	tmgr__states_clear(called, schema->words);
	for (size_t word = 0; word < schema->words; word++) {
		uint64_t bits = schema->automatic[word] & ~active[word];

		for (; bits != 0; bits &= bits - 1) {
			unsigned state = (unsigned)(word * TMGR__BITS) +
					 (unsigned)__builtin_ctzll(bits);

			if (!tmgr__bits_meet(tmgr__schema_set(schema, schema->removed_by, state),
				    active, schema->words))
				tmgr__states_append(called, state);
		}
	}
	if (called->count > 0)
		tmgr__transition(machine, &(struct tmgr__asked){ .origin = TMGR_ORIGIN_AUTOMATIC });
}

void tmgr__transition_failure(struct tmgr_machine *machine)
{
	unsigned states[] = { tmgr__schema_exception(machine->schema), TMGR_STATES_END };

	machine->failure_due = false;
	tmgr__transition(machine, &(struct tmgr__asked){
					  .origin = TMGR_ORIGIN_EXCEPTION,
					  .states = states,
					  .error = &machine->error,
				  });
	/* Or an automatic state whose handler always fails would be tried for ever. */
	if (machine->failure_of_automatic)
		machine->automatic_due = false;
}
