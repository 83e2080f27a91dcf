/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Any bytes as answers to requests. Input: 8 bytes, of which the first says which requests were
 * HEAD and the others seed how the rest is cut, then what the server sends on one connection, which
 * then ends. It is read twice, whole and in pieces, the second time its bodies as pieces too. Both
 * must see the same answers and the same error. Limits are small, so that they are reached; what
 * lies behind the bytes given is for the address sanitizer to watch. */
#include "http/inbound.h"

#include "tests/http/fake_bufs.c"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define ANSWERS_MAX 256

struct run {
    uint64_t seed;
    uint8_t heads;
    bool pieces;
    struct gy__http_inbound inbound;
    unsigned answers;
    uint64_t transcript;
    uint64_t body; /* of the answer being read */
    int err;
};

static const struct gy__http_limits limits = {300, 12, 500};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static uint64_t rnd(struct run *run)
{
    run->seed ^= run->seed << 13;
    run->seed ^= run->seed >> 7;
    run->seed ^= run->seed << 17;
    return run->seed >> 11;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(1099511628211);
    return hash;
}

static void begin(struct run *run)
{
    run->body = 1;
    gy__http_inbound_begin(&run->inbound, &limits, run->heads >> run->answers % 8 & 1);
}

static void take_pieces(struct run *run)
{
    struct gy__http_inbound *in = &run->inbound;

    while (in->pieces != NULL) {
        struct gy_buf *buf = in->pieces;

        in->pieces = buf->next;
        if (in->pieces == NULL)
            in->pieces_last = NULL;
        in->waiting -= buf->len;
        run->body = mix(run->body, buf->data, buf->len);
        gy_buf_release(buf);
    }
    require(in->waiting == 0);
}

static void check_head(struct run *run)
{
    struct gy__http_inbound *in = &run->inbound;
    const char *head = (const char *)in->buf->data;
    struct gy_http_header header;
    size_t at = 0, len = in->head_len - 2 - in->head_at;
    unsigned lines = 0;

    require(in->status >= 200 && in->status <= 599 && in->head_len <= limits.head_max);
    require(memcmp(head + in->head_len - 4, "\r\n\r\n", 4) == 0 || len == 0);
    while (at < len) {
        require(gy__http_line_next(head + in->head_at, len, &at, &header));
        require(header.name.len > 0 && memchr(header.value.ptr, '\n', header.value.len) == NULL);
        lines++;
    }
    require(lines <= limits.headers_max);
    in->in_pieces = run->pieces;
}

static void complete(struct run *run)
{
    struct gy__http_inbound *in = &run->inbound;

    if (run->pieces)
        take_pieces(run);
    else
        run->body = mix(run->body, in->buf->data + in->head_len, in->buf->len - in->head_len);
    require(in->body_len <= limits.body_max);
    require(in->body != GY__BODY_NONE || in->body_len == 0);
    run->transcript = mix(run->transcript, in->buf->data, in->head_len);
    run->transcript = mix(run->transcript, &run->body, sizeof(run->body));
    run->transcript = mix(run->transcript, &in->body_len, sizeof(in->body_len));
    gy__http_inbound_fini(in);
    run->answers++;
}

/* -> false: nothing behind this is read. */
static bool give(struct run *run, const char *at, size_t len)
{
    const char *end = at + len;

    while (at < end) {
        const char *before = at;
        enum gy__http_read read = gy__http_inbound_feed(&run->inbound, &at, end);
        bool goes_on = run->inbound.keep_alive;

        require(at >= before && at <= end);
        switch (read) {
        case GY__READ_HEAD:
            check_head(run);
            break;
        case GY__READ_MORE:
            require(at == end);
            if (run->pieces && rnd(run) % 2 == 0)
                take_pieces(run);
            return true;
        case GY__READ_ANSWER:
            complete(run);
            if (!goes_on || run->answers == ANSWERS_MAX)
                return false;
            begin(run);
            break;
        case GY__READ_BROKEN:
            run->err = run->inbound.err;
            require(run->err < 0 && run->inbound.why != NULL);
            return false;
        }
        /* The body may be empty: what is complete says so without another byte. */
        if (read == GY__READ_HEAD && at == end &&
            gy__http_inbound_feed(&run->inbound, &at, end) == GY__READ_ANSWER) {
            goes_on = run->inbound.keep_alive;
            complete(run);
            if (!goes_on || run->answers == ANSWERS_MAX)
                return false;
            begin(run);
        }
    }
    return true;
}

static void end(struct run *run, bool open)
{
    if (open && gy__http_inbound_begun(&run->inbound)) {
        if (gy__http_inbound_end(&run->inbound) == GY__READ_ANSWER)
            complete(run);
        else
            run->err = run->inbound.err;
    }
    gy__http_inbound_fini(&run->inbound);
    require(fake_bufs.out == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct run whole, pieces;
    bool open = true;

    if (len < 8)
        return 0;
    fake_bufs_reset();
    whole = (struct run){.heads = data[0]};
    pieces = (struct run){.heads = data[0], .pieces = true};
    memcpy(&pieces.seed, data, sizeof(pieces.seed));
    pieces.seed |= 1;
    data += 8;
    len -= 8;

    begin(&whole);
    end(&whole, give(&whole, (const char *)data, len));

    begin(&pieces);
    for (size_t at = 0; at < len && open;) {
        size_t n = rnd(&pieces) % 4 == 0 ? rnd(&pieces) % 200 + 1 : rnd(&pieces) % 9 + 1;
        char *copy;

        n = n < len - at ? n : len - at;
        copy = malloc(n); /* of exactly this size */
        memcpy(copy, data + at, n);
        open = give(&pieces, copy, n);
        free(copy);
        at += n;
    }
    end(&pieces, open);
    require(whole.answers == pieces.answers && whole.transcript == pieces.transcript);
    require(whole.err == pieces.err);
    return 0;
}
