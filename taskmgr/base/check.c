#include "check.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void die(const char *text)
{
	/* Nothing can be done about a standard error that is closed. */
	ssize_t written = write(STDERR_FILENO, text, strlen(text));

	(void)written;
	abort();
}

_Noreturn void tmgr__check_failed(const char *condition, const char *file, int line)
{
	char text[512];

	snprintf(text, sizeof(text), "taskmgr: broken invariant at %s:%d: %s\n", file, line,
		condition);
	die(text);
}

_Noreturn void tmgr__misuse(const char *rule, const char *name)
{
	char text[512];

	bool named = name && *name;

	snprintf(text, sizeof(text), "taskmgr: misuse: %s%s%s%s\n", rule,
		named ? ", by task \"" : "", named ? name : "", named ? "\"" : "");
	die(text);
}

_Noreturn void tmgr__misuse_context(const char *name)
{
	char rule[256];

	snprintf(rule, sizeof(rule),
		"the context of \"%s\" is used by another function than the one it was given to",
		name);
	tmgr__misuse(rule, NULL);
}
