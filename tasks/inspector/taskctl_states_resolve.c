/*
 * From names to states.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "taskctl_states.h"

#define NOBODY SIZE_MAX

/* What a name means; sorted by name, then by where it was defined. */
struct entry {
	const struct states_name *name;
	const struct states_group *group; /* NULL: a state */
	size_t state;
	char c_name[STATES_C_NAME_SIZE];
};

struct resolver {
	struct states_file *file;
	struct entry *entries;
	size_t count;
	/* Of each state, and Exception: the name by which it came into the list that is being
	 * made, while `list` is that one's number. */
	struct {
		unsigned list;
		struct states_name by;
	} * seen;
	unsigned list;
};

/* In which nothing is defined, so that it comes before all that is. */
static const struct states_name exception = { TMGR_EXCEPTION, 0, 0 };

static int compare_names(const void *a, const void *b)
{
	const struct entry *one = a, *two = b;
	int order = strcmp(one->name->text, two->name->text);

	if (order)
		return order;
	return (one->name->line > two->name->line) - (one->name->line < two->name->line);
}

static int compare_c_names(const void *a, const void *b)
{
	const struct entry *one = a, *two = b;
	int order = strcmp(one->c_name, two->c_name);

	if (order)
		return order;
	return (one->name->line > two->name->line) - (one->name->line < two->name->line);
}

static void add_entry(struct resolver *resolver, const struct states_name *name,
	const struct states_group *group, size_t state)
{
	struct entry *entry = &resolver->entries[resolver->count++];

	*entry = (struct entry){ .name = name, .group = group, .state = state };
	states_c_name(entry->c_name, name->text);
}

static const char *kind(const struct entry *entry)
{
	return entry->group ? "group" : "state";
}

static void twice(struct resolver *resolver, const struct entry *second, const struct entry *first)
{
	const struct states_name *name = second->name;

	if (first->name == &exception)
		states_fail(resolver->file, TMGR_FAULT_DUPLICATE, name,
			"%s is the state that is always there", TMGR_EXCEPTION);
	else
		states_fail(resolver->file, TMGR_FAULT_DUPLICATE, name,
			"the %s %s was defined as a %s in line %u already", kind(second),
			name->text, kind(first), first->name->line);
}

/* Two names that are one in C would be defined twice there. */
static void same_in_c(
	struct resolver *resolver, const struct entry *second, const struct entry *first)
{
	const struct states_name *name = second->name;

	states_fail(resolver->file, TMGR_FAULT_DUPLICATE, name,
		"%s has the same name in C as %s, %s", name->text, first->name->text,
		second->c_name);
}

