/* What steps of durable processes do beyond them: calls of others, effects that are done once. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/durable.h"
#include "tests/support/seen.h"

static int fails_left;

/* ---- Calls ----------------------------------------------------------------------------------- */

static int parent_end(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	see("[%s: %d %s %s]", tmgr_process_id(process), message->error, message->from,
		(const char *)message->value.data);
	return tmgr_process_finish(process, message->value);
}

static int parent_call(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_call(process,
		&(struct tmgr_process_child){
			&counter_definition, "shared", &(struct counter){ .count = 41 } },
		parent_end);
}

static int parent_own(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	char id[TMGR_PROCESS_ID_MAX + 1];

	tmgr_process_spawn(
		process, &(struct tmgr_process_child){ &counter_definition, NULL, NULL }, id);
	see("[%s]", id);
	if (fails_left > 0) {
		fails_left--;
		return -EIO;
	}
	return tmgr_process_call(process,
		&(struct tmgr_process_child){ &counter_definition, NULL, NULL }, parent_end);
}

static const struct tmgr_process_definition parent_definition = {
	.name = "parent",
	.version = 1,
	.start = parent_call,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Call",
								 .function = parent_call },
		{ .name = "Main_Own", .function = parent_own },
		{ .name = "Main_End", .function = parent_end }, { 0 } },
};

static const struct tmgr_process_definition own_definition = {
	.name = "own",
	.version = 1,
	.start = parent_own,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Own",
								 .function = parent_own },
		{ .name = "Main_End", .function = parent_end }, { 0 } },
};

static const struct tmgr_process_definition *const parents[] = { &parent_definition,
	&own_definition, &counter_definition, NULL };

static void calls_of_one_id_attach_to_it_with_many_waiters_finished_or_not(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, parents);
	assert_int_equal(durable_start(&durable, &parent_definition, "p1"), 0);
	assert_int_equal(durable_start(&durable, &parent_definition, "p2"), 0);
	assert_string_equal(durable_state(&durable, "shared"), "{\"count\":42}");
	durable_kill(&durable);
	durable_advance(&durable, TMGR_HOUR);
	assert_non_null(strstr(seen, "[p1: 0 shared 42]"));
	assert_non_null(strstr(seen, "[p2: 0 shared 42]"));
	assert_int_equal(durable_start(&durable, &parent_definition, "p3"), 0);
	assert_non_null(strstr(seen, "[p3: 0 shared 42]"));
	assert_string_equal(durable_result(&durable, "p3"), "42");
	durable_end(&durable);
}

/* Starts a counter and counts with it, all in one step. */
static int employ(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct tmgr_process_child child = { &counter_definition, NULL, NULL };
	char id[TMGR_PROCESS_ID_MAX + 1], channel[TMGR_PROCESS_CHANNEL_MAX + 1];

	tmgr_process_spawn(process, &child, id);
	snprintf(channel, sizeof(channel), "%s/count", id);
	tmgr_process_post(process, channel, bytes_of("x"));
	return tmgr_process_send(process, channel, bytes_of("y"), parent_end);
}

/* What stands before its start would be lost. */
static int employ_late(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct tmgr_process_child child = { &counter_definition, "late", NULL };

	tmgr_process_post(process, "late/count", bytes_of("x"));
	return tmgr_process_spawn(process, &child, NULL);
}

static int employ_other(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct tmgr_process_child child = { &counter_definition, "other", NULL };

	tmgr_process_spawn(process, &child, NULL);
	return tmgr_process_post(process, "other/@1.1", bytes_of("x"));
}

static const struct tmgr_process_definition *employer(tmgr_method *start)
{
	static struct tmgr_process_method methods[3];
	static struct tmgr_process_definition definition;

	methods[0] = (struct tmgr_process_method){ .name = "Main_Employ", .function = start };
	methods[1] = (struct tmgr_process_method){ .name = "Main_End", .function = parent_end };
	definition = (struct tmgr_process_definition){ .name = "employer",
		.version = 1,
		.start = start,
		.retry = { .attempts_max = 1 },
		.methods = methods };
	return &definition;
}

static void employ_with(struct durable *durable, tmgr_method *start)
{
	durable_begin(durable, (const struct tmgr_process_definition *const[]){
				       employer(start), &counter_definition, NULL });
	assert_int_equal(durable_start(durable, employer(start), "e"), 0);
}

static void a_process_is_sent_to_in_the_step_that_starts_it(void **state)
{
	struct durable durable = { 0 };

	employ_with(&durable, employ);
	assert_string_equal(seen, "[e: 0 e.2.1/count ]");
	durable_kill(&durable);
	assert_string_equal(durable_state(&durable, "e.2.1"), "{\"count\":3}");
	durable_end(&durable);
}

