/*
 * A program that is one coroutine on one loop, and what it spawns.
 */
#ifndef EXAMPLES_ONLOOP_H
#define EXAMPLES_ONLOOP_H

#include <taskmgr/taskmgr.h>

/* Run a function as the main coroutine of a loop, until it and all that it spawned have ended: the
 * program's exit code, 0 when it returned 0. Ctrl-C cancels it. */
int onloop_main(int (*function)(void *self, struct tmgr_context *context));

#endif
