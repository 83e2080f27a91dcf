/* Trees of supervisors whose workers fail, stop, are killed from anywhere, do not start, or end while
 * they start; supervisors are killed too, and give up. Strategies, policies and limits come from the
 * seed. Whatever happens: a place in a tree has one life at a time; it is started again once for each
 * end after which it is to be, by the rules of its supervisor's strategy and no others; groups end
 * newest first and before one of them starts; no limit is exceeded, and none given up on early; who
 * watches a life hears of its end once, with its own reason; an answer is that of the life that was
 * called. Children are added, removed and started again by request, also while they end or their group
 * restarts: who is removed or did not start starts no more, who is started by request is not started
 * again for the end before, and who is added comes after those that were there. When the killing stops
 * all that is to run runs, in bounded time. */
#include "tests/sim/scenario.h"
#include "core/bufs.h"
#include "core/kernel.h"
#include "gyre/link.h"
#include "gyre/supervisor.h"
#include "gyre/typed.h"
#include "gyre/wait.h"

#include <errno.h>
#include <string.h>

#define SHARDS_MAX 3
#define DEPTH 3       /* supervisors below each other */
#define PLACES 4      /* children of each from its start */
#define KIDS (PLACES + 2) /* and those that may be added */
#define LIVES_MAX 8192
#define CALLS_MAX 4096
#define MONITORS_MAX 2048
#define ATTEMPTS 128  /* remembered of each supervisor */

/* ---- what is known from outside ---- */

enum state { ENDED, STARTING, RUNS, ENDING };
enum owed { NO, MAYBE, YES };
enum known { UNKNOWN, ADDED /* asked for, and not answered */, KNOWN };
enum request { NOTHING, ADD, REMOVE, RESTART, REQUESTS };
struct sup;
struct kid { /* a place in a tree */
    struct sup *sup;
    uint32_t place;
    uint32_t rank; /* its order among those of its supervisor */
    enum known known;
    bool alive;
    enum owed owed; /* its supervisor has to start it again */
    bool grouped;   /* it was stopped with a group */
    /* One request at a time. */
    enum request request;
    uint32_t asked_of; /* which life of its supervisor */
    uint32_t begins;   /* since it was asked for */
    gy_pid begun;      /* the first of these that succeeded */
    gy_pid pid;
    uint32_t life;
    uint64_t tried_ns[GY_RESTARTS_MAX + 2]; /* the last restarts of it, a ring */
    uint32_t tries;
};
static struct sup {
    struct gy_supervisor_args args;
    struct gy_child_spec specs[KIDS];
    struct gy_child children[KIDS];
    struct kid kids[KIDS];
    char ids[KIDS][8];
    struct kid *kid; /* where it is itself, NULL: the top */
    enum state state;
    gy_pid pid;
    uint32_t life;  /* its number */
    uint32_t rank;  /* the last one's */
    uint32_t begun; /* children, while it starts */
    uint64_t may_ns[ATTEMPTS]; /* starts that may have been restarts, or what was asked for */
    uint32_t may;
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
static uint32_t actions_left, tops_told, tops_begun, restarts, given_up, requests_done[REQUESTS];
static uint32_t requests_open, sup_lives;
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
    for (uint32_t i = 0; i < KIDS; i++)
        if (kid->sup->kids[i].alive && kid->sup->kids[i].rank > kid->rank)
            return true;
    return false;
}

/* Is there one whose end can be why the supervisor stops this one? */
static bool owed_before(const struct kid *kid)
{
    const struct sup *sup = kid->sup;

    for (uint32_t i = 0; i < KIDS; i++)
        if (sup->kids[i].owed != NO &&
            (sup->args.strategy == GY_ONE_FOR_ALL || sup->kids[i].rank < kid->rank))
            return true;
    return false;
}

/* Can it be that somebody asked for this? */
static bool asked(const struct kid *kid, enum request request)
{
    return kid->request == request && kid->asked_of == kid->sup->life;
}

