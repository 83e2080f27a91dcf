/* /limit: the rate limiter's requests. A request is turned into a call to the limit actor that owns
 * the key; its HTTP promise is kept meanwhile and travels as the continuation's ctx. */
#include "front_state.h"

#include <errno.h>
#include <stdio.h>

#define KEY_BYTES_MAX 255
#define RETRY_AFTER_MAX_S 86400 /* what a bucket that is never refilled is told */

GY_HTTP(front, front_http_take);
GY_HTTP(front, front_http_rate);
GY_HTTP(front, front_http_stats);
GY_THEN(front, front_on_take, limit, take);
GY_THEN(front, front_on_set, limit, set);
GY_THEN(front, front_on_stats, limit, stats);

int front_limit_routes(struct front *self)
{
    int err = gy_http_route(self, "POST /limit/take", front_http_take);
    if (err == 0)
        err = gy_http_route(self, "PUT /limit/rate", front_http_rate);
    if (err == 0)
        err = gy_http_route(self, "GET /limit/stats", front_http_stats);
    return err;
}

/* ---- parameters: each answers 400 itself when it is not there or not what it should be ---- */

static bool bad(gy_http_promise reply, const char *name, int err, size_t max)
{
    if (err == -ENOENT)
        gy_http_replyf(reply, 400, "parameter %s is missing\n", name);
    else if (err == -ENOBUFS)
        gy_http_replyf(reply, 400, "parameter %s is longer than %zu bytes\n", name, max);
    else
        gy_http_replyf(reply, 400, "parameter %s is not well-formed\n", name);
    return false;
}

static bool get_key(const struct front *self, const struct gy_http_req *req, gy_http_promise reply,
                    struct key *key)
{
    char text[KEY_BYTES_MAX + 1];
    int len = gy_http_query(req, "key", text, sizeof(text));
    if (len < 0)
        return bad(reply, "key", len, KEY_BYTES_MAX);
    if (len == 0) {
        gy_http_replyf(reply, 400, "parameter key is empty\n");
        return false;
    }
    *key = key_of(&self->demo->secret, text, (size_t)len);
    return true;
}

