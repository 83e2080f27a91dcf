/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Any bytes as a chunked body, in pieces, beside a decoder written here from RFC 9112 7.1. Input: 8
 * bytes that seed the pieces, then the body. What the parser takes, the decoder must take to the same
 * bytes and no further; what the decoder finds complete or unfinished without anything around the
 * chunks, the parser must take too. */
#include "http/parse.h"

#include "tests/fuzz/fuzz.h"
#include "tests/http/fake_bufs.c"

#define BODY_MAX 1000u
#define INPUT_MAX 8192

/* ---- the decoder ---- */

enum verdict { COMPLETE, UNFINISHED, WRONG };

struct decoded {
    enum verdict verdict;
    bool plain; /* no extensions and no trailers */
    size_t read, len;
    uint8_t body[INPUT_MAX];
};

/* -> behind the CRLF that ends the line at `at`; 0: it is cut, or (*wrong) has another line end. */
static size_t line_end(const uint8_t *data, size_t len, size_t at, bool *wrong)
{
    for (; at < len; at++) {
        if (data[at] == '\n')
            *wrong = true;
        if (data[at] == '\r' && at + 1 < len && data[at + 1] != '\n')
            *wrong = true;
        if (*wrong || (data[at] == '\r' && at + 1 == len))
            return 0;
        if (data[at] == '\r')
            return at + 2;
    }
    return 0;
}

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* -> digits of a chunk's size at `at`; 17: too many. */
static unsigned size_of(const uint8_t *data, size_t len, size_t at, uint64_t *size)
{
    unsigned digits = 0;

    for (*size = 0; at < len && digits < 17 && digit(data[at]) >= 0; at++, digits++)
        *size = *size << 4 | (uint64_t)digit(data[at]);
    return digits;
}

static enum verdict decode_trailers(struct decoded *d, const uint8_t *data, size_t len)
{
    bool wrong = false;

    for (;;) {
        size_t next = line_end(data, len, d->read, &wrong);
        bool last = next == d->read + 2;

        if (d->read < len && data[d->read] != '\r')
            d->plain = false; /* a trailer */
        if (next == 0)
            return wrong ? WRONG : UNFINISHED;
        d->read = next;
        if (last)
            return COMPLETE;
    }
}

static enum verdict decode_chunks(struct decoded *d, const uint8_t *data, size_t len)
{
    for (;;) {
        bool wrong = false;
        uint64_t size;
        unsigned digits = size_of(data, len, d->read, &size);
        size_t at = d->read + digits, next = line_end(data, len, at, &wrong);

        if (digits == 17 || (digits == 0 && at < len) || (next != 0 && size > BODY_MAX - d->len))
            return WRONG;
        if (at < len && data[at] != '\r')
            d->plain = false;
        if (next == 0)
            return wrong ? WRONG : UNFINISHED;
        d->read = next;
        if (size == 0)
            return decode_trailers(d, data, len);
        for (uint64_t i = 0; i < size && d->read < len; i++)
            d->body[d->len++] = data[d->read++];
        if (d->read == len)
            return UNFINISHED;
        if (data[d->read] != '\r' || (d->read + 1 < len && data[d->read + 1] != '\n'))
            return WRONG;
        if (d->read + 1 == len)
            return UNFINISHED;
        d->read += 2;
    }
}

/* ---- the parser ---- */

static const char head[] = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

/* A piece of exactly its size. */
static enum gy__http_parsed feed(struct gy__http_parser *parser, const void *bytes, size_t len,
                                 size_t *read)
{
    char *piece = malloc(len > 0 ? len : 1);
    const char *at = piece;
    enum gy__http_parsed parsed;

    require(piece != NULL);
    memcpy(piece, bytes, len);
    parsed = gy__http_parser_feed(parser, &at, piece + len);
    *read += (size_t)(at - piece);
    if (parsed == GY__HTTP_REQUEST) /* it may borrow from the piece */
        require(gy__http_slot_secure(parser->slot));
    free(piece);
    return parsed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct decoded decoded;
    struct gy_http_config config = GY_HTTP_CONFIG_INIT("");
    struct gy__http_slots slots = {.memory = fake_memory};
    struct gy__http_parser parser;
    enum gy__http_parsed parsed;
    size_t read = 0;
    uint64_t seed;

    if (len < sizeof(seed) || len > INPUT_MAX)
        return 0;
    memcpy(&seed, data, sizeof(seed));
    data += sizeof(seed);
    len -= sizeof(seed);
    memset(&decoded, 0, offsetof(struct decoded, body));
    decoded.plain = true;
    decoded.verdict = decode_chunks(&decoded, data, len);

    fake_bufs_reset();
    config.body_max = BODY_MAX;
    gy__http_parser_init(&parser, &config);
    gy__http_parser_begin(&parser, gy__http_slot_take(&slots));
    parsed = feed(&parser, head, sizeof(head) - 1, &read);
    require(parsed == GY__HTTP_MORE);
    read = 0;
    while (parsed == GY__HTTP_MORE && read < len) {
        size_t piece = draw(&seed) % 4 == 0 ? draw(&seed) % 600 + 1 : draw(&seed) % 6 + 1;

        parsed = feed(&parser, data + read, piece < len - read ? piece : len - read, &read);
    }
    if (parsed == GY__HTTP_REQUEST) {
        const struct gy_slice *body = &parser.slot->req.body;

        require(decoded.verdict == COMPLETE && read == decoded.read && body->len == decoded.len);
        require(body->len == 0 || memcmp(body->ptr, decoded.body, body->len) == 0);
    } else if (decoded.plain) {
        require(decoded.verdict != COMPLETE);
        require((parsed == GY__HTTP_MORE) == (decoded.verdict == UNFINISHED));
    }
    gy__http_slot_give(&slots, parser.slot);
    require(fake_bufs.out == 0);
    fake_memory_free();
    return 0;
}
