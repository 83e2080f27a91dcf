/* The edges of the message core, each of which once was wrong: stops that meet holds, bounds that
 * are used up, buffers on their way at the end, forged pids, code of the program's in odd places. */
#include "fake_driver.h"
#include "counter.h"

#include "core/kernel.h"
#include "core/bufs.h"
#include "gyre/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct fake_driver fake;

/* ---- an actor that runs what it is sent ---- */
typedef void (*act_fn)(struct gy_actor *self, uint64_t arg, gy_promise p, struct gy_buf *buf);
struct puppet {
    struct gy_actor actor;
    unsigned ran;
};
static void (*on_stop)(struct gy_actor *self, int why);
static unsigned stops;
static int puppet_start(struct gy_actor *self, const void *args)
{
    (void)self;
    return args == NULL ? 0 : *(const int *)args;
}
static void puppet_stop(struct gy_actor *self, int why)
{
    stops++;
    if (on_stop != NULL)
        on_stop(self, why);
}
static const struct gy_actor_type puppet_type = { "puppet", sizeof(struct puppet), sizeof(int),
                                                  puppet_start, puppet_stop };
static void puppet_act(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise p)
{
    const uint64_t *w = payload;
    act_fn fn;
    memcpy(&fn, &w[0], sizeof(fn));
    ((struct puppet *)(void *)self)->ran++;
    if (fn != NULL)
        fn(self, w[1], p, buf);
    else if (p.bits != 0)
        gy_resolve_raw(p, 0, NULL, 0, NULL);
}
static void puppet_act_buf(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise p)
{
    (void)payload, (void)p;
    ((struct puppet *)(void *)self)->ran++;
    gy_buf_release(buf);
}
static const struct gy_verb act = { "act", &puppet_type, puppet_act, 16, 0 };
static const struct gy_verb ask = { "ask", &puppet_type, puppet_act, 16, GY_VERB_CALL };
static const struct gy_verb give = { "give", &puppet_type, puppet_act_buf, 0, GY_VERB_BUF };

static uint64_t bits_of(act_fn fn)
{
    uint64_t b = 0;
    memcpy(&b, &fn, sizeof(fn));
    return b;
}
static int tell(gy_pid to, act_fn fn, uint64_t arg)
{
    return gy_cast_words(to, &act, bits_of(fn), arg, 0, 0);
}
static gy_fut request(gy_pid to, act_fn fn, uint64_t arg)
{
    return gy_call_words(to, &ask, bits_of(fn), arg, 0, 0);
}
static struct puppet *puppet_of(gy_pid pid)
{
    return (struct puppet *)(void *)gy__actor_find(fake.shard[gy_pid_shard(pid)].shard, pid.bits);
}
static gy_pid a, b, c, there; /* three on shard 0, one on shard 1 */

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    if (shard != 0)
        return gy_spawn_raw(&there, &puppet_type, NULL);
    int err = gy_spawn_raw(&a, &puppet_type, NULL);
    if (err == 0)
        err = gy_spawn_raw(&b, &puppet_type, NULL);
    if (err == 0)
        err = gy_spawn_raw(&c, &puppet_type, NULL);
    return err;
}
static void open_with(uint32_t ring, uint32_t fifo, uint32_t futures, uint32_t actors)
{
    struct gy_config config;
    gy_config_init(&config);
    config.ring_cells = ring ? ring : 512;
    if (fifo)
        config.fifo_cells = fifo;
    if (futures)
        config.futures = futures;
    config.actors_max = actors ? actors : 65536;
    on_stop = NULL;
    stops = 0;
    fake_open(&fake, &config, 2, boot, NULL);
}
static int set_up(void **state)
{
    (void)state;
    open_with(0, 0, 0, 0);
    return 0;
}
static int set_up_small(void **state)
{
    (void)state;
    open_with(16, 64, 8, 0);
    return 0;
}
static int abandon(void **state)
{
    (void)state;
    fake_abandon(&fake);
    return 0;
}

