/* Flows: every kind of await and every way in which it ends; clean-up exactly once; nothing left.
 * */
#include "fake_driver.h"

#include "core/bufs.h"
#include "core/future.h"
#include "gyre/buf.h"
#include "gyre/flow.h"
#include "gyre/mutex.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

/* ---- fixture: a host whose flows are tested, on shard 0, and an asker on shard 1 ---- */

#define FLOWS 64

static struct fake_driver fake;
static unsigned cleaned_at_stop, cleaned; /* clean-ups when the host's stop function ran; ever */
static bool host_stopped;

/* What a flow did, as the test sees it. */
struct probe {
    unsigned started, resumed, cleaned;
    int res, why;
    int64_t value;
};

struct host_args {
    uint32_t start_flow; /* and then fail */
};
GY_ACTOR(host);
struct host_ping_msg {
    uint32_t unused;
};
GY_CAST(host, ping);
struct host_ask_msg {
    uint32_t how; /* enum ask_how */
};
struct host_ask_reply {
    int64_t value;
};
GY_CALL(host, ask);
struct host {
    struct gy_actor actor;
    unsigned pings;
    gy_promise kept;
    struct gy_mutex mutex;
};
GY_ACTOR_TYPE(host, host_start, host_stop);
GY_VERB(host, ping);
GY_VERB(host, ask);

static host_pid host_is;
static struct gy_shard *shard0(void)
{
    return fake.shard[0].shard;
}
static struct host *host(void)
{
    return (struct host *)(void *)gy__actor_find(shard0(), host_is.pid.bits);
}
/* Code here runs as if in a handler of the host. */
static void enter(void)
{
    fake_enter(&fake, 0);
    if (host() != NULL)
        shard0()->context = (struct gy__context){ &host()->actor, 0 };
}
static void settle(void)
{
    fake_leave();
    fake_settle(&fake);
    enter();
}
static void advance(uint64_t ns)
{
    fake_leave();
    fake_advance(&fake, ns);
    enter();
}
static int spawn_host(unsigned shard, void *arg)
{
    (void)arg;
    return shard == 0 ? host_spawn(&host_is, &(struct host_args){ 0 }) : 0;
}
static int set_up(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 4096;
    config.futures = 1024;
    config.flows = FLOWS;
    cleaned = cleaned_at_stop = 0;
    host_stopped = false;
    fake_open(&fake, &config, 2, spawn_host, NULL);
    enter();
    return 0;
}
static void nothing_left(void)
{
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(fake.shard[i].shard->futures_live, 0);
        assert_int_equal(fake.shard[i].shard->kept_live, 0);
        assert_int_equal(fake.shard[i].shard->flows_live, 0);
        assert_int_equal(gy__bufs_out(fake.shard[i].shard), 0);
    }
}
static int tear_down(void **state)
{
    (void)state;
    settle();
    nothing_left();
    fake_leave();
    fake_close(&fake);
    return 0;
}
static void kill_host(void)
{
    fake_enter(&fake, 0); /* by nobody: one's own stop waits for the handler's return */
    shard0()->context = (struct gy__context){ &shard0()->nobody, 0 };
    assert_int_equal(gy_actor_stop(host_is.pid, 0), 0);
    settle();
    assert_true(host_stopped);
}
static void resolve(gy_promise p, int64_t value)
{
    assert_int_equal(gy_resolve_raw(p, 0, &value, sizeof(value), NULL), 0);
}
static void reject(gy_promise p, int err)
{
    assert_int_equal(gy_resolve_raw(p, err, NULL, 0, NULL), 0);
}
struct seen {
    int res;
    unsigned times, size;
    int64_t value;
};
static void on_seen(struct gy_actor *self, const struct gy_done *done)
{
    struct seen *seen = (struct seen *)(uintptr_t)done->ctx;
    (void)self;
    seen->res = done->res;
    seen->size = done->size;
    seen->value = done->size == sizeof(int64_t) ? *(const int64_t *)done->value : -1;
    seen->times++;
}
static void watch(struct gy_actor *self, gy_fut f, struct seen *seen)
{
    *seen = (struct seen){ 999, 0, 0, 0 };
    assert_int_equal(gy_then_raw(self, f, on_seen, (uint64_t)(uintptr_t)seen), 0);
}

/* ---- one flow that awaits in every way ---- */

enum kind { ONE, ALL, ANY, SETTLE, KINDS };

struct waits {
    struct gy_flow flow;
    struct probe *p;
    enum kind kind;
    uint64_t deadline_ns;
    gy_fut in[3];
};
GY_FLOW(host, waits);

GY_FLOW_BEGIN(host, self, waits, f)
    f->p->started++;
    if (f->deadline_ns != 0)
        gy_flow_deadline(&f->flow, f->deadline_ns);
    GY_IF(f->kind == ONE)
        GY_AWAIT(f, f->in[0]);
        f->p->value = -1;
        if (f->flow.res >= 0)
            assert_int_equal(gy_value_raw(f->in[0], &f->p->value, sizeof(f->p->value)), 0);
        else if (f->flow.res != -EBUSY && f->flow.res != -EINVAL) /* it is not ours to look at */
            assert_int_equal(gy_value_raw(f->in[0], NULL, 0), f->flow.res);
    GY_ELSE
        GY_IF(f->kind == ALL)
            GY_AWAIT_ALL(f, f->in[0], f->in[1], f->in[2]);
            int64_t sum = 0, value;
            for (unsigned i = 0; i < 3; i++)
                if (gy_value_raw(f->in[i], &value, sizeof(value)) == 0)
                    sum += value;
            f->p->value = sum;
        GY_END
        GY_IF(f->kind == ANY)
            GY_AWAIT_ANY(f, f->in[0], f->in[1], f->in[2]);
        GY_END
        GY_IF(f->kind == SETTLE)
            GY_AWAIT_SETTLE(f, f->in[0], f->in[1], f->in[2]);
            int64_t sum = 0, value;
            for (unsigned i = 0; i < 3 && f->flow.res == -ETIMEDOUT; i++)
                if (gy_value_raw(f->in[i], &value, sizeof(value)) == 0)
                    sum += value;
                else
                    assert_int_equal(gy_value_raw(f->in[i], &value, sizeof(value)), -EAGAIN);
            f->p->value = sum;
        GY_END
    GY_END
    f->p->resumed++;
    f->p->res = f->flow.res;
