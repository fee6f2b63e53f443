#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: orders [--database PATH] [--listen ADDRESS] [--port N] [--webhook URL]\n"
	"              [--control PATH] [--cart-limit SECONDS] [--approval-limit SECONDS]\n"
	"              [--delivery-time SECONDS]\n"
	"       orders --sink FILE [--listen ADDRESS] [--port N] [--fail-every N]\n"
	"              [--decline-over CENTS]\n";

static const char help[] =
	"Takes orders over HTTP and sees them through: approval, payment, delivery.\n"
	"\n"
	"  --database PATH           where the orders are kept; default: a new file, removed at\n"
	"                            the end\n"
	"  --listen ADDRESS          127.0.0.1\n"
	"  --port N                  8080; 0 is any that is free\n"
	"  --webhook URL             where charges, parcels and ends of orders are told\n"
	"  --control PATH            a socket for taskctl process\n"
	"  --cart-limit SECONDS      how long an order may stay a cart: 7 days\n"
	"  --approval-limit SECONDS  how long it waits for approval: 1 day\n"
	"  --delivery-time SECONDS   from payment to the parcel: 2 hours\n"
	"\n"
	"  --sink FILE               receive what --webhook tells, and write a line for each "
	"request:\n"
	"                            key, event, order, amount\n"
	"  --fail-every N            answer each N-th with an error, after it was written\n"
	"  --decline-over CENTS      decline charges above that\n"
	"\n"
	"INT and TERM end it, after what was asked has been answered. Exit code: 0 clean, 1 a "
	"task\n"
	"failed, 2 bad usage, 3 a task got stuck.\n";

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define SECONDS_MAX 315360000.0 /* ten years */

static bool seconds(const char *text, int64_t *ret_ms)
{
	char *end = NULL;
	double value = strtod(text, &end);

	if (end == text || *end || isnan(value) || value < 0 || value > SECONDS_MAX)
		return false;
	*ret_ms = (int64_t)(value * 1000);
	return true;
}

static bool number(const char *text, int64_t max, int64_t *ret_number)
{
	char *end = NULL;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (end == text || *end || errno || value < 0 || value > max)
		return false;
	*ret_number = value;
	return true;
}

static bool take(int c, const char *value, struct options *options)
{
	int64_t port = 0;

	switch (c) {
	case 'd':
		options->database = value;
		return *value;
	case 'l':
		options->address = value;
		return *value;
	case 'p':
		if (!number(value, 65535, &port))
			return false;
		options->port = (int)port;
		return true;
	case 'w':
		options->webhook = value;
		return true;
	case 'C':
		options->control = value;
		return *value;
	case 'c':
		return seconds(value, &options->cart_ms);
	case 'a':
		return seconds(value, &options->approval_ms);
	case 't':
		return seconds(value, &options->delivery_ms);
	case 's':
		options->sink = true;
		options->file = value;
		return *value;
	case 'f':
		return number(value, INT32_MAX, &options->fail_every);
	case 'o':
		return number(value, INT64_MAX, &options->decline_over);
	default:
		return false;
	}
}

static enum options_result bad(const char *what)
{
	if (what)
		fprintf(stderr, "orders: %s is no good value\n", what);
	fputs(usage, stderr);
	return OPTIONS_BAD;
}

enum options_result options_parse(int argc, char **argv, struct options *ret_options)
{
	static const struct option names[] = {
		{ "database", required_argument, NULL, 'd' },
		{ "listen", required_argument, NULL, 'l' },
		{ "port", required_argument, NULL, 'p' },
		{ "webhook", required_argument, NULL, 'w' },
		{ "control", required_argument, NULL, 'C' },
		{ "cart-limit", required_argument, NULL, 'c' },
		{ "approval-limit", required_argument, NULL, 'a' },
		{ "delivery-time", required_argument, NULL, 't' },
		{ "sink", required_argument, NULL, 's' },
		{ "fail-every", required_argument, NULL, 'f' },
		{ "decline-over", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	*ret_options = (struct options){
		.address = "127.0.0.1",
		.port = 8080,
		.cart_ms = 7 * DAY_MS,
		.approval_ms = DAY_MS,
		.delivery_ms = 2 * 3600 * 1000,
	};
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'h') {
			printf("%s\n%s", usage, help);
			return OPTIONS_HELP;
		}
		if (c == '?')
			return bad(NULL);
		if (!take(c, optarg, ret_options))
			return bad(optarg);
	}
	return optind < argc ? bad(argv[optind]) : OPTIONS_RUN;
}
