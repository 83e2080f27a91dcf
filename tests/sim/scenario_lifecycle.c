/* A storm of lives: actors are spawned here and there, called, stopped and killed with calls pending,
 * hold and go on, answer at once, later, twice or never, link with each other; callers set deadlines,
 * discard, forget, monitor and die. Whatever happens: a call ends exactly once, with its own answer or
 * a reason that can be; what one actor sends to another is handled in order and at most once; every
 * cast that was accepted is handled or counted as lost; a mailbox never holds more than its bound; a
 * monitor hears of one end, after all answers; nobody outlives the failure of who it is linked to. */
#include "tests/sim/scenario.h"
#include "core/kernel.h"
#include "gyre/buf.h"
#include "gyre/link.h"
#include "gyre/typed.h"

#include <errno.h>
#include <string.h>

#define SHARDS_MAX 4
#define NODES_MAX 24
#define CALLS_MAX 8192
#define LIVES_MAX 256
#define OPEN_MAX 12 /* calls of one caller that it may still discard */
#define KEPT_MAX 16
#define MONITORS_MAX 2048
#define LINKS_MAX 512
#define DEAD_MAX 8192

/* ---- what is known from outside ---- */

enum call_state { CALL_UNUSED, CALL_OPEN, CALL_ENDED, CALL_VANISHED };
static struct {
    uint8_t state;
    uint8_t handled;
    uint16_t life; /* of its caller */
    gy_pid to;
} calls[CALLS_MAX];
static uint32_t call_count, calls_open;

static struct {
    gy_pid pid;
    uint32_t waiting; /* local messages accepted and not handled */
} nodes[NODES_MAX];
static struct {
    gy_pid pid;
    uint16_t life;
    bool open;
} monitors[MONITORS_MAX];
static uint32_t monitor_count, monitors_open;
static struct {
    gy_pid of[2];
} links[LINKS_MAX];
static uint32_t link_count;
static struct {
    gy_pid pid;
    int why;
} dead[DEAD_MAX];
static uint32_t dead_count;
static uint32_t life_count;
static uint64_t casts_accepted, casts_handled;
static uint32_t actions_left, mailbox;
static bool finishing;

static uint64_t pick(uint64_t n)
{
    return gy_random() % n;
}
/* Whether that succeeds is nobody's concern here. */
static void try(int err)
{
    (void)err;
}

/* ---- nodes ---- */

enum how {
    ANSWER_NOW,
    ANSWER_LATER,
    ANSWER_NEVER, /* keeps it until it is discarded or dies */
    ANSWER_WITH_BUFFER,
    REJECT,
    ABANDON,
    FAIL,
    STOP,
    LINK, /* itself with some other node */
    HOWS
};

struct node_args {
    uint32_t index;
};
GY_ACTOR(node);
struct node_work_msg {
    uint32_t id, how;
    uint32_t life, sequence;
};
struct node_work_reply {
    uint64_t id;
};
GY_CALL(node, work);
struct node_poke_msg {
    uint32_t life, sequence;
    uint32_t hold; /* us, 0: not */
};
GY_CAST(node, poke);

struct node {
    struct gy_actor actor;
    uint32_t index;
    struct {
        node_work_promise promise;
        uint32_t id;
    } kept[KEPT_MAX];
    uint32_t kept_count;
    uint32_t seen[LIVES_MAX];
};
GY_ACTOR_TYPE(node, node_start, node_stop);
GY_VERB(node, work);
GY_VERB(node, poke);

static int node_start(struct node *self, const struct node_args *args)
{
    if (pick(16) == 0)
        return -ENOEXEC; /* some cannot */
    self->index = args->index;
    nodes[args->index].pid = self->actor.pid;
    nodes[args->index].waiting = 0;
    return 0;
}
static void node_stop(struct node *self, int why)
{
    scenario_check(why <= 0, "stopped with %d", why);
    if (dead_count < DEAD_MAX) {
        dead[dead_count].pid = self->actor.pid;
        dead[dead_count++].why = why;
    }
}
/* -> whether it has ended; *why: with what. */
static bool is_dead(gy_pid pid, int *why)
{
    for (uint32_t i = 0; i < dead_count; i++)
        if (gy_pid_equal(dead[i].pid, pid)) {
            *why = dead[i].why;
            return true;
        }
    return false;
}

