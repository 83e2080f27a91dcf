/* Sends: all or an error, and the handle that closes behind the last of them. */
#include "fixture.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct gy__uring_want want = {
    .sq_entries = 8, .cq_entries = 64, .recv_buffers = 4, .recv_buffer_size = 64};

static struct gy_op send_op(int fd, enum gy_op_kind kind, const struct gy_iov *iov, uint32_t n)
{
    struct gy_op op = {.kind = (uint8_t)kind, .handle = fd};
    op.u.send.iov = iov;
    op.u.send.n = n;
    return op;
}

struct reader {
    pthread_t thread;
    int fd;
    size_t wanted, got; /* reads until FIN or so many bytes */
    uint64_t sum;       /* of byte * position, so that order counts */
    bool slow;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;
    static _Thread_local uint8_t data[65536];
    while (r->got < r->wanted) {
        size_t want_now = r->slow ? 777 : sizeof(data);
        ssize_t n = read(r->fd, data, want_now);
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            r->sum += (uint64_t)data[i] * (r->got + (uint64_t)i + 1);
        r->got += (size_t)n;
        if (r->slow && r->got < 50000)
            usleep(100);
    }
    return NULL;
}

static void reader_start(struct reader *r, int fd, size_t wanted, bool slow)
{
    *r = (struct reader){.fd = fd, .wanted = wanted, .slow = slow};
    assert_int_equal(pthread_create(&r->thread, NULL, read_all, r), 0);
}

static void reader_end(struct reader *r)
{
    pthread_join(r->thread, NULL);
}

static uint64_t sum_of(const struct gy_iov *iov, uint32_t n)
{
    uint64_t sum = 0, at = 0;
    for (uint32_t i = 0; i < n; i++)
        for (size_t j = 0; j < iov[i].len; j++)
            sum += ((const uint8_t *)iov[i].base)[j] * ++at;
    return sum;
}

static uint8_t *pattern(size_t len)
{
    uint8_t *data = malloc(len);
    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 31 + i / 251);
    return data;
}