/* A shard that sleeps while buffers or discards wait for a full ring must be woken for room. */
static void backlog_is_sent_when_there_is_room(void **state)
{
    (void)state;
    struct gy_buf *bufs[20];
    fake_enter(&fake, 1);
    for (unsigned i = 0; i < 20; i++)
        assert_non_null(bufs[i] = gy_buf_take(100));
    fake_leave();
    fake_enter(&fake, 0);
    for (unsigned i = 0; i < 20; i++)
        gy_buf_release(bufs[i]); /* half of a ring of 16 fits */
    fake_leave();
    gy__shard_run(fake.shard[0].shard);
    gy__shard_publish(fake.shard[0].shard);
    assert_int_equal(gy__bufs_out(fake.shard[1].shard), 20);
    gy__shard_announce_sleep(fake.shard[0].shard);
    assert_false(gy__shard_look_again(fake.shard[0].shard));
    unsigned wakes = fake.shard[0].wakes;
    gy__shard_run(fake.shard[1].shard);
    gy__shard_publish(fake.shard[1].shard);
    assert_int_equal(gy__bufs_out(fake.shard[1].shard), 12);
    /* The ring is empty now, 12 buffers wait: shard 0 must be woken, or find it by looking. */
    assert_true(fake.shard[0].wakes > wakes || gy__shard_look_again(fake.shard[0].shard));
}

/* stop_now ends an actor that holds even if a plain stop waits in its stash. */
static void stop_now_ends_a_holder_that_was_to_stop(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    gy_hold(&puppet_of(b)->actor);
    assert_int_equal(gy_actor_stop(b, 0), 0);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(stops, 0);
    fake_enter(&fake, 0);
    assert_int_equal(gy_actor_stop_now(b, -EPIPE), 0);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(stops, 1);
}

/* A stop_now that was refused leaves no trace. */
static void nop_run(struct gy_actor *self, const struct gy_done *done)
{
    (void)self, (void)done;
}
static void refused_stop_now_leaves_no_trace(void **state)
{
    (void)state;
    gy_fut refused = { EAGAIN };
    fake_enter(&fake, 0);
    while (gy_then_raw(&puppet_of(a)->actor, refused, nop_run, 0) == 0)
        ;
    assert_int_equal(gy_actor_stop_now(b, 0), -EAGAIN);
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
    assert_int_equal(tell(b, NULL, 0), 0);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(puppet_of(b)->ran, 1);
}

/* hold/unhold again and again queues no more than one cell. */
static void toggle(struct gy_actor *self, uint64_t n, gy_promise p, struct gy_buf *buf)
{
    (void)p, (void)buf;
    for (uint64_t i = 0; i < n; i++) {
        gy_hold(self);
        gy_unhold(self);
    }
}
static void toggling_hold_is_bounded(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    gy_hold(&puppet_of(b)->actor);
    assert_int_equal(tell(b, NULL, 0), 0);
    fake_leave();
    fake_settle(&fake);
    uint64_t before = gy__fifo_pushed(&fake.shard[0].shard->fifo);
    fake_enter(&fake, 0);
    toggle(&puppet_of(b)->actor, 500000, (gy_promise){ 0 }, NULL);
    fake_leave();
    assert_true(gy__fifo_pushed(&fake.shard[0].shard->fifo) - before <= 2);
}

/* More actor types than the table of counters holds: each still ends by its own stop function
 * and gives back its own amount of memory. */
static unsigned big_stops, small_stops;
static int any_start(struct gy_actor *self, const void *args)
{
    (void)self, (void)args;
    return 0;
}
static void big_stop(struct gy_actor *self, int why)
{
    (void)self, (void)why;
    big_stops++;
}
static void small_stop(struct gy_actor *self, int why)
{
    (void)self, (void)why;
    small_stops++;
}
static void more_types_than_rows(void **state)
{
    static struct gy_actor_type types[GY__TYPES_MAX + 1];
    struct gy_shard *s = fake.shard[0].shard;
    gy_pid pid, big;
    unsigned i = 0;
    (void)state;
    fake_enter(&fake, 0);
    big_stops = small_stops = 0;
    for (unsigned t = 0; t <= GY__TYPES_MAX; t++)
        types[t] = (struct gy_actor_type){ "t", sizeof(struct gy_actor), 0, any_start, small_stop };
    while (s->type_count < GY__TYPES_MAX - 1)
        assert_int_equal(gy_spawn_raw(&pid, &types[i++], NULL), 0);
    types[i] = (struct gy_actor_type){ "big", 4096, 0, any_start, big_stop };
    assert_int_equal(gy_spawn_raw(&big, &types[i++], NULL), 0);
    /* One more is refused rather than mistaken for another. */
    assert_int_equal(gy_spawn_raw(&pid, &types[i], NULL), -EAGAIN);
    assert_int_equal(gy_actor_stop(big, 0), 0);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(big_stops, 1);
    assert_int_equal(small_stops, 0);
}

