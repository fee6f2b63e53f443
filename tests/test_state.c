/* What a struct is in JSON, and what JSON is in a struct. */
#include <errno.h>
#include <float.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "taskmgr/base/check.h"

#include "tests/support/fault.h"
#include "tests/support/leak.h"

struct line {
	char *name;
	uint32_t quantity;
};

struct address {
	char *city;
	bool verified;
};

struct tree {
	int32_t value;
	struct tree *left, *right;
};

struct everything {
	bool yes;
	signed char s8;
	short s16;
	int s32;
	int64_t s64;
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	double number;
	char *text;
	struct tmgr_state_bytes bytes;
	struct address address;
	struct address *other;
	int64_t *paid_at;
	uint16_t *ports;
	size_t ports_count;
	char **tags;
	unsigned tags_count;
	struct line *lines;
	size_t lines_count;
	struct tree *tree;
};

static const struct tmgr_state_field line_fields[] = {
	TMGR_FIELD(struct line, name),
	TMGR_FIELD_MISSING(struct line, quantity, "1"),
};
static const struct tmgr_state_table line_state = TMGR_STATE(struct line, line_fields);

static const struct tmgr_state_field address_fields[] = {
	TMGR_FIELD_MISSING(struct address, city, "\"Bonn\""),
	TMGR_FIELD(struct address, verified),
};
static const struct tmgr_state_table address_state = TMGR_STATE(struct address, address_fields);

static const struct tmgr_state_table tree_state;
static const struct tmgr_state_field tree_fields[] = {
	TMGR_FIELD(struct tree, value),
	TMGR_FIELD_OPTIONAL_STRUCT(struct tree, left, &tree_state),
	TMGR_FIELD_OPTIONAL_STRUCT(struct tree, right, &tree_state),
};
static const struct tmgr_state_table tree_state = TMGR_STATE(struct tree, tree_fields);

static const struct tmgr_state_field fields[] = {
	TMGR_FIELD_MISSING(struct everything, yes, "true"),
	TMGR_FIELD(struct everything, s8),
	TMGR_FIELD(struct everything, s16),
	TMGR_FIELD(struct everything, s32),
	TMGR_FIELD_MISSING(struct everything, s64, "-1"),
	TMGR_FIELD(struct everything, u8),
	TMGR_FIELD(struct everything, u16),
	TMGR_FIELD(struct everything, u32),
	TMGR_FIELD(struct everything, u64),
	TMGR_FIELD(struct everything, number),
	TMGR_FIELD(struct everything, text),
	TMGR_FIELD(struct everything, bytes),
	TMGR_FIELD_STRUCT(struct everything, address, &address_state),
	TMGR_FIELD_OPTIONAL_STRUCT(struct everything, other, &address_state),
	TMGR_FIELD_OPTIONAL(struct everything, paid_at),
	TMGR_FIELD_ARRAY(struct everything, ports, ports_count),
	TMGR_FIELD_ARRAY(struct everything, tags, tags_count),
	TMGR_FIELD_STRUCTS(struct everything, lines, lines_count, &line_state),
	TMGR_FIELD_OPTIONAL_STRUCT(struct everything, tree, &tree_state),
};
static const struct tmgr_state_table table = TMGR_STATE(struct everything, fields);

static struct tmgr_state_memory *memory;

static int make_memory(void **state)
{
	int r = leak_setup(state);

	return r ? r : tmgr_state_memory_create(&memory);
}

static int destroy_memory(void **state)
{
	tmgr_state_memory_destroy(memory);
	memory = NULL;
	return leak_teardown(state);
}

static int decode(const char *json, struct everything **ret)
{
	void *object;
	int r = tmgr_state_decode(memory, &table, json, strlen(json), &object);

	if (r == 0)
		*ret = object;
	return r;
}

static struct everything *decoded(const char *json)
{
	struct everything *object = NULL;

	if (decode(json, &object) != 0)
		fail_msg("%s", tmgr_state_error(memory));
	return object;
}

static const char *encoded(const struct everything *object)
{
	const char *json = NULL;
	size_t length;

	if (tmgr_state_encode(memory, &table, object, &json, &length) != 0)
		fail_msg("%s", tmgr_state_error(memory));
	assert_int_equal(strlen(json), length);
	return json;
}