/* A decimal number from min to BUCKET_MAX. *value holds the default, if there is one. */
static bool get_number(const struct gy_http_req *req, gy_http_promise reply, const char *name,
                       uint32_t min, bool optional, uint32_t *value)
{
    char text[16];
    int len = gy_http_query(req, name, text, sizeof(text));
    if (len == -ENOENT && optional)
        return true;
    if (len < 0 && len != -ENOBUFS)
        return bad(reply, name, len, sizeof(text) - 1);
    uint64_t number = 0;
    bool is_number = len > 0;
    for (int i = 0; i < len && is_number; i++) {
        is_number = text[i] >= '0' && text[i] <= '9';
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    if (!is_number || number < min || number > BUCKET_MAX) {
        gy_http_replyf(reply, 400, "parameter %s: allowed is a number from %u to %u\n", name, min,
                       BUCKET_MAX);
        return false;
    }
    *value = (uint32_t)number;
    return true;
}

static limit_pid owner(const struct front *self, struct key key)
{
    return self->homes[key_owner(key, gy_shards())].limit;
}

/* ---- POST /limit/take?key=K&n=1 ---- */

static void front_http_take(struct front *self, const struct gy_http_req *req,
                            gy_http_promise reply)
{
    struct limit_take_msg msg = {.n = 1};
    if (front_misses(req, reply) || !get_key(self, req, reply, &msg.key) ||
        !get_number(req, reply, "n", 1, true, &msg.n))
        return;
    int err = gy_keep(reply.promise);
    if (err == 0) {
        limit_take_fut f = limit_take(owner(self, msg.key), msg);
        gy_deadline(f.fut, FRONT_PATIENCE_NS);
        err = gy_then(self, f, front_on_take, reply.promise.bits);
    }
    if (err < 0)
        front_fail(reply, err);
}

static void refuse(gy_http_promise reply, const struct limit_take_reply *value)
{
    uint64_t seconds = value->wait_ns / GY_S + (value->wait_ns % GY_S != 0);
    if (seconds > RETRY_AFTER_MAX_S)
        seconds = RETRY_AFTER_MAX_S;
    char after[24], body[64];
    struct gy_http_res res;
    (void)snprintf(after, sizeof(after), "%llu", (unsigned long long)seconds);
    int len = snprintf(body, sizeof(body), "{\"allowed\":false,\"remaining\":%u}\n",
                       value->remaining);
    gy_http_begin(&res, 429);
    gy_http_set(&res, "Retry-After", after);
    gy_http_set(&res, "Content-Type", "application/json");
    gy_http_end(&res, reply, body, (size_t)len);
}

static void front_on_take(struct front *self, uint64_t ctx, int res,
                          const struct limit_take_reply *value)
{
    (void)self;
    gy_http_promise reply = {{ctx}};
    char body[64];
    if (res == -ERANGE) {
        gy_http_replyf(reply, 400, "parameter n is above the key's burst\n");
    } else if (res < 0) {
        front_fail(reply, res);
    } else if (value->allowed == 0) {
        refuse(reply, value);
    } else {
        int len = snprintf(body, sizeof(body), "{\"allowed\":true,\"remaining\":%u}\n",
                           value->remaining);
        gy_http_reply(reply, 200, "application/json", body, (size_t)len);
    }
}

/* ---- PUT /limit/rate?key=K&rate=100&burst=200 ---- */

static void front_http_rate(struct front *self, const struct gy_http_req *req,
                            gy_http_promise reply)
{
    struct limit_set_msg msg;
    if (front_misses(req, reply) || !get_key(self, req, reply, &msg.key) ||
        !get_number(req, reply, "rate", 0, false, &msg.limit.rate) ||
        !get_number(req, reply, "burst", 1, false, &msg.limit.burst))
        return;
    int err = gy_keep(reply.promise);
    if (err == 0) {
        limit_set_fut f = limit_set(owner(self, msg.key), msg);
        gy_deadline(f.fut, FRONT_PATIENCE_NS);
        err = gy_then(self, f, front_on_set, reply.promise.bits);
    }
    if (err < 0)
        front_fail(reply, err);
}

static void front_on_set(struct front *self, uint64_t ctx, int res,
                         const struct limit_set_reply *value)
{
    (void)self;
    gy_http_promise reply = {{ctx}};
    char body[64];
    if (res < 0) {
        front_fail(reply, res);
        return;
    }
    int len = snprintf(body, sizeof(body), "{\"remaining\":%u}\n", value->remaining);
    gy_http_reply(reply, 200, "application/json", body, (size_t)len);
}

/* ---- GET /limit/stats: all shards are asked, and added up ---- */

static void front_http_stats(struct front *self, const struct gy_http_req *req,
                             gy_http_promise reply)
{
    if (front_misses(req, reply))
        return;
    int i = front_sum_begin(self, reply);
    for (unsigned shard = 0; i >= 0 && shard < gy_shards(); shard++) {
        limit_stats_fut f = limit_stats(self->homes[shard].limit, (struct limit_stats_msg){0});
        gy_deadline(f.fut, FRONT_PATIENCE_NS);
        int err = gy_then(self, f, front_on_stats, (uint64_t)i);
        if (err < 0)
            front_on_stats(self, (uint64_t)i, err, NULL);
    }
}

static void front_on_stats(struct front *self, uint64_t ctx, int res,
                           const struct limit_stats_reply *value)
{
    struct front_sum *sum = &self->sums[ctx];
    if (value != NULL) {
        sum->stats.allowed += value->allowed;
        sum->stats.refused += value->refused;
        sum->stats.full += value->full;
        sum->stats.keys += value->keys;
        sum->stats.keys_max += value->keys_max;
    }
    if (!front_sum_one(self, sum, res))
        return;
    if (sum->err < 0) {
        front_fail(sum->reply, sum->err);
        return;
    }
    char body[256];
    int len = snprintf(body, sizeof(body),
                       "{\"shards\":%u,\"keys\":%u,\"keys_max\":%u,\"allowed\":%llu,"
                       "\"refused\":%llu,\"full\":%llu}\n",
                       gy_shards(), sum->stats.keys, sum->stats.keys_max,
                       (unsigned long long)sum->stats.allowed,
                       (unsigned long long)sum->stats.refused,
                       (unsigned long long)sum->stats.full);
    gy_http_reply(sum->reply, 200, "application/json", body, (size_t)len);
}
