/* Flows that await one answer, all, any or all however they end, with deadlines, in loops, of flows
 * that they call, and under a lock; they answer calls from everywhere. Callers discard, are late and
 * die, so do sources and the flows' own actors, and frames and slots run out. Whatever happens: a
 * flow runs only while its actor lives; its clean-up runs once, before the actor's stop function;
 * what a group says of its inputs is so; nobody is under the lock with another, and it is given back;
 * whoever is owed an answer gets one. When faults end all flows do, in bounded time, and neither
 * frames nor slots nor promises are left. */
#include "tests/sim/scenario.h"
#include "core/kernel.h"
#include "gyre/flow.h"
#include "gyre/mutex.h"
#include "gyre/timer.h"
#include "gyre/typed.h"

#include <errno.h>
#include <string.h>

#define SHARDS_MAX 3
#define RUNNERS 2 /* per shard */
#define WIDTH_MAX 4
#define DEPTH_MAX 3
#define LIVES_MAX 1024
#define TRIPS_MAX 8192
#define ORDERS_MAX 4096

/* ---- what is known from outside ---- */

enum trip_state { UNUSED, RUNS, CLEANED };
static struct {
    uint8_t state;
    bool given_up; /* who had its future has discarded it */
    uint16_t life;
} trips[TRIPS_MAX]; /* of flows */
static struct {
    bool open;
    uint32_t who; /* caller */
} orders[ORDERS_MAX]; /* of futures that somebody waits for */
static bool alive[LIVES_MAX];
static gy_pid runners[SHARDS_MAX][RUNNERS], sources[SHARDS_MAX];
static uint32_t trip_count, trips_running, order_count, orders_open, life_count, caller_count;
static uint32_t actions_left, cancelled, refused;
static bool calm, finishing, punctual; /* punctual: no faults, so that times are known */

static uint64_t pick(uint64_t n)
{
    return gy_random() % n;
}
static void try(int err)
{
    (void)err;
}
static uint64_t some_ns(unsigned power)
{
    return UINT64_C(1) << pick(power);
}

static bool is_end(int res)
{
    return res >= 0 || res == -EDOM || res == -ECANCELED || res == -EOWNERDEAD ||
           res == -ETIMEDOUT || res == -EAGAIN || res == -ESRCH || res == -EINVAL;
}

static uint32_t order_new(uint32_t who)
{
    orders[order_count].open = true;
    orders[order_count].who = who;
    orders_open++;
    return order_count++;
}
static void order_ends(uint32_t id, uint32_t who, int res)
{
    scenario_check(orders[id].open && orders[id].who == who,
                   "an end is told twice, or to a stranger");
    scenario_check(is_end(res), "it ends with %d", res);
    orders[id].open = false;
    orders_open--;
}
static void orders_die(uint32_t who)
{
    for (uint32_t i = 0; i < order_count; i++)
        if (orders[i].open && orders[i].who == who) {
            orders[i].open = false;
            orders_open--;
        }
}

/* ---- sources: one per shard ---- */

