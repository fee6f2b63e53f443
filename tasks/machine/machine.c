/*
 * Making and ending machines. All of one stands in one block: the structure, then ticks and sets, then
 * lists.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

/* ---- Memory --------------------------------------------------------------------------------- */

/* Pieces are cut from the block behind the structure; without a block they are only counted. */
struct cutting {
	unsigned char *block;
	size_t at;
};

static void *cut(struct cutting *cutting, size_t size)
{
	size_t at = cutting->at;

	cutting->at += (size + 7) & ~(size_t)7;
	return cutting->block ? cutting->block + at : NULL;
}

static void cut_all(
	struct cutting *cutting, struct tmgr_machine *machine, const struct tmgr_schema *schema)
{
	size_t list = schema->count * sizeof(unsigned), set = schema->words * sizeof(uint64_t);
	bool sorts = schema->any & TMGR__STATE_AFTER;

	machine->ticks = cut(cutting, schema->count * sizeof(uint64_t));
	machine->state_waits = cut(cutting, schema->count * sizeof(void *));
	machine->timers = cut(cutting, schema->timeout_count * sizeof(*machine->timers));
	machine->active.set = cut(cutting, set);
	machine->target.set = cut(cutting, set);
	machine->called.set = cut(cutting, set);
	machine->exits.set = cut(cutting, set);
	machine->scratch.set = cut(cutting, set);
	machine->active.list = cut(cutting, list);
	machine->target.list = cut(cutting, list);
	machine->called.list = cut(cutting, list);
	machine->before = cut(cutting, list);
	machine->enters.list = cut(cutting, list);
	machine->exits.list = cut(cutting, list);
	machine->scratch.order = cut(cutting, sorts ? list : 0);
	machine->scratch.path = cut(cutting, sorts ? list : 0);
}

static struct tmgr_machine *allocate(const struct tmgr_schema *schema)
{
	struct tmgr_machine counted, *machine;
	struct cutting cutting = { NULL, 0 };
	size_t size = (sizeof(*machine) + 7) & ~(size_t)7;

	cut_all(&cutting, &counted, schema);
	machine = calloc(1, size + cutting.at);
	if (!machine)
		return NULL;
	cutting = (struct cutting){ (unsigned char *)machine + size, 0 };
	cut_all(&cutting, machine, schema);
	return machine;
}

static void set_timers(struct tmgr_machine *machine)
{
	struct tmgr__timer *timer = machine->timers;

	for (unsigned state = 0; state < machine->schema->count; state++) {
		if (machine->schema->flags[state] & TMGR__STATE_TIMEOUT)
			(timer++)->of.state = state;
	}
}

static void release(struct tmgr_machine *machine)
{
	tmgr__history_destroy(machine);
	free(machine->tables.items);
	free(machine->tracers.items);
	free(machine->call);
	free(machine->alarm);
	free(machine->name);
	tmgr_loop_weak_unref(machine->loop);
	tmgr_schema_unref(machine->schema);
	free(machine);
}

static bool are_valid(const struct tmgr_machine_options *options)
{
	return options->queue_max <= INT32_MAX && options->slow_ns >= 0 &&
	       (unsigned)options->queue_full <= TMGR_QUEUE_BLOCK &&
	       options->history_max <= INT32_MAX;
}

static int set_up(struct tmgr_machine *machine, const struct tmgr_machine_options *options)
{
	tmgr__list_init(&machine->front);
	tmgr__list_init(&machine->high);
	tmgr__list_init(&machine->normal);
	tmgr__list_init(&machine->postponed_items);
	machine->refs = 1;
	machine->fired_last = &machine->fired;
	machine->queue_full = (uint8_t)options->queue_full;
	machine->queue_max = options->queue_max ? (uint32_t)options->queue_max : TMGR__QUEUE_MAX;
	machine->slow_ns = options->slow_ns ? options->slow_ns : TMGR__SLOW_NS;
	machine->slow_fails = options->slow_fails;
	set_timers(machine);
	if (options->loop) {
		machine->loop = tmgr_loop_weak_ref(options->loop);
		machine->call = calloc(1, sizeof(*machine->call));
		if (!machine->call)
			return -ENOMEM;
	}
	if (options->name) {
		machine->name = strndup(options->name, TMGR_MACHINE_NAME_MAX);
		if (!machine->name)
			return -ENOMEM;
	}
	return options->history_max ? tmgr__history_create(machine, options->history_max) : 0;
}

