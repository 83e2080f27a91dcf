#!/usr/bin/env bash
# gyre-perf measures what it says, and the load generator counts right. No time is judged here.

set -uo pipefail
[ -x "$GYRE_BIN/gyre-perf" ] || { echo "skipped: built without the performance suite"; exit 77; }
failures=0
scratch=$(mktemp -d)
server=''
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$scratch"' EXIT

fail()
{
    printf 'FAILED: %s\n' "$*"
    failures=$((failures + 1))
}

status() # EXPECTED PROGRAM ARGUMENT...
{
    local expected=$1 program=$2 status=0
    shift 2
    timeout 120 "$GYRE_BIN/$program" "$@" >"$scratch/out" 2>&1 || status=$?
    [ $status -eq "$expected" ] ||
        fail "$program $*: status $status instead of $expected: $(cat "$scratch/out")"
}

rows='local/count local/pingpong local/ring local/ask local/spawn local/idle_bytes local/then local/spawn_cold local/skynet local/skynet_cold local/big local/many_100k local/many_1m timer/arm timer/late mesh/rtt mesh/oneway mesh/pairs mesh/busy mesh/wake'
status 0 gyre-perf list
[ "$(tr '\n' ' ' <"$scratch/out")" = "$rows " ] || fail "list: $(cat "$scratch/out")"
status 2 gyre-perf run --filter=nothing
status 2 gyre-perf run '--filter=('
status 2 gyre-perf run --quikc
status 2 gyre-perf run --json=/nonexistent/file --filter=local/count
status 2 gyre-perf

# Every local row has its counters under its own name, and a goal that is out of reach is missed.
status 0 gyre-perf run --quick --filter=^local/ --json="$scratch/json"
for row in local/count local/pingpong local/ring local/ask local/spawn local/idle_bytes; do
    for counter in ns_per_op roof_ns ratio; do
        awk -v row="\"name\": \"$row\"," -v counter="\"$counter\":" '
            index($0, row) { in_row = 1 }
            in_row && index($0, counter) { value = $2 + 0 }
            in_row && /}/ { in_row = 0 }
            END { exit !(value > 0) }' "$scratch/json" || fail "$row has no $counter in the JSON"
    done
done
grep -q '"gyre_commit"' "$scratch/json" || fail "no commit in the JSON"
status 1 gyre-perf run --quick --filter=local/count --gate=0.001

# The load generator against the bare ring loop: it counts what was answered, in each mode.
if [ -x "$GYRE_BIN/gyre-roof-http" ]; then
    "$GYRE_BIN/gyre-roof-http" "$(taskset -pc $$ | sed 's/.*: //; s/[,-].*//')" 0 >"$scratch/roof" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        port=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\).*|\1|p' "$scratch/roof")
        [ -z "$port" ] || break
        sleep 0.05
    done
    for mode in --connections=64 --connections=3 --depth=16 --close '--rate=20000 --connections=8'; do
        # shellcheck disable=SC2086
        status 0 gyre-load $mode --requests=2000 "127.0.0.1:$port"
        grep -q 'answers=2000 errors=0 resets=0' "$scratch/out" || fail "gyre-load $mode: $(cat "$scratch/out")"
    done
    status 1 gyre-load --status=404 --requests=10 "127.0.0.1:$port"
    kill "$server"
    wait "$server" 2>/dev/null
    server=''
    status 2 gyre-load --requests=10 127.0.0.1:1
fi
[ $failures -eq 0 ]
