#!/bin/sh
# taskctl machine: what is wrong with a states file, with its place; the C that is written from one, compiled and
# run; graphs.
set -u
cd "$(dirname "$0")/.." || exit

BUILD=${BUILD:-build}
CC=${CC:-cc}
taskctl=$(realpath "$BUILD")/taskctl
top=$PWD
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failures=0
found=' '

fail() # fail WHAT: and what was said
{
	echo "FAIL: $1"
	cat "$dir/out" "$dir/err" 2>/dev/null
	failures=$((failures + 1))
}

run() # run EXIT_CODE ARGUMENT...: output in $dir/out and $dir/err
{
	wanted=$1
	shift
	"$taskctl" machine "$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
	[ "$status" -eq "$wanted" ] || fail "taskctl machine $*: exit code $status, not $wanted"
}

same() # same out|err TEXT: it says exactly this
{
	printf '%s\n' "$2" >"$dir/wanted"
	cmp -s "$dir/wanted" "$dir/$1" || {
		diff "$dir/wanted" "$dir/$1"
		fail "standard $1 is not as it should be"
	}
}

silent() # silent WHAT
{
	[ ! -s "$dir/out" ] && [ ! -s "$dir/err" ] || fail "$1: says something"
}

# ---- check: each kind of fault, and the nearest file without it ---------------------------------

# The text of a file: each argument a line, ~ a space.
states() # states LINE...
{
	printf '%s\n' 'machine m' "$@" | tr '~' ' ' >"$dir/m.states"
}

# A fault, and none of another kind, at this place.
planted() # planted LEVEL KIND LINE:COLUMN LINE...
{
	level=$1 kind=$2 place=$3
	shift 3
	states "$@"
	run 1 check "$dir/m.states"
	[ ! -s "$dir/out" ] || fail "$kind: says something on standard output"
	case $(head -n 1 "$dir/err") in
	"$dir/m.states:$place: $level: "*" [$kind]") ;;
	*) fail "$kind: is not \"m.states:$place: $level: ... [$kind]\"" ;;
	esac
	! grep -q -v " \[$kind\]\$" "$dir/err" || fail "$kind: something else is told"
	found="$found$kind "
}

right() # right LINE...
{
	states "$@"
	run 0 check "$dir/m.states"
	silent "check of $*"
}

planted error name 2:7 'state 9'
right 'state A9'
planted error duplicate 3:7 'state A' 'state A'
planted error duplicate 2:7 'state Exception' 'state A'
right 'state A' 'state a_' 'state Exception'
planted error unknown 3:5 'state A' 'add B'
right 'state A' 'add B' 'state B'
planted error timeout 3:9 'state A' 'timeout 0s'
right 'state A' 'timeout 1s'
# shellcheck disable=SC2046 # words: each is a line
planted error limit 4097:1 $(seq -f 'state~A%g' 4096)
right 'state A'
planted error after-cycle 3:7 'state A' 'after B' 'state B' 'after A'
right 'state A' 'after B' 'state B'
planted warning never 3:9 'state A' 'require B' 'remove B' 'state B'
right 'state A' 'require B' 'remove C' 'state B' 'state C'
planted warning adds-itself 3:5 'state A' 'add A'
right 'state A' 'add B' 'state B'
planted warning requires-itself 3:9 'state A' 'require A'
right 'state A' 'require B' 'state B'
planted warning added-and-removed 4:8 'state A' 'add B' 'remove B' 'state B'
right 'state A' 'add B' 'remove C' 'state B' 'state C'
planted warning require-cycle 3:9 'state A' 'require B' 'state B' 'require A'
right 'state A' 'require B' 'state B'
planted warning implied-loses 3:5 'state A' 'add B' 'group G = B C' 'state B' 'remove G' 'state C' 'remove G'
right 'state A' 'add B' 'remove C' 'group G = B C' 'state B' 'remove G' 'state C' 'remove G'
planted warning automatic-exclude 3:8 'state A auto' 'remove B' 'state B auto' 'remove A'
right 'state A auto' 'remove B' 'state B' 'remove A'
planted warning add-chain 2:7 'state A' 'add B' 'state B' 'add C' 'state C' 'add D' 'state D'
right 'state A' 'add B' 'state B' 'add C' 'state C' 'state D'

