/* Other processes and goroutines that a method starts, effects, and texts. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/tasks/process.h>

#include "taskmgr/base/text.h"

#include "tasks/process/declare.h"

/* ---- Other processes ------------------------------------------------------------------------- */

static int child_state(struct tmgr_process *step, const struct tmgr_process_child *child,
	struct tmgr_bytes *ret_state)
{
	const struct tmgr_state_table *table = &child->definition->state;
	const char *json;
	size_t size;
	int r = 0;

	*ret_state = (struct tmgr_bytes){ "{}", 2 };
	if (table->size == 0 || child->state == NULL)
		return 0;
	if (step->child_memory == NULL)
		r = tmgr_state_memory_create(&step->child_memory);
	if (r == 0)
		r = tmgr_state_encode(step->child_memory, table, child->state, &json, &size);
	if (r != 0)
		return tmgr__step_mistake(step, r, "the state of a child cannot be written");
	*ret_state = (struct tmgr_bytes){ json, size };
	return 0;
}

static int judge_child(struct tmgr_process *step, const struct tmgr_process_child *child)
{
	const struct tmgr__edefinition *definition;

	if (child == NULL || child->definition == NULL || child->definition->name == NULL)
		return tmgr__step_mistake(step, -EINVAL, "the definition of a child is missing");
	if (child->id != NULL && !tmgr__is_name(child->id, TMGR_PROCESS_ID_MAX))
		return tmgr__step_mistake(step, -EINVAL, "the id of a child is none");
	definition = tmgr__engine_definition(step->engine, child->definition->name);
	if (definition == NULL || definition->user != child->definition)
		return tmgr__step_mistake(
			step, -ENOENT, "the definition of a child is not defined");
	return 0;
}

static int start_child(
	struct tmgr_process *step, const struct tmgr_process_child *child, const char **ret_id)
{
	char id[TMGR_PROCESS_ID_MAX + 1];
	struct tmgr_bytes state;
	struct tmgr__action *action;
	int r = judge_child(step, child);

	if (r != 0)
		return r;
	if (child->id != NULL)
		snprintf(id, sizeof(id), "%s", child->id);
	else
		tmgr__step_make_id(step, ++step->next_id, id, sizeof(id));
	r = child_state(step, child, &state);
	if (r != 0)
		return r;
	action = tmgr__step_act(step, TMGR__SPAWN);
	if (action == NULL)
		return step->error;
	action->definition = tmgr__engine_definition(step->engine, child->definition->name);
	action->name = tmgr__step_copy_text(step, id);
	action->value = tmgr__step_copy_bytes(step, state);
	*ret_id = action->name;
	return step->error;
}

int tmgr_process_call(
	struct tmgr_process *process, const struct tmgr_process_child *child, tmgr_method *then)
{
	struct tmgr__case one = { .kind = TMGR_PROCESS_WAIT_CALL };
	int r;

	if (process == NULL)
		return -EINVAL;
	if (tmgr__step_method_of(process, then) == NULL)
		return -EINVAL;
	r = start_child(process, child, &one.target);
	return r != 0 ? r : tmgr__step_add_case(process, one, then);
}

int tmgr_process_spawn(
	struct tmgr_process *process, const struct tmgr_process_child *child, char *ret_id)
{
	const char *id = "";
	int r;

	if (process == NULL)
		return -EINVAL;
	r = start_child(process, child, &id);
	if (r == 0 && ret_id != NULL)
		memcpy(ret_id, id, strlen(id) + 1);
	return r;
}

int tmgr_process_cancel(struct tmgr_process *process, const char *id)
{
	struct tmgr__action *action;

	if (process == NULL)
		return -EINVAL;
	if (id == NULL || !tmgr__was_name(id, TMGR_PROCESS_ID_MAX))
		return tmgr__step_mistake(process, -EINVAL, "that is no process's id");
	action = tmgr__step_act(process, TMGR__KILL);
	if (action != NULL)
		action->name = tmgr__step_copy_text(process, id);
	return process->error;
}

/* ---- Goroutines ------------------------------------------------------------------------------ */

static bool lives(const struct tmgr_process *step, const char *name)
{
	const struct tmgr__goroutine *goroutine = step->process->goroutines;
	const struct tmgr__action *action = step->deed.actions;

	for (; goroutine != NULL; goroutine = goroutine->next) {
		if (strcmp(goroutine->name, name) == 0)
			return true;
	}
	for (; action != NULL; action = action->next) {
		if (action->kind == TMGR__GO && strcmp(action->name, name) == 0)
			return true;
	}
	return false;
}

