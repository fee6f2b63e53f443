/*
 * A machine as text, and back from it. Written without the lock, again where it has moved meanwhile.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

#include "taskmgr/base/text.h"

static void add_state(
	struct tmgr__text *text, const struct tmgr_machine *machine, unsigned state, bool first)
{
	tmgr__text_format(text, "%s%s:%llu", first ? "" : " ", machine->schema->names[state],
		(unsigned long long)tmgr__machine_tick(machine, state));
}

static void add_active(struct tmgr__text *text, const struct tmgr_machine *machine)
{
	uint32_t count = __atomic_load_n(&machine->active_count, __ATOMIC_ACQUIRE);

	tmgr__text_add(text, "(");
	for (uint32_t i = 0; i < count; i++)
		add_state(text, machine,
			__atomic_load_n(&machine->active.list[i], __ATOMIC_ACQUIRE), i == 0);
	tmgr__text_add(text, ")");
}

static void add_inactive(struct tmgr__text *text, const struct tmgr_machine *machine)
{
	bool first = true;

	tmgr__text_add(text, " [");
	for (unsigned state = 0; state < machine->schema->count; state++) {
		if (tmgr__machine_tick(machine, state) & 1)
			continue;
		add_state(text, machine, state, first);
		first = false;
	}
	tmgr__text_add(text, "]");
}

static void add_line(struct tmgr__text *text, const struct tmgr_machine *machine, unsigned state)
{
	const struct tmgr_schema *schema = machine->schema;
	uint64_t tick = tmgr__machine_tick(machine, state);

	tmgr__text_format(text, "%s %s:%llu%s%s", tick & 1 ? "*" : "-", schema->names[state],
		(unsigned long long)tick,
		schema->flags[state] & TMGR__STATE_AUTOMATIC ? " automatic" : "",
		schema->flags[state] & TMGR__STATE_MULTI ? " multi" : "");
	for (unsigned relation = 0; relation < TMGR__RELATIONS; relation++) {
		const unsigned *list = tmgr__schema_list(schema, state, relation);

		if (*list != TMGR_STATES_END)
			tmgr__text_format(text, " | %s", tmgr_relation_name(relation));
		for (; *list != TMGR_STATES_END; list++)
			tmgr__text_format(text, " %s", schema->names[*list]);
	}
	tmgr__text_add(text, "\n");
}

size_t tmgr_machine_format(const struct tmgr_machine *machine, enum tmgr_machine_format format,
	char *buffer, size_t size)
{
	struct tmgr__text text;
	uint32_t sequence;

	if (!machine || (unsigned)format > TMGR_MACHINE_INSPECT) {
		tmgr__text_init(&text, buffer, size);
		return 0;
	}
	do {
		sequence = tmgr__machine_read_begin(machine);
		tmgr__text_init(&text, buffer, size);
		if (format != TMGR_MACHINE_INSPECT)
			add_active(&text, machine);
		if (format == TMGR_MACHINE_FULL)
			add_inactive(&text, machine);
		for (unsigned state = 0;
			format == TMGR_MACHINE_INSPECT && state < machine->schema->count; state++)
			add_line(&text, machine, state);
	} while (tmgr__machine_read_again(machine, sequence));
	return text.length;
}

/* ---- Export --------------------------------------------------------------------------------- */

size_t tmgr_machine_export(const struct tmgr_machine *machine, char *buffer, size_t size)
{
	struct tmgr__text text;
	uint32_t sequence, count;

	tmgr__text_init(&text, buffer, size);
	if (!machine)
		return 0;
	do {
		sequence = tmgr__machine_read_begin(machine);
		tmgr__text_init(&text, buffer, size);
		tmgr__text_add(&text, "machine ");
		tmgr__text_add_escaped(&text, tmgr_machine_name(machine));
		for (unsigned state = 0; state < machine->schema->count; state++)
			tmgr__text_format(&text, "\n%s %llu", machine->schema->names[state],
				(unsigned long long)tmgr__machine_tick(machine, state));
		tmgr__text_add(&text, "\nactive");
		count = __atomic_load_n(&machine->active_count, __ATOMIC_ACQUIRE);
		for (uint32_t i = 0; i < count; i++) {
			unsigned state = __atomic_load_n(
				&machine->active.list[i], __ATOMIC_ACQUIRE);

			tmgr__text_format(&text, " %s", machine->schema->names[state]);
		}
		tmgr__text_add(&text, "\n");
	} while (tmgr__machine_read_again(machine, sequence));
	return text.length;
}

