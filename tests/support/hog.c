#include "tests/support/hog.h"

#include "core/kernel.h"
#include "gyre/typed.h"

#include <stdlib.h>

static uint64_t clock_ns(void)
{
    struct gy_shard *shard = gy__self();
    return shard->driver->now(shard->ctx);
}

/* ---- the hog ---- */

struct hog_args {
    struct hog_world *world;
};
GY_ACTOR(hog);
struct hog_begin_msg {
    uint64_t nothing;
};
GY_CAST(hog, begin);
struct hog_again_msg {
    uint64_t nothing;
};
GY_CAST(hog, again);
struct hog {
    struct gy_actor actor;
    struct hog_world *world;
};
GY_ACTOR_TYPE(hog, hog_start, hog_stop);
GY_VERB(hog, begin);
GY_VERB(hog, again);

static int hog_start(struct hog *self, const struct hog_args *args)
{
    self->world = args->world;
    self->world->hog = self->actor.pid.bits;
    return 0;
}
static void hog_stop(struct hog *self, int why)
{
    (void)self, (void)why;
}
void hog_on_begin(struct hog *self, const struct hog_begin_msg *msg)
{
    (void)msg;
    for (unsigned i = 0; i < HOG_MESSAGES; i++)
        if (hog_again((hog_pid){ self->actor.pid }, (struct hog_again_msg){ 0 }) < 0)
            self->world->failures++;
}
void hog_on_again(struct hog *self, const struct hog_again_msg *msg)
{
    struct hog_world *world = self->world;
    uint64_t begun_ns = clock_ns();
    if (!world->due && begun_ns >= world->due_ns) {
        world->due = true;
        world->ran_at_due = world->ran;
    }
    while (clock_ns() - begun_ns < world->handler_ns)
        ;
    world->ran++;
    if (hog_again((hog_pid){ self->actor.pid }, *msg) < 0)
        world->failures++;
}

/* ---- its neighbour ---- */

struct neighbour_args {
    struct hog_world *world;
};
GY_ACTOR(neighbour);
struct neighbour_begin_msg {
    uint64_t nothing;
};
GY_CAST(neighbour, begin);
struct neighbour {
    struct gy_actor actor;
    struct hog_world *world;
    struct gy_timer timer;
};
GY_ACTOR_TYPE(neighbour, neighbour_start, neighbour_stop);
GY_VERB(neighbour, begin);
GY_TIMER(neighbour, neighbour_on_time);

/* At no fixed distance, so that they meet the turns everywhere. */
static void neighbour_arm(struct neighbour *self)
{
    uint64_t after_ns = 50000 + gy_random() % 100000;
    self->world->due = false;
    self->world->due_ns = gy_now() + after_ns;
    gy_timer_arm(self, &self->timer, neighbour_on_time, after_ns);
}
static int neighbour_start(struct neighbour *self, const struct neighbour_args *args)
{
    self->world = args->world;
    self->world->neighbour = self->actor.pid.bits;
    return 0;
}
void neighbour_on_begin(struct neighbour *self, const struct neighbour_begin_msg *msg)
{
    (void)msg;
    neighbour_arm(self);
}
static void neighbour_stop(struct neighbour *self, int why)
{
    (void)self, (void)why;
}
static void neighbour_on_time(struct neighbour *self, struct gy_timer *timer)
{
    struct hog_world *world = self->world;
    (void)timer;
    world->timers[world->timers_seen] = (struct hog_wait){
        world->due ? world->ran - world->ran_at_due : 0, clock_ns() - world->due_ns
    };
    if (++world->timers_seen < HOG_WAITS)
        neighbour_arm(self);
}

/* ---- who is called beside it, and who calls ---- */

struct callee_args {
    struct hog_world *world;
};
GY_ACTOR(callee);
struct callee_look_msg {
    uint64_t nothing;
};
struct callee_look_reply {
    uint64_t ran;
};
GY_CALL(callee, look);
struct callee {
    struct gy_actor actor;
    struct hog_world *world;
};
GY_ACTOR_TYPE(callee, callee_start, callee_stop);
GY_VERB(callee, look);

