/* Trees of futures: all, any, settle, chains, loops, shields and pairs over calls and timers, built at
 * random and let go at random: deadlines, discards, callees that fail, die or never answer, owners
 * that end. Whatever happens: what was asked to be told of an end is told once, the end is one that
 * its inputs can have led to, and when all is quiet no slot is in use but by timers. */
#include "tests/sim/scenario.h"
#include "core/kernel.h"
#include "gyre/future.h"
#include "gyre/typed.h"

#include <errno.h>
#include <string.h>

#define SHARDS_MAX 3
#define TREES_MAX 2048
#define WIDTH_MAX 5
#define LIVES_MAX 4096

static uint64_t pick(uint64_t n)
{
    return gy_random() % n;
}
static void try(int err)
{
    (void)err;
}

/* ---- who is asked: one per shard, and ones that end ---- */

enum how { NOW, LATER, NEVER, REFUSE, FORGET, DIE, HOWS };
struct oracle_args {
    uint32_t index;
};
GY_ACTOR(oracle);
struct oracle_ask_msg {
    uint64_t n;
    uint32_t how;
};
struct oracle_ask_reply {
    uint64_t n;
};
GY_CALL(oracle, ask);
struct oracle {
    struct gy_actor actor;
    uint32_t index;
};
GY_ACTOR_TYPE(oracle, oracle_start, oracle_stop);
GY_VERB(oracle, ask);

static oracle_pid oracles[SHARDS_MAX];
static int oracle_start(struct oracle *self, const struct oracle_args *args)
{
    self->index = args->index;
    oracles[args->index].pid = self->actor.pid;
    return 0;
}
static void oracle_stop(struct oracle *self, int why)
{
    (void)self, (void)why;
}
GY_THEN_RES(oracle, oracle_late)
{
    (void)self, (void)res;
    (void)oracle_ask_resolve((oracle_ask_promise){{ctx}}, (struct oracle_ask_reply){ctx});
}
void oracle_on_ask(struct oracle *self, const struct oracle_ask_msg *msg, oracle_ask_promise reply)
{
    gy_fut timer;

    switch (msg->how) {
    case NOW:
        (void)oracle_ask_resolve(reply, (struct oracle_ask_reply){msg->n});
        break;
    case LATER:
    case NEVER:
        if (oracle_ask_keep(reply) < 0)
            break;
        if (msg->how == NEVER)
            break;
        timer = gy_after(UINT64_C(1) << pick(22));
        if (gy_refused(timer) != 0 || gy_then(self, timer, oracle_late, reply.promise.bits) < 0)
            (void)oracle_ask_reject(reply, -EAGAIN);
        break;
    case REFUSE:
        (void)oracle_ask_reject(reply, -EDOM);
        break;
    case DIE:
        gy_fail(&self->actor, -EIO);
        break;
    default:
        break;
    }
}

/* ---- who asks ---- */

enum tree_state { TREE_UNUSED, TREE_OPEN, TREE_ENDED, TREE_LOST };
static struct tree {
    uint8_t state;
    uint16_t life;
} trees[TREES_MAX];
static uint32_t tree_count, trees_open, life_count, builds_left;
static bool finishing;

struct grower_args {
    uint32_t unused;
};
GY_ACTOR(grower);
struct grower_step_msg {
    uint32_t unused;
};
GY_CAST(grower, step);
struct grower {
    struct gy_actor actor;
    uint32_t life;
    uint32_t rounds[8]; /* of loops, by ctx */
    gy_fut open[4];     /* roots that may still be discarded */
};
GY_ACTOR_TYPE(grower, grower_start, grower_stop);
GY_VERB(grower, step);

static void next_step(struct grower *self);
GY_THEN_RES(grower, grower_rested)
{
    (void)ctx, (void)res;
    next_step(self);
}
static int grower_start(struct grower *self, const struct grower_args *args)
{
    (void)args;
    if (life_count == LIVES_MAX)
        return -EAGAIN;
    self->life = life_count++;
    next_step(self);
    return 0;
}
static void grower_stop(struct grower *self, int why)
{
    (void)why;
    for (uint32_t i = 0; i < tree_count; i++)
        if (trees[i].state == TREE_OPEN && trees[i].life == self->life) {
            trees[i].state = TREE_LOST;
            trees_open--;
        }
}

/* ---- leaves and branches ---- */

static gy_fut leaf_call(void)
{
    /* Apart: in which order a call's arguments draw is the compiler's choice. */
    oracle_pid to = oracles[pick(gy_shards())];
    struct oracle_ask_msg msg = {1, (uint32_t)pick(HOWS)};

    return oracle_ask(to, msg).fut;
}

