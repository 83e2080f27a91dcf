/* Datagrams, simulated: a service that echoes and peers on other hosts, without and with faults. */
#include "gyre/datagram.h"
#include "gyre/sim.h"
#include "gyre/typed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct gy_sim *sim;

/* What a test wants of a socket, and what became of it. */
struct plan {
    const char *bind, *connect, *to;
    uint32_t n, len;
    uint16_t segment; /* one buffer of n * len bytes, in segments of that */
    bool echoes;
    const char *join;
    uint32_t queue_max, receive_bytes, held_max;
    uint64_t every_ns; /* 0: all at once */

    bool opened, closed, joined;
    int why, join_res;
    uint32_t asked, accepted, eagain, drained, received, truncated, failed;
    int last_error;
    uint32_t seen[4096];
    struct gy_datagram_counts counts;
    struct gy_addr local, last_from;
    struct gy_buf *kept[64];
    uint32_t keep, kept_n;
};

struct peer_args {
    struct plan *plan;
};
GY_ACTOR(peer);
struct peer {
    struct gy_actor actor;
    struct plan *plan;
    struct gy_datagram_socket *s;
    uint32_t next;
};

static struct peer *peer_of(struct gy_actor *self)
{
    return (struct peer *)(void *)self;
}

static void send_on(struct peer *self);
GY_THEN_RES(peer, peer_again)
{
    (void)ctx, (void)res;
    send_on(self);
}

static void send_on(struct peer *self)
{
    struct plan *plan = self->plan;
    struct gy_addr to;
    bool has_to = plan->to != NULL;
    if (has_to)
        assert_int_equal(gy_addr_parse(&to, plan->to), 0);
    while (self->next < plan->n) {
        uint32_t count = plan->segment > 0 ? plan->n : 1;
        struct gy_buf *buf = gy_buf_take(plan->len * count + 4);
        assert_non_null(buf);
        buf->len = plan->len * count;
        for (uint32_t i = 0; i < count; i++) {
            memset(buf->data + i * plan->len, (int)(self->next + i), plan->len);
            if (plan->len >= 4)
                memcpy(buf->data + i * plan->len, &(uint32_t){self->next + i}, 4);
        }
        plan->asked += count;
        int err = plan->segment > 0 ? gy_datagram_send_segments(self->s, has_to ? &to : NULL, buf,
                                                                plan->segment) :
                                      gy_datagram_send(self->s, has_to ? &to : NULL, buf);
        if (err < 0) {
            gy_buf_release(buf);
            assert_int_equal(err, -EAGAIN);
            plan->asked -= count;
            plan->eagain++;
            return; /* drained() goes on */
        }
        plan->accepted += count;
        self->next += count;
        if (plan->every_ns > 0) {
            (void)gy_then(self, gy_after(plan->every_ns), peer_again, 0);
            return;
        }
    }
}

static void on_join(struct gy_actor *self, const struct gy_done *done)
{
    peer_of(self)->plan->join_res = done->res;
    peer_of(self)->plan->joined = true;
}
static void on_opened(struct gy_actor *self, struct gy_datagram_socket *s)
{
    struct plan *plan = peer_of(self)->plan;
    plan->opened = true;
    plan->local = *gy_datagram_local(s);
    if (plan->join != NULL) {
        struct gy_addr group;
        assert_int_equal(gy_addr_parse(&group, plan->join), 0);
        gy_fut fut = gy_datagram_set_raw(self, s, GY_DATAGRAM_JOIN, 0, &group, 0);
        assert_int_equal(gy_then_raw(self, fut, on_join, 0), 0);
    }
}
static void on_received(struct gy_actor *self, struct gy_datagram_socket *s, struct gy_buf *buf,
                        const struct gy_datagram_info *info)
{
    struct plan *plan = peer_of(self)->plan;
    uint32_t number = 0;
    plan->received++;
    plan->truncated += info->truncated;
    plan->last_from = info->from;
    if (buf->len >= 4) {
        memcpy(&number, buf->data, 4);
        for (uint32_t i = 4; i < buf->len; i++)
            assert_int_equal(buf->data[i], (uint8_t)number);
    }
    plan->seen[number % 4096]++;
    if (plan->kept_n < plan->keep)
        plan->kept[plan->kept_n++] = buf;
    else if (!plan->echoes || gy_datagram_send(s, &info->from, buf) < 0)
        gy_buf_release(buf);
}
static void on_failed(struct gy_actor *self, struct gy_datagram_socket *s, int err,
                      const struct gy_addr *to)
{
    (void)s, (void)to;
    peer_of(self)->plan->failed++;
    peer_of(self)->plan->last_error = err;
}
static void on_drained(struct gy_actor *self, struct gy_datagram_socket *s)
{
    (void)s;
    peer_of(self)->plan->drained++;
    send_on(peer_of(self));
}
static void on_closed(struct gy_actor *self, struct gy_datagram_socket *s, int why)
{
    (void)s;
    assert_false(peer_of(self)->plan->closed);
    peer_of(self)->plan->closed = true;
    peer_of(self)->plan->why = why;
}
static const struct gy_datagram_events events = {on_opened, on_received, on_failed, on_drained,
                                                 on_closed};

