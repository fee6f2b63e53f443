/*
 * Files of tests/conformance: a case a line, as JSON.
 */
#ifndef TESTS_SUPPORT_CONFORMANCE_H
#define TESTS_SUPPORT_CONFORMANCE_H

#include <jansson.h>

/* Play each case of a file, or the one that CASE names; fails the test where it has not so many. */
void conformance_play(
	const char *name, size_t wanted, void (*play)(json_t *one, void *user), void *user);

/* A text of an object, "" where there is none. */
const char *conformance_text(json_t *object, const char *key);

#endif
