/* Whom requests are from, by simulated sockets: at the accepting shard and at another, over TCP and UNIX
 * sockets, directly and through a proxy, and when the client is gone before its request is handled. */
#include "gyre/http_access.h"
#include "gyre/typed.h"
#include "tests/sim/http_client.h"
#include "tests/sim/web.h"
#include "tests/sim/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct teller_args {
    bool far;
};
GY_ACTOR(teller);
struct teller {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(teller, teller_start, teller_stop);
GY_HTTP(teller, teller_who);

static unsigned told[2]; /* 0: who it was; 1: -ENOTCONN */

static void teller_who(struct teller *self, const struct gy_http_req *req, gy_http_promise reply)
{
    char peer[GY_ADDR_TEXT_MAX], client[GY_ADDR_TEXT_MAX];
    struct gy_addr addr;
    int err = gy_http_peer(req, &addr);

    (void)self;
    assert_true(err == 0 || (err == -ENOTCONN && addr.family == GY_ADDR_NONE));
    told[err != 0]++;
    gy_addr_print(&addr, peer, sizeof(peer));
    assert_int_equal(gy_http_forwarded_for(req, &addr), err);
    gy_addr_print(&addr, client, sizeof(client));
    gy_http_replyf(reply, 200, "%s %s", peer, client);
}

static int teller_start(struct teller *self, const struct teller_args *args)
{
    return gy_http_route(self, args->far ? "/far" : "/near", teller_who);
}

static void teller_stop(struct teller *self, int why)
{
    (void)self, (void)why;
}

static const char *const proxies[] = {"10.0.0.0/24", NULL};
static struct gy_http_access through = GY_HTTP_ACCESS_INIT;

static int boot(unsigned shard, void *arg)
{
    struct gy_http_config http = GY_HTTP_CONFIG_INIT("127.0.0.1:80");
    teller_pid pid;
    int err;

    http.access = arg;
    err = gy_http_listen(&http);
    return err < 0 ? err : teller_spawn(&pid, &(struct teller_args){shard == 1});
}

static struct gy_sim *begin(uint64_t seed, struct gy_http_access *access)
{
    struct gy_sim_config config;
    struct gy_sim *sim;

    world_config(&config, seed);
    config.shards = 2;
    through.proxies = proxies;
    memset(told, 0, sizeof(told));
    assert_int_equal(gy_sim_open(&sim, &config, boot, access), 0);
    gy_sim_settle(sim);
    return sim;
}

static void end(struct gy_sim *sim)
{
    gy_sim_settle(sim);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

/* -> its answer's body, and the port that the client has. */
static unsigned ask(struct gy_sim *sim, const char *path, const char *lines, char *client, size_t size)
{
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, 80);
    struct http_answer answer;
    char text[256], body[256];
    const uint8_t *data;
    unsigned port;
    size_t len;
    int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", path, lines);

    gy_sim_send(conn, text, (size_t)n);
    gy_sim_settle(sim);
    data = gy_sim_received(conn, &len);
    assert_true(http_read(data, len, false, &answer) > 0);
    assert_int_equal(answer.status, 200);
    snprintf(body, sizeof(body), "%.*s", (int)answer.body_len, answer.body);
    assert_int_equal(sscanf(body, "10.0.0.1:%u", &port), 1);
    snprintf(client, size, "%s", strchr(body, ' ') + 1);
    gy_sim_conn_free(conn);
    return port;
}

static const char *const where[] = {"/near", "/far"};

static void clients_are_told_apart(void **state)
{
    char client[256], is[64];

    (void)state;
    for (unsigned seed = 1; seed <= 8; seed++) {
        struct gy_sim *sim = begin(seed, NULL);
        unsigned before = 0;

        for (unsigned i = 0; i < 6; i++) {
            unsigned port = ask(sim, where[i % 2], "X-Forwarded-For: 1.2.3.4\r\n", client, sizeof(client));

            assert_true(port != 0 && port != before);
            snprintf(is, sizeof(is), "10.0.0.1:%u", port);
            assert_string_equal(client, is);
            before = port;
        }
        assert_int_equal(told[0], 6);
        end(sim);
    }
}

static void a_proxy_speaks_for_others(void **state)
{
    char client[256];

    (void)state;
    for (unsigned seed = 1; seed <= 8; seed++) {
        struct gy_sim *sim = begin(seed, &through);

        for (unsigned i = 0; i < 2; i++) {
            (void)ask(sim, where[i], "X-Forwarded-For: 9.9.9.9, [2001:db8::2]:7, 10.0.0.9\r\n", client, sizeof(client));
            assert_string_equal(client, "[2001:db8::2]:7");
            (void)ask(sim, where[i], "X-Forwarded-For: 9.9.9.9, ?, 10.0.0.9\r\n", client, sizeof(client));
            assert_string_equal(client, "10.0.0.9:0");
        }
        end(sim);
    }
}

/* The client resets its connection at some time or other. */
static void a_client_that_is_gone(void **state)
{
    unsigned known = 0, unknown = 0, never = 0;

    (void)state;
    for (unsigned i = 0; i < 400; i++) {
        struct gy_sim *sim = begin(100 + i, i % 4 < 2 ? NULL : &through);
        struct gy_sim_conn *conn = gy_sim_connect(sim, 0, 80);
        char text[128];
        int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", where[i % 2]);

        gy_sim_send(conn, text, (size_t)n);
        gy_sim_advance(sim, i * GY_US);
        gy_sim_reset(conn);
        gy_sim_settle(sim);
        known += told[0];
        unknown += told[1];
        never += told[0] + told[1] == 0;
        gy_sim_conn_free(conn);
        end(sim);
    }
    print_message("%u known, %u unknown, %u not handled\n", known, unknown, never);
    assert_true(known > 0 && never > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_are_told_apart),
        cmocka_unit_test(a_proxy_speaks_for_others),
        cmocka_unit_test(a_client_that_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