/* A pid with a slot beyond the table is refused, not followed. */
static void forged_slot_is_refused(void **state)
{
    (void)state;
    gy_pid forged = { (uint64_t)((1u << 22) - 1) << 32 | 1 };
    fake_enter(&fake, 0);
    assert_int_equal(tell(forged, NULL, 0), -ESRCH);
    fake_leave();
}
static void forged_slot_of_other_shard_is_a_dead_letter(void **state)
{
    (void)state;
    gy_pid forged = { (uint64_t)1 << 54 | (uint64_t)((1u << 22) - 1) << 32 | 1 };
    fake_enter(&fake, 0);
    assert_int_equal(tell(forged, NULL, 0), 0);
    fake_leave();
    fake_settle(&fake);
}
static int set_up_few_actors(void **state)
{
    (void)state;
    open_with(0, 0, 0, 1024);
    return 0;
}

/* A cast's waiter is told of room although all call credit to that shard is used up. */
static void keep_it(struct gy_actor *self, uint64_t arg, gy_promise p, struct gy_buf *buf)
{
    (void)self, (void)arg, (void)buf;
    assert_int_equal(gy_keep(p), 0);
}
static unsigned roomed;
static void on_room(struct gy_actor *self, uint64_t ctx)
{
    (void)self, (void)ctx;
    roomed++;
}
static int set_up_ring16(void **state)
{
    (void)state;
    open_with(16, 1024, 64, 0);
    return 0;
}
static void fill_and_wait(struct gy_actor *self, uint64_t arg, gy_promise p, struct gy_buf *buf)
{
    (void)arg, (void)p, (void)buf;
    while (tell(there, NULL, 0) == 0)
        ;
    assert_int_equal(gy_room_again_raw(self, there, on_room, 0), 0);
}
static void room_for_casts_needs_no_call_credit(void **state)
{
    (void)state;
    roomed = 0;
    for (unsigned i = 0; i < 8; i++) { /* the 8 calls that a ring of 16 allows, all kept */
        fake_enter(&fake, 0);
        gy_fut f = request(there, keep_it, 0);
        assert_int_equal(gy_refused(f), 0);
        fake_leave();
        fake_settle(&fake);
    }
    fake_enter(&fake, 0);
    assert_int_equal(tell(a, fill_and_wait, 0), 0);
    fake_leave();
    fake_settle(&fake);
    fake_settle(&fake);
    fake_enter(&fake, 0);
    assert_int_equal(tell(there, NULL, 0), 0); /* there is room */
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(roomed, 1);
}

/* The steps of gy__shard_announce_sleep() with a turn of the receiver between want_room and
 * sleeping: what it reads then must not eat the want. */
