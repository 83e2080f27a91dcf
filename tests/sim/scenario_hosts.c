/* Several hosts, each with the web service, and an operator's worst day: power fails and comes back,
 * cables are pulled and put in, services drain and start anew, clocks jump and drift. Clients ask one
 * question until it is answered, by whatever host, over as many connections as it takes. An answer is
 * right whenever it comes; and once the day is over, everybody gets one. */
#include "tests/sim/scenario.h"
#include "tests/sim/http_client.h"
#include "tests/sim/web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS_MAX 3
#define CLIENTS_MAX 10

static struct client {
    struct gy_sim_conn *conn;
    uint32_t id, tries;
    bool answered;
} clients[CLIENTS_MAX];
static uint32_t client_count, host_count, blows_left, asked;
static bool restarting[HOSTS_MAX];

static uint64_t pick(uint64_t n)
{
    return gy_sim_random(scenario_sim) % n;
}

/* ---- clients ---- */

static void ask(struct client *client);

static void again(void *arg)
{
    ask(arg);
}

static void give_up(void *arg)
{
    struct client *client = arg;

    if (client->answered)
        return;
    gy_sim_conn_free(client->conn);
    client->conn = NULL;
    gy_sim_at(scenario_sim, 1 + pick(100 * GY_MS), again, client);
}

static void on_event(void *arg, struct gy_sim_conn *conn, enum gy_sim_conn_event event)
{
    struct client *client = arg;
    struct http_answer answer;
    char id[16];
    size_t len;
    const uint8_t *data = gy_sim_received(conn, &len);
    long taken = event == GY_SIM_DATA ? http_read(data, len, false, &answer) : 0;

    scenario_check(taken >= 0, "client %u was told no HTTP", client->id);
    if (taken == 0 || client->answered)
        return;
    if (answer.status != 200) {
        scenario_check(answer.status == 503 || answer.status == 408 || answer.status == 500,
                       "client %u got %d", client->id, answer.status);
        gy_sim_take(conn, (size_t)taken);
        return; /* it asks again when its patience ends */
    }
    snprintf(id, sizeof(id), "%u", client->id);
    scenario_check(answer.body_len == strlen(id) && memcmp(answer.body, id, strlen(id)) == 0,
                   "client %u got the answer of another: %.*s", client->id, (int)answer.body_len,
                   answer.body);
    client->answered = true;
    asked--;
    gy_sim_disconnect(conn);
}

/* A new connection to some host, and patience of some seconds. */
static void ask(struct client *client)
{
    char text[256];
    int len = snprintf(text, sizeof(text), "GET /%s/%s?id=%u&us=%u HTTP/1.1\r\nHost: sim\r\n\r\n",
                       client->tries % 2 ? "far" : "web", client->tries % 3 ? "now" : "later",
                       client->id, 1u << client->tries % 16);

    client->tries++;
    client->conn = gy_sim_connect(scenario_sim, (unsigned)pick(host_count), WEB_PORT);
    gy_sim_conn_on(client->conn, on_event, client);
    gy_sim_send(client->conn, text, (size_t)len);
    gy_sim_at(scenario_sim, 3 * GY_S, give_up, client);
}

/* ---- the operator ---- */

/* gy_sim_restart() moves time, so it is not for a callback: the run's own loop does it. */
static void power_returns(void *arg)
{
    restarting[*(uint8_t *)arg] = true;
}
static void cable_returns(void *arg)
{
    gy_sim_partition(scenario_sim, *(uint8_t *)arg, false);
}

