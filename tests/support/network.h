/*
 * Names and connections as a test wants them. Everything is as it is in the system until it is
 * asked for; numeric hosts are always.
 */
#ifndef TESTS_SUPPORT_NETWORK_H
#define TESTS_SUPPORT_NETWORK_H

#include "tests/support/latch.h"

/*
 * Names are answered with these addresses, several with a space between them, numeric; or, where
 * that is NULL, with an error of getaddrinfo(). Who asks first arrives at the latch and waits for
 * it, if there is one. Borrowed until network_off().
 */
void network_answer(const char *addresses, int error, struct latch *hold);

/* How many names were asked for since then, and the most that were at once. */
int network_asked(void);
int network_asked_at_once(void);

/* Connecting to this address, numeric, never ends: it is only begun. Borrowed likewise. */
void network_hang(const char *address);

/* Connections go to themselves: the port to come from is the one that is connected to. */
void network_echo(void);

/* Connecting to any fails at once with this errno; 0: it does not. */
void network_fail(int error);

/* Connections that were begun since then. */
int network_connected(void);

void network_off(void);

#endif
