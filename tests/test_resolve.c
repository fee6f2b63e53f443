/*
 * Names: numeric ones at once, others by threads that nobody waits for.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <taskmgr/tasks/resolve.h>

#include "tests/support/crew.h"
#include "tests/support/expect.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"
#include "tests/support/network.h"

#define NEVER TMGR_NEVER

static int resolve(struct tmgr_context *context, const char *host, unsigned port, int64_t deadline)
{
	struct tmgr_addresses *addresses;
	int r = tmgr_resolve(context, host, port, deadline, &addresses);

	if (r == 0)
		tmgr_addresses_destroy(addresses);
	return r;
}

static void a_numeric_host_is_resolved_at_once_without_a_thread(void **state)
{
	static const struct {
		const char *host;
		int family;
	} hosts[] = { { "127.0.0.1", AF_INET }, { "10.1.2.3", AF_INET }, { "::1", AF_INET6 },
		{ "2001:db8::5", AF_INET6 } };
	struct tmgr_addresses *addresses;
	long threads = fault_threads();

	for (size_t i = 0; i < 4; i++) {
		char text[64];

		assert_int_equal(tmgr_resolve(NULL, hosts[i].host, 4711, TMGR_NOW, &addresses), 0);
		assert_int_equal(addresses->count, 1);
		assert_int_equal(addresses->list[0].to.any.sa_family, hosts[i].family);
		if (hosts[i].family == AF_INET) {
			assert_int_equal(addresses->list[0].size, sizeof(struct sockaddr_in));
			assert_int_equal(addresses->list[0].to.in.sin_port, htons(4711));
			inet_ntop(AF_INET, &addresses->list[0].to.in.sin_addr, text, sizeof(text));
		} else {
			assert_int_equal(addresses->list[0].size, sizeof(struct sockaddr_in6));
			assert_int_equal(addresses->list[0].to.in6.sin6_port, htons(4711));
			inet_ntop(
				AF_INET6, &addresses->list[0].to.in6.sin6_addr, text, sizeof(text));
		}
		assert_string_equal(text, hosts[i].host);
		tmgr_addresses_destroy(addresses);
	}
	assert_int_equal(fault_threads(), threads);
}

static void bad_arguments_are_refused(void **state)
{
	struct tmgr_addresses *addresses;
	char name[300];

	memset(name, 'a', sizeof(name));
	name[256] = '\0';
	assert_int_equal(tmgr_resolve(NULL, NULL, 1, NEVER, &addresses), -EINVAL);
	assert_int_equal(tmgr_resolve(NULL, "", 1, NEVER, &addresses), -EINVAL);
	assert_int_equal(tmgr_resolve(NULL, name, 1, NEVER, &addresses), -EINVAL);
	assert_int_equal(tmgr_resolve(NULL, "localhost", 65536, NEVER, &addresses), -EINVAL);
	assert_int_equal(tmgr_resolve(NULL, "localhost", 1, NEVER, NULL), -EINVAL);
	tmgr_addresses_destroy(NULL);
}

static int resolve_localhost(void *self, struct tmgr_context *context)
{
	return resolve(context, "localhost", 80, NEVER);
}

static void this_machine_has_a_name(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++)
		assert_int_equal(crew_run(h, resolve_localhost, NULL, NULL, NULL), 0);
	assert_int_equal(resolve_localhost(NULL, NULL), 0);
}

static int resolve_invalid(void *self, struct tmgr_context *context)
{
	int r = resolve(context, "no-such-host.invalid", 80, tmgr_after(20 * TMGR_SECOND));

	/* Without a network the name servers may be what is missing. */
	IS(r == -ENOENT || r == -EAGAIN || r == -EIO || r == -ETIMEDOUT, true);
	return 0;
}

static void a_name_that_does_not_exist_is_an_error(void **state)
{
	wrong = 0;
	for (int h = 0; h < CREW_HOSTS; h++)
		assert_int_equal(crew_run(h, resolve_invalid, NULL, NULL, NULL), 0);
	assert_int_equal(wrong, 0);
}

