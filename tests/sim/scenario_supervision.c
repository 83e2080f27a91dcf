/* Trees of supervisors whose workers fail, stop, are killed from anywhere, do not start, or end while
 * they start; supervisors are killed too, and give up. Strategies, policies and limits come from the
 * seed. Whatever happens: a place in a tree has one life at a time; it is started again once for each
 * end after which it is to be, by the rules of its supervisor's strategy and no others; groups end
 * newest first and before one of them starts; no limit is exceeded, and none given up on early; who
 * watches a life hears of its end once, with its own reason; an answer is that of the life that was
 * called. When the killing stops all that is to run runs, in bounded time. */
#include "tests/sim/scenario.h"
#include "core/kernel.h"
#include "gyre/link.h"
#include "gyre/supervisor.h"
#include "gyre/typed.h"

#include <errno.h>
#include <string.h>

#define SHARDS_MAX 3
#define DEPTH 3       /* supervisors below each other */
#define PLACES 4      /* children of each */
#define LIVES_MAX 8192
#define CALLS_MAX 4096
#define MONITORS_MAX 2048
#define ATTEMPTS 128  /* remembered of each supervisor */

/* ---- what is known from outside ---- */

enum state { ENDED, STARTING, RUNS, ENDING };
struct sup;
struct kid { /* a place in a tree */
    struct sup *sup;
    uint32_t place;
    bool alive;
    bool owed; /* its supervisor has to start it again */
    gy_pid pid;
    uint32_t life;
    uint64_t tried_ns[GY_RESTARTS_MAX + 2]; /* the last restarts of it, a ring */
    uint32_t tries;
};
static struct sup {
    struct gy_supervisor_args args;
    struct gy_child_spec specs[PLACES];
    struct gy_child children[PLACES];
    struct kid kids[PLACES];
    char ids[PLACES][8];
    struct kid *kid; /* where it is itself, NULL: the top */
    enum state state;
    gy_pid pid;
    uint32_t begun; /* children, while it starts */
    uint64_t tried_ns[ATTEMPTS];
    uint32_t tries;
} sups[SHARDS_MAX][DEPTH];
static int lives[LIVES_MAX]; /* why each has ended; 1: it has not */
static uint32_t life_count;

static struct {
    bool open;
    uint32_t life;  /* that is called */
    uint32_t agent; /* that calls */
} calls[CALLS_MAX];
static struct {
    bool open;
    uint32_t life, agent;
    gy_pid pid;
} monitors[MONITORS_MAX];
static uint32_t call_count, calls_open, monitor_count, monitors_open, agent_count;
static uint32_t actions_left, tops_told, tops_begun, restarts, given_up;
static bool calm, finishing;

static uint64_t pick(uint64_t n)
{
    return gy_random() % n;
}
static void try(int err)
{
    (void)err;
}

/* ---- the rules ---- */

static bool living_behind(const struct kid *kid)
{
    for (uint32_t i = kid->place + 1; i < kid->sup->args.count; i++)
        if (kid->sup->kids[i].alive)
            return true;
    return false;
}

/* Is there one whose end can be why the supervisor stops this one? */
static bool owed_before(const struct kid *kid)
{
    const struct sup *sup = kid->sup;
    uint32_t end = sup->args.strategy == GY_ONE_FOR_ALL ? sup->args.count : kid->place;

    for (uint32_t i = 0; i < end; i++)
        if (sup->kids[i].owed)
            return true;
    return false;
}

/* As many restarts may be within the time; the next is later. A restart of a group counts when it is
 * decided, and its members are started some time after. */
static void intensity_check(struct kid *kid)
{
    struct sup *sup = kid->sup;
    uint64_t now_ns = gy_now();
    uint32_t max = sup->args.restarts_max, n = sup->tries++, k = kid->tries++;

    restarts++;
    sup->tried_ns[n % ATTEMPTS] = now_ns;
    kid->tried_ns[k % (GY_RESTARTS_MAX + 2)] = now_ns;
    scenario_check(max > 0, "a restart where none is allowed");
    if (sup->args.strategy == GY_ONE_FOR_ONE && n >= max)
        scenario_check(now_ns - sup->tried_ns[(n - max) % ATTEMPTS] >= sup->args.within_ns,
                       "%u restarts within the time that allows %u", max + 1, max);
    if (k > max)
        scenario_check(now_ns - kid->tried_ns[(k - max - 1) % (GY_RESTARTS_MAX + 2)] >=
                           sup->args.within_ns,
                       "one child is restarted %u times within the time that allows %u", max + 2,
                       max);
}

