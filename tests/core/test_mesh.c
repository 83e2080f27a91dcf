/* Shards on real threads, under a driver that only sleeps and wakes: nothing is lost, doubled or
 * reordered, and nobody sleeps for ever, with rings so small that they are full most of the time.
 * The oracle is exact: every token is counted once per hop. */
#include "core/kernel.h"
#include "gyre/typed.h"

#include <pthread.h>
#include <stdarg.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define SHARDS_MAX 12

/* ---- the driver: a condition variable per shard ---- */

struct world {
    struct gy_runtime *runtime;
    struct gy_config config;
    unsigned shards;
    pthread_barrier_t booted;
    struct place {
        struct world *world;
        unsigned index;
        pthread_mutex_t mutex;
        pthread_cond_t cond;
        bool woken;
        pthread_t thread;
        unsigned sleeps;
    } places[SHARDS_MAX];
};

/* Not 0: the time, which passes by being looked at. */
static uint64_t stepped_ns;

static uint64_t on_now(void *ctx)
{
    struct timespec t;
    (void)ctx;
    if (stepped_ns != 0)
        return stepped_ns += 25000;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static uint64_t on_random(void *ctx)
{
    return ctx == NULL ? 7 : ((struct place *)ctx)->index;
}
static void *on_memory(void *ctx, size_t bytes)
{
    (void)ctx;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}
static void on_memory_free(void *ctx, void *memory, size_t bytes)
{
    (void)ctx;
    munmap(memory, bytes);
}
static void on_memory_soon(void *ctx, void *memory, size_t bytes)
{
    (void)ctx, (void)memory, (void)bytes;
}
static void place_wake(void *arg, unsigned shard)
{
    struct place *place = &((struct world *)arg)->places[shard];
    pthread_mutex_lock(&place->mutex);
    place->woken = true;
    pthread_cond_signal(&place->cond);
    pthread_mutex_unlock(&place->mutex);
}
static void on_wake(void *ctx, unsigned shard)
{
    place_wake(((struct place *)ctx)->world, shard);
}
static void on_log(void *ctx, int level, const char *text, size_t len)
{
    (void)ctx, (void)level;
    fprintf(stderr, "%.*s\n", (int)len, text);
}
static void on_panic(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "%s\n", text);
    abort();
}
static const struct gy_driver driver = {
    .size = sizeof(driver), .now = on_now,       .wall = on_now,
    .random = on_random,    .memory = on_memory, .memory_free = on_memory_free,
    .memory_soon = on_memory_soon,
    .wake = on_wake,        .log = on_log,       .panic = on_panic,
};

static void place_sleep(struct place *place)
{
    pthread_mutex_lock(&place->mutex);
    place->sleeps++;
    while (!place->woken)
        pthread_cond_wait(&place->cond, &place->mutex);
    place->woken = false;
    pthread_mutex_unlock(&place->mutex);
}

/* ---- the actors: each shard's relay passes tokens on to relays of other shards ---- */

struct relay_args {
    uint32_t shard;
};
GY_ACTOR(relay);
struct relay_token_msg {
    uint64_t hops;
    uint64_t from_sequence; /* of the last sender, for order */
    uint32_t from;
};
GY_CAST(relay, token);
struct relay_ask_msg {
    uint64_t hops;
};
struct relay_ask_reply {
    uint64_t echo;
};
GY_CALL(relay, ask);
struct relay_start_msg {
    uint64_t tokens;
    uint64_t hops;
};
GY_CAST(relay, start);

struct relay {
    struct gy_actor actor;
    uint64_t handled, asked, answered, refused, rng;
    uint64_t sequence_to[SHARDS_MAX];   /* last sent to each */
    uint64_t sequence_from[SHARDS_MAX]; /* last seen of each */
    struct {
        uint64_t hops;
        uint32_t to;
    } held[4096]; /* tokens that found no room */
    unsigned held_count;
    bool waiting;
};
static relay_pid relays[SHARDS_MAX];
static unsigned shards;
static _Atomic uint64_t hops_left;

GY_ACTOR_TYPE(relay, relay_start_fn, relay_stop_fn);
GY_VERB(relay, token);
GY_VERB(relay, ask);
GY_VERB(relay, start);
GY_THEN(relay, relay_on_answer, relay, ask);
GY_ROOM(relay, relay_on_room);

