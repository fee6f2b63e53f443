/*
 * What public headers declare, for tests that are to leave nothing out.
 */
#ifndef TESTS_SUPPORT_HEADERS_H
#define TESTS_SUPPORT_HEADERS_H

/* A whole file as text, released with free(). */
char *headers_read(const char *path);

/* How many functions of a header are not called in the text of these programs; says which. */
int headers_left_out(const char *path, const char *programs);

#endif
