/* Files, simulated: all that the API has, whatever the disk does; and what a crash leaves. */
#include "gyre/buf.h"
#include "gyre/file.h"
#include "gyre/flow.h"
#include "gyre/sim.h"
#include "tests/sim/pages.h"
#include "tests/support/cancel_tour.h"
#include "tests/support/failure_tour.h"
#include "tests/support/file_tour.h"
#include "tests/support/watch_tour.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int tour_boot(unsigned shard, void *arg)
{
    file_tour_actor_pid pid;
    return shard > 0 ? 0 : file_tour_actor_spawn(&pid, &(struct file_tour_actor_args){ arg });
}

static uint64_t tour_run(uint64_t seed, bool faults)
{
    struct gy_sim_config config;
    struct gy_sim *sim;
    struct file_tour tour = { .dir = "tour" };

    gy_sim_config_init(&config, seed, pages_calloc, pages_free, puts, abort);
    if (faults)
        gy_sim_faults_swarm(&config.faults, seed, false);
    assert_int_equal(gy_sim_open(&sim, &config, NULL, NULL), 0);
    gy_sim_file_put(sim, 0, "tour/x", "", 0);
    assert_int_equal(gy_sim_run_on(sim, 0, tour_boot, &tour), 0);
    gy_sim_settle(sim);
    if (tour.line != 0 || !tour.ended)
        fail_msg("seed %llu, line %d: %s, outcome %d", (unsigned long long)seed, tour.line,
                 tour.what, tour.res);
    assert_true(tour.direct);
    assert_int_equal(gy_sim_leaks(sim), 0);
    uint64_t hash = gy_sim_hash(sim);
    assert_int_equal(gy_sim_close(sim), 0);
    return hash;
}

static void it_has_all_of_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++)
        (void)tour_run(seed, false);
}

static void short_and_slow_is_all_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        (void)tour_run(seed, true);
}

static void one_seed_one_run(void **state)
{
    (void)state;
    assert_int_equal(tour_run(7, true), tour_run(7, true));
    assert_int_not_equal(tour_run(7, true), tour_run(8, true));
}

/* ---- what the log says of failures ---- */

static char said[65536];
static int keep_line(const char *text)
{
    size_t len = strlen(said);
    if (strstr(text, "log ") != NULL && len + strlen(text) + 2 < sizeof(said))
        sprintf(said + len, "%s\n", text);
    return 0;
}
static int failure_boot(unsigned shard, void *arg)
{
    failure_tour_actor_pid pid;
    return shard > 0 ? 0 : failure_tour_actor_spawn(&pid, &(struct failure_tour_actor_args){ arg });
}