static int callee_start(struct callee *self, const struct callee_args *args)
{
    self->world = args->world;
    self->world->callee = self->actor.pid.bits;
    return 0;
}
static void callee_stop(struct callee *self, int why)
{
    (void)self, (void)why;
}
void callee_on_look(struct callee *self, const struct callee_look_msg *msg, callee_look_promise reply)
{
    (void)msg;
    callee_look_resolve(reply, (struct callee_look_reply){ self->world->ran });
}

struct caller_args {
    struct hog_world *world;
};
GY_ACTOR(caller);
struct caller_begin_msg {
    uint64_t nothing;
};
GY_CAST(caller, begin);
struct caller {
    struct gy_actor actor;
    struct hog_world *world;
    struct gy_timer timer;
    uint64_t called_ns, ran;
};
GY_ACTOR_TYPE(caller, caller_start, caller_stop);
GY_VERB(caller, begin);
GY_TIMER(caller, caller_on_time);
GY_THEN(caller, caller_on_look, callee, look);

static int caller_start(struct caller *self, const struct caller_args *args)
{
    self->world = args->world;
    self->world->caller = self->actor.pid.bits;
    return 0;
}
void caller_on_begin(struct caller *self, const struct caller_begin_msg *msg)
{
    (void)msg;
    gy_timer_arm(self, &self->timer, caller_on_time, GY_MS);
}
static void caller_stop(struct caller *self, int why)
{
    (void)self, (void)why;
}
static void caller_on_time(struct caller *self, struct gy_timer *timer)
{
    struct hog_world *world = self->world;
    callee_pid to = { { world->callee } };
    (void)timer;
    self->called_ns = clock_ns();
    self->ran = world->ran;
    if (gy_then(self, callee_look(to, (struct callee_look_msg){ 0 }), caller_on_look, 0) < 0)
        world->failures++;
}
static void caller_on_look(struct caller *self, uint64_t ctx, int res,
                           const struct callee_look_reply *value)
{
    struct hog_world *world = self->world;
    (void)ctx;
    world->failures += res < 0;
    world->calls[world->calls_seen] =
        (struct hog_wait){ value != NULL ? value->ran - self->ran : UINT64_MAX,
                           clock_ns() - self->called_ns };
    if (++world->calls_seen < HOG_WAITS)
        gy_timer_arm(self, &self->timer, caller_on_time, 50000 + gy_random() % 100000);
}

/* ---- */

int hog_boot(unsigned shard, void *arg)
{
    struct hog_world *world = arg;
    neighbour_pid neighbour;
    callee_pid callee;
    caller_pid caller;
    hog_pid hog;
    if (shard == 1)
        return caller_spawn(&caller, &(struct caller_args){ world });
    int err = callee_spawn(&callee, &(struct callee_args){ world });
    if (err == 0)
        err = neighbour_spawn(&neighbour, &(struct neighbour_args){ world });
    return err < 0 ? err : hog_spawn(&hog, &(struct hog_args){ world });
}

int hog_go(struct hog_world *world, struct gy_runtime *runtime)
{
    int err = hog_begin_post(runtime, (hog_pid){ { world->hog } }, (struct hog_begin_msg){ 0 });
    if (err == 0)
        err = neighbour_begin_post(runtime, (neighbour_pid){ { world->neighbour } },
                                   (struct neighbour_begin_msg){ 0 });
    return err < 0 ? err : caller_begin_post(runtime, (caller_pid){ { world->caller } },
                                             (struct caller_begin_msg){ 0 });
}

bool hog_done(void *arg)
{
    struct hog_world *world = arg;
    return world->timers_seen == HOG_WAITS && world->calls_seen == HOG_WAITS;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}
uint64_t hog_quantile(const struct hog_wait *waits, enum hog_unit unit, unsigned percent)
{
    uint64_t sorted[HOG_WAITS];
    for (unsigned i = 0; i < HOG_WAITS; i++)
        sorted[i] = unit == HOG_NS ? waits[i].ns : waits[i].handlers;
    qsort(sorted, HOG_WAITS, sizeof(sorted[0]), by_size);
    return sorted[(HOG_WAITS - 1) * percent / 100];
}
