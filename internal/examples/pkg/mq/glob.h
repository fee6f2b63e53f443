/* Patterns for names of channels, as Redis has them: `*`, `?`, `[abc]`, `[^a-z]`, `\` before a
 * character that stands for itself. Any bytes. */
#ifndef MQ_GLOB_H
#define MQ_GLOB_H

#include <stdbool.h>
#include <stddef.h>

bool mq_glob_match(const char *pattern, size_t pattern_length, const char *name, size_t length);

#endif
