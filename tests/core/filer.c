/* See filer.h. */
#include "filer.h"

#include "gyre/buf.h"
#include "gyre/passing.h"
#include "gyre/pipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct filer_world *world_of(struct gy_actor *self)
{
    return ((struct filer *)(void *)self)->world;
}

static void opened(struct gy_actor *self, struct gy_stream *s)
{
    struct filer_world *world = world_of(self);
    if (gy_stream_context(s) == NULL)
        world->in = s;
    world->opened++;
}
static void data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct filer_world *world = world_of(self);
    (void)s;
    if (world->got == NULL)
        world->got = malloc(FILER_GOT_MAX);
    if (world->got == NULL || world->got_len + buf->len > FILER_GOT_MAX)
        abort();
    memcpy(world->got + world->got_len, buf->data, buf->len);
    world->got_len += buf->len;
    gy_buf_release(buf);
}
static void drained(struct gy_actor *self, struct gy_stream *s)
{
    (void)s;
    world_of(self)->drains++;
}
static void closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct filer_world *world = world_of(self);
    if (s == world->in) {
        world->in_why = why;
        world->in = NULL;
    } else {
        world->out_why = why;
        world->out = NULL;
    }
    world->closed++;
}
static const struct gy_stream_events events = {
    .opened = opened, .data = data, .drained = drained, .closed = closed};

static void on_open(struct gy_actor *self, const struct gy_done *done)
{
    world_of(self)->file = gy_file_of(done->res);
    world_of(self)->file_open++;
}
static void on_end(struct gy_actor *self, const struct gy_done *done)
{
    world_of(self)->result = done->res;
    world_of(self)->ended++;
}

static void await(struct filer *self, gy_fut fut, void (*run)(struct gy_actor *, const struct gy_done *))
{
    if (gy_then_raw(&self->actor, fut, run, 0) < 0)
        abort();
}

static void send_bytes(struct filer_world *world, uint32_t n)
{
    struct gy_buf *buf = gy_buf_take(n);
    if (buf == NULL)
        abort();
    for (; buf->len < n; buf->len++)
        buf->data[buf->len] = filer_other_byte(world->other++);
    (void)gy_stream_send(world->out, buf);
}

static void pass(struct filer_world *world, uint64_t offset, uint32_t n)
{
    struct gy_buf *part = gy_file_part(world->file, offset, n);
    int32_t fds[2];
    if (part == NULL || gy_pipe(fds) < 0)
        abort();
    world->result = gy_stream_send_fds(world->out, part, fds, 1);
    gy_fd_close(fds[1]);
}

static void act(struct filer *self, const struct filer_do_msg *msg)
{
    struct filer_world *world = self->world;
    struct gy_connect_options options = GY_CONNECT_OPTIONS_INIT;
    struct gy_buf *part;
    char to[32] = "";
    switch ((enum filer_what)msg->what) {
    case FILER_CONNECT:
        options.context = world;
        if (strcmp(world->addr, "127.0.0.1:0") == 0)
            snprintf(to, sizeof(to), "127.0.0.1:%u", gy_listen_port(&self->actor));
        if (gy_connect(self, to[0] != 0 ? to : world->addr, &events, &options, &world->out) < 0)
            abort();
        break;
    case FILER_OPEN:
        await(self, gy_file_open(world->path, GY_FILE_READ, 0), on_open);
        break;
    case FILER_BYTES:
        send_bytes(world, msg->n);
        break;
    case FILER_FILE:
        world->fut = gy_file_send(world->file, msg->offset, msg->n, world->out);
        await(self, world->fut, on_end);
        break;
    case FILER_PART:
        part = gy_file_part(world->file, msg->offset, msg->n);
        if (part == NULL)
            abort();
        (void)gy_stream_send(world->out, part);
        break;
    case FILER_PASS:
        pass(world, msg->offset, msg->n);
        break;
    case FILER_MISUSE:
        part = gy_file_part(world->file, 0, 100);
        if (part == NULL)
            abort();
        world->fut = msg->n == 0   ? gy_file_write(world->file, 0, part) :
                     msg->n == 1 ? gy_file_read_into(world->file, 0, part) :
                                   gy_file_writev(world->file, 0, part);
        await(self, world->fut, on_end);
        break;
    case FILER_CLOSE_FILE:
        gy_forget(gy_file_close(world->file));
        break;
    case FILER_DISCARD:
        gy_discard(world->fut);
        break;
    case FILER_DEADLINE:
        (void)gy_deadline(world->fut, msg->n * GY_MS);
        break;
    case FILER_PAUSE:
        gy_stream_pause(world->in);
        break;
    case FILER_RESUME:
        gy_stream_resume(world->in);
        break;
    case FILER_CLOSE:
        gy_stream_close(world->out);
        break;
    case FILER_ABORT:
        gy_stream_abort(msg->n == 0 ? world->out : world->in);
        break;
    }
}

void filer_on_do(struct filer *self, const struct filer_do_msg *msg)
{
    struct filer_world *world = self->world;
    act(self, msg);
    if (world->out != NULL) {
        world->queued = gy_stream_queued(world->out);
        world->full = gy_stream_full(world->out);
    }
    world->steps++;
}

static int filer_start(struct filer *self, const struct filer_args *args)
{
    self->world = args->world;
    return gy_listen(self, args->world->addr, &events, NULL);
}
static void filer_stop(struct filer *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(filer, filer_start, filer_stop);
GY_VERB(filer, do);
