#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taskctl_machine.h"
#include "taskmgr/base/check.h"

/* ---- The file itself ------------------------------------------------------------------------ */

static void print_error(const char *path, const struct states_error *error)
{
	fputs(path, stderr);
	if (error->line > 0)
		fprintf(stderr, ":%u:%u", error->line, error->column);
	fprintf(stderr, ": error: %s [%s]\n", error->text, states_fault_name(error->code));
}

int taskctl_load_states(const char *path, struct states_file *file)
{
	int r = states_load(file, path);

	if (r == 0)
		return TASKCTL_DONE;
	if (r == -EBADMSG) {
		for (size_t i = 0; i < file->error_count && i < STATES_ERRORS_MAX; i++)
			print_error(path, &file->errors[i]);
		if (file->error_count > STATES_ERRORS_MAX)
			fprintf(stderr, "%s: and %zu more errors\n", path,
				file->error_count - STATES_ERRORS_MAX);
	} else {
		taskctl_error("%s: %s", path, strerror(-r));
	}
	states_fini(file);
	return TASKCTL_FAILED;
}

/* ---- What it means: the schema's compiler --------------------------------------------------- */

struct place {
	const struct states_name *at; /* NULL: none in the file */
	struct tmgr_fault fault;
};

struct findings {
	const struct states_file *file;
	struct place *places;
	size_t count, capacity;
	bool out_of_memory;
};

/* Where a state stands in a list of another; NULL: it does not, or not by itself. */
static const struct states_name *find_target(const struct states_list *list, unsigned state)
{
	for (size_t i = 0; i < list->targets.count; i++)
		if (list->targets.at[i].state == state)
			return &list->targets.at[i].name;
	return NULL;
}

static const struct states_name *find_place(
	const struct states_file *file, const struct tmgr_fault *fault)
{
	const struct states_state *state;
	const struct states_name *at = NULL;

	if (fault->state >= file->state_count)
		return NULL;
	state = &file->states[fault->state];
	if (fault->code == TMGR_FAULT_TIMEOUT)
		return &state->timeout_at;
	if (fault->relation < STATES_RELATIONS)
		at = find_target(&state->lists[fault->relation], fault->other);
	return at ? at : &state->name;
}

static void find(void *self, const struct tmgr_fault *fault)
{
	struct findings *findings = self;

	if (findings->count == findings->capacity) {
		size_t capacity = findings->capacity ? 2 * findings->capacity : 16;
		void *grown = realloc(findings->places, capacity * sizeof(*findings->places));

		if (!grown) {
			findings->out_of_memory = true;
			return;
		}
		findings->places = grown;
		findings->capacity = capacity;
	}
	findings->places[findings->count++] = (struct place){ find_place(findings->file, fault),
		*fault };
}

static int compare_places(const void *a, const void *b)
{
	const struct place *one = a, *two = b;
	unsigned line[2] = { one->at ? one->at->line : 0, two->at ? two->at->line : 0 };
	unsigned column[2] = { one->at ? one->at->column : 0, two->at ? two->at->column : 0 };

	if (line[0] != line[1])
		return line[0] < line[1] ? -1 : 1;
	if (column[0] != column[1])
		return column[0] < column[1] ? -1 : 1;
	return (one->fault.code > two->fault.code) - (one->fault.code < two->fault.code);
}

static void print_fault(const char *path, const struct place *place)
{
	fputs(path, stderr);
	if (place->at)
		fprintf(stderr, ":%u:%u", place->at->line, place->at->column);
	fprintf(stderr, ": %s: %s [%s]\n", place->fault.is_error ? "error" : "warning",
		place->fault.text, tmgr_fault_name(place->fault.code));
}

int taskctl_compile_states(const char *path, const struct states_file *file, unsigned *ret_errors)
{
	struct findings findings = { .file = file };
	const struct tmgr_schema_options options = {
		.name = file->machine.text,
		.fault = find,
		.self = &findings,
	};
	struct tmgr_schema *schema = NULL;
	struct states_table table;
	unsigned errors = 0;
	int r;

	r = states_table_init(&table, file);
	if (r == 0)
		r = tmgr_schema_compile(table.rows, table.count, &options, &schema);
	tmgr_schema_unref(schema);
	states_table_fini(&table);
	if (r == -ENOMEM || findings.out_of_memory) {
		taskctl_error("%s: %s", path, strerror(ENOMEM));
		free(findings.places);
		return -1;
	}

	if (findings.count > 0)
		qsort(findings.places, findings.count, sizeof(*findings.places), compare_places);
	for (size_t i = 0; i < findings.count; i++) {
		print_fault(path, &findings.places[i]);
		errors += findings.places[i].fault.is_error;
	}
	check(errors > 0 || r == 0);
	free(findings.places);
	if (ret_errors)
		*ret_errors = errors;
	return (int)findings.count;
}

/* ---- The command ---------------------------------------------------------------------------- */

static const char usage[] = "taskctl machine check FILE...";

static int check_file(const char *path)
{
	struct states_file file;
	int faults;

	if (taskctl_load_states(path, &file) != TASKCTL_DONE)
		return TASKCTL_FAILED;
	faults = taskctl_compile_states(path, &file, NULL);
	states_fini(&file);
	return faults == 0 ? TASKCTL_DONE : TASKCTL_FAILED;
}

int taskctl_machine_check(int argc, char **argv)
{
	static const struct option names[] = { { "help", no_argument, NULL, 'h' }, { 0 } };
	int result = TASKCTL_DONE, option = taskctl_option(argc, argv, "h", names);

	if (option == 'h')
		return taskctl_usage(usage);
	if (option >= 0 || optind == argc)
		return taskctl_bad_usage(usage);
	for (int i = optind; i < argc; i++)
		if (check_file(argv[i]) != TASKCTL_DONE)
			result = TASKCTL_FAILED;
	return result;
}
