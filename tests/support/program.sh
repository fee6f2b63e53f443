# shellcheck shell=sh
# What scripts share that run programs and wait for them. Before it is sourced they have $scale; where a wait is to last longer than
# 20 seconds, $limit; and die(). Of the program that launch() begins, $out is the output and $pid the number until its end.

pid=
out=
limit=${limit:-$((20 * scale))}

# A shell's background programs ignore SIGINT, so it is given back.
launch() # launch PROGRAM ARGUMENT...
{
	: >"$out"
	env --default-signal=INT "$@" >"$out" 2>&1 </dev/null &
	pid=$!
}

# From a program that has ended nothing more comes.
wait_until() # wait_until WHAT COMMAND...
{
	what=$1
	shift
	tries=$((20 * limit))
	until "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || die "$what: not after $limit seconds"
		[ -z "$pid" ] || kill -0 "$pid" 2>/dev/null || "$@" || die "$what: the program has ended"
		sleep 0.05
	done
}

printed() { grep -q -e "$1" "$out"; }
printed_times() { [ "$(grep -c -e "$1" "$out")" -ge "$2" ]; } # printed_times PATTERN NUMBER
wait_for() { wait_until "a line \"$1\"" printed "$1"; }
says() { printed "$1" || die "does not say \"$1\""; }

# No subshell that is killed: bash may run the trap for its own end in it.
ends_with() # ends_with EXIT_CODE
{
	timeout "$limit" tail -s 0.02 --pid="$pid" -f /dev/null || kill -KILL "$pid"
	wait "$pid"
	status=$?
	pid=
	[ "$status" -eq "$1" ] || die "exit code $status, not $1"
}

interrupt()
{
	kill -INT "$pid"
	ends_with 0
}
