/* core/prim/sm.c - a state, and a line in which each has in `a` the state that it waits for.
 * Invariant: nobody waits for the state that it is in. */
#include "gyre/sm.h"

#include <errno.h>
#include <stddef.h>

int gy_sm_init(struct gy_sm *sm, struct gy_actor *owner, const struct gy_sm_state *states,
               uint32_t count, uint32_t first)
{
    if (count > GY_SM_STATES_MAX || first >= count)
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++)
        if (count < 64 && states[i].to >> count != 0)
            return -EINVAL;
    sm->states = states;
    sm->count = count;
    sm->state = first;
    gy_waits_init(&sm->waits, owner, NULL);
    return 0;
}

void gy_sm_fini(struct gy_sm *sm)
{
    gy_waits_fini(&sm->waits, -ECANCELED);
}

int gy_sm_move(struct gy_sm *sm, uint32_t to)
{
    if (to >= sm->count || !(sm->states[sm->state].to >> to & 1))
        return -EINVAL;
    sm->state = to;
    gy_waits_wake_each(&sm->waits, to, to);
    return 0;
}

gy_fut gy_sm_when(struct gy_sm *sm, uint32_t state)
{
    if (state >= sm->count)
        return (gy_fut){ EINVAL };
    gy_fut fut = gy_waits_join(&sm->waits, state, 0);
    if (state == sm->state)
        gy_waits_wake_each(&sm->waits, state, state);
    return fut;
}
