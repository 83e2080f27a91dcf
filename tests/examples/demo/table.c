/* The table of buckets. Invariant: between a key's home slot and its entry no entry is free. */
#include "table.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* How many entries one new key may look at for a place. Bounds the handler's time. */
#define SWEEP 64

int table_open(struct table *t, uint32_t keys_max, struct bucket_limit limit)
{
    uint32_t entries = 4;
    while (entries / 4 * 3 < keys_max)
        entries *= 2;
    /* Zeroed pages that are touched only as keys come. */
    *t = (struct table){.entries = calloc(entries, sizeof(struct table_entry)),
                        .limit = limit,
                        .mask = entries - 1,
                        .keys_max = keys_max};
    return t->entries == NULL ? -ENOMEM : 0;
}

void table_close(struct table *t)
{
    free(t->entries);
    t->entries = NULL;
}

static bool is_free(const struct table_entry *e)
{
    return e->limit.burst == 0;
}

static uint32_t home(const struct table *t, struct key key)
{
    return (uint32_t)key.lo & t->mask;
}

/* Its entry, or the free one where it would be. */
static uint32_t find(const struct table *t, struct key key)
{
    uint32_t i = home(t, key);
    while (!is_free(&t->entries[i]) &&
           (t->entries[i].key.hi != key.hi || t->entries[i].key.lo != key.lo))
        i = (i + 1) & t->mask;
    return i;
}

/* Free an entry, and move those behind it that would otherwise no longer be found. */
static void drop(struct table *t, uint32_t hole)
{
    for (uint32_t i = (hole + 1) & t->mask; !is_free(&t->entries[i]); i = (i + 1) & t->mask) {
        uint32_t from_home = (i - home(t, t->entries[i].key)) & t->mask;
        uint32_t from_hole = (i - hole) & t->mask;
        if (from_home < from_hole)
            continue;
        t->entries[hole] = t->entries[i];
        hole = i;
    }
    t->entries[hole].limit.burst = 0;
    t->keys--;
}

static bool says_nothing(const struct table *t, struct table_entry *e, uint64_t now_ns)
{
    if (is_free(e) || e->limit.rate != t->limit.rate || e->limit.burst != t->limit.burst)
        return false;
    bucket_refill(&e->bucket, e->limit, now_ns);
    return e->bucket.tokens == e->limit.burst;
}

static bool make_room(struct table *t, uint64_t now_ns)
{
    for (unsigned n = 0; n < SWEEP; n++) {
        uint32_t i = t->hand;
        t->hand = (i + 1) & t->mask;
        if (says_nothing(t, &t->entries[i], now_ns)) {
            drop(t, i);
            return true;
        }
    }
    return false;
}

struct table_entry *table_get(struct table *t, struct key key, uint64_t now_ns)
{
    uint32_t i = find(t, key);
    if (!is_free(&t->entries[i]))
        return &t->entries[i];
    if (t->keys == t->keys_max) {
        if (!make_room(t, now_ns))
            return NULL;
        i = find(t, key); /* entries may have moved */
    }
    t->keys++;
    t->entries[i] = (struct table_entry){key, bucket_new(t->limit, now_ns), t->limit};
    return &t->entries[i];
}