static int relay_start_fn(struct relay *self, const struct relay_args *args)
{
    self->rng = args->shard * 77 + 1;
    return 0;
}
static void relay_stop_fn(struct relay *self, int why)
{
    (void)self, (void)why;
}
static uint32_t next_random(struct relay *self)
{
    self->rng = self->rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(self->rng >> 33);
}
static void hop_done(void)
{
    atomic_fetch_sub_explicit(&hops_left, 1, memory_order_relaxed);
}

static bool token_send(struct relay *self, uint64_t hops, uint32_t to)
{
    struct relay_token_msg msg = { hops, self->sequence_to[to] + 1, gy_shard() };
    if (relay_token(relays[to], msg) < 0)
        return false;
    self->sequence_to[to]++;
    return true;
}
static void tokens_flush(struct relay *self)
{
    while (self->held_count > 0) {
        unsigned last = self->held_count - 1;
        if (!token_send(self, self->held[last].hops, self->held[last].to)) {
            self->refused++;
            if (!self->waiting)
                self->waiting =
                    gy_room_again(self, relays[self->held[last].to].pid, relay_on_room, 0) == 0;
            return;
        }
        self->held_count--;
    }
}
static void relay_on_room(struct relay *self, uint64_t ctx)
{
    (void)ctx;
    self->waiting = false;
    tokens_flush(self);
}
static void pass_on(struct relay *self, uint64_t hops)
{
    uint32_t to = next_random(self) % shards;
    if (hops == 0)
        return;
    /* Now and then as a call; its answer is a hop too, and goes on from there. */
    if (next_random(self) % 4 == 0) {
        relay_ask_fut f = relay_ask(relays[to], (struct relay_ask_msg){ hops });
        if (gy_refused(f.fut) == 0) {
            self->asked++;
            (void)gy_then(self, f, relay_on_answer, hops);
            return;
        }
    }
    self->held[self->held_count].hops = hops;
    self->held[self->held_count++].to = to;
    tokens_flush(self);
}
void relay_on_token(struct relay *self, const struct relay_token_msg *msg)
{
    if (msg->from_sequence != self->sequence_from[msg->from] + 1)
        abort(); /* lost, doubled or reordered */
    self->sequence_from[msg->from]++;
    self->handled++;
    hop_done();
    pass_on(self, msg->hops - 1);
}
void relay_on_ask(struct relay *self, const struct relay_ask_msg *msg, relay_ask_promise reply)
{
    self->handled++;
    relay_ask_resolve(reply, (struct relay_ask_reply){ msg->hops });
}
static void relay_on_answer(struct relay *self, uint64_t hops, int res,
                            const struct relay_ask_reply *value)
{
    if (res < 0 || value->echo != hops)
        abort();
    self->answered++;
    hop_done();
    pass_on(self, hops - 1);
}
void relay_on_start(struct relay *self, const struct relay_start_msg *msg)
{
    for (uint64_t i = 0; i < msg->tokens; i++)
        pass_on(self, msg->hops);
}

/* ---- the actors of a storm: several on each shard, so that their quotas fill a ring; each casts to
 * and calls its like on the other shards, as fast as it is let ---- */

#define STORMS 8

struct storm_args {
    uint32_t index;
};
GY_ACTOR(storm);
struct storm_begin_msg {
    uint64_t each; /* casts and calls to each shard */
};
GY_CAST(storm, begin);
struct storm_gust_msg {
    uint64_t sequence;
    uint32_t from;
};
GY_CAST(storm, gust);
struct storm_ask_msg {
    uint64_t sequence;
};
struct storm_ask_reply {
    uint64_t sequence;
};
GY_CALL(storm, ask);

struct storm {
    struct gy_actor actor;
    uint32_t index;
    uint64_t each;
    uint64_t casts[SHARDS_MAX], asks[SHARDS_MAX]; /* sent to each */
    uint64_t answers[SHARDS_MAX], gusts[SHARDS_MAX];
    bool waits;
};
static storm_pid storms[SHARDS_MAX][STORMS];

GY_ACTOR_TYPE(storm, storm_start, storm_stop);
GY_VERB(storm, begin);
GY_VERB(storm, gust);
GY_VERB(storm, ask);
GY_THEN(storm, storm_on_answer, storm, ask);
GY_ROOM(storm, storm_on_room);

