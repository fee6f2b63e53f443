/* What to do next about one path: a pure function, apart from the calls that find out. */
#ifndef TAIL_DECIDE_H
#define TAIL_DECIDE_H

#include "identity.h"

/** Everything the decision may depend on. */
struct tail_view {
	bool known;        /* a file of this path was read before, now or in an earlier run */
	bool open;         /* and it is open */
	bool exists;       /* the path names a regular file now */
	bool same_inode;   /* which has the device and inode of the known file */
	bool head_matches; /* the known file begins with the bytes that were hashed */
	int64_t size;      /* of the known file: the open one, else what the path names now */
	int64_t offset;    /* up to which it was read */
};

enum tail_verdict {
	TAIL_WAIT,     /* there is nothing to read under this path */
	TAIL_BEGIN,    /* a file nobody knows yet: read it from byte 0 */
	TAIL_CONTINUE, /* the known file: read on at the offset */
	TAIL_RESTART,  /* truncated: finish a copy if there is one, then read from byte 0 */
	TAIL_REOPEN,   /* renamed, another file is here: finish the open one, then read this */
	TAIL_SEARCH, /* renamed while nobody looked: seek it beside the path, then as TAIL_REOPEN */
	TAIL_VERDICTS,
};

enum tail_verdict tail_decide(const struct tail_view *view);

const char *tail_verdict_name(enum tail_verdict verdict);

#endif
