/*
 * Calling handlers, in their order, and what becomes of one that refuses, fails or is slow.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

static const char *const names[] = {
	[TMGR_HANDLER_EXIT] = "exit",
	[TMGR_HANDLER_ENTER] = "enter",
	[TMGR_HANDLER_SELF] = "self",
	[TMGR_HANDLER_PAIR] = "pair",
	[TMGR_HANDLER_ANY_ENTER] = "any-enter",
	[TMGR_HANDLER_END] = "end",
	[TMGR_HANDLER_STATE] = "state",
	[TMGR_HANDLER_ANY_STATE] = "any-state",
};

_Static_assert(ARRAY_SIZE(names) == TMGR_HANDLER_KINDS, "every kind has a name");

const char *tmgr_handler_name(enum tmgr_handler_kind kind)
{
	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "";
}

/* ---- Failures ------------------------------------------------------------------------------- */

static bool is_exceptions(const struct tmgr_machine_transition *transition)
{
	unsigned exception = tmgr__schema_exception(transition->schema);

	return tmgr__bits_has(transition->machine->called.set, exception);
}

/* Exception is added next; but a failure while it is being added ends there. */
static void add_exception(struct tmgr_machine_event *event, int code, const char *text)
{
	struct tmgr_machine *machine = event->machine;

	if (machine->failure_due || event->transition->dry || is_exceptions(event->transition))
		return;
	machine->failure_due = true;
	machine->failure_of_automatic = event->transition->origin == TMGR_ORIGIN_AUTOMATIC;
	tmgr__lock_acquire(&machine->lock);
	machine->error = (struct tmgr_machine_error){
		.code = code,
		.handler = event->kind,
		.state = event->state,
	};
	snprintf(machine->error.text, sizeof(machine->error.text), "%s", text);
	tmgr__lock_release(&machine->lock);
}

bool tmgr_machine_fail(struct tmgr_machine_event *event, int code, const char *format, ...)
{
	char text[TMGR_MACHINE_TEXT_SIZE] = "";
	va_list arguments;

	if (!event || !event->machine || event->machine->failed)
		return false;
	if (format) {
		va_start(arguments, format);
		vsnprintf(text, sizeof(text), format, arguments);
		va_end(arguments);
	}
	event->machine->failed = true;
	add_exception(event, code < 0 ? code : -EINVAL, text);
	return false;
}

bool tmgr_machine_postpone(struct tmgr_machine_event *event)
{
	if (event && event->machine && !event->transition->dry && event->kind < TMGR_HANDLER_END &&
		event->transition->origin == TMGR_ORIGIN_CALL)
		event->machine->postponed = true;
	return false;
}

/* ---- One handler ---------------------------------------------------------------------------- */

typedef bool negotiating(void *self, struct tmgr_machine_event *event);
typedef void finalizing(void *self, struct tmgr_machine_event *event);

/* What a table has for an event. */
struct found {
	negotiating *negotiate;
	finalizing *finalize;
};

static const struct tmgr_state_handlers *row_of(
	const struct tmgr_machine_handlers *table, unsigned state)
{
	static const struct tmgr_state_handlers none;

	return table->states && state < table->state_count ? &table->states[state] : &none;
}

static negotiating *find_pair(
	const struct tmgr_machine_handlers *table, const struct tmgr_machine_event *event)
{
	for (size_t i = 0; i < table->pair_count; i++) {
		const struct tmgr_pair_handler *pair = &table->pairs[i];

		if (pair->from == event->state && pair->to == event->other)
			return pair->function;
	}
	return NULL;
}

static struct found find(
	const struct tmgr_machine_handlers *table, const struct tmgr_machine_event *event)
{
	const struct tmgr_state_handlers *row = row_of(table, event->state);

	switch (event->kind) {
	case TMGR_HANDLER_EXIT:
		return (struct found){ .negotiate = row->exit };
	case TMGR_HANDLER_ENTER:
		return (struct found){ .negotiate = row->enter };
	case TMGR_HANDLER_SELF:
		return (struct found){ .negotiate = row->self };
	case TMGR_HANDLER_PAIR:
		return (struct found){ .negotiate = find_pair(table, event) };
	case TMGR_HANDLER_ANY_ENTER:
		return (struct found){ .negotiate = table->any_enter };
	case TMGR_HANDLER_END:
		return (struct found){ .finalize = row->end };
	case TMGR_HANDLER_STATE:
		return (struct found){ .finalize = row->state };
	case TMGR_HANDLER_ANY_STATE:
		return (struct found){ .finalize = table->any_state };
	case TMGR_HANDLER_KINDS:
		break;
	}
	return (struct found){ .negotiate = NULL };
}

