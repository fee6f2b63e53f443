/*
 * An order that an operator or the customer cancels, at every moment of its life: who pays gets it, or has
 * his money back, and the ledger and the webhook say the same.
 *
 * The webhook and the ledger are ours here. A row is a line of the history, so it is there once or not at
 * all, with its step, as in the file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal/examples/pkg/orders/order.h"
#include "tests/support/durable.h"
#include "tests/support/leak.h"

#define TOLD_MAX 64
#define SEEDS 6
#define PAYMENT_REQUIRED 402

static const struct tmgr_process_definition *const definitions[] = { &order__definition,
	&order__payment, &order__delivery, &order__refund, NULL };

/* ---- The webhook ---------------------------------------------------------------------------- */

/* What it was told, each key once. */
static struct {
	char key[TMGR_PROCESS_KEY_MAX + 64], event[32];
} told[TOLD_MAX];
static size_t told_count;

static bool declines;
static bool loses;        /* its first answer to each */
static const char *holds; /* an event that does not come through yet */

static bool was_told(const char *key)
{
	for (size_t i = 0; i < told_count; i++)
		if (strcmp(told[i].key, key) == 0)
			return true;
	return false;
}

static size_t count_told(const char *event)
{
	size_t count = 0;

	for (size_t i = 0; i < told_count; i++)
		count += strcmp(told[i].event, event) == 0;
	return count;
}

static int hear(void *self, const char *step, struct tmgr_bytes *ret)
{
	const struct order_effect *effect = self;
	const char *event = effect->event;
	char key[sizeof(told[0].key)];

	snprintf(key, sizeof(key), "%s.%s", effect->key ? effect->key : step, event);
	if (holds && strcmp(holds, event) == 0)
		return -EHOSTUNREACH;
	*ret = bytes_of(declines && strcmp(event, "payment.charged") == 0 ? "402" : "200");
	if (was_told(key))
		return 0;
	assert_true(told_count < TOLD_MAX);
	snprintf(told[told_count].key, sizeof(told[0].key), "%s", key);
	snprintf(told[told_count++].event, sizeof(told[0].event), "%s", event);
	return loses ? -ECONNRESET : 0;
}

int order__tell(struct tmgr_process *process, const struct order_effect *effect, int *ret_code)
{
	struct tmgr_bytes result = { "", 0 };
	int r = tmgr_process_once(process, effect->event, hear, (void *)effect, &result);

	if (r == 0 && ret_code)
		*ret_code = strcmp(result.data, "402") == 0 ? PAYMENT_REQUIRED : 200;
	return r;
}

/* ---- The ledger ----------------------------------------------------------------------------- */

int order__open_ledger(struct tmgr_process *process)
{
	return 0;
}

int order__book(struct tmgr_process *process, const char *order, const char *event, int64_t amount)
{
	return tmgr_process_log(process, "ledger %s %" PRId64, event, amount);
}

struct rows {
	const char *event;
	size_t count;
};

static int count_row(void *self, const struct tmgr_process_event *event)
{
	struct rows *rows = self;
	char name[32];

	if (event->kind == TMGR_PROCESS_EVENT_LOG &&
		sscanf(event->text, "ledger %31s", name) == 1 && strcmp(name, rows->event) == 0)
		rows->count++;
	return 0;
}

static size_t count_booked(struct durable *durable, const char *event)
{
	struct rows rows = { .event = event };

	assert_int_equal(
		tmgr_processes_events(durable->processes,
			&(struct tmgr_store_query){ .process = "o", .count_max = SIZE_MAX },
			count_row, &rows),
		0);
	return rows.count;
}

/* ---- What must hold ------------------------------------------------------------------------- */

static const char *const ends[] = { "done", "cancelled", "refused", "expired" };

/* Of what is told each has one key, of what is booked each has one row. */
static void nothing_is_there_twice(struct durable *durable)
{
	static const char *const rows[] = { "cart", "approval", "payment", "paid", "delivery",
		"shipped", "refund", "refunded" };

	for (size_t i = 0; i < told_count; i++)
		if (count_told(told[i].event) != 1)
			fail_msg("%s has several keys", told[i].event);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (count_booked(durable, rows[i]) > 1)
			fail_msg("%s is booked twice", rows[i]);
}

