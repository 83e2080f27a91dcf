/* A listener: one socket of one actor on one shard, from gy_listen to its last stream.
 *
 * Like a stream it is driven by level: calls and completions set its state or let an operation end,
 * and the step submits what is missing. Accepting ends for three reasons that pass (streams_max are
 * open, the system has no descriptors, the kernel ended the multishot) and for good when it is
 * closed; every completion without MORE goes through accept_ended, which tells them apart, so that
 * nothing is armed again at once that failed at once.
 *
 * Its memory is reused when its socket is closed and its last stream has ended.
 *
 * One that comes to an address of which this shard is still closing the socket, as the actor that a
 * supervisor starts again does, waits until that has closed: before, the system would refuse it. */
#include "core/streams.h"
#include "core/text.h"

#include <errno.h>
#include <string.h>

#define SAID_WRONG 65536 /* in the place of a port: what was said is that it is no address */
#define TAKE_OVER_NS ((uint64_t)GY_S)
#define RETRY_NS (UINT64_C(10) * 1000 * 1000) /* after an accept that the system refused */

/* ---- telling the owner of the drain ---- */

static void drain_tell(struct gy_shard *shard, struct gy__listener *listener)
{
    struct gy__streams *streams = shard->streams;
    struct gy_actor *owner = listener->owner;

    if (owner != NULL && listener->events->drain != NULL) {
        if (listener->told)
            return;
        listener->told = true;
        struct gy__context saved = gy__actor_enter(shard, owner);
        listener->events->drain(owner);
        gy__actor_leave(shard, saved);
    } else {
        for (uint32_t i = 1; i < streams->pool_used; i++) {
            struct gy_stream *s = gy__stream_at(streams, i);
            if (s->state != GY__STREAM_FREE && s->listener == listener)
                gy__stream_close(shard, s);
        }
    }
}

static void drain_end(struct gy_shard *shard, struct gy__listener *listener)
{
    listener->holds = false;
    drain_tell(shard, listener);
    gy__drain_release(shard);
}

void gy__listener_accepted(struct gy_shard *shard, struct gy__listener *listener, int32_t handle)
{
    gy__stream_accepted(shard, listener, handle);
    /* It comes behind the others, which have been told; or the drain would wait for it to end by itself. */
    if (shard->phase >= GY__PHASE_DRAIN && !listener->holds)
        drain_tell(shard, listener);
}

/* ---- the step ---- */

static void count_open(struct gy_shard *shard, const struct gy__listener *listener, uint64_t add)
{
    gy__stream_count(shard, GY__COUNT_LISTENERS, add);
    if (listener->group != 0)
        gy__stream_count(shard, GY__COUNT_LISTENERS_ONE, add);
}

/* Who has waited for this shard's socket at the address to close need not any more. */
static void step_recorded(struct gy_shard *shard)
{
    struct gy__streams *streams = shard->streams;

    for (uint32_t i = 0; i < streams->listeners_used; i++)
        if (streams->listeners[i].state == GY__LISTENER_RECORDED)
            gy__listener_step(shard, &streams->listeners[i]);
}

/* Is one of this shard's at the same address still at its end? */
static bool predecessor_ends(const struct gy_shard *shard, const struct gy__listener *listener)
{
    const struct gy__streams *streams = shard->streams;

    for (uint32_t i = 0; i < streams->listeners_used; i++)
        if (gy__listener_ends(&streams->listeners[i]) &&
            strcmp(streams->listeners[i].addr, listener->addr) == 0)
            return true;
    return false;
}

static void closed(struct gy_shard *shard, struct gy__listener *listener)
{
    if (listener->handle >= 0)
        count_open(shard, listener, UINT64_MAX);
    listener->state = GY__LISTENER_CLOSED;
    listener->handle = -1;
    gy__handover_closed(shard, listener);
    gy__timer_cancel(&shard->wheel, &listener->retry);
    if (listener->holds)
        drain_end(shard, listener);
    gy__listener_step(shard, listener);
    step_recorded(shard);
}

static void submit(struct gy_shard *shard, struct gy__listener *listener, enum gy_op_kind kind)
{
    listener->op.kind = (uint8_t)kind;
    listener->op.handle = listener->handle;
    gy__op_submit(shard, &listener->op);
}

