/* http/registry.c - routes from everywhere, known everywhere.
 *
 * A route is registered on the shard of its actor, which alone decides whether it is free; the
 * others are told, and hold a copy. News to other shards are sent in order, each until it fits; a
 * copy may thus be late, never wrong about what it says. An actor that died is noticed by the first
 * request to it: on its own shard at once, from another by asking that one. */
#include "http/server.h"

#include "http/shard.h"

#include "core/kernel.h"
#include "core/text.h"

#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/http.h"
#include "gyre/http_access.h"

#include <errno.h>
#include <string.h>

enum word {
    ROUTE_ADDED,
    ACTOR_GONE, /* to the others: drop its routes */
    ACTOR_SUSPECT, /* to its own shard: does it live? */
};

/* What one buffer says, then the path. */
struct news {
    uint32_t word, to; /* shard */
    struct gy__http_target target;
    uint32_t len;
    char path[];
};

static struct news *news_of(const struct gy_buf *buf)
{
    return (struct news *)(void *)buf->base;
}

/* ---- telling ----------------------------------------------------------------------------- */

static void hear(struct gy_actor *self, const void *payload, struct gy_buf *buf,
                 gy_promise promise);
static const struct gy_verb news_verb = { "http.news", &gy__http_server_type, hear, 0, GY_VERB_BUF };

static void tell_on(struct gy_actor *self, uint64_t ctx);

static void tell(struct gy__http_server *server)
{
    static const uint64_t none[GY_MSG_INLINE / 8];

    while (server->news != NULL && !server->news_wait) {
        struct gy_buf *buf = server->news;
        struct gy_buf *next = buf->next;
        gy_pid to = gy__http_pid(news_of(buf)->to);
        int err = gy_cast_raw(to, &news_verb, none, buf);

        if (err == -EAGAIN) {
            /* Nobody else waits in this actor's name. */
            if (gy_room_again_raw(&server->actor, to, tell_on, 0) == 0)
                server->news_wait = true;
            return;
        }
        if (err < 0)
            gy_buf_release(buf);
        server->news = next;
        if (next == NULL)
            server->news_last = NULL;
    }
}

static void tell_on(struct gy_actor *self, uint64_t ctx)
{
    struct gy__http_server *server = (struct gy__http_server *)(void *)self;

    (void)ctx;
    server->news_wait = false;
    tell(server);
}

/* -> 0, -EAGAIN. */
static int add_news(struct gy__http_server *server, enum word word, unsigned to,
                    const struct gy__http_target *target, const char *path, size_t len)
{
    struct gy_buf *buf = gy_buf_take(sizeof(struct news) + len);
    struct news *news;

    if (buf == NULL)
        return -EAGAIN;
    news = news_of(buf);
    news->word = word;
    news->to = to;
    news->target = *target;
    news->len = (uint32_t)len;
    if (len > 0)
        memcpy(news->path, path, len);
    buf->len = (uint32_t)(sizeof(*news) + len);
    buf->next = NULL;
    if (server->news_last != NULL)
        server->news_last->next = buf;
    else
        server->news = buf;
    server->news_last = buf;
    return 0;
}

static int tell_others(struct gy__http_server *server, enum word word,
                       const struct gy__http_target *target, const char *path, size_t len)
{
    int err = 0;

    for (unsigned shard = 0; shard < gy_shards() && err == 0; shard++)
        if (shard != gy_shard())
            err = add_news(server, word, shard, target, path, len);
    gy__http_as_server(server, tell);
    return err;
}

static int add(struct gy__http_server *server, const char *path, size_t len,
               const struct gy__http_target *target, gy_pid *rival)
{
    int err = gy__http_route_add(&server->routes, path, len, target, rival);

    if (err == 0 && target->options != NULL)
        server->env.judged |= target->options->stream || target->options->body_max != 0 ||
                              target->options->decoded_max > 0 ||
                              target->options->realm != NULL || target->options->authorize != NULL;
    return err;
}

static void log_unknown(const struct news *news, int err)
{
    char cause[64];
    struct gy__text text;

    gy__text_init(&text, cause, sizeof(cause));
    gy__cause_write(&text, err);
    gy_log("http: route %.*s of shard %u is not known here: %s", (int)news->len, news->path,
           gy_pid_shard(news->target.pid), cause);
}

