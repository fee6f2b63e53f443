/*
 * A task that publishes a number every 100 ms.
 */
#ifndef PUBSUB_PUBLISHER_H
#define PUBSUB_PUBLISHER_H

#include "broker.h"

/* name is static; the broker is borrowed. */
struct tmgr_task publisher_task(const char *name, struct broker *broker);

#endif