static gy_fut leaf_pair(struct grower *self)
{
    gy_promise promise;
    gy_fut fut = gy_pair(&self->actor, &promise);

    if (gy_refused(fut) == 0 && pick(4) != 0)
        (void)gy_resolve_raw(promise, pick(3) == 0 ? -EDOM : 0, NULL, 0, NULL);
    return fut; /* some are never answered: a deadline or a discard ends the tree */
}

static void chain_run(struct gy_actor *a, const struct gy_done *done, gy_promise out)
{
    (void)a;
    switch (pick(4)) {
    case 0:
        (void)gy_resolve_raw(out, -EDOM, NULL, 0, NULL);
        break;
    case 1:
        break; /* abandoned */
    default:
        (void)gy_resolve_raw(out, 0, done->value, done->res < 0 ? 0 : done->size, NULL);
        break;
    }
    gy_buf_release(done->buf);
}

static gy_fut loop_next(struct gy_actor *a, uint64_t ctx)
{
    (void)a, (void)ctx;
    return pick(2) ? leaf_call() : gy_after(UINT64_C(1) << pick(16));
}
static int loop_body(struct gy_actor *a, uint64_t ctx, const struct gy_done *done)
{
    struct grower *self = (struct grower *)(void *)a;

    gy_buf_release(done->buf);
    if (done->res < 0 && pick(2))
        return done->res;
    return self->rounds[ctx]++ < 6 ? 1 : 0;
}

static gy_fut grow(struct grower *self, unsigned depth)
{
    gy_fut inputs[WIDTH_MAX], fut;
    unsigned n;

    if (depth == 0) {
        uint64_t what = pick(8);
        if (what < 5)
            return leaf_call();
        return what == 5 ? leaf_pair(self) : gy_after(UINT64_C(1) << pick(24));
    }
    switch (pick(8)) {
    case 0:
        fut = grow(self, depth - 1);
        return gy_chain_raw(&self->actor, fut, (enum gy_chain_when)pick(4), chain_run, 0);
    case 1:
        fut = grow(self, depth - 1);
        return gy_undiscardable(&self->actor, fut);
    case 2:
        n = (unsigned)pick(8);
        self->rounds[n] = 0;
        return gy_loop_raw(&self->actor, loop_next, loop_body, n);
    default:
        break;
    }
    n = (unsigned)pick(WIDTH_MAX + 1);
    for (unsigned i = 0; i < n; i++)
        inputs[i] = grow(self, depth - 1);
    switch (pick(3)) {
    case 0:
        return gy_all(inputs, n);
    case 1:
        return gy_any(inputs, n);
    default:
        return gy_settle(inputs, n);
    }
}

/* ---- the end of a tree ---- */

static void ends(struct grower *self, uint64_t tree, int res)
{
    scenario_check(trees[tree].state == TREE_OPEN, "tree %llu ends twice",
                   (unsigned long long)tree);
    scenario_check(trees[tree].life == self->life, "tree %llu ends at a stranger's",
                   (unsigned long long)tree);
    scenario_check(res >= 0 || res == -EDOM || res == -ETIMEDOUT || res == -ECANCELED ||
                       res == -EOWNERDEAD || res == -EAGAIN || res == -ESRCH || res == -EINVAL,
                   "tree %llu ends with %d", (unsigned long long)tree, res);
    scenario_check(res < WIDTH_MAX, "tree %llu is ready with %d", (unsigned long long)tree, res);
    trees[tree].state = TREE_ENDED;
    trees_open--;
}

static void on_end(struct gy_actor *a, const struct gy_done *done)
{
    ends((struct grower *)(void *)a, done->ctx, done->res);
    gy_buf_release(done->buf);
}

static void build(struct grower *self)
{
    uint32_t tree = tree_count;
    gy_fut root;

    if (tree == TREES_MAX)
        return;
    tree_count++;
    trees[tree].state = TREE_OPEN;
    trees[tree].life = (uint16_t)self->life;
    trees_open++;
    root = grow(self, 1 + (unsigned)pick(3));
    if (pick(16) == 0) {
        trees[tree].state = TREE_LOST;
        trees_open--;
        gy_forget(root);
        return;
    }
    if (gy_then_raw(&self->actor, root, on_end, tree) < 0) {
        ends(self, tree, -EAGAIN);
        return;
    }
    if (pick(3) != 0)
        (void)gy_deadline(root, UINT64_C(1) << pick(25));
    else
        self->open[pick(4)] = root;
}

