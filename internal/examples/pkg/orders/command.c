/* What a command does to an order, and what it is answered. */
#include "order.h"

#include <errno.h>
#include <string.h>

static const struct tmgr_state_field command_fields[] = {
	TMGR_FIELD(struct order_command, kind),
	TMGR_FIELD(struct order_command, key),
	TMGR_FIELD(struct order_command, sku),
	TMGR_FIELD(struct order_command, text),
	TMGR_FIELD(struct order_command, quantity),
	TMGR_FIELD(struct order_command, price),
	TMGR_FIELD(struct order_command, yes),
};
const struct tmgr_state_table order__command_state = TMGR_STATE(
	struct order_command, command_fields);

#define DONE ((struct order_outcome){ 200, "done" })
#define REFUSED(why) ((struct order_outcome){ 409, (why) })

static size_t find_line(const struct order *self, const char *sku)
{
	size_t i;

	for (i = 0; i < self->line_count; i++)
		if (strcmp(self->lines[i].sku, sku) == 0)
			break;
	return i;
}

static void add_up(struct order *self)
{
	self->total = 0;
	for (size_t i = 0; i < self->line_count; i++)
		self->total += self->lines[i].quantity * self->lines[i].price;
}

static struct order_outcome add(
	struct tmgr_process *process, struct order *self, const struct order_command *command)
{
	size_t index = find_line(self, command->sku);
	struct order_line *lines;

	if (!order__is(self, "cart"))
		return REFUSED("it is no cart any more");
	if (index == ORDERS_LINES_MAX)
		return REFUSED("it has as many lines as it may have");
	if (index == self->line_count) {
		lines = tmgr_process_memory(process, (index + 1) * sizeof(*lines));
		if (!lines)
			return DONE; /* the step fails */
		if (index > 0)
			memcpy(lines, self->lines, index * sizeof(*lines));
		tmgr_process_text(process, &lines[index].sku, "%s", command->sku);
		self->lines = lines;
		self->line_count++;
	}
	self->lines[index].quantity = command->quantity;
	self->lines[index].price = command->price;
	add_up(self);
	return DONE;
}

static struct order_outcome take_out(
	struct tmgr_process *process, struct order *self, const struct order_command *command)
{
	size_t index = find_line(self, command->sku);

	if (!order__is(self, "cart"))
		return REFUSED("it is no cart any more");
	if (index == self->line_count)
		return (struct order_outcome){ 404, "it has no such line" };
	self->line_count--;
	memmove(&self->lines[index], &self->lines[index + 1],
		(self->line_count - index) * sizeof(self->lines[0]));
	add_up(self);
	return DONE;
}

static struct order_outcome submit(
	struct tmgr_process *process, struct order *self, const struct order_command *command)
{
	if (!order__is(self, "cart"))
		return REFUSED("it was submitted before");
	if (self->line_count == 0)
		return REFUSED("it is empty");
	tmgr_process_text(process, &self->status, "approval");
	order__book(process, tmgr_process_id(process), "approval", self->total);
	tmgr_process_close(process, "submitted");
	order__wait_for_approval(process);
	return DONE;
}

static struct order_outcome decide(
	struct tmgr_process *process, struct order *self, const struct order_command *command)
{
	if (!order__is(self, "approval"))
		return REFUSED("it does not wait for approval");
	tmgr_process_close(process, "decided");
	if (command->yes)
		order__work(process);
	else
		order__end(process, self, "refused", command->text ? command->text : "");
	/* What comes before the work has begun finds that it is decided. */
	if (command->yes)
		tmgr_process_text(process, &self->status, "approved");
	return DONE;
}

/* What is on its way cannot be stopped at once: the payment comes first, then it is paid back. */
static struct order_outcome cancel(
	struct tmgr_process *process, struct order *self, const struct order_command *command)
{
	const char *reason = command->text ? command->text : "";
	char delivery[TMGR_PROCESS_ID_MAX + 1];

	if (order__is(self, "cart") || order__is(self, "approval")) {
		tmgr_process_close(process, order__is(self, "cart") ? "submitted" : "decided");
		order__end(process, self, "cancelled", reason);
		return DONE;
	}
	if (!order__is(self, "approved") && !order__is(self, "payment") &&
		!order__is(self, "delivery") && !order__is(self, "refund"))
		return REFUSED("it is over");
	if (order__is(self, "delivery"))
		tmgr_process_cancel(process, order__errand_id(process, "delivery", delivery));
	self->cancelling = true;
	tmgr_process_text(process, &self->reason, "%s", reason);
	return (struct order_outcome){ 202, "it is cancelled if it has not left the house" };
}

static const struct {
	const char *kind;
	struct order_outcome (*obey)(struct tmgr_process *process, struct order *self,
		const struct order_command *command);
	bool needs_sku;
} kinds[] = {
	{ "add", add, true },
	{ "remove", take_out, true },
	{ "submit", submit, false },
	{ "decide", decide, false },
	{ "cancel", cancel, false },
};

static struct order_outcome obey(
	struct tmgr_process *process, struct order *self, const struct order_command *command)
{
	for (size_t i = 0; command->kind && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].kind, command->kind) != 0)
			continue;
		if (kinds[i].needs_sku && !command->sku)
			break;
		return kinds[i].obey(process, self, command);
	}
	return (struct order_outcome){ 400, "there is no such command" };
}

static bool was_answered(const struct order *self, const char *key)
{
	for (size_t i = 0; i < self->answer_count; i++)
		if (strcmp(self->answers[i].key, key) == 0)
			return true;
	return false;
}

static int keep_answer(struct tmgr_process *process, struct order *self, const char *key,
	struct order_outcome outcome)
{
	size_t dropped = self->answer_count == ORDERS_ANSWERS_MAX;
	size_t kept = self->answer_count - dropped;
	struct order_answer *answers = tmgr_process_memory(process, (kept + 1) * sizeof(*answers));

	if (!answers)
		return -ENOMEM;
	if (kept > 0)
		memcpy(answers, self->answers + dropped, kept * sizeof(*answers));
	tmgr_process_text(process, &answers[kept].key, "%s", key);
	answers[kept].code = outcome.code;
	tmgr_process_text(process, &answers[kept].text, "%s", outcome.text);
	self->answers = answers;
	self->answer_count = kept + 1;
	return 0;
}

int order__obey(struct tmgr_process *process, struct order *self, struct tmgr_bytes json)
{
	struct tmgr_state_memory *memory = NULL;
	struct order_command *command = NULL;
	void *decoded = NULL;
	int r = tmgr_state_memory_create(&memory);

	if (r < 0)
		return r;
	/* What cannot be read is from somebody who sent it past the front; nobody waits for an answer. */
	r = tmgr_state_decode(memory, &order__command_state, json.data, json.size, &decoded);
	command = decoded;
	if (r == -ENOMEM)
		goto out;
	if (r < 0 || !command->key || was_answered(self, command->key))
		r = tmgr_process_log(process, "a command is dropped: %s",
			r < 0 ? tmgr_state_error(memory) : "it has no key, or came before");
	else
		r = keep_answer(process, self, command->key, obey(process, self, command));
out:
	tmgr_state_memory_destroy(memory);
	return r;
}
