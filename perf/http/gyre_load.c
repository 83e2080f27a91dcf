/* gyre-load: a load generator for one HTTP/1.1 server, on one thread.
 *
 * Closed loop (default): each connection sends `depth` requests at once, waits for all of their
 * answers and sends again. Open loop (--rate): requests are due at fixed moments whatever the
 * server does; each goes to a connection that is free, late ones wait, and latency counts from
 * the moment a request was due, so that a server which stalls cannot hide it. The open loop spins;
 * the closed one sleeps in epoll_wait like any client.
 *
 * Bursts (--burst): the server stands still while a burst is sent, one request on each connection and
 * `depth` of them, and is let go then; the next burst follows when all is answered. So it finds the
 * same before it each time, however fast anybody is: for counting, not for timing.
 *
 * Every answer is read in full and checked for its status. Prints one line of name=value. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_SIZE 16384
#define DEPTH_MAX 256u
#define CONNECTIONS_MAX 20000u

static struct {
    struct sockaddr_in to;
    unsigned connections, depth;
    bool close;     /* a connection per request */
    bool vary;      /* no two requests are alike */
    double seconds; /* ends after so long, */
    uint64_t count; /* or after so many answers if > 0 */
    double rate;    /* > 0: open loop, requests a second */
    int burst;      /* > 0: bursts; the server's process */
    int cpu;        /* -1: not pinned */
    const char *path;
    int status; /* the one expected */
} opt = {
    .connections = 64, .depth = 1, .seconds = 2, .cpu = -1, .path = "/demo/hello", .status = 200};

struct conn {
    int fd;
    unsigned waiting;        /* answers still to come */
    uint64_t due[DEPTH_MAX]; /* of the oldest of them first; a ring */
    unsigned oldest;
    size_t have;        /* bytes in `in` */
    uint64_t body_left; /* of the answer being read, beyond `in` */
    bool last;          /* the server closes after this answer */
    struct conn *next;  /* free ones in the open loop */
    char in[IN_SIZE];
};

/* Counts per latency: 64 linear steps in each power of two, so 1.6 % wide. */
#define STEPS 64u
static uint64_t histogram[64 * STEPS], answered, errors, resets, late_max;
static char request[DEPTH_MAX * 512];
static size_t request_len; /* of one */
static size_t number_at;   /* in it, if they vary: eight digits */
static struct conn *conns, *free_list;
static int epoll;
static uint64_t sent, end_ns;
static bool ending;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "gyre-load: %s: %s\n", what, why);
    exit(2);
}

static unsigned bucket_of(uint64_t ns)
{
    if (ns < STEPS)
        return (unsigned)ns;
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - 6;
    return (shift + 1) * STEPS + (unsigned)((ns >> shift) - STEPS);
}

static double percentile_us(double q)
{
    uint64_t want = (uint64_t)(q * (double)answered), seen = 0;
    for (unsigned b = 0; b < 64 * STEPS; b++) {
        seen += histogram[b];
        if (histogram[b] > 0 && seen > want) {
            unsigned shift = b < STEPS ? 0 : b / STEPS - 1;
            uint64_t low = b < STEPS ? b : (uint64_t)(b % STEPS + STEPS) << shift;
            return (double)low / 1000;
        }
    }
    return (double)late_max / 1000;
}

static void open_conn(struct conn *c)
{
    int one = 1;
    c->waiting = c->oldest = 0;
    c->have = 0;
    c->body_left = 0;
    c->last = false;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&opt.to, sizeof(opt.to)) < 0)
        die("cannot connect", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        die("epoll", strerror(errno));
}

/* What a server remembers of a head is of no use if the next one differs by a digit. */
static void number_requests(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char *digits = request + i * request_len + number_at;
        uint64_t number = sent + i;
        for (unsigned k = 8; k > 0; k--, number /= 10)
            digits[k - 1] = (char)('0' + number % 10);
    }
}

