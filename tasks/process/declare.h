/*
 * What all declarations of a step share. They return an error that the step remembers.
 */
#ifndef TMGR__PROCESS_DECLARE_H
#define TMGR__PROCESS_DECLARE_H

#include "tasks/process/step.h"

/* Remember the first mistake, with what it was about; gives the error. */
int tmgr__step_mistake(struct tmgr_process *step, int error, const char *what);
int tmgr__step_no_memory(struct tmgr_process *step);
/* Without data: out of memory. */
struct tmgr_bytes tmgr__step_copy_bytes(struct tmgr_process *step, struct tmgr_bytes value);
const char *tmgr__step_copy_text(struct tmgr_process *step, const char *text);
/* A value that may be sent: 0, -EINVAL, -EMSGSIZE. */
int tmgr__step_judge_value(struct tmgr_process *step, struct tmgr_bytes value);
/* The id that a name or an id means, copied; NULL: a mistake. */
const char *tmgr__step_channel_id(struct tmgr_process *step, const char *channel);
const struct tmgr__emethod *tmgr__step_method_of(struct tmgr_process *step, tmgr_method *function);
struct tmgr__action *tmgr__step_act(struct tmgr_process *step, enum tmgr__action_kind kind);
int tmgr__step_add_case(struct tmgr_process *step, struct tmgr__case one, tmgr_method *then);
/* An id that is the step's and this number's only, the same whenever it is called. */
void tmgr__step_make_id(struct tmgr_process *step, unsigned number, char *id, size_t size);

#endif