static const char whole[] =
	"{\"yes\":false,\"s8\":-128,\"s16\":-32768,\"s32\":-2147483648,"
	"\"s64\":\"-9223372036854775808\",\"u8\":255,\"u16\":65535,\"u32\":4294967295,"
	"\"u64\":\"18446744073709551615\",\"number\":0.1,\"text\":\"a \\\"b\\\"\\n\xe2\x82\xac\","
	"\"bytes\":\"AAEC/w==\",\"address\":{\"city\":\"Köln\",\"verified\":true},"
	"\"other\":{\"city\":null,\"verified\":false},\"paid_at\":9007199254740992,"
	"\"ports\":[1,65535],\"tags\":[\"\",null,\"x\"],"
	"\"lines\":[{\"name\":\"nut\",\"quantity\":2},{\"name\":\"bolt\",\"quantity\":3}],"
	"\"tree\":{\"value\":1,\"left\":{\"value\":2,\"left\":null,\"right\":null},\"right\":null}"
	"}";

static void each_kind_of_field_is_read_and_written_again(void **state)
{
	struct everything *e = decoded(whole);

	(void)state;
	assert_false(e->yes);
	assert_true(e->s8 == SCHAR_MIN && e->s16 == SHRT_MIN && e->s32 == INT_MIN);
	assert_true(e->s64 == INT64_MIN);
	assert_true(e->u8 == 255 && e->u16 == 65535 && e->u32 == UINT32_MAX);
	assert_true(e->u64 == UINT64_MAX);
	assert_true(e->number == 0.1);
	assert_string_equal(e->text, "a \"b\"\n\xe2\x82\xac");
	assert_int_equal(e->bytes.size, 4);
	assert_memory_equal(e->bytes.data, "\x00\x01\x02\xff", 4);
	assert_string_equal(e->address.city, "Köln");
	assert_true(e->address.verified);
	assert_null(e->other->city);
	assert_true(*e->paid_at == INT64_C(9007199254740992));
	assert_int_equal(e->ports_count, 2);
	assert_int_equal(e->ports[1], 65535);
	assert_int_equal(e->tags_count, 3);
	assert_string_equal(e->tags[0], "");
	assert_null(e->tags[1]);
	assert_int_equal(e->lines_count, 2);
	assert_string_equal(e->lines[1].name, "bolt");
	assert_int_equal(e->tree->left->value, 2);
	assert_null(e->tree->right);
	assert_string_equal(encoded(e), whole);
}

static void a_field_that_is_missing_has_its_value_of_the_table_or_zero(void **state)
{
	struct everything *e = decoded("{\"lines\":[{\"name\":\"nut\"}],\"other\":{}}");
	void *object;

	(void)state;
	assert_true(e->yes);
	assert_true(e->s64 == -1);
	assert_int_equal(e->lines[0].quantity, 1);
	assert_string_equal(e->address.city, "Bonn");
	assert_string_equal(e->other->city, "Bonn");
	assert_true(e->u64 == 0 && e->number == 0 && !e->text && !e->bytes.data && !e->tree);
	assert_true(!e->ports && e->ports_count == 0);

	assert_int_equal(tmgr_state_decode(memory, &table, NULL, 0, &object), 0);
	e = object;
	assert_true(e->yes && e->s64 == -1 && !e->other);
	assert_string_equal(e->address.city, "Bonn");
}

static void keys_that_the_table_does_not_know_are_kept_in_their_place(void **state)
{
	static const char document[] =
		"{\"new\":{\"a\":[1, 2]},\"s32\":5,\"b\\u0000\":1e400,\"address\":{\"zip\":\"53\","
		"\"city\":\"Bonn\",\"verified\":false},\"lines\":[{\"vat\":19,\"name\":\"n\","
		"\"quantity\":1}],\"dup\":1,\"dup\":2}";
	static const char expected[] =
		"{\"new\":{\"a\":[1, 2]},\"s32\":6,\"b\\u0000\":1e400,\"address\":{\"zip\":\"53\","
		"\"city\":\"Rom\",\"verified\":false},\"lines\":[{\"vat\":19,\"name\":\"n\","
		"\"quantity\":9}],\"dup\":1,\"dup\":2,\"yes\":true,";
	struct everything *e = decoded(document);
	struct everything other = *e;
	const char *json;

	(void)state;
	e->s32++;
	e->lines[0].quantity = 9;
	e->address.city = tmgr_state_copy(memory, "Rom", 3);
	json = encoded(e);
	assert_int_equal(strncmp(json, expected, strlen(expected)), 0);
	/* Those of this document are nobody else's, nor are they an element's that is another. */
	assert_null(strstr(encoded(&other), "new"));
	e->lines = tmgr_state_take(memory, 2 * sizeof(*e->lines));
	e->lines_count = 2;
	assert_null(strstr(encoded(e), "vat"));
	/* What is written is read as the same, with them. */
	e = decoded(json);
	assert_string_equal(encoded(e), json);
}

