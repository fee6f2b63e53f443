/*
 * taskctl process: what its files share. Processes are reached through the socket of a daemon, or, when
 * none runs, through their file; either way what is asked and answered is the same.
 */
#ifndef TASKCTL_PROCESS_H
#define TASKCTL_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "process_protocol.h"
#include "taskctl.h"

struct taskctl_link;

/* Where the processes are: one of the two. */
struct taskctl_where {
	const char *socket, *file;
	bool patient; /* an answer may take as long as it takes */
};

/*
 * Reach the processes. With `changes` false a file stays as it is, whatever is asked. 0, or an errno,
 * which was said on standard error.
 */
int taskctl_link_open(
	const struct taskctl_where *where, bool changes, struct taskctl_link **ret_link);

/* What comes back. A visit that does not return 0 ends the answer. */
struct taskctl_visit {
	/* text is the record as it came */
	int (*record)(void *self, const struct tmgr__process_record *record, const char *text);
	void *self;        /* both may be NULL */
	uint64_t sequence; /* written: of the end */
};

/* Ask, and visit the records of the answer. 0, or an errno, which was said on standard error. */
int taskctl_link_ask(
	struct taskctl_link *link, struct tmgr__process_ask *ask, struct taskctl_visit *visit);

/* Also NULL. What was changed in a file is durable when it is 0. */
int taskctl_link_close(struct taskctl_link *link);

/* The other way to a file, in taskctl_process_file.c. 0, or an errno, which was said. */
int taskctl_file_open(const char *path, bool changes, struct tmgr_processes **ret_processes);
int taskctl_file_close(struct tmgr_processes *processes);
int taskctl_file_check(const char *path);
int taskctl_file_backup(const char *path, const char *copy);

/* A command line without its command. */
struct taskctl_line {
	struct taskctl_where where;
	struct tmgr__process_ask ask; /* what options say */
	bool json, has_revision;
	int count; /* of words */
	char **words;
};

/* Commands: 0, or an errno, which was said. */
int taskctl_process_list(struct taskctl_link *link, struct taskctl_line *line);
int taskctl_process_show(struct taskctl_link *link, struct taskctl_line *line);
int taskctl_process_why(struct taskctl_link *link, struct taskctl_line *line);
int taskctl_process_channels(struct taskctl_link *link, struct taskctl_line *line);
int taskctl_process_events(struct taskctl_link *link, struct taskctl_line *line);
int taskctl_process_start(struct taskctl_link *link, struct taskctl_line *line);
int taskctl_process_send(struct taskctl_link *link, struct taskctl_line *line);
int taskctl_process_close(struct taskctl_link *link, struct taskctl_line *line);
int taskctl_process_retry(struct taskctl_link *link, struct taskctl_line *line);
int taskctl_process_goto(struct taskctl_link *link, struct taskctl_line *line);
int taskctl_process_set(struct taskctl_link *link, struct taskctl_line *line);
int taskctl_process_pause(struct taskctl_link *link, struct taskctl_line *line);
int taskctl_process_resume(struct taskctl_link *link, struct taskctl_line *line);
int taskctl_process_cancel(struct taskctl_link *link, struct taskctl_line *line);

/* Printing, in taskctl_process_print.c. */
void taskctl_print_process_head(void);
void taskctl_print_process(const struct tmgr__process_record *record);
void taskctl_print_standing(const struct tmgr__process_record *record);
void taskctl_print_details(const struct tmgr__process_record *record);
void taskctl_print_json(const char *text); /* a part of a document */
void taskctl_print_goroutine(const struct tmgr__process_record *record);
void taskctl_print_wait(const struct tmgr__process_record *record);
void taskctl_print_channel_head(void);
void taskctl_print_channel(const struct tmgr__process_record *record);
void taskctl_print_event(const struct tmgr__process_record *record);

/*
 * A JSON document with the value at a path replaced, or added to its object: "customer.lines[0].price".
 * 0; -EINVAL: the path is none; -EPROTO: the value is no JSON; -ENOENT: there is no such place; -ENOMEM.
 */
int taskctl_json_set(const char *json, const char *path, const char *value, char **ret_json);

#endif
