/* Addresses and listening sockets. All system calls, none of them on the path of messages: a
 * listener opens at start-up. */
#include "uring/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void gy__ports_init(struct gy__ports *ports)
{
    memset(ports, 0, sizeof(*ports));
    pthread_mutex_init(&ports->lock, NULL);
}

void gy__ports_fini(struct gy__ports *ports)
{
    pthread_mutex_destroy(&ports->lock);
}

/* ---- addresses ---- */

static int port_parse(const char *text)
{
    unsigned port = 0;
    if (*text == 0)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        port = port * 10 + (unsigned)(*text - '0');
        if (port > 65535)
            return -EINVAL;
    }
    return (int)port;
}

int gy__address_parse(struct gy__address *out, const char *text)
{
    char host[GY__ADDR_TEXT_MAX];
    const char *colon = text ? strrchr(text, ':') : NULL;
    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return -EINVAL;
    int port = port_parse(colon + 1);
    if (port < 0)
        return port;
    size_t len = (size_t)(colon - text);
    memset(out, 0, sizeof(*out));
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->sockaddr;
        memcpy(host, text + 1, len - 2);
        host[len - 2] = 0;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        out->len = sizeof(*in6);
        return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 ? 0 : -EINVAL;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)&out->sockaddr;
    memcpy(host, text, len);
    host[len] = 0;
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    out->len = sizeof(*in);
    return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : -EINVAL;
}

uint16_t gy__address_port(const struct gy__address *address)
{
    switch (address->sockaddr.ss_family) {
    case AF_INET:
        return ntohs(((const struct sockaddr_in *)&address->sockaddr)->sin_port);
    case AF_INET6:
        return ntohs(((const struct sockaddr_in6 *)&address->sockaddr)->sin6_port);
    default:
        return 0;
    }
}

static void set_port(struct gy__address *address, uint16_t port)
{
    if (address->sockaddr.ss_family == AF_INET)
        ((struct sockaddr_in *)&address->sockaddr)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)&address->sockaddr)->sin6_port = htons(port);
}

void gy__address_print(const struct gy__address *address, char *out, size_t len)
{
    char host[INET6_ADDRSTRLEN];
    const struct sockaddr_storage *any = &address->sockaddr;
    if (any->ss_family == AF_INET &&
        inet_ntop(AF_INET, &((const struct sockaddr_in *)any)->sin_addr, host, sizeof(host)))
        snprintf(out, len, "%s:%u", host, gy__address_port(address));
    else if (any->ss_family == AF_INET6 &&
             inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)any)->sin6_addr, host,
                       sizeof(host)))
        snprintf(out, len, "[%s]:%u", host, gy__address_port(address));
    else
        snprintf(out, len, "%s", any->ss_family == AF_UNIX ? "unix" : "unknown");
}

/* ---- the table ---- */

static bool listens(const struct gy__port *port, unsigned shard)
{
    return (port->shards[shard / 64] >> (shard % 64)) & 1;
}

static bool is_free(const struct gy__port *port)
{
    uint64_t any = 0;
    for (size_t i = 0; i < GY__PORT_WORDS; i++)
        any |= port->shards[i];
    return any == 0;
}

/* The entry to join, else a free one (text[0] == 0 then), else NULL. */
static struct gy__port *entry_for(struct gy__ports *ports, unsigned shard, const char *text)
{
    struct gy__port *unused = NULL;
    for (size_t i = 0; i < GY__PORTS_MAX; i++) {
        struct gy__port *port = &ports->ports[i];
        if (is_free(port)) {
            if (!unused)
                unused = port;
        } else if (strcmp(port->text, text) == 0 && !listens(port, shard)) {
            return port;
        }
    }
    if (unused)
        memset(unused, 0, sizeof(*unused));
    return unused;
}

static int on(int fd, int level, int option)
{
    int one = 1;
    return setsockopt(fd, level, option, &one, sizeof(one)) < 0 ? -errno : 0;
}

/* Bind alone, then let the other shards in: the option may be set behind the bind. */
static int bind_first(struct gy__port *port, int fd, struct gy__address *address)
{
    if (bind(fd, (struct sockaddr *)&address->sockaddr, address->len) < 0)
        return -errno;
    port->bound.len = sizeof(port->bound.sockaddr);
    if (getsockname(fd, (struct sockaddr *)&port->bound.sockaddr, &port->bound.len) < 0)
        return -errno;
    return on(fd, SOL_SOCKET, SO_REUSEPORT);
}

static int bind_joining(const struct gy__port *port, int fd, struct gy__address *address)
{
    set_port(address, gy__address_port(&port->bound));
    int rc = on(fd, SOL_SOCKET, SO_REUSEPORT);
    if (rc < 0)
        return rc;
    return bind(fd, (struct sockaddr *)&address->sockaddr, address->len) < 0 ? -errno : 0;
}

static int bind_and_listen(struct gy__port *port, int fd, struct gy__address *address, int backlog)
{
    /* What a closed connection left behind must not keep a restarted service from its port. */
    int rc = on(fd, SOL_SOCKET, SO_REUSEADDR);
    /* Accepted sockets inherit it: one system call here instead of one per connection. */
    if (rc == 0)
        rc = on(fd, IPPROTO_TCP, TCP_NODELAY);
    if (rc == 0)
        rc = is_free(port) ? bind_first(port, fd, address) : bind_joining(port, fd, address);
    if (rc == 0 && listen(fd, backlog) < 0)
        rc = -errno;
    return rc;
}

int gy__ports_listen(struct gy__ports *ports, unsigned shard, const char *text, int backlog,
                     uint16_t *port_out)
{
    struct gy__address address;
    int rc = gy__address_parse(&address, text);
    if (rc < 0)
        return rc;
    int fd = socket(address.sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    pthread_mutex_lock(&ports->lock);
    struct gy__port *port = entry_for(ports, shard, text);
    rc = port ? bind_and_listen(port, fd, &address, backlog) : -ENOSPC;
    if (rc == 0) {
        snprintf(port->text, sizeof(port->text), "%s", text);
        port->shards[shard / 64] |= UINT64_C(1) << (shard % 64);
        *port_out = gy__address_port(&port->bound);
    }
    pthread_mutex_unlock(&ports->lock);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

void gy__ports_leave(struct gy__ports *ports, unsigned shard, int fd)
{
    struct gy__address bound = {.len = sizeof(bound.sockaddr)};
    if (getsockname(fd, (struct sockaddr *)&bound.sockaddr, &bound.len) < 0)
        return;
    pthread_mutex_lock(&ports->lock);
    for (size_t i = 0; i < GY__PORTS_MAX; i++) {
        struct gy__port *port = &ports->ports[i];
        if (listens(port, shard) && port->bound.len == bound.len &&
            memcmp(&port->bound.sockaddr, &bound.sockaddr, bound.len) == 0) {
            port->shards[shard / 64] &= ~(UINT64_C(1) << (shard % 64));
            break;
        }
    }
    pthread_mutex_unlock(&ports->lock);
}
