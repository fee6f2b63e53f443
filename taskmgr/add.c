/*
 * Adding tasks. What is asked for is checked first, without the lock and without effect; then the
 * record is made, with all that the task will ever need for its end; then it is admitted under the
 * lock, where the manager's state has the last word.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "manager.h"

/* What is added, and what was found wrong with it. */
struct adding {
	struct tmgr_manager *manager;
	const char *name;
	struct tmgr_task task;
	enum tmgr_policy policy;
	const struct tmgr_task_options *options;
	bool long_running;
	unsigned phases;
	const char *rule; /* that was broken, or NULL */
	struct tmgr__record *record;
	uint64_t name_hash;
	struct tmgr__name *name_slot;   /* of a long-running task, under the lock */
	struct tmgr__stop_group *group; /* memory for a new one */
};

static const struct tmgr_task_options default_options;

/* Letters, digits and signs of ASCII, of which most names are. */
static bool is_plain(char byte)
{
	return byte >= ' ' && byte <= '~';
}

static const char *name_rule(const char *name)
{
	size_t length = 0;

	if (!name)
		return "a name is missing";
	while (length <= TMGR_NAME_MAX && is_plain(name[length]))
		length++;
	if (length > 0 && length <= TMGR_NAME_MAX && name[length] == '\0')
		return NULL;
	length = strnlen(name, TMGR_NAME_MAX + 1);
	if (length == 0)
		return "a name is empty";
	if (length > TMGR_NAME_MAX)
		return "a name is longer than 63 bytes";
	for (size_t i = 0; i < length; i++)
		if (tmgr__text_control(name + i) > 0)
			return "a name has control characters";
	return NULL;
}

static bool signal_usable(int signo)
{
	switch (signo) {
	case SIGKILL:
	case SIGSTOP:
	case SIGINT:
	case SIGTERM:
	case SIGHUP:
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGABRT:
	case SIGTRAP:
	case SIGSYS:
		return false;
	default:
		return signo > 0 && signo <= SIGRTMAX && (signo < 32 || signo >= SIGRTMIN);
	}
}

static const char *options_rule(const struct adding *add)
{
	const struct tmgr_task_options *options = add->options;

	if (options->ready_ns < 0 || options->stop_ns < 0 || options->cleanup_ns < 0 ||
		options->heartbeat_ns < 0)
		return "a duration is negative";
	if (options->stack_size > 0 && options->stack_size < TMGR__STACK_MIN)
		return "a stack is smaller than 64 KiB";
	if (options->stack_size > SSIZE_MAX)
		return "a stack is too large";
	if ((unsigned)options->host > TMGR_HOST_LOOP)
		return "the host is unknown";
	if (options->host == TMGR_HOST_LOOP && !options->loop)
		return "the loop is missing";
	if (options->loop && options->host != TMGR_HOST_LOOP && options->host != TMGR_HOST_DEFAULT)
		return "a loop is given, but the host is another";
	if (options->loop && (options->interrupt_signal != 0 || options->stack_size > 0))
		return "a task on a loop has no thread of its own";
	if (options->interrupt_signal != 0 && !signal_usable(options->interrupt_signal))
		return "the interrupt signal cannot be used";
	if (options->stop_group && add->policy != TMGR_STOP_GROUP)
		return "a stop group needs the policy STOP_GROUP";
	if (options->stop_group && name_rule(options->stop_group))
		return "the stop group's name is empty, too long or has control characters";
	return NULL;
}

/* 0, or the error of a bad argument with the rule that it broke. */
static int check_arguments(struct adding *add)
{
	int r = tmgr_task_error(add->task);

	add->rule = name_rule(add->name);
	if (add->rule)
		return -EINVAL;
	if (r < 0) {
		add->rule = tmgr_task_rule(add->task);
		return r;
	}
	add->phases = tmgr_task_phases(add->task);
	if (add->policy < TMGR_STRICT || add->policy > TMGR_STOP_GROUP)
		add->rule = "the policy is unknown";
	else if (!add->long_running && (add->phases & (TMGR_INITIALIZE | TMGR_CLEANUP)))
		add->rule = "an execute-task has initialize or cleanup";
	else if (!add->long_running && !(add->phases & TMGR_EXECUTE))
		add->rule = "an execute-task has no execute";
	else
		add->rule = options_rule(add);
	return add->rule ? -EINVAL : 0;
}

