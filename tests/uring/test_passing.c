/* gyre/passing.h on the real kernel: by the actor of tests/core/courier.c to itself, and between it and a plain
 * program. */
#include "tests/core/courier.h"

#include "fixture.h"
#include "gyre/run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct gy_runtime *runtime;
static struct courier_world world;
static courier_pid courier;
static char addr[64];
static uint32_t steps;

static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return shard > 0 ? 0 : courier_spawn(&courier, &(struct courier_args){&world});
}

static void begin(uint32_t receive, uint32_t takes, bool keeps)
{
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 1;
    config.pin = false;
    config.poll = GY_POLL_NEVER;
    config.overprovisioned = true;
    memset(&world, 0, sizeof(world));
    snprintf(addr, sizeof(addr), "unix:@gyre-passing-%ld", (long)getpid());
    world.addr = addr;
    world.receive = receive;
    world.takes = takes;
    world.keeps = keeps;
    steps = 0;
    assert_int_equal(gy_start(&runtime, &config, boot, NULL), 0);
}

static bool reaches(_Atomic uint32_t *number, uint32_t wanted)
{
    struct timespec pause = {0, 100000};
    for (int i = 0; i < 100000 && *number != wanted; i++)
        nanosleep(&pause, NULL);
    return *number == wanted;
}
#define await(number, wanted) assert_true(reaches(number, wanted))

static void tell(enum courier_what what, uint32_t n, uint32_t with)
{
    assert_int_equal(courier_do_post(runtime, courier, (struct courier_do_msg){what, n, with}), 0);
    await(&world.steps, ++steps);
}

static bool descriptors_are(int wanted)
{
    struct timespec pause = {0, 100000};
    for (int i = 0; i < 50000 && open_descriptors() != wanted; i++)
        nanosleep(&pause, NULL);
    return open_descriptors() == wanted;
}

static void finish(int before)
{
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    assert_int_equal(world.wrong, 0);
    assert_int_equal(open_descriptors(), before);
}

/* ---- to itself ---- */

static void connect_both(void)
{
    tell(COURIER_CONNECT, 0, 0);
    await(&world.opened, 2);
    assert_int_equal(world.result, 0);
}

static void each_arrives_with_its_bytes(void **state)
{
    (void)state;
    int before = open_descriptors();
    begin(GY_PASS_MAX, GY_PASS_MAX, false);
    connect_both();
    int while_open = open_descriptors();
    for (uint32_t i = 0; i < 400; i++)
        tell(COURIER_SEND, i % 7 == 0 ? 300000 : 1 + i * 7 % 3000, i % 5);
    await(&world.got, world.sent);
    await(&world.fds_got, 800);
    await(&world.fds_read, 800);
    await(&world.pipes_open, 0);
    assert_true(descriptors_are(while_open));
    tell(COURIER_CLOSE, 0, 0);
    await(&world.closed, 2);
    assert_int_equal(world.in_why, 0);
    finish(before);
}

static void what_nobody_takes_is_closed(void **state)
{
    (void)state;
    int before = open_descriptors();
    for (uint32_t receive = 0; receive <= 3; receive++) {
        begin(receive, 2, true);
        connect_both();
        int while_open = open_descriptors();
        for (uint32_t i = 0; i < 10; i++)
            tell(COURIER_SEND, 100, 4);
        await(&world.got, 1000);
        await(&world.pipes_open, 0);
        assert_int_equal(world.fds_got, 10 * (receive < 2 ? receive : 2));
        assert_true(descriptors_are(while_open + (int)world.kept_n));
        tell(COURIER_DROP, 0, 0);
        assert_true(descriptors_are(while_open));
        finish(before);
    }
}

/* Either end goes while descriptors are on their way, or all does: no one may be left. */
static void cut_off(void **state)
{
    (void)state;
    int before = open_descriptors();
    for (uint32_t n = 0; n < 12; n++) {
        begin(GY_PASS_MAX, 1, false);
        connect_both();
        int while_open = open_descriptors() - 2;
        for (uint32_t i = 0; i < 8; i++)
            tell(COURIER_SEND, 200000, 4);
        if (n % 4 < 3) {
            tell(COURIER_CLOSE, n % 4, 0);
            await(&world.closed, 2);
            await(&world.pipes_open, 0);
            assert_true(descriptors_are(while_open));
        }
        finish(before);
    }
}

/* ---- with a plain program ---- */

static int plain_connect(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const char *name = strchr(addr, '@');
    size_t len = strlen(name);
    memcpy(un.sun_path, name, len);
    un.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&un,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
        return -1;
    return fd;
}

static ssize_t plain_send(int fd, const int *fds, unsigned n)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = {0};
    char byte = 1;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                         .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(header), fds, n * sizeof(int));
    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static int plain_receive(int fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    char byte;
    int got = -1;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                         .msg_controllen = sizeof(control)};
    if (recvmsg(fd, &msg, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&msg) != NULL)
        memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got));
    return got;
}

/* A program that gets a socket that listens, and accepts who comes there. */
static int serve_one(void)
{
    int fd = plain_connect(), byte = 0, listens, conn;
    if (fd < 0 || (listens = plain_receive(fd)) < 0 || (conn = accept(listens, NULL, NULL)) < 0 ||
        read(conn, &byte, 1) != 1)
        return 1;
    byte++;
    return write(conn, &byte, 1) == 1 ? 0 : 2;
}

