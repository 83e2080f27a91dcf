/* Keeps a program running.
 *
 *     gyre-keeper PROGRAM [ARGUMENT ...]
 *
 * The program is started, what it writes is passed on line by line with its pid, and when it ends it is
 * started again: at once if it had run for a second, otherwise after a pause that doubles up to ten
 * seconds. SIGHUP starts it anew; SIGTERM and SIGINT ask it to end, give it five seconds, and end
 * the keeper with it. Shows: a process as a future, its output as a stream, signals as messages. */
#include "gyre/buf.h"
#include "gyre/process.h"
#include "gyre/run.h"
#include "gyre/signal.h"
#include "gyre/typed.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define GRACE_NS (5 * (uint64_t)GY_S)
#define QUICK_NS ((uint64_t)GY_S)
#define PAUSE_MIN_NS (100 * (uint64_t)GY_MS)
#define PAUSE_MAX_NS (10 * (uint64_t)GY_S)
#define LINE_MAX 1024

struct keeper_args {
    const char *const *argv; /* of the program; lives as long as main() */
};
GY_ACTOR(keeper);
struct keeper_signal_msg {
    struct gy_signal signal;
};
GY_CAST(keeper, signal);

struct keeper {
    struct gy_actor actor;
    const char *const *argv;
    gy_process_exit_fut process;
    uint64_t started_ns, pause_ns;
    int32_t pid; /* the last one's */
    bool ends;
    char line[LINE_MAX];
    size_t line_len;
};
GY_SIGNAL(keeper, signal)

static void start(struct keeper *self);

/* ---- what it writes ---- */

static void print_line(struct keeper *self)
{
    printf("[%d] %.*s\n", self->pid, (int)self->line_len, self->line);
    fflush(stdout);
    self->line_len = 0;
}

static void output_data(struct gy_actor *actor, struct gy_stream *s, struct gy_buf *buf)
{
    struct keeper *self = (struct keeper *)(void *)actor;
    (void)s;
    for (uint32_t i = 0; i < buf->len; i++) {
        if (buf->data[i] != '\n')
            self->line[self->line_len++] = (char)buf->data[i];
        if (buf->data[i] == '\n' || self->line_len == LINE_MAX)
            print_line(self);
    }
    gy_buf_release(buf);
}
static void output_closed(struct gy_actor *actor, struct gy_stream *s, int why)
{
    struct keeper *self = (struct keeper *)(void *)actor;
    (void)s, (void)why;
    if (self->line_len > 0)
        print_line(self);
}
static const struct gy_stream_events output_events = {.data = output_data, .closed = output_closed};

/* ---- its life ---- */

static void on_started(struct gy_actor *actor, void *context, int32_t pid)
{
    (void)context;
    ((struct keeper *)(void *)actor)->pid = pid;
}

GY_THEN_RES(keeper, on_pause)
{
    (void)ctx, (void)res;
    if (!self->ends)
        start(self);
}

GY_THEN(keeper, on_exit_of_it, gy_process, exit)
{
    (void)ctx;
    if (value == NULL)
        printf("keeper: it could not be started: %s\n", strerror(-res));
    else if (value->signal != 0)
        printf("keeper: %d was ended by signal %d\n", value->pid, value->signal);
    else
        printf("keeper: %d has ended with status %d\n", value->pid, value->code);
    fflush(stdout);
    if (self->ends) {
        gy_stop(gy_runtime_of_shard());
        return;
    }
    if (gy_now() - self->started_ns >= QUICK_NS) {
        self->pause_ns = 0;
    } else {
        self->pause_ns *= 2;
        if (self->pause_ns < PAUSE_MIN_NS)
            self->pause_ns = PAUSE_MIN_NS;
        if (self->pause_ns > PAUSE_MAX_NS)
            self->pause_ns = PAUSE_MAX_NS;
    }
    if (gy_then(self, gy_after(self->pause_ns), on_pause, 0) < 0)
        gy_fail(&self->actor, -EAGAIN);
}

static void start(struct keeper *self)
{
    struct gy_process_spec spec;
    gy_process_spec_init(&spec, self->argv[0]);
    spec.argv = self->argv;
    spec.flags = GY_PROCESS_GROUP; /* what it starts ends with it */
    spec.out = (struct gy_process_io){.kind = GY_IO_FROM, .events = &output_events};
    spec.started = on_started;
    self->started_ns = gy_now();
    self->process = gy_process_start(self, &spec);
    if (gy_then(self, self->process, on_exit_of_it, 0) < 0)
        gy_fail(&self->actor, -EAGAIN);
}

void keeper_on_signal(struct keeper *self, const struct keeper_signal_msg *msg)
{
    if (msg->signal.number != SIGHUP)
        self->ends = true;
    if (gy_process_end(self->process, GRACE_NS) < 0 && self->ends)
        gy_stop(gy_runtime_of_shard()); /* it pauses */
}

static int keeper_start(struct keeper *self, const struct keeper_args *args)
{
    const int signals[] = {SIGHUP, SIGTERM, SIGINT};
    for (unsigned i = 0; i < 3; i++) {
        int err = keeper_signal_signal(self, signals[i]);
        if (err < 0)
            return err;
    }
    self->argv = args->argv;
    start(self);
    return 0;
}
static void keeper_stop(struct keeper *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(keeper, keeper_start, keeper_stop);
GY_VERB(keeper, signal);

static int boot(unsigned shard, void *arg)
{
    keeper_pid pid;
    (void)shard;
    return keeper_spawn(&pid, &(struct keeper_args){arg});
}

int main(int argc, char **argv)
{
    struct gy_config config;
    if (argc < 2) {
        fprintf(stderr, "usage: gyre-keeper PROGRAM [ARGUMENT ...]\n");
        return 2;
    }
    gy_config_init(&config);
    config.shards = 1;
    config.pin = false;
    return gy_run(&config, boot, argv + 1) < 0;
}
