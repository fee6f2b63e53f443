#include <inttypes.h>

#include <taskmgr/error.h>
#include <taskmgr/tasks/machine_telemetry.h>

#include "telemetry_text.h"

static const char *const results[TMGR_STEP_RESULTS] = {
	[TMGR_STEP_EXECUTED] = "executed",
	[TMGR_STEP_CANCELLED] = "cancelled",
	[TMGR_STEP_FAILED] = "failed",
};

static const char *const origins[] = {
	[TMGR_ORIGIN_CALL] = "call",
	[TMGR_ORIGIN_AUTOMATIC] = "automatic",
	[TMGR_ORIGIN_EXCEPTION] = "exception",
	[TMGR_ORIGIN_TIMEOUT] = "timeout",
};

static const char *name_of(const struct tmgr_machine_step *step, unsigned state)
{
	return step->machine->names[state];
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void add_list(struct tmgr__text *text, const char *key, const struct tmgr_machine_step *step,
	const struct tmgr_step_states *states)
{
	tmgr__text_format(text, ",\"%s\":[", key);
	for (size_t i = 0; i < states->count; i++) {
		if (i > 0)
			tmgr__text_add(text, ",");
		tmgr__text_add_json(text, name_of(step, states->items[i]));
	}
	tmgr__text_add(text, "]");
}

/* States and their ticks: what was refused has not moved them. */
static void add_moved(struct tmgr__text *text, const char *key,
	const struct tmgr_machine_step *step, const struct tmgr_step_states *states,
	const uint64_t *ticks)
{
	size_t count = step->result == TMGR_STEP_CANCELLED ? 0 : states->count;

	tmgr__text_format(text, ",\"%s\":{", key);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			tmgr__text_add(text, ",");
		tmgr__text_add_json(text, name_of(step, states->items[i]));
		tmgr__text_format(text, ":%" PRIu64, ticks[i]);
	}
	tmgr__text_add(text, "}");
}

static void add_json_error(struct tmgr__text *text, const struct tmgr_machine_step *step)
{
	const struct tmgr_machine_error *error = &step->error;

	if (error->code == 0)
		return;
	tmgr__text_format(text, ",\"error\":{\"code\":%d,\"error\":", error->code);
	tmgr__text_add_json(text, tmgr_strerror(error->code));
	if (error->handler < TMGR_HANDLER_KINDS)
		tmgr__text_format(text, ",\"handler\":\"%s\"", tmgr_handler_name(error->handler));
	if (error->state != TMGR_STATES_END) {
		tmgr__text_add(text, ",\"state\":");
		tmgr__text_add_json(text, name_of(step, error->state));
	}
	tmgr__text_add(text, ",\"text\":");
	tmgr__text_add_json(text, error->text);
	tmgr__text_add(text, "}");
}

size_t tmgr_step_json(const struct tmgr_machine_step *step, char *buffer, size_t size)
{
	struct tmgr__text text;

	tmgr__text_init(&text, buffer, size);
	if (!step)
		return 0;
	tmgr__text_add(&text, "{\"machine\":");
	tmgr__text_add_json(&text, step->machine->name);
	tmgr__text_format(&text, ",\"sequence\":%" PRIu64 ",\"number\":%" PRIu64, step->sequence,
		step->number);
	if (step->lost > 0)
		tmgr__text_format(&text, ",\"lost\":%" PRIu64, step->lost);
	if (step->time_of_day > 0) {
		tmgr__text_add(&text, ",\"time\":\"");
		tmgr__text_add_time(&text, step->time_of_day, 9);
		tmgr__text_add(&text, "\"");
	}
	tmgr__text_format(&text,
		",\"monotonic_ns\":%" PRId64 ",\"duration_ns\":%" PRId64
		",\"kind\":\"%s\",\"origin\":\"%s\",\"result\":\"%s\"",
		step->time, step->duration_ns, tmgr_mutation_name(step->kind),
		origins[step->origin], results[step->result]);
	if (step->ticket > 0)
		tmgr__text_format(&text, ",\"ticket\":%" PRIu64, step->ticket);
	add_list(&text, "called", step, &step->called);
	add_moved(&text, "left", step, &step->exits, step->exit_ticks);
	add_moved(&text, "entered", step, &step->enters, step->enter_ticks);
	add_list(&text, "active", step, &step->active);
	add_json_error(&text, step);
	tmgr__text_add(&text, "}");
	return text.length;
}

