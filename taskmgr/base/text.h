/*
 * Text built into memory of the caller: cut at a whole UTF-8 character where it is full, always
 * terminated, its whole length counted.
 */
#ifndef TMGR__TEXT_H
#define TMGR__TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct tmgr__text {
	char *buffer;
	size_t size;   /* of buffer; 0: only count */
	size_t length; /* of the whole text, which may be more than fits */
};

void tmgr__text_init(struct tmgr__text *text, char *buffer, size_t size);
void tmgr__text_add(struct tmgr__text *text, const char *string);
/* The bytes of the UTF-8 character at a place, 0 if there is none; left: SIZE_MAX in a string. */
size_t tmgr__utf8_length(const char *text, size_t left);
/* The bytes of the control character at a place: C0, DEL, or C1 as UTF-8 has it; 0 for others. */
size_t tmgr__text_control(const char *at);
/* Control characters become \n, \t or \xHH, and a backslash stays as it is. */
void tmgr__text_add_escaped(struct tmgr__text *text, const char *string);
void tmgr__text_format(struct tmgr__text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Copy a string into size bytes, cut at a whole UTF-8 character, terminated; NULL counts as "". */
void tmgr__text_copy(char *buffer, size_t size, const char *string);

/* Whether all of it is UTF-8. */
bool tmgr__text_is_valid(const char *string);
/* The same copy, with U+FFFD for each byte that is of no character. */
void tmgr__text_copy_valid(char *buffer, size_t size, const char *string);

#endif
