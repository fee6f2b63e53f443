/*
 * A task that takes 150 ms for each message: two publishers are faster.
 */
#ifndef PUBSUB_SUBSCRIBER_H
#define PUBSUB_SUBSCRIBER_H

#include "broker.h"

/* name is static; the broker is borrowed. */
struct tmgr_task subscriber_task(const char *name, struct broker *broker);

#endif
