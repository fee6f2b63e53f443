/* Setting a field of a JSON document: what taskctl process set does to a state. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tasks/inspector/taskctl_process.h"
#include "tests/support/fault.h"
#include "tests/support/leak.h"

struct edit {
	const char *json, *path, *value;
	const char *wanted; /* NULL: error is */
	int error;
};

static void check(const struct edit *edit)
{
	char *json = NULL;
	int r = taskctl_json_set(edit->json, edit->path, edit->value, &json);

	if (edit->wanted) {
		assert_int_equal(r, 0);
		assert_string_equal(json, edit->wanted);
	} else if (r != edit->error) {
		fail_msg("%s in %s: %d, not %d", edit->path, edit->json, r, edit->error);
	}
	free(json);
}

static void check_all(const struct edit *edits, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check(&edits[i]);
}

#define CHECK_ALL(edits) check_all((edits), sizeof(edits) / sizeof((edits)[0]))

static void a_value_is_replaced_and_all_else_stays_byte_by_byte(void **state)
{
	static const struct edit edits[] = {
		{ "{\"a\":1}", "a", "2", "{\"a\":2}", 0 },
		{ "{\"a\":1}", "a", "\t2 ", "{\"a\":2}", 0 },
		{ " { \"a\" : 1 , \"b\" : [ ] } ", "a", "\"x\"",
			" { \"a\" : \"x\" , \"b\" : [ ] } ", 0 },
		{ "{\"a\":{\"a\":1,\"b\":2},\"b\":3}", "b", "4",
			"{\"a\":{\"a\":1,\"b\":2},\"b\":4}", 0 },
		{ "{\"a\":{\"a\":1,\"b\":2},\"b\":3}", "a.b", "null",
			"{\"a\":{\"a\":1,\"b\":null},\"b\":3}", 0 },
		{ "{\"a\":[1,[2,{\"x\":3}],4]}", "a[1][1].x", "[5,6]",
			"{\"a\":[1,[2,{\"x\":[5,6]}],4]}", 0 },
		{ "{\"a\":\"}\\\"]\",\"b\":1.5e3}", "b", "true", "{\"a\":\"}\\\"]\",\"b\":true}",
			0 },
		{ "{\"ab\":1,\"a\":2}", "a", "3", "{\"ab\":1,\"a\":3}", 0 },
	};

	CHECK_ALL(edits);
}

static void a_key_that_is_missing_is_added_to_its_object(void **state)
{
	static const struct edit edits[] = {
		{ "{}", "a", "1", "{\"a\":1}", 0 },
		{ "{}", "a", " 5  ", "{\"a\":5}", 0 },
		{ "{\"a\":1}", "b", "2", "{\"a\":1,\"b\":2}", 0 },
		{ "{\"a\":{},\"c\":1}", "a.b", "2", "{\"a\":{\"b\":2},\"c\":1}", 0 },
	};

	CHECK_ALL(edits);
}

static void a_place_that_is_none_is_an_error(void **state)
{
	static const struct edit edits[] = {
		{ "{\"a\":[1]}", "a[1]", "2", NULL, -ENOENT },
		{ "{\"a\":1}", "a.b", "2", NULL, -ENOENT },
		{ "{\"a\":1}", "a[0]", "2", NULL, -ENOENT },
		{ "{\"a\":1}", "b.c", "2", NULL, -ENOENT },
		{ "{\"a\":1}", "", "2", NULL, -EINVAL },
		{ "{\"a\":1}", ".a", "2", NULL, -EINVAL },
		{ "{\"a\":1}", "a.", "2", NULL, -EINVAL },
		{ "{\"a\":[1]}", "a[x]", "2", NULL, -EINVAL },
		{ "{\"a\":[1]}", "a[0", "2", NULL, -EINVAL },
		{ "{\"a\":1}", "a\"", "2", NULL, -EINVAL },
		{ "{\"a\":1}", "\xaf", "2", NULL, -EINVAL },
		{ "{\"a\":1}", "b\n", "2", NULL, -EINVAL },
		{ "[1]", "a", "2", NULL, -ENOENT },
		{ "{\"a\"", "a", "2", NULL, -ENOENT },
		{ "{\"a\":", "a", "2", NULL, -ENOENT },
		{ "{\"a\":[", "a[0]", "2", NULL, -ENOENT },
		{ "", "a", "2", NULL, -ENOENT },
	};

	CHECK_ALL(edits);
}

static void what_is_not_one_json_value_is_refused(void **state)
{
	static const char *const values[] = { "", " ", "x", "1 2", "1,\"b\":2", "\"", "[1",
		"{\"a\"}", "]", "[1,]", "01", "tru", "{\"a\":1}}", "\"\x80\"" };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		check(&(struct edit){ "{\"a\":1}", "a", values[i], NULL, -EPROTO });
}

static void out_of_memory_is_said_at_every_allocation(void **state)
{
	for (long k = 1;; k++) {
		char *json = NULL;
		bool happened;
		int r;

		fault_fail_allocation(k);
		r = taskctl_json_set("{\"a\":1}", "a", "2", &json);
		happened = fault_happened();
		fault_off();
		assert_int_equal(r, happened ? -ENOMEM : 0);
		free(json);
		if (!happened)
			return;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_value_is_replaced_and_all_else_stays_byte_by_byte),
		leak_test(a_key_that_is_missing_is_added_to_its_object),
		leak_test(a_place_that_is_none_is_an_error),
		leak_test(what_is_not_one_json_value_is_refused),
		leak_test(out_of_memory_is_said_at_every_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
