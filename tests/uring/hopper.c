/* See hopper.h. */
#include "hopper.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

GY_ACTOR_TYPE(hopper, hopper_start, hopper_stop);
GY_VERB(hopper, hop);
GY_VERB(hopper, post);
GY_THEN_RES(hopper, hopper_on_timer);

static void arm(struct hopper *self)
{
    self->timer_due_ns = gy_now() + self->world->timer_ns;
    (void)gy_then(self, gy_after(self->world->timer_ns), hopper_on_timer, 0);
}

static void hopper_on_timer(struct hopper *self, uint64_t ctx, int res)
{
    (void)ctx;
    if (res < 0)
        return;
    uint64_t late_ns = gy_now() - self->timer_due_ns;
    if (late_ns > self->world->late_ns)
        self->world->late_ns = late_ns;
    self->world->timers++;
    arm(self);
}

static int hopper_start(struct hopper *self, const struct hopper_args *args)
{
    self->world = args->world;
    if (self->world->timer_ns)
        arm(self);
    return 0;
}

static void hopper_stop(struct hopper *self, int why)
{
    (void)why;
    self->world->stops++;
}

static void hop(struct hopper *self, uint64_t left)
{
    hopper_pid next = hopper_on(self->world, (gy_shard() + 1) % gy_shards());
    assert_int_equal(hopper_hop(next, (struct hopper_hop_msg){left}), 0);
}

void hopper_on_hop(struct hopper *self, const struct hopper_hop_msg *msg)
{
    self->world->hops++;
    if (msg->left > 0)
        hop(self, msg->left - 1);
    else if (self->world->stop_at_end)
        gy_stop(gy_runtime_of_shard());
}

void hopper_on_post(struct hopper *self, const struct hopper_post_msg *msg)
{
    self->world->posts += msg->n;
}

int hopper_boot(unsigned shard, void *arg)
{
    struct hopper_world *world = arg;
    hopper_pid pid;
    world->boots++;
    if (world->fail_boot_on == (int)shard)
        return -EPROTO;
    int rc = hopper_spawn(&pid, &(struct hopper_args){world});
    if (rc < 0)
        return rc;
    world->pids[shard] = pid.pid.bits;
    return 0;
}

hopper_pid hopper_on(struct hopper_world *world, unsigned shard)
{
    return (hopper_pid){{world->pids[shard]}};
}

void hopper_await(_Atomic uint64_t *number, uint64_t wanted)
{
    struct timespec pause = {0, 1000000};
    for (int i = 0; i < 10000 && *number < wanted; i++)
        nanosleep(&pause, NULL);
    assert_true(*number >= wanted);
}
