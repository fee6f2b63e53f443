/*
 * From lines to statements. The text is cut in place: each word ends with a NUL, and names point at
 * them. After an error the next line is looked at, so that one run tells all.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/check.h"
#include "taskctl_states.h"

/* An "=" is a word without spaces around it, so each byte of a line may be one. */
#define WORDS_MAX STATES_LINE_MAX

struct parser {
	struct states_file *file;
	struct states_state *state; /* that relations belong to; may be NULL */
	bool out_of_memory;
	unsigned line;
	size_t count;
	struct states_name words[WORDS_MAX]; /* of this line; an "=" is a word */
};

#define fail_as(parser, ...) states_fail((parser)->file, __VA_ARGS__)
#define fail(parser, ...) fail_as(parser, STATES_SYNTAX, __VA_ARGS__)

static bool is_name(const char *text)
{
	if (!isalpha((unsigned char)text[0]))
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && *text != '_' && *text != '-')
			return false;
	return true;
}

static bool good_name(struct parser *parser, const struct states_name *word)
{
	if (strlen(word->text) > STATES_NAME_MAX)
		fail_as(parser, TMGR_FAULT_NAME, word, "a name has at most %d bytes",
			STATES_NAME_MAX);
	else if (strchr(word->text, ','))
		fail_as(parser, TMGR_FAULT_NAME, word, "names have spaces between them, no \",\"");
	else if (!is_name(word->text))
		fail_as(parser, TMGR_FAULT_NAME, word,
			"\"%s\" is no name: a letter, then letters, digits, _ and -", word->text);
	else
		return true;
	return false;
}

/* Room for one more in an array; NULL: out of memory. */
static void *grow(struct parser *parser, void *array, size_t count, size_t *capacity, size_t size)
{
	size_t wanted = *capacity ? 2 * *capacity : 8;
	void *grown;

	if (count < *capacity)
		return array;
	grown = realloc(array, wanted * size);
	if (!grown) {
		parser->out_of_memory = true;
		return NULL;
	}
	*capacity = wanted;
	return grown;
}

/* All words from `first` on, which are names. */
static void take_names(struct parser *parser, size_t first, struct states_names *names)
{
	for (size_t i = first; i < parser->count; i++) {
		const struct states_name *word = &parser->words[i];
		struct states_name *at;

		if (!good_name(parser, word))
			continue;
		at = grow(parser, names->at, names->count, &names->capacity, sizeof(*at));
		if (!at)
			return;
		names->at = at;
		names->at[names->count++] = *word;
	}
}

static void read_machine(struct parser *parser)
{
	const struct states_name *words = parser->words;

	if (parser->file->machine.text) {
		fail(parser, &words[0], "a second \"machine\"");
		return;
	}
	if (parser->count != 2) {
		fail(parser, &words[0], "after \"machine\" stands its name, and nothing else");
		return;
	}
	if (!good_name(parser, &words[1]))
		return;
	for (const char *at = words[1].text; *at; at++)
		if (isupper((unsigned char)*at)) {
			fail_as(parser, TMGR_FAULT_NAME, &words[1],
				"a machine's name is in lower case: C names begin with it");
			return;
		}
	if (strcmp(words[1].text, "tmgr") == 0 || strncmp(words[1].text, "tmgr_", 5) == 0) {
		fail_as(parser, TMGR_FAULT_NAME, &words[1],
			"C names that begin with tmgr are the library's");
		return;
	}
	parser->file->machine = words[1];
}

static void read_group(struct parser *parser)
{
	struct states_file *file = parser->file;
	const struct states_name *words = parser->words;
	struct states_group *groups;

	parser->state = NULL;
	if (parser->count < 4 || strcmp(words[2].text, "=") != 0) {
		fail(parser, &words[0], "a group is \"group NAME = STATE...\"");
		return;
	}
	if (!good_name(parser, &words[1]))
		return;
	if (file->group_count == STATES_GROUPS_MAX) {
		fail_as(parser, TMGR_FAULT_LIMIT, &words[0], "more than %d groups",
			STATES_GROUPS_MAX);
		return;
	}
	groups = grow(
		parser, file->groups, file->group_count, &file->group_capacity, sizeof(*groups));
	if (!groups)
		return;
	file->groups = groups;
	groups += file->group_count++;
	*groups = (struct states_group){ .name = words[1] };
	take_names(parser, 3, &groups->list.written);
}

