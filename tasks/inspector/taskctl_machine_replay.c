#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <taskmgr/error.h>
#include <taskmgr/tasks/machine_telemetry.h>

#include "taskctl_machine.h"

static const char usage[] = "taskctl machine replay [--json] FILE";

/* Lines of any length. */
struct line {
	char *text;
	size_t size;
};

struct replay {
	const char *path;
	bool json;
	struct line line;
	bool damaged, out_of_memory;
	size_t sessions;
};

/* Room for so many bytes and a NUL; false: out of memory. */
static bool has_room(struct replay *replay, size_t length)
{
	struct line *line = &replay->line;
	char *text;

	if (length < line->size)
		return true;
	text = realloc(line->text, length + 1);
	if (!text) {
		replay->out_of_memory = true;
		return false;
	}
	line->text = text;
	line->size = length + 1;
	return true;
}

static void print_session(struct replay *replay, const struct tmgr_recording_session *session)
{
	size_t (*write)(const struct tmgr_recording_session *, char *,
		size_t) = replay->json ? tmgr_session_json : tmgr_session_format;

	replay->sessions++;
	if (!has_room(replay, write(session, NULL, 0)))
		return;
	write(session, replay->line.text, replay->line.size);
	printf("%s\n", replay->line.text);
}

static void print_step(struct replay *replay, const struct tmgr_machine_step *step)
{
	size_t (*write)(const struct tmgr_machine_step *, char *,
		size_t) = replay->json ? tmgr_step_json : tmgr_step_format;

	if (!replay->json && step->lost > 0)
		printf("(%" PRIu64 " steps were dropped here)\n", step->lost);
	if (!has_room(replay, write(step, NULL, 0)))
		return;
	write(step, replay->line.text, replay->line.size);
	printf("%s\n", replay->line.text);
}

static void print_damage(struct replay *replay, const struct tmgr_recording *recording)
{
	replay->damaged = true;
	/* Behind what stands before it, where both go to one place. */
	fflush(stdout);
	taskctl_error("%s: at byte %" PRIu64 ": %s", replay->path, tmgr_recording_offset(recording),
		tmgr_recording_problem(recording));
}

/* All items; 0, or why it ended early. */
static int print_all(struct replay *replay, struct tmgr_recording *recording)
{
	int r;

	while ((r = tmgr_recording_next(recording)) != TMGR_RECORDING_END) {
		if (r == TMGR_RECORDING_SESSION)
			print_session(replay, tmgr_recording_session(recording));
		else if (r == TMGR_RECORDING_STEP)
			print_step(replay, tmgr_recording_step(recording));
		else if (r == -EBADMSG)
			print_damage(replay, recording);
		else
			return r;
		if (replay->out_of_memory)
			return -ENOMEM;
		/* Nobody reads any more, or there is no room; main() says so. */
		if (ferror(stdout))
			return 0;
	}
	return 0;
}

static int replay_file(struct replay *replay)
{
	struct tmgr_recording *recording;
	int r = tmgr_recording_open(replay->path, &recording);

	if (r == 0) {
		r = print_all(replay, recording);
		tmgr_recording_close(recording);
	}
	free(replay->line.text);
	if (r < 0) {
		taskctl_error("%s: %s", replay->path, tmgr_strerror(r));
		return TASKCTL_FAILED;
	}
	if (replay->sessions == 0 && !replay->damaged) {
		taskctl_error("%s: nothing is recorded here", replay->path);
		return TASKCTL_FAILED;
	}
	return replay->damaged ? TASKCTL_FAILED : TASKCTL_DONE;
}

int taskctl_machine_replay(int argc, char **argv)
{
	static const struct option names[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct replay replay = { 0 };
	int option;

	while ((option = taskctl_option(argc, argv, "h", names)) >= 0)
		switch (option) {
		case 'j':
			replay.json = true;
			break;
		case 'h':
			return taskctl_usage(usage);
		default:
			return taskctl_bad_usage(usage);
		}
	if (optind + 1 != argc)
		return taskctl_bad_usage(usage);
	replay.path = argv[optind];
	return replay_file(&replay);
}
