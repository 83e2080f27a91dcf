/* gyre's side of the mesh/ rows: actors on two shards, through the public API as a user would.
 *
 * The work is that of roof_ring.c and roof_wake.c. Shard 0 asks or sends and holds the clock,
 * except in one-way traffic, where the receiver does. The runtime keeps its shards awake in all
 * rows but wake, which is about sleeping. What both shards touch is in struct perf_gyre; a row's
 * own extras are in a struct that begins with one. */
#include <errno.h>
#include <stdlib.h>

#include "gyre/typed.h"
#include "gyre_run.h"

#define OUTSTANDING 64u

static void stay_awake(struct gy_config *config)
{
    config->poll = GY_POLL_ALWAYS;
}

static void sleep_at_once(struct gy_config *config)
{
    config->poll = GY_POLL_NEVER;
}

/* ---- rtt and wake: a ball goes from shard to shard ---------------------------------------- */

struct rally {
    struct perf_gyre run;
    uint64_t hops; /* all of them, */
    uint64_t warm; /* of which so many before the clock starts */
    double *took;  /* one-way times by hop, for wake; else NULL */
};

struct racket_args {
    struct rally *rally;
};
GY_ACTOR(racket);
struct racket_serve_msg {
    uint64_t nothing;
};
GY_CAST(racket, serve);
struct racket_ball_msg {
    uint64_t hop;   /* 1 .. hops */
    uint64_t stamp; /* when it was hit, if times are wanted */
};
GY_CAST(racket, ball);

struct racket {
    struct gy_actor actor;
    struct rally *rally;
    racket_pid other; /* known from the first hit on */
    uint64_t count;
};
GY_ACTOR_TYPE(racket, racket_start, racket_stop);
GY_VERB(racket, serve);
GY_VERB(racket, ball);

static int racket_start(struct racket *self, const struct racket_args *args)
{
    self->rally = args->rally;
    return 0;
}

static void racket_stop(struct racket *self, int why)
{
    (void)why;
    self->rally->run.counts[gy_shard()] = self->count;
}

static void racket_hit(struct racket *self, uint64_t hop)
{
    struct rally *rally = self->rally;
    if (self->other.pid.bits == 0)
        self->other.pid = rally->run.pids[!gy_shard()];
    uint64_t stamp = rally->took ? perf_now_ns() : 0;
    perf_must(&rally->run, racket_ball(self->other, (struct racket_ball_msg){hop, stamp}));
}

void racket_on_serve(struct racket *self, const struct racket_serve_msg *msg)
{
    (void)msg;
    racket_hit(self, 1);
}

void racket_on_ball(struct racket *self, const struct racket_ball_msg *msg)
{
    struct rally *rally = self->rally;
    if (rally->took)
        rally->took[msg->hop - 1] = (double)(perf_now_ns() - msg->stamp);
    self->count++;
    if (__builtin_expect(msg->hop == rally->warm, 0))
        rally->run.start_ns = perf_now_ns();
    if (msg->hop < rally->hops)
        racket_hit(self, msg->hop + 1);
    else
        perf_gyre_end(&rally->run);
}

static int rally_boot(unsigned shard, void *arg)
{
    struct rally *rally = arg;
    racket_pid racket;
    int err = racket_spawn(&racket, &(struct racket_args){rally});
    if (err < 0)
        return err;
    rally->run.pids[shard] = racket.pid;
    return shard == 0 ? racket_serve(racket, (struct racket_serve_msg){0}) : 0;
}

int gyre_mesh_rtt(struct perf_sample *s)
{
    struct rally rally = {.run = {.s = s, .tune = stay_awake, .boot = rally_boot}};
    rally.warm = s->ops / 16 * 2 + 2;
    rally.hops = rally.warm + s->ops * 2;
    int err = perf_gyre_run(&rally.run, 2, false);
    s->handled = rally.run.counts[0] + rally.run.counts[1];
    s->expected = rally.hops;
    return err;
}