static int storm_start(struct storm *self, const struct storm_args *args)
{
    self->index = args->index;
    return 0;
}
static void storm_stop(struct storm *self, int why)
{
    (void)self, (void)why;
}
/* -> whether there is more for that shard, and no room. */
static bool storm_blow_at(struct storm *self, uint32_t to)
{
    storm_pid peer = storms[to][self->index];
    while (self->casts[to] < self->each || self->asks[to] < self->each) {
        bool sent = false;
        if (self->asks[to] < self->each) {
            storm_ask_fut f = storm_ask(peer, (struct storm_ask_msg){ self->asks[to] });
            if (gy_refused(f.fut) == 0) {
                if (gy_then(self, f, storm_on_answer, to) < 0)
                    abort();
                self->asks[to]++;
                sent = true;
            }
        }
        if (self->casts[to] < self->each &&
            storm_gust(peer, (struct storm_gust_msg){ self->casts[to], gy_shard() }) == 0) {
            self->casts[to]++;
            sent = true;
        }
        if (!sent)
            return true;
    }
    return false;
}
static void storm_blow(struct storm *self)
{
    for (uint32_t i = 1; i < shards; i++) {
        uint32_t to = (gy_shard() + i) % shards;
        if (storm_blow_at(self, to) && !self->waits)
            self->waits = gy_room_again(self, storms[to][self->index].pid, storm_on_room, 0) == 0;
    }
}
static void storm_on_room(struct storm *self, uint64_t ctx)
{
    (void)ctx;
    self->waits = false;
    storm_blow(self);
}
void storm_on_begin(struct storm *self, const struct storm_begin_msg *msg)
{
    self->each = msg->each;
    storm_blow(self);
}
void storm_on_gust(struct storm *self, const struct storm_gust_msg *msg)
{
    if (msg->sequence != self->gusts[msg->from]++)
        abort(); /* lost, doubled or reordered */
    hop_done();
}
void storm_on_ask(struct storm *self, const struct storm_ask_msg *msg, storm_ask_promise reply)
{
    (void)self;
    storm_ask_resolve(reply, (struct storm_ask_reply){ msg->sequence });
}
static void storm_on_answer(struct storm *self, uint64_t from, int res,
                            const struct storm_ask_reply *value)
{
    if (res < 0 || value->sequence != self->answers[from]++)
        abort();
    hop_done();
    storm_blow(self);
}

/* ---- threads ---- */

static void *place_run(void *arg)
{
    struct place *place = arg;
    struct world *world = place->world;
    struct gy_shard *shard;
    if (gy__shard_open(&shard, world->runtime, place->index, place) < 0)
        abort();
    gy__shard_enter(shard);
    if (relay_spawn(&relays[place->index], &(struct relay_args){ place->index }) < 0)
        abort();
    for (uint32_t i = 0; i < STORMS; i++)
        if (storm_spawn(&storms[place->index][i], &(struct storm_args){ i }) < 0)
            abort();
    pthread_barrier_wait(&world->booted);
    gy__shard_started(shard);
    while (gy__shard_phase(world->runtime, place->index) != GY__PHASE_STOPPED) {
        bool more = gy__shard_run(shard);
        gy__shard_publish(shard);
        if (more || gy__shard_phase(world->runtime, place->index) == GY__PHASE_STOPPED)
            continue;
        gy__shard_announce_sleep(shard);
        if (!gy__shard_look_again(shard))
            place_sleep(place);
        gy__shard_awake(shard);
    }
    /* The thread of shard 0 does it while the others wait. */
    pthread_barrier_wait(&world->booted);
    if (place->index == 0)
        gy__runtime_sweep(world->runtime);
    pthread_barrier_wait(&world->booted);
    gy__shard_close(shard);
    return NULL;
}

static struct world world;