static void accept(struct gy_shard *shard, struct gy__listener *listener)
{
    gy__timer_cancel(&shard->wheel, &listener->retry);
    listener->accept.handle = listener->handle;
    gy__op_submit(shard, &listener->accept);
}

static bool full(struct gy_shard *shard, const struct gy__listener *listener)
{
    uint32_t max = listener->options.streams_max;
    if (listener->group != 0)
        return !gy__handover_has_room(shard, listener);
    return (max != 0 && listener->streams >= max) || gy__streams_full(shard);
}

static void step_open(struct gy_shard *shard, struct gy__listener *listener)
{
    if (full(shard, listener)) {
        shard->streams->accept_paused = true;
        if (listener->accept.in_flight && !listener->accept.canceled)
            gy__stream_count(shard, GY__COUNT_ACCEPT_PAUSED, 1);
        gy__op_cancel(shard, &listener->accept);
        if (listener->group != 0 && !gy__timer_armed(&listener->retry)) {
            listener->waits_room = true;
            gy__timer_arm(&shard->wheel, &listener->retry, shard->now_ns + RETRY_NS);
        }
        return;
    }
    if (listener->waits_room) {
        listener->waits_room = false;
        gy__timer_cancel(&shard->wheel, &listener->retry);
    }
    if (!listener->accept.in_flight && !gy__timer_armed(&listener->retry))
        accept(shard, listener);
}

static void open_socket(struct gy_shard *shard, struct gy__listener *listener)
{
    listener->state = GY__LISTENER_OPENING;
    listener->op.u.listen.addr = listener->addr;
    listener->op.u.listen.backlog = (uint16_t)(
        listener->options.backlog > UINT16_MAX ? UINT16_MAX : listener->options.backlog);
    listener->op.u.listen.port = 0;
    listener->op.u.listen.keep_alive_s = listener->options.keep_alive_s;
    listener->op.u.listen.delay_sends = listener->options.delay_sends;
    submit(shard, listener, GY_OP_LISTEN);
}

/* What the kernel has queued arrives as completions of the accept operation: it must be armed. */
static void step_unlisten(struct gy_shard *shard, struct gy__listener *listener)
{
    if (listener->handle < 0) { /* it was to take over, and could not */
        closed(shard, listener);
        return;
    }
    if (listener->accept.in_flight && listener->accept.canceled)
        return;
    if (!listener->accept.in_flight)
        accept(shard, listener);
    listener->op.u.unlisten.accept = &listener->accept;
    listener->state = GY__LISTENER_DRAINS;
    submit(shard, listener, GY_OP_UNLISTEN);
}

static void step_closing(struct gy_shard *shard, struct gy__listener *listener)
{
    gy__op_cancel(shard, &listener->accept);
    if (listener->accept.in_flight)
        return;
    if (listener->handle < 0) {
        closed(shard, listener);
        return;
    }
    listener->state = GY__LISTENER_CLOSE;
    submit(shard, listener, GY_OP_CLOSE);
}

void gy__listener_step(struct gy_shard *shard, struct gy__listener *listener)
{
    if (listener->op.in_flight)
        return;
    switch (listener->state) {
    case GY__LISTENER_RECORDED:
        if (!shard->streams->started || predecessor_ends(shard, listener))
            break;
        gy__handover_join(shard, listener);
        if (gy__handover_is_member(shard, listener)) {
            listener->state = GY__LISTENER_MEMBER;
            gy__runtime_pending(shard->runtime, -1);
            break;
        }
        open_socket(shard, listener);
        break;
    case GY__LISTENER_OPENING: /* it takes over, and could not yet */
        if (!gy__timer_armed(&listener->retry))
            open_socket(shard, listener);
        break;
    case GY__LISTENER_OPEN:
        step_open(shard, listener);
        break;
    case GY__LISTENER_UNLISTEN:
        step_unlisten(shard, listener);
        break;
    case GY__LISTENER_CLOSING:
        step_closing(shard, listener);
        break;
    case GY__LISTENER_CLOSED:
        gy__op_cancel(shard, &listener->accept);
        if (listener->streams == 0 && !listener->accept.in_flight) {
            listener->state = GY__LISTENER_FREE;
            listener->owner = NULL;
        }
        break;
    default:
        break;
    }
}