GY_CLEANUP(f)
    f->p->cleaned++;
    f->p->why = f->flow.why;
    cleaned++;
GY_FLOW_END(f)

static struct waits waits_for(struct probe *p, enum kind kind, gy_promise promises[3])
{
    struct waits first;
    memset(&first, 0, sizeof(first));
    memset(p, 0, sizeof(*p));
    first.p = p;
    first.kind = kind;
    for (unsigned i = 0; i < (kind == ONE ? 1u : 3u); i++)
        first.in[i] = gy_pair(&host()->actor, &promises[i]);
    return first;
}
static void all_discarded(enum kind kind, const gy_promise promises[3])
{
    for (unsigned i = 0; i < (kind == ONE ? 1u : 3u); i++)
        assert_int_equal(gy_discarded(promises[i]), 1);
}
static void ended(const struct probe *p, int res)
{
    assert_int_equal(p->started, 1);
    assert_int_equal(p->resumed, 1);
    assert_int_equal(p->cleaned, 1);
    assert_int_equal(p->why, 0);
    assert_int_equal(p->res, res);
    nothing_left();
}
static void start(const struct waits *first)
{
    gy_fut fut = waits_start(host(), first);
    assert_int_equal(gy_refused(fut), 0);
    gy_forget(fut);
    assert_int_equal(first->p->started, 1); /* inside the call */
    assert_int_equal(first->p->resumed, 0); /* but no further, even if all is ready */
}

static void ready_at_once(void **state)
{
    static const int res[KINDS] = { 0, 0, 0, 0 };
    (void)state;
    for (enum kind kind = ONE; kind < KINDS; kind++) {
        struct probe p;
        gy_promise promises[3];
        struct waits first = waits_for(&p, kind, promises);
        for (unsigned i = 0; i < (kind == ONE ? 1u : 3u); i++)
            resolve(promises[i], 7);
        settle();
        start(&first);
        settle();
        ended(&p, res[kind]);
        assert_int_equal(p.value, kind == ONE ? 7 : kind == ALL ? 21 : 0);
    }
}

static void ready_later(void **state)
{
    static const int res[KINDS] = { 0, 0, 1, 0 };
    (void)state;
    for (enum kind kind = ONE; kind < KINDS; kind++) {
        struct probe p;
        gy_promise promises[3];
        struct waits first = waits_for(&p, kind, promises);
        start(&first);
        settle();
        assert_int_equal(p.resumed, 0);
        assert_int_equal(shard0()->flows_live, 1);
        /* Meanwhile its actor serves others. */
        unsigned before = host()->pings;
        assert_int_equal(host_ping(host_is, (struct host_ping_msg){ 0 }), 0);
        settle();
        assert_int_equal(host()->pings, before + 1);
        if (kind == ONE) {
            resolve(promises[0], 5);
        } else {
            resolve(promises[1], 5);
            settle();
            if (kind != ANY) {
                assert_int_equal(p.resumed, 0);
                resolve(promises[0], 6);
                resolve(promises[2], 7);
            }
        }
        assert_int_equal(p.resumed, kind == ANY); /* nothing runs inside resolve */
        settle();
        ended(&p, res[kind]);
        assert_int_equal(p.value, kind == ONE ? 5 : kind == ALL ? 18 : 0);
        if (kind == ANY)
            all_discarded(kind, promises);
    }
}

/* What had ended when a deadline cut the wait short can be read all the same. */
static void settled_in_part(void **state)
{
    struct probe p;
    gy_promise promises[3];
    struct waits first = waits_for(&p, SETTLE, promises);
    (void)state;
    first.deadline_ns = GY_MS;
    start(&first);
    resolve(promises[0], 5);
    resolve(promises[2], 6);
    advance(GY_MS / 2);
    assert_int_equal(p.resumed, 0);
    advance(GY_MS);
    ended(&p, -ETIMEDOUT);
    assert_int_equal(p.value, 11);
    assert_int_equal(gy_discarded(promises[1]), 1);
}

static void failed(void **state)
{
    static const int res[KINDS] = { -EIO, -EIO, -EIO, 0 };
    (void)state;
    for (enum kind kind = ONE; kind < KINDS; kind++) {
        struct probe p;
        gy_promise promises[3];
        struct waits first = waits_for(&p, kind, promises);
        start(&first);
        reject(promises[0], -EIO);
        settle();
        if (kind == ANY || kind == SETTLE) {
            assert_int_equal(p.resumed, 0);
            reject(promises[1], -ENOENT);
            reject(promises[2], -ENOENT);
            settle();
        }
        ended(&p, res[kind]);
    }
}

