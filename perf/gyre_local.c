/* gyre's side of the local/ rows: actors on one shard, through the public API as a user would.
 *
 * The work is that of roof_local.c, message for message. Counts are kept by the receiving actors
 * and handed out when the row ends. */
#include <stdio.h>
#include <unistd.h>

#include "gyre/typed.h"
#include "gyre_run.h"

#define BURST 256u
#define RING 503u
#define WARM_BURSTS 64u

/* ---- count: a sender and a counter ------------------------------------------------------- */

struct counter_args {
    struct perf_gyre *run;
};
GY_ACTOR(counter);
struct counter_add_msg {
    uint64_t delta;
};
GY_CAST(counter, add);
struct counter_mark_msg {
    bool last; /* false: the warm-up is over, the clock starts */
};
GY_CAST(counter, mark);

struct counter {
    struct gy_actor actor;
    struct perf_gyre *run;
    uint64_t count;
};
GY_ACTOR_TYPE(counter, counter_start, counter_stop);
GY_VERB(counter, add);
GY_VERB(counter, mark);

static int counter_start(struct counter *self, const struct counter_args *args)
{
    self->run = args->run;
    return 0;
}

static void counter_stop(struct counter *self, int why)
{
    (void)self, (void)why;
}

void counter_on_add(struct counter *self, const struct counter_add_msg *msg)
{
    self->count += msg->delta;
}

void counter_on_mark(struct counter *self, const struct counter_mark_msg *msg)
{
    if (!msg->last) {
        self->count = 0;
        self->run->start_ns = perf_now_ns();
        return;
    }
    self->run->s->handled = self->count;
    perf_gyre_end(self->run);
}

struct sender_args {
    struct perf_gyre *run;
    counter_pid to;
};
GY_ACTOR(sender);
struct sender_burst_msg {
    uint64_t left; /* bursts, this one counted */
    bool warm;
};
GY_CAST(sender, burst);

struct sender {
    struct gy_actor actor;
    struct perf_gyre *run;
    counter_pid to;
};
GY_ACTOR_TYPE(sender, sender_start, sender_stop);
GY_VERB(sender, burst);

static int sender_start(struct sender *self, const struct sender_args *args)
{
    self->run = args->run;
    self->to = args->to;
    return 0;
}

static void sender_stop(struct sender *self, int why)
{
    (void)self, (void)why;
}

void sender_on_burst(struct sender *self, const struct sender_burst_msg *msg)
{
    const sender_pid me = {self->actor.pid};
    for (unsigned i = 0; i < BURST; i++)
        perf_must(self->run, counter_add(self->to, (struct counter_add_msg){1}));
    if (msg->left > 1) {
        perf_must(self->run, sender_burst(me, (struct sender_burst_msg){msg->left - 1, msg->warm}));
        return;
    }
    perf_must(self->run, counter_mark(self->to, (struct counter_mark_msg){!msg->warm}));
    if (msg->warm)
        perf_must(self->run,
                  sender_burst(me, (struct sender_burst_msg){self->run->s->ops / BURST, false}));
}

static int count_boot(unsigned shard, void *arg)
{
    struct perf_gyre *run = arg;
    counter_pid counter;
    sender_pid sender;
    (void)shard;
    int err = counter_spawn(&counter, &(struct counter_args){run});
    if (err == 0)
        err = sender_spawn(&sender, &(struct sender_args){run, counter});
    if (err == 0)
        err = sender_burst(sender, (struct sender_burst_msg){WARM_BURSTS, true});
    return err;
}

int gyre_local_count(struct perf_sample *s)
{
    struct perf_gyre run = {.s = s, .boot = count_boot};
    s->ops = (s->ops + BURST - 1) / BURST * BURST;
    s->expected = s->ops;
    return perf_gyre_run(&run, 1, false);
}

/* ---- pingpong and ring: a token goes round ----------------------------------------------- */

struct player_args {
    struct perf_gyre *run;
    uint64_t *hops; /* where its count goes when it stops */
};
GY_ACTOR(player);
struct player_meet_msg {
    player_pid next;
};
GY_CAST(player, meet);
struct player_token_msg {
    uint64_t left; /* hops, this one counted */
    bool warm;
};
GY_CAST(player, token);

