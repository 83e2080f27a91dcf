/* Operations in flight, and the completion queue of a shard.
 *
 * An operation is known from submit to its last completion by a record of the driver's. The kernel,
 * which is sockets and listeners, sees it at the next poll; what it completes lies in the queue until
 * a poll tells the core. A cancel is one more event: it may find the operation not begun, waiting,
 * or ended, and so wins or loses as the seed has it.
 *
 * Checked here: an operation is submitted once, is not touched while in flight, what it sends does
 * not change until it has completed, and its last completion is told once. */
#include "core/sim/disk.h"
#include "core/sim/process.h"
#include "core/sim/sim.h"

#include <errno.h>
#include <string.h>

#define REAP_MAX 64
#define CANCEL_NS 3000

static const char *const names[GY_OP_KINDS] = {
    [GY_OP_NONE] = "none",
    [GY_OP_LISTEN] = "listen",
    [GY_OP_ACCEPT] = "accept",
    [GY_OP_RECV] = "recv",
    [GY_OP_RECV_MULTI] = "recv-multi",
    [GY_OP_SEND] = "send",
    [GY_OP_SEND_CLOSE] = "send-close",
    [GY_OP_HALF_CLOSE] = "half-close",
    [GY_OP_CLOSE] = "close",
    [GY_OP_UNLISTEN] = "unlisten",
    [GY_OP_WORK] = "work",
    [GY_OP_RESOLVE] = "resolve",
    [GY_OP_BIND] = "bind",
    [GY_OP_UNBIND] = "unbind",
    [GY_OP_RECV_FROM] = "recv-from",
    [GY_OP_SEND_TO] = "send-to",
    [GY_OP_SOCKET_SET] = "socket-set",
    [GY_OP_SEND_FDS] = "send-fds",
    [GY_OP_RECV_FDS] = "recv-fds",
    [GY_OP_CLOSE_FD] = "close-fd",
    [GY_OP_SEND_FILE] = "send-file",
    [GY_OP_CONNECT] = "connect",
    [GY_OP_OPEN] = "open",
    [GY_OP_CLOSE_FILE] = "close-file",
    [GY_OP_READ] = "read",
    [GY_OP_WRITE] = "write",
    [GY_OP_SYNC] = "sync",
    [GY_OP_TRUNCATE] = "truncate",
    [GY_OP_ALLOCATE] = "allocate",
    [GY_OP_STAT] = "stat",
    [GY_OP_RENAME] = "rename",
    [GY_OP_UNLINK] = "unlink",
    [GY_OP_MKDIR] = "mkdir",
    [GY_OP_LIST] = "list",
    [GY_OP_WATCH] = "watch",
    [GY_OP_PROCESS] = "process",
    [GY_OP_POLL] = "poll",
    [GY_OP_PEEK] = "peek",
    [GY_OP_REDIRECT] = "redirect",
};

const char *gy__flight_name(unsigned kind)
{
    return kind < GY_OP_KINDS ? names[kind] : "?";
}

/* ---- records ---- */

uint64_t gy__flight_digest(const struct gy_op *op, uint64_t *bytes)
{
    bool file = op->kind == GY_OP_WRITE;
    const struct gy_iov *iov = file ? op->u.io.iov : op->u.send.iov;
    uint32_t n = file ? op->u.io.n : op->u.send.n;
    uint64_t digest = n;

    *bytes = 0;
    if (op->kind == GY_OP_SEND_TO) {
        digest = op->u.send_to.n;
        for (uint32_t i = 0; i < op->u.send_to.n; i++)
            digest = gy__digest(digest, op->u.send_to.msgs[i].data, op->u.send_to.msgs[i].len);
        return digest;
    }
    for (uint32_t i = 0; i < n; i++) {
        digest = gy__digest(digest, iov[i].base, iov[i].len);
        *bytes += iov[i].len;
    }
    return digest;
}

static bool sends(const struct gy__flight *flight)
{
    return flight->kind == GY_OP_SEND || flight->kind == GY_OP_SEND_CLOSE ||
           flight->kind == GY_OP_SEND_FDS || flight->kind == GY_OP_WRITE ||
           flight->kind == GY_OP_SEND_TO;
}

