/* Steps of durable processes: all or nothing, once, in order; goroutines, cancelling. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/durable.h"
#include "tests/support/seen.h"

/* ---- The counter ----------------------------------------------------------------------------- */

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
	tmgr_process_receive(process, id, counter_done);
	return 0;
}

static const struct tmgr_process_definition fickle_definition = {
	.name = "fickle",
	.version = 1,
	.state = TMGR_STATE(struct counter, counter_fields),
	.start = fickle_try,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Try",
								 .function = fickle_try },
		{ .name = "Main_Done", .function = counter_done }, { 0 } },
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

struct methods {
	char retried[64], stepped[64];
};

static int note_method(void *self, const struct tmgr_process_event *event)
{
	struct methods *methods = self;

	if (event->kind == TMGR_PROCESS_EVENT_RETRY)
		snprintf(methods->retried, sizeof(methods->retried), "%s", event->method);
	if (event->kind == TMGR_PROCESS_EVENT_STEP)
		snprintf(methods->stepped, sizeof(methods->stepped), "%s", event->method);
	return 0;
}

static void an_event_names_the_method_that_failed_or_took_effect(void **state)
{
	struct durable durable = { 0 };
	struct methods methods = { "", "" };

	fails_left = 1;
	durable_begin(&durable, fickles);
	assert_int_equal(create_box(&durable, 0), 0);
	assert_int_equal(durable_start(&durable, &fickle_definition, "f"), 0);
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(
		tmgr_processes_events(durable.processes,
			&(struct tmgr_store_query){ .process = "f", .count_max = SIZE_MAX },
			note_method, &methods),
		0);
	assert_string_equal(methods.retried, fickle_definition.methods[0].name);
	assert_string_equal(methods.stepped, fickle_definition.methods[0].name);
	durable_end(&durable);
}

static void after_ten_attempts_it_is_failed_with_its_error_and_can_be_resumed(void **state)
{
	struct durable durable = { 0 };
	const struct tmgr_process_info *info;
	int64_t changed;

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
	/* When that was is known to the next program too. */
	changed = durable_get(&durable, "f")->changed_ms;
	assert_true(changed >= durable_get(&durable, "f")->created_ms + 3600000);
	durable_kill(&durable);
	assert_true(durable_get(&durable, "f")->changed_ms == changed);
	assert_string_equal(durable_state(&durable, "f"), "{\"count\":1}");
	durable_end(&durable);
}

/* ---- Goroutines ------------------------------------------------------------------------------ */

static int talk_listen(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (message->arrival == TMGR_ARRIVED_MESSAGE)
		see("[%s from %s]", (const char *)message->value.data, message->from);
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

/* It was started by a step before. */
static int talk_anew(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	tmgr_process_go(process, talk_listen);
	return tmgr_process_after(process, TMGR_SECOND, talk_anew);
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

static const struct tmgr_process_definition anew_definition = {
	.name = "anew",
	.version = 1,
	.state = TMGR_STATE(struct counter, counter_fields),
	.start = talk_anew,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Anew",
								 .function = talk_anew },
		{ .name = "Ear_Listen", .function = talk_listen }, { 0 } },
};

static const struct tmgr_process_definition *const talks[] = { &talk_definition, &twice_definition,
	&anew_definition, NULL };

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
	assert_int_equal(durable_start(&durable, &anew_definition, "a"), 0);
	assert_int_equal(durable_status(&durable, "a"), TMGR_PROCESS_ACTIVE);
	durable_advance(&durable, TMGR_SECOND);
	assert_int_equal(durable_status(&durable, "a"), TMGR_PROCESS_FAILED);
	assert_int_equal(durable_get(&durable, "a")->error, -EEXIST);
	assert_string_equal(durable_get(&durable, "a")->text,
		"Main_Anew: a goroutine of that name lives already");
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
		seen_test(the_counter_counts_and_ends_an_hour_after_the_last_message),
		seen_test(state_and_waits_survive_a_kill_between_any_two_steps),
		seen_test(killed_after_any_number_of_moves_nothing_acknowledged_is_lost_or_doubled),
		seen_test(starting_an_id_twice_is_eexist_also_when_it_is_over),
		seen_test(the_state_given_at_the_start_is_the_first_methods),
		seen_test(a_method_that_fails_leaves_nothing_and_is_tried_again_with_backoff),
		seen_test(an_event_names_the_method_that_failed_or_took_effect),
		seen_test(after_ten_attempts_it_is_failed_with_its_error_and_can_be_resumed),
		seen_test(two_goroutines_of_one_process_talk_and_the_last_that_ends_ends_it),
		seen_test(going_with_a_live_name_is_eexist_and_fails_the_step),
		seen_test(cancel_ends_the_goroutines_and_runs_the_cancel_method_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
