/* Names of hosts, looked up on a thread of the pool: by c-ares where gyre was built with it, otherwise
 * by getaddrinfo(3).
 *
 * c-ares could be driven by the ring as well, its sockets polled and its timers kept by each shard. It
 * is not, because a look-up is rare beside what is then done with its addresses: on the pool it needs
 * no state between look-ups, no thread of its own, and nothing of it runs on a shard. What it has before
 * getaddrinfo() is the time to live that name servers give, and an end in time. Either way a thread is taken for as long as
 * the name servers need: --blocking-threads bounds how many are asked at once, and core asks once for a
 * name that many want. An operation that a thread has begun is not cancelled: it ends by itself. */
#include "core/addr.h"
#include "uring/uring.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#ifdef GYRE_CARES
#include <ares.h>
#include <arpa/nameser.h>
#include <poll.h>
#include <pthread.h>
#endif

static int af_of(uint8_t family)
{
    return family == GY_ADDR_IPV4 ? AF_INET : family == GY_ADDR_IPV6 ? AF_INET6 : AF_UNSPEC;
}

/* -> false: nothing that we know, or enough of them. */
static bool add(struct gy_op *op, int32_t *n, const struct sockaddr *sockaddr)
{
    struct gy_addr addr = {0};
    if (*n >= 0 && (uint32_t)*n == op->u.resolve.max)
        return false;
    if (sockaddr->sa_family == AF_INET) {
        addr.family = GY_ADDR_IPV4;
        addr.len = 4;
        memcpy(addr.bytes, &((const struct sockaddr_in *)(const void *)sockaddr)->sin_addr, 4);
    } else if (sockaddr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sockaddr;
        addr.family = GY_ADDR_IPV6;
        addr.len = 16;
        addr.scope = in6->sin6_scope_id;
        memcpy(addr.bytes, &in6->sin6_addr, 16);
    } else {
        return false;
    }
    op->u.resolve.addrs[(*n)++] = addr;
    return true;
}

#ifdef GYRE_CARES

/* ---- c-ares ---- */

struct answer {
    struct gy_op *op;
    int32_t res;
    bool over;
    bool timeless; /* of some addresses no time to live was told, or none: 0 */
};

static int error_of(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_ENONAME:
        return -ENOENT;
    case ARES_ETIMEOUT:
        return -ETIMEDOUT;
    case ARES_ESERVFAIL:
    case ARES_ECONNREFUSED:
    case ARES_EREFUSED:
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
        return -EAGAIN;
    case ARES_ENOMEM:
        return -ENOMEM;
    case ARES_EBADNAME:
        return -ENOENT;
    default:
        return -EIO;
    }
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct answer *answer = arg;
    struct gy_op *op = answer->op;
    (void)timeouts;
    answer->over = true;
    if (status != ARES_SUCCESS) {
        answer->res = error_of(status);
        return;
    }
    answer->res = 0;
    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next) {
        /* The first that runs out ends them all: they are one entry of the cache. */
        if (!add(op, &answer->res, node->ai_addr))
            continue;
        if (node->ai_ttl <= 0)
            answer->timeless = true;
        else if ((uint32_t)node->ai_ttl < op->u.resolve.ttl_s)
            op->u.resolve.ttl_s = (uint32_t)node->ai_ttl;
    }
    ares_freeaddrinfo(info);
    if (answer->res == 0)
        answer->res = -ENOENT;
}