static void refused(void **state)
{
    static const int res[KINDS] = { -EAGAIN, -EAGAIN, -EAGAIN, 0 };
    (void)state;
    for (enum kind kind = ONE; kind < KINDS; kind++) {
        struct probe p;
        gy_promise promises[3];
        struct waits first = waits_for(&p, kind, promises);
        gy_discard(first.in[0]);
        settle();
        first.in[0] = gy__fut_refused(-EAGAIN);
        start(&first);
        settle();
        if (kind == ANY || kind == SETTLE) {
            assert_int_equal(p.resumed, 0);
            reject(promises[1], -ENOENT);
            reject(promises[2], -ENOENT);
            settle();
        }
        ended(&p, res[kind]);
    }
}

static void not_to_be_awaited(void **state)
{
    struct probe p;
    gy_promise promises[3];
    struct seen seen;
    (void)state;
    /* Somebody consumes it already. */
    struct waits first = waits_for(&p, ONE, promises);
    watch(&host()->actor, first.in[0], &seen);
    start(&first);
    settle();
    assert_int_equal(p.res, -EBUSY);
    assert_int_equal(seen.times, 0);
    resolve(promises[0], 1);
    settle();
    assert_int_equal(seen.res, 0);
    /* It is no future any more. */
    start((first = waits_for(&p, ONE, promises), gy_discard(first.in[0]), &first));
    settle();
    ended(&p, -EINVAL);
    /* Another actor's. */
    shard0()->context.actor = &shard0()->nobody;
    gy_fut foreign = gy_pair(&shard0()->nobody, &promises[1]);
    enter();
    first = waits_for(&p, ONE, promises);
    gy_discard(first.in[0]);
    first.in[0] = foreign;
    start(&first);
    settle();
    assert_int_equal(p.res, -EINVAL);
    gy_discard(foreign);
}

/* By somebody else who has the handle: the await ends, the flow goes on. */
static void discarded_or_forgotten(void **state)
{
    (void)state;
    for (enum kind kind = ONE; kind < KINDS; kind++)
        for (unsigned forget = 0; forget < 2; forget++) {
            struct probe p;
            gy_promise promises[3];
            struct waits first = waits_for(&p, kind, promises);
            start(&first);
            for (unsigned i = 0; i < (kind == ONE ? 1u : 3u); i++)
                forget ? gy_forget(first.in[i]) : gy_discard(first.in[i]);
            settle();
            ended(&p, kind == SETTLE ? 0 : -ECANCELED);
        }
}

static void deadline(void **state)
{
    (void)state;
    for (enum kind kind = ONE; kind < KINDS; kind++) {
        struct probe p;
        gy_promise promises[3];
        struct waits first = waits_for(&p, kind, promises);
        first.deadline_ns = 5 * GY_MS;
        start(&first);
        settle();
        advance(4 * GY_MS);
        assert_int_equal(p.resumed, 0);
        advance(2 * GY_MS);
        all_discarded(kind, promises);
        ended(&p, -ETIMEDOUT);
    }
}

static void earlier_deadline_of_the_future_counts(void **state)
{
    struct probe p;
    gy_promise promises[3];
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct waits first = waits_for(&p, ONE, promises);
        first.deadline_ns = 5 * GY_MS;
        assert_int_equal(gy_deadline(first.in[0], i == 0 ? 2 * GY_MS : 50 * GY_MS), 0);
        start(&first);
        advance(3 * GY_MS);
        assert_int_equal(p.resumed, i == 0);
        advance(3 * GY_MS);
        ended(&p, -ETIMEDOUT);
    }
}

static void timer_beyond_the_deadline_is_late(void **state)
{
    struct probe p;
    gy_promise promises[3];
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct waits first = waits_for(&p, ANY, promises);
        for (unsigned j = 0; j < 3; j++)
            gy_discard(first.in[j]);
        first.kind = i == 0 ? ONE : SETTLE;
        first.deadline_ns = 5 * GY_MS;
        for (unsigned j = 0; j < 3; j++)
            first.in[j] = j == 0 || i == 1 ? gy_after(50 * GY_MS) : (gy_fut){ 0 };
        start(&first);
        advance(6 * GY_MS);
        ended(&p, -ETIMEDOUT);
    }
}

static void cancelled(void **state)
{
    (void)state;
    for (enum kind kind = ONE; kind < KINDS; kind++)
        for (unsigned when = 0; when < 4; when++) {
            struct probe p;
            gy_promise promises[3];
            struct seen seen;
            struct waits first = waits_for(&p, kind, promises);
            if (when == 2)
                for (unsigned i = 0; i < (kind == ONE ? 1u : 3u); i++)
                    resolve(promises[i], 1);
            gy_fut fut = waits_start(host(), &first);
            assert_int_equal(gy_refused(fut), 0);
            if (when != 3)
                watch(&host()->actor, fut, &seen);
            if (when == 1)
                settle();
            gy_discard(fut);
            assert_int_equal(p.cleaned, 0); /* never inside */
            settle();
            assert_int_equal(p.resumed, 0);
            assert_int_equal(p.cleaned, 1);
            assert_int_equal(p.why, -ECANCELED);
            if (when != 3)
                assert_int_equal(seen.res, -ECANCELED);
            if (when != 2)
                all_discarded(kind, promises);
            nothing_left();
        }
}

static void cancelled_while_what_it_awaits_was_refused(void **state)
{
    struct probe p;
    gy_promise promises[3];
    (void)state;
    struct waits first = waits_for(&p, ONE, promises);
    gy_discard(first.in[0]);
    first.in[0] = gy__fut_refused(-EAGAIN);
    gy_fut fut = waits_start(host(), &first);
    gy_discard(fut);
    settle();
    assert_int_equal(p.resumed, 0);
    assert_int_equal(p.cleaned, 1);
}

