/* WebSocket connections at their actors, near and far: handshakes, messages both ways, closing from
 * either end, peers that say nothing, read nothing or leave, and what no handshake is. */
#include "core/kernel.h"
#include "gyre/typed.h"
#include "gyre/websocket.h"
#include "http/server.h"
#include "tests/http/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the actor ---- */

struct talker_args {
    const char *route;
};
GY_ACTOR(talker);
struct talker_say_msg {
    uint32_t how; /* 0: a message, 1: close, 2: die */
};
GY_CAST(talker, say);
struct talker {
    struct gy_actor actor;
    struct gy_ws ws[8];
    bool used[8];
    unsigned messages, rooms, closes, code;
    int opened, sent;
};
static struct talker *seen[2];
static talker_pid talkers[2];
static struct gy_ws_options options;

GY_ACTOR_TYPE(talker, talker_start, talker_stop);
GY_VERB(talker, say);
GY_HTTP(talker, talker_open);
GY_HTTP(talker, talker_plain);
GY_WS(talker, talker_socket, talker_message, talker_room, talker_closed);

static int talker_start(struct talker *self, const struct talker_args *args)
{
    char route[64];
    int err;

    seen[gy_shard()] = self;
    snprintf(route, sizeof(route), "%s/ws", args->route);
    err = gy_http_route(self, route, talker_open);
    snprintf(route, sizeof(route), "%s/plain", args->route);
    return err < 0 ? err : gy_http_route(self, route, talker_plain);
}

static void talker_stop(struct talker *self, int why)
{
    (void)why;
    for (unsigned i = 0; i < 8; i++)
        if (self->used[i])
            gy_ws_drop(&self->ws[i]);
}

static void talker_open(struct talker *self, const struct gy_http_req *req, gy_http_promise reply)
{
    unsigned i = 0;

    while (self->used[i])
        i++;
    self->opened = gy_ws_open(&self->ws[i], &self->actor, req, reply, &options);
    self->used[i] = self->opened == 0;
}

static void talker_plain(struct talker *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self, (void)req;
    gy_http_replyf(reply, 200, "plain");
}

/* "close" closes; "many" sends until it is refused; all else comes back. */
static void talker_message(struct talker *self, struct gy_ws *ws, enum gy_ws_type type, const void *data, size_t len)
{
    self->messages++;
    if (len == 5 && memcmp(data, "close", 5) == 0)
        gy_ws_close(ws, 1000, "asked");
    else if (len == 4 && memcmp(data, "many", 4) == 0)
        while ((self->sent = gy_ws_send(ws, GY_WS_BINARY, "0123456789", 10)) == 0)
            ;
    else
        self->sent = gy_ws_send(ws, type, data, len);
}

static void talker_room(struct talker *self, struct gy_ws *ws)
{
    (void)ws;
    self->rooms++;
}

static void talker_closed(struct talker *self, struct gy_ws *ws, unsigned code)
{
    size_t i = (size_t)(ws - self->ws);

    assert_true(self->used[i]); /* once */
    self->used[i] = false;
    self->closes++;
    self->code = code;
    memset(ws, 0xAA, sizeof(*ws)); /* it is ours again */
}

void talker_on_say(struct talker *self, const struct talker_say_msg *msg)
{
    if (msg->how == 2)
        gy_fail(&self->actor, -EIO);
    else if (msg->how == 1)
        gy_ws_close(&self->ws[0], 1001, NULL);
    else
        self->sent = gy_ws_send(&self->ws[0], GY_WS_TEXT, "news", 4);
}

/* ---- the world ---- */

static struct world world;
static const char *const where[2] = { "/far", "/near" };

static int boot(unsigned shard, void *arg)
{
    int err = gy_http_listen(&((struct world *)arg)->http);

    return err < 0 ? err : talker_spawn(&talkers[shard], &(struct talker_args){ where[shard] });
}

