/* primitives.c - what actors wait with, put together: a copy shop.
 *
 * Shows timers (once, at a fixed rate, a cast later) and the primitives: a gate in front, a rate
 * limiter at the counter, a semaphore for the machines, a sequence for the one binder, a queue of
 * orders, a latch that says when all is done, a state machine, a broadcast to the customers, and
 * statistics of how long it took.
 *
 *     gyre-primitives    copies twelve orders in some 50 ms; status 0 if each figure is as it should be */
#include "gyre/args.h"
#include "gyre/broadcast.h"
#include "gyre/gate.h"
#include "gyre/latch.h"
#include "gyre/limiter.h"
#include "gyre/queue.h"
#include "gyre/run.h"
#include "gyre/semaphore.h"
#include "gyre/sequence.h"
#include "gyre/series.h"
#include "gyre/sm.h"
#include "gyre/typed.h"

#include <errno.h>

#define ORDERS 12
#define MACHINES 3

/* ---- customer: hears of finished orders ---- */

struct customer_args {
    uint32_t unused;
};
GY_ACTOR(customer);
struct customer_ready_msg {
    uint64_t order;
};
GY_CAST(customer, ready);

struct customer {
    struct gy_actor actor;
    unsigned heard;
};
GY_ACTOR_TYPE(customer, customer_start, customer_stop);
GY_VERB(customer, ready);
GY_SUBSCRIBE(customer, ready);

static int customer_start(struct customer *self, const struct customer_args *args)
{
    (void)self, (void)args;
    return 0;
}

static void customer_stop(struct customer *self, int why)
{
    (void)why;
    gy_log("a customer heard of %u orders", self->heard);
}

void customer_on_ready(struct customer *self, const struct customer_ready_msg *msg)
{
    (void)msg;
    self->heard++;
}

/* ---- shop ---- */

enum { CLOSED, OPEN, CLOSING, STATES };
static const struct gy_sm_state shop_states[STATES] = {
    [CLOSED] = {"closed", GY_SM_TO(OPEN)},
    [OPEN] = {"open", GY_SM_TO(CLOSING)},
    [CLOSING] = {"closing", GY_SM_TO(CLOSED)},
};

struct shop_args {
    int *failures; /* borrowed until the runtime has ended */
};
GY_ACTOR(shop);
struct shop_close_msg {
    uint32_t unused;
};
GY_CAST(shop, close);

struct shop {
    struct gy_actor actor;
    int *failures;
    struct gy_sm state;
    struct gy_gate gate;
    struct gy_limiter counter;
    struct gy_queue orders;
    struct gy_semaphore machines;
    struct gy_sequence binder;
    struct gy_latch done;
    struct gy_broadcast news;
    struct gy_series times;
    struct gy_periodic clock;
    struct gy_timer hurry;
    uint64_t begun_ns[ORDERS];
    uint64_t binder_free_ns;
    unsigned copying, ticks;
    uint64_t order_memory[ORDERS];
    struct gy_subscriber customers[2];
    struct gy_sample samples[ORDERS];
};
GY_ACTOR_TYPE(shop, shop_start, shop_stop);
GY_VERB(shop, close);
GY_THEN_RES(shop, shop_on_permit);
GY_THEN_WORD(shop, shop_on_order);
GY_THEN_RES(shop, shop_on_machine);
GY_THEN_RES(shop, shop_on_copied);
GY_THEN_RES(shop, shop_on_bound);
GY_THEN_RES(shop, shop_on_done);
GY_THEN_RES(shop, shop_on_empty);
GY_THEN_RES(shop, shop_on_closed);
GY_PERIODIC(shop, shop_on_tick);
GY_TIMER(shop, shop_on_hurry);

static void expect(struct shop *self, bool right, const char *what)
{
    if (!right)
        gy_log("wrong: %s", what);
    *self->failures += !right;
}

/* Every then() here can be refused only when the future table is full: then the shop fails. */
static void must(struct shop *self, int err)
{
    if (err < 0)
        gy_fail(&self->actor, err);
}

static int shop_start(struct shop *self, const struct shop_args *args)
{
    struct gy_actor *me = &self->actor;
    self->failures = args->failures;
    int err = gy_sm_init(&self->state, me, shop_states, STATES, CLOSED);
    if (err == 0)
        err = gy_limiter_init(&self->counter, me, 1000, GY_S, 2); /* one a ms, two at once */
    if (err == 0)
        err = gy_series_init(&self->times, self->samples, ORDERS, 3600 * (uint64_t)GY_S);
    gy_gate_init(&self->gate, me);
    gy_queue_init(&self->orders, me, self->order_memory, ORDERS);
    gy_semaphore_init(&self->machines, me, MACHINES);
    gy_sequence_init(&self->binder, me);
    gy_latch_init(&self->done, me, ORDERS);
    gy_broadcast_init(&self->news, self->customers, 2, sizeof(struct customer_ready_msg));
    for (unsigned i = 0; i < 2 && err == 0; i++) {
        customer_pid pid;
        err = customer_spawn(&pid, &(struct customer_args){0});
        if (err == 0)
            err = gy_broadcast_subscribe(&self->news, customer, ready, pid);
    }
    if (err == 0)
        err = gy_sm_move(&self->state, OPEN);
    if (err < 0)
        return err;

    must(self, gy_periodic_start(self, &self->clock, shop_on_tick, GY_MS, GY_MS));
    gy_timer_arm(self, &self->hurry, shop_on_hurry, 30 * GY_S);
    for (uint64_t order = 0; order < ORDERS; order++) {
        must(self, gy_gate_enter(&self->gate));
        must(self, gy_then(self, gy_limiter_acquire(&self->counter), shop_on_permit, order));
    }
    must(self, gy_then(self, gy_queue_get(&self->orders), shop_on_order, 0));
    must(self, gy_then(self, gy_latch_wait(&self->done), shop_on_done, 0));
    return 0;
}

