/* Addresses, and the table by which shards share a port. */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void addresses_are_read_and_written(void **state)
{
    static const struct {
        const char *text, *written;
        uint16_t port;
    } rows[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080", 8080}, {"0.0.0.0:0", "0.0.0.0:0", 0},
        {"[::1]:80", "[::1]:80", 80},               {"[::]:65535", "[::]:65535", 65535},
        {"[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.1]:1", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gy__address address;
        char text[64];
        assert_int_equal(gy__address_parse(&address, rows[i].text), 0);
        assert_int_equal(gy__address_port(&address), rows[i].port);
        gy__address_print(&address, text, sizeof(text));
        assert_string_equal(text, rows[i].written);
        gy__address_print(&address, text, 5); /* cut, but ended */
        assert_int_equal(strlen(text), 4);
    }
}

static void other_forms_are_refused(void **state)
{
    static const char *const texts[] = {
        "",        "8080",          ":8080",           "127.0.0.1",     "127.0.0.1:",
        "[::1]",   "[::1:80",       "::1:80",          "127.0.0.1:65536", "127.0.0.1:-1",
        "127.0.0.1:80x", "localhost:80", "127.0.0.1:4294967377", "[127.0.0.1]:80", "[]:80",
        "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.23.24.25:80",
    };
    (void)state;
    struct gy__address address;
    assert_int_equal(gy__address_parse(&address, NULL), -EINVAL);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(gy__address_parse(&address, texts[i]), -EINVAL);
}

static struct gy__ports ports;

static int set_up(void **state)
{
    (void)state;
    gy__ports_init(&ports);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gy__ports_fini(&ports);
    return 0;
}

static void leave(unsigned shard, int fd)
{
    gy__ports_leave(&ports, shard, fd);
    close(fd);
}

static void shards_share_the_port_that_was_free(void **state)
{
    (void)state;
    static const char *const texts[] = {"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int fds[4];
        uint16_t port[4] = {0};
        for (unsigned shard = 0; shard < 4; shard++) {
            fds[shard] = gy__ports_listen(&ports, shard, texts[i], 16, NULL, &port[shard]);
            if (fds[shard] == -EADDRNOTAVAIL || fds[shard] == -EAFNOSUPPORT)
                skip(); /* no IPv6 here */
            assert_true(fds[shard] >= 0);
            assert_int_not_equal(port[shard], 0);
            assert_int_equal(port[shard], port[0]);
        }
        for (unsigned shard = 0; shard < 4; shard++)
            leave(shard, fds[shard]);
    }
}

/* The same text twice on one shard is two addresses, the n-th of each shard being one. */
static void two_listeners_of_one_text_are_two_ports(void **state)
{
    (void)state;
    int fds[2][2];
    uint16_t port[2][2];
    for (unsigned n = 0; n < 2; n++)
        for (unsigned shard = 0; shard < 2; shard++) {
            fds[n][shard] = gy__ports_listen(&ports, shard, "127.0.0.1:0", 16, NULL, &port[n][shard]);
            assert_true(fds[n][shard] >= 0);
        }
    assert_int_equal(port[0][0], port[0][1]);
    assert_int_equal(port[1][0], port[1][1]);
    assert_int_not_equal(port[0][0], port[1][0]);
    for (unsigned n = 0; n < 2; n++)
        for (unsigned shard = 0; shard < 2; shard++)
            leave(shard, fds[n][shard]);
}

/* Two services never share a port by mistake, whoever sets SO_REUSEPORT. */
static void somebody_elses_port_is_refused(void **state)
{
    (void)state;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    char text[64];
    int one = 1;
    uint16_t port = 0;
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
    assert_int_equal(setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
    assert_int_equal(bind(other, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(other, 1), 0);
    assert_int_equal(getsockname(other, (struct sockaddr *)&in, &len), 0);
    snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(in.sin_port));
    assert_int_equal(gy__ports_listen(&ports, 0, text, 16, NULL, &port), -EADDRINUSE);
    close(other);
    int fd = gy__ports_listen(&ports, 0, text, 16, NULL, &port);
    assert_true(fd >= 0);
    /* And another runtime of this very process is somebody else too. */
    static struct gy__ports others;
    gy__ports_init(&others);
    assert_int_equal(gy__ports_listen(&others, 0, text, 16, NULL, &port), -EADDRINUSE);
    gy__ports_fini(&others);
    /* As is a second listener of the same shard. */
    assert_int_equal(gy__ports_listen(&ports, 0, text, 16, NULL, &port), -EADDRINUSE);
    int second = gy__ports_listen(&ports, 1, text, 16, NULL, &port);
    assert_true(second >= 0);
    leave(0, fd);
    leave(1, second);
}

static void entries_are_used_again(void **state)
{
    (void)state;
    uint16_t port = 0;
    for (unsigned i = 0; i < 3 * GY__PORTS_MAX; i++) {
        int fd = gy__ports_listen(&ports, i % 8, "127.0.0.1:0", 16, NULL, &port);
        assert_true(fd >= 0);
        leave(i % 8, fd);
    }
    int fds[GY__PORTS_MAX + 1];
    for (unsigned i = 0; i <= GY__PORTS_MAX; i++)
        fds[i] = gy__ports_listen(&ports, 0, "127.0.0.1:0", 16, NULL, &port);
    assert_int_equal(fds[GY__PORTS_MAX], -ENOSPC);
    for (unsigned i = 0; i < GY__PORTS_MAX; i++)
        leave(0, fds[i]);
}

static void accepted_sockets_do_not_delay(void **state)
{
    (void)state;
    uint16_t port = 0;
    int fd = gy__ports_listen(&ports, 0, "127.0.0.1:0", 16, NULL, &port);
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&in, sizeof(in)), 0);
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    int value = 0;
    socklen_t len = sizeof(value);
    assert_true(accepted >= 0);
    assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    assert_int_not_equal(value, 0);
    close(accepted);
    close(client);
    leave(0, fd);
}

