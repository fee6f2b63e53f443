/*
 * Two kinds of processes ask a person through the same function. One is answered; the other is not,
 * goes on when its time is over, and the answer that comes then is refused.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal/examples/pkg/approve/approve.h"
#include "internal/examples/pkg/onfile/onfile.h"

/* ---- A holiday ------------------------------------------------------------------------------ */

struct holiday {
	char *who;
	int64_t days;
	int64_t patience_ms;
};

static const struct tmgr_state_field holiday_fields[] = {
	TMGR_FIELD(struct holiday, who),
	TMGR_FIELD(struct holiday, days),
	TMGR_FIELD(struct holiday, patience_ms),
};

static int main_decided(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	static const char *const texts[] = {
		[APPROVE_YES] = "enjoy it",
		[APPROVE_NO] = "not this time",
		[APPROVE_NOBODY] = "ask again tomorrow",
	};

	return tmgr_process_finish(process, onfile_text(texts[approve_answer(message)]));
}

static int main_plan(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct holiday *self = state;
	char text[128];

	snprintf(text, sizeof(text), "may %.64s take %d days off?", self->who, (int)self->days);
	return approve(process, main_decided, text, self->patience_ms * TMGR_MILLISECOND);
}

static const struct tmgr_process_method holiday_methods[] = {
	{ .name = "Main_Plan", .function = main_plan },
	{ .name = "Main_Decided", .function = main_decided },
	{ 0 },
};

static const struct tmgr_process_definition holiday_definition = {
	.name = "holiday",
	.version = 1,
	.state = TMGR_STATE(struct holiday, holiday_fields),
	.start = main_plan,
	.methods = holiday_methods,
};

/* ---- A purchase ----------------------------------------------------------------------------- */

struct purchase {
	char *what;
	int64_t patience_ms;
};

static const struct tmgr_state_field purchase_fields[] = {
	TMGR_FIELD(struct purchase, what),
	TMGR_FIELD(struct purchase, patience_ms),
};

static int buyer_answered(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	switch (approve_answer(message)) {
	case APPROVE_YES:
		return tmgr_process_finish(process, onfile_text("bought"));
	case APPROVE_NO:
		return tmgr_process_finish(process, onfile_text("not bought"));
	case APPROVE_NOBODY:
		break;
	}
	return tmgr_process_finish(process, onfile_text("not bought, nobody answered"));
}

static int buyer_ask(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct purchase *self = state;
	char text[128];

	snprintf(text, sizeof(text), "shall we buy %.64s?", self->what);
	return approve(process, buyer_answered, text, self->patience_ms * TMGR_MILLISECOND);
}

static const struct tmgr_process_method purchase_methods[] = {
	{ .name = "Buyer_Ask", .function = buyer_ask },
	{ .name = "Buyer_Answered", .function = buyer_answered },
	{ 0 },
};

static const struct tmgr_process_definition purchase_definition = {
	.name = "purchase",
	.version = 1,
	.state = TMGR_STATE(struct purchase, purchase_fields),
	.start = buyer_ask,
	.methods = purchase_methods,
};

/* ---- The person ----------------------------------------------------------------------------- */

struct office {
	struct onfile onfile;
	struct holiday holiday;
	struct purchase purchase;
};

static int say_result(struct tmgr_context *context, struct office *office, const char *id)
{
	struct tmgr_process_request *result = NULL;
	int r = tmgr_processes_wait(context, office->onfile.processes, id, TMGR_NEVER, &result);

	if (r == 0)
		printf("%s: %s\n", id, (const char *)tmgr_process_request_value(result).data);
	tmgr_process_request_release(result);
	return r;
}

static int start_all(struct tmgr_context *context, struct office *office)
{
	struct tmgr_processes *processes = office->onfile.processes;
	const struct tmgr_process_child children[] = {
		{ &approve_desk_definition, APPROVE_DESK, NULL },
		{ &holiday_definition, "holiday", &office->holiday },
		{ &purchase_definition, "purchase", &office->purchase },
	};
	int r = 0;

	/* Each in turn, so that the lines come in one order. */
	for (size_t i = 0; r == 0 && i < sizeof(children) / sizeof(children[0]); i++) {
		r = onfile_start(context, processes, &children[i]);
		if (r == 0)
			r = onfile_wait_steps(context, processes, children[i].id, 1);
		if (r == 0)
			r = onfile_wait_steps(context, processes, APPROVE_DESK, i + 1);
	}
	return r;
}

static int be_a_person(void *self, struct tmgr_context *context)
{
	struct office *office = self;
	struct tmgr_processes *processes = office->onfile.processes;
	int r = start_all(context, office);

	if (r == 0)
		r = onfile_send(context, processes, APPROVE_ANSWERS, "holiday yes");
	if (r == 0)
		r = say_result(context, office, "holiday");
	if (r == 0)
		r = say_result(context, office, "purchase");
	if (r == 0)
		r = onfile_send(context, processes, APPROVE_ANSWERS, "purchase yes");
	if (r == 0)
		r = onfile_wait_steps(context, processes, APPROVE_DESK, 7);
	return r;
}

static int usage(int code)
{
	fputs("usage: approve [--database PATH] [--patience SECONDS]\n", code ? stderr : stdout);
	return code;
}

static int run(struct office *office, const char *path)
{
	struct tmgr_manager_options stopping = { .stop_order = TMGR_STOP_REVERSE };
	struct tmgr_manager *manager;
	int code;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (onfile_init(&office->onfile, path) < 0)
		return 1;
	tmgr_processes_define(office->onfile.processes, &approve_desk_definition);
	tmgr_processes_define(office->onfile.processes, &holiday_definition);
	tmgr_processes_define(office->onfile.processes, &purchase_definition);
	manager = tmgr_manager_create(&stopping);
	onfile_add_tasks(&office->onfile, manager);
	tmgr_manager_add_task(
		manager, "person", tmgr_task_function(be_a_person, office), TMGR_STOP_GROUP);
	code = tmgr_main(manager);
	onfile_fini(&office->onfile);
	return code;
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "database", required_argument, NULL, 'd' },
		{ "patience", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	char ada[] = "Ada", keyboard[] = "a keyboard";
	struct office office = {
		.holiday = { .who = ada, .days = 5, .patience_ms = 3600000 },
		.purchase = { .what = keyboard, .patience_ms = 2000 },
	};
	const char *path = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'd')
			path = optarg;
		else if (c == 'p')
			office.purchase.patience_ms = (int64_t)(strtod(optarg, NULL) * 1000);
		else
			return usage(c == 'h' ? 0 : 2);
	}
	return optind < argc ? usage(2) : run(&office, path);
}
