/* core/mesh.c - the rings between this shard and the others: reserve, publish, drain, sleep.
 *
 * A shard owns its `out` halves, its `in` halves, its pool of rings (those it writes to) and its door.
 * Casts, calls and control may fill half of a ring; the other half is for answers, of which there
 * are never more on their way than the other side has calls outstanding, half a ring at most. So an answer
 * always fits, and two full rings cannot wait for each other. A shard drains its inbound rings
 * whatever its outbound ones do. */
#include "core/bugs.h"
#include "core/kernel.h"
#include "core/links.h"
#include "core/names.h"

#include <errno.h>

/* With so few shards every ring is looked at in every turn. */
#define KEEPS_BITS_MAX 8
/* Rings that are touched before anybody uses them; and the smallest page there is. */
#define WARM_MAX (UINT64_C(4) << 20)
#define PAGE 4096
/* Polls without a find after which a bit is cleared. */
#define QUIET_MAX 64

int gy__mesh_open(struct gy_shard *shard)
{
    struct gy__mesh *mesh = &shard->mesh;
    uint32_t shards = shard->runtime->shard_count;
    mesh->ring_count = shard->runtime->config.ring_cells;
    mesh->door = &shard->runtime->doors[shard->index];
    mesh->out = gy__shard_memory(shard, shards * sizeof(struct gy__out));
    mesh->in = gy__shard_memory(shard, shards * sizeof(struct gy__in));
    mesh->dirty = gy__shard_memory(shard, shards * sizeof(uint16_t));
    mesh->moved = gy__shard_memory(shard, shards * sizeof(uint16_t));
    if (mesh->out == NULL || mesh->in == NULL || mesh->dirty == NULL || mesh->moved == NULL)
        return -ENOMEM;
    mesh->words = (shards + 63) / 64;
    mesh->keeps_bits = shards <= KEEPS_BITS_MAX;
    if (shards == 1)
        return 0;
    size_t bytes = sizeof(struct gy__ring) + mesh->ring_count * sizeof(struct gy_cell);
    mesh->rings = gy__shard_memory(shard, (shards - 1) * bytes);
    mesh->rings_left = shards - 1;
    mesh->stages = gy__shard_memory(shard, (shards - 1) * GY__STAGE * sizeof(struct gy_cell));
    return mesh->rings == NULL || mesh->stages == NULL ? -ENOMEM : 0;
}

void gy__mesh_warm(struct gy_shard *shard)
{
    const struct gy__mesh *mesh = &shard->mesh;
    size_t ring = sizeof(struct gy__ring) + mesh->ring_count * sizeof(struct gy_cell);
    size_t bytes = mesh->rings_left * ring;
    if (bytes > WARM_MAX)
        bytes = WARM_MAX;
    for (size_t at = 0; at < bytes; at += PAGE)
        *(volatile uint8_t *)(mesh->rings + at) = 0;
    for (uint32_t peer = 0; peer < mesh->rings_left; peer++)
        *(volatile uint8_t *)(mesh->stages + (size_t)peer * GY__STAGE) = 0;
}

/* The pair talks for the first time. */
static __attribute__((noinline)) bool ring_create(struct gy_shard *shard, uint32_t peer)
{
    struct gy__mesh *mesh = &shard->mesh;
    struct gy__out *out = &mesh->out[peer];
    if (mesh->rings_left == 0)
        return false;
    struct gy__ring *ring = (struct gy__ring *)(void *)mesh->rings;
    mesh->rings += sizeof(struct gy__ring) + mesh->ring_count * sizeof(struct gy_cell);
    mesh->rings_left--;
    gy__ring_init(ring, mesh->ring_count, 0);
    out->ring = ring;
    out->stage = mesh->stages;
    mesh->stages += GY__STAGE;
    out->count = mesh->ring_count;
    out->quota.max = mesh->ring_count / 8;
    /* release: pairs with the acquire in ring_of(); the receiver looks only once our bit is set. */
    atomic_store_explicit(
        &shard->runtime->rings[(size_t)peer * shard->runtime->shard_count + shard->index], ring,
        memory_order_release);
    return true;
}

/* Does the sender's quota leave room; looks at head again, since only the receiver moves it. */
static bool quota_has_room(struct gy__out *out, uint64_t sender)
{
    if (*gy__quota_of(&out->quota, sender) < out->quota.max)
        return true;
    /* acquire: as in gy__ring_has_room(). */
    out->head = atomic_load_explicit(&out->ring->head, memory_order_acquire);
    return out->head >= out->quota.mark;
}