static void slow(struct gy_actor *self, uint64_t arg, gy_promise p, struct gy_buf *buf)
{
    (void)self, (void)arg, (void)p, (void)buf;
    fake.now_ns += 5000; /* so that a turn of shard 1 ends after 16 cells */
}
static void fill_slow_and_wait(struct gy_actor *self, uint64_t arg, gy_promise p, struct gy_buf *buf)
{
    (void)arg, (void)p, (void)buf;
    while (tell(there, slow, 0) == 0)
        ;
    assert_int_equal(gy_room_again_raw(self, there, on_room, 0), 0);
}
static void want_is_not_lost_between_want_and_sleeping(void **state)
{
    (void)state;
    struct gy_shard *s0 = fake.shard[0].shard, *s1 = fake.shard[1].shard;
    roomed = 0;
    fake_enter(&fake, 0);
    assert_int_equal(tell(a, fill_slow_and_wait, 0), 0);
    fake_leave();
    fake_turn(&fake, 0);
    fake_turn(&fake, 0);
    unsigned wakes = fake.shard[0].wakes;
    atomic_store(&s0->mesh.door->sleeping, 1); /* first half of gy__shard_announce_sleep */
    fake_turn(&fake, 1);   /* the receiver runs 16 of 128 and publishes */
    gy__room_announce(s0); /* second half */
    gy__full_fence();
    assert_false(gy__shard_look_again(s0)); /* the quota's mark is not reached: sleep */
    for (unsigned i = 0; i < 20; i++)
        fake_turn(&fake, 1);
    assert_int_equal(puppet_of(there)->ran, 128);
    (void)s1;
    assert_true(gy__shard_look_again(s0)); /* there is room, */
    assert_true(fake.shard[0].wakes > wakes); /* and it must have been told */
}

/* Waiting for room after a call was refused for want of a future slot must not spin. */
static unsigned tries;
static void try_again(struct gy_actor *self, uint64_t ctx)
{
    (void)ctx;
    tries++;
    gy_fut f = request(c, keep_it, 0);
    if (gy_refused(f) == -EAGAIN)
        assert_int_equal(gy_room_again_raw(self, c, try_again, 0), 0);
}
static void start_trying(struct gy_actor *self, uint64_t arg, gy_promise p, struct gy_buf *buf)
{
    (void)arg, (void)p, (void)buf;
    try_again(self, 0);
}
static void waiting_for_a_future_does_not_spin(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    for (unsigned i = 0; i < 8; i++)
        while (gy_refused(request(c, keep_it, 0)) == 0)
            ;
    fake_leave();
    for (unsigned i = 0; i < 20; i++)
        fake_turn(&fake, 0);
    fake_enter(&fake, 0);
    while (gy_refused(request(c, keep_it, 0)) == 0)
        ;
    tries = 0;
    assert_int_equal(tell(a, start_trying, 0), 0);
    fake_leave();
    for (unsigned i = 0; i < 100; i++)
        fake_turn(&fake, 0);
    assert_false(gy__shard_look_again(fake.shard[0].shard)); /* it may sleep: nothing can be run */
    assert_true(tries < 10);
}

/* Shutdown: what is on its way is given back. Shards that say STOPPED are run no more, as the
 * ring's driver does. */
