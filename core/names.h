/* core/names.h - one shard's replica of all names, and its part of the decisions. */
#ifndef GYRE_CORE_NAMES_H
#define GYRE_CORE_NAMES_H

#include "core/kernel.h"
#include "gyre/name.h"

/* The most cells that news about one name takes: its text, 32 bytes each, and what is said about
 * it. */
#define GY__NAME_CELLS 3

int gy__names_open(struct gy_shard *shard);
/* Its names end, here now and elsewhere before whatever this shard says from now on. */
void gy__names_actor_died(struct gy_shard *shard, struct gy_actor *actor);
/* A control cell that arrived; false: it is not about names. */
bool gy__names_arrived(struct gy_shard *shard, const struct gy_cell *cell);

/* For core/mesh.c: news about a name waits for room to peer: note it (-> false: it waited already);
 * take the next that waits, 0 = none; write the news into the ring, which has room. */
bool gy__names_wait(struct gy_shard *shard, uint32_t peer, uint32_t index);
uint32_t gy__names_next(struct gy_shard *shard, uint32_t peer);
void gy__names_write(struct gy_shard *shard, uint32_t peer, uint32_t index);

#endif
