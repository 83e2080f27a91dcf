#!/usr/bin/env bash
# The tutorial's program does what the root README says: hits are counted on the shard that accepted
# them, and the total asks all shards.
set -euo pipefail
command -v curl >/dev/null || { echo "skipped: no curl"; exit 77; }

log=$(mktemp)
"$GYRE_BIN/gyre-tutorial" --shards=2 --overprovisioned --listen=127.0.0.1:0 2>"$log" &
pid=$!
trap 'kill -KILL $pid 2>/dev/null || true; rm -f "$log"' EXIT
port=
for ((i = 0; i < 200; i++)); do
    port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$log" | head -n 1)
    [ -z "$port" ] || break
    sleep 0.1
done
base=http://127.0.0.1:${port:?the tutorial does not say where it listens}

for ((i = 0; i < 20; i++)); do
    status=$(curl -s -m 20 -o /dev/null -w '%{http_code}' -X POST "$base/hits/add")
    [ "$status" = 204 ] || { echo "POST /hits/add: $status instead of 204"; exit 1; }
done
total=$(curl -s -m 20 "$base/hits/total")
[ "$total" = 20 ] || { echo "GET /hits/total: '$total' instead of 20"; exit 1; }
status=$(curl -s -m 20 -o /dev/null -w '%{http_code}' "$base/hits/add")
[ "$status" = 405 ] || { echo "GET /hits/add: $status instead of 405"; exit 1; }

kill -TERM $pid
timeout 20 tail --pid=$pid -f /dev/null
wait $pid
