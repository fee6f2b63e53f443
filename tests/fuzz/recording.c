/*
 * Any bytes are read as a recording, or as damage that says where; what is read can be told. The first
 * byte says whether checksums are put right, so that what is behind them is reached.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <taskmgr/tasks/machine_telemetry.h>

#include "tasks/machine/telemetry_block.h"
#include "tests/support/fuzz.h"

#define SIZE_MOST 8192

static void put_sums_right(unsigned char *data, size_t size)
{
	size_t at = 0;

	while (size - at >= TMGR__BLOCK_HEAD) {
		uint32_t length = tmgr__block_length(data + at);

		if (!tmgr__block_length_ok(length) || length > size - at)
			return;
		tmgr__block_set_sum(data + at);
		at += length;
	}
}

static void states_are_there(
	const struct tmgr_step_states *states, const struct tmgr_step_machine *machine)
{
	must(states->count <= machine->count);
	for (size_t i = 0; i < states->count; i++)
		must(states->items[i] < machine->count);
}

static void tell(size_t (*write)(const void *item, char *buffer, size_t size), const void *item)
{
	size_t length = write(item, NULL, 0);
	char *text = malloc(length + 1);

	must(text);
	must(write(item, text, length + 1) == length);
	must(strlen(text) == length && !strchr(text, '\n'));
	free(text);
}

static size_t step_json(const void *item, char *buffer, size_t size)
{
	return tmgr_step_json(item, buffer, size);
}

static size_t step_format(const void *item, char *buffer, size_t size)
{
	return tmgr_step_format(item, buffer, size);
}

static size_t session_json(const void *item, char *buffer, size_t size)
{
	return tmgr_session_json(item, buffer, size);
}

static size_t session_format(const void *item, char *buffer, size_t size)
{
	return tmgr_session_format(item, buffer, size);
}

static void look_at_step(const struct tmgr_machine_step *step)
{
	states_are_there(&step->called, step->machine);
	states_are_there(&step->exits, step->machine);
	states_are_there(&step->enters, step->machine);
	states_are_there(&step->active, step->machine);
	tell(step_json, step);
	tell(step_format, step);
}

static void look_at_session(const struct tmgr_recording_session *session)
{
	states_are_there(&session->active, &session->machine);
	tell(session_json, session);
	tell(session_format, session);
}

static void read_recording(const char *path, size_t size)
{
	struct tmgr_recording *recording;
	uint64_t last = 0;
	int r;

	must(tmgr_recording_open(path, &recording) == 0);
	for (size_t items = 0; (r = tmgr_recording_next(recording)) != TMGR_RECORDING_END;
		items++) {
		uint64_t offset = tmgr_recording_offset(recording);

		/* It comes to an end. An item that is damaged is told once, and may be where the
		 * last one that is whole began. */
		must(items <= size / 8 + 1 && offset >= last && offset <= size);
		last = offset;
		if (r == TMGR_RECORDING_STEP)
			look_at_step(tmgr_recording_step(recording));
		else if (r == TMGR_RECORDING_SESSION)
			look_at_session(tmgr_recording_session(recording));
		else
			must(r == -EBADMSG && tmgr_recording_problem(recording)[0]);
	}
	must(tmgr_recording_next(recording) == TMGR_RECORDING_END);
	tmgr_recording_close(recording);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char copy[SIZE_MOST];
	char path[64];
	int fd;

	if (size < 1 || size > SIZE_MOST)
		return 0;
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 1)
		put_sums_right(copy, size - 1);
	fd = memfd_create("recording", MFD_CLOEXEC);
	must(fd >= 0);
	must(write(fd, copy, size - 1) == (ssize_t)(size - 1));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_recording(path, size - 1);
	close(fd);
	return 0;
}