/* ---- UNIX sockets ---- */

static char directory[64], at_path[128];

static void path_set_up(void)
{
    strcpy(directory, "/tmp/gyre-ports-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(at_path, sizeof(at_path), "unix:%s/s", directory);
}

static void path_tear_down(void)
{
    assert_int_equal(rmdir(directory), 0); /* nothing is left in it */
}

static int listen_unix(unsigned shard, const char *text)
{
    uint16_t port = 1;
    int fd = gy__ports_listen(&ports, shard, text, 16, NULL, &port);
    if (fd >= 0)
        assert_int_equal(port, 0);
    return fd;
}

static int connect_unix(const char *text)
{
    struct gy__address address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(gy__address_parse(&address, text), 0);
    if (connect(fd, (struct sockaddr *)&address.sockaddr, address.len) == 0)
        return fd;
    int err = errno;
    close(fd);
    return -err;
}

static void shards_share_the_socket_at_a_path(void **state)
{
    (void)state;
    path_set_up();
    const char *const texts[] = {at_path, "unix:@gyre-test-ports"};
    for (int i = 0; i < 2; i++) {
        int before = open_descriptors();
        int fds[3];
        for (unsigned shard = 0; shard < 3; shard++) {
            fds[shard] = listen_unix(shard, texts[i]);
            assert_true(fds[shard] >= 0);
        }
        /* Whoever accepts, and also when the first has gone. */
        for (unsigned shard = 0; shard < 3; shard++) {
            int client = connect_unix(texts[i]);
            assert_true(client >= 0);
            int accepted = accept4(fds[shard], NULL, NULL, SOCK_CLOEXEC);
            assert_true(accepted >= 0);
            close(accepted);
            close(client);
            if (shard < 2)
                leave(shard, fds[shard]);
        }
        leave(2, fds[2]);
        int res = connect_unix(texts[i]);
        assert_true(res == -ENOENT || res == -ECONNREFUSED);
        assert_int_equal(open_descriptors(), before);
    }
    path_tear_down();
}

static void who_waits_at_a_path_is_accepted_after_all(void **state)
{
    (void)state;
    path_set_up();
    const char *const texts[] = {at_path, "unix:@gyre-test-ports"};
    for (int i = 0; i < 2; i++) {
        int first = listen_unix(0, texts[i]), last = listen_unix(1, texts[i]);
        gy__ports_refuse(&ports, 0, first);
        int client = connect_unix(texts[i]); /* the other shard's */
        assert_true(client >= 0);
        gy__ports_refuse(&ports, 1, last);
        gy__ports_refuse(&ports, 1, last);
        int res = connect_unix(texts[i]);
        assert_true(res == -ENOENT || res == -ECONNREFUSED);
        int accepted = accept4(last, NULL, NULL, SOCK_CLOEXEC);
        assert_true(accepted >= 0);
        assert_true(accept4(last, NULL, NULL, SOCK_CLOEXEC) < 0);
        close(accepted);
        close(client);
        leave(0, first);
        leave(1, last);
    }
    path_tear_down();
}

/* A server that was killed, one that lives, a file that is no socket, and a successor's. */
static void what_is_at_the_path_already(void **state)
{
    struct gy__address address;

    (void)state;
    path_set_up();
    const char *path = at_path + 5;
    assert_int_equal(gy__address_parse(&address, at_path), 0);
    int killed = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(killed, (struct sockaddr *)&address.sockaddr, address.len), 0);
    assert_int_equal(listen(killed, 4), 0);
    assert_int_equal(listen_unix(0, at_path), -EADDRINUSE);
    close(killed);
    int fd = listen_unix(0, at_path);
    assert_true(fd >= 0);
    struct gy__ports others;
    uint16_t port;
    gy__ports_init(&others);
    assert_int_equal(gy__ports_listen(&others, 0, at_path, 16, NULL, &port), -EADDRINUSE);
    /* Somebody removes it and takes its place. */
    assert_int_equal(unlink(path), 0);
    int successor = gy__ports_listen(&others, 0, at_path, 16, NULL, &port);
    assert_true(successor >= 0);
    leave(0, fd);
    assert_int_equal(access(path, F_OK), 0);
    gy__ports_leave(&others, 0, successor);
    close(successor);
    gy__ports_fini(&others);
    assert_int_equal(access(path, F_OK), -1);

    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(listen_unix(0, at_path), -EADDRINUSE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(listen_unix(0, "unix:/nowhere/at/all"), -ENOENT);
    path_tear_down();
}

static void accepted_sockets_are_kept_alive(void **state)
{
    static const struct {
        int option, expected;
    } rows[] = {{TCP_KEEPIDLE, 30}, {TCP_KEEPINTVL, 7}, {TCP_USER_TIMEOUT, 60000}, {TCP_NODELAY, 0}};
    const struct gy__tcp_options options = {.keep_alive_s = 60, .delay_sends = true};
    uint16_t port = 0;

    (void)state;
    int fd = gy__ports_listen(&ports, 0, "127.0.0.1:0", 16, &options, &port);
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), value = 0;
    assert_int_equal(connect(client, (struct sockaddr *)&in, sizeof(in)), 0);
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(accepted, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
    assert_int_not_equal(value, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(getsockopt(accepted, IPPROTO_TCP, rows[i].option, &value, &len), 0);
        assert_int_equal(value, rows[i].expected);
    }
    close(accepted);
    close(client);
    leave(0, fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_written),
        cmocka_unit_test(other_forms_are_refused),
        cmocka_unit_test_setup_teardown(shards_share_the_port_that_was_free, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_listeners_of_one_text_are_two_ports, set_up, tear_down),
        cmocka_unit_test_setup_teardown(somebody_elses_port_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(entries_are_used_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(accepted_sockets_do_not_delay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shards_share_the_socket_at_a_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_waits_at_a_path_is_accepted_after_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_at_the_path_already, set_up, tear_down),
        cmocka_unit_test_setup_teardown(accepted_sockets_are_kept_alive, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
