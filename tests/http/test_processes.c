/* GET /__processes__: all actors, and the shards that do not say. */
#include "core/kernel.h"
#include "gyre/name.h"
#include "tests/http/app.h"
#include "tests/http/world.h"

#include <stdarg.h>
#include <cmocka.h>

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

#define ASK "GET /__processes__ HTTP/1.1\r\nHost: h\r\n\r\n"

static void test_list(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    world_text(&world, c, ASK);
    /* The shard that was asked says so first. */
    assert_non_null(strstr(
        world_expect(&world, c, 200,
                     "[{\"id\":\"http(1.256.1)\",\"type\":\"http\",\"shard\":1,\"mailbox\":0},\n"
                     "{\"id\":\"app(1.1024.1)\",\"type\":\"app\",\"shard\":1,\"mailbox\":0},\n"
                     "{\"id\":\"http(0.256.1)\",\"type\":\"http\",\"shard\":0,\"mailbox\":0},\n"
                     "{\"id\":\"app(0.1024.1)\",\"type\":\"app\",\"shard\":0,\"mailbox\":0}]\n"),
        "application/json"));
}

static void test_mailbox(void **state)
{
    struct peer_conn *c;
    const char *body;
    size_t len;

    (void)state;
    world_open(&world, 1, boot);
    fake_enter(&world.fake, 0);
    gy_hold(gy__actor_find(world.fake.shard[0].shard, apps[0].pid.bits));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(app_release(apps[0], (struct app_release_msg){ 0 }), 0);
    fake_leave();
    c = world_connect(&world, 0);
    world_text(&world, c, ASK);
    body = world_body(&world, c, &len);
    assert_non_null(memmem(body, len, "\"type\":\"app\",\"shard\":0,\"mailbox\":3}", 35));
}

static void test_name(void **state)
{
    struct peer_conn *c;
    const char *body;
    size_t len;

    (void)state;
    world_open(&world, 1, boot);
    fake_enter(&world.fake, 0);
    struct gy_shard *shard = world.fake.shard[0].shard;
    struct gy_actor *actor = gy__actor_find(shard, apps[0].pid.bits);
    struct gy__context saved = gy__actor_enter(shard, actor);
    gy_forget(gy_register(actor, "the \"app\""));
    gy__actor_leave(shard, saved);
    fake_leave();
    c = world_connect(&world, 0);
    world_text(&world, c, ASK);
    body = world_body(&world, c, &len);
    assert_non_null(memmem(body, len, "{\"id\":\"the \\\"app\\\"\",\"type\":\"app\",", 33));
}

/* The second shard takes no turns: the answer comes without it, and says so. */
static void test_stuck_shard(void **state)
{
    struct peer_conn *c;
    const char *body;
    size_t len;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 0);
    assert_true(world_give(&world, c, ASK, strlen(ASK)));
    for (unsigned i = 0; i < 20; i++) {
        fake_turn(&world.fake, 0);
        world.fake.now_ns += 100 * GY_MS;
    }
    fake_turn(&world.fake, 0);
    fake_turn(&world.fake, 0);
    struct gy_op *op = fake_op_of(&world.fake, 0, GY_OP_SEND, c->handle);
    assert_non_null(op);
    world_settle(&world); /* it wakes up; its late answer is dropped */
    body = world_body(&world, c, &len);
    assert_non_null(memmem(body, len, "{\"shard\":1,\"error\":\"no answer in time\"}", 39));
    assert_non_null(memmem(body, len, "\"type\":\"app\",\"shard\":0", 22));
    world_text(&world, c, ASK);
    body = world_body(&world, c, &len);
    assert_null(memmem(body, len, "error", 5));
}

static int boot_first(unsigned shard, void *arg)
{
    return shard == 0 ? boot(shard, arg) : 0;
}

static void test_shard_without_server(void **state)
{
    struct peer_conn *c;
    const char *body;
    size_t len;

    (void)state;
    world_open(&world, 2, boot_first);
    c = world_connect(&world, 0);
    world_text(&world, c, ASK);
    body = world_body(&world, c, &len);
    assert_non_null(memmem(body, len, "{\"shard\":1,\"error\":\"no answer\"}]\n", 33));
}

/* A few at once; the rest is told to come again. And stopping in the middle leaks nothing. */
static void test_many_at_once(void **state)
{
    struct peer_conn *c;
    char text[1000] = "";
    unsigned busy = 0;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 0);
    for (unsigned i = 0; i < 6; i++)
        strcat(text, ASK);
    world_text(&world, c, text);
    for (unsigned i = 0; i < 6; i++) {
        bool refused = memcmp(c->out + c->out_read, "HTTP/1.1 503", 12) == 0;
        busy += refused;
        world_expect(&world, c, refused ? 503 : 200, NULL);
    }
    assert_int_equal(busy, 2);
    assert_true(world_give(&world, c, ASK ASK, strlen(ASK ASK)));
    fake_turn(&world.fake, 0);
    fake_turn(&world.fake, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_list),        T(test_mailbox),
        T(test_name),
        T(test_stuck_shard), T(test_shard_without_server),
        T(test_many_at_once),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