static unsigned freed;
static void on_free(void *arg, const void *data)
{
    (void)arg, (void)data;
    freed++;
}
static void stop_all(void)
{
    for (unsigned i = 0; i < 2; i++)
        gy__runtime_stop(fake.runtime, i);
    for (unsigned round = 0; round < 100; round++)
        for (unsigned i = 0; i < 2; i++)
            if (gy__shard_phase(fake.runtime, i) != GY__PHASE_STOPPED)
                fake_turn(&fake, i);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(gy__shard_phase(fake.runtime, i), GY__PHASE_STOPPED);
    gy__runtime_sweep(fake.runtime);
    for (unsigned i = 0; i < 2; i++) {
        gy__shard_close(fake.shard[i].shard);
        free(fake.shard[i].buffers);
    }
    gy__runtime_close(fake.runtime);
}
/* The first shard to stop has stopped before the other one releases its buffers. */
static void give_away_at_stop(struct gy_actor *self, int why)
{
    (void)why;
    if (gy_pid_shard(self->pid) != 0)
        return;
    struct gy_buf *wrap = gy_buf_wrap("x", 1, on_free, NULL);
    struct gy_buf *large = gy_buf_take(1 << 20);
    if (gy_cast_raw(there, &give, NULL, wrap) < 0)
        gy_buf_release(wrap);
    if (gy_cast_raw(there, &give, NULL, large) < 0)
        gy_buf_release(large);
}
static void buffers_given_by_stop_functions_come_home(void **state)
{
    (void)state;
    freed = 0;
    on_stop = give_away_at_stop;
    gy__runtime_stop(fake.runtime, 1);
    for (unsigned i = 0; i < 10; i++)
        fake_turn(&fake, 1);
    stop_all();
    assert_int_equal(freed, 3);
    assert_int_equal(fake.block_count, 0);
}
static void buffers_of_a_stopped_shard_come_home(void **state)
{
    (void)state;
    freed = 0;
    fake_enter(&fake, 0);
    struct gy_buf *wrap = gy_buf_wrap("x", 1, on_free, NULL);
    struct gy_buf *large = gy_buf_take(1 << 20);
    assert_int_equal(gy_cast_raw(there, &give, NULL, wrap), 0);
    assert_int_equal(gy_cast_raw(there, &give, NULL, large), 0);
    fake_leave();
    gy__shard_publish(fake.shard[0].shard);
    gy__runtime_stop(fake.runtime, 0);
    for (unsigned i = 0; i < 10; i++)
        fake_turn(&fake, 0);
    stop_all();
    assert_int_equal(freed, 1);
    assert_int_equal(fake.block_count, 0);
}
static void buffers_on_their_way_come_home_at_stop(void **state)
{
    (void)state;
    freed = 0;
    fake_enter(&fake, 0);
    struct gy_buf *wrap = gy_buf_wrap("x", 1, on_free, NULL);
    struct gy_buf *large = gy_buf_take(1 << 20);
    assert_non_null(wrap);
    assert_non_null(large);
    assert_int_equal(gy_cast_raw(there, &give, NULL, wrap), 0);
    assert_int_equal(gy_cast_raw(there, &give, NULL, large), 0);
    fake_leave();
    gy__shard_publish(fake.shard[0].shard);
    stop_all();
    assert_int_equal(freed, 1);
    assert_int_equal(fake.block_count, 0);
}

/* A caller that gave up before its call was handled: the callee that keeps learns of it. */
static gy_promise kept_promise;
static void keep_and_note(struct gy_actor *self, uint64_t arg, gy_promise p, struct gy_buf *buf)
{
    (void)self, (void)arg, (void)buf;
    kept_promise = p;
    assert_int_equal(gy_keep(p), 0);
}
static void early_discard_is_told(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    gy_fut f = request(b, keep_and_note, 0);
    gy_discard(f);
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
    int local = gy_discarded(kept_promise);
    fake_leave();
    /* The same between shards, when the callee held meanwhile. */
    fake_enter(&fake, 1);
    gy_hold(&puppet_of(there)->actor);
    fake_leave();
    fake_enter(&fake, 0);
    f = request(there, keep_and_note, 0);
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
    gy_discard(f);
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 1);
    gy_unhold(&puppet_of(there)->actor);
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 1);
    int remote = gy_discarded(kept_promise);
    fake_leave();
    assert_int_equal(local, 1);
    assert_int_equal(remote, 1);
}

/* A free function that runs for a dead letter runs as nobody, not as an actor that is gone. */
static gy_pid self_at_free;
static void note_self(void *arg, const void *data)
{
    (void)arg, (void)data;
    self_at_free = gy_self();
}
static void stop_self(struct gy_actor *self, uint64_t arg, gy_promise p, struct gy_buf *buf)
{
    (void)arg, (void)p, (void)buf;
    assert_int_equal(gy_actor_stop(self->pid, 0), 0);
}
static void dead_letters_run_as_nobody(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    struct gy_buf *wrap = gy_buf_wrap("x", 1, note_self, NULL);
    assert_int_equal(gy_actor_stop(c, 0), 0);
    assert_int_equal(tell(b, stop_self, 0), 0);
    assert_int_equal(tell(a, stop_self, 0), 0);
    assert_int_equal(gy_cast_raw(c, &give, NULL, wrap), 0);
    self_at_free.bits = 0x1234;
    fake_leave();
    fake_settle(&fake);
    assert_true(self_at_free.bits == 0 || gy__actor_find(fake.shard[0].shard, self_at_free.bits));
}

