/*
 * A turnstile that is worked from standard input: a line "coin" or "push" each.
 */
#include <stdio.h>
#include <string.h>

#include "../../pkg/turnstile/turnstile.h"

static void tell(const struct turnstile *turnstile, const char *what)
{
	char text[256];

	tmgr_machine_format(turnstile->machine, TMGR_MACHINE_SHORT, text, sizeof(text));
	printf("%s: %s\n", what, text);
}

int main(void)
{
	struct turnstile turnstile;
	char line[64];

	if (turnstile_init(&turnstile) < 0) {
		fprintf(stderr, "turnstile: out of memory\n");
		return 2;
	}
	tell(&turnstile, "begin");
	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "coin") == 0)
			turnstile_coin(&turnstile);
		else if (strcmp(line, "push") != 0 || !turnstile_push(&turnstile))
			strcat(line, ", refused");
		tell(&turnstile, line);
	}
	printf("%u coins, %u passed\n", turnstile.coins, turnstile.passed);
	turnstile_fini(&turnstile);
	return 0;
}
