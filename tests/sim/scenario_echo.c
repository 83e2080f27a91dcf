/* Clients of all tempers talk to an echo: they send and read at once or slowly, end in order, vanish,
 * reset. What a client reads is what it sent, from the first byte on; one that ends in order over an
 * unbroken connection reads all of it; the service hears of each end once, and keeps nothing. */
#include "tests/sim/echo.h"
#include "tests/sim/scenario.h"

#include <errno.h>
#include <string.h>

#define CLIENTS_MAX 16
#define BYTES_MAX 40000

enum temper { ENDS, ENDS_SLOWLY, VANISHES, RESETS, STAYS, TEMPERS };
static struct client {
    struct gy_sim_conn *conn;
    enum temper temper;
    uint32_t bytes, queued, got, chunk;
    uint32_t vanish_at; /* bytes read */
    bool left;          /* by its own will */
} clients[CLIENTS_MAX];
static uint32_t client_count;
static bool draining;
static uint8_t pattern[BYTES_MAX + 256];

static uint64_t pick(uint64_t n)
{
    return gy_sim_random(scenario_sim) % n;
}
static const uint8_t *bytes_of(const struct client *client)
{
    return pattern + (client - clients) * 13;
}

static void send_more(struct client *client)
{
    uint32_t n = client->bytes - client->queued;

    if (n > client->chunk)
        n = client->chunk;
    gy_sim_send(client->conn, bytes_of(client) + client->queued, n);
    client->queued += n;
    if (client->queued == client->bytes && client->temper != STAYS)
        gy_sim_half_close(client->conn);
}

static void go(void *arg)
{
    struct client *client = arg;

    gy_sim_half_close(client->conn);
}

static void check_data(struct client *client)
{
    size_t len;
    const uint8_t *data = gy_sim_received(client->conn, &len);

    scenario_check(client->got + len <= client->queued &&
                       memcmp(data, bytes_of(client) + client->got, len) == 0,
                   "client %ld reads what it has not sent", (long)(client - clients));
    client->got += (uint32_t)len;
    gy_sim_take(client->conn, len);
    if (client->temper == STAYS && client->got == client->bytes)
        gy_sim_at(scenario_sim, pick(10 * GY_S), go, client);
}

static void on_event(void *arg, struct gy_sim_conn *conn, enum gy_sim_conn_event event)
{
    struct client *client = arg;

    (void)conn;
    switch (event) {
    case GY_SIM_CONNECTED:
        send_more(client);
        break;
    case GY_SIM_DATA:
        check_data(client);
        if (client->got >= client->vanish_at && !client->left) {
            client->left = true;
            if (client->temper == VANISHES)
                gy_sim_disconnect(client->conn);
            else
                gy_sim_reset(client->conn);
        }
        break;
    case GY_SIM_SENT:
        if (client->queued < client->bytes)
            send_more(client);
        break;
    default:
        break;
    }
}

static void client_begin(void *arg)
{
    struct client *client = arg;

    client->temper = (enum temper)pick(TEMPERS);
    client->bytes = 1 + (uint32_t)pick(pick(2) ? BYTES_MAX : 200);
    client->chunk = 1 + (uint32_t)pick(BYTES_MAX);
    client->vanish_at = UINT32_MAX;
    if (client->temper == VANISHES || client->temper == RESETS)
        client->vanish_at = (uint32_t)pick(client->bytes);
    client->conn = gy_sim_connect(scenario_sim, 0, ECHO_PORT);
    gy_sim_conn_on(client->conn, on_event, client);
    if (client->temper == ENDS_SLOWLY || pick(4) == 0) {
        /* One draw per statement: compilers differ in the order of arguments. */
        uint32_t bytes = 1 + (uint32_t)pick(4000);
        gy_sim_read_slowly(client->conn, bytes, 1 + pick(5 * GY_MS));
        bytes = 1 + (uint32_t)pick(4000);
        gy_sim_write_slowly(client->conn, bytes, 1 + pick(5 * GY_MS));
    }
}

