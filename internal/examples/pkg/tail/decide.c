#include "decide.h"

enum tail_verdict tail_decide(const struct tail_view *view)
{
	/* Shorter than what was read: truncated. As long or longer: truncated and grown again,
	 * which only the head can tell. */
	bool cut = view->size < view->offset || !view->head_matches;

	if (!view->known)
		return view->exists ? TAIL_BEGIN : TAIL_WAIT;
	/* First, for it may have been cut and then renamed, which is the next decision. */
	if (view->open && cut)
		return TAIL_RESTART;
	if (view->open)
		return view->exists && !view->same_inode ? TAIL_REOPEN : TAIL_CONTINUE;
	if (!view->exists || !view->same_inode)
		return TAIL_SEARCH;
	return cut ? TAIL_RESTART : TAIL_CONTINUE;
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
