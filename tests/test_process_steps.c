/* Steps of durable processes: all or nothing, once, in order; what a method may declare. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/durable.h"
#include "tests/support/leak.h"

/* What methods write down, outside of all processes: kept over kills. */
static char seen[4096];

static void see(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void see(const char *format, ...)
{
	size_t length = strlen(seen);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(seen + length, sizeof(seen) - length, format, arguments);
	va_end(arguments);
}

static int forget(void **state)
{
	seen[0] = '\0';
	return leak_setup(state);
}

#define steps_test(function) cmocka_unit_test_setup_teardown(function, forget, leak_teardown)

static const char *text_of(const struct tmgr_message *message)
{
	return message->value.data;
}

/* ---- The counter ----------------------------------------------------------------------------- */

struct counter {
	int64_t count;
};

static const struct tmgr_state_field counter_fields[] = {
	TMGR_FIELD(struct counter, count),
};

static int main_done(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	char result[32];

	snprintf(result, sizeof(result), "%lld", (long long)((struct counter *)state)->count);
	return tmgr_process_finish(process, bytes_of(result));
}

static int main_count(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct counter *self = state;

	self->count++;
	tmgr_process_receive(process, "count", main_count);
	tmgr_process_after(process, TMGR_HOUR, main_done);
	return 0;
}

static const struct tmgr_process_definition counter_definition = {
	.name = "counter",
	.version = 1,
	.state = TMGR_STATE(struct counter, counter_fields),
	.start = main_count,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Count",
								 .function = main_count },
		{ .name = "Main_Done", .function = main_done }, { 0 } },
};

static const struct tmgr_process_definition *const counters[] = { &counter_definition, NULL };

static void the_counter_counts_and_ends_an_hour_after_the_last_message(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, counters);
	assert_int_equal(durable_start(&durable, &counter_definition, "c"), 0);
	assert_string_equal(durable_state(&durable, "c"), "{\"count\":1}");
	assert_int_equal(durable_send(&durable, "c/count", "x"), 0);
	assert_string_equal(durable_state(&durable, "c"), "{\"count\":2}");
	durable_advance(&durable, TMGR_HOUR - TMGR_MILLISECOND);
	assert_int_equal(durable_send(&durable, "c/count", "x"), 0);
	durable_advance(&durable, TMGR_HOUR - TMGR_MILLISECOND);
	assert_int_equal(durable_status(&durable, "c"), TMGR_PROCESS_ACTIVE);
	durable_advance(&durable, TMGR_MILLISECOND);
	assert_int_equal(durable_status(&durable, "c"), TMGR_PROCESS_FINISHED);
	assert_string_equal(durable_result(&durable, "c"), "3");
	durable_end(&durable);
}

static void state_and_waits_survive_a_kill_between_any_two_steps(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, counters);
	assert_int_equal(durable_start(&durable, &counter_definition, "c"), 0);
	for (int i = 0; i < 10; i++) {
		durable_kill(&durable);
		durable_settle(&durable);
		assert_int_equal(durable_send(&durable, "c/count", "x"), 0);
	}
	assert_string_equal(durable_state(&durable, "c"), "{\"count\":11}");
	durable_kill(&durable);
	durable_advance(&durable, TMGR_HOUR);
	durable_kill(&durable);
	assert_string_equal(durable_result(&durable, "c"), "11");
	durable_end(&durable);
}

/*
 * A kill after each single thing that can happen: what was acknowledged is there, and all that was sent
 * is counted once.
 */
static void killed_after_any_number_of_moves_nothing_acknowledged_is_lost_or_doubled(void **state)
{
	for (int moves = 0; moves < 60; moves++) {
		struct durable durable = { .options.seed = (uint64_t)moves };
		struct tmgr_process_request *requests[4];
		int acknowledged = 0, count;

		durable_begin(&durable, counters);
		assert_int_equal(durable_start(&durable, &counter_definition, "c"), 0);
		for (int i = 0; i < 4; i++) {
			char key[8];

			snprintf(key, sizeof(key), "k%d", i);
			assert_int_equal(
				tmgr_processes_submit(durable.processes,
					&(struct tmgr_process_command){ .kind = TMGR_PROCESS_SEND,
						.channel = "c/count",
						.key = key },
					&requests[i]),
				0);
		}
		for (int i = 0; i < moves; i++)
			tmgr_processes_drive(durable.processes);
		for (int i = 0; i < 4; i++) {
			acknowledged += tmgr_future_done(tmgr_process_request_future(requests[i]));
			tmgr_process_request_release(requests[i]);
		}
		durable_kill(&durable);
		durable_settle(&durable);
		assert_int_equal(sscanf(durable_state(&durable, "c"), "{\"count\":%d}", &count), 1);
		assert_in_range(count, 1 + acknowledged, 5);
		/* Sent again with the same keys those that were lost arrive, the others not twice. */
		for (int i = 0; i < 4; i++) {
			char key[8];

			snprintf(key, sizeof(key), "k%d", i);
			assert_int_equal(
				durable_do(&durable,
					&(struct tmgr_process_command){ .kind = TMGR_PROCESS_SEND,
						.channel = "c/count",
						.key = key }),
				0);
		}
		assert_string_equal(durable_state(&durable, "c"), "{\"count\":5}");
		durable_end(&durable);
	}
}