static void a_listening_socket_to_another_process(void **state)
{
    (void)state;
    int before = open_descriptors(), status;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    char byte = 41;
    begin(0, 0, false);
    pid_t child = fork();
    if (child == 0)
        _exit(serve_one());
    await(&world.opened, 1);
    int listens = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listens, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(listens, 1), 0);
    assert_int_equal(getsockname(listens, (struct sockaddr *)&in, &len), 0);
    int caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(caller, (struct sockaddr *)&in, len), 0);
    assert_int_equal(write(caller, &byte, 1), 1);
    world.out = world.in; /* it answers whoever has connected */
    world.fds[0] = listens;
    tell(COURIER_RAW, 1, 0);
    assert_int_equal(world.result, 0);
    /* Sent is given away: it is closed here, and serves there. */
    assert_int_equal(read(caller, &byte, 1), 1);
    assert_int_equal(byte, 42);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    await(&world.closed, 1);
    assert_int_equal(fcntl(listens, F_GETFD), -1);
    close(caller);
    finish(before);
}

/* A connection of which somebody else has a duplicate: neither who gives it away nor who does not take it may
 * shut it down. */
static void a_shared_connection_lives_on(void **state)
{
    (void)state;
    int before = open_descriptors(), pair[2];
    char byte = 7;
    begin(GY_PASS_MAX, 0, false);
    int fd = plain_connect();
    assert_true(fd >= 0);
    await(&world.opened, 1);
    int while_open = open_descriptors();
    socket_pair(pair);
    assert_int_equal(plain_send(fd, pair, 1), 1);
    await(&world.got, 1);
    assert_true(descriptors_are(while_open + 2)); /* ours */
    assert_int_equal(write(pair[0], &byte, 1), 1);
    assert_int_equal(read(pair[1], &byte, 1), 1);
    /* And the other way: what is closed after it was sent. */
    world.out = world.in;
    world.fds[0] = fcntl(pair[0], F_DUPFD_CLOEXEC, 0);
    tell(COURIER_RAW, 1, 0);
    int back = plain_receive(fd);
    assert_true(back >= 0);
    assert_true(descriptors_are(while_open + 3));
    assert_int_equal(write(back, &byte, 1), 1);
    assert_int_equal(read(pair[1], &byte, 1), 1);
    close(back);
    close(pair[0]);
    close(pair[1]);
    close(fd);
    await(&world.closed, 1);
    finish(before);
}

static void too_many_at_once(void **state)
{
    (void)state;
    int before = open_descriptors(), many[GY_PASS_MAX + 4];
    begin(GY_PASS_MAX, GY_PASS_MAX + 1, true);
    int fd = plain_connect();
    assert_true(fd >= 0);
    await(&world.opened, 1);
    int while_open = open_descriptors();
    for (unsigned i = 0; i < GY_PASS_MAX + 4; i++)
        many[i] = fd;
    assert_int_equal(plain_send(fd, many, GY_PASS_MAX + 4), 1);
    await(&world.got, 1);
    await(&world.lost, 1);
    assert_int_equal(world.kept_n, GY_PASS_MAX);
    for (unsigned i = 0; i < GY_PASS_MAX; i++)
        assert_int_equal(fcntl(world.kept[i], F_GETFD), FD_CLOEXEC);
    tell(COURIER_DROP, 0, 0);
    assert_true(descriptors_are(while_open));
    close(fd);
    await(&world.closed, 1);
    finish(before);
}

/* The process has no number left for what comes: the bytes come all the same. */
static void no_number_is_left(void **state)
{
    (void)state;
    struct rlimit limit, low;
    int before = open_descriptors(), many[8];
    begin(GY_PASS_MAX, GY_PASS_MAX, true);
    int fd = plain_connect();
    assert_true(fd >= 0);
    await(&world.opened, 1);
    for (unsigned i = 0; i < 8; i++)
        many[i] = fd;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(fd);
    close(next);
    low = limit;
    low.rlim_cur = (rlim_t)next + 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    ssize_t sent = plain_send(fd, many, 8);
    bool got = reaches(&world.got, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(sent, 1);
    assert_true(got);
    await(&world.lost, 1);
    assert_true(world.kept_n <= 3);
    tell(COURIER_DROP, 0, 0);
    close(fd);
    await(&world.closed, 1);
    finish(before);
}

/* A peer that dies with what it has sent unread, and a runtime that stops with it. */
static void a_peer_dies(void **state)
{
    (void)state;
    int before = open_descriptors();
    begin(GY_PASS_MAX, 2, true);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            int fd = plain_connect(), many[3] = {2, 2, 2};
            for (int n = 0; n < 5 && fd >= 0; n++)
                if (plain_send(fd, many, 3) != 1)
                    _exit(1);
            _exit(fd < 0);
        }
        assert_true(child > 0);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        if (i < 19)
            await(&world.closed, (uint32_t)i + 1);
        if (i % 5 == 4)
            tell(COURIER_DROP, 0, 0);
    }
    await(&world.closed, 20);
    tell(COURIER_DROP, 0, 0);
    finish(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_arrives_with_its_bytes),
        cmocka_unit_test(what_nobody_takes_is_closed),
        cmocka_unit_test(cut_off),
        cmocka_unit_test(a_listening_socket_to_another_process),
        cmocka_unit_test(a_shared_connection_lives_on),
        cmocka_unit_test(too_many_at_once),
        cmocka_unit_test(no_number_is_left),
        cmocka_unit_test(a_peer_dies),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
