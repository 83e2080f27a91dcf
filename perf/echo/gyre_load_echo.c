/* gyre-load-echo: one thread of clients for an echo server.
 *
 * Closed loop: each connection sends a message, reads all of it back, checks its length and its first and last byte, and
 * sends the next. Prints one line of name=value. Or it only opens connections, --idle=N of them at a time for each line on
 * standard input, prints how many there are, and ends with its input.
 *
 *   gyre-load-echo [--connections=N] [--bytes=N] [--seconds=S] [--cpu=N] ADDR:PORT
 *   gyre-load-echo --idle=N ADDR:PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024u
#define SOURCES 8 /* addresses of 127/8 that connections come from */

static struct {
    struct sockaddr_in to;
    unsigned connections, bytes, idle;
    double seconds;
    int cpu; /* -1: not pinned */
} opt = {.connections = 32, .bytes = 64, .seconds = 1, .cpu = -1};

struct conn {
    int fd;
    unsigned sent, got;
    uint8_t mark; /* first and last byte of the message under way */
};

static struct conn conns[CONNECTIONS_MAX];
static uint8_t *out, *in;
static uint64_t echoed;

static void die(const char *what)
{
    fprintf(stderr, "gyre-load-echo: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void wrong(const char *what)
{
    fprintf(stderr, "gyre-load-echo: %s\n", what);
    exit(1);
}

static int connect_from(unsigned source)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + source);
    /* The port is chosen when it connects, so that it need be free for that peer only. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
        die("bind");
    if (connect(fd, (struct sockaddr *)&opt.to, sizeof(opt.to)) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

/* ---- messages ---- */

static void send_more(struct conn *c)
{
    while (c->sent < opt.bytes) {
        out[0] = out[opt.bytes - 1] = c->mark;
        ssize_t n = send(c->fd, out + c->sent, opt.bytes - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            die("send");
        c->sent += (unsigned)n;
    }
}

static void begin(struct conn *c)
{
    c->sent = c->got = 0;
    c->mark++;
    send_more(c);
}

/* -> false: nothing more is there. */
static bool receive(struct conn *c)
{
    ssize_t n = recv(c->fd, in, opt.bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0)
        wrong("the server closed a connection");
    if (c->got + (unsigned)n > opt.bytes)
        wrong("more came back than was sent");
    if ((c->got == 0 && in[0] != c->mark) ||
        (c->got + (unsigned)n == opt.bytes && in[n - 1] != c->mark))
        wrong("something else came back");
    c->got += (unsigned)n;
    if (c->got == opt.bytes) {
        echoed++;
        begin(c);
    }
    return true;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void exchange(void)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    double begun = now(), ends = begun + opt.seconds;
    for (unsigned i = 0; i < opt.connections; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &conns[i]};
        conns[i].fd = connect_from(0);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, conns[i].fd, &event) < 0)
            die("epoll_ctl");
        begin(&conns[i]);
    }
    while (now() < ends) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, 100);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                send_more(c);
            /* Edge-triggered. */
            while (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && receive(c))
                continue;
        }
    }
    printf("messages=%llu per_s=%.0f\n", (unsigned long long)echoed,
           (double)echoed / (now() - begun));
}

/* ---- idle connections ---- */

static void idle(void)
{
    struct rlimit limit;
    char line[64];
    unsigned open = 0;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    while (fgets(line, sizeof(line), stdin)) {
        for (unsigned i = 0; i < opt.idle; i++, open++)
            (void)connect_from(open % SOURCES);
        printf("open=%u\n", open);
        fflush(stdout);
    }
}

/* ---- the command line ---- */

static const char *value_of(const char *arg, const char *name)
{
    size_t len = strlen(name);
    return strncmp(arg, name, len) == 0 ? arg + len : NULL;
}

static void read_option(const char *arg)
{
    const char *v;
    if ((v = value_of(arg, "--connections=")))
        opt.connections = (unsigned)atoi(v);
    else if ((v = value_of(arg, "--bytes=")))
        opt.bytes = (unsigned)atoi(v);
    else if ((v = value_of(arg, "--seconds=")))
        opt.seconds = atof(v);
    else if ((v = value_of(arg, "--cpu=")))
        opt.cpu = atoi(v);
    else if ((v = value_of(arg, "--idle=")))
        opt.idle = (unsigned)atoi(v);
    else
        wrong("an option that there is not; see the head of its source");
}

int main(int argc, char **argv)
{
    char host[64] = "";
    int port = 0;
    for (int i = 1; i < argc - 1; i++)
        read_option(argv[i]);
    if (argc < 2 || sscanf(argv[argc - 1], "%63[0-9.]:%d", host, &port) != 2 ||
        inet_pton(AF_INET, host, &opt.to.sin_addr) != 1)
        wrong("the last argument is ADDR:PORT");
    if (opt.connections == 0 || opt.connections > CONNECTIONS_MAX || opt.bytes < 2)
        wrong("1 to 1024 connections, messages from 2 bytes on");
    opt.to.sin_family = AF_INET;
    opt.to.sin_port = htons((uint16_t)port);
    out = calloc(1, opt.bytes);
    in = calloc(1, opt.bytes);
    if (!out || !in)
        die("memory");
    if (opt.cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((unsigned)opt.cpu, &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
            die("cannot pin to that CPU");
    }
    if (opt.idle > 0)
        idle();
    else
        exchange();
    return 0;
}
