/*
 * taskctl machine: its commands, and what they share.
 */
#ifndef TASKCTL_MACHINE_H
#define TASKCTL_MACHINE_H

#include <getopt.h>

#include "taskctl.h"
#include "taskctl_states.h"

int taskctl_machine_check(int argc, char **argv);
int taskctl_machine_generate(int argc, char **argv);
int taskctl_machine_graph(int argc, char **argv);
int taskctl_machine_replay(int argc, char **argv);

/* Read a states file and say what is wrong with it: TASKCTL_DONE, or TASKCTL_FAILED with nothing to
 * release. */
int taskctl_load_states(const char *path, struct states_file *file);

/*
 * Have the schema's compiler look at a states file, and say what it finds, in order of lines. How
 * many faults there are, and in `ret_errors`, if it is not NULL, those of them that leave no schema;
 * -1: out of memory, which was told.
 */
int taskctl_compile_states(const char *path, const struct states_file *file, unsigned *ret_errors);

#endif
