/* core/links.h - the records of monitors and links, and what travels between their two sides. */
#ifndef GYRE_CORE_LINKS_H
#define GYRE_CORE_LINKS_H

#include "core/kernel.h"
#include "gyre/link.h"

enum gy__link_kind {
    GY__LINK_WATCH,   /* its actor monitors other */
    GY__LINK_WATCHED, /* other monitors its actor */
    GY__LINK_LINK,    /* both, and each dies of the other */
    GY__LINK_TRAP,    /* its actor traps exits; other is 0 */
};

/* What a record that belongs to no actor any more still has to say; it waits at the mesh if the
 * ring has no room. */
enum gy__link_notice {
    GY__NOTICE_NONE,
    GY__NOTICE_EXITED,    /* `self` has ended with `why` */
    GY__NOTICE_DEMONITOR, /* `self` does not monitor other any more */
    GY__NOTICE_UNLINK,
};

struct gy__link {
    uint64_t self;  /* pid of the actor it belongs, or belonged, to */
    uint64_t other; /* pid */
    gy_exited_fn *run;
    uint64_t ctx; /* of run; or why, of a notice */
    uint32_t hash_next;  /* same bucket, free list, or waiting notices */
    uint32_t next, prev; /* same actor */
    uint8_t kind, notice;
};

int gy__links_open(struct gy_shard *shard);
/* self monitors actor, both of this shard, from now on. -> 0; -EAGAIN no record. */
GY_MUST_CHECK int gy__links_watch(struct gy_shard *shard, struct gy_actor *self,
                                  struct gy_actor *actor, gy_exited_fn *run, uint64_t ctx);
/* The opposite, whether actor lives or not: an exit of it that is on its way finds nobody. Without a cell. */
void gy__links_unwatch(struct gy_shard *shard, gy_pid self, gy_pid actor);
void gy__links_actor_died(struct gy_shard *shard, struct gy_actor *actor, int why);
/* Control cells that arrived. */
void gy__link_arrived(struct gy_shard *shard, struct gy_cell *cell);
/* Write a waiting notice into a cell; its record is free then. */
void gy__link_notice_write(struct gy_shard *shard, uint32_t record, struct gy_cell *cell);

#endif
