/* Work that blocks, and calls of a thread that is no shard: hands submit work by the pool and its
 * queue's fill, discard it, are late and die, with arguments of their own memory and others; a thread
 * asks tellers that answer, forget, fail, die or never answer, and waits for ends. Whatever happens: a
 * piece of work runs at most once, on no more threads than there are, before its argument is given
 * back, which happens once; an end is told once and is what the work returned; the thread gets the
 * answer to its call, in time or not at all; what others post is handled or counted as lost. When
 * faults end all work ends, in bounded time. */
#include "tests/sim/scenario.h"
#include "core/kernel.h"
#include "core/work.h"
#include "gyre/ask.h"
#include "gyre/timer.h"
#include "gyre/typed.h"
#include "gyre/work.h"

#include <errno.h>
#include <string.h>

#define SHARDS_MAX 3
#define HANDS 2   /* per shard */
#define TELLERS 2
#define SPOTS 3   /* pieces of work in a hand's own memory */
#define JOBS_MAX 2048
#define DEAD_MAX 512
#define LANE_MAX 1024

/* ---- what is known from outside ---- */

static struct job {
    uint32_t number;
    uint32_t life; /* of its hand */
    int result;
    uint8_t ran, released;
    bool open;    /* its end has not been told, and will be */
    bool refused; /* must not run */
} jobs[JOBS_MAX];
static struct {
    gy_pid pid;
    int why;
} dead[DEAD_MAX]; /* tellers */
static gy_pid tellers[SHARDS_MAX][TELLERS], hands[SHARDS_MAX][HANDS];
static uint32_t job_count, jobs_open, jobs_kept, dead_count, life_count, actions_left, threads;
static uint64_t posted, heard;
static bool calm, finishing;

static uint64_t pick(uint64_t n)
{
    return gy_random() % n;
}
static void try(int err)
{
    (void)err;
}
static uint64_t draw(uint64_t n)
{
    return gy_sim_random(scenario_sim) % n;
}

/* ---- hands ---- */

struct hand_args {
    uint32_t place;
};
GY_ACTOR(hand);
struct hand_note_msg {
    uint64_t number;
};
GY_CAST(hand, note);
struct spot {
    uint32_t job; /* number + 1; 0: free */
};
struct hand {
    struct gy_actor actor;
    uint32_t life;
    struct spot spots[SPOTS];
    gy_fut open[4];
};
GY_ACTOR_TYPE(hand, hand_start, hand_stop);
GY_VERB(hand, note);

void hand_on_note(struct hand *self, const struct hand_note_msg *msg)
{
    (void)self, (void)msg;
    heard++;
}

/* On a thread of the pool. */
static int work(struct job *job)
{
    /* While the world is being opened there is none yet. */
    struct gy_runtime *runtime = scenario_sim == NULL ? NULL : gy_sim_runtime(scenario_sim, 0);
    uint64_t running = 0;
    gy_pid to = hands[0][job->number % HANDS];

    scenario_check(gy_runtime_of_shard() == NULL, "blocking work runs on a shard");
    scenario_check(job->ran++ == 0, "job %u runs twice", job->number);
    scenario_check(job->released == 0, "job %u runs after its argument was given back",
                   job->number);
    scenario_check(!job->refused, "job %u was refused, and runs", job->number);
    for (uint32_t i = 0; runtime != NULL && i < runtime->shard_count; i++)
        running += runtime->shards[i]->works_running;
    scenario_check(running <= threads, "%u pieces of work run on %u threads", (unsigned)running,
                   threads);
    if (runtime != NULL && to.bits != 0)
        posted += hand_note_post(runtime, (hand_pid){to},
                                 (struct hand_note_msg){job->number}) == 0;
    return job->result;
}
static int job_run(void *arg)
{
    return work(arg);
}
static int spot_run(void *arg)
{
    const struct spot *spot = arg;

    scenario_check(spot->job > 0 && spot->job <= job_count,
                   "the memory of an actor is another's, and work is done on it");
    return work(&jobs[spot->job - 1]);
}
static void release(struct job *job)
{
    scenario_check(job->released++ == 0, "an argument is given back twice");
    scenario_check(gy_runtime_of_shard() != NULL, "an argument is given back on no shard");
    jobs_kept--;
}
static void job_release(void *arg)
{
    release(arg);
}
static void spot_release(void *arg)
{
    struct spot *spot = arg;

    release(&jobs[spot->job - 1]);
    spot->job = 0;
}

