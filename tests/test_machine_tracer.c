/* What looks on at a machine: tracers, logs, history. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/check.h"

#include "tests/support/rig.h"

static const struct tmgr_machine_state plain[] = {
	RIG_PLAIN(A),
	RIG_PLAIN(B),
	RIG_PLAIN(C),
};

#define PLAIN_COUNT ARRAY_SIZE(plain)

/* ---- Tracers --------------------------------------------------------------------------------- */

static void trace_start(void *self, const struct tmgr_machine_transition *transition)
{
	recorder_add(self, "start%d-%s-%zu", (int)transition->number,
		tmgr_mutation_name(transition->kind), transition->enter_count);
}

static void trace_end(void *self, const struct tmgr_machine_transition *transition)
{
	recorder_add(self, "end%d", (int)transition->number);
}

static void trace_cancelled(void *self, const struct tmgr_machine_transition *transition)
{
	recorder_add(self, "cancelled%d%s", (int)transition->number,
		transition->committed ? "-committed" : "");
}

static void trace_queued(
	void *self, struct tmgr_machine *machine, const struct tmgr_machine_queued *queued)
{
	(void)machine;
	recorder_add(self, "queued%d-%zu", (int)queued->ticket, queued->called_count);
}

static void trace_handler_start(void *self, const struct tmgr_machine_event *event)
{
	recorder_add(self, "<%s", tmgr_handler_name(event->kind));
}

static void trace_handler_end(
	void *self, const struct tmgr_machine_event *event, bool accepted, int64_t ns, bool slow)
{
	recorder_add(self, "%s%s>", accepted && ns >= 0 ? "" : "!", slow ? "slow" : "");
	(void)event;
}

static void trace_drained(void *self, struct tmgr_machine *machine)
{
	(void)machine;
	recorder_add(self, "drained");
}

static void trace_disposed(void *self, struct tmgr_machine *machine)
{
	(void)machine;
	recorder_add(self, "disposed");
}

static const struct tmgr_machine_tracer tracer = {
	.transition_start = trace_start,
	.transition_end = trace_end,
	.transition_cancelled = trace_cancelled,
	.mutation_queued = trace_queued,
	.handler_start = trace_handler_start,
	.handler_end = trace_handler_end,
	.queue_drained = trace_drained,
	.disposed = trace_disposed,
};

static void queue_b(void *self, struct tmgr_machine_event *event)
{
	(void)self;
	tmgr_machine_add(event->machine, B, NULL);
}

static bool refuse(void *self, struct tmgr_machine_event *event)
{
	(void)self;
	(void)event;
	return false;
}

static void fail_final(void *self, struct tmgr_machine_event *event)
{
	(void)self;
	tmgr_machine_fail(event, -EIO, "final");
}

static const struct tmgr_state_handlers traced_rows[] = {
	[A] = { .state = queue_b },
	[B] = { .enter = refuse },
	[C] = { .state = fail_final },
};
static const struct tmgr_machine_handlers traced_table = { .states = traced_rows,
	.state_count = 3 };

static void a_tracer_sees_all_in_order(void **state)
{
	struct recorder seen = RECORDER_INIT;
	struct rig rig = { .act = NULL };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_bind(rig.machine, &traced_table, NULL), 0);
	assert_int_equal(tmgr_machine_trace(rig.machine, &tracer, &seen), 0);
	assert_int_equal(tmgr_machine_trace(rig.machine, &tracer, &seen), -EEXIST);
	tmgr_machine_add(rig.machine, A, NULL);
	assert_string_equal(recorder_text(&seen),
		"start1-add-1 <state > end1 queued1-1 start2-add-1 <enter !> cancelled2 drained");
	recorder_clear(&seen);
	tmgr_machine_set(rig.machine, C, NULL);
	assert_string_equal(recorder_text(&seen),
		"start3-set-1 <state !> cancelled3-committed start4-add-1 end4");
	recorder_clear(&seen);
	assert_int_equal(
		tmgr_machine_can(NULL, rig.machine, TMGR_MUTATION_ADD, TMGR_STATES(B), NULL),
		TMGR_MUTATION_CANCELLED);
	assert_string_equal(recorder_text(&seen), "<enter !>");
	assert_int_equal(tmgr_machine_untrace(rig.machine, &tracer, &seen), 0);
	assert_int_equal(tmgr_machine_untrace(rig.machine, &tracer, &seen), -ENOENT);
	tmgr_machine_add(rig.machine, A, NULL);
	assert_string_equal(recorder_text(&seen), "<enter !>");
	assert_int_equal(tmgr_machine_trace(rig.machine, &tracer, &seen), 0);
	recorder_clear(&seen);
	tmgr_machine_dispose(rig.machine);
	assert_string_equal(recorder_text(&seen), "disposed");
	rig_end(&rig);
}