static void link_somebody(struct node *self)
{
    gy_pid to = nodes[pick(NODES_MAX)].pid;

    if (to.bits == 0 || pick(3) != 0 || link_count == LINKS_MAX ||
        gy_pid_equal(to, self->actor.pid) || gy_link(&self->actor, to) < 0)
        return;
    links[link_count].of[0] = self->actor.pid;
    links[link_count++].of[1] = to;
}

/* When nothing is under way: has every failure ended who was linked? An end without failure only
 * takes the link away, so both ends of such a link may be as they are. */
static void links_check(void)
{
    for (uint32_t i = 0; i < link_count; i++) {
        int why[2] = {0, 0};
        bool ended[2] = {is_dead(links[i].of[0], &why[0]), is_dead(links[i].of[1], &why[1])};
        for (unsigned side = 0; side < 2; side++)
            scenario_check(!ended[side] || why[side] >= 0 || ended[!side],
                           "link %u: one end failed with %d, the other lives", i, why[side]);
    }
}

static void in_order(struct node *self, uint32_t life, uint32_t sequence)
{
    scenario_check(sequence > self->seen[life], "message %u of life %u after its message %u",
                   sequence, life, self->seen[life]);
    self->seen[life] = sequence;
}

GY_THEN_RES(node, node_due)
{
    node_work_promise promise = self->kept[ctx].promise;
    int err;

    scenario_check(res == 0, "a timer ended with %d", res);
    err = node_work_resolve(promise, (struct node_work_reply){self->kept[ctx].id});
    scenario_check(err == 0 || err == -ESRCH, "resolve says %d", err);
    scenario_check(node_work_resolve(promise, (struct node_work_reply){0}) == -ESRCH,
                   "a promise was resolved twice");
}

static void keep(struct node *self, const struct node_work_msg *msg, node_work_promise reply)
{
    gy_fut timer;

    if (self->kept_count == KEPT_MAX || node_work_keep(reply) < 0) {
        (void)node_work_reject(reply, -EAGAIN);
        return;
    }
    self->kept[self->kept_count].promise = reply;
    self->kept[self->kept_count].id = msg->id;
    if (msg->how == ANSWER_LATER) {
        timer = gy_after(UINT64_C(1) << pick(24));
        if (gy_refused(timer) != 0)
            (void)node_work_reject(reply, -EAGAIN);
        else
            (void)gy_then(self, timer, node_due, self->kept_count);
    }
    self->kept_count++;
}

static void answer_with_buffer(const struct node_work_msg *msg, node_work_promise reply)
{
    struct gy_buf *buf = gy_buf_take(64);
    struct node_work_reply value = {msg->id};

    if (buf == NULL) {
        (void)node_work_reject(reply, -ENOMEM);
        return;
    }
    memcpy(buf->data, &msg->id, sizeof(msg->id));
    buf->len = sizeof(msg->id);
    (void)gy_resolve_raw(reply.promise, 0, &value, sizeof(value), buf);
}

void node_on_work(struct node *self, const struct node_work_msg *msg, node_work_promise reply)
{
    scenario_check(calls[msg->id].handled++ == 0, "call %u was handled twice", msg->id);
    in_order(self, msg->life, msg->sequence);
    switch (msg->how) {
    case ANSWER_NOW:
        (void)node_work_resolve(reply, (struct node_work_reply){msg->id});
        scenario_check(node_work_resolve(reply, (struct node_work_reply){0}) == -ESRCH,
                       "a promise was resolved twice");
        break;
    case ANSWER_LATER:
    case ANSWER_NEVER:
        keep(self, msg, reply);
        break;
    case ANSWER_WITH_BUFFER:
        answer_with_buffer(msg, reply);
        break;
    case REJECT:
        (void)node_work_reject(reply, -ENOTSUP);
        break;
    case LINK:
        link_somebody(self);
        (void)node_work_resolve(reply, (struct node_work_reply){msg->id});
        break;
    case FAIL:
        gy_fail(&self->actor, -EIO);
        break;
    case STOP:
        (void)node_work_resolve(reply, (struct node_work_reply){msg->id});
        try(gy_actor_stop(self->actor.pid, -ESHUTDOWN));
        break;
    default:
        break;
    }
}