static void shop_stop(struct shop *self, int why)
{
    expect(self, why == 0, "the shop failed");
    gy_stop(gy_runtime_of_shard()); /* without the shop there is nothing left to do */
}

/* At the counter: the order is written down. */
static void shop_on_permit(struct shop *self, uint64_t order, int res)
{
    self->begun_ns[order] = gy_now();
    must(self, res < 0 ? res : gy_queue_put(&self->orders, order));
}

/* The next order needs a machine; meanwhile the one after it may be looked at. */
static void shop_on_order(struct shop *self, uint64_t ctx, int res, uint64_t order)
{
    (void)ctx;
    must(self, res);
    must(self, gy_then(self, gy_semaphore_acquire(&self->machines, 1), shop_on_machine, order));
    must(self, gy_then(self, gy_queue_get(&self->orders), shop_on_order, 0));
}

static void shop_on_machine(struct shop *self, uint64_t order, int res)
{
    must(self, res);
    expect(self, ++self->copying <= MACHINES, "more copies at a time than machines");
    must(self, gy_then(self, gy_after(5 * GY_MS), shop_on_copied, order));
}

static gy_fut begin_binding(struct gy_actor *actor, uint64_t order)
{
    struct shop *self = (struct shop *)(void *)actor;
    (void)order;
    expect(self, gy_now() >= self->binder_free_ns, "two at the binder");
    self->binder_free_ns = gy_now() + GY_MS;
    return gy_after(GY_MS);
}

static void shop_on_copied(struct shop *self, uint64_t order, int res)
{
    must(self, res);
    self->copying--;
    gy_semaphore_release(&self->machines, 1);
    must(self, gy_then(self, gy_sequence_add(&self->binder, begin_binding, order), shop_on_bound,
                       order));
}

static void shop_on_bound(struct shop *self, uint64_t order, int res)
{
    struct customer_ready_msg msg = {order};
    must(self, res);
    gy_series_add(&self->times, gy_now(), (double)(gy_now() - self->begun_ns[order]));
    expect(self, gy_broadcast_publish(&self->news, &msg, sizeof(msg)) == 2, "a customer is missing");
    must(self, gy_gate_leave(&self->gate));
    gy_latch_count_down(&self->done);
}

/* All orders are done: close in a moment. */
static void shop_on_done(struct shop *self, uint64_t ctx, int res)
{
    (void)ctx;
    must(self, res);
    must(self, shop_close_later(NULL, (shop_pid){self->actor.pid}, 2 * GY_MS,
                                (struct shop_close_msg){0}));
    must(self, gy_then(self, gy_sm_when(&self->state, CLOSED), shop_on_closed, 0));
}

void shop_on_close(struct shop *self, const struct shop_close_msg *msg)
{
    (void)msg;
    must(self, gy_sm_move(&self->state, CLOSING));
    must(self, gy_then(self, gy_gate_close(&self->gate), shop_on_empty, 0));
    expect(self, gy_gate_enter(&self->gate) == -ESHUTDOWN, "somebody came in at the end");
}

static void shop_on_empty(struct shop *self, uint64_t ctx, int res)
{
    (void)ctx;
    must(self, res);
    must(self, gy_sm_move(&self->state, CLOSED));
}

static void shop_on_closed(struct shop *self, uint64_t ctx, int res)
{
    struct gy_statistics times;
    double scratch[ORDERS];
    (void)ctx;
    must(self, res);
    expect(self, gy_series_statistics(&self->times, gy_now(), scratch, ORDERS, &times) == 0,
           "too few samples");
    gy_log("%s: %u orders, %u us in the middle, %u us at most; %u ticks", gy_sm_name(&self->state),
           (unsigned)times.count, (unsigned)(times.p50 / 1000), (unsigned)(times.max / 1000),
           self->ticks);
    expect(self, self->ticks > 0, "the clock stood still");
    must(self, gy_actor_stop(self->actor.pid, 0));
}

/* Its end stops its timers; nothing has to be undone here. */
static void shop_on_tick(struct shop *self, struct gy_periodic *periodic, uint64_t missed)
{
    (void)periodic;
    self->ticks += 1 + (unsigned)missed;
}

static void shop_on_hurry(struct shop *self, struct gy_timer *timer)
{
    (void)timer;
    gy_fail(&self->actor, -ETIMEDOUT);
}

/* ---- the program ---- */

static int boot(unsigned shard, void *arg)
{
    shop_pid pid;
    return shard == 0 ? shop_spawn(&pid, &(struct shop_args){arg}) : 0;
}

int main(int argc, char **argv)
{
    static const struct gy_program program = {.about = "A copy shop: what actors wait with."};
    int failures = 0;
    struct gy_config cfg;
    gy_config_init(&cfg);
    cfg.handle_signals = true;
    int err = gy_args(&cfg, &program, &argc, argv);
    if (err != 0)
        return gy_exit_status(err);
    err = gy_run(&cfg, boot, &failures);
    return err < 0 ? gy_exit_status(err) : failures != 0;
}