/* It has one end, and all say which. */
static void there_is_one_end(struct durable *durable)
{
	char event[64], status[64];
	size_t count = 0, rows = 0;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(event, sizeof(event), "order.%s", ends[i]);
		snprintf(status, sizeof(status), "\"status\":\"%s\"", ends[i]);
		count += count_told(event);
		rows += count_booked(durable, ends[i]);
		assert_int_equal(count_told(event), count_booked(durable, ends[i]));
		if (count_told(event) > 0)
			assert_non_null(strstr(durable_state(durable, "o"), status));
	}
	assert_int_equal(count, 1);
	assert_int_equal(rows, 1);
}

/* How often each of the three happened. */
static size_t unpaid, paid_back, delivered_to;

static void he_pays_for_what_he_gets(struct durable *durable)
{
	size_t charged = declines ? 0 : count_told("payment.charged");
	size_t refunded = count_told("payment.refunded");
	size_t delivered = count_told("delivery.shipped") > 0 &&
			   count_told("delivery.recalled") == 0;

	if (charged != delivered + refunded)
		fail_msg("charged %zu, delivered %zu, refunded %zu", charged, delivered, refunded);
	*(charged == 0 ? &unpaid : refunded > 0 ? &paid_back : &delivered_to) += 1;
	assert_int_equal(count_told("order.done"), delivered);
	assert_int_equal(count_booked(durable, "paid"), charged);
	assert_int_equal(count_booked(durable, "refunded"), refunded);
	assert_int_equal(count_booked(durable, "shipped"), delivered);
}

static void all_is_well(struct durable *durable)
{
	enum tmgr_process_status status = durable_status(durable, "o");

	if (status != TMGR_PROCESS_FINISHED && status != TMGR_PROCESS_CANCELLED)
		fail_msg("it stands: %s", durable_why(durable, "o"));
	nothing_is_there_twice(durable);
	there_is_one_end(durable);
	he_pays_for_what_he_gets(durable);
}

/* ---- A life --------------------------------------------------------------------------------- */

#define ADD "{\"key\":\"1\",\"kind\":\"add\",\"sku\":\"tea\",\"quantity\":2,\"price\":450}"
#define SUBMIT "{\"key\":\"2\",\"kind\":\"submit\"}"
#define APPROVE "{\"key\":\"3\",\"kind\":\"decide\",\"yes\":true}"
#define REFUSE "{\"key\":\"3\",\"kind\":\"decide\",\"yes\":false}"
#define CANCEL_AGAIN "{\"key\":\"5\",\"kind\":\"cancel\"}"
#define CANCEL "{\"key\":\"4\",\"kind\":\"cancel\",\"text\":\"changed my mind\"}"

static void begin(struct durable *durable, uint64_t seed, int64_t delivery_ms)
{
	const struct order order = { .customer = (char[]){ "Ada" },
		.cart_ms = TMGR_HOUR / TMGR_MILLISECOND,
		.approval_ms = TMGR_HOUR / TMGR_MILLISECOND,
		.delivery_ms = delivery_ms };
	const struct tmgr_process_command start = { .kind = TMGR_PROCESS_START,
		.child = { &order__definition, "o", &order } };

	told_count = 0;
	declines = false;
	loses = false;
	holds = NULL;
	*durable = (struct durable){ .options.seed = seed };
	durable_begin(durable, definitions);
	assert_int_equal(tmgr_processes_do(NULL, durable->processes, &start, TMGR_NEVER, NULL), 0);
}

/* It may be over, and then it is as if nobody had asked. */
static void send(struct durable *durable, const char *command)
{
	tmgr_processes_do(NULL, durable->processes,
		&(struct tmgr_process_command){ .kind = TMGR_PROCESS_SEND,
			.channel = "o/commands",
			.value = bytes_of(command) },
		TMGR_NEVER, NULL);
}

static void do_to(struct durable *durable, enum tmgr_process_command_kind kind, const char *id)
{
	tmgr_processes_do(NULL, durable->processes,
		&(struct tmgr_process_command){ .kind = kind, .id = id, .text = "held" },
		TMGR_NEVER, NULL);
}

/* As long as it takes until what has failed is tried again. */
#define PASS ""
#define PASS_NS (100 * TMGR_MILLISECOND)
#define PASSES 20
#define HOURS 3

struct life {
	const char *commands[8]; /* each when there is nothing else to do; PASS: time passes */
	bool declines, loses;
	int64_t delivery_ms;
	const char *cancelled; /* "o", or what is on its way; NULL: the customer cancels */
	size_t killed;         /* so many steps after that; 0: not at all */
};

