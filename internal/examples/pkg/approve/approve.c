#include "approve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* To the desk it goes as "CHANNEL QUESTION"; an id has no control character, so a newline is between. */
int approve(struct tmgr_process *process, tmgr_method *then, const char *text, int64_t timeout_ns)
{
	char channel[TMGR_PROCESS_CHANNEL_MAX + 1];
	char question[sizeof(channel) + APPROVE_TEXT_MAX + 1];
	int r = tmgr_process_channel(process, 0, channel);
	int length;

	if (r < 0)
		return r;
	length = snprintf(question, sizeof(question), "%s\n%s", channel, text);
	if (length < 0 || (size_t)length >= sizeof(question))
		return tmgr_process_fail(process, -EMSGSIZE, "the question is too long");
	tmgr_process_post(process, APPROVE_DESK "/questions",
		(struct tmgr_bytes){ question, (size_t)length });
	tmgr_process_receive(process, channel, then);
	return tmgr_process_after(process, timeout_ns, then);
}

enum approve_answer approve_answer(const struct tmgr_message *message)
{
	if (message->arrival != TMGR_ARRIVED_MESSAGE)
		return APPROVE_NOBODY;
	return strcmp(message->value.data, "yes") == 0 ? APPROVE_YES : APPROVE_NO;
}
