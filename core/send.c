/* core/send.c - casts and calls: every check comes before anything is written, so that a refused
 * send leaves no trace but its count.
 *
 * Local: generation and room of the target, by its gate or its slot, then the bound of the queue, then the
 * sender's quota.
 * To another shard: the ring's half for casts and calls, the sender's quota, and for a call a credit,
 * so that its answer is certain to find room. */
#include "core/kernel.h"
#include "core/foreign.h"

#include <errno.h>

/* The room of a mailbox that is full. */
#define ROOM_NONE (gy__bug(GY__BUG_MAILBOX) ? -1 : 0)

static __attribute__((noinline)) int refuse(struct gy_shard *shard, enum gy__short what)
{
    shard->short_of = (uint8_t)what;
    gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
    return -EAGAIN;
}

static inline void fill(struct gy_cell *cell, const struct gy_verb *verb, uint64_t sender,
                        uint64_t fut, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3)
{
    cell->verb = verb;
    cell->from.sender = sender;
    cell->fut = fut;
    cell->payload.word[0] = w0;
    cell->payload.word[1] = w1;
    cell->payload.word[2] = w2;
    cell->payload.word[3] = w3;
}

/* Why there is no room: told apart only now that something is short. */
static __attribute__((noinline)) int local_refusal(struct gy_shard *shard)
{
    if (shard->context.actor->gy__flags & GY__ACTOR_FAILED)
        return -EOWNERDEAD;
    return refuse(shard, GY__SHORT_ROOM);
}

/* The common case of a send to an actor of this shard, in steps; each takes what it asks for, and few
 * registers, so that a send need not save any. */

/* Of a pid of this shard its slot; of others more than GY__SLOT_MASK. */
static inline uint64_t local_slot(const struct gy_shard *shard, uint64_t to)
{
    return (to ^ shard->self_bits) >> 32;
}
/* If not, credit_back() must follow. */
static inline bool credit_take(struct gy_actor *self)
{
    return __builtin_expect(--self->gy__credit >= 0, 1);
}
static inline void credit_back(struct gy_shard *shard)
{
    shard->context.actor->gy__credit++;
}
static inline bool gate_take(struct gy__gate *gate, uint64_t to)
{
    /* As gy__gate_leads(), but with one register fewer: a gate without a life has nothing left. */
    return __builtin_expect(2 * (uint32_t)gate->life - (uint32_t)to == 1, 1) && gy__gate_take(gate);
}
static inline bool slot_take(struct gy_shard *shard, uint64_t to)
{
    struct gy__slot *dense = &shard->slots[gy__pid_slot(to)];
    if (dense->generation != (uint32_t)to || dense->room <= ROOM_NONE)
        return false;
    dense->room--;
    return true;
}
/* A message of two words leaves what was in the others. */
static inline void fill_short(struct gy_cell *cell, uint64_t to, const struct gy_verb *verb,
                              uint64_t sender, uint64_t fut, uint64_t w0, uint64_t w1)
{
    cell->target = to;
    cell->verb = verb;
    cell->from.sender = sender;
    cell->fut = fut;
    cell->payload.word[0] = w0;
    cell->payload.word[1] = w1;
}
static inline void local_push(struct gy_shard *shard, uint64_t to, const struct gy_verb *verb,
                              uint64_t fut, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3)
{
    struct gy_cell *cell = shard->fifo.chain.tail;
    fill_short(cell, to, verb, shard->context.actor->pid.bits, fut, w0, w1);
    cell->payload.word[2] = w2;
    cell->payload.word[3] = w3;
    shard->fifo.chain.tail = cell + 1;
}

/* A sender's window is used up: may it begin anew? */
static bool credit_renew(struct gy_actor *actor, const struct gy__fifo *fifo)
{
    if (actor->gy__flags & GY__ACTOR_FAILED || fifo->popped < actor->gy__mark)
        return false;
    actor->gy__credit = fifo->credit_max;
    actor->gy__mark = gy__fifo_pushed(fifo);
    return true;
}