/* hops: that many things shall happen. */
static void world_begin(unsigned n, uint32_t ring_cells, uint64_t hops)
{
    memset(&world, 0, sizeof(world));
    shards = world.shards = n;
    gy_config_init(&world.config);
    world.config.ring_cells = ring_cells;
    world.config.actors_max = 4096;
    world.config.futures = 256;
    atomic_store(&hops_left, hops);
    assert_int_equal(gy__runtime_open(&world.runtime, &world.config, n, &driver, NULL), 0);
    gy__runtime_set_wake(world.runtime, place_wake, &world);
    pthread_barrier_init(&world.booted, NULL, n + 1);
    for (unsigned i = 0; i < n; i++) {
        struct place *place = &world.places[i];
        place->world = &world;
        place->index = i;
        pthread_mutex_init(&place->mutex, NULL);
        pthread_cond_init(&place->cond, NULL);
        assert_int_equal(pthread_create(&place->thread, NULL, place_run, place), 0);
    }
    pthread_barrier_wait(&world.booted);
    alarm(120); /* a lost wake-up shows as a test that does not end */
}

/* -> how often a ring was full. */
static uint64_t world_end(void)
{
    uint64_t full = 0;
    while (atomic_load_explicit(&hops_left, memory_order_relaxed) != 0)
        usleep(200);
    for (unsigned i = 0; i < world.shards; i++)
        full += atomic_load(&world.runtime->shards[i]->core_counters[GY__COUNT_RING_FULL]);
    for (unsigned i = 0; i < world.shards; i++) {
        gy__runtime_stop(world.runtime, i);
        if (gy__runtime_unpark(world.runtime, i))
            place_wake(&world, i);
    }
    pthread_barrier_wait(&world.booted);
    pthread_barrier_wait(&world.booted);
    alarm(0);
    for (unsigned i = 0; i < world.shards; i++)
        pthread_join(world.places[i].thread, NULL);
    gy__runtime_close(world.runtime);
    return full;
}

static void tokens_travel(unsigned n, uint32_t ring_cells, uint64_t tokens, uint64_t hops)
{
    world_begin(n, ring_cells, n * tokens * hops);
    for (unsigned i = 0; i < n; i++)
        while (relay_start_post(world.runtime, relays[i],
                                (struct relay_start_msg){ tokens, hops }) == -EAGAIN)
            usleep(100);
    (void)world_end();
}

static void storms_blow(unsigned n, uint32_t ring_cells, uint64_t each)
{
    world_begin(n, ring_cells, (uint64_t)n * (n - 1) * STORMS * each * 2);
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < STORMS; k++)
            while (storm_begin_post(world.runtime, storms[i][k],
                                    (struct storm_begin_msg){ each }) == -EAGAIN)
                usleep(100);
    assert_true(world_end() > 0);
}

static void two_shards_small_rings(void **state)
{
    (void)state;
    tokens_travel(2, 8, 40, 500);
}
static void two_shards_one_token(void **state)
{
    (void)state;
    tokens_travel(2, 64, 1, 5000); /* each hop sleeps and wakes */
}
static void four_shards(void **state)
{
    (void)state;
    tokens_travel(4, 16, 100, 200);
}
/* Rings are full both ways, of casts and calls and answers, and the laps in their cells wrap. */
static void two_shards_in_a_storm(void **state)
{
    (void)state;
    storms_blow(2, 16, 1500);
}
static void three_shards_in_a_storm(void **state)
{
    (void)state;
    storms_blow(3, 64, 500);
}
/* More shards than keep their bits set: bits are cleared and set again. */
static void twelve_shards_clear_their_bits(void **state)
{
    (void)state;
    tokens_travel(12, 16, 3, 1500);
}

/* ---- one thread, step by step ---- */

static struct world stepped;
static struct gy_shard *shard_at[SHARDS_MAX];
static uint64_t sequences[SHARDS_MAX]; /* of tokens to shard 0; those of shard 0 are to shard 1 */

static void stepped_open(unsigned n)
{
    memset(&stepped, 0, sizeof(stepped));
    memset(sequences, 0, sizeof(sequences));
    shards = stepped.shards = n;
    gy_config_init(&stepped.config);
    stepped.config.actors_max = 1024;
    assert_int_equal(gy__runtime_open(&stepped.runtime, &stepped.config, n, &driver, NULL), 0);
    for (unsigned i = 0; i < n; i++) {
        stepped.places[i].world = &stepped;
        stepped.places[i].index = i;
        assert_int_equal(gy__shard_open(&shard_at[i], stepped.runtime, i, &stepped.places[i]), 0);
        gy__shard_enter(shard_at[i]);
        assert_int_equal(relay_spawn(&relays[i], &(struct relay_args){ i }), 0);
        gy__shard_started(shard_at[i]);
        (void)gy__shard_run(shard_at[i]);
    }
}