static void starting_an_id_twice_is_eexist_also_when_it_is_over(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, counters);
	assert_int_equal(durable_start(&durable, &counter_definition, "c"), 0);
	assert_int_equal(durable_start(&durable, &counter_definition, "c"), -EEXIST);
	durable_advance(&durable, TMGR_HOUR);
	durable_kill(&durable);
	assert_int_equal(durable_start(&durable, &counter_definition, "c"), -EEXIST);
	assert_string_equal(durable_result(&durable, "c"), "1");
	durable_end(&durable);
}

static void the_state_given_at_the_start_is_the_first_methods(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, counters);
	assert_int_equal(durable_start_with(&durable, &counter_definition, "c",
				 &(struct counter){ .count = INT64_C(1) << 60 }),
		0);
	assert_string_equal(durable_state(&durable, "c"), "{\"count\":\"1152921504606846977\"}");
	durable_end(&durable);
}

/* ---- What a failed method leaves ------------------------------------------------------------- */

static int fails_left;

static int fickle_try(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct counter *self = state;
	char id[TMGR_PROCESS_CHANNEL_MAX + 1];

	self->count++;
	see("%u", tmgr_process_attempts(process));
	tmgr_process_post(process, "/box", bytes_of("x"));
	tmgr_process_channel(process, 3, id);
	tmgr_process_spawn(
		process, &(struct tmgr_process_child){ &counter_definition, "child", NULL }, NULL);
	tmgr_process_log(process, "line");
	if (fails_left > 0) {
		fails_left--;
		return tmgr_process_fail(process, -EIO, "the upstream is down");
	}
	tmgr_process_receive(process, id, main_done);
	return 0;
}

static const struct tmgr_process_definition fickle_definition = {
	.name = "fickle",
	.version = 1,
	.state = TMGR_STATE(struct counter, counter_fields),
	.start = fickle_try,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Try",
								 .function = fickle_try },
		{ .name = "Main_Done", .function = main_done }, { 0 } },
};

static const struct tmgr_process_definition *const fickles[] = { &fickle_definition,
	&counter_definition, NULL };

static size_t buffered(struct durable *durable, const char *id)
{
	struct tmgr_process_request *request;
	const struct tmgr_process_channel_info *infos;
	size_t count, found = 0;

	assert_int_equal(tmgr_processes_do(NULL, durable->processes,
				 &(struct tmgr_process_command){ .kind = TMGR_PROCESS_CHANNELS },
				 TMGR_NEVER, &request),
		0);
	infos = tmgr_process_request_channels(request, &count);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(infos[i].id, id) == 0)
			found = infos[i].buffered + infos[i].senders;
	}
	tmgr_process_request_release(request);
	return found;
}

static int create_box(struct durable *durable, uint32_t capacity)
{
	return durable_do(durable, &(struct tmgr_process_command){
					   .kind = TMGR_PROCESS_CHANNEL_CREATE,
					   .channel = "/box",
					   .capacity = capacity,
				   });
}

