#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include <taskmgr/channel.h>

#include "taskmgr/token.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static struct tmgr_token *token_below(struct tmgr_token *parent)
{
	struct tmgr_token *token = NULL;

	assert_int_equal(tmgr_token_create(parent, &token), 0);
	assert_non_null(token);
	return token;
}

static void a_new_token_has_not_fired(void **state)
{
	struct tmgr_token *token = token_below(NULL);
	struct tmgr_cause cause = { .code = 77 };

	(void)state;
	assert_false(tmgr_token_fired(token));
	assert_int_equal(tmgr_token_cause(token, &cause), -EAGAIN);
	assert_int_equal(cause.code, 77);
	assert_true(tmgr_token_deadline(token) == TMGR_NEVER);
	tmgr_token_unref(token);
}

static void null_never_fires(void **state)
{
	(void)state;
	assert_false(tmgr_token_fired(NULL));
	assert_true(tmgr_token_deadline(NULL) == TMGR_NEVER);
	assert_null(tmgr_token_ref(NULL));
	tmgr_token_unref(NULL);
}

static void firing_fires_all_below_and_nothing_above(void **state)
{
	struct tmgr_token *root = token_below(NULL), *left = token_below(root);
	struct tmgr_token *right = token_below(root), *leaf = token_below(left);

	(void)state;
	assert_int_equal(tmgr_token_cancel(left, 0, NULL), 0);
	assert_false(tmgr_token_fired(root));
	assert_false(tmgr_token_fired(right));
	assert_true(tmgr_token_fired(left));
	assert_true(tmgr_token_fired(leaf));
	assert_int_equal(tmgr_token_cancel(root, 0, NULL), 0);
	assert_true(tmgr_token_fired(right));
	tmgr_token_unref(leaf);
	tmgr_token_unref(left);
	tmgr_token_unref(right);
	tmgr_token_unref(root);
}

static void a_child_holds_its_parent(void **state)
{
	struct tmgr_token *root = token_below(NULL), *child = token_below(root);

	(void)state;
	tmgr_token_unref(root);
	assert_false(tmgr_token_fired(child));
	assert_int_equal(tmgr_token_cancel(child, 0, NULL), 0);
	tmgr_token_unref(child);
}

static void a_token_that_ends_does_not_fire_its_children(void **state)
{
	struct tmgr_token *root = token_below(NULL), *child = token_below(root);

	(void)state;
	tmgr_token_unref(root);
	assert_false(tmgr_token_fired(child));
	tmgr_token_unref(child);
}

static void a_token_made_below_a_fired_one_has_fired_with_its_cause(void **state)
{
	struct tmgr_token *root = token_below(NULL), *child;
	struct tmgr_cause cause;

	(void)state;
	assert_int_equal(tmgr_token_cancel(root, -EIO, "disk"), 0);
	child = token_below(root);
	assert_true(tmgr_token_fired(child));
	assert_int_equal(tmgr_token_cause(child, &cause), 0);
	assert_int_equal(cause.reason, TMGR_REASON_CANCELLED);
	assert_int_equal(cause.code, -EIO);
	assert_string_equal(cause.text, "disk");
	tmgr_token_unref(child);
	tmgr_token_unref(root);
}

static void the_first_cause_stays(void **state)
{
	struct tmgr_token *token = token_below(NULL);
	struct tmgr_cause cause = { .reason = TMGR_REASON_LIMIT, .code = -ENFILE, .text = "files" };

	(void)state;
	assert_int_equal(tmgr_token_fire(token, &cause), 0);
	assert_int_equal(tmgr_token_cancel(token, -EIO, "later"), -EALREADY);
	assert_int_equal(tmgr_token_fire(token, &cause), -EALREADY);
	memset(&cause, 0, sizeof(cause));
	assert_int_equal(tmgr_token_cause(token, &cause), 0);
	assert_int_equal(cause.reason, TMGR_REASON_LIMIT);
	assert_int_equal(cause.code, -ENFILE);
	assert_string_equal(cause.text, "files");
	tmgr_token_unref(token);
}

static void each_reason_reaches_the_children(void **state)
{
	static const enum tmgr_reason reasons[] = { TMGR_REASON_CANCELLED, TMGR_REASON_SIGNAL,
		TMGR_REASON_TASK_FAILED, TMGR_REASON_GROUP_DONE, TMGR_REASON_DEADLINE,
		TMGR_REASON_LIMIT };

	(void)state;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		struct tmgr_token *root = token_below(NULL), *child = token_below(root);
		struct tmgr_cause cause = { .reason = reasons[i], .code = (int)i, .text = "why" };
		struct tmgr_cause seen;

		assert_int_equal(tmgr_token_fire(root, &cause), 0);
		assert_int_equal(tmgr_token_cause(child, &seen), 0);
		assert_int_equal(seen.reason, reasons[i]);
		assert_int_equal(seen.code, (int)i);
		assert_string_equal(seen.text, "why");
		tmgr_token_unref(child);
		tmgr_token_unref(root);
	}
}