static void deadline_of_its_future_cancels(void **state)
{
    struct probe p;
    gy_promise promises[3];
    struct seen seen;
    (void)state;
    struct waits first = waits_for(&p, ALL, promises);
    gy_fut fut = waits_start(host(), &first);
    assert_int_equal(gy_deadline(fut, 3 * GY_MS), 0);
    watch(&host()->actor, fut, &seen);
    advance(4 * GY_MS);
    assert_int_equal(seen.res, -ETIMEDOUT);
    assert_int_equal(p.resumed, 0);
    assert_int_equal(p.cleaned, 1);
    assert_int_equal(p.why, -ECANCELED);
    all_discarded(ALL, promises);
}

static void actor_dies(void **state)
{
    struct probe p[KINDS][2];
    gy_promise promises[3];
    (void)state;
    for (enum kind kind = ONE; kind < KINDS; kind++)
        for (unsigned i = 0; i < 2; i++) {
            struct waits first = waits_for(&p[kind][i], kind, promises);
            if (i == 1) { /* its answers are on their way */
                if (kind == ONE) {
                    gy_discard(first.in[0]);
                    first.in[0] = gy__fut_refused(-EIO);
                } else {
                    resolve(promises[0], 1);
                }
            }
            start(&first);
        }
    kill_host();
    assert_int_equal(cleaned_at_stop, KINDS * 2); /* before the stop function */
    for (enum kind kind = ONE; kind < KINDS; kind++) {
        assert_int_equal(p[kind][0].resumed, 0);
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(p[kind][i].cleaned, 1);
        assert_int_equal(p[kind][0].why, -EOWNERDEAD);
    }
    nothing_left();
}

static void actor_dies_cancelled_ones_too(void **state)
{
    struct probe p;
    gy_promise promises[3];
    (void)state;
    struct waits first = waits_for(&p, ONE, promises);
    gy_fut fut = waits_start(host(), &first);
    /* The stop is queued first, then the cell that unwinds it. */
    shard0()->context.actor = &shard0()->nobody;
    assert_int_equal(gy_actor_stop(host_is.pid, 0), 0);
    enter();
    gy_discard(fut);
    settle();
    assert_int_equal(p.cleaned, 1);
    assert_int_equal(p.resumed, 0);
}

static void runtime_stops(void **state)
{
    struct probe p;
    gy_promise promises[3];
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 4096;
    config.futures = 64;
    fake_open(&fake, &config, 1, spawn_host, NULL);
    enter();
    struct waits first = waits_for(&p, ALL, promises);
    start(&first);
    fake_leave();
    fake_close(&fake);
    assert_int_equal(p.cleaned, 1);
    assert_int_equal(p.why, -EOWNERDEAD);
}

/* ---- the pool ---- */

static void no_frame_left(void **state)
{
    struct probe p[FLOWS], more = { 0 };
    gy_promise promises[FLOWS][3];
    struct waits first;
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < FLOWS; i++) {
            first = waits_for(&p[i], ONE, promises[i]);
            start(&first);
        }
        first.p = &more;
        assert_int_equal(gy_refused(waits_start(host(), &first)), -EAGAIN);
        assert_int_equal(waits_answer(host(), (gy_promise){ 1 }, &first), -EAGAIN);
        assert_int_equal(more.started, 0);
        for (unsigned i = 0; i < FLOWS; i++)
            resolve(promises[(i * 7) % FLOWS][0], 1);
        settle();
        for (unsigned i = 0; i < FLOWS; i++)
            assert_int_equal(p[i].cleaned, 1);
        assert_int_equal(shard0()->flows_used, FLOWS);
    }
}

static void no_future_left(void **state)
{
    struct probe p;
    gy_promise promises[3];
    (void)state;
    struct waits first = waits_for(&p, ONE, promises);
    uint32_t limit = shard0()->futures_count, free_slots = shard0()->futures_free;
    shard0()->futures_count = shard0()->futures_used;
    shard0()->futures_free = 0;
    assert_int_equal(gy_refused(waits_start(host(), &first)), -EAGAIN);
    assert_int_equal(p.started, 0);
    assert_int_equal(shard0()->flows_live, 0);
    shard0()->futures_count = limit;
    shard0()->futures_free = free_slots;
    gy_discard(first.in[0]);
}

static void no_promise_record_left(void **state)
{
    struct probe p;
    gy_promise promises[3];
    (void)state;
    struct waits first = waits_for(&p, ONE, promises);
    uint32_t limit = shard0()->kept_count, free_records = shard0()->kept_free;
    uint32_t futures = shard0()->futures_live;
    shard0()->kept_count = shard0()->kept_used;
    shard0()->kept_free = 0;
    assert_int_equal(gy_refused(waits_start(host(), &first)), -EAGAIN);
    assert_int_equal(p.started, 0);
    assert_int_equal(shard0()->flows_live, 0);
    assert_int_equal(shard0()->futures_live, futures);
    shard0()->kept_count = limit;
    shard0()->kept_free = free_records;
    gy_discard(first.in[0]);
}

static void only_its_actor_starts_it(void **state)
{
    struct probe p;
    gy_promise promises[3];
    (void)state;
    struct waits first = waits_for(&p, ONE, promises);
    shard0()->context.actor = &shard0()->nobody;
    assert_int_equal(gy_refused(waits_start(host(), &first)), -EINVAL);
    assert_int_equal(gy_refused(gy_flow_start_raw(&shard0()->nobody, &waits_flow_type, &first)),
                     -EINVAL);
    enter();
    gy_discard(first.in[0]);
    assert_int_equal(p.started, 0);
}

/* ---- ways out ---- */

