/* Datagram sockets: opening and setting by system calls at once, which never wait; receiving by a
 * multishot RECVMSG into the shard's receive buffers (recv.c arms it; what the kernel writes before a
 * datagram is read here); sending by one SENDMSG per message.
 *
 * A SEND_TO has up to 64 entries in flight, each with a slot of the shard's for what must stay until it
 * has completed: header, address, control message. user_data of such an entry is its slot.
 * gy__driver[1] counts: low half the messages that have their entry, high half those in flight. The
 * operation is KERNEL while some are in flight, else UNSENT, waiting for an entry or a slot; it ends
 * when all have been tried, or it was cancelled, and none is in flight. Who waits for a slot may wait
 * long, for receivers that do not read: on a list of its own (slotless), so that nobody waits behind
 * it. */
#include "uring/datagram.h"
#include "gyre/datagram.h"
#include "uring/unix.h"

#include <errno.h>
#include <limits.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define GRO_BYTES 65536u /* what the kernel may make of several datagrams */

/* ---- addresses ---- */

static void address_of(struct gy__address *out, const struct gy_addr *addr)
{
    memset(out, 0, offsetof(struct gy__address, sockaddr) + sizeof(struct sockaddr_in6));
    if (addr->family == GY_ADDR_IPV4) {
        struct sockaddr_in *in = (struct sockaddr_in *)&out->sockaddr;
        in->sin_family = AF_INET;
        in->sin_port = htons(addr->port);
        memcpy(&in->sin_addr, addr->bytes, 4);
        out->len = sizeof(*in);
    } else if (addr->family == GY_ADDR_IPV6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->sockaddr;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(addr->port);
        in6->sin6_scope_id = addr->scope;
        memcpy(&in6->sin6_addr, addr->bytes, 16);
        out->len = sizeof(*in6);
    } else {
        struct sockaddr_un *un = (struct sockaddr_un *)&out->sockaddr;
        memset(un, 0, sizeof(*un));
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, addr->bytes, addr->len);
        /* A path has its NUL, which counts; an abstract name is as long as it is. */
        out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + addr->len +
                               (addr->len > 0 && addr->bytes[0] != 0));
    }
}

static void address_read(struct gy_addr *out, const void *bytes, size_t len)
{
    struct sockaddr_storage sockaddr;
    memset(out, 0, sizeof(*out));
    if (len < sizeof(sa_family_t) || len > sizeof(sockaddr))
        return;
    memcpy(&sockaddr, bytes, len);
    if (sockaddr.ss_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&sockaddr;
        out->family = GY_ADDR_IPV4;
        out->len = 4;
        out->port = ntohs(in->sin_port);
        memcpy(out->bytes, &in->sin_addr, 4);
    } else if (sockaddr.ss_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&sockaddr;
        out->family = GY_ADDR_IPV6;
        out->len = 16;
        out->port = ntohs(in6->sin6_port);
        out->scope = in6->sin6_scope_id;
        memcpy(out->bytes, &in6->sin6_addr, 16);
    } else if (sockaddr.ss_family == AF_UNIX && len > offsetof(struct sockaddr_un, sun_path)) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&sockaddr;
        size_t path = len - offsetof(struct sockaddr_un, sun_path);
        if (un->sun_path[0] != 0)
            path = strnlen(un->sun_path, path);
        if (path > GY_ADDR_BYTES)
            path = GY_ADDR_BYTES;
        out->family = GY_ADDR_UNIX;
        out->len = (uint8_t)path;
        memcpy(out->bytes, un->sun_path, path);
    }
}

/* ---- BIND, UNBIND ---- */

static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_options(struct gy__uring *u, int fd, struct gy_bind *want, bool is_unix)
{
    int rc = 0, segment = 0;
    socklen_t len = sizeof(segment);
    if (want->receive_bytes > 0)
        rc = set(fd, SOL_SOCKET, SO_RCVBUF,
                 want->receive_bytes < INT_MAX ? (int)want->receive_bytes : INT_MAX);
    if (rc == 0 && want->send_bytes > 0)
        rc = set(fd, SOL_SOCKET, SO_SNDBUF,
                 want->send_bytes < INT_MAX ? (int)want->send_bytes : INT_MAX);
    if (rc == 0 && want->shared)
        rc = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0 && want->broadcast)
        rc = set(fd, SOL_SOCKET, SO_BROADCAST, 1);
    want->gso = !is_unix && getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &len) == 0;
    /* What does not fit a buffer would be cut off, and so lost. */
    want->gro = want->gro && !is_unix && u->bufs.size >= GRO_BYTES + GY__RECV_HEAD_MAX &&
                set(fd, IPPROTO_UDP, UDP_GRO, 1) == 0;
    return rc;
}

