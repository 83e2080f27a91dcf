/* gyre-echo under a service manager that opens its socket: it says when it is ready and when it
 * stops, and a connection that comes between two processes is served by the second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 10000

static char notify_name[128];
static int notify_fd, listen_fd;
static struct sockaddr_in address = {.sin_family = AF_INET};

static pid_t start(void)
{
    const char *bin = getenv("GYRE_BIN");
    char path[4096], pid[32];

    if (bin == NULL) {
        print_message("GYRE_BIN names the directory of the programs\n");
        exit(77);
    }
    snprintf(path, sizeof(path), "%s/gyre-echo", bin);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int elsewhere = fcntl(listen_fd, F_DUPFD, 10);
        dup2(elsewhere, 3); /* without close-on-exec */
        close(elsewhere);
        snprintf(pid, sizeof(pid), "%d", (int)getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        setenv("LISTEN_FDNAMES", "echo", 1);
        setenv("NOTIFY_SOCKET", notify_name, 1);
        execl(path, path, "--listen=fd:echo", "--shards=2", "--overprovisioned", (char *)NULL);
        _exit(127);
    }
    return child;
}

static void said(const char *state)
{
    char text[64] = "";
    struct pollfd p = {.fd = notify_fd, .events = POLLIN};

    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    assert_true(recv(notify_fd, text, sizeof(text) - 1, 0) > 0);
    assert_string_equal(text, state);
}

static int client(void)
{
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
    return fd;
}

static void echoes(int fd)
{
    char byte = 0;

    assert_int_equal(recv(fd, &byte, 1, 0), 1);
    assert_int_equal(byte, 'x');
    close(fd);
}

static void end(pid_t child)
{
    int status = -1;

    assert_int_equal(kill(child, SIGTERM), 0);
    said("STOPPING=1");
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void two_processes_of_one_socket(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(address);

    (void)state;
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(listen(listen_fd, 16), 0);
    assert_int_equal(getsockname(listen_fd, (struct sockaddr *)&address, &len), 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(un.sun_path + 1, 60, "gyre-e2e-notify-%d", (int)getpid());
    snprintf(notify_name, sizeof(notify_name), "@%s", un.sun_path + 1);
    notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(notify_fd, (struct sockaddr *)&un,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                                      strlen(un.sun_path + 1))),
                     0);

    pid_t first = start();
    said("READY=1");
    echoes(client());
    end(first);
    int between = client();
    pid_t second = start();
    said("READY=1");
    echoes(between);
    echoes(client());
    end(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_processes_of_one_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
