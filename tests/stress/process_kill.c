/*
 * kill -9 of a program that keeps processes in a file: at random moments, also while it recovers from
 * the kill before, and at each write of a short run. What each step does follows from a seed, so that
 * the file can be compared, row by row, with what the same steps do to a model: every step that was
 * acknowledged is there, none is there twice, and each is whole.
 *
 * SEED repeats a run, though not the moments of the kills; SECONDS says for how long to kill at random.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/killed.h"
#include "tests/support/leak.h"
#include "tests/support/power.h"
#include "tests/support/random_steps.h"
#include "tests/support/seeded.h"
#include "tests/support/steps.h"

#define PROCESSES 9
#define ROUNDS_OF_A_FILE 25 /* then another one is begun: the model is played from its beginning */
#define BATCHES_MAX 100000

/* What outlives the killed: written by it, after each commit and before. */
struct shared {
	atomic_ullong acknowledged, attempted, batches;
};

/* Steps that follow from a seed: those that an engine makes, which the checker likes, or any. */
struct source {
	bool of_any_kind;
	unsigned seed;
	struct steps steps;
	struct random_steps random;
};

static struct shared *shared;
static struct store_file file;

static void source_init(struct source *source, bool of_any_kind, unsigned seed)
{
	memset(source, 0, sizeof(*source));
	source->of_any_kind = of_any_kind;
	source->seed = source->random.seed = seed;
	if (steps_init(&source->steps, PROCESSES) < 0)
		abort();
}

static const struct tmgr_store_batch *source_next(struct source *source)
{
	if (source->of_any_kind)
		return random_steps_next(&source->random);
	return steps_next(&source->steps, 1 + (size_t)rand_r(&source->seed) % 20);
}

static uint64_t last_of(const struct tmgr_store_batch *batch)
{
	return batch->steps[batch->count - 1].sequence;
}

/* Steps up to a sequence, which ends a batch; into a model or nowhere. False: no batch ends there. */
static bool source_skip(struct source *source, uint64_t sequence, struct rows_model *model)
{
	uint64_t at = 0;

	while (at < sequence) {
		const struct tmgr_store_batch *batch = source_next(source);

		at = last_of(batch);
		if (model)
			rows_apply_batch(model, batch);
	}
	return at == sequence;
}

/* ---- The program that is killed ---- */

static void work(struct source *source)
{
	const struct tmgr_store_ops *ops;

	if (store_file_open(&file) < 0)
		_exit(2);
	ops = file.store->ops;
	if (!source_skip(source, file.opened.sequence, NULL))
		_exit(3);
	for (int i = 0; i < BATCHES_MAX; i++) {
		const struct tmgr_store_batch *batch = source_next(source);

		atomic_store(&shared->attempted, last_of(batch));
		if (ops->commit(file.store, batch) < 0)
			_exit(4);
		atomic_store(&shared->acknowledged, last_of(batch));
		atomic_fetch_add(&shared->batches, 1);
		if (ops->maintain(file.store, TMGR_MILLISECOND, i % 4 == 0) < 0)
			_exit(5);
		if (i % 50 == 49 && ops->checkpoint(file.store) < 0)
			_exit(6);
	}
	_exit(7);
}

/* ---- What must be there ---- */

static void must_be_whole(bool of_any_kind, unsigned seed)
{
	uint64_t acknowledged = atomic_load(&shared->acknowledged);
	uint64_t attempted = atomic_load(&shared->attempted);
	struct rows_model model = { .rows = NULL };
	struct source source;

	assert_int_equal(store_file_open(&file), 0);
	if (file.opened.sequence < acknowledged || file.opened.sequence > attempted)
		fail_msg("step %llu is the last, %llu was acknowledged, %llu attempted",
			(unsigned long long)file.opened.sequence, (unsigned long long)acknowledged,
			(unsigned long long)attempted);
	source_init(&source, of_any_kind, seed);
	assert_true(source_skip(&source, file.opened.sequence, &model));
	store_file_must_have(&file, &model);
	steps_fini(&source.steps);
	rows_clear(&model);
	assert_int_equal(store_file_close(&file), 0);
	if (!of_any_kind)
		assert_int_equal(store_file_check(&file), 0);
}

static int64_t now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * TMGR_SECOND + at.tv_nsec;
}

static void new_file(void)
{
	store_file_fini(&file);
	assert_int_equal(store_file_init(&file), 0);
	file.options.journal_max = 64;
	file.options.log_bytes = 65536;
	atomic_store(&shared->acknowledged, 0);
	atomic_store(&shared->attempted, 0);
}

static pid_t start(bool of_any_kind, unsigned seed, long kill_at)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct source source;

		power_reset();
		power_kill_at(kill_at);
		source_init(&source, of_any_kind, seed);
		work(&source);
	}
	assert_true(pid > 0);
	return pid;
}

static unsigned long long batches(void)
{
	return atomic_load(&shared->batches);
}

static void nothing_acknowledged_is_lost_or_done_twice_when_it_is_killed_at_random(void **state)
{
	const char *seconds = getenv("SECONDS");
	int64_t until = now() + (seconds ? atol(seconds) : 4) * TMGR_SECOND;
	unsigned seed = (unsigned)seed_of_this_run(), of_file;
	/* From before the file is open to well into the work. */
	struct killed_when when = {
		.longest_ns = 40 * TMGR_MILLISECOND,
		.longest_min_ns = 10 * TMGR_MILLISECOND,
		.longest_max_ns = 2 * TMGR_SECOND,
		.enough = 20,
		.done = batches,
	};
	int kills = 0, files = 0;

	(void)state;
	atomic_store(&shared->batches, 0);
	for (bool of_any_kind = false; now() < until; of_any_kind = !of_any_kind, files++) {
		new_file();
		of_file = (unsigned)rand_r(&seed);
		for (int i = 0; i < ROUNDS_OF_A_FILE && now() < until; i++, kills++) {
			kill_some_time_later(start(of_any_kind, of_file, 0), &when, &seed);
			/* Some are killed again, while they recover. */
			if (rand_r(&seed) % 3)
				must_be_whole(of_any_kind, of_file);
		}
		must_be_whole(of_any_kind, of_file);
	}
	print_message("%d kills of %d files, %llu batches acknowledged\n", kills, files,
		(unsigned long long)atomic_load(&shared->batches));
	assert_true(kills >= 3);
	assert_true(atomic_load(&shared->batches) > 10);
}

static void nothing_acknowledged_is_lost_or_done_twice_when_it_is_killed_at_any_write(void **state)
{
	const char *given = getenv("KILL_EACH");
	long each = given ? atol(given) : 9, last = given ? 900 : 400;
	unsigned seed = (unsigned)seed_of_this_run();
	int kills = 0;

	(void)state;
	for (long n = 1 + (long)(seed % (unsigned)each); n < last; n += each, kills++) {
		new_file();
		file.options.vfs = POWER_VFS;
		must_have_been_killed(start(n % 2, seed, n));
		/* Where it is looked at, nothing is killed: its own file layer. */
		file.options.vfs = NULL;
		must_be_whole(n % 2, seed);
	}
	print_message("killed at %d of %ld writes\n", kills, last);
}

static int set_up(void **state)
{
	shared = killed_begin(state, &file, sizeof(*shared));
	return shared ? 0 : -1;
}

static int tear_down(void **state)
{
	return killed_end(state, &file, shared, sizeof(*shared));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(nothing_acknowledged_is_lost_or_done_twice_when_it_is_killed_at_any_write),
		TEST(nothing_acknowledged_is_lost_or_done_twice_when_it_is_killed_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
