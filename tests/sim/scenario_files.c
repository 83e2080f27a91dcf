/* Stores that keep what they promise through crashes: each appends records to a log, acknowledges those
 * that it has synced, and now and then writes a snapshot, renames it into place and empties its log. The
 * power fails at any moment, the disk is slow, short and sometimes broken. Whatever a store finds when it
 * starts again is a state that it was in, at least the one last acknowledged and at most the one last
 * begun. Meanwhile a reader of each log hears of its changes. */
#include "tests/sim/scenario.h"

#include "gyre/buf.h"
#include "gyre/file.h"
#include "gyre/flow.h"
#include "gyre/typed.h"
#include "gyre/watch.h"

#include <errno.h>
#include <string.h>

#define STORES_MAX 8

/* What the world knows of each, over all its lives. */
static struct {
    uint64_t acknowledged, begun;
} known[STORES_MAX];
static struct {
    uint32_t stores, per_shard, batch, snapshot_every;
    uint64_t recovered, broken, heard;
    bool rests; /* stores recover, and do nothing else */
} world;

static uint64_t pick(uint64_t n)
{
    return gy_sim_random(scenario_sim) % n;
}

/* The same for code of a shard, also while the world is being made. */
static uint64_t roll(uint64_t n)
{
    return gy_random() % n;
}

/* ---- what is stored: a number for each state, made of all records before it ---- */

struct record {
    uint64_t seq, state, check;
    uint64_t filler[5]; /* so that records lie across sectors, but for some */
    uint64_t tail;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t z = (a ^ b * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xBF58476D1CE4E5B9);
    return z ^ z >> 29;
}
static uint64_t state_after(uint64_t state, uint64_t seq)
{
    return mix(state + 1, seq);
}
static struct record record_of(uint64_t seq, uint64_t state)
{
    struct record record = { .seq = seq, .state = state, .check = mix(seq, state) };
    for (unsigned i = 0; i < 5; i++)
        record.filler[i] = mix(record.check, i);
    record.tail = ~record.check;
    return record;
}
static bool record_is_whole(const struct record *record)
{
    struct record right = record_of(record->seq, record->state);
    return record->seq != 0 && memcmp(record, &right, sizeof(right)) == 0;
}

/* ---- a store ---- */

struct store_args {
    uint32_t number;
};
GY_ACTOR(store);
struct store {
    struct gy_actor actor;
    uint32_t number;
    uint64_t seq, state; /* as far as it has begun */
    char dir[16], log[16], snap[16], tmp[16];
};

struct serve {
    struct gy_flow flow;
    gy_fut fut;
    gy_file dir, log, tmp, watch;
    uint64_t at, in_log, i, n, puts;
};
GY_FLOW(store, serve);
struct hear {
    struct gy_flow flow;
    gy_fut fut;
    gy_file watch;
};
GY_FLOW(store, hear);

static struct gy_buf *record_buf(uint64_t seq, uint64_t state)
{
    struct record record = record_of(seq, state);
    struct gy_buf *buf = gy_buf_take(sizeof(record));
    if (buf != NULL) {
        memcpy(buf->data, &record, sizeof(record));
        buf->len = sizeof(record);
    }
    return buf;
}

/* Apply the records of a buffer that continue the state. -> how many bytes were whole records. */
static uint32_t apply(struct store *self, const struct gy_buf *buf)
{
    uint32_t at = 0;
    struct record record;

    while (buf != NULL && buf->len - at >= sizeof(record)) {
        memcpy(&record, buf->data + at, sizeof(record));
        if (!record_is_whole(&record) || record.seq > self->seq + 1)
            break;
        if (record.seq == self->seq + 1) {
            scenario_check(record.state == state_after(self->state, record.seq),
                           "store %u: record %llu does not follow from the state before it",
                           self->number, (unsigned long long)record.seq);
            self->seq = record.seq;
            self->state = record.state;
        }
        at += (uint32_t)sizeof(record);
    }
    return at;
}

static void snapshot_take(struct store *self, const struct gy_buf *buf)
{
    struct record record;

    scenario_check(buf != NULL && buf->len == sizeof(record), "store %u: a snapshot of %u bytes",
                   self->number, buf == NULL ? 0 : buf->len);
    memcpy(&record, buf->data, sizeof(record));
    scenario_check(record_is_whole(&record), "store %u: a torn snapshot", self->number);
    self->seq = record.seq;
    self->state = record.state;
}

