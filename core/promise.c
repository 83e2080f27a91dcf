/* core/promise.c - the callee's side of a call: answering, and promises kept beyond their handler.
 *
 * A promise is the bits of the caller's future. While its handler runs it is the shard's context.promise; a
 * kept one has a record in a pool of the callee's shard, in the list of its actor, found by hash of the
 * bits. Each call is answered exactly once: by the handler, by the record's end (answered, discarded, actor died), or
 * by the runtime when the handler did neither.
 *
 * The promise of a pair needs no record while nothing is tied to it: that it is open says the slot of its
 * future (GY__PIN_OPEN), which is here, and which ends with the same actor. */
#include "core/ask.h"
#include "core/future.h"
#include "core/kernel.h"

#include <errno.h>
#include <string.h>

int gy__kept_open(struct gy_shard *shard)
{
    uint32_t count = shard->runtime->config.futures;
    uint32_t buckets = 1;
    while (buckets < count)
        buckets *= 2;
    /* Record 0 is "none", so that zeroed memory is an empty table. */
    shard->kept = gy__shard_memory(shard, ((size_t)count + 1) * sizeof(struct gy__kept));
    shard->kept_buckets = gy__shard_memory(shard, (size_t)buckets * sizeof(uint32_t));
    if (shard->kept == NULL || shard->kept_buckets == NULL)
        return -ENOMEM;
    shard->kept_mask = buckets - 1;
    shard->kept_count = count;
    return 0;
}

static uint32_t *bucket_of(struct gy_shard *shard, uint64_t promise)
{
    uint64_t hash = (promise ^ promise >> 31) * UINT64_C(0x9E3779B97F4A7C15);
    return &shard->kept_buckets[(hash >> 32) & shard->kept_mask];
}

/* The link that leads to the record of a promise; it holds 0 if there is none. */
static uint32_t *kept_link(struct gy_shard *shard, uint64_t promise)
{
    uint32_t *link = bucket_of(shard, promise);
    while (*link != 0 && shard->kept[*link].promise != promise)
        link = &shard->kept[*link].hash_next;
    return link;
}

/* Out of all lists; -> its record, which is still taken. */
static struct gy__kept *kept_unlink(struct gy_shard *shard, uint32_t *link)
{
    struct gy__kept *kept = &shard->kept[*link];
    *link = kept->hash_next;
    if (kept->prev != 0)
        shard->kept[kept->prev].next = kept->next;
    else
        (kept->actor == 0 ? &shard->nobody : gy__actor_at(shard, kept->actor))->gy__kept =
            kept->next;
    if (kept->next != 0)
        shard->kept[kept->next].prev = kept->prev;
    return kept;
}

static void kept_give(struct gy_shard *shard, struct gy__kept *kept)
{
    kept->hash_next = shard->kept_free;
    shard->kept_free = (uint32_t)(kept - shard->kept);
    shard->kept_live--;
}

static void kept_free(struct gy_shard *shard, uint32_t *link)
{
    kept_give(shard, kept_unlink(shard, link));
}

int gy__keep(struct gy_shard *shard, struct gy_actor *actor, uint64_t promise)
{
    uint32_t index = shard->kept_free;
    if (index != 0)
        shard->kept_free = shard->kept[index].hash_next;
    else if (shard->kept_used < shard->kept_count)
        index = ++shard->kept_used;
    else
        return -EAGAIN;
    struct gy__kept *kept = &shard->kept[index];
    uint32_t *bucket = bucket_of(shard, promise);
    *kept = (struct gy__kept){ promise, gy__actor_slot(actor), *bucket, actor->gy__kept, 0, 0 };
    *bucket = index;
    if (kept->next != 0)
        shard->kept[kept->next].prev = index;
    actor->gy__kept = index;
    shard->kept_live++;
    return 0;
}

/* The future of a pair whose promise is open and has no record, else NULL. */
static inline struct gy__future *pair_find(const struct gy_shard *shard, uint64_t promise)
{
    struct gy__future *future = gy__future_at(shard, promise);
    return future != NULL && future->pins & GY__PIN_OPEN ? future : NULL;
}

