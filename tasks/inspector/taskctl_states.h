/*
 * States files: a state machine's schema as people write it, from which taskctl checks, draws and
 * generates.
 *
 *	machine file_processor
 *
 *	group Outcome = Done Failed             # a list that relations can name
 *
 *	state Busy
 *	state Processing multi                  # flags: auto, multi
 *		add Busy                        # relations: add, remove, require, after
 *		remove Outcome
 *		timeout 30s set Failed
 *
 * A statement a line, words with spaces between them; how a line is indented means nothing, a "#"
 * begins a comment. "machine" is the first. A relation belongs to the state above it, and may be
 * given in several lines. In the list of a state, a group stands for its other members.
 */
#ifndef TASKCTL_STATES_H
#define TASKCTL_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/tasks/machine_schema.h>

#define STATES_FILE_MAX (1u << 20) /* bytes */
#define STATES_LINE_MAX 4096       /* bytes */
#define STATES_NAME_MAX TMGR_MACHINE_NAME_MAX
#define STATES_MAX (TMGR_MACHINE_STATES_MAX - 1)
#define STATES_GROUPS_MAX 250
/* As many are told; the others are counted. */
#define STATES_ERRORS_MAX 20

#define STATES_RELATIONS (TMGR_RELATION_AFTER + 1)

/* A name, and where it stands; lines and columns (bytes) count from 1. */
struct states_name {
	const char *text;
	unsigned line, column;
};

struct states_names {
	struct states_name *at;
	size_t count, capacity;
};

/* A state that a list means, and the name that it was given by: its own or a group's. */
struct states_target {
	size_t state;
	struct states_name name;
};

/* Each state is in it once. */
struct states_targets {
	struct states_target *at;
	size_t count;
};

struct states_list {
	struct states_names written;
	struct states_targets targets;
};

struct states_state {
	struct states_name name;
	bool is_auto, is_multi;
	struct states_list lists[STATES_RELATIONS];
	struct states_name timeout_at; /* the statement; all zero: there is none */
	int64_t timeout_ns;
	enum tmgr_mutation_kind timeout_kind;
	struct states_list timeout; /* empty: Exception is added */
};

struct states_group {
	struct states_name name;
	struct states_list list;
};

/* The kind of an error that is about how the file is written. */
#define STATES_SYNTAX TMGR_FAULTS

struct states_error {
	enum tmgr_fault_code code; /* or STATES_SYNTAX */
	unsigned line, column;     /* 0: the file as a whole */
	char text[240];            /* may be cut */
};

/* All zero is an empty one. */
struct states_file {
	char *source; /* that names point into */
	struct states_name machine;
	struct states_state *states;
	struct states_group *groups;
	size_t state_count, group_count; /* Exception is counted where it was defined */
	size_t state_capacity, group_capacity;
	struct states_error errors[STATES_ERRORS_MAX];
	size_t error_count; /* may be more than there is room for */
};

/*
 * Read a states file from text of `size` bytes, copied. 0; -EBADMSG: it has errors, which are in the file
 * in order of lines; or -ENOMEM. Whatever it was, the file is released with states_fini().
 */
int states_parse(struct states_file *file, const char *text, size_t size);

/* The same from a path; -EFBIG: it is too long; -EISDIR and others: it cannot be read. */
int states_load(struct states_file *file, const char *path);

void states_fini(struct states_file *file);

/* "duplicate", or "syntax". */
const char *states_fault_name(enum tmgr_fault_code code);

/* The number of Exception: behind all others, but where the file defines it. */
size_t states_exception(const struct states_file *file);

/* The name of a state, Exception's too. */
const char *states_state_name(const struct states_file *file, size_t state);

/* The name in C: "HTTPServer" is http_server. `buffer` has room for STATES_C_NAME_SIZE. */
#define STATES_C_NAME_SIZE (2 * STATES_NAME_MAX + 1)
void states_c_name(char *buffer, const char *name);

/* A time as the file has it, in the largest unit that it is whole in: "30s". */
#define STATES_TIME_SIZE 24
void states_time(char *buffer, int64_t ns);

/* What tmgr_schema_compile() takes; points into the file. */
struct states_table {
	struct tmgr_machine_state *rows;
	size_t count;
	unsigned *lists;
};

/* 0 or -ENOMEM; whatever it was, it is released with states_table_fini(). */
int states_table_init(struct states_table *table, const struct states_file *file);
void states_table_fini(struct states_table *table);

/* ---- Between the files of this part ---------------------------------------------------------- */

/* Note an error; `at`: NULL for the file as a whole. */
void states_fail(struct states_file *file, enum tmgr_fault_code code, const struct states_name *at,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The units of times, the smallest first; without a name behind the last. */
struct states_unit {
	const char *name;
	int64_t ns;
};
extern const struct states_unit states_units[];

/* Find what all names mean. 0 or -ENOMEM; errors are noted. */
int states_resolve(struct states_file *file);

#endif
