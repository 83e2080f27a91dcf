#!/usr/bin/env bash
# gyre-web by real curl: files with ranges and conditions, bodies in pieces, compression, events; what must not be
# reached; large bodies byte by byte.

. "${GYRE_SOURCE:?names the sources}/tests/support/server.sh" || exit 1
need curl gzip cmp
demo=$GYRE_BIN/gyre-web
root=$out/root
mkdir -p "$root/sub" "$root/.git"
printf 'hello file' >"$root/a.txt"
printf '<p>index' >"$root/sub/index.html"
printf 'secret' >"$root/.git/config"
printf 'outside' >"$out/outside"
head -c 20000000 /dev/urandom >"$root/big.bin"
mkfifo "$root/pipe"
start_server --shards=2 --overprovisioned --root="$root"

ask() # CURL-ARGUMENT... : $status, $type, $body, $head
{
    local all
    all=$(curl -sS --path-as-is --max-time 60 -D "$out/head" -o "$out/body" -w '%{http_code} %{content_type}' "$@" 2>"$out/curl")
    read -r status type <<<"$all"
    [ -s "$out/curl" ] && complain "curl $*: $(cat "$out/curl")"
    head=$(tr -d '\r' <"$out/head")
}
body() { cat "$out/body"; }

ask "$url/files/a.txt"
equal "a file" "200 text/plain; charset=utf-8" "$status $type"
equal "a file's bytes" "hello file" "$(body)"
etag=$(sed -n 's/^ETag: //p' <<<"$head")
date=$(sed -n 's/^Last-Modified: //p' <<<"$head")
ask -H "If-None-Match: $etag" "$url/files/a.txt"
equal "If-None-Match" 304 "$status"
ask -H "If-Modified-Since: $date" "$url/files/a.txt"
equal "If-Modified-Since" 304 "$status"
ask -z "$root/a.txt" "$url/files/a.txt"
equal "curl -z" 304 "$status"
ask -r 6-9 "$url/files/a.txt"
equal "a range" "206 file" "$status $(body)"
has "a range" "Content-Range: bytes 6-9/10" "$head"
ask -r 99- "$url/files/a.txt"
equal "no range" 416 "$status"
ask -L "$url/files/sub"
equal "a directory" "200 <p>index" "$status $(body)"
ask "$url/files/big.bin"
equal "a large file" 200 "$status"
check "a large file's bytes" cmp "$root/big.bin" "$out/body"
ask -r 1000000-15000000 "$url/files/big.bin"
check "a large range's bytes" cmp <(tail -c +1000001 "$root/big.bin" | head -c 14000001) "$out/body"
ask -I "$url/files/big.bin"
has "HEAD of a file" "Content-Length: 20000000" "$head"
for path in ../outside %2e%2e/outside ..%2foutside .git/config sub/../../outside a.txt/ pipe none sub/%2e; do
    ask "$url/files/$path"
    equal "$path" 404 "$status"
done

for ((i = 0; i < 3; i++)); do
    ask -T "$root/big.bin" "$url/count"
    equal "a large body is counted" "200 20000000" "$status $(body)"
    ask -T - "$url/count" <"$root/big.bin"
    equal "in chunks" "200 20000000" "$status $(body)"
    ask --data-binary @"$root/big.bin" "$url/echo"
    equal "echo" 200 "$status"
    check "echo's bytes" cmp "$root/big.bin" "$out/body"
    ask --data-binary @"$root/big.bin" -H 'Transfer-Encoding: chunked' -H 'Expect: 100-continue' "$url/echo"
    check "echo's bytes, in chunks and after 100" cmp "$root/big.bin" "$out/body"
done
ask -0 --data-binary @"$root/big.bin" "$url/echo"
check "echo's bytes by HTTP/1.0" cmp "$root/big.bin" "$out/body"
ask --limit-rate 200000 --data-binary @<(head -c 300000 "$root/big.bin") "$url/echo"
check "echo's bytes, slowly" cmp <(head -c 300000 "$root/big.bin") "$out/body"

ask "$url/hello/J%C3%BCrgen%20%22x%22"
equal "JSON" '200 application/json' "$status $type"
has "JSON" '{"hello":"Jürgen \"x\"","shard":' "$(body)"
ask -X DELETE "$url/hello/x"
equal "another method" 405 "$status"
has "another method" "Allow: GET, HEAD, OPTIONS" "$head"
ask -X OPTIONS "$url/hello/x"
equal "OPTIONS" 204 "$status"

