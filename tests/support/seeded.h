/*
 * What random tests follow from: a seed, which each prints when it begins and takes back from SEED.
 */
#ifndef TESTS_SUPPORT_SEEDED_H
#define TESTS_SUPPORT_SEEDED_H

#include <stdint.h>

/* SEED, or one of the moment, which fits 32 bits. */
uint64_t seed_of_this_run(void);

/* The next number that follows from one, by splitmix64. */
uint64_t seeded_draw(uint64_t *state);

/*
 * Have something run from that seed, from the next, and so on, for SECONDS, or 5; `what` is its name,
 * in plural. Where one run takes more than a minute it hangs, and the program ends.
 */
void seeded_runs(const char *what, void (*run)(uint64_t seed));

#endif