/* Its start function begins. */
static void kid_begins(struct kid *kid)
{
    struct sup *sup = kid->sup;

    scenario_check(!kid->alive, "a second life of %s begins", sup->ids[kid->place]);
    if (sup->state == STARTING) {
        scenario_check(kid->place == sup->begun, "child %u is started before child %u", kid->place,
                       sup->begun);
        sup->begun++;
        kid->owed = false;
        return;
    }
    scenario_check(sup->state == RUNS, "a supervisor that ends starts a child");
    scenario_check(kid->owed, "%s starts again, and nothing asks for that", sup->ids[kid->place]);
    scenario_check(sup->args.strategy == GY_ONE_FOR_ONE || !living_behind(kid),
                   "%s starts before the group has ended", sup->ids[kid->place]);
    intensity_check(kid);
}

static void kid_lives(struct kid *kid, gy_pid pid)
{
    kid->alive = true;
    kid->owed = false;
    kid->pid = pid;
    kid->life = life_count;
    if (life_count < LIVES_MAX)
        lives[life_count] = 1;
    life_count++;
}

static void kid_ends(struct kid *kid, int why)
{
    struct sup *sup = kid->sup;
    enum gy_restart policy = sup->specs[kid->place].restart;

    scenario_check(kid->alive, "%s ends without a life", sup->ids[kid->place]);
    kid->alive = false;
    if (kid->life < LIVES_MAX)
        lives[kid->life] = why;
    if (why != -ECANCELED) {
        kid->owed = sup->state != ENDING && (policy == GY_RESTART_ALWAYS ||
                                             (policy == GY_RESTART_ON_FAILURE && why < 0));
        return;
    }
    scenario_check(!living_behind(kid), "%s is stopped before those started after it",
                   sup->ids[kid->place]);
    if (sup->state != RUNS)
        return;
    scenario_check(sup->args.strategy != GY_ONE_FOR_ONE && owed_before(kid),
                   "%s is stopped, and the strategy does not ask for that", sup->ids[kid->place]);
    kid->owed = policy != GY_RESTART_NEVER;
}

/* ---- supervisors: the real ones, with an eye on them ---- */

static struct sup *sup_of(const void *args)
{
    return GY__CONTAINER(args, struct sup, args);
}
static struct sup *sup_by_pid(gy_pid pid)
{
    for (unsigned i = 0; i < DEPTH; i++)
        if (gy_pid_equal(sups[gy_shard()][i].pid, pid))
            return &sups[gy_shard()][i];
    return NULL;
}

static void all_ended(const struct sup *sup)
{
    for (uint32_t i = 0; i < sup->args.count; i++)
        scenario_check(!sup->kids[i].alive, "%s outlives its supervisor", sup->ids[i]);
}

static int sup_start(struct gy_actor *actor, const void *args)
{
    struct sup *sup = sup_of(args);
    int err;

    if (sup->kid != NULL)
        kid_begins(sup->kid);
    scenario_check(sup->state == ENDED, "a supervisor starts twice");
    sup->state = STARTING;
    sup->pid = actor->pid;
    sup->begun = sup->tries = 0;
    for (uint32_t i = 0; i < PLACES; i++)
        sup->kids[i].tries = 0;
    err = gy_supervisor_type.start(actor, args);
    if (err < 0) {
        all_ended(sup);
        sup->state = ENDED;
        return err;
    }
    scenario_check(sup->begun == sup->args.count, "not all children are started");
    sup->state = RUNS;
    if (sup->kid != NULL)
        kid_lives(sup->kid, actor->pid);
    return 0;
}

/* It ends with -EOWNERDEAD only by itself: because of one restart too many. */
static void gave_up(const struct sup *sup)
{
    uint64_t now_ns = gy_now();
    uint32_t counted = 0;

    given_up++;
    for (uint32_t i = 0; i < sup->tries && i < ATTEMPTS; i++)
        counted += now_ns - sup->tried_ns[i] < sup->args.within_ns;
    /* A group that has to end yet grows by one that is older: counted, and not tried. */
    if (sup->args.strategy == GY_REST_FOR_ONE)
        counted += PLACES - 1;
    scenario_check(counted >= sup->args.restarts_max,
                   "a supervisor gives up after %u restarts, %u are allowed", counted,
                   sup->args.restarts_max);
}

