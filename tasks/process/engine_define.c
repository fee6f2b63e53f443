/* Definitions and methods by name: those this program has, and those that stored processes ask for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/process/engine_inside.h"

struct tmgr__edefinition *tmgr__engine_definition(struct tmgr__engine *engine, const char *name)
{
	struct tmgr__edefinition *definition = engine->definitions;

	while (definition != NULL && strcmp(definition->name, name) != 0)
		definition = definition->next;
	return definition;
}

/* One that is missing is known by its name. */
struct tmgr__edefinition *tmgr__definition_get(struct tmgr__engine *engine, const char *name)
{
	struct tmgr__edefinition *definition = tmgr__engine_definition(engine, name);
	size_t size = strlen(name) + 1;

	if (definition != NULL)
		return definition;
	definition = tmgr__engine_memory(engine, sizeof(*definition) + size);
	if (definition == NULL)
		return NULL;
	memcpy(definition->name, name, size);
	definition->next = engine->definitions;
	engine->definitions = definition;
	return definition;
}

int tmgr__engine_define(struct tmgr__engine *engine, const struct tmgr_process_definition *user)
{
	struct tmgr__edefinition *definition;
	size_t count = 0;

	if (tmgr__engine_definition(engine, user->name) != NULL)
		return -EEXIST;
	while (user->methods[count].name != NULL)
		count++;
	definition = tmgr__definition_get(engine, user->name);
	if (definition == NULL) {
		engine->broken = 0;
		return -ENOMEM;
	}
	definition->methods = calloc(count + 1, sizeof(*definition->methods));
	if (definition->methods == NULL) {
		engine->definitions = definition->next;
		free(definition);
		return -ENOMEM;
	}
	definition->user = user;
	definition->method_count = count;
	for (size_t i = 0; i < count; i++)
		definition->methods[i] = (struct tmgr__emethod){
			.definition = definition,
			.entry = &user->methods[i],
			.name = user->methods[i].name,
		};
	return 0;
}

const struct tmgr__emethod *tmgr__engine_method(
	const struct tmgr__edefinition *definition, tmgr_method *function)
{
	for (size_t i = 0; function != NULL && i < definition->method_count; i++) {
		if (definition->methods[i].entry->function == function)
			return &definition->methods[i];
	}
	return NULL;
}

static bool is_called(const struct tmgr_process_method *entry, const char *name)
{
	if (strcmp(entry->name, name) == 0)
		return true;
	for (size_t i = 0; entry->aliases != NULL && entry->aliases[i] != NULL; i++) {
		if (strcmp(entry->aliases[i], name) == 0)
			return true;
	}
	return false;
}

/* By its name, or one it had; a missing one has no entry. NULL: out of memory. */
const struct tmgr__emethod *tmgr__definition_method(
	struct tmgr__engine *engine, struct tmgr__edefinition *definition, const char *name)
{
	size_t size = strlen(name) + 1;
	struct tmgr__emethod *method;
	char *copied;

	for (size_t i = 0; i < definition->method_count; i++) {
		if (is_called(definition->methods[i].entry, name))
			return &definition->methods[i];
	}
	for (method = definition->missing; method != NULL; method = method->next) {
		if (strcmp(method->name, name) == 0)
			return method;
	}
	method = tmgr__engine_memory(engine, sizeof(*method) + size);
	if (method == NULL)
		return NULL;
	copied = (char *)(method + 1);
	memcpy(copied, name, size);
	method->definition = definition;
	method->name = copied;
	method->next = definition->missing;
	definition->missing = method;
	return method;
}

/* The goroutine that a method starts, as its name says; TMGR_PROCESS_NAME_MAX + 1 bytes. */
void tmgr__method_goroutine(const struct tmgr__emethod *method, char *name)
{
	size_t size = strcspn(method->entry->name, "_");

	memcpy(name, method->entry->name, size);
	name[size] = '\0';
}