/* ---- completions ---- */

/* One line per address, from whichever shard is first. */
static bool say_first(struct gy_runtime *runtime, const char *host, size_t len, unsigned port)
{
    const unsigned count = sizeof(runtime->listening_said) / sizeof(runtime->listening_said[0]);
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)host[i]) * UINT64_C(1099511628211);
    hash = (hash ^ port) * UINT64_C(1099511628211) | 1;
    for (unsigned i = 0; i < count; i++) {
        uint64_t said = 0;
        /* relaxed: the word is all that is told. */
        if (atomic_compare_exchange_strong_explicit(&runtime->listening_said[i], &said, hash,
                                                    memory_order_relaxed, memory_order_relaxed))
            return true;
        if (said == hash)
            return false;
    }
    return true;
}

static void say_listening(struct gy_runtime *runtime, const struct gy__listener *listener)
{
    const char *addr = listener->addr;
    bool has_port = !gy__address_is_unix(addr) && !gy__address_is_fd(addr);
    size_t host = !has_port ? strlen(addr) : (size_t)(strrchr(addr, ':') - addr);

    if (!say_first(runtime, addr, host, listener->port))
        return;
    if (!has_port)
        gy_log("listening on %s", addr);
    else
        gy_log("listening on %.*s:%u", (int)host, addr, (unsigned)listener->port);
}

/* -> text */
static const char *cause_of(char *text, size_t size, int err)
{
    struct gy__text cause;

    gy__text_init(&cause, text, size);
    gy__cause_write(&cause, err);
    return text;
}

static void opened(struct gy_shard *shard, struct gy__listener *listener, int32_t res)
{
    bool takes_over = listener->succeeds != 0;

    if (res < 0 && takes_over) {
        /* Who had accepted goes on until this can. */
        char cause[64];
        gy_log("listen %s: %s; is tried again", listener->addr, cause_of(cause, sizeof(cause), res));
        gy__timer_arm(&shard->wheel, &listener->retry, shard->now_ns + TAKE_OVER_NS);
    } else if (res < 0) {
        gy__runtime_fail(shard->runtime, res, "listen", listener->addr);
        listener->state = GY__LISTENER_CLOSING;
    } else {
        listener->handle = res;
        listener->port = listener->op.u.listen.port;
        count_open(shard, listener, 1);
        gy__handover_port(shard, listener);
        say_listening(shard->runtime, listener);
        if (listener->state == GY__LISTENER_OPENING)
            listener->state = GY__LISTENER_OPEN;
        gy__handover_taken(shard, listener);
    }
    if (!takes_over)
        gy__runtime_pending(shard->runtime, -1);
}

static void op_done(struct gy_op *op, const struct gy_completion *completion)
{
    struct gy__listener *listener = GY__CONTAINER(op, struct gy__listener, op);
    struct gy_shard *shard = gy__self();

    GY_ASSERT((completion->flags & GY_COMPLETION_MORE) == 0);
    if (op->kind == GY_OP_LISTEN) {
        opened(shard, listener, completion->res);
        gy__listener_step(shard, listener);
    } else {
        closed(shard, listener);
    }
}

static GY__COLD void accept_ended(struct gy_shard *shard, struct gy__listener *listener, int32_t res)
{
    switch (res) {
    case -EINVAL:
    case -EBADF:
    case -ENOTSOCK:
    case -EOPNOTSUPP:
        if (listener->state == GY__LISTENER_OPEN) {
            char cause[64];
            gy_log("accepting on %s has ended: %s", listener->addr, cause_of(cause, sizeof(cause), res));
            listener->state = GY__LISTENER_CLOSING;
        }
        break;
    case -ECONNABORTED:
    case -EINTR:
        break;
    case -ECANCELED:
        if (listener->accept.canceled)
            break;
        /* fall through */
    default:
        if (res < 0)
            gy__timer_arm(&shard->wheel, &listener->retry, shard->now_ns + RETRY_NS);
        break;
    }
}

