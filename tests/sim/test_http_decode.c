/* Answers in the codings gzip and deflate, whole, from servers that send it well, badly and too much of it. In
 * pieces: test_http_transfer.c. */
#include "gyre/http_content.h"
#include "tests/sim/asker.h"
#include "tests/sim/gz.h"
#include "tests/sim/scripted.h"
#include "tests/sim/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gy_sim_config config;
static struct gy_sim *sim;
static struct gy_http_ask order;

static void open_world(uint64_t seed)
{
    world_config(&config, seed);
    asker_reset();
    assert_int_equal(gy_sim_open(&sim, &config, scripted_boot, NULL), 0);
    assert_int_equal(gy_sim_add_host(sim, NULL, 1, asker_boot, NULL), 1);
}

static void close_world(void)
{
    gy_sim_advance(sim, 60 * GY_S);
    gy_sim_settle(sim);
    assert_int_equal(scripted.open, 0);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

static int run_order(unsigned shard, void *arg)
{
    (void)arg;
    return asker_ask(shard, &order);
}

static struct asker_call *ask(void)
{
    int call = gy_sim_run_on(sim, 1, run_order, NULL);

    assert_true(call >= 0);
    gy_sim_advance(sim, 5 * GY_S);
    gy_sim_settle(sim);
    return &asker_calls[call];
}

static char plain[1 << 20], coded[1 << 20], answer[(1 << 20) + 4096];
static size_t coded_len;

static int setup(void **state)
{
    (void)state;
    scripted_reset();
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (char)('a' + i * i / 11 % 26);
    order = (struct gy_http_ask)GY_HTTP_ASK_INIT("GET", "http://10.0.1.1:81/");
    order.gzip = 1;
    return 0;
}

static void script(const char *head, const char *body, size_t len, enum scripted_then then)
{
    struct scripted_line *line = &scripted.lines[scripted.line_count++];
    static size_t used;
    size_t head_len = strlen(head);

    used = scripted.line_count == 1 ? 0 : used;
    memcpy(answer + used, head, head_len);
    memcpy(answer + used + head_len, body, len);
    *line = (struct scripted_line){.answer = answer + used, .len = head_len + len, .then = then};
    used += head_len + len;
}

static void with_length(const char *coding, const char *body, size_t len)
{
    char head[256];

    snprintf(
        head, sizeof(head),
        "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nX-Server: a\r\ncontent-length: %zu\r\n\r\n",
        coding, len);
    script(head, body, len, SCRIPTED_STAYS);
}

/* ---- */

static void a_coded_answer_is_decoded(void **state)
{
    static const size_t sizes[] = {1, 100, 3000, 5000, 200000};

    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        struct asker_call *call;
        size_t len = sizes[i % 5];

        scripted_reset();
        coded_len = gz(plain, len, coded, sizeof(coded));
        with_length(i % 2 == 0 ? "gzip" : "X-GZip", coded, coded_len);
        scripted.lines[0].piece = i / 5 == 0 ? 0 : i / 5 * 37;
        scripted.lines[0].every_ns = GY_US;
        open_world(1 + i);
        call = ask();
        assert_int_equal(call->res, 200);
        assert_int_equal(call->body_len, len);
        assert_true(call->body_hash == asker_hash(plain, len));
        assert_string_equal(call->server, "a");
        assert_true(call->head_len == strlen("X-Server: a\r\n"));
        assert_string_equal(scripted.asked[0], "GET / HTTP/1.1\r\nHost: 10.0.1.1:81\r\n"
                                               "Accept-Encoding: gzip\r\n\r\n");
        (void)ask();
        assert_int_equal(scripted.connections, 1); /* it is used again */
        close_world();
    }
}

/* Of several members, some empty, and in the coding of zlib. */
static void members_and_deflate(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        bool members = i % 2 == 0, behind = i % 3 == 2;
        struct asker_call *call;

        scripted_reset();
        if (members) {
            coded_len = gz(plain, 4000, coded, sizeof(coded));
            coded_len += gz(plain, 0, coded + coded_len, sizeof(coded) - coded_len);
            coded_len += gz(plain + 4000, 6000, coded + coded_len, sizeof(coded) - coded_len);
        } else {
            coded_len = deflated(plain, 10000, coded, sizeof(coded));
        }
        coded[coded_len] = 0;
        with_length(members ? "gzip" : "deflate", coded, coded_len + behind);
        scripted.lines[0].piece = i < 6 ? 0 : 11 * i;
        scripted.lines[0].every_ns = GY_US;
        order.body_max = i % 3 == 1 ? 9999 : 10000;
        open_world(200 + i);
        call = ask();
        assert_int_equal(call->res, behind ? -EPROTO : i % 3 == 1 ? -EMSGSIZE : 200);
        if (call->res == 200) {
            assert_int_equal(call->body_len, 10000);
            assert_true(call->body_hash == asker_hash(plain, 10000));
            assert_true(call->head_len == strlen("X-Server: a\r\n"));
        }
        close_world();
    }
}

static void chunks_and_until_the_end(void **state)
{
    char body[4096];
    size_t len = 0;

    (void)state;
    coded_len = gz(plain, 1000, coded, sizeof(coded));
    for (size_t at = 0; at < coded_len; at += 7) {
        size_t n = coded_len - at < 7 ? coded_len - at : 7;

        len += (size_t)snprintf(body + len, sizeof(body) - len, "%zx\r\n", n);
        memcpy(body + len, coded + at, n);
        memcpy(body + len + n, "\r\n", 2);
        len += n + 2;
    }
    memcpy(body + len, "0\r\n\r\n", 5);
    script("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n", body,
           len + 5, SCRIPTED_STAYS);
    script("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", coded, coded_len, SCRIPTED_CLOSES);
    open_world(40);
    for (unsigned i = 0; i < 2; i++) {
        struct asker_call *call = ask();

        assert_int_equal(call->res, 200);
        assert_true(call->body_hash == asker_hash(plain, 1000));
    }
    close_world();
}

