/* What a migrate function sees and sets, and which tables are refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "taskmgr/base/check.h"

#include "tests/support/fault.h"
#include "tests/support/leak.h"

/* Once total was a text like "12.50 EUR", and customer an object. */
struct order {
	int64_t cents;
	char *customer;
	bool express;
};

static char asked[256];
static int migrate_result;

static int migrate(struct tmgr_state_old *old, const char *name, void *object)
{
	struct order *order = object;
	double euros;
	char *text;
	int r;

	strcat(strcat(asked, asked[0] ? " " : ""), name);
	if (migrate_result)
		return migrate_result;
	if (strcmp(name, "cents") == 0) {
		r = tmgr_state_old_double(old, "cents", &euros);
		if (r == 0)
			order->cents = (int64_t)(euros * 100);
		return r;
	}
	r = tmgr_state_old_text(old, "customer.names[1]", &text);
	if (r < 0)
		return r;
	order->customer = tmgr_state_copy(tmgr_state_old_memory(old), text, strlen(text));
	return order->customer ? 0 : -ENOMEM;
}

static const struct tmgr_state_field order_fields[] = {
	TMGR_FIELD(struct order, cents),
	TMGR_FIELD(struct order, customer),
	TMGR_FIELD_MISSING(struct order, express, "true"),
};
static const struct tmgr_state_table order_state = TMGR_STATE_MIGRATED(
	struct order, order_fields, migrate);

struct basket {
	struct order *orders;
	size_t orders_count;
	struct order first;
};

static const struct tmgr_state_field basket_fields[] = {
	TMGR_FIELD_STRUCTS(struct basket, orders, orders_count, &order_state),
	TMGR_FIELD_STRUCT(struct basket, first, &order_state),
};
static const struct tmgr_state_table basket_state = TMGR_STATE(struct basket, basket_fields);

static struct tmgr_state_memory *memory;

static int make_memory(void **state)
{
	int r = leak_setup(state);

	asked[0] = '\0';
	migrate_result = 0;
	return r ? r : tmgr_state_memory_create(&memory);
}

static int destroy_memory(void **state)
{
	tmgr_state_memory_destroy(memory);
	return leak_teardown(state);
}

static int decode(const struct tmgr_state_table *table, const char *json, void **ret)
{
	return tmgr_state_decode(memory, table, json, strlen(json), ret);
}

static void a_field_of_another_type_is_set_by_the_migrate_function(void **state)
{
	struct order *order;
	const char *json;
	void *object;

	(void)state;
	assert_int_equal(
		decode(&order_state,
			"{\"customer\":{\"names\":[\"a\",\"Ada\"]},\"cents\":12.5,\"x\":1}",
			&object),
		0);
	order = object;
	assert_true(order->cents == 1250);
	assert_string_equal(order->customer, "Ada");
	assert_true(order->express);
	assert_string_equal(asked, "cents customer");
	/* Written as the table has it now, and not asked for again. */
	assert_int_equal(tmgr_state_encode(memory, &order_state, order, &json, NULL), 0);
	assert_string_equal(json, "{\"customer\":\"Ada\",\"cents\":1250,\"x\":1,\"express\":true}");
	assert_int_equal(decode(&order_state, json, &object), 0);
	assert_string_equal(asked, "cents customer");
}

/* A struct whose table has no function of its own, in one that sets it whole. */
struct pair {
	int64_t left, right;
};

struct holder {
	struct pair pair;
};

static int set_pair(struct tmgr_state_old *old, const char *name, void *object)
{
	((struct holder *)object)->pair.left = 5;
	return 0;
}

static const struct tmgr_state_field pair_fields[] = {
	TMGR_FIELD(struct pair, left),
	TMGR_FIELD(struct pair, right),
};
static const struct tmgr_state_table pair_state = TMGR_STATE(struct pair, pair_fields);
static const struct tmgr_state_field holder_fields[] = {
	TMGR_FIELD_STRUCT(struct holder, pair, &pair_state),
};
static const struct tmgr_state_table holder_state = TMGR_STATE_MIGRATED(
	struct holder, holder_fields, set_pair);

/* Behind what does not fit nobody has looked. */
static void a_key_that_was_there_twice_is_written_once(void **state)
{
	const char *json;
	void *object;

	(void)state;
	assert_int_equal(
		decode(&holder_state,
			"{\"pair\":{\"x\":1,\"left\":\"?\",\"right\":1,\"right\":2,\"y\":2}}",
			&object),
		0);
	assert_int_equal(tmgr_state_encode(memory, &holder_state, object, &json, NULL), 0);
	assert_string_equal(json, "{\"pair\":{\"x\":1,\"left\":5,\"right\":0,\"y\":2}}");
}

