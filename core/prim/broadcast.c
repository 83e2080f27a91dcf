/* core/prim/broadcast.c - a list of subscribers, in order of subscription, in memory of the owner.
 * */
#include "gyre/broadcast.h"

#include <errno.h>
#include <string.h>

void gy_broadcast_init(struct gy_broadcast *broadcast, struct gy_subscriber *subscribers,
                       uint32_t capacity, size_t message_size)
{
    *broadcast = (struct gy_broadcast){ subscribers, capacity, 0, (uint32_t)message_size, 0 };
}

static struct gy_subscriber *find(struct gy_broadcast *broadcast, gy_pid pid)
{
    for (uint32_t i = 0; i < broadcast->count; i++)
        if (gy_pid_equal(broadcast->subscribers[i].pid, pid))
            return &broadcast->subscribers[i];
    return NULL;
}

int gy_broadcast_subscribe_raw(struct gy_broadcast *broadcast, gy_pid pid,
                               const struct gy_verb *verb)
{
    if (verb->flags != 0 || verb->size != broadcast->size || gy_pid_shard(pid) != gy_shard())
        return -EINVAL;
    struct gy_subscriber *subscriber = find(broadcast, pid);
    if (subscriber == NULL) {
        if (broadcast->count == broadcast->capacity)
            return -EAGAIN;
        subscriber = &broadcast->subscribers[broadcast->count++];
    }
    *subscriber = (struct gy_subscriber){ pid, verb };
    return 0;
}

static void take_off(struct gy_broadcast *broadcast, struct gy_subscriber *subscriber)
{
    size_t behind = (size_t)(&broadcast->subscribers[--broadcast->count] - subscriber);
    memmove(subscriber, subscriber + 1, behind * sizeof(*subscriber));
}

int gy_broadcast_unsubscribe(struct gy_broadcast *broadcast, gy_pid pid)
{
    struct gy_subscriber *subscriber = find(broadcast, pid);
    if (subscriber == NULL)
        return -ENOENT;
    take_off(broadcast, subscriber);
    return 0;
}

int gy_broadcast_publish(struct gy_broadcast *broadcast, const void *message, size_t size)
{
    uint64_t words[GY_MSG_INLINE / 8] = { 0 };
    int sent = 0;
    if (size != broadcast->size || size > sizeof(words))
        return -EINVAL;
    memcpy(words, message, size);
    for (uint32_t i = 0; i < broadcast->count;) {
        struct gy_subscriber *subscriber = &broadcast->subscribers[i];
        int err = gy_cast_words(subscriber->pid, subscriber->verb, words[0], words[1], words[2],
                                words[3]);
        if (err == -ESRCH) {
            take_off(broadcast, subscriber);
            continue;
        }
        sent += err == 0;
        broadcast->missed += err != 0;
        i++;
    }
    return sent;
}
