/* Hosts that send numbered datagrams to each other over a network that loses, doubles and delays them,
 * and cuts hosts apart; sockets that close and open again meanwhile. Nothing is invented: what was received is
 * at most what was sent and what was doubled, each number at most as often as it was sent and doubled; without
 * faults each comes exactly once. And when all is over no buffer is missing. */
#include "tests/sim/scenario.h"

#include "gyre/datagram.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS_MAX 4
#define NUMBERS 1024u
#define PORT 4000

static struct shared {
    uint32_t hosts, each;
    bool exact, reopens;
    uint32_t sent[HOSTS_MAX][NUMBERS]; /* by sender: how often the kernel took it */
    uint32_t received[HOSTS_MAX][NUMBERS];
    uint64_t all_sent, all_received, all_failed, not_open, ended, open_failures;
} shared;

struct talker_args {
    uint32_t host;
};
GY_ACTOR(talker);
struct talker {
    struct gy_actor actor;
    struct gy_datagram_socket *s;
    struct gy_buf *held[8]; /* some are kept for a while, as slow programs do */
    uint32_t host, next, reopened;
    bool done;
};

static struct talker *talker_of(struct gy_actor *self)
{
    return (struct talker *)(void *)self;
}

static int open_socket(struct talker *self);

static void on_received(struct gy_actor *self, struct gy_datagram_socket *s, struct gy_buf *buf,
                        const struct gy_datagram_info *info)
{
    struct talker *talker = talker_of(self);
    uint32_t words[2];
    uint64_t slot = gy_random() % 16;
    (void)s;
    scenario_check(!info->truncated && buf->len >= sizeof(words), "a datagram of %u bytes", buf->len);
    memcpy(words, buf->data, sizeof(words));
    scenario_check(words[0] < shared.hosts && words[1] < NUMBERS, "a datagram nobody has sent");
    for (uint32_t i = sizeof(words); i < buf->len; i++)
        scenario_check(buf->data[i] == (uint8_t)(words[1] + i), "byte %u of a datagram is wrong", i);
    shared.received[words[0]][words[1]]++;
    shared.all_received++;
    if (slot < 8 && !talker->done) {
        gy_buf_release(talker->held[slot]);
        talker->held[slot] = buf;
    } else {
        gy_buf_release(buf);
    }
}
static void on_failed(struct gy_actor *self, struct gy_datagram_socket *s, int err,
                      const struct gy_addr *to)
{
    (void)self, (void)s;
    if (to != NULL)
        shared.all_failed++;
    scenario_check(err == -ENOBUFS || err == -ECONNREFUSED, "a datagram failed with %d", err);
    scenario_check(!shared.exact, "a datagram failed without faults: %d", err);
}
static void on_closed(struct gy_actor *self, struct gy_datagram_socket *s, int why)
{
    struct talker *talker = talker_of(self);
    (void)s;
    scenario_check(why == 0 || why == -EMFILE || why == -EADDRINUSE || why == -ECANCELED,
                   "a socket ended with %d", why);
    shared.open_failures += why < 0;
    talker->s = NULL;
    if (why != -ECANCELED)
        (void)open_socket(talker);
}
static const struct gy_datagram_events events = {NULL, on_received, on_failed, NULL, on_closed};

static int open_socket(struct talker *self)
{
    struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
    options.bind = "0.0.0.0:4000";
    options.held_max = 1 + (uint32_t)(gy_random() % 8);
    options.receive_bytes = 1 << 20;
    int err = gy_datagram_open(self, &events, &options, &self->s);
    if (err < 0)
        self->s = NULL;
    return err;
}

static void send_one(struct talker *self)
{
    uint32_t words[2] = {self->host, self->next}, len = 8 + (uint32_t)(gy_random() % 100);
    struct gy_addr to = {.family = GY_ADDR_IPV4, .len = 4, .port = PORT,
                         .bytes = {10, 0, 1, (uint8_t)(1 + gy_random() % shared.hosts)}};
    struct gy_buf *buf = self->s != NULL ? gy_buf_take(len) : NULL;
    self->next++;
    if (buf == NULL) {
        shared.not_open++;
        return;
    }
    memcpy(buf->data, words, sizeof(words));
    for (uint32_t i = sizeof(words); i < len; i++)
        buf->data[i] = (uint8_t)(words[1] + i);
    buf->len = len;
    int err = gy_datagram_send(self->s, &to, buf);
    if (err < 0) {
        scenario_check(err == -EAGAIN || err == -EPIPE, "a send was refused with %d", err);
        gy_buf_release(buf);
        shared.not_open++;
        return;
    }
    shared.sent[self->host][words[1]]++;
    shared.all_sent++;
}

