/*
 * A tracer that writes lines.
 */
#include <errno.h>

#include "internal.h"

#include "taskmgr/base/text.h"

#define LINE_SIZE 512

/* Each with this before it. */
static void add_states(struct tmgr__text *text, const struct tmgr_schema *schema,
	const char *before, const unsigned *states, size_t count)
{
	for (size_t i = 0; i < count; i++)
		tmgr__text_format(text, " %s%s", before, schema->names[states[i]]);
}

static void begin_line(struct tmgr__text *text, char *line, struct tmgr_machine *machine)
{
	tmgr__text_init(text, line, LINE_SIZE);
	tmgr__text_add_escaped(text, tmgr_machine_name(machine));
	tmgr__text_add(text, ":");
}

static void add_mutation(struct tmgr__text *text, const struct tmgr_machine_transition *transition)
{
	static const char *const origins[] = {
		[TMGR_ORIGIN_CALL] = "",
		[TMGR_ORIGIN_AUTOMATIC] = "automatic ",
		[TMGR_ORIGIN_EXCEPTION] = "exception ",
		[TMGR_ORIGIN_TIMEOUT] = "timeout ",
	};

	tmgr__text_format(
		text, " %s%s", origins[transition->origin], tmgr_mutation_name(transition->kind));
	add_states(text, transition->schema, "", transition->called, transition->called_count);
}

static void log_start(void *self, const struct tmgr_machine_transition *transition)
{
	const struct tmgr_machine_log *log = self;
	struct tmgr__text text;
	char line[LINE_SIZE];

	if (log->level < TMGR_MACHINE_LOG_MUTATIONS)
		return;
	begin_line(&text, line, transition->machine);
	add_mutation(&text, transition);
	log->write(log->self, line);
}

static void log_end(void *self, const struct tmgr_machine_transition *transition)
{
	const struct tmgr_machine_log *log = self;
	struct tmgr__text text;
	char line[LINE_SIZE];

	begin_line(&text, line, transition->machine);
	add_states(&text, transition->schema, "-", transition->exits, transition->exit_count);
	add_states(&text, transition->schema, "+", transition->enters, transition->enter_count);
	if (transition->error) {
		tmgr__text_format(&text, ": %s: ", tmgr_strerror(transition->error->code));
		tmgr__text_add_escaped(&text, transition->error->text);
	}
	if (transition->exit_count + transition->enter_count > 0 || transition->error)
		log->write(log->self, line);
}

static void log_cancelled(void *self, const struct tmgr_machine_transition *transition)
{
	const struct tmgr_machine_log *log = self;
	struct tmgr__text text;
	char line[LINE_SIZE];

	if (log->level < TMGR_MACHINE_LOG_MUTATIONS && !transition->error)
		return;
	begin_line(&text, line, transition->machine);
	tmgr__text_add(&text, " cancelled:");
	add_mutation(&text, transition);
	if (transition->error) {
		tmgr__text_format(&text, ": %s: ", tmgr_strerror(transition->error->code));
		tmgr__text_add_escaped(&text, transition->error->text);
	}
	log->write(log->self, line);
}

static void log_queued(
	void *self, struct tmgr_machine *machine, const struct tmgr_machine_queued *queued)
{
	const struct tmgr_machine_log *log = self;
	struct tmgr__text text;
	char line[LINE_SIZE];

	if (log->level < TMGR_MACHINE_LOG_MUTATIONS)
		return;
	begin_line(&text, line, machine);
	tmgr__text_format(&text, " queued: %s", tmgr_mutation_name(queued->kind));
	add_states(&text, machine->schema, "", queued->called, queued->called_count);
	log->write(log->self, line);
}

static void log_handler(
	void *self, const struct tmgr_machine_event *event, bool accepted, int64_t ns, bool slow)
{
	const struct tmgr_machine_log *log = self;
	const struct tmgr_schema *schema = event->machine->schema;
	struct tmgr__text text;
	char line[LINE_SIZE];

	if (log->level < TMGR_MACHINE_LOG_HANDLERS && !slow)
		return;
	begin_line(&text, line, event->machine);
	tmgr__text_format(&text, " %s%s%s%s%s: %s, %lld us%s", tmgr_handler_name(event->kind),
		event->state < schema->count ? " " : "",
		tmgr_schema_state_name(schema, event->state),
		event->other < schema->count ? " " : "",
		tmgr_schema_state_name(schema, event->other), accepted ? "accepted" : "refused",
		(long long)(ns / TMGR_MICROSECOND), slow ? ", slow" : "");
	log->write(log->self, line);
}

static const struct tmgr_machine_tracer log_tracer = {
	.transition_start = log_start,
	.transition_end = log_end,
	.transition_cancelled = log_cancelled,
	.mutation_queued = log_queued,
	.handler_end = log_handler,
};

int tmgr_machine_log(struct tmgr_machine *machine, struct tmgr_machine_log *log,
	enum tmgr_machine_log_level level, void (*write)(void *self, const char *line), void *self)
{
	if (!machine || !log || !write || (unsigned)level > TMGR_MACHINE_LOG_HANDLERS)
		return -EINVAL;
	*log = (struct tmgr_machine_log){ level, write, self };
	return tmgr_machine_trace(machine, &log_tracer, log);
}

int tmgr_machine_log_end(struct tmgr_machine *machine, struct tmgr_machine_log *log)
{
	if (!machine || !log)
		return -EINVAL;
	return tmgr_machine_untrace(machine, &log_tracer, log);
}
