/* The queue of a machine: its order, from handlers and other threads, postponing, evaluating. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/check.h"
#include "taskmgr/clock.h"

#include "tests/support/actor.h"
#include "tests/support/latch.h"
#include "tests/support/looped.h"
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

/* In AState: one of two states, then one that names one of them twice. */
static bool set_twice(struct rig *rig, struct tmgr_machine_event *event, const char *name)
{
	if (strcmp(name, "AState") != 0 || rig->result > 0)
		return true;
	tmgr_machine_change(event->machine, TMGR_MUTATION_SET, TMGR_STATES(A, C), NULL);
	rig->result = 1 + tmgr_machine_change(
				  event->machine, TMGR_MUTATION_SET, TMGR_STATES(A, A), NULL);
	return !tmgr_machine_is_queued(event->machine, TMGR_MUTATION_SET, TMGR_STATES(C)) &&
	       tmgr_machine_is_queued(event->machine, TMGR_MUTATION_SET, TMGR_STATES(A));
}

static void a_state_that_is_named_twice_makes_no_other_equal(void **state)
{
	struct rig rig = { .act = set_twice };

	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	assert_int_equal(rig.result, 1 + TMGR_MUTATION_QUEUED);
	rig_stands(&rig, "A:1");
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
	struct latch *inside;
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

struct binding {
	struct rig *rig;
	struct tmgr_machine_handlers table;
	int bound, unbound;
};

static void bind_and_unbind(void *argument, struct tmgr_context *context)
{
	struct binding *binding = argument;

	(void)context;
	binding->bound = tmgr_machine_bind(binding->rig->machine, &binding->table, binding);
	binding->unbound = tmgr_machine_unbind(binding->rig->machine, &binding->table, binding);
}

/* Nothing else is queued that would have it look. */
static void bind_while_somebody_mutates(const struct tmgr_machine_options *options)
{
	struct elsewhere elsewhere;
	struct rig rig = { .act = NULL };
	struct binding binding = { .rig = &rig, .bound = 1, .unbound = 1 };
	struct actor actor = ACTOR_INIT;
	struct latch inside;

	rig_make(&rig, plain, PLAIN_COUNT, options);
	begin_elsewhere(&elsewhere, &rig, &inside);
	actor_start(&actor);
	actor_begin(&actor, bind_and_unbind, &binding);
	assert_true(actor_settles_blocked(&actor));
	assert_int_equal(end_elsewhere(&elsewhere), TMGR_MUTATION_EXECUTED);
	assert_true(actor_finishes(&actor));
	actor_quit(&actor);
	assert_int_equal(binding.bound, 0);
	assert_int_equal(binding.unbound, 0);
	rig_end(&rig);
}

static void who_binds_while_somebody_else_mutates_waits_for_no_more_than_that(void **state)
{
	struct looped looped;

	bind_while_somebody_mutates(NULL);
	looped_start(&looped, NULL);
	bind_while_somebody_mutates(&(struct tmgr_machine_options){ .loop = looped.loop });
	looped_stop(&looped);
}

static void *add_b(void *argument)
{
	struct elsewhere *elsewhere = argument;

	elsewhere->result = tmgr_machine_add(elsewhere->rig->machine, B, NULL);
	return NULL;
}

static bool waits_for_room(void *argument)
{
	struct rig *rig = argument;
	struct tmgr_machine_stats stats;

	return tmgr_machine_stats(rig->machine, &stats) == 0 && stats.waits == 1;
}

/* One more thread, that waits for room in the queue; the first stays in its handler. */
static void begin_blocked(struct elsewhere *blocked, struct elsewhere *elsewhere, struct rig *rig,
	struct latch *inside)
{
	struct tmgr_machine_options options = { .queue_max = 1, .queue_full = TMGR_QUEUE_BLOCK };

	rig_make(rig, plain, PLAIN_COUNT, &options);
	begin_elsewhere(elsewhere, rig, inside);
	assert_int_equal(tmgr_machine_add(rig->machine, C, NULL), TMGR_MUTATION_QUEUED);
	*blocked = (struct elsewhere){ .rig = rig };
	assert_int_equal(pthread_create(&blocked->thread, NULL, add_b, blocked), 0);
	assert_true(eventually(waits_for_room, rig));
}

static void who_finds_a_full_queue_waits_for_room(void **state)
{
	struct elsewhere elsewhere, blocked;
	struct rig rig = { .act = NULL };
	struct latch inside;

	begin_blocked(&blocked, &elsewhere, &rig, &inside);
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
	struct elsewhere elsewhere, blocked;
	struct rig rig = { .act = NULL };
	struct latch inside;

	begin_blocked(&blocked, &elsewhere, &rig, &inside);
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
	struct tmgr__virtual_clock clock;

	tmgr__virtual_clock_init(&clock, TMGR_SECOND);
	tmgr__clock_use(&clock.clock);
	rig_make(&rig, plain, PLAIN_COUNT, NULL);
	assert_int_equal(tmgr_machine_mutate(rig.machine, &mutation, NULL), TMGR_MUTATION_QUEUED);
	assert_true(tmgr_machine_next_timeout(rig.machine) == TMGR_SECOND + TMGR_MILLISECOND);
	tmgr__virtual_clock_set(&clock, TMGR_SECOND + TMGR_MILLISECOND - 1);
	assert_int_equal(tmgr_machine_expire(rig.machine), 0);
	tmgr__virtual_clock_set(&clock, TMGR_SECOND + TMGR_MILLISECOND);
	assert_int_equal(tmgr_machine_expire(rig.machine), 1);
	assert_true(tmgr_machine_next_timeout(rig.machine) == TMGR_NEVER);
	assert_int_equal(tmgr_machine_add(rig.machine, A, NULL), TMGR_MUTATION_EXECUTED);
	rig_stands(&rig, "A:1");
	rig_end(&rig);
	tmgr__clock_use(NULL);
}

/* ---- Evaluating ------------------------------------------------------------------------------ */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(what_handlers_queue_is_made_in_order_of_priority),
		leak_test(inside_of_a_handler_what_waits_already_is_dropped),
		leak_test(a_state_that_is_named_twice_makes_no_other_equal),
		leak_test(what_waits_can_be_looked_at),
		leak_test(a_full_queue_rejects_or_drops_the_oldest),
		leak_test(while_somebody_else_mutates_it_is_queued),
		leak_test(who_binds_while_somebody_else_mutates_waits_for_no_more_than_that),
		leak_test(who_finds_a_full_queue_waits_for_room),
		leak_test(disposing_lets_those_go_who_wait_for_room),
		leak_test(a_postponed_mutation_comes_back_when_the_active_set_changes),
		leak_test(a_postponed_mutation_does_not_live_beyond_its_time),
		leak_test(a_function_is_evaluated_on_the_queue_but_not_from_a_handler),
		leak_test(evaluating_waits_for_what_is_being_made_up_to_its_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
