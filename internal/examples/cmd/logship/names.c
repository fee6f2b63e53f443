#include "names.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a Debian machine has, as far as it has it. */
static const char *const machine[] = {
	"/var/log/syslog",
	"/var/log/messages",
	"/var/log/*.log",
	"/var/log/apt/*.log",
};

bool names_have(const struct names *names, const char *path)
{
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->paths[i], path) == 0)
			return true;
	}
	return false;
}

/* The directory may be left, and the database knows files by their paths: so they are absolute. */
static char *absolute(const char *name)
{
	char *directory, *path = NULL;

	if (name[0] == '/')
		return strdup(name);
	directory = getcwd(NULL, 0);
	if (directory && asprintf(&path, "%s/%s", directory, name) < 0)
		path = NULL;
	free(directory);
	return path;
}

static int add(struct names *names, const char *name)
{
	char *path = absolute(name);
	char **grown;

	if (!path)
		return -ENOMEM;
	if (names_have(names, path)) {
		free(path);
		return 0;
	}
	grown = reallocarray(names->paths, names->count + 1, sizeof(*grown));
	if (!grown) {
		free(path);
		return -ENOMEM;
	}
	names->paths = grown;
	names->paths[names->count++] = path;
	return 0;
}

/* Returns how many, or -ENOMEM. */
static int add_matches(struct names *names, const char *pattern)
{
	glob_t found;
	int count = 0;
	int r = glob(pattern, 0, NULL, &found);

	if (r == GLOB_NOSPACE)
		return -ENOMEM;
	if (r != 0) /* nothing fits, or a directory cannot be read: the same to us */
		return 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		r = add(names, found.gl_pathv[i]);
		if (r < 0) {
			count = r;
			break;
		}
		count++;
	}
	globfree(&found);
	return count;
}

static int add_given(struct names *names, const char *name)
{
	int r;

	/* A file may be called so, too. */
	if (strpbrk(name, "*?[") == NULL || access(name, F_OK) == 0)
		return add(names, name);
	r = add_matches(names, name);
	if (r == 0)
		names->unmatched = name;
	return r < 0 ? r : 0;
}

static int add_list(struct names *names, const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	int r = 0;

	if (!file)
		return -errno;
	while (r == 0 && getline(&line, &size, file) >= 0) {
		char *name = line + strspn(line, " \t");
		size_t length = strcspn(name, "\r\n");

		while (length > 0 && (name[length - 1] == ' ' || name[length - 1] == '\t'))
			length--;
		name[length] = '\0';
		if (length > 0 && name[0] != '#') {
			r = add_given(names, name);
			names->unmatched = NULL; /* the line is gone; and lists may name much */
		}
	}
	if (r == 0 && ferror(file))
		r = -EIO;
	free(line);
	fclose(file);
	return r;
}

int names_init(struct names *names, const struct options *options)
{
	int r = 0;

	*names = (struct names){ 0 };
	for (size_t i = 0; i < options->files_count && r == 0; i++)
		r = add_given(names, options->files[i]);
	if (r == 0 && options->list)
		r = add_list(names, options->list);
	if (options->files_count > 0 || options->list)
		return r;
	for (size_t i = 0; i < sizeof(machine) / sizeof(machine[0]) && r >= 0; i++)
		r = add_matches(names, machine[i]);
	return r < 0 ? r : 0;
}

void names_fini(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->paths[i]);
	free(names->paths);
	*names = (struct names){ 0 };
}
