#include "tests/support/stepped.h"

int stepped_setup(void **state)
{
	struct stepped *stepped = *state;
	void *file = &stepped->file;
	int r = store_file_setup(&file);

	if (r == 0)
		r = steps_init(&stepped->steps, 3);
	return r ? r : store_file_open(&stepped->file);
}

int stepped_teardown(void **state)
{
	struct stepped *stepped = *state;
	void *file = &stepped->file;

	steps_fini(&stepped->steps);
	return store_file_teardown(&file);
}

int stepped_commit(struct stepped *stepped)
{
	struct tmgr_store *store = stepped->file.store;

	return store->ops->commit(store, steps_next(&stepped->steps, 2));
}
