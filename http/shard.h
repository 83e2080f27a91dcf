/* http/shard.h - what http needs of the core beyond its public headers, in one place. */
#ifndef GYRE_HTTP_SHARD_H
#define GYRE_HTTP_SHARD_H

#include "core/wheel.h"
#include "gyre/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gy_runtime;
struct gy_stream;
struct gy__http_server;
struct gy__stat;
struct gy__client;
struct gy__slabs;

/* The server actor of this shard, NULL if it was not spawned. */
struct gy__http_server *gy__http_here(void);
/* Its address on any shard of this runtime, whether or not it is there. */
gy_pid gy__http_pid(unsigned shard);
/* Its memory on another shard of this runtime: only what is atomic in it may be read, and it is
 * zeroed memory if there is no server. */
const struct gy__http_server *gy__http_there(unsigned shard);
/* Spawn it on this shard. -> 0 or start's error. */
GY_MUST_CHECK int gy__http_spawn(const struct gy_actor_type *type, const void *args);

/* The client actor of this shard, NULL if it was not spawned, or has ended. */
struct gy__client *gy__http_client_here(void);
/* Its memory on another shard of this runtime, as gy__http_there(). */
const struct gy__client *gy__http_client_there(unsigned shard);
/* Spawn it on this shard, once. -> 0 or start's error. */
GY_MUST_CHECK int gy__http_client_spawn(const struct gy_actor_type *type);

/* A look-up of the client's own, whoever's code runs. then: as gy_then_raw. -> as gy_resolve_name_raw. */
GY_MUST_CHECK gy_fut gy__http_client_look_up(struct gy_actor *client, const char *name,
                                             uint16_t port,
                                             void (*then)(struct gy_actor *client,
                                                          const struct gy_done *done),
                                             uint64_t ctx);

/* The client hears of the end of an actor. -> as gy_monitor_raw. */
GY_MUST_CHECK int gy__http_client_monitor(struct gy_actor *client, gy_pid pid,
                                          void (*run)(struct gy_actor *client, gy_pid pid, int why,
                                                      uint64_t ctx));

/* Run run(server) as if the server had received a message. */
void gy__http_as_server(struct gy__http_server *server, void (*run)(struct gy__http_server *server));

/* Is this pid of the own shard that of a living actor? */
bool gy__http_alive(gy_pid pid);
/* The living actor of the own shard, or NULL. */
struct gy_actor *gy__http_actor(gy_pid pid);
/* Is its owner still given what arrives on it? */
bool gy__http_stream_gives(const struct gy_stream *s);
/* A future that carries only an error. */
gy_fut gy__http_refused(int err);
/* Zeroed memory for the shard's life, or NULL. */
void *gy__http_memory(size_t bytes);
/* These records are the shard's for its life, which gives back what is not needed. Before gy__slabs_open. */
void gy__http_trim(struct gy__slabs *slabs);
/* Until then, if not for all its life. */
void gy__http_trim_end(struct gy__slabs *slabs);

/* An armed timer's function runs outside any actor. */
void gy__http_timer_arm(struct gy__timer *timer, uint64_t deadline_ns);
void gy__http_timer_cancel(struct gy__timer *timer);

/* The counters that core keeps for a shard of this runtime. */
void gy__http_core_stats(unsigned shard, void (*each)(void *arg, const struct gy__stat *stat),
                         void *arg);

/* The living actors of this shard, in order of their slots, with what waits in their mailboxes.
 * each() -> false stops. */
void gy__http_actors(bool (*each)(void *arg, gy_pid pid, const char *type, uint32_t waiting),
                     void *arg);

#endif
