/* The last line of a terminal: a status that is written over again and again, below the log. */
#ifndef EXAMPLES_STATUSLINE_H
#define EXAMPLES_STATUSLINE_H

#include <stdint.h>

#include <taskmgr/event.h>

/* What was counted when it was looked at last; all zero at first. */
struct statusline_rate {
	double count;
	int64_t at_ns;
};

/* How many more a second since the last look. */
double statusline_rate(struct statusline_rate *rate, double count);

/* Write the status, as printf. It stays until the next one, or a line of the log, takes its place. */
void statusline_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Write an event in its place: for tmgr_manager_observe(), with the name of the program. */
void statusline_event(void *program, const struct tmgr_event *event);

#endif
