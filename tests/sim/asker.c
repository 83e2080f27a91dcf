#include "tests/sim/asker.h"

#include "gyre/typed.h"

#include <errno.h>
#include <string.h>

#define SHARDS_MAX 64

struct asker_args {
    unsigned number;
};
struct asker {
    struct gy_actor actor;
    unsigned number;
};
GY_ACTOR(asker);
struct asker_fetch_msg {
    uint32_t call;
};
GY_CAST(asker, fetch);
GY_ACTOR_TYPE(asker, asker_start, asker_stop);
GY_VERB(asker, fetch);
GY_HTTP_RESPONSE(asker, asker_answered);

struct asker_call asker_calls[ASKER_CALLS_MAX];
unsigned asker_called;
static struct gy_http_ask asks[ASKER_CALLS_MAX];
static asker_pid pids[SHARDS_MAX];

uint64_t asker_hash(const char *bytes, size_t len)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

static int asker_start(struct asker *self, const struct asker_args *args)
{
    self->number = args->number;
    return 0;
}

static void asker_stop(struct asker *self, int why)
{
    (void)self, (void)why;
}

static void copy(char *out, size_t size, struct gy_slice text)
{
    size_t len = text.len < size ? text.len : size - 1;

    if (len > 0)
        memcpy(out, text.ptr, len);
    out[len] = '\0';
}

static void asker_answered(struct asker *self, uint64_t ctx, int res,
                           struct gy_http_response *response)
{
    struct asker_call *call = &asker_calls[ctx];

    (void)self;
    call->ends++;
    call->res = res;
    call->ended_ns = gy_now();
    if (response == NULL)
        return;
    call->body_len = (uint32_t)response->body.len;
    call->head_len = (uint32_t)response->head.len;
    call->body_hash = asker_hash(response->body.ptr, response->body.len);
    copy(call->body, sizeof(call->body), response->body);
    copy(call->server, sizeof(call->server), gy_http_response_header(response, "x-server"));
}

void asker_on_fetch(struct asker *self, const struct asker_fetch_msg *msg)
{
    struct asker_call *call = &asker_calls[msg->call];

    call->fut = gy_http_fetch(&asks[msg->call]);
    call->begun = true;
    (void)gy_then(self, call->fut, asker_answered, msg->call);
}

void asker_reset(void)
{
    memset(asker_calls, 0, sizeof(asker_calls));
    asker_called = 0;
}

int asker_boot(unsigned shard, void *arg)
{
    unsigned number = shard + (arg != NULL ? *(const unsigned *)arg : 0);

    return asker_spawn(&pids[number], &(struct asker_args){number});
}

int asker_ask(unsigned number, const struct gy_http_ask *ask)
{
    int err = asker_called < ASKER_CALLS_MAX
                  ? asker_fetch(pids[number], (struct asker_fetch_msg){asker_called})
                  : -EAGAIN;

    if (err < 0)
        return err;
    asks[asker_called] = *ask;
    asker_calls[asker_called].shard = number;
    return (int)asker_called++;
}

void asker_discard(unsigned call)
{
    gy_discard(asker_calls[call].fut);
}

int asker_kill(unsigned number)
{
    return gy_actor_stop_now(pids[number].pid, 0);
}
