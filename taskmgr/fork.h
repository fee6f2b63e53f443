/*
 * Forks: a child has none of the threads of its parent, so managers that have run there refuse
 * their calls.
 */
#ifndef TMGR__FORK_H
#define TMGR__FORK_H

/* A number above 0 that is another one in each forked child. */
unsigned tmgr__fork_generation(void);

#endif
