/* Commands on keys. */
#include <errno.h>

#include "command.h"

static void add_refusal(struct mq_client *client, int error)
{
	switch (error) {
	case -ENOSPC:
		resp_add_error(
			&client->reply, "OOM command not allowed when used memory > 'maxmemory'.");
		break;
	case -EINVAL:
		resp_add_error(&client->reply, "ERR value is not an integer or out of range");
		break;
	case -ERANGE:
		resp_add_error(&client->reply, "ERR increment or decrement would overflow");
		break;
	default:
		resp_add_error(&client->reply, "ERR out of memory");
	}
}

void mq_do_get(struct mq_client *client, const struct mq_call *call)
{
	const struct resp_argument *key = &call->arguments[1];
	struct mq_blob *value = mq_store_get(client->broker->store, key->at, key->length);

	if (value)
		resp_add_bulk(&client->reply, value->bytes, value->size);
	else
		resp_add_null(&client->reply);
	mq_blob_unref(value);
}

void mq_do_set(struct mq_client *client, const struct mq_call *call)
{
	const struct resp_argument *key = &call->arguments[1], *bytes = &call->arguments[2];
	struct mq_blob *value;
	int r = -ENOMEM;

	if (call->count > 3) {
		resp_add_error(&client->reply, "ERR syntax error");
		return;
	}
	if (!mq_is_key(client, key))
		return;
	value = mq_blob_copy(bytes->at, bytes->length);
	if (value)
		r = mq_store_set(client->broker->store, key->at, key->length, value);
	if (r < 0)
		add_refusal(client, r);
	else
		resp_add_simple(&client->reply, "OK");
}

static void count_keys(struct mq_client *client, const struct mq_call *call,
	bool (*counts)(struct mq_store *store, const char *key, size_t length))
{
	int64_t count = 0;

	for (size_t i = 1; i < call->count; i++)
		count += counts(
			client->broker->store, call->arguments[i].at, call->arguments[i].length);
	resp_add_integer(&client->reply, count);
}

void mq_do_del(struct mq_client *client, const struct mq_call *call)
{
	count_keys(client, call, mq_store_delete);
}

void mq_do_exists(struct mq_client *client, const struct mq_call *call)
{
	count_keys(client, call, mq_store_exists);
}

void mq_do_incr(struct mq_client *client, const struct mq_call *call)
{
	const struct resp_argument *key = &call->arguments[1];
	int64_t sum;
	int r;

	if (!mq_is_key(client, key))
		return;
	r = mq_store_add(client->broker->store, key->at, key->length, 1, &sum);
	if (r < 0)
		add_refusal(client, r);
	else
		resp_add_integer(&client->reply, sum);
}
