/* http/streamers.c - see streamers.h. A table by pid, which grows with the actors and, where no memory is
 * left for that, has longer chains. A record stays as long as its actor, as the monitor does. */
#include "http/streamers.h"

#include <stddef.h>

#define FIRST 64u
#define RECORDS_MAX (1u << 22)

bool gy__http_streamers_open(struct gy__http_streamers *all)
{
    all->slabs.total_max = RECORDS_MAX;
    all->slabs.first = FIRST;
    all->slabs.record_size = sizeof(struct gy__http_streamer);
    all->slabs.next_at = offsetof(struct gy__http_streamer, next);
    return gy__slabs_open(&all->slabs);
}

static struct gy__http_streamer **bucket_of(const struct gy__http_streamers *all, gy_pid pid)
{
    return &all->table[pid.bits * UINT64_C(0x9E3779B97F4A7C15) >> 32 & (all->buckets - 1)];
}

static void put(const struct gy__http_streamers *all, struct gy__http_streamer *streamer)
{
    struct gy__http_streamer **bucket = bucket_of(all, streamer->pid);

    streamer->next = *bucket;
    *bucket = streamer;
}

static void grow(struct gy__http_streamers *all)
{
    struct gy__http_streamer **old = all->table, **table;
    uint32_t before = all->buckets, count = before > 0 ? 2 * before : FIRST;

    /* The old one is not given back: all of those together are as large as the new one. */
    table = all->slabs.host->memory(all->slabs.arg, count * sizeof(struct gy__http_streamer *));
    if (table == NULL)
        return;
    all->table = table;
    all->buckets = count;
    for (uint32_t i = 0; i < before; i++) {
        struct gy__http_streamer *at = old[i];

        while (at != NULL) {
            struct gy__http_streamer *next = at->next;

            put(all, at);
            at = next;
        }
    }
}

static struct gy__http_streamer *take(struct gy__http_streamers *all)
{
    struct gy__http_streamer *streamer = all->slabs.free;
    bool grew;

    if (streamer == NULL)
        return gy__slabs_take(&all->slabs, &grew);
    all->slabs.free = streamer->next;
    return streamer;
}

struct gy__http_streamer *gy__http_streamer_of(struct gy__http_streamers *all, gy_pid pid)
{
    struct gy__http_streamer *streamer = NULL;

    if (all->count >= all->buckets)
        grow(all);
    if (all->buckets == 0)
        return NULL;
    for (streamer = *bucket_of(all, pid); streamer != NULL; streamer = streamer->next)
        if (gy_pid_equal(streamer->pid, pid))
            return streamer;
    streamer = take(all);
    if (streamer == NULL)
        return NULL;
    streamer->pid = pid;
    streamer->first = NULL;
    put(all, streamer);
    all->count++;
    return streamer;
}

void gy__http_streamer_add(struct gy__http_streamer *streamer, struct gy__http_flow *flow)
{
    gy__http_flow_unlink(flow); /* from another's */
    flow->by_next = streamer->first;
    flow->by_at = &streamer->first;
    if (flow->by_next != NULL)
        flow->by_next->by_at = &flow->by_next;
    streamer->first = flow;
}

struct gy__http_flow *gy__http_streamer_gone(struct gy__http_streamers *all, gy_pid pid)
{
    struct gy__http_streamer **at = all->buckets > 0 ? bucket_of(all, pid) : NULL, *streamer;
    struct gy__http_flow *first;

    while (at != NULL && *at != NULL && !gy_pid_equal((*at)->pid, pid))
        at = &(*at)->next;
    if (at == NULL || *at == NULL)
        return NULL;
    streamer = *at;
    *at = streamer->next;
    first = streamer->first;
    for (struct gy__http_flow *flow = first; flow != NULL; flow = flow->by_next)
        flow->by_at = NULL;
    streamer->next = all->slabs.free;
    all->slabs.free = streamer;
    all->count--;
    return first;
}
