/* The limits of durable processes: what is as long as it may be works, also after a kill, and what is one longer is refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/durable.h"
#include "tests/support/seen.h"

static const struct tmgr_process_definition *using(tmgr_method *start)
{
	static struct tmgr_process_method methods[3];
	static struct tmgr_process_definition definition;

	methods[0] = (struct tmgr_process_method){ .name = "Main_Use", .function = start };
	methods[1] = (struct tmgr_process_method){ .name = "Main_End", .function = counter_done };
	definition = (struct tmgr_process_definition){ .name = "using",
		.version = 1,
		.state = TMGR_STATE(struct counter, counter_fields),
		.start = start,
		.retry = { .attempts_max = 1 },
		.methods = methods };
	return &definition;
}

static void begin(struct durable *durable, tmgr_method *start)
{
	durable_begin(durable, (const struct tmgr_process_definition *const[]){
				       using(start), &counter_definition, NULL });
}

static void expect_failed(struct durable *durable, const char *id, int error)
{
	assert_int_equal(durable_status(durable, id), TMGR_PROCESS_FAILED);
	assert_int_equal(durable_get(durable, id)->error, error);
}

/* ---- Cases ----------------------------------------------------------------------------------- */

static int select_many(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	char name[16];

	if (message->arrival == TMGR_ARRIVED_MESSAGE) {
		see("%u from %s", message->case_index, message->from);
		return 0;
	}
	for (int i = 0; i < TMGR_PROCESS_CASES_MAX; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		assert_int_equal(tmgr_process_receive(process, name, select_many), 0);
	}
	if (tmgr_process_id(process)[0] == 'm')
		assert_int_equal(tmgr_process_default(process, select_many), -E2BIG);
	return 0;
}

static void a_select_has_64_cases_and_with_one_more_its_step_fails(void **state)
{
	struct durable durable = { 0 };

	begin(&durable, select_many);
	assert_int_equal(durable_start(&durable, using(select_many), "many"), 0);
	expect_failed(&durable, "many", -E2BIG);
	assert_int_equal(durable_start(&durable, using(select_many), "all"), 0);
	durable_kill(&durable);
	assert_int_equal(durable_send(&durable, "all/c63", "x"), 0);
	assert_string_equal(seen, "63 from all/c63");
	assert_int_equal(durable_status(&durable, "all"), TMGR_PROCESS_FINISHED);
	durable_end(&durable);
}

/* ---- Values ---------------------------------------------------------------------------------- */

static char much[TMGR_PROCESS_VALUE_MAX + 1];

static int give_much(void *self, const char *key, struct tmgr_bytes *ret)
{
	*ret = *(const struct tmgr_bytes *)self;
	return 0;
}

/* Which way is the first letter of the process's id; of 'x' more than there may be. */
static int use_much(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const char *id = tmgr_process_id(process);
	struct tmgr_bytes value = { much, TMGR_PROCESS_VALUE_MAX + (id[1] == 'x') }, kept;
	int wanted = id[1] == 'x' ? -EMSGSIZE : 0;

	switch (id[0]) {
	case 's':
		assert_int_equal(tmgr_process_send(process, "/box", value, counter_done), wanted);
		break;
	case 'p':
		/* Nothing is a value too. */
		assert_int_equal(
			tmgr_process_post(process, "/box", (struct tmgr_bytes){ NULL, 0 }), 0);
		assert_int_equal(tmgr_process_post(process, "/box", value), wanted);
		break;
	case 'f':
		assert_int_equal(tmgr_process_finish(process, value), wanted);
		break;
	default:
		assert_int_equal(
			tmgr_process_once(process, "effect", give_much, &value, &kept), wanted);
		assert_true(wanted != 0 || kept.size == TMGR_PROCESS_VALUE_MAX);
	}
	return 0;
}

static size_t result_size(struct durable *durable, const char *id)
{
	struct tmgr_process_request *request;
	size_t size;

	assert_int_equal(
		tmgr_processes_do(NULL, durable->processes,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_RESULT, .id = id },
			TMGR_NEVER, &request),
		0);
	size = tmgr_process_request_value(request).size;
	tmgr_process_request_release(request);
	return size;
}

static void a_value_may_be_so_long_and_a_longer_one_fails_its_step(void **state)
{
	static const char *const ways[] = { "s", "p", "f", "o" };
	struct durable durable = { 0 };

	begin(&durable, use_much);
	assert_int_equal(
		durable_do(&durable,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_CHANNEL_CREATE,
				.channel = "/box",
				.capacity = 4 }),
		0);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		char too_long[] = { ways[i][0], 'x', '\0' };

		assert_int_equal(durable_start(&durable, using(use_much), ways[i]), 0);
		assert_int_equal(durable_events(&durable, ways[i], TMGR_PROCESS_EVENT_FINISHED), 1);
		assert_int_equal(durable_start(&durable, using(use_much), too_long), 0);
		expect_failed(&durable, too_long, -EMSGSIZE);
	}
	durable_kill(&durable);
	assert_int_equal(result_size(&durable, "f"), TMGR_PROCESS_VALUE_MAX);
	assert_int_equal(
		durable_do(&durable, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_SEND,
					     .channel = "/box",
					     .value = { much, TMGR_PROCESS_VALUE_MAX } }),
		0);
	durable_end(&durable);
}

/* ---- Names and ids --------------------------------------------------------------------------- */

/* So many letters, the last of them this; of the last few calls. */
static const char *letters(size_t count, char last)
{
	static char texts[4][300];
	static unsigned turn;
	char *text = texts[turn++ % 4];

	memset(text, 'a', count);
	text[count - 1] = last;
	text[count] = '\0';
	return text;
}

