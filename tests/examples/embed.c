/* embed.c - gyre inside a program that has a main loop of its own.
 *
 * Shows the parts that gy_run() is made of: gy_start, a post from a thread that is no shard,
 * gy_drain, gy_stop, gy_wait. The thread that starts a runtime never becomes one of its shards, and
 * no signal and no child process of the program is touched.
 *
 *     gyre-embed    posts 1000 readings, logs their mean; status 0 if none was lost */
#include "gyre/args.h"
#include "gyre/run.h"
#include "gyre/typed.h"

#include <errno.h>
#include <time.h>

#define READINGS 1000u

/* ---- meter: collects readings ---- */

struct meter_report {
    uint32_t count;
    uint64_t sum;
};
struct meter_args {
    struct meter_report *report; /* borrowed until the runtime has ended */
};
GY_ACTOR(meter);
struct meter_read_msg {
    uint32_t value;
};
GY_CAST(meter, read);

struct meter {
    struct gy_actor actor;
    struct meter_report *report;
    struct meter_report so_far;
};
GY_ACTOR_TYPE(meter, meter_start, meter_stop);
GY_VERB(meter, read);

static int meter_start(struct meter *self, const struct meter_args *args)
{
    self->report = args->report;
    return 0;
}

/* The other threads read the report after gy_wait(), so nothing needs to be atomic. */
static void meter_stop(struct meter *self, int why)
{
    (void)why;
    *self->report = self->so_far;
}

void meter_on_read(struct meter *self, const struct meter_read_msg *msg)
{
    self->so_far.count++;
    self->so_far.sum += msg->value;
    if (self->so_far.count == READINGS)
        gy_log("mean %llu", (unsigned long long)(self->so_far.sum / READINGS));
}

/* ---- the program ---- */

struct program {
    meter_pid meter; /* written by boot on shard 0, read after gy_start() has returned */
    struct meter_report report;
};

static int boot(unsigned shard, void *arg)
{
    struct program *program = arg;
    if (shard != 0)
        return 0;
    return meter_spawn(&program->meter, &(struct meter_args){&program->report});
}

/* One round of the program's own loop. A full lane says so at once; what to do then (here: wait a
 * little) is the caller's choice. */
static int post_reading(struct gy_runtime *runtime, meter_pid to, uint32_t value)
{
    for (;;) {
        int err = meter_read_post(runtime, to, (struct meter_read_msg){value});
        if (err != -EAGAIN)
            return err;
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
}

int main(int argc, char **argv)
{
    struct program program = {.report = {0, 0}};
    struct gy_runtime *runtime;
    struct gy_config cfg;
    gy_config_init(&cfg);
    /* Takes the library's flags out of argv and leaves the others to the program. */
    int err = gy_config_args(&cfg, &argc, argv);
    if (err != 0)
        return gy_exit_status(err);
    err = gy_start(&runtime, &cfg, boot, &program);
    if (err < 0)
        return gy_exit_status(err);

    for (uint32_t i = 0; i < READINGS && err == 0; i++)
        err = post_reading(runtime, program.meter, i);

    /* Finish what was begun, then end; gy_stop() instead would end at once. */
    gy_drain(runtime);
    int ended = gy_wait(runtime);
    if (err < 0 || ended < 0)
        return gy_exit_status(err < 0 ? err : ended);
    return program.report.count != READINGS;
}