/* It has ended, or failed. */
static GY__COLD void accept_failed(struct gy_shard *shard, struct gy__listener *listener,
                                   const struct gy_completion *completion)
{
    if (completion->res < 0 && completion->res != -ECANCELED)
        gy__stream_count(shard, GY__COUNT_ACCEPT_FAILED, 1);
    if ((completion->flags & GY_COMPLETION_MORE) == 0)
        accept_ended(shard, listener, completion->res);
    else if (listener->holds)
        drain_tell(shard, listener); /* what is queued waits until connections end: they must know */
    gy__listener_step(shard, listener);
}

static void accept_done(struct gy_op *op, const struct gy_completion *completion)
{
    struct gy__listener *listener = GY__CONTAINER(op, struct gy__listener, accept);
    struct gy_shard *shard = gy__self();

    if (completion->res >= 0)
        gy__handover_accepted(shard, listener, completion->res);
    if (completion->res < 0 || !(completion->flags & GY_COMPLETION_MORE))
        accept_failed(shard, listener, completion);
    else if (!gy__listener_accepts(shard, listener))
        gy__listener_step(shard, listener);
}

static void retry_fire(struct gy__timer *timer)
{
    gy__listener_step(gy__self(), GY__CONTAINER(timer, struct gy__listener, retry));
}

/* ---- ending ---- */

void gy__listener_unlisten(struct gy_shard *shard, struct gy__listener *listener)
{
    switch (listener->state) {
    case GY__LISTENER_RECORDED:
        gy__runtime_pending(shard->runtime, -1);
        closed(shard, listener);
        return;
    case GY__LISTENER_MEMBER:
        listener->state = GY__LISTENER_LEAVES;
        gy__handover_leave(shard, listener);
        return;
    case GY__LISTENER_OPENING:
    case GY__LISTENER_OPEN:
        if (gy__handover_succeed(shard, listener))
            break;
        listener->state = GY__LISTENER_UNLISTEN;
        break;
    default:
        break;
    }
    gy__listener_step(shard, listener);
}

void gy__listener_take_over(struct gy_shard *shard, struct gy__listener *listener)
{
    open_socket(shard, listener);
}

void gy__listener_succeeded(struct gy_shard *shard, struct gy__listener *listener)
{
    if (listener->state == GY__LISTENER_OPENING || listener->state == GY__LISTENER_OPEN)
        listener->state = GY__LISTENER_UNLISTEN;
    gy__listener_step(shard, listener);
}

void gy__listener_ended(struct gy_shard *shard, struct gy__listener *listener)
{
    if (!listener->joined || !gy__handover_left(shard, listener))
        return; /* it was for one that was here before */
    if (listener->state == GY__LISTENER_LEAVES ? !listener->asked :
        listener->state == GY__LISTENER_MEMBER && shard->phase >= GY__PHASE_DRAIN) {
        closed(shard, listener);
        return;
    }
    if (gy__listener_ends(listener))
        return;
    listener->joined = false;
    gy__handover_join(shard, listener);
    if (listener->state != GY__LISTENER_MEMBER)
        return; /* it accepts already: it had joined while the one before was ending the group */
    /* Who accepted has closed: it joins anew, and accepts if nobody does. */
    listener->state = GY__LISTENER_RECORDED;
    gy__runtime_pending(shard->runtime, 1);
    gy__listener_step(shard, listener);
}

void gy__listener_left(struct gy_shard *shard, struct gy__listener *listener)
{
    if (listener->state == GY__LISTENER_LEAVES && listener->asked)
        closed(shard, listener);
}

void gy__listener_close(struct gy_shard *shard, struct gy__listener *listener)
{
    switch (listener->state) {
    case GY__LISTENER_LEAVES:
        if (shard->phase < GY__PHASE_STOP)
            return; /* until it is answered: or it would be taken for its successor's word */
        /* fall through */
    case GY__LISTENER_MEMBER:
        closed(shard, listener);
        return;
    case GY__LISTENER_RECORDED:
        gy__runtime_pending(shard->runtime, -1);
        closed(shard, listener);
        return;
    case GY__LISTENER_OPENING:
    case GY__LISTENER_OPEN:
        if (gy__handover_succeed(shard, listener))
            break;
        listener->state = GY__LISTENER_CLOSING;
        break;
    case GY__LISTENER_UNLISTEN:
        if (listener->leaves && shard->phase < GY__PHASE_STOP)
            break; /* what is queued is for others */
        listener->state = GY__LISTENER_CLOSING;
        break;
    case GY__LISTENER_DRAINS:
        if (listener->leaves && shard->phase < GY__PHASE_STOP)
            break;
        gy__op_cancel(shard, &listener->op); /* closes nevertheless */
        break;
    default:
        break;
    }
    gy__listener_step(shard, listener);
}

