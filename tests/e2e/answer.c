/* The tests' own reader of answers, and a plain blocking client (see answer.h). */
#include "answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

bool answer_header(const struct answer *a, const char *name, char *out, size_t size)
{
    size_t name_len = strlen(name);
    for (const char *line = strchr(a->head, '\n'); line != NULL; line = strchr(line, '\n')) {
        line++;
        if (strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
            continue;
        const char *value = line + name_len + 1;
        value += strspn(value, " \t");
        size_t len = strcspn(value, "\r\n");
        if (len >= size)
            len = size - 1;
        memcpy(out, value, len);
        out[len] = '\0';
        return true;
    }
    return false;
}

/* The head is whole. -> false: it is not one of an answer that we understand. */
static bool read_head(struct answer_reader *r)
{
    struct answer *a = &r->now;
    char value[64];
    if (strncmp(a->head, "HTTP/1.1 ", 9) != 0 && strncmp(a->head, "HTTP/1.0 ", 9) != 0)
        return false;
    a->status = atoi(a->head + 9);
    a->closes = answer_header(a, "Connection", value, sizeof(value)) &&
                strcasecmp(value, "close") == 0;
    a->length = 0;
    if (answer_header(a, "Content-Length", value, sizeof(value)))
        a->length = strtoull(value, NULL, 10);
    else if (a->status >= 200 && a->status != 204 && a->status != 304)
        return false; /* the server under test always knows its lengths */
    r->body_left = r->no_body || a->status < 200 ? 0 : a->length;
    r->body_kept = 0;
    a->body[0] = '\0';
    return a->status >= 100 && a->status <= 599;
}

bool answer_begun(const struct answer_reader *r)
{
    return r->head_len > 0;
}

void answer_next(struct answer_reader *r)
{
    r->head_len = 0;
    r->in_body = false;
}

static size_t read_body(struct answer_reader *r, const char *bytes, size_t len)
{
    struct answer *a = &r->now;
    size_t n = len < r->body_left ? len : (size_t)r->body_left;
    size_t keep = sizeof(a->body) - 1 - r->body_kept;
    if (keep > n)
        keep = n;
    memcpy(a->body + r->body_kept, bytes, keep);
    r->body_kept += keep;
    a->body[r->body_kept] = '\0';
    r->body_left -= n;
    return n;
}

long answer_read(struct answer_reader *r, const char *bytes, size_t len, bool *done)
{
    struct answer *a = &r->now;
    size_t used = 0;
    *done = false;
    while (!r->in_body && used < len) {
        if (r->head_len == sizeof(a->head) - 1)
            return -1;
        a->head[r->head_len++] = bytes[used++];
        a->head[r->head_len] = '\0';
        if (r->head_len < 4 || memcmp(a->head + r->head_len - 4, "\r\n\r\n", 4) != 0)
            continue;
        if (!read_head(r))
            return -1;
        r->in_body = true;
    }
    if (r->in_body) {
        used += read_body(r, bytes + used, len - used);
        *done = r->body_left == 0;
    }
    return (long)used;
}

/* ---- the blocking client ---- */

int client_connect(unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval limit = {.tv_sec = 20};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        int err = errno;
        (void)close(fd);
        return -err;
    }
    return fd;
}

int client_send(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n < 0)
            return -errno;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int client_send_text(int fd, const char *text)
{
    return client_send(fd, text, strlen(text));
}

int client_answer(int fd, bool head_request, struct answer *a)
{
    struct answer_reader r = {.no_body = head_request};
    char bytes[65536];
    bool done = false;
    while (!done) {
        /* A head byte by byte, a body at most as long as it is: nothing behind it is taken. */
        size_t want = !r.in_body ? 1 : r.body_left < sizeof(bytes) ? (size_t)r.body_left
                                                                    : sizeof(bytes);
        ssize_t n = recv(fd, bytes, want, 0);
        if (n < 0)
            return -errno;
        if (n == 0)
            return answer_begun(&r) ? -EPIPE : -ENODATA;
        if (answer_read(&r, bytes, (size_t)n, &done) < 0)
            return -EPROTO;
    }
    *a = r.now;
    return 0;
}

int client_ask(unsigned port, const char *request, struct answer *a)
{
    int fd = client_connect(port);
    if (fd < 0)
        return fd;
    int err = client_send_text(fd, request);
    if (err == 0)
        err = client_answer(fd, strncmp(request, "HEAD", 4) == 0, a);
    (void)close(fd);
    return err;
}

int client_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    return n < 0 ? -errno : (int)n;
}
