/* core/datagram.c - datagram sockets: the public functions, and the step that decides what a socket
 * submits and cancels (see datagrams.h).
 *
 * | state | takes sends | sends | receives | ends when |
 * |---|---|---|---|---|
 * | opening | yes | | | BIND has completed; given up before: ending |
 * | open | yes | yes | yes | close, abort, its owner's death |
 * | closing | | yes | | the queue is empty |
 * | ending | | | | nothing is in flight: then UNBIND, or the end if there is no handle |
 *
 * Invariants: what SEND_TO points to (msgs, the items and buffers at the head of the queue) stays as it is
 * until its completion, so the queue is only dropped when none is in flight. A handle is unbound when none
 * of its operations is in flight. */
#include "core/datagrams.h"
#include "core/addr.h"
#include "core/opfut.h"
#include "core/text.h"

#include <errno.h>
#include <string.h>

#define SEGMENTS_MAX 64u /* of one message: UDP_MAX_SEGMENTS of older kernels */

static struct gy__datagram_item *item_at(struct gy_datagram_socket *s, uint32_t i)
{
    return &s->queue[(s->queue_first + i) % GY__DATAGRAM_QUEUE];
}

void gy__datagram_pop(struct gy_datagram_socket *s)
{
    struct gy_buf *buf = item_at(s, 0)->buf;
    GY_ASSERT(s->queue_count > 0);
    s->queue_first = (s->queue_first + 1) % GY__DATAGRAM_QUEUE;
    s->queue_count--;
    gy_buf_release(buf);
}

/* ---- opening ---- */

static int address_read(struct gy_addr *out, const char *text)
{
    *out = (struct gy_addr){ 0 };
    if (text == NULL)
        return 0;
    int err = gy_addr_parse(out, text);
    if (err < 0) {
        char shown[GY_ADDR_TEXT_MAX];
        gy__addr_shown(shown, sizeof(shown), text, strlen(text));
        gy_log("datagram socket %s: not an address; allowed are 127.0.0.1:53, [::1]:53, unix:/path",
               shown);
    }
    return err;
}

static int bind_fill(struct gy_bind *bind, const struct gy_datagram_options *options)
{
    int err = address_read(&bind->bind, options->bind);
    if (err == 0)
        err = address_read(&bind->connect, options->connect);
    if (err < 0)
        return err;
    uint8_t ours = bind->bind.family, theirs = bind->connect.family;
    if ((ours == GY_ADDR_NONE && theirs == GY_ADDR_NONE) ||
        (ours != GY_ADDR_NONE && theirs != GY_ADDR_NONE && ours != theirs))
        return -EINVAL;
    bind->receive_bytes = options->receive_bytes;
    bind->send_bytes = options->send_bytes;
    bind->shared = options->shared;
    bind->broadcast = options->broadcast;
    bind->gro = options->gro;
    return 0;
}

int gy_datagram_open_raw(struct gy_actor *self, const struct gy_datagram_events *events,
                         const struct gy_datagram_options *given, struct gy_datagram_socket **out)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
    struct gy_bind bind = { .gso = 0 };
    if (events == NULL || events->received == NULL || events->closed == NULL || given == NULL)
        return -EINVAL;
    memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    int err = bind_fill(&bind, &options);
    if (err < 0)
        return err;
    if (shard->phase >= GY__PHASE_STOP)
        return -ECANCELED;
    struct gy_datagram_socket *s = gy__datagram_take(shard);
    if (s == NULL)
        return -EAGAIN;
    s->owner = self;
    s->events = events;
    s->bind = bind;
    s->family = bind.bind.family != GY_ADDR_NONE ? bind.bind.family : bind.connect.family;
    s->queue_max = options.queue_max < 1 || options.queue_max > GY__DATAGRAM_QUEUE ?
                       GY__DATAGRAM_QUEUE :
                       options.queue_max;
    s->held_max = options.held_max < 1 ? 1 : options.held_max;
    s->open.kind = GY_OP_BIND;
    s->open.u.bind.want = &s->bind;
    s->state = GY__DATAGRAM_OPENING;
    gy__datagram_dirty(shard, s);
    *out = s;
    return 0;
}

/* ---- sending ---- */