/* Added while a group restarts: those that were there before it have been started. */
static void first_start_check(const struct kid *kid)
{
    const struct sup *sup = kid->sup;

    for (uint32_t i = 0; i < KIDS; i++) {
        const struct kid *other = &sup->kids[i];
        scenario_check(!other->grouped || other->owed != YES || other->request != NOTHING,
                       "%s starts before %s, which was there before", sup->ids[kid->place],
                       sup->ids[i]);
    }
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
    enum gy_restart policy = sup->specs[kid->place].restart;

    scenario_check(!kid->alive, "a second life of %s begins", sup->ids[kid->place]);
    if (sup->state == STARTING) {
        scenario_check(kid->place == sup->begun, "child %u is started before child %u", kid->place,
                       sup->begun);
        sup->begun++;
        kid->rank = ++sup->rank;
        kid->owed = NO;
        return;
    }
    scenario_check(sup->state == RUNS, "a supervisor that ends starts a child");
    scenario_check(kid->known != UNKNOWN, "%s starts, and is no child", sup->ids[kid->place]);
    if (asked(kid, ADD) && (kid->known == ADDED || policy == GY_RESTART_NEVER) &&
        kid->begins++ == 0) {
        first_start_check(kid);
        kid->rank = ++sup->rank;
        return;
    }
    if (asked(kid, RESTART)) {
        kid->begins++;
        sup->may_ns[sup->may++ % ATTEMPTS] = gy_now();
        return;
    }
    scenario_check(kid->owed != NO, "%s starts again, and nothing asks for that",
                   sup->ids[kid->place]);
    scenario_check(sup->args.strategy == GY_ONE_FOR_ONE || !living_behind(kid),
                   "%s starts before the group has ended", sup->ids[kid->place]);
    intensity_check(kid);
}

static void kid_lives(struct kid *kid, gy_pid pid)
{
    kid->alive = true;
    kid->owed = NO;
    kid->grouped = false;
    kid->pid = pid;
    if (kid->begun.bits == 0)
        kid->begun = pid;
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
                                             (policy == GY_RESTART_ON_FAILURE && why < 0)) ? YES : NO;
        return;
    }
    if (sup->state == RUNS && (asked(kid, REMOVE) || asked(kid, RESTART))) {
        kid->owed = policy != GY_RESTART_NEVER ? MAYBE : NO;
        return;
    }
    scenario_check(!living_behind(kid), "%s is stopped before those started after it",
                   sup->ids[kid->place]);
    if (sup->state != RUNS)
        return;
    scenario_check(sup->args.strategy != GY_ONE_FOR_ONE && owed_before(kid),
                   "%s is stopped, and the strategy does not ask for that", sup->ids[kid->place]);
    kid->owed = policy != GY_RESTART_NEVER ? YES : NO;
    kid->grouped = true;
}

/* ---- supervisors: the real ones, with an eye on them ---- */

static struct sup *sup_of(const struct gy_supervisor_args *args)
{
    return GY__CONTAINER(args->children, struct sup, specs); /* args may be a copy */
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
    for (uint32_t i = 0; i < KIDS; i++)
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
    sup->life = ++sup_lives;
    sup->begun = sup->tries = sup->may = sup->rank = 0;
    for (uint32_t i = 0; i < KIDS; i++) {
        sup->kids[i].tries = sup->kids[i].rank = 0;
        sup->kids[i].grouped = false;
        sup->kids[i].owed = NO;
        sup->kids[i].known = i < PLACES ? KNOWN : UNKNOWN;
    }
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
    for (uint32_t i = 0; i < sup->may && i < ATTEMPTS; i++)
        counted += now_ns - sup->may_ns[i] < sup->args.within_ns;
    /* A restart that was counted when its child was removed. */
    for (uint32_t i = 0; i < KIDS; i++)
        counted += sup->kids[i].request != NOTHING;
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
static struct worker_args worker_args[SHARDS_MAX][DEPTH][KIDS];
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
    struct kid *kid = &sups[shard][depth].kids[pick(KIDS)];

