/* Messages, answers, bounds and order, on one shard and between two, under a driver whose time
 * stands still. */
#include "fake_driver.h"
#include "counter.h"

#include "core/kernel.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

/* ---- fixture: two shards, an asker on shard 0, a counter here and one there ---- */

static struct fake_driver fake;
static asker_pid ask;
static counter_pid here, there;

static struct counter *counter_of(counter_pid pid)
{
    struct gy_actor *a = gy__actor_find(fake.shard[gy_pid_shard(pid.pid)].shard, pid.pid.bits);
    assert_non_null(a);
    return (struct counter *)(void *)a;
}
static struct asker *asker_of(asker_pid pid)
{
    return (struct asker *)(void *)gy__actor_find(fake.shard[0].shard, pid.pid.bits);
}

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    int err = counter_spawn(shard == 0 ? &here : &there, &(struct counter_args){ 0 });
    if (err == 0 && shard == 0)
        err = asker_spawn(&ask, &(struct asker_args){ 0 });
    return err;
}

static void open_with(uint32_t mailbox, uint32_t ring, uint32_t fifo, uint32_t futures)
{
    struct gy_config config;
    gy_config_init(&config);
    if (mailbox)
        config.mailbox = mailbox;
    if (ring)
        config.ring_cells = ring;
    if (fifo)
        config.fifo_cells = fifo;
    if (futures)
        config.futures = futures;
    config.actors_max = 65536;
    fake_open(&fake, &config, 2, boot, NULL);
}
static int set_up(void **state)
{
    (void)state;
    open_with(0, 0, 0, 0);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(fake.shard[i].shard->futures_live, 0);
        assert_int_equal(fake.shard[i].shard->kept_live, 0);
        assert_int_equal(fake.shard[i].shard->mesh.out[1 - i].calls, 0);
    }
    fake_close(&fake);
    return 0;
}

static void go(counter_pid to, uint32_t kind, uint32_t n, uint64_t deadline_ns)
{
    fake_enter(&fake, 0);
    assert_int_equal(asker_go(ask, (struct asker_go_msg){ to, kind, n, deadline_ns }), 0);
    fake_leave();
}
static uint64_t count(unsigned shard, enum gy__core_counter which)
{
    return fake.shard[shard].shard->core_counters[which];
}

/* ---- tests ---- */

static void casts_arrive_in_order(void **state)
{
    (void)state;
    counter_pid to[] = { here, there };
    for (unsigned t = 0; t < 2; t++) {
        go(to[t], ASK_ADD, 30, 0);
        fake_settle(&fake);
        struct counter *c = counter_of(to[t]);
        assert_int_equal(c->seen, 30);
        for (unsigned i = 0; i < 30; i++)
            assert_int_equal(c->log[i], i);
        assert_int_equal(asker_of(ask)->done, 0);
    }
}

static void calls_are_answered(void **state)
{
    (void)state;
    counter_of(here)->n = 17;
    counter_of(there)->n = 18;
    go(here, ASK_GET, 3, 0);
    fake_settle(&fake);
    go(there, ASK_GET, 2, 0);
    fake_settle(&fake);
    struct asker *a = asker_of(ask);
    assert_int_equal(a->done, 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(a->res[i], 0);
        assert_int_equal(a->value[i], i < 3 ? 17 : 18);
        assert_int_equal(a->ctx[i], i < 3 ? i : i - 3);
    }
}

static void call(counter_pid to, uint32_t key, gy_fut *out)
{
    counter_get_fut f = counter_get(to, (struct counter_get_msg){ key });
    *out = f.fut;
}
struct seen {
    int res;
    unsigned times;
};
static void on_seen(struct gy_actor *self, const struct gy_done *done)
{
    struct seen *seen = (struct seen *)(uintptr_t)done->ctx;
    (void)self;
    seen->res = done->res;
    seen->times++;
}
static struct gy_actor *nobody(unsigned shard)
{
    return &fake.shard[shard].shard->nobody;
}
static int outcome(unsigned shard, gy_fut f)
{
    struct seen seen = { 12345, 0 };
    fake_enter(&fake, shard);
    assert_int_equal(gy_then_raw(nobody(shard), f, on_seen, (uint64_t)(uintptr_t)&seen), 0);
    assert_int_equal(seen.times, 0);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(seen.times, 1);
    return seen.res;
}

