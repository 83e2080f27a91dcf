/* core/control.c - the runtime's own messages: stop, spawn elsewhere, discard, and what continues
 * later on this shard. They travel in cells like everything else, so order holds for them too.
 *
 * Local control cells always have room: the queue was sized at boot for every future's answer and
 * continuation on top of what casts and calls may fill. */
#include "core/ask.h"
#include "core/future.h"
#include "core/kernel.h"
#include "core/links.h"
#include "core/names.h"
#include "core/streams.h"

#include <errno.h>
#include <string.h>

static void control_unused(struct gy_actor *self, const void *payload, struct gy_buf *buf,
                           gy_promise promise)
{
    (void)self, (void)payload, (void)buf, (void)promise;
}

#define CONTROL(NAME, EXTRA)                                                                       \
    const struct gy_verb gy__verb_##NAME = { "gyre." #NAME, &gy__nobody_type, control_unused,      \
                                             GY_MSG_INLINE, GY_VERB_CONTROL | (EXTRA) }
CONTROL(answer, 0);
CONTROL(answer_buf, GY_VERB_BUF);
CONTROL(continue, 0);
CONTROL(refused, 0);
CONTROL(stop, 0);
CONTROL(stop_now, 0);
CONTROL(stop_queued, 0);
CONTROL(spawn, GY_VERB_CALL);
CONTROL(discard, 0);
CONTROL(buf_home, GY_VERB_BUF);
CONTROL(unstash, 0);
CONTROL(nothing, 0);
CONTROL(monitor, 0);
CONTROL(demonitor, 0);
CONTROL(link, 0);
CONTROL(unlink, 0);
CONTROL(exited, 0);
CONTROL(ask_end, GY_VERB_CALL);
CONTROL(cancel_inputs, 0);
CONTROL(name_low, 0);
CONTROL(name_high, 0);
CONTROL(name_register, GY_VERB_CALL);
CONTROL(name_named, 0);
CONTROL(name_gone, 0);
CONTROL(flow, 0);
CONTROL(handover, 0);

struct gy_cell *gy__control_local(struct gy_shard *shard, const struct gy_verb *verb,
                                  uint64_t target)
{
    struct gy_cell *cell = gy__fifo_push(&shard->fifo);
    GY_ASSERT(cell != NULL);
    cell->target = target;
    cell->verb = verb;
    cell->from.sender = shard->context.actor->pid.bits;
    cell->fut = 0;
    return cell;
}

/* ---- stop ---- */

static void stop_queued(struct gy_shard *shard, struct gy_cell *cell)
{
    struct gy_actor *actor = gy__actor_find(shard, cell->target);
    if (actor == NULL)
        return;
    /* In order means behind what is stashed. */
    if (actor->gy__flags & GY__ACTOR_STASHES && !(actor->gy__flags & GY__ACTOR_DROPS) &&
        gy__stash_push(shard, actor, cell)) {
        /* A stop that comes now, and not in order, must find its own way. */
        actor->gy__flags &= (uint16_t)~GY__ACTOR_STOP_QUEUED;
        return;
    }
    gy__actor_finish(shard, actor, (int)cell->payload.word[0]);
}

/* Queue the end of an actor behind what was sent to it on this shard; one at most per actor. */
static int stop_queue(struct gy_shard *shard, struct gy_actor *actor, int why, bool now)
{
    if (!(actor->gy__flags & GY__ACTOR_STOP_QUEUED) && !gy__fifo_control_room(&shard->fifo)) {
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return -EAGAIN;
    }
    if (now)
        actor->gy__flags |= GY__ACTOR_DROPS;
    if (actor->gy__flags & GY__ACTOR_STOP_QUEUED)
        return 0;
    actor->gy__flags |= GY__ACTOR_STOP_QUEUED;
    gy__control_local(shard, &gy__verb_stop_queued, actor->pid.bits)->payload.word[0] =
        (uint64_t)(int64_t)why;
    return 0;
}

/* A stop that came by ring. What its sender sent before has been run, or waits in the stash; cells
 * that follow in the ring must find the actor ended, so it does not queue behind what others sent. */
static void stop_arrived(struct gy_shard *shard, struct gy_cell *cell, bool now)
{
    struct gy_actor *actor = gy__actor_find(shard, cell->target);
    if (actor == NULL)
        return;
    if (now)
        actor->gy__flags |= GY__ACTOR_DROPS;
    stop_queued(shard, cell);
}