static void read_flags(struct parser *parser, struct states_state *state)
{
	for (size_t i = 2; i < parser->count; i++) {
		const struct states_name *word = &parser->words[i];
		bool *flag;

		if (strcmp(word->text, "auto") == 0) {
			flag = &state->is_auto;
		} else if (strcmp(word->text, "multi") == 0) {
			flag = &state->is_multi;
		} else {
			fail(parser, word, "there is no flag \"%s\"; there are auto and multi",
				word->text);
			continue;
		}
		if (*flag)
			fail(parser, word, "\"%s\" twice", word->text);
		*flag = true;
	}
}

static void read_state(struct parser *parser)
{
	struct states_file *file = parser->file;
	struct states_state *states;

	parser->state = NULL;
	if (parser->count < 2) {
		fail(parser, &parser->words[0], "after \"state\" stands its name");
		return;
	}
	if (!good_name(parser, &parser->words[1]))
		return;
	if (file->state_count == STATES_MAX) {
		fail_as(parser, TMGR_FAULT_LIMIT, &parser->words[0], "more than %d states",
			STATES_MAX);
		return;
	}
	states = grow(
		parser, file->states, file->state_count, &file->state_capacity, sizeof(*states));
	if (!states)
		return;
	file->states = states;
	parser->state = &states[file->state_count++];
	*parser->state = (struct states_state){ .name = parser->words[1] };
	read_flags(parser, parser->state);
}

static void read_relation(struct parser *parser, enum tmgr_relation relation)
{
	const struct states_name *word = &parser->words[0];

	if (!parser->state)
		fail(parser, word, "\"%s\" belongs below a state", word->text);
	else if (parser->count < 2)
		fail(parser, word, "\"%s\" names no state", word->text);
	else
		take_names(parser, 1, &parser->state->lists[relation].written);
}

/* "500ms", in nanoseconds; 0: it is none, which was told. */
static int64_t read_time(struct parser *parser, const struct states_name *word)
{
	const char *text = word->text;
	unsigned long long count;
	char *unit;

	errno = 0;
	count = isdigit((unsigned char)text[0]) ? strtoull(text, &unit, 10) : 0;
	for (const struct states_unit *at = states_units; count > 0 && at->name; at++) {
		if (strcmp(unit, at->name) != 0)
			continue;
		if (errno == 0 && count <= (unsigned long long)(INT64_MAX / at->ns))
			return (int64_t)count * at->ns;
		fail_as(parser, TMGR_FAULT_TIMEOUT, word, "\"%s\" is too long: 292 years", text);
		return 0;
	}
	fail_as(parser, TMGR_FAULT_TIMEOUT, word,
		"\"%s\" is no time: a whole number from 1 and ns, us, ms, s, min or h", text);
	return 0;
}

static bool read_kind(
	struct parser *parser, const struct states_name *word, enum tmgr_mutation_kind *ret)
{
	for (unsigned kind = 0; kind <= TMGR_MUTATION_TOGGLE; kind++)
		if (strcmp(word->text, tmgr_mutation_name(kind)) == 0) {
			*ret = kind;
			return true;
		}
	fail_as(parser, TMGR_FAULT_TIMEOUT, word,
		"there is no kind \"%s\"; there are add, remove, set and toggle", word->text);
	return false;
}

static void read_timeout(struct parser *parser)
{
	const struct states_name *words = parser->words;
	struct states_state *state = parser->state;

	if (!state) {
		fail(parser, &words[0], "\"timeout\" belongs below a state");
		return;
	}
	if (parser->count < 2 || parser->count == 3) {
		fail_as(parser, TMGR_FAULT_TIMEOUT, &words[0],
			"a timeout is \"timeout TIME [KIND STATE...]\"");
		return;
	}
	if (state->timeout_at.text) {
		fail_as(parser, TMGR_FAULT_TIMEOUT, &words[0],
			"a second timeout, after that in line %u", state->timeout_at.line);
		return;
	}
	state->timeout_at = words[0];
	state->timeout_ns = read_time(parser, &words[1]);
	if (parser->count > 2 && read_kind(parser, &words[2], &state->timeout_kind))
		take_names(parser, 3, &state->timeout.written);
}