static int go(struct tmgr_process *step, const char *name, const struct tmgr__emethod *method)
{
	struct tmgr__action *action;

	if (lives(step, name))
		return tmgr__step_mistake(step, -EEXIST, "a goroutine of that name lives already");
	action = tmgr__step_act(step, TMGR__GO);
	if (action == NULL)
		return step->error;
	action->method = method;
	action->name = tmgr__step_copy_text(step, name);
	return step->error;
}

int tmgr_process_go(struct tmgr_process *process, tmgr_method *method)
{
	const struct tmgr__emethod *found;
	char name[TMGR_PROCESS_NAME_MAX + 1];

	if (process == NULL)
		return -EINVAL;
	found = tmgr__step_method_of(process, method);
	if (found == NULL)
		return -EINVAL;
	tmgr__method_goroutine(found, name);
	return go(process, name, found);
}

int tmgr_process_go_named(struct tmgr_process *process, const char *name, tmgr_method *method)
{
	const struct tmgr__emethod *found;

	if (process == NULL)
		return -EINVAL;
	found = tmgr__step_method_of(process, method);
	if (found == NULL)
		return -EINVAL;
	if (name == NULL || !tmgr__is_name(name, TMGR_PROCESS_NAME_MAX))
		return tmgr__step_mistake(process, -EINVAL, "that is no goroutine's name");
	return go(process, name, found);
}

/* ---- Effects --------------------------------------------------------------------------------- */

int tmgr_process_key(struct tmgr_process *process, char *ret_key)
{
	if (process == NULL || ret_key == NULL)
		return tmgr__step_mistake(process, -EINVAL, "a key has a place");
	tmgr__step_make_id(process, ++process->next_key, ret_key, TMGR_PROCESS_KEY_MAX + 1);
	return 0;
}

/* The effect's key: it must not depend on how many others came before it. */
static void once_key(struct tmgr_process *step, const char *name, char *key)
{
	unsigned long long hash = 14695981039346656037u;

	for (const char *at = name; *at != '\0'; at++)
		hash = (hash ^ (unsigned char)*at) * 1099511628211u;
	tmgr__step_make_id(step, 0, key, TMGR_PROCESS_KEY_MAX + 1 - 18);
	snprintf(key + strlen(key), 18, "-%016llx", hash);
}

static const struct tmgr__once *find_once(const struct tmgr_process *step, const char *name)
{
	const struct tmgr__trouble *trouble = step->goroutine->trouble;
	const struct tmgr__once *once = trouble != NULL ? trouble->once : NULL;

	while (once != NULL && strcmp(once->name, name) != 0)
		once = once->next;
	return once;
}

static void give(struct tmgr_bytes value, struct tmgr_bytes *ret)
{
	if (ret != NULL)
		*ret = value;
}

int tmgr_process_once(struct tmgr_process *process, const char *name,
	int (*effect)(void *self, const char *key, struct tmgr_bytes *ret), void *self,
	struct tmgr_bytes *ret)
{
	char key[TMGR_PROCESS_KEY_MAX + 1];
	struct tmgr_bytes value = { "", 0 };
	const struct tmgr__once *once;
	int r;

	if (process == NULL || name == NULL || effect == NULL)
		return tmgr__step_mistake(process, -EINVAL, "an effect has a name and a function");
	if (!tmgr__is_name(name, TMGR_PROCESS_KEY_MAX))
		return tmgr__step_mistake(process, -EINVAL, "that is no effect's name");
	if (process->overtaken)
		return -ETIMEDOUT;
	once = find_once(process, name);
	if (once != NULL) {
		give((struct tmgr_bytes){ once->value->data, once->value->size }, ret);
		return 0;
	}
	once_key(process, name, key);
	r = effect(self, key, &value);
	if (r != 0)
		return r;
	r = tmgr__step_judge_value(process, value);
	if (r != 0)
		return r;
	value = tmgr__step_copy_bytes(process, value);
	if (value.data == NULL)
		return process->error;
	r = process->keep(process, name, value);
	process->overtaken = r == -ETIMEDOUT;
	if (r != 0)
		return tmgr__step_mistake(process, r, "the result of an effect could not be kept");
	give(value, ret);
	return 0;
}

