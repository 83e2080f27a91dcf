/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Any bytes to a connection. Input: 8 bytes that seed how the rest is cut and when handlers answer,
 * then what the peer sends. It is run twice, whole with answers at once, and in pieces with answers
 * at any time and heads remembered. Both must dispatch the same requests and refuse or not refuse alike; every request
 * and every refusal is answered once, in order; nothing leaks. Limits are small, so that they are
 * reached. Pieces are memory of exactly their size: reading behind them is for the address sanitizer
 * to see. */
#include "http/conn.h"
#include "http/method.h"

#include "tests/http/fake_bufs.c"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define REQUESTS_MAX 4096
#define OUT_MAX (4u << 20)
#define INPUT_MAX 16384 /* its answers fit */

struct run {
    struct gy__http_env env;
    struct gy__http_conn conn; /* found from the connection */
    uint64_t tickets[REQUESTS_MAX];
    bool head[REQUESTS_MAX];
    unsigned requests, answered;
    uint64_t transcript; /* a hash of all requests dispatched */
    bool refused;
    bool at_once;
    uint64_t seed;
    size_t out_len;
    char out[OUT_MAX];
};

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

/* ---- handlers ---- */

static void note(struct run *run, struct gy_slice slice)
{
    for (size_t i = 0; i < slice.len; i++)
        run->transcript = (run->transcript ^ (uint8_t)slice.ptr[i]) * UINT64_C(1099511628211);
    run->transcript = (run->transcript ^ 0x100) * UINT64_C(1099511628211);
}

static void note_request(struct run *run, const struct gy_http_req *req)
{
    note(run, req->method);
    note(run, req->path);
    note(run, req->query);
    note(run, req->body);
    for (unsigned i = 0; i < req->header_count; i++) {
        note(run, req->headers[i].name);
        note(run, req->headers[i].value);
    }
}

/* The body is the request's number, so that order can be seen. */
static void answer(struct run *run, struct gy__http_slot *slot, unsigned n)
{
    struct gy__http_answer value = { 200, GY__ANSWER_BUF, 2 };
    size_t room = n % 7 == 6 ? 6000 : 100;
    struct gy_buf *buf = gy_buf_take(GY__HTTP_HEADROOM + room);

    note_request(run, &slot->req); /* it must still be there */
    buf->data = buf->base + GY__HTTP_HEADROOM;
    buf->len = (uint32_t)snprintf((char *)buf->data, room, "\r\n%u", n);
    if (room == 6000) {
        memset(buf->data + buf->len, '.', 5000);
        buf->len += 5000;
    }
    run->answered++;
    gy__http_conn_answer(slot, &value, buf);
}

static void on_request(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    struct run *run = (struct run *)(void *)((char *)conn - offsetof(struct run, conn));
    unsigned n = run->requests;

    require(n < REQUESTS_MAX);
    run->head[n] = slot->method == HTTP_HEAD;
    run->tickets[n] = gy__http_slot_ticket(slot);
    run->requests++;
    if (run->at_once)
        answer(run, slot, n);
}

static int on_admit(struct gy__http_conn *conn, struct gy__http_slot *slot, const char **why)
{
    (void)why;
    slot->body_max = conn->env->config.body_max;
    slot->decoded_max = 0;
    return 0;
}

static void on_discard(struct gy__http_conn *conn, struct gy__http_slot *slot)
{
    (void)conn, (void)slot;
}

static void on_tell(uint64_t promise, int res, struct gy_buf *buf)
{
    (void)promise, (void)res;
    gy_buf_release(buf);
}

static const struct gy__http_calls calls = { on_request, on_admit, on_discard, on_tell };

/* ---- one run ---- */

static void flush(struct run *run)
{
    struct gy__http_out *out = &run->conn.out;

    gy__http_conn_flush(&run->conn);
    for (const struct gy_buf *buf = out->first; buf != NULL; buf = buf->next) {
        require(run->out_len + buf->len < OUT_MAX);
        memcpy(run->out + run->out_len, buf->data, buf->len);
        run->out_len += buf->len;
    }
    run->out[run->out_len] = '\0';
    gy__http_out_drop(out);
}

/* Requests answer in order of dispatch in the transcript only if each is noted in that order. */
static void answer_next(struct run *run)
{
    struct gy__http_slot *slot = gy__http_slot_find(&run->env.slots, run->tickets[run->answered]);

    require(slot != NULL && slot->state == GY__SLOT_QUEUED);
    answer(run, slot, run->answered);
}

