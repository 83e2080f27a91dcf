/* Actors that start processes and end at bad moments, while births fail, take long and bytes go in odd
 * pieces. Of each process whose actor lives the end is told once, and as it was; what it wrote arrives
 * whole and in order unless it was killed; a process outlives its actor only by the time that a kill
 * takes, unless it is to be left, and then it is reaped all the same: in the end there is none. */
#include "tests/sim/scenario.h"

#include "gyre/buf.h"
#include "gyre/process.h"
#include "gyre/timer.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 48
#define KILL 9
#define TERM 15

enum kind {
    COPIES, /* its input, and ends with it */
    WRITES, /* len bytes, and ends */
    CRASHES,
    DEAF,   /* until SIGKILL */
    WAITS,  /* until a signal */
    KINDS
};
static struct job {
    uint32_t number;
    enum kind kind;
    uint32_t len, sent, got;
    bool leave, ends_early; /* its actor asks it to end */
    uint64_t deadline_ns;
    gy_process_exit_fut fut;
    char text[12];
    const char *argv[3];
    bool asked, owner_gone;
    uint32_t exits, open, begun, ended;
    int32_t code, signal; /* as the process had it */
    int res;
} jobs[JOBS_MAX];
static uint32_t job_count, alive_launchers, moves;

static uint8_t byte_at(const struct job *job, uint32_t position)
{
    return (uint8_t)(job->number * 37 + position * 11 + position / 253);
}

/* ---- the program ---- */

static struct job *job_of(const struct gy_sim_process *p)
{
    return &jobs[strtoul(gy_sim_process_argument(p, 1), NULL, 10)];
}

static void on_started(void *arg, struct gy_sim_process *p)
{
    struct job *job = job_of(p);
    (void)arg;
    scenario_check(job->begun++ == 0, "process %u was started twice", job->number);
    if (job->kind == CRASHES) {
        job->signal = 6;
        gy_sim_process_crash(p, 6);
    } else if (job->kind == WRITES) {
        uint8_t bytes[64];
        for (uint32_t at = 0; at < job->len;) {
            uint32_t n = 0;
            while (n < sizeof(bytes) && at < job->len)
                bytes[n++] = byte_at(job, at++);
            scenario_check(gy_sim_process_write(p, 1, bytes, n) == 0, "it cannot write");
        }
        gy_sim_process_exit(p, job->code);
    }
}
static void on_input(void *arg, struct gy_sim_process *p, int32_t number, const uint8_t *data,
                     size_t len)
{
    struct job *job = job_of(p);
    (void)arg, (void)number;
    if (job->kind != COPIES)
        return;
    if (len > 0)
        scenario_check(gy_sim_process_write(p, 1, data, len) == 0, "it cannot write");
    else
        gy_sim_process_exit(p, job->code);
}
static void on_signal(void *arg, struct gy_sim_process *p, int32_t number)
{
    struct job *job = job_of(p);
    (void)arg;
    if (job->kind != DEAF)
        gy_sim_process_crash(p, number);
}
static void on_ended(void *arg, struct gy_sim_process *p)
{
    struct job *job = job_of(p);
    (void)arg;
    scenario_check(job->ended++ == 0, "process %u ended twice", job->number);
}
static const struct gy_sim_program worker = {"worker", on_started, on_input, on_signal, on_ended};

/* ---- who starts it ---- */

struct launcher_args {
    uint32_t first, count;
};
GY_ACTOR(launcher);
struct launcher_move_msg {
    uint32_t unused;
};
GY_CAST(launcher, move);
struct launcher {
    struct gy_actor actor;
    uint32_t first, count, next;
};

