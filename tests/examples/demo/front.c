/* front's life: see front.h. Until it knows the actors of all shards it holds, so that a request that
 * comes early waits instead of failing; answers to its own calls reach it all the same. */
#include "front_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gyre/run.h"

#include "guide.h"

#define RETRY_NS (10 * GY_MS)

GY_ACTOR_TYPE(front, front_start, front_stop);
GY_VERB(front, listens);
GY_VERB(front, entered);
GY_THEN(front, front_on_guide, guide, spawn);
GY_THEN(front, front_on_home, guide, home);
GY_THEN_RES(front, front_on_retry);
GY_THEN_RES(front, front_on_look);

static void front_know_all(struct front *self);

/* ---- getting to know the others ---- */

/* Without the others a front is useless: the error is told and ends the program. */
static void front_check(struct front *self, int err, uint64_t shard)
{
    if (err >= 0)
        return;
    gy_log("shard %u cannot reach shard %llu: error %d", gy_shard(), (unsigned long long)shard, -err);
    gy_fail(&self->actor, err);
}

static int front_meet(struct front *self, uint64_t shard)
{
    guide_spawn_fut f = guide_spawn_on((unsigned)shard, &(struct guide_args){self->demo});
    return gy_then(self, f, front_on_guide, shard);
}

static void front_on_guide(struct front *self, uint64_t shard, int res,
                           const struct guide_spawn_reply *value)
{
    if (res >= 0)
        res = gy_then(self, guide_home(value->pid, (struct guide_home_msg){0}), front_on_home, shard);
    else if (res == -EAGAIN)
        res = gy_then(self, gy_after(RETRY_NS), front_on_retry, shard);
    front_check(self, res, shard);
}

static void front_on_retry(struct front *self, uint64_t shard, int res)
{
    front_check(self, res < 0 ? res : front_meet(self, shard), shard);
}

static void front_on_home(struct front *self, uint64_t shard, int res,
                          const struct guide_home_reply *value)
{
    /* Refused for want of room: that guide goes on waiting, another is asked. */
    if (res == -EAGAIN)
        res = gy_then(self, gy_after(RETRY_NS), front_on_retry, shard);
    front_check(self, res, shard);
    if (value == NULL)
        return;
    self->homes[shard] = value->home;
    if (--self->unknown == 0)
        front_know_all(self);
}

static void front_know_all(struct front *self)
{
    gy_unhold(&self->actor);
    front_check(self, gy_then(self, gy_after(0), front_on_look, 0), 0);
}

/* Listeners open after all shards have booted, and with port 0 only then the port is known. */
static void front_on_look(struct front *self, uint64_t ctx, int res)
{
    (void)ctx;
    unsigned port = gy_http_port();
    if (res >= 0 && port == 0)
        res = gy_then(self, gy_after(GY_MS), front_on_look, 0);
    else if (res >= 0)
        res = front_listens(self->homes[0].front, (struct front_listens_msg){port});
    if (res == -EAGAIN) /* shards that are busy already have no room for it */
        res = gy_then(self, gy_after(RETRY_NS), front_on_look, 0);
    front_check(self, res, 0);
}

/* ---- telling the user ---- */

static void tell(const struct demo *demo, unsigned port)
{
    const char *listen = demo->options.listen;
    char url[128];
    (void)snprintf(url, sizeof(url), "http://%.*s:%u", (int)(strrchr(listen, ':') - listen), listen,
                   port);
    printf("listening on %s\n"
           "%u shard%s; %u tokens a second and %u at once for each key\n"
           "  curl -i -X POST '%s/limit/take?key=me&n=1'\n"
           "  curl -i -X PUT '%s/limit/rate?key=me&rate=1&burst=5'\n"
           "  curl %s/limit/stats\n",
           url, gy_shards(), gy_shards() == 1 ? "" : "s", demo->options.rate, demo->options.burst,
           url, url, url);
    (void)fflush(stdout);
}

void front_on_listens(struct front *self, const struct front_listens_msg *msg)
{
    if (++self->listening == gy_shards())
        tell(self->demo, msg->port);
}

/* ---- life ---- */

static int front_start(struct front *self, const struct front_args *args)
{
    self->demo = args->demo;
    self->homes[gy_shard()].limit = args->demo->homes[gy_shard()].limit;
    self->homes[gy_shard()].front.pid = self->actor.pid;
    self->unknown = gy_shards() - 1;
    gy_hold(&self->actor);
    int err = front_limit_routes(self);
    if (err == 0)
        err = front_show_routes(self);
    for (unsigned i = 0; i < gy_shards() && err == 0; i++)
        if (i != gy_shard())
            err = front_meet(self, i);
    if (err == 0 && self->unknown == 0)
        front_know_all(self);
    return err;
}

static void front_stop(struct front *self, int why)
{
    if (why < 0 && why != -ECANCELED) /* the runtime's own stop */
        self->demo->homes[gy_shard()].err = why;
    gy_stop(gy_runtime_of_shard());
}

void front_on_entered(struct front *self, const struct front_entered_msg *msg,
                      front_entered_promise reply)
{
    (void)msg;
    front_entered_resolve(reply, (struct front_entered_reply){self->entered});
}

/* ---- what both groups of routes use ---- */

int front_sum_begin(struct front *self, gy_http_promise reply)
{
    for (int i = 0; i < FRONT_SUMS; i++) {
        if (self->sums[i].waiting != 0)
            continue;
        if (gy_keep(reply.promise) < 0)
            break;
        self->sums[i] = (struct front_sum){.reply = reply, .waiting = gy_shards()};
        return i;
    }
    front_fail(reply, -EAGAIN);
    return -EAGAIN;
}

bool front_sum_one(struct front *self, struct front_sum *sum, int res)
{
    (void)self;
    if (res < 0 && sum->err == 0)
        sum->err = res;
    return --sum->waiting == 0;
}

void front_fail(gy_http_promise reply, int err)
{
    if (err == -ENOSPC)
        gy_http_replyf(reply, 503, "no place for another key\n");
    else if (err == -ETIMEDOUT)
        gy_http_replyf(reply, 503, "the key's shard did not answer in time\n");
    else
        gy_http_replyf(reply, 503, "too busy: error %d\n", -err);
}

bool front_misses(const struct gy_http_req *req, gy_http_promise reply)
{
    if (req->rest.len == 0)
        return false;
    gy_http_replyf(reply, 404, "there is nothing here\n");
    return true;
}
