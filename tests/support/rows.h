/*
 * What a store of durable processes must have: rows as lines of text, and a model that is nothing but
 * a list of them.
 */
#ifndef TESTS_SUPPORT_ROWS_H
#define TESTS_SUPPORT_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include <taskmgr/tasks/process_store.h>

#define ROW_TEXT_MAX 2048

/* A row as a line, beginning with its kind and key. */
void row_print(const struct tmgr_store_change *row, char *text);

/* Rows by their keys; all zero is none. */
struct rows_model {
	struct row_model {
		enum tmgr_store_kind kind;
		char key[320];   /* the whole key */
		char group[320]; /* what a DELETE names */
		char *text;
	} * rows;
	size_t count, room;
};

/* Make a change as the header of stores says. */
void rows_apply(struct rows_model *model, const struct tmgr_store_change *change);
void rows_apply_batch(struct rows_model *model, const struct tmgr_store_batch *batch);
void rows_clear(struct rows_model *model);
/* A visit function for load(). */
int rows_visit(void *model, const struct tmgr_store_change *row);
/* Whether both have the same; else the first difference, for a message. */
bool rows_same(struct rows_model *a, struct rows_model *b, char *ret_difference, size_t size);

#endif