static struct gy__flight *flight_new(struct gy__place *place, struct gy_op *op)
{
    struct gy_sim *sim = place->sim;
    struct gy__flight *flight = sim->flights_free;

    if (flight != NULL)
        sim->flights_free = flight->next;
    else
        flight = gy__sim_take(sim, sizeof(*flight));
    *flight = (struct gy__flight){
        .op = op,
        .place = place,
        .prev = place->last,
        .event.fire = gy__flight_later,
        .number = ++sim->flight_number,
        .handle = op->handle,
        .kind = op->kind,
        .state = GY__FLIGHT_SUBMITTED,
    };
    if (place->last != NULL)
        place->last->next = flight;
    else
        place->first = flight;
    place->last = flight;
    place->flights++;
    return flight;
}

static void flight_free(struct gy__flight *flight)
{
    struct gy__place *place = flight->place;

    gy__event_drop(place->sim, &flight->event);
    gy__event_drop(place->sim, &flight->work);
    gy__event_drop(place->sim, &flight->dial);
    gy__files_forget(flight);
    if (flight->prev != NULL)
        flight->prev->next = flight->next;
    else
        place->first = flight->next;
    if (flight->next != NULL)
        flight->next->prev = flight->prev;
    else
        place->last = flight->prev;
    place->flights--;
    flight->op = NULL;
    flight->next = place->sim->flights_free;
    place->sim->flights_free = flight;
}

/* The record of an operation, NULL if it is not in flight here. Records are never freed, so a stale
 * pointer leads to one that says so. */
static struct gy__flight *flight_of(struct gy__place *place, const struct gy_op *op)
{
    struct gy__flight *flight = (struct gy__flight *)(uintptr_t)op->gy__driver[1];

    return flight != NULL && flight->op == op && flight->number == op->gy__driver[0] &&
                   flight->place == place ?
               flight :
               NULL;
}

void gy__flight_drop_all(struct gy__place *place)
{
    while (place->first != NULL) {
        gy__dial_forget(place->first);
        gy__sim_process_orphan(place->first);
        gy__sim_fd_forget(place->first);
        flight_free(place->first);
    }
    place->submitted = place->submitted_last = NULL;
    place->starved = place->starved_last = NULL;
    place->queue_first = place->queue_count = 0;
    gy__blocking_forget(place->host);
}

/* ---- submit, start ---- */

void gy__flight_submit(struct gy__place *place, struct gy_op *op)
{
    struct gy_sim *sim = place->sim;

    GY__SIM_CHECK(sim, op->kind > GY_OP_NONE && op->kind < GY_OP_KINDS && op->done != NULL,
                  "an operation of no known kind was submitted");
    struct gy__flight *flight = flight_new(place, op);
    op->gy__driver[0] = flight->number;
    op->gy__driver[1] = (uint64_t)(uintptr_t)flight;
    if (sends(flight))
        flight->digest = gy__flight_digest(op, &flight->bytes);
    if (place->submitted == NULL)
        place->submitted = flight;
    else
        place->submitted_last->list_next = flight;
    place->submitted_last = flight;
    gy__trace(sim, place, GY__TRACE_SUBMIT, flight->number, op->kind, (uint32_t)op->handle);
}

static void start(struct gy__flight *flight)
{
    flight->state = GY__FLIGHT_ACTIVE;
    switch (flight->kind) {
    case GY_OP_LISTEN:
        gy__listening_open(flight);
        break;
    case GY_OP_ACCEPT:
        gy__listening_accept(flight);
        break;
    case GY_OP_UNLISTEN:
        gy__listening_unlisten(flight);
        break;
    case GY_OP_WORK:
    case GY_OP_PROCESS:
        gy__blocking_start(flight);
        break;
    case GY_OP_POLL:
    case GY_OP_PEEK:
    case GY_OP_REDIRECT:
        gy__sim_fd_start(flight);
        break;
    case GY_OP_CONNECT:
        gy__dial_start(flight);
        break;
    case GY_OP_RESOLVE:
        gy__names_start(flight);
        break;
    default:
        if (gy__files_kind(flight->kind))
            gy__files_start(flight);
        else if (gy__udp_kind(flight->kind))
            gy__udp_start(flight);
        else
            gy__socket_start(flight);
        break;
    }
}