static void errors_reach_the_caller(void **state)
{
    (void)state;
    counter_pid to[] = { here, there };
    for (unsigned t = 0; t < 2; t++) {
        gy_fut reject, silent;
        fake_enter(&fake, 0);
        call(to[t], 404, &reject);
        call(to[t], 500, &silent);
        fake_leave();
        fake_settle(&fake);
        assert_int_equal(outcome(0, reject), -ENOENT);
        assert_int_equal(outcome(0, silent), -EOWNERDEAD);
    }
    assert_int_equal(count(0, GY__COUNT_ABANDONED) + count(1, GY__COUNT_ABANDONED), 2);
}

static void a_reject_without_an_error_is_refused(void **state)
{
    (void)state;
    counter_pid to[] = { here, there };
    for (uint32_t key = 200; key < 202; key++) {
        for (unsigned t = 0; t < 2; t++) {
            gy_fut f;
            fake_enter(&fake, 0);
            call(to[t], key, &f);
            fake_leave();
            fake_settle(&fake);
            assert_int_equal(counter_of(to[t])->rejected, -EINVAL);
            assert_int_equal(outcome(0, f), -EINVAL);
        }
    }
}

static void a_value_of_another_size_is_none(void **state)
{
    (void)state;
    go(here, ASK_GET, 1, 1); /* answered with one byte */
    go(there, ASK_GET, 1, 1);
    fake_settle(&fake);
    struct asker *a = asker_of(ask);
    assert_int_equal(a->done, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(a->res[i], 0);
        assert_int_equal(a->value[i], -1);
    }
}

static void second_consumer_is_busy(void **state)
{
    (void)state;
    struct seen seen = { 0, 0 };
    gy_fut f;
    fake_enter(&fake, 0);
    call(here, 0, &f);
    assert_int_equal(gy_then_raw(nobody(0), f, on_seen, (uint64_t)(uintptr_t)&seen), 0);
    assert_int_equal(gy_then_raw(nobody(0), f, on_seen, (uint64_t)(uintptr_t)&seen), -EBUSY);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(seen.times, 1);
}

/* While the function that waits for an answer runs, its future is still there, though it may be let go. */
struct own {
    gy_fut fut, first, second;
    void (*let_go)(gy_fut fut);
    int again;
    unsigned times;
};
static void on_own(struct gy_actor *self, const struct gy_done *done)
{
    struct own *own = (struct own *)(uintptr_t)done->ctx;
    own->times++;
    own->again = gy_then_raw(self, own->fut, on_seen, 0);
    call(here, 0, &own->first);
    if (own->let_go != NULL)
        own->let_go(own->fut);
    call(there, 0, &own->second);
}
static void own_future_stays_while_its_consumer_runs(void **state)
{
    (void)state;
    counter_pid to[] = { here, there };
    void (*const let_go[])(gy_fut) = { NULL, gy_forget, gy_discard };
    for (unsigned t = 0; t < 6; t++) {
        struct gy_shard *shard = fake.shard[0].shard;
        struct own own = { .let_go = let_go[t / 2] };
        fake_enter(&fake, 0);
        call(to[t % 2], 0, &own.fut);
        assert_int_equal(gy_then_raw(nobody(0), own.fut, on_own, (uint64_t)(uintptr_t)&own), 0);
        fake_leave();
        fake_settle(&fake);
        assert_int_equal(own.times, 1);
        assert_int_equal(own.again, -EBUSY);
        assert_int_equal(gy_refused(own.first) | gy_refused(own.second), 0);
        /* Both calls took other slots, and only these two are in the list now. */
        uint32_t slot = gy__fut_slot(own.fut.bits), first = gy__fut_slot(own.first.bits),
                 second = gy__fut_slot(own.second.bits);
        assert_true(first != slot && second != slot);
        assert_int_equal(nobody(0)->gy__futures, second);
        assert_int_equal(shard->futures[second].prev, 0);
        assert_int_equal(shard->futures[second].next, first);
        assert_int_equal(shard->futures[first].prev, second);
        assert_int_equal(shard->futures[first].next, 0);
        assert_int_equal(shard->futures_live, 2);
        assert_int_equal(outcome(0, own.first), 0);
        assert_int_equal(outcome(0, own.second), 0);
        /* The handle leads nowhere any more. */
        assert_int_equal(outcome(0, own.fut), -EINVAL);
    }
}

