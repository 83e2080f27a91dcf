/* Bodies in pieces, both ways, between clients of all tempers and handlers on either shard, while the
 * network and the shards misbehave. A copy comes back byte for byte what was sent, however both are
 * cut; what a client gets is always a beginning of what it must get, and all of it unless somebody
 * left or was too slow. Handlers are told how each of their streams ends, exactly once. */
#include "tests/sim/copier.h"
#include "tests/sim/scenario.h"
#include "core/kernel.h"
#include "core/streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT 80
#define CLIENTS_MAX 10

static uint64_t pick(uint64_t n)
{
    return gy_sim_random(scenario_sim) % n;
}

/* ---- clients ---- */

static struct client {
    struct gy_sim_conn *conn;
    enum { COPY, COUNT, DRIP } kind;
    uint32_t id, n;  /* bytes of the body */
    uint32_t sent;   /* of them */
    uint32_t got;    /* of the answer's body */
    uint32_t leaves; /* after so many bytes of it; 0: never */
    bool head, whole, over, begun;
    int status;
} clients[CLIENTS_MAX];
static uint32_t client_count;
static bool harsh;

static void send_more(struct client *client)
{
    char line[16], bytes[3000];
    uint32_t n = 1 + (uint32_t)pick(sizeof(bytes));

    if (client->kind == DRIP || client->sent == client->n + 1)
        return;
    if (client->sent == client->n) {
        gy_sim_send(client->conn, "0\r\n\r\n", 5);
        client->sent++;
        return;
    }
    if (n > client->n - client->sent)
        n = client->n - client->sent;
    for (uint32_t i = 0; i < n; i++)
        bytes[i] = copier_byte(client->id, client->sent + i);
    client->sent += n;
    snprintf(line, sizeof(line), "%x\r\n", n);
    gy_sim_send(client->conn, line, strlen(line));
    gy_sim_send(client->conn, bytes, n);
    gy_sim_send(client->conn, "\r\n", 2);
}

static void leave(struct client *client)
{
    if (client->over)
        return;
    client->over = true;
    gy_sim_disconnect(client->conn);
}

static void check_byte(const struct client *client, char byte)
{
    scenario_check(client->got < client->n && byte == copier_byte(client->id, client->got),
                   "client %ld: byte %u of its answer is not its own", (long)(client - clients),
                   client->got);
}

/* What was received ends with no NUL. */
static unsigned long number(const char *at, const char *end, unsigned base)
{
    unsigned long n = 0;

    for (; at < end; at++) {
        unsigned digit = *at >= 'a' ? (unsigned)(*at - 'a') + 10 : (unsigned)(*at - '0');
        if (digit >= base)
            break;
        n = n * base + digit;
    }
    return n;
}

/* One chunk, or the head. -> false: it is not there yet. */
static bool take_one(struct client *client)
{
    size_t len, n;
    const char *at = (const char *)gy_sim_received(client->conn, &len);
    const char *end = len > 0 ? memmem(at, len, client->head ? "\r\n" : "\r\n\r\n", client->head ? 2 : 4) : NULL;

    if (client->whole) {
        scenario_check(len == 0, "client %ld got more than its answer", (long)(client - clients));
        return false;
    }
    if (end == NULL)
        return false;
    if (!client->head) {
        client->head = true;
        client->status = (int)number(at + 9, end, 10);
        client->whole = client->status != 200 || client->kind == COUNT;
        if (client->kind == COUNT && client->status == 200) {
            const char *body = end + 4;
            if ((size_t)(at + len - body) < 1 || number(body, at + len, 10) != client->n)
                client->status = -1; /* cut, or wrong: judged by client_check */
        }
        gy_sim_take(client->conn, client->whole ? len : (size_t)(end + 4 - at));
        return !client->whole;
    }
    n = number(at, end, 16);
    if ((size_t)(at + len - end) < n + 4)
        return false;
    for (size_t i = 0; i < n; i++, client->got++)
        check_byte(client, end[2 + i]);
    client->whole = n == 0;
    gy_sim_take(client->conn, (size_t)(end + 4 + n - at));
    return true;
}

static void on_event(void *arg, struct gy_sim_conn *conn, enum gy_sim_conn_event event)
{
    struct client *client = arg;
    char text[128];

    (void)conn;
    switch (event) {
    case GY_SIM_CONNECTED:
        snprintf(text, sizeof(text), client->kind == DRIP ? "GET /%s/drip/%u/%u HTTP/1.1\r\nHost: sim\r\n\r\n"
                                     : client->kind == COPY
                                         ? "POST /%s/copy?%u%u HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\n"
                                         : "POST /%s/count?%u%u HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\n",
                 client->id % 2 ? "far" : "near", client->id, client->n);
        gy_sim_send(client->conn, text, strlen(text));
        send_more(client);
        break;
    case GY_SIM_SENT:
        send_more(client);
        break;
    case GY_SIM_DATA:
        while (take_one(client))
            ;
        if (client->whole || (client->leaves > 0 && client->got >= client->leaves))
            leave(client);
        break;
    default:
        client->over = true;
        break;
    }
}

