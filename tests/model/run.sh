#!/bin/bash
# Checks the models of core's lock-free parts: the right ones exhaustively, the broken ones until
# their fault shows. Usage: run.sh [WORD...]: only rows that contain all of the words.
# GYRE_LONG=1: larger instances as well (minutes, up to 3 GB of memory).
#
# What a row may expect:
#   pass    no error in any state, and every statement was reached (two variants are broken by the C
#           standard but right on x86; each stands beside the row in which it fails)
#   part    no error in any state; this instance is too small to reach every statement
#   long    pass or part, under GYRE_LONG only
#   assert  an assertion fails: a message is lost, doubled, torn, refused
#   stuck   a state from which nothing goes on: somebody sleeps or waits for ever
set -u

table() {
    cat <<'ROWS'
pass   ring    -DTSO
pass   ring    -DVIEWS
assert ring    -DTSO   -DBROKEN_FIRST_NOT_HELD_BACK
assert ring    -DVIEWS -DBROKEN_FIRST_NOT_HELD_BACK
assert ring    -DTSO   -DBROKEN_WORD_BEFORE_PAYLOAD
assert ring    -DTSO   -DBROKEN_HEAD_BEFORE_RUN
assert ring    -DTSO   -DBROKEN_ROOM
assert ring    -DTSO   -DBROKEN_NO_LAP
assert ring    -DVIEWS -DBROKEN_FLUSH_RELAXED
assert ring    -DVIEWS -DBROKEN_LOOK_RELAXED
assert ring    -DVIEWS -DBROKEN_HEAD_RELAXED
assert ring    -DVIEWS -DBROKEN_ROOM_RELAXED
long   ring    -DTSO   -DN=4 -DM=9
long   ring    -DVIEWS -DN=4 -DM=6

pass   park    -DTSO
pass   park    -DTSO   -DP=1 -DC=2
pass   park    -DVIEWS -DP=1 -DM=2
pass   park    -DVIEWS -DP=2 -DM=1 -DSPURIOUS=0
pass   park    -DVIEWS -DP=1 -DC=2 -DM=1 -DSPURIOUS=0
stuck  park    -DTSO   -DBROKEN_NO_PRODUCER_FENCE
stuck  park    -DTSO   -DBROKEN_NO_CONSUMER_FENCE
stuck  park    -DTSO   -DBROKEN_NO_SECOND_LOOK
stuck  park    -DTSO   -DBROKEN_WAKE_NOT_REMEMBERED
stuck  park    -DVIEWS -DP=1 -DBROKEN_NO_PRODUCER_FENCE
stuck  park    -DVIEWS -DP=1 -DBROKEN_NO_CONSUMER_FENCE
long   park    -DTSO   -DM=3
long   park    -DVIEWS -DP=2 -DM=1

pass   mesh    -DTSO
pass   mesh    -DVIEWS -DP=1
pass   mesh    -DTSO   -DNEVER_SLEEPS
pass   mesh    -DVIEWS -DNEVER_SLEEPS -DM=1
pass   mesh    -DTSO   -DSTOP -DP=1
pass   mesh    -DVIEWS -DSTOP -DNEVER_SLEEPS -DP=1
pass   mesh    -DTSO   -DLOOK_BITS -DM=1
pass   mesh    -DVIEWS -DLOOK_BITS -DP=1 -DFENCE_AFTER_BIT
stuck  mesh    -DTSO   -DBROKEN_NO_PRODUCER_FENCE
stuck  mesh    -DTSO   -DBROKEN_NO_CONSUMER_FENCE
stuck  mesh    -DTSO   -DBROKEN_NO_SECOND_LOOK
assert mesh    -DTSO   -DBROKEN_ROW_AFTER_BIT
assert mesh    -DVIEWS -DP=1 -DBROKEN_ROW_RELAXED
assert mesh    -DVIEWS -DP=1 -DBROKEN_BITS_RELAXED
stuck  mesh    -DTSO   -DNEVER_SLEEPS -DBROKEN_CLEAR_WITHOUT_LOOK
stuck  mesh    -DTSO   -DNEVER_SLEEPS -DBROKEN_CLEAR_NOT_ATOMIC
stuck  mesh    -DTSO   -DNEVER_SLEEPS -DBROKEN_BIT_BEFORE_WORD
stuck  mesh    -DVIEWS -DNEVER_SLEEPS -DP=1 -DBROKEN_NO_CLEAR_FENCE
pass   mesh    -DTSO   -DNEVER_SLEEPS -DBROKEN_NO_CLEAR_FENCE
stuck  mesh    -DTSO   -DLOOK_BITS -DBROKEN_CLEAR_WITHOUT_LOOK
stuck  mesh    -DVIEWS -DLOOK_BITS -DP=1
stuck  mesh    -DTSO   -DSTOP -DP=1 -DBROKEN_STOP_NO_FENCE
stuck  mesh    -DTSO   -DSTOP -DP=1 -DBROKEN_STOP_NO_LOOK
assert mesh    -DTSO   -DSTOP -DP=1 -DBROKEN_STOP_BY_BITS
assert mesh    -DTSO   -DSTOP -DP=1 -DBROKEN_STOP_AFTER_POLL
assert mesh    -DVIEWS -DSTOP -DNEVER_SLEEPS -DP=1 -DBROKEN_STOP_RELAXED
long   mesh    -DTSO   -DSTOP -DM=1
long   mesh    -DVIEWS -DSTOP -DP=1 -DM=1
long   mesh    -DTSO   -DLOOK_BITS
long   mesh    -DVIEWS -DM=1

pass   room    -DTSO
pass   room    -DVIEWS -DRECEIVER_POLLS
pass   room    -DVIEWS -DM=2
stuck  room    -DTSO   -DBROKEN_NO_HEAD_FENCE
stuck  room    -DTSO   -DBROKEN_NO_SENDER_FENCE
stuck  room    -DTSO   -DBROKEN_NO_LOOK_FOR_ROOM
stuck  room    -DTSO   -DBROKEN_WANT_BEFORE_SLEEPING
stuck  room    -DVIEWS -DRECEIVER_POLLS -DBROKEN_WANT_RELAXED
stuck  room    -DVIEWS -DRECEIVER_POLLS -DBROKEN_WANT_BEFORE_SLEEPING
long   room    -DTSO   -DN=2 -DM=6

pass   calls   -DN=4
pass   calls   -DN=2
assert calls   -DBROKEN_CASTS_FILL_ALL
assert calls   -DBROKEN_NO_CREDIT
stuck  calls   -DBROKEN_NO_RESERVE
assert calls   -DBROKEN_FLUSH_BEFORE_HEAD

part   foreign -DTSO   -DM=1
pass   foreign -DTSO
part   foreign -DVIEWS -DM=1
pass   foreign -DTSO   -DNEVER_SLEEPS
pass   foreign -DVIEWS -DNEVER_SLEEPS
pass   foreign -DTSO   -DNEVER_SLEEPS -DCOMPLETION -DRESERVE=1 -DM=1
pass   foreign -DVIEWS -DNEVER_SLEEPS -DCOMPLETION -DRESERVE=1 -DM=1
stuck  foreign -DTSO   -DBROKEN_NO_PRODUCER_FENCE
stuck  foreign -DTSO   -DBROKEN_NO_CONSUMER_FENCE
stuck  foreign -DTSO   -DBROKEN_NO_SECOND_LOOK
assert foreign -DTSO   -DNEVER_SLEEPS -DBROKEN_PUBLISH_BEFORE_PAYLOAD
stuck  foreign -DTSO   -DNEVER_SLEEPS -DBROKEN_CLAIM_NOT_ATOMIC
assert foreign -DTSO   -DNEVER_SLEEPS -DBROKEN_POP_BEFORE_RUN
assert foreign -DTSO   -DNEVER_SLEEPS -DP=1 -DCOMPLETION -DRESERVE=1 -DBROKEN_NO_PROBE
assert foreign -DVIEWS -DNEVER_SLEEPS -DP=1 -DCOMPLETION -DRESERVE=1 -DBROKEN_CLAIM_RELAXED
assert foreign -DVIEWS -DNEVER_SLEEPS -DBROKEN_POST_RELAXED
assert foreign -DVIEWS -DNEVER_SLEEPS -DBROKEN_PEEK_RELAXED
assert foreign -DVIEWS -DNEVER_SLEEPS -DBROKEN_PROBE_RELAXED
assert foreign -DVIEWS -DNEVER_SLEEPS -DBROKEN_POP_RELAXED
long   foreign -DTSO   -DP=3 -DM=1
ROWS
}

