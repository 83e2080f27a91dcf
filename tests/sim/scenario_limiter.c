/* The demo service (tests/examples/demo), its source as it is: clients take tokens of keys that all
 * shards share, while the network and the shards misbehave. No bucket is ever refilled, so the sums
 * are exact: never more tokens are given than a bucket held, what clients were told never exceeds
 * what was given, and if no answer was lost both are the same. */
#include "tests/sim/scenario.h"
#include "tests/sim/http_client.h"
#include "gyre/http.h"

#include "demo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS_MAX 16
#define KEYS_MAX 8
#define PORT 8080

static struct demo demo;
static uint8_t big[DEMO_BIG_BYTES];
static struct {
    uint64_t asked, told; /* tokens */
} keys[KEYS_MAX];
static struct client {
    struct gy_sim_conn *conn;
    uint32_t left;    /* requests to make */
    uint32_t at_once; /* of them under way together */
    uint32_t head, tail;
    struct {
        uint32_t key, n;
    } under_way[64];
} clients[CLIENTS_MAX];
static uint32_t client_count, key_count, burst, over;
static uint64_t lost; /* requests whose end is not known */

static uint64_t pick(uint64_t n)
{
    return gy_sim_random(scenario_sim) % n;
}

/* As the demo's own main() does it. */
static int boot(unsigned shard, void *arg)
{
    struct demo_home *home = &demo.homes[shard];
    const struct gy_http_config http = GY_HTTP_CONFIG_INIT(demo.options.listen);
    const struct limit_args limit = {demo.options.keys, {demo.options.rate, demo.options.burst}};
    int err = gy_http_listen(&http);

    (void)arg;
    if (err == 0)
        err = limit_spawn(&home->limit, &limit);
    if (err == 0)
        err = front_spawn(&home->front, &(struct front_args){&demo});
    return err;
}

static void ask_more(struct client *client)
{
    char text[256];

    while (client->left > 0 && client->tail - client->head < client->at_once) {
        uint32_t key = (uint32_t)pick(key_count), n = 1 + (uint32_t)pick(3);
        int len = snprintf(text, sizeof(text),
                           "POST /limit/take?key=k%u&n=%u HTTP/1.1\r\nHost: sim\r\n"
                           "Content-Length: 0\r\n\r\n", key, n);
        client->left--;
        client->under_way[client->tail % 64].key = key;
        client->under_way[client->tail++ % 64].n = n;
        keys[key].asked += n;
        gy_sim_send(client->conn, text, (size_t)len);
    }
}

static void answered(struct client *client, const struct http_answer *answer)
{
    uint32_t key = client->under_way[client->head % 64].key;
    uint32_t n = client->under_way[client->head++ % 64].n;

    switch (answer->status) {
    case 200:
        keys[key].told += n;
        scenario_check(keys[key].told <= burst, "key %u gave %llu tokens of %u", key,
                       (unsigned long long)keys[key].told, burst);
        break;
    case 429:
        break;
    case 503:
        lost++; /* refused, or taken and told too late */
        break;
    default:
        gy_sim_fail(scenario_sim, "a take was answered with %d", answer->status);
    }
}

static void client_over(struct client *client)
{
    lost += client->tail - client->head;
    client->head = client->tail;
    client->left = 0;
    over++;
    gy_sim_disconnect(client->conn);
}

static void on_event(void *arg, struct gy_sim_conn *conn, enum gy_sim_conn_event event)
{
    struct client *client = arg;
    struct http_answer answer;
    size_t len;
    long taken;

    if (event == GY_SIM_CONNECTED)
        ask_more(client);
    if (event == GY_SIM_DATA) {
        for (;;) {
            const uint8_t *data = gy_sim_received(conn, &len);
            taken = http_read(data, len, false, &answer);
            scenario_check(taken >= 0, "no HTTP");
            if (taken <= 0)
                break;
            scenario_check(client->head < client->tail, "an answer that nobody asked for");
            answered(client, &answer);
            gy_sim_take(conn, (size_t)taken);
        }
        ask_more(client);
        if (client->left == 0 && client->head == client->tail)
            client_over(client);
    } else if (event == GY_SIM_ENDED || event == GY_SIM_RESET || event == GY_SIM_REFUSED) {
        client_over(client);
    }
}

