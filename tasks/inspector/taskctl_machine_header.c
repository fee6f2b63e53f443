/*
 * The header that is generated: all that C++ has to read, too.
 */
#include "taskctl_machine_generate.h"

size_t taskctl_count_with_exception(const struct states_file *file)
{
	size_t exception = states_exception(file);

	return exception == file->state_count ? file->state_count + 1 : file->state_count;
}

void taskctl_write_note(FILE *out, const struct states_file *file)
{
	fprintf(out,
		"/*\n"
		" * The state machine %s. Written by \"taskctl machine generate\" from its states "
		"file:\n"
		" * what is changed here is lost.\n"
		" */\n",
		file->machine.text);
}

static void write_enum(FILE *out, const struct states_file *file, const struct c_names *names)
{
	size_t count = taskctl_count_with_exception(file);

	fprintf(out, "enum %s_state {\n", names->machine);
	for (size_t i = 0; i < count; i++) {
		struct c_names of;

		taskctl_c_names(&of, file, states_state_name(file, i));
		fprintf(out, "\t%s_%s,\n", of.upper_machine, of.upper_state);
	}
	fprintf(out,
		"};\n"
		"\n"
		"/*\n"
		" * How many there are, Exception included. A table of handlers has as many rows:\n"
		" *\n"
		" *\tstatic const struct tmgr_state_handlers rows[%s__STATES] = { ... };\n"
		" */\n"
		"#define %s__STATES %zu\n",
		names->upper_machine, names->upper_machine, count);
}

static void write_data(FILE *out, const struct states_file *file, const struct c_names *names)
{
	fprintf(out,
		"/* What %s_compile() compiles. */\n"
		"extern const struct tmgr_machine_state %s_table[%zu];\n"
		"\n"
		"/* The name of each state. */\n"
		"extern const char *const %s_names[%s__STATES];\n",
		names->machine, names->machine, file->state_count, names->machine,
		names->upper_machine);
	for (size_t i = 0; i < file->group_count; i++) {
		struct c_names of;

		if (i == 0)
			fputs("\n/* Groups: lists that end with TMGR_STATES_END. */\n", out);
		taskctl_c_names(&of, file, file->groups[i].name.text);
		fprintf(out, "extern const unsigned %s_group_%s[%zu];\n", of.machine, of.state,
			file->groups[i].list.targets.count + 1);
	}
}

static void write_functions(FILE *out, const struct c_names *names)
{
	fprintf(out,
		"/* Compile the table: as tmgr_schema_compile(); released with "
		"tmgr_schema_unref(). */\n"
		"int %s_compile(struct tmgr_schema **ret_schema);\n"
		"\n"
		"/* For the functions below. */\n"
		"int %s__wait(struct tmgr_context *context, struct tmgr_machine *machine, unsigned "
		"state,\n"
		"\tint active, int64_t deadline);\n",
		names->machine, names->machine);
}

/* Functions that mutate one state, or look at it. */
static void write_wrappers(FILE *out, const struct c_names *of, const char *name)
{
	static const char *const verbs[] = { "add", "remove", "set", "toggle" };
	const char *machine = of->machine, *state = of->state;
	const char *upper = of->upper_machine, *upper_state = of->upper_state;

	fprintf(out, "\n/* ---- %s ---- */\n", name);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(out,
			"\n"
			"static inline int %s_%s_%s(\n"
			"\tstruct tmgr_machine *machine, const struct tmgr_arguments *arguments)\n"
			"{\n"
			"\treturn tmgr_machine_%s(machine, %s_%s, arguments);\n"
			"}\n",
			machine, verbs[i], state, verbs[i], upper, upper_state);
	fprintf(out,
		"\n"
		"static inline bool %s_is_%s(const struct tmgr_machine *machine)\n"
		"{\n"
		"\treturn tmgr_machine_is(machine, %s_%s);\n"
		"}\n"
		"\n"
		"static inline uint64_t %s_tick_%s(const struct tmgr_machine *machine)\n"
		"{\n"
		"\treturn tmgr_machine_tick(machine, %s_%s);\n"
		"}\n",
		machine, state, upper, upper_state, machine, state, upper, upper_state);
	for (int active = 1; active >= 0; active--)
		fprintf(out,
			"\n"
			"static inline int %s_wait_%s%s(\n"
			"\tstruct tmgr_context *context, struct tmgr_machine *machine, int64_t "
			"deadline)\n"
			"{\n"
			"\treturn %s__wait(context, machine, %s_%s, %d, deadline);\n"
			"}\n",
			machine, active ? "" : "not_", state, machine, upper, upper_state, active);
}

void taskctl_write_header(FILE *out, const struct states_file *file, const char *base)
{
	struct c_names names;
	size_t count = taskctl_count_with_exception(file);

	taskctl_c_names(&names, file, "");
	taskctl_write_note(out, file);
	fprintf(out,
		"#ifndef %s__STATES_H\n"
		"#define %s__STATES_H\n"
		"\n"
		"#include <taskmgr/tasks/machine.h>\n"
		"#include <taskmgr/tasks/machine_wait.h>\n"
		"\n",
		names.upper_machine, names.upper_machine);
	write_enum(out, file, &names);
	fputs("\nTMGR_BEGIN_DECLS\n\n", out);
	write_data(out, file, &names);
	putc('\n', out);
	write_functions(out, &names);
	for (size_t i = 0; i < count; i++) {
		struct c_names of;

		taskctl_c_names(&of, file, states_state_name(file, i));
		write_wrappers(out, &of, states_state_name(file, i));
	}
	fputs("\nTMGR_END_DECLS\n\n#endif\n", out);
}
