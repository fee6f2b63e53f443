/**
 * @file
 * Errors: negative errno values, and three of ours outside its range.
 */
#ifndef TMGR_ERROR_H
#define TMGR_ERROR_H

#include <taskmgr/version.h>

/** A task ended that was expected to run until it is told to stop. */
#define TMGR_EUNEXPECTED 5001
/** A task did not end by its deadline and was left behind. */
#define TMGR_ESTUCK 5002
/** A task returned a positive value; the value is kept as detail. */
#define TMGR_EFAILED 5003

TMGR_BEGIN_DECLS

/**
 * Text of an error.
 *
 * @param error  a negative or positive errno, or one of ours
 *
 * @return a static text, never NULL: "unknown error" where there is no better one
 *
 * @thread any thread, async-signal-safe
 */
TMGR_API const char *tmgr_strerror(int error);

TMGR_END_DECLS

#endif
