/* gyre/name.h - string ids for actors, known on every shard.
 *
 * A name belongs to one living actor of the runtime. The shard that the name's hash points to
 * decides who has it; every shard keeps a replica of all names, so looking one up asks nobody. A
 * name ends when it is unregistered or with its actor: no shard hears of the end of an actor, by
 * an exit, before it has forgotten the actor's names. An actor may have several names.
 *
 * When gy_register's future is ready the name is found on the actor's shard, and the others
 * have been told: they find it with whatever the actor sends them next, later only if a ring is
 * full. A name just given up may be refused (-EEXIST) to other shards until the deciding shard
 * knows. A pid that was looked up may be dead by the time it is used, like every pid.
 *
 * On shards only; nothing here allocates. How many names: --names, for all shards together;
 * each shard decides about twice its even share at most. */
#ifndef GYRE_NAME_H
#define GYRE_NAME_H

#include "gyre/core.h"

GY_BEGIN_DECLS

/* Room for a name: 1 to 63 bytes other than NUL, and the NUL. */
#define GY_NAME_SIZE 64

/* Give the actor that runs this name. name: copied. The future has no value: ready (0); -EEXIST
 * somebody has it, perhaps this actor; -EAGAIN no room for more names, or in a ring. The handle
 * carries: -EINVAL not a name, or self is not the actor that runs; -EAGAIN no room. Discarding
 * the future does not take the name back: gy_unregister does.
 * Cost: two or three messages to the deciding shard, as many from there to every shard. */
GY_API GY_MUST_CHECK gy_fut gy_register(struct gy_actor *self, const char *name);
/* Give the name up: at once on this shard, on others as above. self: of this shard. -> 0; -ESRCH
 * not a name of its (or not yet: its registration is under way). */
GY_API int gy_unregister(struct gy_actor *self, const char *name);

/* Who has this name? {0}: nobody that this shard knows of. Cost: a hash and a comparison. */
GY_API gy_pid gy_lookup(const char *name);
/* The name that an actor of this shard got last, or NULL. -> borrowed until the handler returns. */
GY_API const char *gy_name_of(gy_pid pid);
/* Call each for all names this shard knows, in the order of the shards that decided; it returns
 * false to end that. It may look names up but not change them. name: borrowed for the call. */
GY_API void gy_names_each(bool (*each)(void *arg, const char *name, gy_pid pid), void *arg);

/* Make a name that was not made before in this runtime: prefix(1), prefix(2), ... on one shard;
 * with n shards each makes every n-th number, so no two shards make the same. Numbers may be
 * left out, never used twice. out: room for a name. -> 0; -EINVAL prefix empty or too long for
 * its number. */
GY_API GY_MUST_CHECK int gy_name_generate(char out[GY_NAME_SIZE], const char *prefix);

GY_END_DECLS

#endif
