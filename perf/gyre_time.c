/* gyre's side of the rows about timers and about a future that its own actor completes. The work is
 * that of roof_time.c; a million more timers are armed meanwhile and must make no difference. */
#include <errno.h>
#include <stdlib.h>

#include "gyre/typed.h"
#include "gyre_run.h"

#define TIMERS 1024u
#define BYSTANDERS 1000000u
#define BATCH 256u

/* ---- timer/arm: a timer that is moved, over and over ---------------------------------------- */

struct alarms_args {
    struct perf_gyre *run;
    struct gy_timer *others;
};
GY_ACTOR(alarms);
struct alarms_go_msg {
    uint64_t nothing;
};
GY_CAST(alarms, go);
struct alarms {
    struct gy_actor actor;
    struct perf_gyre *run;
    struct gy_timer timers[TIMERS];
};
GY_ACTOR_TYPE(alarms, alarms_start, alarms_stop);
GY_VERB(alarms, go);
GY_TIMER(alarms, alarms_rang);

_Static_assert(sizeof(struct gy_timer) <= 64, "what a timer may take");

static void alarms_rang(struct alarms *self, struct gy_timer *timer)
{
    (void)timer;
    perf_must(self->run, -ETIME); /* none of them is due while the row lasts */
}

static int alarms_start(struct alarms *self, const struct alarms_args *args)
{
    self->run = args->run;
    for (uint64_t i = 0; i < BYSTANDERS; i++)
        gy_timer_arm(self, &args->others[i], alarms_rang,
                     1000 * GY_S + (i * 7919 % 1000003) * GY_MS);
    return 0;
}

static void alarms_stop(struct alarms *self, int why)
{
    (void)self, (void)why;
}

void alarms_on_go(struct alarms *self, const struct alarms_go_msg *msg)
{
    struct perf_sample *s = self->run->s;
    (void)msg;
    self->run->start_ns = perf_now_ns();
    for (uint64_t i = 0; i < s->ops; i++) {
        struct gy_timer *timer = &self->timers[i % TIMERS];
        s->handled += gy_timer_cancel(timer);
        gy_timer_arm(self, timer, alarms_rang, 100 * GY_S + (i * 7919 % 1000000) * 1000);
    }
    for (unsigned i = 0; i < TIMERS; i++)
        s->handled += gy_timer_cancel(&self->timers[i]);
    perf_gyre_end(self->run);
}

struct arming {
    struct perf_gyre run;
    struct gy_timer *others;
};

static int arm_boot(unsigned shard, void *arg)
{
    struct arming *arming = arg;
    alarms_pid alarms;
    (void)shard;
    int err = alarms_spawn(&alarms, &(struct alarms_args){&arming->run, arming->others});
    return err < 0 ? err : alarms_go(alarms, (struct alarms_go_msg){0});
}

int gyre_timer_arm(struct perf_sample *s)
{
    struct arming arming = {.run = {.s = s, .boot = arm_boot}};
    arming.others = calloc(BYSTANDERS, sizeof(*arming.others));
    if (!arming.others) {
        s->error = "out of memory";
        return -ENOMEM;
    }
    s->expected = s->ops;
    int err = perf_gyre_run(&arming.run, 1, false);
    free(arming.others);
    return err;
}

/* ---- timer/late: how late a timer fires while its shard is awake ----------------------------- */

struct punctual_args {
    struct perf_gyre *run;
    double *late;
};
GY_ACTOR(punctual);
struct punctual {
    struct gy_actor actor;
    struct perf_gyre *run;
    double *late;
    uint64_t count, deadline_ns;
    struct gy_timer timer;
};
GY_ACTOR_TYPE(punctual, punctual_start, punctual_stop);
GY_TIMER(punctual, punctual_rang);

static void punctual_arm(struct punctual *self)
{
    self->deadline_ns += 20000;
    uint64_t now_ns = gy_now();
    gy_timer_arm(self, &self->timer, punctual_rang,
                 self->deadline_ns > now_ns ? self->deadline_ns - now_ns : 0);
}

