/*
 * The process of an order. Its goroutines:
 *
 *     Desk   takes commands, one after the other, as long as the order lives
 *     Cart   ends an order that stays a cart too long
 *     Limit  ends one that is not approved in time
 *     Work   has it paid, has it delivered, has it paid back
 *     Close  tells that it is over
 *
 * They share the state; steps of one process never overlap. The status says what is on its way: that is
 * all an order knows after a cancel from outside, so it changes in the step that begins something, and
 * what is booked is booked in the step that leaves it.
 */
#include "order.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct tmgr_state_field line_fields[] = {
	TMGR_FIELD(struct order_line, sku),
	TMGR_FIELD(struct order_line, quantity),
	TMGR_FIELD(struct order_line, price),
};
static const struct tmgr_state_table line_state = TMGR_STATE(struct order_line, line_fields);

static const struct tmgr_state_field answer_fields[] = {
	TMGR_FIELD(struct order_answer, key),
	TMGR_FIELD(struct order_answer, code),
	TMGR_FIELD(struct order_answer, text),
};
static const struct tmgr_state_table answer_state = TMGR_STATE(struct order_answer, answer_fields);

static const struct tmgr_state_field order_fields[] = {
	TMGR_FIELD(struct order, key),
	TMGR_FIELD(struct order, customer),
	TMGR_FIELD(struct order, status),
	TMGR_FIELD(struct order, reason),
	TMGR_FIELD_STRUCTS(struct order, lines, line_count, &line_state),
	TMGR_FIELD(struct order, total),
	TMGR_FIELD(struct order, cancelling),
	TMGR_FIELD(struct order, cart_ms),
	TMGR_FIELD(struct order, approval_ms),
	TMGR_FIELD(struct order, delivery_ms),
	TMGR_FIELD_STRUCTS(struct order, answers, answer_count, &answer_state),
};

static tmgr_method desk_open, desk_command, desk_cancel, cart_wait, cart_over, limit_wait,
	limit_over, work_pay, work_again, work_paid, work_delivered, work_refunded, close_tell;

bool order__is(const struct order *self, const char *status)
{
	return self->status && strcmp(self->status, status) == 0;
}

const char *order__errand_id(const struct tmgr_process *process, const char *kind, char *ret_id)
{
	snprintf(ret_id, TMGR_PROCESS_ID_MAX + 1, "%s.%s", tmgr_process_id(process), kind);
	return ret_id;
}

static int set_status(struct tmgr_process *process, struct order *self, const char *status)
{
	tmgr_process_text(process, &self->status, "%s", status);
	return order__book(process, tmgr_process_id(process), status, self->total);
}

/* Tell the webhook how it ended. */
static int tell_end(struct tmgr_process *process, const struct order *self)
{
	char event[64];
	const struct order_effect effect = { .event = event,
		.order = tmgr_process_id(process),
		.key = self->key,
		.amount = self->total };

	snprintf(event, sizeof(event), "order.%s", self->status);
	return order__tell(process, &effect, NULL);
}

/* ---- Desk ----------------------------------------------------------------------------------- */

/* A cancel may come before the first step. */
static void prepare(struct tmgr_process *process, struct order *self)
{
	char key[TMGR_PROCESS_KEY_MAX + 1];

	order__open_ledger(process);
	if (!self->key && tmgr_process_key(process, key) == 0)
		tmgr_process_text(process, &self->key, "%s", key);
}

static int desk_open(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	prepare(process, state);
	set_status(process, state, "cart");
	tmgr_process_go(process, cart_wait);
	return tmgr_process_receive(process, ORDERS_COMMANDS, desk_command);
}

static int desk_command(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	int r = order__obey(process, state, message->value);

	return r < 0 ? r : tmgr_process_receive(process, ORDERS_COMMANDS, desk_command);
}

/* Where an order goes on that has lost its goroutines; in any other status nothing is on its way. */
static const struct {
	const char *status;
	tmgr_method *method;
} resumptions[] = {
	{ "payment", work_again },
	{ "delivery", work_again },
	{ "refund", work_again },
	{ "done", close_tell },
	{ "cancelled", close_tell },
	{ "refused", close_tell },
	{ "expired", close_tell },
};