static void failures_name_what_they_were_about(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct gy_sim_config config;
        struct gy_sim *sim;
        struct failure_tour tour = { .dir = "tour" };
        said[0] = 0;
        gy_sim_config_init(&config, seed, pages_calloc, pages_free, keep_line, abort);
        config.trace = true;
        assert_int_equal(gy_sim_open(&sim, &config, NULL, NULL), 0);
        gy_sim_file_put(sim, 0, "tour/y", "", 0);
        assert_int_equal(gy_sim_run_on(sim, 0, failure_boot, &tour), 0);
        gy_sim_advance(sim, GY_S);
        failure_tour_check(&tour, said);
        assert_true(tour.ended);
        assert_int_equal(gy_sim_leaks(sim), 0);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

/* ---- watches ---- */

static int watch_boot(unsigned shard, void *arg)
{
    watch_tour_actor_pid pid;
    (void)shard;
    return watch_tour_actor_spawn(&pid, &(struct watch_tour_actor_args){ arg });
}

static void changes_are_heard_of(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct gy_sim_config config;
        struct gy_sim *sim;
        struct watch_tour tour = { .dir = "tour" };
        gy_sim_config_init(&config, seed, pages_calloc, pages_free, puts, abort);
        if (seed > 50)
            gy_sim_faults_swarm(&config.faults, seed, false);
        assert_int_equal(gy_sim_open(&sim, &config, NULL, NULL), 0);
        gy_sim_file_put(sim, 0, "tour/x", "", 0);
        assert_int_equal(gy_sim_run_on(sim, 0, watch_boot, &tour), 0);
        gy_sim_advance(sim, 10 * GY_S);
        assert_int_equal(tour.line, 0);
        assert_string_equal(tour.seen, watch_tour_wanted);
        assert_true(tour.ended);
        assert_int_equal(gy_sim_leaks(sim), 0);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

/* ---- discards at any moment ---- */

enum { FICKLE = 200, PIECE = 600 };
static struct {
    unsigned ended, canceled, late, done, wrong;
} fickle_seen;
struct fickle_args {
    uint32_t unused;
};
GY_ACTOR(fickle);
struct fickle {
    struct gy_actor actor;
    gy_file file;
    gy_fut futures[FICKLE];
};
GY_THEN_BUF(fickle, fickle_on_io)
{
    fickle_seen.ended++;
    fickle_seen.canceled += res == -ECANCELED;
    fickle_seen.late += res == -ETIMEDOUT;
    fickle_seen.done += res == PIECE;
    fickle_seen.wrong += res != PIECE && res != -ECANCELED && res != -ETIMEDOUT;
    for (uint32_t i = 0; buf != NULL && i < buf->len; i++)
        fickle_seen.wrong += buf->data[i] != 0 && buf->data[i] != ctx % 200 + 1;
    gy_buf_release(buf);
    if (fickle_seen.ended == FICKLE)
        gy_forget(gy_file_close(self->file));
}
GY_THEN_RES(fickle, fickle_on_time)
{
    (void)res;
    gy_discard(self->futures[ctx]);
}
GY_THEN_RES(fickle, fickle_on_open)
{
    (void)ctx;
    self->file = gy_file_of(res);
    for (uint64_t i = 0; i < FICKLE; i++) {
        struct gy_buf *buf = gy_buf_take(PIECE);
        memset(buf->data, (int)(i / 2 % 200 + 1), PIECE);
        buf->len = i % 2 ? 0 : PIECE;
        gy_fut f = i % 2 ? gy_file_read(self->file, i / 2 * PIECE, PIECE) :
                           gy_file_write(self->file, i / 2 * PIECE, buf);
        if (i % 2)
            gy_buf_release(buf);
        self->futures[i] = f;
        (void)gy_then(self, f, fickle_on_io, i / 2);
        switch (gy_random() % 4) {
        case 0:
            gy_discard(f);
            break;
        case 1:
            (void)gy_deadline(f, gy_random() % 150000);
            break;
        case 2:
            (void)gy_then(self, gy_after(gy_random() % 150000), fickle_on_time, i);
            break;
        default:
            break;
        }
    }
}
static int fickle_start(struct fickle *self, const struct fickle_args *args)
{
    (void)args;
    return gy_then(self, gy_file_open("data/file", GY_FILE_READ | GY_FILE_WRITE, 0),
                   fickle_on_open, 0);
}
static void fickle_stop(struct fickle *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(fickle, fickle_start, fickle_stop);

static int fickle_boot(unsigned shard, void *arg)
{
    fickle_pid pid;
    (void)shard, (void)arg;
    return fickle_spawn(&pid, &(struct fickle_args){ 0 });
}

static struct cancel_tour cancels;

static int cancel_boot(unsigned shard, void *arg)
{
    cancel_tour_actor_pid pid;
    return shard > 0 ? 0 : cancel_tour_actor_spawn(&pid, &(struct cancel_tour_actor_args){ arg });
}

/* Given up at once, a little later, with faults: and nothing is left. */
static void ten_thousand_of_mixed_kinds(void **state)
{
    static const struct gy_sim_program sleeper = { .name = "sleeper" };
    (void)state;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct gy_sim_config config;
        struct gy_sim *sim;
        memset(&cancels, 0, sizeof(cancels));
        cancels.dir = "tour";
        cancels.program = "sleeper";
        cancels.count = seed <= 6 ? CANCEL_TOUR_MAX : 500;
        cancels.how = (enum cancel_tour_how)(seed % CANCEL_TOUR_HOWS);
        cancels.after_ns = seed % 2 ? 0 : seed * 20 * GY_US;
        gy_sim_config_init(&config, seed, pages_calloc, pages_free, puts, abort);
        cancel_tour_config(&config.runtime);
        config.handles_max = 20000;
        if (seed > 12)
            gy_sim_faults_swarm(&config.faults, seed, false);
        assert_int_equal(gy_sim_open(&sim, &config, NULL, NULL), 0);
        gy_sim_program(sim, &sleeper, NULL);
        gy_sim_file_put(sim, 0, "tour/x", "", 0);
        assert_int_equal(gy_sim_run_on(sim, 0, cancel_boot, &cancels), 0);
        gy_sim_advance(sim, 10 * GY_S);
        if (seed <= 12)
            assert_int_equal(cancels.refused, 0);
        if (cancels.how != CANCEL_TOUR_STOP && cancels.refused == 0) {
            assert_int_equal(cancels.ended, 1);
            assert_int_equal(gy_sim_leaks(sim), 0);
        }
        if (seed <= 12)
            assert_int_equal(cancels.wrong, 0);
        if (cancels.how == CANCEL_TOUR_DISCARD && cancels.refused == 0)
            assert_int_equal(cancels.canceled, cancels.count);
        assert_int_equal(gy_sim_close(sim), 0); /* stops; checks that nothing is left */
    }
}

static void discards_at_any_moment(void **state)
{
    unsigned canceled = 0, late = 0, done = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct gy_sim_config config;
        struct gy_sim *sim;
        static uint8_t zeros[FICKLE / 2 * PIECE];
        size_t len;
        memset(&fickle_seen, 0, sizeof(fickle_seen));
        gy_sim_config_init(&config, seed, pages_calloc, pages_free, puts, abort);
        config.runtime.files = 1;
        if (seed > 20)
            gy_sim_faults_swarm(&config.faults, seed, false);
        assert_int_equal(gy_sim_open(&sim, &config, NULL, NULL), 0);
        gy_sim_file_put(sim, 0, "data/file", zeros, sizeof(zeros));
        assert_int_equal(gy_sim_run_on(sim, 0, fickle_boot, NULL), 0);
        if (seed % 3 == 0) { /* the end of everything is such a moment too */
            gy_sim_advance(sim, gy_sim_random(sim) % 200000);
            assert_int_equal(gy_sim_close(sim), 0);
            continue;
        }
        gy_sim_advance(sim, 10 * GY_S);
        assert_int_equal(fickle_seen.ended, FICKLE);
        assert_int_equal(fickle_seen.wrong, 0);
        const uint8_t *bytes = gy_sim_file_get(sim, 0, "data/file", &len);
        assert_int_equal(len, sizeof(zeros));
        for (size_t i = 0; i < len; i++)
            assert_true(bytes[i] == 0 || bytes[i] == i / PIECE % 200 + 1);
        canceled += fickle_seen.canceled;
        late += fickle_seen.late;
        done += fickle_seen.done;
        assert_int_equal(gy_sim_leaks(sim), 0);
        assert_int_equal(gy_sim_close(sim), 0);
    }
    assert_true(canceled > 1000 && late > 100 && done > 1000);
}

/* ---- crashes ---- */

enum { BLOCKS = 30, BLOCK = 700 };
static struct {
    struct gy_sim *sim;
    bool idle;      /* after a crash: the program does nothing */
    bool careless;  /* it renames what it has not synced */
    uint32_t begun; /* blocks, or states, that it began to write */
    uint32_t synced;
    int error; /* it met */
} world;

struct writer_args {
    uint32_t states; /* 0: it writes a log */
};
GY_ACTOR(writer);
struct writer {
    struct gy_actor actor;
};
struct log {
    struct gy_flow flow;
    gy_file file;
    uint32_t i;
};
GY_FLOW(writer, log);
struct state {
    struct gy_flow flow;
    gy_file file, dir;
    uint32_t i;
};
GY_FLOW(writer, state);

static struct gy_buf *block(uint32_t size, uint32_t value)
{
    struct gy_buf *buf = gy_buf_take(size);
    memset(buf->data, (int)value, size);
    buf->len = size;
    return buf;
}

#define TRY(f, expression)                                                                         \
    GY_AWAIT(f, expression);                                                                       \
    if ((f)->flow.res < 0)                                                                         \
    GY_LEAVE(f, (f)->flow.res)

GY_FLOW_BEGIN(writer, self, log, f)
    TRY(f, gy_file_open("data/log", GY_FILE_WRITE, 0));
    f->file = gy_file_of(f->flow.res);
    GY_FOR(f->i = 0, f->i < BLOCKS, f->i++)
        world.begun = f->i + 1;
        TRY(f, gy_file_write(f->file, (uint64_t)f->i * BLOCK, block(BLOCK, f->i + 1)));
        GY_IF(f->i % 3 == 2)
            TRY(f, gy_file_datasync(f->file));
            world.synced = f->i + 1;
        GY_END
    GY_END
GY_CLEANUP(f)
    world.error = f->flow.why;
GY_FLOW_END(f)

GY_FLOW_BEGIN(writer, self, state, f)
    TRY(f, gy_file_open("data", GY_FILE_READ, 0));
    f->dir = gy_file_of(f->flow.res);
    GY_FOR(f->i = 1, f->i < BLOCKS, f->i++)
        world.begun = f->i;
        TRY(f, gy_file_open("data/new", GY_FILE_WRITE | GY_FILE_CREATE | GY_FILE_TRUNCATE, 0644));
        f->file = gy_file_of(f->flow.res);
        TRY(f, gy_file_write(f->file, 0, block(3 * BLOCK, f->i)));
        GY_IF(!world.careless)
            TRY(f, gy_file_sync(f->file));
        GY_END
        TRY(f, gy_file_close(f->file));
        TRY(f, gy_path_rename("data/new", "data/state"));
        TRY(f, gy_file_sync(f->dir));
        world.synced = f->i;
    GY_END
GY_CLEANUP(f)
    world.error = f->flow.why;
GY_FLOW_END(f)

static int writer_start(struct writer *self, const struct writer_args *args)
{
    gy_forget(args->states ? state_start(self, &(struct state){ .i = 0 }) :
                             log_start(self, &(struct log){ .i = 0 }));
    return 0;
}
static void writer_stop(struct writer *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(writer, writer_start, writer_stop);

static int writer_boot(unsigned shard, void *arg)
{
    writer_pid pid;
    (void)shard;
    return world.idle ? 0 : writer_spawn(&pid, &(struct writer_args){ arg != NULL });
}

/* Run it for a while, then the power fails; -> what is in that file afterwards. */
static const uint8_t *crashed(uint64_t seed, bool states, const char *path, size_t *len)
{
    struct gy_sim_config config;
    uint8_t first[3 * BLOCK] = {0};

    world.idle = true;
    world.begun = world.synced = 0;
    world.error = 0;
    gy_sim_config_init(&config, seed, pages_calloc, pages_free, puts, abort);
    assert_int_equal(gy_sim_open(&world.sim, &config, writer_boot, states ? &world : NULL), 0);
    gy_sim_file_put(world.sim, 0, "data/log", "", 0);
    gy_sim_file_put(world.sim, 0, "data/state", first, sizeof(first));
    world.idle = false;
    assert_int_equal(gy_sim_run_on(world.sim, 0, writer_boot, states ? &world : NULL), 0);
    gy_sim_advance(world.sim, gy_sim_random(world.sim) % 4000000);
    gy_sim_crash(world.sim, 0);
    world.idle = true;
    assert_int_equal(gy_sim_restart(world.sim, 0), 0);
    return gy_sim_file_get(world.sim, 0, path, len);
}

static void what_was_synced_survives_a_crash(void **state)
{
    unsigned lost = 0, kept = 0, torn = 0, midway = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        size_t len;
        const uint8_t *bytes = crashed(seed, false, "data/log", &len);
        uint32_t here = 0, missing = 0;
        assert_non_null(bytes);
        assert_true(len >= (size_t)world.synced * BLOCK && len <= (size_t)world.begun * BLOCK);
        for (size_t i = 0; i < len; i++) {
            bool right = bytes[i] == i / BLOCK + 1;
            if (!right && (i < (size_t)world.synced * BLOCK || bytes[i] != 0))
                fail_msg("seed %llu: byte %zu is %u; %u blocks were synced",
                         (unsigned long long)seed, i, bytes[i], world.synced);
            here += right && i >= (size_t)world.synced * BLOCK;
            missing += !right;
        }
        kept += here > 0;
        lost += len == (size_t)world.synced * BLOCK && world.begun > world.synced + 1;
        torn += here > 0 && missing > 0;
        midway += world.synced > 0 && world.synced < BLOCKS;
        assert_int_equal(gy_sim_close(world.sim), 0);
    }
    assert_true(lost > 0 && kept > 0 && torn > 0 && midway > 30);
}

static unsigned states_torn(bool careless)
{
    unsigned torn = 0, older = 0, newer = 0;

    world.careless = careless;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        size_t len;
        const uint8_t *bytes = crashed(seed, true, "data/state", &len);
        bool whole = bytes != NULL && len == 3 * BLOCK;
        for (size_t i = 1; whole && i < len; i++)
            whole = bytes[i] == bytes[0];
        torn += !whole;
        if (whole && !careless) {
            assert_true(bytes[0] >= world.synced && bytes[0] <= world.begun);
            newer += bytes[0] > world.synced;
            older += bytes[0] < world.begun;
        }
        assert_int_equal(gy_sim_close(world.sim), 0);
    }
    assert_true(careless || (older > 0 && newer > 0));
    return torn;
}

