/* What steps do with channels: closes, buffers and ids that last over a kill, and channels that go with their process. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tasks/process/runtime.h"

#include "tests/support/durable.h"
#include "tests/support/seen.h"
#include "tests/support/world.h"

/* ---- A process that does as it is told ------------------------------------------------------- */

static int obey(struct tmgr_process *process, void *state, const struct tmgr_message *message);

static void do_as_told(struct tmgr_process *process, const char *told)
{
	char word[16] = "", channel[TMGR_PROCESS_CHANNEL_MAX + 1] = "", text[32] = "";

	sscanf(told, "%15s %191s %31s", word, channel, text);
	if (strcmp(word, "receive") == 0) {
		tmgr_process_receive(process, channel, obey);
	} else if (strcmp(word, "send") == 0) {
		tmgr_process_send(process, channel, bytes_of(text), obey);
	} else if (strcmp(word, "post") == 0) {
		tmgr_process_post(process, channel, bytes_of(text));
	} else if (strcmp(word, "close") == 0) {
		tmgr_process_close(process, channel);
	} else if (strcmp(word, "make") == 0) {
		tmgr_process_channel(process, 2, channel);
		see("%s", channel);
	} else {
		tmgr_process_finish(process, bytes_of(told));
	}
}

/* What came of a case is seen; what it is to do next comes on its channel "do". */
static int obey(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	static const char *const arrivals[] = {
		[TMGR_ARRIVED_MESSAGE] = "got",
		[TMGR_ARRIVED_SENT] = "sent",
		[TMGR_ARRIVED_CLOSED] = "closed",
	};

	if (message->arrival != TMGR_ARRIVED_START &&
		strcmp(strchr(message->from, '/'), "/do") == 0)
		do_as_told(process, message->value.data);
	else if (message->arrival != TMGR_ARRIVED_START)
		see("[%s %s%.*s]", tmgr_process_id(process), arrivals[message->arrival],
			(int)message->value.size, (const char *)message->value.data);
	return tmgr_process_receive(process, "do", obey);
}

static const struct tmgr_process_definition obedient_definition = {
	.name = "obedient",
	.version = 1,
	.start = obey,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Obey", .function = obey },
		{ 0 } },
};

/* With processes a, b and c, and a channel "/box" for three messages. */
static void begin(struct durable *durable)
{
	static const struct tmgr_process_definition *const all[] = { &obedient_definition, NULL };

	durable_begin(durable, all);
	assert_int_equal(
		durable_do(durable,
			&(struct tmgr_process_command){ .kind = TMGR_PROCESS_CHANNEL_CREATE,
				.channel = "/box",
				.capacity = 3 }),
		0);
	assert_int_equal(durable_start(durable, &obedient_definition, "a"), 0);
	assert_int_equal(durable_start(durable, &obedient_definition, "b"), 0);
	assert_int_equal(durable_start(durable, &obedient_definition, "c"), 0);
}

static void end(struct durable *durable)
{
	assert_null(world_check(durable->store, true, 0));
	durable_end(durable);
}

static void tell(struct durable *durable, const char *id, const char *what)
{
	char channel[16];

	snprintf(channel, sizeof(channel), "%s/do", id);
	assert_int_equal(durable_send(durable, channel, what), 0);
}

/* Told this, that is seen. */
static void expect(struct durable *durable, const char *id, const char *what, const char *wanted)
{
	seen[0] = '\0';
	tell(durable, id, what);
	assert_string_equal(seen, wanted);
}

/* Two processes go on, in any order. */
static void expect_both(
	struct durable *durable, const char *id, const char *what, const char *one, const char *two)
{
	seen[0] = '\0';
	tell(durable, id, what);
	assert_non_null(strstr(seen, one));
	assert_non_null(strstr(seen, two));
	assert_int_equal(strlen(seen), strlen(one) + strlen(two));
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void what_a_step_has_closed_is_closed_after_a_kill_and_its_buffer_drains_first(void **state)
{
	struct durable durable = { 0 };

	begin(&durable);
	tell(&durable, "a", "post /box 1");
	tell(&durable, "a", "post /box 2");
	expect(&durable, "a", "close /box", "");
	durable_kill(&durable);
	assert_int_equal(durable_send(&durable, "/box", "x"), -EPIPE);
	expect(&durable, "b", "receive /box", "[b got1]");
	expect(&durable, "b", "receive /box", "[b got2]");
	expect(&durable, "b", "receive /box", "[b closed]");
	expect(&durable, "b", "send /box 3", "[b closed]");
	/* Twice is nothing; and who posts is not told. */
	expect(&durable, "a", "close /box", "");
	expect(&durable, "a", "post /box 4", "");
	assert_int_equal(durable_status(&durable, "a"), TMGR_PROCESS_ACTIVE);
	durable_kill(&durable);
	expect(&durable, "b", "receive /box", "[b closed]");
	end(&durable);
}

static void a_channel_of_a_process_that_it_closes_stays_closed_though_nothing_else_keeps_it(
	void **state)
{
	struct durable durable = { 0 };

	begin(&durable);
	tell(&durable, "a", "close own");
	expect(&durable, "b", "send a/own 1", "[b closed]");
	durable_kill(&durable);
	expect(&durable, "b", "send a/own 1", "[b closed]");
	expect(&durable, "a", "receive own", "[a closed]");
	end(&durable);
}

static void a_close_in_a_step_wakes_each_who_waits_once_and_drops_what_was_to_be_sent(void **state)
{
	struct durable durable = { 0 };

	begin(&durable);
	expect(&durable, "b", "receive a/own", "");
	expect(&durable, "c", "receive a/own", "");
	durable_kill(&durable);
	expect_both(&durable, "a", "close own", "[b closed]", "[c closed]");
	durable_kill(&durable);
	durable_settle(&durable);
	assert_int_equal(strlen(seen), strlen("[b closed][c closed]"));
	expect(&durable, "b", "send c/own 1", "");
	expect(&durable, "a", "close c/own", "[b closed]");
	expect(&durable, "c", "receive own", "[c closed]");
	end(&durable);
}

static void a_step_fails_that_uses_a_channel_that_never_was(void **state)
{
	static const char *const ways[] = { "receive /none", "send /none 1", "post /none 1",
		"close /none", "close nobody/box", "receive a/@1.1" };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct durable durable = { 0 };

		begin(&durable);
		expect(&durable, "a", ways[i], "");
		assert_int_equal(durable_status(&durable, "a"), TMGR_PROCESS_FAILED);
		assert_int_equal(durable_get(&durable, "a")->error, -ENOENT);
		assert_non_null(strstr(durable_get(&durable, "a")->text, "there is no channel"));
		end(&durable);
	}
}

