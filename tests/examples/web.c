/* gyre-web - a small web service that shows what HTTP can do beside short answers.
 *
 *     gyre-web [--listen=ADDR:PORT] [--root=DIRECTORY]       127.0.0.1:8081 and the current directory
 *
 *     GET  /files/...             the files of the directory
 *     GET  /hello/:name           JSON, compressed for who asks
 *     POST /count                 how many bytes a body has, read as it comes; no limit
 *     POST /echo                  the body back, while it still comes
 *     POST /upper                 the body in capitals, decompressed before if need be
 *     GET  /ticks?n=3&part=2      events, one every 100 ms, at most part of them; who comes again, as a browser does,
 *                                 has the others: the event's id is how many are still to come
 *     GET  /who                   whom the request is from: the other end, and whom a proxy on this machine speaks for
 *     GET  /help, /health, /ready, /metrics
 *
 * In reading order: the table of tasks, one handler after the other, main. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gyre/args.h"
#include "gyre/http.h"
#include "gyre/http_access.h"
#include "gyre/http_content.h"
#include "gyre/http_files.h"
#include "gyre/http_stream.h"
#include "gyre/json.h"
#include "gyre/run.h"
#include "gyre/typed.h"

#define TASKS_MAX 64
#define BODY_MAX (8u << 20) /* of /upper, decompressed */

/* A request that is not answered at once: its place in the table is the context of what it waits for. */
struct task {
    bool used;
    gy_http_promise reply;
    gy_http_stream stream;
    uint64_t count; /* bytes so far, or ticks to come */
    uint64_t last;  /* ticks that are left for the next time */
};

struct web_args {
    uint32_t unused;
};
GY_ACTOR(web);
static struct settings {
    const char *listen, *root;
} settings = {"127.0.0.1:8081", "."};
static const char *const proxies[] = {"127.0.0.0/8", "::1", "unix:", NULL};
static struct gy_http_access web_access = GY_HTTP_ACCESS_INIT;

struct web {
    struct gy_actor actor;
    struct task tasks[TASKS_MAX];
};
GY_ACTOR_TYPE(web, web_start, web_stop);
GY_HTTP(web, web_hello);
GY_HTTP(web, web_count);
GY_HTTP(web, web_echo);
GY_HTTP(web, web_upper);
GY_HTTP(web, web_ticks);
GY_HTTP(web, web_who);
GY_HTTP_PIECE(web, web_on_counted);
GY_HTTP_PIECE(web, web_on_piece);
GY_THEN_RES(web, web_on_echoed);
GY_THEN_RES(web, web_on_ticked);
GY_THEN_RES(web, web_on_time);
GY_THEN_RES(web, web_on_look);

/* -> its number; -EAGAIN. */
static int task_begin(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    for (int i = 0; i < TASKS_MAX; i++)
        if (!self->tasks[i].used) {
            self->tasks[i] = (struct task){true, reply, gy_http_stream_of(req), 0, 0};
            return i;
        }
    return -EAGAIN;
}

/* ---- JSON, and what the client accepts ---- */

static void web_hello(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct gy_json json = GY_JSON_INIT;
    struct gy_http_res res;
    struct gy_buf *text;
    char name[1024];
    int err = gy_http_param(req, "name", name, sizeof(name));

    (void)self;
    gy_json_object(&json);
    gy_json_key(&json, "hello");
    gy_json_str(&json, err < 0 ? "" : name);
    gy_json_key(&json, "shard");
    gy_json_u64(&json, gy_shard());
    gy_json_end(&json);
    if (err >= 0)
        err = gy_json_take(&json, &text);
    if (err < 0) {
        gy_json_drop(&json);
        gy_http_fail(reply, err);
        return;
    }
    gy_http_begin(&res, 200);
    gy_http_set(&res, "Content-Type", "application/json");
    gy_http_end_gzip(&res, reply, req, text->data, text->len);
    gy_buf_release(text);
}

/* ---- a body that is read as it comes ---- */

static void web_count(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    int i = task_begin(self, req, reply), err = i < 0 ? i : gy_http_keep(reply);

    if (err == 0)
        err = gy_then(self, gy_http_read(self->tasks[i].stream), web_on_counted, (uint64_t)i);
    if (err < 0) {
        if (i >= 0)
            self->tasks[i].used = false;
        gy_http_fail(reply, err);
    }
}

