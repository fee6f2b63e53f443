#include "tests/support/rig.h"

#include <stdio.h>
#include <string.h>

static void name_of(
	char *text, size_t size, struct rig *rig, const struct tmgr_machine_event *event)
{
	static const char *const suffixes[] = {
		[TMGR_HANDLER_EXIT] = "Exit",
		[TMGR_HANDLER_ENTER] = "Enter",
		[TMGR_HANDLER_ANY_ENTER] = "AnyEnter",
		[TMGR_HANDLER_END] = "End",
		[TMGR_HANDLER_STATE] = "State",
		[TMGR_HANDLER_ANY_STATE] = "AnyState",
	};
	const char *state = tmgr_schema_state_name(rig->schema, event->state);
	const char *other = tmgr_schema_state_name(rig->schema, event->other);

	if (event->kind == TMGR_HANDLER_SELF || event->kind == TMGR_HANDLER_PAIR)
		snprintf(text, size, "%s%s", state, other);
	else
		snprintf(text, size, "%s%s", state, suffixes[event->kind]);
}

static bool handle(void *self, struct tmgr_machine_event *event)
{
	struct rig *rig = self;
	char name[160];

	name_of(name, sizeof(name), rig, event);
	recorder_add(&rig->recorder, "%s", name);
	return !rig->act || rig->act(rig, event, name);
}

static void handle_final(void *self, struct tmgr_machine_event *event)
{
	handle(self, event);
}

static void handle_dispose(void *self, struct tmgr_machine *machine)
{
	struct rig *rig = self;

	(void)machine;
	rig->disposed++;
}

void rig_fill(struct rig *rig)
{
	size_t pairs = 0;

	for (unsigned i = 0; i < rig->count; i++) {
		rig->rows[i] = (struct tmgr_state_handlers){ handle, handle, handle, handle_final,
			handle_final };
		for (unsigned j = 0; j < rig->count; j++)
			rig->pairs[pairs++] = (struct tmgr_pair_handler){ i, j, handle };
	}
	rig->table = (struct tmgr_machine_handlers){
		.states = rig->rows,
		.state_count = rig->count,
		.pairs = rig->pairs,
		.pair_count = pairs,
		.any_enter = handle,
		.any_state = handle_final,
		.dispose = handle_dispose,
	};
}

void rig_bind(struct rig *rig)
{
	rig_fill(rig);
	assert_int_equal(tmgr_machine_bind(rig->machine, &rig->table, rig), 0);
}

void rig_make(struct rig *rig, const struct tmgr_machine_state *rows, unsigned count,
	const struct tmgr_machine_options *options)
{
	static const struct recorder empty = RECORDER_INIT;

	assert_true(count < RIG_MAX);
	rig->recorder = empty;
	rig->count = count + 1;
	if (count > 0 && strcmp(rows[count - 1].name, TMGR_EXCEPTION) == 0)
		rig->count = count;
	assert_int_equal(tmgr_schema_compile(rows, count, NULL, &rig->schema), 0);
	assert_int_equal(tmgr_machine_create(rig->schema, options, &rig->machine), 0);
	if (rig->act)
		rig_bind(rig);
}

void rig_end(struct rig *rig)
{
	tmgr_machine_unref(rig->machine);
	tmgr_schema_unref(rig->schema);
}

const char *rig_text(struct rig *rig)
{
	static char text[256];
	size_t length = tmgr_machine_format(rig->machine, TMGR_MACHINE_SHORT, text, sizeof(text));

	assert_true(length >= 2 && length < sizeof(text));
	text[length - 1] = '\0';
	return text + 1;
}

const char *rig_recorded(struct rig *rig)
{
	static char text[8192];

	snprintf(text, sizeof(text), "%s", recorder_text(&rig->recorder));
	recorder_clear(&rig->recorder);
	return text;
}

void rig_add_a(void *rig, struct tmgr_context *context)
{
	struct rig *self = rig;

	(void)context;
	self->result = tmgr_machine_add(self->machine, A, NULL);
}

static void look(void *self, struct tmgr_machine *machine)
{
	*(bool *)self = tmgr_machine_is(machine, A);
}

int rig_evaluate(struct rig *rig, struct tmgr_context *context)
{
	bool is = false;

	return tmgr_machine_evaluate(context, rig->machine, look, &is, TMGR_NEVER);
}
