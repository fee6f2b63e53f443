/*
 * A planted overflow: the end of a line is looked for one byte further than there are bytes. What is
 * kept for the fuzz program finds it.
 */
#include <errno.h>
#include <string.h>

#define memchr(bytes, byte, size) memchr(bytes, byte, (size) + 1)
#include "internal/examples/pkg/resp/parse.c"
#undef memchr

#include "tests/fuzz/resp.c"
#include "tests/support/replay.c"

static char corpus[] = "resp";

__attribute__((constructor)) static void name_corpus(void)
{
	program_invocation_short_name = corpus;
}