bool gy__mesh_has_room(struct gy_shard *shard, uint32_t peer, uint64_t sender)
{
    struct gy__out *out = &shard->mesh.out[peer];
    if (out->ring == NULL)
        return shard->mesh.rings_left > 0;
    return gy__ring_has_room(out, out->count / 2) && quota_has_room(out, sender);
}

struct gy_cell *gy__mesh_reserve(struct gy_shard *shard, uint32_t peer, uint64_t sender)
{
    struct gy__out *out = &shard->mesh.out[peer];
    if (__builtin_expect(out->ring == NULL, 0) && !ring_create(shard, peer))
        return NULL;
    if (__builtin_expect(gy__ring_has_room(out, out->count / 2), 1)) {
        uint16_t *sent = gy__quota_of(&out->quota, sender);
        if (__builtin_expect(*sent < out->quota.max, 1) ||
            (quota_has_room(out, sender) && gy__quota_renew(&out->quota, out->head, out->tail))) {
            ++*sent;
            return gy__ring_reserve(out);
        }
    }
    gy__count(&shard->core_counters[GY__COUNT_RING_FULL], 1);
    return NULL;
}

struct gy_cell *gy__mesh_reserve_answer(struct gy_shard *shard, uint32_t peer)
{
    struct gy__out *out = &shard->mesh.out[peer];
    if (__builtin_expect(out->ring == NULL, 0) && !ring_create(shard, peer))
        return NULL;
    return gy__ring_has_room(out, out->count) ? gy__ring_reserve(out) : NULL;
}

void gy__mesh_commit(struct gy_shard *shard, uint32_t peer, struct gy_cell *cell, uint64_t target)
{
    gy__mesh_commit_hot(&shard->mesh, peer, cell, target);
}

/* ---- what found no room waits in its own record ---- */

static void send_discard(struct gy_shard *shard, uint32_t peer, struct gy_cell *cell,
                         const struct gy__future *future)
{
    cell->verb = &gy__verb_discard;
    cell->from.sender = 0;
    cell->fut = 0;
    cell->payload.word[0] = future->bits;
    gy__mesh_commit(shard, peer, cell, future->callee);
}

static bool has_backlog(const struct gy__out *out)
{
    return out->discards_first != 0 || out->notices_first != 0 || out->bufs != NULL ||
           out->names != 0;
}

static void backlog_add(struct gy__mesh *mesh, const struct gy__out *out)
{
    mesh->backlog += !has_backlog(out);
}

void gy__mesh_discard(struct gy_shard *shard, uint32_t peer, uint32_t slot)
{
    struct gy__out *out = &shard->mesh.out[peer];
    struct gy__future *future = &shard->futures[slot];
    if (future->pins & GY__PIN_DISCARD_WAITS)
        return;
    if (out->discards_first == 0 && gy__ring_has_room(out, out->count / 2)) {
        send_discard(shard, peer, gy__ring_reserve(out), future);
        return;
    }
    backlog_add(&shard->mesh, out);
    future->pins |= GY__PIN_DISCARD_WAITS;
    future->value.next_discard = 0;
    if (out->discards_first == 0)
        out->discards_first = slot;
    else
        shard->futures[out->discards_last].value.next_discard = slot;
    out->discards_last = slot;
}

static void send_notice(struct gy_shard *shard, uint32_t peer, struct gy_cell *cell,
                        uint32_t record)
{
    uint64_t to = shard->links[record].other;
    gy__link_notice_write(shard, record, cell);
    gy__mesh_commit(shard, peer, cell, to);
}

void gy__mesh_notice(struct gy_shard *shard, uint32_t peer, uint32_t record)
{
    struct gy__out *out = &shard->mesh.out[peer];
    /* Names end before their actor does. */
    if (out->notices_first == 0 && out->names == 0 &&
        (out->ring != NULL || ring_create(shard, peer)) && gy__ring_has_room(out, out->count / 2)) {
        send_notice(shard, peer, gy__ring_reserve(out), record);
        return;
    }
    if (gy__bug(GY__BUG_LOST_EXITED))
        return;
    backlog_add(&shard->mesh, out);
    shard->links[record].hash_next = 0;
    if (out->notices_first == 0)
        out->notices_first = record;
    else
        shard->links[out->notices_last].hash_next = record;
    out->notices_last = record;
}

/* News about a name is several cells, which must follow each other. */
static bool name_has_room(struct gy__out *out)
{
    return gy__ring_has_room(out, out->count / 2 - (GY__NAME_CELLS - 1));
}

bool gy__mesh_name_room(struct gy_shard *shard, uint32_t peer)
{
    struct gy__out *out = &shard->mesh.out[peer];
    return out->names == 0 && (out->ring != NULL || ring_create(shard, peer)) && name_has_room(out);
}

