#!/usr/bin/env bash
# The HTTP client against other servers: gyre-fetch asks gyre-demo, and nginx, Node's server and haproxy, where they
# are installed. Bodies with a length, in chunks, up to the end of the connection; connections that are used again are
# counted.

. "${GYRE_SOURCE:?names the sources}/tests/support/server.sh" || exit 1
others=()

end_others()
{
    local other
    for other in "${others[@]}"; do
        kill -TERM "$other" 2>/dev/null && wait "$other" 2>/dev/null # nginx takes its workers along
    done
    clean_up
}
trap end_others EXIT

# Body in $out/body; answers, errors, bytes, connections and status of the last line in $account.
fetch() # URL [COUNT [AT-ONCE [METHOD [BODY]]]]
{
    timeout 60 "$GYRE_BIN/gyre-fetch" --shards=1 "$@" >"$out/body" 2>"$out/log"
    result=$?
    account=$(sed -n 's/.* \([0-9]* answers, .*\)/\1/p' "$out/log")
    [ $result -eq 0 ] || complain "fetch $*: status $result: $(cat "$out/log")"
}

free_port()
{
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

listens() # PORT
{
    local i
    for ((i = 0; i < 100; i++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}

# More than goes without being asked for.
large=$(printf 'large %.0s' {1..500})

# ---- ours

need curl
start_server --shards=1
fetch "$url/demo/hello"
equal "hello" "Hello, World!" "$(cat "$out/body")"
fetch "$url/demo/hello" 500 4
equal "500 from gyre-demo" "500 answers, 0 errors, 6500 bytes, 4 connections, status 200" "$account"
fetch "$url/demo/big" 3 1
equal "3 times 8 MiB" "3 answers, 0 errors, 25165824 bytes, 1 connections, status 200" "$account"
fetch "$url/demo/echo" 20 2 POST "$large"
equal "20 that are asked for" "20 answers, 0 errors, $((20 * ${#large})) bytes, 2 connections, status 200" "$account"
fetch "$url/demo/echo" 20 2 POST "some text"
equal "20 echoes" "20 answers, 0 errors, 180 bytes, 2 connections, status 200" "$account"
http_proxy=$url fetch "http://192.0.2.1/demo/hello"
equal "by a proxy, which serves it itself" "Hello, World!" "$(cat "$out/body")"
# Whom no_proxy names, by what curl makes of it: through the proxy there is an answer, directly there is none.
goes() # PROGRAM... : "by the proxy" or "directly"
{
    if timeout 20 "$@" >"$out/body" 2>"$out/log" && [ "$(cat "$out/body")" = "Hello, World!" ]; then
        echo "by the proxy"
    else
        echo "directly"
    fi
}
for listed in "" "*" "local.invalid" ".local.invalid" "local.invalid." "x,local.invalid" "127.0.0.1" \
    "127.0.0.0/8" "128.0.0.0/8" ".0.0.1" "0.1" "*.invalid" "INVALID"; do
    for host in local.invalid www.local.invalid notlocal.invalid 127.0.0.1; do
        want=$(http_proxy=$url no_proxy=$listed goes curl -sS --max-time 10 "http://$host:1/demo/hello")
        got=$(http_proxy=$url no_proxy=$listed goes "$GYRE_BIN/gyre-fetch" --shards=1 "http://$host:1/demo/hello")
        equal "no_proxy=$listed, $host" "$want" "$got"
    done
done
# A blank separates for some versions of curl only.
equal "a blank" "directly" "$(http_proxy=$url no_proxy="x 127.0.0.1" goes "$GYRE_BIN/gyre-fetch" --shards=1 http://127.0.0.1:1/demo/hello)"
equal "NO_PROXY" "directly" "$(http_proxy=$url NO_PROXY=127.0.0.1 goes "$GYRE_BIN/gyre-fetch" --shards=1 http://127.0.0.1:1/demo/hello)"
equal "HTTP_PROXY is anybody's" "directly" "$(HTTP_PROXY=$url goes "$GYRE_BIN/gyre-fetch" --shards=1 http://127.0.0.1:1/demo/hello)"
equal "a proxy with a slash" "by the proxy" "$(http_proxy=$url/ goes "$GYRE_BIN/gyre-fetch" --shards=1 http://127.0.0.1:1/demo/hello)"
for proxy in "http://127.0.0.1" "socks5://127.0.0.1:1080" "http://u:secret@127.0.0.1:1/" "http://127.0.0.1:1/x"; do
    http_proxy=$proxy timeout 20 "$GYRE_BIN/gyre-fetch" --shards=1 "$url/demo/hello" >"$out/body" 2>"$out/log" &&
        complain "http_proxy=$proxy is taken"
    has "http_proxy=$proxy" "http_proxy: not http://HOST:PORT" "$(cat "$out/log")"
    case $(cat "$out/log") in *secret*) complain "a password is logged" ;; esac
done
if timeout 20 "$GYRE_BIN/gyre-fetch" --shards=1 "http://127.0.0.1:1/" >"$out/body" 2>"$out/log"; then
    complain "a refused connection is an answer"
fi
has "a refused connection" "Connection refused" "$(cat "$out/log")"

# What is none is named, in one line, without what may be secret.
wrong() # URL LINE
{
    timeout 20 "$GYRE_BIN/gyre-fetch" --shards=1 "$1" >"$out/body" 2>"$out/log" && complain "$1 is an URL"
    has "$1" "$2" "$(cat "$out/log")"
    equal "$1: lines" 1 "$(grep -c 'http client:' "$out/log")"
    case $(cat "$out/log") in *secret*) complain "$1 is logged as it is" ;; esac
}
wrong "127.0.0.1:80" "http client: the scheme must be http or http+unix: 127.0.0.1:80"
wrong "http://127.0.0.1:x/a?secret" "http client: the url must be http://HOST[:PORT][/PATH], escaped, without a user: http://127.0.0.1:x/a"
wrong "https://127.0.0.1/" "http client: the scheme must be http or http+unix: https://127.0.0.1/"
wrong "http://me:secret@127.0.0.1/" "http client: the url must be"
wrong $'http://127.0.0.1/\x1b[2J' "http://127.0.0.1/_[2J"

# The gateway: its answer is made of two of gyre-demo's.
: >"$out/gateway"
"$GYRE_BIN/gyre-gateway" --shards=1 --listen=127.0.0.1:0 --left="$url/demo/hello" --right="$url/demo/hello" \
    2>"$out/gateway" &
gateway=$!
others+=($gateway)
for ((i = 0; i < 100; i++)); do
    listening=$(sed -n 's/.*listening on \(127[0-9.]*:[0-9]*\).*/\1/p' "$out/gateway")
    [ -z "$listening" ] || break
    sleep 0.1
done
fetch "http://$listening/both" 200 4
equal "200 through the gateway" "200 answers, 0 errors, 5200 bytes, 4 connections, status 200" "$account"
counts=$(curl -sS --max-time 20 "http://$listening/metrics")
has "the gateway's requests are counted" 'gyre_http_client_requests_total{shard="0"} 400' "$counts"
has "and their answers" 'gyre_http_client_answers_total{shard="0",class="2xx"} 400' "$counts"
has "and that nothing failed" 'gyre_http_client_errors_total{shard="0",cause="reset"} 0' "$counts"
kill -TERM $gateway
wait $gateway || complain "the gateway ended with status $?"

# ---- nginx

if command -v nginx >/dev/null && listening=$(free_port); then
    mkdir -p "$out/nginx/logs" "$out/nginx/files"
    head -c 300000 /dev/urandom >"$out/nginx/files/big"
    cat >"$out/nginx/conf" <<END
user $(id -un) $(id -gn);
daemon off;
worker_processes 1;
pid $out/nginx/pid;
error_log $out/nginx/logs/error;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path $out/nginx/t1; proxy_temp_path $out/nginx/t2; fastcgi_temp_path $out/nginx/t3;
    uwsgi_temp_path $out/nginx/t4; scgi_temp_path $out/nginx/t5;
    server {
        listen 127.0.0.1:$listening;
        keepalive_requests 100;
        keepalive_timeout 1s;
        root $out/nginx/files;
        location /text { return 200 "from nginx"; }
        location /moved { return 302 /text; }
        location /none { return 204; }
        location /same { return 304; }
        location /proxied/ { proxy_pass $url/; }
        location /gzip { gzip on; gzip_types *; gzip_min_length 1; alias $out/nginx/files/; }
        location /chunked { proxy_http_version 1.1; proxy_pass $url/demo/hello; ssi on; ssi_types *; }
    }
}
END
    nginx -p "$out/nginx" -c "$out/nginx/conf" -e "$out/nginx/logs/error" >"$out/nginx/out" 2>&1 &
    others+=($!)
    if listens "$listening"; then
        base=http://127.0.0.1:$listening
        fetch "$base/text"
        equal "nginx" "from nginx" "$(cat "$out/body")"
        fetch "$base/big"
        check "a file from nginx" cmp "$out/body" "$out/nginx/files/big"
        fetch "$base/moved"
        equal "a redirect of nginx" "from nginx" "$(cat "$out/body")"
        # Sent in the gzip coding, which it does for who asks: and it comes as the file is.
        seq 100000 >"$out/nginx/files/numbers"
        fetch "$base/gzip/numbers"
        check "a file from nginx, coded" cmp "$out/body" "$out/nginx/files/numbers"
        fetch "$base/gzip/numbers" 20 2
        equal "20 coded" "20 answers, 0 errors, $((20 * $(wc -c <"$out/nginx/files/numbers"))) bytes, 2 connections, status 200" "$account"
        fetch "$base/none" 10 1
        equal "204 from nginx" "10 answers, 0 errors, 0 bytes, 1 connections, status 204" "$account"
        fetch "$base/chunked" 10 1
        equal "chunks from nginx" "10 answers, 0 errors, 130 bytes, 1 connections, status 200" "$account"
        # It closes each connection after 100 requests, and says so.
        fetch "$base/text" 1000 1
        equal "1000 from nginx" "1000 answers, 0 errors, 10000 bytes, 10 connections, status 200" "$account"
        fetch "$base/same" 10 1
        equal "304 from nginx" "10 answers, 0 errors, 0 bytes, 1 connections, status 304" "$account"
        fetch "$base/big" 10 1 HEAD
        equal "HEAD to nginx" "10 answers, 0 errors, 0 bytes, 1 connections, status 200" "$account"
        fetch "$base/proxied/demo/echo" 10 1 POST "$large"
        equal "100-continue with nginx" "10 answers, 0 errors, $((10 * ${#large})) bytes, 1 connections, status 200" "$account"
        # It closes what is idle for a second; the gateway keeps connections for longer, and must not mind.
        : >"$out/gateway" # of the gateway before: its port is not this one's
        "$GYRE_BIN/gyre-gateway" --shards=1 --listen=127.0.0.1:0 --left="$base/text" --right="$base/text" 2>"$out/gateway" &
        gateway=$!
        others+=($gateway)
        for ((i = 0; i < 100; i++)); do
            front=$(sed -n 's/.*listening on \(127[0-9.]*:[0-9]*\).*/\1/p' "$out/gateway")
            [ -z "$front" ] || break
            sleep 0.1
        done
        for i in 1 2 3; do
            equal "behind an idle second, $i" 200 "$(curl -sS --max-time 20 -o /dev/null -w '%{http_code}' "http://$front/both")"
            sleep 1.5
        done
        kill -TERM $gateway
        wait $gateway || complain "the gateway ended with status $?"
        fetch "$base/missing" 5 1
        has "404 from nginx" "5 answers, 0 errors" "$account"
        has "404 from nginx" "status 404" "$account"
    else
        complain "nginx does not listen: $(cat "$out/nginx/out")"
    fi
