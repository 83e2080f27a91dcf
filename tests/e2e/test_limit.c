/* 100,000 keys, and a few hot ones, taken from connections to both shards at once: the tokens that
 * were allowed add up exactly, by the client's count and by the service's. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "load.h"
#include "server.h"

#define BURST 2u  /* of each key */
#define TRIES 3u  /* of each key, one token each */
#define HOT_KEYS 4u
#define HOT_BURST 5000u
#define HOT_TRIES 6000u

static struct server server;

static int tear_down(void **state)
{
    (void)state;
    if (server.pid > 0)
        server_end(&server, true);
    return 0;
}

/* Requests in the order of one counter that all connections draw from: cold keys round and round, so
 * that the tries of one key come from different connections at about the same time; every few
 * requests a hot key. */
struct plan {
    uint64_t keys, cold, hot; /* drawn so far */
    uint64_t allowed, refused, hot_allowed[HOT_KEYS];
    /* The oldest requests of each connection, in order: which hot key, or none. */
    uint8_t asked[LOAD_CONNS_MAX][256];
    unsigned asked_at[LOAD_CONNS_MAX], asked_n[LOAD_CONNS_MAX];
};

static void remember(struct plan *plan, unsigned conn, uint8_t hot)
{
    plan->asked[conn][plan->asked_n[conn]++ % 256] = hot;
}

static size_t next_take(struct load *load, struct load_conn *c, char *out, size_t size)
{
    struct plan *plan = load->user;
    const uint64_t cold_max = plan->keys * TRIES, hot_max = HOT_KEYS * HOT_TRIES;
    char key[32];
    if (plan->hot < hot_max && (plan->cold == cold_max || plan->hot * cold_max <= plan->cold * hot_max)) {
        uint8_t hot = (uint8_t)(plan->hot++ % HOT_KEYS);
        (void)snprintf(key, sizeof(key), "hot-%u", hot);
        remember(plan, c->index, (uint8_t)(hot + 1));
    } else if (plan->cold < cold_max) {
        uint64_t i = plan->cold++;
        (void)snprintf(key, sizeof(key), "user-%llu",
                       (unsigned long long)(i / (TRIES * 64) * 64 + i % 64));
        remember(plan, c->index, 0);
    } else {
        return 0;
    }
    return (size_t)snprintf(out, size, "POST /limit/take?key=%s&n=1 HTTP/1.1\r\nHost: t\r\n\r\n",
                            key);
}

static void answered_take(struct load *load, struct load_conn *c, const struct answer *a)
{
    struct plan *plan = load->user;
    uint8_t hot = plan->asked[c->index][plan->asked_at[c->index]++ % 256];
    if (a->status == 200 && strncmp(a->body, "{\"allowed\":true", 15) == 0) {
        plan->allowed++;
        if (hot > 0)
            plan->hot_allowed[hot - 1]++;
    } else if (a->status == 429 && strncmp(a->body, "{\"allowed\":false", 16) == 0) {
        plan->refused++;
    } else {
        if (load->account.bad++ == 0)
            print_message("status %d: %s\n", a->status, a->body);
    }
}

static uint64_t number_in(const char *json, const char *name)
{
    const char *at = strstr(json, name);
    assert_non_null(at);
    return strtoull(at + strlen(name) + 2, NULL, 10);
}

static void sums_are_exact(void **state)
{
    (void)state;
    static struct load load;
    static struct plan plan;
    struct answer a;
    char request[128];
    const char *sanitize = getenv("GYRE_SANITIZE");
    plan.keys = sanitize != NULL && *sanitize != '\0' ? 10048 : 100032; /* whole groups of 64 */

    const char *const args[] = {"--shards=2", "--overprovisioned", "--rate=0", "--burst=2", NULL};
    const struct server_options options = {.args = args};
    server_start(&server, &options);
    for (unsigned i = 0; i < HOT_KEYS; i++) {
        (void)snprintf(request, sizeof(request),
                       "PUT /limit/rate?key=hot-%u&rate=0&burst=%u HTTP/1.1\r\nHost: t\r\n"
                       "Content-Length: 0\r\n\r\n",
                       i, HOT_BURST);
        assert_int_equal(client_ask(server.port, request, &a), 0);
        assert_int_equal(a.status, 200);
    }

    load = (struct load){
        .port = server.port, .next = next_take, .answered = answered_take, .user = &plan};
    /* The kernel spreads connections over the shards: that 24 of them miss one is 1 in 8 million. */
    for (unsigned i = 0; i < 24; i++)
        load_add(&load, false, 16); /* fewer in hand than one shard may ask another for at once */
    assert_int_equal(load_run(&load, NULL, 100000), 0);
    load_print(&load, "taken");
    assert_int_equal(load.account.bad, 0);
    assert_int_equal(load.account.complete, load.account.sent);
    assert_int_equal(load.account.complete, plan.keys * TRIES + HOT_KEYS * HOT_TRIES);

    assert_int_equal(plan.allowed, plan.keys * BURST + HOT_KEYS * HOT_BURST);
    for (unsigned i = 0; i < HOT_KEYS; i++)
        assert_int_equal(plan.hot_allowed[i], HOT_BURST);
    assert_int_equal(plan.refused, load.account.complete - plan.allowed);

    assert_int_equal(client_ask(server.port, "GET /limit/stats HTTP/1.1\r\nHost: t\r\n\r\n", &a), 0);
    assert_int_equal(a.status, 200);
    assert_int_equal(number_in(a.body, "shards"), 2);
    assert_int_equal(number_in(a.body, "\"allowed"), plan.allowed);
    assert_int_equal(number_in(a.body, "refused"), plan.refused);
    assert_int_equal(number_in(a.body, "\"full"), 0);
    assert_int_equal(number_in(a.body, "\"keys"), plan.keys + HOT_KEYS);
    server_stop(&server);
}

static void a_bounded_table_says_503(void **state)
{
    (void)state;
    struct answer a;
    char request[128], type[64];
    unsigned allowed = 0, full = 0;
    const char *const args[] = {"--shards=1", "--rate=0", "--burst=1", "--keys=10", NULL};
    const struct server_options options = {.args = args};
    server_start(&server, &options);
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(request, sizeof(request),
                       "POST /limit/take?key=%u HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", i);
        assert_int_equal(client_ask(server.port, request, &a), 0);
        allowed += a.status == 200;
        full += a.status == 503;
    }
    assert_int_equal(allowed, 10);
    assert_int_equal(full, 10);
    assert_true(answer_header(&a, "Content-Length", type, sizeof(type)));
    server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(sums_are_exact, tear_down),
        cmocka_unit_test_teardown(a_bounded_table_says_503, tear_down),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    (void)alarm(110);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
