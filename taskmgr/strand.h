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
	/* Of one thread, which counts them without a locked operation: */
	struct tmgr__strand
		*tied_to; /* that it is below; NULL: it has a reference to the token above */
	uint32_t tied;    /* so many below it have none to its token */
	bool given_back;  /* by its owner; those have one each since */
	/* Once it has failed: */
	struct tmgr_report_entry entry;
	struct tmgr__strand *next_kept;
	char text[TMGR__ERROR_TEXT_SIZE];
};

/* Put a token that is adopted and not linked below its parent for all to see: only strands' are so. */
void tmgr__strand_link(struct tmgr_token *token);

#endif
