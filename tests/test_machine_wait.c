/*
 * Waiting for machines: each condition, by callback, future and blocking; dropped with a token;
 * contexts of states; from inside of handlers and callbacks.
 */
#include <errno.h>
#include <string.h>

#include "taskmgr/base/check.h"

#include "tests/support/fault.h"
#include "tests/support/rig.h"

static const struct tmgr_machine_state plain[] = {
	RIG_PLAIN(A),
	RIG_PLAIN(B),
	RIG_ROW(C, .multi = true),
};

#define PLAIN_COUNT ARRAY_SIZE(plain)
#define EXCEPTION PLAIN_COUNT
#define SOON tmgr_after(TMGR_MINUTE)

/* ---- Each condition -------------------------------------------------------------------------- */

struct told {
	int count, result;
};

static void tell(void *self, int result)
{
	struct told *told = self;

	told->count++;
	told->result = result;
}

static void add_a(struct tmgr_machine *machine)
{
	tmgr_machine_add(machine, A, NULL);
}

static void add_b(struct tmgr_machine *machine)
{
	tmgr_machine_add(machine, B, NULL);
}

static void add_c(struct tmgr_machine *machine)
{
	tmgr_machine_add(machine, C, NULL);
}

static void remove_a(struct tmgr_machine *machine)
{
	tmgr_machine_remove(machine, A, NULL);
}

static void remove_b(struct tmgr_machine *machine)
{
	tmgr_machine_remove(machine, B, NULL);
}

static void add_c_with_7(struct tmgr_machine *machine)
{
	tmgr_machine_add(
		machine, C, TMGR_ARGUMENTS(TMGR_ARG_TEXT("name", "x"), TMGR_ARG_NUMBER("id", 7)));
}

static void add_c_with_8(struct tmgr_machine *machine)
{
	tmgr_machine_add(machine, C, TMGR_ARGUMENTS(TMGR_ARG_NUMBER("id", 8)));
}

static void add_error(struct tmgr_machine *machine)
{
	tmgr_machine_add_error(machine, -EIO, "broken");
}

static void dispose(struct tmgr_machine *machine)
{
	tmgr_machine_dispose(machine);
}

typedef void doing(struct tmgr_machine *machine);

/* What is done before the wait; what does not end it; what does. */
struct sample {
	const char *name;
	struct tmgr_machine_condition condition;
	doing *before, *without[3], *with;
	int result;
};

#define STATIC_CONDITION(...) \
	{                     \
		__VA_ARGS__   \
	}

static const unsigned a_and_b[] = { A, B, TMGR_STATES_END };
static const unsigned only_a[] = { A, TMGR_STATES_END };
static const unsigned only_c[] = { C, TMGR_STATES_END };
static const unsigned exception[] = { EXCEPTION, TMGR_STATES_END };
static const uint64_t times[] = { 3, 1 };
static const uint64_t two[] = { 2 }, three[] = { 3 }, one[] = { 1 };
static const struct tmgr_argument id_and_name[] = { TMGR_ARG_NUMBER("id", 7),
	TMGR_ARG_TEXT("name", "x") };
static const struct tmgr_arguments wanted = { id_and_name, 2 };

static const struct sample samples[] = {
	{ "active", { .kind = TMGR_CONDITION_ACTIVE, .states = a_and_b }, NULL,
		{ add_a, remove_a, add_b }, add_a, 0 },
	{ "inactive", { .kind = TMGR_CONDITION_INACTIVE, .states = a_and_b }, add_a,
		{ add_b, remove_a, add_a }, NULL, 0 },
	{ "arguments", { .kind = TMGR_CONDITION_ARGUMENTS, .states = only_c, .arguments = &wanted },
		add_c, { add_c, add_c_with_8, add_a }, add_c_with_7, 0 },
	{ "time", { .kind = TMGR_CONDITION_TIME, .states = a_and_b, .ticks = times }, add_a,
		{ add_b, remove_b, remove_a }, add_a, 0 },
	{ "ticks", { .kind = TMGR_CONDITION_TICKS, .states = only_a, .ticks = two }, add_a,
		{ remove_a, add_b, add_c }, add_a, 0 },
	{ "tick equal", { .kind = TMGR_CONDITION_TICK_EQUAL, .states = only_c, .ticks = three },
		NULL, { add_c, add_a, add_b }, add_c, 0 },
	{ "changed", { .kind = TMGR_CONDITION_CHANGED, .states = only_c, .ticks = one }, add_c,
		{ add_a, remove_a, add_b }, add_c, 0 },
	{ "error", { .kind = TMGR_CONDITION_ACTIVE, .states = exception }, NULL,
		{ add_a, add_b, remove_a }, add_error, 0 },
	{ "disposed", { .kind = TMGR_CONDITION_DISPOSED }, NULL, { add_a, add_b, add_error },
		dispose, 0 },
	{ "active, but disposed", { .kind = TMGR_CONDITION_ACTIVE, .states = a_and_b }, NULL,
		{ add_a, add_c, add_error }, dispose, -ESHUTDOWN },
};

