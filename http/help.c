/* http/help.c - what a service says of itself: GET /help, /health and /ready.
 *
 * Each shard's table knows the routes of all shards, so the list needs nobody else. */
#include "http/server.h"

#include "http/method.h"
#include "http/text.h"

#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct gy__http_server *server_of(struct gy_actor *self)
{
    return (struct gy__http_server *)(void *)self;
}

/* ---- the list ---------------------------------------------------------------------------- */

struct list {
    struct gy_slice prefix;      /* of the routes in it */
    struct gy_buf *buf;          /* of pointers to targets */
    uint32_t count;
    bool failed;
};

static void add(void *arg, const struct gy__http_target *target)
{
    struct list *list = arg;
    const struct gy_buf *text = target->text;

    if (text->len < list->prefix.len || memcmp(text->data, list->prefix.ptr, list->prefix.len) != 0)
        return;
    if (list->buf == NULL || gy_buf_room(list->buf) < sizeof(target)) {
        struct gy_buf *larger = gy_buf_take(list->buf != NULL ? 2 * (size_t)list->buf->capacity : 4096);

        if (larger == NULL) {
            list->failed = true;
            return;
        }
        if (list->buf != NULL)
            memcpy(larger->data, list->buf->data, list->buf->len);
        larger->len = list->buf != NULL ? list->buf->len : 0;
        gy_buf_release(list->buf);
        list->buf = larger;
    }
    memcpy(list->buf->data + list->buf->len, &target, sizeof(target));
    list->buf->len += (uint32_t)sizeof(target);
    list->count++;
}

/* By the text of the route, then the actor: shards stand together. */
static int compare(const void *a, const void *b)
{
    const struct gy__http_target *x = *(const struct gy__http_target *const *)a;
    const struct gy__http_target *y = *(const struct gy__http_target *const *)b;
    uint32_t len = x->text->len < y->text->len ? x->text->len : y->text->len;
    int order = memcmp(x->text->data, y->text->data, len);

    if (order == 0)
        order = (x->text->len > y->text->len) - (x->text->len < y->text->len);
    if (order == 0)
        order = (x->methods < y->methods) - (x->methods > y->methods);
    return order != 0 ? order : (x->pid.bits > y->pid.bits) - (x->pid.bits < y->pid.bits);
}

static const struct gy__http_target **targets_of(const struct list *list)
{
    return (const struct gy__http_target **)(void *)list->buf->data;
}

static void put_methods(struct gy__http_text *text, uint64_t methods, const char *between)
{
    const char *before = "";

    if (methods == GY__HTTP_METHODS_ANY) {
        gy__http_text_str(text, "*");
        return;
    }
    for (unsigned i = 0; i < GY__HTTP_METHODS; i++)
        if (methods & GY__HTTP_METHOD_BIT(i)) {
            gy__http_text_str(text, before);
            gy__http_text_add(text, gy__http_method_names[i].ptr, gy__http_method_names[i].len);
            before = between;
        }
}

/* The same route of the same type on other shards is one line. */
static bool same_line(const struct gy__http_target *a, const struct gy__http_target *b)
{
    return a->text->len == b->text->len && memcmp(a->text->data, b->text->data, a->text->len) == 0 &&
           a->methods == b->methods && a->verb == b->verb;
}

static void write_text(struct gy__http_text *text, const struct list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        const struct gy__http_target *target = targets_of(list)[i];
        const struct gy_http_route_options *options = target->options;

        if (i > 0 && same_line(targets_of(list)[i - 1], target))
            continue;
        put_methods(text, target->methods, ",");
        gy__http_text_str(text, " ");
        gy__http_text_add(text, (const char *)target->text->data, target->text->len);
        gy__http_text_str(text, "    (");
        gy__http_text_str(text, target->verb->type->name);
        gy__http_text_str(text, ")");
        if (options != NULL && options->help != NULL) {
            gy__http_text_str(text, " ");
            gy__http_text_str(text, options->help);
        }
        gy__http_text_str(text, "\n");
    }
}

