#include "name_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { A = 1, SOA = 6, AAAA = 28, HEAD = 12 };
enum { NOERROR = 0, SERVFAIL = 2, NXDOMAIN = 3 };

static const struct name {
    const char *name;
    uint8_t a[3]; /* last bytes of 192.0.2.x, 0: none more */
    uint8_t aaaa; /* of 2001:db8::x */
    uint8_t code;
    uint32_t ttl_s, ttl6_s;
    bool by_tcp, wrong, broken, mute, has_soa;
    uint32_t soa_s, minimum_s;
} names[] = {
    {.name = "one.test", .a = {1}, .aaaa = 1, .ttl_s = 60, .ttl6_s = 40},
    {.name = "four.test", .a = {4}, .ttl_s = 60},
    {.name = "short.test", .a = {5}, .ttl_s = 1},
    {.name = "long.test", .a = {7, 8, 9}, .ttl_s = 60, .by_tcp = true},
    {.name = "wrong.test", .a = {6}, .ttl_s = 60, .wrong = true},
    {.name = "broken.test", .a = {6}, .ttl_s = 60, .broken = true},
    {.name = "fail.test", .code = SERVFAIL},
    {.name = "mute.test", .mute = true},
    {.name = "once.test", .a = {10}, .ttl_s = 0},
    {.name = "kept.test", .code = NXDOMAIN, .has_soa = true, .soa_s = 3600, .minimum_s = 2},
    {.name = "brief.test", .code = NXDOMAIN, .has_soa = true, .soa_s = 0, .minimum_s = 60},
    {.name = "gone.test", .code = NXDOMAIN, .has_soa = true, .soa_s = 60, .minimum_s = 0},
};
static const struct name none = {.code = NXDOMAIN};

struct message {
    uint8_t bytes[512];
    size_t len;
};

static void put16(struct message *m, unsigned value)
{
    m->bytes[m->len++] = (uint8_t)(value >> 8);
    m->bytes[m->len++] = (uint8_t)value;
}

/* The question's name as text, and where its type is. -> 0: it makes no sense. */
static size_t read_name(const uint8_t *query, size_t len, char *out, size_t size)
{
    size_t at = HEAD, used = 0;
    while (at < len && query[at] != 0) {
        size_t label = query[at];
        if (label > 63 || at + 1 + label >= len || used + label + 2 > size)
            return 0;
        memcpy(out + used, query + at + 1, label);
        used += label;
        out[used++] = '.';
        at += 1 + label;
    }
    out[used > 0 ? used - 1 : 0] = 0;
    return at + 5 <= len ? at + 1 : 0;
}

static void put_answer(struct message *m, unsigned type, uint32_t ttl_s, const uint8_t *data, size_t len)
{
    put16(m, 0xc000 | HEAD); /* the name of the question */
    put16(m, type);
    put16(m, 1);
    put16(m, ttl_s >> 16);
    put16(m, ttl_s & 0xffff);
    put16(m, (unsigned)len);
    memcpy(m->bytes + m->len, data, len);
    m->len += len;
}

static const struct name *find(const char *text)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(names[i].name, text) == 0)
            return &names[i];
    return &none;
}

/* -> whose question it was, NULL: no question. */
static const struct name *answer(struct name_server *s, const uint8_t *query, size_t len, bool tcp,
                                 struct message *m, bool *is_a)
{
    char text[256];
    size_t type_at = read_name(query, len, text, sizeof(text));
    if (len < HEAD || type_at == 0)
        return NULL;
    const struct name *name = find(text);
    unsigned type = (unsigned)query[type_at] << 8 | query[type_at + 1], n = 0;
    bool cut = name->by_tcp && !tcp;
    *is_a = type == A;
    s->asked += type == A;
    s->by_tcp += type == A && tcp;
    memcpy(m->bytes, query, type_at + 4);
    m->len = type_at + 4;
    m->bytes[2] = (uint8_t)(0x84 | (cut ? 2 : 0) | (query[2] & 1)); /* an answer, by who knows */
    m->bytes[3] = (uint8_t)(0x80 | name->code);
    m->bytes[4] = 0, m->bytes[5] = 1;
    for (unsigned i = 0; type == A && !cut && i < 3 && name->a[i] != 0; i++, n++)
        put_answer(m, A, name->ttl_s, (uint8_t[]){192, 0, 2, name->a[i]}, 4);
    if (type == AAAA && name->aaaa != 0) {
        const uint8_t data[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = name->aaaa};
        put_answer(m, AAAA, name->ttl6_s, data, 16);
        n++;
    }
    m->bytes[6] = 0, m->bytes[7] = (uint8_t)n;
    memset(m->bytes + 8, 0, 4);
    if (name->has_soa) {
        /* Both its names are those of the question, then five numbers. */
        uint8_t soa[24] = {0xc0, HEAD, 0xc0, HEAD};
        for (unsigned i = 0; i < 4; i++)
            soa[20 + i] = (uint8_t)(name->minimum_s >> (24 - 8 * i));
        put_answer(m, SOA, name->soa_s, soa, sizeof(soa));
        m->bytes[9] = 1;
    }
    return name;
}

