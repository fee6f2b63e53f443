/*
 * The errands of an order: payment, delivery, refund. Each has one effect outside. Before it, a step
 * says that it may have happened; so a cancel in between knows whether there is something to undo.
 */
#include "order.h"

#include <string.h>

#define PAYMENT_REQUIRED 402

static const struct tmgr_state_field errand_fields[] = {
	TMGR_FIELD(struct errand, order),
	TMGR_FIELD(struct errand, key),
	TMGR_FIELD(struct errand, amount),
	TMGR_FIELD(struct errand, wait_ms),
	TMGR_FIELD(struct errand, begun),
};
const struct tmgr_state_table order__errand_state = TMGR_STATE(struct errand, errand_fields);

static int finish(struct tmgr_process *process, const char *result)
{
	return tmgr_process_finish(process, (struct tmgr_bytes){ result, strlen(result) });
}

static int begin(struct tmgr_process *process, struct errand *self, tmgr_method *then)
{
	self->begun = true;
	return tmgr_process_default(process, then);
}

static int tell(
	struct tmgr_process *process, const struct errand *self, const char *event, int *ret_code)
{
	const struct order_effect effect = {
		.event = event, .order = self->order, .key = self->key, .amount = self->amount
	};

	return order__tell(process, &effect, ret_code);
}

/* ---- Payment -------------------------------------------------------------------------------- */

static int main_charge(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct errand *self = state;
	int code = 0;
	int r = tell(process, self, "payment.charged", &code);

	return r < 0 ? r : finish(process, code == PAYMENT_REQUIRED ? "declined" : "paid");
}

static int main_begin_payment(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return begin(process, state, main_charge);
}

/*
 * Nobody knows whether the charge has come through, or was declined. With the same key it can be told
 * again, and then it is known.
 */
static int main_undo_payment(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct errand *self = state;
	int code = 0, r;

	if (!self->begun)
		return 0;
	r = tell(process, self, "payment.charged", &code);
	if (r < 0 || code == PAYMENT_REQUIRED)
		return r;
	r = tell(process, self, "payment.refunded", NULL);
	return r < 0 ? r : finish(process, "refunded");
}

static const struct tmgr_process_method payment_methods[] = {
	{ .name = "Main_Begin", .function = main_begin_payment },
	{ .name = "Main_Charge", .function = main_charge },
	{ .name = "Main_Undo", .function = main_undo_payment },
	{ 0 },
};

const struct tmgr_process_definition order__payment = {
	.name = "payment",
	.version = 1,
	.state = TMGR_STATE(struct errand, errand_fields),
	.start = main_begin_payment,
	.cancel = main_undo_payment,
	.methods = payment_methods,
};

/* ---- Delivery ------------------------------------------------------------------------------- */

static int main_ship(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct errand *self = state;
	int r = tell(process, self, "delivery.shipped", NULL);

	return r < 0 ? r : finish(process, "shipped");
}

static int main_load(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return begin(process, state, main_ship);
}

static int main_pack(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct errand *self = state;

	return tmgr_process_after(process, self->wait_ms * TMGR_MILLISECOND, main_load);
}

static int main_recall(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct errand *self = state;

	return self->begun ? tell(process, self, "delivery.recalled", NULL) : 0;
}

static const struct tmgr_process_method delivery_methods[] = {
	{ .name = "Main_Pack", .function = main_pack },
	{ .name = "Main_Load", .function = main_load },
	{ .name = "Main_Ship", .function = main_ship },
	{ .name = "Main_Recall", .function = main_recall },
	{ 0 },
};

const struct tmgr_process_definition order__delivery = {
	.name = "delivery",
	.version = 1,
	.state = TMGR_STATE(struct errand, errand_fields),
	.start = main_pack,
	.cancel = main_recall,
	.methods = delivery_methods,
};

/* ---- Refund --------------------------------------------------------------------------------- */

static int main_refund(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	const struct errand *self = state;
	int r = tell(process, self, "payment.refunded", NULL);

	return r < 0 ? r : finish(process, "refunded");
}

static const struct tmgr_process_method refund_methods[] = {
	{ .name = "Main_Refund", .function = main_refund },
	{ 0 },
};

const struct tmgr_process_definition order__refund = {
	.name = "refund",
	.version = 1,
	.state = TMGR_STATE(struct errand, errand_fields),
	.start = main_refund,
	.cancel = main_refund, /* what is owed is owed */
	.methods = refund_methods,
};
