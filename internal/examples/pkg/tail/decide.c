#include "decide.h"

enum tail_verdict tail_decide(const struct tail_view *view)
{
	if (!view->known)
		return view->exists ? TAIL_BEGIN : TAIL_WAIT;
	if (!view->exists)
		return view->open ? TAIL_CONTINUE : TAIL_SEARCH;
	if (!view->same_inode)
		return view->open ? TAIL_REOPEN : TAIL_SEARCH;
	/* Shorter than what was read: truncated. As long or longer: truncated and grown again,
	 * which only the head can tell. */
	if (view->size < view->offset || !view->head_matches)
		return TAIL_RESTART;
	return TAIL_CONTINUE;
}

const char *tail_verdict_name(enum tail_verdict verdict)
{
	static const char *const names[TAIL_VERDICTS] = {
		[TAIL_WAIT] = "wait",
		[TAIL_BEGIN] = "begin",
		[TAIL_CONTINUE] = "continue",
		[TAIL_RESTART] = "restart",
		[TAIL_REOPEN] = "reopen",
		[TAIL_SEARCH] = "search",
	};

	return (unsigned)verdict < TAIL_VERDICTS ? names[verdict] : "unknown";
}