static void a_method_that_fails_leaves_nothing_and_is_tried_again_with_backoff(void **state)
{
	struct durable durable = { 0 };

	fails_left = 4;
	durable_begin(&durable, fickles);
	assert_int_equal(create_box(&durable, 0), 0);
	assert_int_equal(durable_start(&durable, &fickle_definition, "f"), 0);
	assert_string_equal(seen, "0");
	assert_int_equal(buffered(&durable, "/box"), 0);
	assert_int_equal(durable_status(&durable, "child"), 0);
	assert_string_equal(durable_state(&durable, "f"), "{}");
	assert_int_equal(durable_events(&durable, "f", TMGR_PROCESS_EVENT_LOG), 0);
	durable_advance(&durable, 99 * TMGR_MILLISECOND);
	assert_string_equal(seen, "0");
	durable_advance(&durable, TMGR_MILLISECOND);
	assert_string_equal(seen, "01");
	durable_advance(&durable, 199 * TMGR_MILLISECOND);
	assert_string_equal(seen, "01");
	durable_advance(&durable, TMGR_MILLISECOND);
	assert_string_equal(seen, "012");
	durable_kill(&durable);
	durable_advance(&durable, 400 * TMGR_MILLISECOND);
	assert_string_equal(seen, "0123");
	durable_advance(&durable, 800 * TMGR_MILLISECOND);
	assert_string_equal(seen, "01234");
	assert_string_equal(durable_state(&durable, "f"), "{\"count\":1}");
	assert_int_equal(buffered(&durable, "/box"), 1);
	assert_int_equal(durable_status(&durable, "child"), TMGR_PROCESS_ACTIVE);
	assert_int_equal(durable_events(&durable, "f", TMGR_PROCESS_EVENT_RETRY), 4);
	assert_int_equal(durable_events(&durable, "f", TMGR_PROCESS_EVENT_LOG), 1);
	durable_end(&durable);
}

static void after_ten_attempts_it_is_failed_with_its_error_and_can_be_resumed(void **state)
{
	struct durable durable = { 0 };
	const struct tmgr_process_info *info;

	fails_left = 10;
	durable_begin(&durable, fickles);
	assert_int_equal(create_box(&durable, 0), 0);
	assert_int_equal(durable_start(&durable, &fickle_definition, "f"), 0);
	/* 100 ms doubled eight times and cut at 30 s: 100 + 200 + ... + 25.6 s. */
	durable_advance(&durable, 51100 * TMGR_MILLISECOND - TMGR_MILLISECOND);
	assert_string_equal(seen, "012345678");
	assert_int_equal(durable_status(&durable, "f"), TMGR_PROCESS_ACTIVE);
	durable_advance(&durable, TMGR_MILLISECOND);
	assert_string_equal(seen, "0123456789");
	durable_kill(&durable);
	info = durable_get(&durable, "f");
	assert_int_equal(info->status, TMGR_PROCESS_FAILED);
	assert_int_equal(info->error, -EIO);
	assert_string_equal(info->text, "Main_Try: the upstream is down");
	assert_int_equal(info->goroutines[0].attempts, 10);
	durable_advance(&durable, TMGR_HOUR);
	assert_int_equal(strlen(seen), 10);
	assert_int_equal(
		durable_do(&durable,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_RESUME, .id = "f" }),
		0);
	assert_string_equal(seen, "01234567890");
	assert_int_equal(durable_status(&durable, "f"), TMGR_PROCESS_ACTIVE);
	assert_string_equal(durable_state(&durable, "f"), "{\"count\":1}");
	durable_end(&durable);
}

/* ---- Goroutines ------------------------------------------------------------------------------ */

static int talk_listen(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (message->arrival == TMGR_ARRIVED_MESSAGE)
		see("[%s from %s]", text_of(message), message->from);
	if (message->arrival == TMGR_ARRIVED_CLOSED)
		return 0;
	return tmgr_process_receive(process, "talk", talk_listen);
}

static int talk_say(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (message->arrival == TMGR_ARRIVED_START) {
		assert_int_equal(tmgr_process_go(process, talk_listen), 0);
		assert_int_equal(tmgr_process_go(process, talk_listen), -EEXIST);
	}
	return 0;
}

static int talk_main(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct counter *self = state;
	char text[32];

	if (self->count == 0)
		tmgr_process_go(process, talk_listen);
	if (self->count == 3)
		return tmgr_process_close(process, "talk");
	snprintf(text, sizeof(text), "%lld", (long long)++self->count);
	return tmgr_process_send(process, "talk", bytes_of(text), talk_main);
}

static const struct tmgr_process_definition talk_definition = {
	.name = "talk",
	.version = 1,
	.state = TMGR_STATE(struct counter, counter_fields),
	.start = talk_main,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Say",
								 .function = talk_main },
		{ .name = "Ear_Listen", .function = talk_listen }, { 0 } },
};

static const struct tmgr_process_definition twice_definition = {
	.name = "twice",
	.version = 1,
	.state = TMGR_STATE(struct counter, counter_fields),
	.start = talk_say,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Say",
								 .function = talk_say },
		{ .name = "Ear_Listen", .function = talk_listen }, { 0 } },
};

