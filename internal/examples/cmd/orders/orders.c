/*
 * What is asked of an order. A command is a message with a key, so asking twice is asking once; the
 * order keeps its answer under the key, and the request waits until it is there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "front.h"

#define LIST_MAX 100

static const char *const process_words[] = {
	[TMGR_PROCESS_ACTIVE] = "active",
	[TMGR_PROCESS_PAUSED] = "paused",
	[TMGR_PROCESS_FAILED] = "failed",
	[TMGR_PROCESS_FINISHED] = "finished",
	[TMGR_PROCESS_CANCELLED] = "cancelled",
};

/* ---- Looking at one ------------------------------------------------------------------------- */

/* An order as it stands: its state with its id and how its process stands. */
static int look(const struct visit *visit, const char *id, json_t **ret_order, bool *ret_over)
{
	const struct tmgr_process_command get = { .kind = TMGR_PROCESS_GET, .id = id };
	struct tmgr_process_request *request = NULL;
	const struct tmgr_process_info *info;
	json_t *order = NULL;
	int r = tmgr_processes_do(
		visit->context, visit->front->processes, &get, visit->deadline, &request);

	if (r < 0)
		return r;
	info = tmgr_process_request_infos(request, NULL);
	*ret_over = info->status >= TMGR_PROCESS_FINISHED;
	if (strcmp(info->definition, "order") != 0)
		r = -ENOENT;
	else
		order = json_loadb(info->state.data, info->state.size, 0, NULL);
	if (order) {
		json_object_set_new(order, "id", json_string(id));
		json_object_set_new(order, "process", json_string(process_words[info->status]));
		if (info->error < 0)
			json_object_set_new(order, "error", json_string(info->text));
	}
	tmgr_process_request_release(request);
	*ret_order = order;
	return r < 0 ? r : order ? 0 : -ENOMEM;
}

/* What is of no use to others. */
static json_t *public_part(json_t *order)
{
	static const char *const private[] = { "key", "answers", "cart_ms", "approval_ms",
		"delivery_ms" };

	for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++)
		json_object_del(order, private[i]);
	return order;
}

struct http_answer front_show(const struct visit *visit)
{
	json_t *order = NULL;
	bool over;
	int r = look(visit, visit->id, &order, &over);

	return r < 0 ? front_failed(r) : front_json(200, public_part(order));
}

/* ---- Listing -------------------------------------------------------------------------------- */

static int list_some(const struct visit *visit, const struct tmgr_process_filter *filter,
	struct tmgr_process_request **ret_request)
{
	const struct tmgr_process_command list = { .kind = TMGR_PROCESS_LIST, .filter = *filter };

	return tmgr_processes_do(
		visit->context, visit->front->processes, &list, visit->deadline, ret_request);
}

static json_t *brief(const struct visit *visit, const char *id)
{
	json_t *order = NULL, *result;
	bool over;

	if (look(visit, id, &order, &over) < 0)
		return NULL;
	result = json_pack("{s:s, s:O*, s:O*, s:O*, s:O*}", "id", id, "customer",
		json_object_get(order, "customer"), "status", json_object_get(order, "status"),
		"total", json_object_get(order, "total"), "process",
		json_object_get(order, "process"));
	json_decref(order);
	return result;
}

struct http_answer front_list(const struct visit *visit)
{
	const char *limit = http_query(visit->request, "limit");
	struct tmgr_process_filter filter = { .definition = "order",
		.after = http_query(visit->request, "after"),
		.count_max = limit ? (size_t)strtoul(limit, NULL, 10) : LIST_MAX };
	struct tmgr_process_request *request = NULL;
	const struct tmgr_process_info *infos;
	json_t *orders;
	size_t count = 0;
	int r;

	if (filter.count_max < 1 || filter.count_max > LIST_MAX)
		return front_error(400, "limit: is no number from 1 to %d", LIST_MAX);
	if (filter.after && !front_is_name(filter.after, ORDERS_ID_MAX))
		return front_error(400, "after: is no id");
	r = list_some(visit, &filter, &request);
	if (r < 0)
		return front_failed(r);
	infos = tmgr_process_request_infos(request, &count);
	orders = json_array();
	for (size_t i = 0; i < count; i++) {
		json_t *order = brief(visit, infos[i].id);

		if (order)
			json_array_append_new(orders, order);
	}
	tmgr_process_request_release(request);
	return front_json(200, json_pack("{s:o}", "orders", orders));
}

/* ---- Creating ------------------------------------------------------------------------------- */

/* Asked for again: it is the same if it is the same customer's. */
static struct http_answer existing(const struct visit *visit, const char *id, const char *customer)
{
	json_t *order = NULL;
	bool over, same;
	int r = look(visit, id, &order, &over);

	if (r < 0)
		return front_failed(r);
	same = strcmp(json_string_value(json_object_get(order, "customer")), customer) == 0;
	if (same)
		return front_json(200, public_part(order));
	json_decref(order);
	return front_error(409, "there is another order with this id");
}