static void a_careful_replacement_is_the_old_or_the_new(void **state)
{
    (void)state;
    assert_int_equal(states_torn(false), 0);
    /* And whoever does not sync before renaming is found out. */
    assert_true(states_torn(true) > 0);
    world.careless = false;
}

static void names_not_synced_may_go_and_may_stay(void **state)
{
    unsigned gone = 0, there = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        size_t len;
        (void)crashed(seed, true, "data/state", &len);
        if (gy_sim_file_get(world.sim, 0, "data/new", &len) != NULL)
            there++;
        else
            gone++;
        assert_int_equal(gy_sim_close(world.sim), 0);
    }
    assert_true(gone > 0 && there > 0);
}

/* ---- faults ---- */

static int run_log(const struct gy_sim_faults *faults, uint64_t limit)
{
    struct gy_sim_config config;

    world.idle = true;
    world.error = 1;
    gy_sim_config_init(&config, 1, pages_calloc, pages_free, puts, abort);
    assert_int_equal(gy_sim_open(&world.sim, &config, writer_boot, NULL), 0);
    gy_sim_file_put(world.sim, 0, "data/log", "", 0);
    gy_sim_disk_limit(world.sim, 0, limit);
    *gy_sim_faults(world.sim) = *faults;
    world.idle = false;
    assert_int_equal(gy_sim_run_on(world.sim, 0, writer_boot, NULL), 0);
    gy_sim_settle(world.sim);
    assert_int_equal(gy_sim_leaks(world.sim), 0);
    assert_int_equal(gy_sim_close(world.sim), 0);
    return world.error;
}