static void what_does_not_fit_is_refused_with_its_path(void **state)
{
	static const struct {
		const char *json, *text;
		int error;
	} rows[] = {
		{ "{", "byte 1: not a key", -EBADMSG },
		{ "[]", "is not an object", -EBADMSG },
		{ "{\"s8\":1,\"s8\":2}", "s8: is there twice", -EBADMSG },
		{ "{\"text\":\"\xff\"}", "byte 9: not UTF-8", -EILSEQ },
		{ "{\"text\":\"a\\u0000b\"}", "text: has a zero byte", -EILSEQ },
		{ "{\"text\":1}", "text: is not text", -EPROTO },
		{ "{\"yes\":1}", "yes: is not a bool", -EPROTO },
		{ "{\"s8\":128}", "s8: is out of range", -ERANGE },
		{ "{\"s8\":-129}", "s8: is out of range", -ERANGE },
		{ "{\"u8\":-1}", "u8: is out of range", -ERANGE },
		{ "{\"u8\":256}", "u8: is out of range", -ERANGE },
		{ "{\"s64\":\"9223372036854775808\"}", "s64: is out of range", -ERANGE },
		{ "{\"u64\":\"18446744073709551616\"}", "u64: is out of range", -ERANGE },
		{ "{\"u64\":1e300}", "u64: is out of range", -ERANGE },
		{ "{\"u64\":1e999}", "u64: is out of range", -ERANGE },
		{ "{\"s32\":1.5}", "s32: is not an integer", -EPROTO },
		{ "{\"s32\":0.99999999999999999999}", "s32: is not an integer", -EPROTO },
		{ "{\"s32\":123e-400}", "s32: is not an integer", -EPROTO },
		{ "{\"s32\":1234567890123456789012.5}", "s32: is not an integer", -EPROTO },
		{ "{\"s32\":1e-99999999999999999999}", "s32: is not an integer", -EPROTO },
		{ "{\"u64\":1e99999999999999999999}", "u64: is out of range", -ERANGE },
		{ "{\"u64\":18446744073709551616.0}", "u64: is out of range", -ERANGE },
		/* Of 2^63, ten times are a multiple of 2^64. */
		{ "{\"u64\":9223372036854775808e1}", "u64: is out of range", -ERANGE },
		{ "{\"u8\":-1e0}", "u8: is out of range", -ERANGE },
		{ "{\"s32\":\"1.0\"}", "s32: is not an integer", -EPROTO },
		{ "{\"s32\":\"01\"}", "s32: is not an integer", -EPROTO },
		{ "{\"s32\":\"\"}", "s32: is not an integer", -EPROTO },
		{ "{\"s32\":null}", "s32: is not an integer", -EPROTO },
		{ "{\"number\":\"1\"}", "number: is not a number", -EPROTO },
		{ "{\"number\":1e999}", "number: is out of range", -ERANGE },
		{ "{\"bytes\":\"A\"}", "bytes: is not bytes in base64", -EPROTO },
		{ "{\"bytes\":5}", "bytes: is not bytes in base64", -EPROTO },
		{ "{\"address\":[]}", "address: is not an object", -EPROTO },
		{ "{\"address\":{\"city\":5}}", "address.city: is not text", -EPROTO },
		{ "{\"ports\":{}}", "ports: is not an array", -EPROTO },
		{ "{\"ports\":[1,2,70000]}", "ports[2]: is out of range", -ERANGE },
		{ "{\"lines\":[{},{\"name\":[]}]}", "lines[1].name: is not text", -EPROTO },
		{ "{\"tree\":{\"left\":{\"right\":{\"value\":\"x\"}}}}",
			"tree.left.right.value: is not an integer", -EPROTO },
	};
	struct everything *e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(decode(rows[i].json, &e), rows[i].error);
		assert_string_equal(tmgr_state_error(memory), rows[i].text);
	}
	decoded("{}");
	assert_string_equal(tmgr_state_error(memory), "");
}

