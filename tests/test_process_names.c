/* Names and texts of durable processes are UTF-8, and what an earlier program has left is shown all the same. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "taskmgr/base/text.h"

#include "tests/support/answers.h"
#include "tests/support/expect.h"
#include "tests/support/leak.h"

#define INSTEAD "\xef\xbf\xbd"

/* Not a character, half of one, one that is longer than needed ('/'), half of a pair. */
static const char *const bad_names[] = { "\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80" };
#define BAD_NAMES (sizeof(bad_names) / sizeof(bad_names[0]))

/* ---- Who gives them -------------------------------------------------------------------------- */

static const char *name; /* that the next step uses */
static int result;       /* what its declaration gave */

static int done(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return 0;
}

static int nothing(void *self, const char *key, struct tmgr_bytes *ret)
{
	return 0;
}

static tmgr_method use;

static const struct tmgr_process_method use_methods[] = {
	{ .name = "Main_Use", .function = use },
	{ .name = "Main_Done", .function = done },
	{ 0 },
};

static const struct tmgr_process_definition use_definition = {
	.name = "use",
	.version = 1,
	.start = use,
	.retry = { .attempts_max = 1 },
	.methods = use_methods,
};

static const struct tmgr_process_definition *const uses[] = { &use_definition, NULL };

/* ---- Who says something ---------------------------------------------------------------------- */

static const char *said; /* that the next step says */

static int say(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	tmgr_process_log(process, "%s", said);
	return tmgr_process_receive(process, "in", done);
}

static int fail_with(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_fail(process, -EIO, "%s", said);
}

static const struct tmgr_process_definition say_definition = {
	.name = "say",
	.version = 1,
	.start = say,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Say", .function = say },
		{ .name = "Main_Done", .function = done }, { 0 } },
};

static const struct tmgr_process_definition fail_definition = {
	.name = "fail",
	.version = 1,
	.start = fail_with,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Fail",
								 .function = fail_with },
		{ 0 } },
};

static const struct tmgr_process_definition *const sayers[] = { &say_definition, &fail_definition,
	NULL };

/* Which way is in the process's id. */
static int use(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct tmgr_process_child child = { &use_definition, name, NULL };
	char id[TMGR_PROCESS_CHANNEL_MAX + 1];

	snprintf(id, sizeof(id), "%s/%s", tmgr_process_id(process), name);
	switch (tmgr_process_id(process)[0]) {
	case 'r':
		result = tmgr_process_receive(process, name, done);
		break;
	case 's':
		result = tmgr_process_send(process, id, bytes_of("x"), done);
		break;
	case 'p':
		result = tmgr_process_post(process, name, bytes_of("x"));
		break;
	case 'c':
		result = tmgr_process_close(process, id);
		break;
	case 'k':
		result = tmgr_process_call(process, &child, done);
		break;
	case 'w':
		result = tmgr_process_spawn(process, &child, NULL);
		break;
	case 'g':
		result = tmgr_process_go_named(process, name, done);
		break;
	default:
		result = tmgr_process_once(process, name, nothing, NULL, NULL);
	}
	return 0;
}

/* ---- Names that are none --------------------------------------------------------------------- */

static void a_step_fails_that_uses_a_name_that_is_not_utf8(void **state)
{
	static const char *const ways[] = { "receive", "send", "post", "close", "kall", "wspawn",
		"go", "once" };
	struct durable durable = { 0 };

	wrong = 0;
	durable_begin(&durable, uses);
	for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
		for (size_t i = 0; i < BAD_NAMES; i++) {
			char id[32];

			snprintf(id, sizeof(id), "%s%zu", ways[way], i);
			name = bad_names[i];
			IS(durable_start(&durable, &use_definition, id), 0);
			IS(result, -EINVAL);
			IS(durable_status(&durable, id), TMGR_PROCESS_FAILED);
			IS(durable_get(&durable, id)->error, -EINVAL);
		}
	}
	durable_end(&durable);
	assert_int_equal(wrong, 0);
}

static int ask(struct durable *durable, struct tmgr_process_command command)
{
	struct tmgr_process_request *request = NULL;
	int r = tmgr_processes_submit(durable->processes, &command, &request);

	tmgr_process_request_release(request);
	return r;
}

