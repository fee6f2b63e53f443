/*
 * Schemas and mutations on them, beside the rules by the letter: results, what is active in its order,
 * ticks, and the order of the final handlers.
 */
#include "tests/support/drawn.h"

#define COUNT_MAX 12
#define MUTATIONS_MAX 64

struct order {
	struct drawn_list exits, enters;
};

static void note_end(void *self, struct tmgr_machine_event *event)
{
	struct order *order = self;

	must(order->exits.count < DRAWN_MAX);
	order->exits.states[order->exits.count++] = event->state;
}

static void note_state(void *self, struct tmgr_machine_event *event)
{
	struct order *order = self;

	must(order->enters.count < DRAWN_MAX);
	order->enters.states[order->enters.count++] = event->state;
}

static bool are_equal(const struct drawn_list *one, const struct drawn_list *other)
{
	return one->count == other->count &&
	       memcmp(one->states, other->states, one->count * sizeof(one->states[0])) == 0;
}

static void compare(const struct tmgr_machine *machine, const struct drawn_machine *model,
	const struct order *order)
{
	struct drawn_list active;

	active.count = tmgr_machine_active(machine, active.states, DRAWN_MAX + 1);
	must(are_equal(&active, &model->active));
	for (unsigned state = 0; state <= model->schema->count; state++) {
		must(tmgr_machine_tick(machine, state) == model->ticks[state]);
		must(tmgr_machine_is(machine, state) == drawn_has(&active, state));
	}
	must(are_equal(&order->exits, &model->exits));
	must(are_equal(&order->enters, &model->enters));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct drawn_schema drawn;
	static struct tmgr_state_handlers rows[DRAWN_MAX + 1];
	struct input input = { data, size };
	struct drawn_machine model = { .schema = &drawn };
	struct tmgr_machine_handlers table = { .states = rows };
	struct order order;
	struct tmgr_machine *machine;
	struct tmgr_schema *schema;

	for (unsigned i = 0; i <= DRAWN_MAX; i++)
		rows[i] = (struct tmgr_state_handlers){ .end = note_end, .state = note_state };
	drawn_read_schema(&drawn, &input, 1 + input_byte(&input) % COUNT_MAX);
	must(tmgr_schema_compile(drawn.rows, drawn.count, NULL, &schema) == 0);
	must(tmgr_machine_create(schema, NULL, &machine) == 0);
	table.state_count = drawn.count + 1;
	must(tmgr_machine_bind(machine, &table, &order) == 0);
	for (unsigned i = 0; i < MUTATIONS_MAX && input.left > 0; i++) {
		enum tmgr_mutation_kind kind = input_byte(&input) % 4;
		struct drawn_list called;

		drawn_read_states(&called, &drawn, &input);
		order.exits.count = order.enters.count = 0;
		must(tmgr_machine_change(machine, kind, called.states, NULL) ==
			drawn_mutate(&model, kind, &called));
		compare(machine, &model, &order);
	}
	tmgr_machine_unref(machine);
	tmgr_schema_unref(schema);
	return 0;
}