static void it_is_called_for_each_struct_with_the_object_of_that_one(void **state)
{
	struct basket *basket;
	void *object;

	(void)state;
	assert_int_equal(decode(&basket_state,
				 "{\"orders\":[{\"cents\":1},{\"cents\":0.5},{\"cents\":2.25}],"
				 "\"first\":{\"cents\":7.5}}",
				 &object),
		0);
	basket = object;
	assert_true(basket->orders[0].cents == 1 && basket->orders[1].cents == 50);
	assert_true(basket->orders[2].cents == 225 && basket->first.cents == 750);
	assert_string_equal(asked, "cents cents cents");
}

static void what_it_returns_is_the_error_with_the_path(void **state)
{
	void *object;

	(void)state;
	migrate_result = -EXDEV;
	assert_int_equal(
		decode(&basket_state, "{\"orders\":[{},{\"customer\":1}]}", &object), -EXDEV);
	assert_string_equal(tmgr_state_error(memory),
		"orders[1].customer: the migrate function failed: Invalid cross-device link");
	migrate_result = 1;
	assert_int_equal(decode(&order_state, "{\"customer\":1}", &object), -EPROTO);
	assert_string_equal(asked, "customer customer");
	/* What is broken is not of another type. */
	assert_int_equal(decode(&order_state, "{\"customer\":\"\\u0000\"}", &object), -EILSEQ);
	assert_string_equal(asked, "customer customer");
}

/* ---- What it can look at ---- */

static int look_around(struct tmgr_state_old *old, const char *name, void *object)
{
	static const struct {
		const char *path;
		enum tmgr_state_old_type type;
		size_t count;
	} rows[] = {
		{ "", TMGR_STATE_OLD_OBJECT, 2 },
		{ "cents", TMGR_STATE_OLD_OBJECT, 6 },
		{ "cents.n", TMGR_STATE_OLD_NULL, 0 },
		{ "cents.b", TMGR_STATE_OLD_BOOL, 0 },
		{ "cents.i", TMGR_STATE_OLD_NUMBER, 0 },
		{ "cents.t", TMGR_STATE_OLD_TEXT, 0 },
		{ "cents.a", TMGR_STATE_OLD_ARRAY, 3 },
		{ "cents.a[0]", TMGR_STATE_OLD_NUMBER, 0 },
		{ "cents.a[2][1]", TMGR_STATE_OLD_NUMBER, 0 },
		{ "cents.a[2].x", TMGR_STATE_OLD_ABSENT, 0 },
		{ "cents.a[3]", TMGR_STATE_OLD_ABSENT, 0 },
		{ "cents.a[-1]", TMGR_STATE_OLD_ABSENT, 0 },
		{ "cents.a[1", TMGR_STATE_OLD_ABSENT, 0 },
		{ "cents.a[1]x", TMGR_STATE_OLD_ABSENT, 0 },
		{ "cents.a[18446744073709551617]", TMGR_STATE_OLD_ABSENT, 0 },
		{ "cents[0]", TMGR_STATE_OLD_ABSENT, 0 },
		{ "cents.none", TMGR_STATE_OLD_ABSENT, 0 },
		{ "cent", TMGR_STATE_OLD_ABSENT, 0 },
	};
	int64_t integer = 0;
	double number = 0;
	bool yes = false;
	char *text = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(tmgr_state_old_type(old, rows[i].path), rows[i].type);
		assert_int_equal(tmgr_state_old_count(old, rows[i].path), rows[i].count);
	}
	assert_int_equal(tmgr_state_old_integer(old, "cents.i", &integer), 0);
	assert_true(integer == -7);
	assert_int_equal(tmgr_state_old_integer(old, "cents.l", &integer), 0);
	assert_true(integer == INT64_MIN);
	assert_int_equal(tmgr_state_old_double(old, "cents.i", &number), 0);
	assert_true(number == -7);
	assert_int_equal(tmgr_state_old_bool(old, "cents.b", &yes), 0);
	assert_true(yes);
	assert_int_equal(tmgr_state_old_text(old, "cents.t", &text), 0);
	assert_string_equal(text, "tea\xc3\xa9");

	assert_int_equal(tmgr_state_old_integer(old, "cents.t", &integer), -EPROTO);
	assert_int_equal(tmgr_state_old_integer(old, "cents.a[1]", &integer), -ERANGE);
	assert_int_equal(tmgr_state_old_integer(old, "x", &integer), -ENOENT);
	assert_int_equal(tmgr_state_old_double(old, "cents.b", &number), -EPROTO);
	assert_int_equal(tmgr_state_old_double(old, "x", &number), -ENOENT);
	assert_int_equal(tmgr_state_old_bool(old, "cents.i", &yes), -EPROTO);
	assert_int_equal(tmgr_state_old_bool(old, "x", &yes), -ENOENT);
	assert_int_equal(tmgr_state_old_text(old, "cents.i", &text), -EPROTO);
	assert_int_equal(tmgr_state_old_text(old, "x", &text), -ENOENT);
	assert_int_equal(tmgr_state_old_text(old, "zero", &text), -EILSEQ);

	assert_int_equal(tmgr_state_old_integer(old, NULL, &integer), -EINVAL);
	assert_int_equal(tmgr_state_old_integer(old, "x", NULL), -EINVAL);
	assert_int_equal(tmgr_state_old_double(NULL, "x", &number), -EINVAL);
	assert_int_equal(tmgr_state_old_bool(old, "x", NULL), -EINVAL);
	assert_int_equal(tmgr_state_old_text(old, NULL, &text), -EINVAL);
	assert_int_equal(tmgr_state_old_type(NULL, "x"), TMGR_STATE_OLD_ABSENT);
	assert_int_equal(tmgr_state_old_count(old, NULL), 0);
	assert_null(tmgr_state_old_memory(NULL));
	strcpy(asked, "looked");
	return 0;
}

