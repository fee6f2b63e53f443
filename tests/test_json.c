/* The reader of JSON beside jansson's, on documents that are good, odd, and broken at random. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tasks/process/json.h"

#include "taskmgr/base/check.h"

#include "tests/support/leak.h"
#include "tests/support/seeded.h"

#define DOCUMENT_MAX 512

/* Good ones, and what a byte more or less turns into something else. */
static const char *const documents[] = {
	"null",
	"true",
	"false",
	"0",
	"-0",
	"12",
	"-12",
	"1.5",
	"1e3",
	"1E+3",
	"1.25e-3",
	"-0.0",
	"9007199254740993",
	"-9223372036854775808",
	"18446744073709551616",
	"1e999",
	"\"\"",
	"\"a\"",
	"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
	"\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"",
	"\"\\u0000\"",
	"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
	"[]",
	"[ ]",
	"[1]",
	"[1,2,3]",
	"[[],[[]],{}]",
	"{}",
	"{\"a\":1}",
	"{\"a\":1,\"b\":[true,false,null]}",
	" {\n\t\"a\" : { \"b\" : [ 1 , 2.5 , \"x\" ] } ,\r\n \"\\u0063\" : null } ",
	"{\"a\":1,\"a\":2}",
	"{\"\":0}",
	"[0,-1,1e-2,\"\\\\\",[{\"k\":[]}]]",
	"{\"text\":\"na\xc3\xafve\",\"bytes\":\"AAECAw==\"}",
	"[\"\xf0\x9f\x91\x8d\"]",
	"{\"n\":\"-9223372036854775808\"}",
};

/* What is refused, each for another reason. */
static const char *const broken[] = {
	"",
	" ",
	"nul",
	"nulls",
	"tru",
	"+1",
	"01",
	"-",
	"1.",
	".5",
	"1e",
	"1e+",
	"0x1",
	"NaN",
	"Infinity",
	"\"",
	"\"a",
	"\"\n\"",
	"\"\\x\"",
	"\"\\u12\"",
	"\"\\u12g4\"",
	"\"\\ud800\"",
	"\"\\udc00\"",
	"\"\\ud800\\u0041\"",
	"\"\x80\"",
	"\"\xc0\x80\"",
	"\"\xe0\x80\x80\"",
	"\"\xed\xa0\x80\"",
	"\"\xf0\x80\x80\x80\"",
	"\"\xf4\x90\x80\x80\"",
	"\"\xf5\x80\x80\x80\"",
	"\"\xe2\x82\"",
	"[",
	"[1",
	"[1,",
	"[1,]",
	"[,1]",
	"[1 2]",
	"{",
	"{\"a\"",
	"{\"a\":",
	"{\"a\":1",
	"{\"a\":1,",
	"{\"a\":1,}",
	"{a:1}",
	"{1:1}",
	"{\"a\" 1}",
	"{\"a\":1 \"b\":2}",
	"1 2",
	"{}{}",
	"[]]",
	"'a'",
	"// a\n1",
	"\xef\xbb\xbf{}",
};

static void must_be_the_same(
	struct tmgr_state_memory *memory, const struct tmgr__json *ours, const json_t *theirs);

static void same_text(
	struct tmgr_state_memory *memory, const struct tmgr__json *ours, const json_t *theirs)
{
	size_t length;
	char *text;

	assert_int_equal(tmgr__json_text(memory, ours, &text, &length), 0);
	assert_int_equal(length, json_string_length(theirs));
	assert_memory_equal(text, json_string_value(theirs), length);
}

static void same_number(const struct tmgr__json *ours, const json_t *theirs)
{
	struct tmgr__integer integer;
	double number;

	if (json_is_integer(theirs)) {
		json_int_t n = json_integer_value(theirs);

		assert_int_equal(tmgr__json_integer(ours, &integer), 0);
		assert_true(integer.magnitude == (n < 0 ? 0 - (uint64_t)n : (uint64_t)n));
		assert_true(integer.negative == (n < 0) || n == 0);
		return;
	}
	assert_int_equal(tmgr__json_double(ours, &number), 0);
	assert_memory_equal(&number, &(double){ json_real_value(theirs) }, sizeof(number));
}

static void same_array(
	struct tmgr_state_memory *memory, const struct tmgr__json *ours, const json_t *theirs)
{
	const struct tmgr__json *child = ours->child;

	assert_int_equal(ours->count, json_array_size(theirs));
	for (size_t i = 0; i < json_array_size(theirs); i++, child = child->next)
		must_be_the_same(memory, child, json_array_get(theirs, i));
	assert_null(child);
}

/* Theirs has one of those with the same key, the last. */
static void same_object(
	struct tmgr_state_memory *memory, const struct tmgr__json *ours, const json_t *theirs)
{
	size_t different = 0;