static void a_reason_that_is_none_or_unknown_is_refused(void **state)
{
	struct tmgr_token *token = token_below(NULL);
	struct tmgr_cause cause = { .reason = TMGR_REASON_NONE };

	(void)state;
	assert_int_equal(tmgr_token_fire(token, &cause), -EINVAL);
	cause.reason = (enum tmgr_reason)99;
	assert_int_equal(tmgr_token_fire(token, &cause), -EINVAL);
	assert_false(tmgr_token_fired(token));
	tmgr_token_unref(token);
}

static void a_long_text_is_cut(void **state)
{
	struct tmgr_token *token = token_below(NULL);
	struct tmgr_cause cause;
	char text[300];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(tmgr_token_cancel(token, 0, text), 0);
	assert_int_equal(tmgr_token_cause(token, &cause), 0);
	assert_int_equal(strlen(cause.text), TMGR_CAUSE_TEXT_SIZE - 1);
	assert_memory_equal(cause.text, text, TMGR_CAUSE_TEXT_SIZE - 1);
	tmgr_token_unref(token);
}

static void the_depth_is_bounded(void **state)
{
	struct tmgr_token *chain[TMGR_TOKEN_DEPTH_MAX + 1], *refused = NULL;

	(void)state;
	chain[0] = token_below(NULL);
	for (size_t i = 1; i <= TMGR_TOKEN_DEPTH_MAX; i++)
		chain[i] = token_below(chain[i - 1]);
	assert_int_equal(tmgr_token_create(chain[TMGR_TOKEN_DEPTH_MAX], &refused), -ELOOP);
	assert_null(refused);
	assert_int_equal(tmgr_token_cancel(chain[0], 0, NULL), 0);
	assert_true(tmgr_token_fired(chain[TMGR_TOKEN_DEPTH_MAX]));
	for (size_t i = 0; i <= TMGR_TOKEN_DEPTH_MAX; i++)
		tmgr_token_unref(chain[i]);
}

static void a_deep_chain_can_be_released_from_above(void **state)
{
	struct tmgr_token *token = token_below(NULL);

	(void)state;
	for (size_t i = 0; i < TMGR_TOKEN_DEPTH_MAX; i++) {
		struct tmgr_token *below = token_below(token);

		tmgr_token_unref(token);
		token = below;
	}
	tmgr_token_unref(token);
}

static void the_earliest_deadline_of_the_ancestors_holds(void **state)
{
	struct tmgr_token *root = token_below(NULL), *child = token_below(root);
	int64_t soon = tmgr_after(TMGR_HOUR), late = tmgr_after(2 * TMGR_HOUR);

	(void)state;
	assert_int_equal(tmgr_token_set_deadline(child, late), 0);
	assert_true(tmgr_token_deadline(child) == late);
	assert_int_equal(tmgr_token_set_deadline(root, soon), 0);
	assert_true(tmgr_token_deadline(child) == soon);
	assert_int_equal(tmgr_token_set_deadline(root, late), 0);
	assert_true(tmgr_token_deadline(root) == soon);
	assert_int_equal(tmgr_token_cancel(root, 0, NULL), 0);
	assert_int_equal(tmgr_token_set_deadline(root, soon), -EALREADY);
	assert_int_equal(tmgr_token_set_deadline(child, soon), -EALREADY);
	tmgr_token_unref(child);
	tmgr_token_unref(root);
}

static bool readable(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, 0) == 1;
}

static void the_descriptor_becomes_readable_and_stays_so(void **state)
{
	struct tmgr_token *root = token_below(NULL), *child = token_below(root);
	int fd = tmgr_token_fd(child);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(tmgr_token_fd(child), fd);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_false(readable(fd));
	assert_int_equal(tmgr_token_cancel(root, 0, NULL), 0);
	assert_true(readable(fd));
	assert_true(readable(fd));
	tmgr_token_unref(child);
	tmgr_token_unref(root);
}

static void a_descriptor_asked_for_after_firing_is_readable(void **state)
{
	struct tmgr_token *token = token_below(NULL);

	(void)state;
	assert_int_equal(tmgr_token_cancel(token, 0, NULL), 0);
	assert_true(readable(tmgr_token_fd(token)));
	tmgr_token_unref(token);
}

static void a_failed_allocation_makes_no_token(void **state)
{
	struct tmgr_token *root = token_below(NULL), *token = NULL;

	(void)state;
	fault_fail_allocation(1);
	assert_int_equal(tmgr_token_create(root, &token), -ENOMEM);
	assert_null(token);
	fault_off();
	assert_int_equal(tmgr_token_create(root, &token), 0);
	tmgr_token_unref(token);
	tmgr_token_unref(root);
}