/* The same in every case, with the reason if it may not be sent. */
static struct gy_cell *local_take(struct gy_shard *shard, uint64_t to, int *err)
{
    struct gy__fifo *fifo = &shard->fifo;
    uint32_t slot = gy__pid_slot(to);
    struct gy_actor *self = shard->context.actor;
    if (shard->slots[slot].generation != (uint32_t)to || (to & 1) == 0) {
        *err = -ESRCH;
        return NULL;
    }
    if (gy__mailbox_room(shard, slot) <= ROOM_NONE || gy__fifo_room(fifo) <= 0 ||
        (self->gy__credit <= 0 && !credit_renew(self, fifo))) {
        *err = local_refusal(shard);
        return NULL;
    }
    self->gy__credit--;
    gy__mailbox_take(shard, slot);
    struct gy_cell *cell = gy__fifo_push(fifo);
    GY_ASSERT(cell != NULL);
    cell->target = to;
    return cell;
}

static __attribute__((noinline)) int cast_remote(struct gy_shard *shard, uint64_t to,
                                                 const struct gy_verb *verb, uint64_t w0,
                                                 uint64_t w1, uint64_t w2, uint64_t w3)
{
    uint32_t peer = (uint32_t)(to >> GY__SHARD_SHIFT);
    if (peer >= shard->runtime->shard_count || (to & 1) == 0)
        return -ESRCH;
    if (shard->context.actor->gy__flags & GY__ACTOR_FAILED)
        return -EOWNERDEAD;
    uint64_t sender = shard->context.actor->pid.bits;
    struct gy_cell *cell = gy__mesh_reserve(shard, peer, sender);
    if (cell == NULL)
        return refuse(shard, GY__SHORT_ROOM);
    fill(cell, verb, sender, 0, w0, w1, w2, w3);
    gy__mesh_commit(shard, peer, cell, to);
    return 0;
}

static __attribute__((noinline)) int cast_local(struct gy_shard *shard, uint64_t to,
                                                const struct gy_verb *verb, uint64_t w0,
                                                uint64_t w1, uint64_t w2, uint64_t w3)
{
    uint64_t sender = shard->context.actor->pid.bits;
    int err = 0;
    struct gy_cell *cell = local_take(shard, to, &err);
    if (cell == NULL)
        return err;
    fill(cell, verb, sender, 0, w0, w1, w2, w3);
    return 0;
}

/* To another shard, mostly: the common case of that calls nothing either. */
static __attribute__((noinline)) int cast_slow(gy_pid to, const struct gy_verb *verb, uint64_t w0,
                                               uint64_t w1, uint64_t w2, uint64_t w3)
{
    struct gy_shard *shard = gy__self();
    struct gy_actor *self = shard->context.actor;
    uint32_t peer = (uint32_t)(to.bits >> GY__SHARD_SHIFT);
    if (peer == shard->index)
        return cast_local(shard, to.bits, verb, w0, w1, w2, w3);
    struct gy_cell *cell = NULL;
    if (__builtin_expect(peer < shard->runtime->shard_count && (to.bits & 1) != 0 &&
                             !(self->gy__flags & GY__ACTOR_FAILED), 1))
        cell = gy__mesh_reserve_hot(&shard->mesh, peer, self->pid.bits);
    if (__builtin_expect(cell == NULL, 0))
        return cast_remote(shard, to.bits, verb, w0, w1, w2, w3);
    fill(cell, verb, self->pid.bits, 0, w0, w1, w2, w3);
    gy__mesh_commit_hot(&shard->mesh, peer, cell, to.bits);
    return 0;
}

/* A credit was asked for; then the gate did not lead to the target or had nothing left. */
static __attribute__((noinline)) int cast_by_slot(gy_pid to, const struct gy_verb *verb,
                                                  uint64_t w0, uint64_t w1, uint64_t w2,
                                                  uint64_t w3)
{
    struct gy_shard *shard = gy__self();
    if (shard->context.actor->gy__credit < 0 || !slot_take(shard, to.bits)) {
        credit_back(shard);
        return cast_slow(to, verb, w0, w1, w2, w3);
    }
    local_push(shard, to.bits, verb, 0, w0, w1, w2, w3);
    return 0;
}

int gy_cast_words(gy_pid to, const struct gy_verb *verb, uint64_t w0, uint64_t w1, uint64_t w2,
                  uint64_t w3)
{
    struct gy_shard *shard = gy__here_hot(__func__);
    uint64_t slot = local_slot(shard, to.bits);
    if (__builtin_expect(slot > GY__SLOT_MASK || shard->fifo.chain.tail == shard->fifo.stop, 0))
        return cast_slow(to, verb, w0, w1, w2, w3);
    if (!credit_take(shard->context.actor) || !gate_take(&shard->gates[slot], to.bits))
        return cast_by_slot(to, verb, w0, w1, w2, w3);
    local_push(shard, to.bits, verb, 0, w0, w1, w2, w3);
    return 0;
}

