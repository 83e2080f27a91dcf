/* Datagram sockets on the real ring: what is sent arrives, errors name their cause, and whatever the
 * moment, each operation completes once and no buffer is lost. */
#include "fixture.h"

#include "gyre/datagram.h"
#include "uring/datagram.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct gy__uring_want small = {
    .sq_entries = 4, .cq_entries = 16, .recv_buffers = 4, .recv_buffer_size = 256};
static const struct gy__uring_want large = {
    .sq_entries = 256, .cq_entries = 1024, .recv_buffers = 16, .recv_buffer_size = 131072};

struct socket {
    struct gy_op op; /* BIND, UNBIND, SET */
    struct gy_op in;
    struct gy_bind want;
    int32_t handle;
    /* What it has received. */
    unsigned received, truncated;
    size_t bytes;
    struct gy_addr from;
    uint16_t segment;
    uint32_t last; /* first four bytes */
    int32_t last_len;
};

static struct socket *receiver; /* of the completions that come */
static void on_in(struct gy_op *op, const struct gy_completion *completion)
{
    struct socket *s = receiver;
    (void)op;
    if (!(completion->flags & GY_COMPLETION_BUF))
        return;
    assert_non_null(completion->datagram);
    s->received++;
    s->bytes += (size_t)completion->res;
    s->truncated += completion->datagram->truncated;
    s->from = completion->datagram->from;
    s->segment = completion->datagram->segment;
    s->last_len = completion->res;
    if (completion->res >= 4)
        memcpy(&s->last, completion->data, 4);
}

static int32_t open_socket(struct fixture *f, struct socket *s, const char *bind,
                           const char *connect)
{
    struct gy_bind want = s->want;
    memset(s, 0, sizeof(*s));
    s->want = want;
    if (bind)
        assert_int_equal(gy_addr_parse(&s->want.bind, bind), 0);
    if (connect)
        assert_int_equal(gy_addr_parse(&s->want.connect, connect), 0);
    s->op.kind = GY_OP_BIND;
    s->op.u.bind.want = &s->want;
    fixture_submit(f, &s->op);
    s->handle = fixture_finish(f, &s->op);
    return s->handle;
}

static void close_socket(struct fixture *f, struct socket *s)
{
    s->op.kind = GY_OP_UNBIND;
    s->op.handle = s->handle;
    s->op.u.bind.want = &s->want;
    fixture_submit(f, &s->op);
    assert_int_equal(fixture_finish(f, &s->op), 0);
}

static void listen_on(struct fixture *f, struct socket *s)
{
    receiver = s;
    s->in = (struct gy_op){.done = on_in, .kind = GY_OP_RECV_FROM, .handle = s->handle};
    s->in.u.recv_from.is_unix = s->want.bind.family == GY_ADDR_UNIX;
    fixture_submit(f, &s->in);
}

static void listen_off(struct fixture *f, struct socket *s)
{
    fixture_cancel(f, &s->in);
    assert_int_equal(fixture_finish(f, &s->in), -ECANCELED);
}

struct sending {
    struct gy_op op;
    struct gy_outgoing msgs[64];
    uint32_t numbers[64][16];
};

static void sending_init(struct sending *sending, const struct socket *from,
                         const struct gy_addr *to, uint32_t n, uint32_t len)
{
    memset(sending, 0, sizeof(*sending));
    sending->op.kind = GY_OP_SEND_TO;
    sending->op.handle = from->handle;
    sending->op.u.send_to.msgs = sending->msgs;
    sending->op.u.send_to.n = n;
    for (uint32_t i = 0; i < n; i++) {
        sending->numbers[i][0] = i;
        sending->msgs[i] = (struct gy_outgoing){.data = sending->numbers[i], .to = to, .len = len,
                                                .res = 12345};
    }
}

static void await(struct fixture *f, const struct socket *s, unsigned received)
{
    uint64_t until_ns = gy__uring_now() + UINT64_C(10000000000);
    while (s->received < received && gy__uring_now() < until_ns)
        if (!gy__uring_poll(f->u))
            gy__uring_wait(f->u, gy__uring_now() + 5000000);
    assert_int_equal(s->received, received);
}

