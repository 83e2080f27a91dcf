/* Routes that are registered on one shard are known on all. */
#include "core/kernel.h"
#include "http/method.h"
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
static app_pid apps[8];

static int boot(unsigned shard, void *arg)
{
    int err = gy_http_listen(&((struct world *)arg)->http);

    return err < 0 ? err : app_spawn(&apps[shard], &(struct app_args){ NULL });
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

/* The shard of the actor that a shard would send GET path to, -1: none. */
static int target_of(unsigned shard, const char *path)
{
    struct gy__http_match match = { .cut = false };

    fake_enter(&world.fake, shard);
    gy__http_route_find(&gy__http_here()->routes, path, strlen(path), HTTP_GET, shard, &match);
    fake_leave();
    return match.target != NULL ? (int)gy_pid_shard(match.target->pid) : -1;
}

static int route(unsigned shard, const char *text)
{
    struct gy_actor *actor =
        gy__actor_find(world.fake.shard[shard].shard, apps[shard].pid.bits);
    static const struct gy_verb verb = { "x", NULL, NULL, 24, GY_VERB_CALL | GY_VERB_BUF };
    int err;

    fake_enter(&world.fake, shard);
    err = gy_http_route_raw(actor, text, &verb);
    fake_leave();
    return err;
}

static void test_everywhere(void **state)
{
    (void)state;
    world_open(&world, 4, boot);
    for (unsigned shard = 0; shard < 4; shard++)
        assert_int_equal(target_of(shard, "/app/hello"), shard);
    assert_int_equal(route(2, "GET /two"), 0);
    assert_int_equal(target_of(2, "/two"), 2); /* at once where it was registered */
    world_settle(&world);
    for (unsigned shard = 0; shard < 4; shard++)
        assert_int_equal(target_of(shard, "/two"), 2);
    assert_int_equal(route(1, "GET /two"), 0); /* another shard's own */
    world_settle(&world);
    assert_int_equal(target_of(0, "/two"), 1);
    assert_int_equal(target_of(1, "/two"), 1);
    assert_int_equal(target_of(2, "/two"), 2);
    assert_int_equal(target_of(3, "/two"), 1);
}

static void test_errors(void **state)
{
    (void)state;
    world_open(&world, 1, boot);
    assert_int_equal(route(0, "two"), -EINVAL);
    assert_true(fake_logged(&world.fake, "http: route \"two\" is none: "));
    assert_int_equal(route(0, "get /two"), -EINVAL); /* a line a second at most */
    assert_false(fake_logged(&world.fake, "\"get /two\""));
    assert_int_equal(route(0, "GET /two"), 0);
    assert_int_equal(route(0, "GET /two"), -EEXIST);
    fake_advance(&world.fake, GY_S);
    assert_int_equal(route(0, "/two"), -EEXIST);
    assert_true(fake_logged(&world.fake, "http: route \"/two\" is taken on this shard"));
    assert_int_equal(route(0, "POST /two"), 0);
    assert_int_equal(route(0, "GET /metrics"), -EEXIST);
}

/* A route whose actor is dead is free again, and the others forget the dead one. */
static void test_dead_rival(void **state)
{
    app_pid first, second;

    (void)state;
    world_open(&world, 2, boot);
    fake_enter(&world.fake, 0);
    assert_int_equal(app_spawn(&first, &(struct app_args){ "/a" }), 0);
    assert_int_equal(app_spawn(&second, &(struct app_args){ "/a" }), -EEXIST);
    assert_int_equal(gy_actor_stop(first.pid, 0), 0);
    fake_leave();
    world_settle(&world);
    fake_enter(&world.fake, 0);
    assert_int_equal(app_spawn(&second, &(struct app_args){ "/a" }), 0);
    fake_leave();
    world_settle(&world);
    for (unsigned shard = 0; shard < 2; shard++) {
        struct gy__http_match match = { .cut = false };
        fake_enter(&world.fake, shard);
        gy__http_route_find(&gy__http_here()->routes, "/a/hello", 8, HTTP_GET, shard, &match);
        fake_leave();
        assert_non_null(match.target);
        assert_int_equal(match.target->pid.bits, second.pid.bits);
    }
}

/* An actor that fails to start leaves no routes. */
static void test_failed_start(void **state)
{
    app_pid pid;

    (void)state;
    world_open(&world, 1, boot);
    assert_int_equal(route(0, "GET /b/echo"), 0);
    fake_enter(&world.fake, 0);
    assert_int_equal(app_spawn(&pid, &(struct app_args){ "/b" }), -EEXIST); /* at its second route */
    fake_leave();
    assert_int_equal(target_of(0, "/b/echo"), 0);
    struct peer_conn *c = world_connect(&world, 0);
    world_text(&world, c, "GET /b/hello HTTP/1.1\r\nHost: h\r\n\r\n");
    world_expect(&world, c, 404, NULL);
}

/* More news than fit between two shards: they are told when there is room. */
static void test_full_ring(void **state)
{
    enum { ROUTES = 3000 };
    char text[64];

    (void)state;
    world.core.ring_cells = 64;
    world_open(&world, 2, boot);
    for (unsigned i = 0; i < ROUTES; i++) {
        sprintf(text, "GET /many/%u", i);
        assert_int_equal(route(0, text), 0);
    }
    assert_int_equal(target_of(1, "/many/2999"), -1);
    world_settle(&world);
    for (unsigned i = 0; i < ROUTES; i++) {
        sprintf(text, "/many/%u", i);
        assert_int_equal(target_of(1, text), 0);
    }
}

/* A shard that does not listen may have routes. */
static int boot_first_listens(unsigned shard, void *arg)
{
    if (shard == 0) {
        int err = gy_http_listen(&((struct world *)arg)->http);
        if (err < 0)
            return err;
    }
    return app_spawn(&apps[shard], &(struct app_args){ shard == 0 ? "/zero" : "/one" });
}

static void test_not_listening(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot_first_listens);
    c = world_connect(&world, 0);
    world_text(&world, c, "GET /one/where HTTP/1.1\r\nHost: h\r\n\r\n");
    world_expect(&world, c, 200, "1 ?");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_everywhere),   T(test_errors),    T(test_dead_rival),
        T(test_failed_start), T(test_full_ring), T(test_not_listening),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