static void what_cannot_be_written_is_refused_with_its_path(void **state)
{
	struct everything *e = decoded("{}");
	struct tree *tree;
	const char *json;

	(void)state;
	e->number = NAN;
	assert_int_equal(tmgr_state_encode(memory, &table, e, &json, NULL), -EDOM);
	assert_string_equal(tmgr_state_error(memory), "number: is NaN");
	e->number = -INFINITY;
	assert_int_equal(tmgr_state_encode(memory, &table, e, &json, NULL), -EDOM);
	assert_string_equal(tmgr_state_error(memory), "number: is infinite");
	e->number = 0;
	e->lines = tmgr_state_take(memory, 2 * sizeof(*e->lines));
	e->lines_count = 2;
	e->lines[1].name = tmgr_state_copy(memory, "\xed\xa0\x80", 3);
	assert_int_equal(tmgr_state_encode(memory, &table, e, &json, NULL), -EILSEQ);
	assert_string_equal(tmgr_state_error(memory), "lines[1].name: is not UTF-8");
	e->lines = NULL;
	assert_int_equal(tmgr_state_encode(memory, &table, e, &json, NULL), -EINVAL);
	assert_string_equal(tmgr_state_error(memory), "lines: has a count and no elements");
	e->lines_count = 0;
	e->bytes.size = 1;
	assert_int_equal(tmgr_state_encode(memory, &table, e, &json, NULL), -EINVAL);
	assert_string_equal(tmgr_state_error(memory), "bytes: has a size and no bytes");
	e->bytes.size = 0;
	e->tree = tree = tmgr_state_take(memory, sizeof(*tree));
	tree->left = tree;
	assert_int_equal(tmgr_state_encode(memory, &table, e, &json, NULL), -EMSGSIZE);
	assert_non_null(strstr(tmgr_state_error(memory), "left: is too deep"));
	e->tree = NULL;
	e->bytes.data = tmgr_state_take(memory, TMGR_STATE_SIZE_MAX);
	e->bytes.size = TMGR_STATE_SIZE_MAX;
	assert_int_equal(tmgr_state_encode(memory, &table, e, &json, NULL), -EMSGSIZE);
	assert_string_equal(tmgr_state_error(memory), "too long");
}

