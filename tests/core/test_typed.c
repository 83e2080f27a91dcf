/* The typed skin's verbs that carry a buffer: cast and call, here and to the other shard, refused and
 * dropped, and answers with one. Nothing is copied, and none is lost. */
#include "core/bufs.h"
#include "gyre/typed.h"
#include "tests/core/fake_driver.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

struct press_args {
    uint64_t keeps; /* buffers it does not give back, up to one */
};
GY_ACTOR(press);
struct press_print_msg {
    uint64_t pages, copies, margin;
};
GY_CAST_BUF(press, print);
struct press_bind_msg {
    uint64_t pages;
};
struct press_bind_reply {
    uint64_t weight;
};
GY_CALL_BUF(press, bind);
GY_REPLY_BUF(press, bind);

struct press {
    struct gy_actor actor;
    uint64_t pages;
    const uint8_t *seen; /* where the last buffer's bytes lay */
};
GY_ACTOR_TYPE(press, press_start, press_stop);
GY_VERB(press, print);
GY_VERB(press, bind);

static struct press *newest;

static int press_start(struct press *self, const struct press_args *args)
{
    (void)args;
    newest = self;
    return 0;
}

static void press_stop(struct press *self, int why)
{
    (void)self;
    (void)why;
}

void press_on_print(struct press *self, const struct press_print_msg *msg, struct gy_buf *buf)
{
    self->pages += msg->pages * msg->copies + msg->margin + buf->len;
    self->seen = buf->data;
    gy_buf_release(buf);
}

void press_on_bind(struct press *self, const struct press_bind_msg *msg, struct gy_buf *buf,
                   press_bind_promise reply)
{
    self->pages += msg->pages;
    self->seen = buf->data;
    if (msg->pages == 0) {
        gy_buf_release(buf);
        press_bind_reject(reply, -EINVAL);
        return;
    }
    buf->data[0]++;
    press_bind_resolve_buf(reply, (struct press_bind_reply){buf->len}, buf);
}

/* The one who asks: by a continuation that is given the buffer, and by one that does not want it. */
struct author_args {
    press_pid press;
};
GY_ACTOR(author);
struct author_write_msg {
    uint64_t pages, wants_it;
};
GY_CAST(author, write);

struct author {
    struct gy_actor actor;
    press_pid press;
    int res;
    uint64_t weight;
    uint8_t first;
    unsigned answers;
};
GY_ACTOR_TYPE(author, author_start, author_stop);
GY_VERB(author, write);
GY_THEN_REPLY_BUF(author, author_on_book, press, bind);
GY_THEN(author, author_on_note, press, bind);

static struct author *writer;

static int author_start(struct author *self, const struct author_args *args)
{
    self->press = args->press;
    writer = self;
    return 0;
}

static void author_stop(struct author *self, int why)
{
    (void)self;
    (void)why;
}

static void author_on_book(struct author *self, uint64_t ctx, int res,
                           const struct press_bind_reply *value, struct gy_buf *buf)
{
    (void)ctx;
    self->answers++;
    self->res = res;
    self->weight = value != NULL ? value->weight : 0;
    self->first = buf != NULL ? buf->data[0] : 0;
    gy_buf_release(buf);
}

static void author_on_note(struct author *self, uint64_t ctx, int res,
                           const struct press_bind_reply *value)
{
    (void)ctx;
    self->answers++;
    self->res = res;
    self->weight = value != NULL ? value->weight : 0;
}

static struct gy_buf *paper(size_t bytes)
{
    struct gy_buf *buf = gy_buf_take(bytes);
    assert_non_null(buf);
    memset(buf->data, 0x41, bytes);
    buf->len = (uint32_t)bytes;
    return buf;
}

void author_on_write(struct author *self, const struct author_write_msg *msg)
{
    press_bind_fut f = press_bind(self->press, (struct press_bind_msg){msg->pages}, paper(1000));
    assert_int_equal(msg->wants_it ? gy_then(self, f, author_on_book, 0)
                                   : gy_then(self, f, author_on_note, 0), 0);
}

static struct fake_driver fake;

static int open_two(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.ring_cells = 512;
    config.mailbox = 4;
    fake_open(&fake, &config, 2, NULL, NULL);
    fake_enter(&fake, 0);
    return 0;
}

