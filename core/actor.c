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

int gy__actors_open(struct gy_shard *shard)
{
    shard->granules = UINT32_C(1) << GY__SLOT_BITS;
    if (shard->runtime->config.actors_max < shard->granules - GY__FIRST_FREE_SLOT)
        shard->granules = shard->runtime->config.actors_max + GY__FIRST_FREE_SLOT;
    shard->granules_used = GY__FIRST_FREE_SLOT;
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
    shard->nobody.gy__stats = gy__type_stats(shard, &gy__nobody_type);
    /* The pid {0} leads to slot 0, where nobody ever lives. */
    shard->slots[0].generation = UINT32_MAX - 1;
    shard->context.actor = &shard->nobody;
    return 0;
}

struct gy__type_stats *gy__type_stats(struct gy_shard *shard, const struct gy_actor_type *type)
{
    uint32_t n = atomic_load_explicit(&shard->type_count, memory_order_relaxed);
    for (uint32_t i = 0; i < n; i++)
        if (shard->types[i].type == type)
            return &shard->types[i];
    if (n == GY__TYPES_MAX)
        return NULL;
    shard->types[n].type = type;
    /* release: pairs with the acquire of whoever shows the counters. */
    atomic_store_explicit(&shard->type_count, n + 1, memory_order_release);
    return &shard->types[n];
}

static unsigned size_class(size_t size)
{
    size_t granules = (size + GY__GRANULE - 1) / GY__GRANULE;
    return granules <= 1 ? 0 : 64 - (unsigned)__builtin_clzl(granules - 1);
}

/* A slot with zeroed memory, or 0. */
static uint32_t slot_take(struct gy_shard *shard, unsigned class, size_t size)
{
    uint32_t slot = shard->free_slots[class];
    if (slot != 0) {
        struct gy_actor *actor = gy__actor_at(shard, slot);
        shard->free_slots[class] = (uint32_t)actor->pid.bits;
        memset(actor, 0, size);
        return slot;
    }
    if (shard->granules - shard->granules_used < UINT32_C(1) << class)
        return 0;
    slot = shard->granules_used;
    shard->granules_used += UINT32_C(1) << class;
    return slot;
}

static void slot_give(struct gy_shard *shard, struct gy_actor *actor, uint32_t slot)
{
    unsigned class = size_class(gy__stats_of(actor)->type->size);
    const struct gy__more *more = &shard->more[slot];
    GY_ASSERT_SLOW(more->stash == NULL && more->streams == NULL && more->timers == NULL &&
                   more->waits == NULL &&
                   (more->links | more->names | more->flows | more->files) == 0);
    (void)more;
    if (shard->slots[slot].generation == GENERATION_LAST)
        return;
    /* A service's: others read its counters there, whether it lives or not. */
    if (slot < GY__FIRST_FREE_SLOT)
        return;
    actor->pid.bits = shard->free_slots[class];
    shard->free_slots[class] = slot;
}

/* What it held goes. By far the most actors hold nothing when they end. */
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

/* The actor ends now; no handler of it is running, or it is the one that is leaving. */
static void finish(struct gy_shard *shard, struct gy_actor *actor, int why, bool started)
{
    struct gy__slot *dense = &shard->slots[gy__actor_slot(actor)];
    GY_ASSERT(actor->gy__state == GY__ACTOR_LIVE);
    /* Dead for whatever is sent from here on, by its own stop function too. */
    dense->generation++;
    dense->room = 0;
    shard->gates[gy__actor_slot(actor)] = (struct gy__gate){ 0, 0 };
    actor->gy__state = GY__ACTOR_CLOSING;
    gy__actor_ops(shard, actor, 1);
    /* Flows first: their clean-up finds the actor as it was. */
    if (actor->gy__flags & GY__ACTOR_MORE)
        gy__flows_actor_died(shard, actor);
    if (started) {
        struct gy__context outer = shard->context;
        shard->context = (struct gy__context){ actor, 0 };
        gy__stats_of(actor)->type->stop(actor, why);
        shard->context = outer;
    }
    release_held(shard, actor);
    if (actor->gy__flags & GY__ACTOR_MORE)
        gy__streams_actor_died(shard, actor);
    /* Of these a shard has few, and looks whose they are. */
    if (shard->opfuts_stray > 0)
        gy__opfuts_actor_died(shard, actor);
    if (shard->signal_subs_used > 0)
        gy__signals_actor_died(shard, actor);
    if (shard->datagrams->open > 0)
        gy__datagrams_actor_died(shard, actor);
    /* Last, so that the exit comes after all that its end made others see. */
    if (actor->gy__flags & GY__ACTOR_MORE)
        gy__links_actor_died(shard, actor, why);
    shard->actors_live--;
    gy__count(&gy__stats_of(actor)->stopped, 1);
    gy__actor_ops(shard, actor, -1);
}

