#!/bin/bash
# orders, driven by curl and taskctl, killed again and again and now and then stopped: every order that was acknowledged ends, each of its effects
# has one key at the receiver of the webhook, however often it was told, each row of the ledger is there once, and
# the file has nothing in it that should not be there.
#
# ORDERS_KILLS  how often it is killed (12)
# ORDERS        how many orders there are (40; at most 100)
# SEED          repeats the choices, though not what the scheduler makes of them
set -u
cd "$(dirname "$0")/.." || exit

BUILD=${BUILD:-build}
scale=${TEST_TIMEOUT_SCALE:-1}
limit=$((30 * scale))
# shellcheck source=tests/support/program.sh
. tests/support/program.sh
orders=$BUILD/examples/orders
kills=${ORDERS_KILLS:-12}
count=${ORDERS:-40}
seed=${SEED:-$$}
dir=$(mktemp -d)
daemon=
sink=
customers=
port=0
RANDOM=$seed
export LC_ALL=C

finish()
{
	# shellcheck disable=SC2086 # several
	kill -KILL $daemon $sink $customers 2>/dev/null
	wait 2>/dev/null
	[ -n "${KEEP-}" ] || rm -rf "$dir"
}
trap finish EXIT

die()
{
	echo "FAIL: $1 (SEED=$seed)"
	tail -n 20 "$dir"/*.out
	exit 1
}

listens() # listens FILE
{
	grep -q '^listening' "$1"
}

port_of() # port_of FILE
{
	sed -n 's/^listening on .* port //p' "$1"
}

start_daemon()
{
	: >"$dir/daemon.out"
	"$orders" --database "$dir/orders.db" --port "$port" --webhook "http://127.0.0.1:$sink_port/hook" \
		--approval-limit "$approval" --delivery-time 0.3 --control "$dir/control" >>"$dir/daemon.out" 2>&1 </dev/null &
	daemon=$!
	wait_until 'the daemon listens' listens "$dir/daemon.out"
	port=$(port_of "$dir/daemon.out")
}

stop_daemon()
{
	kill -TERM "$daemon"
	wait "$daemon"
	status=$?
	daemon=
	[ "$status" -eq 0 ] || die "the daemon ended with $status"
}

# ---- Customers and managers: each command has a key, and is asked for until it is answered ----------------------

# The code of the answer is in $code, the answer in $answer. What is not answered, or with "later", is asked again.
ask() # ask METHOD PATH KEY [BODY]
{
	while :; do
		answer=$(curl -s -m 15 -X "$1" -H "Idempotency-Key: $3" ${4:+-d "$4"} -w '%{http_code}' \
			"http://127.0.0.1:$port$2")
		code=${answer: -3}
		case $code in
		000 | 500 | 503 | 504) echo "$2 $code" >>"$dir/again" ;;
		*) return ;;
		esac
		sleep 0.05
	done
}

must() # must CODES METHOD PATH KEY [BODY]
{
	codes=$1
	shift
	ask "$@"
	case " $codes " in
	*" $code "*) ;;
	*) echo "$1 $2 ${4-}: $answer" >>"$dir/wrong.out" ;;
	esac
}

# An operator does, at any moment: with an order that is over, or was cancelled before, there is nothing to do.
cancel_process() # cancel_process ID
{
	sleep "0.$((RANDOM % 5))"
	until "$BUILD/taskctl" process cancel "$1" --socket "$dir/control" >"$dir/cancel.$1" 2>&1 ||
		grep -q 'the process is over\|it is so already' "$dir/cancel.$1"; do
		echo "cancel $1: $(cat "$dir/cancel.$1")" >>"$dir/again"
		sleep 0.05
	done
}

# What becomes of an order is decided by its number.
play_order() # play_order NUMBER
{
	id=order-$1
	must '200 201' POST /orders "$id-create" "{\"id\":\"$id\",\"customer\":\"customer $1\"}"
	echo "$id" >>"$dir/acknowledged"
	must 200 POST "/orders/$id/lines" "$id-tea" '{"sku":"tea","quantity":2,"price":450}'
	must 200 POST "/orders/$id/lines" "$id-cup" '{"sku":"cup","quantity":1,"price":100}'
	must 200 POST "/orders/$id/submit" "$id-submit"
	case $(($1 % 8)) in
	0) must 200 POST "/orders/$id/decision" "$id-decide" '{"approved":false,"reason":"no"}' ;;
	1) ;; # nobody decides
	2) must 200 POST "/orders/$id/cancel" "$id-cancel" '{"reason":"before"}' ;;
	3 | 4)
		must 200 POST "/orders/$id/decision" "$id-decide" '{"approved":true}'
		must '200 202 409' POST "/orders/$id/cancel" "$id-cancel" '{"reason":"after"}'
		;;
	5 | 6)
		must '200' POST "/orders/$id/decision" "$id-decide" '{"approved":true}'
		cancel_process "$id"
		;;
	*) must 200 POST "/orders/$id/decision" "$id-decide" '{"approved":true}' ;;
	esac
}

play_orders() # play_orders FIRST STEP
{
	for ((n = $1; n <= count; n += $2)); do
		[ $((n % 8)) -eq 1 ] || play_order "$n"
	done
}

# ---- What must hold ---------------------------------------------------------------------------------------------

all_are_over()
{
	[ "$(curl -s -m 15 "http://127.0.0.1:$port/orders" | grep -o '"process":"\(finished\|cancelled\)"' | wc -l)" -eq "$count" ]
}

query() # query SQL
{
	sqlite3 -readonly "$dir/orders.db" "$1"
}

# "ORDER EVENT" for each effect that an order with this end must have had, at least and at most.
effects_of() # effects_of ORDER STATUS REASON
{
	case $2 in
	done) printf "$1 %s\n" delivery.shipped order.done payment.charged ;;
	cancelled)
		echo "$1 order.cancelled"
		[ "$3" = before ] || echo "$1 *"
		;;
	*) echo "$1 order.$2" ;;
	esac
}

each_order_has_ended()
{
	query "SELECT id, state ->> 'status', state ->> 'reason' FROM tmgr_processes WHERE definition = 'order'" |
		tr '|' ' ' >"$dir/ends"
	cut -d ' ' -f 1 "$dir/ends" | sort >"$dir/known"
	sort -u "$dir/acknowledged" | cmp -s - "$dir/known" || die 'other orders than were acknowledged'
	while read -r id status reason; do
		case $((${id#order-} % 8)):$status in
		0:refused | 1:expired | 2:cancelled | [3456]:cancelled | [34567]:done) ;;
		*) die "$id is $status $reason" ;;
		esac
	done <"$dir/ends"
}

# A line of the sink is: key, event, order, amount.
each_effect_has_one_key()
{
	awk '{ print $3, $2, $1 }' "$dir/told" | sort -u >"$dir/keys"
	cut -d ' ' -f 1,2 "$dir/keys" | uniq -d >"$dir/twice"
	[ ! -s "$dir/twice" ] || die "two keys: $(cat "$dir/twice")"
	cut -d ' ' -f 3 "$dir/keys" | sort | uniq -d >"$dir/twice"
	[ ! -s "$dir/twice" ] || die "a key for two effects: $(cat "$dir/twice")"
	awk '$4 != 1000 { print }' "$dir/told" >"$dir/amounts"
	[ ! -s "$dir/amounts" ] || die "another amount: $(cat "$dir/amounts")"
}

# A cancel (after, or by an operator) may come before the charge, or after it and then the money goes back; a parcel that left is recalled.
each_order_has_its_effects()
{
	while read -r id status reason; do
		told=$(awk -v id="$id" '$1 == id { printf "%s ", $2 }' "$dir/keys")
		case $status:$reason:$told in
		done:*:'delivery.shipped order.done payment.charged ') ;;
		refused:*:'order.refused ' | expired:*:'order.expired ' | cancelled:before:'order.cancelled ') ;;
		cancelled:[ac]*:'order.cancelled ' | cancelled:[ac]*:'order.cancelled payment.charged payment.refunded ' | \
			cancelled:[ac]*:'delivery.recalled '*'order.cancelled payment.charged payment.refunded ') ;;
		*) die "$id is $status ($reason), and told was: $told" ;;
		esac
	done <"$dir/ends"
}

each_row_is_in_the_ledger_once()
{
	[ -z "$(query 'SELECT order_id, event, count(*) FROM ledger GROUP BY 1, 2 HAVING count(*) <> 1')" ] ||
		die "rows of the ledger are there twice"
	[ "$(query "SELECT count(DISTINCT order_id) FROM ledger WHERE event = 'cart'")" -eq "$count" ] ||
		die 'an order is not in the ledger'
	# What was paid was for what has left the house, or went back.
	[ "$(query "SELECT coalesce(sum(CASE event WHEN 'paid' THEN 1 WHEN 'shipped' THEN -1 WHEN 'refunded' THEN -1 END), 0)
		FROM ledger")" -eq 0 ] || die 'paid is not shipped and refunded'
	[ -z "$(query "SELECT id FROM tmgr_processes p WHERE definition = 'order' AND NOT EXISTS
		(SELECT 1 FROM ledger WHERE order_id = p.id AND event = p.state ->> 'status')")" ] ||
		die 'an end is not in the ledger'
}

# ---- The test ---------------------------------------------------------------------------------------------------

# Those that nobody decides have a limit that ends while the others are at work; those have all the time they need.
approval=3
: >"$dir/again"
: >"$dir/sink.out"
: >"$dir/wrong.out"
"$orders" --sink "$dir/told" --port 0 --fail-every 7 >"$dir/sink.out" 2>&1 </dev/null &
sink=$!
wait_until 'the sink listens' listens "$dir/sink.out"
sink_port=$(port_of "$dir/sink.out")
start_daemon
for ((n = 1; n <= count; n += 8)); do
	play_order "$n"
done
stop_daemon
approval=600
start_daemon
for customer in 1 2 3 4; do
	play_orders "$customer" 4 &
	customers="$customers $!"
done
killed=0
stopped=0
while [ "$killed" -lt "$kills" ]; do
	ms=$(((RANDOM % 300 + 30) * scale))
	sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
	if [ $((RANDOM % 4)) -eq 0 ]; then
		stop_daemon # what it was asked it answers
		stopped=$((stopped + 1))
	else
		kill -KILL "$daemon"
		wait "$daemon" 2>/dev/null
		killed=$((killed + 1))
	fi
	start_daemon
done
# shellcheck disable=SC2086 # several
wait $customers
customers=
[ ! -s "$dir/wrong.out" ] || die "answers: $(cat "$dir/wrong.out")"
wait_until 'all orders are over' all_are_over
stop_daemon
kill -TERM "$sink"
wait "$sink" || die 'the sink ended with an error'
sink=

each_order_has_ended
each_effect_has_one_key
each_order_has_its_effects
each_row_is_in_the_ledger_once
"$BUILD/taskctl" process check "$dir/orders.db" || die 'the file has what should not be in it'
echo "ok: $count orders, $killed kills, $stopped stops, $(wc -l <"$dir/again") requests asked again;" \
	"$(wc -l <"$dir/keys") effects, told $(wc -l <"$dir/told") times; SEED=$seed"
