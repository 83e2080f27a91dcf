#!/usr/bin/env bash
# Chromium on a page that gyre-web serves: files and answers by fetch, 40 at a time, compressed, cached, ranges, bodies
# both ways; server-sent events that end and are asked for again, from where they ended; and a WebSocket to gyre-chat, in text,
# with a message that is refused and one side closing after the other. What the page has seen is compared here.

. "${GYRE_SOURCE:?names the sources}/tests/support/server.sh" || exit 1
need chromium python3
demo=$GYRE_BIN/gyre-chat
start_server --shards=2 --overprovisioned
chat=$pid chat_port=$port pid=
trap 'kill -KILL "$chat" 2>/dev/null; clean_up' EXIT
demo=$GYRE_BIN/gyre-web
mkdir -p "$out/root" "$out/profile"
head -c 300000 /dev/urandom >"$out/root/bytes.bin"
cat >"$out/root/page.html" <<'END'
<!doctype html><title>page</title><script>
const chat = new URLSearchParams(location.search).get('chat');
const digest = async bytes => [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))]
    .map(b => b.toString(16).padStart(2, '0')).join('');

async function fetches() {
    const one = async i => {
        const answer = await fetch('/hello/' + i);
        return answer.status === 200 && (await answer.json()).hello === String(i);
    };
    const all = await Promise.all([...Array(40).keys()].map(one));
    const file = await fetch('bytes.bin'), again = await fetch('bytes.bin', {cache: 'no-cache'});
    const part = await fetch('bytes.bin', {headers: {Range: 'bytes=1000-1999'}});
    const upper = await fetch('/upper', {method: 'POST', body: 'gr\u00fc\u00dfe '.repeat(1000)});
    const count = await fetch('/count', {method: 'PUT', body: new Uint8Array(200000)});
    return {
        own: all.every(x => x), file: await digest(await file.arrayBuffer()),
        again: [again.status, await digest(await again.arrayBuffer())],
        part: [part.status, (await part.arrayBuffer()).byteLength, part.headers.get('Content-Range')],
        upper: [upper.headers.get('Content-Encoding'), (await upper.text()).slice(0, 9)],
        count: await count.text(), missing: (await fetch('/nothing')).status,
        head: [(await fetch('bytes.bin', {method: 'HEAD'})).headers.get('Content-Length')],
    };
}

function events() {
    const seen = [];
    let opened = 0;
    return new Promise(done => {
        const source = new EventSource('/ticks?n=5&part=2');
        source.onopen = () => opened++;
        source.addEventListener('tick', e => seen.push(e.data + '/' + e.lastEventId));
        source.onerror = () => {
            if (source.readyState === EventSource.CLOSED || opened > 4)
                source.close(), done({seen, opened});
        };
    });
}

function talk(first, isOver) {
    const heard = [];
    return new Promise(done => {
        const socket = new WebSocket('ws://127.0.0.1:' + chat + '/room');
        socket.onopen = () => first(socket);
        socket.onmessage = e => { heard.push(e.data); if (isOver(e.data)) socket.close(3001, 'enough'); };
        socket.onclose = e => done({heard, code: e.code, clean: e.wasClean});
    });
}

const large = '\u20ac'.repeat(1300); // 3900 bytes
const done = (async () => ({
    fetches: await fetches(), events: await events(),
    socket: await talk(s => { s.send('hello'); s.send(large); s.send('last'); }, text => text.endsWith('last')),
    refused: await talk(s => s.send(new Uint8Array(3)), () => false), // only text is understood there
    large: large.length,
}))().catch(e => ({error: String(e)}));
</script>
END
start_server --shards=2 --overprovisioned --root="$out/root"

# Chromium by its debugging protocol over two pipes: open the page, wait for what it promises.
cat >"$out/drive.py" <<'END'
import json, os, subprocess, sys

