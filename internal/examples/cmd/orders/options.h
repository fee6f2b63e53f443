#ifndef ORDERS_OPTIONS_H
#define ORDERS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
	const char *database; /* NULL: a temporary one */
	const char *address;
	int port;
	const char *webhook; /* NULL: none */
	const char *control; /* NULL: none */
	int64_t cart_ms, approval_ms, delivery_ms;
	/* of the sink */
	bool sink;
	const char *file;
	int64_t fail_every, decline_over; /* 0: never */
};

enum options_result {
	OPTIONS_RUN,
	OPTIONS_HELP,
	OPTIONS_BAD,
};

/* What is wrong is said on standard error. */
enum options_result options_parse(int argc, char **argv, struct options *ret_options);

#endif