/* Powers of two and their neighbours, and what is at the edge of a double. */
static void numbers_come_back_bit_for_bit(void **state)
{
	static const double doubles[] = { 0, -0.0, 0.1, 1.0 / 3, 1e21, 123456789012345680.0,
		DBL_MAX, -DBL_MAX, DBL_MIN, DBL_EPSILON, 4.9406564584124654e-324,
		9007199254740993.0 };
	struct everything e = { .yes = true };

	(void)state;
	for (int bit = 0; bit < 64; bit++) {
		for (int near = -1; near <= 1; near++) {
			struct everything *back;

			e.u64 = (UINT64_C(1) << bit) + (uint64_t)(int64_t)near;
			e.s64 = (int64_t)e.u64;
			back = decoded(encoded(&e));
			assert_true(back->u64 == e.u64 && back->s64 == e.s64);
			tmgr_state_memory_clear(memory);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(doubles); i++) {
		struct everything *back;

		e.number = doubles[i];
		back = decoded(encoded(&e));
		assert_memory_equal(&back->number, &e.number, sizeof(double));
	}
	assert_true(decoded("{\"s32\":1e3,\"u8\":2.0,\"s64\":-5E0}")->s32 == 1000);
	assert_non_null(strstr(encoded(&(struct everything){ .s64 = INT64_C(9007199254740992) }),
		"\"s64\":9007199254740992,"));
	assert_non_null(strstr(encoded(&(struct everything){ .s64 = INT64_C(9007199254740993) }),
		"\"s64\":\"9007199254740993\","));
}

static void an_integer_with_a_point_or_an_exponent_is_read_to_the_last_digit(void **state)
{
	static const struct {
		const char *json;
		uint64_t u64;
		int64_t s64;
	} rows[] = {
		{ "{\"u64\":9007199254740993.0,\"s64\":-9007199254740993.0}",
			UINT64_C(9007199254740993), -INT64_C(9007199254740993) },
		{ "{\"u64\":1.8446744073709551615e19,\"s64\":-9.223372036854775808E+18}",
			UINT64_MAX, INT64_MIN },
		{ "{\"u64\":18446744073709551615000e-3,\"s64\":-0.0e5}", UINT64_MAX, 0 },
		{ "{\"u64\":10203.0400e2,\"s64\":0e99999999999999999999}", 1020304, 0 },
		{ "{\"u64\":1e19,\"s64\":-1E18}", UINT64_C(10000000000000000000),
			-INT64_C(1000000000000000000) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct everything *e = decoded(rows[i].json);

		assert_true(e->u64 == rows[i].u64 && e->s64 == rows[i].s64);
		tmgr_state_memory_clear(memory);
	}
}

static void the_decimal_point_is_a_point_in_every_locale(void **state)
{
	struct everything e = { .number = 2.5 };
	char path[1024];

	(void)state;
	/* One that is made here, since few machines have any. */
	snprintf(path, sizeof(path), "%s/locale", getenv("BUILD") ? getenv("BUILD") : "build");
	setenv("LOCPATH", path, 1);
	if (system("mkdir -p $LOCPATH && localedef -c -i de_DE -f UTF-8 $LOCPATH/de_DE.UTF-8 "
		   ">/dev/null 2>&1") != 0)
		skip();
	assert_non_null(setlocale(LC_NUMERIC, "de_DE.UTF-8"));
	assert_string_equal(localeconv()->decimal_point, ",");
	assert_non_null(strstr(encoded(&e), "\"number\":2.5,"));
	assert_true(decoded("{\"number\":0.25}")->number == 0.25);
	setlocale(LC_NUMERIC, "C");
}

static void each_allocation_may_fail(void **state)
{
	long k;

	(void)state;
	for (k = 1; k < 200; k++) {
		struct tmgr_state_memory *one = NULL;
		const char *json = NULL;
		void *object = NULL;
		int r;

		fault_fail_allocation(k);
		r = tmgr_state_memory_create(&one);
		if (r == 0)
			r = tmgr_state_check(one, &table);
		if (r == 0)
			r = tmgr_state_decode(one, &table, whole, strlen(whole), &object);
		if (r == 0)
			r = tmgr_state_encode(one, &table, object, &json, NULL);
		if (!fault_happened()) {
			assert_int_equal(r, 0);
			assert_string_equal(json, whole);
		} else {
			assert_int_equal(r, -ENOMEM);
			assert_string_equal(
				one ? tmgr_state_error(one) : "out of memory", "out of memory");
		}
		tmgr_state_memory_destroy(one);
		if (!fault_happened())
			break;
	}
	fault_off();
	assert_true(k > 4 && k < 200);
}

/* As large as texts, bytes and texts of an array that need memory of their own, each. */
static void what_is_large_is_read_or_refused_when_there_is_no_memory(void **state)
{
	size_t size = 100000;
	char *json = malloc(4 * size), *at = json;
	long k;

	(void)state;
	at += sprintf(at, "{\"text\":\"%0*d\",", (int)size, 0);
	at += sprintf(at, "\"bytes\":\"%0*d\",", (int)size, 0);
	sprintf(at, "\"tags\":[\"%0*d\"]}", (int)size, 0);
	for (k = 1; k < 200; k++) {
		struct tmgr_state_memory *one = NULL;
		void *object = NULL;
		int r;

		assert_int_equal(tmgr_state_memory_create(&one), 0);
		fault_fail_allocation(k);
		r = tmgr_state_decode(one, &table, json, strlen(json), &object);
		if (!fault_happened()) {
			struct everything *e = object;

			fault_off();
			assert_int_equal(r, 0);
			assert_int_equal(strlen(e->text), size);
			assert_int_equal(e->bytes.size, size / 4 * 3);
			assert_int_equal(strlen(e->tags[0]), size);
			tmgr_state_memory_destroy(one);
			break;
		}
		fault_off();
		assert_int_equal(r, -ENOMEM);
		assert_string_equal(tmgr_state_error(one), "out of memory");
		tmgr_state_memory_destroy(one);
	}
	free(json);
	assert_true(k > 3 && k < 200);
}

static void a_step_like_the_last_one_allocates_nothing(void **state)
{
	long before = 0;

	(void)state;
#if defined(__SANITIZE_ADDRESS__)
	skip();
#endif
	for (int i = 0; i < 10; i++) {
		if (i == 4)
			before = fault_allocations();
		encoded(decoded(whole));
		tmgr_state_memory_clear(memory);
	}
	assert_int_equal(fault_allocations(), before);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make_memory, destroy_memory)
	const struct CMUnitTest tests[] = {
		TEST(each_kind_of_field_is_read_and_written_again),
		TEST(a_field_that_is_missing_has_its_value_of_the_table_or_zero),
		TEST(keys_that_the_table_does_not_know_are_kept_in_their_place),
		TEST(what_does_not_fit_is_refused_with_its_path),
		TEST(what_cannot_be_written_is_refused_with_its_path),
		TEST(numbers_come_back_bit_for_bit),
		TEST(an_integer_with_a_point_or_an_exponent_is_read_to_the_last_digit),
		TEST(the_decimal_point_is_a_point_in_every_locale),
		TEST(each_allocation_may_fail),
		TEST(what_is_large_is_read_or_refused_when_there_is_no_memory),
		TEST(a_step_like_the_last_one_allocates_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
