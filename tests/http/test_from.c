/* Whom requests are from, at handlers of the accepting shard and of another, in realms and
 * authorisations; what it costs those who do not ask; through proxies; when it is too late. */
#include "core/kernel.h"
#include "gyre/http_access.h"
#include "gyre/typed.h"
#include "http/from.h"
#include "http/server.h"
#include "http/shard.h"
#include "tests/http/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct world world;
static struct gy_http_req stale;

struct asked_args {
    bool far;
};
GY_ACTOR(asked);
struct asked {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(asked, asked_start, asked_stop);
GY_HTTP(asked, asked_who);
GY_HTTP(asked, asked_nothing);

/* "PEER CLIENT" */
static void tell(const struct gy_http_req *req, char *out, size_t size)
{
    char peer[GY_ADDR_TEXT_MAX], client[GY_ADDR_TEXT_MAX];
    struct gy_addr addr;
    int err;

    memset(&addr, 0xff, sizeof(addr));
    err = gy_http_peer(req, &addr);
    assert_true(err == 0 ? addr.family != GY_ADDR_NONE : err == -ENOTCONN && addr.family == GY_ADDR_NONE);
    for (unsigned i = addr.len; i < GY_ADDR_BYTES; i++)
        assert_int_equal(addr.bytes[i], 0);
    gy_addr_print(&addr, peer, sizeof(peer));
    assert_int_equal(gy_http_forwarded_for(req, &addr), err);
    gy_addr_print(&addr, client, sizeof(client));
    snprintf(out, size, "%s %s", peer, client);
}

static void asked_who(struct asked *self, const struct gy_http_req *req, gy_http_promise reply)
{
    char text[2 * GY_ADDR_TEXT_MAX + 2];

    (void)self;
    tell(req, text, sizeof(text));
    stale = *req;
    gy_http_reply(reply, 200, NULL, text, strlen(text));
}

static void asked_nothing(struct asked *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self, (void)req;
    gy_http_reply(reply, 200, NULL, "x", 1);
}

static char judged[2][2 * GY_ADDR_TEXT_MAX + 2];

static int authenticate(const struct gy_http_realm *realm, const struct gy_http_req *req, struct gy_http_identity *out)
{
    (void)realm;
    tell(req, judged[0], sizeof(judged[0]));
    strcpy(out->principal, "x");
    return 0;
}

static const char *const inside[] = { "127.0.0.0/8", "10.0.0.0/8", NULL };

static int authorize(const struct gy_http_req *req)
{
    struct gy_addr addr;

    tell(req, judged[1], sizeof(judged[1]));
    return gy_http_forwarded_for(req, &addr) == 0 && gy_http_within(&addr, inside);
}

static const struct gy_http_realm realm = { .name = "r", .challenge = "Basic", .authenticate = authenticate };
static const struct gy_http_route_options guarded = { .size = sizeof(guarded), .realm = &realm, .authorize = authorize };

static int asked_start(struct asked *self, const struct asked_args *args)
{
    int err = gy_http_route(self, args->far ? "/far" : "/near", asked_who);

    if (err == 0)
        err = gy_http_route(self, args->far ? "/far/nothing" : "/near/nothing", asked_nothing);
    if (err == 0)
        err = gy_http_route_with(self, args->far ? "/far/guarded" : "/near/guarded", asked_who, &guarded);
    return err;
}

static void asked_stop(struct asked *self, int why)
{
    (void)self, (void)why;
}

static int boot(unsigned shard, void *arg)
{
    asked_pid pid;
    int err = gy_http_listen(&((struct world *)arg)->http);

    return err < 0 ? err : asked_spawn(&pid, &(struct asked_args){ shard == 1 });
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

static const char *const where[] = { "/near", "/far" };

static void ask(struct peer_conn *c, const char *path, const char *more, const char *headers, int status, const char *is)
{
    char text[512];

    snprintf(text, sizeof(text), "GET %s%s HTTP/1.1\r\nHost: h\r\n%s\r\n", path, more, headers);
    world_text(&world, c, text);
    world_expect(&world, c, status, is);
}

static void be(const char *peer)
{
    snprintf(world.fake.peer, sizeof(world.fake.peer), "%s", peer);
}

/* Every form, asked for twice on one connection, which the driver is asked for once. */
static void test_forms(void **state)
{
    static const struct {
        const char *peer, *is;
    } rows[] = {
        { "1.2.3.4:5", "1.2.3.4:5" },
        { "[2001:db8::1]:65535", "[2001:db8::1]:65535" },
        { "[::ffff:1.2.3.4]:80", "1.2.3.4:80" },
        { "unix:", "unix:" },
        { "unix:/run/me", "unix:/run/me" },
        { "unix:@me", "unix:@me" },
        { "unknown", "none" },
        { "", "none" },
    };

    (void)state;
    world_open(&world, 2, boot);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (unsigned far = 0; far < 2; far++) {
            struct peer_conn *c = world_connect(&world, 0);
            char is[2 * GY_ADDR_TEXT_MAX];

            snprintf(is, sizeof(is), "%s %s", rows[i].is, rows[i].is);
            be(rows[i].peer);
            ask(c, where[far], "", "", 200, is);
            if (strcmp(rows[i].is, "none") != 0)
                be("9.9.9.9:9"); /* it is not asked again */
            ask(c, where[1 - far], "", "", 200, is);
            ask(c, where[far], "", "X-Forwarded-For: 8.8.8.8\r\n", 200, is); /* there are no proxies */
        }
}

/* Connections are new, though their records are not. */
static void test_connections(void **state)
{
    (void)state;
    world_open(&world, 2, boot);
    for (unsigned i = 0; i < 8; i++) {
        struct peer_conn *c = world_connect(&world, 0);
        char peer[32], is[64];

        snprintf(peer, sizeof(peer), "10.0.0.%u:%u", i, i);
        snprintf(is, sizeof(is), "%s %s", peer, peer);
        be(peer);
        ask(c, where[i % 2], "", "", 200, is);
        world_reset(&world, c);
    }
}

static const char *const proxies[] = { "10.0.0.0/8", NULL };

static void test_proxies(void **state)
{
    struct gy_http_access access = GY_HTTP_ACCESS_INIT;

    (void)state;
    access.proxies = proxies;
    world.http.access = &access;
    world_open(&world, 2, boot);
    for (unsigned way = 0; way < 2; way++)
        for (unsigned far = 0; far < 2; far++) {
            const char *line = way == 0 ? "X-Forwarded-For: 8.8.8.8, 1.2.3.4, 10.1.1.1\r\nForwarded: for=3.3.3.3\r\n"
                                        : "X-Forwarded-For: 3.3.3.3\r\nForwarded: for=8.8.8.8\r\nForwarded: for=1.2.3.4\r\n";
            struct peer_conn *c;

            access.forwarded = (uint8_t)way;
            be("10.0.0.1:5");
            c = world_connect(&world, 0);
            ask(c, where[far], "", line, 200, "10.0.0.1:5 1.2.3.4:0");
            ask(c, where[far], "", line, 200, "10.0.0.1:5 1.2.3.4:0");
            ask(c, where[far], "", "", 200, "10.0.0.1:5 10.0.0.1:5");
            be("11.0.0.1:5");
            c = world_connect(&world, 0);
            ask(c, where[far], "", line, 200, "11.0.0.1:5 11.0.0.1:5");
        }
}

/* The firewall looks at who is there, whatever it says. */
static void test_firewall(void **state)
{
    static const char *const denied[] = { "10.0.0.1", NULL };
    struct gy_http_access access = GY_HTTP_ACCESS_INIT;
    struct peer_conn *c;

    (void)state;
    access.proxies = proxies;
    access.deny = denied;
    world.http.access = &access;
    world_open(&world, 2, boot);
    be("10.0.0.1:5");
    c = world_connect(&world, 0);
    world_settle(&world);
    assert_true(c->closed);
    be("10.0.0.2:5");
    c = world_connect(&world, 0);
    ask(c, where[0], "", "X-Forwarded-For: 10.0.0.1\r\n", 200, "10.0.0.2:5 10.0.0.1:0");
}

static void test_judged(void **state)
{
    struct gy_http_access access = GY_HTTP_ACCESS_INIT;

    (void)state;
    access.proxies = proxies;
    world.http.access = &access;
    world_open(&world, 2, boot);
    for (unsigned far = 0; far < 2; far++) {
        struct peer_conn *c;

        be("10.0.0.1:5");
        c = world_connect(&world, 0);
        memset(judged, 0, sizeof(judged));
        ask(c, where[far], "/guarded", "", 200, "10.0.0.1:5 10.0.0.1:5");
        ask(c, where[far], "/guarded", "X-Forwarded-For: 127.0.0.1\r\n", 200, "10.0.0.1:5 127.0.0.1:0");
        assert_string_equal(judged[0], "10.0.0.1:5 127.0.0.1:0");
        assert_string_equal(judged[1], "10.0.0.1:5 127.0.0.1:0");
        ask(c, where[far], "/guarded", "X-Forwarded-For: 127.0.0.1, 8.8.8.8\r\n", 403, NULL);
        assert_string_equal(judged[1], "10.0.0.1:5 8.8.8.8:0");
    }
}

/* A copy of a request that is over, one of the test's own, and a shard without a server. */
static void test_too_late(void **state)
{
    struct gy_http_req own = { .minor = 1 };
    struct peer_conn *c;
    struct gy_addr addr;

    (void)state;
    world_open(&world, 2, boot);
    be("1.2.3.4:5");
    c = world_connect(&world, 0);
    ask(c, where[0], "", "", 200, NULL);
    assert_true(world_give(&world, c, "GET /ne", 7)); /* its slot is another's now */
    world_settle(&world);
    fake_enter(&world.fake, 0);
    assert_int_equal(gy_http_peer(&stale, &addr), -ENOTCONN);
    assert_int_equal(addr.family, GY_ADDR_NONE);
    assert_int_equal(gy_http_forwarded_for(&stale, &addr), -ENOTCONN);
    assert_int_equal(gy_http_peer(&own, &addr), -ENOTCONN);
    fake_leave();
}

/* Who does not ask pays nothing, and who asks a buffer for each connection. */
static void test_cost(void **state)
{
    (void)state;
    world_open(&world, 2, boot);
    for (unsigned round = 0; round < 2; round++) {
        struct peer_conn *c = world_connect(&world, 0);
        const struct gy__http_server *server;

        ask(c, where[0], "/nothing", "", 200, "x");
        fake_enter(&world.fake, 0);
        server = gy__http_here();
        fake_leave();
        assert_null(server->links->from);
        ask(c, where[round], "", "", 200, NULL);
        assert_non_null(server->links->from);
    }
}

static void test_within(void **state)
{
    static const char *const networks[] = { "10.0.0.0/8", "2001:db8::/32", "rubbish", NULL }, *const unixes[] = { "unix:", NULL },
                             *const none[] = { NULL }, *const all[] = { "0.0.0.0/0", NULL };
    static const struct {
        const char *addr;
        int in_networks, in_unixes, in_all;
    } rows[] = {
        { "10.255.0.1:9", 1, 0, 1 }, { "11.0.0.1:9", 0, 0, 1 },    { "[2001:db8:1::]:0", 1, 0, 0 },
        { "[2001:db9::]:0", 0, 0, 0 }, { "unix:", 0, 1, 0 },       { "unix:/x", 0, 1, 0 },
        { "none", 0, 0, 0 },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gy_addr addr;

        gy__http_from_parse(&addr, rows[i].addr);
        assert_int_equal(gy_http_within(&addr, networks), rows[i].in_networks);
        assert_int_equal(gy_http_within(&addr, unixes), rows[i].in_unixes);
        assert_int_equal(gy_http_within(&addr, all), rows[i].in_all);
        assert_int_equal(gy_http_within(&addr, none), 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_forms), T(test_connections), T(test_proxies), T(test_firewall), T(test_judged),
        T(test_too_late), T(test_cost), cmocka_unit_test(test_within),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
