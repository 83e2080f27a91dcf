/* core/combine.c - futures made of futures.
 *
 * A combinator (all, any, settle) is a slot whose value holds the first of its inputs; each input's
 * ctx holds the combinator's slot and the next input. Inputs are pinned by the combinator and keep their outcome,
 * so that its consumer can look at them; they are let go with it. Its outcome is fixed once: whatever inputs do later changes nothing.
 *
 * A chain is a slot whose value holds a function and what it waits for; the consumer of that future is
 * chain_run, whose ctx are the chain's bits. The function answers the chain as one answers a call, so
 * the answer comes by a cell, and a chain of chains does not nest. A chain that passes on what was given
 * by a line becomes what it waited for (chain_pass). A loop is a chain that waits again. */
#include "core/future.h"
#include "core/opfut.h"

#include "gyre/future.h"

#include <errno.h>
#include <string.h>

/* ---- groups ---- */

void gy__group_input(struct gy_actor *self, const struct gy_done *done)
{
    (void)self, (void)done;
    GY_ASSERT(!"consumed by its combinator");
}

/* An input's ctx: the combinator's slot (20 bits), the next input (20), its place in the array. */
static uint64_t input_ctx(uint32_t group, uint32_t next, uint32_t index)
{
    return group | (uint64_t)next << 20 | (uint64_t)index << 40;
}
static uint32_t group_of(const struct gy__future *input)
{
    return (uint32_t)input->ctx & 0xFFFFF;
}
static uint32_t next_input(const struct gy__future *input)
{
    return (uint32_t)(input->ctx >> 20) & 0xFFFFF;
}
static uint32_t index_of(const struct gy__future *input)
{
    return (uint32_t)(input->ctx >> 40);
}

static void discard_inputs(struct gy_shard *shard, struct gy__future *group)
{
    for (uint32_t i = group->value.group.first; i != 0; i = next_input(&shard->futures[i])) {
        struct gy__future *input = &shard->futures[i];
        if (input->state != GY__FUTURE_PENDING)
            continue;
        gy__future_tell(shard, input);
        gy__future_store(input, -ECANCELED, NULL, 0, NULL);
    }
}

void gy__group_cancel(struct gy_shard *shard, struct gy__future *group)
{
    if (group->pins & GY__PIN_CANCELS || group->value.group.first == 0)
        return;
    group->pins |= GY__PIN_CANCELS;
    gy__control_local(shard, &gy__verb_cancel_inputs, group->bits);
}

void gy__group_cancel_inputs(struct gy_shard *shard, struct gy_cell *cell)
{
    struct gy__future *group = &shard->futures[gy__fut_slot(cell->target)];
    GY_ASSERT(gy__future_meant(group, cell));
    group->pins &= (uint8_t)~GY__PIN_CANCELS;
    discard_inputs(shard, group);
    gy__future_try_free(shard, group);
}

/* The outcome is fixed; inputs that have not ended are discarded. */
static void group_decide(struct gy_shard *shard, struct gy__future *group, int res)
{
    gy__future_store(group, res, NULL, 0, NULL);
    discard_inputs(shard, group);
    if (group->run != NULL)
        gy__future_queue(shard, group);
}

/* One more input has ended with res; index: its place. */
static void group_count(struct gy_shard *shard, struct gy__future *group, int res, uint32_t index)
{
    bool last = --group->value.group.missing == 0;
    if (res < 0 && group->value.group.error == 0)
        group->value.group.error = res;
    switch (group->callee) {
    case GY__FUTURE_ALL:
        if (res < 0 || last)
            group_decide(shard, group, res < 0 ? res : 0);
        break;
    case GY__FUTURE_ANY:
        if (res >= 0 || last)
            group_decide(shard, group, res >= 0 ? (int)index : group->value.group.error);
        break;
    default:
        if (last)
            group_decide(shard, group, 0);
        break;
    }
}

void gy__group_notify(struct gy_shard *shard, struct gy__future *input)
{
    struct gy__future *group = &shard->futures[group_of(input)];
    if (group->state == GY__FUTURE_PENDING)
        group_count(shard, group, input->res, index_of(input));
}

