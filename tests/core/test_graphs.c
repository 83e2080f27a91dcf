/* Random trees of futures against a slow obvious model, one event at a time; and the same with many
 * events at once, where only what must hold in any order is asked: ends come once, nothing is left.
 *
 * GYRE_SEED=N runs that one tree; GYRE_LONG=1 runs ten million. */
#include "fake_driver.h"

#include "core/future.h"
#include "core/kernel.h"
#include "gyre/future.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#define DEPTH_MAX 8
#define NODES_MAX 80
#define INPUTS_MAX 4

/* ---- the tree, model and handles side by side ---- */

enum kind { PAIR, CALL, TIMER, REFUSED, LEAVES, ALL = LEAVES, ANY, SETTLE, CHAIN, SHIELD, KINDS };
static const char *const kind_names[] = { "pair", "call", "timer", "refused", "all",
                                          "any",  "settle", "chain", "shield" };
enum function { ANSWERS, FAILS, LATER, NEITHER, FUNCTIONS };
enum state { PENDING, DONE, GONE };

static struct node {
    enum kind kind;
    enum function function;
    enum gy_chain_when when;
    int n, inputs[INPUTS_MAX];
    int parent, place; /* whose input it is; -1: nobody's yet */

    /* The model. */
    enum state state;
    int res;
    bool has_value;
    int64_t value;
    bool open;         /* somebody owes it an answer, and has not been told that nobody waits */
    uint64_t deadline_ns;
    int missing, error;
    int keeps;         /* whose inputs go with it: a group's own, or those a chain took over; or -1 */
    unsigned calls;    /* of the chain's function */
    int seen;          /* what it saw last */

    /* The real one. */
    gy_fut fut;
    gy_promise promise;
    bool promised; /* there is one, or the callee was told before it could keep it */
    unsigned real_calls;
    int real_seen;
} nodes[NODES_MAX];
static int count, root;
static bool watched, strict, alive;
static unsigned times;
static int root_res;
static int64_t root_value;
static unsigned real_times;
static int real_res;
static int64_t real_value;

/* ---- random ---- */

static uint64_t seed, random_state;
static uint64_t below(uint64_t n)
{
    uint64_t z = random_state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return ((z ^ z >> 31) >> 32) * n >> 32;
}

/* ---- what happened, for a failure ---- */