static void feed(struct job *job, struct gy_stream *s)
{
    while (job->sent < job->len && !gy_stream_full(s)) {
        struct gy_buf *buf = gy_buf_take(512);
        if (buf == NULL)
            break;
        while (job->sent < job->len && buf->len < 512)
            buf->data[buf->len++] = byte_at(job, job->sent++);
        (void)gy_stream_send(s, buf);
    }
    if (job->sent == job->len)
        gy_stream_close(s);
}
static void in_opened(struct gy_actor *self, struct gy_stream *s)
{
    struct job *job = gy_stream_context(s);
    (void)self;
    job->open++;
    feed(job, s);
}
static void in_drained(struct gy_actor *self, struct gy_stream *s)
{
    (void)self;
    feed(gy_stream_context(s), s);
}
static void out_opened(struct gy_actor *self, struct gy_stream *s)
{
    (void)self;
    ((struct job *)gy_stream_context(s))->open++;
}
static void data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct job *job = gy_stream_context(s);
    (void)self;
    for (uint32_t i = 0; i < buf->len; i++)
        scenario_check(buf->data[i] == byte_at(job, job->got + i),
                       "byte %u of process %u is another", job->got + i, job->number);
    job->got += buf->len;
    gy_buf_release(buf);
}
static void closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct job *job = gy_stream_context(s);
    (void)self, (void)why;
    scenario_check(job->open > 0, "a pipe of process %u closed twice", job->number);
    job->open--;
}
static const struct gy_stream_events in_events = {
    .opened = in_opened, .data = data, .drained = in_drained, .closed = closed};
static const struct gy_stream_events out_events = {
    .opened = out_opened, .data = data, .closed = closed};

GY_THEN(launcher, launcher_on_exit, gy_process, exit)
{
    struct job *job = &jobs[ctx];
    (void)self;
    scenario_check(job->exits++ == 0, "the end of process %u was told twice", job->number);
    job->res = res;
    if (res < 0) {
        scenario_check(res == -EAGAIN || res == -ENOMEM || res == -ENOENT || res == -EMFILE ||
                           (res == -ETIMEDOUT && job->deadline_ns > 0),
                       "process %u failed with %d", job->number, res);
        return;
    }
    scenario_check(job->ended == 1, "process %u is told to have ended, and runs", job->number);
    scenario_check(value->known, "nobody knows how process %u ended", job->number);
    if (value->signal == 0)
        scenario_check(value->code == job->code, "process %u ended with %d, not %d", job->number,
                       value->code, job->code);
    else
        scenario_check(value->signal == job->signal ||
                           (job->ends_early && (value->signal == TERM || value->signal == KILL)),
                       "process %u ended by signal %d", job->number, value->signal);
}

static void begin(struct launcher *self, struct job *job)
{
    struct gy_process_spec spec;
    gy_process_spec_init(&spec, "/opt/worker");
    spec.argv = job->argv;
    spec.flags = job->leave ? GY_PROCESS_LEAVE : 0;
    if (job->kind == COPIES)
        spec.in = (struct gy_process_io){.kind = GY_IO_TO, .events = &in_events, .context = job};
    if (job->kind == COPIES || job->kind == WRITES)
        spec.out = (struct gy_process_io){.kind = GY_IO_FROM, .events = &out_events, .context = job};
    job->asked = true;
    job->fut = gy_process_start(self, &spec);
    if (job->deadline_ns > 0)
        (void)gy_deadline(job->fut.fut, job->deadline_ns);
    if (gy_then(self, job->fut, launcher_on_exit, job->number) < 0) {
        job->exits = 1; /* refused, and not even that could be said */
        job->res = -EAGAIN;
    }
}

void launcher_on_move(struct launcher *self, const struct launcher_move_msg *msg)
{
    (void)msg;
    moves++;
    if (self->next < self->count) {
        begin(self, &jobs[self->first + self->next++]);
        return;
    }
    struct job *job = &jobs[self->first + gy_random() % self->count];
    if (job->ends_early)
        (void)gy_process_end(job->fut, gy_random() % (50 * (uint64_t)GY_MS));
    if (gy_random() % 16 == 0)
        gy_fail(&self->actor, -EPROTO);
}
static int launcher_start(struct launcher *self, const struct launcher_args *args)
{
    self->first = args->first;
    self->count = args->count;
    alive_launchers++;
    return 0;
}
static void launcher_stop(struct launcher *self, int why)
{
    (void)why;
    alive_launchers--;
    for (uint32_t i = 0; i < self->count; i++)
        jobs[self->first + i].owner_gone = true;
}
GY_ACTOR_TYPE(launcher, launcher_start, launcher_stop);
GY_VERB(launcher, move);

/* ---- the run ---- */

static launcher_pid launchers[8];
static uint32_t launcher_count, shards;

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    for (uint32_t i = shard; i < launcher_count; i += shards) {
        uint32_t each = job_count / launcher_count;
        int err = launcher_spawn(&launchers[i], &(struct launcher_args){i * each, each});
        if (err < 0)
            return err;
    }
    return 0;
}