enum how { NOW, LATER, NEVER, REFUSE, FORGET, DIE, HOWS };
struct source_args {
    uint32_t unused;
};
GY_ACTOR(source);
struct source_ask_msg {
    uint64_t n;
    uint32_t how;
};
struct source_ask_reply {
    uint64_t n;
};
GY_CALL(source, ask);
struct source {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(source, source_start, source_stop);
GY_VERB(source, ask);

static int source_start(struct source *self, const struct source_args *args)
{
    (void)args;
    sources[gy_shard()] = self->actor.pid;
    return 0;
}
static void source_stop(struct source *self, int why)
{
    (void)self, (void)why;
}
/* The bits of a promise and the number do not fit one ctx: the number follows from the slot. */
static uint64_t number_of(gy_promise promise)
{
    return promise.bits * 3;
}
GY_THEN_RES(source, source_late)
{
    (void)self, (void)res;
    (void)source_ask_resolve((source_ask_promise){{ctx}},
                             (struct source_ask_reply){number_of((gy_promise){ctx})});
}
void source_on_ask(struct source *self, const struct source_ask_msg *msg, source_ask_promise reply)
{
    gy_fut timer;

    switch (msg->how) {
    case NOW:
        (void)source_ask_resolve(reply, (struct source_ask_reply){number_of(reply.promise)});
        break;
    case LATER:
    case NEVER:
        if (source_ask_keep(reply) < 0 || msg->how == NEVER)
            break;
        timer = gy_after(some_ns(22));
        if (gy_refused(timer) != 0 || gy_then(self, timer, source_late, reply.promise.bits) < 0)
            (void)source_ask_reject(reply, -EAGAIN);
        break;
    case REFUSE:
        (void)source_ask_reject(reply, -EDOM);
        break;
    case DIE:
        if (pick(4) == 0)
            gy_fail(&self->actor, -EIO);
        break;
    default:
        break;
    }
}
static source_ask_fut ask_source(void)
{
    source_pid to = {sources[pick(gy_shards())]};
    struct source_ask_msg msg = {0, (uint32_t)pick(HOWS)};

    if (pick(2))
        msg.how = pick(2) ? NOW : LATER;
    return source_ask(to, msg);
}

/* ---- runners ---- */

struct runner_args {
    uint32_t place;
};
GY_ACTOR(runner);
struct runner_run_msg {
    uint64_t n;
};
struct runner_run_reply {
    uint64_t n;
};
GY_CALL(runner, run);
struct runner {
    struct gy_actor actor;
    uint32_t life;
    struct gy_mutex mutex;
    bool locked; /* by a flow, as far as flows know */
    struct {
        gy_fut fut;
        uint32_t trip;
    } open[4]; /* flows that may still be cancelled */
};
GY_ACTOR_TYPE(runner, runner_start, runner_stop);
GY_VERB(runner, run);

/* ---- what every flow does at each of its steps ---- */

static bool trips_left(void)
{
    return trip_count < TRIPS_MAX - DEPTH_MAX * WIDTH_MAX;
}
static uint32_t trip_begins(struct runner *self)
{
    uint32_t id = trip_count++;

    trips[id].state = RUNS;
    trips[id].life = (uint16_t)self->life;
    trips_running++;
    return id;
}
static void trip_steps(const struct runner *self, const struct gy_flow *flow, uint32_t id)
{
    scenario_check(trips[id].state == RUNS, "a flow goes on after its clean-up");
    scenario_check(trips[id].life == self->life && alive[self->life],
                   "a flow goes on when its actor has ended");
    scenario_check(!trips[id].given_up, "a flow goes on for nobody");
    scenario_check(!flow->cancelled && is_end(flow->res), "it goes on with %d", flow->res);
    scenario_check(!punctual || flow->until_ns == UINT64_MAX ||
                       gy_now() < flow->until_ns + 2 * (uint64_t)GY_MS,
                   "a flow goes on %llu ns after its deadline",
                   (unsigned long long)(gy_now() - flow->until_ns));
}
static void trip_cleans(const struct runner *self, const struct gy_flow *flow, uint32_t id)
{
    scenario_check(trips[id].state == RUNS, "a flow cleans up twice");
    scenario_check(trips[id].life == self->life && alive[self->life],
                   "a flow cleans up when its actor has ended");
    scenario_check(is_end(flow->why) && flow->why <= 0, "it ends with %d", flow->why);
    scenario_check(!flow->cancelled || flow->why == -ECANCELED || flow->why == -EOWNERDEAD,
                   "it was cancelled, and ends with %d", flow->why);
    scenario_check(gy__actor_find(gy__self(), self->actor.pid.bits) != NULL ||
                       flow->why == -EOWNERDEAD,
                   "its actor ends, and it ends with %d", flow->why);
    cancelled += flow->cancelled;
    trips[id].state = CLEANED;
    trips_running--;
}

/* ---- a leaf: an answer, and something under a lock ---- */

struct leaf_reply {
    uint64_t n;
};
struct leaf {
    struct gy_flow flow;
    uint32_t id;
    bool holds;
    uint64_t n;
    source_ask_fut fut;
};
GY_FLOW_CALL(runner, leaf);
GY_FLOW_BEGIN(runner, self, leaf, f)
    f->id = trip_begins(self);
    if (pick(4) == 0)
        gy_flow_deadline(&f->flow, some_ns(23));
    f->fut = ask_source();
    if (pick(4) == 0)
        (void)gy_deadline(f->fut.fut, some_ns(23));
    GY_AWAIT(f, f->fut.fut);