static int make_record(struct adding *add)
{
	enum tmgr__record_kind kind = TMGR__RECORD_EXECUTE;
	struct tmgr__record *record = NULL;

	if (add->long_running)
		kind = add->phases & TMGR_CLEANUP ? TMGR__RECORD_TASK_WITH_CLEANUP
						  : TMGR__RECORD_TASK;
	if (!add->long_running) {
		tmgr__lock_acquire(&add->manager->spare_lock);
		record = tmgr__manager_take_spare(add->manager);
		tmgr__lock_release(&add->manager->spare_lock);
	}
	if (add->long_running)
		add->name_hash = tmgr__name_hash(add->name, strlen(add->name));
	if (record)
		tmgr__record_init(record, add->name, add->task);
	else
		record = tmgr__record_create(&add->manager->records, add->name, add->task, kind);
	if (!record)
		return -ENOMEM;
	add->record = record;
	if (add->policy == TMGR_STOP_GROUP && add->long_running) {
		add->group = calloc(1, sizeof(*add->group));
		return add->group ? 0 : -ENOMEM;
	}
	return 0;
}

static void fill_record(const struct adding *add)
{
	struct tmgr__record *record = add->record;
	const struct tmgr_task_options *options = add->options;
	const struct tmgr_manager_options *defaults = &add->manager->options;

	record->manager = add->manager;
	record->policy = (unsigned char)add->policy;
	record->long_running = add->long_running;
	record->phases = (unsigned char)add->phases;
	/* What the handle tells if it never executes. */
	record->result = add->phases & TMGR_EXECUTE ? -ECANCELED : 0;
	record->host = options->host;
	if (options->loop)
		record->host = TMGR_HOST_LOOP;
	/* A loop begins with its host. What never executes would hold it for ever. */
	if (options->loop && (add->phases & TMGR_EXECUTE))
		record->on = (struct tmgr_executor *)(void *)options->loop;
	if (record->host == TMGR_HOST_DEFAULT)
		record->host = add->long_running ? TMGR_HOST_THREAD : TMGR_HOST_POOL;
	record->stack_size = options->stack_size;
	record->ready_ns = options->ready_ns ? options->ready_ns : defaults->ready_ns;
	record->stop_ns = options->stop_ns ? options->stop_ns : defaults->stop_ns;
	if (record->cleanup)
		record->cleanup->limit_ns = options->cleanup_ns ? options->cleanup_ns
								: defaults->cleanup_ns;
	record->heartbeat_ns = options->heartbeat_ns;
	record->interrupt_signal = (unsigned char)options->interrupt_signal;
	record->cleanup_after_failed_initialize = options->cleanup_after_failed_initialize;
	record->cleanup_beside_users = options->cleanup_beside_users;
}

static struct tmgr__stop_group *find_group(struct tmgr_manager *manager, const char *name)
{
	struct tmgr__list *node;

	tmgr__list_for (node, &manager->groups) {
		struct tmgr__stop_group *group = container_of(node, struct tmgr__stop_group, node);

		if (strcmp(group->name, name) == 0)
			return group;
	}
	return NULL;
}

static int join_group(struct adding *add)
{
	const char *name = add->options->stop_group ? add->options->stop_group : "";
	struct tmgr__stop_group *group;

	if (add->policy != TMGR_STOP_GROUP)
		return 0;
	group = find_group(add->manager, name);
	if (!group && add->group) {
		group = add->group;
		add->group = NULL;
		memcpy(group->name, name, strlen(name) + 1);
		tmgr__list_append(&add->manager->groups, &group->node);
	}
	if (!add->long_running && (!group || group->count.ended >= group->count.members))
		return -ENOENT;
	/* What never executes cannot end. */
	if (add->phases & TMGR_EXECUTE) {
		group->count.members++;
		add->record->group = group;
	}
	return 0;
}