static int setup(void **state)
{
    (void)state;
    world_init(&world);
    options = (struct gy_ws_options)GY_WS_OPTIONS_INIT(&talker_socket);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

#define HANDSHAKE                                                                                  \
    "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"          \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static const char *shake(struct peer_conn *c, unsigned shard, const char *headers, int status)
{
    char text[1024];

    snprintf(text, sizeof(text), "GET %s/ws HTTP/1.1\r\nHost: h\r\n%s\r\n", where[shard], headers);
    world_text(&world, c, text);
    return world_expect(&world, c, status, NULL);
}

static size_t frame(uint8_t *out, unsigned first, const char *payload, size_t len)
{
    out[0] = (uint8_t)first;
    out[1] = (uint8_t)(0x80 | len);
    memcpy(out + 2, "mask", 4);
    for (size_t i = 0; i < len; i++)
        out[6 + i] = (uint8_t)payload[i] ^ (uint8_t)"mask"[i & 3];
    return 6 + len;
}

static void say(struct peer_conn *c, unsigned first, const char *payload)
{
    uint8_t bytes[256];

    assert_true(world_give(&world, c, bytes, frame(bytes, first, payload, strlen(payload))));
    world_settle(&world);
}

static void hears(struct peer_conn *c, const char *bytes, size_t len)
{
    if (c->out_len - c->out_read < len || memcmp(c->out + c->out_read, bytes, len) != 0)
        fail_msg("%zu bytes came, not those", c->out_len - c->out_read);
    c->out_read += len;
}
#define HEARS(c, text) hears(c, text, sizeof(text) - 1)

static void tell(unsigned shard, uint32_t how)
{
    fake_enter(&world.fake, shard);
    assert_int_equal(talker_say(talkers[shard], (struct talker_say_msg){ how }), 0);
    fake_leave();
    world_settle(&world);
}

static void test_talk(void **state)
{
    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        struct peer_conn *c = world_connect(&world, 1);
        const char *head = shake(c, shard, HANDSHAKE, 101);
        assert_non_null(strstr(head, "HTTP/1.1 101 Switching Protocols\r\n"));
        assert_non_null(strstr(head, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert_non_null(strstr(head, "\r\nConnection: Upgrade\r\n"));
        assert_null(strstr(head, "Content-Length"));
        assert_null(strstr(head, "Sec-WebSocket-Protocol"));
        say(c, 0x81, "hello");
        HEARS(c, "\x81\x05hello");
        say(c, 0x89, "are you there");
        HEARS(c, "\x8a\x0d" "are you there");
        say(c, 0x01, "he");
        say(c, 0x80, "llo");
        HEARS(c, "\x81\x05hello");
        tell(shard, 0);
        HEARS(c, "\x81\x04news");
        assert_int_equal(seen[shard]->messages, 2);
        /* The peer closes. */
        say(c, 0x88, "\x03\xe8" "bye");
        HEARS(c, "\x88\x02\x03\xe8");
        assert_int_equal(seen[shard]->closes, 1);
        assert_int_equal(seen[shard]->code, 1000);
        world_expect_nothing(c);
        assert_true(c->half_closed);
        world_fin(&world, c);
        assert_true(c->closed);
    }
}

/* Bytes of the new protocol that come with the request, and a request in front of it. */
static void test_early_bytes(void **state)
{
    char text[1024];
    struct peer_conn *c;
    size_t len;

    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        c = world_connect(&world, 1);
        len = (size_t)snprintf(text, sizeof(text), "GET %s/plain HTTP/1.1\r\nHost: h\r\n\r\n"
                               "GET %s/ws HTTP/1.1\r\nHost: h\r\n" HANDSHAKE "\r\n", where[shard], where[shard]);
        len += frame((uint8_t *)text + len, 0x81, "hello", 5);
        assert_true(world_give(&world, c, text, len));
        world_settle(&world);
        world_expect(&world, c, 200, "plain");
        world_expect(&world, c, 101, NULL);
        HEARS(c, "\x81\x05hello");
    }
}

static void test_we_close(void **state)
{
    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        struct peer_conn *c = world_connect(&world, 1);
        shake(c, shard, HANDSHAKE, 101);
        say(c, 0x81, "close");
        HEARS(c, "\x88\x07\x03\xe8" "asked");
        say(c, 0x81, "too late"); /* not handled, nor answered */
        assert_int_equal(seen[shard]->messages, 1);
        assert_int_equal(seen[shard]->closes, 0);
        say(c, 0x88, "\x03\xe8");
        assert_int_equal(seen[shard]->closes, 1);
        assert_true(c->half_closed);
        /* From outside a handler of its own, and a peer that never answers. */
        c = world_connect(&world, 1);
        shake(c, shard, HANDSHAKE, 101);
        tell(shard, 1);
        HEARS(c, "\x88\x02\x03\xe9");
        tell(shard, 0);
        assert_int_equal(seen[shard]->sent, -EPIPE);
        assert_int_equal(seen[shard]->closes, 1);
        for (unsigned i = 0; i < 60; i++)
            world_advance(&world, 100 * GY_MS);
        assert_int_equal(seen[shard]->closes, 2);
        assert_int_equal(seen[shard]->code, 1006);
        assert_true(c->closed);
    }
}

