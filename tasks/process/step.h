/*
 * A step while its method runs: what it was called with, and what it has declared. Everything lives in
 * the step's own memory until the engine has taken it.
 *
 * What it reads of the engine (the process's id, state, definition, the goroutine's name, arrival and
 * effects) does not change while the method runs. A result of an effect that comes late does change the
 * goroutine's trouble: then the step is overtaken, and does not look there any more.
 */
#ifndef TMGR__PROCESS_STEP_H
#define TMGR__PROCESS_STEP_H

#include <taskmgr/tasks/process.h>

#include "tasks/process/engine.h"

struct tmgr__statement {
	struct tmgr__statement *next;
	struct tmgr_sql_statement statement;
};

struct tmgr_process {
	struct tmgr__engine *engine; /* for its definitions only */
	struct tmgr__eprocess *process;
	struct tmgr__goroutine *goroutine;
	struct tmgr_state_memory *memory;
	struct tmgr_state_memory *child_memory; /* NULL until a child's state is written */
	struct tmgr_context *context;
	int64_t deadline;  /* absolute, monotonic, ns */
	int64_t wall_ms;   /* when it was called */
	unsigned attempts; /* then */
	bool has_sql;      /* the store has */
	bool overtaken;    /* the engine may still take a result of an effect */
	unsigned next_id, next_key;
	int error;       /* the first mistake of a declaration */
	size_t declared; /* bytes */
	char text[TMGR_PROCESS_TEXT_SIZE];
	struct tmgr__case cases[TMGR_PROCESS_CASES_MAX];
	struct tmgr__action **last_action;
	struct tmgr__statement *statements, **last_statement;
	size_t statement_count;
	struct tmgr__deed deed;
	/* Have a result kept before this returns; self is the runtime's. */
	int (*keep)(struct tmgr_process *step, const char *name, struct tmgr_bytes value);
	/* When, by the runtime's time, that many ns from now have passed. */
	int64_t (*due)(const struct tmgr_process *step, int64_t ns);
	void *self;
};

/* Ready for a first call: -ENOMEM. */
int tmgr__step_init(struct tmgr_process *step);
void tmgr__step_fini(struct tmgr_process *step);
/* Call the method of the process's running goroutine, and write the deed. */
void tmgr__step_run(struct tmgr_process *step);

/* When a call of it that begins now is late; TMGR_NEVER: it is never. */
int64_t tmgr__method_deadline(const struct tmgr__emethod *method, int64_t now);

#endif
