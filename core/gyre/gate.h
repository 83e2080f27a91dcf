/* gyre/gate.h - refuse what is new, let out what is in: an orderly end.
 *
 *     if (gy_gate_enter(&self->gate) < 0) ... refuse the request
 *     ... at its end gy_gate_leave(&self->gate);
 *     gy_then(self, gy_gate_close(&self->gate), service_on_empty, 0);          at the end
 *
 * For all actors of its shard; line, memory, fini (-ECANCELED) and the owner's end (-EOWNERDEAD) as
 * in gyre/wait.h. */
#ifndef GYRE_GATE_H
#define GYRE_GATE_H

#include "gyre/wait.h"

GY_BEGIN_DECLS

struct gy_gate {
    struct gy_waits waits;
    uint64_t inside; /* read only */
    bool closed;     /* read only */
};

/* owner: see gy_waits_init. */
GY_API void gy_gate_init(struct gy_gate *gate, struct gy_actor *owner);
GY_API void gy_gate_fini(struct gy_gate *gate);
/* -> 0 the caller is in and must leave once; -ESHUTDOWN the gate is closed. */
GY_API GY_MUST_CHECK int gy_gate_enter(struct gy_gate *gate);
/* -> 0; -EPERM nobody is in. */
GY_API int gy_gate_leave(struct gy_gate *gate);
/* Nobody comes in any more. Ready when nobody is in. May be called again, by anyone who wants to
 * know. */
GY_API GY_MUST_CHECK gy_fut gy_gate_close(struct gy_gate *gate);

GY_END_DECLS

#endif
