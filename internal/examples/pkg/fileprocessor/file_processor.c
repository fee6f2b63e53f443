#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "file_processor.h"

#include "internal/examples/pkg/fileprocessor/file_processor_machine.h"

/* Blocking work, in a task of its own: it is cancelled when the state ends. */
static int count_lines(struct tmgr_context *context, int fd, long *ret_lines)
{
	char buffer[4096];
	ssize_t n;
	long lines = 0;
	int r;

	/* A pipe may have nothing to give: that is waited for where a cancel is heard. */
	while ((r = tmgr_wait_fd(context, fd, TMGR_FD_READ, TMGR_NEVER)) >= 0) {
		n = read(fd, buffer, sizeof(buffer));
		if (n < 0 && errno != EAGAIN)
			return tmgr_fail(context, -errno, "reading");
		if (n == 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			lines += buffer[i] == '\n';
	}
	*ret_lines = lines;
	return r < 0 ? r : 0;
}

static int process_file(void *self, struct tmgr_context *context)
{
	struct file_processor *processor = self;
	int fd = open(processor->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int r;

	/* What is returned adds the state Exception. */
	if (fd < 0)
		return tmgr_fail(context, -errno, "opening %s", processor->path);
	r = count_lines(context, fd, &processor->lines);
	close(fd);
	if (r == 0)
		file_processor_add_file_processed(processor->machine, NULL);
	return r;
}

/* A negotiation handler only reads, and decides. */
static bool processing_file_enter(void *self, struct tmgr_machine_event *event)
{
	const struct file_processor *processor = self;

	return processor->path[0] != '\0';
}

/* A final handler reads and writes, but does not block. */
static void processing_file_state(void *self, struct tmgr_machine_event *event)
{
	int r = tmgr_state_task(event, tmgr_task_function(process_file, self), NULL);

	if (r < 0)
		tmgr_machine_fail(event, r, "a task could not be started");
}

static const struct tmgr_state_handlers rows[FILE_PROCESSOR__STATES] = {
	[FILE_PROCESSOR_PROCESSING_FILE] = {
		.enter = processing_file_enter,
		.state = processing_file_state,
	},
};

static const struct tmgr_machine_handlers handlers = {
	.states = rows,
	.state_count = FILE_PROCESSOR__STATES,
};

int file_processor_init(struct file_processor *processor, const char *path)
{
	struct tmgr_schema *schema;
	int r = file_processor_compile(&schema);

	if (r < 0)
		return r;
	*processor = (struct file_processor){ .path = path };
	r = tmgr_machine_create(schema, NULL, &processor->machine);
	tmgr_schema_unref(schema);
	if (r == 0)
		r = tmgr_machine_bind(processor->machine, &handlers, processor);
	if (r < 0)
		file_processor_fini(processor);
	return r;
}

void file_processor_fini(struct file_processor *processor)
{
	tmgr_machine_unref(processor->machine);
	processor->machine = NULL;
}

struct tmgr_task file_processor_task(struct file_processor *processor)
{
	struct tmgr_machine_task_options options = {
		.done = TMGR_STATES(FILE_PROCESSOR_FILE_PROCESSED),
	};

	return tmgr_machine_task(tmgr_machine_ref(processor->machine), &options);
}

int file_processor_run(
	struct file_processor *processor, struct tmgr_context *context, int64_t deadline)
{
	int r = file_processor_add_processing_file(processor->machine, NULL);

	if (r != TMGR_MUTATION_EXECUTED)
		return r < 0 ? r : -EINVAL;
	return tmgr_machine_wait_or_error(
		context, processor->machine, &TMGR_WHEN(FILE_PROCESSOR_FILE_PROCESSED), deadline);
}
