/* core/sim/event.h - what will happen, in order of time and, at one time, in order of being planned.
 *
 * An event is memory of whoever plans it, in at most one queue; it can be moved and taken back. The
 * queue is a heap of pointers that never compares pointers. O(log n) each. */
#ifndef GYRE_CORE_SIM_EVENT_H
#define GYRE_CORE_SIM_EVENT_H

#include <stdbool.h>
#include <stdint.h>

struct gy_sim;

struct gy__event {
    uint64_t at_ns, sequence;
    void (*fire)(struct gy_sim *sim, struct gy__event *event);
    uint32_t index; /* in the heap, from 1; 0: not planned */
    bool busy;      /* something is under way until it has fired: the world is not quiet */
};

struct gy__events {
    struct gy__event **heap; /* from 1 */
    uint32_t count, room;
    uint32_t busy; /* of them */
    uint64_t sequence;
};

static inline bool gy__event_planned(const struct gy__event *event)
{
    return event->index != 0;
}
static inline struct gy__event *gy__events_first(const struct gy__events *events)
{
    return events->count > 0 ? events->heap[1] : 0;
}
/* Plan it, or move it if it is planned. busy: see above. */
void gy__event_plan(struct gy_sim *sim, struct gy__event *event, uint64_t at_ns, bool busy);
/* Fine for one that is not planned. */
void gy__event_drop(struct gy_sim *sim, struct gy__event *event);

#endif
