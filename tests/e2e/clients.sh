#!/usr/bin/env bash
# Clients that others wrote: every form of body that curl can send, ab, hey, Node's and Python's clients. Each is left out,
# with a line, where it is not installed.

. "${GYRE_SOURCE:?names the sources}/tests/support/server.sh" || exit 1
need curl
start_server --shards=2 --overprovisioned

there() # TOOL
{
    command -v "$1" >/dev/null || { echo "left out: this machine has no $1"; return 1; }
}

# ---- curl: what it sends must come back from echo, by whatever way it travels

ask() # CURL-ARGUMENT...
{
    status=$(curl -sS --max-time 20 -o "$out/body" -D "$out/head" -w '%{http_code}' "$@" 2>"$out/curl") ||
        complain "curl $*: $(cat "$out/curl")"
}

echoed() # WHAT FILE CURL-ARGUMENT...
{
    local what=$1 file=$2
    shift 2
    ask "$@" "$url/demo/echo"
    equal "$what" 200 "$status"
    check "$what comes back" cmp "$file" "$out/body"
}

head -c 300000 /dev/urandom >"$out/file"
printf 'a=1&b=two+words&c=%%26' >"$out/form"
: >"$out/empty"
echoed "--data-binary" "$out/file" --data-binary @"$out/file"
echoed "--upload-file" "$out/file" -X POST -T "$out/file"
echoed "--upload-file from a pipe, chunked" "$out/file" -X POST -T - <"$out/file"
echoed "--data" "$out/form" -d a=1 -d b=two+words -d c=%26
echoed "--data-urlencode" <(printf 'a=x%%26y') --data-urlencode 'a=x&y'
echoed "an empty POST" "$out/empty" -d ''
echoed "an empty chunked POST" "$out/empty" -H 'Transfer-Encoding: chunked' -d ''
echoed "--json" <(printf '{"a":1}') --json '{"a":1}'
echoed "100-continue" "$out/file" -H 'Expect: 100-continue' --expect100-timeout 10 --data-binary @"$out/file"
has "100-continue" "100 Continue" "$(cat "$out/head")"
echoed "100-continue, chunked" "$out/file" -H 'Expect: 100-continue' -H 'Transfer-Encoding: chunked' \
    --expect100-timeout 10 --data-binary @"$out/file"
echoed "HTTP/1.0" "$out/file" -0 --data-binary @"$out/file"
echoed "HTTP/1.0 that stays" "$out/form" -0 -H 'Connection: keep-alive' --data-binary @"$out/form"
has "HTTP/1.0 that stays" "keep-alive" "$(tr 'A-Z' 'a-z' <"$out/head")"
ask -F file=@"$out/file" -F 'text=a b' "$url/demo/echo"
equal "a form of parts" 200 "$status"
check "a form of parts comes back" [ "$(grep -c 'Content-Disposition: form-data' -a "$out/body")" = 2 ]
head -c 3000000 /dev/zero >"$out/long"
ask -H 'Expect: 100-continue' --expect100-timeout 10 --data-binary @"$out/long" "$url/demo/echo"
equal "too long, asked before" 413 "$status"
case $(cat "$out/head") in *"100 Continue"*) complain "a body that is refused was asked for" ;; esac
ask --data-binary @"$out/long" "$url/demo/echo"
equal "too long" 413 "$status"
ask -X POST -T - "$url/demo/echo" <"$out/long"
equal "too long, chunked" 413 "$status"
ask -H 'Expect: 100-continue' --expect100-timeout 10 --data-binary @"$out/file" "$url/demo/nothing"
equal "no such route, asked before" 404 "$status"
ask -r 0-4 "$url/demo/hello"
check "a range of what has none: $status" [ "$status" = 200 ] || [ "$status" = 206 ]
# Two transfers on one connection, and ten side by side.
equal "one connection for two bodies" 10 "$(curl -sS --max-time 20 -o /dev/null -o /dev/null -w '%{num_connects}' \
    --data-binary @"$out/file" "$url/demo/echo" "$url/demo/echo" 2>/dev/null)"
for i in 1 2 3 4 5 6 7 8 9 10; do printf 'url = "%s/demo/hello?%s"\noutput = "%s"\n' "$url" "$i" "$out/p$i"; done >"$out/list"
check "ten at once" curl -sS --max-time 20 --parallel -K "$out/list" 2>"$out/curl"
equal "ten at once" "$(printf 'Hello, World!%.0s' 1 2 3 4 5 6 7 8 9 10)" "$(cat "$out"/p[0-9]*)"

# ---- ab: HTTP/1.0, by itself with a connection for each, and kept

if there ab; then
    for kept in '' -k; do
        # shellcheck disable=SC2086
        ab -q $kept -s 20 -n 2000 -c 20 "$url/demo/hello" >"$out/ab" 2>&1 || complain "ab $kept: $(cat "$out/ab")"
        equal "ab $kept: failed" 0 "$(sed -n 's/^Failed requests: *//p' "$out/ab")"
        equal "ab $kept: complete" 2000 "$(sed -n 's/^Complete requests: *//p' "$out/ab")"
    done
    equal "ab -k keeps" 2000 "$(sed -n 's/^Keep-Alive requests: *//p' "$out/ab")"
    ab -q -k -s 20 -n 500 -c 5 -p "$out/form" -T text/plain "$url/demo/echo" >"$out/ab" 2>&1
    equal "ab -p: failed" 0 "$(sed -n 's/^Failed requests: *//p' "$out/ab")"