void gy__group_release(struct gy_shard *shard, struct gy__future *group)
{
    uint32_t slot = group->value.group.first;
    group->value.group.first = 0;
    while (slot != 0) {
        struct gy__future *input = &shard->futures[slot];
        slot = next_input(input);
        input->pins &= (uint8_t)~GY__PIN_GROUP;
        if (input->state == GY__FUTURE_GONE) {
            gy__future_try_free(shard, input);
            continue;
        }
        if (input->state == GY__FUTURE_PENDING)
            gy__future_tell(shard, input);
        input->taken = group->taken && group->res >= 0 &&
                       (group->callee != GY__FUTURE_ANY || index_of(input) == (uint32_t)group->res);
        gy__future_gone_later(shard, input);
    }
}

/* Why a future cannot be an input of the group, 0 if it can (or is one already: -EBUSY). */
static int link_error(const struct gy__future *group, const struct gy__future *input, gy_fut fut)
{
    if (gy_refused(fut) < 0)
        return gy_refused(fut);
    if (input == NULL || input->owner != group->owner)
        return -EINVAL;
    return input->run != NULL ? -EBUSY : 0;
}

static void group_link(struct gy_shard *shard, struct gy__future *group, struct gy__future *input,
                       uint32_t index)
{
    input->run = gy__group_input;
    input->ctx = input_ctx(gy__future_slot(shard, group), group->value.group.first, index);
    input->pins |= GY__PIN_GROUP;
    group->value.group.first = gy__future_slot(shard, input);
}

static void discard_all(const gy_fut *futs, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        gy_discard(futs[i]);
}

static gy_fut group_make(const gy_fut *futs, unsigned n, enum gy__future_kind kind)
{
    struct gy_shard *shard = gy__here("gy_all, gy_any or gy_settle");
    struct gy__future *group = gy__future_take(shard, shard->context.actor, kind);
    if (group == NULL) {
        discard_all(futs, n);
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return gy__fut_refused(-EAGAIN);
    }
    group->pins = 0;
    group->value.group.first = 0;
    group->value.group.missing = n + 1;
    group->value.group.error = 0;
    /* Linked first and counted then, so that the first decision finds all inputs to discard. */
    for (unsigned i = 0; i < n; i++) {
        struct gy__future *input = gy__future_find(shard, futs[i]);
        if (link_error(group, input, futs[i]) == 0)
            group_link(shard, group, input, i);
    }
    for (unsigned i = 0; i < n && group->state == GY__FUTURE_PENDING; i++) {
        struct gy__future *input = gy__future_find(shard, futs[i]);
        bool linked = input != NULL && input->run == gy__group_input &&
                      &shard->futures[group_of(input)] == group && index_of(input) == i;
        if (!linked)
            group_count(shard, group, link_error(group, input, futs[i]), i);
        else if (input->state == GY__FUTURE_DONE)
            group_count(shard, group, input->res, i);
    }
    /* The one counted too many at first kept a group of ended inputs from deciding half-way. */
    if (group->state == GY__FUTURE_PENDING && --group->value.group.missing == 0)
        group_decide(shard, group,
                     kind != GY__FUTURE_ANY ? 0 : n == 0 ? -EINVAL : group->value.group.error);
    return (gy_fut){ group->bits };
}

gy_fut gy_all(const gy_fut *futs, unsigned n)
{
    return group_make(futs, n, GY__FUTURE_ALL);
}

gy_fut gy_any(const gy_fut *futs, unsigned n)
{
    return group_make(futs, n, GY__FUTURE_ANY);
}

gy_fut gy_settle(const gy_fut *futs, unsigned n)
{
    return group_make(futs, n, GY__FUTURE_SETTLE);
}

int gy_value_raw(gy_fut fut, void *out, size_t size)
{
    int refused = gy_refused(fut);
    struct gy__future *future = gy__future_find(gy__here(__func__), fut);
    if (refused < 0)
        return refused;
    if (future == NULL)
        return -EINVAL;
    if (future->state == GY__FUTURE_PENDING)
        return -EAGAIN;
    if (future->res < 0 || out == NULL)
        return future->res;
    if (size != future->size)
        return -EINVAL;
    memcpy(out, future->value.word, size);
    return future->res;
}

struct gy_buf *gy_value_buf(gy_fut fut)
{
    struct gy__future *future = gy__future_find(gy__here(__func__), fut);
    if (future == NULL || future->state != GY__FUTURE_DONE || !future->has_buf)
        return NULL;
    future->has_buf = false;
    return future->value.with.buf;
}

/* ---- pairs ---- */

static inline gy_fut pair_of(struct gy__future *future, gy_promise *out)
{
    future->all = gy__future_all(GY__FUTURE_PENDING, GY__PIN_ANSWER_DUE | GY__PIN_OPEN);
    *out = (gy_promise){ future->bits };
    return (gy_fut){ future->bits };
}

