/* core/actor.c - the life of actors: their memory, spawn, stop, hold.
 *
 * A shard reserves one range of addresses; an actor's slot number is the index of its first 128-byte
 * granule there, so that a pid leads to memory by arithmetic. Sizes are rounded up to a power of two
 * of granules, each with a free list through the dead actors' memory; fresh memory comes in order of addresses.
 * shard->slots holds generation and room of every granule, 8 bytes each, dense; shard->gates the same of
 * young slots in two (a slot whose generation is beyond a gate's byte has a gate that leads nowhere).
 *
 * Invariants: generation is odd exactly while an actor lives in the slot. A slot is reused only after
 * its last handler has returned and nothing in flight points into it (gy__ops is 0). A slot whose
 * generation would wrap is retired: it is never put on a free list again. */
#include "core/file.h"
#include "core/kernel.h"
#include "core/datagrams.h"
#include "core/links.h"
#include "core/names.h"
#include "core/text.h"

#include <errno.h>
#include <string.h>

#define GENERATION_LAST UINT32_C(0xFFFFFFFE)
/* Of the largest actor: 4 MiB. */
#define CLASS_MAX 15
#define LINE 64
#define PAGE_GRANULES (4096u / GY__GRANULE)
/* So many granules are asked for at once, 64 KiB: the longest that a spawn waits for memory, some 25 us. */
#define READY_MAX (16 * PAGE_GRANULES)

static int nobody_start(struct gy_actor *self, const void *args)
{
    (void)self, (void)args;
    return 0;
}
static void nobody_stop(struct gy_actor *self, int why)
{
    (void)self, (void)why;
}
const struct gy_actor_type gy__nobody_type = { "nobody", sizeof(struct gy_actor), 0, nobody_start,
                                               nobody_stop };

static unsigned size_class(size_t size)
{
    size_t granules = (size + GY__GRANULE - 1) / GY__GRANULE;
    return granules <= 1 ? 0 : 64 - (unsigned)__builtin_clzl(granules - 1);
}

/* Where the counters of a type are looked for first: whatever it leads to, the type is compared. */
static inline struct gy__type_stats **type_near(struct gy_shard *shard,
                                                const struct gy_actor_type *type)
{
    return &shard->types_near[((uintptr_t)type >> 5) % GY__TYPES_NEAR];
}

static struct gy__type_stats *type_new(struct gy_shard *shard, const struct gy_actor_type *type,
                                       uint32_t n)
{
    struct gy__type_stats *stats = &shard->types[n];
    if (n == GY__TYPES_MAX)
        return NULL;
    stats->type = type;
    stats->size_class = (uint8_t)size_class(type->size);
    stats->granules = UINT32_C(1) << stats->size_class;
    /* release: pairs with the acquire of whoever shows the counters. */
    atomic_store_explicit(&shard->type_count, n + 1, memory_order_release);
    return stats;
}

/* Of a type whose size is allowed; NULL: there are too many types. */
static struct gy__type_stats *type_find(struct gy_shard *shard, const struct gy_actor_type *type)
{
    uint32_t i = 0, n = atomic_load_explicit(&shard->type_count, memory_order_relaxed);
    while (i < n && shard->types[i].type != type)
        i++;
    struct gy__type_stats *stats = i < n ? &shard->types[i] : type_new(shard, type, n);
    if (stats != NULL)
        *type_near(shard, type) = stats;
    return stats;
}

