#!/usr/bin/env bash
# Each small example runs, says what its head comment promises, and ends by itself with the right status.

set -uo pipefail
failures=0

run() # EXPECTED-STATUS "text that its output must have|another" PROGRAM ARGUMENT...
{
    local expected=$1 parts=$2 program=$3 output status=0 part
    shift 3
    output=$(timeout 30 "$GYRE_BIN/$program" "$@" 2>&1) || status=$?
    if [ $status -ne "$expected" ]; then
        printf 'FAILED: %s %s: status %d instead of %d\n%s\n' "$program" "$*" $status "$expected" "$output"
        failures=$((failures + 1))
    fi
    while [ -n "$parts" ]; do
        part=${parts%%|*}
        case $output in
        *"$part"*) ;;
        *)
            printf 'FAILED: %s %s: no "%s" in:\n%s\n' "$program" "$*" "$part" "$output"
            failures=$((failures + 1))
            ;;
        esac
        case $parts in *'|'*) parts=${parts#*|} ;; *) parts= ;; esac
    done
}

two='--shards=2 --overprovisioned' # also where there is one CPU only

run 0 'ada says on shard 0: hello, world|ada greeted 1' gyre-hello --shards=1
run 0 'ada says on shard 1: hello, world' gyre-hello $two
run 0 'One actor greets the world.|--shards=' gyre-hello --help
run 2 '--shards' gyre-hello --shrads=2

for shards in --shards=1 "$two"; do
    run 0 'easy: the answer is 42|refused: error -33|slow: error -110|forgotten: error -130' gyre-ask $shards
done

for shards in --shards=1 "$two"; do
    run 0 'bob works|a second bob: error -17|ada failed, and is started again|ada works|2 of 2 run, 1 restarts|- ada (hand) runs, restarted 1' \
        gyre-crew $shards
done
run 0 'fetched 2 times, 3 read at a time, 3 changes, 3 in the book' gyre-library --shards=1
run 0 'round 0, till(0): 1 sold|till failed, and is started again|round 1, till(0): 1 sold' gyre-tills --shards=1
run 0 'round 0, till(1): 1 sold|till failed, and is started again|round 1, till(0): 2 sold|round 1, till(1): 1 sold' gyre-tills $two
run 0 "uname: $(uname -s -r)|/etc/passwd: root" gyre-facts --shards=1 /etc/passwd
run 1 'open /no/such: No such file or directory' gyre-facts --shards=1 /no/such
run 0 'shard 0 counted 100000' gyre-sharded --shards=1
run 0 'shard 0 counted 50000|shard 1 counted 50000' gyre-sharded $two
run 0 'shard 0 counted 50000|shard 1 counted 50000' gyre-sharded $two --mailbox=64 --ring-cells=64
run 0 'mean 499' gyre-embed --shards=1
run 0 'mean 499' gyre-embed $two

for shards in --shards=1 "$two"; do
    run 0 'a customer heard of 12 orders|closed: 12 orders' gyre-primitives $shards
done

log=$(mktemp)
pid=
trap '[ -z "$pid" ] || kill -KILL $pid 2>/dev/null; rm -f "$log"' EXIT

serve() # PROGRAM ARGUMENT...: on a free port, which its log names, as $port
{
    local i
    : >"$log" # or the port of the program before it may be found
    "$GYRE_BIN/$1" "${@:2}" $two 2>"$log" &
    pid=$!
    port=
    for ((i = 0; i < 200; i++)); do
        port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$log")
        [ -z "$port" ] || break
        sleep 0.1
    done
}

finish() # PROGRAM: SIGTERM ends it with status 0
{
    local status=0
    kill -TERM $pid
    if ! timeout 60 tail --pid=$pid -f /dev/null; then
        printf '%s does not end; where its threads are:\n' "$1"
        head -n 20 /proc/$pid/task/*/{comm,wchan,status} 2>/dev/null
        kill -ABRT $pid
        sleep 1
        kill -KILL $pid 2>/dev/null
    fi
    wait $pid || status=$?
    pid=
    if [ $status -ne 0 ]; then
        printf 'FAILED: %s ended with status %d\n' "$1" $status
        cat "$log"
        failures=$((failures + 1))
    fi
}

# What is sent comes back.
serve gyre-echo --listen=127.0.0.1:0
for ((i = 0; i < 5; i++)); do
    reply=
    if exec 3<>"/dev/tcp/127.0.0.1/${port:-0}"; then
        printf 'line %d\n' "$i" >&3
        read -r -t 20 reply <&3
        exec 3<&-
    fi
    if [ "$reply" != "line $i" ]; then
        printf 'FAILED: gyre-echo: "line %d" came back as "%s"\n' "$i" "$reply"
        failures=$((failures + 1))
    fi
done
finish gyre-echo

# What was counted is told. At port 0 each shard has a port of its own: the first one's.
serve gyre-statsd --listen=127.0.0.1:0
port=${port%%$'\n'*}
reply=
if exec 3<>"/dev/udp/127.0.0.1/${port:-0}"; then
    printf 'page.hits:3|c\npage.misses:1|c' >&3
    printf 'page.hits:4|c\nno line' >&3
    printf '?page.hits' >&3
    read -r -t 20 reply <&3
    exec 3<&-
fi
if [ "$reply" != 7 ]; then
    printf 'FAILED: gyre-statsd counted "%s" instead of 7\n' "$reply"
    failures=$((failures + 1))
fi
finish gyre-statsd

# A page made of three answers, and one of which the third comes too late.
for program in gyre-flow gyre-continuations; do
    serve $program 127.0.0.1:0
    for expected in 'id=9 HTTP/1.1 504|error -110' 'id=7 HTTP/1.1 200|user 7, posts 8, ads 9'; do
        reply=
        if exec 3<>"/dev/tcp/127.0.0.1/${port:-0}"; then
            printf 'GET /page?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' "${expected%% *}" >&3
            reply=$(timeout 20 cat <&3)
            exec 3<&-
        fi
        expected=${expected#* }
        case $reply in
        "${expected%%|*}"*"${expected#*|}"*) ;;
        *)
            printf 'FAILED: %s: not "%s" but:\n%s\n' $program "$expected" "$reply"
            failures=$((failures + 1))
            ;;
        esac
    done
    finish $program
done

# A program that ends is started again, SIGHUP starts it anew, SIGTERM ends both.
await_lines() # COUNT TEXT: in $log, at most 20 s
{
    local i
    for ((i = 0; i < 400; i++)); do
        [ "$(grep -c "$2" "$log")" -lt "$1" ] || return 0
        sleep 0.05
    done
    printf 'FAILED: gyre-keeper: not %d times "%s" in:\n%s\n' "$1" "$2" "$(cat "$log")"
    failures=$((failures + 1))
}
for script in 'echo up; exec sleep 30' 'echo up; exit 3'; do
    : >"$log"
    "$GYRE_BIN/gyre-keeper" sh -c "$script" >"$log" 2>&1 &
    pid=$!
    await_lines 1 '] up$'
    kill -HUP $pid
    await_lines 2 '] up$'
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    pid=
    [ $status -eq 0 ] || { echo "FAILED: gyre-keeper ended with $status"; failures=$((failures + 1)); }
done
await_lines 1 'has ended with status 3$'

[ $failures -eq 0 ]
