/*
 * A star is tried with nothing first, and takes a byte more whenever what follows does not fit; an
 * earlier star never has to be tried again, so this takes at most pattern times name steps.
 */
#include "glob.h"

struct pattern {
	const unsigned char *at, *end;
};

/* One element of the set behind a bracket; moves behind it. */
static bool in_range(struct pattern *pattern, unsigned char c)
{
	unsigned char first, last;

	if (*pattern->at == '\\' && pattern->end - pattern->at > 1)
		pattern->at++;
	first = last = *pattern->at++;
	if (pattern->end - pattern->at > 1 && pattern->at[0] == '-' && pattern->at[1] != ']') {
		last = pattern->at[1];
		pattern->at += 2;
	}
	return first <= last ? c >= first && c <= last : c >= last && c <= first;
}

/* A set without an end ends with the pattern. */
static bool in_set(struct pattern *pattern, unsigned char c)
{
	bool found = false, inverted = pattern->at < pattern->end && *pattern->at == '^';

	pattern->at += inverted;
	while (pattern->at < pattern->end && *pattern->at != ']')
		found |= in_range(pattern, c);
	pattern->at += pattern->at < pattern->end;
	return found != inverted;
}

/* Whether the next element, which is no star, is this byte; moves behind it. */
static bool match_one(struct pattern *pattern, unsigned char c)
{
	unsigned char element = *pattern->at++;

	if (element == '?')
		return true;
	if (element == '[')
		return in_set(pattern, c);
	if (element == '\\' && pattern->at < pattern->end)
		element = *pattern->at++;
	return element == c;
}

bool mq_glob_match(const char *pattern, size_t pattern_length, const char *name, size_t length)
{
	struct pattern rest = { (const unsigned char *)pattern,
		(const unsigned char *)pattern + pattern_length };
	struct pattern behind_star = { NULL, NULL };
	size_t at = 0, star_at = 0;

	for (;;) {
		if (rest.at < rest.end && *rest.at == '*') {
			rest.at++;
			behind_star = rest;
			star_at = at;
			continue;
		}
		if (at == length && rest.at == rest.end)
			return true;
		if (at < length && rest.at < rest.end &&
			match_one(&rest, (unsigned char)name[at])) {
			at++;
			continue;
		}
		if (!behind_star.at || star_at == length)
			return false;
		rest = behind_star;
		at = ++star_at;
	}
}
