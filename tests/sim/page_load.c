#include <stdint.h>
#include "tests/sim/page_load.h"

#include "core/bufs.h"
#include "core/kernel.h"
#include "tests/sim/http_client.h"
#include "tests/sim/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define PER_SECOND 10000
#define CLIENTS_MAX 8192 /* under way at once */

/* One request of one client; those that stay use their connection again. */
struct client {
    struct load *load;
    struct gy_sim_conn *conn;
    uint64_t id;
    bool asks, vanishes;
};

struct load {
    struct gy_sim *sim;
    uint64_t to_ask, asked, ok, late, vanished, answered_before_vanishing, bad;
    unsigned clients_n, idle_n;
    struct client clients[CLIENTS_MAX];
    struct client *idle[CLIENTS_MAX];
};

static void finish(struct client *client, const struct http_answer *answer)
{
    struct load *load = client->load;
    char expected[96];
    bool slow = client->id % 10 == 9;
    unsigned long long id = client->id;

    snprintf(expected, sizeof(expected), "user %llu, posts %llu, ads %llu\n", id, id + 1, id + 2);
    if (answer->status == 200 && !slow && answer->body_len == strlen(expected) &&
        memcmp(answer->body, expected, answer->body_len) == 0)
        load->ok++;
    else if (answer->status == 504 && slow)
        load->late++;
    else
        load->bad++;
    client->asks = false;
    if (!client->vanishes)
        load->idle[load->idle_n++] = client;
}

static void on_event(void *arg, struct gy_sim_conn *conn, enum gy_sim_conn_event event)
{
    struct client *client = arg;
    struct http_answer answer;
    size_t len;

    if (event != GY_SIM_DATA) {
        client->load->bad += event != GY_SIM_CONNECTED && event != GY_SIM_SENT;
        return;
    }
    const uint8_t *data = gy_sim_received(conn, &len);
    long taken = http_read(data, len, false, &answer);
    if (taken == 0)
        return;
    if (taken < 0 || !client->asks) {
        client->load->bad++;
        return;
    }
    finish(client, &answer);
    gy_sim_take(conn, (size_t)taken);
}

static void leave(void *arg)
{
    struct client *client = arg;
    struct load *load = client->load;

    load->vanished += client->asks;
    load->answered_before_vanishing += !client->asks;
    /* Some close, some break off. */
    if (client->id & 1)
        gy_sim_reset(client->conn);
    gy_sim_conn_free(client->conn);
    client->conn = NULL;
    client->asks = client->vanishes = false;
    load->idle[load->idle_n++] = client;
}

static void ask(struct load *load)
{
    struct client *client;
    char head[128];

    if (load->idle_n > 0)
        client = load->idle[--load->idle_n];
    else
        client = load->clients_n < CLIENTS_MAX ? &load->clients[load->clients_n++] : NULL;
    if (client == NULL) {
        load->bad++;
        return;
    }
    client->load = load;
    client->id = gy_sim_random(load->sim) % 1000000;
    client->vanishes = gy_sim_random(load->sim) % 100 < 13; /* three in 13 come too late for it */
    client->asks = true;
    if (client->conn == NULL) {
        client->conn = gy_sim_connect(load->sim, 0, 8080);
        gy_sim_conn_on(client->conn, on_event, client);
    }
    int len = snprintf(head, sizeof(head), "GET /page?id=%llu HTTP/1.1\r\nHost: sim\r\n\r\n",
                       (unsigned long long)client->id);
    gy_sim_send(client->conn, head, (size_t)len);
    /* An answer takes some 2 ms, or 20: a few leave just after it. */
    if (client->vanishes)
        gy_sim_at(load->sim, gy_sim_random(load->sim) % (client->id % 10 == 9 ? 22 * GY_MS : 3 * GY_MS),
                  leave, client);
}

static void tick(void *arg)
{
    struct load *load = arg;

    if (load->asked == load->to_ask)
        return;
    load->asked++;
    ask(load);
    gy_sim_at(load->sim, (uint64_t)GY_S / PER_SECOND, tick, load);
}

static uint64_t count(struct load *load, bool bufs)
{
    struct gy_runtime *runtime = gy_sim_runtime(load->sim, 0);
    uint64_t n = 0;

    for (unsigned i = 0; i < runtime->shard_count; i++) {
        const struct gy_shard *shard = runtime->shards[i];
        n += bufs ? gy__bufs_out(shard) : shard->futures_live + shard->kept_live + shard->flows_live;
    }
    return n;
}

static bool done(void *arg)
{
    const struct load *load = arg;

    return load->asked == load->to_ask &&
           load->ok + load->late + load->vanished + load->bad == load->asked;
}

/* A client that leaves while two backends work for it: they stop at once, not at the deadline. */
static void leave_early(struct load *load, uint64_t at_rest)
{
    struct http_question question = http_ask(load->sim, 0, 8080, "GET", "/page?id=9", NULL);

    gy_sim_advance(load->sim, 4 * GY_MS);
    assert_true(count(load, false) >= at_rest + 3);
    gy_sim_reset(question.conn);
    gy_sim_conn_free(question.conn);
    gy_sim_advance(load->sim, 2 * GY_MS);
    assert_int_equal(count(load, false), at_rest);
}

unsigned page_load_seconds(void)
{
    const char *text = getenv("GYRE_LONG");
    return text != NULL && *text != 0 && *text != '0' ? 60 : 10;
}

void page_load(int (*boot)(unsigned shard, void *arg), unsigned shards, uint64_t seed,
               unsigned seconds)
{
    static char address[] = "127.0.0.1:8080";
    struct load *load = calloc(1, sizeof(*load));
    struct gy_sim_config config;

    assert_non_null(load);
    world_config(&config, seed);
    config.shards = shards;
    config.runtime.futures = 8192;
    config.runtime.fifo_cells = 16384;
    config.runtime.streams_max = 16384;
    config.handles_max = 16384;
    assert_int_equal(gy_sim_open(&load->sim, &config, boot, address), 0);
    uint64_t futures_before = count(load, false), bufs_before = count(load, true);
    leave_early(load, futures_before);
    load->to_ask = (uint64_t)seconds * PER_SECOND;
    gy_sim_at(load->sim, 0, tick, load);
    assert_true(gy_sim_until(load->sim, done, load, (seconds + 60) * (uint64_t)GY_S));
    gy_sim_settle(load->sim);

    printf("%llu asked: %llu answered, %llu too late, %llu left (and %llu just after their answer), "
           "%llu bad; %u clients at once\n",
           (unsigned long long)load->asked, (unsigned long long)load->ok,
           (unsigned long long)load->late, (unsigned long long)load->vanished,
           (unsigned long long)load->answered_before_vanishing, (unsigned long long)load->bad,
           load->clients_n);
    assert_int_equal(load->bad, 0);
    assert_in_range(load->vanished, load->asked * 7 / 100, load->asked * 13 / 100);
    assert_in_range(load->late, load->asked * 6 / 100, load->asked * 13 / 100);
    /* Every counter is where it was, while the clients that stayed are still connected. */
    assert_int_equal(gy_sim_leaks(load->sim), 0);
    assert_int_equal(count(load, false), futures_before);
    assert_int_equal(count(load, true), bufs_before);
    for (unsigned i = 0; i < load->clients_n; i++)
        gy_sim_conn_free(load->clients[i].conn);
    gy_sim_settle(load->sim);
    assert_int_equal(gy_sim_close(load->sim), 0);
    free(load);
}
