/*
 * Looking at a loop: the current context, counts, dumps, and who keeps it for long.
 */
#include <errno.h>
#include <execinfo.h>
#include <stdio.h>
#include <string.h>

#include "taskmgr/clock.h"
#include "tests/support/looped.h"
#include "tests/support/recorded.h"

static int wait_for_ever(void *self, struct tmgr_context *context)
{
	return tmgr_sleep_until(context, TMGR_NEVER);
}

static int sleep_a_little(void *self, struct tmgr_context *context)
{
	return tmgr_sleep(context, 2 * TMGR_MILLISECOND);
}

/* ---- Inside and outside --------------------------------------------------------------------- */

/* One function, on a thread and on a loop. */
static int polyglot(void *self, struct tmgr_context *context)
{
	struct tmgr_context *current = tmgr_context_current();
	int r = tmgr_sleep(current, TMGR_MILLISECOND);

	IS(current == context, true);
	IS(tmgr_context_current() == current, true);
	recorder_add(&recorder, "%s:%d", tmgr_context_executor(context) ? "loop" : "thread", r);
	IS((tmgr_loop_current() != NULL) == (tmgr_context_executor(context) != NULL), true);
	return r;
}

static void look_from_a_call(void *self)
{
	bool *looked = self;

	IS(tmgr_context_current() == NULL, true);
	*looked = true;
}

static int two_polyglots(void *self, struct tmgr_context *context)
{
	struct tmgr_loop_call call;
	bool looked = false;

	IS(tmgr_loop_post(tmgr_loop_current(), &call, look_from_a_call, &looked), 0);
	/* A sleep need not park, and the call must not outlive us. */
	while (!looked)
		tmgr_yield(context);
	spawn(context, "other", polyglot, NULL);
	return polyglot(NULL, context);
}

static void the_current_context_is_the_running_coroutines_and_outside_none(void **state)
{
	assert_int_equal(looped_main(two_polyglots, NULL), 0);
	assert_int_equal(hosted_run(tmgr_task_function(polyglot, NULL)).result, 0);
	assert_null(tmgr_context_current());
	assert_string_equal(recorder_text(&recorder), "loop:0 loop:0 thread:0");
}

/* ---- Looking -------------------------------------------------------------------------------- */

static int look_at_counts(void *self, struct tmgr_context *context)
{
	struct tmgr_loop *loop = tmgr_loop_current();
	struct tmgr_coroutine *parked, *sleeping, *fresh;
	struct tmgr_loop_stats stats;

	IS(tmgr_loop_stats(NULL, &stats), -EINVAL);
	IS(tmgr_loop_stats(loop, NULL), -EINVAL);
	parked = spawned(context, "parked", wait_for_ever, NULL);
	sleeping = spawned(context, "sleeping", sleep_a_little, "slept");
	tmgr_yield(context);
	fresh = spawned(context, "fresh", wait_for_ever, NULL);
	IS(tmgr_loop_stats(loop, &stats), 0);
	IS(stats.coroutines, 4);
	IS(stats.runnable, 1);
	IS(stats.timers, 1);
	IS(stats.resumes, 4);
	IS(stats.stacks >= 4, true);
	IS(stats.turns >= 1, true);
	IS(stats.slow, 0);
	tmgr_coroutine_cancel(parked, 0, NULL);
	tmgr_coroutine_cancel(fresh, 0, NULL);
	IS(awaited(context, parked), -ECANCELED);
	IS(awaited(context, fresh), -ECANCELED);
	IS(awaited(context, sleeping), 0);
	IS(tmgr_loop_stats(loop, &stats), 0);
	IS(stats.coroutines, 1);
	IS(stats.runnable, 0);
	IS(stats.timers, 0);
	return 0;
}

static void counts_tell_what_a_loop_has(void **state)
{
	assert_int_equal(looped_main(look_at_counts, NULL), 0);
}

struct lines {
	char text[65536];
	size_t length;
	int count;
};

static void add_line(void *self, const char *line)
{
	struct lines *lines = self;
	int n = snprintf(
		lines->text + lines->length, sizeof(lines->text) - lines->length, "%s\n", line);

	lines->length += (size_t)n;
	lines->count++;
}

