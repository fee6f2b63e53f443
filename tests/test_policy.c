/*
 * Every input of the policy. What must come out is written down here from the rules, row by row,
 * and not computed.
 */
#include <errno.h>
#include <stdio.h>

#include "taskmgr/policy.h"

#include "tests/support/leak.h"

/* What an execute may return, and what that is as an error. */
static const struct {
	int result, error, detail;
} results[] = {
	{ 0, 0, 0 },
	{ -ECANCELED, -ECANCELED, 0 },
	{ -EIO, -EIO, 0 },
	{ -1, -1, 0 },
	{ -TMGR_EUNEXPECTED, -TMGR_EUNEXPECTED, 0 },
	{ -TMGR_ESTUCK, -TMGR_ESTUCK, 0 },
	{ 1, -TMGR_EFAILED, 1 },
	{ ECANCELED, -TMGR_EFAILED, ECANCELED },
	{ INT32_MAX, -TMGR_EFAILED, INT32_MAX },
};

enum what {
	CLEAN,      /* nothing is recorded, nothing stops */
	UNEXPECTED, /* -TMGR_EUNEXPECTED is recorded, all stop */
	ERROR,      /* what it returned is recorded, all stop */
	RECORDED,   /* likewise, after the stop: there is nothing left to stop */
};

/* policy, kind of result (0: zero, 1: -ECANCELED, 2: another), after the token fired, by
 * pthread_exit */
static const enum what table[4][3][2][2] = {
	[TMGR_STRICT] = {
		{ { UNEXPECTED, UNEXPECTED }, { CLEAN, UNEXPECTED } },
		{ { ERROR, UNEXPECTED }, { CLEAN, UNEXPECTED } },
		{ { ERROR, UNEXPECTED }, { RECORDED, UNEXPECTED } },
	},
	[TMGR_ERROR] = {
		{ { CLEAN, UNEXPECTED }, { CLEAN, UNEXPECTED } },
		{ { ERROR, UNEXPECTED }, { CLEAN, UNEXPECTED } },
		{ { ERROR, UNEXPECTED }, { RECORDED, UNEXPECTED } },
	},
	[TMGR_STOP_GROUP] = {
		{ { CLEAN, UNEXPECTED }, { CLEAN, UNEXPECTED } },
		{ { ERROR, UNEXPECTED }, { CLEAN, UNEXPECTED } },
		{ { ERROR, UNEXPECTED }, { RECORDED, UNEXPECTED } },
	},
};

static int kind_of(int result)
{
	return result == 0 ? 0 : result == -ECANCELED ? 1 : 2;
}

static void judge(enum tmgr_policy policy, size_t r, bool after, bool exited, bool by_handle)
{
	struct tmgr__end end = { .result = results[r].result,
		.exited = exited,
		.after = after,
		.by_handle = by_handle };
	struct tmgr__verdict verdict;
	enum what what = table[policy][kind_of(results[r].result)][after][exited];
	int error = what == CLEAN ? 0 : what == UNEXPECTED ? -TMGR_EUNEXPECTED : results[r].error;
	int detail = what == ERROR || what == RECORDED ? results[r].detail : 0;
	bool member = policy == TMGR_STOP_GROUP;
	char row[128];

	tmgr__policy_judge(policy, end, &verdict);
	snprintf(row, sizeof(row), "policy %d, result %d, after %d, exited %d, by handle %d",
		(int)policy, end.result, after, exited, by_handle);
	if (verdict.error != error || verdict.detail != detail)
		fail_msg("%s: error %d, detail %d", row, verdict.error, verdict.detail);
	/* One that ended after its stop has nobody left to stop, whatever is said here. */
	if (what == CLEAN && verdict.stop_all)
		fail_msg("%s: a clean end stops all", row);
	if (by_handle && verdict.stop_all)
		fail_msg("%s: one that was to stop alone stops all", row);
	if ((what == ERROR || what == UNEXPECTED) && !after && !verdict.stop_all)
		fail_msg("%s: an error stops nobody", row);
	if (verdict.leave != (member && by_handle))
		fail_msg("%s: leaves its group: %d", row, verdict.leave);
	if (verdict.count_down != (member && !by_handle))
		fail_msg("%s: counts as ended in its group: %d", row, verdict.count_down);
}

static void judge_all(enum tmgr_policy policy, size_t r)
{
	for (int after = 0; after < 2; after++) {
		for (int exited = 0; exited < 2; exited++) {
			judge(policy, r, after, exited, false);
			/* A cancel by the handle fires the task's token: it is after. */
			if (after)
				judge(policy, r, true, exited, true);
		}
	}
}

static void each_end_means_what_the_table_says(void **state)
{
	static const enum tmgr_policy policies[] = { TMGR_STRICT, TMGR_ERROR, TMGR_STOP_GROUP };

	(void)state;
	for (size_t p = 0; p < 3; p++)
		for (size_t r = 0; r < sizeof(results) / sizeof(results[0]); r++)
			judge_all(policies[p], r);
}

static void an_error_is_negative_and_its_detail_what_was_returned(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		int detail = -77;

		assert_int_equal(tmgr__policy_error(results[i].result, &detail), results[i].error);
		assert_int_equal(detail, results[i].detail);
	}
}

static void a_group_is_done_when_all_that_are_left_have_ended(void **state)
{
	/* rows: members; columns: ended of them */
	static const bool done[5][5] = {
		{ false },
		{ false, true },
		{ false, false, true },
		{ false, false, false, true },
		{ false, false, false, false, true },
	};

	(void)state;
	for (size_t members = 0; members < 5; members++) {
		for (size_t ended = 0; ended <= members; ended++) {
			struct tmgr__stop_group_count count = { .members = members,
				.ended = ended };

			assert_int_equal(tmgr__policy_group_done(count), done[members][ended]);
		}
	}
}

static void the_exit_code_is_the_first_that_applies(void **state)
{
	/* forced by a signal, bad use, a task got stuck, a task failed: the code */
	static const int rows[16][5] = {
		{ 0, 0, 0, 0, 0 },
		{ 0, 0, 0, 1, 1 },
		{ 0, 0, 1, 0, 3 },
		{ 0, 0, 1, 1, 3 },
		{ 0, 1, 0, 0, 2 },
		{ 0, 1, 0, 1, 2 },
		{ 0, 1, 1, 0, 2 },
		{ 0, 1, 1, 1, 2 },
		{ 15, 0, 0, 0, 143 },
		{ 15, 0, 0, 1, 143 },
		{ 15, 0, 1, 0, 143 },
		{ 15, 0, 1, 1, 143 },
		{ 2, 1, 0, 0, 130 },
		{ 2, 1, 0, 1, 130 },
		{ 2, 1, 1, 0, 130 },
		{ 2, 1, 1, 1, 130 },
	};

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		for (size_t many = 1; many < 4; many++)
			assert_int_equal(
				tmgr__policy_exit_code(rows[i][0], rows[i][1] != 0,
					(size_t)rows[i][2] * many, (size_t)rows[i][3] * many),
				rows[i][4]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_end_means_what_the_table_says),
		leak_test(an_error_is_negative_and_its_detail_what_was_returned),
		leak_test(a_group_is_done_when_all_that_are_left_have_ended),
		leak_test(the_exit_code_is_the_first_that_applies),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