static void from_outside_a_name_that_is_not_utf8_is_refused(void **state)
{
	struct durable durable = { 0 };

	wrong = 0;
	durable_begin(&durable, uses);
	for (size_t i = 0; i < BAD_NAMES; i++) {
		char of[32], wide[32];

		snprintf(of, sizeof(of), "a/%s", bad_names[i]);
		snprintf(wide, sizeof(wide), "/%s", bad_names[i]);
#define ASK(k, ...) \
	ask(&durable, (struct tmgr_process_command){ .kind = TMGR_PROCESS_##k, __VA_ARGS__ })
		IS(ASK(START, .child = { &use_definition, bad_names[i], NULL }), -EINVAL);
		IS(ASK(SEND, .channel = of), -EINVAL);
		IS(ASK(SEND, .channel = "a/b", .key = bad_names[i]), -EINVAL);
		IS(ASK(CLOSE, .channel = of), -EINVAL);
		IS(ASK(CHANNEL_CREATE, .channel = wide), -EINVAL);
	}
	durable_end(&durable);
	assert_int_equal(wrong, 0);
}

static void a_definition_with_a_name_that_is_not_utf8_is_refused(void **state)
{
	struct tmgr_process_method methods[] = { { .name = "Main_Use", .function = use },
		{ .name = "Main_Done", .function = done }, { 0 } };
	struct tmgr_process_definition definition = use_definition;
	struct tmgr_processes *processes;
	struct tmgr_store *store;

	wrong = 0;
	assert_int_equal(tmgr_store_memory_create(&store), 0);
	assert_int_equal(tmgr_processes_create(store, NULL, &processes), 0);
	definition.methods = methods;
	definition.name = "\xff";
	IS(tmgr_processes_define(processes, &definition), -EINVAL);
	definition.name = "x";
	methods[1].name = "Main_\xff";
	IS(tmgr_processes_define(processes, &definition), -EINVAL);
	/* A name it had before may be one of then. */
	methods[1].name = "Main_Done";
	methods[1].aliases = (const char *const[]){ "Main_\xff", NULL };
	IS(tmgr_processes_define(processes, &definition), 0);
	IS(tmgr_task_error(tmgr_processes_workers(
		   processes, &(struct tmgr_processes_workers_options){ .definition = "\xff" })),
		-EINVAL);
	tmgr_processes_unref(processes);
	assert_int_equal(wrong, 0);
}

/* ---- What an earlier program has left -------------------------------------------------------- */

#define OLD "old\xff"

/* One that waits on a channel with a bad name, beside one that is paused for a bad reason. */
static const struct tmgr_store_change old_rows[] = {
	{ TMGR_STORE_PUT, TMGR_STORE_PROCESS,
		{ .process = { .id = OLD,
			  .definition = "use",
			  .status = TMGR_PROCESS_ACTIVE,
			  .version = 1,
			  .text = "",
			  .created_ms = 1,
			  .changed_ms = 1,
			  .state = { "{}", 2 } } } },
	{ TMGR_STORE_PUT, TMGR_STORE_PROCESS,
		{ .process = { .id = "paused",
			  .definition = "lost\xff",
			  .status = TMGR_PROCESS_PAUSED,
			  .version = 1,
			  .text = "for \xe2\x82",
			  .created_ms = 1,
			  .changed_ms = 1,
			  .state = { "{}", 2 } } } },
	{ TMGR_STORE_PUT, TMGR_STORE_CHANNEL,
		{ .channel = { .id = OLD "/box\xff", .capacity = 1, .created = true } } },
	{ TMGR_STORE_PUT, TMGR_STORE_CHANNEL,
		{ .channel = { .id = "/wide\xff", .capacity = 1, .created = true } } },
	{ TMGR_STORE_PUT, TMGR_STORE_GOROUTINE,
		{ .goroutine = { .process = OLD,
			  .name = "Main\xff",
			  .method = "",
			  .status = TMGR_GOROUTINE_BLOCKED,
			  .sequence = 1,
			  .text = "",
			  .from = "" } } },
	{ TMGR_STORE_PUT, TMGR_STORE_GOROUTINE,
		{ .goroutine = { .process = "paused",
			  .name = "Main",
			  .method = "Main_\xff",
			  .status = TMGR_GOROUTINE_READY,
			  .sequence = 1,
			  .text = "",
			  .from = "",
			  .arrival = TMGR_ARRIVED_START } } },
	{ TMGR_STORE_PUT, TMGR_STORE_WAIT,
		{ .wait = { .sequence = 1,
			  .kind = TMGR_PROCESS_WAIT_RECEIVE,
			  .process = OLD,
			  .goroutine = "Main\xff",
			  .target = OLD "/box\xff",
			  .method = "Main_Done" } } },
	{ TMGR_STORE_PUT, TMGR_STORE_EVENT,
		{ .event = { .sequence = 1,
			  .at_ms = 1,
			  .kind = TMGR_PROCESS_EVENT_LOG,
			  .process = OLD,
			  .goroutine = "Main\xff",
			  .method = "",
			  .text = "said \xe2\x82" } } },
};

static void begin_with(
	struct durable *durable, const struct tmgr_store_change *changes, size_t count)
{
	const struct tmgr_store_step step = { 1, changes, count };
	struct tmgr_store_opened opened;
	struct tmgr_store *store, *copy;

	assert_int_equal(tmgr_store_memory_create(&store), 0);
	assert_int_equal(store->ops->open(store, &opened), 0);
	assert_int_equal(
		store->ops->commit(store,
			&(struct tmgr_store_batch){ .now_ms = 1, .steps = &step, .count = 1 }),
		0);
	assert_int_equal(store->ops->close(store), 0);
	assert_int_equal(tmgr_store_memory_copy(store, &copy), 0);
	tmgr_store_destroy(store);
	durable_begin_on(durable, copy, uses);
	durable_settle(durable);
}

static void begin_with_what_is_old(struct durable *durable)
{
	begin_with(durable, old_rows, sizeof(old_rows) / sizeof(old_rows[0]));
}

static void old_names_and_texts_are_shown_with_what_stands_for_their_bytes(void **state)
{
	struct durable durable = { 0 };
	struct answers answers = { 0 };

	begin_with_what_is_old(&durable);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"list\"}"), 0);
	assert_int_equal(answers.count, 3);
	assert_string_equal(answers.records[0]->id, "old" INSTEAD);
	assert_string_equal(answers.records[1]->definition, "lost" INSTEAD);
	assert_string_equal(answers.records[1]->text, "for " INSTEAD INSTEAD);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"paused\"}"), 0);
	assert_string_equal(answers_record(&answers, "goroutine", "Main")->method, "Main_" INSTEAD);
	assert_non_null(strstr(answers_record(&answers, "goroutine", "Main")->why,
		"lacks the definition lost" INSTEAD));
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"channels\"}"), 0);
	assert_int_equal(answers.count, 3);
	assert_non_null(strstr(answers.records[0]->id, INSTEAD));
	assert_non_null(strstr(answers.records[1]->id, INSTEAD));
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"events\"}"), 0);
	assert_string_equal(
		answers_record(&answers, "event", "Main" INSTEAD)->text, "said " INSTEAD INSTEAD);
	answers_drop(&answers);
	durable_end(&durable);
}

