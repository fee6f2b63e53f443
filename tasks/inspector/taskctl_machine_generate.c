#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "taskctl_machine_generate.h"

static const char usage[] = "taskctl machine generate [-o BASE] FILE";

void taskctl_c_names(struct c_names *names, const struct states_file *file, const char *state)
{
	states_c_name(names->machine, file->machine.text);
	states_c_name(names->state, state);
	for (size_t i = 0; i < sizeof(names->upper_machine); i++)
		names->upper_machine[i] = (char)toupper((unsigned char)names->machine[i]);
	for (size_t i = 0; i < sizeof(names->upper_state); i++)
		names->upper_state[i] = (char)toupper((unsigned char)names->state[i]);
}

/* ---- The source ----------------------------------------------------------------------------- */

/* A list of states, broken between names where a line becomes too long. */
static void write_list(FILE *out, const struct states_file *file, const struct states_list *list,
	const char *indent, size_t column)
{
	for (size_t i = 0; i < list->targets.count; i++) {
		size_t state = list->targets.at[i].state, length;
		struct c_names names;

		taskctl_c_names(&names, file, states_state_name(file, state));
		length = strlen(names.upper_machine) + 1 + strlen(names.upper_state) + 1;
		if (i > 0 && column + 1 + length > 96) {
			fprintf(out, ",\n%s", indent);
			column = 8 * strlen(indent);
		} else if (i > 0) {
			fputs(", ", out);
			column += 2;
		}
		fprintf(out, "%s_%s", names.upper_machine, names.upper_state);
		column += length;
	}
}

static void write_relation(
	FILE *out, const struct states_file *file, const char *name, const struct states_list *list)
{
	if (list->targets.count == 0)
		return;
	fprintf(out, "\t\t.%s = TMGR_STATES(", name);
	write_list(out, file, list, "\t\t\t", 16 + strlen(name) + 16);
	fputs("),\n", out);
}

static void write_timeout(
	FILE *out, const struct states_file *file, const struct states_state *state)
{
	static const char *const kinds[] = {
		[TMGR_MUTATION_ADD] = "TMGR_MUTATION_ADD",
		[TMGR_MUTATION_REMOVE] = "TMGR_MUTATION_REMOVE",
		[TMGR_MUTATION_SET] = "TMGR_MUTATION_SET",
		[TMGR_MUTATION_TOGGLE] = "TMGR_MUTATION_TOGGLE",
	};

	if (!state->timeout_at.text)
		return;
	fprintf(out, "\t\t.timeout.ns = INT64_C(%" PRId64 "),\n", state->timeout_ns);
	if (state->timeout.targets.count == 0)
		return;
	fprintf(out, "\t\t.timeout.kind = %s,\n", kinds[state->timeout_kind]);
	write_relation(out, file, "timeout.states", &state->timeout);
}

static void write_row(FILE *out, const struct states_file *file, size_t number)
{
	const struct states_state *state = &file->states[number];
	struct c_names names;

	taskctl_c_names(&names, file, state->name.text);
	fprintf(out, "\t[%s_%s] = {\n\t\t.name = \"%s\",\n", names.upper_machine, names.upper_state,
		state->name.text);
	for (unsigned k = 0; k < STATES_RELATIONS; k++)
		write_relation(out, file, tmgr_relation_name(k), &state->lists[k]);
	if (state->is_auto)
		fputs("\t\t.automatic = true,\n", out);
	if (state->is_multi)
		fputs("\t\t.multi = true,\n", out);
	write_timeout(out, file, state);
	fputs("\t},\n", out);
}

static void write_table(FILE *out, const struct states_file *file, const struct c_names *names)
{
	fprintf(out, "const struct tmgr_machine_state %s_table[%zu] = {\n", names->machine,
		file->state_count);
	for (size_t i = 0; i < file->state_count; i++)
		write_row(out, file, i);
	fputs("};\n", out);
}

static void write_names(FILE *out, const struct states_file *file, const struct c_names *names)
{
	size_t count = taskctl_count_with_exception(file);

	fprintf(out, "\nconst char *const %s_names[%s__STATES] = {\n", names->machine,
		names->upper_machine);
	for (size_t i = 0; i < count; i++) {
		struct c_names of;

		taskctl_c_names(&of, file, states_state_name(file, i));
		fprintf(out, "\t[%s_%s] = \"%s\",\n", of.upper_machine, of.upper_state,
			states_state_name(file, i));
	}
	fputs("};\n", out);
}

