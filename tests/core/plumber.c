/* See plumber.h. */
#include "plumber.h"

#include "gyre/buf.h"

#include <stdlib.h>
#include <string.h>

uint8_t plumber_byte(uint32_t position)
{
    return (uint8_t)(position * 3 + position / 257);
}

static void opened(struct gy_actor *self, struct gy_stream *s)
{
    (void)self;
    ((struct plumber_world *)gy_stream_context(s))->opened++;
}
static void data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct plumber_world *world = gy_stream_context(s);
    (void)self;
    if (world->got == NULL)
        world->got = malloc(PLUMBER_GOT_MAX);
    if (world->got == NULL || world->got_len + buf->len > PLUMBER_GOT_MAX)
        abort();
    memcpy(world->got + world->got_len, buf->data, buf->len);
    world->got_len += buf->len;
    gy_buf_release(buf);
}
static void closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct plumber_world *world = gy_stream_context(s);
    (void)self;
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

static void on_end(struct gy_actor *self, const struct gy_done *done)
{
    struct plumber_world *world = (struct plumber_world *)(uintptr_t)done->ctx;
    (void)self;
    world->result = done->res;
    if (done->size == sizeof(world->moved))
        memcpy(&world->moved, done->value, sizeof(world->moved));
    world->peeked_len = done->buf != NULL ? done->buf->len : 0;
    if (done->buf != NULL)
        memcpy(world->peeked, done->buf->data,
               done->buf->len < sizeof(world->peeked) ? done->buf->len : sizeof(world->peeked));
    gy_buf_release(done->buf);
    world->ended++;
}

static void await(struct plumber *self, gy_fut fut)
{
    self->world->waits = fut;
    if (gy_then_raw(&self->actor, fut, on_end, (uintptr_t)self->world) < 0)
        abort();
}

static void send(struct plumber_world *world, uint32_t n)
{
    struct gy_buf *buf = gy_buf_take(n);
    if (world->out == NULL) { /* it has closed */
        gy_buf_release(buf);
        return;
    }
    if (buf == NULL)
        abort();
    for (; buf->len < n; buf->len++)
        buf->data[buf->len] = plumber_byte(world->sent++);
    (void)gy_stream_send(world->out, buf);
}

void plumber_on_do(struct plumber *self, const struct plumber_do_msg *msg)
{
    struct plumber_world *world = self->world;
    switch ((enum plumber_what)msg->what) {
    case PLUMBER_PIPE:
        world->result = gy_pipe(&world->fds[2 * msg->n]);
        break;
    case PLUMBER_STREAM:
        world->result = gy_stream_of_fd(self, world->fds[msg->n],
                                        msg->n % 2 ? GY_FD_WRITES : GY_FD_READS, &events, world,
                                        msg->n % 2 ? &world->out : &world->in);
        break;
    case PLUMBER_SEND:
        send(world, msg->n);
        break;
    case PLUMBER_CLOSE:
        gy_stream_close(world->out);
        break;
    case PLUMBER_CLOSE_FD:
        gy_fd_close(world->fds[msg->n]);
        break;
    case PLUMBER_FLOOD:
        for (uint32_t i = 0; i < msg->n; i++) {
            int32_t fds[2];
            world->result = gy_pipe(fds);
            for (unsigned end = 0; world->result == 0 && end < 2; end++)
                gy_fd_close(fds[end]);
        }
        break;
    case PLUMBER_POLL:
        await(self, gy_fd_poll(self, world->fds[msg->n], msg->n % 2 ? GY_FD_WRITES : GY_FD_READS));
        break;
    case PLUMBER_PEEK:
        await(self, gy_fd_peek(self, world->fds[0], msg->n));
        break;
    case PLUMBER_REDIRECT:
        await(self, gy_redirect(self, world->fds[0], world->fds[3], msg->n));
        break;
    case PLUMBER_DISCARD:
        gy_discard(world->waits);
        break;
    }
    world->steps++;
}

static int plumber_start(struct plumber *self, const struct plumber_args *args)
{
    self->world = args->world;
    return 0;
}
static void plumber_stop(struct plumber *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(plumber, plumber_start, plumber_stop);
GY_VERB(plumber, do);