    trip_steps(self, &f->flow, f->id);
    struct source_ask_reply reply;
    int err = source_ask_value(f->fut, &reply);
    scenario_check(err == f->flow.res, "the outcome is %d and %d", err, f->flow.res);
    if (err < 0)
        GY_LEAVE(f, err);
    scenario_check(reply.n == f->fut.fut.bits * 3, "the answer to another call");
    f->n = reply.n;
    GY_IF(pick(2))
        GY_AWAIT(f, gy_mutex_lock(&self->mutex));

        trip_steps(self, &f->flow, f->id);
        if (f->flow.res < 0)
            GY_LEAVE(f, f->flow.res);
        scenario_check(!self->locked, "two flows are under the lock");
        f->holds = self->locked = true;
        GY_AWAIT(f, gy_after(some_ns(16)));

        trip_steps(self, &f->flow, f->id);
        scenario_check(self->locked, "the lock was taken from a flow");
    GY_END
    (void)leaf_resolve(f, (struct leaf_reply){f->n});
GY_CLEANUP(f)
    trip_cleans(self, &f->flow, f->id);
    if (f->holds) {
        self->locked = false;
        scenario_check(gy_mutex_unlock(&self->mutex) == 0, "the lock was lost");
    }
GY_FLOW_END(f)

/* ---- a branch: several at once, again and again, flows among them ---- */

enum group { ONE, ALL, ANY, SETTLE, GROUPS };
struct branch {
    struct gy_flow flow;
    uint32_t id, depth, round, group, n;
    gy_fut futs[WIDTH_MAX];
};
GY_FLOW(runner, branch);

static gy_fut passes_on(struct runner *self, gy_fut fut)
{
    return pick(2) ? gy_undiscardable(&self->actor, fut) : fut;
}
static gy_fut grow(struct runner *self, uint32_t depth)
{
    struct branch below = {.depth = depth + 1};
    struct leaf leaf = {.id = 0};

    switch (pick(6)) {
    case 0:
        return gy_after(some_ns(22));
    case 1:
        return depth < DEPTH_MAX && trips_left() ? branch_start(self, &below) : gy_after(0);
    case 2:
    case 3:
        return trips_left() ? leaf_start(self, &leaf).fut : gy_after(0);
    case 4:
        return passes_on(self, ask_source().fut);
    default:
        return ask_source().fut;
    }
}
static gy_fut branch_awaits(struct runner *self, struct branch *f)
{
    f->group = (uint32_t)pick(GROUPS);
    f->n = f->group == ONE ? 1 : 1 + (uint32_t)pick(WIDTH_MAX);
    for (uint32_t i = 0; i < f->n; i++)
        f->futs[i] = grow(self, f->depth);
    switch (f->group) {
    case ONE:
        return f->futs[0];
    case ALL:
        return gy_all(f->futs, f->n);
    case ANY:
        return gy_any(f->futs, f->n);
    default:
        return gy_settle(f->futs, f->n);
    }
}
/* -EAGAIN of gy_value_raw is also how some end. */
static bool has_ended(gy_fut fut)
{
    return gy_refused(fut) != 0 || !gy__future_waits(gy__self(), fut.bits);
}
/* What a group says of its inputs must be so. */
static void inputs_check(const struct branch *f)
{
    int res = f->flow.res;

    if (res < 0 || f->group == ONE)
        return;
    for (uint32_t i = 0; i < f->n; i++) {
        int each = gy_value_raw(f->futs[i], NULL, 0);
        scenario_check(has_ended(f->futs[i]), "an input of a group that is over is not");
        if (f->group == ALL || (f->group == ANY && (uint32_t)res == i))
            scenario_check(each >= 0, "a group is ready, and an input ended with %d", each);
    }
}

GY_FLOW_BEGIN(runner, self, branch, f)
    f->id = trip_begins(self);
    if (pick(3) == 0)
        gy_flow_deadline(&f->flow, some_ns(24));
    GY_FOR(f->round = 0, f->round < 3, f->round++)
        GY_AWAIT(f, branch_awaits(self, f));

