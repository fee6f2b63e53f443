#include <stdio.h>
#include <stdlib.h>

#include <taskmgr/tasks/coroutine.h>

#include "tests/support/crew.h"

void crew_begin(struct crew *crew, int host)
{
	*crew = (struct crew){ .manager = tmgr_manager_create(NULL) };
	if (host == 1 && (tmgr_loop_create(NULL, &crew->loop) < 0 ||
				 tmgr_manager_add_task(crew->manager, "loop",
					 tmgr_loop_task(crew->loop), TMGR_STRICT) < 0))
		abort();
	runner_start(&crew->runner, crew->manager, NULL);
	if (!manager_reaches(crew->manager, TMGR_MANAGER_RUNNING))
		abort();
}

static void name_of(size_t member, char name[16])
{
	snprintf(name, 16, "member%zu", member);
}

size_t crew_add(struct crew *crew, crew_function *function, void *self)
{
	size_t member = crew->count++;
	struct tmgr_task_options options = {
		.host = crew->loop ? TMGR_HOST_LOOP : TMGR_HOST_THREAD,
		.loop = crew->loop,
		.ret_handle = &crew->handles[member],
	};
	char name[16];

	name_of(member, name);
	if (member >= CREW_MAX ||
		tmgr_manager_add_execute_task_with(crew->manager, name,
			tmgr_task_function(function, self), TMGR_ERROR, &options) < 0)
		abort();
	return member;
}

bool crew_waits(struct crew *crew, size_t member, const char *what)
{
	char name[16];

	name_of(member, name);
	return task_waits(crew->manager, name, what);
}

bool crew_begin_waiting(struct crew *crew, int host, crew_function *function, void *self)
{
	crew_begin(crew, host);
	return crew_waits(crew, crew_add(crew, function, self), "descriptor");
}

void crew_cancel(struct crew *crew, size_t member)
{
	tmgr_handle_cancel(crew->handles[member], 0, "the test says so");
}

int crew_join(struct crew *crew, size_t member)
{
	int r = tmgr_handle_wait(
		NULL, crew->handles[member], tmgr_after(LATCH_LIMIT_S * TMGR_SECOND));

	if (r == 0)
		tmgr_handle_result(crew->handles[member], &r);
	crew->results[member] = r;
	return r;
}

int crew_end(struct crew *crew)
{
	int r;

	for (size_t i = 0; i < crew->count; i++) {
		crew_join(crew, i);
		tmgr_handle_release(crew->handles[i]);
	}
	tmgr_manager_cancel(crew->manager);
	r = runner_join(&crew->runner);
	tmgr_manager_destroy(crew->manager);
	tmgr_loop_unref(crew->loop);
	return r;
}

int crew_run(int host, crew_function *one, void *of_one, crew_function *two, void *of_two)
{
	struct crew crew;
	int r;

	crew_begin(&crew, host);
	crew_add(&crew, one, of_one);
	if (two)
		crew_add(&crew, two, of_two);
	r = crew_end(&crew);
	for (size_t i = 0; i < crew.count && r == 0; i++)
		r = crew.results[i];
	return r;
}

static int do_nothing(void *self, struct tmgr_context *context)
{
	(void)self;
	(void)context;
	return 0;
}

/* As many stacks as a loop keeps, and some more. */
static int spawn_many(void *self, struct tmgr_context *context)
{
	int r = 0;

	(void)self;
	for (int i = 0; i < 600 && r == 0; i++)
		r = tmgr_coroutine_spawn(context, do_nothing, NULL, NULL, NULL);
	return r;
}

int crew_warm_up(void **state)
{
	(void)state;
	return crew_run(1, spawn_many, NULL, NULL, NULL);
}
