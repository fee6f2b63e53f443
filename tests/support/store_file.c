#include "store_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *store_file_base = "/tmp";

int store_file_init(struct store_file *file)
{
	memset(file, 0, sizeof(*file));
	snprintf(file->directory, sizeof(file->directory), "%s/test_store_sqlite.XXXXXX",
		store_file_base);
	if (!mkdtemp(file->directory))
		return -1;
	snprintf(file->path, sizeof(file->path), "%s/processes.db", file->directory);
	return 0;
}

void store_file_fini(struct store_file *file)
{
	char command[128];

	if (file->store)
		store_file_close(file);
	snprintf(command, sizeof(command), "rm -rf %s", file->directory);
	if (system(command) != 0)
		fprintf(stderr, "%s is left\n", file->directory);
}

int store_file_setup(void **state)
{
	int r = leak_setup(state);

	return r ? r : store_file_init(*state);
}

int store_file_teardown(void **state)
{
	store_file_fini(*state);
	return leak_teardown(state);
}

int store_file_open(struct store_file *file)
{
	int r = tmgr_store_sqlite_create(file->path, &file->options, &file->store);

	if (r == 0)
		r = file->store->ops->open(file->store, &file->opened);
	if (r < 0) {
		tmgr_store_destroy(file->store);
		file->store = NULL;
	}
	return r;
}

int store_file_close(struct store_file *file)
{
	int r = file->store->ops->close(file->store);

	tmgr_store_destroy(file->store);
	file->store = NULL;
	return r;
}

bool store_file_has(
	struct store_file *file, struct rows_model *model, char *difference, size_t size)
{
	struct rows_model loaded = { .rows = NULL };
	bool same;

	snprintf(difference, size, "it cannot be loaded");
	for (size_t i = model->count; i-- > 0;) {
		if (model->rows[i].kind != TMGR_STORE_EVENT)
			continue;
		free(model->rows[i].text);
		model->rows[i] = model->rows[--model->count];
	}
	same = file->store->ops->load(file->store, 0, rows_visit, &loaded) == 0 &&
	       rows_same(&loaded, model, difference, size);
	rows_clear(&loaded);
	return same;
}

void store_file_must_have(struct store_file *file, struct rows_model *model)
{
	char difference[1200];

	if (!store_file_has(file, model, difference, sizeof(difference)))
		fail_msg("%s", difference);
}

int store_file_copy(struct store_file *copy, const struct store_file *file)
{
	char command[256];
	int r = store_file_init(copy);

	snprintf(command, sizeof(command), "cp %s* %s", file->path, copy->directory);
	return r == 0 ? system(command) : r;
}

bool store_file_in_doubt(const struct store_file *file)
{
	char lock[sizeof(file->path) + 8], marks[2] = { 0 };
	FILE *from;

	snprintf(lock, sizeof(lock), "%s.lock", file->path);
	from = fopen(lock, "re");
	assert_non_null(from);
	assert_int_equal(fread(marks, 1, sizeof(marks), from), sizeof(marks));
	fclose(from);
	return marks[0] || marks[1];
}

static int print_finding(void *self, const char *line)
{
	print_message("%s\n", line);
	return 0;
}

int store_file_check(struct store_file *file)
{
	return tmgr_store_sqlite_check(file->path, print_finding, NULL);
}

const char *store_file_sql(struct store_file *file, const char *text)
{
	static char output[4096];
	char command[2048];
	size_t length;
	FILE *tool;

	snprintf(command, sizeof(command), "sqlite3 %s \"%s\" 2>&1", file->path, text);
	tool = popen(command, "re");
	if (!tool)
		return "no sqlite3";
	length = fread(output, 1, sizeof(output) - 1, tool);
	pclose(tool);
	while (length > 0 && output[length - 1] == '\n')
		length--;
	output[length] = '\0';
	return output;
}