void gy__listener_drain(struct gy_shard *shard, struct gy__listener *listener)
{
    if (listener->state == GY__LISTENER_FREE || listener->holds)
        return;
    listener->holds = true;
    gy__drain_hold(shard);
    if (listener->state == GY__LISTENER_CLOSED)
        drain_end(shard, listener);
    else
        gy__listener_unlisten(shard, listener);
}

/* ---- the owner's functions ---- */

static void options_fill(struct gy_listen_options *out, const struct gy_listen_options *options)
{
    const struct gy_listen_options defaults = GY_LISTEN_OPTIONS_INIT;

    *out = defaults;
    if (options != NULL)
        memcpy(out, options, options->size < sizeof(*out) ? options->size : sizeof(*out));
    gy__stream_limits(out->high_water, &out->low_water, &out->held_max);
}

static bool accepts_for_all(const struct gy_shard *shard, const struct gy_listen_options *options)
{
    return options->accept == GY_LISTEN_ONE ||
           (options->accept == GY_LISTEN_AS_CONFIGURED &&
            shard->runtime->config.accept == GY_ACCEPT_ONE);
}

int gy_listen_raw(struct gy_actor *self, const char *addr, const struct gy_stream_events *events,
                  const struct gy_listen_options *options)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__streams *streams = shard->streams;
    struct gy__listener *listener = streams->listeners;
    const char *wrong = gy__address_wrong_to_listen(addr);

    if (wrong != NULL) {
        const char *name = addr != NULL ? addr : "(null)";
        if (say_first(shard->runtime, name, strlen(name), SAID_WRONG))
            gy__complain("listen %s: %s", name, wrong);
        return -EINVAL;
    }
    if (events == NULL || events->data == NULL || events->closed == NULL)
        return -EINVAL;
    if (shard->phase >= GY__PHASE_DRAIN)
        return -ECANCELED;
    while (listener < &streams->listeners[streams->listeners_used] &&
           listener->state != GY__LISTENER_FREE)
        listener++;
    if (listener == &streams->listeners[GY__LISTENERS_MAX])
        return -EAGAIN;
    if (listener == &streams->listeners[streams->listeners_used])
        streams->listeners_used++;
    *listener = (struct gy__listener){
        .owner = self,
        .events = events,
        .op.done = op_done,
        .accept = {.done = accept_done, .kind = GY_OP_ACCEPT},
        .retry.fire = retry_fire,
        .handle = -1,
        .state = GY__LISTENER_RECORDED,
    };
    /* There is no list of an actor's listeners: its end looks for them if it has any of these. */
    self->gy__flags |= GY__ACTOR_MORE;
    options_fill(&listener->options, options);
    memcpy(listener->addr, addr, strlen(addr) + 1);
    if (accepts_for_all(shard, &listener->options)) {
        int err = gy__handover_enter(shard, listener);
        if (err < 0) {
            listener->state = GY__LISTENER_FREE;
            return err;
        }
        if (!predecessor_ends(shard, listener))
            gy__handover_join(shard, listener);
    }
    gy__runtime_pending(shard->runtime, 1);
    gy__listener_step(shard, listener);
    return 0;
}

void gy_unlisten(struct gy_actor *self)
{
    struct gy_shard *shard = gy__here(__func__);

    for (uint32_t i = 0; i < shard->streams->listeners_used; i++)
        if (shard->streams->listeners[i].owner == self)
            gy__listener_unlisten(shard, &shard->streams->listeners[i]);
}

unsigned gy_listen_port(const struct gy_actor *self)
{
    struct gy_shard *shard = gy__here(__func__);
    const struct gy__streams *streams = shard->streams;

    for (uint32_t i = 0; i < streams->listeners_used; i++) {
        const struct gy__listener *listener = &streams->listeners[i];
        if (listener->owner == self && listener->handle >= 0)
            return listener->port;
        if (listener->owner == self && listener->state == GY__LISTENER_MEMBER)
            return gy__handover_port_of(shard, listener);
    }
    return 0;
}
