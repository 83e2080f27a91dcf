#include "tests/http/app.h"

#include "gyre/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

GY_ACTOR_TYPE(app, app_start, app_stop);
GY_VERB(app, release);
GY_HTTP(app, app_hello);
GY_HTTP(app, app_echo);
GY_HTTP(app, app_where);
GY_HTTP(app, app_keep);
GY_HTTP(app, app_nothing);
GY_HTTP(app, app_die);
GY_HTTP(app, app_wrong);
GY_HTTP(app, app_big);
GY_HTTP(app, app_user);
GY_HTTP(app, app_fail);
GY_HTTP(app, app_move);
GY_HTTP(app, app_json);

static void app_hello(struct app *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)req;
    self->entered++;
    gy_http_reply(reply, 200, "text/plain", "Hello, world!", 13);
}

static void app_echo(struct app *self, const struct gy_http_req *req, gy_http_promise reply)
{
    self->entered++;
    gy_http_reply(reply, 200, NULL, req->body.ptr, req->body.len);
}

static void app_where(struct app *self, const struct gy_http_req *req, gy_http_promise reply)
{
    self->entered++;
    gy_http_replyf(reply, 200, "%u %.*s?%.*s", gy_shard(), (int)req->rest.len,
                   req->rest.len > 0 ? req->rest.ptr : "", (int)req->query.len,
                   req->query.len > 0 ? req->query.ptr : "");
}

static void app_keep(struct app *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)req;
    self->entered++;
    if (self->kept_count == 64 || gy_keep(reply.promise) < 0)
        gy_http_reply(reply, 503, NULL, NULL, 0);
    else
        self->kept[self->kept_count++] = reply;
}

void app_on_release(struct app *self, const struct app_release_msg *msg)
{
    (void)msg;
    for (unsigned i = 0; i < self->kept_count; i++) {
        self->discarded += gy_discarded(self->kept[i].promise) == 1;
        gy_http_replyf(self->kept[i], 200, "%u late", gy_shard());
    }
    self->kept_count = 0;
}

static void app_nothing(struct app *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)req, (void)reply;
    self->entered++;
}

static void app_die(struct app *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)req, (void)reply;
    gy_fail(&self->actor, -EIO);
}

static void app_wrong(struct app *self, const struct gy_http_req *req, gy_http_promise reply)
{
    uint64_t value = 7;

    (void)self, (void)req;
    gy_resolve_raw(reply.promise, 0, &value, sizeof(value), NULL);
}

static void app_big(struct app *self, const struct gy_http_req *req, gy_http_promise reply)
{
    static char body[(1u << 20) - 1024];
    struct gy_http_res res;

    (void)self, (void)req;
    memset(body, 'b', sizeof(body));
    gy_http_begin(&res, 200);
    gy_http_end_buf(&res, reply, gy_buf_wrap(body, sizeof(body), NULL, NULL));
}

static void app_user(struct app *self, const struct gy_http_req *req, gy_http_promise reply)
{
    static const char *const names[] = { "what", "path", "id" };
    char value[64] = "";
    int len = -ENOENT;

    (void)self;
    for (unsigned i = 0; i < 3 && len == -ENOENT; i++)
        len = gy_http_param(req, names[i], value, sizeof(value));
    if (len < 0)
        gy_http_fail(reply, len);
    else
        gy_http_replyf(reply, 200, "%u %.*s %s", gy_shard(), (int)req->route.len, req->route.ptr, value);
}

static void app_fail(struct app *self, const struct gy_http_req *req, gy_http_promise reply)
{
    uint64_t n = 0;
    int err = gy_http_query_u64(req, "n", &n), upstream = 0, internal = 0;

    (void)self;
    if (gy_http_query_bool(req, "upstream", &upstream) == 0 && upstream)
        gy_http_fail_upstream(reply, -(int)n);
    else if (gy_http_query_bool(req, "internal", &internal) == 0 && internal)
        gy_http_fail_internal(reply, -(int)n);
    else
        gy_http_fail(reply, err < 0 ? err : -(int)n);
}

static void app_move(struct app *self, const struct gy_http_req *req, gy_http_promise reply)
{
    char to[64] = "";
    uint64_t status = 302;

    (void)self;
    (void)gy_http_query_u64(req, "status", &status);
    (void)gy_http_query(req, "to", to, sizeof(to));
    (void)gy_http_redirect(reply, (int)status, to);
}

static void app_json(struct app *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct gy_json json = GY_JSON_INIT;

    (void)self;
    gy_json_object(&json);
    gy_json_key(&json, "path"), gy_json_strn(&json, req->path.ptr, req->path.len);
    if (req->query.len == 0)
        gy_json_end(&json);
    (void)gy_http_json(reply, 200, &json);
}

static int app_start(struct app *self, const struct app_args *args)
{
    static const struct {
        const char *methods, *name;
        const struct gy_verb *verb;
    } routes[] = {
        { "GET ", "hello", &app_hello_verb },     { "", "echo", &app_echo_verb },
        { "GET ", "where", &app_where_verb },     { "GET ", "keep", &app_keep_verb },
        { "GET ", "nothing", &app_nothing_verb }, { "GET ", "die", &app_die_verb },
        { "GET ", "wrong", &app_wrong_verb },     { "GET ", "big", &app_big_verb },
        { "GET ", "users/:id", &app_user_verb },  { "GET ", "users/:id/:what", &app_user_verb },
        { "GET ", "tree/*path", &app_user_verb }, { "GET ", "fail", &app_fail_verb },
        { "GET ", "move", &app_move_verb },       { "GET ", "json", &app_json_verb },
    };
    int err = 0;

    for (unsigned i = 0; i < sizeof(routes) / sizeof(routes[0]) && err == 0; i++) {
        char route[128];
        snprintf(route, sizeof(route), "%s%s/%s", routes[i].methods,
                 args->prefix != NULL ? args->prefix : "/app", routes[i].name);
        err = gy_http_route_raw(&self->actor, route, routes[i].verb);
    }
    return err;
}

static void app_stop(struct app *self, int why)
{
    (void)self, (void)why;
}