static int close_two(void **state)
{
    (void)state;
    for (unsigned i = 0; i < fake.shards; i++)
        assert_int_equal(gy__bufs_out(fake.shard[i].shard), 0);
    fake_close(&fake);
    return 0;
}

static press_pid press_on(unsigned shard)
{
    press_pid pid;
    fake_enter(&fake, shard);
    assert_int_equal(press_spawn(&pid, &(struct press_args){0}), 0);
    fake_enter(&fake, 0);
    return pid;
}

static void a_cast_moves_its_buffer(void **state)
{
    (void)state;
    for (unsigned shard = 0; shard < 2; shard++) {
        press_pid press = press_on(shard);
        struct gy_buf *buf = paper(5000);
        const uint8_t *data = buf->data;
        assert_int_equal(press_print(press, (struct press_print_msg){3, 5, 7}, buf), 0);
        fake_settle(&fake);
        assert_int_equal(newest->pages, 3 * 5 + 7 + 5000);
        assert_ptr_equal(newest->seen, data);
    }
}

static void a_refused_cast_leaves_it_with_the_sender(void **state)
{
    (void)state;
    press_pid press = press_on(0);
    struct gy_buf *buf = paper(10);
    int err = 0, sent = 0;
    while ((err = press_print(press, (struct press_print_msg){1, 1, 0}, buf)) == 0) {
        buf = paper(10);
        sent++;
    }
    assert_int_equal(err, -EAGAIN);
    assert_int_equal(sent, 4);
    assert_int_equal(buf->data[9], 0x41);
    fake_settle(&fake);
    assert_int_equal(newest->pages, 4 * 11);
    fake_enter(&fake, 0);
    assert_int_equal(press_print((press_pid){{press.pid.bits + 2}}, (struct press_print_msg){1, 1, 0}, buf),
                     -ESRCH);
    gy_buf_release(buf);
}

static void what_a_dead_actor_had_not_handled_is_released(void **state)
{
    (void)state;
    press_pid press = press_on(0);
    assert_int_equal(press_print(press, (struct press_print_msg){1, 1, 0}, paper(10)), 0);
    assert_int_equal(gy_actor_stop_now(press.pid, 0), 0);
    fake_settle(&fake);
}

static void an_answer_moves_one_back(void **state)
{
    (void)state;
    for (unsigned shard = 0; shard < 2; shard++) {
        author_pid author;
        assert_int_equal(author_spawn(&author, &(struct author_args){press_on(shard)}), 0);
        assert_int_equal(author_write(author, (struct author_write_msg){2, 1}), 0);
        fake_settle(&fake);
        assert_int_equal(writer->answers, 1);
        assert_int_equal(writer->res, 0);
        assert_int_equal(writer->weight, 1000);
        assert_int_equal(writer->first, 0x42);
        /* An error has neither value nor buffer. */
        assert_int_equal(author_write(author, (struct author_write_msg){0, 1}), 0);
        fake_settle(&fake);
        assert_int_equal(writer->res, -EINVAL);
        assert_int_equal(writer->first, 0);
    }
}

/* Whoever waits by GY_THEN gets the value; the buffer goes home by itself. */
static void who_does_not_want_it_need_not_release_it(void **state)
{
    (void)state;
    for (unsigned shard = 0; shard < 2; shard++) {
        author_pid author;
        assert_int_equal(author_spawn(&author, &(struct author_args){press_on(shard)}), 0);
        assert_int_equal(author_write(author, (struct author_write_msg){2, 0}), 0);
        fake_settle(&fake);
        assert_int_equal(writer->answers, 1);
        assert_int_equal(writer->weight, 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_cast_moves_its_buffer, open_two, close_two),
        cmocka_unit_test_setup_teardown(a_refused_cast_leaves_it_with_the_sender, open_two, close_two),
        cmocka_unit_test_setup_teardown(what_a_dead_actor_had_not_handled_is_released, open_two,
                                        close_two),
        cmocka_unit_test_setup_teardown(an_answer_moves_one_back, open_two, close_two),
        cmocka_unit_test_setup_teardown(who_does_not_want_it_need_not_release_it, open_two, close_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
