/* The ring of receive buffers: who has which, and what the kernel is shown. */
#include "fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT 4u
#define SIZE 64u

struct world {
    struct gy__io_ring ring;
    struct gy__recv_bufs bufs;
    int fds[2];
};

static int set_up(void **state)
{
    static struct world w;
    const char *step = NULL;
    assert_int_equal(gy__io_open(&w.ring, 8, 16, &step), 0);
    assert_int_equal(gy__recv_bufs_open(&w.bufs, &w.ring.io, COUNT, SIZE), 0);
    socket_pair(w.fds);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    gy__recv_bufs_close(&w->bufs, &w->ring.io);
    gy__io_close(&w->ring);
    close(w->fds[0]);
    close(w->fds[1]);
    return 0;
}

/* One receive; -> its result, and the buffer it took. */
static int receive(struct world *w, uint32_t *buffer)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&w->ring.io);
    struct io_uring_cqe *cqe = NULL;
    io_uring_prep_recv(entry, w->fds[0], NULL, 0, MSG_DONTWAIT);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = GY__RECV_GROUP;
    assert_int_equal(io_uring_submit_and_get_events(&w->ring.io), 1);
    assert_int_equal(io_uring_peek_cqe(&w->ring.io, &cqe), 0);
    int res = cqe->res;
    if (res > 0) {
        assert_true(cqe->flags & IORING_CQE_F_BUFFER);
        *buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    }
    io_uring_cqe_seen(&w->ring.io, cqe);
    return res;
}

static void say(struct world *w, char c)
{
    assert_int_equal(write(w->fds[1], &c, 1), 1);
}

static void every_buffer_is_taken_once_and_comes_back(void **state)
{
    struct world *w = *state;
    uint32_t buffer = 0;
    for (char round = 0; round < 10; round++) {
        bool seen[COUNT] = {false};
        assert_int_equal(w->bufs.free, COUNT);
        for (unsigned i = 0; i < COUNT; i++) {
            say(w, (char)('a' + round));
            assert_int_equal(receive(w, &buffer), 1);
            uint8_t *data = gy__recv_bufs_taken(&w->bufs, buffer);
            assert_non_null(data);
            assert_int_equal(*data, 'a' + round);
            assert_false(seen[buffer]);
            seen[buffer] = true;
        }
        assert_int_equal(w->bufs.free, 0);
        say(w, 'z');
        assert_int_equal(receive(w, &buffer), -ENOBUFS);
        for (uint32_t i = 0; i < COUNT; i++)
            assert_true(gy__recv_bufs_give(&w->bufs, i));
        /* Queued only: the kernel does not see them yet. */
        assert_int_equal(receive(w, &buffer), -ENOBUFS);
        gy__recv_bufs_publish(&w->bufs);
        assert_int_equal(receive(w, &buffer), 1); /* nothing was lost */
        assert_non_null(gy__recv_bufs_taken(&w->bufs, buffer));
        assert_true(gy__recv_bufs_give(&w->bufs, buffer));
        gy__recv_bufs_publish(&w->bufs);
    }
}

static void what_is_not_held_cannot_be_given(void **state)
{
    struct world *w = *state;
    uint32_t buffer = 0;
    assert_false(gy__recv_bufs_give(&w->bufs, 0));
    assert_false(gy__recv_bufs_give(&w->bufs, COUNT));
    say(w, 'x');
    assert_int_equal(receive(w, &buffer), 1);
    assert_non_null(gy__recv_bufs_taken(&w->bufs, buffer));
    assert_null(gy__recv_bufs_taken(&w->bufs, buffer));
    assert_null(gy__recv_bufs_taken(&w->bufs, COUNT));
    assert_true(gy__recv_bufs_give(&w->bufs, buffer));
    assert_false(gy__recv_bufs_give(&w->bufs, buffer));
    assert_int_equal(w->bufs.queued, 1);
}

static void unreaped_completions_may_have_taken_some(void **state)
{
    struct world *w = *state;
    assert_int_equal(gy__recv_bufs_may_arm(&w->bufs, 0), COUNT);
    assert_int_equal(gy__recv_bufs_may_arm(&w->bufs, 3), 1);
    assert_int_equal(gy__recv_bufs_may_arm(&w->bufs, 9), 0);
}

static void wrong_sizes_are_refused(void **state)
{
    struct world *w = *state;
    struct gy__recv_bufs other;
    static const uint32_t counts[] = {0, 3, 65536};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        assert_int_equal(gy__recv_bufs_open(&other, &w->ring.io, counts[i], SIZE), -EINVAL);
    assert_int_equal(gy__recv_bufs_open(&other, &w->ring.io, 4, 0), -EINVAL);
    /* The group is in use: the kernel's own refusal comes through, and nothing leaks. */
    assert_true(gy__recv_bufs_open(&other, &w->ring.io, 4, SIZE) < 0);
    assert_null(other.ring);
    gy__recv_bufs_close(&other, &w->ring.io); /* fine for what is not open */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_buffer_is_taken_once_and_comes_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_held_cannot_be_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unreaped_completions_may_have_taken_some, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(wrong_sizes_are_refused, set_up, tear_down),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
