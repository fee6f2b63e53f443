/*
 * Text of telemetry: strings in JSON and in Prometheus, times.
 */
#ifndef TMGR__TELEMETRY_TEXT_H
#define TMGR__TELEMETRY_TEXT_H

#include <stdint.h>

#include "taskmgr/base/text.h"

/* A string with quotes; what is not UTF-8 becomes U+FFFD. */
void tmgr__text_add_json(struct tmgr__text *text, const char *string);

/* The value of a label, without quotes. */
void tmgr__text_add_label(struct tmgr__text *text, const char *string);

/* A time of day, as 2026-11-28T08:33:30.123456789Z with so many digits behind the second. */
void tmgr__text_add_time(struct tmgr__text *text, int64_t time_of_day, int digits);

#endif
