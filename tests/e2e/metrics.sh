#!/usr/bin/env bash
# /metrics is Prometheus text by its rules, its counters count what was done; /__processes__ is JSON and lists the
# service's actors.

. "${GYRE_SOURCE:?names the sources}/tests/support/server.sh" || exit 1
need curl
start_server --shards=2 --overprovisioned

get() { curl -sS --max-time 10 "$url$1"; }

for ((i = 0; i < 50; i++)); do get /demo/hello >/dev/null || complain "no answer"; done
get /metrics >"$out/metrics" || complain "no metrics"
equal "type" "text/plain; version=0.0.4" \
    "$(curl -sS --max-time 10 -o /dev/null -w '%{content_type}' "$url/metrics" | sed 's/; *charset=.*//')"

# One line per sample, each of a declared family, whose samples stand together; no sample twice.
awk '
function bad(why) { print FILENAME ":" NR ": " why ": " $0; failed = 1 }
/^# HELP [a-zA-Z_:][a-zA-Z0-9_:]* ./ { if ($3 in help) bad("a second HELP"); help[$3] = 1; next }
/^# TYPE [a-zA-Z_:][a-zA-Z0-9_:]* (counter|gauge|histogram|summary|untyped)$/ {
    if ($3 in type) bad("a second TYPE")
    type[$3] = $4; current = $3; next
}
/^#/ { bad("a comment that is neither HELP nor TYPE"); next }
/^$/ { bad("an empty line"); next }
{
    if (!match($0, /^[a-zA-Z_:][a-zA-Z0-9_:]*/)) { bad("no name"); next }
    name = substr($0, 1, RLENGTH); rest = substr($0, RLENGTH + 1); labels = ""
    if (rest ~ /^\{/) {
        if (!match(rest, /^\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\[\\"n])*",?)*\}/)) { bad("bad labels"); next }
        labels = substr(rest, 1, RLENGTH); rest = substr(rest, RLENGTH + 1)
    }
    if (rest !~ /^ [-+]?([0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?|Inf|NaN)$/) bad("no value")
    family = name
    if (!(family in type)) sub(/_(bucket|sum|count)$/, "", family)
    if (!(family in type)) bad("no TYPE before it")
    else if (family != current) bad("apart from the others of its family")
    if (type[family] == "counter" && name !~ /_total$/) bad("a counter without _total")
    if ((name, labels) in seen) bad("twice")
    seen[name, labels] = 1; samples++
}
END { if (samples < 10) { print "only " samples " samples"; failed = 1 } exit failed }
' "$out/metrics" || complain "/metrics breaks the rules of its format"
equal "/metrics ends with a newline" 1 "$(tail -c 1 "$out/metrics" | wc -l)"

if command -v promtool >/dev/null; then
    promtool check metrics <"$out/metrics" || complain "promtool does not like /metrics"
fi

# What 50 more requests do to the counters: each shard's and type's, summed by name.
sums() { awk '!/^#/ { sub(/\{.*\}/, "", $1); sum[$1] += $2 } END { for (n in sum) print n, sum[n] }' "$1" | sort; }
sums "$out/metrics" >"$out/before"
for ((i = 0; i < 50; i++)); do get /demo/hello >/dev/null || complain "no answer"; done
get /metrics >"$out/metrics2"
sums "$out/metrics2" >"$out/after"
requests=$(join "$out/before" "$out/after" | awk '$1 == "gyre_http_requests_total" { print $3 - $2; exit }')
check "50 hellos and a look at /metrics are 51 or 52 requests, not ${requests:-uncounted}" \
    test "${requests:-0}" -ge 50 -a "${requests:-0}" -le 52
shrunk=$(join "$out/before" "$out/after" | awk '/_total / && $3 < $2')
equal "counters never go back" "" "$shrunk"
for shard in 0 1; do
    check "shard $shard is there" grep -q "shard=\"$shard\"" "$out/metrics"
done

get /__processes__ >"$out/processes" || complain "no processes"
if command -v python3 >/dev/null; then
    python3 - "$out/processes" <<'PY' || complain "/__processes__: $(head -c 400 "$out/processes")"
import json, sys
text = open(sys.argv[1]).read()
for actor in json.loads(text):
    assert isinstance(actor, dict) and actor, actor
for name in ("limit", "front"):
    assert text.count(name) >= 2, "no two actors of type " + name
PY
elif command -v node >/dev/null; then
    node -e 'JSON.parse(require("fs").readFileSync(process.argv[1]))' "$out/processes" || complain "/__processes__ is no JSON"
elif command -v jq >/dev/null; then
    jq -e . "$out/processes" >/dev/null || complain "/__processes__ is no JSON"
else
    echo "neither python3 nor node nor jq: /__processes__ not parsed"
fi
has "/__processes__" "limit" "$(cat "$out/processes")"

# Both go on answering while a shard is asked again and again.
for ((i = 0; i < 20; i++)); do
    get /metrics >/dev/null && get /__processes__ >/dev/null || complain "asked again: no answer"
done
finish