        trip_steps(self, &f->flow, f->id);
        inputs_check(f);
        if (f->flow.res < 0 && pick(2))
            GY_LEAVE(f, f->flow.res);
        if (pick(4) == 0)
            break;
    GY_END
GY_CLEANUP(f)
    trip_cleans(self, &f->flow, f->id);
GY_FLOW_END(f)

/* ---- a service: two leaves, and the answer to a call ---- */

struct service {
    struct gy_flow flow;
    uint32_t id;
    uint64_t n;
    runner_run_promise reply;
    leaf_fut a, b;
};
GY_FLOW(runner, service);
GY_FLOW_BEGIN(runner, self, service, f)
    f->id = trip_begins(self);
    struct leaf leaf = {.id = 0};
    f->a = leaf_start(self, &leaf);
    f->b = leaf_start(self, &leaf);
    GY_AWAIT_ALL(f, f->a.fut, f->b.fut);

    trip_steps(self, &f->flow, f->id);
    struct leaf_reply a, b;
    if (f->flow.res < 0)
        GY_LEAVE(f, f->flow.res);
    scenario_check(leaf_value(f->a, &a) == 0 && leaf_value(f->b, &b) == 0,
                   "all are ready, and have no value");
    if (pick(8) == 0)
        GY_LEAVE(f, 0); /* without an answer */
    (void)runner_run_resolve(f->reply, (struct runner_run_reply){f->n});
GY_CLEANUP(f)
    trip_cleans(self, &f->flow, f->id);
GY_FLOW_END(f)

void runner_on_run(struct runner *self, const struct runner_run_msg *msg, runner_run_promise reply)
{
    struct service first = {.n = msg->n, .reply = reply};

    if (!trips_left() || service_answer(self, reply.promise, &first) < 0) {
        (void)runner_run_reject(reply, -EAGAIN);
        refused++;
    }
}

/* ---- what runners begin by themselves ---- */

static void on_branch(struct gy_actor *actor, const struct gy_done *done)
{
    order_ends((uint32_t)done->ctx, ((struct runner *)(void *)actor)->life, done->res);
}

static void act_branch(struct runner *self)
{
    struct branch first = {.depth = 0};
    uint32_t id, trip = trip_count, place = (uint32_t)pick(4);
    gy_fut fut;

    if (!trips_left() || order_count == ORDERS_MAX)
        return;
    fut = branch_start(self, &first);
    refused += gy_refused(fut) != 0;
    id = order_new(self->life);
    if (pick(8) == 0 || gy_then_raw(&self->actor, fut, on_branch, id) < 0) {
        order_ends(id, self->life, 0);
        if (pick(2))
            gy_forget(fut);
        return; /* nobody looks at it */
    }
    if (pick(4) == 0)
        (void)gy_deadline(fut, some_ns(24));
    self->open[place].fut = fut;
    self->open[place].trip = trip;
}

static void act_discard(struct runner *self)
{
    gy_fut fut = self->open[pick(4)].fut;

    for (uint32_t i = 0; i < 4; i++)
        if (self->open[i].fut.bits == fut.bits && gy_refused(fut) == 0 && !has_ended(fut))
            trips[self->open[i].trip].given_up = true;
    gy_discard(fut);
}

static void runner_rest(struct runner *self);
GY_THEN_RES(runner, runner_acts)
{
    (void)ctx, (void)res;
    for (uint64_t n = 1 + pick(4); n > 0 && actions_left > 0; n--) {
        uint64_t what = pick(16);
        actions_left--;
        if (what < 8)
            act_branch(self);
        else if (what < 14)
            act_discard(self);
        else if (pick(8) == 0)
            gy_fail(&self->actor, -EIO);
        else if (pick(8) == 0)
            try(gy_actor_stop(self->actor.pid, 0));
    }
    if (!calm)
        runner_rest(self);
}
static void runner_rest(struct runner *self)
{
    gy_fut timer = gy_after(some_ns(21));

    if (gy_refused(timer) != 0 || gy_then(self, timer, runner_acts, 0) < 0)
        try(gy_actor_stop(self->actor.pid, -EIO)); /* another will begin */
}
static int runner_start(struct runner *self, const struct runner_args *args)
{
    if (life_count == LIVES_MAX)
        return -EAGAIN;
    self->life = life_count++;
    alive[self->life] = true;
    gy_mutex_init(&self->mutex, &self->actor);
    runners[gy_shard()][args->place] = self->actor.pid;
    runner_rest(self);
    return 0;
}
static void runner_stop(struct runner *self, int why)
{
    (void)why;
    for (uint32_t i = 0; i < trip_count; i++)
        scenario_check(trips[i].state != RUNS || trips[i].life != self->life,
                       "an actor ends before its flow %u", i);
    scenario_check(!self->locked && !self->mutex.locked, "the lock is held by nobody");
    alive[self->life] = false;
    orders_die(self->life);
}

/* ---- callers: they ask for services, from all shards ---- */

struct client_args {
    uint32_t unused;
};
GY_ACTOR(client);
struct client {
    struct gy_actor actor;
    uint32_t number;
    runner_run_fut open[4];
};
GY_ACTOR_TYPE(client, client_start, client_stop);

GY_THEN(client, client_on_answer, runner, run)
{
    order_ends((uint32_t)ctx, self->number, res);
    scenario_check(res < 0 || value->n == ctx * 7, "the answer to another call");
}

static void client_rest(struct client *self);
GY_THEN_RES(client, client_acts)
{
    (void)ctx, (void)res;
    for (uint64_t n = 1 + pick(6); n > 0 && actions_left > 0 && order_count < ORDERS_MAX; n--) {
        unsigned shard = (unsigned)pick(gy_shards());
        runner_pid to = {runners[shard][pick(RUNNERS)]};
        actions_left--;
        if (pick(3) == 0) {
            gy_discard(self->open[pick(4)].fut);
            continue;
        }
        uint32_t id = order_new(self->number);
        runner_run_fut fut = runner_run(to, (struct runner_run_msg){id * UINT64_C(7)});
        if (gy_then(self, fut, client_on_answer, id) < 0) {
            order_ends(id, self->number, -EAGAIN);
            continue;
        }
        if (pick(3) == 0)
            (void)gy_deadline(fut.fut, some_ns(24));
        self->open[pick(4)] = fut;
    }
    if (pick(64) == 0)
        try(gy_actor_stop(self->actor.pid, -EIO));
    if (!calm)
        client_rest(self);
}
static void client_rest(struct client *self)
{
    gy_fut timer = gy_after(some_ns(21));

    if (gy_refused(timer) != 0 || gy_then(self, timer, client_acts, 0) < 0)
        try(gy_actor_stop(self->actor.pid, -EIO));
}
static int client_start(struct client *self, const struct client_args *args)
{
    (void)args;
    self->number = LIVES_MAX + caller_count++; /* runners are callers, too */
    client_rest(self);
    return 0;
}
static void client_stop(struct client *self, int why)
{
    (void)why;
    orders_die(self->number);
}

/* ---- one tender per shard keeps them alive, and ends them ---- */

struct tender_args {
    uint32_t unused;
};
GY_ACTOR(tender);
struct tender {
    struct gy_actor actor;
    struct gy_timer timer;
    client_pid client;
};
GY_ACTOR_TYPE(tender, tender_start, tender_stop);

static bool lives(gy_pid pid)
{
    return gy__actor_find(gy__self(), pid.bits) != NULL;
}

static void tender_looks(struct gy_actor *actor, struct gy_timer *timer)
{
    struct tender *self = (struct tender *)(void *)actor;
    source_pid source;
    runner_pid runner;

    if (calm) /* who never answers ends */
        try(gy_actor_stop(sources[gy_shard()], 0));
    else if (!lives(sources[gy_shard()]))
        try(source_spawn(&source, &(struct source_args){0}));
    for (uint32_t i = 0; i < RUNNERS; i++) {
        gy_pid pid = runners[gy_shard()][i];
        if (!calm && !lives(pid))
            try(runner_spawn(&runner, &(struct runner_args){i}));
        else if (finishing || (!calm && pick(32) == 0))
            try(pick(2) ? gy_actor_stop(pid, -EPIPE) : gy_actor_stop_now(pid, -EPIPE));
    }
    if (!calm && !lives(self->client.pid))
        try(client_spawn(&self->client, &(struct client_args){0}));
    else if (finishing)
        try(gy_actor_stop(self->client.pid, 0));
    gy_timer_arm_raw(actor, timer, tender_looks, GY_MS);
}
static int tender_start(struct tender *self, const struct tender_args *args)
{
    (void)args;
    gy_timer_arm_raw(&self->actor, &self->timer, tender_looks, 0);
    return 0;
}
static void tender_stop(struct tender *self, int why)
{
    (void)self, (void)why;
}

/* ---- the run ---- */

static int boot(unsigned shard, void *arg)
{
    tender_pid pid;

    (void)shard, (void)arg;
    return tender_spawn(&pid, &(struct tender_args){0});
}
static bool is_spent(void *arg)
{
    (void)arg;
    return actions_left == 0 || !trips_left() || order_count == ORDERS_MAX ||
           life_count == LIVES_MAX;
}
static bool flows_are_over(void *arg)
{
    (void)arg;
    return trips_running == 0 && orders_open == 0;
}

static void nothing_left(unsigned shards, bool timers)
{
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, 0);

