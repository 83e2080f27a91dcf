/* http/shard.c - the only file of http that sees the core's own headers. */
#include "http/shard.h"

#include "core/kernel.h"
#include "core/service.h"
#include "core/stats.h"
#include "core/streams.h"
#include "gyre/link.h"
#include "gyre/resolve.h"
#include "http/server.h"

struct gy__http_server *gy__http_here(void)
{
    struct gy_shard *shard = gy__here("gy_http_listen, gy_http_route or gy_http_port");
    gy_pid pid = gy__http_pid(shard->index);

    return (struct gy__http_server *)(void *)gy__actor_find(shard, pid.bits);
}

gy_pid gy__http_pid(unsigned shard)
{
    return gy__service_pid(shard, GY__SERVICE_HTTP);
}

const struct gy__http_server *gy__http_there(unsigned shard)
{
    const struct gy_shard *there = gy__self()->runtime->shards[shard];
    const struct gy_actor *actor = gy__actor_at(there, gy__pid_slot(gy__http_pid(shard).bits));

    return (const struct gy__http_server *)(const void *)actor;
}

int gy__http_spawn(const struct gy_actor_type *type, const void *args)
{
    return gy__service_spawn(GY__SERVICE_HTTP, type, args);
}

struct gy__client *gy__http_client_here(void)
{
    struct gy_shard *shard = gy__here("gy_http_fetch or gy_http_client_config");
    gy_pid pid = gy__service_pid(shard->index, GY__SERVICE_HTTP_CLIENT);

    return (struct gy__client *)(void *)gy__actor_find(shard, pid.bits);
}

const struct gy__client *gy__http_client_there(unsigned shard)
{
    const struct gy_shard *there = gy__self()->runtime->shards[shard];
    gy_pid pid = gy__service_pid(shard, GY__SERVICE_HTTP_CLIENT);

    return (const struct gy__client *)(const void *)gy__actor_at(there, gy__pid_slot(pid.bits));
}

int gy__http_client_spawn(const struct gy_actor_type *type)
{
    return gy__service_spawn(GY__SERVICE_HTTP_CLIENT, type, NULL);
}

gy_fut gy__http_client_look_up(struct gy_actor *client, const char *name, uint16_t port,
                               void (*then)(struct gy_actor *client, const struct gy_done *done),
                               uint64_t ctx)
{
    struct gy_shard *shard = gy__self();
    struct gy__context saved = gy__actor_enter(shard, client);
    gy_fut fut = gy_resolve_name_raw(client, name, port, NULL);

    if (gy_refused(fut) == 0)
        (void)gy_then_raw(client, fut, then, ctx); /* it is new: it has no other consumer */
    gy__actor_leave(shard, saved);
    return fut;
}

int gy__http_client_monitor(struct gy_actor *client, gy_pid pid,
                            void (*run)(struct gy_actor *client, gy_pid pid, int why, uint64_t ctx))
{
    struct gy_shard *shard = gy__self();
    struct gy__context saved = gy__actor_enter(shard, client);
    int err = gy_monitor_raw(client, pid, run, 0);

    gy__actor_leave(shard, saved);
    return err;
}

void gy__http_as_server(struct gy__http_server *server, void (*run)(struct gy__http_server *server))
{
    struct gy_shard *shard = gy__self();
    struct gy__context saved = gy__actor_enter(shard, &server->actor);

    run(server);
    gy__actor_leave(shard, saved);
}

bool gy__http_alive(gy_pid pid)
{
    return gy__actor_find(gy__self(), pid.bits) != NULL;
}

struct gy_actor *gy__http_actor(gy_pid pid)
{
    return gy__actor_find(gy__self(), pid.bits);
}

bool gy__http_stream_gives(const struct gy_stream *s)
{
    return gy__stream_rules[s->state].gives;
}

gy_fut gy__http_refused(int err)
{
    return gy__fut_refused(err);
}

void *gy__http_memory(size_t bytes)
{
    return gy__shard_memory(gy__self(), bytes);
}

void gy__http_trim(struct gy__slabs *slabs)
{
    gy__trim_adopt(gy__self(), slabs);
}

void gy__http_trim_end(struct gy__slabs *slabs)
{
    gy__trim_forget(gy__self(), slabs);
}

void gy__http_timer_arm(struct gy__timer *timer, uint64_t deadline_ns)
{
    gy__timer_arm(&gy__self()->wheel, timer, deadline_ns);
}

void gy__http_timer_cancel(struct gy__timer *timer)
{
    gy__timer_cancel(&gy__self()->wheel, timer);
}

void gy__http_core_stats(unsigned shard, void (*each)(void *arg, const struct gy__stat *stat),
                         void *arg)
{
    gy__stats_each(gy__self()->runtime, shard, each, arg);
}

void gy__http_actors(bool (*each)(void *arg, gy_pid pid, const char *type, uint32_t waiting),
                     void *arg)
{
    const struct gy_shard *shard = gy__self();

    for (uint32_t slot = 1; slot < shard->granules_used; slot++) {
        const struct gy_actor *actor = gy__actor_at(shard, slot);
        int64_t waiting = (int64_t)shard->mailbox_max - gy__mailbox_room(shard, slot);

        if (!(shard->slots[slot].generation & 1))
            continue;
        if (!each(arg, actor->pid, gy__stats_of(actor)->type->name,
                  waiting > 0 ? (uint32_t)waiting : 0))
            return;
    }
}
