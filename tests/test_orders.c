/* The process of an order under a virtual clock: days pass in no time, and nothing is outside. */
#include <stdio.h>
#include <string.h>

#include "internal/examples/pkg/orders/order.h"
#include "tests/support/durable.h"
#include "tests/support/leak.h"
#include "tests/support/store_file.h"

#define DAY (24 * TMGR_HOUR)

static const struct tmgr_process_definition *const definitions[] = { &order__definition,
	&order__payment, &order__delivery, &order__refund, NULL };

static int set_up(void **state)
{
	orders_set_ledger(false); /* a store in memory has no SQL */
	orders_set_webhook(NULL);
	return leak_setup(state);
}

static void begin(struct durable *durable)
{
	const struct order order = { .customer = (char[]){ "Ada" },
		.cart_ms = 7 * DAY / TMGR_MILLISECOND,
		.approval_ms = DAY / TMGR_MILLISECOND,
		.delivery_ms = 2 * TMGR_HOUR / TMGR_MILLISECOND };

	*durable = (struct durable){ 0 };
	durable_begin(durable, definitions);
	assert_int_equal(durable_start_with(durable, &order__definition, "o", &order), 0);
}

/* A command, and the code it was answered with. */
static int command(struct durable *durable, const char *key, const char *rest)
{
	char json[256], answer[128];
	const char *found;
	int code = 0;

	snprintf(json, sizeof(json), "{\"key\":\"%s\",%s}", key, rest);
	assert_int_equal(durable_send(durable, "o/commands", json), 0);
	snprintf(answer, sizeof(answer), "{\"key\":\"%s\",\"code\":", key);
	found = strstr(durable_state(durable, "o"), answer);
	assert_non_null(found);
	sscanf(found + strlen(answer), "%d", &code);
	return code;
}

static void is(struct durable *durable, const char *status)
{
	char text[64];

	snprintf(text, sizeof(text), "\"status\":\"%s\"", status);
	if (!strstr(durable_state(durable, "o"), text))
		fail_msg("%s is not in %s", text, durable_state(durable, "o"));
}

static void has(struct durable *durable, const char *text)
{
	if (!strstr(durable_state(durable, "o"), text))
		fail_msg("%s is not in %s", text, durable_state(durable, "o"));
}

#define ADD "\"kind\":\"add\",\"sku\":\"tea\",\"quantity\":2,\"price\":450"
#define SUBMIT "\"kind\":\"submit\""
#define APPROVE "\"kind\":\"decide\",\"yes\":true"
#define REFUSE "\"kind\":\"decide\",\"yes\":false,\"text\":\"too much\""
#define CANCEL "\"kind\":\"cancel\",\"text\":\"changed my mind\""

static void submit(struct durable *durable)
{
	assert_int_equal(command(durable, "1", ADD), 200);
	assert_int_equal(command(durable, "2", SUBMIT), 200);
	is(durable, "approval");
}

static void an_order_that_is_approved_is_paid_and_delivered(void **state)
{
	struct durable durable;

	begin(&durable);
	submit(&durable);
	has(&durable, "\"total\":900");
	assert_int_equal(command(&durable, "3", APPROVE), 200);
	is(&durable, "delivery");
	durable_advance(&durable, 2 * TMGR_HOUR - TMGR_MILLISECOND);
	is(&durable, "delivery");
	durable_advance(&durable, TMGR_MILLISECOND);
	is(&durable, "done");
	assert_string_equal(durable_result(&durable, "o"), "done");
	assert_string_equal(durable_result(&durable, "o.payment"), "paid");
	assert_string_equal(durable_result(&durable, "o.delivery"), "shipped");
	assert_null(durable_get(&durable, "o.refund"));
	durable_end(&durable);
}