GY_THEN_RES(node, node_unhold)
{
    (void)ctx, (void)res;
    gy_unhold(&self->actor);
}
void node_on_poke(struct node *self, const struct node_poke_msg *msg)
{
    casts_handled++;
    if (msg->life < LIVES_MAX)
        in_order(self, msg->life, msg->sequence);
    if (msg->hold > 0) {
        gy_fut timer = gy_after(msg->hold * (uint64_t)GY_US);
        if (gy_refused(timer) == 0 && gy_then(self, timer, node_unhold, 0) == 0)
            gy_hold(&self->actor);
    }
}

/* ---- callers ---- */

struct caller_args {
    uint32_t unused;
};
GY_ACTOR(caller);
struct caller_step_msg {
    uint32_t unused;
};
GY_CAST(caller, step);
#define EXITS_MAX 64
struct caller {
    struct gy_actor actor;
    uint32_t life, sequence;
    gy_pid exited[EXITS_MAX]; /* of whom it was told the end, the last ones */
    uint32_t exit_count;
    node_work_fut open[OPEN_MAX];
};
GY_ACTOR_TYPE(caller, caller_start, caller_stop);
GY_VERB(caller, step);

static void next_step(struct caller *self);
GY_THEN_RES(caller, caller_rested)
{
    (void)ctx, (void)res;
    next_step(self);
}

static int caller_start(struct caller *self, const struct caller_args *args)
{
    (void)args;
    if (life_count == LIVES_MAX)
        return -EAGAIN;
    self->life = life_count++;
    next_step(self);
    return 0;
}

static void caller_stop(struct caller *self, int why)
{
    (void)why;
    for (uint32_t id = 0; id < call_count; id++)
        if (calls[id].state == CALL_OPEN && calls[id].life == self->life) {
            calls[id].state = CALL_VANISHED;
            calls_open--;
        }
    for (uint32_t i = 0; i < monitor_count; i++)
        if (monitors[i].open && monitors[i].life == self->life) {
            monitors[i].open = false;
            monitors_open--;
        }
}

static void call_ends(uint32_t id)
{
    scenario_check(calls[id].state == CALL_OPEN, "call %u ends, but it is %s", id,
                   calls[id].state == CALL_ENDED ? "ended" : "not open");
    calls[id].state = CALL_ENDED;
    calls_open--;
}

static void caller_on_done(struct gy_actor *a, const struct gy_done *done)
{
    struct caller *self = (struct caller *)(void *)a;
    uint32_t id = (uint32_t)done->ctx;
    const struct node_work_reply *value = done->value;

    scenario_check(calls[id].life == self->life, "call %u of life %u ends in life %u", id,
                   calls[id].life, self->life);
    call_ends(id);
    for (uint32_t i = 0; done->res >= 0 && i < EXITS_MAX; i++)
        scenario_check(!gy_pid_equal(self->exited[i], calls[id].to),
                       "call %u is answered after its callee's end was told", id);
    if (done->res >= 0)
        scenario_check(value->id == id, "call %u got the answer of call %llu", id,
                       (unsigned long long)value->id);
    else
        scenario_check(done->res == -EOWNERDEAD || done->res == -ECANCELED ||
                           done->res == -ETIMEDOUT || done->res == -EAGAIN ||
                           done->res == -ENOTSUP || done->res == -ESRCH || done->res == -ENOMEM,
                       "call %u ended with %d", id, done->res);
    if (done->buf != NULL) {
        scenario_check(done->buf->len == 4 && memcmp(done->buf->data, &id, 4) == 0,
                       "a buffer changed on its way");
        gy_buf_release(done->buf);
    }
}

