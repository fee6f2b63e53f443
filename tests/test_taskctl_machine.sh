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
	[ -z "$(cat "$dir/out" "$dir/err")" ] || fail "$1: says something"
}

strict="-std=c11 -O1 -Wall -Wextra -Werror -I$top/include"

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
for command in check generate graph replay; do
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

# And the machines of the examples.
find internal/examples tests/support -name '*.states' >"$dir/examples"
[ "$(wc -l <"$dir/examples")" -gt 1 ] || fail 'hardly an example'
while read -r file; do
	run 0 check "$file"
	silent "check of $file"
done <"$dir/examples"

# So is what docs/taskctl.md shows.
block() # block WORD: the first block of this kind, or that begins with this command
{
	awk -v word="$1" '
		/^```/ { inside = !inside && ($0 == "```" word || word ~ / /); at = 0; next }
		inside && word ~ / / { if ($0 == "$ " word) at = 1; else if (/^\$/) at = 0; else if (at) print }
		inside && word !~ / / { print }
' docs/taskctl.md
}

mkdir "$dir/doc"
block states >"$dir/doc/turnstile.states"
run 0 check "$dir/doc/turnstile.states"
silent 'check of docs/taskctl.md'
run 0 generate "$dir/doc/turnstile.states"
block c | sed '/^r = /,$d' >"$dir/doc/handlers.c"
# shellcheck disable=SC2086
$CC $strict -Wno-unused-parameter -Wno-unused-variable -c -o "$dir/doc/handlers.o" "$dir/doc/handlers.c" ||
	fail 'the handlers of docs/taskctl.md do not compile'
(cd "$dir/doc" && "$taskctl" machine graph --mermaid --active Locked turnstile.states) >"$dir/out"
same out "$(block 'taskctl machine graph --mermaid --active Locked turnstile.states')"
sed -i '/remove Locked/d' "$dir/doc/turnstile.states"
(cd "$dir/doc" && "$taskctl" machine check turnstile.states) >"$dir/out" 2>"$dir/err"
same err "$(block 'taskctl machine check turnstile.states')"

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
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <taskmgr/tasks/machine_telemetry.h>

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

int main(int argc, char **argv)
{
	const struct tmgr_machine_recorder_options options = {
		.time_of_day = INT64_C(1795233600000000000),
	};
	struct tmgr_machine_recorder *recorder;
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
	must(argc == 2);
	must(tmgr_machine_recorder_create(machine, argv[1], &options, &recorder) == 0);
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
	must(tmgr_machine_add_error(machine, -EIO, "a \"motor\" \033[31m") ==
		TMGR_MUTATION_EXECUTED);
	tmgr_machine_recorder_destroy(recorder);
	tmgr_machine_unref(machine);
	tmgr_schema_unref(schema);
	return 0;
}
MAIN
sanitize=${SANITIZE:+-fsanitize=$SANITIZE}
# One that counts its lines needs what counts them.
! nm "$BUILD/libtaskmgr.a" 2>/dev/null | grep -q __gcov_ || sanitize=--coverage
# shellcheck disable=SC2086
$CC $strict $sanitize -pthread -o "$dir/main" "$dir/main.c" "$dir/turnstile.c" "$BUILD/libtaskmgr.a" -lev -lm
"$dir/main" "$dir/turnstile.rec" || fail 'the generated machine does not work'

# What has errors is not written; warnings are told.
rm -f "$dir"/m.[ch]
states 'state A' 'after B' 'state B' 'after A'
run 1 generate "$dir/m.states"
[ ! -e "$dir/m.h" ] || fail 'written with errors'
states 'state A' 'add A'
run 0 generate "$dir/m.states"
cat "$dir/m.h" "$dir/m.c" >/dev/null || fail 'not written with warnings'
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
# ---- replay: what the program above recorded -----------------------------------------------------

# Times are of that moment.
without_times()
{
	sed 's/T04:00:[0-9.]*Z/T/; s/; [0-9.]* [nmu]*s\($\|;\)/; time\1/' "$dir/out" >"$dir/plain"
	mv "$dir/plain" "$dir/out"
}

