/* gateway.c - see gateway.h. One flow per request: it begins both requests, waits for both with one deadline, and
 * answers. Whichever way it ends, what it still waits for is discarded, and that closes its connection. */
#include "gateway.h"

#include <gyre/client.h>
#include <gyre/flow.h>

#include <errno.h>

struct gateway {
    struct gy_actor actor;
    struct gateway_args args;
};
struct both {
    struct gy_flow flow; /* must be first */
    gy_http_promise reply;
    gy_fut left, right;
};
GY_ACTOR_TYPE(gateway, gateway_start, gateway_stop);
GY_HTTP(gateway, gateway_both);
GY_FLOW(gateway, both);

static gy_fut ask_for(const char *url)
{
    struct gy_http_ask ask = GY_HTTP_ASK_INIT("GET", url);

    ask.body_max = GATEWAY_TEXT_MAX;
    return gy_http_fetch(&ask); /* a refusal is a future too, which has ended */
}

static void answer(gy_http_promise reply, const struct gy_http_response *left,
                   const struct gy_http_response *right)
{
    if (left->status != 200 || right->status != 200)
        gy_http_replyf(reply, 502, "%d and %d\n", left->status, right->status);
    else
        gy_http_replyf(reply, 200, "%.*s%.*s", (int)left->body.len, left->body.ptr,
                       (int)right->body.len, right->body.ptr);
}

GY_FLOW_BEGIN(gateway, self, both, f)
    gy_flow_deadline(&f->flow, GATEWAY_TIME_NS);
    f->left = ask_for(self->args.left);
    f->right = ask_for(self->args.right);
    GY_AWAIT_ALL(f, f->left, f->right);

    struct gy_http_response left = { 0 }, right = { 0 };
    if (f->flow.res < 0)
        GY_LEAVE(f, f->flow.res);
    int err = gy_http_response_value(f->left, &left);
    if (err >= 0)
        err = gy_http_response_value(f->right, &right);
    if (err >= 0)
        answer(f->reply, &left, &right);
    gy_http_response_release(&left);
    gy_http_response_release(&right);
    if (err < 0)
        GY_LEAVE(f, err);
GY_CLEANUP(f)
    if (f->flow.why < 0)
        gy_http_fail_upstream(f->reply, f->flow.why);
GY_FLOW_END(f)

static void gateway_both(struct gateway *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct both first = { .reply = reply };

    (void)req;
    if (both_answer(self, reply.promise, &first) < 0)
        gy_http_replyf(reply, 503, "too many requests\n");
}

static int gateway_start(struct gateway *self, const struct gateway_args *args)
{
    self->args = *args;
    return gy_http_route(self, "GET /both", gateway_both);
}

static void gateway_stop(struct gateway *self, int why)
{
    (void)self, (void)why;
}