GY_THEN_RES(hand, hand_on_work)
{
    struct job *job = &jobs[ctx];

    scenario_check(job->open && job->life == self->life, "job %u ends twice, or at a stranger's",
                   job->number);
    job->open = false;
    jobs_open--;
    if (res == -EAGAIN) {
        scenario_check(job->ran == 0, "job %u ran, and was refused", job->number);
        job->refused = true;
    } else if (res != -ECANCELED && res != -ETIMEDOUT) {
        scenario_check(job->ran == 1 && res == job->result, "job %u ended with %d, not with %d",
                       job->number, res, job->result);
    }
}

static void act_work(struct hand *self)
{
    struct job *job = &jobs[job_count];
    unsigned i = 0;
    gy_fut fut;

    if (job_count == JOBS_MAX)
        return;
    *job = (struct job){.number = job_count++, .life = self->life, .open = true};
    job->result = pick(4) == 0 ? -EDOM : (int)pick(1000);
    jobs_open++;
    jobs_kept++;
    while (i < SPOTS && self->spots[i].job != 0)
        i++;
    if (i < SPOTS && pick(2)) {
        self->spots[i].job = job->number + 1;
        fut = gy_work_raw(&self->actor, spot_run, &self->spots[i], spot_release);
    } else {
        fut = gy_work_raw(&self->actor, job_run, job, job_release);
    }
    if (gy_refused(fut) != 0) {
        scenario_check(job->released == 1, "refused work keeps its argument");
        job->refused = true;
    }
    if (pick(8) == 0 || gy_then(self, fut, hand_on_work, job->number) < 0) {
        job->open = false; /* nobody looks */
        jobs_open--;
        gy_forget(fut);
        return;
    }
    if (pick(4) == 0)
        (void)gy_deadline(fut, UINT64_C(1) << pick(23));
    self->open[pick(4)] = fut;
}

static void hand_rest(struct hand *self);
GY_THEN_RES(hand, hand_acts)
{
    (void)ctx, (void)res;
    for (uint64_t n = 1 + pick(8); n > 0 && actions_left > 0; n--) {
        uint64_t what = pick(16);
        actions_left--;
        if (what < 11)
            act_work(self);
        else if (what < 15)
            gy_discard(self->open[pick(4)]);
        else if (pick(4) == 0)
            for (unsigned many = 0; many < 100; many++) /* more than there are slots */
                act_work(self);
        else if (pick(4) == 0)
            try(gy_actor_stop(self->actor.pid, pick(2) ? -EIO : 0));
    }
    if (!calm)
        hand_rest(self);
}
static void hand_rest(struct hand *self)
{
    gy_fut timer = gy_after(UINT64_C(1) << pick(22));

    if (gy_refused(timer) != 0 || gy_then(self, timer, hand_acts, 0) < 0)
        try(gy_actor_stop(self->actor.pid, -EIO)); /* another will begin */
}
static int hand_start(struct hand *self, const struct hand_args *args)
{
    for (unsigned i = 0; i < SPOTS; i++)
        scenario_check(self->spots[i].job == 0, "memory is reused that work is done on");
    self->life = ++life_count;
    hands[gy_shard()][args->place] = self->actor.pid;
    hand_rest(self);
    return 0;
}
static void hand_stop(struct hand *self, int why)
{
    (void)why;
    for (uint32_t i = 0; i < job_count; i++)
        if (jobs[i].open && jobs[i].life == self->life) {
            jobs[i].open = false;
            jobs_open--;
        }
}

/* ---- tellers, whom the thread asks ---- */

enum how { NOW, LATER, NEVER, REFUSE, FORGET, DIE, WAIT, HOWS };