    for (unsigned i = 0; i < shards; i++) {
        struct gy_shard *shard = runtime->shards[i];
        scenario_check(shard->flows_live == 0, "%u frames of nobody's", shard->flows_live);
        scenario_check(shard->kept_live == 0, "%u promises of nobody's", shard->kept_live);
        scenario_check(timers || shard->futures_live == 0, "%u futures of nobody's",
                       shard->futures_live);
    }
}

static uint64_t run(struct gy_sim_config *config)
{
    unsigned shards = 1 + (unsigned)(config->seed % SHARDS_MAX);

    memset(trips, 0, sizeof(trips));
    memset(orders, 0, sizeof(orders));
    memset(alive, 0, sizeof(alive));
    memset(runners, 0, sizeof(runners));
    memset(sources, 0, sizeof(sources));
    trip_count = trips_running = order_count = orders_open = life_count = caller_count = 0;
    cancelled = refused = 0;
    actions_left = 1000;
    calm = finishing = false;
    config->shards = shards;
    config->runtime.flows = 16u << config->seed / SHARDS_MAX % 5;
    punctual = config->seed % 4 == 0;
    if (punctual)
        memset(&config->faults, 0, sizeof(config->faults));
    if (config->seed % 5 == 0)
        config->faults.memory_fail_ppm = 200000;
    if (!scenario_open(config, boot, NULL))
        return 0;
    scenario_check(gy_sim_until(scenario_sim, is_spent, NULL, 1000 * GY_S), "nobody acts");
    actions_left = 0;
    calm = true;
    scenario_live(flows_are_over, NULL, GY_S, "flows go on");
    gy_sim_advance(scenario_sim, 20 * GY_MS);
    gy_sim_settle(scenario_sim);
    nothing_left(shards, true);
    finishing = true;
    gy_sim_advance(scenario_sim, 20 * GY_MS);
    gy_sim_settle(scenario_sim);
    nothing_left(shards, false);
    scenario_add("flows", trip_count);
    scenario_add("cancelled", cancelled);
    scenario_add("refused", refused);
    return scenario_close();
}

const struct scenario scenario_flows = {"flows", "flows that await, and are left in all ways", run};