static void client_begin(void *arg)
{
    struct client *client = arg;
    uint32_t bytes;

    client->begun = true;
    client->kind = (int)pick(3) == 0 ? DRIP : pick(2) == 0 ? COUNT : COPY;
    client->id = 1 + (uint32_t)pick(1000);
    client->n = (uint32_t)pick(pick(2) == 0 ? 100 : 60000);
    if (pick(5) == 0)
        client->leaves = 1 + (uint32_t)pick(20000);
    client->conn = gy_sim_connect(scenario_sim, 0, PORT);
    gy_sim_conn_on(client->conn, on_event, client);
    if (pick(3) == 0) {
        bytes = 1000 + (uint32_t)pick(20000);
        gy_sim_read_slowly(client->conn, bytes, 1 + pick(GY_MS));
    }
}

static bool all_over(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < client_count; i++)
        if (!clients[i].begun || !clients[i].over)
            return false;
    return true;
}

static void client_check(const struct client *client)
{
    long number = (long)(client - clients);

    if (harsh || gy_sim_conn_has(client->conn, GY_SIM_RESET) ||
        !gy_sim_conn_has(client->conn, GY_SIM_CONNECTED) ||
        (client->leaves > 0 && client->got >= client->leaves) || client->status == 503 ||
        client->status == 408)
        return;
    scenario_check(client->status == 200, "client %ld got %d", number, client->status);
    scenario_check(client->whole, "client %ld got %u bytes of %u", number, client->got, client->n);
    scenario_check(client->kind == COUNT || client->got == client->n, "client %ld got %u bytes, not %u",
                   number, client->got, client->n);
}

static uint64_t run(struct gy_sim_config *config)
{
    struct gy_http_config http = GY_HTTP_CONFIG_INIT("127.0.0.1:80");
    struct gy_runtime *runtime;
    uint64_t open = 0, whole = 0, seed = config->seed;

    memset(clients, 0, sizeof(clients));
    copier_begun = copier_watched = 0;
    harsh = seed % 4 == 1;
    client_count = 1 + (uint32_t)(seed % CLIENTS_MAX);
    http.stream_window = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 2000 : 65536;
    http.answer_timeout_ns = 5 * GY_S;
    http.stream_timeout_ns = 20 * GY_S;
    config->shards = 1 + (uint32_t)(seed % 3);
    config->runtime.mailbox = 256;
    config->runtime.futures = 512;
    if (config->runtime.ring_cells < 32)
        config->runtime.ring_cells = 32;
    config->faults.connect_lost_ppm = 0;
    if (harsh)
        gy_sim_faults_swarm(&config->faults, seed, true);
    if (!scenario_open(config, copier_boot, &http))
        return 0;
    for (uint32_t i = 0; i < client_count; i++)
        gy_sim_at(scenario_sim, pick(50 * GY_MS), client_begin, &clients[i]);
    if (!gy_sim_until(scenario_sim, all_over, NULL, 2000 * GY_S) && !harsh)
        gy_sim_fail(scenario_sim, "clients wait for ever");
    gy_sim_advance(scenario_sim, 700 * GY_S); /* longer than any of the server's limits */
    gy_sim_settle(scenario_sim);
    for (uint32_t i = 0; i < client_count; i++)
        client_check(&clients[i]);
    for (uint32_t i = 0; i < client_count; i++)
        whole += clients[i].whole && clients[i].status == 200;
    for (uint32_t i = 0; i < client_count; i++)
        gy_sim_conn_free(clients[i].conn);
    gy_sim_settle(scenario_sim);
    runtime = gy_sim_runtime(scenario_sim, 0);
    for (unsigned i = 0; runtime != NULL && i < runtime->shard_count; i++)
        open += runtime->shards[i]->streams->open;
    scenario_check(open == 0, "%llu streams are left", (unsigned long long)open);
    scenario_check(copier_begun == copier_watched, "%llu of %llu ends were told",
                   (unsigned long long)copier_watched, (unsigned long long)copier_begun);
    scenario_add("bodies.clients", client_count);
    scenario_add("bodies.streams", copier_begun);
    scenario_add("bodies.whole", whole);
    return scenario_close();
}

const struct scenario scenario_bodies = {"bodies", "requests and answers in pieces", run};