static bool all_over(void *arg)
{
    (void)arg;
    return over == client_count;
}

static uint64_t stat(const char *body, const char *name)
{
    const char *at = strstr(body, name);

    scenario_check(at != NULL, "/limit/stats says nothing of %s: %s", name, body);
    return strtoull(at + strlen(name), NULL, 10);
}

static void check_sums(bool exact)
{
    char body[512];
    int status = http_get(scenario_sim, PORT, "/limit/stats", body, sizeof(body));
    uint64_t told = 0, allowed;

    scenario_check(status == 200, "/limit/stats says %d", status);
    allowed = stat(body, "\"allowed\":");
    for (uint32_t key = 0; key < key_count; key++)
        told += keys[key].told;
    scenario_check(told <= allowed, "clients were told of %llu tokens, %llu were given",
                   (unsigned long long)told, (unsigned long long)allowed);
    scenario_check(!exact || told == allowed, "clients were told of %llu tokens of %llu, and no "
                   "answer was lost", (unsigned long long)told, (unsigned long long)allowed);
    for (uint32_t key = 0; exact && key < key_count; key++)
        scenario_check(keys[key].told + 2 >= (keys[key].asked < burst ? keys[key].asked : burst),
                       "key %u gave %llu tokens, %llu were asked for, it had %u", key,
                       (unsigned long long)keys[key].told, (unsigned long long)keys[key].asked,
                       burst);
}

static uint64_t run(struct gy_sim_config *config)
{
    uint64_t seed = config->seed;

    memset(keys, 0, sizeof(keys));
    memset(clients, 0, sizeof(clients));
    over = 0;
    lost = 0;
    client_count = 1 + (uint32_t)(seed % CLIENTS_MAX);
    key_count = 1 + (uint32_t)(seed / 3 % KEYS_MAX);
    burst = 3 + (uint32_t)(seed % 60);
    demo.options = (struct demo_options){"127.0.0.1:8080", 0, burst, 64};
    demo.secret = (struct key_secret){{seed, ~seed}};
    demo.big = big;
    config->shards = 1 + (uint32_t)(seed % 4);
    config->runtime.futures = 512;
    config->runtime.mailbox = 256;
    config->runtime.streams_max = 64;
    if (config->runtime.ring_cells < 64)
        config->runtime.ring_cells = 64;
    if (seed % 4 == 0)
        gy_sim_faults_swarm(&config->faults, seed, true);
    config->faults.memory_fail_ppm = 0;
    if (!scenario_open(config, boot, NULL))
        return 0;
    for (uint32_t i = 0; i < client_count; i++) {
        clients[i].left = 1 + (uint32_t)pick(40);
        clients[i].at_once = pick(2) ? 1 : 1 + (uint32_t)pick(60);
        clients[i].conn = gy_sim_connect(scenario_sim, 0, PORT);
        gy_sim_conn_on(clients[i].conn, on_event, &clients[i]);
    }
    if (seed % 3 == 0) {
        gy_sim_advance(scenario_sim, GY_S / 2);
        scenario_live(all_over, NULL, 200 * GY_S, "clients wait for an answer");
    }
    scenario_check(gy_sim_until(scenario_sim, all_over, NULL, 1000 * GY_S), "clients wait for ever");
    for (uint32_t i = 0; i < client_count; i++)
        gy_sim_conn_free(clients[i].conn);
    gy_sim_heal(scenario_sim);
    gy_sim_advance(scenario_sim, 200 * GY_S);
    check_sums(lost == 0);
    return scenario_close();
}

const struct scenario scenario_limiter = {"limiter", "the demo service, with exact sums", run};
