/*
 * As test_arguments, for what is waited for together and used in turns: several futures, shields,
 * first successes, calls in threads, queues, mutexes, semaphores and flags.
 */
#include <errno.h>
#include <string.h>

#include <taskmgr/first_success.h>
#include <taskmgr/manager.h>
#include <taskmgr/queue.h>
#include <taskmgr/several.h>
#include <taskmgr/shield.h>
#include <taskmgr/sync.h>
#include <taskmgr/thread_call.h>

#include "tests/support/expect.h"
#include "tests/support/leak.h"
#include "tests/support/recorder.h"

static int no_call(void *self, struct tmgr_context *context, void **ret_value)
{
	return 0;
}

static void of_several_futures(void)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;
	struct tmgr_several_case cases[] = { { .future = &future }, { .future = NULL } };
	struct tmgr_several several = { .cases = cases, .count = 2, .index = 7, .error = 7 };

	IS(tmgr_wait_several(NULL, NULL, TMGR_SEVERAL_ALL, TMGR_NOW), -EINVAL);
	IS(tmgr_wait_several(NULL, &several, TMGR_SEVERAL_ALL, TMGR_NOW), -EINVAL);
	several.cases = NULL;
	IS(tmgr_wait_several(NULL, &several, TMGR_SEVERAL_ALL, TMGR_NOW), -EINVAL);
	several.cases = cases;
	several.count = 1;
	IS(tmgr_wait_several(NULL, &several, (enum tmgr_several_mode)3, TMGR_NOW), -EINVAL);
	IS(tmgr_wait_several(NULL, &several, (enum tmgr_several_mode) - 1, TMGR_NOW), -EINVAL);
	IS(tmgr_wait_several(NULL, &several, TMGR_SEVERAL_FIRST, TMGR_NOW), -ETIMEDOUT);
	IS(several.index == 7 && several.error == 7, 1);
	several.count = 0;
	IS(tmgr_wait_several(NULL, &several, TMGR_SEVERAL_FIRST, TMGR_NOW), 0);
	IS(several.index, 0);
	tmgr_future_fini(&future);
}

static void of_shields_and_copies(void)
{
	struct tmgr_future future = TMGR_FUTURE_INIT;
	struct tmgr_future_write write;
	struct tmgr_shield shields[TMGR_SHIELD_DEPTH_MAX + 1];
	int value = 7, result = 1;

	IS(tmgr_shield_init(NULL, &future), -EINVAL);
	IS(tmgr_shield_init(&shields[0], NULL), -EINVAL);
	tmgr_shield_fini(NULL);
	IS(tmgr_shield_init(&shields[0], &future), 0);
	for (int i = 1; i < TMGR_SHIELD_DEPTH_MAX; i++)
		IS(tmgr_shield_init(&shields[i], &shields[i - 1].future), 0);
	IS(tmgr_shield_init(
		   &shields[TMGR_SHIELD_DEPTH_MAX], &shields[TMGR_SHIELD_DEPTH_MAX - 1].future),
		-ELOOP);
	for (int i = TMGR_SHIELD_DEPTH_MAX; i-- > 0;)
		tmgr_shield_fini(&shields[i]);
	IS(tmgr_future_write_to(NULL, &write, &result, sizeof(result)), -EINVAL);
	IS(tmgr_future_write_to(&future, NULL, &result, sizeof(result)), -EINVAL);
	IS(tmgr_future_write_to(&future, &write, NULL, sizeof(result)), -EINVAL);
	IS(tmgr_future_remove_write(NULL, &write), -EINVAL);
	IS(tmgr_future_remove_write(&future, NULL), -EINVAL);
	IS(tmgr_future_write_to(&future, &write, &result, sizeof(result)), 0);
	IS(tmgr_future_remove_write(&future, &write), 0);
	IS(tmgr_future_complete(&future, 0, &value), 0);
	IS(tmgr_future_remove_write(&future, &write), -ENOENT);
	IS(result, 1);
	tmgr_future_fini(&future);
}