static void kept_promise_is_answered_later(void **state)
{
    (void)state;
    counter_pid to[] = { here, there };
    for (unsigned t = 0; t < 2; t++) {
        go(to[t], ASK_WAIT, 1, 0);
        fake_settle(&fake);
        struct asker *a = asker_of(ask);
        unsigned before = a->done;
        unsigned shard = gy_pid_shard(to[t].pid);
        counter_wait_promise p = counter_of(to[t])->waiting;
        fake_enter(&fake, shard);
        assert_int_equal(gy_discarded(p.promise), 0);
        assert_int_equal(counter_wait_resolve(p, (struct counter_wait_reply){ 99 }), 0);
        assert_int_equal(counter_wait_resolve(p, (struct counter_wait_reply){ 98 }), -ESRCH);
        assert_int_equal(a->done, before);
        fake_leave();
        fake_settle(&fake);
        assert_int_equal(a->done, before + 1);
        assert_int_equal(a->value[before], 99);
    }
}

static void deadline_ends_a_call(void **state)
{
    (void)state;
    counter_pid to[] = { here, there };
    for (unsigned t = 0; t < 2; t++) {
        go(to[t], ASK_WAIT, 1, 5 * GY_MS);
        fake_settle(&fake);
        struct asker *a = asker_of(ask);
        unsigned before = a->done;
        fake_advance(&fake, 4 * GY_MS);
        assert_int_equal(a->done, before);
        fake_advance(&fake, 2 * GY_MS);
        assert_int_equal(a->done, before + 1);
        assert_int_equal(a->res[before], -ETIMEDOUT);
        /* The callee was told: its promise is gone, a late answer is refused. */
        fake_enter(&fake, gy_pid_shard(to[t].pid));
        counter_wait_promise p = counter_of(to[t])->waiting;
        assert_int_equal(gy_discarded(p.promise), 1);
        assert_int_equal(counter_wait_resolve(p, (struct counter_wait_reply){ 1 }), -ESRCH);
        fake_leave();
        fake_settle(&fake);
        assert_int_equal(a->done, before + 1);
    }
}

static void a_deadline_ends_with_its_call(void **state)
{
    (void)state;
    counter_pid to[] = { here, there };
    for (unsigned t = 0; t < 2; t++) {
        struct asker *a = asker_of(ask);
        unsigned before = a->done;
        uint64_t armed = fake.shard[0].shard->wheel.armed;
        go(to[t], ASK_WAIT, 1, 5 * GY_MS);
        fake_settle(&fake);
        assert_int_equal(fake.shard[0].shard->wheel.armed, armed + 1);
        fake_advance(&fake, GY_MS);
        fake_enter(&fake, gy_pid_shard(to[t].pid));
        counter_wait_promise p = counter_of(to[t])->waiting;
        assert_int_equal(counter_wait_resolve(p, (struct counter_wait_reply){ 7 }), 0);
        fake_leave();
        fake_settle(&fake);
        assert_int_equal(a->res[before], 0);
        assert_int_equal(fake.shard[0].shard->wheel.armed, armed);
        fake_advance(&fake, 10 * GY_MS);
        assert_int_equal(a->done, before + 1);
    }
}

static void discard_runs_later_and_once(void **state)
{
    (void)state;
    counter_pid to[] = { here, there };
    for (unsigned t = 0; t < 2; t++) {
        struct asker *a = asker_of(ask);
        unsigned before = a->done;
        go(to[t], ASK_DISCARD, 1, 0);
        fake_settle(&fake);
        assert_int_equal(a->then_inside, 0);
        assert_int_equal(a->done, before + 1);
        assert_int_equal(a->res[before], -ECANCELED);
    }
    /* The calls were handled all the same; their promises end with their actors. */
    fake_enter(&fake, 0);
    assert_int_equal(gy_actor_stop(here.pid, 0), 0);
    assert_int_equal(gy_actor_stop(there.pid, 0), 0);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(count(0, GY__COUNT_LATE_ANSWERS), 2);
}