static uint64_t pick(uint64_t n)
{
    return gy_sim_random(scenario_sim) % n;
}

static void draw(uint64_t seed)
{
    memset(jobs, 0, sizeof(jobs));
    for (uint32_t i = 0; i < job_count; i++) {
        struct job *job = &jobs[i];
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t draws = (uint32_t)(seed >> 32);
        job->number = i;
        job->kind = (enum kind)(draws % KINDS);
        job->len = draws / 8 % 20000;
        job->leave = draws / 3 % 8 == 0;
        job->code = (int32_t)(draws / 5 % 256);
        job->ends_early = job->kind == DEAF || job->kind == WAITS || draws % 7 == 0;
        job->deadline_ns = draws % 11 == 0 ? 1 + draws % (200 * (uint32_t)GY_MS) : 0;
        snprintf(job->text, sizeof(job->text), "%u", i);
        job->argv[0] = "worker";
        job->argv[1] = job->text;
    }
}

static bool all_over(void *arg)
{
    bool any = false;
    (void)arg;
    for (uint32_t i = 0; i < job_count; i++) {
        const struct job *job = &jobs[i];
        if (job->asked && !job->owner_gone)
            any |= job->exits == 0 || job->open > 0;
    }
    return !any && gy_sim_processes(scenario_sim) == 0;
}

static void check(void)
{
    for (uint32_t i = 0; i < job_count; i++) {
        const struct job *job = &jobs[i];
        scenario_check(job->begun == job->ended, "process %u is left", i);
        if (!job->asked || job->owner_gone || job->res < 0 || job->ends_early)
            continue;
        if (job->kind == COPIES || job->kind == WRITES)
            scenario_check(job->got == job->len, "process %u wrote %u bytes, %u arrived", i,
                           job->len, job->got);
    }
}

static void ask(uint32_t i)
{
    /* Of one that is gone it is dropped; a full lane refuses it. */
    (void)!launcher_move_post(gy_sim_runtime(scenario_sim, 0), launchers[i],
                            (struct launcher_move_msg){0});
}

static uint64_t run(struct gy_sim_config *config)
{
    uint64_t seed = config->seed;
    launcher_count = 1 + (uint32_t)(seed % 8);
    job_count = launcher_count * (1 + (uint32_t)(seed / 8 % (JOBS_MAX / 8)));
    shards = 1 + (uint32_t)(seed % 3);
    alive_launchers = moves = 0;
    draw(seed);
    config->shards = shards;
    config->runtime.streams_max = 256;
    config->faults.process_fail_ppm = seed % 4 == 0 ? 200000 : 0;
    if (!scenario_open(config, boot, NULL))
        return 0;
    gy_sim_program(scenario_sim, &worker, NULL);
    for (uint32_t i = 0; i < job_count * 3; i++) {
        ask((uint32_t)pick(launcher_count));
        gy_sim_advance(scenario_sim, pick(20 * (uint64_t)GY_MS));
    }
    /* From here on nobody ends by chance, and those that would not end by themselves are asked to. */
    gy_sim_heal(scenario_sim);
    for (uint32_t round = 0; round < 400 && !all_over(NULL); round++) {
        for (uint32_t i = 0; i < launcher_count; i++)
            ask(i);
        gy_sim_advance(scenario_sim, 20 * GY_MS);
        /* What was left by an actor that is gone, nobody asks. */
        if (alive_launchers == 0)
            break;
    }
    if (alive_launchers > 0)
        scenario_live(all_over, NULL, 60 * (uint64_t)GY_S, "a process is not over");
    else
        gy_sim_advance(scenario_sim, GY_S);
    for (uint32_t i = 0; i < job_count; i++)
        if (jobs[i].owner_gone && !jobs[i].leave)
            scenario_check(jobs[i].begun == jobs[i].ended, "process %u outlives its actor", i);
    if (all_over(NULL))
        check();
    scenario_add("processes that ran", 0);
    for (uint32_t i = 0; i < job_count; i++)
        scenario_add("processes that ran", jobs[i].begun);
    return scenario_close();
}

const struct scenario scenario_processes = {
    "processes", "subprocesses of actors that end; births that fail", run};
