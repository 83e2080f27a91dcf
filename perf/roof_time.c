/* Roofs of the rows about timers and about a future that its own actor completes.
 *
 * arm: the least a wheel does, link a timer into the list of its slot and unlink it again. late: a
 * loop that reads the clock until each deadline has passed. then: a slot, a function, a message. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "perf.h"

/* ---- timer/arm ------------------------------------------------------------------------------ */

#define SLOTS 256u
#define TIMERS 1024u

struct timer {
    struct timer *next, **prevp;
    uint64_t deadline_ns;
    void (*fire)(struct timer *timer);
    uint64_t pad[4];
};
_Static_assert(sizeof(struct timer) == 64, "as large as gyre's may be");

struct wheel {
    struct timer *slots[SLOTS];
    uint64_t armed;
    struct timer timers[TIMERS];
    struct perf_sample *s;
};

static void fire(struct timer *timer)
{
    timer->deadline_ns = 0;
}

static void arm(struct wheel *w, struct timer *timer, uint64_t deadline_ns)
{
    struct timer **list = &w->slots[(deadline_ns >> 16) % SLOTS];
    timer->deadline_ns = deadline_ns;
    timer->fire = fire;
    timer->next = *list;
    if (timer->next)
        timer->next->prevp = &timer->next;
    timer->prevp = list;
    *list = timer;
    w->armed++;
}

static void cancel(struct wheel *w, struct timer *timer)
{
    *timer->prevp = timer->next;
    if (timer->next)
        timer->next->prevp = timer->prevp;
    timer->prevp = NULL;
    w->s->handled++;
}

static void arm_main(void *arg)
{
    struct wheel *w = arg;
    uint64_t start = perf_now_ns();
    for (uint64_t i = 0; i < w->s->ops; i++) {
        struct timer *timer = &w->timers[i % TIMERS];
        if (timer->prevp)
            cancel(w, timer);
        arm(w, timer, start + (i * 7919 % 1000000) * 1000);
    }
    for (unsigned i = 0; i < TIMERS; i++)
        if (w->timers[i].prevp)
            cancel(w, &w->timers[i]);
    w->s->value = (double)(perf_now_ns() - start) / (double)w->s->ops;
}

int roof_timer_arm(struct perf_sample *s)
{
    struct wheel *w = calloc(1, sizeof(*w));
    if (!w) {
        s->error = "out of memory";
        return -ENOMEM;
    }
    w->s = s;
    s->expected = s->ops;
    int err = perf_on(s->cpu[0], arm_main, w);
    free(w);
    return err;
}

/* ---- timer/late ----------------------------------------------------------------------------- */

static void late_main(void *arg)
{
    struct perf_sample *s = arg;
    double *late = malloc(s->ops * sizeof(*late));
    if (!late)
        return;
    uint64_t deadline_ns = perf_now_ns();
    for (uint64_t i = 0; i < s->ops; i++) {
        uint64_t now_ns;
        deadline_ns += 20000;
        while ((now_ns = perf_now_ns()) < deadline_ns)
            perf_relax();
        late[i] = (double)(now_ns - deadline_ns);
    }
    s->handled = s->ops;
    s->value = perf_quantile(late, (unsigned)s->ops, 0.99);
    free(late);
}

int roof_timer_late(struct perf_sample *s)
{
    s->expected = s->ops;
    return perf_on(s->cpu[0], late_main, s);
}

/* ---- local/then ----------------------------------------------------------------------------- */

struct cell {
    void (*run)(struct cell *cell, uint64_t *count);
    struct future *future;
    uint64_t generation, value, pad[4];
};
struct future {
    uint64_t generation;
    void (*then)(uint64_t *count, uint64_t value);
    struct future *next;
};
struct thens {
    struct perf_sample *s;
    struct cell cells[256];
    struct future futures[256], *free;
    uint64_t count;
};

static void counted(uint64_t *count, uint64_t value)
{
    *count += value;
}

static void completed(struct cell *cell, uint64_t *count)
{
    struct future *future = cell->future;
    if (future->generation == cell->generation) {
        future->generation++;
        future->then(count, cell->value);
    }
}

static void then_main(void *arg)
{
    struct thens *t = arg;
    uint64_t start = perf_now_ns();
    for (uint64_t done = 0; done < t->s->ops; done += 256) {
        for (unsigned i = 0; i < 256; i++) {
            struct future *future = t->free;
            t->free = future->next;
            future->then = counted;
            t->cells[i] = (struct cell){completed, future, future->generation, 1, {0}};
        }
        for (unsigned i = 0; i < 256; i++) {
            t->cells[i].run(&t->cells[i], &t->count);
            t->cells[i].future->next = t->free;
            t->free = t->cells[i].future;
        }
    }
    t->s->value = (double)(perf_now_ns() - start) / (double)t->s->ops;
    t->s->handled = t->count;
}

int roof_local_then(struct perf_sample *s)
{
    struct thens *t = calloc(1, sizeof(*t));
    if (!t) {
        s->error = "out of memory";
        return -ENOMEM;
    }
    s->ops = (s->ops + 255) / 256 * 256;
    s->expected = s->ops;
    t->s = s;
    for (unsigned i = 0; i < 256; i++) {
        t->futures[i].next = t->free;
        t->free = &t->futures[i];
    }
    int err = perf_on(s->cpu[0], then_main, t);
    free(t);
    return err;
}