static void dead_actor_is_detected(void **state)
{
    (void)state;
    counter_pid to[] = { here, there };
    counter_stops = 0;
    fake_enter(&fake, 0);
    assert_int_equal(gy_actor_stop(here.pid, -EPIPE), 0);
    assert_int_equal(gy_actor_stop(there.pid, -EPIPE), 0);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(counter_stops, 2);
    assert_int_equal(counter_stopped_why, -EPIPE);
    fake_enter(&fake, 0);
    assert_int_equal(counter_add(here, (struct counter_add_msg){ 1 }), -ESRCH);
    assert_int_equal(counter_add(there, (struct counter_add_msg){ 1 }), 0);
    assert_int_equal(gy_actor_stop(here.pid, 0), -ESRCH);
    gy_fut f[2];
    call(to[0], 0, &f[0]);
    call(to[1], 0, &f[1]);
    assert_int_equal(gy_refused(f[0]), -ESRCH);
    assert_int_equal(gy_refused(f[1]), 0);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(count(1, GY__COUNT_DEAD_LETTERS), 1);
    assert_int_equal(outcome(0, f[0]), -ESRCH);
    assert_int_equal(outcome(0, f[1]), -EOWNERDEAD);
}

static void slot_is_reused_under_another_pid(void **state)
{
    (void)state;
    counter_pid again;
    fake_enter(&fake, 0);
    assert_int_equal(gy_actor_stop(here.pid, 0), 0);
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
    assert_int_equal(counter_spawn(&again, &(struct counter_args){ 3 }), 0);
    assert_int_equal(gy__pid_slot(again.pid.bits), gy__pid_slot(here.pid.bits));
    assert_false(gy_pid_equal(again.pid, here.pid));
    assert_int_equal(counter_add(here, (struct counter_add_msg){ 1 }), -ESRCH);
    assert_int_equal(counter_of(again)->n, 3);
    assert_int_equal(counter_of(again)->seen, 0);
    fake_leave();
}

static void wrapping_generation_retires_the_slot(void **state)
{
    (void)state;
    struct gy_shard *shard = fake.shard[0].shard;
    counter_pid last, other;
    fake_enter(&fake, 0);
    assert_int_equal(counter_spawn(&last, &(struct counter_args){ 0 }), 0);
    uint32_t slot = gy__pid_slot(last.pid.bits);
    /* Its last life. */
    shard->slots[slot].generation = UINT32_MAX - 2;
    struct gy_actor *actor = gy__actor_at(shard, slot);
    actor->pid.bits = (actor->pid.bits & ~(uint64_t)UINT32_MAX) | (UINT32_MAX - 2);
    assert_int_equal(gy_actor_stop(actor->pid, 0), 0);
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
    assert_int_equal(counter_spawn(&other, &(struct counter_args){ 0 }), 0);
    assert_int_not_equal(gy__pid_slot(other.pid.bits), slot);
    fake_leave();
}

static void failed_start_leaves_nothing(void **state)
{
    (void)state;
    counter_pid pid = { { 42 } };
    fake_enter(&fake, 0);
    uint32_t live = fake.shard[0].shard->actors_live;
    assert_int_equal(counter_spawn(&pid, &(struct counter_args){ -EACCES }), -EACCES);
    assert_int_equal(pid.pid.bits, 42);
    assert_int_equal(fake.shard[0].shard->actors_live, live);
    fake_leave();
}

static void spawn_on_another_shard(void **state)
{
    (void)state;
    go(here, ASK_SPAWN, 1, 0);
    fake_settle(&fake);
    struct asker *a = asker_of(ask);
    assert_int_equal(a->res[0], 0);
    assert_int_equal(gy_pid_shard(a->to.pid), 1);
    assert_int_equal(counter_of(a->to)->n, 5);
    go(here, ASK_SPAWN, 1, 1);
    fake_settle(&fake);
    assert_int_equal(a->res[1], -EPERM);
}

static void failure_ends_the_actor_not_the_rest(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    assert_int_equal(counter_add(here, (struct counter_add_msg){ -666 }), 0);
    gy_fut f;
    call(here, 0, &f);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(counter_stopped_why, -EPROTO);
    assert_int_equal(outcome(0, f), -EOWNERDEAD);
}

