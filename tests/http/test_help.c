/* What a service says of itself: its routes, that it lives, that it is ready. */
#include "core/kernel.h"
#include "tests/http/app.h"
#include "tests/http/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world world;
static app_pid pids[2];

static int boot(unsigned shard, void *arg)
{
    int err = gy_http_listen(&((struct world *)arg)->http);

    return err < 0 ? err : app_spawn(&pids[shard], &(struct app_args){ NULL });
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

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static const char *body(struct peer_conn *c, const char *request)
{
    static char text[16384];
    const char *at;
    size_t len;

    world_text(&world, c, request);
    at = world_body(&world, c, &len);
    snprintf(text, sizeof(text), "%.*s", (int)len, at);
    return text;
}

static void test_help(void **state)
{
    struct peer_conn *c;
    const char *text;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    text = body(c, GET("/help"));
    assert_non_null(strstr(text, "GET /app/hello    (app)\n"));
    assert_non_null(strstr(text, "* /app/echo    (app)\n"));
    assert_non_null(strstr(text, "GET /app/users/:id    (app)\n"));
    assert_non_null(strstr(text, "GET /ready    (http) 200, or 503"));
    assert_null(strstr(strstr(text, "/app/hello ") + 1, "/app/hello ")); /* two shards, one line */
    text = body(c, GET("/help/app/users"));
    assert_string_equal(text, "GET /app/users/:id    (app)\nGET /app/users/:id/:what    (app)\n");
    world_text(&world, c, GET("/help/nothing") GET("/help/app/users/:id?format=json"));
    world_expect(&world, c, 404, NULL);
    world_expect(&world, c, 200,
                 "{\"routes\":[{\"route\":\"/app/users/:id\",\"methods\":[\"GET\"],\"actor\":\"app\",\"shard\":0,"
                 "\"help\":null},{\"route\":\"/app/users/:id\",\"methods\":[\"GET\"],\"actor\":\"app\",\"shard\":1,"
                 "\"help\":null},{\"route\":\"/app/users/:id/:what\",\"methods\":[\"GET\"],\"actor\":\"app\","
                 "\"shard\":0,\"help\":null},{\"route\":\"/app/users/:id/:what\",\"methods\":[\"GET\"],"
                 "\"actor\":\"app\",\"shard\":1,\"help\":null}]}");
    /* Gone with its actor. */
    fake_enter(&world.fake, 0);
    assert_int_equal(gy_actor_stop(pids[0].pid, 0), 0);
    fake_leave();
    world_settle(&world);
    world_text(&world, world_connect(&world, 0), GET("/app/hello"));
    text = body(c, GET("/help/app/users/:id/:what?format=json"));
    assert_non_null(strstr(text, "\"shard\":1"));
    assert_null(strstr(text, "\"shard\":0"));
}

static void test_ready(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    world_text(&world, c, GET("/health") GET("/ready"));
    world_expect(&world, c, 200, "ok\n");
    world_expect(&world, c, 200, "ready\n");
    fake_enter(&world.fake, 0);
    gy_http_ready(0);
    fake_leave();
    world_text(&world, c, GET("/health") GET("/ready"));
    world_expect(&world, c, 200, "ok\n");
    world_expect(&world, c, 503, "not ready\n");
    fake_enter(&world.fake, 0);
    gy_http_ready(1);
    fake_leave();
    world_text(&world, c, GET("/ready"));
    world_expect(&world, c, 200, "ready\n");
    gy__runtime_drain(world.fake.runtime, 0);
    world_settle(&world);
    world_text(&world, c, GET("/health") GET("/ready"));
    world_expect(&world, c, 200, "ok\n");
    assert_non_null(strstr(world_expect(&world, c, 503, "draining\n"), "Connection: close\r\n"));
}

static void test_no_builtins(void **state)
{
    struct peer_conn *c;

    (void)state;
    world.http.no_builtins = 1;
    world_open(&world, 1, boot);
    c = world_connect(&world, 0);
    world_text(&world, c, GET("/health") GET("/help") GET("/metrics") GET("/app/hello"));
    for (unsigned i = 0; i < 3; i++)
        world_expect(&world, c, 404, NULL);
    world_expect(&world, c, 200, NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_help), T(test_ready), T(test_no_builtins),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
