/* core/datagram_events.c - what happens to a datagram socket: completions of its operations, and the
 * calls to its owner that follow.
 *
 * The owner's functions may call anything on any socket, and the owner may be gone when they return:
 * calls and deaths only note things down, and nothing is freed before the end of the turn. */
#include "core/datagrams.h"
#include "core/failed.h"

#include <errno.h>

#define NAME_MAX (2 * GY_ADDR_TEXT_MAX + 32)
#define ERRORS_MAX 16 /* receives that failed one after the other before a pause */

/* Where it is, and whom it is connected to. */
static void name_print(const struct gy_datagram_socket *s, char *out, size_t size)
{
    char addr[GY_ADDR_TEXT_MAX];
    struct gy__text text;
    gy__text_init(&text, out, size);
    gy_addr_print(&s->bind.bind, addr, sizeof(addr));
    gy__text_string(&text, s->bind.bind.family == GY_ADDR_NONE ? "of no address" : addr);
    gy_addr_print(&s->bind.connect, addr, sizeof(addr));
    if (s->bind.connect.family != GY_ADDR_NONE)
        gy__text_printf(&text, " connected to %s", addr);
}

/* ---- calls to the owner ---- */

static void call(struct gy_shard *shard, struct gy_datagram_socket *s,
                 void (*run)(struct gy_actor *self, struct gy_datagram_socket *s))
{
    struct gy_actor *owner = s->owner;
    if (owner == NULL || run == NULL)
        return;
    struct gy__context saved = gy__actor_enter(shard, owner);
    run(owner, s);
    gy__actor_leave(shard, saved);
}

static void failed(struct gy_shard *shard, struct gy_datagram_socket *s, int err,
                   const struct gy_addr *to)
{
    struct gy_actor *owner = s->owner;
    char name[NAME_MAX];
    if (to != NULL)
        gy_addr_print(to, name, sizeof(name));
    else
        name_print(s, name, sizeof(name));
    gy__failed(shard, to != NULL ? GY_OP_SEND_TO : GY_OP_RECV_FROM, err, name);
    if (owner == NULL || s->events->failed == NULL || s->state >= GY__DATAGRAM_ENDING)
        return;
    struct gy__context saved = gy__actor_enter(shard, owner);
    s->events->failed(owner, s, err, to);
    gy__actor_leave(shard, saved);
}

void gy__datagram_closed(struct gy_shard *shard, struct gy_datagram_socket *s)
{
    struct gy_actor *owner = s->owner;
    s->state = GY__DATAGRAM_GONE;
    gy__datagram_dirty(shard, s);
    if (owner == NULL)
        return;
    s->owner = NULL;
    struct gy__context saved = gy__actor_enter(shard, owner);
    s->events->closed(owner, s, s->why);
    gy__actor_leave(shard, saved);
}

/* ---- BIND, UNBIND ---- */

void gy__datagram_open_done(struct gy_op *op, const struct gy_completion *completion)
{
    struct gy_shard *shard = gy__self();
    struct gy_datagram_socket *s = GY__CONTAINER(op, struct gy_datagram_socket, open);
    gy__datagram_dirty(shard, s);
    if (op->kind == GY_OP_UNBIND) {
        s->handle = -1;
        gy__datagram_closed(shard, s);
        return;
    }
    if (completion->res < 0) {
        char name[NAME_MAX];
        name_print(s, name, sizeof(name));
        if (s->state != GY__DATAGRAM_ENDING)
            gy__failed(shard, GY_OP_BIND, completion->res, name);
        gy__datagram_abort(shard, s, completion->res);
        return;
    }
    s->handle = completion->res;
    if (s->state != GY__DATAGRAM_OPENING)
        return;
    s->state = GY__DATAGRAM_OPEN;
    call(shard, s, s->events->opened);
}

/* ---- RECV_FROM ---- */