static int copy_value(struct tmgr_process *step, struct tmgr_sql_value *value)
{
	if ((unsigned)value->kind > TMGR_SQL_BYTES ||
		(value->kind == TMGR_SQL_TEXT && value->text == NULL) ||
		(value->kind == TMGR_SQL_BYTES && value->bytes.data == NULL &&
			value->bytes.size > 0))
		return tmgr__step_mistake(step, -EINVAL, "a value of a statement is of no kind");
	if (value->kind == TMGR_SQL_TEXT)
		value->text = tmgr__step_copy_text(step, value->text);
	if (value->kind == TMGR_SQL_BYTES)
		value->bytes = tmgr__step_copy_bytes(step, value->bytes);
	return step->error;
}

int tmgr_process_sql(struct tmgr_process *process, const struct tmgr_sql_statement *statement)
{
	struct tmgr__statement *copy;
	struct tmgr_sql_value *values;
	int r = 0;

	if (process == NULL || statement == NULL || statement->text == NULL ||
		(statement->values == NULL && statement->count > 0))
		return tmgr__step_mistake(
			process, -EINVAL, "a statement has a text and its values");
	if (!process->has_sql)
		return tmgr__step_mistake(process, -ENOTSUP, "the store has no SQL");
	copy = tmgr_process_memory(process, sizeof(*copy));
	values = tmgr_process_memory(process, statement->count * sizeof(*values));
	if (copy == NULL || values == NULL)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < statement->count; i++) {
		values[i] = statement->values[i];
		r = copy_value(process, &values[i]);
	}
	copy->statement.text = tmgr__step_copy_text(process, statement->text);
	if (r != 0 || copy->statement.text == NULL)
		return process->error;
	copy->statement.values = values;
	copy->statement.count = statement->count;
	*process->last_statement = copy;
	process->last_statement = &copy->next;
	process->statement_count++;
	return 0;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static char *format_text(struct tmgr_process *step, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

static char *format_text(struct tmgr_process *step, const char *format, va_list arguments)
{
	va_list again;
	char *text;
	int size;

	va_copy(again, arguments);
	size = vsnprintf(NULL, 0, format, again);
	va_end(again);
	text = tmgr_process_memory(step, (size_t)(size < 0 ? 0 : size) + 1);
	if (text != NULL)
		vsnprintf(text, (size_t)(size < 0 ? 0 : size) + 1, format, arguments);
	return text;
}

int tmgr_process_text(struct tmgr_process *process, char **ret_field, const char *format, ...)
{
	va_list arguments;
	char *text;

	if (process == NULL || ret_field == NULL || format == NULL)
		return tmgr__step_mistake(process, -EINVAL, "a text has a place and a format");
	va_start(arguments, format);
	text = format_text(process, format, arguments);
	va_end(arguments);
	if (text == NULL)
		return -ENOMEM;
	*ret_field = text;
	return 0;
}

int tmgr_process_bytes(
	struct tmgr_process *process, struct tmgr_state_bytes *ret_field, struct tmgr_bytes value)
{
	void *copy;

	if (process == NULL || ret_field == NULL || (value.data == NULL && value.size > 0))
		return tmgr__step_mistake(process, -EINVAL, "bytes have a place");
	copy = tmgr_process_memory(process, value.size);
	if (copy == NULL)
		return -ENOMEM;
	if (value.size > 0)
		memcpy(copy, value.data, value.size);
	*ret_field = (struct tmgr_state_bytes){ copy, value.size };
	return 0;
}

int tmgr_process_log(struct tmgr_process *process, const char *format, ...)
{
	char whole[TMGR_PROCESS_TEXT_SIZE + 8], line[TMGR_PROCESS_TEXT_SIZE];
	struct tmgr__action *action;
	va_list arguments;

	if (process == NULL || format == NULL)
		return tmgr__step_mistake(process, -EINVAL, "a line has a format");
	va_start(arguments, format);
	vsnprintf(whole, sizeof(whole), format, arguments);
	va_end(arguments);
	tmgr__text_copy_valid(line, sizeof(line), whole);
	action = tmgr__step_act(process, TMGR__LOG);
	if (action != NULL)
		action->name = tmgr__step_copy_text(process, line);
	return process->error;
}

int tmgr_process_fail(struct tmgr_process *process, int code, const char *format, ...)
{
	char whole[TMGR_PROCESS_TEXT_SIZE + 8];
	va_list arguments;

	if (process == NULL || format == NULL)
		return code;
	va_start(arguments, format);
	vsnprintf(whole, sizeof(whole), format, arguments);
	va_end(arguments);
	tmgr__text_copy_valid(process->text, sizeof(process->text), whole);
	return code;
}