enum way { WAY_END, WAY_LEAVE, WAY_LEAVE_ERROR, WAY_BREAK, WAY_ANSWER, WAY_DISCARDS_ITSELF, WAY_FAIL, WAYS };
struct out {
    struct gy_flow flow;
    struct probe *p;
    enum way way;
    bool later;  /* after an await */
    bool cleans; /* leaves its clean-up early, too */
};
struct out_reply {
    int64_t value;
};
GY_FLOW_CALL(host, out);

GY_FLOW_BEGIN(host, self, out, f)
    f->p->started++;
    GY_IF(f->later)
        GY_AWAIT(f, gy_after(1 * GY_MS));
        f->p->resumed++;
    GY_END
    if (f->way == WAY_LEAVE || f->way == WAY_LEAVE_ERROR) {
        for (;;)
            GY_LEAVE(f, f->way == WAY_LEAVE ? 0 : -EDOM);
    }
    if (f->way == WAY_BREAK)
        break;
    if (f->way == WAY_ANSWER)
        assert_int_equal(out_resolve(f, (struct out_reply){ 77 }), 0);
    if (f->way == WAY_FAIL)
        gy_fail(&self->actor, -EPROTO);
    if (f->way == WAY_DISCARDS_ITSELF)
        gy_discard((gy_fut){ f->flow.promise.bits });
    GY_IF(f->way == WAY_DISCARDS_ITSELF)
        gy_promise never;
        GY_AWAIT(f, gy_pair(&self->actor, &never));
        f->p->res = 1; /* must not come here */
    GY_END
GY_CLEANUP(f)
    f->p->cleaned++;
    f->p->why = f->flow.why;
    if (f->cleans)
        GY_LEAVE(f, -EXDEV);
    f->p->value++;
GY_FLOW_END(f)

static void clean_up_runs_once_in_every_way_out(void **state)
{
    static const struct {
        int res, why;
    } expected[WAYS] = {
        [WAY_END] = { -EOWNERDEAD, 0 }, /* it owed a value */
        [WAY_LEAVE] = { -EOWNERDEAD, 0 },
        [WAY_LEAVE_ERROR] = { -EDOM, -EDOM },
        [WAY_BREAK] = { -EOWNERDEAD, 0 },
        [WAY_ANSWER] = { 0, 0 },
        [WAY_DISCARDS_ITSELF] = { -ECANCELED, -ECANCELED },
    };
    (void)state;
    for (unsigned i = 0; i < WAY_FAIL * 4; i++) {
        struct probe p = { 0 };
        struct out first = { .p = &p, .way = i / 4, .later = i & 1, .cleans = i & 2 };
        struct seen seen = { 999, 0, 0, 0 };
        out_fut fut = out_start(host(), &first);
        if (first.way != WAY_DISCARDS_ITSELF || first.later)
            watch(&host()->actor, fut.fut, &seen);
        advance(2 * GY_MS);
        assert_int_equal(p.cleaned, 1);
        assert_int_equal(p.value, !first.cleans);
        assert_int_equal(p.resumed, first.later);
        assert_int_equal(p.why, expected[first.way].why);
        assert_int_equal(p.res, 0);
        if (first.way != WAY_DISCARDS_ITSELF || first.later)
            assert_int_equal(seen.res, expected[first.way].res);
        if (first.way == WAY_ANSWER)
            assert_int_equal(seen.value, 77);
        nothing_left();
    }
}

static void failing_actor_unwinds_its_flows(void **state)
{
    struct probe p[2] = { { 0 }, { 0 } };
    gy_promise promises[3];
    (void)state;
    struct waits other = waits_for(&p[1], ONE, promises);
    start(&other);
    struct out first = { .p = &p[0], .way = WAY_FAIL, .later = true };
    gy_forget(out_start(host(), &first).fut);
    advance(2 * GY_MS);
    assert_true(host_stopped);
    assert_int_equal(p[0].cleaned, 1);
    assert_int_equal(p[0].why, 0);
    assert_int_equal(p[1].cleaned, 1);
    assert_int_equal(p[1].why, -EOWNERDEAD);
}

static void flows_of_a_start_that_fails(void **state)
{
    host_pid pid;
    (void)state;
    shard0()->context.actor = &shard0()->nobody;
    assert_int_equal(host_spawn(&pid, &(struct host_args){ 1 }), -EPERM);
    assert_int_equal(cleaned, 1);
    enter();
}

/* ---- a handler's promise ---- */

enum ask_how { ASK_LATER, ASK_NEVER, ASK_FAIL, ASK_KEPT, ASK_TWICE, ASK_LATE_CLEANUP };
struct ask {
    struct gy_flow flow;
    enum ask_how how;
};
GY_FLOW(host, ask);
static struct probe asked;

GY_FLOW_BEGIN(host, self, ask, f)
    asked.started++;
    GY_AWAIT(f, gy_after(2 * GY_MS));
    asked.resumed++;
    host_ask_promise reply = { f->flow.promise };
    if (f->how == ASK_FAIL)
        GY_LEAVE(f, -EIO);
    if (f->how == ASK_LATER || f->how == ASK_KEPT)
        asked.res = host_ask_resolve(reply, (struct host_ask_reply){ 11 });
GY_CLEANUP(f)
    asked.cleaned++;
    asked.why = f->flow.why;
    if (f->how == ASK_LATE_CLEANUP) {
        host_ask_promise reply = { f->flow.promise };
        asked.res = host_ask_reject(reply, -EXDEV);
    }
GY_FLOW_END(f)

