/*
 * Draining on the machine's loop.
 *
 * Who asks from elsewhere posts a call, and relies on it. Where what this calls of the user's leaves by
 * pthread_exit(), nobody is left to drain the machine: it is disposed then, so that nobody waits. On
 * the loop's own stack this is registered for the thread's exit. On that of a coroutine, which may park,
 * it would mix with what others register: there whoever comes next sees it, by the loop's end, and the
 * loop itself comes by what was posted.
 */
#include <pthread.h>

#include "internal.h"

void tmgr__drain_give_up(struct tmgr_machine *machine)
{
	struct tmgr__item *evaluating = machine->evaluating;

	machine->evaluating = NULL;
	machine->transition = NULL;
	machine->result = TMGR_MUTATION_CANCELLED;
	if (evaluating)
		tmgr__item_cancel(machine, evaluating);
	if (machine->calling)
		tmgr__waits_called(machine);
	machine->disposing = true;
}

static void exited(void *self)
{
	struct tmgr_machine *machine = self;

	tmgr__lock_acquire(&machine->lock);
	tmgr__drain_give_up(machine);
	tmgr__lock_release(&machine->lock);
	/* It still is this thread that drains it. */
	tmgr__drain(machine);
	tmgr_machine_unref(machine);
}

static void drain_or_exit(struct tmgr_machine *machine)
{
	pthread_cleanup_push(exited, machine);
	tmgr__drain(machine);
	pthread_cleanup_pop(0);
}

static void drain_on_loop(void *self)
{
	struct tmgr_machine *machine = self;
	bool begun;

	tmgr__lock_acquire(&machine->lock);
	machine->scheduled = false;
	begun = tmgr__drain_begin(machine);
	tmgr__lock_release(&machine->lock);
	if (begun)
		drain_or_exit(machine);
	tmgr_machine_unref(machine);
}

/* It goes without having run: nothing is made there. */
static void end_without_loop(void *self)
{
	struct tmgr_machine *machine = self;

	tmgr__lock_acquire(&machine->lock);
	machine->scheduled = false;
	tmgr__lock_release(&machine->lock);
	tmgr__machine_end_here(machine);
	tmgr_machine_unref(machine);
}

int tmgr__drain_schedule(struct tmgr_machine *machine)
{
	bool post = !machine->scheduled && (!machine->draining || machine->by_coroutine);
	int r = 0;

	machine->scheduled |= post;
	tmgr__lock_release(&machine->lock);
	if (!post)
		return 0;
	tmgr_machine_ref(machine);
	r = tmgr_loop_post_or(
		machine->loop, machine->call, drain_on_loop, end_without_loop, machine);
	if (r == 0)
		return 0;
	tmgr__lock_acquire(&machine->lock);
	machine->scheduled = false;
	tmgr__lock_release(&machine->lock);
	/* Not the last: the caller has one. */
	tmgr_machine_unref(machine);
	return r;
}

void tmgr__machine_end_here(struct tmgr_machine *machine)
{
	bool begun;

	tmgr__lock_acquire(&machine->lock);
	machine->disposing = true;
	begun = tmgr__drain_begin(machine);
	tmgr__lock_release(&machine->lock);
	if (begun)
		tmgr__drain(machine);
}

bool tmgr__machine_elsewhere(const struct tmgr_machine *machine)
{
	return machine->loop && tmgr_loop_current() != machine->loop;
}