/*
 * Cancelled from outside, by an operator. The goroutines are gone, and what had come for them is lost; so
 * the order goes on from its status, to the end that a cancel by the customer would have given it.
 */
static int desk_cancel(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct order *self = state;

	prepare(process, self);
	self->cancelling = true;
	if (!self->reason)
		tmgr_process_text(process, &self->reason, "cancelled by an operator");
	tmgr_process_receive(process, ORDERS_COMMANDS, desk_command);
	for (size_t i = 0; i < sizeof(resumptions) / sizeof(resumptions[0]); i++)
		if (order__is(self, resumptions[i].status))
			return tmgr_process_go(process, resumptions[i].method);
	return order__end(process, self, "cancelled", self->reason);
}

/* ---- Cart, Limit ---------------------------------------------------------------------------- */

/* Nothing is declared: the goroutine ends. It was submitted, or decided, in time. */
static int limit_off(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return 0;
}

static int cart_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct order *self = state;

	tmgr_process_receive(process, "submitted", limit_off);
	return tmgr_process_after(process, self->cart_ms * TMGR_MILLISECOND, cart_over);
}

/* Steps do not overlap, but another one may have come between the time and this. */
static int cart_over(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct order *self = state;

	return order__is(self, "cart")
		       ? order__end(process, self, "expired", "the cart was left alone")
		       : 0;
}

int order__wait_for_approval(struct tmgr_process *process)
{
	return tmgr_process_go(process, limit_wait);
}

static int limit_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct order *self = state;

	tmgr_process_receive(process, "decided", limit_off);
	return tmgr_process_after(process, self->approval_ms * TMGR_MILLISECOND, limit_over);
}

static int limit_over(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct order *self = state;

	return order__is(self, "approval")
		       ? order__end(process, self, "expired", "nobody approved it in time")
		       : 0;
}

/* ---- Work ----------------------------------------------------------------------------------- */

int order__work(struct tmgr_process *process)
{
	return tmgr_process_go(process, work_pay);
}

static int call_errand(struct tmgr_process *process, const struct order *self,
	const struct tmgr_process_definition *definition, tmgr_method *then)
{
	char id[TMGR_PROCESS_ID_MAX + 1];
	const struct errand errand = { .order = (char *)tmgr_process_id(process),
		.key = self->key,
		.amount = self->total,
		.wait_ms = self->delivery_ms };
	const struct tmgr_process_child child = { definition,
		order__errand_id(process, definition->name, id), &errand };

	return tmgr_process_call(process, &child, then);
}

static int work_pay(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct order *self = state;

	if (self->cancelling)
		return order__end(process, self, "cancelled", self->reason ? self->reason : "");
	set_status(process, self, "payment");
	return call_errand(process, self, &order__payment, work_paid);
}

static int pay_back(struct tmgr_process *process, struct order *self)
{
	set_status(process, self, "refund");
	return call_errand(process, self, &order__refund, work_refunded);
}

/*
 * What is on its way is called again, by its id: so what it came to is told again, if it is over, and if
 * not it is undone as far as it can be. The cancel also has one that failed tried again.
 */
static int work_again(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct order *self = state;
	char id[TMGR_PROCESS_ID_MAX + 1];

	tmgr_process_cancel(process, order__errand_id(process, self->status, id));
	if (order__is(self, "payment"))
		return call_errand(process, self, &order__payment, work_paid);
	if (order__is(self, "delivery"))
		return call_errand(process, self, &order__delivery, work_delivered);
	return call_errand(process, self, &order__refund, work_refunded);
}

/* The payment was cancelled; what it had taken it has given back. */
static int end_unpaid(struct tmgr_process *process, struct order *self, const char *result)
{
	if (strcmp(result, "refunded") == 0) {
		order__book(process, tmgr_process_id(process), "paid", self->total);
		order__book(process, tmgr_process_id(process), "refunded", -self->total);
	}
	return order__end(process, self, "cancelled",
		self->cancelling ? self->reason : "its payment was cancelled");
}

