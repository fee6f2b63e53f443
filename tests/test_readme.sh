#!/bin/sh
# The code in README.md and docs/ is compiled, and what they show of a terminal is run and compared.
# tests/support/doc-blocks.awk tells how a block says what it is.
set -u
cd "$(dirname "$0")/.." || exit
# They take long to compile, and are small: the tests of the same functions look for races.
[ "${SANITIZE-}" != thread ] || exit 77

CC=${CC:-cc}
BUILD=${BUILD:-build}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failures=0

fail()
{
	echo "FAIL: $1"
	failures=$((failures + 1))
}

# One that counts its lines needs what counts them; its notes go where all else does.
instrument=${SANITIZE:+-fsanitize=$SANITIZE}
! nm "$BUILD/libtaskmgr.a" 2>/dev/null | grep -q __gcov_ || instrument="--coverage -dumpdir $dir/"

# shellcheck disable=SC2086 # a flag or none
compile()
{
	$CC -std=c11 -D_GNU_SOURCE -Iinclude -Wall -Wextra -Wno-unused-parameter \
		-Wno-unused-function -Wno-unused-variable -Wno-missing-field-initializers \
		$instrument -Werror -pthread "$@"
}

# Where a library is installed, for the commands that use it; made when first asked for.
prefix()
{
	if [ ! -d "$dir/prefix" ]; then
		flock "$BUILD/lock" make -s install BUILD="$BUILD" PREFIX="$dir/prefix" >"$dir/install.log" 2>&1 ||
			cat "$dir/install.log" >&2
	fi
	echo "$dir/prefix"
}

run_installed()
{
	prefix=$(prefix)
	(
		cd "$dir/installed" || exit
		PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib CC=$CC sh -e "$1"
	)
}

# The first thing every reader tries: a target that does not exist is noticed.
targets_exist()
{
	while read -r make target; do
		[ "$make" = make ] || continue
		NO_INSTALL=1 make -n "${target%% *}" >/dev/null 2>&1 || fail "$2: make $target"
	done <"$1"
}

programs()
{
	while read -r kind file name where; do
		[ "$kind" = program ] || continue
		cp "$file" "$dir/installed/$name.c"
		store=
		! grep -q process_sqlite.h "$file" || store="$BUILD/libtaskmgr-sqlite.a -lsqlite3"
		# shellcheck disable=SC2086 # none, or some
		compile -o "$dir/programs/$name" "$file" $store "$BUILD/libtaskmgr.a" $LIBS ||
			fail "$where: $name does not compile"
	done <"$dir/blocks"
}

others()
{
	while read -r kind file name where; do
		case $kind in
		fragment | statements)
			compile -include tests/support/snippet.h -fsyntax-only "$file" ||
				fail "$where does not compile"
			;;
		transcript)
			tests/support/transcript.sh "$file" "$dir/programs" "$BUILD/examples" ||
				fail "$where: $name does not run as shown"
			;;
		make) targets_exist "$file" "$where" ;;
		installed) [ -n "${SANITIZE-}" ] || run_installed "$file" || fail "$where does not run" ;;
		esac
	done <"$dir/blocks"
}

# Links within the project lead somewhere; those into a page, to a heading of it.
links_lead_somewhere()
{
	for page in $pages tasks/README.md; do
		[ -f "$page" ] || continue
		# shellcheck disable=SC2016 # backquotes of Markdown
		sed 's/`[^`]*`//g' "$page" | grep -o '](\([^)]*\))' | sed 's/^](//; s/)$//' >"$dir/links"
		while read -r link; do
			case $link in
			http*) continue ;;
			esac
			file=${link%%#*}
			[ -z "$file" ] || [ -e "$(dirname "$page")/$file" ] || fail "$page: no $file"
			[ -n "$file" ] || headings "$page" | grep -qx -e "${link#"#"}" ||
				fail "$page: no heading $link"
		done <"$dir/links"
	done
}

# The names a page's headings have in links.
headings()
{
	sed -n 's/^##* //p' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

pages=$(ls README.md docs/*.md internal/examples/README.md)
LIBS=$(ls tasks/loop/*.c >/dev/null 2>&1 && echo -lev)
mkdir "$dir/programs" "$dir/installed"
: >"$dir/blocks"
for page in $pages; do
	awk -v dir="$dir" -f tests/support/doc-blocks.awk "$page" >>"$dir/blocks" || fail "$page"
done
programs
others
links_lead_somewhere
if [ "$failures" -eq 0 ]; then
	cut -d ' ' -f 1 "$dir/blocks" | sort | uniq -c
	cmp -s internal/examples/cmd/hello/main.c "$dir/installed/hello.c" ||
		sed '1,/\*\//d' internal/examples/cmd/hello/main.c | cmp -s - "$dir/installed/hello.c" ||
		fail "the program of README.md is not internal/examples/cmd/hello/main.c"
fi
[ "$failures" -eq 0 ]