	for (const struct tmgr__json *one = ours->child; one; one = one->next) {
		const struct tmgr__json *later = one->next;

		while (later && (later->key_length != one->key_length ||
					memcmp(later->key, one->key, one->key_length) != 0))
			later = later->next;
		if (later)
			continue;
		different++;
		must_be_the_same(memory, one, json_object_getn(theirs, one->key, one->key_length));
	}
	assert_int_equal(different, json_object_size(theirs));
}

static void must_be_the_same(
	struct tmgr_state_memory *memory, const struct tmgr__json *ours, const json_t *theirs)
{
	static const enum tmgr__json_type types[] = {
		[JSON_OBJECT] = TMGR__JSON_OBJECT,
		[JSON_ARRAY] = TMGR__JSON_ARRAY,
		[JSON_STRING] = TMGR__JSON_TEXT,
		[JSON_INTEGER] = TMGR__JSON_NUMBER,
		[JSON_REAL] = TMGR__JSON_NUMBER,
		[JSON_TRUE] = TMGR__JSON_BOOL,
		[JSON_FALSE] = TMGR__JSON_BOOL,
		[JSON_NULL] = TMGR__JSON_NULL,
	};

	assert_non_null(theirs);
	assert_int_equal(ours->type, types[json_typeof(theirs)]);
	if (json_is_object(theirs))
		same_object(memory, ours, theirs);
	else if (json_is_array(theirs))
		same_array(memory, ours, theirs);
	else if (json_is_string(theirs))
		same_text(memory, ours, theirs);
	else if (json_is_number(theirs))
		same_number(ours, theirs);
	else
		assert_int_equal(ours->raw[0] == 't', json_is_true(theirs));
}

/* Whether it was accepted. In memory of exactly its size. */
static bool compare(struct tmgr_state_memory *memory, const char *document, size_t length)
{
	char *exact = malloc(length + (length == 0));
	struct tmgr__json_wrong wrong;
	struct tmgr__json *ours;
	json_error_t error;
	json_t *theirs;
	int r;

	assert_non_null(exact);
	memcpy(exact, document, length);
	theirs = json_loadb(exact, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	r = tmgr__json_read(memory, exact, length, &ours, &wrong);
	if (r == 0 && theirs)
		must_be_the_same(memory, ours, theirs);
	/* Numbers that are too large are only so for a field, and jansson has no zero bytes in keys. */
	else if (r == 0 && json_error_code(&error) != json_error_numeric_overflow &&
		 json_error_code(&error) != json_error_null_byte_in_key)
		fail_msg("accepted: %.*s (%s)", (int)length, document, error.text);
	else if (r < 0 && theirs)
		fail_msg(
			"refused: %.*s (byte %zu: %s)", (int)length, document, wrong.at, wrong.why);
	json_decref(theirs);
	tmgr_state_memory_clear(memory);
	free(exact);
	return r == 0;
}

static void documents_are_read_as_jansson_reads_them(void **state)
{
	struct tmgr_state_memory *memory;

	(void)state;
	assert_int_equal(tmgr_state_memory_create(&memory), 0);
	for (size_t i = 0; i < ARRAY_SIZE(documents); i++)
		assert_true(compare(memory, documents[i], strlen(documents[i])));
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++)
		assert_false(compare(memory, broken[i], strlen(broken[i])));
	tmgr_state_memory_destroy(memory);
}