static void test_mistakes(void **state)
{
    static const struct {
        unsigned first;
        const char *payload;
        unsigned code;
    } cases[] = { { 0x83, "", 1002 }, { 0x81, "\xff", 1007 }, { 0x80, "x", 1002 }, { 0x88, "\x03", 1002 },
                  { 0x88, "\x03\xed", 1002 }, { 0x88, "\x03\xe8\xff", 1007 }, { 0x82, "more than ten bytes", 1009 } };

    (void)state;
    options.message_max = 10;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++)
        for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct peer_conn *c = world_connect(&world, 1);
            const char close[4] = { (char)0x88, 2, (char)(cases[i].code >> 8), (char)cases[i].code };
            shake(c, shard, HANDSHAKE, 101);
            say(c, cases[i].first, cases[i].payload);
            hears(c, close, 4);
            world_expect_nothing(c);
            assert_int_equal(seen[shard]->closes, i + 1);
            assert_int_equal(seen[shard]->code, cases[i].code);
            assert_true(c->half_closed);
        }
}

static void test_peer_leaves(void **state)
{
    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        struct peer_conn *c = world_connect(&world, 1);
        shake(c, shard, HANDSHAKE, 101);
        world_reset(&world, c);
        assert_int_equal(seen[shard]->closes, 1);
        assert_int_equal(seen[shard]->code, 1006);
        c = world_connect(&world, 1);
        shake(c, shard, HANDSHAKE, 101);
        world_fin(&world, c); /* without a word */
        assert_int_equal(seen[shard]->closes, 2);
        assert_int_equal(seen[shard]->code, 1006);
        assert_true(c->closed);
        /* The actor leaves. */
        c = world_connect(&world, 1);
        shake(c, shard, HANDSHAKE, 101);
        say(c, 0x01, "half a message"); /* which holds a buffer */
        tell(shard, 2);
        assert_true(c->closed);
    }
}

static void test_silence(void **state)
{
    struct peer_conn *c;

    (void)state;
    options.ping_ns = 10 * GY_S;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    shake(c, 0, HANDSHAKE, 101);
    for (unsigned round = 0; round < 3; round++) {
        size_t before = c->out_len;
        for (unsigned i = 0; i < 40 && c->out_len == before; i++)
            world_advance(&world, 1 * GY_S);
        HEARS(c, "\x89\x00");
        say(c, 0x8a, "");
    }
    for (unsigned i = 0; i < 45; i++)
        world_advance(&world, 1 * GY_S);
    assert_int_equal(seen[0]->closes, 1);
    assert_int_equal(seen[0]->code, 1006);
    assert_true(c->closed);
}