static void web_on_counted(struct web *self, uint64_t i, int res, struct gy_buf *buf)
{
    struct task *task = &self->tasks[i];

    gy_buf_release(buf);
    if (res > 0) {
        task->count += (uint64_t)res;
        res = gy_then(self, gy_http_read(task->stream), web_on_counted, i);
        if (res == 0)
            return;
    }
    if (res < 0)
        gy_http_fail(task->reply, res); /* or the server has told the client already */
    else
        gy_http_replyf(task->reply, 200, "%llu\n", (unsigned long long)task->count);
    task->used = false;
}

/* ---- both ways at once ---- */

static void web_echo(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    int i = task_begin(self, req, reply);
    struct gy_http_res res;

    if (i < 0) {
        gy_http_fail(reply, i);
        return;
    }
    gy_http_begin(&res, 200);
    if (gy_http_end_stream(&res, reply, GY_HTTP_UNKNOWN) < 0)
        self->tasks[i].used = false;
    else
        web_on_echoed(self, (uint64_t)i, 0);
}

static void echo_over(struct task *task, int res)
{
    if (res < 0 || gy_http_finish(task->stream) < 0)
        (void)!gy_http_abort(task->stream); /* if even that is refused, its time runs out */
    task->used = false;
}

static void web_on_echoed(struct web *self, uint64_t i, int res)
{
    struct task *task = &self->tasks[i];

    if (res >= 0)
        res = gy_then(self, gy_http_read(task->stream), web_on_piece, i);
    if (res < 0)
        echo_over(task, res);
}

static void web_on_piece(struct web *self, uint64_t i, int res, struct gy_buf *buf)
{
    struct task *task = &self->tasks[i];

    if (res > 0) {
        res = gy_then(self, gy_http_write(task->stream, buf), web_on_echoed, i);
        if (res == 0)
            return;
    } else {
        gy_buf_release(buf);
    }
    echo_over(task, res);
}

/* ---- a body that may be compressed ---- */

static void web_upper(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct gy_buf *body, *upper;
    struct gy_http_res res;
    int err = gy_http_body(req, BODY_MAX, &body);
    size_t len;
    const char *from;

    (void)self;
    if (err < 0) {
        gy_http_reply(reply, err == -ENOTSUP ? 415 : err == -EPROTO ? 400 : gy_http_status(err), NULL, NULL, 0);
        return;
    }
    len = body != NULL ? body->len : req->body.len;
    from = body != NULL ? (const char *)body->data : req->body.ptr;
    upper = gy_buf_take(len);
    if (upper == NULL) {
        gy_http_fail(reply, -EAGAIN);
    } else {
        for (size_t i = 0; i < len; i++)
            upper->data[i] = (uint8_t)toupper((unsigned char)from[i]);
        upper->len = (uint32_t)len;
        gy_http_begin(&res, 200);
        gy_http_set(&res, "Content-Type", "text/plain; charset=utf-8");
        gy_http_end_gzip(&res, reply, req, upper->data, upper->len);
        gy_buf_release(upper);
    }
    gy_buf_release(body);
}

/* ---- events ---- */

/* Which part of the ticks is asked for. -> 0; -EINVAL. */
static int ticks_of(const struct gy_http_req *req, struct task *task)
{
    const struct gy_slice *id = gy_http_header(req, "Last-Event-ID");
    uint64_t n = 3, part = UINT64_MAX;
    char text[24], *end;

    if (gy_http_query_u64(req, "n", &n) == -EINVAL || gy_http_query_u64(req, "part", &part) == -EINVAL)
        return -EINVAL;
    if (id != NULL) { /* the client comes again */
        (void)snprintf(text, sizeof(text), "%.*s", (int)id->len, id->ptr);
        task->count = strtoull(text, &end, 10);
        if (id->len == 0 || id->len >= sizeof(text) || *end != '\0')
            return -EINVAL;
    }
    if (id == NULL || task->count > n)
        task->count = n;
    task->last = task->count > part ? task->count - part : 0;
    return 0;
}

static void web_ticks(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    int i = task_begin(self, req, reply), err = i < 0 ? i : ticks_of(req, &self->tasks[i]);
    struct gy_http_res res;

    if (err == 0 && self->tasks[i].count > 0) {
        gy_http_begin(&res, 200);
        if (gy_http_end_events(&res, reply) < 0)
            self->tasks[i].used = false;
        else
            web_on_time(self, (uint64_t)i, 0);
        return;
    }
    if (i >= 0)
        self->tasks[i].used = false;
    if (err < 0)
        gy_http_fail(reply, err);
    else
        gy_http_reply(reply, 204, NULL, NULL, 0); /* by which a browser knows not to come again */
}

