/* Commands on the connection and on the server. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <taskmgr/time.h>
#include <taskmgr/version.h>

#include "command.h"
#include "glob.h"

void mq_do_ping(struct mq_client *client, const struct mq_call *call)
{
	const struct resp_argument *text = call->count > 1 ? &call->arguments[1] : NULL;

	if (call->count > 2) {
		resp_add_error(&client->reply, "ERR wrong number of arguments for 'ping' command");
	} else if (client->subscriptions) {
		resp_add_array(&client->reply, 2);
		resp_add_text(&client->reply, "pong");
		resp_add_bulk(&client->reply, text ? text->at : "", text ? text->length : 0);
	} else if (text) {
		resp_add_bulk(&client->reply, text->at, text->length);
	} else {
		resp_add_simple(&client->reply, "PONG");
	}
}

void mq_do_echo(struct mq_client *client, const struct mq_call *call)
{
	resp_add_bulk(&client->reply, call->arguments[1].at, call->arguments[1].length);
}

void mq_do_quit(struct mq_client *client, const struct mq_call *call)
{
	resp_add_simple(&client->reply, "OK");
	client->quit = true;
}

void mq_do_select(struct mq_client *client, const struct mq_call *call)
{
	if (mq_is_word(&call->arguments[1], "0"))
		resp_add_simple(&client->reply, "OK");
	else
		resp_add_error(&client->reply, "ERR DB index is out of range");
}

/* Version 2 of the protocol only; who asks for another one is told so and goes on with it. */
void mq_do_hello(struct mq_client *client, const struct mq_call *call)
{
	struct resp_reply *reply = &client->reply;

	if (call->count > 1 && !mq_is_word(&call->arguments[1], "2")) {
		resp_add_error(reply, "NOPROTO unsupported protocol version");
		return;
	}
	if (call->count > 2) {
		resp_add_error(reply, "ERR Syntax error in HELLO");
		return;
	}
	resp_add_array(reply, 14);
	resp_add_text(reply, "server");
	resp_add_text(reply, "minimq");
	resp_add_text(reply, "version");
	resp_add_text(reply, tmgr_version());
	resp_add_text(reply, "proto");
	resp_add_integer(reply, 2);
	resp_add_text(reply, "id");
	resp_add_integer(reply, (int64_t)client->id);
	resp_add_text(reply, "mode");
	resp_add_text(reply, "standalone");
	resp_add_text(reply, "role");
	resp_add_text(reply, "master");
	resp_add_text(reply, "modules");
	resp_add_array(reply, 0);
}

static void add_command(struct resp_reply *reply, const struct mq_command *command)
{
	resp_add_array(reply, 6);
	resp_add_text(reply, command->name);
	resp_add_integer(reply, command->arity);
	resp_add_array(reply, 1);
	resp_add_simple(reply, command->flag);
	resp_add_integer(reply, command->first_key);
	resp_add_integer(reply, command->last_key);
	resp_add_integer(reply, command->step);
}

/* All, or how many; redis-cli asks for documentation, too, of which there is none. */
void mq_do_command_info(struct mq_client *client, const struct mq_call *call)
{
	struct resp_reply *reply = &client->reply;

	if (call->count > 1 && mq_is_word(&call->arguments[1], "count")) {
		resp_add_integer(reply, (int64_t)mq_commands_count);
	} else if (call->count > 1 && mq_is_word(&call->arguments[1], "docs")) {
		resp_add_array(reply, 0);
	} else if (call->count > 1) {
		resp_add_error(reply, "ERR unknown subcommand of COMMAND");
	} else {
		resp_add_array(reply, mq_commands_count);
		for (size_t i = 0; i < mq_commands_count; i++)
			add_command(reply, &mq_commands[i]);
	}
}

struct parameter {
	const char *name;
	char value[32];
};

static bool is_asked_for(const struct mq_call *call, const char *name)
{
	for (size_t i = 2; i < call->count; i++) {
		if (mq_glob_match(
			    call->arguments[i].at, call->arguments[i].length, name, strlen(name)))
			return true;
	}
	return false;
}

void mq_do_config(struct mq_client *client, const struct mq_call *call)
{
	const struct mq_settings *settings = &client->broker->settings;
	struct parameter parameters[] = { { "save", "" }, { "appendonly", "no" },
		{ "maxclients", "" }, { "maxmemory", "" }, { "timeout", "" }, { "port", "" } };
	const size_t count = sizeof(parameters) / sizeof(parameters[0]);
	size_t asked = 0;

	if (!mq_is_word(&call->arguments[1], "get") || call->count < 3) {
		resp_add_error(&client->reply, "ERR only CONFIG GET is known here");
		return;
	}
	snprintf(parameters[2].value, sizeof(parameters[2].value), "%zu", settings->clients_max);
	snprintf(parameters[3].value, sizeof(parameters[3].value), "%zu", settings->memory_max);
	snprintf(parameters[4].value, sizeof(parameters[4].value), "%u", settings->idle_s);
	snprintf(parameters[5].value, sizeof(parameters[5].value), "%d", client->broker->port);
	for (size_t i = 0; i < count; i++)
		asked += is_asked_for(call, parameters[i].name);
	resp_add_array(&client->reply, asked * 2);
	for (size_t i = 0; i < count; i++) {
		if (!is_asked_for(call, parameters[i].name))
			continue;
		resp_add_text(&client->reply, parameters[i].name);
		resp_add_text(&client->reply, parameters[i].value);
	}
}