struct player {
    struct gy_actor actor;
    struct perf_gyre *run;
    uint64_t *hops;
    player_pid next;
    uint64_t count;
};
GY_ACTOR_TYPE(player, player_start, player_stop);
GY_VERB(player, meet);
GY_VERB(player, token);

static int player_start(struct player *self, const struct player_args *args)
{
    self->run = args->run;
    self->hops = args->hops;
    return 0;
}

static void player_stop(struct player *self, int why)
{
    (void)why;
    *self->hops += self->count;
}

void player_on_meet(struct player *self, const struct player_meet_msg *msg)
{
    self->next = msg->next;
}

/* Every player counts the warm-up too; it has a known length and is taken off at the end. */
void player_on_token(struct player *self, const struct player_token_msg *msg)
{
    self->count++;
    if (msg->left > 1) {
        perf_must(self->run,
                  player_token(self->next, (struct player_token_msg){msg->left - 1, msg->warm}));
    } else if (msg->warm) {
        self->run->start_ns = perf_now_ns();
        perf_must(self->run, player_token(self->next, (struct player_token_msg){
                                                          self->run->s->expected, false}));
    } else {
        perf_gyre_end(self->run);
    }
}

#define WARM_HOPS (RING * 16)

static int players_boot(struct perf_gyre *run, unsigned n)
{
    player_pid players[RING];
    int err = 0;
    for (unsigned i = 0; err == 0 && i < n; i++)
        err = player_spawn(&players[i], &(struct player_args){run, &run->s->handled});
    for (unsigned i = 0; err == 0 && i < n; i++)
        err = player_meet(players[i], (struct player_meet_msg){players[(i + 1) % n]});
    return err < 0 ? err : player_token(players[0], (struct player_token_msg){WARM_HOPS, true});
}

static int pingpong_boot(unsigned shard, void *arg)
{
    (void)shard;
    return players_boot(arg, 2);
}

static int ring_boot(unsigned shard, void *arg)
{
    (void)shard;
    return players_boot(arg, RING);
}

static int run_players(struct perf_sample *s, gy_boot_fn *boot, uint64_t hops)
{
    struct perf_gyre run = {.s = s, .boot = boot};
    s->handled = 0;
    s->expected = hops;
    int err = perf_gyre_run(&run, 1, false);
    s->handled -= WARM_HOPS;
    return err;
}

int gyre_local_pingpong(struct perf_sample *s)
{
    return run_players(s, pingpong_boot, s->ops * 2);
}

int gyre_local_ring(struct perf_sample *s)
{
    return run_players(s, ring_boot, s->ops);
}

/* ---- ask: a call, its answer, and the continuation that makes the next call --------------- */

struct oracle_args {
    struct perf_gyre *run;
};
GY_ACTOR(oracle);
struct oracle_get_msg {
    uint64_t key;
};
struct oracle_get_reply {
    uint64_t value;
};
GY_CALL(oracle, get);

struct oracle {
    struct gy_actor actor;
    struct perf_gyre *run;
    uint64_t count;
};
GY_ACTOR_TYPE(oracle, oracle_start, oracle_stop);
GY_VERB(oracle, get);

static int oracle_start(struct oracle *self, const struct oracle_args *args)
{
    self->run = args->run;
    return 0;
}

static void oracle_stop(struct oracle *self, int why)
{
    (void)why;
    self->run->s->handled += self->count;
}

void oracle_on_get(struct oracle *self, const struct oracle_get_msg *msg, oracle_get_promise reply)
{
    self->count++;
    oracle_get_resolve(reply, (struct oracle_get_reply){msg->key});
}

struct asker_args {
    struct perf_gyre *run;
    oracle_pid to;
};
GY_ACTOR(asker);
struct asker_go_msg {
    uint64_t warm; /* calls before the clock starts */
};
GY_CAST(asker, go);

struct asker {
    struct gy_actor actor;
    struct perf_gyre *run;
    oracle_pid to;
    uint64_t answers, left;
    bool warm;
};
GY_ACTOR_TYPE(asker, asker_start, asker_stop);
GY_VERB(asker, go);
GY_THEN(asker, asker_got, oracle, get);

