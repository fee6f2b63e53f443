#include "statusline.h"

#include <stdarg.h>
#include <stdio.h>

#include <taskmgr/time.h>

#define ERASE "\r\033[K"

double statusline_rate(struct statusline_rate *rate, double count)
{
	int64_t now = tmgr_now();
	double seconds = rate->at_ns ? (double)(now - rate->at_ns) / TMGR_SECOND : 1;
	double more = count - rate->count;

	*rate = (struct statusline_rate){ count, now };
	return seconds > 0 ? more / seconds : 0.0;
}

void statusline_print(const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	fprintf(stderr, ERASE "%s", line);
}

void statusline_event(void *program, const struct tmgr_event *event)
{
	char line[512];

	if (event->kind == TMGR_EVENT_RUN_ENDED) { /* which the report tells */
		fputs(ERASE, stderr);
		return;
	}
	tmgr_event_format(event, line, sizeof(line));
	fprintf(stderr, ERASE "%s: %s\n", (const char *)program, line);
}
