/* Lists of processes: the first that are wanted, in the order of their ids, page by page. */
#include <stdio.h>
#include <string.h>

#include "tests/support/durable.h"
#include "tests/support/leak.h"

#define PROCESSES 57

static int main_wait(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_receive(process, "go", main_wait);
}

static const struct tmgr_process_definition waits_definition = {
	.name = "waits",
	.version = 1,
	.start = main_wait,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_Wait",
								 .function = main_wait },
		{ 0 } },
};

static int main_end(struct tmgr_process *process, void *state, const struct tmgr_message *message)
{
	return tmgr_process_finish(process, bytes_of(""));
}

static const struct tmgr_process_definition ends_definition = {
	.name = "ends",
	.version = 1,
	.start = main_end,
	.methods = (const struct tmgr_process_method[]){ { .name = "Main_End",
								 .function = main_end },
		{ 0 } },
};

static const struct tmgr_process_definition *const definitions[] = { &waits_definition,
	&ends_definition, NULL };

/* Each third ends. */
static bool ends(unsigned number)
{
	return number % 3 == 0;
}

/* Started in another order than that of their ids. */
static void start_all(struct durable *durable)
{
	char id[16];

	durable_begin(durable, definitions);
	for (unsigned i = 0; i < PROCESSES; i++) {
		unsigned number = i * 23 % PROCESSES;

		snprintf(id, sizeof(id), "p%02u", number);
		assert_int_equal(durable_start(durable,
					 ends(number) ? &ends_definition : &waits_definition, id),
			0);
	}
}

/* All pages of a list, one behind the other, each but the last full. */
static void read_pages(struct durable *durable, struct tmgr_process_filter filter, char *ret_ids)
{
	char after[16] = "";
	size_t count;

	ret_ids[0] = '\0';
	do {
		struct tmgr_process_request *request;
		const struct tmgr_process_info *infos;

		filter.after = after[0] != '\0' ? after : NULL;
		assert_int_equal(tmgr_processes_do(NULL, durable->processes,
					 &(struct tmgr_process_command){
						 .kind = TMGR_PROCESS_LIST, .filter = filter },
					 TMGR_NEVER, &request),
			0);
		infos = tmgr_process_request_infos(request, &count);
		assert_true(count <= filter.count_max);
		for (size_t i = 0; i < count; i++)
			sprintf(ret_ids + strlen(ret_ids), "%s ", infos[i].id);
		if (count > 0)
			snprintf(after, sizeof(after), "%s", infos[count - 1].id);
		tmgr_process_request_release(request);
	} while (count == filter.count_max);
}

static void a_list_has_the_first_ids_in_their_order_whatever_a_page_holds(void **state)
{
	char all[PROCESSES * 8] = "", over[PROCESSES * 8] = "", ids[PROCESSES * 8];
	struct durable durable = { 0 };

	for (unsigned i = 0; i < PROCESSES; i++) {
		sprintf(all + strlen(all), "p%02u ", i);
		if (ends(i))
			sprintf(over + strlen(over), "p%02u ", i);
	}
	start_all(&durable);
	for (size_t max = 1; max <= PROCESSES + 1; max++) {
		read_pages(&durable, (struct tmgr_process_filter){ .count_max = max }, ids);
		assert_string_equal(ids, all);
		read_pages(&durable,
			(struct tmgr_process_filter){
				.status = TMGR_PROCESS_FINISHED, .count_max = max },
			ids);
		assert_string_equal(ids, over);
		read_pages(&durable,
			(struct tmgr_process_filter){ .definition = "ends", .count_max = max },
			ids);
		assert_string_equal(ids, over);
	}
	durable_end(&durable);
}

static void a_list_of_nothing_is_empty(void **state)
{
	struct durable durable = { 0 };
	char ids[8];

	durable_begin(&durable, definitions);
	read_pages(&durable, (struct tmgr_process_filter){ .count_max = 5 }, ids);
	assert_string_equal(ids, "");
	durable_end(&durable);
	start_all(&durable);
	read_pages(&durable, (struct tmgr_process_filter){ .definition = "others", .count_max = 5 },
		ids);
	assert_string_equal(ids, "");
	durable_end(&durable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_test(a_list_has_the_first_ids_in_their_order_whatever_a_page_holds),
		leak_test(a_list_of_nothing_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