int gy__actors_open(struct gy_shard *shard)
{
    shard->granules = UINT32_C(1) << GY__SLOT_BITS;
    if (shard->runtime->config.actors_max < shard->granules - GY__FIRST_FREE_SLOT)
        shard->granules = shard->runtime->config.actors_max + GY__FIRST_FREE_SLOT;
    shard->granules_used = shard->granules_ready = GY__FIRST_FREE_SLOT;
    shard->actors = gy__shard_memory(shard, (size_t)shard->granules * GY__GRANULE);
    /* As many entries as a pid can name, so that no pid, however made, leads beyond. */
    shard->slots = gy__shard_memory(shard, sizeof(struct gy__slot) << GY__SLOT_BITS);
    shard->gates = gy__shard_memory(shard, sizeof(struct gy__gate) << GY__SLOT_BITS);
    shard->more = gy__shard_memory(shard, sizeof(struct gy__more) * shard->granules);
    if (shard->actors == NULL || shard->slots == NULL || shard->gates == NULL ||
        shard->more == NULL)
        return -ENOMEM;
    shard->mailbox_max = shard->runtime->config.mailbox;
    shard->gate_max = (uint8_t)(shard->mailbox_max < UINT8_MAX ? shard->mailbox_max : UINT8_MAX);
    shard->slot_fresh = (struct gy__slot){ 1, (int32_t)shard->mailbox_max - shard->gate_max };
    shard->gate_fresh = (struct gy__gate){ 1, shard->gate_max };
    shard->nobody.gy__stats = type_find(shard, &gy__nobody_type);
    for (unsigned i = 0; i < GY__TYPES_NEAR; i++)
        shard->types_near[i] = shard->nobody.gy__stats;
    /* The pid {0} leads to slot 0, where nobody ever lives. */
    shard->slots[0].generation = UINT32_MAX - 1;
    shard->context.actor = &shard->nobody;
    return 0;
}

/* ---- birth ---- */

/* Zeros, by lines: mostly it is one or two. */
static inline void clear(struct gy_actor *actor, size_t size)
{
    char *at = (char *)actor, *end = at + size;
    if (__builtin_expect(size > 4 * LINE, 0)) {
        memset(actor, 0, size);
        return;
    }
    do {
        memset(at, 0, LINE);
        at += LINE;
    } while (at < end);
}

/* An actor's memory is zero; from here on its pid is that of a live one, and has room. */
static inline void enter(struct gy_shard *shard, struct gy_actor *actor,
                         struct gy__type_stats *stats, uint32_t slot, uint32_t generation)
{
    actor->pid.bits = shard->self_bits | (uint64_t)slot << 32 | generation;
    actor->gy__stats = stats;
    actor->gy__credit = shard->fifo.credit_max;
    actor->gy__flags = shard->born_flags;
    actor->gy__state = GY__ACTOR_LIVE;
    shard->actors_live++;
    gy__count(&stats->spawned, 1);
}

/* The first life in a slot. Nothing of it was touched before, nor of the pages around it, perhaps: they
 * are written to without being read, or the system would have to find a page for each twice. */
static inline struct gy_actor *enter_first(struct gy_shard *shard, struct gy__type_stats *stats,
                                           uint32_t slot)
{
    struct gy_actor *actor = gy__actor_at(shard, slot);
    GY_ASSERT_SLOW(shard->slots[slot].generation == 0);
    shard->slots[slot] = shard->slot_fresh;
    shard->gates[slot] = shard->gate_fresh;
    enter(shard, actor, stats, slot, 1);
    return actor;
}

/* A later one. */
static inline struct gy_actor *enter_again(struct gy_shard *shard, struct gy__type_stats *stats,
                                           uint32_t slot)
{
    struct gy_actor *actor = gy__actor_at(shard, slot);
    struct gy__slot *dense = &shard->slots[slot];
    uint32_t generation = dense->generation + 1;
    uint32_t life = (generation + 1) / 2;
    GY_ASSERT((generation & 1) != 0);
    shard->free_slots[stats->size_class] = (uint32_t)actor->pid.bits;
    clear(actor, stats->type->size);
    dense->generation = generation;
    dense->room = (int32_t)shard->mailbox_max;
    if (life <= GY__GATE_LIVES) {
        shard->gates[slot].life = (uint8_t)life;
        shard->gates[slot].left = shard->gate_max;
        dense->room = shard->slot_fresh.room;
    }
    enter(shard, actor, stats, slot, generation);
    return actor;
}

