#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taskctl_machine.h"

static const char usage[] = "taskctl machine graph [--dot | --mermaid] [--active STATE,...] FILE";

struct graph {
	const struct states_file *file;
	bool *active;
	/* Of each pair: the one removes the other. */
	bool *removes;
	size_t count; /* of states that are drawn: with Exception, where it matters */
};

/* How a kind of graph is written. */
struct writer {
	void (*begin)(const struct graph *graph);
	/* A state: its name, lines below it, whether it is active. */
	void (*state)(size_t number, const char *name, const char *lines[], bool active);
	void (*relation)(size_t from, size_t to, enum tmgr_relation relation, bool mutual);
	void (*timeout)(size_t from, size_t to, const char *text);
	void (*end)(void);
};

/* ---- DOT ------------------------------------------------------------------------------------ */

static void dot_begin(const struct graph *graph)
{
	printf("digraph \"%s\" {\n"
	       "\trankdir=LR;\n"
	       "\tnode [shape=box, style=rounded];\n",
		graph->file->machine.text);
}

static void dot_state(size_t number, const char *name, const char *lines[], bool active)
{
	printf("\ts%zu [label=\"%s", number, name);
	for (; *lines; lines++)
		printf("\\n%s", *lines);
	printf("\"%s];\n", active ? ", style=\"rounded,filled\", fillcolor=palegreen" : "");
}

static void dot_relation(size_t from, size_t to, enum tmgr_relation relation, bool mutual)
{
	static const char *const looks[STATES_RELATIONS] = {
		[TMGR_RELATION_ADD] = "color=darkgreen",
		[TMGR_RELATION_REMOVE] = "color=red, arrowhead=tee, arrowtail=tee",
		[TMGR_RELATION_REQUIRE] = "style=dashed",
		[TMGR_RELATION_AFTER] = "style=dotted",
	};

	printf("\ts%zu -> s%zu [label=\"%s\", %s%s];\n", from, to, tmgr_relation_name(relation),
		looks[relation], mutual ? ", dir=both" : "");
}

static void dot_timeout(size_t from, size_t to, const char *text)
{
	printf("\ts%zu -> s%zu [label=\"%s\", color=gray];\n", from, to, text);
}

static void dot_end(void)
{
	puts("}");
}

/* ---- Mermaid -------------------------------------------------------------------------------- */

static void mermaid_begin(const struct graph *graph)
{
	printf("%%%% %s\n"
	       "flowchart LR\n"
	       "\tclassDef active fill:#98fb98,stroke:#333\n",
		graph->file->machine.text);
}

static void mermaid_state(size_t number, const char *name, const char *lines[], bool active)
{
	printf("\ts%zu(\"%s", number, name);
	for (; *lines; lines++)
		printf("<br/>%s", *lines);
	printf("\")%s\n", active ? ":::active" : "");
}

static void mermaid_relation(size_t from, size_t to, enum tmgr_relation relation, bool mutual)
{
	static const char *const arrows[STATES_RELATIONS] = {
		[TMGR_RELATION_ADD] = "-->",
		[TMGR_RELATION_REMOVE] = "--x",
		[TMGR_RELATION_REQUIRE] = "-.->",
		[TMGR_RELATION_AFTER] = "-.-o",
	};

	printf("\ts%zu %s|%s| s%zu\n", from, mutual ? "x--x" : arrows[relation],
		tmgr_relation_name(relation), to);
}

static void mermaid_timeout(size_t from, size_t to, const char *text)
{
	printf("\ts%zu ==>|%s| s%zu\n", from, text, to);
}

static void mermaid_end(void)
{
}

/* ---- Either --------------------------------------------------------------------------------- */

static const struct writer dot = { dot_begin, dot_state, dot_relation, dot_timeout, dot_end };
static const struct writer mermaid = {
	mermaid_begin,
	mermaid_state,
	mermaid_relation,
	mermaid_timeout,
	mermaid_end,
};

static bool *removes(const struct graph *graph, size_t from, size_t to)
{
	return &graph->removes[from * graph->count + to];
}

static void draw_state(const struct writer *writer, const struct graph *graph, size_t number)
{
	const struct states_file *file = graph->file;
	const char *lines[4] = { NULL };
	char timeout[STATES_TIME_SIZE + 16];
	char time[STATES_TIME_SIZE];
	size_t n = 0;

	if (number < file->state_count) {
		const struct states_state *state = &file->states[number];

		if (state->is_auto)
			lines[n++] = "auto";
		if (state->is_multi)
			lines[n++] = "multi";
		if (state->timeout_at.text && state->timeout.targets.count == 0) {
			states_time(time, state->timeout_ns);
			snprintf(timeout, sizeof(timeout), "timeout %s", time);
			lines[n++] = timeout;
		}
	} else {
		lines[n++] = "multi";
	}
	writer->state(number, states_state_name(file, number), lines, graph->active[number]);
}