static int punctual_start(struct punctual *self, const struct punctual_args *args)
{
    self->run = args->run;
    self->late = args->late;
    self->deadline_ns = gy_now();
    punctual_arm(self);
    return 0;
}

static void punctual_stop(struct punctual *self, int why)
{
    (void)self, (void)why;
}

static void punctual_rang(struct punctual *self, struct gy_timer *timer)
{
    struct perf_sample *s = self->run->s;
    (void)timer;
    /* The real time, not that of the turn. */
    self->late[self->count++] = (double)(int64_t)(perf_now_ns() - self->deadline_ns);
    if (self->count < s->ops) {
        punctual_arm(self);
        return;
    }
    s->handled = self->count;
    s->value = perf_quantile(self->late, (unsigned)s->ops, 0.99);
    perf_gyre_end(self->run);
}

struct lateness {
    struct perf_gyre run;
    double *late;
};

static int late_boot(unsigned shard, void *arg)
{
    struct lateness *lateness = arg;
    punctual_pid punctual;
    (void)shard;
    return punctual_spawn(&punctual, &(struct punctual_args){&lateness->run, lateness->late});
}

static void stay_awake(struct gy_config *config)
{
    config->poll = GY_POLL_ALWAYS;
}

int gyre_timer_late(struct perf_sample *s)
{
    struct lateness lateness = {.run = {.s = s, .tune = stay_awake, .boot = late_boot}};
    lateness.late = calloc(s->ops, sizeof(*lateness.late));
    if (!lateness.late) {
        s->error = "out of memory";
        return -ENOMEM;
    }
    s->expected = s->ops;
    int err = perf_gyre_run(&lateness.run, 1, true);
    free(lateness.late);
    return err;
}

/* ---- local/then: a promise of one's own, and one function that waits for it ------------------- */

struct monk_args {
    struct perf_gyre *run;
};
GY_ACTOR(monk);
struct monk_go_msg {
    uint64_t left; /* futures to come in this part */
    bool warm;
};
GY_CAST(monk, go);
struct monk {
    struct gy_actor actor;
    struct perf_gyre *run;
    uint64_t count;
};
GY_ACTOR_TYPE(monk, monk_start, monk_stop);
GY_VERB(monk, go);
GY_THEN_RES(monk, monk_heard);

static int monk_start(struct monk *self, const struct monk_args *args)
{
    self->run = args->run;
    return 0;
}

static void monk_stop(struct monk *self, int why)
{
    (void)self, (void)why;
}

static void monk_heard(struct monk *self, uint64_t ctx, int res)
{
    perf_must(self->run, res);
    self->count += ctx;
}

void monk_on_go(struct monk *self, const struct monk_go_msg *msg)
{
    const monk_pid me = {self->actor.pid};
    if (msg->left == 0 && !msg->warm) {
        self->run->s->handled = self->count;
        perf_gyre_end(self->run);
        return;
    }
    struct monk_go_msg next = {msg->left - BATCH, msg->warm};
    if (msg->left == 0) {
        self->count = 0;
        self->run->start_ns = perf_now_ns();
        next = (struct monk_go_msg){self->run->s->ops - BATCH, false};
    }
    for (unsigned i = 0; i < BATCH; i++) {
        gy_promise promise;
        gy_fut fut = gy_pair(&self->actor, &promise);
        perf_must(self->run, gy_then(self, fut, monk_heard, 1));
        perf_must(self->run, gy_resolve_raw(promise, 0, NULL, 0, NULL));
    }
    perf_must(self->run, monk_go(me, next));
}

static int then_boot(unsigned shard, void *arg)
{
    monk_pid monk;
    (void)shard;
    int err = monk_spawn(&monk, &(struct monk_args){arg});
    return err < 0 ? err : monk_go(monk, (struct monk_go_msg){64 * BATCH, true});
}

int gyre_local_then(struct perf_sample *s)
{
    struct perf_gyre run = {.s = s, .boot = then_boot};
    s->ops = (s->ops + BATCH - 1) / BATCH * BATCH;
    s->expected = s->ops;
    return perf_gyre_run(&run, 1, false);
}
