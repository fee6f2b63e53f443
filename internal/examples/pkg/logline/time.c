#include "scan.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#define SECOND_NS INT64_C(1000000000)

/* A time as written; a month of 0 means that nothing was recognised. */
struct written {
	int year, month, day, hour, minute, second;
	int64_t ns;
	bool has_zone;
	int zone_minutes; /* east of Greenwich */
};

bool scan_number(struct scan *scan, int digits, int *ret_number)
{
	int number = 0;

	if (scan->end - scan->at < digits)
		return false;
	for (int i = 0; i < digits; i++) {
		if (!scan_is_digit(scan->at[i]))
			return false;
		number = number * 10 + (scan->at[i] - '0');
	}
	scan->at += digits;
	*ret_number = number;
	return true;
}

bool scan_long(struct scan *scan, int64_t *ret_number)
{
	const char *at = scan->at;
	int64_t number = 0;

	while (at < scan->end && scan_is_digit(*at) && at - scan->at < 18)
		number = number * 10 + (*at++ - '0');
	if (at == scan->at || (at < scan->end && scan_is_digit(*at)))
		return false;
	scan->at = at;
	*ret_number = number;
	return true;
}

void scan_spaces(struct scan *scan)
{
	while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t'))
		scan->at++;
}

static bool month_name(struct scan *scan, int *ret_month)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	if (scan->end - scan->at < 3)
		return false;
	for (int i = 0; i < 12; i++) {
		if (memcmp(scan->at, names + 3 * i, 3) == 0) {
			scan->at += 3;
			*ret_month = i + 1;
			return true;
		}
	}
	return false;
}

static bool day_name(struct scan *scan)
{
	static const char names[] = "MonTueWedThuFriSatSun";

	for (int i = 0; i < 7 && scan->end - scan->at >= 4; i++) {
		if (memcmp(scan->at, names + 3 * i, 3) == 0 && scan->at[3] == ' ') {
			scan->at += 4;
			return true;
		}
	}
	return false;
}

/* 03:12:01, with a fraction or without. */
static bool time_of_day(struct scan *scan, struct written *w)
{
	if (!scan_number(scan, 2, &w->hour) || !scan_char(scan, ':') ||
		!scan_number(scan, 2, &w->minute) || !scan_char(scan, ':') ||
		!scan_number(scan, 2, &w->second))
		return false;
	if (scan->end - scan->at >= 2 && (*scan->at == '.' || *scan->at == ',') &&
		scan_is_digit(scan->at[1])) {
		int64_t unit = SECOND_NS / 10;

		for (scan->at++; scan->at < scan->end && scan_is_digit(*scan->at); scan->at++) {
			w->ns += (*scan->at - '0') * unit;
			unit /= 10;
		}
	}
	return w->hour < 24 && w->minute < 60 && w->second <= 60;
}

/* Z, +02:00, -0730, " +0000", " UTC": or nothing, which is local time. */
static void zone(struct scan *scan, struct written *w)
{
	struct scan ahead = *scan;
	int hours, minutes = 0;
	bool west;

	if (scan_char(&ahead, 'Z')) {
		w->has_zone = true;
		*scan = ahead;
		return;
	}
	scan_char(&ahead, ' ');
	if (ahead.end - ahead.at >= 3 &&
		(memcmp(ahead.at, "UTC", 3) == 0 || memcmp(ahead.at, "GMT", 3) == 0)) {
		w->has_zone = true;
		scan->at = ahead.at + 3;
		return;
	}
	west = scan_char(&ahead, '-');
	if ((!west && !scan_char(&ahead, '+')) || !scan_number(&ahead, 2, &hours))
		return;
	scan_char(&ahead, ':');
	if (!scan_number(&ahead, 2, &minutes) && ahead.at[-1] == ':')
		return;
	if (hours > 15 || minutes > 59)
		return;
	w->has_zone = true;
	w->zone_minutes = (west ? -1 : 1) * (hours * 60 + minutes);
	*scan = ahead;
}

/* 2026-11-21 03:12:01 or 2026-11-21T03:12:01Z or 2026/11/21 03:12:01 */
static bool iso(struct scan *scan, struct written *w)
{
	struct scan ahead = *scan;
	char separator;

	if (!scan_number(&ahead, 4, &w->year) || ahead.at == ahead.end)
		return false;
	separator = *ahead.at;
	if ((separator != '-' && separator != '/') || !scan_char(&ahead, separator) ||
		!scan_number(&ahead, 2, &w->month) || !scan_char(&ahead, separator) ||
		!scan_number(&ahead, 2, &w->day) ||
		!(scan_char(&ahead, ' ') || scan_char(&ahead, 'T') || scan_char(&ahead, 't')) ||
		!time_of_day(&ahead, w))
		return false;
	zone(&ahead, w);
	*scan = ahead;
	return true;
}

