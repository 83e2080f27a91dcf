/* Hosts that connect to each other and to themselves, all at once, while the network breaks,
 * hosts lose their power and come back, and half of those that connect change their minds: they
 * close, half-close or abort at any moment, before, while and after the connection is made. What
 * comes back over a stream is what was sent, from the first byte on, nothing twice; a stream
 * that ends in order has had all of it; each opens at most once and is closed exactly once, and
 * no handle is left. */
#include "tests/sim/dialer.h"
#include "tests/sim/echo.h"
#include "tests/sim/scenario.h"

#include <errno.h>
#include <string.h>

#define HOSTS_MAX 3
#define SHARDS_MAX 2
#define CALLS_MAX 60

static unsigned host_count, shards;
static unsigned base[HOSTS_MAX];

static struct order {
    unsigned place; /* the shard that connects, in the world */
    uint32_t bytes;
    struct gy_connect_options options;
    const char *addrs[3];
    char text[3][64];
    unsigned count;
    bool gave_up; /* it was not to have all that it sent */
    bool lost;    /* its host crashed: nobody is left to be told */
} orders[CALLS_MAX];
static unsigned made; /* orders that are calls */

static uint64_t pick(uint64_t n)
{
    return gy_sim_random(scenario_sim) % n;
}

/* ---- connecting ---- */

static int connect_now(unsigned shard, void *arg)
{
    struct order *order = arg;

    (void)shard;
    return dialer_connect_any(order->place, order->addrs, order->count, &order->options,
                              order->bytes);
}

static void address(struct order *order, unsigned i)
{
    unsigned port = pick(8) == 0 ? ECHO_PORT + 1 : ECHO_PORT; /* sometimes nobody listens there */

    gy_sim_host_address(scenario_sim, (unsigned)pick(host_count), port, order->text[i],
                        sizeof(order->text[i]));
    order->addrs[i] = order->text[i];
    if (pick(6) == 0)
        order->addrs[i] = "127.0.0.1:7";
    if (pick(6) == 0)
        order->addrs[i] = "[::1]:7";
}

static void begin(void)
{
    struct order *order = &orders[made];

    memset(order, 0, sizeof(*order));
    order->place = (unsigned)pick(host_count * shards);
    order->bytes = (uint32_t)pick(pick(2) ? 30000 : 100);
    order->options = (struct gy_connect_options)GY_CONNECT_OPTIONS_INIT;
    order->options.timeout_ns = 1 + pick(10 * GY_S);
    order->options.held_max = 1 + (uint32_t)pick(16);
    order->options.keep_alive_s = (uint32_t)(pick(2) * 10);
    order->count = 1 + (unsigned)pick(3);
    for (unsigned i = 0; i < order->count; i++)
        address(order, i);
    int err = gy_sim_run_on(scenario_sim, order->place, connect_now, order);
    scenario_check(err == 0 || err == -EAGAIN || err == -ESRCH || err == -ENOMEM,
                   "connecting answers %d", err);
    /* Without a buffer for all that it was to send it is a call all the same. */
    order->gave_up = err < 0;
    made = dialer_called;
}

/* ---- changing one's mind ---- */

static int change(unsigned shard, void *arg)
{
    struct dialer_call *call = arg;
    struct order *order = &orders[call - dialer_calls];
    uint64_t most_ns;

    (void)shard;
    switch (pick(4)) {
    case 0:
        gy_stream_half_close(call->stream);
        return 0;
    case 1:
        gy_stream_close(call->stream);
        break;
    case 2:
        most_ns = 1 + pick(GY_S);
        gy_stream_linger(call->stream, most_ns, 1 + pick(20000));
        break;
    default:
        gy_stream_abort(call->stream);
        break;
    }
    order->gave_up = true;
    return 0;
}

static void change_of(unsigned number)
{
    struct dialer_call *call = &dialer_calls[number];

    if (call->stream != NULL)
        (void)gy_sim_run_on(scenario_sim, orders[call - dialer_calls].place, change, call);
}

/* While the connection is being made, whenever that is on this network. */
static void last_one_changes(const struct gy_sim_config *config)
{
    gy_sim_advance(scenario_sim, pick(5 * config->link.latency_ns + GY_MS / 4));
    change_of(made - 1);
}

/* ---- the world ---- */

