/* gyre's side of the rows with many actors, through the public API as a user would. The work is that
 * of roof_crowd.c, message for message. */
#include <errno.h>

#include "gyre/typed.h"
#include "gyre_run.h"

#define AT_ONCE 1000u
#define LEAVES 1000000u
#define BURST 256u

/* What the actors of one sample share; all of them are on one shard. */
struct crowd {
    struct perf_gyre run;
    gy_pid first; /* of n whose slots follow each other */
    uint64_t n, random;
    uint64_t left, under_way, count;
    bool warm, twice;
};

/* ---- many: 1000 messages on their way from one actor to another, anywhere ------------------- */

struct passer_args {
    struct crowd *crowd;
};
GY_ACTOR(passer);
struct passer_pass_msg {
    uint64_t one;
};
GY_CAST(passer, pass);
struct passer {
    struct gy_actor actor;
    struct crowd *crowd;
};
_Static_assert(sizeof(struct passer) <= 128, "no more than the roof's actor");
GY_ACTOR_TYPE(passer, passer_start, passer_stop);
GY_VERB(passer, pass);

static int passer_start(struct passer *self, const struct passer_args *args)
{
    self->crowd = args->crowd;
    return 0;
}

static void passer_stop(struct passer *self, int why)
{
    (void)self, (void)why;
}

static void pass_on(struct crowd *crowd)
{
    crowd->random = crowd->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    /* Computed, as the roof computes its addresses: a table of pids would cost one more miss. */
    uint64_t slot = (crowd->random >> 33) * crowd->n >> 31;
    passer_pid to = {{crowd->first.bits + (slot << 32)}};
    perf_must(&crowd->run, passer_pass(to, (struct passer_pass_msg){1}));
}

static void pass_begin(struct crowd *crowd, uint64_t messages)
{
    crowd->under_way = messages < AT_ONCE ? messages : AT_ONCE;
    crowd->left = messages - crowd->under_way;
    crowd->count = 0;
    for (uint64_t i = crowd->under_way; i > 0; i--)
        pass_on(crowd);
}

void passer_on_pass(struct passer *self, const struct passer_pass_msg *msg)
{
    struct crowd *crowd = self->crowd;
    crowd->count += msg->one;
    if (crowd->left > 0) {
        crowd->left--;
        pass_on(crowd);
    } else if (--crowd->under_way == 0 && crowd->warm) {
        crowd->warm = false;
        crowd->run.start_ns = perf_now_ns();
        pass_begin(crowd, crowd->run.s->ops);
    } else if (crowd->under_way == 0) {
        crowd->run.s->handled = crowd->count;
        perf_gyre_end(&crowd->run);
    }
}

static int many_boot(unsigned shard, void *arg)
{
    struct crowd *crowd = arg;
    int err = 0;
    (void)shard;
    for (uint64_t i = 0; i < crowd->n && err == 0; i++) {
        passer_pid passer = {{0}};
        err = passer_spawn(&passer, &(struct passer_args){crowd});
        if (i == 0)
            crowd->first = passer.pid;
        if (err == 0 && passer.pid.bits != crowd->first.bits + (i << 32))
            err = -ERANGE;
    }
    if (err == 0)
        pass_begin(crowd, crowd->run.s->ops / 4);
    return err;
}

static void roomy(struct gy_config *config)
{
    config->actors_max = 1300000;
    config->fifo_cells = 4194304;
}

static int many(struct perf_sample *s, uint64_t n)
{
    struct crowd crowd = {.run = {.s = s, .tune = roomy, .boot = many_boot}};
    crowd.n = n;
    crowd.random = 1;
    crowd.warm = true;
    s->expected = s->ops;
    return perf_gyre_run(&crowd.run, 1, false);
}

int gyre_local_many_1k(struct perf_sample *s)
{
    return many(s, 1000);
}

int gyre_local_many_100k(struct perf_sample *s)
{
    return many(s, 100000);
}

int gyre_local_many_1m(struct perf_sample *s)
{
    return many(s, 1000000);
}

/* ---- skynet: a tree of actors is born, sums up its leaves and dies ------------------------- */

struct node_args {
    struct crowd *crowd;
    gy_pid parent;
};
GY_ACTOR(node);
struct node_grow_msg {
    uint32_t first, leaves;
};
GY_CAST(node, grow);
struct node_sum_msg {
    uint64_t sum;
};
GY_CAST(node, sum);
struct node {
    struct gy_actor actor;
    struct crowd *crowd;
    gy_pid parent;
    uint64_t sum;
    uint32_t missing;
};
GY_ACTOR_TYPE(node, node_start, node_stop);
GY_VERB(node, grow);
GY_VERB(node, sum);

static int node_start(struct node *self, const struct node_args *args)
{
    self->crowd = args->crowd;
    self->parent = args->parent;
    return 0;
}

static void node_stop(struct node *self, int why)
{
    (void)self, (void)why;
}