static void stepped_close(void)
{
    for (unsigned i = 0; i < shards; i++)
        gy__runtime_stop(stepped.runtime, i);
    for (unsigned turn = 0; turn < 100 * shards; turn++) {
        (void)gy__shard_run(shard_at[turn % shards]);
        gy__shard_publish(shard_at[turn % shards]);
    }
    gy__runtime_sweep(stepped.runtime);
    for (unsigned i = 0; i < shards; i++) {
        assert_int_equal(gy__shard_phase(stepped.runtime, i), GY__PHASE_STOPPED);
        gy__shard_close(shard_at[i]);
    }
    gy__runtime_close(stepped.runtime);
}

/* A token that ends where it arrives. */
static void token_leave(unsigned from, unsigned to)
{
    gy__shard_enter(shard_at[from]);
    struct relay_token_msg msg = { 1, ++sequences[from], from };
    assert_int_equal(relay_token(relays[to], msg), 0);
}

static uint64_t tokens_of(unsigned from)
{
    const struct relay *relay =
        (const void *)gy__actor_find(shard_at[0], relays[0].pid.bits);
    return relay->sequence_from[from];
}

static const struct gy__ring *watched;
static void *page;
static uint64_t head_then;
static unsigned writes;

/* The first write to the slots of the protected page. */
static void on_write(int signal)
{
    (void)signal;
    head_then = atomic_load_explicit(&watched->head, memory_order_relaxed);
    writes++;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

/* Shard 0 runs a token of shard 1 and sends `casts` of its own: at its first write to the ring, the room
 * of what it ran is given back already. Else an answer to what it sends might find none. */
static void heads_precede_cells(unsigned casts)
{
    stepped_open(2);
    /* The rings come to be. */
    for (unsigned i = 0; i < 2; i++) {
        token_leave(i, 1 - i);
        gy__shard_publish(shard_at[i]);
    }
    (void)gy__shard_run(shard_at[0]);
    token_leave(1, 0);
    gy__shard_publish(shard_at[1]);
    for (unsigned i = 0; i < casts; i++)
        token_leave(0, 1);

    const struct gy__out *out = &shard_at[0]->mesh.out[1];
    watched = shard_at[1]->mesh.out[0].ring;
    page = (void *)((uintptr_t)&out->ring->cells[out->flushed & (out->count - 1)] & ~(uintptr_t)4095);
    writes = 0;
    struct sigaction before, action = { .sa_handler = on_write };
    assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
    assert_int_equal(mprotect(page, 4096, PROT_READ), 0);
    (void)gy__shard_run(shard_at[0]);
    sigaction(SIGSEGV, &before, NULL);
    assert_int_equal(writes, 1);
    assert_int_equal(head_then, 2);
    stepped_close();
}

static void room_is_given_back_before_anything_leaves(void **state)
{
    (void)state;
    heads_precede_cells(1);
    heads_precede_cells(3);
}

/* Each of two peers sends more than a turn has time for: they take turns, wherever they are among all. */
static void peers_that_fill_all_time_take_turns(void **state)
{
    (void)state;
    enum { TOKENS = 160, TURNS = 10 };
    stepped_open(SHARDS_MAX);
    for (unsigned from = 1; from <= 2; from++) {
        for (unsigned i = 0; i < TOKENS; i++)
            token_leave(from, 0);
        gy__shard_publish(shard_at[from]);
    }
    stepped_ns = on_now(NULL);
    for (unsigned turn = 0; turn < TURNS; turn++)
        (void)gy__shard_run(shard_at[0]);
    stepped_ns = 0;
    assert_int_equal(tokens_of(1) + tokens_of(2), TURNS * GY__RING_STRIDE);
    assert_int_equal(tokens_of(1), tokens_of(2));
    stepped_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_shards_small_rings),
        cmocka_unit_test(two_shards_one_token),
        cmocka_unit_test(four_shards),
        cmocka_unit_test(two_shards_in_a_storm),
        cmocka_unit_test(three_shards_in_a_storm),
        cmocka_unit_test(twelve_shards_clear_their_bits),
        cmocka_unit_test(room_is_given_back_before_anything_leaves),
        cmocka_unit_test(peers_that_fill_all_time_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
