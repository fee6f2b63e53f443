/* Texts in memory of the caller: whole characters only, and valid ones where that is asked for. */
#include <string.h>

#include "taskmgr/base/text.h"

#include "tests/support/leak.h"

#define A_UMLAUT "\xc3\xa4"
#define EURO "\xe2\x82\xac"
#define CLEF "\xf0\x9d\x84\x9e"
#define INSTEAD "\xef\xbf\xbd"

static void a_text_that_is_full_ends_with_a_whole_character(void **state)
{
	static const char whole[] = "x" A_UMLAUT EURO CLEF "y";
	static const size_t lengths[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11 };
	char buffer[16];
	struct tmgr__text text;

	for (size_t size = 1; size <= sizeof(whole); size++) {
		tmgr__text_init(&text, buffer, size);
		tmgr__text_add(&text, whole);
		assert_int_equal(strlen(buffer), lengths[size - 1]);
		assert_int_equal(text.length, sizeof(whole) - 1);
		tmgr__text_init(&text, buffer, size);
		tmgr__text_add_escaped(&text, whole);
		assert_int_equal(strlen(buffer), lengths[size - 1]);
		assert_int_equal(text.length, sizeof(whole) - 1);
		tmgr__text_copy(buffer, size, whole);
		assert_int_equal(strlen(buffer), lengths[size - 1]);
		tmgr__text_copy_valid(buffer, size, whole);
		assert_int_equal(strlen(buffer), lengths[size - 1]);
	}
}

static void nothing_is_added_behind_a_cut(void **state)
{
	char buffer[5];
	struct tmgr__text text;

	tmgr__text_init(&text, buffer, sizeof(buffer));
	tmgr__text_add(&text, "abc" EURO);
	tmgr__text_add(&text, "d");
	assert_string_equal(buffer, "abc");
	assert_int_equal(text.length, 7);
}

static void what_is_no_character_is_replaced(void **state)
{
	static const struct {
		const char *text, *valid;
	} rows[] = {
		{ NULL, "" },
		{ "", "" },
		{ "a" EURO, "a" EURO },
		{ "\xff", INSTEAD },
		{ "\x80z", INSTEAD "z" },
		{ "a\xe2\x82", "a" INSTEAD INSTEAD },
		{ "\xc0\x80", INSTEAD INSTEAD },                         /* longer than needed */
		{ "\xed\xa0\x80", INSTEAD INSTEAD INSTEAD },             /* half of a pair */
		{ "\xf4\x90\x80\x80", INSTEAD INSTEAD INSTEAD INSTEAD }, /* above U+10FFFF */
		{ "\xf0\x9d\x84" EURO, INSTEAD INSTEAD INSTEAD EURO },
	};
	char buffer[32];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		tmgr__text_copy_valid(buffer, sizeof(buffer), rows[i].text);
		assert_string_equal(buffer, rows[i].valid);
		if (rows[i].text)
			assert_int_equal(tmgr__text_is_valid(rows[i].text),
				strcmp(rows[i].text, rows[i].valid) == 0);
	}
	/* Also what stands for it is whole, or not there. */
	tmgr__text_copy_valid(buffer, 4, "ab\xff");
	assert_string_equal(buffer, "ab");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_text_that_is_full_ends_with_a_whole_character),
		leak_test(nothing_is_added_behind_a_cut),
		leak_test(what_is_no_character_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