static char story[16384];
static size_t story_len;
static void tell_story(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell_story(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(story + story_len, sizeof(story) - story_len, format, args);
    va_end(args);
    if (n > 0 && story_len + (size_t)n < sizeof(story))
        story_len += (size_t)n;
}
#define MUST(condition, ...)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            tell_story(__VA_ARGS__);                                                               \
            fprintf(stderr, "%s\n%s\nagain: GYRE_SEED=%llu\n", story, #condition,                  \
                    (unsigned long long)seed);                                                     \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

/* ---- the model ---- */

static void model_end(int i, int res, bool has_value, int64_t value, bool early);

static bool is_group(int i)
{
    return nodes[i].kind >= ALL && nodes[i].kind <= SETTLE;
}
static bool is_chain(int i)
{
    return nodes[i].kind >= CHAIN;
}

/* What it waits for hears that nobody waits. */
static void model_tell(int i)
{
    struct node *node = &nodes[i];
    if (node->open) {
        node->open = false;
    } else if (node->kind == CHAIN && nodes[node->inputs[0]].state == PENDING) {
        model_end(node->inputs[0], -ECANCELED, false, 0, true);
    } else if (is_group(i)) {
        for (int k = 0; k < node->n; k++)
            if (nodes[node->inputs[k]].state == PENDING)
                model_end(node->inputs[k], -ECANCELED, false, 0, true);
    }
}

/* Its consumer is through with it. */
static void model_gone(int i)
{
    nodes[i].state = GONE;
    nodes[i].deadline_ns = 0;
    if (nodes[i].keeps < 0)
        return;
    const struct node *group = &nodes[nodes[i].keeps];
    for (int k = 0; k < group->n; k++)
        if (nodes[group->inputs[k]].state != GONE)
            model_gone(group->inputs[k]);
}

static void model_count(int i, int res, int place)
{
    struct node *node = &nodes[i];
    if (node->error == 0 && res < 0)
        node->error = res;
    node->missing--;
    if (node->kind == ALL && (res < 0 || node->missing == 0))
        model_end(i, res < 0 ? res : 0, false, 0, true);
    else if (node->kind == ANY && (res >= 0 || node->missing == 0))
        model_end(i, res >= 0 ? place : node->error, false, 0, true);
    else if (node->kind == SETTLE && node->missing == 0)
        model_end(i, 0, false, 0, true);
}

static bool model_wants(const struct node *chain, int res)
{
    bool failed = res < 0 && res != -ECANCELED && res != -EOWNERDEAD;
    return chain->kind == CHAIN && (chain->when == GY_WHEN_ANY ||
                                    (chain->when == GY_WHEN_READY && res >= 0) ||
                                    (chain->when == GY_WHEN_FAILED && failed) ||
                                    (chain->when == GY_WHEN_NOT_READY && res < 0));
}

static void model_chain(int i, int res, bool has_value, int64_t value)
{
    struct node *node = &nodes[i];
    if (!model_wants(node, res)) {
        model_end(i, res, has_value, value, false);
        return;
    }
    node->calls++;
    node->seen = res;
    if (node->function == ANSWERS)
        model_end(i, 0, true, (has_value ? value : res) * 3 + 1, false);
    else if (node->function == FAILS)
        model_end(i, -1000 - i, false, 0, false);
    else if (node->function == NEITHER)
        model_end(i, -EOWNERDEAD, false, 0, false);
    else
        node->open = true;
}

/* Somebody takes note of an end. */
static void model_consume(int i)
{
    struct node *node = &nodes[i];
    int parent = node->parent;
    if (parent < 0) {
        if (!watched || i != root)
            return;
        times++;
        root_res = node->res;
        root_value = node->has_value ? node->value : -1;
        model_gone(i);
    } else if (is_group(parent)) {
        if (nodes[parent].state == PENDING)
            model_count(parent, node->res, node->place);
    } else {
        if (nodes[parent].state == PENDING && node->res >= 0 &&
            !model_wants(&nodes[parent], node->res)) {
            nodes[parent].keeps = node->keeps;
            node->keeps = -1;
        }
        model_gone(i);
        if (nodes[parent].state == PENDING)
            model_chain(parent, node->res, node->has_value, node->value);
    }
}

/* early: not by what it waited for, which therefore is to be told. */
static void model_end(int i, int res, bool has_value, int64_t value, bool early)
{
    struct node *node = &nodes[i];
    node->state = DONE;
    node->res = res;
    node->has_value = has_value;
    node->value = value;
    node->deadline_ns = 0;
    if (early)
        model_tell(i);
    model_consume(i);
}

static void model_discard(int i)
{
    bool consumed = nodes[i].parent >= 0 || (watched && i == root);
    if (nodes[i].state == PENDING && consumed) {
        model_end(i, -ECANCELED, false, 0, true);
    } else if (!consumed && nodes[i].state != GONE) {
        bool pending = nodes[i].state == PENDING;
        nodes[i].state = GONE;
        if (pending)
            model_tell(i);
        model_gone(i);
    }
}

static void model_forget(int i)
{
    if (nodes[i].parent >= 0 || is_chain(i)) {
        model_discard(i);
    } else if (nodes[i].state != GONE) {
        bool group = is_group(i) && nodes[i].state == PENDING;
        nodes[i].state = GONE;
        if (group)
            model_tell(i);
        model_gone(i);
    }
}

/* It was made, over inputs of which some have ended. */
static void model_made(int i)
{
    struct node *node = &nodes[i];
    node->state = PENDING;
    node->keeps = is_group(i) ? i : -1;
    node->open = node->kind == PAIR || node->kind == CALL;
    if (node->kind == REFUSED) {
        node->state = DONE;
        node->res = -EAGAIN;
    }
    for (int k = 0; k < node->n; k++) {
        nodes[node->inputs[k]].parent = i;
        nodes[node->inputs[k]].place = k;
    }
    node->missing = node->n;
    if (is_group(i) && node->n == 0)
        model_end(i, node->kind == ANY ? -EINVAL : 0, false, 0, false);
    for (int k = 0; k < node->n && node->state == PENDING; k++)
        if (nodes[node->inputs[k]].state == DONE)
            model_consume(node->inputs[k]);
}

/* ---- the real one: an owner, and somebody who answers its calls ---- */

static struct fake_driver fake;

struct owner_args {
    uint32_t unused;
};
GY_ACTOR(owner);
struct owner {
    struct gy_actor actor;
};
static int owner_start(struct owner *self, const struct owner_args *args)
{
    (void)self, (void)args;
    return 0;
}
static void owner_stop(struct owner *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(owner, owner_start, owner_stop);
struct owner_ask_msg {
    uint32_t node;
};
struct owner_ask_reply {
    int64_t value;
};
GY_CALL(owner, ask);
GY_VERB(owner, ask);
void owner_on_ask(struct owner *self, const struct owner_ask_msg *msg, owner_ask_promise reply)
{
    (void)self;
    nodes[msg->node].promise = reply.promise;
    nodes[msg->node].promised = true;
    (void)!owner_ask_keep(reply);
}

static owner_pid self_pid, server_pid;
static struct owner *self;

static void enter(struct gy__context *saved)
{
    fake_enter(&fake, 0);
    *saved = gy__actor_enter(fake.shard[0].shard, &self->actor);
}
static void leave(struct gy__context saved)
{
    gy__actor_leave(fake.shard[0].shard, saved);
    fake_leave();
}
static void settle(void)
{
    /* One shard, no streams: turns until it has nothing to do. */
    while (fake_turn(&fake, 0))
        ;
    fake_leave();
}

static void on_root(struct gy_actor *actor, const struct gy_done *done)
{
    (void)actor;
    real_times++;
    real_res = done->res;
    real_value = done->value != NULL ? *(const int64_t *)done->value : -1;
}

static void on_chain(struct gy_actor *actor, const struct gy_done *done, gy_promise out)
{
    struct node *node = &nodes[done->ctx];
    int64_t value = done->value != NULL ? *(const int64_t *)done->value : done->res;
    (void)actor;
    node->real_calls++;
    node->real_seen = done->res;
    value = value * 3 + 1;
    if (node->function == ANSWERS) {
        MUST(gy_resolve_raw(out, 0, &value, sizeof(value), NULL) == 0, "chain %d", node->inputs[0]);
    } else if (node->function == FAILS) {
        MUST(gy_resolve_raw(out, -1000 - (int)done->ctx, NULL, 0, NULL) == 0, "chain");
    } else if (node->function == LATER) {
        MUST(gy_keep(out) == 0, "chain keeps");
        node->promise = out;
        node->promised = true;
    }
}

static gy_fut real_make(int i)
{
    struct node *node = &nodes[i];
    gy_fut inputs[INPUTS_MAX];
    gy_fut made = { 0 };
    for (int k = 0; k < node->n; k++)
        inputs[k] = nodes[node->inputs[k]].fut;
    switch (node->kind) {
    case PAIR:
        made = gy_pair(&self->actor, &node->promise);
        node->promised = true;
        break;
    case CALL:
        made = owner_ask(server_pid, (struct owner_ask_msg){ (uint32_t)i }).fut;
        break;
    case TIMER:
        made = gy_after(node->deadline_ns - fake.now_ns);
        break;
    case REFUSED:
        made = gy__fut_refused(-EAGAIN);
        break;
    case ALL:
        made = gy_all(inputs, (unsigned)node->n);
        break;
    case ANY:
        made = gy_any(inputs, (unsigned)node->n);
        break;
    case SETTLE:
        made = gy_settle(inputs, (unsigned)node->n);
        break;
    case CHAIN:
        made = gy_chain_raw(&self->actor, inputs[0], node->when, on_chain, (uint64_t)i);
        break;
    default:
        made = gy_undiscardable(&self->actor, inputs[0]);
        break;
    }
    return made;
}

/* ---- building ---- */

static uint64_t next_deadline_ns;
/* Each its own, so that time brings one end at a time. */
static uint64_t new_deadline(void)
{
    return next_deadline_ns += (uint64_t)GY_MS;
}

static int build(int depth)
{
    bool leaf = depth == DEPTH_MAX || count > NODES_MAX - 40 || below(10) < 3;
    struct node mine = { .kind = (enum kind)(leaf ? below(REFUSED + (below(8) == 0)) :
                                                    LEAVES + below(KINDS - LEAVES)),
                         .function = (enum function)below(FUNCTIONS),
                         .when = (enum gy_chain_when)below(4),
                         .parent = -1 };
    if (mine.kind >= CHAIN)
        mine.n = 1;
    else if (mine.kind >= ALL)
        mine.n = (int)below(INPUTS_MAX + 1);
    for (int k = 0; k < mine.n; k++)
        mine.inputs[k] = build(depth + 1);
    int i = count++;
    MUST(count <= NODES_MAX, "too many nodes");
    if (mine.kind == TIMER)
        mine.deadline_ns = new_deadline();
    nodes[i] = mine;
    tell_story("%d = %s(", i, kind_names[mine.kind]);
    for (int k = 0; k < mine.n; k++)
        tell_story("%s%d", k > 0 ? ", " : "", mine.inputs[k]);
    tell_story("); when %u, function %u\n", mine.when, mine.function);

    struct gy__context saved;
    enter(&saved);
    nodes[i].fut = real_make(i);
    if (mine.kind > REFUSED && below(6) == 0) {
        uint64_t at_ns = new_deadline();
        if (gy_deadline(nodes[i].fut, at_ns - fake.now_ns) == 0)
            nodes[i].deadline_ns = at_ns;
    }
    leave(saved);
    uint64_t deadline_ns = nodes[i].deadline_ns;
    if (deadline_ns != 0)
        tell_story("  deadline %llu\n", (unsigned long long)deadline_ns);
    model_made(i);
    if (nodes[i].state != PENDING)
        nodes[i].deadline_ns = 0;
    if (strict)
        settle();
    return i;
}

/* ---- comparing ---- */

static void compare(void)
{
    struct gy__context saved;
    MUST(real_times == times, "the root's end came %u times, not %u", real_times, times);
    if (times > 0) {
        MUST(real_res == root_res, "the root ended with %d, not %d", real_res, root_res);
        MUST(real_value == root_value, "the root has %lld, not %lld", (long long)real_value,
             (long long)root_value);
    }
    if (!alive)
        return;
    enter(&saved);
    for (int i = 0; i < count; i++) {
        struct node *node = &nodes[i];
        MUST(node->real_calls == node->calls, "%d called %u times, not %u", i, node->real_calls,
             node->calls);
        if (node->calls > 0)
            MUST(node->real_seen == node->seen, "%d saw %d, not %d", i, node->real_seen, node->seen);
        if (node->promised)
            MUST(gy_discarded(node->promise) == !node->open, "%d's promise %s", i,
                 node->open ? "was taken away" : "is still waited for");
        if (node->kind == REFUSED)
            continue;
        int outcome = gy_value_raw(node->fut, NULL, 0);
        int expected = node->state == PENDING ? -EAGAIN :
                       node->state == DONE    ? node->res :
                                                -EINVAL;
        MUST(outcome == expected, "%d stands at %d, not %d", i, outcome, expected);
    }
    leave(saved);
}

/* ---- events ---- */

static void resolve(int i)
{
    int res = below(2) == 0 ? 0 : -(int)(1 + below(3) * 200);
    int64_t value = (int64_t)below(1000);
    if (below(8) == 0)
        res = below(2) == 0 ? -ECANCELED : -EOWNERDEAD;
    tell_story("resolve %d: %d, %lld\n", i, res, (long long)value);
    fake_enter(&fake, 0);
    int err = gy_resolve_raw(nodes[i].promise, res, res < 0 ? NULL : &value,
                             res < 0 ? 0 : sizeof(value), NULL);
    fake_leave();
    if (!strict)
        return;
    MUST(err == (nodes[i].open ? 0 : -ESRCH), "resolve says %d", err);
    if (!nodes[i].open)
        return;
    nodes[i].open = false;
    if (nodes[i].state == PENDING)
        model_end(i, res, res >= 0, res < 0 ? 0 : value, false);
}

static void discard(int i)
{
    struct gy__context saved;
    tell_story("discard %d\n", i);
    enter(&saved);
    gy_discard(nodes[i].fut);
    leave(saved);
    if (nodes[i].kind != REFUSED)
        model_discard(i);
}

static void forget(int i)
{
    struct gy__context saved;
    tell_story("forget %d\n", i);
    enter(&saved);
    gy_forget(nodes[i].fut);
    leave(saved);
    if (nodes[i].kind != REFUSED)
        model_forget(i);
}

static void watch(void)
{
    struct gy__context saved;
    if (watched || nodes[root].state == GONE)
        return;
    tell_story("watch %d\n", root);
    enter(&saved);
    MUST(gy_then_raw(&self->actor, nodes[root].fut, on_root, 0) == 0, "then");
    leave(saved);
    watched = true;
    if (nodes[root].state == DONE)
        model_consume(root);
}

/* To the next deadline, or just by itself. */
static void pass_time(void)
{
    int first = -1;
    for (int i = 0; i < count; i++)
        if (nodes[i].deadline_ns != 0 && nodes[i].state == PENDING &&
            (first < 0 || nodes[i].deadline_ns < nodes[first].deadline_ns))
            first = i;
    if (first < 0)
        return;
    tell_story("time of %d\n", first);
    if (nodes[first].deadline_ns > fake.now_ns)
        fake.now_ns = nodes[first].deadline_ns;
    /* A tick of the wheel. */
    fake.now_ns += 20000;
    nodes[first].deadline_ns = 0;
    model_end(first, nodes[first].kind == TIMER ? 0 : -ETIMEDOUT, false, 0, true);
}

static void die(void)
{
    tell_story("death\n");
    fake_enter(&fake, 0);
    assert_int_equal(gy_actor_stop_now(self_pid.pid, 0), 0);
    fake_leave();
    alive = false;
}

static void happen(void)
{
    uint64_t what = below(20);
    int i = (int)below((uint64_t)count);
    if (what < 11) {
        /* Mostly one that is still owed. */
        for (int k = 0; k < count && !(nodes[i].promised && nodes[i].open); k++)
            i = (i + 1) % count;
        if (nodes[i].promised)
            resolve(i);
    } else if (what < 14) {
        discard(i);
    } else if (what < 15) {
        forget(i);
    } else if (what < 18) {
        pass_time();
    } else {
        watch();
    }
}

/* ---- a tree's life ---- */

static void one_tree(uint64_t which)
{
    seed = which;
    random_state = which * UINT64_C(0xD1342543DE82EF95);
    story_len = 0;
    strict = which % 4 != 0;
    count = 0;
    times = real_times = 0;
    watched = false;
    alive = true;
    next_deadline_ns = fake.now_ns;
    fake_enter(&fake, 0);
    assert_int_equal(owner_spawn(&self_pid, &(struct owner_args){ 0 }), 0);
    self = (struct owner *)(void *)gy__actor_find(fake.shard[0].shard, self_pid.pid.bits);
    fake_leave();
    root = -1;
    root = build(1);
    if (below(4) != 0)
        watch();
    if (strict)
        settle();
    for (uint64_t n = below(24); n > 0; n--) {
        happen();
        if (strict || below(3) == 0)
            settle();
        if (strict)
            compare();
    }
    settle();
    if (!strict)
        MUST(real_times <= 1, "the root's end came %u times", real_times);
    unsigned before = real_times;
    die();
    settle();
    /* A forgotten call goes on until it is answered. */
    fake_enter(&fake, 0);
    for (int i = 0; i < count; i++)
        if (nodes[i].kind == CALL && nodes[i].promised)
            (void)gy_resolve_raw(nodes[i].promise, -EPIPE, NULL, 0, NULL);
    fake_leave();
    settle();
    MUST(real_times == before, "the dead are told");
    MUST(fake.shard[0].shard->futures_live == 0, "%u futures are left",
         fake.shard[0].shard->futures_live);
    MUST(fake.shard[0].shard->kept_live == 0, "%u promises are left", fake.shard[0].shard->kept_live);
    MUST(gy__wheel_next_ns(&fake.shard[0].shard->wheel) == UINT64_MAX, "a timer is left");
}

static int boot(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    return owner_spawn(&server_pid, &(struct owner_args){ 0 });
}

static void trees_do_as_the_model(void **state)
{
    struct gy_config config;
    const char *one = getenv("GYRE_SEED"), *is_long = getenv("GYRE_LONG");
    uint64_t trees = is_long != NULL && *is_long != '\0' ? 10000000 : 100000;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 1024;
    config.futures = 256;
    config.fifo_cells = 1024;
    config.streams_max = 1;
    fake_open(&fake, &config, 1, boot, NULL);
    fake_leave();
    if (one != NULL)
        one_tree(strtoull(one, NULL, 0));
    else
        for (uint64_t i = 1; i <= trees; i++)
            one_tree(i);
    fake_close(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(trees_do_as_the_model) };
    return cmocka_run_group_tests_name("graphs", tests, NULL, NULL);
}