static void act_call(struct caller *self)
{
    gy_pid to = nodes[pick(NODES_MAX)].pid;
    uint32_t id = call_count;
    node_work_fut fut;

    if (call_count == CALLS_MAX || to.bits == 0)
        return;
    call_count++;
    calls[id].life = (uint16_t)self->life;
    calls[id].to = to;
    calls[id].state = CALL_OPEN;
    calls_open++;
    fut = node_work((node_pid){to}, (struct node_work_msg){id, (uint32_t)pick(HOWS), self->life,
                                                           ++self->sequence});
    if (pick(16) == 0) {
        calls[id].state = CALL_VANISHED;
        calls_open--;
        gy_forget(fut.fut);
        return;
    }
    if (gy_then_raw(&self->actor, fut.fut, caller_on_done, id) < 0) {
        call_ends(id); /* refused, and no room to say so */
        return;
    }
    if (pick(3) == 0)
        (void)gy_deadline(fut.fut, UINT64_C(1) << pick(26));
    self->open[pick(OPEN_MAX)] = fut;
}

GY_EXITED(caller, caller_on_exit)
{
    scenario_check(monitors[ctx].open && monitors[ctx].life == self->life &&
                       gy_pid_equal(monitors[ctx].pid, pid),
                   "monitor %llu is told of an end that is not its own, or twice",
                   (unsigned long long)ctx);
    scenario_check(why <= 0, "an end with %d", why);
    monitors[ctx].open = false;
    monitors_open--;
    self->exited[self->exit_count++ % EXITS_MAX] = pid;
}

static bool monitors_already(const struct caller *self, gy_pid pid)
{
    for (uint32_t i = 0; i < monitor_count; i++)
        if (monitors[i].open && monitors[i].life == self->life && gy_pid_equal(monitors[i].pid, pid))
            return true;
    return false;
}

static void act_monitor(struct caller *self)
{
    gy_pid to = nodes[pick(NODES_MAX)].pid;
    uint32_t id = monitor_count;

    if (to.bits == 0 || id == MONITORS_MAX || monitors_already(self, to))
        return;
    if (gy_monitor(self, to, caller_on_exit, id) < 0)
        return;
    monitors[id].pid = to;
    monitors[id].life = (uint16_t)self->life;
    monitors[id].open = true;
    monitor_count++;
    monitors_open++;
}

static void act_demonitor(struct caller *self)
{
    uint32_t id = monitor_count > 0 ? (uint32_t)pick(monitor_count) : 0;

    if (!monitors[id].open || monitors[id].life != self->life)
        return;
    gy_demonitor(&self->actor, monitors[id].pid);
    monitors[id].open = false;
    monitors_open--;
}

static void act_discard(struct caller *self)
{
    gy_discard(self->open[pick(OPEN_MAX)].fut);
}

static void cast_accepted(int err)
{
    scenario_check(err == 0 || err == -EAGAIN || err == -ESRCH, "a cast says %d", err);
    casts_accepted += err == 0;
}

static void act_poke(struct caller *self)
{
    gy_pid to = nodes[pick(NODES_MAX)].pid;
    uint32_t hold = pick(8) == 0 ? 1u << pick(14) : 0;

    if (to.bits != 0)
        cast_accepted(node_poke((node_pid){to},
                                (struct node_poke_msg){self->life, ++self->sequence, hold}));
}

/* As many as it takes: what this shard has waiting for it is never more than a mailbox. */
static void act_flood(struct caller *self)
{
    gy_pid to = nodes[pick(NODES_MAX)].pid;
    uint32_t sent = 0;

    if (to.bits == 0 || gy_pid_shard(to) != gy_shard())
        return;
    while (sent < 2048) {
        int err = node_poke((node_pid){to}, (struct node_poke_msg){self->life, ++self->sequence, 0});
        cast_accepted(err);
        if (err < 0)
            break;
        sent++;
    }
    scenario_check(sent <= mailbox, "a mailbox of %u took %u messages at once", mailbox, sent);
}

static void on_spawned(struct gy_actor *a, const struct gy_done *done)
{
    (void)a;
    scenario_check(done->res >= 0 || done->res == -ENOEXEC || done->res == -EAGAIN ||
                       done->res == -EOWNERDEAD || done->res == -ESRCH,
                   "a spawn ended with %d", done->res);
}

