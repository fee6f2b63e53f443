#include "tests/support/own_store.h"

struct tmgr_store_ops own_store;
const struct tmgr_store_ops *own_store_real;

void own_store_make(struct daemon *daemon)
{
	daemon_make(daemon, NULL);
	own_store_real = daemon->store->ops;
	own_store = *own_store_real;
	daemon->store->ops = &own_store;
}