static void blow(void *arg)
{
    static uint8_t numbers[HOSTS_MAX] = {0, 1, 2};
    unsigned host = (unsigned)pick(host_count);
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, host);
    uint64_t after_ns = 1 + pick(5 * GY_S);
    uint64_t what = pick(8);

    (void)arg;
    if (what < 2 && runtime != NULL) {
        gy_sim_crash(scenario_sim, host);
        gy_sim_at(scenario_sim, after_ns, power_returns, &numbers[host]);
    } else if (what == 2 && runtime != NULL) {
        if (pick(2))
            gy_drain(runtime);
        else
            gy_stop(runtime);
        gy_sim_at(scenario_sim, 20 * GY_S, power_returns, &numbers[host]);
    } else if (what == 3) {
        gy_sim_partition(scenario_sim, host, true);
        gy_sim_at(scenario_sim, after_ns, cable_returns, &numbers[host]);
    } else if (what == 4) {
        gy_sim_wall_jump(scenario_sim, host, (int64_t)pick(7200 * GY_S) - 3600 * GY_S);
    } else if (what == 5) {
        gy_sim_clock_drift(scenario_sim, host, (int32_t)pick(2000) - 1000);
    } else if (what == 6) {
        struct gy_sim_link link = {pick(50 * GY_MS), pick(10 * GY_MS), 0};
        link.bytes_per_s = 10000 + pick(1000000);
        gy_sim_set_link(scenario_sim, host, &link);
    }
    if (--blows_left > 0)
        gy_sim_at(scenario_sim, 1 + pick(2 * GY_S), blow, NULL);
}

static bool all_answered(void *arg)
{
    (void)arg;
    return asked == 0;
}
static bool has_to_act(void *arg)
{
    (void)arg;
    return asked == 0 || restarting[0] || restarting[1] || restarting[2];
}

static void restart(unsigned host)
{
    restarting[host] = false;
    if (gy_sim_runtime(scenario_sim, host) == NULL) {
        int err = gy_sim_restart(scenario_sim, host);
        scenario_check(err == 0, "host %u does not start again: error %d", host, -err);
    }
}

/* ---- the run ---- */

static uint64_t run(struct gy_sim_config *config)
{
    static struct gy_http_config http = GY_HTTP_CONFIG_INIT("127.0.0.1:80");
    uint64_t seed = config->seed;

    memset(clients, 0, sizeof(clients));
    memset(restarting, 0, sizeof(restarting));
    host_count = 1 + (uint32_t)(seed % HOSTS_MAX);
    client_count = asked = 1 + (uint32_t)(seed % CLIENTS_MAX);
    blows_left = 1 + (uint32_t)(seed % 15);
    config->shards = 1 + (uint32_t)(seed % 2);
    if (config->runtime.ring_cells < 32)
        config->runtime.ring_cells = 32;
    config->runtime.futures = 512;
    config->runtime.mailbox = 64;
    if (config->link.latency_ns > 5 * (uint64_t)GY_MS)
        config->link.latency_ns = 5 * (uint64_t)GY_MS;
    if (!scenario_open(config, web_boot, &http))
        return 0;
    for (uint32_t i = 1; i < host_count; i++)
        scenario_check(gy_sim_add_host(scenario_sim, NULL, 1 + i, web_boot, &http) == (int)i,
                       "host %u does not start", i);
    for (uint32_t i = 0; i < client_count; i++) {
        clients[i].id = 100 + i;
        gy_sim_at(scenario_sim, pick(5 * GY_S), again, &clients[i]);
    }
    gy_sim_at(scenario_sim, 1 + pick(GY_S), blow, NULL);
    for (uint64_t until = gy_sim_now(scenario_sim) + 60 * GY_S;
         asked > 0 && gy_sim_now(scenario_sim) < until;) {
        (void)gy_sim_until(scenario_sim, has_to_act, NULL, GY_S);
        for (unsigned i = 0; i < host_count; i++)
            if (restarting[i])
                restart(i);
    }
    /* The day is over. */
    gy_sim_heal(scenario_sim);
    blows_left = 1;
    gy_sim_advance(scenario_sim, 60 * GY_S);
    for (unsigned i = 0; i < host_count; i++)
        restart(i);
    scenario_check(gy_sim_until(scenario_sim, all_answered, NULL, 600 * GY_S),
                   "%u clients get no answer although all is well", asked);
    for (uint32_t i = 0; i < client_count; i++) {
        gy_sim_conn_free(clients[i].conn);
        clients[i].conn = NULL;
    }
    gy_sim_advance(scenario_sim, 100 * GY_S);
    return scenario_close();
}

const struct scenario scenario_hosts = {"hosts", "hosts that crash, are cut off and start again", run};