static void arm(struct talker *self);
GY_THEN_RES(talker, talker_tick)
{
    (void)ctx, (void)res;
    for (unsigned i = 0; i < 8; i++) {
        gy_buf_release(self->held[i]);
        self->held[i] = NULL;
    }
    for (uint64_t n = gy_random() % 8; n > 0 && self->next < shared.each; n--)
        send_one(self);
    if (shared.reopens && self->s != NULL && gy_random() % 16 == 0) {
        self->reopened++;
        if (gy_random() % 2 == 0)
            gy_datagram_close(self->s);
        else
            gy_datagram_abort(self->s);
    }
    if (self->s == NULL)
        (void)open_socket(self);
    if (self->next < shared.each) {
        arm(self);
    } else if (!self->done) {
        self->done = true;
        shared.ended++;
    }
}
static void arm(struct talker *self)
{
    (void)gy_then(self, gy_after(1 + gy_random() % (2 * GY_MS)), talker_tick, 0);
}

static int talker_start(struct talker *self, const struct talker_args *args)
{
    self->host = args->host;
    /* When all have started. */
    (void)gy_then(self, gy_after(200 * GY_MS), talker_tick, 0);
    return open_socket(self);
}
static void talker_stop(struct talker *self, int why)
{
    (void)why;
    for (unsigned i = 0; i < 8; i++)
        gy_buf_release(self->held[i]);
}
GY_ACTOR_TYPE(talker, talker_start, talker_stop);

static int boot(unsigned shard, void *arg)
{
    talker_pid pid;
    (void)shard;
    return talker_spawn(&pid, &(struct talker_args){(uint32_t)(uintptr_t)arg});
}

static bool all_ended(void *arg)
{
    (void)arg;
    return shared.ended == shared.hosts;
}

static void check(void)
{
    uint64_t lost, doubled;
    gy_sim_datagrams(scenario_sim, &lost, &doubled);
    scenario_check(shared.all_received <= shared.all_sent + doubled,
                   "%llu datagrams were received, %llu sent, %llu doubled",
                   (unsigned long long)shared.all_received, (unsigned long long)shared.all_sent,
                   (unsigned long long)doubled);
    for (uint32_t host = 0; host < shared.hosts; host++)
        for (uint32_t i = 0; i < shared.each; i++) {
            uint32_t sent = shared.sent[host][i], received = shared.received[host][i];
            scenario_check(received <= 2 * sent, "number %u of host %u came %u times", i, host,
                           received);
            scenario_check(!shared.exact || received == sent,
                           "number %u of host %u came %u times, was sent %u times", i, host,
                           received, sent);
        }
}

static uint64_t run(struct gy_sim_config *config)
{
    uint64_t seed = config->seed;
    memset(&shared, 0, sizeof(shared));
    shared.hosts = 1 + (uint32_t)(seed % HOSTS_MAX);
    shared.each = 100 + (uint32_t)(seed / 7 % (NUMBERS - 100));
    shared.exact = seed % 3 == 0;
    shared.reopens = !shared.exact && seed % 2 == 0;
    config->shards = 1;
    config->runtime.mailbox = 256;
    config->runtime.futures = 256;
    if (config->runtime.recv_buffer_size < 512)
        config->runtime.recv_buffer_size = 512;
    if (shared.exact)
        memset(&config->faults, 0, sizeof(config->faults));
    else if (seed % 4 == 1)
        gy_sim_faults_swarm(&config->faults, seed, true);
    config->faults.memory_fail_ppm = 0;
    if (!scenario_open(config, boot, NULL))
        return 0;
    for (uint32_t host = 1; host < shared.hosts; host++)
        if (gy_sim_add_host(scenario_sim, &config->runtime, 1, boot, (void *)(uintptr_t)host) < 0)
            shared.hosts = host;
    scenario_check(gy_sim_until(scenario_sim, all_ended, NULL, 1000 * (uint64_t)GY_S),
                   "nodes do not end");
    scenario_add("datagrams sent", shared.all_sent);
    scenario_add("datagrams received", shared.all_received);
    scenario_add("datagrams failed", shared.all_failed);
    scenario_add("datagram sockets not opened", shared.open_failures);
    gy_sim_heal(scenario_sim);
    gy_sim_advance(scenario_sim, 2 * (uint64_t)GY_S);
    gy_sim_settle(scenario_sim);
    check();
    return scenario_close();
}

const struct scenario scenario_datagrams = {"datagrams", "hosts that send each other datagrams",
                                            run};