static int host_start(struct host *self, const struct host_args *args)
{
    gy_mutex_init(&self->mutex, &self->actor);
    if (!args->start_flow)
        return 0;
    static struct probe p;
    struct waits first = { .p = &p, .kind = ONE };
    first.in[0] = gy_after(GY_S);
    gy_forget(waits_start(self, &first));
    return -EPERM;
}
static void host_stop(struct host *self, int why)
{
    static struct probe p;
    struct waits first = { .p = &p };
    (void)why;
    cleaned_at_stop = cleaned;
    host_stopped = true;
    assert_int_equal(gy_refused(waits_start(self, &first)), -EOWNERDEAD);
}
void host_on_ping(struct host *self, const struct host_ping_msg *msg)
{
    (void)msg;
    self->pings++;
    if (self->kept.bits != 0) {
        struct ask first = { .how = ASK_KEPT };
        assert_int_equal(ask_answer(self, self->kept, &first), 0);
        assert_int_equal(ask_answer(self, self->kept, &first), -ESRCH); /* it has a flow */
        self->kept.bits = 0;
    }
}
void host_on_ask(struct host *self, const struct host_ask_msg *msg, host_ask_promise reply)
{
    struct ask first = { .how = (enum ask_how)msg->how };
    if (msg->how == ASK_KEPT) {
        assert_int_equal(host_ask_keep(reply), 0);
        self->kept = reply.promise;
        return;
    }
    assert_int_equal(ask_answer(self, reply.promise, &first), 0);
    assert_int_equal(gy_discard_with(reply.promise, gy__fut_refused(-EAGAIN)), -EBUSY);
    if (msg->how == ASK_TWICE)
        assert_int_equal(ask_answer(self, reply.promise, &first), -ESRCH);
}

/* From nobody of shard 0 or 1. */
static void ask_from(unsigned shard, enum ask_how how, struct seen *seen, gy_fut *out)
{
    memset(&asked, 0, sizeof(asked));
    fake_enter(&fake, shard);
    struct gy_shard *s = fake.shard[shard].shard;
    s->context = (struct gy__context){ &s->nobody, 0 };
    host_ask_fut f = host_ask(host_is, (struct host_ask_msg){ how });
    watch(&s->nobody, f.fut, seen);
    *out = f.fut;
    settle();
}

static void answers_a_handlers_promise(void **state)
{
    static const int res[] = { 0, -EOWNERDEAD, -EIO, 0, -EOWNERDEAD, -EXDEV };
    struct seen seen;
    gy_fut fut;
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        enum ask_how how = i / 2;
        ask_from(i & 1, how, &seen, &fut);
        if (how == ASK_KEPT) {
            assert_int_equal(asked.started, 0);
            assert_int_equal(host_ping(host_is, (struct host_ping_msg){ 0 }), 0);
            settle();
        }
        assert_int_equal(asked.started, 1);
        assert_int_equal(seen.times, 0);
        advance(3 * GY_MS);
        assert_int_equal(seen.times, 1);
        assert_int_equal(seen.res, res[how]);
        assert_int_equal(asked.cleaned, 1);
        assert_int_equal(seen.value, res[how] == 0 ? 11 : -1);
        nothing_left();
    }
}

static void caller_gives_up(void **state)
{
    struct seen seen;
    gy_fut fut;
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct gy_shard *s = fake.shard[i & 1].shard;
        ask_from(i & 1, i < 2 ? ASK_LATER : ASK_LATE_CLEANUP, &seen, &fut);
        fake_enter(&fake, i & 1);
        s->context = (struct gy__context){ &s->nobody, 0 };
        gy_discard(fut);
        settle();
        assert_int_equal(seen.res, -ECANCELED);
        assert_int_equal(asked.resumed, 0);
        assert_int_equal(asked.cleaned, 1);
        assert_int_equal(asked.why, -ECANCELED);
        assert_int_equal(asked.res, i < 2 ? 0 : -ESRCH); /* there is nobody to answer any more */
        nothing_left(); /* the timer too */
    }
}

static void callee_dies(void **state)
{
    struct seen seen;
    gy_fut fut;
    (void)state;
    ask_from(1, ASK_LATER, &seen, &fut);
    kill_host();
    assert_int_equal(seen.res, -EOWNERDEAD);
    assert_int_equal(asked.cleaned, 1);
}

static void callee_dies_and_says_so_itself(void **state)
{
    struct seen seen;
    gy_fut fut;
    (void)state;
    ask_from(1, ASK_LATE_CLEANUP, &seen, &fut);
    kill_host();
    assert_int_equal(seen.res, -EXDEV);
}

static void abandoned_promises_are_counted(void **state)
{
    struct seen seen;
    gy_fut fut;
    (void)state;
    uint64_t before = shard0()->core_counters[GY__COUNT_ABANDONED];
    ask_from(1, ASK_NEVER, &seen, &fut);
    advance(3 * GY_MS);
    assert_int_equal(shard0()->core_counters[GY__COUNT_ABANDONED], before + 1);
}

/* ---- flows that call flows ---- */

#define DEPTH 50
static unsigned deep_cleaned, deep_order_wrong, deep_last;
static gy_promise deepest;
struct deep {
    struct gy_flow flow;
    unsigned depth;
    struct deep_fut_box {
        gy_fut fut;
    } below;
};
struct deep_reply {
    int64_t value;
};
GY_FLOW_CALL(host, deep);

GY_FLOW_BEGIN(host, self, deep, f)
    GY_IF(f->depth == 0)
        f->below.fut = gy_pair(&self->actor, &deepest);
        GY_AWAIT(f, f->below.fut);
    GY_ELSE
        struct deep next = { .depth = f->depth - 1 };
        f->below.fut = deep_start(self, &next).fut;
        GY_AWAIT(f, f->below.fut);
    GY_END
    struct deep_reply below;
    deep_fut as = { f->below.fut };
    int err = deep_value(as, &below);
    if (err < 0)
        GY_LEAVE(f, err);
    deep_resolve(f, (struct deep_reply){ below.value + 1 });
