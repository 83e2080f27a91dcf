/* flow.c - a request that asks users, then posts and ads in parallel, then answers: as a flow.
 *
 * Shows a handler that hands its promise to a flow; awaits of one and of all; one deadline for the
 * whole request; a clean-up that every way out comes by. Nothing here says what happens when the
 * client leaves early: the flow is cancelled, and what it awaits is discarded.
 * continuations.c is the same without a flow; page.h is what both share.
 *
 *     gyre-flow [ADDR:PORT]                   listens on 127.0.0.1:8080
 *     curl 'http://127.0.0.1:8080/page?id=7'  user 7, posts 8, ads 9; 504 if the id ends with 9 */
#include "page.h"

struct front {
    struct gy_actor actor;
    backend_pid backends[BACKENDS];
};
struct page {
    struct gy_flow flow;
    gy_http_promise reply;
    uint64_t id;
    backend_ask_fut user, posts, ads;
};
GY_ACTOR_TYPE(front, front_start, front_stop);
GY_HTTP(front, front_page);
GY_FLOW(front, page);

static void front_page(struct front *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct page first = { .reply = reply, .id = page_id(req) };
    int err = page_answer(self, reply.promise, &first);
    if (err < 0)
        page_fail(reply, err);
}

GY_FLOW_BEGIN(front, self, page, f)
    gy_flow_deadline(&f->flow, DEADLINE_NS);
    f->user = backend_ask(self->backends[USERS], (struct backend_ask_msg){ f->id });
    GY_AWAIT(f, f->user.fut);

    struct backend_ask_reply user;
    int err = backend_ask_value(f->user, &user);
    if (err < 0)
        GY_LEAVE(f, err);
    f->id = user.value;
    f->posts = backend_ask(self->backends[POSTS], (struct backend_ask_msg){ f->id });
    f->ads = backend_ask(self->backends[ADS], (struct backend_ask_msg){ f->id });
    GY_AWAIT_ALL(f, f->posts.fut, f->ads.fut);

    struct backend_ask_reply posts, ads;
    if (f->flow.res < 0)
        GY_LEAVE(f, f->flow.res);
    if (backend_ask_value(f->posts, &posts) < 0 || backend_ask_value(f->ads, &ads) < 0)
        GY_LEAVE(f, -EPROTO);
    gy_http_replyf(f->reply, 200, "user %llu, posts %llu, ads %llu\n", (unsigned long long)f->id,
                   (unsigned long long)posts.value, (unsigned long long)ads.value);
GY_CLEANUP(f)
    if (f->flow.why < 0)
        page_fail(f->reply, f->flow.why);
GY_FLOW_END(f)

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
    return page_main(argc, argv, "Pages made of three answers, by flows.");
}
