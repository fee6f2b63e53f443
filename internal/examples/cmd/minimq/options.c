#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLIENTS_MAX 1000000
#define IDLE_MAX (365 * 24 * 3600)

static const char usage[] =
	"usage: minimq [--port N] [--loops N] [--max-clients N] [--idle SECONDS] "
	"[--listen ADDRESS]\n";

static const char help[] =
	"A broker for publishing and subscribing, and a store of keys, that speaks the protocol "
	"of\n"
	"Redis (version 2).\n"
	"\n"
	"  --port N          where to listen (6379); 0: any port that is free, which is printed\n"
	"  --listen ADDRESS  numeric (127.0.0.1); there is no password, so think before another "
	"one\n"
	"  --loops N         worker loops, 1 to 64; as many as there are processors, at most 64\n"
	"  --max-clients N   clients at once (10000)\n"
	"  --idle SECONDS    clients that send nothing for so long, and are not subscribed, are\n"
	"                    disconnected (0: never)\n"
	"\n"
	"INT and TERM end it, after what was asked has been answered and what was published has "
	"been\n"
	"written. Exit code: 0 clean, 1 a task failed, 2 bad usage, 3 a task got stuck.\n";

static enum options_result bad(void)
{
	fputs(usage, stderr);
	return OPTIONS_BAD;
}

static bool parse_number(const char *name, const char *text, unsigned long min, unsigned long max,
	unsigned long *ret)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < min ||
		number > max) {
		fprintf(stderr, "minimq: --%s is a number from %lu to %lu, not \"%s\"\n", name, min,
			max, text);
		return false;
	}
	*ret = number;
	return true;
}

static bool is_address(const char *text)
{
	struct in6_addr address;

	if (inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1)
		return true;
	fprintf(stderr, "minimq: --listen is a numeric address, not \"%s\"\n", text);
	return false;
}

static size_t processors(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	if (count < 1)
		return 1;
	return count > LOOPS_MAX ? LOOPS_MAX : (size_t)count;
}

static const struct option names[] = {
	{ "port", required_argument, NULL, 'p' },
	{ "loops", required_argument, NULL, 'l' },
	{ "max-clients", required_argument, NULL, 'c' },
	{ "idle", required_argument, NULL, 'i' },
	{ "listen", required_argument, NULL, 'a' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* Whether what an option is given is right. */
static bool take(int option, const char *text, struct options *options)
{
	unsigned long number = 0;
	bool right = true;

	switch (option) {
	case 'p':
		right = parse_number("port", text, 0, 65535, &number);
		options->port = (unsigned)number;
		break;
	case 'l':
		right = parse_number("loops", text, 1, LOOPS_MAX, &number);
		options->loops = number;
		break;
	case 'c':
		right = parse_number("max-clients", text, 1, CLIENTS_MAX, &number);
		options->clients_max = number;
		break;
	case 'i':
		right = parse_number("idle", text, 0, IDLE_MAX, &number);
		options->idle_s = (unsigned)number;
		break;
	case 'a':
		right = is_address(text);
		options->address = text;
		break;
	default: /* getopt has said what is wrong */
		right = false;
	}
	return right;
}

enum options_result options_parse(int argc, char **argv, struct options *ret_options)
{
	int c;

	*ret_options = (struct options){
		.address = "127.0.0.1", .port = 6379, .loops = processors(), .clients_max = 10000
	};
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'h') {
			printf("%s\n%s", usage, help);
			return OPTIONS_HELP;
		}
		if (!take(c, optarg, ret_options))
			return bad();
	}
	if (optind < argc) {
		fprintf(stderr, "minimq: what is \"%s\"?\n", argv[optind]);
		return bad();
	}
	return OPTIONS_RUN;
}
