/* Parts of the broker of minimq: an outbox, the table of keys, patterns, the hash. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "internal/examples/pkg/mq/broker.h"
#include "internal/examples/pkg/mq/glob.h"
#include "internal/examples/pkg/mq/table.h"

#include "taskmgr/base/check.h"

#include "tests/support/leak.h"

static void an_outbox_is_limited_in_bytes(void **state)
{
	const struct mq_outbox_limits limits = { .items = 100, .bytes = 10 };
	struct mq_item items[2] = { 0 }, taken[2];
	struct mq_outbox outbox;

	items[0].head = mq_blob_copy("0123456789abcdef", 16);
	items[1].head = mq_blob_copy("1234", 4);
	items[1].message = true;
	mq_outbox_init(&outbox, &limits);
	assert_int_equal(mq_outbox_push(&outbox, &items[1]), MQ_PUSHED);
	assert_int_equal(mq_outbox_push(&outbox, &items[1]), MQ_PUSHED);
	assert_int_equal(mq_outbox_take(&outbox, taken, 2), 2);
	/* Until they are written they take room. */
	assert_int_equal(mq_outbox_bytes(&outbox), 8);
	assert_int_equal(mq_outbox_push(&outbox, &items[1]), MQ_FULL);
	assert_int_equal(mq_outbox_push(&outbox, &items[1]), MQ_REFUSED);
	assert_int_equal(mq_outbox_release(&outbox, taken, 2), 2);
	assert_int_equal(mq_outbox_bytes(&outbox), 0);
	mq_outbox_fini(&outbox);

	mq_outbox_init(&outbox, &limits);
	assert_int_equal(mq_outbox_take(&outbox, taken, 2), 0);
	assert_int_equal(mq_outbox_push(&outbox, &items[0]), MQ_PUSHED_WAKE);
	assert_false(mq_outbox_close(&outbox));
	assert_int_equal(mq_outbox_push(&outbox, &items[1]), MQ_REFUSED);
	assert_int_equal(mq_outbox_take(&outbox, taken, 2), 1);
	mq_outbox_release(&outbox, taken, 1);
	assert_int_equal(mq_outbox_take(&outbox, taken, 2), -EPIPE);
	mq_outbox_fini(&outbox);
	mq_blob_unref(items[0].head);
	mq_blob_unref(items[1].head);
}

static void a_store_that_grows_keeps_every_key(void **state)
{
	struct mq_store *store = mq_store_create(SIZE_MAX / 2);
	struct mq_blob *value;
	char key[16];

	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "%d", i);
		assert_int_equal(
			mq_store_set(store, key, strlen(key), mq_blob_copy(key, strlen(key))), 0);
	}
	assert_int_equal(mq_store_keys(store), 20000);
	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "%d", i);
		value = mq_store_get(store, key, strlen(key));
		assert_non_null(value);
		assert_int_equal(value->size, strlen(key));
		assert_memory_equal(value->bytes, key, value->size);
		mq_blob_unref(value);
		if (i % 2)
			assert_true(mq_store_delete(store, key, strlen(key)));
	}
	assert_int_equal(mq_store_keys(store), 10000);
	mq_store_destroy(store);
}

/* clang-format off */
static const struct { const char *pattern, *name; bool matches; } globs[] = {
	{ "", "", true }, { "", "a", false }, { "a", "", false },
	{ "*", "", true }, { "*", "any", true }, { "**", "any", true },
	{ "news.*", "news.", true }, { "news.*", "news.art", true }, { "news.*", "new.art", false },
	{ "*a*b*c", "xaxbxbc", true }, { "*a*b*c", "xaxbxb", false }, { "a*a", "a", false },
	{ "?", "a", true }, { "?", "", false }, { "h?llo", "hello", true },
	{ "h[ae]llo", "hello", true }, { "h[ae]llo", "hillo", false },
	{ "h[^e]llo", "hallo", true }, { "h[^e]llo", "hello", false },
	{ "h[a-c]llo", "hbllo", true }, { "h[c-a]llo", "hbllo", true }, { "h[a-c]llo", "hdllo", false },
	{ "[-a]", "-", true }, { "[a-]", "-", true }, { "[\\]]", "]", true }, { "[]a", "a", false },
	{ "[abc", "c", true }, { "[", "a", false }, { "[^", "a", true },
	{ "\\*", "*", true }, { "\\*", "a", false }, { "a\\", "a\\", true },
	{ "*?*?*", "ab", true }, { "*?*?*", "a", false },
};
/* clang-format on */

static void patterns_match_as_they_say(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(globs); i++) {
		if (mq_glob_match(globs[i].pattern, strlen(globs[i].pattern), globs[i].name,
			    strlen(globs[i].name)) != globs[i].matches)
			fail_msg("\"%s\" and \"%s\"", globs[i].pattern, globs[i].name);
	}
}

static void a_malicious_pattern_takes_no_time(void **state)
{
	char pattern[1000], name[1000];

	memset(name, 'a', sizeof(name));
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i % 2 ? 'a' : '*';
	pattern[999] = 'b';
	assert_false(mq_glob_match(pattern, sizeof(pattern), name, sizeof(name)));
}

/* The reference vectors of SipHash-1-3 are not at hand; what counts is that a seed changes all. */
static void a_hash_depends_on_its_seed_and_every_byte(void **state)
{
	const struct mq_seed seed = { { 1, 2 } }, other = { { 1, 3 } };
	char text[24] = { 0 };
	uint64_t plain;

	for (size_t size = 0; size <= sizeof(text); size++) {
		plain = mq_hash(&seed, text, size);
		assert_true(plain != mq_hash(&other, text, size));
		for (size_t i = 0; i < size; i++) {
			text[i] = 1;
			assert_true(plain != mq_hash(&seed, text, size));
			text[i] = 0;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(an_outbox_is_limited_in_bytes),
		leak_test(a_store_that_grows_keeps_every_key),
		leak_test(patterns_match_as_they_say),
		leak_test(a_malicious_pattern_takes_no_time),
		leak_test(a_hash_depends_on_its_seed_and_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
