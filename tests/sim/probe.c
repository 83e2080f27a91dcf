#include "tests/sim/probe.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

static uint64_t order;

static void done(struct gy_op *op, const struct gy_completion *completion)
{
    struct probe *probe = GY__CONTAINER(op, struct probe, op);
    struct gy_shard *shard = gy__self();

    assert_false(probe->over);
    assert_true(probe->count < PROBE_MAX);
    probe->at[probe->count] = ++order;
    probe->res[probe->count++] = completion->res;
    probe->over = !(completion->flags & GY_COMPLETION_MORE);
    if (!(completion->flags & GY_COMPLETION_BUF))
        return;
    assert_true(probe->len + (size_t)completion->res <= sizeof(probe->data));
    memcpy(probe->data + probe->len, completion->data, (size_t)completion->res);
    probe->len += (size_t)completion->res;
    if (probe->keeps)
        probe->kept[probe->kept_count++] = completion->buffer;
    else
        shard->driver->give_back(shard->ctx, completion->buffer);
}

void probe_init(struct probe *probe, enum gy_op_kind kind, int32_t handle)
{
    memset(probe, 0, sizeof(*probe));
    probe->op.done = done;
    probe->op.kind = (uint8_t)kind;
    probe->op.handle = handle;
}

static int submit(unsigned shard, void *arg)
{
    (void)shard;
    gy__op_submit(gy__self(), &((struct probe *)arg)->op);
    return 0;
}
static int cancel(unsigned shard, void *arg)
{
    (void)shard;
    gy__op_cancel(gy__self(), &((struct probe *)arg)->op);
    return 0;
}
static int give_back(unsigned shard, void *arg)
{
    struct probe *probe = arg;
    struct gy_shard *self = gy__self();

    (void)shard;
    while (probe->kept_count > 0)
        self->driver->give_back(self->ctx, probe->kept[--probe->kept_count]);
    return 0;
}

void probe_submit(struct gy_sim *sim, unsigned shard, struct probe *probe)
{
    assert_int_equal(gy_sim_run_on(sim, shard, submit, probe), 0);
}
void probe_cancel(struct gy_sim *sim, unsigned shard, struct probe *probe)
{
    assert_int_equal(gy_sim_run_on(sim, shard, cancel, probe), 0);
}
void probe_give_back(struct gy_sim *sim, unsigned shard, struct probe *probe)
{
    assert_int_equal(gy_sim_run_on(sim, shard, give_back, probe), 0);
}

void probe_listen(struct gy_sim *sim, unsigned shard, const char *addr, struct probe *listen,
                  struct probe *accept)
{
    probe_init(listen, GY_OP_LISTEN, -1);
    listen->op.u.listen.addr = addr;
    listen->op.u.listen.backlog = 16;
    probe_submit(sim, shard, listen);
    gy_sim_settle(sim);
    assert_true(listen->over);
    if (listen->res[0] < 0 || accept == NULL)
        return;
    probe_init(accept, GY_OP_ACCEPT, listen->res[0]);
    probe_submit(sim, shard, accept);
    gy_sim_settle(sim);
}

void probe_unlisten(struct gy_sim *sim, unsigned shard, struct probe *listen, struct probe *accept)
{
    struct probe unlisten;

    probe_init(&unlisten, GY_OP_UNLISTEN, listen->res[0]);
    unlisten.op.u.unlisten.accept = &accept->op;
    probe_submit(sim, shard, &unlisten);
    gy_sim_settle(sim);
    assert_true(unlisten.over);
    assert_int_equal(unlisten.res[0], 0);
    assert_true(accept->over);
}

int32_t probe_now(struct gy_sim *sim, unsigned shard, enum gy_op_kind kind, int32_t handle)
{
    struct probe probe;

    probe_init(&probe, kind, handle);
    probe_submit(sim, shard, &probe);
    gy_sim_settle(sim);
    assert_true(probe.over);
    assert_int_equal(probe.count, 1);
    return probe.res[0];
}