/* Of what could happen one thing: 0 when nothing can any more. */
static bool goes_on(struct durable *durable, const struct life *life, size_t *next, int *passed)
{
	int r = tmgr_processes_drive(durable->processes);
	const char *command = life->commands[*next];

	assert_true(r >= 0);
	if (r > 0)
		return true;
	if (command)
		++*next;
	if (command && strcmp(command, PASS) != 0)
		send(durable, command);
	else if (command || ++*passed <= PASSES)
		durable_advance(durable, PASS_NS);
	else if (*passed <= PASSES + HOURS)
		durable_advance(durable, TMGR_HOUR);
	else
		return false;
	return true;
}

/* How many steps it took, where it is cancelled before that one. */
static size_t live(const struct life *life, uint64_t seed, size_t moment)
{
	struct durable durable;
	size_t next = 0, count = 0;
	int passed = 0;

	begin(&durable, seed, life->delivery_ms);
	declines = life->declines;
	loses = life->loses;
	do {
		if (count == moment && life->cancelled)
			do_to(&durable, TMGR_PROCESS_CANCEL, life->cancelled);
		else if (count == moment)
			send(&durable, CANCEL);
		if (life->killed > 0 && count == moment + life->killed)
			durable_kill(&durable);
		count++;
	} while (goes_on(&durable, life, &next, &passed));
	all_is_well(&durable);
	durable_end(&durable);
	return count;
}

/* Cancelled at every moment. */
static void live_always(const struct life *life, uint64_t seed)
{
	size_t moment = 0;

	print_message("seed %" PRIu64 "\n", seed);
	while (moment < live(life, seed, moment))
		moment++;
}

static void live_often(const struct life *life)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		live_always(life, seed);
}

/* ---- Cancelled at every moment -------------------------------------------------------------- */

#define TWO_HOURS (2 * TMGR_HOUR / TMGR_MILLISECOND)

static void one_that_would_be_delivered(void **state)
{
	unpaid = paid_back = delivered_to = 0;
	live_often(&(struct life){ .commands = { ADD, SUBMIT, APPROVE }, .cancelled = "o" });
	assert_true(unpaid > 0 && paid_back > 0 && delivered_to > 0);
}

static void one_whose_delivery_takes_hours(void **state)
{
	live_often(&(struct life){
		.commands = { ADD, SUBMIT, APPROVE }, .delivery_ms = TWO_HOURS, .cancelled = "o" });
}

static void one_that_only_the_customer_cancels(void **state)
{
	unpaid = paid_back = delivered_to = 0;
	live_often(&(struct life){ .commands = { ADD, SUBMIT, APPROVE } });
	assert_true(unpaid > 0 && paid_back > 0 && delivered_to > 0);
}

static void one_that_the_customer_cancels_twice_and_whose_answers_are_lost(void **state)
{
	live_often(&(struct life){
		.commands = { ADD, SUBMIT, APPROVE, PASS, CANCEL_AGAIN, PASS, CANCEL_AGAIN },
		.loses = true,
		.delivery_ms = 150 });
}

static void one_that_the_customer_cancels_too(void **state)
{
	live_often(&(struct life){ .commands = { ADD, SUBMIT, APPROVE, CANCEL },
		.delivery_ms = TWO_HOURS,
		.cancelled = "o" });
}

static void one_whose_payment_is_declined(void **state)
{
	live_often(&(struct life){
		.commands = { ADD, SUBMIT, APPROVE }, .declines = true, .cancelled = "o" });
}

static void one_that_is_refused(void **state)
{
	live_often(&(struct life){ .commands = { ADD, SUBMIT, REFUSE }, .cancelled = "o" });
}

static void one_that_nobody_approves(void **state)
{
	live_often(&(struct life){ .commands = { ADD, SUBMIT }, .cancelled = "o" });
}

static void one_whose_answers_are_lost(void **state)
{
	live_often(&(struct life){
		.commands = { ADD, SUBMIT, APPROVE }, .loses = true, .cancelled = "o" });
}

static void one_whose_answers_are_lost_and_that_the_customer_cancels_too(void **state)
{
	live_often(&(struct life){ .commands = { ADD, SUBMIT, APPROVE, PASS, CANCEL },
		.loses = true,
		.delivery_ms = TWO_HOURS,
		.cancelled = "o" });
}