/* Its promise is no longer out. */
static inline void pair_close(struct gy_shard *shard, struct gy__future *future)
{
    future->pins &= (uint8_t)~GY__PIN_OPEN;
    if (__builtin_expect(future->state == GY__FUTURE_GONE, 0))
        gy__future_unlink(shard, future, gy__future_owner(shard, future));
}

/* Something is to be tied to a promise: its record, which a pair gets only now.
 * -> 0; -ESRCH neither kept nor open; -EAGAIN no record left. */
static int kept_record(struct gy_shard *shard, uint64_t promise, struct gy__kept **out)
{
    struct gy__future *pair = pair_find(shard, promise);
    if (pair != NULL) {
        int err = gy__keep(shard, gy__future_owner(shard, pair), promise);
        if (err < 0)
            return err;
        pair_close(shard, pair);
    }
    *out = &shard->kept[*kept_link(shard, promise)];
    return *out == shard->kept ? -ESRCH : 0;
}

int gy_keep(gy_promise promise)
{
    struct gy_shard *shard = gy__here_hot(__func__);
    if (promise.bits == 0 || promise.bits != shard->context.promise)
        return -ESRCH;
    int err = gy__keep(shard, shard->context.actor, promise.bits);
    if (err < 0)
        return err;
    shard->context.promise = 0;
    /* Discarded while the call was still queued here. */
    if (promise.bits >> GY__SHARD_SHIFT == shard->index && !gy__future_waits(shard, promise.bits))
        gy__kept_discard(shard, 0, promise.bits);
    return 0;
}

int gy_discarded(gy_promise promise)
{
    struct gy_shard *shard = gy__here_hot(__func__);
    return promise.bits != shard->context.promise && pair_find(shard, promise.bits) == NULL &&
           *kept_link(shard, promise.bits) == 0;
}

void gy__answer(struct gy_shard *shard, uint64_t promise, int res, const void *value, size_t size,
                struct gy_buf *buf)
{
    uint32_t peer = (uint32_t)(promise >> GY__SHARD_SHIFT);
    if (__builtin_expect(peer == GY__SHARD_OUTSIDE, 0)) {
        gy__ask_answer(shard, promise, res, value, size, buf);
        return;
    }
    struct gy_cell *cell = peer == shard->index ? gy__fifo_push(&shard->fifo) :
                                                  gy__mesh_reserve_answer(shard, peer);
    GY_ASSERT(cell != NULL);
    cell->verb = buf == NULL ? &gy__verb_answer : &gy__verb_answer_buf;
    cell->from.res = res;
    cell->fut = size;
    if (size > 0)
        memcpy(cell->payload.word, value, size);
    if (buf != NULL)
        cell->payload.with.buf = buf;
    if (peer == shard->index)
        cell->target = promise;
    else
        gy__mesh_commit(shard, peer, cell, promise);
}

static __attribute__((noinline)) bool kept_use(struct gy_shard *shard, uint64_t promise)
{
    uint32_t *link = kept_link(shard, promise);
    if (*link == 0)
        return false;
    kept_free(shard, link);
    return true;
}

/* The handler's own promise, that of a pair, or the record of a kept one, is used up. -> false: it is
 * none of these. */
static inline bool promise_use(struct gy_shard *shard, uint64_t promise)
{
    if (promise == shard->context.promise && promise != 0) {
        shard->context.promise = 0;
        return true;
    }
    struct gy__future *pair = pair_find(shard, promise);
    if (pair == NULL)
        return kept_use(shard, promise);
    pair_close(shard, pair);
    return true;
}

/* The cell of an answer to this shard, empty but for its target. NULL: it goes elsewhere, or the queue's
 * block is full. It calls nothing. */
static inline struct gy_cell *answer_local(struct gy_shard *shard, uint64_t promise)
{
    struct gy__fifo *fifo = &shard->fifo;
    struct gy_cell *cell = fifo->chain.tail;
    if (__builtin_expect((promise ^ shard->self_bits) >> GY__SHARD_SHIFT != 0 ||
                             cell == fifo->stop,
                         0))
        return NULL;
    fifo->chain.tail = cell + 1;
    cell->target = promise;
    return cell;
}