static int peer_start(struct peer *self, const struct peer_args *args)
{
    struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
    self->plan = args->plan;
    options.bind = args->plan->bind;
    options.connect = args->plan->connect;
    if (args->plan->queue_max > 0)
        options.queue_max = args->plan->queue_max;
    if (args->plan->held_max > 0)
        options.held_max = args->plan->held_max;
    options.receive_bytes = args->plan->receive_bytes;
    int err = gy_datagram_open(self, &events, &options, &self->s);
    if (err == 0)
        send_on(self);
    return err;
}
static void peer_stop(struct peer *self, int why)
{
    (void)why;
    while (self->plan->kept_n > 0)
        gy_buf_release(self->plan->kept[--self->plan->kept_n]);
}
GY_ACTOR_TYPE(peer, peer_start, peer_stop);

enum { PEER_CLOSE = 1, PEER_ABORT, PEER_COUNT, PEER_RELEASE };
struct peer_tell_msg {
    uint32_t what;
};
GY_CAST(peer, tell);
GY_VERB(peer, tell);
void peer_on_tell(struct peer *self, const struct peer_tell_msg *msg)
{
    if (msg->what == PEER_CLOSE)
        gy_datagram_close(self->s);
    else if (msg->what == PEER_ABORT)
        gy_datagram_abort(self->s);
    else if (msg->what == PEER_COUNT)
        gy_datagram_count(self->s, &self->plan->counts);
    if (msg->what == PEER_RELEASE)
        self->plan->keep = 0;
    while (msg->what == PEER_RELEASE && self->plan->kept_n > 0)
        gy_buf_release(self->plan->kept[--self->plan->kept_n]);
}

static peer_pid pids[4];
static unsigned pids_n;

static int boot(unsigned shard, void *arg)
{
    (void)shard;
    return peer_spawn(&pids[pids_n++], &(struct peer_args){arg});
}

static void open_world(uint64_t seed, bool faults, struct plan *first)
{
    struct gy_sim_config config;
    pids_n = 0;
    gy_sim_config_init(&config, seed, calloc, free, puts, abort);
    if (faults)
        gy_sim_faults_swarm(&config.faults, seed, false);
    config.datagram_mtu = 1500;
    assert_int_equal(gy_sim_open(&sim, &config, boot, first), 0);
}
static void add_host(struct plan *plan)
{
    struct gy_sim_config config;
    gy_sim_config_init(&config, 1, calloc, free, puts, abort);
    assert_true(gy_sim_add_host(sim, &config.runtime, 1, boot, plan) > 0);
}
static void tell(unsigned peer, uint32_t what)
{
    struct gy_runtime *runtime = gy_sim_runtime(sim, peer);
    assert_int_equal(peer_tell_post(runtime, pids[peer], (struct peer_tell_msg){what}), 0);
    gy_sim_settle(sim);
}
static void close_world(void)
{
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

/* ---- tests ---- */

static void without_faults_each_comes_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct plan server = {.bind = "0.0.0.0:5353", .echoes = true};
        struct plan client = {.bind = "0.0.0.0:0", .to = "10.0.1.1:5353", .n = 500, .len = 1 + seed * 60,
                              .queue_max = 32, .every_ns = 20000};
        open_world(seed, false, &server);
        add_host(&client);
        gy_sim_settle(sim);
        gy_sim_advance(sim, GY_S);
        gy_sim_settle(sim);
        assert_int_equal(client.accepted, 500);
        assert_int_equal(server.received, 500);
        assert_int_equal(client.received, 500);
        for (uint32_t i = 0; i < 500 && client.len >= 4; i++)
            assert_int_equal(client.seen[i], 1);
        assert_int_equal(client.failed, 0);
        assert_true(server.last_from.port == client.local.port);
        close_world();
    }
}