static void one_whose_daemon_is_killed_after_that(void **state)
{
	struct life life = {
		.commands = { ADD, SUBMIT, APPROVE }, .loses = true, .cancelled = "o"
	};

	for (life.killed = 1; life.killed < 60; life.killed += 3)
		live_always(&life, life.killed);
}

static void the_payment_of_one(void **state)
{
	live_often(
		&(struct life){ .commands = { ADD, SUBMIT, APPROVE }, .cancelled = "o.payment" });
}

static void the_payment_of_one_that_is_declined_and_whose_answers_are_lost(void **state)
{
	live_often(&(struct life){ .commands = { ADD, SUBMIT, APPROVE },
		.declines = true,
		.loses = true,
		.cancelled = "o.payment" });
}

static void the_delivery_of_one_whose_answers_are_lost(void **state)
{
	live_often(&(struct life){
		.commands = { ADD, SUBMIT, APPROVE }, .loses = true, .cancelled = "o.delivery" });
}

static void the_refund_of_one_that_the_customer_cancels(void **state)
{
	live_often(&(struct life){ .commands = { ADD, SUBMIT, APPROVE, PASS, CANCEL },
		.loses = true,
		.delivery_ms = TWO_HOURS,
		.cancelled = "o.refund" });
}

/* ---- Cancelled in each status --------------------------------------------------------------- */

/* An order that stands in a status, because something does not come through. */
struct standing {
	const char *status, *holds;
	const char *commands[5];
	bool declines;
	const char *end;      /* once it is cancelled */
	const char *end_late; /* once what is on its way is over, and it does not know yet */
};

static const struct standing standings[] = {
	{ "cart", NULL, { ADD }, false, "cancelled", "cancelled" },
	{ "approval", NULL, { ADD, SUBMIT }, false, "cancelled", "cancelled" },
	{ "payment", "payment.charged", { ADD, SUBMIT, APPROVE }, false, "cancelled", "cancelled" },
	{ "payment", "payment.charged", { ADD, SUBMIT, APPROVE, CANCEL }, false, "cancelled",
		"cancelled" },
	{ "payment", "payment.charged", { ADD, SUBMIT, APPROVE }, true, "cancelled", "refused" },
	{ "delivery", "delivery.shipped", { ADD, SUBMIT, APPROVE }, false, "cancelled", "done" },
	{ "refund", "payment.refunded", { ADD, SUBMIT, APPROVE, CANCEL }, false, "cancelled",
		"cancelled" },
	{ "done", "order.done", { ADD, SUBMIT, APPROVE }, false, "done", "done" },
	{ "refused", "order.refused", { ADD, SUBMIT, REFUSE }, false, "refused", "refused" },
	{ "refused", "order.refused", { ADD, SUBMIT, APPROVE }, true, "refused", "refused" },
	{ "cancelled", "order.cancelled", { ADD, SUBMIT, CANCEL }, false, "cancelled",
		"cancelled" },
};

static void is(struct durable *durable, const char *status)
{
	char text[64];

	snprintf(text, sizeof(text), "\"status\":\"%s\"", status);
	if (!strstr(durable_state(durable, "o"), text))
		fail_msg("%s is not in %s", text, durable_state(durable, "o"));
}

/* The customer's cancel comes while his parcel is packed. */
static void stand(struct durable *durable, const struct standing *standing, uint64_t seed)
{
	bool packed = strcmp(standing->status, "refund") == 0;

	begin(durable, seed, packed ? TWO_HOURS : 0);
	holds = standing->holds;
	declines = standing->declines;
	for (size_t i = 0; standing->commands[i]; i++) {
		send(durable, standing->commands[i]);
		durable_settle(durable);
	}
	is(durable, standing->status);
}

/* He was told that it is cancelled if it has not left the house. */
static void one_that_the_customer_cancels_while_it_is_paid_does_not_leave(void **state)
{
	static const struct standing paying = { "payment", "payment.charged",
		{ ADD, SUBMIT, APPROVE, CANCEL }, false, NULL, NULL };
	struct durable durable;

	stand(&durable, &paying, 1);
	holds = NULL;
	durable_advance(&durable, TMGR_HOUR);
	is(&durable, "cancelled");
	assert_int_equal(count_told("delivery.shipped"), 0);
	all_is_well(&durable);
	durable_end(&durable);
}

