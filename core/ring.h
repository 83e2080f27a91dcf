/* core/ring.h - one direction between two shards: a single-producer single-consumer ring of cells.
 *
 * The ring is the queue: the receiver runs a cell in its slot.
 * Publication is inside the cells: the first word of a cell carries in its top 10 bits the lap in which it
 * was written, so an empty slot carries an older lap, and no index line travels with each message.
 * A turn's cells become visible together: the word of the first cell since the last flush is held back
 * and stored last, with release; the receiver, which goes in order, cannot see the others before.
 *
 * The sender writes a turn's cells into a small stage of its own and copies them into their slots in
 * one go. The lines of the slots come from the other core; stores retire in order, so with the
 * sender's other work between them the store buffer would hold two or three lines on their way, in one go it
 * holds all that it can. That halves the cost of a message in one direction. A lone answer takes the same
 * way: written straight into its slot, word by word, its line is taken away in between by the receiver, which
 * looks there all the time (a round trip at a near core: 1.85 times the bare ring instead of 1.6).
 *
 * The receiver publishes how far it has run in `head`, on a line of its own, some cells at a time; the sender
 * looks at it only when its copy shows no room. Wait-free on both sides; a full ring is the sender's
 * -EAGAIN. Indices are 64 bits and never wrap in practice, laps do: the tests start close to that. */
#ifndef GYRE_CORE_RING_H
#define GYRE_CORE_RING_H

#include "core/bugs.h"
#include "core/cell.h"
#include "core/fifo.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GY__LAP_MASK 1023
/* Cells staged at most: a page. */
#define GY__STAGE 64

struct gy__ring {
    alignas(64) _Atomic uint64_t head; /* receiver writes: cells before it have been run */
    alignas(64) _Atomic uint32_t want_room; /* sender sets when it is to sleep; receiver clears and wakes it */
    alignas(64) struct gy_cell cells[];
};

/* The sender's half. */
struct gy__out {
    struct gy__ring *ring; /* NULL until the pair first talks */
    uint64_t tail;         /* next slot to write */
    uint64_t head;         /* a copy of ring->head, perhaps old */
    uint64_t flushed;      /* cells before it are visible */
    uint64_t held_word;    /* of cell `flushed`, if tail > flushed */
    struct gy_cell *stage; /* GY__STAGE cells; the last `staged` before tail are still here */
    uint32_t staged;
    uint32_t count;        /* slots; a power of two */
    uint32_t calls;        /* sent to that shard and not answered yet */
    struct gy__quota quota;
    /* What found no room waits in its own record. */
    uint32_t discards_first, discards_last; /* future slots, 0 = none */
    uint32_t notices_first, notices_last;   /* link records, 0 = none */
    uint32_t names;                         /* how many names (core/names.c) */
    struct gy_buf *bufs;
};

/* The receiver's half. */
struct gy__in {
    struct gy__ring *ring;
    uint64_t head;      /* next slot to run */
    uint64_t published; /* what ring->head says */
    uint32_t count;
    uint32_t quiet; /* polls in a row that found nothing */
};

static inline uint64_t gy__ring_lap(uint64_t index, uint32_t count)
{
    /* A division by a power of two that the compiler does not know to be one would cost more than all
     * the rest of a look. */
    return ((index >> __builtin_ctz(count)) + 1) & GY__LAP_MASK;
}

/* start: the first index; anything but 0 is for tests. Every slot is marked with the lap before. */
static inline void gy__ring_init(struct gy__ring *ring, uint32_t count, uint64_t start)
{
    for (uint32_t i = 0; start != 0 && i < count; i++) {
        uint64_t index = start - count + i;
        ring->cells[index & (count - 1)].target = gy__ring_lap(index, count) << GY__SHARD_SHIFT;
    }
    atomic_store_explicit(&ring->head, start, memory_order_relaxed);
    atomic_store_explicit(&ring->want_room, 0, memory_order_relaxed);
}

static inline _Atomic uint64_t *gy__ring_word(struct gy_cell *cell)
{
    return (_Atomic uint64_t *)(void *)&cell->target;
}

/* Room for one more, if at most `limit` cells may be on their way? */
static inline bool gy__ring_has_room(struct gy__out *out, uint64_t limit)
{
    if (__builtin_expect(out->tail - out->head < limit, 1))
        return true;
    /* acquire: pairs with the release in gy__ring_publish_head(); the slots before it were run. */
    out->head = atomic_load_explicit(&out->ring->head, memory_order_acquire);
    return out->tail - out->head < limit;
}

