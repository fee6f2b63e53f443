#!/bin/sh
# The tests find what they are there to find: five faults planted in the manager by the random schedules and four in the engine of
# durable processes by its simulation, each within a minute; and in a sanitizer build two races or two overflows by the sanitizer.
#
# BUILD, TOP, CC, SANITIZE come from the Makefile.
set -eu

: "${BUILD:?}" "${TOP:?}"
CC=${CC:-cc}
SANITIZE=${SANITIZE:-}
out=$BUILD/planted
cd "$TOP"
mkdir -p "$out"

flags="-std=c11 -D_GNU_SOURCE -Iinclude -iquote . -pthread -O1 -g"
[ -z "$SANITIZE" ] || flags="$flags -fsanitize=$SANITIZE -fno-sanitize-recover=all"

# One that counts its lines needs what counts them.
if nm "$BUILD/libtaskmgr.a" 2>/dev/null | grep -q __gcov_; then
	flags="$flags --coverage"
fi

wraps=
for name in malloc calloc realloc pthread_create $(sed 's/#.*//' tests/support/wraps) \
	tmgr_manager_add_execute_task_with tmgr_task_cleanup tmgr_manager_cancel tmgr__policy_judge; do
	wraps="$wraps -Wl,--wrap=$name"
done

found=0
missed=0
verdict() { # verdict NAME FOUND
	if [ "$2" = yes ]; then
		echo "found:  $1"
		found=$((found + 1))
	else
		echo "MISSED: $1"
		missed=$((missed + 1))
	fi
}

plant() { # plant NUMBER NAME
	if PLANT=$1 SECONDS=55 timeout 60 "$out/random_schedule" >"$out/plant$1.log" 2>&1; then
		verdict "$2" no
	elif grep -q 'not kept' "$out/plant$1.log"; then
		verdict "$2: $(sed -n 's/.*not kept: //p' "$out/plant$1.log" | head -1)" yes
	elif grep -q 'a run hangs' "$out/plant$1.log"; then
		verdict "$2: a run hangs" yes
	else
		tail -n 20 "$out/plant$1.log"
		verdict "$2" no
	fi
}

sanitizer() { # sanitizer NAME TEXT
	# shellcheck disable=SC2086 # flags are several words
	$CC $flags -o "$out/$1" "tests/planted/$1.c" "$BUILD/libtaskmgr.a" -lev -lm
	if "$out/$1" >"$out/$1.log" 2>&1; then
		verdict "$1" no
	elif grep -q "$2" "$out/$1.log"; then
		verdict "$1: $(grep -m 1 -o "$2" "$out/$1.log")" yes
	else
		tail -n 20 "$out/$1.log"
		verdict "$1" no
	fi
}

plant_process() { # plant_process NUMBER NAME
	if PLANT=$1 SECONDS=55 timeout 60 "$out/process_simulation" >"$out/process_plant$1.log" 2>&1; then
		verdict "$2" no
	elif grep -q 'ERROR: seed' "$out/process_plant$1.log"; then
		verdict "$2: $(sed -n 's/.*ERROR: seed [0-9]*: //p' "$out/process_plant$1.log" | head -1)" yes
	elif grep -q 'cannot be opened' "$out/process_plant$1.log"; then
		verdict "$2: what was stored cannot be read" yes
	else
		tail -n 20 "$out/process_plant$1.log"
		verdict "$2" no
	fi
}

case $SANITIZE in
*thread*)
	sanitizer race_callback 'ThreadSanitizer: data race'
	sanitizer race_future 'ThreadSanitizer: data race'
	;;
*address*)
	sanitizer overflow_channel 'AddressSanitizer: heap-buffer-overflow'
	sanitizer overflow_resp 'AddressSanitizer: heap-buffer-overflow'
	;;
*)
	# Without a plant the same program has nothing to say.
	# shellcheck disable=SC2086
	$CC $flags $wraps -o "$out/random_schedule" tests/stress/random_schedule.c tests/planted/plants.c \
		tests/support/fault.c tests/support/leak.c tests/support/model.c tests/support/seeded.c \
		"$BUILD/libtaskmgr.a" -lev -lm -lcmocka
	if ! PLANT=0 SECONDS=2 "$out/random_schedule" >"$out/plant0.log" 2>&1; then
		cat "$out/plant0.log"
		exit 1
	fi
	plant 1 'a lost add'
	plant 2 'a double cleanup'
	plant 3 'a wrong order'
	plant 4 'a lost error'
	plant 5 'a late -ESHUTDOWN'

	wraps=
	for name in malloc calloc realloc pthread_create $(sed 's/#.*//' tests/support/wraps) \
		tmgr__goroutine_ready tmgr__delete_message tmgr__timer_arm tmgr__delete_waits; do
		wraps="$wraps -Wl,--wrap=$name"
	done
	# shellcheck disable=SC2086
	$CC $flags $wraps -o "$out/process_simulation" tests/stress/process_simulation.c tests/planted/process_plants.c \
		tests/support/durable.c tests/support/world.c tests/support/fault.c tests/support/leak.c "$BUILD/libtaskmgr.a" \
		-lev -lm -lcmocka
	if ! PLANT=0 SECONDS=2 "$out/process_simulation" >"$out/process_plant0.log" 2>&1; then
		cat "$out/process_plant0.log"
		exit 1
	fi
	plant_process 1 'a lost wakeup'
	plant_process 2 'a double fire'
	plant_process 3 'a skipped timer'
	plant_process 4 'a wait that is not deleted'
	;;
esac

echo "$found found, $missed missed"
[ "$missed" -eq 0 ]
