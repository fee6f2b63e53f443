/* The other end of the webhook: writes a line for each request. */
#ifndef ORDERS_SINK_H
#define ORDERS_SINK_H

#include "options.h"

/* The exit code. */
int sink_run(const struct options *options);

#endif
