#include <signal.h>
#include <stddef.h>

#include "tasks/signal_rule.h"

bool tmgr__signal_can_be_watched(int signo)
{
	static const int reserved[] = {
		SIGINT, SIGTERM,                                           /* stop */
		SIGKILL, SIGSTOP,                                          /* not caught */
		SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, /* errors */
	};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (signo == reserved[i])
			return false;
	/* What is between the two kinds belongs to the threads library. */
	return (signo > 0 && signo < 32) || (signo >= SIGRTMIN && signo <= SIGRTMAX);
}
