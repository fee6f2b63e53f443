/*
 * What the clients of all loops share, and what is counted. Knows no socket: a client is given to
 * it with functions that wake and end it.
 */
#ifndef MQ_BROKER_H
#define MQ_BROKER_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "outbox.h"
#include "store.h"
#include "topics.h"

#include "../resp/resp.h"

#define MQ_NAME_MAX 63

/* No key or name of a channel is longer, whatever the settings say. */
#define MQ_KEY_MAX 1024

/** Counts of one loop: written by its thread only, read by any. */
struct mq_counts {
	alignas(64) _Atomic(uint64_t) connections;
	_Atomic(uint64_t) commands;
	_Atomic(uint64_t) published; /* messages that came */
	_Atomic(uint64_t) delivered; /* messages that were written, to one subscriber each */
	_Atomic(uint64_t) dropped;   /* that never will be: the subscriber was too slow, or left */
	_Atomic(uint64_t) slow;      /* clients that were ended for that */
	_Atomic(uint64_t) idle;      /* clients that were ended for having nothing to say */
	_Atomic(uint64_t) errors;    /* clients that were ended for what they sent */
};

static inline void mq_count(_Atomic(uint64_t) *count, uint64_t more)
{
	uint64_t now = atomic_load_explicit(count, memory_order_relaxed);

	atomic_store_explicit(count, now + more, memory_order_relaxed);
}

/** The counts of all loops. */
struct mq_totals {
	uint64_t connections, commands, published, delivered, dropped, slow, idle, errors;
	uint64_t clients, refused; /* clients: now */
};

struct mq_settings {
	size_t loops;
	size_t clients_max;
	unsigned idle_s;     /* 0: for ever */
	size_t memory_max;   /* bytes of keys and values */
	size_t channels_max; /* channels and patterns of a client */
	size_t patterns_max; /* of all clients */
	struct mq_outbox_limits outbox;
	struct resp_limits requests;
	size_t replies_max; /* bytes that a client's answers may take before they are written */
};

extern const struct mq_settings mq_settings_default;

struct mq_broker {
	struct mq_settings settings;
	struct mq_store *store;
	struct mq_topics *topics;
	struct mq_counts *counts;  /* settings.loops of them */
	_Atomic(uint64_t) clients; /* now */
	_Atomic(uint64_t) refused; /* there were too many */
	_Atomic(uint64_t) next_id;
	int64_t begun_ns; /* monotonic */
	int port;
};

/** 0, -EINVAL or -ENOMEM. */
int mq_broker_init(struct mq_broker *broker, const struct mq_settings *settings);
void mq_broker_fini(struct mq_broker *broker);
void mq_broker_totals(const struct mq_broker *broker, struct mq_totals *ret_totals);

struct mq_client;

/** What a client does where it is; any thread, none waits. */
struct mq_client_ops {
	void (*wake)(struct mq_client *client);    /* its writer, that waits */
	void (*end)(struct mq_client *client);     /* it reads too slowly */
	void (*release)(struct mq_client *client); /* nobody refers to it any more */
};

struct mq_client {
	const struct mq_client_ops *ops;
	struct mq_broker *broker;
	struct mq_counts *counts; /* of its loop */
	atomic_uint refs;
	uint64_t id;
	char name[MQ_NAME_MAX + 1];
	struct resp_reply reply; /* answers that are not written yet */
	struct mq_outbox outbox;
	struct mq_subscription *subscriptions;
	size_t channels, patterns; /* of these */
	bool queued;               /* answers go through the outbox, as messages do */
	bool quit;                 /* it said so: nothing more is read */
	struct mq_client *next_woken, *next_full; /* lists of a publisher's */
};

/** One reference is the caller's. */
void mq_client_init(struct mq_client *client, struct mq_broker *broker, size_t loop,
	const struct mq_client_ops *ops);
struct mq_client *mq_client_ref(struct mq_client *client);
void mq_client_unref(struct mq_client *client);

/** It leaves: takes all subscriptions back and closes the outbox. On its thread. */
void mq_client_leave(struct mq_client *client);

/** Release its memory; by ops->release. */
void mq_client_fini(struct mq_client *client);

/** Have the answers written behind the messages that wait. */
void mq_client_queue_replies(struct mq_client *client);

/** Do what a request asks for; the answer is added to client->reply or queued. On its thread. */
void mq_execute(struct mq_client *client, const struct resp_argument *arguments, size_t count);

#endif