/* Nov 21 03:12:01, Nov  1 03:12:01; and Fri Nov 21 03:12:01 2026 */
static bool syslog_time(struct scan *scan, struct written *w)
{
	struct scan ahead = *scan;
	bool day_of_week = day_name(&ahead);
	struct scan year;

	if (!month_name(&ahead, &w->month) || !scan_char(&ahead, ' '))
		return false;
	if (!scan_number(&ahead, 2, &w->day)) {
		scan_char(&ahead, ' ');
		if (!scan_number(&ahead, 1, &w->day))
			return false;
	}
	if (!scan_char(&ahead, ' ') || !time_of_day(&ahead, w))
		return false;
	year = ahead;
	if (day_of_week && scan_char(&year, ' ') && scan_number(&year, 4, &w->year))
		ahead = year;
	*scan = ahead;
	return true;
}

/* 21/Nov/2026:03:12:01 +0000, and 21 Nov 2026 03:12:01.123 */
static bool day_first(struct scan *scan, struct written *w)
{
	struct scan ahead = *scan;
	char separator;

	if (!scan_number(&ahead, 2, &w->day) || ahead.at == ahead.end)
		return false;
	separator = *ahead.at;
	if ((separator != '/' && separator != ' ') || !scan_char(&ahead, separator) ||
		!month_name(&ahead, &w->month) || !scan_char(&ahead, separator) ||
		!scan_number(&ahead, 4, &w->year) ||
		!scan_char(&ahead, separator == '/' ? ':' : ' ') || !time_of_day(&ahead, w))
		return false;
	zone(&ahead, w);
	*scan = ahead;
	return true;
}

static bool possible(const struct written *w)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = w->year % 4 == 0 && (w->year % 100 != 0 || w->year % 400 == 0);

	if (w->month < 1 || w->month > 12 || w->day < 1)
		return false;
	return w->day <= days[w->month - 1] + (w->month == 2 && leap);
}

static int64_t utc_seconds(const struct written *w)
{
	struct tm tm = { .tm_year = w->year - 1900,
		.tm_mon = w->month - 1,
		.tm_mday = w->day,
		.tm_hour = w->hour,
		.tm_min = w->minute,
		.tm_sec = w->second };

	return timegm(&tm);
}

/* mktime locks by itself, but where the thread sanitizer does not see it. */
static int64_t local_to_utc(struct tm *tm)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	int64_t seconds;

	pthread_mutex_lock(&lock);
	seconds = mktime(tm);
	pthread_mutex_unlock(&lock);
	return seconds;
}

static int64_t local_seconds(const struct written *w, struct logline_clock *clock)
{
	int64_t hour = ((w->year * INT64_C(13) + w->month) * 32 + w->day) * 24 + w->hour;

	if (!clock->known || clock->hour != hour) {
		struct tm tm = { .tm_year = w->year - 1900,
			.tm_mon = w->month - 1,
			.tm_mday = w->day,
			.tm_hour = w->hour,
			.tm_isdst = -1 };

		clock->utc_seconds = local_to_utc(&tm);
		clock->hour = hour;
		clock->known = true;
	}
	return clock->utc_seconds + w->minute * 60 + w->second;
}

/* The latest year in which it is not after tomorrow: logs tell of the past. */
static int64_t without_year(struct written *w, struct logline_clock *clock)
{
	time_t now = clock->now_ns / SECOND_NS;
	struct tm tm;
	int64_t seconds = 0;

	gmtime_r(&now, &tm);
	for (int back = -1; back <= 8; back++) {
		w->year = tm.tm_year + 1900 - back;
		if (!possible(w)) /* February 29 */
			continue;
		seconds = local_seconds(w, clock);
		if (seconds <= now + 24 * 3600)
			break;
	}
	return seconds;
}

bool scan_time(struct scan *scan, struct logline_clock *clock, int64_t *ret_ns)
{
	bool (*const forms[])(struct scan *, struct written *) = { iso, syslog_time, day_first };
	int64_t seconds;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct scan ahead = *scan;
		struct written w = { .year = 0 };

		if (!forms[i](&ahead, &w))
			continue;
		if (w.year == 0 && forms[i] == syslog_time) {
			w.year = 2000; /* which has all days */
			if (!possible(&w))
				return false;
			seconds = without_year(&w, clock);
		} else if (!possible(&w) || w.year < 1678 || w.year > 2261) { /* 64 bits of ns */
			return false;
		} else if (w.has_zone) {
			seconds = utc_seconds(&w) - w.zone_minutes * 60;
		} else {
			seconds = local_seconds(&w, clock);
		}
		*ret_ns = seconds * SECOND_NS + w.ns;
		*scan = ahead;
		return true;
	}
	return false;
}