static int name_much(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	size_t size = TMGR_PROCESS_NAME_MAX + (tmgr_process_id(process)[0] == 'x');
	int wanted = size > TMGR_PROCESS_NAME_MAX ? -EINVAL : 0;
	struct tmgr_process_child child = { &counter_definition,
		letters(TMGR_PROCESS_ID_MAX + (wanted != 0), 'c'), NULL };

	if (message->arrival != TMGR_ARRIVED_START)
		return 0;
	assert_int_equal(tmgr_process_go_named(process, letters(size, 'g'), counter_done), wanted);
	assert_int_equal(tmgr_process_receive(process, letters(size, 'r'), counter_done), wanted);
	assert_int_equal(tmgr_process_spawn(process, &child, NULL), wanted);
	assert_int_equal(
		tmgr_process_once(process, letters(TMGR_PROCESS_KEY_MAX + (wanted != 0), 'o'),
			give_much, &(struct tmgr_bytes){ "", 0 }, NULL),
		wanted);
	return 0;
}

static int send_with_key(struct durable *durable, const char *key)
{
	return tmgr_processes_send(NULL, durable->processes,
		&(struct tmgr_process_outside){ "/box", bytes_of("x"), key }, TMGR_NEVER);
}

static void names_ids_and_keys_may_be_so_long_and_not_longer(void **state)
{
	struct durable durable = { 0 };
	char longest[TMGR_PROCESS_ID_MAX + 1], channel[TMGR_PROCESS_CHANNEL_MAX + 1];

	begin(&durable, name_much);
	assert_int_equal(durable_start(&durable, using(name_much), "x"), 0);
	expect_failed(&durable, "x", -EINVAL);
	assert_int_equal(durable_start(&durable, using(name_much), "n"), 0);
	assert_int_equal(durable_status(&durable, "n"), TMGR_PROCESS_FINISHED);
	assert_int_equal(
		durable_status(&durable, letters(TMGR_PROCESS_ID_MAX, 'c')), TMGR_PROCESS_ACTIVE);
	assert_int_equal(tmgr_processes_start(NULL, durable.processes,
				 &(struct tmgr_process_child){ using(name_much),
					 letters(TMGR_PROCESS_ID_MAX + 1, 'z'), NULL },
				 TMGR_NEVER),
		-EINVAL);
	strcpy(longest, letters(TMGR_PROCESS_ID_MAX, 'z'));
	assert_int_equal(durable_start(&durable, &counter_definition, longest), 0);
	snprintf(channel, sizeof(channel), "%s/%s", longest, letters(TMGR_PROCESS_NAME_MAX, 'c'));
	assert_int_equal(durable_send(&durable, channel, "x"), 0);
	snprintf(channel, sizeof(channel), "/%s", letters(TMGR_PROCESS_NAME_MAX + 1, 'c'));
	assert_int_equal(durable_send(&durable, "/box", "x"), -ENOENT);
	assert_int_equal(
		tmgr_processes_send(NULL, durable.processes,
			&(struct tmgr_process_outside){ channel, bytes_of("x"), NULL }, TMGR_NEVER),
		-EINVAL);
	assert_int_equal(
		durable_do(&durable,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_CHANNEL_CREATE,
				.channel = "/box",
				.capacity = TMGR_PROCESS_CAPACITY_MAX }),
		0);
	assert_int_equal(send_with_key(&durable, letters(TMGR_PROCESS_KEY_MAX, 'k')), 0);
	assert_int_equal(send_with_key(&durable, letters(TMGR_PROCESS_KEY_MAX + 1, 'k')), -EINVAL);
	durable_kill(&durable);
	assert_int_equal(send_with_key(&durable, letters(TMGR_PROCESS_KEY_MAX, 'k')), 0);
	assert_int_equal(durable_events(&durable, NULL, TMGR_PROCESS_EVENT_SENT), 2);
	durable_end(&durable);
}

static int spawn_two(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct tmgr_process_child child = { &counter_definition, NULL, NULL };
	char id[TMGR_PROCESS_ID_MAX + 1];

	for (int i = 0; i < 2; i++) {
		assert_int_equal(tmgr_process_spawn(process, &child, id), 0);
		see("%s\n", id);
	}
	return 0;
}

/* Their parents' ids are too long to stand in theirs, and differ only in the end. */
static void children_of_processes_with_long_ids_are_told_apart(void **state)
{
	struct durable durable = { 0 };
	char *ids[5] = { seen };

	begin(&durable, spawn_two);
	assert_int_equal(
		durable_start(&durable, using(spawn_two), letters(TMGR_PROCESS_ID_MAX, 'x')), 0);
	assert_int_equal(
		durable_start(&durable, using(spawn_two), letters(TMGR_PROCESS_ID_MAX, 'y')), 0);
	for (int i = 0; i < 4; i++) {
		ids[i + 1] = strchr(ids[i], '\n');
		assert_non_null(ids[i + 1]);
		*ids[i + 1]++ = '\0';
		assert_int_equal(durable_status(&durable, ids[i]), TMGR_PROCESS_ACTIVE);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(ids[i], ids[k]);
	}
	/* They would differ by their sequence alone: what stands before it must too. */
	assert_memory_not_equal(ids[0], ids[2], strcspn(ids[0], "."));
	assert_memory_equal(ids[0], ids[1], strcspn(ids[0], "."));
	durable_end(&durable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		seen_test(a_select_has_64_cases_and_with_one_more_its_step_fails),
		seen_test(a_value_may_be_so_long_and_a_longer_one_fails_its_step),
		seen_test(names_ids_and_keys_may_be_so_long_and_not_longer),
		seen_test(children_of_processes_with_long_ids_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