/* No such shard is an error. */
static void spawn_on_a_shard_that_is_not(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    gy_fut f = gy_spawn_on_raw(1024, &puppet_type, NULL);
    int err = gy_refused(f);
    fake_leave();
    fake_settle(&fake);
    assert_true(err < 0);
}

/* Sends after gy_fail are refused, spawn_on this shard too. */
static int spawn_err, spawn_err_far;
static void fail_then_spawn(struct gy_actor *self, uint64_t arg, gy_promise p, struct gy_buf *buf)
{
    (void)arg, (void)p, (void)buf;
    gy_fail(self, -EPROTO);
    gy_fut f = gy_spawn_on_raw(1, &puppet_type, NULL);
    spawn_err_far = gy_refused(f);
    f = gy_spawn_on_raw(0, &puppet_type, NULL);
    spawn_err = gy_refused(f);
}
static void failed_actor_cannot_spawn_on(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    assert_int_equal(tell(a, fail_then_spawn, 0), 0);
    fake_leave();
    fake_settle(&fake);
    assert_int_equal(spawn_err_far, -EOWNERDEAD);
    assert_int_equal(spawn_err, -EOWNERDEAD);
}

/* A message sent after a stop, by the same actor to the same actor on another shard, is not
 * handled. */
static void stop_then_tell(struct gy_actor *self, uint64_t arg, gy_promise p, struct gy_buf *buf)
{
    (void)self, (void)arg, (void)p, (void)buf;
    assert_int_equal(gy_actor_stop(there, 0), 0);
    assert_int_equal(tell(there, NULL, 0), 0);
}
static unsigned ran_at_stop;
static void note_ran(struct gy_actor *self, int why)
{
    (void)why;
    ran_at_stop = ((struct puppet *)(void *)self)->ran;
}
static void stop_keeps_order_across_shards(void **state)
{
    (void)state;
    on_stop = note_ran;
    ran_at_stop = 77;
    fake_enter(&fake, 0);
    assert_int_equal(tell(a, stop_then_tell, 0), 0);
    fake_leave();
    fake_settle(&fake);
    on_stop = NULL;
    assert_int_equal(ran_at_stop, 0);
}

/* Dropped casts are counted. */
static void casts_dropped_by_stop_now_are_counted(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(tell(b, NULL, 0), 0);
    assert_int_equal(gy_actor_stop_now(b, 0), 0);
    fake_leave();
    fake_settle(&fake);
    struct gy_shard *s = fake.shard[0].shard;
    assert_true(s->core_counters[GY__COUNT_DEAD_LETTERS] + s->core_counters[GY__COUNT_DROPPED] >= 5);
}

/* A value larger than a message is refused. */
static int too_large;
static void answer_too_large(struct gy_actor *self, uint64_t arg, gy_promise p, struct gy_buf *buf)
{
    (void)self, (void)arg, (void)buf;
    too_large = gy_resolve_words(p, 48, 1, 2, 3, 4);
}
static void too_large_an_answer_is_refused(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    gy_fut f = request(b, answer_too_large, 0);
    (void)f;
    fake_leave();
    fake_expect_panic(&fake, "size", fake_settle(&fake));
}

/* The free function of a stored answer's buffer may forget the same future. */
static gy_fut own;
static void forget_own(void *arg, const void *data)
{
    (void)arg, (void)data;
    gy_forget(own);
}
static void answer_wrap(struct gy_actor *self, uint64_t arg, gy_promise p, struct gy_buf *buf)
{
    (void)self, (void)arg, (void)buf;
    gy_resolve_raw(p, 0, NULL, 0, gy_buf_wrap("x", 1, forget_own, NULL));
}
static void forgetting_may_reenter(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    own = request(b, answer_wrap, 0);
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
    gy_forget(own);
    fake_leave();
}