int gyre_mesh_wake(struct perf_sample *s)
{
    struct rally rally = {.run = {.s = s, .tune = sleep_at_once, .boot = rally_boot}};
    rally.warm = 64;
    rally.hops = rally.warm + s->ops;
    rally.took = calloc(rally.hops, sizeof(*rally.took));
    if (!rally.took) {
        s->error = "out of memory";
        return -ENOMEM;
    }
    int err = perf_gyre_run(&rally.run, 2, true);
    s->value = perf_median(rally.took + rally.warm, (unsigned)s->ops);
    s->handled = rally.run.counts[0] + rally.run.counts[1];
    s->expected = rally.hops;
    free(rally.took);
    return err;
}

/* ---- oneway: as many as the ring takes ----------------------------------------------------- */

struct flow {
    struct perf_gyre run;
    uint64_t all, warm;
    uint64_t sum;
};

struct sink_args {
    struct flow *flow;
};
GY_ACTOR(sink);
struct sink_drop_msg {
    uint64_t word[4]; /* all the same: its number */
};
GY_CAST(sink, drop);

struct sink {
    struct gy_actor actor;
    struct flow *flow;
    uint64_t count, sum;
};
GY_ACTOR_TYPE(sink, sink_start, sink_stop);
GY_VERB(sink, drop);

static int sink_start(struct sink *self, const struct sink_args *args)
{
    self->flow = args->flow;
    return 0;
}

static void sink_stop(struct sink *self, int why)
{
    (void)self, (void)why;
}

void sink_on_drop(struct sink *self, const struct sink_drop_msg *msg)
{
    const uint64_t *w = msg->word;
    self->sum += w[0] + ((w[0] ^ w[1]) | (w[0] ^ w[2]) | (w[0] ^ w[3]));
    if (__builtin_expect(++self->count == self->flow->warm, 0))
        self->flow->run.start_ns = perf_now_ns();
    if (__builtin_expect(self->count == self->flow->all, 0)) {
        self->flow->sum = self->sum;
        perf_gyre_end(&self->flow->run);
    }
}

struct pump_args {
    struct flow *flow;
};
GY_ACTOR(pump);
struct pump_go_msg {
    uint64_t nothing;
};
GY_CAST(pump, go);

struct pump {
    struct gy_actor actor;
    struct flow *flow;
    uint64_t sent;
};
GY_ACTOR_TYPE(pump, pump_start, pump_stop);
GY_VERB(pump, go);
GY_ROOM(pump, pump_room);

static int pump_start(struct pump *self, const struct pump_args *args)
{
    self->flow = args->flow;
    return 0;
}

static void pump_stop(struct pump *self, int why)
{
    (void)self, (void)why;
}

/* Until it is full; then wait for room. */
static void pump_on(struct pump *self)
{
    struct flow *flow = self->flow;
    sink_pid to = {flow->run.pids[1]};
    while (self->sent < flow->all) {
        uint64_t n = self->sent + 1;
        int err = sink_drop(to, (struct sink_drop_msg){{n, n, n, n}});
        if (err == -EAGAIN) {
            perf_must(&flow->run, gy_room_again(self, to.pid, pump_room, 0));
            return;
        }
        perf_must(&flow->run, err);
        self->sent = n;
    }
}

void pump_on_go(struct pump *self, const struct pump_go_msg *msg)
{
    (void)msg;
    pump_on(self);
}

static void pump_room(struct pump *self, uint64_t ctx)
{
    (void)ctx;
    pump_on(self);
}

static int flow_boot(unsigned shard, void *arg)
{
    struct flow *flow = arg;
    int err;
    if (shard == 1) {
        sink_pid sink;
        err = sink_spawn(&sink, &(struct sink_args){flow});
        if (err == 0)
            flow->run.pids[1] = sink.pid;
    } else {
        pump_pid pump;
        err = pump_spawn(&pump, &(struct pump_args){flow});
        if (err == 0)
            err = pump_go(pump, (struct pump_go_msg){0});
    }
    return err;
}