static void what_is_on_its_way_is_still_so(void **state)
{
	for (size_t i = 0; i < sizeof(standings) / sizeof(standings[0]); i++) {
		struct durable durable;

		stand(&durable, &standings[i], i + 1);
		do_to(&durable, TMGR_PROCESS_CANCEL, "o");
		durable_settle(&durable);
		holds = NULL;
		durable_advance(&durable, TMGR_HOUR);
		is(&durable, standings[i].end);
		all_is_well(&durable);
		durable_end(&durable);
	}
}

/* Nobody tries it any more, and all that is needed is the cancel. */
static void what_is_on_its_way_has_failed(void **state)
{
	for (size_t i = 0; i < sizeof(standings) / sizeof(standings[0]); i++) {
		struct durable durable;

		if (!standings[i].holds)
			continue;
		stand(&durable, &standings[i], i + 1);
		durable_advance(&durable, TMGR_HOUR);
		is(&durable, standings[i].status);
		holds = NULL;
		do_to(&durable, TMGR_PROCESS_CANCEL, "o");
		durable_advance(&durable, TMGR_HOUR);
		is(&durable, standings[i].end);
		all_is_well(&durable);
		durable_end(&durable);
	}
}

/* The order is paused, so that the result waits for it. */
static void what_was_on_its_way_is_over_and_the_order_does_not_know_yet(void **state)
{
	for (size_t i = 0; i < sizeof(standings) / sizeof(standings[0]); i++) {
		struct durable durable;

		stand(&durable, &standings[i], i + 1);
		do_to(&durable, TMGR_PROCESS_PAUSE, "o");
		holds = NULL;
		durable_advance(&durable, TMGR_MINUTE);
		is(&durable, standings[i].status);
		do_to(&durable, TMGR_PROCESS_CANCEL, "o");
		durable_advance(&durable, TMGR_HOUR);
		is(&durable, standings[i].end_late);
		all_is_well(&durable);
		durable_end(&durable);
	}
}

static void a_second_cancel_changes_nothing(void **state)
{
	for (size_t i = 0; i < sizeof(standings) / sizeof(standings[0]); i++) {
		struct durable durable;

		stand(&durable, &standings[i], i + 1);
		do_to(&durable, TMGR_PROCESS_CANCEL, "o");
		durable_settle(&durable);
		do_to(&durable, TMGR_PROCESS_CANCEL, "o");
		holds = NULL;
		durable_advance(&durable, TMGR_HOUR);
		is(&durable, standings[i].end);
		all_is_well(&durable);
		durable_end(&durable);
	}
}

static void the_daemon_is_killed_after_the_cancel(void **state)
{
	for (size_t i = 0; i < sizeof(standings) / sizeof(standings[0]); i++) {
		struct durable durable;

		stand(&durable, &standings[i], i + 1);
		do_to(&durable, TMGR_PROCESS_CANCEL, "o");
		durable_kill(&durable);
		holds = NULL;
		durable_advance(&durable, TMGR_HOUR);
		is(&durable, standings[i].end);
		all_is_well(&durable);
		durable_end(&durable);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(one_that_would_be_delivered),
		leak_test(one_whose_delivery_takes_hours),
		leak_test(one_that_only_the_customer_cancels),
		leak_test(one_that_the_customer_cancels_twice_and_whose_answers_are_lost),
		leak_test(one_that_the_customer_cancels_too),
		leak_test(one_whose_payment_is_declined),
		leak_test(one_that_is_refused),
		leak_test(one_that_nobody_approves),
		leak_test(one_whose_answers_are_lost),
		leak_test(one_whose_answers_are_lost_and_that_the_customer_cancels_too),
		leak_test(the_payment_of_one),
		leak_test(the_payment_of_one_that_is_declined_and_whose_answers_are_lost),
		leak_test(the_delivery_of_one_whose_answers_are_lost),
		leak_test(the_refund_of_one_that_the_customer_cancels),
		leak_test(one_whose_daemon_is_killed_after_that),
		leak_test(one_that_the_customer_cancels_while_it_is_paid_does_not_leave),
		leak_test(what_is_on_its_way_is_still_so),
		leak_test(what_is_on_its_way_has_failed),
		leak_test(what_was_on_its_way_is_over_and_the_order_does_not_know_yet),
		leak_test(a_second_cancel_changes_nothing),
		leak_test(the_daemon_is_killed_after_the_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