struct teller_args {
    uint32_t place;
};
GY_ACTOR(teller);
struct teller_ask_msg {
    uint64_t n;
    uint32_t how;
};
struct teller_ask_reply {
    uint64_t n;
};
GY_CALL(teller, ask);
#define KEPT 8
struct teller {
    struct gy_actor actor;
    struct {
        teller_ask_promise promise;
        uint64_t n;
    } kept[KEPT];
    uint32_t kept_count;
};
GY_ACTOR_TYPE(teller, teller_start, teller_stop);
GY_VERB(teller, ask);

static int teller_start(struct teller *self, const struct teller_args *args)
{
    tellers[gy_shard()][args->place] = self->actor.pid;
    return 0;
}
static void teller_stop(struct teller *self, int why)
{
    if (dead_count < DEAD_MAX) {
        dead[dead_count].pid = self->actor.pid;
        dead[dead_count++].why = why;
    }
}
GY_THEN_RES(teller, teller_late)
{
    (void)res;
    (void)teller_ask_resolve(self->kept[ctx].promise,
                             (struct teller_ask_reply){3 * self->kept[ctx].n});
}
GY_THEN_RES(teller, teller_unhold)
{
    (void)ctx, (void)res;
    gy_unhold(&self->actor);
}

static void answer_later(struct teller *self, const struct teller_ask_msg *msg,
                         teller_ask_promise reply)
{
    uint32_t i = self->kept_count++ % KEPT;
    gy_fut timer;

    if (teller_ask_keep(reply) < 0) {
        (void)teller_ask_reject(reply, -EDOM);
        return;
    }
    if (msg->how == NEVER)
        return;
    self->kept[i].promise = reply;
    self->kept[i].n = msg->n;
    timer = gy_after(UINT64_C(1) << pick(24));
    if (gy_refused(timer) != 0 || gy_then(self, timer, teller_late, i) < 0)
        (void)teller_ask_reject(reply, -EDOM);
}

void teller_on_ask(struct teller *self, const struct teller_ask_msg *msg, teller_ask_promise reply)
{
    gy_fut timer;
    int err;

    switch (msg->how) {
    case LATER:
    case NEVER:
        answer_later(self, msg, reply);
        return;
    case REFUSE:
        (void)teller_ask_reject(reply, -EDOM);
        return;
    case FORGET:
        return;
    case DIE:
        gy_fail(&self->actor, -EIO);
        return;
    case WAIT:
        timer = gy_after(UINT64_C(1) << pick(22));
        if (gy_refused(timer) == 0 && gy_then(self, timer, teller_unhold, 0) == 0)
            gy_hold(&self->actor);
        break;
    default:
        break;
    }
    err = gy_await_end(gy_runtime_of_shard(), self->actor.pid, 1, NULL);
    scenario_check(err == -EDEADLK, "a shard that waits is told %d", err);
    (void)teller_ask_resolve(reply, (struct teller_ask_reply){3 * msg->n});
}

/* ---- one steward per shard keeps them alive, and ends them ---- */

struct steward_args {
    uint32_t unused;
};
GY_ACTOR(steward);
struct steward {
    struct gy_actor actor;
    struct gy_timer timer;
};
GY_ACTOR_TYPE(steward, steward_start, steward_stop);

static bool lives(gy_pid pid)
{
    return gy__actor_find(gy__self(), pid.bits) != NULL;
}

static void steward_looks(struct gy_actor *actor, struct gy_timer *timer)
{
    unsigned shard = gy_shard();
    unsigned living = 0;
    hand_pid hand;
    teller_pid teller;

    for (uint32_t i = 0; i < HANDS; i++) {
        if (!calm && !lives(hands[shard][i]))
            try(hand_spawn(&hand, &(struct hand_args){i}));
        else if (finishing || (!calm && pick(32) == 0))
            try(gy_actor_stop_now(hands[shard][i], -EPIPE));
        living += lives(hands[shard][i]);
    }
    for (uint32_t i = 0; i < TELLERS; i++) {
        if (!calm && !lives(tellers[shard][i]))
            try(teller_spawn(&teller, &(struct teller_args){i}));
        else if (finishing || (!calm && pick(64) == 0))
            try(gy_actor_stop(tellers[shard][i], -EPIPE));
        living += lives(tellers[shard][i]);
    }
    if (!finishing || living > 0)
        gy_timer_arm_raw(actor, timer, steward_looks, GY_MS);
}
static int steward_start(struct steward *self, const struct steward_args *args)
{
    (void)args;
    gy_timer_arm_raw(&self->actor, &self->timer, steward_looks, 0);
    return 0;
}
static void steward_stop(struct steward *self, int why)
{
    (void)self, (void)why;
}