static void remove_both(struct tmgr_machine *machine)
{
	tmgr_machine_change(machine, TMGR_MUTATION_REMOVE, a_and_b, NULL);
}

static doing *ending(const struct sample *sample)
{
	return sample->with ? sample->with : remove_both;
}

static void a_callback_is_called_once_when_its_condition_holds(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *sample = &samples[i];
		struct tmgr_machine_when when;
		struct rig rig = { .act = NULL };
		struct told told = { 0, 99 };
		struct tmgr_machine_stats stats;

		rig_make(&rig, plain, PLAIN_COUNT, NULL);
		if (sample->before)
			sample->before(rig.machine);
		assert_int_equal(
			tmgr_machine_when(rig.machine, &sample->condition, &when, tell, &told), 0);
		for (size_t j = 0; j < 3; j++) {
			sample->without[j](rig.machine);
			if (told.count != 0)
				fail_msg("%s: told too early, at %zu", sample->name, j);
		}
		ending(sample)(rig.machine);
		if (told.count != 1 || told.result != sample->result)
			fail_msg("%s: told %d times, %d", sample->name, told.count, told.result);
		assert_int_equal(tmgr_machine_when_cancel(&when), -ENOENT);
		remove_both(rig.machine);
		add_a(rig.machine);
		assert_int_equal(told.count, 1);
		assert_int_equal(tmgr_machine_stats(rig.machine, &stats), 0);
		assert_int_equal(stats.waits, 0);
		rig_end(&rig);
	}
}

static void what_holds_already_is_told_at_once(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *sample = &samples[i];
		struct tmgr_machine_when when;
		struct rig rig = { .act = NULL };
		struct told told = { 0, 99 };
		int r;

		/* These speak of what comes. */
		if (sample->condition.kind == TMGR_CONDITION_ARGUMENTS ||
			sample->condition.kind == TMGR_CONDITION_TICKS)
			continue;
		rig_make(&rig, plain, PLAIN_COUNT, NULL);
		if (sample->before)
			sample->before(rig.machine);
		for (size_t j = 0; j < 3; j++)
			sample->without[j](rig.machine);
		r = tmgr_machine_wait(NULL, rig.machine, &sample->condition, TMGR_NOW);
		if (r != -ETIMEDOUT)
			fail_msg("%s: %d, not late", sample->name, r);
		ending(sample)(rig.machine);
		r = tmgr_machine_wait(NULL, rig.machine, &sample->condition, TMGR_NOW);
		if (r != sample->result)
			fail_msg("%s: %d", sample->name, r);
		assert_int_equal(
			tmgr_machine_when(rig.machine, &sample->condition, &when, tell, &told), 0);
		assert_int_equal(told.count, 1);
		assert_int_equal(told.result, sample->result);
		rig_end(&rig);
	}
}

static void a_wait_is_taken_back(void **state)
{
	struct tmgr_machine_when first, second, third;
	struct rig rig = { .act = NULL };
	struct told told = { 0, 99 }, other = { 0, 99 };
	struct tmgr_future future = TMGR_FUTURE_INIT;
	int error = 99;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_when(rig.machine, &TMGR_WHEN(A), &first, tell, &told), 0);
	assert_int_equal(tmgr_machine_when(rig.machine, &TMGR_WHEN(A), &second, tell, &other), 0);
	assert_int_equal(tmgr_machine_when_future(rig.machine, &TMGR_WHEN(A), &third, &future), 0);
	assert_int_equal(tmgr_machine_when_cancel(&first), 0);
	assert_int_equal(tmgr_machine_when_cancel(&first), -ENOENT);
	assert_false(tmgr_future_done(&future));
	add_a(rig.machine);
	assert_int_equal(told.count, 0);
	assert_int_equal(other.count, 1);
	assert_int_equal(tmgr_future_result(&future, &error, NULL), 0);
	assert_int_equal(error, 0);
	rig_end(&rig);
}

