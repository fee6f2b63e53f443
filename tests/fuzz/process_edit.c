/*
 * A path, a value and a document, any bytes: the document that comes out is one, where that which went
 * in was one; and setting the same again changes nothing more.
 */
#include "tasks/inspector/taskctl_process.h"

#include "tests/support/fuzz.h"

static bool is_document(const char *json)
{
	static const struct tmgr_state_table any = { .size = 1 };
	struct tmgr_state_memory *memory = NULL;
	void *ignored = NULL;
	int r;

	must(tmgr_state_memory_create(&memory) == 0);
	r = tmgr_state_decode(memory, &any, json, strlen(json), &ignored);
	tmgr_state_memory_destroy(memory);
	return r == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	char path[64], value[256], json[1024];
	char *once = NULL, *twice = NULL;

	input_string(&input, path, sizeof(path));
	input_string(&input, value, sizeof(value));
	input_string(&input, json, sizeof(json));
	if (taskctl_json_set(json, path, value, &once) < 0)
		return 0;
	if (is_document(json)) {
		must(is_document(once));
		must(taskctl_json_set(once, path, value, &twice) == 0);
		must(strcmp(once, twice) == 0);
	}
	free(once);
	free(twice);
	return 0;
}
