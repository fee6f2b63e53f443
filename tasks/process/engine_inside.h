/*
 * What the files of the engine share.
 */
#ifndef TMGR__PROCESS_ENGINE_INSIDE_H
#define TMGR__PROCESS_ENGINE_INSIDE_H

#include "tasks/process/engine.h"

/* engine_memory.c: memory, which leaves the engine broken when there is none. */
void *tmgr__engine_memory(struct tmgr__engine *engine, size_t size);
struct tmgr__blob *tmgr__blob(struct tmgr__engine *engine, struct tmgr_bytes bytes);
/* Have it there before: for so many small ones; for a blob, or what else is so large. -ENOMEM. */
int tmgr__spare_reserve(struct tmgr__engine *engine, size_t count);
int tmgr__prepare(struct tmgr__engine *engine, size_t size);
int tmgr__prepare_blob(struct tmgr__engine *engine, size_t size);
/* What was not used is given back; of the small ones some are kept, or none. */
void tmgr__spare_release(struct tmgr__engine *engine, bool all);

/* engine_reserve.c: all memory that a command may need; -ENOMEM. */
int tmgr__engine_reserve(struct tmgr__engine *engine, const struct tmgr__apply *command);
/* Likewise for one wait that is fired without a value, or one row that is deleted. */
int tmgr__reserve_one(struct tmgr__engine *engine);

/* engine.c */
uint64_t tmgr__engine_number(struct tmgr__engine *engine);

/* engine_table.c */
int tmgr__tables_make(struct tmgr__engine *engine);
uint32_t tmgr__hash(const char *text, size_t size);
struct tmgr__ekey *tmgr__engine_key(const struct tmgr__engine *engine, const char *key);
struct tmgr__ekey *tmgr__key_add(struct tmgr__engine *engine, const char *key, int64_t at_ms);
void tmgr__key_forget_first(struct tmgr__engine *engine);
struct tmgr__eprocess *tmgr__process_add(
	struct tmgr__engine *engine, const char *id, struct tmgr__edefinition *definition);
void tmgr__process_free(struct tmgr__engine *engine, struct tmgr__eprocess *process);
struct tmgr__channel *tmgr__channel_add(struct tmgr__engine *engine, const char *id);
void tmgr__channel_free(struct tmgr__engine *engine, struct tmgr__channel *channel);
struct tmgr__goroutine *tmgr__goroutine_add(
	struct tmgr__engine *engine, struct tmgr__eprocess *process, const char *name);
struct tmgr__goroutine *tmgr__goroutine_named(
	const struct tmgr__eprocess *process, const char *name);
void tmgr__goroutine_free(struct tmgr__goroutine *goroutine);
void tmgr__arrival_free(struct tmgr__arrival *arrival);

/* engine_define.c */
const struct tmgr__emethod *tmgr__definition_method(
	struct tmgr__engine *engine, struct tmgr__edefinition *definition, const char *name);
struct tmgr__edefinition *tmgr__definition_get(struct tmgr__engine *engine, const char *name);

/* engine_rows.c */
void tmgr__put_process(struct tmgr__engine *engine, const struct tmgr__eprocess *process);
void tmgr__put_goroutine(struct tmgr__engine *engine, const struct tmgr__goroutine *goroutine);
void tmgr__delete_goroutine(struct tmgr__engine *engine, const struct tmgr__goroutine *goroutine);
void tmgr__put_wait(struct tmgr__engine *engine, const struct tmgr__wait *wait);
void tmgr__delete_waits(struct tmgr__engine *engine, uint64_t sequence);
void tmgr__put_channel(struct tmgr__engine *engine, const struct tmgr__channel *channel);
void tmgr__put_message(struct tmgr__engine *engine, const struct tmgr__channel *channel,
	const struct tmgr__emessage *message);
void tmgr__delete_message(struct tmgr__engine *engine, const struct tmgr__channel *channel,
	const struct tmgr__emessage *message);
/* Of one that failed its error is that of the goroutine. */
void tmgr__put_event(struct tmgr__engine *engine, enum tmgr_process_event_kind kind,
	const struct tmgr__eprocess *process, const struct tmgr__goroutine *goroutine,
	const char *text);

/* engine_time.c */
int tmgr__timers_reserve(struct tmgr__engine *engine, size_t after, size_t at);
int tmgr__timer_arm(struct tmgr__engine *engine, struct tmgr__wait *wait, int64_t at);
void tmgr__timer_disarm(struct tmgr__engine *engine, struct tmgr__wait *wait);
/* -ENOMEM: something is left. */
int tmgr__tick(struct tmgr__engine *engine);

/* engine_ready.c */
void tmgr__goroutine_ready(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr__emethod *method, struct tmgr__arrival *arrival);
void tmgr__goroutine_wait_for_turn(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine);
void tmgr__process_unrun(struct tmgr__engine *engine, struct tmgr__eprocess *process);
void tmgr__goroutine_unqueue(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine);
void tmgr__process_to_run(struct tmgr__engine *engine, struct tmgr__eprocess *process);
void tmgr__goroutine_pause(
	struct tmgr__engine *engine, struct tmgr__goroutine *goroutine, const char *reason);