static void what_a_condition_refers_to_is_copied(void **state)
{
	struct tmgr_machine_when when, many;
	struct rig rig = { .act = NULL };
	struct told told = { 0, 99 };
	unsigned states[] = { A, B, TMGR_STATES_END };
	unsigned nine[] = { A, A, A, A, A, A, A, A, A, TMGR_STATES_END };
	struct tmgr_machine_condition condition = {
		.kind = TMGR_CONDITION_ACTIVE,
		.states = states,
	};

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_when(rig.machine, &condition, &when, tell, &told), 0);
	states[0] = C;
	add_b(rig.machine);
	add_a(rig.machine);
	assert_int_equal(told.count, 1);
	condition.states = nine;
	assert_int_equal(tmgr_machine_when(rig.machine, &condition, &many, tell, &told), -E2BIG);
	assert_int_equal(tmgr_machine_wait(NULL, rig.machine, &condition, TMGR_NOW), 0);
	rig_end(&rig);
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

static void a_wait_is_dropped_with_its_token(void **state)
{
	struct tmgr_machine_condition condition = { .kind = TMGR_CONDITION_ACTIVE,
		.states = only_a };
	struct tmgr_machine_when when, late;
	struct rig rig = { .act = NULL };
	struct told told = { 0, 99 };
	struct tmgr_token *token;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_token_create(NULL, &token), 0);
	condition.token = token;
	assert_int_equal(tmgr_machine_when(rig.machine, &condition, &when, tell, &told), 0);
	tmgr_token_cancel(token, 0, NULL);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.result, -ECANCELED);
	assert_int_equal(tmgr_machine_when_cancel(&when), -ENOENT);
	/* One that has fired lets nothing wait. */
	assert_int_equal(tmgr_machine_when(rig.machine, &condition, &late, tell, &told), 0);
	assert_int_equal(told.count, 2);
	assert_int_equal(tmgr_machine_wait(NULL, rig.machine, &condition, SOON), -ECANCELED);
	tmgr_token_unref(token);
	/* And one that was told first is not dropped any more. */
	assert_int_equal(tmgr_token_create(NULL, &token), 0);
	condition.token = token;
	assert_int_equal(tmgr_machine_when(rig.machine, &condition, &when, tell, &told), 0);
	add_a(rig.machine);
	assert_int_equal(told.count, 3);
	assert_int_equal(told.result, 0);
	tmgr_token_cancel(token, 0, NULL);
	assert_int_equal(told.count, 3);
	tmgr_token_unref(token);
	rig_end(&rig);
}

static void the_context_of_a_state_lasts_as_long_as_its_activation(void **state)
{
	struct tmgr_state_context first, second, never;
	struct rig rig = { .act = NULL };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	add_c(rig.machine);
	first = tmgr_machine_state_context(rig.machine, C);
	assert_true(tmgr_state_lasts(&first));
	add_a(rig.machine);
	assert_true(tmgr_state_lasts(&first));
	/* Entered again it is another activation. */
	add_c(rig.machine);
	assert_false(tmgr_state_lasts(&first));
	second = tmgr_machine_state_context(rig.machine, C);
	assert_true(tmgr_state_lasts(&second));
	tmgr_machine_remove(rig.machine, C, NULL);
	assert_false(tmgr_state_lasts(&second));
	never = tmgr_machine_state_context(rig.machine, 99);
	assert_false(tmgr_state_lasts(&never));
	rig_end(&rig);
}

static void the_token_of_a_state_fires_with_its_end(void **state)
{
	struct tmgr_token *parent, *token, *other;
	struct rig rig = { .act = NULL };
	struct tmgr_machine_stats stats;
	long k;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_token_create(NULL, &parent), 0);
	assert_int_equal(tmgr_machine_state_token(rig.machine, A, NULL, &token), 0);
	assert_true(tmgr_token_fired(token));
	tmgr_token_unref(token);
	add_a(rig.machine);
	assert_int_equal(tmgr_machine_state_token(rig.machine, A, parent, &token), 0);
	assert_false(tmgr_token_fired(token));
	add_b(rig.machine);
	assert_false(tmgr_token_fired(token));
	remove_a(rig.machine);
	assert_true(tmgr_token_fired(token));
	tmgr_token_unref(token);
	/* With its parent, too; and when the machine ends. */
	assert_int_equal(tmgr_machine_state_token(rig.machine, B, parent, &token), 0);
	assert_int_equal(tmgr_machine_state_token(rig.machine, B, NULL, &other), 0);
	tmgr_token_cancel(parent, 0, NULL);
	assert_true(tmgr_token_fired(token) && !tmgr_token_fired(other));
	assert_int_equal(tmgr_machine_stats(rig.machine, &stats), 0);
	assert_int_equal(stats.waits, 1);
	tmgr_machine_dispose(rig.machine);
	assert_true(tmgr_token_fired(other));
	tmgr_token_unref(token);
	tmgr_token_unref(other);
	tmgr_token_unref(parent);
	for (k = 1;; k++) {
		int r;

		fault_fail_allocation(k);
		r = tmgr_machine_state_token(rig.machine, B, NULL, &token);
		if (!fault_happened())
			break;
		assert_int_equal(r, -ENOMEM);
	}
	fault_off();
	assert_true(k > 2);
	tmgr_token_unref(token);
	rig_end(&rig);
}