/* A client that does not read: the queue is bounded, and room is told. */
static void test_slow_reader(void **state)
{
    struct peer_conn *c;

    (void)state;
    world.http.stream_window = 1000;
    options.queue_max = 5000;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        c = world_connect(&world, 1);
        shake(c, shard, HANDSHAKE, 101);
        c->stuck = true;
        for (unsigned i = 0; i < 200 && (i < 2 || gy_ws_queued(&seen[shard]->ws[0]) < 4900); i++)
            say(c, 0x81, "many");
        assert_int_equal(seen[shard]->sent, -EAGAIN);
        assert_true(gy_ws_queued(&seen[shard]->ws[0]) <= 5000);
        c->stuck = false;
        world_settle(&world);
        assert_true(seen[shard]->rooms > 0);
        assert_int_equal(gy_ws_queued(&seen[shard]->ws[0]), 0);
        for (const char *at = c->out + c->out_read; at < c->out + c->out_len; at += 12)
            assert_memory_equal(at, "\x82\x0a" "0123456789", 12);
        world_reset(&world, c);
        assert_int_equal(seen[shard]->closes, 1);
    }
}

static void test_no_handshake(void **state)
{
    static const char *const origins[] = { "http://good", NULL };
    struct peer_conn *c;
    const char *head;

    (void)state;
    options.protocol = "chat";
    options.origins = origins;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    head = shake(c, 1, "", 426);
    assert_non_null(strstr(head, "\r\nSec-WebSocket-Version: 13\r\n"));
    assert_non_null(strstr(head, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"));
    shake(c, 1, "Upgrade: websocket\r\nConnection: close, Upgrade\r\nSec-WebSocket-Version: 8\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 426);
    c = world_connect(&world, 1);
    shake(c, 1, "Upgrade: h2c\r\nConnection: Upgrade\r\n", 426);
    /* A broken handshake is no question of versions. */
    shake(c, 1, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", 400);
    shake(c, 1, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: c2hvcnQ=\r\n", 400);
    shake(c, 1, HANDSHAKE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400);
    shake(c, 1, HANDSHAKE "Sec-WebSocket-Version: 13\r\n", 426);
    world_text(&world, c, "GET /near/ws HTTP/1.1\r\nHost: h\r\n" HANDSHAKE "Content-Length: 3\r\n\r\nabc");
    world_expect(&world, c, 400, NULL);
    world_text(&world, c, "GET /near/ws HTTP/1.1\r\nHost: h\r\n" HANDSHAKE "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    world_expect(&world, c, 400, NULL);
    shake(c, 1, HANDSHAKE "Origin: http://evil\r\nContent-Length: 00\r\n", 403);
    shake(c, 1, HANDSHAKE "Origin: http://evil\r\n", 403);
    /* Nothing is left of that: the connection goes on, also where nobody upgrades. */
    world_text(&world, c, "GET /near/plain HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
                          "GET /near/plain HTTP/1.1\r\nHost: h\r\n\r\n");
    world_expect(&world, c, 200, "plain");
    world_expect(&world, c, 200, "plain");
    assert_non_null(strstr(shake(c, 1, HANDSHAKE "Origin: http://good\r\nSec-WebSocket-Protocol: x, chat\r\n", 101),
                           "\r\nSec-WebSocket-Protocol: chat\r\n"));
    c = world_connect(&world, 1);
    assert_null(strstr(shake(c, 1, HANDSHAKE "Sec-WebSocket-Protocol: chatter\r\n", 101), "Sec-WebSocket-Protocol"));
}

static void test_drain(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    shake(c, 1, HANDSHAKE, 101);
    gy__runtime_drain(world.fake.runtime, 1);
    world_settle(&world);
    HEARS(c, "\x88\x02\x03\xe9");
    say(c, 0x88, "\x03\xe9");
    world_fin(&world, c);
    assert_true(c->closed);
    assert_int_equal(seen[1]->closes, 1);
}

/* One that is opened while the runtime drains is closed at once. */
static void test_opened_in_drain(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    gy__runtime_drain(world.fake.runtime, 1);
    world_settle(&world);
    shake(c, 1, HANDSHAKE, 101);
    HEARS(c, "\x88\x02\x03\xe9");
    say(c, 0x88, "\x03\xe9");
    world_fin(&world, c);
    assert_true(c->closed);
    assert_int_equal(seen[1]->closes, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_talk),       T(test_early_bytes), T(test_we_close),    T(test_mistakes), T(test_peer_leaves),
        T(test_silence),    T(test_slow_reader), T(test_no_handshake), T(test_drain), T(test_opened_in_drain),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
