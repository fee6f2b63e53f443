/*
 * What a recorder and its task share.
 */
#ifndef TMGR__TELEMETRY_RECORDER_H
#define TMGR__TELEMETRY_RECORDER_H

#include <taskmgr/sync.h>
#include <taskmgr/tasks/machine_tracer.h>

#include "taskmgr/base/sync.h"
#include "telemetry_block.h"

struct tmgr_machine_recorder {
	struct tmgr__step_source source;
	struct tmgr_flag half_full; /* set when it becomes so, for the task */
	int64_t write_ns;
	int fd;

	struct tmgr__lock lock;
	unsigned char *filling;
	size_t size, filled; /* of each buffer; of the one that is filled */
	uint64_t sequence, dropped, written;
	uint32_t session_id;
	int error;

	struct tmgr__lock writing;
	unsigned char *emptying;
	size_t begin, end; /* what of it is to be written; changed under both locks */

	unsigned char *session; /* while it is created */
	int64_t time_of_day;
};

#endif
