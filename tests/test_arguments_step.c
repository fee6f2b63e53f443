/* As test_arguments, for steps of durable processes: what is wrong in one fails it; and without one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taskmgr/taskmgr.h>

#include "tests/support/durable.h"
#include "tests/support/expect.h"
#include "tests/support/leak.h"

static int done(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return 0;
}

/* In no table. */
static int stranger(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return 0;
}

static const struct tmgr_process_definition done_definition = {
	.name = "done",
	.version = 1,
	.start = done,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Done", .function = done },
		{ 0 } },
};

static int nothing(void *self, const char *key, struct tmgr_bytes *ret)
{
	return 0;
}

/* Each mistake in a step of its own, chosen by the process's id; what it gives and what the step fails with. */
static int declare(struct tmgr_process *process, int mistake)
{
	const struct tmgr_bytes none = { NULL, 0 }, bad = { NULL, 1 };
	int r = 0;

	switch (mistake) {
	case 0:
		r = tmgr_process_receive(process, NULL, done);
		break;
	case 1:
		r = tmgr_process_receive(process, "a/b/c", done);
		break;
	case 2:
		r = tmgr_process_receive(process, "@a", done);
		break;
	case 3:
		r = tmgr_process_receive(process, "a", stranger);
		break;
	case 4:
		r = tmgr_process_send(process, "a", bad, done);
		break;
	case 5:
		r = tmgr_process_after(process, 1, NULL);
		break;
	case 6:
		r = tmgr_process_at(process, 1, stranger);
		break;
	case 7:
		r = tmgr_process_default(process, stranger);
		break;
	case 8:
		r = tmgr_process_call(process, NULL, done);
		break;
	case 9:
		r = tmgr_process_call(process,
			&(struct tmgr_process_child){ &done_definition, "a/b", NULL }, done);
		break;
	case 10:
		r = tmgr_process_spawn(
			process, &(struct tmgr_process_child){ NULL, "a", NULL }, NULL);
		break;
	case 11:
		r = tmgr_process_go(process, stranger);
		break;
	case 12:
		r = tmgr_process_go_named(process, "a/b", done);
		break;
	case 13:
		r = tmgr_process_post(process, "", none);
		break;
	default:
		return -EPROTO;
	}
	return r;
}

static int declare_more(struct tmgr_process *process, int mistake)
{
	const struct tmgr_bytes none = { NULL, 0 }, bad = { NULL, 1 };
	char id[TMGR_PROCESS_CHANNEL_MAX + 1];
	int r = 0;

	switch (mistake) {
	case 14:
		r = tmgr_process_channel(process, TMGR_PROCESS_CAPACITY_MAX + 1, id);
		break;
	case 15:
		r = tmgr_process_channel(process, 1, NULL);
		break;
	case 16:
		r = tmgr_process_close(process, NULL);
		break;
	case 17:
		r = tmgr_process_finish(process, bad);
		break;
	case 18:
		r = tmgr_process_cancel(process, "a/b");
		break;
	case 19:
		r = tmgr_process_key(process, NULL);
		break;
	case 20:
		r = tmgr_process_once(process, NULL, nothing, NULL, NULL);
		break;
	case 21:
		r = tmgr_process_once(process, "a", NULL, NULL, NULL);
		break;
	case 22:
		r = tmgr_process_sql(process, NULL);
		break;
	case 23:
		r = tmgr_process_text(process, NULL, "x");
		break;
	case 24:
		r = tmgr_process_bytes(process, NULL, none);
		break;
	case 25:
		r = tmgr_process_log(process, NULL);
		break;
	case 26:
		r = tmgr_process_memory(process, SIZE_MAX) == NULL ? -EINVAL : 0;
		break;
	default:
		return -EPROTO;
	}
	return r;
}

static int mistaken(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	int mistake = atoi(tmgr_process_id(process));

	if (mistake == 27)
		return tmgr_process_fail(process, -EINVAL, "the last");
	/* Not looked at, it fails the step all the same. */
	if (mistake < 14)
		return declare(process, mistake) == -EINVAL ? 0 : -EPROTO;
	return declare_more(process, mistake) == -EINVAL ? 0 : -EPROTO;
}

