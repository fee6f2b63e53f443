/* As test_arguments, for durable processes: what is wrong from outside gives its error, and does nothing. */
#include <errno.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/durable.h"
#include "tests/support/expect.h"
#include "tests/support/leak.h"

static int done(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return 0;
}

static int stranger(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return 0;
}

static const struct tmgr_process_method done_methods[] = {
	{ .name = "Main_Done", .function = done },
	{ 0 },
};

static const struct tmgr_process_definition done_definition = {
	.name = "done",
	.version = 1,
	.start = done,
	.methods = done_methods,
};

static const struct tmgr_process_definition unknown_definition = {
	.name = "unknown",
	.version = 1,
	.start = done,
	.methods = done_methods,
};

static char long_name[300];

/* ---- Definitions ----------------------------------------------------------------------------- */

static struct tmgr_processes *defined;

static int define(struct tmgr_process_definition definition)
{
	return tmgr_processes_define(defined, &definition);
}

static int define_method(struct tmgr_process_method method)
{
	const struct tmgr_process_method methods[] = { method,
		{ .name = "Main_Done", .function = done }, { 0 } };

	return define((struct tmgr_process_definition){
		.name = "x", .version = 1, .start = done, .methods = methods });
}

static void create_defined(void)
{
	struct tmgr_store *store;

	assert_int_equal(tmgr_store_memory_create(&store), 0);
	assert_int_equal(
		tmgr_processes_create(store,
			&(struct tmgr_processes_options){ .single_threaded = true }, &defined),
		0);
}

static void each_bad_definition_is_refused(void **state)
{
	struct tmgr_process_definition good = done_definition;

	wrong = 0;
	create_defined();
	IS(tmgr_processes_define(NULL, &done_definition), -EINVAL);
	IS(tmgr_processes_define(defined, NULL), -EINVAL);
	good.name = NULL;
	IS(define(good), -EINVAL);
	good.name = "";
	IS(define(good), -EINVAL);
	good.name = "a/b";
	IS(define(good), -EINVAL);
	good.name = long_name;
	IS(define(good), -EINVAL);
	good = done_definition;
	good.version = 0;
	IS(define(good), -EINVAL);
	good = done_definition;
	good.start = NULL;
	IS(define(good), -EINVAL);
	good.start = stranger;
	IS(define(good), -EINVAL);
	good = done_definition;
	good.cancel = stranger;
	IS(define(good), -EINVAL);
	good = done_definition;
	good.methods = NULL;
	IS(define(good), -EINVAL);
	good = done_definition;
	good.deadline_ns = -1;
	IS(define(good), -EINVAL);
	good = done_definition;
	good.retry.first_ns = -1;
	IS(define(good), -EINVAL);
	IS(define_method((struct tmgr_process_method){ .name = "Main", .function = done }),
		-EINVAL);
	IS(define_method((struct tmgr_process_method){ .name = "_On", .function = done }), -EINVAL);
	IS(define_method((struct tmgr_process_method){ .name = "Main_", .function = done }),
		-EINVAL);
	IS(define_method((struct tmgr_process_method){ .name = "Main_On" }), -EINVAL);
	IS(define_method((struct tmgr_process_method){ .name = "Main_Done", .function = done }),
		-EINVAL);
	IS(define_method((struct tmgr_process_method){ .name = "Main_On",
		   .function = done,
		   .aliases = (const char *const[]){ "Main_Done", NULL } }),
		-EINVAL);
	IS(define_method((struct tmgr_process_method){
		   .name = "Main_On", .function = done, .deadline_ns = -1 }),
		-EINVAL);
	/* The first of these is remembered. */
	IS(tmgr_processes_define(defined, &done_definition), 0);
	IS(tmgr_processes_open(defined), -EINVAL);
	tmgr_processes_unref(defined);
	create_defined();
	IS(tmgr_processes_define(defined, &done_definition), 0);
	IS(tmgr_processes_definition(defined, done_definition.name) == &done_definition, true);
	IS(tmgr_processes_definition(defined, "nobody") == NULL, true);
	IS(tmgr_processes_definition(defined, NULL) == NULL, true);
	IS(tmgr_processes_definition(NULL, done_definition.name) == NULL, true);
	IS(tmgr_processes_open(defined), 0);
	IS(tmgr_processes_define(defined, &unknown_definition), -EBUSY);
	IS(tmgr_processes_open(defined), -EBUSY);
	tmgr_processes_unref(defined);
	create_defined();
	IS(tmgr_processes_define(defined, &done_definition), 0);
	IS(tmgr_processes_define(defined, &done_definition), -EEXIST);
	IS(tmgr_processes_open(defined), -EEXIST);
	tmgr_processes_unref(defined);
	assert_int_equal(wrong, 0);
}