url, profile = sys.argv[1:]
to_read, to_write = os.pipe()
from_read, from_write = os.pipe()
def pipes():
    os.dup2(to_read, 13), os.dup2(from_write, 14)
    os.dup2(13, 3), os.dup2(14, 4)
    os.set_inheritable(3, True), os.set_inheritable(4, True)
browser = subprocess.Popen(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                            "--no-first-run", "--user-data-dir=" + profile, "--remote-debugging-pipe", "about:blank"],
                           preexec_fn=pipes, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=open(profile + "/log", "w"))
os.close(to_read), os.close(from_write)
last, rest = 0, b""
def ask(method, session=None, **params):
    global last, rest
    last += 1
    message = {"id": last, "method": method, "params": params}
    if session:
        message["sessionId"] = session
    os.write(to_write, json.dumps(message).encode() + b"\0")
    while True:
        while b"\0" not in rest:
            more = os.read(from_read, 1 << 16)
            assert more, "chromium has ended: " + open(profile + "/log").read()[-2000:]
            rest += more
        one, rest = rest.split(b"\0", 1)
        answer = json.loads(one)
        if answer.get("id") == last:
            assert "error" not in answer, answer
            return answer["result"]
try:
    target = ask("Target.createTarget", url=url)["targetId"]
    session = ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    while True: # until the page's script has run
        seen = ask("Runtime.evaluate", session, expression="typeof done === 'undefined' ? null : done",
                   awaitPromise=True, returnByValue=True)["result"]
        if seen.get("value"):
            break
    print(json.dumps(seen["value"]))
    ask("Browser.close")
    browser.wait(20)
finally:
    if browser.poll() is None:
        browser.kill()
END
timeout -s KILL 100 python3 "$out/drive.py" "$url/files/page.html?chat=$chat_port" "$out/profile" >"$out/seen" 2>"$out/drive.log" ||
    { complain "the page was not seen: $(tail -n 3 "$out/drive.log")"; echo '{}' >"$out/seen"; }

cat >"$out/judge.py" <<'END'
import hashlib, json, sys

seen, data = json.load(open(sys.argv[1])), open(sys.argv[2], "rb").read()
failures = 0
def equal(what, expected, got):
    global failures
    if expected != got:
        failures += 1
        print(f"{what}: expected {str(expected)[:300]}, got {str(got)[:300]}")
digest, fetches = hashlib.sha256(data).hexdigest(), seen.get("fetches", {})
equal("an error", None, seen.get("error"))
equal("40 at once, each its own answer", True, fetches.get("own"))
equal("a file", digest, fetches.get("file"))
equal("the same file again, from the cache after a 304", [200, digest], fetches.get("again"))
equal("a part of it", [206, 1000, f"bytes 1000-1999/{len(data)}"], fetches.get("part"))
equal("an answer that was compressed", ["gzip", "GR\u00fc\u00dfE GR\u00fc"], fetches.get("upper"))
equal("a body of bytes", "200000\n", fetches.get("count"))
equal("what is not there", 404, fetches.get("missing"))
equal("HEAD", [str(len(data))], fetches.get("head"))
# Two, then the connection is over; the browser comes again with the last id, twice, and is told then that that was all.
equal("events", {"seen": ["4/4", "3/3", "2/2", "1/1", "0/0"], "opened": 3}, seen.get("events"))
socket = seen.get("socket", {})
number = (socket.get("heard") or ["?"])[0].split()[0]
equal("what a socket heard", [f"{number} came", f"{number}: hello", f"{number}: " + "\u20ac" * seen.get("large", 0),
                              f"{number}: last"], socket.get("heard"))
equal("its end", [3001, True], [socket.get("code"), socket.get("clean")])
equal("the end of one that sent bytes", [1003, True], [seen.get("refused", {}).get(x) for x in ("code", "clean")])
sys.exit(failures > 0)
END
check "what the page saw" python3 "$out/judge.py" "$out/seen" "$out/root/bytes.bin"
stop_server
pid=$chat
finish
