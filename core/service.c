/* core/service.c - service actors: see service.h. Each has 256 granules of its own below the first
 * slot that other actors get (core/actor.c). */
#include "core/service.h"
#include "core/kernel.h"

#include <errno.h>

#define SERVICE_GRANULES 256

static uint32_t slot_of(enum gy__service service)
{
    return ((uint32_t)service + 1) * SERVICE_GRANULES;
}
_Static_assert((GY__SERVICES + 1) * SERVICE_GRANULES <= GY__FIRST_FREE_SLOT, "services fit");

gy_pid gy__service_pid(unsigned shard, enum gy__service service)
{
    return (gy_pid){ (uint64_t)shard << GY__SHARD_SHIFT | (uint64_t)slot_of(service) << 32 | 1 };
}

int gy__service_spawn(enum gy__service service, const struct gy_actor_type *type, const void *args)
{
    struct gy_shard *shard = gy__self();
    gy_pid pid;
    GY_ASSERT(type->size <= SERVICE_GRANULES * GY__GRANULE);
    if (shard->slots[slot_of(service)].generation != 0)
        return -EEXIST;
    return gy__spawn_at(shard, slot_of(service), &pid, type, args);
}
