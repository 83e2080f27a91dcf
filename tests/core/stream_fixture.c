#include "tests/core/stream_fixture.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct fixture *current;

static void tell(struct gy_stream *s, const char *format, ...)
{
    size_t len = strlen(current->told);
    va_list args;

    va_start(args, format);
    vsnprintf(current->told + len, sizeof(current->told) - len, format, args);
    va_end(args);
    if (s != NULL && s != current->streams[0]) {
        len = strlen(current->told);
        snprintf(current->told + len, sizeof(current->told) - len, "@%d", (int)s->handle);
    }
}

static void check_owner(struct gy_actor *self)
{
    assert_ptr_equal(self, current->actor);
    assert_true(gy_pid_equal(gy_self(), current->pid));
}

static void on_opened(struct gy_actor *self, struct gy_stream *s)
{
    check_owner(self);
    assert_true(current->accepted < FX_STREAMS);
    current->streams[current->accepted++] = s;
    current->opened++;
    tell(s, " opened");
    if (current->in_opened != NULL)
        current->in_opened(s);
}

static void on_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    check_owner(self);
    tell(s, " data:%.*s", (int)buf->len, (const char *)buf->data);
    if (current->keep_data)
        current->kept[current->kept_count++] = buf;
    else if (current->echo)
        gy_stream_send(s, buf);
    else
        gy_buf_release(buf);
    if (current->in_data != NULL)
        current->in_data(s);
}

static void on_ended(struct gy_actor *self, struct gy_stream *s)
{
    check_owner(self);
    tell(s, " ended");
    if (current->in_ended != NULL)
        current->in_ended(s);
}

static void on_flush(struct gy_actor *self, struct gy_stream *s)
{
    check_owner(self);
    tell(s, " flush");
    if (current->in_flush != NULL)
        current->in_flush(s);
}

static void on_drained(struct gy_actor *self, struct gy_stream *s)
{
    check_owner(self);
    tell(s, " drained");
    if (current->in_drained != NULL)
        current->in_drained(s);
}

static void on_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    check_owner(self);
    current->closed++;
    tell(s, " closed:%d", why);
    for (unsigned i = 0; i < current->accepted; i++)
        if (current->streams[i] == s && s != current->streams[0])
            current->streams[i] = NULL;
    if (current->in_closed != NULL)
        current->in_closed(s);
}

static void on_drain(struct gy_actor *self)
{
    check_owner(self);
    tell(NULL, " drain");
    if (current->in_drain != NULL)
        current->in_drain();
}

static int server_start(struct gy_actor *self, const void *args)
{
    (void)args;
    current->actor = self;
    return gy_listen_raw(self, "127.0.0.1:0", &current->events, &current->options);
}

static void server_stop(struct gy_actor *self, int why)
{
    (void)self, (void)why;
}

static const struct gy_actor_type server_type = {"server", sizeof(struct gy_actor), 0, server_start,
                                                 server_stop};

void fx_init(struct fixture *fx)
{
    memset(fx, 0, sizeof(*fx));
    fx->options = (struct gy_listen_options)GY_LISTEN_OPTIONS_INIT;
    fx->events = (struct gy_stream_events){on_opened,  on_data,   on_ended, on_flush,
                                           on_drained, on_closed, on_drain};
    fake_init(&fx->fake);
    current = fx;
}

static int boot(unsigned shard, void *arg)
{
    struct fixture *fx = arg;
    (void)shard;
    return gy_spawn_raw(&fx->pid, &server_type, NULL);
}

void fx_start(struct fixture *fx)
{
    struct gy_config config;

    gy_config_init(&config);
    config.recv_buffers = fx->fake.buffers_max;
    config.streams_max = 32;
    /* Small, because thousands of shards are opened. */
    config.actors_max = 64;
    config.fifo_cells = 256;
    config.futures = 64;
    config.ring_cells = 64;
    config.mailbox = 64;
    assert_int_equal(fake_try_open(&fx->fake, &config, 1, boot, fx), 0);
    fx->shard = fx->fake.shard[0].shard;
    fx_turn(fx);
}

void fx_open(struct fixture *fx)
{
    struct gy_op *listen;

    fx_start(fx);
    listen = fake_op(&fx->fake, 0, GY_OP_LISTEN, 0);
    assert_non_null(listen);
    assert_string_equal(listen->u.listen.addr, "127.0.0.1:0");
    listen->u.listen.port = FX_PORT;
    fake_complete(&fx->fake, 0, listen, 3, false);
    assert_int_equal(fake_count(&fx->fake, 0, GY_OP_ACCEPT), 1);
}

void fx_turn(struct fixture *fx)
{
    fake_turn(&fx->fake, 0);
}

void fx_check_clean(struct fixture *fx)
{
    assert_int_equal(fx->shard->streams->open, 0);
    assert_int_equal(fx->shard->streams->starved, 0);
    assert_int_equal(fx->shard->drain_holds, 0);
    assert_int_equal(gy__bufs_out(fx->shard), 0);
    assert_int_equal(fx->fake.shard[0].buffers_out, 0);
    assert_int_equal(fx->opened, fx->accepted);
}

void fx_close(struct fixture *fx)
{
    fx_release_kept(fx);
    fake_close(&fx->fake);
}

struct gy_stream *fx_accept(struct fixture *fx, int32_t handle)
{
    unsigned before = fx->accepted;

    fake_complete(&fx->fake, 0, fake_op(&fx->fake, 0, GY_OP_ACCEPT, 0), handle, true);
    fx_turn(fx);
    assert_int_equal(fx->accepted, before + 1);
    return fx->streams[before];
}

void fx_data(struct fixture *fx, struct gy_stream *s, const char *bytes, bool more)
{
    fake_receive(&fx->fake, 0, &s->in, bytes, strlen(bytes), more);
}

void fx_in(struct fixture *fx, struct gy_stream *s, int32_t res)
{
    assert_int_equal(s->in.handle, s->handle);
    fake_complete(&fx->fake, 0, &s->in, res, false);
}

void fx_out(struct fixture *fx, struct gy_stream *s, int32_t res)
{
    assert_int_equal(s->out.handle, s->handle);
    fake_complete(&fx->fake, 0, &s->out, res, false);
}

void fx_sent(struct fixture *fx, struct gy_stream *s, const char *bytes)
{
    char sent[4096];
    size_t len = fake_bytes(&s->out, sent, sizeof(sent) - 1);

    assert_true(len < sizeof(sent));
    sent[len] = 0;
    assert_string_equal(sent, bytes);
    fx_out(fx, s, (int32_t)len);
}

int fx_send(struct fixture *fx, struct gy_stream *s, const char *bytes)
{
    struct gy_buf *buf;

    fake_enter(&fx->fake, 0);
    buf = gy_buf_take(strlen(bytes));
    assert_non_null(buf);
    memcpy(buf->data, bytes, strlen(bytes));
    buf->len = (uint32_t)strlen(bytes);
    buf->next = buf; /* the link was the giver's and says nothing */
    return gy_stream_send(s, buf);
}

void fx_kill(struct fixture *fx)
{
    fake_enter(&fx->fake, 0);
    assert_int_equal(gy_actor_stop_now(fx->pid, 0), 0);
    fx_turn(fx);
    fx_turn(fx);
    assert_null(gy__actor_find(fx->shard, fx->pid.bits));
}

void fx_release_kept(struct fixture *fx)
{
    fake_enter(&fx->fake, 0);
    for (unsigned i = 0; i < fx->kept_count; i++)
        gy_buf_release(fx->kept[i]);
    fx->kept_count = 0;
}