/* The granules from slot on are the first on a page beyond. -> false: there are not so many.
 *
 * Pages are had some at once while the shard grows, an eighth of what it uses, so that who has few actors pays for
 * few pages. An actor of more than a page may leave most of them alone, and so do we. */
static __attribute__((noinline)) bool get_ready(struct gy_shard *shard, uint32_t slot, uint32_t count)
{
    uint32_t from = shard->granules_ready;
    uint32_t ahead = (slot - GY__FIRST_FREE_SLOT) / 8 / PAGE_GRANULES * PAGE_GRANULES;
    uint32_t to = (slot + count + PAGE_GRANULES - 1) / PAGE_GRANULES * PAGE_GRANULES;
    if (shard->granules - slot < count)
        return false;
    if (ahead > READY_MAX)
        ahead = READY_MAX;
    if (count <= PAGE_GRANULES && ahead > PAGE_GRANULES && ahead <= shard->granules - from) {
        shard->driver->memory_soon(shard->ctx, gy__actor_at(shard, from), (size_t)ahead * GY__GRANULE);
        to = from + ahead;
    }
    shard->granules_ready = to < shard->granules ? to : shard->granules;
    return true;
}

/* Wherever there is room, or NULL. */
static inline struct gy_actor *enter_somewhere(struct gy_shard *shard, struct gy__type_stats *stats)
{
    uint32_t slot = shard->free_slots[stats->size_class];
    if (slot != 0)
        return enter_again(shard, stats, slot);
    slot = shard->granules_used;
    if (__builtin_expect(shard->granules_ready - slot < stats->granules, 0) &&
        !get_ready(shard, slot, stats->granules))
        return NULL;
    shard->granules_used = slot + stats->granules;
    return enter_first(shard, stats, slot);
}

static inline int start(struct gy_shard *shard, struct gy_actor *actor,
                        const struct gy_actor_type *type, const void *args)
{
    struct gy__context saved = shard->context;
    shard->context = (struct gy__context){ actor, 0 };
    int err = type->start(actor, args);
    shard->context = saved;
    return err;
}

/* ---- death ---- */

static inline void slot_give(struct gy_shard *shard, struct gy_actor *actor, uint32_t slot)
{
    unsigned class = gy__stats_of(actor)->size_class;
    const struct gy__more *more = &shard->more[slot];
    GY_ASSERT_SLOW(more->stash == NULL && more->streams == NULL && more->timers == NULL &&
                   more->waits == NULL &&
                   (more->links | more->names | more->flows | more->files) == 0);
    (void)more;
    if (__builtin_expect(shard->slots[slot].generation == GENERATION_LAST, 0))
        return;
    /* A service's: others read its counters there, whether it lives or not. */
    if (__builtin_expect(slot < GY__FIRST_FREE_SLOT, 0))
        return;
    actor->pid.bits = shard->free_slots[class];
    shard->free_slots[class] = slot;
}

static void release_held(struct gy_shard *shard, struct gy_actor *actor)
{
    if (!(actor->gy__flags & GY__ACTOR_MORE) && actor->gy__kept == 0 && actor->gy__futures == 0)
        return;
    /* Before anybody can learn of its end, by an answer or an exit. */
    gy__names_actor_died(shard, actor);
    /* Releasing what it held may run code of others: not in its name. */
    struct gy__context saved = shard->context;
    shard->context = (struct gy__context){ &shard->nobody, 0 };
    gy__stash_drop(shard, actor);
    gy__waits_actor_died(shard, actor);
    gy__kept_actor_died(shard, actor);
    gy__futures_actor_died(shard, actor);
    gy__files_actor_died(shard, actor);
    /* After its lines, which may arm timers when somebody leaves them. */
    gy__timers_actor_died(shard, actor);
    shard->context = saved;
}