/* A call made by a free function that runs for a dead letter does not harm who lives there. */
static gy_fut stray;
static void call_at_free(void *arg, const void *data)
{
    (void)arg, (void)data;
    stray = request(there, NULL, 0);
}
static void call_in_free_function_of_dead_letter(void **state)
{
    (void)state;
    gy_pid d = { 0 };
    fake_enter(&fake, 0);
    struct gy_buf *wrap = gy_buf_wrap("x", 1, call_at_free, NULL);
    assert_int_equal(gy_actor_stop(c, 0), 0);
    assert_int_equal(tell(a, stop_self, 0), 0);
    assert_int_equal(gy_cast_raw(c, &give, NULL, wrap), 0);
    stray.bits = 0;
    fake_leave();
    gy__shard_run(fake.shard[0].shard);
    assert_int_equal(gy_refused(stray), 0);
    fake_enter(&fake, 0);
    /* a is gone and its slot is taken again; its new owner has a future of its own. */
    gy_fut later = { 0 };
    assert_int_equal(gy_spawn_raw(&d, &puppet_type, NULL), 0);
    fake.shard[0].shard->context.actor = &puppet_of(d)->actor;
    later = request(there, keep_it, 0);
    fake.shard[0].shard->context.actor = &fake.shard[0].shard->nobody;
    uint32_t list = puppet_of(d)->actor.gy__futures;
    assert_int_not_equal(list, 0);
    uint32_t nobodys = fake.shard[0].shard->nobody.gy__futures;
    gy_forget(stray);
    (void)later;
    /* Forgetting the stray one takes it from the list it is in. */
    assert_int_equal(gy__fut_slot(stray.bits), nobodys);
    fake_leave();
}

/* Runaway: a stop function that spawns its successor must not keep the runtime from ending. */
static void respawn(struct gy_actor *self, int why)
{
    gy_pid next;
    (void)self, (void)why;
    (void)!gy_spawn_raw(&next, &puppet_type, NULL);
}
static void stop_functions_that_spawn_end(void **state)
{
    (void)state;
    on_stop = respawn;
    gy__runtime_stop(fake.runtime, 0);
    for (unsigned i = 0; i < 1000; i++)
        fake_turn(&fake, 0);
    assert_int_equal(gy__shard_phase(fake.runtime, 0), GY__PHASE_STOPPED);
}

/* config: what the option allows must open. */
static void largest_future_table_opens(void **state)
{
    (void)state;
    struct gy_config config;
    struct gy_runtime *rt;
    gy_config_init(&config);
    config.futures = (1u << 20) - 1;
    fake_init(&fake);
    int err = gy__runtime_open(&rt, &config, 1, &fake.driver, &fake.control);
    if (err == 0)
        gy__runtime_close(rt);
    assert_int_equal(err, 0);
}

/* Even generations name nobody. */
static void even_generation_is_refused(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    assert_int_equal(gy_actor_stop(b, 0), 0);
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
    gy_pid forged = { b.bits + 1 };
    int err = tell(forged, NULL, 0);
    fake_leave();
    assert_int_equal(err, -ESRCH);
}

/* A turn looks at the clock every 16 cells, from however many rings they come. */
static gy_pid first_of[8];
static int boot8(unsigned shard, void *arg)
{
    (void)arg;
    return gy_spawn_raw(&first_of[shard], &puppet_type, NULL);
}
static void turn_is_bounded_over_all_rings(void **state)
{
    (void)state;
    struct gy_config config;
    gy_config_init(&config);
    config.actors_max = 65536;
    on_stop = NULL;
    fake_open(&fake, &config, 8, boot8, NULL);
    there = first_of[0];
    for (unsigned i = 1; i < 8; i++) {
        fake_enter(&fake, i);
        for (unsigned n = 0; n < 15; n++)
            assert_int_equal(tell(there, slow, 0), 0);
        fake_leave();
        fake_turn(&fake, i);
    }
    fake_turn(&fake, 0);
    assert_true(puppet_of(there)->ran <= 32);
}

/* An answer without a value shows none. */
static const void *value_seen;
static void note_value(struct gy_actor *self, const struct gy_done *done)
{
    (void)self;
    value_seen = done->value;
}
static void answer_without_value_shows_none(void **state)
{
    (void)state;
    fake_enter(&fake, 0);
    gy_fut f = request(b, NULL, 0); /* answers res 0, size 0 */
    assert_int_equal(gy_then_raw(&fake.shard[0].shard->nobody, f, note_value, 0), 0);
    fake_leave();
    fake_settle(&fake);
    assert_null(value_seen);
}

