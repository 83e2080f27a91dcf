/* gyre/sm.h - a state machine by table: which states, which ways between them, and waiting for one.
 *
 *     enum { IDLE, BUSY, BROKEN, STATES };
 *     static const struct gy_sm_state door_states[STATES] = {
 *         [IDLE] = { "idle", GY_SM_TO(BUSY) | GY_SM_TO(BROKEN) },
 *         [BUSY] = { "busy", GY_SM_TO(IDLE) | GY_SM_TO(BROKEN) },
 *         [BROKEN] = { "broken", 0 },
 *     };
 *     gy_sm_init(&self->door, &self->actor, door_states, STATES, IDLE);
 *     err = gy_sm_move(&self->door, BUSY);
 *     gy_then(self, gy_sm_when(&self->door, IDLE), guard_on_idle, 0);
 *
 * For all actors of its shard; line, memory, fini (-ECANCELED) and the owner's end (-EOWNERDEAD) as
 * in gyre/wait.h. */
#ifndef GYRE_SM_H
#define GYRE_SM_H

#include "gyre/wait.h"

GY_BEGIN_DECLS

#define GY_SM_STATES_MAX 64
#define GY_SM_TO(state) (UINT64_C(1) << (state))

struct gy_sm_state {
    const char *name;
    uint64_t to; /* GY_SM_TO of each state that may follow */
};

struct gy_sm {
    struct gy_waits waits;
    const struct gy_sm_state *states;
    uint32_t count;
    uint32_t state; /* read only */
};

/* states: count of them (<= 64), borrowed until fini. owner: see gy_waits_init.
 * -> 0; -EINVAL too many states, or a way to one that is not there. */
GY_API GY_MUST_CHECK int gy_sm_init(struct gy_sm *sm, struct gy_actor *owner,
                                    const struct gy_sm_state *states, uint32_t count,
                                    uint32_t first);
GY_API void gy_sm_fini(struct gy_sm *sm);
/* -> 0 it is in that state now, and who waited for that is ready; -EINVAL there is no way from here
 * to there, nothing changes. */
GY_API GY_MUST_CHECK int gy_sm_move(struct gy_sm *sm, uint32_t to);
/* Ready when it is in that state, or comes into it: at its continuation it may have gone on. A
 * state that does not exist gives a handle with -EINVAL. */
GY_API GY_MUST_CHECK gy_fut gy_sm_when(struct gy_sm *sm, uint32_t state);
/* The name of the state that it is in. */
GY_INLINE const char *gy_sm_name(const struct gy_sm *sm)
{
    return sm->states[sm->state].name;
}

GY_END_DECLS

#endif