/* A byte changed, taken out or put in, or the end of another document. */
static size_t spoil(char *document, size_t length, unsigned *seed)
{
	static const char bytes[] =
		"\"\"\\{}[]:,,0123456789-+.eE truefalsnu \x80\xc3\xed\xa0\xf0\x9f";
	size_t at = length ? (size_t)rand_r(seed) % length : 0;
	const char *other;

	switch (rand_r(seed) % 4) {
	case 0:
		if (length > 0)
			document[at] = bytes[(size_t)rand_r(seed) % (sizeof(bytes) - 1)];
		return length;
	case 1:
		memmove(document + at, document + at + (length > 0), length - at - (length > 0));
		return length - (length > 0);
	case 2:
		memmove(document + at + 1, document + at, length - at);
		document[at] = bytes[(size_t)rand_r(seed) % (sizeof(bytes) - 1)];
		return length + 1;
	default:
		other = documents[(size_t)rand_r(seed) % ARRAY_SIZE(documents)];
		if (at + strlen(other) >= DOCUMENT_MAX / 2)
			return length;
		/* Not a string: NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
		memcpy(document + at, other, strlen(other));
		return at + strlen(other) > length ? at + strlen(other) : length;
	}
}

static void what_chance_makes_of_documents_is_read_as_jansson_reads_it(void **state)
{
	unsigned seed = (unsigned)seed_of_this_run();
	struct tmgr_state_memory *memory;
	unsigned accepted = 0;

	(void)state;
	assert_int_equal(tmgr_state_memory_create(&memory), 0);
	for (int round = 0; round < 60000; round++) {
		const char *from = documents[(size_t)rand_r(&seed) % ARRAY_SIZE(documents)];
		char document[DOCUMENT_MAX];
		size_t length = strlen(from);

		/* Not a string: NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
		memcpy(document, from, length);
		for (int times = rand_r(&seed) % 4; times >= 0; times--)
			length = spoil(document, length, &seed);
		accepted += compare(memory, document, length);
	}
	tmgr_state_memory_destroy(memory);
	print_message("%u accepted\n", accepted);
	assert_true(accepted > 5000 && accepted < 55000);
}

static void depth_and_length_have_a_limit(void **state)
{
	static char document[4 * TMGR_STATE_DEPTH_MAX], *big;
	struct tmgr_state_memory *memory;
	struct tmgr__json_wrong wrong;
	struct tmgr__json *value;

	(void)state;
	assert_int_equal(tmgr_state_memory_create(&memory), 0);
	memset(document, '[', TMGR_STATE_DEPTH_MAX);
	memset(document + TMGR_STATE_DEPTH_MAX, ']', TMGR_STATE_DEPTH_MAX);
	assert_int_equal(
		tmgr__json_read(memory, document, 2 * TMGR_STATE_DEPTH_MAX, &value, &wrong), 0);
	memset(document, '[', sizeof(document));
	assert_int_equal(
		tmgr__json_read(memory, document, sizeof(document), &value, &wrong), -EMSGSIZE);
	assert_int_equal(wrong.at, TMGR_STATE_DEPTH_MAX);

	big = malloc(TMGR_STATE_SIZE_MAX + 1);
	assert_non_null(big);
	memset(big, ' ', TMGR_STATE_SIZE_MAX + 1);
	big[0] = '1';
	assert_int_equal(tmgr__json_read(memory, big, TMGR_STATE_SIZE_MAX, &value, &wrong), 0);
	assert_int_equal(
		tmgr__json_read(memory, big, TMGR_STATE_SIZE_MAX + 1, &value, &wrong), -EMSGSIZE);
	free(big);
	tmgr_state_memory_destroy(memory);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
	static const struct {
		const char *document, *why;
		size_t at;
		int error;
	} rows[] = {
		{ "", "not a value", 0, -EBADMSG },
		{ "[1,x]", "not a value", 3, -EBADMSG },
		{ "{\"a\" 1}", "no colon after a key", 5, -EBADMSG },
		{ "{x:1}", "not a key", 1, -EBADMSG },
		{ "[1 2]", "no end of an array or object", 3, -EBADMSG },
		{ "1 2", "something after the value", 2, -EBADMSG },
		{ "\"\\q\"", "not an escape sequence", 1, -EBADMSG },
		{ "\"a\x01\"", "a control character in text", 2, -EBADMSG },
		{ "\"ab\xff\"", "not UTF-8", 3, -EILSEQ },
		{ "\"abc", "text without end", 4, -EBADMSG },
		{ "1.e5", "not a number", 2, -EBADMSG },
	};
	struct tmgr_state_memory *memory;
	struct tmgr__json_wrong wrong;
	struct tmgr__json *value;

	(void)state;
	assert_int_equal(tmgr_state_memory_create(&memory), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(tmgr__json_read(memory, rows[i].document, strlen(rows[i].document),
					 &value, &wrong),
			rows[i].error);
		assert_string_equal(wrong.why, rows[i].why);
		assert_int_equal(wrong.at, rows[i].at);
	}
	tmgr_state_memory_destroy(memory);
}

/* 0 to 5 bytes, each with the text that RFC 4648 gives, and texts that are none. */
static void base64_is_as_the_rfc_has_it(void **state)
{
	static const char *const texts[] = { "\"\"", "\"Zg==\"", "\"Zm8=\"", "\"Zm9v\"",
		"\"Zm9vYg==\"", "\"Zm9vYmE=\"", "\"Zm9vYmFy\"" };
	static const char *const none[] = { "Z", "Zg",
		"Zg=", "Zg===", "Zh==", "Zm9=", "Z===", "====", "Zm 9", "Zm9vZg==Zm9v", "Zm-_",
		"Z=g=" };
	unsigned char data[16];
	size_t size;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct tmgr__json_out out = { NULL, 0, 0, 0 };

		tmgr__json_put_base64(&out, (const unsigned char *)"foobar", i);
		assert_int_equal(out.length, strlen(texts[i]));
		assert_memory_equal(out.text, texts[i], out.length);
		assert_int_equal(
			tmgr__base64_read(texts[i] + 1, strlen(texts[i]) - 2, data, &size), 0);
		assert_int_equal(size, i);
		assert_memory_equal(data, "foobar", size);
		free(out.text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_int_equal(tmgr__base64_read(none[i], strlen(none[i]), data, &size), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(documents_are_read_as_jansson_reads_them),
		leak_test(what_chance_makes_of_documents_is_read_as_jansson_reads_it),
		leak_test(depth_and_length_have_a_limit),
		leak_test(what_is_wrong_is_said_with_its_place),
		leak_test(base64_is_as_the_rfc_has_it),
	};

	json_object_seed(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