/* A byte of no character is no reason to look for the beginning of one, far away. */
static void an_old_state_that_is_not_utf8_comes_in_few_parts(void **state)
{
	enum { SIZE = TMGR__PROCESS_PART + 1000 };
	char *bad = malloc(SIZE);
	const struct tmgr_store_change row = { TMGR_STORE_PUT, TMGR_STORE_PROCESS,
		{ .process = { .id = "r",
			  .definition = "use",
			  .status = TMGR_PROCESS_FINISHED,
			  .version = 1,
			  .text = "",
			  .created_ms = 1,
			  .changed_ms = INT64_C(1000000000000),
			  .state = { bad, SIZE } } } };
	struct durable durable = { 0 };
	struct answers answers = { 0 };
	size_t length = 0;

	assert_non_null(bad);
	memset(bad, 0x80, SIZE);
	begin_with(&durable, &row, 1);
	assert_int_equal(answers_ask(&durable, &answers, "{\"ask\":\"get\",\"id\":\"r\"}"), 0);
	for (size_t i = 0; i < answers.count; i++)
		if (strcmp(answers.records[i]->kind, "part") == 0)
			length += strlen(answers.records[i]->text);
	assert_int_equal(length, 3 * SIZE);
	answers_drop(&answers);
	durable_end(&durable);
	free(bad);
}

