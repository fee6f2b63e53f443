/*
 * A machine on a bench: its states are named by letters, each handler of each state is bound to one
 * function, which records its name ("AEnter", "AB", "AnyState") and then does what the test wants.
 */
#ifndef TESTS_SUPPORT_RIG_H
#define TESTS_SUPPORT_RIG_H

#include <taskmgr/tasks/machine.h>
#include <taskmgr/tasks/machine_task.h>
#include <taskmgr/tasks/machine_tracer.h>
#include <taskmgr/tasks/machine_wait.h>

#include "tests/support/leak.h"
#include "tests/support/recorder.h"

#define RIG_MAX 9

enum { A, B, C, D, E, F, G, H };

/* A row of a table, by its letter. */
#define RIG_ROW(letter, ...) [letter] = { .name = #letter, __VA_ARGS__ }
#define RIG_PLAIN(letter) [letter] = { .name = #letter }

struct rig {
	struct tmgr_schema *schema;
	struct tmgr_machine *machine;
	unsigned count; /* Exception included */
	struct tmgr_state_handlers rows[RIG_MAX];
	struct tmgr_pair_handler pairs[RIG_MAX * RIG_MAX];
	struct tmgr_machine_handlers table;
	struct recorder recorder;
	/* Called by each handler, if set, with its name; false refuses. */
	bool (*act)(struct rig *rig, struct tmgr_machine_event *event, const char *name);
	void *user;        /* the test's */
	const char *words; /* likewise */
	int result;        /* likewise */
	int disposed;      /* how often that handler was called */
};

/* Make one; handlers are bound where `act` was set. */
void rig_make(struct rig *rig, const struct tmgr_machine_state *rows, unsigned count,
	const struct tmgr_machine_options *options);
/* Fill in its table; and bind it. */
void rig_fill(struct rig *rig);
void rig_bind(struct rig *rig);
void rig_end(struct rig *rig);

/* What an actor does with one, its argument: ask for A; the result is in it. */
void rig_add_a(void *rig, struct tmgr_context *context);
/* Look at A between two transitions: what tmgr_machine_evaluate() gives. */
int rig_evaluate(struct rig *rig, struct tmgr_context *context);

/* What it stands at, as "A:1 C:3", in static memory. */
const char *rig_text(struct rig *rig);

/* What was recorded since this was called last, in static memory. */
const char *rig_recorded(struct rig *rig);

#define rig_stands(rig, text) assert_string_equal(rig_text(rig), text)

#endif