static void draw_relations(const struct writer *writer, const struct graph *graph, size_t from)
{
	const struct states_state *state = &graph->file->states[from];
	char text[STATES_TIME_SIZE + 32], time[STATES_TIME_SIZE];

	for (unsigned k = 0; k < STATES_RELATIONS; k++)
		for (size_t i = 0; i < state->lists[k].targets.count; i++) {
			size_t to = state->lists[k].targets.at[i].state;
			bool mutual = k == TMGR_RELATION_REMOVE && *removes(graph, to, from) &&
				      from != to;

			/* Those that remove each other are drawn once. */
			if (!mutual || from < to)
				writer->relation(from, to, k, mutual);
		}
	states_time(time, state->timeout_ns);
	snprintf(text, sizeof(text), "%s after %s", tmgr_mutation_name(state->timeout_kind), time);
	for (size_t i = 0; i < state->timeout.targets.count; i++)
		writer->timeout(from, state->timeout.targets.at[i].state, text);
}

static void draw(const struct writer *writer, const struct graph *graph)
{
	writer->begin(graph);
	for (size_t i = 0; i < graph->count; i++)
		draw_state(writer, graph, i);
	for (size_t i = 0; i < graph->file->state_count; i++)
		draw_relations(writer, graph, i);
	writer->end();
}

/* ---- What is active, and whether Exception matters ------------------------------------------ */

static bool find_state(const struct states_file *file, const char *name, size_t length, size_t *ret)
{
	for (size_t i = 0; i <= file->state_count; i++) {
		const char *known = states_state_name(file, i);

		if (strlen(known) == length && memcmp(known, name, length) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* Names with commas between them. */
static bool mark_active(struct graph *graph, const char *names)
{
	while (*names) {
		size_t length = strcspn(names, ","), state;

		if (!find_state(graph->file, names, length, &state)) {
			taskctl_error("there is no state \"%.*s\"", (int)length, names);
			return false;
		}
		graph->active[state] = true;
		names += length + (names[length] == ',');
	}
	return true;
}

static bool names_exception(const struct states_list *list, size_t exception)
{
	for (size_t i = 0; i < list->targets.count; i++)
		if (list->targets.at[i].state == exception)
			return true;
	return false;
}

/* It is there in every machine, but drawn only where something is said of it. */
static bool shows_exception(const struct graph *graph)
{
	const struct states_file *file = graph->file;
	bool shows = graph->active[file->state_count];

	for (size_t i = 0; i < file->state_count; i++) {
		for (unsigned k = 0; k < STATES_RELATIONS; k++)
			shows |= names_exception(&file->states[i].lists[k], file->state_count);
		shows |= names_exception(&file->states[i].timeout, file->state_count);
	}
	return shows;
}

static int draw_file(
	const struct writer *writer, const struct states_file *file, const char *active)
{
	struct graph graph = { .file = file };
	size_t most = file->state_count + 1;
	int result = TASKCTL_FAILED;

	graph.active = calloc(most, sizeof(*graph.active));
	graph.removes = calloc(most * most, sizeof(*graph.removes));
	if (!graph.active || !graph.removes) {
		taskctl_error("out of memory");
		goto done;
	}
	if (!mark_active(&graph, active))
		goto done;
	graph.count = file->state_count + shows_exception(&graph);
	for (size_t i = 0; i < file->state_count; i++) {
		const struct states_targets *targets =
			&file->states[i].lists[TMGR_RELATION_REMOVE].targets;

		for (size_t k = 0; k < targets->count; k++)
			*removes(&graph, i, targets->at[k].state) = true;
	}
	draw(writer, &graph);
	result = TASKCTL_DONE;
done:
	free(graph.active);
	free(graph.removes);
	return result;
}

int taskctl_machine_graph(int argc, char **argv)
{
	static const struct option names[] = {
		{ "dot", no_argument, NULL, 'd' },
		{ "mermaid", no_argument, NULL, 'm' },
		{ "active", required_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const struct writer *writer = &dot;
	const char *active = "";
	struct states_file file;
	int option, result;

	while ((option = taskctl_option(argc, argv, "h", names)) >= 0)
		switch (option) {
		case 'd':
		case 'm':
			writer = option == 'd' ? &dot : &mermaid;
			break;
		case 'a':
			active = optarg;
			break;
		case 'h':
			return taskctl_usage(usage);
		default:
			return taskctl_bad_usage(usage);
		}
	if (optind + 1 != argc)
		return taskctl_bad_usage(usage);
	if (taskctl_load_states(argv[optind], &file) != TASKCTL_DONE)
		return TASKCTL_FAILED;
	result = draw_file(writer, &file, active);
	states_fini(&file);
	return result;
}