/* Wait until something can be read or written, or c-ares wants to look at its clock. */
static void process(ares_channel channel, int wait_ms)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct pollfd polls[ARES_GETSOCK_MAXNUM];
    unsigned bits = (unsigned)ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
    struct timeval most = {wait_ms / 1000, wait_ms % 1000 * 1000}, next;
    const struct timeval *until = ares_timeout(channel, &most, &next);
    nfds_t n = 0;
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        /* What c-ares' own macros for this say, which shift a one into the sign. */
        bool reads = bits >> i & 1, writes = bits >> (i + ARES_GETSOCK_MAXNUM) & 1;
        short events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
        if (events != 0)
            polls[n++] = (struct pollfd){.fd = sockets[i], .events = events};
    }
    if (poll(polls, n, (int)(until->tv_sec * 1000 + (until->tv_usec + 999) / 1000)) <= 0)
        n = 0;
    for (nfds_t i = 0; i < n; i++)
        ares_process_fd(channel,
                        polls[i].revents & ~POLLOUT ? polls[i].fd : ARES_SOCKET_BAD,
                        polls[i].revents & POLLOUT ? polls[i].fd : ARES_SOCKET_BAD);
    ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* ---- for how long what was not told ---- */

/* c-ares says 0 for names of /etc/hosts, which have no time to live, as for those that are not to be kept (RFC
 * 1035, 3.2.1). */
static bool is_of_file(ares_channel channel, const char *name)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (unsigned i = 0; i < 2; i++) {
        struct hostent *host = NULL;
        if (ares_gethostbyname_file(channel, name, families[i], &host) == ARES_SUCCESS) {
            ares_free_hostent(host);
            return true;
        }
    }
    return false;
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Behind a name, NULL: there is none. */
static const uint8_t *skip_name(const uint8_t *at, const uint8_t *reply, int len)
{
    char *text = NULL;
    long bytes = 0;
    if (at >= reply + len || ares_expand_name(at, reply, len, &text, &bytes) != ARES_SUCCESS)
        return NULL;
    ares_free_string(text);
    return at + bytes;
}

/* How long a name server says that there is no such thing (RFC 2308, 5); UINT32_MAX: it does not. */
static uint32_t denied_for_s(const uint8_t *reply, int len)
{
    const uint8_t *end = reply + len, *at = reply + HFIXEDSZ;
    if (len < HFIXEDSZ)
        return UINT32_MAX;
    unsigned questions = (unsigned)reply[4] << 8 | reply[5];
    unsigned records = ((unsigned)reply[6] << 8 | reply[7]) + ((unsigned)reply[8] << 8 | reply[9]);
    for (; questions > 0; questions--)
        if ((at = skip_name(at, reply, len)) == NULL || end - at < QFIXEDSZ)
            return UINT32_MAX;
        else
            at += QFIXEDSZ;
    for (; records > 0; records--) {
        if ((at = skip_name(at, reply, len)) == NULL || end - at < RRFIXEDSZ)
            return UINT32_MAX;
        uint32_t type = (uint32_t)at[0] << 8 | at[1], ttl_s = get32(at + 4);
        long size = (long)at[8] << 8 | at[9];
        at += RRFIXEDSZ;
        if (end - at < size)
            return UINT32_MAX;
        if (type == ns_t_soa && size >= 20) {
            uint32_t minimum_s = get32(at + size - 4); /* the last of it */
            return ttl_s < minimum_s ? ttl_s : minimum_s;
        }
        at += size;
    }
    return UINT32_MAX;
}

