#!/bin/sh
# The manual pages: rendered without a warning, written from the headers as they are, naming every function, with
# examples that compile.
set -u
cd "$(dirname "$0")/.." || exit

CC=${CC:-cc}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failures=0

fail()
{
	echo "FAIL: $1"
	failures=$((failures + 1))
}

# Nothing on standard error counts as fine; the exit status alone says little.
pages_render()
{
	if ! command -v man >/dev/null || ! command -v groff >/dev/null; then
		echo "skipped: man or groff is not installed (apt-get install man-db groff-base)"
		return
	fi
	for page in docs/man/*.[1-9]; do
		man --warnings -E UTF-8 -l -Tutf8 -Z "$page" >/dev/null 2>"$dir/warnings" ||
			fail "$page does not render"
		[ -s "$dir/warnings" ] || continue
		cat "$dir/warnings"
		fail "$page gives warnings"
	done
}

pages_are_up_to_date()
{
	internal/tools/manpages --check || fail "pages differ from the headers"
}

functions_of_headers()
{
	cat include/taskmgr/*.h include/taskmgr/tasks/*.h |
		awk '/^(TMGR_API|static inline) / && match($0, /tmgr_[a-z_0-9]+\(/) {
			print substr($0, RSTART, RLENGTH - 1)
		}' | sort -u
}

every_function_is_named()
{
	functions_of_headers >"$dir/functions"
	[ "$(wc -l <"$dir/functions")" -gt 80 ] || fail "hardly a function found in the headers"
	while read -r name; do
		grep -q "^\\.Fo $name\$" docs/man/*.3 || fail "no page describes $name()"
	done <"$dir/functions"
}

every_reference_exists()
{
	sed -n 's/^\.Xr \(taskctl\|t[a-z_]*mgr[a-z_]*\) \([137]\).*/\1.\2/p' docs/man/*.[137] | sort -u |
		while read -r page; do
			[ -f "docs/man/$page" ] || echo "$page"
		done >"$dir/missing"
	[ -s "$dir/missing" ] && fail "pages referred to that do not exist: $(cat "$dir/missing")"
}

# Each literal block of a source's examples becomes a file.
examples_compile()
{
	for source in docs/man/src/*.in docs/man/taskmgr.7; do
		awk -v prefix="$dir/$(basename "$source")" '
			/^@/ { on = $1 == "@examples" }
			FILENAME ~ /\.7$/ { on = 1 }
			/^\.Ed/ { inside = 0 }
			inside {
				gsub(/\\e/, "\\")
				gsub(/\\-/, "-")
				print >(prefix "-" n ".c")
			}
			on && /^\.Bd -literal/ { inside = 1; n++ }' "$source"
	done
	for example in "$dir"/*.c; do
		$CC -std=c11 -D_GNU_SOURCE -Iinclude -include tests/support/snippet.h -Wall -Wextra \
			-Wno-unused-function -Wno-unused-parameter -Werror -fsyntax-only "$example" ||
			fail "the example $(basename "$example") does not compile"
	done
}

pages_render
pages_are_up_to_date
every_function_is_named
every_reference_exists
examples_compile
[ "$failures" -eq 0 ] && echo "manual pages: $(wc -l <"$dir/functions") functions described"
[ "$failures" -eq 0 ]
