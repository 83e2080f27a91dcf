#!/usr/bin/env bash
# User-space instructions per operation, which no noise moves, against a committed budget.
#
#   perf/instructions.sh [--bin=DIR] [--update] [ROW...]
#
# Each row of perf/budget.txt is run twice under callgrind with different numbers of operations; the
# difference of the instructions over the difference of the operations is the price of one. Ends
# with 1 when a row is over its budget three times: http rows move by some per cent with how the load
# and the server meet. --update writes the measured prices as the new budget, with
# 10 % of room for that: for a change that is worth it, in the commit that makes it.
#
# local/... are gyre's sides of gyre-perf's rows. http/c1 and http/x16 are requests to gyre-demo on
# one connection, one at a time and 16 at a time; http/x16v the same with no two heads alike, so that
# each is parsed; http/close and http/closev the same on connections of their own, 64 at a time;
# roof/... the same to the bare ring loop, which has no budget and is printed beside them. fetch/c1 is
# the client's side: a request of gyre-client-load to gyre-demo, one at a time; roof/fetch the same by
# gyre-roof-client.
set -eu
cd "$(dirname "$0")/.."

bin=build/release/bin update=no rows=() budget=perf/budget.txt
while [ $# -gt 0 ]; do
    case $1 in
    --bin=*) bin=${1#*=} ;;
    --update) update=yes ;;
    --help) sed -n '2,19s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "perf/instructions.sh: $1: no such option: --help shows them" >&2; exit 2 ;;
    *) rows+=("$1") ;;
    esac
    shift
done
command -v valgrind >/dev/null || { echo "valgrind is not installed" >&2; exit 77; }
scratch=$(mktemp -d)
server=''
finish()
{
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    rm -rf "$scratch"
}
trap finish EXIT

# Spinning costs instructions that are no work; and a turn that ends by the clock, under which everything
# is fifty times slower here, would be a turn of a few messages.
export GYRE_POLL=never GYRE_TURN=1s

# Started in the background, this is the process itself.
callgrind() # program...
{
    exec valgrind --tool=callgrind --callgrind-out-file="$scratch/callgrind" --log-file="$scratch/log" "$@"
}

collected() # file
{
    sed -n 's/^totals: \([0-9]*\).*/\1/p' "$1"
}

fail()
{
    echo "perf/instructions.sh: $*" >&2
    exit 1
}

# Instructions of a server for so many requests on one connection. It is asked for a dump instead of
# being ended: under valgrind a thread that sleeps in the ring keeps a signal from being handled.
dump() # requests, depth, number, options of the load
{
    # shellcheck disable=SC2086
    "$bin/gyre-load" --connections=1 --depth="$2" --requests="$1" $4 "127.0.0.1:$port" >"$scratch/load" ||
        fail "the load failed: $(cat "$scratch/load")"
    sleep 0.2
    callgrind_control -d part "$server" >"$scratch/control" 2>&1 || fail "$(cat "$scratch/control")"
    collected "$scratch/callgrind.$3"
}

price_of_request() # program, depth, few, many, options of the load
{
    local few many
    : >"$scratch/out"
    case $1 in
    http) callgrind "$bin/gyre-demo" --shards=1 --listen=127.0.0.1:0 >"$scratch/out" 2>&1 & ;;
    roof) callgrind "$bin/gyre-roof-http" 0 0 >"$scratch/out" 2>&1 & ;;
    esac
    server=$!
    port=''
    for _ in $(seq 200); do
        port=$(sed -n 's|.*listening on http://[0-9.]*:\([0-9]*\).*|\1|p' "$scratch/out" | head -1)
        [ -z "$port" ] || break
        sleep 0.05
    done
    [ -n "$port" ] || fail "the server does not say where it listens: $(cat "$scratch/out")"
    dump "$3" "$2" 1 "$5" >/dev/null # what happens once
    few=$(dump "$3" "$2" 2 "$5")
    many=$(dump "$4" "$2" 3 "$5")
    kill -KILL "$server"
    wait "$server" 2>/dev/null || true
    server=''
    rm -f "$scratch"/callgrind*
    difference "$few" "$many" $(($4 - $3))
}

