/*
 * The lines of one server, then those of another, as one iterator.
 */
#include <stdio.h>

#include "internal/examples/pkg/onloop/onloop.h"
#include "internal/examples/pkg/textserver/textserver.h"

static const char latin[] = "Lorem ipsum dolor sit amet.\n"
			    "Donec non velit consequat.\n"
			    "Donec interdum in nulla ac scelerisque.\n"
			    "Duis commodo, neque ac luctus eleifend.\n"
			    "Fusce lacinia id quam ac porttitor.\n";
static const char japanese[] = "生麦生米生卵\n"
			       "すもももももももものうち\n"
			       "東京特許許可局長今日急遽休暇許可却下\n"
			       "斜め77度の並びで泣く泣く嘶くナナハン7台難なく並べて長眺め\n";

static int print_lines(struct tmgr_context *context, const struct tmgr_endpoint *first,
	const struct tmgr_endpoint *second)
{
	int error = 0, r;

	TMGR_FOR_EACH (line, context,
		tmgr_chain(tmgr_until_error(tmgr_dial_lines(first), &error),
			tmgr_until_error(tmgr_dial_lines(second), &error)),
		&r)
		printf("got line: %.*s", TMGR_TEXT(line));
	return r < 0 ? r : error;
}

static int run(void *self, struct tmgr_context *context)
{
	struct textserver first, second;
	int r = textserver_start(&first, context, latin);

	if (r < 0)
		return r;
	r = textserver_start(&second, context, japanese);
	if (r == 0) {
		r = print_lines(context, &first.endpoint, &second.endpoint);
		textserver_stop(&second, context);
	}
	textserver_stop(&first, context);
	return r;
}

int main(void)
{
	return onloop_main(run);
}