static void before_it_is_started_or_to_what_it_has_not_made_it_is_not(void **state)
{
	static tmgr_method *const starts[] = { employ_late, employ_other };
	static const char *const ids[] = { "late", "other" };
	struct durable durable = { 0 };

	for (int i = 0; i < 2; i++) {
		employ_with(&durable, starts[i]);
		assert_int_equal(durable_status(&durable, "e"), TMGR_PROCESS_FAILED);
		assert_int_equal(durable_get(&durable, "e")->error, -ENOENT);
		assert_null(durable_get(&durable, ids[i]));
		durable_end(&durable);
	}
}

static void the_caller_of_a_cancelled_process_is_told_so(void **state)
{
	struct durable durable = { 0 };
	char wanted[64];

	durable_begin(&durable, parents);
	assert_int_equal(durable_start(&durable, &parent_definition, "p"), 0);
	assert_int_equal(
		durable_do(&durable, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_CANCEL,
					     .id = "shared" }),
		0);
	snprintf(wanted, sizeof(wanted), "[p: %d shared ]", -ECANCELED);
	assert_string_equal(seen, wanted);
	assert_int_equal(durable_status(&durable, "shared"), TMGR_PROCESS_CANCELLED);
	durable_end(&durable);
}

static void ids_made_in_a_step_are_the_same_when_it_runs_again(void **state)
{
	struct durable durable = { 0 };
	char *second;

	fails_left = 1;
	durable_begin(&durable, parents);
	assert_int_equal(durable_start(&durable, &own_definition, "p"), 0);
	durable_kill(&durable);
	durable_advance(&durable, 100 * TMGR_MILLISECOND);
	second = strchr(seen + 1, '[');
	assert_non_null(second);
	assert_int_equal(strlen(second) * 2, strlen(seen));
	assert_memory_equal(seen, second, strlen(second));
	durable_end(&durable);
}

/* ---- Effects --------------------------------------------------------------------------------- */

static int effects_done;

static int effect(void *self, const char *key, struct tmgr_bytes *ret)
{
	see("[%s]", key);
	effects_done++;
	*ret = bytes_of("paid");
	return 0;
}

static int failing_effect(void *self, const char *key, struct tmgr_bytes *ret)
{
	return -ECONNREFUSED;
}

static int pay_main(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct tmgr_bytes result;
	int r = tmgr_process_once(process, "pay", effect, NULL, &result);

	if (r != 0)
		return r;
	assert_int_equal(result.size, 4);
	if (fails_left > 0) {
		fails_left--;
		return -EIO;
	}
	return tmgr_process_finish(process, result);
}

static int pay_fail(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	assert_int_equal(
		tmgr_process_once(process, "pay", failing_effect, NULL, NULL), -ECONNREFUSED);
	return tmgr_process_default(process, pay_main);
}

static const struct tmgr_process_definition pay_definition = {
	.name = "pay",
	.version = 1,
	.start = pay_fail,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Fail",
								 .function = pay_fail },
		{ .name = "Main_Pay", .function = pay_main }, { 0 } },
};

static const struct tmgr_process_definition *const pays[] = { &pay_definition, NULL };

static void an_effect_is_done_once_and_its_result_given_again_also_after_a_kill(void **state)
{
	struct durable durable = { 0 };

	fails_left = 3;
	effects_done = 0;
	durable_begin(&durable, pays);
	assert_int_equal(durable_start(&durable, &pay_definition, "p"), 0);
	assert_int_equal(effects_done, 1);
	durable_kill(&durable);
	durable_advance(&durable, TMGR_SECOND);
	durable_kill(&durable);
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(effects_done, 1);
	assert_string_equal(durable_result(&durable, "p"), "paid");
	durable_end(&durable);
}

static int name_effect(void *self, const char *key, struct tmgr_bytes *ret)
{
	see("%s\n", key);
	*ret = bytes_of(strcmp(self, "one") == 0 ? "1" : "2");
	return 0;
}

/* Two effects, the second of which is done in a later attempt. */
static int two_main(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct tmgr_bytes first, second;
	char one[] = "one", two[] = "two";

	effects_done++;
	assert_int_equal(tmgr_process_once(process, one, name_effect, one, &first), 0);
	if (effects_done == 1)
		return -EIO;
	assert_int_equal(tmgr_process_once(process, two, name_effect, two, &second), 0);
	assert_string_equal(first.data, "1");
	assert_string_equal(second.data, "2");
	if (effects_done == 2)
		return -EIO;
	/* The next step's are others, though they have the same names. */
	return effects_done == 3 ? tmgr_process_default(process, two_main) : 0;
}