/* Not inlined, and kept from being a mere jump: it is to be seen in the back-trace. */
static __attribute__((noinline)) int deeper(struct tmgr_context *context, int depth)
{
	int r = depth > 0 ? deeper(context, depth - 1) : tmgr_sleep_until(context, TMGR_NEVER);

	IS(tmgr_context_current() == context, true);
	return r < 0 ? r : 1;
}

static int park_deep(void *self, struct tmgr_context *context)
{
	return deeper(context, 5);
}

static int dump(void *self, struct tmgr_context *context)
{
	struct tmgr_loop *loop = tmgr_loop_current();
	struct tmgr_coroutine *deep, *fresh;
	struct lines *lines = self;

	IS(tmgr_loop_dump(NULL, false, add_line, lines), -EINVAL);
	IS(tmgr_loop_dump(loop, false, NULL, lines), -EINVAL);
	deep = spawned(context, "deep", park_deep, NULL);
	tmgr_sleep(context, 20 * TMGR_MILLISECOND);
	fresh = spawned(context, "fresh", park_deep, NULL);
	IS(tmgr_loop_dump(loop, false, add_line, &lines[0]), 0);
	IS(tmgr_loop_dump(loop, true, add_line, &lines[1]), 0);
	/* Neither who asks nor who is asked where it stands notices. */
	IS(tmgr_context_current() == context, true);
	IS(tmgr_loop_dump(loop, true, add_line, &lines[2]), 0);
	tmgr_coroutine_cancel(fresh, 0, NULL);
	tmgr_coroutine_cancel(deep, 0, NULL);
	IS(awaited(context, deep), -ECANCELED);
	IS(awaited(context, fresh), -ECANCELED);
	return 0;
}

static void a_dump_names_all_with_what_they_wait_for_and_where(void **state)
{
	static struct lines lines[3];
	int waits_ms;

	memset(lines, 0, sizeof(lines));
	assert_int_equal(looped_main(dump, lines), 0);
	assert_int_equal(lines[0].count, 3);
	assert_non_null(strstr(lines[0].text, "main: running for "));
	assert_non_null(strstr(lines[0].text, "deep: waiting: sleep for "));
	assert_int_equal(
		sscanf(strstr(lines[0].text, "sleep for "), "sleep for %d ms", &waits_ms), 1);
	assert_in_range(waits_ms, 19, 20000);
	assert_non_null(strstr(lines[0].text, "fresh: runnable for "));
	assert_non_null(strstr(lines[1].text, "deep: waiting: sleep for "));
	/* Its own frames, and six of ours below them. */
	assert_true(lines[1].count >= 3 + 6);
	assert_int_equal(lines[2].count, lines[1].count);
}

static int hosted_dump(struct probe *probe, struct tmgr_context *context)
{
	IS(tmgr_loop_dump(tmgr_loop_current(), false, add_line, probe->user), 0);
	return tmgr_manager_cancel(tmgr_context_manager(context));
}

static void a_dump_shows_hosted_tasks(void **state)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	static struct lines lines;
	struct probe a = PROBE(.name = "a");
	struct probe b = PROBE(.name = "b", .end = PROBE_RETURNS, .on_execute = hosted_dump,
		.user = &lines);
	struct tmgr_task_options on = { .loop = looped_add(manager, "loop", NULL) };

	memset(&lines, 0, sizeof(lines));
	assert_int_equal(
		tmgr_manager_add_task_with(manager, "a", probe_task(&a), TMGR_STRICT, &on), 0);
	assert_int_equal(
		tmgr_manager_add_task_with(manager, "b", probe_task(&b), TMGR_STRICT, &on), 0);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_non_null(strstr(lines.text, "task a: waiting: sleep for "));
	assert_non_null(strstr(lines.text, "task b: running for "));
}

/* Others may be slow too, where the machine is. */
static void note_slow_event(void *self, const struct tmgr_event *event)
{
	if (event->kind != TMGR_EVENT_LOG || strstr(event->text, "kept the loop for") == NULL)
		return;
	if (strstr(event->text, "'hog'") != NULL)
		recorder_add(&recorder, "hog%s", strstr(event->text, "'main'") != NULL ? "?" : "");
}

static int hog(void *self, struct tmgr_context *context)
{
	int64_t end = tmgr_after(20 * TMGR_MILLISECOND);

	while (tmgr_now() < end)
		;
	return 0;
}

