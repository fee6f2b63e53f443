/*
 * Mutations, the queue, dry runs, evaluating, ending, texts.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/check.h"

#include "tests/support/fault.h"
#include "tests/support/latch.h"
#include "tests/support/rig.h"

static const struct tmgr_machine_state plain[] = {
	RIG_PLAIN(A),
	RIG_PLAIN(B),
	RIG_PLAIN(C),
	RIG_ROW(D, .multi = true),
	RIG_ROW(E, .require = TMGR_STATES(A)),
	RIG_ROW(F, .remove = TMGR_STATES(B)),
};

#define PLAIN_COUNT ARRAY_SIZE(plain)

/* ---- Mutations ------------------------------------------------------------------------------- */

static void states_are_added_removed_set_and_toggled(void **state)
{
	struct rig rig = { .act = NULL };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	rig_stands(&rig, "");
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(tmgr_machine_add(rig.machine, B, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "B:1 A:1");
	assert_int_equal(tmgr_machine_remove(rig.machine, B, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "A:1");
	assert_int_equal(tmgr_machine_set(rig.machine, C, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "C:1");
	assert_int_equal(tmgr_machine_toggle(rig.machine, C, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "");
	assert_int_equal(tmgr_machine_toggle(rig.machine, C, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "C:3");
	/* Several: a toggle removes only where all are active. */
	assert_int_equal(
		tmgr_machine_change(rig.machine, TMGR_MUTATION_TOGGLE, TMGR_STATES(A, C, A), NULL),
		TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "C:3 A:3");
	assert_int_equal(
		tmgr_machine_change(rig.machine, TMGR_MUTATION_TOGGLE, TMGR_STATES(A, C), NULL),
		TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "");
	assert_int_equal(tmgr_machine_add(rig.machine, D, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(tmgr_machine_add(rig.machine, D, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "D:3");
	rig_end(&rig);
}

static void what_is_refused_or_unknown_changes_nothing(void **state)
{
	struct rig rig = { .act = NULL };
	struct tmgr_machine_stats stats;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_add(rig.machine, B, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(tmgr_machine_add(rig.machine, E, NULL), TMGR_MUTATION_CANCELLED);
	assert_int_equal(tmgr_machine_add(rig.machine, PLAIN_COUNT + 1, NULL), -EINVAL);
	assert_int_equal(tmgr_machine_add(rig.machine, TMGR_STATES_END, NULL), -EINVAL);
	assert_int_equal(
		tmgr_machine_change(rig.machine, TMGR_MUTATION_SET, TMGR_STATES(A, 99), NULL),
		-EINVAL);
	assert_int_equal(
		tmgr_machine_change(rig.machine, TMGR_MUTATION_TOGGLE + 1, TMGR_STATES(A), NULL),
		-EINVAL);
	rig_stands(&rig, "B:1");
	assert_int_equal(tmgr_machine_stats(rig.machine, &stats), 0);
	assert_int_equal(stats.transitions, 2);
	assert_int_equal(stats.cancelled, 1);
	rig_end(&rig);
}

static void reading_several_states_looks_at_all_of_them(void **state)
{
	struct rig rig = { .act = NULL };
	const unsigned none[] = { TMGR_STATES_END };
	uint64_t ticks[PLAIN_COUNT + 1], later[] = { 1, 2, 3 }, earlier[] = { 1, 2, 2 };
	unsigned active[2] = { 99, 99 };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	tmgr_machine_change(rig.machine, TMGR_MUTATION_SET, TMGR_STATES(A, B), NULL);
	tmgr_machine_change(rig.machine, TMGR_MUTATION_SET, TMGR_STATES(B, C), NULL);
	assert_true(tmgr_machine_all(rig.machine, TMGR_STATES(B, C)));
	assert_false(tmgr_machine_all(rig.machine, TMGR_STATES(B, A)));
	assert_true(tmgr_machine_all(rig.machine, none));
	assert_true(tmgr_machine_any(rig.machine, TMGR_STATES(A, C)));
	assert_false(tmgr_machine_any(rig.machine, TMGR_STATES(A, D)));
	assert_false(tmgr_machine_any(rig.machine, none));
	assert_true(tmgr_machine_not(rig.machine, TMGR_STATES(A, D)));
	assert_false(tmgr_machine_not(rig.machine, TMGR_STATES(A, C)));
	assert_true(tmgr_machine_has(rig.machine, TMGR_STATES(A, PLAIN_COUNT)));
	assert_false(tmgr_machine_has(rig.machine, TMGR_STATES(A, PLAIN_COUNT + 1)));
	assert_false(tmgr_machine_not(rig.machine, TMGR_STATES(99)));
	assert_int_equal(tmgr_machine_switch(rig.machine, TMGR_STATES(A, C, B)), C);
	assert_true(tmgr_machine_switch(rig.machine, TMGR_STATES(A, D)) == TMGR_STATES_END);
	assert_int_equal(tmgr_machine_active(rig.machine, active, 1), 2);
	assert_int_equal(active[0], B);
	assert_int_equal(active[1], 99);
	assert_int_equal(tmgr_machine_active(rig.machine, NULL, 0), 2);
	assert_int_equal(tmgr_machine_ticks(rig.machine, NULL, ticks), 4);
	assert_int_equal(ticks[A], 2);
	assert_int_equal(ticks[C], 1);
	assert_int_equal(tmgr_machine_ticks(rig.machine, TMGR_STATES(C, A), ticks), 3);
	assert_int_equal(ticks[0], 1);
	assert_int_equal(ticks[1], 2);
	assert_int_equal(tmgr_machine_tick_sum(rig.machine, TMGR_STATES(A, B)), 3);
	assert_int_equal(tmgr_machine_tick_sum(rig.machine, NULL), 4);
	assert_true(tmgr_ticks_after(later, earlier, 3) && !tmgr_ticks_after(earlier, later, 3));
	assert_false(tmgr_ticks_after(later, later, 3));
	assert_true(tmgr_ticks_equal(later, later, 3) && !tmgr_ticks_equal(later, earlier, 3));
	rig_end(&rig);
}

/* ---- The queue ------------------------------------------------------------------------------- */

/* In AState: what the user's words say, one after another. */
static bool queue_words(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	const char *word = rig->words;
	char answers[64] = "";
	size_t length = 0;

	if (strcmp(name, "AState") != 0 || !word)
		return true;
	for (; *word; word++) {
		const struct tmgr_arguments *argument = TMGR_ARGUMENTS(TMGR_ARG_NUMBER("n", 1));
		struct tmgr_mutation mutation = { .kind = TMGR_MUTATION_ADD };
		unsigned states[] = { A, TMGR_STATES_END };
		int r;

		/* + adds, - removes, ! adds before others, ? adds with an argument. */
		mutation.kind = *word == '-' ? TMGR_MUTATION_REMOVE : TMGR_MUTATION_ADD;
		mutation.priority = *word == '!' ? TMGR_PRIORITY_HIGH : TMGR_PRIORITY_NORMAL;
		mutation.arguments = *word == '?' ? argument : NULL;
		states[0] = (unsigned)(*++word - 'A');
		mutation.states = states;
		r = tmgr_machine_mutate(event->machine, &mutation, NULL);
		answers[length++] = "EQC"[r];
		answers[length] = '\0';
	}
	recorder_add(&rig->recorder, "%s", answers);
	rig->words = NULL;
	return true;
}

/* Which state handlers were called, of all that was recorded. */
static const char *finals(struct rig *rig)
{
	static char text[512];
	char *copy = strdup(rig_recorded(rig)), *word, *rest;
	size_t length = 0;

	text[0] = '\0';
	for (word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		size_t size = strlen(word);

		if ((size == 6 && strcmp(word + 1, "State") == 0) ||
			(size == 4 && strcmp(word + 1, "End") == 0) || strspn(word, "EQC") == size)
			length += (size_t)snprintf(text + length, sizeof(text) - length, "%s ",
				size >= 4 && strspn(word, "EQC") != size
					? (char[]){ word[1] == 'E' ? '-' : '+', word[0], 0 }
					: word);
	}
	free(copy);
	return text;
}

static void what_handlers_queue_is_made_in_order_of_priority(void **state)
{
	struct rig rig = { .act = queue_words, .words = "+B+C!D!F" };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	/* F removes B: it is there before, so B is refused. */
	assert_string_equal(finals(&rig), "+A QQQQ +D +F +C ");
	rig_end(&rig);
}

static void inside_of_a_handler_what_waits_already_is_dropped(void **state)
{
	/* B twice; removing D, which is not there, while something waits; D, which is multi, twice. */
	struct rig rig = { .act = queue_words, .words = "-C+B+B?B-C+D+D" };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_string_equal(finals(&rig), "+A EQEQQQQ +B +D +D ");
	rig_end(&rig);
}

struct watched {
	struct rig *rig;
	bool queued, will_be, will_not, has_set;
	uint64_t ticket;
};

static bool look_at_queue(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	struct watched *watched = rig->user;
	struct tmgr_machine *machine = event->machine;
	struct tmgr_mutation mutation = { .states = TMGR_STATES(B, C) };

	if (strcmp(name, "AState") != 0)
		return true;
	tmgr_machine_mutate(machine, &mutation, &watched->ticket);
	tmgr_machine_remove(machine, A, NULL);
	watched->queued = tmgr_machine_is_queued(machine, TMGR_MUTATION_ADD, TMGR_STATES(C, B)) &&
			  !tmgr_machine_is_queued(machine, TMGR_MUTATION_ADD, TMGR_STATES(B)) &&
			  !tmgr_machine_is_queued(machine, TMGR_MUTATION_SET, TMGR_STATES(C, B));
	watched->will_be = tmgr_machine_will_be(machine, B) && tmgr_machine_is(machine, A);
	watched->will_not = !tmgr_machine_will_be(machine, A) && !tmgr_machine_will_be(machine, D);
	tmgr_machine_set(machine, D, NULL);
	watched->has_set = tmgr_machine_will_be(machine, D) && !tmgr_machine_will_be(machine, B);
	return true;
}

static void what_waits_can_be_looked_at(void **state)
{
	struct watched watched = { .queued = false };
	struct rig rig = { .act = look_at_queue, .user = &watched };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_true(watched.queued && watched.will_be && watched.will_not && watched.has_set);
	assert_int_equal(watched.ticket, 1);
	assert_true(tmgr_machine_will_be(rig.machine, D) && !tmgr_machine_will_be(rig.machine, A));
	rig_stands(&rig, "D:1");
	rig_end(&rig);
}

static bool fill_queue(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	struct tmgr_mutation mutation = { .states = TMGR_STATES(D) };

	if (strcmp(name, "AState") != 0)
		return true;
	for (int i = 0; i < 5; i++) {
		const struct tmgr_arguments *arguments = TMGR_ARGUMENTS(TMGR_ARG_NUMBER("n", i));

		mutation.arguments = arguments;
		recorder_add(&rig->recorder, "%c",
			"EQC"[tmgr_machine_mutate(event->machine, &mutation, NULL)]);
	}
	rig->result = tmgr_machine_add_error(event->machine, -EIO, "still taken");
	return true;
}

static bool fill_and_tell(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (strcmp(name, "DState") == 0)
		recorder_add(&rig->recorder, "%d", (int)tmgr_machine_number(event, "n", -1));
	return fill_queue(rig, event, name);
}

static const char *only(const char *recorded, const char *letters)
{
	static char text[256];
	char *copy = strdup(recorded), *word, *rest;
	size_t length = 0;

	text[0] = '\0';
	for (word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (strlen(word) == 1 && strchr(letters, *word))
			text[length++] = *word;
	}
	text[length] = '\0';
	free(copy);
	return text;
}

static void a_full_queue_rejects_or_drops_the_oldest(void **state)
{
	static const struct {
		enum tmgr_queue_full full;
		const char *answers, *made;
	} cases[] = {
		{ TMGR_QUEUE_REJECT, "QQQCC", "012" },
		{ TMGR_QUEUE_DROP_OLDEST, "QQQQQ", "234" },
		/* From a handler it cannot wait. */
		{ TMGR_QUEUE_BLOCK, "QQQCC", "012" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tmgr_machine_options options = {
			.queue_max = 3,
			.queue_full = cases[i].full,
		};
		struct rig rig = { .act = fill_and_tell };
		struct tmgr_machine_stats stats;
		const char *recorded;

		rig_make(&rig, plain, PLAIN_COUNT, &options);
		assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
		recorded = rig_recorded(&rig);
		assert_string_equal(only(recorded, "EQC"), cases[i].answers);
		assert_string_equal(only(recorded, "01234"), cases[i].made);
		assert_int_equal(rig.result, TMGR_MUTATION_QUEUED);
		assert_true(tmgr_machine_is(rig.machine, tmgr_machine_exception(rig.machine)));
		assert_int_equal(tmgr_machine_stats(rig.machine, &stats), 0);
		assert_int_equal(stats.dropped, 2);
		assert_int_equal(stats.queued, 0);
		rig_end(&rig);
	}
}

/* ---- From other threads ---------------------------------------------------------------------- */

struct elsewhere {
	struct rig *rig;
	struct latch *inside, *go;
	pthread_t thread;
	int result;
};

static bool hold_in_a(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	struct elsewhere *elsewhere = rig->user;

	(void)event;
	return strcmp(name, "AState") != 0 || latch_wait(elsewhere->inside);
}

static void *add_a(void *argument)
{
	struct elsewhere *elsewhere = argument;

	elsewhere->result = tmgr_machine_add(elsewhere->rig->machine, A, NULL);
	return NULL;
}

/* A thread that stays in the handler AState until its latch is opened. */
static void begin_elsewhere(struct elsewhere *elsewhere, struct rig *rig, struct latch *inside)
{
	latch_init(inside);
	*elsewhere = (struct elsewhere){ .rig = rig, .inside = inside };
	rig->act = hold_in_a;
	rig->user = elsewhere;
	rig_bind(rig);
	assert_int_equal(pthread_create(&elsewhere->thread, NULL, add_a, elsewhere), 0);
	assert_true(latch_arrived(inside, 1));
}

static int end_elsewhere(struct elsewhere *elsewhere)
{
	latch_open(elsewhere->inside);
	pthread_join(elsewhere->thread, NULL);
	return elsewhere->result;
}

static void while_somebody_else_mutates_it_is_queued(void **state)
{
	struct elsewhere elsewhere;
	struct rig rig = { .act = NULL };
	struct latch inside;
	struct tmgr_mutation late = { .states = TMGR_STATES(C), .ttl_ns = 1 };
	uint64_t ticket = 0, other = 0;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	begin_elsewhere(&elsewhere, &rig, &inside);
	assert_int_equal(tmgr_machine_mutate(rig.machine,
				 &(struct tmgr_mutation){ .states = TMGR_STATES(B) }, &ticket),
		TMGR_MUTATION_QUEUED);
	/* It is not inside of a handler: both are made. */
	assert_int_equal(tmgr_machine_mutate(rig.machine,
				 &(struct tmgr_mutation){ .states = TMGR_STATES(B) }, &other),
		TMGR_MUTATION_QUEUED);
	assert_true(other == ticket + 1 && ticket > 0);
	/* Its time will have passed. */
	assert_int_equal(tmgr_machine_mutate(rig.machine, &late, NULL), TMGR_MUTATION_QUEUED);
	assert_true(tmgr_machine_is(rig.machine, A) && !tmgr_machine_is(rig.machine, B));
	assert_int_equal(end_elsewhere(&elsewhere), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "B:1 A:1");
	rig_end(&rig);
}

static void *add_b(void *argument)
{
	struct elsewhere *elsewhere = argument;

	latch_arrive(elsewhere->go);
	elsewhere->result = tmgr_machine_add(elsewhere->rig->machine, B, NULL);
	return NULL;
}

static bool waits_for_room(void *argument)
{
	struct rig *rig = argument;
	struct tmgr_machine_stats stats;

	return tmgr_machine_stats(rig->machine, &stats) == 0 && stats.waits == 1;
}

static void who_finds_a_full_queue_waits_for_room(void **state)
{
	struct tmgr_machine_options options = { .queue_max = 1, .queue_full = TMGR_QUEUE_BLOCK };
	struct latch inside, go = LATCH_INIT;
	struct elsewhere elsewhere, blocked;
	struct rig rig = { .act = NULL };

	rig_make(&rig, plain, PLAIN_COUNT, &options);
	begin_elsewhere(&elsewhere, &rig, &inside);
	assert_int_equal(tmgr_machine_add(rig.machine, C, NULL), TMGR_MUTATION_QUEUED);
	blocked = (struct elsewhere){ .rig = &rig, .go = &go };
	assert_int_equal(pthread_create(&blocked.thread, NULL, add_b, &blocked), 0);
	assert_true(latch_arrived(&go, 1));
	assert_true(eventually(waits_for_room, &rig));
	assert_int_equal(end_elsewhere(&elsewhere), TMGR_MUTATION_EXECUTED);
	pthread_join(blocked.thread, NULL);
	/* It was queued when there was room, or made it itself, when the other had left. */
	assert_true(
		blocked.result == TMGR_MUTATION_QUEUED || blocked.result == TMGR_MUTATION_EXECUTED);
	assert_int_equal(
		tmgr_machine_wait(NULL, rig.machine, &TMGR_WHEN(A, B, C), tmgr_after(TMGR_MINUTE)),
		0);
	rig_end(&rig);
}

static void disposing_lets_those_go_who_wait_for_room(void **state)
{
	struct tmgr_machine_options options = { .queue_max = 1, .queue_full = TMGR_QUEUE_BLOCK };
	struct latch inside, go = LATCH_INIT;
	struct elsewhere elsewhere, blocked;
	struct rig rig = { .act = NULL };

	rig_make(&rig, plain, PLAIN_COUNT, &options);
	begin_elsewhere(&elsewhere, &rig, &inside);
	assert_int_equal(tmgr_machine_add(rig.machine, C, NULL), TMGR_MUTATION_QUEUED);
	blocked = (struct elsewhere){ .rig = &rig, .go = &go };
	assert_int_equal(pthread_create(&blocked.thread, NULL, add_b, &blocked), 0);
	assert_true(eventually(waits_for_room, &rig));
	assert_int_equal(tmgr_machine_dispose(rig.machine), 0);
	assert_false(tmgr_machine_disposed(rig.machine));
	assert_int_equal(tmgr_machine_dispose(rig.machine), -EALREADY);
	assert_int_equal(end_elsewhere(&elsewhere), TMGR_MUTATION_EXECUTED);
	pthread_join(blocked.thread, NULL);
	assert_int_equal(blocked.result, TMGR_MUTATION_CANCELLED);
	assert_true(tmgr_machine_disposed(rig.machine));
	assert_int_equal(rig.disposed, 1);
	rig_stands(&rig, "A:1");
	rig_end(&rig);
}

/* ---- Postponing ------------------------------------------------------------------------------ */

static bool postpone_b(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (strcmp(name, "BEnter") == 0 && !tmgr_machine_is(event->machine, A))
		return tmgr_machine_postpone(event);
	return true;
}

static void a_postponed_mutation_comes_back_when_the_active_set_changes(void **state)
{
	struct rig rig = { .act = postpone_b };
	struct tmgr_machine_stats stats;
	uint64_t ticket = 0;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_mutate(rig.machine,
				 &(struct tmgr_mutation){ .states = TMGR_STATES(B) }, &ticket),
		TMGR_MUTATION_QUEUED);
	assert_true(ticket > 0);
	assert_int_equal(tmgr_machine_stats(rig.machine, &stats), 0);
	assert_true(stats.queued == 1 && stats.postponed == 1);
	assert_true(tmgr_machine_is_queued(rig.machine, TMGR_MUTATION_ADD, TMGR_STATES(B)));
	/* Nothing changes: it stays. */
	assert_int_equal(tmgr_machine_remove(rig.machine, D, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "");
	/* Something else changes: it is asked again, and postponed again. */
	assert_int_equal(tmgr_machine_add(rig.machine, C, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "C:1");
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "B:1 C:1 A:1");
	assert_int_equal(tmgr_machine_stats(rig.machine, &stats), 0);
	assert_true(stats.queued == 0 && stats.postponed == 0);
	assert_int_equal(
		tmgr_machine_wait(NULL, rig.machine, &TMGR_WHEN_TICKET(ticket), TMGR_NOW), 0);
	rig_end(&rig);
}

static void a_postponed_mutation_does_not_live_beyond_its_time(void **state)
{
	struct rig rig = { .act = postpone_b };
	struct tmgr_mutation mutation = { .states = TMGR_STATES(B), .ttl_ns = TMGR_MILLISECOND };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_mutate(rig.machine, &mutation, NULL), TMGR_MUTATION_QUEUED);
	assert_true(tmgr_machine_next_timeout(rig.machine) <= tmgr_after(TMGR_MILLISECOND));
	assert_int_equal(tmgr_machine_expire(rig.machine), 0);
	tmgr_sleep_until(NULL, tmgr_machine_next_timeout(rig.machine));
	assert_int_equal(tmgr_machine_expire(rig.machine), 1);
	assert_true(tmgr_machine_next_timeout(rig.machine) == TMGR_NEVER);
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "A:1");
	rig_end(&rig);
}

/* ---- Dry runs, evaluating -------------------------------------------------------------------- */

static bool refuse_c(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (event->transition->dry)
		rig->result++;
	if (strcmp(name, "DEnter") == 0)
		return tmgr_machine_fail(event, -EIO, "no");
	return strcmp(name, "CEnter") != 0;
}

static void a_dry_run_asks_relations_and_handlers_and_changes_nothing(void **state)
{
	struct rig rig = { .act = refuse_c };
	struct tmgr_machine_stats stats;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(
		tmgr_machine_can(NULL, rig.machine, TMGR_MUTATION_ADD, TMGR_STATES(A), NULL),
		TMGR_MUTATION_EXECUTED);
	assert_string_equal(rig_recorded(&rig), "AEnter AnyEnter");
	assert_int_equal(rig.result, 2);
	assert_int_equal(
		tmgr_machine_can(NULL, rig.machine, TMGR_MUTATION_SET, TMGR_STATES(C), NULL),
		TMGR_MUTATION_CANCELLED);
	assert_int_equal(
		tmgr_machine_can(NULL, rig.machine, TMGR_MUTATION_ADD, TMGR_STATES(E), NULL),
		TMGR_MUTATION_CANCELLED);
	assert_int_equal(
		tmgr_machine_can(NULL, rig.machine, TMGR_MUTATION_REMOVE, TMGR_STATES(A), NULL),
		TMGR_MUTATION_EXECUTED);
	/* One that fails is no error of the machine. */
	assert_int_equal(
		tmgr_machine_can(NULL, rig.machine, TMGR_MUTATION_ADD, TMGR_STATES(D), NULL),
		TMGR_MUTATION_CANCELLED);
	assert_int_equal(tmgr_machine_error(rig.machine, NULL), 0);
	assert_int_equal(tmgr_machine_stats(rig.machine, &stats), 0);
	assert_int_equal(stats.transitions, 0);
	rig_stands(&rig, "");
	rig_end(&rig);
}

static void note_call(void *self, struct tmgr_machine *machine)
{
	struct rig *rig = self;

	recorder_add(&rig->recorder, "call");
	rig->result = tmgr_machine_add(machine, B, NULL);
}

static bool evaluate_inside(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (strcmp(name, "AState") == 0) {
		rig->result = tmgr_machine_evaluate(
			NULL, event->machine, note_call, rig, TMGR_NEVER);
		if (rig->result == -EDEADLK)
			rig->result = tmgr_machine_can(
				NULL, event->machine, TMGR_MUTATION_ADD, TMGR_STATES(B), NULL);
	}
	return true;
}

static void a_function_is_evaluated_on_the_queue_but_not_from_a_handler(void **state)
{
	struct rig rig = { .act = evaluate_inside };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_evaluate(NULL, rig.machine, note_call, &rig, TMGR_NEVER), 0);
	assert_int_equal(rig.result, TMGR_MUTATION_QUEUED);
	rig_stands(&rig, "B:1");
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(rig.result, -EDEADLK);
	tmgr_machine_dispose(rig.machine);
	assert_int_equal(
		tmgr_machine_evaluate(NULL, rig.machine, note_call, &rig, TMGR_NEVER), -ESHUTDOWN);
	rig_end(&rig);
}

static void evaluating_waits_for_what_is_being_made_up_to_its_deadline(void **state)
{
	struct elsewhere elsewhere;
	struct rig rig = { .act = NULL };
	struct latch inside;

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	begin_elsewhere(&elsewhere, &rig, &inside);
	assert_int_equal(tmgr_machine_evaluate(
				 NULL, rig.machine, note_call, &rig, tmgr_after(TMGR_MILLISECOND)),
		-ETIMEDOUT);
	latch_open(&inside);
	assert_int_equal(tmgr_machine_evaluate(NULL, rig.machine, note_call, &rig, TMGR_NEVER), 0);
	assert_int_equal(end_elsewhere(&elsewhere), TMGR_MUTATION_EXECUTED);
	assert_string_equal(only(rig_recorded(&rig), "EQC"), "");
	assert_int_equal(tmgr_machine_wait(NULL, rig.machine, &TMGR_WHEN(A, B), TMGR_NEVER), 0);
	rig_end(&rig);
}

/* ---- The end --------------------------------------------------------------------------------- */

static bool dispose_in_a(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (strcmp(name, "AState") == 0) {
		tmgr_machine_add(event->machine, B, NULL);
		assert_int_equal(tmgr_machine_dispose(event->machine), 0);
		rig->result = tmgr_machine_add(event->machine, C, NULL);
	}
	return true;
}

static void a_disposed_machine_cancels_what_waits_and_all_that_comes(void **state)
{
	struct rig rig = { .act = dispose_in_a };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(rig.result, TMGR_MUTATION_CANCELLED);
	assert_true(tmgr_machine_disposed(rig.machine));
	assert_int_equal(rig.disposed, 1);
	assert_int_equal(tmgr_machine_add(rig.machine, D, NULL), TMGR_MUTATION_CANCELLED);
	assert_int_equal(
		tmgr_machine_add_error(rig.machine, -EIO, "late"), TMGR_MUTATION_CANCELLED);
	assert_int_equal(tmgr_machine_dispose(rig.machine), -EALREADY);
	rig_stands(&rig, "A:1");
	rig_end(&rig);
	assert_int_equal(rig.disposed, 1);
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static void a_machine_is_told_as_text(void **state)
{
	struct tmgr_machine_options options = { .name = "desk" };
	struct rig rig = { .act = NULL };
	char text[1024];

	rig_make(&rig, plain, PLAIN_COUNT, &options);
	tmgr_machine_change(rig.machine, TMGR_MUTATION_ADD, TMGR_STATES(A, D), NULL);
	tmgr_machine_add(rig.machine, E, NULL);
	tmgr_machine_remove(rig.machine, D, NULL);
	tmgr_machine_format(rig.machine, TMGR_MACHINE_SHORT, text, sizeof(text));
	assert_string_equal(text, "(A:1 E:1)");
	tmgr_machine_format(rig.machine, TMGR_MACHINE_FULL, text, sizeof(text));
	assert_string_equal(text, "(A:1 E:1) [B:0 C:0 D:2 F:0 Exception:0]");
	tmgr_machine_format(rig.machine, TMGR_MACHINE_INSPECT, text, sizeof(text));
	assert_string_equal(text, "* A:1\n- B:0\n- C:0\n- D:2 multi\n* E:1 | require A\n"
				  "- F:0 | remove B\n- Exception:0 multi\n");
	assert_int_equal(tmgr_machine_format(rig.machine, TMGR_MACHINE_SHORT, text, 4), 9);
	assert_string_equal(text, "(A:");
	assert_int_equal(tmgr_machine_format(rig.machine, TMGR_MACHINE_SHORT, NULL, 0), 9);
	assert_string_equal(tmgr_machine_name(rig.machine), "desk");
	assert_ptr_equal(tmgr_machine_schema(rig.machine), rig.schema);
	rig_end(&rig);
}

static void what_was_exported_is_taken_over_with_order_and_ticks(void **state)
{
	struct rig one = { .act = NULL }, other = { .act = NULL };
	char text[1024], again[1024];

	rig_make(&one, plain, PLAIN_COUNT, NULL);
	rig_make(&other, plain, PLAIN_COUNT, NULL);
	tmgr_machine_change(one.machine, TMGR_MUTATION_SET, TMGR_STATES(C, A, B), NULL);
	tmgr_machine_set(one.machine, B, NULL);
	tmgr_machine_add(one.machine, A, NULL);
	tmgr_machine_export(one.machine, text, sizeof(text));
	assert_string_equal(
		text, "machine machine\nA 3\nB 1\nC 2\nD 0\nE 0\nF 0\nException 0\nactive B A\n");
	tmgr_machine_add(other.machine, D, NULL);
	assert_int_equal(tmgr_machine_import(other.machine, text), 0);
	rig_stands(&other, "B:1 A:3");
	tmgr_machine_export(other.machine, again, sizeof(again));
	assert_string_equal(again, text);
	/* And it goes on from there. */
	assert_int_equal(tmgr_machine_add(other.machine, E, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&other, "B:1 A:3 E:1");
	rig_end(&one);
	rig_end(&other);
}

static void what_is_no_export_of_such_a_machine_is_refused(void **state)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {
		{ "", -EINVAL },
		{ "machine m", -EINVAL },
		{ "machine m\n", -EINVAL },
		{ "A 3\nB 1\n", -EINVAL },
		{ "machine m\nA 1\nactive A\n", -ENOENT },
		{ "machine m\nA 1\nZ 1\nactive A\n", -ENOENT },
		{ "machine m\nA 1\nA 1\nactive A\n", -EINVAL },
		{ "machine m\nA x\nactive\n", -EINVAL },
		{ "machine m\nA 0\nB 0\nC 0\nD 0\nE 0\nF 0\nException 0\nactive A\n", -EINVAL },
		{ "machine m\nA 1\nB 0\nC 0\nD 0\nE 0\nF 0\nException 0\nactive\n", -EINVAL },
		{ "machine m\nA 1\nB 0\nC 0\nD 0\nE 0\nF 0\nException 0\nactive A A\n", -EINVAL },
		{ "machine m\nA 1\nB 0\nC 0\nD 0\nE 0\nF 0\nException 0\nactive Z\n", -ENOENT },
		{ "machine m\nA 1\nB 0\nC 0\nD 0\nE 0\nF 0\nException 0\nactive A", -EINVAL },
		{ "machine m\nA 1\nB 0\nC 0\nD 0\nE 0\nF 0\nException 0\nactive A\nmore\n",
			-EINVAL },
		{ "machine m\nA 99999999999999999999\nactive\n", -EINVAL },
	};
	struct rig rig = { .act = NULL };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	tmgr_machine_add(rig.machine, B, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (tmgr_machine_import(rig.machine, cases[i].text) != cases[i].error)
			fail_msg("case %zu", i);
	}
	rig_stands(&rig, "B:1");
	rig_end(&rig);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static bool do_nothing(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	return true;
}

static void a_transition_allocates_nothing(void **state)
{
	struct rig rig = { .act = do_nothing };
	long before;

	rig_make(&rig, plain, PLAIN_COUNT, &(struct tmgr_machine_options){ .history_max = 4 });
	before = fault_allocations();
	for (int i = 0; i < 10; i++) {
		tmgr_machine_change(rig.machine, TMGR_MUTATION_SET, TMGR_STATES(A, D), NULL);
		tmgr_machine_add(rig.machine, E, TMGR_ARGUMENTS(TMGR_ARG_TEXT("t", "text")));
		tmgr_machine_add(rig.machine, F, NULL);
		tmgr_machine_add_error(rig.machine, -EIO, "no memory");
		tmgr_machine_remove(rig.machine, A, NULL);
		tmgr_machine_wait(NULL, rig.machine, &TMGR_WHEN(F), TMGR_NOW);
		recorder_clear(&rig.recorder);
	}
	assert_int_equal(fault_allocations(), before);
	rig_end(&rig);
}

static bool add_without_memory(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (strcmp(name, "AState") == 0) {
		fault_fail_all_allocations(true);
		rig->result = tmgr_machine_add(event->machine, B, NULL);
		fault_fail_all_allocations(false);
	}
	return true;
}

static void what_cannot_be_kept_while_it_waits_is_told(void **state)
{
	struct rig rig = { .act = add_without_memory };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(rig.result, -ENOMEM);
	rig_stands(&rig, "A:1");
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(states_are_added_removed_set_and_toggled),
		leak_test(what_is_refused_or_unknown_changes_nothing),
		leak_test(reading_several_states_looks_at_all_of_them),
		leak_test(what_handlers_queue_is_made_in_order_of_priority),
		leak_test(inside_of_a_handler_what_waits_already_is_dropped),
		leak_test(what_waits_can_be_looked_at),
		leak_test(a_full_queue_rejects_or_drops_the_oldest),
		leak_test(while_somebody_else_mutates_it_is_queued),
		leak_test(who_finds_a_full_queue_waits_for_room),
		leak_test(disposing_lets_those_go_who_wait_for_room),
		leak_test(a_postponed_mutation_comes_back_when_the_active_set_changes),
		leak_test(a_postponed_mutation_does_not_live_beyond_its_time),
		leak_test(a_dry_run_asks_relations_and_handlers_and_changes_nothing),
		leak_test(a_function_is_evaluated_on_the_queue_but_not_from_a_handler),
		leak_test(evaluating_waits_for_what_is_being_made_up_to_its_deadline),
		leak_test(a_disposed_machine_cancels_what_waits_and_all_that_comes),
		leak_test(a_machine_is_told_as_text),
		leak_test(what_was_exported_is_taken_over_with_order_and_ticks),
		leak_test(what_is_no_export_of_such_a_machine_is_refused),
		leak_test(a_transition_allocates_nothing),
		leak_test(what_cannot_be_kept_while_it_waits_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