/* Requests are small: a send that does not take them whole is a full socket, which the window of
 * requests under way never fills. */
static void send_requests(struct conn *c, unsigned n, uint64_t due)
{
    size_t len = n * request_len;
    if (opt.count > 0 && sent + n > opt.count) {
        n = (unsigned)(opt.count - sent);
        len = n * request_len;
        if (n == 0)
            return;
    }
    for (unsigned i = 0; i < n; i++)
        c->due[(c->oldest + c->waiting + i) % DEPTH_MAX] = due;
    if (opt.vary)
        number_requests(n);
    c->waiting += n;
    sent += n;
    ssize_t done = send(c->fd, request, len, MSG_NOSIGNAL);
    if (done != (ssize_t)len)
        die("send", done < 0 ? strerror(errno) : "the socket is full");
}

static void lost(struct conn *c)
{
    if (c->waiting > 0) {
        errors += c->waiting;
        resets++;
    }
    close(c->fd);
    c->fd = -1;
}

static void one_answered(struct conn *c)
{
    uint64_t took = now_ns() - c->due[c->oldest];
    c->oldest = (c->oldest + 1) % DEPTH_MAX;
    c->waiting--;
    histogram[bucket_of(took)]++;
    if (took > late_max)
        late_max = took;
    answered++;
}

/* Length of the head at p and of its body; 0 when it is not complete. */
static size_t parse_head(struct conn *c, const char *p, size_t len, uint64_t *body)
{
    const char *end = memmem(p, len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (len < 12 || memcmp(p, "HTTP/1.1 ", 9) != 0 || atoi(p + 9) != opt.status)
        errors++;
    *body = 0;
    for (const char *line = p; line && line < end;
         line = memchr(line, '\n', (size_t)(end - line))) {
        line += *line == '\n';
        if (strncasecmp(line, "content-length:", 15) == 0)
            *body = strtoull(line + 15, NULL, 10);
        else if (strncasecmp(line, "connection: close", 17) == 0)
            c->last = true;
    }
    return (size_t)(end + 4 - p);
}

/* Take the complete answers out of c->in. -> false: the server sends what was not asked for. */
static bool take_answers(struct conn *c)
{
    size_t at = 0;
    while (at < c->have) {
        uint64_t body;
        size_t head = parse_head(c, c->in + at, c->have - at, &body);
        if (head == 0)
            break;
        if (c->waiting == 0)
            return false;
        at += head;
        uint64_t here = c->have - at < body ? c->have - at : body;
        at += here;
        c->body_left = body - here;
        if (c->body_left > 0)
            break;
        one_answered(c);
    }
    c->have -= at;
    memmove(c->in, c->in + at, c->have);
    return c->have < IN_SIZE;
}

/* -> true while the connection can go on. */
static bool on_readable(struct conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->have, IN_SIZE - c->have, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0) {
        lost(c);
        return false;
    }
    if (c->body_left > 0) {
        uint64_t part = (uint64_t)n < c->body_left ? (uint64_t)n : c->body_left;
        c->body_left -= part;
        memmove(c->in, c->in + part, (size_t)n - part);
        n -= (ssize_t)part;
        if (c->body_left == 0)
            one_answered(c);
    }
    c->have += (size_t)n;
    if (!take_answers(c)) {
        errors++;
        lost(c);
        return false;
    }
    return true;
}

static void next_request(struct conn *c)
{
    if (c->fd < 0 || (opt.close && c->last)) {
        if (c->fd >= 0)
            close(c->fd);
        open_conn(c);
    }
    send_requests(c, opt.depth, now_ns());
}

static void closed_loop(void)
{
    struct epoll_event ev[64];
    for (unsigned i = 0; i < opt.connections; i++)
        next_request(&conns[i]);
    while (!ending) {
        int n = epoll_wait(epoll, ev, 64, 100);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (!on_readable(c) || c->waiting == 0) {
                if (opt.count == 0 || sent < opt.count)
                    next_request(c);
            }
        }
        ending = opt.count > 0 ? answered + errors >= opt.count : now_ns() >= end_ns;
    }
}