static void sup_stop(struct gy_actor *actor, int why)
{
    struct sup *sup = sup_by_pid(actor->pid);

    scenario_check(sup != NULL && sup->state == RUNS, "a supervisor ends that does not run");
    if (why == -EOWNERDEAD)
        gave_up(sup);
    sup->state = ENDING;
    gy_supervisor_type.stop(actor, why);
    all_ended(sup);
    sup->state = ENDED;
    if (sup->kid != NULL)
        kid_ends(sup->kid, why);
}

static struct gy_actor_type sup_type; /* filled in when the run begins */

/* ---- workers ---- */

enum how { ANSWER, KEEP, FAIL, STOP, STOP_WELL, ABANDON, HOLD, HOWS };

struct worker_args {
    struct kid *kid;
};
static struct worker_args worker_args[SHARDS_MAX][DEPTH][PLACES];
GY_ACTOR(worker);
struct worker_ask_msg {
    uint32_t how;
};
struct worker_ask_reply {
    uint32_t life;
};
GY_CALL(worker, ask);
struct worker_act_msg {
    uint32_t how;
};
GY_CAST(worker, act);
struct worker {
    struct gy_actor actor;
    struct kid *kid;
    uint32_t life;
};
GY_ACTOR_TYPE(worker, worker_start, worker_stop);
GY_VERB(worker, ask);
GY_VERB(worker, act);

static int worker_start(struct worker *self, const struct worker_args *args)
{
    self->kid = args->kid;
    kid_begins(self->kid);
    if (!calm && pick(12) == 0)
        return -ENOEXEC;
    self->life = life_count;
    kid_lives(self->kid, self->actor.pid);
    if (!calm && pick(24) == 0)
        try(gy_actor_stop(self->actor.pid, pick(2) ? -EIO : 0)); /* takes effect after this */
    return 0;
}
static void worker_stop(struct worker *self, int why)
{
    scenario_check(self->kid->life == self->life, "a life ends as another");
    kid_ends(self->kid, why);
}

GY_THEN_RES(worker, worker_unhold)
{
    (void)ctx, (void)res;
    gy_unhold(&self->actor);
}

static void declare_failure(struct worker *self)
{
    worker_ask_fut fut;

    gy_fail(&self->actor, -EIO);
    scenario_check(worker_act((worker_pid){self->actor.pid}, (struct worker_act_msg){HOLD}) ==
                       -EOWNERDEAD,
                   "who has failed casts");
    fut = worker_ask((worker_pid){self->actor.pid}, (struct worker_ask_msg){ANSWER});
    scenario_check(gy_refused(fut.fut) == -EOWNERDEAD, "who has failed calls");
}

static void act(struct worker *self, uint32_t how)
{
    gy_fut timer;

    switch (how) {
    case FAIL:
        declare_failure(self);
        break;
    case STOP:
        try(gy_actor_stop(self->actor.pid, -ESHUTDOWN));
        break;
    case STOP_WELL:
        try(gy_actor_stop(self->actor.pid, 0));
        break;
    case HOLD:
        timer = gy_after(UINT64_C(1) << pick(21));
        if (gy_refused(timer) == 0 && gy_then(self, timer, worker_unhold, 0) == 0)
            gy_hold(&self->actor);
        break;
    default:
        break;
    }
}
void worker_on_act(struct worker *self, const struct worker_act_msg *msg)
{
    act(self, msg->how);
}
void worker_on_ask(struct worker *self, const struct worker_ask_msg *msg, worker_ask_promise reply)
{
    if (msg->how == KEEP && worker_ask_keep(reply) == 0)
        return; /* its end is the answer */
    if (msg->how == ANSWER || msg->how == HOLD || msg->how == STOP_WELL)
        (void)worker_ask_resolve(reply, (struct worker_ask_reply){self->life});
    act(self, msg->how); /* otherwise it is abandoned */
}

/* ---- who kills, calls and watches: one per shard ---- */

struct agent_args {
    uint32_t unused;
};
GY_ACTOR(agent);
struct agent {
    struct gy_actor actor;
    uint32_t number;
};
GY_ACTOR_TYPE(agent, agent_start, agent_stop);

static void agent_rest(struct agent *self);
static int agent_start(struct agent *self, const struct agent_args *args)
{
    (void)args;
    self->number = ++agent_count;
    agent_rest(self);
    return 0;
}
static void agent_stop(struct agent *self, int why)
{
    (void)why;
    for (uint32_t i = 0; i < call_count; i++)
        if (calls[i].open && calls[i].agent == self->number) {
            calls[i].open = false;
            calls_open--;
        }
    for (uint32_t i = 0; i < monitor_count; i++)
        if (monitors[i].open && monitors[i].agent == self->number) {
            monitors[i].open = false;
            monitors_open--;
        }
}