static inline void answer_fill(struct gy_cell *cell, size_t size, uint64_t w0, uint64_t w1,
                               uint64_t w2, uint64_t w3)
{
    cell->verb = &gy__verb_answer;
    cell->from.res = 0;
    cell->fut = size;
    cell->payload.word[0] = w0;
    cell->payload.word[1] = w1;
    cell->payload.word[2] = w2;
    cell->payload.word[3] = w3;
}

/* In every case but the commonest. */
static __attribute__((noinline)) int resolve_slow(gy_promise promise, size_t size, uint64_t w0,
                                                  uint64_t w1, uint64_t w2, uint64_t w3)
{
    struct gy_shard *shard = gy__self();
    uint32_t peer = (uint32_t)(promise.bits >> GY__SHARD_SHIFT);
    GY_ASSERT(size <= GY_MSG_INLINE);
    if (!promise_use(shard, promise.bits))
        return -ESRCH;
    if (peer == shard->index || peer == GY__SHARD_OUTSIDE) {
        const uint64_t words[] = { w0, w1, w2, w3 };
        gy__answer(shard, promise.bits, 0, words, size, NULL);
        return 0;
    }
    struct gy_cell *cell = gy__mesh_reserve_answer(shard, peer);
    GY_ASSERT(cell != NULL);
    answer_fill(cell, size, w0, w1, w2, w3);
    gy__mesh_commit(shard, peer, cell, promise.bits);
    return 0;
}

int gy_resolve_words(gy_promise promise, size_t size, uint64_t w0, uint64_t w1, uint64_t w2,
                     uint64_t w3)
{
    struct gy_shard *shard = gy__here_hot(__func__);
    struct gy_cell *cell = NULL;
    if (__builtin_expect(promise.bits != 0, 1) &&
        __builtin_expect(promise.bits == shard->context.promise, 1) &&
        __builtin_expect(size <= GY_MSG_INLINE, 1))
        cell = answer_local(shard, promise.bits);
    if (__builtin_expect(cell == NULL, 0))
        return resolve_slow(promise, size, w0, w1, w2, w3);
    shard->context.promise = 0;
    answer_fill(cell, size, w0, w1, w2, w3);
    return 0;
}

int gy_resolve_short(gy_promise promise, size_t size, uint64_t w0, uint64_t w1)
{
    struct gy_shard *shard = gy__here_hot(__func__);
    struct gy_cell *cell = NULL;
    if (__builtin_expect(promise.bits != 0, 1) &&
        __builtin_expect(promise.bits == shard->context.promise, 1) &&
        __builtin_expect(size <= GY_MSG_SHORT, 1))
        cell = answer_local(shard, promise.bits);
    if (__builtin_expect(cell == NULL, 0))
        return resolve_slow(promise, size, w0, w1, 0, 0);
    shard->context.promise = 0;
    cell->verb = &gy__verb_answer;
    cell->from.res = 0;
    cell->fut = size;
    cell->payload.word[0] = w0;
    cell->payload.word[1] = w1;
    return 0;
}

static __attribute__((noinline)) int resolve_raw_slow(gy_promise promise, int res,
                                                      const void *value, size_t size,
                                                      struct gy_buf *buf)
{
    struct gy_shard *shard = gy__self();
    GY_ASSERT(size <= (buf == NULL ? GY_MSG_INLINE : GY_MSG_INLINE_WITH_BUF));
    GY_ASSERT(res >= 0 || (size == 0 && buf == NULL));
    if (!promise_use(shard, promise.bits)) {
        gy_buf_release(buf);
        return -ESRCH;
    }
    gy__answer(shard, promise.bits, res, value, size, buf);
    return 0;
}

int gy_resolve_raw(gy_promise promise, int res, const void *value, size_t size, struct gy_buf *buf)
{
    struct gy_shard *shard = gy__here_hot(__func__);
    if (size != 0 || buf != NULL)
        return resolve_raw_slow(promise, res, value, size, buf);
    struct gy_cell *cell = NULL;
    if (promise.bits != shard->context.promise) {
        struct gy__future *pair = pair_find(shard, promise.bits);
        cell = shard->fifo.chain.tail;
        if (__builtin_expect(pair == NULL || pair->state == GY__FUTURE_GONE ||
                                 cell == shard->fifo.stop, 0))
            return resolve_raw_slow(promise, res, value, size, buf);
        /* As one word, which is what its answer looks at. */
        pair->all &= ~gy__future_all(GY__FUTURE_FREE, GY__PIN_OPEN);
        shard->fifo.chain.tail = cell + 1;
        cell->target = promise.bits;
    } else {
        if (promise.bits != 0)
            cell = answer_local(shard, promise.bits);
        if (__builtin_expect(cell == NULL, 0))
            return resolve_raw_slow(promise, res, value, size, buf);
        shard->context.promise = 0;
    }
    cell->verb = &gy__verb_answer;
    cell->from.res = res;
    cell->fut = 0;
    return 0;
}