static int stop(gy_pid pid, int why, bool now)
{
    struct gy_shard *shard = gy__here(now ? "gy_actor_stop_now" : "gy_actor_stop");
    uint32_t peer = (uint32_t)(pid.bits >> GY__SHARD_SHIFT);
    if (peer != shard->index) {
        if (peer >= shard->runtime->shard_count)
            return -ESRCH;
        struct gy_cell *cell = gy__mesh_reserve(shard, peer, shard->context.actor->pid.bits);
        if (cell == NULL) {
            gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
            return -EAGAIN;
        }
        cell->verb = now ? &gy__verb_stop_now : &gy__verb_stop;
        cell->from.sender = shard->context.actor->pid.bits;
        cell->fut = 0;
        cell->payload.word[0] = (uint64_t)(int64_t)why;
        gy__mesh_commit(shard, peer, cell, pid.bits);
        return 0;
    }
    struct gy_actor *actor = gy__actor_find(shard, pid.bits);
    if (actor == NULL)
        return -ESRCH;
    if (actor == shard->context.actor) {
        actor->gy__flags |= GY__ACTOR_STOPS;
        actor->gy__why = why;
        return 0;
    }
    return stop_queue(shard, actor, why, now);
}

int gy_actor_stop(gy_pid pid, int why)
{
    return stop(pid, why, false);
}

int gy_actor_stop_now(gy_pid pid, int why)
{
    return stop(pid, why, true);
}

/* ---- spawn on another shard: a call that the runtime answers ---- */

gy_fut gy_spawn_on_raw(unsigned peer, const struct gy_actor_type *type, const void *args)
{
    if (peer >= gy_shards())
        return gy__fut_refused(-ESRCH);
    gy_pid runtime_of = { (uint64_t)peer << GY__SHARD_SHIFT | 1 };
    uint64_t words[GY_MSG_INLINE / 8] = { (uint64_t)(uintptr_t)type };
    if (type->args_size > sizeof(words) - sizeof(words[0]))
        return gy__fut_refused(-EMSGSIZE);
    if (args != NULL)
        memcpy(&words[1], args, type->args_size);
    return gy__call_control(runtime_of, &gy__verb_spawn, words);
}

static void spawn_arrived(struct gy_shard *shard, struct gy_cell *cell)
{
    const struct gy_actor_type *type = (const void *)(uintptr_t)cell->payload.word[0];
    gy_pid pid = { 0 };
    int err = gy__spawn_at(shard, 0, &pid, type, &cell->payload.word[1]);
    gy__answer(shard, cell->fut, err, &pid, err < 0 ? 0 : sizeof(pid), NULL);
}

/* ---- one place that knows them all ---- */

void gy__control_run(struct gy_shard *shard, struct gy_cell *cell)
{
    const struct gy_verb *verb = cell->verb;
    if (__builtin_expect(verb == &gy__verb_answer || verb == &gy__verb_answer_buf, 1))
        gy__future_answer(shard, cell);
    else if (verb == &gy__verb_continue)
        gy__future_continue(shard, cell);
    else if (verb == &gy__verb_flow)
        gy__flow_continue(shard, cell);
    else if (verb == &gy__verb_refused)
        gy__future_refused(shard, cell);
    else if (verb == &gy__verb_unstash)
        gy__stash_continue(shard, cell);
    else if (verb == &gy__verb_stop_queued)
        stop_queued(shard, cell);
    else if (verb == &gy__verb_stop || verb == &gy__verb_stop_now)
        stop_arrived(shard, cell, verb == &gy__verb_stop_now);
    else if (verb == &gy__verb_spawn)
        spawn_arrived(shard, cell);
    else if (verb == &gy__verb_discard)
        gy__kept_discard(shard, cell->target, cell->payload.word[0]);
    else if (verb == &gy__verb_buf_home)
        gy__bufs_home(shard, cell->payload.with.buf);
    else if (verb == &gy__verb_cancel_inputs)
        gy__group_cancel_inputs(shard, cell);
    else if (verb == &gy__verb_handover)
        gy__handover_arrived(shard, cell);
    else if (verb == &gy__verb_ask_end)
        gy__ask_end_arrived(shard, cell);
    else if (verb != &gy__verb_nothing && !gy__names_arrived(shard, cell))
        gy__link_arrived(shard, cell);
}