static void report_slow(struct tmgr_machine_event *event, int64_t ns)
{
	struct tmgr_machine *machine = event->machine;
	const struct tmgr_schema *schema = machine->schema;
	char text[TMGR_MACHINE_TEXT_SIZE];

	__atomic_store_n(&machine->slow, machine->slow + 1, __ATOMIC_RELAXED);
	snprintf(text, sizeof(text), "%s%s%s %s took %lld ms",
		tmgr_schema_state_name(schema, event->state),
		event->kind == TMGR_HANDLER_PAIR ? "-" : "",
		tmgr_schema_state_name(schema, event->other), names[event->kind],
		(long long)(ns / TMGR_MILLISECOND));
	tmgr_log(tmgr_context_current(), TMGR_LEVEL_WARNING, "%s: slow handler: %s",
		tmgr_machine_name(machine), text);
	if (machine->slow_fails && event->kind >= TMGR_HANDLER_END)
		add_exception(event, -ETIMEDOUT, text);
}

static bool call_found(struct found found, void *self, struct tmgr_machine_event *event)
{
	if (found.negotiate)
		return found.negotiate(self, event);
	found.finalize(self, event);
	return true;
}

/* Call it, timed. */
static bool call(struct found found, void *self, struct tmgr_machine_event *event)
{
	struct tmgr_machine *machine = event->machine;
	int64_t began = 0, took = 0;
	bool accepted, slow;

	TMGR__TRACE(machine, handler_start, event);
	if (machine->slow_ns != TMGR_NEVER || machine->tracers.count > 0)
		began = tmgr_now();
	accepted = call_found(found, self, event);
	if (began != 0)
		took = tmgr_now() - began;
	slow = took > machine->slow_ns;
	if (slow)
		report_slow(event, took);
	if (slow && machine->slow_fails && found.negotiate)
		accepted = false;
	accepted = accepted && !machine->failed && !machine->postponed;
	TMGR__TRACE(machine, handler_end, event, accepted, took, slow);
	return accepted;
}

/* Of all tables, in order of binding. */
static bool call_all(struct tmgr_machine *machine, struct tmgr_machine_event *event)
{
	/* A handler may bind and unbind. */
	for (uint32_t i = 0; i < machine->tables.count; i++) {
		struct tmgr__binding binding = machine->tables.items[i];
		struct found found;

		if (!binding.ops)
			continue;
		found = find(binding.ops, event);
		if ((found.negotiate || found.finalize) && !call(found, binding.self, event))
			return false;
	}
	return true;
}

/* ---- All of them ---------------------------------------------------------------------------- */

static bool has_kind(const struct tmgr_machine *machine, enum tmgr_handler_kind kind)
{
	return machine->table_kinds & BIT(kind);
}

static struct tmgr_machine_event event_of(struct tmgr_machine_transition *transition,
	enum tmgr_handler_kind kind, unsigned state, unsigned other)
{
	return (struct tmgr_machine_event){
		.machine = transition->machine,
		.transition = transition,
		.kind = kind,
		.state = state,
		.other = other,
	};
}

static bool notify(struct tmgr_machine_transition *transition, enum tmgr_handler_kind kind,
	unsigned state, unsigned other)
{
	struct tmgr_machine_event event = event_of(transition, kind, state, other);

	return call_all(transition->machine, &event);
}

static void drop_target(struct tmgr_machine_transition *transition, unsigned state)
{
	struct tmgr__states *target = &transition->machine->target;
	size_t kept = 0;

	for (size_t i = 0; i < target->count; i++) {
		if (target->list[i] != state)
			target->list[kept++] = target->list[i];
	}
	tmgr__bits_remove(target->set, state);
	target->count = transition->target_count = kept;
}

/* An automatic mutation goes on without an automatic state that was refused. */
static bool goes_on(struct tmgr_machine_transition *transition, unsigned state)
{
	struct tmgr_machine *machine = transition->machine;

	if (transition->origin != TMGR_ORIGIN_AUTOMATIC || machine->failed ||
		!(machine->schema->flags[state] & TMGR__STATE_AUTOMATIC))
		return false;
	drop_target(transition, state);
	return true;
}

static bool ask_exits(struct tmgr_machine_transition *transition)
{
	for (size_t i = 0; i < transition->exit_count; i++) {
		if (!notify(transition, TMGR_HANDLER_EXIT, transition->exits[i], TMGR_STATES_END))
			return false;
	}
	return true;
}

