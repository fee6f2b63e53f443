/* The state of a durable process, as its methods write it: with the memory of the step, whole or not at all. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/durable.h"
#include "tests/support/seen.h"
#include "tests/support/waiters.h"

struct note {
	char *text;
	struct tmgr_state_bytes bytes;
	int32_t *numbers;
	size_t count;
	double ratio;
};

static const struct tmgr_state_field note_fields[] = {
	TMGR_FIELD(struct note, text),
	TMGR_FIELD(struct note, bytes),
	TMGR_FIELD_ARRAY(struct note, numbers, count),
	TMGR_FIELD(struct note, ratio),
};

/* ---- What is copied into it ------------------------------------------------------------------ */

static int note_first(struct tmgr_process *process, struct note *self)
{
	char local[] = "first";

	assert_int_equal(tmgr_process_text(process, &self->text, "%s %d", local, 7), 0);
	assert_int_equal(
		tmgr_process_bytes(process, &self->bytes, (struct tmgr_bytes){ local, 5 }), 0);
	/* They are copies. */
	memset(local, 'x', sizeof(local) - 1);
	self->numbers = tmgr_process_memory(process, 3 * sizeof(*self->numbers));
	assert_non_null(self->numbers);
	for (self->count = 0; self->count < 3; self->count++)
		self->numbers[self->count] = (int32_t)self->count;
	self->ratio = 0.5;
	return 0;
}

static int note_next(struct tmgr_process *process, struct note *self)
{
	assert_string_equal(self->text, "first 7");
	assert_int_equal(self->bytes.size, 5);
	assert_memory_equal(self->bytes.data, "first", 5);
	assert_int_equal(self->count, 3);
	assert_int_equal(self->numbers[2], 2);
	/* Of what is there already, too. */
	tmgr_process_text(process, &self->text, "%s, %s", self->text, "again");
	tmgr_process_bytes(process, &self->bytes, (struct tmgr_bytes){ self->bytes.data + 1, 2 });
	self->numbers++;
	self->count = 1;
	return 0;
}

static int note_main(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	int r = message->arrival == TMGR_ARRIVED_START ? note_first(process, state)
						       : note_next(process, state);

	tmgr_process_receive(process, "go", note_main);
	return r;
}

static const struct tmgr_process_definition note_definition = {
	.name = "note",
	.version = 1,
	.state = TMGR_STATE(struct note, note_fields),
	.start = note_main,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Note",
								 .function = note_main },
		{ 0 } },
};

static void what_a_method_copies_into_its_state_is_there_in_the_next_step(void **state)
{
	const struct tmgr_process_definition *const notes[] = { &note_definition, NULL };
	struct durable durable = { 0 };

	durable_begin(&durable, notes);
	assert_int_equal(durable_start(&durable, &note_definition, "n"), 0);
	assert_string_equal(durable_state(&durable, "n"),
		"{\"text\":\"first 7\",\"bytes\":\"Zmlyc3Q=\",\"numbers\":[0,1,2],\"ratio\":0.5}");
	durable_kill(&durable);
	assert_int_equal(durable_send(&durable, "n/go", "x"), 0);
	assert_string_equal(durable_state(&durable, "n"),
		"{\"text\":\"first 7, again\",\"bytes\":\"aXI=\",\"numbers\":[1],\"ratio\":0.5}");
	durable_end(&durable);
}

static void keys_that_the_table_does_not_know_are_kept_by_a_step(void **state)
{
	struct durable durable = { 0 };

	durable_begin(&durable, things);
	assert_int_equal(durable_start(&durable, &thing_definition, "t"), 0);
	assert_int_equal(
		durable_do(&durable, &(struct tmgr_process_command){ .kind = TMGR_PROCESS_SET,
					     .id = "t",
					     .revision = durable_get(&durable, "t")->revision,
					     .value = bytes_of("{\"later\":[1],\"count\":3}") }),
		0);
	assert_int_equal(durable_send(&durable, "t/go", "x"), 0);
	durable_kill(&durable);
	assert_int_equal(durable_send(&durable, "t/go", "x"), 0);
	assert_string_equal(durable_state(&durable, "t"), "{\"later\":[1],\"count\":5}");
	durable_end(&durable);
}

/* ---- What cannot be written ------------------------------------------------------------------ */

/* Which way it goes wrong is the first letter of the process's id. */
static const struct tmgr_process_definition wrong_definition;

static int go_wrong(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct note *self = state;

	tmgr_process_log(process, "a line");
	switch (tmgr_process_id(process)[0]) {
	case 'n':
		self->ratio = NAN;
		return 0;
	case 'u':
		return tmgr_process_text(process, &self->text, "%s", "\xff");
	case 'l':
		return tmgr_process_text(process, &self->text, "%*d", TMGR_PROCESS_STATE_MAX, 1);
	case 'c':
	case 'o':
		tmgr_process_spawn(process,
			&(struct tmgr_process_child){
				&wrong_definition, "other", &(struct note){ .ratio = NAN } },
			NULL);
		return tmgr_process_id(process)[0] == 'o' ? -EIO : 0;
	default:
		/* No error, and not what a method may return. */
		return 1;
	}
}

static const struct tmgr_process_definition wrong_definition = {
	.name = "wrong",
	.version = 1,
	.state = TMGR_STATE(struct note, note_fields),
	.start = go_wrong,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wrong",
								 .function = go_wrong },
		{ 0 } },
};

static void a_state_that_cannot_be_written_fails_its_step_with_the_fields_path(void **state)
{
	static const struct {
		const char *id, *text;
		int error;
	} rows[] = {
		{ "nan", "Main_Wrong: ratio: is NaN", -EDOM },
		{ "utf8", "Main_Wrong: text: is not UTF-8", -EILSEQ },
		{ "long", "Main_Wrong: too long", -EMSGSIZE },
		{ "child", "Main_Wrong: the state of a child cannot be written", -EDOM },
		/* Whatever it returns. */
		{ "own", "Main_Wrong: the state of a child cannot be written", -EDOM },
		{ "positive", "Main_Wrong: it returned 1, which is above 0", -EINVAL },
	};
	const struct tmgr_process_definition *const wrongs[] = { &wrong_definition, NULL };
	struct durable durable = { 0 };

	durable_begin(&durable, wrongs);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct tmgr_process_info *info;

		assert_int_equal(durable_start(&durable, &wrong_definition, rows[i].id), 0);
		info = durable_get(&durable, rows[i].id);
		assert_int_equal(info->status, TMGR_PROCESS_FAILED);
		assert_int_equal(info->error, rows[i].error);
		assert_string_equal(info->text, rows[i].text);
		assert_string_equal(durable_state(&durable, rows[i].id), "{}");
		assert_int_equal(durable_events(&durable, rows[i].id, TMGR_PROCESS_EVENT_LOG), 0);
	}
	assert_int_equal(durable_status(&durable, "other"), 0);
	durable_end(&durable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		seen_test(what_a_method_copies_into_its_state_is_there_in_the_next_step),
		seen_test(keys_that_the_table_does_not_know_are_kept_by_a_step),
		seen_test(a_state_that_cannot_be_written_fails_its_step_with_the_fields_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
