/* uring/ports.h - the addresses that a runtime listens on, so that its shards share one port.
 *
 * The first shard to listen on an address binds it alone: whoever else uses it, also with
 * SO_REUSEPORT, makes that fail, so that two services never share a port by mistake. Then it
 * opens the port to the others, which join it; with port 0 they all get the one that the first
 * was given. A UNIX socket cannot be bound twice: its shards have copies of one descriptor, and
 * the last to leave removes the path. A shard that listens on the same text twice gets a second
 * address of its own (or, if the port is fixed, -EADDRINUSE). */
#ifndef GYRE_URING_PORTS_H
#define GYRE_URING_PORTS_H

#include "gyre/base.h"
#include "gyre/config.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define GY__PORTS_MAX 64u
#define GY__ADDR_TEXT_MAX 128u

struct gy__address {
    struct sockaddr_storage sockaddr;
    socklen_t len;
};
static inline bool gy__address_is_internet(const struct gy__address *address)
{
    return address->sockaddr.ss_family == AF_INET || address->sockaddr.ss_family == AF_INET6;
}

/* What a path led to; all zeros: nothing. */
struct gy__unix_file {
    dev_t device;
    ino_t number;
};

#define GY__PORT_WORDS ((GY_SHARDS_MAX + 63) / 64)
struct gy__ports {
    pthread_mutex_t lock;
    struct gy__port {
        char text[GY__ADDR_TEXT_MAX];
        struct gy__address bound;
        struct gy__unix_file at;
        int shared; /* of a path, or passed to us: the table's own descriptor of the socket, which others
                     * get copies of */
        bool is_shared, is_passed;
        uint64_t shards[GY__PORT_WORDS]; /* who listens; none: the entry is free */
    } ports[GY__PORTS_MAX];
};

void gy__ports_init(struct gy__ports *ports);
void gy__ports_fini(struct gy__ports *ports);

/* "127.0.0.1:8080", "[::1]:80", "unix:/path", "unix:@name". -> 0; -EINVAL. */
GY_MUST_CHECK int gy__address_parse(struct gy__address *out, const char *text);
/* The port of an address, 0 if it has none. */
uint16_t gy__address_port(const struct gy__address *address);
/* An address as text: "127.0.0.1:8080", "[::1]:80"; cut to fit, always ended. */
void gy__address_print(const struct gy__address *address, char *out, size_t len);

/* As in gyre/stream.h. */
struct gy__tcp_options {
    uint32_t keep_alive_s;
    bool delay_sends;
};
/* Set them on a TCP socket; what it accepts inherits them. NULL: the defaults. -> 0, -errno. */
GY_MUST_CHECK int gy__tcp_set(int fd, const struct gy__tcp_options *options);

/* A new socket that listens on the address for this shard; blocking for as long as the lock is
 * held by another shard that does the same. options: NULL are the defaults. port: set to the one
 * bound. Any shard's thread.
 * -> the descriptor; -EINVAL the text; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EMFILE, ...;
 * -ENOSPC too many addresses; of "fd:NAME" -ENOENT none of that name, -EINVAL it does not
 * listen. */
GY_MUST_CHECK int gy__ports_listen(struct gy__ports *ports, unsigned shard, const char *text,
                                   int backlog, const struct gy__tcp_options *options,
                                   uint16_t *port);
/* This shard will close fd, one of those, and wants no new connections from here on: whoever
 * comes goes to the other shards, or is turned away when none is left. Once, or more often. */
void gy__ports_refuse(struct gy__ports *ports, unsigned shard, int fd);
/* Was it passed to this process? Then what waits in its queue is for the next one. */
bool gy__ports_is_passed(struct gy__ports *ports, unsigned shard, int fd);
/* This shard closes it. */
void gy__ports_leave(struct gy__ports *ports, unsigned shard, int fd);

#endif