static void death_answers_what_was_kept(void **state)
{
    (void)state;
    counter_pid to[] = { here, there };
    go(here, ASK_WAIT, 3, 0);
    go(there, ASK_WAIT, 3, 0);
    fake_settle(&fake);
    fake_enter(&fake, 0);
    for (unsigned t = 0; t < 2; t++)
        assert_int_equal(gy_actor_stop(to[t].pid, 0), 0);
    fake_leave();
    fake_settle(&fake);
    struct asker *a = asker_of(ask);
    assert_int_equal(a->done, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(a->res[i], -EOWNERDEAD);
}

static void callers_death_frees_its_futures(void **state)
{
    (void)state;
    go(here, ASK_WAIT, 5, 10 * GY_MS);
    go(there, ASK_WAIT, 5, 10 * GY_MS);
    fake_settle(&fake);
    assert_int_equal(fake.shard[0].shard->futures_live, 10);
    fake_enter(&fake, 0);
    assert_int_equal(gy_actor_stop(ask.pid, 0), 0);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(fake.shard[0].shard->futures_live, 0);
    fake_advance(&fake, 20 * GY_MS);
}

static void stop_now_drops_what_waits(void **state)
{
    (void)state;
    gy_fut f;
    counter_stops = 0;
    fake_enter(&fake, 0);
    struct counter *c = counter_of(here);
    assert_int_equal(counter_add(here, (struct counter_add_msg){ 1 }), 0);
    call(here, 0, &f);
    assert_int_equal(gy_actor_stop_now(here.pid, 0), 0);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(counter_stops, 1);
    assert_int_equal(c->seen, 0);
    assert_int_equal(outcome(0, f), -EOWNERDEAD);
}

static void holding_keeps_order(void **state)
{
    (void)state;
    counter_pid to[] = { here, there };
    for (unsigned t = 0; t < 2; t++) {
        struct counter *c = counter_of(to[t]);
        unsigned shard = gy_pid_shard(to[t].pid);
        uint32_t slot = gy__pid_slot(to[t].pid.bits);
        int32_t room = gy__mailbox_room(fake.shard[shard].shard, slot);
        fake_enter(&fake, 0);
        assert_int_equal(counter_hold(to[t], (struct counter_hold_msg){ 1 }), 0);
        fake_leave();
        go(to[t], ASK_ADD, 60, 0);
        fake_settle(&fake);
        go(to[t], ASK_ADD, 40, 0);
        fake_settle(&fake);
        assert_int_equal(c->seen, 0);
        fake_enter(&fake, shard);
        gy_unhold(&c->actor);
        fake_leave();
        fake_settle(&fake);
        assert_int_equal(c->seen, 100);
        for (unsigned i = 0; i < 100; i++)
            assert_int_equal(c->log[i], i < 60 ? i : i - 60);
        assert_int_equal(gy__mailbox_room(fake.shard[shard].shard, slot), room);
        assert_int_equal(fake.shard[shard].shard->fifo.pool.lent, 0);
    }
}

static void holding_actor_stops_in_order(void **state)
{
    (void)state;
    gy_fut f;
    struct counter *c = counter_of(here);
    fake_enter(&fake, 0);
    gy_hold(&c->actor);
    assert_int_equal(counter_add(here, (struct counter_add_msg){ 4 }), 0);
    call(here, 0, &f);
    assert_int_equal(gy_actor_stop(here.pid, 0), 0);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(c->stopped, 0);
    fake_enter(&fake, 0);
    gy_unhold(&c->actor);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(outcome(0, f), 0);
    fake_enter(&fake, 0);
    assert_int_equal(counter_add(here, (struct counter_add_msg){ 4 }), -ESRCH);
    fake_leave();
}

/* The sender sees -EAGAIN, waits for room, and in the end everything has arrived once, in order. */
static void full_is_told_and_room_comes_again(void **state)
{
    (void)state;
    counter_pid to[] = { here, there };
    for (unsigned t = 0; t < 2; t++) {
        struct asker *a = asker_of(ask);
        struct counter *c = counter_of(to[t]);
        unsigned room = a->room;
        go(to[t], ASK_ADD_UNTIL_FULL, 3000, 0);
        fake_settle(&fake);
        assert_int_equal(a->left, 0);
        assert_true(a->room > room);
        assert_int_equal(c->seen, 3000);
        for (unsigned i = 0; i < 3000; i++)
            assert_int_equal(c->log[i], 3000 - i);
        assert_int_equal(a->done, 0);
    }
    assert_true(count(0, GY__COUNT_REFUSED) > 0);
}
static int set_up_small(void **state)
{
    (void)state;
    open_with(16, 16, 64, 8);
    return 0;
}

static void mailbox_bound_is_exact(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(counter_add(here, (struct counter_add_msg){ 1 }), 0);
    fake_leave();
    fake_settle(&fake);
    struct counter *c = counter_of(here);
    /* Hold, so that depth is what was sent: 16 fit, the 17th is refused at the sender. */
    fake_enter(&fake, 0);
    gy_hold(&c->actor);
    unsigned sent = 0;
    for (unsigned round = 0; round < 6; round++) {
        while (counter_add(here, (struct counter_add_msg){ 1 }) == 0)
            sent++;
        fake_leave();
        fake_settle(&fake);
        fake_enter(&fake, 0);
    }
    assert_int_equal(sent, 16);
    /* What comes by ring and finds the stash full: calls are answered, casts counted. */
    fake_leave();
    fake_enter(&fake, 1);
    gy_fut f;
    call(here, 0, &f);
    assert_int_equal(counter_add(here, (struct counter_add_msg){ 1 }), 0);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(outcome(1, f), -EAGAIN);
    assert_int_equal(count(0, GY__COUNT_DROPPED), 1);
    assert_int_equal(gy__stats_of(&c->actor)->dropped, 1);
}

static void future_table_and_credit_are_bounded(void **state)
{
    (void)state;
    gy_fut f[9];
    fake_enter(&fake, 0);
    for (unsigned i = 0; i < 9; i++) {
        counter_wait_fut w = counter_wait(i < 4 ? here : there, (struct counter_wait_msg){ 1 });
        f[i] = w.fut;
        fake_leave();
        fake_settle(&fake);
        fake_enter(&fake, 0);
    }
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(gy_refused(f[i]), 0);
    assert_int_equal(gy_refused(f[8]), -EAGAIN);
    fake_leave();
    assert_int_equal(outcome(0, f[8]), -EAGAIN);
    fake_enter(&fake, 0);
    for (unsigned i = 0; i < 8; i++)
        gy_discard(f[i]);
    fake_leave();
    fake_settle(&fake);
}

/* Both shards fill the rings to each other with calls; every call is answered. */
static void full_rings_in_both_directions(void **state)
{
    (void)state;
    gy_fut f[2][8];
    unsigned n[2] = { 0, 0 };
    counter_pid to[] = { there, here };
    for (unsigned s = 0; s < 2; s++) {
        fake_enter(&fake, s);
        while (n[s] < 8) {
            call(to[s], 0, &f[s][n[s]]);
            if (gy_refused(f[s][n[s]]) != 0)
                break;
            n[s]++;
        }
        fake_leave();
        assert_true(n[s] > 0);
    }
    for (unsigned s = 0; s < 2; s++)
        for (unsigned i = 0; i < n[s]; i++)
            assert_int_equal(outcome(s, f[s][i]), 0);
}

static void posts_come_from_outside(void **state)
{
    (void)state;
    assert_int_equal(counter_add_post(fake.runtime, there, (struct counter_add_msg){ 8 }), 0);
    fake_settle(&fake);
    assert_int_equal(counter_of(there)->n, 8);
    unsigned sent = 0;
    while (counter_add_post(fake.runtime, there, (struct counter_add_msg){ 1 }) == 0)
        sent++;
    fake_settle(&fake);
    assert_int_equal(counter_of(there)->n, 8 + sent);
}

/* A shard that announced its sleep is woken once by whoever publishes next. */
static void sleeper_is_woken_once(void **state)
{
    (void)state;
    gy__shard_announce_sleep(fake.shard[1].shard);
    assert_false(gy__shard_look_again(fake.shard[1].shard));
    unsigned wakes = fake.shard[1].wakes;
    for (unsigned i = 0; i < 3; i++) {
        go(there, ASK_ADD, 1, 0);
        gy__shard_run(fake.shard[0].shard);
        gy__shard_publish(fake.shard[0].shard);
        gy__shard_run(fake.shard[0].shard);
        gy__shard_publish(fake.shard[0].shard);
    }
    assert_int_equal(fake.shard[1].wakes, wakes + 1);
    assert_true(gy__shard_look_again(fake.shard[1].shard));
    gy__shard_awake(fake.shard[1].shard);
    fake_settle(&fake);
    assert_int_equal(counter_of(there)->seen, 3);
}

/* Nothing wakes a sleeper that waits for room but the receiver who makes it. */
static void sleeper_for_room_is_woken(void **state)
{
    (void)state;
    struct asker *a = asker_of(ask);
    go(there, ASK_ADD_UNTIL_FULL, 40, 0);
    gy__shard_run(fake.shard[0].shard);
    gy__shard_publish(fake.shard[0].shard);
    assert_true(a->left > 0);
    gy__shard_announce_sleep(fake.shard[0].shard);
    assert_false(gy__shard_look_again(fake.shard[0].shard));
    unsigned wakes = fake.shard[0].wakes;
    gy__shard_run(fake.shard[1].shard);
    gy__shard_publish(fake.shard[1].shard);
    assert_int_equal(fake.shard[0].wakes, wakes + 1);
    assert_true(gy__shard_look_again(fake.shard[0].shard));
    gy__shard_awake(fake.shard[0].shard);
    fake_settle(&fake);
    assert_int_equal(a->left, 0);
}

/* A shard that spins instead of sleeping finds the room by itself. */
static void spinner_for_room_sees_it(void **state)
{
    (void)state;
    struct asker *a = asker_of(ask);
    go(there, ASK_ADD_UNTIL_FULL, 40, 0);
    gy__shard_run(fake.shard[0].shard);
    gy__shard_publish(fake.shard[0].shard);
    assert_true(a->left > 0);
    assert_false(gy__shard_inbound(fake.shard[0].shard));
    gy__shard_run(fake.shard[1].shard);
    gy__shard_publish(fake.shard[1].shard);
    assert_true(gy__shard_inbound(fake.shard[0].shard));
    fake_settle(&fake);
    assert_int_equal(a->left, 0);
}

static void after_is_ready_in_time(void **state)
{
    (void)state;
    struct seen seen = { 77, 0 };
    fake_enter(&fake, 0);
    gy_fut f = gy_after(3 * GY_MS);
    assert_int_equal(gy_then_raw(nobody(0), f, on_seen, (uint64_t)(uintptr_t)&seen), 0);
    fake_leave();
    fake_advance(&fake, 2 * GY_MS);
    assert_int_equal(seen.times, 0);
    fake_advance(&fake, 2 * GY_MS);
    assert_int_equal(seen.times, 1);
    assert_int_equal(seen.res, 0);
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, set_up, tear_down)
#define TEST_SMALL(F) cmocka_unit_test_setup_teardown(F, set_up_small, tear_down)
/* ---- gates: two bytes that say for young slots what the slot says ---- */

/* An actor whose slot has had so many lives, this one counted. */
static counter_pid of_life(unsigned life)
{
    counter_pid pid = { { 0 } };
    for (unsigned i = 0; i < life; i++) {
        if (i > 0)
            assert_int_equal(gy_actor_stop_now(pid.pid, 0), 0);
        fake_leave();
        fake_settle(&fake);
        fake_enter(&fake, 0);
        uint32_t slot = gy__pid_slot(pid.pid.bits);
        assert_int_equal(counter_spawn(&pid, &(struct counter_args){ 0 }), 0);
        assert_true(i == 0 || gy__pid_slot(pid.pid.bits) == slot);
    }
    return pid;
}

/* Fill its mailbox, let it empty it, and again: always exactly so many fit. */
static void fill_exactly(counter_pid pid, uint32_t mailbox)
{
    struct gy_shard *shard = fake.shard[0].shard;
    uint32_t slot = gy__pid_slot(pid.pid.bits);
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(gy__mailbox_room(shard, slot), mailbox);
        for (uint32_t i = 0; i < mailbox; i++)
            assert_int_equal(counter_add(pid, (struct counter_add_msg){ 1 }), 0);
        assert_int_equal(gy__mailbox_room(shard, slot), 0);
        assert_int_equal(counter_add(pid, (struct counter_add_msg){ 1 }), -EAGAIN);
        assert_int_equal(gy_refused(counter_get(pid, (struct counter_get_msg){ 0 }).fut), -EAGAIN);
        fake_leave();
        fake_settle(&fake);
        fake_enter(&fake, 0);
    }
    assert_int_equal(counter_of(pid)->n, 3 * mailbox);
}

