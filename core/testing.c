/* core/testing.c - filters of messages and probes of futures: see gyre/testing.h.
 *
 * While a runtime has filters every actor's FILTERED flag is set; the flag stands in the byte
 * that tells of stashes, so that without filters nothing more is looked at. Held messages are
 * copies in the filter's own memory with a timer of the shard they came to; they come without
 * being filtered again. */
#include "core/testing.h"

#include "gyre/testing.h"

#include <errno.h>
#include <string.h>

_Static_assert(sizeof(((struct gy_filter_held *)0)->gy__cell) == sizeof(struct gy_cell), "a cell");

static void mark_all(struct gy_shard *shard, bool filtered)
{
    shard->born_flags = filtered ? GY__ACTOR_FILTERED : 0;
    for (uint32_t slot = 1; slot < shard->granules_used; slot++) {
        struct gy_actor *actor = gy__actor_at(shard, slot);
        if (!(shard->slots[slot].generation & 1))
            continue;
        if (filtered)
            actor->gy__flags |= GY__ACTOR_FILTERED;
        else
            actor->gy__flags &= (uint16_t)~GY__ACTOR_FILTERED;
    }
}

void gy__filter_add(struct gy_runtime *runtime, struct gy_filter *filter)
{
    struct gy_filter **link = &runtime->filters;
    for (uint32_t i = 0; i < runtime->shard_count && *link == NULL; i++)
        mark_all(runtime->shards[i], true);
    while (*link != NULL)
        link = &(*link)->gy__next;
    filter->gy__next = NULL;
    *link = filter;
}

void gy__filter_remove(struct gy_runtime *runtime, struct gy_filter *filter)
{
    struct gy_filter **link = &runtime->filters;
    while (*link != NULL && *link != filter)
        link = &(*link)->gy__next;
    if (*link == NULL)
        return;
    *link = filter->gy__next;
    for (uint32_t i = 0; i < runtime->shard_count && runtime->filters == NULL; i++)
        mark_all(runtime->shards[i], false);
}

static bool matches(const struct gy_shard *shard, const struct gy_filter *filter,
                    const struct gy_cell *cell)
{
    return (filter->verb == NULL || filter->verb == cell->verb) &&
           (filter->sender.bits == 0 || filter->sender.bits == cell->from.sender) &&
           (filter->receiver.bits == 0 ||
            /* In a ring the bits of the shard are the lap. */
            filter->receiver.bits == (shard->self_bits | (cell->target & GY__REST_MASK)));
}

static void deliver(struct gy_shard *shard, struct gy_filter_held *held)
{
    struct gy_cell cell;
    memcpy(&cell, held->gy__cell, sizeof(cell));
    held->gy__shard = NULL;
    shard->unfiltered = true;
    gy__cell_run(shard, &cell, true);
    shard->unfiltered = false;
}

static void on_time(struct gy__timer *timer)
{
    deliver(gy__self(), GY__CONTAINER(timer, struct gy_filter_held, gy__timer));
}

static bool hold(struct gy_shard *shard, struct gy_filter *filter, const struct gy_cell *cell)
{
    for (unsigned i = 0; i < GY_FILTER_HELD_MAX; i++) {
        struct gy_filter_held *held = &filter->gy__held[i];
        if (held->gy__shard != NULL)
            continue;
        memcpy(held->gy__cell, cell, sizeof(*cell));
        held->gy__shard = shard;
        held->gy__timer = (struct gy__timer){ .fire = on_time };
        gy__timer_arm(&shard->wheel, &held->gy__timer, shard->now_ns + filter->delay_ns);
        return true;
    }
    filter->missed++;
    return false;
}

static bool act(struct gy_shard *shard, struct gy_filter *filter, struct gy_cell *cell)
{
    struct gy_cell copy = *cell;
    filter->acted++;
    switch (filter->action) {
    case GY_FILTER_DROP:
        gy__cell_drop(shard, cell, filter->err != 0 ? filter->err : -EOWNERDEAD);
        return false;
    case GY_FILTER_DELAY:
        return !hold(shard, filter, cell);
    case GY_FILTER_DUPLICATE:
        copy.fut = 0;
        if (!(cell->verb->flags & GY_VERB_BUF))
            (void)hold(shard, filter, &copy);
        return true;
    default:
        return true;
    }
}

bool gy__filter(struct gy_shard *shard, struct gy_cell *cell)
{
    if (shard->unfiltered)
        return true;
    for (struct gy_filter *filter = shard->runtime->filters; filter != NULL;
         filter = filter->gy__next) {
        if (!matches(shard, filter, cell))
            continue;
        uint64_t before = filter->matched++;
        if (before < filter->skip ||
            (filter->times > 0 && before >= (uint64_t)filter->skip + filter->times))
            continue;
        shard->context = (struct gy__context){ &shard->nobody, 0 };
        return act(shard, filter, cell);
    }
    return true;
}

void gy__filter_release(struct gy_shard *shard, struct gy_filter *only)
{
    struct gy_filter *filter = only != NULL ? only : shard->runtime->filters;
    while (filter != NULL) {
        for (unsigned i = 0; i < GY_FILTER_HELD_MAX; i++) {
            struct gy_filter_held *held = &filter->gy__held[i];
            if (held->gy__shard != shard)
                continue;
            gy__timer_cancel(&shard->wheel, &held->gy__timer);
            deliver(shard, held);
        }
        filter = only != NULL ? NULL : filter->gy__next;
    }
}

bool gy_filter_acted(void *filter)
{
    return ((const struct gy_filter *)filter)->acted > 0;
}

/* ---- probes ---- */

static void on_probed(struct gy_actor *self, const struct gy_done *done)
{
    struct gy_probe *probe = (struct gy_probe *)(uintptr_t)done->ctx;
    (void)self;
    probe->done = true;
    probe->res = done->res;
    probe->size = done->value != NULL ? done->size : 0;
    if (probe->size > 0)
        memcpy(probe->value, done->value, probe->size);
    gy_buf_release(done->buf);
}

int gy_probe_watch(struct gy_probe *probe, gy_fut fut)
{
    memset(probe, 0, sizeof(*probe));
    struct gy_actor *self = gy__here(__func__)->context.actor;
    return gy_then_raw(self, fut, on_probed, (uint64_t)(uintptr_t)probe);
}

bool gy_probe_done(void *probe)
{
    return ((const struct gy_probe *)probe)->done;
}