static void drain(void *arg)
{
    (void)arg;
    draining = true;
    gy_drain(gy_sim_runtime(scenario_sim, 0));
}

static bool is_over(void *arg)
{
    (void)arg;
    return gy_sim_runtime(scenario_sim, 0) == NULL;
}

static bool all_begun(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < client_count; i++)
        if (clients[i].conn == NULL)
            return false;
    return true;
}

static bool all_ended(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < client_count; i++)
        if (!clients[i].left && !gy_sim_conn_has(clients[i].conn, GY_SIM_ENDED) &&
            !gy_sim_conn_has(clients[i].conn, GY_SIM_RESET) &&
            !gy_sim_conn_has(clients[i].conn, GY_SIM_REFUSED))
            return false;
    return true;
}

static void check_client(const struct client *client, bool harsh)
{
    long number = (long)(client - clients);
    bool broke = gy_sim_conn_has(client->conn, GY_SIM_RESET) ||
                 gy_sim_conn_has(client->conn, GY_SIM_REFUSED);

    if (client->left || draining)
        return;
    scenario_check(harsh || !broke, "the connection of client %ld broke", number);
    if (broke)
        return;
    scenario_check(client->got == client->bytes, "client %ld read %u of %u bytes", number,
                   client->got, client->bytes);
    scenario_check(gy_sim_conn_has(client->conn, GY_SIM_ENDED),
                   "client %ld was not ended in order", number);
}

static uint64_t run(struct gy_sim_config *config)
{
    uint64_t seed = config->seed;
    bool harsh = seed % 2 == 0;

    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 31 + i / 256 * 7);
    memset(clients, 0, sizeof(clients));
    draining = false;
    echo_reset();
    client_count = 1 + (uint32_t)(seed % CLIENTS_MAX);
    config->shards = 1 + (uint32_t)(seed % 3);
    config->runtime.accept = seed / 3 % 3 == 0 ? GY_ACCEPT_ONE : GY_ACCEPT_SHARED;
    config->handles_max = seed % 5 == 0 ? 8 : 4096;
    if (harsh)
        gy_sim_faults_swarm(&config->faults, seed, true);
    config->faults.memory_fail_ppm = 0;
    if (!scenario_open(config, echo_boot, NULL))
        return 0;
    for (uint32_t i = 0; i < client_count; i++)
        gy_sim_at(scenario_sim, pick(100 * GY_MS), client_begin, &clients[i]);
    if (seed % 4 == 0)
        gy_sim_at(scenario_sim, 1 + pick(200 * GY_MS), drain, NULL);
    scenario_check(gy_sim_until(scenario_sim, all_begun, NULL, GY_S), "clients do not begin");
    /* Connects are tried again for a minute, and some wait for others to go. */
    if (seed % 3 == 0) {
        gy_sim_advance(scenario_sim, GY_S);
        scenario_live(all_ended, NULL, 200 * GY_S, "clients wait for an end");
    } else {
        gy_sim_advance(scenario_sim, 400 * GY_S);
    }
    gy_sim_settle(scenario_sim);
    for (uint32_t i = 0; i < client_count; i++)
        check_client(&clients[i], harsh || config->handles_max == 8);
    for (uint32_t i = 0; i < client_count; i++)
        gy_sim_conn_free(clients[i].conn);
    gy_sim_settle(scenario_sim);
    scenario_check(echo_counts.opened == echo_counts.closed, "%llu streams opened, %llu closed",
                   (unsigned long long)echo_counts.opened, (unsigned long long)echo_counts.closed);
    if (draining)
        scenario_check(gy_sim_until(scenario_sim, is_over, NULL, 60 * GY_S), "the drain does not end");
    return scenario_close();
}

const struct scenario scenario_echo = {"echo", "clients of all tempers over a network that breaks", run};