static void start_submitted(struct gy__place *place)
{
    struct gy__flight *flight = place->submitted, *next;

    place->submitted = place->submitted_last = NULL;
    gy__shard_count(place->shard, GY__COUNT_ENTERS, 1);
    for (; flight != NULL; flight = next) {
        next = flight->list_next;
        flight->list_next = NULL;
        gy__shard_count(place->shard, GY__COUNT_SQES, 1);
        /* It may have been cancelled before the kernel saw it. */
        if (flight->state == GY__FLIGHT_SUBMITTED)
            start(flight);
    }
}

/* ---- receive buffers ---- */

static void feed_starved(struct gy__place *place)
{
    struct gy__flight *flight = place->starved, *next;

    for (uint32_t i = 0; i < place->buffers_back_count; i++) {
        place->buffer_state[place->buffers_back[i]] = GY__BUFFER_FREE;
        place->buffers_free[place->buffers_free_count++] = place->buffers_back[i];
    }
    place->buffers_back_count = 0;
    if (flight == NULL || place->buffers_free_count == 0)
        return;
    place->starved = place->starved_last = NULL;
    for (; flight != NULL; flight = next) {
        next = flight->list_next;
        flight->list_next = NULL;
        flight->state = GY__FLIGHT_ACTIVE;
        if (flight->kind == GY_OP_RECV_FROM)
            gy__udp_start(flight);
        else
            gy__socket_feed(flight);
    }
}

void gy__flight_starve(struct gy__flight *flight)
{
    struct gy__place *place = flight->place;

    gy__shard_count(place->shard, GY__COUNT_NO_BUFFER, 1);
    flight->state = GY__FLIGHT_STARVED;
    flight->list_next = NULL;
    if (place->starved == NULL)
        place->starved = flight;
    else
        place->starved_last->list_next = flight;
    place->starved_last = flight;
}

static void unstarve(struct gy__flight *flight)
{
    struct gy__place *place = flight->place;
    struct gy__flight **link = &place->starved, *last = NULL;

    while (*link != flight) {
        last = *link;
        link = &last->list_next;
    }
    *link = flight->list_next;
    if (place->starved_last == flight)
        place->starved_last = last;
}

/* ---- the completion queue ---- */

static struct gy__completed *queue_at(const struct gy__place *place, uint32_t index)
{
    return &place->queue[(place->queue_first + index) & (place->queue_room - 1)];
}

static void queue_grow(struct gy__place *place)
{
    uint32_t room = 0, old = place->queue_room;
    struct gy__completed *grown = 
        gy__sim_grown(place->sim, NULL, &room, old > 0 ? old * 2 : 16, sizeof(*grown));

    for (uint32_t i = 0; i < place->queue_count; i++)
        grown[i] = *queue_at(place, i);
    gy__sim_give(place->sim, place->queue);
    place->queue = grown;
    place->queue_room = room;
    place->queue_first = 0;
}

static bool head_visible(const struct gy__place *place)
{
    return place->queue_count > 0 && queue_at(place, 0)->at_ns <= place->sim->now_ns;
}

static void queue_push(struct gy__place *place, struct gy__completed completed)
{
    struct gy_sim *sim = place->sim;
    const struct gy_sim_faults *faults = &sim->config.faults;

    if (place->queue_count + 1 > place->queue_room)
        queue_grow(place);
    completed.at_ns = sim->now_ns;
    if (gy__random_chance(gy__rng(sim, GY__RANDOM_COMPLETIONS), faults->completion_delay_ppm))
        completed.at_ns += gy__random_spread(gy__rng(sim, GY__RANDOM_COMPLETIONS),
                                             faults->completion_delay_ns);
    completed.flight->queued++;
    *queue_at(place, place->queue_count++) = completed;
    if (place->queue_count > 1 &&
        gy__random_chance(gy__rng(sim, GY__RANDOM_REORDER), faults->reorder_ppm)) {
        struct gy__completed *last = queue_at(place, place->queue_count - 1);
        struct gy__completed *before = queue_at(place, place->queue_count - 2);
        if (last->flight != before->flight) {
            completed = *last;
            *last = *before;
            *before = completed;
        }
    }
    if (!place->asleep)
        return;
    if (head_visible(place))
        gy__place_rouse(place);
    else
        gy__event_plan(sim, &place->reap, queue_at(place, 0)->at_ns, true);
}