static void errors_of_the_resolver_come_back_as_ours(void **state)
{
	static const struct {
		int given, expected;
	} errors[] = { { EAI_NONAME, -ENOENT }, { EAI_NODATA, -ENOENT }, { EAI_AGAIN, -EAGAIN },
		{ EAI_MEMORY, -ENOMEM }, { EAI_FAIL, -EIO }, { EAI_BADFLAGS, -EIO } };

	for (size_t i = 0; i < 6; i++) {
		network_answer(NULL, errors[i].given, NULL);
		assert_int_equal(resolve(NULL, "host", 80, NEVER), errors[i].expected);
	}
	network_off();
}

static void all_addresses_come_in_the_order_of_the_resolver(void **state)
{
	struct tmgr_addresses *addresses;

	network_answer("127.0.0.9 ::1 127.0.0.8", 0, NULL);
	assert_int_equal(tmgr_resolve(NULL, "host", 80, NEVER, &addresses), 0);
	network_off();
	assert_int_equal(addresses->count, 3);
	assert_int_equal(addresses->list[0].to.in.sin_addr.s_addr, htonl(0x7f000009));
	assert_int_equal(addresses->list[1].to.any.sa_family, AF_INET6);
	assert_int_equal(addresses->list[1].to.in6.sin6_port, htons(80));
	assert_int_equal(addresses->list[2].to.in.sin_addr.s_addr, htonl(0x7f000008));
	tmgr_addresses_destroy(addresses);
}

struct asker {
	int64_t deadline;
	int r;
	atomic_int turns;
};

static int ask(void *self, struct tmgr_context *context)
{
	struct asker *asker = self;

	asker->r = resolve(context, "host", 80, asker->deadline);
	return 0;
}

static int count_turns(void *self, struct tmgr_context *context)
{
	struct asker *asker = self;

	while (atomic_fetch_add(&asker->turns, 1) < 1000)
		tmgr_yield(context);
	return 0;
}

static void a_resolver_that_hangs_holds_up_nobody_else(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct latch hold = LATCH_INIT;
		struct asker asker = { .deadline = NEVER, .r = 77 };
		struct crew crew;

		network_answer("127.0.0.1", 0, &hold);
		crew_begin(&crew, h);
		crew_add(&crew, ask, &asker);
		assert_true(latch_arrived(&hold, 1));
		crew_add(&crew, count_turns, &asker);
		assert_int_equal(crew_join(&crew, 1), 0);
		assert_int_equal(asker.r, 77);
		latch_open(&hold);
		assert_int_equal(crew_end(&crew), 0);
		assert_int_equal(asker.r, 0);
	}
	network_off();
}

static bool all_have_left(void *threads)
{
	return leak_threads() <= *(int *)threads;
}

static void who_is_cancelled_or_late_leaves_at_once(void **state)
{
	int threads = leak_threads();

	for (int h = 0; h < CREW_HOSTS; h++) {
		struct latch hold = LATCH_INIT;
		struct asker cancelled = { .deadline = NEVER, .r = 77 };
		struct asker late = { .r = 77 };
		struct crew crew;

		network_answer("127.0.0.1", 0, &hold);
		late.deadline = tmgr_after(20 * TMGR_MILLISECOND);
		crew_begin(&crew, h);
		crew_add(&crew, ask, &cancelled);
		crew_add(&crew, ask, &late);
		assert_true(crew_waits(&crew, 0, "future"));
		assert_true(latch_arrived(&hold, 1));
		crew_cancel(&crew, 0);
		/* Even the manager ends before the resolver answers; its answers are dropped. */
		assert_int_equal(crew_end(&crew), 0);
		assert_int_equal(cancelled.r, -ECANCELED);
		assert_int_equal(late.r, -ETIMEDOUT);
		latch_open(&hold);
		/* They look at the latch. */
		assert_true(eventually(all_have_left, &threads));
		network_off();
	}
	network_off();
}