static struct http_answer create(const struct visit *visit, const char *id, const char *customer)
{
	struct front *front = visit->front;
	struct orders_terms terms = front->terms;
	int r;

	terms.customer = customer;
	r = orders_start(visit->context, front->processes, id, &terms, visit->deadline);
	if (r == -EEXIST)
		return existing(visit, id, customer);
	if (r < 0)
		return front_failed(r);
	return front_json(201,
		json_pack("{s:s, s:s, s:s}", "id", id, "customer", customer, "status", "cart"));
}

struct http_answer front_create(const struct visit *visit)
{
	static const char *const names[] = { "id", "customer", NULL };
	const char *id = NULL, *customer = NULL;
	struct http_answer answer = { 0 };
	json_t *body = front_body(visit->request, names, &answer);

	if (!body)
		return answer;
	if (front_text(body, "id", &id, &answer) &&
		front_text(body, "customer", &customer, &answer)) {
		if (front_is_name(id, ORDERS_ID_MAX))
			answer = create(visit, id, customer);
		else
			answer = front_error(400, "id: is not 1 to 40 of A-Z a-z 0-9 _ -");
	}
	json_decref(body);
	return answer;
}

/* ---- Commands ------------------------------------------------------------------------------- */

/* The answer to a command, if the order has given it. */
static json_t *find_answer(json_t *order, const char *key)
{
	json_t *answers = json_object_get(order, "answers"), *answer;
	size_t i;

	json_array_foreach(answers, i, answer)
	{
		const char *its = json_string_value(json_object_get(answer, "key"));

		if (its && strcmp(its, key) == 0)
			return answer;
	}
	return NULL;
}

static struct http_answer tell(json_t *order, json_t *given)
{
	int code = (int)json_integer_value(json_object_get(given, "code"));
	json_t *answer = json_pack("{s:O, s:O, s:O, s:O}", code < 300 ? "answer" : "error",
		json_object_get(given, "text"), "id", json_object_get(order, "id"), "status",
		json_object_get(order, "status"), "total", json_object_get(order, "total"));

	return front_json(code, answer);
}

static int send_command(const struct visit *visit, const char *key, const char *command)
{
	char channel[TMGR_PROCESS_CHANNEL_MAX + 1];
	const struct tmgr_process_outside message = {
		.channel = channel, .value = { command, strlen(command) }, .key = key
	};

	snprintf(channel, sizeof(channel), "%s/" ORDERS_COMMANDS, visit->id);
	return tmgr_processes_send(
		visit->context, visit->front->processes, &message, visit->deadline);
}

/* What has happened is asked for before the order is looked at, so that nothing is missed. */
static struct http_answer ask(const struct visit *visit, const char *key, const char *command)
{
	struct tmgr_processes *processes = visit->front->processes;
	struct tmgr_processes_stats stats;
	struct http_answer answer;
	bool sent = false;

	for (;;) {
		json_t *order = NULL, *given;
		bool over = false;
		int r = tmgr_processes_stats(processes, &stats);

		if (r == 0)
			r = look(visit, visit->id, &order, &over);
		if (r < 0)
			return front_failed(r);
		given = find_answer(order, key);
		if (given) {
			answer = tell(order, given);
			json_decref(order);
			return answer;
		}
		json_decref(order);
		if (over)
			return front_error(409, "the order is over");
		r = sent ? tmgr_processes_follow(
				   visit->context, processes, stats.sequence, visit->deadline)
			 : send_command(visit, key, command);
		if (r < 0)
			return front_failed(r);
		sent = true;
	}
}

static void make_key(char *ret_key)
{
	unsigned char random[16];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		abort(); /* 16 bytes are never cut short */
	for (size_t i = 0; i < sizeof(random); i++)
		sprintf(ret_key + 2 * i, "%02x", random[i]);
}

static bool is_key(const char *key)
{
	size_t length = strlen(key);

	for (size_t i = 0; i < length; i++)
		if (key[i] <= ' ' || key[i] > '~')
			return false;
	return length > 0 && length <= ORDERS_KEY_MAX;
}

struct http_answer front_command(const struct visit *visit, json_t *taken)
{
	char key[ORDERS_KEY_MAX + 1];
	struct http_answer answer;
	char *command;

	if (visit->request->key && !is_key(visit->request->key)) {
		json_decref(taken);
		return front_error(400, "Idempotency-Key: is not 1 to 64 printable characters");
	}
	if (visit->request->key)
		strcpy(key, visit->request->key);
	else
		make_key(key);
	json_object_set_new(taken, "key", json_string(key));
	command = json_dumps(taken, JSON_COMPACT);
	json_decref(taken);
	if (!command)
		return front_failed(-ENOMEM);
	answer = ask(visit, key, command);
	free(command);
	return answer;
}