static int work_paid(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct order *self = state;

	if (message->error == -ECANCELED)
		return end_unpaid(process, self, message->value.data);
	if (message->error < 0)
		return tmgr_process_fail(
			process, message->error, "%s gave no result", message->from);
	if (strcmp(message->value.data, "declined") == 0)
		return order__end(process, self, "refused", "the payment was declined");
	order__book(process, tmgr_process_id(process), "paid", self->total);
	if (self->cancelling)
		return pay_back(process, self);
	set_status(process, self, "delivery");
	return call_errand(process, self, &order__delivery, work_delivered);
}

static int work_delivered(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct order *self = state;

	if (message->error == -ECANCELED)
		return pay_back(process, self);
	if (message->error < 0)
		return tmgr_process_fail(
			process, message->error, "%s gave no result", message->from);
	order__book(process, tmgr_process_id(process), "shipped", self->total);
	return order__end(process, self, "done",
		self->cancelling ? "it was on its way already" : "delivered");
}

/* One that was cancelled has paid back all the same, and says so. */
static int work_refunded(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct order *self = state;

	if (message->error < 0 && message->value.size == 0)
		return tmgr_process_fail(
			process, message->error, "%s gave no result", message->from);
	order__book(process, tmgr_process_id(process), "refunded", -self->total);
	return order__end(process, self, "cancelled", self->reason ? self->reason : "");
}

/* ---- Close ---------------------------------------------------------------------------------- */

int order__end(
	struct tmgr_process *process, struct order *self, const char *status, const char *reason)
{
	set_status(process, self, status);
	tmgr_process_text(process, &self->reason, "%s", reason);
	return tmgr_process_go(process, close_tell);
}

static int close_tell(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct order *self = state;
	int r = tell_end(process, self);

	if (r < 0)
		return r;
	return tmgr_process_finish(
		process, (struct tmgr_bytes){ self->status, strlen(self->status) });
}

static const struct tmgr_process_method order_methods[] = {
	{ .name = "Desk_Open", .function = desk_open },
	{ .name = "Desk_Command", .function = desk_command },
	{ .name = "Desk_Cancel", .function = desk_cancel },
	{ .name = "Cart_Wait", .function = cart_wait },
	{ .name = "Cart_Over", .function = cart_over },
	{ .name = "Limit_Wait", .function = limit_wait },
	{ .name = "Limit_Over", .function = limit_over },
	{ .name = "Limit_Off", .function = limit_off },
	{ .name = "Work_Pay", .function = work_pay },
	{ .name = "Work_Again", .function = work_again },
	{ .name = "Work_Paid", .function = work_paid },
	{ .name = "Work_Delivered", .function = work_delivered },
	{ .name = "Work_Refunded", .function = work_refunded },
	{ .name = "Close_Tell", .function = close_tell },
	{ 0 },
};

const struct tmgr_state_table order__state = TMGR_STATE(struct order, order_fields);

const struct tmgr_process_definition order__definition = {
	.name = "order",
	.version = 1,
	.state = TMGR_STATE(struct order, order_fields),
	.start = desk_open,
	.cancel = desk_cancel,
	.methods = order_methods,
};

int orders_define(struct tmgr_processes *processes)
{
	static const struct tmgr_process_definition *const all[] = { &order__definition,
		&order__payment, &order__delivery, &order__refund };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(all) / sizeof(all[0]); i++)
		r = tmgr_processes_define(processes, all[i]);
	return r;
}

int orders_start(struct tmgr_context *context, struct tmgr_processes *processes, const char *id,
	const struct orders_terms *terms, int64_t deadline)
{
	const struct order order = {
		.customer = (char *)terms->customer,
		.cart_ms = terms->cart_ms,
		.approval_ms = terms->approval_ms,
		.delivery_ms = terms->delivery_ms,
	};
	const struct tmgr_process_child child = { &order__definition, id, &order };

	return tmgr_processes_start(context, processes, &child, deadline);
}