/* ---- For people ----------------------------------------------------------------------------- */

/* The largest unit that it has at least one of. */
static void add_duration(struct tmgr__text *text, int64_t ns)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = { { "s", TMGR_SECOND }, { "ms", TMGR_MILLISECOND }, { "us", TMGR_MICROSECOND },
		{ "ns", 1 } };
	size_t i = 0;

	while (ns < units[i].ns && i < 3)
		i++;
	if (i == 3)
		tmgr__text_format(text, "%" PRId64 " ns", ns);
	else
		tmgr__text_format(text, "%" PRId64 ".%" PRId64 " %s", ns / units[i].ns,
			ns % units[i].ns * 10 / units[i].ns, units[i].name);
}

static void add_states(struct tmgr__text *text, const struct tmgr_machine_step *step,
	const struct tmgr_step_states *states, const char *between)
{
	for (size_t i = 0; i < states->count; i++) {
		if (i > 0)
			tmgr__text_add(text, between);
		tmgr__text_add(text, name_of(step, states->items[i]));
	}
}

static void add_changes(struct tmgr__text *text, const struct tmgr_machine_step *step)
{
	size_t exits = step->exits.count, enters = step->enters.count;

	for (size_t i = 0; i < exits; i++)
		tmgr__text_format(text, " -%s:%" PRIu64, name_of(step, step->exits.items[i]),
			step->exit_ticks[i]);
	for (size_t i = 0; i < enters; i++)
		tmgr__text_format(text, " +%s:%" PRIu64, name_of(step, step->enters.items[i]),
			step->enter_ticks[i]);
	if (exits + enters == 0)
		tmgr__text_add(text, " nothing changes");
}

static void add_error(struct tmgr__text *text, const struct tmgr_machine_step *step)
{
	const struct tmgr_machine_error *error = &step->error;

	if (error->code == 0)
		return;
	tmgr__text_format(text, "; error: %s", tmgr_strerror(error->code));
	if (error->state != TMGR_STATES_END)
		tmgr__text_format(text, ", of %s", name_of(step, error->state));
	if (error->handler < TMGR_HANDLER_KINDS)
		tmgr__text_format(text, ", in %s", tmgr_handler_name(error->handler));
	if (error->text[0]) {
		tmgr__text_add(text, ": ");
		tmgr__text_add_escaped(text, error->text);
	}
}

size_t tmgr_step_format(const struct tmgr_machine_step *step, char *buffer, size_t size)
{
	struct tmgr__text text;

	tmgr__text_init(&text, buffer, size);
	if (!step)
		return 0;
	tmgr__text_format(&text, "%" PRIu64 " ", step->number);
	if (step->time_of_day > 0)
		tmgr__text_add_time(&text, step->time_of_day, 6);
	else
		tmgr__text_format(&text, "%" PRId64 ".%06" PRId64, step->time / TMGR_SECOND,
			step->time % TMGR_SECOND / TMGR_MICROSECOND);
	tmgr__text_format(&text, " %s ", tmgr_mutation_name(step->kind));
	add_states(&text, step, &step->called, ", ");
	if (step->origin != TMGR_ORIGIN_CALL)
		tmgr__text_format(&text, " (%s)", origins[step->origin]);
	tmgr__text_add(&text, ":");
	if (step->result != TMGR_STEP_EXECUTED)
		tmgr__text_format(&text, " %s", results[step->result]);
	if (step->result != TMGR_STEP_CANCELLED)
		add_changes(&text, step);
	tmgr__text_add(&text, "; active: ");
	add_states(&text, step, &step->active, " ");
	if (step->active.count == 0)
		tmgr__text_add(&text, "none");
	if (step->duration_ns > 0) {
		tmgr__text_add(&text, "; ");
		add_duration(&text, step->duration_ns);
	}
	add_error(&text, step);
	return text.length;
}
