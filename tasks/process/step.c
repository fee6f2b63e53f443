/* Calling a method: its state from JSON, and back. */
#include "tasks/process/step.h"

#include <errno.h>
#include <string.h>

#include <taskmgr/error.h>

#include "taskmgr/base/text.h"

#define DEADLINE_NS TMGR_MINUTE

int tmgr__step_init(struct tmgr_process *step)
{
	memset(step, 0, sizeof(*step));
	return tmgr_state_memory_create(&step->memory);
}

void tmgr__step_fini(struct tmgr_process *step)
{
	tmgr_state_memory_destroy(step->memory);
	tmgr_state_memory_destroy(step->child_memory);
}

static void begin(struct tmgr_process *step)
{
	tmgr_state_memory_clear(step->memory);
	if (step->child_memory != NULL)
		tmgr_state_memory_clear(step->child_memory);
	step->next_id = step->next_key = 0;
	step->error = 0;
	step->declared = 0;
	step->text[0] = '\0';
	step->deed = (struct tmgr__deed){ .text = step->text };
	step->last_action = &step->deed.actions;
	step->statements = NULL;
	step->last_statement = &step->statements;
	step->statement_count = 0;
}

static struct tmgr_bytes bytes_of(const struct tmgr__blob *blob)
{
	return blob != NULL ? (struct tmgr_bytes){ blob->data, blob->size }
			    : (struct tmgr_bytes){ "", 0 };
}

static struct tmgr_message message_of(const struct tmgr__goroutine *goroutine)
{
	const struct tmgr__arrival *arrival = goroutine->what.arrival;

	if (arrival == NULL)
		return (struct tmgr_message){
			.arrival = TMGR_ARRIVED_START,
			.from = "",
			.value = { "", 0 },
		};
	return (struct tmgr_message){
		.arrival = arrival->kind,
		.case_index = arrival->case_index,
		.error = arrival->error,
		.from = arrival->from,
		.value = bytes_of(arrival->value),
	};
}

static const struct tmgr_process_definition *definition_of(const struct tmgr_process *step)
{
	return step->process->definition->user;
}

static int decode(struct tmgr_process *step, void **ret_state)
{
	const struct tmgr_state_table *table = &definition_of(step)->state;
	struct tmgr_bytes json = bytes_of(step->process->state);
	int r;

	*ret_state = NULL;
	if (table->size == 0)
		return 0;
	r = tmgr_state_decode(step->memory, table, json.data, json.size, ret_state);
	if (r != 0)
		tmgr__text_copy(step->text, sizeof(step->text), tmgr_state_error(step->memory));
	return r;
}

static int encode(struct tmgr_process *step, const void *state)
{
	const struct tmgr_state_table *table = &definition_of(step)->state;
	const char *json;
	size_t size;
	int r;

	step->deed.version = definition_of(step)->version;
	step->deed.state = bytes_of(step->process->state);
	if (table->size == 0)
		return 0;
	r = tmgr_state_encode(step->memory, table, state, &json, &size);
	if (r != 0)
		tmgr__text_copy(step->text, sizeof(step->text), tmgr_state_error(step->memory));
	else
		step->deed.state = (struct tmgr_bytes){ json, size };
	return r;
}

/* What a method must not return: it would be taken for something else. */
static int proper(struct tmgr_process *step, int r)
{
	struct tmgr__text text;

	if (r <= 0)
		return r;
	tmgr__text_init(&text, step->text, sizeof(step->text));
	tmgr__text_format(&text, "it returned %d, which is above 0", r);
	return -EINVAL;
}

void tmgr__step_run(struct tmgr_process *step)
{
	struct tmgr_message message = message_of(step->goroutine);
	struct tmgr__deed *deed = &step->deed;
	void *state;

	begin(step);
	step->overtaken = false;
	step->attempts = step->goroutine->trouble != NULL ? step->goroutine->trouble->attempts : 0;
	deed->result = decode(step, &state);
	if (deed->result != 0) {
		deed->unreadable = deed->result != -ENOMEM;
		return;
	}
	deed->result = step->goroutine->method->entry->function(step, state, &message);
	/* What is remembered goes before whatever it returns. */
	deed->result = step->error != 0 ? step->error : proper(step, deed->result);
	if (deed->result == 0)
		deed->result = encode(step, state);
	deed->cases = step->cases;
	if (deed->result != 0 && step->text[0] == '\0')
		tmgr__text_copy(step->text, sizeof(step->text), tmgr_strerror(deed->result));
}

int64_t tmgr__method_deadline(const struct tmgr__emethod *method, int64_t now)
{
	int64_t ns = DEADLINE_NS;

	if (method->entry->deadline_ns > 0)
		ns = method->entry->deadline_ns;
	else if (method->definition->user->deadline_ns > 0)
		ns = method->definition->user->deadline_ns;
	return ns > TMGR_NEVER - now ? TMGR_NEVER : now + ns;
}