/* What it had besides goes, behind its stop function. */
static __attribute__((noinline)) void release(struct gy_shard *shard, struct gy_actor *actor, int why)
{
    release_held(shard, actor);
    if (actor->gy__flags & GY__ACTOR_MORE)
        gy__streams_actor_died(shard, actor);
    if (shard->opfuts_stray > 0)
        gy__opfuts_actor_died(shard, actor);
    if (shard->signal_subs_used > 0)
        gy__signals_actor_died(shard, actor);
    if (shard->datagrams->open > 0)
        gy__datagrams_actor_died(shard, actor);
    /* Last, so that the exit comes after all that its end made others see. */
    if (actor->gy__flags & GY__ACTOR_MORE)
        gy__links_actor_died(shard, actor, why);
}

/* By far the most actors have nothing besides when they end; nor has the shard of what it has few of, and
 * looks whose they are. */
static inline bool releases(const struct gy_shard *shard, const struct gy_actor *actor)
{
    return (actor->gy__flags & GY__ACTOR_MORE) != 0 ||
           (actor->gy__kept | actor->gy__futures) != 0 ||
           (shard->opfuts_stray | shard->signal_subs_used | shard->datagrams->open) != 0;
}

/* The actor ends now; no handler of it is running, or it is the one that is leaving. */
static inline void finish(struct gy_shard *shard, struct gy_actor *actor, int why, bool started)
{
    uint32_t slot = gy__actor_slot(actor);
    struct gy__slot *dense = &shard->slots[slot];
    GY_ASSERT(actor->gy__state == GY__ACTOR_LIVE);
    /* Dead for whatever is sent from here on, by its own stop function too. */
    dense->generation++;
    dense->room = 0;
    shard->gates[slot] = (struct gy__gate){ 0, 0 };
    actor->gy__state = GY__ACTOR_CLOSING;
    actor->gy__ops++;
    /* Flows first: their clean-up finds the actor as it was. */
    if (__builtin_expect(actor->gy__flags & GY__ACTOR_MORE, 0))
        gy__flows_actor_died(shard, actor);
    if (started) {
        struct gy__context outer = shard->context;
        shard->context = (struct gy__context){ actor, 0 };
        gy__stats_of(actor)->type->stop(actor, why);
        shard->context = outer;
    }
    if (__builtin_expect(releases(shard, actor), 0))
        release(shard, actor, why);
    shard->actors_live--;
    gy__count(&gy__stats_of(actor)->stopped, 1);
    if (__builtin_expect(--actor->gy__ops == 0, 1))
        slot_give(shard, actor, gy__actor_slot(actor));
}

void gy__actor_finish(struct gy_shard *shard, struct gy_actor *actor, int why)
{
    finish(shard, actor, why, true);
}

/* ---- spawn ---- */

/* Its start function failed, or has declared that it ends at once; or nobody could be told of its end. */
static __attribute__((noinline)) int ends_at_once(struct gy_shard *shard, struct gy_actor *actor,
                                                  int err, bool started)
{
    finish(shard, actor, err < 0 ? err : actor->gy__why, started);
    return err < 0 ? err : 0;
}

static inline bool is_to_end(const struct gy_actor *actor, int err)
{
    return err < 0 || (actor->gy__flags & (GY__ACTOR_STOPS | GY__ACTOR_FAILED)) != 0;
}

static int refuse(struct gy_shard *shard)
{
    gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
    return -EAGAIN;
}

/* Who is to be told of the end of an actor that is being started. */
struct watch {
    struct gy_actor *self;
    gy_exited_fn *run;
    uint64_t ctx;
};

/* Every case, with the reason if it may not be. */
static int spawn(struct gy_shard *shard, uint32_t slot, gy_pid *out,
                 const struct gy_actor_type *type, const void *args, const struct watch *watch)
{
    if (type->size < sizeof(struct gy_actor) || size_class(type->size) > CLASS_MAX)
        return -EINVAL;
    /* What a stop function spawned would be stopped and spawn again. */
    if (shard->phase >= GY__PHASE_STOP)
        return -ECANCELED;
    struct gy__type_stats *stats = type_find(shard, type);
    if (stats == NULL)
        return refuse(shard);
    GY_ASSERT(shard->slots[slot].generation == 0 || slot == 0);
    struct gy_actor *actor =
        slot != 0 ? enter_first(shard, stats, slot) : enter_somewhere(shard, stats);
    if (actor == NULL)
        return refuse(shard);
    gy_pid pid = actor->pid;
    int err = start(shard, actor, type, args);
    bool started = err >= 0;
    /* Not earlier: whose start fails tells so by its error, and by nothing else. */
    if (started && watch != NULL)
        err = gy__links_watch(shard, watch->self, actor, watch->run, watch->ctx);
    if (is_to_end(actor, err))
        err = ends_at_once(shard, actor, err, started);
    if (err < 0)
        return err;
    *out = pid;
    return 0;
}

