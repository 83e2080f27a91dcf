/* The buckets of one shard's keys: a hash table of a size chosen at start, that neither grows nor
 * allocates afterwards.
 *
 * Open addressing with linear probing, at most 3/4 full. When it is, a new key takes the place of one
 * that says nothing: its bucket is full again and it has no limit of its own. */
#ifndef DEMO_TABLE_H
#define DEMO_TABLE_H

#include <stdint.h>

#include "bucket.h"
#include "key.h"

#define TABLE_KEYS_MAX (1u << 26)

struct table_entry {
    struct key key;
    struct bucket bucket;
    struct bucket_limit limit; /* burst 0: the entry is free */
};

struct table {
    struct table_entry *entries;
    struct bucket_limit limit; /* of keys that have none of their own */
    uint32_t mask;             /* entries - 1 */
    uint32_t keys, keys_max;
    uint32_t hand; /* where the search for one that says nothing goes on */
};

/* keys_max: 1 .. TABLE_KEYS_MAX. -> 0; -ENOMEM. */
int table_open(struct table *t, uint32_t keys_max, struct bucket_limit limit);
void table_close(struct table *t);

/* The entry of a key, made with a full bucket if there is none. -> borrowed until the next call;
 * NULL: the table is full and nothing near the hand can go. */
struct table_entry *table_get(struct table *t, struct key key, uint64_t now_ns);

#endif
