/* core/sharded.c - a service of one actor per shard: calls to all, and a combinator over them.
 *
 * While they start, the array of pids holds the futures of the spawns: both are one word. */
#include "gyre/sharded.h"

#include "core/kernel.h"
#include "gyre/future.h"

#include <errno.h>

/* Slots beside those of the calls: settle and chain, and one to spare. */
#define COMBINATORS 3

uint64_t gy_hash_bytes(const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    /* FNV-1a; gy_hash_key mixes it before it is used. */
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (; len > 0; len--, at++)
        hash = (hash ^ *at) * UINT64_C(0x100000001B3);
    return hash;
}

/* Put the pid in the place of its future. -> 0; why there is none. */
static int started(gy_pid *place)
{
    gy_fut fut = { place->bits };
    int err = gy_refused(fut);
    *place = (gy_pid){ 0 };
    return err < 0 ? err : gy_value_raw(fut, place, sizeof(*place));
}

static void stop_started(struct gy_sharded *service, int why)
{
    for (uint32_t i = 0; i < service->count; i++) {
        gy_pid pid = service->pids[i];
        service->pids[i] = (gy_pid){ 0 };
        if (pid.bits != 0 && gy_actor_stop_now(pid, why) == -EAGAIN)
            gy_log("an actor on shard %u is left over from a start that failed", i);
    }
}

static void all_ended(struct gy_actor *self, const struct gy_done *done, gy_promise out)
{
    struct gy_sharded *service = (struct gy_sharded *)(uintptr_t)done->ctx;
    int first = done->res < 0 ? done->res : 0;
    (void)self;
    for (uint32_t i = 0; i < service->count; i++) {
        int err = started(&service->pids[i]);
        if (err < 0 && first == 0)
            first = err;
    }
    if (first < 0)
        stop_started(service, first);
    (void)gy_resolve_raw(out, first, NULL, 0, NULL);
}

gy_fut gy_spawn_all(struct gy_actor *self, struct gy_sharded *service,
                    const struct gy_actor_type *type, const void *args)
{
    struct gy_shard *shard = gy__self();
    gy_fut *futs = (gy_fut *)(void *)service->pids;
    service->count = gy_shards();
    /* If the combinators could not be had, nobody would know what had started. */
    if (shard->futures_count - shard->futures_live < service->count + COMBINATORS) {
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return gy__fut_refused(-EAGAIN);
    }
    for (uint32_t i = 0; i < service->count; i++)
        futs[i] = gy_spawn_on_raw(i, type, args);
    return gy_chain_raw(self, gy_settle(futs, service->count), GY_WHEN_ANY, all_ended,
                        (uint64_t)(uintptr_t)service);
}

gy_fut gy_call_all(const struct gy_sharded *service, const struct gy_verb *verb,
                   const uint64_t *words, gy_fut *futs)
{
    for (uint32_t i = 0; i < service->count; i++)
        futs[i] = gy_call_raw(service->pids[i], verb, words, NULL);
    return gy_all(futs, service->count);
}

int gy_cast_all(const struct gy_sharded *service, const struct gy_verb *verb, const uint64_t *words)
{
    int first = 0;
    for (uint32_t i = 0; i < service->count; i++) {
        int err = gy_cast_raw(service->pids[i], verb, words, NULL);
        first = first < 0 ? first : err;
    }
    return first;
}

int gy_stop_all(const struct gy_sharded *service, int why)
{
    int first = 0;
    for (uint32_t i = 0; i < service->count; i++) {
        int err = gy_actor_stop(service->pids[i], why);
        first = first < 0 ? first : err;
    }
    return first;
}
