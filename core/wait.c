/* core/wait.c - lines of waiting futures.
 *
 * A future that waits is a slot of its actor, of kind GY__FUTURE_WAIT, linked into its line through
 * its value. Nobody owes it an answer, so waking stores the outcome in the slot; a woken one stays
 * linked, in the line's second list, until its consumer runs. Whatever else ends the slot unlinks
 * it and tells the line, so a line never leads to a slot that is free, and nothing that was given
 * is lost.
 *
 * Invariant: value.wait.line is the line exactly while the slot is in one of its lists; `when` says
 * in which. */
#include "core/bugs.h"
#include "core/future.h"

#include "gyre/wait.h"

#include <errno.h>

#define IN_LINE 0
#define IN_GIVEN 1 /* in future->when */

/* ---- lists ---- */

static struct gy__line *list_of(struct gy_waits *waits, const struct gy__future *future)
{
    return future->when == IN_GIVEN ? &waits->gy__given : &waits->gy__line;
}

static void push(struct gy_shard *shard, struct gy_waits *waits, struct gy__future *future,
                 unsigned where)
{
    uint32_t slot = gy__future_slot(shard, future);
    future->when = (uint8_t)(where & 1);
    struct gy__line *list = list_of(waits, future);
    future->value.wait.line = waits;
    future->value.wait.next = 0;
    future->value.wait.prev = list->last;
    if (list->last != 0)
        shard->futures[list->last].value.wait.next = slot;
    else
        list->first = slot;
    list->last = slot;
    list->count++;
}

static void pull(struct gy_shard *shard, struct gy__future *future)
{
    struct gy__line *list = list_of(future->value.wait.line, future);
    uint32_t next = future->value.wait.next, prev = future->value.wait.prev;
    if (prev != 0)
        shard->futures[prev].value.wait.next = next;
    else
        list->first = next;
    if (next != 0)
        shard->futures[next].value.wait.prev = prev;
    else
        list->last = prev;
    list->count--;
    future->value.wait.line = NULL;
}

/* ---- a future that waits, seen from core/future.c ---- */

static void depart(struct gy_shard *shard, struct gy__future *future, enum gy_left how)
{
    struct gy_waits *waits = future->value.wait.line;
    uint64_t word = future->value.word[0];
    pull(shard, future);
    if (gy__bug(GY__BUG_LEAKED_WAITER) && how == GY_LEFT_LOST)
        return;
    if (waits->gy__left != NULL)
        waits->gy__left(waits, (gy_fut){ future->bits }, how,
                        future->value.wait.a, how == GY_LEFT_LINE ? 0 : word);
}

void gy__wait_taken(struct gy_shard *shard, struct gy__future *future)
{
    if (future->value.wait.line != NULL)
        depart(shard, future, GY_LEFT_SEEN);
}

void gy__wait_left(struct gy_shard *shard, struct gy__future *future)
{
    if (future->value.wait.line != NULL)
        depart(shard, future,
               future->state != GY__FUTURE_DONE ? GY_LEFT_LINE :
               future->taken                    ? GY_LEFT_SEEN :
                                                  GY_LEFT_LOST);
}

void gy__wait_hand_over(struct gy_shard *shard, struct gy__future *from, struct gy__future *to)
{
    uint32_t slot = gy__future_slot(shard, to), next = from->value.wait.next,
             prev = from->value.wait.prev;
    struct gy__line *list = list_of(from->value.wait.line, from);
    GY_ASSERT(from->state == GY__FUTURE_DONE && from->when == IN_GIVEN);
    to->callee = GY__FUTURE_WAIT;
    to->when = IN_GIVEN;
    to->value.wait = from->value.wait;
    from->value.wait.line = NULL;
    *(prev != 0 ? &shard->futures[prev].value.wait.next : &list->first) = slot;
    *(next != 0 ? &shard->futures[next].value.wait.prev : &list->last) = slot;
    /* The word lies in the value already. */
    to->state = GY__FUTURE_DONE;
    to->res = from->res;
    to->size = sizeof(uint64_t);
    gy__future_ended(shard, to);
}

/* ---- lines ---- */

static struct gy_actor *owner_of(struct gy_shard *shard, const struct gy_waits *waits)
{
    return waits->gy__owner == 0 ? &shard->nobody : gy__actor_at(shard, waits->gy__owner);
}

void gy_waits_init(struct gy_waits *waits, struct gy_actor *owner, gy_left_fn *left)
{
    struct gy_shard *shard = gy__here(__func__);
    if (owner == NULL)
        owner = &shard->nobody;
    struct gy_waits *next = gy__more(shard, owner)->waits;
    *waits = (struct gy_waits){ .gy__owner = gy__actor_slot(owner), .gy__next = next,
                                .gy__left = left };
    if (next != NULL)
        next->gy__prevp = &waits->gy__next;
    gy__more(shard, owner)->waits = waits;
}

static void wake(struct gy_shard *shard, struct gy__future *future, uint64_t word)
{
    struct gy_waits *waits = future->value.wait.line;
    pull(shard, future);
    gy__future_store(future, 0, &word, sizeof(word), NULL);
    if (waits->gy__left != NULL)
        push(shard, waits, future, IN_GIVEN);
    gy__future_ended(shard, future);
}

