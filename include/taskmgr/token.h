/**
 * @file
 * Cancellation tokens: a tree of flags. Firing one fires all below it, once, for ever.
 *
 * A token is reference counted and holds its parent. Every function takes any thread unless it says
 * otherwise, and a NULL token is one that never fires.
 */
#ifndef TMGR_TOKEN_H
#define TMGR_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <taskmgr/time.h>

/** A token has at most this many ancestors. */
#define TMGR_TOKEN_DEPTH_MAX 64
/** Bytes kept of a cause's text, its terminating NUL included; longer texts are cut. */
#define TMGR_CAUSE_TEXT_SIZE 64

struct tmgr_token;

/** Why a token fired. */
enum tmgr_reason {
	TMGR_REASON_NONE,        /**< it has not */
	TMGR_REASON_CANCELLED,   /**< somebody asked for it */
	TMGR_REASON_SIGNAL,      /**< a signal; code is its number */
	TMGR_REASON_TASK_FAILED, /**< a task failed; code is its error, text its name */
	TMGR_REASON_GROUP_DONE,  /**< the last member of a stop group ended; text is the group */
	TMGR_REASON_DEADLINE,    /**< its deadline passed */
	TMGR_REASON_LIMIT,       /**< a limit was reached */
};

/** Why a token fired, in full. */
struct tmgr_cause {
	enum tmgr_reason reason;
	int code;                        /**< 0, a negative errno or a signal's number */
	char text[TMGR_CAUSE_TEXT_SIZE]; /**< may be empty */
};

/**
 * A callback on a token: memory of the caller, so that firing never allocates.
 *
 * All fields are the library's. It must stay in place from tmgr_token_register() until it has been
 * called or tmgr_token_unregister() has returned.
 */
struct tmgr_token_callback {
	struct tmgr_token_callback *next, *previous;
	struct tmgr_token *token;
	void (*function)(void *self);
	void *self;
};

TMGR_BEGIN_DECLS

/**
 * Make a token.
 *
 * @param parent     NULL for a root; referenced until the new token ends
 * @param ret_token  returned, release with tmgr_token_unref(); already fired where the parent is
 *
 * @retval 0        made
 * @retval -EINVAL  ret_token is NULL
 * @retval -ELOOP   the parent has TMGR_TOKEN_DEPTH_MAX ancestors
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 */
TMGR_API int tmgr_token_create(struct tmgr_token *parent, struct tmgr_token **ret_token);

/**
 * Take a reference.
 *
 * @param token  NULL is allowed
 *
 * @return token
 *
 * @thread any thread
 */
TMGR_API struct tmgr_token *tmgr_token_ref(struct tmgr_token *token);

/**
 * Give a reference back; the last one ends the token. A token that ends does not fire.
 *
 * @param token  NULL is allowed
 *
 * @thread any thread
 */
TMGR_API void tmgr_token_unref(struct tmgr_token *token);

/**
 * Whether a token has fired: one acquire load.
 *
 * @param token  NULL never fires
 *
 * @return true for ever from the moment it fired
 *
 * @thread any thread, async-signal-safe
 */
static inline bool tmgr_token_fired(const struct tmgr_token *token)
{
	/* A token begins with its flag; the rest of it is private. */
	return token != NULL && __atomic_load_n((const int *)(const void *)token, __ATOMIC_ACQUIRE);
}

/**
 * Fire a token and all below it, with the reason TMGR_REASON_CANCELLED.
 *
 * The whole subtree is marked before the first callback is called; callbacks run on this thread,
 * with no lock held. Nothing is allocated.
 *
 * @param token  the token
 * @param code   detail: 0 or a negative errno
 * @param text   detail, copied, cut to TMGR_CAUSE_TEXT_SIZE; may be NULL
 *
 * @retval 0          fired
 * @retval -EALREADY  it had fired; its cause stays
 * @retval -EINVAL    token is NULL
 *
 * @thread any thread; not from a signal handler
 * @source goasync: context.CancelFunc
 */
TMGR_API int tmgr_token_cancel(struct tmgr_token *token, int code, const char *text);

/**
 * Fire a token with any cause.
 *
 * @param token  the token
 * @param cause  copied; its reason is not TMGR_REASON_NONE
 *
 * @retval 0          fired
 * @retval -EALREADY  it had fired; its cause stays
 * @retval -EINVAL    token or cause is NULL, or the reason is none or unknown
 *
 * @thread any thread; not from a signal handler
 */
TMGR_API int tmgr_token_fire(struct tmgr_token *token, const struct tmgr_cause *cause);

/**
 * Why a token fired.
 *
 * @param token      the token
 * @param ret_cause  written when it has fired
 *
 * @retval 0        it has fired
 * @retval -EAGAIN  it has not
 * @retval -EINVAL  token or ret_cause is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_token_cause(const struct tmgr_token *token, struct tmgr_cause *ret_cause);

/**
 * Give a token a deadline. Waits end at it. Below a manager that runs, the watcher also fires the
 * token then; elsewhere the first wait that notices does. The earliest deadline given holds.
 *
 * @param token     the token
 * @param deadline  absolute, monotonic, nanoseconds
 *
 * @retval 0          set
 * @retval -EALREADY  it has fired
 * @retval -EINVAL    token is NULL
 *
 * @thread any thread
 */
TMGR_API int tmgr_token_set_deadline(struct tmgr_token *token, int64_t deadline);

/**
 * When a token fires by itself: the earliest deadline of it and its ancestors.
 *
 * @param token  NULL never does
 *
 * @return an absolute time in nanoseconds, or TMGR_NEVER
 *
 * @thread any thread
 */
TMGR_API int64_t tmgr_token_deadline(const struct tmgr_token *token);

/**
 * A descriptor that becomes readable when the token fires, for poll() and foreign event loops.
 *
 * Made at the first call, closed when the token ends; borrowed, never read from it.
 *
 * @param token  the token
 *
 * @return the descriptor, or
 * @retval -EINVAL  token is NULL
 * @retval -EMFILE  too many descriptors (also -ENFILE)
 * @retval -ENOMEM  out of memory
 *
 * @thread any thread
 */
TMGR_API int tmgr_token_fd(struct tmgr_token *token);

/**
 * Have a function called when the token fires; at once, by this thread, if it has.
 *
 * The function is called at most once, by the thread that fires, with no lock held. It must be
 * short, must not wait, and must take no lock that somebody holds while unregistering it.
 *
 * @param token     the token
 * @param callback  borrowed until it was called or is unregistered
 * @param function  called with self
 * @param self      for function
 *
 * @retval 0        registered, or called
 * @retval -EINVAL  token, callback or function is NULL
 *
 * @thread any thread
 * @source C++ std::stop_callback
 */
TMGR_API int tmgr_token_register(struct tmgr_token *token, struct tmgr_token_callback *callback,
	void (*function)(void *self), void *self);

/**
 * Take a callback back. If it is running on another thread, wait for its end; from inside it, do
 * not. Afterwards it will not be called and its memory is the caller's.
 *
 * @param callback  one that was registered; NULL, or one never registered and all zero, is allowed
 *
 * @return true if it was taken back before it was called
 *
 * @thread any thread; may block for as long as the callback runs
 */
TMGR_API bool tmgr_token_unregister(struct tmgr_token_callback *callback);

TMGR_END_DECLS

#endif