static void write_json(struct gy_json *json, const struct list *list)
{
    gy_json_object(json);
    gy_json_key(json, "routes");
    gy_json_array(json);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct gy__http_target *target = targets_of(list)[i];

        gy_json_object(json);
        gy_json_key(json, "route");
        gy_json_strn(json, (const char *)target->text->data, target->text->len);
        gy_json_key(json, "methods");
        gy_json_array(json);
        for (unsigned k = 0; k < GY__HTTP_METHODS; k++)
            if (target->methods & GY__HTTP_METHOD_BIT(k) && gy__http_method_names[k].len > 0)
                gy_json_strn(json, gy__http_method_names[k].ptr, gy__http_method_names[k].len);
        gy_json_end(json);
        gy_json_key(json, "actor"), gy_json_str(json, target->verb->type->name);
        gy_json_key(json, "shard"), gy_json_u64(json, gy_pid_shard(target->pid));
        gy_json_key(json, "help");
        if (target->options != NULL && target->options->help != NULL)
            gy_json_str(json, target->options->help);
        else
            gy_json_null(json);
        gy_json_end(json);
    }
    gy_json_end(json);
    gy_json_end(json);
}

static void answer_text(const struct list *list, gy_http_promise reply)
{
    struct gy__http_text text = { NULL, false };
    struct gy_http_res res;

    write_text(&text, list);
    if (text.failed || text.buf == NULL) {
        gy__http_text_drop(&text);
        gy_http_fail(reply, text.failed ? -EAGAIN : -ENOENT);
        return;
    }
    gy_http_begin(&res, 200);
    (void)gy_http_set(&res, "Content-Type", "text/plain; charset=utf-8");
    (void)gy_http_end_buf(&res, reply, text.buf);
}

static void help(struct gy_actor *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct list list = { req->rest, NULL, 0, false };
    struct gy_json json = GY_JSON_INIT;
    char format[8] = "";

    gy__http_routes_each(&server_of(self)->routes, add, &list);
    (void)gy_http_query(req, "format", format, sizeof(format));
    if (list.failed || list.count == 0) {
        gy_http_fail(reply, list.failed ? -EAGAIN : -ENOENT);
    } else {
        qsort(targets_of(&list), list.count, sizeof(void *), compare);
        if (strcmp(format, "json") == 0) {
            write_json(&json, &list);
            (void)gy_http_json(reply, 200, &json);
        } else {
            answer_text(&list, reply);
        }
    }
    gy_buf_release(list.buf);
}

/* ---- health and readiness ---------------------------------------------------------------- */

static void health(struct gy_actor *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self, (void)req;
    gy_http_replyf(reply, 200, "ok\n");
}

static void ready(struct gy_actor *self, const struct gy_http_req *req, gy_http_promise reply)
{
    const struct gy__http_server *server = server_of(self);

    (void)req;
    if (server->env.draining)
        gy_http_replyf(reply, 503, "draining\n");
    else if (server->not_ready)
        gy_http_replyf(reply, 503, "not ready\n");
    else
        gy_http_replyf(reply, 200, "ready\n");
}

void gy_http_ready(int is_ready)
{
    struct gy__http_server *server = gy__http_server();

    if (server != NULL)
        server->not_ready = !is_ready;
}

/* ---- the routes -------------------------------------------------------------------------- */

#define ROUTE(name)                                                                                \
    static void name##_run(struct gy_actor *self, const void *payload, struct gy_buf *buf,         \
                           gy_promise promise)                                                     \
    {                                                                                              \
        gy__http_run(self, payload, buf, promise, name);                                           \
    }                                                                                              \
    const struct gy_verb gy__http_##name##_verb = { "http." #name, &gy__http_server_type,          \
                                                    name##_run, GY_MSG_INLINE_WITH_BUF,            \
                                                    GY_VERB_CALL | GY_VERB_BUF }
ROUTE(help);
ROUTE(health);
ROUTE(ready);
