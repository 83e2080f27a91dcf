/* core/links.c - monitors and links.
 *
 * Each side has a record, on the shard of its actor, in that actor's list and in a hash by (own pid, other's pid, kind);
 * the sides speak of each other by pids alone, and since a pid names one life, a late notice can only be
 * about that life. Pids and records are never shared between threads.
 *
 * When an actor ends, each of its records turns into a notice to the other side: exited, to those who
 * monitor it or are linked; demonitor, to those it monitored. A notice that finds no room in the ring
 * waits in its record at the mesh, in order. Exits of the same shard travel by control cells, so they
 * come after whatever the dead actor had sent. */
#include "core/links.h"

#include <errno.h>
#include <string.h>

int gy__links_open(struct gy_shard *shard)
{
    uint32_t count = shard->runtime->config.futures * 2, buckets = 1;
    while (buckets < count)
        buckets *= 2;
    /* Record 0 is "none". */
    shard->links = gy__shard_memory(shard, ((size_t)count + 1) * sizeof(struct gy__link));
    shard->link_buckets = gy__shard_memory(shard, buckets * sizeof(uint32_t));
    if (shard->links == NULL || shard->link_buckets == NULL)
        return -ENOMEM;
    shard->links_count = count;
    shard->link_mask = buckets - 1;
    return 0;
}

/* ---- records ---- */

static uint32_t *bucket_of(struct gy_shard *shard, uint64_t self, uint64_t other)
{
    uint64_t hash = (self * 31 ^ other) * UINT64_C(0x9E3779B97F4A7C15);
    return &shard->link_buckets[hash >> 32 & shard->link_mask];
}

static uint32_t *link_find(struct gy_shard *shard, uint64_t self, uint64_t other,
                           enum gy__link_kind kind)
{
    uint32_t *at = bucket_of(shard, self, other);
    while (*at != 0) {
        struct gy__link *link = &shard->links[*at];
        if (link->self == self && link->other == other && link->kind == kind)
            break;
        at = &link->hash_next;
    }
    return at;
}

/* A record in the hash, but in no list. */
static uint32_t link_new(struct gy_shard *shard, uint64_t self, uint64_t other,
                         enum gy__link_kind kind)
{
    uint32_t index = shard->links_free;
    if (index != 0)
        shard->links_free = shard->links[index].hash_next;
    else if (shard->links_used < shard->links_count)
        index = ++shard->links_used;
    else
        return 0;
    uint32_t *bucket = bucket_of(shard, self, other);
    shard->links[index] = (struct gy__link){
        .self = self, .other = other, .kind = (uint8_t)kind, .hash_next = *bucket
    };
    *bucket = index;
    shard->links_live++;
    return index;
}

static uint32_t link_take(struct gy_shard *shard, struct gy_actor *actor, uint64_t other,
                          enum gy__link_kind kind)
{
    uint32_t index = link_new(shard, actor->pid.bits, other, kind);
    if (index == 0)
        return 0;
    struct gy__more *more = gy__more(shard, actor);
    shard->links[index].next = more->links;
    if (more->links != 0)
        shard->links[more->links].prev = index;
    more->links = index;
    return index;
}

static void link_free(struct gy_shard *shard, uint32_t index)
{
    shard->links[index].hash_next = shard->links_free;
    shard->links_free = index;
    shard->links_live--;
}

/* Out of hash and list; the record is the caller's. */
static uint32_t link_detach(struct gy_shard *shard, uint32_t *at)
{
    uint32_t index = *at;
    struct gy__link *link = &shard->links[index];
    *at = link->hash_next;
    if (link->prev != 0)
        shard->links[link->prev].next = link->next;
    else
        gy__more(shard, gy__actor_at(shard, gy__pid_slot(link->self)))->links = link->next;
    if (link->next != 0)
        shard->links[link->next].prev = link->prev;
    return index;
}

static void link_forget(struct gy_shard *shard, uint64_t self, uint64_t other,
                        enum gy__link_kind kind)
{
    uint32_t *at = link_find(shard, self, other, kind);
    if (*at != 0)
        link_free(shard, link_detach(shard, at));
}

/* ---- saying something to the other side ---- */

static const struct gy_verb *verb_of(enum gy__link_notice notice)
{
    return notice == GY__NOTICE_EXITED    ? &gy__verb_exited :
           notice == GY__NOTICE_DEMONITOR ? &gy__verb_demonitor :
                                            &gy__verb_unlink;
}

static void cell_fill(struct gy_cell *cell, const struct gy_verb *verb, uint64_t self, uint64_t why)
{
    cell->verb = verb;
    cell->from.sender = self;
    cell->fut = 0;
    cell->payload.word[0] = why;
}

void gy__link_notice_write(struct gy_shard *shard, uint32_t record, struct gy_cell *cell)
{
    const struct gy__link *link = &shard->links[record];
    cell_fill(cell, verb_of((enum gy__link_notice)link->notice), link->self, link->ctx);
    link_free(shard, record);
}

