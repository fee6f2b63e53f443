/* Who runs when: goroutines of a process in the order they became ready, and those that are ready while others go. */
#include <stdio.h>
#include <string.h>

#include "tests/support/durable.h"
#include "tests/support/seen.h"
#include "tests/support/waiters.h"
#include "tests/support/world.h"

/* ---- Goroutines of one process --------------------------------------------------------------- */

static int hear(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const char *name = tmgr_process_goroutine(process);

	if (message->arrival != TMGR_ARRIVED_START)
		see("%s", name);
	return tmgr_process_receive(process, name, hear);
}

static int start_three(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	tmgr_process_go_named(process, "C", hear);
	tmgr_process_go_named(process, "A", hear);
	tmgr_process_go_named(process, "B", hear);
	return 0;
}

static const struct tmgr_process_definition three_definition = {
	.name = "three",
	.version = 1,
	.start = start_three,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Start",
								 .function = start_three },
		{ .name = "Ear_Hear", .function = hear }, { 0 } },
};

static struct tmgr_process_request *submit(
	struct durable *durable, const struct tmgr_process_command *command)
{
	struct tmgr_process_request *request;

	assert_int_equal(tmgr_processes_submit(durable->processes, command, &request), 0);
	return request;
}

static void send_all(struct durable *durable, const char *to)
{
	char channel[] = "t/A";

	for (; *to != '\0'; to++) {
		channel[2] = *to;
		tmgr_process_request_release(
			submit(durable, &(struct tmgr_process_command){
						.kind = TMGR_PROCESS_SEND, .channel = channel }));
	}
}

static void goroutines_of_a_process_run_in_the_order_they_became_ready(void **state)
{
	static const char *const orders[] = { "ABC", "ACB", "BAC", "BCA", "CAB", "CBA" };
	static const struct tmgr_process_definition *const threes[] = { &three_definition, NULL };

	for (int i = 0; i < 30; i++) {
		struct durable durable = { .options.seed = (uint64_t)i };
		const struct tmgr_process_command pause = {
			.kind = TMGR_PROCESS_PAUSE, .id = "t", .text = "for all to become ready"
		};
		const struct tmgr_process_command resume = { .kind = TMGR_PROCESS_RESUME,
			.id = "t" };

		seen[0] = '\0';
		durable_begin(&durable, threes);
		assert_int_equal(durable_start(&durable, &three_definition, "t"), 0);
		send_all(&durable, orders[i % 6]);
		durable_settle(&durable);
		assert_string_equal(seen, orders[i % 6]);
		/* So they do after a kill. */
		assert_int_equal(durable_do(&durable, &pause), 0);
		send_all(&durable, orders[(i + 1) % 6]);
		durable_settle(&durable);
		durable_kill(&durable);
		seen[0] = '\0';
		assert_int_equal(durable_do(&durable, &resume), 0);
		assert_string_equal(seen, orders[(i + 1) % 6]);
		durable_end(&durable);
	}
}

/* ---- Goroutines whose state is not stored yet ------------------------------------------------- */

static struct tmgr_store *looked_at;
static int looks;

static int find_count(void *self, const struct tmgr_store_change *row)
{
	char json[64];

	if (row->kind != TMGR_STORE_PROCESS)
		return 0;
	/* No NUL follows it. */
	snprintf(json, sizeof(json), "%.*s", (int)row->row.process.state.size,
		(const char *)row->row.process.state.data);
	sscanf(json, "{\"count\":%d}", (int *)self);
	return 0;
}

/* What a program would find that starts after a kill now. */
static int stored_count(void)
{
	struct tmgr_store_opened opened;
	struct tmgr_store *copy;
	int count = -1;

	assert_int_equal(tmgr_store_memory_copy(looked_at, &copy), 0);
	assert_int_equal(copy->ops->open(copy, &opened), 0);
	assert_int_equal(copy->ops->load(copy, 0, find_count, &count), 0);
	assert_int_equal(copy->ops->close(copy), 0);
	tmgr_store_destroy(copy);
	return count;
}

static int look(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct thing *self = state;

	if (message->arrival == TMGR_ARRIVED_MESSAGE) {
		assert_int_equal(stored_count(), (int)self->count);
		looks++;
		self->count++;
	}
	return tmgr_process_receive(process, tmgr_process_goroutine(process), look);
}

static int start_looking(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	tmgr_process_go_named(process, "A", look);
	tmgr_process_go_named(process, "B", look);
	return tmgr_process_go_named(process, "C", look);
}

static const struct tmgr_process_definition looker_definition = {
	.name = "looker",
	.version = 1,
	.state = TMGR_STATE(struct thing, thing_fields),
	.start = start_looking,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Start",
								 .function = start_looking },
		{ .name = "Ear_Look", .function = look }, { 0 } },
};

static const struct tmgr_process_definition *const lookers[] = { &looker_definition, NULL };