/* Who is to be told of the end of an actor that is being started. */
struct watch {
    struct gy_actor *self;
    gy_exited_fn *run;
    uint64_t ctx;
};

static int spawn(struct gy_shard *shard, uint32_t slot, gy_pid *out,
                 const struct gy_actor_type *type, const void *args, const struct watch *watch)
{
    unsigned class = size_class(type->size);
    struct gy__type_stats *stats = gy__type_stats(shard, type);
    if (type->size < sizeof(struct gy_actor) || class > CLASS_MAX)
        return -EINVAL;
    /* What a stop function spawned would be stopped and spawn again. */
    if (shard->phase >= GY__PHASE_STOP)
        return -ECANCELED;
    if (stats == NULL) {
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return -EAGAIN;
    }
    if (slot == 0)
        slot = slot_take(shard, class, type->size);
    if (slot == 0) {
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return -EAGAIN;
    }
    struct gy_actor *actor = gy__actor_at(shard, slot);
    struct gy__slot *dense = &shard->slots[slot];
    GY_ASSERT((dense->generation & 1) == 0);
    dense->generation++;
    dense->room = (int32_t)shard->mailbox_max;
    uint32_t life = (dense->generation + 1) / 2;
    if (life <= GY__GATE_LIVES) {
        shard->gates[slot] = (struct gy__gate){ (uint8_t)life, shard->gate_max };
        dense->room -= shard->gate_max;
    }
    actor->pid.bits = shard->self_bits | (uint64_t)slot << 32 | dense->generation;
    actor->gy__stats = stats;
    actor->gy__state = GY__ACTOR_LIVE;
    if (shard->runtime->filters != NULL)
        actor->gy__flags = GY__ACTOR_FILTERED;
    actor->gy__credit = shard->fifo.credit_max;
    shard->actors_live++;
    gy__count(&gy__stats_of(actor)->spawned, 1);

    gy_pid pid = actor->pid;
    struct gy__context saved = shard->context;
    shard->context = (struct gy__context){ actor, 0 };
    int err = type->start(actor, args);
    shard->context = saved;
    bool started = err >= 0;
    /* Not earlier: whose start fails tells so by its error, and by nothing else. */
    if (started && watch != NULL)
        err = gy__links_watch(shard, watch->self, actor, watch->run, watch->ctx);
    if (err < 0)
        finish(shard, actor, err, started);
    else if (actor->gy__flags & (GY__ACTOR_STOPS | GY__ACTOR_FAILED))
        finish(shard, actor, actor->gy__why, true);
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

int gy_spawn_raw(gy_pid *out, const struct gy_actor_type *type, const void *args)
{
    struct gy_shard *shard = gy__here(__func__);
    int err = gy__spawn_at(shard, 0, out, type, args);
    /* A boot function hands on a number; which actor it came from would be known to nobody. */
    if (err < 0 && shard->context.actor == &shard->nobody) {
        char words[80];
        struct gy__text text;
        gy__text_init(&text, words, sizeof(words));
        gy__cause_write(&text, err);
        gy__warn("%s does not start: %s", type->name, words);
    }
    return err;
}

struct gy_actor *gy__actor_find(const struct gy_shard *shard, uint64_t pid)
{
    uint32_t slot = gy__pid_slot(pid);
    if (slot >= shard->granules || (uint32_t)pid != shard->slots[slot].generation || (pid & 1) == 0)
        return NULL;
    return gy__actor_at(shard, slot);
}

void gy__actor_finish(struct gy_shard *shard, struct gy_actor *actor, int why)
{
    finish(shard, actor, why, true);
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