static bool ask_enters(struct tmgr_machine_transition *transition)
{
	for (size_t i = 0; i < transition->enter_count; i++) {
		unsigned state = transition->enters[i];

		if (!notify(transition, TMGR_HANDLER_ENTER, state, TMGR_STATES_END) &&
			!goes_on(transition, state))
			return false;
	}
	return true;
}

static bool ask_selves(struct tmgr_machine_transition *transition)
{
	const uint64_t *active = transition->machine->active.set;

	if (transition->kind == TMGR_MUTATION_REMOVE)
		return true;
	for (size_t i = 0; i < transition->target_count;) {
		unsigned state = transition->target[i];

		if (!tmgr__bits_has(active, state) ||
			notify(transition, TMGR_HANDLER_SELF, state, state))
			i++;
		else if (!goes_on(transition, state))
			return false;
	}
	return true;
}

static bool ask_pairs_from(struct tmgr_machine_transition *transition, unsigned from)
{
	for (size_t i = 0; i < transition->target_count;) {
		unsigned to = transition->target[i];

		if (from == to || notify(transition, TMGR_HANDLER_PAIR, from, to))
			i++;
		else if (!goes_on(transition, to))
			return false;
	}
	return true;
}

static bool ask_pairs(struct tmgr_machine_transition *transition)
{
	for (size_t i = 0; i < transition->before_count; i++) {
		if (!ask_pairs_from(transition, transition->before[i]))
			return false;
	}
	return true;
}

bool tmgr__negotiate(struct tmgr_machine *machine, struct tmgr_machine_transition *transition)
{
	if (has_kind(machine, TMGR_HANDLER_EXIT) && !ask_exits(transition))
		return false;
	if (has_kind(machine, TMGR_HANDLER_ENTER) && !ask_enters(transition))
		return false;
	if (has_kind(machine, TMGR_HANDLER_SELF) && !ask_selves(transition))
		return false;
	if (has_kind(machine, TMGR_HANDLER_PAIR) && !ask_pairs(transition))
		return false;
	return !has_kind(machine, TMGR_HANDLER_ANY_ENTER) ||
	       notify(transition, TMGR_HANDLER_ANY_ENTER, TMGR_STATES_END, TMGR_STATES_END);
}

bool tmgr__finalize(struct tmgr_machine *machine, struct tmgr_machine_transition *transition)
{
	for (size_t i = 0; has_kind(machine, TMGR_HANDLER_END) && i < transition->exit_count; i++) {
		if (!notify(transition, TMGR_HANDLER_END, transition->exits[i], TMGR_STATES_END))
			return false;
	}
	for (size_t i = 0; has_kind(machine, TMGR_HANDLER_STATE) && i < transition->enter_count;
		i++) {
		if (!notify(transition, TMGR_HANDLER_STATE, transition->enters[i],
			    TMGR_STATES_END)) {
			tmgr__transition_take_back(machine, i);
			return false;
		}
	}
	return !has_kind(machine, TMGR_HANDLER_ANY_STATE) ||
	       notify(transition, TMGR_HANDLER_ANY_STATE, TMGR_STATES_END, TMGR_STATES_END);
}

/* ---- Arguments ------------------------------------------------------------------------------ */

const struct tmgr_argument *tmgr_machine_argument(
	const struct tmgr_machine_event *event, const char *name)
{
	const struct tmgr_arguments *arguments;

	if (!event || !event->transition || !name)
		return NULL;
	arguments = event->transition->arguments;
	for (size_t i = 0; arguments && i < arguments->count; i++) {
		if (arguments->items[i].name && strcmp(arguments->items[i].name, name) == 0)
			return &arguments->items[i];
	}
	return NULL;
}

int64_t tmgr_machine_number(
	const struct tmgr_machine_event *event, const char *name, int64_t otherwise)
{
	const struct tmgr_argument *argument = tmgr_machine_argument(event, name);

	return argument && argument->kind == TMGR_ARGUMENT_NUMBER ? argument->number : otherwise;
}

const char *tmgr_machine_text(const struct tmgr_machine_event *event, const char *name)
{
	const struct tmgr_argument *argument = tmgr_machine_argument(event, name);

	return argument && argument->kind == TMGR_ARGUMENT_TEXT ? argument->text : NULL;
}

void *tmgr_machine_pointer(const struct tmgr_machine_event *event, const char *name)
{
	const struct tmgr_argument *argument = tmgr_machine_argument(event, name);

	return argument && argument->kind == TMGR_ARGUMENT_POINTER ? argument->pointer : NULL;
}