static void recovered(const struct store *self)
{
    uint64_t state = 0;

    world.recovered++;
    for (uint64_t seq = 1; seq <= self->seq; seq++)
        state = state_after(state, seq);
    scenario_check(state == self->state, "store %u: state %llu was never there", self->number,
                   (unsigned long long)self->seq);
    scenario_check(self->seq >= known[self->number].acknowledged,
                   "store %u: %llu was acknowledged, %llu is what is left", self->number,
                   (unsigned long long)known[self->number].acknowledged,
                   (unsigned long long)self->seq);
    scenario_check(self->seq <= known[self->number].begun, "store %u: %llu was never begun",
                   self->number, (unsigned long long)self->seq);
}

#define TRY(f, expression)                                                                         \
    GY_AWAIT(f, (f)->fut = (expression));                                                          \
    if ((f)->flow.res < 0)                                                                         \
    GY_LEAVE(f, (f)->flow.res)

GY_FLOW_BEGIN(store, self, serve, f)
    /* A start waits until nothing is under way: what goes on for ever begins by a timer, and pauses. */
    TRY(f, gy_after(GY_US));
    /* Its directory is there when this has ended, whatever happens then. */
    GY_AWAIT(f, gy_path_mkdir(self->dir, 0700));
    if (f->flow.res < 0 && f->flow.res != -EEXIST)
        GY_LEAVE(f, f->flow.res);
    TRY(f, gy_file_open("/", GY_FILE_READ, 0));
    f->dir = gy_file_of(f->flow.res);
    TRY(f, gy_file_sync(f->dir));
    TRY(f, gy_file_close(f->dir));
    TRY(f, gy_file_open(self->dir, GY_FILE_READ, 0));
    f->dir = gy_file_of(f->flow.res);

    /* What the last life has left. */
    GY_AWAIT(f, f->fut = gy_file_open(self->snap, GY_FILE_READ, 0));
    if (f->flow.res < 0 && f->flow.res != -ENOENT)
        GY_LEAVE(f, f->flow.res);
    GY_IF(f->flow.res > 0)
        f->tmp = gy_file_of(f->flow.res);
        TRY(f, gy_file_read(f->tmp, 0, 1000));
        struct gy_buf *snapshot = gy_value_buf(f->fut);
        snapshot_take(self, snapshot);
        gy_buf_release(snapshot);
        TRY(f, gy_file_close(f->tmp));
    GY_END
    TRY(f, gy_file_open(self->log, GY_FILE_READ | GY_FILE_WRITE | GY_FILE_CREATE, 0600));
    f->log = gy_file_of(f->flow.res);
    TRY(f, gy_file_sync(f->dir));
    int err = gy_file_ahead(f->log, 0, UINT64_MAX, 7 * sizeof(struct record), 1 + f->n % 5);
    if (err < 0)
        GY_LEAVE(f, err);
    GY_FOR(f->n = 7 * sizeof(struct record), f->n == 7 * sizeof(struct record), (void)0)
        TRY(f, gy_file_next(f->log));
        struct gy_buf *records = gy_value_buf(f->fut);
        f->n = apply(self, records);
        f->at += f->n;
        gy_buf_release(records);
    GY_END
    recovered(self);
    /* Behind the last whole record is what no later life must take for its own. */
    TRY(f, gy_file_truncate(f->log, f->at));
    TRY(f, gy_file_datasync(f->log));
    if (world.rests)
        GY_LEAVE(f, 0);

    TRY(f, gy_watch_open(self->log, GY_WATCH_CHANGED));
    gy_forget(hear_start(self, &(struct hear){ .watch = gy_file_of(f->flow.res) }));
    GY_WHILE(true)
        TRY(f, gy_after(roll(roll(4) ? 20 * GY_US : 3 * GY_MS)));
        /* Some records, by whichever way, then the promise. */
        f->n = 1 + roll(world.batch);
        f->puts = roll(2);
        if (gy_file_behind(f->log, f->at, roll(400)) < 0)
            GY_LEAVE(f, -EIO);
        GY_FOR(f->i = 0, f->i < f->n, f->i++)
            self->state = state_after(self->state, ++self->seq);
            known[self->number].begun = self->seq;
            struct gy_buf *buf = record_buf(self->seq, self->state);
            if (buf == NULL)
                GY_LEAVE(f, -EAGAIN);
            f->at += buf->len;
            TRY(f, f->puts ? gy_file_put(f->log, buf) :
                             gy_file_write(f->log, f->at - sizeof(struct record), buf));
        GY_END
        TRY(f, gy_file_flush(f->log));
        TRY(f, gy_file_datasync(f->log));
        known[self->number].acknowledged = self->seq;
        f->in_log += f->n;
        GY_IF(f->in_log > world.snapshot_every)
            TRY(f, gy_file_open(self->tmp, GY_FILE_WRITE | GY_FILE_CREATE | GY_FILE_TRUNCATE, 0600));
            f->tmp = gy_file_of(f->flow.res);
            struct gy_buf *image = record_buf(self->seq, self->state);
            if (image == NULL)
                GY_LEAVE(f, -EAGAIN);
            TRY(f, gy_file_write(f->tmp, 0, image));
            TRY(f, gy_file_sync(f->tmp));
            TRY(f, gy_file_close(f->tmp));
            TRY(f, gy_path_rename(self->tmp, self->snap));
            TRY(f, gy_file_sync(f->dir));
            TRY(f, gy_file_truncate(f->log, 0));
            TRY(f, gy_file_datasync(f->log));
            f->at = f->in_log = 0;
        GY_END
    GY_END
