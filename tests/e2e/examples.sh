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

run 0 'shard 0 counted 100000' gyre-sharded --shards=1
run 0 'shard 0 counted 50000|shard 1 counted 50000' gyre-sharded $two
run 0 'mean 499' gyre-embed --shards=1
run 0 'mean 499' gyre-embed $two

[ $failures -eq 0 ]
