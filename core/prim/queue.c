/* core/prim/queue.c - a ring of words, a line of getters and a line of putters.
 *
 * Invariants: getters wait only while the ring is empty, putters only while it has no room. Items
 * that were given and not seen yet count as if they were in the ring, so that there is room when
 * one comes back. */
#include "gyre/queue.h"

#include <errno.h>
#include <stddef.h>

static bool full(const struct gy_queue *queue)
{
    return queue->count + gy_waits_given(&queue->getters) >= queue->capacity;
}

static void ring_put(struct gy_queue *queue, uint64_t word)
{
    queue->words[((uint64_t)queue->first + queue->count) % queue->capacity] = word;
    queue->count++;
}

static uint64_t ring_get(struct gy_queue *queue)
{
    uint64_t word = queue->words[queue->first];
    queue->first = queue->first + 1 == queue->capacity ? 0 : queue->first + 1;
    queue->count--;
    return word;
}

/* Items to getters, room to putters. */
static void pump(struct gy_queue *queue)
{
    uint64_t word;
    for (;;) {
        if (queue->count > 0 && gy_waits_count(&queue->getters) > 0)
            gy_waits_wake(&queue->getters, ring_get(queue));
        else if (!full(queue) && gy_waits_first(&queue->putters, &word, NULL)) {
            ring_put(queue, word);
            gy_waits_wake(&queue->putters, 0);
        } else
            break;
    }
}

static void on_getter_left(struct gy_waits *waits, gy_fut fut, enum gy_left how, uint64_t a,
                           uint64_t word)
{
    struct gy_queue *queue = (struct gy_queue *)(void *)waits;
    (void)fut, (void)a;
    if (how == GY_LEFT_LOST) {
        queue->first = (queue->first == 0 ? queue->capacity : queue->first) - 1;
        queue->words[queue->first] = word;
        queue->count++;
    }
    pump(queue);
}

void gy_queue_init(struct gy_queue *queue, struct gy_actor *owner, uint64_t *words,
                   uint32_t capacity)
{
    gy_waits_init(&queue->getters, owner, on_getter_left);
    gy_waits_init(&queue->putters, owner, NULL);
    queue->words = words;
    queue->capacity = capacity;
    queue->first = queue->count = 0;
}

void gy_queue_fini(struct gy_queue *queue)
{
    gy_waits_fini(&queue->getters, -ECANCELED);
    gy_waits_fini(&queue->putters, -ECANCELED);
}

int gy_queue_put(struct gy_queue *queue, uint64_t word)
{
    if (full(queue) || gy_waits_count(&queue->putters) > 0)
        return -EAGAIN;
    ring_put(queue, word);
    pump(queue);
    return 0;
}

gy_fut gy_queue_put_wait(struct gy_queue *queue, uint64_t word)
{
    gy_fut fut = gy_waits_join(&queue->putters, word, 0);
    pump(queue);
    return fut;
}

gy_fut gy_queue_get(struct gy_queue *queue)
{
    gy_fut fut = gy_waits_join(&queue->getters, 0, 0);
    pump(queue);
    return fut;
}

int gy_queue_try_get(struct gy_queue *queue, uint64_t *out)
{
    if (queue->count == 0)
        return -EAGAIN;
    *out = ring_get(queue);
    pump(queue);
    return 0;
}