/* What was published before a stop was asked for is run (tests/model/README.md, rule 5). */
static void sent_before_stop_is_run(void **state)
{
    (void)state;
    on_stop = note_ran;
    ran_at_stop = 77;
    struct gy_shard *s1 = fake.shard[1].shard;
    gy__mesh_drain(s1, UINT64_MAX); /* shard 1 is in its turn, behind its look at the rings */
    fake_enter(&fake, 0);
    assert_int_equal(tell(there, NULL, 0), 0);
    fake_leave();
    gy__shard_publish(fake.shard[0].shard); /* published ... */
    gy__runtime_stop(fake.runtime, 1);      /* ... before the request */
    /* The rest of that turn: what gy__shard_run does behind the drain, a turn with no ring in it. */
    uint64_t written = atomic_exchange(&s1->mesh.door->written[0], 0);
    gy__shard_run(s1);
    atomic_fetch_or(&s1->mesh.door->written[0], written);
    fake_settle(&fake);
    on_stop = NULL;
    assert_int_equal(ran_at_stop, 1);
}

/* "Graphs of any depth use constant stack." */
#include "gyre/future.h"
static uintptr_t stack_low;
static void chain_fn(struct gy_actor *self, const struct gy_done *done, gy_promise out)
{
    (void)self, (void)done;
    gy_resolve_raw(out, 0, NULL, 0, NULL);
}
static int set_up_many_futures(void **state)
{
    (void)state;
    open_with(0, 0, (1u << 20) - 1, 0);
    return 0;
}
static void deep_chain_is_discarded(void **state)
{
    (void)state;
    (void)stack_low;
    fake_enter(&fake, 0);
    struct gy_actor *self = &fake.shard[0].shard->nobody;
    gy_fut f = gy_after(GY_S);
    for (unsigned i = 0; i < 500000; i++)
        f = gy_chain_raw(self, f, GY_WHEN_ANY, chain_fn, 0);
    assert_int_equal(gy_refused(f), 0);
    gy_discard(f);
    fake_leave();
    fake_settle(&fake);
}

#define T(F, S) cmocka_unit_test_setup_teardown(F, S, abandon)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(backlog_is_sent_when_there_is_room, set_up_ring16),
        T(stop_now_ends_a_holder_that_was_to_stop, set_up),
        T(refused_stop_now_leaves_no_trace, set_up_small),
        T(toggling_hold_is_bounded, set_up_small),
        T(more_types_than_rows, set_up),
        T(room_for_casts_needs_no_call_credit, set_up_ring16),
        T(want_is_not_lost_between_want_and_sleeping, set_up),
        T(waiting_for_a_future_does_not_spin, set_up_small),
        cmocka_unit_test_setup(buffers_on_their_way_come_home_at_stop, set_up),
        cmocka_unit_test_setup(buffers_given_by_stop_functions_come_home, set_up),
        cmocka_unit_test_setup(buffers_of_a_stopped_shard_come_home, set_up),
        T(forgetting_may_reenter, set_up),
        T(call_in_free_function_of_dead_letter, set_up),
        T(early_discard_is_told, set_up),
        T(dead_letters_run_as_nobody, set_up),
        T(spawn_on_a_shard_that_is_not, set_up),
        T(failed_actor_cannot_spawn_on, set_up),
        T(stop_keeps_order_across_shards, set_up),
        T(casts_dropped_by_stop_now_are_counted, set_up),
        T(too_large_an_answer_is_refused, set_up),
        T(stop_functions_that_spawn_end, set_up),
        cmocka_unit_test(largest_future_table_opens),
        cmocka_unit_test_teardown(turn_is_bounded_over_all_rings, abandon),
        T(answer_without_value_shows_none, set_up),
        T(sent_before_stop_is_run, set_up),
        T(deep_chain_is_discarded, set_up_many_futures),
        T(even_generation_is_refused, set_up),
        T(forged_slot_is_refused, set_up_few_actors),
        T(forged_slot_of_other_shard_is_a_dead_letter, set_up_few_actors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