/* No slot that was used before is free. */
static __attribute__((noinline)) gy_fut pair_slow(struct gy_shard *shard, struct gy_actor *self,
                                                  gy_promise *out)
{
    struct gy__future *future = gy__future_take(shard, self, GY__FUTURE_PAIR);
    if (future == NULL) {
        *out = (gy_promise){ 0 };
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return gy__fut_refused(-EAGAIN);
    }
    return pair_of(future, out);
}

gy_fut gy_pair(struct gy_actor *self, gy_promise *out)
{
    struct gy_shard *shard = gy__here(__func__);
    if (__builtin_expect(shard->futures_free == 0, 0))
        return pair_slow(shard, self, out);
    return pair_of(gy__future_take_free(shard, self, GY__FUTURE_PAIR), out);
}

/* ---- chains ---- */

static void chain_run(struct gy_actor *self, const struct gy_done *done);

/* Wait for fut, with chain_run as its consumer; what goes wrong comes by a cell as well. */
static void chain_wait(struct gy_shard *shard, struct gy_actor *self, struct gy__future *chain,
                       gy_fut fut)
{
    uint64_t bits = chain->bits;
    chain->value.chain.input = fut.bits;
    int err = gy_then_raw(self, fut, chain_run, bits);
    if (err < 0) {
        chain->value.chain.input = 0;
        chain->pins |= GY__PIN_ANSWER_DUE;
        gy__answer(shard, bits, err, NULL, 0, NULL);
    }
}

static struct gy__future *chain_take(struct gy_shard *shard, struct gy_actor *self, gy_fut fut,
                                     enum gy__future_kind kind)
{
    struct gy__future *chain = gy__future_take(shard, self, kind);
    if (chain == NULL) {
        gy_discard(fut);
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return NULL;
    }
    chain->pins = 0;
    return chain;
}

gy_fut gy_chain_raw(struct gy_actor *self, gy_fut fut, enum gy_chain_when when,
                    void (*run)(struct gy_actor *self, const struct gy_done *done, gy_promise out),
                    uint64_t ctx)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__future *chain = chain_take(shard, self, fut, GY__FUTURE_CHAIN);
    if (chain == NULL)
        return gy__fut_refused(-EAGAIN);
    chain->value.chain.u.run = run;
    chain->value.chain.ctx = ctx;
    chain->when = (uint8_t)when;
    chain_wait(shard, self, chain, fut);
    return (gy_fut){ chain->bits };
}

gy_fut gy_undiscardable(struct gy_actor *self, gy_fut fut)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__future *chain = chain_take(shard, self, fut, GY__FUTURE_SHIELD);
    if (chain == NULL)
        return gy__fut_refused(-EAGAIN);
    chain_wait(shard, self, chain, fut);
    return (gy_fut){ chain->bits };
}

gy_fut gy_loop_raw(struct gy_actor *self, gy_fut (*next)(struct gy_actor *self, uint64_t ctx),
                   int (*body)(struct gy_actor *self, uint64_t ctx, const struct gy_done *done),
                   uint64_t ctx)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__future *chain = chain_take(shard, self, (gy_fut){ 0 }, GY__FUTURE_LOOP);
    if (chain == NULL)
        return gy__fut_refused(-EAGAIN);
    uint64_t bits = chain->bits;
    chain->value.chain.u.next = next;
    chain->value.chain.body = body;
    chain->value.chain.ctx = ctx;
    chain->value.chain.input = 0;
    /* next() is the caller's code and may end this very loop. */
    gy_fut fut = next(self, ctx);
    chain = gy__future_find(shard, (gy_fut){ bits });
    if (chain != NULL)
        chain_wait(shard, self, chain, fut);
    else
        gy_discard(fut);
    return (gy_fut){ bits };
}

bool gy__future_is_input(const struct gy__future *future)
{
    return future->run == gy__group_input || future->run == chain_run ||
           gy__flow_awaits(future);
}

static bool chain_wants(const struct gy__future *chain, int res)
{
    if (chain->callee == GY__FUTURE_SHIELD)
        return false;
    switch (chain->when) {
    case GY_WHEN_READY:
        return res >= 0;
    case GY_WHEN_FAILED:
        return res < 0 && res != -ECANCELED && res != -EOWNERDEAD;
    case GY_WHEN_NOT_READY:
        return res < 0;
    default:
        return true;
    }
}