/* A detached record becomes a notice, now or when there is room. */
static void notify(struct gy_shard *shard, uint32_t index, enum gy__link_notice notice, int why)
{
    struct gy__link *link = &shard->links[index];
    uint32_t peer = (uint32_t)(link->other >> GY__SHARD_SHIFT);
    link->notice = (uint8_t)notice;
    link->ctx = (uint64_t)(int64_t)why;
    if (peer != shard->index) {
        gy__mesh_notice(shard, peer, index);
        return;
    }
    struct gy_cell *cell = gy__control_local(shard, verb_of(notice), link->other);
    gy__link_notice_write(shard, index, cell);
}

/* A request that is refused rather than kept waiting. */
static int request(struct gy_shard *shard, struct gy_actor *self, uint64_t other,
                   const struct gy_verb *verb)
{
    uint32_t peer = (uint32_t)(other >> GY__SHARD_SHIFT);
    struct gy_cell *cell;
    if (peer == shard->index) {
        if (!gy__fifo_control_room(&shard->fifo))
            return -EAGAIN;
        cell = gy__control_local(shard, verb, other);
        cell_fill(cell, verb, self->pid.bits, 0);
        return 0;
    }
    /* Not past a notice of ours that waits. */
    if (shard->mesh.out[peer].notices_first != 0)
        return -EAGAIN;
    cell = gy__mesh_reserve(shard, peer, self->pid.bits);
    if (cell == NULL)
        return -EAGAIN;
    cell_fill(cell, verb, self->pid.bits, 0);
    gy__mesh_commit(shard, peer, cell, other);
    return 0;
}

static int begin(struct gy_actor *self, uint64_t other, enum gy__link_kind kind,
                 const struct gy_verb *verb, uint32_t *out)
{
    struct gy_shard *shard = gy__here("gy_monitor or gy_link");
    if (other >> GY__SHARD_SHIFT >= shard->runtime->shard_count || (other & 1) == 0 ||
        other == self->pid.bits || self->gy__state != GY__ACTOR_LIVE)
        return -EINVAL;
    uint32_t *at = link_find(shard, self->pid.bits, other, kind);
    *out = *at;
    if (*out != 0)
        return 0;
    uint32_t index = link_take(shard, self, other, kind);
    int err = index == 0 ? -EAGAIN : request(shard, self, other, verb);
    if (err < 0) {
        if (index != 0)
            link_free(shard, link_detach(shard, link_find(shard, self->pid.bits, other, kind)));
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return err;
    }
    *out = index;
    return 0;
}

int gy__links_watch(struct gy_shard *shard, struct gy_actor *self, struct gy_actor *actor,
                    gy_exited_fn *run, uint64_t ctx)
{
    uint64_t from = self->pid.bits, to = actor->pid.bits;
    uint32_t index = link_take(shard, self, to, GY__LINK_WATCH);
    if (index != 0 && link_take(shard, actor, from, GY__LINK_WATCHED) == 0) {
        link_free(shard, link_detach(shard, link_find(shard, from, to, GY__LINK_WATCH)));
        index = 0;
    }
    if (index == 0) {
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return -EAGAIN;
    }
    shard->links[index].run = run;
    shard->links[index].ctx = ctx;
    return 0;
}

void gy__links_unwatch(struct gy_shard *shard, gy_pid self, gy_pid actor)
{
    link_forget(shard, self.bits, actor.bits, GY__LINK_WATCH);
    link_forget(shard, actor.bits, self.bits, GY__LINK_WATCHED);
}

/* ---- the public side ---- */

int gy_monitor_raw(struct gy_actor *self, gy_pid pid, gy_exited_fn *run, uint64_t ctx)
{
    uint32_t index;
    int err = begin(self, pid.bits, GY__LINK_WATCH, &gy__verb_monitor, &index);
    if (err < 0)
        return err;
    gy__self()->links[index].run = run;
    gy__self()->links[index].ctx = ctx;
    return 0;
}

int gy_link(struct gy_actor *self, gy_pid pid)
{
    uint32_t index;
    return begin(self, pid.bits, GY__LINK_LINK, &gy__verb_link, &index);
}

static void undo(struct gy_actor *self, uint64_t other, enum gy__link_kind kind,
                 enum gy__link_notice notice)
{
    struct gy_shard *shard = gy__here("gy_demonitor or gy_unlink");
    uint32_t *at = link_find(shard, self->pid.bits, other, kind);
    if (*at != 0)
        notify(shard, link_detach(shard, at), notice, 0);
}

void gy_demonitor(struct gy_actor *self, gy_pid pid)
{
    undo(self, pid.bits, GY__LINK_WATCH, GY__NOTICE_DEMONITOR);
}

void gy_unlink(struct gy_actor *self, gy_pid pid)
{
    undo(self, pid.bits, GY__LINK_LINK, GY__NOTICE_UNLINK);
}