/* A state by its name in C, or NULL. Entries are sorted by these. */
static const struct entry *find_state_in_c(const struct resolver *resolver, const char *c_name)
{
	size_t low = 0, high = resolver->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(resolver->entries[middle].c_name, c_name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	while (low < resolver->count && strcmp(resolver->entries[low].c_name, c_name) == 0) {
		if (!resolver->entries[low].group)
			return &resolver->entries[low];
		low++;
	}
	return NULL;
}

/* The end of a state is waited for by what is named with not_ before the state. */
static void check_negated(struct resolver *resolver, const struct entry *entry)
{
	const struct entry *other = NULL;

	if (!entry->group && strncmp(entry->c_name, "not_", 4) == 0)
		other = find_state_in_c(resolver, entry->c_name + 4);
	if (other)
		states_fail(resolver->file, TMGR_FAULT_DUPLICATE, entry->name,
			"in C wait_%s would be for %s and for the end of %s", entry->c_name,
			entry->name->text, other->name->text);
}

static void define_all(struct resolver *resolver)
{
	struct states_file *file = resolver->file;
	struct entry *entries = resolver->entries;

	if (states_exception(file) == file->state_count)
		add_entry(resolver, &exception, NULL, file->state_count);
	for (size_t i = 0; i < file->state_count; i++)
		add_entry(resolver, &file->states[i].name, NULL, i);
	for (size_t i = 0; i < file->group_count; i++)
		add_entry(resolver, &file->groups[i].name, &file->groups[i], 0);

	qsort(entries, resolver->count, sizeof(*entries), compare_c_names);
	for (size_t i = 1; i < resolver->count; i++)
		if (strcmp(entries[i - 1].c_name, entries[i].c_name) == 0 &&
			strcmp(entries[i - 1].name->text, entries[i].name->text) != 0)
			same_in_c(resolver, &entries[i], &entries[i - 1]);
	for (size_t i = 0; i < resolver->count; i++)
		check_negated(resolver, &entries[i]);
	qsort(entries, resolver->count, sizeof(*entries), compare_names);
	for (size_t i = 1; i < resolver->count; i++)
		if (strcmp(entries[i - 1].name->text, entries[i].name->text) == 0)
			twice(resolver, &entries[i], &entries[i - 1]);
}

static const struct entry *find(const struct resolver *resolver, const struct states_name *name)
{
	const struct entry key = { .name = &(struct states_name){ name->text, 0, 0 } };
	size_t low = 0, high = resolver->count;

	/* The first that is not before it: of two with the same name the one defined first. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_names(&resolver->entries[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == resolver->count || strcmp(resolver->entries[low].name->text, name->text) != 0)
		return NULL;
	return &resolver->entries[low];
}

static void add_target(struct resolver *resolver, struct states_targets *targets, size_t state,
	const struct states_name *name)
{
	targets->at[targets->count++] = (struct states_target){ state, *name };
	resolver->seen[state].list = resolver->list;
	resolver->seen[state].by = *name;
}

/* A state that was named itself; what a group brought may be named once more. */
static void add_state(struct resolver *resolver, struct states_targets *targets, size_t state,
	const struct states_name *name)
{
	const struct states_name *before = &resolver->seen[state].by;

	if (resolver->seen[state].list != resolver->list)
		add_target(resolver, targets, state, name);
	else if (strcmp(before->text, name->text) == 0)
		states_fail(resolver->file, TMGR_FAULT_DUPLICATE, name,
			"%s is in this list already, from line %u", name->text, before->line);
}

static void add_group(struct resolver *resolver, struct states_targets *targets,
	const struct states_group *group, size_t owner, const struct states_name *name)
{
	for (size_t i = 0; i < group->list.targets.count; i++) {
		size_t state = group->list.targets.at[i].state;

		if (state != owner && resolver->seen[state].list != resolver->list)
			add_target(resolver, targets, state, name);
	}
}

/* Lists were made for all states, and most name few. */
static void shrink(struct states_targets *targets)
{
	void *at = realloc(targets->at, (targets->count + 1) * sizeof(*targets->at));

	if (at)
		targets->at = at;
}

/* `owner` is the state that the list is about, or NOBODY; a group's list has no groups. */
static int resolve_list(
	struct resolver *resolver, struct states_list *list, size_t owner, bool of_group)
{
	struct states_targets *targets = &list->targets;
	struct states_file *file = resolver->file;

	if (list->written.count == 0)
		return 0;
	targets->at = calloc(file->state_count + 1, sizeof(*targets->at));
	if (!targets->at)
		return -ENOMEM;
	resolver->list++;
	for (size_t i = 0; i < list->written.count; i++) {
		const struct states_name *name = &list->written.at[i];
		const struct entry *entry = find(resolver, name);

		if (!entry)
			states_fail(file, TMGR_FAULT_UNKNOWN, name, "there is no state%s %s",
				of_group ? "" : " or group", name->text);
		else if (!entry->group)
			add_state(resolver, targets, entry->state, name);
		else if (of_group)
			states_fail(file, TMGR_FAULT_UNKNOWN, name,
				"%s is a group, and a group is a list of states", name->text);
		else
			add_group(resolver, targets, entry->group, owner, name);
	}
	shrink(targets);
	return 0;
}

static int resolve_lists(struct resolver *resolver)
{
	struct states_file *file = resolver->file;
	int r = 0;

	for (size_t i = 0; i < file->group_count && r == 0; i++)
		r = resolve_list(resolver, &file->groups[i].list, NOBODY, true);
	for (size_t i = 0; i < file->state_count && r == 0; i++) {
		for (unsigned k = 0; k < STATES_RELATIONS && r == 0; k++)
			r = resolve_list(resolver, &file->states[i].lists[k], i, false);
		if (r == 0)
			r = resolve_list(resolver, &file->states[i].timeout, NOBODY, false);
	}
	return r;
}

int states_resolve(struct states_file *file)
{
	struct resolver resolver = { .file = file };
	int r = -ENOMEM;

	resolver.entries = calloc(
		file->state_count + file->group_count + 1, sizeof(*resolver.entries));
	resolver.seen = calloc(file->state_count + 1, sizeof(*resolver.seen));
	if (resolver.entries && resolver.seen) {
		define_all(&resolver);
		r = resolve_lists(&resolver);
	}
	free(resolver.entries);
	free(resolver.seen);
	return r;
}
