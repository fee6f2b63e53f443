/*
 * Writing a states file as C: what the header and the source share.
 */
#ifndef TASKCTL_MACHINE_GENERATE_H
#define TASKCTL_MACHINE_GENERATE_H

#include <ctype.h>
#include <stdio.h>

#include "taskctl_machine.h"

/* Names of a machine and one of its states, as C has them; the upper-case ones for constants. */
struct c_names {
	char machine[STATES_C_NAME_SIZE], upper_machine[STATES_C_NAME_SIZE];
	char state[STATES_C_NAME_SIZE], upper_state[STATES_C_NAME_SIZE];
};

void taskctl_c_names(struct c_names *names, const struct states_file *file, const char *state);

/* States with Exception, which is the last. */
size_t taskctl_count_with_exception(const struct states_file *file);

/* What each file begins with. */
void taskctl_write_note(FILE *out, const struct states_file *file);

/* The header; `base` is its name without ".h". */
void taskctl_write_header(FILE *out, const struct states_file *file, const char *base);

#endif