static void with_faults_counts_are_bounded(void **state)
{
    uint64_t all_lost = 0, all_doubled = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct plan server = {.bind = "[::]:53", .echoes = false};
        struct plan client = {.bind = "[::]:0", .to = "[fd00::1]:53", .n = 500, .len = 40,
                              .every_ns = 50000};
        uint64_t lost, doubled;
        open_world(seed, true, &server);
        add_host(&client);
        gy_sim_advance(sim, 3 * (uint64_t)GY_S);
        gy_sim_heal(sim);
        gy_sim_advance(sim, GY_S);
        gy_sim_settle(sim);
        tell(0, PEER_COUNT);
        gy_sim_datagrams(sim, &lost, &doubled);
        assert_int_equal(client.accepted, 500);
        assert_int_equal(server.received + server.counts.dropped + lost + client.failed, 500 + doubled);
        all_lost += lost;
        all_doubled += doubled;
        close_world();
    }
    assert_true(all_lost > 0 && all_doubled > 0);
}

static void a_queue_is_bounded_and_drains(void **state)
{
    (void)state;
    struct plan server = {.bind = "0.0.0.0:9000"};
    struct plan client = {.connect = "10.0.1.1:9000", .n = 1000, .len = 100, .queue_max = 16};
    open_world(6, false, &server);
    add_host(&client);
    gy_sim_settle(sim);
    gy_sim_advance(sim, GY_S);
    gy_sim_settle(sim);
    assert_true(client.eagain > 10);
    assert_true(client.drained > 10);
    assert_int_equal(client.accepted, 1000);
    tell(0, PEER_COUNT);
    assert_int_equal(server.received + server.counts.dropped, 1000);
    tell(1, PEER_COUNT);
    assert_int_equal(client.counts.sent, 1000);
    assert_int_equal(client.counts.refused, client.eagain);
    close_world();
}

static void segments_arrive_one_by_one(void **state)
{
    (void)state;
    /* Whether the kernel can do it is by seed. */
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct plan server = {.bind = "0.0.0.0:7", .receive_bytes = 1 << 20};
        struct plan client = {.connect = "10.0.1.1:7", .n = 200, .len = 1000, .segment = 1000};
        open_world(seed, false, &server);
        add_host(&client);
        gy_sim_settle(sim);
        gy_sim_advance(sim, GY_S);
        gy_sim_settle(sim);
        assert_int_equal(server.received, 200);
        for (uint32_t i = 0; i < 200; i++)
            assert_int_equal(server.seen[i], 1);
        tell(1, PEER_COUNT);
        assert_int_equal(client.counts.sent, 200);
        assert_int_equal(client.counts.sent_bytes, 200000);
        close_world();
    }
}

static void errors_are_told(void **state)
{
    (void)state;
    struct plan server = {.bind = "0.0.0.0:7"};
    struct plan refused = {.connect = "10.0.1.1:8", .n = 3, .len = 10, .every_ns = GY_MS};
    struct plan large = {.bind = "0.0.0.0:0", .to = "10.0.1.1:7", .n = 2, .len = 1501};
    struct plan nowhere = {.bind = "0.0.0.0:0", .to = "10.9.9.9:7", .n = 1, .len = 10};
    open_world(1, false, &server);
    add_host(&refused);
    add_host(&large);
    add_host(&nowhere);
    gy_sim_advance(sim, GY_S);
    gy_sim_settle(sim);
    assert_int_equal(refused.last_error, -ECONNREFUSED);
    assert_int_equal(refused.failed, 3);
    assert_int_equal(large.last_error, -EMSGSIZE);
    assert_int_equal(large.failed, 2);
    assert_int_equal(nowhere.last_error, -ENETUNREACH);
    assert_int_equal(server.received, 0);
    close_world();
}

static void a_full_buffer_drops(void **state)
{
    (void)state;
    struct plan server = {.bind = "0.0.0.0:7", .keep = 8, .held_max = 8, .receive_bytes = 2000};
    struct plan client = {.connect = "10.0.1.1:7", .n = 100, .len = 100, .every_ns = 10000};
    open_world(1, false, &server);
    add_host(&client);
    gy_sim_advance(sim, GY_S);
    gy_sim_settle(sim);
    /* It holds 8 and receives no more: the rest waits in the socket, or is dropped. */
    assert_true(server.received >= 8 && server.received < 40);
    tell(0, PEER_RELEASE);
    tell(0, PEER_COUNT);
    assert_true(server.counts.dropped > 0);
    assert_int_equal(server.received + server.counts.dropped, 100);
    close_world();
}