/* ---- tests ---- */

static void all_that_is_sent_arrives(void **state)
{
    static const char *const addrs[] = {"127.0.0.1:0", "[::1]:0"};
    struct sending *sending = malloc(sizeof(*sending));
    (void)state;
    /* 4 entries and 4 buffers for 64 datagrams at once. */
    for (unsigned i = 0; i < 2; i++) {
        struct fixture *f = fixture_open(&small);
        struct socket a = {0}, b = {0};
        if (open_socket(f, &a, addrs[i], NULL) == -EADDRNOTAVAIL) {
            fixture_close(f);
            continue; /* no IPv6 here */
        }
        assert_true(a.handle >= 0);
        assert_true(a.want.bind.port > 0);
        assert_true(open_socket(f, &b, addrs[i], NULL) >= 0);
        listen_on(f, &a);
        sending_init(sending, &b, &a.want.bind, 64, 8);
        fixture_submit(f, &sending->op);
        assert_int_equal(fixture_finish(f, &sending->op), 64);
        for (unsigned m = 0; m < 64; m++)
            assert_int_equal(sending->msgs[m].res, 8);
        await(f, &a, 64);
        assert_int_equal(a.bytes, 64 * 8);
        assert_true(gy_addr_equal(&a.from, &b.want.bind));
        listen_off(f, &a);
        close_socket(f, &a);
        close_socket(f, &b);
        fixture_close(f);
    }
    free(sending);
}

static void empty_and_long_ones(void **state)
{
    struct fixture *f = fixture_open(&small);
    struct sending *sending = malloc(sizeof(*sending));
    static const uint8_t bytes[1000] = {7};
    struct socket a = {0}, b = {0};
    (void)state;
    open_socket(f, &a, "127.0.0.1:0", NULL);
    char to[GY_ADDR_TEXT_MAX];
    gy_addr_print(&a.want.bind, to, sizeof(to));
    assert_true(open_socket(f, &b, NULL, to) >= 0); /* connected */
    listen_on(f, &a);
    sending_init(sending, &b, NULL, 3, 0);
    sending->msgs[1].data = bytes;
    sending->msgs[1].len = sizeof(bytes);
    fixture_submit(f, &sending->op);
    assert_int_equal(fixture_finish(f, &sending->op), 3);
    await(f, &a, 3);
    assert_int_equal(a.truncated, 1);
    assert_true(a.bytes > 100 && a.bytes < 256);
    assert_int_equal(a.last_len, 0);
    listen_off(f, &a);
    close_socket(f, &a);
    close_socket(f, &b);
    fixture_close(f);
    free(sending);
}