price_of_message() # row, few, many
{
    local few many
    (callgrind "$bin/gyre-perf" once "$1" "$2") >"$scratch/out" 2>&1 || fail "$1: $(cat "$scratch/out")"
    few=$(collected "$scratch/callgrind")
    (callgrind "$bin/gyre-perf" once "$1" "$3") >"$scratch/out" 2>&1 || fail "$1: $(cat "$scratch/out")"
    many=$(collected "$scratch/callgrind")
    difference "$few" "$many" $(($3 - $2))
}

difference() # few, many, operations
{
    awk -v a="$1" -v b="$2" -v n="$3" 'BEGIN { printf "%.1f", (b - a) / n }'
}

# The client's instructions; the server is not counted.
price_of_fetch() # gyre or roof, few, many
{
    local out=$scratch/out n
    : >"$out"
    "$bin/gyre-demo" --shards=1 --listen=127.0.0.1:0 >"$out" 2>&1 &
    server=$!
    port=''
    for _ in $(seq 200); do
        port=$(sed -n 's|.*listening on http://[0-9.]*:\([0-9]*\).*|\1|p' "$out" | head -1)
        [ -z "$port" ] || break
        sleep 0.05
    done
    [ -n "$port" ] || fail "the server does not say where it listens: $(cat "$out")"
    for n in "$2" "$3"; do
        case $1 in
        gyre) (callgrind "$bin/gyre-client-load" "127.0.0.1:$port" 1 "$n") ;;
        roof) (callgrind "$bin/gyre-roof-client" "$port" 1 "$n") ;;
        esac >"$scratch/load" 2>&1 || fail "fetch: $(cat "$scratch/load")"
        collected "$scratch/callgrind" >>"$scratch/fetched"
    done
    kill -KILL "$server"
    wait "$server" 2>/dev/null || true
    server=''
    difference "$(sed -n 1p "$scratch/fetched")" "$(sed -n 2p "$scratch/fetched")" $(($3 - $2))
    rm -f "$scratch/fetched"
}

price() # row
{
    case $1 in
    fetch/c1) price_of_fetch gyre 1000 5000 ;;
    roof/fetch) price_of_fetch roof 1000 5000 ;;
    local/*) price_of_message "$1" 25600 128000 ;;
    */c1) price_of_request "${1%/*}" 1 800 4000 "" ;;
    */x16) price_of_request "${1%/*}" 16 1600 16000 "" ;;
    */x16v) price_of_request "${1%/*}" 16 1600 16000 --vary ;;
    */close) price_of_request "${1%/*}" 1 800 4000 "--connections=64 --close" ;;
    */closev) price_of_request "${1%/*}" 1 800 4000 "--connections=64 --close --vary" ;;
    *) fail "$1: no such row" ;;
    esac
}

is_over() # price, budget or nothing
{
    [ -n "$2" ] && awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > b) }'
}

allowed() # row
{
    awk -v row="$1" '$1 == row { print $2 }' "$budget"
}

[ ${#rows[@]} -gt 0 ] || mapfile -t rows < <(awk '/^[a-z]/ { print $1 }' "$budget")
over=0
printf '%-16s %12s %8s\n' row instructions budget
for row in "${rows[@]}"; do
    most=$(allowed "$row")
    note=''
    for _ in 1 2 3; do
        now=$(price "$row")
        is_over "$now" "$most" || break
    done
    if is_over "$now" "$most"; then
        note=' over budget'
        over=1
    fi
    printf '%-16s %12s %8s%s\n' "$row" "$now" "${most:--}" "$note"
    echo "$row $now" >>"$scratch/measured"
done
if [ $update = yes ]; then
    awk 'FNR == NR { price[$1] = $2; next }
         $1 in price { printf "%-16s %d\n", $1, price[$1] * 1.10 + 1; next }
         { print }' "$scratch/measured" "$budget" >"$scratch/budget"
    cp "$scratch/budget" "$budget"
    exit 0
fi
exit $over