# The table above knows all kinds there are.
awk '/^enum tmgr_fault_code/ { on = 1 } on && match($0, /TMGR_FAULT_[A-Z_]+,/) {
		print tolower(substr($0, RSTART + 11, RLENGTH - 12)) } /^};/ { on = 0 }' \
	include/taskmgr/tasks/machine_schema.h | tr _ - >"$dir/kinds"
[ "$(wc -l <"$dir/kinds")" -ge 14 ] || fail 'hardly a kind of fault found in the header'
while read -r kind; do
	case $found in
	*" $kind "*) ;;
	*) fail "no $kind was planted" ;;
	esac
done <"$dir/kinds"

# All faults are told, in order of lines, of all files.
states 'state A' 'add A' 'require A' 'state B' 'add A B'
run 1 check "$dir/m.states" "$dir/m.states"
[ "$(cut -d: -f2 "$dir/err" | tr '\n' ' ')" = '3 4 6 3 4 6 ' ] || fail 'not all faults, or not in order'
run 1 check "$dir/nothing.states"
same err "taskctl: $dir/nothing.states: No such file or directory"
for command in check generate graph; do
	run 2 "$command"
	run 2 "$command" --nonsense
	run 0 "$command" --help
done
run 2
run 2 nonsense

# What the manual shows is right.
awk '/^\.Sh/ { on = /STATES FILES/ } on && /^\.Ed/ { exit } inside { print } on && /^\.Bd/ { inside = 1 }' \
	docs/man/taskctl.1 >"$dir/manual.states"
[ "$(wc -l <"$dir/manual.states")" -gt 5 ] || fail 'no states file in the manual'
run 0 check "$dir/manual.states"
silent 'check of the manual'

# ---- generate -----------------------------------------------------------------------------------

cat >"$dir/turnstile.states" <<'STATES'
machine turnstile

group Arm = Locked Unlocked

state Locked
	remove Arm
state Unlocked
	remove Arm
	timeout 30s set Locked
state Coin multi
	add Unlocked
	remove Locked
state HTTPPolling auto
	require Unlocked Coin
	after Locked Exception
	timeout 5min
STATES

# Longer than a line, and Exception with relations of its own.
{
	echo 'machine many-states'
	i=0
	while [ $i -lt 60 ]; do
		echo "state State-number-$i"
		i=$((i + 1))
	done
	echo 'group All ='
	echo 'state Exception multi'
	echo '	remove All'
} | awk '/^group/ { for (i = 0; i < 60; i++) $0 = $0 " State-number-" i } { print }' >"$dir/many.states"

strict="-std=c11 -O1 -Wall -Wextra -Werror -I$top/include"
for name in turnstile many; do
	run 0 generate "$dir/$name.states"
	silent "generate $name"
	mkdir -p "$dir/first" "$dir/elsewhere"
	cp "$dir/$name.h" "$dir/$name.c" "$dir/first/"
	cp "$dir/$name.states" "$dir/elsewhere/other.states"
	(cd "$dir/elsewhere" && LC_ALL=C "$taskctl" machine generate -o "$name" other.states) || fail 'not elsewhere'
	cmp "$dir/first/$name.h" "$dir/elsewhere/$name.h" || fail "$name.h is another one elsewhere"
	cmp "$dir/first/$name.c" "$dir/elsewhere/$name.c" || fail "$name.c is another one elsewhere"
	[ "$(awk '{ gsub(/\t/, "        ") } length > 100' "$dir/$name.h" "$dir/$name.c" | wc -l)" -eq 0 ] ||
		fail "$name has lines over 100 columns"
	for compiler in "$CC" gcc clang; do
		command -v "${compiler%% *}" >/dev/null || continue
		# shellcheck disable=SC2086 # a command and flags
		$compiler $strict -c -o "$dir/$name.o" "$dir/$name.c" || fail "$compiler does not take $name.c"
	done
	for compiler in g++ clang++; do
		command -v "$compiler" >/dev/null || continue
		echo "#include \"$name.h\"" >"$dir/header.cc"
		"$compiler" -std=c++11 -Wall -Wextra -Werror -I"$top/include" -fsyntax-only "$dir/header.cc" ||
			fail "$compiler does not take $name.h"
	done