void gy__mesh_name(struct gy_shard *shard, uint32_t peer, uint32_t index)
{
    struct gy__out *out = &shard->mesh.out[peer];
    if (gy__mesh_name_room(shard, peer)) {
        gy__names_write(shard, peer, index);
        return;
    }
    backlog_add(&shard->mesh, out);
    out->names += gy__names_wait(shard, peer, index);
}

static void send_buf_home(struct gy_shard *shard, uint32_t peer, struct gy_cell *cell,
                          struct gy_buf *buf)
{
    cell->verb = &gy__verb_buf_home;
    cell->from.sender = 0;
    cell->fut = 0;
    cell->payload.with.buf = buf;
    gy__mesh_commit(shard, peer, cell, 0);
}

void gy__mesh_return_buf(struct gy_shard *shard, struct gy_buf *buf)
{
    uint32_t peer = buf->gy__home;
    struct gy__out *out = &shard->mesh.out[peer];
    if (out->bufs == NULL && (out->ring != NULL || ring_create(shard, peer)) &&
        gy__ring_has_room(out, out->count / 2)) {
        send_buf_home(shard, peer, gy__ring_reserve(out), buf);
        return;
    }
    backlog_add(&shard->mesh, out);
    buf->next = out->bufs;
    out->bufs = buf;
}

static __attribute__((noinline)) void backlog_send(struct gy_shard *shard)
{
    struct gy__mesh *mesh = &shard->mesh;
    for (uint32_t peer = 0; peer < shard->runtime->shard_count; peer++) {
        struct gy__out *out = &mesh->out[peer];
        if (!has_backlog(out))
            continue;
        while (out->discards_first != 0 && gy__ring_has_room(out, out->count / 2)) {
            struct gy__future *future = &shard->futures[out->discards_first];
            out->discards_first = (uint32_t)future->value.next_discard;
            if (future->pins & GY__PIN_ANSWER_DUE)
                send_discard(shard, peer, gy__ring_reserve(out), future);
            (void)gy__future_discard_left(shard, future);
        }
        while (out->names != 0 && name_has_room(out)) {
            out->names--;
            gy__names_write(shard, peer, gy__names_next(shard, peer));
        }
        while (out->notices_first != 0 && out->names == 0 &&
               gy__ring_has_room(out, out->count / 2)) {
            uint32_t record = out->notices_first;
            out->notices_first = shard->links[record].hash_next;
            send_notice(shard, peer, gy__ring_reserve(out), record);
        }
        while (out->bufs != NULL && gy__ring_has_room(out, out->count / 2)) {
            struct gy_buf *buf = out->bufs;
            out->bufs = buf->next;
            send_buf_home(shard, peer, gy__ring_reserve(out), buf);
        }
        mesh->backlog -= !has_backlog(out);
    }
}

void gy__mesh_announce(struct gy_shard *shard)
{
    for (uint32_t peer = 0; shard->mesh.backlog > 0 && peer < shard->runtime->shard_count; peer++)
        if (has_backlog(&shard->mesh.out[peer]))
            gy__ring_want_room(&shard->mesh.out[peer]);
}

bool gy__mesh_backlog_ready(struct gy_shard *shard)
{
    for (uint32_t peer = 0; shard->mesh.backlog > 0 && peer < shard->runtime->shard_count; peer++) {
        struct gy__out *out = &shard->mesh.out[peer];
        if (!has_backlog(out))
            continue;
        bool names_only = out->discards_first == 0 && out->bufs == NULL && out->names != 0;
        if (names_only ? name_has_room(out) : gy__ring_has_room(out, out->count / 2))
            return true;
    }
    return false;
}

/* ---- inbound ---- */

static struct gy__in *ring_of(struct gy_shard *shard, uint32_t from)
{
    struct gy__in *in = &shard->mesh.in[from];
    if (in->ring == NULL) {
        /* acquire: pairs with the release in ring_create(). */
        in->ring = atomic_load_explicit(
            &shard->runtime->rings[(size_t)shard->index * shard->runtime->shard_count + from],
            memory_order_acquire);
        in->count = shard->mesh.ring_count;
    }
    return in;
}

/* Quiet for long: clear the bit, so that nobody looks until the sender sets it again. */
static void bit_clear(struct gy_shard *shard, struct gy__in *in, uint32_t from)
{
    _Atomic uint64_t *word = &shard->mesh.door->written[from / 64];
    in->quiet = 0;
    /* Then the fence: pairs with the one in gy__mesh_publish(), after which the sender looks at the
     * bit. Either it sees the bit clear and sets it, or we see its cell. */
    atomic_fetch_and_explicit(word, ~(UINT64_C(1) << from % 64), memory_order_acq_rel);
    gy__full_fence();
    if (gy__ring_peek(in) != NULL)
        atomic_fetch_or_explicit(word, UINT64_C(1) << from % 64, memory_order_relaxed);
}

