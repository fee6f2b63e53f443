/*
 * Any bytes are a states file, or one with errors that say where. What it names is there, and the
 * file that is written from what was understood means the same.
 */
#include <errno.h>

#include "tasks/inspector/taskctl_states.h"
#include "tests/support/fuzz.h"

#define TEXT_MAX (4 * STATES_FILE_MAX)

struct text {
	char *at;
	size_t length;
};

static void add(struct text *text, const char *word)
{
	size_t length = strlen(word);

	must(text->length + length < TEXT_MAX);
	memcpy(text->at + text->length, word, length + 1);
	text->length += length;
}

/* A timeout is one line; inputs are short enough for those that groups make longer. */
static void write_timeout(
	struct text *text, const struct states_file *file, const struct states_state *state)
{
	char time[64];

	snprintf(time, sizeof(time), "timeout %lldns", (long long)state->timeout_ns);
	add(text, time);
	for (size_t i = 0; i < state->timeout.targets.count; i++) {
		if (i == 0) {
			add(text, " ");
			add(text, tmgr_mutation_name(state->timeout_kind));
		}
		add(text, " ");
		add(text, states_state_name(file, state->timeout.targets.at[i].state));
	}
	add(text, "\n");
}

/* Each list in a line for each name, since a line has a limit. */
static void write_state(struct text *text, const struct states_file *file, size_t number)
{
	const struct states_state *state = &file->states[number];

	add(text, "state ");
	add(text, state->name.text);
	add(text, state->is_auto ? " auto" : "");
	add(text, state->is_multi ? " multi\n" : "\n");
	for (unsigned k = 0; k < STATES_RELATIONS; k++)
		for (size_t i = 0; i < state->lists[k].targets.count; i++) {
			add(text, tmgr_relation_name(k));
			add(text, " ");
			add(text, states_state_name(file, state->lists[k].targets.at[i].state));
			add(text, "\n");
		}
	if (state->timeout_at.text)
		write_timeout(text, file, state);
}

static void is_same_list(const struct states_list *one, const struct states_list *two)
{
	must(one->targets.count == two->targets.count);
	for (size_t i = 0; i < one->targets.count; i++)
		must(one->targets.at[i].state == two->targets.at[i].state);
}

static void is_same(const struct states_file *one, const struct states_file *two)
{
	must(strcmp(one->machine.text, two->machine.text) == 0);
	must(one->state_count == two->state_count);
	for (size_t i = 0; i < one->state_count; i++) {
		const struct states_state *a = &one->states[i], *b = &two->states[i];

		must(strcmp(a->name.text, b->name.text) == 0);
		must(a->is_auto == b->is_auto && a->is_multi == b->is_multi);
		must(a->timeout_ns == b->timeout_ns);
		is_same_list(&a->timeout, &b->timeout);
		for (unsigned k = 0; k < STATES_RELATIONS; k++)
			is_same_list(&a->lists[k], &b->lists[k]);
	}
}

static void means_the_same_written_again(const struct states_file *file)
{
	struct text text = { malloc(TEXT_MAX), 0 };
	struct states_file again;

	must(text.at);
	add(&text, "machine ");
	add(&text, file->machine.text);
	add(&text, "\n");
	for (size_t i = 0; i < file->state_count; i++)
		write_state(&text, file, i);
	must(states_parse(&again, text.at, text.length) == 0);
	is_same(file, &again);
	states_fini(&again);
	free(text.at);
}

static void errors_have_places(const struct states_file *file, const uint8_t *data, size_t size)
{
	unsigned lines = 1, last = 0;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	must(file->error_count > 0);
	for (size_t i = 0; i < file->error_count && i < STATES_ERRORS_MAX; i++) {
		must(file->errors[i].line >= last && file->errors[i].line <= lines);
		must(file->errors[i].text[0] != '\0');
		must(memchr(file->errors[i].text, '\0', sizeof(file->errors[i].text)));
		last = file->errors[i].line;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct states_file file;
	int r = states_parse(&file, (const char *)data, size);

	must(r == 0 || r == -EBADMSG);
	if (r == 0)
		means_the_same_written_again(&file);
	else
		errors_have_places(&file, data, size);
	states_fini(&file);
	return 0;
}