done

# What was written is what the file says.
cat >"$dir/main.c" <<'MAIN'
#include <stdio.h>
#include <string.h>

#include "turnstile.h"

static int is(const unsigned *list, unsigned a, unsigned b)
{
	return list[0] == a && (a == TMGR_STATES_END || list[1] == b);
}

#define must(condition)                            \
	do {                                       \
		if (!(condition)) {                \
			puts(#condition " fails"); \
			return 1;                  \
		}                                  \
	} while (0)

int main(void)
{
	struct tmgr_schema *schema;
	struct tmgr_machine *machine;

	must(turnstile_compile(&schema) == 0);
	must(strcmp(tmgr_schema_name(schema), "turnstile") == 0);
	must(tmgr_schema_count(schema) == TURNSTILE__STATES && TURNSTILE__STATES == 5);
	must(strcmp(turnstile_names[TURNSTILE_HTTP_POLLING], "HTTPPolling") == 0);
	for (unsigned i = 0; i < TURNSTILE__STATES; i++)
		must(strcmp(turnstile_names[i], tmgr_schema_state_name(schema, i)) == 0);
	must(is(turnstile_group_arm, TURNSTILE_LOCKED, TURNSTILE_UNLOCKED));
	must(is(tmgr_schema_relation(schema, TURNSTILE_LOCKED, TMGR_RELATION_REMOVE),
		TURNSTILE_UNLOCKED, TMGR_STATES_END));
	must(is(tmgr_schema_relation(schema, TURNSTILE_COIN, TMGR_RELATION_ADD), TURNSTILE_UNLOCKED,
		TMGR_STATES_END));
	must(is(tmgr_schema_relation(schema, TURNSTILE_HTTP_POLLING, TMGR_RELATION_REQUIRE),
		TURNSTILE_UNLOCKED, TURNSTILE_COIN));
	must(is(tmgr_schema_relation(schema, TURNSTILE_HTTP_POLLING, TMGR_RELATION_AFTER),
		TURNSTILE_LOCKED, TURNSTILE_EXCEPTION));
	must(tmgr_schema_is_multi(schema, TURNSTILE_COIN));
	must(!tmgr_schema_is_multi(schema, TURNSTILE_LOCKED));
	must(tmgr_schema_is_automatic(schema, TURNSTILE_HTTP_POLLING));
	must(tmgr_schema_timeout(schema, TURNSTILE_UNLOCKED)->ns == 30 * TMGR_SECOND);
	must(tmgr_schema_timeout(schema, TURNSTILE_UNLOCKED)->kind == TMGR_MUTATION_SET);
	must(is(tmgr_schema_timeout(schema, TURNSTILE_UNLOCKED)->states, TURNSTILE_LOCKED,
		TMGR_STATES_END));
	must(tmgr_schema_timeout(schema, TURNSTILE_HTTP_POLLING)->ns == 5 * TMGR_MINUTE);
	must(tmgr_schema_timeout(schema, TURNSTILE_HTTP_POLLING)->states == NULL);

	must(tmgr_machine_create(schema, NULL, &machine) == 0);
	must(turnstile_add_locked(machine, NULL) == TMGR_MUTATION_EXECUTED);
	must(turnstile_is_locked(machine) && turnstile_tick_locked(machine) == 1);
	must(turnstile_add_coin(machine, NULL) == TMGR_MUTATION_EXECUTED);
	must(turnstile_is_unlocked(machine) && !turnstile_is_locked(machine));
	must(turnstile_wait_unlocked(NULL, machine, TMGR_NOW) == 0);
	must(turnstile_wait_not_locked(NULL, machine, TMGR_NOW) == 0);
	must(turnstile_remove_coin(machine, NULL) == TMGR_MUTATION_EXECUTED);
	must(turnstile_set_locked(machine, NULL) == TMGR_MUTATION_EXECUTED);
	must(turnstile_toggle_locked(machine, NULL) == TMGR_MUTATION_EXECUTED);
	must(!turnstile_is_locked(machine) && !turnstile_is_coin(machine));
	tmgr_machine_unref(machine);
	tmgr_schema_unref(schema);
	return 0;
}
MAIN
sanitize=${SANITIZE:+-fsanitize=$SANITIZE}
# shellcheck disable=SC2086
$CC $strict $sanitize -pthread -o "$dir/main" "$dir/main.c" "$dir/turnstile.c" "$BUILD/libtaskmgr.a" -lev -lm &&
	"$dir/main" || fail 'the generated machine does not work'

# What has errors is not written; warnings are told.
rm -f "$dir"/m.[ch]
states 'state A' 'after B' 'state B' 'after A'
run 1 generate "$dir/m.states"
[ ! -e "$dir/m.h" ] || fail 'written with errors'
states 'state A' 'add A'
run 0 generate "$dir/m.states"
[ -e "$dir/m.h" ] && [ -e "$dir/m.c" ] || fail 'not written with warnings'
grep -q adds-itself "$dir/err" || fail 'warnings were not told'
run 1 generate -o "$dir/nowhere/m" "$dir/m.states"
same err "$dir/m.states:3:5: warning: A: it adds itself [adds-itself]
taskctl: $dir/nowhere/m.h: No such file or directory"

# ---- graph --------------------------------------------------------------------------------------

run 0 graph --active Locked,Coin "$dir/turnstile.states"
same out 'digraph "turnstile" {
	rankdir=LR;
	node [shape=box, style=rounded];
	s0 [label="Locked", style="rounded,filled", fillcolor=palegreen];
	s1 [label="Unlocked"];
	s2 [label="Coin\nmulti", style="rounded,filled", fillcolor=palegreen];
	s3 [label="HTTPPolling\nauto\ntimeout 5min"];
	s4 [label="Exception\nmulti"];
	s0 -> s1 [label="remove", color=red, arrowhead=tee, arrowtail=tee, dir=both];
	s1 -> s0 [label="set after 30s", color=gray];
	s2 -> s1 [label="add", color=darkgreen];
	s2 -> s0 [label="remove", color=red, arrowhead=tee, arrowtail=tee];
	s3 -> s1 [label="require", style=dashed];
	s3 -> s2 [label="require", style=dashed];
	s3 -> s0 [label="after", style=dotted];
	s3 -> s4 [label="after", style=dotted];
}'
if command -v dot >/dev/null; then
	dot -Tsvg -o "$dir/graph.svg" "$dir/out" || fail 'dot does not take the graph'
	grep -q '>HTTPPolling<' "$dir/graph.svg" || fail 'dot does not draw the graph'
fi
run 0 graph --mermaid --active Exception "$dir/turnstile.states"
same out '%% turnstile
flowchart LR
	classDef active fill:#98fb98,stroke:#333
	s0("Locked")
	s1("Unlocked")
	s2("Coin<br/>multi")
	s3("HTTPPolling<br/>auto<br/>timeout 5min")
	s4("Exception<br/>multi"):::active
	s0 x--x|remove| s1
	s1 ==>|set after 30s| s0
	s2 -->|add| s1
	s2 --x|remove| s0
	s3 -.->|require| s1
	s3 -.->|require| s2
	s3 -.-o|after| s0
	s3 -.-o|after| s4'
states 'state A'
run 0 graph --dot "$dir/m.states"
! grep -q Exception "$dir/out" || fail 'Exception is drawn though nothing is said of it'
run 0 graph --active Exception "$dir/m.states"
grep -q Exception "$dir/out" || fail 'Exception is not drawn though it is active'
run 1 graph --active A,B "$dir/m.states"
same err 'taskctl: there is no state "B"'

[ "$failures" -eq 0 ]