static void approval_has_a_day_even_if_the_daemon_is_killed_in_it(void **state)
{
	struct durable durable;

	begin(&durable);
	submit(&durable);
	durable_advance(&durable, DAY / 2);
	/* The next program's wall clock says how long it was. */
	durable.options.wall_ms = INT64_C(1000000000000) + DAY / 2 / TMGR_MILLISECOND;
	durable_kill(&durable);
	durable_advance(&durable, DAY / 2 - TMGR_SECOND);
	is(&durable, "approval");
	durable_advance(&durable, TMGR_SECOND);
	is(&durable, "expired");
	assert_string_equal(durable_result(&durable, "o"), "expired");
	durable_end(&durable);
}

static void a_cart_that_is_left_alone_expires(void **state)
{
	struct durable durable;

	begin(&durable);
	durable_advance(&durable, 7 * DAY - TMGR_SECOND);
	is(&durable, "cart");
	durable_advance(&durable, TMGR_SECOND);
	is(&durable, "expired");
	durable_end(&durable);
}

static void what_was_submitted_or_decided_has_no_limit_any_more(void **state)
{
	struct durable durable;

	begin(&durable);
	durable_advance(&durable, 7 * DAY - TMGR_SECOND);
	submit(&durable);
	durable_advance(&durable, DAY - TMGR_SECOND);
	is(&durable, "approval");
	assert_int_equal(command(&durable, "3", APPROVE), 200);
	durable_advance(&durable, TMGR_HOUR);
	is(&durable, "delivery");
	durable_end(&durable);
}

static bool lives(struct durable *durable, const char *goroutine)
{
	const struct tmgr_process_info *info = durable_get(durable, "o");

	for (size_t i = 0; i < info->goroutine_count; i++)
		if (strcmp(info->goroutines[i].name, goroutine) == 0)
			return true;
	return false;
}

/* They would stand there for days, and wake it for nothing. */
static void who_waits_for_a_limit_ends_when_there_is_none_any_more(void **state)
{
	struct durable durable;

	begin(&durable);
	assert_true(lives(&durable, "Cart"));
	submit(&durable);
	assert_false(lives(&durable, "Cart"));
	assert_true(lives(&durable, "Limit"));
	assert_int_equal(command(&durable, "3", APPROVE), 200);
	assert_false(lives(&durable, "Limit"));
	durable_end(&durable);
}

static void a_refused_order_is_over(void **state)
{
	struct durable durable;

	begin(&durable);
	submit(&durable);
	assert_int_equal(command(&durable, "3", REFUSE), 200);
	is(&durable, "refused");
	has(&durable, "\"reason\":\"too much\"");
	assert_null(durable_get(&durable, "o.payment"));
	durable_end(&durable);
}

static void what_was_paid_is_paid_back_after_a_cancel(void **state)
{
	struct durable durable;

	begin(&durable);
	submit(&durable);
	assert_int_equal(command(&durable, "3", APPROVE), 200);
	is(&durable, "delivery");
	assert_int_equal(command(&durable, "4", CANCEL), 202);
	is(&durable, "cancelled");
	has(&durable, "\"reason\":\"changed my mind\"");
	assert_int_equal(durable_status(&durable, "o.delivery"), TMGR_PROCESS_CANCELLED);
	assert_string_equal(durable_result(&durable, "o.refund"), "refunded");
	durable_end(&durable);
}

static void an_operator_cancels_with_the_same_compensation(void **state)
{
	const struct tmgr_process_command cancel = { .kind = TMGR_PROCESS_CANCEL, .id = "o" };
	struct durable durable;

	begin(&durable);
	submit(&durable);
	assert_int_equal(command(&durable, "3", APPROVE), 200);
	assert_int_equal(durable_do(&durable, &cancel), 0);
	assert_int_equal(durable_status(&durable, "o"), TMGR_PROCESS_CANCELLED);
	is(&durable, "cancelled");
	assert_int_equal(durable_status(&durable, "o.delivery"), TMGR_PROCESS_CANCELLED);
	assert_string_equal(durable_result(&durable, "o.refund"), "refunded");
	durable_end(&durable);
}

