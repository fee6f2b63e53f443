/* Requests: what was asked, copied; put into the inbox; answered. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "taskmgr/base/text.h"

#include "tasks/process/runtime.h"

struct tmgr_process_request *tmgr__request_create(unsigned kind, size_t texts)
{
	struct tmgr_process_request *request = calloc(1, sizeof(*request) + texts);

	if (request == NULL)
		return NULL;
	request->kind = kind;
	tmgr__list_init(&request->link);
	tmgr_future_init(&request->future);
	atomic_init(&request->refs, 1);
	return request;
}

void tmgr__request_unref(struct tmgr_process_request *request)
{
	if (request == NULL || atomic_fetch_sub(&request->refs, 1) != 1)
		return;
	tmgr_future_fini(&request->future);
	tmgr_state_memory_destroy(request->memory);
	free(request->value);
	free(request);
}

void tmgr__request_answer(struct tmgr_process_request *request, int error)
{
	tmgr_future_complete(&request->future, error, NULL);
	tmgr__request_unref(request);
}

/* What is taken has a reference more, the runtime's. */
int tmgr__request_put(struct tmgr_processes *processes, struct tmgr_process_request *request)
{
	bool first = false, ours = request->kind == TMGR__REQUEST_ONCE;
	int r = 0;

	tmgr__lock_acquire(&processes->lock);
	if (processes->state != TMGR__RUNTIME_OPEN &&
		!(ours && processes->state == TMGR__RUNTIME_STOPPING)) {
		r = tmgr__runtime_told(processes->failed) == -EIO ? -EIO : -ESHUTDOWN;
	} else {
		first = tmgr__list_empty(&processes->inbox);
		atomic_fetch_add(&request->refs, 1);
		tmgr__list_append(&processes->inbox, &request->link);
	}
	tmgr__lock_release(&processes->lock);
	if (first)
		tmgr_flag_set(&processes->work);
	return r;
}

/* ---- What can be asked ----------------------------------------------------------------------- */

static bool is_new_id(const char *id)
{
	return id != NULL && tmgr__is_name(id, TMGR_PROCESS_ID_MAX);
}

/* Of what is there already, with a name that may be an old one. */
static bool is_known(const char *name, size_t size_max)
{
	return name != NULL && tmgr__was_name(name, size_max);
}

static bool is_id(const char *id)
{
	return is_known(id, TMGR_PROCESS_ID_MAX);
}

static int judge_send(const struct tmgr_process_command *command)
{
	if (command->key != NULL &&
		(strlen(command->key) > TMGR_PROCESS_KEY_MAX || command->key[0] == '\0' ||
			!tmgr__text_is_valid(command->key)))
		return -EINVAL;
	if (command->value.size > TMGR_PROCESS_VALUE_MAX)
		return -EMSGSIZE;
	return command->value.data == NULL && command->value.size > 0 ? -EINVAL : 0;
}

/* Whether it can be kept, and read by people: an object. What is in it its next method looks at. */
static int judge_state(struct tmgr_bytes state)
{
	static const struct tmgr_state_table any = { .size = 1 };
	struct tmgr_state_memory *memory;
	void *ignored;
	int r;

	/* No bytes would be read as an object without fields. */
	if (state.data == NULL || state.size == 0 || state.size > TMGR_PROCESS_STATE_MAX)
		return -EINVAL;
	r = tmgr_state_memory_create(&memory);
	if (r != 0)
		return r;
	r = tmgr_state_decode(memory, &any, state.data, state.size, &ignored);
	tmgr_state_memory_destroy(memory);
	return r;
}

