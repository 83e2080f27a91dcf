/* Files over the fake driver: slots and handles, short results, what a discard or a death leaves. */
#include "fake_driver.h"

#include "core/bufs.h"
#include "core/file.h"
#include "gyre/buf.h"
#include "gyre/typed.h"
#include "gyre/watch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct fake_driver fake;

struct holder_args {
    uint32_t unused;
};
GY_ACTOR(holder);
struct holder {
    struct gy_actor actor;
};
static int holder_start(struct holder *self, const struct holder_args *args)
{
    (void)self, (void)args;
    return 0;
}
static void holder_stop(struct holder *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(holder, holder_start, holder_stop);

/* ---- helpers ---- */

static struct gy_shard *shard_of_test(void)
{
    return fake.shard[0].shard;
}
static void settle(void)
{
    fake_leave();
    fake_settle(&fake);
    fake_enter(&fake, 0);
}
static void complete(enum gy_op_kind kind, int res)
{
    struct gy_op *op = fake_op(&fake, 0, kind, 0);
    assert_non_null(op);
    fake_complete(&fake, 0, op, res, false);
    settle();
}
/* How a future ended; it is let go. */
static int outcome(gy_fut fut)
{
    int res = gy_value_raw(fut, NULL, 0);
    gy_forget(fut);
    return res;
}
static gy_file open_file(unsigned how, int handle)
{
    gy_fut fut = gy_file_open("x", how, 0);
    assert_int_equal(gy_refused(fut), 0);
    complete(GY_OP_OPEN, handle);
    struct seen {
        int res;
    };
    struct gy__future *slot = &shard_of_test()->futures[gy__fut_slot(fut.bits)];
    int res = slot->res;
    slot->taken = true; /* as its consumer would */
    gy_forget(fut);
    return gy_file_of(res);
}
#define RW (GY_FILE_READ | GY_FILE_WRITE)

static int open_with(uint32_t files)
{
    struct gy_config config;
    gy_config_init(&config);
    config.actors_max = 1024;
    config.futures = 64;
    config.files = files;
    fake_open(&fake, &config, 1, NULL, NULL);
    fake_enter(&fake, 0);
    return 0;
}
static int set_up(void **state)
{
    (void)state;
    return open_with(4);
}
static int tear_down(void **state)
{
    (void)state;
    settle();
    assert_int_equal(shard_of_test()->futures_live, 0);
    assert_int_equal(shard_of_test()->opfuts_live, 0);
    assert_int_equal(shard_of_test()->drain_holds, 0);
    fake_leave();
    fake_close(&fake);
    return 0;
}
static void close_file(gy_file file)
{
    gy_fut fut = gy_file_close(file);
    settle();
    complete(GY_OP_CLOSE_FILE, 0);
    assert_int_equal(outcome(fut), 0);
    assert_int_equal(shard_of_test()->files_live, 0);
}

/* ---- opening and closing ---- */

static void a_value_names_one_file_of_one_actor(void **state)
{
    holder_pid pid;
    (void)state;
    gy_file file = open_file(RW, 7);
    assert_true(file.n > 0);
    assert_non_null(gy__file_find(shard_of_test(), file));
    assert_int_equal(holder_spawn(&pid, &(struct holder_args){ 0 }), 0);
    struct gy__context saved =
        gy__actor_enter(shard_of_test(), gy__actor_find(shard_of_test(), pid.pid.bits));
    assert_int_equal(gy_refused(gy_file_sync(file)), -EBADF);
    assert_int_equal(gy_refused(gy_file_close(file)), -EBADF);
    gy__actor_leave(shard_of_test(), saved);
    close_file(file);
    assert_int_equal(gy_refused(gy_file_sync(file)), -EBADF);
}

static void a_place_used_again_is_another_file(void **state)
{
    (void)state;
    gy_file first = open_file(RW, 7);
    close_file(first);
    for (unsigned i = 0; i < 2046; i++) {
        for (unsigned place = 0; place < 4; place++) {
            gy_file file = open_file(RW, 7);
            assert_int_not_equal(file.n, first.n);
            assert_int_equal(gy_refused(gy_file_sync(first)), -EBADF);
            close_file(file);
        }
    }
}

static void closing_waits_for_what_is_under_way(void **state)
{
    (void)state;
    gy_file file = open_file(RW, 7);
    gy_fut read = gy_file_read(file, 0, 100);
    gy_fut sync = gy_file_sync(file);
    gy_fut closed = gy_file_close(file);
    assert_int_equal(gy_refused(gy_file_read(file, 0, 100)), -EBADF);
    settle();
    assert_int_equal(fake_count(&fake, 0, GY_OP_CLOSE_FILE), 0);
    complete(GY_OP_READ, 0);
    assert_int_equal(fake_count(&fake, 0, GY_OP_CLOSE_FILE), 0);
    complete(GY_OP_SYNC, 0);
    assert_int_equal(fake_count(&fake, 0, GY_OP_CLOSE_FILE), 1);
    assert_int_equal(fake_op(&fake, 0, GY_OP_CLOSE_FILE, 0)->handle, 7);
    gy_discard(closed); /* changes nothing */
    assert_int_equal(fake.shard[0].canceled, 0);
    complete(GY_OP_CLOSE_FILE, 0);
    assert_int_equal(shard_of_test()->files_live, 0);
    gy_forget(read);
    gy_forget(sync);
}

static void the_error_of_a_close_is_told(void **state)
{
    (void)state;
    gy_fut fut = gy_file_close(open_file(RW, 7));
    settle();
    complete(GY_OP_CLOSE_FILE, -EDQUOT);
    assert_int_equal(outcome(fut), -EDQUOT);
    assert_int_equal(shard_of_test()->files_live, 0);
}

static void an_actor_s_end_closes_its_files(void **state)
{
    holder_pid pid;
    (void)state;
    assert_int_equal(holder_spawn(&pid, &(struct holder_args){ 0 }), 0);
    struct gy_actor *actor = gy__actor_find(shard_of_test(), pid.pid.bits);
    struct gy__context saved = gy__actor_enter(shard_of_test(), actor);
    (void)open_file(RW, 7);
    gy__actor_leave(shard_of_test(), saved);
    /* settle() has left the actor's context: enter it again. */
    saved = gy__actor_enter(shard_of_test(), actor);
    gy_fut opens = gy_file_open("y", RW, 0);
    gy__actor_leave(shard_of_test(), saved);
    assert_int_equal(gy_refused(opens), 0);
    assert_int_equal(gy_actor_stop(pid.pid, 0), 0);
    settle();
    assert_int_equal(fake.shard[0].canceled, 1);
    complete(GY_OP_OPEN, 8); /* it won: nobody is there to have it */
    unsigned handles = 0;
    for (unsigned i = 0; i < 2; i++) {
        handles += (unsigned)fake_op(&fake, 0, GY_OP_CLOSE_FILE, 0)->handle;
        complete(GY_OP_CLOSE_FILE, 0);
    }
    assert_int_equal(handles, 7 + 8);
    assert_int_equal(shard_of_test()->files_live, 0);
}

static void a_file_that_reaches_nobody_is_closed(void **state)
{
    (void)state;
    gy_fut fut = gy_file_open("x", RW, 0); /* discarded before it is open */
    gy_discard(fut);
    complete(GY_OP_OPEN, 7);
    complete(GY_OP_CLOSE_FILE, 0);

    fut = gy_file_open("x", RW, 0); /* ... while the answer is under way */
    fake_complete(&fake, 0, fake_op(&fake, 0, GY_OP_OPEN, 0), 7, false);
    fake_enter(&fake, 0);
    gy_discard(fut);
    settle();
    complete(GY_OP_CLOSE_FILE, 0);

    fut = gy_file_open("x", RW, 0); /* ... when it has come, and nobody looked */
    complete(GY_OP_OPEN, 7);
    gy_forget(fut);
    settle();
    complete(GY_OP_CLOSE_FILE, 0);

    fut = gy_file_open("x", RW, 0);
    complete(GY_OP_OPEN, -EMFILE);
    assert_int_equal(outcome(fut), -EMFILE);
    assert_int_equal(shard_of_test()->files_live, 0);
}

static void a_stop_closes_what_is_nobody_s(void **state)
{
    (void)state;
    (void)open_file(RW, 7);
    gy_forget(gy_file_open("x", RW, 0));
    gy__runtime_stop(fake.runtime, 0);
    settle();
    assert_int_equal(fake.shard[0].canceled, 1);
    complete(GY_OP_OPEN, 8);
    complete(GY_OP_CLOSE_FILE, 0);
    complete(GY_OP_CLOSE_FILE, 0);
    assert_int_equal(gy__shard_phase(fake.runtime, 0), GY__PHASE_STOPPED);
}

static void more_files_than_there_is_room_for(void **state)
{
    gy_file files[4];
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        files[i] = open_file(RW, 10 + (int)i);
    assert_int_equal(gy_refused(gy_file_open("x", RW, 0)), -EAGAIN);
    gy_fut fut = gy_file_close(files[2]);
    /* Not before it is closed. */
    assert_int_equal(gy_refused(gy_file_open("x", RW, 0)), -EAGAIN);
    settle();
    complete(GY_OP_CLOSE_FILE, 0);
    gy_forget(fut);
    files[2] = open_file(RW, 20);
    assert_true(files[2].n > 0);
}

/* ---- short results ---- */

static const struct gy_iov *piece(enum gy_op_kind kind)
{
    return fake_op(&fake, 0, kind, 0)->u.io.iov;
}

static void short_reads_go_on(void **state)
{
    (void)state;
    gy_file file = open_file(RW, 7);
    gy_fut fut = gy_file_read(file, 1000, 300);
    const uint8_t *base = piece(GY_OP_READ)->base;
    complete(GY_OP_READ, 100);
    assert_int_equal(fake_op(&fake, 0, GY_OP_READ, 0)->u.io.offset, 1100);
    assert_ptr_equal(piece(GY_OP_READ)->base, base + 100);
    assert_int_equal(piece(GY_OP_READ)->len, 200);
    complete(GY_OP_READ, -EINTR);
    assert_int_equal(fake_op(&fake, 0, GY_OP_READ, 0)->u.io.offset, 1100);
    complete(GY_OP_READ, 150);
    complete(GY_OP_READ, 0); /* the end of the file */
    struct gy_buf *buf = gy_value_buf(fut);
    assert_int_equal(buf->len, 250);
    gy_buf_release(buf);
    assert_int_equal(outcome(fut), 250);
    close_file(file);
}

static void a_single_buffer_is_no_list(void **state)
{
    (void)state;
    gy_file file = open_file(RW, 7);
    for (unsigned writes = 0; writes < 2; writes++) {
        struct gy_buf *buf = gy_buf_take(300);
        buf->next = (struct gy_buf *)(uintptr_t)16; /* left over from some list of its owner's */
        buf->len = writes ? 300 : 10;
        gy_fut fut = writes ? gy_file_write(file, 0, buf) : gy_file_read_into(file, 0, buf);
        complete(writes ? GY_OP_WRITE : GY_OP_READ, writes ? 300 : 20);
        if (!writes) {
            complete(GY_OP_READ, 0);
            buf = gy_value_buf(fut);
            assert_int_equal(buf->len, 30);
            gy_buf_release(buf);
        }
        assert_int_equal(outcome(fut), writes ? 300 : 20);
    }
    close_file(file);
}

static void an_error_amid_a_read_is_an_error(void **state)
{
    (void)state;
    gy_file file = open_file(RW, 7);
    gy_fut fut = gy_file_read(file, 0, 300);
    complete(GY_OP_READ, 100);
    complete(GY_OP_READ, -EIO);
    assert_null(gy_value_buf(fut));
    assert_int_equal(outcome(fut), -EIO);
    close_file(file);
}

static void short_writes_go_on(void **state)
{
    (void)state;
    gy_file file = open_file(RW, 7);
    struct gy_buf *buf = gy_buf_take(300);
    buf->len = 300;
    gy_fut fut = gy_file_write(file, 5, buf);
    complete(GY_OP_WRITE, 299);
    assert_int_equal(fake_op(&fake, 0, GY_OP_WRITE, 0)->u.io.offset, 304);
    assert_int_equal(piece(GY_OP_WRITE)->len, 1);
    complete(GY_OP_WRITE, 1);
    assert_int_equal(outcome(fut), 300);

    buf = gy_buf_take(300);
    buf->len = 300;
    fut = gy_file_write(file, 5, buf);
    complete(GY_OP_WRITE, 100);
    complete(GY_OP_WRITE, -ENOSPC);
    assert_int_equal(outcome(fut), -ENOSPC);

    buf = gy_buf_take(300);
    buf->len = 300;
    fut = gy_file_write(file, 5, buf);
    complete(GY_OP_WRITE, 0); /* or it would go on for ever */
    assert_int_equal(outcome(fut), -EIO);
    close_file(file);
}

static void lists_go_on_in_the_middle_of_a_piece(void **state)
{
    (void)state;
    gy_file file = open_file(RW, 7);
    struct gy_buf *list = NULL;
    for (unsigned i = 0; i < 3; i++) {
        struct gy_buf *buf = gy_buf_take(512);
        buf->next = list;
        list = buf;
    }
    gy_fut fut = gy_file_readv(file, 0, list);
    assert_int_equal(fake_op(&fake, 0, GY_OP_READ, 0)->u.io.n, 3);
    complete(GY_OP_READ, 512 + 12);
    assert_int_equal(fake_op(&fake, 0, GY_OP_READ, 0)->u.io.n, 2);
    assert_int_equal(piece(GY_OP_READ)->len, 500);
    assert_ptr_equal(piece(GY_OP_READ)->base, list->next->base + 12);
    complete(GY_OP_READ, 500);
    assert_int_equal(fake_op(&fake, 0, GY_OP_READ, 0)->u.io.n, 1);
    complete(GY_OP_READ, 12);
    complete(GY_OP_READ, 0);
    struct gy_buf *got = NULL;
    assert_int_equal(gy_value_raw(fut, &got, sizeof(got)), 1036);
    assert_ptr_equal(got, list);
    assert_int_equal(list->len, 512);
    assert_int_equal(list->next->len, 512);
    assert_int_equal(list->next->next->len, 12);
    gy_forget(fut); /* nobody took it: all of it goes home */
    close_file(file);
}

static void past_the_cache_only_the_end_is_uneven(void **state)
{
    (void)state;
    gy_file file = open_file(RW | GY_FILE_DIRECT, 7);
    gy_fut fut = gy_file_read(file, 0, 4096);
    assert_int_equal((uintptr_t)piece(GY_OP_READ)->base % 4096, 0);
    complete(GY_OP_READ, 1024);
    complete(GY_OP_READ, 100); /* no more is asked for */
    gy_buf_release(gy_value_buf(fut));
    assert_int_equal(outcome(fut), 1124);
    fut = gy_file_read(file, 0, 512);
    assert_int_equal((uintptr_t)piece(GY_OP_READ)->base % 4096, 0);
    assert_int_equal(piece(GY_OP_READ)->len, 512);
    complete(GY_OP_READ, 0);
    assert_int_equal(outcome(fut), 0);
    close_file(file);
}

static void where_it_stands_a_read_gives_what_there_is(void **state)
{
    (void)state;
    gy_file file = open_file(RW, 7);
    gy_fut fut = gy_file_read(file, GY_FILE_HERE, 4096);
    complete(GY_OP_READ, 10);
    gy_buf_release(gy_value_buf(fut));
    assert_int_equal(outcome(fut), 10);
    struct gy_buf *buf = gy_buf_take(300);
    buf->len = 300;
    fut = gy_file_write(file, GY_FILE_HERE, buf);
    complete(GY_OP_WRITE, 10);
    assert_int_equal(fake_op(&fake, 0, GY_OP_WRITE, 0)->u.io.offset, GY_FILE_HERE);
    complete(GY_OP_WRITE, 290);
    assert_int_equal(outcome(fut), 300);
    close_file(file);
}

static void past_the_cache_buffers_are_pinned(void **state)
{
    struct gy_buf *before = gy_buf_take(4096); /* taken before anybody knew */
    (void)state;
    gy_file file = open_file(RW, 7);
    gy_fut fut = gy_file_read(file, 0, 4096);
    assert_int_equal(fake_op(&fake, 0, GY_OP_READ, 0)->u.io.fixed, 0);
    complete(GY_OP_READ, 0);
    assert_int_equal(outcome(fut), 0);
    close_file(file);
    assert_int_equal(fake.shard[0].pinned, 0);

    file = open_file(RW | GY_FILE_DIRECT, 7);
    assert_true(fake.shard[0].pinned > 0);
    uint32_t pinned = fake.shard[0].pinned;
    before->len = 4096;
    fut = gy_file_write(file, 0, before);
    uint32_t fixed = fake_op(&fake, 0, GY_OP_WRITE, 0)->u.io.fixed;
    assert_true(fixed > 0 && fixed <= pinned);
    complete(GY_OP_WRITE, 4096);
    assert_int_equal(outcome(fut), 4096);
    /* Pools grow: so does what is pinned. */
    gy_fut reads[48];
    struct gy_buf *held[200];
    for (unsigned i = 0; i < 200; i++)
        held[i] = gy_buf_take(4096);
    assert_true(fake.shard[0].pinned > pinned);
    for (unsigned i = 0; i < 48; i++)
        reads[i] = gy_file_read(file, 0, i % 2 ? 4096 : 65536);
    for (unsigned i = 0; i < 48; i++)
        assert_true(fake_op(&fake, 0, GY_OP_READ, i)->u.io.fixed > 0);
    for (unsigned i = 0; i < 48; i++) {
        complete(GY_OP_READ, 0);
        gy_forget(reads[i]);
    }
    for (unsigned i = 0; i < 200; i++)
        gy_buf_release(held[i]);
    /* Memory of the program's is no memory of the pools. */
    fut = gy_file_write(file, 0, gy_buf_wrap("x", 1, NULL, NULL));
    assert_int_equal(fake_op(&fake, 0, GY_OP_WRITE, 0)->u.io.fixed, 0);
    complete(GY_OP_WRITE, 1);
    assert_int_equal(outcome(fut), 1);
    close_file(file);
}

/* ---- from front to back ---- */

static struct gy_buf *some(uint32_t len)
{
    struct gy_buf *buf = gy_buf_take(len);
    buf->len = len;
    return buf;
}

static void blocks_are_read_ahead_in_order(void **state)
{
    (void)state;
    gy_file file = open_file(RW, 7);
    assert_int_equal(gy_refused(gy_file_next(file)), -EINVAL);
    assert_int_equal(gy_file_ahead(file, 1000, UINT64_MAX, 100, 0), -EINVAL);
    assert_int_equal(gy_file_ahead(file, 1000, UINT64_MAX, 100, 33), -EINVAL);
    assert_int_equal(gy_file_ahead(file, 1000, UINT64_MAX, 100, 3), 0);
    assert_int_equal(fake_count(&fake, 0, GY_OP_READ), 3);
    gy_fut first = gy_file_next(file), second = gy_file_next(file);
    assert_int_equal(fake_count(&fake, 0, GY_OP_READ), 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(fake_op(&fake, 0, GY_OP_READ, i)->u.io.offset, 1000 + 100 * i);
    /* They end in another order. */
    fake_complete(&fake, 0, fake_op(&fake, 0, GY_OP_READ, 1), -EIO, false);
    settle();
    assert_int_equal(gy_value_raw(first, NULL, 0), -EAGAIN);
    complete(GY_OP_READ, 100);
    assert_int_equal(outcome(second), -EIO);
    gy_buf_release(gy_value_buf(first));
    assert_int_equal(outcome(first), 100);
    /* Beginning anew takes back what is under way. */
    assert_int_equal(gy_file_ahead(file, 0, 150, 100, 3), 0);
    assert_int_equal(fake.shard[0].canceled, 3);
    for (unsigned i = 0; i < 3; i++)
        complete(GY_OP_READ, -ECANCELED);
    first = gy_file_next(file);
    second = gy_file_next(file);
    assert_int_equal(piece(GY_OP_READ)->len, 100);
    complete(GY_OP_READ, 0);
    assert_int_equal(piece(GY_OP_READ)->len, 50);
    complete(GY_OP_READ, 0);
    assert_int_equal(outcome(first), 0);
    assert_int_equal(outcome(second), 0);
    assert_int_equal(outcome(gy_file_next(file)), 0);
    close_file(file);
}

static void writing_behind_is_bounded(void **state)
{
    (void)state;
    gy_file file = open_file(RW, 7);
    assert_int_equal(gy_file_behind(file, 50, 250), 0);
    assert_int_equal(outcome(gy_file_put(file, some(100))), 0);
    assert_int_equal(outcome(gy_file_put(file, some(150))), 0);
    gy_fut full = gy_file_put(file, some(100));
    settle();
    assert_int_equal(gy_value_raw(full, NULL, 0), -EAGAIN);
    assert_int_equal(gy_refused(gy_file_put(file, some(1))), -EBUSY);
    assert_int_equal(gy_file_behind(file, 0, 0), -EBUSY);
    assert_int_equal(fake_op(&fake, 0, GY_OP_WRITE, 0)->u.io.offset, 50);
    assert_int_equal(fake_op(&fake, 0, GY_OP_WRITE, 1)->u.io.offset, 150);
    assert_int_equal(fake_op(&fake, 0, GY_OP_WRITE, 2)->u.io.offset, 300);
    complete(GY_OP_WRITE, 60); /* some of the first: not yet */
    assert_int_equal(gy_value_raw(full, NULL, 0), -EAGAIN);
    gy_fut flush = gy_file_flush(file);
    assert_int_equal(gy_refused(gy_file_flush(file)), -EBUSY);
    fake_complete(&fake, 0, fake_op(&fake, 0, GY_OP_WRITE, 1), 100, false);
    settle();
    assert_int_equal(outcome(full), 0);
    assert_int_equal(gy_value_raw(flush, NULL, 0), -EAGAIN);
    complete(GY_OP_WRITE, 150);
    complete(GY_OP_WRITE, 40);
    assert_int_equal(outcome(flush), 0);
    assert_int_equal(outcome(gy_file_flush(file)), 0);
    assert_int_equal(outcome(gy_file_put(file, some(0))), 0);
    close_file(file);
}

static void the_error_of_a_write_behind_is_told(void **state)
{
    (void)state;
    for (unsigned who = 0; who < 4; who++) {
        gy_file file = open_file(RW, 7);
        assert_int_equal(gy_file_behind(file, 0, 150), 0);
        assert_int_equal(outcome(gy_file_put(file, some(100))), 0);
        gy_fut fut = { 0 };
        if (who == 0)
            fut = gy_file_put(file, some(100)); /* one that waits for room */
        if (who == 1)
            fut = gy_file_flush(file);
        complete(GY_OP_WRITE, -ENOSPC);
        if (who == 0) {
            assert_int_equal(outcome(fut), -ENOSPC);
            complete(GY_OP_WRITE, 100);
        }
        if (who == 1)
            assert_int_equal(outcome(fut), -ENOSPC);
        if (who == 2) /* the next one, whose buffer goes nowhere */
            assert_int_equal(gy_refused(gy_file_put(file, some(100))), -ENOSPC);
        assert_int_equal(gy_refused(gy_file_flush(file)), -ENOSPC);
        fut = gy_file_close(file);
        settle();
        complete(GY_OP_CLOSE_FILE, 0);
        assert_int_equal(outcome(fut), -ENOSPC);
    }
}

static void what_was_put_is_written_whoever_ends(void **state)
{
    holder_pid pid;
    (void)state;
    assert_int_equal(holder_spawn(&pid, &(struct holder_args){ 0 }), 0);
    struct gy_actor *actor = gy__actor_find(shard_of_test(), pid.pid.bits);
    struct gy__context saved = gy__actor_enter(shard_of_test(), actor);
    gy_file file = open_file(RW, 7);
    saved = gy__actor_enter(shard_of_test(), actor);
    assert_int_equal(gy_file_behind(file, 0, 150), 0);
    gy_forget(gy_file_put(file, some(100)));
    gy_fut waits = gy_file_put(file, some(100));
    assert_int_equal(gy_refused(waits), 0);
    assert_int_equal(gy_file_ahead(file, 0, UINT64_MAX, 100, 2), 0);
    gy__actor_leave(shard_of_test(), saved);
    assert_int_equal(gy_actor_stop(pid.pid, 0), 0);
    settle();
    assert_int_equal(fake.shard[0].canceled, 2); /* the reads */
    complete(GY_OP_READ, -ECANCELED);
    complete(GY_OP_READ, -ECANCELED);
    complete(GY_OP_WRITE, 99);
    complete(GY_OP_WRITE, 100);
    assert_int_equal(fake_count(&fake, 0, GY_OP_CLOSE_FILE), 0);
    complete(GY_OP_WRITE, 1);
    complete(GY_OP_CLOSE_FILE, 0);
    assert_int_equal(shard_of_test()->files_live, 0);
}

/* What was forgotten and waits for a pipe's bytes is not waited for when its actor is gone. */
static void a_forgotten_read_ends_with_its_actor(void **state)
{
    holder_pid pid, other, next;
    (void)state;
    assert_int_equal(holder_spawn(&pid, &(struct holder_args){ 0 }), 0);
    assert_int_equal(holder_spawn(&other, &(struct holder_args){ 0 }), 0);
    struct gy_actor *actor = gy__actor_find(shard_of_test(), pid.pid.bits);
    struct gy_actor *stays = gy__actor_find(shard_of_test(), other.pid.bits);
    struct gy__context saved = gy__actor_enter(shard_of_test(), actor);
    gy_file file = open_file(RW, 7);
    (void)gy__actor_enter(shard_of_test(), actor);
    gy_forget(gy_file_read(file, GY_FILE_HERE, 100));
    gy_forget(gy_file_read(file, 0, 100)); /* ends by itself */
    (void)gy__actor_enter(shard_of_test(), stays);
    gy_file its = open_file(RW, 8);
    (void)gy__actor_enter(shard_of_test(), stays);
    gy_forget(gy_file_read(its, GY_FILE_HERE, 100));
    gy__actor_leave(shard_of_test(), saved);
    assert_int_equal(shard_of_test()->opfuts_stray, 2);
    assert_int_equal(gy_actor_stop(pid.pid, 0), 0);
    settle();
    assert_int_equal(fake.shard[0].canceled, 1);
    complete(GY_OP_READ, -ECANCELED);
    complete(GY_OP_READ, 0);
    complete(GY_OP_CLOSE_FILE, 0);
    assert_int_equal(holder_spawn(&next, &(struct holder_args){ 0 }), 0);
    assert_int_equal(next.pid.bits >> 32, pid.pid.bits >> 32); /* shard and slot */
    assert_int_equal(shard_of_test()->opfuts_stray, 1);
    complete(GY_OP_READ, 5);
    assert_int_equal(shard_of_test()->opfuts_stray, 0);
}

/* ---- parts ---- */

static void no_parts_past_the_cache(void **state)
{
    (void)state;
    gy_file file = open_file(GY_FILE_READ | GY_FILE_DIRECT, 7);
    assert_null(gy_file_part(file, 0, 4096));
    assert_true(fake_logged(&fake, "send x: opened past the cache (GY_FILE_DIRECT); open it once more without"));
    assert_int_equal(gy_refused(gy_file_send(file, 0, 4096, NULL)), -EINVAL);
    close_file(file);
    file = open_file(GY_FILE_READ, 7);
    gy_buf_release(gy_file_part(file, 0, 4096));
    close_file(file);
}

/* ---- watches ---- */

/* Events that arrive for a reader that has given up are the next one's, in order; those of a watch that is
 * closed are nobody's. */
static void arrive(unsigned nth, int32_t id)
{
    const struct gy_event event = { .id = id, .mask = GY_EVENT_MODIFY };
    const struct gy_op *op = fake_op(&fake, 0, GY_OP_READ, nth);
    assert_non_null(op);
    memcpy((void *)(uintptr_t)op->u.io.iov->base, &event, sizeof(event));
}
/* The cell that brings the answer is still on its way. */
static void complete_in_turn(enum gy_op_kind kind, int res)
{
    struct gy_op *op = fake_op(&fake, 0, kind, 0);
    assert_non_null(op);
    fake_leave();
    fake_complete(&fake, 0, op, res, false);
    fake_enter(&fake, 0);
}
static int32_t id_of(gy_fut fut)
{
    struct gy_watch_event seen;
    uint32_t at = 0;
    assert_int_equal(gy_value_raw(fut, NULL, 0), sizeof(struct gy_event));
    struct gy_buf *events = gy_value_buf(fut);
    assert_true(gy_watch_event_at(events, &at, &seen));
    gy_buf_release(events);
    gy_forget(fut);
    return seen.id;
}
static void next_is(gy_file watch, int32_t id)
{
    gy_fut fut = gy_watch_next(watch);
    settle();
    assert_int_equal(id_of(fut), id);
}

static void events_for_nobody_are_kept(void **state)
{
    (void)state;
    uint64_t out = gy__bufs_out(shard_of_test());
    gy_fut fut = gy_watch_open("x", GY_WATCH_ALL);
    complete(GY_OP_WATCH, 7);
    struct gy__future *slot = &shard_of_test()->futures[gy__fut_slot(fut.bits)];
    gy_file watch = gy_file_of(slot->res);
    slot->taken = true;
    gy_forget(fut);
    for (int32_t round = 0; round < 2; round++) {
        gy_fut first = gy_watch_next(watch), second = gy_watch_next(watch);
        settle();
        arrive(0, 1);
        arrive(1, 2);
        gy_discard(first);
        gy_discard(second);
        complete(GY_OP_READ, sizeof(struct gy_event));
        complete(GY_OP_READ, sizeof(struct gy_event));
        next_is(watch, 1);
        if (round == 0)
            next_is(watch, 2); /* otherwise nobody fetches it */
    }
    gy_forget(gy_file_close(watch));
    complete(GY_OP_CLOSE_FILE, 0);
    assert_int_equal(gy__bufs_out(shard_of_test()), out);
}

/* They had come already: into the future, to a combinator that chose another, or as far as a cell that brings them
 * in the same turn. Who has taken them has them, and the next hears of none twice. */
static void events_that_nobody_took_are_kept(void **state)
{
    enum { TAKEN, DISCARDED, FORGOTTEN, SAME_TURN, NOT_CHOSEN, KEPT_BEFORE, WAITED_FOR, WAYS };
    (void)state;
    uint64_t out = gy__bufs_out(shard_of_test());
    gy_fut fut = gy_watch_open("x", GY_WATCH_ALL);
    complete(GY_OP_WATCH, 7);
    struct gy__future *slot = &shard_of_test()->futures[gy__fut_slot(fut.bits)];
    gy_file watch = gy_file_of(slot->res);
    slot->taken = true;
    gy_forget(fut);
    for (int32_t way = TAKEN; way < WAYS; way++) {
        gy_fut group = { 0 }, first = gy_watch_next(watch);
        settle();
        arrive(0, 1);
        if (way == NOT_CHOSEN) {
            const gy_fut futs[2] = { gy_path_mkdir("d", 0700), first };
            group = gy_any(futs, 2);
            complete(GY_OP_MKDIR, 0);
        }
        if (way == SAME_TURN || way == WAITED_FOR)
            complete_in_turn(GY_OP_READ, sizeof(struct gy_event));
        else
            complete(GY_OP_READ, sizeof(struct gy_event));
        if (way == TAKEN) {
            gy_buf_release(gy_value_buf(first));
            gy_forget(first);
            continue;
        }
        if (way == FORGOTTEN)
            gy_forget(first);
        else if (way == NOT_CHOSEN)
            gy_forget(group);
        else
            gy_discard(first);
        if (way == KEPT_BEFORE) {
            gy_forget(first);
            gy_fut again = gy_watch_next(watch);
            gy_discard(again);
            gy_forget(again);
        }
        if (way == WAITED_FOR) {
            gy_fut second = gy_watch_next(watch);
            settle();
            assert_true(fake_op(&fake, 0, GY_OP_READ, 0)->canceled); /* so that it ends, and has them */
            complete(GY_OP_READ, -ECANCELED);
            assert_int_equal(id_of(second), 1);
            continue;
        }
        settle();
        next_is(watch, 1);
    }
    assert_int_equal(fake_count(&fake, 0, GY_OP_READ), 0);
    gy_forget(gy_file_close(watch));
    complete(GY_OP_CLOSE_FILE, 0);
    assert_int_equal(gy__bufs_out(shard_of_test()), out);
}

/* Who waits already, when they come for the one before, gets them: nothing else may ever happen. */
static void kept_events_go_to_who_waits(void **state)
{
    (void)state;
    uint64_t out = gy__bufs_out(shard_of_test());
    gy_fut fut = gy_watch_open("x", GY_WATCH_ALL);
    complete(GY_OP_WATCH, 7);
    struct gy__future *slot = &shard_of_test()->futures[gy__fut_slot(fut.bits)];
    gy_file watch = gy_file_of(slot->res);
    slot->taken = true;
    gy_forget(fut);
    for (unsigned both = 0; both < 2; both++) {
        struct gy_watch_event seen;
        uint32_t at = 0;
        gy_fut first = gy_watch_next(watch);
        settle();
        gy_discard(first);
        gy_fut second = gy_watch_next(watch);
        settle();
        arrive(0, 1);
        complete(GY_OP_READ, sizeof(struct gy_event));
        const struct gy_op *op = fake_op(&fake, 0, GY_OP_READ, 0);
        assert_non_null(op);
        assert_true(op->canceled); /* so that it ends */
        if (both)
            arrive(0, 2);
        complete(GY_OP_READ, both ? (int32_t)sizeof(struct gy_event) : -ECANCELED);
        struct gy_buf *events = gy_value_buf(second);
        assert_true(gy_watch_event_at(events, &at, &seen));
        assert_int_equal(seen.id, 1);
        gy_buf_release(events);
        gy_forget(second);
        if (both)
            next_is(watch, 2);
    }
    gy_forget(gy_file_close(watch));
    complete(GY_OP_CLOSE_FILE, 0);
    assert_int_equal(gy__bufs_out(shard_of_test()), out);
}

/* Two wait, and what was kept for the one is taken by a third before: it goes on waiting. */
static void who_finds_nothing_kept_waits_on(void **state)
{
    (void)state;
    uint64_t out = gy__bufs_out(shard_of_test());
    gy_fut fut = gy_watch_open("x", GY_WATCH_ALL);
    complete(GY_OP_WATCH, 7);
    struct gy__future *slot = &shard_of_test()->futures[gy__fut_slot(fut.bits)];
    gy_file watch = gy_file_of(slot->res);
    slot->taken = true;
    gy_forget(fut);
    for (unsigned fourth = 0; fourth < 2; fourth++) {
        gy_fut first = gy_watch_next(watch);
        settle();
        gy_discard(first);
        gy_fut second = gy_watch_next(watch), last = { 0 };
        settle();
        arrive(0, 1);
        complete(GY_OP_READ, sizeof(struct gy_event));
        assert_true(fake_op(&fake, 0, GY_OP_READ, 0)->canceled);
        next_is(watch, 1); /* the third */
        if (fourth)
            last = gy_watch_next(watch);
        complete(GY_OP_READ, -ECANCELED);
        assert_int_equal(gy_value_raw(second, NULL, 0), -EAGAIN);
        assert_int_equal(fake_count(&fake, 0, GY_OP_READ), 1 + fourth);
        arrive(0, 2);
        complete(GY_OP_READ, sizeof(struct gy_event));
        if (fourth) {
            assert_int_equal(id_of(last), 2);
            arrive(0, 3);
            complete(GY_OP_READ, sizeof(struct gy_event));
        }
        assert_int_equal(id_of(second), 2 + (int)fourth);
    }
    gy_forget(gy_file_close(watch));
    complete(GY_OP_CLOSE_FILE, 0);
    assert_int_equal(gy__bufs_out(shard_of_test()), out);
}

/* ---- all of a file ---- */

/* The operation that is next, with an outcome. */
static void step(enum gy_op_kind kind, int32_t res)
{
    complete(kind, res);
}
static void told_of_size(uint64_t size)
{
    struct gy_op *op = fake_op(&fake, 0, GY_OP_STAT, 0);
    struct gy_file_info info = { .size = size };
    assert_non_null(op);
    memcpy(op->u.stat.info, &info, sizeof(info));
    complete(GY_OP_STAT, 0);
}
static void asked_for(uint64_t offset, size_t len)
{
    const struct gy_op *op = fake_op(&fake, 0, GY_OP_READ, 0);
    assert_non_null(op);
    assert_int_equal(op->handle, 7);
    assert_int_equal(op->u.io.offset, offset);
    assert_int_equal(op->u.io.iov->len, len);
    memset((void *)(uintptr_t)op->u.io.iov->base, (int)(offset % 251), len);
}

static void whole_whatever_its_size_was(void **state)
{
    (void)state;
    uint64_t out = gy__bufs_out(shard_of_test());
    gy_fut fut = gy_path_read("/proc/x", 10000);
    step(GY_OP_OPEN, 7);
    told_of_size(0);
    asked_for(0, 4096);
    step(GY_OP_READ, 4000);
    asked_for(4000, 96);
    step(GY_OP_READ, -EINTR);
    asked_for(4000, 96);
    step(GY_OP_READ, 96);
    asked_for(4096, 10000 - 4096); /* as much as may be */
    step(GY_OP_READ, 10000 - 4096);
    asked_for(10000, 1); /* one to see that it is too much */
    step(GY_OP_READ, 0);
    step(GY_OP_CLOSE_FILE, -EIO); /* nothing is lost by that */
    struct gy__future *slot = &shard_of_test()->futures[gy__fut_slot(fut.bits)];
    assert_int_equal(slot->res, 10000);
    gy_forget(fut);
    assert_int_equal(gy__bufs_out(shard_of_test()), out);

    fut = gy_path_read("/grows", 100);
    step(GY_OP_OPEN, 7);
    told_of_size(100);
    asked_for(0, 100);
    step(GY_OP_READ, 100);
    asked_for(100, 1);
    step(GY_OP_READ, 1);
    step(GY_OP_CLOSE_FILE, 0);
    assert_int_equal(outcome(fut), -EMSGSIZE);
    fut = gy_path_read("/large", 100);
    step(GY_OP_OPEN, 7);
    told_of_size(101);
    step(GY_OP_CLOSE_FILE, 0);
    assert_int_equal(outcome(fut), -EMSGSIZE);
    assert_true(fake_logged(&fake, "/large: Message too long"));
    assert_int_equal(gy_refused(gy_path_read("/x", UINT32_MAX)), -EINVAL);
    assert_int_equal(gy__bufs_out(shard_of_test()), out);
}

/* As much as the largest buffer holds, from what tells its size; nobody touches that memory. */
static void whole_to_the_last_byte(void **state)
{
    (void)state;
    for (unsigned more = 0; more < 2; more++) {
        const uint32_t max = UINT32_C(1) << 30;
        gy_fut fut = gy_path_read("/huge", max);
        assert_int_equal(gy_refused(fut), 0);
        step(GY_OP_OPEN, 7);
        told_of_size(max);
        assert_int_equal(fake_op(&fake, 0, GY_OP_READ, 0)->u.io.iov->len, max);
        step(GY_OP_READ, (int32_t)max);
        asked_for(max, 1);
        step(GY_OP_READ, (int32_t)more);
        step(GY_OP_CLOSE_FILE, 0);
        struct gy__future *slot = &shard_of_test()->futures[gy__fut_slot(fut.bits)];
        assert_int_equal(slot->res, more > 0 ? -EMSGSIZE : (int32_t)max);
        gy_forget(fut);
    }
}

static void whole_fails_or_is_given_up_at_each_step(void **state)
{
    (void)state;
    uint64_t out = gy__bufs_out(shard_of_test());
    for (unsigned at = 0; at < 6; at++) {
        static const enum gy_op_kind kinds[] = { GY_OP_OPEN, GY_OP_STAT, GY_OP_READ };
        gy_fut fut = gy_path_read("/x", 100);
        if (at % 3 > 0)
            step(GY_OP_OPEN, 7);
        if (at % 3 > 1)
            told_of_size(10);
        if (at < 3)
            gy_discard(fut); /* and the operation wins the race */
        settle();
        step(kinds[at % 3], at < 3 ? 7 : -EIO);
        if (at != 3) /* not opened */
            step(GY_OP_CLOSE_FILE, 0);
        if (at >= 3)
            assert_int_equal(outcome(fut), -EIO);
        assert_int_equal(fake_count(&fake, 0, GY_OP_NONE), 0);
        assert_int_equal(gy__bufs_out(shard_of_test()), out);
    }
}

/* ---- discards ---- */

static unsigned freed;
static void on_free(void *arg, const void *data)
{
    (void)arg, (void)data;
    freed++;
}

static void a_buffer_stays_until_the_kernel_has_done(void **state)
{
    (void)state;
    gy_file file = open_file(RW, 7);
    freed = 0;
    gy_fut fut = gy_file_write(file, 0, gy_buf_wrap("hello", 5, on_free, NULL));
    gy_discard(fut);
    settle();
    assert_int_equal(fake.shard[0].canceled, 1);
    assert_int_equal(freed, 0);
    complete(GY_OP_WRITE, 2); /* not all, but nobody wants the rest */
    assert_int_equal(freed, 1);
    assert_int_equal(fake_count(&fake, 0, GY_OP_WRITE), 0);

    fut = gy_file_read(file, 0, 100);
    gy_discard(fut);
    complete(GY_OP_READ, 100);
    settle();
    close_file(file);
    /* fake_close() fails if a buffer is out. */
}

static void refused_calls_release_what_they_took(void **state)
{
    (void)state;
    freed = 0;
    assert_int_equal(gy_refused(gy_file_write((gy_file){ 1 }, 0, gy_buf_wrap("", 0, on_free, NULL))),
                     -EBADF);
    gy_file file = open_file(RW, 7);
    assert_int_equal(
        gy_refused(gy_file_write(file, INT64_MAX, gy_buf_wrap("hello", 5, on_free, NULL))),
        -EINVAL);
    shard_of_test()->opfuts_max = 0;
    assert_int_equal(gy_refused(gy_file_write(file, 0, gy_buf_wrap("hello", 5, on_free, NULL))),
                     -EAGAIN);
    struct gy_buf *two = gy_buf_wrap("a", 1, on_free, NULL);
    two->next = gy_buf_wrap("b", 1, on_free, NULL);
    two->next->next = NULL;
    assert_int_equal(gy_refused(gy_file_writev(file, 0, two)), -EAGAIN);
    assert_int_equal(gy_refused(gy_file_read(file, 0, 10)), -EAGAIN);
    assert_int_equal(gy_refused(gy_file_stat(file)), -EAGAIN);
    assert_int_equal(gy_refused(gy_path_list("x")), -EAGAIN);
    assert_int_equal(gy_refused(gy_path_rename("x", "y")), -EAGAIN);
    assert_int_equal(gy_refused(gy_file_open("x", RW, 0)), -EAGAIN);
    assert_int_equal(freed, 5);
    /* It is closed although there is no future to tell. */
    assert_int_equal(gy_refused(gy_file_close(file)), -EAGAIN);
    settle();
    complete(GY_OP_CLOSE_FILE, 0);
    assert_int_equal(shard_of_test()->files_live, 0);
    shard_of_test()->opfuts_max = 64;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_value_names_one_file_of_one_actor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_place_used_again_is_another_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_waits_for_what_is_under_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_error_of_a_close_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_actor_s_end_closes_its_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_reaches_nobody_is_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_closes_what_is_nobody_s, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_files_than_there_is_room_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(short_reads_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_single_buffer_is_no_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_error_amid_a_read_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(short_writes_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_go_on_in_the_middle_of_a_piece, set_up, tear_down),
        cmocka_unit_test_setup_teardown(past_the_cache_only_the_end_is_uneven, set_up, tear_down),
        cmocka_unit_test_setup_teardown(where_it_stands_a_read_gives_what_there_is, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(past_the_cache_buffers_are_pinned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(blocks_are_read_ahead_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writing_behind_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_error_of_a_write_behind_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_put_is_written_whoever_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_forgotten_read_ends_with_its_actor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_for_nobody_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_parts_past_the_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_that_nobody_took_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kept_events_go_to_who_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_finds_nothing_kept_waits_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whole_whatever_its_size_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whole_to_the_last_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whole_fails_or_is_given_up_at_each_step, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_buffer_stays_until_the_kernel_has_done, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused_calls_release_what_they_took, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
