/*
 * Publish and subscribe: two publishers, a broker, two subscribers that are slower. On Ctrl-C
 * everything that was published is still delivered.
 */
#include <stdio.h>

#include "../../pkg/pubsub/broker.h"
#include "../../pkg/pubsub/publisher.h"
#include "../../pkg/pubsub/subscriber.h"

int main(void)
{
	struct tmgr_manager *manager = tmgr_manager_create(NULL);
	struct broker *broker = broker_create();
	int exit_code;

	if (broker == NULL) {
		fprintf(stderr, "pubsub: out of memory\n");
		tmgr_manager_destroy(manager);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	tmgr_manager_add_task(manager, "broker", broker_task(broker), TMGR_STRICT);
	tmgr_manager_add_task(
		manager, "subscriber 1", subscriber_task("subscriber 1", broker), TMGR_STRICT);
	tmgr_manager_add_task(
		manager, "subscriber 2", subscriber_task("subscriber 2", broker), TMGR_STRICT);
	tmgr_manager_add_task(
		manager, "publisher 1", publisher_task("publisher 1", broker), TMGR_STRICT);
	tmgr_manager_add_task(
		manager, "publisher 2", publisher_task("publisher 2", broker), TMGR_STRICT);
	exit_code = tmgr_main(manager);
	broker_destroy(broker);
	return exit_code;
}
