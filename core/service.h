/* core/service.h - actors of the runtime itself that every shard can address without asking: their
 * slots are fixed and they are never spawned twice, so their pids can be computed. */
#ifndef GYRE_CORE_SERVICE_H
#define GYRE_CORE_SERVICE_H

#include "gyre/core.h"

enum gy__service {
    GY__SERVICE_HTTP,
    GY__SERVICE_HTTP_CLIENT,
    GY__SERVICES
};

/* In boot, at most once per shard. type->size at most 32 KiB. -> 0, start's error, -EEXIST. */
GY_MUST_CHECK int gy__service_spawn(enum gy__service service, const struct gy_actor_type *type,
                                    const void *args);
/* The pid it has, or would have, on that shard: a message to a service that is not there is a dead
 * letter. */
gy_pid gy__service_pid(unsigned shard, enum gy__service service);

#endif