GY_CLEANUP(f)
    world.broken += f->flow.why < 0 && f->flow.why != -EOWNERDEAD;
GY_FLOW_END(f)

GY_FLOW_BEGIN(store, self, hear, f)
    GY_WHILE(true)
        TRY(f, gy_watch_next(f->watch));
        struct gy_buf *events = gy_value_buf(f->fut);
        struct gy_watch_event event;
        for (uint32_t at = 0; gy_watch_event_at(events, &at, &event); world.heard++)
            scenario_check(event.id == 1 && event.what == GY_WATCH_CHANGED,
                           "store %u heard of %x", self->number, event.what);
        gy_buf_release(events);
    GY_END
GY_FLOW_END(f)

static int store_start(struct store *self, const struct store_args *args)
{
    gy_fut fut;

    self->number = args->number;
    snprintf(self->dir, sizeof(self->dir), "db%u", args->number);
    snprintf(self->log, sizeof(self->log), "db%u/log", args->number);
    snprintf(self->snap, sizeof(self->snap), "db%u/snap", args->number);
    snprintf(self->tmp, sizeof(self->tmp), "db%u/tmp", args->number);
    fut = serve_start(self, &(struct serve){ .n = args->number });
    gy_forget(fut);
    return gy_refused(fut);
}
static void store_stop(struct store *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(store, store_start, store_stop);

static int boot(unsigned shard, void *arg)
{
    store_pid pid;
    int err = 0;

    (void)arg;
    for (uint32_t i = 0; i < world.per_shard && err == 0; i++)
        err = store_spawn(&pid, &(struct store_args){ shard * world.per_shard + i });
    return err;
}

/* ---- the run ---- */

static bool all_recovered(void *arg)
{
    (void)arg;
    return world.recovered >= world.stores;
}

static uint64_t run(struct gy_sim_config *config)
{
    uint64_t seed = config->seed;
    bool harsh = seed / 7 % 4 == 0;
    int err;

    memset(known, 0, sizeof(known));
    memset(&world, 0, sizeof(world));
    config->shards = 1 + (uint32_t)(seed % 4);
    world.per_shard = 1 + (uint32_t)(seed / 4 % 2);
    world.stores = config->shards * world.per_shard;
    world.batch = 1 + (uint32_t)(seed / 8 % 9);
    world.snapshot_every = 3 + (uint32_t)(seed / 5 % 30);
    config->runtime.futures = 256;
    if (harsh)
        gy_sim_faults_swarm(&config->faults, seed, true);
    config->faults.memory_fail_ppm = 0;
    if (!scenario_open(config, boot, NULL))
        return 0;
    for (uint64_t life = pick(5) + 1; life > 0; life--) {
        gy_sim_advance(scenario_sim, 1 + pick(pick(2) ? 20 * GY_MS : 500 * GY_MS));
        if (pick(5) == 0 && gy_sim_runtime(scenario_sim, 0) != NULL)
            gy_stop(gy_sim_runtime(scenario_sim, 0));
        gy_sim_crash(scenario_sim, 0); /* also amid stopping */
        if (life == 1) {
            gy_sim_heal(scenario_sim);
            world.rests = true;
            world.recovered = 0;
        }
        err = gy_sim_restart(scenario_sim, 0);
        scenario_check(err == 0, "the host does not start again: %d", err);
    }
    scenario_check(gy_sim_until(scenario_sim, all_recovered, NULL, 100 * GY_S),
                   "%u stores recovered of %u", (unsigned)world.recovered, world.stores);
    for (uint32_t i = 0; i < world.stores; i++)
        scenario_check(known[i].acknowledged <= known[i].begun, "store %u", i);
    return scenario_close();
}

const struct scenario scenario_files = { "files", "stores that crash, with logs and snapshots", run };