/* Some place somewhere that is a life now, as far as a stranger can know; workers only if asked. */
static struct kid *some_kid(bool worker)
{
    unsigned shard = (unsigned)pick(gy_shards()), depth = (unsigned)pick(DEPTH);
    struct kid *kid = &sups[shard][depth].kids[pick(PLACES)];

    if (kid->pid.bits == 0 || kid->place >= kid->sup->args.count ||
        (worker && kid->sup->specs[kid->place].type != &worker_type))
        return NULL;
    return kid;
}

GY_THEN(agent, agent_on_answer, worker, ask)
{
    scenario_check(calls[ctx].open && calls[ctx].agent == self->number,
                   "call %llu ends twice or at a stranger's", (unsigned long long)ctx);
    scenario_check(res >= 0 || res == -EOWNERDEAD || res == -EAGAIN || res == -ETIMEDOUT ||
                       res == -ESRCH,
                   "a call ended with %d", res);
    scenario_check(res < 0 || value->life == calls[ctx].life, "life %u answers for life %u",
                   res < 0 ? 0 : value->life, calls[ctx].life);
    calls[ctx].open = false;
    calls_open--;
}

static void act_call(struct agent *self)
{
    struct kid *kid = some_kid(true);
    uint32_t id = call_count, how = (uint32_t)pick(HOWS);
    worker_ask_fut fut;

    if (kid == NULL || id == CALLS_MAX)
        return;
    call_count++;
    calls[id].open = true;
    calls[id].life = kid->life;
    calls[id].agent = self->number;
    calls_open++;
    fut = worker_ask((worker_pid){kid->pid}, (struct worker_ask_msg){how});
    if (gy_then(self, fut, agent_on_answer, id) < 0) {
        calls[id].open = false;
        calls_open--;
    } else if (pick(4) == 0) {
        (void)gy_deadline(fut.fut, UINT64_C(1) << pick(24));
    }
}

GY_EXITED(agent, agent_on_exit)
{
    uint32_t life = monitors[ctx].life;

    scenario_check(monitors[ctx].open && monitors[ctx].agent == self->number &&
                       gy_pid_equal(monitors[ctx].pid, pid),
                   "an end is told twice, or to a stranger");
    scenario_check(lives[life] != 1 || why == -EAGAIN, "life %u is told to have ended, and lives",
                   life);
    scenario_check(why == lives[life] || why == -ESRCH || why == -EAGAIN,
                   "life %u ended with %d, and %d is told", life, lives[life], why);
    monitors[ctx].open = false;
    monitors_open--;
}

static void act_monitor(struct agent *self)
{
    struct kid *kid = some_kid(false);
    uint32_t id = monitor_count;

    if (kid == NULL || id == MONITORS_MAX || kid->life >= LIVES_MAX)
        return;
    for (uint32_t i = 0; i < id; i++)
        if (monitors[i].open && monitors[i].agent == self->number &&
            gy_pid_equal(monitors[i].pid, kid->pid)) {
            try(gy_monitor(self, kid->pid, agent_on_exit, i)); /* it is still one */
            return;
        }
    if (gy_monitor(self, kid->pid, agent_on_exit, id) < 0)
        return;
    monitors[id].open = true;
    monitors[id].pid = kid->pid;
    monitors[id].life = kid->life;
    monitors[id].agent = self->number;
    monitor_count++;
    monitors_open++;
}

static void act_kill(void)
{
    struct kid *kid = some_kid(pick(8) != 0);

    if (kid != NULL)
        try(pick(2) ? gy_actor_stop(kid->pid, -EPIPE) : gy_actor_stop_now(kid->pid, -EPIPE));
}

/* By the stable address, which only its own shard reads. */
static void act_cast(void)
{
    struct sup *sup = &sups[gy_shard()][pick(DEPTH)];
    struct kid *kid = &sup->kids[pick(sup->args.count)];
    gy_pid pid = sup->children[kid->place].pid;
    uint32_t how = (uint32_t)pick(HOWS);

    if (pid.bits == 0 || sup->specs[kid->place].type != &worker_type)
        return;
    scenario_check(gy_pid_equal(pid, kid->pid), "the address of %s is another's",
                   sup->ids[kid->place]);
    try(worker_act((worker_pid){pid}, (struct worker_act_msg){how}));
}