static void set_name(struct mq_client *client, const struct resp_argument *name)
{
	if (name->length > MQ_NAME_MAX) {
		resp_add_error(&client->reply, "ERR the name is longer than %d bytes", MQ_NAME_MAX);
		return;
	}
	for (size_t i = 0; i < name->length; i++) {
		if (name->at[i] < '!' || name->at[i] > '~') {
			resp_add_error(&client->reply,
				"ERR Client names cannot contain spaces, newlines or special "
				"characters.");
			return;
		}
	}
	if (name->length > 0)
		memcpy(client->name, name->at, name->length);
	client->name[name->length] = '\0';
	resp_add_simple(&client->reply, "OK");
}

static void add_client_info(struct mq_client *client)
{
	char text[256];

	snprintf(text, sizeof(text), "id=%" PRIu64 " name=%s db=0 sub=%zu psub=%zu\n", client->id,
		client->name, client->channels, client->patterns);
	resp_add_text(&client->reply, text);
}

void mq_do_client(struct mq_client *client, const struct mq_call *call)
{
	const struct resp_argument *verb = &call->arguments[1];

	if (mq_is_word(verb, "id") && call->count == 2)
		resp_add_integer(&client->reply, (int64_t)client->id);
	else if (mq_is_word(verb, "getname") && call->count == 2)
		resp_add_text(&client->reply, client->name);
	else if (mq_is_word(verb, "setname") && call->count == 3)
		set_name(client, &call->arguments[2]);
	else if (mq_is_word(verb, "setinfo") && call->count == 4)
		resp_add_simple(&client->reply, "OK");
	else if (mq_is_word(verb, "info") && call->count == 2)
		add_client_info(client);
	else
		resp_add_error(&client->reply, "ERR unknown subcommand of CLIENT, or wrong number "
					       "of arguments");
}

struct section {
	const char *name;
	void (*add)(
		struct resp_reply *text, struct mq_client *client, const struct mq_totals *totals);
};

static void add_line(struct resp_reply *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void add_line(struct resp_reply *text, const char *format, ...)
{
	va_list arguments;
	char line[128];
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	resp_add_bytes(
		text, line, (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1);
	resp_add_bytes(text, "\r\n", 2);
}

static void add_server(
	struct resp_reply *text, struct mq_client *client, const struct mq_totals *totals)
{
	add_line(text, "# Server");
	add_line(text, "server_name:minimq");
	add_line(text, "taskmgr_version:%s", tmgr_version());
	add_line(text, "process_id:%ld", (long)getpid());
	add_line(text, "tcp_port:%d", client->broker->port);
	add_line(text, "loops:%zu", client->broker->settings.loops);
	add_line(text, "uptime_in_seconds:%" PRId64,
		(tmgr_now() - client->broker->begun_ns) / TMGR_SECOND);
}

static void add_clients(
	struct resp_reply *text, struct mq_client *client, const struct mq_totals *totals)
{
	add_line(text, "# Clients");
	add_line(text, "connected_clients:%" PRIu64, totals->clients);
	add_line(text, "maxclients:%zu", client->broker->settings.clients_max);
}

static void add_memory(
	struct resp_reply *text, struct mq_client *client, const struct mq_totals *totals)
{
	size_t bytes = mq_store_bytes(client->broker->store);

	add_line(text, "# Memory");
	add_line(text, "used_memory:%zu", bytes);
	add_line(text, "used_memory_human:%.2fK", (double)bytes / 1024);
	add_line(text, "maxmemory:%zu", client->broker->settings.memory_max);
}

static void add_stats(
	struct resp_reply *text, struct mq_client *client, const struct mq_totals *totals)
{
	add_line(text, "# Stats");
	add_line(text, "total_connections_received:%" PRIu64, totals->connections);
	add_line(text, "total_commands_processed:%" PRIu64, totals->commands);
	add_line(text, "rejected_connections:%" PRIu64, totals->refused);
	add_line(text, "messages_published:%" PRIu64, totals->published);
	add_line(text, "messages_delivered:%" PRIu64, totals->delivered);
	add_line(text, "messages_dropped:%" PRIu64, totals->dropped);
	add_line(text, "clients_ended_slow:%" PRIu64, totals->slow);
	add_line(text, "clients_ended_idle:%" PRIu64, totals->idle);
	add_line(text, "clients_ended_protocol:%" PRIu64, totals->errors);
}

static void add_keyspace(
	struct resp_reply *text, struct mq_client *client, const struct mq_totals *totals)
{
	size_t keys = mq_store_keys(client->broker->store);

	add_line(text, "# Keyspace");
	if (keys > 0)
		add_line(text, "db0:keys=%zu,expires=0,avg_ttl=0", keys);
}

static const struct section sections[] = {
	{ "server", add_server },
	{ "clients", add_clients },
	{ "memory", add_memory },
	{ "stats", add_stats },
	{ "keyspace", add_keyspace },
};

/* All sections, or those that are named. */
void mq_do_info(struct mq_client *client, const struct mq_call *call)
{
	struct resp_reply text = { .max = 8192 };
	struct mq_totals totals;

	mq_broker_totals(client->broker, &totals);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		bool wanted = call->count == 1;

		for (size_t k = 1; k < call->count; k++)
			wanted |= mq_is_word(&call->arguments[k], sections[i].name) ||
				  mq_is_word(&call->arguments[k], "all") ||
				  mq_is_word(&call->arguments[k], "default") ||
				  mq_is_word(&call->arguments[k], "everything");
		if (!wanted)
			continue;
		if (text.size > 0)
			resp_add_bytes(&text, "\r\n", 2);
		sections[i].add(&text, client, &totals);
	}
	if (text.error)
		resp_add_error(&client->reply, "ERR out of memory");
	else
		resp_add_bulk(&client->reply, text.data, text.size);
	resp_reply_fini(&text);
}
