#!/usr/bin/env bash
# Every endpoint of gyre-demo by real curl: statuses, bodies, headers; HEAD, 100-continue, chunked uploads, HTTP/1.0,
# kept connections.

. "${GYRE_SOURCE:?names the sources}/tests/support/server.sh" || exit 1
need curl
start_server --shards=2 --overprovisioned --rate=0 --burst=3

# Body in $body, head in $head, status in $status, connections that curl made in $connections.
ask() # CURL-ARGUMENT...
{
    local all
    all=$(curl -sS --max-time 20 -D "$out/head" -o "$out/body" \
        -w '%{http_code} %{num_connects} %{content_type}' "$@" 2>"$out/curl")
    read -r status connections type <<<"$all"
    [ -s "$out/curl" ] && complain "curl $*: $(cat "$out/curl")"
    head=$(tr -d '\r' <"$out/head")
    body=$(cat "$out/body")
}

ask "$url/demo/hello"
equal "hello" "200 text/plain" "$status $type"
equal "hello's bytes" "Hello, World!" "$body"
equal "hello's size" 13 "$(wc -c <"$out/body")"
has "hello" "Content-Length: 13" "$head"
has "hello" "Date: " "$head"

ask -I "$url/demo/hello"
equal "HEAD" 200 "$status"
has "HEAD" "Content-Length: 13" "$head"
equal "HEAD has no body" "$head" "$(tr -d '\r' <"$out/body" | sed '/^$/d')"

ask "$url/demo/echo"
equal "GET echo" 200 "$status"
ask -d 'some text' -H 'Content-Type: text/x-test' "$url/demo/echo"
equal "POST echo" "200 text/x-test some text" "$status $type $body"

head -c 1000000 /dev/urandom >"$out/upload"
ask --data-binary @"$out/upload" "$url/demo/echo"
equal "upload" 200 "$status"
check "the upload comes back" cmp "$out/upload" "$out/body"
# Curl asks by itself above 1 MiB only.
ask -H 'Expect: 100-continue' --expect100-timeout 10 --data-binary @"$out/upload" "$url/demo/echo"
equal "100-continue" 200 "$status"
has "100-continue is said" "HTTP/1.1 100 Continue" "$head"
check "the upload comes back after 100-continue" cmp "$out/upload" "$out/body"
ask -H 'Transfer-Encoding: chunked' --data-binary @"$out/upload" "$url/demo/echo"
equal "chunked upload" 200 "$status"
check "the chunked upload comes back" cmp "$out/upload" "$out/body"

ask "$url/demo/big"
equal "big" "200 8388608" "$status $(wc -c <"$out/body")"
equal "big's bytes" "abcdefghijklmnopqrstuvwxyzab" "$(head -c 28 "$out/body")"
equal "big's bytes" 1 "$(fold -w 26 "$out/body" | sed '$d' | sort -u | wc -l)"

ask "$url/demo/entered"
equal "entered" "200 5" "$status $body"

ask -X POST "$url/limit/take?key=a"
equal "take 1" '200 application/json {"allowed":true,"remaining":2}' "$status $type $body"
ask -X POST "$url/limit/take?key=a&n=3"
equal "take 3 of 2" '429 {"allowed":false,"remaining":2}' "$status $body"
has "take 3 of 2" "Retry-After: 86400" "$head"
ask -X POST "$url/limit/take?n=2&key=%61" # the same key
equal "take 2" '200 {"allowed":true,"remaining":0}' "$status $body"
ask -X POST "$url/limit/take?key=b&n=4"
equal "more than can ever be there" 400 "$status"
ask -X PUT "$url/limit/rate?key=a&rate=1000&burst=50"
equal "rate" 200 "$status"
sleep 1
ask -X POST "$url/limit/take?key=a&n=50"
equal "after a second at 1000" '200 {"allowed":true,"remaining":0}' "$status $body"
ask -X PUT "$url/limit/rate?key=slow&rate=1&burst=10"
ask -X POST "$url/limit/take?key=slow&n=10"
ask -X POST "$url/limit/take?key=slow&n=5"
equal "five seconds away" 429 "$status"
check "Retry-After is 5, or less when this took long: $head" grep -qxE 'Retry-After: [1-5]' <<<"$head"
ask "$url/limit/stats"
equal "stats" "200 application/json" "$status $type"
has "stats" '"allowed":63,"refused":2,"full":0' "$body"
has "stats" '"shards":2,"keys":3,' "$body"

for bad in '' '?n=1' '?key=' '?key=a&n=0' '?key=a&n=x' '?key=%zz'; do
    ask -X POST "$url/limit/take$bad"
    equal "take$bad" 400 "$status"
    equal "take$bad: one line of reason" 1 "$(wc -l <"$out/body")"
done
ask -X DELETE "$url/demo/echo"
equal "wrong method" 405 "$status"
has "wrong method" "Allow: " "$head"
ask "$url/nothing"
equal "unknown path" 404 "$status"

ask -0 "$url/demo/hello"
equal "HTTP/1.0" "200 Hello, World!" "$status $body"
has "HTTP/1.0 closes" "Connection: close" "$head"

# Three requests, one connection. curl writes a line per transfer.
connects=$(curl -sS --max-time 20 -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects}' \
    "$url/demo/hello" "$url/limit/stats" "$url/demo/hello")
equal "a kept connection" 100 "$connects"

finish