/* ---- Runtimes and stores --------------------------------------------------------------------- */

static int create_with(struct tmgr_processes_options options)
{
	struct tmgr_processes *processes = NULL;
	struct tmgr_store *store;
	int r;

	assert_int_equal(tmgr_store_memory_create(&store), 0);
	r = tmgr_processes_create(store, &options, &processes);
	tmgr_processes_unref(processes);
	return r;
}

static void each_bad_runtime_is_refused(void **state)
{
	struct tmgr_processes *processes = NULL;
	struct tmgr_processes_stats stats;
	struct tmgr_store *store, *copy;

	wrong = 0;
	IS(tmgr_store_memory_create(NULL), -EINVAL);
	IS(tmgr_store_memory_create(&store), 0);
	IS(tmgr_store_memory_fail(NULL, 0), -EINVAL);
	IS(tmgr_store_memory_fail(store, 1), -EINVAL);
	IS(tmgr_store_memory_copy(NULL, &copy), -EINVAL);
	IS(tmgr_store_memory_copy(store, NULL), -EINVAL);
	tmgr_store_destroy(NULL);
	/* Taken, also when it is refused. */
	IS(tmgr_processes_create(store, NULL, NULL), -EINVAL);
	IS(tmgr_processes_create(NULL, NULL, &processes), -EINVAL);
	IS(create_with((struct tmgr_processes_options){ .keep_finished_ns = -1 }), -EINVAL);
	IS(create_with((struct tmgr_processes_options){ .keep_keys_ns = -1 }), -EINVAL);
	IS(create_with((struct tmgr_processes_options){ .keep_events_ns = -1 }), -EINVAL);
	IS(create_with((struct tmgr_processes_options){ .wall_ms = -1 }), -EINVAL);
	IS(tmgr_processes_ref(NULL) == NULL, 1);
	tmgr_processes_unref(NULL);
	IS(tmgr_task_error(tmgr_processes_task(NULL)), -EINVAL);
	IS(tmgr_task_error(tmgr_processes_workers(NULL, NULL)), -EINVAL);
	IS(tmgr_processes_stats(NULL, &stats), -EINVAL);
	IS(tmgr_processes_open(NULL), -EINVAL);
	IS(tmgr_processes_drive(NULL), -EINVAL);
	IS(tmgr_processes_settle(NULL), -EINVAL);
	IS(tmgr_processes_advance(NULL, 0), -EINVAL);
	IS(tmgr_processes_set_wall(NULL, 0), -EINVAL);
	IS(tmgr_processes_close(NULL), -EINVAL);
	IS(tmgr_store_memory_create(&store), 0);
	IS(tmgr_processes_create(store, NULL, &processes), 0);
	/* With threads nothing of the other kind, and the other way round. */
	IS(tmgr_processes_open(processes), -EINVAL);
	IS(tmgr_processes_drive(processes), -EINVAL);
	IS(tmgr_processes_stats(processes, NULL), -EINVAL);
	IS(tmgr_task_error(tmgr_processes_workers(processes,
		   &(struct tmgr_processes_workers_options){
			   .workers = TMGR_PROCESSES_WORKERS_MAX + 1 })),
		-EINVAL);
	IS(tmgr_task_error(tmgr_processes_workers(
		   processes, &(struct tmgr_processes_workers_options){ .definition = "a/b" })),
		-EINVAL);
	tmgr_processes_unref(processes);
	IS(tmgr_store_memory_create(&store), 0);
	IS(tmgr_processes_create(
		   store, &(struct tmgr_processes_options){ .single_threaded = true }, &processes),
		0);
	IS(tmgr_task_error(tmgr_processes_task(processes)), -EINVAL);
	IS(tmgr_task_error(tmgr_processes_workers(processes, NULL)), -EINVAL);
	IS(tmgr_processes_drive(processes), -EINVAL);
	IS(tmgr_processes_open(processes), 0);
	IS(tmgr_processes_advance(processes, -1), -EINVAL);
	IS(tmgr_processes_advance(processes, INT64_MAX), -EINVAL);
	/* 150 years pass, and after them not as many again. */
	IS(tmgr_processes_advance(processes, 150 * 365 * 24 * TMGR_HOUR), 0);
	IS(tmgr_processes_advance(processes, 150 * 365 * 24 * TMGR_HOUR), -EINVAL);
	IS(tmgr_processes_set_wall(processes, -1), -EINVAL);
	IS(tmgr_processes_set_wall(processes, 0), 0);
	IS(tmgr_processes_close(processes), 0);
	IS(tmgr_processes_close(processes), -EINVAL);
	tmgr_processes_unref(processes);
	assert_int_equal(wrong, 0);
}

