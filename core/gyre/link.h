/* gyre/link.h - learning of the end of other actors: monitors and links, on any shard.
 *
 * A monitor is one-way: when the other ends, run(self, pid, why, ctx) is called once, after
 * all that the other had sent to this actor; at once (in a later cell) when it is dead already,
 * with -ESRCH. A link is two-way: when either ends with why < 0, the other ends too, with the
 * same why, unless it traps exits; an end with why >= 0 only takes the link away. Both are
 * idempotent. A holding actor gets exits in order with its messages, after unhold.
 *
 * why is what gy_actor_stop, gy_fail or the start function gave; -ECANCELED when the runtime
 * stops.
 * Cost: one record of 48 bytes on each side, from a pool; one message each way. */
#ifndef GYRE_LINK_H
#define GYRE_LINK_H

#include "gyre/core.h"

GY_BEGIN_DECLS

typedef void gy_exited_fn(struct gy_actor *self, gy_pid pid, int why, uint64_t ctx);

/* Monitor pid. A second monitor of the same pid replaces run and ctx: there is still one exit.
 * -> 0; -EAGAIN no record, or no room in the ring; -EINVAL self, or no pid. */
GY_API GY_MUST_CHECK int gy_monitor_raw(struct gy_actor *self, gy_pid pid, gy_exited_fn *run,
                                        uint64_t ctx);
/* No exit of it will be delivered any more. Fine if there is no monitor. */
GY_API void gy_demonitor(struct gy_actor *self, gy_pid pid);

/* Start an actor on this shard and monitor it, in one: however soon it ends, its own why is
 * told. What fails to start tells nothing else. self: an actor of this shard. -> as
 * gy_spawn_raw; -EAGAIN also if no record is left. */
GY_API GY_MUST_CHECK int gy_spawn_monitored_raw(struct gy_actor *self, gy_pid *out,
                                                const struct gy_actor_type *type, const void *args,
                                                gy_exited_fn *run, uint64_t ctx);

/* Link with pid; with a dead one: as if it had ended with -ESRCH. -> as gy_monitor_raw. */
GY_API GY_MUST_CHECK int gy_link(struct gy_actor *self, gy_pid pid);
GY_API void gy_unlink(struct gy_actor *self, gy_pid pid);
/* From now on the ends of linked actors, whatever their why, are told to run instead of ending
 * this one. NULL: no longer. -> 0; -EAGAIN no record. */
GY_API GY_MUST_CHECK int gy_trap_exits_raw(struct gy_actor *self, gy_exited_fn *run, uint64_t ctx);

GY_END_DECLS

/* In the actor's .c: GY_EXITED(C, F) declares static void F(struct C *self, gy_pid pid, int why,
 * uint64_t ctx), for gy_monitor(self, pid, F, ctx) and gy_trap_exits(self, F, ctx). */
#define GY_EXITED(C, F)                                                                            \
    static void F(struct C *self, gy_pid pid, int why, uint64_t ctx);                              \
    static void F##_exited(struct gy_actor *self, gy_pid pid, int why, uint64_t ctx)               \
    {                                                                                              \
        F((struct C *)(void *)self, pid, why, ctx);                                                \
    }                                                                                              \
    static void F(struct C *self, gy_pid pid, int why, uint64_t ctx)
#define gy_monitor(self, pid, F, ctx) gy_monitor_raw(&(self)->actor, (pid), F##_exited, (ctx))
#define gy_trap_exits(self, F, ctx) gy_trap_exits_raw(&(self)->actor, F##_exited, (ctx))

#endif