static int bind_one(int fd, struct gy_bind *want)
{
    struct gy__address address;
    struct gy__unix_file at;
    address_of(&address, &want->bind);
    if (want->bind.family != GY_ADDR_UNIX)
        return bind(fd, (struct sockaddr *)&address.sockaddr, address.len) < 0 ? -errno : 0;
    int rc = gy__unix_bind(fd, &address, &at);
    want->gy__driver[0] = (uint64_t)at.device;
    want->gy__driver[1] = (uint64_t)at.number;
    return rc;
}

static void unbind(int fd, const struct gy_bind *want)
{
    struct gy__address address;
    struct gy__unix_file at = {(dev_t)want->gy__driver[0], (ino_t)want->gy__driver[1]};
    if (want->bind.family != GY_ADDR_UNIX || at.number == 0)
        return;
    address_of(&address, &want->bind);
    gy__unix_unbind(fd, &address, &at);
}

static int connect_one(int fd, const struct gy_bind *want)
{
    struct gy__address address;
    address_of(&address, &want->connect);
    return connect(fd, (struct sockaddr *)&address.sockaddr, address.len) < 0 ? -errno : 0;
}

static int open_socket(struct gy__uring *u, struct gy_bind *want)
{
    uint8_t family = want->bind.family != GY_ADDR_NONE ? want->bind.family : want->connect.family;
    struct gy__address local = {.len = sizeof(local.sockaddr)};
    int af = family == GY_ADDR_UNIX ? AF_UNIX : family == GY_ADDR_IPV6 ? AF_INET6 : AF_INET;
    int fd = socket(af, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    want->gy__driver[0] = want->gy__driver[1] = 0;
    int rc = set_options(u, fd, want, family == GY_ADDR_UNIX);
    if (rc == 0 && want->bind.family != GY_ADDR_NONE)
        rc = bind_one(fd, want);
    if (rc == 0 && want->connect.family != GY_ADDR_NONE)
        rc = connect_one(fd, want);
    if (rc == 0 && getsockname(fd, (struct sockaddr *)&local.sockaddr, &local.len) < 0)
        rc = -errno;
    if (rc < 0) {
        unbind(fd, want);
        close(fd);
        return rc;
    }
    address_read(&want->bind, &local.sockaddr, local.len);
    return fd;
}

bool gy__bind_start(struct gy__uring *u, struct gy_op *op)
{
    gy__uring_done(u, op, open_socket(u, op->u.bind.want));
    return true;
}

bool gy__unbind_start(struct gy__uring *u, struct gy_op *op)
{
    /* None of its operations is in flight: nothing holds the file but its number. */
    unbind(op->handle, op->u.bind.want);
    gy__uring_done(u, op, close(op->handle) < 0 && errno != EINTR ? -errno : 0);
    return true;
}

/* ---- SOCKET_SET ---- */

static int set_group(const struct gy_op *op, bool join)
{
    if (op->u.set.family == GY_ADDR_IPV4) {
        struct ip_mreqn request = {.imr_ifindex = (int)op->u.set.interface};
        memcpy(&request.imr_multiaddr, op->u.set.group, 4);
        return setsockopt(op->handle, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP,
                          &request, sizeof(request)) < 0 ? -errno : 0;
    }
    struct ipv6_mreq request = {.ipv6mr_interface = op->u.set.interface};
    memcpy(&request.ipv6mr_multiaddr, op->u.set.group, 16);
    return setsockopt(op->handle, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP,
                      &request, sizeof(request)) < 0 ? -errno : 0;
}

static int set_interface(const struct gy_op *op)
{
    struct ip_mreqn request = {.imr_ifindex = (int)op->u.set.interface};
    if (op->u.set.family == GY_ADDR_IPV6)
        return set(op->handle, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)op->u.set.interface);
    return setsockopt(op->handle, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof(request)) < 0
               ? -errno
               : 0;
}