static int push(struct gy_datagram_socket *s, const struct gy_addr *to, struct gy_buf *buf,
                uint16_t segment)
{
    struct gy_shard *shard = gy__here(__func__);
    if (s->state != GY__DATAGRAM_OPENING && s->state != GY__DATAGRAM_OPEN)
        return -EPIPE;
    if (to == NULL && s->bind.connect.family == GY_ADDR_NONE)
        return -EDESTADDRREQ;
    if (to != NULL && to->family != s->family)
        return -EAFNOSUPPORT;
    if (gy__buf_is_part(buf))
        return -EINVAL;
    if ((segment == 0 ? buf->len : segment) > GY__DATAGRAM_MAX)
        return -EMSGSIZE;
    if (s->queue_count >= s->queue_max) {
        s->refused = true;
        s->counts.refused++;
        gy__datagram_add(shard, GY__COUNT_DATAGRAMS_REFUSED, 1);
        return -EAGAIN;
    }
    struct gy__datagram_item *item = item_at(s, s->queue_count++);
    item->buf = buf;
    item->sent = 0;
    item->segment = buf->len > segment ? segment : 0;
    if (to != NULL)
        item->to = *to;
    else
        item->to.family = GY_ADDR_NONE;
    gy__datagram_dirty(shard, s);
    return 0;
}

int gy_datagram_send(struct gy_datagram_socket *s, const struct gy_addr *to, struct gy_buf *buf)
{
    return push(s, to, buf, 0);
}

int gy_datagram_send_segments(struct gy_datagram_socket *s, const struct gy_addr *to,
                              struct gy_buf *buf, uint16_t segment)
{
    return segment == 0 ? -EINVAL : push(s, to, buf, segment);
}

/* The next message of an item from `sent` on; -> its bytes. */
static uint32_t message_make(const struct gy_datagram_socket *s, struct gy_outgoing *msg,
                             const struct gy__datagram_item *item, uint32_t sent)
{
    uint32_t left = item->buf->len - sent, most = left;
    if (item->segment != 0) {
        uint32_t segments = GY__DATAGRAM_MAX / item->segment;
        if (!s->bind.gso)
            segments = 1;
        else if (segments > SEGMENTS_MAX)
            segments = SEGMENTS_MAX;
        most = segments * item->segment;
    }
    *msg = (struct gy_outgoing){
        .data = item->buf->data + sent,
        .to = item->to.family == GY_ADDR_NONE ? NULL : &item->to,
        .len = left < most ? left : most,
    };
    if (msg->len > item->segment)
        msg->segment = item->segment;
    return msg->len;
}

/* One message per datagram, or per run of segments. A run is the last of its operation, so that it
 * stands at the head of the queue should the kernel refuse it. */
static void send(struct gy_shard *shard, struct gy_datagram_socket *s)
{
    uint32_t n = 0, most = s->family == GY_ADDR_UNIX ? 1 : GY__DATAGRAM_BATCH;
    for (uint32_t i = 0; i < s->queue_count && n < most; i++) {
        const struct gy__datagram_item *item = item_at(s, i);
        uint32_t sent = item->sent;
        do
            sent += message_make(s, &s->msgs[n++], item, sent);
        while (n < most && sent < item->buf->len && s->msgs[n - 1].segment == 0);
        if (s->msgs[n - 1].segment != 0)
            break;
    }
    s->out.kind = GY_OP_SEND_TO;
    s->out.handle = s->handle;
    s->out.u.send_to.msgs = s->msgs;
    s->out.u.send_to.n = n;
    gy__op_submit(shard, &s->out);
}

/* ---- ending ---- */

void gy__datagram_abort(struct gy_shard *shard, struct gy_datagram_socket *s, int why)
{
    if (s->state == GY__DATAGRAM_FREE || s->state >= GY__DATAGRAM_ENDING)
        return;
    s->why = why;
    s->state = GY__DATAGRAM_ENDING;
    gy__datagram_dirty(shard, s);
}

void gy_datagram_abort(struct gy_datagram_socket *s)
{
    gy__datagram_abort(gy__here(__func__), s, 0);
}

void gy_datagram_close(struct gy_datagram_socket *s)
{
    struct gy_shard *shard = gy__here(__func__);
    if (s->state == GY__DATAGRAM_OPENING && s->queue_count == 0)
        gy__datagram_abort(shard, s, 0);
    else if (s->state == GY__DATAGRAM_OPENING || s->state == GY__DATAGRAM_OPEN)
        s->state = GY__DATAGRAM_CLOSING;
    gy__datagram_dirty(shard, s);
}

static void end(struct gy_shard *shard, struct gy_datagram_socket *s)
{
    gy__op_cancel(shard, &s->open);
    gy__op_cancel(shard, &s->in);
    gy__op_cancel(shard, &s->out);
    if (!s->out.in_flight)
        while (s->queue_count > 0)
            gy__datagram_pop(s);
    if (s->open.in_flight || s->in.in_flight || s->out.in_flight || s->settings > 0)
        return;
    if (s->handle < 0) {
        gy__datagram_closed(shard, s);
        return;
    }
    s->state = GY__DATAGRAM_UNBIND;
    s->open.kind = GY_OP_UNBIND;
    s->open.handle = s->handle;
    s->open.u.bind.want = &s->bind;
    gy__op_submit(shard, &s->open);
}