/* The loop looks at its clock only now and then, before somebody was slow once: then it blames all
 * who ran since. */
static int be_slow(void *self, struct tmgr_context *context)
{
	struct tmgr_loop_stats stats;

	for (int i = 1; i <= 3; i++) {
		tmgr_sleep(context, 2 * TMGR_MILLISECOND);
		spawn(context, "hog", hog, NULL);
		tmgr_sleep(context, 2 * TMGR_MILLISECOND);
		IS(tmgr_loop_stats(tmgr_loop_current(), &stats), 0);
		IS(stats.slow >= (uint64_t)i, true);
	}
	IS(stats.slowest_ns >= 15 * TMGR_MILLISECOND, true);
	return 0;
}

static void who_keeps_the_loop_for_long_is_an_event(void **state)
{
	struct tmgr_manager_options manager_options = { .when_quiet = TMGR_QUIET_RETURN };
	struct tmgr_manager *manager = tmgr_manager_create(&manager_options);
	struct tmgr_loop_options options = { .main = be_slow, .slow_ns = 10 * TMGR_MILLISECOND };

	looped_add(manager, "loop", &options);
	tmgr_manager_observe(manager, TMGR_LEVEL_WARNING, note_slow_event, NULL);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	if (!recorder_has(&recorder, "hog?"))
		assert_string_equal(recorder_text(&recorder), "hog hog hog");
	else
		assert_string_equal(recorder_text(&recorder), "hog? hog hog");
}

/* A thread that is held up once, when it has just read its clock. */
struct held_clock {
	struct tmgr__clock clock;
	struct tmgr__clock *real;
	bool hold_next;
};

static int64_t read_and_be_held(struct tmgr__clock *clock)
{
	struct held_clock *held = container_of(clock, struct held_clock, clock);
	int64_t now = tmgr__clock_now(held->real);

	if (held->hold_next) {
		held->hold_next = false;
		while (tmgr__clock_now(held->real) < now + 100 * TMGR_MILLISECOND)
			;
	}
	return now;
}

static int be_held(void *self, struct tmgr_context *context)
{
	int64_t end = tmgr_after(3 * TMGR_MILLISECOND);

	while (tmgr_now() < end)
		;
	((struct held_clock *)self)->hold_next = true;
	return 0;
}

static int be_slow_after_it_was_held(void *self, struct tmgr_context *context)
{
	static const struct tmgr__clock_ops ops = { .now = read_and_be_held };
	struct held_clock held = { { &ops }, tmgr__clock_current(), false };
	struct tmgr_loop_stats stats;
	uint64_t before;

	tmgr__clock_use(&held.clock);
	spawn(context, "held", be_held, &held);
	tmgr_sleep(context, 2 * TMGR_MILLISECOND);
	IS(held.hold_next, false);
	tmgr_loop_stats(tmgr_loop_current(), &stats);
	before = stats.slow;
	spawn(context, "hog", hog, NULL);
	tmgr_sleep(context, 2 * TMGR_MILLISECOND);
	tmgr_loop_stats(tmgr_loop_current(), &stats);
	IS(stats.slow > before, true);
	tmgr__clock_use(held.real);
	return 0;
}

static void a_loop_held_up_while_it_compares_clocks_finds_who_is_slow(void **state)
{
	struct tmgr_loop_options options = {
		.main = be_slow_after_it_was_held,
		.slow_ns = 10 * TMGR_MILLISECOND,
	};

	assert_int_equal(looped_run(&options).result, 0);
}

int main(void)
{
	void *address;

	const struct CMUnitTest tests[] = {
		recorded_test(the_current_context_is_the_running_coroutines_and_outside_none),
		recorded_test(counts_tell_what_a_loop_has),
		recorded_test(a_dump_names_all_with_what_they_wait_for_and_where),
		recorded_test(a_dump_shows_hosted_tasks),
		recorded_test(who_keeps_the_loop_for_long_is_an_event),
		recorded_test(a_loop_held_up_while_it_compares_clocks_finds_who_is_slow),
	};

	/* The first back-trace of a process loads what it needs, for ever. */
	backtrace(&address, 1);
	return cmocka_run_group_tests_name("looking at loops", tests, NULL, NULL);
}
