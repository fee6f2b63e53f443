/* What the files of an order share. */
#ifndef EXAMPLES_ORDER_H
#define EXAMPLES_ORDER_H

#include "orders.h"

struct order_line {
	char *sku;
	int64_t quantity, price;
};

struct order_answer {
	char *key;
	int64_t code;
	char *text;
};

struct order {
	char *key; /* of its effects: no other order has it, not even one of the same id later */
	char *customer;
	char *status;
	char *reason; /* of its end, or of what will be */
	struct order_line *lines;
	size_t line_count;
	int64_t total;
	bool cancelling; /* as soon as what is on its way is known */
	int64_t cart_ms, approval_ms, delivery_ms;
	struct order_answer *answers; /* the oldest first */
	size_t answer_count;
};

struct order_command {
	char *kind, *key;
	char *sku, *text;
	int64_t quantity, price;
	bool yes;
};

/* An errand of an order: a payment, a delivery, a refund, each a process of its own. */
struct errand {
	char *order, *key; /* the order's id, and its key */
	int64_t amount, wait_ms;
	bool begun; /* the effect may have happened */
};

extern const struct tmgr_state_table order__state, order__command_state, order__errand_state;
extern const struct tmgr_process_definition order__definition, order__payment, order__delivery,
	order__refund;

/* What a command does in a status. */
struct order_outcome {
	int64_t code;
	const char *text;
};

bool order__is(const struct order *self, const char *status);

/* Goroutines of an order, in order.c, that commands start. */
int order__wait_for_approval(struct tmgr_process *process);
int order__work(struct tmgr_process *process);
/* The order ends: it says so to the webhook and gives its result. */
int order__end(
	struct tmgr_process *process, struct order *self, const char *status, const char *reason);

/* Obey a command, or refuse it; in command.c. 0, or the error the step fails with. */
int order__obey(struct tmgr_process *process, struct order *self, struct tmgr_bytes json);

/* What is told of an order, once by its key: each event has one, whichever step tells it. */
struct order_effect {
	const char *event, *order, *key;
	int64_t amount;
};

/* Tell the webhook; *ret_code is the code of its answer. */
int order__tell(struct tmgr_process *process, const struct order_effect *effect, int *ret_code);

/* A row of the ledger, exactly once. */
int order__book(struct tmgr_process *process, const char *order, const char *event, int64_t amount);
int order__open_ledger(struct tmgr_process *process);

/* The id of an errand: "ORDER.payment". */
const char *order__errand_id(const struct tmgr_process *process, const char *kind, char *ret_id);

#endif
