/*
 * What the two files of tokens share: token.c, which has the tree and its callbacks, and
 * token_deadline.c, which has what fires them when it is late.
 */
#ifndef TMGR__TOKEN_INSIDE_H
#define TMGR__TOKEN_INSIDE_H

#include "token.h"

static inline bool tmgr__token_ref_unless_ending(struct tmgr_token *token)
{
	uint32_t refs = __atomic_load_n(&token->refs, __ATOMIC_RELAXED);

	while (refs > 0) {
		if (__atomic_compare_exchange_n(&token->refs, &refs, refs + 1, true,
			    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

static inline bool tmgr__token_lower_limit(struct tmgr_token *token, int64_t limit)
{
	int64_t before = __atomic_load_n(&token->limit, __ATOMIC_RELAXED);

	while (limit < before)
		if (__atomic_compare_exchange_n(&token->limit, &before, limit, true,
			    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* token_deadline.c: under the token's lock, tell those below it of an earlier deadline. */
void tmgr__token_lower_below(struct tmgr_token *token, int64_t limit);

/*
 * token_deadline.c: under its lock, take a token out of its timers; it will not be fired by them
 * afterwards. One that is its own source was taken out when it became that: its cause stands where
 * the timer was.
 */
void tmgr__token_stop_timer(struct tmgr_token *token);

#endif