/* ---- Inside ---------------------------------------------------------------------------------- */

static bool wait_inside(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (strcmp(name, "AState") == 0) {
		rig->result = tmgr_machine_wait(NULL, event->machine, &TMGR_WHEN(A), SOON);
		if (rig->result == 0)
			rig->result = tmgr_machine_wait(NULL, event->machine, &TMGR_WHEN(B), SOON);
		if (rig->result == -EDEADLK)
			rig->result = tmgr_machine_wait_or_error(
				NULL, event->machine, &TMGR_WHEN(B), SOON);
	}
	return true;
}

static void a_handler_that_would_wait_is_told_so(void **state)
{
	struct rig rig = { .act = wait_inside };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	add_a(rig.machine);
	assert_int_equal(rig.result, -EDEADLK);
	rig_end(&rig);
}

struct chain {
	struct rig *rig;
	struct tmgr_machine_when when;
	int result;
};

static void add_next(void *self, int result)
{
	struct chain *chain = self;

	(void)result;
	chain->result = tmgr_machine_add(chain->rig->machine, B, NULL);
}

static void a_callback_may_mutate_which_is_queued(void **state)
{
	struct rig rig = { .act = NULL };
	struct chain chain = { .rig = &rig };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(
		tmgr_machine_when(rig.machine, &TMGR_WHEN(A), &chain.when, add_next, &chain), 0);
	add_a(rig.machine);
	assert_int_equal(chain.result, TMGR_MUTATION_QUEUED);
	rig_stands(&rig, "B:1 A:1");
	rig_end(&rig);
}

struct drain_look {
	struct tmgr_machine_when drained, ticket, cancelled;
	struct told told, ticket_told, cancelled_told;
	uint64_t first, second;
};

static bool queue_two(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	struct drain_look *look = rig->user;
	struct tmgr_machine *machine = event->machine;

	if (strcmp(name, "BEnter") == 0)
		return false;
	if (strcmp(name, "CState") == 0)
		recorder_add(&rig->recorder, "%d%d%d", look->told.count, look->ticket_told.count,
			look->cancelled_told.count);
	if (strcmp(name, "AState") != 0)
		return true;
	tmgr_machine_mutate(
		machine, &(struct tmgr_mutation){ .states = TMGR_STATES(C) }, &look->first);
	tmgr_machine_mutate(
		machine, &(struct tmgr_mutation){ .states = TMGR_STATES(B) }, &look->second);
	tmgr_machine_when(machine, &TMGR_WHEN_DRAINED, &look->drained, tell, &look->told);
	tmgr_machine_when(
		machine, &TMGR_WHEN_TICKET(look->first), &look->ticket, tell, &look->ticket_told);
	tmgr_machine_when(machine, &TMGR_WHEN_TICKET(look->second), &look->cancelled, tell,
		&look->cancelled_told);
	return true;
}

static void tickets_and_the_drained_queue_are_waited_for(void **state)
{
	struct drain_look look = { .first = 0 };
	struct rig rig = { .act = queue_two, .user = &look };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	add_a(rig.machine);
	assert_true(recorder_has(&rig.recorder, "000"));
	assert_true(look.told.count == 1 && look.told.result == 0);
	assert_true(look.ticket_told.count == 1 && look.ticket_told.result == 0);
	assert_true(look.cancelled_told.count == 1 &&
		    look.cancelled_told.result == TMGR_MUTATION_CANCELLED);
	assert_int_equal(tmgr_machine_wait(NULL, rig.machine, &TMGR_WHEN_DRAINED, TMGR_NOW), 0);
	assert_int_equal(
		tmgr_machine_wait(NULL, rig.machine, &TMGR_WHEN_TICKET(look.second), TMGR_NOW), 0);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_callback_is_called_once_when_its_condition_holds),
		leak_test(what_holds_already_is_told_at_once),
		leak_test(a_wait_is_taken_back),
		leak_test(what_a_condition_refers_to_is_copied),
		leak_test(a_wait_is_dropped_with_its_token),
		leak_test(the_context_of_a_state_lasts_as_long_as_its_activation),
		leak_test(the_token_of_a_state_fires_with_its_end),
		leak_test(a_handler_that_would_wait_is_told_so),
		leak_test(a_callback_may_mutate_which_is_queued),
		leak_test(tickets_and_the_drained_queue_are_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