static void errors_name_their_cause(void **state)
{
    struct fixture *f = fixture_open(&small);
    struct sending *sending = malloc(sizeof(*sending));
    static uint8_t bytes[70000];
    struct socket a = {0}, b = {0}, c = {0};
    char text[GY_ADDR_TEXT_MAX];
    (void)state;

    open_socket(f, &a, "127.0.0.1:0", NULL);
    gy_addr_print(&a.want.bind, text, sizeof(text));
    int open = open_descriptors();
    assert_int_equal(open_socket(f, &b, text, NULL), -EADDRINUSE);
    memset(&b, 0, sizeof(b));
    assert_int_equal(open_socket(f, &b, "192.0.2.1:5", NULL), -EADDRNOTAVAIL);
    memset(&b, 0, sizeof(b));
    assert_int_equal(open_socket(f, &b, "unix:/no/such/directory/s", NULL), -ENOENT);
    assert_int_equal(open_descriptors(), open);

    /* Nobody is there: told by the network, to a send or a receive. */
    memset(&b, 0, sizeof(b));
    assert_true(open_socket(f, &b, NULL, text) >= 0);
    close_socket(f, &a);
    listen_on(f, &b);
    fixture_settle(f);
    sending_init(sending, &b, NULL, 1, 8);
    fixture_submit(f, &sending->op);
    assert_int_equal(fixture_finish(f, &sending->op), 1);
    assert_int_equal(sending->msgs[0].res, 8);
    assert_int_equal(fixture_finish(f, &b.in), -ECONNREFUSED);

    /* Too long; the others go all the same. */
    memset(&c, 0, sizeof(c));
    open_socket(f, &c, "127.0.0.1:0", NULL);
    listen_on(f, &c);
    sending_init(sending, &c, &c.want.bind, 5, 8);
    sending->msgs[2].data = bytes;
    sending->msgs[2].len = 65508;
    fixture_submit(f, &sending->op);
    assert_int_equal(fixture_finish(f, &sending->op), 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(sending->msgs[i].res, i == 2 ? -EMSGSIZE : 8);
    await(f, &c, 4);
    listen_off(f, &c);

    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    memset(&a, 0, sizeof(a));
    int32_t res = open_socket(f, &a, "127.0.0.1:0", NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(res, -EMFILE);
    close_socket(f, &b);
    close_socket(f, &c);
    fixture_close(f);
    free(sending);
}

static void buffers_run_out_and_come_back(void **state)
{
    struct fixture *f = fixture_open(&small);
    struct sending *sending = malloc(sizeof(*sending));
    struct socket a = {0}, b = {0};
    (void)state;
    open_socket(f, &a, "127.0.0.1:0", NULL);
    open_socket(f, &b, "127.0.0.1:0", NULL);
    f->keeps_buffers = true;
    listen_on(f, &a);
    sending_init(sending, &b, &a.want.bind, 20, 8);
    fixture_submit(f, &sending->op);
    assert_int_equal(fixture_finish(f, &sending->op), 20);
    await(f, &a, 4);
    fixture_settle(f);
    assert_int_equal(a.received, 4);
    assert_true(a.in.in_flight); /* starved: the rest waits in the socket */
    assert_true(f->counts[GY__COUNT_NO_BUFFER] > 0);
    uint64_t sqes = f->counts[GY__COUNT_SQES];
    for (unsigned i = 0; i < 100; i++)
        gy__uring_poll(f->u);
    assert_int_equal(f->counts[GY__COUNT_SQES], sqes); /* and nothing is tried meanwhile */
    f->keeps_buffers = false;
    for (uint32_t buffer = 0; buffer < 4; buffer++)
        assert_true(gy__recv_bufs_give(&f->u->bufs, buffer));
    await(f, &a, 20);
    assert_int_equal(a.last, 19);
    listen_off(f, &a);
    close_socket(f, &a);
    close_socket(f, &b);
    fixture_close(f);
    free(sending);
}

static void a_full_queue_delays_nothing_for_good(void **state)
{
    struct fixture *f = fixture_open(&small);
    struct sending *sending = malloc(sizeof(*sending));
    struct socket a = {0};
    (void)state;
    open_socket(f, &a, "127.0.0.1:0", NULL);
    listen_on(f, &a);
    for (uint32_t refused = 0; refused < 70; refused += 7) {
        a.received = 0;
        f->u->refuse_entries = refused;
        sending_init(sending, &a, &a.want.bind, 64, 8);
        fixture_submit(f, &sending->op);
        assert_int_equal(fixture_finish(f, &sending->op), 64);
        for (unsigned i = 0; i < 64; i++)
            assert_int_equal(sending->msgs[i].res, 8);
        await(f, &a, 64);
    }
    listen_off(f, &a);
    close_socket(f, &a);
    fixture_close(f);
    free(sending);
}

/* A UNIX socket whose receiver does not read: its senders wait, and are cancelled. */
static void waiting_sends_are_cancelled(void **state)
{
    struct fixture *f = fixture_open(&small);
    struct sending *sending = malloc(sizeof(*sending));
    struct socket a = {0}, b = {0};
    unsigned sent = 0, canceled = 0;
    (void)state;
    open_socket(f, &a, "unix:@gyre-test-datagram-a", NULL);
    open_socket(f, &b, NULL, "unix:@gyre-test-datagram-a");
    for (unsigned round = 0; round < 20; round++) {
        sending_init(sending, &b, NULL, 64, 8);
        fixture_submit(f, &sending->op);
        if (round % 2 == 0)
            fixture_settle(f);
        fixture_cancel(f, &sending->op);
        assert_int_equal(fixture_finish(f, &sending->op), 64);
        assert_int_equal(fixture_count(f, &sending->op), round + 1);
        for (unsigned i = 0; i < 64; i++) {
            sent += sending->msgs[i].res == 8;
            canceled += sending->msgs[i].res == -ECANCELED || sending->msgs[i].res == -EINTR;
        }
        assert_int_equal(sent + canceled, (round + 1) * 64);
    }
    assert_true(sent > 0 && canceled > 0);
    listen_on(f, &a);
    await(f, &a, sent);
    listen_off(f, &a);
    close_socket(f, &a);
    close_socket(f, &b);
    fixture_close(f);
    free(sending);
}

/* Receivers that do not read have all slots: who needs one waits, nobody waits behind him, and the
 * shard is at rest. */
static void slots_run_out(void **state)
{
    enum { BLOCKED = GY__TO_SLOTS / 64 };
    struct fixture *f = fixture_open(&small);
    struct sending *sending = calloc(BLOCKED + 1, sizeof(*sending));
    struct socket deaf = {0}, udp = {0}, b[BLOCKED];
    struct sending *waits = &sending[BLOCKED];
    memset(b, 0, sizeof(b));
    (void)state;
    open_socket(f, &deaf, "unix:@gyre-test-datagram-deaf", NULL);
    open_socket(f, &udp, "127.0.0.1:0", NULL);
    for (unsigned i = 0; i < BLOCKED; i++)
        open_socket(f, &b[i], NULL, "unix:@gyre-test-datagram-deaf");
    /* The first fills the receiver's queue; after it none of the others' is sent. */
    sending_init(&sending[0], &b[0], NULL, 64, 8);
    fixture_submit(f, &sending[0].op);
    fixture_settle(f);
    for (unsigned i = 1; i < BLOCKED; i++) {
        sending_init(&sending[i], &b[i], NULL, 64, 8);
        fixture_submit(f, &sending[i].op);
    }
    fixture_settle(f);
    /* What the first has sent gave slots back: take away what is left. */
    f->u->to_free = 0;
    f->u->to_used = GY__TO_SLOTS;
    for (unsigned round = 0; round < 2; round++) {
        sending_init(waits, &udp, &udp.want.bind, 64, 8);
        fixture_submit(f, &waits->op);
        listen_on(f, &udp);
        for (unsigned i = 0; i < 20; i++)
            (void)gy__uring_poll(f->u);
        assert_true(waits->op.in_flight);
        assert_false(gy__uring_poll(f->u));
        assert_true(f->u->unsent.first == NULL);
        if (round == 0) {
            fixture_cancel(f, &waits->op);
            assert_int_equal(fixture_finish(f, &waits->op), 64);
            assert_int_equal(waits->msgs[0].res, -ECANCELED);
            listen_off(f, &udp);
        }
    }
    for (unsigned i = 0; i < BLOCKED; i++) {
        fixture_cancel(f, &sending[i].op);
        assert_int_equal(fixture_finish(f, &sending[i].op), 64);
    }
    assert_int_equal(fixture_finish(f, &waits->op), 64);
    await(f, &udp, 64);
    listen_off(f, &udp);
    for (unsigned i = 0; i < BLOCKED; i++)
        close_socket(f, &b[i]);
    close_socket(f, &deaf);
    close_socket(f, &udp);
    fixture_close(f);
    free(sending);
}

static void paths_are_made_and_removed(void **state)
{
    char text[64], path[48];
    struct fixture *f = fixture_open(&small);
    struct sending *sending = malloc(sizeof(*sending));
    struct socket a = {0}, b = {0};
    struct stat file;
    (void)state;
    snprintf(path, sizeof(path), "/tmp/gyre-test-datagram-%d", (int)getpid());
    snprintf(text, sizeof(text), "unix:%s", path);
    assert_true(open_socket(f, &a, text, NULL) >= 0);
    assert_int_equal(open_socket(f, &b, text, NULL), -EADDRINUSE);
    memset(&b, 0, sizeof(b));
    assert_true(open_socket(f, &b, NULL, text) >= 0);
    listen_on(f, &a);
    sending_init(sending, &b, NULL, 1, 8);
    fixture_submit(f, &sending->op);
    assert_int_equal(fixture_finish(f, &sending->op), 1);
    await(f, &a, 1);
    assert_int_equal(a.from.family, GY_ADDR_NONE); /* b has no name */
    listen_off(f, &a);
    close_socket(f, &b);

    /* A server that was killed leaves its path: the next takes it. */
    close(a.handle);
    assert_int_equal(lstat(path, &file), 0);
    memset(&b, 0, sizeof(b));
    assert_true(open_socket(f, &b, text, NULL) >= 0);
    close_socket(f, &b);
    assert_int_equal(lstat(path, &file), -1);
    fixture_close(f);
    free(sending);
}

static void segments_are_cut_and_joined(void **state)
{
    struct fixture *f = fixture_open(&large);
    struct sending *sending = malloc(sizeof(*sending));
    static uint8_t bytes[20000];
    struct socket a = {0}, b = {0};
    (void)state;
    a.want.gro = 1;
    open_socket(f, &a, "127.0.0.1:0", NULL);
    open_socket(f, &b, "127.0.0.1:0", NULL);
    if (!b.want.gso) {
        close_socket(f, &a);
        close_socket(f, &b);
        fixture_close(f);
        free(sending);
        skip();
    }
    listen_on(f, &a);
    sending_init(sending, &b, &a.want.bind, 1, 0);
    sending->msgs[0].data = bytes;
    sending->msgs[0].len = sizeof(bytes);
    sending->msgs[0].segment = 1000;
    fixture_submit(f, &sending->op);
    assert_int_equal(fixture_finish(f, &sending->op), 1);
    assert_int_equal(sending->msgs[0].res, sizeof(bytes));
    await(f, &a, a.want.gro ? 1 : 20);
    assert_int_equal(a.bytes, sizeof(bytes));
    assert_int_equal(a.segment, a.want.gro ? 1000 : 0);
    listen_off(f, &a);
    close_socket(f, &a);
    close_socket(f, &b);
    /* Small buffers would lose what was joined: then nothing is. */
    fixture_close(f);
    f = fixture_open(&small);
    memset(&a, 0, sizeof(a));
    a.want.gro = 1;
    open_socket(f, &a, "127.0.0.1:0", NULL);
    assert_int_equal(a.want.gro, 0);
    close_socket(f, &a);
    fixture_close(f);
    free(sending);
}

static int32_t set(struct fixture *f, struct socket *s, uint8_t setting, int32_t value,
                   const char *group, uint32_t interface)
{
    struct gy_op op = {.kind = GY_OP_SOCKET_SET, .handle = s->handle};
    struct gy_addr addr;
    op.u.set.setting = setting;
    op.u.set.value = value;
    op.u.set.interface = interface;
    op.u.set.family = s->want.bind.family;
    if (group) {
        assert_int_equal(gy_addr_parse(&addr, group), 0);
        memcpy(op.u.set.group, addr.bytes, addr.len);
    }
    fixture_submit(f, &op);
    return fixture_finish(f, &op);
}

static void groups_reach_their_members(void **state)
{
    struct fixture *f = fixture_open(&small);
    struct sending *sending = malloc(sizeof(*sending));
    struct socket a = {0}, b = {0};
    struct gy_addr group;
    (void)state;
    /* 1 is the loopback interface. */
    open_socket(f, &a, "0.0.0.0:0", NULL);
    open_socket(f, &b, "127.0.0.1:0", NULL);
    assert_int_equal(set(f, &a, GY_DATAGRAM_JOIN, 0, "239.255.7.7:0", 1), 0);
    assert_int_equal(set(f, &a, GY_DATAGRAM_JOIN, 0, "239.255.7.7:0", 1), -EADDRINUSE);
    assert_int_equal(set(f, &a, GY_DATAGRAM_JOIN, 0, "239.255.7.8:0", 99999), -ENODEV);
    assert_int_equal(set(f, &b, GY_DATAGRAM_INTERFACE, 0, NULL, 1), 0);
    assert_int_equal(set(f, &b, GY_DATAGRAM_TTL, 3, NULL, 0), 0);
    assert_int_equal(set(f, &b, GY_DATAGRAM_LOOP, 1, NULL, 0), 0);
    assert_int_equal(gy_addr_parse(&group, "239.255.7.7:1"), 0);
    group.port = a.want.bind.port;
    listen_on(f, &a);
    sending_init(sending, &b, &group, 2, 8);
    fixture_submit(f, &sending->op);
    assert_int_equal(fixture_finish(f, &sending->op), 2);
    assert_int_equal(sending->msgs[0].res, 8);
    await(f, &a, 2);
    assert_int_equal(set(f, &a, GY_DATAGRAM_LEAVE, 0, "239.255.7.7:0", 1), 0);
    assert_int_equal(set(f, &a, GY_DATAGRAM_LEAVE, 0, "239.255.7.7:0", 1), -EADDRNOTAVAIL);
    listen_off(f, &a);
    close_socket(f, &a);
    close_socket(f, &b);
    fixture_close(f);
    free(sending);
}

static void drops_are_counted(void **state)
{
    struct fixture *f = fixture_open(&small);
    struct sending *sending = malloc(sizeof(*sending));
    struct socket a = {.want = {.receive_bytes = 2304}}, b = {0};
    (void)state;
    open_socket(f, &a, "127.0.0.1:0", NULL);
    open_socket(f, &b, "127.0.0.1:0", NULL);
    assert_int_equal(gy__datagram_dropped(a.handle), 0);
    sending_init(sending, &b, &a.want.bind, 64, 8);
    fixture_submit(f, &sending->op);
    assert_int_equal(fixture_finish(f, &sending->op), 64);
    uint64_t dropped = gy__datagram_dropped(a.handle);
    assert_true(dropped > 0 && dropped < 64);
    listen_on(f, &a);
    await(f, &a, 64 - (unsigned)dropped);
    listen_off(f, &a);
    close_socket(f, &a);
    close_socket(f, &b);
    fixture_close(f);
    free(sending);
}

/* Receives cancelled before, while and after a datagram comes. */
static void cancelling_receives_loses_nothing(void **state)
{
    struct fixture *f = fixture_open(&small);
    struct sending *sending = malloc(sizeof(*sending));
    struct socket a = {0}, b = {0};
    (void)state;
    open_socket(f, &a, "127.0.0.1:0", NULL);
    open_socket(f, &b, "127.0.0.1:0", NULL);
    for (unsigned round = 0; round < 60; round++) {
        listen_on(f, &a);
        if (round % 3 == 0)
            fixture_settle(f);
        sending_init(sending, &b, &a.want.bind, 1, 8);
        fixture_submit(f, &sending->op);
        if (round % 3 == 1)
            fixture_settle(f);
        fixture_cancel(f, &a.in);
        assert_int_equal(fixture_finish(f, &sending->op), 1);
        int32_t res = fixture_finish(f, &a.in);
        assert_true(res == -ECANCELED || res == 8);
    }
    listen_on(f, &a);
    await(f, &a, 60);
    listen_off(f, &a);
    fixture_settle(f);
    assert_int_equal(f->u->bufs.free, 4);
    close_socket(f, &a);
    close_socket(f, &b);
    fixture_close(f);
    free(sending);
}

int main(void)
{
    fixture_need_io_uring();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_is_sent_arrives), cmocka_unit_test(empty_and_long_ones),
        cmocka_unit_test(errors_name_their_cause), cmocka_unit_test(buffers_run_out_and_come_back),
        cmocka_unit_test(a_full_queue_delays_nothing_for_good),
        cmocka_unit_test(waiting_sends_are_cancelled), cmocka_unit_test(slots_run_out),
        cmocka_unit_test(paths_are_made_and_removed),
        cmocka_unit_test(segments_are_cut_and_joined),
        cmocka_unit_test(groups_reach_their_members), cmocka_unit_test(drops_are_counted),
        cmocka_unit_test(cancelling_receives_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