/* ---- the thread ---- */

static void in_time(uint64_t begun_ns, uint64_t timeout_ns, bool late)
{
    uint64_t took_ns = gy_sim_now(scenario_sim) - begun_ns;

    scenario_check(took_ns <= timeout_ns + GY_MS, "%llu ns are waited instead of %llu",
                   (unsigned long long)took_ns, (unsigned long long)timeout_ns);
    scenario_check(!late || took_ns >= timeout_ns, "it is late after %llu ns, not %llu",
                   (unsigned long long)took_ns, (unsigned long long)timeout_ns);
}

static gy_pid some_teller(unsigned shards)
{
    unsigned shard = (unsigned)draw(shards);

    return tellers[shard][draw(TELLERS)];
}

static void ask(struct gy_runtime *runtime, unsigned shards, uint64_t n)
{
    gy_pid to = some_teller(shards);
    uint64_t timeout_ns = UINT64_C(1) << draw(25), begun_ns = gy_sim_now(scenario_sim);
    struct teller_ask_msg msg = {n, (uint32_t)draw(HOWS)};
    struct teller_ask_reply reply = {0};
    int res;

    if (to.bits == 0)
        return;
    res = teller_ask_ask(runtime, (teller_pid){to}, msg, &reply, timeout_ns);
    scenario_check(res == 0 || res == -ETIMEDOUT || res == -EOWNERDEAD || res == -EAGAIN ||
                       res == -EDOM || res == -ESRCH,
                   "an ask ended with %d", res);
    scenario_check(res != 0 || reply.n == 3 * n, "the answer to another ask");
    scenario_check(res != 0 || msg.how == NOW || msg.how == LATER || msg.how == WAIT,
                   "an answer that nobody gave");
    scenario_check(res != -EDOM || msg.how == REFUSE || msg.how == LATER || msg.how == NEVER,
                   "a refusal that nobody gave");
    in_time(begun_ns, timeout_ns, res == -ETIMEDOUT);
}

static void await_end(struct gy_runtime *runtime, unsigned shards)
{
    gy_pid of = some_teller(shards);
    uint64_t timeout_ns = UINT64_C(1) << draw(25), begun_ns = gy_sim_now(scenario_sim);
    int why = 1, res, ended = 1;

    if (of.bits == 0)
        return;
    res = gy_await_end(runtime, of, timeout_ns, &why);
    for (uint32_t i = 0; i < dead_count; i++)
        if (gy_pid_equal(dead[i].pid, of))
            ended = dead[i].why;
    scenario_check(res == 0 || res == -ETIMEDOUT || res == -EAGAIN || res == -ESRCH,
                   "awaiting an end says %d", res);
    scenario_check(res != 0 || dead_count == DEAD_MAX || (ended != 1 &&
                                                          (why == ended || why == -ESRCH)),
                   "an end with %d is awaited, and was with %d", why, ended);
    in_time(begun_ns, timeout_ns, res == -ETIMEDOUT);
}

/* More than a lane holds, while no time passes. */
static void flood(struct gy_runtime *runtime)
{
    uint32_t accepted = 0;

    if (hands[0][0].bits == 0)
        return;
    for (uint32_t i = 0; i < 2 * LANE_MAX; i++)
        accepted += hand_note_post(runtime, (hand_pid){hands[0][0]},
                                   (struct hand_note_msg){i}) == 0;
    posted += accepted;
    scenario_check(accepted < LANE_MAX, "a lane of %d takes %u", LANE_MAX, accepted);
}

/* ---- the run ---- */

