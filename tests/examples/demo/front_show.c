/* /demo: for trying and measuring. */
#include "front_state.h"

#include <errno.h>

GY_HTTP(front, front_http_hello);
GY_HTTP(front, front_http_echo);
GY_HTTP(front, front_http_big);
GY_HTTP(front, front_http_entered);
GY_THEN(front, front_on_count, front, entered);

int front_show_routes(struct front *self)
{
    int err = gy_http_route(self, "GET /demo/hello", front_http_hello);
    if (err == 0)
        err = gy_http_route(self, "GET,POST /demo/echo", front_http_echo);
    if (err == 0)
        err = gy_http_route(self, "GET /demo/big", front_http_big);
    if (err == 0)
        err = gy_http_route(self, "GET /demo/entered", front_http_entered);
    return err;
}

static void front_http_hello(struct front *self, const struct gy_http_req *req,
                             gy_http_promise reply)
{
    (void)self;
    if (!front_misses(req, reply))
        gy_http_reply(reply, 200, "text/plain", "Hello, World!", 13);
}

static void front_http_echo(struct front *self, const struct gy_http_req *req,
                            gy_http_promise reply)
{
    const struct gy_slice *type = gy_http_header(req, "content-type");
    char text[128] = "application/octet-stream";
    self->entered++;
    if (front_misses(req, reply))
        return;
    if (type != NULL && type->len < sizeof(text)) {
        memcpy(text, type->ptr, type->len);
        text[type->len] = '\0';
    }
    gy_http_reply(reply, 200, text, req->body.ptr, req->body.len);
}

static void front_http_big(struct front *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct gy_http_res res;
    if (front_misses(req, reply))
        return;
    /* The bytes are not copied: the buffer shows main()'s memory. */
    struct gy_buf *body = gy_buf_wrap(self->demo->big, DEMO_BIG_BYTES, NULL, NULL);
    if (body == NULL) {
        front_fail(reply, -EAGAIN);
        return;
    }
    gy_http_begin(&res, 200);
    gy_http_set(&res, "Content-Type", "application/octet-stream");
    gy_http_end_buf(&res, reply, body);
}

static void front_on_count(struct front *self, uint64_t ctx, int res,
                           const struct front_entered_reply *value)
{
    struct front_sum *sum = &self->sums[ctx];
    if (value != NULL)
        sum->entered += value->count;
    if (!front_sum_one(self, sum, res))
        return;
    if (sum->err < 0)
        front_fail(sum->reply, sum->err);
    else
        gy_http_replyf(sum->reply, 200, "%llu\n", (unsigned long long)sum->entered);
}

static void front_http_entered(struct front *self, const struct gy_http_req *req,
                               gy_http_promise reply)
{
    if (front_misses(req, reply))
        return;
    int i = front_sum_begin(self, reply);
    for (unsigned shard = 0; i >= 0 && shard < gy_shards(); shard++) {
        front_entered_fut f =
            front_entered(self->homes[shard].front, (struct front_entered_msg){0});
        gy_deadline(f.fut, FRONT_PATIENCE_NS);
        int err = gy_then(self, f, front_on_count, (uint64_t)i);
        if (err < 0)
            front_on_count(self, (uint64_t)i, err, NULL);
    }
}
