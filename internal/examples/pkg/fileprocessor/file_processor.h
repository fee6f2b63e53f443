/*
 * A machine that processes a file: counts its lines. Add ProcessingFile, and wait for FileProcessed.
 */
#ifndef FILEPROCESSOR_FILE_PROCESSOR_H
#define FILEPROCESSOR_FILE_PROCESSOR_H

#include <taskmgr/taskmgr.h>

struct file_processor {
	const char *path; /* borrowed */
	long lines;       /* once it is processed */
	struct tmgr_machine *machine;
};

/* 0 or a negative errno; ended with file_processor_fini(). */
int file_processor_init(struct file_processor *processor, const char *path);
void file_processor_fini(struct file_processor *processor);

/* Its task: ends when the file is processed. */
struct tmgr_task file_processor_task(struct file_processor *processor);

/* Have the file processed: 0, -ETIMEDOUT, or what was wrong with it. */
int file_processor_run(
	struct file_processor *processor, struct tmgr_context *context, int64_t deadline);

#endif