static void write_line(void *self, const char *line)
{
	struct recorder *recorder = self;
	char *copy = strdup(line);

	for (char *at = copy; *at; at++)
		*at = *at == ' ' ? '_' : *at;
	recorder_add(recorder, "%s", copy);
	free(copy);
}

static void a_log_says_as_much_as_its_level(void **state)
{
	struct recorder lines = RECORDER_INIT;
	struct rig rig = { .act = NULL };
	struct tmgr_machine_log log;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_bind(rig.machine, &traced_table, NULL), 0);
	assert_int_equal(
		tmgr_machine_log(rig.machine, &log, TMGR_MACHINE_LOG_CHANGES, write_line, &lines),
		0);
	tmgr_machine_add(rig.machine, A, NULL);
	tmgr_machine_set(rig.machine, C, NULL);
	assert_string_equal(recorder_text(&lines),
		"machine:_+A machine:_+Exception:_Input/output_error:_final");
	assert_int_equal(tmgr_machine_log_end(rig.machine, &log), 0);
	assert_int_equal(tmgr_machine_log_end(rig.machine, &log), -ENOENT);
	recorder_clear(&lines);
	assert_int_equal(
		tmgr_machine_log(rig.machine, &log, TMGR_MACHINE_LOG_MUTATIONS, write_line, &lines),
		0);
	tmgr_machine_set(rig.machine, A, NULL);
	assert_string_equal(recorder_text(&lines),
		"machine:_set_A machine:_-Exception_+A machine:_queued:_add_B machine:_add_B "
		"machine:_cancelled:_add_B");
	assert_int_equal(tmgr_machine_log_end(rig.machine, &log), 0);
	recorder_clear(&lines);
	assert_int_equal(
		tmgr_machine_log(rig.machine, &log, TMGR_MACHINE_LOG_HANDLERS, write_line, &lines),
		0);
	tmgr_machine_add(rig.machine, B, NULL);
	assert_int_equal(
		strncmp(recorder_text(&lines), "machine:_add_B machine:_enter_B:_refused,", 41), 0);
	assert_int_equal(tmgr_machine_log_end(rig.machine, &log), 0);
	rig_end(&rig);
}

/* ---- History --------------------------------------------------------------------------------- */

static void the_history_knows_what_was_active_when(void **state)
{
	struct tmgr_machine_options options = { .history_max = 3 };
	struct rig rig = { .act = NULL };
	int64_t before, with_a, with_b;

	rig_make(&rig, plain, PLAIN_COUNT, &options);
	before = tmgr_now();
	tmgr_machine_set(rig.machine, A, NULL);
	with_a = tmgr_now();
	tmgr_machine_set(rig.machine, B, NULL);
	with_b = tmgr_now();
	assert_int_equal(tmgr_machine_was_active(rig.machine, A, with_a, with_a), 1);
	assert_int_equal(tmgr_machine_was_active(rig.machine, B, before, with_a), 0);
	assert_int_equal(tmgr_machine_was_active(rig.machine, A, before, with_b), 1);
	assert_int_equal(tmgr_machine_was_active(rig.machine, A, with_b, tmgr_now()), 0);
	assert_int_equal(tmgr_machine_was_active(rig.machine, B, with_b, tmgr_now()), 1);
	assert_int_equal(tmgr_machine_recently_active(rig.machine, A, TMGR_MINUTE), 1);
	assert_int_equal(tmgr_machine_recently_active(rig.machine, C, tmgr_now() - before), 0);
	/* What is older than the ring is not known. */
	tmgr_machine_set(rig.machine, C, NULL);
	tmgr_machine_set(rig.machine, B, NULL);
	assert_int_equal(tmgr_machine_was_active(rig.machine, C, before, with_a), -ENODATA);
	assert_int_equal(tmgr_machine_was_active(rig.machine, A, with_b, before), -EINVAL);
	assert_int_equal(tmgr_machine_was_active(rig.machine, 9, before, with_b), -EINVAL);
	assert_int_equal(tmgr_machine_recently_active(rig.machine, A, -1), -EINVAL);
	rig_end(&rig);
	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_recently_active(rig.machine, A, 1), -EINVAL);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_tracer_sees_all_in_order),
		leak_test(a_log_says_as_much_as_its_level),
		leak_test(the_history_knows_what_was_active_when),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
