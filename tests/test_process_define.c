/* Definitions that are refused: the runtime's task says what is wrong, whether or not anybody looked. */
#include <errno.h>
#include <string.h>

#include <taskmgr/manager.h>
#include <taskmgr/tasks/process_runtime.h>

#include "tests/support/leak.h"

static int done(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return 0;
}

static int stranger(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return 1;
}

struct twice {
	int64_t count;
};

static const struct tmgr_state_field fields_twice[] = {
	TMGR_FIELD(struct twice, count),
	TMGR_FIELD(struct twice, count),
};

#define METHODS(...)                                                        \
	.methods = (const struct tmgr_process_method[])                     \
	{                                                                   \
		{ __VA_ARGS__ }, { .name = "Main_Done", .function = done }, \
		{                                                           \
			0                                                   \
		}                                                           \
	}
#define DEFINITION(...)                                                   \
	{                                                                 \
		.name = "order", .version = 1, .start = done, __VA_ARGS__ \
	}

static const struct {
	struct tmgr_process_definition definition;
	const char *text;
} bad[] = {
	{ { .name = "a/b",
		  .version = 1,
		  .start = done,
		  METHODS(.name = "Main_On", .function = done) },
		"a definition has no name, or one that is none" },
	{ { .name = "order", .start = done, METHODS(.name = "Main_On", .function = done) },
		"definition \"order\": its version is 0" },
	{ DEFINITION(.methods = NULL), "definition \"order\": it has no methods" },
	{ DEFINITION(METHODS(.name = "Main_On", .function = done), .deadline_ns = -1),
		"definition \"order\": it has a time below 0" },
	{ { .name = "order",
		  .version = 1,
		  .start = stranger,
		  METHODS(.name = "Main_On", .function = done) },
		"definition \"order\": its start is none of its methods" },
	{ DEFINITION(METHODS(.name = "Main_On", .function = done), .cancel = stranger),
		"definition \"order\": its cancel is none of its methods" },
	{ DEFINITION(METHODS(.name = "Main", .function = done)),
		"definition \"order\": method \"Main\" is not named Goroutine_Status" },
	{ DEFINITION(METHODS(.name = "Main_On")),
		"definition \"order\": method \"Main_On\" has no function" },
	{ DEFINITION(METHODS(.name = "Main_On", .function = done, .deadline_ns = -1)),
		"definition \"order\": method \"Main_On\" has a time below 0" },
	{ DEFINITION(METHODS(.name = "Main_Done", .function = done)),
		"definition \"order\": method \"Main_Done\" stands in the table twice" },
	{ DEFINITION(METHODS(.name = "Main_On", .function = done,
		  .aliases = (const char *const[]){ "On", NULL })),
		"definition \"order\": method \"Main_On\" has an alias that is not "
		"Goroutine_Status" },
	{ DEFINITION(METHODS(.name = "Main_On", .function = done,
		  .aliases = (const char *const[]){ "Main_Done", NULL })),
		"definition \"order\": method \"Main_On\" has an alias that stands in the table "
		"twice" },
	{ DEFINITION(METHODS(.name = "Main_On", .function = done),
		  .state = TMGR_STATE(struct twice, fields_twice)),
		"definition \"order\": its state: " },
};

static const struct tmgr_process_definition good = DEFINITION(
	METHODS(.name = "Main_On", .function = done));

/* The task fails with the first mistake, and says it. */
static void fails(const struct tmgr_process_definition *first,
	const struct tmgr_process_definition *second, int error, const char *text)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_processes *processes;
	struct tmgr_store *store;

	assert_int_equal(tmgr_store_memory_create(&store), 0);
	assert_int_equal(tmgr_processes_create(store, NULL, &processes), 0);
	tmgr_processes_define(processes, first);
	tmgr_processes_define(processes, second);
	tmgr_manager_add_task(manager, "processes", tmgr_processes_task(processes), TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), error);
	if (strncmp(tmgr_manager_report(manager)->cause->text, text, strlen(text)) != 0)
		fail_msg("it says %s", tmgr_manager_report(manager)->cause->text);
	tmgr_manager_destroy(manager);
	tmgr_processes_unref(processes);
}

static void a_definition_that_is_refused_fails_the_task_with_what_is_wrong(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		fails(&bad[i].definition, &good, -EINVAL, bad[i].text);
	fails(&good, &bad[0].definition, -EINVAL, bad[0].text);
	fails(&good, &good, -EEXIST, "definition \"order\": there is one of that name");
	fails(&bad[1].definition, &bad[0].definition, -EINVAL, bad[1].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_definition_that_is_refused_fails_the_task_with_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