static void act_spawn(struct caller *self)
{
    struct node_args args = {(uint32_t)pick(NODES_MAX)};
    node_pid pid;

    if (pick(2) == 0) {
        node_spawn_fut fut = node_spawn_on((unsigned)pick(gy_shards()), &args);
        if (gy_then_raw(&self->actor, fut.fut, on_spawned, 0) < 0)
            return;
    } else if (node_spawn(&pid, &args) < 0) {
        return;
    }
}

static void act_stop(void)
{
    gy_pid to = nodes[pick(NODES_MAX)].pid;
    int err;

    if (to.bits == 0)
        return;
    err = pick(2) ? gy_actor_stop(to, -ESHUTDOWN) : gy_actor_stop_now(to, -ESHUTDOWN);
    scenario_check(err == 0 || err == -EAGAIN || err == -ESRCH, "a stop says %d", err);
}

static void next_step(struct caller *self)
{
    gy_fut timer;

    if (actions_left == 0)
        return;
    if (pick(4) != 0 &&
        caller_step((caller_pid){self->actor.pid}, (struct caller_step_msg){0}) == 0) {
        casts_accepted++;
        return;
    }
    timer = gy_after(UINT64_C(1) << pick(22));
    if (gy_refused(timer) != 0 || gy_then(self, timer, caller_rested, 0) < 0)
        try(gy_actor_stop(self->actor.pid, 0)); /* another will begin */
}

void caller_on_step(struct caller *self, const struct caller_step_msg *msg)
{
    (void)msg;
    casts_handled++;
    for (uint64_t n = 1 + pick(6); n > 0 && actions_left > 0; n--) {
        uint64_t what = pick(32);
        actions_left--;
        if (what < 14)
            act_call(self);
        else if (what < 17)
            act_discard(self);
        else if (what < 19)
            act_monitor(self);
        else if (what < 20)
            act_demonitor(self);
        else if (what < 24)
            act_poke(self);
        else if (what < 28)
            act_spawn(self);
        else if (what < 30)
            act_stop();
        else if (what < 31)
            act_flood(self);
        else if (pick(4) == 0)
            try(gy_actor_stop(self->actor.pid, 0));
    }
    next_step(self);
}

/* ---- one boss per shard: it keeps callers alive, and ends the storm ---- */

struct boss_args {
    uint32_t unused;
};
GY_ACTOR(boss);
struct boss {
    struct gy_actor actor;
    caller_pid caller[3];
};
GY_ACTOR_TYPE(boss, boss_start, boss_stop);

static void boss_rest(struct boss *self);
GY_THEN_RES(boss, boss_tick)
{
    (void)ctx, (void)res;
    for (unsigned i = 0; i < 3 && !finishing; i++)
        if (gy__actor_find(gy__self(), self->caller[i].pid.bits) == NULL)
            try(caller_spawn(&self->caller[i], &(struct caller_args){0}));
    /* A node that nobody knows by its number any more ends too. */
    for (uint32_t slot = 1; finishing && slot < gy__self()->granules_used; slot++) {
        struct gy_actor *actor = gy__actor_at(gy__self(), slot);
        if ((gy__self()->slots[slot].generation & 1) != 0 &&
            gy__stats_of(actor)->type == &node_type)
            try(gy_actor_stop(actor->pid, 0));
    }
    boss_rest(self);
}
static void boss_rest(struct boss *self)
{
    gy_fut timer = gy_after(5 * GY_MS);

    if (gy_refused(timer) == 0)
        (void)gy_then(self, timer, boss_tick, 0);
}
static int boss_start(struct boss *self, const struct boss_args *args)
{
    (void)args;
    boss_rest(self);
    return 0;
}
static void boss_stop(struct boss *self, int why)
{
    (void)self, (void)why;
}

/* ---- the run ---- */

