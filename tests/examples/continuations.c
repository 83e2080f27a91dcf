/* continuations.c - a request that asks users, then posts and ads in parallel, then answers: as
 * continuations. flow.c is the same as a flow; page.h is what both share.
 *
 * Shows state per request in a bounded table of the actor, whose index travels as ctx; gy_all; a
 * deadline that the steps share; gy_discard_with, which ends the rest when the client leaves early.
 *
 *     gyre-continuations [ADDR:PORT]          listens on 127.0.0.1:8080
 *     curl 'http://127.0.0.1:8080/page?id=7'  user 7, posts 8, ads 9; 504 if the id ends with 9 */
#include "page.h"

#define PAGES 4096
struct page {
    uint32_t next_free;
    gy_http_promise reply;
    uint64_t id, until_ns;
    backend_ask_fut posts, ads;
};
struct front {
    struct gy_actor actor;
    backend_pid backends[BACKENDS];
    uint32_t free, used; /* pages[0] is none */
    struct page pages[PAGES + 1];
};
GY_ACTOR_TYPE(front, front_start, front_stop);
GY_HTTP(front, front_page);
GY_THEN(front, front_on_user, backend, ask);
GY_THEN_RES(front, front_on_all);

static uint32_t page_take(struct front *self)
{
    uint32_t i = self->free;
    if (i != 0)
        self->free = self->pages[i].next_free;
    else if (self->used < PAGES)
        i = ++self->used;
    return i;
}
static void page_end(struct front *self, uint64_t i, int err)
{
    if (err < 0)
        page_fail(self->pages[i].reply, err);
    self->pages[i].next_free = self->free;
    self->free = (uint32_t)i;
}

static void front_page(struct front *self, const struct gy_http_req *req, gy_http_promise reply)
{
    uint32_t i = page_take(self);
    struct page *page = &self->pages[i];
    if (i == 0) {
        page_fail(reply, -EAGAIN);
        return;
    }
    *page = (struct page){ .reply = reply, .until_ns = gy_now() + DEADLINE_NS };
    int err = gy_keep(reply.promise);
    if (err < 0) {
        page_end(self, i, err);
        return;
    }
    backend_ask_fut user =
        backend_ask(self->backends[USERS], (struct backend_ask_msg){ page_id(req) });
    gy_deadline(user.fut, DEADLINE_NS);
    gy_discard_with(reply.promise, user.fut);
    err = gy_then(self, user, front_on_user, i);
    if (err < 0)
        page_end(self, i, err);
}

static void front_on_user(struct front *self, uint64_t i, int res,
                          const struct backend_ask_reply *value)
{
    struct page *page = &self->pages[i];
    if (res < 0) {
        page_end(self, i, res);
        return;
    }
    page->id = value->value;
    page->posts = backend_ask(self->backends[POSTS], (struct backend_ask_msg){ page->id });
    page->ads = backend_ask(self->backends[ADS], (struct backend_ask_msg){ page->id });
    gy_fut both[] = { page->posts.fut, page->ads.fut };
    gy_fut all = gy_all(both, 2);
    gy_deadline(all, page->until_ns > gy_now() ? page->until_ns - gy_now() : 0);
    gy_discard_with(page->reply.promise, all);
    int err = gy_then(self, all, front_on_all, i);
    if (err < 0)
        page_end(self, i, err);
}

static void front_on_all(struct front *self, uint64_t i, int res)
{
    struct page *page = &self->pages[i];
    struct backend_ask_reply posts, ads;
    if (res >= 0 && (backend_ask_value(page->posts, &posts) < 0 ||
                     backend_ask_value(page->ads, &ads) < 0))
        res = -EPROTO;
    if (res >= 0)
        gy_http_replyf(page->reply, 200, "user %llu, posts %llu, ads %llu\n",
                       (unsigned long long)page->id, (unsigned long long)posts.value,
                       (unsigned long long)ads.value);
    page_end(self, i, res);
}

static int front_start(struct front *self, const struct front_args *args)
{
    memcpy(self->backends, args->backends, sizeof(self->backends));
    return gy_http_route(self, "GET /page", front_page);
}
static void front_stop(struct front *self, int why)
{
    (void)self, (void)why;
}

int main(int argc, char **argv)
{
    return page_main(argc, argv, "Pages made of three answers, by continuations.");
}