for tool in spin gcc; do
    if ! command -v $tool >/dev/null; then
        echo "$tool is not here: the models are not checked (Debian: apt-get install spin gcc)"
        exit 77
    fi
done

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# The verdict on pan's output: pass, part, assert, stuck, or what went wrong with the check itself.
verdict() {
    if grep -q 'assertion violated (atomics\[.*\]\.n<' out; then
        echo "HISTORY too small"
    elif grep -q 'assertion violated' out; then
        echo assert
    elif grep -q 'invalid end state' out && grep -q 'errors: [1-9]' out; then
        echo stuck
    elif grep -qE 'max search depth too small|out of memory|reached -DMEMLIM|VECTORSZ' out; then
        echo "not exhaustive"
    elif ! grep -q 'errors: 0' out; then
        echo "pan failed"
    elif sed -n '/^unreached/,$p' out | grep 'state' | grep -v '"-end-"' | grep -q '\.pml:'; then
        echo part
    else
        echo pass
    fi
}

# Leaves pan's output in ./out.
check() {
    # Compiling takes longer than most searches.
    local model=$1 optimise=-O0
    [ -z "${GYRE_LONG:-}" ] || optimise=-O2
    shift
    rm -f pan pan.*
    spin -a "$@" "$here/$model.pml" >out 2>&1 &&
        gcc $optimise -w -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -DMEMLIM=3000 -o pan pan.c >>out 2>&1 &&
        ./pan -w20 -m"$([ "$model" = calls ] && echo 1000000 || echo 20000)" >>out 2>&1
}

passed=0
failed=0
printf '%-8s %-66s %-7s %8s\n' model variant found states
while read -r expected model flags; do
    [ -n "$expected" ] || continue
    skip=
    for word in "$@"; do
        case "$expected $model $flags" in *"$word"*) ;; *) skip=1 ;; esac
    done
    if [ "$expected" = long ]; then
        [ -n "${GYRE_LONG:-}" ] || skip=1
    fi
    [ -z "$skip" ] || continue
    # shellcheck disable=SC2086 # flags are words
    check "$model" $flags
    found=$(verdict)
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' out)
    printf '%-8s %-66s %-7s %8s' "$model" "$(echo $flags)" "$found" "$states"
    if [ "$found" = "$expected" ] || { [ "$expected" = long ] && [[ $found == pa[sr]* ]]; }; then
        passed=$((passed + 1))
        echo
    else
        failed=$((failed + 1))
        echo "  FAILED: expected $expected"
        grep -E '^(spin:|pan:|error|.*error:)|unreached|\.pml:' out | head -20
    fi
done < <(table)
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