/* -> false when time is up. */
static inline bool drain_from(struct gy_shard *shard, uint32_t from, uint64_t stop_ns)
{
    struct gy__in *in = ring_of(shard, from);
    struct gy_cell *cell = gy__ring_peek(in);
    if (cell != NULL) {
        if (gy__ring_run(shard, from, cell, stop_ns))
            return true;
        /* It used up the time, and may do so again: the next turn begins with those behind it. */
        shard->mesh.start = from + 1 == shard->runtime->shard_count ? 0 : from + 1;
        return false;
    }
    if (++in->quiet >= QUIET_MAX && !shard->mesh.keeps_bits)
        bit_clear(shard, in, from);
    return true;
}

static inline bool word_drain(struct gy_shard *shard, uint32_t word, uint64_t bits,
                              uint64_t stop_ns)
{
    for (; bits != 0; bits &= bits - 1)
        if (!drain_from(shard, word * 64 + (uint32_t)__builtin_ctzll(bits), stop_ns))
            return false;
    return true;
}

/* The bits at or behind a rotating start, then those before it. */
static __attribute__((noinline)) void words_drain(struct gy_shard *shard, uint64_t stop_ns)
{
    struct gy__mesh *mesh = &shard->mesh;
    uint32_t words = mesh->words, start = mesh->start;
    mesh->start = start + 1 == shard->runtime->shard_count ? 0 : start + 1;
    uint32_t w = start / 64;
    uint64_t behind = ~UINT64_C(0) << start % 64;
    /* acquire: pairs with the fetch_or in gy__mesh_publish(); the ring's pointer is there. */
    uint64_t first = atomic_load_explicit(&mesh->door->written[w], memory_order_acquire);
    if (!word_drain(shard, w, first & behind, stop_ns))
        return;
    for (uint32_t i = 1; i < words; i++) {
        w = w + 1 == words ? 0 : w + 1;
        uint64_t bits = atomic_load_explicit(&mesh->door->written[w], memory_order_acquire);
        if (!word_drain(shard, w, bits, stop_ns))
            return;
    }
    (void)word_drain(shard, start / 64, first & ~behind, stop_ns);
}

void gy__mesh_drain(struct gy_shard *shard, uint64_t stop_ns)
{
    /* acquire: as in words_drain(). */
    uint64_t bits = atomic_load_explicit(&shard->mesh.door->written[0], memory_order_acquire);
    shard->mesh.clock_left = GY__RING_STRIDE;
    /* Between two there is no order to keep. */
    if (__builtin_expect((bits & (bits - 1)) == 0 && shard->mesh.words == 1, 1)) {
        if (bits != 0)
            (void)drain_from(shard, (uint32_t)__builtin_ctzll(bits), stop_ns);
        return;
    }
    words_drain(shard, stop_ns);
}

void gy__mesh_drain_all(struct gy_shard *shard)
{
    shard->mesh.clock_left = GY__RING_STRIDE;
    /* Each ring may be in the list of moved heads once. */
    gy__mesh_publish(shard);
    for (uint32_t from = 0; from < shard->runtime->shard_count; from++) {
        struct gy__in *in = ring_of(shard, from);
        struct gy_cell *cell = in->ring != NULL ? gy__ring_peek(in) : NULL;
        if (cell != NULL)
            (void)gy__ring_run(shard, from, cell, UINT64_MAX);
    }
}

bool gy__mesh_inbound_many(const struct gy__mesh *mesh)
{
    for (uint32_t w = 0; w < mesh->words; w++) {
        uint64_t bits = atomic_load_explicit(&mesh->door->written[w], memory_order_acquire);
        for (; bits != 0; bits &= bits - 1) {
            const struct gy__in *in = &mesh->in[w * 64 + (uint32_t)__builtin_ctzll(bits)];
            if (in->ring == NULL || gy__ring_peek(in) != NULL)
                return true;
        }
    }
    return false;
}

bool gy__mesh_is_empty(struct gy_shard *shard)
{
    /* Not by the bits: a sender may be between its flush and its bit. */
    for (uint32_t from = 0; from < shard->runtime->shard_count; from++) {
        const struct gy__in *in = ring_of(shard, from);
        if (in->ring != NULL && gy__ring_peek(in) != NULL)
            return false;
    }
    return true;
}