/* What nobody asked for, what is no gzip by its name, parts, and what has no body. */
static void what_is_left_as_it_is(void **state)
{
    static const struct {
        const char *method, *head;
        bool body, gzip;
    } cases[] = {
        {"GET", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", true,
         false},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: %zu\r\n\r\n", true,
         true},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip, br\r\nContent-Length: %zu\r\n\r\n",
         true, true},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: %zu\r\n\r\n",
         true, true},
        {"GET", "HTTP/1.1 206 Part\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", true,
         true},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", false,
         true},
        {"GET", "HTTP/1.1 304 Not\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", false,
         true},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", false,
         true},
    };

    (void)state;
    coded_len = gz(plain, 300, coded, sizeof(coded));
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char head[256];
        struct asker_call *call;

        scripted_reset();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(head, sizeof(head), cases[i].head, coded_len);
#pragma GCC diagnostic pop
        script(head, coded, cases[i].body ? coded_len : 0, SCRIPTED_STAYS);
        open_world(50 + i);
        order.method = cases[i].method;
        order.gzip = cases[i].gzip;
        call = ask();
        assert_int_equal(call->body_len, cases[i].body ? coded_len : 0);
        assert_true(call->body_hash == asker_hash(coded, call->body_len));
        assert_true(call->head_len == strlen(strstr(head, "\r\n") + 2) - 2);
        assert_int_equal(strstr(scripted.asked[0], "Accept-Encoding") != NULL, cases[i].gzip);
        close_world();
    }
}

static void what_is_no_gzip_is_no_answer(void **state)
{
    (void)state;
    coded_len = gz(plain, 3000, coded, sizeof(coded));
    for (size_t cut = 1; cut < coded_len; cut += cut < 30 || cut > coded_len - 30 ? 1 : 50) {
        struct asker_call *call;

        scripted_reset();
        with_length("gzip", coded, cut); /* its length is right; its end is not there */
        open_world(100 + cut);
        call = ask();
        assert_int_equal(call->res, -EPROTO);
        close_world();
    }
    scripted_reset();
    with_length("gzip", plain, 100);
    open_world(60);
    assert_int_equal(ask()->res, -EPROTO);
    close_world();
}

/* A megabyte of one letter is a kilobyte. The limit is for what it becomes, to the byte. */
static void bombs(void **state)
{
    (void)state;
    memset(plain, 'x', sizeof(plain));
    coded_len = gz(plain, sizeof(plain), coded, sizeof(coded));
    assert_true(coded_len < 2000);
    for (unsigned i = 0; i < 3; i++) {
        scripted_reset();
        with_length("gzip", coded, coded_len);
        open_world(70 + i);
        order.body_max = i == 0 ? 4096 : i == 1 ? sizeof(plain) - 1 : sizeof(plain);
        assert_int_equal(ask()->res, i < 2 ? -EMSGSIZE : 200);
        close_world();
    }
    /* And what grows by being coded is not held to it. */
    for (uint64_t i = 0, random = 88172645463325252; i < 500; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        plain[i] = (char)(random >> 32);
    }
    coded_len = gz(plain, 500, coded, sizeof(coded));
    assert_true(coded_len > 500);
    scripted_reset();
    with_length("gzip", coded, coded_len);
    open_world(75);
    order.body_max = 500;
    assert_int_equal(ask()->res, 200);
    close_world();
}

static void behind_a_redirect(void **state)
{
    struct asker_call *call;

    (void)state;
    coded_len = gz(plain, 3000, coded, sizeof(coded));
    script("HTTP/1.1 302 Go\r\nLocation: /x\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\n",
           "rubbish", 7, SCRIPTED_STAYS); /* which nobody reads */
    with_length("gzip", coded, coded_len);
    open_world(80);
    order.redirects_max = 1;
    call = ask();
    assert_int_equal(call->res, 200);
    assert_true(call->body_hash == asker_hash(plain, 3000));
    assert_string_equal(scripted.asked[1], "GET /x HTTP/1.1\r\nHost: 10.0.1.1:81\r\n"
                                           "Accept-Encoding: gzip\r\n\r\n");
    close_world();
}

/* Who asks for gzip does not say so in another way too. */
static void it_is_the_clients_line(void **state)
{
    static const struct gy_http_field field = {"accept-encoding", "br"};

    (void)state;
    open_world(81);
    order.fields = &field;
    order.field_count = 1;
    assert_int_equal(ask()->res, -EINVAL);
    close_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_coded_answer_is_decoded, setup),
        cmocka_unit_test_setup(members_and_deflate, setup),
        cmocka_unit_test_setup(chunks_and_until_the_end, setup),
        cmocka_unit_test_setup(what_is_left_as_it_is, setup),
        cmocka_unit_test_setup(what_is_no_gzip_is_no_answer, setup),
        cmocka_unit_test_setup(bombs, setup),
        cmocka_unit_test_setup(behind_a_redirect, setup),
        cmocka_unit_test_setup(it_is_the_clients_line, setup),
    };

    if (!gy_http_has_gzip()) {
        puts("skipped: gyre was built without zlib");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
