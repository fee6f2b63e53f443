/*
 * Two buffers: the machine fills one, whoever writes empties the other. Both are as large; a step that
 * does not fit is dropped, which its successor's sequence shows.
 *
 * `lock` guards what is filled: held by the machine while it copies a step in, by the writer while it
 * swaps the buffers. `writing` is held by who writes, over the write itself, and is taken first. The
 * machine takes only `lock`, and waits for no disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "taskmgr/base/check.h"
#include "telemetry_recorder.h"

#define BUFFER_DEFAULT ((size_t)256 * 1024)
#define BUFFER_MAX ((size_t)1024 * 1024 * 1024)
/* How often a machine that does not hold still is looked at. */
#define TRIES 100
#define WRITE_DEFAULT (100 * TMGR_MILLISECOND)

/* ---- The machine's side --------------------------------------------------------------------- */

static void record(struct tmgr__step_source *source, const struct tmgr__step_draft *draft)
{
	struct tmgr_machine_recorder *recorder = container_of(
		source, struct tmgr_machine_recorder, source);
	bool was_below, is_above;

	tmgr__lock_acquire(&recorder->lock);
	__atomic_store_n(&recorder->sequence, recorder->sequence + 1, __ATOMIC_RELEASE);
	was_below = recorder->filled < recorder->size / 2;
	if (draft->size > recorder->size - recorder->filled) {
		recorder->dropped++;
	} else {
		tmgr__step_encode(recorder->filling + recorder->filled, draft, recorder->sequence,
			recorder->session_id);
		recorder->filled += draft->size;
	}
	is_above = recorder->filled >= recorder->size / 2;
	tmgr__lock_release(&recorder->lock);
	if (was_below && is_above)
		tmgr_flag_set(&recorder->half_full);
}

/* ---- The writer's side ---------------------------------------------------------------------- */