static int asker_start(struct asker *self, const struct asker_args *args)
{
    self->run = args->run;
    self->to = args->to;
    return 0;
}

static void asker_stop(struct asker *self, int why)
{
    (void)why;
    self->run->s->handled += self->answers;
}

static void asker_next(struct asker *self)
{
    perf_must(self->run,
              gy_then(self, oracle_get(self->to, (struct oracle_get_msg){1}), asker_got, 0));
}

void asker_on_go(struct asker *self, const struct asker_go_msg *msg)
{
    self->left = msg->warm;
    self->warm = true;
    asker_next(self);
}

static void asker_got(struct asker *self, uint64_t ctx, int res,
                      const struct oracle_get_reply *value)
{
    (void)ctx;
    perf_must(self->run, res);
    self->answers += value ? value->value : 0;
    if (--self->left > 0) {
        asker_next(self);
    } else if (self->warm) {
        self->warm = false;
        self->left = self->run->s->ops;
        self->run->start_ns = perf_now_ns();
        asker_next(self);
    } else {
        perf_gyre_end(self->run);
    }
}

#define WARM_ASKS 1024u

static int ask_boot(unsigned shard, void *arg)
{
    struct perf_gyre *run = arg;
    oracle_pid oracle;
    asker_pid asker;
    (void)shard;
    int err = oracle_spawn(&oracle, &(struct oracle_args){run});
    if (err == 0)
        err = asker_spawn(&asker, &(struct asker_args){run, oracle});
    return err < 0 ? err : asker_go(asker, (struct asker_go_msg){WARM_ASKS});
}

int gyre_local_ask(struct perf_sample *s)
{
    struct perf_gyre run = {.s = s, .boot = ask_boot};
    s->handled = 0;
    s->expected = s->ops * 2;
    int err = perf_gyre_run(&run, 1, false);
    s->handled -= 2 * WARM_ASKS;
    return err;
}

/* ---- spawn: actors that live for one message --------------------------------------------- */

struct mayfly_args {
    uint64_t *count;
};
GY_ACTOR(mayfly);
struct mayfly_live_msg {
    uint64_t once;
};
GY_CAST(mayfly, live);

struct mayfly {
    struct gy_actor actor;
    uint64_t *count;
};
_Static_assert(sizeof(struct mayfly) <= 128, "no more than the roof's actor");
GY_ACTOR_TYPE(mayfly, mayfly_start, mayfly_stop);
GY_VERB(mayfly, live);

static int mayfly_start(struct mayfly *self, const struct mayfly_args *args)
{
    self->count = args->count;
    return 0;
}

static void mayfly_stop(struct mayfly *self, int why)
{
    (void)self, (void)why;
}

void mayfly_on_live(struct mayfly *self, const struct mayfly_live_msg *msg)
{
    *self->count += msg->once;
    /* Its own shard's queue has room for it; if not, the count is short by all that follow. */
    if (gy_actor_stop(self->actor.pid, 0) < 0)
        *self->count -= msg->once;
}

struct brood_args {
    struct perf_gyre *run;
};
GY_ACTOR(brood);
struct brood_hatch_msg {
    uint64_t left; /* bursts to come, this one counted */
    bool warm;
};
GY_CAST(brood, hatch);
struct brood_rest_msg {
    bool again; /* a second look: what the last burst's actors sent when they ended is through */
    bool warm;
};
GY_CAST(brood, rest);

struct brood {
    struct gy_actor actor;
    struct perf_gyre *run;
    uint64_t lived;
};
GY_ACTOR_TYPE(brood, brood_start, brood_stop);
GY_VERB(brood, hatch);
GY_VERB(brood, rest);

static int brood_start(struct brood *self, const struct brood_args *args)
{
    self->run = args->run;
    return 0;
}

static void brood_stop(struct brood *self, int why)
{
    (void)self, (void)why;
}