static const struct tmgr_process_definition *const talks[] = { &talk_definition, &twice_definition,
	NULL };

static void two_goroutines_of_one_process_talk_and_the_last_that_ends_ends_it(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, talks);
	assert_int_equal(durable_start(&durable, &talk_definition, "t"), 0);
	assert_string_equal(seen, "[1 from t/talk][2 from t/talk][3 from t/talk]");
	assert_int_equal(durable_status(&durable, "t"), TMGR_PROCESS_FINISHED);
	assert_int_equal(durable_events(&durable, "t", TMGR_PROCESS_EVENT_NO_RESULT), 1);
	durable_end(&durable);
}

static void going_with_a_live_name_is_eexist_and_fails_the_step(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, talks);
	assert_int_equal(durable_start(&durable, &twice_definition, "t"), 0);
	assert_int_equal(durable_status(&durable, "t"), TMGR_PROCESS_FAILED);
	assert_int_equal(durable_get(&durable, "t")->error, -EEXIST);
	durable_end(&durable);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static int parent_end(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	see("[%s: %d %s %s]", tmgr_process_id(process), message->error, message->from,
		text_of(message));
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

/* ---- Cancel, finish -------------------------------------------------------------------------- */

static int saga_undo(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (message->arrival == TMGR_ARRIVED_CANCEL) {
		see("[undo]");
		return tmgr_process_after(process, TMGR_SECOND, saga_undo);
	}
	see("[undone]");
	return 0;
}

static int saga_main(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (message->arrival != TMGR_ARRIVED_START)
		see("[main goes on]");
	tmgr_process_receive(process, "never", saga_main);
	return 0;
}

static const struct tmgr_process_definition saga_definition = {
	.name = "saga",
	.version = 1,
	.start = saga_main,
	.cancel = saga_undo,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = saga_main },
		{ .name = "Cancel_Undo", .function = saga_undo }, { 0 } },
};

static const struct tmgr_process_definition *const sagas[] = { &saga_definition, NULL };

static void cancel_ends_the_goroutines_and_runs_the_cancel_method_last(void **state)
{
	struct durable durable = { 0 };
	const struct tmgr_process_command cancel = { .kind = TMGR_PROCESS_CANCEL, .id = "s" };

	durable_begin(&durable, sagas);
	assert_int_equal(durable_start(&durable, &saga_definition, "s"), 0);
	assert_int_equal(durable_do(&durable, &cancel), 0);
	assert_string_equal(seen, "[undo]");
	assert_int_equal(durable_do(&durable, &cancel), -EALREADY);
	durable_kill(&durable);
	assert_int_equal(durable_do(&durable, &cancel), -EALREADY);
	assert_int_equal(durable_status(&durable, "s"), TMGR_PROCESS_ACTIVE);
	assert_int_equal(durable_send(&durable, "s/never", "x"), 0);
	durable_advance(&durable, TMGR_SECOND);
	assert_string_equal(seen, "[undo][undone]");
	assert_int_equal(durable_status(&durable, "s"), TMGR_PROCESS_CANCELLED);
	assert_int_equal(durable_do(&durable, &cancel), -ESRCH);
	durable_end(&durable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		steps_test(the_counter_counts_and_ends_an_hour_after_the_last_message),
		steps_test(state_and_waits_survive_a_kill_between_any_two_steps),
		steps_test(
			killed_after_any_number_of_moves_nothing_acknowledged_is_lost_or_doubled),
		steps_test(starting_an_id_twice_is_eexist_also_when_it_is_over),
		steps_test(the_state_given_at_the_start_is_the_first_methods),
		steps_test(a_method_that_fails_leaves_nothing_and_is_tried_again_with_backoff),
		steps_test(after_ten_attempts_it_is_failed_with_its_error_and_can_be_resumed),
		steps_test(two_goroutines_of_one_process_talk_and_the_last_that_ends_ends_it),
		steps_test(going_with_a_live_name_is_eexist_and_fails_the_step),
		steps_test(calls_of_one_id_attach_to_it_with_many_waiters_finished_or_not),
		steps_test(the_caller_of_a_cancelled_process_is_told_so),
		steps_test(ids_made_in_a_step_are_the_same_when_it_runs_again),
		steps_test(an_effect_is_done_once_and_its_result_given_again_also_after_a_kill),
		steps_test(keys_are_those_of_the_step_and_of_no_other),
		steps_test(cancel_ends_the_goroutines_and_runs_the_cancel_method_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