/* Write until all is, or an error. How many bytes that were is in *ret_written. */
static int write_all(int fd, const unsigned char *data, size_t size, size_t *ret_written)
{
	*ret_written = 0;
	while (*ret_written < size) {
		ssize_t n = write(fd, data + *ret_written, size - *ret_written);

		if (n > 0)
			*ret_written += (size_t)n;
		else if (n == 0)
			return -EIO;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Take what was filled, once all before is written. */
static void swap(struct tmgr_machine_recorder *recorder)
{
	unsigned char *empty = recorder->emptying;

	tmgr__lock_acquire(&recorder->lock);
	recorder->emptying = recorder->filling;
	recorder->end = recorder->filled;
	recorder->filling = empty;
	recorder->filled = 0;
	recorder->begin = 0;
	tmgr__lock_release(&recorder->lock);
	for (size_t at = 0; at < recorder->end;) {
		unsigned char *block = recorder->emptying + at;

		tmgr__block_set_sum(block);
		at += tmgr__block_length(block);
	}
}

/* Write what was taken, from where the last write ended: also amid a step. */
static int empty(struct tmgr_machine_recorder *recorder)
{
	size_t written;
	int r;

	r = write_all(recorder->fd, recorder->emptying + recorder->begin,
		recorder->end - recorder->begin, &written);
	tmgr__lock_acquire(&recorder->lock);
	recorder->begin += written;
	recorder->written += written;
	recorder->error = r;
	tmgr__lock_release(&recorder->lock);
	return r;
}

int tmgr_machine_recorder_write(struct tmgr_machine_recorder *recorder)
{
	int r;

	if (!recorder)
		return -EINVAL;
	tmgr__lock_acquire(&recorder->writing);
	r = empty(recorder);
	if (r == 0) {
		swap(recorder);
		r = empty(recorder);
	}
	tmgr__lock_release(&recorder->writing);
	return r;
}

int tmgr_machine_recorder_stats(
	struct tmgr_machine_recorder *recorder, struct tmgr_machine_recorder_stats *ret_stats)
{
	if (!recorder || !ret_stats)
		return -EINVAL;
	tmgr__lock_acquire(&recorder->lock);
	*ret_stats = (struct tmgr_machine_recorder_stats){
		.steps = recorder->sequence,
		.dropped = recorder->dropped,
		.written = recorder->written,
		.waiting = recorder->filled + recorder->end - recorder->begin,
		.error = recorder->error,
	};
	tmgr__lock_release(&recorder->lock);
	return 0;
}

/* ---- Beginning and ending ------------------------------------------------------------------- */

static int64_t time_of_day(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * TMGR_SECOND + now.tv_nsec;
}

/* Whether a file that is not empty is one of ours: or one that the system lost the begin of, which
 * does not keep a daemon from starting. */
static bool is_recording(int fd)
{
	static const unsigned char lost[sizeof(tmgr__block_magic)];
	unsigned char magic[sizeof(tmgr__block_magic)];
	ssize_t n = pread(fd, magic, sizeof(magic), TMGR__BLOCK_MAGIC_AT);

	return n < (ssize_t)sizeof(magic) || memcmp(magic, tmgr__block_magic, sizeof(magic)) == 0 ||
	       memcmp(magic, lost, sizeof(magic)) == 0;
}

static int open_file(struct tmgr_machine_recorder *recorder, const char *path, off_t *ret_size)
{
	struct stat about;

	recorder->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
	if (recorder->fd < 0 || fstat(recorder->fd, &about) < 0)
		return -errno;
	if (!S_ISREG(about.st_mode))
		return -EINVAL;
	if (flock(recorder->fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	/* Once it is locked nobody else makes it longer. */
	if (fstat(recorder->fd, &about) < 0)
		return -errno;
	*ret_size = about.st_size;
	return about.st_size == 0 || is_recording(recorder->fd) ? 0 : -EINVAL;
}

/*
 * How the machine stands, and what was recorded so far is part of that. If a step is recorded while it is
 * looked at, it is looked at again. One that is being made may be seen in part: its step will say the
 * rest, for ticks in steps are absolute.
 */
static int begin(struct tmgr_machine_recorder *recorder)
{
	bool steady = false;

	for (int i = 0; i < TRIES && !steady; i++) {
		uint64_t before = __atomic_load_n(&recorder->sequence, __ATOMIC_ACQUIRE);

		free(recorder->session);
		recorder->session = tmgr__session_encode(
			&recorder->source, tmgr_now(), recorder->time_of_day);
		if (!recorder->session)
			return -ENOMEM;
		tmgr__lock_acquire(&recorder->lock);
		steady = recorder->sequence == before || i == TRIES - 1;
		if (steady) {
			recorder->filled = 0;
			recorder->sequence = recorder->dropped = 0;
			recorder->session_id = tmgr__session_id(recorder->session);
		}
		tmgr__lock_release(&recorder->lock);
	}
	return 0;
}

/* The session, at a multiple of 8, where a reader looks for it; or the file is as it was. */
static int write_session(struct tmgr_machine_recorder *recorder, off_t size)
{
	static const unsigned char zeros[8];
	size_t written;
	int r;

	tmgr__block_set_sum(recorder->session);
	r = write_all(recorder->fd, zeros, (size_t)(-size & 7), &written);
	if (r == 0)
		r = write_all(recorder->fd, recorder->session,
			tmgr__block_length(recorder->session), &written);
	if (r < 0 && ftruncate(recorder->fd, size) < 0)
		return r;
	recorder->written = r == 0 ? written : 0;
	return r;
}

static void release(struct tmgr_machine_recorder *recorder)
{
	if (recorder->fd >= 0)
		close(recorder->fd);
	tmgr_flag_fini(&recorder->half_full);
	tmgr__step_source_fini(&recorder->source);
	free(recorder->filling);
	free(recorder->emptying);
	free(recorder->session);
	free(recorder);
}

static int make_buffers(struct tmgr_machine_recorder *recorder, size_t size)
{
	size_t most = tmgr__step_source_max(&recorder->source);

	recorder->size = size == 0 ? BUFFER_DEFAULT : size;
	if (recorder->size < most)
		recorder->size = most;
	recorder->filling = malloc(recorder->size);
	recorder->emptying = malloc(recorder->size);
	if (!recorder->filling || !recorder->emptying)
		return -ENOMEM;
	/* The system gives pages when they are first written: now, not to the machine. */
	memset(recorder->filling, 0, recorder->size);
	memset(recorder->emptying, 0, recorder->size);
	return 0;
}

static int start(struct tmgr_machine_recorder *recorder, off_t size)
{
	int r = tmgr__step_source_trace(&recorder->source, record);

	if (r < 0)
		return r;
	r = begin(recorder);
	if (r == 0)
		r = write_session(recorder, size);
	if (r < 0)
		tmgr__step_source_untrace(&recorder->source);
	free(recorder->session);
	recorder->session = NULL;
	return r;
}

int tmgr_machine_recorder_create(struct tmgr_machine *machine, const char *path,
	const struct tmgr_machine_recorder_options *options,
	struct tmgr_machine_recorder **ret_recorder)
{
	static const struct tmgr_machine_recorder_options defaults;
	struct tmgr_machine_recorder *recorder;
	off_t size = 0;
	int r;

	options = options ? options : &defaults;
	if (!machine || !path || !ret_recorder || options->buffer_max > BUFFER_MAX ||
		options->write_ns < 0 || options->time_of_day < 0)
		return -EINVAL;
	recorder = calloc(1, sizeof(*recorder));
	if (!recorder)
		return -ENOMEM;
	recorder->fd = -1;
	recorder->write_ns = options->write_ns ? options->write_ns : WRITE_DEFAULT;
	recorder->time_of_day = options->time_of_day ? options->time_of_day : time_of_day();
	tmgr_flag_init(&recorder->half_full);
	r = tmgr__step_source_init(&recorder->source, machine);
	if (r == 0)
		r = make_buffers(recorder, options->buffer_max);
	if (r == 0)
		r = open_file(recorder, path, &size);
	if (r == 0)
		r = start(recorder, size);
	if (r < 0) {
		release(recorder);
		return r;
	}
	*ret_recorder = recorder;
	return 0;
}

void tmgr_machine_recorder_destroy(struct tmgr_machine_recorder *recorder)
{
	if (!recorder)
		return;
	tmgr__step_source_untrace(&recorder->source);
	tmgr_machine_recorder_write(recorder);
	release(recorder);
}