/* More than any socket holds, to a reader that is slow at first. */
static void all_of_it_is_sent(void **state)
{
    (void)state;
    enum { LEN = 4 << 20 };
    struct fixture *f = fixture_open(&want);
    struct reader r;
    int fds[2];
    uint8_t *data = pattern(LEN);
    struct gy_iov one = {data, LEN};
    socket_pair(fds);
    reader_start(&r, fds[1], LEN, true);
    struct gy_op op = send_op(fds[0], GY_OP_SEND, &one, 1);
    fixture_submit(f, &op);
    assert_int_equal(fixture_finish(f, &op), LEN);
    assert_int_equal(f->told_n, 1);
    reader_end(&r);
    assert_int_equal(r.got, LEN);
    assert_int_equal(r.sum, sum_of(&one, 1));
    free(data);
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

/* 3000 pieces of odd sizes, empty ones among them: more than one sendmsg takes. */
static void pieces_arrive_in_order(struct fixture *f)
{
    enum { PIECES = 3000 };
    static struct gy_iov iov[PIECES];
    struct reader r;
    int fds[2];
    size_t total = 0;
    uint8_t *data = pattern(PIECES * 100);
    for (uint32_t i = 0; i < PIECES; i++) {
        iov[i] = (struct gy_iov){data + total, i % 7 == 0 ? 0 : i % 100};
        total += iov[i].len;
    }
    socket_pair(fds);
    reader_start(&r, fds[1], total, true);
    struct gy_op op = send_op(fds[0], GY_OP_SEND, iov, PIECES);
    fixture_submit(f, &op);
    assert_int_equal(fixture_finish(f, &op), (int32_t)total);
    reader_end(&r);
    assert_int_equal(r.got, total);
    assert_int_equal(r.sum, sum_of(iov, PIECES));
    free(data);
    close(fds[0]);
    close(fds[1]);
}

static void many_pieces(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    uint32_t slots = f->u->slots_free;
    pieces_arrive_in_order(f);
    assert_int_equal(f->u->slots_free, slots); /* it came back */
    fixture_close(f);
}

static void many_pieces_without_a_slot(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    f->u->slots_free = 0;
    pieces_arrive_in_order(f);
    fixture_close(f);
}

/* A short send (the kernel gives them when it is interrupted) goes on in the middle of a piece. */
static void short_sends_go_on(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    struct gy_iov iov[3] = {{"abc", 3}, {"defg", 4}, {"hi", 2}};
    char got[16] = {0};
    int fds[2];
    socket_pair(fds);
    for (int32_t done = 0; done <= 9; done++) {
        struct gy_op op = send_op(fds[0], GY_OP_SEND, iov, 3);
        fixture_inject(f, &op, done == 0 ? -EINTR : done);
        assert_int_equal(fixture_finish(f, &op), 9);
        ssize_t n = recv(fds[1], got, sizeof(got), MSG_DONTWAIT);
        assert_int_equal(n < 0 ? 0 : n, 9 - done);
        assert_memory_equal(got, &"abcdefghi"[done], (size_t)(9 - done));
    }
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

static void nothing_to_send_is_sent_at_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    struct gy_iov iov[2] = {{"", 0}, {"", 0}};
    int fds[2];
    socket_pair(fds);
    int before = open_descriptors();
    struct gy_op op = send_op(fds[0], GY_OP_SEND, iov, 2);
    fixture_submit(f, &op);
    assert_int_equal(fixture_finish(f, &op), 0);
    op = send_op(fds[0], GY_OP_SEND_CLOSE, iov, 0);
    fixture_submit(f, &op);
    assert_int_equal(fixture_finish(f, &op), 0);
    assert_int_equal(open_descriptors(), before - 1);
    close(fds[1]);
    fixture_close(f);
}

/* No SIGPIPE: it would end this program. */
static void a_peer_that_is_gone_is_an_error(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    struct gy_iov one = {"hello", 5};
    int fds[2];
    socket_pair(fds);
    close(fds[1]);
    struct gy_op op = send_op(fds[0], GY_OP_SEND, &one, 1);
    fixture_submit(f, &op);
    assert_int_equal(fixture_finish(f, &op), -EPIPE);
    close(fds[0]);
    fixture_close(f);
}

static void a_waiting_send_can_be_cancelled(void **state)
{
    (void)state;
    enum { LEN = 4 << 20 };
    struct fixture *f = fixture_open(&want);
    uint8_t *data = pattern(LEN);
    struct gy_iov iov[2] = {{data, LEN / 2}, {data + LEN / 2, LEN / 2}};
    int fds[2];
    socket_pair(fds);
    uint32_t slots = f->u->slots_free;
    for (uint32_t n = 1; n <= 2; n++) {
        struct gy_op op = send_op(fds[0], GY_OP_SEND, iov, n);
        fixture_submit(f, &op);
        fixture_settle(f);
        assert_true(op.in_flight);
        fixture_cancel(f, &op);
        /* Some of it had been sent; it is cancelled all the same. */
        assert_int_equal(fixture_finish(f, &op), -ECANCELED);
        assert_int_equal(f->u->slots_free, slots);
    }
    free(data);
    close(fds[0]);
    close(fds[1]);
    fixture_close(f);
}

/* ---- send, then close ---- */

static void the_handle_closes_behind_the_last_byte(void **state)
{
    (void)state;
    enum { LEN = 1 << 20 };
    struct fixture *f = fixture_open(&want);
    uint8_t *data = pattern(LEN);
    struct reader r;
    for (uint32_t n = 1; n <= 3; n++) {
        struct gy_iov iov[3] = {{data, 1000}, {data + 1000, LEN - 1000}, {"", 0}};
        int fds[2];
        size_t total = n == 1 ? 1000 : LEN;
        socket_pair(fds);
        int before = open_descriptors();
        reader_start(&r, fds[1], SIZE_MAX, true);
        struct gy_op op = send_op(fds[0], GY_OP_SEND_CLOSE, iov, n);
        fixture_submit(f, &op);
        assert_int_equal(fixture_finish(f, &op), (int32_t)total);
        assert_int_equal(open_descriptors(), before - 1);
        reader_end(&r); /* it saw the FIN */
        assert_int_equal(r.got, total);
        assert_int_equal(r.sum, sum_of(iov, n));
        close(fds[1]);
    }
    free(data);
    fixture_close(f);
}

/* A plain link would cancel the close when the send fails, and the descriptor would leak. */
static void it_closes_also_when_the_send_fails(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    struct gy_iov one = {"hello", 5};
    for (int i = 0; i < 20; i++) {
        int fds[2];
        socket_pair(fds);
        close(fds[1]);
        int before = open_descriptors();
        fixture_settle(f);
        uint64_t entries = f->counts[GY__COUNT_SQES];
        struct gy_op op = send_op(fds[0], GY_OP_SEND_CLOSE, &one, 1);
        fixture_submit(f, &op);
        assert_int_equal(fixture_finish(f, &op), -EPIPE);
        assert_int_equal(open_descriptors(), before - 1);
        fixture_settle(f);
        assert_int_equal(f->counts[GY__COUNT_SQES] - entries, 3); /* the link did it */
    }
    fixture_close(f);
}

static void it_closes_also_when_it_is_cancelled(void **state)
{
    (void)state;
    enum { LEN = 4 << 20 };
    struct fixture *f = fixture_open(&want);
    uint8_t *data = pattern(LEN);
    struct gy_iov one = {data, LEN};
    int fds[2];
    socket_pair(fds);
    int before = open_descriptors();
    struct gy_op op = send_op(fds[0], GY_OP_SEND_CLOSE, &one, 1);
    fixture_submit(f, &op);
    fixture_settle(f);
    fixture_cancel(f, &op);
    assert_int_equal(fixture_finish(f, &op), -ECANCELED);
    assert_int_equal(open_descriptors(), before - 1);
    free(data);
    close(fds[1]);
    fixture_close(f);
}

/* The same while it waits for an entry, at each of its steps. */
static void it_closes_when_cancelled_before_it_has_an_entry(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    struct gy_iov one = {"hello", 5};
    for (uint32_t refused = 1; refused <= 3; refused++) {
        int fds[2];
        socket_pair(fds);
        int before = open_descriptors();
        struct gy_op op = send_op(fds[0], GY_OP_SEND_CLOSE, &one, 1);
        f->u->refuse_entries = refused;
        fixture_submit(f, &op);
        assert_int_equal(gy__op_state(&op), GY__OP_UNSENT);
        fixture_cancel(f, &op);
        assert_int_equal(fixture_finish(f, &op), -ECANCELED);
        assert_int_equal(open_descriptors(), before - 1);
        close(fds[1]);
    }
    fixture_close(f);
}

/* With room for less than they need, they wait for the next submission as a whole. */
static void the_pair_is_never_split(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    struct gy_iov one = {"hello", 5};
    char got[8];
    for (unsigned used = 0; used <= want.sq_entries; used++) {
        int fds[2];
        socket_pair(fds);
        fixture_settle(f);
        struct gy_op nops[16];
        memset(nops, 0, sizeof(nops));
        for (unsigned i = 0; i < used; i++) {
            nops[i].kind = GY_OP_CLOSE;
            fixture_inject(f, &nops[i], 0);
        }
        int before = open_descriptors();
        struct gy_op op = send_op(fds[0], GY_OP_SEND_CLOSE, &one, 1);
        fixture_submit(f, &op);
        assert_int_equal(io_uring_sq_ready(&f->u->ring.io),
                         used + 3 > want.sq_entries ? 3 : used + 3);
        assert_int_equal(fixture_finish(f, &op), 5);
        assert_int_equal(open_descriptors(), before - 1);
        assert_int_equal(read(fds[1], got, sizeof(got)), 5);
        assert_int_equal(read(fds[1], got, sizeof(got)), 0);
        close(fds[1]);
    }
    fixture_close(f);
}

static uint32_t segments_to(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info.tcpi_segs_in;
}

/* One segment carries the last bytes and the FIN, in one piece or several. */
static void the_last_bytes_bring_the_fin(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    struct gy_iov iov[2] = {{"hello, ", 7}, {"world", 5}};
    struct pollfd hung_up = {.events = POLLRDHUP};
    char got[16];
    int fds[2], on = 1;
    for (uint32_t n = 1; n <= 2; n++) {
        tcp_pair(fds);
        assert_int_equal(setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
        uint32_t before = segments_to(fds[1]);
        struct gy_op op = send_op(fds[0], GY_OP_SEND_CLOSE, iov, n);
        op.u.send.first = n == 1;
        fixture_submit(f, &op);
        assert_int_equal(fixture_finish(f, &op), n == 1 ? 7 : 12);
        hung_up.fd = fds[1];
        assert_int_equal(poll(&hung_up, 1, 10000), 1);
        assert_int_equal(segments_to(fds[1]), before + 1);
        assert_int_equal(read(fds[1], got, sizeof(got)), n == 1 ? 7 : 12);
        assert_memory_equal(got, "hello, world", n == 1 ? 7 : 12);
        assert_int_equal(read(fds[1], got, sizeof(got)), 0);
        close(fds[1]);
    }
    fixture_close(f);
}

/* Closing with bytes unread resets the peer, which then gets neither the last bytes nor a FIN. */
static void what_came_unread_costs_no_last_bytes(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    struct gy_iov one = {"hello", 5};
    static char more[100000];
    char got[8];
    int fds[2], there = 0;
    for (size_t len = 1, first = 0; len <= sizeof(more); len *= first ? 10 : 1, first ^= 1) {
        tcp_pair(fds);
        assert_int_equal(write(fds[1], more, len), (ssize_t)len);
        for (int i = 0; i < 10000 && there < (int)len; i++) {
            assert_int_equal(ioctl(fds[0], FIONREAD, &there), 0);
            usleep(there < (int)len ? 1000 : 0);
        }
        assert_int_equal(there, len);
        there = 0;
        struct gy_op op = send_op(fds[0], GY_OP_SEND_CLOSE, &one, 1);
        op.u.send.first = first != 0;
        fixture_submit(f, &op);
        assert_int_equal(fixture_finish(f, &op), 5);
        assert_int_equal(read(fds[1], got, sizeof(got)), 5);
        assert_int_equal(read(fds[1], got, sizeof(got)), 0);
        close(fds[1]);
    }
    fixture_close(f);
}

/* Nor what comes while the send waits for room. */
static void what_comes_meanwhile_costs_no_last_bytes(void **state)
{
    (void)state;
    enum { LEN = 16 << 20 };
    struct fixture *f = fixture_open(&want);
    uint8_t *data = pattern(LEN);
    struct gy_iov one = {data, LEN};
    struct reader r;
    int fds[2], there = 0;
    tcp_pair(fds);
    struct gy_op op = send_op(fds[0], GY_OP_SEND_CLOSE, &one, 1);
    op.u.send.first = true; /* but too much to be sent at once */
    fixture_submit(f, &op);
    fixture_settle(f);
    assert_true(op.in_flight);
    assert_int_equal(write(fds[1], "more", 4), 4);
    for (int i = 0; i < 10000 && there < 4; i++) {
        assert_int_equal(ioctl(fds[0], FIONREAD, &there), 0);
        usleep(there < 4 ? 1000 : 0);
    }
    assert_int_equal(there, 4);
    reader_start(&r, fds[1], SIZE_MAX, true);
    assert_int_equal(fixture_finish(f, &op), LEN);
    reader_end(&r);
    assert_int_equal(r.got, LEN);
    assert_int_equal(r.sum, sum_of(&one, 1));
    close(fds[1]);
    free(data);
    fixture_close(f);
}

/* Should the kernel cancel the close after all, it is asked again. */
static void a_cancelled_close_is_asked_for_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&want);
    int fds[2];
    socket_pair(fds);
    int before = open_descriptors();
    struct gy_op op = send_op(fds[0], GY_OP_SEND_CLOSE, NULL, 0);
    op.in_flight = 1;
    op.gy__driver[1] = 42;
    gy__op_set(&op, GY__OP_SENT);
    gy__op_set(&op, GY__OP_CLOSING);
    gy__op_set_state(&op, GY__OP_KERNEL);
    f->u->in_kernel++;
    gy__uring_dispatch(f->u, (uint64_t)(uintptr_t)&op | GY__TAG_CLOSE, -ECANCELED, 0);
    assert_int_equal(fixture_finish(f, &op), 42);
    assert_int_equal(open_descriptors(), before - 1);
    close(fds[1]);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_is_sent),
        cmocka_unit_test(many_pieces),
        cmocka_unit_test(many_pieces_without_a_slot),
        cmocka_unit_test(short_sends_go_on),
        cmocka_unit_test(nothing_to_send_is_sent_at_once),
        cmocka_unit_test(a_peer_that_is_gone_is_an_error),
        cmocka_unit_test(a_waiting_send_can_be_cancelled),
        cmocka_unit_test(the_handle_closes_behind_the_last_byte),
        cmocka_unit_test(it_closes_also_when_the_send_fails),
        cmocka_unit_test(it_closes_also_when_it_is_cancelled),
        cmocka_unit_test(it_closes_when_cancelled_before_it_has_an_entry),
        cmocka_unit_test(the_pair_is_never_split),
        cmocka_unit_test(the_last_bytes_bring_the_fin),
        cmocka_unit_test(what_came_unread_costs_no_last_bytes),
        cmocka_unit_test(what_comes_meanwhile_costs_no_last_bytes),
        cmocka_unit_test(a_cancelled_close_is_asked_for_again),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
