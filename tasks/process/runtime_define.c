/* Definitions: what is wrong with one is remembered, and said when the runtime is opened. */
#include <errno.h>
#include <string.h>

#include <taskmgr/error.h>

#include "taskmgr/base/text.h"

#include "tasks/process/runtime.h"

/* ---- What is wrong; NULL: nothing ------------------------------------------------------------ */

/* An alias stands in files already, and may be no UTF-8. */
static bool is_method_name(const char *name, bool alias)
{
	size_t goroutine = strcspn(name, "_");

	return (alias ? tmgr__was_name : tmgr__is_name)(name, TMGR_PROCESS_METHOD_MAX) &&
	       goroutine > 0 && goroutine <= TMGR_PROCESS_NAME_MAX && name[goroutine] == '_' &&
	       name[goroutine + 1] != '\0';
}

/* How often a name, or an alias, stands in the table. */
static size_t count_name(const struct tmgr_process_method *methods, const char *name)
{
	size_t count = 0;

	for (; methods->name != NULL; methods++) {
		count += strcmp(methods->name, name) == 0;
		for (size_t i = 0; methods->aliases != NULL && methods->aliases[i] != NULL; i++)
			count += strcmp(methods->aliases[i], name) == 0;
	}
	return count;
}

static bool is_retry(const struct tmgr_process_retry *retry)
{
	return retry->first_ns >= 0 && retry->longest_ns >= 0;
}

static const char *method_mistake(
	const struct tmgr_process_method *methods, const struct tmgr_process_method *method)
{
	if (!is_method_name(method->name, false))
		return "is not named Goroutine_Status";
	if (method->function == NULL)
		return "has no function";
	if (method->deadline_ns < 0 || !is_retry(&method->retry))
		return "has a time below 0";
	if (count_name(methods, method->name) != 1)
		return "stands in the table twice";
	for (size_t i = 0; method->aliases != NULL && method->aliases[i] != NULL; i++) {
		if (!is_method_name(method->aliases[i], true))
			return "has an alias that is not Goroutine_Status";
		if (count_name(methods, method->aliases[i]) != 1)
			return "has an alias that stands in the table twice";
	}
	return NULL;
}

static bool has_function(const struct tmgr_process_definition *definition, tmgr_method *function)
{
	for (size_t i = 0; definition->methods[i].name != NULL; i++) {
		if (definition->methods[i].function == function)
			return true;
	}
	return false;
}

static const char *definition_mistake(const struct tmgr_process_definition *definition)
{
	if (definition->version == 0)
		return "its version is 0";
	if (definition->methods == NULL)
		return "it has no methods";
	if (definition->deadline_ns < 0 || !is_retry(&definition->retry))
		return "it has a time below 0";
	if (definition->start == NULL || !has_function(definition, definition->start))
		return "its start is none of its methods";
	if (definition->cancel != NULL && !has_function(definition, definition->cancel))
		return "its cancel is none of its methods";
	return NULL;
}

/* ---- Looking at one -------------------------------------------------------------------------- */

static int judge_methods(const struct tmgr_process_definition *definition, struct tmgr__text *text)
{
	const struct tmgr_process_method *method;

	for (method = definition->methods; method->name != NULL; method++) {
		const char *mistake = method_mistake(definition->methods, method);

		if (mistake != NULL) {
			tmgr__text_format(text, "method \"%s\" %s", method->name, mistake);
			return -EINVAL;
		}
	}
	return 0;
}

static int judge_table(const struct tmgr_process_definition *definition, struct tmgr__text *text)
{
	struct tmgr_state_memory *memory;
	int r;

	if (definition->state.size == 0)
		return 0;
	r = tmgr_state_memory_create(&memory);
	if (r != 0)
		return r;
	r = tmgr_state_check(memory, &definition->state);
	if (r != 0)
		tmgr__text_format(text, "its state: %s", tmgr_state_error(memory));
	tmgr_state_memory_destroy(memory);
	return r;
}

static int judge(const struct tmgr_process_definition *definition, struct tmgr__text *text)
{
	const char *mistake;
	int r;

	if (definition->name == NULL || !tmgr__is_name(definition->name, TMGR_PROCESS_NAME_MAX)) {
		tmgr__text_add(text, "a definition has no name, or one that is none");
		return -EINVAL;
	}
	tmgr__text_format(text, "definition \"%s\": ", definition->name);
	mistake = definition_mistake(definition);
	if (mistake != NULL) {
		tmgr__text_add(text, mistake);
		return -EINVAL;
	}
	r = judge_methods(definition, text);
	return r != 0 ? r : judge_table(definition, text);
}

/* ---- Defining -------------------------------------------------------------------------------- */

/* The first, for who does not look at results: without it processes would only be paused. */
static void remember(struct tmgr_processes *processes, int error, const char *text)
{
	if (processes->define_error != 0)
		return;
	processes->define_error = error;
	tmgr__text_copy_valid(processes->define_text, sizeof(processes->define_text), text);
}

int tmgr_processes_define(
	struct tmgr_processes *processes, const struct tmgr_process_definition *definition)
{
	char whole[TMGR_PROCESS_TEXT_SIZE + 64];
	struct tmgr__text text;
	int r;

	if (processes == NULL)
		return -EINVAL;
	tmgr__text_init(&text, whole, sizeof(whole));
	r = definition != NULL ? judge(definition, &text) : -EINVAL;
	tmgr__lock_acquire(&processes->lock);
	if (processes->state != TMGR__RUNTIME_MADE) {
		r = r != 0 ? r : -EBUSY;
	} else {
		if (r == 0)
			r = tmgr__engine_define(processes->engine, definition);
		if (r == -EEXIST)
			tmgr__text_add(&text, "there is one of that name");
		if (r != 0)
			remember(processes, r, whole);
	}
	tmgr__lock_release(&processes->lock);
	return r;
}

const struct tmgr_process_definition *tmgr_processes_definition(
	struct tmgr_processes *processes, const char *name)
{
	const struct tmgr__edefinition *definition;

	if (processes == NULL || name == NULL)
		return NULL;
	tmgr__lock_acquire(&processes->lock);
	definition = tmgr__engine_definition(processes->engine, name);
	tmgr__lock_release(&processes->lock);
	return definition != NULL ? definition->user : NULL;
}