bool gy__socket_set_start(struct gy__uring *u, struct gy_op *op)
{
    bool four = op->u.set.family == GY_ADDR_IPV4;
    int value = op->u.set.value, rc = -EINVAL;
    switch (op->u.set.setting) {
    case GY_DATAGRAM_JOIN:
    case GY_DATAGRAM_LEAVE:
        rc = set_group(op, op->u.set.setting == GY_DATAGRAM_JOIN);
        break;
    case GY_DATAGRAM_TTL:
        rc = four ? set(op->handle, IPPROTO_IP, IP_MULTICAST_TTL, value)
                  : set(op->handle, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, value);
        break;
    case GY_DATAGRAM_LOOP:
        rc = four ? set(op->handle, IPPROTO_IP, IP_MULTICAST_LOOP, value != 0)
                  : set(op->handle, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, value != 0);
        break;
    case GY_DATAGRAM_INTERFACE:
        rc = set_interface(op);
        break;
    default:
        break;
    }
    gy__uring_done(u, op, rc);
    return true;
}

uint64_t gy__datagram_dropped(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
        return 0;
    return info[SK_MEMINFO_DROPS];
}

/* ---- RECV_FROM ---- */

/* Only its two lengths are read: how much room the kernel leaves before a datagram. */
static struct msghdr inet_head = {.msg_namelen = sizeof(struct sockaddr_in6),
                                  .msg_controllen = CMSG_SPACE(sizeof(int))};
static struct msghdr unix_head = {.msg_namelen = sizeof(struct sockaddr_un)};
_Static_assert(sizeof(struct io_uring_recvmsg_out) + sizeof(struct sockaddr_un) <= GY__RECV_HEAD_MAX,
               "what stands before a datagram");

static struct msghdr *head_of(const struct gy_op *op)
{
    return op->u.recv_from.is_unix ? &unix_head : &inet_head;
}

void gy__recv_from_prepare(struct io_uring_sqe *entry, const struct gy_op *op)
{
    io_uring_prep_recvmsg_multishot(entry, op->handle, head_of(op), 0);
}

/* The one control message there can be; copied, because nothing aligns it behind an address. */
static uint16_t segment_of(struct io_uring_recvmsg_out *out, const struct msghdr *head)
{
    const uint8_t *at = (const uint8_t *)io_uring_recvmsg_name(out) + head->msg_namelen;
    struct cmsghdr c;
    int segment;
    if (out->controllen < CMSG_LEN(sizeof(segment)) || head->msg_controllen < out->controllen)
        return 0;
    memcpy(&c, at, sizeof(c));
    if (c.cmsg_level != IPPROTO_UDP || c.cmsg_type != UDP_GRO)
        return 0;
    memcpy(&segment, at + CMSG_LEN(0), sizeof(segment));
    return (uint16_t)segment;
}

bool gy__recv_from_read(struct gy_completion *completion, struct gy_datagram_info *info)
{
    struct msghdr *head = head_of(completion->op);
    struct io_uring_recvmsg_out *out =
        io_uring_recvmsg_validate(completion->data, completion->res, head);
    if (out == NULL)
        return false;
    uint32_t bytes = io_uring_recvmsg_payload_length(out, completion->res, head);
    uint32_t name = out->namelen < head->msg_namelen ? out->namelen : head->msg_namelen;
    address_read(&info->from, io_uring_recvmsg_name(out), name);
    info->truncated = (out->flags & MSG_TRUNC) != 0;
    info->segment = head->msg_controllen > 0 ? segment_of(out, head) : 0;
    if (info->segment >= bytes)
        info->segment = 0;
    completion->data = io_uring_recvmsg_payload(out, head);
    completion->res = (int32_t)bytes;
    completion->datagram = info;
    return true;
}

/* ---- SEND_TO ---- */

struct gy__to_slot {
    _Alignas(16) struct msghdr msg; /* user_data is its address, with a tag below */
    struct iovec iov;
    struct gy__address address;
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))];
    struct gy_op *op;
    uint32_t message; /* of the operation's */
    uint32_t next;    /* of the free slots, + 1 */
};