void brood_on_hatch(struct brood *self, const struct brood_hatch_msg *msg)
{
    const brood_pid me = {self->actor.pid};
    for (unsigned i = 0; i < BURST; i++) {
        mayfly_pid fly = {{0}};
        perf_must(self->run, mayfly_spawn(&fly, &(struct mayfly_args){&self->lived}));
        perf_must(self->run, mayfly_live(fly, (struct mayfly_live_msg){1}));
    }
    if (msg->left > 1)
        perf_must(self->run, brood_hatch(me, (struct brood_hatch_msg){msg->left - 1, msg->warm}));
    else
        perf_must(self->run, brood_rest(me, (struct brood_rest_msg){true, msg->warm}));
}

void brood_on_rest(struct brood *self, const struct brood_rest_msg *msg)
{
    const brood_pid me = {self->actor.pid};
    if (msg->again) {
        perf_must(self->run, brood_rest(me, (struct brood_rest_msg){false, msg->warm}));
    } else if (msg->warm) {
        self->lived = 0;
        self->run->start_ns = perf_now_ns();
        perf_must(self->run,
                  brood_hatch(me, (struct brood_hatch_msg){self->run->s->ops / BURST, false}));
    } else {
        self->run->s->handled = self->lived;
        perf_gyre_end(self->run);
    }
}

static int spawn_boot(unsigned shard, void *arg)
{
    brood_pid brood;
    (void)shard;
    int err = brood_spawn(&brood, &(struct brood_args){arg});
    return err < 0 ? err : brood_hatch(brood, (struct brood_hatch_msg){WARM_BURSTS, true});
}

int gyre_local_spawn(struct perf_sample *s)
{
    struct perf_gyre run = {.s = s, .boot = spawn_boot};
    s->ops = (s->ops + BURST - 1) / BURST * BURST;
    s->expected = s->ops;
    return perf_gyre_run(&run, 1, false);
}

/* ---- idle_bytes: what an actor that does nothing keeps in memory -------------------------- */

/* Pages of this process that are in memory, in bytes. */
static double resident_bytes(void)
{
    long total, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &total, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

struct idler_args {
    uint64_t *count;
};
GY_ACTOR(idler);
struct idler {
    struct gy_actor actor;
    uint64_t *count;
    unsigned char state[128 - sizeof(struct gy_actor) - sizeof(uint64_t *)];
};
_Static_assert(sizeof(struct idler) == 128, "an actor as large as the roof's");
GY_ACTOR_TYPE(idler, idler_start, idler_stop);

static int idler_start(struct idler *self, const struct idler_args *args)
{
    self->count = args->count;
    memset(self->state, 1, sizeof(self->state));
    ++*args->count;
    return 0;
}

static void idler_stop(struct idler *self, int why)
{
    (void)self, (void)why;
}

struct nest_args {
    struct perf_gyre *run;
};
GY_ACTOR(nest);
struct nest_fill_msg {
    uint64_t n;
};
GY_CAST(nest, fill);
struct nest {
    struct gy_actor actor;
    struct perf_gyre *run;
};
GY_ACTOR_TYPE(nest, nest_start, nest_stop);
GY_VERB(nest, fill);

static int nest_start(struct nest *self, const struct nest_args *args)
{
    self->run = args->run;
    return 0;
}

static void nest_stop(struct nest *self, int why)
{
    (void)self, (void)why;
}

void nest_on_fill(struct nest *self, const struct nest_fill_msg *msg)
{
    struct perf_sample *s = self->run->s;
    uint64_t count = 0;
    double before = resident_bytes();
    for (uint64_t i = 0; i < msg->n; i++) {
        idler_pid idler;
        perf_must(self->run, idler_spawn(&idler, &(struct idler_args){&count}));
    }
    s->value = (resident_bytes() - before) / (double)msg->n;
    /* Less than the actors themselves means that their memory was resident before: no figure. */
    s->handled = s->value >= sizeof(struct idler) ? count : 0;
    perf_gyre_end(self->run);
}

static int idle_boot(unsigned shard, void *arg)
{
    struct perf_gyre *run = arg;
    nest_pid nest;
    (void)shard;
    int err = nest_spawn(&nest, &(struct nest_args){run});
    return err < 0 ? err : nest_fill(nest, (struct nest_fill_msg){run->s->ops});
}

int gyre_local_idle_bytes(struct perf_sample *s)
{
    struct perf_gyre run = {.s = s, .boot = idle_boot};
    s->expected = s->ops;
    return perf_gyre_run(&run, 1, true);
}