int tmgr_machine_create(struct tmgr_schema *schema, const struct tmgr_machine_options *options,
	struct tmgr_machine **ret_machine)
{
	static const struct tmgr_machine_options no_options;
	struct tmgr_machine *machine;
	int r;

	if (!options)
		options = &no_options;
	if (!schema || !ret_machine || !are_valid(options))
		return -EINVAL;
	machine = allocate(schema);
	if (!machine)
		return -ENOMEM;
	machine->schema = tmgr_schema_ref(schema);
	r = set_up(machine, options);
	if (r < 0) {
		release(machine);
		return r;
	}
	*ret_machine = machine;
	return 0;
}

struct tmgr_machine *tmgr_machine_ref(struct tmgr_machine *machine)
{
	if (machine)
		check(__atomic_fetch_add(&machine->refs, 1, __ATOMIC_RELAXED) > 0);
	return machine;
}

void tmgr_machine_unref(struct tmgr_machine *machine)
{
	uint32_t refs;

	if (!machine)
		return;
	/* The last ends it while it is still one: callbacks may take references and give them back. */
	while (__atomic_load_n(&machine->refs, __ATOMIC_ACQUIRE) == 1 &&
		!tmgr_machine_disposed(machine)) {
		tmgr__lock_acquire(&machine->lock);
		machine->disposing = true;
		check(tmgr__drain_begin(machine));
		tmgr__lock_release(&machine->lock);
		tmgr__drain(machine);
	}
	refs = __atomic_fetch_sub(&machine->refs, 1, __ATOMIC_ACQ_REL);
	check(refs > 0);
	if (refs > 1)
		return;
	check(machine->wait_count == 0 && !machine->draining);
	release(machine);
}

int tmgr_machine_dispose(struct tmgr_machine *machine)
{
	int r = 0;

	if (!machine)
		return -EINVAL;
	tmgr__lock_acquire(&machine->lock);
	if (machine->disposing) {
		tmgr__lock_release(&machine->lock);
		return -EALREADY;
	}
	machine->disposing = true;
	if (tmgr__machine_elsewhere(machine))
		r = tmgr__drain_schedule(machine);
	else
		tmgr__lock_release(&machine->lock);
	if (r < 0 || !tmgr__machine_elsewhere(machine))
		tmgr__machine_end_here(machine);
	return 0;
}

bool tmgr_machine_disposed(const struct tmgr_machine *machine)
{
	return !machine || __atomic_load_n(&machine->disposed, __ATOMIC_ACQUIRE);
}

const char *tmgr_machine_name(const struct tmgr_machine *machine)
{
	if (!machine)
		return "";
	return machine->name ? machine->name : machine->schema->name;
}

struct tmgr_schema *tmgr_machine_schema(const struct tmgr_machine *machine)
{
	return machine ? machine->schema : NULL;
}

unsigned tmgr_machine_exception(const struct tmgr_machine *machine)
{
	return machine ? tmgr__schema_exception(machine->schema) : TMGR_STATES_END;
}

int tmgr_machine_error(const struct tmgr_machine *machine, struct tmgr_machine_error *ret_error)
{
	/* A lock is no part of what is constant. */
	struct tmgr_machine *locked = (struct tmgr_machine *)(uintptr_t)machine;
	int code;

	if (!machine)
		return -EINVAL;
	tmgr__lock_acquire(&locked->lock);
	code = machine->error.code;
	if (ret_error)
		*ret_error = machine->error;
	tmgr__lock_release(&locked->lock);
	return code;
}

const void *tmgr__machine_here(void)
{
	static _Thread_local char here;

	return &here;
}

bool tmgr__machine_inside(struct tmgr_machine *machine)
{
	/* Only this thread writes its own address there, and takes it away. */
	return __atomic_load_n(&machine->drainer, __ATOMIC_RELAXED) == tmgr__machine_here();
}