/* One round of a loop has ended. */
static void loop_round(struct gy_shard *shard, struct gy_actor *self, struct gy__future *chain,
                       const struct gy_done *done)
{
    uint64_t bits = chain->bits;
    struct gy_done mine = *done;
    mine.ctx = chain->value.chain.ctx;
    int res = chain->value.chain.body(self, mine.ctx, &mine);
    chain = gy__future_find(shard, (gy_fut){ bits });
    if (chain == NULL || chain->state != GY__FUTURE_PENDING)
        return;
    if (res == 1) {
        gy_fut fut = chain->value.chain.u.next(self, mine.ctx);
        chain = gy__future_find(shard, (gy_fut){ bits });
        if (chain != NULL && chain->state == GY__FUTURE_PENDING)
            chain_wait(shard, self, chain, fut);
        else
            gy_discard(fut);
        return;
    }
    chain->pins |= GY__PIN_ANSWER_DUE;
    gy__answer(shard, bits, res, NULL, 0, NULL);
}

static struct gy__future *chain_find(struct gy_shard *shard, uint64_t bits)
{
    struct gy__future *chain = gy__future_find(shard, (gy_fut){ bits });
    return chain != NULL && chain->state == GY__FUTURE_PENDING ? chain : NULL;
}

bool gy__chain_shows(struct gy_shard *shard, const struct gy__future *future, int res)
{
    if (future->run != chain_run)
        return true;
    const struct gy__future *chain = chain_find(shard, future->ctx);
    return chain != NULL && (chain->callee == GY__FUTURE_LOOP || chain_wants(chain, res));
}

/* The chain takes over the inputs of a group that is ready, and so is one itself. */
static void group_hand_over(struct gy_shard *shard, struct gy__future *from, struct gy__future *to)
{
    uint32_t slot = from->value.group.first;
    to->callee = from->callee;
    to->value.group = from->value.group;
    from->value.group.first = 0;
    while (slot != 0) {
        struct gy__future *input = &shard->futures[slot];
        slot = next_input(input);
        input->ctx = input_ctx(gy__future_slot(shard, to), slot, index_of(input));
    }
    group_decide(shard, to, from->res);
}

/* The chain ends as its input has. With what was given to the input, and nobody has seen, the chain is
 * from here on what its input was: done, to be taken or to be given back. Otherwise a cell brings
 * the outcome. */
static void chain_pass(struct gy_shard *shard, struct gy__future *chain, uint64_t input,
                       const struct gy_done *done)
{
    struct gy__future *from = done->res < 0 ? NULL : gy__future_find(shard, (gy_fut){ input });
    if (from != NULL && from->callee == GY__FUTURE_WAIT && from->value.wait.line != NULL) {
        gy__wait_hand_over(shard, from, chain);
    } else if (from != NULL && gy__future_is_group(from)) {
        group_hand_over(shard, from, chain);
    } else if (from != NULL && from->callee == GY__FUTURE_OP &&
               gy__opfut_hand_over(shard, from, chain)) {
        gy__future_store(chain, done->res, done->value, done->size, done->buf);
        gy__future_ended(shard, chain);
    } else {
        chain->pins |= GY__PIN_ANSWER_DUE;
        gy__answer(shard, chain->bits, done->res, done->value, done->size,
                   done->buf);
    }
}

static void chain_run(struct gy_actor *self, const struct gy_done *done)
{
    struct gy_shard *shard = gy__self();
    uint64_t bits = done->ctx;
    struct gy__future *chain = chain_find(shard, bits);
    if (chain == NULL) {
        gy_buf_release(done->buf);
        return;
    }
    uint64_t input = chain->value.chain.input;
    chain->value.chain.input = 0;
    if (chain->callee == GY__FUTURE_LOOP) {
        loop_round(shard, self, chain, done);
        return;
    }
    if (!chain_wants(chain, done->res)) {
        chain_pass(shard, chain, input, done);
        return;
    }
    chain->pins |= GY__PIN_ANSWER_DUE;
    struct gy_done mine = *done;
    mine.ctx = chain->value.chain.ctx;
    void (*run)(struct gy_actor *, const struct gy_done *, gy_promise) = chain->value.chain.u.run;
    shard->context.promise = bits;
    run(self, &mine, (gy_promise){ bits });
    if (shard->context.promise != 0)
        gy__abandon(shard);
}