/* The timers hold what they fire, and look upwards from it for deadlines that have passed too. */
static void who_holds_one_that_its_owner_gave_back_holds_its_parent(void **state)
{
	struct tmgr_token *parent = token_below(NULL), *child = token_below(parent);

	tmgr_token_ref(child);
	assert_false(tmgr__token_detach(child));
	tmgr_token_unref(child);
	assert_false(tmgr__token_alone(parent));
	assert_int_equal(tmgr_token_set_deadline(parent, 5), 0);
	assert_true(tmgr__token_expire(child, 5));
	assert_true(tmgr_token_fired(parent));
	/* It left: firing does not reach it any more. */
	assert_false(tmgr_token_fired(child));
	tmgr_token_unref(child);
	assert_true(tmgr__token_alone(parent));
	tmgr_token_unref(parent);
}

/* What a task's waits say once it has seen that it is cancelled. */
struct looker {
	struct tmgr_token *own;
	struct tmgr_channel *channel;
	int r;
};

static int look_and_receive(struct probe *probe, struct tmgr_context *context)
{
	struct looker *looker = probe->user;
	int item;

	looker->own = tmgr_context_token(context);
	latch_arrive(&probe->executing);
	while (!tmgr_context_cancelled(context))
		;
	looker->r = tmgr_channel_receive(context, looker->channel, &item, TMGR_NOW);
	return 0;
}

static void *cancel_token(void *token)
{
	tmgr_token_cancel(token, 0, NULL);
	return NULL;
}

static bool has_fired(void *token)
{
	return tmgr_token_fired(token);
}

static void who_saw_that_it_is_cancelled_waits_for_nothing_more(void **state)
{
	struct tmgr_token *token = token_below(NULL);
	struct looker looker = { .r = 77 };
	struct probe probe = PROBE(.name = "looker", .on_execute = look_and_receive,
		.end = PROBE_RETURNS, .user = &looker);
	struct tmgr_manager *manager = probe_manager(NULL, &probe);
	struct runner runner;
	pthread_t thread;
	int item = 1;

	assert_int_equal(tmgr_channel_create(sizeof(item), 1, &looker.channel), 0);
	assert_int_equal(tmgr_channel_send(NULL, looker.channel, &item, TMGR_NOW), 0);
	runner_start(&runner, manager, token);
	assert_true(latch_arrived(&probe.executing, 2));
	/* Those above have fired, the task's own is about to. */
	tmgr__lock_acquire(&looker.own->lock);
	assert_int_equal(pthread_create(&thread, NULL, cancel_token, token), 0);
	assert_true(eventually(has_fired, token));
	tmgr_sleep(NULL, 20 * TMGR_MILLISECOND);
	tmgr__lock_release(&looker.own->lock);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(runner_join(&runner), 0);
	assert_int_equal(looker.r, -ECANCELED);
	tmgr_manager_destroy(manager);
	tmgr_channel_unref(looker.channel);
	tmgr_token_unref(token);
}

struct second {
	struct tmgr_token *token, *parent;
	bool fired;
};

static void *cancel_too(void *self)
{
	struct second *second = self;

	if (tmgr_token_cancel(second->parent, 0, NULL) == -EALREADY)
		second->fired = tmgr_token_fired(second->token);
	return NULL;
}

static void who_finds_a_token_fired_finds_all_below_it_fired(void **state)
{
	struct tmgr_token *parent = token_below(NULL), *first = token_below(parent);
	struct second second = { .token = token_below(parent), .parent = parent };
	pthread_t thread, late;

	/* The one that fires comes to the first child, and no further. */
	tmgr__lock_acquire(&first->lock);
	assert_int_equal(pthread_create(&thread, NULL, cancel_token, parent), 0);
	assert_true(eventually(has_fired, parent));
	assert_int_equal(pthread_create(&late, NULL, cancel_too, &second), 0);
	tmgr_sleep(NULL, 20 * TMGR_MILLISECOND);
	tmgr__lock_release(&first->lock);
	assert_int_equal(pthread_join(late, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(second.fired);
	tmgr_token_unref(first);
	tmgr_token_unref(second.token);
	tmgr_token_unref(parent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_new_token_has_not_fired),
		leak_test(null_never_fires),
		leak_test(firing_fires_all_below_and_nothing_above),
		leak_test(a_child_holds_its_parent),
		leak_test(a_token_that_ends_does_not_fire_its_children),
		leak_test(a_token_made_below_a_fired_one_has_fired_with_its_cause),
		leak_test(the_first_cause_stays),
		leak_test(each_reason_reaches_the_children),
		leak_test(a_reason_that_is_none_or_unknown_is_refused),
		leak_test(a_long_text_is_cut),
		leak_test(the_depth_is_bounded),
		leak_test(a_deep_chain_can_be_released_from_above),
		leak_test(the_earliest_deadline_of_the_ancestors_holds),
		leak_test(the_descriptor_becomes_readable_and_stays_so),
		leak_test(a_descriptor_asked_for_after_firing_is_readable),
		leak_test(a_failed_allocation_makes_no_token),
		leak_test(who_holds_one_that_its_owner_gave_back_holds_its_parent),
		leak_test(who_saw_that_it_is_cancelled_waits_for_nothing_more),
		leak_test(who_finds_a_token_fired_finds_all_below_it_fired),
	};

	return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
