/* http/carry.c - the handler's end of a request.
 *
 * A local message does not own the request that it names: the client may be gone, the deadline
 * passed, the slot in use for another request when the message is handled. Its memory is still a
 * slot's (http/slot.h), so the ticket tells. Then nobody waits for an answer, and the handler does
 * not run. */
#include "http/carry.h"

#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/http.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* ---- to another shard -------------------------------------------------------------------- */

static struct gy_slice pack(char **at, struct gy_slice slice)
{
    struct gy_slice packed = { *at, slice.len };

    if (slice.ptr == NULL)
        return slice;
    memcpy(*at, slice.ptr, slice.len);
    *at += slice.len;
    return packed;
}

struct gy_buf *gy__http_pack(const struct gy_http_req *req, const struct gy__http_from *from, unsigned shard,
                             uint64_t ticket)
{
    static const struct gy__http_from nobody;
    size_t headers = req->header_count * sizeof(req->headers[0]);
    size_t known = offsetof(struct gy__http_from, addr.bytes) + (from != NULL ? from->addr.len : 0u);
    size_t size = sizeof(*req) + headers + known + req->path.len + req->route.len + req->query.len +
                  req->body.len + req->trailers.len + req->principal.len + req->claims.len;
    struct gy_http_header *header;
    struct gy_http_req *copy;
    struct gy_buf *buf;
    char *at;

    for (unsigned i = 0; i < req->header_count; i++)
        size += req->headers[i].name.len + req->headers[i].value.len;
    buf = gy_buf_take(size);
    if (buf == NULL)
        return NULL;
    copy = (struct gy_http_req *)(void *)buf->data;
    header = (struct gy_http_header *)(void *)(buf->data + sizeof(*req));
    at = (char *)buf->data + sizeof(*req) + headers;
    memcpy(at, from != NULL ? from : &nobody, known);
    at += known;
    *copy = *req; /* the method is constant text */
    copy->path = pack(&at, req->path);
    copy->rest.ptr = copy->path.ptr + (req->path.len - req->rest.len);
    copy->route = pack(&at, req->route);
    copy->query = pack(&at, req->query);
    copy->headers = header;
    for (unsigned i = 0; i < req->header_count; i++) {
        header[i].name = pack(&at, req->headers[i].name);
        header[i].value = pack(&at, req->headers[i].value);
    }
    copy->body = pack(&at, req->body);
    copy->trailers = pack(&at, req->trailers);
    copy->principal = pack(&at, req->principal);
    copy->claims = pack(&at, req->claims);
    copy->gy__shard = (uint16_t)(shard + 1);
    copy->gy__ticket = ticket;
    buf->len = (uint32_t)size;
    return buf;
}

/* ---- at the handler ---------------------------------------------------------------------- */

void gy__http_run(struct gy_actor *self, const void *payload, struct gy_buf *buf,
                  gy_promise promise,
                  void (*handler)(struct gy_actor *self, const struct gy_http_req *req,
                                  gy_http_promise reply))
{
    const struct gy__http_carried *carried = payload;
    struct gy__http_slot *slot = carried->slot;
    gy_http_promise reply = { promise };

    if (buf != NULL) {
        handler(self, (const struct gy_http_req *)(const void *)buf->data, reply);
        gy_buf_release(buf);
        return;
    }
    if (slot->state != GY__SLOT_QUEUED || gy__http_slot_ticket(slot) != carried->ticket) {
        gy_resolve_raw(promise, -ECANCELED, NULL, 0, NULL);
        return;
    }
    /* Before the handler: if its actor ends in it, nobody reads the request either. */
    slot->state = GY__SLOT_ENTERED;
    slot->req.gy__ticket = carried->ticket;
    handler(self, &slot->req, reply);
}