/* ---- publish, and the door ---- */

/* If that shard sleeps, take the duty to wake it: one waker per sleep. */
static bool door_unpark(struct gy__door *door)
{
    if (atomic_load_explicit(&door->sleeping, memory_order_relaxed) == 0)
        return false;
    return atomic_exchange_explicit(&door->sleeping, 0, memory_order_seq_cst) != 0;
}

bool gy__runtime_unpark(struct gy_runtime *runtime, unsigned shard)
{
    /* The full fence between what the caller just published and the look at `sleeping`; pairs with
     * the one in gy__shard_announce_sleep(). */
    gy__full_fence();
    return door_unpark(&runtime->doors[shard]);
}

static void wake_if_asleep(struct gy_shard *shard, uint32_t peer)
{
    if (!door_unpark(&shard->runtime->doors[peer]))
        return;
    gy__count(&shard->core_counters[GY__COUNT_WAKES], 1);
    shard->driver->wake(shard->ctx, peer);
}

/* Everything is visible: look at the doors of those who got something, and who wants room. */
static __attribute__((noinline)) void doors_look(struct gy_shard *shard)
{
    struct gy__mesh *mesh = &shard->mesh;
    for (uint32_t i = 0; i < mesh->dirty_count; i++) {
        uint32_t peer = mesh->dirty[i];
        _Atomic uint64_t *word = &shard->runtime->doors[peer].written[shard->index / 64];
        uint64_t bit = UINT64_C(1) << shard->index % 64;
        if (__builtin_expect(!(atomic_load_explicit(word, memory_order_relaxed) & bit), 0)) {
            /* release: pairs with the acquire in gy__mesh_drain(). Then the fence, before the look at
             * `sleeping` below: a sleeper's second look, which goes by the bits, finds this one or we
             * find the sleeper. Pairs with the one in gy__shard_announce_sleep(). */
            atomic_fetch_or_explicit(word, bit, memory_order_acq_rel);
            gy__full_fence();
        }
        wake_if_asleep(shard, peer);
    }
    for (uint32_t i = 0; i < mesh->moved_count; i++) {
        uint32_t peer = mesh->moved[i];
        _Atomic uint32_t *want = &mesh->in[peer].ring->want_room;
        if (atomic_load_explicit(want, memory_order_relaxed) != 0 &&
            /* acquire in it: pairs with gy__ring_want_room(); we see that the sender sleeps. */
            atomic_exchange_explicit(want, 0, memory_order_seq_cst) != 0)
            wake_if_asleep(shard, peer);
    }
    gy__count(&shard->core_counters[GY__COUNT_FLUSHES], mesh->dirty_count);
    gy__count(&shard->core_counters[GY__COUNT_RING_CELLS], mesh->ran);
    gy__count(&shard->core_counters[GY__COUNT_CELLS], mesh->ran);
    mesh->dirty_count = mesh->moved_count = mesh->ran = 0;
}

static __attribute__((noinline)) void publish_many(struct gy_shard *shard)
{
    struct gy__mesh *mesh = &shard->mesh;
    if (mesh->backlog > 0)
        backlog_send(shard);
    if (mesh->dirty_count == 0 && mesh->moved_count == 0)
        return;
    /* Heads first: the credit of an answer that was run may be in a call that leaves here, and whoever
     * runs that must find the room for its answer (FLUSH_BEFORE_HEAD in tests/model). */
    for (uint32_t i = 0; i < mesh->moved_count; i++)
        gy__ring_publish_head(&mesh->in[mesh->moved[i]]);
    for (uint32_t i = 0; i < mesh->dirty_count; i++)
        gy__ring_flush(&mesh->out[mesh->dirty[i]]);
    /* Once per turn for all peers: our cells and heads are visible before we look at their doors.
     * Pairs with the fences in gy__shard_announce_sleep() and bit_clear(). */
    gy__full_fence();
    doors_look(shard);
}

void gy__mesh_publish(struct gy_shard *shard)
{
    struct gy__mesh *mesh = &shard->mesh;
    struct gy__out *out = &mesh->out[mesh->dirty[0]];
    if (mesh->dirty_count != 1 || mesh->moved_count > 1 || mesh->backlog > 0 ||
        out->tail - out->flushed != 1) {
        publish_many(shard);
        return;
    }
    /* One message, an answer mostly: the same in fewer steps, since somebody may wait for it. */
    if (mesh->moved_count > 0)
        gy__ring_publish_head(&mesh->in[mesh->moved[0]]);
    gy__ring_flush_one(out);
    /* As in publish_many(), the order too. */
    gy__full_fence();
    doors_look(shard);
}