static void of_calls_and_attempts(void)
{
	struct tmgr_attempt attempts[] = { { .function = no_task } };
	struct tmgr_first_success first = { .attempts = attempts, .count = 1, .index = 7 };
	struct tmgr_thread_call call;

	IS(tmgr_call_in_thread(NULL, &call, no_call, NULL), -EINVAL);
	IS(tmgr_thread_call_wait(NULL, NULL, TMGR_NOW, NULL), -EINVAL);
	IS(tmgr_first_success(NULL, &first, TMGR_NEVER), -EINVAL);
	IS(first.index, 7);
}

static void of_queues(void)
{
	struct tmgr_queue *queue = NULL;
	char item = 1;

	IS(tmgr_queue_create(1, 1, NULL), -EINVAL);
	IS(tmgr_queue_create(TMGR_QUEUE_ITEM_MAX + 1, 1, &queue), -EINVAL);
	IS(tmgr_queue_create(SIZE_MAX, 0, &queue), -EINVAL);
	IS(tmgr_queue_create(1, TMGR_QUEUE_COUNT_MAX + 1, &queue), -EINVAL);
	IS(queue == NULL, 1);
	IS(tmgr_queue_create(1, 1, &queue), 0);
	IS(tmgr_queue_ref(NULL) == NULL, 1);
	tmgr_queue_unref(NULL);
	IS(tmgr_queue_put(NULL, NULL, &item, TMGR_NOW), -EINVAL);
	IS(tmgr_queue_put(NULL, queue, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_queue_get(NULL, NULL, &item, TMGR_NOW), -EINVAL);
	IS(tmgr_queue_get(NULL, queue, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_queue_close(NULL), -EINVAL);
	IS(tmgr_queue_count(NULL), 0);
	IS(tmgr_queue_done(NULL), -EINVAL);
	IS(tmgr_queue_join(NULL, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_queue_done(queue), -ENOENT);
	IS(tmgr_queue_join(NULL, queue, TMGR_NOW), 0);
	IS(tmgr_queue_put(NULL, queue, &item, TMGR_NOW), 0);
	IS(tmgr_queue_put(NULL, queue, &item, TMGR_NOW), -ETIMEDOUT);
	IS(tmgr_queue_join(NULL, queue, TMGR_NOW), -ETIMEDOUT);
	IS(tmgr_queue_done(queue), -ENOENT);
	IS(tmgr_queue_count(queue), 1);
	IS(tmgr_queue_close(queue), 0);
	IS(tmgr_queue_close(queue), -EALREADY);
	IS(tmgr_queue_put(NULL, queue, &item, TMGR_NOW), -EPIPE);
	IS(tmgr_queue_get(NULL, queue, &item, TMGR_NOW), 0);
	IS(tmgr_queue_get(NULL, queue, &item, TMGR_NOW), -EPIPE);
	tmgr_queue_unref(queue);
}

static void of_locks(void)
{
	struct tmgr_mutex mutex;
	struct tmgr_semaphore semaphore;
	struct tmgr_flag flag;

	tmgr_mutex_init(NULL);
	tmgr_mutex_fini(NULL);
	tmgr_mutex_init(&mutex);
	IS(tmgr_mutex_lock(NULL, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_mutex_unlock(NULL, NULL), -EINVAL);
	IS(tmgr_mutex_unlock(NULL, &mutex), -EPERM);
	IS(tmgr_mutex_lock(NULL, &mutex, TMGR_NOW), 0);
	IS(tmgr_mutex_lock(NULL, &mutex, TMGR_NOW), -EDEADLK);
	IS(tmgr_mutex_unlock(NULL, &mutex), 0);
	tmgr_mutex_fini(&mutex);

	tmgr_semaphore_init(NULL, 1);
	tmgr_semaphore_fini(NULL);
	tmgr_semaphore_init(&semaphore, UINT32_MAX);
	IS(tmgr_semaphore_acquire(NULL, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_semaphore_release(NULL), -EINVAL);
	IS(tmgr_semaphore_count(NULL), 0);
	IS(tmgr_semaphore_release(&semaphore), -EOVERFLOW);
	IS(tmgr_semaphore_count(&semaphore) == UINT32_MAX, 1);
	tmgr_semaphore_init(&semaphore, 0);
	IS(tmgr_semaphore_acquire(NULL, &semaphore, TMGR_NOW), -ETIMEDOUT);
	tmgr_semaphore_fini(&semaphore);

	tmgr_flag_init(NULL);
	tmgr_flag_fini(NULL);
	tmgr_flag_init(&flag);
	IS(tmgr_flag_set(NULL), -EINVAL);
	IS(tmgr_flag_clear(NULL), -EINVAL);
	IS(tmgr_flag_is_set(NULL), false);
	IS(tmgr_flag_wait(NULL, NULL, TMGR_NOW), -EINVAL);
	IS(tmgr_flag_wait(NULL, &flag, TMGR_NOW), -ETIMEDOUT);
	IS(tmgr_flag_set(&flag), 0);
	IS(tmgr_flag_set(&flag), 0);
	IS(tmgr_flag_wait(NULL, &flag, TMGR_NOW), 0);
	tmgr_flag_fini(&flag);
}

static void each_bad_argument_gives_its_error(void **state)
{
	(void)state;
	wrong = 0;
	of_several_futures();
	of_shields_and_copies();
	of_calls_and_attempts();
	of_queues();
	of_locks();
	assert_int_equal(wrong, 0);
}

static int of_what_needs_a_context(struct probe *probe, struct tmgr_context *context)
{
	struct tmgr_attempt attempts[] = { { .function = no_task }, { .function = NULL } };
	struct tmgr_first_success first = { .attempts = attempts, .count = 2, .index = 7 };
	struct tmgr_mutex mutex = TMGR_MUTEX_INIT;
	struct tmgr_thread_call call;

	IS(tmgr_call_in_thread(context, NULL, no_call, NULL), -EINVAL);
	IS(tmgr_call_in_thread(context, &call, NULL, NULL), -EINVAL);
	IS(tmgr_thread_call_wait(context, NULL, TMGR_NOW, NULL), -EINVAL);
	IS(tmgr_first_success(context, NULL, TMGR_NEVER), -EINVAL);
	IS(tmgr_first_success(context, &first, TMGR_NEVER), -EINVAL);
	first.count = 0;
	IS(tmgr_first_success(context, &first, TMGR_NEVER), -EINVAL);
	IS(first.index, 7);
	IS(tmgr_mutex_lock(context, &mutex, TMGR_NEVER), 0);
	IS(tmgr_mutex_lock(NULL, &mutex, TMGR_NOW), -ETIMEDOUT);
	IS(tmgr_mutex_unlock(NULL, &mutex), -EPERM);
	IS(tmgr_manager_cancel(tmgr_context_manager(context)), 0);
	/* The cancel has reached it. */
	IS(tmgr_sleep(context, TMGR_NEVER), -ECANCELED);
	IS(tmgr_mutex_lock(context, &mutex, TMGR_NEVER) < 0, 1);
	IS(tmgr_call_in_thread(context, &call, no_call, NULL), -ECANCELED);
	IS(tmgr_mutex_unlock(context, &mutex), 0);
	first.count = 1;
	IS(tmgr_first_success(context, &first, TMGR_NEVER), -ECANCELED);
	IS(attempts[0].result, -ECANCELED);
	return 0;
}

static void each_bad_call_from_inside_gives_its_error(void **state)
{
	struct probe inside = PROBE(.name = "inside", .on_execute = of_what_needs_a_context);
	struct tmgr_manager *manager = tmgr_manager_create(NULL);

	(void)state;
	wrong = 0;
	tmgr_manager_add_task(manager, "inside", probe_task(&inside), TMGR_STRICT);
	assert_int_equal(tmgr_manager_run(manager, NULL), 0);
	tmgr_manager_destroy(manager);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_bad_argument_gives_its_error),
		leak_test(each_bad_call_from_inside_gives_its_error),
	};

	return cmocka_run_group_tests_name("arguments several", tests, NULL, NULL);
}
