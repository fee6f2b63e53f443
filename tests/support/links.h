/*
 * Two streams that are connected: by a pipe, by unix sockets, by TCP. What is written to the second
 * is read from the first; but for the pipe also the other way.
 */
#ifndef TESTS_SUPPORT_LINKS_H
#define TESTS_SUPPORT_LINKS_H

#include <taskmgr/tasks/endpoint.h>

#include "tests/support/crew.h"

enum link_kind {
	LINK_PIPE,
	LINK_UNIX,
	LINK_TCP,
	LINKS,
};

/* Make one; stops the program when that fails. */
void link_make(enum link_kind kind, const struct tmgr_stream_options *options,
	struct tmgr_stream *ret_streams[2]);

/* More than any socket takes at once. */
#define MUCH 8000000

/* Two that are connected, and what was seen of them. */
struct two {
	struct tmgr_stream *streams[2];
	ssize_t seen[4]; /* 77 to begin with */
	size_t length;   /* of what was read into `got` */
	bool is_pipe;
};

extern char much[MUCH], got[MUCH + 1000];

/* Connect two; `much` is made, too. */
void two_begin(struct two *two, enum link_kind kind, const struct tmgr_stream_options *options);
void two_end(struct two *two);

/* Write a text to the second, and wait until that is done. */
int two_write(struct tmgr_context *context, struct two *two, const char *text);

/* A member that reads the first up to its end, into `got`. */
int read_to_the_end(void *self, struct tmgr_context *context);

/*
 * Run a function that is given two, on hosts of each kind, over each kind of link but those before
 * `from`. It ends them. Whether all went well; what it finds wrong it says with IS().
 */
bool on_all_links(
	enum link_kind from, const struct tmgr_stream_options *options, crew_function *function);

/*
 * Let no descriptor be opened any more, or again; false, and nothing is changed, where that cannot
 * be had: valgrind keeps a limit of its own, and not for all calls.
 */
bool descriptors_used_up(bool on);

/* A listener on a free port of this machine, and where it is. */
struct tmgr_listener *listen_here(struct tmgr_endpoint *ret_endpoint);

#endif