static void on_denial(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
    struct answer *answer = arg;
    (void)timeouts;
    answer->over = true;
    if ((status == ARES_ENOTFOUND || status == ARES_ENODATA) && reply != NULL)
        answer->op->u.resolve.ttl_s = denied_for_s(reply, len);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_status;

static void library_init(void)
{
    once_status = ares_library_init(ARES_LIB_INIT_ALL);
}

/* -> an ARES_ status; the channel is there if it is a success. */
static int open_channel(ares_channel *channel, const char *servers)
{
    pthread_once(&once, library_init);
    int status = once_status == ARES_SUCCESS ? ares_init(channel) : once_status;
    if (status != ARES_SUCCESS || servers == NULL)
        return status;
    status = ares_set_servers_ports_csv(*channel, servers);
    if (status != ARES_SUCCESS)
        ares_destroy(*channel);
    return status;
}

/* c-ares takes more for an address than is one. */
static bool are_addresses(const char *servers)
{
    for (const char *at = servers;; at++) {
        size_t len = strcspn(at, ","), from = *at == '[';
        size_t end = from > 0 ? strcspn(at, "],") : strcspn(at, ":,");
        struct gy_addr addr;
        if (from == 0 && end < len && memchr(at + end + 1, ':', len - end - 1) != NULL)
            end = len; /* a second colon: an IPv6 address, without a port */
        if (!gy__addr_numeric(&addr, at + from, end - from))
            return false;
        at += len;
        if (*at == 0)
            return true;
    }
}

int gy__resolve_check(const char *servers, char *text, size_t size)
{
    ares_channel channel;
    if (servers == NULL)
        return 0;
    int status = are_addresses(servers) ? open_channel(&channel, servers) : ARES_EBADSTR;
    if (status == ARES_SUCCESS) {
        ares_destroy(channel);
        return 0;
    }
    snprintf(text, size, "name-servers=%s: %s; allowed are addresses, as in 127.0.0.1:5353,[::1]:53",
             servers, status == ARES_EBADSTR ? "not a list of addresses" : ares_strerror(status));
    return -EINVAL;
}

/* -> false: the time is over. */
static bool process_until(ares_channel channel, const struct answer *answer, uint64_t until_ns)
{
    for (uint64_t now_ns; !answer->over && (now_ns = gy__uring_now()) < until_ns;)
        process(channel, (int)((until_ns - now_ns) / 1000000) + 1);
    return answer->over;
}

int gy__resolve_run(struct gy_op *op, const char *servers)
{
    uint64_t until_ns = gy__uring_now() + (uint64_t)op->u.resolve.timeout_ms * 1000000;
    struct ares_addrinfo_hints hints = {.ai_family = af_of(op->u.resolve.family),
                                        .ai_socktype = SOCK_STREAM};
    struct answer answer = {.op = op, .res = -ETIMEDOUT};
    ares_channel channel;
    int status = open_channel(&channel, servers);
    if (status != ARES_SUCCESS)
        return error_of(status);
    ares_getaddrinfo(channel, op->u.resolve.name, NULL, &hints, on_answer, &answer);
    if (!process_until(channel, &answer, until_ns)) {
        /* It calls back once more, which is not an answer. */
        ares_destroy(channel);
        return -ETIMEDOUT;
    }
    int32_t res = answer.res;
    if (answer.timeless && !is_of_file(channel, op->u.resolve.name)) {
        op->u.resolve.ttl_s = 0;
    } else if (res == -ENOENT) {
        /* c-ares drops what came with that, so it is asked for once more. */
        answer.over = false;
        ares_query(channel, op->u.resolve.name, ns_c_in,
                   op->u.resolve.family == GY_ADDR_IPV6 ? ns_t_aaaa : ns_t_a, on_denial, &answer);
        (void)process_until(channel, &answer, until_ns);
    }
    ares_destroy(channel);
    return res;
}

#else

/* ---- getaddrinfo ---- */

static int error_of(int status)
{
    switch (status) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return -ENOENT;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno > 0 ? -errno : -EIO;
    default:
        return -EIO;
    }
}

int gy__resolve_check(const char *servers, char *text, size_t size)
{
    if (servers == NULL)
        return 0;
    snprintf(text, size, "name-servers=%s: this library was built without c-ares, and asks the system's",
             servers);
    return -EINVAL;
}

int gy__resolve_run(struct gy_op *op, const char *servers)
{
    (void)servers;
    const struct addrinfo hints = {.ai_family = af_of(op->u.resolve.family),
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int32_t n = 0;
    int status = getaddrinfo(op->u.resolve.name, NULL, &hints, &list);
    if (status != 0)
        return error_of(status);
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next)
        (void)add(op, &n, at->ai_addr);
    freeaddrinfo(list);
    return n > 0 ? n : -ENOENT;
}

#endif