GY_CLEANUP(f)
    deep_order_wrong += deep_cleaned > 0 && f->depth != deep_last + 1;
    deep_last = f->depth;
    deep_cleaned++;
GY_FLOW_END(f)

static gy_fut go_deep(struct seen *seen)
{
    struct deep first = { .depth = DEPTH - 1 };
    deep_cleaned = deep_order_wrong = 0;
    deep_fut fut = deep_start(host(), &first);
    watch(&host()->actor, fut.fut, seen);
    settle();
    assert_int_equal(shard0()->flows_live, DEPTH);
    return fut.fut;
}

static void nested_flows(void **state)
{
    struct seen seen;
    gy_fut fut;
    (void)state;
    go_deep(&seen);
    resolve(deepest, 1);
    settle();
    assert_int_equal(seen.res, 0);
    assert_int_equal(seen.value, 1 + DEPTH);
    assert_int_equal(deep_cleaned, DEPTH);
    nothing_left();

    go_deep(&seen); /* a failure travels up */
    reject(deepest, -EIO);
    settle();
    assert_int_equal(seen.res, -EIO);
    assert_int_equal(deep_cleaned, DEPTH);
    nothing_left();

    fut = go_deep(&seen); /* a discard travels down */
    gy_discard(fut);
    settle();
    assert_int_equal(seen.res, -ECANCELED);
    assert_int_equal(gy_discarded(deepest), 1);
    assert_int_equal(deep_cleaned, DEPTH);
    nothing_left();

    go_deep(&seen); /* death takes the innermost first */
    kill_host();
    assert_int_equal(deep_cleaned, DEPTH);
    assert_int_equal(deep_order_wrong, 0);
}

static void nested_flow_without_a_frame(void **state)
{
    struct seen seen;
    (void)state;
    struct deep first = { .depth = FLOWS }; /* one more than there are */
    deep_cleaned = deep_order_wrong = 0;
    watch(&host()->actor, deep_start(host(), &first).fut, &seen);
    settle();
    assert_int_equal(seen.res, -EAGAIN);
    assert_int_equal(deep_cleaned, FLOWS);
}

/* ---- loops ---- */

struct rounds {
    struct gy_flow flow;
    unsigned n, i, j, inner;
    enum { READY, REFUSED, FLOW } of;
    char *low, *high;
    unsigned skipped;
};
GY_FLOW(host, rounds);
static struct rounds last_rounds;

GY_FLOW_BEGIN(host, self, rounds, f)
    f->low = f->high = __builtin_frame_address(0);
    GY_FOR(f->i = 0, f->i < f->n, f->i++)
        char *here = __builtin_frame_address(0);
        f->low = here < f->low ? here : f->low;
        f->high = here > f->high ? here : f->high;
        if (f->i % 10 == 9) {
            f->skipped++;
            continue;
        }
        gy_promise p;
        gy_fut fut = gy__fut_refused(-EAGAIN);
        if (f->of == READY) {
            fut = gy_pair(&self->actor, &p);
            resolve(p, 1);
        } else if (f->of == FLOW) {
            struct rounds none = { .n = 0 };
            fut = rounds_start(self, &none);
        }
        GY_AWAIT(f, fut);
        if (f->flow.res != (f->of == REFUSED ? -EAGAIN : 0))
            GY_LEAVE(f, -EXDEV);
        f->j = 0;
        GY_WHILE(f->i % 1000 == 0)
            GY_AWAIT(f, gy_after(0));
            f->inner++;
            if (++f->j == 3)
                break;
        GY_END
    GY_END
GY_CLEANUP(f)
    if (f->n > 0)
        last_rounds = *f;
GY_FLOW_END(f)

static void loops_use_constant_stack(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct rounds first = { .n = 100000, .of = i };
        struct seen seen;
        watch(&host()->actor, rounds_start(host(), &first), &seen);
        for (unsigned j = 0; j < 400; j++)
            advance(GY_MS);
        assert_int_equal(seen.times, 1);
        assert_int_equal(seen.res, 0);
        assert_int_equal(last_rounds.i, 100000);
        assert_int_equal(last_rounds.skipped, 10000);
        assert_int_equal(last_rounds.inner, 100 * 3);
        assert_true(last_rounds.high - last_rounds.low < 4096);
    }
}

static void loop_of_refusals_starves_nobody(void **state)
{
    struct rounds first = { .n = 1000000000, .of = REFUSED };
    (void)state;
    gy_fut fut = rounds_start(host(), &first);
    assert_int_equal(host_ping(host_is, (struct host_ping_msg){ 0 }), 0);
    fake_leave();
    fake_turn(&fake, 0);
    enter();
    assert_int_equal(host()->pings, 1);
    gy_discard(fut);
    settle();
}

/* ---- buffers ---- */

struct taker {
    struct gy_flow flow;
    bool takes;
    gy_fut in;
    bool all;
};
GY_FLOW(host, taker);
static unsigned taken;

GY_FLOW_BEGIN(host, self, taker, f)
    GY_IF(f->all)
        GY_AWAIT_ALL(f, f->in);
    GY_ELSE
        GY_AWAIT(f, f->in);
    GY_END
    uint64_t value = 0;
    assert_int_equal(gy_value_raw(f->in, &value, sizeof(value)), 0);
    assert_int_equal(value, 9);
    if (f->takes) {
        struct gy_buf *buf = gy_value_buf(f->in);
        assert_non_null(buf);
        assert_null(gy_value_buf(f->in));
        gy_buf_release(buf);
        taken++;
    }
