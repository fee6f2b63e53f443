#include "tests/support/signalled.h"

#include <signal.h>
#include <unistd.h>

#include <taskmgr/channel.h>

#include "tests/support/child.h"

const struct tmgr_manager_options takes_signals = { .take_signals = true };

int say_ready_and_wait(struct probe *probe, struct tmgr_context *context)
{
	(void)probe;
	child_say("ready");
	return tmgr_sleep_until(context, TMGR_NEVER);
}

void have_taken(struct tmgr_context *context, int signo, struct tmgr_channel *taken)
{
	int came = 0;

	kill(getpid(), signo);
	child_check_equal(tmgr_channel_receive(context, taken, &came, TMGR_NEVER), 0);
	child_check_equal(came, signo);
}
