/* core/prim/gate.c - a count of those inside and a line of those who wait for it to be 0.
 * Invariant: somebody waits only while the gate is closed and not empty. */
#include "gyre/gate.h"

#include <errno.h>
#include <stddef.h>

void gy_gate_init(struct gy_gate *gate, struct gy_actor *owner)
{
    gate->inside = 0;
    gate->closed = false;
    gy_waits_init(&gate->waits, owner, NULL);
}

void gy_gate_fini(struct gy_gate *gate)
{
    gy_waits_fini(&gate->waits, -ECANCELED);
}

int gy_gate_enter(struct gy_gate *gate)
{
    if (gate->closed)
        return -ESHUTDOWN;
    gate->inside++;
    return 0;
}

int gy_gate_leave(struct gy_gate *gate)
{
    if (gate->inside == 0)
        return -EPERM;
    if (--gate->inside == 0)
        gy_waits_wake_all(&gate->waits, 0);
    return 0;
}

gy_fut gy_gate_close(struct gy_gate *gate)
{
    gy_fut fut = gy_waits_join(&gate->waits, 0, 0);
    gate->closed = true;
    if (gate->inside == 0)
        gy_waits_wake_all(&gate->waits, 0);
    return fut;
}