static void hear(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise promise)
{
    struct gy__http_server *server = (struct gy__http_server *)(void *)self;
    const struct news *news = news_of(buf);
    gy_pid rival;
    int err;

    (void)payload, (void)promise;
    switch (news->word) {
    case ROUTE_ADDED:
        err = add(server, news->path, news->len, &news->target, &rival);
        if (err < 0)
            log_unknown(news, err);
        break;
    case ACTOR_GONE:
        gy__http_route_remove(&server->routes, news->target.pid);
        break;
    case ACTOR_SUSPECT:
        if (!gy__http_alive(news->target.pid))
            gy__http_unregister(server, news->target.pid);
        break;
    default:
        break;
    }
    gy_buf_release(buf);
}

/* ---- registering ------------------------------------------------------------------------- */

void gy__http_unregister(struct gy__http_server *server, gy_pid pid)
{
    struct gy__http_target target = { pid, NULL, 0, NULL, NULL };

    if (gy__http_route_remove(&server->routes, pid) > 0)
        (void)tell_others(server, ACTOR_GONE, &target, NULL, 0); /* they will ask again */
}

void gy__http_suspect(struct gy__http_server *server, gy_pid pid)
{
    struct gy__http_target target = { pid, NULL, 0, NULL, NULL };

    if (add_news(server, ACTOR_SUSPECT, gy_pid_shard(pid), &target, NULL, 0) == 0)
        tell(server);
}

int gy__http_register(struct gy__http_server *server, const char *route, gy_pid pid,
                      const struct gy_verb *verb, const struct gy_http_route_options *options)
{
    struct gy__http_target target = { pid, verb, 0, options, NULL };
    const char *path;
    gy_pid rival;
    size_t len;
    int err = gy__http_route_parse(route, &target.methods, &path, &len);

    if (err < 0)
        return err;
    err = add(server, path, len, &target, &rival);
    if (err == -EEXIST && !gy__http_alive(rival)) {
        gy__http_unregister(server, rival);
        err = add(server, path, len, &target, &rival);
    }
    if (err == 0)
        err = tell_others(server, ROUTE_ADDED, &target, path, len);
    return err;
}

int gy_http_route_raw(struct gy_actor *self, const char *route, const struct gy_verb *verb)
{
    return gy_http_route_with_raw(self, route, verb, NULL);
}

static bool realm_valid(const struct gy_http_realm *realm)
{
    return realm == NULL || (realm->ask == NULL ? realm->told == NULL : realm->authenticate == NULL);
}

/* What a boot function hands on is a number; the log says which route it was, a line a second at most. */
static int complain(struct gy__http_server *server, const char *route, int err, const char *why)
{
    if (gy_now() >= server->complained_ns) {
        server->complained_ns = gy_now() + GY_S;
        gy_log("http: route \"%.200s\" %s", route, why);
    }
    return err;
}

int gy_http_route_with_raw(struct gy_actor *self, const char *route, const struct gy_verb *verb,
                           const struct gy_http_route_options *options)
{
    struct gy__http_server *server = gy__http_server();
    int err;

    if (server == NULL)
        return -EAGAIN;
    if (options != NULL && options->size != sizeof(*options))
        return complain(server, route, -EINVAL, "has options whose size is not sizeof their struct");
    if (options != NULL && !realm_valid(options->realm))
        return complain(server, route, -EINVAL,
                        "has a realm with authenticate beside ask, or told without ask");
    err = gy__http_register(server, route, self->pid, verb, options);
    if (err == -EINVAL)
        return complain(server, route, err,
                        "is none: \"/a/b\", \"GET /a/:id\" and \"GET,POST /a/*rest\" are some");
    if (err == -EEXIST)
        return complain(server, route, err, "is taken on this shard, by an actor that lives");
    if (err == -ENOSPC)
        return complain(server, route, err, "is one combination of text and parameters too many");
    return err;
}

void gy__http_registry_fini(struct gy__http_server *server)
{
    while (server->news != NULL) {
        struct gy_buf *buf = server->news;

        server->news = buf->next;
        gy_buf_release(buf);
    }
    server->news_last = NULL;
}