#define ASKERS 12

static void at_most_four_are_asked_for_at_once_and_all_are_answered(void **state)
{
	for (int h = 0; h < CREW_HOSTS; h++) {
		struct latch hold = LATCH_INIT;
		struct asker askers[ASKERS];
		struct crew crew;

		network_answer("127.0.0.1", 0, &hold);
		crew_begin(&crew, h);
		for (size_t i = 0; i < ASKERS; i++) {
			askers[i] = (struct asker){ .deadline = NEVER, .r = 77 };
			crew_add(&crew, ask, &askers[i]);
			assert_true(crew_waits(&crew, i, "future"));
		}
		assert_true(latch_arrived(&hold, 4));
		/* One that is queued is taken back. */
		crew_cancel(&crew, 10);
		crew_join(&crew, 10);
		latch_open(&hold);
		assert_int_equal(crew_end(&crew), 0);
		for (int i = 0; i < ASKERS; i++)
			assert_int_equal(askers[i].r, i == 10 ? -ECANCELED : 0);
		assert_int_equal(network_asked(), ASKERS - 1);
		assert_int_equal(network_asked_at_once(), 4);
	}
	network_off();
}

static void without_memory_or_a_thread_it_fails_cleanly(void **state)
{
	int threads = leak_threads(), r = -1;

	network_answer("127.0.0.1 127.0.0.2", 0, NULL);
	for (long k = 1; r != 0; k++) {
		assert_true(k < 10);
		fault_fail_allocation(k);
		r = resolve(NULL, "host", 80, NEVER);
		assert_true(r == 0 || r == -ENOMEM);
	}
	fault_off();
	/* One that there is would answer. */
	assert_true(eventually(all_have_left, &threads));
	fault_fail_thread(1);
	assert_int_equal(resolve(NULL, "host", 80, NEVER), -EAGAIN);
	fault_off();
	assert_int_equal(resolve(NULL, "host", 80, NEVER), 0);
	network_off();
}

static void a_forked_child_can_resolve_too(void **state)
{
	struct latch hold = LATCH_INIT;
	struct asker askers[6];
	struct crew crew;
	int status;
	pid_t child;

	/* The thread sanitizer allows no threads there. */
	if (FAULT_TSAN)
		skip();
	network_answer("127.0.0.1", 0, &hold);
	crew_begin(&crew, 0);
	for (size_t i = 0; i < 6; i++) {
		askers[i] = (struct asker){ .deadline = NEVER, .r = 77 };
		crew_add(&crew, ask, &askers[i]);
	}
	assert_true(latch_arrived(&hold, 4));
	/* Nobody is in the middle of making a thread, which the child would have half of. */
	for (size_t i = 0; i < 6; i++)
		assert_true(crew_waits(&crew, i, "future"));
	child = fork();
	if (child == 0) {
		network_answer("127.0.0.1", 0, NULL);
		_exit(resolve(NULL, "host", 80, NEVER) == 0 ? 7 : 8);
	}
	latch_open(&hold);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_int_equal(crew_end(&crew), 0);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(askers[i].r, 0);
	network_off();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_numeric_host_is_resolved_at_once_without_a_thread),
		leak_test(bad_arguments_are_refused),
		leak_test(this_machine_has_a_name),
		leak_test(a_name_that_does_not_exist_is_an_error),
		leak_test(errors_of_the_resolver_come_back_as_ours),
		leak_test(all_addresses_come_in_the_order_of_the_resolver),
		leak_test(a_resolver_that_hangs_holds_up_nobody_else),
		leak_test(who_is_cancelled_or_late_leaves_at_once),
		leak_test(at_most_four_are_asked_for_at_once_and_all_are_answered),
		leak_test(without_memory_or_a_thread_it_fails_cleanly),
		leak_test(a_forked_child_can_resolve_too),
	};

	return cmocka_run_group_tests_name("resolve", tests, crew_warm_up, NULL);
}