/* Whether the fields that its kind needs are there. */
static int judge(const struct tmgr_process_command *command)
{
	bool channel = command->channel != NULL && tmgr__is_channel(command->channel);

	switch (command->kind) {
	case TMGR_PROCESS_START:
		return is_new_id(command->child.id) && command->child.definition != NULL ? 0
											 : -EINVAL;
	case TMGR_PROCESS_SEND:
		return channel ? judge_send(command) : -EINVAL;
	case TMGR_PROCESS_CLOSE:
		return channel ? 0 : -EINVAL;
	case TMGR_PROCESS_CHANNEL_CREATE:
		return channel && command->channel[0] == '/' && command->channel[1] != '@' &&
				       command->capacity <= TMGR_PROCESS_CAPACITY_MAX
			       ? 0
			       : -EINVAL;
	case TMGR_PROCESS_CHANNEL_DELETE:
		return command->channel != NULL && tmgr__was_channel(command->channel) &&
				       command->channel[0] == '/'
			       ? 0
			       : -EINVAL;
	case TMGR_PROCESS_RESULT:
	case TMGR_PROCESS_CANCEL:
	case TMGR_PROCESS_RESUME:
	case TMGR_PROCESS_GET:
		return is_id(command->id) ? 0 : -EINVAL;
	case TMGR_PROCESS_PAUSE:
		return is_id(command->id) && command->text != NULL && command->text[0] != '\0'
			       ? 0
			       : -EINVAL;
	case TMGR_PROCESS_GOTO:
		return is_id(command->id) && is_known(command->goroutine, TMGR_PROCESS_NAME_MAX) &&
				       is_known(command->method, TMGR_PROCESS_METHOD_MAX)
			       ? 0
			       : -EINVAL;
	case TMGR_PROCESS_SET:
		return is_id(command->id) ? judge_state(command->value) : -EINVAL;
	case TMGR_PROCESS_CHANNELS:
		return command->id == NULL || command->id[0] == '\0' || is_id(command->id)
			       ? 0
			       : -EINVAL;
	case TMGR_PROCESS_BACKUP:
		return command->text != NULL && command->text[0] != '\0' ? 0 : -EINVAL;
	case TMGR_PROCESS_LIST:
	case TMGR_PROCESS_CHECKPOINT:
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- Copying --------------------------------------------------------------------------------- */

static size_t size_of(const char *text)
{
	return text != NULL ? strlen(text) + 1 : 0;
}

static const char *put_text(char **to, const char *text)
{
	const char *copy = *to;

	if (text == NULL)
		return NULL;
	memcpy(*to, text, strlen(text) + 1);
	*to += strlen(text) + 1;
	return copy;
}

static void copy(struct tmgr_process_request *request, const struct tmgr_process_command *command,
	struct tmgr_bytes value)
{
	static const enum tmgr__apply_kind kinds[] = {
		[TMGR_PROCESS_START] = TMGR__APPLY_START,
		[TMGR_PROCESS_SEND] = TMGR__APPLY_SEND,
		[TMGR_PROCESS_CLOSE] = TMGR__APPLY_CLOSE,
		[TMGR_PROCESS_CHANNEL_CREATE] = TMGR__APPLY_CHANNEL_CREATE,
		[TMGR_PROCESS_CHANNEL_DELETE] = TMGR__APPLY_CHANNEL_DELETE,
		[TMGR_PROCESS_CANCEL] = TMGR__APPLY_CANCEL,
		[TMGR_PROCESS_PAUSE] = TMGR__APPLY_PAUSE,
		[TMGR_PROCESS_RESUME] = TMGR__APPLY_RESUME,
		[TMGR_PROCESS_GOTO] = TMGR__APPLY_GOTO,
		[TMGR_PROCESS_SET] = TMGR__APPLY_SET,
	};
	struct tmgr__apply *apply = &request->apply;
	char *to = request->texts;

	if ((size_t)command->kind < ARRAY_SIZE(kinds))
		apply->kind = kinds[command->kind];
	apply->id = put_text(&to, command->kind == TMGR_PROCESS_START ? command->child.id
				  : command->channel != NULL          ? command->channel
								      : command->id);
	apply->name = put_text(&to, command->kind == TMGR_PROCESS_SEND   ? command->key
				    : command->kind == TMGR_PROCESS_GOTO ? command->goroutine
									 : command->text);
	apply->method = put_text(&to, command->method);
	request->filter = command->filter;
	request->filter.definition = put_text(&to, command->filter.definition);
	request->filter.after = put_text(&to, command->filter.after);
	apply->revision = command->revision;
	apply->capacity = command->capacity;
	apply->status = command->filter.status;
	apply->value.size = value.size;
	apply->value.data = to;
	if (value.size > 0)
		memcpy(to, value.data, value.size);
}

static int make(const struct tmgr_process_command *command, struct tmgr_bytes value,
	struct tmgr_process_request **ret_request)
{
	size_t size = size_of(command->child.id) + size_of(command->id) +
		      size_of(command->channel) + size_of(command->key) +
		      size_of(command->goroutine) + size_of(command->method) +
		      size_of(command->text) + size_of(command->filter.definition) +
		      size_of(command->filter.after) + value.size;

	*ret_request = tmgr__request_create(command->kind, size);
	if (*ret_request == NULL)
		return -ENOMEM;
	copy(*ret_request, command, value);
	return 0;
}

/* The state of a process to be started is written here, not by the engine's thread. */
static int make_start(struct tmgr_processes *processes, const struct tmgr_process_command *command,
	struct tmgr_process_request **ret_request)
{
	const struct tmgr_process_definition *user = command->child.definition;
	struct tmgr__edefinition *definition;
	struct tmgr_state_memory *memory;
	struct tmgr_bytes value = { "{}", 2 };
	const char *json;
	int r;

	/* Those that this program has are there for good since it was opened. */
	definition = user->name != NULL ? tmgr__engine_definition(processes->engine, user->name)
					: NULL;
	if (definition == NULL || definition->user != user)
		return -ENOENT;
	if (user->state.size == 0 || command->child.state == NULL) {
		r = make(command, value, ret_request);
	} else {
		r = tmgr_state_memory_create(&memory);
		if (r != 0)
			return r;
		r = tmgr_state_encode(
			memory, &user->state, command->child.state, &json, &value.size);
		value.data = json;
		if (r == 0)
			r = make(command, value, ret_request);
		tmgr_state_memory_destroy(memory);
	}
	if (r == 0)
		(*ret_request)->apply.definition = definition;
	return r;
}

static bool was_opened(struct tmgr_processes *processes)
{
	bool opened;

	tmgr__lock_acquire(&processes->lock);
	opened = processes->state != TMGR__RUNTIME_MADE;
	tmgr__lock_release(&processes->lock);
	return opened;
}

int tmgr_processes_submit(struct tmgr_processes *processes,
	const struct tmgr_process_command *command, struct tmgr_process_request **ret_request)
{
	struct tmgr_process_request *request;
	int r;

	if (processes == NULL || command == NULL || ret_request == NULL)
		return -EINVAL;
	r = judge(command);
	if (r != 0)
		return r;
	if (!was_opened(processes))
		return -ESHUTDOWN;
	if (command->kind == TMGR_PROCESS_START)
		r = make_start(processes, command, &request);
	else
		r = make(command, command->value, &request);
	if (r != 0)
		return r;
	r = tmgr__request_put(processes, request);
	if (r != 0)
		tmgr__request_unref(request);
	else
		*ret_request = request;
	return r;
}

/* ---- What was answered ----------------------------------------------------------------------- */

struct tmgr_future *tmgr_process_request_future(struct tmgr_process_request *request)
{
	return request != NULL ? &request->future : NULL;
}

struct tmgr_bytes tmgr_process_request_value(const struct tmgr_process_request *request)
{
	if (request == NULL || !tmgr_future_done(&request->future) || request->value == NULL)
		return (struct tmgr_bytes){ "", 0 };
	return (struct tmgr_bytes){ request->value->data, request->value->size };
}

const struct tmgr_process_info *tmgr_process_request_infos(
	const struct tmgr_process_request *request, size_t *ret_count)
{
	bool there = request != NULL && tmgr_future_done(&request->future) &&
		     request->infos != NULL;

	if (ret_count != NULL)
		*ret_count = there ? request->count : 0;
	return there ? request->infos : NULL;
}

const struct tmgr_process_channel_info *tmgr_process_request_channels(
	const struct tmgr_process_request *request, size_t *ret_count)
{
	bool there = request != NULL && tmgr_future_done(&request->future) &&
		     request->channels != NULL;

	if (ret_count != NULL)
		*ret_count = there ? request->count : 0;
	return there ? request->channels : NULL;
}

void tmgr_process_request_release(struct tmgr_process_request *request)
{
	tmgr__request_unref(request);
}
