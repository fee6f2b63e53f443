/*
 * A single-threaded runtime of durable processes on a store in memory, which can be killed at any moment and started again with
 * the same or other definitions.
 */
#ifndef TESTS_SUPPORT_DURABLE_H
#define TESTS_SUPPORT_DURABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/tasks/process_runtime.h>

#define DURABLE_DEFINITIONS_MAX 8

struct durable {
	struct tmgr_processes *processes;
	struct tmgr_store *store; /* the runtime's */
	const struct tmgr_process_definition *definitions[DURABLE_DEFINITIONS_MAX];
	struct tmgr_processes_options options;
};

/* Start with definitions, NULL at the end. */
void durable_begin(
	struct durable *durable, const struct tmgr_process_definition *const *definitions);
/* The same on this store, which is taken. */
void durable_begin_on(struct durable *durable, struct tmgr_store *store,
	const struct tmgr_process_definition *const *definitions);
/* Kill it and start it again: it finds what was committed. */
void durable_kill(struct durable *durable);
/* The same, with other definitions: another binary. */
void durable_replace(
	struct durable *durable, const struct tmgr_process_definition *const *definitions);
/* Close it orderly, then open it again. */
void durable_restart(struct durable *durable);
void durable_end(struct durable *durable);

/* These settle. */
int durable_start(
	struct durable *durable, const struct tmgr_process_definition *definition, const char *id);
int durable_start_with(struct durable *durable, const struct tmgr_process_definition *definition,
	const char *id, const void *state);
int durable_send(struct durable *durable, const char *channel, const char *text);
int durable_do(struct durable *durable, const struct tmgr_process_command *command);
void durable_settle(struct durable *durable);
void durable_advance(struct durable *durable, int64_t ns);

/* How a process stands; borrowed until the next call. NULL: there is none. */
const struct tmgr_process_info *durable_get(struct durable *durable, const char *id);
/* Its state as JSON; "" where there is none; until the next call. */
const char *durable_state(struct durable *durable, const char *id);
/* Its result; likewise. */
const char *durable_result(struct durable *durable, const char *id);
enum tmgr_process_status durable_status(struct durable *durable, const char *id);
/* The first goroutine's sentence; likewise. */
const char *durable_why(struct durable *durable, const char *id);
/* How many events of a kind a process has (NULL: all). */
size_t durable_events(struct durable *durable, const char *id, enum tmgr_process_event_kind kind);
/* The text of the last of them; likewise. */
const char *durable_event_text(
	struct durable *durable, const char *id, enum tmgr_process_event_kind kind);

struct tmgr_bytes bytes_of(const char *text);

#endif