/* Texts that need memory of their own. */
static void where_there_is_no_memory_what_it_asks_for_is_refused(void **state)
{
	const size_t size = 100000;
	char *json = malloc(size + 64);
	struct order *order;
	void *object;
	int r = -ENOMEM;

	(void)state;
	sprintf(json, "{\"customer\":{\"names\":[\"a\",\"%0*d\"]}}", (int)size, 0);
	for (long k = 1; r != 0; k++) {
		assert_true(k < 100);
		tmgr_state_memory_destroy(memory);
		assert_int_equal(tmgr_state_memory_create(&memory), 0);
		fault_fail_allocation(k);
		r = decode(&order_state, json, &object);
		assert_int_equal(r, fault_happened() ? -ENOMEM : 0);
		fault_off();
	}
	order = object;
	assert_int_equal(strlen(order->customer), size);
	free(json);
}

static void it_can_look_at_the_whole_old_object(void **state)
{
	static const struct tmgr_state_table looking = TMGR_STATE_MIGRATED(
		struct order, order_fields, look_around);
	void *object;

	(void)state;
	assert_int_equal(decode(&looking,
				 "{\"cents\":{\"n\":null,\"b\":true,\"i\":-7,\"t\":\"tea\\u00e9\","
				 "\"a\":[1,\"9223372036854775808\",[2,3]],"
				 "\"l\":\"-9223372036854775808\"},\"zero\":\"\\u0000\"}",
				 &object),
		0);
	assert_string_equal(asked, "looked");
}

/* ---- Tables ---- */

static const struct tmgr_state_table self_inside;
static const struct tmgr_state_field self_fields[] = {
	{ .name = "self", .kind = TMGR_STATE_STRUCT, .state = &self_inside, .size = 8 },
};
static const struct tmgr_state_table self_inside = { .size = 8, .fields = self_fields, .count = 1 };