/* ---- Import --------------------------------------------------------------------------------- */

/* What a text says. */
struct imported {
	const struct tmgr_schema *schema;
	uint64_t *ticks;
	bool *given;
	unsigned *active;
	size_t active_count;
};

/* A word of a line, its end, and what it names. */
static const char *find_word(const struct tmgr_schema *schema, const char *at, unsigned *ret_state)
{
	char word[TMGR_MACHINE_NAME_MAX + 1];
	size_t length = strcspn(at, " \n");

	*ret_state = TMGR_STATES_END;
	if (length <= TMGR_MACHINE_NAME_MAX) {
		memcpy(word, at, length);
		word[length] = '\0';
		tmgr_schema_find(schema, word, ret_state);
	}
	return at + length;
}

static bool is_active_before(const struct imported *imported, unsigned state)
{
	for (size_t i = 0; i < imported->active_count; i++) {
		if (imported->active[i] == state)
			return true;
	}
	return false;
}

/* " B A\n", behind the word active. */
static int read_active(struct imported *imported, const char *at)
{
	while (*at == ' ') {
		unsigned state;

		at = find_word(imported->schema, at + 1, &state);
		if (state == TMGR_STATES_END)
			return -ENOENT;
		if (!(imported->ticks[state] & 1) || is_active_before(imported, state))
			return -EINVAL;
		imported->active[imported->active_count++] = state;
	}
	return *at == '\n' && at[1] == '\0' ? 0 : -EINVAL;
}

/* "A 3\n": its end, or NULL and the error. */
static const char *read_tick(struct imported *imported, const char *at, int *ret_error)
{
	unsigned state;
	char *end;

	at = find_word(imported->schema, at, &state);
	*ret_error = -EINVAL;
	if (*at != ' ' || at[1] < '0' || at[1] > '9')
		return NULL;
	if (state == TMGR_STATES_END) {
		*ret_error = -ENOENT;
		return NULL;
	}
	errno = 0;
	imported->ticks[state] = strtoull(at + 1, &end, 10);
	if (errno != 0 || *end != '\n' || imported->given[state])
		return NULL;
	imported->given[state] = true;
	return end + 1;
}

/* "active B A": a number behind it is the tick of a state of that name. */
static bool is_active_line(const char *at)
{
	if (strncmp(at, "active", 6) != 0)
		return false;
	return at[6] == '\n' || (at[6] == ' ' && (at[7] < '0' || at[7] > '9'));
}

static int read_text(struct imported *imported, const char *text)
{
	const char *at = strchr(text, '\n');
	size_t odd = 0;
	int r;

	if (strncmp(text, "machine ", 8) != 0 || !at)
		return -EINVAL;
	at++;
	while (!is_active_line(at)) {
		at = read_tick(imported, at, &r);
		if (!at)
			return r;
	}
	for (unsigned state = 0; state < imported->schema->count; state++) {
		if (!imported->given[state])
			return -ENOENT;
		odd += imported->ticks[state] & 1;
	}
	r = read_active(imported, at + 6);
	if (r < 0)
		return r;
	return odd == imported->active_count ? 0 : -EINVAL;
}

static void take_over(void *self, struct tmgr_machine *machine)
{
	const struct imported *imported = self;

	tmgr__transition_import(machine, imported->ticks, imported->active, imported->active_count);
}

int tmgr_machine_import(struct tmgr_machine *machine, const char *text)
{
	struct imported imported = { .active_count = 0 };
	int r = -ENOMEM;

	if (!machine || !text)
		return -EINVAL;
	imported.schema = machine->schema;
	imported.ticks = calloc(machine->schema->count, sizeof(*imported.ticks));
	imported.given = calloc(machine->schema->count, sizeof(*imported.given));
	imported.active = calloc(machine->schema->count, sizeof(*imported.active));
	if (imported.ticks && imported.given && imported.active)
		r = read_text(&imported, text);
	if (r == 0)
		r = tmgr__machine_call(NULL, machine, take_over, &imported, TMGR_NEVER);
	free(imported.ticks);
	free(imported.given);
	free(imported.active);
	return r;
}
