#include "tests/support/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/leak.h"

void conformance_play(
	const char *name, size_t wanted, void (*play)(json_t *one, void *user), void *user)
{
	const char *top = getenv("TOP"), *only = getenv("CASE");
	char path[4096], *line = NULL;
	size_t size = 0, count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/conformance/%s", top != NULL ? top : ".", name);
	file = fopen(path, "re");
	assert_non_null(file);
	while (getline(&line, &size, file) > 0) {
		json_t *one = json_loads(line, 0, NULL);

		assert_non_null(one);
		if (only == NULL || strcmp(only, conformance_text(one, "name")) == 0)
			play(one, user);
		json_decref(one);
		count++;
	}
	free(line);
	fclose(file);
	assert_int_equal(count, wanted);
}

const char *conformance_text(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}
