/*
 * Reload requests: a count that SIGHUP moves, seen by each task once.
 */
#ifndef TMGR__RELOAD_H
#define TMGR__RELOAD_H

#include "base/list.h"
#include "waiter.h"

struct tmgr__reload {
	struct tmgr__lock lock;
	uint64_t requests; /* guarded by lock, as all */
	bool wanted;       /* some task has looked */
	struct tmgr__list waiters;
};

/* A case of a select that waits on something: on the stack of its waiter. */
struct tmgr__wait_node {
	struct tmgr__list link;
	struct tmgr_waiter *waiter;
	void *item;
	uint64_t sequence; /* of enrolling on its channel */
	size_t index;      /* of the case */
	int result;
	struct tmgr__wait_node **winner; /* of the select: the node that fired */
	struct tmgr__wait_node *next;    /* of those a partner won */
};

void tmgr__reload_init(struct tmgr__reload *reload);
/* Whether some task looks for requests. Then the request is noted and whoever waits is woken. */
bool tmgr__reload_request(struct tmgr__reload *reload);
/* Under its lock: take a request that `seen` has not. */
bool tmgr__reload_take(struct tmgr__reload *reload, uint64_t *seen);
/* Complete and wake a list of nodes that were won; no lock held. */
void tmgr__wait_nodes_wake(struct tmgr__wait_node *node);
/*
 * Claim a node that was unlinked and say that it is the one that fired; false: its waiter is over.
 */
bool tmgr__wait_node_claim(struct tmgr__wait_node *node, int result);

/*
 * The reload requests of the run that a context is in, and the count its task has seen; NULL when
 * it takes no signals.
 */
struct tmgr__reload *tmgr__context_reload(struct tmgr_context *context, uint64_t **ret_seen);

#endif