void tmgr__goroutine_pause_for_method(
	struct tmgr__engine *engine, struct tmgr__goroutine *goroutine);
struct tmgr__trouble *tmgr__goroutine_trouble(
	struct tmgr__engine *engine, struct tmgr__goroutine *goroutine);
/* What an effect has given; -ENOMEM, broken. */
int tmgr__once_add(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine, const char *name,
	struct tmgr_bytes value);
void tmgr__trouble_clear(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine);

/* engine_wait.c */
uint64_t tmgr__wait_sequence(const struct tmgr__wait *wait);
/* Have it wait for what it is on: in a line, for a result, or for a time. */
void tmgr__wait_link(struct tmgr__engine *engine, struct tmgr__wait *wait);
void tmgr__wait_unlink(struct tmgr__engine *engine, struct tmgr__wait *wait);
void tmgr__withdraw(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine);
/* Takes the value; NULL: out of memory. */
struct tmgr__arrival *tmgr__arrive(struct tmgr__engine *engine, enum tmgr_arrival kind,
	size_t index, const char *from, struct tmgr__blob *value);
void tmgr__fire(struct tmgr__engine *engine, struct tmgr__wait *wait, enum tmgr_arrival kind,
	struct tmgr__blob *value, int error);

/* engine_select.c */
void tmgr__select(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine,
	const struct tmgr__case *cases, size_t count);

/* engine_channel.c */
/* Whether there is one, or may be: 0, -ENOENT, -EPIPE. */
int tmgr__channel_look(const struct tmgr__engine *engine, const char *id);
/* The one that an id means to this process (NULL: outside), made where it may be; 0, -ENOENT, -EPIPE. */
int tmgr__channel_resolve(
	struct tmgr__engine *engine, const char *id, struct tmgr__channel **ret_channel);
/* NULL: out of memory. */
struct tmgr__buffer *tmgr__channel_buffer(
	struct tmgr__engine *engine, struct tmgr__channel *channel);
void tmgr__buffer_append(struct tmgr__buffer *buffer, struct tmgr__emessage *message);
/* What happens at once: MESSAGE or SENT; CLOSED; 0: nothing. */
enum tmgr_arrival tmgr__channel_receive(
	struct tmgr__engine *engine, struct tmgr__channel *channel, struct tmgr__blob **ret_value);
enum tmgr_arrival tmgr__channel_send(
	struct tmgr__engine *engine, struct tmgr__channel *channel, struct tmgr_bytes bytes);
/* Have it received, or in the buffer, or in the line. */
void tmgr__channel_post(
	struct tmgr__engine *engine, struct tmgr__channel *channel, struct tmgr__blob *value);
void tmgr__channel_close(struct tmgr__engine *engine, struct tmgr__channel *channel);
/* It may have lost its last wait. One that only its waits kept goes with the last of them. */
void tmgr__channel_suspect(struct tmgr__engine *engine, struct tmgr__channel *channel);
void tmgr__channel_drop_unused(struct tmgr__engine *engine, struct tmgr__channel *but);

/* engine_end.c */
void tmgr__process_end(struct tmgr__engine *engine, struct tmgr__eprocess *process,
	enum tmgr_process_status status);
/* Ask for its cancel: when its method has returned, else now. -EALREADY. */
int tmgr__process_cancel(struct tmgr__engine *engine, struct tmgr__eprocess *process);
void tmgr__process_cancel_now(struct tmgr__engine *engine, struct tmgr__eprocess *process);
void tmgr__goroutine_end(struct tmgr__engine *engine, struct tmgr__goroutine *goroutine);
void tmgr__process_forget(struct tmgr__engine *engine, struct tmgr__eprocess *process);
/* Its status is another one. */
void tmgr__process_set_status(struct tmgr__engine *engine, struct tmgr__eprocess *process,
	enum tmgr_process_status status);
void tmgr__process_activate(struct tmgr__engine *engine, struct tmgr__eprocess *process);
void tmgr__process_remember(struct tmgr__engine *engine, struct tmgr__eprocess *process);
struct tmgr__ending *tmgr__process_ending(
	struct tmgr__engine *engine, struct tmgr__eprocess *process);

/* engine_loaded.c */
/* Whether a time in a row is one that the clock can come from, and go on. */
bool tmgr__is_time(int64_t ms);

/* engine_step.c */
int tmgr__apply_start(struct tmgr__engine *engine, const char *id,
	struct tmgr__edefinition *definition, struct tmgr_bytes state);
int tmgr__apply_step(
	struct tmgr__engine *engine, struct tmgr__eprocess *process, const struct tmgr__deed *deed);

#endif