static const struct tmgr_process_definition mistaken_definition = {
	.name = "mistaken",
	.version = 1,
	.start = mistaken,
	.retry = { .attempts_max = 1 },
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Mistaken",
								 .function = mistaken },
		{ .name = "Main_Done", .function = done }, { 0 } },
};

static void each_bad_declaration_fails_its_step(void **state)
{
	const struct tmgr_process_definition *const definitions[] = { &mistaken_definition,
		&done_definition, NULL };
	struct durable durable = { 0 };

	wrong = 0;
	durable_begin(&durable, definitions);
	for (int i = 0; i <= 27; i++) {
		const struct tmgr_process_info *info;
		char id[8];

		snprintf(id, sizeof(id), "%d", i);
		IS(durable_start(&durable, &mistaken_definition, id), 0);
		info = durable_get(&durable, id);
		if (info->status != TMGR_PROCESS_FAILED ||
			info->error != (i == 26 ? -ENOMEM : -EINVAL))
			print_message(
				"mistake %d: status %d, error %d\n", i, info->status, info->error);
		IS(info->status, TMGR_PROCESS_FAILED);
		IS(info->error, i == 26 ? -ENOMEM : -EINVAL);
		IS(info->text[0] != '\0', 1);
	}
	durable_end(&durable);
	assert_int_equal(wrong, 0);
}

static void without_a_step_each_declaration_is_einval(void **state)
{
	const struct tmgr_process_child child = { &done_definition, "a", NULL };
	const struct tmgr_bytes none = { NULL, 0 };
	char id[TMGR_PROCESS_KEY_MAX + 1];
	char *text;
	struct tmgr_state_bytes bytes;

	wrong = 0;
	IS_TEXT(tmgr_process_id(NULL), "");
	IS_TEXT(tmgr_process_goroutine(NULL), "");
	IS(tmgr_process_attempts(NULL), 0);
	IS(tmgr_process_now(NULL), 0);
	IS(tmgr_process_context(NULL) == NULL, 1);
	IS(tmgr_process_deadline(NULL) == TMGR_NEVER, 1);
	IS(tmgr_process_receive(NULL, "a", done), -EINVAL);
	IS(tmgr_process_send(NULL, "a", none, done), -EINVAL);
	IS(tmgr_process_after(NULL, 1, done), -EINVAL);
	IS(tmgr_process_at(NULL, 1, done), -EINVAL);
	IS(tmgr_process_default(NULL, done), -EINVAL);
	IS(tmgr_process_call(NULL, &child, done), -EINVAL);
	IS(tmgr_process_spawn(NULL, &child, id), -EINVAL);
	IS(tmgr_process_go(NULL, done), -EINVAL);
	IS(tmgr_process_go_named(NULL, "a", done), -EINVAL);
	IS(tmgr_process_post(NULL, "a", none), -EINVAL);
	IS(tmgr_process_channel(NULL, 1, id), -EINVAL);
	IS(tmgr_process_close(NULL, "a"), -EINVAL);
	IS(tmgr_process_finish(NULL, none), -EINVAL);
	IS(tmgr_process_cancel(NULL, "a"), -EINVAL);
	IS(tmgr_process_key(NULL, id), -EINVAL);
	IS(tmgr_process_once(NULL, "a", nothing, NULL, NULL), -EINVAL);
	IS(tmgr_process_sql(NULL, NULL), -EINVAL);
	IS(tmgr_process_text(NULL, &text, "x"), -EINVAL);
	IS(tmgr_process_bytes(NULL, &bytes, none), -EINVAL);
	IS(tmgr_process_memory(NULL, 1) == NULL, 1);
	IS(tmgr_process_log(NULL, "x"), -EINVAL);
	IS(tmgr_process_fail(NULL, -EIO, "x"), -EIO);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(each_bad_declaration_fails_its_step),
		leak_test(without_a_step_each_declaration_is_einval),
	};

	return cmocka_run_group_tests_name("arguments step", tests, NULL, NULL);
}
