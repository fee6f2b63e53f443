/*
 * A TCP upstream that is kept alive: greeted, then asked every 200 ms whether it is still there. And
 * the other side, for trying it out.
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include <taskmgr/taskmgr.h>

struct keeper;
struct upstream;

/* Lines of what changes are written to standard output. host is borrowed. 0 or a negative errno. */
int upstream_create(const char *host, unsigned port, struct upstream **ret_upstream);
/* Once its task has ended. */
void upstream_destroy(struct upstream *upstream);

struct tmgr_task upstream_task(struct upstream *upstream);

/* For who uses it: wait until it is there. */
struct keeper *upstream_keeper(struct upstream *upstream);

/* A task that is the other side, on a port of the loopback; 0: any, which it prints. */
struct tmgr_task upstream_server(unsigned port);

#endif
