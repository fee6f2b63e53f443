/*
 * For fuzz programs: bytes read as a program, and what must hold. Past the end of the input
 * everything is 0, so that each input means something.
 */
#ifndef TESTS_SUPPORT_FUZZ_H
#define TESTS_SUPPORT_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition)                                                                  \
	do {                                                                             \
		if (!(condition)) {                                                      \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, \
				#condition);                                             \
			abort();                                                         \
		}                                                                        \
	} while (0)

struct input {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t input_byte(struct input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->at++;
}

/* Up to `size - 1` bytes, after one that says how many; ends at a NUL like any string. */
static inline char *input_string(struct input *input, char *string, size_t size)
{
	size_t length = input_byte(input);

	if (length > input->left)
		length = input->left;
	if (length > size - 1)
		length = size - 1;
	if (length > 0)
		memcpy(string, input->at, length);
	string[length] = '\0';
	input->at += length;
	input->left -= length;
	return string;
}

#endif
