/* The table of commands, and what holds for all of them. */
#include "command.h"

#include <string.h>

/* clang-format off */
/* The busiest first: they are looked for in this order. */
const struct mq_command mq_commands[] = {
	{ "get",            2, mq_do_get,          false, "readonly", 1,  1, 1 },
	{ "set",           -3, mq_do_set,          false, "write",    1,  1, 1 },
	{ "publish",        3, mq_do_publish,      false, "pubsub",   0,  0, 0 },
	{ "ping",          -1, mq_do_ping,         true,  "fast",     0,  0, 0 },
	{ "incr",           2, mq_do_incr,         false, "write",    1,  1, 1 },
	{ "del",           -2, mq_do_del,          false, "write",    1, -1, 1 },
	{ "exists",        -2, mq_do_exists,       false, "readonly", 1, -1, 1 },
	{ "echo",           2, mq_do_echo,         false, "fast",     0,  0, 0 },
	{ "subscribe",     -2, mq_do_subscribe,    true,  "pubsub",   0,  0, 0 },
	{ "unsubscribe",   -1, mq_do_unsubscribe,  true,  "pubsub",   0,  0, 0 },
	{ "psubscribe",    -2, mq_do_psubscribe,   true,  "pubsub",   0,  0, 0 },
	{ "punsubscribe",  -1, mq_do_punsubscribe, true,  "pubsub",   0,  0, 0 },
	{ "select",         2, mq_do_select,       false, "fast",     0,  0, 0 },
	{ "hello",         -1, mq_do_hello,        false, "fast",     0,  0, 0 },
	{ "client",        -2, mq_do_client,       false, "admin",    0,  0, 0 },
	{ "command",       -1, mq_do_command_info, false, "loading",  0,  0, 0 },
	{ "config",        -2, mq_do_config,       false, "admin",    0,  0, 0 },
	{ "info",          -1, mq_do_info,         false, "loading",  0,  0, 0 },
	{ "quit",          -1, mq_do_quit,         true,  "fast",     0,  0, 0 },
};
/* clang-format on */

const size_t mq_commands_count = sizeof(mq_commands) / sizeof(mq_commands[0]);

bool mq_is_word(const struct resp_argument *argument, const char *lower)
{
	for (size_t i = 0; i < argument->length; i++) {
		unsigned char c = (unsigned char)argument->at[i];

		if (lower[i] == '\0' || (c >= 'A' && c <= 'Z' ? c + 32 : c) != lower[i])
			return false;
	}
	return lower[argument->length] == '\0';
}

bool mq_is_key(struct mq_client *client, const struct resp_argument *argument)
{
	if (argument->length <= MQ_KEY_MAX)
		return true;
	resp_add_error(&client->reply, "ERR the name is longer than %d bytes", MQ_KEY_MAX);
	return false;
}

static const struct mq_command *find(const struct resp_argument *name)
{
	for (size_t i = 0; i < mq_commands_count; i++) {
		if (mq_is_word(name, mq_commands[i].name))
			return &mq_commands[i];
	}
	return NULL;
}

static bool fits(const struct mq_command *command, size_t count)
{
	return command->arity < 0 ? count >= (size_t)-command->arity
				  : count == (size_t)command->arity;
}

void mq_execute(struct mq_client *client, const struct resp_argument *arguments, size_t count)
{
	const struct mq_call call = { arguments, count };
	const struct mq_command *command;

	if (count == 0)
		return;
	mq_count(&client->counts->commands, 1);
	command = find(&arguments[0]);
	if (!command)
		resp_add_error(&client->reply, "ERR unknown command '%.*s'",
			(int)(arguments[0].length < 64 ? arguments[0].length : 64),
			arguments[0].at);
	else if (!fits(command, count))
		resp_add_error(&client->reply, "ERR wrong number of arguments for '%s' command",
			command->name);
	else if (client->subscriptions && !command->while_subscribed)
		resp_add_error(&client->reply,
			"ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / "
			"QUIT are allowed in this context",
			command->name);
	else
		command->handler(client, &call);
}
