/*
 * Tokens: firing one with many below it, and looking at one.
 */
#include <stdio.h>
#include <stdlib.h>

#include <taskmgr/taskmgr.h>

#include "tests/bench/measure.h"

#define CHILDREN 10000
#define LOOKS 10000000

static size_t called;

static void count_call(void *self)
{
	called++;
}

struct child {
	struct tmgr_token *token;
	struct tmgr_token_callback callback;
};

static double fire_children(void *self)
{
	struct child *children = calloc(CHILDREN, sizeof(*children));
	struct tmgr_token *root;
	int64_t began, ended;

	if (!children)
		return -1;
	measure_check("token", tmgr_token_create(NULL, &root));
	for (size_t i = 0; i < CHILDREN; i++) {
		measure_check("token", tmgr_token_create(root, &children[i].token));
		tmgr_token_register(children[i].token, &children[i].callback, count_call, NULL);
	}
	called = 0;
	began = measure_now();
	tmgr_token_cancel(root, 0, NULL);
	ended = measure_now();
	for (size_t i = 0; i < CHILDREN; i++)
		tmgr_token_unref(children[i].token);
	tmgr_token_unref(root);
	free(children);
	return called == CHILDREN ? (double)(ended - began) : -1;
}

/* What cannot be left out: a list of functions, called one after another. */
struct listed {
	struct listed *next;
	void (*function)(void *self);
	void *self;
};

static double call_list(void *self)
{
	struct listed *first = NULL, *node;
	int64_t began, ended;
	size_t made = 0;

	while (made < CHILDREN && (node = malloc(sizeof(*node)))) {
		*node = (struct listed){ first, count_call, NULL };
		first = node;
		made++;
	}
	called = 0;
	began = measure_now();
	for (node = first; node; node = node->next)
		node->function(node->self);
	ended = measure_now();
	while ((node = first)) {
		first = node->next;
		free(node);
	}
	return called == CHILDREN ? (double)(ended - began) : -1;
}

static double look_at_token(void *self)
{
	struct tmgr_token *token = self;
	int64_t began = measure_now();
	int fired = 0;

	for (int i = 0; i < LOOKS; i++)
		fired += tmgr_token_fired(token);
	return fired ? -1 : (double)(measure_now() - began) / LOOKS;
}

static int flag;

static double look_at_flag(void *self)
{
	int64_t began = measure_now();
	int set = 0;

	for (int i = 0; i < LOOKS; i++)
		set += __atomic_load_n(&flag, __ATOMIC_ACQUIRE);
	return set ? -1 : (double)(measure_now() - began) / LOOKS;
}

static void measure(struct measure_row row, struct measure_pair pair, size_t rounds)
{
	if (measure_run_pair(&pair, 3, rounds))
		measure_print_pair(&row, &pair);
	else
		measure_failed(row.figure, "out of memory, or not all were called");
	measure_clear_pair(&pair);
}

int main(void)
{
	static const struct measure_row firing = {
		.figure = "firing a token, 10,000 children with callbacks",
		.unit = MEASURE_NANOSECONDS,
		.other_name = "a list of callbacks",
		.kind = MEASURE_AT_MOST,
		.goal = 1e6,
	};
	static const struct measure_row looking = {
		.figure = "looking whether a token has fired",
		.unit = MEASURE_NANOSECONDS,
		.other_name = "acquire load",
		.kind = MEASURE_AT_MOST,
		.goal = 2,
	};
	struct tmgr_token *token;

	measure_begin();
	measure(firing, (struct measure_pair){ fire_children, call_list, .self = NULL }, 201);
	measure_check("token", tmgr_token_create(NULL, &token));
	measure(looking, (struct measure_pair){ look_at_token, look_at_flag, .self = token }, 21);
	tmgr_token_unref(token);
	return measure_end();
}