fi

# ---- hey: kept connections, a connection for each, bodies

if there hey; then
    load() # WHAT COUNT HEY-ARGUMENT...
    {
        local what=$1 count=$2
        shift 2
        timeout 60 hey -n "$count" -c 20 -t 20 "$@" >"$out/hey" 2>&1 || complain "$what: $(cat "$out/hey")"
        equal "$what" "$count" "$(sed -n 's/^ *\[200\][[:space:]]*\([0-9]*\) responses.*/\1/p' "$out/hey")"
        check "$what: $(cat "$out/hey")" [ "$(grep -c 'Error distribution' "$out/hey")" = 0 ]
    }
    load "hey" 2000 "$url/demo/hello"
    load "hey, a connection for each" 400 -disable-keepalive "$url/demo/hello"
    load "hey, bodies" 1000 -m POST -D "$out/file" "$url/demo/echo"
fi

# ---- Node: its agent with kept connections, chunked bodies, 100-continue, fetch

if there node; then
    cat >"$out/client.js" <<'JS'
const http = require('http'), assert = require('assert'), base = process.argv[2];
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
const ask = (path, options = {}, body = []) => new Promise((done, failed) => {
  const q = http.request(base + path, { agent, ...options }, (r) => {
    const parts = [];
    r.on('data', (d) => parts.push(d)).on('end', () => done({ status: r.statusCode, body: Buffer.concat(parts),
      reused: q.reusedSocket, continued: q.continued })).on('error', failed);
  }).on('error', failed);
  if (options.headers && options.headers.Expect)
    q.on('continue', () => { q.continued = true; q.end(body[0]); }).flushHeaders();
  else { body.forEach((b) => q.write(b)); q.end(); }
});
(async () => {
  const post = { method: 'POST' }, big = Buffer.alloc(200000, 'x');
  let reused = 0;
  for (let i = 0; i < 20; i++) {
    const r = await ask('/demo/hello');
    assert.equal(r.status + ' ' + r.body, '200 Hello, World!');
    reused += r.reused;
  }
  assert(reused >= 15, 'connections are kept: ' + reused);
  const all = await Promise.all([...Array(50).keys()].map((i) => ask('/demo/echo', post, ['a' + i, 'b', big])));
  all.forEach((r, i) => assert(r.body.equals(Buffer.concat([Buffer.from('a' + i + 'b'), big])), 'chunked ' + i));
  const r = await ask('/demo/echo', { ...post, headers: { Expect: '100-continue', 'Content-Length': 5 } }, ['later']);
  assert(r.continued && r.body == 'later', '100-continue');
  assert.equal((await ask('/demo/hello', { method: 'HEAD' })).body.length, 0);
  assert.equal((await ask('/nothing')).status, 404);
  const f = await fetch(base + '/demo/echo', { method: 'POST', body: 'by fetch' });
  assert.equal(await f.text(), 'by fetch');
  const s = await fetch(base + '/demo/echo', { method: 'POST', duplex: 'half', body: new Blob(['a', 'b']).stream() });
  assert.equal(await s.text(), 'ab');
  agent.destroy();
  console.log('node: all well');
})().catch((e) => { console.log(e); process.exit(1); });
JS
    timeout 60 node "$out/client.js" "$url" >"$out/node" 2>&1 || complain "node: $(cat "$out/node")"
    has "node" "all well" "$(cat "$out/node")"
fi

# ---- Python: http.client with kept connections and generators as bodies, urllib

if there python3; then
    cat >"$out/client.py" <<'PY'
import http.client, sys, threading, urllib.error, urllib.request

host, url = sys.argv[1].split('//')[1], sys.argv[1]


def one(n):
    c = http.client.HTTPConnection(host, timeout=20)
    for i in range(20):
        c.request('GET', '/demo/hello')
        r = c.getresponse()
        assert (r.status, r.read()) == (200, b'Hello, World!')
        c.request('POST', '/demo/echo', body=(b'%d,%d,%d;' % (n, i, k) for k in range(100)), encode_chunked=True,
                  headers={'Transfer-Encoding': 'chunked'})
        assert c.getresponse().read() == b''.join(b'%d,%d,%d;' % (n, i, k) for k in range(100))
        c.request('HEAD', '/demo/hello')
        r = c.getresponse()
        assert r.getheader('Content-Length') == '13' and r.read() == b''
    done.append(n)


done = []
threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
assert len(done) == 8, done
assert urllib.request.urlopen(url + '/demo/echo', b'x=y', 20).read() == b'x=y'
try:
    urllib.request.urlopen(url + '/nothing', None, 20)
    sys.exit('404 is no error')
except urllib.error.HTTPError as e:
    assert e.code == 404
print('python: all well')
PY
    timeout 60 python3 "$out/client.py" "$url" >"$out/python" 2>&1 || complain "python: $(cat "$out/python")"
    has "python" "all well" "$(cat "$out/python")"
fi

finish