static void crash(unsigned host)
{
    gy_sim_crash(scenario_sim, host);
    for (unsigned i = 0; i < made; i++)
        if (orders[i].place / shards == host && dialer_calls[i].stream != NULL) {
            orders[i].lost = true;
            dialer_calls[i].stream = NULL;
        }
}

static void blow(bool harsh)
{
    unsigned host = (unsigned)pick(host_count);

    if (pick(2)) {
        gy_sim_partition(scenario_sim, host, pick(2) != 0);
    } else if (harsh) {
        if (gy_sim_host_state(scenario_sim, host) == GY_SIM_RUNNING)
            crash(host);
        else
            scenario_check(gy_sim_restart(scenario_sim, host) == 0, "host %u does not start", host);
    }
}

static int end_all(unsigned shard, void *arg)
{
    (void)shard;
    for (unsigned i = 0; i < made; i++)
        if (dialer_calls[i].stream != NULL && orders[i].place == *(const unsigned *)arg) {
            orders[i].gave_up = true;
            gy_stream_abort(dialer_calls[i].stream);
        }
    return 0;
}

static void check_call(unsigned i)
{
    const struct dialer_call *call = &dialer_calls[i];

    scenario_check(!call->wrong, "stream %u: other bytes came back, or its events twice", i);
    if (orders[i].lost)
        return;
    scenario_check(call->closed, "stream %u was never closed", i);
    scenario_check(call->opened || call->received == 0, "stream %u received before it opened", i);
    scenario_check(call->opened || call->why != 0 || orders[i].gave_up,
                   "stream %u ended for no reason", i);
    scenario_check(call->why != 0 || orders[i].gave_up || call->received == orders[i].bytes,
                   "stream %u ended in order after %llu of %u bytes", i,
                   (unsigned long long)call->received, orders[i].bytes);
    scenario_add("streams opened", call->opened);
    scenario_add("streams that had all", call->opened && call->received == orders[i].bytes);
    scenario_add("connects that failed", !call->opened && call->why != 0);
    scenario_add("connects given up", !call->opened && call->why == 0);
}

static bool hosts_open(struct gy_sim_config *config)
{
    if (!scenario_open(config, dialer_boot, &base[0]))
        return false;
    for (unsigned i = 1; i < host_count; i++) {
        base[i] = i * shards;
        scenario_check(gy_sim_add_host(scenario_sim, NULL, shards, dialer_boot, &base[i]) == (int)i,
                       "host %u does not start", i);
    }
    return true;
}

static uint64_t run(struct gy_sim_config *config)
{
    uint64_t seed = config->seed;
    bool harsh = seed % 2 == 0;

    memset(base, 0, sizeof(base));
    made = 0;
    dialer_reset();
    host_count = 1 + (unsigned)(seed % HOSTS_MAX);
    shards = 1 + (unsigned)(seed / 3 % SHARDS_MAX);
    config->shards = shards;
    config->runtime.accept = seed / 6 % 3 == 0 ? GY_ACCEPT_ONE : GY_ACCEPT_SHARED;
    config->handles_max = seed % 5 == 0 ? 12 : 4096;
    if (harsh)
        gy_sim_faults_swarm(&config->faults, seed, true);
    config->faults.memory_fail_ppm = 0;
    if (!hosts_open(config))
        return 0;
    for (unsigned step = 0; step < 120 && made < CALLS_MAX; step++) {
        unsigned what = (unsigned)pick(8);
        if (what < 4)
            begin();
        if (what < 2 && made > 0)
            last_one_changes(config);
        else if (what >= 4 && what < 7 && made > 0)
            change_of((unsigned)pick(made));
        else if (what == 7)
            blow(harsh);
        gy_sim_advance(scenario_sim, pick(3) == 0 ? 0 : pick(300 * GY_MS));
    }
    for (unsigned i = 0; i < host_count; i++)
        if (gy_sim_host_state(scenario_sim, i) != GY_SIM_RUNNING)
            scenario_check(gy_sim_restart(scenario_sim, i) == 0, "host %u does not start", i);
    gy_sim_heal(scenario_sim);
    gy_sim_advance(scenario_sim, 300 * GY_S);
    gy_sim_settle(scenario_sim);
    for (unsigned i = 0; i < host_count * shards; i++)
        (void)gy_sim_run_on(scenario_sim, i, end_all, &i);
    gy_sim_settle(scenario_sim);
    for (unsigned i = 0; i < made; i++)
        check_call(i);
    return scenario_close();
}

const struct scenario scenario_streams = {"streams", "hosts that connect to each other", run};
