/* See courier.h. */
#include "courier.h"

#include "gyre/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct courier_world *world_of(struct gy_actor *self)
{
    return ((struct courier *)(void *)self)->world;
}

static struct gy_buf *bytes(uint8_t value, uint32_t n)
{
    struct gy_buf *buf = gy_buf_take(n);
    if (buf == NULL)
        abort();
    memset(buf->data, value, n);
    buf->len = n;
    return buf;
}

/* ---- the pipes ---- */

static void pipe_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct courier_world *world = world_of(self);
    world->wrong += buf->len != 1 || buf->data[0] != (uintptr_t)gy_stream_context(s);
    world->fds_read++;
    gy_buf_release(buf);
}
static void pipe_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct courier_world *world = world_of(self);
    world->wrong += why != 0 && why != -EPIPE; /* its reader may have been closed before it */
    world->pipes_open--;
    (void)s;
}
static const struct gy_stream_events pipe_events = {.data = pipe_data, .closed = pipe_closed};

static int32_t pipe_with(struct courier *self, uint8_t value)
{
    struct gy_stream *s;
    int32_t fds[2];
    if (gy_pipe(fds) < 0 || gy_stream_of_fd(self, fds[1], GY_FD_WRITES, &pipe_events, NULL, &s) < 0)
        abort();
    self->world->pipes_open++;
    (void)gy_stream_send(s, bytes(value, 1));
    gy_stream_close(s);
    return fds[0];
}

/* ---- the two ends ---- */

static void opened(struct gy_actor *self, struct gy_stream *s)
{
    struct courier_world *world = world_of(self);
    if (gy_stream_context(s) == NULL) {
        world->in = s;
        if (world->receive > 0)
            world->result = gy_stream_receive_fds(s, world->receive);
    }
    world->opened++;
}

static void take(struct gy_actor *self, struct courier_world *world, struct gy_stream *s,
                 uint8_t message)
{
    int32_t fd = -1;
    for (uint32_t i = 0; i < world->takes && (fd = gy_stream_next_fd(s)) >= 0; i++) {
        world->fds_got++;
        if (world->keeps)
            world->kept[world->kept_n++] = fd;
        else if (gy_stream_of_fd_raw(self, fd, GY_FD_READS, &pipe_events,
                                     (void *)(uintptr_t)(uint8_t)(message * 4 + i), NULL) < 0)
            abort();
        else
            world->pipes_open++;
    }
    world->lost += fd == -EMFILE;
}

static void data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct courier_world *world = world_of(self);
    world->got += buf->len;
    take(self, world, s, buf->data[buf->len - 1]);
    gy_buf_release(buf);
}
static void closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct courier_world *world = world_of(self);
    if (s == world->in) {
        world->in_why = why;
        world->in = NULL;
    } else {
        world->out_why = why;
        world->out = NULL;
    }
    world->closed++;
}
static const struct gy_stream_events events = {.opened = opened, .data = data, .closed = closed};

static void send(struct courier *self, uint32_t n, uint32_t with)
{
    struct courier_world *world = self->world;
    int32_t fds[4];
    uint8_t message = (uint8_t)world->messages++;
    for (uint32_t i = 0; i < with; i++)
        fds[i] = pipe_with(self, (uint8_t)(message * 4 + i));
    world->sent += n;
    world->fds_sent += with;
    world->result = with > 0 ? gy_stream_send_fds(world->out, bytes(message, n), fds, with)
                             : gy_stream_send(world->out, bytes(message, n));
}

void courier_on_do(struct courier *self, const struct courier_do_msg *msg)
{
    struct courier_world *world = self->world;
    struct gy_connect_options options = GY_CONNECT_OPTIONS_INIT;
    switch ((enum courier_what)msg->what) {
    case COURIER_CONNECT:
        options.context = world;
        world->result = gy_connect(self, world->addr, &events, &options, &world->out);
        break;
    case COURIER_SEND:
        send(self, msg->n, msg->with);
        break;
    case COURIER_RAW:
        world->result = gy_stream_send_fds(world->out, bytes(0, 1), world->fds, msg->n);
        break;
    case COURIER_CLOSE:
        if (msg->n == 0)
            gy_stream_close(world->out);
        else
            gy_stream_abort(msg->n == 1 ? world->out : world->in);
        break;
    case COURIER_DROP:
        for (uint32_t i = 0; i < world->kept_n; i++)
            gy_fd_close(world->kept[i]);
        world->kept_n = 0;
        break;
    case COURIER_STOP:
        world->result = gy_stream_receive_fds(world->in, 0);
        break;
    }
    world->steps++;
}

static int courier_start(struct courier *self, const struct courier_args *args)
{
    self->world = args->world;
    return gy_listen(self, args->world->addr, &events, NULL);
}
static void courier_stop(struct courier *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(courier, courier_start, courier_stop);
GY_VERB(courier, do);