/* Under the lock: whether the manager takes it now. */
static int check_state(struct adding *add)
{
	struct tmgr_manager *manager = add->manager;

	if (add->long_running) {
		if (manager->state == TMGR_MANAGER_ENDED)
			return -ESHUTDOWN;
		if (manager->state != TMGR_MANAGER_ADDING)
			return -EBUSY;
		if (manager->stopping)
			return -ESHUTDOWN;
		if (tmgr__names_reserve(&manager->names) < 0)
			return -ENOMEM;
		add->name_slot = tmgr__names_find_free(&manager->names, add->name, add->name_hash);
		return add->name_slot ? 0 : -EEXIST;
	}
	if (manager->stopping || manager->state == TMGR_MANAGER_ENDED ||
		tmgr_token_fired(manager->token))
		return -ESHUTDOWN;
	if (manager->state != TMGR_MANAGER_ADDING && add->record->on &&
		!tmgr__host_is_served(manager, add->record->on)) {
		add->rule = "its loop is neither in this manager nor running";
		return -EINVAL;
	}
	return 0;
}

/* Below which long-running task of this manager the caller runs, or NULL. */
static struct tmgr__record *find_adder(const struct tmgr_manager *manager)
{
	struct tmgr_context *context = tmgr_context_current();
	struct tmgr__record *record = context ? context->record : NULL;

	if (!record || record->manager != manager)
		return NULL;
	return record->long_running ? record : record->added_by;
}

/* Under the lock: long-running ones, for those who look for some kinds among them. */
static void count_kind(struct tmgr_manager *manager, const struct tmgr__record *record)
{
	bool executes = record->phases & TMGR_EXECUTE;

	manager->with_thread += executes && record->host == TMGR_HOST_THREAD;
	manager->with_signal += record->interrupt_signal != 0;
	manager->without_execute += !executes;
}

/* Under the lock, which it gives back. */
static int admit(struct adding *add)
{
	struct tmgr_manager *manager = add->manager;
	struct tmgr__record *record = add->record;
	struct tmgr_handle handle = { NULL, 0 };
	int r = check_state(add);

	if (r == 0)
		r = join_group(add);
	if (r == 0 && add->options->ret_handle) {
		r = tmgr__handle_reserve(manager);
		if (r == 0)
			handle = tmgr__handle_give(manager, record);
		else if (record->group)
			record->group->count.members--;
	}
	if (r < 0) {
		tmgr__manager_unlock(manager);
		return r;
	}
	/* In reverse order of stopping each is told to stop by itself. */
	if (manager->options.stop_order != TMGR_STOP_REVERSE)
		record->context.parent_token = manager->token;
	record->context.token = &record->token;
	record->context.text = record->text;
	tmgr__manager_debug_event(manager, TMGR_EVENT_ADDED, record, 0);
	if (add->long_running) {
		tmgr__list_append(&manager->tasks, &record->node);
		tmgr__names_add(&manager->names, add->name_slot, record->name, add->name_hash);
		count_kind(manager, record);
		manager->report.long_running++;
		tmgr__manager_unlock(manager);
	} else {
		record->added_by = find_adder(manager);
		r = tmgr__manager_submit(manager, record);
	}
	/* The caller may use it only once it was told; copies of a refused one are stale. */
	if (r == 0 && handle.manager)
		*add->options->ret_handle = handle;
	return r;
}

int tmgr__manager_submit(struct tmgr_manager *manager, struct tmgr__record *record)
{
	int r;

	tmgr__list_append(&manager->executes, &record->node);
	if (manager->state != TMGR_MANAGER_ADDING)
		tmgr__record_set_state(record, TMGR_STATE_QUEUED, 0);
	record->executing = true;
	manager->executing++;
	manager->executed++;
	r = tmgr__pool_submit(manager, record);
	if (r == 0)
		return 0;
	tmgr__manager_lock(manager);
	tmgr__list_remove(&record->node);
	record->executing = false;
	manager->executing--;
	manager->executed--;
	/* Another may have ended meanwhile, and be the last. */
	tmgr__record_leave_group(record);
	tmgr__handle_take_back(manager, record);
	/* Run may have seen it, and wait for it. */
	tmgr__manager_look_quiet(manager);
	tmgr__manager_unlock(manager);
	return r;
}