static void write_groups(FILE *out, const struct states_file *file)
{
	for (size_t i = 0; i < file->group_count; i++) {
		const struct states_group *group = &file->groups[i];
		struct c_names names;

		taskctl_c_names(&names, file, group->name.text);
		fprintf(out, "\nconst unsigned %s_group_%s[%zu] = {\n\t", names.machine,
			names.state, group->list.targets.count + 1);
		write_list(out, file, &group->list, "\t", 8);
		fputs(",\n\tTMGR_STATES_END,\n};\n", out);
	}
}

static void write_functions(FILE *out, const struct states_file *file, const struct c_names *names)
{
	const char *machine = names->machine;

	fprintf(out,
		"\n"
		"int %s_compile(struct tmgr_schema **ret_schema)\n"
		"{\n"
		"\tconst struct tmgr_schema_options options = { .name = \"%s\" };\n"
		"\n"
		"\treturn tmgr_schema_compile(%s_table, %zu, &options, ret_schema);\n"
		"}\n"
		"\n"
		"int %s__wait(struct tmgr_context *context, struct tmgr_machine *machine, unsigned "
		"state,\n"
		"\tint active, int64_t deadline)\n"
		"{\n"
		"\tconst struct tmgr_machine_condition condition = {\n"
		"\t\t.kind = active ? TMGR_CONDITION_ACTIVE : TMGR_CONDITION_INACTIVE,\n"
		"\t\t.states = TMGR_STATES(state),\n"
		"\t};\n"
		"\n"
		"\treturn tmgr_machine_wait(context, machine, &condition, deadline);\n"
		"}\n",
		machine, file->machine.text, machine, file->state_count, machine);
}

static void write_source(FILE *out, const struct states_file *file, const char *base)
{
	struct c_names names;

	taskctl_c_names(&names, file, "");
	taskctl_write_note(out, file);
	fprintf(out, "#include \"%s.h\"\n\n", base);
	write_table(out, file, &names);
	write_names(out, file, &names);
	write_groups(out, file);
	write_functions(out, file, &names);
}

/* ---- Files ---------------------------------------------------------------------------------- */

typedef void write_function(FILE *out, const struct states_file *file, const char *base);

/* Write a file beside its place and move it there, so that a half of one is never seen. */
static int write_file(const char *base, const char *suffix, write_function *function,
	const struct states_file *file)
{
	const char *slash = strrchr(base, '/');
	char path[PATH_MAX], beside[PATH_MAX];
	bool failed;
	FILE *out;

	if (snprintf(path, sizeof(path), "%s%s", base, suffix) >= (int)sizeof(path) ||
		snprintf(beside, sizeof(beside), "%s%s.%d~", base, suffix, (int)getpid()) >=
			(int)sizeof(beside)) {
		taskctl_error("%s: %s", base, strerror(ENAMETOOLONG));
		return TASKCTL_FAILED;
	}
	out = fopen(beside, "we");
	if (!out) {
		taskctl_error("%s: %s", path, strerror(errno));
		return TASKCTL_FAILED;
	}
	function(out, file, slash ? slash + 1 : base);
	failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed || rename(beside, path) < 0) {
		taskctl_error("%s: %s", path, strerror(errno));
		unlink(beside);
		return TASKCTL_FAILED;
	}
	return TASKCTL_DONE;
}

/* FILE without ".states"; NULL: out of memory. */
static char *default_base(const char *path)
{
	static const char suffix[] = ".states";
	size_t length = strlen(path);

	if (length > strlen(suffix) && strcmp(path + length - strlen(suffix), suffix) == 0)
		length -= strlen(suffix);
	return strndup(path, length);
}

static int generate(const char *path, const char *base)
{
	struct states_file file;
	int result = TASKCTL_FAILED;
	unsigned errors;

	if (taskctl_load_states(path, &file) != TASKCTL_DONE)
		return TASKCTL_FAILED;
	if (taskctl_compile_states(path, &file, &errors) >= 0 && errors == 0)
		result = write_file(base, ".h", taskctl_write_header, &file);
	if (result == TASKCTL_DONE)
		result = write_file(base, ".c", write_source, &file);
	states_fini(&file);
	return result;
}

int taskctl_machine_generate(int argc, char **argv)
{
	static const struct option names[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *output = NULL;
	char *base;
	int option, result;

	while ((option = taskctl_option(argc, argv, "ho:", names)) >= 0)
		switch (option) {
		case 'o':
			output = optarg;
			break;
		case 'h':
			return taskctl_usage(usage);
		default:
			return taskctl_bad_usage(usage);
		}
	if (optind + 1 != argc)
		return taskctl_bad_usage(usage);
	base = output ? strdup(output) : default_base(argv[optind]);
	if (!base) {
		taskctl_error("out of memory");
		return TASKCTL_FAILED;
	}
	result = generate(argv[optind], base);
	free(base);
	return result;
}
