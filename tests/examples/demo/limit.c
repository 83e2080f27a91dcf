/* The limit actor: see limit.h. */
#include "limit.h"

#include <errno.h>

#include "table.h"

struct limit {
    struct gy_actor actor;
    struct table table;
    struct limit_stats_reply stats;
};
GY_ACTOR_TYPE(limit, limit_start, limit_stop);
GY_VERB(limit, take);
GY_VERB(limit, set);
GY_VERB(limit, stats);

static int limit_start(struct limit *self, const struct limit_args *args)
{
    return table_open(&self->table, args->keys_max, args->limit);
}

static void limit_stop(struct limit *self, int why)
{
    (void)why;
    table_close(&self->table);
}

void limit_on_take(struct limit *self, const struct limit_take_msg *msg, limit_take_promise reply)
{
    struct table_entry *e = table_get(&self->table, msg->key, gy_now());
    if (e == NULL) {
        self->stats.full++;
        limit_take_reject(reply, -ENOSPC);
        return;
    }
    if (msg->n > e->limit.burst) {
        limit_take_reject(reply, -ERANGE);
        return;
    }
    struct limit_take_reply answer = {0, 0, 0};
    if (bucket_take(&e->bucket, e->limit, gy_now(), msg->n)) {
        answer.allowed = msg->n;
        self->stats.allowed += msg->n;
    } else {
        answer.wait_ns = bucket_wait_ns(&e->bucket, e->limit, msg->n);
        self->stats.refused++;
    }
    answer.remaining = e->bucket.tokens;
    limit_take_resolve(reply, answer);
}

void limit_on_set(struct limit *self, const struct limit_set_msg *msg, limit_set_promise reply)
{
    struct table_entry *e = table_get(&self->table, msg->key, gy_now());
    if (e == NULL) {
        self->stats.full++;
        limit_set_reject(reply, -ENOSPC);
        return;
    }
    bucket_refill(&e->bucket, e->limit, gy_now()); /* what the old rate gave until now */
    if (e->bucket.tokens == e->limit.burst)
        e->bucket = bucket_new(msg->limit, gy_now()); /* a full bucket stays a full one */
    e->limit = msg->limit;
    bucket_refill(&e->bucket, e->limit, gy_now());
    limit_set_resolve(reply, (struct limit_set_reply){e->bucket.tokens});
}

void limit_on_stats(struct limit *self, const struct limit_stats_msg *msg,
                    limit_stats_promise reply)
{
    (void)msg;
    self->stats.keys = self->table.keys;
    self->stats.keys_max = self->table.keys_max;
    limit_stats_resolve(reply, self->stats);
}
