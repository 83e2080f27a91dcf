#!/usr/bin/env bash
# gyre-chat by clients in Python that know the protocol from its RFC: what one says all hear, whichever shard accepted
# them; large and small messages, fragments, pings, closing from both ends, one that reads nothing, one that is killed.

. "${GYRE_SOURCE:?names the sources}/tests/support/server.sh" || exit 1
need curl python3
demo=$GYRE_BIN/gyre-chat
start_server --shards=2 --overprovisioned

check "the page" grep -q WebSocket <(curl -sS --max-time 20 "$url/")
equal "no handshake" 426 "$(curl -sS --max-time 20 -o /dev/null -w '%{http_code}' "$url/room")"

check "the clients" timeout 100 python3 - "$port" <<'END'
import base64, hashlib, os, socket, struct, sys

port = int(sys.argv[1])

class Client:
    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.bytes = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(("GET /room HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.bytes:
            self.bytes += self.socket.recv(4096)
        head, self.bytes = self.bytes.split(b"\r\n\r\n", 1)
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert b"Sec-WebSocket-Accept: " + accept in head, head
        self.number = int(self.hear()[1].split()[0])

    def send(self, first, payload):
        mask, n = os.urandom(4), len(payload)
        length = struct.pack(">B", 128 | n) if n < 126 else struct.pack(">BH", 254, n)
        self.socket.sendall(bytes([first]) + length + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload)))

    def take(self, n):
        while len(self.bytes) < n:
            more = self.socket.recv(65536)
            assert more, "the connection ended"
            self.bytes += more
        taken, self.bytes = self.bytes[:n], self.bytes[n:]
        return taken

    def hear(self):
        first, n = self.take(2)
        if n == 126:
            n, = struct.unpack(">H", self.take(2))
        return first, self.take(n)

    def ended(self):
        self.socket.settimeout(10)
        return self.bytes == b"" and self.socket.recv(1) == b""

guests = []
for i in range(20):
    guests.append(Client())
    for other in guests[:-1]:
        assert other.hear() == (0x81, b"%d came" % guests[-1].number)
for speaker in guests:
    for text in (b"hello", "Gr\u00fc\u00dfe \U0001F600".encode(), b"x" * 4000, b""):
        speaker.send(0x81, text)
        for guest in guests:
            assert guest.hear() == (0x81, b"%d: %s" % (speaker.number, text))
speaker.send(0x01, b"in "), speaker.send(0x89, b"ping"), speaker.send(0x00, b"three "), speaker.send(0x80, b"parts")
assert speaker.hear() == (0x8A, b"ping")
for guest in guests:
    assert guest.hear() == (0x81, b"%d: in three parts" % speaker.number)

def leaves(guest, close):
    close(guest)
    guests.remove(guest)
    for other in guests:
        assert other.hear() == (0x81, b"%d left" % guest.number)

def says_goodbye(guest):
    guest.send(0x88, b"\x03\xe8bye")
    assert guest.hear() == (0x88, b"\x03\xe8") and guest.ended()
def sends_bytes(guest):
    guest.send(0x82, b"bytes")
    first, payload = guest.hear()
    assert first == 0x88 and payload[:2] == b"\x03\xeb"
    guest.send(0x88, payload)
    assert guest.ended()
def breaks_the_rules(guest):
    guest.send(0xC1, b"x")
    assert guest.hear() == (0x88, b"\x03\xea") and guest.ended()
def is_killed(guest):
    guest.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    guest.socket.close()
def just_leaves(guest):
    guest.socket.close()
for how in (says_goodbye, sends_bytes, breaks_the_rules, is_killed, just_leaves):
    leaves(guests[0], how)

# One that does not read holds up nobody, and hears that it missed something.
deaf, speaker = guests[0], guests[1]
for i in range(3000):
    speaker.send(0x81, b"y" * 4000)
    for guest in guests[1:3]:
        assert guest.hear()[1].endswith(b"y" * 4000)
missed = False
for i in range(3000):
    first, payload = deaf.hear()
    if payload.startswith(b"you missed"):
        missed = True
        break
assert missed
END


check "the page, afterwards" grep -q WebSocket <(curl -sS --max-time 20 "$url/")
finish