static unsigned end_all(struct gy_shard *shard, struct gy__line *list, int res)
{
    unsigned n = 0;
    while (list->first != 0) {
        struct gy__future *future = &shard->futures[list->first];
        pull(shard, future);
        if (future->state != GY__FUTURE_PENDING)
            continue; /* what it was given is its own now */
        gy__future_store(future, res, NULL, 0, NULL);
        gy__future_ended(shard, future);
        n++;
    }
    return n;
}

void gy_waits_fini(struct gy_waits *waits, int res)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy_actor *owner = owner_of(shard, waits);
    GY_ASSERT(res < 0);
    if (waits->gy__prevp == NULL && gy__more(shard, owner)->waits != waits)
        return;
    if (waits->gy__prevp != NULL)
        *waits->gy__prevp = waits->gy__next;
    else
        gy__more(shard, owner)->waits = waits->gy__next;
    if (waits->gy__next != NULL)
        waits->gy__next->gy__prevp = waits->gy__prevp;
    waits->gy__prevp = NULL;
    end_all(shard, &waits->gy__given, res);
    end_all(shard, &waits->gy__line, res);
}

void gy__waits_actor_died(struct gy_shard *shard, struct gy_actor *actor)
{
    (void)shard;
    while (gy__more(shard, actor)->waits != NULL)
        gy_waits_fini(gy__more(shard, actor)->waits, -EOWNERDEAD);
}

gy_fut gy_waits_join(struct gy_waits *waits, uint64_t a, uint64_t b)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__future *future = gy__future_take(shard, shard->context.actor, GY__FUTURE_WAIT);
    if (future == NULL) {
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return gy__fut_refused(-EAGAIN);
    }
    future->pins = 0;
    future->value.wait.a = a;
    future->value.wait.b = b;
    push(shard, waits, future, IN_LINE);
    return (gy_fut){ future->bits };
}

bool gy_waits_wake(struct gy_waits *waits, uint64_t word)
{
    struct gy_shard *shard = gy__here(__func__);
    if (waits->gy__line.first == 0)
        return false;
    wake(shard, &shard->futures[waits->gy__line.first], word);
    return true;
}

unsigned gy_waits_wake_each(struct gy_waits *waits, uint64_t a, uint64_t word)
{
    struct gy_shard *shard = gy__here(__func__);
    /* Waking one may take others out of the line, or put some in: those present now are looked at.
     * */
    unsigned n = 0, looks = waits->gy__line.count;
    uint32_t slot = waits->gy__line.first;
    while (slot != 0 && looks-- > 0) {
        struct gy__future *future = &shard->futures[slot];
        slot = future->value.wait.next;
        if (future->value.wait.a != a)
            continue;
        wake(shard, future, word);
        n++;
        if (slot != 0 && (shard->futures[slot].value.wait.line != waits ||
                          shard->futures[slot].state != GY__FUTURE_PENDING)) {
            slot = waits->gy__line.first;
            looks = waits->gy__line.count;
        }
    }
    return n;
}

unsigned gy_waits_wake_all(struct gy_waits *waits, int res)
{
    return end_all(gy__here(__func__), &waits->gy__line, res);
}

bool gy_waits_call(struct gy_waits *waits, gy_fut *out, uint64_t *a, uint64_t *b)
{
    struct gy_shard *shard = gy__here(__func__);
    if (!gy_waits_first(waits, a, b))
        return false;
    struct gy__future *future = &shard->futures[waits->gy__line.first];
    pull(shard, future);
    push(shard, waits, future, IN_GIVEN);
    if (out != NULL)
        out->bits = future->bits;
    return true;
}

int gy_waits_answer(gy_fut fut, int res, const void *value, size_t size, struct gy_buf *buf)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__future *future = gy__future_find(shard, fut);
    GY_ASSERT(size <= (buf == NULL ? GY_MSG_INLINE : GY_MSG_INLINE_WITH_BUF));
    GY_ASSERT(res >= 0 || (size == 0 && buf == NULL));
    if (future == NULL || future->callee != GY__FUTURE_WAIT || future->when != IN_GIVEN ||
        future->state != GY__FUTURE_PENDING) {
        gy_buf_release(buf);
        return -ESRCH;
    }
    pull(shard, future);
    /* Its value lies where the links were. From here on it must not be looked at as one that waits.
     * */
    future->callee = GY__FUTURE_PAIR;
    gy__future_store(future, res, value, (uint32_t)size, buf);
    gy__future_ended(shard, future);
    return 0;
}

bool gy_waits_first(const struct gy_waits *waits, uint64_t *a, uint64_t *b)
{
    struct gy_shard *shard = gy__here(__func__);
    if (waits->gy__line.first == 0)
        return false;
    const struct gy__future *future = &shard->futures[waits->gy__line.first];
    if (a != NULL)
        *a = future->value.wait.a;
    if (b != NULL)
        *b = future->value.wait.b;
    return true;
}
