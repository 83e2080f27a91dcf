/* core/ask.h - calls of threads that are no shards: the table of those that wait.
 *
 * A promise whose shard field is GY__SHARD_OUTSIDE belongs to a slot of the runtime's table.
 * Whoever answers it calls gy__ask_answer() on its own thread; there is no shard on the other
 * side. */
#ifndef GYRE_CORE_ASK_H
#define GYRE_CORE_ASK_H

#include "core/kernel.h"

GY_MUST_CHECK int gy__asks_open(struct gy_runtime *runtime);
/* All shards have stopped: whoever waits gets -ESRCH, and this returns when the last has left. */
void gy__asks_close(struct gy_runtime *runtime);
/* How many threads are in calls. */
uint32_t gy__asks_inside(const struct gy_runtime *runtime);
/* Takes buf, if any. Nobody may be waiting any more. */
void gy__ask_answer(struct gy_shard *shard, uint64_t promise, int res, const void *value,
                    size_t size, struct gy_buf *buf);
/* On the shard of a pid: somebody outside wants to know when it ends. */
void gy__ask_end_arrived(struct gy_shard *shard, struct gy_cell *cell);

#endif