/* Both are taken before a method is called. */
static void start_and_cancel(struct tmgr_processes *processes)
{
	const struct order order = { .customer = (char[]){ "Ada" } };
	const struct tmgr_process_command commands[] = {
		{ .kind = TMGR_PROCESS_START, .child = { &order__definition, "o", &order } },
		{ .kind = TMGR_PROCESS_CANCEL, .id = "o" },
	};
	struct tmgr_process_request *request;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		assert_int_equal(tmgr_processes_submit(processes, &commands[i], &request), 0);
		tmgr_process_request_release(request);
	}
	assert_int_equal(tmgr_processes_settle(processes), 0);
}

/* On SQLite: the ledger is there all the same. */
static void an_order_that_is_cancelled_before_its_first_step_is_booked(void **state)
{
	const struct tmgr_processes_options options = { .single_threaded = true, .seed = 1 };
	struct tmgr_processes *processes;
	struct tmgr_store *store;
	struct store_file file;

	assert_int_equal(store_file_init(&file), 0);
	assert_int_equal(tmgr_store_sqlite_create(file.path, NULL, &store), 0);
	assert_int_equal(tmgr_processes_create(store, &options, &processes), 0);
	assert_int_equal(orders_define(processes), 0);
	assert_int_equal(tmgr_processes_open(processes), 0);
	orders_set_ledger(true);
	start_and_cancel(processes);
	tmgr_processes_unref(processes);
	assert_string_equal(
		store_file_sql(&file, "SELECT order_id, event FROM ledger"), "o|cancelled");
	store_file_fini(&file);
}

/* What it was worth, and what was paid and went back. */
static void each_status_of_an_order_is_in_the_ledger(void **state)
{
	struct durable durable = { .options = { .seed = 1 } };
	const struct order order = { .customer = (char[]){ "Ada" },
		.cart_ms = DAY / TMGR_MILLISECOND,
		.approval_ms = DAY / TMGR_MILLISECOND,
		.delivery_ms = TMGR_HOUR / TMGR_MILLISECOND };
	struct tmgr_store *store;
	struct store_file file;

	assert_int_equal(store_file_init(&file), 0);
	assert_int_equal(tmgr_store_sqlite_create(file.path, NULL, &store), 0);
	orders_set_ledger(true);
	durable_begin_on(&durable, store, definitions);
	assert_int_equal(durable_start_with(&durable, &order__definition, "o", &order), 0);
	submit(&durable);
	assert_int_equal(command(&durable, "3", APPROVE), 200);
	assert_int_equal(command(&durable, "4", CANCEL), 202);
	is(&durable, "cancelled");
	durable_end(&durable);
	assert_string_equal(store_file_sql(&file, "SELECT event, amount FROM ledger ORDER BY id"),
		"cart|0\napproval|900\npayment|900\npaid|900\ndelivery|900\nrefund|900\n"
		"refunded|-900\ncancelled|900");
	store_file_fini(&file);
}

#define ADD_CUP "\"kind\":\"add\",\"sku\":\"cup\",\"quantity\":1,\"price\":5"

static void a_line_that_is_taken_out_leaves_the_others(void **state)
{
	struct durable durable;

	begin(&durable);
	assert_int_equal(command(&durable, "1", ADD), 200);
	assert_int_equal(command(&durable, "2", ADD_CUP), 200);
	assert_int_equal(command(&durable, "3", "\"kind\":\"remove\",\"sku\":\"tea\""), 200);
	has(&durable, "\"lines\":[{\"sku\":\"cup\",\"quantity\":1,\"price\":5}],\"total\":5");
	assert_int_equal(command(&durable, "4", "\"kind\":\"remove\",\"sku\":\"tea\""), 404);
	durable_end(&durable);
}

