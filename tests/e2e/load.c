/* The load client (see load.h). */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

enum { CLOSED, CONNECTING, OPEN, ENDED };

struct load_conn *load_add(struct load *load, bool fresh, unsigned depth)
{
    struct load_conn *c = &load->conns[load->conns_n];
    *c = (struct load_conn){.index = load->conns_n, .fresh = fresh, .depth = depth, .fd = -1};
    load->conns_n++;
    return c;
}

static void shut(struct load_conn *c, uint8_t state)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
    c->state = state;
    c->told_close = c->answered = false;
    c->wake_ms = 0;
    c->outstanding = c->unsent = 0;
    c->out_len = c->out_at = 0;
    answer_next(&c->reader);
}

void load_close(struct load *load)
{
    for (unsigned i = 0; i < load->conns_n; i++)
        shut(&load->conns[i], ENDED);
}

/* Refusal is how a server says that it ends; anything else is a failure of the test's surroundings. */
static void connect_failed(struct load *load, struct load_conn *c, int err)
{
    if (err == ECONNREFUSED)
        load->account.refused++;
    else
        load->account.bad++;
    shut(c, ENDED);
}

static void open_one(struct load *load, struct load_conn *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)load->port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0) {
        connect_failed(load, c, errno);
        return;
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->state = CONNECTING;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
        connect_failed(load, c, errno);
}

/* The next batch, when the last one is through. */
static void fill(struct load *load, struct load_conn *c)
{
    unsigned depth = c->fresh ? 1 : c->depth;
    if (c->outstanding > 0 || c->out_len > 0 || c->told_close)
        return;
    while (c->unsent < depth && sizeof(c->out) - c->out_len > LOAD_BATCH_BYTES / 16) {
        size_t n = load->next(load, c, c->out + c->out_len, sizeof(c->out) - c->out_len);
        if (n == 0)
            break;
        c->out_len += n;
        c->unsent++;
    }
    if (c->unsent == 0)
        shut(c, ENDED);
}

/* The connection is over. err: 0 after a FIN. */
static void ended(struct load *load, struct load_conn *c, int err)
{
    struct load_account *a = &load->account;
    unsigned left = c->outstanding;
    if (left > 0 && answer_begun(&c->reader)) {
        a->cut++;
        left--;
    }
    if (c->told_close)
        a->late += left;
    else if (err == 0)
        a->lost += left;
    else if (!c->answered && !answer_begun(&c->reader))
        a->unaccepted += left;
    else
        a->reset += left;
    shut(c, CLOSED);
}

static void send_more(struct load *load, struct load_conn *c)
{
    if (c->out_at == c->out_len)
        return;
    ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN)
            ended(load, c, errno);
        return;
    }
    /* Batches are written at once unless the socket is full; a part counts for all of it. */
    load->account.sent += c->unsent;
    c->outstanding += c->unsent;
    c->unsent = 0;
    c->out_at += (size_t)n;
    if (c->out_at == c->out_len)
        c->out_at = c->out_len = 0;
}

/* -> false: the connection is no longer what it was. */
static bool take(struct load *load, struct load_conn *c, const char *bytes, size_t len)
{
    while (len > 0) {
        bool done;
        long used = c->outstanding > 0 ? answer_read(&c->reader, bytes, len, &done) : -1;
        if (used < 0) {
            load->account.bad++;
            shut(c, ENDED);
            return false;
        }
        bytes += used;
        len -= (size_t)used;
        if (!done)
            continue;
        c->outstanding--;
        c->answered = true;
        c->told_close |= c->reader.now.closes;
        load->account.complete++;
        load->answered(load, c, &c->reader.now);
        answer_next(&c->reader);
    }
    if (c->outstanding > 0 || c->unsent > 0)
        return true;
    if (c->told_close || c->fresh) {
        shut(c, CLOSED);
        return false;
    }
    if (c->think_ms > 0)
        c->wake_ms = now_ms() + 1 + load->account.complete % c->think_ms;
    return c->think_ms == 0;
}

static void receive(struct load *load, struct load_conn *c)
{
    char bytes[65536];
    for (unsigned i = 0; i < 4; i++) {
        ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
        if (n > 0 && take(load, c, bytes, (size_t)n))
            continue;
        if (n == 0)
            ended(load, c, 0);
        else if (n < 0 && errno != EAGAIN)
            ended(load, c, errno);
        return;
    }
}

static void step(struct load *load, struct load_conn *c, short events)
{
    if (c->state == CONNECTING && events != 0) {
        int err = 0;
        socklen_t size = sizeof(err);
        (void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &size);
        if (err != 0) {
            connect_failed(load, c, err);
            return;
        }
        load->account.connections++;
        c->state = OPEN;
        events = POLLOUT;
    }
    if (c->state == OPEN && events & (POLLIN | POLLHUP | POLLERR))
        receive(load, c);
    if (c->state == OPEN && c->wake_ms == 0)
        fill(load, c);
    if (c->state == OPEN)
        send_more(load, c);
}

/* What to wait for on this connection. */
static struct pollfd wanted(struct load *load, struct load_conn *c)
{
    if (c->wake_ms > 0 && now_ms() < c->wake_ms)
        return (struct pollfd){.fd = -1};
    if (c->wake_ms > 0) {
        c->wake_ms = 0;
        step(load, c, POLLOUT);
    }
    if (c->state == CONNECTING || c->out_at < c->out_len)
        return (struct pollfd){.fd = c->fd, .events = POLLIN | POLLOUT};
    return (struct pollfd){.fd = c->fd, .events = POLLIN};
}

int load_run(struct load *load, bool (*stop)(struct load *load), unsigned timeout_ms)
{
    uint64_t until = now_ms() + timeout_ms;
    struct pollfd polls[LOAD_CONNS_MAX];
    for (;;) {
        unsigned live = 0;
        for (unsigned i = 0; i < load->conns_n; i++) {
            struct load_conn *c = &load->conns[i];
            if (c->state == CLOSED)
                open_one(load, c);
            polls[i] = wanted(load, c);
            live += c->state != ENDED;
        }
        if (live == 0 || (stop != NULL && stop(load)))
            return 0;
        if (now_ms() >= until)
            return -ETIMEDOUT;
        (void)poll(polls, load->conns_n, 1);
        for (unsigned i = 0; i < load->conns_n; i++)
            if (polls[i].fd >= 0 && polls[i].revents != 0)
                step(load, &load->conns[i], polls[i].revents);
    }
}

void load_print(const struct load *load, const char *when)
{
    const struct load_account *a = &load->account;
    printf("%s: connections %llu, sent %llu, complete %llu, cut %llu, reset %llu, lost %llu, late %llu, "
           "unaccepted %llu, refused %llu, bad %llu\n",
           when, (unsigned long long)a->connections, (unsigned long long)a->sent,
           (unsigned long long)a->complete, (unsigned long long)a->cut,
           (unsigned long long)a->reset, (unsigned long long)a->lost, (unsigned long long)a->late,
           (unsigned long long)a->unaccepted, (unsigned long long)a->refused,
           (unsigned long long)a->bad);
    (void)fflush(stdout);
}
