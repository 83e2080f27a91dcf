/* What a service manager passes and wants to hear: sockets by name and number, and states. */
#include "fixture.h"
#include "uring/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int listening(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || listen(fd, 16) < 0)
        _exit(90);
    return fd;
}

static void pass(const char *names, pid_t pid)
{
    char text[32];
    snprintf(text, sizeof(text), "%d", (int)pid);
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", "3", 1);
    if (names)
        setenv("LISTEN_FDNAMES", names, 1);
    else
        unsetenv("LISTEN_FDNAMES");
}

/* In a process of its own, whose descriptors from 3 on are the test's: two that listen, one that
 * does not. -> its status: the number of the line that is wrong, 0: none. */
static int in_a_child(int (*check)(void))
{
    int status = -1;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int a = listening(), b = listening(), c = socket(AF_INET, SOCK_STREAM, 0);
        int fds[] = {fcntl(a, F_DUPFD, 50), fcntl(b, F_DUPFD, 50), fcntl(c, F_DUPFD, 50)};
        for (int i = 0; i < 3; i++)
            dup2(fds[i], 3 + i);
        for (int fd = 6; fd < 60; fd++)
            close(fd);
        _exit(check());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define WANT(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __LINE__ % 200 + 1;                                                             \
    } while (0)

static int names_and_numbers(void)
{
    pass("web:admin::", getpid());
    WANT(gy__service_socket("web") == 3);
    WANT(gy__service_socket("admin") == 4);
    WANT(gy__service_socket("3") == 3);
    WANT(gy__service_socket("5") == 5);
    WANT(gy__service_socket("6") == -ENOENT);
    WANT(gy__service_socket("2") == -ENOENT);
    WANT(gy__service_socket("we") == -ENOENT);
    WANT(gy__service_socket("webadmin") == -ENOENT);
    WANT(fcntl(3, F_GETFD) == FD_CLOEXEC);
    pass(NULL, getpid());
    WANT(gy__service_socket("web") == -ENOENT);
    WANT(gy__service_socket("4") == 4);
    /* For somebody else: who inherited the environment is not meant. */
    pass("web", getppid());
    WANT(gy__service_socket("web") == -ENOENT);
    WANT(gy__service_socket("3") == -ENOENT);
    pass("web", getpid());
    setenv("LISTEN_FDS", "-1", 1);
    WANT(gy__service_socket("web") == -ENOENT);
    unsetenv("LISTEN_FDS");
    WANT(gy__service_socket("web") == -ENOENT);
    return 0;
}

static void sockets_by_name_and_number(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(names_and_numbers), 0);
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0 ? -1 : fd;
}

/* Shards share it; when all have left it still listens, and what waits in its queue is still
 * there. */
static int shared(void)
{
    static struct gy__ports ports;
    uint16_t port[2] = {0, 0};
    pass("web:admin:broken", getpid());
    gy__ports_init(&ports);
    int first = gy__ports_listen(&ports, 0, "fd:web", 16, NULL, &port[0]);
    int second = gy__ports_listen(&ports, 1, "fd:web", 16, NULL, &port[1]);
    WANT(first > 5 && second > 5 && port[0] != 0 && port[0] == port[1]);
    WANT(gy__ports_listen(&ports, 0, "fd:none", 16, NULL, &port[1]) == -ENOENT);
    WANT(gy__ports_listen(&ports, 0, "fd:broken", 16, NULL, &port[1]) == -EINVAL);
    WANT(gy__ports_is_passed(&ports, 0, first) && gy__ports_is_passed(&ports, 1, second));
    int client = connect_to(port[0]);
    WANT(client >= 0);
    gy__ports_refuse(&ports, 0, first);
    gy__ports_refuse(&ports, 1, second);
    gy__ports_leave(&ports, 0, first);
    close(first);
    gy__ports_leave(&ports, 1, second);
    close(second);
    WANT(connect_to(port[0]) >= 0);
    WANT(accept(3, NULL, NULL) >= 0);
    WANT(accept(3, NULL, NULL) >= 0);
    gy__ports_fini(&ports);
    return 0;
}

static void shards_share_what_was_passed(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(shared), 0);
}

static void states_are_told(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char text[128];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)state;
    socklen_t len = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 +
                    (socklen_t)snprintf(un.sun_path + 1, 60, "gyre-test-notify-%d", (int)getpid());
    assert_int_equal(bind(fd, (struct sockaddr *)&un, len), 0);
    snprintf(text, sizeof(text), "@%s", un.sun_path + 1);
    setenv("NOTIFY_SOCKET", text, 1);
    int before = open_descriptors();
    gy__service_notify("READY=1");
    assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 7);
    assert_memory_equal(text, "READY=1", 7);
    close(fd);
    gy__service_notify("READY=1"); /* nobody listens */
    setenv("NOTIFY_SOCKET", "vsock:1:2", 1);
    gy__service_notify("READY=1");
    unsetenv("NOTIFY_SOCKET");
    gy__service_notify("READY=1");
    assert_int_equal(open_descriptors(), before - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_by_name_and_number),
        cmocka_unit_test(shards_share_what_was_passed),
        cmocka_unit_test(states_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
