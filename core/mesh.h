/* core/mesh.h - all rings of a shard, and how it sleeps and is woken.
 *
 * Each shard has one gy__door that the others see: whether it sleeps, and one bit per shard that may
 * have written to it. Bits are sticky: a sender sets its bit only when it is clear, and the owner clears it after
 * a ring was quiet for long; with few shards it never does, since looking at every ring is cheaper.
 *
 * Sleeping without losing a message needs a full fence on both sides. Owner: sleeping = 1, fence, look at everything again.
 * Sender, once per flush: store of the cell's word, fence, look at `sleeping` and at the bit. tests/model has the proof. */
#ifndef GYRE_CORE_MESH_H
#define GYRE_CORE_MESH_H

#include "core/ring.h"

#define GY__DOOR_WORDS (GY__SHARDS_MAX / 64)

struct gy__door {
    alignas(64) _Atomic uint32_t sleeping;
    _Atomic uint32_t requests; /* of the control thread: enum gy__request bits */
    _Atomic uint32_t phase;    /* enum gy__phase, for others to read */
    alignas(64) _Atomic uint64_t written[GY__DOOR_WORDS];
    alignas(64) char end[];
};

struct gy__mesh {
    struct gy__door *door; /* this shard's own */
    struct gy__out *out;   /* one per shard */
    struct gy__in *in;     /* one per shard */
    uint32_t words;        /* of the door's bits that are used */
    uint8_t *rings;        /* pool of rings, a producer's own */
    uint32_t rings_left;
    struct gy_cell *stages; /* and of their stages */
    uint32_t ring_count;   /* cells in each */
    uint32_t start;        /* rotating first peer to look at */
    uint32_t clock_left;   /* cells to run until the clock is looked at, of all rings */
    uint16_t *dirty;       /* peers with cells not yet visible */
    uint32_t dirty_count;
    uint16_t *moved;       /* peers whose ring's head was published this turn */
    uint32_t moved_count;
    uint32_t ran;          /* cells run and not counted yet */
    uint32_t backlog;      /* peers with discards, notices or buffers that wait for room */
    bool keeps_bits;       /* few shards: bits are never cleared */
};

/* Cells run between two looks at the clock, and at how far the ring's head is published. */
#define GY__RING_STRIDE 16

struct gy_shard;
int gy__mesh_open(struct gy_shard *shard);
/* Touch the rings that no pair uses yet: on their first lap every 64th message would find a page that is
 * not there, which costs some 10 us on a virtual machine. Of very many rings only the first. */
void gy__mesh_warm(struct gy_shard *shard);

/* A slot in the ring to that shard for a cast, a call or control; NULL if full (or no ring left). */
struct gy_cell *gy__mesh_reserve(struct gy_shard *shard, uint32_t peer, uint64_t sender);
/* For an answer: always has room, since calls outstanding are limited. */
struct gy_cell *gy__mesh_reserve_answer(struct gy_shard *shard, uint32_t peer);
void gy__mesh_commit(struct gy_shard *shard, uint32_t peer, struct gy_cell *cell, uint64_t target);
/* The common case of the first, inline: everything is there, and nothing is called. NULL, with nothing
 * changed, if anything is not. */
static inline struct gy_cell *gy__mesh_reserve_hot(struct gy__mesh *mesh, uint32_t peer,
                                                   uint64_t sender)
{
    struct gy__out *out = &mesh->out[peer];
    uint16_t *sent = gy__quota_of(&out->quota, sender);
    /* Of a ring that is not there yet all of this is 0. */
    if (__builtin_expect(out->tail - out->head >= out->count / 2 || *sent >= out->quota.max ||
                             out->staged == GY__STAGE, 0))
        return NULL;
    ++*sent;
    return &out->stage[out->staged];
}
static inline void gy__mesh_commit_hot(struct gy__mesh *mesh, uint32_t peer, struct gy_cell *cell,
                                       uint64_t target)
{
    struct gy__out *out = &mesh->out[peer];
    if (out->tail == out->flushed)
        mesh->dirty[mesh->dirty_count++] = (uint16_t)peer;
    gy__ring_commit(out, cell, target);
}
bool gy__mesh_has_room(struct gy_shard *shard, uint32_t peer, uint64_t sender);

/* Run what one ring holds, from `cell` on, at most all of its slots once or so. -> false: time is up.
 * (core/run.c) */
bool gy__ring_run(struct gy_shard *shard, uint32_t from, struct gy_cell *cell, uint64_t stop_ns);
/* Run what came in, until stop_ns. */
void gy__mesh_drain(struct gy_shard *shard, uint64_t stop_ns);
/* The same of every ring once, whatever the bits say, and without looking at the clock. */
void gy__mesh_drain_all(struct gy_shard *shard);
/* Make visible what was sent and how far was read. Most turns have nothing: gy__mesh_has_news() says so. */
void gy__mesh_publish(struct gy_shard *shard);
static inline bool gy__mesh_has_news(const struct gy__mesh *mesh)
{
    return (mesh->dirty_count | mesh->moved_count | mesh->backlog) != 0;
}
bool gy__mesh_inbound_many(const struct gy__mesh *mesh);
/* Is there anything in a ring, by the bits? */
static inline bool gy__mesh_inbound(const struct gy__mesh *mesh)
{
    /* acquire: as in gy__mesh_drain(). */
    uint64_t bits = atomic_load_explicit(&mesh->door->written[0], memory_order_acquire);
    if (__builtin_expect((bits & (bits - 1)) != 0 || mesh->words > 1, 0))
        return gy__mesh_inbound_many(mesh);
    if (bits == 0)
        return false;
    const struct gy__in *in = &mesh->in[__builtin_ctzll(bits)];
    return in->ring == NULL || gy__ring_peek(in) != NULL;
}
/* Nothing in any ring, whatever the bits say; costs a look at each. */
bool gy__mesh_is_empty(struct gy_shard *shard);
/* Before sleeping, after saying so: want room in the rings that something waits for in its own
 * record. And: is there room for some of it? */
void gy__mesh_announce(struct gy_shard *shard);
bool gy__mesh_backlog_ready(struct gy_shard *shard);
void gy__mesh_discard(struct gy_shard *shard, uint32_t peer, uint32_t future_slot);
void gy__mesh_notice(struct gy_shard *shard, uint32_t peer, uint32_t link_record);
void gy__mesh_name(struct gy_shard *shard, uint32_t peer, uint32_t index);
/* Would gy__mesh_name find room now? */
bool gy__mesh_name_room(struct gy_shard *shard, uint32_t peer);

#endif