static void tell(struct gy__flight *flight, struct gy__completed completed, bool more)
{
    struct gy_sim *sim = flight->place->sim;

    GY__SIM_CHECK(sim, flight->state != GY__FLIGHT_ENDED, "an operation ended twice");
    if (more && flight->kind != GY_OP_PROCESS && gy__random_chance(gy__rng(sim, GY__RANDOM_MULTISHOT),
                                  sim->config.faults.multishot_end_ppm))
        more = false;
    completed.flight = flight;
    completed.flags |= more ? GY_COMPLETION_MORE : 0;
    if (!more) {
        flight->state = GY__FLIGHT_ENDED;
        gy__event_drop(sim, &flight->event);
    }
    queue_push(flight->place, completed);
}

void gy__flight_tell(struct gy__flight *flight, int32_t res, bool more)
{
    tell(flight, (struct gy__completed){.res = res}, more);
}

void gy__flight_tell_data(struct gy__flight *flight, uint32_t buffer, uint32_t len, bool more)
{
    struct gy__place *place = flight->place;
    size_t size = place->host->config.recv_buffer_size;

    place->buffer_state[buffer] = GY__BUFFER_QUEUED;
    tell(flight,
         (struct gy__completed){.res = (int32_t)len,
                                .flags = GY_COMPLETION_BUF,
                                .data = place->buffers + buffer * size,
                                .buffer = buffer},
         more);
}

void gy__flight_tell_passed(struct gy__flight *flight, uint32_t buffer, uint32_t len,
                            const struct gy_passed *passed)
{
    struct gy__place *place = flight->place;
    size_t size = place->host->config.recv_buffer_size;
    struct gy__completed completed = {.res = (int32_t)len,
                                      .flags = GY_COMPLETION_BUF,
                                      .data = place->buffers + buffer * size,
                                      .buffer = buffer,
                                      .is_passed = passed != NULL};

    if (passed != NULL)
        completed.passed = *passed;
    place->buffer_state[buffer] = GY__BUFFER_QUEUED;
    tell(flight, completed, true);
}

void gy__flight_tell_datagram(struct gy__flight *flight, uint32_t buffer, uint32_t len,
                              const struct gy_datagram_info *info)
{
    struct gy__place *place = flight->place;
    size_t size = place->host->config.recv_buffer_size;

    place->buffer_state[buffer] = GY__BUFFER_QUEUED;
    tell(flight,
         (struct gy__completed){.res = (int32_t)len,
                                .flags = GY_COMPLETION_BUF,
                                .data = place->buffers + buffer * size,
                                .buffer = buffer,
                                .is_datagram = true,
                                .datagram = *info},
         true);
}

/* Give one completion to the core. */
static void give(struct gy__place *place)
{
    struct gy_sim *sim = place->sim;
    struct gy__completed completed = *queue_at(place, 0);
    struct gy__flight *flight = completed.flight;
    struct gy_op *op = flight->op;
    struct gy_completion completion = {op, completed.res, completed.flags, completed.data,
                                       completed.is_datagram ? &completed.datagram : NULL,
                                       completed.buffer,
                                       completed.is_passed ? &completed.passed : NULL};

    place->queue_first = (place->queue_first + 1) & (place->queue_room - 1);
    place->queue_count--;
    flight->queued--;
    GY__SIM_CHECK(sim,
                  op->in_flight && op->kind == flight->kind && op->gy__driver[0] == flight->number,
                  "an operation's memory changed while it was in flight");
    gy__shard_count(place->shard, GY__COUNT_CQES, 1);
    gy__trace(sim, place, GY__TRACE_COMPLETE, flight->number, (uint64_t)(int64_t)completed.res,
              completed.flags);
    if (completed.flags & GY_COMPLETION_BUF)
        place->buffer_state[completed.buffer] = GY__BUFFER_OUT;
    if (!(completed.flags & GY_COMPLETION_MORE)) {
        uint64_t bytes;
        GY__SIM_CHECK(sim, flight->queued == 0, "a last completion came before others");
        if (sends(flight))
            GY__SIM_CHECK(sim, gy__flight_digest(op, &bytes) == flight->digest,
                          "what an operation sends changed while it was in flight");
        flight_free(flight);
    }
    gy__shard_complete(place->shard, &completion);
}