static void next_step(struct grower *self)
{
    gy_fut timer = gy_after(UINT64_C(1) << pick(20));

    if (gy_refused(timer) != 0 || gy_then(self, timer, grower_rested, 0) < 0)
        try(gy_actor_stop(self->actor.pid, 0));
    else if (builds_left > 0 && pick(3) == 0)
        try(grower_step((grower_pid){self->actor.pid}, (struct grower_step_msg){0}));
    if (builds_left > 0) {
        builds_left--;
        build(self);
    }
    if (pick(3) == 0 || finishing)
        gy_discard(self->open[pick(4)]);
    if (pick(64) == 0)
        try(gy_actor_stop(self->actor.pid, 0));
}

void grower_on_step(struct grower *self, const struct grower_step_msg *msg)
{
    (void)msg;
    if (builds_left > 0) {
        builds_left--;
        build(self);
    }
}

/* ---- one keeper per shard keeps them alive, and ends them ---- */

struct keeper_args {
    uint32_t unused;
};
GY_ACTOR(keeper);
struct keeper_again_msg {
    uint32_t unused;
};
GY_CAST(keeper, again);
struct keeper {
    struct gy_actor actor;
    grower_pid growers[2];
};
GY_ACTOR_TYPE(keeper, keeper_start, keeper_stop);
GY_VERB(keeper, again);

static void keeper_rest(struct keeper *self);
GY_THEN_RES(keeper, keeper_tick)
{
    oracle_pid pid;

    (void)ctx, (void)res;
    if (gy__actor_find(gy__self(), oracles[gy_shard()].pid.bits) == NULL)
        try(oracle_spawn(&pid, &(struct oracle_args){gy_shard()}));
    for (unsigned i = 0; i < 2; i++) {
        bool lives = gy__actor_find(gy__self(), self->growers[i].pid.bits) != NULL;
        if (!lives && !finishing)
            try(grower_spawn(&self->growers[i], &(struct grower_args){0}));
        else if (lives && finishing)
            try(gy_actor_stop(self->growers[i].pid, 0));
    }
    if (finishing) /* what it keeps ends, too */
        try(gy_actor_stop(oracles[gy_shard()].pid, 0));
    keeper_rest(self);
}
static void keeper_rest(struct keeper *self)
{
    gy_fut timer = gy_after(5 * GY_MS);

    if (gy_refused(timer) == 0)
        try(gy_then(self, timer, keeper_tick, 0));
    else /* all slots are in use */
        scenario_check(keeper_again((keeper_pid){self->actor.pid},
                                    (struct keeper_again_msg){0}) == 0,
                       "a keeper gets neither a timer nor a message");
}
void keeper_on_again(struct keeper *self, const struct keeper_again_msg *msg)
{
    (void)msg;
    keeper_rest(self);
}
static int keeper_start(struct keeper *self, const struct keeper_args *args)
{
    oracle_pid pid;

    (void)args;
    keeper_rest(self);
    return oracle_spawn(&pid, &(struct oracle_args){gy_shard()});
}
static void keeper_stop(struct keeper *self, int why)
{
    (void)self, (void)why;
}

/* ---- the run ---- */

static int boot(unsigned shard, void *arg)
{
    keeper_pid pid;

    (void)shard, (void)arg;
    return keeper_spawn(&pid, &(struct keeper_args){0});
}
static bool is_spent(void *arg)
{
    (void)arg;
    return builds_left == 0 || life_count == LIVES_MAX || tree_count == TREES_MAX;
}
static bool is_done(void *arg)
{
    (void)arg;
    return trees_open == 0;
}

/* Each keeper has a timer; nothing else may be left. */
static void slots_check(void)
{
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, 0);

    for (unsigned i = 0; i < runtime->shard_count; i++)
        scenario_check(runtime->shards[i]->futures_live == 1,
                       "%u futures of shard %u are in use by nobody",
                       runtime->shards[i]->futures_live - 1, i);
}

static uint64_t run(struct gy_sim_config *config)
{
    memset(trees, 0, sizeof(trees));
    memset(oracles, 0, sizeof(oracles));
    tree_count = trees_open = life_count = 0;
    builds_left = 300;
    finishing = false;
    config->shards = 1 + (uint32_t)(config->seed % SHARDS_MAX);
    if (!scenario_open(config, boot, NULL))
        return 0;
    scenario_check(gy_sim_until(scenario_sim, is_spent, NULL, 1000 * GY_S), "nothing grows");
    builds_left = 0;
    gy_sim_advance(scenario_sim, 50 * GY_MS);
    finishing = true;
    scenario_live(is_done, NULL, GY_S, "trees do not end");
    gy_sim_advance(scenario_sim, 100 * GY_MS);
    gy_sim_settle(scenario_sim);
    slots_check();
    return scenario_close();
}

const struct scenario scenario_futures = {"futures", "trees of futures, ended in all ways", run};
