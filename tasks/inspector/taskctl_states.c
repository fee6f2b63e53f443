#include "taskctl_states.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/text.h"

size_t states_exception(const struct states_file *file)
{
	for (size_t i = 0; i < file->state_count; i++)
		if (strcmp(file->states[i].name.text, TMGR_EXCEPTION) == 0)
			return i;
	return file->state_count;
}

const char *states_state_name(const struct states_file *file, size_t state)
{
	return state < file->state_count ? file->states[state].name.text : TMGR_EXCEPTION;
}

/* A word begins at an upper-case letter behind another letter or digit; among several of them at
 * the last, where a lower-case letter follows. */
static bool begins_word(const char *name, size_t at)
{
	if (at == 0 || !isupper((unsigned char)name[at]) || name[at - 1] == '_' ||
		name[at - 1] == '-')
		return false;
	return !isupper((unsigned char)name[at - 1]) || islower((unsigned char)name[at + 1]);
}

void states_c_name(char *buffer, const char *name)
{
	for (size_t i = 0; name[i]; i++) {
		if (begins_word(name, i))
			*buffer++ = '_';
		*buffer++ = (char)(name[i] == '-' ? '_' : tolower((unsigned char)name[i]));
	}
	*buffer = '\0';
}

const struct states_unit states_units[] = {
	{ "ns", 1 },
	{ "us", TMGR_MICROSECOND },
	{ "ms", TMGR_MILLISECOND },
	{ "s", TMGR_SECOND },
	{ "min", TMGR_MINUTE },
	{ "h", TMGR_HOUR },
	{ 0 },
};

void states_time(char *buffer, int64_t ns)
{
	const struct states_unit *unit = states_units;

	while (unit[1].name && ns % unit[1].ns == 0)
		unit++;
	snprintf(buffer, STATES_TIME_SIZE, "%" PRId64 "%s", ns / unit->ns, unit->name);
}

const char *states_fault_name(enum tmgr_fault_code code)
{
	return code == STATES_SYNTAX ? "syntax" : tmgr_fault_name(code);
}

void states_fail(struct states_file *file, enum tmgr_fault_code code, const struct states_name *at,
	const char *format, ...)
{
	struct states_error *error;
	struct tmgr__text escaped;
	va_list arguments;
	char text[sizeof(error->text)];

	if (file->error_count++ >= STATES_ERRORS_MAX)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	error = &file->errors[file->error_count - 1];
	error->code = code;
	error->line = at ? at->line : 0;
	error->column = at ? at->column : 0;
	/* What is quoted came from a file, and is to do nothing to a terminal. */
	tmgr__text_init(&escaped, error->text, sizeof(error->text));
	tmgr__text_add_escaped(&escaped, text);
}

static int read_whole(FILE *file, char *buffer, size_t *ret_size)
{
	size_t size = fread(buffer, 1, STATES_FILE_MAX + 1, file);

	if (ferror(file))
		return -errno;
	if (size > STATES_FILE_MAX)
		return -EFBIG;
	*ret_size = size;
	return 0;
}

int states_load(struct states_file *file, const char *path)
{
	char *buffer = malloc(STATES_FILE_MAX + 1);
	FILE *stream = fopen(path, "re");
	size_t size = 0;
	int r;

	*file = (struct states_file){ 0 };
	if (!stream)
		r = -errno;
	else if (!buffer)
		r = -ENOMEM;
	else
		r = read_whole(stream, buffer, &size);
	if (r == 0)
		r = states_parse(file, buffer, size);
	if (stream)
		fclose(stream);
	free(buffer);
	return r;
}

static void fini_list(struct states_list *list)
{
	free(list->written.at);
	free(list->targets.at);
}

void states_fini(struct states_file *file)
{
	for (size_t i = 0; i < file->state_count; i++) {
		for (unsigned k = 0; k < STATES_RELATIONS; k++)
			fini_list(&file->states[i].lists[k]);
		fini_list(&file->states[i].timeout);
	}
	for (size_t i = 0; i < file->group_count; i++)
		fini_list(&file->groups[i].list);
	free(file->states);
	free(file->groups);
	free(file->source);
	*file = (struct states_file){ 0 };
}
