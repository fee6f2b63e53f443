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
		seen_test(one_that_is_cancelled_before_its_turn_takes_no_other_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
