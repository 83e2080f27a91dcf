/* gyre/sharded.h - one service spread over all shards: an actor of one type on each.
 *
 *     self->store.pids = self->pids;           gy_pid pids[GY_SHARDS_MAX] of the actor
 *     all = store_spawn_all(&self->actor, &self->store, &args);              ready: all run
 *     store_get(store_sharded_of(&self->store, key), msg);                   the one for a key
 *     sum = store_count_all(&self->store, msg, self->futs);                  and all of them:
 * then, in what runs when sum is ready, store_count_value(self->futs[i], &reply) for each i, to reduce
 * what they answered. The types come from GY_SHARDED(store) and GY_SHARDED_CALL(store, count), below.
 *
 * The handle is plain data: copy it to whom you like, with its array. It names these lives: those that end are not
 * started again. For one supervised actor per shard, found by name, see gyre/supervisor.h. Nothing here allocates. On
 * shards only. */
#ifndef GYRE_SHARDED_H
#define GYRE_SHARDED_H

#include "gyre/core.h"

GY_BEGIN_DECLS

struct gy_sharded {
    gy_pid *pids;   /* set by the program: room for gy_shards() */
    uint32_t count; /* set by gy_spawn_all */
};

/* Spread keys evenly, also those that differ in few bits. Always the same for the same key. */
GY_INLINE uint64_t gy_hash_key(uint64_t key)
{
    key = (key ^ key >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    key = (key ^ key >> 27) * UINT64_C(0x94D049BB133111EB);
    return key ^ key >> 31;
}
/* A key of bytes. Not for keys that an attacker chooses. bytes: borrowed. O(len). */
GY_API uint64_t gy_hash_bytes(const void *bytes, size_t len);

/* The shard for a key: gy_spawn_on_raw(gy_shard_of(key), type, args) spawns by hash. */
GY_INLINE unsigned gy_shard_of(uint64_t key)
{
    return (unsigned)(gy_hash_key(key) % gy_shards());
}
/* The actor for a key: the one on gy_shard_of(key). */
GY_INLINE gy_pid gy_sharded_of(const struct gy_sharded *service, uint64_t key)
{
    return service->pids[gy_hash_key(key) % service->count];
}

/* Start one on each shard, in parallel. service and its array: pinned until the future has
 * ended; pids are to be used then. self: the actor that runs. args: as gy_spawn_on_raw. Ready
 * (0): all run. Otherwise those that had started are stopped, all pids are {0}, and the error is
 * the first's by shard. A call on each shard: so many future slots, and three more. Neither
 * discard nor forget it: what starts then runs unknown. */
GY_API GY_MUST_CHECK gy_fut gy_spawn_all(struct gy_actor *self, struct gy_sharded *service,
                                         const struct gy_actor_type *type, const void *args);

/* Call all. futs: room for service->count; pinned until the returned future's consumer has run,
 * which finds the answers there by gy_value_raw. -> gy_all of them: the first failure ends it,
 * and the others are discarded. */
GY_API GY_MUST_CHECK gy_fut gy_call_all(const struct gy_sharded *service,
                                        const struct gy_verb *verb, const uint64_t *words,
                                        gy_fut *futs);
/* Cast to all. -> 0; the first error: those before it, by shard, were sent, and later ones
 * tried. */
GY_API GY_MUST_CHECK int gy_cast_all(const struct gy_sharded *service, const struct gy_verb *verb,
                                     const uint64_t *words);
/* Stop all, in order with what was sent before. -> 0; the first error, with the others tried:
 * -EAGAIN, or -ESRCH for one of this shard that has ended. */
GY_API GY_MUST_CHECK int gy_stop_all(const struct gy_sharded *service, int why);

GY_END_DECLS

/* The same with types, in the .c that uses a service of actors A, behind gyre/typed.h. GY_SHARDED(A) makes
 * A_spawn_all(self, service, args) and A_sharded_of(service, key); GY_SHARDED_CAST(A, V) and GY_SHARDED_CALL(A, V),
 * for verbs without a buffer, make A_V_all(service, msg) and A_V_all(service, msg, futs), of which each is read
 * by A_V_value(futs[i], &reply). */
#define GY_SHARDED(A)                                                                              \
    GY_MUST_CHECK GY_INLINE gy_fut A##_spawn_all(struct gy_actor *self_,                           \
                                                 struct gy_sharded *service_,                      \
                                                 const struct A##_args *args_)                     \
    {                                                                                              \
        return gy_spawn_all(self_, service_, &A##_type, args_);                                    \
    }                                                                                              \
    GY_INLINE A##_pid A##_sharded_of(const struct gy_sharded *service_, uint64_t key_)             \
    {                                                                                              \
        A##_pid to_;                                                                               \
        to_.pid = gy_sharded_of(service_, key_);                                                   \
        return to_;                                                                                \
    }                                                                                              \
    GY_EXTERN const struct gy_actor_type A##_type
#define GY_SHARDED_CAST(A, V)                                                                      \
    GY_MUST_CHECK GY_INLINE int A##_##V##_all(const struct gy_sharded *service_,                   \
                                              struct A##_##V##_msg msg_)                           \
    {                                                                                              \
        GY_WORDS(words_, msg_);                                                                    \
        return gy_cast_all(service_, &A##_##V##_verb, words_);                                     \
    }                                                                                              \
    GY_EXTERN const struct gy_verb A##_##V##_verb
#define GY_SHARDED_CALL(A, V)                                                                      \
    GY_STATIC_ASSERT(sizeof(A##_##V##_fut) == sizeof(gy_fut), "futures of " #A "." #V " are futures"); \
    GY_MUST_CHECK GY_INLINE gy_fut A##_##V##_all(const struct gy_sharded *service_,                \
                                                 struct A##_##V##_msg msg_, A##_##V##_fut *futs_)  \
    {                                                                                              \
        GY_WORDS(words_, msg_);                                                                    \
        return gy_call_all(service_, &A##_##V##_verb, words_, &futs_->fut);                        \
    }                                                                                              \
    GY_EXTERN const struct gy_verb A##_##V##_verb

#endif