bool gy__flight_pending(const struct gy__place *place)
{
    return head_visible(place) || place->submitted != NULL || place->buffers_back_count > 0 ||
           (place->starved != NULL && place->buffers_free_count > 0);
}

uint32_t gy__flight_reap(struct gy__place *place)
{
    uint32_t max = 1 + (uint32_t)gy__random_spread(gy__rng(place->sim, GY__RANDOM_REAP), REAP_MAX);
    uint32_t told = 0;

    for (; told < max && head_visible(place); told++)
        give(place);
    return told;
}

bool gy__flight_poll(struct gy__place *place)
{
    feed_starved(place);
    if (place->submitted != NULL)
        start_submitted(place);
    return gy__flight_reap(place) > 0 || gy__flight_pending(place);
}

/* ---- cancel ---- */

void gy__flight_cancel(struct gy__place *place, struct gy_op *op)
{
    struct gy_sim *sim = place->sim;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_CANCELS);
    struct gy__flight *flight = flight_of(place, op);
    uint64_t after_ns = gy__random_spread(random, CANCEL_NS);

    GY__SIM_CHECK(sim, flight != NULL, "a cancel of an operation that is not in flight");
    if (gy__random_chance(random, sim->config.faults.cancel_late_ppm))
        after_ns += gy__random_spread(random, sim->config.faults.completion_delay_ns);
    gy__trace(sim, place, GY__TRACE_CANCEL, flight->number, 0, 0);
    flight->canceled = true;
    if (flight->state != GY__FLIGHT_ENDED)
        gy__event_plan(sim, &flight->event, sim->now_ns + after_ns, true);
}

/* A cancel takes effect now. */
void gy__flight_later(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__flight *flight = GY__CONTAINER(event, struct gy__flight, event);

    (void)sim;
    switch (flight->kind) {
    case GY_OP_LISTEN:
    case GY_OP_HALF_CLOSE:
    case GY_OP_CLOSE:
    case GY_OP_CLOSE_FD:
        return; /* they end soon anyway */
    case GY_OP_UNLISTEN:
        if (flight->state == GY__FLIGHT_ACTIVE)
            gy__listening_hurry(flight);
        return;
    case GY_OP_WORK:
        if (flight->state == GY__FLIGHT_ACTIVE) {
            gy__blocking_cancel(flight);
            return;
        }
        break;
    case GY_OP_POLL:
    case GY_OP_PEEK:
    case GY_OP_REDIRECT:
        if (flight->state == GY__FLIGHT_ACTIVE) {
            gy__sim_fd_cancel(flight);
            return;
        }
        break;
    case GY_OP_PROCESS:
        if (flight->state == GY__FLIGHT_ACTIVE) {
            gy__blocking_cancel(flight);
            gy__sim_process_cancel(flight);
            return;
        }
        break;
    case GY_OP_RESOLVE:
        if (flight->state == GY__FLIGHT_ACTIVE) {
            gy__names_cancel(flight);
            return;
        }
        break;
    case GY_OP_CONNECT:
        if (flight->state == GY__FLIGHT_ACTIVE) {
            gy__dial_cancel(flight);
            return;
        }
        break;
    case GY_OP_ACCEPT:
        if (flight->state == GY__FLIGHT_ACTIVE) {
            gy__listening_cancel(flight);
            return;
        }
        break;
    default:
        if (gy__files_kind(flight->kind)) {
            if (flight->state == GY__FLIGHT_ACTIVE) {
                gy__files_cancel(flight);
                return;
            }
            if (flight->kind == GY_OP_CLOSE_FILE)
                return;
            break;
        }
        if (flight->state == GY__FLIGHT_STARVED)
            unstarve(flight);
        if (gy__udp_kind(flight->kind)) {
            if (flight->state != GY__FLIGHT_SUBMITTED || flight->kind == GY_OP_UNBIND) {
                gy__udp_cancel(flight);
                return;
            }
            break;
        }
        gy__socket_cancel(flight);
        return;
    }
    /* The kernel has not seen it yet. */
    gy__flight_tell(flight, -ECANCELED, false);
}