/* ---- the step ---- */

static void receive(struct gy_shard *shard, struct gy_datagram_socket *s)
{
    if (s->full) {
        gy__op_cancel(shard, &s->in);
        return;
    }
    if (s->in.in_flight || s->starved)
        return;
    s->in.kind = GY_OP_RECV_FROM;
    s->in.handle = s->handle;
    s->in.u.recv_from.is_unix = s->family == GY_ADDR_UNIX;
    gy__op_submit(shard, &s->in);
}

void gy__datagram_step(struct gy_shard *shard, struct gy_datagram_socket *s)
{
    if ((s->state == GY__DATAGRAM_OPENING || s->state == GY__DATAGRAM_CLOSING) && s->handle < 0) {
        if (!s->open.in_flight)
            gy__op_submit(shard, &s->open);
        return;
    }
    if (s->state == GY__DATAGRAM_OPEN)
        receive(shard, s);
    if (s->state == GY__DATAGRAM_OPEN || s->state == GY__DATAGRAM_CLOSING) {
        if (s->queue_count > 0 && !s->out.in_flight)
            send(shard, s);
        if (s->state == GY__DATAGRAM_CLOSING && s->queue_count == 0 && !s->out.in_flight)
            s->state = GY__DATAGRAM_ENDING;
    }
    if (s->state == GY__DATAGRAM_ENDING)
        end(shard, s);
}

/* ---- settings ---- */

struct set_pins {
    struct gy_datagram_socket *socket;
};

static bool set_finish(struct gy_shard *shard, struct gy__opfut *record,
                       const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    struct gy_datagram_socket *s = GY__OPFUT_PINS(record, struct set_pins)->socket;
    GY_ASSERT(s->settings > 0);
    s->settings--;
    gy__datagram_dirty(shard, s);
    answer->res = completion->res;
    return true;
}
static void set_subject(struct gy_shard *shard, const struct gy__opfut *record,
                        struct gy__text *text)
{
    char addr[GY_ADDR_TEXT_MAX];
    (void)shard;
    gy_addr_print(&GY__OPFUT_PINS(record, const struct set_pins)->socket->bind.bind, addr,
                  sizeof(addr));
    gy__text_string(text, addr);
}
static const struct gy__opfut_use set_use = { .finish = set_finish, .subject = set_subject };

gy_fut gy_datagram_set_raw(struct gy_actor *self, struct gy_datagram_socket *s,
                           enum gy_datagram_setting setting, int value, const struct gy_addr *group,
                           uint32_t interface)
{
    struct gy_shard *shard = gy__here(__func__);
    bool of_group = setting == GY_DATAGRAM_JOIN || setting == GY_DATAGRAM_LEAVE;
    bool is_right = s->state == GY__DATAGRAM_OPEN && s->family != GY_ADDR_UNIX &&
                    setting <= GY_DATAGRAM_INTERFACE && value >= 0 && value <= 255 &&
                    (!of_group || (group != NULL && group->family == s->family &&
                                   gy_addr_is_multicast(group)));
    if (!is_right)
        return gy__fut_refused(-EINVAL);
    struct gy__opfut *record = gy__opfut_take(shard, self, &set_use);
    if (record == NULL)
        return gy__fut_refused(-EAGAIN);
    record->op.kind = GY_OP_SOCKET_SET;
    record->op.handle = s->handle;
    record->op.u.set.interface = interface;
    record->op.u.set.value = value;
    record->op.u.set.setting = (uint8_t)setting;
    record->op.u.set.family = s->family;
    if (of_group)
        memcpy(record->op.u.set.group, group->bytes, group->len);
    GY__OPFUT_PINS(record, struct set_pins)->socket = s;
    s->settings++;
    return gy__opfut_start(shard, record);
}

/* ---- small questions ---- */

const struct gy_addr *gy_datagram_local(const struct gy_datagram_socket *s)
{
    static const struct gy_addr none;
    return s->handle >= 0 ? &s->bind.bind : &none;
}

uint32_t gy_datagram_queued(const struct gy_datagram_socket *s)
{
    return s->queue_count;
}

void gy_datagram_count(const struct gy_datagram_socket *s, struct gy_datagram_counts *out)
{
    struct gy_shard *shard = gy__here(__func__);
    *out = s->counts;
    if (s->handle >= 0)
        out->dropped = shard->driver->datagrams_dropped(shard->ctx, s->handle);
}

void gy_datagram_set_context(struct gy_datagram_socket *s, void *context)
{
    s->context = context;
}

void *gy_datagram_context(const struct gy_datagram_socket *s)
{
    return s->context;
}