int gyre_mesh_oneway(struct perf_sample *s)
{
    struct flow flow = {.run = {.s = s, .tune = stay_awake, .boot = flow_boot}};
    flow.warm = s->ops / 16 + 1;
    flow.all = flow.warm + s->ops;
    int err = perf_gyre_run(&flow.run, 2, false);
    s->expected = flow.all;
    s->handled = flow.sum == flow.all * (flow.all + 1) / 2 ? flow.all : 0;
    return err;
}

/* ---- pairs and busy: calls to the other shard ---------------------------------------------- */

struct inquiry {
    struct perf_gyre run;
    uint64_t all, warm;
    unsigned window;  /* calls under way */
    bool pauses;      /* busy: wait a random while before each call, */
    double *took;     /* and note the round trips, by call */
    uint64_t hog_ran; /* handlers of the hog */
};

struct mirror_args {
    struct inquiry *inquiry;
};
GY_ACTOR(mirror);
struct mirror_show_msg {
    uint64_t number;
};
struct mirror_show_reply {
    uint64_t number;
};
GY_CALL(mirror, show);

struct mirror {
    struct gy_actor actor;
    struct inquiry *inquiry;
    uint64_t count;
};
GY_ACTOR_TYPE(mirror, mirror_start, mirror_stop);
GY_VERB(mirror, show);

static int mirror_start(struct mirror *self, const struct mirror_args *args)
{
    self->inquiry = args->inquiry;
    return 0;
}

static void mirror_stop(struct mirror *self, int why)
{
    (void)why;
    self->inquiry->run.counts[1] = self->count;
}

void mirror_on_show(struct mirror *self, const struct mirror_show_msg *msg,
                    mirror_show_promise reply)
{
    self->count++;
    mirror_show_resolve(reply, (struct mirror_show_reply){msg->number});
}

struct watcher_args {
    struct inquiry *inquiry;
};
GY_ACTOR(watcher);
struct watcher_go_msg {
    uint64_t nothing;
};
GY_CAST(watcher, go);

struct watcher {
    struct gy_actor actor;
    struct inquiry *inquiry;
    uint64_t asked, answered, sum;
    uint64_t asked_ns, seed; /* of a row with pauses */
};
GY_ACTOR_TYPE(watcher, watcher_start, watcher_stop);
GY_VERB(watcher, go);
GY_THEN(watcher, watcher_saw, mirror, show);

static int watcher_start(struct watcher *self, const struct watcher_args *args)
{
    self->inquiry = args->inquiry;
    self->seed = 1;
    return 0;
}

static void watcher_stop(struct watcher *self, int why)
{
    (void)why;
    /* Every number once: a lost answer and a doubled one both change the sum. */
    uint64_t all = self->inquiry->all;
    self->inquiry->run.counts[0] = self->sum == all * (all + 1) / 2 ? self->answered : 0;
}

static void watcher_ask(struct watcher *self)
{
    struct inquiry *q = self->inquiry;
    mirror_pid to = {q->run.pids[1]};
    if (q->pauses) {
        self->seed = self->seed * 6364136223846793005u + 1442695040888963407u;
        perf_spin_ns((self->seed >> 33) % (PERF_HANDLER_NS * PERF_LOOK_EVERY * 2));
        self->asked_ns = perf_now_ns();
    }
    self->asked++;
    mirror_show_fut f = mirror_show(to, (struct mirror_show_msg){self->asked});
    perf_must(&q->run, gy_then(self, f, watcher_saw, self->asked));
}

void watcher_on_go(struct watcher *self, const struct watcher_go_msg *msg)
{
    (void)msg;
    for (unsigned i = 0; i < self->inquiry->window; i++)
        watcher_ask(self);
}