static void serve_udp(struct name_server *s)
{
    uint8_t query[512];
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    struct message m;
    bool is_a = false;
    ssize_t len = recvfrom(s->udp, query, sizeof(query), 0, (struct sockaddr *)&from, &size);
    const struct name *name = len > 0 ? answer(s, query, (size_t)len, false, &m, &is_a) : NULL;
    if (name == NULL || name->mute)
        return;
    if (name->wrong && is_a) {
        struct message other = m;
        other.bytes[1] ^= 0x55;
        other.bytes[other.len - 1] = 66;
        (void)sendto(s->udp, other.bytes, other.len, 0, (struct sockaddr *)&from, size);
    }
    if (name->broken)
        m.len = m.len / 2;
    (void)sendto(s->udp, m.bytes, m.len, 0, (struct sockaddr *)&from, size);
}

/* All questions of one connection, each with its length before it. */
static void serve_tcp(struct name_server *s)
{
    int fd = accept(s->tcp, NULL, NULL);
    uint8_t head[2], query[512], out[514];
    while (fd >= 0 && recv(fd, head, 2, MSG_WAITALL) == 2) {
        size_t len = (size_t)head[0] << 8 | head[1];
        struct message m;
        bool is_a;
        if (len > sizeof(query) || recv(fd, query, len, MSG_WAITALL) != (ssize_t)len ||
            answer(s, query, len, true, &m, &is_a) == NULL)
            break;
        out[0] = (uint8_t)(m.len >> 8);
        out[1] = (uint8_t)m.len;
        memcpy(out + 2, m.bytes, m.len);
        (void)send(fd, out, m.len + 2, MSG_NOSIGNAL);
    }
    if (fd >= 0)
        close(fd);
}

static void *serve(void *arg)
{
    struct name_server *s = arg;
    for (;;) {
        struct pollfd fds[3] = {{s->end[0], POLLIN, 0}, {s->udp, POLLIN, 0}, {s->tcp, POLLIN, 0}};
        if (poll(fds, 3, -1) < 0 || fds[0].revents != 0)
            return NULL;
        if (fds[1].revents != 0)
            serve_udp(s);
        if (fds[2].revents != 0)
            serve_tcp(s);
    }
}

void name_server_start(struct name_server *s)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(addr);
    bool both = false;
    memset(s, 0, sizeof(*s));
    /* One port that is free for both. */
    for (unsigned i = 0; i < 20 && !both; i++) {
        addr.sin_port = 0;
        s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s->udp, (struct sockaddr *)&addr, sizeof(addr)), 0);
        assert_int_equal(getsockname(s->udp, (struct sockaddr *)&addr, &size), 0);
        both = bind(s->tcp, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(s->tcp, 8) == 0;
        if (!both) {
            close(s->udp);
            close(s->tcp);
        }
    }
    assert_true(both);
    snprintf(s->addr, sizeof(s->addr), "127.0.0.1:%u", ntohs(addr.sin_port));
    assert_int_equal(pipe(s->end), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

void name_server_stop(struct name_server *s)
{
    assert_int_equal(write(s->end[1], "x", 1), 1);
    pthread_join(s->thread, NULL);
    close(s->udp);
    close(s->tcp);
    close(s->end[0]);
    close(s->end[1]);
}