static void read_statement(struct parser *parser)
{
	static const struct {
		const char *word;
		void (*read)(struct parser *parser);
	} statements[] = {
		{ "machine", read_machine },
		{ "group", read_group },
		{ "state", read_state },
		{ "timeout", read_timeout },
	};
	const struct states_name *word = &parser->words[0];

	if (strcmp(word->text, "machine") != 0 && !parser->file->machine.text &&
		parser->file->error_count == 0)
		fail(parser, word, "the first statement is \"machine NAME\"");
	for (size_t i = 0; i < ARRAY_SIZE(statements); i++)
		if (strcmp(word->text, statements[i].word) == 0) {
			statements[i].read(parser);
			return;
		}
	for (unsigned i = 0; i < STATES_RELATIONS; i++)
		if (strcmp(word->text, tmgr_relation_name(i)) == 0) {
			read_relation(parser, i);
			return;
		}
	fail(parser, word,
		"there is no statement \"%s\"; there are machine, group, state, add, "
		"remove, require, after, timeout",
		word->text);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Cut a line of text into words, up to its comment. */
static void split(struct parser *parser, char *line)
{
	char *at = line;

	parser->count = 0;
	while (*at) {
		struct states_name *word = &parser->words[parser->count];
		bool equals = *at == '=';

		if (is_space(*at)) {
			*at++ = '\0';
			continue;
		}
		if (*at == '#') {
			*at = '\0';
			return;
		}
		*word = (struct states_name){ equals ? "=" : at, parser->line,
			(unsigned)(at - line) + 1 };
		parser->count++;
		if (equals)
			*at++ = '\0';
		while (!equals && *at && !is_space(*at) && *at != '#' && *at != '=')
			at++;
	}
}

static void read_line(struct parser *parser, char *line, size_t length)
{
	const struct states_name begin = { line, parser->line, 1 };
	const struct states_name nul = { line, parser->line, (unsigned)strlen(line) + 1 };

	if (length > STATES_LINE_MAX) {
		fail_as(parser, TMGR_FAULT_LIMIT, &begin, "a line has at most %d bytes",
			STATES_LINE_MAX);
		return;
	}
	if (strlen(line) != length) {
		fail(parser, &nul, "a NUL byte; this is not a text");
		return;
	}
	split(parser, line);
	if (parser->count > 0)
		read_statement(parser);
}

static int compare_errors(const void *a, const void *b)
{
	const struct states_error *one = a, *two = b;

	if (one->line != two->line)
		return one->line < two->line ? -1 : 1;
	return (one->column > two->column) - (one->column < two->column);
}

/* What is in the text, then what it means. */
static int read_all(struct parser *parser, size_t size)
{
	struct states_file *file = parser->file;
	char *at = file->source, *end = file->source + size;
	int r;

	while (at < end && !parser->out_of_memory) {
		char *newline = memchr(at, '\n', (size_t)(end - at));
		char *stop = newline ? newline : end;

		parser->line++;
		*stop = '\0';
		read_line(parser, at, (size_t)(stop - at));
		at = stop + 1;
	}
	if (parser->out_of_memory)
		return -ENOMEM;
	if (file->state_count == 0 && file->error_count == 0)
		states_fail(file, TMGR_FAULT_LIMIT, NULL, "it has no state");
	r = file->error_count == 0 ? states_resolve(file) : 0;
	if (r < 0)
		return r;
	if (file->error_count == 0)
		return 0;
	qsort(file->errors,
		file->error_count < STATES_ERRORS_MAX ? file->error_count : STATES_ERRORS_MAX,
		sizeof(file->errors[0]), compare_errors);
	return -EBADMSG;
}

int states_parse(struct states_file *file, const char *text, size_t size)
{
	struct parser *parser;
	int r = -ENOMEM;

	*file = (struct states_file){ 0 };
	parser = calloc(1, sizeof(*parser));
	file->source = malloc(size + 1);
	if (parser && file->source) {
		parser->file = file;
		if (size > 0)
			memcpy(file->source, text, size);
		r = read_all(parser, size);
	}
	free(parser);
	return r;
}