static void a_command_that_comes_at_the_wrong_time_is_refused_and_changes_nothing(void **state)
{
	struct durable durable;

	begin(&durable);
	assert_int_equal(command(&durable, "0", SUBMIT), 409); /* it is empty */
	assert_int_equal(command(&durable, "00", APPROVE), 409);
	submit(&durable);
	assert_int_equal(command(&durable, "3", ADD), 409);
	assert_int_equal(command(&durable, "4", SUBMIT), 409);
	assert_int_equal(command(&durable, "5", "\"kind\":\"remove\",\"sku\":\"tea\""), 409);
	assert_int_equal(command(&durable, "6", "\"kind\":\"steal\""), 400);
	assert_int_equal(command(&durable, "7", "\"kind\":\"add\""), 400);
	is(&durable, "approval");
	has(&durable, "\"total\":900");
	durable_end(&durable);
}

static void a_command_with_a_key_that_was_used_is_not_obeyed_again(void **state)
{
	struct durable durable;

	begin(&durable);
	assert_int_equal(command(&durable, "1", ADD), 200);
	assert_int_equal(command(&durable, "2", ADD_CUP), 200);
	assert_int_equal(command(&durable, "3", "\"kind\":\"remove\",\"sku\":\"cup\""), 200);
	has(&durable, "\"total\":900");
	/* Not by its key at the channel, which is another matter, but by the order. */
	assert_int_equal(command(&durable, "2", ADD_CUP), 200);
	has(&durable, "\"total\":900");
	durable_end(&durable);
}

static void what_is_no_command_is_dropped_and_said_in_the_history(void **state)
{
	static const char *const bad[] = { "", "x", "[]", "{\"kind\":7}", "{\"kind\":\"submit\"}" };
	struct durable durable;

	begin(&durable);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(durable_send(&durable, "o/commands", bad[i]), 0);
	assert_int_equal(durable_events(&durable, "o", TMGR_PROCESS_EVENT_LOG), 5);
	is(&durable, "cart");
	durable_end(&durable);
}

/* One more than there may be, and a line that is there is changed all the same. */
static void lines_and_answers_have_limits(void **state)
{
	struct durable durable;
	char line[128], key[16];

	begin(&durable);
	for (int i = 0; i < ORDERS_LINES_MAX; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		snprintf(line, sizeof(line),
			"\"kind\":\"add\",\"sku\":\"s%d\",\"quantity\":%d,\"price\":%d", i,
			ORDERS_QUANTITY_MAX, ORDERS_PRICE_MAX);
		assert_int_equal(command(&durable, key, line), 200);
	}
	has(&durable, "\"total\":500000000000");
	assert_int_equal(command(&durable, "more", ADD), 409);
	assert_int_equal(command(&durable, "same",
				 "\"kind\":\"add\",\"sku\":\"s0\",\"quantity\":1,\"price\":0"),
		200);
	has(&durable, "\"total\":490000000000");
	assert_null(strstr(durable_state(&durable, "o"), "\"key\":\"k0\""));
	has(&durable, "\"key\":\"k49\"");
	durable_end(&durable);
}

#define order_test(function) cmocka_unit_test_setup_teardown(function, set_up, leak_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		order_test(an_order_that_is_approved_is_paid_and_delivered),
		order_test(approval_has_a_day_even_if_the_daemon_is_killed_in_it),
		order_test(a_cart_that_is_left_alone_expires),
		order_test(what_was_submitted_or_decided_has_no_limit_any_more),
		order_test(who_waits_for_a_limit_ends_when_there_is_none_any_more),
		order_test(a_refused_order_is_over),
		order_test(what_was_paid_is_paid_back_after_a_cancel),
		order_test(an_operator_cancels_with_the_same_compensation),
		order_test(an_order_that_is_cancelled_before_its_first_step_is_booked),
		order_test(each_status_of_an_order_is_in_the_ledger),
		order_test(a_line_that_is_taken_out_leaves_the_others),
		order_test(a_command_that_comes_at_the_wrong_time_is_refused_and_changes_nothing),
		order_test(a_command_with_a_key_that_was_used_is_not_obeyed_again),
		order_test(what_is_no_command_is_dropped_and_said_in_the_history),
		order_test(lines_and_answers_have_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
