/*
 * Asking a person from inside of a durable process: a function that any method may end with, and the
 * desk where the questions lie until somebody answers them.
 *
 * A question has a channel of its own for its answer. The desk offers the answer on it, and does not
 * wait: who asked takes it if it still waits, and else it was too late. So an answer is delivered once or
 * not at all, and the desk knows which.
 */
#ifndef EXAMPLES_APPROVE_H
#define EXAMPLES_APPROVE_H

#include <taskmgr/tasks/process_runtime.h>

/* The desk: a process with this id, started before anything is asked. */
#define APPROVE_DESK "desk"
/* Answers from outside: "PROCESS yes", or "PROCESS no", for the oldest question of that process. */
#define APPROVE_ANSWERS APPROVE_DESK "/answers"
/* Most bytes of a question, and most questions that lie on the desk: the oldest goes for a new one. */
#define APPROVE_TEXT_MAX 500
#define APPROVE_QUESTIONS_MAX 100

extern const struct tmgr_process_definition approve_desk_definition;

enum approve_answer {
	APPROVE_YES,
	APPROVE_NO,
	APPROVE_NOBODY, /* in time */
};

/*
 * Ask, and go on with `then` when there is an answer or the time is over; approve_answer() says
 * which. It declares the cases of the step: the method ends with it,
 *
 *     return approve(process, main_answered, "May I?", TMGR_HOUR);
 */
int approve(struct tmgr_process *process, tmgr_method *then, const char *text, int64_t timeout_ns);

/* What `then` was called with. */
enum approve_answer approve_answer(const struct tmgr_message *message);

#endif
