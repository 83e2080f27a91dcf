/* core/send.c - casts and calls: every check comes before anything is written, so that a refused
 * send leaves no trace but its count.
 *
 * Local: generation and room of the target, then the bound of the queue, then the sender's quota.
 * To another shard: the ring's half for casts and calls, the sender's quota, and for a call a credit,
 * so that its answer is certain to find room. */
#include "core/kernel.h"
#include "core/foreign.h"

#include <errno.h>
#include <string.h>

static __attribute__((noinline)) int refuse(struct gy_shard *shard, int err)
{
    if (err == -EAGAIN)
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
    return err;
}

static inline void fill(struct gy_cell *cell, const struct gy_verb *verb, uint64_t sender,
                        uint64_t fut, const uint64_t *words, struct gy_buf *buf)
{
    cell->verb = verb;
    cell->from.sender = sender;
    cell->fut = fut;
    switch ((verb->size + 7) / 8) {
    case 4:
        cell->payload.word[3] = words[3];
        /* fall through */
    case 3:
        cell->payload.word[2] = words[2];
        /* fall through */
    case 2:
        cell->payload.word[1] = words[1];
        /* fall through */
    case 1:
        cell->payload.word[0] = words[0];
        /* fall through */
    default:
        break;
    }
    if (verb->flags & GY_VERB_BUF)
        cell->payload.with.buf = buf;
}

/* May this actor send to `to` on this shard? On 0 its room and quota are taken. */
static inline int local_take(struct gy_shard *shard, uint64_t to)
{
    struct gy__fifo *fifo = &shard->fifo;
    uint32_t slot = gy__pid_slot(to);
    struct gy__slot *dense = &shard->slots[slot];
    if (__builtin_expect(dense->generation != (uint32_t)to || (to & 1) == 0, 0))
        return -ESRCH;
    if (__builtin_expect(shard->context.actor->gy__flags & GY__ACTOR_FAILED, 0))
        return -EOWNERDEAD;
    if (__builtin_expect(dense->room <= 0 || gy__fifo_count(fifo) >= fifo->normal_max, 0))
        return -EAGAIN;
    if (__builtin_expect(!gy__quota_take(&fifo->quota,
                                         gy__pid_slot(shard->context.actor->pid.bits), fifo->popped,
                                         fifo->pushed),
                         0))
        return -EAGAIN;
    dense->room--;
    return 0;
}

static inline struct gy_cell *local_push(struct gy_shard *shard, uint64_t to)
{
    struct gy_cell *cell = gy__fifo_push(&shard->fifo);
    GY_ASSERT(cell != NULL);
    cell->target = to;
    return cell;
}

static __attribute__((noinline)) int cast_remote(struct gy_shard *shard, uint64_t to,
                                                 const struct gy_verb *verb, const uint64_t *words,
                                                 struct gy_buf *buf)
{
    uint32_t peer = (uint32_t)(to >> GY__SHARD_SHIFT);
    if (peer >= shard->runtime->shard_count || (to & 1) == 0)
        return -ESRCH;
    if (shard->context.actor->gy__flags & GY__ACTOR_FAILED)
        return -EOWNERDEAD;
    uint64_t sender = shard->context.actor->pid.bits;
    struct gy_cell *cell = gy__mesh_reserve(shard, peer, sender);
    if (cell == NULL)
        return refuse(shard, -EAGAIN);
    fill(cell, verb, sender, 0, words, buf);
    gy__mesh_commit(shard, peer, cell, to);
    return 0;
}

int gy_cast_raw(gy_pid to, const struct gy_verb *verb, const uint64_t *words, struct gy_buf *buf)
{
    struct gy_shard *shard = gy__self();
    if (to.bits >> GY__SHARD_SHIFT != shard->index)
        return cast_remote(shard, to.bits, verb, words, buf);
    int err = local_take(shard, to.bits);
    if (__builtin_expect(err < 0, 0))
        return refuse(shard, err);
    fill(local_push(shard, to.bits), verb, shard->context.actor->pid.bits, 0, words, buf);
    return 0;
}

static __attribute__((noinline)) gy_fut call_refused(struct gy_shard *shard, int err,
                                                     struct gy_buf *buf)
{
    gy_buf_release(buf);
    return gy__fut_refused(refuse(shard, err));
}

