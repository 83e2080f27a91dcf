/* Which actor a request goes to, and what the client gets when none takes it or it does not answer. */
#include "core/kernel.h"
#include "http/server.h"
#include "http/shard.h"
#include "tests/http/app.h"
#include "tests/http/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world world;
static app_pid apps[8], only;

static int boot(unsigned shard, void *arg)
{
    int err = gy_http_listen(&((struct world *)arg)->http);

    if (err == 0)
        err = app_spawn(&apps[shard], &(struct app_args){ NULL });
    if (err == 0 && shard == 0)
        err = app_spawn(&only, &(struct app_args){ "/only" });
    return err;
}

static int setup(void **state)
{
    (void)state;
    world_init(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

#define REQUEST(method, path) method " " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define GET(path) REQUEST("GET", path)

static const char *ask(struct peer_conn *c, const char *text, int status)
{
    world_text(&world, c, text);
    return world_expect(&world, c, status, NULL);
}

/* ---- no handler ---- */

static void test_not_found(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    ask(c, GET("/"), 404);
    ask(c, GET("/app"), 404);
    ask(c, GET("/app/hell"), 404);
    ask(c, GET("/app/hello/../hello"), 404);
    ask(c, GET("/app/%2e%2e/app/hello"), 404);
    ask(c, GET("/app/hello/."), 404);
    ask(c, GET("/app%2Fhello"), 404);
    ask(c, GET("/app/hello"), 200);
    assert_false(c->closed);
}

static void test_method_not_allowed(void **state)
{
    struct peer_conn *c;
    const char *head;

    (void)state;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    head = ask(c, REQUEST("DELETE", "/app/hello"), 405);
    assert_non_null(strstr(head, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    ask(c, "POST /app/hello HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", 405);
    head = ask(c, REQUEST("OPTIONS", "/app/hello"), 204);
    assert_non_null(strstr(head, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    head = ask(c, REQUEST("OPTIONS", "*"), 204);
    assert_non_null(strstr(head, "GET, HEAD, POST, PUT"));
    ask(c, REQUEST("OPTIONS", "/app/echo"), 200); /* it takes every method */
    ask(c, REQUEST("OPTIONS", "/none"), 404);
    ask(c, REQUEST("PATCH", "/app/echo"), 200);
    assert_false(c->closed);
}

static void test_head(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    world_text(&world, c, REQUEST("HEAD", "/app/hello"));
    assert_non_null(memmem(c->out, c->out_len, "Content-Length: 13\r\n", 20));
    assert_memory_equal(c->out + c->out_len - 4, "\r\n\r\n", 4);
    c->out_read = c->out_len;
    world_text(&world, c, REQUEST("HEAD", "/none") REQUEST("HEAD", "/app/big"));
    assert_memory_equal(c->out + c->out_len - 4, "\r\n\r\n", 4);
    c->out_read = c->out_len;
    world_text(&world, c, GET("/app/hello"));
    world_expect(&world, c, 200, "Hello, world!");
}

static void test_rest(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        c = world_connect(&world, shard);
        world_text(&world, c, GET("/only/where") GET("/only/where/") GET("/only/where/a%20b?c=%20")
                                  GET("/%6fnly/%77here/x%2Fy") GET("http://other/only/where/z"));
        world_expect(&world, c, 200, "0 ?");
        world_expect(&world, c, 200, "0 /?");
        world_expect(&world, c, 200, "0 /a%20b?c=%20");
        world_expect(&world, c, 200, "0 /x%2Fy?");
        world_expect(&world, c, 200, "0 /z?");
    }
}

/* Parameters reach the handler wherever it lives, escapes and all. */
static void test_parameters(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        c = world_connect(&world, shard);
        world_text(&world, c, GET("/only/users/7") GET("/only/users/a%20b%2Fc+d/") GET("/%6fnly/users/x/y?z")
                                  GET("/only/tree/a/b%2f%20c") GET("/only/tree") GET("/only/users/7/8/9")
                                  GET("/only/users//") GET("/only/tree/%2e%2E/x") REQUEST("PUT", "/only/users/7"));
        world_expect(&world, c, 200, "0 /only/users/:id 7");
        world_expect(&world, c, 200, "0 /only/users/:id a b/c+d");
        world_expect(&world, c, 200, "0 /only/users/:id/:what y");
        world_expect(&world, c, 200, "0 /only/tree/*path a/b%2f c");
        world_expect(&world, c, 200, "0 /only/tree/*path ");
        for (unsigned i = 0; i < 3; i++)
            world_expect(&world, c, 404, NULL);
        assert_non_null(strstr(world_expect(&world, c, 405, NULL), "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
        /* Broken escapes are no path at all. */
        world_text(&world, c, GET("/only/users/%zz"));
        world_expect(&world, c, 400, NULL);
        c = world_connect(&world, shard);
        world_text(&world, c, GET("/only/users/%00"));
        world_expect(&world, c, 400, NULL);
    }
}

/* Longer than any route, with escapes, so that only its beginning is compared. */
static void test_long_path(void **state)
{
    struct peer_conn *c;
    char text[3000], tail[1500];

    (void)state;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    memset(tail, 'a', sizeof(tail));
    tail[sizeof(tail) - 1] = '\0';
    sprintf(text, "GET /app/users/%%41/x/%s HTTP/1.1\r\nHost: h\r\n\r\n", tail);
    ask(c, text, 404);
    sprintf(text, "GET /app/users/%%41/%s/y/z HTTP/1.1\r\nHost: h\r\n\r\n", tail);
    ask(c, text, 404);
    sprintf(text, "GET /app/tree/%%41/%s HTTP/1.1\r\nHost: h\r\n\r\n", tail);
    ask(c, text, 414); /* the handler's buffer is too small */
    sprintf(text, "GET /app/where/%%41/%s HTTP/1.1\r\nHost: h\r\n\r\n", tail);
    ask(c, text, 200);
}

/* So often that the head is known, and so where it leads. */
static void ask_again(struct peer_conn *c, const char *path, const char *body)
{
    char text[200];

    sprintf(text, REQUEST("GET", "%s"), path);
    for (unsigned i = 0; i < 20; i++) {
        world_text(&world, c, text);
        world_expect(&world, c, body != NULL ? 200 : 404, body);
    }
}

static void test_delegate(void **state)
{
    struct peer_conn *c;

    (void)state;
    world.http.delegate = "/only";
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        c = world_connect(&world, shard);
        world_text(&world, c, GET("/where/x?y") GET("/users/7") GET("/%77here/%20") GET("/app/nothing_here")
                                  GET("/") GET("/only/where/z") REQUEST("PUT", "/hello"));
        world_expect(&world, c, 200, "0 /x?y");
        world_expect(&world, c, 200, "0 /users/:id 7");
        world_expect(&world, c, 200, "0 /%20?");
        for (unsigned i = 0; i < 2; i++)
            world_expect(&world, c, 404, NULL);
        world_expect(&world, c, 200, "0 /z?");
        world_expect(&world, c, 405, NULL);
        ask_again(c, "/where/x?y", "0 /x?y");
        ask_again(c, "/users/7", "0 /users/:id 7");
        ask_again(c, "/%77here/%20", "0 /%20?");
        ask_again(c, "/only/where/z", "0 /z?");
    }
}

static void test_short_answers(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    world_text(&world, c, GET("/app/fail?n=2") GET("/app/fail?n=x") GET("/app/fail?n=11")
                              GET("/app/fail?n=110") GET("/app/fail?n=5") GET("/app/fail"));
    world_expect(&world, c, 404, "Not Found\n");
    world_expect(&world, c, 400, "Bad Request\n");
    world_expect(&world, c, 503, NULL);
    world_expect(&world, c, 504, "Gateway Timeout\n");
    world_expect(&world, c, 500, NULL);
    world_expect(&world, c, 404, NULL);
    /* More of the target than the handler's memory takes; a name that no file can have. */
    world_text(&world, c, GET("/app/users/0123456789012345678901234567890123456789012345678901234567890123")
                              GET("/app/users/012345678901234567890123456789012345678901234567890123456789012")
                                  GET("/app/fail?n=36"));
    world_expect(&world, c, 414, "URI Too Long\n");
    world_expect(&world, c, 200, NULL);
    world_expect(&world, c, 414, NULL);
    /* Of what came from elsewhere the client is not told that it was its own fault. */
    world_text(&world, c, GET("/app/fail?upstream&n=2") GET("/app/fail?upstream&n=110") GET("/app/fail?upstream&n=11")
                              GET("/app/fail?upstream&n=22") GET("/app/fail?upstream&n=111"));
    world_expect(&world, c, 502, "Bad Gateway\n");
    world_expect(&world, c, 504, "Gateway Timeout\n");
    world_expect(&world, c, 503, "Service Unavailable\n");
    world_expect(&world, c, 500, NULL);
    world_expect(&world, c, 502, NULL);
    /* Nor of what this program has done to itself, that what was asked for is not there. */
    world_text(&world, c, GET("/app/fail?internal&n=2") GET("/app/fail?internal&n=13") GET("/app/fail?internal&n=110")
                              GET("/app/fail?internal&n=11") GET("/app/fail?internal&n=22"));
    world_expect(&world, c, 500, "Internal Server Error\n");
    world_expect(&world, c, 500, NULL);
    world_expect(&world, c, 503, NULL);
    world_expect(&world, c, 503, "Service Unavailable\n");
    world_expect(&world, c, 500, NULL);
    assert_int_equal(gy_http_status(-ENOBUFS), 414);
    assert_int_equal(gy_http_status_internal(-ENOBUFS), 503);
    assert_int_equal(gy_http_status_upstream(-ENOBUFS), 503);
    assert_int_equal(gy_http_status_internal(0), 500);
    assert_int_equal(gy_http_status_upstream(-EPROTO), 502);
    assert_int_equal(gy_http_status_upstream(-ECONNRESET), 502);
    assert_int_equal(gy_http_status_upstream(-EMSGSIZE), 502);
    assert_int_equal(gy_http_status_upstream(-ECANCELED), 503);
    assert_int_equal(gy_http_status_upstream(-EOWNERDEAD), 500);
    assert_int_equal(gy_http_status_upstream(0), 500); /* that is no error */
    assert_non_null(strstr(ask(c, GET("/app/move?to=/x%3fy"), 302), "\r\nLocation: /x?y\r\n"));
    ask(c, GET("/app/move?status=308&to=http://h/"), 308);
    ask(c, GET("/app/move?status=200&to=/x"), 500);
    ask(c, GET("/app/move?to=/x%0d%0aSet-Cookie:%20a=b"), 500);
    world_text(&world, c, GET("/app/json") GET("/app/json?bad"));
    assert_non_null(strstr(world_expect(&world, c, 200, "{\"path\":\"/app/json\"}"),
                           "Content-Type: application/json\r\n"));
    world_expect(&world, c, 500, NULL);
}

/* An expectation is judged by the head alone. */
static void test_expect(void **state)
{
#define EXPECTING(path)                                                                            \
    "POST " path " HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    struct peer_conn *c;

    (void)state;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    world_text(&world, c, EXPECTING("/app/echo"));
    assert_memory_equal(c->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    c->out_read = c->out_len;
    world_text(&world, c, "abc");
    world_expect(&world, c, 200, "abc");
    ask(c, EXPECTING("/none"), 404);
    assert_true(c->half_closed);
    c = world_connect(&world, 0);
    assert_non_null(strstr(ask(c, EXPECTING("/app/hello"), 405), "Allow: GET"));
    assert_true(c->half_closed);
}

/* ---- handlers that do not answer ---- */

static void test_no_answer(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        c = world_connect(&world, shard);
        world_text(&world, c, GET("/only/nothing") GET("/only/wrong") GET("/app/hello"));
        world_expect(&world, c, 500, "The request was not answered\n");
        world_expect(&world, c, 500, "The handler's answer is not one of HTTP\n");
        world_expect(&world, c, 200, NULL);
        assert_false(c->closed);
    }
}

static void test_actor_dies(void **state)
{
    struct peer_conn *near, *far;

    (void)state;
    world_open(&world, 2, boot);
    near = world_connect(&world, 0);
    far = world_connect(&world, 1);
    world_text(&world, far, GET("/only/keep"));
    world_text(&world, near, GET("/only/die") GET("/only/hello"));
    world_expect(&world, near, 500, NULL);
    world_expect(&world, near, 500, NULL); /* was queued behind */
    world_expect(&world, far, 500, NULL);
    /* Its routes are gone everywhere: the far request asked. */
    ask(near, GET("/only/hello"), 404);
    ask(far, GET("/only/hello"), 404);
    ask(far, GET("/app/hello"), 200);
    /* Another takes its place. */
    fake_enter(&world.fake, 0);
    assert_int_equal(app_spawn(&only, &(struct app_args){ "/only" }), 0);
    fake_leave();
    world_settle(&world);
    ask(near, GET("/only/hello"), 200);
    ask(far, GET("/only/hello"), 200);
}

/* Dead, and asked for the first time from another shard. */
static void test_actor_died_unseen(void **state)
{
    struct peer_conn *far;

    (void)state;
    world_open(&world, 2, boot);
    far = world_connect(&world, 1);
    fake_enter(&world.fake, 0);
    assert_int_equal(gy_actor_stop(only.pid, 0), 0);
    fake_leave();
    world_settle(&world);
    ask(far, GET("/only/hello"), 500);
    world_settle(&world);
    ask(far, GET("/only/hello"), 404);
}

/* Where a known head led to is not where it leads when the table of routes is another. */
static void test_known_heads_follow_the_routes(void **state)
{
    struct peer_conn *c;
    app_pid near;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    for (unsigned round = 0; round < 3; round++) {
        ask_again(c, "/only/where/x?q", "0 /x?q");
        fake_enter(&world.fake, 1);
        assert_int_equal(app_spawn(&near, &(struct app_args){ "/only" }), 0);
        fake_leave();
        world_settle(&world);
        ask_again(c, "/only/where/x?q", "1 /x?q");
        fake_enter(&world.fake, 1);
        assert_int_equal(gy_actor_stop(near.pid, 0), 0);
        fake_leave();
        world_settle(&world);
        ask(c, GET("/only/hello"), 404); /* which finds that it is gone, and with it all its routes */
        ask_again(c, "/only/where/x?q", "0 /x?q");
    }
    fake_enter(&world.fake, 0);
    assert_int_equal(gy_actor_stop(only.pid, 0), 0);
    fake_leave();
    world_settle(&world);
    ask(c, GET("/only/hello"), 500);
    ask_again(c, "/only/where/x?q", NULL);
}

/* One head after another stands in the same place of what is remembered. */
static void test_known_heads_lead_each_to_its_own(void **state)
{
    char path[100], body[100];
    struct peer_conn *c[2];

    (void)state;
    world_open(&world, 1, boot);
    c[0] = world_connect(&world, 0);
    c[1] = world_connect(&world, 0);
    for (unsigned i = 0; i < 200; i++) {
        sprintf(path, "/app/%s/%u", i % 2 ? "where" : "users", i);
        if (i % 2)
            sprintf(body, "0 /%u?", i);
        else
            sprintf(body, "0 /app/users/:id %u", i);
        ask_again(c[i % 3 == 0], path, body);
    }
    ask_again(c[0], "/app/none", NULL);
}

/* More than the mailbox holds: 503 for the rest, in order, and counted. */
static void test_busy(void **state)
{
    struct peer_conn *c;
    char text[3000] = "";

    (void)state;
    world.core.mailbox = 16;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    for (unsigned i = 0; i < 40; i++)
        strcat(text, GET("/app/hello"));
    world_text(&world, c, text);
    for (unsigned i = 0; i < 40; i++)
        world_expect(&world, c, i < 16 ? 200 : 503, NULL);
    fake_enter(&world.fake, 0);
    assert_int_equal(gy__http_here()->env.stats.value[GY__HTTP_BUSY_MAILBOX], 24);
    fake_leave();
    ask(c, GET("/app/hello"), 200);
}

/* Answers that nobody has to wait for, more than a connection may have in hand: nothing but the server
 * itself makes it read on. */
static void test_many_not_found(void **state)
{
    struct peer_conn *c;
    char text[4000] = "";

    (void)state;
    world.http.pipeline_max = 3;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    for (unsigned i = 0; i < 100; i++)
        strcat(text, GET("/none"));
    world_text(&world, c, text);
    for (unsigned i = 0; i < 100; i++)
        world_expect(&world, c, 404, NULL);
    world_expect_nothing(c);
}

/* ---- order across shards ---- */

static void test_order(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    world_text(&world, c, GET("/only/keep") GET("/app/where") GET("/only/where") GET("/app/keep"));
    world_expect_nothing(c);
    fake_enter(&world.fake, 1);
    assert_int_equal(app_release(apps[1], (struct app_release_msg){ 0 }), 0);
    fake_leave();
    world_settle(&world);
    world_expect_nothing(c);
    fake_enter(&world.fake, 0);
    assert_int_equal(app_release(only, (struct app_release_msg){ 0 }), 0);
    fake_leave();
    world_settle(&world);
    world_expect(&world, c, 200, "0 late");
    world_expect(&world, c, 200, "1 ?");
    world_expect(&world, c, 200, "0 ?");
    world_expect(&world, c, 200, "1 late");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_not_found), T(test_method_not_allowed), T(test_head),
        T(test_rest),      T(test_expect),             T(test_no_answer),
        T(test_actor_dies), T(test_actor_died_unseen), T(test_busy),
        T(test_many_not_found), T(test_order), T(test_known_heads_follow_the_routes),
        T(test_known_heads_lead_each_to_its_own),
        T(test_parameters), T(test_long_path), T(test_delegate), T(test_short_answers),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
