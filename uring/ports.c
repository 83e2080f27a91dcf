/* Addresses and listening sockets. All system calls, none of them on the path of messages: a
 * listener opens at start-up. */
#include "uring/ports.h"
#include "uring/service.h"
#include "uring/unix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stddef.h>
#include <fcntl.h>
#include <sys/un.h>
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

static int unix_parse(struct gy__address *out, const char *path)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&out->sockaddr;
    size_t len = strlen(path);
    if (len < 2 || len >= sizeof(un->sun_path) || (*path != '/' && *path != '@'))
        return -EINVAL;
    memset(out, 0, sizeof(*out));
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, len + 1);
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    if (*path == '@') {
        /* A NUL before the name, none behind it. */
        un->sun_path[0] = 0;
        out->len--;
    }
    return 0;
}

int gy__address_parse(struct gy__address *out, const char *text)
{
    char host[GY__ADDR_TEXT_MAX];
    if (text && strncmp(text, "unix:", 5) == 0)
        return unix_parse(out, text + 5);
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
    else if (address->sockaddr.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->sockaddr)->sin6_port = htons(port);
}

static void unix_print(const struct gy__address *address, char *out, size_t len)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->sockaddr;
    int n = (int)address->len - (int)offsetof(struct sockaddr_un, sun_path);
    if (n <= 0)
        snprintf(out, len, "unix:");
    else if (un->sun_path[0] == 0)
        snprintf(out, len, "unix:@%.*s", n - 1, un->sun_path + 1);
    else
        snprintf(out, len, "unix:%.*s", n, un->sun_path);
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
    else if (any->ss_family == AF_UNIX)
        unix_print(address, out, len);
    else
        snprintf(out, len, "unknown");
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

