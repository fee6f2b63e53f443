/*
 * A daemon (daemon.h) whose store is one in memory, some of whose functions are the test's own: set them
 * in own_store between making and starting it.
 */
#ifndef TESTS_SUPPORT_OWN_STORE_H
#define TESTS_SUPPORT_OWN_STORE_H

#include <taskmgr/tasks/process_store.h>

#include "tests/support/daemon.h"

extern struct tmgr_store_ops own_store;
extern const struct tmgr_store_ops *own_store_real; /* what stood there */

void own_store_make(struct daemon *daemon);

#endif