if [ "$(curl -s -o /dev/null -w '%{http_code}' --data-binary @<(echo text | gzip) -H 'Content-Encoding: gzip' "$url/upper")" != 415 ]; then
    ask --data-binary @<(yes abc | head -c 100000 | gzip) -H 'Content-Encoding: gzip' --compressed "$url/upper"
    equal "gzip both ways" 200 "$status"
    has "gzip both ways" "Content-Encoding: gzip" "$head"
    check "gzip's bytes" cmp <(yes ABC | head -c 100000) "$out/body"
    ask --data-binary @<(head -c 50000000 /dev/zero | gzip) -H 'Content-Encoding: gzip' "$url/upper"
    equal "a bomb" 413 "$status"
    ask --data-binary @<(yes abc | head -c 100000 | gzip | head -c 50) -H 'Content-Encoding: gzip' "$url/upper"
    equal "cut gzip" 400 "$status"
fi

ask "$url/ticks?n=3"
equal "events" "200 text/event-stream" "$status $type"
equal "events" "$(printf 'event: tick\nid: %s\ndata: %s\n\n' 2 2 1 1 0 0)" "$(body)"
ask -H 'Last-Event-ID: 2' "$url/ticks?n=3&part=1"
equal "events, when asked for again" "200 $(printf 'event: tick\nid: 1\ndata: 1\n\n')" "$status $(body)"
ask -H 'Last-Event-ID: 0' "$url/ticks?n=3"
equal "no more events" 204 "$status"
for ((i = 0; i < 2; i++)); do # on each shard, mostly
    ask "$url/who"
    equal "who" 127.0.0.1 "$(sed -E 's/^(.*):[0-9]+ for \1:[0-9]+$/\1/' "$out/body")"
    ask -H 'X-Forwarded-For: 6.6.6.6, 192.0.2.7' -H 'X-Forwarded-For: 127.1.2.3' "$url/who"
    has "whom a proxy speaks for" " for 192.0.2.7:0" "$(body)"
    ask -H 'X-Forwarded-For: 192.0.2.7, unknown' -H 'Forwarded: for=192.0.2.7' "$url/who"
    equal "a proxy that does not know" "127.0.0.1:0 for 127.0.0.1:0" "$(sed -E 's/:[0-9]+/:0/g' "$out/body")"
done
ask "$url/help/hello"
equal "help" "GET /hello/:name    (web)" "$(body)"
ask "$url/ready"
equal "ready" 200 "$status"

# Clients that leave in the middle of anything leave nothing behind.
before=$(ls "/proc/$pid/fd" | wc -l)
for ((i = 0; i < 30; i++)); do
    curl -s --max-time 0.05 --limit-rate 100000 "$url/files/big.bin" -o /dev/null
    curl -s --max-time 0.05 --limit-rate 100000 -T "$root/big.bin" "$url/echo" -o /dev/null
    curl -s --max-time 0.05 "$url/ticks?n=1000" -o /dev/null
done
for ((i = 0; i < 100; i++)); do
    [ "$(ls "/proc/$pid/fd" | wc -l)" -gt "$before" ] || break
    sleep 0.1
done
check "descriptors are closed" [ "$(ls "/proc/$pid/fd" | wc -l)" -le "$before" ]
ask "$url/files/a.txt"
equal "afterwards" "200 hello file" "$status $(body)"

stop_server

# A proxy by an UNIX socket.
"$demo" --shards=2 --overprovisioned --root="$root" --listen="unix:$out/socket" >"$out/unix" 2>&1 &
pid=$!
for ((i = 0; i < 100; i++)); do
    [ -S "$out/socket" ] && break
    sleep 0.1
done
ask --unix-socket "$out/socket" http://h/who
equal "who, by an UNIX socket" "unix: for unix:" "$(body)"
ask --unix-socket "$out/socket" -H 'X-Forwarded-For: [2001:DB8::1]:80' http://h/who
equal "whom a proxy speaks for, by an UNIX socket" "unix: for [2001:db8::1]:80" "$(body)"
stop_server
finish
