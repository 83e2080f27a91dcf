/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Any bytes as WebSocket frames, and any messages as frames. Input: 8 bytes that seed the pieces and choose
 * the longest message, then what the client sends. It is read in pieces of exactly their size, beside a
 * decoder of the whole input written here from RFC 6455 5 and RFC 3629: both see the same messages, control
 * frames and closes, and fail with the same code at the same place. Then the same bytes are taken for the
 * payload of messages, which are sent by a client's encoder written here, in masked fragments with pings
 * between, and must come whole; and by gy__ws_put(), and must be right. */
#include "http/ws.h"

#include "tests/fuzz/fuzz.h"
#include "tests/http/fake_bufs.c"

#define INPUT_MAX 4096
#define LARGE 70000 /* a length that takes 64 bits */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    return (hash ^ word) * UINT64_C(1099511628211) + 1;
}

static uint64_t mix_bytes(uint64_t hash, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = mix(hash, bytes[i]);
    return mix(hash, len);
}

/* ---- the decoder ---- */

static unsigned close_code(const uint8_t *payload, size_t len, unsigned *code)
{
    *code = 1005;
    if (len == 0)
        return 0;
    if (len < 2)
        return 1002;
    *code = payload[0] * 256u + payload[1];
    switch (*code) {
    case 1000: case 1001: case 1002: case 1003: case 1007: case 1008: case 1009: case 1010: case 1011:
    case 1012: case 1013: case 1014:
        break;
    default:
        if (*code < 3000 || *code > 4999)
            return 1002;
    }
    return is_utf8(payload + 2, len - 2, true) ? 0 : 1007;
}

/* -> a hash of all that happens. */
static uint64_t decode(const uint8_t *data, size_t len, uint64_t message_max)
{
    static uint8_t message[INPUT_MAX], control[125];
    unsigned type = 0;
    size_t at = 0, have = 0;
    uint64_t story = 1;

    while (len - at >= 2) {
        unsigned opcode = data[at] & 15, size = data[at + 1] & 127;
        bool fin = data[at] >= 128, is_control = opcode >= 8;
        unsigned extra = size == 126 ? 2 : size == 127 ? 8 : 0;
        uint64_t payload = extra > 0 ? 0 : size;
        const uint8_t *mask;
        size_t n;

        if (data[at] & 0x70 || data[at + 1] < 128 || (opcode > 2 && opcode < 8) || opcode > 10 ||
            (is_control && (!fin || size > 125)) || (!is_control && (opcode == 0) != (type != 0)))
            return mix(story, 1002);
        if (len - at < 2 + extra + 4)
            return story;
        for (unsigned i = 0; i < extra; i++)
            payload = payload * 256 + data[at + 2 + i];
        if ((extra == 2 && payload < 126) || (extra == 8 && (payload < 65536 || payload > INT64_MAX)))
            return mix(story, 1002);
        if (!is_control && payload > message_max - have)
            return mix(story, 1009);
        mask = data + at + 2 + extra;
        at += 2 + extra + 4;
        n = payload < len - at ? (size_t)payload : len - at;
        for (size_t i = 0; i < n; i++)
            *(is_control ? &control[i] : &message[have + i]) = data[at + i] ^ mask[i % 4];
        at += n;
        if (is_control) {
            if (n < payload)
                return story;
            story = mix_bytes(mix(story, opcode), control, n);
            if (opcode == 8) {
                unsigned code, wrong = close_code(control, n, &code);

                return mix(story, wrong != 0 ? wrong : code);
            }
            continue;
        }
        type = opcode != 0 ? opcode : type;
        have += n;
        if (type == 1 && !is_utf8(message, have, fin && n == payload))
            return mix(story, 1007);
        if (n < payload)
            return story;
        if (fin) {
            story = mix_bytes(mix(story, type), message, have);
            type = 0;
            have = 0;
        }
    }
    return story;
}

/* ---- gyre's ---- */

static void ws_open(struct gy_ws *ws, uint64_t message_max)
{
    memset(ws, 0, sizeof(*ws));
    ws->gy__options.message_max = (uint32_t)message_max;
}

static void ws_close(struct gy_ws *ws)
{
    gy_buf_release(ws->gy__message);
    gy_buf_release(ws->gy__out);
    require(fake_bufs.out == 0);
}

/* One piece, of exactly its size. -> false: nothing behind it counts. */
static bool feed(struct gy_ws *ws, const uint8_t *bytes, size_t len, uint64_t *story)
{
    uint8_t *copy = malloc(len > 0 ? len : 1), *at = copy, *end = copy + len;
    bool on = true;
    unsigned code = 0, wrong;

    require(copy != NULL);
    memcpy(copy, bytes, len);
    for (bool more = true; more && on;) {
        const uint8_t *before = at;

        switch (gy__ws_feed(ws, &at, end)) {
        case GY__WS_MORE:
            require(at == end);
            more = false;
            break;
        case GY__WS_MESSAGE:
            require(ws->gy__message == NULL || ws->gy__message->len <= ws->gy__options.message_max);
            *story = mix(*story, ws->gy__type);
            *story = ws->gy__message != NULL
                         ? mix_bytes(*story, ws->gy__message->data, ws->gy__message->len)
                         : mix_bytes(*story, NULL, 0);
            gy_buf_release(ws->gy__message);
            ws->gy__message = NULL;
            ws->gy__type = 0;
            break;
        case GY__WS_CONTROL:
            *story = mix_bytes(mix(*story, ws->gy__opcode), ws->gy__control, ws->gy__control_len);
            if (ws->gy__opcode == GY__WS_CLOSE) {
                wrong = gy__ws_close_payload(ws->gy__control, ws->gy__control_len, &code);
                *story = mix(*story, wrong != 0 ? wrong : code);
                on = false;
            }
            break;
        case GY__WS_FAILED:
            *story = mix(*story, ws->gy__code);
            on = false;
            break;
        }
        require(at >= before && at <= end);
    }
    free(copy);
    return on;
}