    if (kid->pid.bits == 0 || (worker && kid->sup->specs[kid->place].type != &worker_type))
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
    struct kid *kid = &sup->kids[pick(KIDS)];
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

/* ---- who adds, removes and starts again: one per shard, which nobody kills ---- */

struct clerk_args {
    uint32_t unused;
};
GY_ACTOR(clerk);
struct clerk_now_msg {
    struct kid *kid;
};
GY_CAST(clerk, now);
struct clerk {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(clerk, clerk_start, clerk_stop);
GY_VERB(clerk, now);

static bool never(const struct kid *kid)
{
    return kid->sup->specs[kid->place].restart == GY_RESTART_NEVER;
}

static void add_done(struct kid *kid, int res, gy_pid pid)
{
    const char *id = kid->sup->ids[kid->place];

    if (res == 0) {
        scenario_check(kid->known == ADDED || never(kid), "%s is added twice", id);
        scenario_check(gy_pid_equal(pid, kid->begun), "%s is said to be another", id);
        kid->known = KNOWN;
    } else if (res == -EEXIST) {
        scenario_check(kid->known == KNOWN || never(kid), "%s is refused, and is not there", id);
        kid->known = KNOWN;
    } else if (kid->known == ADDED) {
        scenario_check(!kid->alive, "%s is not added (%d), and lives", id, res);
        kid->known = UNKNOWN;
        kid->owed = NO;
    }
}

/* It is no child any more, or was none. */
static void gone(struct kid *kid, int res)
{
    const char *id = kid->sup->ids[kid->place];

    scenario_check(res == 0 || kid->known == UNKNOWN || never(kid), "%s is not found", id);
    scenario_check(res < 0 || kid->known == KNOWN || never(kid), "%s is removed twice", id);
    scenario_check(!kid->alive, "%s was removed, and lives", id);
    kid->known = UNKNOWN;
    kid->owed = NO;
}

static void restart_done(struct kid *kid, int res)
{
    const char *id = kid->sup->ids[kid->place];

    scenario_check(res != 0 || kid->begins > 0, "%s is not started again", id);
    if (res == -ENOEXEC) {
        scenario_check(!kid->alive, "%s does not start, and lives", id);
        kid->owed = NO;
    } else if (res < 0 && kid->owed == YES) {
        kid->owed = MAYBE; /* no room, here or for its start */
    }
}

GY_THEN_WORD(clerk, clerk_on_done)
{
    struct kid *kid = (struct kid *)(uintptr_t)ctx;
    struct sup *sup = kid->sup;
    enum request request = kid->request;

    (void)self;
    scenario_check(request != NOTHING, "a request is answered twice");
    scenario_check(res == 0 || res == -EEXIST || res == -ENOENT || res == -EBUSY ||
                       res == -ENOEXEC || res == -EAGAIN || res == -EOWNERDEAD || res == -ESRCH,
                   "a request ended with %d", res);
    requests_open--;
    requests_done[request] += res == 0;
    kid->request = NOTHING;
    if (kid->asked_of != sup->life || sup->state != RUNS)
        return; /* by one that is no more: it says nothing about the next */
    scenario_check(res != -EOWNERDEAD, "a supervisor does not answer");
    if (request == REMOVE && res == 0)
        sup->may_ns[sup->may++ % ATTEMPTS] = gy_now();
    if (res == -ENOENT || (request == REMOVE && res == 0))
        gone(kid, res);
    else if (request == ADD)
        add_done(kid, res, (gy_pid){word});
    else if (request == RESTART)
        restart_done(kid, res);
}

static void ask_for(struct clerk *self, struct kid *kid)
{
    struct sup *sup = kid->sup;
    bool worker = sup->specs[kid->place].type == &worker_type;
    gy_fut fut;

    if (kid->request != NOTHING || sup->state != RUNS)
        return;
    kid->request = pick(8) != 0 && kid->known == UNKNOWN ? ADD : (enum request)(1 + pick(3));
    if (kid->request == REMOVE && !worker && pick(4) != 0)
        kid->request = RESTART; /* trees are to stay deep */
    kid->asked_of = sup->life;
    kid->begins = 0;
    kid->begun = (gy_pid){0};
    requests_open++;
    if (kid->request == ADD) {
        if (kid->known == UNKNOWN || (never(kid) && !kid->alive))
            kid->known = ADDED;
        fut = gy_supervisor_add(sup->pid, &sup->specs[kid->place]);
    } else if (kid->request == REMOVE) {
        fut = gy_supervisor_remove(sup->pid, sup->ids[kid->place]);
    } else {
        fut = gy_supervisor_restart(sup->pid, sup->ids[kid->place]);
    }
    if (gy_then(self, fut, clerk_on_done, (uint64_t)(uintptr_t)kid) < 0)
        clerk_on_done(self, (uint64_t)(uintptr_t)kid, -EAGAIN, 0);
}

/* Of one that ends: before its end is told. Of another: while the group restarts, if it is on this shard. */
static void ask_while_one_fails(struct clerk *self, struct kid *kid)
{
    struct sup *sup = kid->sup;
    struct kid *fails = pick(2) ? kid : &sup->kids[pick(KIDS)];

    if (fails->alive && sup->specs[fails->place].type == &worker_type)
        try(worker_act((worker_pid){fails->pid}, (struct worker_act_msg){FAIL}));
    if (fails == kid)
        ask_for(self, kid);
    else
        try(clerk_now((clerk_pid){self->actor.pid}, (struct clerk_now_msg){kid}));
}
void clerk_on_now(struct clerk *self, const struct clerk_now_msg *msg)
{
    ask_for(self, msg->kid);
}

static void clerk_rest(struct clerk *self);
GY_THEN_RES(clerk, clerk_acts)
{
    (void)ctx, (void)res;
    for (uint64_t n = pick(4); n > 0 && !calm; n--) {
        struct kid *kid = &sups[pick(2) ? gy_shard() : pick(gy_shards())][pick(DEPTH)].kids[pick(KIDS)];
        if (kid->sup == NULL)
            continue;
        if (pick(2))
            ask_for(self, kid);
        else
            ask_while_one_fails(self, kid);
    }
    if (!calm)
        clerk_rest(self);
}
static void clerk_rest(struct clerk *self)
{
    gy_fut timer = gy_after(UINT64_C(1) << pick(22));

    scenario_check(gy_refused(timer) == 0 && gy_then(self, timer, clerk_acts, 0) == 0,
                   "no slot is left for a clerk");
}
static int clerk_start(struct clerk *self, const struct clerk_args *args)
{
    (void)args;
    clerk_rest(self);
    return 0;
}
static void clerk_stop(struct clerk *self, int why)
{
    (void)self, (void)why;
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
        for (uint32_t i = 0; i < KIDS; i++) {
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
    clerk_pid clerk;
    int err = clerk_spawn(&clerk, &(struct clerk_args){0});

    (void)shard, (void)arg;
    return err < 0 ? err : warden_spawn(&pid, &(struct warden_args){0});
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
            for (uint32_t i = 0; sup->state == RUNS && i < KIDS; i++)
                if (sup->kids[i].owed == YES)
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
    return calls_open == 0 && monitors_open == 0 && requests_open == 0 && tops_told == tops_begun;
}

static void addresses_check(unsigned shards)
{
    for (unsigned shard = 0; shard < shards; shard++)
        for (unsigned depth = 0; depth < DEPTH; depth++) {
            struct sup *sup = &sups[shard][depth];
            for (uint32_t i = 0; i < KIDS; i++)
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
        for (unsigned k = 0; k < GY__BUF_CLASSES; k++)
            scenario_check(atomic_load(&shard->bufs->pools[k].in_use) == 0,
                           "a record of a child that is none");
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
    tops_told = tops_begun = restarts = given_up = requests_open = sup_lives = 0;
    memset(requests_done, 0, sizeof(requests_done));
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
    scenario_add("added", requests_done[ADD]);
    scenario_add("removed", requests_done[REMOVE]);
    scenario_add("started again by request", requests_done[RESTART]);
    return scenario_close();
}

const struct scenario scenario_supervision = {"supervision", "trees of supervisors under fire", run};