/* ---- From outside ---------------------------------------------------------------------------- */

static struct durable durable;

static int ask(struct tmgr_process_command command)
{
	struct tmgr_process_request *request = NULL;
	int r = tmgr_processes_submit(durable.processes, &command, &request);

	tmgr_process_request_release(request);
	return r;
}

static void each_bad_request_is_refused(void **state)
{
	const struct tmgr_process_definition *const definitions[] = { &done_definition, NULL };
	const struct tmgr_process_command get = { .kind = TMGR_PROCESS_GET, .id = "a" };
	struct tmgr_process_request *request;
	static char much[TMGR_PROCESS_VALUE_MAX + 1];
	struct tmgr_store_query query = { 0 };
	size_t count = 7;

	wrong = 0;
	durable = (struct durable){ 0 };
	durable_begin(&durable, definitions);
	IS(tmgr_processes_submit(NULL, &get, &request), -EINVAL);
	IS(tmgr_processes_submit(durable.processes, NULL, &request), -EINVAL);
	IS(tmgr_processes_submit(durable.processes, &get, NULL), -EINVAL);
	IS(ask((struct tmgr_process_command){ 0 }), -EINVAL);
	IS(ask((struct tmgr_process_command){ .kind = 99 }), -EINVAL);
#define START(definition, id)              \
	ask((struct tmgr_process_command){ \
		.kind = TMGR_PROCESS_START, .child = { definition, id, NULL } })
	IS(START(&done_definition, NULL), -EINVAL);
	IS(START(&done_definition, ""), -EINVAL);
	IS(START(&done_definition, "a/b"), -EINVAL);
	IS(START(&done_definition, "a\nb"), -EINVAL);
	IS(START(&done_definition, long_name), -EINVAL);
	IS(START(NULL, "a"), -EINVAL);
	IS(START(&unknown_definition, "a"), -ENOENT);
#define SEND(...) ask((struct tmgr_process_command){ .kind = TMGR_PROCESS_SEND, __VA_ARGS__ })
	IS(SEND(.channel = NULL), -EINVAL);
	IS(SEND(.channel = "name"), -EINVAL);
	IS(SEND(.channel = "a/"), -EINVAL);
	IS(SEND(.channel = "a/b/c"), -EINVAL);
	IS(SEND(.channel = "a/b", .key = ""), -EINVAL);
	IS(SEND(.channel = "a/b", .key = long_name), -EINVAL);
	IS(SEND(.channel = "a/b", .value = { NULL, 1 }), -EINVAL);
	IS(SEND(.channel = "a/b", .value = { much, sizeof(much) }), -EMSGSIZE);
#define ASK(k, ...) ask((struct tmgr_process_command){ .kind = TMGR_PROCESS_##k, __VA_ARGS__ })
	IS(ASK(CLOSE, .channel = "x"), -EINVAL);
	IS(ASK(CHANNEL_CREATE, .channel = "a/b"), -EINVAL);
	IS(ASK(CHANNEL_CREATE, .channel = "/@b"), -EINVAL);
	IS(ASK(CHANNEL_CREATE, .channel = "/b", .capacity = TMGR_PROCESS_CAPACITY_MAX + 1),
		-EINVAL);
	IS(ASK(CHANNEL_DELETE, .channel = "a/b"), -EINVAL);
	IS(ASK(RESULT, .id = NULL), -EINVAL);
	IS(ASK(CANCEL, .id = NULL), -EINVAL);
	IS(ASK(RESUME, .id = ""), -EINVAL);
	IS(ASK(GET, .id = NULL), -EINVAL);
	IS(ASK(PAUSE, .id = "a"), -EINVAL);
	IS(ASK(PAUSE, .text = "why"), -EINVAL);
	IS(ASK(PAUSE, .id = "a", .text = ""), -EINVAL);
	IS(ASK(GOTO, .id = "a", .goroutine = "Main"), -EINVAL);
	IS(ASK(GOTO, .id = "a", .method = "Main_Done"), -EINVAL);
	IS(ASK(SET, .id = "a"), -EINVAL);
	IS(ASK(CHANNELS, .id = "a/b"), -EINVAL);
	IS(ASK(BACKUP, .text = NULL), -EINVAL);
	IS(tmgr_processes_start(NULL, durable.processes, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_processes_send(NULL, durable.processes, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_processes_wait(NULL, NULL, "a", TMGR_NOW, NULL), -EINVAL);
	IS(tmgr_processes_do(NULL, NULL, NULL, TMGR_NOW, NULL), -EINVAL);
	IS(tmgr_processes_follow(NULL, NULL, 0, TMGR_NOW), -EINVAL);
	IS(tmgr_processes_events(NULL, &query, NULL, NULL), -EINVAL);
	IS(tmgr_processes_events(durable.processes, &query, NULL, NULL), -EINVAL);
	IS(tmgr_process_request_future(NULL) == NULL, 1);
	IS(tmgr_process_request_value(NULL).size, 0);
	IS(tmgr_process_request_infos(NULL, &count) == NULL, 1);
	IS(count, 0);
	IS(tmgr_process_request_channels(NULL, NULL) == NULL, 1);
	tmgr_process_request_release(NULL);
	IS(durable_do(&durable,
		   &(struct tmgr_process_command){ .kind = TMGR_PROCESS_BACKUP, .text = "x" }),
		-ENOTSUP);
	/* Nothing of all that has happened. */
	IS(durable_events(&durable, NULL, TMGR_PROCESS_EVENT_STARTED), 0);
	durable_end(&durable);
	assert_int_equal(wrong, 0);
}

static void channels_are_created_listed_and_deleted_from_outside(void **state)
{
	const struct tmgr_process_definition *const definitions[] = { &done_definition, NULL };
	struct tmgr_process_command command = {
		.kind = TMGR_PROCESS_CHANNEL_CREATE, .channel = "/box", .capacity = 1
	};

	wrong = 0;
	durable = (struct durable){ 0 };
	durable_begin(&durable, definitions);
	IS(durable_do(&durable, &command), 0);
	IS(durable_do(&durable, &command), -EEXIST);
	IS(durable_send(&durable, "/box", "x"), 0);
	command.kind = TMGR_PROCESS_CHANNEL_DELETE;
	IS(durable_do(&durable, &command), -EBUSY);
	command.channel = "/other";
	IS(durable_do(&durable, &command), -ENOENT);
	IS(durable_send(&durable, "/other", "x"), -ENOENT);
	durable_kill(&durable);
	command.channel = "/box";
	IS(durable_do(&durable, &command), -EBUSY);
	durable_end(&durable);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_bad_definition_is_refused),
		leak_test(each_bad_runtime_is_refused),
		leak_test(each_bad_request_is_refused),
		leak_test(channels_are_created_listed_and_deleted_from_outside),
	};

	memset(long_name, 'a', sizeof(long_name) - 1);
	return cmocka_run_group_tests_name("arguments process", tests, NULL, NULL);
}