/* The sender, which has said that it sleeps, wants to be woken when there is room again. */
static inline void gy__ring_want_room(struct gy__out *out)
{
    /* release: pairs with the exchange in gy__mesh_publish(); who takes the want away sees that we
     * sleep, else nobody would wake us. Ordered before our second look by the fence behind it. */
    atomic_store_explicit(&out->ring->want_room, 1, memory_order_release);
}

/* Copy what is staged into its slots. Nothing becomes visible: the word of the first cell since the
 * last flush stays back. */
static inline void gy__ring_copy(struct gy__out *out)
{
    uint64_t index = out->tail - out->staged;
    for (uint32_t i = 0; i < out->staged; i++, index++) {
        const struct gy_cell *cell = &out->stage[i];
        struct gy_cell *slot = &out->ring->cells[index & (out->count - 1)];
        slot->verb = cell->verb;
        slot->from = cell->from;
        slot->fut = cell->fut;
        slot->payload = cell->payload;
        if (index != out->flushed)
            /* relaxed: ordered for the receiver by the release store of the held word, which it
             * must pass before it can come to this slot. */
            atomic_store_explicit(gy__ring_word(slot), cell->target, memory_order_relaxed);
    }
    out->staged = 0;
}

/* A cell to write; fill all of it but target, then gy__ring_commit. The caller has asked for room. */
static inline struct gy_cell *gy__ring_reserve(struct gy__out *out)
{
    if (__builtin_expect(out->staged == GY__STAGE, 0))
        gy__ring_copy(out);
    return &out->stage[out->staged];
}

#ifdef GY_BUGS
/* Let the first cell of a lap and the last of the lap before change places, if both go to one actor. */
static inline void gy__ring_swap(struct gy__out *out, struct gy_cell *cell, uint64_t target)
{
    if ((out->tail & (out->count - 1)) != 0 || out->staged == 0)
        return;
    struct gy_cell *before = cell - 1, copy = *before;
    if ((before->target & GY__REST_MASK) != (target & GY__REST_MASK))
        return;
    memcpy(&before->verb, &cell->verb, sizeof(copy) - offsetof(struct gy_cell, verb));
    memcpy(&cell->verb, &copy.verb, sizeof(copy) - offsetof(struct gy_cell, verb));
}
#endif

static inline void gy__ring_commit(struct gy__out *out, struct gy_cell *cell, uint64_t target)
{
#ifdef GY_BUGS
    if (gy__bug(GY__BUG_RING_WRAP))
        gy__ring_swap(out, cell, target);
#endif
    cell->target = (target & GY__REST_MASK) | gy__ring_lap(out->tail, out->count) << GY__SHARD_SHIFT;
    if (out->tail == out->flushed)
        out->held_word = cell->target;
    out->tail++;
    out->staged++;
}

/* Make everything written so far visible. */
static inline void gy__ring_flush(struct gy__out *out)
{
    struct gy_cell *first = &out->ring->cells[out->flushed & (out->count - 1)];
    gy__ring_copy(out);
    /* release: pairs with the acquire in gy__ring_peek(); publishes this cell and all behind it. */
    atomic_store_explicit(gy__ring_word(first), out->held_word, memory_order_release);
    out->flushed = out->tail;
}

/* The same when it is a single cell. Its words go through registers one by one: they were written
 * just now, and a wider load than the stores before it has to wait until those have left the core. */
static inline void gy__ring_flush_one(struct gy__out *out)
{
    struct gy_cell *slot = &out->ring->cells[out->flushed & (out->count - 1)];
    const unsigned char *cell = (const unsigned char *)out->stage;
    for (size_t at = sizeof(slot->target); at < sizeof(*slot); at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, cell + at, sizeof(word));
        __asm__("" : "+r"(word));
        memcpy((unsigned char *)slot + at, &word, sizeof(word));
    }
    out->staged = 0;
    /* release: as in gy__ring_flush(). */
    atomic_store_explicit(gy__ring_word(slot), out->held_word, memory_order_release);
    out->flushed = out->tail;
}

/* The next cell to run, or NULL. It stays the receiver's until head is published beyond it. */
static inline struct gy_cell *gy__ring_peek(const struct gy__in *in)
{
    struct gy_cell *cell = &in->ring->cells[in->head & (in->count - 1)];
    /* acquire: pairs with the release in gy__ring_flush(). */
    uint64_t word = atomic_load_explicit(gy__ring_word(cell), memory_order_acquire);
    return word >> GY__SHARD_SHIFT == gy__ring_lap(in->head, in->count) ? cell : NULL;
}

/* Give the slots of the cells that were run back to the sender. */
static inline void gy__ring_publish_head(struct gy__in *in)
{
    /* release: pairs with the acquire in gy__ring_has_room(); our reads of the slots are done. */
    atomic_store_explicit(&in->ring->head, in->head, memory_order_release);
    in->published = in->head;
}

#endif