static void begin_looking(struct durable *durable, int seed)
{
	*durable = (struct durable){ .options.seed = (uint64_t)seed };
	durable_begin(durable, lookers);
	assert_int_equal(durable_start(durable, &looker_definition, "t"), 0);
	looked_at = durable->store;
	looks = 0;
}

static void a_method_does_not_see_what_another_goroutine_has_left_before_it_is_stored(void **state)
{
	struct durable durable;

	for (int i = 0; i < 50; i++) {
		begin_looking(&durable, i);
		for (int k = 0; k < 4; k++)
			send_all(&durable, "ABC");
		durable_settle(&durable);
		assert_int_equal(looks, 12);
		assert_string_equal(durable_state(&durable, "t"), "{\"count\":12}");
		assert_null(world_check(durable.store, true, 0));
		durable_end(&durable);
	}
}

static void nor_what_somebody_outside_has_set(void **state)
{
	static const char *const words[] = { "{\"count\":7}", "{\"count\":8}" };
	struct durable durable;

	for (int i = 0; i < 50; i++) {
		begin_looking(&durable, i);
		send_all(&durable, "A");
		for (uint64_t k = 0; k < 2; k++)
			tmgr_process_request_release(submit(
				&durable, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_SET,
						  .id = "t",
						  .revision = k,
						  .value = bytes_of(words[k]) }));
		send_all(&durable, "B");
		durable_settle(&durable);
		assert_int_equal(looks, 2);
		durable_end(&durable);
	}
}

static void one_that_is_held_may_be_paused_and_cancelled(void **state)
{
	static const enum tmgr_process_command_kind kinds[] = { TMGR_PROCESS_PAUSE,
		TMGR_PROCESS_RESUME, TMGR_PROCESS_CANCEL };
	struct durable durable;

	for (int i = 0; i < 50; i++) {
		begin_looking(&durable, i);
		send_all(&durable, "ABCABC");
		for (int k = 0; k < 3; k++) {
			for (int drives = i % 7; drives > 0; drives--)
				tmgr_processes_drive(durable.processes);
			tmgr_process_request_release(submit(&durable,
				&(struct tmgr_process_command){
					.kind = kinds[k], .id = "t", .text = "for a while" }));
		}
		durable_settle(&durable);
		assert_int_equal(durable_status(&durable, "t"), TMGR_PROCESS_CANCELLED);
		assert_null(world_check(durable.store, true, 0));
		durable_end(&durable);
	}
}

/* ---- Those that go before their turn --------------------------------------------------------- */

#define READY 4

static void make_ready(struct durable *durable, struct tmgr_process_request **requests)
{
	for (int i = 0; i < READY; i++) {
		char channel[] = "r0/box";

		channel[1] = (char)('0' + i);
		requests[i] = submit(
			durable, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_SEND,
					 .channel = channel,
					 .value = bytes_of("x") });
	}
}

/* Nothing is stored between the messages and the cancel, which is the only one that is looked at. */
static void one_that_is_cancelled_before_its_turn_takes_no_other_with_it(void **state)
{
	for (int cancelled = 0; cancelled < READY; cancelled++) {
		for (int later = 0; later < 2; later++) {
			struct tmgr_process_request *requests[READY + 1];
			struct durable durable = { 0 };
			char id[] = "r0";

			durable_begin(&durable, waiters);
			for (id[1] = '0'; id[1] < '0' + READY; id[1]++)
				assert_int_equal(
					durable_start(&durable, &waiter_definition, id), 0);
			assert_int_equal(durable_start(&durable, &waiter_definition, "rr"), 0);
			make_ready(&durable, requests);
			id[1] = (char)('0' + cancelled);
			requests[READY] = submit(
				&durable, &(struct tmgr_process_command){
						  .kind = TMGR_PROCESS_CANCEL, .id = id });
			if (later)
				tmgr_process_request_release(submit(&durable,
					&(struct tmgr_process_command){
						.kind = TMGR_PROCESS_SEND, .channel = "rr/box" }));
			durable_settle(&durable);
			for (int i = 0; i <= READY; i++)
				tmgr_process_request_release(requests[i]);
			for (int i = 0; i < READY; i++) {
				id[1] = (char)('0' + i);
				assert_int_equal(durable_status(&durable, id),
					i == cancelled ? TMGR_PROCESS_CANCELLED
						       : TMGR_PROCESS_FINISHED);
			}
			assert_int_equal(durable_status(&durable, "rr"),
				later ? TMGR_PROCESS_FINISHED : TMGR_PROCESS_ACTIVE);
			assert_null(world_check(durable.store, true, 0));
			durable_end(&durable);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		seen_test(goroutines_of_a_process_run_in_the_order_they_became_ready),
		seen_test(
			a_method_does_not_see_what_another_goroutine_has_left_before_it_is_stored),
		seen_test(nor_what_somebody_outside_has_set),
		seen_test(one_that_is_held_may_be_paused_and_cancelled),
		seen_test(one_that_is_cancelled_before_its_turn_takes_no_other_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