static uint64_t feed_all(struct gy_ws *ws, const uint8_t *data, size_t len, uint64_t *seed)
{
    uint64_t story = 1;
    bool on = true;

    for (size_t at = 0, n; on && at < len; at += n) {
        n = draw(seed) % 4 == 0 ? draw(seed) % 3000 + 1 : draw(seed) % 9 + 1;
        n = n < len - at ? n : len - at;
        on = feed(ws, data + at, n, &story);
    }
    return story;
}

/* ---- there and back ---- */

static uint8_t wire[8 * LARGE];
static size_t wire_len;

static void put_frame(unsigned first, const uint8_t *payload, size_t len, uint64_t mask)
{
    unsigned size = len < 126 ? 0 : len < 65536 ? 2 : 8;

    wire[wire_len++] = (uint8_t)first;
    wire[wire_len++] = (uint8_t)(128 + (size == 0 ? len : size == 2 ? 126 : 127));
    for (unsigned i = size; i > 0; i--)
        wire[wire_len++] = (uint8_t)((uint64_t)len >> (8 * (i - 1)));
    for (unsigned i = 0; i < 4; i++)
        wire[wire_len++] = (uint8_t)(mask >> (8 * i));
    for (size_t i = 0; i < len; i++)
        wire[wire_len++] = payload[i] ^ (uint8_t)(mask >> (8 * (i % 4)));
}

/* One message in fragments of any size, among them empty ones, with pings between. */
static uint64_t put_message(uint64_t story, unsigned type, const uint8_t *bytes, size_t len, uint64_t *seed)
{
    size_t at = 0;
    unsigned first = type;

    for (unsigned left = (unsigned)(draw(seed) % 6); left > 0; left--) {
        size_t n = draw(seed) % 3 == 0 ? len - at : draw(seed) % (len - at + 1);

        put_frame(first, bytes + at, n, draw(seed));
        at += n;
        first = 0;
        if (draw(seed) % 2 == 0) {
            n = draw(seed) % 126;
            n = n < len ? n : len < 126 ? len : 125;
            put_frame(0x89, bytes, n, draw(seed));
            story = mix_bytes(mix(story, 9), bytes, n);
        }
    }
    put_frame(0x80 | first, bytes + at, len - at, draw(seed));
    return mix_bytes(mix(story, type), bytes, len);
}

static void there(const uint8_t *data, size_t len, uint64_t seed)
{
    static uint8_t large[LARGE];
    uint64_t story = 1;
    struct gy_ws ws;

    wire_len = 0;
    for (unsigned i = 0; i < 3; i++) {
        size_t from = draw(&seed) % (len + 1), n = draw(&seed) % (len - from + 1);

        story = put_message(story, is_utf8(data + from, n, true) ? 1 : 2, data + from, n, &seed);
    }
    if (draw(&seed) % 8 == 0) {
        memset(large, 'a' + (int)(draw(&seed) % 26), LARGE);
        story = put_message(story, 1, large, 65500 + draw(&seed) % 100, &seed);
    }
    ws_open(&ws, LARGE);
    require(feed_all(&ws, wire, wire_len, &seed) == story);
    ws_close(&ws);
}

/* What the server sends: one frame each, unmasked, its length in the shortest form. */
static void back(const uint8_t *data, size_t len, uint64_t seed)
{
    static const enum gy__ws_opcode opcodes[] = {GY__WS_TEXT, GY__WS_BINARY, GY__WS_CLOSE, GY__WS_PING, GY__WS_PONG};
    struct {
        enum gy__ws_opcode opcode;
        size_t from, len;
    } sent[8];
    const uint8_t *at, *end;
    struct gy_ws ws;

    ws_open(&ws, LARGE);
    for (unsigned i = 0; i < 8; i++) {
        sent[i].opcode = opcodes[draw(&seed) % 5];
        sent[i].from = draw(&seed) % (len + 1);
        sent[i].len = draw(&seed) % (len - sent[i].from + 1);
        if (sent[i].opcode >= GY__WS_CLOSE && sent[i].len > 125)
            sent[i].len = 125;
        require(gy__ws_put(&ws, sent[i].opcode, data + sent[i].from, sent[i].len));
    }
    at = ws.gy__out->data;
    end = at + ws.gy__out->len;
    for (unsigned i = 0; i < 8; i++) {
        size_t n = sent[i].len;

        require(end - at >= 2 && at[0] == (0x80 | (unsigned)sent[i].opcode) && at[1] == (n < 126 ? n : 126));
        at += 2;
        if (n >= 126) {
            require(at[0] * 256u + at[1] == n);
            at += 2;
        }
        require((size_t)(end - at) >= n && (n == 0 || memcmp(at, data + sent[i].from, n) == 0));
        at += n;
    }
    require(at == end);
    ws_close(&ws);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint32_t longest[] = {0, 10, 200, INPUT_MAX};
    uint64_t seed, message_max;
    struct gy_ws ws;

    if (len < sizeof(seed) || len > INPUT_MAX)
        return 0;
    memcpy(&seed, data, sizeof(seed));
    message_max = longest[seed >> 62];
    data += sizeof(seed);
    len -= sizeof(seed);
    fake_bufs_reset();
    ws_open(&ws, message_max);
    require(feed_all(&ws, data, len, &(uint64_t){seed}) == decode(data, len, message_max));
    ws_close(&ws);
    there(data, len, seed);
    back(data, len, seed);
    return 0;
}
