/*
 * Which signals a task can watch. A run looks again when the watch is made; this is for saying so
 * when the task is built.
 */
#ifndef TMGR_TASKS_SIGNAL_RULE_INTERNAL_H
#define TMGR_TASKS_SIGNAL_RULE_INTERNAL_H

#include <stdbool.h>

bool tmgr__signal_can_be_watched(int signo);

#endif
