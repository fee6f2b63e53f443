/* Telemetry of machines: the ring and its lines of JSON; what all of it costs; threads and loops. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <taskmgr/taskmgr.h>

#include "taskmgr/base/check.h"

#include "tests/support/fault.h"
#include "tests/support/turnstile.h"

/* ---- The ring ------------------------------------------------------------------------------- */

/* The next line of a ring, parsed; NULL: there is none. */
static json_t *next(struct tmgr_machine_ring *ring, uint64_t *position)
{
	int64_t n = -ENOBUFS;
	char text[2048];
	json_t *line;

	/* In steps that are shorter than a line, so that only one fits. */
	for (size_t size = 64; n == -ENOBUFS && size <= sizeof(text); size += 64)
		n = tmgr_machine_ring_json(ring, position, text, size);
	assert_true(n >= 0);
	if (n == 0)
		return NULL;
	assert_ptr_equal(memchr(text, '\n', (size_t)n), text + n - 1);
	line = json_loadb(text, (size_t)n, 0, NULL);
	assert_non_null(line);
	return line;
}

static void expect_line(json_t *line, const char *key, const char *expected)
{
	char *text = json_dumps(json_object_get(line, key), JSON_COMPACT | JSON_ENCODE_ANY);

	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void a_ring_tells_transitions_as_json(void **state)
{
	struct tmgr_machine *machine = turnstile_make("gate \"A\"", NULL);
	struct tmgr_machine_ring *ring;
	uint64_t position = 0;
	json_t *line;

	assert_int_equal(tmgr_machine_ring_create(machine, 0, &ring), 0);
	assert_null(next(ring, &position));
	assert_int_equal(tmgr_machine_add(machine, TURNSTILE_LOCKED, NULL), TMGR_MUTATION_EXECUTED);
	line = next(ring, &position);
	assert_non_null(line);
	expect_line(line, "machine", "\"gate \\\"A\\\"\"");
	expect_line(line, "sequence", "1");
	expect_line(line, "number", "1");
	expect_line(line, "kind", "\"add\"");
	expect_line(line, "origin", "\"call\"");
	expect_line(line, "result", "\"executed\"");
	expect_line(line, "called", "[\"Locked\"]");
	expect_line(line, "left", "{}");
	expect_line(line, "entered", "{\"Locked\":1}");
	expect_line(line, "active", "[\"Locked\"]");
	assert_null(json_object_get(line, "error"));
	assert_null(json_object_get(line, "lost"));
	assert_true(json_integer_value(json_object_get(line, "duration_ns")) >= 0);
	assert_true(json_integer_value(json_object_get(line, "monotonic_ns")) <= tmgr_now());
	json_decref(line);

	assert_int_equal(tmgr_machine_add(machine, TURNSTILE_COIN, NULL), TMGR_MUTATION_EXECUTED);
	line = next(ring, &position);
	expect_line(line, "left", "{\"Locked\":2}");
	expect_line(line, "entered", "{\"Unlocked\":1,\"Coin\":1}");
	expect_line(line, "active", "[\"Unlocked\",\"Coin\"]");
	json_decref(line);
	assert_null(next(ring, &position));
	tmgr_machine_ring_destroy(ring);
	tmgr_machine_unref(machine);
}

static void what_was_refused_or_failed_is_told_as_such(void **state)
{
	struct handling handling = { .refuse = TURNSTILE_UNLOCKED, .fail = TMGR_STATES_END };
	struct tmgr_machine *machine = turnstile_make("gate", &handling);
	struct tmgr_machine_ring *ring;
	uint64_t position = 0;
	json_t *line;

	assert_int_equal(tmgr_machine_ring_create(machine, 0, &ring), 0);
	assert_int_equal(tmgr_machine_add(machine, TURNSTILE_COIN, NULL), TMGR_MUTATION_CANCELLED);
	line = next(ring, &position);
	expect_line(line, "result", "\"cancelled\"");
	expect_line(line, "left", "{}");
	expect_line(line, "entered", "{}");
	expect_line(line, "active", "[]");
	json_decref(line);

	/* Its state handler fails: it leaves again, and so does what was entered behind it. */
	handling = (struct handling){ .refuse = TMGR_STATES_END, .fail = TURNSTILE_COIN };
	assert_int_equal(tmgr_machine_add(machine, TURNSTILE_COIN, NULL), TMGR_MUTATION_CANCELLED);
	line = next(ring, &position);
	expect_line(line, "result", "\"failed\"");
	expect_line(line, "entered", "{\"Coin\":2,\"Unlocked\":2}");
	expect_line(line, "active", "[]");
	json_decref(line);
	line = next(ring, &position);
	expect_line(line, "origin", "\"exception\"");
	expect_line(line, "called", "[\"Exception\"]");
	expect_line(line, "error",
		"{\"code\":-5,\"error\":\"Input/output error\",\"handler\":\"state\","
		"\"state\":\"Coin\",\"text\":\"a \\\"text\\\"\\n\xef\xbf\xbd\"}");
	json_decref(line);
	assert_null(next(ring, &position));
	tmgr_machine_ring_destroy(ring);
	tmgr_machine_unref(machine);
}

static void a_full_ring_keeps_the_last(void **state)
{
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_ring *ring;
	uint64_t position = 0, seen = 0, first = 0;
	json_t *line;

	assert_int_equal(tmgr_machine_ring_create(machine, 4096, &ring), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(
			tmgr_machine_add(machine, TURNSTILE_COIN, NULL), TMGR_MUTATION_EXECUTED);
	while ((line = next(ring, &position))) {
		uint64_t sequence = (uint64_t)json_integer_value(json_object_get(line, "sequence"));

		first = first ? first : sequence;
		assert_true(seen == 0 || sequence == seen + 1);
		seen = sequence;
		json_decref(line);
	}
	assert_int_equal(seen, 1000);
	/* As many as fit: 112 bytes each, and less than one is lost at the end of the row. */
	assert_in_range(1000 - first + 1, 4096 / 112 - 2, 4096 / 96);

	/* Read on from what was overwritten meanwhile. */
	for (int i = 0; i < 100; i++)
		assert_int_equal(
			tmgr_machine_add(machine, TURNSTILE_COIN, NULL), TMGR_MUTATION_EXECUTED);
	line = next(ring, &position);
	assert_true(json_integer_value(json_object_get(line, "sequence")) > 1001);
	json_decref(line);
	tmgr_machine_ring_destroy(ring);
	tmgr_machine_unref(machine);
}

static void lines_are_written_whole_or_not_at_all(void **state)
{
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_ring *ring;
	char text[4096], all[4096];
	uint64_t position = 0;
	int64_t n, whole;

	assert_int_equal(tmgr_machine_ring_create(machine, 0, &ring), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			tmgr_machine_add(machine, TURNSTILE_COIN, NULL), TMGR_MUTATION_EXECUTED);
	whole = tmgr_machine_ring_json(ring, &position, all, sizeof(all));
	assert_true(whole > 0);
	for (size_t size = 0; size <= (size_t)whole; size++) {
		size_t used = 0;

		position = 0;
		while ((n = tmgr_machine_ring_json(ring, &position, text + used, size)) > 0)
			used += (size_t)n;
		assert_true(n == 0 || n == -ENOBUFS);
		if (n == 0)
			assert_int_equal(used, whole);
		assert_memory_equal(text, all, used);
	}
	/* In the end all fitted. */
	assert_int_equal(n, 0);
	/* Positions of nobody's. */
	for (uint64_t bad = 1; bad < 600; bad++) {
		position = bad;
		n = tmgr_machine_ring_json(ring, &position, text, sizeof(text));
		assert_true(n == -EINVAL || n >= 0);
	}
	tmgr_machine_ring_destroy(ring);
	tmgr_machine_unref(machine);
}

/* ---- Costs ---------------------------------------------------------------------------------- */

static void nothing_is_allocated_while_a_machine_is_watched(void **state)
{
	struct handling handling = { .refuse = TMGR_STATES_END, .fail = TMGR_STATES_END };
	struct tmgr_machine *machine = turnstile_make("gate", &handling);
	struct tmgr_machine_metrics *metrics;
	struct tmgr_machine_ring *ring;
	char text[4096];
	uint64_t position = 0;
	long before;

	assert_int_equal(tmgr_machine_ring_create(machine, 4096, &ring), 0);
	assert_int_equal(tmgr_machine_metrics_create(machine, &metrics), 0);
	tmgr_machine_add(machine, TURNSTILE_LOCKED, NULL);
	before = fault_allocations();
	fault_fail_all_allocations(true);
	for (int i = 0; i < 1000; i++) {
		handling.refuse = i % 3 == 0 ? TURNSTILE_COIN : TMGR_STATES_END;
		tmgr_machine_add(machine, TURNSTILE_COIN, NULL);
		tmgr_machine_set(machine, TURNSTILE_LOCKED, NULL);
		tmgr_machine_ring_json(ring, &position, text, sizeof(text));
	}
	fault_off();
	assert_int_equal(fault_allocations(), before);
	tmgr_machine_metrics_destroy(metrics);
	tmgr_machine_ring_destroy(ring);
	tmgr_machine_unref(machine);
}

static void without_memory_nothing_is_watched_and_nothing_leaks(void **state)
{
	struct tmgr_machine *machine = turnstile_make("gate", NULL);

	for (int which = 0; which < 2; which++) {
		int r = -ENOMEM;

		for (long k = 1; r; k++) {
			struct tmgr_machine_metrics *metrics = NULL;
			struct tmgr_machine_ring *ring = NULL;

			assert_true(k < 50);
			fault_count_begin();
			fault_fail_allocation(k);
			r = which ? tmgr_machine_metrics_create(machine, &metrics)
				  : tmgr_machine_ring_create(machine, 0, &ring);
			assert_int_equal(r, fault_happened() ? -ENOMEM : 0);
			fault_off();
			assert_int_equal(tmgr_machine_add(machine, TURNSTILE_COIN, NULL),
				TMGR_MUTATION_EXECUTED);
			tmgr_machine_metrics_destroy(metrics);
			tmgr_machine_ring_destroy(ring);
			/* The machine keeps the room that its list of tracers has. */
			assert_in_range(fault_live(), 0, 1);
			fault_count_end();
		}
	}
	tmgr_machine_unref(machine);
}

static void bad_arguments_are_refused(void **state)
{
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct tmgr_machine_metrics *metrics;
	struct tmgr_machine_ring *ring;
	uint64_t position = 0;
	char text[8] = "text";

	assert_int_equal(tmgr_machine_ring_create(NULL, 0, &ring), -EINVAL);
	assert_int_equal(tmgr_machine_ring_create(machine, 0, NULL), -EINVAL);
	assert_int_equal(tmgr_machine_ring_create(machine, SIZE_MAX, &ring), -EINVAL);
	assert_int_equal(tmgr_machine_metrics_create(NULL, &metrics), -EINVAL);
	assert_int_equal(tmgr_machine_metrics_create(machine, NULL), -EINVAL);
	assert_int_equal(tmgr_machine_ring_create(machine, 1, &ring), 0);
	assert_int_equal(tmgr_machine_ring_json(NULL, &position, text, 8), -EINVAL);
	assert_int_equal(tmgr_machine_ring_json(ring, NULL, text, 8), -EINVAL);
	assert_int_equal(tmgr_machine_ring_json(ring, &position, NULL, 8), -EINVAL);
	tmgr_machine_ring_destroy(ring);
	assert_int_equal(tmgr_machine_metrics_format(NULL, 1, text, 8), 0);
	assert_string_equal(text, "");
	assert_int_equal(tmgr_step_json(NULL, text, 8), 0);
	assert_int_equal(tmgr_step_format(NULL, text, 8), 0);
	tmgr_machine_ring_destroy(NULL);
	tmgr_machine_metrics_destroy(NULL);

	tmgr_machine_dispose(machine);
	assert_int_equal(tmgr_machine_ring_create(machine, 0, &ring), -ESHUTDOWN);
	assert_int_equal(tmgr_machine_metrics_create(machine, &metrics), -ESHUTDOWN);
	tmgr_machine_unref(machine);
}

/* ---- Several threads ------------------------------------------------------------------------ */

struct mutator {
	struct tmgr_machine *machine;
	pthread_t thread;
	unsigned state;
};

#define MUTATIONS 2000

static void *mutate(void *argument)
{
	struct mutator *mutator = argument;

	for (int i = 0; i < MUTATIONS; i++)
		tmgr_machine_toggle(mutator->machine, mutator->state, NULL);
	return NULL;
}

static void readers_meet_a_machine_that_others_drive(void **state)
{
	struct tmgr_machine *machine = turnstile_make("gate", NULL);
	struct mutator mutators[3];
	struct tmgr_machine_metrics *metrics;
	struct tmgr_machine_ring *ring;
	uint64_t position = 0, last = 0;
	static char text[16384];
	int64_t n;

	assert_int_equal(tmgr_machine_ring_create(machine, 8192, &ring), 0);
	assert_int_equal(tmgr_machine_metrics_create(machine, &metrics), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(mutators); i++) {
		mutators[i] = (struct mutator){ .machine = machine, .state = i };
		assert_int_equal(
			pthread_create(&mutators[i].thread, NULL, mutate, &mutators[i]), 0);
	}
	while (last < ARRAY_SIZE(mutators) * MUTATIONS) {
		struct tmgr_machine_stats stats;

		tmgr_machine_metrics_format(&metrics, 1, text, sizeof(text));
		n = tmgr_machine_ring_json(ring, &position, text, sizeof(text));
		assert_true(n >= 0);
		for (char *at = text, *end = text + n; at < end;) {
			char *newline = memchr(at, '\n', (size_t)(end - at));
			json_t *line = json_loadb(at, (size_t)(newline - at), 0, NULL);
			uint64_t sequence = (uint64_t)json_integer_value(
				json_object_get(line, "sequence"));

			assert_true(sequence > last);
			last = sequence;
			json_decref(line);
			at = newline + 1;
		}
		assert_int_equal(tmgr_machine_stats(machine, &stats), 0);
		/* Full queues drop: there are less, and the end is when nobody mutates any more. */
		if (n == 0 &&
			stats.transitions + stats.dropped == ARRAY_SIZE(mutators) * MUTATIONS &&
			last == stats.transitions)
			break;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(mutators); i++)
		pthread_join(mutators[i].thread, NULL);
	tmgr_machine_metrics_destroy(metrics);
	tmgr_machine_ring_destroy(ring);
	tmgr_machine_unref(machine);
}

/* ---- A machine on a loop -------------------------------------------------------------------- */

struct looping {
	struct tmgr_machine *machine;
	bool in_place;
};

static bool on_any_enter(void *self, struct tmgr_machine_event *event)
{
	struct looping *looping = self;

	looping->in_place = tmgr_loop_current() != NULL;
	return true;
}

static int mutate_and_return(void *self, struct tmgr_context *context)
{
	struct looping *looping = self;
	int r = tmgr_machine_add(looping->machine, TURNSTILE_COIN, NULL);

	return r == TMGR_MUTATION_EXECUTED ? 0 : -EPROTO;
}

static void a_machine_is_set_up_before_its_loop_runs_and_after_it_ended(void **state)
{
	static const struct tmgr_machine_handlers handlers = { .any_enter = on_any_enter };
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct tmgr_machine_options options = { .name = "looped" };
	struct tmgr_machine_ring *ring;
	struct looping looping = { 0 };
	struct tmgr_schema *schema;
	uint64_t position = 0;
	json_t *line;

	assert_int_equal(tmgr_loop_create(NULL, &options.loop), 0);
	assert_int_equal(turnstile_compile(&schema), 0);
	assert_int_equal(tmgr_machine_create(schema, &options, &looping.machine), 0);
	assert_int_equal(tmgr_machine_ring_create(looping.machine, 0, &ring), 0);
	assert_int_equal(tmgr_machine_bind(looping.machine, &handlers, &looping), 0);
	assert_int_equal(tmgr_machine_bind(looping.machine, &handlers, &options), 0);
	assert_int_equal(tmgr_machine_unbind(looping.machine, &handlers, &options), 0);
	assert_int_equal(
		tmgr_manager_add_task(manager, "loop", tmgr_loop_task(options.loop), TMGR_STRICT),
		0);
	assert_int_equal(tmgr_manager_add_task(manager, "driver",
				 tmgr_task_function(mutate_and_return, &looping), TMGR_STOP_GROUP),
		0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_true(looping.in_place);
	line = next(ring, &position);
	assert_non_null(line);
	expect_line(line, "active", "[\"Coin\",\"Unlocked\"]");
	json_decref(line);
	assert_int_equal(tmgr_machine_unbind(looping.machine, &handlers, &looping), 0);
	tmgr_machine_ring_destroy(ring);
	tmgr_machine_unref(looping.machine);
	tmgr_schema_unref(schema);
	tmgr_loop_unref(options.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_tells_transitions_as_json),
		cmocka_unit_test(what_was_refused_or_failed_is_told_as_such),
		cmocka_unit_test(a_full_ring_keeps_the_last),
		cmocka_unit_test(lines_are_written_whole_or_not_at_all),
		cmocka_unit_test(nothing_is_allocated_while_a_machine_is_watched),
		cmocka_unit_test(without_memory_nothing_is_watched_and_nothing_leaks),
		cmocka_unit_test(bad_arguments_are_refused),
		cmocka_unit_test(readers_meet_a_machine_that_others_drive),
		cmocka_unit_test(a_machine_is_set_up_before_its_loop_runs_and_after_it_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