int gy_reject(gy_promise promise, int err)
{
    /* The caller must not take a mistake here for success. */
    int rc = gy_resolve_raw(promise, err < 0 ? err : -EINVAL, NULL, 0, NULL);
    return rc == 0 && err >= 0 ? -EINVAL : rc;
}

/* A future's bits name its slot above the lower 32, and no future has slot 0. */
static bool is_flow(uint64_t tied)
{
    return tied != 0 && tied >> 32 == 0;
}

int gy_discard_with(gy_promise promise, gy_fut fut)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__kept *kept = NULL;
    int err = kept_record(shard, promise.bits, &kept);
    if (err == -ESRCH)
        gy_discard(fut);
    if (err < 0)
        return err;
    if (is_flow(kept->tied))
        return -EBUSY;
    kept->tied = gy_refused(fut) < 0 ? 0 : fut.bits;
    return 0;
}

/* Discard the tied futures of what was given up. That may give up more: a loop, not recursion,
 * because a chain of promises that wait for each other may be long. */
static void tied_discard(struct gy_shard *shard)
{
    if (shard->kept_discards)
        return;
    shard->kept_discards = true;
    while (shard->kept_tied != 0) {
        struct gy__kept *kept = &shard->kept[shard->kept_tied];
        gy_fut tied = { kept->tied };
        shard->kept_tied = kept->hash_next;
        kept_give(shard, kept);
        gy_discard(tied);
    }
    shard->kept_discards = false;
}

void gy__kept_discard(struct gy_shard *shard, uint64_t callee, uint64_t promise)
{
    uint32_t *link = kept_link(shard, promise);
    if (*link == 0) {
        struct gy_actor *actor = gy__actor_find(shard, callee);
        if (actor != NULL && gy__more(shard, actor)->stash != NULL)
            gy__stash_discard(shard, actor, promise);
        return;
    }
    struct gy__kept *kept = kept_unlink(shard, link);
    gy__answer(shard, promise, -ECANCELED, NULL, 0, NULL);
    if (is_flow(kept->tied))
        gy__flow_cancel(shard, (uint32_t)kept->tied);
    if (kept->tied == 0 || is_flow(kept->tied)) {
        kept_give(shard, kept);
        return;
    }
    kept->hash_next = shard->kept_tied;
    shard->kept_tied = (uint32_t)(kept - shard->kept);
    tied_discard(shard);
}

void gy__kept_actor_died(struct gy_shard *shard, struct gy_actor *actor)
{
    while (actor->gy__kept != 0) {
        uint64_t promise = shard->kept[actor->gy__kept].promise;
        kept_free(shard, kept_link(shard, promise));
        gy__answer(shard, promise, -EOWNERDEAD, NULL, 0, NULL);
    }
}

int gy__kept_by_flow(struct gy_shard *shard, struct gy_actor *actor, uint64_t promise,
                     uint32_t flow)
{
    if (promise != 0 && promise == shard->context.promise) {
        int err = gy_keep((gy_promise){ promise });
        if (err < 0)
            return err;
    }
    struct gy__kept *kept = NULL;
    int err = kept_record(shard, promise, &kept);
    if (err < 0)
        return err;
    if (kept->actor != gy__actor_slot(actor) || is_flow(kept->tied))
        return -ESRCH;
    kept->tied = flow;
    return 0;
}

bool gy__kept_end(struct gy_shard *shard, uint64_t promise, uint32_t flow)
{
    uint32_t *link = kept_link(shard, promise);
    if (*link == 0 || shard->kept[*link].tied != flow)
        return false;
    kept_free(shard, link);
    return true;
}
