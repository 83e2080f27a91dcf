/* core/room.c - "tell me when I may send again": actors whose send was refused, in order.
 *
 * One list per shard, looked through at the end of a turn while it is not empty: for each waiter whose target
 * has room its function runs, once. A waiter for another shard's ring keeps its own shard able to hear of
 * room: before sleeping the shard sets want_room in that ring, and the receiver, after moving head,
 * wakes it. An actor waits for one thing at a time. */
#include "core/kernel.h"

#include <errno.h>

/* Waiters run in one turn. */
#define WAITERS_AT_ONCE 64

int gy_room_again_raw(struct gy_actor *self, gy_pid to,
                      void (*run)(struct gy_actor *self, uint64_t ctx), uint64_t ctx)
{
    struct gy_shard *shard = gy__here(__func__);
    if (self->pid.bits == 0)
        return -EINVAL;
    if (self->gy__flags & GY__ACTOR_WAITS)
        return -EBUSY;
    if (shard->waiters_count == shard->waiters_max)
        return -EAGAIN;
    self->gy__flags |= GY__ACTOR_WAITS;
    shard->waiters[shard->waiters_count++] =
        (struct gy__waiter){ self->pid.bits, to.bits, run, ctx, shard->short_of };
    return 0;
}

static bool has_room(struct gy_shard *shard, const struct gy__waiter *waiter)
{
    uint32_t peer = (uint32_t)(waiter->to >> GY__SHARD_SHIFT);
    if (waiter->short_of == GY__SHORT_FUTURE && shard->futures_free == 0 &&
        shard->futures_used == shard->futures_count)
        return false;
    if (peer != shard->index)
        return peer >= shard->runtime->shard_count ||
               (gy__mesh_has_room(shard, peer, waiter->actor) &&
                (waiter->short_of != GY__SHORT_CREDIT ||
                 shard->mesh.out[peer].calls < shard->mesh.ring_count / 2));
    const struct gy__fifo *fifo = &shard->fifo;
    uint32_t slot = gy__pid_slot(waiter->to);
    const struct gy_actor *actor = gy__actor_find(shard, waiter->actor);
    /* A target or waiter that died needs no room: the next send says -ESRCH. */
    if (shard->slots[slot].generation != (uint32_t)waiter->to || actor == NULL)
        return true;
    return gy__mailbox_room(shard, slot) > 0 && gy__fifo_room(fifo) > 0 &&
           (actor->gy__credit > 0 || fifo->popped >= actor->gy__mark);
}

static void waiter_run(struct gy_shard *shard, const struct gy__waiter *waiter)
{
    struct gy_actor *actor = gy__actor_find(shard, waiter->actor);
    if (actor == NULL)
        return;
    actor->gy__flags &= (uint16_t)~GY__ACTOR_WAITS;
    struct gy__context saved = gy__actor_enter(shard, actor);
    waiter->run(actor, waiter->ctx);
    gy__actor_leave(shard, saved);
}

void gy__room_scan(struct gy_shard *shard)
{
    uint32_t count = shard->waiters_count, kept = 0, run = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct gy__waiter waiter = shard->waiters[i];
        if (run < WAITERS_AT_ONCE && has_room(shard, &waiter)) {
            run++;
            waiter_run(shard, &waiter);
        } else {
            shard->waiters[kept++] = waiter;
        }
    }
    /* Those who were refused again meanwhile are behind. */
    for (uint32_t i = count; i < shard->waiters_count; i++)
        shard->waiters[kept++] = shard->waiters[i];
    shard->waiters_count = kept;
}

bool gy__room_ready(struct gy_shard *shard)
{
    for (uint32_t i = 0; i < shard->waiters_count; i++)
        if (has_room(shard, &shard->waiters[i]))
            return true;
    return false;
}

void gy__room_announce(struct gy_shard *shard)
{
    for (uint32_t i = 0; i < shard->waiters_count; i++) {
        uint32_t peer = (uint32_t)(shard->waiters[i].to >> GY__SHARD_SHIFT);
        if (peer != shard->index && peer < shard->runtime->shard_count &&
            shard->mesh.out[peer].ring != NULL)
            gy__ring_want_room(&shard->mesh.out[peer]);
    }
}