static void long_ones_are_cut_and_say_so(void **state)
{
    (void)state;
    struct gy_sim_config config;
    struct plan server = {.bind = "0.0.0.0:7"};
    struct plan client = {.connect = "10.0.1.1:7", .n = 2, .len = 1000};
    pids_n = 0;
    gy_sim_config_init(&config, 1, calloc, free, puts, abort);
    config.runtime.recv_buffer_size = 512;
    assert_int_equal(gy_sim_open(&sim, &config, boot, &server), 0);
    add_host(&client);
    gy_sim_settle(sim);
    assert_int_equal(server.received, 2);
    assert_int_equal(server.truncated, 2);
    close_world();
}

static void groups_reach_who_joined(void **state)
{
    (void)state;
    struct plan member = {.bind = "0.0.0.0:1900", .join = "239.1.2.3:0"};
    struct plan other = {.bind = "0.0.0.0:1900"};
    struct plan sender = {.bind = "0.0.0.0:0", .to = "239.1.2.3:1900", .n = 5, .len = 20,
                          .every_ns = 10 * GY_MS};
    open_world(1, false, &member);
    add_host(&other);
    add_host(&sender);
    gy_sim_advance(sim, GY_S);
    gy_sim_settle(sim);
    assert_true(member.joined);
    assert_int_equal(member.join_res, 0);
    assert_true(member.received >= 4); /* the first may be before it had joined */
    assert_int_equal(other.received, 0);
    close_world();
}

static void taken_addresses_are_told(void **state)
{
    (void)state;
    struct plan plan = {.bind = "10.0.1.99:5"};
    open_world(1, false, &plan);
    gy_sim_settle(sim);
    assert_true(plan.closed);
    assert_int_equal(plan.why, -EADDRNOTAVAIL);
    assert_false(plan.opened);
    close_world();
}

static void closing_sends_what_is_queued(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        struct plan server = {.bind = "0.0.0.0:7"};
        struct plan client = {.connect = "10.0.1.1:7", .n = 100, .len = 10};
        open_world(1 + round, false, &server);
        add_host(&client);
        tell(1, round == 0 ? PEER_CLOSE : PEER_ABORT);
        gy_sim_settle(sim);
        assert_true(client.closed);
        assert_int_equal(client.why, 0);
        if (round == 0)
            assert_int_equal(server.received, 100);
        close_world();
    }
}

/* ---- a world that ends at any moment ---- */

static void it_ends_at_any_moment(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 80; seed++) {
        struct plan server = {.bind = "0.0.0.0:7", .echoes = true};
        struct plan client = {.connect = "10.0.1.1:7", .n = 2000, .len = 200, .queue_max = 64};
        open_world(seed, seed % 2 == 0, &server);
        add_host(&client);
        gy_sim_advance(sim, seed * 37777);
        if (seed % 3 == 0)
            gy_sim_crash(sim, 0);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

/* ---- UNIX ---- */

static void unix_keeps_order_and_waits(void **state)
{
    (void)state;
    /* A socket sends to itself by its path: 300 datagrams through a buffer for few. */
    struct plan self = {.bind = "unix:@here", .to = "unix:@here", .n = 300, .len = 100,
                        .queue_max = 256, .receive_bytes = 1000};
    open_world(1, false, &self);
    gy_sim_settle(sim);
    gy_sim_advance(sim, GY_S);
    gy_sim_settle(sim);
    assert_int_equal(self.received, 300);
    for (uint32_t i = 0; i < 300; i++)
        assert_int_equal(self.seen[i], 1);
    assert_true(self.last_from.family == GY_ADDR_UNIX);
    close_world();

    struct plan lonely = {.bind = "unix:@here", .to = "unix:/nowhere", .n = 2, .len = 4};
    open_world(1, false, &lonely);
    gy_sim_settle(sim);
    assert_int_equal(lonely.failed, 2);
    assert_int_equal(lonely.last_error, -ENOENT);
    close_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_faults_each_comes_once),
        cmocka_unit_test(with_faults_counts_are_bounded),
        cmocka_unit_test(a_queue_is_bounded_and_drains),
        cmocka_unit_test(segments_arrive_one_by_one), cmocka_unit_test(errors_are_told),
        cmocka_unit_test(a_full_buffer_drops), cmocka_unit_test(long_ones_are_cut_and_say_so),
        cmocka_unit_test(groups_reach_who_joined), cmocka_unit_test(taken_addresses_are_told),
        cmocka_unit_test(closing_sends_what_is_queued), cmocka_unit_test(it_ends_at_any_moment),
        cmocka_unit_test(unix_keeps_order_and_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