else
    echo "not tried: this machine has no nginx"
fi

# ---- Node's server

if command -v node >/dev/null; then
    cat >"$out/server.js" <<'END'
const server = require('http').createServer((request, response) => {
    switch (request.url) {
    case '/chunked':
        for (let i = 0; i < 5; i++)
            response.write('piece ' + i + '\n');
        response.end();
        break;
    case '/until-close':
        response.useChunkedEncodingByDefault = false;
        response.shouldKeepAlive = false;
        response.removeHeader('transfer-encoding');
        response.write('all that ');
        setTimeout(() => response.end('there is'), 50);
        break;
    case '/gzip':
        response.setHeader('Content-Encoding', 'gzip');
        response.end(require('zlib').gzipSync('asked for ' + request.headers['accept-encoding']));
        break;
    case '/codings':
        response.end(request.headers['accept-encoding']);
        break;
    case '/cut': {
        const coded = require('zlib').gzipSync('x'.repeat(1000));
        response.setHeader('Content-Encoding', 'gzip');
        response.end(coded.subarray(0, coded.length - 5));
        break;
    }
    case '/hints':
        response.writeEarlyHints({ link: '</x>; rel=preload' });
        response.end('after hints');
        break;
    default: {
        const parts = [];
        request.on('data', (part) => parts.push(part));
        request.on('end', () => {
            const body = Buffer.concat(parts);
            response.setHeader('Content-Length', body.length);
            response.end(body);
        });
    }
    }
});
server.keepAliveTimeout = 1500;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
require('http').createServer(server.listeners('request')[0]).listen(process.argv[2]);
END
    : >"$out/node"
    node "$out/server.js" "$out/socket" >"$out/node" 2>&1 &
    others+=($!)
    for ((i = 0; i < 100; i++)); do
        listening=$(head -n 1 "$out/node")
        [ -z "$listening" ] || break
        sleep 0.1
    done
    base=http://127.0.0.1:$listening
    fetch "$base/chunked" 50 2
    equal "chunks from Node" "50 answers, 0 errors, 2000 bytes, 2 connections, status 200" "$account"
    fetch "$base/until-close"
    equal "up to the end, from Node" "all that there is" "$(cat "$out/body")"
    fetch "$base/until-close" 3 1
    equal "each has its connection" "3 answers, 0 errors, 51 bytes, 3 connections, status 200" "$account"
    fetch "$base/echo" 200 4 PUT "what is put"
    equal "200 echoes from Node" "200 answers, 0 errors, 2200 bytes, 4 connections, status 200" "$account"
    fetch "$base/codings"
    if [ "$(cat "$out/body")" != gzip ]; then
        echo "not tried: gzip, this build has no zlib"
    elif fetch "$base/gzip" 10 1 &&
        equal "coded by Node" "10 answers, 0 errors, 140 bytes, 1 connections, status 200" "$account" &&
        timeout 20 "$GYRE_BIN/gyre-fetch" --shards=1 "$base/cut" >"$out/body" 2>"$out/log"; then
        complain "gzip that is cut short is an answer"
    else
        has "gzip that is cut short" "Protocol error" "$(cat "$out/log")"
    fi
    fetch "http+unix://${out//\//%2F}%2Fsocket/echo" 20 2 POST "by a path"
    equal "20 echoes by a path" "20 answers, 0 errors, 180 bytes, 2 connections, status 200" "$account"
    fetch "$base/echo" 20 2 POST "$large"
    equal "100-continue with Node" "20 answers, 0 errors, $((20 * ${#large})) bytes, 2 connections, status 200" "$account"
    fetch "$base/chunked" 10 1 HEAD
    equal "HEAD to Node" "10 answers, 0 errors, 0 bytes, 1 connections, status 200" "$account"
    if node -e 'process.exit(require("http").ServerResponse.prototype.writeEarlyHints ? 0 : 1)'; then
        fetch "$base/hints"
        equal "an answer behind 103" "after hints" "$(cat "$out/body")"
    fi