static int boot(unsigned shard, void *arg)
{
    steward_pid pid;

    (void)shard, (void)arg;
    return steward_spawn(&pid, &(struct steward_args){0});
}
static void ending(void *arg)
{
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, 0);

    if (runtime != NULL && *(bool *)arg)
        gy_drain(runtime);
    else if (runtime != NULL)
        gy_stop(runtime);
}
static bool is_stopped(void *arg)
{
    (void)arg;
    return gy_sim_runtime(scenario_sim, 0) == NULL;
}
static bool is_spent(void *arg)
{
    (void)arg;
    return actions_left == 0 || job_count == JOBS_MAX;
}
static bool work_is_over(void *arg)
{
    (void)arg;
    return jobs_open == 0 && jobs_kept == 0;
}

static void nothing_left(unsigned shards)
{
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, 0);
    uint64_t lost = 0;

    for (unsigned i = 0; i < shards; i++) {
        struct gy_shard *shard = runtime->shards[i];
        scenario_check(shard->works_submitted == shard->works_ended && shard->works_running == 0,
                       "work is left");
        scenario_check(shard->futures_live == 0, "%u futures of nobody's", shard->futures_live);
        scenario_check(shard->kept_live == 0, "%u promises of nobody's", shard->kept_live);
        scenario_check(shard->drain_holds == 0, "%u holds of nobody's", shard->drain_holds);
        lost += shard->core_counters[GY__COUNT_DEAD_LETTERS] +
                shard->core_counters[GY__COUNT_DROPPED];
    }
    scenario_check(posted == heard + lost, "%llu posts, %llu handled, %llu lost",
                   (unsigned long long)posted, (unsigned long long)heard,
                   (unsigned long long)lost);
}

static uint64_t end_early(void)
{
    uint64_t hash;

    scenario_check(gy_sim_until(scenario_sim, is_stopped, NULL, 20 * GY_S),
                   "it does not end amid its work");
    scenario_check(jobs_kept == 0, "%u arguments are not given back", jobs_kept);
    hash = gy_sim_hash(scenario_sim);
    scenario_sum();
    (void)gy_sim_close(scenario_sim);
    return hash;
}

static uint64_t run(struct gy_sim_config *config)
{
    unsigned shards = 1 + (unsigned)(config->seed % SHARDS_MAX);
    bool drains = config->seed / 7 % 2;

    memset(jobs, 0, sizeof(jobs));
    memset(tellers, 0, sizeof(tellers));
    memset(hands, 0, sizeof(hands));
    job_count = jobs_open = jobs_kept = dead_count = life_count = 0;
    posted = heard = 0;
    actions_left = 700;
    calm = finishing = false;
    config->shards = shards;
    threads = config->runtime.blocking_threads = 1 + (uint32_t)(config->seed / 3 % 4);
    config->runtime.blocking_queue = 1u << config->seed / 5 % 6;
    config->runtime.operations = 4u << config->seed / 2 % 6;
    if (config->seed % 5 == 0)
        config->faults.memory_fail_ppm = 200000;
    if (!scenario_open(config, boot, NULL))
        return 0;
    if (config->seed % 7 == 0)
        gy_sim_at(scenario_sim, 1 + (gy_sim_random(scenario_sim) >> 38), ending, &drains);
    for (uint64_t n = 1; n <= 60; n++) {
        struct gy_runtime *runtime;
        gy_sim_advance(scenario_sim, UINT64_C(1) << draw(20));
        runtime = gy_sim_runtime(scenario_sim, 0);
        if (runtime == NULL)
            break;
        if (draw(4) == 0)
            await_end(runtime, shards);
        else
            ask(runtime, shards, n);
        if (n == 30 && config->seed % 8 == 1 && gy_sim_runtime(scenario_sim, 0) != NULL)
            flood(gy_sim_runtime(scenario_sim, 0));
    }
    if (config->seed % 7 == 0)
        return end_early();
    scenario_check(gy_sim_until(scenario_sim, is_spent, NULL, 1000 * GY_S), "nobody acts");
    actions_left = 0;
    calm = true;
    scenario_live(work_is_over, NULL, 5 * GY_S, "work does not end");
    finishing = true;
    gy_sim_advance(scenario_sim, 2 * GY_S); /* what awaits ends goes a while after its thread */
    gy_sim_settle(scenario_sim);
    nothing_left(shards);
    scenario_add("jobs", job_count);
    return scenario_close();
}

const struct scenario scenario_pool = {"pool", "blocking work, and a thread that asks", run};
