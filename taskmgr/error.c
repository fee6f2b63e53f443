#include <taskmgr/error.h>

#include <limits.h>
#include <string.h>

const char *tmgr_strerror(int error)
{
	const char *text;

	if (error < 0 && error != INT_MIN)
		error = -error;
	switch (error) {
	case TMGR_EUNEXPECTED:
		return "ended unexpectedly";
	case TMGR_ESTUCK:
		return "stuck";
	case TMGR_EFAILED:
		return "failed";
	default:
		/* Not strerror(): its memory is shared between threads. */
		text = strerrordesc_np(error);
		return text ? text : "unknown error";
	}
}
