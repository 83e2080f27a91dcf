#!/usr/bin/env bash
# nginx and haproxy in front, with kept connections to gyre-demo: bodies both ways, chunked and not, many at once, and
# what they refuse or pass on. Each is left out, with a line, where it is not installed.

. "${GYRE_SOURCE:?names the sources}/tests/support/server.sh" || exit 1
need curl
PATH=$PATH:/usr/sbin:${GYRE_DEPS:-}/bin
start_server --shards=2 --overprovisioned
proxy=
trap '[ -z "$proxy" ] || kill -KILL "$proxy" 2>/dev/null; clean_up' EXIT

nginx_front() # PORT
{
    cat >"$out/nginx.conf" <<END
daemon off;
master_process off;
pid $out/nginx.pid;
error_log $out/nginx.err;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $out/body; proxy_temp_path $out/proxy; fastcgi_temp_path $out/fastcgi;
    uwsgi_temp_path $out/uwsgi; scgi_temp_path $out/scgi;
    client_max_body_size 4m;
    upstream gyre { server 127.0.0.1:$port; keepalive 8; }
    server {
        listen 127.0.0.1:$1;
        location / { proxy_pass http://gyre; proxy_http_version 1.1; proxy_set_header Connection "";
                     proxy_next_upstream off; }
        location /unbuffered/ { proxy_pass http://gyre/; proxy_http_version 1.1; proxy_set_header Connection "";
                                proxy_request_buffering off; proxy_buffering off; }
    }
}
END
    exec nginx -p "$out" -c "$out/nginx.conf"
}

haproxy_front() # PORT
{
    cat >"$out/haproxy.cfg" <<END
global
    maxconn 512
defaults
    mode http
    timeout connect 10s
    timeout client 30s
    timeout server 30s
    http-reuse always
frontend front
    bind 127.0.0.1:$1
    http-request replace-path /unbuffered(/.*) \1
    default_backend gyre
backend gyre
    option httpchk GET /demo/hello
    server gyre 127.0.0.1:$port check inter 200ms
END
    exec haproxy -db -f "$out/haproxy.cfg"
}

# Neither can choose a port: try until one is free and it answers.
start_front() # NAME
{
    local i k
    for ((i = 0; i < 10; i++)); do
        front_port=$((20000 + RANDOM % 12000))
        "$1_front" "$front_port" >"$out/$1.log" 2>&1 &
        proxy=$!
        for ((k = 0; k < 50; k++)); do
            [ "$(curl -s --max-time 5 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$front_port/demo/hello")" != 200 ] || return 0
            alive "$proxy" || break
            sleep 0.1
        done
        kill -KILL "$proxy" 2>/dev/null
        wait "$proxy" 2>/dev/null
    done
    complain "$1 does not start: $(cat "$out/$1.log")"
    return 1
}

through() # NAME
{
    local name=$1 front i before after all
    command -v "$name" >/dev/null || { echo "left out: this machine has no $name"; return; }
    start_front "$name" || return
    front=http://127.0.0.1:$front_port
    ask() { curl -sS --max-time 30 -o "$out/got" -w '%{http_code}' "$@"; }
    equal "$name: hello" "200 Hello, World!" "$(ask "$front/demo/hello") $(cat "$out/got")"
    equal "$name: HEAD" 200 "$(ask -I "$front/demo/hello")"
    for way in '' /unbuffered; do
        equal "$name$way: a body" 200 "$(ask --data-binary @"$out/file" "$front$way/demo/echo")"
        check "$name$way: a body comes back" cmp "$out/file" "$out/got"
        equal "$name$way: chunked" 200 "$(ask -X POST -T - "$front$way/demo/echo" <"$out/file")"
        check "$name$way: chunked comes back" cmp "$out/file" "$out/got"
        equal "$name$way: a large answer" 200 "$(ask "$front$way/demo/big")"
        equal "$name$way: its bytes" 8388608 "$(wc -c <"$out/got")"
        equal "$name$way: too long" 413 "$(ask --data-binary @"$out/long" "$front$way/demo/echo" 2>/dev/null)"
        equal "$name$way: asked before" 200 "$(ask -H 'Expect: 100-continue' --data-binary @"$out/file" "$front$way/demo/echo")"
    done
    equal "$name: no route" 404 "$(ask "$front/nothing")"
    equal "$name: HTTP/1.0" "200 Hello, World!" "$(ask -0 "$front/demo/hello") $(cat "$out/got")"
    # Many after each other by few connections to gyre, and none mixed up.
    before=$(made)
    for ((i = 0; i < 200; i++)); do
        printf 'url = "%s/demo/echo"\ndata = "body %s"\noutput = "%s"\nnext\n' "$front" "$i" "$out/n$i"
    done | sed '$d' >"$out/list"
    check "$name: two hundred" curl -sS --max-time 60 --parallel --parallel-max 20 -K "$out/list" 2>"$out/curl"
    all=
    for ((i = 0; i < 200; i++)); do
        [ "$(cat "$out/n$i")" = "body $i" ] || all="$all $i"
    done
    equal "$name: mixed up" "" "$all"
    after=$(made)
    echo "$name: 200 requests by $((after - before)) connections to gyre"
    check "$name keeps its connections: $((after - before))" [ $((after - before)) -le 120 ]
    kill -TERM "$proxy"
    wait "$proxy" 2>/dev/null
    proxy=
}

# Connections that gyre has accepted, those of this question and of health checks with them.
made()
{
    curl -sS --max-time 20 "$url/metrics" | awk '/^gyre_http_connections_total/ { n += $NF } END { print n + 0 }'
}

head -c 400000 /dev/urandom >"$out/file"
head -c 3000000 /dev/zero >"$out/long"
check "metrics count connections" [ "$(made)" -gt 0 ]
through nginx
through haproxy
finish