static void a_table_with_a_mistake_is_refused_and_the_field_named(void **state)
{
	static const char long_name[] =
		"a123456789b123456789c123456789d123456789e123456789f123456789g123";
	const struct tmgr_state_field good = { "x", NULL, NULL, TMGR_STATE_SIGNED, TMGR_STATE_ONE,
		0, 4, 0, 0 };
	static const struct {
		struct tmgr_state_field field;
		const char *text;
	} rows[] = {
#define NAMELESS "a field has no name, or one that is too long or not plain"
		{ { .kind = TMGR_STATE_SIGNED, .size = 4 }, NAMELESS },
		{ { .name = "", .kind = TMGR_STATE_SIGNED, .size = 4 }, NAMELESS },
		{ { .name = long_name, .kind = TMGR_STATE_SIGNED, .size = 4 }, NAMELESS },
		{ { .name = "a\"b", .kind = TMGR_STATE_SIGNED, .size = 4 }, NAMELESS },
		{ { .name = "\xff", .kind = TMGR_STATE_SIGNED, .size = 4 }, NAMELESS },
		{ { .name = "x", .kind = TMGR_STATE_SIGNED, .size = 4 },
			"x: two fields have this name" },
#define MISFIT ": its kind and its size do not fit, or it has no state"
		{ { .name = "y", .size = 4 }, "y" MISFIT },
		{ { .name = "y", .kind = (enum tmgr_state_kind)99, .size = 4 }, "y" MISFIT },
		{ { .name = "y", .kind = TMGR_STATE_SIGNED, .size = 3 }, "y" MISFIT },
		{ { .name = "y", .kind = TMGR_STATE_BOOL, .size = 4 }, "y" MISFIT },
		{ { .name = "y", .kind = TMGR_STATE_DOUBLE, .size = 4 }, "y" MISFIT },
		{ { .name = "y", .kind = TMGR_STATE_TEXT, .size = 4 }, "y" MISFIT },
		{ { .name = "y", .kind = TMGR_STATE_BYTES, .size = 8 }, "y" MISFIT },
		{ { .name = "y", .kind = TMGR_STATE_STRUCT, .size = 8 }, "y" MISFIT },
		{ { .name = "y", .kind = TMGR_STATE_SIGNED, .size = 4, .offset = 14 },
			"y: is not inside the struct" },
		{ { .name = "y", .kind = TMGR_STATE_SIGNED, .size = 4, .offset = SIZE_MAX },
			"y: is not inside the struct" },
		{ { .name = "y", .kind = TMGR_STATE_SIGNED, .size = 4, .shape = 7 },
			"y: has no known shape" },
		{ { .name = "y", .kind = TMGR_STATE_SIGNED, .size = 4, .shape = TMGR_STATE_ARRAY },
			"y: its count has not 4 or 8 bytes" },
		{ { .name = "y",
			  .kind = TMGR_STATE_SIGNED,
			  .size = 4,
			  .shape = TMGR_STATE_ARRAY,
			  .count_size = 8,
			  .count_offset = 9 },
			"y: its count is not inside the struct" },
		{ { .name = "y", .kind = TMGR_STATE_SIGNED, .size = 1, .missing = "300" },
			"y: is out of range" },
		{ { .name = "y", .kind = TMGR_STATE_SIGNED, .size = 1, .missing = "x" },
			"y: not a value" },
		{ { .name = "y", .kind = TMGR_STATE_STRUCT, .size = 8, .state = &self_inside },
			"y.self: has itself inside" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tmgr_state_field fields[] = { good, rows[i].field };
		struct tmgr_state_table table = { 16, fields, 2, NULL };

		assert_int_equal(tmgr_state_check(memory, &table), -EINVAL);
		assert_string_equal(tmgr_state_error(memory), rows[i].text);
	}
	assert_int_equal(tmgr_state_check(memory, &order_state), 0);
	assert_int_equal(tmgr_state_check(memory, &basket_state), 0);
	assert_int_equal(
		tmgr_state_check(memory, &(struct tmgr_state_table){ 0, NULL, 0, NULL }), -EINVAL);
	assert_int_equal(
		tmgr_state_check(memory, &(struct tmgr_state_table){ 1, NULL, 1, NULL }), -EINVAL);
	assert_int_equal(
		tmgr_state_check(memory, &(struct tmgr_state_table){ 1, &good, 257, NULL }),
		-EINVAL);
}

static void bad_arguments_are_refused(void **state)
{
	struct order order = { 0, NULL, false };
	const char *json;
	void *object;

	(void)state;
	assert_int_equal(tmgr_state_memory_create(NULL), -EINVAL);
	tmgr_state_memory_destroy(NULL);
	assert_int_equal(tmgr_state_check(NULL, &order_state), -EINVAL);
	assert_int_equal(tmgr_state_check(memory, NULL), -EINVAL);
	assert_int_equal(tmgr_state_decode(NULL, &order_state, "{}", 2, &object), -EINVAL);
	assert_int_equal(tmgr_state_decode(memory, NULL, "{}", 2, &object), -EINVAL);
	assert_int_equal(tmgr_state_decode(memory, &order_state, NULL, 2, &object), -EINVAL);
	assert_int_equal(tmgr_state_decode(memory, &order_state, "{}", 2, NULL), -EINVAL);
	assert_int_equal(tmgr_state_encode(NULL, &order_state, &order, &json, NULL), -EINVAL);
	assert_int_equal(tmgr_state_encode(memory, NULL, &order, &json, NULL), -EINVAL);
	assert_int_equal(tmgr_state_encode(memory, &order_state, NULL, &json, NULL), -EINVAL);
	assert_int_equal(tmgr_state_encode(memory, &order_state, &order, NULL, NULL), -EINVAL);
	assert_null(tmgr_state_take(memory, SIZE_MAX));
	assert_null(tmgr_state_copy(memory, "", SIZE_MAX));
	assert_string_equal(tmgr_state_error(memory), "out of memory");
	assert_non_null(tmgr_state_take(memory, 0));
	assert_string_equal(tmgr_state_copy(memory, NULL, 0), "");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make_memory, destroy_memory)
	const struct CMUnitTest tests[] = {
		TEST(a_field_of_another_type_is_set_by_the_migrate_function),
		TEST(a_key_that_was_there_twice_is_written_once),
		TEST(it_is_called_for_each_struct_with_the_object_of_that_one),
		TEST(what_it_returns_is_the_error_with_the_path),
		TEST(where_there_is_no_memory_what_it_asks_for_is_refused),
		TEST(it_can_look_at_the_whole_old_object),
		TEST(a_table_with_a_mistake_is_refused_and_the_field_named),
		TEST(bad_arguments_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
