/*
 * The Redis protocol, version 2: requests are parsed, replies are written.
 *
 * A request is an array of bulk strings ("*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n"), or a line of words
 * ("ECHO hi\r\n", an inline command). Nothing is copied: arguments point into the bytes that were
 * given. No input is trusted; everything has a limit.
 */
#ifndef RESP_H
#define RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct resp_argument {
	const char *at; /* into the bytes that were given; not terminated */
	size_t length;
};

/** What a request may have at most. */
struct resp_limits {
	size_t line;      /* bytes of an inline command, its end not counted */
	size_t arguments; /* of a request */
	size_t bulk;      /* bytes of an argument */
	size_t request;   /* bytes of all of it */
};

/**
 * What is known of the request that is being parsed. All zero but `limits` to begin with, and again
 * after each request.
 */
struct resp_parser {
	const struct resp_limits *limits;
	size_t at;         /* everything before was read */
	size_t count, got; /* arguments: of the request, read */
	bool begun;        /* count is known */
	const char *error; /* why it is bad: the text of the reply to send */
};

enum resp_result {
	RESP_MORE,    /* more bytes are needed */
	RESP_REQUEST, /* a request is complete */
	RESP_BAD,     /* this is no request: parser->error says why; the connection is of no use */
};

struct resp_request {
	struct resp_argument *arguments; /* memory of the caller, limits->arguments of them */
	size_t count;                    /* 0: an empty line or array, to be ignored */
	size_t used;                     /* bytes it took */
};

/**
 * Parse one request.
 *
 * After RESP_MORE it is called again with the same bytes, which may have moved, and more behind
 * them; what was looked at is not looked at again, but for an argument's length. After RESP_REQUEST
 * it goes on behind the bytes that were used. The result does not depend on how the bytes were cut.
 *
 * @param request  its arguments and count are written, and are valid as long as the bytes, with
 *                 RESP_REQUEST only
 */
enum resp_result resp_parse(
	struct resp_parser *parser, const char *data, size_t size, struct resp_request *request);

/** How many bytes the request has at least, as far as it is known: what to read before asking
 * again. */
size_t resp_needed(const struct resp_parser *parser, const char *data, size_t size);

/** Replies, one behind the other. All zero but `max` to begin with. */
struct resp_reply {
	char *data;
	size_t size, capacity;
	size_t max; /* bytes */
	int error;  /* -ENOMEM or -ENOBUFS: something could not be added, nothing is from then on */
};

void resp_reply_fini(struct resp_reply *reply);

/** Forget what it holds, and release the memory if it is more than `keep` bytes. */
void resp_reply_clear(struct resp_reply *reply, size_t keep);

/** Room for so many bytes behind the others, to be written by the caller; NULL: `error` is set. */
char *resp_reserve(struct resp_reply *reply, size_t size);

void resp_add_bytes(struct resp_reply *reply, const char *bytes, size_t size);
void resp_add_simple(struct resp_reply *reply, const char *text);
/** An error; bytes that would end the line become spaces. */
void resp_add_error(struct resp_reply *reply, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void resp_add_integer(struct resp_reply *reply, int64_t value);
void resp_add_bulk(struct resp_reply *reply, const char *bytes, size_t size);
void resp_add_text(struct resp_reply *reply, const char *text); /* a bulk string */
void resp_add_null(struct resp_reply *reply);
/** So many replies that follow are one. */
void resp_add_array(struct resp_reply *reply, size_t count);

#endif