int gy_cast_short(gy_pid to, const struct gy_verb *verb, uint64_t w0, uint64_t w1)
{
    struct gy_shard *shard = gy__here_hot(__func__);
    uint64_t slot = local_slot(shard, to.bits);
    struct gy_cell *cell = shard->fifo.chain.tail;
    if (__builtin_expect(slot > GY__SLOT_MASK || cell == shard->fifo.stop, 0))
        return cast_slow(to, verb, w0, w1, 0, 0);
    struct gy_actor *self = shard->context.actor;
    if (!credit_take(self) || !gate_take(&shard->gates[slot], to.bits))
        return cast_by_slot(to, verb, w0, w1, 0, 0);
    fill_short(cell, to.bits, verb, self->pid.bits, 0, w0, w1);
    shard->fifo.chain.tail = cell + 1;
    return 0;
}

static __attribute__((noinline)) gy_fut call_refused(const struct gy_verb *verb, uint64_t w3,
                                                     int err)
{
    if (verb->flags & GY_VERB_BUF)
        gy_buf_release((struct gy_buf *)(uintptr_t)w3);
    return gy__fut_refused(err);
}

static gy_fut call_remote(struct gy_shard *shard, uint64_t to,
                                                    const struct gy_verb *verb, uint64_t w0,
                                                    uint64_t w1, uint64_t w2, uint64_t w3)
{
    uint32_t peer = (uint32_t)(to >> GY__SHARD_SHIFT);
    struct gy_actor *self = shard->context.actor;
    if (peer >= shard->runtime->shard_count || (to & 1) == 0)
        return call_refused(verb, w3, -ESRCH);
    if (self->gy__flags & GY__ACTOR_FAILED)
        return call_refused(verb, w3, -EOWNERDEAD);
    struct gy__out *out = &shard->mesh.out[peer];
    if (out->calls >= shard->mesh.ring_count / 2)
        return call_refused(verb, w3, refuse(shard, GY__SHORT_CREDIT));
    struct gy__future *future = gy__future_take(shard, self, to);
    if (future == NULL)
        return call_refused(verb, w3, refuse(shard, GY__SHORT_FUTURE));
    struct gy_cell *cell = gy__mesh_reserve(shard, peer, self->pid.bits);
    if (cell == NULL) {
        gy__future_untake(shard, future);
        return call_refused(verb, w3, refuse(shard, GY__SHORT_ROOM));
    }
    uint64_t bits = future->bits;
    out->calls++;
    fill(cell, verb, self->pid.bits, bits, w0, w1, w2, w3);
    gy__mesh_commit(shard, peer, cell, to);
    return (gy_fut){ bits };
}

static __attribute__((noinline)) gy_fut call_slow(gy_pid to, const struct gy_verb *verb,
                                                  uint64_t w0, uint64_t w1, uint64_t w2,
                                                  uint64_t w3)
{
    struct gy_shard *shard = gy__self();
    if (to.bits >> GY__SHARD_SHIFT != shard->index)
        return call_remote(shard, to.bits, verb, w0, w1, w2, w3);
    struct gy_actor *self = shard->context.actor;
    int err = 0;
    struct gy__future *future = gy__future_take(shard, self, to.bits);
    if (future == NULL)
        return call_refused(verb, w3, refuse(shard, GY__SHORT_FUTURE));
    struct gy_cell *cell = local_take(shard, to.bits, &err);
    if (cell == NULL) {
        gy__future_untake(shard, future);
        return call_refused(verb, w3, err);
    }
    uint64_t bits = future->bits;
    fill(cell, verb, self->pid.bits, bits, w0, w1, w2, w3);
    return (gy_fut){ bits };
}

/* A credit was asked for. */
static __attribute__((noinline)) gy_fut call_by_slot(gy_pid to, const struct gy_verb *verb,
                                                     uint64_t w0, uint64_t w1, uint64_t w2,
                                                     uint64_t w3)
{
    credit_back(gy__self());
    return call_slow(to, verb, w0, w1, w2, w3);
}

