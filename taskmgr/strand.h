/*
 * Strands from inside.
 */
#ifndef TMGR__STRAND_H
#define TMGR__STRAND_H

#include <errno.h>

#include <taskmgr/report.h>

#include "context.h"

struct tmgr__strand {
	struct tmgr_context context;
	struct tmgr_token token;
	void (*release)(void *owner);
	void *owner;
	/* Once it has failed: */
	struct tmgr_report_entry entry;
	struct tmgr__strand *next_kept;
	char text[TMGR__ERROR_TEXT_SIZE];
};

#endif
