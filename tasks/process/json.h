/*
 * JSON as RFC 8259 has it, read into a tree and written into a buffer. What is read must be UTF-8
 * without exception; numbers stay as they are written until somebody asks for them.
 */
#ifndef TMGR__PROCESS_JSON_H
#define TMGR__PROCESS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/tasks/state.h>

enum tmgr__json_type {
	TMGR__JSON_NULL,
	TMGR__JSON_BOOL,
	TMGR__JSON_NUMBER,
	TMGR__JSON_TEXT,
	TMGR__JSON_ARRAY,
	TMGR__JSON_OBJECT,
};

struct tmgr__json {
	enum tmgr__json_type type;
	uint32_t count;  /* of children */
	const char *key; /* in an object: UTF-8, may have zero bytes */
	size_t key_length;
	const char *raw; /* as it stands in the document, without white space around it */
	size_t length;
	struct tmgr__json *child, *next;
};

/*
 * Read a document of any type, which must stay where it is as long as the tree is used. The tree
 * lives in memory. -EBADMSG, -EILSEQ or -EMSGSIZE, and in *ret_wrong why; or -ENOMEM.
 */
struct tmgr__json_wrong {
	size_t at; /* byte */
	const char *why;
};

int tmgr__json_read(struct tmgr_state_memory *memory, const char *json, size_t length,
	struct tmgr__json **ret, struct tmgr__json_wrong *ret_wrong);

/* The value with this key, or NULL. */
const struct tmgr__json *tmgr__json_get(const struct tmgr__json *object, const char *key, size_t n);

/* ---- Values ---- */

struct tmgr__integer {
	uint64_t magnitude;
	bool negative;
};

/* An integer, as a number or as text of digits. -EPROTO: it is none; -ERANGE: of more than 64 bits. */
int tmgr__json_integer(const struct tmgr__json *value, struct tmgr__integer *ret);
/* -EPROTO: not a number; -ERANGE: too large. */
int tmgr__json_double(const struct tmgr__json *value, double *ret);
/* Text of a value that is text, in memory, terminated. -ENOMEM. */
int tmgr__json_text(struct tmgr_state_memory *memory, const struct tmgr__json *value, char **ret,
	size_t *ret_length);

/* ---- Texts ---- */

/* What an escape sequence after its backslash stands for, as UTF-8 (up to 4 bytes); bytes of the
 * sequence without backslash, 0 if it is none. */
size_t tmgr__json_unescape(const char *at, size_t left, char *ret, size_t *ret_length);
/* Bytes of base64 text into data, which has room for 3 for every 4. -EPROTO: it is no base64. */
int tmgr__base64_read(const char *text, size_t length, unsigned char *data, size_t *ret_size);

/* ---- Writing ---- */

/* Grows as needed up to TMGR_STATE_SIZE_MAX. All zero is an empty one. */
struct tmgr__json_out {
	char *text;
	size_t length, size;
	int error; /* the first: -ENOMEM or -EMSGSIZE; all later writes do nothing */
};

void tmgr__json_put(struct tmgr__json_out *out, const char *text, size_t length);
/* The text with quotes. False: it is not UTF-8. */
bool tmgr__json_put_text(struct tmgr__json_out *out, const char *text, size_t length);
/* In quotes beyond 2^53. */
void tmgr__json_put_integer(struct tmgr__json_out *out, struct tmgr__integer value);
/* The shortest of 15 to 17 digits that is read as the same; it must be finite. */
void tmgr__json_put_double(struct tmgr__json_out *out, double value);
void tmgr__json_put_base64(struct tmgr__json_out *out, const unsigned char *data, size_t size);

#endif