/* What an error means that is not of an argument. */
static const char *state_rule(int error)
{
	switch (error) {
	case -EBUSY:
		return "long-running tasks are added before run";
	case -EEXIST:
		return "the name is in use";
	case -ENOENT:
		return "the stop group has no living member";
	case -ESHUTDOWN:
		return "its loop has ended";
	case -EAGAIN:
		return "no thread can be made, or all the pool may have are blocked";
	default:
		return NULL;
	}
}

/* Under the lock: one after the cancel is no mistake, nor one for a loop that ended in the run. */
static bool may_come_late(const struct tmgr_manager *manager)
{
	return manager->state != TMGR_MANAGER_ADDING || manager->stopping ||
	       tmgr_token_fired(manager->token);
}

/* Before run the failed add is remembered; while it runs it is an event. */
static void tell_failure(struct adding *add, int error)
{
	struct tmgr_manager *manager = add->manager;
	const char *name = add->name ? add->name : "(no name)";
	const char *rule = add->rule ? add->rule : state_rule(error);
	char path[TMGR_NAME_MAX + 1];

	tmgr__text_copy(path, sizeof(path), name);
	tmgr__manager_lock(manager);
	if (error == -ESHUTDOWN && may_come_late(manager)) {
		tmgr__manager_unlock(manager);
		return;
	}
	if (manager->state == TMGR_MANAGER_ADDING)
		tmgr__manager_refuse(manager, path, error, rule);
	tmgr__manager_tell_misuse(
		manager, path, "add", (struct tmgr__told_error){ error, rule ? rule : "" });
	tmgr__manager_unlock(manager);
}

static int add_task(struct adding *add)
{
	int r;

	if (!add->options)
		add->options = &default_options;
	if (!add->manager) {
		tmgr_task_destroy(add->task);
		return -EINVAL;
	}
	r = tmgr__manager_check_fork(add->manager);
	if (r < 0) {
		tmgr_task_destroy(add->task);
		return r;
	}
	r = check_arguments(add);
	if (r == 0)
		r = make_record(add);
	if (r == 0) {
		fill_record(add);
		r = tmgr__host_hold(add->record);
	}
	if (r == 0) {
		if (!add->long_running && add->options->interrupt_signal)
			tmgr__interrupt_take(add->manager, add->options->interrupt_signal);
		tmgr__manager_lock(add->manager);
		r = admit(add);
	}
	free(add->group);
	if (r == 0)
		return 0;
	tell_failure(add, r);
	if (add->record)
		tmgr__host_release(add->record);
	tmgr_task_destroy(add->task);
	if (add->record)
		tmgr__record_unref(add->record);
	return r;
}

int tmgr_manager_add_task_with(struct tmgr_manager *manager, const char *name,
	struct tmgr_task task, enum tmgr_policy policy, const struct tmgr_task_options *options)
{
	struct adding add = { manager, name, task, policy, options, .long_running = true };

	return add_task(&add);
}

int tmgr_manager_add_task(struct tmgr_manager *manager, const char *name, struct tmgr_task task,
	enum tmgr_policy policy)
{
	return tmgr_manager_add_task_with(manager, name, task, policy, NULL);
}

int tmgr_manager_add_execute_task_with(struct tmgr_manager *manager, const char *name,
	struct tmgr_task task, enum tmgr_policy policy, const struct tmgr_task_options *options)
{
	struct adding add = { manager, name, task, policy, options, .long_running = false };

	return add_task(&add);
}

int tmgr_manager_add_execute_task(struct tmgr_manager *manager, const char *name,
	struct tmgr_task task, enum tmgr_policy policy)
{
	return tmgr_manager_add_execute_task_with(manager, name, task, policy, NULL);
}
