#include "tests/sim/web.h"

#include "gyre/http_content.h"

#include <stdio.h>
#include <stdlib.h>

#define KEPT_MAX 64

struct web {
    struct gy_actor actor;
    struct {
        gy_http_promise reply;
        uint32_t id;
        bool used;
    } kept[KEPT_MAX];
};
GY_ACTOR_TYPE(web, web_start, web_stop);
GY_HTTP(web, web_now);
GY_HTTP(web, web_later);
GY_HTTP(web, web_echo);
GY_HTTP(web, web_never);
GY_HTTP(web, web_abandon);
GY_HTTP(web, web_big);
GY_HTTP(web, web_packed);
GY_HTTP(web, web_moved);
GY_HTTP(web, web_count);
GY_THEN_RES(web, web_due);

static int routes(struct web *self, bool far)
{
    int err = gy_http_route(self, far ? "GET /far/now" : "GET /web/now", web_now);
    if (err == 0)
        err = gy_http_route(self, far ? "GET /far/later" : "GET /web/later", web_later);
    if (err == 0)
        err = gy_http_route(self, far ? "POST /far/echo" : "POST /web/echo", web_echo);
    if (err == 0)
        err = gy_http_route(self, far ? "GET /far/never" : "GET /web/never", web_never);
    if (err == 0)
        err = gy_http_route(self, far ? "GET /far/abandon" : "GET /web/abandon", web_abandon);
    if (err == 0)
        err = gy_http_route(self, far ? "GET /far/big" : "GET /web/big", web_big);
    if (err == 0)
        err = gy_http_route(self, far ? "GET /far/packed" : "GET /web/packed", web_packed);
    if (err == 0)
        err = gy_http_route(self, far ? "GET /far/moved" : "GET /web/moved", web_moved);
    if (err == 0)
        err = gy_http_route(self, far ? "POST /far/count" : "POST /web/count", web_count);
    return err;
}

static int web_start(struct web *self, const struct web_args *args)
{
    return routes(self, args->far);
}
static void web_stop(struct web *self, int why)
{
    (void)self, (void)why;
}

int web_boot(unsigned shard, void *arg)
{
    web_pid pid;
    int err = gy_http_listen(arg);

    if (err == 0)
        err = web_spawn(&pid, &(struct web_args){false});
    if (err == 0 && shard == 0)
        err = web_spawn(&pid, &(struct web_args){true});
    return err;
}

static uint32_t number(const struct gy_http_req *req, const char *name)
{
    char text[16];

    return gy_http_query(req, name, text, sizeof(text)) > 0 ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

static void web_now(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self;
    gy_http_replyf(reply, 200, "%u", number(req, "id"));
}

static void web_later(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    unsigned i = 0;
    gy_fut timer;

    while (i < KEPT_MAX && self->kept[i].used)
        i++;
    if (i == KEPT_MAX || gy_keep(reply.promise) < 0) {
        gy_http_replyf(reply, 503, "too many wait");
        return;
    }
    timer = gy_after(number(req, "us") * (uint64_t)GY_US);
    if (gy_then(self, timer, web_due, i) < 0) {
        gy_http_replyf(reply, 503, "no timer");
        return;
    }
    self->kept[i].reply = reply;
    self->kept[i].id = number(req, "id");
    self->kept[i].used = true;
}

static void web_due(struct web *self, uint64_t i, int res)
{
    self->kept[i].used = false;
    gy_http_replyf(self->kept[i].reply, res < 0 ? 503 : 200, "%u", self->kept[i].id);
}

static void web_echo(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self;
    gy_http_reply(reply, 200, NULL, req->body.ptr, req->body.len);
}

static void web_never(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self, (void)req;
    if (gy_keep(reply.promise) < 0)
        gy_http_replyf(reply, 503, "no record");
}

static void web_abandon(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self, (void)req, (void)reply;
}

static const char *big(const struct gy_http_req *req, uint32_t *n)
{
    static char bytes[WEB_BIG_MAX];

    for (size_t i = 0; bytes[0] == 0 && i < WEB_BIG_MAX; i++)
        bytes[WEB_BIG_MAX - 1 - i] = (char)web_big_byte(WEB_BIG_MAX - 1 - i);
    *n = number(req, "n");
    *n = *n < WEB_BIG_MAX ? *n : WEB_BIG_MAX;
    return bytes;
}

static void web_big(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    uint32_t n;
    const char *bytes = big(req, &n);

    (void)self;
    gy_http_reply(reply, 200, NULL, bytes, n);
}

static void web_packed(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    uint32_t n;
    const char *bytes = big(req, &n);
    struct gy_http_res res;

    (void)self;
    gy_http_begin(&res, 200);
    (void)gy_http_end_gzip(&res, reply, req, bytes, n);
}

static void web_moved(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct gy_http_res res;
    char where[64];

    (void)self;
    snprintf(where, sizeof(where), "/web/now?id=%u", number(req, "id"));
    gy_http_begin(&res, 302);
    (void)gy_http_set(&res, "Location", where);
    (void)gy_http_end(&res, reply, "elsewhere", 9);
}

unsigned web_counted[WEB_COUNTS];

static void web_count(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    uint32_t id = number(req, "id");

    (void)self;
    if (id < WEB_COUNTS)
        web_counted[id]++;
    gy_http_replyf(reply, 200, "%u", id);
}