static const struct tmgr_process_definition two_definition = {
	.name = "two",
	.version = 1,
	.start = two_main,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Two",
								 .function = two_main },
		{ 0 } },
};

static void effects_of_a_step_have_keys_and_results_of_their_own(void **state)
{
	const struct tmgr_process_definition *const twos[] = { &two_definition, NULL };
	struct durable durable = { 0 };
	char *keys[5] = { seen };

	effects_done = 0;
	durable_begin(&durable, twos);
	assert_int_equal(durable_start(&durable, &two_definition, "t"), 0);
	durable_kill(&durable);
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_status(&durable, "t"), TMGR_PROCESS_FINISHED);
	assert_int_equal(effects_done, 4);
	for (int i = 0; i < 4; i++) {
		keys[i + 1] = strchr(keys[i], '\n');
		assert_non_null(keys[i + 1]);
		*keys[i + 1]++ = '\0';
		for (int k = 0; k < i; k++)
			assert_string_not_equal(keys[i], keys[k]);
	}
	assert_string_equal(keys[4], "");
	durable_end(&durable);
}

/* The store as it is when an effect's result is given. */
static struct tmgr_store *durable_store, *store_then;

static int keep_main(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct tmgr_bytes result;

	assert_int_equal(tmgr_process_once(process, "pay", effect, NULL, &result), 0);
	if (store_then == NULL)
		assert_int_equal(tmgr_store_memory_copy(durable_store, &store_then), 0);
	return tmgr_process_finish(process, result);
}

static const struct tmgr_process_definition keep_definition = {
	.name = "keep",
	.version = 1,
	.start = keep_main,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Keep",
								 .function = keep_main },
		{ 0 } },
};

static void an_effects_result_is_stored_before_its_method_has_it(void **state)
{
	const struct tmgr_process_definition *const keeps[] = { &keep_definition, NULL };
	struct durable durable = { 0 };

	effects_done = 0;
	store_then = NULL;
	durable_begin(&durable, keeps);
	durable_store = durable.store;
	assert_int_equal(durable_start(&durable, &keep_definition, "k"), 0);
	assert_string_equal(durable_result(&durable, "k"), "paid");
	durable_end(&durable);
	/* As if killed there: the method is called again, and the effect is not. */
	durable_begin_on(&durable, store_then, keeps);
	durable_settle(&durable);
	assert_string_equal(durable_result(&durable, "k"), "paid");
	assert_int_equal(effects_done, 1);
	durable_end(&durable);
}

static int keys_main(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	char first[TMGR_PROCESS_KEY_MAX + 1], second[TMGR_PROCESS_KEY_MAX + 1];

	tmgr_process_key(process, first);
	tmgr_process_key(process, second);
	assert_string_not_equal(first, second);
	see("%s %s\n", first, second);
	if (fails_left-- > 0)
		return -EIO;
	return message->arrival == TMGR_ARRIVED_DEFAULT ? 0
							: tmgr_process_default(process, keys_main);
}

static const struct tmgr_process_definition keys_definition = {
	.name = "keys",
	.version = 1,
	.start = keys_main,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Keys",
								 .function = keys_main },
		{ 0 } },
};

static void keys_are_those_of_the_step_and_of_no_other(void **state)
{
	struct durable durable = { 0 };
	const struct tmgr_process_definition *const keys[] = { &keys_definition, NULL };
	char *second, *third;

	fails_left = 1;
	durable_begin(&durable, keys);
	assert_int_equal(durable_start(&durable, &keys_definition, "k"), 0);
	durable_advance(&durable, TMGR_SECOND);
	second = strchr(seen, '\n') + 1;
	third = strchr(second, '\n') + 1;
	assert_memory_equal(seen, second, (size_t)(second - seen));
	assert_memory_not_equal(second, third, (size_t)(third - second));
	durable_end(&durable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		seen_test(calls_of_one_id_attach_to_it_with_many_waiters_finished_or_not),
		seen_test(a_process_is_sent_to_in_the_step_that_starts_it),
		seen_test(before_it_is_started_or_to_what_it_has_not_made_it_is_not),
		seen_test(the_caller_of_a_cancelled_process_is_told_so),
		seen_test(ids_made_in_a_step_are_the_same_when_it_runs_again),
		seen_test(an_effect_is_done_once_and_its_result_given_again_also_after_a_kill),
		seen_test(effects_of_a_step_have_keys_and_results_of_their_own),
		seen_test(an_effects_result_is_stored_before_its_method_has_it),
		seen_test(keys_are_those_of_the_step_and_of_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