static void what_has_an_old_name_can_be_looked_at_and_ended_from_a_program(void **state)
{
	struct durable durable = { 0 };

	wrong = 0;
	begin_with_what_is_old(&durable);
	IS(durable_get(&durable, OLD)->goroutine_count, 1);
	IS_TEXT(durable_get(&durable, OLD)->goroutines[0].waits[0].target, OLD "/box\xff");
	durable_kill(&durable);
	IS(durable_send(&durable, OLD "/other", "x"), 0);
	IS(durable_do(&durable, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_CHANNEL_DELETE,
					.channel = "/wide\xff" }),
		0);
	IS(durable_do(&durable,
		   &(struct tmgr_process_command){ .kind = TMGR_PROCESS_CANCEL, .id = OLD }),
		0);
	IS(durable_status(&durable, OLD), TMGR_PROCESS_CANCELLED);
	durable_end(&durable);
	assert_int_equal(wrong, 0);
}

/* ---- Texts ----------------------------------------------------------------------------------- */

/* Of two bytes a character, from the first or the second place on, and more than are kept. */
static const char *long_text(bool odd)
{
	static char text[TMGR_PROCESS_TEXT_SIZE + 32];

	memset(text, 'x', sizeof(text));
	for (size_t i = odd; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	text[sizeof(text) - 1 - !odd] = '\0';
	return text;
}

static bool is_whole(const char *text, size_t size)
{
	return tmgr__text_is_valid(text) && strlen(text) + 2 >= size &&
	       strstr(text, INSTEAD) == NULL;
}

static void what_a_method_says_is_cut_at_a_whole_character(void **state)
{
	struct durable durable = { 0 };

	wrong = 0;
	durable_begin(&durable, sayers);
	for (int odd = 0; odd < 2; odd++) {
		char logs[] = { 'l', (char)('0' + odd), '\0' };
		char fails[] = { 'f', (char)('0' + odd), '\0' };
		const struct tmgr_process_info *info;

		said = long_text(odd);
		IS(durable_start(&durable, &say_definition, logs), 0);
		IS(is_whole(durable_event_text(&durable, logs, TMGR_PROCESS_EVENT_LOG), 255), true);
		IS(durable_do(&durable,
			   &(struct tmgr_process_command){
				   .kind = TMGR_PROCESS_PAUSE, .id = logs, .text = said }),
			0);
		IS(is_whole(durable_get(&durable, logs)->text, 255), true);
		IS(is_whole(durable_event_text(&durable, logs, TMGR_PROCESS_EVENT_PAUSED), 255),
			true);
		IS(durable_start(&durable, &fail_definition, fails), 0);
		info = durable_get(&durable, fails);
		/* With the method before it it is cut once more. */
		IS(is_whole(info->text, 255), true);
		IS(is_whole(info->goroutines[0].text, 255), true);
		IS(is_whole(durable_event_text(&durable, fails, TMGR_PROCESS_EVENT_FAILED), 255),
			true);
	}
	durable_end(&durable);
	assert_int_equal(wrong, 0);
}

static void what_a_method_says_is_made_valid_where_it_comes_in(void **state)
{
	struct durable durable = { 0 };
	const struct tmgr_process_info *info;

	wrong = 0;
	said = "b\xe4h";
	durable_begin(&durable, sayers);
	IS(durable_start(&durable, &say_definition, "l"), 0);
	IS_TEXT(durable_event_text(&durable, "l", TMGR_PROCESS_EVENT_LOG), "b" INSTEAD "h");
	IS(durable_do(&durable,
		   &(struct tmgr_process_command){
			   .kind = TMGR_PROCESS_PAUSE, .id = "l", .text = said }),
		0);
	IS_TEXT(durable_get(&durable, "l")->text, "b" INSTEAD "h");
	IS(durable_start(&durable, &fail_definition, "f"), 0);
	info = durable_get(&durable, "f");
	IS_TEXT(info->text, "Main_Fail: b" INSTEAD "h");
	IS_TEXT(info->goroutines[0].text, "b" INSTEAD "h");
	durable_end(&durable);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_step_fails_that_uses_a_name_that_is_not_utf8),
		leak_test(from_outside_a_name_that_is_not_utf8_is_refused),
		leak_test(a_definition_with_a_name_that_is_not_utf8_is_refused),
		leak_test(old_names_and_texts_are_shown_with_what_stands_for_their_bytes),
		leak_test(what_a_method_says_is_cut_at_a_whole_character),
		leak_test(what_a_method_says_is_made_valid_where_it_comes_in),
		leak_test(an_old_state_that_is_not_utf8_comes_in_few_parts),
		leak_test(what_has_an_old_name_can_be_looked_at_and_ended_from_a_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