static void give(struct run *run, const uint8_t *data, size_t len)
{
    struct gy_buf *buf = gy_buf_take(len);

    if (len > 0)
        memcpy(buf->data, data, len);
    buf->len = (uint32_t)len;
    gy__http_conn_receive(&run->conn, buf);
}

static void run_open(struct run *run, uint64_t seed)
{
    memset(run, 0, offsetof(struct run, out));
    run->env.config = (struct gy_http_config)GY_HTTP_CONFIG_INIT("");
    run->env.config.line_max = 200;
    run->env.config.head_max = 400;
    run->env.config.headers_max = 20;
    run->env.config.body_max = 1000;
    run->env.config.pipeline_max = 5;
    run->env.config.held_max = 4000;
    run->env.calls = &calls;
    run->env.slots.memory = fake_memory;
    run->env.now_ns = 1000;
    gy__http_date_set(&run->env.date, 0, UINT64_C(784111777) * 1000000000);
    run->seed = seed | 1;
    memset(&run->conn, 0xa5, sizeof(run->conn)); /* what was there before is never looked at */
    gy__http_conn_init(&run->conn, &run->env);
}

/* Answer all and let it read all. */
static void run_out(struct run *run)
{
    do {
        while (run->answered < run->requests)
            answer_next(run);
        flush(run);
    } while (run->answered < run->requests || gy__http_conn_again(&run->conn));
    require(run->conn.first == NULL && run->conn.unread == NULL);
}

/* ---- what the peer got ---- */

static const char *line(const char *head, const char *end, const char *name)
{
    const char *at = memmem(head, (size_t)(end - head), name, strlen(name));

    return at != NULL ? at + strlen(name) : NULL;
}

static void check_output(struct run *run)
{
    const char *at = run->out, *end = run->out + run->out_len;
    unsigned n = 0;

    while (at < end) {
        const char *stop = memmem(at, (size_t)(end - at), "\r\n\r\n", 4), *length;
        int status;

        require(stop != NULL && strncmp(at, "HTTP/1.1 ", 9) == 0);
        status = atoi(at + 9);
        if (status == 100) {
            at = stop + 4;
            continue;
        }
        length = line(at, stop + 2, "\r\nContent-Length: ");
        require(length != NULL && line(at, stop + 2, "\r\nDate: ") != NULL);
        if (status == 200) {
            require(n < run->requests);
            at = stop + 4;
            if (!run->head[n]) {
                require(at < end && (unsigned)atoi(at) == n);
                at += strtoul(length, NULL, 10);
            }
            n++;
            require(!run->refused);
        } else {
            require(!run->refused && line(at, stop + 2, "\r\nConnection: close") != NULL);
            run->refused = true; /* the last */
            at = end;
        }
    }
    require(at == end && n == run->requests);
}

static void run_close(struct run *run)
{
    gy__http_conn_fini(&run->conn);
    require(run->env.slots.used == 0);
    fake_memory_free();
    require(fake_bufs.out == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct run whole, pieces;
    uint64_t seed;

    if (len < sizeof(seed) || len > INPUT_MAX)
        return 0;
    memcpy(&seed, data, sizeof(seed));
    data += sizeof(seed);
    len -= sizeof(seed);
    fake_bufs_reset();

    run_open(&whole, seed);
    whole.at_once = true;
    give(&whole, data, len);
    run_out(&whole);
    check_output(&whole);
    run_close(&whole);

    run_open(&pieces, seed);
    pieces.env.memo.interval = 1;
    pieces.env.memo.entries =
        fake_memory(GY__HTTP_MEMO_ENTRIES * sizeof(struct gy__http_memo_entry));
    for (size_t at = 0; at < len;) {
        size_t piece = rnd(&pieces) % 4 == 0 ? rnd(&pieces) % 200 + 1 : rnd(&pieces) % 9 + 1;
        if (piece > len - at)
            piece = len - at;
        give(&pieces, data + at, piece);
        at += piece;
        if (rnd(&pieces) % 4 != 0)
            flush(&pieces);
        while (pieces.answered < pieces.requests && rnd(&pieces) % 3 != 0)
            answer_next(&pieces);
    }
    run_out(&pieces);
    check_output(&pieces);
    require(whole.requests == pieces.requests && whole.transcript == pieces.transcript);
    require(whole.refused == pieces.refused);
    run_close(&pieces);
    return 0;
}
