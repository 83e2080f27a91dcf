/* http/access.c - see access.h. Pure, but for the line that is logged.
 *
 * A peer's tokens are one number: the time when all of them are back. A request moves it on by one
 * token's time, and may not if that were more than a burst ahead. Who has no connection and all its
 * tokens says nothing that a newcomer does not, so its place can be taken; if no such one stands near
 * the hand, the newcomer is not limited: a table of limited size must not turn guests away for others. */
#include "http/access.h"

#include "gyre/core.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PEERS_MAX (1u << 20)
#define LOOK_MAX 32u /* places looked at for one that can go */

/* ---- addresses --------------------------------------------------------------------------- */

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool gy__http_address_parse(const char *text, struct gy__http_address *address)
{
    char copy[64];
    const char *end;
    size_t len;

    if (text[0] == '[') {
        text++;
        end = strchr(text, ']');
        if (end == NULL)
            return false;
    } else {
        end = strchr(text, ':');
        if (end == NULL || strchr(end + 1, ':') != NULL) /* none, or an address with several */
            end = text + strlen(text);
    }
    len = (size_t)(end - text);
    if (len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (inet_pton(AF_INET6, copy, address->bytes) == 1)
        return true;
    memcpy(address->bytes, mapped, sizeof(mapped));
    return inet_pton(AF_INET, copy, address->bytes + 12) == 1;
}

int gy__http_network_parse(const char *text, struct gy__http_address *network, unsigned *bits)
{
    const char *slash = strchr(text, '/');
    char copy[64];
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    unsigned given = 0, most;

    if (len >= sizeof(copy) || text[0] == '[')
        return -EINVAL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (!gy__http_address_parse(copy, network) || (strchr(copy, '.') != NULL && strchr(copy, ':') != NULL))
        return -EINVAL;
    most = strchr(copy, ':') != NULL ? 128 : 32;
    if (slash == NULL) {
        given = most;
    } else {
        if (slash[1] == '\0' || strlen(slash + 1) > 3)
            return -EINVAL;
        for (const char *at = slash + 1; *at != '\0'; at++) {
            if (*at < '0' || *at > '9')
                return -EINVAL;
            given = given * 10 + (unsigned)(*at - '0');
        }
        if (given > most)
            return -EINVAL;
    }
    *bits = 128 - most + given;
    return 0;
}

bool gy__http_network_holds(const struct gy__http_address *network, unsigned bits,
                            const struct gy__http_address *address)
{
    unsigned whole = bits / 8, rest = bits % 8;

    return memcmp(address->bytes, network->bytes, whole) == 0 &&
           (rest == 0 || (address->bytes[whole] ^ network->bytes[whole]) >> (8 - rest) == 0);
}

static bool within_any(const struct gy__http_address *address, const char *const *networks)
{
    struct gy__http_address network;
    unsigned bits;

    for (; *networks != NULL; networks++)
        if (gy__http_network_parse(*networks, &network, &bits) == 0 && gy__http_network_holds(&network, bits, address))
            return true;
    return false;
}

int gy_http_within(const struct gy_addr *addr, const char *const *networks)
{
    struct gy__http_address address;

    switch (addr->family) {
    case GY_ADDR_UNIX:
        for (; *networks != NULL; networks++)
            if (strcmp(*networks, "unix:") == 0)
                return 1;
        return 0;
    case GY_ADDR_IPV4:
        memcpy(address.bytes, mapped, sizeof(mapped));
        memcpy(address.bytes + 12, addr->bytes, 4);
        break;
    case GY_ADDR_IPV6:
        memcpy(address.bytes, addr->bytes, 16);
        break;
    default:
        return 0;
    }
    return within_any(&address, networks);
}

/* with_unix: may it be "unix:" too? */
static int check_networks(const char *const *networks, bool with_unix)
{
    struct gy__http_address network;
    unsigned bits;

    for (; networks != NULL && *networks != NULL; networks++)
        if (!(with_unix && strcmp(*networks, "unix:") == 0) &&
            gy__http_network_parse(*networks, &network, &bits) < 0) {
            gy_log("http: \"%s\" is no network: 10.0.0.0/8, ::1%s fd00::/8 are some", *networks,
                   with_unix ? ", unix: and" : " and");
            return -EINVAL;
        }
    return 0;
}

int gy__http_access_check(const struct gy_http_access *access)
{
    if (access->size != sizeof(*access) || access->peers_max > PEERS_MAX ||
        (access->peer_requests_per_s > 0 && (access->peer_burst == 0 || access->peers_max == 0)) ||
        access->peer_requests_per_s > 1000000 || access->peer_burst > 1000000 ||
        (access->peer_connections_max > 0 && access->peers_max == 0)) {
        gy_log("http: the limits for peers make no sense");
        return -EINVAL;
    }
    for (const char *const *at = access->disabled; at != NULL && *at != NULL; at++)
        if ((*at)[0] != '/' || ((*at)[1] != '\0' && (*at)[strlen(*at) - 1] == '/')) {
            gy_log("http: \"%s\" is no path that can be disabled: /a/b is one", *at);
            return -EINVAL;
        }
    if (access->forwarded > GY_HTTP_FORWARDED) {
        gy_log("http: forwarded is %u; allowed are GY_HTTP_X_FORWARDED_FOR and GY_HTTP_FORWARDED", access->forwarded);
        return -EINVAL;
    }
    return check_networks(access->allow, false) < 0 || check_networks(access->deny, false) < 0 ||
                   check_networks(access->proxies, true) < 0
               ? -EINVAL
               : 0;
}

bool gy__http_access_disabled(const struct gy_http_access *access, const char *path, size_t len)
{
    for (const char *const *at = access->disabled; at != NULL && *at != NULL; at++) {
        size_t own = strlen(*at);

        if (own == 1 || (len >= own && memcmp(path, *at, own) == 0 && (len == own || path[own] == '/')))
            return true;
    }
    return false;
}

/* ---- peers ------------------------------------------------------------------------------- */

int gy__http_peers_open(struct gy__http_peers *peers, const struct gy_http_access *access,
                   void *(*memory)(size_t bytes))
{
    uint32_t size = 16;

    peers->access = access;
    if (access->peer_connections_max == 0 && access->peer_requests_per_s == 0)
        return 0;
    while (size / 2 < access->peers_max) /* at most half full */
        size *= 2;
    if (peers->table == NULL || peers->mask + 1 < size) {
        struct gy__http_peer *table = memory(size * sizeof(*table));

        if (table == NULL)
            return -EAGAIN;
        peers->table = table;
        peers->mask = size - 1;
        peers->count = 0;
    }
    return 0;
}

static uint32_t place_of(const struct gy__http_peers *peers, const struct gy__http_address *address)
{
    uint64_t hash = 0, word;

    for (unsigned i = 0; i < 16; i += 8) {
        memcpy(&word, address->bytes + i, 8);
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 32;
    }
    return (uint32_t)hash & peers->mask;
}

/* Its place, or the free one where it would stand. */
static uint32_t find(const struct gy__http_peers *peers, const struct gy__http_address *address)
{
    uint32_t i = place_of(peers, address);

    while (peers->table[i].used &&
           memcmp(&peers->table[i].address, address, sizeof(*address)) != 0)
        i = (i + 1) & peers->mask;
    return i;
}

/* Connections point to their peers, so that a place may be given up but nothing may move: one is only
 * free for a newcomer that would stand right there. */
static struct gy__http_peer *take_over(struct gy__http_peers *peers, const struct gy__http_address *address,
                                  uint64_t now_ns)
{
    uint32_t i = place_of(peers, address);

    for (uint32_t n = 0; n < LOOK_MAX && peers->table[i].used; n++, i = (i + 1) & peers->mask)
        if (peers->table[i].connections == 0 && peers->table[i].full_ns <= now_ns)
            return &peers->table[i];
    return NULL;
}

static struct gy__http_peer *peer_of(struct gy__http_peers *peers, const struct gy__http_address *address,
                                uint64_t now_ns)
{
    struct gy__http_peer *peer = &peers->table[find(peers, address)];

    if (peer->used)
        return peer;
    if (peers->count >= peers->access->peers_max) { /* they may have been more, before */
        peer = take_over(peers, address, now_ns);
        if (peer == NULL)
            return NULL;
    } else {
        peers->count++;
    }
    *peer = (struct gy__http_peer){ *address, 0, 1, 0 };
    return peer;
}

int gy__http_peers_enter(struct gy__http_peers *peers, const char *text, uint64_t now_ns, struct gy__http_peer **peer)
{
    const struct gy_http_access *access = peers->access;
    struct gy__http_address address;

    *peer = NULL;
    if (strncmp(text, "unix:", 5) == 0) /* who may open its file may come */
        return 0;
    if (!gy__http_address_parse(text, &address)) /* it is gone already: what it sent may be here all the same */
        return -EACCES;
    if ((access->allow != NULL && !within_any(&address, access->allow)) ||
        (access->deny != NULL && within_any(&address, access->deny)))
        return -EACCES;
    if (peers->table == NULL)
        return 0;
    if (memcmp(address.bytes, mapped, sizeof(mapped)) != 0)
        memset(address.bytes + 8, 0, 8); /* a host has a /64 of its own to choose from */
    *peer = peer_of(peers, &address, now_ns);
    if (*peer == NULL)
        return 0;
    if (access->peer_connections_max > 0 && (*peer)->connections >= access->peer_connections_max) {
        *peer = NULL;
        return -EMFILE;
    }
    (*peer)->connections++;
    return 0;
}

bool gy__http_peers_request(const struct gy__http_peers *peers, struct gy__http_peer *peer, uint64_t now_ns)
{
    const struct gy_http_access *access = peers->access;
    uint64_t token_ns, full_ns;

    if (peer == NULL || access->peer_requests_per_s == 0)
        return true;
    token_ns = (uint64_t)GY_S / access->peer_requests_per_s;
    full_ns = (peer->full_ns > now_ns ? peer->full_ns : now_ns) + token_ns;
    if (full_ns - now_ns > token_ns * access->peer_burst)
        return false;
    peer->full_ns = full_ns;
    return true;
}