static void web_on_time(struct web *self, uint64_t i, int res)
{
    struct task *task = &self->tasks[i];
    char text[32];

    if (res < 0 || task->count == task->last) {
        echo_over(task, res);
        return;
    }
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)--task->count);
    res = gy_then(self, gy_http_event(task->stream, "tick", text, text), web_on_ticked, i);
    if (res < 0)
        echo_over(task, res);
}

static void web_on_ticked(struct web *self, uint64_t i, int res)
{
    if (res >= 0)
        res = gy_then(self, gy_after(100 * GY_MS), web_on_time, i);
    if (res < 0)
        echo_over(&self->tasks[i], res); /* the client left, say */
}

/* ---- addresses ---- */

static void web_who(struct web *self, const struct gy_http_req *req, gy_http_promise reply)
{
    char peer[GY_ADDR_TEXT_MAX], client[GY_ADDR_TEXT_MAX];
    struct gy_addr addr;
    int err = gy_http_peer(req, &addr);

    (void)self;
    (void)gy_addr_print(&addr, peer, sizeof(peer));
    if (err == 0)
        err = gy_http_forwarded_for(req, &addr);
    (void)gy_addr_print(&addr, client, sizeof(client));
    if (err < 0)
        gy_http_fail(reply, err);
    else
        gy_http_replyf(reply, 200, "%s for %s\n", peer, client);
}

/* ---- life ---- */

static int web_start(struct web *self, const struct web_args *args)
{
    static const struct gy_http_route_options streams = {
        .size = sizeof(streams), .help = "reads its body as it comes", .body_max = UINT64_MAX, .stream = 1};
    static const struct gy_http_route_options packed = {
        .size = sizeof(packed), .help = "takes gzip and deflate", .body_max = BODY_MAX};
    int err = gy_http_route(self, "GET /hello/:name", web_hello);

    (void)args;
    if (err == 0)
        err = gy_http_route_with(self, "POST,PUT /count", web_count, &streams);
    if (err == 0)
        err = gy_http_route_with(self, "POST /echo", web_echo, &streams);
    if (err == 0)
        err = gy_http_route_with(self, "POST /upper", web_upper, &packed);
    if (err == 0)
        err = gy_http_route(self, "GET /ticks", web_ticks);
    if (err == 0)
        err = gy_http_route(self, "GET /who", web_who);
    if (err == 0 && gy_shard() == 0)
        err = gy_then(self, gy_after(0), web_on_look, 0);
    return err;
}

/* With port 0 it is known when the listener is open, which is after all shards have booted. */
static void web_on_look(struct web *self, uint64_t ctx, int res)
{
    const char *listen = settings.listen;
    unsigned port = gy_http_port();

    (void)ctx;
    if (res >= 0 && port == 0) {
        (void)gy_then(self, gy_after(GY_MS), web_on_look, 0);
        return;
    }
    printf("listening on http://%.*s:%u\n", (int)(strrchr(listen, ':') - listen), listen, port);
    (void)fflush(stdout);
}

static void web_stop(struct web *self, int why)
{
    (void)self, (void)why;
}

static int boot(unsigned shard, void *arg)
{
    struct gy_http_config http = GY_HTTP_CONFIG_INIT(settings.listen);
    const struct gy_http_files files = GY_HTTP_FILES_INIT(settings.root, "/files");
    gy_pid pid;
    web_pid web;
    int err;

    (void)shard, (void)arg;
    http.access = &web_access;
    err = gy_http_listen(&http);
    if (err == 0)
        err = gy_http_files_spawn(&pid, &files);
    if (err == 0)
        err = web_spawn(&web, &(struct web_args){0});
    return err;
}

int main(int argc, char **argv)
{
    static const struct gy_option options[] = {
        {"listen", NULL, GY_OPTION_ADDRESS, .offset = offsetof(struct settings, listen), .value = "ADDR:PORT",
         .help = "port 0: any free, which the log tells"},
        {"root", NULL, GY_OPTION_TEXT, .offset = offsetof(struct settings, root), .value = "DIRECTORY",
         .help = "whose files are served"},
    };
    static const struct gy_program program = {
        .version = "0.1.0",
        .about = "A small web service.",
        .options = options,
        .options_n = sizeof(options) / sizeof(options[0]),
        .fields = &settings,
    };
    struct gy_config cfg;
    int err;

    gy_config_init(&cfg);
    cfg.handle_signals = true;
    web_access.proxies = proxies; /* before the shards, which only read it */
    err = gy_args(&cfg, &program, &argc, argv);
    if (err == 0)
        err = gy_run(&cfg, boot, NULL);
    return gy_exit_status(err);
}
