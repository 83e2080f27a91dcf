/* http/from.c - whom a request is from.
 *
 * Nobody is asked for an address before somebody wants it: the driver tells it, once, and the link keeps
 * it in a buffer of its own until its end. A request that goes to another shard, which cannot ask, has a
 * copy behind its headers (http/carry.c), cut behind the bytes that count. */
#include "http/from.h"

#include "http/server.h"
#include "http/shard.h"

#include "gyre/buf.h"
#include "gyre/http.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

void gy__http_from_plain(struct gy_addr *addr)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

    if (addr->family != GY_ADDR_IPV6 || memcmp(addr->bytes, mapped, sizeof(mapped)) != 0)
        return;
    memcpy(addr->bytes, addr->bytes + 12, 4);
    memset(addr->bytes + 4, 0, 12);
    addr->family = GY_ADDR_IPV4;
    addr->len = 4;
    addr->scope = 0;
}

void gy__http_from_parse(struct gy_addr *out, const char *text)
{
    memset(out, 0, sizeof(*out));
    if (strcmp(text, "unix:") == 0) /* it has bound none */
        out->family = GY_ADDR_UNIX;
    else if (gy_addr_parse(out, text) == 0)
        gy__http_from_plain(out);
}

void gy__http_from(struct gy__http_link *link, struct gy__http_from *out)
{
    char text[GY_ADDR_TEXT_MAX];

    out->access = link->server->peers.access;
    if (link->from != NULL) {
        memcpy(&out->addr, link->from->data, sizeof(out->addr));
        return;
    }
    text[0] = '\0';
    gy_stream_peer(link->stream, text, sizeof(text));
    gy__http_from_parse(&out->addr, text);
    if (out->addr.family == GY_ADDR_NONE)
        return;
    link->from = gy_buf_take(sizeof(out->addr));
    if (link->from != NULL) /* otherwise it is asked again */
        memcpy(link->from->data, &out->addr, sizeof(out->addr));
}

void gy__http_from_forget(struct gy__http_link *link)
{
    gy_buf_release(link->from);
    link->from = NULL;
}

/* ---- what handlers ask ------------------------------------------------------------------- */

/* From behind the headers of what gy__http_pack() made. */
static void unpack(const struct gy_http_req *req, struct gy__http_from *out)
{
    const uint8_t *at = (const uint8_t *)(const void *)(req->headers + req->header_count);
    size_t cut = offsetof(struct gy__http_from, addr.bytes);

    memset(out, 0, sizeof(*out));
    memcpy(out, at, cut);
    memcpy(out->addr.bytes, at + cut, out->addr.len);
}

static int ask(const struct gy_http_req *req, struct gy__http_from *out)
{
    struct gy__http_server *server;
    struct gy__http_slot *slot;

    memset(out, 0, sizeof(*out));
    if (req->gy__shard != 0) {
        unpack(req, out);
    } else {
        server = gy__http_here();
        slot = server != NULL ? gy__http_slot_find(&server->env.slots, req->gy__ticket) : NULL;
        if (slot != NULL && slot->conn != NULL)
            gy__http_from(gy__http_link_of(slot->conn), out);
    }
    return out->addr.family != GY_ADDR_NONE ? 0 : -ENOTCONN;
}

int gy_http_peer(const struct gy_http_req *req, struct gy_addr *out)
{
    struct gy__http_from from;
    int err = ask(req, &from);

    *out = from.addr;
    return err;
}

int gy_http_forwarded_for(const struct gy_http_req *req, struct gy_addr *out)
{
    struct gy__http_from from;
    int err = ask(req, &from);

    if (err == 0 && from.access != NULL && from.access->proxies != NULL)
        gy__http_forwarded(req, from.access, &from.addr);
    *out = from.addr;
    return err;
}