static int boot(unsigned shard, void *arg)
{
    boss_pid boss;
    int err = boss_spawn(&boss, &(struct boss_args){0});

    (void)arg;
    for (uint32_t i = shard; i < NODES_MAX && err == 0; i += gy_shards()) {
        node_pid pid;
        err = node_spawn(&pid, &(struct node_args){i});
        if (err == -ENOEXEC)
            err = 0;
    }
    return err;
}

/* Other threads poke too. */
static void post(void *arg)
{
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, 0);
    gy_pid to = nodes[gy_sim_random(scenario_sim) % NODES_MAX].pid;

    if (runtime != NULL && to.bits != 0)
        cast_accepted(node_poke_post(runtime, (node_pid){to},
                                     (struct node_poke_msg){LIVES_MAX, 0, 0}));
    if (actions_left > 0)
        gy_sim_at(scenario_sim, 1 + (UINT64_C(1) << gy_sim_random(scenario_sim) % 24), post, arg);
}

static void ending(void *arg)
{
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, 0);

    actions_left = 0;
    if (runtime == NULL)
        return;
    if (*(uint64_t *)arg % 3 == 0)
        gy_sim_crash(scenario_sim, 0);
    else if (*(uint64_t *)arg % 3 == 1)
        gy_drain(runtime);
    else
        gy_stop(runtime);
}

static bool is_over(void *arg)
{
    (void)arg;
    return gy_sim_runtime(scenario_sim, 0) == NULL;
}
static bool is_spent(void *arg)
{
    (void)arg;
    return actions_left == 0 || life_count == LIVES_MAX;
}
static bool is_done(void *arg)
{
    (void)arg;
    return calls_open == 0 && monitors_open == 0;
}

static uint64_t casts_lost(void)
{
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, 0);
    uint64_t lost = 0;

    for (uint32_t i = 0; i < runtime->shard_count; i++)
        lost += runtime->shards[i]->core_counters[GY__COUNT_DEAD_LETTERS] +
                runtime->shards[i]->core_counters[GY__COUNT_DROPPED];
    return lost;
}

static uint64_t end_early(uint64_t how)
{
    uint64_t hash;

    gy_sim_at(scenario_sim, 1 + (gy_sim_random(scenario_sim) >> 40), ending, &how);
    scenario_check(gy_sim_until(scenario_sim, is_over, NULL, 20 * GY_S),
                   "it does not end in the middle of the storm");
    hash = gy_sim_hash(scenario_sim);
    scenario_sum();
    (void)gy_sim_close(scenario_sim);
    return hash;
}

static uint64_t run(struct gy_sim_config *config)
{
    memset(calls, 0, sizeof(calls));
    memset(nodes, 0, sizeof(nodes));
    memset(monitors, 0, sizeof(monitors));
    monitor_count = monitors_open = link_count = dead_count = 0;
    call_count = calls_open = life_count = 0;
    casts_accepted = casts_handled = 0;
    actions_left = 2000;
    finishing = false;
    config->shards = 1 + (uint32_t)(config->seed % SHARDS_MAX);
    mailbox = config->runtime.mailbox;
    if (!scenario_open(config, boot, NULL))
        return 0;
    gy_sim_at(scenario_sim, 1, post, NULL);
    if (config->seed % 7 == 0)
        return end_early(config->seed / 7);
    scenario_check(gy_sim_until(scenario_sim, is_spent, NULL, 10000 * GY_S), "the storm stands still");
    actions_left = 0;
    gy_sim_advance(scenario_sim, 100 * GY_MS); /* who holds hears of an end when it goes on */
    gy_sim_settle(scenario_sim);
    links_check();
    finishing = true;
    scenario_live(is_done, NULL, GY_S, "calls or monitors do not end");
    gy_sim_advance(scenario_sim, 100 * GY_MS);
    gy_sim_settle(scenario_sim);
    scenario_check(casts_accepted == casts_handled + casts_lost(),
                   "%llu casts were accepted, %llu handled, %llu counted as lost",
                   (unsigned long long)casts_accepted, (unsigned long long)casts_handled,
                   (unsigned long long)casts_lost());
    return scenario_close();
}

const struct scenario scenario_lifecycle = {"lifecycle", "spawn, call, stop and die in all orders",
                                            run};