static void watcher_saw(struct watcher *self, uint64_t ctx, int res,
                        const struct mirror_show_reply *value)
{
    struct inquiry *q = self->inquiry;
    if (q->pauses)
        q->took[ctx - 1] = (double)(perf_now_ns() - self->asked_ns);
    perf_must(&q->run, res);
    self->sum += value ? value->number : 0;
    if (__builtin_expect(++self->answered == q->warm, 0))
        q->run.start_ns = perf_now_ns();
    if (self->asked < q->all)
        watcher_ask(self);
    else if (self->answered == q->all)
        perf_gyre_end(&q->run);
}

/* Keeps its shard busy for ever: each of its messages takes a while and sends the next. */
struct hog_args {
    struct inquiry *inquiry;
};
GY_ACTOR(hog);
struct hog_work_msg {
    uint64_t nothing;
};
GY_CAST(hog, work);

struct hog {
    struct gy_actor actor;
    struct inquiry *inquiry;
    uint64_t ran;
};
GY_ACTOR_TYPE(hog, hog_start, hog_stop);
GY_VERB(hog, work);

#define HOG_MESSAGES 64u /* always so many in its mailbox */

static int hog_start(struct hog *self, const struct hog_args *args)
{
    self->inquiry = args->inquiry;
    return 0;
}

static void hog_stop(struct hog *self, int why)
{
    (void)why;
    self->inquiry->hog_ran = self->ran;
}

void hog_on_work(struct hog *self, const struct hog_work_msg *msg)
{
    const hog_pid me = {self->actor.pid};
    self->ran++;
    perf_spin_ns(PERF_HANDLER_NS);
    perf_must(&self->inquiry->run, hog_work(me, *msg));
}

static int inquiry_boot(unsigned shard, void *arg)
{
    struct inquiry *inquiry = arg;
    if (shard == 0) {
        watcher_pid watcher;
        int err = watcher_spawn(&watcher, &(struct watcher_args){inquiry});
        return err < 0 ? err : watcher_go(watcher, (struct watcher_go_msg){0});
    }
    mirror_pid mirror;
    int err = mirror_spawn(&mirror, &(struct mirror_args){inquiry});
    if (err < 0)
        return err;
    inquiry->run.pids[1] = mirror.pid;
    if (!inquiry->pauses)
        return 0;
    hog_pid hog;
    err = hog_spawn(&hog, &(struct hog_args){inquiry});
    for (unsigned i = 0; err == 0 && i < HOG_MESSAGES; i++)
        err = hog_work(hog, (struct hog_work_msg){0});
    return err;
}

static int run_inquiry(struct inquiry *q)
{
    struct perf_sample *s = q->run.s;
    q->run.tune = stay_awake;
    q->run.boot = inquiry_boot;
    q->warm = s->ops / 16 + OUTSTANDING;
    q->all = q->warm + s->ops;
    if (q->pauses) {
        q->took = calloc(q->all, sizeof(*q->took));
        if (!q->took) {
            s->error = "out of memory";
            return -ENOMEM;
        }
    }
    int err = perf_gyre_run(&q->run, 2, q->pauses);
    s->handled = q->run.counts[0] + q->run.counts[1];
    s->expected = 2 * q->all;
    return err;
}

int gyre_mesh_pairs(struct perf_sample *s)
{
    struct inquiry inquiry = {.run = {.s = s}, .window = OUTSTANDING};
    return run_inquiry(&inquiry);
}

int gyre_mesh_busy(struct perf_sample *s)
{
    struct inquiry inquiry = {.run = {.s = s}, .window = 1, .pauses = true};
    int err = run_inquiry(&inquiry);
    if (!inquiry.took)
        return err;
    s->value = perf_quantile(inquiry.took + inquiry.warm, (unsigned)s->ops, 0.99);
    /* A shard that was idle answers no question about busy ones. */
    if (inquiry.hog_ran < s->ops)
        s->handled = 0;
    free(inquiry.took);
    return err;
}
