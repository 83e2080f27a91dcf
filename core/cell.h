/* core/cell.h - the 64 bytes that every message and answer is. */
#ifndef GYRE_CORE_CELL_H
#define GYRE_CORE_CELL_H

#include "gyre/buf.h"
#include "gyre/core.h"

#include <stdalign.h>
#include <stdint.h>

/* A cell is run where it lies: in a block of the local queue, in a slot of a ring
 * between shards, or in the lane for foreign threads. */
struct gy_cell {
    /* A gy_pid, or for answers and other words to a future a gy_fut: both begin with 10 bits that
     * name the shard. In a ring, where the shard is known, those bits are the lap mark. */
    uint64_t target;
    const struct gy_verb *verb;
    /* The sender's pid; in an answer its outcome. */
    union {
        uint64_t sender;
        int64_t res;
    } from;
    /* The future to answer, 0 for a cast. In an answer: the size of its value. */
    uint64_t fut;
    /* If the verb has GY_VERB_BUF the last word is the owned buffer. */
    union {
        uint64_t word[GY_MSG_INLINE / 8];
        struct {
            uint64_t word[GY_MSG_INLINE_WITH_BUF / 8];
            struct gy_buf *buf;
        } with;
    } payload;
};
_Static_assert(sizeof(struct gy_cell) == 64, "one cell is one cache line");

#define GY__SHARD_SHIFT 54
#define GY__SHARDS_MAX 1024
/* In a promise: no shard, but a thread outside waits for it (core/ask.c). */
#define GY__SHARD_OUTSIDE UINT64_C(1023)
#define GY__REST_MASK ((UINT64_C(1) << GY__SHARD_SHIFT) - 1)

#endif