static __attribute__((noinline)) gy_fut call_remote(struct gy_shard *shard, uint64_t to,
                                                    const struct gy_verb *verb,
                                                    const uint64_t *words, struct gy_buf *buf)
{
    uint32_t peer = (uint32_t)(to >> GY__SHARD_SHIFT);
    struct gy_actor *self = shard->context.actor;
    if (peer >= shard->runtime->shard_count)
        return call_refused(shard, -ESRCH, buf);
    if (self->gy__flags & GY__ACTOR_FAILED)
        return call_refused(shard, -EOWNERDEAD, buf);
    struct gy__out *out = &shard->mesh.out[peer];
    if (out->calls >= shard->mesh.ring_count / 2)
        return call_refused(shard, -EAGAIN, buf);
    struct gy__future *future = gy__future_take(shard, self, to);
    if (future == NULL)
        return call_refused(shard, -EAGAIN, buf);
    struct gy_cell *cell = gy__mesh_reserve(shard, peer, self->pid.bits);
    if (cell == NULL) {
        gy__future_untake(shard, future);
        return call_refused(shard, -EAGAIN, buf);
    }
    uint64_t bits = gy__future_bits(shard, future);
    out->calls++;
    fill(cell, verb, self->pid.bits, bits, words, buf);
    gy__mesh_commit(shard, peer, cell, to);
    return (gy_fut){ bits };
}

gy_fut gy_call_raw(gy_pid to, const struct gy_verb *verb, const uint64_t *words,
                   struct gy_buf *buf)
{
    struct gy_shard *shard = gy__self();
    if (to.bits >> GY__SHARD_SHIFT != shard->index)
        return call_remote(shard, to.bits, verb, words, buf);
    struct gy__future *future = gy__future_take(shard, shard->context.actor, to.bits);
    if (__builtin_expect(future == NULL, 0))
        return call_refused(shard, -EAGAIN, buf);
    int err = local_take(shard, to.bits);
    if (__builtin_expect(err < 0, 0)) {
        gy__future_untake(shard, future);
        return call_refused(shard, err, buf);
    }
    uint64_t bits = gy__future_bits(shard, future);
    fill(local_push(shard, to.bits), verb, shard->context.actor->pid.bits, bits, words, buf);
    return (gy_fut){ bits };
}

/* The runtime of a shard answers these itself: no actor, no mailbox, no quota of another's. */
gy_fut gy__call_control(gy_pid runtime_of, const struct gy_verb *verb, const uint64_t *words)
{
    struct gy_shard *shard = gy__self();
    if (runtime_of.bits >> GY__SHARD_SHIFT != shard->index)
        return call_remote(shard, runtime_of.bits, verb, words, NULL);
    struct gy__fifo *fifo = &shard->fifo;
    struct gy__future *future = NULL;
    if (gy__fifo_count(fifo) < fifo->normal_max)
        future = gy__future_take(shard, shard->context.actor, runtime_of.bits);
    if (future == NULL)
        return call_refused(shard, -EAGAIN, NULL);
    uint64_t bits = gy__future_bits(shard, future);
    fill(local_push(shard, runtime_of.bits), verb, shard->context.actor->pid.bits, bits, words,
         NULL);
    return (gy_fut){ bits };
}

int gy_post_raw(struct gy_runtime *runtime, gy_pid to, const struct gy_verb *verb,
                const uint64_t *words)
{
    uint32_t peer = (uint32_t)(to.bits >> GY__SHARD_SHIFT);
    if (peer >= runtime->shard_count || (to.bits & 1) == 0)
        return -ESRCH;
    if (verb->flags & (GY_VERB_BUF | GY_VERB_CALL))
        return -EINVAL;
    struct gy_cell cell;
    memset(&cell, 0, sizeof(cell));
    cell.target = to.bits;
    fill(&cell, verb, 0, 0, words, NULL);
    int err = gy__foreign_post(runtime->shards[peer]->foreign, &cell);
    if (err < 0)
        return err;
    if (gy__runtime_unpark(runtime, peer))
        runtime->wake(runtime->wake_arg, peer);
    return 0;
}