/* ---- Channels of a process ------------------------------------------------------------------- */

static void a_channel_made_in_a_step_has_its_buffer_and_goes_with_its_process(void **state)
{
	struct durable durable = { 0 };
	char send[TMGR_PROCESS_CHANNEL_MAX + 16], receive[TMGR_PROCESS_CHANNEL_MAX + 16];

	begin(&durable);
	seen[0] = '\0';
	tell(&durable, "a", "make");
	snprintf(send, sizeof(send), "send %.191s x", seen);
	snprintf(receive, sizeof(receive), "receive %.191s", seen);
	expect(&durable, "b", send, "[b sent]");
	durable_kill(&durable);
	expect(&durable, "b", send, "[b sent]");
	/* There is room for two. */
	expect(&durable, "b", send, "");
	durable_kill(&durable);
	expect_both(&durable, "a", receive, "[b sent]", "[a gotx]");
	expect(&durable, "a", receive, "[a gotx]");
	expect(&durable, "a", receive, "[a gotx]");
	expect(&durable, "c", receive, "");
	expect(&durable, "a", "end", "[c closed]");
	assert_int_equal(durable_status(&durable, "a"), TMGR_PROCESS_FINISHED);
	durable_kill(&durable);
	expect(&durable, "b", send, "[b closed]");
	expect(&durable, "b", receive, "[b closed]");
	end(&durable);
}

static void a_channel_that_nobody_waits_on_any_more_is_gone(void **state)
{
	struct durable durable = { 0 };
	uint64_t revision;
	size_t before;

	begin(&durable);
	before = durable.processes->engine->channels.count;
	revision = durable_get(&durable, "b")->revision;
	for (int i = 0; i < 5; i++) {
		char receive[32];

		snprintf(receive, sizeof(receive), "receive a/own%d", i);
		expect(&durable, "b", receive, "");
		assert_int_equal(durable.processes->engine->channels.count, before + 1);
		assert_int_equal(durable_send(&durable, strchr(receive, 'a'), "x"), 0);
		assert_string_equal(seen, "[b gotx]");
		assert_int_equal(durable.processes->engine->channels.count, before);
	}
	/* And no step of it has changed its state. */
	assert_true(durable_get(&durable, "b")->revision == revision);
	end(&durable);
}

static void who_waits_longest_is_served_first_also_after_a_kill(void **state)
{
	struct durable durable = { 0 };

	begin(&durable);
	expect(&durable, "c", "receive a/own", "");
	expect(&durable, "b", "receive a/own", "");
	durable_kill(&durable);
	expect_both(&durable, "a", "send own 1", "[c got1]", "[a sent]");
	expect(&durable, "a", "post own 2", "[b got2]");
	expect(&durable, "c", "send a/own 3", "");
	expect(&durable, "b", "send a/own 4", "");
	assert_int_equal(durable_send(&durable, "a/own", "5"), 0);
	durable_kill(&durable);
	expect_both(&durable, "a", "receive own", "[c sent]", "[a got3]");
	expect_both(&durable, "a", "receive own", "[b sent]", "[a got4]");
	expect(&durable, "a", "receive own", "[a got5]");
	expect(&durable, "a", "receive own", "");
	end(&durable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		seen_test(
			what_a_step_has_closed_is_closed_after_a_kill_and_its_buffer_drains_first),
		seen_test(
			a_channel_of_a_process_that_it_closes_stays_closed_though_nothing_else_keeps_it),
		seen_test(
			a_close_in_a_step_wakes_each_who_waits_once_and_drops_what_was_to_be_sent),
		seen_test(a_step_fails_that_uses_a_channel_that_never_was),
		seen_test(a_channel_made_in_a_step_has_its_buffer_and_goes_with_its_process),
		seen_test(a_channel_that_nobody_waits_on_any_more_is_gone),
		seen_test(who_waits_longest_is_served_first_also_after_a_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