steps='turnstile, 5 states, recorded from 2026-11-21T; active: none
1 2026-11-21T add Locked: +Locked:1; active: Locked; time
2 2026-11-21T add HTTPPolling (automatic): cancelled; active: Locked; time
3 2026-11-21T add Coin: -Locked:2 +Unlocked:1 +Coin:1; active: Unlocked Coin; time
4 2026-11-21T add HTTPPolling (automatic): +HTTPPolling:1; active: Unlocked Coin HTTPPolling; time
5 2026-11-21T remove Coin: -Coin:2 -HTTPPolling:2; active: Unlocked; time
6 2026-11-21T add HTTPPolling (automatic): cancelled; active: Unlocked; time
7 2026-11-21T set Locked: -Unlocked:2 +Locked:3; active: Locked; time
8 2026-11-21T add HTTPPolling (automatic): cancelled; active: Locked; time
9 2026-11-21T remove Locked: -Locked:4; active: none; time
10 2026-11-21T add HTTPPolling (automatic): cancelled; active: none; time
11 2026-11-21T add Exception (exception): +Exception:1; active: Exception; time; error: Input/output error: '
steps=$steps'a "motor" \x1b[31m
12 2026-11-21T add HTTPPolling (automatic): cancelled; active: Exception; time'
run 0 replay "$dir/turnstile.rec"
without_times
same out "$steps"
[ ! -s "$dir/err" ] || fail 'replay complains'
run 0 replay --json "$dir/turnstile.rec"
[ "$(wc -l <"$dir/out")" -eq 13 ] || fail 'not 13 lines of JSON'
if command -v python3 >/dev/null; then
	python3 -c '
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert lines[0]["states"] == {"Locked": 0, "Unlocked": 0, "Coin": 0, "HTTPPolling": 0, "Exception": 0}
assert lines[1]["entered"] == {"Locked": 1} and lines[1]["time"].startswith("2026-11-21T04:00:0")
assert lines[11]["error"]["text"] == "a \"motor\" \033[31m"
' "$dir/out" || fail 'JSON is not what was recorded'
fi

# Cut off, and changed: all before it is printed, and the place is told.
size=$(stat -c %s "$dir/turnstile.rec")
head -c $((size - 3)) "$dir/turnstile.rec" >"$dir/cut.rec"
run 1 replay "$dir/cut.rec"
without_times
printf '%s\n' "$steps" | head -n 12 | cmp - "$dir/out" || fail 'not all before the cut'
grep -q "^taskctl: $dir/cut.rec: at byte [0-9]*: the file ends within an item\$" "$dir/err" || fail 'no word of the cut'
{ head -c $((size - 100)) "$dir/turnstile.rec" && printf 'X' && tail -c 99 "$dir/turnstile.rec"; } >"$dir/changed.rec"
cat "$dir/turnstile.rec" >>"$dir/changed.rec"
run 1 replay "$dir/changed.rec"
without_times
{
	printf '%s\n' "$steps" | sed '12 s/.*/(1 steps were dropped here)/'
	printf '%s\n' "$steps"
} | cmp - "$dir/out" || fail 'not all around the damage'
grep -q "^taskctl: $dir/changed.rec: at byte [0-9]*: its checksum is wrong\$" "$dir/err" || fail 'no word of the damage'
run 1 replay "$dir/turnstile.states"
same err "taskctl: $dir/turnstile.states: at byte 0: this is no item of a recording"
: >"$dir/empty.rec"
run 1 replay "$dir/empty.rec"
same err "taskctl: $dir/empty.rec: nothing is recorded here"
run 1 replay "$dir/nothing.rec"
same err "taskctl: $dir/nothing.rec: No such file or directory"
"$taskctl" machine replay "$dir/turnstile.rec" >/dev/full 2>"$dir/err" && fail 'a full disk was not noticed'
same err 'taskctl: standard output: No space left on device'

states 'state A'
run 0 graph --dot "$dir/m.states"
! grep -q Exception "$dir/out" || fail 'Exception is drawn though nothing is said of it'
run 0 graph --active Exception "$dir/m.states"
grep -q Exception "$dir/out" || fail 'Exception is not drawn though it is active'
run 1 graph --active A,B "$dir/m.states"
same err 'taskctl: there is no state "B"'

[ "$failures" -eq 0 ]