static void no_handle_is_left(void **state)
{
    struct gy_sim_config config;
    (void)state;
    world.idle = true;
    world.error = 1;
    gy_sim_config_init(&config, 1, pages_calloc, pages_free, puts, abort);
    config.handles_max = 3; /* the first three are never given */
    assert_int_equal(gy_sim_open(&world.sim, &config, writer_boot, NULL), 0);
    gy_sim_file_put(world.sim, 0, "data/log", "", 0);
    world.idle = false;
    assert_int_equal(gy_sim_run_on(world.sim, 0, writer_boot, NULL), 0);
    gy_sim_settle(world.sim);
    assert_int_equal(world.error, -EMFILE);
    assert_int_equal(gy_sim_close(world.sim), 0);
}

static void faults_are_met(void **state)
{
    struct gy_sim_faults none = {0};
    (void)state;
    assert_int_equal(run_log(&none, 0), 0);
    assert_int_equal(run_log(&none, BLOCKS * BLOCK), 0);
    assert_int_equal(run_log(&none, BLOCKS * BLOCK - 1), -ENOSPC);
    assert_int_equal(run_log(&(struct gy_sim_faults){ .disk_full_ppm = 1000000 }, 0), -ENOSPC);
    assert_int_equal(run_log(&(struct gy_sim_faults){ .disk_error_ppm = 1000000 }, 0), -EIO);
    assert_int_equal(run_log(&(struct gy_sim_faults){ .disk_short_ppm = 1000000 }, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_all_of_it),
        cmocka_unit_test(short_and_slow_is_all_the_same),
        cmocka_unit_test(one_seed_one_run),
        cmocka_unit_test(failures_name_what_they_were_about),
        cmocka_unit_test(changes_are_heard_of),
        cmocka_unit_test(discards_at_any_moment),
        cmocka_unit_test(ten_thousand_of_mixed_kinds),
        cmocka_unit_test(no_handle_is_left),
        cmocka_unit_test(what_was_synced_survives_a_crash),
        cmocka_unit_test(a_careful_replacement_is_the_old_or_the_new),
        cmocka_unit_test(names_not_synced_may_go_and_may_stay),
        cmocka_unit_test(faults_are_met),
    };
    return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
