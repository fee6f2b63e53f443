#include "tests/support/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int recording_setup(void **state)
{
	char *path = strdup("/tmp/recording.XXXXXX");
	int fd;

	assert_non_null(path);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	*state = path;
	return 0;
}

int recording_teardown(void **state)
{
	unlink(*state);
	free(*state);
	return 0;
}

struct tmgr_machine_recorder *recording_make(
	struct tmgr_machine *machine, const char *path, size_t buffer_max)
{
	const struct tmgr_machine_recorder_options options = {
		.buffer_max = buffer_max,
		.time_of_day = INT64_C(1795233600000000000),
	};
	struct tmgr_machine_recorder *recorder;

	assert_int_equal(tmgr_machine_recorder_create(machine, path, &options, &recorder), 0);
	return recorder;
}

void recording_read(const char *path, struct recording_read *reading)
{
	struct tmgr_recording *recording;
	int r;

	memset(reading, 0, sizeof(*reading));
	assert_int_equal(tmgr_recording_open(path, &recording), 0);
	while ((r = tmgr_recording_next(recording)) != TMGR_RECORDING_END) {
		const struct tmgr_machine_step *step = tmgr_recording_step(recording);

		assert_true((r == TMGR_RECORDING_STEP) == (step != NULL));
		if (r == TMGR_RECORDING_SESSION) {
			assert_non_null(tmgr_recording_session(recording));
			reading->sessions++;
		} else if (r == TMGR_RECORDING_STEP) {
			reading->steps++;
			reading->lost += step->lost;
			reading->last = step->number;
			tmgr_step_format(step, reading->text, sizeof(reading->text));
		} else if (r == -EBADMSG) {
			assert_true(++reading->damages < 100);
			reading->offset = tmgr_recording_offset(recording);
			snprintf(reading->problem, sizeof(reading->problem), "%s",
				tmgr_recording_problem(recording));
		} else {
			reading->error = r;
			break;
		}
	}
	tmgr_recording_close(recording);
}

size_t recording_bytes(const char *path, unsigned char *data, size_t size)
{
	FILE *file = fopen(path, "rb");
	size_t n;

	assert_non_null(file);
	n = fread(data, 1, size, file);
	assert_true(n < size);
	fclose(file);
	return n;
}

void recording_replace(const char *path, const unsigned char *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, size, 0), (ssize_t)size);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

void recording_limit(rlim_t size)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}