int gy_trap_exits_raw(struct gy_actor *self, gy_exited_fn *run, uint64_t ctx)
{
    struct gy_shard *shard = gy__here(__func__);
    uint32_t *at = link_find(shard, self->pid.bits, 0, GY__LINK_TRAP);
    uint32_t index = *at;
    if (run == NULL) {
        if (index != 0)
            link_free(shard, link_detach(shard, at));
        return 0;
    }
    if (index == 0)
        index = link_take(shard, self, 0, GY__LINK_TRAP);
    if (index == 0)
        return -EAGAIN;
    shard->links[index].run = run;
    shard->links[index].ctx = ctx;
    return 0;
}

/* ---- what arrives ---- */

/* Somebody asks to watch an actor of ours, or to be linked with it. */
static void watch_arrived(struct gy_shard *shard, uint64_t target, uint64_t from, bool link)
{
    struct gy_actor *actor = gy__actor_find(shard, target);
    enum gy__link_kind kind = link ? GY__LINK_LINK : GY__LINK_WATCHED;
    if (actor != NULL && *link_find(shard, target, from, kind) != 0)
        return;
    uint32_t index = actor != NULL ? link_take(shard, actor, from, kind) : 0;
    if (index != 0)
        return;
    /* Dead, or no record to watch it with: say that it has ended. A record of nobody's carries that. */
    index = link_new(shard, target, from, kind);
    if (index == 0) {
        gy_log("no record is left to tell an actor of an exit: raise --futures");
        return;
    }
    uint32_t *at = bucket_of(shard, target, from);
    while (*at != index)
        at = &shard->links[*at].hash_next;
    *at = shard->links[index].hash_next;
    notify(shard, index, GY__NOTICE_EXITED, actor != NULL ? -EAGAIN : -ESRCH);
}

static void exited_deliver(struct gy_shard *shard, struct gy_actor *actor, uint32_t *at,
                           uint64_t dead, int why)
{
    uint32_t index = link_detach(shard, at);
    struct gy__link link = shard->links[index];
    link_free(shard, index);
    if (link.kind == GY__LINK_LINK) {
        uint32_t trap = *link_find(shard, actor->pid.bits, 0, GY__LINK_TRAP);
        if (trap == 0) {
            if (why < 0)
                gy__actor_finish(shard, actor, why);
            return;
        }
        link = shard->links[trap];
    }
    struct gy__context saved = gy__actor_enter(shard, actor);
    link.run(actor, (gy_pid){ dead }, why, link.ctx);
    gy__actor_leave(shard, saved);
}

static void exited_arrived(struct gy_shard *shard, struct gy_cell *cell, uint64_t target)
{
    static const enum gy__link_kind kinds[] = { GY__LINK_WATCH, GY__LINK_LINK };
    uint64_t dead = cell->from.sender;
    int why = (int)cell->payload.word[0];
    struct gy_actor *actor = gy__actor_find(shard, target);
    /* In order with the messages of the dead one, which may be stashed. */
    if (actor != NULL && actor->gy__flags & GY__ACTOR_STASHES &&
        !(actor->gy__flags & GY__ACTOR_DROPS) && gy__stash_push(shard, actor, cell))
        return;
    for (unsigned i = 0; i < 2 && actor != NULL; i++) {
        uint32_t *at = link_find(shard, target, dead, kinds[i]);
        if (*at != 0)
            exited_deliver(shard, actor, at, dead, why);
        actor = gy__actor_find(shard, target);
    }
}

void gy__link_arrived(struct gy_shard *shard, struct gy_cell *cell)
{
    uint64_t target = shard->self_bits | (cell->target & GY__REST_MASK);
    uint64_t from = cell->from.sender;
    const struct gy_verb *verb = cell->verb;
    if (verb == &gy__verb_exited)
        exited_arrived(shard, cell, target);
    else if (verb == &gy__verb_demonitor)
        link_forget(shard, target, from, GY__LINK_WATCHED);
    else if (verb == &gy__verb_unlink)
        link_forget(shard, target, from, GY__LINK_LINK);
    else
        watch_arrived(shard, target, from, verb == &gy__verb_link);
}

void gy__links_actor_died(struct gy_shard *shard, struct gy_actor *actor, int why)
{
    while (gy__more(shard, actor)->links != 0) {
        struct gy__link *link = &shard->links[gy__more(shard, actor)->links];
        uint32_t *at = link_find(shard, link->self, link->other, (enum gy__link_kind)link->kind);
        enum gy__link_kind kind = (enum gy__link_kind)link->kind;
        uint32_t index = link_detach(shard, at);
        if (kind == GY__LINK_TRAP)
            link_free(shard, index);
        else
            notify(shard, index,
                   kind == GY__LINK_WATCH ? GY__NOTICE_DEMONITOR : GY__NOTICE_EXITED, why);
    }
}