static void open_loop(void)
{
    struct epoll_event ev[64];
    double gap = 1e9 / opt.rate;
    uint64_t start = now_ns(), n_due = 0;
    for (unsigned i = 0; i < opt.connections; i++) {
        conns[i].next = free_list;
        free_list = &conns[i];
    }
    while (!ending) {
        uint64_t now = now_ns();
        while (free_list) {
            uint64_t due = start + (uint64_t)((double)n_due * gap);
            if (due > now || (opt.count > 0 && sent >= opt.count))
                break;
            struct conn *c = free_list;
            free_list = c->next;
            if (c->fd < 0)
                open_conn(c);
            send_requests(c, 1, due);
            n_due++;
        }
        int n = epoll_wait(epoll, ev, 64, 0);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            bool was_waiting = c->waiting > 0;
            if (on_readable(c) && c->last && c->waiting == 0)
                lost(c);
            if (was_waiting && c->waiting == 0) {
                c->next = free_list;
                free_list = c;
            } else if (c->fd < 0) {
                open_conn(c);
            }
        }
        ending = opt.count > 0 ? answered + errors >= opt.count : now >= end_ns;
    }
}

/* SIGSTOP takes effect some time after kill(2). */
static void stop_server(void)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/stat", opt.burst);
    if (kill(opt.burst, SIGSTOP) < 0)
        die("--burst: cannot stop the server", strerror(errno));
    for (int tries = 0; tries < 5000; tries++) {
        FILE *f = fopen(path, "r");
        size_t len = f ? fread(line, 1, sizeof(line) - 1, f) : 0;
        if (f)
            fclose(f);
        line[len] = '\0';
        const char *state = strrchr(line, ')');
        if (state && (state[2] == 'T' || state[2] == 't'))
            return;
        usleep(200);
    }
    die("--burst", "the server does not stop");
}

static void bursts(void)
{
    struct epoll_event ev[64];
    while (!ending) {
        stop_server();
        uint64_t before = sent, answered_before = answered + errors;
        for (unsigned i = 0; i < opt.connections; i++)
            next_request(&conns[i]);
        kill(opt.burst, SIGCONT);
        while (answered + errors - answered_before < sent - before) {
            int n = epoll_wait(epoll, ev, 64, 10000);
            if (n == 0)
                die("--burst", "an answer does not come");
            for (int i = 0; i < n; i++)
                (void)on_readable(ev[i].data.ptr);
        }
        ending = opt.count > 0 ? sent >= opt.count : now_ns() >= end_ns;
    }
    /* They end as they began, all at once, and what the server does then is to be counted, too. */
    stop_server();
    for (unsigned i = 0; i < opt.connections; i++)
        if (conns[i].fd >= 0)
            close(conns[i].fd);
    kill(opt.burst, SIGCONT);
    usleep(100000);
}

static bool value_of(const char *arg, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncmp(arg, name, n) != 0 || arg[n] != '=')
        return false;
    *value = arg + n + 1;
    return true;
}

static void usage(FILE *out)
{
    fprintf(out,
            "usage: gyre-load [options] ADDR:PORT\n"
            "  --connections=N   (64)\n"
            "  --depth=N         requests sent at once on each (1)\n"
            "  --close           a connection per request\n"
            "  --vary            no two heads are alike\n"
            "  --seconds=S       (2)   --requests=N  end after N answers instead\n"
            "  --rate=R          open loop: R requests a second, latency from when each was due\n"
            "  --burst=PID       stops the server while a burst is sent, one on each connection\n"
            "  --path=/PATH      (/demo/hello)   --status=N  the one expected (200)\n"
            "  --cpu=N           pin to this CPU\n");
}

