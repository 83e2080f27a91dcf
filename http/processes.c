/* http/processes.c - GET /__processes__: the living actors of all shards, as a JSON array.
 *
 * Actors can only be listed on their own shard, so each shard's server is asked, and has a second to
 * answer. The reply comes when all have or the time is up; a shard that did not answer is named in
 * the list. Each listing is one record in the server's list while it is under way, found by the number
 * that its calls carry. */
#include "http/server.h"

#include "http/carry.h"
#include "http/shard.h"
#include "http/text.h"

#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/http.h"
#include "gyre/name.h"

#include <errno.h>
#include <string.h>

#define ANSWER_NS (1 * GY_S)
/* Listings under way at once, and actors of one shard in one. */
#define LISTINGS_MAX 4
#define ACTORS_MAX 10000

/* Lies in a buffer of its own. */
struct gy__http_listing {
    struct gy__http_listing *next;
    struct gy_buf *buf;
    gy_http_promise reply;
    struct gy__http_text text;
    uint32_t number, waits; /* for so many shards */
};

/* ---- one shard's part -------------------------------------------------------------------- */

struct part {
    struct gy__http_text text;
    uint32_t count;
};

/* Its name, if it has one; otherwise one is made of its type and pid. */
static void text_id(struct gy__http_text *text, gy_pid pid, const char *type)
{
    const char *name = gy_name_of(pid);

    gy__http_text_quoted(text, name != NULL ? name : type);
    if (name == NULL)
        gy__http_text_f(text, "(%u.%u.%u)", gy_pid_shard(pid), (unsigned)(pid.bits >> 32) & 0x3FFFFF,
                        (unsigned)pid.bits);
}

static bool list_actor(void *arg, gy_pid pid, const char *type, uint32_t waiting)
{
    struct part *part = arg;

    if (part->count == ACTORS_MAX) {
        gy__http_text_f(&part->text, ",\n{\"shard\":%u,\"error\":\"more actors than %u\"}",
                        gy_shard(), ACTORS_MAX);
        return false;
    }
    gy__http_text_str(&part->text, part->count++ > 0 ? ",\n{\"id\":\"" : "{\"id\":\"");
    text_id(&part->text, pid, type);
    gy__http_text_str(&part->text, "\",\"type\":\"");
    gy__http_text_quoted(&part->text, type);
    gy__http_text_f(&part->text, "\",\"shard\":%u,\"mailbox\":%u}", gy_shard(), waiting);
    return true;
}

static void list_run(struct gy_actor *self, const void *payload, struct gy_buf *buf,
                     gy_promise promise)
{
    struct part part = { { NULL, false }, 0 };

    (void)self, (void)payload, (void)buf;
    gy__http_actors(list_actor, &part);
    if (part.text.failed) {
        gy__http_text_drop(&part.text);
        (void)gy_resolve_raw(promise, -ENOBUFS, NULL, 0, NULL);
        return;
    }
    (void)gy_resolve_raw(promise, 0, NULL, 0, part.text.buf);
}

static const struct gy_verb list_verb = { "http.list", &gy__http_server_type, list_run, 0,
                                          GY_VERB_CALL };

/* ---- the whole --------------------------------------------------------------------------- */

static struct gy__http_server *server_of(struct gy_actor *self)
{
    return (struct gy__http_server *)(void *)self;
}

static void finish(struct gy__http_listing *listing)
{
    struct gy_http_res res;

    gy__http_text_str(&listing->text, "]\n");
    if (listing->text.failed) {
        gy__http_text_drop(&listing->text);
        (void)gy_resolve_raw(listing->reply.promise, -ENOBUFS, NULL, 0, NULL);
    } else {
        gy_http_begin(&res, 200);
        (void)gy_http_set(&res, "Content-Type", "application/json");
        (void)gy_http_end_buf(&res, listing->reply, listing->text.buf);
    }
    gy_buf_release(listing->buf);
}

/* ctx: the listing's number and the shard. */
static void part_came(struct gy_actor *self, const struct gy_done *done)
{
    struct gy__http_listing **link = &server_of(self)->listings, *listing;

    while (*link != NULL && (*link)->number != done->ctx >> 32)
        link = &(*link)->next;
    listing = *link;
    if (listing == NULL) {
        gy_buf_release(done->buf);
        return;
    }
    if (listing->text.buf != NULL && listing->text.buf->len > 1)
        gy__http_text_str(&listing->text, ",\n");
    if (done->buf != NULL)
        gy__http_text_add(&listing->text, (const char *)done->buf->data, done->buf->len);
    else
        gy__http_text_f(&listing->text, "{\"shard\":%u,\"error\":\"%s\"}", (unsigned)done->ctx,
                        done->res == -ETIMEDOUT ? "no answer in time" : "no answer");
    gy_buf_release(done->buf);
    if (--listing->waits > 0)
        return;
    *link = listing->next;
    finish(listing);
}

static struct gy__http_listing *begin(struct gy__http_server *server, gy_http_promise reply)
{
    struct gy_buf *buf = gy_buf_take(sizeof(struct gy__http_listing));
    struct gy__http_listing *listing;
    uint32_t number = 1, under_way = 0;

    for (listing = server->listings; listing != NULL; listing = listing->next) {
        under_way++;
        if (listing->number >= number)
            number = listing->number + 1;
    }
    if (buf == NULL || under_way == LISTINGS_MAX || gy_keep(reply.promise) < 0) {
        gy_buf_release(buf);
        return NULL;
    }
    listing = (struct gy__http_listing *)(void *)buf->data;
    *listing = (struct gy__http_listing){ server->listings, buf, reply, { NULL, false }, number, 0 };
    gy__http_text_str(&listing->text, "[");
    server->listings = listing;
    return listing;
}

static void handle(struct gy_actor *self, const struct gy_http_req *req, gy_http_promise reply)
{
    static const uint64_t none[GY_MSG_INLINE / 8];
    struct gy__http_listing *listing = begin(server_of(self), reply);

    (void)req;
    if (listing == NULL) {
        (void)gy_resolve_raw(reply.promise, -EAGAIN, NULL, 0, NULL);
        return;
    }
    for (unsigned shard = 0; shard < gy_shards(); shard++) {
        gy_fut fut = gy_call_raw(gy__http_pid(shard), &list_verb, none, NULL);

        (void)gy_deadline(fut, ANSWER_NS); /* a refused call has none */
        if (gy_then_raw(self, fut, part_came, (uint64_t)listing->number << 32 | shard) == 0)
            listing->waits++;
    }
    if (listing->waits == 0) {
        server_of(self)->listings = listing->next;
        finish(listing);
    }
}

static void run(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise promise)
{
    gy__http_run(self, payload, buf, promise, handle);
}

const struct gy_verb gy__http_processes_verb = { "http.processes", &gy__http_server_type, run,
                                                 GY_MSG_INLINE_WITH_BUF,
                                                 GY_VERB_CALL | GY_VERB_BUF };

void gy__http_processes_fini(struct gy__http_server *server)
{
    while (server->listings != NULL) {
        struct gy__http_listing *listing = server->listings;

        server->listings = listing->next;
        gy__http_text_drop(&listing->text);
        gy_buf_release(listing->buf);
    }
}