/* Fill its mailbox, or the ring to it. */
static void act_flood(void)
{
    struct kid *kid = some_kid(true);

    for (unsigned i = 0; kid != NULL && i < 64; i++)
        if (worker_act((worker_pid){kid->pid}, (struct worker_act_msg){i == 0 ? HOLD : ANSWER}) < 0)
            return;
}

GY_THEN_RES(agent, agent_acts)
{
    (void)ctx, (void)res;
    for (uint64_t n = 1 + pick(6); n > 0 && actions_left > 0; n--) {
        uint64_t what = pick(16);
        actions_left--;
        if (what < 6)
            act_call(self);
        else if (what < 9)
            act_monitor(self);
        else if (what < 11)
            act_kill();
        else if (what < 14)
            act_cast();
        else if (what < 15)
            act_flood();
        else if (pick(8) == 0)
            try(gy_actor_stop(self->actor.pid, -EIO));
    }
    if (!finishing)
        agent_rest(self);
}
static void agent_rest(struct agent *self)
{
    gy_fut timer = gy_after(UINT64_C(1) << pick(22));

    if (gy_refused(timer) != 0 || gy_then(self, timer, agent_acts, 0) < 0)
        try(gy_actor_stop(self->actor.pid, -EIO)); /* another will begin */
}

/* ---- one warden per shard: it starts trees, and agents, and ends them ---- */

struct warden_args {
    uint32_t unused;
};
GY_ACTOR(warden);
struct warden {
    struct gy_actor actor;
    agent_pid agent;
    gy_pid top; /* {0}: there is none, its end was told */
};
GY_ACTOR_TYPE(warden, warden_start, warden_stop);

static void top_exited(struct gy_actor *actor, gy_pid pid, int why, uint64_t ctx)
{
    struct warden *self = (struct warden *)(void *)actor;

    (void)ctx;
    scenario_check(gy_pid_equal(pid, self->top), "the end of a top is told twice");
    scenario_check(why == -EOWNERDEAD || why == 0, "a top ends with %d", why);
    self->top = (gy_pid){0};
    tops_told++;
}

static void warden_rest(struct warden *self);
GY_THEN_RES(warden, warden_looks)
{
    struct sup *top = &sups[gy_shard()][0];

    (void)ctx, (void)res;
    if (!finishing && self->top.bits == 0)
        tops_begun += gy_spawn_monitored_raw(&self->actor, &self->top, &sup_type, &top->args,
                                             top_exited, 0) == 0;
    if (!calm && gy__actor_find(gy__self(), self->agent.pid.bits) == NULL)
        try(agent_spawn(&self->agent, &(struct agent_args){0}));
    if (finishing && self->top.bits != 0)
        try(gy_actor_stop(self->top, 0));
    warden_rest(self);
}
static void warden_rest(struct warden *self)
{
    gy_fut timer = gy_after(2 * GY_MS);

    scenario_check(gy_refused(timer) == 0 && gy_then(self, timer, warden_looks, 0) == 0,
                   "no slot is left for a warden");
}
static int warden_start(struct warden *self, const struct warden_args *args)
{
    (void)args;
    warden_rest(self);
    return 0;
}
static void warden_stop(struct warden *self, int why)
{
    (void)self, (void)why;
}

/* ---- the run ---- */

static uint64_t draw(uint64_t n)
{
    return gy_sim_random(scenario_sim) % n;
}

static void tree_make(unsigned shard)
{
    for (unsigned depth = 0; depth < DEPTH; depth++) {
        struct sup *sup = &sups[shard][depth];
        uint32_t inner = (uint32_t)draw(PLACES); /* where the next supervisor stands */
        *sup = (struct sup){.kid = sup->kid};
        sup->args.children = sup->specs;
        sup->args.count = PLACES;
        sup->args.strategy = (enum gy_strategy)draw(3);
        sup->args.restarts_max = (uint32_t)draw(6);
        sup->args.within_ns = UINT64_C(1) << (14 + draw(15));
        for (uint32_t i = 0; i < PLACES; i++) {
            struct kid *kid = &sup->kids[i];
            bool is_sup = depth + 1 < DEPTH && i == inner;
            kid->sup = sup;
            kid->place = i;
            memcpy(sup->ids[i], (char[]){(char)('a' + depth), (char)('0' + i), 0}, 3);
            sup->specs[i] = (struct gy_child_spec){sup->ids[i], is_sup ? &sup_type : &worker_type,
                                                   kid, (enum gy_restart)draw(3),
                                                   &sup->children[i]};
            if (is_sup) {
                sups[shard][depth + 1].kid = kid;
                sup->specs[i].args = &sups[shard][depth + 1].args;
            } else {
                sup->specs[i].args = &worker_args[shard][depth][i];
                worker_args[shard][depth][i].kid = kid;
            }
        }
    }
}