static void skynet_begin(struct crowd *crowd)
{
    node_pid root = {{0}};
    crowd->run.start_ns = perf_now_ns();
    perf_must(&crowd->run, node_spawn(&root, &(struct node_args){crowd, {0}}));
    perf_must(&crowd->run, node_grow(root, (struct node_grow_msg){0, LEAVES}));
}

static void node_end(struct node *self, uint64_t sum)
{
    struct crowd *crowd = self->crowd;
    node_pid parent = {self->parent};
    perf_must(&crowd->run, gy_actor_stop(self->actor.pid, 0));
    if (parent.pid.bits != 0) {
        perf_must(&crowd->run, node_sum(parent, (struct node_sum_msg){sum}));
    } else if (crowd->twice) {
        crowd->twice = false;
        skynet_begin(crowd);
    } else {
        crowd->run.s->handled = sum;
        perf_gyre_end(&crowd->run);
    }
}

void node_on_grow(struct node *self, const struct node_grow_msg *msg)
{
    struct crowd *crowd = self->crowd;
    if (msg->leaves == 1) {
        node_end(self, msg->first);
        return;
    }
    self->missing = 10;
    for (uint32_t i = 0; i < 10; i++) {
        node_pid child = {{0}};
        uint32_t leaves = msg->leaves / 10;
        perf_must(&crowd->run, node_spawn(&child, &(struct node_args){crowd, self->actor.pid}));
        perf_must(&crowd->run,
                  node_grow(child, (struct node_grow_msg){msg->first + i * leaves, leaves}));
    }
}

void node_on_sum(struct node *self, const struct node_sum_msg *msg)
{
    self->sum += msg->sum;
    if (--self->missing == 0)
        node_end(self, self->sum);
}

static int skynet_boot(unsigned shard, void *arg)
{
    (void)shard;
    skynet_begin(arg);
    return 0;
}

static int skynet(struct perf_sample *s, bool twice)
{
    struct crowd crowd = {.run = {.s = s, .tune = roomy, .boot = skynet_boot}, .twice = twice};
    s->ops = 1000000; /* so that the figure, ns for one of so many, is ms for all */
    s->expected = (uint64_t)LEAVES * (LEAVES - 1) / 2;
    return perf_gyre_run(&crowd.run, 1, false);
}

int gyre_local_skynet(struct perf_sample *s)
{
    return skynet(s, true);
}

int gyre_local_skynet_cold(struct perf_sample *s)
{
    return skynet(s, false);
}

/* ---- spawn_cold: actors where none has been before; each gets one message ------------------- */

struct settler_args {
    struct crowd *crowd;
};
GY_ACTOR(settler);
struct settler_live_msg {
    uint64_t once;
};
GY_CAST(settler, live);
struct settler {
    struct gy_actor actor;
    struct crowd *crowd;
};
GY_ACTOR_TYPE(settler, settler_start, settler_stop);
GY_VERB(settler, live);

static int settler_start(struct settler *self, const struct settler_args *args)
{
    self->crowd = args->crowd;
    return 0;
}

static void settler_stop(struct settler *self, int why)
{
    (void)self, (void)why;
}

void settler_on_live(struct settler *self, const struct settler_live_msg *msg)
{
    self->crowd->count += msg->once;
}

struct ship_args {
    struct crowd *crowd;
};
GY_ACTOR(ship);
struct ship_land_msg {
    uint64_t left;
};
GY_CAST(ship, land);
struct ship {
    struct gy_actor actor;
    struct crowd *crowd;
};
GY_ACTOR_TYPE(ship, ship_start, ship_stop);
GY_VERB(ship, land);

static int ship_start(struct ship *self, const struct ship_args *args)
{
    self->crowd = args->crowd;
    return 0;
}

static void ship_stop(struct ship *self, int why)
{
    (void)self, (void)why;
}

void ship_on_land(struct ship *self, const struct ship_land_msg *msg)
{
    struct crowd *crowd = self->crowd;
    uint64_t n = msg->left < BURST ? msg->left : BURST;
    for (uint64_t i = 0; i < n; i++) {
        settler_pid settler = {{0}};
        perf_must(&crowd->run, settler_spawn(&settler, &(struct settler_args){crowd}));
        perf_must(&crowd->run, settler_live(settler, (struct settler_live_msg){1}));
    }
    if (n > 0) {
        perf_must(&crowd->run, ship_land((ship_pid){self->actor.pid},
                                         (struct ship_land_msg){msg->left - n}));
    } else {
        crowd->run.s->handled = crowd->count;
        perf_gyre_end(&crowd->run);
    }
}

static int cold_boot(unsigned shard, void *arg)
{
    struct crowd *crowd = arg;
    ship_pid ship;
    (void)shard;
    int err = ship_spawn(&ship, &(struct ship_args){crowd});
    crowd->run.start_ns = perf_now_ns();
    return err < 0 ? err : ship_land(ship, (struct ship_land_msg){crowd->run.s->ops});
}

int gyre_local_spawn_cold(struct perf_sample *s)
{
    struct crowd crowd = {.run = {.s = s, .tune = roomy, .boot = cold_boot}};
    s->expected = s->ops;
    return perf_gyre_run(&crowd.run, 1, false);
}
