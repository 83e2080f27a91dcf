#!/usr/bin/env bash
# A short run of wrk, kept and pipelined: nothing but answers, none of them an error.

. "${GYRE_SOURCE:?names the sources}/tests/support/server.sh" || exit 1
need wrk
start_server --shards=2 --overprovisioned --rate=1 --burst=1000000000

run() # WHAT WRK-ARGUMENT...
{
    local what=$1 output requests
    shift
    output=$(wrk --timeout 10s "$@") || complain "$what: wrk ended with $?"
    if grep -E 'Socket errors|Non-2xx' <<<"$output"; then
        complain "$what: $output"
    fi
    requests=$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' <<<"$output")
    echo "$what: ${requests:-no} requests"
    [ "${requests:-0}" -gt 100 ] || complain "$what: hardly any requests: $output"
}

run "hello" -t1 -c32 -d2s "$url/demo/hello"

cat >"$out/take.lua" <<'LUA'
local n = 0
request = function()
    local batch = {}
    for i = 1, 8 do
        n = n + 1
        batch[i] = wrk.format("POST", "/limit/take?key=k" .. n % 1000)
    end
    return table.concat(batch)
end
LUA
run "take, 8 in a row" -t1 -c32 -d2s -s "$out/take.lua" "$url"

cat >"$out/close.lua" <<'LUA'
wrk.headers["Connection"] = "close"
LUA
run "a connection for each" -t1 -c32 -d1s -s "$out/close.lua" "$url/demo/hello"

finish