int gy__spawn_at(struct gy_shard *shard, uint32_t slot, gy_pid *out,
                 const struct gy_actor_type *type, const void *args)
{
    return spawn(shard, slot, out, type, args, NULL);
}

int gy_spawn_monitored_raw(struct gy_actor *self, gy_pid *out, const struct gy_actor_type *type,
                           const void *args, gy_exited_fn *run, uint64_t ctx)
{
    struct watch watch = { self, run, ctx };
    return spawn(gy__here(__func__), 0, out, type, args, &watch);
}

/* A boot function hands on a number; which actor it came from would be known to nobody. */
static __attribute__((noinline)) int spawn_failed(const struct gy_shard *shard,
                                                  const struct gy_actor_type *type, int err)
{
    if (shard->context.actor == &shard->nobody) {
        char words[80];
        struct gy__text text;
        gy__text_init(&text, words, sizeof(words));
        gy__cause_write(&text, err);
        gy__warn("%s does not start: %s", type->name, words);
    }
    return err;
}

static __attribute__((noinline)) int spawn_slow(struct gy_shard *shard, gy_pid *out,
                                                const struct gy_actor_type *type, const void *args)
{
    int err = spawn(shard, 0, out, type, args, NULL);
    return err < 0 ? spawn_failed(shard, type, err) : 0;
}

/* The common case: of this type one has been spawned before, and there is room. */
int gy_spawn_raw(gy_pid *out, const struct gy_actor_type *type, const void *args)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__type_stats *stats = *type_near(shard, type);
    struct gy_actor *actor = NULL;
    if (__builtin_expect(stats->type == type && shard->phase < GY__PHASE_STOP, 1))
        actor = enter_somewhere(shard, stats);
    if (__builtin_expect(actor == NULL, 0))
        return spawn_slow(shard, out, type, args);
    gy_pid pid = actor->pid;
    int err = start(shard, actor, type, args);
    if (__builtin_expect(is_to_end(actor, err), 0)) {
        err = ends_at_once(shard, actor, err, err >= 0);
        if (err < 0)
            return spawn_failed(shard, type, err);
    }
    *out = pid;
    return 0;
}

struct gy_actor *gy__actor_find(const struct gy_shard *shard, uint64_t pid)
{
    uint32_t slot = gy__pid_slot(pid);
    if (slot >= shard->granules || (uint32_t)pid != shard->slots[slot].generation || (pid & 1) == 0)
        return NULL;
    return gy__actor_at(shard, slot);
}

void gy__actor_ops(struct gy_shard *shard, struct gy_actor *actor, int add)
{
    if (actor == &shard->nobody)
        return;
    actor->gy__ops = (uint32_t)((int)actor->gy__ops + add);
    if (actor->gy__ops == 0 && actor->gy__state == GY__ACTOR_CLOSING)
        slot_give(shard, actor, gy__actor_slot(actor));
}

void gy_fail(struct gy_actor *self, int why)
{
    /* Nobody, whose code runs in boot, cannot end. */
    if (self->pid.bits == 0)
        return;
    self->gy__flags |= GY__ACTOR_FAILED;
    self->gy__why = why;
    /* No credit for what it sends until it has ended; the slow path tells why. */
    self->gy__credit = 0;
}

gy_pid gy_self(void)
{
    return gy__here(__func__)->context.actor->pid;
}