static int boot(unsigned shard, void *arg)
{
    warden_pid pid;

    (void)shard, (void)arg;
    return warden_spawn(&pid, &(struct warden_args){0});
}
static bool is_spent(void *arg)
{
    (void)arg;
    return actions_left == 0 || life_count >= LIVES_MAX;
}
/* All that is to run runs. */
static bool is_whole(void *arg)
{
    unsigned shards = *(unsigned *)arg;

    for (unsigned shard = 0; shard < shards; shard++)
        for (unsigned depth = 0; depth < DEPTH; depth++) {
            struct sup *sup = &sups[shard][depth];
            if (depth == 0 && sup->state != RUNS)
                return false;
            for (uint32_t i = 0; sup->state == RUNS && i < sup->args.count; i++)
                if (sup->kids[i].owed)
                    return false;
        }
    return true;
}
static bool is_over(void *arg)
{
    unsigned shards = *(unsigned *)arg;

    for (unsigned shard = 0; shard < shards; shard++)
        for (unsigned depth = 0; depth < DEPTH; depth++)
            if (sups[shard][depth].state != ENDED)
                return false;
    return calls_open == 0 && monitors_open == 0 && tops_told == tops_begun;
}

static void addresses_check(unsigned shards)
{
    for (unsigned shard = 0; shard < shards; shard++)
        for (unsigned depth = 0; depth < DEPTH; depth++) {
            struct sup *sup = &sups[shard][depth];
            for (uint32_t i = 0; i < sup->args.count; i++)
                scenario_check(sup->kids[i].alive ?
                                   gy_pid_equal(sup->children[i].pid, sup->kids[i].pid) :
                                   sup->children[i].pid.bits == 0,
                               "%s is not where its address leads", sup->ids[i]);
        }
}

static void nothing_left(unsigned shards)
{
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, 0);

    for (unsigned i = 0; i < shards; i++) {
        struct gy_shard *shard = runtime->shards[i];
        scenario_check(shard->links_live == 0, "%u monitors of nobody's", shard->links_live);
        scenario_check(shard->futures_live == 1, "%u futures of nobody's", shard->futures_live - 1);
        scenario_check(shard->kept_live == 0, "%u promises of nobody's", shard->kept_live);
    }
}

static uint64_t run(struct gy_sim_config *config)
{
    unsigned shards = 1 + (unsigned)(config->seed % SHARDS_MAX);

    sup_type = gy_supervisor_type;
    sup_type.start = sup_start;
    sup_type.stop = sup_stop;
    memset(sups, 0, sizeof(sups));
    memset(calls, 0, sizeof(calls));
    memset(monitors, 0, sizeof(monitors));
    life_count = call_count = calls_open = monitor_count = monitors_open = agent_count = 0;
    tops_told = tops_begun = restarts = given_up = 0;
    actions_left = 1200;
    calm = finishing = false;
    config->shards = shards;
    if (config->runtime.futures < 256)
        config->runtime.futures = 256;
    if (config->seed % 5 == 0)
        config->faults.memory_fail_ppm = 200000;
    if (!scenario_open(config, boot, NULL))
        return 0;
    for (unsigned shard = 0; shard < shards; shard++)
        tree_make(shard);
    scenario_check(gy_sim_until(scenario_sim, is_spent, NULL, 1000 * GY_S), "nobody acts");
    actions_left = 0;
    calm = true;
    gy_sim_heal(scenario_sim);
    gy_sim_advance(scenario_sim, 50 * GY_MS);
    scenario_live(is_whole, &shards, 5 * GY_S, "what is to run does not");
    gy_sim_settle(scenario_sim);
    addresses_check(shards);
    finishing = true;
    scenario_live(is_over, &shards, GY_S, "trees, calls or monitors do not end");
    gy_sim_advance(scenario_sim, 20 * GY_MS);
    gy_sim_settle(scenario_sim);
    nothing_left(shards);
    scenario_add("restarts", restarts);
    scenario_add("given up", given_up);
    return scenario_close();
}

const struct scenario scenario_supervision = {"supervision", "trees of supervisors under fire", run};