static int set_int(int fd, int option, int value)
{
    return setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* The peer is asked after half of the time, then a few times; what is sent and not confirmed has
 * the whole time (RFC 5482). See tcp(7). */
static int set_keep_alive(int fd, uint32_t s)
{
    const uint32_t most_s = 32767; /* the kernel's, of both times */
    int rc = on(fd, SOL_SOCKET, SO_KEEPALIVE);
    s = s < 2 ? 2 : s > most_s ? most_s : s;
    if (rc == 0)
        rc = set_int(fd, TCP_KEEPIDLE, (int)(s / 2));
    if (rc == 0)
        rc = set_int(fd, TCP_KEEPINTVL, (int)(s / 8 > 0 ? s / 8 : 1));
    return rc == 0 ? set_int(fd, TCP_USER_TIMEOUT, (int)s * 1000) : rc;
}

int gy__tcp_set(int fd, const struct gy__tcp_options *options)
{
    int rc = options && options->delay_sends ? 0 : on(fd, IPPROTO_TCP, TCP_NODELAY);
    if (rc == 0 && options && options->keep_alive_s > 0)
        rc = set_keep_alive(fd, options->keep_alive_s);
    return rc;
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

static int listen_tcp(struct gy__port *port, int fd, struct gy__address *address, int backlog,
                      const struct gy__tcp_options *options)
{
    /* What a closed connection left behind must not keep a restarted service from its port. */
    int rc = on(fd, SOL_SOCKET, SO_REUSEADDR);
    /* Accepted sockets inherit them: system calls here instead of for each connection. */
    if (rc == 0)
        rc = gy__tcp_set(fd, options);
    if (rc == 0)
        rc = is_free(port) ? bind_first(port, fd, address) : bind_joining(port, fd, address);
    if (rc == 0 && listen(fd, backlog) < 0)
        rc = -errno;
    return rc;
}

/* The first gives the table a copy; the others get copies of that, in place of theirs. */
static int listen_unix(struct gy__port *port, int fd, const struct gy__address *address,
                       int backlog)
{
    if (!is_free(port))
        return dup3(port->shared, fd, O_CLOEXEC) < 0 ? -errno : 0;
    int shared = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int rc = shared < 0 ? -errno : gy__unix_bind(fd, address, &port->at);
    if (rc == 0 && listen(fd, backlog) < 0) {
        rc = -errno;
        gy__unix_unbind(fd, address, &port->at);
    }
    if (rc < 0 && shared >= 0)
        close(shared);
    port->shared = shared;
    port->is_shared = true;
    port->bound = *address;
    return rc;
}

static bool listens_already(int fd)
{
    int type = 0, listening = 0;
    socklen_t len = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

/* -> a descriptor for this shard. */
static int listen_passed(struct gy__port *port, const char *name,
                         const struct gy__tcp_options *options)
{
    if (is_free(port)) {
        int fd = gy__service_socket(name);
        if (fd < 0)
            return fd;
        port->bound.len = sizeof(port->bound.sockaddr);
        if (!listens_already(fd) ||
            getsockname(fd, (struct sockaddr *)&port->bound.sockaddr, &port->bound.len) < 0)
            return -EINVAL;
        int rc = gy__address_is_internet(&port->bound) ? gy__tcp_set(fd, options) : 0;
        if (rc < 0)
            return rc;
        port->shared = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (port->shared < 0)
            return -errno;
        port->is_shared = port->is_passed = true;
    }
    int fd = fcntl(port->shared, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        fd = -errno;
        if (is_free(port))
            close(port->shared);
    }
    return fd;
}

int gy__ports_listen(struct gy__ports *ports, unsigned shard, const char *text, int backlog,
                     const struct gy__tcp_options *options, uint16_t *port_out)
{
    struct gy__address address;
    bool passed = strncmp(text, "fd:", 3) == 0;
    int rc = passed ? 0 : gy__address_parse(&address, text);
    if (rc < 0)
        return rc;
    int fd = passed ? -1 : socket(address.sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 && !passed)
        return -errno;
    pthread_mutex_lock(&ports->lock);
    struct gy__port *port = entry_for(ports, shard, text);
    if (!port)
        rc = -ENOSPC;
    else if (passed)
        rc = fd = listen_passed(port, text + 3, options);
    else if (gy__address_is_internet(&address))
        rc = listen_tcp(port, fd, &address, backlog, options);
    else
        rc = listen_unix(port, fd, &address, backlog);
    if (rc >= 0) {
        snprintf(port->text, sizeof(port->text), "%s", text);
        port->shards[shard / 64] |= UINT64_C(1) << (shard % 64);
        *port_out = gy__address_port(&port->bound);
    }
    pthread_mutex_unlock(&ports->lock);
    if (rc < 0 && fd >= 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

/* Drop segments that would begin a handshake: SYN without ACK. */
static void refuse_new(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    /* Should it fail, connections that come during the next steps are reset: no worse. */
    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static struct gy__port *port_of(struct gy__ports *ports, unsigned shard, int fd)
{
    struct gy__address bound = {.len = sizeof(bound.sockaddr)};
    if (getsockname(fd, (struct sockaddr *)&bound.sockaddr, &bound.len) < 0)
        return NULL;
    for (size_t i = 0; i < GY__PORTS_MAX; i++) {
        struct gy__port *port = &ports->ports[i];
        if (listens(port, shard) && port->bound.len == bound.len &&
            memcmp(&port->bound.sockaddr, &bound.sockaddr, bound.len) == 0)
            return port;
    }
    return NULL;
}

static void leave(struct gy__port *port, unsigned shard)
{
    port->shards[shard / 64] &= ~(UINT64_C(1) << (shard % 64));
    if (!is_free(port) || !port->is_shared)
        return;
    if (!port->is_passed)
        gy__unix_unbind(port->shared, &port->bound, &port->at);
    close(port->shared);
}

void gy__ports_refuse(struct gy__ports *ports, unsigned shard, int fd)
{
    pthread_mutex_lock(&ports->lock);
    struct gy__port *port = port_of(ports, shard, fd);
    if (port && !port->is_shared)
        refuse_new(fd);
    else if (port && !port->is_passed)
        leave(port, shard);
    pthread_mutex_unlock(&ports->lock);
}

bool gy__ports_is_passed(struct gy__ports *ports, unsigned shard, int fd)
{
    pthread_mutex_lock(&ports->lock);
    struct gy__port *port = port_of(ports, shard, fd);
    bool passed = port && port->is_passed;
    pthread_mutex_unlock(&ports->lock);
    return passed;
}

void gy__ports_leave(struct gy__ports *ports, unsigned shard, int fd)
{
    pthread_mutex_lock(&ports->lock);
    struct gy__port *port = port_of(ports, shard, fd);
    if (port)
        leave(port, shard);
    pthread_mutex_unlock(&ports->lock);
}