static void received(struct gy_shard *shard, struct gy_datagram_socket *s,
                     const struct gy_completion *completion)
{
    const struct gy_datagram_info *info = completion->datagram;
    struct gy_buf *buf = gy__bufs_received(shard, completion);
    struct gy__header *header = gy__header_of(buf);
    struct gy_actor *owner = s->owner;
    header->stream = GY__HELD_BY_DATAGRAM | gy__datagram_index(shard, s);
    header->generation = s->generation;
    s->errors = 0;
    if (++s->held >= s->held_max && !s->full) {
        s->full = true;
        gy__datagram_dirty(shard, s);
    }
    if (owner == NULL || s->state != GY__DATAGRAM_OPEN) {
        gy_buf_release(buf);
        return;
    }
    s->counts.received++;
    s->counts.received_bytes += (uint32_t)completion->res;
    s->counts.truncated += info->truncated;
    gy__datagram_add(shard, GY__COUNT_DATAGRAMS_IN, 1);
    gy__datagram_add(shard, GY__COUNT_DATAGRAMS_TRUNCATED, info->truncated);
    struct gy__context saved = gy__actor_enter(shard, owner);
    s->events->received(owner, s, buf, info);
    gy__actor_leave(shard, saved);
}

void gy__datagram_in_done(struct gy_op *op, const struct gy_completion *completion)
{
    struct gy_shard *shard = gy__self();
    struct gy_datagram_socket *s = GY__CONTAINER(op, struct gy_datagram_socket, in);
    if (!(completion->flags & GY_COMPLETION_MORE))
        gy__datagram_dirty(shard, s);
    if (completion->flags & GY_COMPLETION_BUF) {
        received(shard, s, completion);
        return;
    }
    if (completion->res == -ENOBUFS) {
        gy__datagram_starve(shard, s);
    } else if (completion->res < 0 && completion->res != -ECANCELED) {
        /* What cannot be received from will not be for a while: no busy loop. */
        if (++s->errors >= ERRORS_MAX)
            gy__datagram_starve(shard, s);
        failed(shard, s, completion->res, NULL);
    }
}

/* ---- SEND_TO ---- */

/* The kernel, or the device, does not take segments: from now on each goes alone. */
static bool falls_back(struct gy_datagram_socket *s, const struct gy_outgoing *msg)
{
    if (msg->segment == 0 || (msg->res != -EIO && msg->res != -EINVAL && msg->res != -EOPNOTSUPP))
        return false;
    s->bind.gso = 0;
    return true;
}

static void sent_one(struct gy_shard *shard, struct gy_datagram_socket *s,
                     const struct gy_outgoing *msg)
{
    uint32_t datagrams =
        msg->segment == 0 ? 1 : (msg->len + msg->segment - 1u) / msg->segment;
    struct gy__datagram_item *item = &s->queue[s->queue_first];
    struct gy_addr to = item->to;
    item->sent += msg->len;
    if (item->sent == item->buf->len)
        gy__datagram_pop(s);
    if (msg->res >= 0) {
        s->counts.sent += datagrams;
        s->counts.sent_bytes += msg->len;
        gy__datagram_add(shard, GY__COUNT_DATAGRAMS_OUT, datagrams);
        return;
    }
    s->counts.failed += datagrams;
    gy__datagram_add(shard, GY__COUNT_DATAGRAMS_FAILED, datagrams);
    failed(shard, s, msg->res, to.family == GY_ADDR_NONE ? &s->bind.connect : &to);
}

void gy__datagram_out_done(struct gy_op *op, const struct gy_completion *completion)
{
    struct gy_shard *shard = gy__self();
    struct gy_datagram_socket *s = GY__CONTAINER(op, struct gy_datagram_socket, out);
    gy__datagram_dirty(shard, s);
    /* The owner's function may send, which adds behind these, and abort, which drops nothing yet. */
    for (uint32_t i = 0; completion->res >= 0 && i < op->u.send_to.n; i++) {
        struct gy_outgoing msg = s->msgs[i];
        if (msg.res == -ECANCELED || falls_back(s, &msg))
            break;
        sent_one(shard, s, &msg);
    }
    if (!s->refused || s->queue_count > s->queue_max / 2 || s->state >= GY__DATAGRAM_CLOSING)
        return;
    s->refused = false;
    call(shard, s, s->events->drained);
}