static void parse_arguments(int argc, char **argv)
{
    const char *v, *address = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            exit(0);
        } else if (strcmp(argv[i], "--close") == 0)
            opt.close = true;
        else if (strcmp(argv[i], "--vary") == 0)
            opt.vary = true;
        else if (value_of(argv[i], "--connections", &v))
            opt.connections = (unsigned)atoi(v);
        else if (value_of(argv[i], "--depth", &v))
            opt.depth = (unsigned)atoi(v);
        else if (value_of(argv[i], "--seconds", &v))
            opt.seconds = atof(v);
        else if (value_of(argv[i], "--requests", &v))
            opt.count = strtoull(v, NULL, 10);
        else if (value_of(argv[i], "--rate", &v))
            opt.rate = atof(v);
        else if (value_of(argv[i], "--burst", &v))
            opt.burst = atoi(v);
        else if (value_of(argv[i], "--path", &v))
            opt.path = v;
        else if (value_of(argv[i], "--status", &v))
            opt.status = atoi(v);
        else if (value_of(argv[i], "--cpu", &v))
            opt.cpu = atoi(v);
        else if (argv[i][0] == '-')
            die(argv[i], "no such option: --help shows them");
        else
            address = argv[i];
    }
    char host[64];
    int port = 0;
    if (!address || sscanf(address, "%63[0-9.]:%d", host, &port) != 2 ||
        inet_pton(AF_INET, host, &opt.to.sin_addr) != 1)
        die(address ? address : "no address", "ADDR:PORT is wanted, as 127.0.0.1:8080");
    opt.to.sin_family = AF_INET;
    opt.to.sin_port = htons((uint16_t)port);
    if (opt.connections < 1 || opt.connections > CONNECTIONS_MAX)
        die("--connections", "1 to 20000 are allowed");
    if (opt.depth < 1 || opt.depth > DEPTH_MAX || (opt.depth > 1 && (opt.close || opt.rate > 0)))
        die("--depth", "1 to 256 are allowed, and 1 with --close or --rate");
    if (opt.burst != 0 && (opt.burst < 2 || opt.rate > 0))
        die("--burst", "the number of a process is wanted, and no --rate");
    if (strlen(opt.path) > 256)
        die("--path", "at most 256 bytes");
}

int main(int argc, char **argv)
{
    parse_arguments(argc, argv);
    if (opt.cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((unsigned)opt.cpu, &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
            die("--cpu", strerror(errno));
    }
    request_len = (size_t)snprintf(request, 512, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%s\r\n",
                                   opt.path, opt.close ? "Connection: close\r\n" : "",
                                   opt.vary ? "X-Request: 00000000\r\n" : "");
    number_at = request_len - 4 - 8;
    for (unsigned i = 1; i < opt.depth; i++)
        memcpy(request + i * request_len, request, request_len);
    conns = calloc(opt.connections, sizeof(*conns));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!conns || epoll < 0)
        die("start", strerror(errno));
    if (opt.burst > 0)
        stop_server();
    for (unsigned i = 0; i < opt.connections; i++)
        open_conn(&conns[i]);
    uint64_t start = now_ns();
    end_ns = start + (uint64_t)(opt.seconds * 1e9);
    if (opt.burst > 0)
        bursts();
    else if (opt.rate > 0)
        open_loop();
    else
        closed_loop();
    double took = (double)(now_ns() - start) / 1e9;
    printf("answers=%llu errors=%llu resets=%llu seconds=%.3f rate=%.0f p50_us=%.1f p90_us=%.1f "
           "p99_us=%.1f p999_us=%.1f p9999_us=%.1f max_us=%.1f\n",
           (unsigned long long)answered, (unsigned long long)errors, (unsigned long long)resets,
           took, (double)answered / took, percentile_us(0.5), percentile_us(0.9),
           percentile_us(0.99), percentile_us(0.999), percentile_us(0.9999),
           (double)late_max / 1000);
    return errors > 0;
}