gy_fut gy_call_words(gy_pid to, const struct gy_verb *verb, uint64_t w0, uint64_t w1, uint64_t w2,
                     uint64_t w3)
{
    struct gy_shard *shard = gy__here_hot(__func__);
    uint64_t slot = local_slot(shard, to.bits);
    if (__builtin_expect(shard->futures_free == 0 || slot > GY__SLOT_MASK ||
                             shard->fifo.chain.tail == shard->fifo.stop, 0))
        return call_slow(to, verb, w0, w1, w2, w3);
    if (!credit_take(shard->context.actor) || !gate_take(&shard->gates[slot], to.bits))
        return call_by_slot(to, verb, w0, w1, w2, w3);
    uint64_t bits = gy__future_take_free(shard, shard->context.actor, to.bits)->bits;
    local_push(shard, to.bits, verb, bits, w0, w1, w2, w3);
    return (gy_fut){ bits };
}

gy_fut gy_call_short(gy_pid to, const struct gy_verb *verb, uint64_t w0, uint64_t w1)
{
    struct gy_shard *shard = gy__here_hot(__func__);
    uint64_t slot = local_slot(shard, to.bits);
    if (__builtin_expect(shard->futures_free == 0 || slot > GY__SLOT_MASK ||
                             shard->fifo.chain.tail == shard->fifo.stop, 0))
        return call_slow(to, verb, w0, w1, 0, 0);
    struct gy_actor *self = shard->context.actor;
    if (!credit_take(self) || !gate_take(&shard->gates[slot], to.bits))
        return call_by_slot(to, verb, w0, w1, 0, 0);
    uint64_t bits = gy__future_take_free(shard, self, to.bits)->bits;
    /* What of the shard is in registers is loaded again instead of saving others. */
    __asm__ volatile("" ::: "memory");
    struct gy_cell *cell = shard->fifo.chain.tail;
    fill_short(cell, to.bits, verb, self->pid.bits, bits, w0, w1);
    shard->fifo.chain.tail = cell + 1;
    return (gy_fut){ bits };
}

/* The message in memory as four words. */
static void words_load(uint64_t w[4], const struct gy_verb *verb, const uint64_t *words,
                       struct gy_buf *buf)
{
    for (unsigned i = 0; i < 4; i++)
        w[i] = i < (verb->size + 7u) / 8 ? words[i] : 0;
    if (verb->flags & GY_VERB_BUF)
        w[3] = (uint64_t)(uintptr_t)buf;
}

int gy_cast_raw(gy_pid to, const struct gy_verb *verb, const uint64_t *words, struct gy_buf *buf)
{
    uint64_t w[4];
    words_load(w, verb, words, buf);
    return gy_cast_words(to, verb, w[0], w[1], w[2], w[3]);
}

gy_fut gy_call_raw(gy_pid to, const struct gy_verb *verb, const uint64_t *words,
                   struct gy_buf *buf)
{
    uint64_t w[4];
    words_load(w, verb, words, buf);
    return gy_call_words(to, verb, w[0], w[1], w[2], w[3]);
}

/* The runtime of a shard answers these itself: no actor, no mailbox. */
gy_fut gy__call_control(gy_pid runtime_of, const struct gy_verb *verb, const uint64_t *words)
{
    struct gy_shard *shard = gy__here("gy_spawn_on_raw");
    if (runtime_of.bits >> GY__SHARD_SHIFT != shard->index)
        return call_remote(shard, runtime_of.bits, verb, words[0], words[1], words[2], words[3]);
    struct gy_actor *self = shard->context.actor;
    struct gy__future *future = NULL;
    if (self->gy__flags & GY__ACTOR_FAILED)
        return call_refused(verb, 0, -EOWNERDEAD);
    if (gy__fifo_room(&shard->fifo) > 0)
        future = gy__future_take(shard, self, runtime_of.bits);
    if (future == NULL)
        return call_refused(verb, 0,
                            refuse(shard, gy__fifo_room(&shard->fifo) > 0 ? GY__SHORT_FUTURE :
                                                                            GY__SHORT_ROOM));
    uint64_t bits = future->bits;
    struct gy_cell *cell = gy__fifo_push(&shard->fifo);
    cell->target = runtime_of.bits;
    fill(cell, verb, self->pid.bits, bits, words[0], words[1], words[2], words[3]);
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
    if (gy__shard_phase(runtime, peer) >= GY__PHASE_STOP)
        return -ESRCH;
    struct gy_cell cell;
    uint64_t w[4];
    words_load(w, verb, words, NULL);
    cell.target = to.bits;
    fill(&cell, verb, 0, 0, w[0], w[1], w[2], w[3]);
    int err = gy__foreign_post(&runtime->lanes[peer], &cell);
    if (err < 0)
        return err;
    if (gy__runtime_unpark(runtime, peer))
        runtime->wake(runtime->wake_arg, peer);
    return 0;
}
