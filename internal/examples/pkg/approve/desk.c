/* The desk: a process that keeps the questions of others, and hands on what is answered. */
#include "approve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct question {
	char *channel; /* for the answer: "PROCESS/NAME" */
	char *text;
};

struct desk {
	struct question *questions;
	size_t question_count;
	/* the answer that is being handed on */
	char *channel;
	char *answer;
};

static const struct tmgr_state_field question_fields[] = {
	TMGR_FIELD(struct question, channel),
	TMGR_FIELD(struct question, text),
};
static const struct tmgr_state_table question_state = TMGR_STATE(struct question, question_fields);

static const struct tmgr_state_field desk_fields[] = {
	TMGR_FIELD_STRUCTS(struct desk, questions, question_count, &question_state),
	TMGR_FIELD(struct desk, channel),
	TMGR_FIELD(struct desk, answer),
};

static tmgr_method main_open, main_question, main_answer, main_delivered, main_late;

static int go_on(struct tmgr_process *process)
{
	tmgr_process_receive(process, "questions", main_question);
	return tmgr_process_receive(process, "answers", main_answer);
}

static int main_open(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return go_on(process);
}

static void forget(struct desk *self, size_t index)
{
	self->question_count--;
	memmove(&self->questions[index], &self->questions[index + 1],
		(self->question_count - index) * sizeof(self->questions[0]));
}

static int main_question(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct desk *self = state;
	const char *text = message->value.data;
	size_t channel = strcspn(text, "\n");
	struct question *questions;

	if (text[channel] != '\n') {
		tmgr_process_log(process, "what came as a question is none");
		return go_on(process);
	}
	if (self->question_count == APPROVE_QUESTIONS_MAX)
		forget(self, 0);
	questions = tmgr_process_memory(process, (self->question_count + 1) * sizeof(*questions));
	if (!questions)
		return -ENOMEM;
	if (self->question_count > 0)
		memcpy(questions, self->questions, self->question_count * sizeof(*questions));
	tmgr_process_text(
		process, &questions[self->question_count].channel, "%.*s", (int)channel, text);
	tmgr_process_text(process, &questions[self->question_count].text, "%s", text + channel + 1);
	self->questions = questions;
	printf("desk: %s\n", text + channel + 1);
	self->question_count++;
	return go_on(process);
}

/* The oldest question of a process: its index, or how many there are. */
static size_t find(const struct desk *self, const char *id, size_t length)
{
	size_t i;

	for (i = 0; i < self->question_count; i++) {
		const char *channel = self->questions[i].channel;

		if (strncmp(channel, id, length) == 0 && channel[length] == '/')
			break;
	}
	return i;
}

static int main_answer(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	struct desk *self = state;
	const char *text = message->value.data;
	size_t id = strcspn(text, " ");
	bool yes = strcmp(text + id, " yes") == 0;
	size_t index = find(self, text, id);

	if ((!yes && strcmp(text + id, " no") != 0) || index == self->question_count) {
		printf("desk: nobody asked for \"%s\"\n", text);
		return go_on(process);
	}
	self->channel = self->questions[index].channel;
	tmgr_process_text(process, &self->answer, "%s", yes ? "yes" : "no");
	forget(self, index);
	tmgr_process_send(process, self->channel,
		(struct tmgr_bytes){ self->answer, strlen(self->answer) }, main_delivered);
	return tmgr_process_default(process, main_late);
}

/* CLOSED: who asked is over. */
static int main_delivered(
	struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	if (message->arrival == TMGR_ARRIVED_CLOSED)
		return main_late(process, state, message);
	printf("desk: %s was delivered\n", ((struct desk *)state)->answer);
	return go_on(process);
}

static int main_late(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	printf("desk: %s came too late\n", ((struct desk *)state)->answer);
	return go_on(process);
}

static const struct tmgr_process_method desk_methods[] = {
	{ .name = "Main_Open", .function = main_open },
	{ .name = "Main_Question", .function = main_question },
	{ .name = "Main_Answer", .function = main_answer },
	{ .name = "Main_Delivered", .function = main_delivered },
	{ .name = "Main_Late", .function = main_late },
	{ 0 },
};

const struct tmgr_process_definition approve_desk_definition = {
	.name = "desk",
	.version = 1,
	.state = TMGR_STATE(struct desk, desk_fields),
	.start = main_open,
	.methods = desk_methods,
};
