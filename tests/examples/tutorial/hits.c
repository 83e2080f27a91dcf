/* hits.c - the actor: plain functions on a plain struct. Only its shard ever runs it, so it needs no
 * lock and no atomic. */
#include "hits.h"

#include <gyre/http.h>

#define SUMS_MAX 64 /* sums under way at once; the next client gets 503 */

struct hits {
    struct gy_actor actor; /* always first */
    uint64_t n;
    const struct hits_table *all;
    struct sum {
        gy_http_promise reply;
        unsigned missing; /* answers to come; 0: the entry is free */
        uint64_t n;
        int err;
    } sums[SUMS_MAX];
};

GY_ACTOR_TYPE(hits, hits_start, hits_stop);
GY_VERB(hits, add);
GY_VERB(hits, get);
GY_HTTP(hits, hits_http_add);
GY_HTTP(hits, hits_http_total);
GY_THEN(hits, hits_on_part, hits, get);

static int hits_start(struct hits *self, const struct hits_args *args)
{
    self->all = args->all;
    int err = gy_http_route(self, "POST /hits/add", hits_http_add);
    if (err == 0)
        err = gy_http_route(self, "GET /hits/total", hits_http_total);
    return err;
}

static void hits_stop(struct hits *self, int why)
{
    gy_log("%llu hits on shard %u, why %d", (unsigned long long)self->n, gy_shard(), why);
}

void hits_on_add(struct hits *self, const struct hits_add_msg *msg)
{
    self->n += msg->n;
}

void hits_on_get(struct hits *self, const struct hits_get_msg *msg, hits_get_promise reply)
{
    (void)msg;
    hits_get_resolve(reply, (struct hits_get_reply){ .n = self->n });
}

/* Answered at once, on the shard that accepted the connection. */
static void hits_http_add(struct hits *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)req;
    self->n++;
    gy_http_reply(reply, 204, NULL, NULL, 0);
}

/* Answered later: ask every shard, keep the promise, add up what comes. */
static void hits_http_total(struct hits *self, const struct gy_http_req *req, gy_http_promise reply)
{
    unsigned i = 0;
    (void)req;
    while (i < SUMS_MAX && self->sums[i].missing != 0)
        i++;
    if (i == SUMS_MAX || gy_keep(reply.promise) < 0) {
        gy_http_replyf(reply, 503, "too many sums at once\n");
        return;
    }
    self->sums[i] = (struct sum){ .reply = reply, .missing = gy_shards() };
    for (unsigned shard = 0; shard < gy_shards(); shard++) {
        hits_get_fut part = hits_get(self->all->on[shard], (struct hits_get_msg){ 0 });
        gy_deadline(part.fut, 100 * GY_MS); /* late or refused, an answer comes in any case */
        int err = gy_then(self, part, hits_on_part, i);
        if (err < 0) /* not even room to say "refused" later */
            hits_on_part(self, i, err, NULL);
    }
}

static void hits_on_part(struct hits *self, uint64_t i, int res, const struct hits_get_reply *part)
{
    struct sum *sum = &self->sums[i];
    if (res < 0)
        sum->err = res;
    else
        sum->n += part->n;
    if (--sum->missing > 0)
        return;
    if (sum->err < 0)
        gy_http_replyf(sum->reply, 504, "a shard did not answer: error %d\n", sum->err);
    else
        gy_http_replyf(sum->reply, 200, "%llu\n", (unsigned long long)sum->n);
}