else
    echo "not tried: this machine has no node"
fi

# ---- Python's server, which speaks HTTP/1.0 and closes

if command -v python3 >/dev/null; then
    mkdir -p "$out/files"
    seq 20000 >"$out/files/numbers"
    : >"$out/python"
    (cd "$out/files" && exec python3 -u -c '
import http.server
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()' >"$out/python" 2>/dev/null) &
    others+=($!)
    for ((i = 0; i < 100; i++)); do
        listening=$(head -n 1 "$out/python")
        [ -z "$listening" ] || break
        sleep 0.1
    done
    fetch "http://127.0.0.1:$listening/numbers"
    check "HTTP/1.0 from Python" cmp "$out/body" "$out/files/numbers"
    fetch "http://127.0.0.1:$listening/numbers" 10 2
    has "10 by HTTP/1.0" "10 answers, 0 errors, $((10 * $(wc -c <"$out/files/numbers"))) bytes, 10 connections, status 200" "$account"
else
    echo "not tried: this machine has no python3"
fi

# ---- haproxy, with gyre-demo behind it

if command -v haproxy >/dev/null && listening=$(free_port); then
    cat >"$out/haproxy" <<END
defaults
    mode http
    timeout client 20s
    timeout server 20s
    timeout connect 5s
    timeout http-keep-alive 20s
frontend front
    bind 127.0.0.1:$listening
    redirect location /demo/hello code 301 if { path /moved }
    http-request return status 403 content-type text/plain string "no" if { path /forbidden }
    default_backend back
backend back
    server demo 127.0.0.1:$port
END
    haproxy -f "$out/haproxy" >"$out/haproxy.out" 2>&1 &
    others+=($!)
    if listens "$listening"; then
        base=http://127.0.0.1:$listening
        fetch "$base/demo/hello" 300 3
        equal "through haproxy" "300 answers, 0 errors, 3900 bytes, 3 connections, status 200" "$account"
        fetch "$base/demo/echo" 20 2 POST "$large"
        equal "100-continue through haproxy" "20 answers, 0 errors, $((20 * ${#large})) bytes, 2 connections, status 200" "$account"
        fetch "$base/demo/big" 3 1 HEAD
        equal "HEAD through haproxy" "3 answers, 0 errors, 0 bytes, 1 connections, status 200" "$account"
        fetch "$base/moved"
        equal "a redirect of haproxy" "Hello, World!" "$(cat "$out/body")"
        fetch "$base/forbidden"
        equal "403 from haproxy" "no" "$(cat "$out/body")"
        fetch "$base/demo/big" 2 1
        equal "8 MiB through haproxy" "2 answers, 0 errors, 16777216 bytes, 1 connections, status 200" "$account"
    else
        complain "haproxy does not listen: $(cat "$out/haproxy.out")"
    fi
else
    echo "not tried: this machine has no haproxy"
fi

finish
