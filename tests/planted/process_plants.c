/*
 * Faults planted between the parts of the engine of durable processes where the program is linked: PLANT=1..4 in the environment
 * chooses one. Each strikes now and then, as a real one would.
 */
#include <stdlib.h>

#include "tasks/process/engine_inside.h"

void __real_tmgr__goroutine_ready(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr__emethod *method, struct tmgr__arrival *arrival);
void __wrap_tmgr__goroutine_ready(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr__emethod *method, struct tmgr__arrival *arrival);
void __real_tmgr__delete_message(struct tmgr__engine *engine, const struct tmgr__channel *channel,
	const struct tmgr__emessage *message);
void __wrap_tmgr__delete_message(struct tmgr__engine *engine, const struct tmgr__channel *channel,
	const struct tmgr__emessage *message);
int __real_tmgr__timer_arm(struct tmgr__engine *engine, struct tmgr__wait *wait, int64_t at);
int __wrap_tmgr__timer_arm(struct tmgr__engine *engine, struct tmgr__wait *wait, int64_t at);
void __real_tmgr__delete_waits(struct tmgr__engine *engine, uint64_t sequence);
void __wrap_tmgr__delete_waits(struct tmgr__engine *engine, uint64_t sequence);

enum { NONE, LOST_WAKEUP, DOUBLE_FIRE, SKIPPED_TIMER, KEPT_WAIT };

static bool strikes(int plant, unsigned each)
{
	static unsigned calls;
	const char *chosen = getenv("PLANT");

	return chosen != NULL && atoi(chosen) == plant && ++calls % each == 0;
}

/* Ready, and in no line; the store has it right, so a kill mends it. */
void __wrap_tmgr__goroutine_ready(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr__emethod *method, struct tmgr__arrival *arrival)
{
	__real_tmgr__goroutine_ready(engine, goroutine, method, arrival);
	if (strikes(LOST_WAKEUP, 100))
		tmgr__goroutine_unqueue(engine, goroutine);
}

/* The store still has what was received: after a kill it is received again. */
void __wrap_tmgr__delete_message(struct tmgr__engine *engine, const struct tmgr__channel *channel,
	const struct tmgr__emessage *message)
{
	if (!strikes(DOUBLE_FIRE, 100))
		__real_tmgr__delete_message(engine, channel, message);
}

/* A kill mends this one, too. */
int __wrap_tmgr__timer_arm(struct tmgr__engine *engine, struct tmgr__wait *wait, int64_t at)
{
	return strikes(SKIPPED_TIMER, 100) ? 0 : __real_tmgr__timer_arm(engine, wait, at);
}

void __wrap_tmgr__delete_waits(struct tmgr__engine *engine, uint64_t sequence)
{
	if (!strikes(KEPT_WAIT, 100))
		__real_tmgr__delete_waits(engine, sequence);
}
