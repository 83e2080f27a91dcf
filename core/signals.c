/* core/signals.c - signals as messages: see gyre/signal.h.
 *
 * A driver takes signals on one thread and tells here; each shard that has subscribers gets a count in
 * a word of its own and a request, as for drain and stop, and wakes. Its next turn adds the count to
 * what each subscriber is owed, and casts. What is refused stays owed and is tried again by a timer.
 *
 * `signals_mask` and `signals_taken` of a shard are read and written by other threads: the mask says
 * who wants to be told; a count is added before the request is made, and taken after it was
 * cleared, so that none is missed. */
#include "core/signals.h"
#include "gyre/signal.h"

#include <errno.h>
#include <string.h>

#define SUBS_MAX 256
#define RETRY_NS (UINT64_C(1000) * 1000)
_Static_assert(sizeof(struct gy_signal) == 8, "one word of a message");

static void retry(struct gy__timer *timer)
{
    (void)timer;
    gy__signals_deliver(gy__self());
}

int gy__signal_subs_open(struct gy_shard *shard)
{
    shard->signal_subs = gy__shard_memory(shard, SUBS_MAX * sizeof(struct gy__signal_sub));
    shard->signals_retry.fire = retry;
    return shard->signal_subs == NULL ? -ENOMEM : 0;
}

/* ---- subscribing ---- */

static struct gy__signal_sub *find(struct gy_shard *shard, uint64_t pid, int number)
{
    for (uint32_t i = 0; i < shard->signal_subs_used; i++) {
        struct gy__signal_sub *sub = &shard->signal_subs[i];
        if (sub->pid == pid && sub->number == number)
            return sub;
    }
    return NULL;
}

static struct gy__signal_sub *take(struct gy_shard *shard)
{
    for (uint32_t i = 0; i < shard->signal_subs_used; i++)
        if (shard->signal_subs[i].pid == 0)
            return &shard->signal_subs[i];
    return shard->signal_subs_used == SUBS_MAX ? NULL :
                                                 &shard->signal_subs[shard->signal_subs_used++];
}

/* The signals that somebody here wants. */
static void mask_set(struct gy_shard *shard)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < shard->signal_subs_used; i++)
        if (shard->signal_subs[i].pid != 0)
            mask |= UINT64_C(1) << shard->signal_subs[i].number % GY__SIGNALS;
    /* release: pairs with the acquire in gy__runtime_signal(), though nothing hangs on it but that a
     * subscriber is told of what comes later. */
    atomic_store_explicit(&shard->signals_mask, mask, memory_order_release);
}

int gy_signal_raw(struct gy_actor *self, int number, const struct gy_verb *verb)
{
    struct gy_shard *shard = gy__here(__func__);
    if (verb == NULL || verb->size != sizeof(struct gy_signal) ||
        verb->flags & (GY_VERB_CALL | GY_VERB_BUF) ||
        verb->type != gy__stats_of(self)->type) {
        gy__complain("signal %d: its verb is a cast of the actor's own, of a struct gy_signal", number);
        return -EINVAL;
    }
    if (find(shard, self->pid.bits, number) != NULL)
        return -EBUSY;
    struct gy__signal_sub *sub = take(shard);
    if (sub == NULL)
        return -EAGAIN;
    int err = number < 1 || number > GY__SIGNALS ? -EINVAL :
                                                   shard->driver->signal_watch(shard->ctx, number);
    if (err < 0) {
        gy__complain("signal %d: %s", number,
                     err == -EBUSY  ? "it is the runtime's own: config.handle_signals" :
                     err == -EINVAL ? "nobody can subscribe to it" :
                                      "the system refuses it");
        return err;
    }
    *sub = (struct gy__signal_sub){self->pid.bits, verb, 0, number};
    mask_set(shard);
    return 0;
}

int gy_signal_stop(struct gy_actor *self, int number)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__signal_sub *sub = find(shard, self->pid.bits, number);
    if (sub == NULL)
        return -ESRCH;
    sub->pid = 0;
    mask_set(shard);
    return 0;
}

void gy__signals_actor_died(struct gy_shard *shard, struct gy_actor *actor)
{
    bool had = false;
    for (uint32_t i = 0; i < shard->signal_subs_used; i++) {
        if (shard->signal_subs[i].pid != actor->pid.bits)
            continue;
        shard->signal_subs[i].pid = 0;
        had = true;
    }
    if (had)
        mask_set(shard);
}

/* ---- telling ---- */

void gy__runtime_signal(struct gy_runtime *runtime, int number)
{
    uint64_t bit = UINT64_C(1) << number % GY__SIGNALS;
    for (uint32_t i = 0; i < runtime->shard_count; i++) {
        struct gy_shard *shard = runtime->shards[i];
        /* acquire: pairs with the release in mask_set(). */
        if (shard == NULL ||
            !(atomic_load_explicit(&shard->signals_mask, memory_order_acquire) & bit))
            continue;
        /* relaxed: the request that follows publishes it. */
        atomic_fetch_add_explicit(&shard->signals_taken[number % GY__SIGNALS], 1,
                                  memory_order_relaxed);
        gy__runtime_request(runtime, i, GY__REQUEST_SIGNAL);
        if (gy__runtime_unpark(runtime, i))
            runtime->wake(runtime->wake_arg, i);
    }
}

static void collect(struct gy_shard *shard)
{
    uint64_t mask = atomic_load_explicit(&shard->signals_mask, memory_order_relaxed);
    /* seq_cst: pairs with gy__runtime_request(); who adds after this makes a new request. */
    atomic_fetch_and_explicit(&shard->mesh.door->requests, ~(uint32_t)GY__REQUEST_SIGNAL,
                              memory_order_seq_cst);
    for (unsigned at = 0; at < GY__SIGNALS; at++) {
        uint32_t taken = atomic_exchange_explicit(&shard->signals_taken[at], 0, memory_order_relaxed);
        if (taken == 0 || !(mask >> at & 1))
            continue;
        for (uint32_t i = 0; i < shard->signal_subs_used; i++) {
            struct gy__signal_sub *sub = &shard->signal_subs[i];
            if (sub->pid != 0 && (unsigned)sub->number % GY__SIGNALS == at)
                sub->owed += taken;
        }
    }
}

void gy__signals_deliver(struct gy_shard *shard)
{
    bool left = false;
    collect(shard);
    for (uint32_t i = 0; i < shard->signal_subs_used; i++) {
        struct gy__signal_sub *sub = &shard->signal_subs[i];
        if (sub->pid == 0 || sub->owed == 0)
            continue;
        struct gy_signal signal = {sub->number,
                                   sub->owed > UINT32_MAX ? UINT32_MAX : (uint32_t)sub->owed};
        uint64_t word;
        memcpy(&word, &signal, sizeof(word));
        if (gy_cast_words((gy_pid){sub->pid}, sub->verb, word, 0, 0, 0) == 0)
            sub->owed -= signal.count;
        left = left || sub->owed > 0;
    }
    if (left)
        gy__timer_arm(&shard->wheel, &shard->signals_retry, shard->now_ns + RETRY_NS);
}
