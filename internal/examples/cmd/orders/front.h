/* What the HTTP front of orders answers. */
#ifndef ORDERS_FRONT_H
#define ORDERS_FRONT_H

#include <stdbool.h>

#include <jansson.h>

#include "http.h"
#include "internal/examples/pkg/orders/orders.h"

/* How long a request waits for what it asked for. */
#define FRONT_WAIT_NS (10 * TMGR_SECOND)

struct front {
	struct tmgr_processes *processes;
	struct orders_terms terms; /* without the customer */
};

/* A request on its way through the front. */
struct visit {
	struct front *front;
	struct tmgr_context *context;
	const struct http_request *request;
	int64_t deadline;
	char id[ORDERS_ID_MAX + 1]; /* of the order; "" */
	const char *rest;           /* of the path, behind the id: "", "lines", "lines/SKU" */
};

struct http_answer front_answer(
	void *self, struct tmgr_context *context, const struct http_request *request);

/* Answers. */
struct http_answer front_json(int status, json_t *taken);
struct http_answer front_error(int status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* What an error of the runtime means for who asked. */
struct http_answer front_failed(int error);

/* ---- input.c: what comes in a body ---------------------------------------------------------- */

bool front_is_name(const char *text, size_t max);
/* The object in the body, whose keys are all among `names`; NULL: *ret_answer says what is wrong. */
json_t *front_body(const struct http_request *request, const char *const *names,
	struct http_answer *ret_answer);
/* A field; false: *ret_answer says what is wrong. */
bool front_text(const json_t *body, const char *name, const char **ret_text,
	struct http_answer *ret_answer);
bool front_number(const json_t *body, const char *name, int64_t max, int64_t *ret_number,
	struct http_answer *ret_answer);

/* ---- orders.c: what is asked of an order ---------------------------------------------------- */

struct http_answer front_create(const struct visit *visit);
struct http_answer front_list(const struct visit *visit);
struct http_answer front_show(const struct visit *visit);
/* Have an order obey a command, and tell its answer. */
struct http_answer front_command(const struct visit *visit, json_t *taken);

#endif