static void a_mailbox_is_exact_by_gate_and_by_slot(void **state)
{
    static const uint32_t mailboxes[] = { 1, 2, 254, 255, 256, 300 };
    static const unsigned lives[] = { 1, 255, 256 };
    (void)state;
    for (unsigned m = 0; m < sizeof(mailboxes) / sizeof(mailboxes[0]); m++) {
        fake_close(&fake);
        open_with(mailboxes[m], 0, 0, 0);
        for (unsigned l = 0; l < sizeof(lives) / sizeof(lives[0]); l++) {
            fake_enter(&fake, 0);
            counter_pid pid = of_life(lives[l]);
            fill_exactly(pid, mailboxes[m]);
            fake_leave();
        }
    }
}

/* Whatever life a slot is in, pids of all others are known for what they are. */
static void no_other_life_passes_for_this_one(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    for (unsigned life = 1; life <= 600; life += life < 254 || life > 258 ? 37 : 1) {
        counter_pid pid = of_life(life), other = pid;
        assert_int_equal(counter_add(pid, (struct counter_add_msg){ 1 }), 0);
        for (uint32_t low = 0; low < 1400; low++) {
            other.pid.bits = (pid.pid.bits & ~(uint64_t)UINT32_MAX) | low;
            if (other.pid.bits == pid.pid.bits)
                continue;
            assert_int_equal(counter_add(other, (struct counter_add_msg){ 1 }), -ESRCH);
            assert_int_equal(gy_refused(counter_get(other, (struct counter_get_msg){ 0 }).fut), -ESRCH);
        }
        other.pid.bits = pid.pid.bits | UINT32_MAX;
        assert_int_equal(counter_add(other, (struct counter_add_msg){ 1 }), -ESRCH);
        fake_leave();
        fake_settle(&fake);
        fake_enter(&fake, 0);
        assert_int_equal(counter_of(pid)->n, 1);
    }
    fake_leave();
}