GY_FLOW_END(f)

static void buffers_are_taken_or_go_home(void **state)
{
    (void)state;
    taken = 0;
    for (unsigned i = 0; i < 16; i++) {
        struct taker first = { .takes = i & 1, .all = i & 2 };
        gy_promise p;
        uint64_t nine = 9;
        struct gy_buf *buf = gy_buf_take(100);
        assert_non_null(buf);
        first.in = gy_pair(&host()->actor, &p);
        if (i & 4)
            assert_int_equal(gy_resolve_raw(p, 0, &nine, sizeof(nine), buf), 0);
        gy_fut fut = taker_start(host(), &first);
        if (!(i & 4))
            assert_int_equal(gy_resolve_raw(p, 0, &nine, sizeof(nine), buf), 0);
        if (i & 8)
            gy_discard(fut);
        else
            gy_forget(fut);
        settle();
        nothing_left();
    }
    assert_int_equal(taken, 4);
}

/* ---- what is given with an outcome must be seen, or go back ---- */

struct locker {
    struct gy_flow flow;
    struct probe *p;
    bool any, held;
    gy_promise *release;
};
GY_FLOW(host, locker);

GY_FLOW_BEGIN(host, self, locker, f)
    GY_IF(f->any)
        gy_promise never;
        GY_AWAIT_ANY(f, gy_pair(&self->actor, &never), gy_mutex_lock(&self->mutex));
        f->held = f->flow.res == 1;
    GY_ELSE
        GY_AWAIT(f, gy_mutex_lock(&self->mutex));
        f->held = f->flow.res == 0;
    GY_END
    f->p->resumed += f->held;
    GY_AWAIT(f, gy_pair(&self->actor, f->release));
GY_CLEANUP(f)
    f->p->cleaned++;
    if (f->held)
        gy_mutex_unlock(&self->mutex);
GY_FLOW_END(f)

static void a_lock_is_never_lost(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct probe p[3] = { { 0 } };
        gy_promise release[3];
        gy_fut fut[3];
        for (unsigned j = 0; j < 3; j++) {
            struct locker first = { .p = &p[j], .any = i & 1, .release = &release[j] };
            fut[j] = locker_start(host(), &first);
        }
        settle();
        assert_int_equal(p[0].resumed, 1);
        if (i & 2) /* on its way to the second, which is cancelled before it is there */
            resolve(release[0], 1);
        if (i & 4) {
            fake_leave();
            fake_turn(&fake, 0);
            enter();
        }
        gy_discard(fut[1]);
        if (!(i & 2))
            resolve(release[0], 1);
        settle();
        assert_int_equal(p[1].cleaned, 1);
        assert_int_equal(p[2].resumed, 1);
        resolve(release[2], 1);
        settle();
        assert_int_equal(gy_mutex_try_lock(&host()->mutex), 0);
        gy_mutex_unlock(&host()->mutex);
        gy_forget(fut[0]);
        gy_forget(fut[2]);
        settle();
        nothing_left();
    }
}

/* Each step of the way by itself: the outcome lies in the slot, then the flow is cancelled. */
static void a_lock_that_was_given_goes_on(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct probe p[2] = { { 0 } };
        gy_promise release[2];
        gy_fut fut[2];
        assert_int_equal(gy_mutex_try_lock(&host()->mutex), 0);
        for (unsigned j = 0; j < 2; j++) {
            struct locker first = { .p = &p[j], .any = i, .release = &release[j] };
            fut[j] = locker_start(host(), &first);
        }
        settle();
        assert_int_equal(gy_mutex_unlock(&host()->mutex), 0);
        gy_discard(fut[0]);
        settle();
        assert_int_equal(p[0].resumed, 0);
        assert_int_equal(p[0].cleaned, 1);
        assert_int_equal(p[1].resumed, 1);
        gy_discard(fut[1]);
        settle();
        assert_int_equal(gy_mutex_try_lock(&host()->mutex), 0);
        gy_mutex_unlock(&host()->mutex);
        nothing_left();
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(ready_at_once),
        TEST(ready_later),
        TEST(settled_in_part),
        TEST(failed),
        TEST(refused),
        TEST(not_to_be_awaited),
        TEST(discarded_or_forgotten),
        TEST(deadline),
        TEST(earlier_deadline_of_the_future_counts),
        TEST(timer_beyond_the_deadline_is_late),
        TEST(cancelled),
        TEST(cancelled_while_what_it_awaits_was_refused),
        TEST(deadline_of_its_future_cancels),
        TEST(actor_dies),
        TEST(actor_dies_cancelled_ones_too),
        cmocka_unit_test(runtime_stops),
        TEST(no_frame_left),
        TEST(no_future_left),
        TEST(no_promise_record_left),
        TEST(only_its_actor_starts_it),
        TEST(clean_up_runs_once_in_every_way_out),
        TEST(failing_actor_unwinds_its_flows),
        TEST(flows_of_a_start_that_fails),
        TEST(answers_a_handlers_promise),
        TEST(caller_gives_up),
        TEST(callee_dies),
        TEST(callee_dies_and_says_so_itself),
        TEST(abandoned_promises_are_counted),
        TEST(nested_flows),
        TEST(nested_flow_without_a_frame),
        TEST(loops_use_constant_stack),
        TEST(loop_of_refusals_starves_nobody),
        TEST(buffers_are_taken_or_go_home),
        TEST(a_lock_is_never_lost),
        TEST(a_lock_that_was_given_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
