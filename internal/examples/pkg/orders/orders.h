/*
 * Orders as durable processes: a cart, an approval that must come within a day, a payment and a
 * delivery as processes of their own, and compensation when a customer changes his mind.
 *
 *     cart -> approval -> payment -> delivery -> done
 *       |        |           |          |
 *       |        |           +----------+-> refund -> cancelled
 *       |        |           +-> refused, cancelled: nothing was paid
 *       |        +-> refused, expired, cancelled
 *       +-> expired, cancelled
 *
 * An operator cancels the process, at any moment, and it ends in one of these ways too: whoever was
 * charged has his parcel or his money.
 *
 * What others are told of it (a charge, a parcel, the end of an order) goes to a webhook, with a key:
 * at least once, and the same thing always with the same key.
 */
#ifndef EXAMPLES_ORDERS_H
#define EXAMPLES_ORDERS_H

#include <stdbool.h>

#include <taskmgr/tasks/process_runtime.h>

/* Limits of what comes from outside. Prices are in cents. */
#define ORDERS_ID_MAX 40    /* [A-Za-z0-9_-] */
#define ORDERS_SKU_MAX 32   /* the same */
#define ORDERS_TEXT_MAX 80  /* of a customer, a reason: UTF-8 */
#define ORDERS_KEY_MAX 64   /* of a command */
#define ORDERS_LINES_MAX 50 /* of an order */
#define ORDERS_QUANTITY_MAX 1000
#define ORDERS_PRICE_MAX 10000000
#define ORDERS_COMMAND_MAX 2048 /* bytes of a command */
/* How many answers to commands an order remembers. */
#define ORDERS_ANSWERS_MAX 32

/* What an order is given when it is made, and keeps. */
struct orders_terms {
	const char *customer;
	int64_t cart_ms;     /* how long it may stay a cart */
	int64_t approval_ms; /* how long it waits for approval */
	int64_t delivery_ms; /* from payment to the parcel */
};

/*
 * A command, sent to the channel ORDER/commands as JSON: what is asked for and what it needs. The order
 * keeps its answer under the key, in `answers` of its state: a number as in HTTP, and a text.
 */
#define ORDERS_COMMANDS "commands"

/* Define all that an order needs in a runtime. */
int orders_define(struct tmgr_processes *processes);

/* Start an order. 0, -EEXIST, or what tmgr_processes_start() says. */
int orders_start(struct tmgr_context *context, struct tmgr_processes *processes, const char *id,
	const struct orders_terms *terms, int64_t deadline);

/*
 * Where effects are told: "http://HOST[:PORT]/PATH", looked up once; NULL: nowhere. 0, or -EINVAL: it
 * is no such address, or has no such host. Before anything runs.
 */
int orders_set_webhook(const char *url);

/* Whether the ledger is written: rows in the tables of the store, in the transaction of the step. */
void orders_set_ledger(bool written);

#endif