/* What was on its way to an actor that ended makes no room for the one that has its slot now. */
static void a_new_life_begins_with_all_its_room(void **state)
{
    (void)state;
    for (unsigned life = 1; life <= 256; life += 255) {
        fake_enter(&fake, 0);
        counter_pid pid = of_life(life);
        uint32_t slot = gy__pid_slot(pid.pid.bits);
        int32_t room = gy__mailbox_room(fake.shard[0].shard, slot);
        for (unsigned i = 0; i < 300; i++)
            assert_int_equal(counter_add(pid, (struct counter_add_msg){ 1 }), 0);
        gy__actor_finish(fake.shard[0].shard, &counter_of(pid)->actor, 0);
        assert_int_equal(counter_spawn(&pid, &(struct counter_args){ 0 }), 0);
        assert_int_equal(gy__pid_slot(pid.pid.bits), slot);
        assert_int_equal(gy__mailbox_room(fake.shard[0].shard, slot), room);
        fake_leave();
        fake_settle(&fake);
        assert_int_equal(gy__mailbox_room(fake.shard[0].shard, slot), room);
        assert_int_equal(counter_of(pid)->n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(casts_arrive_in_order),
        TEST(calls_are_answered),
        TEST(errors_reach_the_caller),
        TEST(a_reject_without_an_error_is_refused),
        TEST(a_value_of_another_size_is_none),
        TEST(second_consumer_is_busy),
        TEST(own_future_stays_while_its_consumer_runs),
        TEST(kept_promise_is_answered_later),
        TEST(deadline_ends_a_call),
        TEST(a_deadline_ends_with_its_call),
        TEST(discard_runs_later_and_once),
        TEST(dead_actor_is_detected),
        TEST(slot_is_reused_under_another_pid),
        TEST(wrapping_generation_retires_the_slot),
        TEST(failed_start_leaves_nothing),
        TEST(spawn_on_another_shard),
        TEST(failure_ends_the_actor_not_the_rest),
        TEST(death_answers_what_was_kept),
        TEST(callers_death_frees_its_futures),
        TEST(stop_now_drops_what_waits),
        TEST(holding_keeps_order),
        TEST(holding_actor_stops_in_order),
        TEST_SMALL(full_is_told_and_room_comes_again),
        TEST_SMALL(mailbox_bound_is_exact),
        TEST_SMALL(future_table_and_credit_are_bounded),
        TEST_SMALL(full_rings_in_both_directions),
        TEST(posts_come_from_outside),
        TEST(sleeper_is_woken_once),
        TEST_SMALL(sleeper_for_room_is_woken),
        TEST_SMALL(spinner_for_room_sees_it),
        TEST(after_is_ready_in_time),
        TEST(a_mailbox_is_exact_by_gate_and_by_slot),
        TEST(no_other_life_passes_for_this_one),
        TEST(a_new_life_begins_with_all_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
