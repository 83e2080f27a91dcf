/* gyre-echo over real sockets: many bytes both ways, half-close, reset, idle connections, drain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 10000

static pid_t child;
static FILE *child_log;
static unsigned port;

static int start(void **state)
{
    const char *bin = getenv("GYRE_BIN");
    char path[4096], line[512];
    int ends[2];

    (void)state;
    if (bin == NULL) {
        print_message("GYRE_BIN names the directory of the programs\n");
        exit(77);
    }
    snprintf(path, sizeof(path), "%s/gyre-echo", bin);
    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        execl(path, path, "--listen=127.0.0.1:0", "--shards=2", "--overprovisioned", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    child_log = fdopen(ends[0], "r");
    port = 0;
    while (port == 0 && fgets(line, sizeof(line), child_log) != NULL) {
        const char *at = strstr(line, "listening on 127.0.0.1:");
        if (at != NULL)
            port = (unsigned)atoi(strrchr(at, ':') + 1);
        else
            print_message("%s", line);
    }
    assert_true(port != 0);
    return 0;
}

/* It ends with status 0 and says how much it echoed. */
static int stop(void **state)
{
    int status = -1;

    (void)state;
    kill(child, SIGTERM);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    fclose(child_log);
    return 0;
}

static int connect_to(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static uint8_t pattern(uint64_t n)
{
    return (uint8_t)(n * 31 + n / 251);
}

/* Send len bytes as fast as they go, while reading what comes back; -> bytes that came back right. */
static uint64_t pump(int fd, uint64_t len, bool half_close)
{
    static uint8_t out[70000], in[70000];
    uint64_t sent = 0, got = 0;

    while (got < len) {
        struct pollfd p = {.fd = fd, .events = (short)(sent < len ? POLLIN | POLLOUT : POLLIN)};
        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
        if (p.revents & POLLOUT) {
            size_t n = len - sent < sizeof(out) ? (size_t)(len - sent) : sizeof(out);
            for (size_t i = 0; i < n; i++)
                out[i] = pattern(sent + i);
            ssize_t res = send(fd, out, n, MSG_DONTWAIT | MSG_NOSIGNAL);
            assert_true(res > 0 || errno == EAGAIN);
            sent += res > 0 ? (uint64_t)res : 0;
            if (sent == len && half_close)
                shutdown(fd, SHUT_WR);
        }
        if (p.revents & (POLLIN | POLLHUP)) {
            ssize_t n = recv(fd, in, sizeof(in), MSG_DONTWAIT);
            if (n <= 0 && errno != EAGAIN)
                break;
            for (ssize_t i = 0; i < n; i++)
                if (in[i] != pattern(got + (uint64_t)i))
                    return got;
            got += n > 0 ? (uint64_t)n : 0;
        }
    }
    return got;
}

static void many_bytes_and_fin(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        int fd = connect_to();
        char end;
        assert_int_equal(pump(fd, 10000000, true), 10000000);
        assert_int_equal(recv(fd, &end, 1, 0), 0); /* all, then FIN */
        close(fd);
    }
}

static void idle_and_reset_connections(void **state)
{
    enum { MANY = 500 };
    int fds[MANY];
    char byte = 'x';

    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        fds[i] = connect_to();
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(send(fds[i], &byte, 1, MSG_NOSIGNAL), 1);
        assert_int_equal(recv(fds[i], &byte, 1, 0), 1);
    }
    for (unsigned i = 0; i < MANY; i++) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        if (i % 2 == 0)
            setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        close(fds[i]);
    }
    int fd = connect_to();
    assert_int_equal(pump(fd, 100000, false), 100000);
    close(fd);
}

/* One that sends and never reads fills what it may hold, and harms nobody else. */
static void one_that_does_not_read(void **state)
{
    static uint8_t bytes[65536];
    int greedy = connect_to();
    uint64_t sent = 0;

    (void)state;
    for (;;) {
        struct pollfd p = {.fd = greedy, .events = POLLOUT};
        if (poll(&p, 1, 300) == 0)
            break;
        ssize_t n = send(greedy, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_true(n > 0);
        sent += (uint64_t)n;
        assert_true(sent < UINT64_C(200) << 20); /* else it is the server that fills */
    }
    for (unsigned i = 0; i < 8; i++) {
        int fd = connect_to();
        assert_int_equal(pump(fd, 300000, false), 300000);
        close(fd);
    }
    close(greedy);
}

/* What was accepted is answered; then the connections end with FIN, not with a reset. */
static void drain_cuts_nothing(void **state)
{
    enum { MANY = 50 };
    int fds[MANY], status;
    char bytes[8] = "1234567";

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        fds[i] = connect_to();
        assert_int_equal(send(fds[i], bytes, 8, MSG_NOSIGNAL), 8);
        assert_int_equal(recv(fds[i], bytes, 8, MSG_WAITALL), 8);
    }
    kill(child, SIGTERM);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(recv(fds[i], bytes, 8, 0), 0);
        close(fds[i]);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    fclose(child_log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_bytes_and_fin, start, stop),
        cmocka_unit_test_setup_teardown(idle_and_reset_connections, start, stop),
        cmocka_unit_test_setup_teardown(one_that_does_not_read, start, stop),
        cmocka_unit_test_setup(drain_cuts_nothing, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
