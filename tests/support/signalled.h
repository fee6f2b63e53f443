/*
 * What tests of signals share: they run in a process of its own (child.h), which is sent them.
 */
#ifndef TESTS_SUPPORT_SIGNALLED_H
#define TESTS_SUPPORT_SIGNALLED_H

#include "tests/support/recorder.h"

struct tmgr_channel;

extern const struct tmgr_manager_options takes_signals;

/* A probe's execute that prints "ready" and waits for the stop. */
int say_ready_and_wait(struct probe *probe, struct tmgr_context *context);

/* Send a signal, and wait until the run has taken it: the channel of a watch is sent it after that. */
void have_taken(struct tmgr_context *context, int signo, struct tmgr_channel *taken);

#endif
