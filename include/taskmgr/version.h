/**
 * @file
 * Version of the library, and the macros every public header uses.
 */
#ifndef TMGR_VERSION_H
#define TMGR_VERSION_H

#define TMGR_VERSION_MAJOR 0
#define TMGR_VERSION_MINOR 1
#define TMGR_VERSION_PATCH 0
#define TMGR_VERSION_STRING "0.1.0"
/** One number that grows with each version: major * 10000 + minor * 100 + patch. */
#define TMGR_VERSION (TMGR_VERSION_MAJOR * 10000 + TMGR_VERSION_MINOR * 100 + TMGR_VERSION_PATCH)

#ifdef __cplusplus
#define TMGR_BEGIN_DECLS extern "C" {
#define TMGR_END_DECLS }
#else
#define TMGR_BEGIN_DECLS
#define TMGR_END_DECLS
#endif

/** Marks what the shared library exports. */
#define TMGR_API __attribute__((visibility("default")))
/** Lets the compiler check a format and its arguments. */
#define TMGR_PRINTF(text, arguments) __attribute__((format(printf, text, arguments)))

TMGR_BEGIN_DECLS

/**
 * Version of the library that is linked, which may be newer than the headers.
 *
 * @return TMGR_VERSION_STRING of the library; static, never NULL
 *
 * @thread any thread, async-signal-safe
 */
TMGR_API const char *tmgr_version(void);

TMGR_END_DECLS

#endif
