/* Between the files that know commands. */
#ifndef MQ_COMMAND_H
#define MQ_COMMAND_H

#include "broker.h"

/** The arguments of a request; the first is the command's name. */
struct mq_call {
	const struct resp_argument *arguments;
	size_t count;
};

typedef void mq_handler(struct mq_client *client, const struct mq_call *call);

struct mq_command {
	const char *name; /* in lower case */
	int arity;        /* arguments with the name; negative: so many or more */
	mq_handler *handler;
	bool while_subscribed;         /* may be used by one that is subscribed to something */
	const char *flag;              /* as COMMAND tells */
	int first_key, last_key, step; /* likewise */
};

extern const struct mq_command mq_commands[];
extern const size_t mq_commands_count;

/** Whether an argument is this word, in any case. */
bool mq_is_word(const struct resp_argument *argument, const char *lower);

/** Whether it can be a key or a channel's name; else the error is the answer. */
bool mq_is_key(struct mq_client *client, const struct resp_argument *argument);

mq_handler mq_do_ping, mq_do_echo, mq_do_quit, mq_do_select, mq_do_hello, mq_do_command_info,
	mq_do_config, mq_do_client, mq_do_info;                       /* command_server.c */
mq_handler mq_do_set, mq_do_get, mq_do_del, mq_do_exists, mq_do_incr; /* command_keys.c */
mq_handler mq_do_subscribe, mq_do_unsubscribe, mq_do_psubscribe, mq_do_punsubscribe,
	mq_do_publish; /* command_channels.c */

#endif
