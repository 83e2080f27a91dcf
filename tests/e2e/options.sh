#!/usr/bin/env bash
# What the command line promises, as a user sees it: placement of shards, errors of one line, help of one screen.

. "${GYRE_SOURCE:?names the sources}/tests/support/server.sh" || exit 1
need curl taskset

run() # ARGUMENT... : $status, $stdout, $stderr
{
    status=0
    stdout=$(timeout 20 "$demo" "$@" 2>"$out/run") || status=$?
    stderr=$(cat "$out/run")
}

lines() { printf '%s\n' "$1" | wc -l; }

# ---- pages

run --help
equal "--help" 0 "$status"
check "--help fits a screen of 24 x 80: $stdout" awk 'length > 80 { wide = 1 } END { exit wide || NR > 24 }' <<<"$stdout"
for option in listen rate burst shards cpuset pin overprovisioned idle-spin poll mailbox drain-timeout print-topology \
    doctor print-config version; do
    has "--help" "--$option" "$stdout"
done
has "--help shows defaults" "127.0.0.1:8080" "$stdout"

run --version
equal "--version" 0 "$status"
has "--version" "gyre-demo 0.1.0" "$stdout"

run --doctor
equal "--doctor" 0 "$status"
has "--doctor" "ring set-up" "$stdout"

# ---- errors: one line, status 2

run --shrads=2
equal "unknown option: status" 2 "$status"
equal "unknown option: lines" 1 "$(lines "$stderr")"
has "unknown option: suggestion" "--shards" "$stderr"

run --rate=many
equal "bad value: status" 2 "$status"
has "bad value" "--rate" "$stderr"

outside=$(awk '/^Cpus_allowed_list/ { n = split($2, a, /[-,]/); print a[n] + 8 }' /proc/self/status)
run --cpuset="$outside" --print-topology
equal "a CPU that is not allowed: status" 2 "$status"
equal "a CPU that is not allowed: lines" 1 "$(lines "$stderr")"
has "a CPU that is not allowed is named" "$outside" "$stderr"
has "a CPU that is not allowed: the allowed ones are listed" \
    "$(awk '/^Cpus_allowed_list/ { print $2 }' /proc/self/status)" "$stderr"

for listen in nowhere 127.0.0.1 127.0.0.1: 127.0.0.1:99999 127.0.0.1:80x 127.0.0.1:080 localhost:8080 1.2.3:80 '[::g]:80' ::1:80; do
    run "--listen=$listen"
    equal "--listen=$listen: status" 2 "$status"
    equal "--listen=$listen: lines" 1 "$(lines "$stderr")"
    has "--listen=$listen" "--listen=$listen: not an address; allowed are 127.0.0.1:8080, [::1]:80, unix:/path, unix:@name, fd:name" "$stderr"
done
run --listen=192.0.2.1:8080 --shards=2 --overprovisioned # an address for documentation, nobody's
equal "somebody else's address: status" 1 "$status"
equal "somebody else's address: lines" 1 "$(lines "$stderr")"
has "somebody else's address" "192.0.2.1:8080" "$stderr"
has "somebody else's address" "Cannot assign requested address" "$stderr"
run some-argument
equal "an argument: status" 2 "$status"
has "an argument" "some-argument" "$stderr"

# ---- precedence

run --print-config
has "default" "default" "$(grep '^shards=' <<<"$stdout")"
export GYRE_SHARDS=1
run --print-config
check "environment: $stdout" grep -qE '^shards=1 +environment GYRE_SHARDS$' <<<"$stdout"
run --print-config --shards=2 --overprovisioned
check "flag over environment: $stdout" grep -qE '^shards=2 +flag$' <<<"$stdout"
start_server
equal "GYRE_SHARDS=1 starts one shard" '"shards":1' \
    "$(curl -sS --max-time 10 "$url/limit/stats" | grep -o '"shards":[0-9]*')"
stop_server
export GYRE_SHARDS=nonsense
run --print-config
equal "bad environment: status" 2 "$status"
has "bad environment" "GYRE_SHARDS" "$stderr"
unset GYRE_SHARDS

# ---- shards and CPUs

mapfile -t cpus < <(awk '/^Cpus_allowed_list/ { n = split($2, parts, ",")
    for (i = 1; i <= n; i++) { split(parts[i], r, "-")
        for (c = r[1]; c <= (r[2] == "" ? r[1] : r[2]); c++) print c } }' /proc/self/status)
last=${cpus[-1]}

topology=$(taskset -c "$last" "$demo" --print-topology)
equal "one CPU allowed: one shard" 1 "$(grep -c '^shard [0-9]' <<<"$topology")"
check "one CPU allowed: shard 0 is on it: $topology" grep -qE "^shard 0: cpu $last\b" <<<"$topology"

# CPUs of the threads that may run on one CPU only, sorted.
pinned()
{
    local task
    for task in /proc/"$pid"/task/*/status; do
        awk '/^Cpus_allowed_list/ && $2 ~ /^[0-9]+$/ { print $2 }' "$task"
    done | sort -n | xargs
}

if [ ${#cpus[@]} -ge 2 ]; then
    start_server --shards=2 --cpuset="${cpus[0]},${cpus[1]}"
    equal "two shards on two CPUs" "${cpus[0]} ${cpus[1]}" "$(pinned)"
    stop_server
    start_server --shards=2 --cpuset="${cpus[0]},${cpus[1]}" --pin=off
    equal "--pin=off" "" "$(pinned)"
    stop_server
else
    echo "one CPU only: two pinned shards not tried"
fi

# ---- without load: < 1 % of a CPU, with the default spin

start_server
ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$pid/stat"; }
curl -sS --max-time 10 "$url/demo/hello" >/dev/null || complain "no answer"
sleep 0.5
before=$(ticks)
sleep 3
used=$(($(ticks) - before))
echo "3 s without load cost $used ticks of 1/$(getconf CLK_TCK) s"
check "idle uses less than 1 % of a CPU: $used ticks in 3 s" test $((used * 100)) -lt $((3 * $(getconf CLK_TCK)))

# ---- what it says when started by hand

check "it names its shards" grep -qE '^[0-9]+ shards?;' "$out/stdout"
equal "it gives three lines to try" 3 "$(grep -c '^  curl ' "$out/stdout")"
while read -r line; do
    code=$(eval "$line -sS --max-time 10 -o /dev/null -w '%{http_code}'")
    equal "$line" 200 "$code"
done < <(sed -n 's/^  \(curl .*\)/\1/p' "$out/stdout")

finish