int gy__to_slots_take(struct gy__uring *u)
{
    void *memory = mmap(NULL, GY__TO_SLOTS * sizeof(u->to_slots[0]), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    u->to_slots = memory;
    u->to_free = u->to_used = 0;
    return 0;
}

void gy__to_slots_give(struct gy__uring *u)
{
    if (u->to_slots)
        munmap(u->to_slots, GY__TO_SLOTS * sizeof(u->to_slots[0]));
    u->to_slots = NULL;
}

static struct gy__to_slot *slot_take(struct gy__uring *u)
{
    struct gy__to_slot *slot = NULL;
    if (u->to_free > 0) {
        slot = &u->to_slots[u->to_free - 1];
        u->to_free = slot->next;
    } else if (u->to_used < GY__TO_SLOTS) {
        slot = &u->to_slots[u->to_used++];
    }
    return slot;
}

/* All who lack one try again: the first may not want it any more. */
static void slot_give(struct gy__uring *u, struct gy__to_slot *slot)
{
    slot->op = NULL;
    slot->next = u->to_free;
    u->to_free = (uint32_t)(slot - u->to_slots) + 1;
    for (struct gy_op *op; (op = gy__uring_take(&u->slotless)) != NULL;)
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
}

static uint32_t begun_of(const struct gy_op *op)
{
    return (uint32_t)op->gy__driver[1];
}
static uint32_t flying_of(const struct gy_op *op)
{
    return (uint32_t)(op->gy__driver[1] >> 32);
}
static void set_counts(struct gy_op *op, uint32_t begun, uint32_t flying)
{
    op->gy__driver[1] = (uint64_t)flying << 32 | begun;
}

static void slot_fill(struct gy__to_slot *slot, struct gy_op *op, uint32_t message)
{
    const struct gy_outgoing *out = &op->u.send_to.msgs[message];
    slot->op = op;
    slot->message = message;
    slot->iov = (struct iovec){(void *)(uintptr_t)out->data, out->len};
    memset(&slot->msg, 0, sizeof(slot->msg));
    slot->msg.msg_iov = &slot->iov;
    slot->msg.msg_iovlen = 1;
    if (out->to != NULL) {
        address_of(&slot->address, out->to);
        slot->msg.msg_name = &slot->address.sockaddr;
        slot->msg.msg_namelen = slot->address.len;
    }
    if (out->segment == 0)
        return;
    slot->msg.msg_control = slot->control;
    slot->msg.msg_controllen = sizeof(slot->control);
    struct cmsghdr *c = CMSG_FIRSTHDR(&slot->msg);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    memcpy(CMSG_DATA(c), &out->segment, sizeof(uint16_t));
}

/* What has no entry yet never gets one. */
static void give_up(struct gy_op *op)
{
    for (uint32_t i = begun_of(op); i < op->u.send_to.n; i++)
        op->u.send_to.msgs[i].res = -ECANCELED;
    set_counts(op, op->u.send_to.n, flying_of(op));
}

bool gy__send_to_start(struct gy__uring *u, struct gy_op *op)
{
    bool lacks_slot = false;
    while (begun_of(op) < op->u.send_to.n && gy__uring_room(u, 1)) {
        struct gy__to_slot *slot = slot_take(u);
        lacks_slot = slot == NULL;
        if (lacks_slot)
            break;
        slot_fill(slot, op, begun_of(op));
        io_uring_prep_sendmsg(gy__uring_entry(u, (uint64_t)(uintptr_t)slot | GY__TAG_TO), op->handle,
                              &slot->msg, MSG_NOSIGNAL);
        set_counts(op, begun_of(op) + 1, flying_of(op) + 1);
    }
    if (op->u.send_to.n == 0)
        gy__uring_done(u, op, 0);
    else if (flying_of(op) > 0)
        gy__op_set_state(op, GY__OP_KERNEL);
    else if (lacks_slot)
        gy__uring_put(&u->slotless, op, GY__OP_UNSENT);
    else
        return false;
    return true;
}

void gy__send_to_reaped(struct gy__uring *u, struct gy__to_slot *slot, int32_t res)
{
    struct gy_op *op = slot->op;
    GY__URING_ASSERT(u, op && flying_of(op) > 0);
    op->u.send_to.msgs[slot->message].res = res;
    slot_give(u, slot);
    set_counts(op, begun_of(op), flying_of(op) - 1);
    if (flying_of(op) > 0)
        return;
    if (begun_of(op) == op->u.send_to.n)
        gy__uring_end(u, op, (int32_t)op->u.send_to.n);
    else
        gy__uring_put(&u->unsent, op, GY__OP_UNSENT);
}

void gy__send_to_cancel(struct gy__uring *u, struct gy_op *op)
{
    give_up(op);
    for (uint32_t i = 0; i < u->to_used; i++)
        if (u->to_slots[i].op == op)
            gy__uring_ask_to_cancel(u, (uint64_t)(uintptr_t)&u->to_slots[i] | GY__TAG_TO);
}

void gy__send_to_swept(struct gy__uring *u, struct gy_op *op)
{
    give_up(op);
    gy__uring_end(u, op, (int32_t)op->u.send_to.n);
}
