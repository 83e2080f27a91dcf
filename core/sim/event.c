/* The queue of events: a binary heap of pointers into the events' owners.
 *
 * Invariants: heap[e->index] == e for every planned event; busy counts those planned as busy. The
 * array grows by doubling and never fails: without memory the run ends. */
#include "core/sim/sim.h"

#include <string.h>

static bool before(const struct gy__event *a, const struct gy__event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->sequence < b->sequence;
}

static void put(struct gy__events *events, uint32_t index, struct gy__event *event)
{
    events->heap[index] = event;
    event->index = index;
}

static void rise(struct gy__events *events, uint32_t index, struct gy__event *event)
{
    for (; index > 1 && before(event, events->heap[index / 2]); index /= 2)
        put(events, index, events->heap[index / 2]);
    put(events, index, event);
}

static void sink(struct gy__events *events, uint32_t index, struct gy__event *event)
{
    for (;;) {
        uint32_t child = index * 2;
        if (child > events->count)
            break;
        if (child < events->count && before(events->heap[child + 1], events->heap[child]))
            child++;
        if (!before(events->heap[child], event))
            break;
        put(events, index, events->heap[child]);
        index = child;
    }
    put(events, index, event);
}

void gy__event_plan(struct gy_sim *sim, struct gy__event *event, uint64_t at_ns, bool busy)
{
    struct gy__events *events = &sim->events;
    uint32_t index = event->index;

    if (index != 0)
        events->busy -= event->busy;
    events->busy += busy;
    event->busy = busy;
    event->at_ns = at_ns < sim->now_ns ? sim->now_ns : at_ns;
    event->sequence = ++events->sequence;
    if (index == 0) {
        events->heap = gy__sim_grown(sim, events->heap, &events->room, events->count + 2,
                                     sizeof(events->heap[0]));
        index = ++events->count;
    }
    if (index > 1 && before(event, events->heap[index / 2]))
        rise(events, index, event);
    else
        sink(events, index, event);
}

void gy__event_drop(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__events *events = &sim->events;
    uint32_t index = event->index;

    if (index == 0)
        return;
    struct gy__event *last = events->heap[events->count--];
    events->busy -= event->busy;
    event->index = 0;
    if (last == event)
        return;
    if (index > 1 && before(last, events->heap[index / 2]))
        rise(events, index, last);
    else
        sink(events, index, last);
}
