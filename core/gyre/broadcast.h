/* gyre/broadcast.h - one message to whoever has subscribed, on this shard.
 *
 *     struct news_msg { uint64_t id; };                        the message of each subscriber's verb
 *     gy_broadcast_init(&self->news, self->subscribers, 64, sizeof(struct news_msg));
 *     gy_broadcast_subscribe(&self->news, reader, news, reader_pid);
 *     struct news_msg msg = { 7 };
 *     sent = gy_broadcast_publish(&self->news, &msg, sizeof(msg));
 *
 * Each subscriber gets it as a cast, in the order of subscription, and its messages in the order
 * published. One whose mailbox is full misses this message: counted in missed, and told to nobody.
 * One that has ended is taken off the list when that is noticed. Nobody waits here, so nothing
 * happens at the owner's end, and there is no fini. Publishing costs a cast each; to other shards
 * cast to an actor there that publishes again. */
#ifndef GYRE_BROADCAST_H
#define GYRE_BROADCAST_H

#include "gyre/core.h"

GY_BEGIN_DECLS

struct gy_subscriber {
    gy_pid pid;
    const struct gy_verb *verb;
};

struct gy_broadcast {
    struct gy_subscriber *subscribers;
    uint32_t capacity, count;
    uint32_t size;   /* of the message, bytes */
    uint64_t missed; /* messages that found a mailbox full */
};

/* subscribers: memory for capacity of them, borrowed for the life of the broadcast. */
GY_API void gy_broadcast_init(struct gy_broadcast *broadcast, struct gy_subscriber *subscribers,
                              uint32_t capacity, size_t message_size);
/* A second subscription of an actor replaces its verb. O(n).
 * -> 0; -EAGAIN as many as there is memory for; -EINVAL not a cast of a message of that size, or an
 * actor of another shard. */
GY_API GY_MUST_CHECK int gy_broadcast_subscribe_raw(struct gy_broadcast *broadcast, gy_pid pid,
                                                    const struct gy_verb *verb);
/* -> 0; -ENOENT it had not subscribed. O(n). */
GY_API int gy_broadcast_unsubscribe(struct gy_broadcast *broadcast, gy_pid pid);
/* message: borrowed for the call. -> how many it was sent to; -EINVAL the size is another. */
GY_API int gy_broadcast_publish(struct gy_broadcast *broadcast, const void *message, size_t size);

GY_END_DECLS

/* Subscribe actor pid (an A_pid) with its verb V, a cast. */
#define gy_broadcast_subscribe(broadcast, A, V, pid_)                                              \
    A##_##V##_subscribe_(broadcast, (pid_))
/* In the .c that subscribes: makes gy_broadcast_subscribe known for A and V. */
#define GY_SUBSCRIBE(A, V)                                                                         \
    GY_MUST_CHECK GY_INLINE int A##_##V##_subscribe_(struct gy_broadcast *broadcast, A##_pid to)   \
    {                                                                                              \
        return gy_broadcast_subscribe_raw(broadcast, to.pid, &A##_##V##_verb);                     \
    }                                                                                              \
    GY_EXTERN const struct gy_verb A##_##V##_verb

#endif
